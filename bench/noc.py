"""Copies of packets that the simulated interconnect delivers a CPU-second, and how far its estimate
is off.

Routers of one core on a mesh of 32 x 32, and of four cores on 8 x 4, hops of two cycles, buffers of
four packets of one flit. Each core has eight routes to eight others, or four on 8 x 4: anywhere
(uniform) or about three routers away along each axis (near). Spikes come in random cycles, so that
the busiest link would be busy for 10, 40 or 60 % of them; full buffers make some of these networks
saturate there. CPU-seconds are those of sending and running, in one thread; no routing, no set-up.
Without multicast every copy is a packet of its own; with it a spike is one packet, for eight cores
here. The peer of the simulation is the estimate from loads, of the same packets. Errors are those
of the mean latency, with a goal at 10 and 40 %, and of single copies.

    python bench/noc.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured

from spikec.boards.machine import CoreLimits, Encoding, Machine
from spikec.boards.quantity import Quantity
from spikec.compiler.mapping.mapping import Routes
from spikec.compiler.mapping.route import link_load, route
from spikec.compiler.mapping.traffic import Traffic
from spikec.compiler.noc.analytic import error, estimate
from spikec.compiler.noc.cycle import Network
from spikec.compiler.noc.fabric import Fabric
from spikec.compiler.noc.packets import Packets
from spikec.compiler.noc.trees import Ways

SEED = 31
GOAL, GOAL_ERROR = 2e6, 0.1
LOADS = {"low": 0.1, "middle": 0.4, "high": 0.6}
ROUTES = 8
NEAR = 3.0


@dataclass(frozen=True)
class Case:
    """A machine and its traffic."""

    name: str
    routers: tuple[int, int]
    cores: int
    targets: int
    near: bool
    multicast: bool = False


CASES = (
    Case("8 x 4, uniform", (8, 4), 4, 4, near=False),
    Case("32 x 32, near", (32, 32), 1, 8, near=True),
    Case("32 x 32, near, multicast", (32, 32), 1, 8, near=True, multicast=True),
    Case("32 x 32, uniform", (32, 32), 1, 8, near=False),
)


def machine(case: Case) -> Machine:
    bits = Quantity(8, "bits", "made up", "recalled")
    return Machine(
        name=case.name,
        title=case.name,
        topology="mesh",
        chips=(1, 1),
        routers=case.routers,
        cores_per_router=case.cores,
        core=CoreLimits(),
        encoding=Encoding(bits, bits),
        multicast=case.multicast,
    )


def targets(case: Case, origin: int, rng: np.random.Generator) -> list[int]:
    """Other cores that a route of core ``origin`` leads to."""
    columns, rows = case.routers
    x, y = origin // case.cores % columns, origin // case.cores // columns
    found: set[int] = set()
    while len(found) < case.targets:
        if case.near:
            a, b = np.rint(rng.normal((x, y), NEAR)).astype(int).tolist()
        else:
            a, b = int(rng.integers(columns)), int(rng.integers(rows))
        core = (a + b * columns) * case.cores + int(rng.integers(case.cores))
        if 0 <= a < columns and 0 <= b < rows and core != origin:
            found.add(core)
    return sorted(found)


def routed(case: Case, m: Machine) -> tuple[Traffic, Routes]:
    rng = np.random.default_rng(SEED)
    origin = np.repeat(np.arange(m.cores), ROUTES)
    target = [targets(case, int(core), rng) for core in origin]
    groups = Traffic(
        m.cores,
        np.arange(origin.size),
        origin.astype(np.int32),
        np.arange(origin.size + 1) * case.targets,
        np.concatenate(target).astype(np.int32),
        np.ones(origin.size, np.int64),
    )
    return groups, route(groups, m, np.arange(m.cores))


def packets(groups: Traffic, routes: Routes, m: Machine, copies: int, load: float) -> Packets:
    """About so many copies, in so many cycles that the busiest link has this load."""
    rng = np.random.default_rng(SEED)
    spikes = max(1, copies * routes.count // routes.sink.size)
    taken = rng.integers(0, routes.count, spikes)
    busiest = link_load(routes, m, np.bincount(taken, minlength=routes.count)).worst
    cycles = np.sort(rng.integers(0, max(1, round(busiest / load)), spikes))
    return Packets.of(cycles, taken, groups.origin[taken])


def results(case: Case, quick: bool) -> list[dict[str, Any]]:
    m = machine(case)
    groups, routes = routed(case, m)
    ways = Ways.along(routes, m)
    fabric = Fabric(m, 1e-9, hop_x=2, hop_y=2)
    estimate(fabric, ways, packets(groups, routes, m, 100, 0.1))  # compiles the kernels
    found = []
    for name, load in LOADS.items():
        sent = packets(groups, routes, m, 10_000 if quick else 1_000_000, load)
        seconds = guessing = np.inf
        for _ in range(1 if quick else 3):
            network = Network(fabric, ways)
            start = time.process_time()
            network.send(sent)
            arrivals = network.run()
            seconds = min(seconds, time.process_time() - start)
            start = time.process_time()
            guess = estimate(fabric, ways, sent)
            guessing = min(guessing, time.process_time() - start)
        use, apart = network.use(), error(arrivals, guess)
        speed, guessed = arrivals.count / seconds, arrivals.count / guessing
        found.append(
            {
                "name": f"delivered copies, {case.name}, {name} load",
                "ours": speed,
                "unit": "1/CPU-s",
                "goal": GOAL,
                "meets": bool(speed >= GOAL),
                "peer": "estimate from loads",
                "peer_value": guessed,
                "ratio": speed / guessed,
                "how": (
                    f"{arrivals.count:,} copies of {sent.count:,} spikes, "
                    f"{use.flits.sum() / arrivals.count:.1f} hops each, "
                    f"busiest link {use.busy.max() / network.now:.0%} busy over {network.now:,} "
                    f"cycles, {use.flits.sum() / seconds / 1e6:.1f} M hops a CPU-second, "
                    f"{seconds:.3f} CPU-s, estimate {guessing:.3f}"
                ),
            }
        )
        goal = None if name == "high" else GOAL_ERROR
        found.append(
            {
                "name": f"error of the estimate, {case.name}, {name} load",
                "ours": abs(apart.mean),
                "unit": "of the mean latency",
                "goal": goal,
                "meets": None if goal is None else bool(abs(apart.mean) <= goal),
                "peer": None,
                "peer_value": None,
                "ratio": None,
                "how": (
                    f"mean latency {arrivals.latency.mean():.1f} cycles, estimate "
                    f"{guess.latency.mean():.1f} ({apart.mean:+.1%}); copies are {apart.copy:.1%} "
                    f"off on average, 95 % of them less than {apart.q95:.1%}, at most "
                    f"{apart.most:.0%}"
                ),
            }
        )
    return found


def measure(quick: bool) -> dict[str, Any]:
    found = [result for case in CASES for result in results(case, quick)]
    return measured(found, ("spikec", "numpy", "numba"), SEED)


def table(found: dict[str, Any]) -> str:
    lines = []
    for r in found["results"]:
        speed = r["unit"] == "1/CPU-s"
        ours = f"{r['ours'] / 1e6:7.2f} M/CPU-s" if speed else f"{r['ours']:7.1%}"
        met = {True: "met", False: "MISSED", None: ""}[r["meets"]]
        lines += [f"{r['name']:60} {ours:>16} {met}", f"  {r['how']}"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="few packets: for a test")
    arguments = parser.parse_args()
    found = measure(arguments.quick)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
