"""The real files of the data folder: what each of them reads as."""

from pathlib import Path

import nir
import numpy as np
import pytest

from spikec.compiler.frontends.nir import read_nir, sniff, write_nir
from spikec.ir.connections import Chain, Conv2d, Dense, Flatten, SumPool2d
from spikec.ir.diagnostics import SpikecError
from spikec.ir.neurons import IF, LIF, CubaLIF
from spikec.ir.semantics import Reset

BRAILLE = [
    ("nir/braille/braille_noDelay_bias_zero.nir", 38, True),
    ("nir/braille/braille_noDelay_noBias_subtract.nir", 40, False),
    ("nir/other/nirtorch_braille.nir", 38, True),
    ("nir/other/norse_braille.nir", 38, True),
]
READABLE = [
    "nir/cnn/cnn_sinabs.nir",
    "nir/lif/lif_norse.nir",
    "nir/lif/lif_rockpool.nir",
    *(path for path, _, _ in BRAILLE),
]


@pytest.mark.parametrize(("name", "hidden", "biased"), BRAILLE)
def test_braille(name: str, hidden: int, biased: bool, data_dir: Path) -> None:
    graph, notes = read_nir(data_dir / name)
    assert (graph.dialect, graph.dt) == ("snntorch", 1e-4)
    assert [(p.name, p.shape) for p in graph.populations] == [
        ("lif1.lif", (hidden,)),
        ("lif2", (7,)),
    ]
    assert all(isinstance(p.neuron, CubaLIF) for p in graph.populations)
    found = {p.name: (p.pre, p.post, p.delay, p.recurrent) for p in graph.projections}
    assert found == {
        "fc1": ("input", "lif1.lif", 0, False),
        "lif1.w_rec": ("lif1.lif", "lif1.lif", 1, True),
        "fc2": ("lif1.lif", "lif2", 0, False),
    }
    assert all((p.bias is not None) == biased for p in graph.projections)
    assert [(o.name, o.source) for o in graph.outputs] == [("output", "lif2")]
    neuron = graph.population("lif1.lif").neuron
    assert isinstance(neuron, CubaLIF)
    assert neuron.tau_mem.shape == ()
    assert neuron.v_reset is None
    assert {"W0121", "W0125", "N0130"} <= {d.code for d in notes}


def test_weights_are_those_of_the_file(data_dir: Path) -> None:
    path = data_dir / "nir/braille/braille_noDelay_bias_zero.nir"
    reference = nir.read(path)
    graph, _ = read_nir(path)
    for p in graph.projections:
        node = reference.nodes[p.name]
        assert isinstance(p.connection, Dense)
        np.testing.assert_array_equal(p.connection.weight, node.weight.astype(np.float64))
        np.testing.assert_array_equal(p.bias, node.bias.astype(np.float64))


def test_norse_dialect_keeps_the_recurrent_bias_apart(data_dir: Path) -> None:
    graph, _ = read_nir(data_dir / BRAILLE[0][0], dialect="norse")
    assert not graph.population("lif1.lif").semantics.recurrent_bias_first
    assert [p.name for p in graph.projections if p.recurrent] == ["lif1.w_rec"]


def test_cnn(data_dir: Path) -> None:
    graph, notes = read_nir(data_dir / "nir/cnn/cnn_sinabs.nir")
    assert (graph.dialect, graph.dt) == ("sinabs", 1e-3)
    assert [(p.name, p.shape) for p in graph.populations] == [
        ("1", (16, 16, 16)),
        ("3", (16, 16, 16)),
        ("6", (8, 8, 8)),
        ("10", (256,)),
        ("12", (10,)),
    ]
    assert all(isinstance(p.neuron, IF) for p in graph.populations)
    kinds = {p.name: p.connection for p in graph.projections}
    assert list(kinds) == ["0", "2", "4+5", "7+8+9", "11"]
    last = kinds["7+8+9"]
    assert isinstance(last, Chain)
    assert [type(s) for s in last.stages] == [SumPool2d, Flatten, Dense]
    assert isinstance(kinds["0"], Conv2d)
    assert kinds["0"].out_shape == (16, 16, 16)
    assert all(p.bias is None for p in graph.projections)  # stored, and all zero
    assert graph.neurons == 4096 + 4096 + 512 + 256 + 10
    assert [d.code for d in notes] == ["W0125", "N0130", "W0121"]


def test_overrides_of_the_published_sinabs_network(data_dir: Path) -> None:
    rules = {"max_spikes": 1, "reset": "zero", "v_min": -1.0}
    graph, _ = read_nir(data_dir / "nir/cnn/cnn_sinabs.nir", overrides=rules)
    semantics = graph.populations[0].semantics
    assert (semantics.max_spikes, semantics.reset, semantics.v_min) == (1, Reset.ZERO, -1.0)


def test_lif_norse(data_dir: Path) -> None:
    graph, _ = read_nir(data_dir / "nir/lif/lif_norse.nir")
    (population,) = graph.populations
    assert graph.dialect == "norse"
    assert population.shape == (1,)
    neuron = population.neuron
    assert isinstance(neuron, LIF)
    assert float(neuron.tau) == float(np.float32(0.0025))
    assert graph.projections[0].connection == Dense(np.ones((1, 1)))


def test_lif_rockpool_which_the_reference_reader_refuses(data_dir: Path) -> None:
    path = data_dir / "nir/lif/lif_rockpool.nir"
    with pytest.raises(ValueError, match="mismatch"):
        nir.read(path)
    graph, notes = read_nir(path)
    assert graph.dialect == "rockpool"
    (repair,) = [d for d in notes if d.code == "W0120"]
    assert repair.where.node == "output"
    assert "(1, 1, 1)" in repair.message
    assert "(1,)" in repair.message


def test_nirviz_is_refused_with_every_reason(data_dir: Path) -> None:
    with pytest.raises(SpikecError) as caught:
        read_nir(data_dir / "nir/other/nirviz_srnn.nir", dt=1e-4)
    errors = [d for d in caught.value.diagnostics if d.code[0] == "E"]
    assert {(d.code, d.where.node) for d in errors} == {("E0107", "cu1"), ("E0107", "cu2")}
    assert len(errors) == 4  # both time constants of both nodes
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", READABLE)
def test_every_file_survives_writing(name: str, data_dir: Path, tmp_path: Path) -> None:
    graph, _ = read_nir(data_dir / name)
    path = tmp_path / "again.nir"
    write_nir(graph, path)
    nir.read(path)  # with its type check
    again, _ = read_nir(path)
    assert sniff(path) == "network"
    assert {p.name: p.connection for p in again.projections} == {
        p.name: p.connection for p in graph.projections
    }
    assert {p.name: (p.neuron, p.semantics) for p in again.populations} == {
        p.name: (p.neuron, p.semantics) for p in graph.populations
    }
