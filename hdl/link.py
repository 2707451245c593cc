"""The command engine: commands of `protocol` into requests of a core, its answers into replies."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .arithmetic import selected
from .cluster_shape import CORE_SHIFT, DeviceShape
from .layouts import Request, byte_stream, core_members, done_layout
from .memories import READ_ONLY
from .protocol import (
    DEFAULT_LINK,
    MASK_LINES,
    SHORT_SPIKE_NEURONS,
    ErrorCode,
    InfoReply,
    LinkOptions,
    Opcode,
    shape_digest,
)
from .shape import Memory, index_bits
from .transport import COUNTER_BITS, COUNTERS, Transport


def _core_side(shape: DeviceShape) -> dict[str, wiring.Member]:
    """The ports of a core from the other side, those that a host has to do with."""
    inner = ("digest", "trace")
    return {n: member.flip() for n, member in core_members(shape).items() if n not in inner}


class Link(wiring.Component):
    """The whole way from a line of bytes to a core.

    Parameters
    ----------
    shape : the core's
    configured : whether the core holds an image from the start
    options : the clock that INFO reports, and the sizes of the buffers of `Transport`

    Members
    -------
    rx, tx : bytes from and to the host, see `framing`
    events, requests, spikes, done, access, response, learn, unsound : as of `Core`, from the other
        side
    """

    def __init__(
        self,
        shape: DeviceShape,
        configured: bool = False,
        options: LinkOptions = DEFAULT_LINK,
    ) -> None:
        self._shape = shape
        self._options = options
        self._info = InfoReply(
            shape=shape_digest(shape),
            receive_bytes=options.receive_bytes,
            replay_bytes=options.replay_bytes,
            clock_hz=options.clock_hz,
            configured=configured,
        )
        super().__init__({"rx": In(byte_stream()), "tx": Out(byte_stream()), **_core_side(shape)})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        options = self._options
        transport = Transport(options.receive_bytes, options.replay_bytes)
        m.submodules.transport = transport
        m.submodules.commands = commands = Commands(self._shape, self._info)
        connect(m, flipped(self.rx), transport.rx)
        connect(m, transport.tx, flipped(self.tx))
        connect(m, transport.commands, commands.commands)
        connect(m, commands.replies, transport.replies)
        m.d.comb += [
            transport.quiet.eq(commands.quiet),
            transport.aborted.eq(commands.aborted),
            transport.clear.eq(commands.clear),
            commands.abort.eq(transport.abort),
            commands.counters.eq(transport.counters),
        ]
        for name in ("events", "requests", "access"):
            connect(m, getattr(commands, name), flipped(getattr(self, name)))
        for name in ("spikes", "done", "response"):
            connect(m, flipped(getattr(self, name)), getattr(commands, name))
        if self._shape.learning is not None:
            m.d.comb += self.learn.eq(commands.learn)
        if self._shape.parity:
            m.d.comb += commands.unsound.eq(self.unsound)
        return m


def report_bytes(shape: DeviceShape) -> int:
    """Bytes of a DONE: the whole report of a step."""
    bits: int = done_layout(shape).size
    return -(-bits // 8)


class Commands(wiring.Component):
    """Commands in, replies out.

    Events go to the core while a step may still run; every other command waits for its end.

    Members
    -------
    commands, replies : the streams of `Transport`
    quiet : no command is under way and nothing will be said before the next one comes
    abort : commands are over: give up the one under way ...
    aborted : ... done, and the core says nothing more
    counters, clear : what STATUS reports, and that it wants them cleared
    events, requests, spikes, done, access, response, learn, unsound : as of `Core`, from the other
        side
    """

    def __init__(self, shape: DeviceShape, info: InfoReply) -> None:
        self._shape = shape
        self._info = info
        super().__init__(
            {
                "commands": In(byte_stream()),
                "replies": Out(byte_stream()),
                "quiet": Out(1),
                "abort": In(1),
                "aborted": Out(1),
                "counters": In(COUNTER_BITS * len(COUNTERS)),
                "clear": Out(1),
                **_core_side(shape),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        widest = max(shape.word_bytes(memory) for memory in shape.memories)
        deepest = max(shape.depth(memory) for memory in shape.memories)
        width = max(index_bits(deepest), index_bits(shape.inputs), 1)

        opcode = Signal(4)
        memory = Signal(max(CORE_SHIFT, max(shape.memories).bit_length()))
        address = Signal(width)
        over = Signal()  # the address has higher bits
        count = Signal(16)
        place = Signal(range(max(widest, 8)))  # of a byte in the operands or in a word
        word = Signal(8 * widest)
        byte = self.commands.payload
        bits = Signal(8)
        arrives, wanted = Signal(), Signal()
        m.d.comb += [
            self.commands.ready.eq(wanted),
            arrives.eq(self.commands.valid & wanted),
            self.events.payload.eq(address),
            self.access.payload.memory.eq(memory),
            self.access.payload.address.eq(address),
            self.access.payload.byte.eq(place),
            self.access.payload.data.eq(word),
        ]

        # Looking a memory up takes three cycles: numbers, sum, comparison.
        depth, past = Signal(width + 1), Signal(width + 2)
        last = Signal.like(place)  # byte of a word
        known, inside, excess = Signal(), Signal(), Signal()
        waited = place[:2]
        reads = opcode == Opcode.READ
        m.d.sync += [
            known.eq(0),
            past.eq(address + count[: width + 1]),
            excess.eq(over | count[width + 1 :].any()),
            inside.eq((past <= depth) & ~excess),
        ]
        with m.Switch(memory):
            for number in shape.memories:
                with m.Case(number):
                    readable = shape.readable(number)
                    read_only = number % (1 << CORE_SHIFT) in READ_ONLY
                    writable = not read_only and not shape.constant
                    m.d.sync += [
                        known.eq(Mux(reads, Const(readable, 1), Const(writable, 1))),
                        depth.eq(shape.depth(number)),
                        last.eq(shape.word_bytes(number) - 1),
                    ]
        line = Signal()  # the address is an input
        m.d.comb += line.eq((address < shape.inputs) & ~over)

        configured = Signal(init=self._info.configured)
        begun, identified = Signal(), Signal()
        speak = _Speaker(self, m, self._info.encode(), configured)
        at_rest = Signal()
        m.d.comb += at_rest.eq(speak.idle & ~speak.stepping)

        def refuse(reason: ErrorCode) -> None:
            m.d.sync += bits.eq(reason)
            m.next = "Refuse"

        def step_on() -> None:
            m.d.sync += count.eq(count - 1)

        def move_on() -> None:
            m.d.sync += [address.eq(address + 1), over.eq(over | address.all())]

        m.d.comb += self.quiet.eq(wanted & ~self.commands.valid & at_rest)
        with m.FSM():
            with m.State("Take opcode"):
                m.d.comb += [wanted.eq(1), self.aborted.eq(self.abort & at_rest)]
                m.d.sync += [address.eq(0), over.eq(0), place.eq(0)]
                with m.If(arrives):
                    m.d.sync += opcode.eq(Mux(byte[4:].any(), 0, byte))
                    m.next = "Decode"
            with m.State("Decode"), m.Switch(opcode):
                with m.Case(Opcode.EVENTS, Opcode.MASK, Opcode.TICK):
                    m.d.sync += place.eq(Mux(opcode == Opcode.EVENTS, 4, 1))
                    with m.If(~configured):
                        refuse(ErrorCode.NOT_CONFIGURED)
                    if shape.parity:
                        with m.Elif(self.unsound):
                            refuse(ErrorCode.DAMAGED)
                    with m.Elif(opcode == Opcode.TICK):
                        m.next = "Request"
                    with m.Else():
                        m.next = "Take operands"
                with m.Case(Opcode.CLEAR), m.If(at_rest):
                    m.next = "Request"
                with m.Case(Opcode.BEGIN), m.If(at_rest):
                    if shape.constant:
                        refuse(ErrorCode.BAD_CONFIGURATION)
                    else:
                        m.d.sync += [configured.eq(0), begun.eq(1), identified.eq(0)]
                        m.next = "Take opcode"
                with m.Case(Opcode.READ, Opcode.WRITE), m.If(at_rest):
                    m.next = "Take operands"
                with m.Case(Opcode.COMMIT), m.If(at_rest):
                    m.d.sync += begun.eq(0)
                    with m.If(begun & identified):
                        m.d.sync += configured.eq(1)
                        speak.say(Opcode.COMMITTED)
                        m.next = "Take opcode"
                    with m.Else():
                        refuse(ErrorCode.BAD_CONFIGURATION)
                with m.Case(Opcode.STATUS), m.If(at_rest):
                    speak.say(Opcode.STATUS_REPLY)
                    m.next = "Take opcode"
                with m.Case(Opcode.INFO), m.If(at_rest):
                    speak.say(Opcode.INFO_REPLY)
                    m.next = "Take opcode"
                if shape.learning is not None:
                    with m.Case(Opcode.LEARN, Opcode.REST), m.If(at_rest):
                        m.d.sync += self.learn.eq(opcode == Opcode.LEARN)
                        m.next = "Take opcode"
                with m.Default():
                    refuse(ErrorCode.UNKNOWN_COMMAND)

            with m.State("Take operands"):
                m.d.comb += wanted.eq(1)
                with m.If(self.abort):
                    m.next = "Take opcode"
                with m.Elif(arrives):
                    m.d.sync += place.eq(place + 1)
                    with m.Switch(place):
                        with m.Case(0):
                            m.d.sync += memory.eq(Mux(byte[len(memory) :].any(), ~0, byte))
                        with m.Case(1, 2, 3):
                            _take_byte(m, address, over, byte, place)
                        with m.Case(4):
                            m.d.sync += count[:8].eq(byte)
                        with m.Default():
                            m.d.sync += [count[8:].eq(byte), place.eq(0)]
                            m.next = "Loop"
                            with m.If(opcode[3] | opcode[2]):
                                m.next = "Look up"
            with m.State("Loop"):
                m.d.sync += place.eq(0)
                with m.If((count == 0) | self.abort):
                    m.next = "Take opcode"
                    with m.If(~self.abort & (opcode == Opcode.WRITE)):
                        speak.say(Opcode.WRITTEN)
                with m.Else(), m.Switch(opcode):
                    with m.Case(Opcode.EVENTS):
                        m.d.sync += place.eq(1)
                        m.next = "Take source"
                    with m.Case(Opcode.MASK):
                        m.next = "Take mask"
                    with m.Case(Opcode.WRITE):
                        m.next = "Take word"
                    with m.Default(), m.If(speak.idle):
                        m.next = "Fetch"

            with m.State("Take source"):
                m.d.comb += wanted.eq(1)
                m.d.sync += over.eq(0)
                with m.If(self.abort):
                    m.next = "Take opcode"
                with m.Elif(arrives):
                    m.d.sync += place.eq(2)
                    _take_byte(m, address, over, byte, place, last=2)
                    with m.If(place[1]):
                        m.next = "Event"
            with m.State("Event"):
                with m.If(line):
                    m.d.comb += self.events.valid.eq(1)
                    with m.If(self.events.ready):
                        step_on()
                        m.next = "Loop"
                with m.Else():
                    refuse(ErrorCode.BAD_SOURCE)
            with m.State("Take mask"):
                m.d.comb += wanted.eq(1)
                m.d.sync += bits.eq(byte)
                with m.If(self.abort):
                    m.next = "Take opcode"
                with m.Elif(arrives):
                    m.next = "Mask"
            with m.State("Mask"):
                with m.If(bits[0] & ~line):
                    refuse(ErrorCode.BAD_SOURCE)
                with m.Else():
                    m.d.comb += self.events.valid.eq(bits[0])
                    with m.If(self.events.ready | ~bits[0]):
                        move_on()
                        m.d.sync += [bits.eq(bits >> 1), place.eq(place + 1)]
                        with m.If(place[:3] == MASK_LINES - 1):
                            step_on()
                            m.next = "Loop"

            with m.State("Request"):
                # A step may be asked for once the one before has been reported.
                clear = opcode == Opcode.CLEAR
                m.d.comb += [
                    self.requests.valid.eq(~speak.stepping),
                    self.requests.payload.eq(Mux(clear, Request.CLEAR, Request.TICK)),
                ]
                with m.If(self.requests.valid & self.requests.ready):
                    m.d.sync += [speak.stepping.eq(1), speak.clearing.eq(clear)]
                    m.next = "Take opcode"

            with m.State("Look up"):
                m.d.sync += place.eq(place + 1)
                with m.If(waited == 3):
                    m.next = "Loop"
                    with m.If(~known):
                        refuse(ErrorCode.BAD_MEMORY)
                    with m.Elif(~inside):
                        refuse(ErrorCode.BAD_ADDRESS)
                    with m.Elif(reads):
                        speak.say(Opcode.DATA)
                    with m.Else():
                        m.d.sync += [configured.eq(0), identified.eq(memory == Memory.DIGEST)]

            with m.State("Take word"):
                m.d.comb += wanted.eq(1)
                with m.If(self.abort):
                    m.next = "Take opcode"
                with m.Elif(arrives):
                    m.d.sync += place.eq(place + 1)
                    for at in range(widest):
                        with m.If(place == at):
                            m.d.sync += word.word_select(at, 8).eq(byte)
                    with m.If(place == last):
                        m.next = "Write"
            with m.State("Write"):
                m.d.comb += [self.access.valid.eq(1), self.access.payload.write.eq(1)]
                with m.If(self.access.ready):
                    step_on()
                    move_on()
                    m.next = "Loop"

            with m.State("Fetch"):
                m.d.comb += self.access.valid.eq(1)
                with m.If(self.access.ready):
                    m.next = "Fetched"
            with m.State("Fetched"), m.If(self.response.valid):
                m.d.sync += bits.eq(self.response.payload)
                m.next = "Send byte"
            with m.State("Send byte"):
                m.d.comb += speak.byte.eq(1)
                with m.If(self.replies.ready):
                    m.d.sync += place.eq(place + 1)
                    m.next = "Fetch"
                    with m.If(place == last):
                        step_on()
                        move_on()
                        m.next = "Loop"

            with m.State("Refuse"), m.If(at_rest):
                speak.say(Opcode.ERROR)
                m.next = "Refused"
            with m.State("Refused"):
                m.d.comb += wanted.eq(1)
                with m.If(self.abort):
                    m.next = "Take opcode"
        with m.If(self.abort):
            # What was begun in one session is not completed in another.
            m.d.sync += begun.eq(0)
        m.d.comb += speak.loose.eq(bits)
        return m


def _take_byte(
    m: Module, address: Signal, over: Signal, byte: Value, place: Signal, last: int = 3
) -> None:
    """Put an operand's byte where it belongs in an address, or note that it is too large."""
    for at in range(last):
        low = 8 * at
        with m.If(place[:2] == at + 1):
            kept = byte[: max(len(address) - low, 0)]
            m.d.sync += address[low : low + 8].eq(kept)
            with m.If(byte[len(kept) :].any()):
                m.d.sync += over.eq(1)


class _Speaker:
    """The half of `Commands` that makes replies: what the core says, and what it is told to say."""

    def __init__(self, commands: Commands, m: Module, info: bytes, configured: Signal) -> None:
        self._m = m
        shape = commands._shape
        self.idle = Signal()
        self.byte, self.loose = Signal(), Signal(8)
        self.stepping, self.clearing = Signal(), Signal()
        # The lower half of the reply's first byte.
        self._kind = Signal(4)
        # How many bytes follow the first.
        sizes = {
            Opcode.SPIKE: 2,
            Opcode.DONE: report_bytes(shape),
            Opcode.INFO_REPLY: len(info),
            Opcode.STATUS_REPLY: len(COUNTERS),
            Opcode.ERROR: 1,
        }
        size = Signal(range(max(sizes.values()) + 1))
        with m.Switch(self._kind):
            for opcode, number_of_bytes in sizes.items():
                with m.Case(opcode & 0xF):
                    m.d.comb += size.eq(number_of_bytes)
        self._told = Signal()
        replies = commands.replies
        head = Cat(self._kind, 0, (self._kind == Opcode.ERROR & 0xF).replicate(2), 1)

        # What the core says stays on its stream until all bytes of it have been sent.
        spikes, done = commands.spikes, commands.done
        long = shape.neurons > SHORT_SPIKE_NEURONS
        number = Signal(16)
        m.d.comb += number.eq(spikes.payload)
        index = Signal.like(size)
        tables: list[Value] = [configured, *(Const(byte, 8) for byte in info[1:])]
        counters = [commands.counters.word_select(k, 8) for k in range(len(COUNTERS))]
        value = Signal(8)
        report = done.payload.as_value()
        parts = [report[at : at + 8] for at in range(0, len(report), 8)]
        with m.Switch(self._kind):
            with m.Case(Opcode.INFO_REPLY & 0xF):
                m.d.comb += value.eq(selected(tables, index))
            with m.Case(Opcode.STATUS_REPLY & 0xF):
                m.d.comb += value.eq(selected(counters, index))
            with m.Case(Opcode.DONE & 0xF):
                m.d.comb += value.eq(selected(parts, index))
            with m.Case(Opcode.ERROR & 0xF):
                m.d.comb += value.eq(self.loose)
            with m.Default():
                low_first = index[0] ^ (not long)
                m.d.comb += value.eq(Mux(low_first, number[8:], number[:8]))
        m.d.comb += replies.payload.eq(value)

        with m.FSM(name="speak"):
            with m.State("Rest"):
                m.d.comb += [self.idle.eq(~self._told), replies.valid.eq(self.byte)]
                with m.If(self.byte):
                    m.d.comb += replies.payload.eq(self.loose)
                m.d.sync += index.eq(0)
                with m.If(self._told):
                    m.d.sync += self._told.eq(0)
                    m.next = "Say head"
                with m.Elif(self.stepping & spikes.valid):
                    m.d.sync += self._kind.eq(Opcode.SPIKE & 0xF)
                    m.next = "Say head" if long else "Say rest"
                with m.Elif(self.stepping & done.valid):
                    m.d.sync += self._kind.eq(Mux(self.clearing, Opcode.CLEARED, Opcode.DONE))
                    m.next = "Say head"
            with m.State("Say head"):
                m.d.comb += [replies.valid.eq(1), replies.payload.eq(head)]
                with m.If(replies.ready):
                    m.next = "Say rest"
                    with m.If(size == 0):
                        m.next = "Said"
            with m.State("Say rest"):
                m.d.comb += replies.valid.eq(1)
                with m.If(replies.ready):
                    m.d.sync += index.eq(index + 1)
                    with m.If(index + 1 == size):
                        m.next = "Said"
            with m.State("Said"):
                m.d.comb += [
                    spikes.ready.eq(self._kind == Opcode.SPIKE & 0xF),
                    done.ready.eq(
                        (self._kind == Opcode.DONE & 0xF) | (self._kind == Opcode.CLEARED & 0xF)
                    ),
                    commands.clear.eq(self._kind == Opcode.STATUS_REPLY & 0xF),
                ]
                with m.If(done.ready):
                    m.d.sync += self.stepping.eq(0)
                m.next = "Rest"

    def say(self, head: Opcode) -> None:
        """Say a reply, only while `idle`; the operand of an ERROR is `loose`."""
        self._m.d.sync += [self._told.eq(1), self._kind.eq(head & 0xF)]
