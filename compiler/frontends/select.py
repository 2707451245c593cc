"""Which format a network file has, and its reader."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

from ...ir.diagnostics import Diagnostic, Location, fail
from ...ir.graph import Graph


def read_network(
    path: str | PathLike[str],
    *,
    dialect: str | None = None,
    dt: float | None = None,
    time_unit: float | str = "s",
    overrides: Mapping[str, object] | None = None,
) -> tuple[Graph, tuple[Diagnostic, ...]]:
    """The graph of a NIR or Lava-DL file, told apart by what is in it, and what was noticed.

    A Lava-DL file says how a step works, in steps: ``dialect``, ``time_unit`` and ``overrides``
    are refused beside it (E0707). Raises ``SpikecError`` as `read_nir` and `read_lavadl` do.
    """
    # h5py takes a quarter of a second: verbs that read no model do without it.
    from .lavadl import is_lavadl, read_lavadl
    from .nir import read_nir

    if not is_lavadl(path):
        return read_nir(path, dialect=dialect, dt=dt, time_unit=time_unit, overrides=overrides)
    if dialect is not None or time_unit != "s" or overrides:
        raise fail(
            "E0707",
            "a Lava-DL file holds its own rules and counts steps: it takes no --dialect, "
            "--time-unit or --set",
            Location(str(path)),
        )
    return read_lavadl(path, dt=dt)
