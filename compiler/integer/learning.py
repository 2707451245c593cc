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
    SDSP,
    Accumulation,
    Response,
    Trace,
    TraceDecay,
    TraceSTDP,
    Transmit,
    Update,
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
    that of the weights, without it the narrowest that holds the rails. ``weight``, ``low`` and
    ``high`` count in the ``fraction`` of `ir.integer_plasticity`. ``rails`` are those of weights
    that do not learn by a rule of their own.
    """

    def __init__(
        self,
        projection: Projection,
        dtype: Any = None,
        fraction: int = 0,
        rails: tuple[int, int] | None = None,
    ) -> None:
        plasticity = projection.plasticity
        parts = [s for s in stages(projection.connection) if not isinstance(s, Flatten)]
        if (plasticity is None and rails is None) or len(parts) != 1:
            raise ValueError(f"'{projection.name}' is not plastic")
        stage = parts[0]
        self.fraction = fraction
        if plasticity is not None:
            rails = int(plasticity.w_min), int(plasticity.w_max)
        self.low, self.high = (w << fraction for w in rails or (0, 0))
        self.after = plasticity is not None and plasticity.transmit is Transmit.AFTER
        enable = None if plasticity is None else plasticity.enable
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
        weight = weight.astype(np.int64) << fraction
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

    def ends(self) -> tuple[Ints, Ints]:
        """Pre and post of each of ``weight``."""
        indptr, post, width = self.rows
        if indptr is None:
            pre, post = np.divmod(np.arange(self.weight.size), width)
            return pre, post
        return np.repeat(np.arange(self.pre_size), np.diff(indptr)), post

    def shaped(self) -> Ints:
        """A copy of the weights, rounded to their unit, in the shape of the connection's."""
        weight = self.weight.astype(np.int64).reshape(self._shape)
        weight = (weight + (1 << self.fraction >> 1)) >> self.fraction
        return np.ascontiguousarray(weight.T) if self._turned else weight

    def transmit(self, index: Any, value: Any, count: int, acc: Any) -> int:
        """Add the rows of the events to ``acc``; nothing learns."""
        if self.fraction:
            whole = (self.weight, *self.rows, self.fraction)
            return int(learn.push_whole(index, value, count, *whole, acc))
        if self.rows[0] is None:
            rows = self.weight.reshape(self.pre_size, self.post_size)
            return int(kernels.push_dense(index, value, count, rows, acc))
        arguments = (self.rows[0], self.rows[1], self.weight)
        return int(kernels.push_sparse(index, value, count, *arguments, acc))


class Traces:
    """One trace for each of ``size`` neurons."""

    def __init__(self, trace: Trace, size: int) -> None:
        self.x = np.zeros(size, np.int64)
        add = trace.accumulation is Accumulation.ADD
        self._spike = (trace.increment, add, (1 << trace.bits) - 1)
        self._decay = (trace.shift, trace.decay is TraceDecay.COUNT)
        self._factor = trace.factor if trace.decay is TraceDecay.FACTOR else None

    def spike(self, index: Any, count: int) -> None:
        """Take the spikes of a step."""
        learn.spike_traces(self.x, index, count, *self._spike)

    def decay(self) -> None:
        """Decay by one step."""
        if self._factor is None:
            learn.decay_traces(self.x, *self._decay)
        else:
            learn.scale_traces(self.x, self._factor, FACTOR_BITS)


class Change:
    """One of the two updates: what a trace, of ``size`` neurons, adds to the weights."""

    def __init__(self, update: Update, rounding: Rounding, size: int) -> None:
        self.idle = update.idle
        self._update = (update.sign, update.amplitude, update.shift, update.offset)
        self._window = update.response is Response.WINDOW
        self._rounding = ROUNDING[rounding]
        self.out = np.zeros(size, np.int64)

    def deltas(self, trace: Ints) -> Ints:
        """offset + sign f(trace)."""
        learn.responses(trace, self._update, self._window, self._rounding, self.out)
        return self.out

    def products(self, trace: Ints) -> Ints:
        """amplitude * trace, for the stochastic kernels."""
        learn.products(trace, self._update, self._window, self.out)
        return self.out


class _TraceSTDP:
    def __init__(self, rule: TraceSTDP, synapses: Synapses) -> None:
        self._synapses = synapses
        self._x = Traces(rule.pre, synapses.pre_size)
        self._y = Traces(rule.post, synapses.post_size)
        self._row = Change(rule.on_pre, rule.rounding, synapses.post_size)
        self._column = Change(rule.on_post, rule.rounding, synapses.pre_size)
        self._row_integers, self._column_integers = (
            (u.sign, u.shift, u.offset, synapses.low, synapses.high, rule.streams)
            for u in (rule.on_pre, rule.on_post)
        )
        self._stochastic = rule.rounding is Rounding.STOCHASTIC
        self._seed = rule.seed
        self._generator = np.array([rule.seed], np.int64)

    def read(self, index: Any, value: Any, count: int, acc: Any) -> int:
        s, row = self._synapses, self._row
        events = (index, value, count)
        if row.idle:
            done = s.transmit(*events, acc)
        elif self._stochastic:
            change = (row.products(self._y.x), self._row_integers, self._generator)
            done = learn.read_rows_stochastic(
                *events, s.weight, *s.rows, s.enable, *change, s.after, acc
            )
        else:
            deltas = (row.deltas(self._y.x), s.low, s.high)
            done = learn.read_rows(*events, s.weight, *s.rows, s.enable, *deltas, s.after, acc)
        self._x.spike(index, count)
        return int(done)

    def end(self, step: int, index: Any, count: int) -> None:
        s, column = self._synapses, self._column
        if count:
            if column.idle:
                pass
            elif self._stochastic:
                change = (column.products(self._x.x), self._column_integers, self._generator)
                learn.write_columns_stochastic(
                    index, count, s.weight, *s.columns, s.enable, *change
                )
            else:
                deltas = (column.deltas(self._x.x), s.low, s.high)
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
        change = (self._delta, s.low, s.high, s.after)
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


class LearningFiber:
    """Base of the plastic projections made ready: ``begin``, ``send``, ``early``, ``end``, ``late``
    and ``change`` are called in this order in every step, ``begin``, ``early`` and ``late`` also in
    the ``tail`` steps behind those of a sample, and ``close`` behind all of them.
    """

    tail = 0

    def __init__(self, projection: Projection, synapses: Synapses, lag: int) -> None:
        if projection.plasticity is None:
            raise ValueError(f"'{projection.name}' is not plastic")
        self.operations = 0
        self.lag = lag
        self.learning = self.starts = projection.plasticity.learning
        self.name = projection.name
        self.synapses = synapses

    @property
    def weights(self) -> Ints:
        """A copy of the weights, in the shape of the connection's."""
        return self.synapses.shaped()

    @property
    def variables(self) -> dict[str, Ints]:
        """The state of the rule that can be recorded, as ``Rule.PRE`` and ``POST`` name it."""
        return {}

    def clear(self) -> None:
        """Back to rest; weights and generators stay."""

    def reset(self) -> None:
        """Back to the weights and seeds of the graph."""
        self.synapses.reset()

    def begin(self, step: int) -> None:
        """Before anything else in ``step``."""

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Take the pre spikes of ``step``."""
        raise NotImplementedError

    def early(self, step: int) -> None:
        """Once inputs have sent their spikes of ``step``."""

    def end(self, step: int, index: Any, count: int) -> None:
        """After the post population has stepped, and ``count`` of it, ``index``, have spiked."""

    def late(self, step: int) -> None:
        """Behind the last population of ``step``."""

    def change(self) -> None:
        """Behind all that spikes do in a step: what the values of nodes do."""

    def close(self) -> None:
        """Behind the last step of a sample."""

    def single(self, index: Any, value: Any, count: int, step: int) -> None:
        """E0703 for counts, of which a rule of pairs has none."""
        if value[:count].max(initial=0) > 1:
            raise fail(
                "E0703",
                f"'{self.name}' pairs single spikes; in step {step} line "
                f"{index[np.argmax(value[:count])]} has {value[:count].max()}",
            )


class PlasticFiber(LearningFiber):
    """A plastic projection made ready; ``delay`` steps long, of which ``hop`` before it is read.

    ``wheel`` and ``v`` are the accumulators and membranes of the post population, which stays at
    rest for ``lag`` steps.
    """

    tail = 1

    def __init__(
        self, projection: Projection, delay: int, hop: int, wheel: Any, v: Ints, lag: int
    ) -> None:
        super().__init__(projection, Synapses(projection), lag)
        self._delay, self._hop, self._wheel = delay, hop, wheel
        self._waiting: tuple[Any, Any, int] | None = None
        rule = None if projection.plasticity is None else projection.plasticity.rule
        match rule:
            case TraceSTDP():
                self._rule: _Rule = _TraceSTDP(rule, self.synapses)
            case SDSP():
                self._rule = _SDSP(rule, self.synapses, v, lag)
            case _:
                raise fail(
                    "E0301",
                    f"'{projection.name}' learns by {type(rule).__name__}, which the integer rung "
                    "does not have",
                    projection.at,
                )

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
        super().reset()
        self._rule.reset()

    def send(self, index: Any, value: Any, count: int, step: int) -> None:
        """Take the spikes of ``step``; read their rows at once, or when the hop is over."""
        if self._hop and self.learning:
            self._waiting = index[:count].copy(), value[:count].copy(), count
        else:
            self._read(index, value, count, step + self._delay)

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
        take = self._rule.read if self.learning else self.synapses.transmit
        self.operations += take(index, value, count, page)
