"""Populations, views and assemblies."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
from pyNN import common
from pyNN.models import BaseCellType
from pyNN.parameters import LazyArray, ParameterSpace, simplify

from ..ir.diagnostics import fail
from . import simulator
from .cells import SourceCell, SpikingCell
from .recording import Recorder
from .simulator import ID, state
from .where import coded, here

Indices = npt.NDArray[np.int64]


class _Cells:
    """What populations and views share: parameters and initial values of the cells of ``root``."""

    size: int
    label: str

    @property
    def root(self) -> Population:
        """The population that holds the cells."""
        raise NotImplementedError(type(self).__name__)  # pragma: no cover - abstract

    def places(self) -> Indices:
        """Where each cell is in ``root``."""
        raise NotImplementedError(type(self).__name__)  # pragma: no cover - abstract

    def _get_native_parameters(self, *names: str) -> ParameterSpace:
        held, places = self.root.parameters, self.places()
        return ParameterSpace({n: simplify(held[n][places]) for n in names}, shape=(self.size,))

    def _get_parameters(self, *names: str) -> ParameterSpace:
        with coded(f"'{self.label}'"):
            for name in names:
                if name not in self.root.parameters:
                    raise common.populations.errors.NonExistentParameterError(
                        name, type(self.root.celltype).__name__, list(self.root.parameters)
                    )
        return self._get_native_parameters(*names)

    def set(self, **parameters: Any) -> None:
        """Set parameters of all cells; E1002 for one that they do not have."""
        with coded(f"'{self.label}'", (ValueError, TypeError)):
            super().set(**parameters)  # type: ignore[misc]

    def _set_parameters(self, parameter_space: Any) -> None:
        parameter_space.evaluate(simplify=False)
        self.root.change(dict(parameter_space.items()), self.places())

    def _set_initial_value_array(self, variable: str, initial_values: Any) -> None:
        root = self.root
        known = root.celltype.default_initial_values
        if variable not in known:
            raise fail(
                "E1002",
                f"'{root.label}' has no state variable '{variable}' to start with; it has "
                f"{', '.join(known) or 'none'}",
                here(),
            )
        state.touched(f"the initial {variable} of '{root.label}'")
        # pyNN.brian2 draws from a copy of the generator, and scripts that share one between initial
        # values and connectors have another network where it moves on.
        drawn = deepcopy(initial_values) if state.dialect == "brian2" else initial_values
        values = root.initial.setdefault(variable, np.zeros(root.size))
        values[self.places()] = drawn.evaluate(simplify=False)

    def initialize(self, **initial_values: Any) -> None:
        """Set what variables start with; ``initial_values`` has it afterwards, cell by cell."""
        super().initialize(**initial_values)  # type: ignore[misc]
        if isinstance(self, Population):  # a lazy array would draw anew at every reading
            for variable in initial_values:
                values = self.initial[variable].copy()
                self.initial_values[variable] = LazyArray(values, shape=(self.size,))

    def _get_view(self, selector: Any, label: str | None = None) -> PopulationView:
        with coded(f"a view of '{self.label}'", (IndexError, ValueError, TypeError)):
            return PopulationView(self, selector, label)


class Assembly(common.Assembly):
    """Several populations or views as one."""

    _simulator = simulator


class PopulationView(_Cells, common.PopulationView):
    __doc__ = common.PopulationView.__doc__
    _assembly_class = Assembly
    _simulator = simulator

    @property
    def root(self) -> Population:
        found: Population = self.grandparent
        return found

    def places(self) -> Indices:
        return np.asarray(self.index_in_grandparent(np.arange(self.size)), np.int64)

    @property
    def initial_values(self) -> dict[str, npt.NDArray[np.float64]]:
        """What the cells of the view start with, a copy; PyNN leaves this to its simulators."""
        return {name: values[self.places()] for name, values in self.root.initial.items()}


class Population(_Cells, common.Population):
    __doc__ = common.Population.__doc__
    _simulator = simulator
    _recorder_class = Recorder
    _assembly_class = Assembly

    def __init__(self, size: Any, cellclass: Any, *rest: Any, **named: Any) -> None:
        self.at = self.changed = here()
        self.initial: dict[str, npt.NDArray[np.float64]] = {}
        self.history: list[tuple[int, dict[str, npt.NDArray[Any]]]] = []
        kind = cellclass if isinstance(cellclass, type) else type(cellclass)
        if issubclass(kind, BaseCellType) and not issubclass(kind, SpikingCell | SourceCell):
            raise fail(
                "E1001",
                f"{kind.__module__}.{kind.__name__} is no cell of spikec.pynn",
                self.at,
                "take the cells from the module that runs the script: sim.IF_curr_exp",
            )
        if np.size(size) and np.prod(size) == 0:
            raise fail("E1002", f"a population of {size} cells of {kind.__name__}", self.at)
        state.touched("the network")
        with coded(f"a population of {kind.__name__}", (ValueError, TypeError)):
            super().__init__(size, cellclass, *rest, **named)
        state.populations.append(self)

    @property
    def parameters(self) -> dict[str, npt.NDArray[Any]]:
        """The present parameters, in PyNN's units: one value a cell."""
        return self.history[-1][1]

    @property
    def root(self) -> Population:
        return self

    def places(self) -> Indices:
        return np.arange(self.size)

    def is_local(self, cell: ID) -> bool:
        """All cells are here: PyNN asks for each that is recorded."""
        return True

    def change(self, values: dict[str, Any], places: Indices) -> None:
        """Give some cells other parameters; E1006 where they have run, but for spike sources."""
        if not isinstance(self.celltype, SourceCell):
            state.touched(f"{', '.join(values)} of '{self.label}'")
        now = dict(self.parameters)
        for name, value in values.items():
            now[name] = now[name].copy()
            now[name][places] = value
        self.celltype.check(now)
        self.changed = here()
        if self.history[-1][0] == state.steps:
            self.history.pop()
        self.history.append((state.steps, now))
        state.version += 1

    def forget(self) -> None:
        """At a reset: what is so now was so from the start."""
        self.history = [(0, self.parameters)]

    def _create_cells(self) -> None:
        first = state.id_counter
        self.all_cells = np.empty(self.size, dtype=ID)
        self.all_cells[:] = [ID(first + k) for k in range(self.size)]
        for cell in self.all_cells:
            object.__setattr__(cell, "parent", self)
        self._mask_local = np.ones(self.size, bool)
        state.id_counter += self.size
        space = self.celltype.native_parameters
        space.shape = (self.size,)
        space.evaluate(simplify=False)
        # A list of one value, for one cell, comes out as a number.
        values = {n: np.atleast_1d(value) for n, value in space.as_dict().items()}
        self.celltype.check(values)
        self.history.append((state.steps, values))
