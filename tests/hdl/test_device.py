# amaranth: UnusedElaboratable=no
"""The device as a host sees it, over frames."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from spikec.backends.fpga.host import Script, load_image, read_info, report_bytes
from spikec.hdl.device import Device
from spikec.hdl.image import CoreImage, ImageError, unpack
from spikec.hdl.memories import STATE
from spikec.hdl.protocol import (
    INFO_BYTES,
    ErrorCode,
    InfoReply,
    LinkOptions,
    Opcode,
    StatusReply,
    Write,
    events,
    mask,
    read_burst,
    shape_digest,
    status_request,
    write_burst,
)
from spikec.hdl.shape import CoreShape, Memory
from spikec.hdl.verilog import device_verilog

from .bench import run_device
from .images import random_image, random_steps
from .reference import Reference, Swept, run

SHAPE = CoreShape(
    lanes=2,
    weight_bits=5,
    acc_bits=12,
    state_bits=12,
    neurons=6,
    inputs=5,
    words=16,
    classes=2,
    pages=2,
    cuba=True,
    first_bias=True,
    refractory_bits=2,
    shift_bits=2,
    decay_bits=4,
)
BUSY = 18  # an image seed with many spikes, silent ones and an inactive neuron
REPORT = report_bytes(SHAPE)
TICK, CLEAR = bytes((Opcode.TICK,)), bytes((Opcode.CLEAR,))
BEGIN, COMMIT = bytes((Opcode.BEGIN,)), bytes((Opcode.COMMIT,))


def busy_image(seed: int) -> CoreImage:
    return random_image(SHAPE, np.random.default_rng(seed))


IMAGE = (Memory.DIGEST, 0, 1)


def step_script(steps: Sequence[Sequence[int]]) -> Script:
    return Script(b"".join(events(sources) + TICK for sources in steps), len(steps))


def read_script(*reads: tuple[Memory, int, int]) -> Script:
    sizes = tuple(count * SHAPE.word_bytes(memory) for memory, _, count in reads)
    return Script(b"".join(read_burst(*read) for read in reads), len(reads), sizes)


def summary(replies: bytes) -> list[list[int]]:
    """Neurons reported in each step."""
    found = re.findall(rb"((?:[\x00-\x7f].)*)\x82.{%d}" % REPORT, replies, re.DOTALL)
    return [list(spikes[1::2]) for spikes in found]


def follows(trace: list[Swept], steps: Sequence[Sequence[Swept]]) -> None:
    """The trace has all neurons of each step but those that rest, which stay as they were."""
    states: dict[int, Swept] = {}
    at = 0
    for lines in steps:
        for line in lines:
            if at < len(trace) and trace[at] == line:
                at += 1
            else:
                assert states[line.index] == line
            states[line.index] = replace(line, spike=False)
    assert at == len(trace)


@pytest.mark.parametrize("gaps", [False, True])
def test_steps_over_bytes(gaps: bool) -> None:
    image, rng = busy_image(BUSY), np.random.default_rng(2)
    steps = random_steps(SHAPE, 8, rng)
    recorded = run(image, steps)
    assert sum(len(emitted) for _, emitted in recorded) > 5

    def gap() -> int:
        return int(rng.integers(0, 4)) if gaps else 0

    replies, trace, connection = run_device(
        Device(SHAPE, image), step_script(steps), rx_gap=gap, tx_gap=gap
    )
    assert summary(replies) == [emitted for _, emitted in recorded]
    follows(trace, [lines for lines, _ in recorded])
    assert connection.counts.damaged == connection.counts.gaps == 0


def test_counters_do_not_depend_on_the_pace_of_the_host() -> None:
    image, rng = busy_image(BUSY), np.random.default_rng(2)
    script = step_script(random_steps(SHAPE, 8, rng))
    paces: tuple[Callable[[], int], ...] = (lambda: 0, lambda: 13)
    answers = [run_device(Device(SHAPE, image), script, rx_gap=gap, tx_gap=gap)[0] for gap in paces]
    assert answers[0] == answers[1]


def test_masks_are_events() -> None:
    image = busy_image(BUSY)
    lists, _, _ = run_device(Device(SHAPE, image), step_script([[0, 1, 4], [2], [0, 3]] * 2))
    data = b"".join(mask(0, bytes((bits,))) + TICK for bits in (0b10011, 0b00100, 0b01001) * 2)
    masks, _, _ = run_device(Device(SHAPE, image), Script(data, 6))
    assert summary(masks) == summary(lists)


def test_loaded_over_the_wire_it_is_the_same_device() -> None:
    image = busy_image(3)
    steps = random_steps(SHAPE, 6, np.random.default_rng(4))
    script = Script(CLEAR, 1) + read_info() + read_script(IMAGE) + step_script(steps)
    built_in, _, _ = run_device(Device(SHAPE, image), script)
    load = load_image(image)
    # Loaded over another image, which must leave nothing behind.
    loaded, _, _ = run_device(Device(SHAPE, busy_image(5)), load + script)
    assert loaded[: load.answers] == bytes((Opcode.WRITTEN,)) * (load.answers - 1) + bytes(
        (Opcode.COMMITTED,)
    )
    assert loaded[load.answers :] == built_in
    info = InfoReply.decode(built_in[2 : 2 + INFO_BYTES])
    assert built_in[3 + INFO_BYTES :][:8] == image.digest
    assert (info.shape, info.configured) == (shape_digest(SHAPE), True)


def test_the_device_tells_clock_and_buffers() -> None:
    device = Device(SHAPE, busy_image(3), None, LinkOptions(25_000_000, 1024, 256))
    info = InfoReply.decode(run_device(device, read_info())[0][1:])
    assert (info.clock_hz, info.receive_bytes, info.replay_bytes) == (25_000_000, 1024, 256)


def test_every_word_reads_back() -> None:
    image = busy_image(6)
    memories = [memory for memory in SHAPE.memories if memory not in STATE]
    script = read_script(*((memory, 0, SHAPE.depth(memory)) for memory in memories))
    replies, _, _ = run_device(Device(SHAPE, image), script)
    at = 0
    for memory in memories:
        size = SHAPE.word_bytes(memory)
        assert replies[at] == Opcode.DATA
        for word in image.pack(memory):
            assert int.from_bytes(replies[at + 1 : at + 1 + size], "little") == word
            at += size
        at += 1


def test_every_word_can_be_written() -> None:
    rng = np.random.default_rng(7)
    script, expected = Script(b"", 0), b""
    for memory in SHAPE.memories:
        if memory in STATE:
            continue
        mask_, size = (1 << SHAPE.word_bits(memory)) - 1, SHAPE.word_bytes(memory)
        words = [
            (int.from_bytes(rng.bytes(size), "little") & mask_).to_bytes(size, "little")
            for _ in range(SHAPE.depth(memory))
        ]
        script += Script(write_burst(memory, 0, len(words), b"".join(words)), 1)
        script += read_script((memory, 0, len(words)))
        expected += bytes((Opcode.WRITTEN, Opcode.DATA)) + b"".join(words)
    assert run_device(Device(SHAPE), script)[0] == expected


def test_state_reads_back_and_clears() -> None:
    image = busy_image(BUSY)
    steps = random_steps(SHAPE, 5, np.random.default_rng(2))
    reference = Reference(image)
    for sources in steps:
        for source in sources:
            reference.event(source)
        reference.tick()
    states: dict[Memory, list[int]] = {
        Memory.POTENTIALS: reference.v,
        Memory.CURRENTS: reference.u,
        Memory.REFRACTORY: reference.refractory,
    }
    reads = read_script(*((memory, 0, len(words)) for memory, words in states.items()))
    # Events of a step that is not asked for are forgotten by the CLEAR.
    before = step_script(steps) + Script(events(steps[0]), 0)
    script = before + reads + Script(CLEAR, 1) + Script(TICK, 1)
    replies, _, _ = run_device(Device(SHAPE, image), script)
    ends = [m.end() for m in re.finditer(rb"\x82.{%d}" % REPORT, replies, re.DOTALL)]
    at = ends[4]
    for memory, words in states.items():
        assert replies[at] == Opcode.DATA
        at += 1
        size = SHAPE.word_bytes(memory)
        for word in words:
            raw = int.from_bytes(replies[at : at + size], "little")
            assert list(unpack(SHAPE, memory, raw).values()) == [(word,)]
            at += size
    assert replies[at] == Opcode.CLEARED
    again = run(image, [()])
    assert summary(replies[at + 1 :]) == [emitted for _, emitted in again]
    assert replies[-REPORT : -REPORT + 2] == b"\0\0"  # step 0 again


REFUSED = (
    (b"\x00", ErrorCode.UNKNOWN_COMMAND),
    (b"\x81", ErrorCode.UNKNOWN_COMMAND),
    (events([0, SHAPE.inputs]), ErrorCode.BAD_SOURCE),
    (mask(0, b"\x20"), ErrorCode.BAD_SOURCE),
    (mask(1 << 19, b"\x01"), ErrorCode.BAD_SOURCE),
    (read_burst(11, 0, 1), ErrorCode.BAD_MEMORY),
    (read_burst(255, 0, 0), ErrorCode.BAD_MEMORY),
    (write_burst(128, 0, 1, b""), ErrorCode.BAD_MEMORY),
    (read_burst(Memory.ROWS, SHAPE.sources, 1), ErrorCode.BAD_ADDRESS),
    (read_burst(Memory.ROWS, SHAPE.sources - 1, 2), ErrorCode.BAD_ADDRESS),
    (read_burst(Memory.DIGEST, 1, 1), ErrorCode.BAD_ADDRESS),
    (read_burst(Memory.SEGMENTS, 0, 1), ErrorCode.BAD_MEMORY),
    (write_burst(Memory.POTENTIALS, 0, 1, b"\0\0"), ErrorCode.BAD_MEMORY),
    (read_burst(Memory.WEIGHTS, 1 << 16, 1), ErrorCode.BAD_ADDRESS),
    (write_burst(Memory.WEIGHTS, 16, 1, b"\x02\x02"), ErrorCode.BAD_ADDRESS),
    (COMMIT, ErrorCode.BAD_CONFIGURATION),
)


@pytest.mark.parametrize(("command", "code"), REFUSED)
def test_after_a_refused_command_nothing_is_executed(command: bytes, code: ErrorCode) -> None:
    script = Script(command + TICK + read_info().data, 1)
    replies, trace, _ = run_device(Device(SHAPE, busy_image(BUSY)), script)
    assert replies == bytes((Opcode.ERROR, code))
    assert trace == []


@pytest.mark.parametrize(
    "before",
    [
        Script(b"", 0),
        Script(load_image(busy_image(3)).data[:1], 0),  # BEGIN
        Script(write_burst(Memory.FIRST_BIAS, 0, 1, b"\0\0"), 1),
        # All but COMMIT.
        Script(load_image(busy_image(3)).data[:-1], load_image(busy_image(3)).answers - 1),
    ],
)
def test_an_unconfigured_device_does_not_step(before: Script) -> None:
    device = Device(SHAPE, busy_image(BUSY) if before.data else None)
    replies, trace, _ = run_device(device, before + Script(TICK, 1))
    assert replies.endswith(bytes((Opcode.ERROR, ErrorCode.NOT_CONFIGURED)))
    assert trace == []


def test_words_without_their_identity_are_no_configuration() -> None:
    first = write_burst(Memory.DIGEST, 0, 1, bytes(8))
    last = write_burst(Memory.ROWS, 0, 1, b"\1\0")
    replies, _, _ = run_device(Device(SHAPE), Script(BEGIN + first + last + COMMIT, 3))
    assert replies == bytes((Opcode.WRITTEN,)) * 2 + bytes(
        (Opcode.ERROR, ErrorCode.BAD_CONFIGURATION)
    )
    replies, _, _ = run_device(Device(SHAPE), Script(last + first + COMMIT, 3))
    assert replies.endswith(bytes((Opcode.ERROR, ErrorCode.BAD_CONFIGURATION)))
    replies, _, _ = run_device(Device(SHAPE), Script(BEGIN + last + first + COMMIT, 3))
    assert replies == bytes((Opcode.WRITTEN, Opcode.WRITTEN, Opcode.COMMITTED))


def test_status_counts_and_clears() -> None:
    script = Script(status_request() * 2, 2)
    replies, _, _ = run_device(Device(SHAPE, busy_image(3)), script)
    assert replies == (bytes((Opcode.STATUS_REPLY,)) + StatusReply().encode()) * 2


def test_a_write_encodes_as_a_burst_of_one() -> None:
    write = Write(Memory.ROWS, 2, b"\1\2")
    assert write.encode() == write_burst(Memory.ROWS, 2, 1, b"\1\2")


def test_an_image_of_another_shape_is_refused() -> None:
    other = CoreShape(
        lanes=1, weight_bits=2, acc_bits=4, state_bits=8, neurons=1, inputs=1, words=1
    )
    with pytest.raises(ImageError, match="the image is made for CoreShape"):
        Device(SHAPE, CoreImage.empty(other))
    with pytest.raises(ImageError, match="a digest has 8 bytes, not 3"):
        Device(SHAPE, digest=b"abc")


def test_a_digest_can_be_given() -> None:
    device = Device(SHAPE, busy_image(3), b"abcdefgh")
    assert run_device(device, read_script(IMAGE))[0] == b"\x85abcdefgh"


def test_weights_that_no_bitstream_holds_are_loaded_before_a_step() -> None:
    shape = replace(SHAPE, weight_storage="huge")
    image = random_image(shape, np.random.default_rng(BUSY))
    steps = random_steps(shape, 6, np.random.default_rng(2))
    replies, trace, _ = run_device(Device(shape, image), Script(TICK, 1))
    assert (replies, trace) == (bytes((Opcode.ERROR, ErrorCode.NOT_CONFIGURED)), [])
    load = load_image(image)
    replies, _, _ = run_device(Device(shape, image), load + step_script(steps))
    assert summary(replies[load.answers :]) == [emitted for _, emitted in run(image, steps)]


def test_weights_without_a_way_back_are_not_read() -> None:
    shape = replace(SHAPE, readback=False)
    device = Device(shape, random_image(shape, np.random.default_rng(BUSY)))
    replies, _, _ = run_device(device, Script(read_burst(Memory.WEIGHTS, 0, 1), 1))
    assert replies == bytes((Opcode.ERROR, ErrorCode.BAD_MEMORY))


PARITY = replace(SHAPE, parity=True)


def test_with_parity_it_is_the_same_device() -> None:
    image = random_image(PARITY, np.random.default_rng(BUSY))
    steps = random_steps(PARITY, 8, np.random.default_rng(2))
    recorded = run(image, steps)
    count = Script(read_burst(Memory.DAMAGED, 0, 1), 1, (1,))
    load = load_image(image)
    for before in (Script(b"", 0), load):
        device = Device(PARITY, image if not before.data else None)
        script = before + Script(CLEAR, 1) + step_script(steps) + count
        replies, trace, _ = run_device(device, script)
        assert replies.endswith(b"\x85\0")
        assert summary(replies[before.answers + 1 :]) == [emitted for _, emitted in recorded]
        follows(trace, [lines for lines, _ in recorded])


def damaged(image: CoreImage, word: int) -> bytes:
    """One weight word as it is after one of its bits has changed, under the image's name."""
    size = PARITY.word_bytes(Memory.WEIGHTS)
    value = image.pack(Memory.WEIGHTS)[word] ^ 2
    write = write_burst(Memory.WEIGHTS, word, 1, value.to_bytes(size, "little"))
    return BEGIN + write + write_burst(Memory.DIGEST, 0, 1, image.digest) + COMMIT


def test_a_weight_word_that_has_changed_is_counted_when_it_is_read() -> None:
    image = random_image(PARITY, np.random.default_rng(BUSY))
    source = int(np.flatnonzero(image.rows_count[: PARITY.inputs])[0])
    word = int(image.rows_start[source])
    count = Script(read_burst(Memory.DAMAGED, 0, 1), 1, (1,))
    start = Script(damaged(image, word), 3) + Script(CLEAR, 1)
    alone = step_script([[]])
    once = step_script([[source]])
    replies, _, _ = run_device(Device(PARITY, image), start + alone + count + once + count)
    answers = rb"\x84\x84\x87\x83.*\x82.{%d}\x85\x00.*\x82.{%d}\x85\x01" % (REPORT, REPORT)
    assert re.fullmatch(answers, replies, re.DOTALL)
    # The step after is refused, whatever it is ...
    for after in (step_script([[]]), step_script([[source]]), Script(mask(0, b"\1"), 1)):
        replies, _, _ = run_device(Device(PARITY, image), start + once + count + after)
        assert replies.endswith(b"\x85\1" + bytes((Opcode.ERROR, ErrorCode.DAMAGED)))
    # ... until the image is loaded again.
    again = load_image(image) + Script(CLEAR, 1) + count + once
    replies, _, _ = run_device(Device(PARITY, image), start + once + count + again)
    assert replies.count(b"\x87\x83\x85\0") == 1


def test_the_count_of_changed_words_stays_at_its_end_and_is_not_written() -> None:
    image = random_image(PARITY, np.random.default_rng(BUSY))
    source = int(np.flatnonzero(image.rows_count[: PARITY.inputs])[0])
    word = int(image.rows_start[source])
    count = Script(read_burst(Memory.DAMAGED, 0, 1), 1, (1,))
    start = Script(damaged(image, word), 3) + Script(CLEAR, 1)
    # One list of events is taken whole.
    many = Script(events([source] * 300), 0)
    replies, _, _ = run_device(Device(PARITY, image), start + many + count)
    assert replies.endswith(b"\x85\xff")
    refused = Script(write_burst(Memory.DAMAGED, 0, 1, b"\0"), 1)
    replies, _, _ = run_device(Device(PARITY, image), refused)
    assert replies == bytes((Opcode.ERROR, ErrorCode.BAD_MEMORY))
    # There is none without parity.
    replies, _, _ = run_device(Device(SHAPE, busy_image(3)), count)
    assert replies == bytes((Opcode.ERROR, ErrorCode.BAD_MEMORY))


def test_the_parity_of_weights_in_single_ported_memory_lies_in_a_block() -> None:
    bits = SHAPE.row_bits(Memory.WEIGHTS)
    shape = replace(PARITY, weight_storage="huge", weight_bank_bits=bits // 2)
    assert shape.parity_alone
    image = random_image(shape, np.random.default_rng(BUSY))
    steps = random_steps(shape, 6, np.random.default_rng(2))
    load = load_image(image)
    replies, _, _ = run_device(Device(shape, image), load + step_script(steps))
    assert summary(replies[load.answers :]) == [emitted for _, emitted in run(image, steps)]
    # Of its own bank first; those of other banks come behind.
    styles = re.findall(
        r'ram_style = "(\w+)" \*\)\n  reg (?:\[\d+:0\] )?part_\d',
        device_verilog(shape, image).split("module \\device.inner.core.memories.words ")[1],
    )
    assert styles[:3] == ["huge", "huge", "block"]
