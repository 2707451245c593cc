"""The numbers of numpy's Mersenne twister, compared as they are made.

Which of :math:`N M` pairs a connector joins takes as many numbers, and hardly any of them is
needed: a pair is joined where :math:`u < p`, and u has 53 bits of which 27 nearly always decide.
Matsumoto and Nishimura, ACM Trans. Model. Comput. Simul. 8(1), 1998; u as in
``numpy.random.RandomState.random_sample``.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

_WORDS: Final = 624
_AHEAD: Final = 397


class Twister:
    """A copy of a generator, from where it is."""

    def __init__(self, generator: np.random.RandomState) -> None:
        _, key, position, *_ = generator.get_state(legacy=True)
        self._key = np.array(key, np.uint32)
        self._position = int(position)

    def below(self, p: float, count: int) -> npt.NDArray[np.int64]:
        """Which of the next ``count`` numbers are less than ``p``: ascending indices."""
        limit = min(ceil(p * 2.0**53), 1 << 53)  # exact: a power of two times a double
        high, low = limit >> 26, limit & ((1 << 26) - 1)
        most = count * min(p, 1.0)
        room = min(count, int(most + 12 * most**0.5) + 64)
        found = np.empty(room, np.int64)
        key = self._key.copy()
        n, position = _below(key, self._position, count, high, low, found)
        if n > room:  # far out in the tail, or p is no probability: once more, with room for all
            found = np.empty(n, np.int64)
            key = self._key.copy()
            n, position = _below(key, self._position, count, high, low, found)
        self._key, self._position = key, int(position)
        return found[:n]


@numba.njit(cache=True)
def _twist(key: Any) -> None:
    upper, lower, matrix = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)
    one = np.uint32(1)
    for k in range(_WORDS - _AHEAD):
        y = (key[k] & upper) | (key[k + 1] & lower)
        key[k] = key[k + _AHEAD] ^ (y >> one) ^ (matrix * (y & one))
    for k in range(_WORDS - _AHEAD, _WORDS - 1):
        y = (key[k] & upper) | (key[k + 1] & lower)
        key[k] = key[k + _AHEAD - _WORDS] ^ (y >> one) ^ (matrix * (y & one))
    y = (key[_WORDS - 1] & upper) | (key[0] & lower)
    key[_WORDS - 1] = key[_AHEAD - 1] ^ (y >> one) ^ (matrix * (y & one))


@numba.njit(cache=True)
def _temper(y: Any) -> Any:
    y = y ^ (y >> np.uint32(11))
    y = y ^ ((y << np.uint32(7)) & np.uint32(0x9D2C5680))
    y = y ^ ((y << np.uint32(15)) & np.uint32(0xEFC60000))
    return y ^ (y >> np.uint32(18))


@numba.njit(cache=True)
def _below(key: Any, position: int, count: int, high: int, low: int, found: Any) -> Any:
    """Fill ``found`` as far as it goes; how many there are, and where the generator is then."""
    first = np.empty(_WORDS // 2, np.int64)
    n = k = 0
    while k < count:
        if position == _WORDS:
            _twist(key)
            position = 0
        if position == _WORDS - 1:  # its two words lie on either side of a twist
            a = np.int64(_temper(key[position]) >> np.uint32(5))
            _twist(key)
            b = np.int64(_temper(key[0]) >> np.uint32(6))
            position = 1
            if a < high or (a == high and b < low):
                if n < found.size:
                    found[n] = k
                n += 1
            k += 1
            continue
        pairs = min((_WORDS - position) // 2, count - k)
        for i in range(pairs):
            first[i] = np.int64(_temper(key[position + 2 * i]) >> np.uint32(5))
        for i in range(pairs):
            if first[i] <= high:
                b = np.int64(_temper(key[position + 2 * i + 1]) >> np.uint32(6))
                if first[i] < high or b < low:
                    if n < found.size:
                        found[n] = k + i
                    n += 1
        position += 2 * pairs
        k += pairs
    return n, position
