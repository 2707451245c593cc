"""What a pass is, and how a pipeline of them runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

from ...boards.board import Target
from ...ir.diagnostics import Diagnostics
from ...ir.graph import Graph
from ...ir.verify import verify


class Pass(Protocol):
    """A frozen dataclass; its fields are its options. Valid IR in, valid IR out, no I/O."""

    NAME: ClassVar[str]

    def run(self, graph: Graph, target: Target, found: Diagnostics) -> Graph:
        """The transformed graph; findings that do not stop it go to ``found``."""
        ...


def run_pipeline(
    passes: Sequence[Pass],
    graph: Graph,
    target: Target,
    found: Diagnostics,
    after: Callable[[str, Graph], None] | None = None,
) -> Graph:
    """Run ``passes`` in order, with the verifier between them; ``after`` sees each result."""
    verify(graph)
    for item in passes:
        graph = item.run(graph, target, found)
        verify(graph)
        if after is not None:
            after(item.NAME, graph)
    return graph
