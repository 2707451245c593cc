r"""Cells drawn from their decks: SVG, of what the deck has and where its last line puts the nodes.

``python -m spikec.backends.sfq.cells.drawing -o DIR`` draws all of them.

``* Drawn: a 0 0, n1 1 0`` has each node's column and row. What is between two nodes is on the line
between them, what ends at ground hangs down, and biases come from above. Each element is a group
with its name as id, and its value as title.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Final

import click
import numpy as np
import numpy.typing as npt

from ....compiler.report.style import INK, MUTED, PAPER, PHASES
from ..josephson.circuit import GROUND, CurrentSource, Element, Junction
from . import CELLS, Cell, cell, deck, value_of

Point = npt.NDArray[np.float64]

_GRID: Final = np.array([76.0, 64.0])  # px from column to column, from row to row
_HANG: Final = 50.0  # px from a node to ground
_RISE: Final = 40.0  # px from a node to where its bias begins
_EDGE: Final = np.array([40.0, 62.0])  # px around the drawing
_SHUNT: Final = 15.0  # px from a junction to its shunt
_DOWN: Final = np.array([0.0, 1.0])
_UNITS: Final = {"B": (0.1, "mA"), "R": (1.0, "ohm"), "L": (1e12, "pH"), "I": (1e6, "uA")}
# What is drawn of each kind along a line of a length from -h to h.
_COIL: Final = "a4 4 0 0 1 8 0" * 3
_PLACES: Final = re.compile(r"^\* Drawn: (.*)$", re.M)


def places(kind: str) -> dict[str, Point]:
    """Column and row of each node, as the deck says."""
    found = _PLACES.search(deck(kind))
    words = [] if found is None else [one.split() for one in found[1].split(",")]
    return {node: np.array([float(x), float(y)]) for node, x, y in words}


def drawing(kind: str) -> str:
    """The cell as SVG; the same text each time."""
    this = cell(kind)
    grid = places(kind)
    low = np.min(list(grid.values()), axis=0)
    at = {node: (xy - low) * _GRID + _EDGE for node, xy in grid.items()}
    width, height = np.max(list(at.values()), axis=0) + _EDGE
    shunts = {f"R{junction.name}" for junction in this.circuit.of(Junction)}
    body = []
    for part in this.circuit.of(Element):
        if part.name not in shunts:
            body.append(_element(this, part, at))
    nodes = {node for part in this.circuit.parts for node in part.nodes} - {GROUND, *this.ports}
    body += [
        f'<circle cx="{at[n][0]:g}" cy="{at[n][1]:g}" r="2" fill="{INK}"/>'
        for n in at
        if n in nodes
    ]
    for port in this.ports:
        others = [n for part in this.circuit.parts for n in part.nodes if port in part.nodes]
        body.append(_port(port, at[port], all(at[n][0] >= at[port][0] for n in others)))
    title = f"<title>{escape(this.name)}: {escape(this.title)}</title>"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" font-family="sans-serif" font-size="11">\n{title}\n'
        f'<rect width="{width:g}" height="{height:g}" fill="{PAPER}"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _element(this: Cell, part: Element, at: dict[str, Point]) -> str:
    """One element, and with a junction its shunt."""
    ends = [node for node in part.nodes if node != GROUND]
    ends.sort(key=lambda node: tuple(at[node]))  # from the left, so that labels are above
    start = at[ends[0]]
    if isinstance(part, CurrentSource):
        return _group(part, _bias(start), start - (12, _RISE) + (0, 4), "end")
    hangs = len(ends) == 1
    end = start + _HANG * _DOWN if hangs else at[ends[1]]
    along = (end - start) / np.linalg.norm(end - start)
    side = np.array([along[1], -along[0]])  # where shunts are: up, or right of what hangs
    middle, half = (start + end) / 2, float(np.linalg.norm(end - start)) / 2
    angle = float(np.degrees(np.arctan2(along[1], along[0])))
    turned = f'<g transform="translate({middle[0]:g} {middle[1]:g}) rotate({angle:.4g})">'
    sign, anchor = (-1.0, "end") if hangs and isinstance(part, Junction) else (1.0, "start")
    if not hangs:
        anchor, sign = "middle", -1.0 if isinstance(part, Junction) else 1.0
    label = middle + sign * side * (10 if hangs else 13) + (0, 4)
    ground = _ground(end) if hangs else ""
    out = _group(part, f"{turned}{_symbol(part, half)}</g>{ground}", label, anchor)
    if isinstance(part, Junction):
        shunt = this.circuit.part(f"R{part.name}")
        assert isinstance(shunt, Element)
        beside = middle + side * (_SHUNT + (7 if hangs else 10)) + (0, 4)
        where = "start" if hangs else "middle"
        out += "\n" + _group(shunt, f"{turned}{_shunt()}</g>", beside, where)
    return out


def _group(part: Element, shape: str, label: Point, anchor: str) -> str:
    scale, unit = _UNITS[part.letter]
    words = f"{part.name}, {value_of(part) * scale:.4g} {unit}"
    return (
        f'<g id="{escape(part.name)}"><title>{words}</title>{shape}'
        f'<text x="{label[0]:.4g}" y="{label[1]:.4g}" text-anchor="{anchor}" '
        f'fill="{INK}">{escape(part.name)}</text></g>'
    )


def _symbol(part: Element, half: float) -> str:
    """From -half to half along x: a cross, a coil or a box."""
    if isinstance(part, Junction):
        path = f"M{-half:.4g} 0H{half:.4g}M-5 -5L5 5M-5 5L5 -5"
        return f'<path d="{path}" fill="none" stroke="{PHASES[0]}" stroke-width="1.6"/>'
    if part.letter == "L":
        path = f"M{-half:.4g} 0H-12{_COIL}H{half:.4g}"
    else:
        path = f"M{-half:.4g} 0H-9M9 0H{half:.4g}M-9 -4H9V4H-9Z"
    return f'<path d="{path}" fill="none" stroke="{INK}"/>'


def _shunt() -> str:
    path = f"M-16 0V{-_SHUNT:g}H-8M8 {-_SHUNT:g}H16V0M-8 {-_SHUNT - 3:g}H8V{3 - _SHUNT:g}H-8Z"
    return f'<path d="{path}" fill="none" stroke="{MUTED}"/>'


def _bias(node: Point) -> str:
    x, y = node
    top = y - _RISE
    path = f"M{x:g} {top + 8:g}V{y:g}M{x:g} {top - 5:g}V{top + 4:g}"
    path += f"M{x - 3:g} {top:g}L{x:g} {top + 5:g}L{x + 3:g} {top:g}"
    circle = f'<circle cx="{x:g}" cy="{top:g}" r="8" fill="none" stroke="{PHASES[2]}"/>'
    return f'{circle}<path d="{path}" fill="none" stroke="{PHASES[2]}"/>'


def _ground(end: Point) -> str:
    x, y = end
    path = f"M{x - 7:g} {y:g}H{x + 7:g}M{x - 4:g} {y + 3:g}H{x + 4:g}M{x - 1:g} {y + 6:g}H{x + 1:g}"
    return f'<path d="{path}" stroke="{INK}"/>'


def _port(name: str, place: Point, left: bool) -> str:
    x, y = place
    anchor, shift = ("end", -6) if left else ("start", 6)
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="3" fill="{PAPER}" stroke="{INK}"/>'
        f'<text x="{x + shift:g}" y="{y + 4:g}" text-anchor="{anchor}" fill="{INK}">{name}</text>'
    )


@click.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True)
def main(output: Path) -> None:
    """Draw every cell into a folder."""
    output.mkdir(parents=True, exist_ok=True)
    for kind in CELLS:
        (output / f"{kind}.svg").write_text(drawing(kind), encoding="utf-8")


if __name__ == "__main__":
    main()
