r"""A liquid that an astrocyte keeps at a branching factor of one, after NALSM.

After Ivanov and Michmizos, NeurIPS 2021. 125 neurons stand in a cube, and neurons near each other
are connected; synapses from lines of Poisson spikes, and those of excitatory neurons, learn by
STDP. An astrocyte, one leaky neuron, compares the spikes of the liquid with those of the input, and
its state A is the amplitude of depression:

.. math:: A \leftarrow A + (w\,(n_\mathrm{liquid} - n_\mathrm{input}) + b - A) / \tau

So a liquid that fires more than its input is depressed more, and one that fires less is depressed
less. The branching factor here is what the astrocyte sees of it: spikes of the liquid for each
spike of the input. Without the astrocyte A is b, and nothing holds the liquid.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.backends.reference.golden import run_golden
from spikec.compiler.backend import need
from spikec.compiler.files import write_file
from spikec.ir.connections import Dense, Sparse
from spikec.ir.diagnostics import SpikecError, fail
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LI, CubaLIF
from spikec.ir.plasticity import PairSTDP, Plasticity
from spikec.ir.semantics import Semantics

Real = npt.NDArray[np.float64]

DT = 1e-3
SIDE = 5  # neurons along an edge of the cube
EXCITATORY = 0.8
LINES, RATE = 60, 30.0  # of the input, and Hz of each
DENSITY = 0.15  # share of the synapses from the input that are there
# C of P = C exp(-(D / 3)^2), by the kind of pre and of post, and weights.
REACH = {("e", "e"): 0.2, ("e", "i"): 0.1, ("i", "e"): 0.3, ("i", "i"): 0.05}
START, INHIBITION, MOST = 3.0, -3.0, 8.0
A_PLUS, TAU_STDP = 0.02, 20e-3
TAU, PULL = 0.1, 0.2  # of the astrocyte, s, and w of its equation


def real(value: Any) -> Real:
    """A number, or one for each neuron."""
    return np.asarray(value, np.float64)


def sparse(weight: Real) -> Sparse:
    """A matrix (post, pre) without its zeros."""
    pre, post = np.nonzero(weight.T)
    rows = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=weight.shape[1]))])
    return Sparse(weight.shape[1], weight.shape[0], rows, post.astype(np.int32), weight[post, pre])


def network(seed: int, astrocyte: bool, start: float = START) -> Graph:
    """The liquid, with weights that start at ``start``, and depression that the astrocyte scales or
    that has a fixed amplitude.
    """
    rng = np.random.default_rng(seed)
    place = np.stack(np.unravel_index(np.arange(SIDE**3), (SIDE,) * 3), axis=1)
    n = len(place)
    inhibitory = rng.permutation(n) >= round(EXCITATORY * n)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)
    kind = np.where(inhibitory, "i", "e")
    share = np.vectorize(lambda post, pre: REACH[pre, post])(kind[:, None], kind[None])
    there = rng.random((n, n)) < share * np.exp(-((distance / 3) ** 2))
    there &= ~np.eye(n, dtype=bool)
    excite = np.where(there & ~inhibitory[None], start, 0.0)
    inhibit = np.where(there & inhibitory[None], INHIBITION, 0.0)
    feed = np.where(rng.random((n, LINES)) < DENSITY, start, 0.0)
    # 1 of current is 1 of membrane a step: R dt / tau = 1.
    cell = CubaLIF(*map(real, (2e-3, 64e-3, 64.0, 0.0, 2.0, 20.0)))
    rule = PairSTDP(
        *(A_PLUS, 1.0 if astrocyte else A_PLUS, TAU_STDP, TAU_STDP),
        depression_by="astrocyte" if astrocyte else None,
    )
    plastic = Plasticity(rule, 0.0, MOST)
    glia = LI(real(TAU), real(1.0), real(A_PLUS))
    return Graph(
        "liquid",
        DT,
        (Input("lines", (LINES,)),),
        (
            Population("liquid", (n,), cell, Semantics(refractory=2)),
            Population("astrocyte", (1,), glia, Semantics(v_init=A_PLUS)),
        ),
        (
            Projection("feed", "lines", "liquid", sparse(feed), 1, plasticity=plastic),
            Projection("excite", "liquid", "liquid", sparse(excite), 1, plasticity=plastic),
            Projection("inhibit", "liquid", "liquid", sparse(inhibit), 1),
            Projection("+", "liquid", "astrocyte", Dense(np.full((1, n), PULL))),
            Projection("-", "lines", "astrocyte", Dense(np.full((1, LINES), -PULL))),
        ),
        (Output("liquid", "liquid"), Output("astrocyte", "astrocyte")),
    )


def script(seed: int, seconds: float, rate: float = RATE) -> Stimulus:
    """Poisson spikes on all lines, in one sample."""
    rng = np.random.default_rng([seed, 1])
    spikes = rng.random((1, round(seconds / DT), LINES)) < rate * DT
    return Stimulus({"lines": Events.from_dense(spikes.astype(np.int64))})


@dataclass(frozen=True)
class Course:
    """One run: the branching factor and the mean of A in each second, and the mean weights."""

    astrocyte: bool
    branching: tuple[float, ...]
    amplitude: tuple[float, ...]
    weights: dict[str, float]

    @property
    def end(self) -> float:
        """The branching factor of the last two seconds."""
        return float(np.mean(self.branching[-2:]))


def counts(events: Events) -> npt.NDArray[np.int64]:
    """Spikes in each step."""
    return np.bincount(events.step, minlength=events.steps)


def run(
    seed: int, seconds: int, astrocyte: bool, start: float = START
) -> tuple[Course, Stimulus, Recording]:
    """Learn for so many seconds on the golden rung."""
    stimulus = script(seed, seconds)
    graph = network(seed, astrocyte, start)
    recording = run_golden(graph, stimulus, record=[("astrocyte", "v")])
    liquid, lines = (
        counts(events).reshape(seconds, -1).sum(axis=1)
        for events in (recording.spikes["liquid"], stimulus.inputs["lines"])
    )
    # Without it the amplitude is what it is, whatever the astrocyte counts.
    a = recording.states["astrocyte", "v"][0, :, 0]
    a = a if astrocyte else np.full(a.shape, A_PLUS)
    course = Course(
        astrocyte,
        tuple((liquid / np.maximum(lines, 1)).tolist()),
        tuple(a.reshape(seconds, -1).mean(axis=1).tolist()),
        {name: float(w.mean()) for name, w in recording.weights.items()},
    )
    return course, stimulus, recording


def plot(courses: list[Course]) -> bytes:
    """The branching factor with and without the astrocyte."""
    from matplotlib.figure import Figure

    from spikec.compiler.report.plots import style, to_bytes

    with style("liquid"):
        figure = Figure(figsize=(6, 3))
        axis = figure.subplots()
        for course in courses:
            label = f"{'with' if course.astrocyte else 'without'} the astrocyte"
            axis.semilogy(np.arange(1, len(course.branching) + 1), course.branching, label=label)
        axis.axhline(1.0, linewidth=0.5, color="black")
        axis.set_xlabel("s")
        axis.set_ylabel("branching factor")
        axis.legend(frameon=False)
        return to_bytes(figure, "liquid", "svg")


def main() -> int:
    """Run the liquid with and without the astrocyte; 1 where it does not come to a factor of 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--start", type=float, default=START, help="weights at first, 0 to 8")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="the branching factors")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        if not (given.seconds >= 2 and 0 < given.start <= MOST):
            raise fail("E0707", f"it takes 2 seconds, and weights above 0, up to {MOST:g}")
        courses = [
            run(given.seed, given.seconds, astrocyte, given.start)[0] for astrocyte in (False, True)
        ]
        if given.plot is not None:
            need("matplotlib", "plot", "--plot")
            write_file(given.plot, plot(courses))
    except SpikecError as error:
        for line in error.diagnostics:
            print(line, file=sys.stderr)
        return 2
    without, held = courses
    if given.json:
        print(json.dumps({"without": vars(without), "with": vars(held)}))
    else:
        print("second   without    with the astrocyte, A")
        rows = zip(without.branching, held.branching, held.amplitude, strict=True)
        for second, (free, kept, a) in enumerate(rows, start=1):
            print(f"{second:6}   {free:7.3f}   {kept:6.3f}   {a:11.4f}")
        print(f"last two: {without.end:.3f} without, {held.end:.3f} with it")
    return 0 if abs(held.end - 1) <= 0.05 < abs(without.end - 1) else 1


if __name__ == "__main__":
    sys.exit(main())
