"""What the PyNN front end costs beside the run that follows.

10,000 neurons with 100 synapses each, made by PyNN's connectors out of PyNN's random numbers: with
one probability for all pairs and shared weights and delays (fixed); with weights and delays of each
synapse drawn (drawn); with exactly 100 inputs each (number). Building is the script's own calls,
capturing turns them into a graph; the run is one second of the golden rung. CPU-seconds count this
process and the simulation's; a small network has run before, which compiles and loads what a run
needs. Memory is the peak of Python's allocations while building and capturing, by tracemalloc. The
peer of the time is pyNN.brian2, building the same network of a tenth of the neurons and ten of the
synapses: it takes one post cell after another.

    python bench/pynn.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
import tracemalloc
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured
from pyNN.random import NumpyRNG, RandomDistribution

from spikec.pynn.lanes import COMPACTS

SEED = 5
NEURONS, INPUTS, SECONDS = 10_000, 100, 1.0
GOAL_SHARE, GOAL_BYTES = 0.10, 50.0
CASES = ("fixed", "drawn", "number")


def build(sim: Any, case: str, neurons: int, inputs: int) -> tuple[Any, Any]:
    """A population that fires by itself, and its recurrent projection."""
    sim.setup(timestep=0.1)
    cells = sim.Population(neurons, sim.IF_curr_exp(i_offset=0.8), label="cells")
    cells.record("spikes")
    rng = NumpyRNG(seed=SEED)
    if case == "number":
        connector = sim.FixedNumberPreConnector(inputs, rng=rng)
    else:
        connector = sim.FixedProbabilityConnector(inputs / neurons, rng=rng)
    weight: Any = 0.01
    delay: Any = 1.5
    if case == "drawn":
        weight = RandomDistribution("uniform", (0.005, 0.015), rng=NumpyRNG(seed=SEED + 1))
        delay = RandomDistribution("uniform", (0.5, 3.0), rng=NumpyRNG(seed=SEED + 2))
    synapse = sim.StaticSynapse(weight=weight, delay=delay)
    return cells, sim.Projection(cells, cells, connector, synapse, receptor_type="excitatory")


def cpu() -> float:
    """CPU-seconds of this process and of those that it has waited for."""
    mine, theirs = (resource.getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN))
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def memory(case: str, neurons: int, inputs: int) -> float:
    """Bytes a synapse at the peak of building and capturing."""
    import spikec.pynn as sim

    build(sim, case, 20, 5)
    sim.capture()
    tracemalloc.start()
    _, projection = build(sim, case, neurons, inputs)
    sim.capture()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return float(peak / len(projection))


def front_end(case: str, neurons: int, inputs: int, seconds: float) -> list[dict[str, Any]]:
    """Time beside the run, and memory."""
    import spikec.pynn as sim

    cells, _ = build(sim, case, 20, 5)
    sim.run(10.0)
    cells.mean_spike_count()
    began = cpu()
    cells, projection = build(sim, case, neurons, inputs)
    built = cpu() - began
    began = cpu()
    sim.capture()
    captured = cpu() - began
    sim.run(seconds * 1e3)
    began = cpu()
    rate = cells.mean_spike_count() / seconds
    run = cpu() - began
    peer = neurons // 10, inputs // 10
    began = time.process_time()
    _, theirs = build(_peer(), case, *peer)
    each = (time.process_time() - began) / len(theirs)
    share = (built + captured) / run
    held = memory(case, neurons, inputs)
    # Cells are chosen in a tenth of the run where the processor has AVX-512 VBMI2, in an eighth
    # elsewhere.
    lanes = "" if case != "number" else f"; AVX-512 VBMI2: {'yes' if COMPACTS else 'no'}"
    return [
        {
            "name": f"front end beside the golden run, {case}",
            "ours": share,
            "unit": "of the run",
            "goal": GOAL_SHARE,
            "meets": bool(share <= GOAL_SHARE),
            "peer": "pyNN.brian2, building",
            "peer_value": each * len(projection) / run,
            "ratio": each * len(projection) / (built + captured),
            "how": (
                f"{len(projection)} synapses: built in {built:.2f}, captured in {captured:.3f}, "
                f"{seconds:g} s run in {run:.1f} CPU-s at {rate:.1f} spikes/s; pyNN.brian2 takes "
                f"{each * 1e6:.1f} us a synapse to build{lanes}"
            ),
        },
        {
            "name": f"peak memory of the front end, {case}",
            "ours": held,
            "unit": "B/synapse",
            "goal": GOAL_BYTES,
            "meets": bool(held <= GOAL_BYTES),
            "peer": None,
            "peer_value": None,
            "ratio": None,
            "how": f"building and capturing {len(projection)} synapses, by tracemalloc",
        },
    ]


def _peer() -> Any:
    import brian2

    brian2.prefs.codegen.target = "numpy"
    import pyNN.brian2 as sim

    return sim


def measure(quick: bool) -> dict[str, Any]:
    neurons, seconds = (1000, 0.1) if quick else (NEURONS, SECONDS)
    found = [r for case in CASES for r in front_end(case, neurons, INPUTS, seconds)]
    return measured(found, ("spikec", "PyNN", "Brian2", "numpy", "numba"), SEED)


def table(found: dict[str, Any]) -> str:
    lines = []
    for r in found["results"]:
        ours = f"{r['ours']:.1%}" if r["unit"] == "of the run" else f"{r['ours']:.1f} B/synapse"
        met = "met" if r["meets"] else "MISSED"
        lines += [f"{r['name']:50} {ours:>16} {met}", f"  {r['how']}"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="a small network: for a test")
    arguments = parser.parse_args()
    found = measure(arguments.quick)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
