"""Every node type, written by nir 1.0.8 and read here."""

import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from spikec.compiler.frontends.nir import read_nir
from spikec.compiler.frontends.nir.network import FIELDS
from spikec.ir import connections as ir
from spikec.ir import neurons
from spikec.ir.graph import Graph, Projection

RNG = np.random.default_rng(20)
Saved = Callable[[Any], Path]


def read(path: Path, **options: Any) -> Graph:
    return read_nir(path, dialect="nir", dt=1e-3, **options)[0]


def only(graph: Graph) -> Projection:
    (projection,) = graph.projections
    return projection


def chained(*nodes: Any, shape: tuple[int, ...]) -> Any:
    """Input -> nodes -> Output by the reference implementation, without its type check."""
    names = [f"n{k}" for k in range(len(nodes))]
    members = {"input": nir.Input(np.array(shape)), **dict(zip(names, nodes, strict=True))}
    members["output"] = nir.Output(nodes[-1].output_type["output"])
    order = ["input", *names, "output"]
    graph = nir.NIRGraph(members, list(pairwise(order)), type_check=False)
    return graph


def vector(size: int = 3, low: float = 0.5, high: float = 2.0) -> np.ndarray[Any, Any]:
    return RNG.uniform(low, high, size)


NEURONS: dict[str, tuple[Callable[[], Any], type[neurons.Neuron]]] = {
    "I": (lambda: nir.I(vector()), neurons.Integrator),
    "IF": (lambda: nir.IF(vector(), vector(), vector(high=0.6) - 0.5), neurons.IF),
    "LI": (lambda: nir.LI(vector() / 50, vector(), vector()), neurons.LI),
    "LIF": (
        lambda: nir.LIF(vector() / 50, vector(), vector(), vector(), vector() - 0.5),
        neurons.LIF,
    ),
    "CubaLI": (
        lambda: nir.CubaLI(vector() / 50, vector() / 50, vector(), vector(), vector()),
        neurons.CubaLI,
    ),
    "CubaLIF": (
        lambda: nir.CubaLIF(
            vector() / 50, vector() / 50, vector(), vector(), vector(), vector() - 0.5, vector()
        ),
        neurons.CubaLIF,
    ),
    "Threshold": (lambda: nir.Threshold(vector()), neurons.Threshold),
}
LINEAR = {"Affine", "Linear", "Scale", "Conv1d", "Conv2d", "Delay", "Flatten"}


def test_the_list_is_the_reference_one() -> None:
    known = {n for n in nir.ir.__all__ if n[0].isupper()} - {"NIRGraph", "NIRNode"}
    assert set(FIELDS) == known
    assert len(FIELDS) == 18
    tested = {*NEURONS, *LINEAR, "SumPool2d", "AvgPool2d", "Input", "Output"}
    assert tested == known


@pytest.mark.parametrize("kind", NEURONS)
def test_neurons(kind: str, saved: Saved) -> None:
    make, model = NEURONS[kind]
    node = make()
    graph = read(saved(nir.NIRGraph.from_list(node)))
    (population,) = graph.populations
    assert type(population.neuron) is model
    assert population.shape == (3,)
    for name in population.neuron.parameters():
        if name == "v_init":
            assert getattr(population.neuron, name) is None
            continue
        stored = getattr(node, "threshold" if kind == "Threshold" else name)
        np.testing.assert_array_equal(getattr(population.neuron, name), stored)
    assert only(graph).connection == ir.OneToOne(np.array(1.0), (3,))
    assert [o.source for o in graph.outputs] == [population.name]


def test_constant_parameters_are_folded(saved: Saved) -> None:
    one = np.ones(4)
    node = nir.LIF(one * 0.02, np.array([1.0, 1, 1, 1 + 1e-15]), one * 0, one, one * 0)
    neuron = read(saved(nir.NIRGraph.from_list(node))).populations[0].neuron
    assert isinstance(neuron, neurons.LIF)
    assert neuron.tau.shape == ()
    assert neuron.r.shape == (4,)


def lif(shape: tuple[int, ...]) -> Any:
    one = np.ones(shape)
    return nir.LIF(one * 0.02, one, one * 0, one, one * 0)


def test_affine(saved: Saved) -> None:
    weight, bias = RNG.normal(size=(3, 4)), RNG.normal(size=3)
    p = only(read(saved(chained(nir.Affine(weight, bias), lif((3,)), shape=(4,)))))
    assert p.connection == ir.Dense(weight)
    np.testing.assert_array_equal(p.bias, bias)
    assert p.name == "n0"
    assert p.at.node == "n0"


def test_linear(saved: Saved) -> None:
    weight = RNG.normal(size=(3, 4)).astype(np.float32)
    p = only(read(saved(chained(nir.Linear(weight), lif((3,)), shape=(4,)))))
    assert p.connection == ir.Dense(weight.astype(np.float64))
    assert p.bias is None


def test_scale(saved: Saved) -> None:
    scale = RNG.normal(size=3)
    p = only(read(saved(chained(nir.Scale(scale), lif((3,)), shape=(3,)))))
    assert p.connection == ir.Scale(scale, (3,))


@pytest.mark.parametrize(
    ("padding", "expected"),
    [(2, (2, 2)), ("same", (1, 2)), ("valid", (0, 0)), (np.array([1]), (1, 1))],
)
def test_conv1d(padding: Any, expected: tuple[int, int], saved: Saved) -> None:
    weight, bias = RNG.normal(size=(4, 1, 4)), RNG.normal(size=4)
    node = nir.Conv1d(9, weight, 1, padding, 1, 2, bias)
    length = 9 + sum(expected) - 3
    p = only(read(saved(chained(node, lif((4, length)), shape=(2, 9)))))
    assert p.connection == ir.Conv1d(weight, (2, 9), 1, expected, 1, 2)
    np.testing.assert_array_equal(p.bias, np.repeat(bias, length))


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (1, ((1, 1), (1, 1))),
        ((2, 0), ((2, 2), (0, 0))),
        ("same", ((1, 1), (1, 2))),
        ("valid", ((0, 0), (0, 0))),
        (b"valid", ((0, 0), (0, 0))),
    ],
)
@pytest.mark.parametrize("known", [True, False])
def test_conv2d(padding: Any, expected: Any, known: bool, saved: Saved) -> None:
    weight = RNG.normal(size=(2, 3, 3, 4))
    given = padding.decode() if isinstance(padding, bytes) else padding
    node = nir.Conv2d((6, 7), weight, 1, given, 1, 1, np.zeros(2))
    node.padding = padding if not isinstance(padding, tuple) else np.array(padding)
    if not known:
        node.input_shape = np.array([], dtype=np.int64)  # None cannot be written
    connection = ir.Conv2d(weight, (3, 6, 7), (1, 1), expected)
    path = saved(chained(node, lif(connection.out_shape), shape=(3, 6, 7)))
    if not known:
        _remove(path, "node/nodes/n0/input_shape")
    p = only(read(path))
    assert p.connection == connection
    assert p.bias is None


def _remove(path: Path, name: str) -> None:
    import h5py

    with h5py.File(path, "r+") as file:
        del file[name]


def test_strided_dilated_grouped_conv2d(saved: Saved) -> None:
    weight = RNG.normal(size=(4, 2, 3, 2))
    node = nir.Conv2d((9, 8), weight, (2, 1), (1, 0), (1, 2), 2, np.zeros(4))
    connection = ir.Conv2d(weight, (4, 9, 8), (2, 1), ((1, 1), (0, 0)), (1, 2), 2)
    p = only(read(saved(chained(node, lif(connection.out_shape), shape=(4, 9, 8)))))
    assert p.connection == connection


@pytest.mark.parametrize("kind", ["SumPool2d", "AvgPool2d"])
def test_pools(kind: str, saved: Saved) -> None:
    node = getattr(nir, kind)(np.array([2, 3]), np.array([2, 2]), np.array([0, 1]))
    p = only(read(saved(chained(node, lif((2, 3, 4)), shape=(2, 6, 7)))))
    made = getattr(ir, kind)((2, 6, 7), (2, 3), (2, 2), ((0, 0), (1, 1)))
    assert p.connection == made


def test_flatten(saved: Saved) -> None:
    node = nir.Flatten({"input": np.array([2, 3, 4])}, 1, 2)
    p = only(read(saved(chained(node, lif((2, 12)), shape=(2, 3, 4)))))
    assert p.connection == ir.Flatten((2, 3, 4), 1, 2)


def test_delay_of_different_times(saved: Saved) -> None:
    node = nir.Delay(np.array([0.001, 0.004, 0.0]))
    p = only(read(saved(chained(node, lif((3,)), shape=(3,)))))
    assert p.connection == ir.Delay(np.array([1, 4, 0]), (3,))
    assert p.delay == 0


def test_uniform_delay_moves_to_the_projection(saved: Saved) -> None:
    weight = RNG.normal(size=(3, 2))
    nodes = (nir.Delay(np.full(2, 0.003)), nir.Linear(weight), nir.Delay(np.full(3, 0.002)))
    p = only(read(saved(chained(*nodes, lif((3,)), shape=(2,)))))
    assert p.connection == ir.Dense(weight)
    assert p.delay == 5


def test_delay_is_rounded_with_a_warning(saved: Saved) -> None:
    path = saved(chained(nir.Delay(np.array([0.0014, 0.0026])), lif((2,)), shape=(2,)))
    graph, notes = read_nir(path, dialect="nir", dt=1e-3)
    assert only(graph).connection == ir.Delay(np.array([1, 3]), (2,))
    assert [d.code for d in notes if d.code[0] == "W"] == ["W0132"]
    exact = saved(chained(nir.Delay(np.full(2, np.float32(0.0314))), lif((2,)), shape=(2,)))
    graph, notes = read_nir(exact, dialect="nir", dt=1e-4)
    assert only(graph).delay == 314
    assert "W0132" not in [d.code for d in notes]


def test_affine_with_leading_axes(saved: Saved) -> None:
    weight, bias = RNG.normal(size=(2, 3, 4)), RNG.normal(size=(2, 3))
    p = only(read(saved(chained(nir.Affine(weight, bias), lif((2, 3)), shape=(2, 4)))))
    assert isinstance(p.connection, ir.Sparse)
    x = RNG.normal(size=8)
    dense = np.zeros((6, 8))
    pre = np.repeat(np.arange(8), np.diff(p.connection.indptr))
    dense[p.connection.post, pre] = p.connection.weight
    expected = np.einsum("boi,bi->bo", weight, x.reshape(2, 4)).ravel()
    np.testing.assert_allclose(dense @ x, expected, rtol=1e-13)
    np.testing.assert_array_equal(p.bias, bias.ravel())


def test_no_pickle_and_no_nir_at_run_time() -> None:
    import subprocess
    import sys

    code = "import sys, spikec.compiler.frontends.nir; print('nir' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_reading_warns_only_through_diagnostics(saved: Saved) -> None:
    path = saved(nir.NIRGraph.from_list(lif((2,))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(path)
