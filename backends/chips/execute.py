"""Executes a mapped network core by core, each spike a packet on its route, bit-exact.

A core has the states and accumulators of its own neurons and the synapses of its own in-axons, and
nothing else. What it emits is looked up in the routing tables, or follows its route where routers
have none, and every core that gets it looks it up among its in-axons. So a wrong part, route, table
entry or axon is a different spike.

Neurons lie by population, in it by core: one call of the integer executor's own step takes a
population in all cores. The arithmetic of accumulators is that of integers modulo 2^32 (2^64 where
they have more than 32 bits), so neither order nor unrolling changes a sum. What a packet finds is
found once, before the first step; a step then costs two calls for each population, whatever the
number of cores, and each synaptic operation about what it costs in the integer executor (see
``bench/cores.py``). Shared weights are unrolled, as they are in a core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...compiler.backend import Outcome, Run
from ...compiler.integer.population import (
    PopulationState,
    Sink,
    integer_neuron,
    population_state,
    same_step_order,
    sorted_counts,
    taken,
)
from ...compiler.mapping.axons import Axons
from ...compiler.mapping.check import neighbours
from ...compiler.mapping.mapping import Ids, Mapping, Tables
from ...ir.diagnostics import fail
from ...ir.events import Recording, Stimulus
from ...ir.graph import Graph, Population
from ...ir.neurons import LoihiNeuron
from ...ir.numerics import Rounding
from . import core_kernels as kernels
from .cores import Cores, Narrow, cores_of

CORES = "cores"
Integers = npt.NDArray[np.int64]


def run_cores(graph: Graph, axons: Axons, mapping: Mapping, run: Run) -> Outcome:
    """Run the rung ``cores``: a quantised, retimed graph as ``mapping`` says.

    Raises what `CoreExecutor` and its `CoreExecutor.run` raise, and E0301 for a network in Loihi's
    arithmetic, whose step this rung does not have.
    """
    for population in graph.populations:
        if isinstance(population.neuron, LoihiNeuron):
            raise fail(
                "E0301",
                f"'{population.name}' is in the arithmetic of Loihi, which the rung cores does not "
                "have",
                population.at,
                "run it on the integer rung, which has",
            )
    recording = CoreExecutor(graph, axons, mapping).run(
        run.stimulus,
        populations=run.populations,
        record=run.record,
        progress=lambda share: run.progress(CORES, share),
    )
    return Outcome(recording)


class CoreExecutor:
    """A mapped graph made ready to run any number of stimuli; everything is cleared before each.

    Takes any graph that the integer executor takes, but for two: a population with stochastic
    rounding (E0301), whose generator goes from neuron to neuron over all cores, and projections
    with plasticity (E0308). Besides, E0301 and E0303 as the integer executor raises them, E0322
    where arrays of the mapping are not of the right form. A mapping that is of the right form, but
    wrong, is executed as it is.
    """

    def __init__(self, graph: Graph, axons: Axons, mapping: Mapping) -> None:
        self.graph = graph
        self.lag = max((p.lag for p in graph.populations), default=0)
        self.cores = cores_of(graph, axons, mapping)
        self.synaptic_operations = 0
        self._order = same_step_order(graph)
        self._states: dict[str, PopulationState] = {}
        # Which neuron of its population, and which source, each one of a state is.
        self._members: dict[str, Integers] = {}
        self._sources: dict[str, Integers] = {}
        for node in axons.nodes[len(graph.populations) :]:
            self._sources[node.name] = np.arange(node.first, node.end)
        slot = np.full(mapping.part.size, -1, np.int32)
        for population, node in zip(graph.populations, axons.nodes, strict=False):
            members = np.argsort(mapping.part[node.first : node.end], kind="stable")
            _refuse_noise(population)
            neuron = taken(integer_neuron(population), population, members)
            laid = Population(
                population.name,
                (population.size,),
                neuron,
                population.semantics,
                population.lag,
                population.at,
            )
            self._states[population.name] = population_state(laid, graph)
            self._members[population.name] = members
            self._sources[population.name] = node.first + members
            slot[node.first + members] = np.arange(node.first, node.end)
        self._axons, self._mapping, self._slot = axons, mapping, slot[self.cores.neuron]
        self._narrow = {name: s.wheel.dtype == np.int32 for name, s in self._states.items()}
        width = np.int32 if all(self._narrow.values()) else np.int64
        pages = int(self.cores.delay.max(initial=0)) + 1
        self._wheel = np.zeros((pages, graph.neurons), width)
        for node in axons.nodes[: len(graph.populations)]:
            self._states[node.name].wheel = self._wheel[:, node.first : node.end]

    @cached_property
    def _links(self) -> _Links:
        """What packets find, in the routes or tables of the mapping."""
        return _links(self.cores, self._axons, self._mapping, self._slot)

    def run(
        self,
        stimulus: Stimulus,
        *,
        populations: Sequence[str] | None = None,
        record: Sequence[tuple[str, str]] = (),
        raw: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> Recording:
        """Run every sample from rest, and record as the integer executor does.

        Records the emission of ``populations`` (default: the outputs' sources) and the state
        variables in ``record``, of whole populations. With ``raw`` the lags are left in.

        Raises E0206 for an unknown population or variable, E0702 for a stimulus of other inputs,
        E0703 for values that are no counts.
        """
        if populations is None:
            populations = list(dict.fromkeys(o.source for o in self.graph.outputs))
        for name in populations:
            if name not in self._states:
                raise fail("E0206", f"there is no '{name}.v' to record")
        words = {key: self._word(*key) for key in record}
        length = stimulus.steps + self.lag
        sinks = {
            name: Sink(self._states[name], raw, stimulus.steps, length, self._members[name])
            for name in populations
        }
        states = {
            key: np.zeros(
                (stimulus.samples, length if raw else stimulus.steps, word.size), np.int64
            )
            for key, word in words.items()
        }
        lines = {node.name: sorted_counts(stimulus, node) for node in self.graph.inputs}
        unused = np.ones(1, np.uint32)
        for sample in range(stimulus.samples):
            for state in self._states.values():
                state.clear()
            self._begin(sample, length)
            for step in range(length):
                if step < stimulus.steps:
                    self._feed(lines, sample, step, stimulus.steps)
                for name in self._order:
                    state = self._states[name]
                    if self._narrow[name] and self._wheel.dtype != np.int32:
                        page = state.wheel[step % len(self._wheel)]
                        page[:] = page.astype(np.int32)
                    count = state.step(step, unused)
                    if count:
                        self._deliver(name, state.index, state.value, count, step)
                    if name in sinks:
                        sinks[name].take(sample, step, count)
                self._settle(step)
                for (name, variable), store in states.items():
                    at = step if raw else step - self._states[name].population.lag
                    if 0 <= at < store.shape[1]:
                        store[sample, at, self._members[name]] = words[name, variable]
            if progress is not None:
                progress((sample + 1) / stimulus.samples)
        spikes = {name: sink.events(stimulus.samples) for name, sink in sinks.items()}
        return Recording(CORES, self.graph.dt, spikes, dict(states))

    def _word(self, name: str, variable: str) -> Integers:
        variables = self._states[name].variables if name in self._states else {}
        if variable not in variables:
            raise fail("E0206", f"there is no '{name}.{variable}' to record")
        return variables[variable]

    def _feed(self, lines: dict[str, Any], sample: int, step: int, steps: int) -> None:
        for name, (index, value, starts) in lines.items():
            low, high = starts[sample * steps + step], starts[sample * steps + step + 1]
            if high > low:
                self._deliver(name, index[low:high], value[low:high], high - low, step)

    def _begin(self, sample: int, length: int) -> None:
        """What has to be done before a sample of ``length`` steps of the hardware."""

    def _settle(self, step: int) -> None:
        """What has to be done at the end of a step."""

    def _deliver(self, name: str, index: Any, value: Any, count: int, step: int) -> None:
        links = self._links
        self.synaptic_operations += kernels.deliver(
            index,
            value,
            count,
            self._sources[name],
            links.ptr,
            links.delay,
            links.slot,
            links.weight,
            links.late,
            self._wheel,
            step % len(self._wheel),
        )


def _refuse_noise(population: Population) -> None:
    neuron = integer_neuron(population)
    # A recovery rounds without drawing.
    if neuron.numerics.state.rounding is Rounding.STOCHASTIC and neuron.curve is None:
        raise fail(
            "E0301",
            f"'{population.name}' rounds stochastically: the integer rung draws from one generator "
            "for all neurons, and cores have none in common",
            population.at,
            "quantise with another rounding",
        )


@dataclass(frozen=True, eq=False)
class _Links:
    """What a spike of source a does, in all cores that its packet reaches.

    It adds ``weight[s]`` to the accumulator ``slot[s]``, ``late[s]`` steps later, for s from
    ``ptr[a]`` to ``ptr[a + 1]``; ``delay[a]`` is the delay of all of them, or -1. Tables and axon
    lists do not change while a network runs: every packet would find the same.
    """

    ptr: Integers
    delay: Integers
    slot: Narrow
    weight: Narrow
    late: Narrow


def _links(cores: Cores, axons: Axons, mapping: Mapping, slot: Ids) -> _Links:
    machine = mapping.machine
    home = np.full(axons.sources, machine.host, np.int32)
    home[: axons.neurons] = mapping.seat[mapping.part] // machine.cores_per_router
    if mapping.tables is None:
        way, way_ptr, sink = _by_routes(mapping, home)
    else:
        way, way_ptr, sink = _by_tables(mapping.tables, machine, home)
    tenant = np.full(machine.seats, -1, np.int32)
    tenant[mapping.seat] = np.arange(mapping.parts)
    ptr, delay = np.empty(axons.sources + 1, np.int64), np.empty(axons.sources, np.int64)
    programs = (
        way,
        way_ptr,
        tenant[sink],
        cores.neuron_ptr,
        cores.axon_ptr,
        cores.axon_source,
        cores.synapse_ptr,
        cores.target,
        cores.weight,
        cores.delay,
        slot,
        ptr,
        delay,
    )
    places: Any = np.uint16 if slot.size <= 1 << 16 else np.int32

    def arrays(size: int) -> tuple[Narrow, Narrow, Narrow]:
        return (
            np.empty(size, places),
            np.empty(size, cores.weight.dtype),
            np.empty(size, cores.delay.dtype),
        )

    kernels.link(*programs, *arrays(0))
    filled = arrays(int(ptr[-1]))
    kernels.link(*programs, *filled)
    return _Links(ptr, delay, *filled)


def _by_routes(mapping: Mapping, home: Ids) -> tuple[Ids, Integers, Ids]:
    """The route of each source, and the cores that each one reaches by its links.

    A packet that starts at another router than its route does not find the way.
    """
    routes = mapping.routes
    ends = (routes.origin, routes.start, routes.end)
    machine = mapping.machine
    routers = max(machine.router_count, *(int(a.max(initial=0)) + 1 for a in ends))
    reached = np.zeros(routes.sink.size, np.bool_)
    kernels.reached_sinks(
        routes.origin,
        routes.link_ptr,
        routes.start,
        routes.end,
        routes.sink_ptr,
        routes.sink,
        machine.cores_per_router,
        routers,
        reached,
    )
    way = routes.of.copy()
    routed = np.flatnonzero(way >= 0)
    way[routed[routes.origin[way[routed]] != home[routed]]] = -1
    ptr = np.concatenate([[0], np.cumsum(reached)])[routes.sink_ptr]
    return way, ptr.astype(np.int64), routes.sink[reached]


def _by_tables(tables: Tables, machine: Machine, home: Ids) -> tuple[Ids, Integers, Ids]:
    """A way of its own for each source, found by its key."""
    ptr = np.empty(tables.key.size + 1, np.int64)
    walk = (
        tables.key,
        home,
        neighbours(machine),
        machine.cores_per_router,
        tables.ptr,
        tables.entry_key,
        tables.entry_mask,
        tables.entry_links,
        tables.entry_cores,
        ptr,
    )
    kernels.follow_tables(*walk, np.empty(0, np.int32))
    sink = np.empty(ptr[-1], np.int32)
    kernels.follow_tables(*walk, sink)
    return np.arange(tables.key.size, dtype=np.int32), ptr, sink
