"""The RTL equals the integer executor on random networks: every spike and every state word.

Each core is simulated as it would be used: built once, and loaded over the wire with the image of
one network after the other. 9 cores x 50 networks.
"""

import functools

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from spikec.backends.fpga.lower import Build, lower
from spikec.hdl.shape import CoreShape, NeuronClass

from .networks import check_loaded, random_case

_common = functools.partial(CoreShape, neurons=48, inputs=16, words=2048, classes=64, acc_bits=26)
CORES = {
    # Rows share segments, four neurons a cycle, the wheel without a page to spare.
    "segments": _common(
        lanes=8,
        units=4,
        weight_bits=8,
        state_bits=24,
        addressing="row",
        segments=512,
        delays=4,
        pages=4,
        refractory_bits=3,
        storage="pipelined",
        rounding="nearest_even",
    ),
    "row": _common(
        lanes=12,
        units=2,
        weight_bits=6,
        state_bits=20,
        addressing="row",
        delays=2,
        pages=4,
        storage="distributed",
        cuba=True,
        bank_bits=36,
        rounding="ceil",
    ),
    "word": _common(
        lanes=4,
        weight_bits=4,
        state_bits=16,
        delays=2,
        pages=4,
        cuba=True,
        first_bias=True,
        bank_bits=16,
        rounding="toward_zero",
        overflow="wrap",
    ),
    "lane": _common(
        lanes=6,
        units=2,
        weight_bits=5,
        state_bits=18,
        addressing="lane",
        delays=3,
        pages=4,
        storage="distributed",
        refractory_bits=2,
        bias=False,
        rounding="floor",
        overflow="wrap",
    ),
    "single": _common(
        lanes=1,
        weight_bits=16,
        state_bits=32,
        delays=1,
        pages=1,
        cuba=True,
        refractory_bits=4,
        storage="pipelined",
        rounding="floor",
        decay_bits=16,
    ),
    "narrow": _common(
        lanes=2,
        units=2,
        weight_bits=2,
        state_bits=12,
        addressing="row",
        segments=2000,
        first_bias=True,
        rounding="nearest_away",
        overflow="wrap",
        decay_bits=8,
        shift_bits=3,
    ),
    # Membranes that leak by a constant amount, beside some that decay.
    "linear": _common(
        lanes=4,
        weight_bits=6,
        state_bits=14,
        delays=2,
        pages=4,
        refractory_bits=2,
        storage="distributed",
        rounding="toward_zero",
        linear=True,
    ),
    # Membranes with a recovery, beside some without, and thresholds that adapt.
    "recovery": _common(
        lanes=4,
        units=2,
        weight_bits=6,
        state_bits=16,
        delays=2,
        pages=4,
        first_bias=True,
        refractory_bits=2,
        storage="distributed",
        rounding="nearest_even",
        quadratic=3,
        timers=(2,),
    ),
    # Thresholds that adapt, beside some that do not.
    "adaptive": _common(
        lanes=4,
        units=2,
        weight_bits=6,
        state_bits=14,
        delays=2,
        pages=4,
        cuba=True,
        refractory_bits=2,
        first_bias=True,
        storage="distributed",
        rounding="nearest_even",
        timers=(1, 3, 8),
    ),
}


NETWORKS = 50


@pytest.mark.parametrize("name", CORES)
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=NETWORKS, max_size=NETWORKS, unique=True))
# One example is fifty networks in one simulation; a seed does not shrink to anything simpler.
@settings(max_examples=1, phases=(Phase.generate,))
def test_rtl_equals_integer_executor(name: str, seeds: list[int]) -> None:
    shape = CORES[name]
    assert shape.fixed == NeuronClass()
    cases = [random_case(seed, shape) for seed in seeds]
    build = Build(shape.lanes, shape.units)
    cores = [lower(case.graph, build, shape=shape) for case in cases]
    found = check_loaded(list(zip(cases, cores, strict=True)))
    assert not found.rest
    assert found.words > NETWORKS * 2 * 9
    assert found.passed_over > 0
