"""The device's end of a line of frames: two byte streams, complete and in order."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from .crc import Crc
from .framing import (
    ANSWER,
    CRC_BYTES,
    DEVICE_HEADER,
    DEVICE_PAYLOAD,
    END,
    ESCAPE,
    ESCAPED,
    HOST_HEADER,
    NAK,
    OFFSET_BITS,
    OPEN,
    POLL,
    REWIND,
)
from .layouts import byte_stream

COUNTERS = ("crc_errors", "framing_errors", "gaps", "duplicates")
COUNTER_BITS = 8
# A byte's place in a frame counts up to a power of two at the end of the header.
_FIRST = 8 - HOST_HEADER.size
_WHOLE = 8 + CRC_BYTES


class Transport(wiring.Component):
    """Frames of `framing` from and to the host.

    A frame is unescaped into the receive buffer as it arrives and belongs to the stream once its
    end has been judged; otherwise the next one overwrites it. Replies stay in the replay buffer
    until the host has acknowledged them.

    A byte is taken every second cycle, but for a few after each frame: a line needs no buffer.

    Parameters
    ----------
    receive_bytes, replay_bytes : size of the two buffers, powers of two from 256 to 2048

    Members
    -------
    rx, tx : bytes from and to the line
    commands, replies : the two streams; ``replies`` is taken whenever there is room
    quiet : nothing more to come from what was received, so what there is may be sent
    abort : a new session begins; ``commands`` are over, ``replies`` are dropped ...
    aborted : ... until nothing of the old session is left
    counters : frames dropped, by reason, up to 255 each; ``clear`` makes them 0
    """

    def __init__(self, receive_bytes: int = 512, replay_bytes: int = 512) -> None:
        for size in (receive_bytes, replay_bytes):
            if size & (size - 1) or not 256 <= size <= 1 << OFFSET_BITS - 1:
                raise ValueError(f"a buffer has 256 to 2048 bytes, a power of two, not {size}")
        self.receive_bytes = receive_bytes
        self.replay_bytes = replay_bytes
        super().__init__(
            {
                "rx": In(byte_stream()),
                "tx": Out(byte_stream()),
                "commands": Out(byte_stream()),
                "replies": In(byte_stream()),
                "quiet": In(1),
                "abort": Out(1),
                "aborted": In(1),
                "counters": Out(COUNTER_BITS * len(COUNTERS)),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        session = Signal(8)
        taken, consumed = Signal(OFFSET_BITS), Signal(OFFSET_BITS)
        send = _Sending(self, m, session, taken, consumed)
        restart = self._receive(m, session, taken, consumed, send)
        send.build(restart)
        return m

    def _receive(
        self, m: Module, session: Signal, taken: Signal, consumed: Signal, send: _Sending
    ) -> Value:
        """Decode, judge and store frames; the value is high when a new session starts."""
        m.submodules.receive_buffer = buffer = memory.Memory(
            shape=8, depth=self.receive_bytes, init=[], attrs=_BLOCK
        )
        width = exact_log2(self.receive_bytes)
        write, read = buffer.write_port(), buffer.read_port()
        m.submodules.receive_crc = crc = Crc()

        # `consumed` is the stream's offset of the byte on the read port, once it is `available`.
        available, waiting = Signal(), Signal()
        m.d.comb += [
            read.addr.eq(consumed[:width]),
            waiting.eq(consumed != taken),
            self.commands.payload.eq(read.data),
            self.commands.valid.eq(available & ~self.abort),
        ]
        m.d.sync += available.eq(waiting & ~available)
        with m.If(available):
            m.d.sync += available.eq(~self.commands.ready)
            with m.If(self.commands.ready):
                m.d.sync += consumed.eq(consumed + 1)

        begun, escaped, overrun = Signal(), Signal(), Signal()
        decoded = Signal(8)
        byte = self.rx.payload
        ends, emit = Signal(), Signal()
        m.d.comb += [
            ends.eq(byte == END),
            decoded.eq(byte ^ Mux(escaped, ESCAPED, 0)),
            emit.eq(self.rx.valid & self.rx.ready & ~ends & (escaped | (byte != ESCAPE))),
        ]

        # The last bytes of a frame are its crc: payload reaches up to `mark`.
        header = Signal(8 * HOST_HEADER.size)
        place = Signal(4, init=_FIRST)
        mark, end = Signal(OFFSET_BITS), Signal(width)
        sender, offset, flags, ack = (
            header[0:8],
            header[8 : 8 + OFFSET_BITS],
            header[8 + OFFSET_BITS : 24],
            header[24 : 24 + OFFSET_BITS],
        )
        whole, full = Signal(), Signal()
        m.d.comb += [
            whole.eq(place == _WHOLE),
            end.eq(mark + place[:3]),
            # Behind the last free byte lies the first that waits.
            full.eq((end == consumed[:width]) & (waiting | (end != mark[:width]))),
            crc.valid.eq(emit),
            crc.data.eq(decoded),
            write.addr.eq(end),
            write.data.eq(decoded),
        ]
        with m.If(emit):
            with m.If(~place[3]):
                m.d.sync += header.eq(Cat(header[8:], decoded))
            with m.Else():
                m.d.comb += write.en.eq(~full)
                m.d.sync += overrun.eq(overrun | full)
            with m.If(whole):
                m.d.sync += mark.eq(mark + 1)
            with m.Else():
                m.d.sync += place.eq(place + 1)

        counted = {name: Signal(name=f"count_{name}") for name in COUNTERS}
        for at, name in enumerate(COUNTERS):
            counter = Signal(COUNTER_BITS, name=name)
            m.d.comb += self.counters.word_select(at, COUNTER_BITS).eq(counter)
            with m.If(self.clear):
                m.d.sync += counter.eq(0)
            with m.Elif(counted[name] & ~counter.all()):
                m.d.sync += counter.eq(counter + 1)

        beyond = Signal(OFFSET_BITS)
        mine, progress, bare, next_one, late = Signal(), Signal(), Signal(), Signal(), Signal()
        restart = Signal()
        m.d.comb += beyond.eq(offset - taken)
        m.d.sync += [
            mine.eq(sender == session),
            progress.eq(~(ack - send.kept)[OFFSET_BITS - 1]),
            bare.eq(mark == taken),
            next_one.eq(beyond == 0),
            late.eq(beyond[-1]),
        ]
        with m.FSM(name="receive"):
            with m.State("Take"):
                m.d.comb += self.rx.ready.eq(~crc.busy)
                with m.If(self.rx.valid & self.rx.ready):
                    m.d.sync += [begun.eq(1), escaped.eq((byte == ESCAPE) & ~escaped)]
                    with m.If(ends):
                        m.d.sync += [begun.eq(0), escaped.eq(escaped)]
                        with m.If(begun):
                            m.next = "Judge"
            with m.State("Judge"):
                m.d.comb += crc.start.eq(1)
                m.next = "Forget"
                with m.If(escaped | ~whole | overrun):
                    m.d.comb += [counted["framing_errors"].eq(1), send.nak.eq(1)]
                with m.Elif(~crc.sound):
                    m.d.comb += [counted["crc_errors"].eq(1), send.nak.eq(1)]
                with m.Elif(mine):
                    m.next = "Acknowledge"
                with m.Elif((flags & OPEN).any()):
                    m.next = "Abort"
                with m.Else():
                    # The host learns that this is not its session.
                    m.d.comb += send.respond.eq(1)
            with m.State("Acknowledge"):
                m.d.comb += [
                    send.acknowledge.eq(progress),
                    send.rewind.eq(progress & (flags & REWIND).any()),
                    send.answer.eq((flags & (OPEN | POLL | REWIND)).any()),
                    send.respond.eq(~bare),
                ]
                with m.If(~bare):
                    with m.If(next_one):
                        m.d.sync += taken.eq(mark)
                    with m.Elif(late):
                        m.d.comb += counted["duplicates"].eq(1)
                    with m.Else():
                        m.d.comb += [counted["gaps"].eq(1), send.nak.eq(1)]
                m.next = "Forget"
            with m.State("Abort"):
                m.d.comb += self.abort.eq(1)
                with m.If(self.aborted & send.idle):
                    m.d.comb += [restart.eq(1), send.answer.eq(1)]
                    m.d.sync += [session.eq(sender), taken.eq(0), consumed.eq(0), available.eq(0)]
                    m.next = "Forget"
            with m.State("Forget"):
                m.d.sync += [escaped.eq(0), place.eq(_FIRST), overrun.eq(0), mark.eq(taken)]
                m.next = "Take"
        m.d.comb += send.ack.eq(ack)
        return restart


class _Sending:
    """The other half of `Transport`: keeps replies, and sends them as often as asked."""

    def __init__(
        self, transport: Transport, m: Module, session: Signal, taken: Signal, consumed: Signal
    ) -> None:
        self._transport = transport
        self._m = m
        self._session = session
        self._taken = taken
        self._consumed = consumed
        self.ack = Signal(OFFSET_BITS)
        # What the receiver asks for, one cycle each.
        self.respond, self.answer, self.nak = Signal(), Signal(), Signal()
        self.acknowledge, self.rewind = Signal(), Signal()
        self.idle = Signal()
        # Replies kept lie from `kept` to `written`, those from `sent` on are yet to be sent.
        self.kept, self.sent = Signal(OFFSET_BITS), Signal(OFFSET_BITS)

    def build(self, restart: Value) -> None:
        """Build the logic."""
        m, transport = self._m, self._transport
        m.submodules.replay_buffer = buffer = memory.Memory(
            shape=8, depth=transport.replay_bytes, init=[], attrs=_BLOCK
        )
        width = exact_log2(transport.replay_bytes)
        write, read = buffer.write_port(), buffer.read_port()
        m.submodules.send_crc = crc = Crc()

        written, following = Signal(OFFSET_BITS), Signal(OFFSET_BITS)
        room, more = Signal(), Signal()
        m.d.comb += [
            following.eq(written + 1),
            # One byte stays free, or all of the buffer would be half of all offsets.
            room.eq(following[:width] != self.kept[:width]),
            more.eq(written != self.sent),
            transport.replies.ready.eq(room | transport.abort),
            write.addr.eq(written[:width]),
            write.data.eq(transport.replies.payload),
            write.en.eq(transport.replies.valid & room & ~transport.abort),
            read.addr.eq(self.sent[:width]),
        ]
        with m.If(write.en):
            m.d.sync += written.eq(following)
        stored = Signal()  # what is on the read port had been written when it was read
        m.d.sync += stored.eq(more)

        due, answering, complaining, behind = Signal(), Signal(), Signal(), Signal()
        told = Signal()
        marks = Signal(2)
        block = exact_log2(DEVICE_PAYLOAD)
        half = self._consumed[exact_log2(transport.receive_bytes) - 1]
        size = Const(exact_log2(transport.receive_bytes), 4)

        # The upper half of a number goes out as it was when the lower one did.
        at = Signal(3)
        upper = Signal(4)
        byte = Signal(8)
        stuffed, special = Signal(), Signal()
        m.d.comb += [
            special.eq((byte == END) | (byte == ESCAPE)),
            transport.tx.payload.eq(byte ^ Mux(stuffed, ESCAPED, 0)),
        ]
        with m.If(special & ~stuffed):
            m.d.comb += transport.tx.payload.eq(ESCAPE)
        over = Signal()  # the byte has been taken as a whole
        m.d.comb += [
            over.eq(transport.tx.valid & transport.tx.ready & (stuffed | ~special)),
            crc.valid.eq(over),
            crc.data.eq(byte),
        ]
        with m.If(transport.tx.valid & transport.tx.ready):
            m.d.sync += stuffed.eq(special & ~stuffed)

        with m.FSM(name="send"):
            with m.State("Rest"):
                m.d.comb += [self.idle.eq(1), crc.start.eq(1)]
                m.d.sync += [
                    marks.eq(Mux(answering, ANSWER, 0) | Mux(complaining, NAK, 0)),
                    at.eq(0),
                    behind.eq(0),
                ]
                with m.If(behind):
                    m.d.sync += self.sent.eq(self.kept)
                with m.Elif(
                    ~transport.abort
                    & (
                        due
                        | (half != told)
                        | (written[block:] != self.sent[block:])
                        | (more & (transport.quiet | ~room))
                    )
                ):
                    m.d.sync += [due.eq(0), answering.eq(0), complaining.eq(0), told.eq(half)]
                    m.next = "Header"
            with m.State("Header"):
                m.d.sync += [at.eq(at + 1), byte.eq(Cat(upper, Const(0, 4)))]
                with m.Switch(at):
                    with m.Case(0):
                        m.d.sync += byte.eq(self._session)
                    with m.Case(1):
                        m.d.sync += [byte.eq(self.sent), upper.eq(self.sent[8:])]
                    with m.Case(2):
                        m.d.sync += byte[4:].eq(marks)
                    with m.Case(3):
                        m.d.sync += [byte.eq(self._taken), upper.eq(self._taken[8:])]
                    with m.Case(4):
                        m.d.sync += byte[4:].eq(size)
                    with m.Case(5):
                        m.d.sync += [byte.eq(self._consumed), upper.eq(self._consumed[8:])]
                m.next = "Send header"
            with m.State("Send header"):
                m.d.comb += transport.tx.valid.eq(~crc.busy)
                with m.If(over):
                    m.next = "Header"
                    with m.If(at == DEVICE_HEADER.size):
                        m.next = "Payload"
            with m.State("Payload"):
                m.d.sync += byte.eq(read.data)
                with m.If(stored):
                    m.next = "Send payload"
                with m.Else():
                    m.next = "Settle"
            with m.State("Send payload"):
                m.d.comb += transport.tx.valid.eq(~crc.busy)
                with m.If(over):
                    m.d.sync += self.sent.eq(self.sent + 1)
                    m.next = "Fetch"
            with m.State("Fetch"):
                with m.If(self.sent[:block] == 0):
                    m.next = "Settle"
                with m.Else():
                    m.next = "Payload"
            with m.State("Settle"):
                m.d.sync += at.eq(0)
                m.next = "Trailer"
            with m.State("Trailer"):
                m.d.sync += [byte.eq(~crc.low), at.eq(at + 1)]
                with m.If(~crc.busy):
                    m.next = "Send trailer"
                with m.Else():
                    m.d.sync += at.eq(at)
                with m.If(at[2]):
                    m.next = "End"
            with m.State("Send trailer"):
                m.d.comb += [transport.tx.valid.eq(1), crc.data.eq(~byte)]
                with m.If(over):
                    m.next = "Trailer"
            with m.State("End"):
                m.d.comb += [transport.tx.valid.eq(1), transport.tx.payload.eq(END)]
                # Whatever the last byte looks like.
                m.d.comb += crc.valid.eq(0)
                m.d.sync += stuffed.eq(0)
                with m.If(transport.tx.ready):
                    m.next = "Rest"

        # Later statements win: a request in the cycle in which a frame starts is for the next.
        with m.If(self.respond | self.answer | self.nak):
            m.d.sync += due.eq(1)
        with m.If(self.answer):
            m.d.sync += answering.eq(1)
        with m.If(self.nak):
            m.d.sync += complaining.eq(1)
        with m.If(self.acknowledge):
            m.d.sync += self.kept.eq(self.ack)
        passed = Signal()  # the host has what was to be sent again
        m.d.sync += passed.eq((self.sent - self.ack)[OFFSET_BITS - 1])
        with m.If(self.rewind | (self.acknowledge & passed)):
            m.d.sync += behind.eq(1)
        with m.If(restart):
            m.d.sync += [
                written.eq(0),
                self.kept.eq(0),
                self.sent.eq(0),
                behind.eq(0),
                told.eq(0),
            ]


_BLOCK = {"no_rw_check": 1, "ram_style": "block"}
