"""Populations, views and assemblies."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt
from pyNN import common, errors
from pyNN.parameters import LazyArray, ParameterSpace, simplify
from pyNN.recording import Variable
from pyNN.space import BaseStructure

from ..ir.diagnostics import fail
from . import simulator
from .cells import SourceCell, SpikingCell
from .electrodes import CurrentSource
from .recording import Recorder
from .simulator import ID, state
from .where import coded, here, numbered

Indices = npt.NDArray[np.int64]
_WRONG = (AssertionError, AttributeError, IndexError, TypeError, ValueError)


def check_group(group: Any) -> None:
    """E1008 for what is no group of cells of the present network, E1002 for an empty one."""
    if not isinstance(group, common.BasePopulation | common.Assembly):
        raise fail("E1008", f"{group!r} is no population, view or assembly", here())
    for member in group.populations if isinstance(group, common.Assembly) else [group]:
        if not isinstance(member, _Cells):
            raise fail(
                "E1008",
                f"'{member.label}' is of {type(member).__module__}",
                here(),
                "make all cells with the module that runs the script: sim.Population",
            )
        state.check_part(f"'{member.label}'", member.root.setups)
    if not len(group):
        raise fail("E1002", f"'{group.label}' has no cells", here())


def _check_counted(group: Any, members: list[Any]) -> None:
    """E1005 where no cell of a group, which has these members, has its spikes recorded."""
    for member in members:
        recorded = member.recorder.recorded.get(Variable("spikes", None, None), set())
        if not recorded.isdisjoint(member.all_cells):
            return
    raise fail(
        "E1005",
        f"spikes of '{group.label}' are not recorded",
        here(),
        "call record('spikes') before run()",
    )


def _check_index(group: Any, index: Any) -> None:
    """E1002 for what chooses no cells of a group, or cells that it does not have."""
    what, size = f"'{group.label}'", group.size
    if isinstance(index, slice):
        # No array of all cells: each reading of a cell's parameter is a slice.
        with coded(f"a slice of {what}", (TypeError, ValueError)):
            count = len(range(size)[index])
    else:
        count = _count_listed(what, size, index)
    if not count:
        raise fail("E1002", f"a view of {what} without cells: {index!r}", here())


def _count_listed(what: str, size: int, index: Any) -> int:
    """How many of the ``size`` cells a number, a list or a mask chooses."""
    chosen = np.asarray(index)
    if chosen.dtype.kind == "b" and chosen.ndim == 1:
        if chosen.size != size:
            raise fail(
                "E1002",
                f"a mask of {chosen.size} values for {what}, which has {size} cells",
                here(),
                "give a value for each cell, or the numbers of the cells",
            )
        return int(np.count_nonzero(chosen))
    if not chosen.size:
        return 0
    if chosen.dtype.kind not in "iu" or chosen.ndim > 1 or isinstance(index, range):
        raise fail(
            "E1002",
            f"{index!r} chooses no cells of {what}",
            here(),
            "give a number, a slice, a list of numbers or a mask",
        )
    wrong = chosen[(chosen < -size) | (chosen >= size)]
    if wrong.size:
        raise fail(
            "E1002",
            f"there is no cell {int(wrong.flat[0])} in {what}; it has {numbered(size)}",
            here(),
            "the first cell is 0, and -1 the last",
        )
    return int(chosen.size)


class _Cells:
    """What populations and views share: parameters and initial values of the cells of ``root``."""

    size: int
    label: str
    recorder: Recorder
    all_cells: npt.NDArray[Any]

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
                    raise errors.NonExistentParameterError(
                        name, type(self.root.celltype).__name__, list(self.root.parameters)
                    )
        return self._get_native_parameters(*names)

    def __getitem__(self, index: Any) -> Any:
        """A cell, or a view of several; E1002 for cells that there are not."""
        _check_index(self, index)
        return super().__getitem__(index)  # type: ignore[misc]

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, common.BasePopulation):
            raise fail(
                "E1008", f"'{self.label}' + {other!r}: the latter is no population or view", here()
            )
        return super().__add__(other)  # type: ignore[misc]

    def get(self, *names: Any, **named: Any) -> Any:
        """Parameters of the cells; E1002 for one that they do not have."""
        with coded(f"'{self.label}'", _WRONG):
            return super().get(*names, **named)  # type: ignore[misc]

    def set(self, **parameters: Any) -> None:
        """Set parameters of all cells; E1002 for one that they do not have."""
        check_group(self)
        with coded(f"'{self.label}'", (ValueError, TypeError)):
            super().set(**parameters)  # type: ignore[misc]

    def sample(self, n: Any, rng: Any = None) -> Any:
        """A view of ``n`` cells drawn at random; E1002 for what is no number of cells."""
        if not isinstance(n, int | np.integer) or n < 1:
            raise fail("E1002", f"a sample of {n!r} cells of '{self.label}'", here())
        with coded(f"a sample of '{self.label}'", _WRONG):
            return super().sample(int(n), rng)  # type: ignore[misc]

    def nearest(self, position: Any) -> Any:
        """The cell nearest to a position; E1002 for what is none."""
        with coded(f"the cell of '{self.label}' nearest to {position!r}", _WRONG):
            return super().nearest(position)  # type: ignore[misc]

    def inject(self, current_source: Any, location: Any = None) -> None:
        """Inject a current into all cells; E1007 into a spike source."""
        if not isinstance(current_source, CurrentSource):
            raise fail("E1007", f"{current_source!r} is no current source of spikec.pynn", here())
        current_source.inject_into(self, location)

    def get_spike_counts(self, gather: bool = True) -> dict[int, int]:
        """The spikes of each cell; E1005 where none are recorded."""
        _check_counted(self, [self])
        found: dict[int, int] = super().get_spike_counts(gather)  # type: ignore[misc]
        return found

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
        # pyNN.brian2 draws from a copy of the generator, and scripts that share one between initial
        # values and connectors have another network where it moves on.
        drawn = deepcopy(initial_values) if state.dialect == "brian2" else initial_values
        given = np.asarray(drawn.evaluate(simplify=False), np.float64)
        if not np.isfinite(given).all():
            raise fail(
                "E1002",
                f"the initial {variable} of '{root.label}' is {given[~np.isfinite(given)][0]}; it "
                "must be finite",
                here(),
            )
        state.touched(f"the initial {variable} of '{root.label}'")
        values = root.initial.setdefault(variable, np.zeros(root.size))
        values[self.places()] = given

    def initialize(self, **initial_values: Any) -> None:
        """Set what variables start with; ``initial_values`` has it afterwards, cell by cell."""
        root = self.root
        state.check_part(f"'{root.label}'", root.setups)
        for variable, value in initial_values.items():
            try:
                super().initialize(**{variable: value})  # type: ignore[misc]
            except (errors.InvalidParameterValueError, TypeError, ValueError) as error:
                raise fail(
                    "E1002",
                    f"{variable} of '{self.label}' cannot start with {value!r}: {error}",
                    here(),
                    f"give a number, a list of {self.size} numbers, a RandomDistribution, or a "
                    "function of a cell's number",
                ) from error
            # PyNN keeps a lazy array, which would draw anew at every reading.
            values = simplify(root.initial[variable].copy())
            root.initial_values[variable] = LazyArray(values, shape=(root.size,))

    def _set_cell_initial_value(self, id: ID, variable: str, value: Any) -> None:
        cell = int(np.flatnonzero(self.all_cells == id)[0])
        self[cell : cell + 1].initialize(**{variable: value})

    def _get_view(self, selector: Any, label: str | None = None) -> PopulationView:
        return PopulationView(self, selector, label)


class Assembly(common.Assembly):
    """Several populations or views as one."""

    _simulator = simulator

    def __init__(self, *populations: Any, **named: Any) -> None:
        if not (named.keys() <= {"label"} and isinstance(named.get("label", ""), str)):
            raise fail("E1002", f"an assembly with {named}; it has a label, a str", here())
        super().__init__(*populations, **named)

    def _insert(self, element: Any) -> None:
        check_group(element)
        if isinstance(element, common.Assembly):
            raise fail(
                "E1002",
                f"an assembly of the assembly '{element.label}'; it is of populations and views",
                here(),
                "join assemblies by +",
            )
        super()._insert(element)

    def __getitem__(self, index: Any) -> Any:
        """A cell, or an assembly of several; E1002 for cells that there are not."""
        _check_index(self, index)
        if isinstance(index, slice):
            return super().__getitem__(index)
        chosen = np.asarray(index)  # of a list, PyNN takes a mask for cells 0 and 1
        if chosen.dtype.kind != "b":
            chosen = chosen % self.size  # PyNN counts back from the end of the first population
        return super().__getitem__(chosen if chosen.ndim else int(chosen))

    def __add__(self, other: Any) -> Any:
        with coded(f"'{self.label}' + {other!r}", (TypeError,), "E1008"):
            return super().__add__(other)

    def __iadd__(self, other: Any) -> Any:
        with coded(f"'{self.label}' + {other!r}", (TypeError,), "E1008"):
            return super().__iadd__(other)

    def record(self, *variables: Any, **named: Any) -> None:
        """Record variables of all cells; E1005 for one that they do not have."""
        check_group(self)
        super().record(*variables, **named)

    def get_data(self, *variables: Any, **named: Any) -> Any:
        """What was recorded, as a Neo block; E1005 where nothing has run yet."""
        check_group(self)
        return super().get_data(*variables, **named)

    def get_spike_counts(self, gather: bool = True) -> dict[int, int]:
        """The spikes of each cell that is recorded; E1005 where none is."""
        check_group(self)
        _check_counted(self, self.populations)
        found: dict[int, int] = super().get_spike_counts(gather)
        return found


class PopulationView(_Cells, common.PopulationView):
    __doc__ = common.PopulationView.__doc__
    _assembly_class = Assembly
    _simulator = simulator

    def __init__(self, parent: Any, selector: Any, label: str | None = None) -> None:
        check_group(parent)
        whole = isinstance(parent, Assembly)
        if whole or (not isinstance(selector, slice) and np.ndim(selector) == 0):
            raise fail(
                "E1002",
                f"a view of '{parent.label}' made of {'an assembly' if whole else repr(selector)}",
                here(),
                "give a slice, a list of numbers or a mask",
            )
        _check_index(parent, selector)
        super().__init__(parent, selector, label)

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

    def __init__(
        self,
        size: Any,
        cellclass: Any,
        cellparams: Any = None,
        structure: Any = None,
        initial_values: Any = None,
        label: str | None = None,
        **other: Any,
    ) -> None:
        self.at = self.changed = here()
        self.setups = state.setups
        self.initial: dict[str, npt.NDArray[np.float64]] = {}
        self.history: list[tuple[int, dict[str, npt.NDArray[Any]]]] = []
        kind = cellclass if isinstance(cellclass, type) else type(cellclass)
        if not issubclass(kind, SpikingCell | SourceCell):
            raise fail(
                "E1001",
                f"{kind.__module__}.{kind.__name__} is no cell of spikec.pynn",
                self.at,
                "take the cells from the module that runs the script: sim.IF_curr_exp",
            )
        if isinstance(cellclass, type) and cellparams is None:
            raise fail(
                "E1002",
                f"{kind.__name__} is a class of cells, without its parameters",
                self.at,
                f"make the cells: sim.{kind.__name__}()",
            )
        if other:
            raise fail(
                "E1002",
                f"a population of {kind.__name__} has no {min(other)}",
                self.at,
                f"parameters are those of its cells: sim.{kind.__name__}({min(other)}=...)",
            )
        if np.asarray(size).dtype.kind in "iu" and np.prod(size) == 0:
            raise fail("E1002", f"a population of {size} cells of {kind.__name__}", self.at)
        for what, value, wanted in (
            ("structure", structure, BaseStructure),
            ("label", label, str),
        ):
            if not isinstance(value, wanted | None):
                raise fail(
                    "E1002",
                    f"{what} of a population of {kind.__name__} is {value!r}; it is a "
                    f"{wanted.__name__}",
                    self.at,
                )
        state.touched("the network")
        with coded(f"a population of {kind.__name__}", _WRONG):
            super().__init__(
                size, cellclass, cellparams, structure, dict(initial_values or {}), label
            )
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

    def _set_structure(self, structure: Any) -> None:
        if not isinstance(structure, BaseStructure):
            raise fail(
                "E1002", f"the structure of '{self.label}' is {structure!r}, which is none", here()
            )
        super()._set_structure(structure)

    structure = property(common.Population._get_structure, _set_structure)

    def _set_positions(self, pos_array: Any) -> None:
        if np.shape(pos_array) != (3, self.size):
            raise fail(
                "E1002",
                f"positions of '{self.label}' have the shape {np.shape(pos_array)}, not "
                f"(3, {self.size})",
                here(),
            )
        with coded(f"positions of '{self.label}'", _WRONG):
            super()._set_positions(np.asarray(pos_array, np.float64))

    positions = property(common.Population._get_positions, _set_positions)

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
