"""Which edges between populations close a loop, and in which order populations are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import networkx as nx

from .network import natural

Edge = tuple[str, str]


@dataclass(frozen=True)
class Loops:
    """``order``: every node, from the inputs on. ``inside``: the edges between nodes of one
    strongly connected component. ``closing``: those of them that a walk from the inputs meets
    last, so that each loop has at least one, and a simple loop exactly one."""

    order: tuple[str, ...]
    inside: frozenset[Edge]
    closing: frozenset[Edge]


def find_loops(inputs: Sequence[str], nodes: Iterable[str], edges: Iterable[Edge]) -> Loops:
    """The loops of a graph of populations; depends on names and edges alone, not on their order."""
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(sorted({*inputs, *nodes}, key=natural))
    graph.add_edges_from(sorted(set(edges), key=lambda e: (natural(e[0]), natural(e[1]))))
    whole = nx.condensation(graph)
    member: dict[str, int] = whole.graph["mapping"]
    generation = {
        component: level
        for level, components in enumerate(nx.topological_generations(whole))
        for component in components
    }
    first = set(inputs)
    distance = _distances(graph, first)
    far = graph.number_of_nodes()

    def rank(name: str) -> tuple[bool, int, int, list[tuple[int, int, str]]]:
        return (
            name not in first,
            generation[member[name]],
            distance.get(name, far),
            natural(name),
        )

    order = sorted(graph, key=rank)
    inside = {
        (pre, post) for pre, post in graph.edges if pre == post or member[pre] == member[post]
    }
    place = {name: k for k, name in enumerate(order)}
    return Loops(tuple(order), frozenset(inside), frozenset(_closing(graph, order, place)))


def _distances(graph: nx.DiGraph, sources: set[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for level, names in enumerate(nx.bfs_layers(graph, sorted(sources, key=natural))):
        found.update(dict.fromkeys(names, level))
    return found


def _closing(graph: nx.DiGraph, order: Sequence[str], place: dict[str, int]) -> set[Edge]:
    """Edges that lead back to a node still being walked."""
    closing: set[Edge] = set()
    state: dict[str, bool] = {}  # True: on the current path

    def after(name: str) -> list[str]:
        return sorted(graph.successors(name), key=place.__getitem__, reverse=True)

    for root in order:
        if root in state:
            continue
        state[root] = True
        stack = [(root, after(root))]
        while stack:
            name, rest = stack[-1]
            if not rest:
                state[name] = False
                stack.pop()
                continue
            succ = rest.pop()
            if succ not in state:
                state[succ] = True
                stack.append((succ, after(succ)))
            elif state[succ]:
                closing.add((name, succ))
    return closing
