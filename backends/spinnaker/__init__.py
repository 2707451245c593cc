"""SpiNNaker, through PyNN: a network becomes one script that any PyNN simulator runs.

The script keeps the real network. What a simulator cannot do of it is said before anything is
written; the rungs ``brian2``, ``nest`` and ``spinnaker`` run the script in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...boards.board import Target
from ...compiler.backend import Emission, Outcome, Progress, Requirement, Run
from ...ir.diagnostics import Diagnostics
from ...ir.graph import Graph
from .simulators import BRIAN2, NEST, SIMULATORS, SPINNAKER

TARGETS = {
    "spynnaker": (SPINNAKER, "a PyNN program for SpiNNaker, by sPyNNaker"),
    "pynn-brian2": (BRIAN2, "a PyNN program for Brian2"),
    "pynn-nest": (NEST, "a PyNN program for NEST"),
}


@dataclass(frozen=True)
class SpinnakerBackend:
    """Emits PyNN programs, and runs them."""

    name: str = "spinnaker"
    rungs: tuple[str, ...] = tuple(SIMULATORS)

    def targets(self) -> Sequence[Target]:
        """One for each simulator that a program must run on."""
        return tuple(Target.program(name, title) for name, (_, title) in TARGETS.items())

    def requirements(self) -> Sequence[Requirement]:
        """The simulators."""
        from .execute import requirements

        return requirements()

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """The program of an explicit real graph; ``options["stimulus"]`` goes with it.

        E1101 to E1108 for what PyNN, or the target's simulator, cannot do. Findings that refuse
        nothing are added to ``options["found"]``.
        """
        from ...compiler.stimulus import LabelledStimulus, stimulus_bytes
        from .checks import check
        from .model import network
        from .program import DATA, README, SCRIPT, STIMULUS, archive, readme, script

        chosen, _ = TARGETS[target.name]
        found = network(graph)
        refused: dict[str, str] = {}
        differs: dict[str, list[str]] = {}
        facts: dict[str, Any] = {}
        for name, simulator in SIMULATORS.items():
            said = Diagnostics()
            check(found, simulator, said)
            if name == chosen:
                said.raise_errors()
                collected = options.get("found")
                if isinstance(collected, Diagnostics):
                    collected.extend(said)
            if said.errors:
                refused[name] = said.errors[0].message
            differs[name] = [d.message for d in said if d not in said.errors]
            facts[name] = refused.get(name, "runs")
        text, data = script(found, refused)
        files = {
            SCRIPT: text.encode(),
            DATA: archive(data),
            README: readme(found, refused, differs).encode(),
        }
        stimulus = options.get("stimulus")
        if stimulus is not None:
            files[STIMULUS] = stimulus_bytes(LabelledStimulus(stimulus))
        return Emission(files, {"simulator": chosen, "simulators": facts}, {})

    def run(self, rung: str, run: Run) -> Outcome:
        """Run the program; E1109 where the simulator cannot, E0602 where it is not there."""
        from .execute import run_program

        return run_program(rung, run)


backend = SpinnakerBackend()
