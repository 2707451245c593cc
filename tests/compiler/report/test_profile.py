"""The section on latency and energy: its record, its figures at every size, page and JSON."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from spikec.boards.costs import Pace
from spikec.compiler.profile.profile import CORES, Profile
from spikec.compiler.profile.to_json import energy_by_kind, profile_facts
from spikec.compiler.profile_view import profile_view
from spikec.compiler.report import ProfileView, ReportData, render
from spikec.compiler.report import style as report_style
from spikec.compiler.report.profile_data import bins
from spikec.compiler.report.profile_plots import (
    ENERGY,
    LATENCY,
    busy_plot,
    causes_plot,
    energy_plot,
    histogram_plot,
    percent,
    timeline_plot,
)
from spikec.compiler.report.style import Plot

from .profiles import PACES, make_profile, make_view, obtained, renamed
from .test_page import Page, schema
from .test_plots import texts


def report(view: ProfileView) -> ReportData:
    return ReportData("profiled", "so many microseconds", profile=view)


def page_and_json(view: ProfileView) -> tuple[Page, dict[str, Any]]:
    """Both files, well formed: ids unique, tags closed, the schema kept."""
    files = render(report(view))
    page = Page(files["report.html"].decode())
    assert page.unclosed == [] and page.open == []
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    data = json.loads(files["report.json"])
    jsonschema.Draft202012Validator(schema()).validate(data)
    return page, data["profile"]


def text_of(page: Page) -> str:
    return " ".join(" ".join(page.text).split())


def figures(view: ProfileView) -> dict[str, Plot]:
    every = [draw(view) for draw in (*LATENCY, *ENERGY)]
    found = {plot.name: plot for plot in every if plot is not None}
    for plot in found.values():
        ElementTree.fromstring(plot.svg)
        assert len(plot.alt) > 40
        assert len(plot.svg) < 700_000
    return found


# -- from a profile ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=PACES)
def profiled(request: pytest.FixtureRequest) -> Profile:
    return make_profile(request.param)


def test_numbers_are_those_of_the_profile(profiled: Profile) -> None:
    _, data = page_and_json(profile_view(profiled))
    facts = profile_facts(profiled)
    latency, energy = data["latency"], data["energy"]
    assert latency["seconds_per_sample"] == facts["latency"]["seconds_per_sample"]
    assert latency["longest_step"] == facts["latency"]["longest_step"]
    assert latency["late_steps"] == facts["latency"]["late_steps"]
    assert latency["seconds"] == profiled.length.sum(axis=1).tolist()
    waits = latency["waits_per_sample"]
    lead = waits.get("cores", 0) + waits.get("links", 0)
    assert lead == pytest.approx(facts["latency"]["cores_and_links"])
    assert waits["way of packets"] == pytest.approx(
        facts["latency"]["way_of_packets"], rel=1e-9, abs=0
    )
    assert energy["joules_per_sample"] == pytest.approx(
        facts["energy"]["joules_per_sample"], rel=1e-9, abs=0
    )
    assert energy["by_kind"] == pytest.approx(energy_by_kind(profiled), rel=1e-9, abs=0)
    for line, fact in zip(energy["ledger"], facts["ledger"], strict=True):
        same = ("kind", "what", "amount", "times", "cost", "constant", "joules", "seconds")
        assert {key: line[key] for key in same} == {key: fact[key] for key in same}
        assert line["joules_per_sample"] == fact["joules_per_sample"]
    assert sum(line["share"] for line in energy["ledger"]) == pytest.approx(1)
    assert [c["gain_per_sample"] for c in data["causes"]] == [c["gain"] for c in facts["causes"]]
    assert data["model"]["unknown"] == facts["energy"]["unknown"] == ["nothing"]
    cores, links, slowest = data["cores"], data["links"], data["slowest"]
    assert cores["core"] == profiled.seat.tolist()
    assert [cores["send_seconds"], cores["receive_seconds"]] == profiled.core_busy.tolist()
    assert [cores["counts"][name] for name in CORES] == profiled.core_counts.tolist()
    assert sum(links["packets"]) == int(profiled.link_load.sum()) > 0
    assert min(links["packets"]) > 0
    at = profiled.slowest
    assert slowest["sample"] == at
    for name in ("lead", "way", "rest"):
        assert slowest[f"{name}_seconds"] == getattr(profiled, name)[at].tolist()
    for step, leader in enumerate(profiled.leader[at].tolist()):
        wanted = profiled.seat[leader] if leader >= 0 else {-1: "link", -2: None}[leader]
        assert slowest["leader"][step] == wanted
    for core, row in zip(slowest["busy"]["core"], slowest["busy"]["seconds_per_step"], strict=True):
        part = int(np.flatnonzero(profiled.seat == core)[0])
        assert row == profiled.timeline[:, part].tolist()


def test_the_page_says_what_the_pace_means(profiled: Profile) -> None:
    view = profile_view(profiled)
    assert set(figures(view)) == {
        "profile-timeline", "profile-busy", "profile-links", "profile-causes", "profile-energy",
    }  # fmt: skip
    page, _ = page_and_json(view)
    text = text_of(page)
    pace = {"tick": "the run gets no shorter", "barrier": "barrier", "free": "way of packets"}
    for part in (
        "all kinds ( all )",
        "3 samples of 12 steps",
        "7 cores in use",
        pace[profiled.model.pace],
        "synaptic operations",
        "synop_energy : test",
        "Populations and kinds of work are spread over cores",
        "no constant is known: nothing.",
    ):
        assert part in text, part
    assert ("spikes are late or lost" in text) == (profiled.late > 0)
    assert ("tick" in texts(figures(view)["profile-timeline"].svg)) == (
        profiled.model.pace == "tick"
    )


def test_no_core_is_busy_longer_than_its_step() -> None:
    found = make_profile(overlap=True)
    step = found.lead[found.slowest]
    assert (found.timeline.max(axis=1) <= step * (1 + 1e-12)).all()
    assert found.core_busy.sum() > found.timeline.sum()
    plot = busy_plot(profile_view(found))
    assert plot is not None and "Both go on at once" in " ".join(plot.notes)


# -- any size ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "steps", "samples", "pace"),
    [
        (1, 1, 1, "free"), (1, 1, 1, "tick"), (1, 300, 1, "barrier"), (2, 1, 40, "tick"),
        (61, 7, 9, "free"), (1000, 10_000, 2, "barrier"), (30, 241, 1, "tick"),
    ],
)  # fmt: skip
def test_every_size_is_drawn_and_keeps_the_schema(
    cores: int, steps: int, samples: int, pace: Pace
) -> None:
    view = make_view(cores, steps, samples, pace)
    found = figures(view)
    assert {"profile-timeline", "profile-busy", "profile-causes", "profile-energy"} <= set(found)
    assert ("profile-links" in found) == (cores > 1)
    assert ("profile-samples" in found) == (samples > 8)
    _, data = page_and_json(view)
    busy = data["slowest"]["busy"]
    rows = np.array(busy["seconds_per_step"])
    assert rows.shape[0] == min(cores, 60) == cores - busy["other_cores"]
    assert rows.shape[1] == len(busy["first_step"]) <= 240
    size = np.diff([*busy["first_step"], steps])
    whole = float(view.timeline.sum())
    assert (rows * size).sum() + busy["other_seconds"] == pytest.approx(whole, rel=1e-9, abs=0)
    notes = " ".join(found["profile-timeline"].notes)
    assert ("Each column is the mean of" in notes) == (steps > 240)
    assert ("Not drawn: " in notes) == (cores > 60)
    assert ("Not drawn" in " ".join(found["profile-causes"].notes)) == (cores > 10)


def test_bins_are_means() -> None:
    edges, means = bins(np.arange(482, dtype=np.float64))
    assert edges[:3].tolist() == [0, 3, 6] and edges[-2:].tolist() == [480, 482]
    assert means[0] == 1.0 and means[-1] == 480.5
    edges, means = bins(np.arange(6, dtype=np.float64).reshape(3, 2))
    assert edges.tolist() == [0, 1, 2, 3] and means.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_the_busiest_core_stands_above() -> None:
    view = make_view(5)
    order = view.busy.parts
    total = view.timeline.sum(axis=0)
    assert (np.diff(total[order]) <= 0).all()
    plot = timeline_plot(view)
    assert plot is not None and f"Busy longest is core {order[0]}." in plot.alt
    assert "a dot marks the one" in " ".join(plot.notes)


def test_late_steps_are_said_aloud() -> None:
    view = make_view(pace="tick")
    late = replace(view, rest=view.rest - 1.9e-6, late=3, overdue=1.2e-6)
    text = text_of(page_and_json(late)[0])
    assert "3 of 20 steps have more work than their tick holds, by up to 1.2 µs" in text
    shares = [float(n) for n in re.findall(r"\(([\d.]+) %\)", text[: text.index("tick 2 µs")])]
    assert len(shares) == 2 and sum(shares) == pytest.approx(100, abs=0.11)
    assert report_style.WRONG in figures(late)["profile-timeline"].svg
    assert report_style.WRONG not in figures(view)["profile-timeline"].svg


def test_a_tick_that_is_nearly_empty_is_left_out() -> None:
    view = make_view(pace="tick")
    empty = replace(view, tick=1e-3, rest=1e-3 - view.lead - view.way)
    plot = timeline_plot(empty)
    assert plot is not None
    assert "The rest of the tick of 1 ms is not drawn" in plot.notes[0]
    assert "rest of the tick" not in texts(plot.svg)


def test_a_chip_whose_cores_have_no_known_time() -> None:
    view = make_view(pace="tick")
    nothing = np.zeros_like(view.timeline)
    untimed = replace(view, timeline=nothing, core_busy=np.zeros_like(view.core_busy))
    found = figures(untimed)
    assert found["profile-busy"].title == "Where synaptic operations are done"
    assert "no constant is known for it" in " ".join(found["profile-timeline"].notes)
    assert "core" not in texts(found["profile-timeline"].svg)
    none = np.zeros(view.steps)
    idle = replace(
        untimed, lead=none, way=none, leader=np.full(view.steps, -2),
        core_counts=np.zeros_like(view.core_counts), waits=(), causes=(), ledger=(),
    )  # fmt: skip
    assert set(figures(idle)) == {"profile-links"}
    assert "The model has no constant of energy." in text_of(page_and_json(idle)[0])


def test_recalled_constants_are_hatched_and_marked() -> None:
    view = make_view()
    plot = energy_plot(view)
    assert plot is not None
    assert "<pattern" in plot.svg and any("recalled" in text for text in texts(plot.svg))
    plain = energy_plot(obtained(view, "measured"))
    assert plain is not None
    assert "<pattern" not in plain.svg
    assert not any("recalled" in text for text in [*texts(plain.svg), *plain.notes])
    page, _ = page_and_json(view)
    assert "? recalled" in text_of(page)
    # The line's constant, and the legend.
    assert sum(a.get("class") == "badge recalled" for _, a in page.elements) == 2


def test_samples_that_take_as_long_have_no_histogram() -> None:
    assert histogram_plot(make_view(samples=7)) is None
    view = make_view(samples=12)
    plot = histogram_plot(view)
    assert plot is not None and plot.title == "Latency of samples"
    noise = np.where(np.arange(12) % 2, 1.0, 1.0 + 1e-15)
    assert histogram_plot(replace(view, seconds=noise)) is None
    assert "1 s a sample; the longest" in text_of(page_and_json(replace(view, seconds=noise))[0])
    ticking = histogram_plot(make_view(samples=12, pace="tick"))
    assert ticking is not None and ticking.title == "Work of samples"


def test_what_adds_up_stands_apart_from_what_does_not() -> None:
    plot = causes_plot(make_view(14))
    assert plot is not None
    found = texts(plot.svg)
    assert {"cores, links and waiting", "populations and work", "population a"} <= set(found)
    assert "core 9" in found and "core 10" not in found
    assert "Not drawn of cores, links and waiting: 4 more" in plot.notes[-1]


def test_small_shares_are_not_nothing() -> None:
    assert [percent(x) for x in (0, 1e-9, 0.0005, 0.746, 1)] == [
        "0.0 %", "< 0.1 %", "0.1 %", "74.6 %", "100.0 %",
    ]  # fmt: skip


# -- the page ------------------------------------------------------------------------------------


def test_hostile_names_are_escaped() -> None:
    name = "</svg><script>alert('$x$')</script>&\"#2f7fc1"
    page, data = page_and_json(renamed(make_view(), name))
    assert "script" not in {tag for tag, _ in page.elements}
    assert sum(name in text for text in page.text) >= 4
    assert data["causes"][0]["name"] == name
    page, _ = page_and_json(renamed(make_view(), "<script>"))
    assert "script" not in {tag for tag, _ in page.elements}


def test_same_profile_same_bytes() -> None:
    one, two = (profile_view(make_profile("barrier")) for _ in range(2))
    assert one == two
    assert render(report(one)) == render(report(two))


def test_without_matplotlib_there_are_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_style, "available", lambda: False)
    files = render(report(make_view()))
    text = files["report.html"].decode()
    assert "<svg" not in text and Page(text).unclosed == []
    assert "pip install &#39;spikec[plot]&#39;" in text
    assert "synaptic operations" in text and "energy of &lt;b&gt;heat&lt;/b&gt;" in text
    assert json.loads(files["report.json"])["profile"]["steps"] == 20


def test_without_a_profile_json_says_null() -> None:
    files = render(ReportData("plain", "nothing profiled"))
    assert json.loads(files["report.json"])["profile"] is None
    assert 'id="profile"' not in files["report.html"].decode()


def test_a_long_list_of_causes_says_how_many_it_leaves_out() -> None:
    text = text_of(page_and_json(make_view(40))[0])
    assert re.search(r"16 more are in the JSON file", text)


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    view = make_view()
    for changes, words in (
        ({"timeline": view.timeline[1:]}, "timeline"),
        ({"way": view.way[1:]}, "steps"),
        ({"core_names": ("one",)}, "cores"),
        ({"link_load": np.ones(9, np.int64)}, "links"),
    ):
        with pytest.raises(ValueError, match=words):
            replace(view, **changes)
