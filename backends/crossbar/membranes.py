r"""Analogue integrate-and-fire neurons behind bit lines: a capacitor, a leak and a comparator.

What the tiles of a population pass flows onto a capacitor each, without a converter. With v its
charge, a step of neuron n is

.. math::
    w = d\, v + \sum I + \mathrm{bias}, \qquad w > \theta\, (1 + \sigma z_n) \Rightarrow
    \text{spike, and the reset of the model},

d, bias, theta and the reset those of the quantised neuron, z_n the offset of its comparator: one
sample of N(0, 1) a neuron and a chip. A synaptic current is a second capacitor in front of it.
Differences, the significance of slices, :math:`1 / \alpha` and the gain and offset of a calibrated
column, which logic applies behind converters, are here ratios of current mirrors, taken to be
exact; so is the charge of pools and one-to-one connections, which are digital.

**What is computed** are the integers of the integer rung, with ideal converters and the threshold
:math:`\lfloor \theta (1 + \sigma z_n) \rfloor`, which a whole number exceeds just where it exceeds
the real one. A unit of a weight is :math:`2^s` units of v there; here sums are counted in units of
v, so that they and the leak are rounded alike. As long as the spikes are the same, the charge of
the real neuron is no further off than

.. math:: (m / 2 + r) / (1 - d)

units of v, m the matrices that add to it in a step and r what the rounding of the leak is off by at
most (1/2 where it is to the nearest). Where a projection that ends in a population learns, its sums
stay rounded to whole units of a weight, and :math:`2^s m / 2` stands for m / 2. Readouts, whose
charge is the output, keep their converters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from ...compiler.integer.population import integer_neuron
from ...ir.connections import chain, stages
from ...ir.diagnostics import Diagnostics
from ...ir.graph import Graph, Population, Projection
from .conditions import Conditions, Membranes
from .device import chip_rng

# The tiles of a chip, and the noise of its reads, have random numbers below.
_OFFSETS: Final = 1 << 21
_WIDEST: Final = 62  # bits of an accumulator


@dataclass(frozen=True)
class Charged:
    """A graph with the neurons of a chip, and what its accumulators count.

    ``units`` has, for each projection whose currents flow onto capacitors, how many units of its
    accumulators a unit of its weights is.
    """

    graph: Graph
    units: Mapping[str, int] = field(default_factory=dict)


def charged(graph: Graph, conditions: Conditions, seed: int) -> Charged:
    """The quantised graph with the neurons of the chip ``seed``; itself where they are digital.

    E1332 for neurons that have no analogue form.
    """
    if conditions.neuron is not Membranes.ANALOGUE:
        return Charged(graph)
    _check(graph)
    shifts = {p.name: _shift(p, graph) for p in graph.populations}
    every = (
        _population(p, shifts[p.name], conditions.comparator_offset, chip_rng(seed, _OFFSETS + k))
        for k, p in enumerate(graph.populations)
    )
    moved = replace(
        graph,
        populations=tuple(every),
        projections=tuple(_projection(p, shifts[p.post]) for p in graph.projections),
    )
    spiking = {p.name for p in graph.populations if _spikes(p)}
    units = {p.name: 1 << shifts[p.post] for p in graph.projections if p.post in spiking}
    return Charged(moved, units)


def _check(graph: Graph) -> None:
    found = Diagnostics()
    for population in graph.populations:
        neuron = integer_neuron(population)
        if neuron.curve is not None:
            found.add(
                "E1332",
                f"'{population.name}' is {neuron.source_model}, whose leak depends on its membrane",
                population.at,
                "neuron=digital",
            )
        elif _spikes(population) and neuron.max_spikes != 1:
            found.add(
                "E1332",
                f"'{population.name}' sends several spikes in a step",
                population.at,
                "neuron=digital, or a model that sends one a step",
            )
    found.raise_errors()


def _spikes(population: Population) -> bool:
    return integer_neuron(population).reset != "none"


def _shift(population: Population, graph: Graph) -> int:
    """The bits by which a population's sums are counted more finely than its weights."""
    fixed = all(p.plasticity is None and p.tied is None for p in graph.incoming(population.name))
    neuron = integer_neuron(population)
    room = _WIDEST - neuron.numerics.acc_bits
    return min(neuron.shift, room) if fixed and _spikes(population) else 0


def _population(
    population: Population, shift: int, sigma: float, rng: np.random.Generator
) -> Population:
    neuron = integer_neuron(population)
    if not _spikes(population):
        return population
    numerics, state = neuron.numerics, neuron.numerics.state
    real = neuron.threshold * (1 + sigma * rng.standard_normal(population.shape))
    changed = replace(
        neuron,
        threshold=np.clip(np.floor(real), state.low, state.high).astype(np.int64),
        shift=neuron.shift - shift,
        numerics=replace(numerics, acc_bits=numerics.acc_bits + shift),
    )
    return replace(population, neuron=changed)


def _projection(projection: Projection, shift: int) -> Projection:
    """A projection whose weights, those of digital ones too, are in units of the sums."""
    if shift == 0:
        return projection
    parts = tuple(
        replace(s, weight=s.weight << shift) if s.WEIGHTED else s  # type: ignore[attr-defined,call-arg]
        for s in stages(projection.connection)
    )
    return replace(projection, connection=chain(parts, projection.connection.in_shape))
