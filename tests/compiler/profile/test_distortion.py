"""Distortion and disorder by hand, and against a count one by one."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.compiler.profile.distortion import (
    QUANTILES,
    Journeys,
    Tally,
    distortion,
    interval_distortion,
    out_of_order,
)


def journeys(*rows: tuple[int, int, int, int]) -> Journeys:
    """Of (source, core, sent, received), in the order in which they arrive."""
    array = np.array(sorted(rows, key=lambda row: (row[3], row[1])), np.int64).reshape(-1, 4)
    return Journeys(*array.T)


def test_by_hand() -> None:
    # Source 0 sends in 0, 10, 20 and reaches core 3 in 4, 15, 21: intervals of 11 and 6 in place
    # of 10 and 10. What source 1 sends in 13 comes after what source 0 sends in 20.
    found = journeys((0, 3, 0, 4), (0, 3, 10, 15), (1, 3, 13, 22), (0, 3, 20, 21))
    assert interval_distortion(found).tolist() == [1, -4]
    assert out_of_order(found) == 1
    tally = Tally()
    for _ in range(2):
        tally.add(found)
    d = tally.figures(2e-9, late=3, late_cores=2, dropped=1)
    assert d.late_cores == 2
    assert (d.copies, d.intervals, d.disorder, d.late, d.dropped) == (8, 4, 2, 3, 1)
    assert (d.mean, d.mean_absolute, d.least, d.most) == (-1.5, 2.5, -4, 1)
    assert (d.latency_mean, d.latency_most) == ((4 + 5 + 9 + 1) / 4, 9)
    assert d.histogram.sum() == 8
    said = d.as_dict()
    assert said["latency_seconds"]["most"] == pytest.approx(18e-9, rel=1e-9, abs=0)
    assert said["interval_distortion_seconds"]["mean_absolute"] == pytest.approx(
        5e-9, rel=1e-9, abs=0
    )


def test_intervals_and_orders_do_not_cross_samples_cores_or_sources() -> None:
    one, two = journeys((0, 0, 0, 5)), journeys((0, 0, 100, 190))
    assert distortion([one, two], 1.0).intervals == 0
    apart = journeys((0, 0, 5, 6), (1, 1, 3, 9), (2, 0, 7, 12))
    assert interval_distortion(apart).size == 0
    assert out_of_order(apart) == 0


def test_nothing() -> None:
    d = distortion([], 1.0)
    assert (d.copies, d.intervals, d.mean, d.latency_mean, d.latency_most) == (0, 0, 0.0, 0.0, 0)
    assert d.latency_quantiles == (0.0, 0.0, 0.0)


ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 60), st.integers(0, 40)),
    max_size=40,
    unique_by=lambda row: (row[1], row[2] + row[3]),
)


@given(ROWS)
def test_equals_a_count_one_by_one(rows: list[tuple[int, int, int, int]]) -> None:
    found = journeys(*((s, c, sent, sent + took) for s, c, sent, took in rows))
    streams, cores = defaultdict(list), defaultdict(list)
    for s, c, sent, took in rows:
        streams[s, c].append((sent + took, sent))
        cores[c].append((sent + took, sent))
    changes = []
    disorder = 0
    for stream in streams.values():
        for (r0, s0), (r1, s1) in itertools.pairwise(sorted(stream)):
            changes.append((r1 - r0) - (s1 - s0))
    for arrived in cores.values():
        disorder += sum(b[1] < a[1] for a, b in itertools.pairwise(sorted(arrived)))
    assert sorted(interval_distortion(found).tolist()) == sorted(changes)
    assert out_of_order(found) == disorder
    d = distortion([found], 1.0)
    assert d.mean_absolute == pytest.approx(sum(map(abs, changes)) / max(1, len(changes)))
    assert int(d.histogram.sum()) == len(rows)


def test_quantiles_are_those_that_their_names_say() -> None:
    found = journeys(*((k, 0, 0, 1 + k) for k in range(100)))
    d = distortion([found], 1.0)
    assert QUANTILES == (0.5, 0.9, 0.99)
    assert d.latency_quantiles == (50.0, 90.0, 99.0)
    said = d.as_dict()["latency_cycles"]
    assert (said["quantile_0.5"], said["quantile_0.9"], said["quantile_0.99"]) == (50, 90, 99)
