r"""Circuits of cells as machines with delays: pulse after pulse, without a circuit simulator.

A pulse that reaches input x of a cell in state s at time t leaves its outputs at
:math:`t + d_{sxy}`, and the cell is in state :math:`\mathrm{next}_{sx}`. This is what the circuit
does as long as pulses keep the least separations of ``timing.Timing``. One that does not is a
`Violation`: from there on a run says what the machine would do, not what the circuit does.

A synapse sends with its probability p, where :math:`u < p`. The u of its n-th pulse is a word of
the run's seed, of the synapse's place in the netlist and of n alone: whatever else there is, and in
which order, it is the same.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ....ir.records import Record
from ..cells.chance import passes
from ..cells.netlist import Netlist
from ..cells.timing import Timing, timing

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
# Pulses on their way at once, for each net, beyond which a loop makes more of each.
_CROWD: Final = 64
# Of separations: what rounding makes of a pulse that is just in time.
_SLACK: Final = 1e-18
_DROPS: Final = 1


@dataclass(frozen=True)
class Violation:
    """Two pulses of one cell that came closer than it stands: ``apart`` s instead of ``limit``."""

    instance: str
    kind: str
    first: str
    second: str
    time: float
    apart: float
    limit: float

    def __str__(self) -> str:
        return (
            f"at {self.time * 1e12:.2f} ps a pulse at '{self.second}' of the {self.kind} "
            f"'{self.instance}' is {self.apart * 1e12:.2f} ps behind one at '{self.first}'; "
            f"it takes {self.limit * 1e12:.2f} ps"
        )


@dataclass(frozen=True, eq=False)
class Events(Record):
    """All pulses in the order of time: ``time`` in s, and ``net`` the place of its net in ``nets``.

    ``state`` is that of the cell at the net's end when the pulse comes, -1 where there is none; of
    a synapse 0 for a pulse that it passes, 1 for one that it drops.
    ``violations`` are in the order of time, too.
    """

    nets: tuple[str, ...]
    net: Integers
    time: Floats
    state: Integers
    violations: tuple[Violation, ...]

    def of(self, net: str) -> Floats:
        """Times of the pulses on a net; E1421 for a net that is none."""
        if net not in self.nets:
            raise fail("E1421", f"no net has the name '{net}'")
        return np.asarray(self.time[self.net == self.nets.index(net)])

    def parts(self) -> dict[str, Floats]:
        """The same of all nets at once."""
        order = np.argsort(self.net, kind="stable")
        edges = np.searchsorted(self.net[order], np.arange(1, len(self.nets)))
        return dict(zip(self.nets, np.split(self.time[order], edges), strict=False))


class Machines:
    """A netlist, made ready to be run many times; E1423 for a cell without machine or timing."""

    def __init__(self, netlist: Netlist, timings: Mapping[str, Timing] | None = None) -> None:
        self.netlist = netlist
        kinds = sorted({i.kind for i in netlist.instances})
        known = {kind: (timings or {}).get(kind) or timing(kind) for kind in kinds}
        every = [i.nets[port] for i in netlist.instances for port in i.cell.ports]
        self.nets = tuple(dict.fromkeys(every))
        place = {net: k for k, net in enumerate(self.nets)}
        machines = {i.kind: i.cell.released for i in netlist.instances}
        tables = [m for m in (machines[kind] for kind in kinds) if m is not None]
        if len(tables) < len(kinds):
            missing = next(kind for kind in kinds if machines[kind] is None)
            raise fail("E1423", f"the cell '{missing}' is no machine")
        shape = np.array([m.sends.shape for m in tables] or [(1, 1, 1)]).max(axis=0)
        states, inputs, outputs = (int(n) for n in shape)
        self._next = np.zeros((len(kinds), states, inputs), np.int64)
        self._sends = np.zeros((len(kinds), states, inputs, outputs), np.bool_)
        self._delay = np.zeros((len(kinds), states, inputs, outputs))
        self._apart = np.zeros((len(kinds), inputs, inputs))
        for k, (kind, machine) in enumerate(zip(kinds, tables, strict=True)):
            s, x, y = machine.sends.shape
            self._next[k, :s, :x] = machine.next
            self._sends[k, :s, :x, :y] = machine.sends
            self._delay[k, :s, :x, :y] = np.nan_to_num(known[kind].delay)
            self._apart[k, :x, :x] = known[kind].apart
        self._kind = np.array([kinds.index(i.kind) for i in netlist.instances], np.int64)
        self._sent = np.full((len(netlist.instances), outputs), -1, np.int64)
        self._load = np.full((len(self.nets), 2), -1, np.int64)
        for n, i in enumerate(netlist.instances):
            for y, port in enumerate(i.cell.outputs):
                self._sent[n, y] = place[i.nets[port]]
            for x, port in enumerate(i.cell.inputs):
                self._load[place[i.nets[port]]] = n, x
        self._place = place
        self._odds = np.array([passes(i.kind, i.factors) for i in netlist.instances])

    def run(
        self,
        stimuli: Mapping[str, Iterable[float]],
        seed: int = 0,
        restarts: Iterable[float] = (),
    ) -> Events:
        """The pulses that those on input nets lead to, ``stimuli`` in s by the name of the net.

        What synapses let pass is of ``seed``. At ``restarts``, which rise, all cells are at rest
        again: what was on its way goes on until it is over, and meets nothing that comes later.
        E1422 for a net that is no input, E1430 where a loop goes on without end.
        """
        for name in stimuli:
            if name not in self.netlist.inputs:
                raise fail("E1422", f"the net '{name}' is no input")
        found_t, found_n, found_s, wrong_i, wrong_t = self._kernel(
            stimuli, self._sent, self._load, seed, restarts
        )
        if found_n.size and found_n[-1] < 0:
            after = f"{found_t[-1] * 1e12:.0f} ps after the start, {len(found_t) - 1:,} pulses on,"
            raise fail(
                "E1430",
                f"{after} there is no end in sight: a loop of cells feeds itself",
                hint="a loop needs a cell with a clock in it",
            )
        return Events(self.nets, found_n, found_t, found_s, self._violations(wrong_i, wrong_t))

    def alone(self, pulses: Mapping[str, Iterable[float]]) -> Events:
        """What each cell sends of the pulses that came to it, s by net: none goes on from there.

        ``violations`` are where they are closer than a cell stands. Synapses send by chance.
        """
        count = len(self.nets)
        # What is sent is on nets of its own, which no cell takes.
        sent = np.where(self._sent < 0, -1, self._sent + count)
        load = np.concatenate([self._load, np.full_like(self._load, -1)])
        time, net, state, wrong_i, wrong_t = self._kernel(pulses, sent, load, 0)
        new = net >= count
        return Events(
            self.nets, net[new] - count, time[new], state[new], self._violations(wrong_i, wrong_t)
        )

    def _kernel(
        self,
        pulses: Mapping[str, Iterable[float]],
        sent: Integers,
        load: Integers,
        seed: int,
        restarts: Iterable[float] = (),
    ) -> Any:
        times = [np.asarray(list(when), np.float64) for when in pulses.values()]
        places = [self._place[name] for name in pulses]
        time = np.concatenate([*times, np.zeros(0)])
        net = np.repeat(np.array(places, np.int64), [at.size for at in times])
        order = np.lexsort((net, time))
        time, net = time[order], net[order]
        parts = np.searchsorted(time, [-np.inf, *restarts, np.inf])
        return _run(
            time, net, parts, self._kind, self._next, self._sends, self._delay, self._apart,
            sent, load, _CROWD, self._odds, np.uint64(seed),
        )  # fmt: skip

    def _violations(self, places: Integers, times: Floats) -> tuple[Violation, ...]:
        found = []
        for (n, first, second), (time, apart) in zip(places.tolist(), times.tolist(), strict=True):
            i = self.netlist.instances[n]
            limit = float(self._apart[self._kind[n], first, second])
            names = i.cell.inputs[first], i.cell.inputs[second]
            found.append(Violation(i.name, i.kind, *names, time, apart, limit))
        return tuple(found)


@numba.njit(cache=True)
def _chance(seed: Any, place: Any, count: Any) -> Any:
    """A number from 0 to 1 of three words: Steele's splitmix64 of each and what was before."""
    word = seed
    for part in (np.uint64(place), np.uint64(count)):
        word = (word ^ part) + np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        word ^= word >> np.uint64(31)
    return np.float64(word >> np.uint64(11)) * 2.0**-53


@numba.njit(cache=True)
def _found(out_t: Any, out_n: Any, out_s: Any, wrong_i: Any, wrong_t: Any) -> Any:
    places = np.zeros((len(wrong_i), 3), np.int64)
    times = np.zeros((len(wrong_t), 2))
    for w in range(len(wrong_i)):
        places[w, 0], places[w, 1], places[w, 2] = wrong_i[w]
        times[w, 0], times[w, 1] = wrong_t[w]
    return np.array(out_t), np.array(out_n), np.array(out_s), places, times


@numba.njit(cache=True)
def _run(
    time: Any, net: Any, parts: Any, kind: Any, after: Any, sends: Any, delay: Any, apart: Any,
    sent: Any, load: Any, crowd: Any, odds: Any, seed: Any,
) -> Any:  # fmt: skip
    """Pulses in the order of time, of nets where it is one; each part from rest.

    The last is of no net where they do not end: more than ``crowd`` a net are on their way at once,
    or some still are when all that came in would have passed every cell.
    """
    cells, inputs, outputs = kind.size, after.shape[2], sent.shape[1]
    seen = np.zeros(cells, np.int64)
    out_t, out_n = [0.0 for _ in range(0)], [0 for _ in range(0)]
    out_s = [0 for _ in range(0)]
    wrong_i, wrong_t = [(0, 0, 0) for _ in range(0)], [(0.0, 0.0) for _ in range(0)]
    through = 0.0
    for i in range(cells):
        through += delay[kind[i]].max()
    for part in range(parts.size - 1):
        state = np.zeros(cells, np.int64)
        last = np.full((cells, inputs), -np.inf)
        queue = [(0.0, 0) for _ in range(0)]
        here, end = parts[part], parts[part + 1]
        while here < end or queue:
            if here < end and (not queue or (time[here], net[here]) <= queue[0]):
                t, n = time[here], net[here]
                here += 1
            else:
                t, n = heapq.heappop(queue)
            if len(queue) > crowd * len(load) or t > time[end - 1] + through + _SLACK:
                out_t.append(t)
                out_n.append(-1)
                out_s.append(-1)
                return _found(out_t, out_n, out_s, wrong_i, wrong_t)
            out_t.append(t)
            out_n.append(n)
            i, x = load[n]
            if i < 0:
                out_s.append(-1)
                continue
            k = kind[i]
            for first in range(inputs):
                if t - last[i, first] < apart[k, first, x] - _SLACK:
                    wrong_i.append((i, first, x))
                    wrong_t.append((t, t - last[i, first]))
            last[i, x] = t
            s = state[i]
            released = True
            if odds[i] < 1.0:
                released = _chance(seed, i, seen[i]) < odds[i]
                seen[i] += 1
            out_s.append(s if released else _DROPS)
            for y in range(outputs):
                if sends[k, s, x, y] and released:
                    heapq.heappush(queue, (t + delay[k, s, x, y], sent[i, y]))
            state[i] = after[k, s, x]
    return _found(out_t, out_n, out_s, wrong_i, wrong_t)
