"""The page of a co-simulation: its numbers are those of the record, and nothing is needed."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from spikec.backends.chips.cosim import TimedExecutor
from spikec.compiler.cosim_view import cosim_view
from spikec.compiler.noc.fabric import Fabric
from spikec.compiler.profile.distortion import CoSimulated
from spikec.compiler.report import render, style
from spikec.compiler.report.cosim_data import CosimView
from spikec.compiler.report.cosim_plots import cosim_plots
from spikec.compiler.report.data import ReportData
from spikec.ir.events import Events, Stimulus

from ...backends.chips.test_cosim import chain, placed
from ...compiler.mapping import simple
from .test_page import schema


def simulated(share: float = 0.4, tick: int | None = 30) -> CoSimulated:
    rng = np.random.default_rng(3)
    graph = chain(12)
    m = simple.machine("mesh", (4, 3), multicast=False)
    axons, mapping = placed(graph, m, [k // 2 for k in range(24)], list(range(12)))
    fabric = Fabric(m, 1e-9, hop_x=2, hop_y=3, buffer=4, gap=2)
    dense = rng.random((2, 40, 12)) < share
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    return TimedExecutor(graph, axons, mapping, fabric, tick).timed(stimulus)


def page(view: CosimView) -> tuple[str, dict[str, Any]]:
    files = render(ReportData(name="net", verdict="measured", cosim=view))
    return files["report.html"].decode(), json.loads(files["report.json"])


def test_numbers_are_those_of_the_co_simulation() -> None:
    found = simulated()
    view = cosim_view(found)
    d = found.distortion
    html, data = page(view)
    jsonschema.Draft202012Validator(schema()).validate(data)
    said = data["cosim"]
    assert said["copies"] == d.copies == sum(said["histogram"]["counts"]) > 0
    assert sum(said["interval_histogram"]["counts"]) == d.intervals
    assert (said["late"], said["disorder"]) == (d.late, d.disorder)
    assert said["tick_seconds"] == pytest.approx(30e-9, rel=1e-9, abs=0)
    stalls = {(a, b): stall for a, b, _, _, stall in found.links.tolist() if stall}
    assert {(w["start"], w["end"]): w["cycles"] for w in said["waits"]} == stalls != {}
    assert f"{d.copies:,} arrived, {d.late:,} of them in a later step" in " ".join(html.split())
    assert view.late == d.late + d.dropped


@pytest.mark.skipif(not style.available(), reason="needs matplotlib")
def test_figures_and_their_words() -> None:
    times, waits = cosim_plots(cosim_view(simulated()))
    assert "Latency of" in times.alt and "Distortion of" in times.alt
    assert "packets" not in waits.svg and "cycles" in waits.svg
    assert cosim_plots(cosim_view(simulated(share=0.0))) == ()


def test_the_same_gives_the_same_page() -> None:
    assert page(cosim_view(simulated())) == page(cosim_view(simulated()))


def test_steps_that_wait_and_silence_have_a_page() -> None:
    html, data = page(cosim_view(simulated(tick=None)))
    assert "lasts until its packets have arrived" in html
    jsonschema.Draft202012Validator(schema()).validate(data)
    html, data = page(cosim_view(simulated(share=0.0)))
    jsonschema.Draft202012Validator(schema()).validate(data)
    assert "0 arrived, 0 of them in a later step" in " ".join(html.split())
