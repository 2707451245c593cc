"""What a core is chosen for, among those that fit, and what was chosen from.

=================  ===========================================================================
goal               takes
=================  ===========================================================================
none               the least product of cells (the link's included) and cycles of a step: a
                   core twice as large has to be twice as fast
at most N cycles   the fewest cells; of as many the fewest blocks of memory, then cycles
fewest cycles      the fewest cycles; of cores that hardly differ the one with the fewest cells
=================  ===========================================================================
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, Literal, TypeVar

from ...boards.board import Target
from ...ir.diagnostics import SpikecError, fail
from .forecast import ACTIVITY, Choice, Forecast, Option
from .logic import LINK_LOGIC
from .lower import Build

# Cycles that differ by less than this share are the same.
HARDLY: Final = 0.05

Core = TypeVar("Core")


@dataclass(frozen=True)
class Goal:
    """At most so many ``cycles`` in a step in which ``activity`` of all sources spike.

    ``said`` is how whoever set it put it, if not in cycles.
    """

    cycles: float | Literal["fewest"] | None = None
    activity: float = ACTIVITY
    said: str = ""

    @property
    def most(self) -> float:
        """Cycles that a core may take."""
        return math.inf if self.cycles is None or self.cycles == "fewest" else self.cycles

    def rank(self, found: Forecast) -> tuple[float, ...]:
        """Which of two cores is better: the one with the lower rank."""
        blocks = sum(found.blocks.values())
        if self.cycles == "fewest":
            return nearly(found.cycles), found.logic, blocks
        if self.cycles is None:
            return (found.logic + LINK_LOGIC) * found.cycles, found.logic, blocks
        return found.logic, blocks, found.cycles

    def __str__(self) -> str:
        """In words: what the chosen core has of all that fit."""
        if self.cycles is None:
            return "least cells x cycles"
        if self.cycles == "fewest":
            return "fewest cycles"
        said = f" ({self.said})" if self.said else ""
        return f"fewest cells with at most {self.cycles:,.0f} cycles a step{said}"


def nearly(cycles: float) -> int:
    """The same number for cycles that hardly differ."""
    return round(math.log(cycles) / HARDLY)


@dataclass
class Search(Generic[Core]):
    """Cores that fit, one after the other: the ``best`` for a goal, and all ``options``."""

    goal: Goal
    best: tuple[Core, Build, Forecast] | None = None
    options: list[Option] = field(default_factory=list)

    def add(self, core: Core, build: Build, found: Forecast, cores: int = 1) -> bool:
        """A core that fits; whether it is the best so far."""
        lanes, units = (0, 0) if build.parallel else (build.lanes, build.units)
        blocks = sum(found.blocks.values())
        self.options.append(
            Option(found.kind, cores, lanes, units, found.cycles, found.logic, blocks)
        )
        if found.cycles > self.goal.most:
            return False
        rank = self.goal.rank
        if self.best is not None and rank(self.best[2]) <= rank(found):
            return False
        self.best = core, build, found
        return True

    @property
    def choice(self) -> Choice:
        """What was chosen from."""
        most = self.goal.most
        return Choice(
            str(self.goal),
            most if most < math.inf else None,
            len(self.options),
            tuple(front(self.options)),
        )

    def missed(self, target: Target, hint: str = "") -> SpikecError:
        """E0311: cores fit, and none is as fast as wanted."""
        fastest = min(self.options, key=lambda one: (one.cycles, one.logic))
        most = self.goal.most
        said = f" ({self.goal.said})" if self.goal.said else ""
        return fail(
            "E0311",
            f"no core that fits {target.title} takes at most {most:,.0f} cycles a step{said} at "
            f"{100 * self.goal.activity:g} % activity; the fastest takes about "
            f"{fastest.cycles:,.0f}, with {fastest} and about {fastest.logic:,} cells of logic: "
            f"{fastest.cycles - most:,.0f} too many",
            hint=f"compile with --cycles {math.ceil(fastest.cycles)}, {hint}or a larger board "
            "('spikec targets')",
        )


def front(options: Iterable[Option]) -> list[Option]:
    """Those that no other beats in cycles and cells, from the fastest on."""
    kept: list[Option] = []
    for one in sorted(options, key=lambda one: (one.cycles, one.logic, one.blocks)):
        if not kept or one.logic < kept[-1].logic:
            kept.append(one)
    return kept
