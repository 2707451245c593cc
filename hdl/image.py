"""What a core is loaded with: rows, weights, neurons and classes of one network, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .learning import Learning, plane
from .protocol import DIGEST_BYTES, Write
from .shape import CoreShape, Memory, NeuronClass, index_bits

Integers = NDArray[np.int64]


class ImageError(ValueError):
    """Contents that do not fit the shape; the message names the array, the place and the limit."""


_RECOVERY = ("class_curve", "class_couple", "class_rate", "class_jump", "class_again")


@dataclass(frozen=True, eq=False)
class CoreImage:
    """Contents of all configuration memories of one core, at full capacity.

    With R rows (inputs, then neurons), N neurons in words of U units, W words of L lanes, S
    segments and C classes:

    rows_start, rows_count      (R,)    words (or segments) start .. start + count - 1 of a source
    rows_target, rows_delay     (R,)    addressing by row: group and steps of its first word; with
                                        segments what is added to their groups, and 0
    segment_start, segment_count, segment_target, segment_delay
                                (S,)    words of a segment; group of the first, and steps
    weights                     (W, L)  signed weights of a word
    word_target, word_delay     (W, L)  addressing by lane: group and steps of each weight;
                                        by word: the same in all lanes; else 0
    neuron_class                (N/U,)  index into the class arrays
    bias, first_bias            (N,)    added each step; first_bias instead at t == start
    class_*                     (C,)    see `CoreShape` for the equations; those of a fixed class
                                        are the shape's
    enable                      (W, L)  which weights learn

    Arrays are copied, made int64 and read-only. `CoreImage.padded` fills up shorter ones.
    Raises `ImageError` if an array has another shape or a value does not fit.
    """

    shape: CoreShape
    rows_start: Integers
    rows_count: Integers
    rows_target: Integers
    rows_delay: Integers
    segment_start: Integers
    segment_count: Integers
    segment_target: Integers
    segment_delay: Integers
    weights: Integers
    word_target: Integers
    word_delay: Integers
    neuron_class: Integers
    bias: Integers
    first_bias: Integers
    class_decay_v: Integers
    class_decay_u: Integers
    class_shift: Integers
    class_threshold: Integers
    class_v_reset: Integers
    class_v_min: Integers
    class_reset: Integers
    class_order_old: Integers
    class_refractory: Integers
    class_start: Integers
    class_emit: Integers
    enable: Integers
    class_adapt_inc: Integers
    class_adapt_shift: Integers
    class_adapt_timer: Integers
    class_adapt_phase: Integers
    class_leak: Integers
    class_v_leak: Integers
    class_curve: Integers
    class_couple: Integers
    class_rate: Integers
    class_jump: Integers
    class_again: Integers

    def __post_init__(self) -> None:
        for name, size in _sizes(self.shape).items():
            array = _whole_numbers(name, getattr(self, name))
            if array.shape != size:
                raise ImageError(f"{name} must have shape {size}, not {array.shape}")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        self._check_values()

    @classmethod
    def padded(cls, shape: CoreShape, **arrays: ArrayLike) -> Self:
        """An image whose arrays are filled up with zeros to the capacity of ``shape``.

        Arrays left out are zero: empty rows, and classes that decay to nothing and never spike.
        ``word_target`` and ``word_delay`` may be (W,): the same for all lanes. Raises `ImageError`
        for an unknown name or an array longer than the capacity.
        """
        sizes = _sizes(shape)
        unknown = arrays.keys() - sizes.keys()
        if unknown:
            raise ImageError(f"an image has no {', '.join(sorted(unknown))}")
        full: dict[str, Any] = {}
        for name, size in sizes.items():
            part = _whole_numbers(name, arrays.get(name, np.zeros((0, *size[1:]), np.int64)))
            if name in ("word_target", "word_delay") and part.ndim == 1:
                part = np.repeat(part[:, None], shape.lanes, axis=1)
            if part.ndim != len(size) or part.shape[0] > size[0] or part.shape[1:] != size[1:]:
                raise ImageError(f"{name} has shape {part.shape}, the capacity is {size}")
            full[name] = np.zeros(size, np.int64)
            full[name][: part.shape[0]] = part
            if name.startswith("class_") and name not in arrays:
                full[name][:] = getattr(shape.fixed, name.removeprefix("class_")) or 0
        return cls(shape=shape, **full)

    @classmethod
    def empty(cls, shape: CoreShape) -> Self:
        """An image that does nothing: no fan-out, and neurons that never spike."""
        return cls.padded(shape, **plastic_rows(shape))

    def _check_values(self) -> None:
        shape = self.shape
        for memory, names in _FIELDS.items():
            for field in shape.fields(memory):
                if field.name in names:
                    self._check(names[field.name], field.minimum, field.maximum)
        by_row = shape.addressing == "row"
        for name, there in (
            ("rows_target", by_row),
            ("rows_delay", by_row and not shape.segments),
            ("segment_target", bool(shape.segments)),
            ("segment_delay", bool(shape.segments)),
            ("word_target", not by_row),
            ("word_delay", not by_row),
        ):
            limit = shape.delays if name.endswith("delay") else shape.groups
            self._check(name, 0, limit - 1 if there else 0)
        self._check("neuron_class", 0, shape.classes - 1)
        if not shape.quadratic:
            self._check("class_decay_v", 0, shape.decay_one)
            for name in _RECOVERY:
                self._check(name, 0, 0)
        else:
            self._check("class_again", 0, shape.quadratic - 1)
        self._check("class_decay_u", 0, shape.decay_one if shape.cuba else 0)
        self._check("class_order_old", 0, 1 if shape.cuba else 0)
        self._check("class_leak", 0, shape.state_max if shape.linear else 0)
        self._check(
            "class_v_leak", *((shape.state_min, shape.state_max) if shape.linear else (0, 0))
        )
        self._check("class_adapt_inc", 0, shape.state_max if shape.adaptive else 0)
        self._check("class_adapt_shift", 0, shape.state_bits if shape.timers else 0)
        self._check("class_adapt_timer", 0, len(shape.timers or (0,)) - 1)
        self._check("class_adapt_phase", 0, max(shape.timers or (0,)))
        if not shape.bias:
            self._check("bias", 0, 0)
        if not shape.first_bias:
            self._check("first_bias", 0, 0)
        for name in _FIELDS[Memory.CLASSES]:
            value = getattr(shape.fixed, name)
            if value is not None:
                self._check(f"class_{name}", value, value)
        if shape.addressing == "word":
            for name in ("word_target", "word_delay"):
                array = getattr(self, name)
                wrong = np.argwhere(array != array[:, :1])
                if wrong.size:
                    raise ImageError(f"{name}[{wrong[0][0]}] must be the same in all lanes")
        self._check_runs("row", "segments" if shape.segments else "words")
        self._check_runs("segment", "words")
        if shape.learning is not None:
            self._check_learning(shape.learning)
        else:
            self._check("enable", 0, 0)

    def _check_runs(self, kind: str, parts: str) -> None:
        """Runs end within what they consist of, and within the groups."""
        shape = self.shape
        name = "rows" if kind == "row" else kind
        start: Integers = getattr(self, f"{name}_start")
        count: Integers = getattr(self, f"{name}_count")
        limit = int(getattr(shape, parts))
        outside = np.flatnonzero((count > 0) & (start + count > limit))
        if outside.size:
            at = int(outside[0])
            raise ImageError(
                f"{kind} {at} needs {parts} {start[at]} .. {start[at] + count[at] - 1} of {limit}"
            )
        if shape.addressing != "row" or (kind == "row" and shape.segments):
            return
        target: Integers = getattr(self, f"{name}_target")
        outside = np.flatnonzero((count > 0) & (target + count > shape.groups))
        if outside.size:
            at = int(outside[0])
            raise ImageError(
                f"{kind} {at} goes to groups {target[at]} .. {target[at] + count[at] - 1} "
                f"of {shape.groups}"
            )

    def _check_learning(self, learning: Learning) -> None:
        """Plastic rows lie where `Learning` says, and nothing else learns."""
        shape = self.shape
        plastic = np.flatnonzero(self.rows_plastic)
        theirs = plastic_places(learning, shape.lanes, shape.words)
        for name, wanted in (
            ("rows_start", theirs[:, 0]),
            ("rows_count", learning.groups),
            ("rows_target", learning.first_group),
        ):
            wrong = np.flatnonzero(getattr(self, name)[plastic] != wanted)
            if wrong.size:
                at = int(plastic[wrong[0]])
                raise ImageError(f"{name}[{at}] is not where a plastic row has it")
        others = np.ones(shape.words, bool)
        others[theirs] = False
        if self.enable[others].any():
            at = int(np.flatnonzero(others & self.enable.any(axis=1))[0])
            raise ImageError(f"word {at} learns, but no plastic row has it")
        planes = self.rows_start // shape.plane_words
        crossing = (self.rows_count > 0) & (
            planes != (self.rows_start + self.rows_count - 1) // shape.plane_words
        )
        if crossing.any():
            raise ImageError(f"row {int(np.argmax(crossing))} goes from one plane to the next")

    @property
    def rows_plastic(self) -> Integers:
        """(R,) whether a source is a row of the plastic projection."""
        rows = np.zeros(self.shape.sources, np.int64)
        if (learning := self.shape.learning) is not None:
            rows[learning.first_row : learning.first_row + learning.rows] = 1
        return rows

    def _row_numbers(self) -> Integers:
        """(R,) number of a row of the plastic projection, 0 for others."""
        numbers = np.zeros(self.shape.sources, np.int64)
        if (learning := self.shape.learning) is not None:
            first = learning.first_row
            numbers[first : first + learning.rows] = np.arange(learning.rows)
        return numbers

    @property
    def rows_block(self) -> Integers:
        """(R,) block of L rows that a plastic row belongs to."""
        return self._row_numbers() // self.shape.lanes

    @property
    def rows_lane(self) -> Integers:
        """(R,) number of a plastic row in its block."""
        return self._row_numbers() % self.shape.lanes

    @property
    def _turns(self) -> Integers:
        """(W, 1) by how many places the words of each plane are turned, see `Learning`."""
        shape = self.shape
        planes = [plane(n, shape.lanes) for n in range(shape.planes)]
        turns = np.empty(shape.planes, np.int64)
        turns[planes] = np.arange(shape.planes)
        return np.repeat(turns, shape.plane_words)[:, None]

    def to_banks(self, lanes: Integers) -> Integers:
        """(W, L) by bank what ``lanes`` has by lane."""
        places = (np.arange(self.shape.lanes) - self._turns) % self.shape.lanes
        return np.take_along_axis(lanes, places, axis=1)

    def to_lanes(self, banks: Integers) -> Integers:
        """(W, L) by lane what ``banks`` has by bank."""
        places = (np.arange(self.shape.lanes) + self._turns) % self.shape.lanes
        return np.take_along_axis(banks, places, axis=1)

    def _check(self, name: str, low: int, high: int) -> None:
        array: Integers = getattr(self, name)
        wrong = np.argwhere((array < low) | (array > high))
        if wrong.size:
            place = tuple(int(at) for at in wrong[0])
            where = ", ".join(str(at) for at in place)
            raise ImageError(f"{name}[{where}] is {array[place]}, the core takes {low}..{high}")

    def pack(self, memory: Memory) -> tuple[int, ...]:
        """Words of one memory as unsigned integers; zeros for state, () if there is none."""
        if memory is Memory.DIGEST:
            return (int.from_bytes(self.digest, "little"),)
        depth = self.shape.rows(memory)
        names = _FIELDS.get(memory)
        if names is None or not depth:
            return (0,) * depth
        words = np.zeros(depth, dtype=object)
        offset = 0
        if memory is Memory.WEIGHTS and self.shape.learning is not None:
            weights, enable = self.to_banks(self.weights), self.to_banks(self.enable)
            bits = self.shape.weight_bits
            whole = weights & ((1 << bits) - 1) | enable << bits
            for lane in whole.T:
                words |= lane.astype(object) << offset
                offset += bits + 1
            return tuple(int(word) for word in words)
        for field in self.shape.fields(memory):
            if field.name == "parity":
                words = np.array(
                    [word | (word.bit_count() & 1) << offset for word in words], object
                )
                continue
            values: Integers = getattr(self, names[field.name])
            mask = (1 << field.width) - 1
            for lane in values.reshape(depth, -1).T[: field.lanes or 1]:
                words |= (lane & mask).astype(object) << offset
                offset += field.width
        return tuple(int(word) for word in words)

    @cached_property
    def digest(self) -> bytes:
        """Eight bytes that name shape and contents; equal images have equal digests."""
        state = hashlib.sha256(repr(self.shape).encode())
        for name in _sizes(self.shape):
            if name.startswith("class_adapt") and not self.shape.adaptive:
                continue
            if name in ("class_leak", "class_v_leak") and not self.shape.linear:
                continue
            if name in _RECOVERY and not self.shape.quadratic:
                continue
            state.update(getattr(self, name).astype("<i8").tobytes())
        return state.digest()[:DIGEST_BYTES]

    def frames(self) -> Iterator[Write]:
        """The WRITE frames that load this image into any device of its shape, digest last.

        Every configuration word is written, so what was there before does not matter. State is
        not touched: send CLEAR as well.
        """
        for memory in self.shape.memories:
            if memory not in _FIELDS and memory is not Memory.DIGEST:
                continue
            size, bits = self.shape.word_bytes(memory), self.shape.word_bits(memory)
            parts = self.shape.parts(memory)
            step = 1 << index_bits(parts)
            for row, word in enumerate(self.pack(memory)):
                for part in range(parts):
                    value = (word >> part * bits) & ((1 << bits) - 1)
                    yield Write(memory, row * step + part, value.to_bytes(size, "little"))


def plastic_places(learning: Learning, lanes: int, words: int) -> Integers:
    """(K, W) the word of each row of the plastic projection for each group, see `Learning`."""
    first = [learning.word(k, lanes, words) for k in range(learning.rows)]
    return np.array(first, np.int64)[:, None] + np.arange(learning.groups)


def plastic_rows(shape: CoreShape) -> dict[str, Integers]:
    """``rows_start``, ``rows_count`` and ``rows_target`` of the plastic rows; all others are empty.

    Nothing where nothing learns.
    """
    learning = shape.learning
    if learning is None:
        return {}
    rows = {name: np.zeros(shape.sources, np.int64) for name in ("start", "count", "target")}
    there = slice(learning.first_row, learning.first_row + learning.rows)
    rows["start"][there] = plastic_places(learning, shape.lanes, shape.words)[:, 0]
    rows["count"][there] = learning.groups
    rows["target"][there] = learning.first_group
    return {f"rows_{name}": values for name, values in rows.items()}


# Which array holds which field of which memory.
_FIELDS: Final[Mapping[Memory, Mapping[str, str]]] = {
    Memory.ROWS: {
        "start": "rows_start",
        "count": "rows_count",
        "target": "rows_target",
        "delay": "rows_delay",
        "plastic": "rows_plastic",
        "block": "rows_block",
        "lane": "rows_lane",
    },
    Memory.SEGMENTS: {
        "start": "segment_start",
        "count": "segment_count",
        "target": "segment_target",
        "delay": "segment_delay",
    },
    Memory.WEIGHTS: {
        "weights": "weights",
        "target": "word_target",
        "delay": "word_delay",
        "enable": "enable",
    },
    Memory.NEURONS: {"class_id": "neuron_class", "bias": "bias"},
    Memory.FIRST_BIAS: {"first_bias": "first_bias"},
    Memory.CLASSES: {field.name: f"class_{field.name}" for field in fields(NeuronClass)},
}


def _sizes(shape: CoreShape) -> dict[str, tuple[int, ...]]:
    words = (shape.words, shape.lanes)
    sizes: dict[str, tuple[int, ...]] = {
        "weights": words,
        "word_target": words,
        "word_delay": words,
        "enable": words,
        "neuron_class": (shape.neurons // shape.units,),
        "bias": (shape.neurons,),
        "first_bias": (shape.neurons,),
    }
    for name in (field.name for field in fields(CoreImage)):
        match name.split("_")[0]:
            case "rows":
                sizes[name] = (shape.sources,)
            case "segment":
                sizes[name] = (shape.segments,)
            case "class":
                sizes[name] = (shape.classes,)
    return sizes


def _whole_numbers(name: str, values: ArrayLike) -> Integers:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iub":
        raise ImageError(f"{name} must hold whole numbers, not {array.dtype}")
    return np.array(array, dtype=np.int64)


def contents(
    shape: CoreShape, image: CoreImage | None, digest: bytes | None
) -> tuple[CoreImage, bytes]:
    """What a core of ``shape`` starts with: the image or an empty one, and its identity.

    Raises `ImageError` if the image is of another shape or the digest has not 8 bytes.
    """
    if image is None:
        image = CoreImage.empty(shape)
    if image.shape != shape:
        raise ImageError(f"the image is made for {image.shape}, not for {shape}")
    if digest is None:
        digest = image.digest
    if len(digest) != DIGEST_BYTES:
        raise ImageError(f"a digest has {DIGEST_BYTES} bytes, not {len(digest)}")
    return image, digest


def unpack(shape: CoreShape, memory: Memory, word: int) -> dict[str, int | Sequence[int]]:
    """Fields of one memory word: ``{name: value}``, a tuple of values for lanes."""
    values: dict[str, int | Sequence[int]] = {}
    offset = 0
    for field in shape.fields(memory):
        elements = []
        for _ in range(1 if field.lanes is None else field.lanes):
            raw = (word >> offset) & ((1 << field.width) - 1)
            negative = field.signed and raw > field.maximum
            elements.append(raw - (1 << field.width) if negative else raw)
            offset += field.width
        values[field.name] = elements[0] if field.lanes is None else tuple(elements)
    return values
