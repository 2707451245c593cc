"""Neuromorphic chips of ``boards/chips``: networks are mapped to their cores.

The mapping belongs to the compilation (`compiler.mapping`); this backend says which machines there
are, and runs what was mapped core by core. It emits no program for any of them yet, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...boards.board import Target
from ...boards.chip import chip_names, load_chip, parse_chip
from ...boards.features import CHIP_FAMILIES
from ...boards.machine import Machine
from ...boards.table import BoardError, read_own_file
from ...compiler.artifact import Artifact
from ...compiler.backend import (
    CoSimulationRequest,
    Emission,
    Outcome,
    ProfileRequest,
    Progress,
    Requirement,
    Run,
)
from ...compiler.compile import MAPPING
from ...compiler.ladder import quantised
from ...ir.diagnostics import fail
from ...ir.graph import Graph

if TYPE_CHECKING:
    # The mapper's kernels are loaded where they are needed.
    from ...compiler.mapping.axons import Axons
    from ...compiler.mapping.mapping import Mapping as Placement
    from ...compiler.profile.distortion import CoSimulated
    from ...compiler.profile.profile import Profile

CHIP = "chip.toml"


@dataclass(frozen=True)
class ChipsBackend:
    """Offers every chip as a target, and the user's own; emits nothing beside the mapping."""

    name: str = "chips"
    rungs: tuple[str, ...] = ("cores",)
    profile_options: tuple[str, ...] = ("--model", "--tick", "--trace")

    def targets(self) -> Sequence[Target]:
        """Every chip in ``boards/chips/``."""
        return tuple(_target(load_chip(name)) for name in chip_names())

    def read_target(self, path: Path) -> Target:
        """The chip of a file of the user's own; ``BoardError`` where the file is wrong."""
        text = read_own_file(path)
        return _target(parse_chip(text, str(path)), text)

    def requirements(self) -> Sequence[Requirement]:
        """Nothing: the mapper is spikec's own."""
        return ()

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """No program yet. ``options["mapping"]`` has what one would be made of.

        A chip of the user's own goes into the artefact, whose mapping means nothing without it.
        """
        said = f"mapped; no program is emitted for {target.name} yet"
        files = {CHIP: target.text.encode()} if target.text else {}
        return Emission(files, {"not_built": said}, {})

    def profile(self, request: ProfileRequest) -> Profile:
        """What a stimulus takes of the chip; E0326 for a model that the chip does not have."""
        from .profile import profile_artifact

        return profile_artifact(request, *mapped(request.artifact))

    def cosimulate(self, request: CoSimulationRequest) -> CoSimulated:
        """Spikes that arrive when the interconnect delivers them.

        E0326 for a model that the chip does not have, E0327 where its file has no interconnect.
        """
        from .profile import cosimulate_artifact

        return cosimulate_artifact(request, *mapped(request.artifact))

    def run(self, rung: str, run: Run) -> Outcome:
        """The rung ``cores``: the integer rung, core by core, along the routes of the mapping.

        E0308 and E0301 as `CoreExecutor` raises them, E0324 for a mapping that is damaged, E0305
        for a chip's file that is.
        """
        from .execute import run_cores

        return run_cores(*mapped(run.artifact), run)


def mapped(artifact: Artifact) -> tuple[Graph, Axons, Placement]:
    """The network of an artefact and where it is on its chip; E0324 where that is damaged."""
    from ...compiler.mapping.network import axons_of
    from ...compiler.mapping.to_json import read_mapping

    graph, machine = quantised(artifact), _machine(artifact)
    axons = axons_of(graph, machine, int(artifact.manifest["quantise"]["weight_bits"]))
    return graph, axons, read_mapping(artifact.files[MAPPING], machine, axons)


def _target(machine: Machine, text: str = "") -> Target:
    return Target.chip(machine, CHIP_FAMILIES[machine.family], text)


def _machine(artifact: Artifact) -> Machine:
    """The chip that an artefact was mapped to: its own file, or the one that comes with spikec."""
    try:
        if CHIP in artifact.files:
            return parse_chip(artifact.files[CHIP].decode(), CHIP)
        return load_chip(str(artifact.manifest["target"]))
    except (BoardError, UnicodeDecodeError) as error:
        raise fail("E0305", str(error), hint="compile it again") from None


backend = ChipsBackend()
