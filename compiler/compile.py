"""Compilation: from an explicit graph to an artefact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ..boards.board import Target
from ..ir.diagnostics import Diagnostics, Location
from ..ir.graph import Graph
from ..ir.text import digest, text
from .artifact import Artifact
from .backend import Backend, Emission, Progress, no_progress
from .passes.base import Pass, run_pipeline
from .passes.legalise import Legalise
from .passes.quantise import LayerError, Quantise, layer_errors
from .passes.retime import Retime, output_shift

if TYPE_CHECKING:
    from .mapping.axons import Axons
    from .mapping.map import Mapped

NETWORK, QUANTISED = "network.spk", "quantised.spk"


@dataclass(frozen=True)
class Compilation:
    """Every stage of one compilation.

    ``source`` is the explicit graph, ``retimed`` the legal real one with lags, ``quantised`` the
    integer one. ``axons`` is what was mapped to cores and ``mapping`` where it is, on targets that
    have cores.
    """

    source: Graph
    retimed: Graph
    quantised: Graph
    target: Target
    backend: str
    options: Quantise
    errors: tuple[LayerError, ...]
    emission: Emission
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    mapping: Mapped | None = None
    axons: Axons | None = None

    def manifest(self) -> dict[str, Any]:
        """The facts of this compilation, without files."""
        return {
            "name": self.source.name,
            "backend": self.backend,
            "target": self.target.name,
            "dialect": self.source.dialect,
            "dt": self.source.dt,
            "source_digest": digest(self.source),
            "quantise": {k: _plain(v) for k, v in asdict(self.options).items()},
            "layers": [asdict(layer) for layer in self.errors],
            "output_shift": output_shift(self.quantised),
            "emission": dict(self.emission.facts),
            "diagnostics": [d.as_dict() for d in self.diagnostics],
        }

    def artifact(self, more: Mapping[str, bytes] | None = None) -> Artifact:
        """The artefact, with ``more`` files (a report) in it."""
        files = {
            NETWORK: text(self.source).encode(),
            QUANTISED: text(self.quantised).encode(),
            **self.emission.files,
            **(more or {}),
        }
        return Artifact(files, self.manifest())


def pipeline(options: Quantise) -> list[Pass]:
    """The passes from an explicit graph to a quantised one."""
    return [Legalise(), Retime(), options]


def compile_graph(
    graph: Graph,
    backend: Backend,
    target: Target,
    options: Quantise,
    backend_options: Mapping[str, Any] | None = None,
    *,
    found: Diagnostics | None = None,
    progress: Progress = no_progress,
    after: Callable[[str, Graph], None] | None = None,
) -> Compilation:
    """Compile ``graph`` for ``target``; raises ``SpikecError`` when it cannot be done exactly."""
    found = Diagnostics() if found is None else found
    stages: dict[str, Graph] = {}

    def keep(name: str, result: Graph) -> None:
        stages[name] = result
        progress(name, 1.0)
        if after is not None:
            after(name, result)

    source = portable(graph)
    quantised = run_pipeline(pipeline(options), source, target, found, keep)
    errors = tuple(layer_errors(stages[Retime.NAME], quantised))
    every = {"input_max": options.input_max, **(backend_options or {})}
    emission = backend.emit(quantised, target, every, progress)
    return Compilation(
        source,
        stages[Retime.NAME],
        quantised,
        target,
        backend.name,
        options,
        errors,
        emission,
        found,
    )


def portable(graph: Graph) -> Graph:
    """The graph with folders cut from its locations: the same in whichever folder it was read."""

    def cut(at: Location) -> Location:
        return at if at.file is None else replace(at, file=PurePath(at.file).name)

    return replace(
        graph,
        inputs=tuple(replace(n, at=cut(n.at)) for n in graph.inputs),
        populations=tuple(replace(n, at=cut(n.at)) for n in graph.populations),
        projections=tuple(replace(n, at=cut(n.at)) for n in graph.projections),
        outputs=tuple(replace(n, at=cut(n.at)) for n in graph.outputs),
    )


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value
