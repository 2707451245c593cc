"""The verb deploy: an artefact on a board, or on a simulated one through the same wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ...ir.diagnostics import fail
from ..artifact import load_artifact
from ..backend import Deployment, find_deployer
from ..files import write_file
from ..ladder import INTEGER, learns, quantised, run_rung
from ..stimulus import load_stimulus, recording_writer
from .console import Report
from .ladder import judge, tell_recording
from .options import json_option, learning_option, samples_option, steps_option

DEVICE = "device"


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--port",
    "-p",
    required=True,
    help="Serial port of the board, spi:/dev/spidevX.Y[@HZ], or 'sim' for a simulated one.",
)
@click.option("--stimulus", "-s", type=click.Path(path_type=Path), help="Stimulus to run.")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Recording: .npz, or AER text (.aer, .txt, .csv).",
)
@click.option("--program", is_flag=True, help="Send the bitstream to the board first.")
@click.option("--load", is_flag=True, help="Write the network over the wire first.")
@click.option("--verify", is_flag=True, help="Compare every spike with the integer rung.")
@click.option("--status", is_flag=True, help="Print the board's error counters.")
@learning_option
@click.option("--baud", type=click.IntRange(1), help="Bits a second (default: the board's).")
@steps_option
@samples_option
@json_option
def deploy(
    folder: Path,
    port: str,
    stimulus: Path | None,
    output: Path | None,
    program: bool,
    load: bool,
    verify: bool,
    status: bool,
    learning: bool,
    baud: int | None,
    steps: int | None,
    samples: int | None,
    as_json: bool,
) -> int:
    """Talk to a board: program it, run a stimulus on it, compare its spikes."""
    if not port.strip():
        hint = "name a serial port, spi:/dev/spidevX.Y, or 'sim' for a simulated board"
        raise fail("E0707", "--port is empty", hint=hint)
    if stimulus is None and (output is not None or verify):
        raise fail("E0707", "-o and --verify need a --stimulus")
    report = Report(as_json)
    artifact = load_artifact(folder)
    graph = quantised(artifact)
    names = tuple(dict.fromkeys(o.source for o in graph.outputs))
    write = None if output is None else recording_writer(output, graph, names)
    labelled = None if stimulus is None else load_stimulus(stimulus, graph, steps).take(samples)
    deployer = find_deployer(artifact)
    expected = None
    with report.progress() as progress:
        if labelled is not None:
            # The checks of a rung come first, so that no board is disturbed in vain.
            expected = run_rung(
                artifact,
                INTEGER,
                labelled.stimulus,
                populations=names,
                learning=learning,
                progress=progress,
            )
        deployed = deployer.deploy(
            Deployment(
                artifact,
                port,
                None if labelled is None else labelled.stimulus,
                names,
                program=program,
                # What a board has learned before is not what the integer rung starts from.
                load=load or (verify and learns(graph)),
                status=status,
                baud=baud,
                progress=progress,
                learning=learning,
            )
        )
    data: dict[str, Any] = dict(deployed.facts)
    device = deployed.facts["device"]
    report.line(f"{port}: image {device['image_digest']}, {device['clock_hz'] / 1e6:g} MHz")
    if status:
        for name, value in deployed.facts["status"].items():
            report.line(f"  {name}: {value}")
    equal = True
    if deployed.outcome is not None and labelled is not None and expected is not None:
        tell_recording(report, data, graph, deployed.outcome, labelled)
        if output is not None and write is not None:
            write_file(output, write(deployed.outcome.recording))
            report.line(f"wrote {output}")
            data["recording"] = str(output)
        if verify:
            outcomes = {INTEGER: expected, DEVICE: deployed.outcome}
            equal, found = judge(report, graph, graph, [INTEGER, DEVICE], outcomes, labelled)
            data["verify"] = found
    report.data(data)
    return 0 if equal else 1
