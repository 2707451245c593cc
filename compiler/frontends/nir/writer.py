"""Graph -> NIR file, in the layout of nir 1.0.8."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, fields
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ....ir.connections import (
    AvgPool2d,
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    Shape,
    Sparse,
    SumPool2d,
    stages,
)
from ....ir.diagnostics import Diagnostic, Diagnostics, Location, fail
from ....ir.dialects import DIALECTS
from ....ir.graph import Graph, Population, Projection
from ....ir.neurons import (
    IF,
    LI,
    LIF,
    CubaLI,
    CubaLIF,
    IntegerNeuron,
    Integrator,
    Izhikevich,
    LinearLIF,
    LoihiNeuron,
    PointLIF,
    Relay,
    SpinnakerLIF,
    Threshold,
)
from ....ir.semantics import Semantics
from ....ir.verify import verify
from .loops import find_loops

VERSION = "1.0.8"
MAX_DENSE = 1 << 24  # entries of the matrix that a sparse connection is written as
_COMPRESSED = 256  # elements from which an array is compressed

Fields = dict[str, Any]
_KINDS = {
    Integrator: "I",
    IF: "IF",
    LI: "LI",
    LIF: "LIF",
    CubaLI: "CubaLI",
    CubaLIF: "CubaLIF",
    Threshold: "Threshold",
}


def write_nir(graph: Graph, path: str | PathLike[str]) -> tuple[Diagnostic, ...]:
    """Write ``graph`` as a NIR file; what the file cannot hold is returned as diagnostics.

    The bytes depend on the graph alone. The file appears whole or not at all. Every projection
    becomes a chain of nodes of its own, named after it. ``read_nir`` gives the graph back, up to
    locations, when it came from a file; with other graphs, one-to-one weights come back as scales,
    sparse ones dense, and relays inside the network as the sums they are.

    Raises ``SpikecError``: E0119 for what NIR cannot hold, E0604 when the disk refuses, or the
    verifier's errors.
    """
    verify(graph)
    found = Diagnostics()
    nodes, edges = _Layout(graph, found).build()
    found.raise_errors()
    _notes(graph, found)
    _replace(Path(path), _image(graph, nodes, edges))
    return tuple(found)


@dataclass(frozen=True)
class _Out:
    """One node to write."""

    kind: str
    fields: Fields


class _Layout:
    """Names and contents of the nodes of a file, and the edges between them."""

    def __init__(self, graph: Graph, found: Diagnostics) -> None:
        self.graph, self.found = graph, found
        self.nodes: dict[str, _Out] = {}
        self.edges: dict[tuple[str, str], None] = {}
        self.name_of: dict[str, str] = {}
        self.reserved: set[str] = set()
        self.loops = find_loops(
            [i.name for i in graph.inputs],
            [p.name for p in graph.populations],
            [(p.pre, p.post) for p in graph.projections],
        )

    def build(self) -> tuple[dict[str, _Out], list[tuple[str, str]]]:
        graph = self.graph
        readouts = self._readouts()
        places = [(node.name, node.at) for node in graph.inputs]
        places += [(node.name, node.at) for node in graph.populations]
        for name, at in places:
            self.name_of[name] = self._reserve(readouts.get(name, name), at)
        outputs = [
            (o, self.name_of[o.source])
            if readouts.get(o.source) == o.name
            else (o, self._reserve(o.name, o.at))
            for o in graph.outputs
        ]
        for entry in graph.inputs:
            self.nodes[self.name_of[entry.name]] = _Out("Input", {"shape": _integers(entry.shape)})
        for population in graph.populations:
            for projection in graph.incoming(population.name):
                self._projection(projection)
            if population.name not in readouts:
                self.nodes[self.name_of[population.name]] = self._population(population)
        for output, name in outputs:
            shape = graph.population(output.source).shape
            self.nodes[name] = _Out("Output", {"shape": _integers(shape)})
            if output.source not in readouts:
                self.edges[self.name_of[output.source], name] = None
        return self.nodes, list(self.edges)

    def _readouts(self) -> dict[str, str]:
        """Relays that stand for an output, and its name."""
        graph = self.graph
        sending = {p.pre for p in graph.projections}
        readers: dict[str, list[str]] = {}
        for output in graph.outputs:
            readers.setdefault(output.source, []).append(output.name)
        return {
            p.name: readers[p.name][0]
            for p in graph.populations
            if isinstance(p.neuron, Relay)
            and p.name not in sending
            and len(readers.get(p.name, [])) == 1
        }

    def _reserve(self, name: str, at: Location | None = None) -> str:
        """``name`` as HDF5 can hold it, made unique."""
        base = name.replace("/", "_")
        base = base if base not in ("", ".") else "_"
        unique, k = base, 2
        while unique in self.reserved:
            unique, k = f"{base}_{k}", k + 1
        self.reserved.add(unique)
        if unique != name and at is not None:
            self.found.add("W0133", f"'{name}' is named '{unique}' in the file", at)
        return unique

    def _cannot(self, message: str, at: Location, hint: str | None = None) -> None:
        self.found.add("E0119", message, at, hint)

    # -- populations -----------------------------------------------------------------------------

    def _population(self, population: Population) -> _Out:
        neuron, shape = population.neuron, population.shape
        if isinstance(neuron, IntegerNeuron | SpinnakerLIF | LoihiNeuron):
            self._cannot(
                "NIR has no integer neurons",
                population.at,
                "write the network before 'quantise', or keep the canonical text",
            )
            return _Out("Input", {})
        if isinstance(neuron, LinearLIF | Izhikevich | PointLIF):
            what = "with receptors"
            if not isinstance(neuron, PointLIF):
                what = "with a linear leak" if isinstance(neuron, LinearLIF) else "of Izhikevich's"
            self._cannot(f"NIR has no neuron {what}", population.at, "keep the canonical text")
            return _Out("Input", {})
        if population.adaptive is not None:
            self._cannot(
                f"NIR has no adaptive threshold, which '{population.name}' has",
                population.at,
                "keep the canonical text",
            )
        if getattr(neuron, "v_init", None) is not None:
            self._cannot(
                f"the neurons of '{population.name}' start at potentials of their own (v_init), "
                "which NIR does not hold",
                population.at,
                "start all of them at the v_init of a dialect, or keep the canonical text",
            )
            return _Out("Input", {})
        if isinstance(neuron, Relay):
            self.found.add("W0133", "a relay is written as a Scale by one", population.at)
            return _Out("Scale", {"scale": np.ones(shape)})
        if population.lag:
            self.found.add("W0133", f"the lag of {population.lag} steps is lost", population.at)
        stored: Fields = {}
        for name in neuron.parameters():
            value = getattr(neuron, name)
            if value is not None:
                key = "threshold" if isinstance(neuron, Threshold) else name
                stored[key] = _narrow(np.broadcast_to(value, shape))
        return _Out(_KINDS[type(neuron)], stored)

    # -- projections -------------------------------------------------------------------------------

    def _projection(self, projection: Projection) -> None:
        pre = self.graph.node(projection.pre).shape
        post = self.graph.population(projection.post).shape
        parts = stages(projection.connection)
        if projection.plasticity is not None:
            rule = type(projection.plasticity.rule).__name__
            self.found.add(
                "W0133", f"'{projection.name}' no longer learns by {rule}", projection.at
            )
        if projection.tied is not None:
            self.found.add(
                "W0133",
                f"'{projection.name}' no longer follows the weights of "
                f"'{projection.tied.projection}'",
                projection.at,
            )
        if projection.short_term is not None:
            self._cannot(
                f"'{projection.name}' has short-term plasticity, for which NIR has no node",
                projection.at,
                "leave it out, or keep the canonical text",
            )
        excess = projection.delay - self._expected(projection)
        if excess < 0:
            self.found.add(
                "W0133",
                f"'{projection.name}' takes {projection.delay} steps, and reads back with "
                f"{projection.delay - excess}: the dialect's own delay",
                projection.at,
            )
        chain = _Chain(pre)
        if excess > 0:
            chain.delay(np.full(pre, excess * self.graph.dt))
        for part in parts:
            self._stage(chain, part, projection)
        if chain.shape != post and len(post) == 1:
            chain.flatten()
        if chain.shape != post:
            self.found.add(
                "W0133",
                f"'{projection.name}' ends with the shape {chain.shape}, its population has "
                f"{post}; nir refuses that when it checks types",
                projection.at,
            )
        aside = self._add_bias(chain, projection)
        self._lay(chain, projection, projection.name)
        if aside is not None:
            self._lay(aside, projection, f"{projection.name}.bias")

    def _expected(self, projection: Projection) -> int:
        """The delay that ``read_nir`` gives to a projection without a Delay."""
        dialect = DIALECTS.get(self.graph.dialect or "nir", DIALECTS["nir"])
        if (projection.pre, projection.post) in self.loops.closing:
            return dialect.recurrent_delay
        return dialect.forward_delay

    def _stage(self, chain: _Chain, part: Connection, projection: Projection) -> None:
        takes = tuple(part.in_shape)
        if takes != chain.shape and len(takes) == 1:
            chain.flatten()
        weights = getattr(part, "weight", None)
        if weights is not None and weights.dtype.kind == "i":
            self._cannot(f"'{projection.name}' has integer weights", projection.at)
        match part:
            case Dense():
                chain.add("Linear", {"weight": _narrow(part.weight)}, part)
            case Sparse():
                self._sparse(chain, part, projection)
            case Conv1d() | Conv2d():
                self._conv(chain, part, projection)
            case SumPool2d():
                self._pool(chain, part, projection)
            case Flatten():
                data = {
                    "input_type": _integers(part.shape),
                    "start_dim": np.int64(part.start),
                    "end_dim": np.int64(part.end),
                }
                chain.add("Flatten", data, part)
            case Scale():
                chain.scale(part.scale, part)
            case OneToOne():
                if part.weight.ndim or float(part.weight) != 1.0:
                    chain.scale(part.weight, part)
            case Delay():
                steps = np.broadcast_to(part.steps.reshape(-1), (prod(part.shape),))
                chain.delay(steps.reshape(chain.shape) * self.graph.dt)
            case _:
                self._cannot(f"NIR has no {type(part).__name__}", projection.at)

    def _sparse(self, chain: _Chain, part: Sparse, projection: Projection) -> None:
        if part.steps is not None:
            self._cannot(
                f"the synapses of '{projection.name}' have delays of their own, "
                f"{part.steps.min(initial=0)} to {part.steps.max(initial=0)} steps; a Delay of NIR "
                "is one a neuron",
                projection.at,
                "make one projection of each delay, or keep the canonical text",
            )
            return
        if part.pre_size * part.post_size > MAX_DENSE:
            self._cannot(
                f"'{projection.name}' is sparse, {part.post_size} x {part.pre_size}; NIR has only "
                f"full matrices, and this one is beyond {MAX_DENSE:,} entries",
                projection.at,
            )
            return
        weight = np.zeros((part.post_size, part.pre_size))
        pre = np.repeat(np.arange(part.pre_size), np.diff(part.indptr))
        np.add.at(weight, (part.post, pre), part.weight)
        self.found.add("W0133", f"'{projection.name}' is written as a full matrix", projection.at)
        chain.add("Linear", {"weight": _narrow(weight)}, part)

    def _conv(self, chain: _Chain, part: Conv1d | Conv2d, projection: Projection) -> None:
        data: Fields = {"weight": _narrow(part.weight), "groups": np.int64(part.groups)}
        if isinstance(part, Conv1d):
            data["input_shape"] = np.int64(part.shape[1])
            data["stride"], data["dilation"] = np.int64(part.stride), np.int64(part.dilation)
            data["padding"] = self._padding(
                part, (part.padding,), (part.stride,), (part.dilation,), projection
            )
        else:
            data["input_shape"] = _integers(part.shape[1:])
            data["stride"], data["dilation"] = _integers(part.stride), _integers(part.dilation)
            data["padding"] = self._padding(
                part, part.padding, part.stride, part.dilation, projection
            )
        data["bias"] = np.zeros(part.weight.shape[0], np.float32)
        chain.add(type(part).__name__, data, part)

    def _padding(
        self,
        part: Conv1d | Conv2d,
        pads: tuple[tuple[int, int], ...],
        stride: tuple[int, ...],
        dilation: tuple[int, ...],
        projection: Projection,
    ) -> Any:
        if all(left == right for left, right in pads):
            numbers = [left for left, _ in pads]
            return np.int64(numbers[0]) if len(numbers) == 1 else _integers(numbers)
        spans = [d * (k - 1) for d, k in zip(dilation, part.weight.shape[2:], strict=True)]
        if pads == tuple((n // 2, n - n // 2) for n in spans) and set(stride) == {1}:
            return "same"
        self._cannot(
            f"'{projection.name}' pads {pads}; NIR has one number for both ends of an axis",
            projection.at,
        )
        return "valid"

    def _pool(self, chain: _Chain, part: SumPool2d, projection: Projection) -> None:
        if any(left != right for left, right in part.padding):
            self._cannot(
                f"'{projection.name}' pads {part.padding}; NIR has one number for both ends",
                projection.at,
            )
        data = {
            "kernel_size": _integers(part.kernel),
            "stride": _integers(part.stride),
            "padding": _integers([left for left, _ in part.padding]),
        }
        chain.add("AvgPool2d" if isinstance(part, AvgPool2d) else "SumPool2d", data, part)

    def _add_bias(self, chain: _Chain, projection: Projection) -> _Chain | None:
        """Put the bias into the chain; where no node of it can hold it, a chain beside it."""
        if projection.bias is None:
            return None
        shape, size = chain.shape, prod(chain.shape)
        bias = np.broadcast_to(projection.bias, (size,))
        last = chain.nodes[-1] if chain.nodes else None
        if last is not None and last.kind == "Linear":
            chain.nodes[-1] = _Out("Affine", {**last.fields, "bias": _narrow(bias)})
            return None
        if last is not None and last.kind in ("Conv1d", "Conv2d"):
            each = bias.reshape(shape[0], -1)
            if (each == each[:, :1]).all():
                chain.nodes[-1] = _Out(last.kind, {**last.fields, "bias": _narrow(each[:, 0])})
                return None
        if len(shape) > 1:  # row by row: W entries a neuron instead of all of them
            row = shape[-1]
            eye = np.broadcast_to(np.eye(row), (*shape[:-1], row, row))
            held = {"weight": _narrow(eye), "bias": _narrow(bias.reshape(shape))}
            chain.add("Affine", held, None, suffix=".bias")
            return None
        aside = _Chain(self.graph.node(projection.pre).shape)
        if len(aside.shape) > 1:
            aside.flatten()
        source = aside.shape[0]
        aside.add("Linear", {"weight": np.zeros((1, source), np.float32)}, None)
        held = {"weight": np.zeros((size, 1), np.float32), "bias": _narrow(bias)}
        aside.add("Affine", held, None)
        return aside

    def _lay(self, chain: _Chain, projection: Projection, name: str) -> None:
        """Add the nodes of a chain under names that ``read_nir`` turns back into ``name``."""
        start, end = self.name_of[projection.pre], self.name_of[projection.post]
        if not chain.nodes and (start, end) in self.edges:
            chain.scale(np.ones(()), None)  # an edge is there once; a second needs a node
        place = start
        for wanted, node in zip(chain.names(name), chain.nodes, strict=True):
            own = self._reserve(wanted)
            self.nodes[own] = node
            self.edges[place, own] = None
            place = own
        self.edges[place, end] = None


class _Chain:
    """The nodes of one projection, and the shape that leaves the last of them."""

    def __init__(self, shape: Shape) -> None:
        self.shape: Shape = tuple(shape)
        self.nodes: list[_Out] = []
        self._suffixes: list[str | None] = []  # None: a stage that the name counts

    def add(
        self, kind: str, data: Fields, part: Connection | None, suffix: str | None = None
    ) -> None:
        self.nodes.append(_Out(kind, data))
        self._suffixes.append(suffix)
        if part is not None:
            self.shape = tuple(part.out_shape)

    def flatten(self) -> None:
        if len(self.shape) > 1:
            part = Flatten(self.shape, 0, -1)
            data = {
                "input_type": _integers(self.shape),
                "start_dim": np.int64(0),
                "end_dim": np.int64(-1),
            }
            self.add("Flatten", data, part)

    def scale(self, values: npt.NDArray[Any], part: Connection | None) -> None:
        full = np.broadcast_to(values.reshape(-1), (prod(self.shape),)).reshape(self.shape)
        self.add("Scale", {"scale": _narrow(full)}, part)

    def delay(self, values: npt.NDArray[Any]) -> None:
        uniform = bool((values == values.flat[0]).all())
        self.add("Delay", {"delay": values}, None, suffix=".delay" if uniform else None)

    def names(self, name: str) -> list[str]:
        """A name for every node: 'a+b' is shared out, any other becomes 'a', 'a.1', 'a.2'."""
        counted = [k for k, suffix in enumerate(self._suffixes) if suffix is None]
        if not counted:
            return [name, *(f"{name}{s}" for s in self._suffixes[1:])][: len(self.nodes)]
        parts = name.split("+")
        if len(parts) != len(counted) or len(set(parts)) != len(parts):
            parts = [name, *(f"{name}.{k}" for k in range(1, len(counted)))]
        named = dict(zip(counted, parts, strict=True))
        return [named[k] if s is None else f"{name}{s}" for k, s in enumerate(self._suffixes)]


# -- what is left out ----------------------------------------------------------------------------


def _notes(graph: Graph, found: Diagnostics) -> None:
    base = DIALECTS[graph.dialect].semantics if graph.dialect in DIALECTS else Semantics()
    odd: dict[str, list[str]] = {}
    for population in graph.populations:
        if isinstance(population.neuron, Relay):
            continue
        for f in fields(Semantics):
            value = getattr(population.semantics, f.name)
            if value != getattr(base, f.name):
                odd.setdefault(f"{f.name}={value}", []).append(population.name)
    for rule, names in odd.items():
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        found.add("W0133", f"the rule {rule} of '{names[0]}'{others} is not in the file")
    if graph.probes:
        found.add("W0133", f"{len(graph.probes)} probe(s) are not in the file")
    dialect = f"--dialect {graph.dialect} " if graph.dialect else ""
    found.add("N0135", f"read the file with {dialect}--dt {graph.dt!r}")


# -- bytes ----------------------------------------------------------------------------------------


def _integers(values: Any) -> npt.NDArray[np.int64]:
    return np.asarray(values, np.int64).reshape(-1)


def _narrow(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As float32 where that loses nothing, which is what training frameworks write."""
    wide = np.asarray(values, np.float64)
    with np.errstate(over="ignore", under="ignore"):
        short = wide.astype(np.float32)
    return short if (short.astype(np.float64) == wide).all() else wide


def _image(graph: Graph, nodes: dict[str, _Out], edges: list[tuple[str, str]]) -> bytes:
    text = h5py.string_dtype()
    with h5py.File("spikec.nir", "w", driver="core", backing_store=False) as file:
        file.create_dataset("version", data=VERSION, dtype=text)
        root = file.create_group("node", track_order=True)
        root.create_dataset("type", data="NIRGraph", dtype=text)
        group = root.create_group("nodes", track_order=True)
        for name, node in nodes.items():
            own = group.create_group(name, track_order=True)
            own.create_dataset("type", data=node.kind, dtype=text)
            for key, value in node.fields.items():
                if isinstance(value, str):
                    own.create_dataset(key, data=value, dtype=text)
                else:
                    array = np.asarray(value)
                    packed = "gzip" if array.size >= _COMPRESSED else None
                    own.create_dataset(key, data=array, compression=packed, track_times=False)
        pairs = np.array(edges, dtype=object).reshape(-1, 2)
        root.create_dataset("edges", data=pairs, dtype=text)
        marks = root.create_group("metadata", track_order=True)
        marks.create_dataset("spikec_name", data=graph.name, dtype=text)
        marks.create_dataset("spikec_dt", data=np.float64(graph.dt))
        if graph.dialect is not None:
            marks.create_dataset("spikec_dialect", data=graph.dialect, dtype=text)
        file.flush()
        return bytes(file.id.get_file_image())


def _replace(path: Path, content: bytes) -> None:
    """Write beside ``path``, then rename: a reader sees the old file or the whole new one."""
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        # mkstemp makes files private; the result gets what a plain open() would have given.
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise fail("E0604", f"cannot write '{path}': {reason}", Location(str(path))) from None
