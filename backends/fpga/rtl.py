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
from .host import Run, decode_replies, stimulus_to_commands
from .lower import LoweredCore
from .simulate import Progress as SimulationProgress
from .simulate import SimulatorBuild, run_devices

# The decoded replies of some samples, and the trace records of the same.
Answers = tuple[Run, npt.NDArray[Any]]
PHASES = ("accumulate", "commit", "propagate")


@dataclass(frozen=True)
class RtlRun:
    """Recording of the simulated device and its own cycle counters.

    ``cycles`` has shape (samples, hardware steps, 3): accumulate, commit, propagate.
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
    trace = bool(record) or any(not _emits(core, name) for name in populations)
    shares = [0.0] * len(parts)

    def watch(number: int, state: SimulationProgress) -> None:
        shares[number] = state.sent / max(state.bytes, 1)
        if progress is not None:
            progress(sum(shares) / len(shares))

    scripts = [stimulus_to_commands(part) for part in parts]
    results = run_devices(build, scripts, trace=trace, progress=watch)
    answers = [
        (
            decode_replies(
                result.tx_bytes, len(part), part.shape[1], step_bits=core.shape.step_bits
            ),
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


def _emits(core: LoweredCore, name: str) -> bool:
    first = core.image.neuron_class[core.placement.neurons[name]]
    return bool(core.image.class_emit[first])


def _states(
    core: LoweredCore, answers: Sequence[Answers], size: tuple[int, int]
) -> dict[str, npt.NDArray[np.int64]]:
    trace = np.concatenate([records for _, records in answers])
    cube = trace.reshape(*size, core.image.active_neurons)
    return {name: cube[name].astype(np.int64) for name in ("v", "u", "spike")}


def _aligned(
    core: LoweredCore,
    key: tuple[str, str],
    states: dict[str, npt.NDArray[np.int64]],
    steps: int,
) -> npt.NDArray[np.int64]:
    population = core.graph.population(key[0])
    first = core.placement.neurons[key[0]]
    window = states[key[1]][:, population.lag : population.lag + steps]
    return window[:, :, first : first + population.size]


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
    if not _emits(core, name):
        fired = _aligned(core, (name, "spike"), states, stimulus.steps)
        return Events.from_dense(fired).shifted(-late, stimulus.steps)
    first = core.placement.neurons[name]
    columns: list[list[npt.NDArray[np.int64]]] = [[], [], []]
    before = 0
    for run, _ in answers:
        inside = (run.neuron >= first) & (run.neuron < first + population.size)
        step = run.step[inside] - population.lag + late
        keep = (step >= 0) & (step < stimulus.steps)
        for column, part in zip(
            columns,
            (run.sample[inside][keep] + before, step[keep], run.neuron[inside][keep] - first),
            strict=True,
        ):
            column.append(part)
        before += run.samples
    joined = [np.concatenate(column) for column in columns]
    return Events.from_events(stimulus.samples, stimulus.steps, population.size, *joined)
