"""A network drawn: populations as boxes in layers, projections as arrows between them.

Layers are the topological generations of the graph without the edges that close its loops. An
arrow to the next layer runs through the gap between the two; one that passes layers runs beside
all boxes, forward ones on the left, those that close a loop, dashed, on the right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import networkx as nx

from ...ir.graph import Graph, Input, Population
from .style import BOX, MUTED, PAPER, READ_BOX, SOURCE_BOX, clip
from .tables import ProjectionRow, model, projection_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches. The estimates of letters are DejaVu Sans's, a wide face: others need less.
_BOX_WIDTH: Final = (2.35, 3.6)  # least and most
_BOX_HEIGHT: Final = 0.62
_BESIDE: Final = 0.5
_GAP: Final = 0.55
_LINE: Final = 0.155
_LETTER: Final = 0.07
_BOLD_LETTER: Final = 0.105
_LEAST_WIDTH: Final = 10.0
_MOST_LINES: Final = 4

Point = tuple[float, float]


@dataclass
class _Box:
    name: str
    title: str
    lines: list[str]
    colour: str
    depth: int
    x: float = 0.0
    y: float = 0.0
    tops: list[_Edge] = field(default_factory=list)
    bottoms: list[_Edge] = field(default_factory=list)


@dataclass(eq=False)
class _Edge:
    """All projections from one node to another."""

    pre: _Box
    post: _Box
    lines: list[str]
    track: float | None = None

    @property
    def down(self) -> int:
        return self.post.depth - self.pre.depth

    @property
    def gap(self) -> int:
        """The gap it runs through, named by the layer above."""
        return min(self.pre.depth, self.post.depth)

    @property
    def width(self) -> float:
        return max(map(len, self.lines)) * _LETTER

    @property
    def height(self) -> float:
        return len(self.lines) * _LINE


@dataclass
class _Drawing:
    """Boxes and edges in place; ``bands`` are (top, bottom) of each layer, x grows from 0."""

    boxes: list[_Box]
    edges: list[_Edge]
    labels: list[tuple[_Edge, Point, str]]
    box_width: float
    box_heights: list[float]
    bands: list[tuple[float, float]]
    left: float
    right: float


def network_figure(graph: Graph) -> Figure:
    """The figure; matplotlib's settings are the caller's."""
    from matplotlib.figure import Figure

    drawing = _arrange(graph)
    spare = max(0.0, _LEAST_WIDTH - (drawing.right - drawing.left)) / 2
    low, high = drawing.left - spare, drawing.right + spare
    bottom = drawing.bands[-1][1] - 0.15
    figure = Figure(figsize=(high - low, -bottom))
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.set_xlim(low, high)
    axis.set_ylim(bottom, 0.0)
    axis.set_axis_off()
    for edge in drawing.edges:
        _draw_edge(axis, edge, drawing)
    for edge, place, align in drawing.labels:
        _draw_label(axis, edge, place, align)
    for box in drawing.boxes:
        _draw_box(axis, box, drawing)
    return figure


# -- layout ----------------------------------------------------------------------------------------


def _arrange(graph: Graph) -> _Drawing:
    layers = _layers(graph)
    depth = {name: k for k, layer in enumerate(layers) for name in layer}
    outputs = {output.source for output in graph.outputs}
    nodes: list[Input | Population] = [*graph.inputs, *graph.populations]
    boxes = {n.name: _box(n, depth[n.name], n.name in outputs) for n in nodes}
    edges = _edges(graph, boxes)

    letters = max(
        max(len(b.title) * _BOLD_LETTER, *(len(t) * _LETTER for t in b.lines))
        for b in boxes.values()
    )
    width = min(max(_BOX_WIDTH[0], letters + 0.3), _BOX_WIDTH[1])
    heights = [
        _BOX_HEIGHT + _LINE * (max(len(boxes[name].lines) for name in layer) - 1)
        for layer in layers
    ]
    for layer in layers:
        for k, name in enumerate(layer):
            boxes[name].x = (k - (len(layer) - 1) / 2) * (width + _BESIDE)
    for edge in edges:
        _attach(edge)
    reaches = [len(layer) * (width + _BESIDE) / 2 - _BESIDE / 2 for layer in layers]
    left, right = -max(reaches), max(reaches)
    for side, passing in ((-1, [e for e in edges if e.down > 1]), (1, _closing(edges))):
        outer = _tracks(passing, reaches, side)
        left, right = min(left, outer), max(right, outer)
    for box in boxes.values():
        box.tops.sort(key=lambda e: (_towards(e, box), e.down))
        box.bottoms.sort(key=lambda e: (_towards(e, box), e.down))
    bands, labels = _stack(layers, boxes, edges, heights, width)
    for edge in edges:
        if edge.track is not None:
            a, b = sorted((edge.pre.depth, edge.post.depth))
            middle = (bands[a + 1][0] + bands[b - 1][1]) / 2
            side = -1 if edge.down > 0 else 1
            labels.append(
                (edge, (edge.track + 0.08 * side, middle), "right" if side < 0 else "left")
            )
    for edge, (x, _), align in labels:
        before = {"left": 0.0, "right": edge.width, "center": edge.width / 2}[align]
        left, right = min(left, x - before), max(right, x - before + edge.width)
    return _Drawing(
        list(boxes.values()), edges, labels, width, heights, bands, left - 0.15, right + 0.15
    )


def _layers(graph: Graph) -> list[list[str]]:
    """Node names by depth; each layer ordered by where its predecessors stand."""
    nodes: list[Input | Population] = [*graph.inputs, *graph.populations]
    rank = {node.name: k for k, node in enumerate(nodes)}
    whole: nx.DiGraph[str] = nx.DiGraph()
    whole.add_nodes_from(rank)
    whole.add_edges_from((p.pre, p.post) for p in graph.projections)
    part = {
        name: k
        for k, members in enumerate(nx.strongly_connected_components(whole))
        for name in members
    }
    forward: nx.DiGraph[str] = nx.DiGraph()
    forward.add_nodes_from(rank)
    forward.add_edges_from(
        (a, b) for a, b in whole.edges if part[a] != part[b] or rank[a] < rank[b]
    )
    layers: list[list[str]] = []
    centre: dict[str, float] = {}
    for generation in nx.topological_generations(forward):

        def place(name: str) -> tuple[float, int]:
            before = sorted(centre[p] for p in forward.predecessors(name))
            return (sum(before) / len(before) if before else 0.0), rank[name]

        layer = sorted(generation, key=place)
        centre.update((name, k - (len(layer) - 1) / 2) for k, name in enumerate(layer))
        layers.append(layer)
    return layers


def _box(node: Input | Population, depth: int, read: bool) -> _Box:
    if isinstance(node, Input):
        what, unit, colour = "input", "lines", SOURCE_BOX
    else:
        what, unit, colour = model(node), "neurons", READ_BOX if read else BOX
    size = f"{node.size:,}"
    if len(node.shape) > 1:
        size = f"{' x '.join(map(str, node.shape))} = {size}"
    detail = f"{what} · {size} {unit}" + (" · output" if read else "")
    return _Box(node.name, clip(node.name, 30), [clip(detail, 46)], colour, depth)


def _edges(graph: Graph, boxes: dict[str, _Box]) -> list[_Edge]:
    """Projections bundled by their ends; a population's own loops become lines of its box."""
    bundles: dict[tuple[str, str], list[ProjectionRow]] = {}
    for row in projection_rows(graph):
        bundles.setdefault((row.pre, row.post), []).append(row)
    edges = []
    for (pre, post), rows in bundles.items():
        if pre == post:
            lines = [clip(f"↻ {_label(row)}", 46) for row in rows]
            boxes[pre].lines.extend(_few(lines))
            continue
        lines = [clip(_label(row), 46) for row in rows]
        edges.append(_Edge(boxes[pre], boxes[post], _few(lines)))
    return edges


def _label(row: ProjectionRow) -> str:
    text = f"{row.kind} · {row.synapses:,} synapses"
    return f"{text} · delay {row.delay}" if row.delay else text


def _few(lines: list[str]) -> list[str]:
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[: _MOST_LINES - 1], f"and {len(lines) - _MOST_LINES + 1} more projections"]


def _attach(edge: _Edge) -> None:
    if edge.down > 0:
        edge.pre.bottoms.append(edge)
        edge.post.tops.append(edge)
    elif edge.down < 0:
        edge.pre.tops.append(edge)
        edge.post.bottoms.append(edge)
    else:
        edge.pre.bottoms.append(edge)
        edge.post.bottoms.append(edge)


def _towards(edge: _Edge, box: _Box) -> float:
    """x of where an edge of this box leads to at first."""
    if edge.track is not None:
        return edge.track
    return (edge.post if edge.pre is box else edge.pre).x


def _closing(edges: Sequence[_Edge]) -> list[_Edge]:
    return [e for e in edges if e.down < -1]


def _tracks(edges: Sequence[_Edge], reaches: Sequence[float], side: int) -> float:
    """Give each edge a vertical track beside the boxes of the layers it passes.

    It keeps clear of the labels of tracks that pass a common layer. Returns the outermost end.
    """
    ends: list[tuple[int, int, float]] = []
    for edge in sorted(edges, key=lambda e: (abs(e.down), e.gap)):
        low, high = edge.gap, edge.gap + abs(edge.down)
        beyond = [reaches[layer] for layer in range(low + 1, high)]
        beyond += [end for a, b, end in ends if a < high and low < b]
        place = max(beyond) + 0.3
        edge.track = side * place
        ends.append((low, high, place + 0.15 + edge.width))
    return side * max((end for _, _, end in ends), default=0.0)


def _stack(
    layers: Sequence[Sequence[str]],
    boxes: dict[str, _Box],
    edges: Sequence[_Edge],
    heights: Sequence[float],
    width: float,
) -> tuple[list[tuple[float, float]], list[tuple[_Edge, Point, str]]]:
    """Layers from the top down, each gap as high as its labels need: (bands, labels)."""
    bands: list[tuple[float, float]] = []
    labels: list[tuple[_Edge, Point, str]] = []
    top = -0.15
    for depth, layer in enumerate(layers):
        bottom = top - heights[depth]
        bands.append((top, bottom))
        for name in layer:
            boxes[name].y = (top + bottom) / 2
        inside = [e for e in edges if e.gap == depth and abs(e.down) <= 1]
        rows = _rows(inside, width)
        used = sum(max(e.height for e in row) + 0.08 for row in rows)
        room = max(_GAP if depth < len(layers) - 1 or inside else 0.0, used + 0.36)
        if not inside and depth == len(layers) - 1:
            room = 0.0
        y = bottom - (room - used) / 2
        for row in rows:
            y -= max(e.height for e in row) / 2 + 0.04
            for edge in row:
                labels.append((edge, *_label_place(edge, y, width, len(inside))))
            y -= max(e.height for e in row) / 2 + 0.04
        if depth == len(layers) - 1 and inside:
            bands.append((bottom - room, bottom - room))
        top = bottom - room
    return bands, labels


def _rows(edges: Sequence[_Edge], width: float) -> list[list[_Edge]]:
    """Edges of a gap in rows, so that no two labels of a row meet."""
    rows: list[list[_Edge]] = []
    for edge in sorted(edges, key=lambda e: (_middle(e, width), e.pre.x)):
        for row in rows:
            last = row[-1]
            space = (last.width + edge.width) / 2 + 0.15
            if _middle(edge, width) - _middle(last, width) >= space:
                row.append(edge)
                break
        else:
            rows.append([edge])
    return rows


def _label_place(edge: _Edge, y: float, width: float, company: int) -> tuple[Point, str]:
    if company == 1 and abs(_ends(edge, width)[0] - _ends(edge, width)[1]) < 0.3:
        return (_middle(edge, width) + 0.14, y), "left"
    return (_middle(edge, width), y), "center"


def _middle(edge: _Edge, width: float) -> float:
    return sum(_ends(edge, width)) / 2


def _ends(edge: _Edge, width: float) -> tuple[float, float]:
    """x where the edge leaves and arrives."""

    def at(box: _Box, side: list[_Edge]) -> float:
        step = min(0.45, (width - 0.6) / max(len(side) - 1, 1))
        # Those of a gap share the middle of the box, so that a chain is drawn straight.
        near = [k for k, e in enumerate(side) if e.track is None] or range(len(side))
        offset = (side.index(edge) - (near[0] + near[-1]) / 2) * step
        return box.x + max(-width / 2 + 0.15, min(width / 2 - 0.15, offset))

    leaves = edge.pre.tops if edge.down < 0 else edge.pre.bottoms
    arrives = edge.post.tops if edge.down > 0 else edge.post.bottoms
    return at(edge.pre, leaves), at(edge.post, arrives)


# -- drawing ---------------------------------------------------------------------------------------


def _draw_box(axis: Axes, box: _Box, drawing: _Drawing) -> None:
    from matplotlib.patches import FancyBboxPatch

    height = drawing.box_heights[box.depth]
    axis.add_patch(
        FancyBboxPatch(
            (box.x - drawing.box_width / 2, box.y - height / 2),
            drawing.box_width,
            height,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=box.colour,
            edgecolor=MUTED,
            linewidth=1.0,
            zorder=3,
        )
    )
    middle: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 4}
    y = box.y + len(box.lines) * _LINE / 2 + 0.02
    axis.text(box.x, y, box.title, fontsize=10.5, fontweight="bold", **middle)
    for k, line in enumerate(box.lines):
        axis.text(box.x, y - 0.23 - k * _LINE, line, fontsize=8.0, **middle)


def _draw_edge(axis: Axes, edge: _Edge, drawing: _Drawing) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    x0, x1 = _ends(edge, drawing.box_width)
    bands = drawing.bands
    side = (1, 0) if edge.down >= 0 else (0, 1)  # leave below and arrive above, or the reverse
    y0 = bands[edge.pre.depth][side[0]]
    y1 = bands[edge.post.depth][side[1] if edge.down else 1]
    points: list[Point] = [(x0, y0)]
    codes = [Path.MOVETO]

    def curve(a: Point, b: Point, dip: float = 0.0) -> None:
        middle = (a[1] + b[1]) / 2 - dip
        points.extend([(a[0], middle), (b[0], middle), b])
        codes.extend([Path.CURVE4] * 3)

    if edge.track is None:
        curve((x0, y0), (x1, y1), 0.45 if edge.down == 0 else 0.0)
    else:
        turn = 1 if edge.down > 0 else -1
        first = bands[edge.pre.depth + turn][side[1]]
        last = bands[edge.post.depth - turn][side[0]]
        curve((x0, y0), (edge.track, first))
        points.append((edge.track, last))
        codes.append(Path.LINETO)
        curve((edge.track, last), (x1, y1))
    axis.add_patch(
        FancyArrowPatch(
            path=Path(points, codes),
            arrowstyle="-|>",
            mutation_scale=11,
            color=MUTED,
            linewidth=1.2,
            linestyle="-" if edge.down > 0 else "--",
            zorder=2,
        )
    )


def _draw_label(axis: Axes, edge: _Edge, place: Point, align: str) -> None:
    axis.text(
        *place,
        "\n".join(edge.lines),
        ha=align,
        va="center",
        fontsize=8.0,
        linespacing=1.25,
        zorder=4,
        bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0},
    )
