"""The null backend: a target without limits. Everything compiles; the integer rung runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..boards.board import Target
from ..compiler.backend import Emission, Outcome, Progress, Requirement, Run
from ..ir.diagnostics import fail
from ..ir.graph import Graph


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
        """No files."""
        return Emission({}, {}, {})

    def run(self, rung: str, run: Run) -> Outcome:
        """There is nothing to run."""
        raise fail("E0306", f"the null backend has no rung '{rung}'")


backend = NullBackend()
