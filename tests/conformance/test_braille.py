"""The recurrent Braille networks: recorded bits, accuracy of their training pool, RTL equality."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.boards.board import Target
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compare import accuracy, compare
from spikec.compiler.compile import compile_graph
from spikec.compiler.frontends.nir import read_nir
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import quantised, run_rung, state_words
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph

SUBTRACT, ZERO = "braille_noDelay_noBias_subtract", "braille_noDelay_bias_zero"


def network(data_dir: Path, name: str, dialect: str) -> Graph:
    return read_nir(data_dir / "nir" / "braille" / f"{name}.nir", dialect=dialect)[0]


def stimulus(graph: Graph, dense: npt.NDArray[Any]) -> Stimulus:
    return Stimulus({graph.inputs[0].name: Events.from_dense(dense)})


def sample_0(data_dir: Path) -> npt.NDArray[Any]:
    path = data_dir / "nir" / "braille" / "braille_test0_input_256x12_label1.npy"
    found: npt.NDArray[Any] = np.load(path)[None].astype(np.int64)
    return found


def pool(data_dir: Path) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """1158 samples (256 steps, 12 lines) and their letters."""
    with np.load(data_dir / "nir" / "braille" / "braille7_union_unique1158.npz") as file:
        dense = np.unpackbits(file["x"], axis=1)[:, :3072].reshape(-1, 256, 12)
        return dense, file["y"]


@pytest.mark.parametrize("dialect", ["snntorch", "norse", "spyx"])
def test_hidden_spikes_as_recorded(dialect: str, data_dir: Path) -> None:
    """0 wrong of 10,240 bits."""
    graph = network(data_dir, SUBTRACT, dialect)
    hidden = graph.populations[0].name
    given = stimulus(graph, sample_0(data_dir))
    found = run_golden(graph, given, populations=[hidden], codegen="numpy").spikes[hidden]
    with np.load(data_dir / "nir" / "braille" / "golden_noBias_subtract.npz") as file:
        recorded = file[f"hidden_{dialect}"]
    assert recorded.size == 10240
    assert 0 < recorded.sum() == found.value.sum()
    assert np.count_nonzero(found.dense(0) != recorded) == 0


@pytest.mark.parametrize("dialect", ["snntorch-zero", "norse"])
def test_network_with_biases(dialect: str, data_dir: Path) -> None:
    """The bias of the recurrent connection is there from the first step, or from the second."""
    graph = network(data_dir, ZERO, dialect)
    recurrent = next(p for p in graph.projections if p.recurrent)
    assert recurrent.bias is not None and recurrent.bias.any()
    hidden, output = (p.name for p in graph.populations)
    assert graph.population(hidden).semantics.recurrent_bias_first is (dialect != "norse")
    given = stimulus(graph, sample_0(data_dir))
    found = run_golden(
        graph, given, populations=[hidden, output], record=[(hidden, "u")], codegen="numpy"
    )
    assert found.spikes[hidden].value.size > 100
    assert int(found.spikes[output].counts()[0].argmax()) == 1
    biases = [p.bias for p in graph.incoming(hidden) if p.bias is not None]
    total = np.sum(biases, axis=0) - (recurrent.bias if dialect == "norse" else 0)
    still = np.flatnonzero(sample_0(data_dir)[0, 0] == 0)
    assert still.size == 12  # no spike enters in the first step: u is what the biases make of it
    gain = graph.dt / graph.population(hidden).neuron.tau_syn  # type: ignore[attr-defined]
    w_in = graph.population(hidden).neuron.w_in  # type: ignore[attr-defined]
    np.testing.assert_allclose(found.states[hidden, "u"][0, 0], w_in * gain * total, rtol=1e-12)


# Right of 1158, as measured less 23 (2 %): 1123 and 1121, 1090 and 1117. In float arithmetic 97.3 %
# and 96.4 % of this pool, which holds the training set, so this is no test accuracy.
@pytest.mark.parametrize(
    ("name", "dialect", "bits", "floor"),
    [
        (SUBTRACT, "snntorch", 8, 1100),
        (SUBTRACT, "snntorch", 16, 1098),
        (ZERO, "snntorch-zero", 8, 1067),
        (ZERO, "snntorch-zero", 16, 1094),
        pytest.param(SUBTRACT, "norse", 8, 1092, marks=pytest.mark.slow),
        pytest.param(SUBTRACT, "spyx", 8, 1103, marks=pytest.mark.slow),
        pytest.param(ZERO, "norse", 8, 1057, marks=pytest.mark.slow),
    ],
)
def test_accuracy_of_integers(
    name: str, dialect: str, bits: int, floor: int, data_dir: Path
) -> None:
    graph = network(data_dir, name, dialect)
    options = Quantise(weight_bits=bits, state_bits=24, input_max=1)
    integer = run_pipeline([Legalise(), options], graph, Target.unlimited(), Diagnostics())
    dense, letters = pool(data_dir)
    found = Executor(integer).run(stimulus(graph, dense))
    right, total = accuracy(found, graph.outputs[0].source, letters)
    assert total == 1158
    assert right >= floor


@pytest.mark.parametrize(
    ("name", "dialect", "board", "lanes"),
    [
        (SUBTRACT, "snntorch", "ulx3s-85f", None),
        pytest.param(SUBTRACT, "spyx", "ulx3s-85f", 4, marks=pytest.mark.slow),
        pytest.param(ZERO, "norse", "ulx3s-85f", 1, marks=pytest.mark.slow),
        pytest.param(ZERO, "snntorch-zero", "orangecrab-85f", None, marks=pytest.mark.slow),
    ],
)
def test_rtl_equals_integers_on_twenty_samples(
    name: str, dialect: str, board: str, lanes: int | None, data_dir: Path
) -> None:
    graph = network(data_dir, name, dialect)
    backend, target = find_target(board)
    options = Quantise(weight_bits=8, state_bits=24, input_max=1)
    built = compile_graph(graph, backend, target, options, {"bitstream": False, "lanes": lanes})
    artifact: Artifact = built.artifact()
    core = quantised(artifact)
    dense, _ = pool(data_dir)
    given = stimulus(graph, dense[:: len(dense) // 20][:20])
    assert given.samples == 20
    words = state_words(core)
    recordings = [
        run_rung(artifact, rung, given, record=words).recording for rung in ("integer", "rtl")
    ]
    found = compare(*recordings, graph=core, stimulus=given)
    assert found.equal, found.describe()
    assert found.spike_bits == 20 * 256 * 7
    assert found.state_words == 20 * 256 * 2 * core.neurons
    assert sum(e.value.sum() for e in recordings[1].spikes.values()) > 100
