"""Synapses as weight words: three forms of the same rows, and which one a network wants.

A word holds L weights, for neurons g L .. g L + L - 1 of a group g. What a source costs is one
cycle a word, so words are what counts; what a word costs in memory depends on who says where it
goes:

=======  ==================================================================================
row      the run it is part of: words for consecutive groups, all after the same number of
         steps. Equal runs are stored once, and so are equal lists of runs that differ by a
         shift only: the taps of a convolution stay as they are in the kernel
word     itself: a target and a delay beside the L weights
lane     itself, for every lane: sparse rows need fewer words, each word more bits
=======  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ...hdl.shape import Addressing, index_bits
from ...ir.diagnostics import fail

Integers = npt.NDArray[np.int64]
# (source, delay, group, projection) of each word, and its weights.
_Dense = tuple[Integers, Integers]
# Pairs of runs are compared with each other up to this many kinds.
_MOST_KINDS = 2000
# A form that takes this share of the cycles of another is worth its memory.
_WORTH = 0.8


@dataclass(frozen=True)
class Synapses:
    """One entry a synapse: source row, steps, target neuron of the core, projection, weight."""

    source: Integers
    delay: Integers
    target: Integers
    projection: Integers
    weight: Integers

    def of(self, which: npt.NDArray[np.bool_]) -> Synapses:
        """Some of them."""
        return Synapses(*(getattr(self, f.name)[which] for f in fields(self)))


@dataclass(frozen=True)
class Words:
    """Weight words and the rows that lead to them.

    ``arrays`` are those of ``CoreImage``; ``issued`` has the words of each source; words for the
    same place are ``distance`` cycles apart or more; of all the weights in all rows ``padding`` are
    zeros that only fill a word up (a share).
    """

    addressing: Addressing
    arrays: Mapping[str, Integers]
    issued: Integers
    distance: int
    padding: float

    @property
    def words(self) -> int:
        """Words stored."""
        return int(self.arrays["weights"].shape[0])

    @property
    def segments(self) -> int:
        """Segments stored, 0 if a row is one run."""
        return int(self.arrays["segment_start"].size) if "segment_start" in self.arrays else 0

    def runs(self, source: int) -> list[int]:
        """Words of each run of a source's row."""
        start, count = (int(self.arrays[n][source]) for n in ("rows_start", "rows_count"))
        if not self.segments:
            return [count]
        return [int(words) for words in self.arrays["segment_count"][start : start + count]]

    @property
    def delays(self) -> int:
        """Steps a word can wait: the longest delay and one."""
        names = ("word_delay", "rows_delay", "segment_delay")
        return 1 + max(int(self.arrays[n].max(initial=0)) for n in names if n in self.arrays)

    def bits(self, weight_bits: int, groups: int) -> int:
        """Bits of words, rows and segments."""
        words, lanes = self.arrays["weights"].shape
        place = index_bits(groups) + index_bits(self.delays)
        word = lanes * weight_bits
        run = index_bits(words) + int(words).bit_length()
        rows = int(self.issued.size)
        match self.addressing:
            case "word":
                return int(words * (word + place) + rows * run)
            case "lane":
                return int(words * (word + lanes * place) + rows * run)
            case "row" if self.segments:
                row = 2 * index_bits(self.segments) + 1 + index_bits(groups)
                return int(words * word + self.segments * (run + place) + rows * row)
            case _:
                return int(words * word + rows * (run + place))


def by_word(synapses: Synapses, sources: int, lanes: int, dense: _Dense | None = None) -> Words:
    """A word for each (source, delay, group, projection); ``dense`` if they are at hand."""
    keys, weights = dense or _dense_words(synapses, lanes)
    return _direct("word", keys[:, 0], weights, keys[:, 2], keys[:, 1], sources, synapses)


def by_lane(synapses: Synapses, sources: int, lanes: int) -> Words:
    """As many words a source as its fullest lane has synapses, those of a lane by target."""
    group, lane = np.divmod(synapses.target, lanes)
    order = np.lexsort((synapses.delay, group, lane, synapses.source))
    source, lane = synapses.source[order], lane[order]
    key = source * lanes + lane
    new = np.concatenate([[True], key[1:] != key[:-1]]) if key.size else np.zeros(0, bool)
    first = np.flatnonzero(new)
    place = np.arange(key.size) - np.repeat(first, np.diff(np.append(first, key.size)))
    count = np.zeros(sources, np.int64)
    np.maximum.at(count, source, place + 1)
    start = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64)
    word = start[source] + place
    shape = (int(count.sum()), lanes)
    arrays = {name: np.zeros(shape, np.int64) for name in ("weights", "target", "delay")}
    arrays["weights"][word, lane] = synapses.weight[order]
    arrays["target"][word, lane] = group[order]
    arrays["delay"][word, lane] = synapses.delay[order]
    return Words(
        "lane",
        {
            "weights": arrays["weights"],
            "word_target": arrays["target"],
            "word_delay": arrays["delay"],
            "rows_start": np.where(count > 0, start, 0),
            "rows_count": count,
        },
        count,
        1,
        _padding(count, lanes, synapses),
    )


def by_row(
    synapses: Synapses,
    sources: int,
    lanes: int,
    segments: bool | None = None,
    dense: _Dense | None = None,
) -> Words:
    """Runs of words for consecutive groups; ``segments`` says whether rows share them.

    By default they do if any source has more than one run. ``dense`` are the words, if they are at
    hand. Raises E0302 if one source has more runs and rows may not share segments.
    """
    keys, weights = dense or _dense_words(synapses, lanes)
    source, delay, group = keys[:, 0], keys[:, 1], keys[:, 2]
    if keys.size:
        new = np.ones(len(keys), bool)
        follows = (keys[1:, [0, 1, 3]] == keys[:-1, [0, 1, 3]]).all(axis=1)
        new[1:] = ~(follows & (group[1:] == group[:-1] + 1))
        first = np.flatnonzero(new)
    else:
        first = np.zeros(0, np.int64)
    length = np.diff(np.append(first, len(keys)))
    stored, starts = _stored_once(weights, first, length)
    issued = np.bincount(source, minlength=sources)
    runs = np.bincount(source[first], minlength=sources)
    distance = run_distance(group[first], length)
    padding = _padding(issued, lanes, synapses)
    if segments is None:
        segments = bool(runs.max(initial=0) > 1)
    if not segments:
        most = int(runs.argmax()) if runs.size else 0
        if runs.size and runs[most] > 1:
            raise fail(
                "E0302",
                f"source {most} of the core goes to {runs[most]} runs of neurons; a core without "
                "segments has one a source",
            )
        row = {name: np.zeros(sources, np.int64) for name in ("start", "count", "target", "delay")}
        at = source[first]
        row["start"][at], row["count"][at] = starts, length
        row["target"][at], row["delay"][at] = group[first], delay[first]
        arrays = {f"rows_{name}": values for name, values in row.items()}
        return Words("row", {"weights": stored, **arrays}, issued, distance, padding)

    # Lists of runs, their targets counted from the lowest.
    base = np.full(sources, np.iinfo(np.int64).max)
    np.minimum.at(base, source[first], group[first])
    base = np.where(runs > 0, base, 0)
    table = np.stack([starts, length, group[first] - base[source[first]], delay[first]], axis=1)
    ends = np.cumsum(runs)
    lists: dict[bytes, int] = {}
    kept: list[npt.NDArray[Any]] = []
    rows_start, size = np.zeros(sources, np.int64), 0
    for row_number in np.flatnonzero(runs):
        part = table[ends[row_number] - runs[row_number] : ends[row_number]]
        name = part.tobytes()
        if name not in lists:
            lists[name] = size
            kept.append(part)
            size += len(part)
        rows_start[row_number] = lists[name]
    joined = np.concatenate(kept) if kept else np.zeros((0, 4), np.int64)
    return Words(
        "row",
        {
            "weights": stored,
            "rows_start": rows_start,
            "rows_count": runs,
            "rows_target": base,
            **{
                f"segment_{name}": joined[:, k].copy()
                for k, name in enumerate(("start", "count", "target", "delay"))
            },
        },
        issued,
        distance,
        padding,
    )


def best(synapses: Synapses, sources: int, lanes: int, weight_bits: int, groups: int) -> Words:
    """The form with the fewest cycles where they differ much, else the one with the fewest bits."""
    fullest = np.bincount(
        synapses.source * lanes + synapses.target % lanes, minlength=sources * lanes
    )
    sparse = fullest.reshape(sources, lanes).max(axis=1).sum()
    found = _dense_words(synapses, lanes)
    # Both dense forms have a word for each key.
    if sparse < _WORTH * len(found[0]):
        return by_lane(synapses, sources, lanes)
    row = by_row(synapses, sources, lanes, dense=found)
    word = by_word(synapses, sources, lanes, found)
    return min((row, word), key=lambda form: form.bits(weight_bits, groups))


def _dense_words(synapses: Synapses, lanes: int) -> _Dense:
    """(source, delay, group, projection) of each word, sorted, and its weights.

    Two projections between the same neurons keep words of their own: a sum of two weights may
    need more bits than one has.
    """
    lane = synapses.target % lanes
    key, base = _word_keys(synapses, lanes)
    unique, word = np.unique(key, return_inverse=True)
    weights = np.zeros((unique.size, lanes), np.int64)
    weights[word.ravel(), lane] = synapses.weight
    columns = []
    for size in base[::-1]:
        unique, column = np.divmod(unique, size)
        columns.append(column)
    group, projection, delay = columns
    return np.stack([unique, delay, group, projection], axis=1), weights


def _word_keys(synapses: Synapses, lanes: int) -> tuple[Integers, tuple[int, int, int]]:
    """One number for (source, delay, projection, group), and how many there are of the last three.

    Sorting whole numbers is an order of magnitude faster than sorting rows of them.
    """
    group = synapses.target // lanes
    parts = (synapses.delay, synapses.projection, group)
    base = tuple(int(part.max(initial=0)) + 1 for part in parts)
    key = synapses.source
    for part, size in zip(parts, base, strict=True):
        key = key * size + part
    return key, cast("tuple[int, int, int]", base)


def dense_words(synapses: Synapses, lanes: int) -> int:
    """Words of all rows, if each goes to one group."""
    return int(np.unique(_word_keys(synapses, lanes)[0]).size)


def fewest_words(synapses: Synapses, lanes: int, core: Integers | None = None) -> Integers:
    """Words of all rows in each core, in the form that `best` takes.

    ``core`` (synapses,) is where each synapse ends, one core for all of a group; None: all in one.
    """
    if not synapses.target.size:
        return np.zeros(1, np.int64)
    where = np.zeros_like(synapses.target) if core is None else core
    cores = int(where.max()) + 1
    _, first = np.unique(_word_keys(synapses, lanes)[0], return_index=True)
    dense = np.bincount(where[first], minlength=cores)
    key = (synapses.source * cores + where) * lanes + synapses.target % lanes
    key, count = np.unique(key, return_counts=True)
    row = key // lanes
    begins = np.flatnonzero(np.diff(row, prepend=-1))
    fullest = np.maximum.reduceat(count, begins)
    sparse = np.zeros(cores, np.int64)
    np.add.at(sparse, row[begins] % cores, fullest)
    return np.where(sparse < _WORTH * dense, sparse, dense)


def words_onto(synapses: Synapses, lanes: int, groups: int) -> Integers:
    """Words that lead to each group, counted as in `dense_words`."""
    key, (_, _, size) = _word_keys(synapses, lanes)
    return np.bincount(np.unique(key) % size, minlength=groups)


def _direct(
    addressing: Addressing,
    source: Integers,
    weights: Integers,
    target: Integers,
    delay: Integers,
    sources: int,
    synapses: Synapses,
) -> Words:
    count = np.bincount(source, minlength=sources)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    arrays = {
        "weights": weights,
        "word_target": target,
        "word_delay": delay,
        "rows_start": np.where(count > 0, start, 0),
        "rows_count": count,
    }
    return Words(addressing, arrays, count, 1, _padding(count, weights.shape[1], synapses))


def _stored_once(weights: Integers, first: Integers, length: Integers) -> tuple[Integers, Integers]:
    """Words without repeated runs, and where each run is."""
    known: dict[bytes, int] = {}
    keep: list[slice] = []
    starts, size = np.zeros(first.size, np.int64), 0
    narrow = weights.astype(np.int32)
    for number, (begin, count) in enumerate(zip(first.tolist(), length.tolist(), strict=True)):
        content = narrow[begin : begin + count].tobytes()
        at = known.get(content)
        if at is None:
            at = known[content] = size
            keep.append(slice(begin, begin + count))
            size += count
        starts[number] = at
    stored = np.concatenate([weights[part] for part in keep]) if keep else weights[:0]
    return stored, starts


def run_distance(target: Integers, length: Integers) -> int:
    """Cycles between two words for the same group, at least, whatever follows what.

    Run b behind run a meets it c_a + t_a - t_b cycles later where the two have a group in common;
    what lies between only adds to that.
    """
    kinds = np.unique(np.stack([target, length], axis=1), axis=0)
    if not kinds.size or len(kinds) > _MOST_KINDS:
        return 1
    t, c = kinds[:, 0], kinds[:, 1]
    end = t + c
    common = (t[:, None] < end[None, :]) & (t[None, :] < end[:, None])
    apart = end[:, None] - t[None, :]
    return max(1, int(apart[common].min(initial=1 << 16)))


def _padding(issued: Integers, lanes: int, synapses: Synapses) -> float:
    slots = int(issued.sum()) * lanes
    return 1 - synapses.weight.size / slots if slots else 0.0
