"""Stimuli and recordings: what goes into every rung of the ladder and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .records import Record, frozen_array, frozen_values


@dataclass(frozen=True, eq=False)
class Events(Record):
    """Values in time: ``value[k]`` on line ``index[k]`` in step ``step[k]`` of ``sample[k]``.

    Sorted by (sample, step, index), each place at most once, no zeros. ``value`` is int64 (spike
    counts) or float64 (graded). ``samples`` runs of ``steps`` steps over ``size`` lines.
    """

    samples: int
    steps: int
    size: int
    sample: npt.NDArray[np.int32]
    step: npt.NDArray[np.int32]
    index: npt.NDArray[np.int32]
    value: npt.NDArray[Any]

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("sample", "step", "index"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int32))
        object.__setattr__(self, "value", frozen_values(self.value))

    @classmethod
    def from_dense(cls, values: npt.ArrayLike) -> Events:
        """From an array (samples, steps, lines); integers and booleans become counts."""
        dense = np.asarray(values)
        if dense.ndim != 3:
            raise ValueError(f"expected (samples, steps, lines), got shape {dense.shape}")
        sample, step, index = (a.astype(np.int32) for a in np.nonzero(dense))
        kind = np.int64 if dense.dtype.kind in "bui" else np.float64
        samples, steps, size = dense.shape
        value = dense[dense != 0].astype(kind)
        return cls(samples, steps, size, sample, step, index, value)

    @classmethod
    def from_events(
        cls,
        samples: int,
        steps: int,
        size: int,
        sample: npt.ArrayLike,
        step: npt.ArrayLike,
        index: npt.ArrayLike,
        value: npt.ArrayLike | None = None,
    ) -> Events:
        """From events in any order; those at one place are added up.

        Without ``value`` each counts one. ``ValueError`` where one lies outside
        (samples, steps, size).
        """
        where = [np.asarray(a, np.int64) for a in (sample, step, index)]
        names = ("sample", "step", "index")
        for name, array, bound in zip(names, where, (samples, steps, size), strict=True):
            if array.size and not 0 <= array.min() <= array.max() < bound:
                raise ValueError(
                    f"{name} spans {array.min()} to {array.max()}, outside 0 to {bound - 1}"
                )
        place = (where[0] * steps + where[1]) * size + where[2]
        amount = np.ones(place.shape, np.int64) if value is None else frozen_values(value)
        unique, inverse = np.unique(place, return_inverse=True)
        total = np.zeros(unique.shape, amount.dtype)
        np.add.at(total, inverse.ravel(), amount)
        keep = total != 0
        unique, total = unique[keep], total[keep]
        rest, line = np.divmod(unique, size)
        run, moment = np.divmod(rest, steps)
        return cls(samples, steps, size, run, moment, line, total)

    def dense(self, sample: int) -> npt.NDArray[Any]:
        """The values of one sample, shape (steps, lines)."""
        out = np.zeros((self.steps, self.size), self.value.dtype)
        low, high = self.span(sample)
        out[self.step[low:high], self.index[low:high]] = self.value[low:high]
        return out

    def span(self, sample: int) -> tuple[int, int]:
        """Where the events of one sample begin and end."""
        low, high = np.searchsorted(self.sample, [sample, sample + 1])
        return int(low), int(high)

    def counts(self) -> npt.NDArray[Any]:
        """Sum over time: shape (samples, lines)."""
        out = np.zeros((self.samples, self.size), self.value.dtype)
        np.add.at(out, (self.sample, self.index), self.value)
        return out

    def rates(self, window: int | None = None) -> npt.NDArray[np.float64]:
        """Mean value a step over windows of so many steps: shape (samples, windows, lines).

        One window of all steps by default; steps behind the last whole window are in none.
        ``ValueError`` for a window of no step, or of more than there are.
        """
        length = self.steps if window is None else window
        if not 1 <= length <= self.steps:
            raise ValueError(f"a window of {length} steps of {self.steps}")
        out = np.zeros((self.samples, self.steps // length, self.size))
        place = self.step // length
        kept = place < out.shape[1]
        np.add.at(out, (self.sample[kept], place[kept], self.index[kept]), self.value[kept])
        return out / length

    def shifted(self, steps: int, length: int) -> Events:
        """Moved ``steps`` earlier and cut to ``length`` steps."""
        moved = self.step - steps
        keep = (moved >= 0) & (moved < length)
        return Events(
            self.samples,
            length,
            self.size,
            self.sample[keep],
            moved[keep],
            self.index[keep],
            self.value[keep],
        )

    def take(self, samples: int) -> Events:
        """The first ``samples`` samples."""
        high = int(np.searchsorted(self.sample, samples))
        cut = (a[:high] for a in (self.sample, self.step, self.index, self.value))
        return Events(min(samples, self.samples), self.steps, self.size, *cut)

    @property
    def integer(self) -> bool:
        """Whether every value is a count."""
        return self.value.dtype.kind == "i"


@dataclass(frozen=True, eq=False)
class Stimulus(Record):
    """Events for every input of a network, by name; all of the same samples and steps.

    ``idle`` has samples and steps for a network without inputs, which goes on by itself.
    """

    inputs: dict[str, Events]
    idle: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        lengths = {(e.samples, e.steps) for e in self.inputs.values()}
        if len(lengths | ({self.idle} if self.idle is not None else set())) != 1:
            raise ValueError("a stimulus needs inputs that agree in samples and steps")

    @property
    def _length(self) -> tuple[int, int]:
        if self.idle is not None:
            return self.idle
        first = next(iter(self.inputs.values()))
        return first.samples, first.steps

    @property
    def samples(self) -> int:
        """Number of independent runs; state is cleared before each."""
        return self._length[0]

    @property
    def steps(self) -> int:
        """Steps of each run."""
        return self._length[1]

    def take(self, samples: int) -> Stimulus:
        """The first ``samples`` samples."""
        if not self.inputs:
            return Stimulus({}, (min(samples, self.samples), self.steps))
        return Stimulus({name: events.take(samples) for name, events in self.inputs.items()})


@dataclass(frozen=True, eq=False)
class Recording(Record):
    """What one rung produced.

    ``spikes`` has the emission of each recorded population (spike counts, or real values when it
    is graded), ``states`` maps (population, variable) to arrays (samples, steps, neurons). Lags of
    retiming are already taken out: step t is step t of the graph that the user wrote. ``weights``
    maps a plastic projection to its weights, shape (snapshots, *shape of the connection's weight):
    one after the last sample, or one after each sample or each step. ``dt`` is the network's step,
    the same on all rungs; ``period`` is what each step takes on the rung's hardware, where that has
    a clock of its own. Both in s.
    """

    rung: str
    dt: float
    spikes: dict[str, Events]
    states: dict[tuple[str, str], npt.NDArray[Any]]
    weights: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    period: float | None = None

    @property
    def samples(self) -> int:
        """Number of independent runs."""
        return next(iter(self.spikes.values())).samples if self.spikes else 0
