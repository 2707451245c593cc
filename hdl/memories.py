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
from .shape import DAMAGED_BITS, REGISTER_ROWS, CoreShape, Memory, index_bits

STATE = (Memory.POTENTIALS, Memory.CURRENTS, Memory.REFRACTORY, Memory.OFFSETS)
READ_ONLY = (*STATE, Memory.DAMAGED)


class HostSignature(wiring.Signature):
    """Access by the host: takes both ports of the bank while ``active``.

    Members
    -------
    active : the address is the host's; its word is on the read port in the next cycle
    write : store ``data`` in the parts of the word that ``parts`` has
    address : which word
    parts : which parts of it
    data : the bits of each such part
    """

    def __init__(self, addr_width: int, parts: int, width: int) -> None:
        super().__init__(
            {
                "active": Out(1),
                "write": Out(1),
                "address": Out(addr_width),
                "parts": Out(parts),
                "data": Out(width),
            }
        )


class Bank(wiring.Component):
    """A memory with one read and one write port, each with a cycle of latency.

    It is built of blocks side by side, each `width` bits of the word, that the host writes one by
    one. What a read gets that meets a write of the same address in the same cycle is undefined, so
    that every block RAM will do without extra logic; the owners of the ports see to it that such
    a word is never used.

    Parameters
    ----------
    layout : layout of a word
    depth : number of words
    width : bits of a block
    init : the first words, as integers; the others are 0
    writable : whether the core writes too
    style : ``block``, ``huge`` (single-ported, without initial words), or ``auto`` to let
        synthesis build a small one of registers
    spare : the last part is too little for single-ported memory

    Members
    -------
    read, write : the core's ports; ``write`` only if writable
    host : the host's access, which wins; it writes what the core does not
    """

    def __init__(
        self,
        layout: data.Layout,
        depth: int,
        width: int,
        init: Iterable[int] = (),
        *,
        writable: bool = False,
        style: str = "block",
        spare: bool = False,
    ) -> None:
        self._layout = layout
        self._spare = spare
        self._depth = depth
        self._bits = max(1, Shape.cast(layout).width)
        self._width = min(width, self._bits)
        self._init = [] if style == "huge" else list(init)
        self._writable = writable
        self._style = style
        addr_width = ceil_log2(depth)
        port = {"addr_width": addr_width, "shape": layout}
        self.parts = -(-self._bits // self._width)
        members = {
            "read": Out(block.ReadPort.Signature(**port)),
            "host": In(HostSignature(addr_width, self.parts, self._width)),
        }
        if writable:
            members["write"] = Out(block.WritePort.Signature(**port))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        attrs: dict[str, int | str] = {"no_rw_check": 1}
        if self._style != "auto":
            attrs["ram_style"] = self._style
        shared = Mux(self.host.active, self.host.address, self.read.addr)
        outputs = []
        for part in range(self.parts):
            low = part * self._width
            width = min(self._width, self._bits - low)
            if self._spare and self._style == "huge" and part == self.parts - 1:
                attrs["ram_style"] = "block"
            memory = block.Memory(
                shape=width,
                depth=self._depth,
                init=[word >> low & ((1 << width) - 1) for word in self._init],
                attrs=dict(attrs),
            )
            m.submodules[f"part_{part}"] = memory
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += read.addr.eq(shared)
            if self._writable:
                m.d.comb += [
                    read.en.eq(self.read.en | self.host.active),
                    write.en.eq(self.write.en),
                    write.addr.eq(self.write.addr),
                    write.data.eq(self.write.data.as_value()[low : low + width]),
                ]
                outputs.append(read.data)
                continue
            host_writes = self.host.active & self.host.write & self.host.parts[part]
            m.d.comb += [
                read.en.eq((self.read.en | self.host.active) & ~host_writes),
                write.en.eq(host_writes),
                # Single-ported memory needs one address.
                write.addr.eq(shared),
            ]
            m.d.comb += write.data.eq(self.host.data[:width])
            outputs.append(read.data)
        m.d.comb += self.read.data.as_value().eq(Cat(outputs))
        return m


class Memories(wiring.Component):
    """All words of `Memory`: one port a bank for the engines, one for all of them for the host.

    Members
    -------
    rows, segments, words, neurons, first_bias, dynamics, spiking : read ports; the last two are
        the halves of a class word
    potential, new_potential : read and write port of v; likewise current, refractory and offset
    digest : identity of the loaded image
    weights, weights_word : the host's access to weights that learn, which are not here
    loaded : ... and that a configuration ends
    damaged, unsound : a weight word had a wrong parity; one had since the image was loaded (only
        with `CoreShape.parity`)
    access : one read or write of the host a cycle; only while the engines rest
    response : the byte read, three cycles later, four where weights learn
    """

    def __init__(self, shape: CoreShape, image: CoreImage, digest: bytes) -> None:
        self._shape = shape
        self._image = image
        self._digest = digest
        members: dict[str, Any] = {
            "digest": Out(64),
            "access": In(stream.Signature(access_layout(shape), always_ready=True)),
            "response": Out(stream.Signature(8, always_ready=True)),
        }
        if shape.learning is not None:
            bits = shape.word_bits(Memory.WEIGHTS)
            members["weights"] = Out(HostSignature(index_bits(shape.words), shape.lanes, bits))
            members["weights_word"] = In(shape.row_bits(Memory.WEIGHTS))
            members["loaded"] = Out(1)
        for name, (memory, only) in _PORTS.items():
            if self._there(name):
                members[name] = Out(read_signature(shape, memory, only))
                if name in _WRITERS:
                    members[_WRITERS[name]] = Out(write_signature(shape, memory))
        if shape.parity:
            members |= {"damaged": In(1), "unsound": Out(1)}
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        access = self.access.payload

        def add_bank(name: str, memory: Memory, only: tuple[str, ...] | None) -> Value:
            """Add a bank; the value is the word at its output."""
            layout = word_layout(shape, memory, only)
            bank = Bank(
                layout,
                shape.rows(memory),
                shape.word_bits(memory),
                self._initial_words(memory, only),
                writable=name in _WRITERS,
                style=self._style(memory),
                spare=memory is Memory.WEIGHTS and shape.parity_alone,
            )
            m.submodules[name] = bank
            connect(m, flipped(getattr(self, name)), bank.read)
            if name in _WRITERS:
                connect(m, flipped(getattr(self, _WRITERS[name])), bank.write)

            bits: Value = access.data[: shape.word_bits(memory)]
            if only is not None:
                whole = data.View(word_layout(shape, memory), bits)
                bits = Cat(Value.cast(whole[field]) for field in layout.members)
            add_access(bank.host, memory, bits)
            return bank.read.data

        def add_access(host: Any, memory: Memory, bits: Value) -> None:
            part_bits = index_bits(shape.parts(memory))
            m.d.comb += [
                host.active.eq(self.access.valid & (access.memory == memory)),
                host.address.eq(access.address >> part_bits),
                host.parts.eq(1 << access.address[:part_bits] if part_bits else 1),
                host.write.eq(access.write),
                host.data.eq(bits),
            ]

        words: dict[Memory, Value] = {}
        halves: dict[str, Value] = {}
        for name, (memory, only) in _PORTS.items():
            if self._there(name):
                word = add_bank(name, memory, only)
                if only is None:
                    words[memory] = word
                else:
                    halves[name] = word
        if halves:
            words[Memory.CLASSES] = neuron_class = Signal(word_layout(shape, Memory.CLASSES))
            for field in neuron_class.shape().members:
                half = halves["spiking" if field in SPIKING else "dynamics"]
                m.d.comb += neuron_class[field].eq(half[field])
        if shape.learning is not None:
            words[Memory.WEIGHTS] = self.weights_word
            bits = access.data[: shape.word_bits(Memory.WEIGHTS)]
            add_access(self.weights, Memory.WEIGHTS, bits)
        words[Memory.DIGEST] = self.digest
        loaded = self.access.valid & access.write & (access.memory == Memory.DIGEST)
        if shape.parity:
            words[Memory.DAMAGED] = count = Signal(DAMAGED_BITS)
            m.d.sync += self.unsound.eq(count.any())
            with m.If(loaded):
                m.d.sync += count.eq(0)
            with m.Elif(self.damaged & ~count.all()):
                m.d.sync += count.eq(count + 1)

        # A part of each word in one cycle, a byte of that in the next, of one memory in the last:
        # block RAM is slow and a choice among all bytes at once is deep.
        asked, reads = access, self.access.valid & ~access.write
        if shape.learning is not None:
            # Weights that learn come a cycle later, and all others stay as long.
            asked, reads = Signal(access.shape()), Signal()
            m.d.sync += [asked.eq(access), reads.eq(self.access.valid & ~access.write)]
        asked_1 = Signal(access.shape())
        asked_2 = Signal(access.shape())
        reading_1, reading_2 = Signal(), Signal()
        m.d.sync += [
            asked_1.eq(asked),
            asked_2.eq(asked_1),
            reading_1.eq(reads),
            reading_2.eq(reading_1),
            self.response.valid.eq(reading_2),
        ]
        answers: list[Value] = []
        for memory, word in words.items():
            if not shape.readable(memory):
                continue
            label = memory.name.lower()
            bits = Value.cast(word)
            wide = shape.word_bits(memory)
            parts = [bits[at : at + wide] for at in range(0, len(bits), wide)]
            part = Signal(wide, name=f"{label}_part")
            m.d.sync += part.eq(selected(parts, asked_1.address))
            answer = Signal(8, name=f"{label}_byte")
            m.d.sync += answer.eq(0)
            with m.If(asked_2.memory == memory):
                pieces = [part[at : at + 8] for at in range(0, wide, 8)]
                m.d.sync += answer.eq(selected(pieces, asked_2.byte))
            answers.append(answer)
        m.d.comb += self.response.payload.eq(reduce(or_, answers))

        digest = Signal(64, init=int.from_bytes(self._digest, "little"))
        m.d.comb += self.digest.eq(digest)
        with m.If(loaded):
            m.d.sync += digest.eq(access.data)
            if shape.learning is not None:
                m.d.comb += self.loaded.eq(1)
        return m

    def _there(self, name: str) -> bool:
        memory, only = _PORTS[name]
        if memory is Memory.WEIGHTS and self._shape.learning is not None:
            return False
        fields = self._shape.fields(memory)
        return bool(fields) and (only is None or self._shape.has(memory, only))

    def _style(self, memory: Memory) -> str:
        # Block RAM is scarce on small devices and few classes are few bits.
        if memory is Memory.CLASSES or self._shape.rows(memory) <= REGISTER_ROWS:
            return "auto"
        return self._shape.weight_storage if memory is Memory.WEIGHTS else "block"

    def _initial_words(self, memory: Memory, only: tuple[str, ...] | None) -> Iterator[int]:
        if memory in STATE:
            return
        layout = word_layout(self._shape, memory, only)
        for word in self._image.pack(memory):
            if only is None:
                yield word
            else:
                values = unpack(self._shape, memory, word)
                kept = {name: value for name, value in values.items() if name in only}
                yield layout.const(kept).as_bits()


_PORTS: Final[Mapping[str, tuple[Memory, tuple[str, ...] | None]]] = {
    "rows": (Memory.ROWS, None),
    "segments": (Memory.SEGMENTS, None),
    "words": (Memory.WEIGHTS, None),
    "neurons": (Memory.NEURONS, None),
    "first_bias": (Memory.FIRST_BIAS, None),
    "potential": (Memory.POTENTIALS, None),
    "current": (Memory.CURRENTS, None),
    "refractory": (Memory.REFRACTORY, None),
    "offset": (Memory.OFFSETS, None),
    "dynamics": (Memory.CLASSES, DYNAMICS),
    "spiking": (Memory.CLASSES, SPIKING),
}
# Banks that an engine writes, and through which port.
_WRITERS: Final[Mapping[str, str]] = {
    "potential": "new_potential",
    "current": "new_current",
    "refractory": "new_refractory",
    "offset": "new_offset",
}
