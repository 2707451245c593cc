"""Distances, links and orders of the routers of a machine, in a form that kernels can use."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from math import prod
from typing import Any, Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from ...boards.machine import STEPS, Machine

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]

# How the distance of two routers is found.
MESH, TORUS, TRIADS, WRAPPED_TRIADS, RING, TREE, TABLE = range(7)
# The cost of a way that does not exist; sums of two stay within int32.
FAR: Final = 1 << 29
# A cost of a hop between chips that is no whole number becomes a fraction with at most this.
LARGEST_UNIT: Final = 16
# With more nodes distances are computed each time, where there is a formula.
LARGEST_TABLE: Final = 2048
DEEPEST: Final = 12
# Which links a way back to its origin prefers: y before x, so the way there goes x before y. On
# triads the diagonal comes last and so is gone first.
BACKWARD: Final = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1))


class Form(NamedTuple):
    """What a distance depends on, in numbers only: kernels pass it on without counting references.

    A hop within a chip costs ``unit``, and ``extra_x`` or ``extra_y`` more where it leaves its chip
    in that direction. ``levels`` are the first numbers of each level of a tree, the leaves' first,
    and ``fan`` how many of a level share a parent.
    """

    kind: int
    nodes: int
    width: int
    height: int
    chip_width: int
    chip_height: int
    columns: int
    rows: int
    unit: int
    extra_x: int
    extra_y: int
    levels: tuple[int, ...]
    fan: tuple[int, ...]


class Geometry(NamedTuple):
    """Routers, links and what hops cost; every cost is in hops divided by ``form.unit``.

    ``form.nodes`` counts routers and, behind them, the switches of a tree: those just above the
    leaves first, the root last. The links into the node v are ``source[k] -> v`` of cost
    ``cost[k]`` for k from ``ptr[v]`` to ``ptr[v + 1]``, in the order in which a way back prefers
    them. ``table`` (nodes, nodes) holds all distances, or nothing where that would be too much.
    """

    form: Form
    ptr: Integers
    source: Ids
    cost: Integers
    table: Ids


@lru_cache(maxsize=8)
def geometry(machine: Machine) -> Geometry:
    """The geometry of a machine, made once for each; nobody may write to its arrays.

    Where routers are absent, or hops between chips weigh more on triads or a ring, distances come
    from Dijkstra's algorithm and take 4 bytes a pair of routers; else from a formula.

    Raises ``ValueError`` where the arity of a tree does not give its leaves or is too long.
    """
    width, height = machine.grid
    ratio = Fraction(1)
    if machine.chip_link is not None:
        ratio = Fraction(machine.chip_link.value).limit_denominator(LARGEST_UNIT)
    unit = ratio.denominator
    extra = ratio.numerator - unit
    levels, fan = _levels(machine)
    nodes = int(levels[-1])
    origin, end, cost = _links(machine, levels, fan, unit, extra)
    order = np.argsort(end, kind="stable")
    kind = {"mesh": MESH, "torus": TORUS, "triads": TRIADS, "ring": RING, "tree": TREE}[
        machine.topology
    ]
    if machine.wraps:
        kind = {MESH: TORUS, TRIADS: WRAPPED_TRIADS}.get(kind, kind)
    uneven = extra != 0 and prod(machine.chips) > 1
    if machine.absent or (uneven and kind in (TRIADS, WRAPPED_TRIADS, RING)):
        kind = TABLE
    padding = (0,) * (DEEPEST - fan.size)
    form = Form(
        kind=kind,
        nodes=nodes,
        width=width,
        height=height,
        chip_width=machine.routers[0],
        chip_height=machine.routers[1],
        columns=machine.chips[0],
        rows=machine.chips[1],
        unit=unit,
        # A link that wraps around within the only chip of a direction does not leave it.
        extra_x=extra if machine.chips[0] > 1 else 0,
        extra_y=extra if machine.chips[1] > 1 else 0,
        levels=(*levels.tolist(), *padding),
        fan=(*fan.tolist(), *padding),
    )
    if kind == TABLE:
        reach = dijkstra(csr_array((cost, (origin, end)), shape=(nodes, nodes)))
        table = np.where(np.isfinite(reach), reach, FAR).astype(np.int32)
    elif nodes <= LARGEST_TABLE:
        table = distances(form, np.zeros((0, 0), np.int32), np.arange(nodes))
    else:
        table = np.zeros((0, 0), np.int32)
    return Geometry(
        form=form,
        ptr=np.concatenate([[0], np.cumsum(np.bincount(end, minlength=nodes))]).astype(np.int64),
        source=origin[order].astype(np.int32),
        cost=cost[order].astype(np.int64),
        table=table,
    )


def _levels(machine: Machine) -> tuple[Integers, Integers]:
    """First numbers of the levels of a tree, the number of nodes last, and children per level."""
    routers = machine.router_count
    if machine.topology != "tree":
        return np.array([0, routers], np.int64), np.zeros(0, np.int64)
    if prod(machine.arity) != routers or len(machine.arity) > DEEPEST - 2:
        raise ValueError(f"a tree of arity {machine.arity} does not have {routers} leaves")
    sizes = [routers]
    for children in reversed(machine.arity):
        sizes.append(sizes[-1] // children)
    return (
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        np.array(machine.arity[::-1], np.int64),
    )


def _links(
    machine: Machine, levels: Integers, fan: Integers, unit: int, extra: int
) -> tuple[Integers, Integers, Integers]:
    """Start, end and cost of every link, those into one node in the order of preference."""
    if machine.topology == "tree":
        child = np.arange(levels[-1] - 1)
        parent = np.concatenate(
            [
                levels[i + 1] + np.arange(levels[i + 1] - levels[i]) // fan[i]
                for i in range(fan.size)
            ]
            or [child]
        )
        up, down = np.concatenate([child, parent]), np.concatenate([parent, child])
        return up, down, np.full(up.size, unit, np.int64)
    width, height = machine.grid
    number = np.arange(machine.router_count)
    if machine.topology == "ring":
        starts, ends = [(number - 1) % number.size], [number]
    else:
        steps = [step for step in BACKWARD if step in STEPS[machine.topology]]
        starts, ends = [], []
        for dx, dy in steps:
            x, y = number % width - dx, number // width - dy
            inside = np.ones(number.size, bool)
            if not machine.cyclic:
                inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            starts.append(((y % height) * width + x % width)[inside])
            ends.append(number[inside])
    start, end = np.concatenate(starts), np.concatenate(ends)
    present = np.ones(number.size, bool)
    present[[py * width + px for px, py in machine.absent]] = False
    # On a torus two or one wide several steps lead to the same router: one link each.
    _, first = np.unique(end * number.size + start, return_index=True)
    keep = np.zeros(start.size, bool)
    keep[first] = True
    keep &= present[start] & present[end] & (start != end)
    start, end = start[keep], end[keep]
    chip = (number % width) // machine.routers[0] + machine.chips[0] * (
        number // width // machine.routers[1]
    )
    return start, end, unit + extra * (chip[start] != chip[end]).astype(np.int64)


@numba.njit(cache=True)
def distances(f: Any, table: Any, nodes: Any) -> Any:
    """The distances `apart` of all pairs of the given nodes, from row to column (n, n)."""
    out = np.empty((nodes.size, nodes.size), np.int32)
    for i in range(nodes.size):
        for j in range(nodes.size):
            out[i, j] = apart(f, table, nodes[i], nodes[j])
    return out


@numba.njit(cache=True, inline="always")
def apart(f: Any, table: Any, a: Any, b: Any) -> Any:
    """`hops`, read from the table of a `Geometry` where it has one."""
    return np.int64(table[a, b]) if table.size else hops(f, a, b)


@numba.njit(cache=True)
def hops(f: Any, a: Any, b: Any) -> Any:
    r"""The cost of the cheapest way from node a to node b, in hops divided by ``f.unit``.

    With :math:`(\Delta x, \Delta y)` = b - a, on a mesh :math:`|\Delta x| + |\Delta y|`; on a torus
    each axis the shorter way round; on triads, whose links are (1, 0), (1, 1), (0, 1) and back,
    :math:`\max(|\Delta x|, |\Delta y|, |\Delta x - \Delta y|)`, the least over the ways round; on a
    ring, whose links lead one way, :math:`(b - a) \bmod n`; on a tree twice the levels up to the
    common switch, for leaves. Hops between chips cost more, see `Form`.
    """
    if f.kind == RING:
        return f.unit * ((np.int64(b) - np.int64(a)) % f.nodes)
    if f.kind == TREE:
        return f.unit * _up_and_down(f, np.int64(a), np.int64(b))
    a, b = np.uint32(a), np.uint32(b)
    width = np.uint32(f.width)
    ax, ay = np.int64(a % width), np.int64(a // width)
    bx, by = np.int64(b % width), np.int64(b // width)
    if f.kind == TRIADS:
        return f.unit * _hexagonal(bx - ax, by - ay)
    if f.kind == WRAPPED_TRIADS:
        dx = bx - ax + (f.width if bx < ax else 0)
        dy = by - ay + (f.height if by < ay else 0)
        return f.unit * min(
            _hexagonal(dx, dy),
            _hexagonal(dx - f.width, dy),
            _hexagonal(dx, dy - f.height),
            _hexagonal(dx - f.width, dy - f.height),
        )
    return _along(ax, bx, f.kind, f.width, f.chip_width, f.columns, f.unit, f.extra_x) + _along(
        ay, by, f.kind, f.height, f.chip_height, f.rows, f.unit, f.extra_y
    )


@numba.njit(cache=True, inline="always")
def _hexagonal(dx: Any, dy: Any) -> Any:
    return max(abs(dx), abs(dy), abs(dx - dy))


@numba.njit(cache=True)
def _along(
    a: Any, b: Any, kind: Any, size: Any, chip: Any, chips: Any, unit: Any, extra: Any
) -> Any:
    """Between two places of an axis, on a torus by the cheaper way round."""
    ahead = b - a
    crossed = b // chip - a // chip if extra else np.int64(0)
    if kind == MESH:
        return unit * abs(ahead) + extra * abs(crossed)
    if ahead < 0:
        ahead += size
        crossed += chips
    if ahead == 0:
        return np.int64(0)
    return min(unit * ahead + extra * crossed, unit * (size - ahead) + extra * (chips - crossed))


@numba.njit(cache=True)
def _up_and_down(f: Any, a: Any, b: Any) -> Any:
    """Links between two nodes of a tree."""
    level_a = level_b = 0
    while a >= f.levels[level_a + 1]:
        level_a += 1
    while b >= f.levels[level_b + 1]:
        level_b += 1
    a, b = a - f.levels[level_a], b - f.levels[level_b]
    links = np.int64(0)
    while level_a < level_b:
        a //= f.fan[level_a]
        level_a += 1
        links += 1
    while level_b < level_a:
        b //= f.fan[level_b]
        level_b += 1
        links += 1
    while a != b:
        a //= f.fan[level_a]
        b //= f.fan[level_a]
        level_a += 1
        links += 2
    return links


def curve(machine: Machine) -> Ids:
    """Every router once, neighbours on the machine near each other (routers,).

    The generalised Hilbert curve of each chip, turned so that it starts where that of the chip
    before ends, the chips themselves in the order of the curve. Routers of a ring and the leaves of
    a tree are in the order of their numbers, which is one already. Absent and bare routers are
    left out.
    """
    width = machine.grid[0]
    if machine.topology in ("ring", "tree"):
        routers = np.arange(machine.router_count)
    else:
        routers = _hilbert_curve(machine.chips, machine.routers) @ np.array([1, width])
    gone = [*(y * width + x for x, y in machine.absent), *machine.bare]
    return np.asarray(routers[~np.isin(routers, gone)], np.int32)


def _hilbert_curve(chips: tuple[int, int], routers: tuple[int, int]) -> Integers:
    """(x, y) of all routers."""
    corners = np.array(list(_hilbert(*chips))) * routers
    turns = _turns(*routers)
    starts, ends = np.array([t[0] for t in turns]), np.array([t[-1] for t in turns])
    # The turns with the least jumps from chip to chip, found from the first chip on.
    jumps = np.zeros(len(turns), np.int64)
    before = []
    for i in range(1, len(corners)):
        gap = starts[None] + corners[i] - ends[:, None] - corners[i - 1]
        total = jumps[:, None] + np.abs(gap).sum(axis=2)
        before.append(total.argmin(axis=0))
        jumps = total.min(axis=0)
    turn = int(jumps.argmin())
    order = [turns[turn] + corners[-1]]
    for corner, best in zip(corners[-2::-1], before[::-1], strict=True):
        turn = int(best[turn])
        order.append(turns[turn] + corner)
    return np.concatenate(order[::-1])


def _turns(columns: int, rows: int) -> list[Integers]:
    """The curve of a rectangle from each of its corners to each of the corners beside it."""
    size = np.array([columns - 1, rows - 1])
    paths = [
        np.array(list(_stretch(0, 0, (columns, 0), (0, rows)))),
        np.array(list(_stretch(0, 0, (0, rows), (columns, 0)))),
    ]
    if columns < rows:
        paths.reverse()
    return [
        np.where([flip_x, flip_y], size - path, path)
        for path in paths
        for flip_x in (False, True)
        for flip_y in (False, True)
    ]


def _hilbert(columns: int, rows: int) -> Iterator[tuple[int, int]]:
    """A way through all places of a rectangle, each step to a neighbour.

    Where both sides are odd and so no such way need exist, one step is diagonal. After J. Cerveny,
    "Generalized Hilbert space-filling curve", github.com/jakubcerveny/gilbert.
    """
    if columns >= rows:
        return _stretch(0, 0, (columns, 0), (0, rows))
    return _stretch(0, 0, (0, rows), (columns, 0))


def _stretch(
    x: int, y: int, along: tuple[int, int], across: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """The curve of the rectangle that two vectors span, from one end of ``along`` to the other."""
    (ax, ay), (bx, by) = along, across
    length, width = abs(ax + ay), abs(bx + by)
    step_a, step_b = (np.sign(ax), np.sign(ay)), (np.sign(bx), np.sign(by))
    if width == 1 or length == 1:
        dx, dy = step_a if width == 1 else step_b
        for i in range(max(length, width)):
            yield int(x + i * dx), int(y + i * dy)
        return
    half_a, half_b = (ax // 2, ay // 2), (bx // 2, by // 2)
    if 2 * length > 3 * width:
        if abs(sum(half_a)) % 2 and length > 2:  # even halves: no diagonal step between them
            half_a = (half_a[0] + step_a[0], half_a[1] + step_a[1])
        yield from _stretch(x, y, half_a, across)
        rest = (ax - half_a[0], ay - half_a[1])
        yield from _stretch(x + half_a[0], y + half_a[1], rest, across)
        return
    if abs(sum(half_b)) % 2 and width > 2:
        half_b = (half_b[0] + step_b[0], half_b[1] + step_b[1])
    yield from _stretch(x, y, half_b, half_a)
    rest = (bx - half_b[0], by - half_b[1])
    yield from _stretch(x + half_b[0], y + half_b[1], along, rest)
    yield from _stretch(
        x + (ax - step_a[0]) + (half_b[0] - step_b[0]),
        y + (ay - step_a[1]) + (half_b[1] - step_b[1]),
        (-half_b[0], -half_b[1]),
        (-(ax - half_a[0]), -(ay - half_a[1])),
    )
