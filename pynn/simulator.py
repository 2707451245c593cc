"""What PyNN's common code wants of a simulator: ids, and the state of a script.

Time only counts in ``run``; the network is simulated when somebody asks for what happened, from the
start and as far as the script has got. So a script that runs in pieces costs one run, and its
network is one graph with one stimulus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pyNN import common, errors

from ..ir.diagnostics import fail
from .where import coded, here

if TYPE_CHECKING:
    from .electrodes import CurrentSource
    from .populations import Population
    from .projections import Projection

name = "spikec"
RUNGS = ("golden", "integer", "s1615")
DIALECTS = ("brian2", "spinnaker")


class ID(int, common.IDMixin):
    """A cell: its number in the script, with the parameters of its population."""

    def __init__(self, n: int) -> None:
        int.__init__(n)
        common.IDMixin.__init__(self)

    def __getattr__(self, name: str) -> Any:
        with coded(f"a cell of '{self.parent.label}'" if name != "parent" else "a cell"):
            return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        what = f"a cell of '{self.parent.label}'"
        if name == "position" and np.shape(value) != (3,):
            raise fail("E1002", f"the position of {what} is {value!r}; it is x, y and z", here())
        with coded(what, (AssertionError, ValueError)):
            if not (self.celltype.has_parameter(name) or hasattr(type(self), name)):
                raise errors.NonExistentParameterError(
                    name, type(self.celltype).__name__, self.celltype.get_parameter_names()
                )
            super().__setattr__(name, value)

    def inject(self, current_source: Any, location: Any = None) -> None:
        """Inject a current; E1007 into a spike source."""
        self.as_view().inject(current_source, location)


class State(common.control.BaseState):
    """The network of a script, its clock, and what has been simulated of it.

    ``version`` counts the changes that make an earlier run another network's; ``segment`` the
    resets, ``setups`` the networks. ``rung`` and ``dialect`` are what ``setup`` was given.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mpi_rank = 0
        self.num_processes = 1
        self.dt = 0.1
        self.min_delay: float | str = "auto"
        self.max_delay: float | str = "auto"
        self.setups = 0
        self.configure("golden", "brian2", 1, {})
        self.clear()

    def configure(self, rung: str, dialect: str, seed: int, options: dict[str, Any]) -> None:
        """Choose what runs the network; E1002 for what there is not."""
        for what, value, known in (("rung", rung, RUNGS), ("dialect", dialect, DIALECTS)):
            if value not in known:
                raise fail("E1002", f"{what} is {value!r}; there are {', '.join(known)}", here())
        if rung == "s1615" and dialect != "spinnaker":
            raise fail(
                "E1002",
                f"the rung s1615 is SpiNNaker's arithmetic, and the dialect is {dialect!r}",
                here(),
                "setup(rung='s1615', dialect='spinnaker')",
            )
        self.rung, self.dialect, self.seed, self.options = rung, dialect, int(seed), options

    def clear(self) -> None:
        """Forget the network."""
        self.setups += 1
        self.recorders: set[Any] = set()
        self.id_counter = 0
        self.segment_counter = -1
        self.populations: list[Population] = []
        self.projections: list[Projection] = []
        self.sources: list[CurrentSource] = []
        self.version = 0
        self.write_on_end: list[tuple[Any, Any, str]] = []
        self.results: Any = None
        self.reset()

    def reset(self) -> None:
        """Back to time zero: a new segment."""
        self.running = False
        self.t_start = 0
        self.steps = 0
        self.segment_counter += 1
        self.results = None

    @property
    def t(self) -> float:
        """The time of the script, in ms."""
        return self.steps * self.dt

    def run(self, simtime: float) -> None:
        """Let ``simtime`` ms pass."""
        self.run_until(self.t + simtime)

    def run_until(self, tstop: float) -> None:
        """Let time pass until ``tstop`` ms."""
        self.steps = round(tstop / self.dt)
        self.running = True

    def check_part(self, what: str, setups: int) -> None:
        """E1008 for a part of a network that a later ``setup`` has forgotten."""
        if setups != self.setups:
            raise fail(
                "E1008",
                f"{what} belongs to the network before setup() was called",
                here(),
                "make it behind setup(), and read what happened before it",
            )

    def touched(self, what: str) -> None:
        """Note a change of the network; E1006 for one that comes in the middle of a run.

        A graph has one value of each parameter. Sources, which are stimuli, may change at any time.
        """
        if self.steps:
            raise fail(
                "E1006",
                f"{what} is changed at {self.t:g} ms; the network that ran until then would be "
                "another one",
                here(),
                "change it before the first run, or behind reset(); spike sources and current "
                "sources may change at any time",
            )
        self.version += 1


state = State()
