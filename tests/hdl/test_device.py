# amaranth: UnusedElaboratable=no
"""The device as a host sees it: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from spikec.hdl.device import Device
from spikec.hdl.image import CoreImage, ImageError, unpack
from spikec.hdl.protocol import (
    Clear,
    Cleared,
    Command,
    CommandDecoder,
    Data,
    Done,
    Error,
    ErrorCode,
    Event,
    InfoReply,
    InfoRequest,
    Read,
    Reply,
    ReplyDecoder,
    Spike,
    Tick,
    Write,
    Written,
    encode,
)
from spikec.hdl.shape import CoreShape, Memory

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


def busy_image(seed: int) -> CoreImage:
    return random_image(SHAPE, np.random.default_rng(seed))


def talk(
    device: Device, commands: Sequence[Command], replies: int, shape: CoreShape = SHAPE
) -> list[Reply]:
    """Replies to commands, of which there are ``replies`` bytes."""
    decoder = ReplyDecoder()
    for command in commands:
        if isinstance(command, Read):
            decoder.expect(shape.word_bytes(command.memory))
    received, _ = run_device(device, encode(commands), replies)
    answer = decoder.feed(received)
    assert decoder.pending == 0
    return answer


def step_commands(steps: Iterable[Iterable[int]]) -> list[Command]:
    commands: list[Command] = []
    for events in steps:
        commands += [Event(source) for source in events]
        commands.append(Tick())
    return commands


def summary(replies: Iterable[Reply]) -> list[list[int]]:
    """Neurons reported in each step."""
    steps: list[list[int]] = [[]]
    for reply in replies:
        if isinstance(reply, Spike):
            steps[-1].append(reply.neuron)
        elif isinstance(reply, Done):
            steps.append([])
    return steps[:-1]


def reply_bytes(recorded: list[tuple[list[Swept], list[int]]]) -> int:
    return sum(3 * len(emitted) + 12 for _, emitted in recorded)


@pytest.mark.parametrize("gaps", [False, True])
def test_steps_over_bytes(gaps: bool) -> None:
    image, rng = busy_image(BUSY), np.random.default_rng(2)
    steps = random_steps(SHAPE, 8, rng)
    recorded = run(image, steps)
    assert sum(len(emitted) for _, emitted in recorded) > 5

    def gap() -> int:
        return int(rng.integers(0, 4)) if gaps else 0

    received, trace = run_device(
        Device(SHAPE, image),
        encode(step_commands(steps)),
        reply_bytes(recorded),
        rx_gap=gap,
        tx_gap=gap,
    )
    assert summary(ReplyDecoder().feed(received)) == [emitted for _, emitted in recorded]
    assert trace == [line for lines, _ in recorded for line in lines]


def test_counters_do_not_depend_on_the_pace_of_the_host() -> None:
    image, rng = busy_image(BUSY), np.random.default_rng(2)
    steps = random_steps(SHAPE, 8, rng)
    size = reply_bytes(run(image, steps))
    answers = [
        run_device(
            Device(SHAPE, image), encode(step_commands(steps)), size, rx_gap=gap, tx_gap=gap
        )[0]
        for gap in (lambda: 0, lambda: 13)
    ]
    assert answers[0] == answers[1]


def test_loaded_by_frames_it_is_the_same_device() -> None:
    image = busy_image(3)
    steps = random_steps(SHAPE, 6, np.random.default_rng(4))
    writes = list(image.frames())
    commands = [InfoRequest(), *step_commands(steps)]
    size = len(InfoReply(SHAPE, image.digest).encode()) + reply_bytes(run(image, steps))
    built_in = talk(Device(SHAPE, image), commands, size)
    # Loaded over another image, which must leave nothing behind.
    other = Device(SHAPE, busy_image(5))
    loaded = talk(other, [*writes, Clear(), *commands], len(writes) + 1 + size)
    assert loaded[: len(writes) + 1] == [*(Written() for _ in writes), Cleared()]
    assert loaded[len(writes) + 1 :] == built_in
    assert built_in[0] == InfoReply(SHAPE, image.digest)


def test_every_word_reads_back() -> None:
    image = busy_image(6)
    reads = [
        Read(memory, address) for memory in SHAPE.memories for address in range(SHAPE.depth(memory))
    ]
    size = sum(1 + SHAPE.word_bytes(read.memory) for read in reads)
    answer = talk(Device(SHAPE, image), reads, size)
    expected = [word for memory in SHAPE.memories for word in image.pack(memory)]
    got = [int.from_bytes(reply.data, "little") for reply in answer if isinstance(reply, Data)]
    assert got == expected


def test_every_word_can_be_written() -> None:
    rng = np.random.default_rng(7)
    writes = []
    for memory in SHAPE.memories:
        mask = (1 << SHAPE.word_bits(memory)) - 1
        size = SHAPE.word_bytes(memory)
        for address in range(SHAPE.depth(memory)):
            word = int.from_bytes(rng.bytes(size), "little") & mask
            writes.append(Write(memory, address, word.to_bytes(size, "little")))
    reads = [Read(write.memory, write.address) for write in writes]
    size = len(writes) + sum(1 + len(write.data) for write in writes)
    answer = talk(Device(SHAPE), [*writes, *reads], size)
    assert answer[len(writes) :] == [Data(write.data) for write in writes]


def test_state_reads_back_and_clears() -> None:
    image = busy_image(BUSY)
    steps = random_steps(SHAPE, 5, np.random.default_rng(2))
    reference = Reference(image)
    for events in steps:
        for source in events:
            reference.event(source)
        reference.tick()
    for source in steps[0]:
        reference.event(source)
    state: dict[Memory, list[object]] = {
        Memory.POTENTIALS: list(reference.v),
        Memory.CURRENTS: list(reference.u),
        Memory.REFRACTORY: list(reference.refractory),
        Memory.ACCUMULATORS: [
            tuple(reference.acc[page][group * SHAPE.lanes :][: SHAPE.lanes])
            for group in range(SHAPE.groups)
            for page in range(SHAPE.pages)
        ],
    }
    reads = [Read(memory, at) for memory, words in state.items() for at in range(len(words))]
    read_size = sum(1 + SHAPE.word_bytes(read.memory) for read in reads)
    before = [*step_commands(steps), *(Event(source) for source in steps[0])]
    commands = [*before, *reads, Clear(), *reads, Tick()]
    # After CLEAR the step counter and all state are as at the start.
    again = run(image, [()])
    size = reply_bytes(run(image, steps)) + 2 * read_size + 1 + reply_bytes(again)
    answer = talk(Device(SHAPE, image), commands, size)

    words = [reply for reply in answer if isinstance(reply, Data)]
    values = [
        unpack(SHAPE, read.memory, int.from_bytes(word.data, "little"))
        for read, word in zip(reads, words, strict=False)
    ]
    assert [next(iter(value.values())) for value in values] == [
        word for memory in state.values() for word in memory
    ]
    assert not any(any(word.data) for word in words[len(reads) :])
    cleared = answer[answer.index(Cleared()) :]
    assert summary(cleared) == [emitted for _, emitted in again]
    assert [reply.step for reply in cleared if isinstance(reply, Done)] == [0]
    assert [reply.step for reply in answer if isinstance(reply, Done)] == [0, 1, 2, 3, 4, 0]


BAD_FRAMES = (
    (b"\x00", ErrorCode.UNKNOWN_COMMAND),
    (b"\xff", ErrorCode.UNKNOWN_COMMAND),
    (b"\x81", ErrorCode.UNKNOWN_COMMAND),
    (Event(SHAPE.inputs).encode(), ErrorCode.BAD_SOURCE),
    (Event(0xFFFF).encode(), ErrorCode.BAD_SOURCE),
    (b"\x05\x0b\x00\x00\x00", ErrorCode.BAD_MEMORY),
    (b"\x05\xff\xff\xff\xff", ErrorCode.BAD_MEMORY),
    (b"\x04\x80\x00\x00\x00", ErrorCode.BAD_MEMORY),
    (Read(Memory.ROWS, SHAPE.sources).encode(), ErrorCode.BAD_ADDRESS),
    (Read(Memory.ACTIVE_NEURONS, 1).encode(), ErrorCode.BAD_ADDRESS),
    (Read(Memory.WEIGHTS, 0x010000).encode(), ErrorCode.BAD_ADDRESS),
    (Write(Memory.WEIGHTS, 16, b"\x02\x02").encode(), ErrorCode.BAD_ADDRESS),
)


def test_bad_frames_are_refused_and_the_next_is_understood() -> None:
    sent = b"".join(frame + InfoRequest().encode() for frame, _ in BAD_FRAMES)
    info = InfoReply(SHAPE, CoreImage.empty(SHAPE).digest)
    size = len(BAD_FRAMES) * (2 + len(info.encode()))
    received, _ = run_device(Device(SHAPE), sent, size)
    answer = ReplyDecoder().feed(received)
    assert answer == [reply for _, code in BAD_FRAMES for reply in (Error(code), info)]


def answer_to(command: Command | Error) -> tuple[type[Reply] | None, int]:
    """Kind and bytes of the answer to anything but TICK."""
    match command:
        case Event() | Tick():
            return None, 0
        case Clear():
            return Cleared, 1
        case Write():
            return Written, 1
        case InfoRequest():
            return InfoReply, len(InfoReply(SHAPE, bytes(8)).encode())
        case Read(memory):
            return Data, 1 + SHAPE.word_bytes(memory)
        case Error():
            return Error, 2


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_are_taken_as_the_decoder_takes_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = bytes(rng.choice([0, 1, 3, 4, 5, 6, 7, 9, 0x82, 0xEE], 150).astype(np.uint8))
    flush = b"\x00" * 20 + InfoRequest().encode()
    commands = CommandDecoder(SHAPE).feed(noise + flush)
    assert commands[-1] == InfoRequest()
    expected: list[type[Reply]] = []
    decoder = ReplyDecoder()
    size = 0
    for command in commands:
        kind, length = answer_to(command)
        if kind is Data:
            decoder.expect(length - 1)
        if kind is not None:
            expected.append(kind)
        size += length
    received, _ = run_device(Device(SHAPE), noise + flush, size)
    assert [type(reply) for reply in decoder.feed(received)] == expected


def test_an_image_of_another_shape_is_refused() -> None:
    other = CoreShape(
        lanes=1, weight_bits=2, acc_bits=4, state_bits=8, neurons=1, inputs=1, words=1
    )
    with pytest.raises(ImageError, match="the image is made for CoreShape"):
        Device(SHAPE, CoreImage.empty(other))
    with pytest.raises(ImageError, match="a digest has 8 bytes, not 3"):
        Device(SHAPE, digest=b"abc")


def test_a_digest_can_be_given() -> None:
    size = len(InfoReply(SHAPE, bytes(8)).encode())
    (answer,) = talk(Device(SHAPE, digest=b"abcdefgh"), [InfoRequest()], size)
    assert answer == InfoReply(SHAPE, b"abcdefgh")
