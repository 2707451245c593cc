"""Verbs that run an artefact: run, verify."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...boards.quantity import engineering
from ...ir.diagnostics import fail
from ...ir.events import Recording, Stimulus
from ...ir.graph import Graph
from ...ir.neurons import LoihiNeuron
from ..artifact import Artifact, load_artifact
from ..backend import Outcome, find_rung, rungs_of
from ..compare import accuracy
from ..compare import compare as compare_recordings
from ..files import write_file
from ..ladder import (
    check_populations,
    is_heavy,
    is_measured,
    is_program,
    learns,
    network,
    quantised,
    run_rung,
    state_words,
    takes_conditions,
)
from ..reporting import ladder_report
from ..stimulus import LabelledStimulus, load_stimulus, recording_writer
from .console import Report
from .options import (
    conditions_option,
    json_option,
    learning_option,
    output_option,
    samples_option,
    seed_option,
    steps_option,
    stimulus_option,
)

folder_argument = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))


def golden_recording(graph: Graph, stimulus: Stimulus, progress: Any) -> Recording:
    """Run an uncompiled graph on the golden rung."""
    from ...ir.text import text
    from ..backend import Run, find_rung
    from ..compile import NETWORK

    artifact = Artifact({NETWORK: text(graph).encode()}, {"backend": ""})
    names = tuple(dict.fromkeys(o.source for o in graph.outputs))
    run = Run(artifact, stimulus, names, progress=lambda _, share: progress(share))
    return find_rung("golden", "").run("golden", run).recording


@click.command()
@folder_argument
@click.option(
    "--on",
    "rung",
    default="integer",
    show_default=True,
    metavar="RUNG",
    help="golden, integer, or a rung of the target: cores, rtl, lava, brian2, nest, spinnaker, "
    "events, circuit, josim, ngspice.",
)
@stimulus_option
@output_option
@click.option("--populations", help="Comma-separated; default: those of the outputs.")
@click.option("--states", is_flag=True, help="Record every state variable in every step.")
@seed_option
@conditions_option
@learning_option
@steps_option
@samples_option
@json_option
def run(
    folder: Path,
    rung: str,
    stimulus: Path,
    output: Path | None,
    populations: str | None,
    states: bool,
    seed: int,
    conditions: tuple[str, ...],
    learning: bool,
    steps: int | None,
    samples: int | None,
    as_json: bool,
) -> int:
    """Run one rung of a compiled network on a stimulus."""
    report = Report(as_json)
    artifact = load_artifact(folder)
    graph = quantised(artifact)
    names = list(dict.fromkeys(o.source for o in graph.outputs))
    if populations is not None:
        names = [n.strip() for n in populations.split(",") if n.strip()]
        check_populations(graph, names)
    write = None if output is None else recording_writer(output, graph, names, states)
    labelled = load_stimulus(stimulus, graph, steps).take(samples)
    with report.progress() as progress:
        outcome = run_rung(
            artifact,
            rung,
            labelled.stimulus,
            populations=names,
            record=state_words(graph) if states else (),
            seed=seed,
            learning=learning,
            conditions=conditions,
            progress=progress,
        )
    report.diagnostics(outcome.told)
    recording = outcome.recording
    if output is not None and write is not None:
        write_file(output, write(recording))
    data: dict[str, Any] = {
        "rung": rung,
        "samples": labelled.stimulus.samples,
        "steps": labelled.stimulus.steps,
    }
    tell_recording(report, data, graph, outcome, labelled)
    if output is not None:
        report.line(f"wrote {output}")
        data["recording"] = str(output)
    report.data(data)
    return 0


def tell_recording(
    report: Report,
    data: dict[str, Any],
    graph: Graph,
    outcome: Outcome,
    labelled: LabelledStimulus,
) -> None:
    """Emissions, accuracy where there are labels, and cycles where the rung counts them."""
    data["populations"] = {}
    for name, events in outcome.recording.spikes.items():
        total = events.value.sum()
        data["populations"][name] = {"emitted": float(total), "events": int(events.value.size)}
        report.line(f"{name}: {total:g} emitted in {events.samples} sample(s)")
    _score(report, data, graph, outcome.recording, labelled)
    if outcome.cycles:
        _tell_cycles(report, data, outcome)
    if outcome.recording.period is not None:
        _tell_period(report, data, outcome.recording, labelled.stimulus.steps)


def _score(
    report: Report,
    data: dict[str, Any],
    graph: Graph,
    recording: Recording,
    labelled: LabelledStimulus,
) -> None:
    source = graph.outputs[0].source if graph.outputs else None
    if labelled.labels is None or source not in recording.spikes:
        return
    right, total = accuracy(recording, source, labelled.labels)
    report.line(f"accuracy {right} of {total} ({100.0 * right / max(total, 1):.2f} %)")
    data |= {"correct": right, "labelled": total, "accuracy": right / max(total, 1)}


def _tell_cycles(report: Report, data: dict[str, Any], outcome: Outcome) -> None:
    per_sample = sum(np.sum(c, axis=1) for c in outcome.cycles.values())
    mean = float(np.mean(per_sample))
    report.line(f"{mean:,.0f} cycles a sample")
    data["cycles_per_sample"] = mean
    if outcome.clock_hz:
        micro = mean / outcome.clock_hz * 1e6
        report.line(f"{micro:,.1f} us a sample at {outcome.clock_hz / 1e6:g} MHz")
        data["microseconds_per_sample"] = micro


def _tell_period(report: Report, data: dict[str, Any], recording: Recording, steps: int) -> None:
    """How long steps take on hardware that has its own, beside those of the network."""
    assert recording.period is not None
    each, whole = recording.period, recording.period * steps
    report.line(
        f"{recording.rung}: a step every {engineering(each, 's')} ({engineering(1 / each, 'Hz')}), "
        f"{engineering(whole, 's')} a sample; the network's own step is "
        f"{engineering(recording.dt, 's')}"
    )
    data |= {"period": each, "steps_per_second": 1 / each, "seconds_per_sample": whole}


@click.command()
@folder_argument
@stimulus_option
@click.option(
    "--rungs",
    help="Comma-separated, from the top; default: all of the target but those of minutes or more.",
)
@click.option("--report", "page", type=click.Path(path_type=Path), help="Write an HTML report.")
@seed_option
@conditions_option
@learning_option
@steps_option
@samples_option
@json_option
def verify(
    folder: Path,
    stimulus: Path,
    rungs: str | None,
    page: Path | None,
    seed: int,
    conditions: tuple[str, ...],
    learning: bool,
    steps: int | None,
    samples: int | None,
    as_json: bool,
) -> int:
    """Run all rungs against each other: digital ones must be equal, others are measured.

    Of circuits of pulses the first pulse on any net that is not what the event-level model of the
    cells says is named, too.
    """
    report = Report(as_json)
    artifact = load_artifact(folder)
    graph = quantised(artifact)
    owner = str(artifact.manifest["backend"])
    # The golden reference does not learn, and has the arithmetic of no chip.
    real = network(artifact)
    gold = not learns(graph) and not any(
        isinstance(p.neuron, LoihiNeuron) for p in real.populations
    )
    own = [r for r in rungs_of(owner) if (r != "golden" or gold) and not is_heavy(artifact, r)]
    if is_program(artifact):
        own = ["golden", str(artifact.manifest["emission"]["simulator"])]
    names = own if rungs is None else [r.strip() for r in rungs.split(",") if r.strip()]
    if len(set(names)) != len(names) or len(names) < 2:
        raise fail(
            "E0707",
            f"--rungs: verify compares two different rungs or more, not '{rungs}'",
            hint=f"this artefact has {','.join(rungs_of(owner))}",
        )
    for name in names:
        if name not in rungs_of(owner):
            find_rung(name, owner)
    if conditions and not any(takes_conditions(artifact, name) for name in names):
        raise fail(
            "E0707",
            f"none of the rungs {','.join(names)} takes --condition: they are the same under all",
            hint="the rung 'circuit' of a network compiled for a crossbar or for SFQ circuits "
            "depends on them",
        )
    labelled = load_stimulus(stimulus, graph, steps).take(samples)
    with report.progress() as progress:
        outcomes = run_ladder(
            *(artifact, names, labelled.stimulus, progress),
            learning=learning,
            seed=seed,
            conditions=conditions,
            pulses=True,
        )
    for outcome in outcomes.values():
        report.diagnostics(outcome.told)
    equal, data = judge(
        report,
        graph,
        network(artifact),
        names,
        outcomes,
        labelled,
        measured=[n for n in names if is_measured(artifact, n, conditions)],
    )
    if page is not None:
        files = ladder_report(artifact, outcomes, labelled)
        write_report(report, page, files)
    report.data(data)
    return 0 if equal else 1


def run_ladder(
    artifact: Artifact,
    names: list[str],
    stimulus: Stimulus,
    progress: Any,
    learning: bool = True,
    seed: int = 1,
    conditions: tuple[str, ...] = (),
    pulses: bool = False,
) -> dict[str, Outcome]:
    """Run several rungs on one stimulus, with every population and every state word.

    ``conditions`` are of those that take any, ``pulses`` are looked at where there are any.
    The golden rung has a synaptic current only where the model has one, and no relays.
    """
    graph, source = quantised(artifact), network(artifact)
    populations = [p.name for p in graph.populations]
    modelled = {p.name: p.state for p in source.populations}
    # The simulators of a program record spikes.
    words = () if is_program(artifact) else state_words(graph)
    real = [(name, word) for name, word in words if word in modelled.get(name, ())]
    return {
        name: run_rung(
            artifact,
            name,
            stimulus,
            populations=list(modelled) if name == "golden" else populations,
            record=real if name == "golden" else words,
            seed=seed,
            learning=learning,
            pulses=pulses,
            conditions=conditions if takes_conditions(artifact, name) else (),
            progress=progress,
        )
        for name in names
    }


def judge(
    report: Report,
    graph: Graph,
    source: Graph,
    names: list[str],
    outcomes: dict[str, Outcome],
    labelled: LabelledStimulus,
    measured: Collection[str] = ("golden",),
) -> tuple[bool, dict[str, Any]]:
    """Compare neighbouring rungs; equality is demanded but of those that are ``measured``.

    And the pulses of circuits with their event-level models, where rungs have looked at them.
    """
    equal, comparisons = True, []
    for upper, lower in itertools.pairwise(names):
        a, b = outcomes[upper].recording, outcomes[lower].recording
        comparison = compare_recordings(a, b, graph=graph, stimulus=labelled.stimulus)
        must = upper not in measured and lower not in measured
        equal &= comparison.equal or not must
        verdict = "equal" if comparison.equal else ("DIFFERS" if must else "measured")
        report.line(f"{upper} / {lower}: {verdict}")
        for line in comparison.describe().splitlines():
            report.line("  " + line)
        comparisons.append({"must_equal": must, **comparison.as_dict()})
    data: dict[str, Any] = {"comparisons": comparisons, "rungs": {}}
    for name in names:
        facts: dict[str, Any] = {}
        pulses = outcomes[name].pulses
        if pulses is not None:
            equal &= not pulses.failed
            for line in pulses.describe(name).splitlines():
                report.line(line)
            facts["pulses"] = pulses.as_dict()
        if labelled.labels is not None and graph.outputs:
            right, total = accuracy(
                outcomes[name].recording, graph.outputs[0].source, labelled.labels
            )
            facts |= {"correct": right, "labelled": total}
            report.line(f"{name}: {right} of {total} right")
        data["rungs"][name] = facts
    return equal, data | {"equal": equal}


def write_report(report: Report, page: Path, files: Mapping[str, bytes]) -> None:
    """The page and its JSON beside each other, whatever suffix was said."""
    places = [page.with_suffix(Path(name).suffix) for name in files]
    for place, content in zip(places, files.values(), strict=True):
        write_file(place, content)
    report.line(f"wrote {', '.join(map(str, places))}")
