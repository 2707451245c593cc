"""What ``--release`` says, and what there is to say of a circuit: of its chips, and of its step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ....ir.diagnostics import NOWHERE, Diagnostics, fail
from ....ir.graph import Graph
from ..cells.chance import found, law

# What 95 % of the synapses of chips may be off by before it is worth a word.
OFF: Final = 0.05


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


def tell_spread(graph: Graph, release: Mapping[str, float], told: Diagnostics) -> None:
    """W1485 for projections whose synapses, on a chip, release with quite another probability."""
    for p in graph.projections:
        asked = release.get(p.name, 1.0)
        if asked == 1.0:
            continue
        low, high = law().between(asked)
        if max(asked - low, high - asked) > OFF:
            told.add(
                "W1485",
                f"'{p.name}' releases with {asked:g}; at a spread of {found()['spread'][0]:.0%} of "
                f"all elements 95 % of its synapses do with {low:.3g} to {high:.4g}",
                p.at,
                "trim the currents of a chip (docs/sfq-release.md), or ask for a p nearer to 1",
            )


def tell_period(graph: Graph, period: float, told: Diagnostics) -> None:
    """W1452 where a step of the circuit, ``period`` s, is longer than the network's own."""
    if period > graph.dt:
        told.add(
            "W1452",
            f"a step of '{graph.name}' is {graph.dt * 1e12:.4g} ps, of its circuit "
            f"{period * 1e12:.4g} ps: {period / graph.dt:.3g} times as long",
            NOWHERE,
            "a network of a longer step, or of fewer pulses to count (smaller weights)",
        )
