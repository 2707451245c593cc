r"""Pulse for pulse: a circuit of junctions beside the machines that say what it does.

Machines are given the pulses that the circuit saw at its inputs. On every other net they must send
as many pulses as the circuit did, and the n-th within a bound: a cell adds its jitter to the
greatest bound among the inputs it sends on,

.. math:: b_\mathrm{out} = \max_x b_x + j + \ell,

j the cell's own jitter, and :math:`\ell` what neighbours make of delays, which are measured between
JTLs: ``beside`` of ``cells/timing.json``. At an input b is what a source makes of the delay of the
cell that it drives, ``at_input``. A clocked cell sends on its clock, so that the bound begins anew
from there. Stimuli of a netlist are one batch.

Where elements are off, or resistors have noise, delays are others than those that were measured.
Then each cell is looked at by itself: of the pulses that came to it in the circuit its machine has
to send as many as it did. A pulse is the one that the machine means if it is nearer to it than to
the one before and the one behind, and no more than ``AWAY`` off. Where each cell did its part
pulses may have come in another order: a net of the whole then has more of them, or fewer. What a
synapse lets through is chance; that it sends nothing else is not.

An input net has as many pulses as its source sends: what is there besides, the cell threw back
that takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Final, TypeVar

import networkx as nx
import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ..cells.chance import KIND
from ..cells.netlist import Instance, Netlist, pulses
from ..cells.timing import Timing, at_input, beside, timing
from ..josephson.simulate import Simulator, Transient
from ..josephson.waves import Wave
from ..synthesis.schedule import in_order
from .events import Events, Machines, Violation

Floats = npt.NDArray[np.float64]
_Wrong = TypeVar("_Wrong", bound="Difference | Violation")
# In a circuit: before time 0 of a stimulus, and behind the last of the machines.
LEAD: Final = 20e-12
TAIL: Final = 30e-12
# A pulse that is further from where the machine has it is another one, s.
AWAY: Final = 30e-12


class How(StrEnum):
    """What of a circuit is compared.

    ``times`` of all nets, within their bounds; ``cells``, each by the pulses that came to it;
    ``counts`` of all nets, where times are of places beside the nets.
    """

    TIMES = "times"
    CELLS = "cells"
    COUNTS = "counts"


@dataclass(frozen=True)
class Difference:
    """The first pulse that differs: the n-th, from 0 on, of a net; times in s, ``None`` for none.

    ``cell`` is the one that drives the net, or, where a source does, that ``takes`` it; ``bound``
    how far apart the two times may be in s. ``cause`` is what came too close at that cell before,
    if anything did.
    """

    net: str
    number: int
    machine: float | None
    circuit: float | None
    bound: float
    cell: Instance
    takes: bool = False
    cause: Violation | None = None

    @property
    def time(self) -> float:
        """The earlier of the two, s."""
        return min(t for t in (self.machine, self.circuit) if t is not None)

    def __str__(self) -> str:
        said, seen = (
            "no pulse" if t is None else f"{t * 1e12:.2f} ps" for t in (self.machine, self.circuit)
        )
        return (
            f"pulse {self.number} of the net '{self.net}', which the {self.cell.kind} "
            f"'{self.cell.name}' {'takes' if self.takes else 'drives'}: machines say {said}, the "
            f"circuit {seen}; within {self.bound * 1e12:.2f} ps they are one"
        )


def bounds(netlist: Netlist, timings: Mapping[str, Timing] | None = None) -> dict[str, float]:
    """How far each net's pulses may be from the machines', s; E1431 for a loop without a clock.

    E1423 for a cell whose pulses chance decides.
    """
    ends = set(netlist.inputs)
    out: dict[str, float] = dict.fromkeys(netlist.inputs, 0.0)
    for i in in_order(netlist):
        machine = i.cell.machine
        if machine is None:
            raise fail("E1423", f"'{i.name}' is a {i.kind}, of which chance decides what it sends")
        own = ((timings or {}).get(i.kind) or timing(i.kind)).jitter + beside(i.kind)
        for y, port in enumerate(i.cell.outputs):
            sends = np.flatnonzero(machine.sends[:, :, y].any(0)).tolist()
            came = {i.nets[i.cell.inputs[x]] for x in sends}
            out[i.nets[port]] = own + max(at_input(i.kind) if n in ends else out[n] for n in came)
    return out


def first_difference(
    netlist: Netlist,
    machines: Mapping[str, Floats],
    circuit: Mapping[str, Floats],
    limits: Mapping[str, float] | None = None,
    end: float = np.inf,
    *,
    counted: bool = False,
) -> Difference | None:
    """The earliest pulse that only one of the two has, or has at another time.

    Both are times by net in s, of nets that cells drive and ``machines`` have, ``limits`` the
    bounds; without them a pulse may be off until it is nearer to another one. The circuit has been
    looked at until ``end``, s. ``counted``, nets with as many pulses do not differ, however late
    all of them are.
    """
    found: list[Difference] = []
    for i in netlist.instances:
        for net in (i.nets[port] for port in i.cell.outputs if i.nets[port] in machines):
            bound = None if limits is None else limits[net]
            wrong = _differs(machines[net], circuit[net], bound, end, counted)
            if wrong is not None:
                found.append(Difference(net, *wrong, i))
    return _earliest(found)


def _earliest(found: Iterable[_Wrong]) -> _Wrong | None:
    return min(found, key=lambda one: one.time, default=None)


def _differs(
    said: Floats, seen: Floats, bound: float | None, end: float, counted: bool
) -> tuple[int, float | None, float | None, float] | None:
    """The first pulse of a net that differs: which, both times, and how far off it may be."""
    if counted and said.size == seen.size:
        return None
    both = min(said.size, seen.size)
    own = _nearest(said) if bound is None else np.full(said.size, bound)
    wrong = np.flatnonzero(np.abs(said[:both] - seen[:both]) > own[:both])
    if not wrong.size and (
        said.size == seen.size or (said.size > both and said[both] > end - AWAY)
    ):
        return None
    n = int(wrong[0]) if wrong.size else both
    one = float(said[n]) if n < said.size else None
    two = float(seen[n]) if n < seen.size else None
    # Further off than the next one is it is another pulse: one is lost, or one too many.
    if one is not None and two is not None and abs(one - two) > _nearest(said)[n]:
        one, two = (None, two) if two < one else (one, None)
    return n, one, two, float(own[min(n, said.size - 1)]) if said.size else AWAY


def _nearest(times: Floats) -> Floats:
    """Of each pulse of a net how far off it is still nearer to this than to its neighbours, s."""
    gap = np.diff(times, prepend=-np.inf, append=np.inf) / 2
    return np.asarray(np.minimum(np.minimum(gap[:-1], gap[1:]), AWAY))


class Beside:
    """Circuits of a netlist beside its machines; E1423 and E1431 as `bounds`, of ``times``.

    ``furthest`` is how far times were off at most, s, of circuits in which nothing differed.
    """

    def __init__(self, netlist: Netlist, how: How = How.TIMES) -> None:
        self.how = how
        self.furthest = 0.0
        self.machines = Machines(netlist)
        self.limits = bounds(netlist) if how is How.TIMES else None
        self._netlist = netlist
        self._synapses = [i for i in netlist.instances if i.kind == KIND]
        self._ends = {i.nets[port]: i for i in netlist.instances for port in i.cell.inputs}

    def first(
        self,
        seen: Mapping[str, Floats],
        end: float = np.inf,
        given: Mapping[str, Floats] | None = None,
    ) -> Difference | Violation | None:
        """What differs first, of pulses in s by net that were looked for until ``end``.

        ``given`` are those that sources send, by input net. Of ``times``, and where pulses come
        closer than a cell stands, machines say nothing of what follows: then that is the answer.
        """
        thrown = self._thrown(seen, {} if given is None else given, end)
        if self.how is How.TIMES:
            again, alone = self._again(seen), self.machines.alone(seen)
            said = again.parts()
            other = first_difference(self._netlist, said, seen, self.limits, end)
            if other is None:
                both = ((said[net], seen[net]) for net in self.machines.nets)
                off = [np.abs(a - b).max(initial=0.0) for a, b in both if a.size == b.size]
                self.furthest = max(self.furthest, *map(float, off), 0.0)
            every: list[Difference | Violation] = [*again.violations[:1], *alone.violations[:1]]
            return _earliest([*every, *thrown, *([] if other is None else [other])])
        found = thrown + (self._alone(seen, end) if self.how is How.CELLS else [])
        if found:
            return _earliest(found)
        again_said = self._again(seen).parts()
        certain = {net: again_said[net] for net in self._certain}
        return first_difference(self._netlist, certain, seen, None, end, counted=True)

    def _thrown(
        self, seen: Mapping[str, Floats], given: Mapping[str, Floats], end: float
    ) -> list[Difference]:
        """Input nets that have other pulses than were sent, or, counted, more or fewer."""
        out, counted = [], self.how is How.COUNTS
        for net, sent in given.items():
            wrong = _differs(np.sort(sent), seen[net], None, end, counted)
            if wrong is not None:
                out.append(Difference(net, *wrong, self._ends[net], takes=True))
        return out

    def _alone(self, seen: Mapping[str, Floats], end: float) -> list[Difference]:
        """The first of each cell by itself, and what synapses send without a pulse to pass."""
        alone = self.machines.alone(seen)
        said, found = alone.parts(), list[Difference]()
        for i in self._synapses:
            del said[i.nets["q"]]
            came = seen[i.nets["a"]] + float(timing(KIND).delay[0, 0, 0])
            sent = seen[i.nets["q"]]
            extra = np.flatnonzero(~_passed(came, sent))
            if extra.size:
                n = int(extra[0])
                found.append(Difference(i.nets["q"], n, None, float(sent[n]), AWAY, i))
        other = first_difference(self._netlist, said, seen, None, end)
        if other is not None:
            name = other.cell.name
            ahead = [v for v in alone.violations if v.instance == name and v.time <= other.time]
            found.append(replace(other, cause=ahead[-1] if ahead else None))
        return found

    @cached_property
    def _certain(self) -> tuple[str, ...]:
        """Nets that nothing reaches of what synapses let through."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        for i in self._netlist.instances:
            heads = [self._ends.get(i.nets[port]) for port in i.cell.outputs]
            graph.add_edges_from((i.name, head.name) for head in heads if head is not None)
        # Cells have no empty names: this one is ahead of all synapses.
        graph.add_edges_from(("", i.name) for i in self._synapses)
        behind = nx.descendants(graph, "") if self._synapses else set()
        drives = {
            i.nets[port]
            for i in self._netlist.instances
            if i.name in behind
            for port in i.cell.outputs
        }
        return tuple(net for net in self.machines.nets if net not in drives)

    def _again(self, seen: Mapping[str, Floats]) -> Events:
        return self.machines.run({net: seen[net] for net in self._netlist.inputs})


def _passed(came: Floats, sent: Floats) -> npt.NDArray[np.bool_]:
    """Which pulses a synapse passed: the first that is nearest to one that came, and near it."""
    if not came.size or not sent.size:
        return np.zeros(sent.size, np.bool_)
    nearest = np.abs(sent[:, None] - came).argmin(1)
    first = np.append(True, nearest[1:] != nearest[:-1])
    return np.asarray(first & (np.abs(sent - came[nearest]) <= _nearest(came)[nearest]))


def compared(
    netlist: Netlist,
    stimuli: Sequence[Mapping[str, Iterable[float]]],
    step: float = 0.1e-12,
    *,
    threads: int = 1,
) -> tuple[Difference | Violation | None, ...]:
    """Run both on many stimuli at once, and compare all nets; ``None`` where nothing differs.

    A stimulus has times at input nets, s from 0 on. Where pulses come closer than a cell stands, by
    the machines or on the nets of the circuit, machines say nothing: then that is the answer. E1422
    for nets that are no inputs.
    """
    given = [
        {net: np.sort(np.asarray(list(times), np.float64)) + LEAD for net, times in one.items()}
        for one in stimuli
    ]
    look = Beside(netlist)
    said = [look.machines.run(one) for one in given]
    last = max((trace.time.max(initial=LEAD) for trace in said), default=LEAD)
    waves, factors, delays = _driven(netlist, given)
    found = Simulator(netlist.circuit(waves)).run(
        Transient(float(last) + TAIL, step),
        factors=factors,
        delays=delays,
        watch=look.machines.nets,
        threads=threads,
    )
    every = zip(said, found.pulses.parts(len(given)), strict=True)
    nothing = {net: np.zeros(0) for net in netlist.inputs}
    return tuple(
        trace.violations[0] if trace.violations else look.first(seen, given=nothing | one)
        for one, (trace, seen) in zip(given, every, strict=True)
    )


def _driven(
    netlist: Netlist, given: Sequence[Mapping[str, Floats]]
) -> tuple[dict[str, list[Wave]], dict[str, Floats], dict[str, Floats]]:
    """Sources of one pulse each at all inputs, and factors and delays that make the stimuli."""
    waves: dict[str, list[Wave]] = {}
    factors, delays = dict[str, Floats](), dict[str, Floats]()
    for net in netlist.inputs:
        each = [one.get(net, np.zeros(0)) for one in given]
        room = max((times.size for times in each), default=0)
        table = np.full((len(each), room), np.nan)
        for row, times in zip(table, each, strict=True):
            row[: times.size] = times
        waves[net] = [pulses([LEAD])] * room
        for k in range(room):
            name = f"I>{net}.{k}"
            factors[name] = np.isfinite(table[:, k]).astype(np.float64)
            delays[name] = np.nan_to_num(table[:, k] - LEAD)
    return waves, factors, delays
