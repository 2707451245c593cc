"""The RTL equals the integer executor on random networks: every spike and every state word.

Each core is simulated as it would be used: built once, and loaded over the wire with the image of
one network after the other. 6 cores x 50 networks.
"""

import functools
import re

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from spikec.backends.fpga.host import (
    Script,
    decode_replies,
    load_image,
    report_bytes,
    stimulus_to_commands,
)
from spikec.backends.fpga.lower import Build, lower
from spikec.backends.fpga.rtl import device_counts, interpret
from spikec.backends.fpga.simulate import build_simulator, run_device
from spikec.compiler.compare import compare
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import state_words
from spikec.hdl.protocol import Opcode
from spikec.hdl.shape import CoreShape, NeuronClass
from spikec.hdl.verilog import device_verilog
from spikec.ir.verify import verify

from .networks import random_case

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
    script = Script(b"", 0)
    for case, core in zip(cases, cores, strict=True):
        verify(case.graph)
        script += load_image(core.image)
        script += stimulus_to_commands(device_counts(core, case.stimulus))
    size = report_bytes(shape)
    result = run_device(
        build_simulator(device_verilog(shape)), script, report_bytes=size, trace=True
    )
    replies, trace = result.tx_bytes, result.trace
    # The first step of a sample sweeps all neurons; later ones pass over those at rest.
    begins = np.flatnonzero((trace["step"] == 0) & (trace["index"] == 0))
    assert begins.size == sum(case.stimulus.samples for case in cases)
    begins = np.append(begins, trace.size)
    words = passed_over = sample = 0
    for case, core in zip(cases, cores, strict=True):
        samples, steps = case.stimulus.samples, case.stimulus.steps + core.lag
        loaded = load_image(core.image).answers
        taken = bytes((Opcode.WRITTEN,)) * (loaded - 1) + bytes((Opcode.COMMITTED,))
        assert replies.startswith(taken)
        found = re.compile(
            rb"(?:\x83(?:(?:[\x00-\x7f].)*\x82.{%d}){%d}){%d}" % (size, steps, samples), re.S
        ).match(replies, loaded)
        assert found is not None
        records = trace[begins[sample] : begins[sample + samples]]
        passed_over += samples * steps * shape.neurons - records.size
        answers = decode_replies(found[0], samples, steps, shape)
        populations = [p.name for p in case.graph.populations]
        states = state_words(case.graph)
        rtl = interpret(
            core,
            [(answers, records)],
            case.stimulus,
            populations=populations,
            record=states,
        )
        replies, sample = replies[found.end() :], sample + samples
        integer = Executor(case.graph).run(case.stimulus, populations=populations, record=states)
        comparison = compare(integer, rtl, graph=case.graph, stimulus=case.stimulus)
        assert comparison.equal, f"{case.graph.name}: {comparison.describe()}"
        words += comparison.state_words
    assert not replies and sample == begins.size - 1
    assert words > NETWORKS * 2 * 9
    assert passed_over > 0
