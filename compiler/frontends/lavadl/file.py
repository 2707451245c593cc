"""The layers of a file, in order, with their fields as the file has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from ....ir.connections import Shape
from ....ir.diagnostics import Diagnostics, Location
from ..hdf5 import MAX_NODES, Reader, Value

LAYERS = "layer"
NEURON = "neuron"

Ints = npt.NDArray[np.int64]

MAX_NEURONS = 1 << 24  # of one layer: sixteen times as many as a Loihi 2 has
MAX_UNROLLED = 1 << 26  # numbers that are made out of fewer in the file: lists of synapses, pools
_EXACT = 1 << 53  # beyond it float64, which the trainer writes, has no unit
# What the trainer leaves in a file and no equation takes.
_IDLE = {"type", "inFeatures", "outFeatures", "inChannels", "outChannels"}
_IDLE_NEURON = {"type", "scaleRho", "tauRho", "theta"}


@dataclass
class Fields:
    """The fields of one HDF5 group; every look is checked, and what is never asked for is known."""

    values: dict[str, Value | None]
    at: Location
    found: Diagnostics
    asked: set[str] = field(default_factory=set)

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str) -> str | None:
        """A text, or None where there is none; E0104 for a number."""
        self.asked.add(name)
        value = self.values.get(name)
        if value is None or isinstance(value, str):
            return value
        self.found.add("E0104", f"field '{name}' holds numbers, not a text", self.at)
        return None

    def whole(self, name: str) -> Ints | None:
        """Whole numbers; None where they are absent or wrong.

        Errors: E0104 a text, E0105 empty, E0106 not finite, E0107 not whole.
        """
        self.asked.add(name)
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, str):
            self.found.add("E0104", f"field '{name}' is the text {value!r}, not a number", self.at)
            return None
        array = np.asarray(value, np.float64)
        if array.size == 0:
            self.found.add("E0105", f"{name} is empty, shape {array.shape}", self.at)
            return None
        bad = int(array.size - np.isfinite(array).sum())
        if bad:
            self.found.add(
                "E0106", f"{name} holds {bad} value(s) of {array.size} not finite", self.at
            )
            return None
        odd = (array != np.rint(array)) | (np.abs(array) > _EXACT)
        if odd.any():
            self.found.add(
                "E0107",
                f"{name} holds {int(odd.sum())} value(s) of {array.size} that are not whole, as "
                f"{array[odd].ravel()[0]:g}",
                self.at,
                "export the quantised network: Loihi's numbers are whole",
            )
            return None
        return array.astype(np.int64)

    def required(self, name: str) -> Ints | None:
        """As ``whole``; E0104 where there is none."""
        if name not in self:
            self.found.add("E0104", f"field '{name}' is missing", self.at)
            return None
        return self.whole(name)

    def number(self, name: str, default: int) -> int:
        """One whole number, ``default`` where there is none; E0105 for several."""
        array = self.whole(name)
        if array is None:
            return default
        if array.size != 1:
            self.found.add("E0105", f"{name} has shape {array.shape}, expected one number", self.at)
            return default
        return int(array.flat[0])

    def within(self, name: str, values: Ints, low: int, high: int) -> bool:
        """Whether all are in range; E0107 where not."""
        if low <= values.min() and values.max() <= high:
            return True
        self.found.add(
            "E0107",
            f"{name} spans {values.min()} to {values.max()}; it takes {low} to {high}",
            self.at,
        )
        return False

    def shape(self) -> Shape | None:
        """``shape``: one to three lengths; None where it is absent or wrong (E0105, E0113)."""
        array = self.whole("shape")
        if array is None:
            return None
        lengths = tuple(int(n) for n in array.ravel())
        if array.ndim > 1 or len(lengths) > 3 or min(lengths) < 1:
            self.found.add("E0105", f"shape is {lengths[:5]}, which is no shape", self.at)
            return None
        if not self.fits(prod(lengths), f"shape {lengths}"):
            return None
        return lengths

    def fits(self, elements: int, what: str, most: int = MAX_NEURONS) -> bool:
        """Whether so many can be held; E0113 where not."""
        if elements <= most:
            return True
        self.found.add("E0113", f"{what}: {elements:,} elements; at most {most:,}", self.at)
        return False

    def unread(self, idle: set[str]) -> None:
        """W0134 for each field that nothing has asked for."""
        for name in self.values:
            if name not in self.asked | idle:
                self.found.add("W0134", f"field '{name}' is none that is known", self.at)


@dataclass(frozen=True)
class FileLayer:
    """Layer ``index``: its type, its fields and, unless it has none, those of its neuron."""

    index: int
    kind: str
    fields: Fields
    neuron: Fields | None

    @property
    def at(self) -> Location:
        """Its place in the file."""
        return self.fields.at

    def unread(self) -> None:
        """W0134 for each field that nothing has asked for."""
        self.fields.unread(_IDLE)
        if self.neuron is not None:
            self.neuron.unread(_IDLE_NEURON)


def read_layers(root: Any, reader: Reader, found: Diagnostics) -> list[FileLayer]:
    """The layers under ``/layer``. Errors are collected: E0102, E0104, E0113, E0136."""
    members = reader.members(root)
    group = members.get(LAYERS)
    if group is None or not hasattr(group, "keys"):
        names = ", ".join(f"'{name}'" for name in list(members)[:5]) or "nothing"
        found.add("E0102", f"there is no group '{LAYERS}'; the file holds {names}", reader.at())
        return []
    inside = reader.members(group)
    if len(inside) > MAX_NODES:
        found.add("E0113", f"{len(inside):,} layers; at most {MAX_NODES:,}", reader.at(LAYERS))
        return []
    missing = [str(k) for k in range(len(inside)) if str(k) not in inside]
    if missing or not inside:
        wrong = f"'{missing[0]}' is missing" if inside else "there is none"
        found.add(
            "E0102",
            f"layers are numbered from 0 on, and {wrong} among {len(inside)}",
            reader.at(LAYERS),
        )
        return []
    layers = (_layer(reader, inside[str(k)], k, found) for k in range(len(inside)))
    return [layer for layer in layers if layer is not None]


def _layer(reader: Reader, group: Any, index: int, found: Diagnostics) -> FileLayer | None:
    place = f"{LAYERS}/{index}"
    if not hasattr(group, "keys"):
        found.add("E0102", "the layer is not a group", reader.at(place))
        return None
    members = reader.members(group)
    neuron = members.pop(NEURON, None)
    fields = _fields(reader, members, place, found)
    parameters = None
    if neuron is not None:
        if not hasattr(neuron, "keys"):
            found.add("E0104", "field 'neuron' is not a group", reader.at(place))
            return None
        parameters = _fields(reader, reader.members(neuron), f"{place}/{NEURON}", found)
    if "type" not in fields:
        found.add("E0104", "field 'type' is missing", reader.at(place))
        return None
    kind = fields.text("type")
    return None if kind is None else FileLayer(index, kind, fields, parameters)


def _fields(reader: Reader, members: dict[str, Any], place: str, found: Diagnostics) -> Fields:
    values: dict[str, Value | None] = {}
    for name, member in members.items():
        if hasattr(member, "keys"):
            parts = ", ".join(f"'{part}'" for part in list(reader.members(member))[:5])
            found.add(
                "E0136",
                f"'{name}' is a group of {parts or 'nothing'}, not an array: complex weights and "
                "the like",
                reader.at(place),
            )
            continue
        values[name] = reader.value(member, place)
    return Fields(values, reader.at(place), found)
