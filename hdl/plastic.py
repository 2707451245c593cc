"""Weights that learn: read for an event, changed on the way, and changed for a post spike.

=====  ==================================================================================
cycle  one word of a row, or L weights of a column
=====  ==================================================================================
0      address of each bank; which terms
1      L weights and L terms in
2      both in registers
3      both turned, if words are: weights to lanes, terms to banks
[4]    noise added to the terms, if rounding is stochastic
4      w + term
5      clamped; written back at the end of the cycle; weights to the accumulators in 4
=====  ==================================================================================

Where words are not turned everything behind is a cycle earlier. A weight that is read so soon that
what comes before is not yet written would be read as it was: rows of a step have no weight in
common, nor have columns, and the core lets one kind end before the other begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib import memory as ram
from amaranth.lib.wiring import In, Out

from ..ir.plasticity import LFSR_TAPS, SDSP, TraceSTDP, Update
from .cycles import ISSUE, update_stage
from .image import CoreImage
from .learning import Learning, digits, first_term, shift_of, term_form
from .memories import HostSignature
from .shape import CoreShape, Memory, index_bits
from .turn import Turn, halves, swaps


def term_shape(learning: Learning) -> Shape:
    """Amaranth's shape of a term."""
    kept = term_form(learning)
    return signed(kept.bits) if kept.signed else unsigned(kept.bits)


def term_blocks(shape: CoreShape, learning: Learning) -> int:
    """Words of terms that pre neurons add."""
    return learning.blocks(shape.lanes) if learning.columns else 0


def term_words(shape: CoreShape, learning: Learning) -> int:
    """Words of terms: blocks of pre neurons, then groups of post neurons."""
    return term_blocks(shape, learning) + (learning.groups if learning.rule.rows else 0)


class TermSignature(wiring.Signature):
    """U terms that take the place of others: chunk ``chunk`` of word ``word``."""

    def __init__(self, shape: CoreShape, learning: Learning) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "word": Out(index_bits(term_words(shape, learning))),
                "chunk": Out(index_bits(shape.beats)),
                "terms": Out(data.ArrayLayout(term_shape(learning), shape.units)),
            }
        )


class RowSignature(wiring.Signature):
    """A word of a row to be read: the group of its post neurons, and whether its row is plastic."""

    def __init__(self, shape: CoreShape) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "address": Out(index_bits(shape.words)),
                "group": Out(index_bits(shape.groups)),
                "plastic": Out(1),
            }
        )


class ColumnSignature(wiring.Signature):
    """L weights of the post neuron in the lane of plane ``lane``: at ``address`` of all planes.

    They are those of the pre neurons whose terms are in word ``block``.
    """

    def __init__(self, shape: CoreShape, learning: Learning) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "address": Out(index_bits(shape.plane_words)),
                "lane": Out(index_bits(shape.lanes)),
                "block": Out(index_bits(learning.blocks(shape.lanes))),
            }
        )


class PlasticWeights(wiring.Component):
    """The weight memory of a core that learns, and what changes it.

    Members
    -------
    row : a word to read, at most one a cycle
    lanes : its weights in order of neurons, `issue_cycles` later
    column : weights to change, if the rule changes columns; never with a row
    fresh : the post neurons are as a clear leaves them; their terms are those of zero
    learn : weights change; constant while busy
    terms : what a post or a pre neuron adds to its weights from now on
    refresh : the row's word drifts to its rails instead, if the rule has that
    seed : the generator starts anew, if there is one
    busy : what a column, a refresh or the host changes has not been written yet
    idle : nothing is under way
    host : access by the host, to banks in order; a word is written a few cycles later
    word : what was read, two cycles later
    """

    def __init__(self, shape: CoreShape, learning: Learning, image: CoreImage) -> None:
        self._shape, self._learning = shape, learning
        self._swapped = (
            learning.skewed
            and learning.rotator == "multiplier"
            and halves(shape.lanes) == 2
            and shape.beats % 2 == 0
        )
        self._words = image.pack(Memory.WEIGHTS)
        # The memories of the banks, for simulations to look into.
        self.banks: list[ram.Memory] = []
        bits = shape.weight_bits + 1
        members: dict[str, Any] = {
            "row": In(RowSignature(shape)),
            "lanes": Out(data.ArrayLayout(signed(shape.weight_bits), shape.lanes)),
            "fresh": In(1),
            "learn": In(1),
            "terms": In(TermSignature(shape, learning)),
            "busy": Out(1),
            "idle": Out(1),
            "host": In(HostSignature(index_bits(shape.words), shape.lanes, bits)),
            "word": Out(shape.lanes * bits),
        }
        if learning.columns:
            members["column"] = In(ColumnSignature(shape, learning))
        if learning.refreshes:
            members["refresh"] = In(1)
        if learning.stochastic:
            members["seed"] = In(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape, learning, row, host = self._shape, self._learning, self.row, self.host
        lanes, bits, skewed = shape.lanes, shape.weight_bits, learning.skewed
        inner = index_bits(shape.plane_words)
        # The cycles in which terms are added, and in which the sums are about to be written.
        stage = update_stage(shape)
        at = stage - 2

        column_valid: Value = self.column.valid if learning.columns else Const(0, 1)
        by_column = _line(m, column_valid, "by_column", stage)
        operation = _line(m, row.valid | column_valid, "operation", stage)
        by_host = _line(m, host.active & host.write, "by_host", stage)
        written = _line(m, Mux(host.active & host.write, host.data, 0), "written", stage)
        refresh: Value = self.refresh if learning.refreshes else Const(0, 1)
        drifts = _line(m, refresh, "refresh", stage)
        m.d.comb += [
            self.busy.eq(Cat(*by_column, *drifts, *by_host).any()),
            self.idle.eq(~Cat(*operation, *by_host).any()),
        ]

        # Cycle 0: every bank its address; cycle 1: weights.
        common = Signal(index_bits(shape.words))
        m.d.comb += common.eq(Mux(host.active, host.address, row.address))
        plane: Value = common[inner:] if skewed else Const(0, 0)
        low = common[:inner] if skewed else common
        lane: Value = self.column.lane if learning.columns else Const(0, 0)
        read_words: list[Value] = []
        writes = []
        for bank in range(lanes):
            address: Value = low
            if skewed:
                own: Value = plane
                if learning.columns:
                    own = Signal(len(plane), name=f"plane_{bank}")
                    m.d.comb += own.eq(Mux(column_valid, _opposite(lane, bank, lanes), plane))
                    address = Mux(column_valid, self.column.address, low)
                address = Cat(address, own)
            memory = ram.Memory(
                shape=bits + 1,
                depth=shape.words,
                init=[word >> bank * (bits + 1) & ((1 << (bits + 1)) - 1) for word in self._words],
                attrs={"ram_style": "block", "no_rw_check": 1},
            )
            m.submodules[f"bank_{bank}"] = memory
            self.banks.append(memory)
            read, write = memory.read_port(), memory.write_port()
            m.d.comb += [
                read.addr.eq(address),
                read.en.eq(operation[0] | host.active),
                write.addr.eq(_line(m, address, f"address_{bank}", stage)[stage]),
            ]
            read_words.append(read.data)
            writes.append(write)
        # Cycle 2: in registers; terms turned to banks by cycle 3.
        old = [
            _line(m, w[:bits].as_signed(), f"old_{n}", stage - 1) for n, w in enumerate(read_words)
        ]
        enable = [_line(m, w[bits], f"enable_{n}", stage - 1) for n, w in enumerate(read_words)]
        m.d.comb += self.word.eq(Cat((old[n][1], enable[n][1]) for n in range(lanes)))
        planes = _line(m, plane, "plane", stage)
        added = self._read_terms(m, by_column)
        if skewed:
            amount = planes[1]
            if learning.columns:
                amount = Mux(by_column[1], _line(m, lane, "lane", 1)[1], amount)
            turn = Turn(m, amount, lanes, learning.rotator, "up", up=True, swapped=self._swapped)
            added = turn.of(m, added, "term")
        if learning.stochastic:
            added = self._noisy(m, added, operation, by_column)
        elif term_form(learning).signed:
            added = [term.as_signed() for term in added]

        learned: list[Value] = []
        for bank in range(lanes):
            before, term = old[bank][at - 1], added[bank]
            if isinstance(learning.rule, SDSP) and learning.refreshes:
                up = before >= learning.rule.refresh_threshold
                term = Mux(drifts[at], Mux(up, 1, -1), term)
            total = Signal((before + term).shape(), name=f"total_{bank}")
            m.d.sync += total.eq(before + term)
            # What the host writes goes the same way, added to nothing behind the clamp.
            with m.If(by_host[at]):
                m.d.sync += total.eq(0)
            outside = Const(1, 1) if learning.w_min <= 0 <= learning.w_max else ~by_host[at + 1]
            clamped = Mux(
                _above(total, learning.w_max) & outside,
                Const(learning.w_max, signed(bits)),
                Mux(
                    _below(total, learning.w_min) & outside,
                    Const(learning.w_min, signed(bits)),
                    total[:bits].as_signed(),
                ),
            )
            new = Signal(signed(bits), name=f"new_{bank}")
            m.d.sync += new.eq(clamped | written[at + 1][:bits].as_signed())
            takes = operation[stage] & enable[bank][stage - 1] & self.learn
            if not learning.rule.rows:
                takes = takes & by_column[stage]
            part = _line(m, host.parts[bank], f"part_{bank}", stage)[stage]
            m.d.comb += [
                writes[bank].data.eq(
                    Cat(new, (enable[bank][stage - 1] & ~by_host[stage]) | written[stage][bits])
                ),
                writes[bank].en.eq(takes | (by_host[stage] & part)),
            ]
            learned.append(Mux(takes, new, old[bank][stage - 1]))

        # The weights that are sent on, turned back to lanes.
        sent = learned if learning.after else [o[1] for o in old]
        if skewed:
            behind = stage if learning.after else ISSUE
            down = Turn(m, planes[behind - 1], lanes, learning.rotator, "down", up=False)
            sent = [
                _line(m, w, f"sent_{n}", 1)[1] for n, w in enumerate(down.of(m, sent, "weight"))
            ]
        m.d.comb += self.lanes.as_value().eq(Cat(sent))
        return m

    def _read_terms(self, m: Module, by_column: Sequence[Value]) -> list[Value]:
        """The terms for what cycle 0 reads, in cycle 2: of lanes, or of the rows of a block."""
        shape, learning = self._shape, self._learning
        width = term_shape(learning).width
        depth, blocks = term_words(shape, learning), term_blocks(shape, learning)
        word = Signal(index_bits(depth))
        m.d.comb += word.eq(self.row.group - (learning.first_group - blocks))
        turns = self.row.address[index_bits(shape.plane_words) :]
        if learning.columns:
            with m.If(self.column.valid):
                m.d.comb += word.eq(self.column.block)
            turns = Mux(self.column.valid, self.column.lane, turns)
        # Kept twice, once with the halves of a word swapped: what an address does is no logic.
        swap = swaps(turns, shape.lanes) if self._swapped else Const(0, 0)
        half = shape.beats // 2
        found: list[Value] = []
        for chunk in range(shape.beats):
            memory = ram.Memory(
                shape=shape.units * width,
                depth=depth << len(swap),
                init=[],
                attrs={"ram_style": "block", "no_rw_check": 1},
            )
            m.submodules[f"terms_{chunk}"] = memory
            read, write = memory.read_port(), memory.write_port()
            own = self.terms.chunk == chunk
            other = self.terms.chunk == (chunk + half) % shape.beats
            m.d.comb += [
                read.addr.eq(Cat(swap, word)),
                write.addr.eq(Cat(other if self._swapped else Const(0, 0), self.terms.word)),
                write.data.eq(self.terms.terms.as_value()),
                write.en.eq(self.terms.valid & (own | other if self._swapped else own)),
            ]
            register = Signal(shape.units * width, name=f"term_word_{chunk}")
            m.d.sync += register.eq(read.data)
            with m.If(self.fresh & ~by_column[1]):
                first = first_term(learning) & ((1 << width) - 1)
                m.d.sync += register.eq(Cat(Const(first, width) for _ in range(shape.units)))
            found += [register[at : at + width] for at in range(0, len(register), width)]
        return found

    def _noisy(
        self,
        m: Module,
        products: Sequence[Value],
        operation: Sequence[Value],
        by_column: Sequence[Value],
    ) -> list[Value]:
        """offset + sign floor((product + r) / 2^s) of each bank, a cycle later."""
        learning = self._learning
        rule = learning.rule
        assert isinstance(rule, TraceSTDP)
        shift = term_form(learning).shift
        at = ISSUE + 1
        plastic = _line(m, self.row.plastic, "plastic", at)[at]
        visited = by_column[at] if rule.columns else Const(0, 1)
        if rule.rows:
            visited = visited | (operation[at] & ~by_column[at] & plastic)
        state = Signal(32, init=rule.seed)
        with m.If(visited & self.learn):
            m.d.sync += state.eq((state >> 1) ^ Mux(state[0], LFSR_TAPS, 0))
        with m.If(self.seed):
            m.d.sync += state.eq(rule.seed)

        def noise(update: Update, bank: int) -> Value:
            drops = shift_of(update)
            turned = Cat(state[(k + bank) % 32] for k in range(drops))
            return Cat(Const(0, shift - drops), turned)

        def change(update: Update, size: Value) -> Value:
            return update.offset + size if update.sign > 0 else update.offset - size

        found: list[Value] = []
        for bank, product in enumerate(products):
            r = Mux(by_column[at], noise(rule.on_post, bank), noise(rule.on_pre, bank))
            total = product + r
            held = Signal(len(total), name=f"noisy_{bank}")
            m.d.sync += held.eq(total)
            size = held[shift:]
            found.append(
                Mux(by_column[at + 1], change(rule.on_post, size), change(rule.on_pre, size))
            )
        return found


def _line(m: Module, value: Value, name: str, cycles: int) -> list[Value]:
    """The value now, and in each of so many cycles behind."""
    found: list[Value] = [value]
    for number in range(1, cycles + 1):
        if not len(value):
            found.append(value)
            continue
        register = Signal.like(value, name=f"{name}_{number}")
        m.d.sync += register.eq(found[-1])
        found.append(register)
    return found


def _above(value: Value, limit: int) -> Value:
    """value > limit; of a limit 2^k - 1 a few bits say it, which a comparison adds up."""
    if limit >= 0 and not limit & (limit + 1):
        return ~value[-1] & value[limit.bit_length() : -1].any()
    return value > limit


def _below(value: Value, limit: int) -> Value:
    """value < limit; see `_above` for a limit -2^k or 0."""
    if limit <= 0 and not -limit & (-limit - 1):
        return (
            value[-1] & ~value[max(-limit, 1).bit_length() - 1 : -1].all() if limit else value[-1]
        )
    return value < limit


def _opposite(number: Value, bank: int, lanes: int) -> Value:
    """Number of the plane bank - n, that of plane n being ``number``."""
    power, odd = digits(lanes)
    low = number[: index_bits(power)]
    high = number[index_bits(power) :]
    table = Array((bank - n) % odd for n in range(1 << len(high)))
    return Cat((bank - low)[: len(low)], table[high] if odd > 1 else Const(0, 0))
