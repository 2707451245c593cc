"""Value semantics of records: what is equal, what is copied, what cannot change."""

from dataclasses import FrozenInstanceError, dataclass, replace
from typing import Any

import numpy as np
import pytest

from spikec.ir.connections import Dense
from spikec.ir.graph import Graph, Input, Population, Projection
from spikec.ir.neurons import LIF
from spikec.ir.records import Record, frozen_array, frozen_values, same
from spikec.ir.semantics import Semantics

NAN = float("nan")


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1, True),
        (1, True, False),
        (1, 1.0, False),
        (0.0, -0.0, False),
        (NAN, NAN, True),
        (NAN, 1.0, False),
        ((1, NAN), (1, NAN), True),
        ((1, 2), (1, 2, 3), False),
        ({"a": NAN}, {"a": NAN}, True),
        ({"a": 1}, {"b": 1}, False),
        (np.array([NAN]), np.array([NAN]), True),
        (np.array([0.0]), np.array([-0.0]), False),
        (np.zeros(2), np.zeros(2, np.int64), False),
        (np.zeros(2), np.zeros((2, 1)), False),
        (np.float64(1.0), np.array(1.0), False),
        (None, np.zeros(1), False),
    ],
)
def test_same(a: Any, b: Any, equal: bool) -> None:
    assert same(a, b) is same(b, a) is equal


def lif(tau: Any = 0.02) -> LIF:
    return LIF(np.asarray(tau), np.asarray(1.0), np.asarray(0.0), np.asarray(1.0))


def test_equal_records_have_equal_hashes() -> None:
    a, b = (Population("p", (2,), lif([0.01, 0.02])) for _ in range(2))
    assert a == b and hash(a) == hash(b)
    assert a != replace(b, neuron=lif([0.01, 0.03]))
    assert a != "p"
    assert {a, b, replace(a, name="q")} == {a, replace(a, name="q")}


def test_records_of_a_subclass_are_not_equal() -> None:
    @dataclass(frozen=True, eq=False)
    class Line(Input):
        pass

    assert Input("a", (1,)) != Line("a", (1,))


def test_numbers_of_numpy_become_those_of_python() -> None:
    graph = Graph("g", np.float32(0.5), (), (), (), ())  # type: ignore[arg-type]
    assert type(graph.dt) is float
    node = Input("a", [np.int64(3), 4])  # type: ignore[arg-type]
    assert node == Input("a", (3, 4)) and type(node.shape[0]) is int
    assert Semantics(v_init=0) == Semantics(v_init=0.0)


def test_nothing_of_a_record_can_change() -> None:
    population = Population("p", (2,), lif())
    with pytest.raises(FrozenInstanceError):
        population.lag = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        lif([0.1]).tau[0] = 0.2


class TestFrozenArray:
    def test_caller_keeps_a_writeable_array(self) -> None:
        mine = np.ones((2, 2))
        weight = Dense(mine).weight
        mine[0, 0] = 7.0
        assert weight[0, 0] == 1.0

    def test_read_only_view_of_a_writeable_array_is_copied(self) -> None:
        mine = np.ones(3)
        view = mine.view()
        view.flags.writeable = False
        frozen = frozen_array(view)
        mine[0] = 7.0
        assert frozen.tolist() == [1.0, 1.0, 1.0]

    def test_what_cannot_change_is_shared(self) -> None:
        weight = Dense(np.ones((2, 2))).weight
        assert Dense(weight).weight is weight
        raw = np.frombuffer(bytes(16), np.float64)
        assert frozen_array(raw) is raw

    def test_order_is_c(self) -> None:
        weight = Dense(np.asfortranarray(np.arange(6.0).reshape(2, 3))).weight
        assert weight.flags.c_contiguous and weight.tolist() == [[0, 1, 2], [3, 4, 5]]

    @pytest.mark.parametrize(
        ("value", "dtype"),
        [([1, 2], np.int64), ([True], np.int64), ([1, 2.5], np.float64), (3, np.int64)],
    )
    def test_values_are_int64_or_float64(self, value: Any, dtype: Any) -> None:
        assert frozen_values(value).dtype == dtype
        assert frozen_values(np.array([0.1], np.float32)).tolist() == [float(np.float32(0.1))]
        assert frozen_values(np.array([200], np.uint8)).dtype == np.int64


def test_graph_finds_its_parts() -> None:
    dense = Dense(np.ones((1, 1)))
    graph = Graph(
        "g",
        1e-3,
        (Input("in", (1,)),),
        (Population("a", (2, 3), lif()), Population("b", (4,), lif())),
        (
            Projection("x", "in", "a", dense),
            Projection("y", "a", "b", dense, bias=np.ones(4, np.float32)),
            Projection("z", "a", "a", dense),
        ),
        (),
    )
    assert graph.neurons == 10
    assert [node.name for node in graph.nodes] == ["in", "a", "b"]
    assert graph.population("b") is graph.node("b")
    assert [p.name for p in graph.incoming("a")] == ["x", "z"]
    assert [p.name for p in graph.outgoing("a")] == ["y", "z"]
    assert graph.with_(name="h").name == "h"
    bias = graph.projections[1].bias
    assert bias is not None and bias.dtype == np.float64
    for name in ("in", "nowhere"):
        with pytest.raises(KeyError, match=name):
            graph.population(name)
    with pytest.raises(KeyError, match="nowhere"):
        graph.node("nowhere")


def test_record_is_no_record_of_another_kind() -> None:
    assert Record.__eq__(lif(), 3) is NotImplemented
