"""Figures of the cells: how far their values may go, and pulses through one of them.

``python -m spikec.backends.sfq.figures -o DIR`` draws them from ``cells/timing.json`` and a
simulation: ``margins`` and ``pulses``, as SVG or, with ``--png``, PNG. With ``--table`` it prints
the table of the manual instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
import numpy.typing as npt

from ...boards.process import load_process
from ...compiler.backend import need
from ...compiler.report.style import GRID, INK, MUTED, PHASES, Form, style, to_bytes
from .cells import CELLS
from .characterise import PROCESS
from .margins import REACH
from .measure import voltage
from .simulate import Transient
from .testbench import FIRST, Bench, Stimuli
from .timing import known

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

_GROUPS: Final = {
    "bias": "all biases, lines' too",
    "areas": "all junctions' areas",
    "inductances": "all inductances",
    "resistors": "all shunts",
}
_CRITICAL: Final = "the most critical element"
# A DFF is read empty, filled, read, filled twice and read.
_WORD: Final = ((1, 0), (0, 25), (1, 50), (0, 75), (0, 95), (1, 120))
_PS: Final = 1e-12


def margins_figure(found: dict[str, Any], reach: float) -> Figure:
    """A row for each cell, a bar for each kind, dots where nothing failed as far as was tried."""
    from matplotlib.figure import Figure

    names = [name for name in CELLS if "margins" in found.get(name, {})]
    figure = Figure(figsize=(7.6, 0.9 + 0.62 * len(names)), layout="constrained")
    axis = figure.add_subplot()
    titles = (*_GROUPS, _CRITICAL)
    height = 0.8 / len(titles)
    for row, name in enumerate(names):
        ranges = dict(found[name]["margins"])
        ((element, ranges[_CRITICAL]),) = found[name]["critical"].items()
        for k, title in enumerate(titles):
            if title not in ranges:
                continue
            low, high = (100 * value for value in ranges[title])
            place = row + (k - (len(titles) - 1) / 2) * height
            label = _GROUPS.get(title, title) if not row else None
            axis.barh(place, high - low, height * 0.86, low, color=PHASES[k], label=label)
            for end in (low, high):
                if abs(end) >= 100 * reach - 1e-9:
                    axis.plot(end, place, "o", color=PHASES[k], markersize=3.4)
        word = element if _least(ranges[_CRITICAL]) < reach else "none"
        axis.text(100 * reach + 3, row + 2 * height, word, va="center", color=MUTED, fontsize=8)
    axis.axvline(0.0, color=INK, linewidth=0.8)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlim(-100 * reach - 4, 100 * reach + 10)
    axis.set_xlabel("works within (% of the nominal value; dots: as far as was tried)")
    axis.grid(axis="x", color=GRID)
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    return figure


def pulses_figure() -> Figure:
    """Voltages at the nets of a DFF that is read empty, filled and read, filled twice and read."""
    from matplotlib.figure import Figure

    bench = Bench("dff")
    stimuli = Stimuli.of([[(port, FIRST + at * _PS) for port, at in _WORD]])
    simulator, factors, delays = bench.driven(stimuli)
    found = simulator.run(
        Transient(FIRST + 160 * _PS), factors=factors, delays=delays, record=bench.cell.ports
    )
    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    first = None
    for row, port in enumerate(bench.cell.ports):
        axis = figure.add_subplot(len(bench.cell.ports), 1, row + 1, sharex=first, sharey=first)
        first = first or axis
        times, volt = voltage(found, port)
        shown = times >= 0
        axis.plot(times[shown] / _PS, 1e3 * volt[0, shown], color=PHASES[row], linewidth=1.4)
        axis.set_ylabel(f"{port} (mV)")
        axis.grid(axis="both", color=GRID)
        if row + 1 < len(bench.cell.ports):
            axis.tick_params(labelbottom=False)
        else:
            axis.set_xlabel("time (ps)")
    return figure


def draw(name: str, form: Form) -> bytes:
    """One of the figures, ``margins`` or ``pulses``; the same bytes each time."""
    need("matplotlib", "plot", "figures")
    with style(name):
        figure = margins_figure(known(), REACH) if name == "margins" else pulses_figure()
        return to_bytes(figure, name, form)


def table() -> str:
    """The cells in Markdown, beside those of RSFQlib that the process's file has."""
    figures = known()
    published = load_process(PROCESS).published
    lines = [
        "| cell | junctions | delay | apart | bias | element | yield | energy | static | RSFQlib |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in CELLS:
        found = figures[name]
        words = [f"`{name}`", str(found["junctions"])]
        if "delay" in found:
            delay, least, energy = (
                np.array(found[key], np.float64) for key in ("delay", "apart", "energy")
            )
            words += [
                f"{np.nanmax(delay) / _PS:.1f}",
                _between(least / _PS, 1),
                "",
                "",
                "",
                _between(1e18 * energy, 2),
            ]
        else:
            words += ["", "", "", "", "", ""]
        if "margins" in found:
            words[4] = _percent(found["margins"]["bias"])
            ((element, margin),) = found["critical"].items()
            words[5] = f"{element} {_percent(margin)}" if _least(margin) < REACH else "none"
            words[6] = "{} of {}".format(*found["yield"])
        words.append(f"{1e6 * found['static']:.2f}")
        theirs = published.get(name)
        words.append(
            ""
            if theirs is None
            else f"{theirs.delay.value / _PS:.1f} ps, {theirs.junctions.value:.0f}"
        )
        lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def _between(values: Floats, digits: int) -> str:
    """The least and the greatest, once where they are the same in so many digits."""
    ends = [f"{value:.{digits}f}" for value in (np.nanmin(values), np.nanmax(values))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _least(margin: Sequence[float]) -> float:
    return min(-margin[0], margin[1])


def _percent(margin: Sequence[float]) -> str:
    low, high = (100 * value for value in margin)
    return f"{low:+.1f}, {high:+.1f}"


@click.command()
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), default=None)
@click.option("--png", is_flag=True, help="PNG in place of SVG.")
@click.option("--table", "printed", is_flag=True, help="Print the table of the manual.")
def main(output: Path | None, png: bool, printed: bool) -> None:
    """Draw the figures of the cells into a folder, or print their table."""
    if printed:
        click.echo(table(), nl=False)
    if output is None:
        if not printed:
            raise click.UsageError("say where the figures go: -o DIR")
        return
    form: Form = "png" if png else "svg"
    output.mkdir(parents=True, exist_ok=True)
    for name in ("margins", "pulses"):
        (output / f"{name}.{form}").write_bytes(draw(name, form))


if __name__ == "__main__":
    main()
