"""Memristor crossbars: a network whose weights are conductances, on tiles of a macro.

The rung ``circuit`` is a chip of that macro: exact currents behind the wires, the statistics of its
cells, converters, and the digital neurons of the integer rung behind them. On the rung ``ngspice``
the currents of the same chip are ngspice's.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...boards.board import Target
from ...boards.macro import load_macro, macro_names
from ...compiler.artifact import Artifact
from ...compiler.backend import (
    Condition,
    Emission,
    Outcome,
    ProfileRequest,
    Progress,
    Requirement,
    Run,
)
from ...ir.diagnostics import fail
from ...ir.graph import Graph

if TYPE_CHECKING:
    from ...compiler.profile.crossbar import CrossbarProfile


@dataclass(frozen=True)
class CrossbarBackend:
    """Maps networks to crossbars, and runs chips of them."""

    name: str = "crossbar"
    rungs: tuple[str, ...] = ("circuit", "ngspice")
    analogue: tuple[str, ...] = ("circuit", "ngspice")
    chips: tuple[str, ...] = ("circuit", "ngspice")
    drawn: tuple[str, ...] = ()
    heavy: tuple[str, ...] = ("ngspice",)
    profile_options: tuple[str, ...] = ()

    def targets(self) -> Sequence[Target]:
        """Every macro in ``boards/macros/``."""
        return tuple(Target.crossbar(load_macro(name)) for name in macro_names())

    def requirements(self) -> Sequence[Requirement]:
        """Nothing, and ngspice for the rung of that name."""
        from ..ngspice import MEND, PROGRAM

        return (Requirement(PROGRAM, "rung ngspice", shutil.which(PROGRAM), MEND, optional=True),)

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """The tiles: what is where, which conductances cells are meant to have, and SPICE decks."""
        from .conditions import Conditions
        from .decks import wanted_decks
        from .design import design
        from .execute import probes_of
        from .files import design_facts, design_files
        from .membranes import charged

        assert target.macro is not None
        conditions = Conditions().but(options.get("conditions") or ())
        calibration = options.get("calibration")
        probes = None if calibration is None else probes_of(graph, calibration, progress)
        found = design(
            graph, target.macro, conditions, probes, progress=progress, found=options.get("found")
        )
        bare = charged(graph, conditions, seed=1).units
        decks = wanted_decks(found, options.get("found"), bare)
        return Emission(design_files(found) | decks, design_facts(found), {})

    def profile(self, request: ProfileRequest) -> CrossbarProfile:
        """What a stimulus takes of the tiles: energy by component, the longest path of steps."""
        from .profile import profile_artifact

        return profile_artifact(request, load_macro(str(request.artifact.manifest["target"])))

    def run(self, rung: str, run: Run) -> Outcome:
        """A chip of the artefact, the one that ``run.seed`` says."""
        from .execute import run_circuit

        if rung not in self.rungs:
            raise fail("E0306", f"crossbars have no rung '{rung}'")
        return run_circuit(run, load_macro(str(run.artifact.manifest["target"])), rung)

    def conditions(self, artifact: Artifact, words: Sequence[str]) -> tuple[Condition, ...]:
        """The words as conditions, after a look at whether its device has data for them."""
        from .said import conditions_said

        return conditions_said(artifact, words, load_macro(str(artifact.manifest["target"])))


backend = CrossbarBackend()
