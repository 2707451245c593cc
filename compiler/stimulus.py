"""Stimuli and recordings as files.

======================  ==========================================================================
file                    what it holds
======================  ==========================================================================
``.npz`` dense          an array per input, by its name (or ``data`` for the only input), of shape
                        (samples, steps, ...) or (steps, ...)
``.npz`` events         ``NAME.step``, ``NAME.index`` and, when wanted, ``NAME.sample``,
                        ``NAME.value``; scalars ``steps`` and ``samples``
``.npz`` event camera   ``events`` with fields t (microseconds), x, y, p, and ``offsets`` that cut
                        it into samples; binned into the network's steps from each first event
``.npy``                one dense array for the only input
``.txt``, ``.aer``      one spike a line: step index [sample [count]]; ``#`` begins a comment
``.nir``, ``.h5``       NIR's own data file
======================  ==========================================================================

An ``.npz`` may hold ``labels``, one class a sample. Nothing in these files is ever executed.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ir.diagnostics import Location, fail
from ..ir.events import Events, Recording, Stimulus
from ..ir.graph import Graph, Input

_MAX_CELLS = 1 << 34
_COLUMNS = ("sample", "step", "index", "value")


@dataclass(frozen=True)
class LabelledStimulus:
    """A stimulus and, when the file has them, the class of each sample."""

    stimulus: Stimulus
    labels: npt.NDArray[np.int64] | None = None

    def take(self, samples: int | None) -> LabelledStimulus:
        """The first ``samples`` samples; all of them for ``None``."""
        if samples is None or samples >= self.stimulus.samples:
            return self
        labels = None if self.labels is None else self.labels[:samples]
        return LabelledStimulus(self.stimulus.take(samples), labels)


def load_stimulus(path: Path, graph: Graph, steps: int | None = None) -> LabelledStimulus:
    """Read a stimulus for the inputs of ``graph``.

    ``steps`` cuts or extends every sample. Raises E0701 when the file cannot be read, E0702 when
    it does not fit the network.
    """
    where = Location(str(path))
    suffix = path.suffix.lower()
    if not path.is_file():
        raise fail("E0701", "there is no such file", where)
    try:
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as data:
                return _from_npz(dict(data), graph, steps, where)
        if suffix == ".npy":
            return _from_npz({"data": np.load(path, allow_pickle=False)}, graph, steps, where)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise fail("E0701", f"it cannot be read: {error}", where) from None
    if suffix in (".nir", ".h5", ".hdf5"):
        return _from_nir(path, graph, steps, where)
    if suffix in (".txt", ".aer", ".csv"):
        return _from_text(path, graph, steps, where)
    raise fail("E0701", f"'{suffix}' is no stimulus format", where, "use .npz, .npy, .txt or .nir")


def _only_input(graph: Graph, where: Location) -> Input:
    if len(graph.inputs) != 1:
        names = ", ".join(f"'{i.name}'" for i in graph.inputs)
        raise fail("E0702", f"name the array after its input: one of {names}", where)
    return graph.inputs[0]


def _from_npz(
    data: dict[str, npt.NDArray[Any]], graph: Graph, steps: int | None, where: Location
) -> LabelledStimulus:
    labels = data.get("labels")
    if "events" in data and data["events"].dtype.names:
        return _labelled(_from_camera(data, graph, steps, where), labels, where)
    inputs = {}
    for node in graph.inputs:
        if f"{node.name}.step" in data:
            inputs[node.name] = _from_lists(data, node, steps, where)
            continue
        key = node.name if node.name in data else "data"
        if key not in data:
            raise fail(
                "E0702",
                f"there is no array for input '{node.name}'; the file has "
                f"{', '.join(sorted(data)) or 'nothing'}",
                where,
            )
        if key == "data":
            _only_input(graph, where)
        inputs[node.name] = _from_dense(data[key], node, steps, where)
    return _labelled(_together(inputs, where), labels, where)


def _labelled(
    stimulus: Stimulus, labels: npt.NDArray[Any] | None, where: Location
) -> LabelledStimulus:
    if labels is None:
        return LabelledStimulus(stimulus)
    if labels.dtype.kind not in "bui":
        raise fail("E0701", f"labels have type {labels.dtype}; they must be integers", where)
    if labels.size != stimulus.samples:
        raise fail("E0702", f"there are {labels.size} labels for {stimulus.samples} samples", where)
    return LabelledStimulus(stimulus, labels.ravel().astype(np.int64))


def _together(inputs: dict[str, Events], where: Location) -> Stimulus:
    try:
        stimulus = Stimulus(inputs)
        if not stimulus.samples * stimulus.steps:
            size = f"{stimulus.samples} samples of {stimulus.steps} steps"
            raise fail("E0702", f"there is no sample or no step in it: {size}", where)
        return stimulus
    except ValueError:
        sizes = {name: (e.samples, e.steps) for name, e in inputs.items()}
        raise fail("E0702", f"inputs differ in (samples, steps): {sizes}", where) from None


def _from_dense(array: npt.NDArray[Any], node: Input, steps: int | None, where: Location) -> Events:
    if array.dtype.kind not in "buif":
        raise fail("E0701", f"the array for '{node.name}' has type {array.dtype}", where)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise fail("E0701", f"the array for '{node.name}' holds values not finite", where)
    shape = array.shape
    if shape[1:] == node.shape or (array.ndim == 2 and shape[1] == node.size):
        array = array[None]
    elif not (shape[2:] == node.shape or (array.ndim == 3 and shape[2] == node.size)):
        raise fail(
            "E0702",
            f"the array for '{node.name}' has shape {shape}; expected (samples, steps, "
            f"{', '.join(map(str, node.shape))})",
            where,
        )
    dense = array.reshape(*array.shape[:2], node.size)
    if steps is not None:
        dense = dense[:, :steps]
    if dense.dtype.kind == "f" and np.array_equal(dense, np.rint(dense)):
        dense = dense.astype(np.int64)
    events = Events.from_dense(dense)
    return events if steps is None else _lengthened(events, steps)


def _lengthened(events: Events, steps: int) -> Events:
    return Events(
        events.samples,
        steps,
        events.size,
        events.sample,
        events.step,
        events.index,
        events.value,
    )


def _from_lists(
    data: dict[str, npt.NDArray[Any]], node: Input, steps: int | None, where: Location
) -> Events:
    if f"{node.name}.index" not in data:
        raise fail("E0701", f"there is '{node.name}.step' but no '{node.name}.index'", where)
    step = data[f"{node.name}.step"].ravel()
    for part in ("step", "index", "sample", "value"):
        column = data.get(f"{node.name}.{part}")
        if column is None:
            continue
        if column.dtype.kind not in ("buif" if part == "value" else "ui"):
            raise fail(
                "E0701", f"'{node.name}.{part}' has type {column.dtype}, not integers", where
            )
        if column.size != step.size:
            raise fail(
                "E0702",
                f"'{node.name}.{part}' has {column.size} entries, '{node.name}.step' {step.size}",
                where,
            )
    index = data[f"{node.name}.index"].ravel()
    sample = data.get(f"{node.name}.sample", np.zeros(step.size, np.int64)).ravel()
    value = data.get(f"{node.name}.value")
    length = steps or (int(data["steps"]) if "steps" in data else int(step.max(initial=0)) + 1)
    count = int(data["samples"]) if "samples" in data else int(sample.max(initial=0)) + 1
    keep = step < length
    columns = (sample[keep], step[keep], index[keep])
    _in_range(columns, (count, length, node.size), node, where)
    amount = None if value is None else value.ravel()[keep]
    return Events.from_events(count, length, node.size, *columns, amount)


def _in_range(
    columns: tuple[Any, Any, Any], sizes: tuple[int, int, int], node: Input, where: Location
) -> None:
    if not sizes[0] * sizes[1] * sizes[2] < _MAX_CELLS * 64:
        raise fail("E0701", f"{sizes} samples, steps, lines are absurdly many", where)
    for name, column, size in zip(("sample", "step", "index"), columns, sizes, strict=True):
        if column.size and not 0 <= column.min() <= column.max() < size:
            raise fail(
                "E0702",
                f"{name} of '{node.name}' spans {column.min()} to {column.max()}; "
                f"it must be 0 to {size - 1}",
                where,
            )


def _from_camera(
    data: dict[str, npt.NDArray[Any]], graph: Graph, steps: int | None, where: Location
) -> Stimulus:
    node = _only_input(graph, where)
    events = data["events"]
    missing = {"t", "x", "y", "p"} - set(events.dtype.names or ())
    if missing:
        raise fail("E0701", f"the events lack the field(s) {sorted(missing)}", where)
    if len(node.shape) != 3:
        raise fail(
            "E0702", f"an event camera fits (polarity, y, x), '{node.name}' is {node.shape}", where
        )
    offsets = data.get("offsets", np.array([0, events.size])).astype(np.int64)
    samples = offsets.size - 1
    if samples < 1 or offsets[0] < 0 or (np.diff(offsets) < 0).any() or offsets[-1] > events.size:
        raise fail("E0701", "the offsets do not cut the events into samples", where)
    events = events[offsets[0] : offsets[-1]]
    lengths = np.diff(offsets)
    sample = np.repeat(np.arange(samples), lengths)
    starts = np.zeros(samples, np.int64)
    starts[lengths > 0] = events["t"][(offsets[:-1] - offsets[0])[lengths > 0]]
    # Microseconds against the step as integers where dt is a whole number of them.
    step = np.floor((events["t"].astype(np.int64) - starts[sample]) / (graph.dt * 1e6) + 1e-9)
    step = step.astype(np.int64)
    length = steps or int(step.max(initial=0)) + 1
    polarity, height, width = node.shape
    inside = (events["p"] < polarity) & (events["y"] < height) & (events["x"] < width)
    if not inside.all():
        raise fail(
            "E0702",
            f"{int((~inside).sum())} events lie outside (polarity, y, x) = {node.shape}",
            where,
        )
    line = (events["p"].astype(np.int64) * height + events["y"]) * width + events["x"]
    keep = (step >= 0) & (step < length)
    return Stimulus(
        {
            node.name: Events.from_events(
                samples, length, node.size, sample[keep], step[keep], line[keep]
            )
        }
    )


def _from_text(path: Path, graph: Graph, steps: int | None, where: Location) -> LabelledStimulus:
    node = _only_input(graph, where)
    rows = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise fail("E0701", f"it cannot be read: {error}", where) from None
    for number, line in enumerate(lines, start=1):
        words = line.split("#", 1)[0].replace(",", " ").split()
        if not words:
            continue
        if len(words) not in (2, 3, 4) or not all(w.isdecimal() for w in words):
            raise fail(
                "E0701",
                f"expected 'step index [sample [count]]', found '{line.strip()[:40]}'",
                Location(str(path), line=number),
            )
        rows.append([int(w) for w in words] + [0, 1][len(words) - 2 :])
    table = np.array(rows, np.int64).reshape(-1, 4)
    data = {
        f"{node.name}.{name}": table[:, k]
        for k, name in enumerate(("step", "index", "sample", "value"))
    }
    return LabelledStimulus(Stimulus({node.name: _from_lists(data, node, steps, where)}))


def _from_nir(path: Path, graph: Graph, steps: int | None, where: Location) -> LabelledStimulus:
    from .frontends.nir import read_nir_data

    inputs = {}
    found = read_nir_data(path, dt=graph.dt).stimulus().inputs
    for node in graph.inputs:
        if node.name not in found:
            raise fail("E0702", f"there is no data for input '{node.name}'", where)
        events = found[node.name]
        if events.size != node.size:
            raise fail(
                "E0702", f"'{node.name}' has {node.size} lines, the data {events.size}", where
            )
        inputs[node.name] = events if steps is None else events.shifted(0, steps)
    return LabelledStimulus(_together(inputs, where))


def stimulus_bytes(labelled: LabelledStimulus) -> bytes:
    """A stimulus as an ``.npz`` of event lists."""
    stimulus = labelled.stimulus
    arrays: dict[str, Any] = {"samples": stimulus.samples, "steps": stimulus.steps}
    for name, events in stimulus.inputs.items():
        for part in _COLUMNS:
            arrays[f"{name}.{part}"] = getattr(events, part)
    if labelled.labels is not None:
        arrays["labels"] = labelled.labels
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def recording_bytes(recording: Recording) -> bytes:
    """A recording as an ``.npz``: ``spikes/POPULATION/...`` and ``states/POPULATION/VARIABLE``."""
    arrays: dict[str, Any] = {"rung": recording.rung, "dt": recording.dt}
    for name, events in recording.spikes.items():
        arrays[f"spikes/{name}/shape"] = [events.samples, events.steps, events.size]
        for part in _COLUMNS:
            arrays[f"spikes/{name}/{part}"] = getattr(events, part)
    for (name, variable), values in recording.states.items():
        arrays[f"states/{name}/{variable}"] = values
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def load_recording(path: Path) -> Recording:
    """Read what ``recording_bytes`` wrote; E0706 for anything else."""
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = dict(data)
        spikes, states = {}, {}
        for key in arrays:
            kind, _, rest = key.partition("/")
            if kind == "spikes" and key.endswith("/shape"):
                name = rest.removesuffix("/shape")
                samples, steps, size = (int(n) for n in arrays[key])
                sample, step, index, value = (arrays[f"spikes/{name}/{p}"] for p in _COLUMNS)
                spikes[name] = Events(samples, steps, size, sample, step, index, value)
            elif kind == "states":
                name, _, variable = rest.rpartition("/")
                states[name, variable] = arrays[key]
        return Recording(str(arrays["rung"]), float(arrays["dt"]), spikes, states)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise fail("E0706", f"it cannot be read: {error}", Location(str(path))) from None
