"""Plastic projections of the integer rung: ``ir.plasticity`` executed word for word."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ...ir.connections import Dense, Flatten, OneToOne, Sparse, stages
from ...ir.diagnostics import fail
from ...ir.graph import Projection
from ...ir.numerics import Rounding
from ...ir.plasticity import (
    FACTOR_BITS,
    ORDERS,
    SDSP,
    Accumulation,
    Dependence,
    IntegerPairSTDP,
    Response,
    Trace,
    TraceDecay,
    TraceSTDP,
    Transmit,
    Update,
    sides,
)
from . import kernels
from . import learning_kernels as learn

Ints = npt.NDArray[np.int64]

ROUNDING = {
    Rounding.NEAREST_EVEN: kernels.NEAREST_EVEN,
    Rounding.NEAREST_AWAY: kernels.NEAREST_AWAY,
    Rounding.TOWARD_ZERO: kernels.TOWARD_ZERO,
    Rounding.UP: kernels.UP,
    Rounding.DOWN: kernels.DOWN,
    Rounding.STOCHASTIC: kernels.STOCHASTIC,
}


class _Rule(Protocol):
    """What a rule does with the synapses of one projection."""

    def read(self, index: Any, value: Any, count: int, acc: Any) -> int: ...

    def end(self, step: int, index: Any, count: int) -> None: ...

    def clear(self) -> None: ...

    def reset(self) -> None: ...

    @property
    def state(self) -> dict[str, Ints]: ...


class Synapses:
    """The weights of a projection, in rows by pre, with an index of their columns.

    ``rows`` are the arguments of the kernels over rows between the weights and ``enable``,
    ``columns`` those of the kernels over columns; ``None`` stands for a dense matrix. ``dtype`` is
    that of the weights, without it the narrowest that holds the rails.
    """

    def __init__(self, projection: Projection, dtype: Any = None) -> None:
        plasticity = projection.plasticity
        parts = [s for s in stages(projection.connection) if not isinstance(s, Flatten)]
        if plasticity is None or len(parts) != 1:
            raise ValueError(f"'{projection.name}' is not plastic")
        stage = parts[0]
        self.low, self.high = int(plasticity.w_min), int(plasticity.w_max)
        self.after = plasticity.transmit is Transmit.AFTER
        enable = plasticity.enable
        indptr: Any = None
        post: Any = None
        match stage:
            case Dense():
                weight = stage.weight.T
                self.post_size, self.pre_size = stage.weight.shape
                self._shape: tuple[int, ...] = self.pre_size, self.post_size
            case Sparse():
                weight, indptr = stage.weight, stage.indptr
                post = stage.post
                self.pre_size, self.post_size = stage.pre_size, stage.post_size
                self._shape = weight.shape
            case OneToOne() if stage.weight.ndim == 1:
                weight = stage.weight
                self.pre_size = self.post_size = weight.size
                indptr = np.arange(weight.size + 1)
                post = np.arange(weight.size, dtype=np.int32)
                self._shape = weight.shape
            case _:
                raise fail(
                    "E0208",
                    f"'{projection.name}' cannot learn: {type(stage).__name__} has no weight of "
                    "its own for each synapse",
                    projection.at,
                )
        if weight.dtype.kind != "i":
            raise fail(
                "E0301", f"the weights of '{projection.name}' are not integers", projection.at
            )
        self._turned = isinstance(stage, Dense)
        self._initial = np.ravel(weight).astype(dtype or self._narrowest(weight))
        self.weight = self._initial.copy()
        self.enable: Any = None
        if enable is not None and not enable.all():
            whole = np.broadcast_to(enable, stage.weight.shape)
            self.enable = np.ravel(whole.T if self._turned else whole).astype(np.uint8)
        self.rows: tuple[Any, Any, int] = (indptr, post, self.post_size)
        self.columns: tuple[Any, Any, Any, int] = (None, None, None, self.post_size)
        if post is not None:
            source = np.repeat(np.arange(self.pre_size), np.diff(indptr))
            place = np.argsort(post, kind="stable").astype(
                np.int32 if post.size < 1 << 31 else np.int64
            )
            counts = np.bincount(post, minlength=self.post_size)
            starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            self.columns = (starts, source[place].astype(np.int32), place, self.post_size)

    def _narrowest(self, weight: npt.NDArray[Any]) -> Any:
        low = min(self.low, int(weight.min(initial=0)))
        high = max(self.high, int(weight.max(initial=0)))
        for dtype in (np.int8, np.int16, np.int32):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                return dtype
        return np.int64

    def reset(self) -> None:
        """Back to the weights of the graph."""
        self.weight[:] = self._initial

    def shaped(self) -> Ints:
        """A copy of the weights in the shape of the connection's."""
        weight = self.weight.astype(np.int64).reshape(self._shape)
        return np.ascontiguousarray(weight.T) if self._turned else weight

    def transmit(self, index: Any, value: Any, count: int, acc: Any) -> int:
        """Add the rows of the events to ``acc``; nothing learns."""
        if self.rows[0] is None:
            rows = self.weight.reshape(self.pre_size, self.post_size)
            return int(kernels.push_dense(index, value, count, rows, acc))
        arguments = (self.rows[0], self.rows[1], self.weight)
        return int(kernels.push_sparse(index, value, count, *arguments, acc))


class _Traces:
    """One trace for each of ``size`` neurons."""

    def __init__(self, trace: Trace, size: int) -> None:
        self.x = np.zeros(size, np.int64)
        add = trace.accumulation is Accumulation.ADD
        self._spike = (trace.increment, add, (1 << trace.bits) - 1)
        self._decay = (trace.shift, trace.decay is TraceDecay.COUNT)
        self._factor = trace.factor if trace.decay is TraceDecay.FACTOR else None

    def spike(self, index: Any, count: int) -> None:
        learn.spike_traces(self.x, index, count, *self._spike)

    def decay(self) -> None:
        if self._factor is None:
            learn.decay_traces(self.x, *self._decay)
        else:
            learn.scale_traces(self.x, self._factor, FACTOR_BITS)


class _Change:
    """One of the two updates: what a trace, of ``size`` neurons, adds to the weights."""

    def __init__(
        self,
        update: Update,
        rule: TraceSTDP | IntegerPairSTDP,
        synapses: Synapses,
        size: int,
    ) -> None:
        self.idle = update.idle
        self._update = (update.sign, update.amplitude, update.shift, update.offset)
        self._window = update.response is Response.WINDOW
        self._rounding = ROUNDING[rule.rounding]
        self.scale = (update.sign, update.shift, self._rounding)
        self.out = np.zeros(size, np.int64)
        rails = (synapses.low, synapses.high)
        streams = rule.streams if isinstance(rule, TraceSTDP) else 1
        self.integers = (update.sign, update.shift, update.offset, *rails, streams)

    def deltas(self, trace: Ints) -> Ints:
        """offset + sign f(trace)."""
        learn.responses(trace, self._update, self._window, self._rounding, self.out)
        return self.out

    def products(self, trace: Ints) -> Ints:
        """amplitude * trace, for the stochastic kernels."""
        learn.products(trace, self._update, self._window, self.out)
        return self.out

    def factors(self, trace: Ints) -> Ints:
        """What the distance from a rail is multiplied with: amplitude * trace, or of a window 1."""
        taken = trace > 0 if self._window else trace
        return np.multiply(taken, self._update[1], out=self.out)


class _TraceSTDP:
    def __init__(self, rule: TraceSTDP, synapses: Synapses) -> None:
        self._synapses = synapses
        self._x = _Traces(rule.pre, synapses.pre_size)
        self._y = _Traces(rule.post, synapses.post_size)
        self._row = _Change(rule.on_pre, rule, synapses, synapses.post_size)
        self._column = _Change(rule.on_post, rule, synapses, synapses.pre_size)
        self._stochastic = rule.rounding is Rounding.STOCHASTIC
        self._seed = rule.seed
        self._generator = np.array([rule.seed], np.int64)

    def read(self, index: Any, value: Any, count: int, acc: Any) -> int:
        s, row = self._synapses, self._row
        events = (index, value, count)
        if row.idle:
            done = s.transmit(*events, acc)
        elif self._stochastic:
            change = (row.products(self._y.x), row.integers, self._generator)
            done = learn.read_rows_stochastic(
                *events, s.weight, *s.rows, s.enable, *change, s.after, acc
            )
        else:
            deltas = (row.deltas(self._y.x), s.low, s.high, None)
            done = learn.read_rows(*events, s.weight, *s.rows, s.enable, *deltas, s.after, acc)
        self._x.spike(index, count)
        return int(done)

    def end(self, step: int, index: Any, count: int) -> None:
        s, column = self._synapses, self._column
        if count:
            if column.idle:
                pass
            elif self._stochastic:
                change = (column.products(self._x.x), column.integers, self._generator)
                learn.write_columns_stochastic(
                    index, count, s.weight, *s.columns, s.enable, *change
                )
            else:
                deltas = (column.deltas(self._x.x), s.low, s.high, None)
                learn.write_columns(index, count, s.weight, *s.columns, s.enable, *deltas)
            self._y.spike(index, count)
        self._x.decay()
        self._y.decay()

    def clear(self) -> None:
        self._x.x[:] = 0
        self._y.x[:] = 0

    def reset(self) -> None:
        self._generator[0] = self._seed

    @property
    def state(self) -> dict[str, Ints]:
        return {"x": self._x.x, "y": self._y.x}


class _SDSP:
    def __init__(self, rule: SDSP, synapses: Synapses, v: Ints, lag: int) -> None:
        self._synapses, self._v, self._lag = synapses, v, lag
        self._calcium = np.zeros(synapses.post_size, np.int64)
        self._spiked = np.zeros(synapses.post_size, np.uint8)
        self._delta = np.zeros(synapses.post_size, np.int64)
        self._thetas = (int(rule.theta_mem), rule.theta_1, rule.theta_2, rule.theta_3)
        self._high = (1 << rule.calcium_bits) - 1
        self._leak, self._refresh = rule.leak_period, rule.refresh_period
        self._refresh_threshold = rule.refresh_threshold

    def read(self, index: Any, value: Any, count: int, acc: Any) -> int:
        s = self._synapses
        learn.spike_driven(self._v, self._calcium, self._thetas, self._delta)
        change = (self._delta, s.low, s.high, None, s.after)
        return int(learn.read_rows(index, value, count, s.weight, *s.rows, s.enable, *change, acc))

    def end(self, step: int, index: Any, count: int) -> None:
        steps = step - self._lag + 1
        if steps < 1:
            return
        leak = self._leak > 0 and steps % self._leak == 0
        learn.calcium_step(self._calcium, self._spiked, index, count, leak, self._high)
        if self._refresh > 0 and steps % self._refresh == 0:
            s = self._synapses
            learn.refresh(s.weight, s.enable, self._refresh_threshold, s.low, s.high)

    def clear(self) -> None:
        self._calcium[:] = 0

    def reset(self) -> None:
        """There is no generator."""

    @property
    def state(self) -> dict[str, Ints]:
        return {"c": self._calcium}


class PairFiber:
    """A projection with `IntegerPairSTDP` made ready.

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
    ) -> None:
        if projection.plasticity is None:
            raise ValueError(f"'{projection.name}' is not plastic")
        self.operations = 0
        self.lag = lag
        self.learning = self.starts = projection.plasticity.learning
        self._synapses = s = Synapses(projection)
        self._wheel = wheel
        self._x, self._y = _Traces(rule.pre, s.pre_size), _Traces(rule.post, s.post_size)
        self._row = _Change(rule.on_pre, rule, s, s.post_size)
        self._column = _Change(rule.on_post, rule, s, s.pre_size)
        # Whether what a post and what a pre spike changes depends on the weight.
        self._scaled_up, self._scaled_down = (
            each is Dependence.MULTIPLICATIVE for each in rule.dependences
        )
        self._name = projection.name
        self._axonal, self._dendritic = axonal, sides(rule, projection.delay)[1]
        # Spikes that are not at their synapse yet, by the step in which they are.
        self._pre: dict[int, tuple[Any, Any, int]] = {}
        self._post: dict[int, tuple[Any, int]] = {}
        # A post spike that takes no time is there behind its population, whatever P does.
        both_early = early and self._dendritic > 0
        first = "PXQY" if both_early else "P" if early else ""
        order = ORDERS[rule.coincidence]
        self._early = [letter for letter in order if letter in first]
        self._late = [letter for letter in order if letter not in first]

    @property
    def weights(self) -> Ints:
        """A copy of the weights, in the shape of the connection's."""
        return self._synapses.shaped()

    @property
    def variables(self) -> dict[str, Ints]:
        """The traces, which can be recorded."""
        return {"x": self._x.x, "y": self._y.x}

    def clear(self) -> None:
        """Back to rest; weights stay."""
        self._pre.clear()
        self._post.clear()
        self._x.x[:] = 0
        self._y.x[:] = 0

    def reset(self) -> None:
        """Back to the weights of the graph."""
        self._synapses.reset()

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Take the pre spikes of ``step``; E0703 for counts, of which a rule of pairs has none."""
        if value[:count].max(initial=0) > 1:
            raise fail(
                "E0703",
                f"'{self._name}' pairs single spikes; in step {step} line "
                f"{index[np.argmax(value[:count])]} has {value[:count].max()}",
            )
        self._pre[step + self._axonal] = index[:count].copy(), value[:count].copy(), count

    def begin(self, step: int) -> None:
        """Before anything else in ``step``: nothing."""

    def end(self, step: int, index: Any, count: int) -> None:
        """Take the post spikes of ``step``."""
        if count and self.learning:
            self._post[step + self._dendritic] = index[:count].copy(), count

    def early(self, step: int) -> None:
        """Once inputs have sent their spikes of ``step``."""
        for letter in self._early:
            self._do(letter, step)

    def late(self, step: int) -> None:
        """Behind the last population of ``step``."""
        for letter in self._late:
            self._do(letter, step)
        self._pre.pop(step, None)
        self._post.pop(step, None)
        if self.learning:
            self._x.decay()
            self._y.decay()

    def flush(self, length: int) -> None:
        """After the last of ``length`` steps: what is still on its way pairs, too."""
        for step in range(length, length + self._axonal + self._dendritic):
            self.early(step)
            self.late(step)

    def _do(self, letter: str, step: int) -> None:
        if letter in "PX":
            if step in self._pre:
                index, value, count = self._pre[step]
                if letter == "P":
                    self._read(index, value, count, step + self._dendritic)
                elif self.learning:
                    self._x.spike(index, count)
        elif step in self._post:
            columns, count = self._post[step]
            if letter == "Y":
                self._y.spike(columns, count)
            elif not self._column.idle:
                s = self._synapses
                change = self._changes(self._column, self._x.x, self._scaled_up)
                learn.write_columns(columns, count, s.weight, *s.columns, s.enable, *change)

    def _changes(self, change: _Change, trace: Ints, scaled: bool) -> tuple[Any, Any, Any, Any]:
        """What the kernels take between the mask and the rest: delta, rails, and the scale."""
        s = self._synapses
        if scaled:
            return change.factors(trace), s.low, s.high, change.scale
        return change.deltas(trace), s.low, s.high, None

    def _read(self, index: Any, value: Any, count: int, arrival: int) -> None:
        s, page = self._synapses, self._wheel[arrival % len(self._wheel)]
        events = (index, value, count)
        if not self.learning or self._row.idle:
            done = s.transmit(*events, page)
        else:
            change = self._changes(self._row, self._y.x, self._scaled_down)
            done = learn.read_rows(*events, s.weight, *s.rows, s.enable, *change, s.after, page)
        self.operations += int(done)


class PlasticFiber:
    """A plastic projection made ready; ``delay`` steps long, of which ``hop`` before it is read.

    ``wheel`` and ``v`` are the accumulators and membranes of the post population, which stays at
    rest for ``lag`` steps.
    """

    def __init__(
        self, projection: Projection, delay: int, hop: int, wheel: Any, v: Ints, lag: int
    ) -> None:
        if projection.plasticity is None:
            raise ValueError(f"'{projection.name}' is not plastic")
        self.operations = 0
        self.lag = lag
        self.learning = self.starts = projection.plasticity.learning
        self._delay, self._hop, self._wheel = delay, hop, wheel
        self._synapses = Synapses(projection)
        self._waiting: tuple[Any, Any, int] | None = None
        match projection.plasticity.rule:
            case TraceSTDP() as rule:
                self._rule: _Rule = _TraceSTDP(rule, self._synapses)
            case SDSP() as rule:
                self._rule = _SDSP(rule, self._synapses, v, lag)
            case rule:
                raise fail(
                    "E0301",
                    f"'{projection.name}' learns by {type(rule).__name__}, which the integer rung "
                    "does not have",
                    projection.at,
                )

    @property
    def weights(self) -> Ints:
        """A copy of the weights, in the shape of the connection's."""
        return self._synapses.shaped()

    @property
    def variables(self) -> dict[str, Ints]:
        """The state of the rule that can be recorded, as ``Rule.PRE`` and ``POST`` name it."""
        return self._rule.state

    def clear(self) -> None:
        """Back to rest; weights and the generator stay."""
        self._waiting = None
        self._rule.clear()

    def reset(self) -> None:
        """Back to the weights and the seed of the graph."""
        self._synapses.reset()
        self._rule.reset()

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Take the spikes of ``step``; read their rows at once, or when the hop is over."""
        if self._hop and self.learning:
            self._waiting = index[:count].copy(), value[:count].copy(), count
        else:
            self._read(index, value, count, step + self._delay)

    def early(self, step: int) -> None:
        """Once inputs have sent their spikes of ``step``: nothing."""

    def late(self, step: int) -> None:
        """Behind the last population of ``step``: nothing."""

    def flush(self, length: int) -> None:
        """After the last of ``length`` steps: read the rows of its spikes."""
        self.begin(length)

    def begin(self, step: int) -> None:
        """Before anything else in ``step``: read the rows of the spikes of the step before."""
        if self._waiting is not None:
            index, value, count = self._waiting
            self._waiting = None
            self._read(index, value, count, step - 1 + self._delay)

    def end(self, step: int, index: Any, count: int) -> None:
        """After the post population has stepped, and ``count`` of it, ``index``, have spiked."""
        if self.learning:
            self._rule.end(step, index, count)

    def _read(self, index: Any, value: Any, count: int, arrival: int) -> None:
        page = self._wheel[arrival % len(self._wheel)]
        take = self._rule.read if self.learning else self._synapses.transmit
        self.operations += take(index, value, count, page)
