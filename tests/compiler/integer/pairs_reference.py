"""The rules of `ir.integer_plasticity` in plain Python, one synapse after the other, from their
words alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from spikec.ir.connections import Connection, Dense, OneToOne, Sparse
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.homeostasis import Norm, Occasion, Scaling
from spikec.ir.integer_plasticity import (
    MAX_ELIGIBLE,
    MAX_MODULATION,
    MAX_RAISED,
    MAX_SHOWN,
    IntegerPairSTDP,
    IntegerThreeFactorSTDP,
    IntegerTripletSTDP,
)
from spikec.ir.numerics import Format, Numerics, Rounding
from spikec.ir.plasticity import (
    MAX_AMPLITUDE,
    Accumulation,
    Coincidence,
    Dependence,
    Plasticity,
    Response,
    Trace,
    TraceDecay,
    Transmit,
    Update,
)
from spikec.ir.semantics import Semantics

from .test_learning import KICK, cells

STEPS = 14


def sat(x: int, most: int) -> int:
    return max(-most, min(most, x))


def shifted(x: int, bits: int) -> int:
    """x / 2^bits, to the nearest even."""
    return round(Fraction(x, 2**bits))


def rounded(x: Fraction, rounding: Rounding) -> int:
    """A number that is not negative, rounded."""
    match rounding:
        case Rounding.NEAREST_EVEN:
            return round(x)
        case Rounding.NEAREST_AWAY:
            return floor(x + Fraction(1, 2))
        case Rounding.UP:
            return ceil(x)
        case _:
            return floor(x)


def spiked(trace: Trace, x: int) -> int:
    if trace.accumulation is Accumulation.SET:
        return int(trace.increment)
    return int(min(x + trace.increment, 2**trace.bits - 1))


def decayed(trace: Trace, x: int) -> int:
    match trace.decay:
        case TraceDecay.COUNT:
            return max(x - 1, 0)
        case TraceDecay.FACTOR:
            return x * trace.factor // 2**24
        case TraceDecay.SHIFT:
            return int(x - -(-x // 2**trace.shift))


@dataclass(frozen=True)
class Case:
    """A plastic projection from an input, or from a population that an input drives.

    ``shown`` (2, samples, STEPS, 1 or post) are the spikes of two inputs, ``first`` and ``second``,
    that pass a population with a register or not before the rule reads them.
    """

    rule: IntegerPairSTDP
    connection: Connection
    delay: int
    relayed: bool
    transmit: Transmit
    low: int
    high: int
    enable: Any
    learning: tuple[bool, ...]
    pre: Any  # (samples, STEPS, pre): spikes of what the projection starts from
    post: Any
    shown: Any
    registered: tuple[bool, bool] = (False, False)
    scaling: Scaling | None = None
    kick: int = KICK

    @property
    def graph(self) -> Graph:
        pre, post = self.connection.in_shape, self.connection.out_shape
        wide = self.kick != KICK
        cell = (
            cells(self.kick // 2, numerics=WIDE, v_min=np.asarray(WIDE.state.low))
            if wide
            else cells()
        )
        plasticity = Plasticity(
            self.rule, self.low, self.high, self.enable, self.transmit, True, self.scaling
        )
        start = "relay" if self.relayed else "in"
        relay = (Population("relay", pre, cell),) if self.relayed else ()
        kick = OneToOne(np.full(pre, self.kick), pre)
        nodes = [(name, (shown.shape[2],)) for name, shown in zip(NODES, self.shown, strict=True)]
        return Graph(
            "pairs",
            1e-3,
            (
                Input("in", pre),
                Input("teacher", post),
                *(Input(f"{name} in", shape) for name, shape in nodes),
            ),
            (
                *relay,
                Population("out", post, cell),
                *(
                    Population(name, shape, cells(), Semantics(registered=late))
                    for (name, shape), late in zip(nodes, self.registered, strict=True)
                ),
            ),
            (
                *([Projection("drives", "in", "relay", kick)] if self.relayed else []),
                Projection("w", start, "out", self.connection, self.delay, plasticity=plasticity),
                Projection("teaches", "teacher", "out", OneToOne(np.full(post, self.kick), post)),
                *(
                    Projection(
                        f"to {name}", f"{name} in", name, OneToOne(np.full(shape, KICK), shape)
                    )
                    for name, shape in nodes
                ),
            ),
            (Output("o", "out"),),
        )

    @property
    def stimulus(self) -> Stimulus:
        lines = {"in": Events.from_dense(self.pre), "teacher": Events.from_dense(self.post)}
        for name, shown in zip(NODES, self.shown, strict=True):
            lines[f"{name} in"] = Events.from_dense(shown)
        return Stimulus(lines)


NODES = ("first", "second")
# Of neurons that weights of 32 bits do not move beside a teacher.
WIDE = Numerics(Format(52), Format(56), 2, 60)
WIDE_KICK = 1 << 48


class Plain:
    """The words of the rule, one synapse after the other."""

    def __init__(self, case: Case) -> None:
        self.case, self.rule = case, case.rule
        weight = case.connection.weight  # type: ignore[attr-defined]
        match case.connection:
            case Dense():
                posts, pres = np.indices(weight.shape)
            case Sparse() as sparse:
                pres = np.repeat(np.arange(sparse.pre_size), np.diff(sparse.indptr))
                posts = sparse.post
            case _:
                pres = posts = np.arange(weight.size)
        takes = np.broadcast_to(True if case.enable is None else case.enable, weight.shape)
        columns = (pres.ravel(), posts.ravel(), takes.ravel())
        self.synapses = list(zip(*(c.tolist() for c in columns), strict=True))
        self.unit = 1 << self.rule.fraction
        self.low, self.high = case.low * self.unit, case.high * self.unit
        self.fine: list[int] = [w * self.unit for w in weight.ravel().tolist()]

    @property
    def w(self) -> list[int]:
        """The weights in their unit, a half up."""
        return [floor(Fraction(w, self.unit) + Fraction(1, 2)) for w in self.fine]

    def amplitude(self, update: Update, own: int, scale: int | None) -> int:
        """Signed, of a spike that finds ``own`` of earlier ones and what a node shows."""
        rule = self.rule
        rows = update is rule.on_pre
        scaled = rule.dependences[rows] is Dependence.MULTIPLICATIVE
        most = MAX_AMPLITUDE if scaled else MAX_RAISED
        size = update.sign * update.amplitude
        if isinstance(rule, IntegerTripletSTDP):
            more = rule.on_pre_earlier if rows else rule.on_post_earlier
            raised = rounded(Fraction(more.amplitude * own, 2**more.shift), rule.rounding)
            size += more.sign * raised
            size = sat(size, most)
        if rows and rule.depression_by is not None:
            assert scale is not None
            shown = sat(shifted(scale, rule.shown_shift), MAX_SHOWN)
            size = sat(shifted(size * shown, rule.depression_shift), most)
        return size

    def changed(self, update: Update, x: int, room: int, own: int, scale: int | None) -> int:
        """``room`` is how far a weight is from the rail that it goes to."""
        window = update.response is Response.WINDOW
        size = self.amplitude(update, own, scale)
        if self.rule.dependences[update is self.rule.on_pre] is Dependence.MULTIPLICATIVE:
            product = abs(size) * (x > 0 if window else x) * room
        elif window:
            product = (abs(size) * (x > 0)) << update.shift
        else:
            product = abs(size) * x
        f = rounded(Fraction(product, 2**update.shift), self.rule.rounding)
        return update.offset + (f if size >= 0 else -f)

    def moved(self, w: int, change: int) -> int:
        """The weight that a change leaves."""
        rule = self.rule
        if rule.bits is None:
            return max(self.low, min(self.high, w + change))
        if change == 0:
            return w
        n, span = 2**rule.bits - 1, self.high - self.low
        level = Fraction((w - self.low) * n, span)
        if w == self.low + round(Fraction(round(level) * span, n)):
            level = Fraction(round(level))
        level = min(max(level + Fraction(change * n, span), Fraction(0)), Fraction(n))
        whole = floor(level) if rule.bits_rounding is Rounding.DOWN else round(level)
        return self.low + round(Fraction(whole * span, n))

    def scale(self, columns: list[int]) -> None:
        scaling = self.case.scaling
        assert scaling is not None
        target = round(scaling.target * self.unit)
        for j in columns:
            mine = [s for s, (_, post, takes) in enumerate(self.synapses) if post == j and takes]
            weights = [self.fine[s] for s in mine]
            total = {
                Norm.SUM: sum(weights),
                Norm.ABSOLUTE: sum(map(abs, weights)),
                Norm.POSITIVE: sum(w for w in weights if w > 0),
            }[scaling.norm]
            if total * target > 0:
                for s in mine:
                    w = round(Fraction(self.fine[s] * target, total))
                    self.fine[s] = max(self.low, min(self.high, w))

    def sample(self, k: int) -> Any:
        """What arrives (STEPS, post) in a sample; the weights change."""
        rule, case = self.rule, self.case
        pre, post, learning = case.pre[k], case.post[k], case.learning[k]
        three = rule if isinstance(rule, IntegerThreeFactorSTDP) else None
        dendritic = round(rule.dendritic_delay_fraction * case.delay)
        axonal = case.delay - dendritic
        sizes = {"x": pre.shape[1], "y": post.shape[1]}
        x, y = [0] * sizes["x"], [0] * sizes["y"]
        x2, y2 = x.copy(), y.copy()
        e = [0] * len(self.fine)
        arrived = np.zeros((STEPS + 2 * case.delay + 1, sizes["y"]), np.int64)
        order = {
            Coincidence.POTENTIATE: "PXQY",
            Coincidence.DEPRESS: "QYPX",
            Coincidence.NONE: "PQXY",
            Coincidence.BOTH: "XYPQ",
        }[rule.coincidence]
        spikes = case.scaling is not None and case.scaling.occasion is Occasion.SPIKE

        def shows(name: str, t: int, j: int) -> int:
            which = NODES.index(name)
            at, train = t - case.registered[which], case.shown[which][k]
            if not (0 <= t < STEPS and at >= 0):
                return 0
            return int(train[at, j if train.shape[1] > 1 else 0])

        def move(s: int, update: Update, t: int, trace: int, own: int) -> None:
            _, j, takes = self.synapses[s]
            active = rule.rows if update is rule.on_pre else rule.columns
            if not (learning and takes and active):
                return
            w = self.fine[s]
            room = w - self.low if update is rule.on_pre else self.high - w
            by = rule.depression_by
            scale = None if by is None else shows(by, t - 1, j)
            change = self.changed(update, trace, room, own, scale)
            if three is None:
                self.fine[s] = self.moved(w, change)
            else:
                bonus = three.a_pre if update is rule.on_pre else 0
                e[s] = sat(e[s] + change + bonus, MAX_ELIGIBLE)

        for t in range(STEPS + case.delay):
            if three is not None:
                e = [abs(v) * three.keep // 2**24 * (1 if v >= 0 else -1) for v in e]
            before, behind = t - axonal, t - dendritic
            reads = pre[before] if 0 <= before < STEPS else np.zeros(len(x), int)
            fires = post[behind] if 0 <= behind < STEPS else np.zeros(len(y), int)
            for letter in order:
                if letter == "P":
                    for s, (i, j, _) in enumerate(self.synapses):
                        if not reads[i]:
                            continue
                        if case.transmit is Transmit.BEFORE:
                            arrived[t + dendritic, j] += self.w[s]
                        move(s, rule.on_pre, t, y[j], x2[i])
                        if case.transmit is Transmit.AFTER:
                            arrived[t + dendritic, j] += self.w[s]
                elif letter == "Q":
                    for s, (i, j, _) in enumerate(self.synapses):
                        if fires[j]:
                            move(s, rule.on_post, t, x[i], y2[j])
                elif learning:
                    here, trace, which = (
                        (reads, rule.pre, x) if letter == "X" else (fires, rule.post, y)
                    )
                    for n in np.flatnonzero(here).tolist():
                        which[n] = spiked(trace, which[n])
                        if isinstance(rule, IntegerTripletSTDP):
                            more = rule.pre_earlier if letter == "X" else rule.post_earlier
                            other = x2 if letter == "X" else y2
                            other[n] = spiked(more, other[n])
            if spikes and learning:
                self.scale(np.flatnonzero(fires).tolist())
            x = [decayed(rule.pre, value) for value in x]
            y = [decayed(rule.post, value) for value in y]
            if isinstance(rule, IntegerTripletSTDP):
                x2 = [decayed(rule.pre_earlier, value) for value in x2]
                y2 = [decayed(rule.post_earlier, value) for value in y2]
            if three is not None and learning and t < STEPS:
                for s, (_, j, takes) in enumerate(self.synapses):
                    m = sat(shifted(shows(three.modulator, t, j), three.modulator_shift), MAX_SHOWN)
                    if three.gate is not None:
                        g = sat(shifted(shows(three.gate, t, j), three.gate_shift), MAX_SHOWN)
                        m *= g
                    m = sat(shifted(m, three.product_shift), MAX_MODULATION)
                    if takes:
                        change = shifted(three.eta * m * e[s], three.shift)
                        self.fine[s] = max(self.low, min(self.high, self.fine[s] + change))
        if case.scaling is not None and not spikes and learning:
            self.scale(list(range(len(y))))
        return arrived[:STEPS]
