"""Superconducting circuits of single flux quanta: networks as cells of Josephson junctions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...boards.board import Target
from ...boards.process import load_process, process_names
from ...compiler.backend import Emission, Outcome, Progress, Requirement, Run
from ...ir.diagnostics import fail
from ...ir.graph import Graph


@dataclass(frozen=True)
class SfqBackend:
    """The processes of ``boards/processes``."""

    name: str = "sfq"
    rungs: tuple[str, ...] = ("events", "circuit")

    def targets(self) -> Sequence[Target]:
        """Every process in ``boards/processes/``."""
        return tuple(Target.sfq(load_process(name)) for name in process_names())

    def requirements(self) -> Sequence[Requirement]:
        """Nothing."""
        return ()

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """Cells, nets, and the times of a step."""
        from .files import program_facts, program_files
        from .synthesise import synthesise

        program = synthesise(graph)
        return Emission(program_files(program), program_facts(program), {})

    def run(self, rung: str, run: Run) -> Outcome:
        """The circuit as machines with delays, or as junctions."""
        from .execute import run as execute

        if rung not in self.rungs:
            raise fail("E0306", f"SFQ circuits have no rung '{rung}'")
        return execute(run, rung)


backend = SfqBackend()
