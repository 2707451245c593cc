"""Reports of a compilation and of a run of the ladder: what each has to show."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..boards.board import Target, load_board
from ..boards.quantity import Quantity, engineering
from ..ir.diagnostics import Diagnostics, SpikecError
from ..ir.events import Recording
from ..ir.graph import Graph
from ..ir.neurons import LoihiNeuron
from .artifact import Artifact
from .backend import Outcome, find_target
from .compare import accuracy, compare
from .comparison import Comparison
from .compile import Compilation
from .integer.executor import Executor
from .ladder import network, quantised
from .passes.quantise import REFERENCE, LayerError
from .profile.cells import cells_of
from .report import render
from .report.data import (
    Accuracy,
    Candidate,
    Choice,
    Latency,
    Provenance,
    ReportData,
    Resource,
    Timing,
)
from .stimulus import LabelledStimulus

if TYPE_CHECKING:
    from .profile.circuit import CircuitProfile
    from .profile.distortion import CoSimulated
    from .profile.profile import Profile

_COUNTED = "spikec's count before synthesis"
_PNR = "report of the place-and-route tool"


@dataclass(frozen=True)
class Calibration:
    """What quantisation costs on the calibration data.

    ``correct`` of ``labelled`` samples are right on the integer rung, ``reference_correct`` of
    them with 16-bit weights and 40-bit states (``None`` without labels). ``rate_error`` is
    sum |N_ref - N_int| / sum N_ref over output spike counts; ``None`` when the reference is
    silent or the output is graded. ``agreeing`` samples of ``samples`` have the same winner.
    """

    population: str
    samples: int
    correct: int | None
    reference_correct: int | None
    labelled: int
    rate_error: float | None
    agreeing: int

    def describe(self) -> str:
        """One line for a person."""
        parts = []
        if self.correct is not None and self.reference_correct is not None:
            share = 100.0 * self.correct / max(self.labelled, 1)
            parts.append(
                f"{self.correct} of {self.labelled} right ({share:.2f} %; "
                f"{self.reference_correct} at 16-bit weights and 40-bit states)"
            )
        if self.rate_error is not None:
            parts.append(f"output spike counts off by {100.0 * self.rate_error:.2f} %")
        parts.append(f"same winner in {self.agreeing} of {self.samples} samples")
        return "calibration: " + ", ".join(parts)


def calibrate(compilation: Compilation, calibration: LabelledStimulus) -> Calibration | None:
    """Run the calibration data on the quantised network and on its high-precision twin.

    ``None`` where there is no twin: the network came in a chip's arithmetic.
    """
    legal = compilation.retimed
    if any(isinstance(p.neuron, LoihiNeuron) for p in legal.populations):
        return None
    precise = REFERENCE.run(legal, Target.unlimited(), Diagnostics())
    source = legal.outputs[0].source
    fine, coarse = (
        Executor(graph).run(calibration.stimulus, populations=[source])
        for graph in (precise, compilation.quantised)
    )
    (found,) = compare(fine, coarse).populations
    right: list[int | None] = [None, None]
    if calibration.labels is not None:
        right = [accuracy(r, source, calibration.labels)[0] for r in (coarse, fine)]
    return Calibration(
        population=source,
        samples=calibration.stimulus.samples,
        correct=right[0],
        reference_correct=right[1],
        labelled=0 if calibration.labels is None else len(calibration.labels),
        rate_error=found.rate_error,
        agreeing=found.agreeing,
    )


def compile_report(
    compilation: Compilation, calibration: LabelledStimulus | None = None
) -> dict[str, bytes]:
    """``report.html`` and ``report.json`` of a compilation, with its error on ``calibration``."""
    facts = compilation.manifest()
    target, graph = compilation.target, compilation.quantised
    recordings: tuple[Recording, ...] = ()
    scores: tuple[Accuracy, ...] = ()
    if calibration is not None and all(e.integer for e in calibration.stimulus.inputs.values()):
        populations = [p.name for p in graph.populations]
        recordings = (Executor(graph).run(calibration.stimulus, populations=populations),)
        scores = _accuracies(recordings, graph, calibration, "calibration data")
    fmax = compilation.emission.facts.get("fmax_mhz")
    mapping = None
    if compilation.mapping is not None and compilation.axons is not None:
        from .mapping_view import mapping_view

        counted = compilation.window is not None
        mapping = mapping_view(compilation.axons, compilation.mapping, counted=counted)
    verdict = f"compiled for {target.title}"
    if fmax is not None:
        verdict += f"; timing met: {fmax:.1f} MHz of {facts['emission']['clock_mhz']:.1f} MHz"
    elif "not_built" in facts["emission"]:
        verdict += f"; {facts['emission']['not_built']}"
    return render(
        ReportData(
            verdict=verdict,
            passed=True,
            graph=compilation.source,
            recordings=recordings,
            accuracies=scores,
            diagnostics=tuple(compilation.diagnostics),
            mapping=mapping,
            **_common(
                facts, target, compilation.source, compared=False, mapped=mapping is not None
            ),
        )
    )


def ladder_report(
    artifact: Artifact, outcomes: Mapping[str, Outcome], labelled: LabelledStimulus
) -> dict[str, bytes]:
    """``report.html`` and ``report.json`` of a run of several rungs on one stimulus."""
    graph = quantised(artifact)
    names = list(outcomes)
    recordings = tuple(_spikes_only(o.recording) for o in outcomes.values())
    comparisons = tuple(
        compare(
            outcomes[upper].recording,
            outcomes[lower].recording,
            graph=graph,
            stimulus=labelled.stimulus,
        )
        for upper, lower in itertools.pairwise(names)
    )
    demanded = [c for c in comparisons if "golden" not in c.rungs]
    pulses = tuple((name, o.pulses) for name, o in outcomes.items() if o.pulses is not None)
    wrong = [name for name, check in pulses if check.failed]
    equal = all(c.equal for c in demanded) and not wrong
    latency = None
    for name, outcome in outcomes.items():
        if outcome.cycles:
            cycles = np.stack(list(outcome.cycles.values()), axis=2)
            source = f"the device's own counters, rung {name}"
            latency = Latency(cycles, source, "simulated", tuple(outcome.cycles))
    target = _target(str(artifact.manifest["target"]))
    return render(
        ReportData(
            verdict=_verdict(comparisons, demanded, wrong),
            passed=equal if demanded else None,
            graph=network(artifact),
            recordings=recordings,
            comparisons=comparisons,
            pulses=pulses,
            latency=latency,
            accuracies=_accuracies(recordings, graph, labelled, "the given stimulus"),
            **_common(artifact.manifest, target, network(artifact), compared=len(outcomes) > 1),
        )
    )


def profile_report(artifact: Artifact, found: Profile) -> dict[str, bytes]:
    """``report.html`` and ``report.json`` of what a stimulus takes of a chip."""
    from .profile_view import profile_view

    view = profile_view(found)
    graph = network(artifact)
    target = _target(str(artifact.manifest["target"]))
    verdict = f"forecast: {engineering(view.latency, 's')}"
    if view.ledger:
        verdict += f" and {engineering(view.energy, 'J')}"
    verdict += " a sample"
    if view.late:
        verdict += f"; {view.late:,} steps have more work than their tick holds"
    return render(
        ReportData(
            verdict=verdict.replace(" u", " µ"),
            passed=False if view.late else None,
            graph=graph,
            profile=view,
            **_common(artifact.manifest, target, graph, compared=False, profiled=True),
        )
    )


def circuit_report(artifact: Artifact, found: CircuitProfile) -> dict[str, bytes]:
    """``report.html`` and ``report.json`` of what a stimulus takes of crossbars or of cells."""
    from .profile.crossbar import CrossbarProfile
    from .profile.sfq import SfqProfile

    graph, target = network(artifact), _target(str(artifact.manifest["target"]))
    each = f"{engineering(found.latency, 's')} and {engineering(found.energy, 'J')} a sample"
    return render(
        ReportData(
            verdict=f"forecast: {each}".replace(" u", " µ"),
            passed=None,
            graph=graph,
            crossbar=found if isinstance(found, CrossbarProfile) else None,
            sfq=found if isinstance(found, SfqProfile) else None,
            **_common(artifact.manifest, target, graph, compared=False, profiled=True),
        )
    )


def cosim_report(
    artifact: Artifact,
    found: CoSimulated,
    software: Recording,
    comparison: Comparison,
    labelled: LabelledStimulus,
) -> dict[str, bytes]:
    """``report.html`` and ``report.json`` of what an interconnect does to spikes."""
    from .cosim_view import cosim_view

    view = cosim_view(found)
    graph, target = network(artifact), _target(str(artifact.manifest["target"]))
    recordings = (_spikes_only(software), _spikes_only(found.recording))
    wrong = sum(p.mismatches for p in comparison.populations)
    verdict = "spikes are those of the integer rung"
    if wrong:
        verdict = f"{wrong:,} emissions differ from the integer rung"
    return render(
        ReportData(
            verdict=f"{verdict}; {view.late:,} of {view.figures['copies']:,} packets are late",
            passed=None,
            graph=graph,
            cosim=view,
            recordings=recordings,
            comparisons=(comparison,),
            accuracies=_accuracies(recordings, quantised(artifact), labelled, "the given stimulus"),
            **_common(artifact.manifest, target, graph, compared=True),
        )
    )


def _target(name: str) -> Target:
    """The target of an artefact; one without limits for a chip of the user's own."""
    try:
        return find_target(name)[1]
    except SpikecError:
        return Target.unlimited(name, name)


def _spikes_only(recording: Recording) -> Recording:
    return replace(recording, states={}, weights={})


def _verdict(
    comparisons: Sequence[Comparison], demanded: Sequence[Comparison], pulses: Sequence[str]
) -> str:
    """In one line; ``pulses`` are circuits whose pulses are not those of their models."""
    if not comparisons:
        return "one rung was run; nothing was compared"
    if not demanded:
        return "measured against the golden reference"
    words = sum(c.state_words for c in demanded)
    spikes = sum(c.spike_bits for c in demanded)
    wrong = sum(c.spike_mismatches + c.state_mismatches for c in demanded)
    pairs = ", ".join(" = ".join(c.rungs) for c in demanded)
    said = f"{wrong:,} of {spikes + words:,} emissions and state words differ"
    if not wrong:
        said = f"{pairs}: {spikes:,} emissions and {words:,} state words equal"
    if pulses:
        said += f"; pulses of {', '.join(pulses)} differ from the event-level model"
    return said


def _accuracies(
    recordings: Sequence[Recording], graph: Graph, labelled: LabelledStimulus, how: str
) -> tuple[Accuracy, ...]:
    if labelled.labels is None or not graph.outputs:
        return ()
    source = graph.outputs[0].source
    return tuple(
        Accuracy(r.rung, *accuracy(r, source, labelled.labels), how)
        for r in recordings
        if source in r.spikes
    )


def _common(
    facts: Mapping[str, Any],
    target: Target,
    graph: Graph,
    *,
    compared: bool,
    mapped: bool = False,
    profiled: bool = False,
) -> dict[str, Any]:
    emission = facts["emission"]
    source = next((p.at.file for p in graph.populations if p.at.file), None)
    return {
        "name": facts["name"],
        "source": source,
        "dialect": facts["dialect"],
        "dt": facts["dt"],
        "target": target.title,
        "layers": tuple(LayerError(**layer) for layer in facts["layers"]),
        "resources": _resources(emission, target),
        "choice": _choice(emission),
        "timing": _timing(emission, target),
        "cells": cells_of(emission),
        "tools": tuple(sorted(emission.get("tools", {}).items())),
        "provenance": _provenance(emission, compared, mapped, profiled),
    }


def _resources(emission: Mapping[str, Any], target: Target) -> tuple[Resource, ...]:
    found = []
    for cell, use in sorted(emission.get("utilisation", {}).items()):
        if not use["used"]:
            continue
        limit = target.available(cell)
        if limit is None:
            limit = Quantity(use["available"], "cells", _PNR, "measured")
        used = Quantity(use["used"], limit.unit, _PNR, "measured")
        found.append(Resource(cell, used, limit))
    for cell, use in sorted(emission.get("estimate", {}).items()):
        limit = target.available(cell)
        unit = "cells" if limit is None else limit.unit
        guess = Quantity(use["used"], unit, emission["estimate_source"], "fitted")
        found.append(Resource(f"{cell} (estimate)", guess, limit))
    # What has a limit comes first.
    counted = emission.get("memory_blocks", {})
    if counted and target.block_memory is not None and not emission.get("utilisation"):
        used = Quantity(sum(counted.values()), "blocks", _COUNTED, "fitted")
        limit = target.block_memory.count
        found.append(Resource(target.block_memory.cell, used, limit, "block memory, all together"))
    for name, blocks in counted.items():
        used = Quantity(blocks, "blocks", _COUNTED, "fitted")
        found.append(Resource(f"memory: {name}", used))
    for number, core in enumerate(emission.get("cores", ())):
        held = ", ".join(f"{name} {size}" for name, size in core["neurons"].items())
        source = f"forecast for {100 * emission['forecast']['activity']:g} % activity"
        expected = Quantity(round(core["cycles"]), "cycles", source, "fitted")
        found.append(Resource(f"core {number} ({held}), a step", expected))
    return tuple(found)


def _choice(emission: Mapping[str, Any]) -> Choice | None:
    """What the core was chosen from, where that was recorded."""
    found = emission.get("choice")
    if found is None:
        return None
    title = emission["core"]["title"]
    candidates = tuple(
        Candidate(one["title"], one["cycles"], one["logic"], one["blocks"], one["title"] == title)
        for one in found["front"]
    )
    return Choice(found["rule"], found["fit"], candidates, found["most"])


def _timing(emission: Mapping[str, Any], target: Target) -> Timing | None:
    if "clock_hz" not in emission:
        return None
    board = load_board(target.name)
    offered = (board.clock.frequency, *(pll.frequency for pll in board.plls))
    clock = next(clock for clock in offered if clock.value == emission["clock_hz"])
    fmax = emission.get("fmax_mhz")
    reached = None if fmax is None else Quantity(fmax * 1e6, "Hz", _PNR, "measured")
    return Timing(clock, reached)


def _provenance(
    emission: Mapping[str, Any], compared: bool, mapped: bool, profiled: bool
) -> tuple[Provenance, ...]:
    found = []
    if compared:
        how = "every emission and state word compared"
        found.append(Provenance("equality", how, "spikec verify"))
    found.append(
        Provenance("error per layer", "integer weights against real ones", "spikec compile")
    )
    if mapped:
        how = "counted again from the synapses, by a check that shares no code with the mapper"
        found.append(Provenance("mapping", how, "spikec compile"))
    if profiled:
        how = "counts of the integer rung's spikes where they are mapped, times constants"
        if "each" in emission:
            how = "pulses of the rung events at every input of every cell, times constants"
        found.append(Provenance("latency and energy", how, "spikec profile"))
    if "each" in emission:
        how = "windows of all pulses at all corners of the delays that were measured of cells"
        found.append(Provenance("clocks, period", how, "spikec compile"))
    if "core" in emission:
        core = emission["core"]
        found.append(Provenance("core", f"{core['kind']}: {core['why']}", "spikec compile"))
    if "fmax_mhz" in emission:
        found.append(Provenance("resources, Fmax", f"{_PNR}, read as JSON", "spikec compile"))
    if "clock_hz" in emission:
        found.append(Provenance("cycles", "counted by the device itself", "spikec profile"))
    return tuple(found)
