r"""A reservoir of Izhikevich neurons that learns when: a readout peaks an interval after a cue.

The neurons of the reservoir differ, and go their own ways after the cue, the same ways each time.
A leaky readout sums them up; its error, and an attention gate, are the third factors of the rule:

.. math:: \Delta w_i = \eta\,(g(t) - v(t))\,G(t)\,e_i(t)

with e the trace of the spikes of a neuron, g the goal, a bump at the interval, and v the readout.
The gate is open while a trial is learned, and shut in the trials between, which only look. Then the
interval is another one, and the readout learns it over the old one.
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
from spikec.ir.connections import Dense, OneToOne, Sparse
from spikec.ir.diagnostics import SpikecError, fail
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LI, Izhikevich, Relay
from spikec.ir.plasticity import Plasticity, ThreeFactorSTDP
from spikec.ir.semantics import Decay, Semantics

Real = npt.NDArray[np.float64]

DT = 1e-3
CUE, HELD = 100, 5  # the step of the cue, and how many it lasts
TAU = 25e-3  # s, of the readout and of the traces
ETA = 2e-4
WIDTH = 0.08  # of the bump, its standard deviation over the interval
INHIBITORY = 0.2  # share of the neurons
SYNAPSES = 0.1  # share of the pairs of neurons


def real(value: Any) -> Real:
    """A number, or one for each neuron."""
    return np.asarray(value, np.float64)


def sparse(weight: Real) -> Sparse:
    """A matrix (post, pre) without its zeros."""
    pre, post = np.nonzero(weight.T)
    rows = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=weight.shape[1]))])
    return Sparse(weight.shape[1], weight.shape[0], rows, post.astype(np.int32), weight[post, pre])


def network(neurons: int, seed: int, eta: float = ETA) -> Graph:
    """The reservoir, its readout, and the error that modulates what the readout learns."""
    rng = np.random.default_rng(seed)
    # After Izhikevich, 2003: regular spiking to chattering, and fast spiking with low thresholds.
    inhibitory = np.arange(neurons) >= round((1 - INHIBITORY) * neurons)
    r = rng.random(neurons)
    cells = Izhikevich(
        a=np.where(inhibitory, 0.02 + 0.08 * r, 0.02),
        b=np.where(inhibitory, 0.25 - 0.05 * r, 0.2),
        c=np.where(inhibitory, -65, -65 + 15 * r**2),
        d=np.where(inhibitory, 2, 8 - 6 * r**2),
        substeps=2,
    )
    strength = np.where(inhibitory, -4.0, 1.0) * rng.random((neurons, neurons))
    loop = strength * (rng.random((neurons, neurons)) < SYNAPSES)
    drive = 2.0 + 6.0 * rng.random(neurons)
    asked = np.where(rng.random((neurons, 1)) < 0.3, 10.0, 0.0)
    exact = Semantics(decay=Decay.EXPONENTIAL)
    # A readout with this resistance is the sum of w e: the error then descends along the rule.
    readout = LI(real(TAU), real(TAU / DT), real(0))
    rule = ThreeFactorSTDP.delta(
        "error", eta=eta, tau_e=TAU, gate="gate", dendritic_delay_fraction=0.0
    )
    plastic = Plasticity(rule, -1.0, 1.0)
    one = OneToOne(real(1), (1,))
    return Graph(
        "what_when",
        DT,
        (Input("cue", (1,)), Input("goal", (1,)), Input("gate", (1,))),
        (
            Population("reservoir", (neurons,), cells, Semantics(v_init=-65.0)),
            Population("readout", (1,), readout, exact),
            Population("error", (1,), Relay()),
        ),
        (
            Projection("ask", "cue", "reservoir", Dense(asked), bias=drive),
            Projection("loop", "reservoir", "reservoir", sparse(loop), 1),
            Projection(
                *("learned", "reservoir", "readout"),
                *(Dense(np.zeros((1, neurons))), 1),
                plasticity=plastic,
            ),
            Projection("goal", "goal", "error", one),
            Projection("less", "readout", "error", OneToOne(real(-1), (1,))),
        ),
        (Output("when", "readout"), Output("reservoir", "reservoir")),
    )


@dataclass(frozen=True)
class Trial:
    """One presentation: an interval in steps, and whether the gate is open."""

    interval: int
    open: bool


def plan(intervals: tuple[int, int], trials: int) -> list[Trial]:
    """Each interval is learned for so many trials, and looked at after every fifth and the last."""
    found = [Trial(intervals[0], False)]
    for interval in intervals:
        for k in range(1, trials + 1):
            found.append(Trial(interval, True))
            if k % 5 == 0 or k == trials:
                found.append(Trial(interval, False))
    return found


def script(trials: list[Trial]) -> Stimulus:
    """Cue, goal and gate of all trials."""
    steps = CUE + round(1.3 * max(t.interval for t in trials))
    time = np.arange(steps) - CUE
    cue = np.zeros((len(trials), steps, 1), np.int64)
    cue[:, CUE : CUE + HELD] = 1
    goal = np.array(
        [np.exp(-0.5 * ((time - t.interval) / (WIDTH * t.interval)) ** 2) for t in trials]
    )
    gate = np.array([[int(t.open)] * steps for t in trials])
    gate[:, :CUE] = 0
    lines = {"cue": cue, "goal": goal[..., None], "gate": gate[..., None]}
    return Stimulus({name: Events.from_dense(line) for name, line in lines.items()})


@dataclass(frozen=True)
class Look:
    """Where the readout peaked in a trial that learned nothing, in steps from the cue."""

    interval: int
    trials: int  # of this interval, before
    peak: int

    @property
    def right(self) -> bool:
        """Within 10 % of the interval."""
        return abs(self.peak - self.interval) <= 0.1 * self.interval


def looks(trials: list[Trial], recording: Recording) -> list[Look]:
    """All trials with the gate shut."""
    peaks = recording.states["readout", "v"][:, CUE:, 0].argmax(axis=1).tolist()
    found, learned = [], 0
    for k, trial in enumerate(trials):
        learned = 0 if k and trial.interval != trials[k - 1].interval else learned
        learned += trial.open
        if not trial.open:
            found.append(Look(trial.interval, learned, peaks[k]))
    return found


def run(
    intervals: tuple[int, int], trials: int, neurons: int = 500, seed: int = 1, eta: float = ETA
) -> tuple[list[Look], Recording]:
    """Learn both intervals, one after the other, on the golden rung."""
    presented = plan(intervals, trials)
    graph = network(neurons, seed, eta)
    recording = run_golden(graph, script(presented), record=[("readout", "v")])
    return looks(presented, recording), recording


def main() -> int:
    """Learn an interval, then another; 1 where the readout peaks more than 10 % off."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=500)
    parser.add_argument("--interval", type=int, default=300, help="ms from the cue, learned first")
    parser.add_argument("--switch", type=int, default=200, help="ms, learned after it")
    parser.add_argument("--trials", type=int, default=20, help="of each interval")
    parser.add_argument("--eta", type=float, default=ETA, help="rate of learning")
    parser.add_argument("--seed", type=int, default=1, help="of the reservoir")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="the last trial")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    intervals = given.interval, given.switch
    try:
        sound = given.neurons >= 10 and given.trials >= 1 and min(intervals) >= 20
        if not (sound and max(intervals) <= 10_000 and intervals[0] != intervals[1]):
            raise fail(
                "E0707",
                "it takes 10 neurons, a trial, and two intervals of 20 to 10,000 ms that differ",
            )
        found, recording = run(intervals, given.trials, given.neurons, given.seed, given.eta)
        if given.plot is not None:
            need("matplotlib", "plot", "--plot")
            from spikec.compiler.report.plots import plot_recording

            last = recording.spikes["readout"].samples - 1
            write_file(given.plot, plot_recording([recording], sample=last))
    except SpikecError as error:
        for line in error.diagnostics:
            print(line, file=sys.stderr)
        return 2
    ends = [[look for look in found if look.interval == each][-1] for each in intervals]
    if given.json:
        told = [vars(look) for look in found]
        print(json.dumps({"looks": told, "peaks": [end.peak for end in ends]}))
    else:
        for look in found:
            verdict = "" if look.right else "   not yet"
            print(f"{look.interval} ms, after {look.trials:2} trials: peak {look.peak} ms{verdict}")
    return 0 if all(look.right for look in ends) else 1


if __name__ == "__main__":
    sys.exit(main())
