"""The verb explore: which designs of a space are worth building."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from ...ir.diagnostics import Diagnostics, fail
from ...ir.verify import verify
from ..artifact import MANIFEST
from ..backend import need
from ..explore.evaluate import Job, longest_delay
from ..explore.front import best
from ..explore.journal import Journal, open_journal
from ..explore.run import Exploration, Plan, explore, summary
from ..explore.search import METHODS, usual_budget
from ..explore.space import Space, read_space
from ..explore.workers import start_workers
from ..files import write_file
from ..report.style import available
from ..stimulus import load_stimulus
from .console import Report
from .options import (
    json_option,
    read_model,
    reading_options,
    samples_option,
    steps_option,
    stimulus_option,
)

FRONT, TABLE, FIGURE = "front.json", "front.csv", "front.svg"
_REASONS = 5
_ROWS = 30


@click.command(name="explore")
@click.argument("model", type=click.Path(path_type=Path))
@click.option(
    "--space", type=click.Path(path_type=Path), required=True, help="Design space: a TOML file."
)
@stimulus_option
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder; one that has a journal of the same exploration is gone on with.",
)
@click.option(
    "--evaluations",
    "-n",
    type=click.IntRange(1),
    show_default="a tenth of the space, at least 20",
    metavar="N",
    help="Points to evaluate at most.",
)
@click.option("--seed", type=click.IntRange(0, (1 << 31) - 1), default=1, show_default=True)
@click.option(
    "--method",
    type=click.Choice(list(METHODS)),
    default="surrogate",
    show_default=True,
    help="surrogate: Gaussian processes choose, with NSGA-II where a space is large; nsga2: that "
    "alone; random.",
)
@click.option(
    "--jobs", "-j", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes."
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler, as in tcp://host:8786.")
@reading_options
@steps_option
@samples_option
@json_option
def explore_(
    model: Path,
    space: Path,
    stimulus: Path,
    output: Path,
    evaluations: int | None,
    seed: int,
    method: str,
    jobs: int,
    scheduler: str | None,
    steps: int | None,
    samples: int | None,
    as_json: bool,
    **reading: Any,
) -> int:
    """Search a design space of MODEL: the Pareto front of accuracy, latency, energy, cores."""
    report = Report(as_json)
    need("moocore", "explore", "'spikec explore'")
    if scheduler is not None and jobs != 1:
        raise fail("E0707", "--jobs is for this computer, --scheduler for a cluster: give one")
    described = read_space(space)
    graph, found = read_model(model, **reading)
    report.diagnostics(found)
    verify(graph)
    if not graph.outputs:
        raise fail("E0707", "the network has no output, so there is no accuracy to seek")
    labelled = load_stimulus(stimulus, graph, steps).take(samples)
    narrowed = described.within_delays(longest_delay(graph))
    size = narrowed.domain().size
    budget = min(size, usual_budget(size) if evaluations is None else evaluations)
    plan = Plan(graph.name, Job.of(graph, labelled), narrowed, budget, seed, method)
    noticed = Diagnostics()
    if (output / MANIFEST).exists():
        raise fail("E0604", f"{output} is an artefact", hint="choose another -o")
    with open_journal(output, plan.header(), noticed) as journal:
        report.diagnostics(noticed)
        for said in narrowed.unoffered():
            report.line(f"{said}: no points")
        if journal.resumed:
            report.line(f"going on: {journal.resumed:,} evaluations are known")
        try:
            with start_workers(plan.job, jobs, scheduler) as workers, report.progress() as bar:
                done = explore(plan, journal, workers, lambda n, of: bar("explore", n / of))
        except BaseException as error:
            _keep(plan, journal, output, error)
            if isinstance(error, KeyboardInterrupt):
                return 130
            raise
    _write(output, done)
    if not done.front:
        reasons = "; ".join(f"{n} x {code}: {text}" for code, n, text in done.refused[:_REASONS])
        raise fail("E0906", f"all of {len(done.results)} points are refused: {reasons}")
    _tell(report, done, narrowed, output, labelled.labels is not None)
    return 0


def _keep(plan: Plan, journal: Journal, output: Path, error: BaseException) -> None:
    """Write the front of what there is, and say how to go on."""
    known = len(journal.results)
    _write(output, summary(plan, journal.results.values(), complete=False))
    how = "interrupted" if isinstance(error, KeyboardInterrupt) else "stopped"
    sys.stderr.write(
        f"{how}; {known:,} of {plan.budget:,} evaluations are kept in {journal.path}: the same "
        "command goes on from there\n"
    )


def _write(output: Path, found: Exploration) -> None:
    write_file(output / FRONT, found.json())
    write_file(output / TABLE, found.csv())
    if available() and found.front:
        from ..report.front import plot_front

        values = _objectives(found)
        sign = [-1.0 if way == "max" else 1.0 for _, way in found.plan.space.objectives]
        top = best(values * sign)
        drawn = plot_front(found.plan.space.objectives, values[~top], values[top])
        write_file(output / FIGURE, drawn)


def _objectives(found: Exploration) -> Any:
    names = [name for name, _ in found.plan.space.objectives]
    rows = [[dict(r.values).get(n) for n in names] for r in found.results]
    return np.array(rows, np.float64)


def _tell(report: Report, found: Exploration, space: Space, output: Path, labels: bool) -> None:
    names = [name for name, _ in space.objectives]
    options = [n for n in space.names if any(n in m.result.point.as_dict() for m in found.front)]
    # An option and an objective may share a name: cores are asked for and counted.
    heads = [f"{n} used" if n in options else n for n in names]
    rows = [
        (
            *(member.result.point.as_dict().get(n, "-") for n in options),
            *_cells(member.result.as_dict()["values"], names),
        )
        for member in found.front[:_ROWS]
    ]
    report.table("Pareto front", (*options, *heads), rows)
    if len(found.front) > _ROWS:
        report.line(f"... and {len(found.front) - _ROWS} more in {output / TABLE}")
    evaluated = len(found.results)
    report.line(
        f"{len(found.front)} points on the front, of {evaluated:,} evaluated, of {found.size:,} "
        f"({100 * evaluated / found.size:.3g} %); hypervolume {found.volume:.4f} of what they span"
    )
    if not labels:
        report.line(
            "accuracy: samples with the same winner as at 16-bit weights, since the stimulus has "
            "no labels"
        )
    values = _objectives(found)
    accepted = [k for k, r in enumerate(found.results) if not r.refused]
    for j, name in enumerate(names):
        unknown = int(np.isnan(values[accepted, j]).sum())
        if unknown:
            report.line(f"{name}: not known of {unknown:,} points, which counts as the worst")
    for code, number, text in found.refused[:_REASONS]:
        report.line(f"refused {number:,} x {code}, first: {text}")
    files = [FRONT, TABLE, *([FIGURE] if (output / FIGURE).exists() else [])]
    report.line(f"wrote {', '.join(files)} in {output}")
    report.data(found.as_dict() | {"output": str(output)})


def _cells(values: Any, names: Sequence[str]) -> list[str]:
    """Numbers as a person reads them."""
    units = {"latency": "s", "energy": "J"}
    cells = []
    for name in names:
        value = values.get(name)
        if value is None:
            cells.append("-")
        elif name == "accuracy":
            cells.append(f"{100 * value:.2f} %")
        elif name in units:
            cells.append(_engineering(value, units[name]))
        else:
            cells.append(f"{value:,}")
    return cells


def _engineering(value: float, unit: str) -> str:
    for factor, prefix in ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p")):
        if abs(value) >= factor or factor == 1e-12:
            return f"{value / factor:.3g} {prefix}{unit}"
    return f"{value:g} {unit}"
