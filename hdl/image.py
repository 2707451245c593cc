"""What a core is loaded with: rows, weights, neurons and classes of one network, checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .protocol import DIGEST_BYTES, Write
from .shape import CoreShape, Memory, NeuronClass, index_bits

Integers = NDArray[np.int64]


class ImageError(ValueError):
    """Contents that do not fit the shape; the message names the array, the place and the limit."""


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
        return cls.padded(shape)

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
        self._check("class_decay_v", 0, shape.decay_one)
        self._check("class_decay_u", 0, shape.decay_one if shape.cuba else 0)
        self._check("class_order_old", 0, 1 if shape.cuba else 0)
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
        for field in self.shape.fields(memory):
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


# Which array holds which field of which memory.
_FIELDS: Final[Mapping[Memory, Mapping[str, str]]] = {
    Memory.ROWS: {
        "start": "rows_start",
        "count": "rows_count",
        "target": "rows_target",
        "delay": "rows_delay",
    },
    Memory.SEGMENTS: {
        "start": "segment_start",
        "count": "segment_count",
        "target": "segment_target",
        "delay": "segment_delay",
    },
    Memory.WEIGHTS: {"weights": "weights", "target": "word_target", "delay": "word_delay"},
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
