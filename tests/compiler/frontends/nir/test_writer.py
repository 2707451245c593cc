"""Graph -> NIR -> graph, and what the reference reader makes of the file."""

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikec.compiler.frontends.nir import read_nir, write_nir
from spikec.compiler.frontends.nir.loops import find_loops
from spikec.compiler.frontends.nir.response import response
from spikec.ir import connections as c
from spikec.ir import neurons as n
from spikec.ir.diagnostics import NOWHERE, SpikecError
from spikec.ir.dialects import DIALECTS
from spikec.ir.graph import Graph, Input, Output, Population, Probe, Projection
from spikec.ir.homeostasis import AdaptiveThreshold
from spikec.ir.numerics import Format, Numerics
from spikec.ir.plasticity import Plasticity, Trace, TraceSTDP
from spikec.ir.semantics import Reset, Semantics
from spikec.ir.short_term import TsodyksMarkram

DT = 1e-3
SNNTORCH = DIALECTS["snntorch"].semantics


def lif(**changes: Any) -> n.LIF:
    values: dict[str, Any] = {"tau": 0.02, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0}
    return n.LIF(**{name: np.asarray(v) for name, v in {**values, **changes}.items()})


def small(
    connection: c.Connection,
    shape: tuple[int, ...] = (3,),
    entry: tuple[int, ...] = (4,),
    **own: Any,
) -> Graph:
    return Graph(
        "small",
        DT,
        (Input("x", entry),),
        (Population("p", shape, lif(), SNNTORCH),),
        (Projection("w", "x", "p", connection, **own),),
        (Output("y", "p"),),
        dialect="snntorch",
    )


def bare(graph: Graph) -> Graph:
    """Without locations, and with nodes in an order of their own."""

    def clean(items: Any) -> Any:
        return tuple(sorted((replace(i, at=NOWHERE) for i in items), key=lambda i: i.name))

    return graph.with_(
        inputs=clean(graph.inputs),
        populations=clean(graph.populations),
        projections=clean(graph.projections),
        outputs=clean(graph.outputs),
    )


def again(graph: Graph, path: Path) -> Graph:
    write_nir(graph, path)
    return read_nir(path)[0]


# -- any network that a file can be read as ----------------------------------------------------

numbers = st.floats(-4, 4, width=32).filter(lambda v: v == 0 or abs(v) > 1e-3)


@st.composite
def arrays(draw: Any, shape: tuple[int, ...], values: Any = numbers) -> np.ndarray[Any, Any]:
    """Random or constant, and folded when constant, as the reader does."""
    size = int(np.prod(shape))
    seed = draw(st.integers(0, 2**32 - 1))
    if draw(st.booleans()):
        return np.asarray(draw(values), np.float64)
    array = np.random.default_rng(seed).normal(size=shape)
    if size == 1:
        return np.asarray(array.ravel()[0])
    return array


def weights(draw: Any, *shape: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=shape)


@st.composite
def models(draw: Any, shape: tuple[int, ...]) -> n.Neuron:
    positive = st.floats(0.125, 4, width=32)

    def value() -> Any:
        return np.abs(draw(arrays(shape, positive))) + 0.25

    def tau() -> Any:
        return value() * 0.015625 + 0.002

    reset = draw(st.sampled_from([None, np.zeros(())]))
    kind = draw(st.sampled_from(n.MODELS[:7]))
    if kind is n.Threshold:
        return n.Threshold(value())
    made: dict[str, Any] = {}
    for name in kind.parameters():
        if name == "v_reset":
            made[name] = reset
        elif name != "v_init":
            made[name] = tau() if name in kind.TIMES else value()
    model: n.Neuron = kind(**made)
    return model


@st.composite
def chains(draw: Any, pre: tuple[int, ...], post: tuple[int, ...]) -> c.Connection:
    """Stages from ``pre`` to ``post`` such as a reader makes them."""
    parts: list[c.Connection] = []
    shape = pre
    for kind in draw(
        st.lists(st.sampled_from(["scale", "delay", "conv", "pool", "conv1d"]), max_size=3)
    ):
        part: c.Connection | None = None
        size = int(np.prod(shape))
        if kind == "scale":
            value = draw(arrays(shape))
            part = c.Scale(value, shape) if value.any() else None
        elif kind == "delay" and size > 1:
            steps = np.arange(size) % draw(st.integers(2, 5))
            part = c.Delay(steps, shape)
        elif kind == "conv" and len(shape) == 3:
            out = draw(st.integers(1, 3))
            pad = draw(st.sampled_from([((0, 0), (0, 0)), ((1, 1), (0, 0)), ((0, 1), (0, 1))]))
            part = c.Conv2d(weights(draw, out, shape[0], 2, 2), shape, (1, 1), pad)
        elif kind == "pool" and len(shape) == 3:
            pool = draw(st.sampled_from([c.SumPool2d, c.AvgPool2d]))
            part = pool(shape, (2, 1), (1, 2), ((1, 1), (0, 0)))
        elif kind == "conv1d" and len(shape) == 2:
            part = c.Conv1d(weights(draw, 4, shape[0], 3), shape, 2, (2, 2), 1, 1)
        if part is not None and min(part.out_shape) > 0:
            parts.append(part)
            shape = part.out_shape
    if shape != post:
        if len(shape) > 1:
            parts.append(c.Flatten(shape, 0, -1))
            shape = (int(np.prod(shape)),)
        parts.append(c.Dense(weights(draw, int(np.prod(post)), shape[0])))
    return c.chain(tuple(parts), pre)


@st.composite
def networks(draw: Any) -> Graph:
    dialect = DIALECTS[draw(st.sampled_from(["snntorch", "nir", "lava", "norse"]))]
    entry = draw(st.sampled_from([(2, 4, 3), (3, 6), (5,)]))
    count = draw(st.integers(1, 3))
    shapes = [draw(st.sampled_from([(3,), (4,), (1,), entry])) for _ in range(count)]
    names = [f"p{k}" for k in range(count)]
    places = dict(zip(names, shapes, strict=True))
    wanted = [("x", "p0"), *pairwise(names)]
    wanted += draw(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=2))
    readout = draw(st.booleans())
    if readout:
        wanted.append((names[-1], "y"))
        places["y"] = (2,)
    loops = find_loops(["x"], list(places), wanted)
    projections: list[Projection] = []
    for k, (pre, post) in enumerate(wanted):
        before = entry if pre == "x" else places[pre]
        connection = draw(chains(before, places[post]))
        plain = isinstance(connection, c.OneToOne)
        closing, size = (pre, post) in loops.closing, int(np.prod(places[post]))
        delay = dialect.recurrent_delay if closing else dialect.forward_delay
        bias = draw(st.none() | arrays((size,)))
        if bias is not None and not bias.any():
            bias = None
        name = f"{pre}->{post}" if plain else f"w{k}"
        if any(p.name == name for p in projections):
            continue
        projections.append(
            Projection(
                name, pre, post, connection, delay, bias, recurrent=(pre, post) in loops.inside
            )
        )
    populations = [
        Population(name, places[name], draw(models(places[name])), dialect.semantics)
        for name in names
    ]
    if readout:
        populations.append(Population("y", (2,), n.Relay()))
    outputs = (Output("y", "y" if readout else names[-1]),)
    return Graph(
        "drawn",
        DT,
        (Input("x", entry),),
        tuple(populations),
        tuple(projections),
        outputs,
        dialect=dialect.name,
    )


@given(networks(), st.sampled_from([1, 3]))
@settings(max_examples=40)
def test_reading_undoes_writing(tmp_path_factory: Any, graph: Graph, excess: int) -> None:
    path = tmp_path_factory.mktemp("nir") / "drawn.nir"
    assert bare(again(graph, path)) == bare(graph)
    # A delay beyond the dialect's own becomes a Delay node, and comes back.
    first = graph.projections[0]
    slower = graph.with_(
        projections=(replace(first, delay=first.delay + excess), *graph.projections[1:])
    )
    read = again(slower, path)
    assert sorted(p.delay for p in read.projections) == sorted(p.delay for p in slower.projections)


@given(networks())
@settings(max_examples=20)
def test_the_reference_reader_reads_what_is_written(tmp_path_factory: Any, graph: Graph) -> None:
    path = tmp_path_factory.mktemp("nir") / "drawn.nir"
    write_nir(graph, path)
    read = nir.read(path, type_check=False)
    assert read.metadata["spikec_dialect"] == graph.dialect
    for population in graph.populations:
        node = read.nodes[population.name]
        for name in population.neuron.parameters():
            value = getattr(population.neuron, name)
            stored = "threshold" if isinstance(population.neuron, n.Threshold) else name
            if value is not None:
                full = np.broadcast_to(value, population.shape)
                np.testing.assert_array_equal(getattr(node, stored), full)


# -- one thing at a time -----------------------------------------------------------------------


def test_the_type_check_of_the_reference_reader_passes(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    conv = c.Conv2d(generator.normal(size=(2, 1, 3, 3)), (1, 6, 6), (1, 1), ((1, 1), (1, 1)))
    pool = c.SumPool2d((2, 6, 6), (2, 2), (2, 2))
    dense = c.Dense(generator.normal(size=(3, 18)))
    scale = c.Scale(generator.normal(size=3), (3,))
    delay = c.Delay(np.array([1, 2, 3]), (3,))
    parts = (conv, pool, c.Flatten((2, 3, 3), 0, -1), dense, scale, delay)
    graph = small(c.Chain(parts), entry=(1, 6, 6), bias=np.array([1.0, 2, 3]), delay=2)
    path = tmp_path / "checked.nir"
    write_nir(graph, path)
    read = nir.read(path, type_check=True)
    assert nir.version == read_version(path)
    assert sorted(type(node).__name__ for node in read.nodes.values()) == [
        "Affine",
        "Conv2d",
        "Delay",
        "Delay",
        "Flatten",
        "Flatten",
        "Input",
        "LIF",
        "Linear",
        "Linear",
        "Output",
        "Scale",
        "SumPool2d",
    ]
    assert bare(read_nir(path)[0]) == bare(graph)


def read_version(path: Path) -> str:
    with h5py.File(path) as file:
        return str(file["version"][()].decode())


def test_names_of_stages(tmp_path: Path) -> None:
    parts = (c.Scale(np.array(2.0), (4,)), c.Dense(np.ones((3, 4))))
    for name, nodes in (("a+b", {"a", "b"}), ("w", {"w", "w.1"}), ("a+b+c", {"a+b+c", "a+b+c.1"})):
        graph = small(c.Chain(parts))
        graph = graph.with_(projections=(replace(graph.projections[0], name=name),))
        read = again(graph, tmp_path / "named.nir")
        assert read.projections[0].name == name
        assert set(nir.read(tmp_path / "named.nir").nodes) == {"x", "p", "y", *nodes}


def test_projections_side_by_side_stay_apart(tmp_path: Path) -> None:
    graph = small(c.OneToOne(np.array(1.0), (3,)), entry=(3,))
    twice = (graph.projections[0], replace(graph.projections[0], name="again"))
    read = again(graph.with_(projections=twice), tmp_path / "twice.nir")
    x = np.array([0.0, 1, 2])
    total = np.sum([response(p.connection, x) for p in read.projections], axis=0)
    np.testing.assert_array_equal(total, 2 * x)


def test_a_bias_beside_the_chain_finds_its_projection(tmp_path: Path) -> None:
    bias = np.array([1.0, 2, 3])
    graph = small(c.OneToOne(np.array(1.0), (3,)), entry=(3,))
    scaled = Projection("s", "x", "p", c.Scale(np.array(2.0), (3,)), bias=bias)
    graph = graph.with_(projections=(replace(graph.projections[0], name="x->p"), scaled))
    assert bare(again(graph, tmp_path / "beside.nir")) == bare(graph)


def test_other_connections_come_back_as_what_they_do(tmp_path: Path) -> None:
    x = np.array([1.0, 2, 3, 4])
    sparse = c.Sparse(
        4, 3, np.array([0, 1, 1, 3, 4]), np.array([2, 0, 1, 0], np.int32), np.array([1.0, 2, 3, 4])
    )
    weighted = c.OneToOne(np.array([1.0, -1, 2, 0]), (4,))
    for connection, shape in ((sparse, (3,)), (weighted, (4,))):
        read = again(small(connection, shape), tmp_path / "other.nir")
        expected = response(connection, x)
        np.testing.assert_array_equal(response(read.projections[0].connection, x), expected)


def test_relay_inside_the_network_becomes_a_sum(tmp_path: Path) -> None:
    graph = small(c.Dense(np.full((3, 4), 2.0)))
    relay = Population("r", (4,), n.Relay())
    first = Projection("v", "x", "r", c.OneToOne(np.array(3.0), (4,)))
    graph = graph.with_(
        populations=(relay, *graph.populations),
        projections=(first, replace(graph.projections[0], pre="r")),
    )
    notes = write_nir(graph, tmp_path / "relay.nir")
    assert [d.code for d in notes] == ["W0133", "N0135"]
    read = read_nir(tmp_path / "relay.nir")[0]
    assert [p.name for p in read.populations] == ["p"]
    x = np.array([0.0, 1, 2, 3])
    np.testing.assert_array_equal(response(read.projections[0].connection, x), np.full(3, 36.0))


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    graph = small(c.Dense(np.ones((3, 4))))
    odd = replace(graph.populations[0], lag=2, semantics=replace(SNNTORCH, v_min=-1.0))
    back = Projection("back", "p", "p", c.Dense(np.eye(3)), delay=0, recurrent=True)
    with pytest.raises(SpikecError, match="E0204"):  # the verifier is asked first
        write_nir(graph.with_(projections=(*graph.projections, back)), tmp_path / "x.nir")
    graph = graph.with_(populations=(odd,), probes=(Probe("p", "v"),))
    lost = [d.message for d in write_nir(graph, tmp_path / "x.nir") if d.code == "W0133"]
    assert lost == [
        "the lag of 2 steps is lost",
        "the rule v_min=-1.0 of 'p' is not in the file",
        "1 probe(s) are not in the file",
    ]
    plain = small(c.Dense(np.ones((3, 4))))
    rule = Plasticity(TraceSTDP(Trace(1), Trace(1)), 0, 1)
    learns = plain.with_(projections=(replace(plain.projections[0], plasticity=rule),))
    lost = [d.message for d in write_nir(learns, tmp_path / "x.nir") if d.code == "W0133"]
    assert lost == ["'w' no longer learns by TraceSTDP"]
    lava = small(c.Dense(np.ones((3, 4)))).with_(dialect="lava")
    (early, *_) = write_nir(lava, tmp_path / "x.nir")
    assert early.message == ("'w' takes 0 steps, and reads back with 1: the dialect's own delay")


def test_without_a_dialect(tmp_path: Path) -> None:
    graph = small(c.Dense(np.ones((3, 4)))).with_(dialect=None)
    graph = graph.with_(populations=(replace(graph.populations[0], semantics=Semantics()),))
    (note,) = write_nir(graph, tmp_path / "x.nir")
    assert note.message == "read the file with --dt 0.001"
    assert read_nir(tmp_path / "x.nir")[0].dialect == "nir"


def refused(graph: Graph, path: Path) -> set[str]:
    with pytest.raises(SpikecError) as caught:
        write_nir(graph, path)
    assert not path.exists()
    return {d.code for d in caught.value.diagnostics if d.code[0] == "E"}


def test_what_nir_cannot_hold(tmp_path: Path) -> None:
    path = tmp_path / "none.nir"
    uneven = c.Conv1d(np.ones((1, 1, 4)), (1, 6), 1, (0, 1))
    assert refused(small(uneven, (1, 4), (1, 6)), path) == {"E0119"}
    pool = c.SumPool2d((1, 3, 3), (2, 2), (1, 1), ((0, 1), (0, 0)))
    assert refused(small(pool, (1, 3, 2), (1, 3, 3)), path) == {"E0119"}
    assert refused(small(c.Dense(np.ones((3, 4), np.int64))), path) == {"E0119"}
    rows = np.zeros((1 << 13) + 1, np.int64)
    wide = c.Sparse(1 << 13, 1 << 13, rows, np.zeros(0, np.int32), np.zeros(0))
    assert refused(small(wide, (1 << 13,), (1 << 13,)), path) == {"E0119"}
    graph = small(c.Dense(np.ones((3, 4))))
    zero = np.zeros((), np.int64)
    integer = n.IntegerNeuron(
        Numerics(Format(8), Format(16)), "LIF", 1.0, 0, zero, zero, zero, zero, zero, "zero"
    )
    quantised = (replace(graph.populations[0], neuron=integer),)
    assert refused(graph.with_(populations=quantised), path) == {"E0119"}
    linear = n.LinearLIF(*(np.ones(()) for _ in range(4)))
    a, b, c_, d = map(np.asarray, (0.02, 0.2, -65.0, 8.0))
    quadratic = n.Izhikevich(a=a, b=b, c=c_, d=d)
    one: Any = np.ones(())
    start: Any = np.arange(3.0)
    started = n.LIF(one, one, one, one, v_init=start)
    for neuron in (linear, quadratic, started):
        unknown = (replace(graph.populations[0], neuron=neuron),)
        assert refused(graph.with_(populations=unknown), path) == {"E0119"}
    cell = n.LIF(*(np.ones(()) for _ in range(4)))
    adapts = replace(
        graph.populations[0],
        neuron=cell,
        semantics=Semantics(),
        adaptive=AdaptiveThreshold(np.ones(())),
    )
    assert refused(graph.with_(populations=(adapts,)), path) == {"E0119"}
    ports = n.PointLIF(one, one, one, one, one, receptors=(n.Receptor("exc", tau=one),))
    rules = Semantics(reset=Reset.VALUE)
    cells = (replace(graph.populations[0], neuron=ports, semantics=rules),)
    (plain,) = graph.projections
    there = (replace(plain, receptor="exc"),)
    assert refused(graph.with_(populations=cells, projections=there), path) == {"E0119"}
    tires = TsodyksMarkram(one, one, one, one)
    tired = (replace(plain, short_term=tires),)
    assert refused(graph.with_(projections=tired), path) == {"E0119"}
    steps = np.ones(1, np.int32)
    slow = c.Sparse(4, 3, np.array([0, 1, 1, 1, 1]), np.zeros(1, np.int32), np.ones(1), steps)
    assert refused(small(slow), path) == {"E0119"}


def test_names_that_hdf5_cannot_hold(tmp_path: Path) -> None:
    graph = small(c.Dense(np.ones((3, 4))))
    graph = graph.with_(
        inputs=(Input("a/b", (4,)),),
        projections=(replace(graph.projections[0], pre="a/b", name="."),),
        outputs=(Output("p", "p"),),  # outputs and populations have names of their own
    )
    notes = write_nir(graph, tmp_path / "names.nir")
    assert [d.message for d in notes if d.code == "W0133"] == [
        "'a/b' is named 'a_b' in the file",
        "'p' is named 'p_2' in the file",
    ]
    read = read_nir(tmp_path / "names.nir")[0]
    assert read.inputs[0].name == "a_b"
    assert read.outputs == (Output("p_2", "p", read.outputs[0].at),)


def test_bytes_depend_on_the_graph_alone(tmp_path: Path) -> None:
    big = small(c.Dense(np.random.default_rng(0).normal(size=(3, 4000))), entry=(4000,))
    digests = set()
    for name in ("one.nir", "another name.nir"):
        write_nir(big, tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    with h5py.File(tmp_path / "one.nir") as file:
        times: list[int] = []
        file.visititems(lambda _, item: times.append(h5py.h5o.get_info(item.id).mtime))
    assert set(times) == {0}


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    graph = small(c.Dense(np.ones((3, 4))))
    with pytest.raises(SpikecError) as caught:
        write_nir(graph, tmp_path / "no such folder" / "x.nir")
    assert caught.value.diagnostics[0].code == "E0604"
    assert caught.value.exit_code == 3
    folder = tmp_path / "taken.nir"
    folder.mkdir()
    with pytest.raises(SpikecError):
        write_nir(graph, folder)
    assert list(tmp_path.iterdir()) == [folder]
    path = tmp_path / "good.nir"
    write_nir(graph, path)
    before = path.read_bytes()
    with pytest.raises(SpikecError):
        write_nir(small(c.Dense(np.ones((3, 4), np.int64))), path)
    assert path.read_bytes() == before
