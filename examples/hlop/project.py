r"""Learn a second task without forgetting the first: lateral Hebbian projection (HLOP).

After Xiao et al., ICLR 2024. Lateral neurons y = H x find, by a Hebbian rule, the directions in
which the inputs of the first task vary, and take them out of what the second task learns:

.. math::
    y = H x, \qquad r = x - H^T y, \qquad \Delta H = \eta\, y\, r^T, \qquad
    \Delta W = \eta_W\, (g - W x)\, r^T

The way back has the weights of the way there, transposed and negative: one projection tied to the
other. With ``--levels`` the lateral neurons send spikes: two populations, one for each sign of y,
count up to so many of them in a step for a y of 20, and the weights of one are minus the other's.
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
from spikec.ir.connections import Dense, OneToOne
from spikec.ir.diagnostics import SpikecError, fail
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection, Tied
from spikec.ir.neurons import LIF, Relay
from spikec.ir.plasticity import Hebbian, Plasticity
from spikec.ir.semantics import Reset, Semantics

Real = npt.NDArray[np.float64]

DT = 1e-3
CLIP = 20.0  # the largest y that spikes can say
ETA, ETA_TASK = 0.01, 0.02
GOALS = 5  # outputs of a task
NOISE = 0.02  # of inputs, beside the directions of their task
RAIL = 1e3  # of weights: far beyond what they reach


def real(value: Any) -> Real:
    """A number, or one for each neuron."""
    return np.asarray(value, np.float64)


def network(h: Real, w: Real, levels: int | None, *, first: bool, projected: bool) -> Graph:
    """The task W (goals, n) and the lateral neurons H (rank, n); H learns in the ``first`` task."""
    rank, n = h.shape
    x, y = (n,), (rank,)
    lateral = Plasticity(Hebbian(ETA, "residual", "lateral"), -RAIL, RAIL, learning=first)
    task = Plasticity(Hebbian(ETA_TASK, "residual" if projected else "x", "error"), -RAIL, RAIL)
    populations = [Population("lateral", y, Relay())]
    if levels is None:
        ways = [Projection("H", "x", "lateral", Dense(h), plasticity=lateral)]
    else:
        # A membrane that forgets within a step and rests half a threshold up: its spikes are S
        # over the threshold, rounded.
        unit = CLIP / levels
        cell = LIF(real(DT), real(1), real(unit / 2), real(unit))
        many = Semantics(max_spikes=levels, reset=Reset.ZERO)
        populations = [Population(name, y, cell, many) for name in ("up", "down")] + populations
        ways = [
            Projection("H", "x", "up", Dense(h), plasticity=lateral),
            Projection("-H", "x", "down", Dense(-h), tied=Tied("H", scale=-1.0)),
            Projection("+y", "up", "lateral", OneToOne(real(unit), y)),
            Projection("-y", "down", "lateral", OneToOne(real(-unit), y)),
        ]
    back = Tied("H", transpose=True, scale=-1.0)
    return Graph(
        "hlop",
        DT,
        (Input("x", x), Input("goal", (len(w),))),
        (
            *populations,
            Population("residual", x, Relay()),
            Population("output", (len(w),), Relay()),
            Population("error", (len(w),), Relay()),
        ),
        (
            *ways,
            Projection("x", "x", "residual", OneToOne(real(1), x)),
            Projection("back", "lateral", "residual", Dense(-h.T), tied=back),
            Projection("W", "x", "output", Dense(w), plasticity=task),
            Projection("goal", "goal", "error", OneToOne(real(1), (len(w),))),
            Projection("less", "output", "error", OneToOne(real(-1), (len(w),))),
        ),
        (Output("residual", "residual"), Output("error", "error")),
    )


@dataclass(frozen=True)
class Task:
    """Inputs from so many random directions, and the linear map that is to be learned."""

    inputs: Real  # (updates, n)
    goals: Real  # (updates, GOALS)

    @classmethod
    def random(cls, rng: np.random.Generator, updates: int, n: int, rank: int) -> Task:
        """Normal inputs in ``rank`` of n directions, and a little noise in all."""
        directions, _ = np.linalg.qr(rng.normal(size=(n, rank)))
        inputs = rng.normal(size=(updates, rank)) @ directions.T
        inputs = inputs + NOISE * rng.normal(size=inputs.shape)
        return cls(inputs, inputs @ rng.normal(size=(n, GOALS)) / np.sqrt(rank))

    def learned_by(self, graph: Graph) -> tuple[dict[str, Real], dict[str, Real]]:
        """Weights after all updates, one a step; residual and error in each."""
        lines = {"x": self.inputs, "goal": self.goals}
        stimulus = Stimulus({name: Events.from_dense(line[None]) for name, line in lines.items()})
        recording = run_golden(graph, stimulus)
        sent = {}
        for name, events in recording.spikes.items():
            sent[name] = np.zeros((events.steps, events.size))
            sent[name][events.step, events.index] = events.value
        return {name: shots[-1] for name, shots in recording.weights.items()}, sent


@dataclass(frozen=True)
class Result:
    """``residual``: what is left of the inputs of the first task, a share of their length.

    ``forgotten``: by how much the outputs of the first task change while the second is learned, and
    ``unprojected`` without the projection, shares of their length; ``error``: what is left of the
    error of the second task, a share of its goals.
    """

    residual: float
    forgotten: float
    unprojected: float
    error: float
    course: tuple[float, ...]

    @property
    def interference(self) -> float:
        """What is forgotten, a share of what would be."""
        return self.forgotten / self.unprojected


def length(values: Real) -> float:
    """Root of the mean square of rows."""
    return float(np.sqrt(np.mean(np.sum(values**2, axis=-1))))


def run(levels: int | None, n: int, rank: int, updates: int, seed: int) -> Result:
    """Two tasks, the second with and without the projection."""
    rng = np.random.default_rng(seed)
    first, second = (Task.random(rng, updates, n, rank) for _ in range(2))
    h = rng.normal(size=(rank, n)) / np.sqrt(10 * n)
    w = np.zeros((GOALS, n))
    weights, sent = first.learned_by(network(h, w, levels, first=True, projected=False))
    h, w = weights["H"], weights["W"]
    tail = slice(-max(updates // 10, 1), None)
    block = max(updates // 50, 1)
    course = [
        length(sent["residual"][k : k + block]) / length(first.inputs[k : k + block])
        for k in range(0, updates, block)
    ]
    changes, error = [], 0.0
    for projected in (False, True):
        graph = network(h, w, levels, first=False, projected=projected)
        weights, later = second.learned_by(graph)
        changes.append(length(first.inputs @ (weights["W"] - w).T) / length(first.inputs @ w.T))
        error = length(later["error"][tail]) / length(second.goals[tail])
    residual = length(sent["residual"][tail]) / length(first.inputs[tail])
    return Result(residual, changes[1], changes[0], error, tuple(course))


def plot(result: Result, updates: int) -> bytes:
    """The residual over the updates of the first task."""
    from matplotlib.figure import Figure

    from spikec.compiler.report.plots import style, to_bytes

    with style("hlop"):
        figure = Figure(figsize=(6, 3))
        axis = figure.subplots()
        axis.semilogy(np.linspace(0, updates, len(result.course)), result.course)
        axis.set_xlabel("updates")
        axis.set_ylabel("residual of the inputs")
        return to_bytes(figure, "hlop", "svg")


def main() -> int:
    """Learn two tasks; 1 where the first one suffers, or its inputs are not found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="of the inputs")
    parser.add_argument("--rank", type=int, default=10, help="directions of each task")
    parser.add_argument("--updates", type=int, default=2000, help="of each task")
    parser.add_argument("--levels", type=int, help="spikes for the largest y; without, real values")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="the course of the residual")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        if not (1 <= given.rank <= given.size and given.updates >= 1):
            raise fail("E0707", "a task has 1 to SIZE directions, and an update at least")
        if given.levels is not None and given.levels < 1:
            raise fail("E0707", f"{given.levels} levels; a spike has one at least")
        result = run(given.levels, given.size, given.rank, given.updates, given.seed)
        if given.plot is not None:
            need("matplotlib", "plot", "--plot")
            write_file(given.plot, plot(result, given.updates))
    except SpikecError as error:
        for line in error.diagnostics:
            print(line, file=sys.stderr)
        return 2
    good = result.residual <= 0.07 and result.interference <= 0.08
    if given.json:
        print(json.dumps(vars(result) | {"interference": result.interference}))
    else:
        print(f"residual of the first task's inputs   {result.residual:.4f}")
        print(f"error left of the second task         {result.error:.4f}")
        print(f"change of the first task's outputs    {result.forgotten:.4f}")
        print(f"  without the projection              {result.unprojected:.4f}")
        print(f"interference, a share of that         {result.interference:.4f}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
