"""Verbs about a model: show, compile, compare."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ...boards.board import Target
from ...boards.machine import CAPACITIES, Machine
from ...ir.connections import stages
from ...ir.diagnostics import Diagnostics, SpikecError, fail
from ...ir.dialects import DIALECTS
from ...ir.graph import Graph
from ...ir.text import digest, text
from ...ir.verify import verify
from ..artifact import Artifact, check_place
from ..backend import Backend, find_target
from ..compare import accuracy
from ..compare import compare as compare_recordings
from ..compile import Compilation, compile_graph, pipeline
from ..connectivity import synapse_count
from ..files import write_file
from ..integer.executor import Executor
from ..passes.base import run_pipeline
from ..passes.legalise import Legalise
from ..passes.quantise import REFERENCE, Quantise
from ..profile.cells import cells_of
from ..program import compile_program
from ..reporting import Calibration, calibrate, compile_report
from ..stimulus import LabelledStimulus, load_stimulus
from .cells import tell_cells
from .console import Report
from .options import (
    conditions_option,
    effort_option,
    json_option,
    pass_options,
    read_model,
    reading_options,
    release_option,
    samples_option,
    start_option,
    steps_option,
    stimulus_option,
    take_quantise,
)

_model = click.argument("model", type=click.Path(path_type=Path))


def describe(graph: Graph) -> dict[str, Any]:
    """A graph as JSON-ready data: sizes and kinds, no weights."""
    return {
        "name": graph.name,
        "dialect": graph.dialect,
        "dt": graph.dt,
        "digest": digest(graph),
        "inputs": [{"name": i.name, "shape": list(i.shape)} for i in graph.inputs],
        "populations": [
            {
                "name": p.name,
                "model": type(p.neuron).__name__,
                "shape": list(p.shape),
                "neurons": p.size,
                "reset": str(p.semantics.reset),
            }
            for p in graph.populations
        ],
        "projections": [
            {
                "name": p.name,
                "pre": p.pre,
                "post": p.post,
                "kind": " > ".join(type(s).__name__ for s in stages(p.connection)),
                "synapses": synapse_count(p.connection),
                "delay": p.delay,
                "recurrent": p.recurrent,
                **({} if p.receptor is None else {"receptor": p.receptor}),
                **({} if p.short_term is None else {"short_term": type(p.short_term).__name__}),
            }
            for p in graph.projections
        ],
        "outputs": [{"name": o.name, "source": o.source} for o in graph.outputs],
        "neurons": graph.neurons,
        "synapses": sum(synapse_count(p.connection) for p in graph.projections),
    }


@click.command()
@click.argument("model", type=click.Path(path_type=Path), required=False)
@click.option("--dialects", "list_dialects", is_flag=True, help="List the dialects instead.")
@click.option("--text", "as_text", is_flag=True, help="Print the canonical text of the graph.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it to this .svg or .png.")
@reading_options
@json_option
def show(
    model: Path | None,
    list_dialects: bool,
    as_text: bool,
    plot: Path | None,
    as_json: bool,
    **reading: Any,
) -> int:
    """Tell what is in MODEL, under which dialect, and how big it is."""
    report = Report(as_json)
    if list_dialects:
        rows = [(d.name, d.summary, d.source) for d in DIALECTS.values()]
        report.table("", ("dialect", "rules", "rests on"), rows)
        report.data({"dialects": [{"name": n, "summary": s, "source": o} for n, s, o in rows]})
        return 0
    if model is None:
        raise click.UsageError("name a MODEL, or give --dialects")
    graph, found = read_model(model, **reading)
    report.diagnostics(found)
    verify(graph)
    data = describe(graph)
    if plot is not None:
        _plot(graph, plot)
        data["plot"] = str(plot)
    if as_text:
        data["text"] = text(graph)
        report.dump(data["text"])
        report.data(data | {"diagnostics": [d.as_dict() for d in found]})
        return 0
    report.line(
        f"{graph.name}: {graph.neurons:,} neurons, {data['synapses']:,} synapses, "
        f"dt {graph.dt:g} s, dialect {graph.dialect}"
    )
    report.table(
        "",
        ("population", "model", "shape", "neurons", "reset"),
        [
            (p["name"], p["model"], p["shape"], f"{p['neurons']:,}", p["reset"])
            for p in data["populations"]
        ],
    )
    report.table(
        "",
        ("projection", "from", "to", "connection", "synapses", "delay"),
        [
            (p["name"], p["pre"], p["post"], p["kind"], f"{p['synapses']:,}", p["delay"])
            for p in data["projections"]
        ],
    )
    if plot is not None:
        report.line(f"wrote {plot}")
    report.data(data | {"diagnostics": [d.as_dict() for d in found]})
    return 0


def _plot(graph: Graph, path: Path) -> None:
    from ..backend import need
    from ..report.plots import plot_graph

    need("matplotlib", "plot", "--plot")
    form = path.suffix.lower().removeprefix(".")
    if form not in ("svg", "png"):
        raise fail("E0707", f"--plot writes .svg or .png, not '{path.name}'")
    write_file(path, plot_graph(graph, form="svg" if form == "svg" else "png"))


class _Cores(click.ParamType[int | None]):
    """A number of cores, or ``auto``, which is None."""

    name = "cores"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Read the option."""
        if value in (None, "auto"):
            return None
        try:
            number = int(value)
        except ValueError:
            number = 0
        if not 1 <= number <= 8:
            self.fail(f"{value!r} is neither a number from 1 to 8 nor 'auto'", param, ctx)
        return number


class _Cycles(click.ParamType[int | str]):
    """A number of cycles, or ``fewest``."""

    name = "cycles"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Read the option."""
        if value == "fewest":
            return "fewest"
        try:
            number = int(value)
        except ValueError:
            number = 0
        if number < 1:
            self.fail(f"{value!r} is neither a number from 1 on nor 'fewest'", param, ctx)
        return number


class _Time(click.ParamType[float]):
    """A length of time with its unit, as in ``50us``; in seconds."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the option."""
        found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ns|us|ms|s)\s*", str(value))
        seconds = 0.0 if found is None else float(found[1]) * _SECONDS[found[2]]
        if seconds <= 0:
            self.fail(f"{value!r} is no time as in 50us or 2ms", param, ctx)
        return seconds


class _Number(click.ParamType[float]):
    """A number above or from ``low`` to ``high``; what else is said is no ``what``."""

    name = "number"

    def __init__(self, what: str, low: float, high: float, *, above: bool = False) -> None:
        self._what, self._low, self._high, self._above = what, low, high, above

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read the option."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not self._low <= number <= self._high or (self._above and number == self._low):
            self.fail(f"{value!r} is no {self._what}", param, ctx)
        return number


_PERCENT = _Number("percentage above 0 and up to 100", 0, 100, above=True)
_CLOCK = _Number("clock in MHz, 0.1 to 1000; 'spikec targets' lists each board's", 0.1, 1000)


_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


@click.command(name="compile")
@_model
@click.option("--target", "-t", required=True, help="Where it shall run: see 'spikec targets'.")
@click.option("--output", "-o", type=click.Path(path_type=Path), required=True, help="Folder.")
@reading_options
@pass_options(Quantise)
@click.option(
    "--lanes", type=click.IntRange(1, 256), help="FPGA: synapses added in one clock cycle."
)
@click.option(
    "--units", type=click.IntRange(1, 32), help="FPGA: neurons committed in one clock cycle, 2^n."
)
@click.option(
    "--core",
    type=click.Choice(["auto", "parallel", "events"]),
    default="auto",
    show_default=True,
    help="FPGA: the network as a circuit of its own, or an event-driven core with memories.",
)
@click.option(
    "--cores",
    type=_Cores(),
    default="1",
    show_default=True,
    metavar="N|auto",
    help="FPGA: cores to split the network over, 1 to 8; auto: as many as pay and fit.",
)
@click.option(
    "--cycles",
    type=_Cycles(),
    metavar="N|fewest",
    help="FPGA: the smallest core that takes at most N cycles a step; fewest: the fastest that "
    "fits. Neither: the least cells x cycles.",
)
@click.option(
    "--step-time",
    type=_Time(),
    metavar="TIME",
    help="FPGA: the same as a time at the clock, as in 50us or 2ms.",
)
@click.option(
    "--activity",
    type=_PERCENT,
    show_default="10",
    metavar="PERCENT",
    help="FPGA: inputs and neurons that spike in the step that cycles are forecast for.",
)
@click.option("--clock", type=_CLOCK, metavar="MHZ", help="FPGA: clock in MHz.")
@click.option("--parity", is_flag=True, help="FPGA: notice weights that change in memory.")
@click.option(
    "--link",
    type=click.Choice(["serial", "spi"]),
    default="serial",
    show_default=True,
    help="FPGA: what the host is wired to.",
)
@click.option("--bitstream/--no-bitstream", default=True, help="FPGA: run the vendor flow.")
@click.option(
    "--placements",
    type=click.IntRange(1, 64),
    show_default="4",
    metavar="N",
    help="FPGA: place and route with up to N seeds until timing is met.",
)
@effort_option
@start_option
@click.option(
    "--split-signs",
    is_flag=True,
    help="Lava: a projection of both signs becomes two, with weights twice as fine.",
)
@click.option(
    "--chip",
    metavar="NAME",
    help="Lava: map the program onto the cores of a chip, too: loihi1, loihi2, or a file (.toml).",
)
@click.option(
    "--synapses",
    metavar="FORMAT",
    help="Lava, with --chip: the format of synapses wherever it can hold them (dense, sparse, "
    "runlength, convolution), in place of the one of the fewest bits.",
)
@conditions_option
@release_option
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Stimulus to measure the error on; for a chip, spikes that weigh packets, too; for a "
    "crossbar, vectors that set converters.",
)
@click.option("--dump-after", multiple=True, metavar="PASS", help="Print the graph after a pass.")
@json_option
def compile_(
    model: Path,
    target: str,
    output: Path,
    lanes: int | None,
    units: int | None,
    core: str,
    cores: int | None,
    cycles: int | str | None,
    step_time: float | None,
    activity: float | None,
    clock: float | None,
    parity: bool,
    link: str,
    bitstream: bool,
    placements: int | None,
    effort: str | None,
    start: str | None,
    split_signs: bool,
    chip: str | None,
    synapses: str | None,
    conditions: tuple[str, ...],
    release: tuple[str, ...],
    calibration: Path | None,
    dump_after: tuple[str, ...],
    as_json: bool,
    **options: Any,
) -> int:
    """Quantise, map and emit MODEL for a target."""
    report = Report(as_json)
    backend, machine = find_target(target)
    quantise = take_quantise(options)
    _check_count(machine, quantise.input_max)
    check_place(output)
    graph, reading = read_model(model, **options)
    found = Diagnostics(list(reading))
    stimulus = None if calibration is None else load_stimulus(calibration, graph)
    if machine.kind == "program":
        return _compile_program(report, graph, backend, machine, output, stimulus, found)
    passes = [p.NAME for p in pipeline(quantise, machine, graph=graph)]
    for name in dump_after:
        if name not in passes:
            known = ", ".join(passes)
            raise fail("E0707", f"--dump-after: there is no pass '{name}'", hint=f"one of {known}")

    dumps: dict[str, str] = {}

    def dump(name: str, result: Graph) -> None:
        if name in dump_after:
            dumps[name] = text(result)
            report.dump(dumps[name])

    backend_options = {
        "lanes": lanes,
        "units": units,
        "core": None if core == "auto" else core,
        "cores": cores,
        "cycles": cycles,
        "step_time": step_time,
        "activity": None if activity is None else activity / 100,
        "clock_hz": None if clock is None else clock * 1e6,
        "bitstream": bitstream,
        "placements": placements,
        "parity": parity,
        "link": None if link == "serial" else link,
        "effort": None if effort is None else int(effort),
        "start": start,
        "split_signs": split_signs,
        "chip": None if chip is None else _chip_of(chip),
        "synapses": synapses,
        "conditions": conditions or None,
        "release": release or None,
    }
    try:
        with report.progress() as progress:
            compilation = compile_graph(
                graph,
                backend,
                machine,
                quantise,
                backend_options,
                found=found,
                progress=progress,
                after=dump,
                calibration=None if stimulus is None else stimulus.stimulus,
            )
    except SpikecError as error:
        # The error is told last, together with what was found before it, and each thing once.
        raise SpikecError(dict.fromkeys([*found, *error.diagnostics])) from None
    report.diagnostics(found)
    files, measured = compile_report(compilation, stimulus), None
    if stimulus is not None:
        measured = calibrate(compilation, stimulus)
    artifact = compilation.artifact(files)
    artifact.write(output)
    _tell(report, artifact, compilation, output, measured, dumps)
    return 0


def _check_count(target: Target, count: int) -> None:
    """E1437 for an ``--input-max`` that was said and is more than lines of the target carry."""
    said = click.get_current_context().get_parameter_source("input_max")
    if (
        said is not ParameterSource.DEFAULT
        and target.input_most is not None
        and count > target.input_most
    ):
        raise fail(
            "E1437",
            f"--input-max is {count}; an input line of '{target.name}' carries "
            f"{target.input_most} at most",
            hint="leave it out, and run with counts of 0 and 1",
        )


def _chip_of(name: str) -> Machine:
    """The machine that ``--chip`` names; E0304 for what is no chip, E0707 for one of others."""
    _, found = find_target(name)
    if found.machine is None or not found.loihi_words:
        raise fail(
            "E0707",
            f"--chip {name}: a program in Loihi's arithmetic has no place on it",
            hint="--chip loihi1, --chip loihi2, or the file of a chip of that family",
        )
    return found.machine


def _compile_program(
    report: Report,
    graph: Graph,
    backend: Backend,
    target: Target,
    output: Path,
    stimulus: LabelledStimulus | None,
    found: Diagnostics,
) -> int:
    """Emit MODEL as a program, with the calibration stimulus as the one that it runs."""
    given = None if stimulus is None else stimulus.stimulus
    artifact = compile_program(graph, backend, target, given, found=found)
    report.diagnostics(found)
    artifact.write(output)
    for name, said in artifact.manifest["emission"].get("simulators", {}).items():
        report.line(f"{name}: {said}")
    report.line(f"wrote {output} ({len(artifact.files) + 1} files, digest {artifact.digest[:16]})")
    data = {"output": str(output), "digest": artifact.digest, "manifest": dict(artifact.manifest)}
    report.data(data)
    return 0


def _tell(
    report: Report,
    artifact: Artifact,
    compilation: Compilation,
    output: Path,
    measured: Calibration | None,
    dumps: dict[str, str],
) -> None:
    facts = artifact.manifest["emission"]
    if compilation.errors:
        report.table(
            "quantisation",
            ("population", "neurons", "weights", "SQNR dB", "lost", "threshold error"),
            [
                (
                    e.population,
                    e.neurons,
                    f"{e.weights:,} x {e.weight_bits} bit",
                    "exact" if e.weight_sqnr_db is None else f"{e.weight_sqnr_db:.1f}",
                    e.weights_zeroed + e.weights_clipped,
                    "-" if e.threshold_error is None else f"{e.threshold_error:.1e}",
                )
                for e in compilation.errors
            ],
        )
    if "core" in facts:
        report.line(f"core: {facts['core']['kind']} ({facts['core']['why']})")
        _tell_forecast(report, facts)
    if "cores" in facts:
        report.table(
            "cores",
            ("core", "neurons", "words x lanes", "memory blocks", "expected cycles a step"),
            [
                (
                    number,
                    ", ".join(f"{name} {size}" for name, size in core["neurons"].items()),
                    f"{core['words']} x {facts['lanes']}",
                    core["memory_blocks"],
                    f"{core['cycles']:.0f}",
                )
                for number, core in enumerate(facts["cores"])
            ],
        )
    if "sck_hz" in facts:
        report.line(f"host link: SPI, SCK up to {facts['sck_hz'] / 1e6:g} MHz")
    for cell, use in facts.get("utilisation", {}).items():
        if use["used"]:
            share = 100.0 * use["used"] / max(use["available"], 1)
            report.line(f"{cell:<16} {use['used']:>6} of {use['available']:>6}  {share:5.1f} %")
    for cell, use in facts.get("estimate", {}).items():
        share = 100.0 * use["used"] / max(use["available"], 1)
        line = f"{cell:<16} {use['used']:>6} of {use['available']:>6}  {share:5.1f} %"
        report.line(f"{line}  estimate: {facts['estimate_source']}")
    if "tiles" in facts:
        _tell_tiles(report, facts)
    circuit = cells_of(facts)
    if circuit is not None:
        tell_cells(report, circuit)
    if compilation.mapping is not None:
        _tell_mapping(report, artifact.manifest["mapping"], compilation.mapping.seconds)
    if "not_built" in facts:
        report.line(facts["not_built"])
    if "fmax_mhz" in facts:
        # An artefact says its seed; for a person it is news only where the first one failed.
        seed = facts["placement_seed"]
        report.line(
            f"Fmax {facts['fmax_mhz']:.1f} MHz, clock {facts['clock_mhz']:.1f} MHz"
            + (f", placed {seed} times" if seed > 1 else "")
        )
    report.line(f"wrote {output} ({len(artifact.files) + 1} files, digest {artifact.digest[:16]})")
    if measured is not None:
        report.line(measured.describe())
    data: dict[str, Any] = {
        "output": str(output),
        "digest": artifact.digest,
        "manifest": dict(artifact.manifest),
    }
    if compilation.mapping is not None:
        data["mapping_seconds"] = compilation.mapping.seconds
    if measured is not None:
        data["calibration"] = asdict(measured)
    report.data(data | ({"dumps": dumps} if dumps else {}))


def _tell_tiles(report: Report, facts: Mapping[str, Any]) -> None:
    """The tiles of a crossbar by layer, and how well their cells make up for the wires."""
    rows = []
    for name, layer in facts["layers"].items():
        tiles = [tile for tile in facts["tiles"] if tile["projection"] == name]
        sizes = Counter((tile["word_lines"], tile["bit_lines"]) for tile in tiles)
        rows.append(
            (
                name,
                ", ".join(f"{n} of {high} x {wide}" for (high, wide), n in sizes.items()),
                f"{sum(high * wide * n for (high, wide), n in sizes.items()):,}",
                f"{layer['slices']} x {layer['columns_a_weight'] // layer['slices']}",
                layer["signs"],
                f"{max(tile['residual'] for tile in tiles):.1e}",
            )
        )
    heads = ("projection", "tiles", "cells", "cells a weight", "signs", "left of wires")
    report.table(f"tiles of {facts['macro']}, cells of {facts['device']}", heads, rows)


def _tell_mapping(report: Report, facts: Mapping[str, Any], seconds: Mapping[str, float]) -> None:
    """What the mapping takes of the machine, and which limit is nearest."""
    report.table(
        "limits, the nearest first",
        ("limit", "most used", "of", "share", "where", "obtained"),
        [
            (
                limit["limit"],
                f"{limit['used']:,}",
                f"{limit['value']:,.0f} {limit['unit']}",
                f"{limit['share']:.1%}",
                limit["at"],
                limit["obtained"],
            )
            for limit in facts["limits"]
        ],
    )
    if facts["limits"]:
        # That every neuron reaches the one core it may reach says nothing of room.
        filling = [one for one in facts["limits"] if one["limit"] in CAPACITIES]
        near = (filling or facts["limits"])[0]
        report.line(f"nearest limit: {near['limit']} ({near['obtained']}: {near['source']})")
    if "synapse_memory" in facts:
        memory = facts["synapse_memory"]
        report.table(
            "synapse memory, by projection and format",
            ("projection", "format", "cores", "bits", "bits a synapse", "obtained"),
            [
                (
                    line["projection"],
                    line["format"],
                    f"{line['cores']:,}",
                    f"{line['bits']:,}",
                    f"{line['bits'] / line['synapses']:.2f}",
                    line["obtained"],
                )
                for line in memory["projections"]
            ],
        )
        every = ", ".join(f"{bits:,} {name}" for name, bits in memory["formats"].items() if bits)
        report.line(
            f"in-axons {memory['in_axons']:,}, out-axons {memory['out_axons']:,}, synapse memory "
            f"{memory['bits']:,} bits ({every})"
        )
    chips = f"{facts['chips']} chip" + ("s" if facts["chips"] > 1 else "")
    report.line(f"cores: {facts['cores']:,} of {facts['of_cores']:,} on {chips}")
    worst, window = facts["worst_link"], facts["window"]
    line = (
        f"{facts['packets_per_spike']:.4g} packets and {facts['hops_per_spike']:.4g} hops a spike"
    )
    if window is None:
        line += "; every source counts one spike"
        # What a backend has filled itself does not depend on them.
        line += " (--calibration counts them)" if "effort" in facts else ""
    else:
        line += f", of {facts['spikes']:,} in {facts['samples']:,} x {facts['steps']:,} steps"
    report.line(line)
    if worst is not None:
        load = f"{worst['packets']:,} packets"
        if window is not None:
            load = f"{worst['packets'] / window:,.4g} packets a step"
        report.line(f"busiest link: router {worst['start']} to {worst['end']}, {load}")
    if seconds:
        stages = ", ".join(f"{name} {taken:.2f}" for name, taken in seconds.items())
        report.line(f"seconds: {stages}")


def _cycles(mean: float) -> str:
    """A mean over steps is seldom whole, and a goal below it is missed."""
    return f"{mean:,.0f}" if mean == int(mean) else f"{mean:,.1f}"


def _tell_forecast(report: Report, facts: Mapping[str, Any]) -> None:
    """What is expected of the core, and what it could have been instead."""
    expected, clock = facts["forecast"], facts["clock_hz"]
    report.line(
        f"forecast: {facts['core']['title']}, {_cycles(expected['cycles'])} cycles a step at "
        f"{100 * expected['activity']:g} % activity, {1e6 * expected['cycles'] / clock:.3g} us at "
        f"{clock / 1e6:g} MHz, about {expected['logic']:,} cells beside the link's "
        f"{expected['link']:,}"
    )
    front = facts.get("choice", {}).get("front", ())
    if len(front) > 1:
        first, last = front[0], front[-1]
        report.line(
            f"of {facts['choice']['fit']} that fit: {_cycles(first['cycles'])} cycles and "
            f"{first['logic']:,} cells to {_cycles(last['cycles'])} and {last['logic']:,}"
        )


@click.command()
@_model
@stimulus_option
@click.option(
    "--dialects",
    default="snntorch,norse,spyx,sinabs",
    show_default=True,
    help="Comma-separated names; the first is what the others are compared with.",
)
@click.option(
    "--on",
    "rung",
    type=click.Choice(["precise", "golden"]),
    default="precise",
    show_default=True,
    help="precise: 16-bit weights and 40-bit states on the integer executor; golden: Brian2.",
)
@reading_options
@steps_option
@samples_option
@json_option
def compare(
    model: Path,
    stimulus: Path,
    dialects: str,
    rung: str,
    steps: int | None,
    samples: int | None,
    as_json: bool,
    **reading: Any,
) -> int:
    """Run MODEL under several dialects on the user's data, and say what each would do."""
    report = Report(as_json)
    names = [n.strip() for n in dialects.split(",") if n.strip()]
    if not names:
        raise fail("E0707", "--dialects names none", hint=f"some of {', '.join(DIALECTS)}")
    reading.pop("dialect")
    rows, data, first = [], [], None
    for name in names:
        graph, found = read_model(model, dialect=name, **reading)
        if first is None:
            report.diagnostics(found)
            # One step length for all: otherwise the same stimulus would be another one in seconds.
            reading["dt"] = graph.dt
        labelled = load_stimulus(stimulus, graph, steps).take(samples)
        with report.progress() as progress:
            recording = _run(graph, labelled.stimulus, rung, lambda s, n=name: progress(n, s))
        first = recording if first is None else first
        comparison = compare_recordings(first, recording)
        output = next(iter(recording.spikes))
        score = None
        if labelled.labels is not None:
            score = accuracy(recording, output, labelled.labels)
        place = comparison.first
        difference = (
            "-"
            if place is None
            else f"sample {place.sample}, step {place.step}, {place.population}[{place.neuron}]"
        )
        spikes = float(recording.spikes[output].value.sum())
        rows.append(
            (
                name,
                "-" if score is None else f"{score[0]} of {score[1]}",
                f"{spikes:g}",
                difference,
            )
        )
        data.append(
            {
                "dialect": name,
                "correct": None if score is None else score[0],
                "samples": labelled.stimulus.samples,
                "output_spikes": spikes,
                "comparison": comparison.as_dict(),
            }
        )
    report.table(
        "", ("dialect", "correct", "output spikes", f"first differs from {names[0]}"), rows
    )
    report.data({"model": model.name, "rung": rung, "dialects": data})
    return 0


def _run(graph: Graph, stimulus: Any, rung: str, progress: Any) -> Any:
    if rung == "golden":
        from .ladder import golden_recording

        return golden_recording(graph, stimulus, progress)
    precise = run_pipeline([Legalise(), REFERENCE], graph, Target.unlimited(), Diagnostics())
    return Executor(precise).run(stimulus, progress=progress)
