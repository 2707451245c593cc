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
from .shape import CoreShape, Memory

Integers = NDArray[np.int64]


class ImageError(ValueError):
    """Contents that do not fit the shape; the message names the array, the place and the limit."""


@dataclass(frozen=True, eq=False)
class CoreImage:
    """Contents of all configuration memories of one core, at full capacity.

    With N neurons, M inputs, W words, L lanes and C classes:

    rows_start, rows_count  (M + N,)  words of a source are start .. start + count - 1
    weights                 (W, L)    signed weights of a word
    word_target             (W,)      accumulator group: neurons target*L .. target*L + L-1
    word_delay              (W,)      extra steps, 0..pages-1
    neuron_class            (N,)      index into the class arrays
    bias, first_bias        (N,)      added each step; first_bias instead at t == start
    class_*                 (C,)      see `CoreShape` for the equations
    active_neurons                    neurons swept each step, 0..N

    Arrays are copied, made int64 and read-only. `CoreImage.padded` fills up shorter ones.
    Raises `ImageError` if an array has another shape or a value does not fit.
    """

    shape: CoreShape
    rows_start: Integers
    rows_count: Integers
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
    active_neurons: int

    def __post_init__(self) -> None:
        for name, size in _sizes(self.shape).items():
            array = _whole_numbers(name, getattr(self, name))
            if array.shape != size:
                raise ImageError(f"{name} must have shape {size}, not {array.shape}")
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if not 0 <= self.active_neurons <= self.shape.neurons:
            raise ImageError(
                f"active_neurons must be 0..{self.shape.neurons}, not {self.active_neurons}"
            )
        self._check_values()

    @classmethod
    def padded(cls, shape: CoreShape, *, active_neurons: int = 0, **arrays: ArrayLike) -> Self:
        """An image whose arrays are filled up with zeros to the capacity of ``shape``.

        Arrays left out are zero: empty rows, and classes that decay to nothing and never spike.
        Raises `ImageError` for an unknown name or an array longer than the capacity.
        """
        sizes = _sizes(shape)
        unknown = arrays.keys() - sizes.keys()
        if unknown:
            raise ImageError(f"an image has no {', '.join(sorted(unknown))}")
        full: dict[str, Any] = {}
        for name, size in sizes.items():
            part = _whole_numbers(name, arrays.get(name, np.zeros((0, *size[1:]), np.int64)))
            if part.ndim != len(size) or part.shape[0] > size[0] or part.shape[1:] != size[1:]:
                raise ImageError(f"{name} has shape {part.shape}, the capacity is {size}")
            full[name] = np.zeros(size, np.int64)
            full[name][: part.shape[0]] = part
        return cls(shape=shape, active_neurons=active_neurons, **full)

    @classmethod
    def empty(cls, shape: CoreShape) -> Self:
        """An image that does nothing: no fan-out, no active neurons."""
        return cls.padded(shape)

    def _check_values(self) -> None:
        shape = self.shape
        for memory, names in _FIELDS.items():
            for field in shape.fields(memory):
                if field.name in names:
                    self._check(names[field.name], field.minimum, field.maximum)
        self._check("word_target", 0, shape.groups - 1)
        self._check("neuron_class", 0, shape.classes - 1)
        self._check("class_decay_v", 0, shape.decay_one)
        self._check("class_decay_u", 0, shape.decay_one if shape.cuba else 0)
        self._check("class_order_old", 0, 1 if shape.cuba else 0)
        if not shape.first_bias:
            self._check("first_bias", 0, 0)
        outside = np.flatnonzero(
            (self.rows_count > 0) & (self.rows_start + self.rows_count > shape.words)
        )
        if outside.size:
            row = int(outside[0])
            raise ImageError(
                f"row {row} needs words {self.rows_start[row]} .. "
                f"{self.rows_start[row] + self.rows_count[row] - 1} of {shape.words}"
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
        if memory is Memory.ACTIVE_NEURONS:
            return (self.active_neurons,)
        if memory is Memory.DIGEST:
            return (int.from_bytes(self.digest, "little"),)
        depth = self.shape.depth(memory)
        names = _FIELDS.get(memory)
        if names is None or not depth:
            return (0,) * depth
        words = np.zeros(depth, dtype=object)
        offset = 0
        for field in self.shape.fields(memory):
            values: Integers = getattr(self, names[field.name])
            mask = (1 << field.width) - 1
            for lane in values.reshape(depth, -1).T:
                words |= (lane & mask).astype(object) << offset
                offset += field.width
        return tuple(int(word) for word in words)

    @cached_property
    def digest(self) -> bytes:
        """Eight bytes that name shape and contents; equal images have equal digests."""
        state = hashlib.sha256(repr(self.shape).encode())
        for name in _sizes(self.shape):
            state.update(getattr(self, name).astype("<i8").tobytes())
        state.update(self.active_neurons.to_bytes(4, "little"))
        return state.digest()[:DIGEST_BYTES]

    def frames(self) -> Iterator[Write]:
        """The WRITE frames that load this image into any device of its shape, digest last.

        Every configuration word is written, so what was there before does not matter. State is
        not touched: send CLEAR as well.
        """
        for memory in self.shape.memories:
            if memory not in _FIELDS and memory not in (Memory.ACTIVE_NEURONS, Memory.DIGEST):
                continue
            size = self.shape.word_bytes(memory)
            for address, word in enumerate(self.pack(memory)):
                yield Write(memory, address, word.to_bytes(size, "little"))


# Which array holds which field of which memory.
_FIELDS: Final[Mapping[Memory, Mapping[str, str]]] = {
    Memory.ROWS: {"start": "rows_start", "count": "rows_count"},
    Memory.WEIGHTS: {"weights": "weights", "target": "word_target", "delay": "word_delay"},
    Memory.NEURONS: {"class_id": "neuron_class", "bias": "bias"},
    Memory.FIRST_BIAS: {"first_bias": "first_bias"},
    Memory.CLASSES: {
        name: f"class_{name}"
        for name in (
            "decay_v",
            "decay_u",
            "shift",
            "threshold",
            "v_reset",
            "v_min",
            "reset",
            "order_old",
            "refractory",
            "start",
            "emit",
        )
    },
}


def _sizes(shape: CoreShape) -> dict[str, tuple[int, ...]]:
    rows, neurons, classes = (shape.sources,), (shape.neurons,), (shape.classes,)
    return {
        "rows_start": rows,
        "rows_count": rows,
        "weights": (shape.words, shape.lanes),
        "word_target": (shape.words,),
        "word_delay": (shape.words,),
        "neuron_class": neurons,
        "bias": neurons,
        "first_bias": neurons,
    } | {field.name: classes for field in fields(CoreImage) if field.name.startswith("class_")}


def _whole_numbers(name: str, values: ArrayLike) -> Integers:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iub":
        raise ImageError(f"{name} must hold whole numbers, not {array.dtype}")
    return np.array(array, dtype=np.int64)


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
