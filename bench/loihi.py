"""Steps per second of a network in Loihi's arithmetic: our integer rung beside Lava's simulation.

n inputs and n neurons, n of 100, 1,000 and 10,000; each input and each neuron has 50 synapses onto
random neurons, and about one neuron in fifty spikes in a step, as the inputs do. Besides, 300
inputs onto 300 neurons, all to all, by weights that learn. The same spikes and weights come out of
both, or no figure is printed. Seconds are of the wall: Lava uses a process for each population and
projection, we one thread. Both are the difference of a long and a short run, the fastest of three
each (of Lava's one with ``--quick``), so that starting, building and compiling are in neither;
Lava's recorders are, as without one there would be nothing to compare.

Lava is run by the Python that SPIKEC_LAVA_PYTHON names, or the one `make lava` made; without either
the peer is left out.

    python bench/loihi.py [--json] [--quick]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import main, measured

from spikec.backends.loihi.execute import supervised
from spikec.backends.loihi.program import RECORDING, STIMULUS, files
from spikec.backends.loihi.pythons import python_of
from spikec.compiler.integer.executor import Executor
from spikec.compiler.stimulus import LabelledStimulus, load_recording, stimulus_bytes
from spikec.ir.connections import Dense, Sparse
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.loihi import LoihiWeights, Sign
from spikec.ir.loihi_learning import LoihiPairSTDP
from spikec.ir.neurons import LoihiLIF
from spikec.ir.plasticity import Plasticity

SEED = 17
FAN_OUT, SHARE = 50, 0.02
SIZES, GOAL = (100, 1000, 10_000), 50.0  # the goal is for 1,000 neurons
SHORT, LONG = 100, 1100
LEARNS = 300
RUNS = 3  # of each length and simulator, of which the fastest counts


def network(size: int) -> Graph:
    rng = np.random.default_rng(SEED)
    words = LoihiWeights(8, Sign.MIXED, 0)

    def connection(low: int, high: int) -> Sparse:
        post = np.concatenate([rng.choice(size, FAN_OUT, replace=False) for _ in range(size)])
        weight = words.cut(rng.integers(low, high, size * FAN_OUT))
        indptr = np.arange(0, size * FAN_OUT + 1, FAN_OUT)
        return Sparse(size, size, indptr, post.astype(np.int32), weight)

    cell = LoihiLIF(np.array(1000), np.array(200), np.array(3500))
    links = (
        Projection("in-cells", "in", "cells", connection(-20, 120), 1, words=words),
        Projection("cells-cells", "cells", "cells", connection(-120, 100), 1, words=words),
    )
    population = Population("cells", (size,), cell)
    inputs = (Input("in", (size,)),)
    return Graph("bench", 1e-3, inputs, (population,), links, (Output("out", "cells"),))


def learning_network(size: int) -> Graph:
    rng = np.random.default_rng(SEED)
    words = LoihiWeights(8, Sign.EXCITATORY, 0)
    rule = LoihiPairSTDP(
        minus=-5, minus_exp=-5, plus=5, plus_exp=-5, tau_plus=20, tau_minus=20, seed=SEED
    )
    weight = Dense(rng.integers(0, 256, (size, size)))
    plasticity = Plasticity(rule, *words.rails)
    cell = LoihiLIF(np.array(1000), np.array(200), np.array(150 * size))
    link = Projection("in-cells", "in", "cells", weight, 1, words=words, plasticity=plasticity)
    inputs, population = (Input("in", (size,)),), Population("cells", (size,), cell)
    return Graph("learns", 1e-3, inputs, (population,), (link,), (Output("out", "cells"),))


def stimulus(size: int, steps: int) -> Stimulus:
    dense = np.random.default_rng(SEED).random((1, LONG, size)) < SHARE
    return Stimulus({"in": Events.from_dense(dense[:, :steps])})


def run_ours(graph: Graph, steps: int) -> tuple[float, Recording]:
    """Seconds of a run, the best of `RUNS`, and what it gave."""
    executor, given = Executor(graph), stimulus(graph.inputs[0].size, steps)
    executor.run(stimulus(graph.inputs[0].size, 5))  # compiles the kernels
    best = np.inf
    for _ in range(RUNS):
        executor.reset()
        start = time.perf_counter()
        recording = executor.run(given)
        best = min(best, time.perf_counter() - start)
    return best, recording


def run_lava(python: Path, graph: Graph, steps: int, runs: int) -> tuple[float, Recording]:
    """Seconds of a run, start and all, the best of ``runs``, and what it gave."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, content in files(graph).items():
            (place / name).write_bytes(content)
        given = LabelledStimulus(stimulus(graph.inputs[0].size, steps))
        (place / STIMULUS).write_bytes(stimulus_bytes(given))
        best = np.inf
        for _ in range(runs):
            start = time.perf_counter()
            supervised([str(python), "-W", "ignore", "network.py"], place)
            best = min(best, time.perf_counter() - start)
        return best, load_recording(place / RECORDING)


def equal(one: Recording, other: Recording) -> bool:
    """Whether spikes and learned weights are."""
    weights = one.weights.items()
    return one.spikes == other.spikes and all(
        np.array_equal(shots, other.weights[name]) for name, shots in weights
    )


def result(
    name: str, graph: Graph, python: Path | None, goal: float | None, runs: int
) -> dict[str, Any]:
    size = graph.inputs[0].size
    (short, _), (long, given) = (run_ours(graph, steps) for steps in (SHORT, LONG))
    spikes = given.spikes["cells"]
    ours = (LONG - SHORT) / max(long - short, 1e-9)
    peer = ratio = None
    how = f"{spikes.value.size / LONG / size:.1%} of the neurons spike in a step"
    if python is not None:
        lengths = (run_lava(python, graph, steps, runs) for steps in (SHORT, LONG))
        (slow, _), (slower, theirs) = lengths
        if not equal(given, theirs):
            raise SystemExit(f"{size} neurons: what Lava gives is not ours")
        peer = (LONG - SHORT) / max(slower - slow, 1e-9)
        ratio = ours / peer
        how += f"; {spikes.value.size} spikes, equal"
    return {
        "name": f"{size:,} neurons, {name}: steps per second, times Lava's",
        "ours": ours,
        "unit": "1/s",
        "goal": None if goal is None or peer is None else goal * peer,
        "meets": None if goal is None or ratio is None else ratio >= goal,
        "peer": "lava-nc 0.10, Loihi2SimCfg" if python is not None else None,
        "peer_value": peer,
        "ratio": ratio,
        "how": how if python is not None else f"{how}; make lava for the peer",
    }


def measure(quick: bool) -> dict[str, Any]:
    python = python_of()
    each, runs = f"{FAN_OUT} synapses each", 1 if quick else RUNS
    results = [
        result(each, network(size), python, GOAL if size == 1000 else None, runs)
        for size in (SIZES[:1] if quick else SIZES)
    ]
    learns = "all to all and learning"
    results.append(result(learns, learning_network(100 if quick else LEARNS), python, None, runs))
    return measured(results, ("numpy", "numba"), SEED)


def line(row: dict[str, Any]) -> str:
    """A result for a person."""
    beside = f", Lava {row['peer_value']:,.0f}: {row['ratio']:.0f} times" if row["peer"] else ""
    return f"{row['name']}: {row['ours']:,.0f}{beside} ({row['how']})"


if __name__ == "__main__":
    main(measure, __doc__, "100 neurons only, Lava once", line)
