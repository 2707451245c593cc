# amaranth: UnusedElaboratable=no
"""The hardware's end of the frames against the modelled one, byte for byte of both streams."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.hdl.device import Device
from spikec.hdl.framing import DELIMITER, OPEN, POLL, REWIND, DeviceFrame, HostFrame
from spikec.hdl.image import CoreImage
from spikec.hdl.protocol import events, mask, read_burst, status_request, write_burst
from spikec.hdl.shape import CoreShape, Memory
from spikec.hdl.transport import Transport

from .bench import line_talk
from .modelled_device import DeviceModel, HashCore

SHAPE = CoreShape(
    lanes=2, weight_bits=5, acc_bits=12, state_bits=12, neurons=4, inputs=20, words=64
)


def commands(rng: np.random.Generator) -> bytes:
    """Anything whose replies do not depend on the core's arithmetic, in a device without image."""
    parts = []
    for _ in range(int(rng.integers(1, 12))):
        size = int(rng.integers(1, 60))
        address = int(rng.integers(0, 64 - size + 1))
        match int(rng.integers(0, 5)):
            case 0:
                data = bytes(rng.integers(0, 256, size * 2, dtype=np.uint8) & 0x07)
                parts.append(write_burst(Memory.WEIGHTS, address, size, data))
            case 1 | 2:
                parts.append(read_burst(Memory.WEIGHTS, address, size))
            case 3:
                parts.append(b"\x09")
            case 4:
                parts.append(status_request())
    if rng.random() < 0.2:
        parts.append(rng.choice([b"\x03", b"\xff", events([1]), mask(0, b"\1")]))
    return b"".join(parts)


def line(rng: np.random.Generator) -> list[bytes]:
    """Frames of two sessions: some damaged, repeated, lost, out of order; polls and rewinds."""
    pieces = []
    for session in (5, 6):
        pieces.append(HostFrame(OPEN, session, 0, 0).encode())
        offset = 0
        for _ in range(6):
            part = commands(rng)[:200]
            frame = HostFrame(int(rng.choice([0, 0, POLL])), session, offset, 0, part).encode()
            dice = rng.random()
            if dice < 0.1:
                frame = frame[:5] + bytes((frame[5] ^ 0x10,)) + frame[6:]
            elif dice < 0.2:
                frame = frame[:4] + frame[5:]
            elif dice < 0.3:
                frame = HostFrame(0, session, offset + 3, 0, part).encode()
            elif dice < 0.4:
                frame = HostFrame(0, 77, offset, 0, part).encode()
            else:
                offset += len(part)
            pieces.append(frame)
            if rng.random() < 0.3:
                pieces.append(frame)
            if rng.random() < 0.3:
                pieces.append(HostFrame(REWIND, session, offset, 0).encode())
            if rng.random() < 0.2:
                pieces.append(b"~~" + bytes(rng.integers(0, 126, 7, dtype=np.uint8)) + b"~")
    return pieces


def heard(answers: list[bytes]) -> list[list[DeviceFrame]]:
    return [[DeviceFrame.decode(f) for f in answer.split(DELIMITER) if f] for answer in answers]


def said(frames: list[DeviceFrame]) -> tuple[object, ...]:
    """What a host learns from the answer to one frame, however it is cut into frames."""
    stream: dict[int, int] = {}
    flags = 0
    for frame in frames:
        flags |= frame.flags
        for at, byte in enumerate(frame.payload):
            assert stream.setdefault(frame.offset + at, byte) == byte
    last = frames[-1] if frames else None
    return (
        sorted(stream.items()),
        flags,
        None if last is None else (last.session, last.ack),
    )


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 12))]
)
def test_the_model_and_the_hardware_say_the_same(seed: int) -> None:
    pieces = line(np.random.default_rng(seed))
    device = Device(SHAPE)
    rtl = heard(line_talk(device, pieces))
    core = HashCore(SHAPE)
    for memory in SHAPE.memories:
        for address, word in enumerate(CoreImage.empty(SHAPE).pack(memory)):
            core.write(memory, address, word.to_bytes(SHAPE.word_bytes(memory), "little"))
    model = DeviceModel(SHAPE, core)
    modelled = heard([model.feed(piece) for piece in pieces])
    for number, (found, wanted) in enumerate(zip(rtl, modelled, strict=True)):
        assert said(found) == said(wanted), f"answer to piece {number}"


@pytest.mark.parametrize("size", [100, 128, 300, 1 << 12])
def test_buffers_have_sizes(size: int) -> None:
    with pytest.raises(ValueError, match="256 to 2048 bytes, a power of two"):
        Transport(size, 512)
