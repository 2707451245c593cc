"""A machine as a figure: routers on the grid of their numbers, and the links between them.

Routers are drawn with row 0 below as in the addresses of the chips, each with its cores as
sub-cells from the left and the top; those of ``triads``, too, and the leaves of a tree as a row.
However many cores there are, a panel is one image and a handful of paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ...boards.machine import STEPS, Machine
from .style import GRID, INK, MUTED, PAPER, WRONG, Plot, style, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

WIDTH: Final = 10.0  # inches, as all figures of the report
UNUSED: Final = (0.5, 0.5, 0.5, 0.2)
_MOST_LABELS: Final = 160  # cells with a number in them
_MOST_NODES: Final = 600  # routers drawn as squares below the links
_MOST_BORDERS: Final = 1600  # routers with a border of their own
_LEVELS: Final = 12  # colours and widths of links: each is one path

Box = tuple[int, int, int, int]
Array = npt.NDArray[Any]


class OnMachine(Protocol):
    """Whatever sits on a machine: part p in core ``seat[p]``, packets on links."""

    @property
    def machine(self) -> Machine:
        """What it sits on."""
        ...

    @property
    def seat(self) -> npt.NDArray[np.int64]:
        """The core of each part."""
        ...

    @property
    def routers(self) -> npt.NDArray[np.int64]:
        """The router of each part."""
        ...

    @property
    def link_start(self) -> npt.NDArray[np.int64]:
        """Where each link begins."""
        ...

    @property
    def link_end(self) -> npt.NDArray[np.int64]:
        """Where it ends."""
        ...

    @property
    def link_load(self) -> npt.NDArray[np.int64]:
        """What it carries."""
        ...


# -- the part of the machine that is shown ---------------------------------------------------------


def window(view: OnMachine, *, close_up: bool = False) -> tuple[Box, str]:
    """Routers to be shown as (x0, x1, y0, y1), ends excluded, and a note if these are not all.

    Whole chips, or of a large chip that is nearly empty the surroundings of what is used; of links
    ``close_up``, as those that carry nothing are not drawn.
    """
    machine = view.machine
    width, height = machine.grid
    ends = [view.routers, view.link_start, view.link_end]
    used = np.unique(np.concatenate(ends))
    used = used[used < machine.router_count]
    y, x = np.divmod(used, width)
    wide, high = machine.routers
    box = (
        int(x.min()) // wide * wide,
        (int(x.max()) // wide + 1) * wide,
        int(y.min()) // high * high,
        (int(y.max()) // high + 1) * high,
    )
    close = (
        max(int(x.min()) - 1, box[0]),
        min(int(x.max()) + 2, box[1]),
        max(int(y.min()) - 1, box[2]),
        min(int(y.max()) + 2, box[3]),
    )
    if (close_up or area(box) > 64) and 2 * area(close) < area(box):
        box = close
    if box == (0, width, 0, height):
        return box, ""
    return box, (
        f"Shown are columns {box[0]} to {box[1] - 1} and rows {box[2]} to {box[3] - 1} of "
        f"{width:,} x {height:,} routers; nothing is used elsewhere."
    )


def area(box: Box) -> int:
    """How many routers are shown."""
    return (box[1] - box[0]) * (box[3] - box[2])


@dataclass(frozen=True)
class Grid:
    """The shown routers, and how the cores of each are arranged: ``columns`` x ``rows``."""

    machine: Machine
    box: Box

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of routers."""
        return self.box[1] - self.box[0], self.box[3] - self.box[2]

    @property
    def cells(self) -> tuple[int, int]:
        """Columns and rows of cores in a router."""
        cores = self.machine.cores_per_router
        columns = ceil(sqrt(cores))
        return columns, -(-cores // columns)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, lower and upper edge of the shown part, in routers."""
        x0, x1, y0, y1 = self.box
        return x0 - 0.5, x1 - 0.5, y0 - 0.5, y1 - 0.5

    def present(self) -> Array:
        """Whether there is a router, shape (rows, columns) of the shown part."""
        there = np.ones(self.size[::-1], np.bool_)
        for x, y in self.machine.absent:
            if self.box[0] <= x < self.box[1] and self.box[2] <= y < self.box[3]:
                there[y - self.box[2], x - self.box[0]] = False
        return there

    def pixel(self, core: Array) -> tuple[Array, Array]:
        """Row and column of each core in the image, row 0 below."""
        columns, rows = self.cells
        router, k = np.divmod(core, self.machine.cores_per_router)
        y, x = np.divmod(router, self.machine.grid[0])
        return (
            (y - self.box[2]) * rows + rows - 1 - k // columns,
            (x - self.box[0]) * columns + k % columns,
        )

    def blank(self) -> Array:
        """The image without a core in use: grey where there is a core, else clear."""
        columns, rows = self.cells
        y, x = np.nonzero(self.present())
        router = (y + self.box[2]) * self.machine.grid[0] + x + self.box[0]
        cores = self.machine.cores_per_router
        every = (router[:, None] * cores + np.arange(cores)).ravel()
        image = np.zeros((self.size[1] * rows, self.size[0] * columns, 4))
        image[self.pixel(every)] = UNUSED
        return image

    def chips(self) -> Array:
        """A number for the chip of each router and of those around; -1 where there is no router."""
        width, height = self.machine.grid
        x = np.arange(self.box[0] - 1, self.box[1] + 1)
        y = np.arange(self.box[2] - 1, self.box[3] + 1)[:, None]
        chip = y // self.machine.routers[1] * self.machine.chips[0] + x // self.machine.routers[0]
        chip = np.where((x >= 0) & (x < width) & (y >= 0) & (y < height), chip, -1)
        for column, row in self.machine.absent:
            chip[(y[:, 0] == row)[:, None] & (x == column)] = -1
        return chip


def outline(grid: Grid, of: Array) -> tuple[Array, Array]:
    """The lines between fields of different numbers, as one path with gaps."""
    x0, y0 = grid.box[0] - 0.5, grid.box[2] - 0.5
    row, column = np.nonzero(of[1:-1, 1:] != of[1:-1, :-1])
    across, below = np.nonzero(of[1:, 1:-1] != of[:-1, 1:-1])
    x = np.concatenate([column, below]) + x0
    y = np.concatenate([row, across]) + y0
    upright = np.arange(x.size) < row.size
    return segments(x, y, np.where(upright, x, x + 1), np.where(upright, y + 1, y))


def segments(x0: Array, y0: Array, x1: Array, y1: Array) -> tuple[Array, Array]:
    """Segments as one path with gaps: a fraction of the size of one path each."""
    gap = np.full(x0.size, np.nan)
    return np.stack([x0, x1, gap], 1).ravel(), np.stack([y0, y1, gap], 1).ravel()


def palette() -> Colormap:
    """Dark for little, light for much: apart for every eye, and seen on either ground."""
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap

    whole = matplotlib.colormaps["viridis"]
    return LinearSegmentedColormap.from_list("share", whole(np.linspace(0.08, 0.94, 32)), 32)


def draw_cells(axis: Axes, grid: Grid, image: Array, side: float) -> None:
    """The image, with lines between cores, routers and chips; a router is ``side`` inches wide."""
    axis.imshow(
        image, origin="lower", extent=grid.extent, interpolation="none", aspect="auto", zorder=1
    )
    wide, high = grid.size
    if wide * high <= _MOST_BORDERS:
        x0, x1, y0, y1 = grid.extent
        columns, rows = grid.cells
        # Thin lines between cores, thick ones between routers.
        for parts, width in (((columns, rows), 0.025), ((1, 1), 0.06)):
            if parts != (1, 1) and (grid.machine.cores_per_router == 1 or wide * high > 400):
                continue
            upright = np.arange(wide * parts[0] + 1) / parts[0] + x0
            level = np.arange(high * parts[1] + 1) / parts[1] + y0
            x, y = segments(
                np.concatenate([upright, np.full(level.size, x0)]),
                np.concatenate([np.full(upright.size, y0), level]),
                np.concatenate([upright, np.full(level.size, x1)]),
                np.concatenate([np.full(upright.size, y1), level]),
            )
            axis.plot(x, y, color=PAPER, linewidth=min(side * 72 * width, 3.5), zorder=2)
    x, y = outline(grid, grid.chips())
    chip = side * 72 * min(grid.machine.routers)
    thin = float(np.clip(0.04 * chip, 0.4, 1.0))
    axis.plot(x, y, color=INK, linewidth=thin, solid_capstyle="projecting", clip_on=False, zorder=3)
    draw_frame(axis, grid)


def draw_shares(
    axis: Axes, grid: Grid, seat: Array, share: Array, side: float, said: Array | None = None
) -> None:
    """Cores coloured by ``share`` (cores,), 0 to 1, with percentages where there is room for them.

    ``said`` are the shares that stand in the cells if these are others.
    """
    colours = palette()
    image = grid.blank()
    image[grid.pixel(seat)] = colours(np.minimum(share, 1.0))
    draw_cells(axis, grid, image, side)
    if labelled(grid, seat, side):
        labels = share if said is None else said
        size = min(8.0, side * 72 / grid.cells[0] * 0.42)
        _percentages(axis, grid, seat, share, labels, size)


def labelled(grid: Grid, seat: Array, side: float) -> bool:
    """Whether cells have room for numbers where a router is ``side`` inches wide."""
    return seat.size <= _MOST_LABELS and side * 72 / grid.cells[0] > 15


def _percentages(
    axis: Axes, grid: Grid, seat: Array, share: Array, said: Array, size: float
) -> None:
    columns, rows = grid.cells
    row, column = grid.pixel(seat)
    x = grid.extent[0] + (column + 0.5) / columns
    y = grid.extent[2] + (row + 0.5) / rows
    colours = palette()
    for px, py, value, part in zip(
        x.tolist(), y.tolist(), share.tolist(), said.tolist(), strict=True
    ):
        red, green, blue, _ = colours(min(value, 1.0))
        ink = "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#ffffff"
        label = f"{part * 100:.0f}" if part >= 0.01 or part == 0 else "<1"
        axis.text(px, py, label, ha="center", va="center", fontsize=size, color=ink, zorder=4)


def draw_frame(axis: Axes, grid: Grid) -> None:
    """Numbers of columns and rows."""
    from matplotlib.ticker import MaxNLocator

    x0, x1, y0, y1 = grid.extent
    axis.set_xlim(x0, x1)
    axis.set_ylim(y0, y1)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, labelsize=8.5, labelcolor=MUTED)
    tree = grid.machine.topology == "tree"
    name = "leaf" if tree else "router" if grid.machine.grid[1] == 1 else "router, column"
    axis.set_xlabel(name, fontsize=8.5, color=MUTED, labelpad=2)
    for scale, count in ((axis.xaxis, grid.size[0]), (axis.yaxis, grid.size[1])):
        scale.set_major_locator(MaxNLocator(min(count, 8), integer=True, min_n_ticks=1))
    if grid.size[1] == 1:
        axis.set_yticks([])
    else:
        axis.set_ylabel("row", fontsize=8.5, color=MUTED, labelpad=2)


def colour_bar(axis: Axes, low: float, high: float, labels: Sequence[str]) -> None:
    """What the colours of `palette` mean, from ``low`` below to ``high``."""
    axis.imshow(
        palette()(np.linspace(0, 1, 32))[:, None, :],
        origin="lower",
        extent=(0, 1, low, high),
        aspect="auto",
        interpolation="none",
    )
    axis.set_xticks([])
    axis.yaxis.tick_right()
    axis.set_yticks(np.linspace(low, high, len(labels)), labels, fontsize=8.5)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)


# -- links -----------------------------------------------------------------------------------------


def links_plot(
    view: OnMachine,
    name: str,
    title: str,
    packets: str,
    notes: Sequence[str],
    unit: str = "packets",
) -> Plot | None:
    """The links that carry packets, wider and in another colour for more; ``None`` without any.

    ``packets`` says which packets these are, ``notes`` stand first below the figure. ``unit`` is of
    the loads, where these are no packets.
    """
    if not view.link_load.size:
        return None
    box, part = window(view, close_up=True)
    with style(name):
        svg = to_svg(_links_figure(view, box, unit), name)
    alt = (
        f"{packets} on {view.link_load.size:,} links in use, {int(view.link_load.min()):,} to "
        f"{int(view.link_load.max()):,}. {_worst(view, unit)}."
    )
    said = [part] if part else []
    said += notes
    if logarithmic(view.link_load):
        said.append("The scale is logarithmic: the loads are far apart.")
    if view.machine.topology != "tree":
        said.append("A link keeps to the right of its direction, as on a road.")
    if view.machine.cyclic:
        said.append("A stub at the edge is a link that wraps around to the other side.")
    return Plot(name, title, svg, alt, tuple(said))


def _worst(view: OnMachine, unit: str) -> str:
    worst = int(view.link_load.argmax())
    start, end = int(view.link_start[worst]), int(view.link_end[worst])
    return (
        f"Most on {_node(view.machine, start)} → {_node(view.machine, end)}: "
        f"{int(view.link_load[worst]):,} {unit}"
    )


def _node(machine: Machine, number: int) -> str:
    if number >= machine.router_count:
        return f"switch {number}"
    if machine.grid[1] == 1:
        return f"router {number}"
    x, y = machine.place(number)
    return f"router {number} ({x}, {y})"


def _links_figure(view: OnMachine, box: Box, unit: str) -> Figure:
    from matplotlib.figure import Figure

    machine = view.machine
    grid = Grid(machine, box)
    tree = machine.topology == "tree"
    wide, high = grid.size
    if tree:
        high = len(machine.arity) + 1
    room = 8.2
    side = min(room / wide, 5.6 / high, 0.95)
    tall = min(side * high, 5.6)
    if tree:
        # A tree's levels are apart, however many leaves there are.
        tall = max(0.85 * high, tall)
    elif high == 1:
        tall = max(tall, 0.7)
    left, top, bottom = 0.6, 0.4, 0.5
    height = top + tall + bottom
    figure = Figure(figsize=(WIDTH, height))
    panel = max(side * wide, 0.7)
    axis = figure.add_axes((left / WIDTH, bottom / height, panel / WIDTH, tall / height))
    x0, y0, x1, y1, index = _tree_lines(view) if tree else _grid_lines(view, box)
    if not tree:
        present = grid.present()
        if present.size <= _MOST_NODES:
            row, column = np.nonzero(present)
            axis.plot(
                column + box[0],
                row + box[2],
                "s",
                color=GRID,
                markersize=min(side, 1.0) * 72 * 0.3,
                markeredgewidth=0,
                zorder=1,
            )
    level = _levels(view.link_load)[index]
    colours = palette()
    thickest = float(np.clip(side * 72 * (0.3 if tree else 0.13), 1.0, 7.0))
    for step in range(_LEVELS):
        chosen = level == step
        if chosen.any():
            share = (step + 0.5) / _LEVELS
            axis.plot(
                *segments(x0[chosen], y0[chosen], x1[chosen], y1[chosen]),
                color=colours(share),
                linewidth=max(0.6, thickest * share),
                solid_capstyle="butt",
                zorder=2 + step / _LEVELS,
            )
    _mark_worst(axis, view, (x0, y0, x1, y1, index), thickest)
    draw_frame(axis, grid)
    if tree:
        axis.set_ylim(-0.3, len(machine.arity) + 0.3)
        axis.set_ylabel("")
        axis.set_yticks(
            range(len(machine.arity) + 1), ["leaves", *[""] * (len(machine.arity) - 1), "root"]
        )
    figure.text(
        left / WIDTH, 1 - 0.24 / height, _worst(view, unit), color=WRONG, fontsize=9.5, va="center"
    )
    bar = figure.add_axes(
        ((left + panel + 0.2) / WIDTH, bottom / height, 0.13 / WIDTH, tall / height)
    )
    most = int(view.link_load.max())
    low = int(view.link_load.min()) if logarithmic(view.link_load) else 0
    middle = sqrt(low * most) if low else most / 2
    labels = [f"{low:,}", f"{middle:,.0f}", f"{most:,}"]
    colour_bar(bar, 0, 1, labels if most > 1 else ["0", f"{most}"])
    bar.set_xlabel(unit, fontsize=8.5, color=MUTED, labelpad=9)
    return figure


def logarithmic(load: Array) -> bool:
    """Whether most links would look alike on a linear scale."""
    return bool(load.min() > 0 and load.max() > 20 * np.median(load))


def _levels(load: Array) -> Array:
    """The colour of each load, 0 to `_LEVELS` - 1."""
    most = max(int(load.max()), 1)
    share = load / most
    if logarithmic(load):
        low = float(load.min())
        share = np.log(load / low) / np.log(most / low)
    return np.minimum((share * _LEVELS).astype(np.int64), _LEVELS - 1)


def _grid_lines(view: OnMachine, box: Box) -> tuple[Array, Array, Array, Array, Array]:
    """Lines of the links and the link of each; one that wraps around is two stubs."""
    machine = view.machine
    width, height = machine.grid
    ya, xa = np.divmod(view.link_start, width)
    yb, xb = np.divmod(view.link_end, width)
    steps = np.asarray(STEPS[machine.topology])
    dx, dy = xb - xa, yb - ya
    # Of a wrapping link the step that leads around; the last that fits, were there two.
    for sx, sy in steps.tolist():
        fits = ((dx - sx) % width == 0) & ((dy - sy) % height == 0)
        near = (np.abs(dx) <= 1) & (np.abs(dy) <= 1)
        dx, dy = np.where(fits & ~near, sx, dx), np.where(fits & ~near, sy, dy)
    wraps = (xa + dx != xb) | (ya + dy != yb)
    length = np.maximum(np.hypot(dx, dy), 1e-9)
    # To the right of the direction, and short of the middles of routers, whose squares stay seen.
    aside = 0.09
    ox, oy = dy / length * aside, -dx / length * aside
    cut = 0.16 if area(box) <= _MOST_NODES else 0.05
    cut_x, cut_y = dx / length * cut, dy / length * cut
    inner, stub = ~wraps, wraps
    x0 = np.concatenate([(xa + cut_x)[inner], (xa + cut_x)[stub], (xb - dx * 0.48)[stub]])
    y0 = np.concatenate([(ya + cut_y)[inner], (ya + cut_y)[stub], (yb - dy * 0.48)[stub]])
    x1 = np.concatenate([(xb - cut_x)[inner], (xa + dx * 0.48)[stub], (xb - cut_x)[stub]])
    y1 = np.concatenate([(yb - cut_y)[inner], (ya + dy * 0.48)[stub], (yb - cut_y)[stub]])
    index = np.concatenate([np.flatnonzero(inner), np.flatnonzero(stub), np.flatnonzero(stub)])
    return x0 + ox[index], y0 + oy[index], x1 + ox[index], y1 + oy[index], index


def _tree_lines(view: OnMachine) -> tuple[Array, Array, Array, Array, Array]:
    """Lines of the links of a tree, those towards the root on the left of those to the leaves."""
    arity = view.machine.arity
    sizes = np.cumprod([1, *arity])[::-1]
    x = [np.arange(sizes[0], dtype=np.float64)]
    for children in arity[::-1]:
        x.append(x[-1].reshape(-1, children).mean(axis=1))
    place = np.concatenate(x)
    level = np.repeat(np.arange(sizes.size), sizes)
    start, end = view.link_start, view.link_end
    up = level[end] > level[start]
    aside = np.where(up, -0.12, 0.12)
    index = np.arange(start.size)
    return (
        place[start] + aside,
        level[start].astype(np.float64),
        place[end] + aside,
        level[end].astype(np.float64),
        index,
    )


def _mark_worst(
    axis: Axes, view: OnMachine, lines: tuple[Array, Array, Array, Array, Array], thickest: float
) -> None:
    x0, y0, x1, y1, index = lines
    chosen = index == int(view.link_load.argmax())
    x, y = segments(x0[chosen], y0[chosen], x1[chosen], y1[chosen])
    axis.plot(x, y, color=WRONG, linewidth=thickest + 3.5, solid_capstyle="butt", zorder=1.9)
