"""Josephson circuits: elements between nodes that have names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np

from ....ir.diagnostics import NOWHERE, Diagnostics, Location, fail
from ....ir.records import Record
from .waves import Wave

GROUND: Final = "0"


@dataclass(frozen=True, eq=False)
class JunctionModel(Record):
    r"""A kind of Josephson junction, of which an ``area`` a is taken.

    .. math::
        I = a I_c \sin\varphi + a C \frac{dV}{dt} + a I_q(V)

    ``critical`` :math:`I_c` in A, ``capacitance`` C in F. The quasiparticles' current :math:`I_q`
    is 0 for ``rtype`` 0; for 1 it is V / ``subgap`` below the gap of ``gap`` V, V / ``normal``
    above it, and a straight line between, ``spread`` V wide. These are the parameters of JoSIM's
    model ``jj``, and its values where nothing else is said.
    """

    name: str
    critical: float = 1e-3
    capacitance: float = 2.5e-12
    subgap: float = 30.0
    normal: float = 5.0
    gap: float = 2.8e-3
    spread: float = 0.1e-3
    rtype: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        found = Diagnostics()
        for name in ("critical", "capacitance", "subgap", "normal", "gap", "spread"):
            value = float(getattr(self, name))
            object.__setattr__(self, name, value)
            # No capacitance at all is an overdamped junction.
            if not (0 < value < np.inf or (name == "capacitance" and value == 0)):
                least = "0 or more" if name == "capacitance" else "above 0"
                why = f"the {name} of the model '{self.name}' is {value:g}; it must be "
                found.add("E1401", why + ("finite" if value > 0 else least))
        if self.rtype not in (0, 1):
            found.add("E1401", f"the rtype of the model '{self.name}' is {self.rtype}, not 0 or 1")
        elif self.rtype and self.spread >= 2 * self.gap:
            found.add("E1401", f"the gap of the model '{self.name}' is wider than it is high")
        found.raise_errors()


@dataclass(frozen=True, eq=False)
class Element(Record):
    """A two-terminal element from node ``a`` to node ``b``; node "0" is ground."""

    letter: ClassVar[str]
    name: str
    a: str
    b: str

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of its nodes."""
        return self.a, self.b

    def moved(self, name: str, nodes: Mapping[str, str], names: Mapping[str, str]) -> Element:
        """The same element under another name between other nodes.

        ``nodes`` and ``names`` are those of other elements, old to new.
        """
        return dataclasses.replace(self, name=name, a=nodes[self.a], b=nodes[self.b])


@dataclass(frozen=True, eq=False)
class Junction(Element):
    """``area`` of a junction of ``model``; its phase is that of ``a`` less that of ``b``."""

    letter = "B"
    model: JunctionModel
    area: float = 1.0


@dataclass(frozen=True, eq=False)
class Resistor(Element):
    """A resistor of ``ohm``."""

    letter = "R"
    ohm: float


@dataclass(frozen=True, eq=False)
class Inductor(Element):
    """A superconducting inductor of ``henry``, without flux at the start."""

    letter = "L"
    henry: float


@dataclass(frozen=True, eq=False)
class Capacitor(Element):
    """A capacitor of ``farad``."""

    letter = "C"
    farad: float


@dataclass(frozen=True, eq=False)
class Source(Element):
    """What a source gives is its ``wave``."""

    wave: Wave


@dataclass(frozen=True, eq=False)
class CurrentSource(Source):
    """``wave`` in A flows from ``a`` through the source to ``b``, as in SPICE."""

    letter = "I"


@dataclass(frozen=True, eq=False)
class VoltageSource(Source):
    """``wave`` in V at ``a`` against ground, or with ``a`` at ground, minus that at ``b``."""

    letter = "V"


@dataclass(frozen=True, eq=False)
class Coupling(Record):
    r"""Mutual inductance :math:`k \sqrt{L_1 L_2}` of two inductors, by their names."""

    letter: ClassVar[str] = "K"
    name: str
    first: str
    second: str
    k: float

    @property
    def nodes(self) -> tuple[str, ...]:
        """None of its own."""
        return ()

    def moved(self, name: str, nodes: Mapping[str, str], names: Mapping[str, str]) -> Coupling:
        """The same coupling of inductors that were renamed."""
        return Coupling(name, names[self.first], names[self.second], self.k)


@dataclass(frozen=True, eq=False)
class Line(Element):
    """A lossless line from the port ``a``, ``b`` to the port ``c``, ``d``.

    ``ohm`` is its impedance Z0, ``seconds`` its delay.
    """

    letter = "T"
    c: str
    d: str
    ohm: float
    seconds: float

    @property
    def nodes(self) -> tuple[str, ...]:
        return self.a, self.b, self.c, self.d

    def moved(self, name: str, nodes: Mapping[str, str], names: Mapping[str, str]) -> Line:
        a, b, c, d = (nodes[node] for node in self.nodes)
        return dataclasses.replace(self, name=name, a=a, b=b, c=c, d=d)


Part = Element | Coupling
_Placed = Sequence[tuple[Part, Location]]
# What has to be above 0, and the unit of it.
_VALUES: Final = {
    "area": "",
    "ohm": " ohm",
    "henry": " H",
    "farad": " F",
    "seconds": " s",
}


@dataclass(frozen=True, eq=False)
class Circuit(Record):
    r"""Elements, and with them the nodes that they name.

    The unknowns are the phases of the nodes, :math:`V = \Phi_0 / 2\pi \; d\varphi / dt`, and
    Kirchhoff's current law at each, in matrices of the elements between the nodes:

    .. math::
        \frac{\Phi_0}{2\pi} (C \ddot\varphi + G \dot\varphi + L^{-1} \varphi)
        + B I_c \sin B^T \varphi = I(t)

    An inductor's flux is linear in phase, so a superconducting loop holds whole flux quanta without
    a special case. Voltage sources are grounded: the phase of their node is known.

    Names of elements begin with the letter of their kind, as in SPICE. E1400 for nodes that
    float, E1401 for values that no element has, E1402 for voltage sources that are not grounded
    or hold the same node, E1403 for names that are unknown or there twice. ``places`` are where the
    parts are written, one each, for what is told of them; they are not kept.
    """

    parts: tuple[Part, ...]
    places: InitVar[Sequence[Location]] = ()

    def __post_init__(self, places: Sequence[Location]) -> None:
        super().__post_init__()
        object.__setattr__(self, "parts", tuple(self.parts))
        found = Diagnostics()
        every = [*zip(self.parts, places or [NOWHERE] * len(self.parts), strict=True)]
        self._named(found, every)
        found.raise_errors()
        self._valued(found, every)
        self._driven(found, every)
        self._connected(found, every)
        found.raise_errors()

    def _named(self, found: Diagnostics, every: _Placed) -> None:
        seen, models = set[str](), dict[str, JunctionModel]()
        for part, at in every:
            if part.name in seen:
                found.add("E1403", f"two elements have the name '{part.name}'", at)
            seen.add(part.name)
            if part.name[:1].upper() != part.letter:
                why = f"the {type(part).__name__} '{part.name}' does not begin with {part.letter}"
                found.add("E1403", why, at)
            if (
                isinstance(part, Junction)
                and models.setdefault(part.model.name, part.model) != part.model
            ):
                found.add("E1403", f"two models have the name '{part.model.name}'", at)
        for part, at in every:
            if not isinstance(part, Coupling):
                continue
            for name in (part.first, part.second):
                if not isinstance(self._by_name.get(name), Inductor):
                    found.add("E1403", f"'{part.name}' couples '{name}', which is no inductor", at)
            if part.first == part.second:
                found.add("E1403", f"'{part.name}' couples '{part.first}' with itself", at)

    def _valued(self, found: Diagnostics, every: _Placed) -> None:
        for part, at in every:
            for name, unit in _VALUES.items():
                value = getattr(part, name, 1.0)
                if not 0 < value < np.inf:
                    wanted = "finite" if value > 0 else "above 0"
                    why = f"the {name} of '{part.name}' is {value:g}{unit}; it must be {wanted}"
                    found.add("E1401", why, at)
            if isinstance(part, Coupling) and not abs(part.k) < 1:
                why = f"the coupling '{part.name}' is {part.k:g}, not within -1 to 1"
                found.add("E1401", why, at)

    def _driven(self, found: Diagnostics, every: _Placed) -> None:
        held = dict[str, str]()
        for part, at in every:
            if not isinstance(part, VoltageSource):
                continue
            if (part.a == GROUND) == (part.b == GROUND):
                found.add(
                    "E1402",
                    f"the voltage source '{part.name}' is between '{part.a}' and '{part.b}'",
                    at,
                    "ground one side, or use a current source beside a resistor",
                )
                continue
            node = part.b if part.a == GROUND else part.a
            if node in held:
                found.add("E1402", f"'{held[node]}' and '{part.name}' hold the node '{node}'", at)
            held[node] = part.name

    def _connected(self, found: Diagnostics, every: _Placed) -> None:
        """Every node has a way to ground through something that carries current."""
        root = {name: name for name in (*self.nodes, GROUND)}

        def find(name: str) -> str:
            while root[name] != name:
                root[name] = root[root[name]]
                name = root[name]
            return name

        for part in self.parts:
            if isinstance(part, Line):
                root[find(part.a)] = find(part.b)
                root[find(part.c)] = find(part.d)
            elif isinstance(part, Element) and not isinstance(part, CurrentSource):
                root[find(part.a)] = find(part.b)
        loose = [name for name in self.nodes if find(name) != find(GROUND)]
        if loose:
            more = f" and {len(loose) - 5} more" if len(loose) > 5 else ""
            names = ", ".join(f"'{name}'" for name in loose[:5])
            found.add(
                "E1400",
                f"no current can flow from {names}{more} to ground",
                next(at for part, at in every if loose[0] in part.nodes),
                "connect the node through an inductor, resistor, capacitor or junction",
            )

    @cached_property
    def _by_name(self) -> dict[str, Part]:
        return {part.name: part for part in self.parts}

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        """Names of all nodes but ground, in the order in which elements name them."""
        names = dict.fromkeys(node for part in self.parts for node in part.nodes)
        names.pop(GROUND, None)
        return tuple(names)

    def of(self, *kinds: Any) -> tuple[Any, ...]:
        """The elements of one kind, in their order."""
        return tuple(part for part in self.parts if isinstance(part, kinds))

    def part(self, name: str) -> Part:
        """The element of that name; E1403 where there is none."""
        found = self._by_name.get(name)
        if found is None:
            raise fail("E1403", f"no element has the name '{name}'")
        return found

    def placed(self, name: str, ports: Mapping[str, str]) -> tuple[Part, ...]:
        """The elements as an instance ``name`` of this circuit, to be put into another.

        ``ports`` are nodes of this circuit and what they are in the other. All other nodes, and
        the elements, get ``|name`` behind their own names.
        """
        return placed(self.parts, name, ports)


def placed(parts: Iterable[Part], name: str, ports: Mapping[str, str]) -> tuple[Part, ...]:
    """Elements as an instance ``name``, as ``Circuit.placed``; E1403 for a port that none has."""
    parts = tuple(parts)
    nodes = {node: f"{node}|{name}" for part in parts for node in part.nodes}
    unknown = [port for port in ports if port not in nodes]
    if unknown:
        raise fail("E1403", f"the instance '{name}' has no node '{unknown[0]}'")
    nodes = {**nodes, **ports, GROUND: GROUND}
    coupled = [own for k in parts if isinstance(k, Coupling) for own in (k.first, k.second)]
    names = {own: f"{own}|{name}" for own in (*coupled, *(part.name for part in parts))}
    return tuple(part.moved(names[part.name], nodes, names) for part in parts)
