r"""A program's circuit under many stimuli at once, so that margins and yield are of a network.

A case is a sequence of steps. In step n a pulse on input line i comes at
:math:`n T + t_0 + \delta`, with a :math:`\delta` of its own within the skew; clocks come at their
fixed times. Case by case only charges and times of sources differ, so that all cases of all
parameter sets are one batch. A circuit passes where each neuron that is asked for fires in the
steps in which it should, once, and nowhere else, and no pulse goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import fail
from .circuit import GROUND, Circuit, CurrentSource
from .execute import steps_of
from .margins import Trial
from .netlist import pulses
from .simulate import Pulses, Simulator, Transient
from .synthesise import Program

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# Before the first step, so that a pulse that is early is not before time 0; and behind the last.
LEAD: Final = 20e-12
TAIL: Final = 20e-12
STEP: Final = 0.1e-12


def orders(lines: int, cases: int, seed: int) -> Bools:
    """All combinations of input lines, in an order by chance in each case.

    (cases, steps, lines), a step for each of the 2^lines combinations.
    """
    every = np.array(list(product((False, True), repeat=lines)), np.bool_).reshape(-1, lines)
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(every) for _ in range(cases)])


def skews(shape: tuple[int, ...], skew: float, seed: int) -> Floats:
    """Of each pulse what it is early or late by, uniform within ``skew`` s either way."""
    return np.random.default_rng(seed).uniform(-skew, skew, shape)


def driven(
    program: Program, spikes: Mapping[str, npt.ArrayLike], skew: Mapping[str, npt.ArrayLike]
) -> tuple[Simulator, Transient, dict[str, Floats], dict[str, Floats]]:
    """A circuit whose sources are pulses of steps, its transient, and factors and delays by case.

    ``spikes`` and ``skew`` are (cases, steps, lines) of each input. The first step begins at
    ``LEAD``. E1436 for inputs that the program has not, or shapes that do not fit it.
    """
    there = {name: np.asarray(array, np.bool_) for name, array in spikes.items()}
    late = {name: np.asarray(array, np.float64) for name, array in skew.items()}
    _, steps = _shape(program, there, late)
    begin = LEAD + program.period * np.arange(steps)
    waves = {net: pulses(begin + time) for net, time in program.clocks.items()}
    nets = {
        net: (name, i)
        for name, lines in program.inputs.items()
        for i, net in enumerate(lines)
        if net is not None
    }
    still = program.netlist.circuit(waves | {net: pulses([]) for net in nets}).parts
    parts = [part for part in still if part.name.removeprefix("I>") not in nets]
    factors, delays = dict[str, Floats](), dict[str, Floats]()
    for net, (name, i) in nets.items():
        for k in range(steps):
            source = f"I>{net}.{k}"
            wave = pulses([begin[k] + program.start])
            parts.append(CurrentSource(source, GROUND, net, wave))
            factors[source] = there[name][:, k, i].astype(np.float64)
            delays[source] = late[name][:, k, i]
    duration = LEAD + program.period * (steps - 1) + max(program.latency, program.period) + TAIL
    return Simulator(Circuit(tuple(parts))), Transient(duration, STEP), factors, delays


def _shape(
    program: Program, there: Mapping[str, Bools], late: Mapping[str, Floats]
) -> tuple[int, int]:
    """Cases and steps."""
    if set(there) != set(program.inputs) or set(late) != set(there):
        names = ", ".join(program.inputs)
        raise fail("E1436", f"stimuli and skews are of the inputs {names}")
    first = next(iter(there.values()))
    if first.ndim != 3 or 0 in first.shape[:2]:
        raise fail("E1436", f"spikes of the shape {first.shape} are not (cases, steps, lines)")
    for name, array in there.items():
        wanted = (*first.shape[:2], len(program.inputs[name]))
        for shape in (array.shape, late[name].shape):
            if shape != wanted:
                raise fail("E1436", f"'{name}' has {shape} spikes or skews, not {wanted}")
        if np.abs(late[name]).max(initial=0.0) > program.skew * (1 + 1e-9):
            raise fail("E1436", f"'{name}' has pulses that are more than the skew away")
    return first.shape[0], first.shape[1]


def trial(
    program: Program,
    spikes: Mapping[str, npt.ArrayLike],
    skew: Mapping[str, npt.ArrayLike],
    wanted: Mapping[str, npt.ArrayLike],
) -> Trial:
    """Whether the populations of ``wanted``, (cases, steps, neurons), fire as they should.

    ``spikes`` and ``skew`` as `driven` has them. E1436 for what does not fit the program.
    """
    simulator, transient, factors, delays = driven(program, spikes, skew)
    cases, steps = next(iter(np.asarray(array).shape[:2] for array in spikes.values()))
    fires = {name: np.asarray(array, np.int64) for name, array in wanted.items()}
    nets: list[str] = []
    expected: list[npt.NDArray[np.int64]] = []
    for name, array in fires.items():
        if name not in program.spikes or array.shape != (cases, steps, len(program.spikes[name])):
            raise fail("E1436", f"'{name}' of the shape {array.shape} is no population of this")
        for k, net in enumerate(program.spikes[name]):
            if net is not None:
                nets.append(net)
                expected.append(array[:, :, k])
    should = np.stack(expected, axis=2) if nets else np.zeros((cases, steps, 0), np.int64)

    def check(found: Pulses, sets: int) -> Bools:
        count = np.zeros((sets, steps, len(nets)), np.int64)
        right = np.ones(sets, np.bool_)
        after = found.time >= 0
        right[found.set[after & (found.direction < 0)]] = False
        forward = after & (found.direction > 0)
        for n, net in enumerate(nets):
            chosen = forward & (found.probe == found.probes.index(net))
            index = found.set[chosen]
            step = steps_of(program, net, found.time[chosen] - LEAD)
            inside = (step >= 0) & (step < steps)
            right[index[~inside]] = False
            np.add.at(count, (index[inside], step[inside], n), 1)
        case = np.arange(sets) % cases
        return np.asarray(right & (count == should[case]).all((1, 2)))

    return Trial(simulator, transient, tuple(nets), check, factors, delays, cases)
