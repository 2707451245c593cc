"""The driver over a line that flips, drops and repeats bytes, and is cut: the modelled device.

The bar is 1,000 seeded runs, each right or reported. The same faults reach the RTL itself in
``test_stepped`` and, behind a pseudo-terminal, in ``test_deploy``.
"""

from __future__ import annotations

import numpy as np
import pytest

from spikec.backends.fpga.connection import DeviceLost, NoAnswer, WireFailed
from spikec.backends.fpga.host import HostError
from spikec.backends.fpga.wire import Driver, WrongDevice
from spikec.hdl.framing import DELIMITER
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import CoreShape, Memory

from ...hdl.modelled_device import DeviceModel, HashCore
from .faulty import Faults, FaultyPort, ModelPort, faulty_run, spikes

SHAPE = CoreShape(
    lanes=4, weight_bits=8, acc_bits=16, state_bits=16, neurons=16, inputs=40, words=32
)
RUNS = 1000


def image() -> CoreImage:
    weights = np.random.default_rng(8).integers(-128, 128, (32, 4))
    return CoreImage.padded(SHAPE, weights=weights)


def stimulus(seed: int = 1, scale: float = 0.2) -> np.ndarray:
    return np.random.default_rng(seed).poisson(scale, (2, 8, 40))


def model() -> ModelPort:
    return ModelPort(DeviceModel(SHAPE, HashCore(SHAPE)))


def driver(port: ModelPort, faults: Faults | None = None, seed: int = 0) -> Driver:
    if faults is None:
        return Driver(port, SHAPE, clock=port.clock, session=1)
    rng = np.random.default_rng(seed)
    return Driver(FaultyPort(port, faults, rng), SHAPE, clock=port.clock, session=1 + seed % 255)


@pytest.fixture(scope="module")
def right() -> list[list[int]]:
    clean = driver(model())
    clean.load(image())
    found = spikes(clean.run(stimulus()))
    assert len(found) > 80
    return found


def test_a_clean_line_needs_no_mending(right: list[list[int]]) -> None:
    clean = driver(model())
    clean.load(image())
    assert spikes(clean.run(stimulus())) == right
    assert clean.connection is not None
    counts = clean.connection.counts
    assert (counts.damaged, counts.repeated, counts.gaps, counts.resent, counts.timeouts) == (
        0,
    ) * 5
    status = clean.status()
    assert status.crc_errors == status.gaps == status.duplicates == 0


def test_one_event_or_step_more_shows_in_the_spikes(right: list[list[int]]) -> None:
    other = driver(model())
    other.load(image())
    counts = stimulus()
    counts[0, 0, 39] += 1
    assert spikes(other.run(counts)) != right


class ModelRig(ModelPort):
    """The modelled device in its mains."""

    def __init__(self) -> None:
        super().__init__(DeviceModel(SHAPE, HashCore(SHAPE)))

    def power_cycle(self) -> None:
        self.device = DeviceModel(SHAPE, HashCore(SHAPE))


def test_a_thousand_faulty_runs_are_right_or_reported(right: list[list[int]]) -> None:
    outcomes: dict[str, int] = {}
    for seed in range(RUNS):
        outcome = faulty_run(seed, ModelRig(), SHAPE, image(), stimulus(), right)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert sum(outcomes.values()) == RUNS
    assert not [outcome for outcome in outcomes if "wrong" in outcome], outcomes
    # The faults did something, and most runs were mended without a word.
    assert outcomes["right"] > 0.2 * RUNS, outcomes
    assert any("half-written" in outcome for outcome in outcomes), outcomes
    assert any("unplugged" in outcome for outcome in outcomes), outcomes


def test_an_absent_device_is_reported() -> None:
    port = model()
    with pytest.raises(NoAnswer, match="did not answer 13 times"):
        driver(port, Faults(unplugged=1, error=False)).connect()


def test_a_board_unplugged_in_mid_run_is_reported() -> None:
    port = model()
    faults = Faults()
    there = driver(port, faults)
    there.load(image())
    faults.unplugged = 900
    with pytest.raises(DeviceLost, match="has gone"):
        there.run(stimulus(scale=3.0))


def test_a_reset_board_is_noticed_at_once() -> None:
    port = model()
    there = driver(port)
    there.load(image())
    port.device = DeviceModel(SHAPE, HashCore(SHAPE))
    with pytest.raises(DeviceLost, match="reset"):
        there.run(stimulus())


def test_a_line_that_lets_nothing_long_pass_is_reported() -> None:
    port = model()
    rng = np.random.default_rng(3)

    class Shortener(FaultyPort):
        def write(self, data: bytes) -> None:
            # Frames without payload pass: the device seems to be well.
            for frame in data.split(DELIMITER):
                if frame:
                    self.port.write((frame if len(frame) < 12 else frame[:-1]) + DELIMITER)

    there = Driver(Shortener(port, Faults(), rng), SHAPE, clock=port.clock)
    with pytest.raises(WireFailed, match="did not arrive in 13 attempts"):
        there.load(image())


def test_a_refused_command_ends_the_session_and_nothing_after_it_runs() -> None:
    port = model()
    there = driver(port)
    with pytest.raises(HostError, match="not configured"):
        there.run(stimulus())
    assert not there.info().configured
    there.load(image())
    assert there.info().configured
    with pytest.raises(HostError, match="bad address"):
        there.read(Memory.WEIGHTS, range(30, 33))
    assert there.read(Memory.WEIGHTS, range(30, 32)) == list(image().pack(Memory.WEIGHTS)[30:])


def test_another_core_or_image_is_named() -> None:
    port = model()
    there = driver(port)
    with pytest.raises(WrongDevice, match="no complete image"):
        there.check(image().digest)
    there.load(image())
    with pytest.raises(WrongDevice, match=f"holds image {image().digest.hex()}, not 0000"):
        there.check(bytes(8))
    other = Driver(port, CoreShape(4, 8, 16, 16, 16, 41, 32), clock=port.clock)
    with pytest.raises(WrongDevice, match="another shape"):
        other.check()


def test_memories_read_back_over_a_faulty_line() -> None:
    there = driver(model(), Faults(flip=0.001, drop=0.001, repeat=0.001), 4)
    there.load(image())
    assert there.read(Memory.WEIGHTS) == list(image().pack(Memory.WEIGHTS))
    status = there.status()
    assert status.crc_errors + status.framing_errors > 0
    assert there.status().crc_errors <= status.crc_errors


def test_a_long_stream_wraps_the_offsets() -> None:
    there = driver(model(), Faults(flip=2e-5, drop=2e-5, repeat=2e-5), 5)
    there.load(image())
    counts = np.random.default_rng(2).poisson(2.0, (1, 600, 40))
    clean = driver(model())
    clean.load(image())
    assert spikes(there.run(counts)) == spikes(clean.run(counts))
    assert there.connection is not None
    assert there.connection.counts.sent_bytes > 1 << 16
