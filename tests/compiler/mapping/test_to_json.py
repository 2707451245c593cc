"""``mapping.json``: exact there and back, of the published form, and refused where it is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from typing import Any

import jsonschema
import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.boards.machine import Machine
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.map import Mapped, map_network
from spikec.compiler.mapping.to_json import mapping_json, read_mapping
from spikec.ir.diagnostics import SpikecError

from .nets import network

# A mesh, a crossbar whose neurons reach one core, and routers with tables.
CHIPS = ("loihi1", "spinnaker1-board")


def small(name: str) -> Machine:
    """The chip with cores of 16 neurons, so that a small network takes several."""
    machine = load_chip(name)
    limit = machine.core.neurons
    assert limit is not None
    return replace(machine, core=replace(machine.core, neurons=replace(limit, value=16.0)))


def axons_for(machine: Machine) -> Axons:
    """A random network; its input takes places in cores where the machine's inputs do."""
    axons = network(3, neurons=150, lines=20)
    return replace(axons, neurons=axons.sources) if machine.inputs_on_cores else axons


@pytest.fixture(scope="module", params=CHIPS)
def mapped(request: pytest.FixtureRequest) -> tuple[Machine, Axons, Mapped]:
    machine = small(request.param)
    axons = axons_for(machine)
    return machine, axons, map_network(axons, machine, effort=0)


def test_what_is_written_is_read_exactly(mapped: tuple[Machine, Axons, Mapped]) -> None:
    machine, axons, result = mapped
    data = mapping_json(axons, result, 7)
    assert result.mapping.parts > 5
    assert (result.mapping.tables is None) == (machine.routing_entries is None)
    assert read_mapping(data, machine) == result.mapping
    assert read_mapping(data, machine, axons) == result.mapping
    again = map_network(axons, machine, effort=0)
    assert mapping_json(axons, again, 7) == data


def test_the_file_is_as_the_schema_says(mapped: tuple[Machine, Axons, Mapped]) -> None:
    machine, axons, result = mapped
    found = json.loads(mapping_json(axons, result, 7))
    folder = resources.files("spikec.compiler.mapping")
    schema = json.loads((folder / "mapping.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(found, schema)
    assert found["totals"]["window"] == 7
    for name, limit in machine.core.stated.items():
        assert found["limits"][f"core.{name}"]["source"] == limit.source
    for part, row in enumerate(found["parts"]):
        held = row["usage"]["neurons"] + row["usage"]["sources"]
        assert held == np.count_nonzero(result.mapping.part == part)


def test_a_board_has_as_many_chips_as_there_are(mapped: tuple[Machine, Axons, Mapped]) -> None:
    machine, axons, found = mapped
    facts = json.loads(mapping_json(axons, found))["totals"]
    places = machine.router_count - len(machine.absent)
    routers = machine.routers[0] * machine.routers[1]
    assert facts["chips"] * routers == places


def test_a_machine_of_several_chips_comes_back() -> None:
    machine = small("loihi1")
    node = Node("many", 0, 129 * 16)
    bundle = Bundle("none", 0, np.zeros(node.size + 1, np.int64), *np.zeros((2, 0), np.int32))
    axons = Axons((node,), node.size, (bundle,), np.ones(node.size, np.int64))
    result = map_network(axons, machine, effort=0)
    assert result.mapping.machine.chips != machine.chips
    assert read_mapping(mapping_json(axons, result), machine) == result.mapping


def test_a_million_neurons_stay_some_megabytes() -> None:
    """Neurons in their own order are runs, whatever their number."""
    machine = small("loihi1")
    result = map_network(axons_for(machine), machine, effort=0)
    count = 1_000_000
    part = np.arange(count) * result.mapping.parts // count
    routes = replace(result.mapping.routes, of=np.full(count, -1, np.int32))
    mapping = replace(result.mapping, part=part.astype(np.int32), routes=routes)
    axons = Axons((Node("all", 0, count),), count, (), np.ones(count, np.int64))
    data = mapping_json(axons, replace(result, mapping=mapping))
    assert len(data) < 100_000
    assert read_mapping(data, machine) == mapping


def set_at(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(top: Any) -> None:
        for key in path[:-1]:
            top = top[key]
        top[path[-1]] = value

    return change


def without(*path: Any) -> Callable[[Any], None]:
    def change(top: Any) -> None:
        for key in path[:-1]:
            top = top[key]
        del top[path[-1]]

    return change


WRONG: dict[str, tuple[Callable[[Any], None], str]] = {
    "schema": (set_at("schema", value="spikec-mapping-9"), "this spikec reads spikec-mapping-1"),
    "key": (without("routes"), "the file lacks 'routes'"),
    "unknown": (set_at("more", value=1), "the file has an unknown key 'more'"),
    "machine": (set_at("machine", "name", value="loihi3"), "machine.name is 'loihi3'"),
    "chips": (set_at("machine", "chips", value=[1]), "machine.chips has 1 numbers"),
    "size": (set_at("nodes", 0, "size", value=True), "size is True"),
    "part": (set_at("nodes", 0, "part", value=[0, 1]), r"nodes\[0\].part has 2 values"),
    "runs": (
        set_at("nodes", 0, "part", value={"runs": [[0, 5, 0], [6, 75, 1]]}),
        r"nodes\[0\].part.runs do not cover 0 to 75",
    ),
    "route": (
        set_at("nodes", 0, "route", value={"runs": [[0, 75, 9999999]]}),
        r"nodes\[0\].route.runs has 9999999",
    ),
    "float": (set_at("parts", 0, "core", value=1.0), "parts.core has something that is no whole"),
    "core": (set_at("parts", 0, "core", value=999999), "parts.core has 999999"),
    "place": (set_at("parts", 0, "router", value=[7, 99]), "is not where the file says"),
    "links": (set_at("routes", "links", 0, value=[[0]]), r"a link is \[start, end\]"),
    "huge": (set_at("routes", "origin", 0, value=2**70), "routes.origin has 11805916207"),
    "routes": (set_at("routes", "cores", value=[]), "routes.cores has 0 routes"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_malformed_is_refused(mapped: tuple[Machine, Axons, Mapped], what: str) -> None:
    machine, axons, result = mapped
    change, message = WRONG[what]
    top = json.loads(mapping_json(axons, result))
    change(top)
    with pytest.raises(SpikecError, match=rf"E0324.*{message}"):
        read_mapping(json.dumps(top).encode(), machine)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe{", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "the file is no object"),
        (b'{"schema": 1, "schema": 2}', "a key twice"),
        (b'{"schema": NaN}', "NaN"),
    ],
)
def test_what_is_no_mapping_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(SpikecError, match=f"E0324.*{message}"):
        read_mapping(data, load_chip("loihi1"))


def test_a_mapping_of_another_network_is_refused(mapped: tuple[Machine, Axons, Mapped]) -> None:
    machine, axons, result = mapped
    first, *rest = axons.nodes
    other = replace(axons, nodes=(replace(first, name="other"), *rest))
    with pytest.raises(SpikecError, match=r"E0324.*not those of the network"):
        read_mapping(mapping_json(axons, result), machine, other)
