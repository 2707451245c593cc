"""Clock cycles of a step, exact: what the counters of a core will say.

The counters hold what the work itself takes, whoever sends it and however slowly:

* events: cycles in which the issuer of weight words is taken by an event, outside a commit. Events
  that are added while a step commits cost nothing more, unless they last longer.
* commit: from the cycle after TICK is accepted until its spikes are added.

Not counted: waiting for bytes and sending spikes. Counters saturate at 2^24 - 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .protocol import COUNTER_MAX
from .shape import SCAN_BITS, CoreShape, Storage, index_bits

# Cycles from an accumulator's address to the word it hands over.
LATENCY: Final[Mapping[Storage, int]] = {
    "registers": 0,
    "distributed": 0,
    "block": 1,
    "pipelined": 2,
}
# From the issue of a word, or the place of one, to its accumulator's address.
ISSUE: Final = 2


def commit_stages(shape: CoreShape) -> int:
    """Stages of the commit pipeline after the first: 9, or 11 with a current."""
    return 11 if shape.cuba else 9


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
) -> StepCycles:
    """Prediction for a step.

    ``groups`` are those that commit, in order; ``events`` has the words of each run of each event
    that came before the tick; ``spikes`` maps the neurons that spike to those of their rows;
    ``ahead`` are events of the next step, all at hand when this one begins to commit.
    """
    commit = _Commit(shape, groups, {} if spikes is None else spikes, ahead).cycles()
    return StepCycles(event_cycles(events), min(commit, COUNTER_MAX))


class _Commit:
    """A commit cycle by cycle, counted from the one after TICK."""

    def __init__(
        self,
        shape: CoreShape,
        groups: Sequence[int],
        spikes: Mapping[int, Sequence[int]],
        ahead: Sequence[Sequence[int]],
    ) -> None:
        self._shape = shape
        self._ahead = ahead
        slots, self._swept = self._sweep(groups)
        behind = ISSUE + LATENCY[shape.storage]
        stages = commit_stages(shape)
        # A beat is at stage 0 two cycles after its group left the accumulators.
        first = [slot + behind + 1 for slot in slots]
        rest = max(self._swept, max((slot + behind + 1 for slot in slots), default=0))
        self._rest = max([rest, *(at + shape.beats + stages + 1 for at in first)])
        self._slots = set(slots)
        self._fired: list[tuple[int, list[Sequence[int]]]] = []
        if shape.recurrent:
            for group, at in zip(groups, first, strict=True):
                for turn in range(shape.beats):
                    start = group * shape.lanes + turn * shape.units
                    rows = [spikes[n] for n in range(start, start + shape.units) if n in spikes]
                    if rows:
                        self._fired.append((at + turn + stages, rows))

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
        queue, events = list(self._fired), list(self._ahead)[::-1]
        filled = taken = 0
        valid = False
        rows: list[Sequence[int]] = []
        waits: Sequence[int] | None = None
        segments, words = _Walk(), _Walk()
        segment_waits: int | None = None
        split = bool(self._shape.segments)
        now = 0 if events else min(at for at, _ in queue)
        while True:
            # What the registers say in this cycle.
            slot = now in self._slots
            go = self._shape.overlaps or now >= self._swept
            if split:
                take_word = segment_waits is not None and words.free(not slot)
                fetch = segment_waits is None or take_word
                take_row = waits is not None and segments.free(fetch)
            else:
                take_row = take_word = waits is not None and words.free(not slot)
                fetch = False
            ready = (waits is None or take_row) and go
            accepted = bool(rows) and ready
            event = ready and not rows and bool(events)
            busy = waits is not None or words.occupied
            busy = busy or segments.occupied or segment_waits is not None
            empty = filled == taken and not rows
            if now >= self._rest and empty and not busy:
                return now + 1
            ask = not rows or (accepted and len(rows) == 1)
            following = taken + (valid and ask)

            # What they will say in the next.
            if split:
                found = segments.left[0] if segments.left else None
                if take_word:
                    words.take([0] * (segment_waits or 0))
                else:
                    words.step(not slot)
                if fetch:
                    segment_waits = found
                if take_row:
                    segments.take(list(waits or ()))
                else:
                    segments.step(fetch)
            elif take_word:
                words.take([0] * sum(waits or ()))
            else:
                words.step(not slot)
            if waits is None or take_row:
                waits = rows[0] if accepted else events.pop() if event else None
            if accepted:
                rows = rows[1:]
            if valid and ask:
                rows = list(queue[taken][1])
            valid = following != filled
            taken = following
            filled += sum(1 for at, _ in queue if at == now)
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
