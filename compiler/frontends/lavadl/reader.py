"""Lava-DL file -> graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite, prod
from os import PathLike
from pathlib import Path
from typing import Final

import numpy as np

from ....ir.connections import Connection, OneToOne, Shape, Sparse
from ....ir.diagnostics import Diagnostic, Diagnostics, Location, SpikecError
from ....ir.graph import Graph, Input, Output, Population, Projection
from ....ir.loihi import LoihiWeights, Sign
from ....ir.neurons import LoihiLIF
from ....ir.semantics import Semantics
from ....ir.verify import verify
from ...connectivity import synapse_count, to_sparse
from ..hdf5 import opened
from .file import LAYERS, MAX_UNROLLED, FileLayer, Ints, read_layers
from .layers import Weights, conv, delay, dense, neuron, pool

DEFAULT_DT: Final = 1e-3  # a step of Loihi is as long as it takes; the trainer counts milliseconds
DEFAULT_WEIGHT: Final = 64  # of an input layer
_INPUT, _OUTPUT = "input", "output"
_WEIGHTED: Final = {"dense": dense, "conv": conv, "pool": pool}
_REFUSED: Final = {
    "average": "a mean over groups of neurons, which the host takes",
    "concat": "connections that skip layers or lead back",
    "convT": "a transposed convolution",
    "unpool": "a transposed convolution",
    "dense_comp": "complex weights",
    "dense_rec": "a recurrent layer",
}


def is_lavadl(path: str | PathLike[str]) -> bool:
    """Whether a file is HDF5 with layers, and not NIR. Never raises for what the file holds."""
    try:
        with opened(path) as (root, reader):
            members = reader.members(root)
            return LAYERS in members and "node" not in members
    except SpikecError:
        return False


def read_lavadl(
    path: str | PathLike[str], *, dt: float | None = None, name: str | None = None
) -> tuple[Graph, tuple[Diagnostic, ...]]:
    r"""The graph of a Lava-DL file, in Loihi's numbers, and what was noticed on the way.

    Layer k becomes the population ``layer{k}`` of `LoihiLIF`, and what leads there a projection of
    one step, of more where the layer before has delays. A layer starts when the first spike of the
    input can arrive: its lag is the number of steps from there. An input layer with a neuron adds
    :math:`2^6 (\mathrm{weight}\,x + \mathrm{bias})` to v in every step. Inputs here are counts, so
    that for x from -1 to 1 the stimulus holds

    .. math:: c = \mathrm{weight}\,x + |\mathrm{weight}| \ge 0

    in whole numbers, and the bias in the graph is :math:`\mathrm{bias} - |\mathrm{weight}|`.

    ``dt`` is the step in seconds, 1 ms unless told: nothing in the arithmetic depends on it.

    Raises ``SpikecError`` with every error found: E0101, E0102, E0104 to E0107, E0113, E0116,
    E0117, E0136, or the verifier's.
    Source: lava-dl, ``lib/dl/netx/hdf5.py`` and ``lib/dl/slayer/block/base.py``.
    """
    found = Diagnostics()
    with opened(path) as (root, reader):
        try:
            layers = read_layers(root, reader, found)
        except SpikecError as error:
            raise SpikecError([*found, *error.diagnostics]) from None
        at = reader.at()
    step = DEFAULT_DT if dt is None else float(dt)
    if not (isfinite(step) and step > 0):
        found.add("E0107", f"dt is {step!r} s; it must be positive and finite", at)
    found.raise_errors()
    graph = _Assembly(found, at).graph(layers, name or Path(path).stem, step)
    try:
        verify(graph)
    except SpikecError as error:
        raise SpikecError([*found, *error.diagnostics]) from None
    return graph, tuple(found)


@dataclass
class _Assembly:
    """The graph as far as it is built; ``source`` is the node that the next layer reads."""

    found: Diagnostics
    at: Location
    inputs: list[Input] = field(default_factory=list)
    populations: list[Population] = field(default_factory=list)
    projections: list[Projection] = field(default_factory=list)
    source: str = _INPUT
    shape: Shape | None = None  # of the values that enter the next layer
    held: Ints | None = None  # the delay of each

    def graph(self, layers: list[FileLayer], title: str, dt: float) -> Graph:
        """The graph of all layers; errors are raised together."""
        for layer in layers:
            if not self._add(layer):
                break  # what follows has no shape to be held against
            layer.unread()
        if not self.populations and not self.found.errors:
            self.found.add("E0102", "no layer has a neuron", self.at)
        self.found.raise_errors()
        if self.held is not None and self.held.any():
            self.found.add(
                "E0136",
                f"the delay of up to {self.held.max()} steps of the last layer: nothing follows "
                "that could hold its spikes back",
                layers[-1].at,
                "take it off the output with the others, or read the output later",
            )
        self.found.raise_errors()
        output = Output(_OUTPUT, self.populations[-1].name, self.populations[-1].at)
        return Graph(
            title,
            dt,
            tuple(self.inputs),
            tuple(self.populations),
            tuple(self.projections),
            (output,),
            dialect="lava",
        )

    def _add(self, layer: FileLayer) -> bool:
        """Whether the layer could be added."""
        before = len(self.found.errors)
        if layer.kind == "input":
            self._input(layer)
        elif layer.kind == "flatten":
            layer.fields.shape()
            if self.shape is None:
                self.found.add("E0105", "nothing enters the layer", layer.at)
            else:
                self.shape = (prod(self.shape),)
        elif layer.kind in _WEIGHTED:
            weights = _WEIGHTED[layer.kind](layer, self.shape)
            if weights is not None and len(self.found.errors) == before:
                self._weighted(layer, weights)
        else:
            what = _REFUSED.get(layer.kind, "unknown")
            hint = f"known are input, flatten, {', '.join(_WEIGHTED)}"
            self.found.add("E0136", f"a layer of type '{layer.kind}' ({what})", layer.at, hint)
        return len(self.found.errors) == before

    def _input(self, layer: FileLayer) -> None:
        if layer.index:
            self.found.add("E0136", "an input behind another layer", layer.at)
            return
        if "shape" not in layer.fields:
            self.found.add("E0104", "field 'shape' is missing", layer.at)
            return
        shape = layer.fields.shape()
        if shape is None:
            return
        self.inputs.append(Input(_INPUT, shape, layer.at))
        self.shape = shape
        if layer.neuron is None:
            return
        weight = abs(layer.fields.number("weight", DEFAULT_WEIGHT))
        cell = neuron(layer, shape, less=weight)
        if cell is None:
            return
        self.found.add(
            "N0137",
            f"'{_INPUT}' takes the counts weight * x + {weight} for its {prod(shape):,} values x "
            f"from -1 to 1, rounded; {-weight} is part of the biases here",
            layer.at,
            f"compile with --input-max {2 * weight}",
        )
        one = OneToOne(np.ones((), np.int64), shape)
        self._join(layer, one, LoihiWeights(sign=Sign.EXCITATORY), cell, shape)

    def _weighted(self, layer: FileLayer, weights: Weights) -> None:
        cell = neuron(layer, weights.shape)
        held = delay(layer, weights.shape)
        if not self.inputs:
            self.inputs.append(Input(_INPUT, weights.connection.in_shape, layer.at))
        if cell is None:
            return
        connection, steps = self._delayed(layer, weights.connection)
        self._join(layer, connection, weights.words, cell, weights.shape, steps)
        self.held = held

    def _delayed(self, layer: FileLayer, connection: Connection) -> tuple[Connection, int]:
        """The connection behind the delays of the layer before it, and what all of it waits."""
        if self.held is None or self.held.ndim == 0:
            return connection, 0 if self.held is None else int(self.held)
        if not layer.fields.fits(synapse_count(connection), "delayed synapses", MAX_UNROLLED):
            return connection, 0
        matrix = to_sparse(connection)
        steps = np.repeat(self.held.ravel(), np.diff(matrix.indptr)).astype(np.int32)
        rows, columns = matrix.shape
        return Sparse(rows, columns, matrix.indptr, matrix.indices, matrix.data, steps), 0

    def _join(
        self,
        layer: FileLayer,
        connection: Connection,
        form: LoihiWeights,
        cell: LoihiLIF,
        shape: Shape,
        steps: int = 0,
    ) -> None:
        name, lag = f"layer{layer.index}", len(self.populations) + 1
        self.populations.append(Population(name, shape, cell, Semantics(), lag, layer.at))
        self.projections.append(
            Projection(
                f"{layer.kind}{layer.index}",
                self.source,
                name,
                connection,
                1 + steps,
                at=layer.at,
                words=form,
            )
        )
        self.source, self.shape = name, shape
