"""A neuron of superconducting cells by weights that are probabilities, beside copies of pulses.

Junctions of both circuits for the same integer weights and least sum (the peer is that of copies,
which sums exactly; none where it is refused), and how far the rate of the one by weights is from
the exact probability, the largest of eight rates of the lines on the rung of events.

    python bench/sfq_weights.py [--json] [--quick]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import main, measured

from spikec.backends.sfq.rungs.events import Machines
from spikec.backends.sfq.rungs.execute import drives, spikes
from spikec.backends.sfq.synthesis.released import WEIGHTS, thinned
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.backends.sfq.synthesis.unit import Unit
from spikec.compiler.backend import find_target
from spikec.compiler.compile import pipeline
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold

SEED = 1
STEPS = 4000
RELEASE = 0.9  # of copies, each line in front of its copies
RATES = np.arange(1, 9) / 8
NEURONS = (
    ((3, 2, 1), 3),
    ((3, 2, 1), 1),
    ((7, 5, 3, 1), 8),
    ((7, -5, 3, -1), 4),
    ((7, 6, 5, 4, 3, 2, 1), 14),
)


def compiled(weight: tuple[int, ...], least: int, release: float | str) -> Program:
    """The circuit of one neuron."""
    graph = Graph(
        "neuron",
        1e-9,
        (Input("in", (len(weight),)),),
        (Population("out", (1,), Threshold(np.array([least - 0.5]))),),
        (Projection("lines", "in", "out", Dense(np.array([weight], np.float64))),),
        (Output("result", "out"),),
    )
    target = find_target("mitll-sfq5ee")[1]
    graph = run_pipeline(pipeline(Quantise(input_max=1)), graph, target, Diagnostics())
    return synthesise(graph, release={"lines": release})


def exact(weight: tuple[int, ...], least: int, rate: float) -> float:
    """The probability that what was released of lines of a rate fires the neuron."""
    neuron = thinned(Unit(np.array(weight), least))
    sums = np.array([1.0])
    for sign, p in zip(neuron.unit.weight.tolist(), neuron.release.tolist(), strict=True):
        ways = [0.0, 1 - p * rate, p * rate] if sign > 0 else [p * rate, 1 - p * rate, 0.0]
        sums = np.convolve(sums, ways if sign else [0.0, 1.0, 0.0])
    return float(sums[np.arange(sums.size) - len(weight) >= neuron.unit.threshold].sum())


def off(program: Program, weight: tuple[int, ...], least: int, steps: int) -> float:
    """The largest distance of a rate from the exact probability, of eight rates of the lines."""
    draw = np.random.default_rng(SEED).random((RATES.size, steps, len(weight)))
    given = Stimulus({"in": Events.from_dense((draw < RATES[:, None, None]).astype(np.int64))})
    trace = Machines(program.netlist).run(drives(program, given), SEED)
    found = spikes(program, "out", RATES.size, steps, trace.of).rates()[:, 0, 0]
    return max(
        abs(float(rate) - exact(weight, least, float(r)))
        for rate, r in zip(found, RATES, strict=True)
    )


def rows(weight: tuple[int, ...], least: int, quick: bool) -> list[dict[str, Any]]:
    """Junctions beside copies, and rates beside the formula."""
    ours = compiled(weight, least, WEIGHTS)
    junctions, said = None, list[str]()
    for title, release in (("copies", 1.0), (f"copies released with {RELEASE:g}", RELEASE)):
        try:
            copies = compiled(weight, least, release)
        except SpikecError as error:
            said.append(f"{title} are refused with {error.diagnostics[0].code}")
        else:
            said.append(f"{title} {copies.netlist.junctions}, {copies.period * 1e12:.0f} ps")
            junctions = copies.netlist.junctions if release == 1.0 else junctions
    steps = STEPS // 20 if quick else STEPS
    name = f"{', '.join(map(str, weight))} from {least} on"
    goal = 5 * float(np.sqrt(0.25 / steps))
    distance = off(ours, weight, least, steps)
    return [
        {
            "name": f"{name}: junctions",
            "ours": ours.netlist.junctions,
            "unit": "junctions",
            "goal": None,
            "meets": None,
            "peer": "copies of pulses",
            "peer_value": junctions,
            "ratio": None if junctions is None else junctions / ours.netlist.junctions,
            "how": f"by weights a step of {ours.period * 1e12:.0f} ps; {'; '.join(said)}",
        },
        {
            "name": f"{name}: rate off its probability",
            "ours": distance,
            "unit": "spikes a step",
            "goal": goal,
            "meets": distance <= goal,
            **dict.fromkeys(("peer", "peer_value", "ratio")),
            "how": f"{RATES.size} rates of all lines, {steps} steps each; five standard errors",
        },
    ]


def measure(quick: bool) -> dict[str, Any]:
    results = [row for weight, least in NEURONS for row in rows(weight, least, quick)]
    return measured(results, ("numpy", "numba"), SEED)


def line(row: dict[str, Any]) -> str:
    """A result for a person."""
    value = f"{row['ours']}" if row["unit"] == "junctions" else f"{row['ours']:.4f}"
    return f"{row['name']}: {value} ({row['how']})"


if __name__ == "__main__":
    main(measure, __doc__, f"{STEPS // 20} steps", line)
