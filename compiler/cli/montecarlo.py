"""The verb montecarlo: what chips of one network do, and under which conditions."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from ...ir.diagnostics import NOWHERE, Diagnostic, Location, SpikecError, fail
from ..artifact import Artifact, load_artifact
from ..backend import Analogue, find_analogue, find_tolerant
from ..explore.journal import Journal
from ..files import write_file
from ..ladder import check_stimulus, quantised
from ..montecarlo.chips import ChipJob
from ..montecarlo.study import Combination, Found, Row, Study, found_in, run_study
from ..stimulus import load_stimulus
from .console import Report, many
from .ladder import folder_argument
from .options import (
    conditions_option,
    error_option,
    gap_option,
    json_option,
    orders_option,
    samples_option,
    steps_option,
    stimulus_option,
)
from .studies import (
    carry_out,
    check_folder,
    check_workers,
    folder_option,
    gap_asked,
    gap_said,
    inputs_between,
    jobs_option,
    known_of,
    plot_form,
    plot_option,
    scheduler_option,
    tell_stopped,
)

TABLE, DATA = "results.csv", "results.json"
_SEEDS: Final = 1 << 32
# More are a slip of the keyboard.
_MOST_COMBINATIONS: Final = 1000


@click.command()
@folder_argument
@stimulus_option
@click.option(
    "--chips", "-n", type=click.IntRange(1, 100_000), default=10, show_default=True, metavar="N"
)
@click.option(
    "--first",
    type=click.IntRange(0, _SEEDS - 1),
    default=1,
    show_default=True,
    metavar="SEED",
    help="The first chip; the others are those after it.",
)
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=VALUE,VALUE",
    help="A condition and its values: of a crossbar as in wire=0,1,2; of an SFQ circuit as in "
    "spread=2%,5%. Of several, all combinations.",
)
@gap_option
@orders_option
@error_option
@click.option(
    "--trim", is_flag=True, help="With --gap: count the synapses of each chip, set their currents."
)
@conditions_option
@jobs_option
@scheduler_option
@folder_option
@plot_option("what varies")
@steps_option
@samples_option
@json_option
def montecarlo(
    folder: Path,
    stimulus: Path,
    chips: int,
    first: int,
    vary: tuple[str, ...],
    gap_least: float | None,
    orders: int | None,
    error: float | None,
    trim: bool,
    conditions: tuple[str, ...],
    jobs: int,
    scheduler: str | None,
    output: Path | None,
    plot: Path | None,
    steps: int | None,
    samples: int | None,
    as_json: bool,
) -> int:
    """Run many chips of a crossbar or an SFQ circuit, under all conditions: accuracy and yield.

    What works has all spikes of the integer rung; or, with --gap, rates that are apart.
    """
    report = Report(as_json)
    gap = gap_asked(gap_least, orders, error, trim=trim)
    form = None if plot is None else plot_form(plot)
    if plot is not None and not vary and gap is None:
        raise fail(
            "E0707",
            "--plot draws chips against what varies, and nothing does",
            hint="add --vary, as in --vary wire=0,1,2 of a crossbar, spread=2%,5% of SFQ",
        )
    check_workers(jobs, scheduler)
    if first + chips > _SEEDS:
        raise fail("E0707", f"chips {first:,} to {first + chips - 1:,}; the last is {_SEEDS - 1:,}")
    artifact = load_artifact(folder)
    backend, rung = find_analogue(artifact)
    if gap is not None:
        find_tolerant(artifact).check_gap(artifact, gap)
    varied, combinations = _combinations(backend, artifact, vary, conditions)
    labelled = load_stimulus(stimulus, quantised(artifact), steps).take(samples)
    check_stimulus(artifact, labelled.stimulus)
    if gap is not None:
        said = [condition.word for condition in combinations[0]]
        labelled = inputs_between(artifact, labelled, gap, said)
    study = Study(
        str(artifact.manifest.get("name", folder.name)),
        str(artifact.manifest["target"]),
        ChipJob.of(artifact, rung, labelled, gap),
        varied,
        combinations,
        range(first, first + chips),
    )
    check_folder(output)
    found = carry_out(
        report,
        study,
        "chips",
        lambda *how: run_study(study, *how),
        lambda *how: _keep(study, *how),
        jobs=jobs,
        scheduler=scheduler,
        output=output,
    )
    if found is None:
        return 130
    if output is not None:
        _write(output, found)
    if not any(row.values(found.measure) for row in found.rows):
        refused = found.rows[0].refused[0]
        raise fail(
            "E0906", f"every chip is refused, the first by {refused.code}: {refused.message}"
        )
    _tell(report, found)
    if output is not None:
        report.line(f"wrote {TABLE} and {DATA} in {output}")
    if plot is not None and form is not None:
        from ..montecarlo.figure import draw

        write_file(plot, draw(found, form))
        report.line(f"wrote {plot}")
    places = {"output": output, "plot": plot}
    report.data(found.as_dict() | {k: str(v) for k, v in places.items() if v is not None})
    return 0


def _combinations(
    backend: Analogue, artifact: Artifact, vary: Sequence[str], fixed: Sequence[str]
) -> tuple[tuple[str, ...], tuple[Combination, ...]]:
    """What varies, and every combination of its values with what is fixed; each is looked at.

    All that is wrong is told at once, each fault with the first place that has it.
    """
    axes = [_axis(words) for words in vary]
    named = {words.partition("=")[0].strip() for words in (*vary, *fixed)}
    every = [*(w for w in backend.drawn if w.partition("=")[0] not in named), *fixed]
    number = math.prod(map(len, axes))
    if number > _MOST_COMBINATIONS:
        raise fail("E0707", f"--vary: {number:,} combinations; at most {_MOST_COMBINATIONS:,}")
    faults: dict[tuple[str, str], Diagnostic] = {}
    found: list[Combination] = []
    for chosen in itertools.product(*axes):
        try:
            found.append(backend.conditions(artifact, [*every, *chosen]))
        except SpikecError as error:
            said = [f"--condition {word}" for word in fixed] + [f"--vary {word}" for word in chosen]
            for one in error.diagnostics:
                placed = _placed(one, said)
                faults.setdefault((one.code, one.message), placed)
    if faults:
        raise SpikecError(faults.values())
    names = [condition.name for condition in found[0]]
    again = next((name for name in names if names.count(name) > 1), None)
    if again is not None:
        raise fail(
            "E0707",
            f"the condition '{again}' is said twice",
            hint="say it once: what varies has all its values in one --vary",
        )
    stride = len(found)
    for words, axis, at in zip(vary, axes, range(len(every), len(names)), strict=True):
        stride //= len(axis)
        values = [found[k * stride][at] for k in range(len(axis))]
        twice = next((v for v in values if values.count(v) > 1), None)
        if twice is not None:
            raise fail(
                "E0707",
                f"'{twice.name}' is {twice.shown} twice",
                Location(f"--vary {words}"),
                "give each value once",
            )
    return tuple(names[len(every) :]), tuple(found)


def _axis(words: str) -> list[str]:
    """``KEY=A,B`` as ``KEY=A`` and ``KEY=B``; E0707 where it has no values."""
    name, _, values = words.partition("=")
    found = [value.strip() for value in values.split(",") if value.strip()]
    if not name.strip() or not found:
        raise fail(
            "E0707",
            f"'{words}' is nothing that varies",
            Location(f"--vary {words}"),
            "give KEY=VALUE,VALUE, as in --vary wire=0,1,2 of a crossbar, spread=2%,5% of SFQ",
        )
    return [f"{name.strip()}={value}" for value in found]


def _placed(found: Diagnostic, said: Sequence[str]) -> Diagnostic:
    """The diagnostic at the words that it is about, at all of them where it does not tell."""
    if found.where != NOWHERE:
        return found
    for part in ("=", " "):  # a value that is wrong, or the words as a whole
        about = [one for one in said if f"'{one.partition(part)[2]}'" in found.message]
        if about:
            break
    return dataclasses.replace(found, where=Location(" ".join(about or said)))


def _keep(study: Study, journal: Journal, output: Path, error: BaseException) -> None:
    """Write what there is, and say how to go on."""
    _write(output, found_in(study, journal.results))
    tell_stopped(journal, known_of(study, journal), study.size, error)


def _write(output: Path, found: Found) -> None:
    write_file(output / DATA, found.json())
    write_file(output / TABLE, found.csv())


def _tell(report: Report, found: Found) -> None:
    labels, gap = found.integer is not None, found.study.job.gap
    what = "accuracy" if labels else "spikes that differ" if gap is None else "gap"
    heads = [*found.study.varied, "chips", f"{what}: mean", "sd", "least", "most"]
    if labels:
        heads += ["integer", "spikes that differ"]
    if gap is not None:
        heads.append("orders")
    heads.append("yield")
    title = f"{found.study.name} on {found.study.target}"
    report.table(title, heads, [_cells(found, row) for row in found.rows])
    fixed = [c for c in found.study.combinations[0] if c.name not in found.study.varied]
    if fixed:
        report.line("all with " + ", ".join(f"{c.name} {c.shown}" for c in fixed))
    if gap is None:
        report.line(
            "yield: chips all of whose spikes are the integer rung's, with its 95 % interval"
        )
        if not labels:
            report.line("no accuracy, since the stimulus has no labels")
    else:
        report.line(f"yield: chips with a gap of {gap.least:g} or more, with its 95 % interval")
        report.line(gap_said(gap))
        unsure = sum(row.unsure for row in found.rows)
        if unsure and gap.error:
            report.line(f"{many(unsure, 'chip')} had all orders, and their rates decide")
    report.diagnostics(dict.fromkeys(one for row in found.rows for one in row.told))
    reasons: dict[tuple[str, str], int] = {}
    for one in (one for row in found.rows for one in row.refused):
        reasons[one.code, one.message] = reasons.get((one.code, one.message), 0) + 1
    for (code, message), number in reasons.items():
        report.line(f"refused {many(number, 'chip')} by {code}: {message}")


def _cells(found: Found, row: Row) -> list[str]:
    words = [c.shown for c in row.combination if c.name in found.study.varied]
    statistics = row.statistics(found.measure)
    if statistics is None:
        blanks = 8 if found.integer is not None else 6 + (row.least is not None)
        return [*words, *(["-"] * blanks)]
    shown = _percent if row.least is None else _gap
    values = (statistics.mean, statistics.deviation, statistics.least, statistics.most)
    cells = [*words, f"{statistics.count:,}", *map(shown, values)]
    orders = row.statistics("orders")
    if orders is not None:
        cells.append(f"{orders.mean:.0f}")
    if found.integer is not None:
        differ = row.statistics("differ")
        cells += [_percent(found.integer), _percent(None if differ is None else differ.mean)]
    low, high = (100 * end for end in row.interval)
    return [*cells, f"{row.working:,} of {row.judged:,} ({low:.1f} to {high:.1f} %)"]


def _gap(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"
