r"""A program's pulses for a stimulus, and spikes out of pulses.

In step n of a run input pulses are at :math:`n T + t_0`, clocks at :math:`n T + t_c`. A pulse at t
on the net of a neuron is its spike of the step n in whose window it falls,

.. math:: n T + l - g \le t \le n T + h + g,

[l, h] being the window and g half of what is left of the step at either side. Samples follow one
another: what a step leaves in the cells is cleared in it.

Where synapses release by chance, the run's seed is what they did: of machines it draws each
release, of circuits the noise of all resistors at the temperature of the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from ...boards.process import load_process
from ...compiler.backend import Outcome, Run
from ...ir.diagnostics import fail
from ...ir.events import Events, Recording, Stimulus
from . import josim
from .chance import KIND
from .circuit import Circuit
from .events import Machines
from .files import read_program
from .netlist import pulses
from .simulate import Simulator, Transient
from .synthesise import Program

Floats = npt.NDArray[np.float64]
EVENTS: Final = "events"
CIRCUIT: Final = "circuit"
JOSIM: Final = "josim"
# A transient of more steps than this is cut into pieces, each a run of its own.
_STEPS: Final = 64
STEP: Final = 0.1e-12
TAIL: Final = 20e-12


def drives(
    program: Program, stimulus: Stimulus, first: int = 0, last: int | None = None
) -> dict[str, Floats]:
    """Times of the pulses on every input net and clock, s from the start of step ``first``.

    Samples follow one another; steps from ``first`` on and before ``last``, to the end by default.
    E1437 for a line with more than one spike in a step, or part of one.
    """
    end = stimulus.samples * stimulus.steps if last is None else last
    begin: Floats = program.period * np.arange(end - first, dtype=np.float64)
    out: dict[str, Floats] = {}
    for name, nets in program.inputs.items():
        events = stimulus.inputs[name]
        if (events.value != 1).any():
            raise fail(
                "E1437",
                f"input '{name}' has a count of {events.value[events.value != 1][0]:g} in one step",
                hint="compile and run with counts of 0 and 1 (--input-max 1)",
            )
        when = events.sample.astype(np.int64) * events.steps + events.step
        here = (when >= first) & (when < end)
        for i, net in enumerate(nets):
            if net is not None:
                chosen = when[here & (events.index == i)] - first
                out[net] = np.asarray(begin[chosen] + program.start)
    return out | {net: np.asarray(begin + time) for net, time in program.clocks.items()}


def spikes(
    program: Program, population: str, samples: int, steps: int, of: Callable[[str], Floats]
) -> Events:
    """The spikes of a population out of the pulses on its nets, ``of`` a net in s."""
    nets = program.spikes[population]
    found = np.zeros((samples * steps, len(nets)), np.int64)
    for k, net in enumerate(nets):
        if net is None:
            found[:, k] = program.always[population][k]
        else:
            step = steps_of(program, net, of(net))
            np.add.at(found[:, k], step[(step >= 0) & (step < len(found))], 1)
    return Events.from_dense(found.reshape(samples, steps, len(nets)))


def steps_of(program: Program, net: str, times: Floats) -> npt.NDArray[np.int64]:
    """The step of each pulse on the net of a neuron, times in s from the start of step 0."""
    low, high = program.windows[net]
    nearest = np.floor((times - (low + high) / 2) / program.period + 0.5)
    return np.asarray(nearest, np.int64)


def run(request: Run, rung: str) -> Outcome:
    """Run a rung: `events` by machines and delays, `circuit` by the equations of junctions.

    `josim` is the same circuit in JoSIM, whose noise has seeds of its own. Neurons of cells have no
    state words to record. E1435 where pulses come too close.
    """
    program = read_program(request.artifact)
    stimulus = request.stimulus
    how = {EVENTS: _machines, CIRCUIT: _circuit, JOSIM: _josim}[rung]
    of = how(program, request)
    found = {
        name: spikes(program, name, stimulus.samples, stimulus.steps, of)
        for name in request.populations
    }
    dt = float(request.artifact.manifest.get("dt", program.period))
    return Outcome(Recording(rung, dt, found, {}))


def _machines(program: Program, request: Run) -> Callable[[str], Floats]:
    trace = Machines(program.netlist).run(drives(program, request.stimulus), request.seed)
    if trace.violations:
        raise fail("E1435", str(trace.violations[0]))
    return trace.of


def _circuit(program: Program, request: Run) -> Callable[[str], Floats]:
    """Pulses on the nets of neurons; noise where there are synapses."""
    (found,) = pulses_of(
        program,
        request.stimulus,
        _watched(program, request),
        temperature=_temperature(program, request),
        seed=request.seed,
        progress=lambda share: request.progress(CIRCUIT, share),
    )
    return found.__getitem__


def _josim(program: Program, request: Run) -> Callable[[str], Floats]:
    """Pulses at the nets of neurons, by JoSIM."""
    stimulus, nets = request.stimulus, _watched(program, request)
    temperature = _temperature(program, request)
    found: dict[str, list[Floats]] = {net: [] for net in nets}
    for first, last, circuit, duration in _pieces(program, stimulus):
        how = Transient(duration, STEP, temperature=temperature)
        for net, times in josim.pulses(circuit, how, nets).items():
            found[net].append(times + program.period * first)
        request.progress(JOSIM, last / (stimulus.samples * stimulus.steps))
    joined = {net: np.concatenate([*times, np.zeros(0)]) for net, times in found.items()}
    return joined.__getitem__


def _watched(program: Program, request: Run) -> tuple[str, ...]:
    return tuple(
        net for name in request.populations for net in program.spikes[name] if net is not None
    )


def _temperature(program: Program, request: Run) -> float:
    """That of the process where chance has a part, in K; 0 where noise decides nothing."""
    if KIND not in program.netlist.counts:
        return 0.0
    return load_process(str(request.artifact.manifest["target"])).temperature.value


def _pieces(program: Program, stimulus: Stimulus) -> Iterator[tuple[int, int, Circuit, float]]:
    """Of each piece of a run its first step and the one behind it, its circuit, how long it is."""
    steps = stimulus.samples * stimulus.steps
    for first in range(0, steps, _STEPS):
        last = min(first + _STEPS, steps)
        waves = {
            net: pulses(times) for net, times in drives(program, stimulus, first, last).items()
        }
        # Steps overlap: what the last one sends may come when the next one would have begun.
        duration = program.period * (last - first - 1) + program.latency + TAIL
        yield first, last, program.netlist.circuit(waves), duration


def pulses_of(
    program: Program,
    stimulus: Stimulus,
    nets: tuple[str, ...],
    *,
    factors: Mapping[str, npt.ArrayLike] | None = None,
    step: float = STEP,
    temperature: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[float], None] = lambda share: None,
) -> list[dict[str, Floats]]:
    """Times of the pulses on ``nets`` by the equations of junctions, in s; by parameter set.

    ``factors`` are of elements, as `Simulator.run` has them, with a value for each set. The run is
    cut into pieces that begin with a step each; the noise of each set and piece is its own.
    """
    given = {name: np.atleast_1d(np.asarray(f, np.float64)) for name, f in (factors or {}).items()}
    sets = max([1, *(f.size for f in given.values())])
    steps = stimulus.samples * stimulus.steps
    found: list[dict[str, list[Floats]]] = [{net: [] for net in nets} for _ in range(sets)]
    for first, last, circuit, duration in _pieces(program, stimulus):
        transient = Transient(duration, step, temperature=temperature)
        piece = Simulator(circuit).run(
            transient,
            factors=given,
            watch=nets,
            seeds=(seed * 1_000_003 + first // _STEPS) * 1_000_003 + np.arange(sets),
            threads=threads,
        )
        for index, one in enumerate(found):
            for net, times in one.items():
                times.append(piece.pulses.of(net, index) + program.period * first)
        progress(last / steps)
    return [{net: np.concatenate([*t, np.zeros(0)]) for net, t in one.items()} for one in found]
