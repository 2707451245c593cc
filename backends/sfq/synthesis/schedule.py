r"""When pulses may come in a step, and whether every cell has the time that it takes.

A window :math:`[e, l]` is where a pulse is, if it is there at all. A cell that sends on input x
makes of each window there one at its outputs,

.. math:: [e + \min_s d_{sxy} - j, \; l + \max_s d_{sxy} + j],

j its jitter, which is what pulses that are close do to each other: of a cell without a memory whose
pulses are ``CALM`` apart it is ``STEADY``, or ``LINE`` of a JTL in front of a JTL, so that long
lines keep their pulses apart. Delays were measured between JTLs: where a cell drives another one,
both are off by up to ``timing.beside`` of the first, and one that a source drives by
``timing.at_input``, to the early or to the late side, but for all pulses that take this way alike.
What two pulses share parts them by nothing. Two windows of one cell keep the least separation a
where :math:`e_2 - l_1 \ge a_{x_1 x_2}`; those of one step and of the next where :math:`T \ge l_1 +
a_{x_1 x_2} - e_2`. All delays are taken at corners, faster and slower together by a share: biases
and temperature move all cells of a chip alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import networkx as nx
import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ..cells.netlist import Instance, Netlist
from ..cells.timing import Timing, at_input, beside, timing

Floats = npt.NDArray[np.float64]
CORNERS: Final = (0.85, 1.0, 1.15)
_SLACK: Final = 1e-16
# What delays of cells without a memory differ by between pulses that are CALM apart: what a cell
# behind has stored was seen to make 0.18 ps, and with a JTL behind a JTL nothing above 0.002 ps.
STEADY: Final = {"jtl": 0.2e-12, "splitter": 0.2e-12, "merger": 0.2e-12}
LINE: Final = 0.02e-12
CALM: Final = 20e-12


class Fixed:
    """By how much pulses are early or late as every other pulse that comes the same way, in s.

    A bit stands for an end of a net, the last for those that pulses pass last.
    """

    def __init__(self, ends: Iterable[tuple[str, bool, float]]) -> None:
        self._bit, self._seconds = dict[tuple[str, bool], int](), list[float]()
        self._sums = {0: 0.0}
        for net, at_end, seconds in ends:
            if seconds:
                self._bit[net, at_end] = 1 << len(self._seconds)
                self._seconds.append(seconds)

    def ways(self, begin: str, end: str) -> int:
        """The bits of the end of one net and the beginning of the next one."""
        return self._bit.get((begin, True), 0) | self._bit.get((end, False), 0)

    def sum(self, ways: int) -> float:
        """What is fixed of so many ways, the last first."""
        if ways not in self._sums:
            total, left = 0.0, ways
            while left:
                last = left.bit_length() - 1
                total += self._seconds[last]
                left ^= 1 << last
            self._sums[ways] = total
        return self._sums[ways]


@dataclass(frozen=True, eq=False)
class Window:
    """Where a pulse is, in s from the start of a step: from ``early`` to ``late``.

    ``origin`` is the window of the pulse that it was a cell before, ``depth`` how many there are.
    ``ways`` are those of ``fixed`` that it came by. ``jump`` is a window further before, at a
    distance that grows with the depth: with it the last window that two pulses share is found in
    steps that are few as the logarithm of the depth.
    """

    early: float
    late: float
    origin: Window | None = None
    depth: int = 0
    ways: int = 0
    fixed: Fixed | None = None
    jump: Window | None = None

    def moved(self, early: float, late: float, ways: int = 0, fixed: Fixed | None = None) -> Window:
        """The pulse behind a cell that takes from ``early`` to ``late`` s by ``ways`` besides."""
        more = fixed.sum(ways) if fixed is not None else 0.0
        bounds = self.early + early - more, self.late + late + more
        jump = self.jump
        # Of two jumps that are as long one is made, so that lengths are 1, 3, 7, 15, ...
        past = None if jump is None else jump.jump
        if jump is None or past is None or self.depth - jump.depth != jump.depth - past.depth:
            past = self
        return Window(*bounds, self, self.depth + 1, self.ways | ways, fixed, past)

    def beside(self, other: Window) -> tuple[tuple[float, float], tuple[float, float]]:
        """Both windows, in s behind the last place where the two were one pulse, if they were.

        What that pulse was early or late by does not part them, and neither does what is fixed of
        ways that both take.
        """
        a = self._common(other)
        early, late = (0.0, 0.0) if a is None else (a.early, a.late)
        shared = self.fixed_with(other, a)
        return (
            (self.early - early + shared, self.late - late - shared),
            (other.early - early + shared, other.late - late - shared),
        )

    def fixed_with(self, other: Window, behind: Window | None = None) -> float:
        """What is fixed of ways that both took, in s, ``behind`` a window of both."""
        both = self.ways & other.ways & ~(0 if behind is None else behind.ways)
        return self.fixed.sum(both) if self.fixed is not None else 0.0

    def shared(self, other: Window) -> int:
        """How many cells had been passed where the two were one pulse last, -1 if never."""
        common = self._common(other)
        return -1 if common is None else common.depth

    def _common(self, other: Window) -> Window | None:
        a, b = (self, other) if self.depth >= other.depth else (other, self)
        while a.depth > b.depth:
            assert a.origin is not None and a.jump is not None
            a = a.jump if a.jump.depth >= b.depth else a.origin
        while a is not b:
            if a.origin is None or b.origin is None or a.jump is None or b.jump is None:
                return None
            a, b = (a.origin, b.origin) if a.jump is b.jump else (a.jump, b.jump)
        return a


Windows = Mapping[str, tuple[Window, ...]]


@dataclass(frozen=True)
class Order:
    """What a neuron relies on: pulses of a step at ``first`` come before those at ``second``.

    With ``own`` a pulse at ``second`` has one of its own at ``first``, with which it was one pulse
    latest, and comes behind it and before the next at ``first``; pulses at ``second`` that were
    never one with any at ``first`` are free.
    """

    instance: str
    first: str
    second: str
    own: bool = False


@dataclass(frozen=True)
class Tight:
    """Two pulses of a cell that are not sure to keep their separation: ``lacks`` s of it."""

    instance: str
    kind: str
    first: str
    second: str
    lacks: float

    def __str__(self) -> str:
        return (
            f"pulses at '{self.first}' and '{self.second}' of the {self.kind} '{self.instance}' "
            f"lack {self.lacks * 1e12:.1f} ps"
        )


@dataclass(frozen=True, slots=True)
class Bound:
    """The least time in s that the separation of two pulses of a cell allows.

    The pulse of ``other``, at the input ``second``, has to be ``apart`` s behind that of
    ``window``, at the input ``first``.
    """

    least: float
    instance: Instance
    first: int
    second: int
    apart: float
    window: Window
    other: Window


class Schedule:
    """Windows of a netlist at one corner; E1431 for a loop in which no cell waits for a clock."""

    def __init__(
        self, netlist: Netlist, corner: float = 1.0, timings: Mapping[str, Timing] | None = None
    ) -> None:
        self.netlist, self.corner = netlist, corner
        kinds = {i.kind for i in netlist.instances}
        self._timing = {kind: (timings or {}).get(kind) or timing(kind) for kind in kinds}
        self._order = in_order(netlist)
        self._shift = {kind: self._moves(kind) for kind in kinds}
        loads = {i.nets[port]: i.kind for i in netlist.instances for port in i.cell.inputs}
        drivers = {i.nets[port]: i.kind for i in netlist.instances for port in i.cell.outputs}
        self._line = {
            i.name
            for i in netlist.instances
            if i.kind == loads.get(i.nets[i.cell.outputs[0]]) == "jtl"
        }
        # By net: what the cell that drives it and the one that takes it are off by.
        off = {net: _off(drivers.get(net), load) for net, load in loads.items()}
        self._fixed = Fixed(
            (net, at_end, off.get(net, 0.0))
            for i in self._order
            for at_end, ports in ((False, i.cell.outputs), (True, i.cell.inputs))
            for net in (i.nets[port] for port in ports)
        )

    def _moves(self, kind: str) -> list[tuple[int, int, float, float]]:
        """Input, output, and the least and most that it takes on the way, without jitter."""
        machine = next(i.cell.released for i in self.netlist.instances if i.kind == kind)
        assert machine is not None
        known, out = self._timing[kind], []
        for x in range(machine.sends.shape[1]):
            for y in range(machine.sends.shape[2]):
                sends = machine.sends[:, x, y]
                if sends.any():
                    delay = known.delay[sends, x, y] * self.corner
                    out.append((x, y, float(delay.min()), float(delay.max())))
        return out

    def _calm(self, instance: Instance, windows: Mapping[str, Sequence[Window]]) -> bool:
        """Whether a cell without a memory has all pulses of a step as far apart as `CALM`."""
        if instance.kind not in STEADY:
            return False
        there = (w for port in instance.cell.inputs for w in windows.get(instance.nets[port], ()))
        ordered = sorted(there, key=lambda w: w.early)
        return all(
            b.early - a.late >= CALM or _late(a, b)[1] <= -CALM for a, b in pairwise(ordered)
        )

    def _jitter(self, instance: Instance, windows: Mapping[str, Sequence[Window]]) -> float:
        """How far the delay of a cell may be from its table's, in s, either way."""
        if self._calm(instance, windows):
            return LINE if instance.name in self._line else STEADY[instance.kind]
        return self._timing[instance.kind].jitter

    def _apart(self, instance: Instance, windows: Windows) -> Floats:
        """The least separations of a cell from step to step, (inputs, inputs) in s."""
        apart = self._timing[instance.kind].apart * self.corner
        return np.asarray(np.maximum(apart, CALM) if self._calm(instance, windows) else apart)

    def windows(self, stimuli: Windows) -> dict[str, tuple[Window, ...]]:
        """Windows of all nets for those of the inputs; nets that no pulse reaches have none."""
        found: dict[str, list[Window]] = {net: list(w) for net, w in stimuli.items()}
        for i in self._order:
            ports = i.cell.inputs, i.cell.outputs
            jitter = self._jitter(i, found)
            for x, y, early, late in self._shift[i.kind]:
                there = found.get(i.nets[ports[0][x]], ())
                ahead, net = i.nets[ports[0][x]], i.nets[ports[1][y]]
                ways = self._fixed.ways(ahead, net)
                out = found.setdefault(net, [])
                out += [w.moved(early - jitter, late + jitter, ways, self._fixed) for w in there]
        return {net: tuple(w) for net, w in found.items()}

    def tight(self, windows: Windows, worst: bool = False) -> list[Tight]:
        """Pairs of pulses of one step that may come too close, the worst first.

        With ``worst`` it is among them, and those that cannot be it are left out, which is faster.
        """
        out, least = list[Tight](), _SLACK
        for i, x1, x2, w1, w2, apart in self._pairs(windows):
            # What two pulses share only brings them further apart.
            lacks = _lacks((w1.early, w1.late), (w2.early, w2.late), apart[x1][x2], apart[x2][x1])
            if lacks > least:
                lacks = _lacks(*w1.beside(w2), apart[x1][x2], apart[x2][x1])
            if lacks > least:
                least = lacks if worst else least
                out.append(Tight(i.name, i.kind, i.cell.inputs[x1], i.cell.inputs[x2], lacks))
        return sorted(out, key=lambda tight: -tight.lacks)

    def disordered(
        self, windows: Windows, orders: Iterable[Order], worst: bool = False
    ) -> list[Tight]:
        """Pairs of pulses of one step that are not sure to come in order; ``worst`` as `tight`."""
        by_name = {i.name: i for i in self.netlist.instances}
        out, least = list[Tight](), 0.0
        for order in orders:
            i = by_name[order.instance]
            firsts = windows.get(i.nets[order.first], ())
            for second in windows.get(i.nets[order.second], ()):
                before, behind = firsts, list[Window]()
                if order.own:
                    own = max(firsts, key=second.shared, default=None)
                    if own is None or second.shared(own) < 0:
                        continue
                    before = (own,)
                    behind = [w for w in firsts if w is not own and w.early > own.early]
                for w1, w2 in [(w, second) for w in before] + [(second, w) for w in behind]:
                    if w1.late - w2.early <= least:
                        continue
                    lacks = min(_late(w1, w2))
                    if lacks > least:
                        least = lacks if worst else least
                        ports = (order.first, order.second) if w2 is second else (
                            order.second, order.first)  # fmt: skip
                        out.append(Tight(i.name, i.kind, *ports, lacks))
        return sorted(out, key=lambda tight: -tight.lacks)

    def period(self, windows: Windows) -> float:
        """The least time from a step to the next that keeps all separations between them, in s."""
        return max([0.0, *(bound.least for bound in self.between(windows))])

    def between(self, windows: Windows) -> Iterable[Bound]:
        """What keeps a step from following another at once: all pairs of inputs of all cells."""
        for i in self.netlist.instances:
            apart = self._apart(i, windows)
            there = [windows.get(i.nets[port], ()) for port in i.cell.inputs]
            for x1, one in enumerate(there):
                for x2, two in enumerate(there):
                    if one and two:
                        late, early = _nearest(one, two)
                        wanted = float(apart[x1, x2])
                        least = late.late + wanted - early.early - 2 * late.fixed_with(early)
                        yield Bound(least, i, x1, x2, wanted, late, early)

    def after(self, windows: Windows, tree: Windows) -> float:
        """The least time of pulses that come behind all of ``windows``.

        ``tree`` are the windows of these alone, at time 0: in every cell that they reach they have
        to keep their separation from what has been there.
        """
        return max([0.0, *(bound.least for bound in self.behind(windows, tree))])

    def behind(self, windows: Windows, tree: Windows) -> Iterable[Bound]:
        """What keeps the pulse of `after` from coming at once."""
        for i in self.netlist.instances:
            apart = self._timing[i.kind].apart * self.corner
            for x2, port in enumerate(i.cell.inputs):
                for own in tree.get(i.nets[port], ()):
                    for x1, other in enumerate(i.cell.inputs):
                        for w in windows.get(i.nets[other], ()):
                            wanted = float(apart[x1, x2])
                            yield Bound(w.late + wanted - own.early, i, x1, x2, wanted, w, own)

    def _pairs(
        self, windows: Windows
    ) -> Iterable[tuple[Instance, int, int, Window, Window, list[list[float]]]]:
        for i in self.netlist.instances:
            apart = (self._timing[i.kind].apart * self.corner).tolist()
            every = [
                (x, w) for x, p in enumerate(i.cell.inputs) for w in windows.get(i.nets[p], ())
            ]
            every.sort(key=lambda one: one[1].early)
            most, latest = max(map(max, apart)), -np.inf
            for k, (x2, w2) in enumerate(every):
                # Behind all that came before there is nothing to look at.
                if w2.early - latest < most:
                    for x1, w1 in every[:k]:
                        yield i, x1, x2, w1, w2, apart
                latest = max(latest, w2.late)


def _off(driver: str | None, load: str) -> float:
    """What delays are off by at a net between two kinds of cells, or behind a source, in s."""
    if driver is None:
        return at_input(load)
    return 0.0 if "jtl" in (driver, load) else beside(driver)


def _nearest(ahead: Sequence[Window], behind: Sequence[Window]) -> tuple[Window, Window]:
    """Of pulses of a step and of the next the two that come closest."""
    first = max(ahead, key=lambda w: w.late)
    second = min(behind, key=lambda w: w.early)
    least = first.late - second.early - 2 * first.fixed_with(second)
    near = [
        (a.late - b.early - 2 * a.fixed_with(b), a, b)
        for a in ahead
        for b in behind
        if a.late - b.early >= least
    ]
    return max(near, key=lambda one: one[0])[1:]


def _late(first: Window, second: Window) -> tuple[float, float]:
    """By how much the first may be behind the second, alone and beside what they share, in s."""
    one, two = first.beside(second)
    return first.late - second.early, one[1] - two[0]


def _lacks(one: tuple[float, float], two: tuple[float, float], forth: float, back: float) -> float:
    """What two windows lack of ``forth`` if the first is before the second, else of ``back``."""
    if one[1] <= two[0]:
        return forth - (two[0] - one[1])
    if two[1] <= one[0]:
        return back - (one[0] - two[1])
    return max(forth, back) + min(one[1], two[1]) - max(one[0], two[0])


def in_order(netlist: Netlist) -> Sequence[Instance]:
    """Instances so that each comes behind those whose pulses it passes on at once.

    E1431 for a loop in which no cell waits for a clock.
    """
    driver = {i.nets[port]: i for i in netlist.instances for port in i.cell.outputs}
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(i.name for i in netlist.instances)
    for i in netlist.instances:
        machine = i.cell.released
        assert machine is not None
        passes = np.any(machine.sends, axis=(0, 2)).tolist()
        for x, port in enumerate(i.cell.inputs):
            if passes[x] and i.nets[port] in driver:
                graph.add_edge(driver[i.nets[port]].name, i.name)
    by_name = {i.name: i for i in netlist.instances}
    try:
        return [by_name[name] for name in nx.topological_sort(graph)]
    except nx.NetworkXUnfeasible:
        loop = " -> ".join(edge[0] for edge in nx.find_cycle(graph))
        raise fail(
            "E1431",
            f"the cells {loop} feed themselves",
            hint="put a dff into the loop: it waits for a clock",
        ) from None
