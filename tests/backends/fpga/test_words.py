"""Weight words: every form says the same synapses, and tells the truth about itself."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.backends.fpga.words import (
    Synapses,
    Words,
    best,
    by_lane,
    by_row,
    by_word,
    dense_words,
    fewest_words,
)
from spikec.compiler.connectivity import to_sparse
from spikec.ir.connections import Conv2d
from spikec.ir.diagnostics import SpikecError

from .expand import expanded, runs_of

SOURCES = 7
FORMS = (by_row, by_word, by_lane)


def synapses_from(entries: list[tuple[int, int, int, int, int]]) -> Synapses:
    columns = np.array(sorted(entries), np.int64).reshape(-1, 5).T
    source, delay, target, projection, weight = (column.copy() for column in columns)
    return Synapses(source, delay, target, projection, weight)


def wanted(synapses: Synapses) -> Counter[tuple[int, int, int]]:
    sums: Counter[tuple[int, int, int]] = Counter()
    for s, d, t, w in zip(
        synapses.source, synapses.delay, synapses.target, synapses.weight, strict=True
    ):
        sums[int(s), int(d), int(t)] += int(w)
    return Counter({place: weight for place, weight in sums.items() if weight})


@st.composite
def any_synapses(draw: st.DrawFn) -> Synapses:
    """Few neurons and many projections between the same ones, or none at all."""
    place = st.tuples(
        st.integers(0, SOURCES - 1), st.integers(0, 3), st.integers(0, 23), st.integers(0, 1)
    )
    places = draw(st.lists(place, unique=True, max_size=60))
    weights = draw(
        st.lists(st.sampled_from([-8, -1, 1, 7]), min_size=len(places), max_size=len(places))
    )
    return synapses_from([(*p, w) for p, w in zip(places, weights, strict=True)])


@given(synapses=any_synapses(), lanes=st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_every_form_is_the_same_matrix(synapses: Synapses, lanes: int) -> None:
    for form in FORMS:
        words = form(synapses, SOURCES, lanes)
        assert expanded(words.arrays, words.addressing, lanes) == wanted(synapses)
        check_honest(words, synapses, lanes)
    words = best(synapses, SOURCES, lanes, 4, -(-24 // lanes))
    assert expanded(words.arrays, words.addressing, lanes) == wanted(synapses)


@given(synapses=any_synapses(), lanes=st.integers(1, 9), cores=st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_words_are_known_before_a_form_is_made(synapses: Synapses, lanes: int, cores: int) -> None:
    groups = -(-24 // lanes)
    core = synapses.target // lanes % cores
    found = fewest_words(synapses, lanes, core)
    for k in range(found.size):
        part = synapses.of(core == k)
        assert found[k] == best(part, SOURCES, lanes, 4, groups).issued.sum()
    whole = best(synapses, SOURCES, lanes, 4, groups)
    assert fewest_words(synapses, lanes).tolist() == [whole.issued.sum()]


def check_honest(words: Words, synapses: Synapses, lanes: int) -> None:
    """What it says of its cost, its delays, its padding and its distance, counted out."""
    runs = runs_of(words.arrays, words.addressing)
    issued = [sum(count for _, count, _, _ in runs[s]) for s in range(SOURCES)]
    assert words.issued.tolist() == issued
    slots = sum(issued) * lanes
    assert words.padding == pytest.approx(1 - synapses.weight.size / slots if slots else 0.0)
    assert words.delays == 1 + int(synapses.delay.max(initial=0))
    if words.addressing != "lane":
        assert sum(issued) == dense_words(synapses, lanes)
    assert words.distance >= 1
    if words.addressing == "row":
        nearest = nearest_pair([run for source in runs for run in source])
        # Without two words for a group they are as far apart as one likes.
        assert (
            words.distance == (1 << 16 if nearest is None else nearest) or not synapses.source.size
        )
    else:
        assert words.distance == 1


def nearest_pair(runs: list[tuple[int, int, int, int]]) -> int | None:
    """Cycles between two words for the same group, whatever run follows whatever run."""
    found: list[int] = []
    kinds = {(target, count) for _, count, target, _ in runs if count}
    for first, second in product(kinds, repeat=2):
        groups = [first[0] + k for k in range(first[1])] + [second[0] + k for k in range(second[1])]
        places: dict[int, int] = {}
        for at, group in enumerate(groups):
            if group in places:
                found.append(at - places[group])
            places[group] = at
    return min(found, default=None)


def test_runs_of_one_row_need_no_segments() -> None:
    """Dense layers: a row is a run; with two targets it is a list of them."""
    dense = synapses_from([(s, 0, t, 0, 1 + s) for s in range(SOURCES) for t in range(16)])
    words = by_row(dense, SOURCES, 4)
    assert words.segments == 0
    assert words.words == SOURCES * 4
    assert words.distance == 4
    assert words.padding == 0
    gap = synapses_from([(0, 0, t, 0, 1) for t in (0, 1, 12, 13)])
    assert by_row(gap, SOURCES, 4).segments == 2
    with pytest.raises(SpikecError, match="source 0 of the core goes to 2 runs"):
        by_row(gap, SOURCES, 4, segments=False)
    shared = by_row(dense, SOURCES, 4, segments=True)
    assert shared.segments == SOURCES
    assert expanded(shared.arrays, "row", 4) == wanted(dense)


def test_equal_runs_are_stored_once() -> None:
    """Rows with the same weights, wherever they go and whenever."""
    same = synapses_from([(s, s % 3, 4 * s + t, 0, 1 + t) for s in range(5) for t in range(8)])
    words = by_row(same, SOURCES, 4)
    assert words.words == 2
    assert words.issued.tolist() == [2] * 5 + [0, 0]
    assert expanded(words.arrays, "row", 4) == wanted(same)
    assert by_word(same, SOURCES, 4).words == 10


def test_two_projections_keep_their_own_words() -> None:
    """The sum of two weights of full scale has no room in one."""
    both = synapses_from([(0, 0, 3, 0, 7), (0, 0, 3, 1, 7)])
    for form in FORMS:
        words = form(both, SOURCES, 4)
        assert words.issued[0] == 2
        assert words.arrays["weights"].max() == 7
        assert expanded(words.arrays, words.addressing, 4) == Counter({(0, 0, 3): 14})
    # Their runs meet in the same group.
    assert by_row(both, SOURCES, 4).distance == 1


def test_lanes_pack_sparse_rows() -> None:
    """A row needs as many words as its fullest lane has synapses."""
    rng = np.random.default_rng(5)
    places = [(s, 0, int(t), 0, 1) for s in range(SOURCES) for t in rng.choice(160, 16, False)]
    sparse = synapses_from(places)
    lane, word = by_lane(sparse, SOURCES, 8), by_word(sparse, SOURCES, 8)
    fullest = [
        max(Counter(t % 8 for source, _, t, _, _ in places if source == s).values())
        for s in range(SOURCES)
    ]
    assert lane.issued.tolist() == fullest
    assert lane.issued.sum() < 0.5 * word.issued.sum()
    assert best(sparse, SOURCES, 8, 8, 20).addressing == "lane"


def test_dense_rows_need_no_targets_in_words() -> None:
    dense = synapses_from([(s, 0, t, 0, s - 3 or 1) for s in range(SOURCES) for t in range(32)])
    assert best(dense, SOURCES, 8, 8, 4).addressing == "row"


def test_nothing_at_all() -> None:
    none = synapses_from([])
    for form in FORMS:
        words = form(none, SOURCES, 4)
        assert words.words == 0 and words.padding == 0 and words.delays == 1
        assert words.issued.tolist() == [0] * SOURCES
        assert words.distance >= 1
        assert words.bits(8, 4) >= 0


def convolution(side: int, kernel: int, channels: int, lanes: int) -> tuple[Words, int]:
    """Words of a convolution, channels last, and how many its kernel has."""
    rng = np.random.default_rng(0)
    weight = rng.integers(1, 100, (channels, 2, kernel, kernel))
    stage = Conv2d(weight, (2, side, side))
    matrix = to_sparse(stage).tocoo()
    positions = int(np.prod(stage.out_shape[1:]))
    channel, position = np.divmod(matrix.col.astype(np.int64), positions)
    zero = np.zeros(matrix.nnz, np.int64)
    synapses = Synapses(
        matrix.row.astype(np.int64),
        zero,
        position * channels + channel,
        zero,
        matrix.data.astype(np.int64),
    )
    words = by_row(synapses, 2 * side * side, lanes)
    assert expanded(words.arrays, "row", lanes) == wanted(synapses)
    return words, 2 * kernel * kernel * channels // lanes


@pytest.mark.parametrize(("kernel", "channels", "lanes"), [(3, 8, 8), (5, 8, 4), (2, 16, 8)])
def test_a_convolution_stores_its_kernel(kernel: int, channels: int, lanes: int) -> None:
    """A row of taps is a run; cut off at an edge it is another: k times the kernel at most.

    What is stored does not grow with the image; the list of runs hardly does.
    """
    side = 3 * kernel
    small, own = convolution(side, kernel, channels, lanes)
    large, _ = convolution(side + 6, kernel, channels, lanes)
    assert own <= small.words <= kernel * own
    assert large.words == small.words
    assert large.segments <= 1.2 * small.segments
    unrolled = int(large.issued.sum())
    assert large.words < unrolled / 10
    assert large.bits(8, (side + 6) ** 2 * channels // lanes) < unrolled * lanes * 8 / 4


def test_the_forecast_of_bits() -> None:
    """Words, rows and segments, by the widths that a shape with them has."""
    dense = synapses_from([(s, s % 2, t, 0, 1 + s) for s in range(SOURCES) for t in range(16)])
    assert by_word(dense, SOURCES, 4).bits(5, 4) == 28 * (20 + 2 + 1) + SOURCES * (5 + 5)
    assert by_lane(dense, SOURCES, 4).bits(5, 4) == 28 * (20 + 4 * 3) + SOURCES * (5 + 5)
    assert by_row(dense, SOURCES, 4).bits(5, 4) == 28 * 20 + SOURCES * (5 + 5 + 2 + 1)
