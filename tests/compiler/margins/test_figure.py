"""The figure of a study: a bar for each group, a grid for each pair."""

from __future__ import annotations

from dataclasses import replace

from spikec.compiler.backend import Gap
from spikec.compiler.explore.point import Point, Result
from spikec.compiler.margins.figure import draw
from spikec.compiler.margins.study import Axis, Corners, FoundMargins

from .conftest import CORNERS, make_study

HEAT = Corners(Axis("bias", (0.9, 1.0)), Axis("temperature", (0.0, 4.2)))


def found(gap: Gap | None = None) -> FoundMargins:
    """Made-up results; one corner is not known."""
    study = make_study(corners=(CORNERS, HEAT))
    study = replace(study, job=replace(study.job, gap=gap))
    results = []
    for k, title in enumerate(study.elements):
        values = (("low", -0.1 * (k + 1)), ("high", 0.2), ("open_low", 0.0), ("open_high", 1.0))
        results.append(Result(Point((("margin", title),)), values))
    for row in CORNERS.points[:1]:
        results += [
            Result(p, ((study.job.measure, s),)) for p, s in zip(row, (0.0, 0.5, 1.0), strict=True)
        ]
    return FoundMargins(study, {r.point.digest: r for r in results})


def test_titles_of_bars_and_axes() -> None:
    svg = draw(found(), "svg")
    assert svg == draw(found(), "svg")
    for title in (b"inductances", b"bias, times nominal", b"areas, times nominal"):
        assert title in svg
    assert b"temperature (K)" in svg and b"off the nominal value, %" in svg
    assert draw(found(), "png").startswith(b"\x89PNG")


def test_a_gap_has_labels_of_its_own() -> None:
    svg = draw(found(Gap(0.4)), "svg")
    assert b"gap 0.4 or more" in svg and b"all samples right" not in svg
    # A gap of a half is right here, and not there.
    assert svg.count(b"#0072b3") == draw(found(Gap(0.6)), "svg").count(b"#0072b3") + 1
