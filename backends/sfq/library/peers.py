r"""Our cells beside RSFQlib's: how much of each difference of delays is what, all of it measured.

A delay that others publish holds for their netlist, their neighbours and their way to see a pulse.
From theirs to ours it is four steps,

.. math:: t - t_\text{published} = (t_\text{net} - t_\text{published})
    + (t_\text{bare} - t_\text{net}) + (t_\text{bias} - t_\text{bare}) + (t - t_\text{bias}),

* **seen**: their netlist as it was extracted from a layout, in our simulator between two of their
  JTLs at each port, takes :math:`t_\text{net}` from net to net;
* **wires**: without the inductance of its shunts, biases and ways to ground, which our netlists
  leave out, it takes :math:`t_\text{bare}`;
* **form**: our cell, biased as theirs are, takes :math:`t_\text{bias}`, with other areas and
  inductors and where the manual says so other junctions; each bias at a junction to ground is then
  ``SHARE`` of that junction's critical current;
* **bias**: as margins made them, it takes t.

``python -m spikec.backends.sfq.library.peers`` prints the table, and how far our delays move with
all biases and all junctions of cell and lines. Theirs are in ``cells/published.toml``; ``--library
DIR`` measures them again, of a copy of RSFQlib v3p0 that has to be had from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click
import numpy as np

from ....ir.diagnostics import fail
from ..cells import Cell, cell
from ..cells.published import published
from ..josephson.circuit import GROUND, Circuit, CurrentSource, Inductor, Junction, Part, Resistor
from ..josephson.deck import read
from ..josephson.simulate import Simulator
from ..josephson.waves import Constant
from .characterise import delays
from .testbench import Bench

SHARE: Final = 0.7  # of a junction's critical current: RSFQlib's BiasCoef
MORE: Final = 1.1  # of all biases, and of all areas, by which delays are said to move
_BARE: Final = 1e-16  # H: what is left where an inductor is taken away
_LINE: Final = "jtl"
_FILES: Final[Mapping[str, str]] = {
    "jtl": "JTL",
    "splitter": "SPLIT",
    "merger": "MERGE",
    "dff": "DFF",
    "ndro": "NDRO",
    "not": "NOT",
    "xor": "XOR",
}
_STIMULUS: Final = ("I>", "R>", "R<")
_PS: Final = 1e-12


class _Bench(Bench):
    """A bench in which other circuits stand for some cells, by their kind, with the same ports."""

    def __init__(self, kind: str, circuits: Mapping[str, Circuit]) -> None:
        super().__init__(kind)
        self._circuits = circuits
        self.own = ()  # of energies nothing is asked, and biases may have other names

    def simulator(self, room: tuple[int, ...]) -> Simulator:
        """As `Bench.simulator`."""
        if room not in self._simulators:
            usual = super().simulator(room).circuit
            parts = [part for part in usual.parts if part.name.startswith(_STIMULUS)]
            for i in self.netlist.instances:
                parts += self._circuits.get(i.kind, i.cell.circuit).placed(i.name, i.nets)
            self._simulators[room] = Simulator(Circuit(tuple(parts)))
        return self._simulators[room]


def delay(kind: str, circuits: Mapping[str, Circuit]) -> float:
    """The longest delay of a cell, in s, where ``circuits`` stand for it or its lines.

    E1425 where it is not its machine then.
    """
    return float(np.nanmax(delays(_Bench(kind, circuits))[0]))


def biased(circuit: Circuit) -> Circuit:
    """With ``SHARE`` of its critical current into each junction to ground that has a bias."""
    held = {j.a: j.area * j.model.critical for j in circuit.of(Junction) if j.b == GROUND}
    return Circuit(
        tuple(
            replace(part, wave=Constant(SHARE * held[part.b]))
            if isinstance(part, CurrentSource) and part.b in held
            else part
            for part in circuit.parts
        )
    )


def more(circuit: Circuit, kind: type[Part]) -> Circuit:
    """With ``MORE`` current of its biases or, of junctions, area, and shunts as much less."""
    shunts = {f"R{j.name}" for j in circuit.of(Junction)} if kind is Junction else set[str]()
    out: list[Part] = []
    for part in circuit.parts:
        if isinstance(part, CurrentSource) and kind is CurrentSource:
            out.append(replace(part, wave=Constant(MORE * float(part.wave.at(0.0)))))
        elif isinstance(part, Junction) and kind is Junction:
            out.append(replace(part, area=MORE * part.area))
        elif isinstance(part, Resistor) and part.name in shunts:
            out.append(replace(part, ohm=part.ohm / MORE))
        else:
            out.append(part)
    return Circuit(tuple(out))


def theirs(text: str, this: Cell, file: str = "the deck") -> Circuit:
    """The one subcircuit of a deck of RSFQlib, with the ports of our cell; E1410 for what is none.

    Ports are taken in their order, which is inputs, then outputs, there and here.
    """
    # A stray quote is in THmitll_MERGE_v3p0_extracted.cir.
    lines = text.replace("'", "").splitlines()
    head = [line.split() for line in lines if line.lower().startswith(".subckt")]
    if len(head) != 1 or len(head[0]) != 2 + len(this.ports):
        wanted = f"one .subckt with {len(this.ports)} ports"
        raise fail("E1410", f"'{file}' is no deck of a '{this.name}', which has {wanted}")
    body = [line for line in lines if not line.lower().startswith((".subckt", ".end"))]
    circuit = read("\n".join(body), file).circuit
    ports = dict(zip(head[0][2:], this.ports, strict=True))
    nodes = {node: ports.get(node, f"x{node}") for node in circuit.nodes} | {GROUND: GROUND}
    names = {part.name: part.name for part in circuit.parts}
    return Circuit(tuple(part.moved(part.name, nodes, names) for part in circuit.parts))


def bare(circuit: Circuit) -> Circuit:
    """Without inductors of shunts, of biases and of ways to ground, by RSFQlib's names of them."""
    return Circuit(
        tuple(
            replace(part, henry=_BARE)
            if isinstance(part, Inductor) and part.name.startswith(("LRB", "LB", "LP"))
            else part
            for part in circuit.parts
        )
    )


def library(folder: Path) -> dict[str, tuple[float, float]]:
    """Of a copy of RSFQlib v3p0 the delays with and without wires of each cell, in s."""
    decks = {
        kind: folder / f"mitll_{name}" / f"THmitll_{name}_v3p0_extracted.cir"
        for kind, name in _FILES.items()
    }
    circuits = {
        kind: theirs(path.read_text(encoding="utf-8"), cell(kind), path.name)
        for kind, path in decks.items()
    }
    out = {}
    for kind in circuits:
        pair = {k: circuits[k] for k in (kind, _LINE)}
        out[kind] = (
            delay(kind, pair),
            delay(kind, {k: bare(circuit) for k, circuit in pair.items()}),
        )
    return out


@dataclass(frozen=True)
class Steps:
    """The delays of one cell from theirs to ours, in s, and two more of ours."""

    published: float
    net: float
    bare: float
    biased: float
    ours: float
    more_bias: float
    more_area: float

    @property
    def steps(self) -> tuple[float, float, float, float]:
        """Seen, wires, form and bias; together they are all of the difference."""
        ladder = np.diff([self.published, self.net, self.bare, self.biased, self.ours])
        seen, wires, form, bias = ladder.tolist()
        return seen, wires, form, bias


def steps(kind: str, again: tuple[float, float] | None = None) -> Steps:
    """Of one of the cells that RSFQlib has, too; ``again`` are its delays, measured again."""
    known = published()[kind]
    net, without = again or (known.net.value, known.bare.value)
    own = {k: cell(k).circuit for k in (kind, _LINE)}
    return Steps(
        known.delay.value,
        net,
        without,
        delay(kind, {kind: biased(own[kind])}),
        delay(kind, {}),
        delay(kind, {k: more(circuit, CurrentSource) for k, circuit in own.items()}),
        delay(kind, {k: more(circuit, Junction) for k, circuit in own.items()}),
    )


def table(again: Mapping[str, tuple[float, float]] | None = None) -> str:
    """All of them in Markdown, in ps."""
    lines = [
        "| cell | RSFQlib | seen | wires | form | bias | ours | +10 % bias | +10 % areas |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for kind in published():
        found = steps(kind, (again or {}).get(kind))
        moved = (found.more_bias - found.ours, found.more_area - found.ours)
        words = [f"`{kind}`", f"{found.published / _PS:.1f}"]
        words += map(_step, found.steps)
        words += [f"{found.ours / _PS:.1f}", *map(_step, moved)]
        lines.append("| " + " | ".join(words) + " |")
    return "\n".join(lines) + "\n"


def _step(seconds: float) -> str:
    # Adding 0 makes a zero of one that is less by rounding.
    return f"{round(seconds / _PS, 1) + 0.0:+.1f}"


@click.command()
@click.option(
    "--library",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="The folder RSFQlib of a copy of sunmagnetics/RSFQlib v3p0, to be measured again.",
)
def main(folder: Path | None) -> None:
    """Print how our delays come from RSFQlib's, in ps."""
    again = None if folder is None else library(folder)
    for kind, (net, without) in (again or {}).items():
        click.echo(f"{kind}: {net / _PS:.2f} ps, {without / _PS:.2f} ps without wires", err=True)
    click.echo(table(again), nl=False)


if __name__ == "__main__":
    main()
