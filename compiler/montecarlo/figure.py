"""What a figure of a study has: a panel for each condition that varies."""

from __future__ import annotations

from typing import Final

from ..backend import Condition
from ..report.chips import Line, Measure, Panel, plot_chips, plot_distribution
from ..report.style import Form
from .study import GAP, MEASURES, Found, Row

TITLES: Final = {
    "accuracy": "accuracy (%)",
    "differ": "spikes unlike the integer rung's (%)",
    GAP: "gap of rates",
}


def draw(found: Found, form: Form) -> bytes:
    """The figure as a file, measures below each other; the same study gives the same bytes.

    Gaps are a distribution where nothing varies.
    """
    gap = found.study.job.gap
    if gap is not None and not found.study.varied:
        (row,) = found.rows
        labels = f"{row.judged:,} chips, {row.working:,} work", f"gap of {gap.least:g}"
        values = list(row.values(GAP).values())
        return plot_distribution(TITLES[GAP], labels, values, gap.least, form=form)
    # Where there are labels both tell: chips that read alike may spike unlike.
    measures = MEASURES if found.measure == MEASURES[0] else (found.measure,)
    shown = _shown(found)
    integer = None if found.integer is None else 100 * found.integer
    if gap is not None:
        panels = tuple(_panel(found, name, GAP) for name in shown)
        wanted = f"gap of {gap.least:g}"
        return plot_chips([Measure(TITLES[GAP], gap.least, panels, wanted)], form=form)
    return plot_chips(
        [
            Measure(
                TITLES[measure],
                integer if measure == MEASURES[0] else None,
                tuple(_panel(found, name, measure) for name in shown),
            )
            for measure in measures
        ],
        form=form,
    )


def _shown(found: Found) -> list[str]:
    """What gets a panel: switches only where nothing else varies, else their lines tell."""
    every = list(found.study.varied)
    said = [c for row in found.rows for c in row.combination]
    graded = [n for n in every if any(c.name == n and c.number is not None for c in said)]
    return graded or every


def _panel(found: Found, name: str, measure: str) -> Panel:
    """Chips against one condition, a line for each combination of the others."""
    conditions: dict[str, Condition] = {}
    lines: dict[str, list[tuple[str, Row]]] = {}
    for row in found.rows:
        own = next(c for c in row.combination if c.name == name)
        others = [c for c in row.combination if c.name in found.study.varied and c is not own]
        label = ", ".join(f"{c.name.replace('_', ' ')} {c.shown}" for c in others)
        conditions.setdefault(own.text, own)
        lines.setdefault(label, []).append((own.text, row))
    said = list(conditions.values())
    logarithmic = said[0].logarithmic
    # A logarithmic axis has no 0, none has words: then values are one after the other.
    places = {c.text: c.number for c in said}
    measured = all(n is not None and (n > 0 or not logarithmic) for n in places.values())
    at = {c.text: (c.number or 0.0) if measured else float(k) for k, c in enumerate(said)}
    words = not measured or logarithmic
    return Panel(
        title=said[0].title if measured else said[0].title.partition(" (")[0],
        logarithmic=measured and logarithmic,
        ticks=tuple((at[c.text], c.shown) for c in said) if words else (),
        lines=tuple(_line(measure, label, points, at) for label, points in lines.items()),
    )


def _line(measure: str, label: str, points: list[tuple[str, Row]], at: dict[str, float]) -> Line:
    # A gap is no share.
    times = 1.0 if measure == GAP else 100.0
    values = [
        (at[text], tuple(times * v for v in row.values(measure).values())) for text, row in points
    ]
    return Line(label, tuple(sorted(point for point in values if point[1])))
