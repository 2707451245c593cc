"""Superconducting circuits of single flux quanta: networks as cells of Josephson junctions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...boards.board import Target
from ...boards.process import load_process, process_names
from ...compiler.backend import Emission, Outcome, ProfileRequest, Progress, Requirement, Run
from ...ir.diagnostics import fail
from ...ir.graph import Graph

if TYPE_CHECKING:
    from ...compiler.profile.sfq import SfqProfile


@dataclass(frozen=True)
class SfqBackend:
    """The processes of ``boards/processes``."""

    name: str = "sfq"
    rungs: tuple[str, ...] = ("events", "circuit")
    profile_options: tuple[str, ...] = ("--cooling",)

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
        from .files import program_files
        from .profile import cell_facts
        from .synthesise import synthesise

        assert target.process is not None
        program = synthesise(graph)
        return Emission(program_files(program), cell_facts(program, target.process), {})

    def profile(self, request: ProfileRequest) -> SfqProfile:
        """What a stimulus takes of the cells: energy of pulses and biases, ways and clocks."""
        from .profile import profile_artifact

        return profile_artifact(request, load_process(str(request.artifact.manifest["target"])))

    def run(self, rung: str, run: Run) -> Outcome:
        """The circuit as machines with delays, or as junctions."""
        from .execute import run as execute

        if rung not in self.rungs:
            raise fail("E0306", f"SFQ circuits have no rung '{rung}'")
        return execute(run, rung)


backend = SfqBackend()
