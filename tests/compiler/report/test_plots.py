"""Figures: what is drawn, how large it gets, and what the alternative text says."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest

from spikec.compiler.report import Candidate, Choice, plot_graph, plot_recording
from spikec.compiler.report.plots import MOST_MARKS, choice_plot, layers_plot, raster_plot
from spikec.compiler.report.style import ROLES, themed
from spikec.compiler.report.tables import kind, projection_rows
from spikec.ir.connections import Chain, Conv2d, Dense, Flatten, OneToOne, Sparse, SumPool2d
from spikec.ir.events import Events, Recording
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF

from .conftest import make_graph, make_recordings, make_report


def texts(svg: bytes | str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]


def net(edges: list[tuple[str, str]], delay: int = 1) -> Graph:
    """Populations of four neurons, in order of first mention; one input ``in``."""
    names = [n for n in dict.fromkeys(n for e in edges for n in e) if n != "in"]
    neuron = IF(np.asarray(1.0), np.asarray(1.0))
    return Graph(
        "net",
        1e-3,
        (Input("in", (4,)),),
        tuple(Population(name, (4,), neuron) for name in names),
        tuple(
            Projection(f"{a}->{b}.{k}", a, b, Dense(np.ones((4, 4))), delay)
            for k, (a, b) in enumerate(edges)
        ),
        (Output("out", names[-1]),),
    )


def test_graph_shows_every_population_and_projection() -> None:
    found = texts(plot_graph(make_graph()))
    for part in (
        "pixels",
        "input · 1 x 8 x 8 = 64 lines",
        "LIF, integer · 4 x 8 x 8 = 256 neurons",
        "Conv2d 4 x 1 x 3 x 3 · 1,887 synapses",
        "Dense 10 x 256 · 2,533 synapses · delay 2",
        "↻ Dense 48 x 48 · 2,274 synapses · delay 1",
        "LI, integer · 10 neurons · output",
    ):
        assert part in found


@pytest.mark.parametrize(
    "edges",
    [
        [("in", "a")],
        [("in", "a"), ("a", "a"), ("a", "a"), ("a", "a"), ("a", "a"), ("a", "a")],
        [("in", "a"), ("a", "b"), ("b", "a")],
        [("in", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("in", "c"), ("a", "c")],
        [("in", "c"), ("a", "c"), ("b", "a"), ("c", "b")],
        [("in", n) for n in "abcdefgh"] + [(n, "z") for n in "abcdefgh"] + [("in", "z")],
    ],
    ids=["one", "loops", "pair", "triangle", "against the order", "fan"],
)
def test_any_topology_is_drawn(edges: list[tuple[str, str]]) -> None:
    graph = net(edges)
    found = texts(plot_graph(graph))
    assert {p.name for p in graph.populations} | {"in"} <= set(found)
    labels = [t for t in found if "synapses" in t]
    more = sum(int(t.split()[1]) for t in found if t.endswith("more projections"))
    assert len(labels) + more == len(edges)


def test_a_long_name_is_clipped_in_the_figure() -> None:
    graph = net([("in", "encoder.layers.0.a_module_with_a_long_name")])
    assert "encoder.layers.0.a_module_wit…" in texts(plot_graph(graph))


def test_raster_counts_spikes_and_differences() -> None:
    recordings = make_recordings()
    plot = raster_plot(recordings, "classes", 0, make_graph())
    assert {"golden", "integer", "rtl"} <= set(texts(plot.svg))
    golden, integer, rtl = (int(r.spikes["classes"].dense(0).sum()) for r in recordings)
    assert f"golden: {golden} spikes." in plot.alt
    assert f"rtl: {rtl} spikes, 3 differ from integer." in plot.alt
    assert f"{integer} spikes" in plot.alt
    hidden = raster_plot(recordings, "hidden", 0, make_graph())
    assert "as integer" in hidden.alt
    assert plot.notes == ()


def test_graded_populations_are_lines_in_the_unit_of_the_model() -> None:
    plot = raster_plot(make_recordings(), "readout", 1, make_graph())
    assert "v (model unit)" in texts(plot.svg)
    assert re.search(r"integer: largest sum: neuron \d+, within 0.0061", plot.alt)
    without = raster_plot(make_recordings(), "readout", 1, None)
    assert "v (integer units)" in texts(without.svg)


def test_a_long_raster_stays_small_and_says_so() -> None:
    recordings = make_recordings(1, 300, 2000)
    plot = raster_plot(recordings, "hidden", 0, None)
    assert recordings[0].spikes["hidden"].value.size > MOST_MARKS
    assert len(plot.svg) < 400_000
    assert plot.svg.count("<image") == 4  # three panels, and the mismatches of one
    assert any(note.startswith("More than 4,000 spikes") for note in plot.notes)
    assert any("10 neurons x 1 step," in note for note in plot.notes)


def test_only_recordings_that_have_the_sample_are_drawn() -> None:
    golden, integer, rtl = make_recordings()
    short = Recording("rtl", rtl.dt, {n: e.take(1) for n, e in rtl.spikes.items()}, {})
    found = texts(plot_recording((golden, integer, short), sample=2, populations=["classes"]))
    assert "classes · integer" in found
    assert "classes · rtl" not in found
    with pytest.raises(ValueError, match="no recording has sample 9"):
        plot_recording((golden,), sample=9)
    with pytest.raises(KeyError):
        plot_recording((golden,), populations=["nowhere"])


def test_a_silent_population_is_drawn() -> None:
    silent = Recording("rtl", 1e-3, {"out": Events.from_dense(np.zeros((1, 5, 3), np.int64))}, {})
    assert "0 spikes" in " ".join(texts(plot_recording([silent])))


def test_the_choice_of_a_core_marks_the_one_taken() -> None:
    wide = (Candidate("A", 12, 9000, 3, taken=False), Candidate("B", 900, 800, 3, taken=True))
    plot = choice_plot(Choice("least of all", 40, wide, most=1000))
    assert "A: 12 cycles, 9,000 cells; B, taken: 900 cycles, 800 cells" in plot.alt
    found = texts(plot.svg)
    assert {"no other beats", "taken", "at most", "20", "1,000", "5,000"} <= set(found)
    without = texts(choice_plot(Choice("least of all", 40, wide)).svg)
    assert "at most" not in without and "taken" in without


def test_the_choice_among_like_cores_has_numbers_on_its_axes() -> None:
    near = (Candidate("A", 61, 1510, 3, taken=True), Candidate("B", 68, 1480, 3, taken=False))
    found = texts(choice_plot(Choice("least of all", 2, near)).svg)
    assert sum(t.replace(",", "").isdigit() for t in found) >= 5


def test_png_is_one_and_deterministic() -> None:
    first = plot_recording(make_recordings(), form="png")
    assert first.startswith(b"\x89PNG\r\n")
    assert first == plot_recording(make_recordings(), form="png")


def test_the_users_settings_neither_matter_nor_suffer() -> None:
    before = plot_graph(make_graph())
    with matplotlib.rc_context({"font.size": 31.0, "lines.linewidth": 9.0}):
        assert plot_graph(make_graph()) == before
        assert matplotlib.rcParams["font.size"] == 31.0


def test_every_colour_has_a_role() -> None:
    svg = plot_recording(make_recordings(), graph=make_graph()).decode()
    svg += plot_graph(make_graph()).decode()
    colours = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", svg))
    assert colours <= set(ROLES)
    assert not re.search(r"(?:fill|stroke): #", themed(svg))


def test_layers_plot_names_what_is_exact() -> None:
    data = make_report()
    plot = layers_plot(data.layers, data.layer_rate_errors)
    found = texts(plot.svg)
    assert "exact" in found
    assert found.count("not compared") == 2
    assert "weights: signal to quantisation noise (dB), more is better" in found


def test_kinds_and_compact_sizes() -> None:
    conv = Conv2d(np.ones((2, 1, 3, 3)), (1, 8, 8), stride=(2, 2))
    pool = SumPool2d((2, 3, 3), (3, 3), (3, 3))
    assert kind(Chain((conv, pool, Flatten((2, 1, 1))))) == (
        "Conv2d 2 x 1 x 3 x 3, stride 2 x 2 → SumPool2d 3 x 3"
    )
    assert kind(OneToOne(np.asarray(1.0), (5,))) == "OneToOne 5"
    assert kind(Flatten((2, 2))) == "one to one"
    sparse = Sparse(2, 3, np.array([0, 1, 3]), np.array([0, 1, 2]), np.ones(3))
    graph = net([("in", "a")]).with_(
        inputs=(Input("in", (2,)),),
        populations=(Population("a", (3,), IF(np.asarray(1.0), np.asarray(1.0))),),
        projections=(Projection("p", "in", "a", sparse),),
    )
    (row,) = projection_rows(graph)
    assert (row.synapses, row.weights, row.bytes) == (3, 3, 3 * 8 + 3 * 8 + 3 * 4)
    (first, *_) = projection_rows(make_graph())
    assert (first.weights, first.weight_bits, first.bytes) == (36, 8, 36)
