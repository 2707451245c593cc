"""The null backend: a target without limits. Everything compiles; the integer rung runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..boards.board import Target
from ..compiler.backend import Emission, Outcome, Progress, Requirement, Run
from ..ir.diagnostics import fail
from ..ir.graph import Graph

# What a board can be asked for, and how it is said.
_BOARDS_ONLY: Final = {
    "lanes": "--lanes",
    "units": "--units",
    "core": "--core",
    "cores": "--cores",
    "cycles": "--cycles",
    "step_time": "--step-time",
    "activity": "--activity",
    "clock_hz": "--clock",
    "parity": "--parity",
    "link": "--link",
    "placements": "--placements",
}


@dataclass(frozen=True)
class NullBackend:
    """Accepts every network and emits nothing of its own."""

    name: str = "null"
    rungs: tuple[str, ...] = ()

    def targets(self) -> Sequence[Target]:
        """One target, without limits."""
        return (Target.unlimited("null", "no hardware: the integer rung on this computer"),)

    def requirements(self) -> Sequence[Requirement]:
        """Nothing."""
        return ()

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """No files; E0707 for an option that only a board has."""
        # Of cores 1 says nothing, and None as many as are best.
        said = dict(options) | {"cores": options.get("cores", 1) != 1}
        for name, option in _BOARDS_ONLY.items():
            if said.get(name):
                raise fail(
                    "E0707",
                    f"'{target.name}' is no board: it takes no {option}",
                    hint=f"compile without {option}, or for a board ('spikec targets')",
                )
        return Emission({}, {}, {})

    def run(self, rung: str, run: Run) -> Outcome:
        """There is nothing to run."""
        raise fail("E0306", f"the null backend has no rung '{rung}'")


backend = NullBackend()
