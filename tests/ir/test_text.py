"""The canonical text: exact where it is pinned, lossless for every graph, safe for every text."""

import base64
import os
import random
import re
import subprocess
import sys
import tracemalloc
import types
import typing
import zlib
from dataclasses import fields, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spikec.ir.connections import CONNECTIONS, Chain, Connection, Dense
from spikec.ir.diagnostics import NOWHERE, Location, SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Probe, Projection
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.neurons import LIF, MODELS, Neuron, Threshold
from spikec.ir.numerics import Format, Numerics, Overflow, Rounding
from spikec.ir.plasticity import SDSP, Plasticity, Rule, Trace, TraceSTDP
from spikec.ir.rules import RULES
from spikec.ir.semantics import Semantics
from spikec.ir.text import HEADER, digest, parse, text
from spikec.ir.verify import verify

GOLDEN = sorted((Path(__file__).resolve().parents[1] / "golden").glob("*.spk"))
MARK = "# --- canonical text ---\n"


def real(value: Any) -> npt.NDArray[np.float64]:
    return np.asarray(value, dtype=np.float64)


def network(weight: Any = ((1.0, 2.0),), name: str = "net", **changes: Any) -> Graph:
    matrix = np.asarray(weight)
    post, pre = matrix.shape
    neuron = LIF(real(0.02), real(1.0), real(0.0), real(1.0))
    graph = Graph(
        name,
        1e-3,
        (Input("in", (pre,)),),
        (Population("p", (post,), neuron),),
        (Projection("w", "in", "p", Dense(matrix)),),
        (Output("out", "p"),),
    )
    return replace(graph, **changes)


def golden(path: Path) -> tuple[str, str]:
    source, _, canonical = path.read_text(encoding="utf-8").partition(MARK)
    return source[source.index(HEADER) :], canonical


def inflated(source: str) -> str:
    """The text with its data in hexadecimal: the compressed bytes depend on the zlib in use."""

    def data(match: re.Match[str]) -> str:
        return match[1] + zlib.decompress(base64.b64decode(match[2])).hex()

    return re.sub(r"^(data \d+ )(\S+)$", data, source, flags=re.MULTILINE)


class TestGolden:
    @pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.name)
    def test_text_is_exact(self, path: Path) -> None:
        source, canonical = golden(path)
        graph = parse(source, path.name)
        verify(graph)
        assert inflated(text(graph)) == inflated(canonical)
        assert parse(canonical) == graph

    def test_there_are_golden_texts(self) -> None:
        assert len(GOLDEN) >= 3

    def test_small_graph_from_python(self) -> None:
        graph = network(dialect="snntorch", probes=(Probe("p", "v"),))
        assert text(graph) == (
            "spikec-graph 1\n"
            'graph "net" dt=0.001 dialect="snntorch"\n'
            'input "in" shape=(2)\n'
            'population "p" shape=(1) neuron=LIF(tau=f64[]<0.02>, r=f64[]<1.0>, '
            "v_leak=f64[]<0.0>, v_threshold=f64[]<1.0>, v_reset=none) "
            "semantics=Semantics(decay=Decay.EULER, gain=Gain.EULER, "
            "integrator_gain=IntegratorGain.PER_STEP, current=Current.NEW, "
            "comparison=Comparison.GREATER, reset=Reset.ZERO, max_spikes=1, v_min=none, "
            "refractory=0, refractory_frozen=true, registered=false, "
            "recurrent_bias_first=true, v_init=0.0) lag=0\n"
            'projection "w" pre="in" post="p" connection=Dense(weight=f64[1x2]<1.0 2.0>) '
            "delay=0 bias=none recurrent=false\n"
            'output "out" source="p"\n'
            'probe source="p" variable="v"\n'
        )

    def test_array_of_17_elements_stands_in_a_data_line(self) -> None:
        sixteen, seventeen = text(network(np.ones((2, 8)))), text(network(np.ones((1, 17))))
        assert "f64[2x8]<1.0 1.0" in sixteen and "data" not in sixteen
        assert "weight=f64[1x17]@0)" in seventeen
        assert inflated(seventeen).endswith(f"data 0 {np.ones(17).tobytes().hex()}\n")

    def test_equal_arrays_share_a_data_line(self) -> None:
        graph = network(np.arange(18.0).reshape(2, 9))
        twice = replace(
            graph, projections=tuple(replace(graph.projections[0], name=n) for n in "abc")
        )
        assert text(twice).count("\ndata ") == 1
        assert parse(text(twice)) == twice

    def test_arrays_of_equal_bytes_and_other_type_do_not(self) -> None:
        a, b = np.zeros((2, 9)), np.zeros((2, 9), np.int64)
        parts = Chain((Dense(a), Dense(b), Dense(a.reshape(9, 2))))
        graph = network()
        graph = replace(graph, projections=(replace(graph.projections[0], connection=parts),))
        assert text(graph).count("\ndata ") == 3
        assert parse(text(graph)) == graph

    @pytest.mark.parametrize(
        ("name", "written"),
        [
            ("", '""'),
            ("Ω λ 神経", '"Ω λ 神経"'),
            ('a"b', r'"a\u{22}b"'),
            ("a\\u{22}", r'"a\u{5c}u{22}"'),
            ("a\nb\r\tc", r'"a\u{a}b\u{d}\u{9}c"'),
            ("\x1c\x85\u2028\u2029\u202e", r'"\u{1c}\u{85}\u{2028}\u{2029}\u{202e}"'),
            ("\ud800", r'"\u{d800}"'),
            ("\U0010ffff", '"\U0010ffff"'),
            ("x=1 # (@", '"x=1 # (@"'),
        ],
    )
    def test_odd_name(self, name: str, written: str) -> None:
        graph = network(name=name)
        assert text(graph).splitlines()[1] == f"graph {written} dt=0.001 dialect=none"
        assert parse(text(graph)) == graph

    def test_scalar_of_numpy_is_written_as_a_number(self) -> None:
        graph = network(dt=np.float64(0.25))
        population = Population(
            "p",
            (np.int64(1),),  # type: ignore[arg-type]  # what h5py gives
            graph.populations[0].neuron,
            lag=np.int32(3),  # type: ignore[arg-type]
        )
        graph = replace(graph, populations=(population,))
        assert "dt=0.25 " in text(graph) and "shape=(1) " in text(graph)
        assert parse(text(graph)) == graph

    def test_numpy_scalar_in_semantics_is_written_as_a_number(self) -> None:
        odd = Semantics(v_init=np.float64(0.5), max_spikes=np.int64(3))  # type: ignore[arg-type]
        graph = network()
        population = replace(graph.populations[0], semantics=odd)
        assert "max_spikes=3" in text(replace(graph, populations=(population,)))
        assert "v_init=0.5" in text(replace(graph, populations=(population,)))

    def test_fields_with_a_default_comments_and_empty_lines_may_be_left_out(self) -> None:
        short = re.sub(
            r" (semantics=\S+\(.*?\)|(lag|delay|bias|recurrent)=\w+)", "", text(network())
        )
        assert len(short) < len(text(network())) - 300
        assert parse(short.replace("\n", "\n\n# a comment\n")) == network()

    def test_line_ends_of_windows(self) -> None:
        assert parse(text(network()).replace("\n", "\r\n")) == network()

    def test_what_has_no_text_is_refused(self) -> None:
        class Alien(LIF):
            pass

        graph = network()
        neuron = Alien(real(1.0), real(1.0), real(1.0), real(1.0))
        population = replace(graph.populations[0], neuron=neuron)
        with pytest.raises(TypeError, match="Alien has no canonical text"):
            text(replace(graph, populations=(population,)))


# --- every record, from the types of its fields: a new model or connection is covered at once ---

SHAPES = st.sampled_from([(), (0,), (1,), (3,), (16,), (17,), (4, 4), (2, 9), (0, 3), (1, 2, 2)])
FLOATS = st.one_of(
    st.sampled_from([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 5e-324, -2.2e-308]),
    st.floats(),
)
NAMES = st.text(st.characters(exclude_categories=()), max_size=6) | st.sampled_from(
    ["", '"', "\\", "\n", "data 0 x", "\u2028", "a\\u{41}", "\ud834"]
)


def arrays(dtype: Any) -> st.SearchStrategy[npt.NDArray[Any]]:
    if np.dtype(dtype) == np.float64:  # from bits: NaNs of every sign and payload
        elements = hnp.arrays(np.uint64, SHAPES).map(lambda a: a.view(np.float64))
        return elements | hnp.arrays(np.float64, SHAPES, elements=FLOATS)
    return hnp.arrays(dtype, SHAPES)


@cache
def record(cls: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{f.name: of_type(hints[f.name]) for f in fields(cls)})


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*map(of_type, arguments))
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(of_type(arguments[0]), max_size=3).map(tuple)
        return st.tuples(*map(of_type, arguments))
    if origin is np.ndarray:
        (element,) = typing.get_args(arguments[1])
        return arrays(np.float64) | arrays(np.int64) if element is Any else arrays(element)
    if hint is Format:
        return st.builds(
            Format,
            st.integers(1, 62),
            st.integers(-512, 512),
            st.booleans(),
            st.sampled_from(Rounding),
            st.sampled_from(Overflow),
        )
    if hint is LoihiWeights:
        return st.builds(LoihiWeights, st.integers(1, 8), st.sampled_from(Sign), st.integers(-8, 7))
    if hint is Numerics:
        state = of_type(Format).map(lambda f: replace(f, width=min(f.width, 40)))
        return st.builds(Numerics, of_type(Format), state, st.integers(0, 22), st.integers(1, 62))
    if hint is Neuron:
        return st.sampled_from(MODELS).flatmap(of_type)
    if hint is Connection:
        return st.sampled_from([c for c in CONNECTIONS if c is not Chain]).flatmap(of_type)
    if hint is Rule:
        return st.sampled_from(RULES).flatmap(of_type)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        type(None): st.none(),
        bool: st.booleans(),
        int: st.integers(-(1 << 63), 1 << 63),
        float: FLOATS,
        str: NAMES,
    }
    if hint in simple:
        return simple[hint]
    return record(hint)


def lossless(graph: Graph) -> None:
    written = text(graph)
    assert parse(written) == graph
    assert text(parse(written)) == written
    assert digest(parse(written)) == digest(graph)
    written.encode()


class TestRoundTrip:
    @pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
    def test_every_neuron_model(self, model: type[Neuron]) -> None:
        @settings(max_examples=25)
        @given(of_type(model), of_type(Semantics))
        def check(neuron: Neuron, semantics: Semantics) -> None:
            lossless(network(populations=(Population("p", (1,), neuron, semantics),)))

        check()

    @pytest.mark.parametrize("kind", CONNECTIONS, ids=lambda kind: kind.__name__)
    def test_every_connection(self, kind: type[Connection]) -> None:
        @settings(max_examples=25)
        @given(of_type(kind))
        def check(connection: Connection) -> None:
            lossless(network(projections=(Projection("w", "in", "p", connection),)))

        check()

    @pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
    def test_every_plasticity_rule(self, rule: type[Rule]) -> None:
        @settings(max_examples=25)
        @given(of_type(rule), of_type(Plasticity))
        def check(rule: Rule, plasticity: Plasticity) -> None:
            changed = replace(plasticity, rule=rule)
            (plain,) = network().projections
            lossless(network(projections=(replace(plain, plasticity=changed),)))

        check()

    @settings(max_examples=50)
    @given(of_type(Graph))
    @example(network(name="\n"))
    def test_any_graph(self, graph: Graph) -> None:
        lossless(graph)

    @given(FLOATS)
    def test_every_float(self, dt: float) -> None:
        lossless(network(dt=dt))

    def test_nan_with_a_payload_survives(self) -> None:
        bits = np.array([[0xFFF8000000000000, 0x7FF8000000000001]], np.uint64)
        graph = network(bits.view(np.float64))
        (projection,) = parse(text(graph)).projections
        assert isinstance(projection.connection, Dense)
        assert projection.connection.weight.view(np.uint64).tolist() == bits.tolist()

    def test_parsed_arrays_are_read_only(self) -> None:
        (projection,) = parse(text(network(np.ones((3, 9))))).projections
        assert isinstance(projection.connection, Dense)
        with pytest.raises(ValueError, match="read-only"):
            projection.connection.weight[0, 0] = 2.0


class TestLater:
    """What the format gained after its first release is written only where it is used."""

    def test_plasticity(self) -> None:
        (plain,) = network().projections
        rule = SDSP(10.5, 1, 2, 3)
        learns = replace(plain, plasticity=Plasticity(rule, -8, 7, np.array([[True, False]])))
        graph = network(projections=(learns,))
        assert "plasticity" not in text(network())
        assert (
            " recurrent=false plasticity=Plasticity(rule=SDSP(theta_mem=10.5, theta_1=1, "
            "theta_2=2, theta_3=3, calcium_bits=3, leak_period=0, refresh_period=0, "
            "refresh_threshold=4), w_min=-8.0, w_max=7.0, enable=b1[1x2]<1 0>, "
            "transmit=Transmit.BEFORE, learning=true)\n"
        ) in text(graph)
        assert parse(text(graph)) == graph
        assert digest(graph) != digest(network())

    def test_large_masks_stand_in_data_lines(self) -> None:
        (plain,) = network(np.ones((3, 9))).projections
        enable = np.arange(27).reshape(3, 9) % 2 == 0
        rule = TraceSTDP(Trace(1), Trace(2))
        learns = replace(plain, plasticity=Plasticity(rule, 0, 1, enable))
        graph = network(np.ones((3, 9)), projections=(learns,))
        assert "enable=b1[3x9]@1" in text(graph)
        assert inflated(text(graph)).endswith(f"data 1 {'0100' * 13}01\n")
        assert parse(text(graph)) == graph

    @pytest.mark.parametrize("element", ["2", "-1", "1.0", "true"])
    def test_a_truth_value_is_zero_or_one(self, element: str) -> None:
        source = GRAPH_LINE + f"probe source=b1[1]<{element}>\n"
        with pytest.raises(SpikecError, match=r"E0110.*(out of the range|is no element)"):
            parse(source)

    def test_a_truth_value_in_a_data_line_is_zero_or_one(self) -> None:
        packed = base64.b64encode(zlib.compress(bytes([0, 1, 2]))).decode()
        source = GRAPH_LINE + f"probe source=b1[3]@0\ndata 0 {packed}\n"
        with pytest.raises(SpikecError, match=r"E0110.*a truth value is a byte of 0 or 1"):
            parse(source)


class TestDigest:
    def test_does_not_depend_on_locations(self) -> None:
        graph = network()
        moved = replace(
            graph,
            populations=tuple(
                replace(p, at=Location("other.nir", "x", 3)) for p in graph.populations
            ),
            outputs=tuple(replace(o, at=Location("other.nir")) for o in graph.outputs),
        )
        assert moved != graph and text(moved) != text(graph)
        assert digest(moved) == digest(graph)

    @pytest.mark.parametrize(
        "other",
        [
            network(name="other"),
            network(dt=2e-3),
            network(dialect="nir"),
            network([[1.0, 2.0000000000000004]]),
            network([[1, 2]]),
            network(probes=(Probe("p", "v"),)),
            network(outputs=()),
        ],
    )
    def test_differs_where_the_graph_does(self, other: Graph) -> None:
        assert digest(other) != digest(network())

    def test_large_arrays_count(self) -> None:
        weight = np.zeros((10, 10))
        first = digest(network(weight))
        weight[9, 9] = -0.0
        assert digest(network(weight)) != first
        assert digest(network(weight.astype(np.int64))) != first

    def test_none_is_not_a_dialect_of_that_name(self) -> None:
        assert digest(network(dialect="none")) != digest(network(dialect=None))

    def test_is_the_same_on_every_machine(self) -> None:
        found = {path.stem: digest(parse(golden(path)[0])) for path in GOLDEN}
        assert found["one_neuron"] == ONE_NEURON
        assert found["convolution"] == CONVOLUTION

    def test_does_not_depend_on_the_hash_seed(self) -> None:
        program = (
            "import sys; from spikec.ir.text import *; g = parse(sys.stdin.read());"
            "print(digest(g)); print(text(g))"
        )
        source = golden(GOLDEN[0])[0]
        found = {
            subprocess.run(
                [sys.executable, "-c", program],
                input=source,
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
                timeout=60,
            ).stdout
            for seed in ("1", "2")
        }
        graph = parse(source)
        assert found == {f"{digest(graph)}\n{text(graph)}\n"}


ONE_NEURON = "0c185b0bdaf61b2345d906b04463758f88fe7a24275aed0852f91694b28df2c8"
CONVOLUTION = "dc84d7b4f607be3cd67c3c94d50c090d19457d49b97481f008691def74fb0de4"


# --- malformed text ---

GRAPH_LINE = f'{HEADER}\ngraph "g" dt=0.1\n'


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("", 1, "the first line must be 'spikec-graph 1', found ''"),
        ("PK\x03\x04", 1, "the first line must be 'spikec-graph 1', found 'PK\x03\x04'"),
        (f"{HEADER}\n", 2, "there is no 'graph' line"),
        (f'{HEADER}\ngraph "g"\n', 2, "Graph lacks the field 'dt'"),
        (f"{HEADER}\ngraph dt=0.1\n", 2, "Graph lacks the field 'name'"),
        (f'{HEADER}\ngraph "g" dt="1 ms"\n', 2, "Graph: 'dt' cannot be '1 ms'"),
        (f'{HEADER}\ngraph "g" dt=1.0 seed=3\n', 2, "a 'graph' line has no field 'seed'"),
        (f'{HEADER}\ngraph "g" dt=1.0 inputs=()\n', 2, "a 'graph' line has no field 'inputs'"),
        (GRAPH_LINE + 'graph "h" dt=0.1\n', 3, "unexpected 'graph'"),
        (GRAPH_LINE + "\nneuron\n", 4, "unexpected 'neuron'"),
        (GRAPH_LINE + "input\n", 3, "Input lacks the field 'name'"),
        (GRAPH_LINE + 'input "a"\n', 3, "Input lacks the field 'shape'"),
        (GRAPH_LINE + 'input "a" shape=3\n', 3, "Input: 'shape' cannot be 3"),
        (GRAPH_LINE + 'input "a" shape=(3.5)\n', 3, "Input: 'shape' cannot be a tuple"),
        (GRAPH_LINE + 'input "a" shape=(true)\n', 3, "Input: 'shape' cannot be a tuple"),
        (GRAPH_LINE + 'input "a" shape=(3) size=3\n', 3, "Input has no field 'size'"),
        (GRAPH_LINE + 'input "a" shape=(3) shape=(3)\n', 3, "'shape' is given twice"),
        (GRAPH_LINE + 'input "a" shape=\n', 3, "expected a value, found the end of the line"),
        (GRAPH_LINE + 'input "a" shape=(3\n', 3, "expected ',', found the end of the line"),
        (GRAPH_LINE + 'input "a" shape=(3 4)\n', 3, "expected ',', found '4'"),
        (GRAPH_LINE + 'input "a" (3)\n', 3, "expected a name, found '('"),
        (GRAPH_LINE + 'input "a" shape (3)\n', 3, "expected '=', found '('"),
        (GRAPH_LINE + 'input "a" shape=(3) at=7\n', 3, "a location is (FILE, NODE, LINE)"),
        (GRAPH_LINE + 'input "a" shape=(3) at=("f", 3)\n', 3, "a location is (FILE, NODE, LINE)"),
        (GRAPH_LINE + 'input "a\n', 3, "cannot read '\"a'"),
        (GRAPH_LINE + 'input "\\n" shape=(3)\n', 3, "cannot read '\"\\n\" shape=(3)'"),
        (GRAPH_LINE + 'input "\\u{110000}"\n', 3, "cannot read '\"\\u{110000}\"'"),
        (GRAPH_LINE + "input $ \n", 3, "cannot read '$'"),
        (GRAPH_LINE + f'input "a" shape=({"9" * 5000})\n', 3, "the integer 99999"),
        (GRAPH_LINE + "probe source=Neuron()\n", 3, "unknown kind 'Neuron'"),
        (GRAPH_LINE + "probe source=LIF()\n", 3, "LIF lacks the field 'tau'"),
        (GRAPH_LINE + "probe source=LIF(tau=0.02)\n", 3, "LIF lacks the field 'r'"),
        (GRAPH_LINE + "probe source=Reset.NEVER\n", 3, "unknown constant 'Reset.NEVER'"),
        (GRAPH_LINE + "probe source=Flag.A\n", 3, "unknown constant 'Flag.A'"),
        (GRAPH_LINE + "probe source=Format(width=99)\n", 3, "a format has 1 to 62 bits, not 99"),
        (GRAPH_LINE + "probe source=Format(width=none)\n", 3, "Format: 'width' cannot be none"),
        (GRAPH_LINE + "probe source=Threshold(v_threshold=i64[]<1>)\n", 3, "an array of int64"),
        (GRAPH_LINE + "probe source=Chain(stages=(1, 2))\n", 3, "'stages' cannot be a tuple"),
        (GRAPH_LINE + "probe source=f64[2]<1>\n", 3, "shape (2,) does not have 1 elements"),
        (GRAPH_LINE + "probe source=f64[1]<1_0>\n", 3, "'1_0' is no element of an array of f64"),
        (GRAPH_LINE + "probe source=i64[1]<1.5>\n", 3, "'1.5' is no element of an array of i64"),
        (GRAPH_LINE + "probe source=i32[1]<3000000000>\n", 3, "out of the range of i32"),
        (GRAPH_LINE + "probe source=i64[1]<9223372036854775808>\n", 3, "out of the range of i64"),
        (GRAPH_LINE + f"probe source=i64[1]<{'9' * 5000}>\n", 3, "the integer 99999"),
        (GRAPH_LINE + "probe source=f64[3x]<>\n", 3, "cannot read '[3x]<>'"),
        (GRAPH_LINE + "probe source=f64[3]@0\n", 3, "there is no data line 0"),
        (GRAPH_LINE + "data 0\n", 3, "a data line is damaged: expected 'data NUMBER BASE64'"),
        (GRAPH_LINE + "data x eA==\n", 3, "a data line is damaged: expected 'data NUMBER BASE64'"),
        (GRAPH_LINE + "data 0 eA==\ndata 0 eA==\n", 4, "data 0 is given twice"),
    ],
)
def test_malformed_text_names_its_line(source: str, line: int, message: str) -> None:
    with pytest.raises(SpikecError) as caught:
        parse(source, "net.spk")
    (found,) = caught.value.diagnostics
    assert (found.code, found.where) == ("E0110", Location("net.spk", line=line))
    assert message in found.message
    assert len(found.message) < 200


def test_whole_message() -> None:
    with pytest.raises(SpikecError) as caught:
        parse(GRAPH_LINE + 'input "a" shape=3\n', "net.spk")
    assert str(caught.value) == "error E0110: Input: 'shape' cannot be 3\n  at net.spk:3"
    assert caught.value.exit_code == 2


def with_data(declared: str, packed: bytes) -> str:
    """A text whose line 3 declares an array and whose line 4 holds its data."""
    data = base64.b64encode(packed).decode()
    return f"{GRAPH_LINE}probe source={declared}@0 variable=3\ndata 0 {data}\n"


class TestHostile:
    def refused(self, source: str, line: int, message: str) -> None:
        with pytest.raises(SpikecError) as caught:
            parse(source)
        (found,) = caught.value.diagnostics
        assert (found.code, found.where.line) == ("E0110", line)
        assert message in found.message

    @pytest.mark.parametrize(
        ("declared", "packed", "message"),
        [
            ("f64[3]", zlib.compress(bytes(32)), "does not hold the 24 bytes"),
            ("f64[3]", zlib.compress(bytes(16)), "does not hold the 24 bytes"),
            ("f64[3]", zlib.compress(bytes(24))[:-1], "does not hold the 24 bytes"),
            ("f64[3]", zlib.compress(bytes(24)) + b"x", "does not hold the 24 bytes"),
            ("f64[3]", b"not deflated", "incorrect header check"),
            ("f64[3]", b"", "expected 'data NUMBER BASE64'"),
            ("f64[99999999x999]", zlib.compress(b"x"), "9 bytes cannot hold an array"),
        ],
    )
    def test_damaged_data(self, declared: str, packed: bytes, message: str) -> None:
        self.refused(with_data(declared, packed), 4, message)

    def test_damaged_base64(self) -> None:
        source = with_data("f64[3]", zlib.compress(bytes(24)))
        self.refused(source.replace("eJ", "e*"), 4, "a data line is damaged")
        self.refused(source.replace("eJ", "eé"), 4, "a data line is damaged")

    def test_two_readings_of_one_data_line(self) -> None:
        source = with_data("f64[3]", zlib.compress(bytes(24)))
        source = source.replace("variable=3", "variable=i64[3]@0")
        self.refused(source, 3, "data 0 is an array of shape (3,) and float64 elsewhere")

    @pytest.mark.parametrize(
        "shape", ["99999999x99999999", "0x99999999x99999999", "9" * 19, "x".join(["1"] * 33)]
    )
    @pytest.mark.parametrize("elements", ["@0", "<>"])
    def test_absurd_shape(self, shape: str, elements: str) -> None:
        source = f"{GRAPH_LINE}probe source=f64[{shape}]{elements}\ndata 0 eJwDAAAAAAE=\n"
        self.refused(source, 3, "no array has the shape [")

    def test_data_that_no_array_asks_for_is_not_inflated(self) -> None:
        assert parse(GRAPH_LINE + "data 0 AAAA\n") == Graph("g", 0.1, (), (), (), ())

    def test_bomb_costs_no_more_than_the_array_declares(self) -> None:
        packed = zlib.compress(bytes(1 << 25), 9)
        source = with_data("f64[17]", packed)
        tracemalloc.start()
        try:
            self.refused(source, 4, "does not hold the 136 bytes")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 1 << 20

    @pytest.mark.parametrize("opening", ["(", "Chain(stages=(", "LIF(tau="])
    def test_deep_nesting(self, opening: str) -> None:
        source = f"{GRAPH_LINE}probe source={opening * 20000}"
        self.refused(source, 3, "values are nested more than 64 deep")

    def test_deep_chain_survives_the_round_trip(self) -> None:
        connection: Connection = Dense(np.ones((2, 2)))
        for _ in range(200):
            connection = Chain((connection, Dense(np.ones((2, 2)))))
        lossless(network(projections=(Projection("w", "in", "p", connection),)))


POOL = (
    *'()=,<>@[]"\\ \n#x.-+e0\x00é\u2028',
    *("none", "true", "inf", "nan", "-1", "1e999", "f64[]<0.0>", "i64[0]<>", "f64[0x3]<>", "i32"),
    *("Dense", "Chain(stages=())", "Reset.ZERO", "(1, 2)", "((1, 1), (1, 1))", '"p"', "shape="),
    *("99999999999999999999", "f64[17]@0", "data 0 ", "input ", "probe ", "at=(none, none, 1)"),
)


def mutated(source: str, rng: random.Random) -> str:
    pieces = re.findall(r"[\w.]+|\W", source)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at, other = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        match rng.randrange(6):
            case 0:
                pieces[at] = ""
            case 1:
                pieces[at] = rng.choice(POOL)
            case 2:
                pieces[at] = pieces[at] + rng.choice(POOL)
            case 3:
                pieces[at] = pieces[other]
            case 4:
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case _:
                pieces[at] = pieces[at][: len(pieces[at]) // 2]
    return "".join(pieces)


def test_mutated_text_is_read_or_refused() -> None:
    """Whatever is read can be verified, or refused by the verifier, and has a text again."""
    rng = random.Random(20)
    sources = [golden(path)[1] for path in GOLDEN]
    read = refused = 0
    for _ in range(2500):
        source = mutated(rng.choice(sources), rng)
        try:
            graph = parse(source, "fuzz.spk")
        except SpikecError as error:
            (found,) = error.diagnostics
            assert found.code == "E0110"
            assert found.where.line is not None
            assert 1 <= found.where.line <= source.count("\n") + 1
            refused += 1
            continue
        read += 1
        assert parse(text(graph)) == graph
        try:
            verify(graph)
        except SpikecError as error:
            assert error.exit_code == 2
    assert read > 100 and refused > 1000, (read, refused)


def test_random_graphs_pass_the_verifier_or_are_refused() -> None:
    @settings(max_examples=150)
    @given(of_type(Connection), of_type(Neuron), of_type(Semantics))
    def check(connection: Connection, neuron: Neuron, semantics: Semantics) -> None:
        graph = network(
            populations=(Population("p", (2,), neuron, semantics),),
            projections=(
                Projection("w", "in", "p", connection),
                Projection("loop", "p", "p", connection),
            ),
        )
        try:
            verify(graph)
        except SpikecError as error:
            assert error.exit_code == 2

    check()


def test_neuron_without_parameters_in_text() -> None:
    graph = network(populations=(Population("p", (1,), Threshold(real(1.0)), at=NOWHERE),))
    assert "at=" not in text(graph)
