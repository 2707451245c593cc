"""The RTL equals the integer executor on random networks: every spike and every state word.

Each core is simulated as it would be used: built once, and loaded over the wire with the image of
one network after the other. 4 cores x 50 networks.
"""

import functools
import re

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from spikec.backends.fpga.host import (
    Script,
    decode_replies,
    load_image,
    stimulus_to_commands,
)
from spikec.backends.fpga.lower import lower
from spikec.backends.fpga.rtl import device_counts, interpret
from spikec.backends.fpga.simulate import build_simulator, run_device
from spikec.compiler.compare import compare
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import state_words
from spikec.hdl.shape import CoreShape
from spikec.hdl.verilog import device_verilog
from spikec.ir.verify import verify

from .networks import random_case

_common = functools.partial(CoreShape, neurons=48, inputs=12, words=2048, classes=64, acc_bits=26)
CORES = {
    "wide": _common(
        lanes=8,
        weight_bits=8,
        state_bits=24,
        pages=4,
        refractory_bits=3,
        rounding="nearest_even",
    ),
    "synapse": _common(
        lanes=4,
        weight_bits=4,
        state_bits=16,
        cuba=True,
        first_bias=True,
        rounding="toward_zero",
        overflow="wrap",
    ),
    "single": _common(
        lanes=1,
        weight_bits=16,
        state_bits=32,
        pages=2,
        cuba=True,
        refractory_bits=4,
        rounding="floor",
        decay_bits=16,
    ),
    "narrow": _common(
        lanes=2,
        weight_bits=2,
        state_bits=12,
        first_bias=True,
        rounding="nearest_away",
        overflow="wrap",
        decay_bits=8,
        shift_bits=3,
    ),
}


NETWORKS = 50


@pytest.mark.parametrize("name", CORES)
@given(seeds=st.lists(st.integers(0, 2**32 - 1), min_size=NETWORKS, max_size=NETWORKS, unique=True))
# One example is fifty networks in one simulation; a seed does not shrink to anything simpler.
@settings(max_examples=1, phases=(Phase.generate,))
def test_rtl_equals_integer_executor(name: str, seeds: list[int]) -> None:
    shape = CORES[name]
    cases = [random_case(seed, shape) for seed in seeds]
    cores = [lower(case.graph, shape.lanes, shape=shape) for case in cases]
    script = Script(b"", 0)
    for case, core in zip(cases, cores, strict=True):
        verify(case.graph)
        script += load_image(core.image)
        script += stimulus_to_commands(device_counts(core, case.stimulus))
    result = run_device(build_simulator(device_verilog(shape)), script, trace=True)
    replies, trace, words = result.tx_bytes, result.trace, 0
    for case, core in zip(cases, cores, strict=True):
        samples, steps = case.stimulus.samples, case.stimulus.steps + core.lag
        replies = replies[load_image(core.image).answers :]
        found = re.match(
            rb"(?:\x83(?:(?:\x81..)*\x82.{11}){%d}){%d}" % (steps, samples), replies, re.S
        )
        assert found is not None
        records = samples * steps * core.image.active_neurons
        answers = decode_replies(found[0], samples, steps)
        populations = [p.name for p in case.graph.populations]
        states = state_words(case.graph)
        rtl = interpret(
            core,
            [(answers, trace[:records])],
            case.stimulus,
            populations=populations,
            record=states,
        )
        replies, trace = replies[found.end() :], trace[records:]
        integer = Executor(case.graph).run(case.stimulus, populations=populations, record=states)
        comparison = compare(integer, rtl, graph=case.graph, stimulus=case.stimulus)
        assert comparison.equal, f"{case.graph.name}: {comparison.describe()}"
        words += comparison.state_words
    assert not replies and not trace.size
    assert words > NETWORKS * 2 * 9
