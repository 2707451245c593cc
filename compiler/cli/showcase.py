"""The verb demo: the main job from training to bitstream and proof, with nothing prepared."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...ir.diagnostics import fail
from ..artifact import check_place, load_artifact
from ..backend import find_target
from ..compare import accuracy
from ..compare import compare as compare_recordings
from ..compile import compile_graph
from ..demo.digits import train_digits
from ..files import make_folder, write_file
from ..ladder import network, quantised, run_rung
from ..passes.quantise import Quantise
from ..reporting import compile_report, ladder_report
from ..stimulus import stimulus_bytes
from .console import Report
from .ladder import judge, run_ladder
from .options import json_option, read_model
from .profile import cycle_profile

_RTL_IMAGES = 100


@click.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("out/demo"),
    show_default=True,
    help="Folder for the network, the stimulus, the artefact and the report.",
)
@click.option("--target", "-t", default="icebreaker", show_default=True, help="A board.")
@click.option(
    "--images",
    type=click.IntRange(1),
    default=_RTL_IMAGES,
    show_default=True,
    help="Test images simulated on the golden and rtl rungs; the integer rung runs all.",
)
@json_option
def demo(output: Path, target: str, images: int, as_json: bool) -> int:
    """Train digits, export NIR, compile for a board, and prove the RTL equal to the integers."""
    from ..frontends.nir import write_nir

    report = Report(as_json)
    clock = time.monotonic()

    def stage(text: str) -> None:
        report.line(f"[{time.monotonic() - clock:5.1f} s] {text}")

    backend, machine = find_target(target)
    if "rtl" not in backend.rungs:
        raise fail("E0306", f"the demo compiles for a board; '{target}' has no rung 'rtl'")
    check_place(output / machine.name)
    stage("training a 64-96-10 network on two thirds of scikit-learn's digits")
    digits = train_digits()
    model, data = output / "digits.nir", output / "test.npz"
    make_folder(output)
    write_nir(digits.graph, model)
    write_file(data, stimulus_bytes(digits.test))

    stage(f"compiling {model} for {machine.title}")
    graph, _ = read_model(model, "snntorch", digits.graph.dt, "s", ())
    options = Quantise(weight_bits=8, state_bits=12, input_max=1)
    with report.progress() as progress:
        compilation = compile_graph(graph, backend, machine, options, progress=progress)
    built = compilation.artifact(compile_report(compilation, digits.training.take(200)))
    folder = output / machine.name
    built.write(folder)
    artifact = load_artifact(folder)
    facts = artifact.manifest["emission"]

    stage(f"integer rung on all {digits.test.stimulus.samples} test images")
    source = compilation.quantised.outputs[0].source
    assert digits.test.labels is not None
    everything = run_rung(artifact, "integer", digits.test.stimulus).recording
    right, total = accuracy(everything, source, digits.test.labels)

    some = digits.test.take(images)
    count = some.stimulus.samples
    stage(f"golden, integer and rtl rungs on {count} of them, every state word compared")
    names = ["golden", "integer", "rtl"]
    with report.progress() as progress:
        outcomes = run_ladder(artifact, names, some.stimulus, progress)
    equal, found = judge(report, quantised(artifact), network(artifact), names, outcomes, some)
    cycles = cycle_profile(report, outcomes["rtl"], artifact)
    page = output / "report.html"
    for name, content in ladder_report(artifact, outcomes, some).items():
        write_file(output / name, content)
    labels = some.labels if some.labels is not None else np.zeros(0, np.int64)
    rtl_right, rtl_total = accuracy(outcomes["rtl"].recording, source, labels)
    comparison = compare_recordings(outcomes["integer"].recording, outcomes["rtl"].recording)
    summary: dict[str, Any] = {
        "accuracy_float": digits.float_correct[0] / digits.float_correct[1],
        "accuracy_integer": right / total,
        "accuracy_rtl": rtl_right / rtl_total,
        "images": total,
        "rtl_images": rtl_total,
        "rtl_mismatches": comparison.spike_mismatches + comparison.state_mismatches,
        "state_words_compared": comparison.state_words,
        "cycles_per_image": cycles["cycles_per_sample"],
        "microseconds_per_image": cycles["microseconds_per_sample"],
        "fmax_mhz": facts.get("fmax_mhz"),
        "target": machine.name,
        "bitstream": str(folder / facts["bitstream"]) if "bitstream" in facts else None,
        "report": str(page),
    }
    _last_lines(report, summary, facts, time.monotonic() - clock)
    report.data(
        summary | {"comparisons": found["comparisons"], "utilisation": facts.get("utilisation")}
    )
    return 0 if equal else 1


def _last_lines(report: Report, summary: dict[str, Any], facts: Any, seconds: float) -> None:
    percent = {k: 100.0 * summary[f"accuracy_{k}"] for k in ("float", "integer", "rtl")}
    report.line()
    report.line(
        f"accuracy    float {percent['float']:.2f} %, integer {percent['integer']:.2f} % "
        f"(both of {summary['images']} test images), rtl {percent['rtl']:.2f} % "
        f"(of {summary['rtl_images']})"
    )
    report.line(
        f"equality    {summary['rtl_mismatches']} mismatches in "
        f"{summary['state_words_compared']:,} state words and every output spike of "
        f"{summary['rtl_images']} images"
    )
    report.line(
        f"latency     {summary['cycles_per_image']:,.0f} cycles, "
        f"{summary['microseconds_per_image']:,.1f} us an image at {facts['clock_hz'] / 1e6:g} MHz"
    )
    used = [
        f"{cell} {use['used']}/{use['available']}"
        for cell, use in facts.get("utilisation", facts.get("estimate", {})).items()
        if use["used"]
    ]
    if "not_built" in facts:
        report.line(f"resources   {', '.join(used)} (estimate: {facts['estimate_source']})")
        report.line(f"bitstream   {facts['not_built']}")
    else:
        report.line(f"resources   {', '.join(used)}")
        report.line(f"Fmax        {summary['fmax_mhz']:.1f} MHz on {summary['target']}")
        report.line(f"bitstream   {summary['bitstream']}")
    report.line(f"report      {summary['report']}")
    report.line(f"done in {seconds:.1f} s")
