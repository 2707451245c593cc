r"""A program's pulses for a stimulus, and spikes out of pulses.

In step n of a run input pulses are at :math:`n T + t_0`, clocks at :math:`n T + t_c`. A pulse at t
on the net of a neuron is its spike of the step n in whose window it falls,

.. math:: n T + l - g \le t \le n T + h + g,

[l, h] being the window and g half of what is left of the step at either side. Samples follow one
another: what a step leaves in the cells is cleared in it. Where the circuit remembers, each sample
is a run of its own, from rest; its times are behind those of the one before and a few steps more.

Where synapses release by chance, the run's seed is what they did: of machines it draws each
release, of circuits the noise of all resistors at the temperature of the process. Of circuits it is
the number of a chip, too, whose elements are drawn where conditions have a spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....boards.process import Process, load_process
from ....compiler.backend import Outcome, Run
from ....ir.diagnostics import fail
from ....ir.events import Events, Recording, Stimulus
from ....ir.records import Record
from ..cells.chance import KIND
from ..cells.netlist import pulses
from ..josephson.simulate import Simulator, Transient
from ..josephson.waves import Wave
from ..synthesis.files import read_program
from ..synthesis.synthesise import Program
from . import josim, ngspice
from .check import Check
from .conditions import Conditions
from .differences import How
from .events import Machines

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
EVENTS: Final = "events"
CIRCUIT: Final = "circuit"
JOSIM: Final = "josim"
NGSPICE: Final = "ngspice"
# A run is cut into as many pieces as fill the lanes of the simulator, but not into longer ones; and
# so many sets of pieces are simulated at once.
_LANES: Final = 8
_FEW: Final = 8
_AT_ONCE: Final = 4096
# A transient of more steps is cut into pieces, each a run of its own, if nothing is remembered.
_STEPS: Final = 64
STEP: Final = 0.1e-12
# Before the first step, so that a pulse that is early is not before time 0; and behind the last.
LEAD: Final = 20e-12
TAIL: Final = 20e-12


def drives(
    program: Program,
    stimulus: Stimulus,
    first: int = 0,
    last: int | None = None,
    late: Mapping[str, Floats] | None = None,
) -> dict[str, Floats]:
    """Times of the pulses on every input net and clock, s from the start of step ``first``.

    Samples follow one another, as `begins` has it; steps from ``first`` on and before ``last``, to
    the end by default. ``late`` of an input, (samples, steps, lines) in s, is what pulses are
    behind their time. E1437 for a line with more than one spike in a step, or part of one.
    """
    end = stimulus.samples * stimulus.steps if last is None else last
    every = begins(program, stimulus.samples, stimulus.steps)
    begin: Floats = every[first:end] - every[first:end][:1]
    out: dict[str, Floats] = {}
    for name, nets in program.inputs.items():
        events = once(name, stimulus.inputs[name])
        when = events.sample.astype(np.int64) * events.steps + events.step
        here = (when >= first) & (when < end)
        for i, net in enumerate(nets):
            if net is not None:
                own = when[here & (events.index == i)]
                off = 0.0 if late is None else late[name].reshape(-1, len(nets))[own, i]
                out[net] = np.asarray(begin[own - first] + program.start + off)
    return out | {net: np.asarray(begin + time) for net, time in program.clocks.items()}


def stride(program: Program, steps: int) -> int:
    """Periods from a sample of so many steps to the next: what it remembers is to be over."""
    return steps + program.remembers * (2 + int(program.latency / program.period))


def begins(program: Program, samples: int, steps: int) -> Floats:
    """When the steps of all samples begin, (samples * steps,) in s."""
    sample = np.arange(samples)[:, None] * stride(program, steps)
    return np.asarray(program.period * np.ravel(sample + np.arange(steps)), np.float64)


def restarts(program: Program, stimulus: Stimulus) -> Floats:
    """When cells are at rest again, in s: ahead of each sample but the first, if they remember."""
    if not program.remembers:
        return np.zeros(0)
    first = begins(program, stimulus.samples, stimulus.steps)[:: stimulus.steps]
    return np.asarray(first[1:] - program.period / 2)


def once(name: str, events: Events) -> Events:
    """The events of an input, each a spike; E1437 where a step has several, or part of one."""
    if (events.value != 1).any():
        raise fail(
            "E1437",
            f"input '{name}' has a count of {events.value[events.value != 1][0]:g} in one step",
            hint="a line of cells has one pulse in a step or none: counts of 0 and 1",
        )
    return events


def spikes(
    program: Program, population: str, samples: int, steps: int, of: Callable[[str], Floats]
) -> Events:
    """The spikes of a population out of the pulses on its nets, ``of`` a net in s."""
    nets = program.spikes[population]
    every = stride(program, steps)
    found = np.zeros((samples * every, len(nets)), np.int64)
    for k, net in enumerate(nets):
        if net is None:
            found[:, k] = program.always[population][k]
        else:
            step = steps_of(program, net, of(net))
            np.add.at(found[:, k], step[(step >= 0) & (step < len(found))], 1)
    return Events.from_dense(found.reshape(samples, every, len(nets))[:, :steps])


def steps_of(program: Program, net: str, times: Floats) -> npt.NDArray[np.int64]:
    """The step of each pulse on the net of a neuron, times in s from the start of step 0."""
    low, high = program.windows[net]
    nearest = np.floor((times - (low + high) / 2) / program.period + 0.5)
    return np.asarray(nearest, np.int64)


def run(request: Run, rung: str) -> Outcome:
    """Run a rung: `events` by machines and delays, `circuit` by the equations of junctions.

    `josim` is the same circuit in JoSIM, whose noise has seeds of its own, `ngspice` in ngspice,
    which has none: E1460 where chance has a part. Neurons of cells have no state words to record.
    Of these three the seed is the number of the chip under the conditions. E1435 where pulses come
    too close, E1490 for conditions that are none.
    """
    how = _compared(request, rung) if request.pulses else None
    check = None if how is None else Check(_program(request), request.stimulus.steps, how)
    (outcome,) = _outcomes(request, rung, (request.seed,), check)
    return outcome if check is None else replace(outcome, pulses=check.found)


def run_chips(request: Run, rung: str, seeds: Sequence[int]) -> list[Outcome]:
    """What `run` gives with each of the seeds; on the rung `circuit` all of them at once."""
    return _outcomes(request, rung, seeds)


def _outcomes(
    request: Run, rung: str, seeds: Sequence[int], check: Check | None = None
) -> list[Outcome]:
    program = _program(request)
    stimulus = request.stimulus
    how = {EVENTS: _machines, CIRCUIT: _circuit, JOSIM: _josim, NGSPICE: _ngspice}[rung]
    dt = float(request.artifact.manifest["dt"])
    outcomes = []
    for of in how(program, request, seeds, check):
        found = {
            name: spikes(program, name, stimulus.samples, stimulus.steps, of)
            for name in request.populations
        }
        outcomes.append(Outcome(Recording(rung, dt, found, {}, period=program.period)))
    return outcomes


def _compared(request: Run, rung: str) -> How | None:
    """What of a rung's pulses is compared with the machines; nothing of the machines themselves."""
    if rung == EVENTS:
        return None
    if rung == JOSIM:
        return How.COUNTS
    program = _program(request)
    conditions, factors = _chips(program, request, (request.seed,))
    chance = KIND in program.netlist.counts
    off = chance or bool(factors) or conditions.kelvin(program, _process(request)) > 0
    return How.CELLS if off else How.TIMES


Found = Iterator[Callable[[str], Floats]]


def _program(request: Run) -> Program:
    memory: Any = {} if request.memory is None else request.memory
    if "program" not in memory:
        memory["program"] = read_program(request.artifact)
    program: Program = memory["program"]
    return program


def _machines(program: Program, request: Run, seeds: Sequence[int], _: Check | None) -> Found:
    machines, given = Machines(program.netlist), drives(program, request.stimulus)
    rests = restarts(program, request.stimulus)
    for seed in seeds:
        trace = machines.run(given, seed, rests)
        if trace.violations:
            raise fail("E1435", str(trace.violations[0]))
        yield trace.of


def _circuit(program: Program, request: Run, seeds: Sequence[int], check: Check | None) -> Found:
    """Pulses on the nets of neurons; noise where there are synapses or conditions ask for it."""
    conditions, factors = _chips(program, request, seeds)
    for found in pulses_of(
        program,
        request.stimulus,
        _watched(program, request),
        factors=factors,
        late=conditions.late(program, request.stimulus.samples, request.stimulus.steps),
        temperature=conditions.kelvin(program, _process(request)),
        seeds=seeds,
        progress=lambda share: request.progress(CIRCUIT, share),
        check=check,
    ):
        yield found.__getitem__


def _josim(program: Program, request: Run, seeds: Sequence[int], check: Check | None) -> Found:
    """Pulses at the nets of neurons, by JoSIM."""
    return _elsewhere(program, request, seeds, JOSIM, josim.pulses, check)


def _ngspice(program: Program, request: Run, seeds: Sequence[int], check: Check | None) -> Found:
    """Pulses on the nets of neurons, by ngspice; E1460 where chance decides."""
    if KIND in program.netlist.counts:
        raise fail(
            "E1460",
            f"chance decides what {program.netlist.counts[KIND]} synapses release, and ngspice has "
            "no thermal noise",
            hint="--on circuit, or --on josim",
        )
    return _elsewhere(program, request, seeds, NGSPICE, ngspice.pulses, check)


def _elsewhere(
    program: Program,
    request: Run,
    seeds: Sequence[int],
    rung: str,
    solve: Callable[..., dict[str, Floats]],
    check: Check | None,
) -> Found:
    """Pulses of another program, chip after chip and piece after piece."""
    stimulus, nets = request.stimulus, _watched(program, request)
    conditions, factors = _chips(program, request, seeds)
    temperature = conditions.kelvin(program, _process(request))
    late = conditions.late(program, stimulus.samples, stimulus.steps)
    begin = begins(program, stimulus.samples, stimulus.steps)
    for chip in range(len(seeds)):
        netlist = program.netlist.scaled({name: float(f[chip]) for name, f in factors.items()})
        found: dict[str, list[Floats]] = {net: [] for net in nets}
        until = _until(program, check)
        for first, last, sent, duration in _pieces(program, stimulus, late, until):
            how = Transient(duration, STEP, temperature=temperature)
            came = solve(netlist, _waves(sent), how, nets if check is None else check.nets)
            for net in nets:
                found[net].append(came[net] + (begin[first] - LEAD))
            if check is not None:
                check.look(first, LEAD, duration, came, sent, last - first)
            request.progress(rung, last / (stimulus.samples * stimulus.steps))
        joined = {net: np.concatenate([*times, np.zeros(0)]) for net, times in found.items()}
        yield joined.__getitem__


def _chips(
    program: Program, request: Run, seeds: Sequence[int]
) -> tuple[Conditions, dict[str, Floats]]:
    """The conditions of a run, and the factors of its chips' elements."""
    conditions = Conditions.of(request.conditions)
    conditions.check(program)
    factors = conditions.chips(program.netlist.circuit({}), _process(request), seeds)
    return conditions, factors


def _process(request: Run) -> Process:
    return load_process(str(request.artifact.manifest["target"]))


def _watched(program: Program, request: Run) -> tuple[str, ...]:
    return tuple(
        net for name in request.populations for net in program.spikes[name] if net is not None
    )


def _until(program: Program, check: Check | None) -> float:
    """How long after the start of a step there is something to see."""
    return program.latency if check is None else check.until


def _pieces(
    program: Program, stimulus: Stimulus, late: Mapping[str, Floats] | None, until: float
) -> Iterator[tuple[int, int, dict[str, Floats], float]]:
    """Of each piece of a run its first step, the one behind it, `drives` and how long it is.

    Its first step begins at ``LEAD``.
    """
    steps = stimulus.samples * stimulus.steps
    length = stimulus.steps if program.remembers else _STEPS
    for first in range(0, steps, length):
        last = min(first + length, steps)
        sent = drives(program, stimulus, first, last, late)
        # Steps overlap: what the last one sends may come when the next one would have begun.
        duration = LEAD + program.period * (last - first - 1) + until + TAIL
        yield first, last, sent, duration


def _waves(sent: Mapping[str, Floats]) -> dict[str, Wave]:
    """Sources of a piece's pulses, s from the start of its first step."""
    return {net: pulses(times + LEAD) for net, times in sent.items()}


def pulses_of(
    program: Program,
    stimulus: Stimulus,
    nets: tuple[str, ...],
    *,
    factors: Mapping[str, npt.ArrayLike] | None = None,
    late: Mapping[str, Floats] | None = None,
    step: float = STEP,
    temperature: float = 0.0,
    seed: int = 0,
    seeds: Sequence[int] | None = None,
    threads: int = 1,
    progress: Callable[[float], None] = lambda share: None,
    check: Check | None = None,
) -> list[dict[str, Floats]]:
    """Times of the pulses on ``nets`` by the equations of junctions, in s; by parameter set.

    ``factors`` are of elements, as `Simulator.run` has them, with a value for each set; ``late`` as
    `drives` has it. The run is cut into pieces that begin with a step each and are simulated at
    once; the noise of each set and piece is its own, of its seed in ``seeds``, or of ``seed`` and
    its number. A ``check`` looks at all nets of the one set that there is.
    """
    given = {name: np.atleast_1d(np.asarray(f, np.float64)) for name, f in (factors or {}).items()}
    sets = max([1, *(f.size for f in given.values())]) if seeds is None else len(seeds)
    whose = [(seed, s) for s in range(sets)] if seeds is None else [(s, 0) for s in seeds]
    begin = begins(program, stimulus.samples, stimulus.steps)
    found: list[dict[str, list[Floats]]] = [{net: [] for net in nets} for _ in range(sets)]
    done, pieces, whole, told = 0, 0, 1, 0.0

    def tell(share: float) -> None:
        # A simulator that needs more room for pulses starts again; what is told only rises.
        nonlocal told
        told = max(told, (done + share * pieces) / whole)
        progress(told)

    watch = nets if check is None else check.nets
    until = _until(program, check)
    for batch in _batches(program, stimulus, late, max(_AT_ONCE // sets, 1), until):
        transient = Transient(batch.duration, step, temperature=temperature)
        pieces, whole = batch.first.size, batch.whole
        piece = Simulator(program.netlist.circuit(batch.waves)).run(
            transient,
            # Set after set, and in each piece after piece.
            factors={name: np.repeat(f, pieces) for name, f in given.items()}
            | {name: np.tile(f, sets) for name, f in batch.factors.items()},
            delays={name: np.tile(d, sets) for name, d in batch.delays.items()},
            watch=watch,
            # Python's numbers, which have room for the largest seed.
            seeds=[
                (s * 1_000_003 + first) * 1_000_003 + k
                for s, k in whose
                for first in batch.first.tolist()
            ],
            threads=threads,
            progress=tell,
        )
        for index, came in enumerate(piece.pulses.parts(sets * pieces)):
            first = int(batch.first[index % pieces])
            for net, times in found[index // pieces].items():
                times.append(came[net] + (begin[first] - LEAD))
            if check is not None:
                last = min(first + batch.length, stimulus.samples * stimulus.steps)
                sent = drives(program, stimulus, first, last, late)
                check.look(first, LEAD, batch.duration, came, sent, last - first)
        done += pieces
    return [
        {net: np.sort(np.concatenate([*t, np.zeros(0)])) for net, t in one.items()} for one in found
    ]


@dataclass(frozen=True, eq=False)
class _Batch(Record):
    """Pieces of a run that are simulated at once, by their ``first`` steps; ``whole`` there are.

    Their first steps begin at ``LEAD``, and each has ``length`` of them.
    ``factors`` and ``delays`` of the sources of ``waves`` are (pieces,) each.
    """

    first: Integers
    length: int
    whole: int
    waves: Mapping[str, Wave | Sequence[Wave]]
    duration: float
    factors: Mapping[str, Floats] = field(default_factory=dict)
    delays: Mapping[str, Floats] = field(default_factory=dict)


def _batches(
    program: Program,
    stimulus: Stimulus,
    late: Mapping[str, Floats] | None,
    most: int,
    until: float,
) -> Iterator[_Batch]:
    """All pieces of a run, ``most`` at once: of samples where they remember, else of few steps.

    Those of one batch differ in what their sources of single pulses do. A long sample is a batch of
    its own.
    """
    steps = stimulus.samples * stimulus.steps
    length = stimulus.steps if program.remembers else min(-(-steps // _LANES), _FEW)
    if not steps:
        return
    if length > _FEW:
        pieces = list(_pieces(program, stimulus, late, until))
        for first, last, sent, duration in pieces:
            yield _Batch(np.array([first]), last - first, len(pieces), _waves(sent), duration)
        return
    number = -(-steps // length)
    # Ahead of it is room for pulses that are early.
    begin = LEAD + program.period * np.arange(length)
    waves = dict[str, list[Wave]]()
    factors, delays = dict[str, Floats](), dict[str, Floats]()

    def source(net: str, time: float, there: Floats, off: Floats) -> None:
        """One pulse a step, (steps,) whether it is there and s that it is late by."""
        waves[net] = list[Wave](pulses([at + time]) for at in begin.tolist())
        for all_steps, by_name in ((there, factors), (off, delays)):
            padded = np.zeros(number * length)
            padded[:steps] = all_steps
            for k, values in enumerate(padded.reshape(number, length).T):
                by_name[f"I>{net}.{k}"] = values

    for name, nets in program.inputs.items():
        events = once(name, stimulus.inputs[name])
        there = np.zeros((steps, len(nets)))
        there[events.sample.astype(np.int64) * events.steps + events.step, events.index] = 1.0
        off = np.zeros(there.shape) if late is None else late[name].reshape(there.shape)
        for i, net in enumerate(nets):
            if net is not None:
                source(net, program.start, there[:, i], off[:, i])
    for net, time in program.clocks.items():
        source(net, time, np.ones(steps), np.zeros(steps))
    duration = LEAD + program.period * (length - 1) + until + TAIL
    for k in range(0, number, most):
        here = slice(k, k + most)
        yield _Batch(
            length * np.arange(number)[here],
            length,
            number,
            waves,
            duration,
            {name: values[here] for name, values in factors.items()},
            {name: values[here] for name, values in delays.items()},
        )
