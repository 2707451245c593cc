"""The rtl rung: the core that is in the bitstream, simulated, fed with a host's own frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.events import Events, Recording, Stimulus
from ...ir.neurons import IntegerNeuron
from .host import (
    Run,
    Script,
    decode_replies,
    load_image,
    loaded,
    report_bytes,
    stimulus_to_commands,
)
from .lower import LoweredCore
from .simulate import Progress as SimulationProgress
from .simulate import SimulatorBuild, run_devices

# The decoded replies of some samples, and the trace records of the same.
Answers = tuple[Run, npt.NDArray[Any]]
PHASES = ("events", "commit")


@dataclass(frozen=True)
class RtlRun:
    """Recording of the simulated device and its own cycle counters.

    ``cycles`` has shape (samples, hardware steps, 2): events, commit.
    """

    recording: Recording
    cycles: npt.NDArray[np.int64]
    clock_cycles: int


def run_rtl(
    core: LoweredCore,
    build: SimulatorBuild,
    stimulus: Stimulus,
    *,
    populations: Sequence[str],
    record: Sequence[tuple[str, str]] = (),
    progress: Any = None,
) -> RtlRun:
    """Run ``stimulus`` on a simulator of ``core``.

    Samples are shared out over the machine's cores: state is cleared before each.
    """
    counts = device_counts(core, stimulus)
    parts = [p for p in np.array_split(counts, min(len(counts), os.cpu_count() or 1)) if len(p)]
    # What does not leave the core over the link is read from the trace.
    trace = bool(record) or any(not emits(core, name) for name in populations)
    shares = [0.0] * len(parts)

    def watch(number: int, state: SimulationProgress) -> None:
        shares[number] = state.sent / max(state.bytes, 1)
        if progress is not None:
            progress(sum(shares) / len(shares))

    # Weights in such memory cannot come with the bitstream.
    needed = core.shape.weight_storage == "huge"
    load = load_image(core.image) if needed else Script(b"", 0)
    scripts = [load + stimulus_to_commands(part) for part in parts]
    size = report_bytes(core.shape)
    results = run_devices(build, scripts, report_bytes=size, trace=trace, progress=watch)
    answers = [
        (
            decode_replies(loaded(result.tx_bytes, load), len(part), part.shape[1], core.shape),
            result.trace,
        )
        for part, result in zip(parts, results, strict=True)
    ]
    recording = interpret(core, answers, stimulus, populations=populations, record=record)
    cycles = np.concatenate([run.cycles for run, _ in answers])
    return RtlRun(recording, cycles, max(result.cycles for result in results))


def interpret(
    core: LoweredCore,
    answers: Sequence[Answers],
    stimulus: Stimulus,
    *,
    populations: Sequence[str],
    record: Sequence[tuple[str, str]] = (),
) -> Recording:
    """What the device's answers to ``device_counts`` say about the network.

    ``answers`` holds consecutive runs of samples, each with its trace (empty when nothing in
    ``populations`` or ``record`` needs one).
    """
    size = (stimulus.samples, stimulus.steps + core.lag)
    trace = any(records.size for _, records in answers)
    states = _states(core, answers, size) if trace else {}
    return Recording(
        "rtl",
        core.graph.dt,
        {name: _emission(core, name, answers, states, stimulus) for name in populations},
        {key: _aligned(core, key, states, stimulus.steps) for key in record},
    )


def device_counts(core: LoweredCore, stimulus: Stimulus) -> npt.NDArray[np.int64]:
    """Event counts for every input line of the core: (samples, steps + lag, lines).

    The steps after the stimulus are silent; retimed populations need them to finish.
    """
    length = stimulus.steps + core.lag
    counts = np.zeros((stimulus.samples, length, core.shape.inputs), np.int64)
    for node in core.graph.inputs:
        events = stimulus.inputs[node.name]
        first = core.placement.inputs[node.name]
        np.add.at(counts, (events.sample, events.step, events.index + first), events.value)
    return counts


def _graded(core: LoweredCore, name: str) -> bool:
    neuron = core.graph.population(name).neuron
    return isinstance(neuron, IntegerNeuron) and not neuron.spiking


def emits(core: LoweredCore, name: str) -> bool:
    """Whether the spikes of a population leave the core."""
    first = core.image.neuron_class[core.placement.neurons[name] // core.shape.units]
    return bool(core.image.class_emit[first])


def _states(
    core: LoweredCore, answers: Sequence[Answers], size: tuple[int, int]
) -> dict[str, npt.NDArray[np.int64]]:
    """Every state word of every step: neurons that a step passed over keep theirs."""
    trace = np.concatenate([records for _, records in answers])
    samples, steps = size
    states = {
        name: np.zeros((samples, steps, core.shape.neurons), np.int64)
        for name in ("v", "u", "spike")
    }
    at, neuron = trace["step"].astype(np.int64), trace["index"].astype(np.int64)
    # The first step of a sample sweeps all neurons, each step in order.
    fresh = np.ones(at.size, bool)
    fresh[1:] = (at[1:] == 0) & ((at[:-1] != 0) | (neuron[1:] <= neuron[:-1]))
    sample = np.cumsum(fresh) - 1
    for name, cube in states.items():
        cube[sample, at, neuron] = trace[name]
    seen = np.zeros((samples, steps, core.shape.neurons), bool)
    seen[sample, at, neuron] = True
    # The last step in which each was seen; before the first there is nothing but zero.
    last = np.maximum.accumulate(np.where(seen, np.arange(steps)[None, :, None], -1), axis=1)
    for name in ("v", "u"):
        kept = np.take_along_axis(states[name], np.maximum(last, 0), axis=1)
        states[name] = np.where(last >= 0, kept, 0)
    return states


def _aligned(
    core: LoweredCore,
    key: tuple[str, str],
    states: dict[str, npt.NDArray[np.int64]],
    steps: int,
) -> npt.NDArray[np.int64]:
    population = core.graph.population(key[0])
    window = states[key[1]][:, population.lag : population.lag + steps]
    return window[:, :, core.placement.places(population)]


def _emission(
    core: LoweredCore,
    name: str,
    answers: Sequence[Answers],
    states: dict[str, npt.NDArray[np.int64]],
    stimulus: Stimulus,
) -> Events:
    population = core.graph.population(name)
    late = int(population.semantics.registered)
    if _graded(core, name):
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
