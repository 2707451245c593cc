"""What verbs with a journal and workers share: options, folders, an end that came early."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import click

from ...ir.diagnostics import Diagnostics, fail
from ..artifact import MANIFEST, Artifact
from ..backend import Gap, find_tolerant, need
from ..explore.journal import Journal, open_journal
from ..explore.point import Point
from ..explore.workers import start_workers
from ..gap import gap_request, patterns
from ..stimulus import LabelledStimulus
from .console import Report, many
from .options import Command

Result = TypeVar("Result")

# A worker of a cluster answers a group at once: groups are as small as for so many of them.
CLUSTER: Final = 64

jobs_option = click.option(
    "--workers",
    "--jobs",
    "-j",
    "jobs",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes.",
)
scheduler_option = click.option(
    "--scheduler", metavar="ADDRESS", help="Dask scheduler, as in tcp://host:8786."
)
folder_option = click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Folder; one that has a journal of the same network and stimulus is gone on with.",
)


def plot_option(what: str) -> Callable[[Command], Command]:
    """``--plot`` of a verb that draws ``what``."""
    return click.option(
        "--plot", type=click.Path(path_type=Path), help=f"Draw {what} to this .svg or .png."
    )


def gap_asked(
    least: float | None, orders: int | None, error: float | None, *, trim: bool = False
) -> Gap | None:
    """``--gap`` and what belongs to it; E0707 for that alone."""
    if least is not None:
        usual = Gap(least)
        return Gap(
            least,
            usual.orders if orders is None else orders,
            usual.error if error is None else error,
            trim,
        )
    said = {"--orders": orders, "--error": error, "--trim": trim or None}
    alone = [option for option, value in said.items() if value is not None]
    if alone:
        hint = "as in --gap 0.5"
        raise fail("E0707", f"{alone[0]} belongs to --gap, and there is none", hint=hint)
    return None


def gap_said(gap: Gap) -> str:
    """What a person is told of it."""
    how = (
        f"a circuit has up to {gap.orders:,} orders of all inputs, fewer where those decide, by "
        f"mistake with a probability of at most {gap.error:.3g}"
        if gap.error
        else f"all inputs come in {gap.orders:,} orders"
    )
    trim = "; synapses are counted and set first" if gap.trim else ""
    return (
        "gap: the least rate at inputs at which the integer rung has a spike, less the greatest at "
        f"the others; {how}{trim}"
    )


def inputs_between(
    artifact: Artifact, labelled: LabelledStimulus, gap: Gap, conditions: Sequence[str]
) -> LabelledStimulus:
    """The inputs of a step that a stimulus has, looked at before anything is run.

    E1437 for several spikes in a step, E1494 and E1495 where there is no gap.
    """
    inputs = patterns(labelled.stimulus)
    find_tolerant(artifact).tolerance(gap_request(artifact, inputs, gap, conditions))
    return LabelledStimulus(inputs)


def check_workers(jobs: int, scheduler: str | None) -> None:
    """E0707 for processes here and a cluster besides."""
    if scheduler is not None and jobs != 1:
        raise fail("E0707", "--workers is for this computer, --scheduler for a cluster: give one")


def check_folder(output: Path | None) -> None:
    """E0604 for an artefact, in which no journal belongs."""
    if output is not None and (output / MANIFEST).exists():
        raise fail("E0604", f"{output} is an artefact", hint="choose another -o")


def plot_form(plot: Path) -> Any:
    """``svg`` or ``png``; E0707 for another suffix, E0601 without matplotlib."""
    form = plot.suffix.lower().removeprefix(".")
    if form not in ("svg", "png"):
        raise fail("E0707", f"--plot writes .svg or .png, not '{plot.name}'")
    need("matplotlib", "plot", "--plot")
    return form


@contextlib.contextmanager
def place(output: Path | None) -> Iterator[Path]:
    """The folder of the journal; without -o one that is gone afterwards."""
    if output is not None:
        yield output
        return
    with tempfile.TemporaryDirectory(prefix="spikec-") as folder:
        yield Path(folder)


class Carried(Protocol):
    """A study, of margins or of chips: its journal's header, and the job of its workers."""

    @property
    def job(self) -> Any:
        """What its workers do."""
        ...

    def header(self) -> Any:
        """What its journal begins with."""
        ...

    def groups(self, workers: int) -> Sequence[tuple[Point, ...]]:
        """All its points."""
        ...


def known_of(study: Carried, journal: Journal) -> int:
    """How many of the points of a study a journal has: it may have others, as of other chips."""
    if not journal.results:
        return 0
    return sum(point.digest in journal.results for group in study.groups(1) for point in group)


def carry_out(
    report: Report,
    study: Carried,
    what: str,
    run: Callable[[Journal, Any, int, Callable[[int, int], None]], Result],
    kept: Callable[[Journal, Path, BaseException], None],
    *,
    jobs: int,
    scheduler: str | None,
    output: Path | None,
) -> Result | None:
    """What ``run`` finds with a journal, workers, how many and a bar for ``what``.

    After an end that came early ``kept`` writes what there is, if there is a folder, and the error
    goes on; `None` after an interruption.
    """
    noticed = Diagnostics()
    with place(output) as where, open_journal(where, study.header(), noticed) as journal:
        report.diagnostics(noticed)
        known = known_of(study, journal)
        if known:
            report.line(f"going on: {many(known, 'result')} {'is' if known == 1 else 'are'} known")
        try:
            with start_workers(study.job, jobs, scheduler) as workers, report.progress() as bar:
                count = jobs if scheduler is None else CLUSTER
                return run(journal, workers, count, lambda n, of: bar(what, n / of))
        except BaseException as error:
            if output is None:
                raise
            kept(journal, output, error)
            if isinstance(error, KeyboardInterrupt):
                return None
            raise


def tell_stopped(journal: Journal, known: int, size: int, error: BaseException) -> None:
    """How much there is after an end that came early, and how to go on."""
    how = "interrupted" if isinstance(error, KeyboardInterrupt) else "stopped"
    sys.stderr.write(
        f"{how}; {known:,} of {size:,} results are kept in {journal.path}: the same command "
        "goes on from there\n"
    )
