"""Numbers below a threshold, against numpy's own generator."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
