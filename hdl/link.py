"""The byte-stream command engine: frames of `protocol` in and out."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .arithmetic import selected
from .layouts import Request, access_layout, byte_stream, done_layout
from .protocol import DIGEST_BYTES, DONE_STEP_BYTES, ErrorCode, InfoReply, Opcode
from .shape import CoreShape, index_bits


class Link(wiring.Component):
    """Commands of a host into requests of a core, and what the core says into replies.

    Bytes are taken one a cycle. While a step runs none are taken, so that no frame can overtake
    the answer to another. Every error ends in an ERROR frame and a new opcode; no byte sequence
    leaves the engine waiting for anything but the next byte.

    Members
    -------
    rx, tx : bytes from and to the host
    events, requests, spikes, done, access, response, digest : as of `Core`, from the other side
    """

    def __init__(self, shape: CoreShape) -> None:
        self._shape = shape
        super().__init__(
            {
                "rx": In(byte_stream()),
                "tx": Out(byte_stream()),
                "events": Out(stream.Signature(index_bits(shape.inputs))),
                "requests": Out(stream.Signature(Request)),
                "spikes": In(stream.Signature(index_bits(shape.neurons))),
                "done": In(stream.Signature(done_layout(shape))),
                "access": Out(stream.Signature(access_layout(shape))),
                "response": In(stream.Signature(8, always_ready=True)),
                "digest": In(64),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        done_bytes = _done_body(self.done.payload)
        info = InfoReply(shape, bytes(DIGEST_BYTES)).encode()[1:-DIGEST_BYTES]

        opcode = Signal(8)
        operands = data.StructLayout({"memory": 8, "address": 24})
        operand = Signal(operands)
        source = operand.as_value()[16:]
        missing = Signal(range(5))

        # The word of a frame being taken or sent, and how far that is.
        widest = max(shape.word_bytes(memory) for memory in shape.memories)
        word = Signal(data.ArrayLayout(8, max(widest, len(done_bytes) // 8)))
        length = Signal(range(max(len(word), len(info) + DIGEST_BYTES) + 1))
        at = Signal.like(length)
        last = Signal()
        m.d.comb += last.eq(at == length - 1)

        # Comparing an address takes a cycle of its own: valid one cycle after the operands.
        known, inside = Signal(), Signal()
        size = Signal(range(widest + 1))
        m.d.sync += [known.eq(0), inside.eq(0)]
        with m.Switch(operand.memory):
            for memory in shape.memories:
                with m.Case(memory):
                    m.d.sync += [
                        known.eq(1),
                        inside.eq(operand.address < shape.depth(memory)),
                        size.eq(shape.word_bytes(memory)),
                    ]

        m.d.comb += [
            self.events.payload.eq(source),
            self.access.payload.memory.eq(operand.memory),
            self.access.payload.address.eq(operand.address),
            self.access.payload.byte.eq(at),
            self.access.payload.data.eq(word.as_value()),
        ]

        def reply(head: Opcode, size: int | Value) -> None:
            m.d.sync += [opcode.eq(head), length.eq(size), at.eq(0)]
            m.next = "Send opcode"

        def refuse(code: ErrorCode) -> None:
            m.d.sync += word.as_value().eq(code)
            reply(Opcode.ERROR, 1)

        with m.FSM():
            with m.State("Take opcode"):
                m.d.comb += self.rx.ready.eq(1)
                m.d.sync += opcode.eq(self.rx.payload)
                with m.If(self.rx.valid):
                    m.next = "Decode"
            with m.State("Decode"), m.Switch(opcode):
                with m.Case(Opcode.EVENT):
                    m.d.sync += missing.eq(2)
                    m.next = "Take operands"
                with m.Case(Opcode.READ, Opcode.WRITE):
                    m.d.sync += missing.eq(4)
                    m.next = "Take operands"
                with m.Case(Opcode.TICK, Opcode.CLEAR):
                    m.next = "Request"
                with m.Case(Opcode.INFO):
                    reply(Opcode.INFO_REPLY, len(info) + DIGEST_BYTES)
                with m.Default():
                    refuse(ErrorCode.UNKNOWN_COMMAND)

            with m.State("Take operands"):
                m.d.comb += self.rx.ready.eq(1)
                with m.If(self.rx.valid):
                    m.d.sync += [
                        operand.eq(Cat(operand.as_value()[8:], self.rx.payload)),
                        missing.eq(missing - 1),
                    ]
                    with m.If(missing == 1), m.Switch(opcode):
                        with m.Case(Opcode.EVENT):
                            m.next = "Event"
                        with m.Default():
                            m.next = "Look up"

            with m.State("Event"):
                with m.If(source < shape.inputs):
                    m.d.comb += self.events.valid.eq(1)
                    with m.If(self.events.ready):
                        m.next = "Take opcode"
                with m.Else():
                    refuse(ErrorCode.BAD_SOURCE)

            with m.State("Look up"):
                m.next = "Looked up"

            # The word is taken before its address is judged, so that a bad one does not turn
            # data into commands; a memory that does not exist has no word to take.
            with m.State("Looked up"):
                m.d.sync += [at.eq(0), length.eq(size)]
                with m.If(known & (opcode == Opcode.WRITE)):
                    m.next = "Take word"
                with m.Else():
                    m.next = "Access"
            with m.State("Take word"):
                m.d.comb += self.rx.ready.eq(1)
                with m.If(self.rx.valid):
                    m.d.sync += [word[at].eq(self.rx.payload), at.eq(at + 1)]
                    with m.If(last):
                        m.next = "Access"

            with m.State("Access"):
                with m.If(~known):
                    refuse(ErrorCode.BAD_MEMORY)
                with m.Elif(~inside):
                    refuse(ErrorCode.BAD_ADDRESS)
                with m.Elif(opcode == Opcode.READ):
                    reply(Opcode.DATA, size)
                with m.Else():
                    m.next = "Write"
            with m.State("Write"):
                m.d.comb += [self.access.valid.eq(1), self.access.payload.write.eq(1)]
                with m.If(self.access.ready):
                    reply(Opcode.WRITTEN, 0)

            # A word is read and sent byte by byte.
            with m.State("Fetch"):
                m.d.comb += self.access.valid.eq(1)
                with m.If(self.access.ready):
                    m.next = "Fetched"
            with m.State("Fetched"), m.If(self.response.valid):
                m.d.sync += word[at].eq(self.response.payload)
                m.next = "Send body"

            with m.State("Request"):
                m.d.comb += self.requests.valid.eq(1)
                with m.If(opcode == Opcode.CLEAR):
                    m.d.comb += self.requests.payload.eq(Request.CLEAR)
                with m.If(self.requests.ready):
                    with m.If(opcode == Opcode.CLEAR):
                        m.next = "Clearing"
                    with m.Else():
                        m.next = "Stepping"
            with m.State("Clearing"):
                m.d.comb += self.done.ready.eq(1)
                with m.If(self.done.valid):
                    reply(Opcode.CLEARED, 0)
            with m.State("Stepping"):
                m.d.comb += [self.spikes.ready.eq(1), self.done.ready.eq(~self.spikes.valid)]
                with m.If(self.spikes.valid):
                    m.d.sync += word.as_value().eq(self.spikes.payload)
                    reply(Opcode.SPIKE, 2)
                with m.Elif(self.done.valid):
                    m.d.sync += word.as_value().eq(done_bytes)
                    reply(Opcode.DONE, len(done_bytes) // 8)

            with m.State("Send opcode"):
                m.d.comb += [self.tx.valid.eq(1), self.tx.payload.eq(opcode)]
                with m.If(self.tx.ready):
                    with m.If(length == 0):
                        m.next = "Take opcode"
                    with m.Elif(opcode == Opcode.DATA):
                        m.next = "Fetch"
                    with m.Else():
                        m.next = "Send body"
            with m.State("Send body"):
                m.d.comb += [self.tx.valid.eq(1), self.tx.payload.eq(selected(list(word), at))]
                with m.If(opcode == Opcode.INFO_REPLY), m.Switch(at):
                    for place, byte in enumerate(info):
                        with m.Case(place):
                            m.d.comb += self.tx.payload.eq(byte)
                    for place in range(DIGEST_BYTES):
                        with m.Case(len(info) + place):
                            m.d.comb += self.tx.payload.eq(self.digest.word_select(place, 8))
                with m.If(self.tx.ready):
                    m.d.sync += at.eq(at + 1)
                    with m.If(last & (opcode == Opcode.SPIKE)):
                        m.next = "Stepping"
                    with m.Elif(last):
                        m.next = "Take opcode"
                    with m.Elif(opcode == Opcode.DATA):
                        m.next = "Fetch"
        return m


def _done_body(done: data.View) -> Value:
    """The body of a DONE frame: step in two bytes, then the counters."""
    padding = Const(0, 8 * DONE_STEP_BYTES - len(done.step))
    return Cat(done.step, padding, done.accumulate, done.commit, done.propagate)
