"""What the verbs compile and profile say of a circuit of cells."""

from __future__ import annotations

from ...boards.quantity import engineering
from ..profile.cells import Cells
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
        report.line(
            f"release of {chance.projection}: p = {chance.probability:g} at "
            f"{chance.bias * 1e6:.2f} uA; {chance.low:.3g} to {chance.high:.4g} of 95 % of a "
            f"chip's synapses at {chance.spread:.0%} spread"
        )


def milliampere(ampere: float) -> str:
    """``23.3 mA``."""
    return f"{ampere * 1e3:,.4g} mA"
