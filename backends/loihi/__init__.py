"""Loihi, through Lava: a network in Loihi's arithmetic becomes a program that needs only Lava.

The rung ``lava`` runs the program in a Python that has Lava, in Lava's bit-accurate models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...boards.board import Target
from ...compiler.backend import Emission, Outcome, Progress, Requirement, Run
from ...ir.graph import Graph


@dataclass(frozen=True)
class LoihiBackend:
    """Emits Lava programs, and runs them."""

    name: str = "loihi"
    rungs: tuple[str, ...] = ("lava",)
    installs: tuple[str, ...] = ("lava",)

    def targets(self) -> Sequence[Target]:
        """Lava, in Loihi's fixed point."""
        return (Target.loihi("lava", "a Lava program in Loihi's fixed point, run by lava-nc"),)

    def requirements(self) -> Sequence[Requirement]:
        """Lava, in a Python of its own."""
        from .pythons import requirement

        return (requirement(),)

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """The program of a graph in Loihi's arithmetic; E1201 for what it cannot do."""
        from .program import connection_kinds, files

        made = files(graph)
        return Emission(made, {"connections": connection_kinds(made)}, {})

    def run(self, rung: str, run: Run) -> Outcome:
        """Run the program; E1202 and E1203 where it fails, E0602 where there is no Lava."""
        from .execute import run_program

        return run_program(run)

    def install(self, name: str, tell: Callable[[str], None]) -> Path:
        """Make an environment with Lava, from any Python 3.10; its Python."""
        from .pythons import install

        return install(tell)


backend = LoihiBackend()
