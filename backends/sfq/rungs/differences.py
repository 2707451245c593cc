r"""Pulse for pulse: a circuit of junctions beside the machines that say what it does.

Machines are given the pulses that the circuit saw at its inputs. On every other net they must send
as many pulses as the circuit did, and the n-th within a bound: a cell adds its jitter to the
greatest bound among the inputs it sends on,

.. math:: b_\mathrm{out} = \max_x b_x + j + \ell,

j the cell's own jitter, and :math:`\ell` what neighbours make of delays, which are measured between
JTLs: ``beside`` of ``cells/timing.json``. At an input b is what a source makes of the delay of the
cell that it drives, ``at_input``. A clocked cell sends on its clock, so that the bound begins anew
from there. Stimuli of a netlist are one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ..cells.netlist import Netlist, pulses
from ..cells.timing import Timing, at_input, beside, timing
from ..josephson.simulate import Pulses, Simulator, Transient
from ..josephson.waves import Wave
from ..synthesis.schedule import in_order
from .events import Events, Machines, Violation

Floats = npt.NDArray[np.float64]
# In a circuit: before time 0 of a stimulus, and behind the last of the machines.
LEAD: Final = 20e-12
TAIL: Final = 30e-12


@dataclass(frozen=True)
class Difference:
    """The first pulse that differs: the n-th, from 0 on, of a net; times in s, ``None`` for none.

    ``driver`` is the cell that drives the net, and its kind.
    """

    net: str
    number: int
    machine: float | None
    circuit: float | None
    bound: float
    driver: str

    def __str__(self) -> str:
        said, seen = (
            "no pulse" if t is None else f"{t * 1e12:.2f} ps" for t in (self.machine, self.circuit)
        )
        return (
            f"pulse {self.number} of the net '{self.net}', which {self.driver} drives: machines "
            f"say {said}, the circuit {seen}; within {self.bound * 1e12:.2f} ps they are one"
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
    netlist: Netlist, machines: Events, circuit: Mapping[str, Floats], limits: Mapping[str, float]
) -> Difference | None:
    """The earliest pulse that only one of the two has, or has at another time.

    ``circuit`` are times by net in s, ``limits`` the bounds. E1421 for nets that are none.
    """
    drivers = {
        i.nets[port]: f"the {i.kind} '{i.name}'"
        for i in netlist.instances
        for port in i.cell.outputs
    }
    found: list[tuple[float, Difference]] = []
    for net, seen in circuit.items():
        said = machines.of(net)
        both = min(said.size, seen.size)
        wrong = np.flatnonzero(np.abs(said[:both] - seen[:both]) > limits[net])
        if wrong.size:
            n = int(wrong[0])
        elif said.size != seen.size:
            n = both
        else:
            continue
        one = float(said[n]) if n < said.size else None
        two = float(seen[n]) if n < seen.size else None
        when = min(t for t in (one, two) if t is not None)
        driver = drivers.get(net, "nothing")
        found.append((when, Difference(net, n, one, two, limits[net], driver)))
    return min(found, key=lambda entry: entry[0])[1] if found else None


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
    machines, limits = Machines(netlist), bounds(netlist)
    said = [machines.run(one) for one in given]
    last = max((trace.time.max(initial=LEAD) for trace in said), default=LEAD)
    waves, factors, delays = _driven(netlist, given)
    found = Simulator(netlist.circuit(waves)).run(
        Transient(float(last) + TAIL, step),
        factors=factors,
        delays=delays,
        watch=machines.nets,
        threads=threads,
    )
    out: list[Difference | Violation | None] = []
    for trace, seen in zip(said, _each(found.pulses, len(given)), strict=True):
        again = machines.run({net: seen[net] for net in netlist.inputs})
        close = trace.violations or again.violations or machines.close(seen)
        out.append(close[0] if close else first_difference(netlist, again, seen, limits))
    return tuple(out)


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


def _each(found: Pulses, sets: int) -> Iterator[dict[str, Floats]]:
    """Of each set the times at which its pulses passed each probe, as ``Pulses.of``."""
    kept = (found.direction > 0) & (found.time >= 0)
    place = found.set[kept] * len(found.probes) + found.probe[kept]
    order = np.lexsort((found.time[kept], place))
    time = found.time[kept][order]
    edges = np.searchsorted(place[order], np.arange(sets * len(found.probes) + 1))
    parts = np.split(time, edges[1:-1])
    for k in range(sets):
        first = k * len(found.probes)
        yield dict(zip(found.probes, parts[first : first + len(found.probes)], strict=True))
