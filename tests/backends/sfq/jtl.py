"""The transmission line of 20 Josephson junctions that JoSIM and ngspice were measured with.

Junctions of 0.25 mA (2.5 of MIT-LL's 0.1 mA each) with shunts of 2.65 ohm, 4 pH between two, and
175 uA into each junction, up in 5 ps. Two triangles of current, 6 ps wide and 600 uA high, go into
the first junction at 50 and 100 ps, as in the test benches of RSFQlib. Both ends are open.
"""

from __future__ import annotations

import numpy as np

from spikec.backends.sfq.josephson.circuit import (
    Capacitor,
    Circuit,
    Coupling,
    CurrentSource,
    Inductor,
    Junction,
    JunctionModel,
    Line,
    Part,
    Resistor,
    VoltageSource,
)
from spikec.backends.sfq.josephson.waves import Pulse, Pwl, Sine, ramped

PS = 1e-12
MIT = JunctionModel("jjmit", 0.1e-3, 0.07e-12, 160.0, 16.0)
INPUT = Pwl(np.array([0, 50, 53, 56, 100, 103, 106]) * PS, np.array([0, 0, 6e-4, 0, 0, 6e-4, 0]))


def jtl(cells: int = 20, wave: Pwl = INPUT) -> Circuit:
    """Junctions B0 to B19 at nodes j0 to j19, and m1 to m19 between them."""
    parts: list[Part] = [CurrentSource("Iin", "0", "j0", wave)]
    for k in range(cells):
        if k:
            parts.append(Inductor(f"La{k}", f"j{k - 1}", f"m{k}", 2 * PS))
            parts.append(Inductor(f"Lb{k}", f"m{k}", f"j{k}", 2 * PS))
        parts.append(Junction(f"B{k}", f"j{k}", "0", MIT, 2.5))
        parts.append(Resistor(f"R{k}", f"j{k}", "0", 2.65))
        parts.append(CurrentSource(f"Ib{k}", "0", f"j{k}", ramped(175e-6, 5 * PS)))
    return Circuit(tuple(parts))


def kinds(node: str) -> tuple[Part, ...]:
    """Every kind of element once: above the gap, a line, voltage sources, one at ``node``."""
    low = JunctionModel("low", 0.1e-3, 0.07e-12, 160, 16, gap=0.4e-3, spread=0.1e-3)
    return (
        VoltageSource("V1", node, "0", Pwl(np.array([0, 20, 40]) * PS, np.array([0, 1e-3, 0]))),
        VoltageSource("V2", "0", "w", Sine(0, 3e-4, 3e10)),
        Junction("B1", node, "a", low),
        Resistor("R1", node, "a", 5),
        Capacitor("C1", "w", "a", 1e-14),
        Inductor("L1", "a", "b", 4 * PS),
        Inductor("L2", "w", "c", 6 * PS),
        Coupling("K1", "L1", "L2", 0.5),
        Resistor("R2", "c", "0", 3),
        Junction("B2", "b", "0", low, 2),
        Line("T1", "b", "0", "d", "0", 4, 1.23 * PS),
        Resistor("R3", "d", "0", 7),
        CurrentSource("I1", "c", "a", Pulse(0, 1e-4, 5 * PS, PS, PS, 3 * PS, 20 * PS)),
    )
