"""What the verbs compile and profile say of a circuit of cells."""

from __future__ import annotations

from ...boards.quantity import engineering
from ..profile.cells import Cells, Chance
from .console import Report, many


def tell_cells(report: Report, found: Cells) -> None:
    """How many there are of each kind, what they are together, and when clocks come."""
    report.table(
        "cells",
        ("cell", "how many", "junctions", "bias"),
        [
            (
                kind.name,
                f"{kind.number:,}",
                f"{kind.number * kind.junctions:,}",
                milliampere(kind.number * kind.bias),
            )
            for kind in found.kinds
        ],
    )
    report.line(
        f"{many(found.number, 'cell')}, {many(found.junctions, 'junction')}, "
        f"bias {milliampere(found.bias)}, {found.area.value * 1e6:.3g} mm2 "
        f"({found.area.obtained} from junctions, nothing is placed)"
    )
    clocks = ", ".join(f"{name} at {engineering(time, 's')}" for name, time in found.clocks)
    report.line(
        f"a step every {engineering(found.period, 's')} ({engineering(found.rate, 'Hz')}), its "
        f"spikes within {engineering(found.latency, 's')}" + (f"; {clocks}" if clocks else "")
    )
    for chance in found.chances:
        report.line(f"release of {chance.projection}: {_released(chance)}")


def _released(chance: Chance) -> str:
    """``p = 0.98 at -5.21 uA; 0.9 to 0.999 of 95 % of a chip's synapses at 2 % spread``."""
    ways = "by weights, " if chance.weights else ""
    ends = f"; thresholds up by at most {chance.rounded:.3g} pulses" if chance.weights else ""
    lines = f", {chance.dropped} left out, {chance.certain} sure" if chance.weights else ""
    if chance.bias is None or chance.between is None:
        return f"{ways}no synapse{lines}{ends}"
    p, bias = dict.fromkeys(chance.probability), dict.fromkeys(chance.bias)
    low, high = chance.between
    of = f" with p = {chance.worst:.3g}" if len(p) > 1 else ""
    return (
        f"{ways}{many(chance.synapses, 'synapse')} of p = "
        f"{' to '.join(f'{x:.3g}' for x in p)} at "
        f"{' to '.join(f'{x * 1e6:.2f}' for x in bias)} uA{lines}; "
        f"{low:.3g} to {high:.4g} of 95 % of a chip's synapses{of} at {chance.spread:.0%} spread"
        f"{ends}"
    )


def milliampere(ampere: float) -> str:
    """``23.3 mA``."""
    return f"{ampere * 1e3:,.4g} mA"
