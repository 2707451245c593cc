"""The golden rung: any artefact's explicit graph in Brian2, float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...boards.board import Target
from ...compiler.backend import (
    Emission,
    Outcome,
    Progress,
    Requirement,
    Run,
    installed_version,
    need,
)
from ...ir.diagnostics import fail
from ...ir.graph import Graph

GOLDEN = "golden"


@dataclass(frozen=True)
class ReferenceBackend:
    """Offers the rung ``golden`` to the artefacts of every target."""

    name: str = "reference"
    rungs: tuple[str, ...] = (GOLDEN,)

    def targets(self) -> Sequence[Target]:
        """None: it is no hardware."""
        return ()

    def requirements(self) -> Sequence[Requirement]:
        """Brian2."""
        return (
            Requirement(
                "brian2",
                "rung golden",
                installed_version("brian2"),
                "pip install 'spikec[golden]'",
            ),
        )

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """Refused: there is nothing to emit for."""
        raise fail("E0304", "the golden reference is no target")

    def run(self, rung: str, run: Run) -> Outcome:
        """Run the explicit graph of the artefact."""
        need("brian2", "golden", "rung golden")
        from ...compiler.ladder import network
        from .golden import run_golden

        recording = run_golden(
            network(run.artifact),
            run.stimulus,
            record=run.record,
            populations=run.populations,
            progress=lambda share: run.progress(GOLDEN, share),
        )
        return Outcome(recording)


backend = ReferenceBackend()
