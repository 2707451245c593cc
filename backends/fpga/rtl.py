"""The rtl rung: the core that is in the bitstream, simulated, fed with a host's own frames."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...hdl.cluster_shape import ClusterShape
from ...hdl.shape import Memory, ParallelShape
from ...ir.diagnostics import fail
from ...ir.events import Events, Recording, Stimulus
from ...ir.neurons import IntegerNeuron
from .cluster import Lowered, LoweredCluster
from .host import (
    Run,
    Script,
    decode_replies,
    learning_phase,
    load_image,
    loaded,
    read_memory,
    read_words,
    report_bytes,
    stimulus_to_commands,
)
from .pace import own_pace
from .simulate import Progress as SimulationProgress
from .simulate import SimulatorBuild, run_devices

# The decoded replies of some samples, and the trace records of the same.
Answers = tuple[Run, npt.NDArray[Any]]
PHASES = ("events", "commit")


@dataclass(frozen=True)
class RtlRun:
    """Recording of the simulated device and its own cycle counters.

    ``cycles`` has shape (samples, hardware steps, 2): events, commit. ``pace`` is `own_pace`.
    ``link_bytes`` went to the device, and came from it, for the stimulus.
    """

    recording: Recording
    cycles: npt.NDArray[np.int64]
    clock_cycles: int
    link_bytes: tuple[int, int]
    pace: npt.NDArray[np.int64] | None = None


def run_rtl(
    core: Lowered,
    build: SimulatorBuild,
    stimulus: Stimulus,
    *,
    populations: Sequence[str],
    record: Sequence[tuple[str, str]] = (),
    learning: bool = True,
    pace: bool = False,
    progress: Any = None,
) -> RtlRun:
    """Run ``stimulus`` on a simulator of ``core``.

    Samples are shared out over the machine's cores: state is cleared before each. A network that
    learns sees them one after the other; ``learning`` says whether its weights change. The core's
    own ``pace`` is found if it is asked for.
    """
    counts = device_counts(core, stimulus)
    learns = core.shape.learning is not None
    shares_out = 1 if learns else min(len(counts), os.cpu_count() or 1)
    parts = [p for p in np.array_split(counts, shares_out) if len(p)]
    # What does not leave the core over the link is read from the trace.
    trace = bool(record) or pace or any(not emits(core, name) for name in populations)
    shares = [0.0] * len(parts)

    def watch(number: int, state: SimulationProgress) -> None:
        shares[number] = state.sent / max(state.bytes, 1)
        if progress is not None:
            progress(sum(shares) / len(shares))

    # Weights in such memory cannot come with the bitstream.
    needed = core.shape.weight_storage == "huge"
    load = load_image(core.image) if needed else Script(b"", 0)
    phase, read = Script(b"", 0), Script(b"", 0)
    if learns:
        phase = learning_phase(learning)
        depth = core.shape.depth(Memory.WEIGHTS)
        read = read_memory(core.shape, Memory.WEIGHTS, range(depth))
    commands = [stimulus_to_commands(part) for part in parts]
    scripts = [load + phase + command + read for command in commands]
    size = report_bytes(core.shape)
    results = run_devices(
        build,
        scripts,
        report_bytes=size,
        trace=trace,
        # A device that stands still is noticed by its clock; one that goes on may take hours.
        timeout=math.inf,
        progress=watch,
    )
    behind = sum(1 + size for size in read.read_sizes)
    replies = [loaded(result.tx_bytes, load) for result in results]
    said = [data[: len(data) - behind] for data in replies]
    answers = [
        (decode_replies(data, len(part), part.shape[1], core.shape), result.trace)
        for part, data, result in zip(parts, said, results, strict=True)
    ]
    recording = interpret(core, answers, stimulus, populations=populations, record=record)
    words: list[int] = []
    if learns:
        tail = replies[0][len(replies[0]) - behind :]
        words = read_words(tail, read, core.shape.word_bytes(Memory.WEIGHTS))
    recording = replace(recording, weights=core.learned(words))
    cycles = np.concatenate([run.cycles for run, _ in answers])
    own = None
    if pace:
        records = np.concatenate([part for _, part in answers])
        own = own_pace(core, counts, _samples(records), records)
    link = sum(len(command.data) for command in commands), sum(map(len, said))
    return RtlRun(recording, cycles, max(result.cycles for result in results), link, own)


def interpret(
    core: Lowered,
    answers: Sequence[Answers],
    stimulus: Stimulus,
    *,
    populations: Sequence[str],
    record: Sequence[tuple[str, str]] = (),
    states: Mapping[str, npt.NDArray[np.int64]] | None = None,
) -> Recording:
    """What the device's answers to ``device_counts`` say about the network.

    ``answers`` holds consecutive runs of samples, each with its trace (empty when nothing in
    ``populations`` or ``record`` needs one); ``states`` are used instead of traces.
    """
    size = (stimulus.samples, stimulus.steps + core.lag)
    trace = any(records.size for _, records in answers)
    if states is None:
        states = _states(core, answers, size) if trace else {}
    return Recording(
        "rtl",
        core.graph.dt,
        {name: _emission(core, name, answers, states, stimulus) for name in populations},
        {key: _aligned(core, key, states, stimulus.steps) for key in record},
    )


def device_counts(core: Lowered, stimulus: Stimulus) -> npt.NDArray[np.int64]:
    """Event counts for every input line of the core: (samples, steps + lag, lines).

    The steps after the stimulus are silent; retimed populations need them to finish. E0703 for
    more events than a line of the core can count.
    """
    length = stimulus.steps + core.lag
    counts = np.zeros((stimulus.samples, length, core.shape.inputs), np.int64)
    for node in core.graph.inputs:
        events = stimulus.inputs[node.name]
        first = core.placement.inputs[node.name]
        np.add.at(counts, (events.sample, events.step, events.index + first), events.value)
    if (learning := core.shape.learning) is not None:
        rows = counts[:, :, learning.first_row : learning.first_row + learning.rows]
        if (rows > 1).any():
            sample, step, line = np.argwhere(rows > 1)[0]
            raise fail(
                "E0703",
                f"line {line} of the plastic projection spikes {rows[sample, step, line]} times in "
                f"step {step} of sample {sample}; a core that learns reads a row once a step",
                hint="spread the spikes over steps, or learn on the integer rung",
            )
    if isinstance(core.shape, ParallelShape):
        most, largest = (1 << core.shape.input_bits) - 1, int(counts.max(initial=0))
        if largest > most:
            raise fail(
                "E0703",
                f"an input line has {largest} events in one step; the circuit counts {most}",
                hint=f"compile with --input-max {largest}",
            )
    return counts


def graded(core: Lowered, name: str) -> bool:
    """Whether a population emits values: its membrane, in every step."""
    neuron = core.graph.population(name).neuron
    return isinstance(neuron, IntegerNeuron) and not neuron.spiking


def emits(core: Lowered, name: str) -> bool:
    """Whether the spikes of a population leave the device."""
    if isinstance(core, LoweredCluster):
        return any(emits(part, name) for part in core.parts if name in part.placement.neurons)
    first = core.image.neuron_class[core.placement.neurons[name] // core.shape.units]
    return bool(core.image.class_emit[first])


def _states(
    core: Lowered, answers: Sequence[Answers], size: tuple[int, int]
) -> dict[str, npt.NDArray[np.int64]]:
    """Every state word of every step: neurons that a step passed over keep theirs."""
    trace = np.concatenate([records for _, records in answers])
    samples, steps = size
    states = {
        name: np.zeros((samples, steps, core.shape.neurons), np.int64)
        for name in ("v", "u", "spike", *(("h",) if core.shape.adaptive else ()))
    }
    seen = np.zeros((samples, steps, core.shape.neurons), bool)
    first = core.shape.bases if isinstance(core.shape, ClusterShape) else (0,)
    of = np.searchsorted(first, trace["index"], side="right") - 1
    for number in range(len(first)):
        records = trace if len(first) == 1 else trace[of == number]
        at, neuron = records["step"].astype(np.int64), records["index"].astype(np.int64)
        sample = _samples(records)
        for name, cube in states.items():
            cube[sample, at, neuron] = records[name]
        seen[sample, at, neuron] = True
    # The last step in which each was seen; before the first there is nothing but zero.
    last = np.maximum.accumulate(np.where(seen, np.arange(steps)[None, :, None], -1), axis=1)
    for name in states.keys() - {"spike"}:
        kept = np.take_along_axis(states[name], np.maximum(last, 0), axis=1)
        states[name] = np.where(last >= 0, kept, 0)
    return states


def _samples(records: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The sample of each record of one core's trace."""
    at, neuron = records["step"], records["index"]
    # The first step of a sample sweeps all neurons of a core, each step in order.
    fresh = np.ones(at.size, bool)
    fresh[1:] = (at[1:] == 0) & ((at[:-1] != 0) | (neuron[1:] <= neuron[:-1]))
    return np.cumsum(fresh) - 1


def _aligned(
    core: Lowered,
    key: tuple[str, str],
    states: Mapping[str, npt.NDArray[np.int64]],
    steps: int,
) -> npt.NDArray[np.int64]:
    population = core.graph.population(key[0])
    window = states[key[1]][:, population.lag : population.lag + steps]
    return window[:, :, core.placement.places(population)]


def _emission(
    core: Lowered,
    name: str,
    answers: Sequence[Answers],
    states: Mapping[str, npt.NDArray[np.int64]],
    stimulus: Stimulus,
) -> Events:
    population = core.graph.population(name)
    late = int(population.semantics.registered)
    if graded(core, name):
        values = _aligned(core, (name, "v"), states, stimulus.steps)
        return Events.from_dense(values).shifted(-late, stimulus.steps)
    if not emits(core, name):
        fired = _aligned(core, (name, "spike"), states, stimulus.steps)
        return Events.from_dense(fired).shifted(-late, stimulus.steps)
    index = np.full(core.shape.neurons, -1, np.int64)
    index[core.placement.places(population)] = np.arange(population.size)
    columns: list[list[npt.NDArray[np.int64]]] = [[], [], []]
    before = 0
    for run, _ in answers:
        step = run.step - population.lag + late
        keep = (index[run.neuron] >= 0) & (step >= 0) & (step < stimulus.steps)
        for column, part in zip(
            columns,
            (run.sample[keep] + before, step[keep], index[run.neuron[keep]]),
            strict=True,
        ):
            column.append(part)
        before += run.samples
    joined = [np.concatenate(column) for column in columns]
    return Events.from_events(stimulus.samples, stimulus.steps, population.size, *joined)
