r"""Circuits of cells: which port is joined to which, by nets that have one driver and one load.

A pulse is not copied by a wire: what goes to two places takes a splitter, what comes from two a
merger. A net that nothing inside drives is an input, one that nothing takes an output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np

from ....ir.diagnostics import Diagnostics, fail
from ....ir.records import Record
from ..josephson.circuit import GROUND, Circuit, CurrentSource, Part, Resistor, placed
from ..josephson.waves import Constant, Pwl, Wave, train
from . import Cell, cell

# What a pulse is brought in by: the charge that moves a JTL's first junction by one quantum, and
# cannot move it by two. RSFQlib ends its lines with 2 ohm.
_CHARGE: Final = 1.125e-15  # A s: 450 uA at the peak of a triangle of 5 ps
_WIDTH: Final = 5e-12
_SINK: Final = 2.0


@dataclass(frozen=True, eq=False)
class Instance(Record):
    """One cell: ``nets`` by the name of its ports, and ``factors`` by which elements differ."""

    name: str
    kind: str
    nets: Mapping[str, str]
    factors: Mapping[str, float] = field(default_factory=dict)

    @property
    def cell(self) -> Cell:
        """What it is an instance of; E1420 for a cell that is not in the library."""
        return cell(self.kind)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The elements of its cell, with its own values."""
        return tuple(
            _scaled(part, self.factors.get(part.name, 1.0)) for part in self.cell.circuit.parts
        )


@dataclass(frozen=True, eq=False)
class Netlist(Record):
    """Cells and nets; E1421 for ports or names that are wrong, E1422 for a net that is no wire."""

    instances: tuple[Instance, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        found = Diagnostics()
        names = Counter(i.name for i in self.instances)
        for name in (name for name, times in names.items() if times > 1):
            found.add("E1421", f"two cells have the name '{name}'")
        for i in self.instances:
            if set(i.nets) != set(i.cell.ports):
                wanted = ", ".join(i.cell.ports)
                found.add("E1421", f"'{i.name}' is a {i.kind}, whose ports are {wanted}")
        found.raise_errors()
        for side, what in (("outputs", "driven"), ("inputs", "taken")):
            for net, times in Counter(self._nets(side)).items():
                if times > 1:
                    hint = "a merger" if what == "driven" else "a splitter"
                    found.add("E1422", f"the net '{net}' is {what} by {times} ports", hint=hint)
        found.raise_errors()

    def _nets(self, side: str) -> list[str]:
        return [i.nets[port] for i in self.instances for port in getattr(i.cell, side)]

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Nets that nothing in it drives, in the order of their loads."""
        driven = set(self._nets("outputs"))
        return tuple(net for net in self._nets("inputs") if net not in driven)

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Nets that nothing in it takes."""
        taken = set(self._nets("inputs"))
        return tuple(net for net in self._nets("outputs") if net not in taken)

    @property
    def junctions(self) -> int:
        """Junctions of all its cells."""
        return sum(i.cell.junctions for i in self.instances)

    @property
    def bias(self) -> float:
        """Bias currents of all its cells together, in A."""
        return sum(self._bias(i) for i in self.instances)

    @staticmethod
    def _bias(instance: Instance) -> float:
        sources = instance.cell.circuit.of(CurrentSource)
        return sum(float(s.wave.at(0.0)) * instance.factors.get(s.name, 1.0) for s in sources)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Instances of each cell."""
        return dict(Counter(i.kind for i in self.instances))

    @cached_property
    def biases(self) -> tuple[str, ...]:
        """Names, in ``circuit``, of all sources that bias cells: what a global bias scales."""
        return tuple(f"{name}|{i.name}" for i in self.instances for name in i.cell.biases)

    def scaled(self, factors: Mapping[str, float]) -> Netlist:
        """The same cells with elements, named as in ``circuit``, so many times their values."""
        own: dict[str, dict[str, float]] = {i.name: dict(i.factors) for i in self.instances}
        for name, factor in factors.items():
            element, _, instance = name.partition("|")
            own[instance][element] = own[instance].get(element, 1.0) * factor
        return Netlist(tuple(replace(i, factors=own[i.name]) for i in self.instances))

    def circuit(self, waves: Mapping[str, Wave | Sequence[Wave]]) -> Circuit:
        """All cells as one circuit; ``waves`` are currents into input nets, as `pulses` has them.

        Elements are ``NAME|INSTANCE``, nets are nodes. The source of a net is ``I>NET``, those of
        several waves ``I>NET.0`` and so on. An input without a wave is held by 2 ohm, as outputs
        are. E1422 for a wave of a net that is no input.
        """
        parts: list[Part] = []
        for i in self.instances:
            parts += placed(i.parts, i.name, i.nets)
        for net in waves:
            if net not in self.inputs:
                raise fail("E1422", f"the net '{net}' is no input", hint=", ".join(self.inputs))
        for net in self.inputs:
            given = waves.get(net)
            if isinstance(given, Wave):
                parts.append(CurrentSource(f"I>{net}", GROUND, net, given))
            elif given is not None:
                parts += [
                    CurrentSource(f"I>{net}.{k}", GROUND, net, wave) for k, wave in enumerate(given)
                ]
            else:
                parts.append(Resistor(f"R>{net}", net, GROUND, _SINK))
        parts += [Resistor(f"R<{net}", net, GROUND, _SINK) for net in self.outputs]
        return Circuit(tuple(parts))


def pulses(times: Iterable[float]) -> Pwl:
    """Current into an input for a pulse at each of ``times``, s; it is a triangle around each.

    E1404 where two are closer than 5 ps.
    """
    return train(np.asarray(list(times), np.float64), _CHARGE, _WIDTH)


def _scaled(part: Part, factor: float) -> Part:
    """The element with so many times its value."""
    if factor == 1.0:
        return part
    if isinstance(part, CurrentSource):
        return replace(part, wave=Constant(float(part.wave.at(0.0)) * factor))
    name = next(n for n in ("area", "ohm", "henry", "farad", "k") if hasattr(part, n))
    return replace(part, **{name: getattr(part, name) * factor})
