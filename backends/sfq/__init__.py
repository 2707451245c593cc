"""Superconducting circuits of single flux quanta: networks as cells of Josephson junctions.

All rungs are exact unless projections release by chance (``--release``): then the run's seed is
what chance did, and they are measured.
"""

from __future__ import annotations

import shutil
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
    rungs: tuple[str, ...] = ("events", "circuit", "josim")
    analogue: tuple[str, ...] = ("events", "circuit", "josim")
    heavy: tuple[str, ...] = ("josim",)
    profile_options: tuple[str, ...] = ("--cooling",)

    def targets(self) -> Sequence[Target]:
        """Every process in ``boards/processes/``."""
        return tuple(Target.sfq(load_process(name)) for name in process_names())

    def requirements(self) -> Sequence[Requirement]:
        """Nothing, and JoSIM for the rung of that name."""
        from .josim import MEND, PROGRAM

        return (Requirement(PROGRAM, "rung josim", shutil.which(PROGRAM), MEND, optional=True),)

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """Cells, nets, the times of a step, and decks of the whole."""
        from .decks import program_decks
        from .files import program_files
        from .profile import cell_facts
        from .said import release_said
        from .synthesise import synthesise

        assert target.process is not None
        release = release_said(graph, options.get("release") or ())
        program = synthesise(graph, release=release)
        noise = target.process.temperature.value if any(p < 1 for p in release.values()) else 0.0
        files = program_files(program) | program_decks(program, noise)
        return Emission(files, cell_facts(program, target.process, release), {})

    def profile(self, request: ProfileRequest) -> SfqProfile:
        """What a stimulus takes of the cells: energy of pulses and biases, ways and clocks."""
        from .profile import profile_artifact

        return profile_artifact(request, load_process(str(request.artifact.manifest["target"])))

    def run(self, rung: str, run: Run) -> Outcome:
        """The circuit as machines with delays, or as junctions by ours or by JoSIM."""
        from .execute import run as execute

        if rung not in self.rungs:
            raise fail("E0306", f"SFQ circuits have no rung '{rung}'")
        return execute(run, rung)


backend = SfqBackend()
