"""Value semantics for frozen dataclasses that hold numpy arrays."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np


def same(a: Any, b: Any) -> bool:
    """Whether two field values are equal: arrays in dtype, shape and every bit."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return (
            isinstance(a, np.ndarray)
            and isinstance(b, np.ndarray)
            and a.dtype == b.dtype
            and a.shape == b.shape
            and a.tobytes() == b.tobytes()
        )
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and bool(a == b)


class Record:
    """Base of frozen dataclasses declared with ``eq=False``: equality by ``same`` of each field."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            same(getattr(self, f.name), getattr(other, f.name))
            for f in fields(self)  # type: ignore[arg-type]  # subclasses are dataclasses
        )

    def __hash__(self) -> int:
        return hash(type(self))


def frozen_array(value: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """A C-contiguous read-only copy of ``value`` (a view when it already is one)."""
    array = np.asarray(value, dtype=dtype)
    if array.flags.writeable or not array.flags.c_contiguous:
        array = np.array(array, dtype=dtype, order="C", copy=True)
        array.flags.writeable = False
    return array
