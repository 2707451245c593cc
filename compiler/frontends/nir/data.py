"""NIR's data files: stimuli and recordings beside a network (nir 1.0.8, ``write_data``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import Diagnostics, Location, fail
from ....ir.events import Events, Stimulus
from ....ir.records import Record
from ..hdf5 import MAX_DEPTH, MAX_ELEMENTS, Reader, opened

_SLACK = 1e-6  # of a step: times that a division by dt puts just below a step belong to it


@dataclass(frozen=True, eq=False)
class NirData(Record):
    """What a data file holds: events by node (dotted names), then by observable.

    ``dt`` is the step in seconds.
    """

    dt: float
    nodes: dict[str, dict[str, Events]]

    def stimulus(self, observable: str | None = None) -> Stimulus:
        """One observable of every node: the named one, else the only one, else ``spikes``.

        Raises ``SpikecError`` E0702 when a node has no such observable, or nodes disagree in
        samples or steps.
        """
        chosen: dict[str, Events] = {}
        for node, found in self.nodes.items():
            name = observable or (next(iter(found)) if len(found) == 1 else "spikes")
            if name not in found:
                known = ", ".join(f"'{n}'" for n in found)
                raise fail("E0702", f"node '{node}' has no observable '{name}'; it has {known}")
            chosen[node] = found[name]
        try:
            return Stimulus(chosen)
        except ValueError as error:
            raise fail("E0702", str(error)) from None


@dataclass
class _Raw:
    """One observable as it stands in the file; ``dt`` is None for events in seconds."""

    samples: int
    size: int
    dt: float | None
    t_max: float
    sample: npt.NDArray[np.int64]
    moment: npt.NDArray[np.float64]  # steps when dt is known, else seconds
    index: npt.NDArray[np.int64]
    value: npt.NDArray[Any] | None
    at: Location = field(default_factory=Location)


def read_nir_data(path: str | PathLike[str], *, dt: float | None = None) -> NirData:
    r"""The events of a NIR data file on steps of ``dt`` seconds.

    Gridded data keep their steps, and their own dt must be ``dt``. Events at time t fall into step
    :math:`\lfloor t/dt + 10^{-6} \rfloor` (nir takes :math:`\lfloor t/dt \rfloor`, which loses a
    step where t/dt is rounded down); a run has :math:`\lceil t_\mathrm{max}/dt \rceil` steps.
    Without ``dt`` the step of gridded data in the same file is taken.

    Raises ``SpikecError``: E0101, E0116, E0117, E0113 as for networks; E0701 for what is no data
    file or inconsistent; E0702 for another dt; E0109 when there is none.
    """
    found = Diagnostics()
    with opened(path) as (root, reader):
        raw: dict[str, dict[str, _Raw]] = {}
        if reader.attribute(root, "__type__") != "NIRGraphData":
            kind = "a network" if "node" in reader.members(root) else "of another kind"
            raise fail("E0701", f"not a NIR data file: it is {kind}", reader.at())
        _graph(root, "", 0, reader, raw, found)
    found.raise_errors()
    if not any(raw.values()):
        raise fail("E0701", "the file holds no observables", Location(str(path)))
    step = _common_step(raw, dt, Location(str(path)), found)
    found.raise_errors()
    nodes = {
        node: {name: _events(item, step, found) for name, item in observables.items()}
        for node, observables in raw.items()
    }
    found.raise_errors()
    return NirData(step, nodes)


def _graph(
    group: Any,
    prefix: str,
    depth: int,
    reader: Reader,
    raw: dict[str, dict[str, _Raw]],
    found: Diagnostics,
) -> None:
    nodes = reader.members(group).get("nodes")
    if nodes is None or depth > MAX_DEPTH:
        found.add("E0701", "a graph without nodes, or nested too deep", reader.at(prefix or None))
        return
    for name, child in reader.members(nodes).items():
        full = prefix + name
        kind = reader.attribute(child, "__type__")
        if kind == "NIRGraphData":
            _graph(child, full + ".", depth + 1, reader, raw, found)
        elif kind == "NIRNodeData":
            observables = reader.members(child).get("observables")
            items = reader.members(observables) if observables is not None else {}
            raw[full] = {}
            for observable, item in items.items():
                read = _observable(item, full, observable, reader, found)
                if read is not None:
                    raw[full][observable] = read
        else:
            found.add("E0701", f"unknown kind of node {kind!r}", reader.at(full))


def _observable(item: Any, node: str, name: str, reader: Reader, found: Diagnostics) -> _Raw | None:
    kind, at = reader.attribute(item, "__type__"), reader.at(f"{node}.{name}")
    members = reader.members(item)
    if kind == "TimeGriddedData":
        wanted: tuple[str, ...] = ("data",)
    elif kind in ("EventData", "ValuedEventData"):
        wanted = ("idx", "time", "value") if kind == "ValuedEventData" else ("idx", "time")
    else:
        found.add("E0701", f"unknown kind of observable {kind!r}", at)
        return None
    arrays: dict[str, npt.NDArray[Any]] = {}
    for key in wanted:
        value = reader.value(members[key], node) if key in members else None
        if not isinstance(value, np.ndarray):
            found.add("E0701", f"{kind} lacks numbers in '{key}'", at)
            return None
        arrays[key] = value
    if kind == "TimeGriddedData":
        return _gridded(arrays["data"], _number(reader, item, "dt"), at, found)
    return _listed(
        arrays, _number(reader, item, "n_neurons"), _number(reader, item, "t_max"), at, found
    )


def _number(reader: Reader, item: Any, name: str) -> float:
    value = np.asarray(reader.attribute(item, name))
    return float(value.ravel()[0]) if value.size == 1 and value.dtype.kind in "fiub" else np.nan


def _gridded(data: npt.NDArray[Any], dt: float, at: Location, found: Diagnostics) -> _Raw | None:
    if data.ndim != 3 or not dt > 0:
        found.add(
            "E0701", f"data of shape {data.shape} with dt = {dt}; expected three axes, dt > 0", at
        )
        return None
    if not np.isfinite(data).all():
        found.add("E0701", "the data hold values not finite", at)
        return None
    samples, steps, size = data.shape
    sample, step, index = np.nonzero(data)
    value = None if data.dtype.kind == "b" else data[sample, step, index]
    return _Raw(samples, size, dt, steps, sample, step.astype(np.float64), index, value, at)


def _listed(
    arrays: dict[str, npt.NDArray[Any]], size: float, t_max: float, at: Location, found: Diagnostics
) -> _Raw | None:
    idx, time = arrays["idx"], arrays["time"]
    value = arrays.get("value")
    shapes = {a.shape for a in arrays.values()}
    if len(shapes) != 1 or idx.ndim != 2 or idx.dtype.kind not in "iu":
        found.add("E0701", f"idx, time and value have shapes {sorted(shapes)}", at)
        return None
    if not (size >= 1 and size == int(size) and np.isfinite(t_max) and t_max > 0):
        found.add("E0701", f"n_neurons is {size} and t_max {t_max}", at)
        return None
    present = idx != -1
    sample, place = np.nonzero(present)
    index, moment = idx[sample, place].astype(np.int64), time[sample, place].astype(np.float64)
    wrong = (index < 0) | (index >= size) | ~((moment >= 0) & (moment < t_max))
    if wrong.any():
        k = int(np.argmax(wrong))
        found.add(
            "E0701",
            f"{int(wrong.sum())} event(s) out of range, the first on line {index[k]} at "
            f"{moment[k]} s; there are {int(size)} lines and {t_max:g} s",
            at,
        )
        return None
    values = None if value is None else value[sample, place]
    if values is not None and not np.isfinite(values.astype(np.float64)).all():
        found.add("E0701", "the values are not all finite", at)
        return None
    return _Raw(idx.shape[0], int(size), None, t_max, sample, moment, index, values, at)


def _common_step(
    raw: dict[str, dict[str, _Raw]], dt: float | None, at: Location, found: Diagnostics
) -> float:
    items = [item for observables in raw.values() for item in observables.values()]
    grids = [item for item in items if item.dt is not None]
    step = dt if dt is not None else next((item.dt for item in grids), None)
    if step is None:
        found.add("E0109", "the file holds events in seconds only", at, "give --dt")
        return 1.0
    if not (np.isfinite(step) and step > 0):
        found.add("E0107", f"dt is {step!r} s", at)
        return 1.0
    for item in grids:
        if item.dt is not None and abs(item.dt - step) > _SLACK * step:
            found.add(
                "E0702",
                f"the data have steps of {item.dt:g} s, wanted are {step:g} s",
                item.at,
                "give the --dt of the data, or record them again",
            )
    return float(step)


def _events(item: _Raw, dt: float, found: Diagnostics) -> Events:
    gridded = item.dt is not None
    exact = item.t_max if gridded else item.t_max / dt
    steps = int(np.ceil(exact - _SLACK)) if exact < MAX_ELEMENTS else MAX_ELEMENTS + 1
    if prod((max(item.samples, 1), steps)) > MAX_ELEMENTS:
        found.add("E0113", f"{item.samples} samples of {exact:.3g} steps", item.at)
        return Events.from_dense(np.zeros((1, 1, 1), bool))
    moment = item.moment if gridded else np.floor(item.moment / dt + _SLACK)
    step = np.minimum(moment.astype(np.int64), steps - 1)
    value = item.value
    if value is not None and value.dtype.kind not in "bui":
        value = value.astype(np.float64)
    return Events.from_events(item.samples, steps, item.size, item.sample, step, item.index, value)
