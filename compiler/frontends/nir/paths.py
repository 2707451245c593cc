"""Linear nodes between populations become projections: one for each path."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....ir.connections import Connection, Delay, Dense, Scale, Shape, chain
from ....ir.diagnostics import Diagnostics, Location
from ....ir.dialects import Dialect
from ....ir.graph import Projection
from ....ir.verify import find_loop
from .loops import Loops, find_loops
from .nodes import NeuronNode, Port, folded
from .response import response
from .shapes import Shapes, Wiring

Real = npt.NDArray[np.float64]

MAX_PATHS = 64  # between one pair of nodes


@dataclass(frozen=True)
class Path:
    """The way from an input or population over linear nodes to a population or output."""

    pre: str
    through: tuple[str, ...]
    post: str


def is_source(wiring: Wiring, name: str) -> bool:
    """Whether values start here: a population, or an Input that nothing feeds."""
    node = wiring.nodes[name]
    if isinstance(node, NeuronNode):
        return True
    return node.kind == "Input" and not wiring.before[name]


def is_sink(wiring: Wiring, name: str) -> bool:
    """Whether values end here: a population, or an Output that feeds nothing."""
    node = wiring.nodes[name]
    if isinstance(node, NeuronNode):
        return True
    return node.kind == "Output" and not wiring.after[name]


def linear_loops(wiring: Wiring, found: Diagnostics) -> bool:
    """Whether there is a loop without a population in it; E0111 names one."""
    linear = {
        name: [
            succ for succ in wiring.after[name] if not isinstance(wiring.nodes[succ], NeuronNode)
        ]
        for name, node in wiring.nodes.items()
        if not isinstance(node, NeuronNode)
    }
    loop = find_loop({name: set(after) for name, after in linear.items()})
    if loop is None:
        return False
    found.add(
        "E0111",
        "the loop " + " -> ".join(loop) + " passes through no population",
        wiring.nodes[loop[0]].at,
        "put a neuron into the loop; a Delay alone holds no state here",
    )
    return True


def find_paths(wiring: Wiring, found: Diagnostics) -> list[Path]:
    """Every path between sources and sinks, in a stable order. E0115 beyond 64 for one pair."""
    order = [name for name in wiring.order() if not isinstance(wiring.nodes[name], NeuronNode)]
    ways: dict[str, Counter[str]] = {}
    for name in reversed(order):
        ways[name] = _ways(wiring, name, ways)
    paths: list[Path] = []
    for source in wiring.order():
        if not is_source(wiring, source):
            continue
        crowded = [p for p, n in _ways(wiring, source, ways).items() if n > MAX_PATHS]
        for post in crowded:
            found.add(
                "E0115",
                f"more than {MAX_PATHS} paths of linear nodes lead from '{source}' to '{post}'",
                wiring.nodes[source].at,
                "put a population where they meet, or merge the linear nodes",
            )
        if not crowded:
            paths.extend(_from(wiring, source))
    return paths


def _ways(wiring: Wiring, name: str, ways: dict[str, Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for succ in wiring.after[name]:
        if is_sink(wiring, succ):
            total[succ] += 1
        else:
            for post, count in ways[succ].items():
                total[post] = min(total[post] + count, MAX_PATHS + 1)
    return total


def _from(wiring: Wiring, source: str) -> Iterator[Path]:
    stack: list[tuple[str, tuple[str, ...]]] = [(source, ())]
    while stack:
        name, through = stack.pop()
        for succ in wiring.after[name]:
            if is_sink(wiring, succ):
                yield Path(source, through, succ)
        for succ in reversed(wiring.after[name]):
            if not is_sink(wiring, succ):
                stack.append((succ, (*through, succ)))


class Projections:
    """Builds projections out of paths; stages are made once for each linear node."""

    def __init__(
        self, wiring: Wiring, shapes: Shapes, dialect: Dialect, found: Diagnostics
    ) -> None:
        self.wiring, self.shapes, self.dialect, self.found = wiring, shapes, dialect, found
        self._stages: dict[str, Connection | None] = {}
        self._biases: dict[str, Real | None] = {}

    def build(
        self, paths: list[Path], inputs: list[str], populations: list[str]
    ) -> tuple[list[Projection], Loops]:
        """One projection a path, ordered by post, then pre; and the loops they form."""
        loops = find_loops(inputs, populations, [(p.pre, p.post) for p in paths])
        place = {name: k for k, name in enumerate(loops.order)}
        kept = self._audible(paths)
        # The bias of a shared node goes to the first path: a feed-forward one, if there is one.
        kept.sort(key=lambda p: (place[p.post], (p.pre, p.post) in loops.inside, place[p.pre]))
        names = self._names(kept)
        biases = self._bias_of(paths, kept)
        projections = [
            self._projection(path, name, bias, loops)
            for path, name, bias in zip(kept, names, biases, strict=True)
        ]
        return projections, loops

    def _stage(self, name: str) -> Connection | None:
        if name not in self._stages:
            self._stages[name] = self.wiring.nodes[name].stage(self.shapes.takes[name])
        return self._stages[name]

    def _bias(self, name: str) -> Real | None:
        if name not in self._biases:
            self._biases[name] = self.wiring.nodes[name].bias(self.shapes.takes[name])
        return self._biases[name]

    def _audible(self, paths: list[Path]) -> list[Path]:
        """Without paths that pass a weight of zeros, where another joins the same pair.

        ``write_nir`` makes such paths to hold biases; ``_bias_of`` still sees theirs.
        """
        silent = {name for path in paths for name in path.through if self._silent(name)}
        best: dict[tuple[str, str], list[Path]] = {}
        for path in paths:
            best.setdefault((path.pre, path.post), []).append(path)
        kept = []
        for group in best.values():
            heard = [path for path in group if not silent.intersection(path.through)]
            kept.extend(heard or group[:1])
        return kept

    def _silent(self, name: str) -> bool:
        stage = self._stage(name)
        if isinstance(stage, Dense):
            return not stage.weight.any()
        return isinstance(stage, Scale) and not stage.scale.any()

    def _names(self, paths: list[Path]) -> list[str]:
        """After the linear nodes on the way, which most users have named; unique."""
        plain = [self._plain_name(path) for path in paths]
        often = Counter(plain)
        names: list[str] = []
        used: set[str] = set()
        for path, name in zip(paths, plain, strict=True):
            if often[name] > 1 and path.through:
                name = f"{path.pre}->{name}->{path.post}"
            unique, k = name, 2
            while unique in used:
                unique, k = f"{name}#{k}", k + 1
            used.add(unique)
            names.append(unique)
        return names

    def _plain_name(self, path: Path) -> str:
        linear = [n for n in path.through if not isinstance(self.wiring.nodes[n], Port)]
        held = [n for n in linear if self._stage(n) is not None and self._uniform_delay(n) is None]
        named = held or linear
        if not named:
            return f"{path.pre}->{path.post}"
        # How write_nir names the stages of one projection.
        if named[1:] == [f"{named[0]}.{k}" for k in range(1, len(named))]:
            return named[0]
        return "+".join(named)

    def _uniform_delay(self, name: str) -> int | None:
        stage = self._stage(name)
        if isinstance(stage, Delay) and stage.steps.ndim == 0:
            return int(stage.steps)
        return None

    def _bias_of(self, paths: list[Path], kept: list[Path]) -> list[Real | None]:
        """The bias of each kept path: every node's once for each way from it to a population."""
        known = set(kept)
        first = {(p.pre, p.post): p for p in reversed(kept)}
        owner: dict[tuple[str, ...], tuple[Path, Real]] = {}
        for path in (*kept, *(p for p in paths if p not in known)):
            for k, name in enumerate(path.through):
                value = self._bias(name)
                way = (*path.through[k:], path.post)
                if value is not None and way not in owner:
                    carrier = path if path in known else first[path.pre, path.post]
                    owner[way] = (carrier, value)
        totals: dict[Path, Real] = {}
        for way, (path, value) in owner.items():
            arriving = self._pushed(way, value)
            totals[path] = totals[path] + arriving if path in totals else arriving
        return [totals.get(path) for path in kept]

    def _pushed(self, way: tuple[str, ...], value: Real) -> Real:
        """A bias that leaves the first node of ``way``, as it arrives at the last."""
        delayed = False
        for name in way[1:-1]:
            stage = self._stage(name)
            delayed |= isinstance(stage, Delay) and bool(stage.steps.any())
            if stage is not None:
                value = response(stage, value)
        if delayed:
            self.found.add(
                "W0128",
                f"the bias of '{way[0]}' passes a Delay; it acts from the first step on",
                self.wiring.nodes[way[0]].at,
            )
        return value

    def _projection(self, path: Path, name: str, bias: Real | None, loops: Loops) -> Projection:
        stages, delay = [], 0
        for node in path.through:
            uniform = self._uniform_delay(node)
            stage = self._stage(node)
            if uniform is not None:
                delay += uniform
            elif stage is not None:
                stages.append(stage)
        edge = (path.pre, path.post)
        closing = edge in loops.closing
        delay += self.dialect.recurrent_delay if closing else self.dialect.forward_delay
        shape: Shape = self.shapes.gives[path.pre]
        if bias is not None:
            bias = folded(bias) if bias.any() else None
        return Projection(
            name,
            path.pre,
            path.post,
            chain(tuple(stages), shape),
            delay,
            bias,
            edge in loops.inside,
            self._location(path),
        )

    def _location(self, path: Path) -> Location:
        linear = [n for n in path.through if not isinstance(self.wiring.nodes[n], Port)]
        return self.wiring.nodes[linear[0] if linear else path.pre].at
