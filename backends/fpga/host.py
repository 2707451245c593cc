"""What a host says to the core and how it reads the answers; the same for a chip and for RTL.

A :class:`Script` is the byte stream of a host and the answers it waits for. The link has no flow
control: a host on a serial port sends a script :meth:`Script.exchanges` piece by piece and waits
for the answer of each; in simulation, ready and valid hold the stream back and it is sent whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...hdl.image import CoreImage
from ...hdl.protocol import COUNTER_MAX, Opcode
from ...hdl.shape import CoreShape, Memory
from .replies import may_grow, refusal

__all__ = [
    "HostError",
    "Run",
    "Script",
    "StimulusError",
    "decode_replies",
    "load_image",
    "read_info",
    "read_memory",
    "stimulus_to_commands",
]


class StimulusError(ValueError):
    """A stimulus that cannot be sent; the message has the sample, the step and the input."""

    code = "stimulus-invalid"


class HostError(RuntimeError):
    """Answers of a device that are not the ones a script asked for; the message says where."""

    code = "device-answer"


@dataclass(frozen=True, slots=True)
class Script:
    """Bytes for the device, and the answers they ask for.

    ``answers`` counts every answer but SPIKE; ``read_sizes`` are the bytes of each DATA, in order.
    """

    data: bytes
    answers: int
    read_sizes: tuple[int, ...] = ()

    def __add__(self, other: Script) -> Script:
        """One script after the other."""
        return Script(
            self.data + other.data,
            self.answers + other.answers,
            self.read_sizes + other.read_sizes,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a device answered to a stimulus of S samples of T steps.

    Spikes are sorted by sample, step and order of arrival::

        sample, step, neuron  (spikes,) int64
        cycles                (S, T, 3) int64: clock cycles of accumulate, commit, propagate;
                              a count of 2^24 - 1 stands for that many or more
    """

    samples: int
    steps: int
    sample: NDArray[np.int64]
    step: NDArray[np.int64]
    neuron: NDArray[np.int64]
    cycles: NDArray[np.int64]

    def counts(self, neurons: int) -> NDArray[np.int64]:
        """Return spike counts, (samples, neurons)."""
        flat = np.bincount(self.sample * neurons + self.neuron, minlength=self.samples * neurons)
        return flat.reshape(self.samples, neurons).astype(np.int64)

    @property
    def saturated(self) -> bool:
        """Whether some cycle counter reached its end, so that totals are lower bounds."""
        return bool((self.cycles == COUNTER_MAX).any())


def stimulus_to_commands(counts: NDArray[Any]) -> Script:
    """Return CLEAR, then the EVENTs and the TICK of each step, for each sample.

    ``counts`` (samples, steps, inputs), integers >= 0: how many events each input line gets in
    each step. Events of a step are sent in order of input line.

    Raises :class:`StimulusError` for another shape, fractions, negative counts or more inputs
    than a frame can name (65,536).
    """
    counts = _checked(counts)
    samples, steps, inputs = counts.shape
    flat = counts.reshape(-1)
    lit = np.flatnonzero(flat)
    event = np.repeat(lit, flat[lit])
    source = event % inputs if inputs else event
    step_of = event // inputs if inputs else event
    per_step = np.bincount(step_of, minlength=samples * steps)

    # A step takes 3 bytes an event and 1 for TICK; the first of a sample 1 more for CLEAR.
    first = np.zeros(samples * steps, np.int64)
    first[::steps] = 1
    size = 3 * per_step + 1 + first
    start = np.cumsum(size) - size
    rank = np.arange(event.size) - (np.cumsum(per_step) - per_step)[step_of]
    at = (start + first)[step_of] + 3 * rank

    data = np.empty(int(size.sum()), np.uint8)
    data[start[first == 1]] = Opcode.CLEAR
    data[at] = Opcode.EVENT
    data[at + 1] = source & 0xFF
    data[at + 2] = source >> 8
    data[start + size - 1] = Opcode.TICK
    return Script(data.tobytes(), samples * (steps + 1))


def _checked(counts: NDArray[Any]) -> NDArray[np.int64]:
    counts = np.asarray(counts)
    if counts.ndim != 3:
        raise StimulusError(f"a stimulus is (samples, steps, inputs), not {counts.shape}")
    if counts.shape[1] == 0 or counts.shape[0] == 0:
        raise StimulusError(f"a stimulus needs a sample and a step: {counts.shape}")
    if counts.dtype.kind not in "iub":
        raise StimulusError(f"event counts are whole numbers, not {counts.dtype}")
    if counts.shape[2] > 1 << 16:
        raise StimulusError(f"{counts.shape[2]} input lines; a frame can name 65536")
    negative = np.argwhere(counts < 0) if counts.dtype.kind == "i" else np.empty((0, 3), np.int64)
    if negative.size:
        sample, step, line = (int(i) for i in negative[0])
        raise StimulusError(
            f"sample {sample}, step {step}, input {line}: "
            f"{int(counts[sample, step, line])} events; a count cannot be negative"
        )
    return counts.astype(np.int64)


def load_image(image: CoreImage) -> Script:
    """Return the WRITEs that load an image into a device of its shape."""
    frames = [frame.encode() for frame in image.frames()]
    return Script(b"".join(frames), len(frames))


def read_info() -> Script:
    """Return the question which shape and image the device has."""
    return Script(bytes((Opcode.INFO,)), 1)


def read_memory(shape: CoreShape, memory: Memory, addresses: Iterable[int]) -> Script:
    """Return READs of words of one memory."""
    size = shape.word_bytes(memory)
    head = bytes((Opcode.READ, memory))
    frames = [head + address.to_bytes(3, "little") for address in addresses]
    return Script(b"".join(frames), len(frames), (size,) * len(frames))


_STEP: Final = re.compile(rb"((?:\x81..)*)\x82(.{11})", re.DOTALL)


def decode_replies(data: bytes, samples: int, steps: int, *, step_bits: int = 16) -> Run:
    """Return the spikes and cycle counters a device sent for :func:`stimulus_to_commands`.

    Per sample: CLEARED, then SPIKE ... SPIKE DONE for each step. ``step_bits`` is the width of
    the core's step counter, which wraps. Raises :class:`HostError` with
    the sample, the step and the byte where the answers depart from that.
    """
    spikes: list[bytes] = []
    done: list[bytes] = []
    per_step: list[int] = []
    at = 0
    for sample in range(samples):
        if data[at : at + 1] != bytes((Opcode.CLEARED,)):
            raise _departure(data, at, sample, None, "CLEARED")
        at += 1
        for step in range(steps):
            found = _STEP.match(data, at)
            if found is None:
                raise _departure(data, at, sample, step, "SPIKE or DONE")
            spikes.append(found[1])
            done.append(found[2])
            per_step.append(len(found[1]) // 3)
            at = found.end()
    if at != len(data):
        raise HostError(f"{len(data) - at} bytes too many after the last step, at byte {at}")
    frames = np.frombuffer(b"".join(spikes), np.uint8).reshape(-1, 3).astype(np.int64)
    counters = np.frombuffer(b"".join(done), np.uint8).reshape(samples, steps, 11).astype(np.int64)
    said = counters[..., 0] | counters[..., 1] << 8
    _check_steps(said, 1 << step_bits)
    cycles = counters[..., 2::3] | counters[..., 3::3] << 8 | counters[..., 4::3] << 16
    where = np.repeat(np.arange(samples * steps), per_step)
    return Run(
        samples=samples,
        steps=steps,
        sample=where // steps,
        step=where % steps,
        neuron=frames[:, 1] | frames[:, 2] << 8,
        cycles=cycles,
    )


def _check_steps(said: NDArray[np.int64], modulus: int) -> None:
    """Refuse answers of other steps than those asked for: bytes were lost or invented."""
    wanted = np.arange(said.shape[1]) % modulus
    wrong = np.argwhere(said != wanted)
    if wrong.size:
        sample, step = (int(i) for i in wrong[0])
        raise HostError(
            f"sample {sample}, step {step}: the device answers for step {said[sample, step]}"
        )


def _departure(data: bytes, at: int, sample: int, step: int | None, wanted: str) -> HostError:
    place = f"sample {sample}" + ("" if step is None else f", step {step}") + f", byte {at}"
    rest = re.compile(rb"(?:\x81..)*", re.DOTALL).match(data, at)
    here = at if rest is None else rest.end()
    if here >= len(data):
        return HostError(f"{place}: the answers end where {wanted} was due")
    if data[here] == Opcode.ERROR and here + 1 < len(data):
        return HostError(f"{place}: {refusal(data[here + 1])}")
    if data[here] in set(Opcode) and may_grow(data[here:]):
        return HostError(f"{place}: the answers end in the middle of a frame")
    return HostError(f"{place}: byte {data[here]:#04x} where {wanted} was due")
