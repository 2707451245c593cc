"""Frames: round trips in pieces of any size, and bytes that are no frames."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    ProtocolError,
    Read,
    Reply,
    ReplyDecoder,
    Spike,
    Tick,
    Write,
    Written,
    encode,
)
from spikec.hdl.shape import OVERFLOWS, ROUNDINGS, CoreShape

SHAPE = CoreShape(
    lanes=8, weight_bits=8, acc_bits=20, state_bits=24, neurons=64, inputs=40, words=300, cuba=True
)


@st.composite
def shapes(draw: st.DrawFn) -> CoreShape:
    lanes = 1 << draw(st.integers(0, 6))
    weight_bits = draw(st.integers(2, 16))
    return CoreShape(
        lanes=lanes,
        weight_bits=weight_bits,
        acc_bits=draw(st.integers(weight_bits, 48)),
        state_bits=draw(st.integers(8, 32)),
        neurons=lanes * draw(st.integers(1, (1 << 16) // lanes)),
        inputs=draw(st.integers(1, 1 << 16)),
        words=draw(st.integers(1, 1 << 24)),
        classes=draw(st.integers(1, 1 << 12)),
        pages=1 << draw(st.integers(0, 8)),
        cuba=draw(st.booleans()),
        first_bias=draw(st.booleans()),
        refractory_bits=draw(st.integers(0, 16)),
        shift_bits=draw(st.integers(0, 5)),
        step_bits=draw(st.integers(8, 16)),
        decay_bits=draw(st.integers(1, 16)),
        rounding=draw(st.sampled_from(ROUNDINGS)),
        overflow=draw(st.sampled_from(OVERFLOWS)),
    )


words = st.integers(0, (1 << 16) - 1)
counts = st.integers(0, (1 << 24) - 1)
replies = st.one_of(
    st.builds(Spike, words),
    st.builds(Done, words, counts, counts, counts),
    st.just(Cleared()),
    st.just(Written()),
    st.builds(Data, st.binary(min_size=1, max_size=40)),
    st.builds(InfoReply, shapes(), st.binary(min_size=8, max_size=8)),
    st.builds(Error, st.sampled_from(ErrorCode)),
)


@st.composite
def commands(draw: st.DrawFn) -> Command:
    memory = draw(st.sampled_from(SHAPE.memories))
    address = draw(st.integers(0, SHAPE.depth(memory) - 1))
    size = SHAPE.word_bytes(memory)
    data = draw(st.binary(min_size=size, max_size=size))
    source = draw(st.integers(0, SHAPE.inputs - 1))
    choices: list[Command] = [
        Event(source),
        Tick(),
        Clear(),
        InfoRequest(),
        Read(memory, address),
        Write(memory, address, data),
    ]
    return draw(st.sampled_from(choices))


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[low:high] for low, high in itertools.pairwise(places)]


@given(st.lists(replies, max_size=8), st.lists(st.integers(0, 1000)))
def test_replies_round_trip(frames: list[Reply], cuts: list[int]) -> None:
    decoder = ReplyDecoder()
    for frame in frames:
        if isinstance(frame, Data):
            decoder.expect(len(frame.data))
    decoded = [reply for part in pieces(encode(frames), cuts) for reply in decoder.feed(part)]
    assert decoded == frames
    assert decoder.pending == 0


@given(st.lists(commands(), max_size=8), st.lists(st.integers(0, 1000)))
def test_commands_round_trip(frames: list[Command], cuts: list[int]) -> None:
    decoder = CommandDecoder(SHAPE)
    decoded = [frame for part in pieces(encode(frames), cuts) for frame in decoder.feed(part)]
    assert decoded == frames


def test_bytes_on_the_wire() -> None:
    frames: list[Command | Reply] = [
        Event(0x0102),
        Read(SHAPE.memories[1], 0x010203),
        Write(SHAPE.memories[0], 5, b"\xaa\xbb"),
        Spike(0x0304),
        Done(0x0102, 0x030405, 6, 7),
    ]
    assert [frame.encode().hex() for frame in frames] == [
        "010201",
        "0501030201",
        "0400050000aabb",
        "810403",
        "820201050403060000070000",
    ]


def test_an_unknown_byte_is_dropped_and_named() -> None:
    decoder = ReplyDecoder()
    assert decoder.feed(Spike(3).encode() + b"\x17" + Written().encode()) == [Spike(3)]
    with pytest.raises(ProtocolError, match="0x17 starts no reply"):
        decoder.feed(b"")
    assert decoder.feed(b"") == [Written()]


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (Data(b"\x01").encode(), "a word that was not asked for"),
        (b"\xee\x63", "unknown error 99"),
        (InfoReply(SHAPE, bytes(8)).encode().replace(b"SPK1", b"SPK9"), "calls itself b'SPK9'"),
        (InfoReply(SHAPE, bytes(8), 9).encode(), "speaks version 9, this host 1"),
    ],
)
def test_replies_without_sense(sent: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        ReplyDecoder().feed(sent)


def test_an_impossible_core_is_not_believed() -> None:
    frame = bytearray(InfoReply(SHAPE, bytes(8)).encode())
    frame[6] = 3
    with pytest.raises(ProtocolError, match="impossible core: lanes must be a power of two"):
        ReplyDecoder().feed(bytes(frame))


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x99", ErrorCode.UNKNOWN_COMMAND),
        (Event(40).encode(), ErrorCode.BAD_SOURCE),
        (b"\x05\x40\x00\x00\x00", ErrorCode.BAD_MEMORY),
        (b"\x04\x03\x00\x00\x00", ErrorCode.BAD_MEMORY),
        (Read(SHAPE.memories[0], SHAPE.sources).encode(), ErrorCode.BAD_ADDRESS),
        (Write(SHAPE.memories[0], SHAPE.sources, bytes(3)).encode(), ErrorCode.BAD_ADDRESS),
    ],
)
def test_bad_commands_become_errors_and_the_next_is_read(sent: bytes, code: ErrorCode) -> None:
    assert CommandDecoder(SHAPE).feed(sent + b"\x02") == [Error(code), Tick()]
