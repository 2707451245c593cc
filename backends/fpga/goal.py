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
from ...ir.diagnostics import Diagnostic, SpikecError
from .forecast import ACTIVITY, Choice, Forecast, Kind, Option
from .logic import LINK_LOGIC
from .lower import Build

# Cycles that differ by less than this share are the same.
HARDLY: Final = 0.05

Core = TypeVar("Core")


@dataclass(frozen=True)
class Goal:
    """At most so many ``cycles`` in a step in which ``activity`` of all sources spike.

    ``clock_hz`` is that of a goal which was said as a time, of so many ``seconds``.
    """

    cycles: float | Literal["fewest"] | None = None
    activity: float = ACTIVITY
    seconds: float | None = None
    clock_hz: float = math.inf

    @staticmethod
    def of_time(seconds: float, clock_hz: float, activity: float = ACTIVITY) -> Goal:
        """floor(seconds * clock_hz) cycles at most."""
        # What is a whole number of cycles has to stay one.
        return Goal(math.floor(seconds * clock_hz * (1 + 1e-9)), activity, seconds, clock_hz)

    @property
    def said(self) -> str:
        """The time and the clock of a goal that was said as one, behind its cycles."""
        if self.seconds is None:
            return ""
        return f" ({1e6 * self.seconds:g} us at {self.clock_hz / 1e6:g} MHz)"

    def option(self, cycles: int) -> str:
        """What to say instead for a step of so many cycles."""
        if self.seconds is None:
            return f"--cycles {cycles}"
        nanoseconds = math.ceil(cycles / self.clock_hz * 1e9)
        return f"--step-time {nanoseconds / 1e3:.3f}".rstrip("0").rstrip(".") + "us"

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
        return (
            f"fewest cells with at most {self.cycles:,.0f} cycles a step{self.said} on average at "
            f"{100 * self.activity:g} % activity"
        )


def nearly(cycles: float) -> int:
    """The same number for cycles that hardly differ."""
    return round(math.log(cycles) / HARDLY)


class GoalMissed(SpikecError):
    """E0311: cores fit, and none is as fast as wanted; the ``fastest`` is this one."""

    fastest: Option

    @staticmethod
    def by(
        fastest: Option,
        goal: Goal,
        target: Target,
        given: tuple[str, ...] = (),
        several: bool = False,
    ) -> GoalMissed:
        """By how much the fastest misses a goal, and what to say instead.

        ``given`` are the options without which other cores would have been looked at, too;
        ``several`` cores may be faster: that was not looked at.
        """
        cycles = math.ceil(fastest.cycles)
        options = " and ".join(given)
        instead = [f"compile with {goal.option(cycles)}"]
        instead += [f"without {options}"] if given else []
        if goal.seconds is not None:
            most = goal.seconds * (1 + 1e-9)
            enough = [hz for hz in target.clocks if hz > goal.clock_hz and cycles <= most * hz]
            instead += [f"with --clock {min(enough) / 1e6:g}"] if enough else []
        instead += ["with --cores auto"] if several else []
        error = GoalMissed(
            [
                Diagnostic(
                    "E0311",
                    f"{f'with {options} as given, ' if given else ''}no core that fits "
                    f"{target.title} takes at most {goal.most:,.0f} cycles a step{goal.said} at "
                    f"{100 * goal.activity:g} % activity; the fastest takes about {cycles:,}, with "
                    f"{fastest} and about {fastest.logic:,} cells of logic: "
                    f"{cycles - goal.most:,.0f} too many",
                    hint=f"{', '.join(instead)} or for a larger board ('spikec targets')",
                )
            ]
        )
        error.fastest = fastest
        return error


def given_options(
    lanes: int | None, units: int | None, kind: Kind | None = None, cores: int | None = None
) -> tuple[str, ...]:
    """The options that leave fewer cores to choose from."""
    said = {"--lanes": lanes, "--units": units, "--core": kind, "--cores": cores}
    return tuple(option for option, value in said.items() if value is not None)


@dataclass
class Search(Generic[Core]):
    """Cores that fit, one after the other: the ``best`` for a goal, and all ``options``."""

    goal: Goal
    best: tuple[Core, Build, Forecast] | None = None
    options: list[Option] = field(default_factory=list)

    def add(self, core: Core, build: Build, found: Forecast, cores: int = 1) -> bool:
        """A core that fits; whether it is the best so far."""
        self.options.append(Option.of(found, build, cores))
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

    def missed(self, target: Target, given: tuple[str, ...], several: bool = False) -> GoalMissed:
        """That none of the cores that fit is as fast as wanted; see `GoalMissed.by`."""
        fastest = min(self.options, key=lambda one: (one.cycles, one.logic))
        return GoalMissed.by(fastest, self.goal, target, given, several)


def front(options: Iterable[Option]) -> list[Option]:
    """Those that no other beats in cycles and cells, from the fastest on."""
    kept: list[Option] = []
    for one in sorted(options, key=lambda one: (one.cycles, one.logic, one.blocks)):
        if not kept or one.logic < kept[-1].logic:
            kept.append(one)
    return kept
