"""Repairs of shapes with one exact reading, and refusals of the rest."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.compiler.frontends.nir import read_nir
from spikec.ir.connections import Chain, Conv2d, Dense, Flatten, OneToOne
from spikec.ir.diagnostics import Diagnostic, SpikecError
from spikec.ir.graph import Graph
from spikec.ir.neurons import LIF

RawFile = Callable[..., Path]
Fields = dict[str, Any]


def lif(*shape: int, **changes: Any) -> Fields:
    one = np.ones(shape)
    fields = {"tau": one * 0.02, "r": one, "v_leak": one * 0, "v_threshold": one}
    return {"type": "LIF", **fields, "v_reset": one * 0, **changes}


def linear(inputs: int, outputs: int) -> Fields:
    return {"type": "Linear", "weight": np.ones((outputs, inputs))}


def port(kind: str, *shape: int) -> Fields:
    return {"type": kind, "shape": np.array(shape, dtype=np.int64)}


def line(raw: RawFile, first: Fields, *middle: Fields, last: Fields | None = None) -> Path:
    """Input -> n0 -> n1 ... -> Output."""
    nodes = {"input": first, **{f"n{k}": node for k, node in enumerate(middle)}}
    if last is not None:
        nodes["output"] = last
    names = list(nodes)
    return raw(nodes, list(pairwise(names)))


def read(path: Path) -> tuple[Graph, list[Diagnostic]]:
    graph, notes = read_nir(path, dialect="nir", dt=1e-3)
    return graph, [d for d in notes if d.code == "W0120"]


def refused(path: Path) -> Diagnostic:
    with pytest.raises(SpikecError) as caught:
        read(path)
    (error,) = [d for d in caught.value.diagnostics if d.code[0] == "E"]
    assert error.code == "E0105"
    return error


@pytest.mark.parametrize("shape", [(1, 4), (1, 10, 4)])
def test_batch_and_time_of_an_input(shape: tuple[int, ...], raw: RawFile) -> None:
    graph, (repair,) = read(line(raw, port("Input", *shape), linear(4, 2), lif(2)))
    assert graph.inputs[0].shape == (4,)
    assert repair.where.node == "input"
    assert str(shape) in repair.message
    assert "(4,)" in repair.message


@pytest.mark.parametrize("shape", [(2, 4), (10, 1, 4), (2, 10, 4), (1, 1, 10, 4), (5,), (4, 1, 2)])
def test_inputs_without_an_exact_reading(shape: tuple[int, ...], raw: RawFile) -> None:
    error = refused(line(raw, port("Input", *shape), linear(4, 2), lif(2)))
    assert error.where.node == "n0"
    assert str(shape) in error.message
    assert error.hint


@pytest.mark.parametrize("known", [True, False])
def test_batch_before_a_convolution(known: bool, raw: RawFile) -> None:
    conv = {
        "type": "Conv2d",
        "weight": np.ones((1, 2, 3, 3)),
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "bias": np.zeros(1),
    }
    conv = {**conv, "input_shape": [5, 6]} if known else conv
    graph, (repair,) = read(line(raw, port("Input", 1, 2, 5, 6), conv, lif(1, 3, 4)))
    assert graph.inputs[0].shape == (2, 5, 6)
    assert isinstance(graph.projections[0].connection, Conv2d)
    assert repair.where.node == "input"


def test_convolution_of_the_wrong_channels(raw: RawFile) -> None:
    conv = {
        "type": "Conv1d",
        "weight": np.ones((1, 2, 3)),
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "bias": np.zeros(1),
    }
    error = refused(line(raw, port("Input", 3, 8), conv, lif(1, 6)))
    assert error.where.node == "n0"
    assert "(2, L)" in error.message
    assert "(3, 8)" in error.message


@pytest.mark.parametrize("shape", [(1, 2), (1, 1, 2), (1, 7, 2)])
def test_output_with_batch_and_time(shape: tuple[int, ...], raw: RawFile) -> None:
    path = line(raw, port("Input", 3), linear(3, 2), lif(2), last=port("Output", *shape))
    graph, (repair,) = read(path)
    assert repair.where.node == "output"
    assert graph.outputs[0].source == "n1"


def test_output_of_another_size(raw: RawFile) -> None:
    path = line(raw, port("Input", 3), linear(3, 2), lif(2), last=port("Output", 3))
    error = refused(path)
    assert error.where.node == "output"
    assert "(3,)" in error.message
    assert "(2,)" in error.message


def flatten(**fields: Any) -> Fields:
    return {"type": "Flatten", "end_dim": -1, **fields}


POOL = {"type": "SumPool2d", "kernel_size": [2, 2], "stride": [2, 2], "padding": [0, 0]}


@pytest.mark.parametrize("fields", [{"start_dim": 1}, {}])  # 1 is the default of nir
def test_flatten_that_counts_the_batch(fields: Fields, raw: RawFile) -> None:
    path = line(raw, port("Input", 2, 4, 4), POOL, flatten(**fields), linear(8, 3), lif(3))
    graph, (repair,) = read(path)
    connection = graph.projections[0].connection
    assert isinstance(connection, Chain)
    assert connection.stages[1] == Flatten((2, 2, 2), 0, -1)
    assert repair.where.node == "n1"
    assert "axis 1" in repair.message


def test_flatten_from_axis_one_that_is_meant(raw: RawFile) -> None:
    graph, repairs = read(line(raw, port("Input", 2, 2, 2), flatten(start_dim=1), lif(2, 4)))
    assert not repairs
    assert graph.projections[0].connection == Flatten((2, 2, 2), 1, -1)


def test_flatten_whose_input_type_has_a_batch(raw: RawFile) -> None:
    node = flatten(start_dim=1, input_type=[1, 2, 2, 2])
    graph, (repair,) = read(line(raw, port("Input", 2, 2, 2), node, linear(8, 3), lif(3)))
    connection = graph.projections[0].connection
    assert isinstance(connection, Chain)
    assert connection.stages[0] == Flatten((2, 2, 2), 0, -1)
    assert "(1, 2, 2, 2)" in repair.message


def test_flatten_of_a_vector(raw: RawFile) -> None:
    graph, (repair,) = read(line(raw, port("Input", 4), flatten(start_dim=1), linear(4, 3), lif(3)))
    assert isinstance(graph.projections[0].connection, Dense)
    assert repair.where.node == "n0"


def test_flatten_that_fits_neither_way(raw: RawFile) -> None:
    error = refused(line(raw, port("Input", 2, 4), flatten(start_dim=1), linear(7, 3), lif(3)))
    assert error.where.node == "n1"
    assert refused(line(raw, port("Input", 4), flatten(start_dim=3), lif(4))).where.node == "n0"


def test_missing_flatten_is_named(raw: RawFile) -> None:
    error = refused(line(raw, port("Input", 2, 4), linear(8, 3), lif(3)))
    assert error.hint == "put a Flatten between 'input' and 'n0'"


@pytest.mark.parametrize("shape", [(), (1,)])
def test_scalar_parameters_of_a_layer(shape: tuple[int, ...], raw: RawFile) -> None:
    graph, (repair,) = read(line(raw, port("Input", 4), linear(4, 3), lif(*shape), linear(3, 2)))
    population = graph.population("n1")
    assert population.shape == (3,)
    assert isinstance(population.neuron, LIF)
    assert population.neuron.tau.shape == ()
    assert str(shape) in repair.message


def test_one_scalar_parameter_among_vectors(raw: RawFile) -> None:
    node = lif(3, r=2.0, v_leak=np.zeros(1))
    graph, repairs = read(line(raw, port("Input", 3), node))
    assert len(repairs) == 2
    assert graph.populations[0].shape == (3,)


def test_parameters_with_a_batch_axis_or_by_channel(raw: RawFile) -> None:
    graph, (repair,) = read(line(raw, port("Input", 3), linear(3, 2), lif(1, 2), linear(2, 2)))
    assert graph.population("n1").shape == (2,)
    tau = np.array([0.01, 0.02]).reshape(2, 1, 1)
    node = lif(2, 1, 1, tau=tau)
    graph, (repair,) = read(line(raw, port("Input", 2, 3, 4), node))
    neuron = graph.population("n0").neuron
    assert isinstance(neuron, LIF)
    assert graph.population("n0").shape == (2, 3, 4)
    np.testing.assert_array_equal(neuron.tau, np.broadcast_to(tau, (2, 3, 4)))
    assert "(2, 1, 1)" in repair.message


def test_axes_of_one_between_nodes(raw: RawFile) -> None:
    graph, repairs = read(line(raw, port("Input", 6, 1, 1), linear(6, 2), lif(2)))
    assert graph.inputs[0].shape == (6, 1, 1)
    assert [d.where.node for d in repairs] == ["n0"]


def test_a_vector_fills_a_shaped_population(raw: RawFile) -> None:
    graph, (repair,) = read(line(raw, port("Input", 3), linear(3, 6), lif(2, 3)))
    assert graph.populations[0].shape == (2, 3)
    assert "C order" in repair.message


def test_shape_that_nothing_says(raw: RawFile) -> None:
    path = raw({"pool": POOL, "lif": lif()}, [("pool", "lif")])
    error = refused(path)
    assert "cannot be inferred" in error.message


def test_scalar_neuron_without_any_shape_is_one_neuron(raw: RawFile) -> None:
    graph, _ = read(raw({"lif": lif()}, []))
    assert graph.populations[0].shape == (1,)


def test_shapes_travel_around_loops(raw: RawFile) -> None:
    nodes = {
        "input": port("Input", 4),
        "lif": lif(),
        "w": linear(4, 4),
        "output": port("Output", 4),
    }
    edges = [("input", "lif"), ("lif", "w"), ("w", "lif"), ("lif", "output")]
    graph, repairs = read(raw(nodes, edges))
    assert graph.populations[0].shape == (4,)
    assert len(repairs) == 1


def test_files_without_inputs_and_outputs(raw: RawFile) -> None:
    path = raw({"a": linear(3, 2), "b": lif(2), "input_a": lif(2)}, [("a", "b"), ("b", "input_a")])
    graph, notes = read_nir(path, dialect="nir", dt=1e-3)
    assert [i.name for i in graph.inputs] == ["input_a_0"]
    assert graph.inputs[0].shape == (3,)
    assert [o.source for o in graph.outputs] == ["input_a"]
    assert [d.code for d in notes] == ["N0130", "W0131", "W0131"]


def test_nodes_connected_to_nothing_are_kept(raw: RawFile) -> None:
    nodes = {"input": port("Input", 3), "a": lif(3), "b": lif(2), "output": port("Output", 3)}
    graph, notes = read_nir(raw(nodes, [("input", "a"), ("a", "output")]), dialect="nir", dt=1e-3)
    assert {p.name for p in graph.populations} == {"a", "b"}
    assert [(d.code, d.where.node) for d in notes if d.code[0] == "W"] == [("W0124", "b")] * 2


def test_input_straight_to_an_output(raw: RawFile) -> None:
    graph, _ = read(raw({"i": port("Input", 3), "o": port("Output", 3)}, [("i", "o")]))
    assert graph.projections[0].connection == OneToOne(np.array(1.0), (3,))
    assert [(o.name, o.source) for o in graph.outputs] == [("o", "o")]
