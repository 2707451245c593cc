r"""Pulse for pulse: a circuit of junctions beside the machines that say what it does.

Machines are given the pulses that the circuit saw at its inputs. On every other net they must send
as many pulses as the circuit did, and the n-th within a bound: a cell adds its jitter to the
greatest bound among the inputs it sends on,

.. math:: b_\mathrm{out} = \max_x b_x + j + \ell,

with b = 0 at inputs, j the cell's own jitter, and :math:`\ell` what neighbours make of delays,
which are measured between JTLs: ``beside`` of ``cells/timing.json``, 0.4 to 1.4 ps. A clocked cell
sends on its clock, so that the bound begins anew from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import fail
from .events import Events, Machines
from .netlist import Netlist, pulses
from .schedule import in_order
from .simulate import Simulator, Transient
from .timing import Timing, beside, timing

Floats = npt.NDArray[np.float64]
# In a circuit: before the first pulse, and behind the last of the machines.
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
    out: dict[str, float] = dict.fromkeys(netlist.inputs, 0.0)
    for i in in_order(netlist):
        machine = i.cell.machine
        if machine is None:
            raise fail("E1423", f"'{i.name}' is a {i.kind}, of which chance decides what it sends")
        own = ((timings or {}).get(i.kind) or timing(i.kind)).jitter + beside(i.kind)
        for y, port in enumerate(i.cell.outputs):
            sends = np.flatnonzero(machine.sends[:, :, y].any(0)).tolist()
            out[i.nets[port]] = own + max(out[i.nets[i.cell.inputs[x]]] for x in sends)
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
    netlist: Netlist, stimuli: Mapping[str, Iterable[float]], step: float = 0.1e-12
) -> Difference | None:
    """Run both on pulses at input nets, s from 0 on, and compare all nets.

    E1435 where pulses come closer than cells stand, as machines say nothing of those.
    """
    given = {
        net: np.sort(np.asarray(list(times), np.float64)) + LEAD for net, times in stimuli.items()
    }
    machines = Machines(netlist)
    last = machines.run(given).time.max(initial=LEAD)
    waves = {net: pulses(times) for net, times in given.items()}
    simulator = Simulator(netlist.circuit(waves))
    seen = simulator.run(Transient(float(last) + TAIL, step), watch=machines.nets).pulses
    circuit = {net: seen.of(net) for net in machines.nets}
    trace = machines.run({net: circuit[net] for net in netlist.inputs})
    if trace.violations:
        raise fail("E1435", str(trace.violations[0]))
    return first_difference(netlist, trace, circuit, bounds(netlist))
