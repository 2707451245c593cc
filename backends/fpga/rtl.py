"""The rtl rung: the core that is in the bitstream, simulated, fed with a host's own frames."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...hdl.shape import CoreShape
from ...ir.events import Events, Recording, Stimulus
from ...ir.neurons import IntegerNeuron
from .host import Run, Script, decode_replies, stimulus_to_commands
from .lower import LoweredCore
from .simulate import Progress as SimulationProgress
from .simulate import SimulatorBuild, run_device

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
    preamble: Script | None = None,
    progress: Any = None,
) -> RtlRun:
    """Run ``stimulus`` on a simulator of ``core``; ``preamble`` is sent first (a loaded image).

    Samples are shared out over the machine's cores: state is cleared before each.
    """
    counts = device_counts(core, stimulus)
    parts = [p for p in np.array_split(counts, min(len(counts), os.cpu_count() or 1)) if len(p)]
    trace = bool(record) or any(_graded(core, name) for name in populations)
    shares = [0.0] * len(parts)

    def one(number: int, part: npt.NDArray[np.int64]) -> tuple[Run, npt.NDArray[Any], int]:
        def watch(state: SimulationProgress) -> None:
            shares[number] = state.sent / max(state.bytes, 1)
            if progress is not None:
                progress(sum(shares) / len(shares))

        script = stimulus_to_commands(part)
        whole = script if preamble is None else preamble + script
        result = run_device(build, whole, trace=trace, progress=watch)
        skip = 0 if preamble is None else preamble.answers
        replies = decode_replies(
            result.tx_bytes[skip:], len(part), part.shape[1], step_bits=core.shape.step_bits
        )
        return replies, result.trace, result.cycles

    with ThreadPoolExecutor(len(parts)) as pool:
        results = list(pool.map(one, range(len(parts)), parts))
    states = _states(core.shape, results, counts.shape[:2]) if trace else {}
    recording = Recording(
        "rtl",
        core.graph.dt,
        {name: _emission(core, name, results, states, stimulus) for name in populations},
        {key: _aligned(core, key, states, stimulus.steps) for key in record},
    )
    cycles = np.concatenate([run.cycles for run, _, _ in results])
    return RtlRun(recording, cycles, max(total for _, _, total in results))


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


def _states(
    shape: CoreShape, results: list[Any], size: tuple[int, int]
) -> dict[str, npt.NDArray[np.int64]]:
    trace = np.concatenate([records for _, records, _ in results])
    cube = trace.reshape(*size, -1)
    return {"v": cube["v"].astype(np.int64), "u": cube["u"].astype(np.int64)}


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
    results: list[Any],
    states: dict[str, npt.NDArray[np.int64]],
    stimulus: Stimulus,
) -> Events:
    population = core.graph.population(name)
    late = int(population.semantics.registered)
    if _graded(core, name):
        values = _aligned(core, (name, "v"), states, stimulus.steps)
        return Events.from_dense(values).shifted(-late, stimulus.steps)
    first = core.placement.neurons[name]
    columns: list[list[npt.NDArray[np.int64]]] = [[], [], []]
    before = 0
    for run, _, _ in results:
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
