"""Frames: what is encoded comes back, and what was changed does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.hdl.framing import (
    DELIMITER,
    END,
    ESCAPE,
    HOST_PAYLOAD,
    DeviceFrame,
    FrameError,
    HostFrame,
    ahead,
    escape,
    unescape,
)

payloads = st.binary(max_size=HOST_PAYLOAD)
frames = st.builds(
    HostFrame,
    st.integers(0, 7),
    st.integers(0, 255),
    st.integers(0, 4095),
    st.integers(0, 4095),
    payloads,
)


@given(st.binary(max_size=600))
def test_escaped_bytes_have_no_delimiter_and_come_back(data: bytes) -> None:
    escaped = escape(data)
    assert END not in escaped
    assert len(escaped) == len(data) + data.count(END) + data.count(ESCAPE)
    assert unescape(escaped) == data


@pytest.mark.parametrize(
    ("data", "escaped"),
    [(b"", ""), (b"~", "7d5e"), (b"}", "7d5d"), (b"\0}~\x20", "007d5d7d5e20")],
)
def test_escapes_are_those_of_rfc_1662(data: bytes, escaped: str) -> None:
    assert escape(data).hex() == escaped


def test_a_damaged_escape_is_an_escape_all_the_same() -> None:
    assert unescape(b"a}}b") == b"a]b"
    assert unescape(b"}}}b") == b"]B"
    with pytest.raises(FrameError, match="within an escape"):
        unescape(b"a}")


@given(frames)
def test_host_frames_come_back(frame: HostFrame) -> None:
    line = frame.encode()
    assert line[-1:] == DELIMITER
    assert DELIMITER not in line[:-1]
    assert HostFrame.decode(line[:-1]) == frame


@given(st.integers(0, 4095), st.binary(max_size=128))
def test_device_frames_come_back(offset: int, payload: bytes) -> None:
    frame = DeviceFrame(3, 9, offset, 4095 - offset, offset ^ 0x55, payload)
    assert DeviceFrame.decode(frame.encode()[:-1]) == frame


@given(frames, st.data())
def test_up_to_five_wrong_bits_never_pass(frame: HostFrame, data: st.DataObject) -> None:
    line = bytearray(frame.encode()[:-1])
    places = data.draw(
        st.lists(st.integers(0, 8 * len(line) - 1), min_size=1, max_size=5, unique=True)
    )
    for place in places:
        line[place // 8] ^= 1 << place % 8
    for part in bytes(line).split(DELIMITER):
        if part:
            with pytest.raises(FrameError):
                HostFrame.decode(part)


@given(frames, st.data())
def test_a_lost_or_repeated_byte_never_passes(frame: HostFrame, data: st.DataObject) -> None:
    line = frame.encode()[:-1]
    at = data.draw(st.integers(0, len(line) - 1))
    for changed in (line[:at] + line[at + 1 :], line[: at + 1] + line[at:]):
        with pytest.raises(FrameError):
            HostFrame.decode(changed)


@given(st.integers(0, 4095), st.integers(-2048, 2047))
def test_offsets_wrap(offset: int, distance: int) -> None:
    assert ahead((offset + distance) % 4096, offset) == distance
