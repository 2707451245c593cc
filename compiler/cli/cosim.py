"""The verb cosim: spikes that arrive when the interconnect delivers them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from ...boards.quantity import engineering
from ...ir.diagnostics import fail
from ..artifact import load_artifact
from ..backend import CoSimulationRequest, find_cosimulator
from ..compare import accuracy, compare
from ..files import write_file
from ..ladder import check_stimulus, quantised, run_rung
from ..reporting import cosim_report
from ..stimulus import load_stimulus, recording_writer
from .console import Report, many
from .ladder import folder_argument, write_report
from .options import (
    FACTOR,
    TICK,
    json_option,
    output_option,
    samples_option,
    steps_option,
    stimulus_option,
)

if TYPE_CHECKING:
    from ..profile.distortion import CoSimulated

# Links that a screen has.
_TOP: Final = 5


@click.command()
@folder_argument
@stimulus_option
@click.option(
    "--model", metavar="NAME", help="Which of the chip's cost models; default: its first."
)
@click.option(
    "--tick",
    type=TICK,
    metavar="SECONDS",
    help="The length of a step, whether or not its packets have arrived; default: the chip's own, "
    "or, where steps wait for their packets, as long as these take.",
)
@click.option(
    "--slower",
    type=FACTOR,
    default=1.0,
    show_default=True,
    metavar="FACTOR",
    help="An interconnect so many times slower; with 0 packets take no time.",
)
@output_option
@click.option("--report", "page", type=click.Path(path_type=Path), help="Write an HTML report.")
@steps_option
@samples_option
@json_option
def cosim(
    folder: Path,
    stimulus: Path,
    model: str | None,
    tick: float | None,
    slower: float,
    output: Path | None,
    page: Path | None,
    steps: int | None,
    samples: int | None,
    as_json: bool,
) -> int:
    """What the interconnect does to the spikes of a network compiled for a chip."""
    report = Report(as_json)
    artifact = load_artifact(folder)
    graph = quantised(artifact)
    simulator = find_cosimulator(artifact)
    if simulator is None:
        raise fail(
            "E0306",
            f"target '{artifact.manifest['target']}' has no interconnect to simulate",
            hint="compile for a chip: 'spikec targets'",
        )
    names = tuple(p.name for p in graph.populations)
    write = None if output is None else recording_writer(output, graph, list(names), False)
    labelled = load_stimulus(stimulus, graph, steps).take(samples)
    check_stimulus(artifact, labelled.stimulus)
    with report.progress() as progress:
        request = CoSimulationRequest(
            artifact, labelled.stimulus, names, model, tick, slower, progress
        )
        found = simulator.cosimulate(request)
        software = run_rung(
            artifact, "integer", labelled.stimulus, populations=names, progress=progress
        ).recording
    data = _tell(report, found)
    comparison = compare(software, found.recording, graph=graph, stimulus=labelled.stimulus)
    data["comparison"] = comparison.as_dict()
    report.line("software-only against co-simulation:")
    for line in comparison.describe().splitlines():
        report.line("  " + line)
    if labelled.labels is not None and graph.outputs:
        source = graph.outputs[0].source
        right = [accuracy(r, source, labelled.labels) for r in (software, found.recording)]
        total = right[0][1]
        report.line(f"right: {right[0][0]} of {total} software-only, {right[1][0]} co-simulated")
        data |= {"correct_software": right[0][0], "correct": right[1][0], "labelled": total}
    if page is not None:
        files = cosim_report(artifact, found, software, comparison, labelled)
        write_report(report, page, files)
    if output is not None and write is not None:
        write_file(output, write(found.recording))
        report.line(f"wrote {output}")
    report.data(data)
    return 0


def _tell(report: Report, found: CoSimulated) -> dict[str, Any]:
    d = found.distortion

    def cycles(value: float) -> str:
        return engineering(value * d.cycle, "s")

    pace = "steps wait for their packets"
    if found.tick is not None:
        pace = f"a step lasts {engineering(found.tick, 's')}"
    report.line(f"{pace}; a cycle of the interconnect is {engineering(d.cycle, 's')}")
    _, most, nearly = d.latency_quantiles
    report.line(
        f"{many(d.copies, 'packet')} arrived, after {cycles(d.latency_mean)} in the mean, "
        f"{cycles(most)} for 90 %, {cycles(nearly)} for 99 %, {cycles(d.latency_most)} at most; "
        f"{d.late:,} in a later step, {d.dropped:,} never"
    )
    if d.late_cores:
        report.line(
            f"  {d.late_cores:,} of these left their core after their step: cores take longer to "
            "send than a step lasts ('spikec profile --csv' says how long each)"
        )
    report.line(
        f"{many(d.intervals, 'interval')} between spikes of one source: distorted by "
        f"{cycles(d.mean_absolute)} in the mean ({cycles(d.mean)} with signs, {cycles(d.least)} to "
        f"{cycles(d.most)})"
    )
    if found.estimate is not None:
        report.line(
            f"an estimate from the loads of links would have the mean latency "
            f"{abs(found.estimate.mean):.1%} too {'low' if found.estimate.mean < 0 else 'high'}"
        )
    share = d.disorder / max(d.copies, 1)
    report.line(f"{many(d.disorder, 'packet')} out of order ({share:.2%})")
    links = sorted(found.links.tolist(), key=lambda row: (-row[4], -row[3], row[0], row[1]))
    waited = [row for row in links if row[4]]
    if waited:
        report.table(
            "links that packets waited for most",
            ("link", "packets", "taken", "waited"),
            [
                (f"{start} -> {end}", f"{flits:,}", cycles(busy), cycles(stall))
                for start, end, flits, busy, stall in waited[:_TOP]
            ],
        )
    rows = [
        dict(zip(("start", "end", "flits", "busy_cycles", "stall_cycles"), row, strict=True))
        for row in links
        if row[2]
    ]
    guess = None if found.estimate is None else asdict(found.estimate)
    return {"tick_seconds": found.tick, **d.as_dict(), "links": rows, "estimate_error": guess}
