"""Random networks in Loihi's arithmetic, and Lava running their programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.loihi.execute import supervised
from spikec.backends.loihi.program import files
from spikec.backends.loihi.pythons import python_of
from spikec.compiler.stimulus import LabelledStimulus, load_recording, stimulus_bytes
from spikec.ir.connections import Connection, Conv1d, Conv2d, Dense, OneToOne, Sparse
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.neurons import LoihiATRLIF, LoihiLIF, LoihiNeuron

KINDS = ("dense", "sparse", "one", "delay", "delays", "conv")


@dataclass(frozen=True)
class Case:
    """A network, the same one with weights that Loihi still has to cut, and a stimulus."""

    graph: Graph
    raw: Graph
    stimulus: Stimulus
    kinds: tuple[str, ...]

    @property
    def states(self) -> list[tuple[str, str]]:
        return [(p.name, variable) for p in self.graph.populations for variable in p.state]


def case(seed: int, subtracting: bool = False) -> Case:
    """The random network of a seed; every 6 seeds have every kind of connection in front.

    ``subtracting`` ones have some populations of `LoihiATRLIF`.
    """
    rng = np.random.default_rng([7, seed])
    shapes: list[tuple[int, ...]] = [(2, 5, 4), (int(rng.integers(3, 12)),)]
    inputs = [Input("image", shapes[0]), Input("lines", shapes[1])]
    populations: list[Population] = []
    projections: list[Projection] = []
    raws: list[Projection] = []
    kinds = []
    nodes: dict[str, tuple[tuple[int, ...], int]] = {i.name: (i.shape, 0) for i in inputs}
    # Some are driven beyond the range of u, and of v.
    strong = seed % 3 == 0
    for number in range(int(rng.integers(1, 4))):
        name, lag = f"p{number}", int(rng.choice([0, 0, 0, 1, 3]))
        wanted = [KINDS[seed % len(KINDS)]] if number == 0 else []
        wanted += [str(k) for k in rng.choice(KINDS[:5], int(rng.integers(1, 3)))]
        conv = window(rng) if "conv" in wanted else None
        shape = (int(rng.integers(2, 16)),) if conv is None else conv.out_shape
        neuron: LoihiNeuron = cell(rng, shape, strong)
        if subtracting and (number == 0 or rng.random() < 0.5):
            neuron = refractory(rng, shape, strong, lag)
        populations.append(Population(name, shape, neuron, lag=lag))
        nodes[name] = (shape, lag)
        for kind in wanted:
            pre = "image" if kind == "conv" else str(rng.choice([n for n in nodes if n != "image"]))
            words = LoihiWeights(
                int(rng.integers(1, 9)),
                Sign(str(rng.choice(list(Sign)))),
                int(rng.integers(5, 8) if strong else rng.integers(-6, 5)),
            )
            if kind == "conv":
                assert conv is not None
                words = replace(words, exponent=abs(words.exponent))
            least = max(1, lag - nodes[pre][1])
            delay = least + (int(rng.integers(1, 9)) if kind == "delay" else 0)
            if kind == "one" and np.prod(nodes[pre][0]) != np.prod(shape):
                kind = "dense"
            size = (int(np.prod(nodes[pre][0])), int(np.prod(shape)))
            raw: Any = conv if kind == "conv" else connection(rng, kind, *size)
            own = f"{pre}-{name}-{len(projections)}"
            cut = replace(raw, weight=words.cut(raw.weight))
            kinds.append(kind)
            projections.append(Projection(own, pre, name, cut, delay, words=words))
            # Lava does not cut the weights of a convolution.
            raws.append(replace(projections[-1], connection=cut if kind == "conv" else raw))
    outputs = (Output("out", populations[-1].name),)
    graph = Graph(
        f"random{seed}", 1e-3, tuple(inputs), tuple(populations), tuple(projections), outputs
    )
    samples, steps = int(rng.integers(1, 3)), int(rng.integers(25, 45))
    # Some inputs count.
    most = {i.name: int(rng.choice([1, 1, 6])) for i in inputs}
    spikes = {
        i.name: Events.from_dense(
            (rng.random((samples, steps, i.size)) < rng.uniform(0.05, 0.5))
            * rng.integers(1, most[i.name] + 1, (samples, steps, i.size))
        )
        for i in inputs
    }
    return Case(graph, replace(graph, projections=tuple(raws)), Stimulus(spikes), tuple(kinds))


def cell(rng: np.random.Generator, shape: tuple[int, ...], strong: bool) -> LoihiLIF:
    """One set of parameters for all, or one for each neuron."""
    size: Any = shape if rng.random() < 0.4 else ()
    plain = rng.random() < 0.3
    threshold = rng.integers(1 << 16, 1 << 17, size) if strong else rng.integers(0, 3000, size)
    bias = rng.random() < 0.5
    return LoihiLIF(
        du=np.full((), 4095) if plain else rng.integers(0, 150 if strong else 4096, size),
        dv=rng.integers(0, 400 if strong else 4096, size),
        vth=threshold,
        bias_mant=rng.integers(-4096, 4096, size) if bias else np.zeros((), np.int64),
        bias_exp=rng.integers(0, 8, size),
    )


def refractory(
    rng: np.random.Generator, shape: tuple[int, ...], strong: bool, lag: int
) -> LoihiATRLIF:
    """Half of them subtract, the others have thresholds and refractory states of their own."""
    base = cell(rng, shape, strong)
    dv = rng.integers(0, 400 if strong else 4096, ())
    subtracts = rng.random() < 0.5
    theta = rng.integers(0 if lag == 0 else 1, 4096 if strong else 200, ())
    return LoihiATRLIF(
        du=base.du if base.du.ndim == 0 else base.du.ravel()[0],
        dv=dv,
        theta_0=theta,
        dr=dv if subtracts else rng.integers(0, 4096, ()),
        dtheta=np.zeros((), np.int64) if subtracts else rng.integers(0, 4096, ()),
        theta_step=np.zeros((), np.int64) if subtracts else rng.integers(0, 4096, ()),
        bias_mant=base.bias_mant,
        bias_exp=base.bias_exp,
        v_init=-(theta << 6) if subtracts else rng.integers(-(1 << 23) + 1, 1 << 23, shape),
    )


def window(rng: np.random.Generator) -> Conv2d:
    """A small convolution of the image, of any stride, padding, dilation and groups."""
    groups = int(rng.integers(1, 3))
    weight = rng.integers(-300, 301, (2 * groups, 2 // groups, 3, 2))
    pads = [(int(n), int(n)) for n in rng.integers(0, 3, 2)]
    return Conv2d(
        weight,
        (2, 5, 4),
        (int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        (pads[0], pads[1]),
        (int(rng.integers(1, 3)), int(rng.integers(1, 3))),
        groups,
    )


def connection(rng: np.random.Generator, kind: str, pre: int, post: int) -> Connection:
    """Weights beyond the range of Loihi's, too."""

    def weights(*shape: int) -> npt.NDArray[np.int64]:
        return rng.integers(-300, 301, shape)

    if kind in ("dense", "delay"):
        return Dense(weights(post, pre))
    if kind == "one":
        return OneToOne(weights(pre), (pre,))
    i, j = np.nonzero(rng.random((pre, post)) < (0.8 if rng.random() < 0.5 else 0.3))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=pre))])
    steps = rng.integers(0, 20, j.size).astype(np.int32) if kind == "delays" else None
    return Sparse(pre, post, indptr, j.astype(np.int32), weights(j.size), steps)


def line(length: int) -> Conv1d:
    """A convolution in one dimension."""
    return Conv1d(np.arange(-6, 6).reshape(3, 2, 2) * 16, (2, length), padding=(1, 1))


_DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import network
for folder in sys.argv[1:]:
    folder = Path(folder)
    names = (folder / "names").read_text().split()
    paths = folder / "stimulus.npz", folder / "recording.npz"
    network.run(folder, *paths, names, states=True, weights="steps")
"""


class Runs(Protocol):
    """A network, the one that Lava is given for it, and a stimulus."""

    @property
    def graph(self) -> Graph: ...

    @property
    def raw(self) -> Graph: ...

    @property
    def stimulus(self) -> Stimulus: ...


def lava_python() -> str:
    """The Python that has Lava; the test is skipped where there is none."""
    python = python_of()
    if python is None:
        pytest.skip("no Python has lava-nc: make lava, or name one in SPIKEC_LAVA_PYTHON")
    return str(python)


def run_in_lava(cases: Sequence[Runs], place: Path, seconds: float = 600) -> list[Recording]:
    """What Lava makes of many networks, one after the other in one Python.

    Spikes, states, and the weights behind every step where some learn.
    """
    python, folders = lava_python(), []
    for number, one in enumerate(cases):
        folder = place / str(number)
        folder.mkdir()
        for name, content in files(one.raw).items():
            (folder / name).write_bytes(content)
        (folder / "stimulus.npz").write_bytes(stimulus_bytes(LabelledStimulus(one.stimulus)))
        (folder / "names").write_text(" ".join(p.name for p in one.graph.populations))
        folders.append(folder)
    argv = [python, "-W", "ignore", "-c", _DRIVER, *map(str, folders)]
    supervised(argv, place, seconds=seconds)
    return [load_recording(folder / "recording.npz") for folder in folders]


def processes(graph: Graph) -> list[str]:
    """The kinds of Lava's connection processes in the program of a graph."""
    return [c["kind"] for c in json.loads(files(graph)["network.json"])["connections"]]
