"""The golden reference against spikes recorded on other platforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.ir.connections import Chain, Conv2d, Dense, Flatten, SumPool2d
from spikec.ir.dialects import DIALECTS
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF, LIF, CubaLIF
from spikec.ir.semantics import Reset, Semantics

h5py = pytest.importorskip("h5py")

Values = npt.NDArray[Any]
DT = 1e-4

LIF_SPIKES = {
    "snntorch": ("lif_snntorch", [460, 510, 710, 760]),
    "norse": ("lif_norse", [460, 510, 710, 760]),
    "nengo": ("lif_nengo", [460, 510, 710, 760]),
    "spinnaker2": ("lif_spinnaker2", [460, 510, 710, 760]),
    "spyx": ("lif_spyx", [461, 511, 711, 761]),
    "lava": ("lif_lava_cpu_float", [461, 511, 711, 761]),
    "sinabs": ("lif_sinabs", [450, 500, 710, 760]),
    "rockpool": ("lif_rockpool", [450, 500, 710, 760]),
}


def nodes(path: Path) -> dict[str, dict[str, Values]]:
    """The parameters of every node of a NIR file."""
    with h5py.File(path) as file:
        return {
            name: {key: value[()] for key, value in group.items() if key != "type"}
            for name, group in file["node/nodes"].items()
        }


@pytest.mark.parametrize("dialect", LIF_SPIKES)
def test_one_lif_neuron(dialect: str, data_dir: Path) -> None:
    folder = data_dir / "nir" / "lif"
    recording, expected = LIF_SPIKES[dialect]
    rule = DIALECTS[dialect]
    kind = "rockpool" if dialect == "rockpool" else "norse"
    names = {"norse": ("0", "1"), "rockpool": ("0_LinearTorch", "1_LIFNeuronTorch")}[kind]
    file = nodes(folder / f"lif_{kind}.nir")
    weight, neuron = (file[name] for name in names)
    graph = Graph(
        "lif",
        DT,
        (Input("in", (1,)),),
        (Population("lif", (1,), LIF(**neuron), rule.semantics),),
        (Projection("w", "in", "lif", Dense(weight["weight"]), rule.forward_delay),),
        (Output("out", "lif"),),
    )
    line = np.loadtxt(folder / "lif_norse.csv", delimiter=",")[:, 0].astype(int)
    assert line.sum() == 34
    stimulus = Stimulus({"in": Events.from_dense(line[None, :, None])})
    found = run_golden(graph, stimulus, codegen="numpy").spikes["lif"]
    assert found.step.tolist() == expected
    assert (found.value == 1).all()
    recorded = np.loadtxt(folder / f"{recording}.csv", delimiter=",")[:, 2]
    assert np.flatnonzero(recorded).tolist() == expected


def braille(data_dir: Path, name: str, dialect: str) -> tuple[Graph, Stimulus]:
    rule = DIALECTS[dialect]
    file = nodes(data_dir / "nir" / "braille" / f"braille_noDelay_{name}.nir")

    def population(key: str) -> Population:
        return Population(key, (len(file[key]["r"]),), CubaLIF(**file[key]), rule.semantics)

    def projection(key: str, pre: str, post: str, recurrent: bool = False) -> Projection:
        delay = rule.recurrent_delay if recurrent else rule.forward_delay
        weight = file[key]["weight"].astype(np.float64)
        return Projection(key, pre, post, Dense(weight), delay, file[key].get("bias"), recurrent)

    graph = Graph(
        "braille",
        DT,
        (Input("in", (12,)),),
        (population("lif1.lif"), population("lif2")),
        (
            projection("fc1", "in", "lif1.lif"),
            projection("lif1.w_rec", "lif1.lif", "lif1.lif", True),
            projection("fc2", "lif1.lif", "lif2"),
        ),
        (Output("out", "lif2"),),
    )
    line = np.load(data_dir / "nir" / "braille" / "braille_test0_input_256x12_label1.npy")
    return graph, Stimulus({"in": Events.from_dense(line[None].astype(int))})


@pytest.mark.parametrize("dialect", ["snntorch", "norse", "spyx"])
def test_braille_hidden_spikes(dialect: str, data_dir: Path) -> None:
    """0 wrong of 10,240 bits."""
    graph, stimulus = braille(data_dir, "noBias_subtract", dialect)
    found = run_golden(graph, stimulus, populations=["lif1.lif"], codegen="numpy")
    path = data_dir / "nir" / "braille" / "golden_noBias_subtract.npz"
    with np.load(path) as file:
        recorded = file[f"hidden_{dialect}"]
    assert recorded.size == 10240
    assert int((found.spikes["lif1.lif"].dense(0) != recorded).sum()) == 0


@pytest.mark.parametrize("dialect", ["snntorch-zero", "norse", "spyx"])
def test_braille_with_bias_and_zero_reset(dialect: str, data_dir: Path) -> None:
    graph, stimulus = braille(data_dir, "bias_zero", dialect)
    found = run_golden(graph, stimulus, codegen="numpy").spikes["lif2"]
    assert found.value.size > 0
    if dialect == "snntorch-zero":  # the rule it was trained with: the label is 1
        assert int(found.counts()[0].argmax()) == 1


def nmnist(data_dir: Path, semantics: Semantics) -> Graph:
    file = nodes(data_dir / "nir" / "cnn" / "cnn_sinabs.nir")

    def conv(key: str, shape: tuple[int, int, int]) -> Conv2d:
        node = file[key]
        pads = [(int(pad), int(pad)) for pad in node["padding"]]
        stride = (int(node["stride"][0]), int(node["stride"][1]))
        return Conv2d(node["weight"], shape, stride, (pads[0], pads[1]))

    def population(key: str) -> Population:
        return Population(key, file[key]["r"].shape, IF(**file[key]), semantics)

    def pool(shape: tuple[int, int, int]) -> SumPool2d:
        return SumPool2d(shape, (2, 2), (2, 2))

    return Graph(
        "nmnist",
        1e-3,
        (Input("in", (2, 34, 34)),),
        tuple(map(population, ("1", "3", "6", "10", "12"))),
        (
            Projection("0", "in", "1", conv("0", (2, 34, 34))),
            Projection("2", "1", "3", conv("2", (16, 16, 16))),
            Projection("5", "3", "6", Chain((pool((16, 16, 16)), conv("5", (16, 8, 8))))),
            Projection(
                "9",
                "6",
                "10",
                Chain((pool((8, 8, 8)), Flatten((8, 4, 4)), Dense(file["9"]["weight"]))),
            ),
            Projection("11", "10", "12", Dense(file["11"]["weight"])),
        ),
        (Output("out", "12"),),
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("semantics", "correct"),
    [
        (Semantics(reset=Reset.SUBTRACT), 97),
        (Semantics(reset=Reset.ZERO), 100),
        (Semantics(reset=Reset.SUBTRACT, max_spikes=None), 100),
        (Semantics(reset=Reset.SUBTRACT, max_spikes=None, v_min=-1.0), 96),
    ],
)
def test_nmnist_accuracy(semantics: Semantics, correct: int, data_dir: Path) -> None:
    """The figures of four rules on 100 test samples, within one sample."""
    with np.load(data_dir / "nmnist" / "nmnist_test100.npz") as file:
        events, offsets, labels = file["events"], file["offsets"], file["labels"]
    sample = np.repeat(np.arange(100), np.diff(offsets))
    step = (events["t"] - events["t"][offsets[sample]]) // 1000
    line = (events["p"].astype(int) * 34 + events["y"]) * 34 + events["x"]
    early = step < 300
    stimulus = Stimulus(
        {"in": Events.from_events(100, 300, 2312, sample[early], step[early], line[early])}
    )
    found = run_golden(nmnist(data_dir, semantics), stimulus)
    right = int((found.spikes["12"].counts().argmax(axis=1) == labels).sum())
    assert abs(right - correct) <= 1
