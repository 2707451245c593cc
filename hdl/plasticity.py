"""What learns in a core: weights, traces of pre neurons, and the order of a step.

A step of a core that learns has no overlap: rows are read, for events and for the spikes of the
step before; a tick commits, and while it does the columns of the neurons that spike change; when
all are done the traces of pre neurons decay and the rows of the next step are read.
"""

from __future__ import annotations

from typing import Any

from amaranth.hdl import EnableInserter, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..ir.plasticity import SDSP
from .image import CoreImage
from .layouts import mark_layout
from .learning import Learning
from .memories import HostSignature
from .plastic import PlasticWeights, RowSignature, TermSignature
from .shape import CoreShape, Memory, index_bits
from .traces import Columns, Period, PreTraces


def _drive(port: Any, source: Any) -> list[Any]:
    """Statements that make a port what another one of its kind is, until later ones say else."""
    return [getattr(port, name).eq(getattr(source, name)) for name in source.signature.members]


class Plasticity(wiring.Component):
    """The weights of a core that learns.

    Members
    -------
    started, cleared : a step or a clear begins in the next cycle
    step, committing : as of the core; ``step`` is the one that commits
    rest : the engines that commit have nothing to do
    fresh, learn : see `PlasticWeights`
    neurons, empty : those that spiked in this step, each once; no more are waiting
    again : the same neurons are wanted once more, for their rows
    over : rows may be read: nothing of this step changes weights any more
    wait : ... but those of events must wait
    row, lanes, host, word, idle : see `PlasticWeights`
    marked : a row is about to be read
    terms : of post neurons, from the commit
    seed : the generator starts anew
    ready : traces are cleared, nothing is under way
    """

    def __init__(self, shape: CoreShape, learning: Learning, image: CoreImage) -> None:
        self._shape, self._learning = shape, learning
        self.weights = PlasticWeights(shape, learning, image)
        self.pre = PreTraces(shape, learning) if learning.columns else None
        bits = shape.word_bits(Memory.WEIGHTS)
        members: dict[str, Any] = {
            "started": In(1),
            "cleared": In(1),
            "step": In(shape.step_bits),
            "committing": In(1),
            "rest": In(1),
            "fresh": In(1),
            "learn": In(1),
            "over": Out(1),
            "wait": Out(1),
            "row": In(RowSignature(shape)),
            "lanes": Out(data.ArrayLayout(signed(shape.weight_bits), shape.lanes)),
            "marked": In(mark_layout(shape)),
            "host": In(HostSignature(index_bits(shape.words), shape.lanes, bits)),
            "word": Out(shape.row_bits(Memory.WEIGHTS)),
            "idle": Out(1),
            "seed": In(1),
            "ready": Out(1),
        }
        if learning.rule.rows:
            members["terms"] = In(TermSignature(shape, learning))
        if learning.columns:
            neuron = data.StructLayout(
                {"lane": index_bits(shape.lanes), "group": index_bits(shape.groups)}
            )
            members["neurons"] = In(stream.Signature(neuron))
            members["empty"], members["again"] = In(1), Out(1)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        shape, learning = self._shape, self._learning
        m.submodules.weights = weights = self.weights
        connect(m, flipped(self.host), weights.host)
        m.d.comb += [
            weights.learn.eq(self.learn),
            weights.fresh.eq(self.fresh),
            *_drive(weights.row, self.row),
            self.lanes.eq(weights.lanes),
            self.word.eq(weights.word),
            self.wait.eq(weights.busy),
            self.idle.eq(weights.idle),
        ]
        if learning.stochastic:
            m.d.comb += weights.seed.eq(self.seed)

        # `over` from the end of one step's columns until the next step begins.
        finished: Value = self.committing & ~self.over & self.rest
        if learning.columns:
            m.submodules.columns = columns = Columns(shape, learning)
            pre = self.pre
            assert pre is not None
            connect(m, columns.column, weights.column)
            # Out of the memory of rows into a register, before anything is compared.
            marked = Signal.like(self.marked)
            m.d.sync += marked.eq(self.marked)
            m.d.comb += [
                columns.neurons.payload.eq(self.neurons.payload),
                columns.neurons.valid.eq(self.neurons.valid & ~self.over & self.learn & pre.ready),
                self.neurons.ready.eq(columns.neurons.ready & ~self.over & self.learn & pre.ready),
                pre.mark.eq(marked.valid & self.learn),
                pre.block.eq(marked.block),
                pre.lane.eq(marked.lane),
                pre.tick.eq(self.started & self.learn),
                pre.clear.eq(self.cleared),
                self.ready.eq(pre.ready),
            ]
            # Terms of post neurons come while a step commits, and go first.
            if learning.rule.rows:
                m.submodules.pre = EnableInserter(~self.terms.valid)(pre)
            else:
                m.submodules.pre = pre
            finished = finished & (~self.learn | (self.empty & columns.idle & pre.ready))
            m.d.comb += _drive(weights.terms, pre.terms)
        else:
            m.d.comb += self.ready.eq(1)
        if learning.rule.rows:
            with m.If(self.terms.valid):
                m.d.comb += _drive(weights.terms, self.terms)
        if isinstance(learning.rule, SDSP) and learning.refreshes:
            finished = self._refresh(m, learning.rule, finished)
        if self.pre is not None:
            m.d.comb += [self.again.eq(finished & self.learn), self.pre.decay.eq(self.again)]
        with m.If(finished):
            m.d.sync += self.over.eq(1)
        with m.If(self.started):
            m.d.sync += self.over.eq(0)
        return m

    def _refresh(self, m: Module, rule: SDSP, finished: Value) -> Value:
        """Reads all words in some steps; what ``finished`` becomes."""
        learning, weights = self._learning, self.weights
        m.submodules.period = period = Period(
            rule.refresh_period, learning.start, self._shape.step_bits
        )
        due, going, ticked = Signal(), Signal(), Signal()
        m.d.sync += ticked.eq(self.started)
        m.d.comb += [period.ticked.eq(ticked), period.step.eq(self.step)]
        done = Signal()
        m.d.comb += due.eq(period.due & self.learn & ~done)
        words = learning.rows * learning.groups
        at = Signal(range(words + 1))
        with m.If(finished & due & ~going):
            m.d.sync += [going.eq(1), done.eq(1), at.eq(0)]
        with m.If(self.started):
            m.d.sync += done.eq(0)
        with m.If(going):
            m.d.sync += at.eq(at + 1)
            with m.If(at == words - 1):
                m.d.sync += going.eq(0)
            m.d.comb += [
                weights.row.valid.eq(1),
                weights.row.address.eq(at),
                weights.refresh.eq(1),
            ]
        return finished & ~due & ~going & ~weights.busy
