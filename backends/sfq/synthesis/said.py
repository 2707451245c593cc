"""What ``--release`` says, and what there is to say of a circuit: of its chips, and of its step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ....ir.diagnostics import NOWHERE, Diagnostics, fail
from ....ir.graph import Graph
from ..cells.chance import LEAST, MOST, found
from .released import WEIGHTS, Released, Said

# What 95 % of the synapses of chips may be off by before it is worth a word, and what lines that
# are left out may bring a neuron in a step, in pulses.
OFF: Final = 0.05
LOST: Final = 0.5


def release_said(graph: Graph, words: Sequence[str]) -> dict[str, Said]:
    """The probability of each projection, 1 where none was said, or `WEIGHTS`; see ``--release``.

    ``P`` or ``PROJECTION=P`` each, P being either. What is said of one projection goes before what
    is said of all, and the last of two before the first. E1447 for what is neither.
    """
    names = tuple(p.name for p in graph.projections)
    found = dict[str, Said]()
    common: Said = 1.0
    for word in words:
        name, equals, value = word.rpartition("=")
        try:
            p: Said = WEIGHTS if value == WEIGHTS else float(value)
        except ValueError:
            hint = f"--release 0.98, --release {WEIGHTS}, or PROJECTION=0.98"
            raise fail("E1447", f"'{word}' is no probability", hint=hint) from None
        if not equals:
            common = p
        elif name in names:
            found[name] = p
        else:
            hint = f"there are {', '.join(names)}"
            raise fail("E1447", f"there is no projection '{name}'", hint=hint)
    return {name: found.get(name, common) for name in names}


def tell_release(graph: Graph, release: Mapping[str, Released], told: Diagnostics) -> None:
    """What synapses release with: N1449 by weights, W1453 where much is left out, and on chips.

    W1485 for projections whose synapses, on a chip, release with quite another probability.
    """
    places = {p.name: p.at for p in graph.projections}
    for name, one in release.items():
        where = places.get(name, NOWHERE)
        each = f"{one.least:.3g}" + (f" to {one.most:.3g}" if one.least < one.most else "")
        if one.weights:
            told.add(
                "N1449",
                f"'{name}' releases by weights: {one.synapses} by chance"
                + (f", with {each}" if one.synapses else "")
                + f", {one.dropped} below {LEAST:g} left out, {one.certain} above {MOST:g} sure; "
                f"thresholds are up by {one.rounded:.3g} pulses at most",
                where,
            )
        if one.lost >= LOST:
            told.add(
                "W1453",
                f"lines of '{name}' that are left out would bring a neuron up to {one.lost:.3g} "
                "pulses a step",
                where,
                "weights of fewer bits (--weight-bits), or that differ less",
            )
        if one.synapses and one.off > OFF:
            low, high = one.between
            of = "" if one.least == one.most else f" of {one.worst:.3g}"
            told.add(
                "W1485",
                f"'{name}' releases with {each}; at a spread of {found()['spread'][0]:.0%} of all "
                f"elements 95 % of its synapses{of} do with {low:.3g} to {high:.4g}",
                where,
                "trim the currents of a chip (docs/sfq-release.md)"
                + ("" if one.weights else ", or ask for a p nearer to 1"),
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
