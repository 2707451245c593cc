"""Projections that learn by `ir.integer_plasticity`, and those whose weights follow them, executed
word for word.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import frexp
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import fail
from ...ir.graph import TIE_BITS, Projection, Tied
from ...ir.homeostasis import Norm, Occasion
from ...ir.integer_plasticity import (
    MAX_MODULATION,
    MAX_RAISED,
    MAX_SHOWN,
    IntegerHebbian,
    IntegerPairSTDP,
    IntegerThreeFactorSTDP,
    IntegerTripletSTDP,
)
from ...ir.numerics import Format, Rounding
from ...ir.plasticity import FACTOR_BITS, MAX_AMPLITUDE, ORDERS, Dependence, Response, Update, sides
from . import pair_kernels as pairs
from .learning import ROUNDING, Change, LearningFiber, Synapses, Traces

Ints = npt.NDArray[np.int64]

_NONE = np.zeros(0, np.int64)
_NORMS = {Norm.SUM: 0, Norm.ABSOLUTE: 1, Norm.POSITIVE: 2}


class Shown:
    """What a node of ``size`` shows to the rules that read it: the spikes, or the v, of a step.

    ``value`` (n,) is that of this step, or of the one before under a register; ``before`` (n,) what
    it showed in the step before.
    """

    def __init__(self, size: int, registered: bool) -> None:
        self._emitted, self.before = np.zeros(size, np.int64), np.zeros(size, np.int64)
        self.value = np.zeros(size, np.int64) if registered else self._emitted

    def clear(self) -> None:
        """Back to rest."""
        for each in (self._emitted, self.value, self.before):
            each[:] = 0

    def begin(self) -> None:
        """Begin a step, in which nothing has been emitted yet."""
        self.before[:] = self.value
        self.value[:] = self._emitted
        self._emitted[:] = 0

    def over(self) -> None:
        """A step behind the last one of a sample, in which nothing is shown any more."""
        self.before[:] = self.value
        self.value[:] = 0

    def take(self, index: Any, value: Any, count: int) -> None:
        """The spikes of the step."""
        self._emitted[index[:count]] = value[:count]

    def take_all(self, v: Ints) -> None:
        """The v of the step."""
        self._emitted[:] = v

    def taken_before(self, shift: int, out: Ints) -> None:
        """``before`` as rules take it, into ``out``."""
        pairs.shown(self.before, shift, MAX_SHOWN, out)

    def taken(self, shift: int, size: int) -> Ints:
        """``value`` as rules take it, for ``size`` neurons: shifted, and within `MAX_SHOWN`."""
        out = np.zeros(size, np.int64)
        pairs.shown(self.value, shift, MAX_SHOWN, out)
        return out


class _Side:
    """What spikes of one side change: by ``update``, the trace of the other side and, in amplitudes
    of their own, that of what is left of earlier spikes of this one.
    """

    def __init__(
        self,
        rule: IntegerPairSTDP,
        update: Update,
        earlier: Update | None,
        dependence: Dependence,
        sizes: tuple[int, int],
        modulated: bool = False,
    ) -> None:
        size, other = sizes
        scaled = dependence is Dependence.MULTIPLICATIVE
        self._change: Change | None = None
        if not scaled and not modulated and earlier is None:
            self._change = Change(update, rule.rounding, other)
        self._base = update.sign * update.amplitude
        self._amplitude = np.full(size, self._base)
        rounding = ROUNDING[rule.rounding]
        self._earlier: tuple[int, int, int, int] | None = None
        if earlier is not None:
            self._earlier = (earlier.sign, earlier.amplitude, earlier.shift, rounding)
        self.limit = MAX_AMPLITUDE if scaled else MAX_RAISED
        self._window = update.response is Response.WINDOW
        self._scale = (0 if self._window and not scaled else update.shift, rounding)
        self._room = scaled

    def change(self, earlier: Traces | None, trace: Ints) -> tuple[Any, ...]:
        """The arguments ``delta`` and ``amplitude`` of the kernels, and ``trace`` to ``room``."""
        if self._change is not None:
            return (self._change.deltas(trace), _NONE, _NONE, self._scale, self._room)
        if self._earlier is not None and earlier is not None:
            update = (self._base, earlier.x, self._earlier, self.limit)
            pairs.raised(*update, self._amplitude)
        taken = (trace > 0).astype(np.int64) if self._window else trace
        return (_NONE, self._amplitude, taken, self._scale, self._room)


class PairFiber(LearningFiber):
    """A projection with `IntegerPairSTDP` or its kin made ready.

    Its pre spikes are at the synapses ``axonal`` steps after they were sent, its post spikes
    ``dendritic`` steps. ``early`` says whether that is before the populations of the step go on.
    """

    def __init__(
        self,
        projection: Projection,
        rule: IntegerPairSTDP,
        axonal: int,
        early: bool,
        wheel: Any,
        lag: int,
        shown: Mapping[str, Shown],
    ) -> None:
        s = Synapses(projection, fraction=rule.fraction)
        super().__init__(projection, s, lag)
        self._wheel, self._rule = wheel, rule
        self._scaling = None if projection.plasticity is None else projection.plasticity.scaling
        triplets = rule if isinstance(rule, IntegerTripletSTDP) else None
        self._x, self._y = Traces(rule.pre, s.pre_size), Traces(rule.post, s.post_size)
        self._x2 = self._y2 = None
        if triplets is not None:
            self._x2 = Traces(triplets.pre_earlier, s.pre_size)
            self._y2 = Traces(triplets.post_earlier, s.post_size)
        up, down = rule.dependences
        by = rule.depression_by
        self._row = _Side(
            rule,
            rule.on_pre,
            None if triplets is None else triplets.on_pre_earlier,
            down,
            (s.pre_size, s.post_size),
            by is not None,
        )
        self._column = _Side(
            rule,
            rule.on_post,
            None if triplets is None else triplets.on_post_earlier,
            up,
            (s.post_size, s.pre_size),
        )
        self._depressed_by = None if by is None else shown[by]
        self._times = _NONE if by is None else np.zeros(s.post_size, np.int64)
        self._bounds = (rule.depression_shift, self._row.limit)
        steps = 0 if rule.bits is None else (1 << rule.bits) - 1
        self._levels = (steps, rule.bits_rounding is Rounding.DOWN)
        # What is changed instead of the weights, and what a pre spike adds to it.
        self._eligible, self._bonus = _NONE, 0
        self._axonal, self._dendritic = axonal, sides(rule, projection.delay)[1]
        self.tail = self._axonal + self._dendritic
        # Spikes that are not at their synapse yet, by the step in which they are.
        self._pre: dict[int, tuple[Any, Any, int]] = {}
        self._post: dict[int, tuple[Any, int]] = {}
        # A post spike that takes no time is there behind its population, whatever P does.
        self._both_early = early and self._dendritic > 0
        first = "PXQY" if self._both_early else "P" if early else ""
        order = ORDERS[rule.coincidence]
        self._early = [letter for letter in order if letter in first]
        self._late = [letter for letter in order if letter not in first]

    @property
    def variables(self) -> dict[str, Ints]:
        """The traces, which can be recorded."""
        traces = {"x": self._x, "y": self._y, "x2": self._x2, "y2": self._y2}
        return {name: trace.x for name, trace in traces.items() if trace is not None}

    def clear(self) -> None:
        """Back to rest; weights stay."""
        self._pre.clear()
        self._post.clear()
        for state in (*self.variables.values(), self._eligible):
            state[:] = 0

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Take the pre spikes of ``step``; E0703 for counts, of which a rule of pairs has none."""
        self.single(index, value, count, step)
        self._pre[step + self._axonal] = index[:count].copy(), value[:count].copy(), count

    def end(self, step: int, index: Any, count: int) -> None:
        """Take the post spikes of ``step``."""
        if count and self.learning and self._rule.pairs:
            self._post[step + self._dendritic] = index[:count].copy(), count

    def early(self, step: int) -> None:
        """Once inputs have sent their spikes of ``step``."""
        for letter in self._early:
            self._do(letter, step)
        if self._both_early:
            self._scale(step)

    def late(self, step: int) -> None:
        """Behind the last population of ``step``."""
        for letter in self._late:
            self._do(letter, step)
        if not self._both_early:
            self._scale(step)
        self._pre.pop(step, None)
        self._post.pop(step, None)
        if self.learning:
            for trace in (self._x, self._y, self._x2, self._y2):
                if trace is not None:
                    trace.decay()

    def close(self) -> None:
        """Behind the last step of a sample: scale all weights, where that is the occasion."""
        scaling, size = self._scaling, self.synapses.post_size
        if self.learning and scaling is not None and scaling.occasion is Occasion.SAMPLE:
            self._scale_columns(np.arange(size), size)

    def _scale(self, step: int) -> None:
        occasion = None if self._scaling is None else self._scaling.occasion
        if occasion is Occasion.SPIKE and step in self._post:
            self._scale_columns(*self._post[step])

    def _scale_columns(self, index: Any, count: int) -> None:
        s = self.synapses
        if self._scaling is not None:
            target = round(self._scaling.target * 2.0**s.fraction)
            change = (target, _NORMS[self._scaling.norm], s.low, s.high)
            pairs.scale_columns(index, count, s.weight, *s.columns, s.enable, *change)

    def _do(self, letter: str, step: int) -> None:
        if letter in "PX":
            if step in self._pre:
                index, value, count = self._pre[step]
                if letter == "P":
                    self._read(index, value, count, step + self._dendritic)
                elif self.learning:
                    self._remember(index, count, self._x, self._x2)
        elif step in self._post:
            columns, count = self._post[step]
            if letter == "Y":
                self._remember(columns, count, self._y, self._y2)
            elif self._rule.columns:
                s = self.synapses
                rails = (s.low, s.high)
                change = self._column.change(self._y2, self._x.x)
                synapses = (s.weight, *s.columns, s.enable)
                limits = (rails, self._levels, self._eligible)
                arguments: tuple[Any, ...] = (columns, count, *synapses, *change, *limits)
                pairs.write_pairs(*arguments)

    @staticmethod
    def _remember(index: Any, count: int, *traces: Traces | None) -> None:
        for trace in traces:
            if trace is not None:
                trace.spike(index, count)

    def _read(self, index: Any, value: Any, count: int, arrival: int) -> None:
        s, page = self.synapses, self._wheel[arrival % len(self._wheel)]
        events = (index, value, count)
        rule = self._rule
        if not self.learning or not rule.rows:
            self.operations += s.transmit(*events, page)
            return
        if self._depressed_by is not None:
            self._depressed_by.taken_before(rule.shown_shift, self._times)
        delta, amplitude, *more = self._row.change(self._x2, self._y.x)
        change = (delta, amplitude, self._times, self._bounds, *more)
        limits = ((s.low, s.high), self._levels, self._eligible, self._bonus, s.after, s.fraction)
        synapses = (s.weight, *s.rows, s.enable)
        arguments: tuple[Any, ...] = (*events, *synapses, *change, *limits, page)
        self.operations += int(pairs.read_pairs(*arguments))


class ThreeFactorFiber(PairFiber):
    """A projection with `IntegerThreeFactorSTDP` made ready: pairs are remembered, not learned."""

    def __init__(
        self,
        projection: Projection,
        rule: IntegerThreeFactorSTDP,
        axonal: int,
        early: bool,
        wheel: Any,
        lag: int,
        shown: Mapping[str, Shown],
    ) -> None:
        super().__init__(projection, rule, axonal, early, wheel, lag, shown)
        self._third = rule
        self._eligible = np.zeros(self.synapses.weight.size, np.int64)
        self._bonus = rule.a_pre
        self._modulator = shown[rule.modulator]
        self._gate = None if rule.gate is None else shown[rule.gate]

    def begin(self, step: int) -> None:
        """Before anything else in ``step``: what is remembered fades."""
        pairs.fade(self._eligible, self._third.keep, FACTOR_BITS)

    def change(self) -> None:
        """Behind all that spikes do in a step: what was remembered is learned."""
        rule, s = self._third, self.synapses
        m = self._modulator.taken(rule.modulator_shift, s.post_size)
        if self._gate is not None:
            m *= self._gate.taken(rule.gate_shift, s.post_size)
        pairs.shown(m, rule.product_shift, MAX_MODULATION, m)
        if self.learning and m.any():
            change = (self._eligible, m, rule.eta, rule.shift, s.low, s.high)
            pairs.learn_eligible(s.weight, *s.rows, s.enable, *change)


class _Sender:
    """A projection of values under way: they meet its weights where they arrive."""

    synapses: Synapses
    operations: int

    def __init__(self, delay: int, wheel: Any) -> None:
        self._delay, self._wheel = delay, wheel
        self._waiting: dict[int, tuple[Any, Any, int]] = {}

    def clear(self) -> None:
        """Back to rest; weights stay."""
        self._waiting.clear()

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Take the values of ``step``."""
        if self._delay:
            waiting = index[:count].copy(), value[:count].copy(), count
            self._waiting[step + self._delay] = waiting
        else:
            self._push(index, value, count, step)

    def early(self, step: int) -> None:
        """Once inputs have sent their spikes of ``step``: what was sent before arrives."""
        events = self._waiting.pop(step, None)
        if events is not None:
            self._push(*events, step)

    def _push(self, index: Any, value: Any, count: int, step: int) -> None:
        page = self._wheel[step % len(self._wheel)]
        self.operations += self.synapses.transmit(index, value, count, page)


class HebbianFiber(_Sender, LearningFiber):
    """A projection with `IntegerHebbian` made ready; ``delay`` steps long, registers included."""

    def __init__(
        self,
        projection: Projection,
        rule: IntegerHebbian,
        delay: int,
        wheel: Any,
        lag: int,
        shown: Mapping[str, Shown],
    ) -> None:
        _Sender.__init__(self, delay, wheel)
        LearningFiber.__init__(self, projection, Synapses(projection, fraction=rule.fraction), lag)
        self._rule = rule
        self._x = shown[rule.pre_factor or projection.pre]
        self._y = shown[rule.post_factor or projection.post]

    def change(self) -> None:
        """Behind all that spikes do in a step: the products of what nodes show are learned."""
        rule, s = self._rule, self.synapses
        if self.learning and rule.eta:
            x = self._x.taken(rule.pre_shift, s.pre_size)
            y = self._y.taken(rule.post_shift, s.post_size)
            change = (x, y, rule.eta, rule.shift, s.low, s.high)
            pairs.learn_products(s.weight, *s.rows, s.enable, *change)


class TiedFiber(_Sender):
    """A projection whose weights, of ``form``, are those of ``source``."""

    def __init__(
        self,
        projection: Projection,
        tied: Tied,
        source: LearningFiber,
        delay: int,
        wheel: Any,
        form: Format,
    ) -> None:
        super().__init__(delay, wheel)
        self.operations = 0
        self._source = source
        mantissa, exponent = frexp(tied.scale)
        factor = mantissa * 2.0**TIE_BITS
        shift = TIE_BITS - exponent + source.synapses.fraction
        if not factor.is_integer() or shift < 0:
            raise fail(
                "E0301",
                f"'{projection.name}' has {tied.scale!r} times the weights of '{tied.projection}'; "
                f"whole numbers have factors of {TIE_BITS} bits, below 2^{TIE_BITS}",
                projection.at,
                "run the quantise pass first",
            )
        # Of a factor so small that no bit is left there is none.
        self._factor, self._shift = (0, 0) if shift > 62 else (int(factor), shift)
        self.synapses = s = Synapses(projection, rails=(form.low, form.high))
        (pre, post), (i, j) = s.ends(), source.synapses.ends()
        self._mine = np.lexsort((post, pre))
        self._theirs = np.lexsort((i, j) if tied.transpose else (j, i))

    @property
    def weights(self) -> Ints:
        """A copy of the weights, in the shape of the connection's."""
        return self.synapses.shaped()

    def reset(self) -> None:
        """Back to the weights of the graph."""
        self.synapses.reset()

    def follow(self) -> None:
        """At the very end of a step: take over the weights."""
        if self._source.learning:
            s = self.synapses
            factor = (self._factor, self._shift, s.low, s.high)
            pairs.tie(s.weight, self._mine, self._source.synapses.weight, self._theirs, *factor)
