"""Commands and replies as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.hdl.protocol import (
    INFO_BYTES,
    InfoReply,
    Opcode,
    ProtocolError,
    StatusReply,
    Write,
    configuration,
    events,
    mask,
    read_burst,
    refusal,
    shape_digest,
    status_request,
)
from spikec.hdl.shape import CoreShape, Memory

SHAPE = CoreShape(
    lanes=8, weight_bits=8, acc_bits=20, state_bits=24, neurons=64, inputs=40, words=300, cuba=True
)


def info() -> InfoReply:
    return InfoReply(shape_digest(SHAPE), 512, 2048, 12_000_000)


def test_events_and_masks() -> None:
    assert events([]) == b""
    assert events([1, 0x203]).hex() == "01020001000302"
    assert len(events(range(65_536))) == 2 * 3 + 2 * 65_536
    assert mask(0x010203, b"\x80\x01").hex() == "0203020102008001"
    assert read_burst(Memory.WEIGHTS, 5, 3).hex() == "08020500000300"
    assert status_request() == b"\x0a"


def test_a_configuration_is_bursts_between_begin_and_commit() -> None:
    writes = [
        Write(Memory.ROWS, 0, b"ab"),
        Write(Memory.ROWS, 1, b"cd"),
        Write(Memory.ROWS, 3, b"ef"),
        Write(Memory.DIGEST, 0, b"12345678"),
    ]
    data, bursts = configuration(writes)
    assert bursts == 3
    operands = (
        b"\x00\x00\x00\x00\x02\x00abcd",
        b"\x00\x03\x00\x00\x01\x00ef",
        b"\x09\x00\x00\x00\x01\x0012345678",
    )
    body = b"".join(bytes((Opcode.WRITE,)) + part for part in operands)
    assert data == bytes((Opcode.BEGIN,)) + body + bytes((Opcode.COMMIT,))
    assert writes[2].encode() == bytes((Opcode.WRITE,)) + operands[1]


def test_info_comes_back() -> None:
    whole = info()
    assert len(whole.encode()) == INFO_BYTES
    assert InfoReply.decode(whole.encode()) == whole
    half = InfoReply(**{**vars(whole), "configured": False})
    assert InfoReply.decode(half.encode()) == half


def test_another_protocol_is_refused() -> None:
    operands = info().encode()
    with pytest.raises(ProtocolError, match="says 0x53 where its version is due"):
        InfoReply.decode(operands[:1] + b"S" + operands[2:])
    with pytest.raises(ProtocolError, match="speaks version 4, this host 3"):
        InfoReply.decode(operands[:1] + b"\xa4" + operands[2:])


@given(st.lists(st.integers(0, 255), min_size=4, max_size=4))
def test_status_comes_back(counts: list[int]) -> None:
    status = StatusReply(*counts)
    assert StatusReply.decode(status.encode()) == status


def test_refusals_in_words() -> None:
    assert refusal(5) == "not configured"
    assert refusal(99) == "code 99"


def test_shapes_have_digests() -> None:
    assert len(shape_digest(SHAPE)) == 8
    changed = CoreShape(
        lanes=8, weight_bits=8, acc_bits=20, state_bits=24, neurons=64, inputs=41, words=300
    )
    assert shape_digest(SHAPE) != shape_digest(changed)
