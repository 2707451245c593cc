"""The nodes and edges of a NIR file, nested graphs flattened; numbers as the file has them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from ....ir.diagnostics import Diagnostics, Location
from ..hdf5 import MAX_DEPTH, MAX_NODES, Reader, Value

NESTED = "NIRGraph"
PORTS = ("Input", "Output")

# Required and optional fields of every leaf type. Whatever later releases added is optional.
FIELDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "Input": (("shape",), ()),
    "Output": (("shape",), ()),
    "Affine": (("weight",), ("bias",)),
    "Linear": (("weight",), ("bias",)),
    "Scale": (("scale",), ()),
    "Conv1d": (
        ("weight", "stride", "padding", "dilation", "groups"),
        ("input_shape", "bias"),
    ),
    "Conv2d": (
        ("weight", "stride", "padding", "dilation", "groups"),
        ("input_shape", "bias"),
    ),
    "Delay": (("delay",), ()),
    "Flatten": ((), ("start_dim", "end_dim", "input_type")),
    "SumPool2d": (("kernel_size", "stride", "padding"), ()),
    "AvgPool2d": (("kernel_size", "stride", "padding"), ()),
    "Threshold": (("threshold",), ()),
    "I": (("r",), ()),
    "IF": (("r", "v_threshold"), ("v_reset",)),
    "LI": (("tau", "r", "v_leak"), ()),
    "LIF": (("tau", "r", "v_leak", "v_threshold"), ("v_reset",)),
    "CubaLI": (("tau_syn", "tau_mem", "r", "v_leak"), ("w_in",)),
    "CubaLIF": (("tau_syn", "tau_mem", "r", "v_leak", "v_threshold"), ("v_reset", "w_in")),
}
_OLD_NAMES = {"weights": "weight"}
_COMMON = ("type", "metadata", "input_type", "output_type")


@dataclass(frozen=True)
class FileNode:
    """A leaf node: its dotted name, NIR type, fields and nesting depth (0: not nested)."""

    name: str
    kind: str
    fields: dict[str, Value]
    at: Location
    depth: int = 0


@dataclass
class FileNetwork:
    """What a file holds: nodes by dotted name, edges between them, and its marks."""

    version: str | None
    nodes: dict[str, FileNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    metadata: dict[str, Value] = field(default_factory=dict)
    ordered: bool = False  # whether ``nodes`` are in the writer's order


@dataclass
class _Nest:
    """One NIRGraph on the way down: what its name stands for at the ends of an edge."""

    prefix: str
    names: dict[str, _Nest | None]
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key in which 'lif10' comes after 'lif9'."""
    parts = re.split(r"([0-9]+)", name)
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def read_network(root: Any, reader: Reader, found: Diagnostics) -> FileNetwork:
    """The flattened network under ``/node``. Errors are collected in ``found``."""
    members = reader.members(root)
    version = _text_field(reader, members, "version")
    network = FileNetwork(version)
    node = members.get("node")
    if node is None or not hasattr(node, "keys"):
        names = ", ".join(f"'{name}'" for name in list(members)[:5]) or "nothing"
        found.add("E0102", f"there is no group 'node'; the file holds {names}", reader.at())
        return network
    inside = reader.members(node)
    kind = _text_field(reader, inside, "type")
    if kind != NESTED:
        if kind in FIELDS:
            _leaf(reader, inside, kind, kind.lower(), 0, network, found)
        else:
            found.add("E0102", f"'node' has type {kind!r}, expected {NESTED!r}", reader.at())
        return network
    network.metadata = _metadata(reader, inside)
    _Flattening(reader, network, found, {reader.address(node)}).graph(node, inside, "", 0)
    return network


class _Flattening:
    def __init__(
        self, reader: Reader, network: FileNetwork, found: Diagnostics, seen: set[int]
    ) -> None:
        self.reader, self.network, self.found = reader, network, found
        self.seen = seen  # addresses of groups: each belongs to one place

    def graph(self, group: Any, inside: dict[str, Any], prefix: str, depth: int) -> _Nest:
        """Add the nodes and edges of one graph; what its name means to the graph around it."""
        reader, found = self.reader, self.found
        at = reader.at(prefix.rstrip(".") or None)
        nest = _Nest(prefix, {})
        nodes, edges = inside.get("nodes"), inside.get("edges")
        if nodes is None or not hasattr(nodes, "keys"):
            found.add("E0102", "the graph has no group 'nodes'", at)
            return nest
        if depth > MAX_DEPTH:
            found.add("E0113", f"graphs are nested more than {MAX_DEPTH} deep", at)
            return nest
        members = reader.members(nodes)
        in_order = reader.ordered(nodes)
        if depth == 0:
            self.network.ordered = in_order
        for name in members if in_order else sorted(members, key=natural):
            nest.names[name] = self._node(members[name], name, prefix, depth)
        local = self._edges(edges, nest, at)
        self._ports(nest, local)
        return nest

    def _node(self, group: Any, name: str, prefix: str, depth: int) -> _Nest | None:
        full = prefix + name
        if not hasattr(group, "keys"):
            self.found.add("E0102", "the node is not a group", self.reader.at(full))
            return None
        if len(self.seen) > MAX_NODES:
            self.found.add("E0113", f"more than {MAX_NODES:,} nodes", self.reader.at(full))
            self.found.raise_errors()
        address = self.reader.address(group)
        if address in self.seen:
            self.found.add("E0117", "the group has two places in the file", self.reader.at(full))
            return None
        self.seen.add(address)
        inside = self.reader.members(group)
        kind = _text_field(self.reader, inside, "type")
        if kind == NESTED:
            return self.graph(group, inside, full + ".", depth + 1)
        if full in self.network.nodes:
            self.found.add(
                "E0201", f"'{full}' is also the name of a nested node", self.reader.at(full)
            )
            return None
        _leaf(self.reader, inside, kind, full, depth, self.network, self.found)
        return None

    def _edges(self, data: Any, nest: _Nest, at: Location) -> set[tuple[str, str]]:
        if data is None or hasattr(data, "keys"):
            self.found.add("E0104", "the graph has no field 'edges'", at)
            return set()
        flat: set[tuple[str, str]] = set()
        seen: set[tuple[str, str]] = set()
        for edge in self.reader.pairs(data, at.node):
            if edge in seen:
                self.found.add("W0123", f"the edge {edge[0]} -> {edge[1]} stands twice", at)
                continue
            seen.add(edge)
            pre = self._end(edge, 0, nest, at)
            post = self._end(edge, 1, nest, at)
            if pre is not None and post is not None:
                flat.add((pre, post))
        self.network.edges.extend(sorted(flat, key=lambda e: (natural(e[0]), natural(e[1]))))
        return flat

    def _end(self, edge: tuple[str, str], side: int, nest: _Nest, at: Location) -> str | None:
        """The leaf node that one end of an edge means."""
        name, inner = edge[side], nest
        while name not in inner.names:
            head = next(
                (h for h, n in inner.names.items() if n is not None and name.startswith(h + ".")),
                None,
            )
            deeper = inner.names[head] if head is not None else None
            if head is None or deeper is None:
                close = get_close_matches(edge[side], nest.names, 1)
                self.found.add(
                    "E0112",
                    f"the edge {edge[0]} -> {edge[1]} names '{edge[side]}'",
                    at,
                    f"did you mean '{close[0]}'?" if close else None,
                )
                return None
            name, inner = name[len(head) + 1 :], deeper
        target = inner.names[name]
        if target is None:
            return inner.prefix + name
        ports = target.outputs if side == 0 else target.inputs
        word = ("output", "input")[side]
        if len(ports) == 1:
            return ports[0]
        if not ports:
            self.found.add(
                "E0112",
                f"the edge {edge[0]} -> {edge[1]} needs an {word} of '{edge[side]}': it has none",
                at,
            )
            return None
        cut = len(target.prefix)
        names = ", ".join(f"'{edge[side]}.{port[cut:]}'" for port in ports)
        self.found.add(
            "E0118",
            f"the edge {edge[0]} -> {edge[1]} could mean any {word} of '{edge[side]}': {names}",
            at,
        )
        return None

    def _ports(self, nest: _Nest, local: set[tuple[str, str]]) -> None:
        """Fill in which leaf nodes take and give the values of a nested graph."""
        leaves = [nest.prefix + name for name, inner in nest.names.items() if inner is None]
        present = [name for name in leaves if name in self.network.nodes]
        nodes = self.network.nodes
        nest.inputs = [name for name in present if nodes[name].kind == "Input"]
        nest.outputs = [name for name in present if nodes[name].kind == "Output"]
        if not nest.inputs:
            fed = {post for _, post in local}
            nest.inputs = [name for name in present if name not in fed]
        if not nest.outputs:
            read = {pre for pre, _ in local}
            nest.outputs = [name for name in present if name not in read]


def _leaf(
    reader: Reader,
    inside: dict[str, Any],
    kind: str | None,
    name: str,
    depth: int,
    network: FileNetwork,
    found: Diagnostics,
) -> None:
    at = reader.at(name)
    if kind is None:
        found.add("E0104", "the node has no field 'type'", at)
        return
    if kind not in FIELDS:
        close = get_close_matches(kind, FIELDS, 1)
        hint = f"did the writer mean '{close[0]}'?" if close else "replace it before exporting"
        found.add("E0103", f"unknown node type '{kind}'", at, hint)
        return
    required, optional = FIELDS[kind]
    fields: dict[str, Value] = {}
    for key, data in inside.items():
        wanted = _OLD_NAMES.get(key, key)
        if wanted in required or wanted in optional:
            if not hasattr(data, "keys"):
                value = reader.value(data, name)
                if value is not None:
                    fields[wanted] = value
        elif key not in _COMMON:
            found.add("W0134", f"field '{key}' is not part of {kind}; it was ignored", at)
    for key in required:
        if key not in fields:
            found.add("E0104", f"{kind} lacks the field '{key}'", at)
    network.nodes[name] = FileNode(name, kind, fields, at, depth)


def _text_field(reader: Reader, members: dict[str, Any], name: str) -> str | None:
    data = members.get(name)
    if data is None or hasattr(data, "keys"):
        return None
    value = reader.value(data, str(data.name))
    return value if isinstance(value, str) else None


def _metadata(reader: Reader, inside: dict[str, Any]) -> dict[str, Value]:
    """The marks that ``write_nir`` leaves; everything else in the metadata is the user's own."""
    group = inside.get("metadata")
    if group is None or not hasattr(group, "keys"):
        return {}
    marks = ("spikec_dialect", "spikec_dt", "spikec_name")
    values = {
        name: reader.value(data, "metadata")
        for name, data in reader.members(group).items()
        if name in marks and not hasattr(data, "keys")
    }
    return {name: value for name, value in values.items() if value is not None}
