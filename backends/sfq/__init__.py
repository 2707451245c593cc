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
from ...compiler.artifact import Artifact
from ...compiler.backend import (
    Condition,
    Emission,
    Gap,
    Outcome,
    ProfileRequest,
    Progress,
    Requirement,
    Run,
    ToleranceRequest,
)
from ...ir.diagnostics import fail
from ...ir.graph import Graph

if TYPE_CHECKING:
    from ...compiler.profile.sfq import SfqProfile
    from .tolerance.study import ProgramTolerance


@dataclass(frozen=True)
class SfqBackend:
    """The processes of ``boards/processes``."""

    name: str = "sfq"
    rungs: tuple[str, ...] = ("events", "circuit", "josim", "ngspice")
    analogue: tuple[str, ...] = ("events", "circuit", "josim", "ngspice")
    chips: tuple[str, ...] = ("circuit", "josim", "ngspice")
    drawn: tuple[str, ...] = ("spread=process",)
    heavy: tuple[str, ...] = ("josim", "ngspice")
    profile_options: tuple[str, ...] = ("--cooling",)

    def targets(self) -> Sequence[Target]:
        """Every process in ``boards/processes/``."""
        return tuple(Target.sfq(load_process(name)) for name in process_names())

    def requirements(self) -> Sequence[Requirement]:
        """Nothing, and JoSIM and ngspice for the rungs of their names."""
        from .. import ngspice
        from .rungs import josim

        return tuple(
            Requirement(
                one.PROGRAM, f"rung {rung}", shutil.which(one.PROGRAM), one.MEND, optional=True
            )
            for rung, one in (("josim", josim), ("ngspice", ngspice))
        )

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """Cells, nets, the times of a step, and decks of the whole."""
        from .cells.chance import KIND
        from .profile import cell_facts
        from .rungs.decks import program_decks
        from .synthesis.files import program_files
        from .synthesis.said import release_said, tell_period, tell_release
        from .synthesis.synthesise import synthesise

        assert target.process is not None
        release = release_said(graph, options.get("release") or ())
        program = synthesise(graph, release=release, progress=progress)
        told = options.get("found")
        if told is not None:
            tell_release(graph, program.release, told)
            tell_period(graph, program.period, told)
        noise = target.process.temperature.value if KIND in program.netlist.counts else 0.0
        files = program_files(program) | program_decks(program, noise)
        return Emission(files, cell_facts(program, target.process), {})

    def profile(self, request: ProfileRequest) -> SfqProfile:
        """What a stimulus takes of the cells: energy of pulses and biases, ways and clocks."""
        from .profile import profile_artifact

        return profile_artifact(request, load_process(str(request.artifact.manifest["target"])))

    def run(self, rung: str, run: Run) -> Outcome:
        """The circuit as machines with delays, or as junctions by ours, JoSIM or ngspice."""
        from .rungs.execute import run as execute

        if rung not in self.rungs:
            raise fail("E0306", f"SFQ circuits have no rung '{rung}'")
        return execute(run, rung)

    def run_chips(self, rung: str, run: Run, seeds: Sequence[int]) -> Sequence[Outcome]:
        """Chips of the circuit in one batch of the simulator."""
        from .rungs.execute import run_chips

        return run_chips(run, rung, seeds)

    def conditions(self, artifact: Artifact, words: Sequence[str]) -> tuple[Condition, ...]:
        """The words as conditions of chips."""
        from .rungs.conditions import conditions_said

        return conditions_said(artifact, words)

    def groups(self, artifact: Artifact, by: str) -> Mapping[str, int]:
        """Elements of all cells together by kind, and as fine as is asked for."""
        from .synthesis.files import read_program
        from .tolerance.study import groups

        found = groups(read_program(artifact).netlist, by)
        return {title: len(group) for title, group in found.items()}

    def check_gap(self, artifact: Artifact, gap: Gap | None) -> None:
        """Whether margins and yield are of spikes or of rates."""
        from .synthesis.files import read_program
        from .tolerance.study import check_gap

        check_gap(read_program(artifact), gap)

    def tolerance(self, request: ToleranceRequest) -> ProgramTolerance:
        """The circuit beside the spikes that it should have."""
        from .tolerance.study import ProgramTolerance

        return ProgramTolerance(request, load_process(str(request.artifact.manifest["target"])))


backend = SfqBackend()
