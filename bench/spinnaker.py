"""Mapping to SpiNNaker beside sPyNNaker's own: cores, routing entries, seconds of each stage.

Networks of sPyNNaker's kind: a node of sources and one of neurons, of n each, every source with 100
synapses onto random neurons; both tools are given the same synapses. And tables alone: what the
routers of a board have to tell apart, for our minimiser and for sPyNNaker's two.

sPyNNaker runs on a virtual SpiNN-5 board of 48 chips, in an interpreter of its own: it asks for
another numpy than Brian2 does. ``--install`` makes it in `.cache/spynnaker` (400 MB, two minutes);
SPIKEC_SPYNNAKER_PYTHON names one that there is. Without it the peer is left out. It is stopped
when its tables are done; ``--data-specification`` lets it go on to what it would load (20 s for
n = 10,000) and counts that apart.

Seconds are CPU-seconds of a warm run: no import, no compilation, no network being built.

    python bench/spinnaker.py [--json] [--quick] [--install] [--data-specification]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured

from spikec.boards.chip import load_chip
from spikec.boards.machine import STEPS, CoreLimits, Encoding, Machine
from spikec.boards.quantity import Quantity
from spikec.compiler.mapping import table_kernels
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.map import map_network
from spikec.compiler.mapping.mapping import Routes
from spikec.compiler.mapping.tables import assign_keys, key_tables

SEED = 20
FAN_OUT = 100
SIZES = (1000, 10_000)
# The peer cuts nodes in the order of their neurons, as effort 0 does.
EFFORTS = (0, 1)
PEER = "sPyNNaker 1!7.4.1"
REQUIREMENT = "sPyNNaker==1!7.4.1"
ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT = ROOT / ".cache" / "spynnaker"
CONFIGURATION = """
[Machine]
machine_name = None
virtual_board = True
version = 5

[Mapping]
router_table_compress_as_far_as_possible = True
"""
TIMEOUT = 1800


# --- the peer ----------------------------------------------------------------------------------


def peer_python() -> Path | None:
    """The interpreter that has sPyNNaker."""
    named = os.environ.get("SPIKEC_SPYNNAKER_PYTHON")
    path = Path(named) if named else ENVIRONMENT / "bin" / "python"
    return path if path.exists() else None


def install() -> None:
    """Make an environment for the peer."""
    subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", REQUIREMENT], check=True)


def run_peer(python: Path, what: str, arrays: dict[str, Any], *options: str) -> dict[str, Any]:
    """One run of `_spynnaker.py` in a home of its own, where it leaves its reports."""
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / ".spynnaker.cfg").write_text(CONFIGURATION, encoding="utf-8")
        given = Path(home) / "given.npz"
        np.savez(given, **arrays)
        script = Path(__file__).with_name("_spynnaker.py")
        done = subprocess.run(
            [str(python), str(script), what, str(given), *options],
            cwd=home,
            env={**os.environ, "HOME": home},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
    if done.returncode:
        raise SystemExit(f"sPyNNaker failed:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def peer(axons: Axons, python: Path, with_data: bool = False) -> dict[str, Any]:
    """What sPyNNaker makes of a network: cores, entries, seconds; see `_spynnaker.py`."""
    nodes = np.array([(node.first, node.size) for node in axons.nodes])
    arrays: dict[str, Any] = {"nodes": nodes}
    k = 0
    for bundle in axons.bundles:
        pre = axons.node_of(bundle.first)
        source = np.repeat(np.arange(bundle.ptr.size - 1), np.diff(bundle.ptr))
        source += bundle.first - pre.first
        for row, node in enumerate(axons.nodes):
            mine = (bundle.target >= node.first) & (bundle.target < node.end)
            if mine.any():
                arrays[f"pre_{k}"], arrays[f"post_{k}"] = axons.nodes.index(pre), row
                pairs = np.stack([source[mine], bundle.target[mine] - node.first], axis=1)
                arrays[f"pairs_{k}"] = pairs
                k += 1
    return run_peer(python, "network", arrays, *(["--data-specification"] if with_data else []))


# --- networks ----------------------------------------------------------------------------------


def network(n: int) -> Axons:
    """n neurons, and n sources that each reach 100 of them."""
    rng = np.random.default_rng(SEED)
    target = np.concatenate([rng.choice(n, FAN_OUT, replace=False) for _ in range(n)])
    ptr = np.arange(0, n * FAN_OUT + 1, FAN_OUT)
    bundle = Bundle("all", n, ptr, target.astype(np.int32), np.asarray(1, np.int32))
    nodes = (Node("cells", 0, n), Node("stim", n, n, lines=True))
    return Axons(nodes, 2 * n, (bundle,), np.ones(2 * n, np.int64), weight_bits=16)


# Stages of ours, and what the peer does in them. It does not ask which core sends to which: it
# sends from any core of a node to all cores of another.
OF_STAGE = {
    "partition": (("partition", "traffic"), ("partition",)),
    "place": (("place",), ("place",)),
    "route": (("route",), ("route",)),
    "tables": (("tables",), ("keys", "tables", "compress")),
}
STAGES = ("partition", "traffic", "place", "route", "tables", "check")
FASTER = 20.0
LARGE_ENOUGH = 10_000
# Ours is run so often, and the median taken: stages of microseconds vary.
RUNS = 5


def ours(axons: Axons, effort: int) -> dict[str, Any]:
    """What our mapping makes of it, in the peer's words."""
    machine = load_chip("spinnaker1-board")
    # Compiles the kernels, on a network that each stage has something to do for.
    map_network(network(300), machine, effort=effort, seed=SEED)
    runs = [map_network(axons, machine, effort=effort, seed=SEED) for _ in range(RUNS)]
    mapping = runs[0].mapping
    seconds = {name: statistics.median(run.seconds[name] for run in runs) for name in STAGES}
    assert mapping.tables is not None
    sizes = np.diff(mapping.tables.ptr)
    # Every core has neurons of one node.
    first = [int(np.flatnonzero(mapping.part == k)[0]) for k in range(mapping.parts)]
    return {
        "cores": mapping.parts,
        "nodes": dict(Counter(axons.node_of(number).name for number in first)),
        "total": int(sizes.sum()),
        "most": int(sizes.max()),
        "routers": int((sizes > 0).sum()),
        # The peer has no check of its own.
        "seconds": {
            stage: sum(seconds[one] for one in mine) for stage, (mine, _) in OF_STAGE.items()
        },
        "check": seconds["check"],
    }


def row(
    name: str, unit: str, ours: float | None, peer: float | None, how: str, peer_name: str = PEER
) -> dict[str, Any]:
    """A result; the goal is to need no more than the peer."""
    both = ours is not None and peer is not None
    return {
        "name": name,
        "ours": ours,
        "unit": unit,
        "goal": peer if both else None,
        "meets": ours <= peer if ours is not None and peer is not None else None,
        "peer": None if peer is None else peer_name,
        "peer_value": peer,
        "ratio": ours / peer if ours is not None and peer else None,
        "how": how,
    }


def network_rows(
    n: int, python: Path | None, with_data: bool, efforts: tuple[int, ...]
) -> list[dict[str, Any]]:
    axons = network(n)
    theirs = peer(axons, python, with_data) if python else None
    rows = []
    for effort in efforts:
        rows += effort_rows(axons, n, ours(axons, effort), theirs, effort)
    return rows


def effort_rows(
    axons: Axons, n: int, mine: dict[str, Any], theirs: dict[str, Any] | None, effort: int
) -> list[dict[str, Any]]:
    """Cores and entries against the peer's, and seconds, all and stage for stage."""
    name = f"{n:,} sources and {n:,} neurons, effort {effort}"
    how = f"{axons.synapses:,} synapses"
    cores: dict[str, int] = {}
    entries: dict[str, Any] = {}
    spent: dict[str, float] = {}
    by_cores = by_entries = by_seconds = f"; {missing_peer()}"
    if theirs is not None:
        cores = {k: v for k, v in theirs["cores"].items() if k != "monitors"}
        entries, stages = theirs["entries"], theirs["stages"]
        spent = {
            stage: sum(stages[one]["cpu"] for one in those)
            for stage, (_, those) in OF_STAGE.items()
        }
        wall = sum(stages[one]["wall"] for _, those in OF_STAGE.values() for one in those)
        data = stages["data specification"]
        after = f"; data specification {data['cpu']:.1f} s apart" if data["wall"] else ""
        by_cores = f"; peer by node: {list(cores.values())}, no monitors"
        by_seconds = (
            f"; {wall:.3f} s of the peer's wall time{after}; building the network "
            f"{theirs['build']['cpu']:.2f} s and import {theirs['import']['cpu']:.2f} s apart"
        )
    found = [
        row(
            f"cores, {name}",
            "1",
            mine["cores"],
            sum(cores.values()) if cores else None,
            f"{how}; ours by node: {list(mine['nodes'].values())}{by_cores}",
        )
    ]
    for key, title in (("total", "routing entries"), ("most", "entries of the fullest router")):
        if theirs is not None:
            by_entries = (
                f"; of the peer's: plain {entries['plain'][key]}, merged {entries['merged'][key]}, "
                f"pairs {entries['compressed'][key]}, its ordered covering "
                f"{entries['ordered covering'][key]}; on {entries['compressed']['routers']} routers"
            )
        value = entries["compressed"][key] if theirs is not None else None
        text = f"{how}; ours on {mine['routers']} routers{by_entries}"
        found.append(row(f"{title}, {name}", "entries", mine[key], value, text))
    note = f"{how}; the check of the result, {mine['check']:.3f} s, apart{by_seconds}"
    total = sum(spent.values()) if spent else None
    seconds = sum(mine["seconds"].values())
    whole = row(f"mapping, {name}", "CPU-s", seconds, total, note)
    found.append(fast(whole, effort == 0 and n >= LARGE_ENOUGH))
    for stage, (own, those) in OF_STAGE.items():
        text = f"{how}; our {' and '.join(own)}, the peer's {' and '.join(those)}"
        value = spent.get(stage)
        seconds = mine["seconds"][stage]
        timed = row(f"{stage}, {name}", "CPU-s", seconds, value, text)
        found.append(fast(timed, effort == 0 and n >= LARGE_ENOUGH and stage != "tables"))
    return found


def fast(result: dict[str, Any], goal: bool) -> dict[str, Any]:
    """The goal of seconds, where there is one, is a twentieth of the peer's.

    It is for 10,000 neurons and effort 0, which decides as much as the peer does: it cuts nodes in
    order and puts cores side by side. What effort 1 takes beside that is its own.
    """
    if not goal or result["peer_value"] is None:
        return {**result, "goal": None, "meets": None}
    most = result["peer_value"] / FASTER
    return {**result, "goal": most, "meets": result["ours"] <= most}


# --- tables ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Traffic:
    """Where the cores of a machine send to: each has ``routes`` routes of four neurons.

    ``nodes`` share the cores evenly and each reaches three others: ``all`` cores of one, two,
    three of them, some ``near`` the same place in one of them, or eight ``random`` cores.
    """

    name: str
    grid: tuple[int, int]
    nodes: int
    routes: int


TRAFFIC = (
    Traffic("all", (8, 6), 12, 3),
    Traffic("near", (8, 6), 12, 6),
    Traffic("random", (8, 6), 12, 2),
)
LARGE = Traffic("random", (12, 12), 24, 4)


def torus(columns: int, rows: int) -> Machine:
    """Boards of SpiNNaker without rim, 16 cores a chip, no limit to the tables."""
    bits = Quantity(32, "bits", "a word", "recalled")
    return Machine(
        "torus",
        "SpiNNaker, wrapped",
        "triads",
        (columns, rows),
        (1, 1),
        16,
        CoreLimits(),
        Encoding(bits, bits),
        multicast=True,
        mixed=False,
        inputs_on_cores=True,
        wraps=True,
    )


def tree(machine: Machine, origin: int, goals: list[int]) -> list[tuple[int, int]]:
    """Shortest ways, diagonal first, cut where one meets another."""
    columns, rows = machine.grid
    seen, links = {origin}, []
    for goal in goals:
        at = origin
        while at != goal:
            dx = (goal % columns - at % columns + columns // 2) % columns - columns // 2
            dy = (goal // columns - at // columns + rows // 2) % rows - rows // 2
            step = (int(np.sign(dx)), int(np.sign(dy)))
            if step not in STEPS["triads"]:
                step = (step[0], 0)
            x, y = at % columns + step[0], at // columns + step[1]
            to = y % rows * columns + x % columns
            if to not in seen:
                seen.add(to)
                links.append((at, to))
            at = to
    return links


def traffic_case(traffic: Traffic) -> tuple[Axons, Any, Routes, Machine]:
    """A network in its cores, with routes."""
    rng = np.random.default_rng(SEED)
    machine = torus(*traffic.grid)
    each, cores = machine.cores // traffic.nodes, machine.cores_per_router
    origins, links, sinks = [], [], []
    for node in range(traffic.nodes):
        reached = rng.choice(traffic.nodes, 3, replace=False)
        for core in range(each):
            origin = (node * each + core) // cores
            for k in range(traffic.routes):
                if traffic.name == "all":
                    goals = (reached[: k + 1, None] * each + np.arange(each)).ravel()
                elif traffic.name == "near":
                    near = np.clip(core + rng.integers(-3, 4, 4), 0, each - 1)
                    goals = np.unique(reached[k % 3] * each + near)
                else:
                    goals = np.unique(rng.integers(0, machine.cores, 8))
                origins.append(origin)
                sinks.append(np.sort(goals))
                links.append(tree(machine, origin, (goals // cores).tolist()))
    flat = np.array([link for way in links for link in way], np.int32).reshape(-1, 2)
    routes = Routes(
        np.repeat(np.arange(len(origins)), 4).astype(np.int32),
        np.array(origins, np.int32),
        np.cumsum([0, *map(len, links)]),
        flat[:, 0],
        flat[:, 1],
        np.cumsum([0, *(s.size for s in sinks)]),
        np.concatenate(sinks).astype(np.int32),
    )
    size = each * traffic.routes * 4
    nodes = tuple(Node(f"n{k}", k * size, size) for k in range(traffic.nodes))
    sources = size * traffic.nodes
    axons = Axons(nodes, sources, (), np.ones(sources, np.int64))
    part = np.repeat(np.arange(machine.cores), traffic.routes * 4).astype(np.int32)
    return axons, part, routes, machine


def table_rows(traffic: Traffic, python: Path | None) -> list[dict[str, Any]]:
    case = traffic_case(traffic)
    found = assign_keys(*case).lookups
    seconds = np.inf
    for _ in range(4):  # the first compiles the kernels
        start = time.process_time()
        ptr = table_kernels.minimise(
            found.ptr,
            found.key,
            found.mask,
            found.action,
            found.straight,
            table_kernels.FEWEST,
            1023,
        )[0]
        seconds = min(seconds, time.process_time() - start)
    sizes = np.diff(ptr)
    plain = int((~found.straight).sum())
    what = (
        f"{traffic.grid[0]} x {traffic.grid[1]} chips, {traffic.name} traffic, {traffic.nodes} "
        f"nodes, {traffic.routes} routes a core: {found.key.size:,} blocks, {plain:,} of them not "
        f"straight on; ours has {sizes.max()} on the fullest router"
    )
    name = f"{traffic.name} traffic on {sizes.size} routers"
    if python is None:
        return [
            row(f"entries, {name}", "entries", int(sizes.sum()), None, f"{what}; {missing_peer()}"),
            row(f"minimisation, {name}", "CPU-s", seconds, None, f"{what}; {missing_peer()}"),
        ]
    arrays = {
        "ptr": found.ptr,
        "key": found.key,
        "mask": found.mask,
        "straight": found.straight,
        "route": found.links[found.action].astype(np.int64)
        | found.cores[found.action].astype(np.int64) << 6,
    }
    theirs = run_peer(python, "tables", arrays)
    rows = []
    for which in ("pair", "ordered covering"):
        total, cpu = sum(theirs[which]["entries"]), theirs[which]["cpu"]
        text = f"{what}, the peer's {max(theirs[which]['entries'])}"
        if which == "pair":
            text += "; it keeps entries for packets that go straight on"
        by = f"{PEER}, {which}"
        rows.append(row(f"entries, {name}", "entries", int(sizes.sum()), total, text, by))
        rows.append(row(f"minimisation, {name}", "CPU-s", seconds, cpu, text, by))
    return rows


def whole_row(traffic: Traffic) -> dict[str, Any]:
    """Keys and tables together, against the second that we promise."""
    case = traffic_case(traffic)
    seconds = np.inf
    for _ in range(3):
        start = time.process_time()
        tables = key_tables(*case)
        seconds = min(seconds, time.process_time() - start)
    plain = np.diff(key_tables(*case, effort="plain").ptr)
    sizes = np.diff(tables.ptr)
    how = (
        f"{plain.size} routers of {int(plain.mean()):,} entries on average, of which "
        f"{int(sizes.mean()):,} stay; routes have nothing in common"
    )
    return {
        **row(f"keys and tables, {traffic.name} traffic", "CPU-s", seconds, None, how),
        "goal": 1.0,
        "meets": seconds < 1.0,
    }


def missing_peer() -> str:
    return (
        "sPyNNaker is not there: 'python bench/spinnaker.py --install', or name its Python in "
        "SPIKEC_SPYNNAKER_PYTHON"
    )


def measure(quick: bool, with_data: bool) -> dict[str, Any]:
    python = peer_python()
    results = []
    for n in SIZES[:1] if quick else SIZES:
        results += network_rows(n, python, with_data, EFFORTS[:1] if quick else EFFORTS)
    for traffic in TRAFFIC[:1] if quick else TRAFFIC:
        results += table_rows(traffic, python)
    if not quick:
        results.append(whole_row(LARGE))
    packages = ("spikec", "numpy", "numba")
    return measured(results, packages, SEED)


def table(found: dict[str, Any]) -> str:
    def number(x: float | None) -> str:
        return "-" if x is None else f"{x:,}" if isinstance(x, int) else f"{x:.3g}"

    lines = [f"{'':62} {'ours':>10} {'goal':>10} {'':6} {'peer':>10} {'unit':>8}"]
    verdict = {True: "met", False: "missed", None: ""}
    for r in found["results"]:
        lines.append(
            f"{r['name']:62} {number(r['ours']):>10} {number(r['goal']):>10} "
            f"{verdict[r['meets']]:6} {number(r['peer_value']):>10} {r['unit']:>8}  "
            f"{r['peer'] or ''}"
        )
        lines.append(f"  {r['how']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="the smallest cases, for a test")
    parser.add_argument("--install", action="store_true", help="make the peer's environment first")
    parser.add_argument("--data-specification", action="store_true", help="let the peer go on")
    arguments = parser.parse_args()
    if arguments.install:
        install()
    if peer_python() is None:
        print(missing_peer(), file=sys.stderr)
    found = measure(arguments.quick, arguments.data_specification)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
