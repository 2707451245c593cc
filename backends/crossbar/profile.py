r"""What a stimulus takes of a network on crossbars: energy line by line, and time step by step.

The integer rung says which spikes there are. A step reads a tile once for each pulse of each vector
that has an active row in it: a count of n is n pulses, a convolution has a vector for each place of
its kernel. With :math:`n_r` pulses on word line r,

.. math::
    E_\mathrm{cells} = \sum_r n_r \sum_c G_{rc} V^2 t_\mathrm{read}, \qquad
    E_\mathrm{lines} = \sum_r n_r N_c C V^2, \qquad
    E_\mathrm{ADC} = n_\mathrm{conversions} E_\mathrm{conversion}

with the conductances that cells are meant to have: what wires lose is not taken off. Digital work
is counted by operation and width. A read takes

.. math::
    t = \max(t_\mathrm{read}, \ln(2) (b + 1) (\tau_\mathrm{word} + \tau_\mathrm{bit}))
        + n_\mathrm{shared} t_\mathrm{conversion} + n_\mathrm{cycles} t_\mathrm{clock}

(`settle`); a ramp counts while the cells are read, so that of its :math:`n_\mathrm{shared}`
conversions the first takes no time of its own. The reads of a tile follow each other, tiles work at
once, and a step is as long as its longest path over edges that are passed in the same step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ...boards.macro import Macro
from ...compiler.backend import ProfileRequest, Progress, no_progress
from ...compiler.connectivity import apply, to_sparse
from ...compiler.integer.executor import Executor
from ...compiler.integer.population import (
    integer_neuron,
    registered,
    same_step_order,
    spiking_populations,
)
from ...compiler.ladder import quantised
from ...compiler.profile.crossbar import CrossbarProfile, Stage
from ...compiler.profile.ledger import Line
from ...ir.connections import Connection, Delay, Flatten, OneToOne, Scale, stages
from ...ir.diagnostics import fail
from ...ir.events import Events
from ...ir.graph import Graph, Population, Projection
from .conditions import Membranes
from .curve import chord
from .design import Design, weighted
from .files import read_design
from .layout import Scheme, Tile
from .prices import Prices, line_of, width_of
from .settle import elmore, settling

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Numbers that are held at once while reads are counted.
_HELD: Final = 1 << 22
ASSUMED: Final = (
    "an addition, a multiplication with its addition, or a neuron's update takes a clock cycle",
    "a population has as many update units as there are converters before it",
    "conversions begin when the pulse has ended (a ramp's first with it), digital work when they "
    "have; nothing else overlaps",
    "tiles of the same outputs take turns at their accumulators, which are registers",
    "spikes are read in the step in which they are sent; sums wait where there is a delay",
    "cells draw what they would without wires; a line of cells settles as one of one pole",
)
UNKNOWN: Final = (
    "leakage",
    "sense amplifiers, drivers, multiplexers",
    "clock and control",
    "the way of spikes from layer to layer",
    "programming of cells",
)


def profile_artifact(request: ProfileRequest, macro: Macro) -> CrossbarProfile:
    """The profile of an artefact on a stimulus; E0705 as `read_design` raises it.

    E1332 for analogue neurons: no source that was read says what they take.
    """
    graph = quantised(request.artifact)
    found = read_design(request.artifact, graph, macro)
    if found.conditions.neuron is Membranes.ANALOGUE:
        raise fail(
            "E1332",
            "there are no constants for capacitors and comparators of analogue neurons: what they "
            "take is not known",
            hint="compile without --condition neuron=analogue to see what all the rest takes",
        )
    executor = Executor(graph)
    recording = executor.run(
        request.stimulus,
        populations=spiking_populations(graph),
        raw=True,
        progress=lambda share: request.progress("integer", share),
    )
    events = recording.spikes | dict(request.stimulus.inputs)
    steps = request.stimulus.steps + executor.lag
    return profile_design(graph, found, events, request.stimulus.samples, steps, request.progress)


def profile_design(
    graph: Graph,
    found: Design,
    events: Mapping[str, Events],
    samples: int,
    steps: int,
    progress: Progress = no_progress,
) -> CrossbarProfile:
    """The profile of a design on the events of its inputs and spiking populations.

    ``steps`` are those of the hardware, lags included, as are those of the events.
    """
    prices = Prices(found)
    order = same_step_order(graph)
    every: list[Stage] = []
    lines: list[Line] = []
    busy: dict[str, Floats] = {}
    reads: list[int] = []
    for name in order:
        population = graph.node(name)
        assert isinstance(population, Population)
        converters = 1
        for p in graph.incoming(name):
            work = _Work.of(p, population, prices)
            counts = work.count(events.get(p.pre), samples, steps)
            every.append(work.stage)
            busy[p.name] = counts.busy
            reads.append(int(counts.reads.sum()))
            lines.extend(work.lines(counts))
            converters = max(converters, sum(placed.converters for placed in work.tiles))
        cycles = -(-population.size // converters)
        stage = Stage(name, "neurons", digital=cycles * prices.clock)
        every.append(stage)
        busy[stage.title] = np.full((samples, steps), stage.digital)
        reads.append(0)
        lines.extend(_updates(population, stage.title, samples * steps, prices))
        progress("counting", (order.index(name) + 1) / len(order))
    seconds, critical = _longest(graph, order, busy)
    titles = [stage.title for stage in every]
    return CrossbarProfile(
        macro=found.macro.name,
        title=found.macro.title,
        conditions=found.conditions.said,
        stages=tuple(every),
        seconds=seconds,
        busy=np.stack([busy[title] for title in titles]),
        critical=np.stack([critical[title] for title in titles]),
        reads=np.array(reads, np.int64),
        ledger=tuple(lines),
        timing=prices.timing,
        assumed=ASSUMED,
        unknown=(*UNKNOWN, *prices.unknown(graph.projections)),
    )


# -- projections -----------------------------------------------------------------------------------


@dataclass
class _Counts:
    """What a projection does: pulses of each row of each block, reads of each tile.

    ``busy`` (samples, steps) in s; ``additions`` and ``multiplications`` of stages without cells.
    """

    busy: Floats
    reads: Integers
    pulses: list[Integers]
    additions: int = 0
    multiplications: int = 0


@dataclass(frozen=True)
class _Placed:
    """A tile, and how a read of it goes: ``channels`` are converted and make ``groups`` sums."""

    tile: Tile
    number: int
    lines: int
    channels: int
    groups: int
    converters: int
    stage: Stage

    @classmethod
    def of(cls, number: int, turns: int, scheme: Scheme, prices: Prices) -> _Placed:
        """Tile ``number`` of a design, of ``turns`` that add to the same accumulators."""
        tile = prices.design.tiles[number]
        lines, columns = tile.lines(scheme), int(prices.macro.adc.columns.value)
        used = np.flatnonzero(tile.column >= 0)
        # The first bit line of each channel: of pairs the plus side.
        first = scheme.shared + used[:, None] * scheme.width
        first = first + np.arange(scheme.slices) * (scheme.width // scheme.slices)
        channels = np.concatenate([np.arange(scheme.shared), first.ravel()])
        shared = int(np.bincount(channels // columns).max(initial=0))
        if prices.macro.adc.kind == "ramp":
            shared = max(shared - 1, 0)
        cycles = _shifts(scheme) + 1 + turns
        stage = Stage(
            tile.projection,
            "tiles",
            pulse=prices.pulse,
            settle=settling(_slowest(number, prices), prices.bits),
            convert=shared * prices.conversion_time,
            digital=cycles * prices.clock,
        )
        return cls(tile, number, lines, channels.size, used.size, -(-lines // columns), stage)


def _shifts(scheme: Scheme) -> int:
    """Additions that make one sum of a group's slices, those that take the offset off too."""
    return scheme.slices - 1 + scheme.shared


def _slowest(number: int, prices: Prices) -> float:
    """Elmore's delay of the slowest word line of a tile and of its slowest bit line."""
    wires, electrics = prices.macro.wires, prices.electrics
    siemens = chord(electrics.device, prices.design.targets[number], electrics.voltage)
    word = elmore(siemens, electrics.word, electrics.driver, wires.word_capacitance)
    # Cells of silent rows are cut off, or to 0 V as those of a bit line's sense amplifier are.
    loads = np.zeros_like(siemens) if electrics.gated else siemens
    below = np.ascontiguousarray(loads.T[:, ::-1])
    bit = elmore(below, electrics.bit, electrics.sense, wires.bit_capacitance)
    return float(word.max() + bit.max())


def _turns(tiles: list[Tile]) -> list[int]:
    """How many tiles of a block add to the sums that each one adds to, itself among them."""
    adding: dict[tuple[int, int], int] = {}
    for tile in tiles:
        for column in tile.column[tile.column >= 0].tolist():
            adding[tile.block, column] = adding.get((tile.block, column), 0) + 1
    return [
        max((adding[tile.block, c] for c in tile.column[tile.column >= 0].tolist()), default=1)
        for tile in tiles
    ]


@dataclass(frozen=True)
class _Work:
    """What a projection asks of the hardware; without tiles where no weights of it are cells."""

    projection: Projection
    prices: Prices
    tiles: tuple[_Placed, ...]
    acc_bits: int

    @classmethod
    def of(cls, projection: Projection, post: Population, prices: Prices) -> _Work:
        """That of a projection of the design."""
        name, design = projection.name, prices.design
        mine = [k for k, tile in enumerate(design.tiles) if tile.projection == name]
        turns = _turns([design.tiles[k] for k in mine])
        placed = tuple(
            _Placed.of(k, turn, design.layers[name].scheme, prices)
            for k, turn in zip(mine, turns, strict=True)
        )
        return cls(projection, prices, placed, integer_neuron(post).numerics.acc_bits)

    @property
    def stage(self) -> Stage:
        """The layer, with the times of its slowest tile."""
        name = self.projection.name
        if not self.tiles:
            return Stage(name, "stage", digital=self.prices.clock)
        slow = max((placed.stage for placed in self.tiles), key=lambda stage: stage.read)
        cells = sum(self.prices.design.targets[placed.number].size for placed in self.tiles)
        return replace(slow, tiles=len(self.tiles), cells=cells)

    def count(self, events: Events | None, samples: int, steps: int) -> _Counts:
        """Go through all steps in which something is sent."""
        blocks = self.prices.design.layers[self.projection.name].blocks if self.tiles else ()
        busy = np.zeros(samples * steps)
        counts = _Counts(
            busy.reshape(samples, steps),
            np.zeros(len(self.tiles), np.int64),
            [np.zeros(block.weight.shape[0], np.int64) for block in blocks],
        )
        last, every = weighted(self.projection), stages(self.projection.connection)
        first = every if last is None else every[: every.index(last)]
        before = [(stage, _fan_out(stage)) for stage in first]
        held = max(
            [int(np.prod(self.projection.connection.in_shape))] + [b.pre.size for b in blocks]
        )
        for when, x in _steps_of(events, steps, max(1, _HELD // held)):
            operations, x = self._before(x, before, counts)
            took = np.zeros(when.size)
            x = np.pad(np.abs(x), ((0, 0), (0, 1)))
            for number, block in enumerate(blocks):
                vectors = x[:, block.pre]
                counts.pulses[number] += vectors.sum(axis=(0, 1))
                known: dict[bytes, Integers] = {}
                for k, placed in enumerate(self.tiles):
                    if placed.tile.block != number:
                        continue
                    rows = np.sort(placed.tile.row[placed.tile.row >= 0])
                    key = rows.tobytes()
                    if key not in known:
                        # A read for each pulse that any row has.
                        known[key] = vectors[:, :, rows].max(axis=2, initial=0).sum(axis=1)
                    counts.reads[k] += known[key].sum()
                    took = np.maximum(took, known[key] * placed.stage.read)
            busy[when] = took + operations * self.prices.clock
        return counts

    def _before(
        self, x: Integers, before: list[tuple[Connection, Integers]], counts: _Counts
    ) -> tuple[Integers, Integers]:
        """Operations of each step before the weights, and what reaches them."""
        total = np.zeros(len(x), np.int64)
        for stage, fan in before:
            additions = (x != 0) @ fan
            counts.additions += int(additions.sum())
            if isinstance(stage, OneToOne | Scale):
                counts.multiplications += int(additions.sum())
            total += additions
            x = np.asarray(apply(stage, x), np.int64)
        return total, x

    def lines(self, counts: _Counts) -> Iterator[Line]:
        """The ledger of the projection."""
        name, prices = self.projection.name, self.prices
        post = self.projection.post
        acc = width_of(self.acc_bits, f"the quantised network: accumulators of '{post}'")
        weight = integer_weight_bits(self.projection)
        if counts.additions:
            add = prices.add(acc)
            yield line_of(name, "stage_additions", counts.additions, "add", add, "n E_add(b)")
        if counts.multiplications:
            width = width_of(weight, f"the quantised network: weights of '{name}'")
            many = counts.multiplications
            multiply = prices.multiply(width)
            yield line_of(name, "stage_multiplications", many, "multiply", multiply, "n E_mul(b)")
        if not self.tiles:
            return
        design = prices.design
        scheme = design.layers[name].scheme
        siemens, charged, conversions, sums = 0.0, 0, 0, 0
        for placed, reads in zip(self.tiles, counts.reads.tolist(), strict=True):
            rows = placed.tile.row
            pulses = np.where(rows >= 0, counts.pulses[placed.tile.block][rows], 0)
            cells = design.targets[placed.number]
            chords = chord(prices.electrics.device, cells, prices.electrics.voltage)
            siemens += float(pulses @ chords.sum(axis=1))
            charged += int(pulses.sum()) * placed.lines
            conversions += reads * placed.channels
            sums += reads * placed.groups
        yield line_of(name, "cells", siemens, "read", prices.cell(), "sum of n G V^2 t_read", "S")
        charge = "n pitch C V^2"
        yield line_of(name, "word_lines", charged, "charge", prices.word_line(), charge)
        if prices.converts:
            priced, symbols = prices.conversion()
            yield line_of(name, "conversions", conversions, "conversion", priced, symbols)
        code = prices.bits if prices.converts else self.acc_bits
        width = width_of(
            code + (scheme.base.bit_length() - 1) * (scheme.slices - 1),
            f"the mapping of '{name}': bits of a code, and of its slices",
        )
        if _shifts(scheme):
            many, add = sums * _shifts(scheme), prices.add(width)
            yield line_of(name, "shift_adds", many, "add", add, "n E_add(b)")
        multiply = prices.multiply(width)
        yield line_of(name, "gains", sums, "multiply", multiply, "n E_mul(b)")
        if design.conditions.calibrate:
            yield line_of(name, "offsets", sums, "add", prices.add(width), "n E_add(b)")
        yield line_of(name, "partial_sums", sums, "add", prices.add(acc), "n E_add(b)")


def integer_weight_bits(projection: Projection) -> int:
    """Bits of the largest weight of a projection with its sign, 1 where it has none."""
    weights = [getattr(stage, "weight", None) for stage in stages(projection.connection)]
    most = max((int(np.abs(w).max(initial=0)) for w in weights if w is not None), default=0)
    return most.bit_length() + 1


def _fan_out(stage: Connection) -> Integers:
    """The sums that each line of a stage without cells is in, (in_size,)."""
    if isinstance(stage, Flatten | Delay):
        return np.zeros(int(np.prod(stage.in_shape)), np.int64)
    return np.diff(to_sparse(stage).indptr).astype(np.int64)


def _steps_of(events: Events | None, steps: int, most: int) -> Iterator[tuple[Integers, Integers]]:
    """Steps in which something is sent, counted through all samples, and what: (steps, size).

    At most so many at a time.
    """
    if events is None or not events.index.size:
        return
    when = events.sample.astype(np.int64) * steps + events.step
    each, at = np.unique(when, return_inverse=True)
    order = np.argsort(at, kind="stable")
    index, value = events.index[order], events.value[order].astype(np.int64)
    at = at[order]
    for first in range(0, each.size, most):
        low, high = np.searchsorted(at, (first, first + most))
        x = np.zeros((min(most, each.size - first), events.size), np.int64)
        np.add.at(x, (at[low:high] - first, index[low:high]), value[low:high])
        yield each[first : first + most], x


# -- neurons ---------------------------------------------------------------------------------------


def _updates(population: Population, layer: str, steps: int, prices: Prices) -> Iterator[Line]:
    """The ledger of a population whose neurons are all updated in every one of ``steps``."""
    neuron = integer_neuron(population)
    bits, many = neuron.numerics.state.width, population.size * steps
    width = width_of(bits, f"the quantised network: state of '{population.name}'")
    multiplications, additions = operations(population)
    if multiplications:
        count, multiply = many * multiplications, prices.multiply(width)
        yield line_of(layer, "update_multiplications", count, "multiply", multiply, "n E_mul(b)")
    count = many * additions
    yield line_of(layer, "update_additions", count, "add", prices.add(width), "n E_add(b)")
    held = bits * len(neuron.state) + neuron.refractory.bit_length()
    yield line_of(layer, "state_bits", 2 * held * many, "sram_bit_energy", prices.bit(), "n E_bit")


def operations(population: Population) -> tuple[int, int]:
    r"""Multiplications and additions of a neuron's update, as `Numerics` has it.

    A decay of one is none. An addition each: of the sum to the membrane, of the bias, of the sum to
    a synaptic current and of that to the membrane, of a linear leak, of a refractory counter and
    of an adaptive threshold, whose decay is another; of the comparisons with the lower clamp and
    with the threshold, and of a reset that subtracts. An Izhikevich membrane multiplies twice and
    adds three times a sub-step, its recovery twice each.
    """
    neuron = integer_neuron(population)
    one = 1 << neuron.numerics.decay_bits
    multiplications, additions = 0, 1
    if neuron.curve is not None:
        multiplications += 2 * neuron.substeps + 2
        additions += 3 * neuron.substeps + 2
    else:
        multiplications += int(neuron.leak is None and bool((neuron.decay_v != one).any()))
        multiplications += int(neuron.decay_u is not None)
        additions += int(neuron.decay_u is not None) + int(neuron.leak is not None)
    additions += int(bool(neuron.bias.any()))
    additions += int(bool((neuron.v_min > neuron.numerics.state.low).any()))
    additions += int(neuron.spiking) + int(neuron.reset in ("subtract", "two_phase"))
    additions += int(neuron.refractory > 0) + 2 * int(neuron.adapt_inc is not None)
    return multiplications, additions


# -- steps -----------------------------------------------------------------------------------------


def _longest(
    graph: Graph, order: list[str], busy: Mapping[str, Floats]
) -> tuple[Floats, dict[str, npt.NDArray[np.bool_]]]:
    """Seconds of each step, and which layers are on its longest path, each (samples, steps).

    A read follows the update of the neurons that sent it, unless they send through a register. The
    neurons behind wait for it unless it has a delay.
    """
    shape = next(iter(busy.values())).shape
    end: dict[str, Floats] = {}
    chosen: dict[str, Integers] = {}
    for name in order:
        arrival, by = np.zeros(shape), np.full(shape, -1)
        for k, p in enumerate(graph.incoming(name)):
            if not p.delay:
                done = _start(p, graph, end, shape) + busy[p.name]
                by = np.where(done > arrival, k, by)
                arrival = np.maximum(arrival, done)
        title = Stage(name, "neurons").title
        end[name], chosen[name] = arrival + busy[title], by
    late = {p.name: _start(p, graph, end, shape) + busy[p.name] for p in graph.projections}
    ends = {Stage(name, "neurons").title: end[name] for name in order} | late
    last = np.argmax(np.stack(list(ends.values())), axis=0)
    critical = {title: last == k for k, title in enumerate(ends)}
    for name in reversed(order):
        mine = critical[Stage(name, "neurons").title]
        for p in graph.outgoing(name):
            if not registered(p, graph):
                mine |= critical[p.name]
        for k, p in enumerate(graph.incoming(name)):
            critical[p.name] |= mine & (chosen[name] == k)
    return np.max(np.stack(list(ends.values())), axis=0), critical


def _start(
    projection: Projection, graph: Graph, end: Mapping[str, Floats], shape: tuple[int, ...]
) -> Floats:
    """When in a step the spikes of a projection are there."""
    if projection.pre not in end or registered(projection, graph):
        return np.zeros(shape)
    return end[projection.pre]
