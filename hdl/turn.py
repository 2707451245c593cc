"""Words of L lanes turned by a number of places, a cycle each: out[(n + s) mod L] = in[n].

Turning with choices takes ceil(log2 L) of them for every bit. A multiplier turns one bit of all
lanes at once: times 2^s moves them s places up, and those that leave the word above come in again
below. Devices have multipliers that a core of fixed leaks does not use, and choices are what they
are short of.
"""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value

from .learning import MULTIPLIER_BITS, Rotator, plane
from .shape import index_bits


def halves(lanes: int) -> int:
    """Multipliers for one bit of all lanes."""
    return 1 if lanes <= MULTIPLIER_BITS else 2


def swaps(number: Value, lanes: int) -> Value:
    """Whether turning by the places of a plane begins with the halves of a word swapped."""
    later = range(lanes // 2, lanes)
    return Cat(number == plane(n, lanes) for n in later).any()


class Turn:
    """By how many places a word is to be turned, up or down; at hand a cycle after ``number``.

    Parameters
    ----------
    number : of the plane (`plane`) whose places these are
    lanes, rotator : see `Learning`
    swapped : words come with their halves swapped where `swaps` says so
    """

    def __init__(
        self,
        m: Module,
        number: Value,
        lanes: int,
        rotator: Rotator,
        name: str,
        *,
        up: bool,
        swapped: bool = False,
    ) -> None:
        self._lanes, self._rotator, self._up = lanes, rotator, up
        self._halves, self._swapped = halves(lanes), swapped
        if rotator == "logic" or lanes == 1:
            places = {plane(n, lanes): n for n in range(lanes)}
            self._code = Signal(index_bits(lanes), name=name)
            table = Array(places.get(n, 0) for n in range(1 << len(self._code)))
            m.d.sync += self._code.eq(table[number])
            return
        hot = [number == plane(n if up else lanes - n, lanes) for n in range(lanes)]
        size = lanes // self._halves
        self._code = Signal(size, name=name)
        self._swap = Signal(name=f"{name}_swap")
        m.d.sync += self._code.eq(Cat(Cat(hot[n::size]).any() for n in range(size)))
        if self._halves == 2 and not swapped:
            m.d.sync += self._swap.eq(Cat(hot[size:]).any())

    def of(self, m: Module, lanes: Sequence[Value], name: str) -> list[Value]:
        """The lanes turned, in the cycle after they and the turn were there; all of one width."""
        if self._lanes == 1:
            held = Signal(len(lanes[0]), name=name)
            m.d.sync += held.eq(lanes[0])
            return [held]
        return (self._chosen if self._rotator == "logic" else self._multiplied)(m, lanes, name)

    def _chosen(self, m: Module, lanes: Sequence[Value], name: str) -> list[Value]:
        word = list(lanes)
        bits = len(self._code)
        for bit in range(bits):
            places = (1 << bit) * (1 if self._up else -1)
            choice: Value = self._code[bit]
            if bit >= (bits + 1) // 2:
                # The register lies in the middle.
                late = Signal(name=f"{name}_code_{bit}")
                m.d.sync += late.eq(choice)
                choice = late
            turned = [word[(n - places) % self._lanes] for n in range(self._lanes)]
            word = [Mux(choice, b, a) for a, b in zip(word, turned, strict=True)]
            if bit == (bits + 1) // 2 - 1:
                held = [Signal(len(lane), name=f"{name}_{n}") for n, lane in enumerate(word)]
                m.d.sync += [h.eq(lane) for h, lane in zip(held, word, strict=True)]
                word = list(held)
        return word

    def _multiplied(self, m: Module, lanes: Sequence[Value], name: str) -> list[Value]:
        size = len(self._code)
        swap = Signal(name=f"{name}_swap")
        if self._halves == 2 and not self._swapped:
            m.d.sync += swap.eq(self._swap)
        planes: list[list[Value]] = []
        for bit in range(len(lanes[0])):
            halves = []
            for at in range(0, self._lanes, size):
                product = Signal(2 * size, name=f"{name}_{bit}_{at}")
                m.d.sync += product.eq(
                    Cat(lane[bit] for lane in lanes[at : at + size]) * self._code
                )
                halves.append((product[:size], product[size:]))
            if len(halves) == 1:
                planes.append(list(halves[0][0] | halves[0][1]))
                continue
            (low, low_over), (high, high_over) = halves
            first, second = low | high_over, high | low_over
            planes.append(list(Mux(swap, Cat(second, first), Cat(first, second))))
        return [Cat(plane[n] for plane in planes) for n in range(self._lanes)]
