"""Synaptic operations per CPU-second of a mapped network run core by core.

About 10,000 leaky neurons, once with 100 synapses each onto random others, once behind a
convolution, on Loihi with cores of at most 1024 and of 128 neurons (without its limits of axons
and memory, so that the number of cores is given by the neurons). The peer is the integer executor
on the unpartitioned network; both give the same recording, or this raises. CPU-seconds are those
of the simulation alone: no compilation, no mapping, no set-up.

    python bench/cores.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured

from spikec.backends.chips.execute import CoreExecutor
from spikec.boards.chip import load_chip
from spikec.boards.machine import CoreLimits, Machine
from spikec.compiler.integer.executor import Executor
from spikec.compiler.mapping.map import map_network
from spikec.compiler.mapping.network import axons_of
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.ir.connections import Connection, Conv2d, OneToOne, Sparse
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF

SEED = 20
NEURONS, FAN_OUT = 10_000, 100
IMAGE, CHANNELS = (8, 24, 24), 16
INPUT_SHARE = 0.1


@dataclass(frozen=True)
class Load:
    """A network and its stimulus; ``threshold`` says how busy it is, roughly."""

    name: str
    threshold: float
    steps: int


LOADS = (Load("busy", 90.0, 300), Load("sparse", 300.0, 500), Load("convolution", 20.0, 200))


def build(load: Load) -> tuple[Graph, Stimulus]:
    """The quantised network, every projection a step long, and its input spikes."""
    rng = np.random.default_rng(SEED)
    lines, neurons = NEURONS, NEURONS
    entry: Connection
    loop: Connection | None = None
    if load.name == "convolution":
        entry = Conv2d(
            rng.integers(-24, 25, (CHANNELS, IMAGE[0], 3, 3)).astype(np.float64),
            IMAGE,
            padding=((1, 1), (1, 1)),
        )
        lines, neurons = int(np.prod(IMAGE)), int(np.prod(entry.out_shape))
    else:
        entry = OneToOne(np.asarray(100.0), (NEURONS,))
        post = np.concatenate([rng.choice(NEURONS, FAN_OUT, replace=False) for _ in range(NEURONS)])
        weight = rng.integers(1, 25, post.size) * rng.choice([-1.0, 1.0], post.size)
        indptr = np.arange(0, post.size + 1, FAN_OUT)
        loop = Sparse(NEURONS, NEURONS, indptr, post.astype(np.int32), weight)
    tau, r, v_leak, threshold = (np.asarray(x) for x in (16e-3, 16.0, 0.0, load.threshold))
    graph = Graph(
        load.name,
        1e-3,
        (Input("in", (lines,)),),
        (Population("cells", (neurons,), LIF(tau, r, v_leak, threshold)),),
        (
            Projection("each", "in", "cells", entry, 1),
            *([] if loop is None else [Projection("loop", "cells", "cells", loop, 1)]),
        ),
        (Output("out", "cells"),),
    )
    dense = rng.random((1, load.steps, lines)) < INPUT_SHARE
    stimulus = Stimulus({"in": Events.from_dense(dense)})
    return quantise(graph, Quantise(weight_bits=8, state_bits=24), Diagnostics()), stimulus


def cut(neurons: int) -> Machine:
    """Loihi with so many neurons a core, and no other limit."""
    machine = load_chip("loihi1")
    assert machine.core.neurons is not None
    return replace(machine, core=CoreLimits(neurons=replace(machine.core.neurons, value=neurons)))


def best_seconds(executor: Executor | CoreExecutor, stimulus: Stimulus) -> tuple[float, Any, int]:
    """The fastest of three runs, its recording, and its synaptic operations."""
    executor.run(Stimulus({"in": stimulus.inputs["in"].shifted(0, 10)}))  # compiles the kernels
    best = np.inf
    for _ in range(3):
        before, start = executor.synaptic_operations, time.process_time()
        recording = executor.run(stimulus)
        best = min(best, time.process_time() - start)
    return float(best), recording, executor.synaptic_operations - before


def result(load: Load, capacity: int) -> dict[str, Any]:
    graph, stimulus = build(load)
    machine = cut(capacity)
    axons = axons_of(graph, machine, 8)
    mapping = map_network(axons, machine, effort=0).mapping
    executor = CoreExecutor(graph, axons, mapping)
    seconds, recording, operations = best_seconds(executor, stimulus)
    peer_seconds, wanted, _ = best_seconds(Executor(graph), stimulus)
    if recording != replace(wanted, rung=recording.rung):
        raise SystemExit(f"{load.name}: the cores differ from the integer executor")
    return {
        "name": f"synaptic operations, {load.name} network, cores of {capacity}",
        "ours": operations / seconds,
        "unit": "1/CPU-s",
        "goal": None,
        "meets": None,
        "peer": "integer executor, unpartitioned",
        "peer_value": operations / peer_seconds,
        "ratio": peer_seconds / seconds,
        "how": (
            f"{graph.neurons} neurons in {mapping.parts} cores, {executor.cores.synapses:,} "
            f"synapses, {load.steps} steps, {operations:,} operations in {seconds:.3f} CPU-s, "
            f"peer {peer_seconds:.3f}; equal recordings"
        ),
    }


def measure(quick: bool) -> dict[str, Any]:
    loads = [replace(load, steps=20) for load in LOADS] if quick else LOADS
    results = [result(load, capacity) for load in loads for capacity in (1024, 128)]
    packages = ("spikec", "numpy", "numba")
    return measured(results, packages, SEED)


def table(found: dict[str, Any]) -> str:
    lines = [f"{'':58} {'ours':>10} {'peer':>10} {'ratio':>6}"]
    for r in found["results"]:
        lines.append(
            f"{r['name']:58} {r['ours'] / 1e6:8.1f} M {r['peer_value'] / 1e6:8.1f} M "
            f"{r['ratio']:6.2f}"
        )
        lines.append(f"  {r['how']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="20 steps: for a test")
    arguments = parser.parse_args()
    found = measure(arguments.quick)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
