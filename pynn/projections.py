"""Projections: the synapses that connectors make, kept as flat arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from pyNN import common
from pyNN.connectors import Connector, FromListConnector, MapConnector
from pyNN.parameters import ParameterSpace
from pyNN.space import Space

from ..ir.diagnostics import SpikecError, fail
from . import simulator
from .populations import check_group
from .simulator import state
from .synapses import StaticSynapse, STDPMechanism, TsodyksMarkramSynapse
from .where import coded, here, numbered

_KNOWN = (StaticSynapse, TsodyksMarkramSynapse, STDPMechanism)
_BLOCK = 1 << 14  # synapses that are worked on together
_INDICES = {"presynaptic_index": "pre_index", "postsynaptic_index": "post_index"}


class Connection(common.Connection):
    """One synapse of a projection, whose arrays it reads and writes."""

    def __init__(self, projection: Projection, k: int) -> None:
        self._projection, self._k = projection, k

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self._projection.values(name)[self._k]

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        values = np.array(self._projection.values(name))
        with coded(f"{name} of a synapse of '{self._projection.label}'", (TypeError, ValueError)):
            values[self._k] = value
        self._projection.change(name, values)

    def as_tuple(self, *names: str) -> tuple[Any, ...]:
        """The values of some attributes."""
        return tuple(getattr(self, name) for name in names)


class Projection(common.Projection):
    """The synapses between two populations, views or assemblies.

    ``pre_index`` and ``post_index`` (int32, one a synapse) count the cells of ``pre`` and ``post``;
    synapses stand in ascending order of the post cell. ``attributes`` has each parameter in PyNN's
    units, one number where all synapses share it; delays are whole steps.
    """

    _simulator = simulator
    _static_synapse_class = StaticSynapse

    def __init__(
        self,
        presynaptic_population: Any,
        postsynaptic_population: Any,
        connector: Any,
        synapse_type: Any = None,
        source: Any = None,
        receptor_type: Any = None,
        space: Any = None,
        label: str | None = None,
    ) -> None:
        self.at = here()
        self.setups = state.setups
        if not isinstance(connector, Connector):
            raise fail("E1001", f"{connector!r} is no connector", self.at)
        if synapse_type is not None and not isinstance(synapse_type, _KNOWN):
            module = type(synapse_type).__module__
            raise fail(
                "E1001",
                f"{module}.{type(synapse_type).__name__} is no synapse of spikec.pynn; there are "
                f"{', '.join(kind.__name__ for kind in _KNOWN)}",
                self.at,
            )
        for group in (presynaptic_population, postsynaptic_population):
            check_group(group)
        if not postsynaptic_population.receptor_types:
            raise fail(
                "E1007",
                f"'{postsynaptic_population.label}' takes no synapses: it is a spike source",
                self.at,
            )
        for what, value, wanted in (("space", space, Space), ("label", label, str)):
            if not isinstance(value, wanted | None):
                raise fail(
                    "E1002",
                    f"{what} of a projection is {value!r}; it is a {wanted.__name__}",
                    self.at,
                )
        state.touched("the network")
        name = label or f"{presynaptic_population.label} to {postsynaptic_population.label}"
        self._pre_parts: list[npt.NDArray[np.int32]] = []
        self._post_parts: list[tuple[int, int]] = []
        self._value_parts: dict[str, list[Any]] = {}
        wrong = (ValueError, TypeError, IndexError, OSError, NameError)
        with coded(f"projection '{name}'", wrong, "E1007"):
            super().__init__(
                presynaptic_population,
                postsynaptic_population,
                connector,
                synapse_type,
                source,
                receptor_type,
                Space() if space is None else space,
                label,
            )
            self._check_list(connector)
            try:
                with _one_cell(connector):
                    connector.connect(self)
            except AssertionError as error:  # PyNN's, often without a word
                raise fail(
                    "E1007",
                    f"projection '{name}': {type(connector).__name__} cannot take what it was "
                    f"given{': ' if str(error) else ''}{error}",
                    self.at,
                ) from error
            except NotImplementedError as error:
                raise fail(
                    "E1001",
                    f"projection '{name}': {type(connector).__name__} cannot do this: "
                    f"{str(error) or 'not implemented in PyNN'}",
                    self.at,
                ) from error
        self._check_list(connector)  # again: a file's list has been read now
        self._gather()
        self._check_values()
        state.projections.append(self)

    # -- what connectors call

    def _convergent_connect(
        self,
        presynaptic_indices: Any,
        postsynaptic_index: Any,
        location_selector: Any = None,
        **connection_parameters: Any,
    ) -> None:
        if location_selector is not None:
            raise fail(
                "E1001", "a location selector; cells of spikec.pynn have one compartment", self.at
            )
        pre = np.asarray(presynaptic_indices, np.int32)
        self._pre_parts.append(pre)
        self._post_parts.append((int(postsynaptic_index), pre.size))
        connection_parameters["delay"] = self._steps(connection_parameters["delay"])
        for name, value in connection_parameters.items():
            self._value_parts.setdefault(name, []).append(value)

    def connect_rows(
        self, pre: npt.NDArray[np.int32], counts: npt.NDArray[np.int64], values: dict[str, Any]
    ) -> None:
        """Add all synapses at once: ``counts`` of them for each post cell, in order."""
        self._pre_parts.append(pre)
        self._post_parts = []
        self._counts = counts
        values["delay"] = self._steps(values["delay"])
        self._value_parts = {name: [value] for name, value in values.items()}

    def _gather(self) -> None:
        """Make arrays of what the connector has made."""
        none = [np.zeros(0, np.int32)]
        self.pre_index = np.concatenate(self._pre_parts or none)
        if self._post_parts:
            post, counts = np.array(self._post_parts, np.int64).T
        else:
            counts = getattr(self, "_counts", np.zeros(0, np.int64))
            post = np.arange(counts.size)
        self.post_index = np.repeat(post.astype(np.int32), counts)
        self._pre_parts, self._post_parts = [], []
        self.attributes: dict[str, Any] = {}
        if not self._value_parts:  # no synapse at all: the parameters that they would have
            space = self.synapse_type.native_parameters
            self.attributes = {name: np.zeros(0) for name in space.keys()}  # noqa: SIM118
        for name in list(self._value_parts):  # one by one: a part is twice in memory
            self.attributes[name] = _joined(self._value_parts.pop(name), counts)
        if (np.diff(self.post_index) < 0).any():
            order = np.argsort(self.post_index, kind="stable")
            self.pre_index, self.post_index = self.pre_index[order], self.post_index[order]
            self.attributes = {
                name: value[order] if np.ndim(value) else value
                for name, value in self.attributes.items()
            }

    def _steps(self, delay: Any) -> Any:
        """Delays in ms as whole steps: an int, or int32; E1003 for one that is out of range."""
        values = np.asarray(delay, np.float64)
        if not values.size:
            return values.astype(np.int32)
        low, high = float(values.min()), float(values.max())
        if not (np.isfinite(low) and high / state.dt <= np.iinfo(np.int32).max):
            raise fail(
                "E1003",
                f"projection '{self.label}': the longest delay is {high:g} ms, which is no "
                "number of steps",
                here(),
            )
        if round(low / state.dt) < 1:
            raise fail(
                "E1003",
                f"projection '{self.label}': the shortest delay is {low:g} ms, below the step of "
                f"{state.dt:g} ms",
                here(),
                "a spike takes at least one step; lengthen the delay or shorten the step",
            )
        if state.min_delay != "auto" and low < float(state.min_delay) - 1e-9:
            raise fail(
                "E1003",
                f"projection '{self.label}': the shortest delay is {low:g} ms, below the "
                f"min_delay of {float(state.min_delay):g} ms given to setup()",
                here(),
                "lengthen the delay, or give setup() the shortest delay that there is",
            )
        if state.max_delay != "auto" and high > float(state.max_delay) + 1e-9:
            raise fail(
                "E1003",
                f"projection '{self.label}': the longest delay is {high:g} ms, above the "
                f"max_delay of {float(state.max_delay):g} ms given to setup()",
                here(),
            )
        if not values.ndim:
            return int(np.rint(values / state.dt))
        steps = np.empty(values.shape, np.int32)
        for first in range(0, values.size, _BLOCK):  # fresh memory costs more than the division
            block = slice(first, first + _BLOCK)
            steps[block] = np.rint(values[block] / state.dt)
        return steps

    def _check_list(self, connector: Any) -> None:
        """E1007 for an address that is no cell; PyNN rounds it down or leaves it out in silence."""
        if not isinstance(connector, FromListConnector):
            return
        listed = np.asarray(getattr(connector, "conn_list", ()))
        if not listed.size:
            return
        what = f"projection '{self.label}': the list has"
        if listed.dtype.kind not in "biuf":
            raise fail(
                "E1007", f"{what} values of type {listed.dtype.name}; they are numbers", self.at
            )
        for column, group in enumerate((self.pre, self.post)):
            index = listed[:, column]
            wrong = index[~((index >= 0) & (index < group.size) & (index == np.floor(index)))]
            if wrong.size:
                raise fail(
                    "E1007",
                    f"{what} cell {wrong[0]:g} of '{group.label}', whose cells are "
                    f"{numbered(group.size)}",
                    self.at,
                    "the first two columns are the numbers of a pre and a post cell",
                )

    def _check_values(self) -> None:
        """E1002 for parameters that make no synapse, or one rule for each synapse."""
        if len(self):
            self.synapse_type.check(self.attributes)

    # -- what scripts call

    def __len__(self) -> int:
        return int(self.pre_index.size)

    def __getitem__(self, k: Any) -> Any:
        """A synapse, or a list of those of a slice; E1002 for one that there is not."""
        if isinstance(k, slice):
            return [Connection(self, each) for each in range(len(self))[k]]
        if not isinstance(k, int | np.integer) or not -len(self) <= k < len(self):
            raise fail(
                "E1002",
                f"projection '{self.label}' has no synapse {k!r}; it has {numbered(len(self))}",
                here(),
                "the first synapse is 0, and -1 the last",
            )
        return Connection(self, int(k))

    @property
    def connections(self) -> Iterator[Connection]:
        """All synapses, one by one."""
        return (Connection(self, k) for k in range(len(self)))

    @property
    def plastic(self) -> bool:
        """Whether weights change while the network runs."""
        return isinstance(self.synapse_type, STDPMechanism)

    def get(self, attribute_names: Any, *rest: Any, **named: Any) -> Any:
        """Attributes of the synapses; E1002 for one that they do not have."""
        with coded(f"projection '{self.label}'", (Exception,)):
            for name in [attribute_names] if isinstance(attribute_names, str) else attribute_names:
                self._known(name)
            return super().get(attribute_names, *rest, **named)

    def set(self, **attributes: Any) -> None:
        """Set attributes of the synapses; E1002 for one that they do not have."""
        with coded(f"projection '{self.label}'", (ValueError, TypeError)):
            super().set(**attributes)

    def save(self, attribute_names: Any, file: Any, *rest: Any, **named: Any) -> None:
        """Write attributes of the synapses to a file; E1005 for what cannot be written to."""
        with coded(f"projection '{self.label}' to {file!r}", (Exception,), "E1005"):
            super().save(attribute_names, file, *rest, **named)

    def _known(self, name: str) -> None:
        if name not in self.attributes and name not in _INDICES:
            raise fail(
                "E1002",
                f"projection '{self.label}' has no attribute '{name}'; it has "
                f"{', '.join(self.attributes)}",
                here(),
            )

    def values(self, name: str) -> npt.NDArray[Any]:
        """An attribute or index of every synapse, as it is now, in PyNN's units."""
        if name in _INDICES:
            index: npt.NDArray[np.int32] = getattr(self, _INDICES[name])
            return index
        if name == "weight" and self.plastic and state.steps:
            from .execute import results

            state.check_part(f"projection '{self.label}'", self.setups)
            return results().weights(self)
        self._known(name)
        values = np.asarray(self.attributes[name])
        return np.broadcast_to(values * state.dt if name == "delay" else values, len(self))

    def change(self, name: str, values: Any) -> None:
        """Give an attribute another value, one for all or one a synapse."""
        state.check_part(f"projection '{self.label}'", self.setups)
        if name in _INDICES:
            raise fail(
                "E1002",
                f"{name} of projection '{self.label}' cannot be changed",
                here(),
                "make a projection between other cells",
            )
        state.touched(f"{name} of projection '{self.label}'")
        check = getattr(self.synapse_type, "parameter_checks", {}).get(name)
        if check and np.size(values):
            with coded(f"projection '{self.label}'"):
                check(np.asarray(values), self)
        before = self.attributes.get(name)
        self.attributes[name] = self._steps(values) if name == "delay" else values
        try:
            self._check_values()
        except SpikecError:
            self.attributes[name] = before
            raise

    def _set_attributes(self, parameter_space: ParameterSpace) -> None:
        for name, value in parameter_space.items():
            if value.is_homogeneous:
                self.change(name, float(value.evaluate(simplify=True)))
            else:
                matrix = np.asarray(value.evaluate(simplify=False), np.float64)
                self.change(name, matrix[self.pre_index, self.post_index])

    def _get_attributes_as_list(self, names: list[str]) -> list[tuple[Any, ...]]:
        columns = [self.values(name).tolist() for name in names]
        return list(zip(*columns, strict=True))

    def _get_attributes_as_arrays(
        self, names: list[str], multiple_synapses: str = "sum"
    ) -> list[npt.NDArray[np.float64]]:
        found = []
        for name in names:
            matrix = np.full((self.pre.size, self.post.size), np.nan)
            at = (self.pre_index, self.post_index)
            values = np.asarray(self.values(name), np.float64)
            match multiple_synapses:
                case "last":
                    matrix[at] = values
                case "first":
                    # Numbers, not a slice: numpy assigns in the order of memory.
                    back = np.arange(values.size)[::-1].copy()
                    matrix[at[0][back], at[1][back]] = values[back]
                case "sum":
                    matrix[at] = 0.0
                    np.add.at(matrix, at, values)
                case "min":
                    matrix[at] = np.inf
                    np.minimum.at(matrix, at, values)
                case _:
                    matrix[at] = -np.inf
                    np.maximum.at(matrix, at, values)
            found.append(matrix)
        return found


@contextmanager
def _one_cell(connector: Connector) -> Iterator[None]:
    """Let a map of one pre cell be a column: PyNN 0.13 makes it a number, which numpy 2 refuses."""
    if not isinstance(connector, MapConnector):
        yield
        return
    connect = connector._standard_connect

    def columns(projection: Any, masks: Any, distance_map: Any = None) -> None:
        def whole(*mask: Any) -> Iterator[Any]:
            return (m if m is True else np.atleast_1d(m) for m in masks(*mask))

        connect(projection, whole, distance_map)

    connector._standard_connect = columns
    try:
        yield
    finally:
        del connector._standard_connect


def _joined(parts: list[Any], counts: npt.NDArray[np.int64]) -> Any:
    """The values of all synapses, from those of each post cell; one number where all are alike."""
    if all(np.ndim(part) == 0 for part in parts) and len({*map(float, parts)}) == 1:
        return parts[0]
    if len(parts) == 1:
        return np.asarray(parts[0])
    dtype = np.result_type(*{np.asarray(part).dtype for part in parts})
    found = np.empty(int(counts.sum()), np.int32 if dtype.kind == "i" else np.float64)
    first = 0
    for part, size in zip(parts, counts, strict=True):
        found[first : first + size] = part
        first += size
    return found


@numba.njit(cache=True)
def by_row(i: Any, rows: int) -> Any:
    """Row pointers, and the synapses in rows, each in the order that it had."""
    indptr = np.zeros(rows + 1, np.int64)
    for row in i:
        indptr[row + 1] += 1
    for row in range(rows):
        indptr[row + 1] += indptr[row]
    place = indptr[:-1].copy()
    order = np.empty(i.size, np.int32)
    for k in range(i.size):
        order[place[i[k]]] = k
        place[i[k]] += 1
    return indptr, order
