"""A crossbar by nodal analysis, as one dense matrix: what the solvers are measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.backends.crossbar.circuit import Crossbar, Drive, Sense

Array = npt.NDArray[Any]


class Netlist:
    """Nodes by name, resistors between them; a wire without resistance makes two nodes one."""

    def __init__(self) -> None:
        self.parent: dict[Any, Any] = {}
        self.resistors: list[tuple[Any, Any, float]] = []

    def node(self, name: Any) -> Any:
        self.parent.setdefault(name, name)
        while self.parent[name] != name:
            name = self.parent[name]
        return name

    def resistor(self, a: Any, b: Any, ohm: float) -> None:
        if ohm == 0:
            low, high = sorted((self.node(a), self.node(b)), key=lambda n: n[0] != "source")
            self.parent[high] = low
        else:
            self.resistors.append((a, b, 1 / ohm))

    def conductance(self, a: Any, b: Any, siemens: float) -> None:
        self.resistors.append((a, b, siemens))


def netlist(circuit: Crossbar, active: Array) -> Netlist:
    net = Netlist()
    rows, columns = circuit.conductance.shape
    drives = {
        Drive.LEFT: [0],
        Drive.RIGHT: [columns - 1],
        Drive.BOTH: [0, columns - 1],
    }[circuit.driven]
    senses = {Sense.TOP: [0], Sense.BOTTOM: [rows - 1], Sense.BOTH: [0, rows - 1]}[circuit.sensed]
    for i in range(rows):
        for end, j in enumerate(drives):
            net.resistor(("source", "v", i), ("driver", i, end), circuit.driver)
            net.resistor(("driver", i, end), ("word", i, j), circuit.word)
        for j in range(columns - 1):
            net.resistor(("word", i, j), ("word", i, j + 1), circuit.word)
    for j in range(columns):
        for end, i in enumerate(senses):
            net.resistor(("source", "ground", j), ("sense", j, end), circuit.sense)
            net.resistor(("sense", j, end), ("bit", i, j), circuit.bit)
        for i in range(rows - 1):
            net.resistor(("bit", i, j), ("bit", i + 1, j), circuit.bit)
    for i in range(rows):
        for j in range(columns):
            if active[i] and circuit.conductance[i, j] > 0:
                net.conductance(("word", i, j), ("bit", i, j), float(circuit.conductance[i, j]))
    return net


def nodal(circuit: Crossbar, voltage: Array, active: Array | None = None) -> Array:
    """Currents into ground, bit line by bit line, from a dense solve of all nodes."""
    on = np.ones(circuit.rows, bool) if active is None else active
    net = netlist(circuit, on)
    edges = [(net.node(a), net.node(b), g) for a, b, g in net.resistors]
    names = sorted({n for a, b, _ in edges for n in (a, b)}, key=repr)
    free = {n: k for k, n in enumerate(n for n in names if n[0] != "source")}
    known = {n: voltage[n[2]] if n[1] == "v" else 0.0 for n in names if n[0] == "source"}
    matrix, rhs = np.zeros((len(free), len(free))), np.zeros(len(free))
    for a, b, g in edges:
        for here, there in ((a, b), (b, a)):
            if here in free:
                matrix[free[here], free[here]] += g
                if there in free:
                    matrix[free[here], free[there]] -= g
                else:
                    rhs[free[here]] += g * known[there]
    found = np.linalg.solve(matrix, rhs) if free else rhs
    volt = known | {n: found[k] for n, k in free.items()}
    out = np.zeros(circuit.columns)
    for a, b, g in edges:
        for here, there in ((a, b), (b, a)):
            if here[:2] == ("source", "ground"):
                out[here[2]] += g * (volt[there] - volt[here])
    return out
