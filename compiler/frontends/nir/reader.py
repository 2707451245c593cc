"""NIR file -> graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from ....ir.diagnostics import Diagnostic, Diagnostics, SpikecError
from ....ir.graph import Graph, Input, Output, Population
from ....ir.neurons import IF, Integrator, Relay
from ....ir.semantics import IntegratorGain, Reset, Semantics
from ....ir.verify import verify
from ..hdf5 import opened
from .network import FileNetwork, natural, read_network
from .nodes import NEURONS, NeuronNode, Node, Port, Real
from .parse import parsed
from .paths import Path as LinearPath
from .paths import Projections, find_paths, is_sink, is_source, linear_loops
from .reading import Rules, choose_rules, newer
from .shapes import Shapes, Wiring, infer
from .times import check_time_constant

_SPIKING = ("IF", "LIF", "CubaLIF")


def read_nir(
    path: str | PathLike[str],
    *,
    dialect: str | None = None,
    dt: float | None = None,
    time_unit: float | str = 1.0,
    overrides: Mapping[str, object] | None = None,
    name: str | None = None,
) -> tuple[Graph, tuple[Diagnostic, ...]]:
    r"""The graph of a NIR file, and what was noticed on the way.

    Neuron nodes become populations, and every path of linear nodes between them one projection:
    :math:`S = \sum_\mathrm{paths} A_n \cdots A_1 x + b`, the bias of each node pushed through the
    rest of its path once.

    ``dt`` is in seconds; without it the dialect's own step is taken. ``time_unit`` is the number
    of seconds in one unit of the file's times, or ``"s"``, ``"ms"``, ``"us"``, ``"steps"``.
    ``overrides`` replaces fields of ``Semantics`` (``{"max_spikes": 1, "reset": "zero"}``);
    ``allow_unusual_time`` accepts time constants above 5000 steps. Without ``dialect`` one is
    guessed from the file's marks (W0125).

    Raises ``SpikecError`` with every error found: E0101 to E0118, or the verifier's.
    Source: the docstrings and the reference reader of nir 1.0.8.
    """
    found = Diagnostics()
    with opened(path) as (root, reader):
        at = reader.at()
        try:
            network = read_network(root, reader, found)
        except SpikecError as error:
            raise SpikecError([*found, *error.diagnostics]) from None
    if newer(network.version):
        found.add("W0129", f"written by nir {network.version}", at)
    if not network.nodes:
        if not found.errors:
            found.add("E0102", "the network has no nodes", at)
        found.raise_errors()
    rules = choose_rules(network, dialect, dt, time_unit, overrides or {}, at, found)
    nodes = _nodes(network, rules, found)
    found.raise_errors()
    wiring = Wiring.of(nodes, network.edges)
    _complete(wiring, found)
    found.raise_errors()
    if linear_loops(wiring, found):
        found.raise_errors()
    shapes = infer(wiring, found)
    found.raise_errors()
    paths = find_paths(wiring, found)
    found.raise_errors()
    stored = network.metadata.get("spikec_name")
    title = name or (stored if isinstance(stored, str) else None) or Path(path).stem
    graph = _Assembly(wiring, shapes, paths, rules, network.ordered, found).graph(title)
    try:
        verify(graph)
    except SpikecError as error:
        raise SpikecError([*found, *error.diagnostics]) from None
    return graph, tuple(found)


def sniff(path: str | PathLike[str]) -> str | None:
    """What kind of NIR file ``path`` is: ``"network"``, ``"data"``, or None for neither.

    Never raises for what the file holds; a file that cannot be opened is None.
    """
    try:
        with opened(path) as (root, reader):
            if reader.attribute(root, "__type__") == "NIRGraphData":
                return "data"
            return "network" if "node" in reader.members(root) else None
    except SpikecError:
        return None


def _nodes(network: FileNetwork, rules: Rules, found: Diagnostics) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    silent = []
    for name, file in network.nodes.items():
        before = len(found.errors)
        node = parsed(file, rules.dt, rules.unit, found)
        if isinstance(node, NeuronNode):
            _check_neuron(node, rules, found)
            _to_seconds(node, rules)
            if file.kind in _SPIKING and node.parameters["v_reset"] is None:
                silent.append(file)
        if node is not None and len(found.errors) == before:
            nodes[name] = node
    if silent:
        others = f" and {len(silent) - 1} more" if len(silent) > 1 else ""
        found.add(
            "W0121",
            f"v_reset is absent in '{silent[0].name}'{others}; the dialect's rule is "
            f"'{rules.semantics.reset}'",
            silent[0].at,
        )
    return nodes


def _check_neuron(node: NeuronNode, rules: Rules, found: Diagnostics) -> None:
    values = {name: value for name, value in node.parameters.items() if value is not None}
    for name in NEURONS[node.kind].TIMES:
        if name in values:
            check_time_constant(
                name,
                values[name],
                rules.unit,
                rules.dt,
                rules.semantics.decay,
                rules.allow_unusual_time,
                node.at,
                found,
            )
    for name in ("r", "w_in"):
        if name in values and (values[name] <= 0).any():
            kind = "negative" if (values[name] < 0).any() else "zero"
            found.add(
                "W0128",
                f"{name} is {values[name].min():g}: a {kind} gain turns its input "
                + ("around" if kind == "negative" else "off"),
                node.at,
            )
    if node.kind in _SPIKING:
        _check_threshold(node, values, rules, found)


def _check_threshold(
    node: NeuronNode, values: dict[str, Real], rules: Rules, found: Diagnostics
) -> None:
    threshold = values.get("v_threshold")
    if threshold is None:
        return
    if rules.semantics.max_spikes != 1 and (threshold <= 0).any():
        found.add(
            "E0107",
            f"v_threshold is {threshold.min():g}; with many spikes a step their number is "
            "v / v_threshold",
            node.at,
        )
        return
    reset = np.zeros(())
    if rules.semantics.reset is Reset.VALUE:
        reset = values.get("v_reset", reset)
    if (threshold <= reset).any():
        found.add(
            "W0128",
            f"v_threshold is {threshold.min():g}, not above the reset: the neuron may spike in "
            "every step",
            node.at,
        )


def _to_seconds(node: NeuronNode, rules: Rules) -> None:
    """Times, and the r of leakless models where it is a rate, from the file's unit."""
    model = NEURONS[node.kind]
    per_second = rules.semantics.integrator_gain is IntegratorGain.PER_SECOND
    for name, value in node.parameters.items():
        if value is None or rules.unit == 1.0:
            continue
        if name in model.TIMES:
            node.parameters[name] = value * rules.unit
        elif name == "r" and issubclass(model, IF | Integrator) and per_second:
            node.parameters[name] = value / rules.unit


# -- what the file takes for granted -------------------------------------------------------------


def _complete(wiring: Wiring, found: Diagnostics) -> None:
    """Add inputs and outputs where the file has none, as the reference reader does."""
    originals = list(wiring.nodes.values())
    for node in originals:
        before, after = wiring.before[node.name], wiring.after[node.name]
        if node.depth == 0 and node.kind == "Input" and before:
            found.add("E0112", f"the edge {before[0]} -> {node.name} ends in an Input", node.at)
        if node.depth == 0 and node.kind == "Output" and after:
            found.add("E0112", f"the edge {node.name} -> {after[0]} leaves an Output", node.at)
        if node.depth and node.kind == "Input" and not before:
            found.add(
                "W0122", "nothing feeds this nested Input: it is an input of the graph", node.at
            )
        if node.depth and node.kind == "Output" and not after:
            found.add(
                "W0122", "nothing reads this nested Output: it is an output of the graph", node.at
            )
    has_input = any(node.kind == "Input" for node in originals)
    has_output = any(node.kind == "Output" for node in originals)
    for node in originals:
        populated = isinstance(node, NeuronNode)
        if not wiring.before[node.name] and node.kind != "Input":
            if populated and has_input:
                found.add("W0124", "nothing feeds this population", node.at)
            else:
                _add_port(wiring, node, "Input", found)
        if not wiring.after[node.name] and node.kind != "Output":
            if populated and has_output:
                found.add("W0124", "nothing reads this population", node.at)
            else:
                _add_port(wiring, node, "Output", found)


def _add_port(wiring: Wiring, node: Node, kind: str, found: Diagnostics) -> None:
    base = f"{kind.lower()}_{node.name}"
    name, k = base, 0
    while name in wiring.nodes:
        name, k = f"{base}_{k}", k + 1
    declared = node.declared if kind == "Input" else None
    wiring.add(Port(name, kind, node.at, 0, declared))
    found.add("W0131", f"{kind} '{name}' was added", node.at)
    if kind == "Input":
        wiring.join(name, node.name)
    else:
        wiring.join(node.name, name)


# -- the graph ------------------------------------------------------------------------------------


@dataclass
class _Assembly:
    wiring: Wiring
    shapes: Shapes
    paths: list[LinearPath]
    rules: Rules
    ordered: bool
    found: Diagnostics

    def graph(self, title: str) -> Graph:
        nodes = self.wiring.nodes
        inputs = [
            n for n, node in nodes.items() if node.kind == "Input" and is_source(self.wiring, n)
        ]
        outputs = [
            n for n, node in nodes.items() if node.kind == "Output" and is_sink(self.wiring, n)
        ]
        direct = self._direct(outputs)
        relays = self._relays([name for name in outputs if name not in direct])
        read = {**direct, **relays}
        paths = [
            replace(path, post=relays.get(path.post, path.post))
            for path in self.paths
            if path.post not in direct
        ]
        neurons = [n for n, node in nodes.items() if isinstance(node, NeuronNode)]
        build = Projections(self.wiring, self.shapes, self.rules.dialect, self.found)
        projections, loops = build.build(paths, inputs, [*neurons, *relays.values()])
        order = {name: k for k, name in enumerate(nodes if self.ordered else loops.order)}

        def place(name: str) -> tuple[int, list[tuple[int, int, str]]]:
            return order.get(name, len(order)), natural(name)

        populations = self._populations(neurons, relays)
        return Graph(
            name=title,
            dt=self.rules.dt,
            inputs=tuple(
                Input(n, self.shapes.gives[n], nodes[n].at) for n in sorted(inputs, key=place)
            ),
            populations=tuple(sorted(populations, key=lambda p: place(p.name))),
            projections=tuple(projections),
            outputs=tuple(
                Output(n, read[n], nodes[n].at)
                for n in sorted(outputs, key=lambda n: place(n if self.ordered else read[n]))
            ),
            dialect=self.rules.dialect.name,
        )

    def _direct(self, outputs: list[str]) -> dict[str, str]:
        """Outputs that read one population unchanged, and which."""
        direct: dict[str, str] = {}
        for output in outputs:
            ways = [path for path in self.paths if path.post == output]
            if len(ways) != 1:
                continue
            plain = all(isinstance(self.wiring.nodes[n], Port) for n in ways[0].through)
            if plain and isinstance(self.wiring.nodes[ways[0].pre], NeuronNode):
                direct[output] = ways[0].pre
        return direct

    def _relays(self, outputs: list[str]) -> dict[str, str]:
        """A population to hold each output that linear nodes feed, under a free name."""
        taken = {
            n
            for n, node in self.wiring.nodes.items()
            if isinstance(node, NeuronNode) or node.kind == "Input"
        }
        relays: dict[str, str] = {}
        for output in outputs:
            name, k = output, 2
            while name in taken:
                name, k = f"{output}_{k}", k + 1
            taken.add(name)
            relays[output] = name
        return relays

    def _populations(self, neurons: list[str], relays: dict[str, str]) -> list[Population]:
        nodes, shapes = self.wiring.nodes, self.shapes
        populations = []
        for name in neurons:
            node, shape = nodes[name], shapes.takes[name]
            if isinstance(node, NeuronNode):
                model = node.neuron(shape)
                populations.append(Population(name, shape, model, self.rules.semantics, 0, node.at))
        for output, name in relays.items():
            at = nodes[output].at
            populations.append(Population(name, shapes.takes[output], Relay(), Semantics(), 0, at))
        return populations
