"""Memristor crossbars: a network whose weights are conductances, on tiles of a macro.

The rung ``circuit`` is a chip of that macro: exact currents behind the wires, the statistics of its
cells, converters, and the digital neurons of the integer rung behind them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...boards.board import Target
from ...boards.macro import load_macro, macro_names
from ...compiler.artifact import Artifact
from ...compiler.backend import Condition, Emission, Outcome, Progress, Requirement, Run
from ...ir.diagnostics import fail
from ...ir.graph import Graph


@dataclass(frozen=True)
class CrossbarBackend:
    """Maps networks to crossbars, and runs chips of them."""

    name: str = "crossbar"
    rungs: tuple[str, ...] = ("circuit",)
    analogue: tuple[str, ...] = ("circuit",)

    def targets(self) -> Sequence[Target]:
        """Every macro in ``boards/macros/``."""
        return tuple(Target.crossbar(load_macro(name)) for name in macro_names())

    def requirements(self) -> Sequence[Requirement]:
        """Nothing."""
        return ()

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """The tiles: what is where, and which conductances cells are meant to have."""
        from .conditions import Conditions
        from .design import design
        from .execute import probes_of
        from .files import design_facts, design_files

        assert target.macro is not None
        conditions = Conditions().but(options.get("conditions") or ())
        calibration = options.get("calibration")
        probes = None if calibration is None else probes_of(graph, calibration, progress)
        found = design(
            graph, target.macro, conditions, probes, progress=progress, found=options.get("found")
        )
        return Emission(design_files(found), design_facts(found), {})

    def run(self, rung: str, run: Run) -> Outcome:
        """A chip of the artefact, the one that ``run.seed`` says."""
        from .execute import run_circuit

        if rung not in self.rungs:
            raise fail("E0306", f"crossbars have no rung '{rung}'")
        return run_circuit(run, load_macro(str(run.artifact.manifest["target"])))

    def conditions(self, artifact: Artifact, words: Sequence[str]) -> tuple[Condition, ...]:
        """The words as conditions, after a look at whether its device has data for them."""
        from .said import conditions_said

        return conditions_said(artifact, words, load_macro(str(artifact.manifest["target"])))


backend = CrossbarBackend()
