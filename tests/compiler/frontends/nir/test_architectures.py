"""The graph shapes of the reference implementation's own tests, as files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from spikec.compiler.frontends.nir import read_nir
from spikec.ir.connections import Chain, stages
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph
from spikec.ir.neurons import LIF, Integrator, Relay

Saved = Callable[[Any], Path]
Wires = set[tuple[str, str, int]]


def affine(inputs: int, outputs: int) -> Any:
    rng = np.random.default_rng(inputs * 10 + outputs)
    return nir.Affine(rng.normal(size=(outputs, inputs)), rng.normal(size=outputs))


def lif(size: int) -> Any:
    rng = np.random.default_rng(size)
    one = np.ones(size)
    return nir.LIF(rng.uniform(0.01, 0.02, size), one, one * 0, one + rng.random(size), one * 0)


def read(path: Path) -> Graph:
    return read_nir(path, dialect="nir", dt=1e-3)[0]


def wires(graph: Graph) -> Wires:
    return {(p.pre, p.post, p.delay) for p in graph.projections}


def test_sequential(saved: Saved) -> None:
    delay = nir.Delay(np.array([0.5, 0.1, 0.2]))
    graph = read(saved(nir.NIRGraph.from_list(affine(2, 3), delay, lif(3), affine(3, 2))))
    assert wires(graph) == {("input", "lif", 0), ("lif", "output", 0)}
    assert isinstance(graph.population("output").neuron, Relay)
    first = next(graph.incoming("lif"))
    assert [type(s).__name__ for s in stages(first.connection)] == ["Dense", "Delay"]
    assert first.name == "affine+delay"
    assert first.bias is not None


def test_recurrent_on_first_node(saved: Saved) -> None:
    nodes = {
        "input": nir.Input(np.array([2])),
        "affine": affine(2, 2),
        "integrator": nir.I(np.ones(2)),
        "output": nir.Output(np.array([2])),
    }
    edges = [
        ("input", "affine"),
        ("affine", "integrator"),
        ("integrator", "affine"),
        ("integrator", "output"),
    ]
    graph = read(saved(nir.NIRGraph(nodes, edges)))
    assert wires(graph) == {("input", "integrator", 0), ("integrator", "integrator", 1)}
    loop = next(graph.outgoing("integrator"))
    assert loop.recurrent
    # The node stands on both paths; its bias acts once a step.
    forward = next(graph.outgoing("input"))
    np.testing.assert_array_equal(forward.bias, nodes["affine"].bias)
    assert loop.bias is None
    assert forward.connection == loop.connection
    assert [o.source for o in graph.outputs] == ["integrator"]


def test_recurrent_on_second_node(saved: Saved) -> None:
    nodes = {
        "affine1": affine(2, 2),
        "affine2": affine(2, 2),
        "integrator": nir.I(np.ones(2)),
        "affine3": affine(2, 2),
    }
    edges = [
        ("affine1", "affine2"),
        ("affine2", "integrator"),
        ("integrator", "affine2"),
        ("integrator", "affine3"),
    ]
    graph = read(saved(nir.NIRGraph(nodes, edges)))
    (entry,) = graph.inputs
    (output,) = graph.outputs
    assert wires(graph) == {
        (entry.name, "integrator", 0),
        ("integrator", "integrator", 1),
        ("integrator", output.source, 0),
    }
    assert isinstance(graph.population("integrator").neuron, Integrator)
    forward = next(graph.outgoing(entry.name))
    a, b = nodes["affine1"], nodes["affine2"]
    assert forward.bias is not None
    np.testing.assert_allclose(forward.bias, b.weight @ a.bias + b.bias, rtol=1e-13)


def branches(second: int = 3) -> tuple[Any, Any]:
    delay = nir.Delay(np.array([0.5, 0.1, 0.2]))
    one = nir.NIRGraph.from_list(affine(2, 3), delay, lif(3), affine(3, second))
    two = nir.NIRGraph.from_list(affine(2, 2), lif(2), affine(2, second))
    return one, two


def test_two_independent_branches(saved: Saved) -> None:
    one, two = branches()
    graph = read(saved(nir.NIRGraph({"branch_1": one, "branch_2": two}, [])))
    assert len(graph.inputs) == len(graph.outputs) == 2
    names = {p.name for p in graph.populations if isinstance(p.neuron, LIF)}
    assert names == {"branch_1.lif", "branch_2.lif"}
    assert len(graph.projections) == 4


def test_two_independent_branches_merging(saved: Saved) -> None:
    one, two = branches()
    nodes = {"branch_1": one, "branch_2": two, "junction": lif(3)}
    edges = [("branch_1", "junction"), ("branch_2", "junction")]
    graph = read(saved(nir.NIRGraph(nodes, edges)))
    assert {p.pre for p in graph.incoming("junction")} == {"branch_1.lif", "branch_2.lif"}
    assert [o.source for o in graph.outputs] == ["junction"]


def split(width: int) -> Any:
    return {
        "pre_split": nir.NIRGraph.from_list(affine(2, 3), lif(3)),
        "branch_1": nir.NIRGraph.from_list(affine(3, 2), lif(2)),
        "branch_2": nir.NIRGraph.from_list(affine(3, 2), lif(2)),
        "junction": affine(2, width),
    }


@pytest.mark.parametrize("width", [3, 2])  # merge and split with a single, and another, output
def test_merge_and_split(width: int, saved: Saved) -> None:
    nodes = split(width)
    edges = [
        ("pre_split", "branch_1"),
        ("pre_split", "branch_2"),
        ("branch_1", "junction"),
        ("branch_2", "junction"),
    ]
    graph = read(saved(nir.NIRGraph(nodes, edges)))
    (output,) = graph.outputs
    assert graph.population(output.source).shape == (width,)
    into = list(graph.incoming(output.source))
    assert {p.pre for p in into} == {"branch_1.lif", "branch_2.lif"}
    assert all(p.connection == into[0].connection for p in into)
    assert [p.bias is None for p in into] == [False, True]
    assert len({p.name for p in graph.projections}) == len(graph.projections)


def test_residual(saved: Saved) -> None:
    nodes = {
        "a": affine(2, 2),
        "b": lif(2),
        "c": affine(2, 2),
        "d": lif(2),
        "e": affine(2, 2),
        "f": lif(2),
    }
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("a", "e"), ("e", "f")]
    graph = read(saved(nir.NIRGraph(nodes, edges)))
    (entry,) = graph.inputs
    assert wires(graph) == {
        (entry.name, "b", 0),
        ("b", "d", 0),
        ("d", "f", 0),
        (entry.name, "f", 0),
    }
    biases = [p.bias for p in graph.incoming("f") if p.bias is not None]
    total = np.sum(biases, axis=0)
    expected = nodes["e"].weight @ nodes["a"].bias + nodes["e"].bias
    np.testing.assert_allclose(total, expected, rtol=1e-13)
    assert isinstance(next(p for p in graph.incoming("f") if p.pre == entry.name).connection, Chain)


def test_complex(saved: Saved) -> None:
    nodes = {
        "a": nir.Affine(np.array([[1.0], [2], [3]]), np.array([[0.0, 0, 0]])),
        "b": lif(3),
        "c": lif(3),
        "d": affine(3, 2),
        "e": affine(3, 2),
        "f": affine(2, 2),
    }
    edges = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("c", "e"), ("d", "f"), ("e", "f")]
    graph = read(saved(nir.NIRGraph(nodes, edges)))
    (output,) = graph.outputs
    assert sorted(p.pre for p in graph.incoming(output.source)) == ["b", "c", "c"]


MULTIPLE = {
    "b": {"type": "Linear", "weight": np.full((2, 3), 2.0)},
    "c": {"type": "Linear", "weight": np.full((2, 3), 3.0)},
    "bi": {"type": "Input", "shape": [3]},
    "ci": {"type": "Input", "shape": [3]},
    "bo": {"type": "Output", "shape": [2]},
    "co": {"type": "Output", "shape": [2]},
}
INNER = [("bi", "b"), ("b", "bo"), ("ci", "c"), ("c", "co")]


def test_subgraph_with_several_inputs_and_outputs(raw: Callable[..., Path]) -> None:
    nodes = {
        "input": {"type": "Input", "shape": [1]},
        "a": {"type": "Linear", "weight": np.ones((3, 1))},
        "g": {"nodes": MULTIPLE, "edges": INNER},
        "d": {"type": "Threshold", "threshold": np.ones(2)},
        "output": {"type": "Output", "shape": [2]},
    }
    edges = [
        ("input", "a"),
        ("a", "g.bi"),
        ("a", "g.ci"),
        ("g.bo", "d"),
        ("g.co", "d"),
        ("d", "output"),
    ]
    graph = read(raw(nodes, edges))
    assert {p.name for p in graph.projections} == {"a+g.b", "a+g.c"}
    ambiguous = [("input", "a"), ("a", "g"), ("g.bo", "d"), ("g.co", "d"), ("d", "output")]
    with pytest.raises(SpikecError) as caught:
        read(raw(nodes, ambiguous))
    (error,) = [d for d in caught.value.diagnostics if d.code[0] == "E"]
    assert error.code == "E0118"
    assert "'g.bi', 'g.ci'" in error.message


def test_recurrent_layer_as_nested_graph(raw: Callable[..., Path]) -> None:
    one = np.ones(4)
    layer = {
        "input": {"type": "Input", "shape": [4]},
        "lif": {
            "type": "LIF",
            "tau": one * 0.02,
            "r": one,
            "v_leak": one * 0,
            "v_threshold": one,
        },
        "w_rec": {"type": "Linear", "weight": np.eye(4)[::-1]},
        "output": {"type": "Output", "shape": [4]},
    }
    inner = [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")]
    nodes = {
        "input": {"type": "Input", "shape": [4]},
        "lif1": {"nodes": layer, "edges": inner},
        "output": {"type": "Output", "shape": [4]},
    }
    path = raw(nodes, [("input", "lif1"), ("lif1", "output")])
    graph, notes = read_nir(path)
    assert wires(graph) == {("input", "lif1.lif", 0), ("lif1.lif", "lif1.lif", 1)}
    assert [o.source for o in graph.outputs] == ["lif1.lif"]
    assert graph.dialect == "snntorch"
    assert "W0121" in [d.code for d in notes]
