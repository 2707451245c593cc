"""A core's own pace is that of the RTL whose host never lets it wait."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.fpga.lower import Build, lower
from spikec.hdl.shape import CoreShape

from .networks import random_case

pytest.importorskip("amaranth")

SHAPE = CoreShape(
    lanes=8,
    units=2,
    neurons=48,
    inputs=16,
    words=2048,
    classes=64,
    acc_bits=26,
    weight_bits=6,
    state_bits=16,
    addressing="row",
    segments=512,
    delays=3,
    pages=4,
)
STEPS = 8


@pytest.mark.parametrize("seed", range(6))
def test_from_tick_to_tick(seed: int) -> None:
    from spikec.backends.fpga.pace import own_pace
    from spikec.backends.fpga.rtl import device_counts
    from spikec.backends.fpga.simulate import TRACE_RECORD
    from tests.hdl.bench import run_core

    case = random_case(seed, SHAPE)
    core = lower(case.graph, Build(lanes=4 << seed % 2, units=2))
    counts = device_counts(core, case.stimulus)[:2, :STEPS]
    lines = np.arange(core.shape.inputs)
    sample, trace, expected = [], [], []
    for number, events in enumerate(counts):
        records = run_core(core.image, [np.repeat(lines, n).tolist() for n in events], ahead=True)
        expected.append(np.diff([records[0].begun, *(r.ticked for r in records)]))
        for at, record in enumerate(records):
            for line in record.trace:
                trace.append((at, line.index, line.v, line.u, line.spike, 0))
                sample.append(number)
    found = own_pace(core, counts, np.array(sample), np.array(trace, TRACE_RECORD))
    assert found is not None
    assert found[:, :-1].tolist() == np.array(expected).tolist()
    # After the last step nothing comes.
    assert (found[:, -1] > 0).all()


def test_nothing_is_said_of_what_has_no_model() -> None:
    from spikec.backends.fpga.pace import own_pace
    from spikec.backends.fpga.simulate import TRACE_RECORD

    core = lower(random_case(0, replace(SHAPE, delays=1, pages=2)).graph, Build(1, parallel=True))
    counts = np.zeros((1, 3, core.shape.inputs), np.int64)
    assert own_pace(core, counts, np.zeros(0, np.int64), np.zeros(0, TRACE_RECORD)) is None
