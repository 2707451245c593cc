"""Value semantics for frozen dataclasses that hold numpy arrays."""

from __future__ import annotations

from dataclasses import Field, field, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt


def same(a: Any, b: Any) -> bool:
    """Whether two field values are equal: arrays in dtype, shape and every bit, floats in every
    digit and in the sign of zero; a NaN equals a NaN.
    """
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray)
            and isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and a.tobytes() == b.tobytes()
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return a.hex() == float.hex(b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return bool(a == b)


class Record:
    """Base of frozen dataclasses declared with ``eq=False``: equality by ``same`` of each field.

    Scalars of numpy become those of Python and lists become tuples, so that equality, text and
    digests do not depend on where a number came from.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.generic | list | tuple):
                object.__setattr__(self, f.name, plain(value))

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        values = (getattr(self, f.name) for f in fields(self))
        return hash((type(self), *(value for value in values if isinstance(value, str | int))))


def omitted(default: Any, **facts: Any) -> Any:
    """A field that the canonical text leaves out where it has its default.

    For fields that a format gained after its first release: the texts and digests of graphs that
    do not use them stay what they were. ``facts`` are more of its metadata.
    """
    return field(default=default, metadata={"omitted": True, **facts})


def written(record: Record) -> list[Field[Any]]:
    """The fields that the canonical text of ``record`` has."""
    return [
        f
        for f in fields(record)
        if "omitted" not in f.metadata or not same(getattr(record, f.name), f.default)
    ]


def plain(value: Any) -> Any:
    """``value`` with numpy scalars as Python's and lists as tuples."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        return tuple(plain(item) for item in value)
    return value


def frozen_array(value: Any, dtype: npt.DTypeLike = None) -> npt.NDArray[Any]:
    """A C-contiguous read-only copy of ``value``; ``value`` itself when nothing can write to it."""
    array = np.asarray(value, dtype=dtype)
    if not (array.flags.c_contiguous and _immutable(array)):
        array = np.array(array, dtype=dtype, order="C", copy=True)
        array.flags.writeable = False
    return array


def _immutable(array: npt.NDArray[Any]) -> bool:
    owner: object = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return owner is None or isinstance(owner, bytes)


def frozen_values(value: Any) -> npt.NDArray[Any]:
    """A read-only copy as int64 where ``value`` holds integers or booleans, else as float64."""
    array = np.asarray(value)
    return frozen_array(array, np.int64 if array.dtype.kind in "bui" else np.float64)
