"""What ``--release`` says: a probability for all projections, or for one."""

from __future__ import annotations

from collections.abc import Sequence

from ...ir.diagnostics import fail
from ...ir.graph import Graph


def release_said(graph: Graph, words: Sequence[str]) -> dict[str, float]:
    """The probability of each projection, 1 where none was said; ``P`` or ``PROJECTION=P`` each.

    What is said of one projection goes before what is said of all, and the last of two before the
    first. E1447 for what is neither.
    """
    names = tuple(p.name for p in graph.projections)
    found = dict[str, float]()
    common = 1.0
    for word in words:
        name, equals, value = word.rpartition("=")
        try:
            p = float(value)
        except ValueError:
            hint = "--release 0.98, or --release PROJECTION=0.98"
            raise fail("E1447", f"'{word}' is no probability", hint=hint) from None
        if not equals:
            common = p
        elif name in names:
            found[name] = p
        else:
            hint = f"there are {', '.join(names)}"
            raise fail("E1447", f"there is no projection '{name}'", hint=hint)
    return {name: found.get(name, common) for name in names}
