"""The verb margins: how far a circuit's values may be off, and corners of two of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import Location, SpikecError, fail
from ..artifact import load_artifact
from ..backend import GROUPINGS, find_analogue, find_tolerant
from ..explore.journal import Journal
from ..files import write_file
from ..ladder import check_stimulus, quantised
from ..margins.job import MarginJob
from ..margins.study import Axis, Corners, FoundMargins, MarginStudy, Row, run_margins
from ..stimulus import load_stimulus
from .console import Report, many
from .ladder import folder_argument
from .options import (
    Finite,
    conditions_option,
    error_option,
    gap_option,
    json_option,
    orders_option,
    samples_option,
    seed_option,
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

TABLE, CORNERS, DATA = "margins.csv", "corners.csv", "results.json"
TEMPERATURE: Final = "temperature"
_NONE: Final = "none"
_STEP: Final = 0.05  # of an axis that says no values
_MOST: Final = 10_000  # corners; more are a slip of the keyboard
_LEAST: Final = 0.05  # of a value: no element is turned round
_FACTOR: Final = 10.0


@click.command()
@folder_argument
@stimulus_option
@click.option(
    "--by",
    type=click.Choice([*GROUPINGS, _NONE]),
    default="cell",
    show_default=True,
    help="What is off together: all of a kind on the chip; those of each kind of cell besides; "
    "each element of a kind of cell; each element of each cell. none finds no margins.",
)
@click.option(
    "--corners",
    multiple=True,
    metavar="X,Y",
    help="Two groups against each other, or one and the temperature, as in bias,areas or "
    "bias=0.8:1.2:0.05,temperature=0:8:2.",
)
@click.option(
    "--reach",
    type=Finite(0.05, 0.95),
    default=0.6,
    show_default=True,
    help="How far values are moved, parts of the nominal ones.",
)
@click.option(
    "--resolution",
    type=Finite(1e-4, 0.05),
    default=0.005,
    show_default=True,
    help="How well the end of a margin is known.",
)
@gap_option
@orders_option
@error_option
@seed_option
@conditions_option
@jobs_option
@scheduler_option
@folder_option
@plot_option("margins and corners")
@steps_option
@samples_option
@json_option
def margins(
    folder: Path,
    stimulus: Path,
    by: str,
    corners: tuple[str, ...],
    reach: float,
    resolution: float,
    gap_least: float | None,
    orders: int | None,
    error: float | None,
    seed: int,
    conditions: tuple[str, ...],
    jobs: int,
    scheduler: str | None,
    output: Path | None,
    plot: Path | None,
    steps: int | None,
    samples: int | None,
    as_json: bool,
) -> int:
    """Find how far the values of an SFQ circuit may be off, and what goes wrong beyond.

    All spikes are to be the integer rung's; or, with --gap, rates are to be apart.
    """
    report = Report(as_json)
    gap = gap_asked(gap_least, orders, error)
    form = None if plot is None else plot_form(plot)
    check_workers(jobs, scheduler)
    artifact = load_artifact(folder)
    backend = find_tolerant(artifact)
    backend.check_gap(artifact, gap)
    find_analogue(artifact)[0].conditions(artifact, conditions)
    elements = {} if by == _NONE else backend.groups(artifact, by)
    known = {t: n for one in GROUPINGS for t, n in backend.groups(artifact, one).items()}
    asked = tuple(_corners(words, known, reach) for words in corners)
    if not elements and not asked:
        raise fail("E0707", "--by none finds no margins", hint="say which --corners to look at")
    labelled = load_stimulus(stimulus, quantised(artifact), steps).take(samples)
    check_stimulus(artifact, labelled.stimulus)
    if gap is not None:
        labelled = inputs_between(artifact, labelled, gap, conditions)
    check_folder(output)
    job = MarginJob.of(
        artifact, labelled, conditions, seed=seed, reach=reach, resolution=resolution, gap=gap
    )
    study = MarginStudy(
        str(artifact.manifest.get("name", folder.name)),
        str(artifact.manifest["target"]),
        job,
        elements,
        asked,
    )
    found = carry_out(
        report,
        study,
        "margins",
        lambda *how: run_margins(study, *how),
        lambda *how: _keep(study, *how),
        jobs=jobs,
        scheduler=scheduler,
        output=output,
    )
    if found is None:
        return 130
    if found.refused:
        first = found.refused[0]
        raise fail(first.code, first.message)
    if output is not None:
        written = _write(output, found)
    _tell(report, found)
    if output is not None:
        report.line(f"wrote {', '.join(written[:-1])} and {written[-1]} in {output}")
    if plot is not None and form is not None:
        from ..margins.figure import draw

        write_file(plot, draw(found, form))
        report.line(f"wrote {plot}")
    places = {"output": output, "plot": plot}
    report.data(found.as_dict() | {k: str(v) for k, v in places.items() if v is not None})
    return 0


def _corners(words: str, known: Mapping[str, int], reach: float) -> Corners:
    """``X,Y`` as two axes; E1492 for what is none."""
    parts = [part.strip() for part in words.split(",")]
    if len(parts) != 2 or not all(parts):
        raise _no_corners(f"'{words}' is not two things that vary", words)
    x, y = (_axis(part, words, known, reach) for part in parts)
    if x.title == y.title:
        raise _no_corners(f"'{x.title}' is both axes", words)
    if len(x.values) * len(y.values) > _MOST:
        number = len(x.values) * len(y.values)
        raise _no_corners(f"these are {number:,} corners; at most {_MOST:,}", words, "wider steps")
    return Corners(x, y)


def _axis(part: str, words: str, known: Mapping[str, int], reach: float) -> Axis:
    title, equals, said = (one.strip() for one in part.partition("="))
    if title != TEMPERATURE and title not in known:
        near = difflib.get_close_matches(title, [TEMPERATURE, *known], n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'?" if near else None
        raise _no_corners(f"no group of elements is '{title}'", words, hint)
    if equals:
        return Axis(title, _values(title, said, words))
    if title == TEMPERATURE:
        raise _no_corners("temperature says no values", words, "as in temperature=0:8:2, in K")
    steps = np.arange(-math.floor(reach / _STEP + 1e-9), math.floor(reach / _STEP + 1e-9) + 1)
    return Axis(title, _rounded(1 + _STEP * steps))


def _values(title: str, said: str, words: str) -> tuple[float, ...]:
    """``LOW:HIGH:STEP``, both ends included where steps come to them."""
    try:
        low, high, step = map(float, said.split(":"))
    except ValueError:
        hint = "LOW:HIGH:STEP, as in 0.8:1.2:0.05"
        raise _no_corners(f"'{said}' are no values of {title}", words, hint) from None
    least, most = (0.0, math.inf) if title == TEMPERATURE else (_LEAST, _FACTOR)
    if not (least <= low <= high <= most and 0 < step < math.inf and high < math.inf):
        hint = f"LOW and HIGH from {least:g}" + (f" to {most:g}" if most < math.inf else "")
        raise _no_corners(f"'{said}' are no values of {title}", words, f"{hint}, STEP above 0")
    if (high - low) / step > _MOST:
        raise _no_corners(f"'{said}' are more than {_MOST:,} values", words, "wider steps")
    return _rounded(low + step * np.arange(math.floor((high - low) / step + 1e-9) + 1))


def _rounded(values: npt.NDArray[Any]) -> tuple[float, ...]:
    return tuple(round(float(value), 9) for value in values)


def _no_corners(message: str, words: str, hint: str | None = None) -> SpikecError:
    usual = "give X,Y, as in --corners bias,areas"
    return fail("E1492", message, Location(f"--corners {words}"), hint or usual)


def _keep(study: MarginStudy, journal: Journal, output: Path, error: BaseException) -> None:
    """Write what there is, and say how to go on."""
    _write(output, FoundMargins(study, journal.results))
    tell_stopped(journal, known_of(study, journal), len(study.points), error)


def _write(output: Path, found: FoundMargins) -> list[str]:
    """Write the files of what was asked for, and say which; tables of an earlier command go."""
    study, tables = found.study, dict[str, bytes]()
    if study.elements:
        tables[TABLE] = found.csv()
    if study.corners:
        tables[CORNERS] = found.corners_csv()
    for name in (TABLE, CORNERS):
        if name not in tables:
            (output / name).unlink(missing_ok=True)
    files = tables | {DATA: found.json()}
    for name, data in files.items():
        write_file(output / name, data)
    return list(files)


def _tell(report: Report, found: FoundMargins) -> None:
    study = found.study
    if found.rows:
        wrong = "first wrong" if study.job.gap is None else "rates"
        heads = ("what", "elements", "low", "high", f"{wrong} below", f"{wrong} above")
        title = f"margins of {study.name} on {study.target}, the least first"
        report.table(title, heads, map(_cells, found.rows))
        report.line(
            f"all values of a group are off together; ends within {study.job.resolution:.2%}, and "
            f"nothing is moved further than {study.job.reach:.0%}"
        )
        for row in found.rows:
            if row.title == "bias":
                report.line(f"global bias margin: {row.margin.low:+.1%} to {row.margin.high:+.1%}")
    for corners in study.corners:
        _tell_corners(report, found, corners)
    if study.job.gap is not None:
        report.line(gap_said(study.job.gap))
    if study.job.conditions:
        report.line(f"all with {', '.join(study.job.conditions)}")


def _cells(row: Row) -> list[str]:
    m = row.margin
    low = f"{'beyond ' if m.open_low else ''}{m.low:+.1%}"
    high = f"{'beyond ' if m.open_high else ''}{m.high:+.1%}"
    return [row.title, f"{row.elements:,}", low, high, row.below or "-", row.above or "-"]


def _tell_corners(report: Report, found: FoundMargins, corners: Corners) -> None:
    """The grid as marks: what was right of all samples, of some, of none; or the gap."""
    shares, gap = found.shares(corners), found.study.job.gap
    x, y = corners.x, corners.y
    legend, right = "# all samples right, + some, . none", shares == 1
    if gap is not None:
        legend = f"# a gap of {gap.least:g} or more, + less, . none"
        right = shares >= gap.least
    report.line(f"{y.title} (down) against {x.title} (across): {legend}")
    width = max(len(f"{value:g}") for value in y.values)
    for value, row in zip(y.values[::-1], np.where(right, np.inf, shares)[::-1], strict=True):
        marks = "".join("#" if s == np.inf else "+" if s > 0 else "." for s in row)
        report.line(f"{value:>{width}g} {marks}")
    ends = f"{x.values[0]:g} to {x.values[-1]:g}"
    report.line(f"{'':>{width}} {ends}, {many(int(right.sum()), 'corner')} of "
                f"{shares.size:,} right")  # fmt: skip
