"""The verb profile: latency and energy of a compiled network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from ...boards.costs import REST
from ...boards.quantity import engineering
from ...ir.diagnostics import fail
from ..artifact import Artifact, load_artifact
from ..backend import Outcome, ProfileRequest, find_profiler, rungs_of
from ..files import make_folder, write_file
from ..ladder import check_stimulus, is_program, quantised, run_rung
from ..report.style import clip
from ..reporting import circuit_report, ladder_report, profile_report
from ..stimulus import LabelledStimulus, load_stimulus
from .cells import tell_cells
from .console import Report, many
from .ladder import folder_argument, write_report
from .options import TICK, json_option, samples_option, steps_option, stimulus_option

if TYPE_CHECKING:
    # The kernels that count are loaded where something is counted: not every verb waits for them.
    from ..profile.circuit import CircuitProfile
    from ..profile.crossbar import CrossbarProfile
    from ..profile.ledger import Line
    from ..profile.profile import Profile
    from ..profile.sfq import SfqProfile

# Rungs that count no cycles.
_COUNTLESS: Final = ("golden", "integer", "cores")
# Lines of the critical path that a screen has.
_TOP: Final = 8
# Characters of a source that it has.
_SOURCE: Final = 40


@click.command()
@folder_argument
@stimulus_option
@click.option("--model", metavar="NAME", help="Chip: which of its cost models; default: its first.")
@click.option(
    "--tick",
    type=TICK,
    metavar="SECONDS",
    help="Chip that ticks: the length of a step; default: its own, or the network's dt.",
)
@click.option(
    "--cooling",
    type=click.FloatRange(0),
    metavar="W/W",
    help="SFQ circuit: W at room temperature for each W in the cold; default: the process's.",
)
@click.option("--report", "page", type=click.Path(path_type=Path), help="Write an HTML report.")
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    help="Write the slowest sample as a trace for https://ui.perfetto.dev (.json).",
)
@click.option(
    "--csv", "tables", type=click.Path(path_type=Path), help="Write tables to this folder."
)
@steps_option
@samples_option
@json_option
def profile(
    folder: Path,
    stimulus: Path,
    model: str | None,
    tick: float | None,
    cooling: float | None,
    page: Path | None,
    trace: Path | None,
    tables: Path | None,
    steps: int | None,
    samples: int | None,
    as_json: bool,
) -> int:
    """Latency and energy of a compiled network: where they go, and what to change."""
    report = Report(as_json)
    artifact = load_artifact(folder)
    labelled = load_stimulus(stimulus, quantised(artifact), steps).take(samples)
    profiler = find_profiler(artifact)
    if profiler is not None:
        said = {"--model": model, "--tick": tick, "--cooling": cooling, "--trace": trace}
        _refuse(artifact, {o: v for o, v in said.items() if o not in profiler.profile_options})
        check_stimulus(artifact, labelled.stimulus)
        if tables is not None:
            make_folder(tables)
        with report.progress() as progress:
            request = ProfileRequest(artifact, labelled.stimulus, model, tick, cooling, progress)
            found = profiler.profile(request)
        from ..profile.circuit import CircuitProfile
        from ..profile.to_json import profile_tables
        from ..profile.trace import profile_trace

        if isinstance(found, CircuitProfile):
            data, written = _tell_circuit(report, found)
        else:
            data, written = tell_profile(report, found), profile_tables(found)
        if tables is not None:
            for name, content in written.items():
                write_file(tables / name, content)
            report.line(f"wrote {', '.join(written)} to {tables}")
        if trace is not None and not isinstance(found, CircuitProfile):
            write_file(trace, profile_trace(found))
        if page is not None:
            if isinstance(found, CircuitProfile):
                write_report(report, page, circuit_report(artifact, found))
            else:
                write_report(report, page, profile_report(artifact, found))
    else:
        _refuse(artifact, {"--cooling": cooling})
        data = _profile_board(report, artifact, labelled, model, tick, tables, page, trace)
    if trace is not None:
        report.line(f"wrote {trace}: open it at https://ui.perfetto.dev")
    report.data(data)
    return 0


def _refuse(artifact: Artifact, options: dict[str, Any]) -> None:
    """E0707 for an option that only targets of another kind take."""
    target = artifact.manifest["target"]
    for option, value in options.items():
        if value is not None:
            kind = "superconducting circuit" if option == "--cooling" else "chip"
            raise fail("E0707", f"'{target}' is no {kind}: profile takes no {option} for it")


# -- chips -----------------------------------------------------------------------------------------


def tell_profile(report: Report, found: Profile) -> dict[str, Any]:
    """A screenful: latency, energy, the ledger, and what steps wait for."""
    from ..profile.to_json import energy_by_kind, profile_facts

    samples = max(found.samples, 1)
    report.line(f"{found.machine.title}: {found.model.title}")
    length = found.length.sum(axis=1)
    report.line(
        f"latency {engineering(found.latency, 's')} a sample "
        f"({engineering(float(length.min()), 's')} to {engineering(float(length.max()), 's')}; "
        f"{many(found.samples, 'sample')} of {many(found.steps, 'step')}), "
        f"{engineering(float(found.length.mean()), 's')} a step, "
        f"at most {engineering(float(found.length.max()), 's')}"
    )
    shares = _shares(found)
    if shares:
        report.line("  of it " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items()))
    if found.late:
        worst = float(-found.rest.min())
        report.line(
            f"  {found.late} of {found.length.size} steps have more work than their tick of "
            f"{engineering(found.tick or 0.0, 's')} holds, by up to {engineering(worst, 's')}: "
            "spikes are late or lost"
        )
    kinds = ", ".join(
        f"{kind} {engineering(joules, 'J')}" for kind, joules in energy_by_kind(found).items()
    )
    report.line(
        f"energy {engineering(found.energy, 'J')} a sample ({kinds}) on {many(found.cores, 'core')}"
    )
    total = found.energy or 1.0
    report.table(
        "energy a sample",
        ("of", "how many", "each", "energy", "share", "constant is"),
        [
            (
                line.words,
                f"{line.amount / (samples if line.seconds is None else 1):,.0f}",
                engineering(line.times * line.constant.value, line.constant.unit),
                engineering(line.joules / samples, "J"),
                f"{line.joules / samples / total:.1%}",
                line.constant.obtained,
            )
            for line in found.ledger
        ],
    )
    ticks = found.model.pace == "tick"
    # A run of ticks gets no shorter: what can be saved is room in them.
    work = float((found.lead + found.way).sum()) / samples
    whole = (work if ticks else found.latency) or 1.0
    report.table(
        "what fills ticks, and how much room halving it would make"
        if ticks
        else "what steps wait for, and what halving it would save",
        ("kind", "what", "a sample", "share", "makes room" if ticks else "saves"),
        [
            (
                cause.kind,
                cause.name,
                engineering(cause.seconds / samples, "s"),
                f"{cause.seconds / samples / whole:.1%}",
                f"{cause.gain / samples / whole:.1%}",
            )
            for cause in found.causes[:_TOP]
        ],
    )
    _tell_outputs(report, found)
    report.line("not in these sums, since no constant is known: " + "; ".join(found.model.unknown))
    return profile_facts(found)


def _tell_outputs(report: Report, found: Profile) -> None:
    """What most output spikes had waited for, in a line."""
    waits = found.waits
    if not waits.sample.size:
        return
    times = np.bincount(waits.cause)
    cause = int(times.argmax())
    of_cause = waits.node[(waits.cause == cause) & (waits.node >= 0)]
    line = (
        f"{times[cause]:,} of {many(waits.cause.size, 'output spike')} had waited most for "
        f"{waits.causes[cause]}"
    )
    if of_cause.size and waits.causes[cause].startswith("core "):
        line += f", there mostly for '{waits.nodes[int(np.bincount(of_cause).argmax())]}'"
    report.line(line)


def _shares(found: Profile) -> dict[str, float]:
    parts = {
        "cores and links": float(found.lead.sum()),
        "way of packets": float(found.way.sum()),
        REST[found.model.pace]: float(np.maximum(found.rest, 0.0).sum()),
    }
    # Of what it adds up to: where ticks are late their work is more than they last.
    whole = sum(parts.values())
    return {name: part / whole for name, part in parts.items() if part > 0}


# -- circuits --------------------------------------------------------------------------------------


def _tell_circuit(report: Report, found: CircuitProfile) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A screenful of a profile, its JSON form and its tables."""
    from ..profile.crossbar import CrossbarProfile, crossbar_tables
    from ..profile.sfq import SfqProfile, sfq_tables

    if isinstance(found, CrossbarProfile):
        return tell_crossbar(report, found), crossbar_tables(found)
    assert isinstance(found, SfqProfile)
    return tell_sfq(report, found), sfq_tables(found)


def tell_crossbar(report: Report, found: CrossbarProfile) -> dict[str, Any]:
    """A screenful: latency, energy, its ledger and shares, and the layers."""
    from ..profile.crossbar import crossbar_facts

    facts = crossbar_facts(found)
    latency, total = facts["latency"], found.energy or 1.0
    report.line(f"{found.title} ({found.macro})")
    if found.conditions:
        every = ", ".join(f"{name}={value}" for name, value in found.conditions.items())
        report.line(f"conditions: {every}")
    report.line(
        f"latency {engineering(found.latency, 's')} a sample "
        f"({engineering(latency['least'], 's')} to {engineering(latency['most'], 's')}; "
        f"{many(found.samples, 'sample')} of {many(found.steps, 'step')}), "
        f"{engineering(latency['seconds_per_step'], 's')} a step, "
        f"at most {engineering(latency['longest_step'], 's')}"
    )
    report.line(f"energy {engineering(found.energy, 'J')} a sample")
    shares = sorted(found.by_component.items(), key=lambda each: -each[1])
    report.line("  of it " + ", ".join(f"{name} {joules / total:.1%}" for name, joules in shares))
    _tell_ledger(report, found)
    longest = found.latency or 1.0
    report.table(
        "layers, a sample",
        (
            *("layer", "tiles", "reads", "a read", "lines settle in", "on the longest path"),
            *("share", "leads steps", "energy", "share"),
        ),
        [
            (
                stage.title,
                f"{stage.tiles:,}" if stage.tiles else "-",
                f"{row['reads_per_sample']:,.1f}" if stage.tiles else "-",
                engineering(stage.read, "s") if stage.tiles else "-",
                engineering(stage.settle, "s") if stage.tiles else "-",
                engineering(row["critical_seconds_per_sample"], "s"),
                f"{row['critical_seconds_per_sample'] / longest:.1%}",
                f"{row['leads_steps']:,}",
                engineering(row["joules_per_sample"], "J"),
                f"{row['joules_per_sample'] / total:.1%}",
            )
            for stage, row in zip(found.stages, facts["layers"], strict=True)
        ],
    )
    _tell_limits(report, found)
    return facts


def _tell_limits(report: Report, found: CircuitProfile) -> None:
    report.line("assumed: " + "; ".join(found.assumed))
    report.line("not in these sums, since no constant is known: " + "; ".join(found.unknown))


def _tell_ledger(report: Report, found: CircuitProfile) -> None:
    """The ledger of a sample; shares are of all but cooling."""
    from ..profile.ledger import merged

    report.table(
        "energy a sample",
        ("of", "formula", "how many x each", "energy", "share", "constant is"),
        ledger_rows(merged(found.ledger), max(found.samples, 1), found.uncooled or 1.0),
    )


def tell_sfq(report: Report, found: SfqProfile) -> dict[str, Any]:
    """A screenful: response and period, what sets them, energy with and without cooling."""
    from ..profile.sfq import sfq_facts

    facts = sfq_facts(found)
    report.line(f"{found.title} ({found.process})")
    tell_cells(report, found.cells)
    report.line(
        f"throughput: {engineering(found.latency, 's')} a sample "
        f"({many(found.samples, 'sample')} of {many(found.steps, 'step')})"
    )
    if found.answers is not None:
        low, mean, high = (engineering(seconds, "s") for seconds in found.answers)
        answers = facts["latency"]["answers"]
        report.line(
            f"latency {mean} from the first pulse to the last output spike of a step "
            f"({low} to {high}; {answers} of {many(found.seconds.size, 'step')} have one)"
        )
    whole = sum(share.seconds for share in found.shares) or 1.0
    report.table(
        "the longest way from an input to a spike",
        ("layer", "delay lines", "cells", "waiting for the clock", "in all", "share"),
        [
            (
                share.layer,
                *(engineering(t, "s") for t in (share.delays, share.cells, share.waiting)),
                engineering(share.seconds, "s"),
                f"{share.seconds / whole:.1%}",
            )
            for share in found.shares
        ],
    )
    report.table(
        "what sets the clocks and the period, at the corner that is worst",
        ("sets", "least", "delays", "by", "way"),
        [
            (
                path.name,
                engineering(path.seconds, "s"),
                f"x {path.corner:g}",
                path.bound,
                path.words,
            )
            for path in found.paths
        ],
    )
    _tell_ledger(report, found)
    report.line(
        f"energy {engineering(found.uncooled, 'J')} a sample in the cold, of it switching "
        f"{engineering(found.switched, 'J')}; with cooling ({found.factor.value:g} W/W, "
        f"{found.factor.obtained}) {engineering(found.energy, 'J')}; shares are of the cold"
    )
    steps = max(found.steps, 1)
    report.line(
        f"a step: {engineering(found.uncooled / steps, 'J')} in the cold, "
        f"{engineering(found.energy / steps, 'J')} with cooling"
    )
    report.table(
        "layers, a sample",
        ("layer", "cells", "junctions", "pulses", "switching", "with bias and cooling", "share"),
        [
            (
                row["name"],
                f"{row['cells']:,}",
                f"{row['junctions']:,}",
                f"{row['pulses_per_sample']:,.1f}",
                engineering(row["switching_joules_per_sample"], "J"),
                engineering(row["joules_per_sample"], "J"),
                f"{row['joules_per_sample'] / (found.energy or 1.0):.1%}",
            )
            for row in facts["layers"]
        ],
    )
    _tell_limits(report, found)
    return facts


def ledger_rows(lines: Iterable[Line], samples: int, total: float) -> list[tuple[str, ...]]:
    """Rows of the ledger: a formula in symbols and in numbers of a sample, and a short source."""
    return [
        (
            line.words,
            line.symbols,
            line.formula,
            engineering(line.joules, "J"),
            "" if line.kind == "cooling" else f"{line.joules / total:.1%}",
            _short(line),
        )
        for line in (line.of_sample(samples) for line in lines)
    ]


def _short(line: Line) -> str:
    """How the least trusted constant of a line was obtained, and where that is written."""
    return f"{line.weakest.obtained}: {clip(line.weakest.source, _SOURCE)}"


# -- boards ----------------------------------------------------------------------------------------


def _profile_board(
    report: Report,
    artifact: Artifact,
    labelled: LabelledStimulus,
    model: str | None,
    tick: float | None,
    tables: Path | None,
    page: Path | None,
    trace: Path | None,
) -> dict[str, Any]:
    target = artifact.manifest["target"]
    own = [r for r in rungs_of(str(artifact.manifest["backend"])) if r not in _COUNTLESS]
    if not own or is_program(artifact):
        raise fail(
            "E0306",
            f"target '{target}' has no rung that counts cycles",
            hint="compile for a board or a chip: 'spikec targets'",
        )
    _refuse(artifact, {"--model": model, "--tick": tick})
    with report.progress() as progress:
        outcome = run_rung(artifact, own[0], labelled.stimulus, pace=True, progress=progress)
    data = cycle_profile(report, outcome, artifact)
    if tables is not None:
        from ..profile.to_json import cycle_tables

        make_folder(tables)
        clock = outcome.clock_hz or 1.0
        for name, content in cycle_tables(dict(outcome.cycles), clock).items():
            write_file(tables / name, content)
            report.line(f"wrote {tables / name}")
    report.line("of energy nothing is said: no constant is known for boards")
    if page is not None:
        write_report(report, page, ladder_report(artifact, {own[0]: outcome}, labelled))
    if trace is not None:
        from ..profile.trace import cycle_trace

        write_file(trace, cycle_trace(dict(outcome.cycles), outcome.clock_hz or 1.0, str(target)))
    return data


def cycle_profile(report: Report, outcome: Outcome, artifact: Artifact) -> dict[str, Any]:
    """Cycles by phase and step, and the time they take at the clock."""
    clock = outcome.clock_hz or 1.0
    facts = artifact.manifest["emission"]
    total = np.sum(list(outcome.cycles.values()), axis=0)
    everything = float(total.sum()) or 1.0
    samples = total.shape[0]
    rows, phases = [], {}
    for phase, cycles in outcome.cycles.items():
        mean = float(cycles.sum()) / samples
        share = 100.0 * float(cycles.sum()) / everything
        rows.append((phase, f"{mean:,.0f}", f"{mean / clock * 1e6:,.1f}", f"{share:.1f} %"))
        phases[phase] = {"cycles_per_sample": mean, "share": share / 100.0}
    mean = everything / samples
    rows.append(("all", f"{mean:,.0f}", f"{mean / clock * 1e6:,.1f}", "100 %"))
    report.table(
        f"{samples} sample(s) of {total.shape[1]} steps at {clock / 1e6:g} MHz",
        ("phase", "cycles a sample", "us a sample", "share"),
        rows,
    )
    worst = np.unravel_index(int(np.argmax(total)), total.shape)
    report.line(
        f"a step takes {total.min():,} to {total.max():,} cycles "
        f"({total.max() / clock * 1e6:,.2f} us); the longest is step {worst[1]} of "
        f"sample {worst[0]}"
    )
    data: dict[str, Any] = {
        "clock_hz": clock,
        "samples": samples,
        "steps": int(total.shape[1]),
        "phases": phases,
        "cycles_per_sample": mean,
        "microseconds_per_sample": mean / clock * 1e6,
        "cycles_per_step": {"min": int(total.min()), "max": int(total.max())},
        "cycles": {phase: cycles.tolist() for phase, cycles in outcome.cycles.items()},
    }
    if outcome.pace is not None:
        own = float(outcome.pace.sum()) / samples
        # The last step has no next one.
        ticks = outcome.pace[:, 1:-1] if outcome.pace.shape[1] > 2 else outcome.pace[:, 1:]
        report.line(
            f"if each step's events are at hand: {own:,.0f} cycles, {own / clock * 1e6:,.1f} us a "
            f"sample; from tick to tick {ticks.min():,} to {ticks.max():,} cycles, "
            f"{ticks.mean():,.1f} in the mean"
        )
        data["own_pace"] = {
            "cycles_per_sample": own,
            "microseconds_per_sample": own / clock * 1e6,
            "cycles_per_step": float(ticks.mean()),
            "cycles": outcome.pace.tolist(),
        }
    if outcome.link_seconds is not None:
        link = outcome.link_seconds / samples
        report.line(f"the link takes {link * 1e3:,.1f} ms a sample, or more")
        data["link_milliseconds_per_sample"] = link * 1e3
    if "fmax_mhz" in facts:
        fmax = facts["fmax_mhz"]
        report.line(f"at the achieved Fmax of {fmax:.1f} MHz: {mean / fmax:,.1f} us a sample")
        data |= {"fmax_mhz": fmax, "microseconds_per_sample_at_fmax": mean / fmax}
    return data
