"""Figures as SVG (or PNG): rasters, networks, errors and latencies.

matplotlib is imported when a figure is drawn, never before; ``available`` tells whether it can be.
The same data gives the same bytes: ids come from a fixed salt, and no date is written.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import util
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal

import networkx as nx
import numpy as np
import numpy.typing as npt

from ...boards.board import Quantity
from ...ir.events import Events, Recording
from ...ir.graph import Graph, Input, Population
from ...ir.neurons import Emission, IntegerNeuron
from ..passes.quantise import LayerError
from .data import Latency
from .tables import model, projection_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Form = Literal["svg", "png"]

# More marks than this in one panel are drawn as an image of bins: the file stays small, and so
# many strokes would overlap anyway.
MOST_MARKS: Final = 4000
_MOST_CROSSES: Final = 400  # marks of mismatches: more would hide what they mark
_BINS: Final = (600, 220)  # of such an image: steps, neurons
_MOST_LINES: Final = 24
_LONGEST_NAME: Final = 28
_WIDTH: Final = 10.0  # inches

# Okabe and Ito's palette, which stays apart under every common colour blindness. Each role has a
# value of its own, so that a page can give it another one on a dark ground (``themed``).
INK, MUTED, GRID = "#1b1f24", "#57606a", "#d8dee4"
SPIKE, WRONG, WINNER = "#2f7fc1", "#c8102f", "#b35900"
PHASES: Final = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9")
BAR, BOX, SOURCE_BOX, READ_BOX = "#0072b3", "#e3eefa", "#eef2f5", "#fdf0d9"

ROLES: Final[Mapping[str, str]] = {
    INK: "ink",
    MUTED: "muted",
    GRID: "grid",
    SPIKE: "spike",
    WRONG: "wrong",
    WINNER: "winner",
    **{colour: f"phase-{k}" for k, colour in enumerate(PHASES)},
    BAR: "bar",
    BOX: "box",
    SOURCE_BOX: "source-box",
    READ_BOX: "read-box",
}


@dataclass(frozen=True)
class Plot:
    """A figure with what a reader who cannot see it is told, and notes on how it was drawn."""

    name: str
    title: str
    svg: str
    alt: str
    notes: tuple[str, ...] = ()


def available() -> bool:
    """Whether matplotlib is there: the extra ``plot``."""
    return util.find_spec("matplotlib") is not None


def themed(svg: str) -> str:
    """The figure with each colour as a CSS variable ``--fig-ROLE``, its own value as fallback."""
    for colour, role in ROLES.items():
        svg = svg.replace(colour, f"var(--fig-{role}, {colour})")
    return re.sub(r"font-family: [^;\"]+", "font-family: var(--fig-font, sans-serif)", svg)


# -- figures for the command line ------------------------------------------------------------------


def plot_graph(graph: Graph, *, form: Form = "svg") -> bytes:
    """The network: populations as boxes, projections as arrows, inputs on top."""
    with _style("graph"):
        return _bytes(_graph_figure(graph), "graph", form)


def plot_recording(
    recordings: Sequence[Recording],
    *,
    sample: int = 0,
    populations: Sequence[str] | None = None,
    graph: Graph | None = None,
    form: Form = "svg",
) -> bytes:
    """Rasters of ``sample``, population by population, the recordings of each below each other.

    What differs from the recording above is marked. Graded populations are drawn as lines.
    ``graph`` gives the scale of integer readouts. Raises ``KeyError`` for a population that no
    recording has.
    """
    names = recorded(recordings) if populations is None else list(populations)
    for name in names:
        if not any(name in r.spikes for r in recordings):
            raise KeyError(name)
    with _style("recording"):
        figure, _ = _raster_figure(recordings, names, sample, graph, titled=True)
        return _bytes(figure, "recording", form)


def recorded(recordings: Sequence[Recording]) -> list[str]:
    """Names of the populations that some recording has, in order of first appearance."""
    return list(dict.fromkeys(name for r in recordings for name in r.spikes))


# -- figures for the report ------------------------------------------------------------------------


def graph_plot(graph: Graph) -> Plot:
    """The network with sizes and synapse counts."""
    rows = projection_rows(graph)
    alt = (
        f"Network of {len(graph.inputs)} inputs and {len(graph.populations)} populations. "
        + " ".join(f"{r.pre} to {r.post}: {r.kind}, {r.synapses:,} synapses." for r in rows[:40])
        + (f" And {len(rows) - 40} more projections." if len(rows) > 40 else "")
    )
    with _style("graph"):
        return Plot("graph", "Populations and projections", _svg(_graph_figure(graph), "graph"), alt)


def raster_plot(
    recordings: Sequence[Recording], population: str, sample: int, graph: Graph | None
) -> Plot:
    """The emission of one population in one sample, on every rung that recorded it."""
    key = f"raster-{population}"
    with _style(key):
        figure, panels = _raster_figure(recordings, [population], sample, graph, titled=False)
        svg = _svg(figure, key)
    alt = f"Emission of population {population} in sample {sample}, one panel a rung. "
    alt += " ".join(f"{p.rung}: {p.caption}." for p in panels)
    notes = dict.fromkeys(note for p in panels for note in p.notes)
    return Plot(key, f"Population {population}", svg, alt, tuple(notes))


def layers_plot(layers: Sequence[LayerError], rates: Mapping[str, float | None]) -> Plot:
    """Signal to quantisation noise, and rate error against the golden rung, layer by layer."""
    with _style("layers"):
        svg = _svg(_layers_figure(layers, rates), "layers")
    parts = []
    for layer in layers:
        ratio = layer.weight_sqnr_db
        text = "weights exact" if ratio is None else f"{ratio:.1f} dB"
        rate = rates.get(layer.population)
        parts.append(
            f"{layer.population}: {text}" + ("" if rate is None else f", rate error {rate:.2%}")
        )
    alt = "Error of quantisation of each layer. " + "; ".join(parts) + "."
    return Plot("layers", "Error of quantisation", svg, alt)


def latency_plot(latency: Latency, sample: int, clock: Quantity | None) -> Plot:
    """Cycles of each step, stacked by phase, with microseconds on the other axis."""
    with _style("latency"):
        svg = _svg(_latency_figure(latency, sample, clock), "latency")
    total = latency.per_step[sample]
    shares = latency.cycles[sample].sum(axis=0)
    parts = ", ".join(
        f"{phase} {int(n):,}" for phase, n in zip(latency.phases, shares, strict=True)
    )
    alt = (
        f"Clock cycles of each of {total.size} steps of sample {sample}, stacked by phase: "
        f"{int(total.min()):,} to {int(total.max()):,} a step, "
        f"{int(total.sum()):,} in all ({parts})."
    )
    return Plot("latency", f"Latency of sample {sample}", svg, alt)


# -- style and output ------------------------------------------------------------------------------


@contextmanager
def _style(salt: str) -> Iterator[None]:
    """matplotlib's defaults whatever the user has set, then ours; the user's come back after."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": "none",
                "svg.hashsalt": f"spikec-{salt}",
                "path.simplify": False,
                "text.parse_math": False,
                "font.family": ["DejaVu Sans"],
                "font.size": 9.5,
                "axes.titlesize": 10.5,
                "axes.titlelocation": "left",
                "axes.edgecolor": MUTED,
                "axes.labelcolor": INK,
                "axes.titlecolor": INK,
                "axes.facecolor": "none",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.linewidth": 0.8,
                "text.color": INK,
                "xtick.color": MUTED,
                "ytick.color": MUTED,
                "xtick.labelcolor": INK,
                "ytick.labelcolor": INK,
                "grid.color": GRID,
                "grid.linewidth": 0.7,
                "axes.axisbelow": True,
                "figure.facecolor": "none",
                "savefig.facecolor": "none",
                "legend.frameon": False,
                "legend.fontsize": 9.0,
                "legend.labelcolor": INK,
            }
        )
        yield


def _bytes(figure: Figure, name: str, form: Form) -> bytes:
    if form == "svg":
        return _svg(figure, name).encode()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def _svg(figure: Figure, name: str) -> str:
    buffer = io.BytesIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", metadata=nothing)
    return _tidy(buffer.getvalue().decode(), name)


def _tidy(svg: str, name: str) -> str:
    """Made fit to stand inside a page, and smaller.

    A page must hold each id once, a style sheet inside an SVG would rule the whole page, and two
    decimals of a point are finer than any screen.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg stroke-linejoin="round" ', 1)
    used = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", svg))
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower())

    def identify(match: re.Match[str]) -> str:
        return f' id="{slug}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r' id="([^"]*)"', identify, svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{slug}-", svg)

    def shorten(match: re.Match[str]) -> str:
        return match[1] + re.sub(r"-?\d+\.\d{3,}", _two_decimals, match[2])

    svg = re.sub(
        r"( (?:d|x|y|x1|y1|x2|y2|points|transform|width|height)=)(\"[^\"]*\")", shorten, svg
    )
    svg = svg.replace(" \n", " ").replace('transform="rotate(-0', 'transform="rotate(0')
    return re.sub(r"\s*\n\s*", "\n", svg).strip() + "\n"


def _two_decimals(match: re.Match[str]) -> str:
    return f"{float(match[0]):.2f}".rstrip("0").rstrip(".")


def _figure(
    heights: Sequence[float],
    widths: Sequence[float] = (1.0,),
    *,
    left: float = 0.75,
    right: float = 0.2,
    top: float = 0.35,
    bottom: float = 0.55,
    gap: tuple[float, float] = (0.3, 0.25),
) -> tuple[Figure, npt.NDArray[Any]]:
    """Axes of these heights below and these relative widths beside each other; all in inches.

    Margins are given, not fitted: panels of all figures of a page then start at the same place,
    and nothing is drawn twice to be measured.
    """
    from matplotlib.figure import Figure

    height = top + sum(heights) + gap[0] * (len(heights) - 1) + bottom
    room = _WIDTH - left - right - gap[1] * (len(widths) - 1)
    figure = Figure(figsize=(_WIDTH, height))
    axes = np.empty((len(heights), len(widths)), object)
    y = height - top
    for row, tall in enumerate(heights):
        y -= tall
        x = left
        for column, share in enumerate(widths):
            wide = room * share / sum(widths)
            box = (x / _WIDTH, y / height, wide / _WIDTH, tall / height)
            axes[row, column] = figure.add_axes(box)
            x += wide + gap[1]
        y -= gap[0]
    return figure, axes


def _whole_numbers(axis: Axis) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))


# -- rasters ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Panel:
    """What was drawn of one population on one rung."""

    rung: str
    caption: str
    notes: tuple[str, ...]


def _raster_figure(
    recordings: Sequence[Recording],
    populations: Sequence[str],
    sample: int,
    graph: Graph | None,
    *,
    titled: bool,
) -> tuple[Figure, list[_Panel]]:
    rows = [
        (name, recording, above)
        for name in populations
        for recording, above in _ladder(recordings, name, sample)
    ]
    if not rows:
        raise ValueError(f"no recording has sample {sample}")
    heights = [_panel_height(r, above, name, graph) for name, r, above in rows]
    figure, axes = _figure(heights, bottom=0.85)
    steps = max(r.spikes[name].steps for name, r, _ in rows)
    panels = []
    for k, (name, recording, above) in enumerate(rows):
        axis = axes[k, 0]
        panel = _panel(axis, name, recording, above, sample, graph)
        prefix = f"{name} · " if titled else ""
        axis.set_title(f"{prefix}{recording.rung}", fontweight="bold")
        axis.set_title(panel.caption, loc="right", fontsize=9.0, color=MUTED)
        axis.set_xlim(-0.5, steps - 0.5)
        _whole_numbers(axis.xaxis)
        axis.tick_params(axis="x", labelbottom=k == len(rows) - 1)
        panels.append(panel)
    axes[-1, 0].set_xlabel(f"step (one is {_seconds(recordings[0].dt)})")
    _raster_legend(figure)
    return figure, panels


def _ladder(
    recordings: Sequence[Recording], name: str, sample: int
) -> Iterator[tuple[Recording, Recording | None]]:
    """The recordings that have this population and sample, each with the one above it."""
    above = None
    for recording in recordings:
        if name in recording.spikes and sample < recording.spikes[name].samples:
            yield recording, above
            above = recording


def _panel_height(
    recording: Recording, above: Recording | None, name: str, graph: Graph | None
) -> float:
    if _graded((recording, above), name, _neuron(graph, name)):
        return 1.2
    return float(np.clip(0.3 + recording.spikes[name].size * 0.055, 0.7, 2.3))


def _panel(
    axis: Axes,
    name: str,
    recording: Recording,
    above: Recording | None,
    sample: int,
    graph: Graph | None,
) -> _Panel:
    events = recording.spikes[name]
    reference = None if above is None else above.spikes[name]
    neuron = _neuron(graph, name)
    if _graded((recording, above), name, neuron):
        return _trace_panel(axis, recording.rung, events, reference, above, sample, neuron)
    low, high = events.span(sample)
    step, index = events.step[low:high], events.index[low:high]
    notes = []
    if step.size <= MOST_MARKS:
        _ticks(axis, step, index, events)
    else:
        notes.append(_density(axis, step, index, events, SPIKE))
    axis.set_ylim(events.size - 0.5, -0.5)
    axis.set_ylabel("neuron")
    _whole_numbers(axis.yaxis)
    count = int(events.value[low:high].sum())
    caption = f"{count:,} {_plural('spike', count)}"
    if reference is not None and above is not None:
        if (reference.steps, reference.size) != (events.steps, events.size):
            return _Panel(recording.rung, f"{caption}, not comparable", tuple(notes))
        gone, extra = _mismatches(reference, events, sample)
        differ = gone[0].size + extra[0].size
        caption += f", {differ:,} differ from {above.rung}" if differ else f", as {above.rung}"
        if differ > _MOST_CROSSES:
            when, where = (np.concatenate(pair) for pair in zip(gone, extra, strict=True))
            notes.append(_density(axis, when, where, events, WRONG))
        else:
            for (when, where), marker, label in ((gone, "o", "missing"), (extra, "x", "too many")):
                if when.size:
                    _marks(axis, when, where, marker, label)
    return _Panel(recording.rung, caption, tuple(notes))


def _neuron(graph: Graph | None, name: str) -> Any:
    populations = () if graph is None else graph.populations
    return next((p.neuron for p in populations if p.name == name), None)


def _graded(recordings: Sequence[Recording | None], name: str, neuron: Any) -> bool:
    if isinstance(neuron, IntegerNeuron):
        return not neuron.spiking
    if neuron is not None:
        return bool(neuron.EMISSION is Emission.GRADED)
    emissions = [r.spikes[name] for r in recordings if r is not None]
    return any(not e.integer or bool((e.value < 0).any()) for e in emissions)


def _ticks(axis: Axes, step: Any, index: Any, events: Events) -> None:
    """All spikes as one path of short strokes: a fraction of the size of one mark each."""
    x = np.repeat(step.astype(np.float64), 3)
    y = np.repeat(index.astype(np.float64), 3)
    y[0::3] -= 0.38
    y[1::3] += 0.38
    x[2::3] = y[2::3] = np.nan
    points = _WIDTH * 72 * 0.9 / max(events.steps, 1)
    width = float(np.clip(points * 0.45, 0.8, 3.2))
    axis.plot(x, y, color=SPIKE, linewidth=width, solid_capstyle="butt")


def _marks(axis: Axes, step: Any, index: Any, marker: str, label: str) -> None:
    axis.plot(
        step,
        index,
        linestyle="none",
        marker=marker,
        markersize=6.0,
        markerfacecolor="none",
        markeredgecolor=WRONG,
        markeredgewidth=1.5,
        label=label,
        clip_on=False,
        zorder=5,
    )


def _density(axis: Axes, step: Any, index: Any, events: Events, colour: str) -> str:
    """Spikes counted in bins, drawn as an image; returns the note that says so."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    columns, rows = min(events.steps, _BINS[0]), min(events.size, _BINS[1])
    counts, _, _ = np.histogram2d(
        index + 0.5, step + 0.5, (rows, columns), ((0, events.size), (0, events.steps))
    )
    # The square root keeps a single spike visible beside a crowded bin; a mismatch is never faint.
    shade = np.sqrt(counts / max(counts.max(), 1.0))
    if colour == WRONG:
        shade = np.where(counts > 0, 0.6 + 0.4 * shade, 0.0)
    clear, full = (*to_rgb(colour), 0.0), (*to_rgb(colour), 1.0)
    axis.imshow(
        np.rint(shade * 15) / 15,
        cmap=LinearSegmentedColormap.from_list("density", [clear, full], 16),
        vmin=0.0,
        vmax=1.0,
        aspect="auto",
        interpolation="none",
        extent=(-0.5, events.steps - 0.5, events.size - 0.5, -0.5),
        zorder=4 if colour == WRONG else 2,
    )
    per = ceil(events.size / rows), ceil(events.steps / columns)
    most, what = (_MOST_CROSSES, "mismatches") if colour == WRONG else (MOST_MARKS, "spikes")
    return (
        f"More than {most:,} {what} in a panel are drawn as an image: each is counted in a bin of "
        f"{per[0]} {_plural('neuron', per[0])} x {per[1]} {_plural('step', per[1])}, "
        "in a stronger colour for more."
    )


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _mismatches(
    above: Events, below: Events, sample: int
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """(step, neuron) where ``below`` has fewer spikes than ``above``, and where it has more."""
    keys, values = [], []
    for events in (above, below):
        low, high = events.span(sample)
        keys.append(events.step[low:high].astype(np.int64) * events.size + events.index[low:high])
        values.append(events.value[low:high])
    union = np.union1d(*keys)
    change = np.zeros(union.size)
    change[np.searchsorted(union, keys[1])] += values[1]
    change[np.searchsorted(union, keys[0])] -= values[0]
    size = max(below.size, 1)
    gone, extra = (np.divmod(union[mask], size) for mask in (change < 0, change > 0))
    return (gone[0], gone[1]), (extra[0], extra[1])


def _trace_panel(
    axis: Axes,
    rung: str,
    events: Events,
    reference: Events | None,
    above: Recording | None,
    sample: int,
    neuron: Any,
) -> _Panel:
    values, unit = _real(events, sample, neuron)
    notes = []
    order = np.argsort(-values.sum(axis=0), kind="stable")
    shown = np.sort(order[:_MOST_LINES])
    if shown.size < values.shape[1]:
        notes.append(
            f"Of {values.shape[1]:,} graded neurons the {_MOST_LINES} with the largest sum "
            "are drawn."
        )
    steps = np.arange(values.shape[0])
    for line in shown:
        axis.plot(steps, values[:, line], color=SPIKE, linewidth=1.0, alpha=0.55)
    winner = int(order[0])
    axis.plot(steps, values[:, winner], color=WINNER, linewidth=2.0, label="largest sum")
    axis.set_ylabel(f"v ({unit})", fontsize=9.0)
    axis.grid(axis="y")
    caption = f"largest sum: neuron {winner}"
    if reference is not None and above is not None:
        other, other_unit = _real(reference, sample, neuron)
        if other.shape != values.shape:
            caption += ", not comparable"
        elif reference.integer == events.integer:
            wrong = np.argwhere(other != values)
            caption += (
                f", {len(wrong):,} differ from {above.rung}" if len(wrong) else f", as {above.rung}"
            )
            wrong = wrong[np.isin(wrong[:, 1], shown)][:MOST_MARKS]
            if len(wrong):
                _marks(axis, wrong[:, 0], values[wrong[:, 0], wrong[:, 1]], "x", "differs")
        elif other_unit == unit:
            error = float(np.max(np.abs(other - values), initial=0.0))
            caption += f", within {error:.3g} of {above.rung}"
    return _Panel(rung, caption, tuple(notes))


def _real(events: Events, sample: int, neuron: Any) -> tuple[npt.NDArray[Any], str]:
    """Dense values of one sample and their unit: the membrane's own where the scale is known."""
    values = events.dense(sample)
    if not events.integer:
        return values, "model unit"
    if isinstance(neuron, IntegerNeuron):
        return values * neuron.scale, "model unit"
    return values, "integer units"


def _raster_legend(figure: Figure) -> None:
    found: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    meaning = {
        "missing": "missing here, present above",
        "too many": "present here, absent above",
        "differs": "differs from above",
        "largest sum": "neuron with the largest sum",
    }
    if found:
        figure.legend(
            list(found.values()),
            [meaning[label] for label in found],
            loc="lower right",
            bbox_to_anchor=(1 - 0.2 / _WIDTH, 0.0),
            borderaxespad=0.3,
            ncols=len(found),
        )


def _seconds(dt: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if dt * factor >= 1 or unit == "ns":
            return f"{dt * factor:g} {unit}"
    raise AssertionError  # pragma: no cover - the last unit always returns


# -- errors and latency ----------------------------------------------------------------------------


def _layers_figure(layers: Sequence[LayerError], rates: Mapping[str, float | None]) -> Figure:
    names = [layer.population for layer in layers]
    known = [rates.get(name) for name in names]
    columns = 2 if any(rate is not None for rate in known) else 1
    left = 0.3 + 0.085 * min(max(map(len, names)), _LONGEST_NAME)
    figure, axes = _figure(
        [0.25 + 0.32 * len(layers)], [1.0] * columns, left=left, top=0.1, gap=(0.0, 0.35)
    )
    ratios = [layer.weight_sqnr_db for layer in layers]
    _bars(
        axes[0, 0],
        names,
        ratios,
        lambda x: f"{x:.1f}",
        "exact",
        "weights: signal to quantisation noise (dB), more is better",
    )
    if columns == 2:
        percent = [None if rate is None else rate * 100 for rate in known]
        _bars(
            axes[0, 1],
            names,
            percent,
            lambda x: f"{x:.2f}",
            "not compared",
            "spikes: rate error against golden (%), less is better",
        )
        axes[0, 1].tick_params(axis="y", labelleft=False)
    return figure


def _bars(
    axis: Axes,
    names: Sequence[str],
    values: Sequence[float | None],
    text: Callable[[float], str],
    absent: str,
    label: str,
) -> None:
    place = np.arange(len(names))
    axis.barh(place, [value or 0.0 for value in values], height=0.62, color=BAR)
    for k, value in enumerate(values):
        axis.annotate(
            absent if value is None else text(value),
            (value or 0.0, k),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.0,
            color=MUTED if value is None else INK,
        )
    axis.set_yticks(place, [_clip(name, _LONGEST_NAME) for name in names])
    axis.set_ylim(len(names) - 0.5, -0.5)
    largest = max((value for value in values if value is not None), default=0.0)
    axis.set_xlim(0, largest * 1.15 or 1.0)
    axis.set_xlabel(label)
    axis.grid(axis="x")
    axis.tick_params(axis="y", length=0)


def _latency_figure(latency: Latency, sample: int, clock: Quantity | None) -> Figure:
    figure, axes = _figure([2.6], right=0.85, top=0.45)
    axis = axes[0, 0]
    steps = latency.cycles.shape[1]
    edges = np.arange(steps + 1) - 0.5
    base = np.zeros(steps)
    for k, phase in enumerate(latency.phases):
        top = base + latency.cycles[sample, :, k]
        axis.stairs(top, edges, baseline=base, fill=True, color=_phase(k), label=phase)
        base = top
    axis.set_xlim(-0.5, steps - 0.5)
    axis.set_ylim(0, float(base.max()) * 1.06 or 1.0)
    axis.set_xlabel("step")
    axis.set_ylabel("clock cycles")
    _whole_numbers(axis.xaxis)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.grid(axis="y")
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=len(latency.phases))
    if clock is not None:
        period = 1e6 / clock.value
        right = axis.secondary_yaxis(
            "right", functions=(lambda x: x * period, lambda x: x / period)
        )
        right.set_ylabel(f"µs at {clock.value / 1e6:g} MHz")
        right.spines["right"].set_visible(True)
    return figure


def _phase(k: int) -> str:
    return PHASES[k % len(PHASES)]


# -- the network -----------------------------------------------------------------------------------

_BOX: Final = (2.35, 0.62)  # inches
_GAP: Final = (0.55, 0.62)


def _graph_figure(graph: Graph) -> Figure:
    from matplotlib.figure import Figure

    layers = _graph_layers(graph)
    widest = max(len(layer) for layer in layers)
    width = max(_WIDTH, widest * (_BOX[0] + _GAP[0]) + 3.0)
    height = len(layers) * _BOX[1] + (len(layers) - 1) * _GAP[1] + 0.3
    figure = Figure(figsize=(width, height))
    axis = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axis.set_xlim(0, width)
    axis.set_ylim(0, height)
    axis.set_axis_off()
    place = {}
    for depth, layer in enumerate(layers):
        y = height - 0.15 - _BOX[1] / 2 - depth * (_BOX[1] + _GAP[1])
        left = width / 2 - (len(layer) - 1) * (_BOX[0] + _GAP[0]) / 2
        for k, name in enumerate(layer):
            place[name] = (left + k * (_BOX[0] + _GAP[0]), y)
    depths = {name: depth for depth, layer in enumerate(layers) for name in layer}
    _draw_projections(axis, graph, place, depths)
    outputs = {output.source for output in graph.outputs}
    for node in _nodes(graph):
        _draw_box(axis, node, place[node.name], node.name in outputs)
    return figure


def _nodes(graph: Graph) -> list[Input | Population]:
    return [*graph.inputs, *graph.populations]


def _graph_layers(graph: Graph) -> list[list[str]]:
    """Nodes by depth, edges that close a loop left out; each layer in the graph's order."""
    rank = {node.name: k for k, node in enumerate(_nodes(graph))}
    whole: nx.DiGraph[str] = nx.DiGraph()
    whole.add_nodes_from(rank)
    whole.add_edges_from((p.pre, p.post) for p in graph.projections)
    part = {
        name: k
        for k, members in enumerate(nx.strongly_connected_components(whole))
        for name in members
    }
    forward: nx.DiGraph[str] = nx.DiGraph()
    forward.add_nodes_from(rank)
    forward.add_edges_from(
        (a, b) for a, b in whole.edges if part[a] != part[b] or rank[a] < rank[b]
    )
    generations = nx.topological_generations(forward)
    return [sorted(layer, key=rank.__getitem__) for layer in generations]


def _draw_box(axis: Axes, node: Input | Population, place: tuple[float, float], read: bool) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = place
    colour = SOURCE_BOX if isinstance(node, Input) else READ_BOX if read else BOX
    axis.add_patch(
        FancyBboxPatch(
            (x - _BOX[0] / 2, y - _BOX[1] / 2),
            *_BOX,
            boxstyle="round,pad=0,rounding_size=0.08",
            facecolor=colour,
            edgecolor=MUTED,
            linewidth=1.0,
            zorder=3,
        )
    )
    what = "input" if isinstance(node, Input) else model(node)
    shape = " x ".join(map(str, node.shape))
    unit = "lines" if isinstance(node, Input) else "neurons"
    size = f"{node.size:,}" if len(node.shape) <= 1 else f"{shape} = {node.size:,}"
    style: dict[str, Any] = {"ha": "center", "zorder": 4}
    name = _clip(node.name, 26)
    axis.text(x, y + 0.1, name, va="center", fontsize=10.5, fontweight="bold", **style)
    detail = f"{what} · {size} {unit}" + (" · output" if read else "")
    axis.text(x, y - 0.15, _clip(detail, 40), va="center", fontsize=8.0, **style)


def _draw_projections(
    axis: Axes, graph: Graph, place: Mapping[str, tuple[float, float]], depths: Mapping[str, int]
) -> None:
    from matplotlib.patches import FancyArrowPatch

    beside: dict[tuple[str, str], int] = {}
    for row in projection_rows(graph):
        pair = row.pre, row.post
        turn = beside[pair] = beside.get(pair, -1) + 1
        down = depths[row.post] - depths[row.pre]
        (x0, y0), (x1, y1) = place[row.pre], place[row.post]
        half = _BOX[1] / 2
        text = f"{_clip(row.kind, 44)} · {row.synapses:,} synapses"
        text += f" · delay {row.delay}" if row.delay else ""
        label: tuple[float, float]
        align = "left"
        if row.pre == row.post:
            side = x0 + _BOX[0] / 2
            start, end = (side, y0 + half * 0.5), (side, y0 - half * 0.5)
            bend, label = f"arc3,rad={-1.3 - 0.3 * turn}", (side + 0.34 + 0.2 * turn, y0)
        elif down == 1:
            shift = 0.22 * turn
            start, end = (x0 + shift, y0 - half), (x1 + shift, y1 + half)
            bend = "arc3,rad=0"
            label = ((start[0] + end[0]) / 2 + 0.12, (start[1] + end[1]) / 2 - 0.16 * turn)
        else:
            # Past other layers, or back up: around the boxes, on the side that has no labels.
            side = -_BOX[0] / 2
            start, end = (x0 + side, y0), (x1 + side, y1)
            bend = f"arc3,rad={0.45 + 0.1 * turn}" if down > 0 else f"arc3,rad={-0.45 - 0.1 * turn}"
            reach = (abs(y0 - y1) * (0.45 + 0.1 * turn)) / 2
            label, align = (min(start[0], end[0]) - reach - 0.06, (y0 + y1) / 2), "right"
        loop = row.pre == row.post or down <= 0
        axis.add_patch(
            FancyArrowPatch(
                start,
                end,
                connectionstyle=bend,
                arrowstyle="-|>",
                mutation_scale=11,
                shrinkA=0,
                shrinkB=0,
                color=MUTED,
                linewidth=1.2,
                linestyle="--" if loop else "-",
                zorder=2,
            )
        )
        axis.text(*label, text, va="center", ha=align, fontsize=8.0, zorder=4)


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
