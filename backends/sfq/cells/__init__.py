r"""Cells of single-flux-quantum circuits: each a deck beside this file, and what it does.

A cell is a circuit between ports and, where chance has no part in it, a machine: in state s, a
pulse at input x leads to

.. math::
    s' = \mathrm{next}_{sx}, \qquad \text{pulses at all } y \text{ with } \mathrm{sends}_{sxy}.

The decks are in JoSIM's language, one ``.subckt`` each, for junctions of 10 kA/cm^2 with shunts
of :math:`I_c R` = 0.686 mV (a Stewart-McCumber parameter of 1). Sources whose names begin with I
are biases; of `synapse` and `threshold` the one named Ib is what sets their function, and belongs
to the bias of a chip as the others do. Every input is an inductor on a junction that a JTL drives,
every output an inductor behind one that drives a JTL.

Topologies are the usual ones. Values of `dff`, `ndro`, `not`, `xor` and `sfqdc` started from those
of RSFQlib (sunmagnetics/RSFQlib 1.5 and 2.1, Stellenbosch University), of `tff`, `merger` and
`splitter` from published ones of TU Ilmenau, and were moved until their margins were wide and even;
`jtl` and `dcsfq` have RSFQlib's. `synapse`, `threshold` and how neurons are made of cells are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ....ir.records import Record, frozen_array
from ..circuit import Circuit, CurrentSource, Junction
from ..deck import read

# State, input, state behind it and the outputs that it sends.
_Move = tuple[int, str, int, str]


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
    is the same, and ``None`` where chance has a part in it.
    """

    name: str
    title: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    clock: str | None
    circuit: Circuit
    machine: Machine | None
    released: Machine | None = None

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
        return sum(float(s.wave.at(0.0)) for s in self.circuit.of(CurrentSource))

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
def cell(name: str) -> Cell:
    """The cell of this name, read once; E1420 where there is none."""
    if name not in _ENTRIES:
        raise fail("E1420", f"no cell has the name '{name}'", hint=f"one of {', '.join(CELLS)}")
    entry = _ENTRIES[name]
    file = f"{name}.cir"
    text = (resources.files(__package__) / file).read_text(encoding="utf-8")
    # The body of its one subcircuit, so that its elements keep their names.
    lines = [line for line in text.splitlines() if not line.lower().startswith((".subckt", ".end"))]
    inputs, outputs = tuple(entry.inputs.split()), tuple(entry.outputs.split())
    released = None if entry.moves is None else _machine(entry.moves, inputs, outputs)
    return Cell(
        name=name,
        title=text.splitlines()[0].lstrip("* ").rstrip("."),
        inputs=inputs,
        outputs=outputs,
        clock=entry.clock,
        circuit=read("\n".join(lines), file).circuit,
        machine=None if entry.chance else released,
        released=released,
    )


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
