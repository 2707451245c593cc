"""The figure of an exploration: all objectives two by two, the front in front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from .style import MUTED, WINNER, Form, style, to_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_UNITS: Final = {"accuracy": "", "latency": " (s a sample)", "energy": " (J a sample)", "cores": ""}


def plot_front(
    objectives: Sequence[tuple[str, str]], others: Any, front: Any, *, form: Form = "svg"
) -> bytes:
    """``others`` and ``front`` are values (points, objectives), NaN where not known."""
    with style("front"):
        return to_bytes(_front_figure(objectives, others, front), "front", form)


def _front_figure(objectives: Sequence[tuple[str, str]], others: Any, front: Any) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    every = np.concatenate([others, front])
    shown = [j for j in range(len(objectives)) if np.isfinite(every[:, j]).any()]
    pairs = [(a, b) for k, a in enumerate(shown) for b in shown[k + 1 :]]
    columns = max(1, min(3, len(pairs)))
    rows = max(1, -(-len(pairs) // columns))
    figure = Figure(figsize=(3.4 * columns, 2.9 * rows), layout="constrained")
    for number, (a, b) in enumerate(pairs):
        axis = figure.add_subplot(rows, columns, number + 1)
        axis.plot(others[:, b], others[:, a], ".", color=MUTED, markersize=3, label="evaluated")
        axis.plot(front[:, b], front[:, a], "o", color=WINNER, markersize=4, label="on the front")
        for j, which, scale in ((b, "x", axis.set_xscale), (a, "y", axis.set_yscale)):
            ruler = axis.xaxis if which == "x" else axis.yaxis
            if objectives[j][0] == "cores":
                ruler.set_major_locator(MaxNLocator(integer=True))
            column = every[:, j][np.isfinite(every[:, j])]
            if column.min() > 0 and column.max() > 10 * column.min():
                scale("log")
                # The page has no mathematical type: powers of ten are written as numbers.
                ruler.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                ruler.set_minor_formatter(NullFormatter())
            name, way = objectives[j]
            better = "more" if way == "max" else "less"
            label = f"{name}{_UNITS.get(name, '')}, {better} is better"
            (axis.set_xlabel if which == "x" else axis.set_ylabel)(label)
    if pairs:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=2, frameon=False)
    return figure
