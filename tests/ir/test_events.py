"""Events: dense and sparse are the same values; what is out of range is refused."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikec.ir.events import Events, Recording, Stimulus

SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)
COUNTS = hnp.arrays(np.int64, SHAPES, elements=st.integers(-2, 2))
GRADED = hnp.arrays(np.float64, SHAPES, elements=st.sampled_from([0.0, 0.5, -1.5]))


def events(values: Any) -> Events:
    return Events.from_dense(values)


def dense(e: Events) -> npt.NDArray[Any]:
    return np.stack([e.dense(k) for k in range(e.samples)])


def listed(e: Events) -> list[tuple[int, int, int, Any]]:
    columns = (e.sample, e.step, e.index, e.value)
    return list(zip(*(c.tolist() for c in columns), strict=True))


@given(COUNTS | GRADED)
def test_dense_round_trip(values: npt.NDArray[Any]) -> None:
    found = events(values)
    assert np.array_equal(dense(found), values)
    assert listed(found) == sorted(listed(found))
    assert found.integer == (values.dtype == np.int64)
    assert (found.value != 0).all()


@given(COUNTS | GRADED, st.randoms(use_true_random=False))
def test_order_of_events_does_not_matter(values: npt.NDArray[Any], random: Any) -> None:
    expected = events(values)
    rows = listed(expected)
    random.shuffle(rows)
    sample, step, index, value = ([row[k] for row in rows] for k in range(4))
    kind = expected.value.dtype
    samples, steps, size = values.shape
    found = Events.from_events(samples, steps, size, sample, step, index, np.array(value, kind))
    assert found == expected


def test_events_at_one_place_add_up() -> None:
    found = Events.from_events(1, 3, 4, [0, 0, 0], [2, 0, 2], [1, 3, 1])
    assert listed(found) == [(0, 0, 3, 1), (0, 2, 1, 2)]
    cancelled = Events.from_events(1, 3, 4, [0, 0], [2, 2], [1, 1], [0.5, -0.5])
    assert listed(cancelled) == [] and not cancelled.integer


@pytest.mark.parametrize(
    ("sample", "step", "index", "message"),
    [
        (2, 0, 0, "sample spans 0 to 2, outside 0 to 1"),
        (0, 3, 0, "step spans 0 to 3, outside 0 to 2"),
        (0, 0, 4, "index spans 0 to 4, outside 0 to 3"),
        (0, 0, -1, "index spans -1 to 0, outside 0 to 3"),
    ],
)
def test_event_out_of_range_is_refused(sample: int, step: int, index: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Events.from_events(2, 3, 4, [0, sample], [0, step], [0, index])


def test_dense_array_needs_three_axes() -> None:
    with pytest.raises(ValueError, match=r"expected \(samples, steps, lines\), got shape \(3, 4\)"):
        events(np.zeros((3, 4)))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32])
def test_booleans_and_integers_are_counts(dtype: Any) -> None:
    found = events(np.ones((1, 2, 2), dtype))
    assert found.integer and found.value.dtype == np.int64


def test_values_are_counts_or_reals() -> None:
    one = np.zeros(1, np.int32)
    assert Events(1, 1, 1, one, one, one, np.ones(1, np.float32)).value.dtype == np.float64
    assert Events(1, 1, 1, one, one, one, np.ones(1, np.uint8)).integer


@given(COUNTS, st.integers(0, 4), st.integers(1, 6))
def test_shifted_is_earlier_and_cut(values: npt.NDArray[Any], steps: int, length: int) -> None:
    found = events(values).shifted(steps, length)
    expected = np.zeros((values.shape[0], length, values.shape[2]), np.int64)
    kept = values[:, steps : steps + length]
    expected[:, : kept.shape[1]] = kept
    assert np.array_equal(dense(found), expected)


@given(COUNTS, st.integers(0, 6))
def test_take_is_the_first_samples(values: npt.NDArray[Any], samples: int) -> None:
    found = events(values).take(samples)
    assert found == events(values[:samples])


@given(COUNTS | GRADED)
def test_counts_sum_over_time(values: npt.NDArray[Any]) -> None:
    assert np.array_equal(events(values).counts(), values.sum(axis=1))


@given(COUNTS)
def test_span_holds_the_events_of_one_sample(values: npt.NDArray[Any]) -> None:
    found = events(values)
    for k in range(found.samples):
        low, high = found.span(k)
        assert (found.sample[low:high] == k).all()
        assert high - low == np.count_nonzero(values[k])


def test_events_do_not_change() -> None:
    found = events(np.ones((1, 1, 2)))
    with pytest.raises(ValueError, match="read-only"):
        found.value[0] = 3


class TestStimulus:
    def test_agrees_in_samples_and_steps(self) -> None:
        a, b = events(np.ones((2, 3, 4))), events(np.ones((2, 3, 1)))
        stimulus = Stimulus({"a": a, "b": b})
        assert (stimulus.samples, stimulus.steps) == (2, 3)
        assert stimulus.take(1) == Stimulus({"a": a.take(1), "b": b.take(1)})
        assert stimulus != stimulus.take(1)

    @pytest.mark.parametrize("other", [(1, 3, 1), (2, 4, 1)])
    def test_that_disagrees_is_refused(self, other: tuple[int, int, int]) -> None:
        with pytest.raises(ValueError, match="agree in samples and steps"):
            Stimulus({"a": events(np.ones((2, 3, 4))), "b": events(np.ones(other))})

    def test_without_inputs_is_refused(self) -> None:
        with pytest.raises(ValueError, match="a stimulus needs inputs"):
            Stimulus({})


def test_recording_knows_its_samples() -> None:
    spikes = {"p": events(np.ones((2, 3, 4)))}
    states = {("p", "v"): np.zeros((2, 3, 4))}
    assert Recording("golden", 1e-3, spikes, states).samples == 2
    assert Recording("golden", 1e-3, {}, {}).samples == 0
    assert Recording("golden", 1e-3, spikes, states) == Recording("golden", 1e-3, spikes, states)
