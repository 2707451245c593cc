"""The graph: populations, projections, inputs and outputs, with one step length ``dt``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from .connections import Connection, Delay, Dense, OneToOne, Shape, Sparse, stages, synapses
from .diagnostics import NOWHERE, Location
from .homeostasis import AdaptiveThreshold
from .loihi import LoihiWeights
from .neurons import (
    Emission,
    IntegerNeuron,
    LoihiNeuron,
    Neuron,
    PointLIF,
    Threshold,
    receptors,
)
from .plasticity import Plasticity
from .records import Record, frozen_array, omitted
from .semantics import Current, Semantics
from .short_term import TsodyksMarkram


@dataclass(frozen=True, eq=False)
class Input(Record):
    """Where a stimulus enters: ``shape`` lines, each carrying a value (a spike count) a step."""

    name: str
    shape: Shape
    at: Location = NOWHERE

    @property
    def size(self) -> int:
        """Number of lines."""
        return prod(self.shape)


@dataclass(frozen=True, eq=False)
class Population(Record):
    """``shape`` neurons of one model under one semantics.

    ``lag`` is the number of steps by which retiming has moved the population: it is at rest, and
    emits nothing, in the first ``lag`` steps. With ``adaptive`` its thresholds adapt; an integer
    population has that in its neuron.
    """

    name: str
    shape: Shape
    neuron: Neuron
    semantics: Semantics = field(default_factory=Semantics)
    lag: int = 0
    at: Location = NOWHERE
    adaptive: AdaptiveThreshold | None = omitted(None)

    @property
    def size(self) -> int:
        """Number of neurons."""
        return prod(self.shape)

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the state variables: those of the model, and h where its thresholds adapt."""
        return (*self.neuron.state, *(() if self.adaptive is None else ("h",)))

    @property
    def arrives_late(self) -> bool:
        """Whether what arrives at its receptors waits for the threshold and reset of the step."""
        ports = isinstance(self.neuron, PointLIF) or bool(receptors(self.neuron))
        return ports and self.semantics.current is Current.OLD

    @property
    def single(self) -> bool:
        """Whether all that it sends are single spikes."""
        neuron = self.neuron
        if isinstance(neuron, IntegerNeuron):
            return neuron.reset != "none" and neuron.max_spikes == 1
        if neuron.EMISSION is Emission.GRADED:
            return False
        return self.semantics.max_spikes == 1 or isinstance(neuron, Threshold)


TIE_BITS = 24


@dataclass(frozen=True, eq=False)
class Tied(Record):
    r"""Weights that are another projection's: :math:`w = s\, W` or :math:`s\, W^T`.

    ``projection`` names the other one, W are its weights at the end of the step before, s =
    ``scale``. With ``transpose`` a synapse from i to j has the weight of the one from j to i.

    Between integer weights w is :math:`s\,W` rounded to the nearest even and saturated to the bits
    of a weight, W with the bits that it has below its unit, and s of at most `TIE_BITS` significant
    bits.
    """

    projection: str
    transpose: bool = False
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "scale", float(self.scale))


def tied_weight(
    stage: Dense | Sparse | OneToOne, source: Dense | Sparse | OneToOne, tied: Tied
) -> npt.NDArray[Any]:
    """The weights of ``stage``, which has the synapses of ``source``, as ``tied`` says."""
    pre, post = synapses(stage)
    i, j = synapses(source)[:: -1 if tied.transpose else 1]
    values = tied.scale * np.ravel(source.weight)[np.lexsort((j, i))]
    weight = np.zeros(pre.size, stage.weight.dtype)
    weight[np.lexsort((post, pre))] = np.rint(values) if weight.dtype.kind == "i" else values
    return weight.reshape(stage.weight.shape)


@dataclass(frozen=True, eq=False)
class Projection(Record):
    """A connection from an input or population to a population, ``delay`` steps long.

    ``bias`` (shape () or the post population's, flattened) enters the post population in every
    step from its first on; when ``recurrent``, semantics may leave it out of the first. With
    ``plasticity`` its weights learn (``ir.plasticity``), with ``short_term`` they are sent in part;
    when ``tied``, they follow those of a projection that learns, and the connection has what they
    are before anything is learned. ``receptor`` is the port where it ends: one of those of a point
    neuron, or ``current``. ``words`` says what its weights are where it ends in a `LoihiNeuron`.
    """

    name: str
    pre: str
    post: str
    connection: Connection
    delay: int = 0
    bias: npt.NDArray[Any] | None = None
    recurrent: bool = False
    at: Location = NOWHERE
    plasticity: Plasticity | None = omitted(None)
    receptor: str | None = omitted(None)
    short_term: TsodyksMarkram | None = omitted(None)
    tied: Tied | None = omitted(None)
    words: LoihiWeights | None = omitted(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bias is not None:
            object.__setattr__(self, "bias", frozen_array(self.bias, np.float64))

    @property
    def minimum_delay(self) -> int:
        """The fewest steps that any value spends here: ``delay`` and what the connection adds."""
        within = (stage for stage in stages(self.connection) if isinstance(stage, Delay | Sparse))
        return self.delay + sum(
            int(stage.steps.min(initial=np.iinfo(np.int32).max)) if stage.steps is not None else 0
            for stage in within
        )


@dataclass(frozen=True, eq=False)
class Output(Record):
    """What a user reads: the emission of the population ``source``."""

    name: str
    source: str
    at: Location = NOWHERE


@dataclass(frozen=True, eq=False)
class Probe(Record):
    """A state variable recorded in every step: ``variable`` of the population ``source``."""

    source: str
    variable: str


@dataclass(frozen=True, eq=False)
class Graph(Record):
    """A network. Node names are unique over inputs and populations; order carries no meaning,
    but is kept, so that text and digests are stable.

    ``dt`` is the step in seconds, ``dialect`` the name of the dialect its semantics came from.
    """

    name: str
    dt: float
    inputs: tuple[Input, ...]
    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    outputs: tuple[Output, ...]
    probes: tuple[Probe, ...] = ()
    dialect: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "dt", float(self.dt))

    def population(self, name: str) -> Population:
        """The population of this name; KeyError when there is none."""
        for population in self.populations:
            if population.name == name:
                return population
        raise KeyError(name)

    @property
    def nodes(self) -> tuple[Input | Population, ...]:
        """Inputs, then populations."""
        return (*self.inputs, *self.populations)

    def node(self, name: str) -> Input | Population:
        """The input or population of this name; KeyError when there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def incoming(self, name: str) -> Iterator[Projection]:
        """Projections that end in the population ``name``."""
        return (p for p in self.projections if p.post == name)

    def outgoing(self, name: str) -> Iterator[Projection]:
        """Projections that start from the node ``name``."""
        return (p for p in self.projections if p.pre == name)

    def with_(self, **changes: Any) -> Graph:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def signed(self, name: str) -> bool:
        """Whether the input ``name`` may send negative values: it feeds graded neurons of Loihi."""
        ends = [self.population(p.post).neuron for p in self.outgoing(name)]
        return bool(ends) and all(
            isinstance(n, LoihiNeuron) and n.EMISSION is Emission.GRADED for n in ends
        )

    @property
    def neurons(self) -> int:
        """Number of neurons in all populations."""
        return sum(population.size for population in self.populations)
