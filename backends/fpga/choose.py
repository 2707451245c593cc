"""Which core a network gets.

Of the network as a circuit (`ParallelShape`) and of event-driven cores of all sizes that fit it is
the one that is best for a goal (`Goal`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ...boards.board import Target
from ...compiler.connectivity import synapse_count
from ...hdl.learning import MULTIPLIER_BITS, Rotator
from ...ir.diagnostics import SpikecError, fail
from ...ir.graph import Graph
from ...ir.neurons import IntegerNeuron
from ...ir.numerics import Rounding
from ...ir.plasticity import TraceSTDP
from .forecast import Forecast, Kind, forecast
from .goal import Goal, Search, given_options
from .logic import logic_room, multiplier_blocks, multipliers_of, too_large
from .lower import Build, LoweredCore, Wiring, lower, weight_bits
from .plastic import plastic_projection
from .resources import check_memory

# Spikes of an input line in a step at most, if nothing is said: as the quantise pass has it.
INPUT_MAX: Final = 15
UNITS: Final = (1, 2, 4, 8)
# Cells of a circuit that is taken without being asked for: twice the largest that was placed, from
# which the forecast has its weights.
CIRCUIT_MOST: Final = 20_000
# More units have to take less than this share of the cycles of half as many.
SAVES: Final = 0.99
LANES: Final = (1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def build_for(target: Target, lanes: int, units: int = 1) -> Build:
    """A build for a device: what kinds of memory it has."""
    block = target.block_memory
    return Build(
        lanes,
        units,
        distributed=target.family != "ice40",
        fast=target.family != "ice40",
        bank_bits=36 if block is None else block.width,
        bank_depth=512 if block is None else block.depth,
        readback=lanes <= 16,
    )


def single_ported(build: Build) -> Build:
    """The same with its weights in single-ported memory.

    They are not read back: a host has just filled them, word by word acknowledged, and to read them
    lies on the longest path of such a core.
    """
    return replace(build, huge=True, readback=False)


def choose(
    graph: Graph,
    target: Target,
    lanes: int | None = None,
    units: int | None = None,
    emit: tuple[str, ...] | None = None,
    kind: Kind | None = None,
    input_max: int = INPUT_MAX,
    parity: bool = False,
    goal: Goal | None = None,
) -> tuple[LoweredCore, Build, Forecast]:
    """The core that is best for a goal (`Goal`), among those of a kind, lanes and units that fit.

    ``input_max`` is the largest number of spikes of an input line in one step.

    Its weight words have a ``parity`` if wanted.
    Raises E0302 if none fits, by how much the smallest is too large, E0311 if the goal is missed,
    and by how much.
    """
    sized = lanes is not None or units is not None
    full = lanes is not None and units is not None
    given = given_options(lanes, units, kind)
    learned = plastic_projection(graph)
    search: Search[LoweredCore] = Search(goal or Goal())
    wiring = Wiring(graph)
    if learned is not None:
        if kind == "parallel":
            raise fail(
                "E0302",
                f"'{learned.name}' learns; the weights of a circuit are constants",
                learned.at,
                "compile with --core events, or with Plasticity(..., learning=False)",
            )
        if parity:
            raise fail(
                "E0302",
                f"'{learned.name}' learns; weights that change have no parity",
                learned.at,
                "compile without --parity",
            )
        _events(search, wiring, target, lanes, units, emit)
        return _chosen(search, target, f"'{learned.name}' learns", given, full, several=False)
    if kind == "parallel":
        if sized or parity:
            raise fail("E0707", "--lanes, --units and --parity belong to --core events")
        core, build, found = _parallel(wiring, target, emit, input_max, search.goal)
        room = logic_room(target)
        if room is not None and found.logic > room:
            raise too_large("the parallel core needs", found.logic, room, target)
        search.add(core, build, found)
        return _chosen(search, target, "asked for", given, full=True, several=False)
    if kind == "events" or sized or parity:
        _events(search, wiring, target, lanes, units, emit, parity)
        why = "asked for" if kind == "events" or sized else "words have a parity"
        return _chosen(search, target, why, given, full, not parity)
    refused: SpikecError | None = None
    try:
        _events(search, wiring, target, lanes, units, emit)
    except SpikecError as error:
        refused = error
    why = _with_circuit(search, wiring, target, emit, input_max)
    if refused is not None and search.options:
        why = f"the event-driven core does not fit; {why}"
    elif refused is not None:
        raise refused
    return _chosen(search, target, why, given, full)


def _chosen(
    search: Search[LoweredCore],
    target: Target,
    why: str,
    given: tuple[str, ...],
    full: bool,
    several: bool = True,
) -> tuple[LoweredCore, Build, Forecast]:
    """The best core; ``why`` it is of that kind, and whether ``several`` cores could do more.

    What was ``given`` may leave one core alone, said in ``full``.
    """
    if search.best is None:
        raise search.missed(target, given, several)
    core, build, found = search.best
    if full:
        return core, build, replace(found, why=why)
    choice = search.choice
    found = replace(found, why=f"{why}; {choice.rule} of {choice.fit} that fit", choice=choice)
    return core, build, found


def _with_circuit(
    search: Search[LoweredCore],
    wiring: Wiring,
    target: Target,
    emit: tuple[str, ...] | None,
    input_max: int,
) -> str:
    """Add the network as a circuit, if it fits; why it is taken or not."""
    for output in wiring.graph.outputs:
        neuron = wiring.graph.population(output.source).neuron
        if search.best is not None and isinstance(neuron, IntegerNeuron) and not neuron.spiking:
            return f"'{output.source}' is a readout, which a host can read in a memory only"
    room = logic_room(target)
    synapses = sum(synapse_count(p.connection) for p in wiring.graph.projections)
    if room is None:
        return "nothing is known of the device's logic"
    if synapses > room:
        return f"{synapses:,} synapses are too many for a circuit"
    try:
        circuit = _parallel(wiring, target, emit, input_max, search.goal)
    except SpikecError as error:
        return error.diagnostics[0].message
    expected = circuit[2]
    if expected.logic > room:
        return f"a circuit would need about {expected.logic:,} cells of {room:,.0f}"
    if expected.logic > CIRCUIT_MOST:
        return (
            f"a circuit would need about {expected.logic:,} cells, and none of more than "
            f"{CIRCUIT_MOST:,} was ever placed"
        )
    events = search.best
    search.add(*circuit)
    pace = f"{expected.cycles:.0f} cycles a step as a circuit of about {expected.logic:,} cells"
    if events is None:
        return pace
    return f"{pace}, {events[2].cycles:.0f} event-driven with {events[2].logic:,}"


def _parallel(
    wiring: Wiring, target: Target, emit: tuple[str, ...] | None, input_max: int, goal: Goal
) -> tuple[LoweredCore, Build, Forecast]:
    """The network as a circuit, whether it fits or not."""
    build = replace(build_for(target, 1), parallel=True, input_max=input_max)
    core = lower(wiring.graph, build, emit, wiring=wiring)
    return core, build, forecast(core, target, goal.activity)


def _events(
    search: Search[LoweredCore],
    wiring: Wiring,
    target: Target,
    lanes: int | None,
    units: int | None,
    emit: tuple[str, ...] | None,
    parity: bool = False,
) -> None:
    """Add the event-driven cores that fit; raises why the smallest does not if there is none."""
    graph = wiring.graph
    builds = [replace(b, parity=parity) for b in _candidates(graph, target, lanes, units)]
    if not builds:
        raise fail("E0707", f"--units {units} does not divide --lanes {lanes}")
    tried = _Tried(search, wiring, target, emit, lanes, units)
    tried.add_all(builds)
    # Single-ported memory takes what block memory has no room for; a host has to fill it.
    single = any(memory.ports == "1rw" for memory in target.memories)
    single = single and plastic_projection(graph) is None
    wanted = search.best is None or search.goal.cycles == "fewest"
    if wanted and single and (search.options or _fits_single(graph, target)):
        tried.add_all([single_ported(build) for build in builds])
    if not search.options:
        raise tried.refusal()


class _Tried:
    """Event-driven cores of several sizes, and why those that do not fit do not."""

    def __init__(
        self,
        search: Search[LoweredCore],
        wiring: Wiring,
        target: Target,
        emit: tuple[str, ...] | None,
        lanes: int | None,
        units: int | None,
    ) -> None:
        self._search, self._wiring, self._target, self._emit = search, wiring, target, emit
        self._lanes, self._units = lanes, units
        # Whoever says how many lanes may fill a device further than we would.
        self._room = None if lanes is not None else logic_room(target)
        self._dsps, self._width = multipliers_of(target)
        # Of the first that does not fit, which is the smallest.
        self.refused: SpikecError | None = None
        # Of cores that fit otherwise, the fewest multipliers and the units that take them.
        self._multiplied: tuple[int, int] | None = None

    def add_all(self, builds: list[Build]) -> None:
        """Look at builds from the smallest on, as long as larger ones may fit and be faster."""
        # Lanes that more units do not make faster.
        done = 0
        before = 0, math.inf
        for build in builds:
            if build.lanes == done:
                continue
            try:
                build, core = self._lowered(build)
            except SpikecError as error:
                self.refused = self.refused or error
                continue
            cycles = self._forecast(build, core)
            if before[0] == build.lanes and cycles > SAVES * before[1]:
                done = build.lanes
            before = build.lanes, cycles

    def _lowered(self, build: Build) -> tuple[Build, LoweredCore]:
        """A core that the device's memory holds, and its build."""

        def made(build: Build) -> LoweredCore:
            return lower(
                self._wiring.graph,
                build,
                self._emit,
                wiring=self._wiring,
                accept=lambda shape: check_memory(shape, self._target),
            )

        core = made(build)
        turned = multiplier_blocks(core.shape, self._width) > self._dsps
        if build.rotator == "multiplier" and turned:
            build = replace(build, rotator="logic")
            core = made(build)
        return build, core

    def _forecast(self, build: Build, core: LoweredCore) -> float:
        """Its expected cycles; it is added if logic and multipliers are enough."""
        found = forecast(core, self._target, self._search.goal.activity)
        blocks = multiplier_blocks(core.shape, self._width)
        if self._units is None and blocks > self._dsps:
            self._multiplied = min(self._multiplied or (blocks, build.units), (blocks, build.units))
        elif self._room is not None and found.logic > self._room:
            what = "the smallest core needs"
            error = too_large(what, found.logic, self._room, self._target)
            self.refused = self.refused or error
        else:
            self._search.add(core, build, found)
        return found.cycles

    def refusal(self) -> SpikecError:
        """Why none fits."""
        title = self._target.title
        if self._multiplied is not None:
            blocks, units = self._multiplied
            return fail(
                "E0302",
                f"{title} has {self._dsps:.0f} multipliers, too few for any core of this network: "
                f"one that commits {units} neuron(s) a cycle needs about {blocks}",
                hint="use fewer --state-bits, one time constant or fewer substeps, or a larger "
                "board ('spikec targets')",
            )
        assert self.refused is not None
        return self.refused if self._lanes is None else self._too_many_lanes(self.refused)

    def _too_many_lanes(self, refused: SpikecError) -> SpikecError:
        """The same, with the lanes to blame if a core of fewer fits."""
        (found,) = refused.diagnostics[:1]
        if found.code != "E0302" or self._lanes is None:
            return refused
        for lanes in reversed([number for number in LANES if number < self._lanes]):
            units = 1 if self._units is None else self._units
            if lanes % units:
                continue
            try:
                self._lowered(build_for(self._target, lanes, units))
            except SpikecError:
                continue
            hint = f"compile with --lanes {lanes}, which fits; or {found.hint}"
            message = f"with --lanes {self._lanes} {found.message}"
            return SpikecError([replace(found, message=message, hint=hint)])
        return refused


def _fits_single(graph: Graph, target: Target) -> bool:
    """Whether single-ported memory has as many bits as the weights."""
    single = next((memory for memory in target.memories if memory.ports == "1rw"), None)
    if single is None:
        return False
    bits = sum(
        synapse_count(p.connection) * weight_bits(graph.population(p.post))
        for p in graph.projections
    )
    return bits <= single.bits


def _candidates(
    graph: Graph, target: Target, lanes: int | None, units: int | None
) -> Iterator[Build]:
    """Builds from the smallest on: by lanes, then by units."""
    largest = sum(p.size for p in graph.populations)
    streams = _streams(graph)
    if streams is not None:
        if lanes not in (None, streams):
            raise fail(
                "E0707",
                f"--lanes {lanes}: stochastic rounding in {streams} streams takes as many lanes",
            )
        lanes = streams
    learns = plastic_projection(graph) is not None
    for number in (lanes,) if lanes is not None else LANES:
        if lanes is None and number > 2 * largest and number > 1:
            break
        for together in (units,) if units is not None else UNITS:
            if number % together == 0:
                build = build_for(target, number, together)
                yield replace(build, rotator=_rotator(target, number)) if learns else build


def _streams(graph: Graph) -> int | None:
    """The lanes that the generator of a rule asks for, None for any."""
    learned = plastic_projection(graph)
    rule = None if learned is None or learned.plasticity is None else learned.plasticity.rule
    if isinstance(rule, TraceSTDP) and rule.rounding is Rounding.STOCHASTIC:
        return rule.streams
    return None


def _rotator(target: Target, lanes: int) -> Rotator:
    """Multipliers where the device has wide ones and they turn so many lanes."""
    turns = lanes <= MULTIPLIER_BITS or (lanes <= 2 * MULTIPLIER_BITS and lanes % 2 == 0)
    return "multiplier" if target.family == "ecp5" and turns else "logic"
