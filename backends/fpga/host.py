"""What a host says to the core and how it reads the answers; the same for a chip and for RTL.

A :class:`Script` is a stream of commands and the answers it waits for. Frames carry it, see
:mod:`.connection`: to a chip, to its RTL behind a pseudo-terminal, and in a simulation as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...hdl.cluster_image import DeviceImage
from ...hdl.cluster_shape import DeviceShape
from ...hdl.protocol import (
    COUNTER_MAX,
    MASK_LINES,
    MOST_EVENTS,
    MOST_WORDS,
    SHORT_SPIKE_NEURONS,
    Opcode,
    Write,
    configuration,
    read_burst,
)
from .replies import may_grow, refusal, step_pattern

__all__ = [
    "NOTHING",
    "HostError",
    "Run",
    "Script",
    "StimulusError",
    "decode_replies",
    "learning_phase",
    "load_image",
    "loaded",
    "read_info",
    "read_memory",
    "read_words",
    "report_bytes",
    "report_fields",
    "stimulus_to_commands",
]


class StimulusError(ValueError):
    """A stimulus that cannot be sent; the message has the sample, the step and the input."""

    code = "stimulus-invalid"


class HostError(RuntimeError):
    """Answers of a device that are not the ones a script asked for; the message says where.

    ``refused`` is the reason of an ERROR.
    """

    code = "device-answer"

    def __init__(self, message: str, refused: int | None = None) -> None:
        super().__init__(message)
        self.refused = refused


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
        cycles                (S, T, C) int64: the counters of the step's report in the order of
                              ``counters``; a count of 2^24 - 1 stands for that many or more
        read                  (S, T, B) uint8: the bytes that were read behind each step
    """

    samples: int
    steps: int
    sample: NDArray[np.int64]
    step: NDArray[np.int64]
    neuron: NDArray[np.int64]
    cycles: NDArray[np.int64]
    counters: tuple[str, ...] = ()
    read: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0, 0), np.uint8))

    def counts(self, neurons: int) -> NDArray[np.int64]:
        """Return spike counts, (samples, neurons)."""
        flat = np.bincount(self.sample * neurons + self.neuron, minlength=self.samples * neurons)
        return flat.reshape(self.samples, neurons).astype(np.int64)

    @property
    def saturated(self) -> bool:
        """Whether some cycle counter reached its end, so that totals are lower bounds."""
        return bool((self.cycles == COUNTER_MAX).any())


NOTHING = Script(b"", 0)


def stimulus_to_commands(counts: NDArray[Any], read: Script = NOTHING) -> Script:
    """Return CLEAR, then the EVENTS or MASK and the TICK of each step, for each sample.

    ``counts`` (samples, steps, inputs), integers >= 0: how many events each input line gets in
    each step. Events of a step are sent in order of input line. Behind each TICK follow the READs
    of ``read``.

    Raises :class:`StimulusError` for another shape, fractions, negative counts or more inputs
    than a frame can name (65,536).
    """
    counts = _checked(counts)
    samples, steps, inputs = counts.shape
    every = counts.reshape(samples * steps, inputs)
    groups = -(-inputs // MASK_LINES)
    per_step = every.sum(axis=1)

    # A mask says which lines spike once, a list how often each does: whichever is shorter.
    most = every.max(axis=1, initial=0)
    listed = (3 + 2 * per_step <= 6 + groups) | (most > 1) | (groups > MOST_WORDS)
    listed |= per_step == 0
    masked = ~listed
    parts = -(-np.where(listed, per_step, 0) // MOST_EVENTS)
    body = np.where(listed, 3 * parts + 2 * per_step, 6 + groups)
    first = np.zeros(samples * steps, np.int64)
    first[::steps] = 1
    behind = np.frombuffer(read.data, np.uint8)
    size = body + 1 + first + behind.size
    start = np.cumsum(size) - size

    data = np.zeros(int(size.sum()), np.uint8)
    data[start[first == 1]] = Opcode.CLEAR
    tick = start + size - 1 - behind.size
    data[tick] = Opcode.TICK
    data[tick[:, None] + 1 + np.arange(behind.size)] = behind
    start = start + first
    _put_lists(data, every * listed[:, None], start)
    at = start[masked]
    data[at] = Opcode.MASK
    for place in range(2):
        data[at + 4 + place] = groups >> 8 * place & 0xFF
    bits = np.packbits(every[masked] > 0, axis=1, bitorder="little")
    data[at[:, None] + 6 + np.arange(groups)] = bits
    ticks = samples * steps
    return Script(data.tobytes(), samples + ticks * (1 + read.answers), ticks * read.read_sizes)


def _put_lists(data: NDArray[np.uint8], every: NDArray[np.int64], start: NDArray[np.int64]) -> None:
    """Write the EVENTS of each step; () of none."""
    steps, inputs = every.shape
    flat = every.reshape(-1)
    lit = np.flatnonzero(flat)
    event = np.repeat(lit, flat[lit])
    source, step = event % max(inputs, 1), event // max(inputs, 1)
    per_step = np.bincount(step, minlength=steps)
    rank = np.arange(event.size) - (np.cumsum(per_step) - per_step)[step]
    at = start[step] + 3 * (rank // MOST_EVENTS + 1) + 2 * rank
    data[at] = source & 0xFF
    data[at + 1] = source >> 8
    # Each list starts with how many sources follow.
    head = rank % MOST_EVENTS == 0
    count = np.minimum(per_step[step[head]] - rank[head], MOST_EVENTS)
    data[at[head] - 3] = Opcode.EVENTS
    data[at[head] - 2] = count & 0xFF
    data[at[head] - 1] = count >> 8


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


def load_image(image: DeviceImage) -> Script:
    """Return BEGIN, the WRITEs that load an image into a device of its shape, and COMMIT."""
    writes: list[Write] = list(image.frames())
    data, bursts = configuration(writes)
    return Script(data, bursts + 1)


def loaded(data: bytes, load: Script) -> bytes:
    """Return the replies behind those to :func:`load_image`, or to an empty script.

    Raises :class:`HostError` if the image was not taken.
    """
    if not load.answers:
        return data
    taken = bytes((Opcode.WRITTEN,)) * (load.answers - 1) + bytes((Opcode.COMMITTED,))
    if not data.startswith(taken):
        raise HostError("the device did not take the image")
    return data[len(taken) :]


def learning_phase(learn: bool) -> Script:
    """Return the command that weights which learn do so from the next CLEAR on, or do not."""
    return Script(bytes((Opcode.LEARN if learn else Opcode.REST,)), 0)


def read_words(data: bytes, script: Script, size: int) -> list[int]:
    """Return the words of ``size`` bytes in the replies to :func:`read_memory`.

    Raises :class:`HostError` where they are something else.
    """
    words, at = [], 0
    for length in script.read_sizes:
        if data[at : at + 1] != bytes((Opcode.DATA,)):
            raise HostError(f"{data[at : at + 1].hex() or 'nothing'} where DATA was due")
        at += 1
        words += [
            int.from_bytes(data[at + k : at + k + size], "little") for k in range(0, length, size)
        ]
        at += length
    return words


def read_info() -> Script:
    """Return the question which shape the device has."""
    return Script(bytes((Opcode.INFO,)), 1)


def read_memory(shape: DeviceShape, memory: int, addresses: range) -> Script:
    """Return READs of consecutive words of one memory."""
    parts = [addresses[at : at + MOST_WORDS] for at in range(0, len(addresses), MOST_WORDS)]
    size = shape.word_bytes(memory)
    return Script(
        b"".join(read_burst(memory, part.start, len(part)) for part in parts),
        len(parts),
        tuple(size * len(part) for part in parts),
    )


def report_fields(shape: DeviceShape) -> tuple[tuple[str, int], ...]:
    """Return name and bits of each field in a step's report, from the lowest bit up."""
    from ...hdl.layouts import done_layout

    return tuple((name, field.width) for name, field in done_layout(shape))


def report_bytes(shape: DeviceShape) -> int:
    """Return the bytes of a DONE."""
    return -(-sum(bits for _, bits in report_fields(shape)) // 8)


def decode_replies(
    data: bytes, samples: int, steps: int, shape: DeviceShape, read: Script = NOTHING
) -> Run:
    """Return the spikes and cycle counters a device sent for :func:`stimulus_to_commands`.

    Per sample: CLEARED, then for each step spikes, DONE, and the DATA of ``read``. Raises
    :class:`HostError` with the sample, the step and the byte where the answers depart from that.
    """
    fields = report_fields(shape)
    size = report_bytes(shape)
    long = shape.neurons > SHORT_SPIKE_NEURONS
    pattern = step_pattern(size, long, read.read_sizes)
    width = 3 if long else 2
    spikes: list[bytes] = []
    done: list[bytes] = []
    per_step: list[int] = []
    behind: list[bytes] = []
    at = 0
    for sample in range(samples):
        if data[at : at + 1] != bytes((Opcode.CLEARED,)):
            raise _departure(data, at, size, sample, None, "CLEARED")
        at += 1
        for step in range(steps):
            found = pattern.match(data, at)
            if found is None:
                raise _departure(data, at, size, sample, step, "a spike or DONE")
            behind += found.groups()[2:]
            spikes.append(found[1])
            done.append(found[2])
            per_step.append(len(found[1]) // width)
            at = found.end()
    if at != len(data):
        raise HostError(f"{len(data) - at} bytes too many after the last step, at byte {at}")
    frames = np.frombuffer(b"".join(spikes), np.uint8).reshape(-1, width).astype(np.int64)
    words = np.frombuffer(b"".join(done), np.uint8).reshape(samples, steps, size)
    values = _unpacked(words, fields)
    _check_steps(values["step"], 1 << shape.step_bits)
    counters = tuple(name for name, _ in fields if name != "step")
    where = np.repeat(np.arange(samples * steps), per_step)
    low, high = (1, 2) if long else (1, 0)
    return Run(
        samples=samples,
        steps=steps,
        sample=where // steps,
        step=where % steps,
        neuron=frames[:, low] | frames[:, high] << 8,
        cycles=np.stack([values[name] for name in counters], axis=-1),
        counters=counters,
        read=np.frombuffer(b"".join(behind), np.uint8).reshape(samples, steps, -1),
    )


def _unpacked(
    words: NDArray[np.uint8], fields: tuple[tuple[str, int], ...]
) -> dict[str, NDArray[np.int64]]:
    """Fields of words of bytes along the last axis."""
    bits = np.unpackbits(words, axis=-1, bitorder="little").astype(np.int64)
    values, at = {}, 0
    for name, width in fields:
        values[name] = bits[..., at : at + width] @ (1 << np.arange(width, dtype=np.int64))
        at += width
    return values


def _check_steps(said: NDArray[np.int64], modulus: int) -> None:
    """Refuse answers of other steps than those asked for: bytes were lost or invented."""
    wanted = np.arange(said.shape[1]) % modulus
    wrong = np.argwhere(said != wanted)
    if wrong.size:
        sample, step = (int(i) for i in wrong[0])
        raise HostError(
            f"sample {sample}, step {step}: the device answers for step {said[sample, step]}"
        )


def _departure(
    data: bytes, at: int, size: int, sample: int, step: int | None, wanted: str
) -> HostError:
    place = f"sample {sample}" + ("" if step is None else f", step {step}") + f", byte {at}"
    here = at
    while here < len(data) and data[here] < 0x80:
        here += 2
    if here >= len(data):
        return HostError(f"{place}: the answers end where {wanted} was due")
    if data[here] == Opcode.ERROR and here + 1 < len(data):
        return HostError(f"{place}: the device refused a command: {refusal(data[here + 1])}")
    if data[here] in set(Opcode) and may_grow(data[here:], size):
        return HostError(f"{place}: the answers end in the middle of a frame")
    return HostError(f"{place}: byte {data[here]:#04x} where {wanted} was due")
