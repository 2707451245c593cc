"""Compilation to a program: a target that keeps the real network, and is run by its simulator."""

from __future__ import annotations

from typing import Any

from ..boards.board import Target
from ..ir.diagnostics import Diagnostics
from ..ir.events import Stimulus
from ..ir.graph import Graph
from ..ir.text import digest, text
from ..ir.verify import verify
from .artifact import Artifact
from .backend import Backend, Progress, no_progress
from .compile import NETWORK, portable


def compile_program(
    graph: Graph,
    backend: Backend,
    target: Target,
    stimulus: Stimulus | None = None,
    *,
    found: Diagnostics | None = None,
    progress: Progress = no_progress,
) -> Artifact:
    """The artefact of a target of the kind ``program``, with ``stimulus`` in it.

    Nothing is legalised, retimed or quantised: what the target cannot do is refused. ``found``
    collects what is said without refusing.
    """
    found = Diagnostics() if found is None else found
    source = portable(graph)
    verify(source)
    emission = backend.emit(source, target, {"stimulus": stimulus, "found": found}, progress)
    facts: dict[str, Any] = {
        "name": source.name,
        "kind": "program",
        "backend": backend.name,
        "target": target.name,
        "dialect": source.dialect,
        "dt": source.dt,
        "source_digest": digest(source),
        "emission": dict(emission.facts),
        "diagnostics": [d.as_dict() for d in found],
    }
    return Artifact({NETWORK: text(source).encode(), **emission.files}, facts)
