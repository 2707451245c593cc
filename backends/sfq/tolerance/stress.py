r"""A program's circuit under many stimuli at once, so that margins and yield are of a network.

A case is a sequence of steps. In step n a pulse on input line i comes at
:math:`n T + t_0 + \delta`, with a :math:`\delta` of its own within the skew; clocks come at their
fixed times. Case by case only charges and times of sources differ, so that all cases of all
parameter sets are one batch. A circuit passes where each neuron that is asked for fires in the
steps in which it should, once, and nowhere else, and no pulse goes back. Where chance has a part,
`responses` counts spikes, and what is made of rates is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ....ir.records import Record
from ..cells.netlist import pulses
from ..josephson.margins import Tell, Trial
from ..josephson.simulate import Pulses, Simulator, Transient
from ..josephson.waves import Wave
from ..rungs.execute import LEAD, STEP, TAIL, steps_of
from ..synthesis.synthesise import Program

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


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
    program: Program,
    spikes: Mapping[str, npt.ArrayLike],
    skew: Mapping[str, npt.ArrayLike],
    temperature: float = 0.0,
) -> tuple[Simulator, Transient, dict[str, Floats], dict[str, Floats]]:
    """A circuit whose sources are pulses of steps, its transient, and factors and delays by case.

    ``spikes`` and ``skew`` are (cases, steps, lines) of each input. The first step begins at
    ``LEAD``. E1436 for inputs that the program has not, or shapes that do not fit it.
    """
    there = {name: np.asarray(array, np.bool_) for name, array in spikes.items()}
    late = {name: np.asarray(array, np.float64) for name, array in skew.items()}
    _, steps = _shape(program, there, late)
    begin = LEAD + program.period * np.arange(steps)
    waves: dict[str, Wave | list[Wave]] = {
        net: pulses(begin + time) for net, time in program.clocks.items()
    }
    factors, delays = dict[str, Floats](), dict[str, Floats]()
    for name, lines in program.inputs.items():
        for i, net in ((i, net) for i, net in enumerate(lines) if net is not None):
            waves[net] = [pulses([time + program.start]) for time in begin.tolist()]
            for k in range(steps):
                factors[f"I>{net}.{k}"] = there[name][:, k, i].astype(np.float64)
                delays[f"I>{net}.{k}"] = late[name][:, k, i]
    duration = LEAD + program.period * (steps - 1) + max(program.latency, program.period) + TAIL
    how = Transient(duration, STEP, temperature=temperature)
    return Simulator(program.netlist.circuit(waves)), how, factors, delays


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


@dataclass(frozen=True, eq=False)
class Answers(Record):
    """What ``neurons``, a population and a place each, should send on ``nets``.

    ``should`` has pulses by (cases, steps, neurons).
    """

    program: Program
    neurons: tuple[tuple[str, int], ...]
    nets: tuple[str, ...]
    should: Integers

    def right(self, found: Pulses, sets: int) -> Bools:
        """Whether all came, no others, and none went back; (sets,)."""
        count, stray = arrived(self.program, self.nets, self.should.shape[1], found, sets)
        right = (count == self._wanted(sets)).all((1, 2))
        right[found.set[stray]] = False
        return np.asarray(right)

    def faults(self, found: Pulses, sets: int) -> list[str]:
        """Of each set what is wrong first: by step, then in the order of layers."""
        count, stray = arrived(self.program, self.nets, self.should.shape[1], found, sets)
        wanted = self._wanted(sets)
        out: list[str] = []
        for s in range(sets):
            case = s % len(self.should)
            wrong = np.argwhere(count[s] != wanted[s])
            loose = np.flatnonzero(stray & (found.set == s))
            early = found.time[loose].min(initial=np.inf)
            step = int(wrong[0, 0]) if wrong.size else 0
            end = LEAD + (step + 1) * self.program.period if wrong.size else np.inf
            if loose.size and early < end:
                k = loose[found.time[loose].argmin()]
                what = "goes back" if found.direction[k] < 0 else "belongs to no step"
                name = self._named(self.nets.index(found.probes[found.probe[k]]))
                when = f"{(early - LEAD) * 1e12:.1f} ps into sample {case}"
                out.append(f"a pulse of {name} {what} {when}")
            elif wrong.size:
                n = int(wrong[0, 1])
                came, asked = int(count[s, step, n]), int(wanted[s, step, n])
                many = {0: "no pulse", 1: "a pulse"}.get(came, f"{came} pulses")
                none = "" if asked else " instead of none"
                where = f"in step {step} of sample {case}"
                out.append(f"{self._named(n)} has {many}{none} {where}")
            else:
                out.append("")
        return out

    def _named(self, n: int) -> str:
        population, place = self.neurons[n]
        return f"{population}[{place}] (net {self.nets[n]})"

    def _wanted(self, sets: int) -> Integers:
        return np.asarray(self.should[np.arange(sets) % len(self.should)])


def trial(
    program: Program,
    spikes: Mapping[str, npt.ArrayLike],
    skew: Mapping[str, npt.ArrayLike],
    wanted: Mapping[str, npt.ArrayLike],
    *,
    temperature: float = 0.0,
    chip: Mapping[str, float] | None = None,
) -> Trial:
    """Whether the populations of ``wanted``, (cases, steps, neurons), fire as they should.

    ``spikes`` and ``skew`` as `driven` has them; ``chip`` are factors of elements, with which all
    begins. E1436 for what does not fit the program.
    """
    simulator, transient, factors, delays = driven(program, spikes, skew, temperature)
    factors |= {name: np.full(1, factor) for name, factor in (chip or {}).items()}
    cases, steps = next(iter(np.asarray(array).shape[:2] for array in spikes.values()))
    fires = {name: np.asarray(array, np.int64) for name, array in wanted.items()}
    neurons: list[tuple[str, int]] = []
    nets: list[str] = []
    expected: list[Integers] = []
    for name, array in fires.items():
        if name not in program.spikes or array.shape != (cases, steps, len(program.spikes[name])):
            raise fail("E1436", f"'{name}' of the shape {array.shape} is no population of this")
        for k, net in enumerate(program.spikes[name]):
            if net is not None:
                neurons.append((name, k))
                nets.append(net)
                expected.append(array[:, :, k])
    should = np.stack(expected, axis=2) if nets else np.zeros((cases, steps, 0), np.int64)
    answers = Answers(program, tuple(neurons), tuple(nets), should)
    return Trial(
        *(simulator, transient, tuple(nets), answers.right),
        *(factors, delays, cases, answers.faults),
    )


def responses(
    program: Program,
    spikes: Mapping[str, npt.ArrayLike],
    skew: Mapping[str, npt.ArrayLike],
    population: str,
    *,
    factors: Mapping[str, Floats] | None = None,
    circuits: int = 1,
    temperature: float = 0.0,
    step: float = STEP,
    tolerance: float = 1e-10,
    seed: int = 0,
    threads: int = 1,
    progress: Tell | None = None,
) -> Integers:
    """How often each neuron of a population fires, (circuits, cases, steps, neurons).

    ``spikes`` and ``skew`` as `driven` has them, for all circuits alike; ``factors`` are of
    elements, (circuits,) each. All of a case is -1 where a pulse went back or belongs to no step.
    ``temperature`` in K is of the noise, whose seeds are `Trial.passes`'s. E1436 for what does not
    fit the program, and for a neuron that needs no circuit.
    """
    simulator, transient, own, delays = driven(program, spikes, skew, temperature)
    cases, steps = next(iter(np.asarray(array).shape[:2] for array in spikes.values()))
    nets = tuple(net for net in program.spikes.get(population, ()) if net is not None)
    if not nets or len(nets) != len(program.spikes[population]):
        raise fail("E1436", f"'{population}' has no neurons in this, or one that always fires")
    seen: list[Integers] = []

    def check(found: Pulses, sets: int) -> Bools:
        count, stray = arrived(program, nets, steps, found, sets)
        clean = np.ones(sets, np.bool_)
        clean[found.set[stray]] = False
        seen.append(np.where(clean[:, None, None], count, -1))
        return clean

    how = replace(transient, step=step, tolerance=tolerance)
    Trial(simulator, how, nets, check, own, delays, cases).passes(
        factors or {}, circuits, seed=seed, threads=threads, progress=progress
    )
    return np.concatenate(seen).reshape(circuits, cases, steps, len(nets))


def arrived(
    program: Program, nets: tuple[str, ...], steps: int, found: Pulses, sets: int
) -> tuple[Integers, Bools]:
    """Pulses by (sets, steps, nets), and which pulses go back or belong to no step."""
    count = np.zeros((sets, steps, len(nets)), np.int64)
    after = found.time >= 0
    stray = after & (found.direction < 0)
    for n, net in enumerate(nets):
        chosen = np.flatnonzero(
            after & (found.direction > 0) & (found.probe == found.probes.index(net))
        )
        step = steps_of(program, net, found.time[chosen] - LEAD)
        inside = (step >= 0) & (step < steps)
        stray[chosen[~inside]] = True
        np.add.at(count[:, :, n], (found.set[chosen[inside]], step[inside]), 1)
    return count, stray
