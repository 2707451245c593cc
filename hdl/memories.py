"""The memories of a core: for its engines while a step runs, for the host between steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from operator import or_
from typing import Any, Final

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib import memory as block
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import ceil_log2

from .arithmetic import selected
from .image import CoreImage, unpack
from .layouts import (
    DYNAMICS,
    SPIKING,
    access_layout,
    read_signature,
    word_layout,
    write_signature,
)
from .shape import CoreShape, Memory, index_bits

STATE = (Memory.POTENTIALS, Memory.CURRENTS, Memory.REFRACTORY, Memory.ACCUMULATORS)


class HostSignature(wiring.Signature):
    """Access by the host: takes both ports of the bank while ``active``.

    Members
    -------
    active : the address is the host's; its word is on the read port in the next cycle
    write : store ``data`` there
    address : which word
    data : the word to store, as plain bits
    """

    def __init__(self, addr_width: int, width: int) -> None:
        super().__init__(
            {
                "active": Out(1),
                "write": Out(1),
                "address": Out(addr_width),
                "data": Out(width),
            }
        )


class Bank(wiring.Component):
    """One block of memory with one read and one write port, each with a cycle of latency.

    What a read gets that meets a write of the same address in the same cycle is undefined, so
    that every block RAM will do without extra logic; the owners of the ports see to it that such
    a word is never used.

    Parameters
    ----------
    layout : layout of a word
    depth : number of words
    init : the first words, as constants of the layout; the others are 0
    writable : whether the core writes too
    style : ``block``, or ``auto`` to let synthesis build a small one of registers

    Members
    -------
    read, write : the core's ports; ``write`` only if writable
    host : the host's access, which wins
    zero : whoever writes, the word is 0
    """

    def __init__(
        self,
        layout: data.Layout,
        depth: int,
        init: Iterable[Any] = (),
        *,
        writable: bool = False,
        style: str = "block",
    ) -> None:
        self._layout = layout
        self._depth = depth
        self._init = list(init)
        self._writable = writable
        self._style = style
        addr_width = ceil_log2(depth)
        port = {"addr_width": addr_width, "shape": layout}
        members = {
            "read": Out(block.ReadPort.Signature(**port)),
            "host": In(HostSignature(addr_width, Shape.cast(layout).width)),
        }
        if writable:
            members["write"] = Out(block.WritePort.Signature(**port))
            members["zero"] = In(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        attrs: dict[str, int | str] = {"no_rw_check": 1}
        if self._style != "auto":
            attrs["ram_style"] = self._style
        m.submodules.memory = memory = block.Memory(
            shape=self._layout, depth=self._depth, init=self._init, attrs=attrs
        )
        read = memory.read_port()
        write = memory.write_port()
        m.d.comb += [
            read.en.eq(self.read.en | self.host.active),
            read.addr.eq(Mux(self.host.active, self.host.address, self.read.addr)),
            self.read.data.eq(read.data),
        ]
        stored = self.host.data
        m.d.comb += [
            write.en.eq(self.host.active & self.host.write),
            write.addr.eq(self.host.address),
        ]
        if self._writable:
            with m.If(~self.host.active):
                m.d.comb += [write.en.eq(self.write.en), write.addr.eq(self.write.addr)]
            stored = Mux(self.host.active, stored, self.write.data.as_value())
            stored = Mux(self.zero, 0, stored)
        m.d.comb += write.data.as_value().eq(stored)
        return m


class Memories(wiring.Component):
    """All words of `Memory`: one port a bank for the engines, one for all of them for the host.

    Members
    -------
    rows, words, neurons, first_bias, dynamics, spiking : read ports; the last two are the halves
        of a class word
    accumulator, total : read and write port of the accumulators; with ``clear_total`` what is
        written is 0
    potential, new_potential : read and write port of v; likewise current and refractory
    active_neurons, digest : the two registers
    access : one read or write of the host a cycle; only while the engines rest
    response : the byte read, two cycles later
    clear, clear_address : zero the state words at an address; only while the engines rest
    """

    def __init__(self, shape: CoreShape, image: CoreImage, digest: bytes) -> None:
        self._shape = shape
        self._image = image
        self._digest = digest
        members = {
            "rows": Out(read_signature(shape, Memory.ROWS)),
            "words": Out(read_signature(shape, Memory.WEIGHTS)),
            "neurons": Out(read_signature(shape, Memory.NEURONS)),
            "dynamics": Out(read_signature(shape, Memory.CLASSES, DYNAMICS)),
            "spiking": Out(read_signature(shape, Memory.CLASSES, SPIKING)),
            "accumulator": Out(read_signature(shape, Memory.ACCUMULATORS)),
            "total": Out(write_signature(shape, Memory.ACCUMULATORS)),
            "clear_total": In(1),
            "potential": Out(read_signature(shape, Memory.POTENTIALS)),
            "new_potential": Out(write_signature(shape, Memory.POTENTIALS)),
            "active_neurons": Out(range(shape.neurons + 1)),
            "digest": Out(64),
            "access": In(stream.Signature(access_layout(shape), always_ready=True)),
            "response": Out(stream.Signature(8, always_ready=True)),
            "clear": In(1),
            "clear_address": In(index_bits(clear_depth(shape))),
        }
        if shape.first_bias:
            members["first_bias"] = Out(read_signature(shape, Memory.FIRST_BIAS))
        if shape.cuba:
            members["current"] = Out(read_signature(shape, Memory.CURRENTS))
            members["new_current"] = Out(write_signature(shape, Memory.CURRENTS))
        if shape.refractory_bits:
            members["refractory"] = Out(read_signature(shape, Memory.REFRACTORY))
            members["new_refractory"] = Out(write_signature(shape, Memory.REFRACTORY))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        access = self.access.payload

        def add_bank(name: str, memory: Memory, only: tuple[str, ...] | None = None) -> Value:
            """Add a bank; the value is the word at its output."""
            bank = Bank(
                word_layout(shape, memory, only),
                shape.depth(memory),
                self._initial_words(memory, only),
                writable=name in _WRITERS,
                # Block RAM is scarce on small devices and few classes are few bits.
                style="auto" if memory is Memory.CLASSES else "block",
            )
            m.submodules[name] = bank
            connect(m, flipped(getattr(self, name)), bank.read)
            if name in _WRITERS:
                connect(m, flipped(getattr(self, _WRITERS[name])), bank.write)

            word = data.View(word_layout(shape, memory), access.data[: shape.word_bits(memory)])
            kept = [Value.cast(word[field]) for field in word_layout(shape, memory, only).members]
            m.d.comb += [
                bank.host.active.eq(self.access.valid & (access.memory == memory)),
                bank.host.address.eq(access.address),
                bank.host.write.eq(access.write),
                bank.host.data.eq(Cat(kept)),
            ]
            if memory in STATE:
                with m.If(self.clear):
                    m.d.comb += [
                        bank.host.active.eq(self.clear_address < shape.depth(memory)),
                        bank.host.address.eq(self.clear_address),
                        bank.host.write.eq(1),
                    ]
                zero = self.clear_total if memory is Memory.ACCUMULATORS else 0
                m.d.comb += bank.zero.eq(self.clear | zero)
            return bank.read.data

        words = {
            Memory.ROWS: add_bank("rows", Memory.ROWS),
            Memory.WEIGHTS: add_bank("words", Memory.WEIGHTS),
            Memory.NEURONS: add_bank("neurons", Memory.NEURONS),
            Memory.POTENTIALS: add_bank("potential", Memory.POTENTIALS),
            Memory.ACCUMULATORS: add_bank("accumulator", Memory.ACCUMULATORS),
            Memory.ACTIVE_NEURONS: self.active_neurons,
            Memory.DIGEST: self.digest,
        }
        if shape.first_bias:
            words[Memory.FIRST_BIAS] = add_bank("first_bias", Memory.FIRST_BIAS)
        if shape.cuba:
            words[Memory.CURRENTS] = add_bank("current", Memory.CURRENTS)
        if shape.refractory_bits:
            words[Memory.REFRACTORY] = add_bank("refractory", Memory.REFRACTORY)
        dynamics = add_bank("dynamics", Memory.CLASSES, DYNAMICS)
        spiking = add_bank("spiking", Memory.CLASSES, SPIKING)
        words[Memory.CLASSES] = neuron_class = Signal(word_layout(shape, Memory.CLASSES))
        for field in neuron_class.shape().members:
            half = spiking if field in SPIKING else dynamics
            m.d.comb += neuron_class[field].eq(half[field])

        # A byte of each word in one cycle, of one memory in the next: block RAM is slow and a
        # choice among all bytes at once is deep.
        byte, asked, reading = Signal.like(access.byte), Signal(Memory), Signal()
        m.d.sync += [
            byte.eq(access.byte),
            asked.eq(access.memory),
            reading.eq(self.access.valid & ~access.write),
            self.response.valid.eq(reading),
        ]
        answers: list[Value] = []
        for memory, word in words.items():
            bits = Value.cast(word)
            answer = Signal(8, name=f"{memory.name.lower()}_byte")
            m.d.sync += answer.eq(0)
            with m.If(asked == memory):
                parts = [bits[at : at + 8] for at in range(0, len(bits), 8)]
                m.d.sync += answer.eq(selected(parts, byte))
            answers.append(answer)
        m.d.comb += self.response.payload.eq(reduce(or_, answers))

        active_neurons = Signal.like(self.active_neurons, init=self._image.active_neurons)
        digest = Signal(64, init=int.from_bytes(self._digest, "little"))
        m.d.comb += [self.active_neurons.eq(active_neurons), self.digest.eq(digest)]
        with m.If(self.access.valid & access.write), m.Switch(access.memory):
            with m.Case(Memory.ACTIVE_NEURONS):
                m.d.sync += active_neurons.eq(access.data)
            with m.Case(Memory.DIGEST):
                m.d.sync += digest.eq(access.data)
        return m

    def _initial_words(self, memory: Memory, only: tuple[str, ...] | None) -> Iterator[Any]:
        layout = word_layout(self._shape, memory, only)
        for word in self._image.pack(memory):
            if only is None:
                yield layout.from_bits(word)
            else:
                fields = unpack(self._shape, memory, word)
                yield {name: value for name, value in fields.items() if name in only}


# Banks that an engine writes, and through which port.
_WRITERS: Final[Mapping[str, str]] = {
    "accumulator": "total",
    "potential": "new_potential",
    "current": "new_current",
    "refractory": "new_refractory",
}


def clear_depth(shape: CoreShape) -> int:
    """Cycles of a CLEAR: words of the deepest state memory."""
    return max(shape.depth(memory) for memory in STATE)
