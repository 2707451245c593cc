"""The section on a mapping: its record, its figures at every size, the page and the JSON."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import jsonschema
import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.boards.machine import CoreLimits, Machine
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.map import map_network
from spikec.compiler.mapping_view import mapping_view
from spikec.compiler.report import LimitUse, MappingView, ReportData, render
from spikec.compiler.report import style as report_style
from spikec.compiler.report.placement import limits_plot, links_plot, placement_plot
from spikec.compiler.report.style import Plot

from .test_page import Page, schema
from .test_plots import texts
from .views import grid_links, make_machine, make_view, quantity, tree_links

LAYERS = [f"layer {k}" for k in range(8)]


def report(view: MappingView, name: str = "mapped") -> ReportData:
    return ReportData(name, "compiled for a chip", True, mapping=view)


def page_and_json(view: MappingView) -> tuple[Page, dict[str, object]]:
    """Both files, well formed: ids unique, tags closed, the schema kept."""
    files = render(report(view))
    page = Page(files["report.html"].decode())
    assert page.unclosed == [] and page.open == []
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    data = json.loads(files["report.json"])
    jsonschema.Draft202012Validator(schema()).validate(data)
    return page, data["mapping"]


def text_of(page: Page) -> str:
    return " ".join(" ".join(page.text).split())


def figures(view: MappingView) -> dict[str, Plot]:
    every = (placement_plot(view), links_plot(view), limits_plot(view))
    found = {plot.name: plot for plot in every if plot is not None}
    for plot in found.values():
        ElementTree.fromstring(plot.svg)
        assert len(plot.alt) > 40
    return found


def full_mesh() -> MappingView:
    return make_view(make_machine("mesh", routers=(64, 64)), names=LAYERS)


def part_of_mesh() -> MappingView:
    return make_view(
        make_machine("mesh", routers=(64, 64)), np.arange(64 * 16, dtype=np.int64)[24:], LAYERS
    )


def whole_board() -> MappingView:
    return make_view(load_chip("spinnaker1-board"), names=[f"block {k}" for k in range(18)])


def ring() -> MappingView:
    return make_view(make_machine("ring", routers=(12, 1), cores=2), range(20))


def tree() -> MappingView:
    machine = make_machine("tree", routers=(64, 1), arity=(4, 4, 4))
    return make_view(machine, links=tree_links((4, 4, 4)))


def torus() -> MappingView:
    return make_view(make_machine("torus", chips=(2, 2), cores=4), names=LAYERS)


def one_core() -> MappingView:
    return make_view(make_machine(routers=(1, 1)), names=["alone"])


def column() -> MappingView:
    return make_view(make_machine("mesh", routers=(1, 40)))


SIZES = [full_mesh, part_of_mesh, whole_board, ring, tree, torus, one_core, column]


@pytest.mark.parametrize("build", SIZES, ids=lambda f: f.__name__)
def test_every_size_is_drawn_and_keeps_the_schema(build: object) -> None:
    assert callable(build)
    view = build()
    found = figures(view)
    assert set(found) >= {"placement", "limits"}
    assert ("links" in found) == bool(view.link_load.size)
    assert all(len(plot.svg) < 700_000 for plot in found.values())
    page, data = page_and_json(view)
    images = [a for _, a in page.elements if a.get("role") == "img"]
    assert len(images) == len(found)
    placement = data["placement"]
    assert isinstance(placement, dict)
    columns = [*placement["used"].values(), *(v for k, v in placement.items() if k != "used")]
    assert {len(column) for column in columns} == {view.parts}
    assert data["cores"] == {"used": view.parts, "available": view.machine.cores}


def test_the_page_says_what_binds_and_what_is_recalled() -> None:
    page, data = page_and_json(ring())
    text = text_of(page)
    for part in (
        "In-axons bind: core 19 holds 4,092 of 4,096 (99.9 %).",
        "a machine made up ( made ) recalled nowhere",
        "ring of 1 × 1 chip, 12 × 1 routers a chip, 2 cores a router",
        "20 of 24 cores on 1 of 1 chip",
        "a table of axons",
        "? recalled",
        "conv1",
        "A stub at the edge is a link that wraps around",
    ):
        assert part in text, part
    assert data["sentence"] == "In-axons bind: core 19 holds 4,092 of 4,096 (99.9 %)."
    assert data["binding"] == "in_axons"
    # The machine's arrangement, one limit and the legend; the other limit is measured.
    assert sum(a.get("class") == "badge recalled" for _, a in page.elements) == 3


def test_a_recalled_limit_is_marked_in_words_and_in_colour() -> None:
    view = ring()
    plot = limits_plot(view)
    assert plot is not None
    found = texts(plot.svg)
    assert sum("recalled" in text for text in found) == 1
    assert report_style.WINNER in plot.svg
    assert any("recalled" in note for note in plot.notes)
    measured = tuple(
        LimitUse(u.name, u.title, quantity(u.bound.value, "x", "measured"), u.at, u.used, u.number)
        for u in view.limits
    )
    plain = limits_plot(replace(view, limits=measured))
    assert plain is not None
    assert not any("recalled" in text for text in [*texts(plain.svg), *plain.notes])
    assert report_style.WINNER not in plain.svg


def test_what_fills_up_binds_before_what_does_not() -> None:
    seats = np.arange(2)
    fan_out = LimitUse(
        "fan_out",
        "cores that one neuron reaches",
        quantity(1, "cores"),
        "core",
        np.ones(2, np.int64),
        seats,
    )
    neurons = LimitUse(
        "neurons", "neurons", quantity(256, "neurons"), "core", np.array([100, 40]), seats
    )
    view = replace(make_view(make_machine(), seats), limits=(fan_out, neurons))
    assert view.sentence == "No limit is near: of neurons, core 0 holds 100 of 256 (39.1 %)."
    assert [use.name for use in view.capacities] == ["neurons"]
    share, which = view.fullest
    assert share.tolist() == [100 / 256, 40 / 256] and which.tolist() == [0, 0]
    alone = replace(view, limits=(fan_out,))
    assert alone.sentence.startswith("Cores that one neuron reaches bind: core 0 holds 1 of 1")
    assert "no limit" in replace(view, limits=()).sentence
    text_of(page_and_json(alone)[0])
    page, data = page_and_json(replace(view, limits=()))
    assert data["binding"] is None and data["limits"] == []
    assert "The machine states no limit." in text_of(page)


def test_a_limit_of_nothing() -> None:
    seats = np.arange(2)
    used = LimitUse(
        "in_axons", "in-axons", quantity(0, "axons"), "core", np.zeros(2, np.int64), seats
    )
    over = LimitUse(
        "in_axons", "in-axons", quantity(0, "axons"), "core", np.ones(2, np.int64), seats
    )
    assert used.share == 0.0 and over.share == np.inf
    for use in (used, over):
        _, data = page_and_json(replace(make_view(make_machine(), seats), limits=(use,)))
        limits = data["limits"]
        assert isinstance(limits, list)
        assert limits[0]["share"] == (0.0 if use is used else None)
    with pytest.raises(ValueError, match="shape"):
        LimitUse(
            "neurons",
            "neurons",
            quantity(1, "n"),
            "core",
            np.ones(2, np.int64),
            np.ones(3, np.int64),
        )


def test_only_what_is_used_of_a_large_machine_is_shown() -> None:
    chips = make_machine("mesh", chips=(8, 8), routers=(4, 4), cores=2)
    seats = np.arange(4) * 2 + (9 * 32 + 20) * 2  # on the chip (5, 2)
    empty = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    notes = placement_plot(make_view(chips, seats, links=empty)).notes
    assert notes[0].startswith("Shown are columns 20 to 23 and rows 8 to 11 of 32 x 32 routers")
    crowded = placement_plot(full_mesh())
    assert not any(note.startswith("Shown") for note in crowded.notes)


def test_absent_places_stay_blank() -> None:
    machine = load_chip("spinnaker1-board")
    view = make_view(machine)
    assert view.chips == 48
    assert view.chips_used == 48
    start, end = grid_links(machine)
    absent = {x + y * 8 for x, y in machine.absent}
    assert not absent & {*start.tolist(), *end.tolist()}
    text = text_of(page_and_json(view)[0])
    assert "768 of 768 cores on 48 of 48 chips" in text
    assert "16 places without a router" in text


def test_the_worst_link_is_named_and_marked() -> None:
    view = torus()
    worst = int(view.link_load.argmax())
    plot = links_plot(view)
    assert plot is not None
    start, end = int(view.link_start[worst]), int(view.link_end[worst])
    said = next(t for t in texts(plot.svg) if t.startswith("Most on"))
    assert f"router {start} " in said and f"router {end} " in said
    assert said.endswith(f"{int(view.link_load[worst]):,} packets")
    assert re.search(f"stroke: {report_style.WRONG}", plot.svg)
    named = links_plot(tree())
    assert named is not None
    assert {"leaves", "root"} <= set(texts(named.svg))


def test_loads_far_apart_are_drawn_on_a_logarithmic_scale() -> None:
    view = torus()
    even = replace(view, link_load=np.full(view.link_load.size, 7))
    apart = even.link_load.copy()
    apart[3] = 7000
    for load, wanted in ((even.link_load, False), (apart, True)):
        plot = links_plot(replace(view, link_load=load))
        assert plot is not None
        assert any("logarithmic" in note for note in plot.notes) == wanted


def test_more_populations_than_colours_share_one() -> None:
    names = [f"layer {k}" for k in range(60)]
    machine = make_machine("mesh", routers=(10, 10))
    found = texts(placement_plot(make_view(machine, names=names)).svg)
    assert "37 other populations" in found
    assert sum(text.startswith("layer") for text in found) == 23


def test_long_names_keep_their_ends() -> None:
    names = [f"a population of a rather long name, number {k}" for k in range(3)]
    found = texts(placement_plot(make_view(make_machine(), names=names)).svg)
    assert {f"a population …name, number {k}" for k in range(3)} <= set(found)


def test_an_image_ends_where_its_frame_does() -> None:
    arity = (8, 8, 16)
    machine = make_machine("tree", routers=(1024, 1), arity=arity)
    svg = placement_plot(make_view(machine, links=tree_links(arity))).svg
    scales = re.findall(r"matrix\(([\d.]+) 0 0 -[\d.]+ ([\d.]+) ", svg)
    wide = [float(scale) for scale, _ in scales if float(scale) < 1]
    # 8.6 inches of 72 points, 1,024 columns: two decimals would be five points short.
    assert wide and all(scale * 1024 == pytest.approx(8.6 * 72, abs=0.1) for scale in wide)


def test_hostile_names_are_escaped() -> None:
    name = "</svg><script>alert('$x$')</script>&\"#2f7fc1"
    view = make_view(make_machine(), names=[name, "_hidden", "$\\frac{1}{2}$"])
    page, data = page_and_json(view)
    assert "script" not in {tag for tag, _ in page.elements}
    assert sum(name in text for text in page.text) >= 2
    found = texts(placement_plot(view).svg)
    assert "_hidden" in found and "$\\frac{1}{2}$" in found
    populations = data["populations"]
    assert isinstance(populations, list)
    assert [p["name"] for p in populations] == list(view.populations)


def test_a_long_table_says_how_many_cores_it_leaves_out() -> None:
    text = text_of(page_and_json(part_of_mesh())[0])
    assert "950 more are in report.json" in text


def test_same_mapping_same_bytes() -> None:
    assert render(report(torus())) == render(report(torus()))
    assert torus() == torus()


def test_without_matplotlib_there_are_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_style, "available", lambda: False)
    text = render(report(ring()))["report.html"].decode()
    assert "<svg" not in text
    assert "In-axons bind" in text


def test_without_a_mapping_json_says_null() -> None:
    files = render(ReportData("plain", "nothing mapped"))
    assert json.loads(files["report.json"])["mapping"] is None
    assert 'id="mapping"' not in files["report.html"].decode()


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    view = ring()
    with pytest.raises(ValueError, match="held"):
        replace(view, held_ptr=view.held_ptr[:-1])
    with pytest.raises(ValueError, match="load"):
        replace(view, link_load=view.link_load[:-1])


# -- from a mapping that was made --------------------------------------------------------------


def layers(sizes: tuple[int, ...], fan: int = 5) -> Axons:
    """Layers, each neuron to ``fan`` of the next; the last node is 10 lines from the host."""
    r = np.random.default_rng(4)
    ends = np.cumsum(sizes)
    nodes = tuple(
        Node(f"L{k}", int(end) - size, size)
        for k, (size, end) in enumerate(zip(sizes, ends, strict=True))
    )
    host = Node("pixels", int(ends[-1]), 10)
    bundles = tuple(
        Bundle(
            f"{a.name}->{b.name}",
            a.first,
            np.arange(a.size + 1) * fan,
            (b.first + r.integers(0, b.size, (a.size, fan))).ravel().astype(np.int32),
            np.asarray(1, np.int32),
        )
        for a, b in zip((host, *nodes), nodes, strict=False)
    )
    return Axons((*nodes, host), int(ends[-1]), bundles, np.full(host.end, 3))


@pytest.fixture(scope="module")
def machine() -> Machine:
    core = CoreLimits(neurons=quantity(64, "neurons"), fan_in=quantity(90, "synapses", "measured"))
    return replace(
        make_machine("mesh", routers=(3, 3), cores=2),
        core=core,
        multicast=True,
        routing_entries=quantity(1024, "entries", "measured"),
    )


def test_the_view_repeats_what_the_check_counted(machine: Machine) -> None:
    axons = layers((100, 70, 30))
    mapped = map_network(axons, machine, effort=0)
    view = mapping_view(axons, mapped, counted=True)
    usage = mapped.checked.usage
    assert view.populations == ("L0", "L1", "L2")
    assert view.neurons == 200 == int(usage.neurons.sum())
    assert [use.name for use in view.limits] == [b.limit for b in mapped.checked.bindings]
    for use, binding in zip(view.limits, mapped.checked.bindings, strict=True):
        assert (use.most, use.worst, use.bound) == (binding.used, binding.number, binding.bound)
        assert use.share == pytest.approx(binding.share)
    for part in range(view.parts):
        inside = np.flatnonzero(mapped.mapping.part == part)
        counted = {
            node.name: int(((inside >= node.first) & (inside < node.end)).sum())
            for node in axons.nodes
        }
        assert view.holds(part) == {name: n for name, n in counted.items() if n}
        assert view.populations[view.dominant[part]] == max(counted, key=lambda n: counted[n])
    assert (view.packets, view.hops, view.spikes) == (usage.packets, usage.hops, usage.spikes)
    assert view.counted
    assert {name: neurons for name, neurons, _, _ in view.cores_of} == {
        "L0": 100, "L1": 70, "L2": 30,
    }  # fmt: skip
    page, data = page_and_json(view)
    assert "routing tables" in text_of(page)
    limits, links = data["limits"], data["links"]
    assert isinstance(limits, list) and isinstance(links, dict)
    assert {limit["at"] for limit in limits} == {"core", "router"}
    assert sum(links["packets"]) == int(usage.link_load.sum())
    assert links["packets"]
