"""Figures: a panel a condition, on an axis with its unit."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from spikec.compiler.backend import Gap
from spikec.compiler.explore.point import Result
from spikec.compiler.montecarlo.chips import REFERENCE
from spikec.compiler.montecarlo.figure import _panel, _shown, draw
from spikec.compiler.montecarlo.study import Found, found_in

from .conftest import make_study


def found(*axes: tuple[str, ...], labels: bool = True) -> Found:
    """Made-up results: chip c of combination k has (10 k + c) %."""
    study = make_study(*itertools.product(*axes), macro="crossbar-ideal", chips=range(1, 3))
    results = [Result(REFERENCE, (("accuracy", 0.5 if labels else None),))]
    for k, combination in enumerate(study.combinations):
        for chip in study.chips:
            value = (10 * k + chip) / 100
            values = (("accuracy", value if labels else None), ("differ", value))
            results.append(Result(study.point(combination, chip), values))
    return found_in(study, {r.point.digest: r for r in results})


def test_panels_have_a_line_for_each_of_the_others() -> None:
    data = found(("wire=0", "wire=2"), ("age=20s", "age=1day"))
    wire, age = (_panel(data, name, "accuracy") for name in ("wire", "age"))
    assert (wire.title, wire.logarithmic, wire.ticks) == (
        "wire resistance (ohm a segment)",
        False,
        (),
    )
    assert [line.label for line in wire.lines] == ["age 20 s", "age 1 day"]
    assert [x for x, _ in wire.lines[0].points] == [0.0, 2.0]
    assert [v for _, v in wire.lines[1].points] == [(11.0, 12.0), (31.0, 32.0)]
    assert age.logarithmic and age.ticks == ((20.0, "20 s"), (86400.0, "1 day"))
    assert [line.label for line in age.lines] == ["wire 0 ohm", "wire 2 ohm"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("age=none", "age=1h"), ["just after", "1 h"]),
        (("drift=on", "drift=off"), ["on", "off"]),
        (("adc_bits=0", "adc_bits=4"), ["ideal", "4"]),
    ],
)
def test_values_that_no_axis_has_are_words(words: tuple[str, ...], shown: list[str]) -> None:
    panel = _panel(found(words), words[0].partition("=")[0], "accuracy")
    assert [word for _, word in panel.ticks] == shown
    assert not panel.logarithmic
    assert [x for x, _ in panel.lines[0].points] == [0.0, 1.0]


def test_levels_are_far_apart() -> None:
    panel = _panel(found(("levels=4", "levels=64")), "levels", "differ")
    assert panel.logarithmic and panel.ticks == ((4.0, "4"), (64.0, "64"))


def test_a_switch_has_no_panel_beside_a_number() -> None:
    both = found(("wire=0", "wire=2"), ("compensate=on", "compensate=off"))
    assert _shown(both) == ["wire"]
    assert _shown(found(("compensate=on", "compensate=off"))) == ["compensate"]


def test_the_drawing() -> None:
    pytest.importorskip("matplotlib")
    data = found(("wire=0", "wire=2"), ("stuck=0", "stuck=2%"))
    drawn = draw(data, "svg").decode()
    assert draw(data, "svg").decode() == drawn
    for words in (
        "accuracy (%)",
        "integer rung",
        "stuck cells (%)",
        "(ohm a segment)",
        "stuck 2 %",
    ):
        assert f">{words}" in drawn or words in drawn
    # A row for what was read, and one for the spikes of the same chips.
    assert "spikes unlike the integer rung" in drawn
    assert draw(data, "png").startswith(b"\x89PNG")
    bare = draw(found(("wire=0", "wire=2"), labels=False), "svg").decode()
    # Beside itself the integer rung is a line at 0 that says nothing.
    assert "spikes unlike the integer rung" in bare and ">integer rung<" not in bare


def gaps(*words: str) -> Found:
    """Chips whose gaps are 0.44, 0.53, 0.62 of each combination."""
    study = make_study(*((word,) for word in words), macro="crossbar-ideal", gap=Gap(0.5))
    if len(words) == 1:
        study = replace(study, varied=())
    results = [
        Result(study.point(c, chip), (("gap", 0.35 + 0.09 * chip), ("orders", 40.0), ("sure", 1.0)))
        for c in study.combinations
        for chip in study.chips
    ]
    return found_in(study, {r.point.digest: r for r in results})


def test_gaps_are_a_distribution_or_stand_against_what_varies() -> None:
    pytest.importorskip("matplotlib")
    alone = draw(gaps("wire=0"), "svg").decode()
    assert draw(gaps("wire=0"), "svg").decode() == alone
    assert "3 chips, 2 work" in alone and "gap of 0.5" in alone and "chips (%)" in alone
    varied = draw(gaps("wire=0", "wire=2"), "svg").decode()
    assert "(ohm a segment)" in varied and "gap of 0.5" in varied and "integer rung" not in varied
    assert [y for _, y in _panel(gaps("wire=0", "wire=2"), "wire", "gap").lines[0].points] == [
        pytest.approx((0.44, 0.53, 0.62))
    ] * 2
