"""The shape at every node: propagated from the inputs, repaired where one exact reading exists.

A repair is a warning (W0120) that names the node and both shapes; anything else that does not fit
is an error (E0105) with both shapes and a hint.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import prod

from ....ir.connections import Shape
from ....ir.diagnostics import Diagnostics
from ..hdf5 import MAX_ELEMENTS
from .network import natural
from .nodes import ElementNode, FlattenNode, NeuronNode, Node, Port, ShapeError


@dataclass
class Wiring:
    """Nodes with their predecessors and successors, in a stable order."""

    nodes: dict[str, Node]
    before: dict[str, list[str]] = field(default_factory=dict)
    after: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: dict[str, Node], edges: Iterable[tuple[str, str]]) -> Wiring:
        """From nodes and edges, both of which may come in any order."""
        wiring = cls(nodes, {name: [] for name in nodes}, {name: [] for name in nodes})
        for pre, post in sorted(set(edges), key=lambda e: (natural(e[0]), natural(e[1]))):
            wiring.join(pre, post)
        return wiring

    def join(self, pre: str, post: str) -> None:
        """Add an edge."""
        self.after[pre].append(post)
        self.before[post].append(pre)

    def add(self, node: Node) -> None:
        """Add a node without edges."""
        self.nodes[node.name] = node
        self.before[node.name], self.after[node.name] = [], []

    def order(self) -> list[str]:
        """Every node after its predecessors, except along edges that close a loop."""
        names = sorted(self.nodes, key=natural)
        inputs = [n for n in names if self.nodes[n].kind == "Input"]
        roots = [n for n in names if not self.before[n]]
        seen: set[str] = set()
        finished: list[str] = []
        for root in (*inputs, *roots, *names):
            self._visit(root, seen, finished)
        return finished[::-1]

    def _visit(self, root: str, seen: set[str], finished: list[str]) -> None:
        if root in seen:
            return
        seen.add(root)
        stack = [(root, iter(reversed(self.after[root])))]
        while stack:
            name, rest = stack[-1]
            for succ in rest:
                if succ not in seen:
                    seen.add(succ)
                    stack.append((succ, iter(reversed(self.after[succ]))))
                    break
            else:
                stack.pop()
                finished.append(name)


@dataclass
class Shapes:
    """What enters and what leaves each node."""

    takes: dict[str, Shape] = field(default_factory=dict)
    gives: dict[str, Shape] = field(default_factory=dict)


def infer(wiring: Wiring, found: Diagnostics) -> Shapes:
    """The shapes of ``wiring``; nodes may be repaired in place. Errors are collected."""
    return _Inference(wiring, found).run()


class _Inference:
    def __init__(self, wiring: Wiring, found: Diagnostics) -> None:
        self.wiring, self.nodes, self.found = wiring, wiring.nodes, found
        self.shapes = Shapes()
        self.failed: set[str] = set()

    def run(self) -> Shapes:
        order = self.wiring.order()
        for name in order:
            self._place(self.nodes[name])
        for name in order:
            for pre in self.wiring.before[name]:
                self._check(pre, name)
        return self.shapes

    # -- one node: what enters, what leaves ----------------------------------------------------

    def _place(self, node: Node) -> None:
        entering = [
            self.shapes.gives[pre]
            for pre in self.wiring.before[node.name]
            if pre in self.shapes.gives
        ]
        fed = entering[0] if entering else None
        takes = self._taken(node, fed)
        if takes is None:
            upstream = set(self.wiring.before[node.name]) & self.failed
            if not upstream:
                self.found.add(
                    "E0105",
                    f"the shape that enters this {node.kind} cannot be inferred",
                    node.at,
                    "give the Input a shape, or the node its input_shape or input_type",
                )
            self.failed.add(node.name)
            return
        try:
            if isinstance(node, FlattenNode):
                self._repair_flatten(node, takes)
            gives = node.gives(takes)
            if max(prod(takes), prod(gives)) > MAX_ELEMENTS:
                self.found.add(
                    "E0113",
                    f"{takes} enters and {gives} leaves; at most {MAX_ELEMENTS:,} elements",
                    node.at,
                )
                self.failed.add(node.name)
                return
        except ShapeError as error:
            self.found.add("E0105", str(error), node.at, error.hint)
            self.failed.add(node.name)
            return
        self.shapes.takes[node.name], self.shapes.gives[node.name] = takes, gives

    def _taken(self, node: Node, fed: Shape | None) -> Shape | None:
        if isinstance(node, Port):
            return self._port(node, fed)
        if isinstance(node, NeuronNode | ElementNode):
            return self._elementwise(node, fed)
        if isinstance(node, FlattenNode) and fed is not None and node.declared is not None:
            self._repair_batch(node, fed)
        # Where the two differ, the edge check has the last word.
        return node.declared or fed

    def _port(self, node: Port, fed: Shape | None) -> Shape | None:
        if fed is None:
            return self._input(node)
        declared = node.declared
        if declared is not None and declared != fed:
            if _bare(declared) == _bare(fed) or declared in ((1, *fed), (1, *declared[1:2], *fed)):
                self._repaired(node, declared, fed)
            else:
                self.found.add(
                    "E0105",
                    f"{node.kind} of shape {declared}, but {fed} enters",
                    node.at,
                    f"write {node.kind} with the shape {fed}",
                )
        return fed

    def _input(self, node: Port) -> Shape | None:
        """A batch axis of one, and a time axis after it, are dropped when only that fits."""
        declared = node.declared
        if declared is None:
            return None
        if declared == ():
            return (1,)
        takers = self._takers(node.name)
        if not takers or all(taker.accepts(declared) for taker in takers):
            return declared
        others = []
        if len(declared) > 1 and declared[0] == 1:
            others = [declared[1:], *([declared[2:]] if len(declared) > 2 else [])]
        fitting = [s for s in others if all(taker.accepts(s) for taker in takers)]
        if len(fitting) == 1:
            self._repaired(node, declared, fitting[0])
            return fitting[0]
        return declared

    def _elementwise(self, node: NeuronNode | ElementNode, fed: Shape | None) -> Shape | None:
        declared = node.declared
        if fed is None:
            return declared or (1,)
        adapted = node.adapted(fed)
        if adapted is None:
            return declared
        if declared is not None and declared != adapted:
            self._repaired(node, declared, adapted)
        return adapted

    def _takers(self, name: str) -> list[Node]:
        """The nodes after ``name`` that care about shapes, looked for through those that do not."""
        takers: list[Node] = []
        seen: set[str] = set()
        stack = list(reversed(self.wiring.after[name]))
        while stack:
            succ = stack.pop()
            if succ in seen:
                continue
            seen.add(succ)
            node = self.nodes[succ]
            if node.open:
                stack.extend(reversed(self.wiring.after[succ]))
            else:
                takers.append(node)
        return takers

    # -- repairs -------------------------------------------------------------------------------

    def _repaired(self, node: Node, old: Shape, new: Shape) -> None:
        self.found.add("W0120", f"{node.kind} of shape {old} was read as {new}", node.at)

    def _repair_batch(self, node: FlattenNode, fed: Shape) -> None:
        """An input_type with a batch axis of one: its axes count the batch too."""
        if node.declared != (1, *fed):
            return
        self._repaired(node, (1, *fed), fed)
        node.declared = fed
        node.start = node.start - 1 if node.start > 0 else node.start
        node.end = node.end - 1 if node.end > 0 else node.end

    def _repair_flatten(self, node: FlattenNode, takes: Shape) -> None:
        """A start_dim that counts the batch, when only the one without it fits what follows."""
        takers = self._takers(node.name)

        def fits(start: int, end: int) -> bool:
            try:
                gives = FlattenNode(node.name, node.kind, node.at, 0, None, start, end).gives(takes)
            except ShapeError:
                return False
            return all(taker.accepts(gives) for taker in takers)

        if node.start < 1 or fits(node.start, node.end):
            return
        end = node.end - 1 if node.end > 0 else node.end
        if fits(node.start - 1, end):
            self.found.add(
                "W0120",
                f"Flatten of {takes} from axis {node.start} does not fit what follows; it was read "
                f"from axis {node.start - 1}, without the batch",
                node.at,
            )
            node.start, node.end = node.start - 1, end

    # -- edges ---------------------------------------------------------------------------------

    def _check(self, pre: str, post: str) -> None:
        gives, takes = self.shapes.gives.get(pre), self.shapes.takes.get(post)
        if gives is None or takes is None or gives == takes:
            return
        node = self.nodes[post]
        if _bare(gives) == _bare(takes):
            self.found.add(
                "W0120",
                f"'{pre}' gives {gives}, '{post}' takes {takes}; axes of one were dropped",
                node.at,
            )
            return
        same = prod(gives) == prod(takes)
        if same and len(gives) == 1 and isinstance(node, NeuronNode):
            self.found.add(
                "W0120",
                f"'{pre}' gives {gives}, '{post}' takes {takes}; it was filled in C order",
                node.at,
            )
            return
        if same and len(takes) == 1:
            hint = f"put a Flatten between '{pre}' and '{post}'"
        else:
            hint = f"'{pre}' and '{post}' were exported with different sizes"
        self.found.add("E0105", f"'{pre}' gives {gives}, but '{post}' takes {takes}", node.at, hint)


def _bare(shape: Shape) -> Shape:
    """The shape without axes of one."""
    return tuple(n for n in shape if n != 1)
