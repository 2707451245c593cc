"""Random networks that learn in Loihi's arithmetic, and Lava running their programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spikec.ir.connections import Dense
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.loihi_learning import LoihiPairSTDP
from spikec.ir.neurons import LoihiLIF
from spikec.ir.plasticity import Plasticity


@dataclass(frozen=True)
class Case:
    """A network and a stimulus."""

    graph: Graph
    stimulus: Stimulus

    @property
    def raw(self) -> Graph:
        """The same: its weights are cut already."""
        return self.graph

    @property
    def states(self) -> list[tuple[str, str]]:
        cells = [(p.name, variable) for p in self.graph.populations for variable in "uv"]
        rules = [(p.name, v) for p in self.graph.projections if p.plasticity for v in "xy"]
        return cells + rules


def rule(rng: np.random.Generator, wild: bool) -> LoihiPairSTDP:
    """A rule of any numbers, or of some that make for slow changes."""
    low, high = (-7, 9) if wild else (-7, -2)
    up, down = ((-8, 8), (-8, 8)) if wild else ((0, 8), (-8, 1))
    taus = (0, 256) if wild else (1, 40)
    impulses = (0, 128) if wild else (4, 40)

    def one(span: tuple[int, int]) -> int:
        return int(rng.integers(*span))

    both = bool(rng.integers(2))
    return LoihiPairSTDP(
        minus=one(down) or -1,
        minus_exp=one((low, high)),
        plus=one(up),
        plus_exp=one((low, high)),
        tau_plus=one(taus),
        tau_minus=one(taus),
        impulse_plus=one(impulses),
        impulse_minus=one(impulses),
        epoch=int(rng.choice([1, 1, 2, 3, 8, 17])),
        seed=one((0, 1 << 31)),
        both=one((-8, 8)) if both else 0,
        both_exp=one((low, high)) if both else 0,
    )


def case(seed: int) -> Case:
    """The random network of a seed: some learn, some loops, lags, counts, weights at their ends."""
    rng = np.random.default_rng([11, seed])
    sizes = {"in": int(rng.integers(2, 7)), "more": int(rng.integers(2, 5))}
    inputs = tuple(Input(name, (size,)) for name, size in sizes.items())
    lags = dict.fromkeys(sizes, 0)
    populations: list[Population] = []
    projections: list[Projection] = []
    for number in range(int(rng.integers(1, 4))):
        name = f"p{number}"
        sizes[name] = int(rng.integers(2, 6))
        lags[name] = int(rng.choice([0, 0, 1]))
        cell = LoihiLIF(
            du=rng.integers(500, 4096, ()),
            dv=rng.integers(50, 2000, ()),
            vth=rng.integers(50, 900, ()),
            bias_mant=rng.integers(0, 3000, sizes[name]),
            bias_exp=rng.integers(0, 3, ()),
        )
        populations.append(Population(name, (sizes[name],), cell, lag=lags[name]))
        for turn in range(2):
            reach = [n for n in sizes if lags[n] + 1 >= lags[name]]
            pre = "in" if number == turn == 0 else str(rng.choice(reach))
            projections.append(_projection(rng, len(projections), pre, name, sizes, turn == 0))
    samples, steps = int(rng.integers(1, 4)), int(rng.integers(25, 50))
    most = {i.name: int(rng.choice([1, 1, 3])) for i in inputs}
    spikes = {
        i.name: Events.from_dense(
            (rng.random((samples, steps, i.size)) < rng.uniform(0.1, 0.5))
            * rng.integers(1, most[i.name] + 1, (samples, steps, i.size))
        )
        for i in inputs
    }
    outputs = (Output("out", populations[-1].name),)
    graph = Graph(f"learns{seed}", 1e-3, inputs, tuple(populations), tuple(projections), outputs)
    return Case(graph, Stimulus(spikes))


def _projection(
    rng: np.random.Generator,
    number: int,
    pre: str,
    post: str,
    sizes: dict[str, int],
    learns: bool,
) -> Projection:
    sign = list(Sign)[int(rng.choice(3, p=[0.3, 0.5, 0.2]))]
    words = LoihiWeights(int(rng.integers(3, 9)), sign, int(rng.integers(-3, 4)))
    low, high = words.rails
    weight = rng.integers(low, high + 1, (sizes[post], sizes[pre]))
    ends = rng.random(weight.shape)
    weight[ends < 0.1], weight[ends > 0.9] = low, high
    plasticity = None
    if learns or rng.random() < 0.3:
        plasticity = Plasticity(rule(rng, bool(rng.random() < 0.4)), low, high)
    return Projection(
        f"{pre}-{post}-{number}",
        pre,
        post,
        Dense(words.cut(weight)),
        1,
        words=words,
        plasticity=plasticity,
    )
