"""All of a mapping: partition, place, route and tables, and the check of the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...ir.diagnostics import Diagnostics, SpikecError, fail
from .axons import Axons
from .check import Checked, check
from .encodings import encode
from .mapping import Mapping, Routes, Tables
from .partition import partition
from .place import place
from .route import route
from .seeds import Start
from .tables import key_tables
from .traffic import Traffic, traffic, widened

# Packets that cores may get to drop, as a factor, so that sets of targets become one of each core:
# in any case, and where they are more than a table has entries.
_FEW_STRAYS: Final = 1.02
_STRAYS: Final = 1.2

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Mapped:
    """A mapping, what its check counted, and the seconds of processor time of each stage."""

    mapping: Mapping
    checked: Checked
    seconds: dict[str, float] = field(compare=False)


def map_network(
    axons: Axons,
    machine: Machine,
    *,
    effort: int = 1,
    seed: int = 1,
    start: Start = "own",
    window: int | None = None,
    progress: Progress = lambda stage, share: None,
    found: Diagnostics | None = None,
) -> Mapped:
    """Map a network to the smallest such machine that holds it, and check the result.

    ``effort`` 0 is fast and greedy, 1 the usual, 2 ten times the work; ``start`` is whose first
    partition they refine. ``window`` is the number of
    steps in which ``axons.rate`` was counted; with it loads of links are judged, and warned of in
    ``found``. Raises E0302 or E0307 where the network does not fit, E0315 or E0316 where it does
    not fit the routers' tables.
    """
    seconds: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        progress(name, 0.0)
        begin = time.process_time()
        yield
        seconds[name] = time.process_time() - begin
        progress(name, 1.0)

    if not axons.neurons:
        raise fail("E0302", "the network has no neurons: there is nothing to map")
    with stage("partition"):
        part = partition(
            axons, machine, effort, seed, lambda share: progress("partition", share), start
        )
    parts = int(part.max()) + 1
    whole = machine.with_cores(parts)
    assert whole is not None, "the partition is within the machine's cores"
    with stage("traffic"):
        groups = _groups(axons, part, whole)
    with stage("place"):
        seat = place(groups, whole, seed, effort)
    with stage("route"):
        routes = route(groups, whole, seat, window)
    tables: Tables | None = None
    if whole.routing_entries is not None:
        with stage("tables"):
            routes, tables = _tables(axons, part, groups, routes, whole, seat, window)
    mapping = Mapping(whole, part, seat, routes, tables, encode(axons, whole, part))
    with stage("check"):
        checked = check(axons, mapping, window)
    checked.raise_faults()
    if found is not None:
        found.extend(warning.diagnostic for warning in checked.warnings)
    return Mapped(mapping, checked, seconds)


def _groups(axons: Axons, part: npt.NDArray[np.int32], machine: Machine) -> Traffic:
    """What sends where: by set of targets or, where these are many and much the same, by core.

    Routes that all lead nearly everywhere take entries, thousands of them long to place and to fit
    into tables, and save next to no packets.
    """
    groups = traffic(axons, part)
    if machine.routing_entries is None:
        return groups
    wide = widened(groups)
    exact, all_of_them = (float(np.diff(each.ptr) @ each.rate) for each in (groups, wide))
    many = groups.groups > machine.routing_entries.value
    return wide if 0 < all_of_them <= (_STRAYS if many else _FEW_STRAYS) * exact else groups


def _tables(
    axons: Axons,
    part: npt.NDArray[np.int32],
    groups: Traffic,
    routes: Routes,
    machine: Machine,
    seat: npt.NDArray[np.int32],
    window: int | None,
) -> tuple[Routes, Tables]:
    """Tables, of one route for each set of targets or, where these are too many, for each core."""
    try:
        return routes, key_tables(axons, part, routes, machine)
    except SpikecError:
        wide = route(widened(groups), machine, seat, window)
        return wide, key_tables(axons, part, wide, machine)
