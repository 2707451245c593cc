"""A network in Loihi's arithmetic as a Lava program: its description, its arrays, its README."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from math import prod
from typing import Any, Final

import networkx as nx
import numpy as np
import numpy.typing as npt

from ...compiler.connectivity import to_sparse
from ...compiler.integer.loihi import by_delay, convolution, single
from ...ir.connections import (
    Connection,
    Conv1d,
    Conv2d,
    Dense,
    Flatten,
    Sparse,
    stages,
    synapses,
)
from ...ir.diagnostics import Diagnostics
from ...ir.graph import Graph, Projection
from ...ir.loihi_learning import LoihiPairSTDP
from ...ir.neurons import (
    LoihiATRLIF,
    LoihiDelta,
    LoihiLIF,
    LoihiNeuron,
    LoihiSigma,
    LoihiSigmaDelta,
)
from ...ir.plasticity import Plasticity
from ..spinnaker.program import archive

SCRIPT, DESCRIPTION, DATA, README = "network.py", "network.json", "network.npz", "README.md"
STIMULUS, RECORDING = "stimulus.npz", "recording.npz"
_DELTA: Final = ("vth", "spike_exp", "state_exp", "cum_error")

Array = npt.NDArray[Any]
Arrays = dict[str, Array]


def files(graph: Graph) -> dict[str, bytes]:
    """The files of the program of a graph of populations in Loihi's arithmetic.

    Raises E0301 for another population, E1201 for what a Lava program cannot do.
    """
    found = Diagnostics()
    _check(graph, found)
    found.raise_errors()
    arrays: Arrays = {}
    facts = description(graph, arrays)
    return {
        SCRIPT: resources.files(__package__).joinpath("network.lava").read_bytes(),
        DESCRIPTION: (json.dumps(facts, indent=1) + "\n").encode(),
        DATA: archive(arrays),
        README: _readme(graph, facts).encode(),
    }


def connection_kinds(files: Mapping[str, bytes]) -> dict[str, int]:
    """How many of each of Lava's connection processes a program has."""
    links = json.loads(files[DESCRIPTION])["connections"]
    return dict(sorted(Counter(_KINDS[link["kind"]] for link in links).items()))


def _check(graph: Graph, found: Diagnostics) -> None:
    late = {p.name: p.lag for p in graph.populations}
    for population in graph.populations:
        neuron = population.neuron
        if isinstance(neuron, LoihiATRLIF) and population.lag and not neuron.theta_0:
            found.add(
                "E1201",
                f"'{population.name}' rests until step {population.lag}, and spikes at rest: its "
                "threshold is 0",
                population.at,
                "give it a theta_0 of 1 and more",
            )
        if not isinstance(neuron, LoihiNeuron):
            found.add(
                "E0301",
                f"'{population.name}' is {type(population.neuron).__name__}; a Lava program has "
                "populations in Loihi's arithmetic only",
                population.at,
                "run the pass 'loihi' first",
            )
    for p in graph.projections:
        rule = None if p.plasticity is None else p.plasticity.rule
        if rule is not None and not isinstance(rule, LoihiPairSTDP):
            found.add(
                "E1201",
                f"'{p.name}' learns by {type(rule).__name__}; a Lava program learns by "
                "LoihiPairSTDP",
                p.at,
            )
        if p.short_term is not None or p.tied is not None:
            found.add(
                "E1201", f"'{p.name}' tires or is tied, which no Lava program of ours is", p.at
            )
        for part in _single(p):
            for stage in stages(part.connection):
                if isinstance(stage, Sparse) and _pairs(stage) < stage.post.size:
                    found.add(
                        "E1201",
                        f"'{p.name}' joins a pair of neurons by several synapses of one delay",
                        p.at,
                        "add their weights, or give them projections of their own",
                    )
        arrives = late.get(p.pre, 0) + p.minimum_delay
        if arrives < late[p.post]:
            found.add(
                "E1201",
                f"'{p.name}' reaches '{p.post}' in step {arrives}, while it rests until step "
                f"{late[p.post]}",
                p.at,
                "lags that the pass 'retime' sets never do that",
            )


def description(graph: Graph, arrays: Arrays) -> dict[str, Any]:
    """What ``network.json`` has; ``arrays`` is filled with what ``network.npz`` has."""
    populations = []
    for number, population in enumerate(graph.populations):
        neuron = population.neuron
        assert isinstance(neuron, LoihiNeuron)
        model, parameters, numbers = _model(neuron)
        for parameter in parameters:
            value = getattr(neuron, parameter)
            arrays[f"populations/{number}/{parameter}"] = value.ravel() if value.ndim else value
        populations.append(
            {"name": population.name, "size": population.size, "lag": population.lag}
            | {"model": model, "states": list(neuron.state)}
            | {name: getattr(neuron, name) for name in numbers}
        )
    parts = [part for p in graph.projections for part in _single(p)]
    links = [
        _connection(p, f"connections/{number}/", arrays, _counts(p, graph))
        for number, p in enumerate(parts)
    ]
    return {
        "format": 1,
        "name": graph.name,
        "dt": graph.dt,
        "inputs": [
            {"name": i.name, "size": i.size, "signed": graph.signed(i.name)} for i in graph.inputs
        ],
        "populations": populations,
        "connections": links,
        "outputs": list(dict.fromkeys(o.source for o in graph.outputs)),
        "parts": _parts(graph),
    }


def _model(neuron: LoihiNeuron) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What the program calls a model, its parameters that are arrays, and those that are not."""
    match neuron:
        case LoihiLIF():
            return "lif", neuron.WORDS, ()
        case LoihiATRLIF():
            return "atrlif", (*neuron.WORDS, "v_init"), ()
        case LoihiSigma():
            return "sigma", (), ()
        case LoihiSigmaDelta():
            return "sigma_delta", ("bias",), (*_DELTA, "activation")
        case LoihiDelta():
            return "delta", (), _DELTA
        case _:
            raise TypeError(f"a Lava program does not know {type(neuron).__name__}")


def _parts(graph: Graph) -> list[str]:
    """A population of each connected part of the network: each runs by itself."""
    whole: nx.Graph[str] = nx.Graph()
    whole.add_nodes_from(node.name for node in graph.nodes)
    whole.add_edges_from((p.pre, p.post) for p in graph.projections)
    order = {p.name: k for k, p in enumerate(graph.populations)}
    parts = [[n for n in part if n in order] for part in nx.connected_components(whole)]
    return sorted((min(p, key=order.__getitem__) for p in parts if p), key=order.__getitem__)


def _single(projection: Projection) -> list[Projection]:
    """The projection, or one for each delay where a pair of neurons has several synapses."""
    for stage in stages(projection.connection):
        if (
            isinstance(stage, Sparse)
            and stage.steps is not None
            and _pairs(stage) < stage.post.size
        ):
            return list(by_delay(projection))
    return [projection]


def _pairs(stage: Sparse) -> int:
    """How many different pairs of neurons its synapses join."""
    pre, post = synapses(stage)
    return int(np.unique(pre.astype(np.int64) * stage.post_size + post).size)


def _counts(projection: Projection, graph: Graph) -> bool:
    """Whether what a projection sends are spikes or counts of them: their sums are small."""
    inputs = {node.name for node in graph.inputs}
    of_input = projection.pre in inputs and not graph.signed(projection.pre)
    return of_input or single(projection, graph)


def _connection(projection: Projection, own: str, arrays: Arrays, spikes: bool) -> dict[str, Any]:
    words = projection.words
    assert words is not None
    stage = next(s for s in stages(projection.connection) if not isinstance(s, Flatten))
    late = projection.delay - 1  # a connection takes one step by itself
    shape = [prod(projection.connection.out_shape), prod(projection.connection.in_shape)]
    facts: dict[str, Any] = {
        "name": projection.name,
        "pre": projection.pre,
        "post": projection.post,
        "exponent": words.exponent,
        "bits": words.bits,
        "sign": str(words.sign),
    }
    if projection.plasticity is not None:
        assert isinstance(stage, Dense)
        arrays[own + "weight"] = stage.weight.astype(np.int16)
        return facts | _learns(projection.plasticity)
    # A DelayDense sums values in 64 bits, and where it shifts the sum down that shows.
    full_delays = spikes or words.exponent >= 0
    if isinstance(stage, Dense) and (late == 0 or full_delays):
        arrays[own + "weight"] = stage.weight.astype(np.int16)
        if late == 0:
            return facts | {"kind": "dense"}
        arrays[own + "delay"] = np.full(stage.weight.shape, late, np.int8)
        return facts | {"kind": "delay_dense"}
    conv = convolution(projection)
    if conv is not None:
        arrays[own + "weight"], more = _conv(conv)
        return facts | {"kind": "conv"} | more
    pre, place, weight, steps = _entries(stage)
    delays = steps + late
    if delays.any() and full_delays and 2 * pre.size > prod(shape):
        full, when = np.zeros(shape, np.int16), np.zeros(shape, np.int8)
        full[place, pre], when[place, pre] = weight, delays
        arrays[own + "weight"], arrays[own + "delay"] = full, when
        return facts | {"kind": "delay_dense"}
    arrays[own + "pre"], arrays[own + "post"] = pre, place
    arrays[own + "weight"] = weight.astype(np.int16)
    if not delays.any():
        return facts | {"kind": "sparse", "shape": shape}
    arrays[own + "delay"] = delays.astype(np.int8)
    return facts | {"kind": "delay_sparse", "shape": shape}


def _learns(plasticity: Plasticity) -> dict[str, Any]:
    """What a connection that learns has besides, in Lava's own terms."""
    rule = plasticity.rule
    assert isinstance(rule, LoihiPairSTDP)
    rules = {
        "dw": " + ".join(f"({m}) * 2 ^ {e} * {factors}" for m, e, factors in rule.products),
        "x1_tau": rule.tau_plus,
        "x1_impulse": rule.impulse_plus,
        "y1_tau": rule.tau_minus,
        "y1_impulse": rule.impulse_minus,
        "t_epoch": rule.epoch,
        "rng_seed": rule.seed,
    }
    return {"kind": "learning_dense", "learns": plasticity.learning, "rule": rules}


def _entries(stage: Connection) -> tuple[Array, Array, Array, Array]:
    """Pre, post, weight and own steps of every synapse."""
    if isinstance(stage, Sparse):
        pre, post = synapses(stage)
        steps = np.zeros(pre.size, np.int64) if stage.steps is None else stage.steps
        return pre, post, stage.weight, steps.astype(np.int64)
    matrix = to_sparse(stage)
    pre = np.repeat(np.arange(matrix.shape[0], dtype=np.int32), np.diff(matrix.indptr))
    return pre, matrix.indices.astype(np.int32), matrix.data, np.zeros(pre.size, np.int64)


def _conv(stage: Conv1d | Conv2d) -> tuple[Array, dict[str, Any]]:
    """Weights (C_out, W, H, C_in/groups) and the geometry.

    Lava convolves where we correlate: its kernel is ours turned around.
    """
    if isinstance(stage, Conv1d):
        weight, (channels, width), height = stage.weight[:, :, None, :], stage.shape, 1
        padding = ((0, 0), stage.padding)
        stride, dilation = (1, stage.stride), (1, stage.dilation)
    else:
        weight, (channels, height, width) = stage.weight, stage.shape
        padding, stride, dilation = stage.padding, stage.stride, stage.dilation
    turned = weight[:, :, ::-1, ::-1].transpose(0, 3, 2, 1)
    return np.ascontiguousarray(turned, np.int16), {
        "input_shape": [width, height, channels],
        "padding": [padding[1][0], padding[0][0]],
        "stride": [stride[1], stride[0]],
        "dilation": [dilation[1], dilation[0]],
        "groups": stage.groups,
    }


def _readme(graph: Graph, facts: dict[str, Any]) -> str:
    links = [f"| {_cell(c['name'])} | {_KINDS[c['kind']]} |" for c in facts["connections"]]
    return _README.format(name=graph.name, links="\n".join(links), script=SCRIPT)


def _cell(text: str) -> str:
    """Text inside a table of Markdown."""
    return text.replace("|", "\\|").replace("\n", " ")


_KINDS: Final = {
    "dense": "Dense",
    "learning_dense": "LearningDense",
    "sparse": "Sparse",
    "conv": "Conv",
    "delay_dense": "DelayDense",
    "delay_sparse": "DelaySparse",
}
_README: Final = """\
# {name}, for Lava

Made by spikec; needs lava-nc 0.10, which needs Python 3.10, and nothing of spikec.

    pip install lava-nc==0.10.0
    python {script} --stimulus stimulus.npz --out recording.npz

`network.py` builds the network of `network.json` and `network.npz` out of Lava's processes, runs
every sample from rest in Loihi's fixed point (`Loihi2SimCfg`), and records the spikes of the
outputs, and the weights that were learned. `--populations '["name"]'` names others, `--states`
records all states too, and the traces of what learns, `--weights samples` or `steps` the weights
more often, `--no-learning` lets none change, `--hardware` takes `Loihi2HwCfg`, for which Intel's
extension of Lava and a Loihi 2 system are needed.

A stimulus is an .npz of event lists: `NAME.sample`, `NAME.step`, `NAME.index`, `NAME.value` for
each input, and the numbers `samples` and `steps`. An input with values above 1 sends them as graded
spikes, which Loihi 2 has and Loihi has not.

| projection | Lava process |
|---|---|
{links}
"""
