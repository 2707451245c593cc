"""The ladder: running the rungs of an artefact on one stimulus."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any

import numpy as np

from ..ir.diagnostics import fail
from ..ir.events import Stimulus
from ..ir.graph import Graph
from ..ir.text import parse
from .artifact import Artifact
from .backend import Analogue, Batched, Outcome, Progress, Run, backend_of, find_rung, no_progress
from .compile import NETWORK, QUANTISED
from .integer.executor import Executor

INTEGER = "integer"


def network(artifact: Artifact) -> Graph:
    """The explicit real graph of an artefact."""
    return _graph(artifact, NETWORK)


def quantised(artifact: Artifact) -> Graph:
    """The quantised graph of an artefact; of a program, which is none, the real one."""
    return network(artifact) if is_program(artifact) else _graph(artifact, QUANTISED)


def is_program(artifact: Artifact) -> bool:
    """Whether an artefact is a program in real numbers, without an integer rung."""
    return artifact.manifest.get("kind") == "program"


def _graph(artifact: Artifact, name: str) -> Graph:
    if name not in artifact.files:
        raise fail("E0705", f"{name} is not in the artefact", hint="compile again")
    return parse(artifact.files[name].decode("utf-8", errors="replace"), name)


def learns(graph: Graph) -> bool:
    """Whether weights of a graph change in a run."""
    return any(p.plasticity is not None and p.plasticity.learning for p in graph.projections)


def state_words(graph: Graph) -> tuple[tuple[str, str], ...]:
    """Every state variable of a quantised graph, as (population, variable)."""
    found: list[tuple[str, str]] = []
    for population in graph.populations:
        first = sorted(population.state, key=lambda variable: variable != "v")
        found.extend((population.name, variable) for variable in first)
    return tuple(found)


def check_populations(graph: Graph, names: Sequence[str]) -> None:
    """E0707 for a population that a graph does not have."""
    known = {p.name for p in graph.populations}
    for name in names:
        if name not in known:
            raise fail("E0707", f"there is no population '{name}'; there are {sorted(known)}")


def run_rung(
    artifact: Artifact,
    rung: str,
    stimulus: Stimulus,
    *,
    populations: Sequence[str] | None = None,
    record: Sequence[tuple[str, str]] = (),
    seed: int = 1,
    learning: bool = True,
    pace: bool = False,
    pulses: bool = False,
    conditions: tuple[str, ...] = (),
    progress: Progress = no_progress,
    memory: MutableMapping[Any, Any] | None = None,
) -> Outcome:
    """Run one rung of ``artifact``; ``learning`` says whether plastic weights change.

    With ``pace`` it also says, if it can, what steps take on the hardware whose events are at hand,
    and with ``pulses`` whether those of a circuit are what the event-level model of its cells says.
    ``conditions`` are those of an analogue rung. ``memory`` spares further runs of the same
    artefact what a backend would do again.

    Raises E0306 with the rungs there are, E0702 for a stimulus of other inputs, E0703 for counts
    above those that the accumulators were proven for, E0707 for unknown populations, and for
    conditions of a rung that has none.
    """
    graph = quantised(artifact)
    if populations is None:
        populations = list(dict.fromkeys(o.source for o in graph.outputs))
    check_populations(graph, populations)
    _check_lines(graph, stimulus)
    if conditions and not takes_conditions(artifact, rung):
        raise fail(
            "E0707",
            f"the rung '{rung}' takes no --condition: it is the same under all conditions",
            hint="the rung 'circuit' of a network compiled for a crossbar or for SFQ circuits "
            "depends on them",
        )
    if rung == INTEGER and not is_program(artifact):
        _check_counts(artifact, graph, stimulus)
        recording = Executor(graph, seed).run(
            stimulus,
            populations=populations,
            record=record,
            learning=learning,
            progress=lambda share: progress(INTEGER, share),
        )
        return Outcome(recording)
    backend = find_rung(rung, str(artifact.manifest.get("backend", "")))
    if backend.targets():
        _check_counts(artifact, graph, stimulus)
    run = Run(
        artifact,
        stimulus,
        tuple(populations),
        tuple(record),
        seed,
        progress,
        learning=learning,
        pace=pace,
        pulses=pulses,
        conditions=conditions,
        memory=memory,
    )
    return backend.run(rung, run)


def run_chips(
    artifact: Artifact,
    rung: str,
    stimulus: Stimulus,
    seeds: Sequence[int],
    *,
    populations: Sequence[str],
    conditions: tuple[str, ...],
    memory: MutableMapping[Any, Any],
) -> Sequence[Outcome]:
    """`run_rung` with each of the seeds, all at once where the backend does that for less."""
    owner = backend_of(artifact)
    if len(seeds) > 1 and isinstance(owner, Batched):
        check_stimulus(artifact, stimulus)
        run = Run(artifact, stimulus, tuple(populations), conditions=conditions, memory=memory)
        outcomes: Sequence[Outcome] = owner.run_chips(rung, run, seeds)
        return outcomes
    return [
        run_rung(
            artifact,
            rung,
            stimulus,
            populations=populations,
            seed=seed,
            conditions=conditions,
            memory=memory,
        )
        for seed in seeds
    ]


def is_batched(artifact: Artifact) -> bool:
    """Whether chips of an artefact take less together than one by one."""
    return isinstance(backend_of(artifact), Batched)


def is_analogue(artifact: Artifact, rung: str) -> bool:
    """Whether a rung computes with currents, whose sums depend on conditions or on chance."""
    owner = backend_of(artifact)
    return rung in getattr(owner, "analogue", ())


def is_heavy(artifact: Artifact, rung: str) -> bool:
    """Whether a rung takes so long that it is left out unless it is named."""
    owner = backend_of(artifact)
    return rung in getattr(owner, "heavy", ())


def takes_conditions(artifact: Artifact, rung: str) -> bool:
    """Whether a rung is a chip under conditions."""
    owner = backend_of(artifact)
    return isinstance(owner, Analogue) and rung in owner.chips


def is_measured(artifact: Artifact, rung: str, conditions: Sequence[str] = ()) -> bool:
    """Whether a rung is only measured against others, and need not equal them.

    Those with real numbers: the golden one, simulators that step in ways of their own, and currents
    unless nothing about their hardware is other than ideal or left to chance.
    """
    if rung == "golden" or is_program(artifact):
        return True
    if conditions and takes_conditions(artifact, rung):
        return True
    exact = artifact.manifest.get("emission", {}).get("exact", False)
    return is_analogue(artifact, rung) and not exact


def check_stimulus(artifact: Artifact, stimulus: Stimulus) -> None:
    """E0702 for a stimulus of other inputs, E0703 for counts that the network was not made for."""
    graph = quantised(artifact)
    _check_lines(graph, stimulus)
    _check_counts(artifact, graph, stimulus)


def _check_lines(graph: Graph, stimulus: Stimulus) -> None:
    for node in graph.inputs:
        events = stimulus.inputs.get(node.name)
        if events is None or events.size != node.size:
            size = "nothing" if events is None else f"{events.size} lines"
            raise fail("E0702", f"input '{node.name}' has {node.size} lines, the stimulus {size}")


def _check_counts(artifact: Artifact, graph: Graph, stimulus: Stimulus) -> None:
    most = artifact.manifest.get("quantise", {}).get("input_max")
    if most is None:
        return
    for name, events in stimulus.inputs.items():
        largest = events.value.max(initial=0)
        if largest > most and not graph.signed(name):
            raise fail(
                "E0703",
                f"input '{name}' has a count of {largest:g} in one step; the network was compiled "
                f"for {most} at most",
                hint=f"counts up to {most}, or compile with --input-max {int(np.ceil(largest))} "
                "where the target counts so far",
            )
