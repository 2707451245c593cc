"""CRC-32 of bytes, half a byte a cycle: a whole one a cycle takes more than twice the logic."""

from __future__ import annotations

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .framing import CRC_POLYNOMIAL, CRC_RESIDUE, CRC_START

_BITS = 4


def crc_step(crc: Value, bits: Value) -> Value:
    """The register after 4 bits: ``crc' = (crc >> 4) + table[(crc + bits) mod 16]`` over GF(2)."""
    mixed = [crc[at] ^ bits[at] for at in range(_BITS)]
    table = [_advance(1 << at) for at in range(_BITS)]
    after = []
    for at in range(32):
        terms = [mixed[bit] for bit in range(_BITS) if table[bit] >> at & 1]
        if at + _BITS < 32:
            terms.append(crc[at + _BITS])
        after.append(reduce(xor, terms))
    return Cat(after)


def _advance(crc: int) -> int:
    for _ in range(_BITS):
        crc = crc >> 1 ^ (CRC_POLYNOMIAL if crc & 1 else 0)
    return crc


class Crc(wiring.Component):
    """The register of a CRC-32 (IEEE 802.3, reflected).

    Members
    -------
    start : forget everything
    valid, data : take a byte; not in the cycle after another, in which ``busy`` is high
    low : of the register; its inverse is the next byte to send after the bytes taken, and taking
        the register's own low byte shifts it out
    sound : the bytes taken end in their own crc
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "start": In(1),
                "valid": In(1),
                "data": In(8),
                "busy": Out(1),
                "low": Out(8),
                "sound": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        register = Signal(32, init=CRC_START)
        rest = Signal(_BITS)
        m.d.sync += [self.busy.eq(self.valid), rest.eq(self.data[_BITS:])]
        with m.If(self.start):
            m.d.sync += register.eq(CRC_START)
        with m.Elif(self.valid | self.busy):
            m.d.sync += register.eq(crc_step(register, Mux(self.busy, rest, self.data[:_BITS])))
        m.d.comb += [self.low.eq(register[:8]), self.sound.eq(register == CRC_RESIDUE)]
        return m
