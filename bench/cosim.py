"""Co-simulation of PyCARL's networks: what interconnects do to spikes, and what finding out costs.

The three kernels of PyCARL's tests and the shapes of its applications, on the interconnects of
Loihi, TrueNorth and DYNAP-SE: software-only spikes (the integer rung, unpartitioned) beside those
that arrive when the interconnect delivers them. Each at the chip's own pace (Loihi's steps wait for
their packets) and with a tick of 1 us, in which a network of 1 ms steps runs a thousand times
faster than in life.

Kernels: 1 an Izhikevich neuron with Poisson spikes and a current, 2 800 that excite and 200 that
inhibit, joined at random and woken by volleys, 3 one-to-one synapses (which learn in PyCARL, and
keep their weights here: no chip's backend learns). Applications: LeNet and the MLP have their known
shapes; those of edge detection and heart-rate estimation are from memory, and their weights are
drawn at random, so that there is no task to be right at. What late spikes do to one is measured on
the trained digits network of `spikec demo` (extra `demo`), 200 of its test images. Chips have as
many chips as it takes, and no other limit than neurons: the fan-in of DYNAP-SE and the fan-out of
TrueNorth would refuse most.

CPU-seconds are of the runs alone; memory is the peak of arrays made in a run.

    python bench/cosim.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured

from spikec.backends.chips import backend
from spikec.backends.chips.cosim import TimedExecutor
from spikec.boards.board import Target
from spikec.boards.chip import load_chip
from spikec.boards.features import CHIP_FAMILIES
from spikec.boards.machine import CoreLimits, Machine
from spikec.compiler.compare import accuracy, compare
from spikec.compiler.compile import Compilation, compile_graph
from spikec.compiler.integer.executor import Executor
from spikec.compiler.noc.fabric import Fabric
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import (
    Chain,
    Connection,
    Conv2d,
    Dense,
    Flatten,
    OneToOne,
    Sparse,
    SumPool2d,
)
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LIF, Izhikevich, Neuron
from spikec.ir.semantics import Comparison, Reset, Semantics

SEED = 7
CHIPS = ("loihi1", "truenorth", "dynap-se")
DT = 1e-3
HURRIED = 1e-6  # seconds
RATE = 0.05  # spikes of an input line in a step
BIOLOGY = Semantics(reset=Reset.VALUE, comparison=Comparison.GREATER_EQUAL, v_init=-65.0)

Case = tuple[Graph, Stimulus]


# -- PyCARL's kernels ------------------------------------------------------------------------------


def izhikevich(d: float = 6.0) -> Neuron:
    a, b, c, after = (np.asarray(x) for x in (0.02, 0.2, -65.0, d))
    return Izhikevich(a, b, c, after, substeps=2)


def kernel_1(steps: int) -> Case:
    rng = np.random.default_rng(SEED)
    dense = np.zeros((1, steps, 2), np.int64)
    dense[0, :, 0] = rng.random(steps) < 50 * DT
    dense[0, min(100, steps // 2) :, 1] = 1
    graph = Graph(
        "kernel 1",
        DT,
        (Input("in", (2,)),),
        (Population("one", (1,), izhikevich(), BIOLOGY),),
        (Projection("p", "in", "one", Dense(np.array([[3.0, 70.0]])), 4),),
        (Output("out", "one"),),
    )
    return graph, Stimulus({"in": Events.from_dense(dense)})


def kernel_2(steps: int) -> Case:
    rng = np.random.default_rng(SEED)
    neurons, exciting = 1000, 800
    joined = rng.random((neurons, neurons)) < 0.1
    weight = np.where(np.arange(neurons) < exciting, 3.0, -3.0)[:, None] * joined
    pre, post = np.nonzero(weight)
    indptr = np.concatenate([[0], np.cumsum(joined.sum(axis=1))])
    loop = Sparse(neurons, neurons, indptr, post.astype(np.int32), weight[pre, post])
    dense = np.zeros((1, steps, neurons), np.int64)
    for volley in (5, 10, 15, 20):
        dense[0, volley] = rng.random(neurons) < 0.5
    graph = Graph(
        "kernel 2",
        DT,
        (Input("in", (neurons,)),),
        (Population("all", (neurons,), izhikevich(8.0), BIOLOGY),),
        (
            Projection("wake", "in", "all", OneToOne(np.asarray(30.0), (neurons,)), 1),
            Projection("loop", "all", "all", loop, 4, recurrent=True),
        ),
        (Output("out", "all"),),
    )
    return graph, Stimulus({"in": Events.from_dense(dense)})


def kernel_3(steps: int) -> Case:
    rng = np.random.default_rng(SEED)
    graph = Graph(
        "kernel 3",
        DT,
        (Input("in", (3,)),),
        (
            Population("pre", (3,), izhikevich(), BIOLOGY),
            Population("post", (3,), izhikevich(), BIOLOGY),
        ),
        (
            Projection("drive", "in", "pre", OneToOne(np.asarray(30.0), (3,)), 1),
            Projection("pairs", "pre", "post", OneToOne(np.asarray(30.0), (3,)), 1),
        ),
        (Output("out", "post"),),
    )
    return graph, Stimulus({"in": Events.from_dense(rng.random((1, steps, 3)) < 0.2)})


# -- the shapes of its applications ----------------------------------------------------------------


def layers(name: str, shape: tuple[int, ...], parts: list[Connection], steps: int) -> Case:
    """Leaky neurons behind each connection, as lively as the lines of the input."""
    rng = np.random.default_rng(SEED)
    one = np.asarray(1.0)
    cell = LIF(tau=np.asarray(20e-3), r=np.asarray(20.0), v_leak=np.asarray(0.0), v_threshold=one)
    populations, projections, before = [], [], "in"
    for k, part in enumerate(parts):
        after = f"layer {k + 1}"
        populations.append(Population(after, part.out_shape, cell))
        projections.append(Projection(f"w{k + 1}", before, after, part, 1))
        before = after
    graph = Graph(
        name,
        DT,
        (Input("in", shape),),
        tuple(populations),
        tuple(projections),
        (Output("out", before),),
    )
    lines = int(np.prod(shape))
    return graph, Stimulus({"in": Events.from_dense(rng.random((1, steps, lines)) < RATE)})


def drawn(shape: tuple[int, ...], fan_in: int) -> Any:
    """Weights that make a neuron of so many synapses about as lively as their sources."""
    rng = np.random.default_rng(SEED + fan_in)
    return rng.normal(1.0, 1.0, shape) * 1.5 / fan_in


def lenet(steps: int) -> Case:
    pooled = (6, 28, 28), (16, 10, 10)
    pools = [SumPool2d(shape, (2, 2), (2, 2)) for shape in pooled]
    parts: list[Connection] = [
        Conv2d(drawn((6, 1, 5, 5), 25), (1, 28, 28), padding=((2, 2), (2, 2))),
        Chain((pools[0], Conv2d(drawn((16, 6, 5, 5), 600), (6, 14, 14)))),
        Chain((pools[1], Flatten((16, 5, 5)), Dense(drawn((120, 400), 1600)))),
        Dense(drawn((84, 120), 120)),
        Dense(drawn((10, 84), 84)),
    ]
    return layers("LeNet", (1, 28, 28), parts, steps)


def mlp(steps: int) -> Case:
    return layers(
        "MLP", (784,), [Dense(drawn((100, 784), 784)), Dense(drawn((10, 100), 100))], steps
    )


def edges(steps: int) -> Case:
    same = ((1, 1), (1, 1))
    parts: list[Connection] = [
        Conv2d(drawn((1, 1, 3, 3), 9), (1, 64, 64), (2, 2), same),
        Conv2d(drawn((1, 1, 3, 3), 9), (1, 32, 32), padding=same),
        Conv2d(drawn((1, 1, 3, 3), 9), (1, 32, 32), padding=same),
    ]
    return layers("edge detection", (1, 64, 64), parts, steps)


def heart(steps: int) -> Case:
    """A reservoir of 64 that excite and 16 that inhibit, and one neuron that reads it."""
    graph, stimulus = layers(
        "heart rate", (2,), [Dense(drawn((80, 2), 2)), Dense(drawn((1, 80), 80))], steps
    )
    rng = np.random.default_rng(SEED)
    weight = np.abs(drawn((80, 80), 8)) * (rng.random((80, 80)) < 0.1)
    weight[:, 64:] *= -2
    loop = Projection("loop", "layer 1", "layer 1", Dense(weight), 1, recurrent=True)
    return replace(graph, projections=(*graph.projections, loop)), stimulus


def digits(steps: int) -> Case:
    """The demo's network, an image a sample; ``steps`` are as many as its images have."""
    from spikec.compiler.demo.digits import train_digits

    found = train_digits()
    some = found.test.take(20 if steps < 100 else 200)
    LABELS["digits"] = some.labels
    return found.graph, some.stimulus


# Of the last samples of a case that has a task.
LABELS: dict[str, Any] = {}
CASES: dict[str, Callable[[int], Case]] = {
    "kernel 1": kernel_1,
    "kernel 2": kernel_2,
    "kernel 3": kernel_3,
    "LeNet": lenet,
    "MLP": mlp,
    "edge detection": edges,
    "heart rate": heart,
    "digits": digits,
}


# -- measurement -----------------------------------------------------------------------------------


def roomy(name: str) -> Machine:
    """The chip with its neurons a core as its only limit, and as many chips as it takes."""
    machine = load_chip(name)
    assert machine.max_chips is not None
    return replace(
        machine,
        core=CoreLimits(neurons=machine.core.neurons),
        max_chips=replace(machine.max_chips, value=4096),
    )


def compiled(graph: Graph, machine: Machine) -> Compilation:
    target = Target.chip(machine, CHIP_FAMILIES[machine.family])
    return compile_graph(graph, backend, target, Quantise(weight_bits=8, state_bits=24))


def cost(run: Callable[[], Any]) -> tuple[float, int, Any]:
    """CPU-seconds of the faster of two runs, the peak of arrays in a third, and what it gives."""
    times = []
    for _ in range(2):
        begin = time.process_time()
        run()
        times.append(time.process_time() - begin)
    tracemalloc.start()
    found = run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return min(times), peak, found


def results_of(case: str, chip: str, steps: int) -> list[dict[str, Any]]:
    graph, stimulus = CASES[case](steps)
    machine = roomy(chip)
    done = compiled(graph, machine)
    assert done.axons is not None and done.mapping is not None
    mapping, quantised = done.mapping.mapping, done.quantised
    names = [p.name for p in quantised.populations]
    software = Executor(quantised)
    seconds, memory, wanted = cost(lambda: software.run(stimulus, populations=names))
    model = next(iter(machine.models.values()))
    fabric = Fabric.of(mapping.machine)
    own = None if model.pace != "tick" else round(DT / fabric.cycle)
    results = []
    for pace, tick in (("own pace", own), ("1 us a step", round(HURRIED / fabric.cycle))):
        timed = TimedExecutor(quantised, done.axons, mapping, fabric, tick, model=model)
        ours, peak, found = cost(lambda timed=timed: timed.timed(stimulus, populations=names))
        d = found.distortion
        differs = compare(wanted, found.recording, graph=quantised, stimulus=stimulus)
        changed = sum(p.mismatches for p in differs.populations)
        task = ""
        if case in LABELS:
            source = quantised.outputs[0].source
            right = [accuracy(r, source, LABELS[case]) for r in (wanted, found.recording)]
            task = f"; right {right[1][0]} of {right[1][1]}, software-only {right[0][0]}"
        results.append(
            {
                "name": f"co-simulation, {case}, {chip}, {pace}",
                "ours": ours,
                "unit": "CPU-s",
                "goal": None,
                "meets": None,
                "peer": "software-only, the integer rung",
                "peer_value": seconds,
                "ratio": seconds / ours if ours else None,
                "how": (
                    f"{quantised.neurons:,} neurons on {mapping.parts} cores of "
                    f"{mapping.machine.chip_count} chips, {stimulus.samples} x {stimulus.steps} "
                    f"steps, {d.copies:,} packets: latency "
                    f"{d.latency_mean * d.cycle * 1e9:.1f} ns, at most "
                    f"{d.latency_most * d.cycle * 1e9:.1f}; intervals distorted by "
                    f"{d.mean_absolute * d.cycle * 1e9:.2f} ns ({d.mean * d.cycle * 1e9:+.3f} with "
                    f"signs), disorder {d.disorder / max(d.copies, 1):.2%}, late "
                    f"{d.late / max(d.copies, 1):.2%} ({d.late_cores / max(d.copies, 1):.2%} by "
                    f"their core), dropped {d.dropped}; {changed} spikes "
                    f"differ{task}; memory {peak / 1e6:.2f} MB, software-only {memory / 1e6:.2f}"
                ),
            }
        )
    return results


def measure(quick: bool) -> dict[str, Any]:
    steps = 40 if quick else 1000
    cases = ("kernel 3", "MLP", "digits") if quick else tuple(CASES)
    results = [row for case in cases for chip in CHIPS for row in results_of(case, chip, steps)]
    return measured(results, ("spikec", "numpy", "numba"), SEED)


def table(found: dict[str, Any]) -> str:
    lines = []
    for r in found["results"]:
        times = r["ours"] / r["peer_value"] if r["peer_value"] else float("nan")
        lines.append(f"{r['name']:55} {r['ours']:8.3f} CPU-s, software-only times {times:.1f}")
        lines.append(f"  {r['how']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="three networks, 40 steps: for a test")
    arguments = parser.parse_args()
    found = measure(arguments.quick)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
