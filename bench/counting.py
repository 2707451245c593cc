"""Synaptic events that a profile counts per CPU-second, beside SANA-FE, and the memory it takes.

10,000 neurons that integrate and fire, each with 100 synapses onto random others, in the order of
their numbers in ten cores of Loihi: on both sides one network, one architecture, one raster.
SANA-FE (package `sanafe`, of the extra `dev`) runs in its mode `simple`; both give the same counts,
and energies and times equal to 1e-9, or this raises. Each side has a process of its own. Memory is
what its peak grows by beyond that of a network of 60 neurons, with the kernels, and their chip.

* whole: the integer rung runs the network, and the profile counts, prices and times every step;
* counting: the same without running the network.

CPU-seconds are without set-up: no graph, no mapping, no compilation of kernels.

    python bench/counting.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured

from spikec.boards.chip import chip_names, load_chip
from spikec.compiler.integer.executor import Executor
from spikec.compiler.mapping.mapping import Mapping
from spikec.compiler.mapping.network import axons_of
from spikec.compiler.mapping.route import route
from spikec.compiler.mapping.traffic import traffic
from spikec.compiler.profile.profile import profile
from spikec.ir.connections import Sparse
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics

SEED = 11
NEURONS, FAN, STEPS = 10_000, 100, 200
CORE = 1024
THRESHOLD = 120
GOAL_EVENTS, GOAL_RATIO, GOAL_BYTES, GOAL_LOAD = 100e6, 50.0, 50.0, 0.5
COUNTS = ("spikes", "updates", "synaptic_operations", "packets_out", "hops")

Array = npt.NDArray[Any]


def network(neurons: int) -> tuple[Array, Array, Array]:
    """Targets (neurons, fan), weights of the same shape, and biases."""
    rng = np.random.default_rng(SEED)
    target = rng.integers(0, neurons - 1, (neurons, FAN), np.int32)
    weight = rng.integers(-5, 5, target.shape, np.int8)
    weight[weight >= 0] += 1
    target.sort(axis=1)
    return target, weight, rng.integers(1, 9, neurons)


def distinct(target: Array) -> npt.NDArray[np.bool_]:
    """Whether a target is not that of the synapse before it: there is one for each pair."""
    fresh = np.ones(target.shape, np.bool_)
    fresh[:, 1:] = target[:, 1:] != target[:, :-1]
    return fresh


# -- ours ------------------------------------------------------------------------------------------


def graph_of(neurons: int) -> Graph:
    target, weight, bias = network(neurons)
    fresh = distinct(target)
    ptr = np.concatenate([[0], np.cumsum(fresh.sum(axis=1))])
    synapses = Sparse(neurons, neurons, ptr, target[fresh], weight[fresh])
    zero = np.asarray(0)
    state = Format(24)
    cell = IntegerNeuron(
        numerics=Numerics(Format(8), state, 8, 32),
        source_model="LIF",
        scale=1.0,
        shift=0,
        decay_v=np.asarray(256),
        threshold=np.asarray(THRESHOLD),
        bias=bias,
        v_min=np.asarray(state.low),
        v_reset=zero,
        reset="zero",
        max_spikes=1,
    )
    nothing = np.zeros(0, np.int64)
    silent = Sparse(1, neurons, np.zeros(2, np.int64), nothing.astype(np.int32), nothing)
    return Graph(
        "common",
        1e-3,
        (Input("in", (1,)),),
        (Population("pop", (neurons,), cell),),
        (Projection("loop", "pop", "pop", synapses, 1), Projection("none", "in", "pop", silent, 1)),
        (Output("out", "pop"),),
    )


def seconds(run: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def profiled(neurons: int, steps: int) -> dict[str, Any]:
    """What a profile finds, and the CPU-seconds of the fastest of three."""
    graph, machine = graph_of(neurons), load_chip("loihi1")
    axons = axons_of(graph, machine, 8)
    part = (np.arange(neurons) // CORE).astype(np.int32)
    seat = np.arange(int(part.max()) + 1, dtype=np.int32)
    mapping = Mapping(machine, part, seat, route(traffic(axons, part), machine, seat))
    model, executor = machine.models["sanafe"], Executor(graph)
    silence = Stimulus({"in": Events.from_dense(np.zeros((1, steps, 1), np.int64))})
    runs, counts = [], []
    for _ in range(3):
        took, spikes = seconds(lambda: executor.run(silence, populations=["pop"], raw=True).spikes)
        runs.append(took)
        took, found = seconds(lambda spikes=spikes: profile(axons, mapping, model, spikes, ["pop"]))
        counts.append(took)
    return {
        "synapses": axons.synapses,
        "run": min(runs),
        "count": min(counts),
        "energy": found.energy,
        "time": found.latency,
    } | {name: found.totals[name] for name in COUNTS}


def ours(neurons: int, steps: int) -> dict[str, Any]:
    profiled(60, 5)  # compiles the kernels
    base = peak()
    found = profiled(neurons, steps)
    return found | {"bytes": (peak() - base) / found["synapses"]}


def peak() -> int:
    """The most bytes that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def loading() -> float:
    """Seconds for the slowest chip's file, read anew."""
    times = []
    for name in chip_names():
        load_chip.cache_clear()
        begin = time.perf_counter()
        load_chip(name)
        times.append(time.perf_counter() - begin)
    return max(times)


# -- SANA-FE ---------------------------------------------------------------------------------------


def simulated(neurons: int, steps: int) -> dict[str, Any]:
    """What SANA-FE's mode `simple` finds, and its CPU-seconds."""
    import sanafe

    target, weight, bias = network(neurons)
    fresh = distinct(target)
    arch = sanafe.load_loihi()
    net = sanafe.Network()
    group = net.create_neuron_group(
        "pop",
        neurons,
        model_attributes={"threshold": float(THRESHOLD), "reset": 0.0, "leak_decay": 1.0},
        soma_hw_name="loihi_lif",
        default_synapse_hw_name="loihi_sparse_synapse",
        default_dendrite_hw_name="loihi_dendrites",
    )
    for n in range(neurons):
        # Its tiles are counted down the columns of its grid of 8 x 4.
        router, core = divmod(n // CORE, 4)
        group[n].set_attributes(model_attributes={"bias": float(bias[n])})
        group[n].map_to_core(arch.tiles[router % 8 * 4 + router // 8].cores[core])
    for n in range(neurons):
        keep = fresh[n]
        for post, w in zip(target[n, keep].tolist(), weight[n, keep].tolist(), strict=True):
            group[n].connect_to_neuron(group[post], {"weight": float(w)})
    chip = sanafe.SpikingChip(arch)
    chip.load(net)
    took, found = seconds(lambda: chip.sim(steps, timing_model="simple", perf_trace=True))
    return {
        "synapses": int(fresh.sum()),
        "run": took,
        "energy": found["energy"]["total"],
        "time": found["sim_time"],
        "spikes": found["neurons_fired"],
        "updates": found["neurons_updated"],
        "synaptic_operations": found["spikes"],
        "packets_out": found["packets_sent"],
        "hops": sum(found["perf_trace"]["hops"]),
    }


def theirs(neurons: int, steps: int) -> dict[str, Any]:
    simulated(60, 5)
    base = peak()
    found = simulated(neurons, steps)
    return found | {"bytes": (peak() - base) / found["synapses"]}


def in_child(side: str, neurons: int, steps: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--side", side, str(neurons), str(steps)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


# -- results ---------------------------------------------------------------------------------------


def compared(us: dict[str, Any], them: dict[str, Any]) -> None:
    """Raise where the two sides differ."""
    for name in COUNTS:
        if us[name] != them[name]:
            raise SystemExit(f"{name}: {us[name]} here, {them[name]} in SANA-FE")
    for name in ("energy", "time"):
        if abs(us[name] / them[name] - 1) > 1e-9:
            raise SystemExit(f"{name}: {us[name]} here, {them[name]} in SANA-FE")


def row(
    name: str,
    value: float,
    unit: str,
    goal: float,
    meets: bool,
    how: str,
    peer: float | None = None,
    ratio: float | None = None,
) -> dict[str, Any]:
    return {
        "name": name,
        "ours": value,
        "unit": unit,
        "goal": goal,
        "meets": meets,
        "peer": None if peer is None else "SANA-FE, simple",
        "peer_value": peer,
        "ratio": ratio,
        "how": how,
    }


def measure(quick: bool) -> dict[str, Any]:
    neurons, steps = (1000, 40) if quick else (NEURONS, STEPS)
    us = in_child("ours", neurons, steps)
    them = None
    try:
        them = in_child("sanafe", neurons, steps)
    except subprocess.CalledProcessError as error:
        if "No module named 'sanafe'" not in error.stderr:
            raise SystemExit(error.stderr) from None
    if them is not None:
        compared(us, them)
    events = us["synaptic_operations"]
    peer = None if them is None else events / them["run"]
    said = (
        f"{neurons:,} neurons, {us['synapses']:,} synapses, {steps} steps, {events:,} events: "
        f"{us['run']:.3f} CPU-s to run, {us['count']:.3f} to count"
    )
    if them is not None:
        said += f"; SANA-FE {them['run']:.2f}; equal counts, energy and time"
    results = []
    for name, took in (("whole", us["run"] + us["count"]), ("counting", us["count"])):
        value = events / took
        ratio = None if peer is None else value / peer
        meets = value >= GOAL_EVENTS
        if name == "counting" and ratio is not None:
            meets &= ratio >= GOAL_RATIO
        results.append(
            row(
                f"synaptic events of a profile, {name}",
                value,
                "1/CPU-s",
                GOAL_EVENTS,
                meets,
                said + (f"; goal of the ratio {GOAL_RATIO:g}" if name == "counting" else ""),
                peer,
                ratio,
            )
        )
    per_synapse = us["bytes"]
    theirs_bytes = None if them is None else them["bytes"]
    results.append(
        row(
            "memory of a profile, graph and mapping with it",
            per_synapse,
            "bytes a synapse",
            GOAL_BYTES,
            per_synapse <= GOAL_BYTES,
            "growth of the peak beyond a network of 60 neurons",
            theirs_bytes,
            theirs_bytes / per_synapse if theirs_bytes is not None and per_synapse else None,
        )
    )
    load = loading()
    results.append(
        row(
            "loading a chip's file, the slowest",
            load,
            "s",
            GOAL_LOAD,
            load < GOAL_LOAD,
            "read anew",
        )
    )
    return measured(results, ("spikec", "numpy", "numba", "sanafe"), SEED)


def table(found: dict[str, Any]) -> str:
    lines = []
    for r in found["results"]:
        peer = (
            "" if r["peer_value"] is None else f"  peer {r['peer_value']:,.4g}, {r['ratio']:.1f} x"
        )
        lines.append(f"{r['name']:50} {r['ours']:>14,.4g} {r['unit']}, meets {r['meets']}{peer}")
        lines.append(f"  {r['how']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="a thousand neurons: for a test")
    parser.add_argument(
        "--side", nargs=3, metavar=("SIDE", "NEURONS", "STEPS"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.side is not None:
        side, neurons, steps = arguments.side
        run = {"ours": ours, "sanafe": theirs}[side]
        print("\n" + json.dumps(run(int(neurons), int(steps))))
        return
    found = measure(arguments.quick)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
