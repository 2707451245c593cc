r"""What one compiled network is worth: accuracy, latency, energy, cores.

Everything that the objectives are made of stands here, in two halves. `count` takes long and does
not depend on clocks or link widths; `Counts.measured` is arithmetic. Two designs that differ only
in what the second half reads are compiled and simulated once.

A board takes, for a sample of T steps at clock f,

.. math:: t = T\,c / f

with c the forecast cycles of a step (`spikec profile` counts them on the RTL); its energy is not
known. A chip of C cores with n neurons, where a sample costs S synaptic operations, H hops and P
packets on the busiest link, takes by its own stated costs

.. math::
    E &= S e_{syn} + T n e_{idle} + H e_{hop} + P_{static} t \\
    t &= T \Bigl(\frac{n}{C} t_{idle} + t_{barrier}\Bigr) + \frac{S}{C} t_{syn}
         + P \lceil b / w \rceil t_{hop}

with packets of b = 32 bits on links of w bits (one flit a packet, unless w is said). A chip
that states no such times runs in its own steps, or in those of the model, t = T dt; one without
:math:`e_{syn}` has no figure of energy. Work is taken as spread evenly over cores, so t is a floor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ...boards.board import Target
from ...ir.graph import Graph
from ..compare import accuracy
from ..compile import Compilation
from ..integer.executor import Executor
from ..stimulus import LabelledStimulus

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
    """What the quantised network did on the stimulus; ``operations`` of all samples together."""

    accuracy: float
    operations: int


def run_task(graph: Graph, labelled: LabelledStimulus, winners: Any) -> Task:
    """Run a quantised network. Without labels, right is who agrees with ``winners`` (samples,)."""
    source = graph.outputs[0].source
    executor = Executor(graph)
    recording = executor.run(labelled.stimulus, populations=[source])
    wanted = winners if labelled.labels is None else labelled.labels
    right, total = accuracy(recording, source, wanted)
    return Task(right / max(total, 1), int(executor.synaptic_operations))


@dataclass(frozen=True)
class Counts:
    """What a compilation and a run of it counted; a sample has ``steps`` of ``dt`` seconds.

    ``cycles`` of a step on a board of ``clock_hz``; ``hops`` and ``busiest`` (packets on the
    busiest link) of a sample on a chip of ``costs``.
    """

    kind: str
    steps: int
    dt: float
    accuracy: float
    neurons: int
    cores: int | None
    operations: float = 0.0
    cycles: float | None = None
    clock_hz: float | None = None
    hops: float = 0.0
    busiest: float = 0.0
    costs: Mapping[str, float] = field(default_factory=dict)

    def measured(self, clock_hz: float | None = None, noc_width: int | None = None) -> Measured:
        """The objectives at a clock (Hz) and a width of links (bits)."""
        if self.kind == "fpga":
            clock = clock_hz or self.clock_hz
            latency = None
            if self.cycles is not None and clock:
                latency = self.steps * self.cycles / clock
            return Measured(latency, None, self.cores, self.accuracy)
        if self.kind == "chip":
            latency = self._latency(noc_width)
            return Measured(latency, self._energy(latency), self.cores, self.accuracy)
        return Measured(None, None, None, self.accuracy)

    def _latency(self, noc_width: int | None) -> float:
        costs, cores = self.costs, max(self.cores or 1, 1)
        if "neuron_idle_time" not in costs:
            return self.steps * costs.get("step_time", self.dt)
        barriers = [v for k, v in costs.items() if k.startswith("barrier_") and "tile" in k]
        barrier = max(barriers, default=0.0)
        flits = 1 if noc_width is None else math.ceil(PACKET_BITS / noc_width)
        return (
            self.steps * (self.neurons / cores * costs["neuron_idle_time"] + barrier)
            + self.operations / cores * costs.get("synop_time", 0.0)
            + self.busiest * flits * costs.get("hop_x_time", 0.0)
        )

    def _energy(self, latency: float) -> float | None:
        costs = self.costs
        if "synop_energy" not in costs:
            return None
        hop = costs.get("hop_energy", costs.get("hop_x_energy", 0.0))
        return (
            self.operations * costs["synop_energy"]
            + self.steps * self.neurons * costs.get("neuron_idle_energy", 0.0)
            + self.hops * hop
            + costs.get("static_power", 0.0) * latency
        )


def count(compilation: Compilation, target: Target, task: Task, stimulus: Any) -> Counts:
    """The counts of one compilation; ``stimulus`` is what its packets were counted under."""
    facts = compilation.manifest()
    samples, steps = max(stimulus.samples, 1), stimulus.steps
    emission = facts["emission"]
    usual = {
        "kind": target.kind,
        "steps": steps,
        "dt": compilation.source.dt,
        "accuracy": task.accuracy,
        "neurons": compilation.quantised.neurons,
        "operations": task.operations / samples,
    }
    if target.kind == "fpga":
        return Counts(
            **usual,
            cores=len(emission.get("cores", (0,))),
            cycles=float(emission["forecast"]["cycles"]),
            clock_hz=float(emission["clock_hz"]),
        )
    if target.kind == "chip" and "mapping" in facts:
        mapping = facts["mapping"]
        assert target.machine is not None
        worst = mapping["worst_link"]
        return Counts(
            **usual,
            cores=int(mapping["cores"]),
            hops=mapping["hops"] / samples,
            busiest=0.0 if worst is None else worst["packets"] / samples,
            costs={name: cost.value for name, cost in target.machine.costs.items()},
        )
    return Counts(**usual, cores=None)
