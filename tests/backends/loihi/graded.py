"""Random sigma-delta networks: graded values of either sign, over every kind of connection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.neurons import Activation, LoihiDelta, LoihiNeuron, LoihiSigma, LoihiSigmaDelta

from .networks import KINDS, Case, cell, connection, window

IMAGE = (2, 5, 4)


def graded_case(seed: int) -> Case:
    """The random network of a seed: Delta, then SigmaDelta and others, and a Sigma.

    In every third, numbers leave 32 bits.
    """
    rng = np.random.default_rng([11, seed])
    strong = seed % 3 == 0
    inputs = (Input("image", IMAGE), Input("lines", (int(rng.integers(3, 9)),)))
    populations = [Population("encoded", IMAGE, delta(rng, strong))]
    one = LoihiWeights(8, Sign.EXCITATORY)
    links = [("image", "encoded", "one", connection(rng, "one", 40, 40), one, 1)]
    nodes: dict[str, tuple[tuple[int, ...], int]] = {i.name: (i.shape, 0) for i in inputs}
    nodes["encoded"] = (IMAGE, 0)
    models: list[LoihiNeuron] = [
        *(sigma_delta(rng, strong) for _ in range(int(rng.integers(1, 4)))),
        [delta(rng, strong), LoihiSigma(), cell(rng, (), strong)][seed % 3],
        LoihiSigma(),
    ]
    for number, model in enumerate(models):
        name, lag = f"p{number}", int(rng.choice([0, 0, 0, 1, 3]))
        wanted = [KINDS[seed % len(KINDS)]] if number == 0 else []
        wanted += [str(k) for k in rng.choice(KINDS[:5], int(rng.integers(1, 3)))]
        conv = window(rng) if "conv" in wanted else None
        shape = (int(rng.integers(2, 16)),) if conv is None else conv.out_shape
        if isinstance(model, LoihiSigmaDelta) and rng.random() < 0.5:
            low, high = bias_range(model)
            model = replace(model, bias=rng.integers(low, high + 1, shape))
        populations.append(Population(name, shape, model, lag=lag))
        nodes[name] = (shape, lag)
        for kind in wanted:
            # Counts of `lines` have no sign, because LIF neurons may take them, too.
            sources = [n for n in nodes if n != "image"]
            pre = "encoded" if kind == "conv" else str(rng.choice(sources))
            exponent = int(rng.integers(0, 3) if strong else rng.integers(-6, 3))
            words = LoihiWeights(
                int(rng.integers(1, 9)),
                Sign(str(rng.choice(list(Sign)))),
                abs(exponent) if kind == "conv" else exponent,
            )
            delay = max(1, lag - nodes[pre][1])
            delay += int(rng.integers(1, 9)) if kind == "delay" else 0
            size = (int(np.prod(nodes[pre][0])), int(np.prod(shape)))
            if kind == "one" and size[0] != size[1]:
                kind = "dense"
            raw: Any = conv if kind == "conv" else connection(rng, kind, *size)
            links.append((pre, name, kind, raw, words, delay))
            nodes |= {name: (shape, lag)}
    projections, raws = [], []
    for number, (pre, post, kind, raw, words, delay) in enumerate(links):
        cut = replace(raw, weight=words.cut(raw.weight))
        projections.append(Projection(f"w{number}", pre, post, cut, delay, words=words))
        # Lava does not cut the weights of a convolution.
        raws.append(replace(projections[-1], connection=cut if kind == "conv" else raw))
    outputs = (Output("out", populations[-1].name),)
    graph = Graph(f"graded{seed}", 1e-3, inputs, tuple(populations), tuple(projections), outputs)
    samples, steps = int(rng.integers(1, 3)), int(rng.integers(20, 35))
    shape3 = (samples, steps, 40)
    largest = 1 << 15 if strong else int(rng.choice([3, 40]))
    # It drifts, stands still now and then, and jumps once.
    change = rng.integers(-largest // 3, largest // 3 + 1, shape3) * (rng.random(shape3) < 0.4)
    change[:, steps // 2] += largest // 2
    image = np.clip(np.cumsum(change, axis=1), -largest, largest)
    lines = (rng.random((samples, steps, inputs[1].size)) < 0.3) * rng.integers(1, 5)
    stimulus = Stimulus({"image": Events.from_dense(image), "lines": Events.from_dense(lines)})
    kinds = tuple(link[2] for link in links)
    return Case(graph, replace(graph, projections=tuple(raws)), stimulus, kinds)


def exponents(rng: np.random.Generator) -> dict[str, Any]:
    """Those of one encoder; often there are none."""
    drawn = rng.integers(0, 8, 2) * (rng.random(2) < 0.5)
    return {"spike_exp": int(drawn[0]), "state_exp": int(drawn[1])}


def encoder(rng: np.random.Generator, strong: bool) -> dict[str, Any]:
    """Words of a random encoder, with thresholds of zero among them."""
    most = 60_000 if strong else int(rng.choice([1, 30, 3000]))
    two = exponents(rng)
    vth = int(rng.integers(0, most + 1)) if rng.random() < 0.8 else 0
    limit = ((1 << 23) - 1) >> (two["spike_exp"] + two["state_exp"])
    return two | {"vth": min(vth, limit), "cum_error": bool(rng.random() < 0.4)}


def delta(rng: np.random.Generator, strong: bool) -> LoihiDelta:
    """An encoder of what arrives."""
    return LoihiDelta(**(encoder(rng, strong) | {"vth": int(rng.integers(0, 12))}))


def sigma_delta(rng: np.random.Generator, strong: bool) -> LoihiSigmaDelta:
    """A decoder with an encoder, and a bias for all."""
    made = LoihiSigmaDelta(
        **encoder(rng, strong), activation=Activation(str(rng.choice(list(Activation))))
    )
    low, high = bias_range(made)
    return replace(made, bias=rng.integers(low, high + 1, ()))


def bias_range(neuron: LoihiSigmaDelta) -> tuple[int, int]:
    """What leaves 16 bits with the exponents."""
    shift = neuron.spike_exp + neuron.state_exp
    return -(32_768 >> shift), 32_767 >> shift


def wraps(sigma: npt.NDArray[np.int64]) -> int:
    """How often a sum went past half of its range within a step: (samples, steps, neurons)."""
    return int(np.sum(np.abs(np.diff(sigma, axis=1)) > 1 << 31))
