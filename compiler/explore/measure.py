r"""What one compiled network is worth: accuracy, latency, energy, cores.

Everything that the objectives are made of stands here, in two halves. `count` takes long and does
not depend on clocks or link widths; `Counts.measured` is arithmetic. Two designs that differ only
in what the second half reads are compiled and simulated once.

A board takes, for a sample of T steps at clock f,

.. math:: t = T\,c / f

with c the forecast cycles of a step (`spikec profile` counts them on the RTL); its energy is not
known. Of a chip both are those of `spikec profile` under its first cost model; on links of w bits a
packet of :math:`b = 32` bits has :math:`\lceil b / w \rceil` flits, without w those of its file. A
model that knows no static power has no figure of energy here: sums of other kinds do not compare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ...boards.board import Target
from ...ir.events import Stimulus
from ...ir.graph import Graph
from ..compare import accuracy
from ..compile import Compilation
from ..integer.executor import Executor
from ..stimulus import LabelledStimulus

if TYPE_CHECKING:
    # The kernels that map and count are loaded where something is mapped.
    from ..mapping.axons import Axons
    from ..mapping.mapping import Mapping as Placement

PACKET_BITS: Final = 32


@dataclass(frozen=True)
class Measured:
    """Seconds and joules of a sample, cores, and the share of samples that are right.

    ``None`` is what nobody knows.
    """

    latency: float | None
    energy: float | None
    cores: int | None
    accuracy: float | None

    def as_dict(self) -> dict[str, float | None]:
        """Name -> value."""
        return {
            "accuracy": self.accuracy,
            "latency": self.latency,
            "energy": self.energy,
            "cores": self.cores,
        }


@dataclass(frozen=True)
class Task:
    """What the quantised network did on the stimulus."""

    accuracy: float


def run_task(graph: Graph, labelled: LabelledStimulus, winners: Any) -> Task:
    """Run a quantised network. Without labels, right is who agrees with ``winners`` (samples,)."""
    source = graph.outputs[0].source
    recording = Executor(graph).run(labelled.stimulus, populations=[source])
    wanted = winners if labelled.labels is None else labelled.labels
    right, total = accuracy(recording, source, wanted)
    return Task(right / max(total, 1))


@dataclass(frozen=True)
class Mapped:
    """A network on a chip, and what it is run on."""

    graph: Graph
    stimulus: Stimulus
    axons: Axons
    mapping: Placement

    def figures(self, noc_width: int | None = None) -> tuple[float, float | None]:
        """Seconds and joules of a sample, with links of so many bits; ``None``: not known."""
        from ..profile.profile import find_model, step_seconds
        from ..profile.run import profile_graph

        machine = self.mapping.machine
        net = machine.interconnect
        if noc_width is not None and net is not None:
            flits = math.ceil(PACKET_BITS / noc_width)
            room = max(net.buffer.value, flits)
            net = replace(
                net,
                flits=replace(net.flits, value=flits),
                buffer=replace(net.buffer, value=room),
            )
            machine = replace(machine, interconnect=net)
        model = find_model(machine, None)
        where = replace(self.mapping, machine=machine)
        tick = step_seconds(model, machine, self.graph.dt, None)
        found = profile_graph(self.graph, self.stimulus, self.axons, where, model, tick=tick)
        # Beside models that have static power one without would seem to take next to nothing.
        return found.latency, found.energy if model.power else None


@dataclass(frozen=True)
class Counts:
    """What a compilation and a run of it counted; a sample has ``steps`` of ``dt`` seconds.

    ``cycles`` of a step on a board of ``clock_hz``; ``mapped`` on a chip.
    """

    kind: str
    steps: int
    dt: float
    accuracy: float
    neurons: int
    cores: int | None
    cycles: float | None = None
    clock_hz: float | None = None
    mapped: Mapped | None = None

    def measured(self, clock_hz: float | None = None, noc_width: int | None = None) -> Measured:
        """The objectives at a clock (Hz) and a width of links (bits)."""
        if self.kind == "fpga":
            clock = clock_hz or self.clock_hz
            latency = None
            if self.cycles is not None and clock:
                latency = self.steps * self.cycles / clock
            return Measured(latency, None, self.cores, self.accuracy)
        if self.mapped is not None:
            return Measured(*self.mapped.figures(noc_width), self.cores, self.accuracy)
        return Measured(None, None, None, self.accuracy)


def count(compilation: Compilation, target: Target, task: Task, stimulus: Stimulus) -> Counts:
    """The counts of one compilation; ``stimulus`` is what its packets were counted under."""
    emission = compilation.emission.facts
    usual: dict[str, Any] = {
        "kind": target.kind,
        "steps": stimulus.steps,
        "dt": compilation.source.dt,
        "accuracy": task.accuracy,
        "neurons": compilation.quantised.neurons,
    }
    if target.kind == "fpga":
        return Counts(
            **usual,
            cores=len(emission.get("cores", (0,))),
            cycles=float(emission["forecast"]["cycles"]),
            clock_hz=float(emission["clock_hz"]),
        )
    if compilation.mapping is None or compilation.axons is None:
        return Counts(**usual, cores=None)
    mapping = compilation.mapping.mapping
    mapped = Mapped(compilation.quantised, stimulus, compilation.axons, mapping)
    return Counts(**usual, cores=mapping.parts, mapped=mapped)
