"""The RTL equals the integer executor on random networks: every spike and every state word.

Each core is simulated as it would be used: built once, and loaded over the wire with the image of
one network after the other. 4 cores x 50 networks.
"""

import functools

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from spikec.backends.fpga.host import load_image
from spikec.backends.fpga.lower import lower
from spikec.backends.fpga.rtl import run_rtl
from spikec.backends.fpga.simulate import SimulatorBuild, build_simulator
from spikec.compiler.compare import compare
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import state_words
from spikec.hdl.shape import CoreShape
from spikec.hdl.verilog import device_verilog
from spikec.ir.verify import verify

from .networks import random_case

_COMMON = {"neurons": 48, "inputs": 12, "words": 2048, "classes": 64, "acc_bits": 26}
CORES = {
    "wide": CoreShape(
        lanes=8, weight_bits=8, state_bits=24, pages=4, refractory_bits=3,
        rounding="nearest_even", **_COMMON,
    ),
    "synapse": CoreShape(
        lanes=4, weight_bits=4, state_bits=16, cuba=True, first_bias=True,
        rounding="toward_zero", overflow="wrap", **_COMMON,
    ),
    "single": CoreShape(
        lanes=1, weight_bits=16, state_bits=32, pages=2, cuba=True, refractory_bits=4,
        rounding="floor", decay_bits=16, **_COMMON,
    ),
    "narrow": CoreShape(
        lanes=2, weight_bits=2, state_bits=12, first_bias=True, rounding="nearest_away",
        overflow="wrap", decay_bits=8, shift_bits=3, **_COMMON,
    ),
}  # fmt: skip


@functools.cache
def _simulator(name: str) -> SimulatorBuild:
    return build_simulator(device_verilog(CORES[name]))


@pytest.mark.parametrize("name", CORES)
@given(seed=st.integers(0, 2**32 - 1))
# A seed does not shrink to anything simpler.
@settings(max_examples=50, phases=(Phase.generate,))
def test_rtl_equals_integer_executor(name: str, seed: int) -> None:
    shape = CORES[name]
    case = random_case(seed, shape)
    verify(case.graph)
    core = lower(case.graph, shape.lanes, shape=shape)
    populations = [p.name for p in case.graph.populations]
    words = state_words(case.graph)
    rtl = run_rtl(
        core,
        _simulator(name),
        case.stimulus,
        populations=populations,
        record=words,
        preamble=load_image(core.image),
    )
    integer = Executor(case.graph).run(case.stimulus, populations=populations, record=words)
    comparison = compare(integer, rtl.recording, graph=case.graph, stimulus=case.stimulus)
    assert comparison.equal, comparison.describe()
    assert comparison.state_words == 2 * 9 * sum(case.graph.population(p).size for p, _ in words)
