"""The golden reference against spikes recorded on other platforms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.ir.connections import Dense
from spikec.ir.dialects import DIALECTS
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF, CubaLIF

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
