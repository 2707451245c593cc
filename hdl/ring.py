"""A ring of slots between the cores of a cluster: every spike passes every core once, or again.

There is a station for each core and one for the input lines. Each holds one slot, and in every
cycle all slots move on by one station. A slot carries a source and the cores it still has to go
to. A core that is one of them takes it if it has room, and strikes itself off; a slot that nobody
needs any more is free, and the next station with something to say puts it in.

**No deadlock, by construction.** Slots move in every cycle, whatever happens: nothing on the ring
ever waits for anything, so nothing can wait in a circle. A core without room lets the packet pass
and sees it again a lap later. What a core has taken it adds without needing the ring: the spikes
it makes meanwhile are in a list as long as a step can make it, filled by nobody but itself. So
every core makes room after a finite time, every lap of a packet that waits finds it or another one
taken, and as a step has finitely many spikes it ends (nothing can starve for ever either).

No signal runs further than from one station to the next, whatever their number.
"""

from __future__ import annotations

from typing import Final

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from .cluster_shape import ClusterShape
from .memories import Bank, HostSignature
from .shape import index_bits

# Packets that wait before a core; a memory made of logic has so many words anyway.
ROOM: Final = 16
# A table of so few words is built of registers.
_FEW: Final = 32


def packet_layout(shape: ClusterShape) -> data.StructLayout:
    """A source, and the cores it has to go to; none of them: a free slot."""
    return data.StructLayout({"source": shape.source_bits, "cores": len(shape.cores)})


class Sender(wiring.Component):
    """Sources of one station with the cores they go to, looked up in its table.

    Parameters
    ----------
    shape : cluster
    node : core, or number of cores for the input lines
    routes : what the table holds at power-on

    Members
    -------
    numbers : input lines, or neurons of the core
    packets : those that go anywhere; one in two cycles at most
    quiet : nothing is under way
    host : the host's access to the table; only while quiet
    word : the table's word, a cycle after an access
    """

    def __init__(self, shape: ClusterShape, node: int, routes: list[int]) -> None:
        self._shape, self._node, self._init = shape, node, routes
        depth = shape.routes(node)
        layout = data.StructLayout({"cores": len(shape.cores)})
        self._bank = Bank(
            layout,
            depth,
            len(shape.cores),
            routes,
            style="auto" if depth <= _FEW else "block",
        )
        super().__init__(
            {
                "numbers": In(stream.Signature(index_bits(depth))),
                "packets": Out(stream.Signature(packet_layout(shape))),
                "quiet": Out(1),
                "host": In(HostSignature(index_bits(depth), 1, len(shape.cores))),
                "word": Out(len(shape.cores)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape, node = self._shape, self._node
        m.submodules.table = table = self._bank
        connect(m, flipped(self.host), table.host)
        base = 0 if node == len(shape.cores) else shape.inputs + shape.bases[node]
        waits, moves = Signal(), Signal()
        number = Signal.like(self.numbers.payload)
        packet = self.packets.payload
        m.d.comb += [
            # Decided by registers alone, so that a full ring does not reach back into the list.
            self.numbers.ready.eq(~waits),
            moves.eq(waits & ~self.packets.valid),
            table.read.addr.eq(self.numbers.payload),
            table.read.en.eq(self.numbers.valid & ~waits),
            self.word.eq(table.read.data.cores),
            self.quiet.eq(~waits & ~self.packets.valid),
        ]
        with m.If(~waits):
            m.d.sync += [waits.eq(self.numbers.valid), number.eq(self.numbers.payload)]
        with m.Elif(moves):
            m.d.sync += waits.eq(0)
        with m.If(moves):
            m.d.sync += [
                packet.source.eq(number + base),
                packet.cores.eq(table.read.data.cores),
                self.packets.valid.eq(table.read.data.cores.any()),
            ]
        with m.Elif(self.packets.ready):
            m.d.sync += self.packets.valid.eq(0)
        return m


class Station(wiring.Component):
    """Where one core, or the input lines, meet the ring.

    Parameters
    ----------
    shape : cluster
    node : core, or number of cores for the input lines, which take nothing

    Members
    -------
    arriving, leaving : the slot of the station before, and that for the next
    packets : to be put on the ring
    lines : input lines of the core that have spiked, by its own numbering
    quiet : neither the slot nor anything behind it holds a packet
    """

    def __init__(self, shape: ClusterShape, node: int) -> None:
        self._shape, self._node = shape, node
        members = {
            "arriving": In(packet_layout(shape)),
            "leaving": Out(packet_layout(shape)),
            "packets": In(stream.Signature(packet_layout(shape))),
            "quiet": Out(1),
        }
        if node < len(shape.cores):
            lines = index_bits(shape.cores[node].inputs)
            members["lines"] = Out(stream.Signature(lines))
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape, node = self._shape, self._node
        slot = self.arriving
        left = Signal(len(shape.cores))
        m.d.comb += left.eq(slot.cores)
        occupied = self.leaving.cores.any()
        if node == len(shape.cores):
            m.d.comb += self.quiet.eq(~occupied)
        else:
            m.submodules.waiting = waiting = fifo.SyncFIFO(width=shape.source_bits, depth=ROOM)
            m.d.comb += [
                waiting.w_data.eq(slot.source),
                waiting.w_en.eq(slot.cores[node]),
            ]
            # The core's own neurons have no line, so those behind them have one of a lower number.
            core = shape.cores[node]
            first = shape.inputs + shape.bases[node]
            source = waiting.r_data
            moves = ~self.lines.valid | self.lines.ready
            with m.If(waiting.w_rdy):
                m.d.comb += left[node].eq(0)
            m.d.comb += [
                waiting.r_en.eq(moves),
                self.quiet.eq(~occupied & ~waiting.r_rdy & ~self.lines.valid),
            ]
            with m.If(moves):
                m.d.sync += [
                    self.lines.valid.eq(waiting.r_rdy),
                    self.lines.payload.eq(Mux(source < first, source, source - core.neurons)),
                ]
        m.d.comb += self.packets.ready.eq(self.packets.valid & ~left.any())
        with m.If(~left.any()):
            m.d.sync += self.leaving.cores.eq(0)
            with m.If(self.packets.valid):
                m.d.sync += self.leaving.eq(self.packets.payload)
        with m.Else():
            m.d.sync += [self.leaving.source.eq(slot.source), self.leaving.cores.eq(left)]
        return m


class Funnel(wiring.Component):
    """Spikes of all cores, one behind the other, for the host: core k's joins those before it.

    One spike in two cycles, which is more than a line of bytes takes.

    Members
    -------
    from_0, from_1, ... : neurons of each core
    spikes : neurons of the cluster
    quiet : none is under way
    """

    def __init__(self, shape: ClusterShape) -> None:
        self._shape = shape
        members = {
            f"from_{k}": In(stream.Signature(index_bits(core.neurons)))
            for k, core in enumerate(shape.cores)
        }
        super().__init__(
            {
                **members,
                "spikes": Out(stream.Signature(index_bits(shape.neurons))),
                "quiet": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape = self._shape
        before: stream.Interface | None = None
        quiet = []
        for k, base in enumerate(shape.bases):
            own = getattr(self, f"from_{k}")
            out = stream.Signature(index_bits(shape.neurons)).create(path=(f"joined_{k}",))
            quiet.append(~out.valid)
            # A register is filled only when it is empty: no chain of readiness through all cores.
            with m.If(out.valid), m.If(out.ready):
                m.d.sync += out.valid.eq(0)
            with m.Else():
                m.d.comb += own.ready.eq(1)
                m.d.sync += [out.valid.eq(own.valid), out.payload.eq(own.payload + base)]
                if before is not None:
                    m.d.comb += before.ready.eq(~out.valid)
                    with m.If(before.valid):
                        m.d.comb += own.ready.eq(0)
                        m.d.sync += [out.valid.eq(1), out.payload.eq(before.payload)]
            before = out
        assert before is not None
        connect(m, before, flipped(self.spikes))
        m.d.comb += self.quiet.eq(Cat(quiet).all())
        return m
