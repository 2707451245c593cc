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
pulses may have come in another order: a net of the whole then has more of them, or fewer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

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

    ``driver`` is the cell that drives the net, and ``bound`` how far apart the two times may be in
    s. ``cause`` is what came too close at that cell before, if anything did.
    """

    net: str
    number: int
    machine: float | None
    circuit: float | None
    bound: float
    driver: Instance
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
            f"pulse {self.number} of the net '{self.net}', which the {self.driver.kind} "
            f"'{self.driver.name}' drives: machines say {said}, the circuit {seen}; within "
            f"{self.bound * 1e12:.2f} ps they are one"
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

    Both are times by net in s, ``limits`` the bounds; without them a pulse may be off until it is
    nearer to another one. The circuit has been looked at until ``end``, s. ``counted``, nets with
    as many pulses do not differ, however late all of them are.
    """
    found: list[Difference] = []
    for i in netlist.instances:
        for net in (i.nets[port] for port in i.cell.outputs):
            said, seen = machines[net], circuit[net]
            if counted and said.size == seen.size:
                continue
            both = min(said.size, seen.size)
            own = np.full(said.size, limits[net]) if limits is not None else _nearest(said)
            wrong = np.flatnonzero(np.abs(said[:both] - seen[:both]) > own[:both])
            if not wrong.size and (
                said.size == seen.size or (said.size > both and said[both] > end - AWAY)
            ):
                continue
            n = int(wrong[0]) if wrong.size else both
            one = float(said[n]) if n < said.size else None
            two = float(seen[n]) if n < seen.size else None
            # Further off than the next one is it is another pulse: one is lost, or one too many.
            if one is not None and two is not None and abs(one - two) > _nearest(said)[n]:
                one, two = (None, two) if two < one else (one, None)
            bound = float(own[min(n, said.size - 1)]) if said.size else AWAY
            found.append(Difference(net, n, one, two, bound, i))
    return min(found, key=lambda one: one.time) if found else None


def _nearest(times: Floats) -> Floats:
    """Of each pulse of a net how far off it is still nearer to this than to its neighbours, s."""
    gap = np.diff(times, prepend=-np.inf, append=np.inf) / 2
    return np.asarray(np.minimum(np.minimum(gap[:-1], gap[1:]), AWAY))


class Beside:
    """Circuits of a netlist beside its machines; E1423 and E1431 as `bounds`, of ``times``."""

    def __init__(self, netlist: Netlist, how: How = How.TIMES) -> None:
        self.how = how
        self.machines = Machines(netlist)
        self.limits = bounds(netlist) if how is How.TIMES else None
        self._netlist = netlist
        self._sure = Netlist(tuple(i for i in netlist.instances if i.kind != KIND))

    def first(
        self, seen: Mapping[str, Floats], end: float = np.inf
    ) -> Difference | Violation | None:
        """What differs first, of pulses in s by net that were looked for until ``end``.

        Of ``times``, and where pulses come closer than a cell stands, machines say nothing: then
        that is the answer.
        """
        if self.how is How.COUNTS:
            return self._counted(seen, end)
        alone = self.machines.alone(seen)
        if self.how is How.TIMES:
            again = self._again(seen)
            close = again.violations or alone.violations
            if close:
                return close[0]
            return first_difference(self._netlist, again.parts(), seen, self.limits, end)
        found = first_difference(self._sure, alone.parts(), seen, None, end)
        if found is not None:
            name = found.driver.name
            ahead = [v for v in alone.violations if v.instance == name and v.time <= found.time]
            return replace(found, cause=ahead[-1] if ahead else None)
        return None if KIND in self._netlist.counts else self._counted(seen, end)

    def _counted(self, seen: Mapping[str, Floats], end: float) -> Difference | None:
        said = self._again(seen).parts()
        return first_difference(self._netlist, said, seen, None, end, counted=True)

    def _again(self, seen: Mapping[str, Floats]) -> Events:
        return self.machines.run({net: seen[net] for net in self._netlist.inputs})


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
    return tuple(
        trace.violations[0] if trace.violations else look.first(seen) for trace, seen in every
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
