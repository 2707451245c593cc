"""Mapping of networks as large as a chip: packets, seconds, memory, places and routes.

Rows by name, for --only:

* a network (conv-97k, local-100k, random-100k, conv-1M): packets per spike, CPU-seconds and memory
  of its partition into cores of 1,024 neurons, beside METIS and mt-KaHyPar;
* greedy: the same of effort 0, beside neurons in their own order;
* limits: all of the mapping to Loihi 1 within every limit, and within that of in-axons alone;
* place: packets times hops, beside random places and those along a Hilbert curve;
* route: links of multicast trees by those of least trees (Steiner's), small cases.

Packets are counted by `_networks.py` from the definition. Each measurement has a process of its
own. `pip install 'spikec[metis]'` and `'spikec[mtkahypar]'` bring the peers; --peers adds the slow
runs of mt-KaHyPar (LARGE_K, and conv-1M), ten minutes at most each.

    python bench/mapping.py [--json] [--quick] [--only ROW ...] [--peers]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured
from _networks import NETWORKS, SEED, SMALL, Network, describe

from spikec.boards.chip import load_chip
from spikec.boards.machine import CoreLimits, Encoding, Machine
from spikec.boards.quantity import Quantity
from spikec.compiler.mapping.geometry import curve, distances, geometry
from spikec.compiler.mapping.route import route
from spikec.compiler.mapping.traffic import Traffic

TIMEOUT = 600.0
SCRIPT = Path(__file__).with_name("_mapping_case.py")
WARM = "compiled first, on small networks"
# Packets per spike, CPU-seconds and GB that are promised for parts of 1,024 neurons.
GOALS: dict[str, tuple[float, float, float | None]] = {
    "conv-97k": (0.79, 15.0, None),
    "local-100k": (11.9, 20.0, None),
    "random-100k": (31.3, 15.0, None),
    "conv-1M": (0.68, 60.0, 3.0),
}
NO_GOALS = (None, None, None)
GREEDY_SECONDS = 2.0
# Those of 100,000 neurons.
MIDDLE = ("conv-97k", "local-100k", "random-100k")
STEINER = 1.1
CASES, MOST_ENDS = 100, 7
Row = dict[str, Any]


# --- measurements ------------------------------------------------------------------------------


@dataclass
class Case:
    """A network in a folder, and what has been measured of it."""

    name: str
    network: Network
    folder: Path
    found: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    def run(self, *what: str) -> dict[str, Any]:
        """What `_mapping_case.py` prints, once for the same arguments; empty if out of time."""
        if what not in self.found:
            print(f"{self.name}: {' '.join(what)}", file=sys.stderr, flush=True)
            self.found[what] = self._run(*what)
        return self.found[what]

    def _run(self, *what: str) -> dict[str, Any]:
        command = [sys.executable, str(SCRIPT), what[0], str(self.folder), *what[1:]]
        try:
            # Ours is measured however long it takes.
            timeout = TIMEOUT if what[0] in ("metis", "kahypar") else None
            done = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            return {}
        if done.returncode:
            raise SystemExit(f"{self.name}, {' '.join(what)}:\n{done.stderr[-4000:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def ours(self, effort: int = 1) -> dict[str, Any]:
        return self.run("partition", "--limits", "neurons", "--effort", str(effort))


class Cases:
    """Networks by name, each drawn when it is first asked for."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder = folder
        self.networks = SMALL if quick else NETWORKS
        self.made: dict[str, Case] = {}

    def __getitem__(self, name: str) -> Case:
        if name not in self.made:
            folder = self.folder / name
            folder.mkdir()
            network = self.networks[name]()
            network.save(folder)
            self.made[name] = Case(name, network, folder)
        return self.made[name]

    def middle(self) -> list[str]:
        return [name for name in self.networks if name in MIDDLE or name in SMALL]


# --- rows --------------------------------------------------------------------------------------


def row(
    name: str,
    unit: str,
    ours: float,
    how: str,
    *,
    goal: float | None = None,
    peer: str | None = None,
    value: float | None = None,
) -> Row:
    """A result; less is better in all of them."""
    return {
        "name": name,
        "ours": ours,
        "unit": unit,
        "goal": goal,
        "meets": None if goal is None else ours <= goal,
        "peer": None if value is None else peer,
        "peer_value": value,
        "ratio": ours / value if value else None,
        "how": how,
    }


@dataclass(frozen=True)
class Peer:
    """Another partitioner: its module, the extra that brings it, how it is run."""

    title: str
    module: str
    extra: str
    run: tuple[str, ...]

    @property
    def missing(self) -> str:
        if importlib.util.find_spec(self.module) is not None:
            return ""
        return f"{self.title} is not there: pip install 'spikec[{self.extra}]'"


METIS = Peer("METIS", "pymetis", "metis", ("metis",))
KAHYPAR = Peer(
    "mt-KaHyPar deterministic",
    "mtkahypar",
    "mtkahypar",
    ("kahypar", "--preset", "deterministic"),
)
LARGE_K = Peer("mt-KaHyPar large k", "mtkahypar", "mtkahypar", ("kahypar", "--preset", "large_k"))


def peers_of(name: str, slow: bool) -> list[Peer]:
    # On the others mt-KaHyPar does not end within the time.
    if name == "conv-97k" or (name in SMALL and name.startswith("conv")):
        return [METIS, KAHYPAR, *([LARGE_K] if slow else [])]
    return [METIS, *([LARGE_K] if slow and name == "conv-1M" else [])]


def network_rows(cases: Cases, name: str, slow: bool) -> Iterator[Row]:
    case = cases[name]
    traffic, seconds, memory = GOALS.get(name, NO_GOALS)
    ours = case.ours()
    what = (
        f"{describe(case.network)}; {ours['cores']} cores of at most {ours['neurons']:,} neurons, "
        f"{ours['in_axons']:,} in-axons on the fullest"
    )
    for peer in peers_of(name, slow):
        theirs = {} if peer.missing else case.run(*peer.run)
        note = peer.missing or f"{peer.title} was stopped after {TIMEOUT:.0f} s"
        timing = memories = note
        if theirs:
            note = (
                f"{peer.title}: {theirs['cores']} cores of at most {theirs['neurons']:,} neurons, "
                f"{theirs['in_axons']:,} in-axons"
            )
            timing = f"what {peer.title} is given took {theirs['building']:.1f} s more to build"
            memories = f"{peer.title} with what it is given"
        yield row(
            f"packets per spike, {name}, against {peer.title}",
            "packets",
            ours["packets"],
            f"{what}; {note}",
            goal=traffic,
            peer=peer.title,
            value=theirs.get("packets"),
        )
        yield row(
            f"partition, {name}, against {peer.title}",
            "CPU-s",
            ours["seconds"],
            f"{describe(case.network)}; {WARM}; {timing}",
            goal=seconds,
            peer=peer.title,
            value=theirs.get("seconds"),
        )
        yield row(
            f"memory of the partition, {name}, against {peer.title}",
            "GB",
            ours["peak"] / 1e9,
            f"peak of the process: Python, numba's compiler and the network included; {memories}",
            goal=memory,
            peer=peer.title,
            value=theirs["peak"] / 1e9 if theirs else None,
        )


def greedy_rows(cases: Cases) -> Iterator[Row]:
    for name in cases.middle():
        case = cases[name]
        ours, best, own = case.ours(0), case.ours(), case.run("sequential")
        # Never worse than what takes no time at all.
        yield row(
            f"packets per spike, {name}, effort 0",
            "packets",
            ours["packets"],
            f"{describe(case.network)}; {ours['cores']} cores; effort 1 has {best['packets']:.3f}, "
            f"neurons in their own order, {own['cores']} cores, are the peer and the goal",
            goal=own["packets"],
            peer="own order",
            value=own["packets"],
        )
        yield row(
            f"partition, {name}, effort 0",
            "CPU-s",
            ours["seconds"],
            f"{WARM}; effort 1 takes {best['seconds']:.1f} s",
            goal=GREEDY_SECONDS if name in MIDDLE else None,
        )


def limits_rows(cases: Cases) -> Iterator[Row]:
    for name in cases.networks:
        case = cases[name]
        for limits in ("all", "in-axons") if name.startswith("local") else ("all",):
            found = case.run("map", "--limits", limits)
            title = f"{name} on loihi1, {'all limits' if limits == 'all' else limits + ' alone'}"
            binding = f"{found['used']:,} of {found['bound']:,} {found['binding']} at most"
            stages = ", ".join(f"{k} {v:.2f}" for k, v in found["stages"].items())
            yield row(
                f"faults, {title}",
                "faults",
                found["faults"],
                f"of compiler/mapping/check.py, which shares no code; nearest limit: {binding}",
                goal=0,
            )
            yield row(
                f"cores, {title}",
                "cores",
                found["cores"],
                f"{describe(case.network)}; for neurons alone {-(-case.network.neurons // 1024)}; "
                f"nearest limit: {binding}",
            )
            yield row(
                f"packets per spike, {title}",
                "packets",
                found["packets"],
                f"the check counts {found['counted']:.4f}; {found['hops']:.2f} hops per spike",
            )
            yield row(
                f"mapping, {title}",
                "CPU-s",
                found["seconds"],
                f"{stages}; {WARM}; {found['peak'] / 1e9:.2f} GB",
            )
            yield row(
                f"check, {title}",
                "CPU-s",
                found["check"],
                f"{describe(case.network)}, each limit, each link of each route",
            )


def place_rows(cases: Cases) -> Iterator[Row]:
    for name in cases.networks:
        case = cases[name]
        case.ours()  # leaves the parts
        found = case.run("place")
        spikes = int(case.network.rate.sum())
        what = (
            f"{found['cores']} cores on {found['chips'][0]} x {found['chips'][1]} chips of loihi1"
        )
        for peer, value, note in (
            ("random places", found["random"], "mean of ten seeds"),
            ("Hilbert curve", found["curve"], f"{found['curve_seconds']:.2f} CPU-s"),
        ):
            yield row(
                f"packets times hops, {name}, against {peer}",
                "hops/spike",
                found["ours"] / spikes,
                f"{what}; ours in {found['seconds']:.2f} CPU-s, {peer}: {note}",
                goal=value / spikes,
                peer=peer,
                value=value / spikes,
            )


# --- routes ------------------------------------------------------------------------------------


def grid(topology: Any, side: int = 8, **others: Any) -> Machine:
    bits = Quantity(32, "bits", "a word", "recalled")
    return Machine(
        topology, topology, topology, (1, 1), (side, side), 1, CoreLimits(),
        Encoding(bits, bits), multicast=True, **others,
    )  # fmt: skip


def least_tree(distance: Any, ends: list[int]) -> int:
    """The least links of a tree over the ends, by Dreyfus and Wagner (1971)."""
    rest, last = ends[:-1], ends[-1]
    best = np.full((1 << len(rest), distance.shape[0]), 1 << 40)
    for k, end in enumerate(rest):
        best[1 << k] = distance[end]
    for subset in range(1, 1 << len(rest)):
        if subset & (subset - 1):
            some = (subset - 1) & subset
            joined = best[subset]
            while some:
                joined = np.minimum(joined, best[some] + best[subset ^ some])
                some = (some - 1) & subset
            best[subset] = (joined[:, None] + distance).min(axis=0)
    return int(best[-1][last])


def tree_cost(machine: Machine, cases: int) -> tuple[int, int]:
    """Links of our trees, and of the least ones, of routes from one router to two to six."""
    rng = np.random.default_rng(SEED)
    nodes = geometry(machine)
    number = np.arange(nodes.form.nodes)
    distance = distances(nodes.form, nodes.table, number).astype(np.int64)
    ours = least = 0
    for _ in range(cases):
        ends = rng.permutation(curve(machine))[: int(rng.integers(3, MOST_ENDS + 1))]
        first = np.zeros(1, np.int32)
        others = np.arange(1, ends.size, dtype=np.int32)
        group = Traffic(
            ends.size, first, first, np.array([0, others.size]), others, np.ones(1, np.int64)
        )
        seats = ends.astype(np.int64) * machine.cores_per_router
        ours += int(route(group, machine, seats).start.size)
        least += least_tree(distance, ends.tolist())
    return ours, least


def route_rows(quick: bool) -> Iterator[Row]:
    cases = 40 if quick else CASES
    for title, machine, goal in (
        ("triads", grid("triads"), STEINER),
        ("triads that wrap", grid("triads", wraps=True), STEINER),
        ("a SpiNN-5 board", load_chip("spinnaker1-board"), STEINER),
        ("a torus", grid("torus"), STEINER),
        ("a mesh, turns of the odd-even model", grid("mesh"), STEINER),
    ):
        ours, least = tree_cost(machine, cases)
        yield row(
            f"links by those of least trees, {title}",
            "1",
            ours / least,
            f"{cases} random routes to 2 to {MOST_ENDS - 1} of the routers of 8 x 8: {ours} links, "
            f"least (Dreyfus and Wagner) {least}",
            goal=goal,
        )


# --- all ---------------------------------------------------------------------------------------


def sections(cases: Cases, quick: bool, slow: bool) -> dict[str, Callable[[], Iterator[Row]]]:
    found: dict[str, Callable[[], Iterator[Row]]] = {}
    for name in cases.networks:
        found[name] = lambda name=name: network_rows(cases, name, slow)  # type: ignore[misc]
    return {
        **found,
        "greedy": lambda: greedy_rows(cases),
        "limits": lambda: limits_rows(cases),
        "place": lambda: place_rows(cases),
        "route": lambda: route_rows(quick),
    }


def measure(quick: bool, only: list[str] | None = None, slow: bool = False) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        all_rows = sections(Cases(Path(folder), quick), quick, slow)
        unknown = set(only or ()) - all_rows.keys()
        if unknown:
            raise SystemExit(f"no row {sorted(unknown)}; there are {', '.join(all_rows)}")
        results = [result for name in only or all_rows for result in all_rows[name]()]
    return measured(results, ("spikec", "numpy", "numba", "pymetis", "mtkahypar"), SEED)


def table(found: dict[str, Any]) -> str:
    def number(x: float | None) -> str:
        return "-" if x is None else f"{x:,}" if isinstance(x, int) else f"{x:,.3f}"

    lines = [f"{'':66} {'ours':>9} {'goal':>9} {'':6} {'peer':>9} {'unit':10}"]
    verdict = {True: "met", False: "missed", None: ""}
    for r in found["results"]:
        lines.append(
            f"{r['name']:66} {number(r['ours']):>9} {number(r['goal']):>9} "
            f"{verdict[r['meets']]:6} {number(r['peer_value']):>9} {r['unit']:10} {r['peer'] or ''}"
        )
        lines.append(f"  {r['how']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="small networks, for a test")
    parser.add_argument("--only", action="append", metavar="ROW", help="some rows, see above")
    parser.add_argument("--peers", action="store_true", help="slow peers, too")
    arguments = parser.parse_args()
    found = measure(arguments.quick, arguments.only, arguments.peers)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
