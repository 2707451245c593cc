"""Clock cycles of a step, exact: what the counters of a core will say.

The counters hold what the work itself takes, whoever sends it and however slowly:

* accumulate: cycles in which the issuer of weight words is taken by an EVENT since the last DONE
  or CLEARED. The pipeline behind it is filled once, not per event, when events arrive at speed.
* commit: from the cycle after TICK is accepted to the start of propagation.
* propagate: from there until the last weight is added.

Not counted: waiting for bytes, sending spikes, and at most `LATENCY` cycles for the last event
before a TICK to reach the accumulators. Counters saturate at 2^24 - 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .protocol import COUNTER_MAX
from .shape import CoreShape

# Row lookup (2), then weight word and accumulator (2) behind the issuer.
LATENCY: Final = 4


def source_cycles(words: int) -> int:
    """Issuer cycles of one source with ``words`` weight words: max(1, words)."""
    return max(1, words)


def accumulate_cycles(words: Iterable[int]) -> int:
    """Cycles of the events of a step, given the words of each: sum max(1, words)."""
    return min(sum(map(source_cycles, words)), COUNTER_MAX)


def commit_stages(shape: CoreShape) -> int:
    """Stages of the commit pipeline after the first: 9, or 11 with a current."""
    return 11 if shape.cuba else 9


def commit_cycles(shape: CoreShape, active_neurons: int) -> int:
    """Cycles of a commit sweep: active_neurons + stages + 1."""
    return min(active_neurons + commit_stages(shape) + 1, COUNTER_MAX)


def propagate_cycles(words: Iterable[int]) -> int:
    """Cycles of propagation, given the words of each spike: 1 + (LATENCY + sum max(1, words)).

    The parenthesis is 0 without a spike.
    """
    total = sum(map(source_cycles, words))
    return min(1 + (LATENCY + total if total else 0), COUNTER_MAX)


@dataclass(frozen=True)
class StepCycles:
    """The three counters of a DONE frame, or their prediction."""

    accumulate: int
    commit: int
    propagate: int

    @property
    def total(self) -> int:
        """Cycles the step keeps the core busy."""
        return self.accumulate + self.commit + self.propagate


def step_cycles(
    shape: CoreShape, active_neurons: int, events: Iterable[int], spikes: Iterable[int]
) -> StepCycles:
    """Prediction for a step, given the weight words of each event and of each spike."""
    return StepCycles(
        accumulate_cycles(events),
        commit_cycles(shape, active_neurons),
        propagate_cycles(spikes),
    )
