"""Profiles of networks whose power or energy somebody measured on the chip and published.

Nothing is fitted here: constants are those of the chips' files. Each case builds the network that
the publication describes, as far as it does, counts what a stimulus of the published rates causes,
and sets the model's figure beside the published one.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from spikec.boards.chip import load_chip
from spikec.boards.machine import Machine
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.mapping import Mapping as Placement
from spikec.compiler.mapping.route import route
from spikec.compiler.mapping.traffic import traffic
from spikec.compiler.profile.ledger import joules
from spikec.compiler.profile.profile import Profile, profile
from spikec.ir.events import Events


@dataclass(frozen=True)
class Point:
    """A published figure beside the model's; ``tolerance`` is by which share they may differ."""

    case: str
    what: str
    unit: str
    published: float
    predicted: float
    tolerance: float | None
    source: str

    @property
    def error(self) -> float:
        """predicted / published - 1."""
        return self.predicted / self.published - 1

    @property
    def meets(self) -> bool:
        """Whether the figure is within its tolerance, if it has one."""
        return self.tolerance is None or abs(self.error) <= self.tolerance


def placed(machine: Machine, axons: Axons, part: npt.NDArray[np.int64]) -> Placement:
    """Part k in core k, and the ways between them."""
    where = part.astype(np.int32)
    seat = np.arange(int(where.max()) + 1, dtype=np.int32)
    return Placement(machine, where, seat, route(traffic(axons, where), machine, seat))


def measured(
    axons: Axons, where: Placement, model: str, events: Mapping[str, Events], tick: float | None
) -> Profile:
    """The profile under a model of the chip."""
    return profile(axons, where, where.machine.models[model], events, (), tick=tick)


# -- Loihi: 32 chips that search for nearest neighbours (Frady et al. 2020) ------------------------

FRADY = "Frady et al. 2020 (Pohoiki Springs), a machine of 32 chips, as quoted in notes"
CHIPS, PATTERNS, STEPS = 32, 76_800, 60
# Spikes of a query: the fewest, the centre, the most.
QUERIES = 667, 708.5, 750
QUERY_JOULES, STEP_SECONDS = 1.33e-3, 5.8e-6


def nearest_neighbours(seed: int = 1) -> list[Point]:
    """Energy of a query: every input spike reaches all of 76,800 neurons, 2,400 on each chip.

    Each chip's own processor is taken to send the query's spikes into its mesh, so that the chips
    are 32 equal machines. Neurons are spread evenly over the 128 cores of a chip; spikes of a query
    come each from a line of its own, evenly over 60 steps. None of 76,800 is taken to spike.
    """
    machine, neurons = load_chip("loihi1"), PATTERNS // CHIPS
    points = []
    for count in QUERIES:
        lines = round(count)
        nodes = (Node("patterns", 0, neurons), Node("query", neurons, lines, lines=True))
        ptr = np.arange(lines + 1) * neurons
        target = np.tile(np.arange(neurons, dtype=np.int32), lines)
        bundle = Bundle("similarity", neurons, ptr, target, np.array(1, np.int32))
        axons = Axons(nodes, neurons, (bundle,), np.ones(neurons + lines, np.int64))
        where = placed(machine, axons, np.arange(neurons) * machine.cores // neurons)
        step = np.random.default_rng(seed).permutation(np.arange(lines) * STEPS // lines)
        query = Events.from_events(1, STEPS, lines, np.zeros(lines), step, np.arange(lines))
        found = measured(axons, where, "davies", {"query": query}, None)
        # A query of half a spike more or less: energies are linear in spikes.
        share = count / lines
        dynamic = [line for line in found.ledger if line.kind != "static"]
        quiet = joules(line for line in dynamic if line.count == "quiet_updates")
        energy = CHIPS * (quiet + share * (joules(dynamic) - quiet))
        points.append(
            Point(
                "loihi",
                f"energy of a query of {count:g} spikes",
                "J",
                QUERY_JOULES,
                energy,
                0.20 if count == QUERIES[1] else None,
                FRADY,
            )
        )
    # A barrier over 32 chips, not over the one that was counted.
    costs = machine.models["davies"]
    tiles = machine.cores // machine.cores_per_router
    rest = costs.barrier_time(CHIPS * tiles, machine.costs)
    step_time = float((found.lead + found.way).mean()) + rest
    points.append(Point("loihi", "time of a step", "s", STEP_SECONDS, step_time, None, FRADY))
    return points


# -- TrueNorth: a chip whose neurons fire at a rate (Akopyan et al. 2015) --------------------------

AKOPYAN = "Akopyan et al. 2015, IEEE TCAD 34(10), Fig. 17, 0.8 V, as quoted in notes"
HELD_OUT = 20.07, 71e-3  # Hz, W: the point that the model's line was not put through
FITTED = ((11.58, 68e-3), (95.93, 94e-3))
SYNAPSES, AXONS = 128, 256


def sweep(cores: int = 4096, ticks: int = 100, seed: int = 1) -> list[Point]:
    """Power of a chip: a million neurons, each with 128 synapses in another core, 1 ms a tick.

    With fewer ``cores`` their events are counted for all 4,096: neurons are alike.
    """
    machine = load_chip("truenorth")
    neurons = cores * AXONS
    rng = np.random.default_rng(seed)
    # Neuron n of a core drives axon n of another core, whose every second neuron has a synapse.
    core = rng.permutation(cores)[np.arange(neurons) // AXONS]
    ptr = np.arange(neurons + 1) * SYNAPSES
    half = 2 * np.arange(SYNAPSES, dtype=np.int32)
    target = (core[:, None] * AXONS + np.arange(neurons)[:, None] % 2).astype(np.int32) + half
    bundle = Bundle("crossbars", 0, ptr, target.ravel(), np.array(1, np.int32))
    del target
    axons = Axons((Node("neurons", 0, neurons),), neurons, (bundle,), np.ones(neurons, np.int64))
    where = placed(machine, axons, np.arange(neurons) // AXONS)
    points = []
    for hertz, watts in (FITTED[0], HELD_OUT, FITTED[1]):
        fired = np.flatnonzero(rng.random(ticks * neurons) < hertz * 1e-3)
        step, index = np.divmod(fired, neurons)
        spikes = Events.from_events(1, ticks, neurons, np.zeros(fired.size), step, index)
        found = measured(axons, where, "akopyan", {"neurons": spikes}, 1e-3)
        static = joules(line for line in found.ledger if line.kind == "static")
        rest = (found.energy - static) * 4096 / cores
        points.append(
            Point(
                "truenorth",
                f"power at {hertz} Hz" + ("" if hertz == HELD_OUT[0] else ", a point of the fit"),
                "W",
                watts,
                (static + rest) / found.latency,
                0.01,
                AKOPYAN,
            )
        )
    return points


# -- ODIN: a core that is never idle (Frenkel et al. 2019) -----------------------------------------

FRENKEL = "Frenkel et al. 2019, IEEE TBioCAS 13(1), 0.55 V, as quoted in notes"
CLOCKS = ((75e6, 477e-6), (1.3e6, 35e-6))  # Hz, W


def crossbar(steps: int = 50) -> list[Point]:
    """Power of a core all of whose 256 neurons spike in every step, to 256 synapses each."""
    points = []
    for hertz, watts in CLOCKS:
        machine = clocked(load_chip("odin"), hertz)
        ptr = np.arange(AXONS + 1) * AXONS
        target = np.tile(np.arange(AXONS, dtype=np.int32), AXONS)
        bundle = Bundle("crossbar", 0, ptr, target, np.array(1, np.int32))
        axons = Axons((Node("neurons", 0, AXONS),), AXONS, (bundle,), np.ones(AXONS, np.int64))
        where = placed(machine, axons, np.zeros(AXONS, np.int64))
        spikes = Events.from_dense(np.ones((1, steps, AXONS), np.int64))
        found = measured(axons, where, "frenkel", {"neurons": spikes}, None)
        power = found.energy / found.latency
        points.append(
            Point("odin", f"power at {hertz / 1e6:g} MHz", "W", watts, power, 0.01, FRENKEL)
        )
    return points


def clocked(machine: Machine, hertz: float) -> Machine:
    """The same chip at another clock, at the same voltage."""
    clock = replace(machine.costs["clock_frequency"], value=hertz)
    return replace(machine, costs=dict(machine.costs) | {"clock_frequency": clock})


CASES: dict[str, Callable[[], list[Point]]] = {
    "loihi": nearest_neighbours,
    "truenorth": sweep,
    "odin": crossbar,
}


def main() -> int:
    """Print all points, or those of one chip; 1 where one misses its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=sorted(CASES), help="one of the chips")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    points = [p for name, case in CASES.items() if options.only in (None, name) for p in case()]
    if options.json:
        rows = [asdict(p) | {"error": p.error, "meets": p.meets} for p in points]
        print(json.dumps({"points": rows}, indent=1))
    else:
        for p in points:
            scale, unit = (1e6, "u" + p.unit) if p.published < 1e-3 else (1e3, "m" + p.unit)
            bar = "" if p.tolerance is None else f"(within {p.tolerance:.0%}: {p.meets})"
            print(
                f"{p.case:10} {p.what:40} published {p.published * scale:8.3f} {unit}"
                f"  model {p.predicted * scale:8.3f} {unit}  {p.error:+7.2%} {bar}"
            )
    return 0 if all(p.meets for p in points) else 1


if __name__ == "__main__":
    sys.exit(main())
