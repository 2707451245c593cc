"""Synaptic events per CPU-second of the integer executor, against Brian2 on the same network.

4,000 leaky neurons, each with 100 synapses onto random others (delay of one step), and a spike
train of its own as input. A synaptic event is one spike arriving over one synapse, input synapses
included; CPU-seconds are those of the simulation alone: no compilation, no set-up.

    python bench/integer_executor.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured

from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.ir.connections import OneToOne, Sparse
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF

SEED = 20
NEURONS, FAN_OUT = 4000, 100
DT, TAU = 1e-3, 16e-3
GOAL = 200e6
INPUT_WEIGHT, INPUT_SHARE = 100.0, 0.1


@dataclass(frozen=True)
class Load:
    """A threshold and the share of neurons that it lets spike in a step, roughly."""

    name: str
    threshold: float
    steps: int


LOADS = (Load("busy", 90.0, 1000), Load("sparse", 300.0, 2000))


@dataclass(frozen=True)
class Measured:
    """What a simulator did: spikes of the population, synaptic events, CPU-seconds."""

    spikes: int
    events: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds


def build(load: Load) -> tuple[Graph, Stimulus]:
    """The real-valued network and its input spikes, the same for both simulators."""
    rng = np.random.default_rng(SEED)
    post = np.concatenate([rng.choice(NEURONS, FAN_OUT, replace=False) for _ in range(NEURONS)])
    weight = rng.integers(-24, 25, NEURONS * FAN_OUT).astype(np.float64)
    indptr = np.arange(0, NEURONS * FAN_OUT + 1, FAN_OUT)
    # R dt / tau = 1: a weight is the step of v that one spike makes.
    tau, r, v_leak, threshold = (np.asarray(x) for x in (TAU, TAU / DT, 0.0, load.threshold))
    cell = LIF(tau, r, v_leak, threshold)
    graph = Graph(
        load.name,
        DT,
        (Input("in", (NEURONS,)),),
        (Population("cells", (NEURONS,), cell),),
        (
            Projection("each", "in", "cells", OneToOne(np.asarray(INPUT_WEIGHT), (NEURONS,))),
            Projection(
                "loop",
                "cells",
                "cells",
                Sparse(NEURONS, NEURONS, indptr, post.astype(np.int32), weight),
                delay=1,
            ),
        ),
        (Output("out", "cells"),),
    )
    dense = rng.random((1, load.steps, NEURONS)) < INPUT_SHARE
    return graph, Stimulus({"in": Events.from_dense(dense)})


def run_ours(graph: Graph, stimulus: Stimulus) -> Measured:
    """The executor on the quantised network, best of three."""
    executor = Executor(quantise(graph, Quantise(weight_bits=8, state_bits=24), Diagnostics()))
    executor.run(Stimulus({"in": stimulus.inputs["in"].shifted(0, 20)}))  # compiles the kernels
    best: Measured | None = None
    for _ in range(3):
        before, start = executor.synaptic_operations, time.process_time()
        recording = executor.run(stimulus)
        seconds = time.process_time() - start
        events = executor.synaptic_operations - before
        found = Measured(int(recording.spikes["cells"].value.sum()), events, seconds)
        best = found if best is None or found.seconds < best.seconds else best
    assert best is not None
    return best


def brian_network(brian: Any, graph: Graph, stimulus: Stimulus) -> tuple[Any, Any]:
    """The same step in Brian2: v <- b v + S, spike above the threshold, S from the step before."""
    loop = graph.projections[1].connection
    assert isinstance(loop, Sparse)
    cell = graph.populations[0].neuron
    assert isinstance(cell, LIF)
    brian.defaultclock.dt = DT * brian.second
    cells = brian.NeuronGroup(
        NEURONS,
        "v : 1\ns : 1",
        threshold="v > limit",
        reset="v = 0",
        namespace={"limit": float(cell.v_threshold), "b": 1.0 - DT / TAU},
        name="cells",
    )
    cells.run_regularly("v = b * v + s\ns = 0", when="groups")
    events = stimulus.inputs["in"]
    source = brian.SpikeGeneratorGroup(NEURONS, events.index, events.step * DT * brian.second)
    each = brian.Synapses(
        source, cells, on_pre="s_post += weight", namespace={"weight": INPUT_WEIGHT}
    )
    each.connect(j="i")
    recurrent = brian.Synapses(cells, cells, "w : 1 (constant)", on_pre="s_post += w")
    recurrent.connect(i=np.repeat(np.arange(NEURONS), np.diff(loop.indptr)), j=loop.post)
    recurrent.w = loop.weight
    seen = brian.SpikeMonitor(cells, record=False)
    return brian.Network(cells, source, each, recurrent, seen), seen


def peer_events(spikes: int, stimulus: Stimulus) -> int:
    return spikes * FAN_OUT + int(stimulus.inputs["in"].value.sum())


def run_brian_numpy(graph: Graph, stimulus: Stimulus) -> Measured:
    import brian2 as brian

    brian.set_device("runtime")
    brian.prefs.codegen.target = "numpy"
    network, seen = brian_network(brian, graph, stimulus)
    network.run(DT * brian.second, namespace={})  # makes its code objects
    warm = int(seen.num_spikes)
    start = time.process_time()
    network.run((stimulus.steps - 1) * DT * brian.second, namespace={})
    seconds = time.process_time() - start
    return Measured(
        int(seen.num_spikes), peer_events(int(seen.num_spikes) - warm, stimulus), seconds
    )


def run_brian_standalone(graph: Graph, stimulus: Stimulus) -> Measured:
    """C++ with Brian2's own compiler flags, on one thread; the loop's time as its program has it.

    That time is a wall time: where the machine is busy, the CPU time of the whole program is less
    and is taken.
    """
    import brian2 as brian

    with tempfile.TemporaryDirectory() as folder:
        brian.set_device("cpp_standalone", build_on_run=False, directory=folder)
        brian.prefs.devices.cpp_standalone.openmp_threads = 0
        network, seen = brian_network(brian, graph, stimulus)
        network.run(stimulus.steps * DT * brian.second, namespace={})
        device = brian.get_device()
        device.build(folder, compile=True, run=False, with_output=False)
        spikes, best = 0, np.inf
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            device.run(folder, "results", with_output=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            best = min(best, cpu, float(device._last_run_time))
            spikes = int(seen.num_spikes)
        brian.device.reinit()
    brian.set_device("runtime")
    return Measured(spikes, peer_events(spikes, stimulus), best)


def result(load: Load, ours: Measured, peer: Measured, peer_name: str) -> dict[str, Any]:
    active = ours.spikes / load.steps / NEURONS
    apart = peer.spikes / ours.spikes - 1
    return {
        "name": f"synaptic events, {load.name} network, against {peer_name}",
        "ours": ours.rate,
        "unit": "1/CPU-s",
        "goal": GOAL,
        "meets": ours.rate >= GOAL,
        "peer": peer_name,
        "peer_value": peer.rate,
        "ratio": ours.rate / peer.rate,
        "how": (
            f"{NEURONS} neurons x {FAN_OUT} synapses, {load.steps} steps, {active:.1%} of the "
            f"neurons active a step; {ours.events:,} events in {ours.seconds:.3f} CPU-s, peer "
            f"{peer.events:,} in {peer.seconds:.3f}; spikes of the peer differ by {apart:+.2%}"
        ),
    }


def measure(quick: bool) -> dict[str, Any]:
    results = []
    for load in LOADS:
        chosen = Load(load.name, load.threshold, 100) if quick else load
        graph, stimulus = build(chosen)
        ours = run_ours(graph, stimulus)
        peer = run_brian_numpy(graph, stimulus)
        results.append(result(chosen, ours, peer, "Brian2 numpy"))
        if not quick and shutil.which("g++") and shutil.which("make"):
            peer = run_brian_standalone(graph, stimulus)
            results.append(result(chosen, ours, peer, "Brian2 C++ standalone"))
    packages = ("spikec", "numpy", "numba", "brian2")
    return measured(results, packages, SEED)


def table(found: dict[str, Any]) -> str:
    lines = [f"{'':58} {'ours':>12} {'peer':>12} {'ratio':>7} {'goal':>10}"]
    for r in found["results"]:
        verdict = "met" if r["meets"] else "missed"
        lines.append(
            f"{r['name']:58} {r['ours'] / 1e6:10.1f} M {r['peer_value'] / 1e6:10.1f} M "
            f"{r['ratio']:7.1f} {verdict:>10}"
        )
        lines.append(f"  {r['how']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="100 steps, no C++: for a test")
    arguments = parser.parse_args()
    # Brian2 and its compiler write to standard output, which belongs to the result.
    own = os.dup(1)
    os.dup2(2, 1)
    found = measure(arguments.quick)
    sys.stdout.flush()
    os.dup2(own, 1)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
