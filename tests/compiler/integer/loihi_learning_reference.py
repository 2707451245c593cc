"""Loihi's pairs in plain Python: one synapse after the other, one random number after the other.

It shares nothing with the fibers: sums are Python's, traces are dictionaries, and every number of a
generator is drawn in Lava's order, also those that nothing uses.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from math import exp
from typing import Any

import numpy as np

from spikec.ir.events import Stimulus
from spikec.ir.graph import Graph, Projection
from spikec.ir.loihi import Sign
from spikec.ir.loihi_learning import LoihiPairSTDP

from . import loihi_reference as cells


def clip(a: int) -> int:
    return max(-(2**15) - 1, min(2**15 - 1, a))


class Draws:
    """A generator of which the newest number is at hand, from the first on."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        self.advance()

    def advance(self) -> None:
        self.now = float(self.generator.random(1)[0])

    def round(self, value: float) -> int:
        return int(value // 1) + (self.now < value % 1)


class Learner:
    def __init__(self, projection: Projection, met: Counter[str]) -> None:
        plasticity, words = projection.plasticity, projection.words
        assert plasticity is not None and isinstance(plasticity.rule, LoihiPairSTDP)
        assert words is not None
        self.rule, self.sign, self.met = plasticity.rule, words.sign, met
        weight = projection.connection.weight  # type: ignore[attr-defined]
        self.posts, self.pres = (range(n) for n in weight.shape)
        self.w = {(i, j): int(weight[j, i]) for i in self.pres for j in self.posts}
        self.r, self.s = Draws(self.rule.seed), Draws(self.rule.seed + 2)
        self.q = Draws(2)
        self.now = 0
        self.rest()

    def rest(self) -> None:
        self.x, self.y = dict.fromkeys(self.pres, 0), dict.fromkeys(self.posts, 0)
        self.last_x: dict[int, int] = {}
        self.last_y: dict[int, int] = {}

    def step(self, pre: set[int], post: set[int]) -> None:
        self.now += 1
        self._take(pre, self.x, self.last_x, self.rule.impulse_plus)
        self._advance()
        self._take(post, self.y, self.last_y, self.rule.impulse_minus)
        self._advance()
        if self.now % self.rule.epoch == 0:
            self._learn()

    def _advance(self) -> None:
        self.r.advance()
        self.s.advance()

    def _take(self, spikes: set[int], x: Any, last: dict[int, int], impulse: int) -> None:
        for i in spikes:
            if i in last:
                x[i] = self._most(x[i] + impulse)
                self.met["several"] += 1
            last[i] = (self.now - 1) % self.rule.epoch + 1

    def _most(self, x: int) -> int:
        self.met["full"] += x > 127
        return min(x, 127)

    def _history(self, x: int, last: int, tau: int, impulse: int, noise: Draws) -> list[int]:
        values = [x]
        for t in range(1, self.rule.epoch + 1):
            x = noise.round(exp(-1 / tau) * x) if tau else 0
            if t == last:
                x = self._most(x + impulse)
            values.append(x)
        return values

    def _learn(self) -> None:
        rule = self.rule
        self.q.advance()
        xs = {
            i: self._history(v, self.last_x.get(i, 0), rule.tau_plus, rule.impulse_plus, self.r)
            for i, v in self.x.items()
        }
        ys = {
            j: self._history(v, self.last_y.get(j, 0), rule.tau_minus, rule.impulse_minus, self.s)
            for j, v in self.y.items()
        }
        for (i, j), w in self.w.items():
            s, t = self.last_x.get(i), self.last_y.get(j)
            a = w * 128
            if s is not None:
                a = self._add(a, rule.minus * ys[j][s] * 2 ** (rule.minus_exp + 7))
            if s is not None and t is not None:
                a = self._add(a, rule.both * 2 ** (rule.both_exp + 7))
                self.met["both"] += 1
            if t is not None:
                a = self._add(a, rule.plus * xs[i][t] * 2 ** (rule.plus_exp + 7))
            self.w[i, j] = self._clamp(self.q.round(self._signed(a) / 128))
            self.met["up"] += self.w[i, j] > w
            self.met["down"] += self.w[i, j] < w
        self.x = {i: h[-1] for i, h in xs.items()}
        self.y = {j: h[-1] for j, h in ys.items()}
        self.last_x, self.last_y = {}, {}

    def _add(self, a: int, product: int) -> int:
        self.met["clips"] += clip(product) != product or clip(a + product) != a + product
        return clip(a + clip(product))

    def _signed(self, a: int) -> int:
        wrong = {Sign.EXCITATORY: a < 0, Sign.INHIBITORY: a > 0, Sign.MIXED: False}[self.sign]
        self.met["no sign"] += wrong
        return 0 if wrong else a

    def _clamp(self, w: int) -> int:
        low, high = {
            Sign.MIXED: (-256, 255),
            Sign.EXCITATORY: (0, 255),
            Sign.INHIBITORY: (-255, 0),
        }[self.sign]
        self.met["rails"] += not low <= w <= high
        return max(low, min(high, w))


def run(
    graph: Graph, stimulus: Stimulus
) -> tuple[dict[str, Any], dict[Any, Any], dict[str, Any], Counter[str]]:
    """Spikes by population, states, and weights behind each step, as an `Executor` records them,
    and how often each branch was taken.
    """
    met: Counter[str] = Counter()
    learners = {p.name: Learner(p, met) for p in graph.projections if p.plasticity is not None}
    late = max(p.lag for p in graph.populations)
    lags = {p.name: p.lag for p in graph.populations}
    extent = (stimulus.samples, stimulus.steps)
    spikes = {p.name: np.zeros((*extent, p.size), np.int64) for p in graph.populations}
    states = {(n, k): np.zeros_like(a) for n, a in spikes.items() for k in ("u", "v")}
    ends = {p.name: p for p in graph.projections if p.name in learners}
    for name, learner in learners.items():
        states[name, "x"] = np.zeros((*extent, len(learner.pres)), np.int64)
        states[name, "y"] = np.zeros((*extent, len(learner.posts)), np.int64)
    weights: dict[str, list[Any]] = {name: [] for name in learners}
    for sample in range(stimulus.samples):
        group = {p.name: cells._cells(p.neuron, p.shape) for p in graph.populations}
        pending: Any = defaultdict(list)
        for learner in learners.values():
            learner.rest()
        for step in range(stimulus.steps + late):
            sent: dict[str, list[int]] = {
                name: events.dense(sample)[step].tolist()
                if step < stimulus.steps
                else [0] * events.size
                for name, events in stimulus.inputs.items()
            }
            for population in graph.populations:
                name, at = population.name, step - population.lag
                sent[name] = [0] * population.size
                for n, cell in enumerate(group[name] if at >= 0 else []):
                    sent[name][n] = int(cell.step(pending.pop((step, name, n), [])))
                    if at < stimulus.steps:
                        states[name, "u"][sample, at, n] = cell.u
                        states[name, "v"][sample, at, n] = cell.v
                        spikes[name][sample, at, n] = sent[name][n]
            for p in graph.projections:
                assert p.words is not None
                for j in range(graph.population(p.post).size):
                    total = 0
                    for i, count in enumerate(sent[p.pre]):
                        fixed: Any = p.connection
                        own = learners.get(p.name)
                        w = int(fixed.weight[j, i]) if own is None else own.w[i, j]
                        total += count * w
                    e = p.words.exponent
                    total = total * 2**e if e >= 0 else total // 2**-e
                    pending[step + p.delay, p.post, j].append(total)
            for name, learner in learners.items():
                one = ends[name]
                learner.step(
                    *({n for n, c in enumerate(sent[e]) if c} for e in (one.pre, one.post))
                )
                at = step - lags[one.post]
                if 0 <= at < stimulus.steps:
                    states[name, "x"][sample, at] = list(learner.x.values())
                    states[name, "y"][sample, at] = list(learner.y.values())
                weights[name].append(
                    [[learner.w[i, j] for i in learner.pres] for j in learner.posts]
                )
    return spikes, states, {n: np.array(w) for n, w in weights.items()}, met
