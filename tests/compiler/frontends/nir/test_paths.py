"""Linear nodes between populations: sums, biases, names, loops, delays."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.compiler.frontends.nir import read_nir
from spikec.compiler.frontends.nir.loops import find_loops
from spikec.compiler.frontends.nir.response import response
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph

RawFile = Callable[..., Path]
Real = npt.NDArray[np.float64]
RNG = np.random.default_rng(3)


def lif(*shape: int) -> dict[str, Any]:
    one = np.ones(shape)
    fields = {"tau": one * 0.02, "r": one, "v_leak": one * 0, "v_threshold": one}
    return {"type": "LIF", **fields, "v_reset": one * 0}


def affine(inputs: int, outputs: int) -> dict[str, Any]:
    weight, bias = RNG.normal(size=(outputs, inputs)), RNG.normal(size=outputs)
    return {"type": "Affine", "weight": weight, "bias": bias}


def conv(inputs: int, outputs: int, **changes: Any) -> dict[str, Any]:
    groups = changes.get("groups", 1)
    fields = {
        "weight": RNG.normal(size=(outputs, inputs // groups, 3, 2)),
        "stride": [1, 2],
        "padding": [1, 0],
        "dilation": [2, 1],
        "groups": 1,
        "bias": RNG.normal(size=outputs),
    }
    return {"type": "Conv2d", **fields, **changes}


def scale(*shape: int) -> dict[str, Any]:
    return {"type": "Scale", "scale": RNG.normal(size=shape)}


def port(kind: str, *shape: int) -> dict[str, Any]:
    return {"type": kind, "shape": np.array(shape)}


def read(path: Path, dialect: str = "nir") -> Graph:
    return read_nir(path, dialect=dialect, dt=1e-3)[0]


# -- the docstrings of nir, in loops -----------------------------------------------------------


def evaluate(node: Mapping[str, Any], x: Real) -> Real:
    """What nir's docstring of the node says, as plainly as it can be written."""
    match node["type"]:
        case "Affine":
            return np.asarray(node["weight"] @ x + node["bias"])
        case "Linear":
            return np.asarray(node["weight"] @ x)
        case "Scale":
            return np.asarray(node["scale"] * x)
        case "Flatten":
            return x.reshape(*x.shape[: node["start_dim"]], -1)
        case "Conv2d":
            return convolved(node, x)
        case "Conv1d":
            wide = {**node, "weight": node["weight"][:, :, None, :]}
            for name, first in (("stride", 1), ("padding", 0), ("dilation", 1)):
                wide[name] = [first, node[name]]
            return convolved(wide, x[:, None, :])[:, 0, :]
        case "SumPool2d" | "AvgPool2d":
            return pooled(node, x)
    return x


def convolved(node: Mapping[str, Any], x: Real) -> Real:
    weight, groups = node["weight"], node["groups"]
    (s0, s1), (p0, p1), (d0, d1) = node["stride"], node["padding"], node["dilation"]
    x = np.pad(x, ((0, 0), (p0, p0), (p1, p1)))
    outputs, inputs, rows, columns = weight.shape
    high = (x.shape[1] - d0 * (rows - 1) - 1) // s0 + 1
    wide = (x.shape[2] - d1 * (columns - 1) - 1) // s1 + 1
    y = np.zeros((outputs, high, wide))
    for o, i, j in np.ndindex(y.shape):
        base = o // (outputs // groups) * inputs
        for c, k, m in np.ndindex(inputs, rows, columns):
            y[o, i, j] += weight[o, c, k, m] * x[base + c, i * s0 + k * d0, j * s1 + m * d1]
        y[o, i, j] += node["bias"][o]
    return y


def pooled(node: Mapping[str, Any], x: Real) -> Real:
    (k0, k1), (s0, s1), (p0, p1) = node["kernel_size"], node["stride"], node["padding"]
    x = np.pad(x, ((0, 0), (p0, p0), (p1, p1)))
    high, wide = (x.shape[1] - k0) // s0 + 1, (x.shape[2] - k1) // s1 + 1
    y = np.zeros((x.shape[0], high, wide))
    for c, i, j in np.ndindex(y.shape):
        y[c, i, j] = x[c, i * s0 : i * s0 + k0, j * s1 : j * s1 + k1].sum()
    return y / (k0 * k1) if node["type"] == "AvgPool2d" else y


def propagated(
    nodes: Mapping[str, Mapping[str, Any]], edges: list[tuple[str, str]], sources: dict[str, Real]
) -> dict[str, Real]:
    """The input that every other node receives, for values at the sources."""
    received: dict[str, Real] = {}
    given = dict(sources)
    waiting = [n for n in nodes if n not in sources]
    while waiting:
        for name in list(waiting):
            before = [a for a, b in edges if b == name]
            if all(a in given for a in before):
                received[name] = np.sum([given[a] for a in before], axis=0)
                given[name] = evaluate(nodes[name], received[name])
                waiting.remove(name)
    return received


def total_input(graph: Graph, post: str, values: dict[str, Real]) -> Real:
    """The sum of projections, as the contract of the graph has it."""
    total = np.zeros(graph.population(post).size)
    for p in graph.incoming(post):
        total += response(p.connection, values[p.pre].ravel())
        if p.bias is not None:
            total += p.bias
    return total


POOL = {"kernel_size": [2, 2], "stride": [2, 1], "padding": [1, 0]}
DENSE_TAIL: dict[str, Any] = {
    "flatten": {"type": "Flatten", "start_dim": 0, "end_dim": -1},
}
LINES: dict[str, tuple[tuple[int, ...], list[dict[str, Any]], tuple[int, ...]]] = {
    "dense": ((5,), [affine(5, 4), affine(4, 3)], (3,)),
    "scaled": ((5,), [scale(5), affine(5, 4), scale(4)], (4,)),
    "conv": ((4, 6, 5), [conv(4, 2, groups=2)], (2, 4, 2)),
    "conv pool": ((2, 8, 9), [conv(2, 3), {"type": "SumPool2d", **POOL}], (3, 4, 3)),
    "average": ((2, 8, 9), [{"type": "AvgPool2d", **POOL}, conv(2, 3)], (3, 3, 4)),
    "conv flat dense": (
        (2, 6, 5),
        [conv(2, 3), DENSE_TAIL["flatten"], affine(24, 4)],
        (4,),
    ),
    "conv1d": (
        (4, 9),
        [
            {
                "type": "Conv1d",
                "weight": RNG.normal(size=(6, 2, 3)),
                "stride": 2,
                "padding": 1,
                "dilation": 2,
                "groups": 2,
                "bias": RNG.normal(size=6),
            },
            scale(6, 4),
        ],
        (6, 4),
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_chains_do_what_the_docstrings_say(name: str, raw: RawFile) -> None:
    entry, middle, last = LINES[name]
    nodes = {"x": port("Input", *entry), **{f"n{k}": n for k, n in enumerate(middle)}}
    nodes["y"] = lif(*last)
    order = list(nodes)
    edges = list(pairwise(order))
    graph = read(raw(nodes, edges))
    values = {"x": RNG.normal(size=entry)}
    expected = propagated(nodes, edges, values)["y"].ravel()
    np.testing.assert_allclose(total_input(graph, "y", values), expected, rtol=1e-11, atol=1e-12)
    assert len(graph.projections) == 1


def test_sums_inside_a_linear_graph_are_distributed(raw: RawFile) -> None:
    nodes = {
        "x": port("Input", 3),
        "w": port("Input", 3),
        "a": affine(3, 4),
        "b": affine(3, 4),
        "c": affine(4, 4),
        "d": affine(4, 4),
        "e": affine(4, 2),
        "y": lif(2),
    }
    edges = [("x", "a"), ("x", "b"), ("w", "b"), ("a", "c"), ("b", "c"), ("a", "d"), ("b", "d")]
    edges += [("c", "e"), ("d", "e"), ("a", "e"), ("e", "y")]
    graph = read(raw(nodes, edges))
    values = {"x": RNG.normal(size=3), "w": RNG.normal(size=3)}
    expected = propagated(nodes, edges, values)["y"]
    np.testing.assert_allclose(total_input(graph, "y", values), expected, rtol=1e-11)
    assert len(graph.projections) == 3 + 2 + 2  # over a: c d e; over b: c d, from x and from w
    assert len({p.name for p in graph.projections}) == 7


def test_bias_reaches_every_population_once(raw: RawFile) -> None:
    nodes = {"x": port("Input", 3), "a": affine(3, 3), "y": lif(3), "z": lif(3)}
    graph = read(raw(nodes, [("x", "a"), ("a", "y"), ("a", "z"), ("y", "z")]))
    for post in "yz":
        biases = [p.bias for p in graph.incoming(post) if p.bias is not None]
        assert len(biases) == 1
        np.testing.assert_array_equal(biases[0], nodes["a"]["bias"])


def test_constant_and_zero_biases(raw: RawFile) -> None:
    weight = np.ones((3, 3))
    for value, shape in ((0.0, None), (2.0, ())):
        node = {"type": "Affine", "weight": weight, "bias": np.full(3, value)}
        path = raw({"x": port("Input", 3), "a": node, "y": lif(3)}, [("x", "a"), ("a", "y")])
        bias = read(path).projections[0].bias
        assert (None if bias is None else bias.shape) == shape


def test_bias_before_a_delay_is_noted(raw: RawFile) -> None:
    nodes = {
        "x": port("Input", 3),
        "a": affine(3, 3),
        "d": {"type": "Delay", "delay": np.full(3, 0.002)},
        "y": lif(3),
    }
    path = raw(nodes, [("x", "a"), ("a", "d"), ("d", "y")])
    graph, notes = read_nir(path, dialect="nir", dt=1e-3)
    assert graph.projections[0].delay == 2
    assert graph.projections[0].name == "a"
    assert [d.code for d in notes if d.where.node == "a"] == ["W0128"]


def test_linear_with_a_bias_from_old_files(raw: RawFile) -> None:
    node = {**affine(3, 2), "type": "Linear"}
    node["weights"] = node.pop("weight")
    path = raw({"x": port("Input", 3), "a": node, "y": lif(2)}, [("x", "a"), ("a", "y")], "0.0.1")
    graph = read(path)
    np.testing.assert_array_equal(graph.projections[0].bias, node["bias"])


def test_a_loop_without_a_neuron(raw: RawFile) -> None:
    nodes = {"x": port("Input", 2), "a": affine(2, 2), "b": affine(2, 2), "y": lif(2)}
    path = raw(nodes, [("x", "a"), ("a", "b"), ("b", "a"), ("b", "y")])
    with pytest.raises(SpikecError) as caught:
        read(path)
    (error,) = [d for d in caught.value.diagnostics if d.code[0] == "E"]
    assert error.code == "E0111"
    assert "a -> b -> a" in error.message


@pytest.mark.parametrize(("layers", "refused"), [(6, False), (7, True), (60, True)])
def test_too_many_paths(layers: int, refused: bool, raw: RawFile) -> None:
    nodes = {"x": port("Input", 1), "y": lif(1), "j0": scale(1)}
    edges = [("x", "j0")]
    for k in range(layers):
        nodes |= {f"a{k}": scale(1), f"b{k}": scale(1), f"j{k + 1}": scale(1)}
        edges += [(f"j{k}", f"a{k}"), (f"j{k}", f"b{k}")]
        edges += [(f"a{k}", f"j{k + 1}"), (f"b{k}", f"j{k + 1}")]
    path = raw(nodes, [*edges, (f"j{layers}", "y")])
    if not refused:
        assert len(read(path).projections) == 2**layers
        return
    with pytest.raises(SpikecError) as caught:
        read(path)
    (error,) = [d for d in caught.value.diagnostics if d.code[0] == "E"]
    assert error.code == "E0115"
    assert "'x' to 'y'" in error.message


def test_long_lines_do_not_recurse(raw: RawFile) -> None:
    count = 1100
    nodes = {"x": port("Input", 1), **{f"s{k}": scale(1) for k in range(count)}, "y": lif(1)}
    order = list(nodes)
    graph = read(raw(nodes, list(pairwise(order))))
    assert len(graph.projections) == 1


# -- loops of populations ----------------------------------------------------------------------


def delays(graph: Graph) -> dict[tuple[str, str], tuple[int, bool]]:
    return {(p.pre, p.post): (p.delay, p.recurrent) for p in graph.projections}


def test_each_loop_has_its_delay_once(raw: RawFile) -> None:
    nodes = {"x": port("Input", 1), "a": lif(1), "b": lif(1), "c": lif(1)}
    edges = [("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("b", "b"), ("x", "c")]
    expected = {
        ("x", "a"): (0, False),
        ("x", "c"): (0, False),
        ("a", "b"): (0, True),
        ("b", "c"): (0, True),
        ("c", "a"): (1, True),
        ("b", "b"): (1, True),
    }
    assert delays(read(raw(nodes, edges))) == expected
    assert delays(read(raw(nodes, edges[::-1]))) == expected
    registered = delays(read(raw(nodes, edges), "spyx"))
    assert {d for d, _ in registered.values()} == {0}
    hops = delays(read(raw(nodes, edges), "lava"))
    assert {d for d, _ in hops.values()} == {1}


def test_delay_nodes_add_to_the_dialect(raw: RawFile) -> None:
    nodes = {"x": port("Input", 2), "a": lif(2), "d": {"type": "Delay", "delay": np.ones(2) * 3e-3}}
    graph = read(raw(nodes, [("x", "a"), ("a", "d"), ("d", "a")]))
    assert delays(graph)["a", "a"] == (4, True)


def test_loops_do_not_depend_on_the_order_of_edges() -> None:
    nodes = [f"n{k}" for k in range(12)]
    pairs = RNG.integers(0, 12, (30, 2))
    edges = [(f"n{a}", f"n{b}") for a, b in pairs]
    first = find_loops(["in"], nodes, [("in", "n3"), *edges])
    again = find_loops(["in"], nodes[::-1], [*edges[::-1], ("in", "n3")])
    assert first == again
    # Without the closing edges nothing is left of any loop.
    import networkx as nx

    rest = nx.DiGraph([e for e in edges if e not in first.closing])
    assert nx.is_directed_acyclic_graph(rest)
    assert first.closing <= first.inside
