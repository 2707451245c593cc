"""Clock cycles of a step, exact: what the counters of a core will say.

The counters hold what the work itself takes, whoever sends it and however slowly:

* events: cycles in which the issuer of weight words is taken by an event, outside a commit. Events
  that are added while a step commits cost nothing more, unless they last longer or come so late
  that the rows of its spikes wait for them.
* commit: from the cycle after TICK is accepted until its spikes are added.

Not counted: waiting for bytes and sending spikes. Counters saturate at 2^24 - 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, repeat
from typing import Any, Final

from .protocol import COUNTER_MAX
from .shape import SCAN_BITS, CoreShape, ParallelShape, Storage, index_bits

# Cycles from an accumulator's address to the word it hands over.
LATENCY: Final[Mapping[Storage, int]] = {
    "registers": 0,
    "distributed": 0,
    "block": 1,
    "pipelined": 2,
}
# From the issue of a word, or the place of one, to its accumulator's address.
ISSUE: Final = 2

# From an accumulator's address until its sum can be read again.
_ADDED: Final[Mapping[Storage, int]] = {
    "registers": 1,
    "distributed": 2,
    "block": 2,
    "pipelined": 4,
}
# The same where words are turned on the way, and what a changed weight takes beyond that.
_TURNED: Final = 2


def issue_cycles(shape: CoreShape) -> int:
    """From the issue of a word to its accumulators' address: 2, more where weights learn."""
    learning = shape.learning
    if learning is None:
        return ISSUE
    turned = _TURNED if learning.skewed else 0
    return ISSUE + turned + (update_stage(shape) - ISSUE if learning.after else 0)


def take_cycles(shape: CoreShape) -> int:
    """From a group that the sweep asks for to its accumulators' address.

    As many as for a word, so that they keep their order. Where weights learn nothing is added while
    a sweep goes on, which asks for its first group four cycles after the last word: that word has
    to be added by then, and no more.
    """
    if shape.learning is None:
        return ISSUE
    return max(0, issue_cycles(shape) + _ADDED[shape.storage] - 4)


# From the end of a step's columns to the first word of a row, by way of the queue of spikes.
_TURNAROUND: Final = 5


def columns_first(shape: CoreShape) -> bool:
    """Whether rows have to wait for the last column's weights longer than they do anyway."""
    return update_stage(shape) > _TURNAROUND


def update_stage(shape: CoreShape) -> int:
    """Cycles from the issue of a word to the weights that it leaves, about to be written."""
    learning = shape.learning
    if learning is None:
        return 0
    return ISSUE + 2 + int(learning.skewed) + int(learning.stochastic)


# From a trace to its term; from what a commit says of a beat to the terms of its neurons, and to
# whether they changed.
RESPONSE: Final = 2
POST_TERMS: Final = 2 + RESPONSE
POST_SAME: Final = 2


# A membrane with a recovery once advanced.
RECOVERY_STAGES: Final = 6


def commit_stages(shape: CoreShape) -> int:
    """Stages of the commit pipeline after the first: 9, 11 with a current, more with a recovery."""
    if shape.quadratic:
        return 5 + RECOVERY_STAGES * shape.quadratic
    return 11 if shape.cuba else 9


def held_stages(shape: CoreShape) -> int:
    """Stages of a commit whose inputs hold still, from the sums on: 5, or 7 with a current."""
    return commit_stages(shape) - 4


def parallel_cycles(shape: ParallelShape, levels: int) -> int:
    """Cycles of any step of a parallel core whose deepest tree has so many levels.

    levels + 6, or levels + 8 with a current; lines that count further than one need their bits
    chosen and added up. Spikes and events change nothing.
    """
    turns = 0 if shape.input_bits == 1 else shape.input_bits + 1
    # The start of a neuron is compared while its sum is made.
    return max(levels + turns, 2) + held_stages(shape) + 1


def scan_width(shape: CoreShape) -> int:
    """Groups looked up in one cycle: 32, or fewer if there are not so many."""
    return min(SCAN_BITS, 1 << index_bits(shape.groups))


def scan_words(shape: CoreShape) -> int:
    """Cycles that looking up all groups takes."""
    return -(-shape.groups // scan_width(shape))


def event_cycles(runs: Iterable[Sequence[int]]) -> int:
    """Issuer cycles of events, given the words of each run of each: sum max(1, words)."""
    return min(sum(max(1, words) for run in runs for words in run), COUNTER_MAX)


@dataclass(frozen=True)
class StepCycles:
    """The counters of a DONE, or their prediction."""

    events: int
    commit: int

    @property
    def total(self) -> int:
        """Cycles the step keeps the core busy."""
        return self.events + self.commit


def step_cycles(
    shape: CoreShape,
    groups: Sequence[int],
    events: Iterable[Sequence[int]] = (),
    spikes: Mapping[int, Sequence[int]] | None = None,
    ahead: Sequence[Sequence[int]] = (),
    learns: LearningStep | None = None,
) -> StepCycles:
    """Prediction for a step.

    ``groups`` are those that commit, in order; ``events`` has the words of each run of each event
    that came before the tick; ``spikes`` maps the neurons that spike to those of their rows;
    ``ahead`` are events of the next step, all at hand when this one begins to commit. A core that
    learns wants to know what the step ``learns``.
    """
    if shape.learning is not None:
        step = learns or LearningStep()
        commit = _LearningCommit(shape, groups, {} if spikes is None else spikes, step).cycles()
        return StepCycles(event_cycles(events), min(commit, COUNTER_MAX))
    commit = CommitCycles(shape, groups, {} if spikes is None else spikes, ahead).cycles()
    return StepCycles(event_cycles(events), min(commit, COUNTER_MAX))


def queued_cycles(
    shape: CoreShape,
    groups: Sequence[int],
    spikes: Mapping[int, Sequence[int]],
    following: Sequence[Sequence[int]],
    emitted: Container[int] = (),
) -> int:
    """Cycles from a tick to the next one, if that and its events are at hand: the core's own pace.

    ``groups`` and ``spikes`` as in `step_cycles`, whose ``ahead`` are here all events of the
    ``following`` step; those of the spiking neurons that are ``emitted`` are taken, one a cycle.
    Not for cores that learn.
    """
    commit = CommitCycles(shape, groups, spikes, following)
    return _to_tick(commit.issuer(), following, commit.leaving(emitted))


def first_events_cycles(shape: CoreShape, events: Sequence[Sequence[int]]) -> int:
    """Cycles from the first event after a clear to the tick, if all of its step are at hand."""
    return _to_tick(Issuer(shape, SpikeList([]), (), 0, 0, 0), events, None) - 1


def _to_tick(issuer: Issuer, following: Sequence[Sequence[int]], leaving: SpikeList | None) -> int:
    """Cycles until the tick behind some events is taken; ``leaving`` if a step commits."""
    events = list(following)[::-1]
    reporting = issued = False
    committing = leaving is not None
    while True:
        issuer.look()
        # The next tick follows the last event's last word, and this step's report.
        if not (committing or reporting or events or issuer.busy or issued):
            return issuer.now + 1
        if leaving is not None:
            if reporting:
                reporting = not leaving.empty
            elif committing and issuer.done:
                committing, reporting = False, True
            leaving.step(bool(leaving.rows), issuer.now)
        issued = issuer.busy
        issuer.step(events.pop() if issuer.accepts and events else None)


@dataclass(frozen=True)
class LearningStep:
    """What a step of a core that learns has besides.

    ``rows`` are those of the plastic projection that were read for it, in order, ``spikes`` the
    neurons that spike in it; ``learn`` is false in the test phase, ``refresh`` says that weights
    drift at its end. The traces of the step before must have decayed by the tick: that takes
    blocks * beats cycles, beside its rows.
    """

    rows: Sequence[int] = ()
    spikes: Sequence[int] = ()
    learn: bool = True
    refresh: bool = False


class CommitCycles:
    """A commit cycle by cycle, counted from the one after TICK."""

    def __init__(
        self,
        shape: CoreShape,
        groups: Sequence[int],
        spikes: Mapping[int, Sequence[int]],
        ahead: Sequence[Sequence[int]],
    ) -> None:
        self._shape = shape
        self._spikes = spikes
        self._ahead = ahead
        slots, self._swept = self._sweep(groups)
        behind = take_cycles(shape) + LATENCY[shape.storage]
        stages = commit_stages(shape)
        # A beat is at stage 0 two cycles after its group left the accumulators.
        first = [slot + behind + 1 for slot in slots]
        rest = max(self._swept, max((slot + behind + 1 for slot in slots), default=0))
        self._rest = max([rest, *(at + shape.beats + stages + 1 for at in first)])
        self._slots = set(slots)
        self._first = dict(zip(groups, first, strict=True))
        self._fired: list[tuple[int, list[Sequence[int]]]] = []
        if shape.recurrent:
            for group, at in zip(groups, first, strict=True):
                for turn in range(shape.beats):
                    start = group * shape.lanes + turn * shape.units
                    rows = [spikes[n] for n in range(start, start + shape.units) if n in spikes]
                    if rows:
                        self._fired.append((at + turn + stages, rows))
        self._beats = [
            (at + turn + stages, group * shape.beats + turn)
            for group, at in zip(groups, first, strict=True)
            for turn in range(shape.beats)
        ]

    def _sweep(self, groups: Sequence[int]) -> tuple[list[int], int]:
        """The cycle in which each group is asked for, and the first without anything to ask."""
        shape = self._shape
        width, words = scan_width(shape), scan_words(shape)
        waiting = [0] * words
        for group in groups:
            waiting[group // width] += 1
        slots: list[int] = []
        at = pending = pause = now = 0
        while at != words or pending:
            take = pending > 0 and pause == 0
            pause = shape.beats - 1 if take else max(0, pause - 1)
            if take:
                slots.append(now)
            if at != words and (pending == 0 or (take and pending == 1)):
                pending, at = waiting[at], at + 1
            else:
                pending -= take
            now += 1
        return slots, now

    def cycles(self) -> int:
        """Cycles until everything is added."""
        if not self._fired and not self._ahead:
            return self._rest + 1
        events = list(self._ahead)[::-1]
        issuer = self.issuer(0 if events else min(at for at, _ in self._fired))
        while True:
            issuer.look()
            if issuer.done:
                return issuer.now + 1
            issuer.step(events.pop() if issuer.accepts and events else None)

    def leaving(self, emitted: Container[int]) -> SpikeList:
        """The list of the spikes that leave the core, if those of some neurons do."""
        units = self._shape.units
        beats = []
        for at, beat in self._beats:
            there = range(beat * units, (beat + 1) * units)
            if fired := [n for n in there if n in self._spikes and n in emitted]:
                beats.append((at, fired))
        return SpikeList(beats)

    def beats(self) -> Sequence[tuple[int, int]]:
        """(cycle in which its spikes are known, beat) of each beat that commits."""
        return self._beats

    def issuer(self, now: int = 0) -> Issuer:
        """The issuer of words of this commit, from a cycle on before which it has nothing to do."""
        return Issuer(
            self._shape, SpikeList(self._fired), self._slots, self._swept, self._rest, now
        )


class SpikeList:
    """A list of spikes cycle by cycle (`core.SpikeQueue`): beats in, what each has one by one."""

    def __init__(self, queue: Sequence[tuple[int, Sequence[Any]]]) -> None:
        self._queue = list(queue)
        self._known = Counter(at for at, _ in queue)
        self._filled = self._taken = 0
        self._valid = False
        self.rows: list[Any] = []

    @property
    def empty(self) -> bool:
        """Nothing is on its way."""
        return self._filled == self._taken and not self.rows

    def step(self, accepted: bool, now: int) -> None:
        """The registers in the next cycle; ``accepted``: the first of ``rows`` was taken."""
        ask = not self.rows or (accepted and len(self.rows) == 1)
        following = self._taken + (self._valid and ask)
        if accepted:
            self.rows = self.rows[1:]
        if self._valid and ask:
            self.rows = list(self._queue[self._taken][1])
        self._valid = following != self._filled
        self._taken = following
        self._filled += self._known[now]


class Issuer:
    """The issuer of words and what waits before it, cycle by cycle while a step commits.

    ``look`` says what the registers hold in this cycle: whether an event would be taken
    (``accepts``), whether a source is under way (``busy``), and whether the core has committed and
    added all its own spikes (``done``). ``step`` goes to the next.
    """

    def __init__(
        self,
        shape: CoreShape,
        spikes: SpikeList,
        slots: Container[int],
        swept: int,
        rest: int,
        now: int,
    ) -> None:
        self._shape, self._spikes = shape, spikes
        self._slots, self._swept, self._rest = slots, swept, rest
        self.now = now
        self._waits: Sequence[int] | None = None
        self._segments, self._words = _Walk(), _Walk()
        self._segment_waits: int | None = None
        self.accepts = self.busy = self.done = False

    def look(self) -> None:
        """What the registers say in this cycle."""
        split = bool(self._shape.segments)
        words, segments, waits = self._words, self._segments, self._waits
        self._slot = self.now in self._slots
        go = self._shape.overlaps or self.now >= self._swept
        if split:
            self._take_word = self._segment_waits is not None and words.free(not self._slot)
            self._fetch = self._segment_waits is None or self._take_word
            self._take_row = waits is not None and segments.free(self._fetch)
        else:
            self._take_row = self._take_word = waits is not None and words.free(not self._slot)
            self._fetch = False
        ready = (waits is None or self._take_row) and go
        rows = self._spikes.rows
        self._accepted = bool(rows) and ready
        self.accepts = ready and not rows
        self.busy = waits is not None or words.occupied
        self.busy = self.busy or segments.occupied or self._segment_waits is not None
        self.done = self.now >= self._rest and self._spikes.empty and not self.busy

    def step(self, event: Sequence[int] | None) -> None:
        """What they will say in the next, if an event is taken in this one."""
        words, segments = self._words, self._segments
        if self._shape.segments:
            found = segments.left[0] if segments.left else None
            if self._take_word:
                words.take([0] * (self._segment_waits or 0))
            else:
                words.step(not self._slot)
            if self._fetch:
                self._segment_waits = found
            if self._take_row:
                segments.take(list(self._waits or ()))
            else:
                segments.step(self._fetch)
        elif self._take_word:
            words.take([0] * sum(self._waits or ()))
        else:
            words.step(not self._slot)
        if self._waits is None or self._take_row:
            self._waits = self._spikes.rows[0] if self._accepted else event
        self._spikes.step(self._accepted, self.now)
        self.now += 1


class _LearningCommit(CommitCycles):
    """The same where weights learn: columns first, then rows."""

    def __init__(
        self,
        shape: CoreShape,
        groups: Sequence[int],
        spikes: Mapping[int, Sequence[int]],
        step: LearningStep,
    ) -> None:
        super().__init__(shape, groups, spikes, ())
        learning = shape.learning
        assert learning is not None
        self._learning, self._step = learning, step
        if learning.rule.rows and self._first:
            self._rest = max(
                self._rest,
                max(self._first.values()) + shape.beats + commit_stages(shape) + 1 + POST_TERMS,
            )
        # Neurons of each beat in the queue: with rows to read, or with columns.
        spiking = set(spikes) | set(step.spikes)
        self._queued: list[tuple[int, list[int]]] = []
        for group, at in self._first.items():
            for turn in range(shape.beats):
                start = group * shape.lanes + turn * shape.units
                fired = [n for n in range(start, start + shape.units) if n in spiking]
                if fired and (shape.recurrent or learning.columns):
                    self._queued.append((at + turn + commit_stages(shape), fired))

    def _ready(self) -> Iterator[bool]:
        """Whether the traces of pre neurons have risen, cycle by cycle."""
        shape, learning = self._shape, self._learning
        if not learning.columns or not self._step.learn:
            yield from repeat(True)
        entries: list[tuple[int, int]] = []
        for row in self._step.rows:
            place = row // shape.lanes, row % shape.lanes // shape.units
            if not entries or entries[-1] != place:
                entries.append(place)
        held = set()
        if learning.rule.rows:
            inside = range(learning.first_group, learning.first_group + learning.groups)
            for group in inside:
                if group in self._first:
                    start = self._first[group] + commit_stages(shape) + POST_TERMS
                    held |= set(range(start, start + shape.beats))
        # All but the last entry have long been in the queue, the first of them at its end.
        have = len(entries) > 1
        taken, waiting, rising = int(have), len(entries) > 2, True
        stage: list[tuple[int, int] | None] = [None] * 5
        for now in count():
            yield not rising and not any(stage)
            if now in held:
                continue
            entry = entries[taken - 1] if have else None
            rises = rising and have and entry not in stage[:3]
            fetches = waiting and (rises or not have)
            if rising and taken == len(entries) and not waiting and not have:
                rising = False
            stage = [entry if rises else None, *stage[:-1]]
            taken += fetches
            waiting = taken != len(entries)
            have = fetches or (have and not rises)

    def cycles(self) -> int:
        """Cycles until everything is added."""
        shape, learning = self._shape, self._learning
        inside = range(
            learning.first_group * shape.lanes,
            (learning.first_group + learning.groups) * shape.lanes,
        )
        by_column = learning.columns and self._step.learn
        drains = by_column or (learning.columns and not shape.recurrent)
        filled = taken = active = 0
        valid = False
        waits: list[int] = []
        now = last = 0
        for now, ready in enumerate(self._ready()):
            accept = bool(waits) and (
                (by_column and ready and active <= 1) or (drains and not by_column)
            )
            empty = filled == taken and not waits
            over = now >= self._rest and (not by_column or (empty and active == 0 and ready))
            ask = not waits or (accept and len(waits) == 1)
            following = taken + (valid and ask)
            last = now if active else last
            active = max(active - 1, 0)
            if accept:
                if by_column and waits[0] in inside:
                    active = learning.blocks(shape.lanes)
                waits = waits[1:]
            if valid and ask:
                waits = list(self._queued[taken][1])
            valid, taken = following != filled, following
            filled += sum(1 for at, _ in self._queued if at == now)
            if over:
                break
        if self._step.refresh and self._step.learn:
            now += learning.rows * learning.groups + update_stage(shape) + 1
        now += 1
        # Rows that would read what a column has not yet written wait.
        self._open = last + update_stage(shape) + 1 if columns_first(shape) else 0
        return self._rows(now, filled, taken, valid, waits, again=by_column and shape.recurrent)

    def _rows(
        self, now: int, filled: int, taken: int, valid: bool, waits: list[int], *, again: bool
    ) -> int:
        """The rest of the commit, from the cycle on in which rows may be read."""
        recurrent = self._shape.recurrent
        if again:
            taken, valid, waits = 0, False, []
        spikes = self._spikes
        row: list[int] | None = None
        words = _Walk()
        while True:
            take = row is not None and words.free(True)
            accept = bool(waits) and (
                not recurrent or ((row is None or take) and now >= self._open)
            )
            busy = row is not None or words.occupied
            if filled == taken and not waits and not busy:
                return now + 1
            ask = not waits or (accept and len(waits) == 1)
            following = taken + (valid and ask)
            if take:
                words.take([0] * sum(row or ()))
            else:
                words.step(True)
            if row is None or take:
                row = list(spikes[waits[0]]) if accept and recurrent else None
            if accept:
                waits = waits[1:]
            if valid and ask:
                waits = list(self._queued[taken][1])
            valid, taken = following != filled, following
            now += 1


class _Walk:
    """The steps left of a run; an empty one takes a step."""

    def __init__(self) -> None:
        self.occupied = False
        self.left: list[int] = []

    def free(self, advance: bool) -> bool:
        return not self.occupied or (advance and len(self.left) <= 1)

    def take(self, run: list[int]) -> None:
        self.occupied, self.left = True, run

    def step(self, advance: bool) -> None:
        if advance and self.occupied:
            self.occupied = len(self.left) > 1
            self.left = self.left[1:]
