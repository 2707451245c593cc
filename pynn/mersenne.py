"""The numbers of numpy's Mersenne twister, used as they are made.

Connectors take :math:`N M` numbers for N pre and M post cells, and hardly any of them is needed.
Where a pair is joined if :math:`u < p`, u has 53 bits of which 27 nearly always decide. Where n
cells of N are chosen, they are the first of a permutation, whose N exchanges mostly pass them by.
Matsumoto and Nishimura, ACM Trans. Model. Comput. Simul. 8(1), 1998; u as in
``numpy.random.RandomState.random_sample``, permutations as in its ``permutation``.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from .lanes import COMPACTS, LANES, compact, ones, within

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

    def firsts(
        self, size: int, counts: npt.NDArray[np.int64], in_lanes: bool = COMPACTS
    ) -> npt.NDArray[np.int32]:
        r"""The first ``counts[c]`` entries of a permutation of 0 to ``size`` - 1, for each c.

        .. math:: x_i \leftrightarrow x_j, \quad j \sim U\{0, \dots, i\}, \quad i = N-1, \dots, 1

        from :math:`x_k = k`; j is the low bits of a word, as many as i has, or of the first word
        thereafter where they are no more than i. ``counts`` (M,) are at most ``size``; no number is
        drawn for a count of 0. The entries stand one permutation after another. With ``in_lanes``,
        which not every processor can do, 32 words are compared together. Durstenfeld, Commun. ACM
        7(7), 1964, Algorithm 235.
        """
        found = np.empty(int(counts.sum()), np.int32)
        places = 1 << (size - 1).bit_length()  # one for every j, rejected or not
        narrow = places <= 1 << 16
        # Small, so that it stays close to the processor.
        entry = np.empty(places, np.uint16 if narrow else np.uint32)
        key = self._key.copy()
        kernel = _firsts_in_lanes if narrow and in_lanes else _firsts
        self._position = int(kernel(key, self._position, size, counts, entry, found))
        self._key = key
        return found

    def leave(self, generator: np.random.RandomState) -> None:
        """Let a generator go on from where this copy is."""
        name, _, _, *normal = generator.get_state(legacy=True)
        generator.set_state((name, self._key, self._position, *normal))


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
def _block(key: Any, words: Any) -> None:
    """Go on to the next numbers, and have them in ``words``."""
    _twist(key)
    for k in range(_WORDS):
        words[k] = _temper(key[k])


@numba.njit(cache=True)
def _below(key: Any, position: int, count: int, high: int, low: int, found: Any) -> Any:
    """Fill ``found`` as far as it goes; how many there are, and where the generator is then."""
    words = _temper(key)
    limit = np.uint32(min((high << 5) | 31, 0xFFFFFFFF))
    near = np.empty(_WORDS // 2 + 1, np.int32)
    n = k = 0
    while k < count:
        if position == _WORDS:
            _block(key, words)
            position = 0
        if position == _WORDS - 1:  # its two words lie on either side of a twist
            a = words[position]
            _block(key, words)
            position = 1
            if _less(a, words[0], high, low):
                if n < found.size:
                    found[n] = k
                n += 1
            k += 1
            continue
        pairs = min((_WORDS - position) // 2, count - k)
        m, at, two = np.uint64(0), np.uint64(position), np.uint64(2)
        # Without a branch, which could not be foretold, or signs, for which indices are tested.
        for i in range(pairs):
            near[m] = i
            m += np.uint64(words[at] <= limit)
            at += two
        for i in near[:m]:
            if _less(words[position + 2 * i], words[position + 2 * i + 1], high, low):
                if n < found.size:
                    found[n] = k + i
                n += 1
        position += 2 * pairs
        k += pairs
    return n, position


@numba.njit(cache=True)
def _less(a: Any, b: Any, high: int, low: int) -> Any:
    """Whether the number of two words is less than the limit of 27 and 26 bits."""
    upper = np.int64(a >> np.uint32(5))
    return upper < high or (upper == high and np.int64(b >> np.uint32(6)) < low)


@numba.njit(cache=True)
def _firsts(key: Any, position: int, size: int, counts: Any, entry: Any, found: Any) -> Any:
    """Fill ``found``; where the generator is then."""
    words = _temper(key)
    one = np.uint64(1)
    n = 0
    for count in counts:
        if count == 0:
            continue
        for k in range(size):
            entry[k] = k
        i: Any = size - 1
        while i > 0:
            mask, last = _range(i)
            above = i >= count
            if above and last < count:
                last = count
            while i >= last:
                if position == _WORDS:
                    _block(key, words)
                    position = 0
                end = position + min(_WORDS - position, i - last + 1)
                if above:
                    # Nobody reads what is at i or beyond any more: not x_j, nor what a rejected j
                    # has overwritten. So there is no branch that could not be foretold. Without
                    # signs, what is left falls by the carry of a comparison.
                    left: Any = np.uint64(i + 1)
                    for k in range(np.uint64(position), np.uint64(end)):
                        j = np.uint64(words[k]) & np.uint64(mask)
                        entry[j] = entry[left - one]
                        left -= np.uint64(j < left)
                    i = np.int64(left) - 1
                else:
                    for k in range(position, end):
                        j = np.int64(words[k]) & mask
                        to = min(j, i)  # a rejected one changes nothing
                        entry[i], entry[to] = entry[to], entry[i]
                        i -= j <= i
                position = end
        for k in range(count):
            found[n + k] = entry[k]
        n += count
    return position


@numba.njit(cache=True)
def _firsts_in_lanes(
    key: Any, position: int, size: int, counts: Any, entry: Any, found: Any
) -> Any:
    """As `_firsts`, for no more than 2^16 cells: first all j of a permutation, then its exchanges.

    All of 32 words are compared with the i of the first. That is wrong only for a word less than 32
    below it, which some words before may have made too large: of these it is known how many.
    """
    words = np.zeros(_WORDS + LANES, np.uint16)
    for k in range(_WORDS):
        words[k] = _temper(key[k])
    chosen = np.empty(size + LANES, np.uint16)  # j by i, from the largest i on
    one, every = np.uint64(1), np.uint64((1 << LANES) - 1)
    n = 0
    for count in counts:
        if count == 0:
            continue
        i: Any = size - 1
        while i > 0:
            mask, last = _range(i)
            low = np.uint16(mask)
            while i >= last:
                if position == _WORDS:
                    _block(key, words)
                    position = 0
                steps = min(LANES, _WORDS - position, i - last + 1)
                some = every >> np.uint64(LANES - steps)
                top = np.uint16(i)
                taken = within(words, position, low, top, top) & some
                near = within(words, position, low, top, np.uint16(LANES - 1)) & some
                while near != np.uint64(0):
                    before = (near & (~near + one)) - one
                    j = np.int64(words[position + np.int64(ones(before))]) & mask
                    if i - j < np.int64(ones(taken & before)):
                        taken &= ~(before + one)
                    near &= near - one
                compact(words, position, low, taken, chosen, size - 1 - i)
                i -= np.int64(ones(taken))
                position += steps
        for k in range(size):
            entry[k] = k
        for k in range(np.uint64(size - count)):
            entry[np.uint64(chosen[k])] = entry[np.uint64(size - 1) - k]  # x_j is not needed again
        for i in range(count - 1, 0, -1):
            j = chosen[size - 1 - i]
            entry[i], entry[j] = entry[j], entry[i]
        for k in range(count):
            found[n + k] = entry[k]
        n += count
    return position


@numba.njit(cache=True)
def _range(i: int) -> Any:
    """The bits that i has, and the least number that has as many."""
    bits = 1
    while i >> bits:
        bits += 1
    return (1 << bits) - 1, 1 << (bits - 1)
