r"""Cells of single-flux-quantum circuits: each a deck beside this file, and what it does.

A cell is a circuit between ports and, where chance has no part in it, a machine: in state s, a
pulse at input x leads to

.. math::
    s' = \mathrm{next}_{sx}, \qquad \text{pulses at all } y \text{ with } \mathrm{sends}_{sxy}.

The decks are in JoSIM's language, one ``.subckt`` each, for junctions of 10 kA/cm^2. Each value
is a ``.param`` of its own with a comment that says what it sets and, where it was centred, the
rule that centring began from; ``rules.cir``, which is read with each deck, has what rules are made
of. Junctions but those of the pair of `synapse`, whose deck says why, have shunts R with

.. math:: \beta_c = 2 \pi I_c R^2 C / \Phi_0 = 1.

Sources whose names begin with I are biases; of `synapse` and `threshold` the one named Ib is what
sets their function, and belongs to the bias of a chip as the others do. Every input is an inductor
on a junction that a JTL drives, every output an inductor behind one that drives a JTL.

Topologies are textbook: Likharev and Semenov, IEEE Trans. Appl. Supercond. 1, 3 (1991), and
Polonsky et al., ibid. 3, 2566 (1993). Where their form was learnt from RSFQlib (sunmagnetics/
RSFQlib 1.5 and 2.1, Stellenbosch University) or from TU Ilmenau's cells, the deck says so.
`synapse`, `threshold` and how neurons are made of cells are ours, and so are all values: ``centre``
found them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ....ir.records import Record, frozen_array
from ..josephson.circuit import Circuit, CurrentSource, Inductor, Junction, Part, Resistor
from ..josephson.deck import read
from ..josephson.expression import evaluate

# State, input, state behind it and the outputs that it sends.
_Move = tuple[int, str, int, str]
_RULES: Final = "rules.cir"
# Of the rules what may be another number for one cell: all else is the junctions' of a process.
_SHARED: Final = ("betac",)
_PARAM: Final = re.compile(r"\.param (\w+)=(\S+)")
_RULE: Final = " Rule: "


@dataclass(frozen=True)
class Parameter:
    """A ``.param`` of a deck: ``value`` in SI units or, of an area, of 0.1 mA.

    ``what`` it sets, and the ``rule`` that its centring began from, an expression of `rules.cir`;
    `None` where it was not centred.
    """

    name: str
    value: float
    what: str
    rule: str | None


@dataclass(frozen=True, eq=False)
class Machine(Record):
    """What pulses do: ``next`` (states, inputs), and ``sends`` (states, inputs, outputs).

    It starts in state 0.
    """

    next: npt.NDArray[np.int64]
    sends: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "next", frozen_array(self.next, np.int64))
        object.__setattr__(self, "sends", frozen_array(self.sends, np.bool_))


@dataclass(frozen=True, eq=False)
class Cell(Record):
    """A cell of the library: ports by name, ``clock`` one of the inputs or ``None``.

    ``released`` is the machine that it is where chance lets it send all that it can; ``machine``
    is the same, and ``None`` where chance has a part in it. ``parameters`` are its deck's, and
    ``changed`` those elements whose value is not the library's, with the factor between the two.
    """

    name: str
    title: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    clock: str | None
    circuit: Circuit
    machine: Machine | None
    released: Machine | None = None
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    changed: Mapping[str, float] = field(default_factory=dict)

    @property
    def ports(self) -> tuple[str, ...]:
        """Inputs, then outputs."""
        return self.inputs + self.outputs

    @cached_property
    def biases(self) -> tuple[str, ...]:
        """Names of the sources that bias it."""
        return tuple(source.name for source in self.circuit.of(CurrentSource))

    @property
    def bias(self) -> float:
        """What they give together, in A."""
        return sum(value_of(s) for s in self.circuit.of(CurrentSource))

    @property
    def junctions(self) -> int:
        """Junctions."""
        return len(self.circuit.of(Junction))

    @property
    def critical(self) -> float:
        """Critical currents of all its junctions together, in A."""
        return float(sum(j.area * j.model.critical for j in self.circuit.of(Junction)))


@dataclass(frozen=True)
class _Entry:
    inputs: str
    outputs: str
    clock: str | None
    moves: tuple[_Move, ...] | None
    chance: bool = False


_PASS: Final = ((0, "a", 0, "q"),)
_STORES: Final = ((0, "a", 1, ""), (1, "a", 1, ""))
_ENTRIES: Final[Mapping[str, _Entry]] = {
    "jtl": _Entry("a", "q", None, _PASS),
    "splitter": _Entry("a", "q r", None, ((0, "a", 0, "q r"),)),
    "merger": _Entry("a b", "q", None, (*_PASS, (0, "b", 0, "q"))),
    "dff": _Entry("a clk", "q", "clk", (*_STORES, (0, "clk", 0, ""), (1, "clk", 0, "q"))),
    "ndro": _Entry(
        "set reset clk",
        "q",
        "clk",
        (
            (0, "set", 1, ""),
            (1, "set", 1, ""),
            (0, "reset", 0, ""),
            (1, "reset", 0, ""),
            (0, "clk", 0, ""),
            (1, "clk", 1, "q"),
        ),
    ),
    "tff": _Entry("a", "q", None, ((0, "a", 1, ""), (1, "a", 0, "q"))),
    "not": _Entry("a clk", "q", "clk", (*_STORES, (0, "clk", 0, "q"), (1, "clk", 0, ""))),
    # A pulse at the other input takes out what one stored; at the same input it changes nothing.
    "xor": _Entry(
        "a b clk",
        "q",
        "clk",
        (
            *((0, "a", 1, ""), (1, "a", 1, ""), (2, "a", 0, "")),
            *((0, "b", 2, ""), (1, "b", 0, ""), (2, "b", 2, "")),
            *((0, "clk", 0, ""), (1, "clk", 0, "q"), (2, "clk", 0, "q")),
        ),
    ),
    "synapse": _Entry("a", "q", None, _PASS, chance=True),
    "threshold": _Entry("a b", "q", None, None),
    "dcsfq": _Entry("a", "q", None, None),
    "sfqdc": _Entry("a", "q", None, None),
}
CELLS: Final = tuple(_ENTRIES)


@cache
def cell(name: str, **parameters: float) -> Cell:
    """The cell of this name, with some ``parameters`` other than the library's, in SI units.

    E1420 where there is none, E1480 for a parameter that it has not; E1401 for values that no
    element can have.
    """
    if name not in _ENTRIES:
        raise fail("E1420", f"no cell has the name '{name}'", hint=f"one of {', '.join(CELLS)}")
    entry = _ENTRIES[name]
    text = deck(name)
    known = _parameters(text)
    for key in parameters:
        if key not in known:
            raise fail(
                "E1480",
                f"the cell '{name}' has no parameter '{key}'",
                hint=f"one of {', '.join(known)}",
            )
    circuit = _circuit(name, text, parameters)
    inputs, outputs = tuple(entry.inputs.split()), tuple(entry.outputs.split())
    released = None if entry.moves is None else _machine(entry.moves, inputs, outputs)
    return Cell(
        name=name,
        title=text.splitlines()[0].lstrip("* ").rstrip("."),
        inputs=inputs,
        outputs=outputs,
        clock=entry.clock,
        circuit=circuit,
        machine=None if entry.chance else released,
        released=released,
        parameters=known,
        changed=_factors(cell(name).circuit, circuit) if parameters else {},
    )


def deck(name: str) -> str:
    """The text of a cell's deck; `rules.cir` is read with it."""
    return (resources.files(__package__) / f"{name}.cir").read_text(encoding="utf-8")


@cache
def rules_deck() -> str:
    """The text of ``rules.cir``."""
    return (resources.files(__package__) / _RULES).read_text(encoding="utf-8")


@cache
def powers(name: str) -> Mapping[str, Mapping[str, float]]:
    """Of each parameter of a cell the elements that go with a power of it, and that power."""
    nominal = cell(name)
    found: dict[str, dict[str, float]] = {}
    for parameter in nominal.parameters.values():
        doubled = cell(name, **{parameter.name: 2 * parameter.value})
        found[parameter.name] = {
            element: round(float(np.log2(factor)), 9) for element, factor in doubled.changed.items()
        }
    return found


def _circuit(name: str, text: str, parameters: Mapping[str, float]) -> Circuit:
    # The body of its one subcircuit, so that its elements keep their names, and what is said last
    # of a parameter counts.
    lines = [line for line in text.splitlines() if not line.lower().startswith((".subckt", ".end"))]
    lines += [rules_deck(), *(f".param {key}={value!r}" for key, value in parameters.items())]
    return read("\n".join(lines), f"{name}.cir").circuit


@cache
def rules() -> Mapping[str, float]:
    """What ``rules.cir`` says, by name in upper case, as expressions have them."""
    return {found.name.upper(): found.value for found in _said(rules_deck(), {})}


def _parameters(text: str) -> dict[str, Parameter]:
    """Those of a deck, in its order, and behind them those of the rules that may be changed."""
    found = [
        *_said(text, dict(rules())),
        *(p for p in _said(rules_deck(), {}) if p.name in _SHARED),
    ]
    return {parameter.name: parameter for parameter in found}


def _said(text: str, values: dict[str, float]) -> Iterator[Parameter]:
    """Each ``.param`` of a text, of numbers, of those above it and of ``values``."""
    comment = ""
    for line in text.splitlines():
        said = _PARAM.fullmatch(line)
        if said is not None:
            what, _, rule = comment.partition(_RULE)
            value = evaluate(said[2], values.__getitem__)
            values[said[1].upper()] = value
            yield Parameter(said[1], value, what.rstrip("."), rule or None)
        comment = f"{comment} {line[2:]}".strip() if line.startswith("* ") else ""


def _factors(nominal: Circuit, changed: Circuit) -> dict[str, float]:
    factors = {
        part.name: value_of(changed.part(part.name)) / value_of(part) for part in nominal.parts
    }
    return {name: factor for name, factor in factors.items() if factor != 1.0}


def value_of(part: Part) -> float:
    """An element's area, or what it has in ohm, henry or ampere."""
    match part:
        case Junction():
            return part.area
        case Resistor():
            return part.ohm
        case Inductor():
            return part.henry
        case CurrentSource():
            return float(part.wave.at(0.0))
    raise TypeError(f"no cell has a {type(part).__name__}")


def _machine(moves: Any, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Machine:
    states = 1 + max(move[0] for move in moves)
    after = np.full((states, len(inputs)), -1, np.int64)
    sends = np.zeros((states, len(inputs), len(outputs)), np.bool_)
    for state, port, then, sent in moves:
        place = state, inputs.index(port)
        after[place] = then
        sends[place] = [name in sent.split() for name in outputs]
    assert (after >= 0).all()  # every pulse leads somewhere
    return Machine(after, sends)
