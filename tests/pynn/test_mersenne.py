"""Numbers below a threshold, and permutations, against numpy's own generator."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.pynn.lanes import COMPACTS
from spikec.pynn.mersenne import Twister


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    before=st.integers(0, 1300),
    words=st.integers(0, 3),
    blocks=st.lists(st.integers(0, 2000), min_size=1, max_size=4),
    p=st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0, 2.0**-53, 0.5])),
)
def test_the_numbers_below_are_those_that_numpy_draws(
    seed: int, before: int, words: int, blocks: list[int], p: float
) -> None:
    generator = np.random.RandomState(seed)
    generator.random_sample(before)
    for _ in range(words):  # leaves the generator between the two words of a number
        generator.randint(0, 2**32, dtype=np.uint32)
    ours = Twister(generator)
    for block in blocks:
        drawn = np.flatnonzero(generator.random_sample(block) < p)
        assert np.array_equal(ours.below(p, block), drawn)


def test_the_generator_itself_stays_where_it_is() -> None:
    generator = np.random.RandomState(3)
    Twister(generator).below(0.5, 1000)
    assert generator.random_sample() == np.random.RandomState(3).random_sample()


@pytest.mark.parametrize("p", [1.0, 0.999])
def test_more_hits_than_expected_find_room(p: float) -> None:
    count = 5000
    drawn = np.flatnonzero(np.random.RandomState(1).random_sample(count) < p)
    assert np.array_equal(Twister(np.random.RandomState(1)).below(p, count), drawn)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    words=st.integers(0, 1300),
    size=st.one_of(
        st.integers(1, 40),
        st.integers(1, 1100),
        st.sampled_from([2**k + d for k in (7, 9) for d in (0, 1)]),
    ),
    shares=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=4),
    normal=st.booleans(),
)
def test_the_first_entries_are_those_of_numpys_permutations(
    seed: int, words: int, size: int, shares: list[float], normal: bool
) -> None:
    generator = np.random.RandomState(seed)
    generator.randint(0, 2**32, dtype=np.uint32, size=words)
    if normal:  # leaves a second number behind
        generator.standard_normal()
    counts = np.array([round(share * size) for share in shares])
    ours = Twister(generator)
    found = ours.firsts(size, counts)
    assert np.array_equal(Twister(generator).firsts(size, counts, in_lanes=False), found)
    mine = np.random.RandomState()
    mine.set_state(generator.get_state())
    ours.leave(mine)
    each = [generator.permutation(np.arange(size))[:count] for count in counts if count]
    assert np.array_equal(found, np.concatenate([*each, np.zeros(0, np.int64)]))
    assert np.array_equal(mine.standard_normal(3), generator.standard_normal(3))


def test_permutations_of_more_cells_than_16_bits_count() -> None:
    size, counts = (1 << 16) + 1, np.array([3, 70000 - 5000])
    generator = np.random.RandomState(6)
    found = Twister(generator).firsts(size, counts)
    each = [generator.permutation(np.arange(size))[:count] for count in counts]
    assert np.array_equal(found, np.concatenate(each))


@pytest.mark.parametrize("in_lanes", sorted({False, COMPACTS}))
@pytest.mark.parametrize("size", [10000, 16384, 16385, (1 << 16) - 1, 1 << 16])
def test_many_permutations_are_numpys(size: int, in_lanes: bool) -> None:
    counts = np.full(60, 100)
    generator = np.random.RandomState(size)
    ours = Twister(generator)
    found = ours.firsts(size, counts, in_lanes)
    each = [generator.permutation(np.arange(size))[:100] for _ in counts]
    assert np.array_equal(found, np.concatenate(each))
    mine = np.random.RandomState()
    ours.leave(mine)
    assert mine.random_sample() == generator.random_sample()
