r"""A neuron that knows a pattern it was shown once: STDP, a teacher and synaptic scaling.

After Davies, Gait, Rowley and Di Nuovo, Neurocomputing 611, 2024. A pattern p is a volley: k of N
lines spike together. It is presented once, and a teacher makes the detector spike a step later.

* Every weight starts at -1, where it inhibits. The teacher's spike potentiates the lines that were
  in the volley, up to their rail, 1;
* the same spike scales all weights so that those that excite sum up to 1. So

.. math:: w_i = +1/k \text{ for } i \in p, \qquad -1/k \text{ else}.

* A volley x then drives the membrane from rest to

.. math:: v = \sum_i w_i x_i = 1 - d(x, p) / k

with d the Hamming distance, and with the threshold between :math:`1 - (m + 1)/k` and
:math:`1 - m/k` the detector spikes at the volleys within distance m of p, missing lines and others
too many alike, and at no other: the Hamming ball of radius m < k. With m = 0 that is p alone.

Detectors of many patterns share the lines; each has its own teacher and learns in its own sample.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from spikec.backends.reference.golden import run_golden
from spikec.compiler.backend import need
from spikec.compiler.files import write_file
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.compiler.report.style import INK, MUTED, WINNER, style, to_bytes
from spikec.ir.connections import Dense, OneToOne
from spikec.ir.diagnostics import Diagnostics, SpikecError, fail
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.homeostasis import Norm, Occasion, Scaling
from spikec.ir.neurons import LIF
from spikec.ir.plasticity import PairSTDP, Plasticity
from spikec.ir.semantics import Comparison, Semantics

Bits = npt.NDArray[np.bool_]  # patterns, lines
Real = npt.NDArray[np.float64]

DT = 1e-3
TAU = 10e-3  # s, of the membrane
LINES = 10
TEACHING = 2  # steps of a presentation: the volley, the teacher
RULE = PairSTDP(a_plus=4.0, a_minus=4.0, tau_plus=20e-3, tau_minus=20e-3)
LEARNS = Plasticity(RULE, -1.0, 1.0, scaling=Scaling(1.0, Occasion.SPIKE, Norm.POSITIVE))


def every_pattern(lines: int) -> Bits:
    """All volleys but the empty one, (2^N - 1, N), the first line being the highest bit."""
    numbers = np.arange(1, 1 << lines)
    return (numbers[:, None] >> np.arange(lines)[::-1]) & 1 > 0


def network(lines: int, detectors: int, weight: Real | None = None, h: Real | None = None) -> Graph:
    """Detectors that nobody has taught yet; with ``weight`` (detectors, lines) those that know.

    ``h`` is their threshold, else one that suits m = 0 whatever k is. A weight is a step of v.
    """
    if h is None:
        h = np.asarray(1.0 - 0.5 / lines)
    rules = Semantics(comparison=Comparison.GREATER_EQUAL)
    cell = LIF(np.asarray(TAU), np.asarray(TAU / DT), np.asarray(0.0), h)
    naive = weight is None
    start = np.full((detectors, lines), -1.0) if weight is None else weight
    # Stronger than all that the volley has left behind.
    teacher = OneToOne(np.asarray(lines + 2.0), (detectors,))
    return Graph(
        "one_shot_detector",
        DT,
        (Input("lines", (lines,)), *([Input("teacher", (detectors,))] if naive else [])),
        (Population("detectors", (detectors,), cell, rules),),
        (
            Projection(
                "known", "lines", "detectors", Dense(start), plasticity=LEARNS if naive else None
            ),
            *([Projection("taught", "teacher", "detectors", teacher)] if naive else []),
        ),
        (Output("out", "detectors"),),
    )


def presentations(taught: Bits, asked: Bits | None = None) -> tuple[Stimulus, list[bool]]:
    """A sample for each pattern with its teacher, one for each volley without; and which learn."""
    asked = np.zeros((0, taught.shape[1]), np.bool_) if asked is None else asked
    count = len(taught)
    volleys = np.zeros((count + len(asked), TEACHING, taught.shape[1]), np.int64)
    volleys[:, 0] = np.concatenate([taught, asked])
    each = np.arange(count)
    teacher = Events.from_events(len(volleys), TEACHING, count, each, np.ones_like(each), each)
    phases = [True] * count + [False] * len(asked)
    return Stimulus({"lines": Events.from_dense(volleys), "teacher": teacher}), phases


def teach(patterns: Bits) -> Real:
    """The weights (detectors, lines) that one presentation of each pattern leaves; golden rung."""
    stimulus, phases = presentations(patterns)
    graph = network(patterns.shape[1], len(patterns))
    return run_golden(graph, stimulus, learning=phases).weights["known"][-1]


def thresholds(weight: Real, tolerance: int) -> Real:
    r""":math:`1 - (m + 1/2)/k`, midway: sums of 1/k are rounded. 1/k is the largest weight."""
    return np.asarray(1.0 - (tolerance + 0.5) * weight.max(axis=1))


def answers(graph: Graph, asked: Bits, rung: str, weight_bits: int = 8) -> Bits:
    """Which detectors spike at which volley, (volleys, detectors)."""
    stimulus = Stimulus({"lines": Events.from_dense(asked[:, None, :].astype(np.int64))})
    if rung == "golden":
        spikes = run_golden(graph, stimulus).spikes["detectors"]
    else:
        options = Quantise(weight_bits=weight_bits, input_max=1)
        spikes = Executor(quantise(graph, options, Diagnostics())).run(stimulus).spikes["detectors"]
    found = np.zeros((len(asked), spikes.size), np.bool_)
    found[spikes.sample, spikes.index] = True
    return found


def distances(asked: Bits, patterns: Bits) -> npt.NDArray[np.int64]:
    """Hamming distances (volleys, patterns)."""
    return np.sum(asked[:, None, :] != patterns[None, :, :], axis=2)


def plot(weight: Real, asked: Bits, pattern: Bits, h: float, fired: Bits) -> bytes:
    """What every volley drives one detector to, by its distance from the pattern."""
    from matplotlib.figure import Figure

    drive = asked @ weight
    far = distances(asked, pattern[None])[:, 0]
    with style("detector"):
        figure = Figure(figsize=(7.0, 3.6))
        axis = figure.add_axes((0.1, 0.16, 0.86, 0.72))
        axis.axhline(h, color=MUTED, linestyle="--", linewidth=1.0)
        axis.annotate("threshold", (far.max(), h), ha="right", va="bottom", color=MUTED)
        for told, colour, label in ((False, INK, "silent"), (True, WINNER, "spikes")):
            these = fired == told
            axis.plot(far[these], drive[these], "o", color=colour, label=label, markersize=5)
        axis.legend(loc="lower left")
        axis.set_xlabel("Hamming distance from the pattern")
        axis.set_ylabel("v")
        axis.set_title(f"{len(asked):,} volleys, pattern {bits_of(pattern)}", loc="left")
        return to_bytes(figure, "detector", "svg")


def bits_of(pattern: Bits) -> str:
    """A pattern as zeros and ones."""
    return "".join("1" if bit else "0" for bit in pattern)


def parse_patterns(words: list[str]) -> Bits:
    """Patterns of zeros and ones, all of one length; E0707 for others."""
    lengths = {len(word) for word in words}
    if lengths - set(range(1, 13)) or len(lengths) != 1 or set("".join(words)) - set("01"):
        raise fail("E0707", "a pattern is 1 to 12 zeros and ones, as many in each")
    if len(set(words)) < len(words) or any("1" not in word for word in words):
        raise fail("E0707", "patterns differ, and each has a one: one detector learns one of them")
    return np.array([[bit == "1" for bit in word] for word in words])


def main(arguments: list[str] | None = None) -> int:
    """Teach, ask every volley, say who spiked; 1 where that is not what the definition says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("patterns", nargs="*", default=["1100101000"], metavar="PATTERN")
    parser.add_argument("--all", action="store_true", help=f"each pattern of {LINES} lines")
    parser.add_argument("--tolerance", type=int, default=0, metavar="M", help="distance accepted")
    parser.add_argument("--rung", choices=("golden", "integer"), default="golden", help="that asks")
    parser.add_argument("--weight-bits", type=int, default=8, help="of the integer rung")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="what drives the first one")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    try:
        patterns = every_pattern(LINES) if given.all else parse_patterns(given.patterns)
        few = int(patterns.sum(axis=1).min())
        if not 0 <= given.tolerance < few:
            raise fail(
                "E0707",
                f"tolerance is {given.tolerance}; it is 0 to {few - 1}: the smallest pattern has "
                f"{few} line(s), and silence must not be near enough",
            )
        asked = every_pattern(patterns.shape[1])
        weight = teach(patterns)
        h = thresholds(weight, given.tolerance)
        knows = network(patterns.shape[1], len(patterns), weight, h)
        found = answers(knows, asked, given.rung, given.weight_bits)
        if given.plot is not None:
            need("matplotlib", "plot", "--plot")
            picture = plot(weight[0], asked, patterns[0], float(h[0]), found[:, 0])
            write_file(given.plot, picture)
    except SpikecError as error:
        for line in error.diagnostics:
            print(line, file=sys.stderr)
        return 2
    wanted = distances(asked, patterns) <= given.tolerance
    wrong = int(np.sum(found != wanted))
    if given.json:
        results = {
            "detectors": len(patterns),
            "volleys": len(asked),
            "tolerance": given.tolerance,
            "rung": given.rung,
            "fired": int(found.sum()),
            "wrong": wrong,
        }
        print(json.dumps(results))
        return 1 if wrong else 0
    for k, pattern in enumerate(patterns[:4]):
        size = int(pattern.sum())
        weights = " ".join(f"{w:+.3g}" for w in weight[k])
        print(f"taught {bits_of(pattern)} once: k = {size}, weights {weights}")
        print(f"       spikes at {found[:, k].sum()} of {len(asked):,} volleys")
    if len(patterns) > 4:
        print(f"... and {len(patterns) - 4:,} more")
    print(
        f"{found.size:,} answers on the rung {given.rung}, {wrong} wrong: a detector spikes where "
        f"the distance is at most {given.tolerance}, and nowhere else"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
