r"""A content-addressable memory that learns by STDP: a model of hippocampal CA3.

After Casanueva-Morato et al., Neural Networks 2024, who ran it on SpiNNaker. A memory is a cue, one
line of C, and its content, any of K lines. Two plastic projections, all to all, store it: from the
cues to the contents, and back. So it answers to a cue with the content, and to any part of a
content with the cues of all memories that have it. A cue that is learnt again forgets what it had.

* **learn**: cue and content spike for three steps;
* **recall**: a cue, or any lines of contents, spike for one step. After `ECHO` steps the outputs
  repeat the question, after `ANSWER` they have the answer.

Operations are `SPACING` steps apart. What it depends on is in ``network``: the delay of plastic
synapses is dendritic, a post spike that arrives with a pre spike depresses, and a pre spike sends
the weight that it leaves.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spikec.backends.reference.golden import run_golden
from spikec.compiler.backend import need
from spikec.compiler.files import write_file
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.compiler.passes.spinnaker import spinnaker
from spikec.ir.connections import Dense, OneToOne
from spikec.ir.diagnostics import Diagnostics, SpikecError, fail
from spikec.ir.dialects import DIALECTS
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import CubaLIF
from spikec.ir.plasticity import Coincidence, PairSTDP, Plasticity, Transmit

DT = 1e-3
REST = -60e-3  # V
TAU_SYN = 0.3e-3  # s
WEIGHT = 6e-9  # A, of most synapses, and the most that one learns
HELD = 3  # steps that cue and content are held to be learnt
ECHO, ANSWER = 5, 6  # steps from a question to its echo and its answer
SPACING = 14
TAIL = 10

RULE = PairSTDP(
    WEIGHT, WEIGHT, 3e-3, 3e-3, coincidence=Coincidence.DEPRESS, dendritic_delay_fraction=1.0
)


def cell(capacity: float, tau: float, threshold: float) -> CubaLIF:
    """IF_curr_exp of PyNN: F, s and V. Its synaptic current takes the weight as it is, in A."""
    values = (TAU_SYN, tau, tau / capacity, REST, TAU_SYN / DT, threshold, REST)
    return CubaLIF(*map(np.float64, values))


SLOW = cell(0.27e-9, 3e-3, -57e-3)
FAST = cell(0.14e-9, 0.5e-3, -57e-3)
OUT = cell(0.27e-9, 3e-3, -57.5e-3)


def network(cues: int, bits: int, rule: PairSTDP = RULE) -> Graph:
    """The memory for ``cues`` memories of ``bits`` lines of content."""
    cells = {
        "cue_cue": (cues, SLOW),
        "cue_content": (cues, FAST),
        "content_cue": (bits, SLOW),
        "content_content": (bits, SLOW),
        "condition": (bits, FAST),
        "condition_interneuron": (1, FAST),
        "merge_cue": (cues, SLOW),
        "merge_content": (bits, SLOW),
        "output_cue": (cues, OUT),
        "output_content": (bits, OUT),
    }
    sizes = {name: size for name, (size, _) in cells.items()} | {"cue": cues, "content": bits}
    semantics = replace(DIALECTS["pynn"].semantics, refractory=1, v_init=REST)
    found: list[Projection] = []

    def join(pre: str, post: str, connection: Any, delay: int, **more: Any) -> None:
        name = f"{pre} to {post}" + (" others" if more.pop("others", False) else "")
        found.append(Projection(name, pre, post, connection, delay, **more))

    def one(pre: str, post: str, weight: float, delay: int) -> None:
        join(pre, post, OneToOne(np.full(sizes[pre], weight), (sizes[pre],)), delay)

    def every(pre: str, post: str, weight: float, delay: int, **more: Any) -> None:
        join(pre, post, Dense(np.full((sizes[post], sizes[pre]), weight)), delay, **more)

    def others(pre: str, post: str, delay: int) -> None:
        weight = -WEIGHT * bits * (1 - np.eye(sizes[post]))
        join(pre, post, Dense(weight), delay, others=True)

    one("cue", "cue_cue", WEIGHT, 1)
    one("content", "content_cue", WEIGHT, 1)
    one("cue_cue", "cue_content", WEIGHT, 2)
    others("cue_cue", "cue_content", 3)
    others("cue_content", "cue_content", 2)
    one("content_cue", "condition", 1.5 * WEIGHT, 1)
    every("cue_cue", "condition", -WEIGHT, 2)
    every("content_cue", "condition_interneuron", WEIGHT, 1)
    every("condition_interneuron", "condition", WEIGHT / 3, 1)
    one("condition", "content_content", WEIGHT, 1)
    one("cue_cue", "merge_cue", WEIGHT, 3)
    one("cue_content", "merge_cue", WEIGHT, 1)
    one("content_cue", "merge_content", WEIGHT, 3)
    one("content_content", "merge_content", WEIGHT, 1)
    one("merge_cue", "output_cue", WEIGHT, 1)
    one("merge_content", "output_content", WEIGHT, 1)
    plastic = Plasticity(rule, 0.0, WEIGHT, transmit=Transmit.AFTER)
    every("cue_cue", "content_cue", 0.0, 1, plasticity=plastic)
    every("content_content", "cue_content", 0.0, 1, plasticity=plastic)
    return Graph(
        "ca3_memory",
        DT,
        (Input("cue", (cues,)), Input("content", (bits,))),
        tuple(Population(n, (size,), model, semantics) for n, (size, model) in cells.items()),
        tuple(found),
        tuple(Output(name, name) for name in cells),
        dialect="pynn",
    )


@dataclass(frozen=True)
class Learn:
    """Store ``content`` under ``cue``."""

    cue: int
    content: frozenset[int]


@dataclass(frozen=True)
class Recall:
    """Ask with a cue, or with lines of content."""

    cue: int | None = None
    content: frozenset[int] = frozenset()


Operation = Learn | Recall  # a step of a session


@dataclass(frozen=True)
class Phase:
    """Operations one after the other; without ``learning`` no weight changes."""

    operations: tuple[Operation, ...]
    learning: bool = True


def script(
    phases: Sequence[Phase], cues: int, bits: int, spacing: int = SPACING
) -> tuple[Stimulus, list[bool]]:
    """A sample for each phase, and whether it learns."""
    steps = max(len(phase.operations) for phase in phases) * spacing + TAIL
    cue = np.zeros((len(phases), steps, cues), np.int64)
    content = np.zeros((len(phases), steps, bits), np.int64)
    for sample, phase in enumerate(phases):
        for k, operation in enumerate(phase.operations):
            begin = k * spacing
            end = begin + (HELD if isinstance(operation, Learn) else 1)
            if operation.cue is not None:
                cue[sample, begin:end, operation.cue] = 1
            content[sample, begin:end, sorted(operation.content)] = 1
    inputs = {"cue": Events.from_dense(cue), "content": Events.from_dense(content)}
    return Stimulus(inputs), [phase.learning for phase in phases]


def run(
    graph: Graph, stimulus: Stimulus, learning: list[bool], rung: str, weight_bits: int = 8
) -> Recording:
    """The recording of a rung: golden, s1615 (SpiNNaker's), or integer of so many weight bits."""
    if rung == "golden":
        return run_golden(graph, stimulus, learning=learning)
    if rung == "s1615":
        return Executor(spinnaker(graph, Diagnostics())).run(stimulus, learning=learning)
    integers = quantise(graph, Quantise(weight_bits=weight_bits, input_max=1), Diagnostics())
    return Executor(integers).run(stimulus, learning=learning)


def fired(recording: Recording, population: str, sample: int, step: int) -> frozenset[int]:
    """The neurons of a population that spiked in a step."""
    events = recording.spikes[population]
    return frozenset(events.index[(events.sample == sample) & (events.step == step)].tolist())


def answers(
    phases: Sequence[Phase], recording: Recording, spacing: int = SPACING
) -> list[frozenset[int]]:
    """What each recall was answered with: content to a cue, cues to content."""
    found = []
    for sample, phase in enumerate(phases):
        for k, operation in enumerate(phase.operations):
            if isinstance(operation, Recall):
                asked = "output_cue" if operation.cue is None else "output_content"
                found.append(fired(recording, asked, sample, k * spacing + ANSWER))
    return found


def expected(phases: Sequence[Phase]) -> list[frozenset[int]]:
    """What each recall should be answered with."""
    stored: dict[int, frozenset[int]] = {}
    found = []
    for operation in (operation for phase in phases for operation in phase.operations):
        if isinstance(operation, Learn):
            stored[operation.cue] = operation.content
        elif operation.cue is not None:
            found.append(stored.get(operation.cue, frozenset()))
        else:
            found.append(frozenset(c for c, has in stored.items() if has & operation.content))
    return found


def session(cues: int, bits: int, density: float, seed: int) -> list[Phase]:
    """Learn a random content for each cue, and ask for each cue, each line and some fragments; then
    learn half of the cues anew, and ask for each cue.

    Questions do not learn: lines of several memories in one would tie these to each other. What was
    forgotten is weaker, not gone, on the way back: lines are not asked for again.
    """
    rng = np.random.default_rng(seed)

    def content() -> frozenset[int]:
        while True:
            chosen = np.flatnonzero(rng.random(bits) < density)
            if chosen.size:
                return frozenset(chosen.tolist())

    first = Phase(tuple(Learn(cue, content()) for cue in range(cues)))
    again = Phase(tuple(Learn(cue, content()) for cue in range(0, cues, 2)))
    by_cue = tuple(Recall(cue=cue) for cue in range(cues))
    lines = [frozenset([line]) for line in range(bits)]
    sizes = rng.integers(2, bits + 1, 5)
    parts = [frozenset(rng.permutation(bits)[:size].tolist()) for size in sizes]
    by_content = tuple(Recall(content=part) for part in (*lines, *parts))
    return [first, Phase((*by_cue, *by_content), False), again, Phase(by_cue, False)]


def show(phases: Sequence[Phase], got: Sequence[frozenset[int]]) -> None:
    """One line for each operation."""
    wanted, found = iter(expected(phases)), iter(got)
    for operation in (operation for phase in phases for operation in phase.operations):
        lines = " ".join(map(str, sorted(operation.content)))
        if isinstance(operation, Learn):
            print(f"learn  cue {operation.cue} = {lines}")
            continue
        want, have = next(wanted), next(found)
        question = f"content {lines}" if operation.cue is None else f"cue {operation.cue}"
        kind = "cues" if operation.cue is None else "content"
        verdict = "" if want == have else f"   WRONG, not {sorted(want)}"
        told = " ".join(map(str, sorted(have))) or "nothing"
        print(f"recall {question} -> {kind} {told}{verdict}")


def main() -> int:
    """Run a session and say what was answered; 1 where an answer is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cues", type=int, default=5)
    parser.add_argument("--bits", type=int, default=10, help="lines of content")
    parser.add_argument("--density", type=float, default=0.3, help="share of lines in a content")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rung", choices=("golden", "integer", "s1615"), default="integer")
    parser.add_argument("--weight-bits", type=int, default=8, help="of the integer rung")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="spikes while it is asked")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    try:
        if not (given.cues >= 1 and given.bits >= 2 and 0 < given.density <= 1):
            raise fail("E0707", "a memory has a cue or more, two lines or more, a density in 0..1")
        phases = session(given.cues, given.bits, given.density, given.seed)
        graph = network(given.cues, given.bits)
        stimulus, learning = script(phases, given.cues, given.bits)
        recording = run(graph, stimulus, learning, given.rung, given.weight_bits)
        if given.plot is not None:
            need("matplotlib", "plot", "--plot")
            from spikec.compiler.report.plots import plot_recording

            write_file(given.plot, plot_recording([recording], sample=1, graph=graph))
    except SpikecError as error:
        for line in error.diagnostics:
            print(line, file=sys.stderr)
        return 2
    got, wanted = answers(phases, recording), expected(phases)
    right = sum(a == b for a, b in zip(got, wanted, strict=True))
    if given.json:
        print(json.dumps({"recalls": len(got), "right": right, "rung": given.rung}))
    else:
        show(phases, got)
        print(f"{right} of {len(got)} recalls right, on the rung {given.rung}")
    return 0 if right == len(got) else 1


if __name__ == "__main__":
    sys.exit(main())
