"""Loihi's arithmetic in Python's integers, neuron by neuron and synapse by synapse.

It shares nothing with the kernels: sums are lists of what arrives, and branches count how often
they are taken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spikec.compiler.connectivity import synapses
from spikec.ir.events import Stimulus
from spikec.ir.graph import Graph
from spikec.ir.neurons import LoihiATRLIF, LoihiLIF

TOP = 1 << 23


def i32(x: int) -> int:
    x &= 0xFFFFFFFF
    return x - (1 << 32) if x >> 31 else x


def toward_zero(x: int) -> int:
    return x // 4096 if x >= 0 else -(-x // 4096)


@dataclass
class Neuron:
    du: int
    dv: int
    vth: int
    bias: int
    u: int = 0
    v: int = 0
    met: Counter[str] = field(default_factory=Counter)

    def advance(self, sums: list[int]) -> None:
        """``sums`` are what each projection and delay adds."""
        u = i32(toward_zero(self.u * (4096 - (self.du + 1))) + i32(64 * sum(sums)))
        if u > TOP:
            u -= 2 * TOP
            self.met["wraps"] += 1
        elif u <= -TOP:
            u += 2 * TOP
            self.met["wraps"] += 1
        v = i32(toward_zero(self.v * (4096 - self.dv)) + u + self.bias)
        if abs(v) > TOP - 1:
            v = TOP - 1 if v > 0 else 1 - TOP
            self.met["saturates"] += 1
        self.u, self.v = u, v

    def step(self, sums: list[int]) -> bool:
        self.advance(sums)
        spike = self.v > 64 * self.vth
        if spike:
            self.v = 0
        self.met["spikes"] += spike
        return spike


@dataclass
class Refractory(Neuron):
    """One that keeps its membrane; ``vth`` is theta_0."""

    dr: int = 0
    dtheta: int = 0
    rise: int = 0
    r: int = 0
    theta: int = 0

    def step(self, sums: list[int]) -> bool:
        self.advance(sums)
        base = 64 * self.vth
        self.theta = base + toward_zero((self.theta - base) * (4096 - self.dtheta))
        self.r = toward_zero(self.r * (4096 - self.dr))
        spike = self.v - self.r >= self.theta
        if spike:
            self.r += 2 * self.theta
            self.theta += 64 * self.rise
        self.met["spikes"] += spike
        return spike


def run(graph: Graph, stimulus: Stimulus) -> tuple[dict[str, Any], dict[Any, Any], Counter[str]]:
    """Spikes and states by population, as an `Executor` records them, and what was met."""
    links = []
    for p in graph.projections:
        assert p.words is not None
        rows: dict[int, dict[int, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        pre, post, weight, steps = synapses(p.connection)
        for i, j, w, s in zip(*map(np.ndarray.tolist, (pre, post, weight, steps)), strict=True):
            rows[i][p.delay + s].append((j, w))
        links.append((p.pre, p.post, p.words.exponent, rows))
    met: Counter[str] = Counter()
    late = max(p.lag for p in graph.populations)
    spikes = {
        p.name: np.zeros((stimulus.samples, stimulus.steps, p.size), np.int64)
        for p in graph.populations
    }
    states = {
        (p.name, k): np.zeros_like(spikes[p.name]) for p in graph.populations for k in p.state
    }
    for sample in range(stimulus.samples):
        cells = {p.name: _cells(p.neuron, p.shape) for p in graph.populations}
        pending: Any = defaultdict(lambda: defaultdict(list))
        for step in range(stimulus.steps + late):
            # A line that counts two is as good as two of them.
            sent: dict[str, list[int]] = {
                name: np.repeat(np.arange(events.size), events.dense(sample)[step]).tolist()
                if step < stimulus.steps
                else []
                for name, events in stimulus.inputs.items()
            }
            arrived = pending.pop(step, {})
            for population in graph.populations:
                name, at = population.name, step - population.lag
                sent[name] = []
                for n, cell in enumerate(cells[name] if at >= 0 else []):
                    if cell.step(arrived.get((name, n), [])):
                        sent[name].append(n)
                    if at < stimulus.steps:
                        for variable in population.state:
                            states[name, variable][sample, at, n] = getattr(cell, variable)
                        spikes[name][sample, at, n] = n in sent[name][-1:]
            for pre_name, post_name, exponent, table in links:
                total: Counter[tuple[int, int]] = Counter()
                for i in sent[pre_name]:
                    for delay, targets in table[i].items():
                        for j, w in targets:
                            total[delay, j] += w
                for (delay, j), w in total.items():
                    shifted = w * 2**exponent if exponent >= 0 else w // 2**-exponent
                    pending[step + delay][post_name, j].append(shifted)
        for group in cells.values():
            for cell in group:
                met.update(cell.met)
    return spikes, states, met


def _cells(neuron: Any, shape: tuple[int, ...]) -> list[Neuron]:
    names: tuple[str, ...] = ("du", "dv", "vth", "bias_mant", "bias_exp")
    if isinstance(neuron, LoihiATRLIF):
        names = ("du", "dv", "theta_0", *names[3:], "v_init", "dr", "dtheta", "theta_step")
    else:
        assert isinstance(neuron, LoihiLIF)
    columns = [np.broadcast_to(getattr(neuron, n), shape).ravel().tolist() for n in names]
    cells: list[Neuron] = []
    for du, dv, limit, mant, exp, *more in zip(*columns, strict=True):
        if not more:
            cells.append(Neuron(du, dv, limit, mant * 2**exp))
            continue
        start, dr, dtheta, rise = more
        own = {"dr": dr, "dtheta": dtheta, "rise": rise, "theta": 64 * limit}
        cells.append(Refractory(du, dv, limit, mant * 2**exp, v=start, **own))
    return cells
