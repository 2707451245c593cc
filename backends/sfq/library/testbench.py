r"""A cell between transmission lines, thousands of stimuli at once, and whether it is its machine.

In front of each input and behind each output are two JTLs. A pulse passes a net when the phase of
the net's node passes :math:`\pi + 2 \pi n`. A cell's delay is from the net at its input to the net
at its output, which is the input of what follows, so that delays along a chain add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.records import Record, frozen_array
from ..cells import Cell, Machine, cell, value_of
from ..cells.netlist import Instance, Netlist, pulses
from ..josephson.circuit import Circuit, CurrentSource
from ..josephson.margins import Trial
from ..josephson.simulate import QUANTUM, Found, Pulses, Simulator, Transient

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LATE: Final = 0.3e-12  # s: how far a delay may be from its table's before pulses are too close
FINE: Final = 0.25e-12  # s: steps in which the least time between pulses is sought, and its guard
UNIT: Final = 0.05e-12  # s: of what is found
FIRST: Final = 20e-12  # s: the soonest pulse; behind it the bench is at rest
_UNMOVED: Final = 10e-12  # s: where a source has its triangle before it is moved
_SETTLED: Final = 60e-12  # s behind the last pulse: through the lines and at rest
_LINES: Final = 2  # JTLs in front of an input and behind an output


@dataclass(frozen=True, eq=False)
class Stimuli(Record):
    """Pulses: ``port`` (sets, pulses) is the place of an input, ``time`` in s, rising.

    Where there are fewer pulses than others have, ports are -1 and times NaN, behind the others.
    """

    port: Integers
    time: Floats

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "port", frozen_array(self.port, np.int64))
        object.__setattr__(self, "time", frozen_array(self.time, np.float64))

    @classmethod
    def of(cls, stimuli: Sequence[Sequence[tuple[int, float]]]) -> Stimuli:
        """Of lists of ports and times."""
        most = max((len(events) for events in stimuli), default=0)
        port = np.full((len(stimuli), most), -1, np.int64)
        time = np.full((len(stimuli), most), np.nan)
        for k, events in enumerate(stimuli):
            port[k, : len(events)] = [event[0] for event in events]
            time[k, : len(events)] = [event[1] for event in events]
        return cls(port, time)

    @property
    def sets(self) -> int:
        """How many stimuli there are."""
        return len(self.port)

    @cached_property
    def rank(self) -> Integers:
        """Which pulse of its port each is, from 0 on; (sets, pulses)."""
        same = self.port[:, :, None] == self.port[:, None, :]
        return np.asarray(np.tril(same, -1).sum(2))

    def taken(self, index: Any) -> Stimuli:
        """Some of the sets."""
        return Stimuli(self.port[index], self.time[index])

    def walk(self, machine: Machine) -> tuple[Integers, Bools]:
        """The state before each pulse (sets, pulses), and what it sends (sets, pulses, outputs)."""
        state = np.zeros(self.sets, np.int64)
        before = np.zeros(self.port.shape, np.int64)
        sends = np.zeros((*self.port.shape, machine.sends.shape[2]), np.bool_)
        for k in range(self.port.shape[1]):
            port, there = self.port[:, k], self.port[:, k] >= 0
            before[:, k] = state
            sends[:, k] = machine.sends[state, port] & there[:, None]
            state = np.where(there, machine.next[state, port], state)
        return before, sends


@dataclass(frozen=True, eq=False)
class Seen(Record):
    """What came of stimuli at a machine.

    ``right`` (sets,) is whether every net saw the pulses that it should, and none went back;
    ``arrival`` (sets, pulses) is when each passed its input's net, ``delay`` (sets, pulses,
    outputs) from there to the output's, both in s and NaN where there is none; ``before`` and
    ``sends`` as `Stimuli.walk` has them. Only of ``right`` sets are delays those of their pulses.
    """

    right: Bools
    arrival: Floats
    delay: Floats
    before: Integers
    sends: Bools


class Bench:
    """A cell between JTLs, whose inputs take pulses of their own in each parameter set.

    By its name, as a cell with parameters of its own, or as one that is ``made_of`` others, whose
    nets have the names of its ports.
    """

    def __init__(self, kind: str | Cell, made_of: Sequence[Instance] = ()) -> None:
        this = cell(kind) if isinstance(kind, str) else kind
        self.cell: Cell = this
        one = Instance("x", this.name, {port: port for port in this.ports}, this.changed)
        instances = list(made_of or [one])
        self.own = tuple(f"{name}|{i.name}" for i in instances for name in i.cell.biases)
        for port in self.cell.inputs:
            instances += front(port)
        for port in self.cell.outputs:
            instances += behind(port)
        self.netlist = Netlist(tuple(instances))
        self.ends = tuple(f"{port}{_LINES - 1}" for port in self.cell.outputs)
        self.watched = (*self.cell.ports, *self.ends)
        self._simulators: dict[tuple[int, ...], Simulator] = {}

    def simulator(self, room: tuple[int, ...]) -> Simulator:
        """The circuit with so many sources at each input, a pulse each; ready once."""
        if room not in self._simulators:
            wave = pulses([_UNMOVED])
            waves = {
                f"{port}0": [wave] * many for port, many in zip(self.cell.inputs, room, strict=True)
            }
            self._simulators[room] = Simulator(self.netlist.circuit(waves))
        return self._simulators[room]

    def driven(self, stimuli: Stimuli) -> tuple[Simulator, dict[str, Floats], dict[str, Floats]]:
        """A simulator with the factors and delays of sources that make stimuli of its sets."""
        factors, delays, room = {}, {}, []
        for p, port in enumerate(self.cell.inputs):
            mine = stimuli.port == p
            many = int(mine.sum(1).max(initial=0))
            room.append(many)
            for k in range(many):
                chosen = mine & (stimuli.rank == k)
                there = chosen.any(1)
                time = np.where(chosen, stimuli.time, 0.0).sum(1)
                factors[f"I>{port}0.{k}"] = there.astype(np.float64)
                delays[f"I>{port}0.{k}"] = np.where(there, time - _UNMOVED, 0.0)
        return self.simulator(tuple(room)), factors, delays

    def run(
        self,
        stimuli: Stimuli,
        *,
        factors: Mapping[str, Any] | None = None,
        step: float = 0.05e-12,
        temperature: float = 0.0,
        seed: int = 0,
        threads: int = 1,
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        """All stimuli, until the last is at rest; nets and the ends of lines are watched."""
        simulator, given, delays = self.driven(stimuli)
        last = float(np.nanmax(stimuli.time, initial=_UNMOVED))
        how = Transient(last + _SETTLED, step, temperature=temperature)
        return simulator.run(
            how,
            factors={**given, **(factors or {})},
            delays=delays,
            watch=self.watched,
            seed=seed,
            threads=threads,
            progress=progress,
        )

    def work(self, found: Found) -> Floats:
        """Work of the cell's own biases since all phases were 0, J; (sets,)."""
        circuit = self.simulator((0,) * len(self.cell.inputs)).circuit
        return work_of(circuit, self.own, found)

    def trial(
        self,
        stimuli: Stimuli,
        within: float,
        step: float = 0.1e-12,
        steady: float = np.inf,
    ) -> Trial:
        """Whether the cell is its machine; a case for each stimulus.

        Every delay is ``within`` s, and those of one input in one state are ``steady`` s of one
        another.
        """
        simulator, factors, delays = self.driven(stimuli)
        machine = self.cell.machine
        assert machine is not None
        sending = np.argwhere(machine.sends).tolist()

        def check(found: Pulses, sets: int) -> Bools:
            each = stimuli.taken(np.arange(sets) % stimuli.sets)
            seen = self.seen(each, found)
            right = seen.right & ~(seen.delay > within).any((1, 2))
            for state, x, y in sending:
                delay, same = seen.delay[:, :, y], (seen.before == state) & (each.port == x)
                most = np.fmax.reduce(np.where(same, delay, np.nan), 1)
                least = np.fmin.reduce(np.where(same, delay, np.nan), 1)
                # NaN where none was sent.
                right &= ~(most - least > steady)
            return np.asarray(right)

        how = Transient(float(np.nanmax(stimuli.time)) + _SETTLED, step)
        return Trial(simulator, how, self.watched, check, factors, delays, stimuli.sets)

    def seen(self, stimuli: Stimuli, found: Pulses) -> Seen:
        """Whether the cell was its machine, and when; of a cell that is one."""
        machine = self.cell.machine
        assert machine is not None
        before, sends = stimuli.walk(machine)
        sets = stimuli.sets
        right = np.ones(sets, np.bool_)
        back = (found.direction < 0) & (found.time >= 0)
        right[found.set[back]] = False
        arrival = np.full(stimuli.port.shape, np.nan)
        for p, port in enumerate(self.cell.inputs):
            chosen = stimuli.port == p
            times, count = passages(found, port, sets)
            right &= count == chosen.sum(1)
            arrival = np.where(chosen, ranked(times, stimuli.rank), arrival)
        delay = np.full(sends.shape, np.nan)
        for q, port in enumerate(self.cell.outputs):
            chosen = sends[:, :, q]
            rank = np.cumsum(chosen, 1) - 1
            times, count = passages(found, port, sets)
            right &= count == chosen.sum(1)
            right &= passages(found, self.ends[q], sets)[1] == chosen.sum(1)
            delay[:, :, q] = np.where(chosen, ranked(times, rank) - arrival, np.nan)
        # What came before its cause is not what its cause sent.
        right &= ~(delay < 0).any((1, 2))
        return Seen(right, arrival, delay, before, sends)


def work_of(circuit: Circuit, biases: Iterable[str], found: Found) -> Floats:
    """Work of some sources of constant current since all phases were 0, J; (sets,)."""
    out = np.zeros(len(found.ends))
    for name in biases:
        source = circuit.part(name)
        assert isinstance(source, CurrentSource)
        phase = [
            found.ends[:, found.nodes.index(node)] if node in found.nodes else 0.0
            for node in source.nodes
        ]
        out += value_of(source) * QUANTUM * (phase[1] - phase[0])
    return out


def front(net: str) -> list[Instance]:
    """The JTLs that drive a net, from one of its name with a 0 behind it."""
    names = [*(f"{net}{k}" for k in range(_LINES)), net]
    return [Instance(names[k], "jtl", {"a": names[k], "q": names[k + 1]}) for k in range(_LINES)]


def behind(net: str) -> list[Instance]:
    """The JTLs that a net drives; each one's output has the net's name and its number behind it."""
    names = [net, *(f"{net}{k}" for k in range(_LINES))]
    return [
        Instance(names[k + 1], "jtl", {"a": names[k], "q": names[k + 1]}) for k in range(_LINES)
    ]


def passages(found: Pulses, probe: str, sets: int) -> tuple[Floats, Integers]:
    """Upward passages of a probe: (sets, most) in s, NaN behind the last, and how many (sets,)."""
    chosen = (found.probe == found.probes.index(probe)) & (found.direction > 0)
    chosen &= found.time >= 0
    index, time = found.set[chosen], found.time[chosen]
    count = np.bincount(index, minlength=sets)
    rank = np.arange(index.size) - np.searchsorted(index, index)
    out = np.full((sets, int(count.max(initial=0))), np.nan)
    out[index, rank] = time
    return out, count


def ranked(times: Floats, rank: Integers) -> Floats:
    """The rank-th of each set's times, (sets, pulses); NaN where there are not so many."""
    padded = np.hstack([times, np.full((len(times), 1), np.nan)])
    return np.take_along_axis(padded, np.minimum(rank, times.shape[1]), 1)


def random_stimuli(least: Floats, sets: int, events: int, seed: int) -> Stimuli:
    """Pulses at random inputs that keep ``least`` (inputs, inputs) s apart, half of them barely."""
    rng = np.random.default_rng(seed)
    inputs = len(least)
    port = rng.integers(0, inputs, (sets, events))
    near = rng.random((sets, events)) < 0.5
    spare = np.where(near, rng.uniform(0, 1e-12, near.shape), rng.uniform(0, 15e-12, near.shape))
    time = np.empty((sets, events))
    last = np.full((sets, inputs), -np.inf)
    now = np.full(sets, FIRST)
    rows = np.arange(sets)
    for k in range(events):
        soonest = (last + least[:, port[:, k]].T).max(1)
        now = np.maximum(now, soonest) + spare[:, k]
        time[:, k] = last[rows, port[:, k]] = now
    return Stimuli(port, time)


def up(value: Any, unit: float) -> Any:
    """The next multiple of a unit, as the decimal number that it is."""
    return np.round(np.ceil(np.asarray(value) / unit - 1e-6) * unit, 15)


def settled(times: Floats, alike: Bools) -> float:
    """The least of rising ``times`` from which on all are ``alike``; inf where the last is not."""
    wrong = np.flatnonzero(~alike)
    last = int(wrong[-1]) + 1 if wrong.size else 0
    return float(times[last]) if last < times.size else np.inf


def ways(machine: Machine) -> tuple[tuple[int, ...], ...]:
    """A shortest way, as inputs, from state 0 to each state."""
    found: dict[int, tuple[int, ...]] = {0: ()}
    queue = [0]
    for state in queue:
        for port, after in enumerate(machine.next[state].tolist()):
            if after not in found:
                found[after] = (*found[state], port)
                queue.append(after)
    return tuple(found[state] for state in range(len(machine.next)))


def telling(machine: Machine, most: int = 3) -> tuple[tuple[int, ...], ...]:
    """Few words of inputs whose outputs tell any two states apart, shortest words first."""
    states, inputs = machine.next.shape
    pairs = {(s, t) for s in range(states) for t in range(s)}
    words: list[tuple[int, ...]] = []
    for length in range(1, most + 1):
        for word in product(range(inputs), repeat=length):
            if not pairs and words:
                return tuple(words)
            sent = [_sent(machine, state, word) for state in range(states)]
            split = {(s, t) for s, t in pairs if sent[s] != sent[t]}
            if split or (not pairs and not words):
                words.append(word)
                pairs -= split
    return tuple(words)


def _sent(machine: Machine, state: int, word: Iterable[int]) -> list[list[bool]]:
    out = []
    for port in word:
        out.append(machine.sends[state, port].tolist())
        state = int(machine.next[state, port])
    return out
