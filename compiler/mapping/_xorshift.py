"""A generator of numbers in kernels: the same on every machine, whatever the version of numpy."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, inline="always")
def advance(state: Any) -> Any:
    """The next 64 bits of ``state`` (1,), never zero (Marsaglia 2003, xorshift 13, 7, 17)."""
    x = state[0]
    x ^= x << np.uint64(13)
    x ^= x >> np.uint64(7)
    x ^= x << np.uint64(17)
    state[0] = x
    return x
