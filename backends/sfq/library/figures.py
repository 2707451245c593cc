"""Figures of the cells: how far their values may go, and pulses through one of them.

``python -m spikec.backends.sfq.library.figures -o DIR`` draws them from ``cells/timing.json`` and
simulations: ``margins``, ``elements``, ``decision`` and ``pulses``, as SVG or, with ``--png``, PNG.
With ``--table`` it prints the table of the manual instead, with ``--library`` the manual's page of
all parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
import numpy.typing as npt

from ....compiler.backend import need
from ....compiler.report.style import GRID, INK, MUTED, PHASES, Form, style, to_bytes
from ..cells import CELLS, cell
from ..cells.published import published
from ..cells.timing import known, neurons
from ..josephson.margins import REACH
from ..josephson.measure import voltage
from ..josephson.simulate import Transient
from . import decision
from .centre import ruled
from .testbench import FIRST, Bench, Stimuli

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
        element, ranges[_CRITICAL] = critical(found[name])
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


def elements_figure(found: dict[str, Any], reach: float) -> Figure:
    """Of each cell a bar for each element, dots where nothing failed as far as was tried."""
    from matplotlib.figure import Figure

    names = [name for name in CELLS if "elements" in found.get(name, {})]
    columns = 4
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(11.0, 3.4 * rows), layout="constrained")
    for k, name in enumerate(names):
        axis = figure.add_subplot(rows, columns, k + 1)
        elements = found[name]["elements"]
        low, high = 100 * np.array(list(elements.values())).T
        place = np.arange(len(elements))
        colours = [PHASES["BLRI".index(element[0])] for element in elements]
        axis.barh(place, high - low, 0.8, low, color=colours)
        for ends in (low, high):
            far = np.abs(ends) >= 100 * reach - 1e-9
            axis.plot(ends[far], place[far], ".", color=INK, markersize=2.5)
        axis.axvline(0.0, color=INK, linewidth=0.8)
        axis.set_yticks(place, list(elements), fontsize=4.5)
        axis.invert_yaxis()
        axis.set_xlim(-100 * reach - 4, 100 * reach + 4)
        axis.set_title(name, fontsize=9)
        axis.grid(axis="x", color=GRID)
        axis.set_axisbelow(True)
    figure.supxlabel("works within (% of the nominal value; dots: as far as was tried)", fontsize=9)
    return figure


def decision_figure() -> Figure:
    """What `threshold` does at each bias, and how long it takes to."""
    from matplotlib.figure import Figure

    biases = decision.BIASES
    does = decision.decisions(biases)
    both, one = decision.delays(biases)
    figure = Figure(figsize=(7.6, 3.2), layout="constrained")
    axis = figure.add_subplot()
    half = 0.5 * float(biases[1] - biases[0])
    for k, kind in enumerate((*decision.KINDS, decision.OTHER)):
        label: str | None = kind
        for bias in biases[does == kind].tolist():
            ends = (1e6 * (bias - half), 1e6 * (bias + half))
            axis.axvspan(*ends, color=PHASES[k], alpha=0.25, linewidth=0, label=label)
            label = None
    axis.plot(1e6 * biases, both / _PS, color=INK, label="delay of two at once")
    axis.plot(1e6 * biases, one / _PS, color=INK, linestyle="--", label="delay of one")
    axis.axvline(1e6 * decision.nominal(), color=MUTED, linewidth=0.8)
    axis.set_xlabel("bias Ib (uA); the line is where the deck has it")
    axis.set_ylabel("delay (ps)")
    axis.set_ylim(0.0, None)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
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


_FIGURES: Final[dict[str, Callable[[], Any]]] = {
    "margins": lambda: margins_figure(known(), REACH),
    "elements": lambda: elements_figure(known(), REACH),
    "decision": decision_figure,
    "pulses": pulses_figure,
}


def draw(name: str, form: Form) -> bytes:
    """One of the figures by its name; the same bytes each time."""
    need("matplotlib", "plot", "figures")
    with style(name):
        return to_bytes(_FIGURES[name](), name, form)


def critical(found: dict[str, Any]) -> tuple[str, list[float]]:
    """The element of a cell with the least room, the first of them, and its range."""
    elements: dict[str, list[float]] = found["elements"]
    name = min(elements, key=lambda element: _least(elements[element]))
    return name, elements[name]


def table() -> str:
    """The cells and neurons in Markdown, beside cells of RSFQlib."""
    others = published()
    lines = [
        "| cell | junctions | delay | apart | bias | element | yield | energy | static | RSFQlib |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    rows = {f"`{name}`": known()[name] for name in CELLS}
    rows |= {f"neuron, θ = {k}": found for k, found in neurons().items() if "apart" in found}
    for name, found in rows.items():
        words = [name, str(found["junctions"]), "", "", "", "", "", ""]
        figures = found | found.get("decision", {}) | found.get("converts", {})
        delay, least, energy = (
            np.array(figures[key], np.float64) for key in ("delay", "apart", "energy")
        )
        # Of the one that two inputs make send it is the delay of two at once.
        words[2] = _between(delay[:1] / _PS if "decision" in found else delay / _PS, 1)
        words[3] = _between(least / _PS, 1)
        words[7] = _between(1e18 * energy, 2)
        if "margins" in found:
            words[4] = _percent(found["margins"]["bias"])
            element, margin = critical(found)
            element = element.replace("|", " of ")
            words[5] = f"{element} {_percent(margin)}" if _least(margin) < REACH else "none"
            words[6] = "{} of {}".format(*found["yield"])
        theirs = others.get(name.strip("`"))
        words += [
            f"{1e6 * found['static']:.2f}",
            ""
            if theirs is None
            else f"{theirs.delay.value / _PS:.1f} ps, {theirs.junctions.value:.0f}",
        ]
        lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def library() -> str:
    """Each cell in Markdown: its drawing, its parameters, and margins of these and of elements."""
    out = []
    for name in CELLS:
        this, found = cell(name), known()[name]
        rule = ruled(name)
        out += [f"## {name}", "", f"{this.title}.", "", f"![{name}](cells/{name}.svg)", ""]
        out += ["| parameter | sets | rule | value | margin |", "|---|---|---|---|---|"]
        for parameter in this.parameters.values():
            by = ""
            if parameter.rule is not None:
                value = _said(parameter.name, rule[parameter.name])
                by = f"{parameter.rule.replace('*', ' ')} = {value}"
            room = found.get("parameters", {}).get(parameter.name)
            words = [
                parameter.name,
                parameter.what[0].lower() + parameter.what[1:],
                by,
                _said(parameter.name, parameter.value),
                "" if room is None else _percent(room),
            ]
            out.append("| " + " | ".join(words) + " |")
        if "elements" in found:
            room = found["elements"]
            each = (f"{element} {_percent(ends)}" for element, ends in room.items())
            out += ["", "Elements: " + "; ".join(each) + "."]
        out.append("")
    return "\n".join(out[:-1]) + "\n"


def _said(parameter: str, value: float) -> str:
    """A parameter's value in the unit that its letter has."""
    scale, unit = {"L": (1e12, " pH"), "I": (1e6, " uA"), "R": (1.0, " ohm")}.get(
        parameter[0], (1.0, "")
    )
    return f"{value * scale:.3g}{unit}"


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
@click.option("--table", "tabled", is_flag=True, help="Print the table of the manual.")
@click.option("--library", "listed", is_flag=True, help="Print the manual's page of parameters.")
def main(output: Path | None, png: bool, tabled: bool, listed: bool) -> None:
    """Draw the figures of the cells into a folder, or print what the manual has of them."""
    if tabled:
        click.echo(table(), nl=False)
    if listed:
        click.echo(library(), nl=False)
    if output is None:
        if not (tabled or listed):
            raise click.UsageError("say where the figures go: -o DIR")
        return
    form: Form = "png" if png else "svg"
    output.mkdir(parents=True, exist_ok=True)
    for name in _FIGURES:
        (output / f"{name}.{form}").write_bytes(draw(name, form))


if __name__ == "__main__":
    main()
