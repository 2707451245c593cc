"""Figures as SVG (or PNG): rasters, networks, errors and latencies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.quantity import Quantity
from ...ir.events import Events, Recording
from ...ir.graph import Graph
from ...ir.neurons import Emission, IntegerNeuron
from ..passes.quantise import LayerError
from .data import Choice, Latency
from .network import network_figure
from .style import (
    BAR,
    INK,
    MUTED,
    PHASES,
    SPIKE,
    WINNER,
    WRONG,
    Form,
    Plot,
    clip,
    style,
    to_bytes,
    to_svg,
)
from .tables import projection_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# More marks than this in one panel are drawn as an image of bins: the file stays small, and so
# many strokes would overlap anyway.
MOST_MARKS: Final = 4000
_MOST_CROSSES: Final = 400  # marks of mismatches: more would hide what they mark
_BINS: Final = (600, 220)  # of such an image: steps, neurons
_MOST_LINES: Final = 24
_LONGEST_NAME: Final = 28
_WIDTH: Final = 10.0  # inches

# -- figures for the command line ------------------------------------------------------------------


def plot_graph(graph: Graph, *, form: Form = "svg") -> bytes:
    """The network: populations as boxes, projections as arrows, inputs on top."""
    with style("graph"):
        return to_bytes(network_figure(graph), "graph", form)


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
    with style("recording"):
        figure, _ = _raster_figure(recordings, names, sample, graph, titled=True)
        return to_bytes(figure, "recording", form)


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
    with style("graph"):
        return Plot(
            "graph", "Populations and projections", to_svg(network_figure(graph), "graph"), alt
        )


def raster_plot(
    recordings: Sequence[Recording], population: str, sample: int, graph: Graph | None
) -> Plot:
    """The emission of one population in one sample, on every rung that recorded it."""
    key = f"raster-{population}"
    with style(key):
        figure, panels = _raster_figure(recordings, [population], sample, graph, titled=False)
        svg = to_svg(figure, key)
    alt = f"Emission of population {population} in sample {sample}, one panel a rung. "
    alt += " ".join(f"{p.rung}: {p.caption}." for p in panels)
    notes = dict.fromkeys(note for p in panels for note in p.notes)
    return Plot(key, f"Population {population}", svg, alt, tuple(notes))


def layers_plot(layers: Sequence[LayerError], rates: Mapping[str, float | None]) -> Plot:
    """Signal to quantisation noise, and rate error against the golden rung, layer by layer."""
    with style("layers"):
        svg = to_svg(_layers_figure(layers, rates), "layers")
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
    with style("latency"):
        svg = to_svg(_latency_figure(latency, sample, clock), "latency")
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


def choice_plot(choice: Choice) -> Plot:
    """Cells over cycles a step of the cores that no other beats, the one that was taken marked."""
    with style("choice"):
        svg = to_svg(_choice_figure(choice), "choice")
    parts = "; ".join(
        f"{one.title}{', taken' * one.taken}: {one.cycles:,.0f} cycles, {one.cells:,} cells"
        for one in choice.candidates
    )
    return Plot("choice", "What there was to choose from", svg, f"Cores by forecast. {parts}.")


# -- axes ---------------------------------------------------------------------------------------


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
    axis.set_yticks(place, [clip(name, _LONGEST_NAME) for name in names])
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


def _choice_figure(choice: Choice) -> Figure:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    figure, axes = _figure([2.8], top=0.45)
    axis = axes[0, 0]
    cycles = [one.cycles for one in choice.candidates]
    cells = [one.cells for one in choice.candidates]
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.plot(cycles, cells, "o-", color=BAR, markersize=5, linewidth=0.8, label="no other beats")
    for one in choice.candidates:
        if one.taken:
            axis.plot([one.cycles], [one.cells], "D", color=WINNER, markersize=8, label="taken")
    if choice.most is not None:
        axis.axvline(choice.most, color=MUTED, linewidth=1.0, linestyle="--", label="at most")
    goal = [] if choice.most is None else [choice.most]
    for scale, values in ((axis.xaxis, cycles + goal), (axis.yaxis, cells)):
        low, high = min(values) / 1.2, max(values) * 1.2
        scale.axes.set(**{f"{scale.axis_name}lim": (low, high)})
        # Of a short range 1, 2 and 5 of a decade may leave a single number, or none.
        wide = high / low > 6
        scale.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if wide else MaxNLocator(4))
        scale.set_major_formatter("{x:,.0f}")
        scale.set_minor_formatter(NullFormatter())
    axis.set_xlabel("cycles of a step, by forecast")
    axis.set_ylabel("cells of logic")
    axis.grid(visible=True)
    axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)
    return figure


def _phase(k: int) -> str:
    return PHASES[k % len(PHASES)]
