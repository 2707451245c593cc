import itertools
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings

from spikec.compiler.noc.packets import Copies
from spikec.compiler.noc.timing import Timing, timing

from .cases import Case, cases
from .test_cycle import rows, simulate


def copies(*found: tuple[int, int, int, int]) -> Copies:
    return Copies(*np.array(found, np.int64).reshape(-1, 4).T)


def test_by_hand() -> None:
    # Source 0 sends in 0, 10, 20 and reaches core 3 in 4, 15, 21: intervals of 11 and 6 in place
    # of 10 and 10. What source 1 sends in 13 comes after what source 0 sends in 20.
    found = timing(
        copies((0, 3, 4, 0), (1, 3, 15, 10), (2, 3, 22, 13), (3, 3, 21, 20)), np.array([0, 0, 1, 0])
    )
    assert found == Timing(4, (4 + 5 + 9 + 1) / 4, 9, (1 + 4) / 2, (1 - 4) / 2, 4, 1)


def test_nothing() -> None:
    assert timing(copies(), np.zeros(0, int)) == Timing(0, 0.0, 0, 0.0, 0.0, 0, 0)
    assert timing(copies((0, 0, 7, 2)), np.zeros(1, int)) == Timing(1, 5.0, 5, 0.0, 0.0, 0, 0)
    with pytest.raises(ValueError, match="packets 2 to 2 have the sources of 1"):
        timing(copies((2, 0, 7, 2)), np.zeros(1, int))


@settings(max_examples=40, deadline=None)
@given(cases(drops=True, spikes=80))
def test_equals_a_count_one_by_one(c: Case) -> None:
    arrivals, _ = simulate(c)
    source = c.packets.route
    streams, cores = defaultdict(list), defaultdict(list)
    for packet, core, time, sent in rows(arrivals):
        streams[int(source[packet]), core].append((sent, time))
        cores[core].append((time, sent))
    distorted = []
    for stream in streams.values():
        stream.sort()
        for (s0, t0), (s1, t1) in itertools.pairwise(stream):
            distorted.append(t1 - t0 - (s1 - s0))
    disorder = 0
    for arrived in cores.values():
        arrived.sort()
        disorder += sum(after[1] < before[1] for before, after in itertools.pairwise(arrived))
    found = timing(arrivals, source)
    assert found.disorder == disorder
    assert found.distortion_most == max(map(abs, distorted), default=0)
    assert found.distortion == pytest.approx(sum(map(abs, distorted)) / max(1, len(distorted)))
    assert found.distortion_signed == pytest.approx(sum(distorted) / max(1, len(distorted)))
