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
``.txt``, ``.aer``,     one spike a line: step index [sample [count]]; ``#`` begins a comment
``.csv``
``.nir``, ``.h5``       NIR's own data file
======================  ==========================================================================

An ``.npz`` may hold ``labels``, one class a sample. Nothing in these files is ever executed.
"""

from __future__ import annotations

import io
import struct
import tempfile
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ir.diagnostics import Location, fail
from ..ir.events import Events, Recording, Stimulus
from ..ir.graph import Graph, Input
from ..ir.neurons import IntegerNeuron

# Beyond these a file is damaged or hostile: places that are counted, and steps that are walked.
_MAX_PLACES = 1 << 40
_MAX_STEPS = 1 << 28
_EXACT = 2.0**53
# All that numpy and zipfile raise on damaged files; the message is kept.
_DAMAGED = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    EOFError,
    OverflowError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
_TEXT = (".txt", ".aer", ".csv")
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
    if steps is not None and not 0 < steps <= _MAX_STEPS:
        raise fail("E0707", f"{steps} steps; there must be 1 to {_MAX_STEPS}", where)
    if suffix in (".npz", ".npy"):
        with path.open("rb") as file:
            start = file.read(6)
        if not start.startswith((b"PK", b"\x93NUMPY")):
            raise fail("E0701", "it is no file of numpy's, whatever its name says", where)
        try:
            arrays = _arrays(path)
        except _DAMAGED as error:
            raise fail("E0701", f"it cannot be read: {error}", where) from None
        return _from_npz(arrays, graph, steps, where)
    if suffix in (".nir", ".h5", ".hdf5"):
        return _from_nir(path, graph, steps, where)
    if suffix in _TEXT:
        return _from_text(path, graph, steps, where)
    raise fail("E0701", f"'{suffix}' is no stimulus format", where, "use .npz, .npy, .txt or .nir")


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an ``.npz``, or the one of an ``.npy`` as ``data``."""
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")  # numpy's remarks on odd headers
        data = np.load(file, allow_pickle=False)
        if isinstance(data, np.ndarray):
            return {"data": data}
        with data:
            return {name: np.asarray(data[name]) for name in data.files}


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
        return _labelled(_from_camera(data, graph, steps, where), labels, graph, where)
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
    return _labelled(_together(inputs, where), labels, graph, where)


def _labelled(
    stimulus: Stimulus, labels: npt.NDArray[Any] | None, graph: Graph, where: Location
) -> LabelledStimulus:
    if stimulus.samples * stimulus.steps > _MAX_STEPS:
        raise fail(
            "E0701",
            f"{stimulus.samples} samples of {stimulus.steps} steps are absurdly many",
            where,
        )
    if labels is None:
        return LabelledStimulus(stimulus)
    classes = _whole(labels, "labels", where)
    if classes.size != stimulus.samples:
        raise fail("E0702", f"{classes.size} labels do not fit {stimulus.samples} samples", where)
    if graph.outputs and classes.size:
        # The class of a label is a neuron of the first output.
        output = graph.population(graph.outputs[0].source)
        if classes.min() < 0 or classes.max() >= output.size:
            raise fail(
                "E0702",
                f"labels span {classes.min()} to {classes.max()}; the output '{output.name}' has "
                f"classes 0 to {output.size - 1}",
                where,
            )
    return LabelledStimulus(stimulus, classes)


def _whole(array: npt.NDArray[Any], name: str, where: Location) -> npt.NDArray[np.int64]:
    """A column of whole numbers, flat; E0701 for anything else."""
    kind = array.dtype.kind
    if kind not in "buif":
        raise fail("E0701", f"'{name}' has type {array.dtype}, not whole numbers", where)
    if kind == "f":
        sound = np.isfinite(array).all() and (np.abs(array) < _EXACT).all()
        if not sound or (array != np.rint(array)).any():
            raise fail("E0701", f"'{name}' holds values that are not whole numbers", where)
    elif array.size and (int(array.max()) > _EXACT or int(array.min()) < -_EXACT):
        raise fail("E0701", f"'{name}' holds values that are absurdly large", where)
    return array.ravel().astype(np.int64)


def _scalar(data: dict[str, npt.NDArray[Any]], name: str, where: Location) -> int | None:
    if name not in data:
        return None
    values = _whole(data[name], name, where)
    if values.size != 1 or values[0] < 1:
        raise fail("E0701", f"'{name}' must be one number above zero", where)
    return int(values[0])


def _together(inputs: dict[str, Events], where: Location) -> Stimulus:
    try:
        return Stimulus(inputs)
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
    if 0 in array.shape[:2]:
        raise fail(
            "E0702", f"the array for '{node.name}' has shape {shape}: no sample or no step", where
        )
    dense = array.reshape(*array.shape[:2], node.size)
    if steps is not None:
        dense = dense[:, :steps]
    if dense.dtype.kind == "u" and (dense > _EXACT).any():
        raise fail("E0701", f"the array for '{node.name}' holds absurdly large counts", where)
    whole = dense.dtype.kind == "f" and np.array_equal(dense, np.rint(dense))
    if whole and (np.abs(dense) < _EXACT).all():
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
    columns = {}
    for part in _COLUMNS[:3]:
        name = f"{node.name}.{part}"
        if name in data:
            columns[part] = _whole(data[name], name, where)
        elif part == "index":
            raise fail("E0702", f"there is no array '{name}'", where)
    step, index = columns["step"], columns["index"]
    sample = columns.get("sample", np.zeros(step.size, np.int64))
    value = data.get(f"{node.name}.value", np.ones(step.size, np.int64)).ravel()
    if value.dtype.kind not in "buif" or not np.isfinite(value).all():
        raise fail("E0701", f"'{node.name}.value' holds what are no finite numbers", where)
    if len({step.size, index.size, sample.size, value.size}) != 1:
        raise fail("E0701", f"the columns of '{node.name}' differ in length", where)
    if value.dtype.kind != "f":
        value = _whole(value, f"{node.name}.value", where)
    length = steps or _scalar(data, "steps", where) or int(step.max(initial=0)) + 1
    count = _scalar(data, "samples", where) or int(sample.max(initial=0)) + 1
    if count * length * node.size > _MAX_PLACES:
        sizes = (count, length, node.size)
        raise fail("E0701", f"{sizes} samples, steps, lines are absurdly many", where)
    # With --steps events beyond the end are cut; by themselves they are an error.
    keep = step < length if steps else np.ones(step.size, np.bool_)
    ranges = {"sample": (sample, count), "step": (step[keep], length), "index": (index, node.size)}
    for name, (column, size) in ranges.items():
        if column.size and not 0 <= column.min() <= column.max() < size:
            raise fail(
                "E0702",
                f"{name} of '{node.name}' spans {column.min()} to {column.max()}; "
                f"it must be 0 to {size - 1}",
                where,
            )
    return Events.from_events(
        count, length, node.size, sample[keep], step[keep], index[keep], value[keep]
    )


def _from_camera(
    data: dict[str, npt.NDArray[Any]], graph: Graph, steps: int | None, where: Location
) -> Stimulus:
    node = _only_input(graph, where)
    events = data["events"].ravel()
    missing = {"t", "x", "y", "p"} - set(events.dtype.names or ())
    if missing:
        raise fail("E0701", f"the events lack the field(s) {sorted(missing)}", where)
    if len(node.shape) != 3:
        raise fail(
            "E0702", f"an event camera fits (polarity, y, x), '{node.name}' is {node.shape}", where
        )
    column = {name: _whole(events[name], f"events.{name}", where) for name in "txyp"}
    offsets = _whole(data.get("offsets", np.array([0, events.size])), "offsets", where)
    samples = offsets.size - 1
    if samples < 1 or offsets[0] < 0 or (np.diff(offsets) < 0).any() or offsets[-1] > events.size:
        raise fail("E0701", "the offsets do not cut the events into samples", where)
    column = {name: values[offsets[0] : offsets[-1]] for name, values in column.items()}
    lengths = np.diff(offsets)
    sample = np.repeat(np.arange(samples), lengths)
    starts = np.zeros(samples, np.int64)
    starts[lengths > 0] = column["t"][(offsets[:-1] - offsets[0])[lengths > 0]]
    since = column["t"] - starts[sample]
    if since.size and since.min() < 0:
        raise fail("E0702", "an event is earlier than the first one of its sample", where)
    # Microseconds against the step as integers where dt is a whole number of them.
    with np.errstate(over="ignore"):
        steps_since = np.minimum(since / (graph.dt * 1e6) + 1e-9, _MAX_PLACES)
    step = np.floor(steps_since).astype(np.int64)
    length = steps or int(step.max(initial=0)) + 1
    if samples * length * node.size > _MAX_PLACES:
        raise fail("E0701", f"{samples} samples of {length} steps are absurdly many", where)
    outside = np.zeros(step.size, np.bool_)
    for name, size in zip("pyx", node.shape, strict=True):
        outside |= (column[name] < 0) | (column[name] >= size)
    if outside.any():
        raise fail(
            "E0702",
            f"{int(outside.sum())} events lie outside (polarity, y, x) = {node.shape}",
            where,
        )
    _, height, width = node.shape
    line = (column["p"] * height + column["y"]) * width + column["x"]
    keep = step < length
    events_in = Events.from_events(samples, length, node.size, sample[keep], step[keep], line[keep])
    return Stimulus({node.name: events_in})


def _from_text(path: Path, graph: Graph, steps: int | None, where: Location) -> LabelledStimulus:
    node = _only_input(graph, where)
    rows = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise fail("E0701", f"it cannot be read: {error}", where) from None
    for number, line in enumerate(lines, start=1):
        words = line.split("#", 1)[0].replace(",", " ").split()
        if not words:
            continue
        # A number of 19 digits is beyond any step there is, and int() would read it for ever.
        if len(words) not in (2, 3, 4) or not all(w.isdecimal() and len(w) < 19 for w in words):
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
    return _labelled(
        Stimulus({node.name: _from_lists(data, node, steps, where)}), None, graph, where
    )


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
    return _labelled(_together(inputs, where), None, graph, where)


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


def stimulus_of(data: bytes, graph: Graph) -> LabelledStimulus:
    """What `stimulus_bytes` made bytes of; codes as `load_stimulus`."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stimulus.npz"
        path.write_bytes(data)
        return load_stimulus(path, graph)


def recording_bytes(recording: Recording) -> bytes:
    """A recording as an ``.npz``.

    ``spikes/POPULATION/...``, ``states/POPULATION/VARIABLE`` and ``weights/PROJECTION``; ``dt`` of
    the network and, where the hardware's steps are its own, ``period``, both in s.
    """
    arrays: dict[str, Any] = {"rung": recording.rung, "dt": recording.dt}
    if recording.period is not None:
        arrays["period"] = recording.period
    for name, events in recording.spikes.items():
        arrays[f"spikes/{name}/shape"] = [events.samples, events.steps, events.size]
        for part in _COLUMNS:
            arrays[f"spikes/{name}/{part}"] = getattr(events, part)
    for (name, variable), values in recording.states.items():
        arrays[f"states/{name}/{variable}"] = values
    for name, values in recording.weights.items():
        arrays[f"weights/{name}"] = values
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def recording_writer(
    path: Path, graph: Graph, populations: Sequence[str], states: bool = False
) -> Callable[[Recording], bytes]:
    """What makes the content of ``path`` of a recording, by the name's ending.

    ``.npz`` holds everything, ``.txt``, ``.aer`` and ``.csv`` the spikes of one population as
    `spikes_text`. E0707, before anything has run, for what the file cannot hold.
    """
    suffix = path.suffix.lower()
    if suffix == ".npz" or path.is_dir():
        return recording_bytes
    everything = "write an .npz, which holds everything"
    if suffix not in _TEXT:
        raise fail("E0707", f"-o writes .npz or AER text ({', '.join(_TEXT)}), not '{path.name}'")
    if states:
        raise fail("E0707", f"'{path.name}' holds spikes, no states", hint=everything)
    if len(populations) != 1:
        raise fail(
            "E0707",
            f"'{path.name}' holds the spikes of one population, not of "
            f"{', '.join(populations) or 'none'}",
            hint=f"name one, or {everything}",
        )
    (name,) = populations
    neuron = graph.population(name).neuron
    if isinstance(neuron, IntegerNeuron) and not neuron.spiking:
        raise fail("E0707", f"'{name}' emits values, '{path.name}' holds spikes", hint=everything)
    return lambda recording: spikes_text(recording.spikes[name], "," if suffix == ".csv" else " ")


def spikes_text(events: Events, separator: str = " ") -> bytes:
    """A line for each place with spikes, in order: step index [sample [count]].

    Samples are left out if there is only one and no place has more spikes than one, counts if no
    place has. The first line is a comment with the number of lines, steps and samples.
    """
    columns = [events.step, events.index]
    several = bool((events.value != 1).any())
    if several or events.samples > 1:
        columns.append(events.sample)
    if several:
        columns.append(events.value.astype(np.int64))
    size = f"{events.size} lines, {events.steps} steps, {events.samples} samples"
    header = f"{separator.join(('step', 'index', 'sample', 'count')[: len(columns)])}: {size}"
    buffer = io.BytesIO()
    np.savetxt(buffer, np.column_stack(columns), "%d", separator, header=header)
    return buffer.getvalue()


def load_recording(path: Path) -> Recording:
    """Read what ``recording_bytes`` wrote; E0706 for anything else."""
    where = Location(str(path))
    try:
        arrays = _arrays(path)
        spikes, states, weights = {}, {}, {}
        for key in arrays:
            kind, _, rest = key.partition("/")
            if kind == "spikes" and key.endswith("/shape"):
                name = rest.removesuffix("/shape")
                samples, steps, size = (int(n) for n in arrays[key])
                sample, step, index, value = (arrays[f"spikes/{name}/{p}"] for p in _COLUMNS)
                spikes[name] = _sound(Events(samples, steps, size, sample, step, index, value))
            elif kind == "states":
                name, _, variable = rest.rpartition("/")
                states[name, variable] = arrays[key]
            elif kind == "weights":
                weights[rest] = arrays[key]
        period = float(arrays["period"]) if "period" in arrays else None
        return Recording(str(arrays["rung"]), float(arrays["dt"]), spikes, states, weights, period)
    except (*_DAMAGED, AttributeError) as error:
        raise fail("E0706", f"it cannot be read: {error}", where) from None


def _sound(events: Events) -> Events:
    """``events`` when every column has a value for each and every place exists."""
    if len({getattr(events, part).shape for part in _COLUMNS}) != 1 or events.value.ndim != 1:
        raise ValueError("the columns of the spikes differ in length")
    sizes = (events.samples, events.steps, events.size)
    for part, size in zip(_COLUMNS, sizes, strict=False):
        column = getattr(events, part)
        if column.size and not 0 <= column.min() <= column.max() < size:
            raise ValueError(f"{part} of the spikes leaves 0 to {size - 1}")
    return events
