"""A crossbar by nodal analysis, as one dense matrix: what the solvers are measured against."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.backends.crossbar.circuit import Crossbar, Drive, Sense

Array = npt.NDArray[Any]


class Netlist:
    """Nodes by name, wires and cells between them; a wire of 0 ohm makes two nodes one."""

    def __init__(self) -> None:
        self.parent: dict[Any, Any] = {}
        self.resistors: list[tuple[Any, Any, float]] = []
        self.cells: list[tuple[Any, Any, float, int, int]] = []

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
                siemens = float(circuit.conductance[i, j])
                net.cells.append((("word", i, j), ("bit", i, j), siemens, i, j))
    return net


def nodal(
    circuit: Crossbar,
    voltage: Array,
    active: Array | None = None,
    square: Any = 0.0,
    cube: Any = 0.0,
) -> Array:
    """Currents into ground, bit line by bit line, from dense solves of all nodes.

    Cells that bend, I = G (V + square V^2 + cube V^3), take Newton's method on all nodes: here on
    the branches' currents, with steps halved while the largest lack at a node grows.
    """
    on = np.ones(circuit.rows, bool) if active is None else active
    net = netlist(circuit, on)
    shape = circuit.conductance.shape
    two, three = np.broadcast_to(square, shape), np.broadcast_to(cube, shape)
    edges = [(net.node(a), net.node(b), g, 0.0, 0.0) for a, b, g in net.resistors]
    edges += [
        (net.node(a), net.node(b), g, float(two[i, j]), float(three[i, j]))
        for a, b, g, i, j in net.cells
    ]
    names = sorted({n for a, b, *_ in edges for n in (a, b)}, key=lambda n: (n[0] == "source", n))
    free = sum(n[0] != "source" for n in names)
    place = {n: k for k, n in enumerate(names)}
    ends = np.array([[place[a], place[b]] for a, b, *_ in edges], np.intp).reshape(-1, 2).T
    g, k2, k3 = np.array([edge[2:] for edge in edges]).reshape(-1, 3).T
    volt = np.zeros(len(names))
    volt[free:] = [voltage[n[2]] if n[1] == "v" else 0.0 for n in names[free:]]

    def leaving(volt: Array) -> Array:
        """The sum of the currents that leave each node."""
        across = volt[ends[0]] - volt[ends[1]]
        current = g * across * (1 + across * (k2 + across * k3))
        out = np.zeros(len(names))
        np.add.at(out, ends, [current, -current])
        return out

    bends = bool(k2.any() or k3.any())
    for _ in range(50 if bends else 1):
        across = volt[ends[0]] - volt[ends[1]]
        slope = g * (1 + across * (2 * k2 + across * 3 * k3))
        matrix = np.zeros((len(names), len(names)))
        np.add.at(matrix, (ends, ends), slope)
        np.add.at(matrix, (ends, ends[::-1]), -slope)
        lack = leaving(volt)[:free]
        change = np.zeros_like(volt)
        change[:free] = np.linalg.solve(matrix[:free, :free], -lack)
        worst = max(np.abs(lack).max(initial=0), 1e-12)
        while bends and np.abs(leaving(volt + change)[:free]).max(initial=0) > 2 * worst:
            change /= 2
        volt = volt + change
        if np.abs(change).max(initial=0) < 1e-12:
            break
    into = leaving(volt)
    out = np.zeros(circuit.columns)
    for k, n in enumerate(names):
        if n[:2] == ("source", "ground"):
            out[n[2]] -= into[k]
    return out


def solved(text: str) -> Array:
    """The currents of the sources vs<j> of a deck of resistors, by modified nodal analysis."""
    elements = [
        line.split() for line in text.splitlines() if re.match(r"[rv]\S+ \S+ \S+ \S+$", line)
    ]
    names = sorted({name for _, a, b, _ in elements for name in (a, b)} - {"0"})
    sources = [element for element in elements if element[0][0] == "v"]
    place = {name: k for k, name in enumerate(names)}
    size = len(names) + len(sources)
    # The last row and column are ground, which is left out of the solve.
    matrix, rhs = np.zeros((size + 1, size + 1)), np.zeros(size)
    for name, a, b, value in elements:
        i, j = place.get(a, size), place.get(b, size)
        if name[0] == "r":
            siemens = 1 / float(value)
            matrix[[i, j], [i, j]] += siemens
            matrix[[i, j], [j, i]] -= siemens
        else:
            k = len(names) + [source[0] for source in sources].index(name)
            matrix[[i, k], [k, i]] += 1
            matrix[[j, k], [k, j]] -= 1
            rhs[k] = float(value)
    found = np.linalg.solve(matrix[:-1, :-1], rhs)
    return np.array(
        [found[len(names) + k] for k, source in enumerate(sources) if source[0].startswith("vs")]
    )
