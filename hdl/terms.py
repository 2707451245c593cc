"""What each neuron of an image adds up, as constants: the sums of a parallel core.

Plain numbers only, so that a compiler can count a circuit before it is made. A neuron's terms are
added in a tree::

    level 1          tables of `TABLE` terms, a constant for each combination of spikes
    level 2, 3, ...  sums of two

with a register behind each, so the tree of the neuron with most terms sets the pace of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .image import CoreImage

# Inputs of one table of logic.
TABLE: Final = 4

# (source, steps) of a spike: input s is source s, neuron n is inputs + n, as rows are.
Term = tuple[int, int]


def terms_of(image: CoreImage) -> list[dict[Term, int]]:
    """The weight of each (source, steps) that reaches a neuron, for each neuron; none is zero."""
    shape = image.shape
    lanes = np.arange(shape.lanes)
    found: list[dict[Term, int]] = [{} for _ in range(shape.neurons)]
    for source in range(shape.sources):
        for start, count, target, delay in _runs(image, source):
            for k in range(count):
                word = start + k
                if shape.addressing == "row":
                    groups, steps = np.full(shape.lanes, target + k), np.full(shape.lanes, delay)
                else:
                    groups, steps = image.word_target[word], image.word_delay[word]
                places = (groups * shape.lanes + lanes).tolist()
                weights = image.weights[word].tolist()
                for neuron, wait, weight in zip(places, steps.tolist(), weights, strict=True):
                    if weight:
                        sums = found[neuron]
                        sums[source, wait] = sums.get((source, wait), 0) + weight
    return [{term: weight for term, weight in sums.items() if weight} for sums in found]


def _runs(image: CoreImage, source: int) -> Iterable[tuple[int, int, int, int]]:
    """(first word, words, first group, steps) of each run of a source."""
    start, count = int(image.rows_start[source]), int(image.rows_count[source])
    target = int(image.rows_target[source])
    if not image.shape.segments:
        return [(start, count, target, int(image.rows_delay[source]))]
    return [
        (
            int(image.segment_start[k]),
            int(image.segment_count[k]),
            int(image.segment_target[k]) + target,
            int(image.segment_delay[k]),
        )
        for k in range(start, start + count)
    ]


def levels(terms: int) -> int:
    """Levels of the tree that adds so many terms, at least 1."""
    tables = max(1, -(-terms // TABLE))
    return 1 + (tables - 1).bit_length()


def depth(sums: Sequence[Mapping[Term, int]]) -> int:
    """Levels of the deepest tree."""
    return max(levels(len(terms)) for terms in sums)


@dataclass(frozen=True)
class Range:
    """Whole numbers low .. high that a partial sum can be; both include what no spike gives, 0."""

    low: int
    high: int

    @property
    def bits(self) -> int:
        """Bits of a signed number that holds them."""
        return max(1 + (-self.low - 1 if self.low < 0 else 0).bit_length(), self._above)

    @property
    def _above(self) -> int:
        return 1 + self.high.bit_length()

    def __add__(self, other: Range) -> Range:
        """The range of a sum."""
        return Range(self.low + other.low, self.high + other.high)


def range_of(weights: Iterable[int]) -> Range:
    """The range of any sum of some of the weights."""
    every = list(weights)
    return Range(sum(w for w in every if w < 0), sum(w for w in every if w > 0))


def tree_bits(weights: Sequence[int]) -> tuple[int, int]:
    """Bits at the outputs of a tree's tables, and of its adders, that a circuit needs."""
    ranges = [range_of(weights[at : at + TABLE]) for at in range(0, len(weights), TABLE)]
    tables = sum(part.bits for part in ranges)
    adders = 0
    while len(ranges) > 1:
        pairs = [ranges[at : at + 2] for at in range(0, len(ranges), 2)]
        ranges = [pair[0] + pair[1] if len(pair) == 2 else pair[0] for pair in pairs]
        adders += sum(part.bits for part, pair in zip(ranges, pairs, strict=True) if len(pair) == 2)
    return tables, adders
