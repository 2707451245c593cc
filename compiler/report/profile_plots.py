"""Figures of a profile: what steps wait for, where cores and links are busy, what energy goes to.

`LATENCY` and `ENERGY` list them in the order of the page; a further figure is one more function
there, which gives ``None`` where the profile has nothing for it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from math import ceil, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from ...boards.quantity import engineering
from . import machine_map
from .machine_map import WIDTH, Array, Grid, colour_bar, draw_shares, labelled, palette, window
from .profile_data import Busy, EnergyLine, ProfileView, Wait, bins
from .style import BAR, BOX, GRID, INK, MUTED, PHASES, WINNER, WRONG, Plot, clip, style, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LEFT: Final = 0.75
_RIGHT: Final = 0.85  # with the bar of colours
_MOST_CAUSES: Final = 10  # bars of a panel
_MOST_LINES: Final = 30  # bars of energies
_LEAST_SAMPLES: Final = 8  # a histogram of fewer says less than their numbers
# Of a tick that is nearly empty, what fills it would be invisible beside the rest.
_EMPTY: Final = 0.25
_KINDS: Final = {"dynamic": PHASES[0], "host": PHASES[3], "static": PHASES[1]}


def amount(value: float, unit: str) -> str:
    """A number with the prefix that suits it: ``33.6 pJ``, ``1.5 µs``."""
    return engineering(value, unit).replace(" u", " µ")


def percent(share: float) -> str:
    """``7.6 %``; what is there but rounds to nothing says so."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{share * 100:.1f} %"


def timeline_plot(view: ProfileView) -> Plot | None:
    """The slowest sample: what each step waits for, and how long each core is busy in it.

    ``None`` where nothing is known to take time but the ticks themselves.
    """
    work = view.lead + view.way
    if not work.any() and (view.pace == "tick" or not view.rest.any()):
        return None
    with style("profile-timeline"):
        svg = to_svg(_timeline_figure(view), "profile-timeline")
    alt = (
        f"What each of {view.steps:,} steps of sample {view.slowest} waits for, and how long each "
        f"of {view.cores:,} cores is busy in it. The work of a step takes "
        f"{amount(float(work.min()), 's')} to {amount(float(work.max()), 's')}, most in step "
        f"{int(work.argmax())}."
    )
    busy, notes = view.busy, []
    if busy.width > 1:
        notes.append(f"Each column is the mean of {busy.width:,} steps; the last may have fewer.")
    if not _rest_drawn(view):
        notes.append(
            f"The rest of the tick of {amount(view.tick or 0.0, 's')} is not drawn: the work of a "
            f"step fills {percent(float(work.max()) / (view.tick or 1.0))} of it at most."
        )
    if not view.timeline.any():
        notes.append("How long cores are busy is not drawn: no constant is known for it.")
    else:
        alt += f" Busy longest is {view.core_names[int(busy.parts[0])]}."
        if view.cores > 1:
            notes.append(
                "Cores stand in the order of how long they are busy in all"
                f"{_dots(view) * '; a dot marks the one that a step waits for'}."
            )
    if busy.others and view.timeline.any():
        notes.append(
            f"Not drawn: {busy.others:,} cores that are busy for "
            f"{amount(busy.other_seconds, 's')} together, none for more than "
            f"{amount(busy.other_most, 's')}."
        )
    title = f"Timeline of sample {view.slowest}"
    title += ", the slowest" if view.samples > 1 else ""
    return Plot("profile-timeline", title, svg, alt, tuple(notes))


def busy_plot(view: ProfileView) -> Plot | None:
    """Cores by their place, coloured by how long they are busy.

    By their synaptic operations where no time of cores is known; ``None`` without these, too.
    """
    timed = bool(view.core_busy.any())
    operations = view.core_count("synaptic_operations")
    if not timed and not operations.any():
        return None
    box, part = window(view)
    grid = Grid(view.machine, box)
    with style("profile-busy"):
        svg = to_svg(_busy_figure(view, grid, timed), "profile-busy")
    share = view.core_share if timed else operations / operations.sum()
    what, of = ("busy", "the run") if timed else ("at work", "all synaptic operations")
    most = int(share.argmax())
    alt = (
        f"Grid of routers of {view.machine.title} with how much each of {view.cores:,} cores is "
        f"{what}: most is {view.core_names[most]}, {percent(float(share[most]))} of {of}; the mean "
        f"is {percent(float(share.mean()))}."
    )
    notes = [part] if part else []
    if timed:
        notes.append(
            "A core is busy while it sends and while it receives, all samples taken together."
        )
        if view.overlap:
            notes.append("Both go on at once in this model, so that they may exceed the run.")
    else:
        notes.append("How long cores are busy is not known.")
    if labelled(grid, view.seat, _side(grid)):
        notes.append(f"Numbers in cells are percent of {of}.")
    title = "Where cores are busy" if timed else "Where synaptic operations are done"
    return Plot("profile-busy", title, svg, alt, tuple(notes))


def traffic_plot(view: ProfileView) -> Plot | None:
    """The links that carried packets; ``None`` without any."""
    many = "the sample" if view.samples == 1 else f"all {view.samples:,} samples"
    return machine_map.links_plot(
        view, "profile-links", "Packets on links", "Packets", (f"Packets of {many}.",)
    )


def causes_plot(view: ProfileView) -> Plot | None:
    """What steps wait for, longest gain first, with what halving it saves; ``None`` if nothing."""
    groups = _groups(view)
    if not groups:
        return None
    with style("profile-causes"):
        svg = to_svg(_causes_figure(view, groups), "profile-causes")
    parts = "; ".join(
        f"{_cause_name(c)}: {amount(c.seconds / view.samples, 's')} a sample, halving it saves "
        f"{amount(c.gain / view.samples, 's')}"
        for _, causes, _ in groups
        for c in causes
    )
    notes = []
    if view.pace == "tick":
        notes.append(
            "Steps last a tick, so that the run gets no shorter: what is saved is room in ticks."
        )
    if any(causes and causes[0].spread for _, causes, _ in groups):
        notes.append(
            "Populations and kinds of work are spread over cores and halved in all of them; their "
            "seconds are in those of cores, too."
        )
    for title, _, left in groups:
        if left:
            most = max(c.gain for c in left) / view.samples
            notes.append(
                f"Not drawn of {title}: {len(left):,} more, each saves {amount(most, 's')} at most."
            )
    return Plot("profile-causes", "What halving would save", svg, f"{parts}.", tuple(notes))


def histogram_plot(view: ProfileView) -> Plot | None:
    """How long samples take; ``None`` for few of them, and where all take as long."""
    what, seconds = _spread(view)
    if view.samples < _LEAST_SAMPLES or np.ptp(seconds) <= 1e-9 * seconds.max():
        return None
    with style("profile-samples"):
        svg = to_svg(_histogram_figure(view, what, seconds), "profile-samples")
    alt = (
        f"Histogram of the {what} of {view.samples:,} samples: "
        f"{amount(float(seconds.min()), 's')} to {amount(float(seconds.max()), 's')}, "
        f"median {amount(float(np.median(seconds)), 's')}."
    )
    notes = ["All samples take as many ticks; what differs is how full these are."]
    return Plot(
        "profile-samples", f"{what[0].upper()}{what[1:]} of samples", svg, alt,
        tuple(notes if view.pace == "tick" else ()),
    )  # fmt: skip


def energy_plot(view: ProfileView) -> Plot | None:
    """Lines of the ledger by kind, the largest first; ``None`` without a line."""
    if not view.ledger:
        return None
    kinds = list(_KINDS)
    ordered = sorted(view.ledger, key=lambda line: (kinds.index(line.kind), -line.joules))
    shown = ordered[:_MOST_LINES]
    with style("profile-energy"):
        svg = to_svg(_energy_figure(view, shown), "profile-energy")
    total = view.energy or 1.0
    parts = "; ".join(
        f"{line.what}: {amount(line.joules / view.samples, 'J')}, "
        f"{percent(line.joules / view.samples / total)}"
        for line in ordered
    )
    notes = []
    if len(shown) < len(ordered):
        notes.append(f"Not drawn: {len(ordered) - len(shown)} more lines, in the table below.")
    if any(line.recalled for line in shown):
        notes.append(
            "A hatched bar has a constant that is recalled: it is remembered or assumed, and the "
            "table below says why."
        )
    alt = f"Energy of a sample by what it goes to, {amount(view.energy, 'J')} in all. {parts}."
    return Plot("profile-energy", "Where energy goes", svg, alt, tuple(notes))


Drawing = Callable[[ProfileView], Plot | None]
LATENCY: Final[tuple[Drawing, ...]] = (
    timeline_plot,
    busy_plot,
    traffic_plot,
    causes_plot,
    histogram_plot,
)
ENERGY: Final[tuple[Drawing, ...]] = (energy_plot,)


# -- axes ------------------------------------------------------------------------------------------


def axes_at(figure: Figure, left: float, top: float, wide: float, tall: float) -> Axes:
    """Axes at a distance from the upper left corner, all in inches."""
    height = figure.get_figheight()
    return figure.add_axes(
        (left / WIDTH, (height - top - tall) / height, wide / WIDTH, tall / height)
    )


def time_unit(most: float) -> tuple[float, str]:
    """How many of a unit of time are a second, and its name, so that ``most`` is 1 or more."""
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if most * factor >= 1:
            return factor, unit
    return 1e12, "ps"


def _rest_drawn(view: ProfileView) -> bool:
    """Whether the rest of ticks leaves enough room for what fills them."""
    if view.pace != "tick" or view.tick is None:
        return True
    return bool((view.lead + view.way).max() >= _EMPTY * view.tick)


def _whole_steps(axis: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(
        MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1)
    )
    axis.xaxis.set_major_formatter("{x:,.0f}")


# -- timeline --------------------------------------------------------------------------------------


def _timeline_figure(view: ProfileView) -> Figure:
    from matplotlib.figure import Figure

    busy, timed = view.busy, bool(view.timeline.any())
    rows = busy.parts.size
    # Names of cores stay apart, and a map of one core is no line.
    row = float(np.clip(2.4 / rows, 0.125, 0.32))
    top, stack, between, bottom = 0.4, 2.2, 0.42, 0.5
    tall = row * rows
    below = between + tall if timed else 0.0
    figure = Figure(figsize=(WIDTH, top + stack + below + bottom))
    wide = WIDTH - _LEFT - _RIGHT
    axes = [axes_at(figure, _LEFT, top, wide, stack)]
    _stacks(axes[0], view)
    if timed:
        axes.append(axes_at(figure, _LEFT, top + stack + between, wide, tall))
        _heat(axes[1], view, busy, row)
        bar = axes_at(figure, WIDTH - _RIGHT + 0.12, top + stack + between, 0.13, tall)
        most = float(busy.seconds.max())
        marks = (1.0,) if tall < 0.8 else (0.5, 1.0)
        colour_bar(bar, 0, 1, ["0", *(amount(most * mark, "s") for mark in marks)])
        axes[0].tick_params(axis="x", labelbottom=False)
    for axis in axes:
        axis.set_xlim(-0.5, view.steps - 0.5)
        _whole_steps(axis)
    axes[-1].set_xlabel("step")
    return figure


def _dots(view: ProfileView) -> bool:
    """Whether there is a dot at the core that each step waits for."""
    return view.busy.width == 1 and view.cores > 1 and bool(_led_by_core(view).any())


def _led_by_core(view: ProfileView) -> Array:
    return np.asarray(view.leader >= 0)


def _stacks(axis: Axes, view: ProfileView) -> None:
    core = _led_by_core(view)
    parts = [
        ("cores", np.where(core, view.lead, 0.0), PHASES[0]),
        ("links", np.where(core, 0.0, view.lead), PHASES[2]),
        ("way of packets", view.way, PHASES[1]),
    ]
    if _rest_drawn(view):
        colour = GRID if view.pace == "tick" else PHASES[3]
        parts.append((view.rest_name, np.maximum(view.rest, 0.0), colour))
    parts = [part for part in parts if part[1].any()]
    first, means = bins(np.stack([seconds for _, seconds, _ in parts], 1)
                        if parts else np.zeros((view.steps, 1)))  # fmt: skip
    most = float(means.sum(axis=1).max())
    factor, unit = time_unit(most)
    edges = first - 0.5
    base = np.zeros(first.size - 1)
    for k, (name, _, colour) in enumerate(parts):
        above = base + means[:, k] * factor
        axis.stairs(above, edges, baseline=base, fill=True, color=colour, label=name)
        base = above
    ceiling = most * factor * 1.06
    if view.tick is not None and _rest_drawn(view):
        late = view.late > 0
        axis.axhline(
            view.tick * factor, color=WRONG if late else INK, linewidth=1.6,
            linestyle=(0, (4, 2)), label="tick", zorder=3,
        )  # fmt: skip
        ceiling = max(ceiling, view.tick * factor * 1.06)
    axis.set_ylim(0, ceiling or 1.0)
    axis.set_ylabel(f"{unit} a step")
    axis.yaxis.set_major_formatter("{x:,g}")
    axis.grid(axis="y")
    if parts:
        axis.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=5, borderaxespad=0.2)
    axis.set_title("what steps wait for", loc="right", fontsize=9.0, color=MUTED)


def _heat(axis: Axes, view: ProfileView, busy: Busy, row: float) -> None:
    rows, columns = busy.seconds.shape
    most = float(busy.seconds.max()) or 1.0
    # All bins but the last are as wide: the image is, too, and what is beyond the end is cut off.
    axis.imshow(
        palette()(busy.seconds / most),
        extent=(-0.5, columns * busy.width - 0.5, rows - 0.5, -0.5),
        aspect="auto",
        interpolation="none",
    )
    if _dots(view):
        place = np.full(view.cores, -1)
        place[busy.parts] = np.arange(rows)
        step = np.flatnonzero(_led_by_core(view))
        at = place[view.leader[step]]
        points = min(row, (WIDTH - _LEFT - _RIGHT) / columns) * 72
        axis.plot(
            step[at >= 0], at[at >= 0], "o", color="#000000", markeredgecolor="#ffffff",
            markeredgewidth=min(0.5, points * 0.06), markersize=float(np.clip(points * 0.4, 1, 4)),
        )  # fmt: skip
    axis.set_ylim(rows - 0.5, -0.5)
    names = [f"{core}" for core in view.seat[busy.parts].tolist()]
    axis.set_yticks(range(rows), names, fontsize=float(min(8.5, row * 72 * 0.85)))
    axis.tick_params(axis="y", length=0)
    axis.set_ylabel("core", labelpad=4)
    axis.spines[:].set_visible(False)
    axis.set_title("how long cores are busy", loc="right", fontsize=9.0, color=MUTED)


# -- the machine -----------------------------------------------------------------------------------


def _side(grid: Grid) -> float:
    """How wide a router is, in inches."""
    wide, high = grid.size
    return min(8.2 / wide, 4.6 / high, max(0.55 * grid.cells[0], 0.9))


def _busy_figure(view: ProfileView, grid: Grid, timed: bool) -> Figure:
    from matplotlib.figure import Figure

    wide, high = grid.size
    side = _side(grid)
    panel = (max(side * wide, 0.55), max(side * high, 0.55))
    top = 0.3
    figure = Figure(figsize=(WIDTH, top + panel[1] + 0.5))
    axis = axes_at(figure, 0.6, top, *panel)
    operations = view.core_count("synaptic_operations")
    value = view.core_busy.sum(axis=0) if timed else operations.astype(np.float64)
    share = view.core_share if timed else value / value.sum()
    draw_shares(axis, grid, view.seat, value / value.max(), side, share)
    bar = axes_at(figure, 0.6 + panel[0] + 0.2, top, 0.13, panel[1])
    most = float(value.max()) / view.samples
    labels = [amount(most * part, "s") if timed else f"{most * part:,.0f}" for part in (0.5, 1.0)]
    colour_bar(bar, 0, 1, ["0", *labels])
    bar.set_xlabel("a sample", fontsize=8.5, color=MUTED, labelpad=9)
    return figure


# -- causes ----------------------------------------------------------------------------------------


def _groups(view: ProfileView) -> list[tuple[str, list[Wait], list[Wait]]]:
    """Things that add up to the run, and the same by what is done: (title, drawn, left out)."""
    found = []
    for title, spread in (("cores, links and waiting", False), ("populations and work", True)):
        causes = [c for c in view.causes if c.spread == spread]
        if causes:
            found.append((title, causes[:_MOST_CAUSES], causes[_MOST_CAUSES:]))
    return found


def _cause_name(cause: Wait) -> str:
    return f"population {cause.name}" if cause.kind == "population" else cause.name


def _causes_figure(view: ProfileView, groups: list[tuple[str, list[Wait], list[Wait]]]) -> Figure:
    from matplotlib.figure import Figure

    top, row, between, bottom = 0.62, 0.27, 0.5, 0.5
    rows = [len(causes) for _, causes, _ in groups]
    height = top + row * sum(rows) + between * (len(groups) - 1) + bottom
    figure = Figure(figsize=(WIDTH, height))
    names = [_cause_name(c) for _, causes, _ in groups for c in causes]
    left = bar_margin(names, 38)
    wide = WIDTH - left - 0.3
    most = max(c.seconds for _, causes, _ in groups for c in causes) / view.samples
    factor, unit = time_unit(most)
    whole = view.latency or 1.0
    y = top
    for k, (title, causes, _) in enumerate(groups):
        axis = axes_at(figure, left, y, wide, row * len(causes))
        place = np.arange(len(causes))
        seconds = np.array([c.seconds for c in causes]) / view.samples
        gain = np.array([c.gain for c in causes]) / view.samples
        axis.barh(place, seconds * factor, height=0.66, color=BOX, edgecolor=MUTED, linewidth=0.6,
                  label="waited for")  # fmt: skip
        axis.barh(place, gain * factor, height=0.66, color=BAR, label="saved if halved")
        for j in range(len(causes)):
            saved = percent(float(gain[j]) / whole)
            bar_label(
                axis, float(seconds[j]) * factor, j,
                f"{amount(float(seconds[j]), 's')} · {percent(float(seconds[j]) / whole)}"
                f" · saves {saved}",
            )  # fmt: skip
        bar_axis(axis, [_cause_name(c) for c in causes], most * factor, 38)
        axis.set_title(title, fontweight="bold", fontsize=9.5)
        if k == 0:
            axis.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.2)
        if k == len(groups) - 1:
            axis.set_xlabel(f"{unit} a sample")
        else:
            axis.tick_params(axis="x", labelbottom=False)
        y += row * len(causes) + between
    return figure


def bar_margin(names: Sequence[str], most: int) -> float:
    """Inches that names of bars take, of at most so many characters."""
    return 0.25 + 0.078 * min(max(map(len, names)), most)


def bar_label(axis: Axes, x: float, y: float, text: str, colour: str = INK) -> None:
    """What stands beside a bar that ends at x."""
    axis.annotate(
        text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5,
        color=colour,
    )  # fmt: skip


def bar_axis(axis: Axes, names: Sequence[str], most: float, longest: int) -> None:
    """Bars with these names, the first above, the longest of them ``most`` long."""
    axis.set_yticks(range(len(names)), [clip(name, longest) for name in names], fontsize=9.0)
    axis.set_ylim(len(names) - 0.5, -0.5)
    # Room for what stands beside the longest bar.
    axis.set_xlim(0, most * 1.55 or 1.0)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter("{x:,g}")
    axis.grid(axis="x")


# -- samples ---------------------------------------------------------------------------------------


def _spread(view: ProfileView) -> tuple[str, Array]:
    """What differs between samples."""
    return ("work", view.work) if view.pace == "tick" else ("latency", view.seconds)


def _histogram_figure(view: ProfileView, what: str, seconds: Array) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(WIDTH, 2.6))
    axis = axes_at(figure, _LEFT, 0.35, WIDTH - _LEFT - _RIGHT, 1.7)
    factor, unit = time_unit(float(seconds.max()))
    number = min(40, 2 * ceil(sqrt(view.samples)))
    counts, edges = np.histogram(seconds * factor, number)
    axis.stairs(counts, edges, fill=True, color=BAR)
    median = float(np.median(seconds))
    axis.axvline(median * factor, color=WINNER, linewidth=1.4, linestyle=(0, (4, 2)))
    axis.set_title(f"median {amount(median, 's')}", fontsize=9.0, color=WINNER)
    axis.set_xlabel(f"{what} of a sample ({unit})")
    axis.set_ylabel("samples")
    axis.yaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
    axis.xaxis.set_major_formatter("{x:,g}")
    axis.grid(axis="y")
    return figure


# -- energy ----------------------------------------------------------------------------------------


def energy_unit(most: float) -> tuple[float, str]:
    """What joules up to ``most`` are multiplied with, and the unit that they then have."""
    units = {0: "J", 3: "mJ", 6: "µJ", 9: "nJ", 12: "pJ", 15: "fJ", 18: "aJ"}
    power = min((p for p in units if most * 10.0**p >= 1), default=18)
    return 10.0**power, units[power]


def _energy_figure(view: ProfileView, lines: Sequence[EnergyLine]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    top, row, bottom = 0.4, 0.4, 0.5
    figure = Figure(figsize=(WIDTH, top + row * len(lines) + bottom))
    names = ["\n".join(textwrap.wrap(line.what, 34)[:2]) for line in lines]
    left = bar_margin([part for name in names for part in name.split("\n")], 38)
    axis = axes_at(figure, left, top, WIDTH - left - 0.3, row * len(lines))
    joules = [line.joules / view.samples for line in lines]
    most, total = max(joules), view.energy or 1.0
    factor, unit = energy_unit(most)
    for k, (line, energy) in enumerate(zip(lines, joules, strict=True)):
        colour = _KINDS[line.kind]
        axis.barh(
            k, energy * factor, height=0.6, linewidth=1.0, edgecolor=colour,
            facecolor="none" if line.recalled else colour,
            hatch="////" if line.recalled else None,
        )  # fmt: skip
        said = f"{amount(energy, 'J')} · {percent(energy / total)}"
        bar_label(axis, energy * factor, k, said + ("  ? recalled" if line.recalled else ""),
               WINNER if line.recalled else INK)  # fmt: skip
    bar_axis(axis, names, most * factor, 80)
    axis.set_xlabel(f"{unit} a sample")
    kinds = dict.fromkeys(line.kind for line in lines)
    axis.legend(
        [Patch(facecolor=_KINDS[kind], edgecolor="none") for kind in kinds],
        [f"{kind} {amount(view.by_kind[kind], 'J')}" for kind in kinds],
        loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3, borderaxespad=0.2,
    )  # fmt: skip
    return figure
