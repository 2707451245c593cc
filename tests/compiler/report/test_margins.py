"""Bars and grids of margins: which are drawn, and in which colours."""

from __future__ import annotations

from spikec.compiler.report.margins import Bar, Grid, _edges, plot_margins
from spikec.compiler.report.style import BAR, WRONG


def bars(count: int) -> list[Bar]:
    return [Bar(f"group {k}", -10.0 - k, 20.0, k == 0, False) for k in range(count)]


def test_only_the_least_of_many_are_drawn() -> None:
    svg = plot_margins(bars(60), []).decode()
    assert "group 39" in svg and "group 40" not in svg
    assert "the least 40 of 60" in svg
    assert "the least" not in plot_margins(bars(3), []).decode()


def test_all_some_and_none_have_colours_of_their_own() -> None:
    shares = ((1.0, 0.0), (1.0, float("nan")))
    grid = Grid("bias", "areas", (1.0, 1.1), (0.9, 1.0), shares)
    svg = plot_margins([], [grid]).decode()
    some = plot_margins([], [Grid("bias", "areas", (1.0, 1.1), (0.9, 1.0), ((0.5, 1), (1, 1)))])
    # Two corners and the key, one and the key; of some, all but one.
    assert svg.count(f"fill: {BAR}") == 3 and svg.count(f"fill: {WRONG}") == 2
    assert some.decode().count(f"fill: {BAR}") == 4 and some.decode().count(f"fill: {WRONG}") == 1


def test_edges_are_between_values() -> None:
    assert _edges((1.0, 2.0, 4.0)) == [0.5, 1.5, 3.0, 5.0]
    assert _edges((4.0,)) == [3.5, 4.5]
