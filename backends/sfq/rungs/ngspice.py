r"""Josephson circuits in ngspice, which has no junctions: an answer that shares nothing with ours.

A junction is a subcircuit of its model: a current source of :math:`I_c \sin\varphi`, and
:math:`\varphi` the voltage of its node ``phi`` that integrates the junction's own, 1 V a radian;
its capacitance and resistance lie beside it. ngspice chooses its steps, none longer than
``Transient.step``. A netlist of cells has a subcircuit a kind of cell, as its deck for JoSIM has.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ... import ngspice
from ..cells.netlist import Instance, Netlist
from ..josephson.circuit import (
    GROUND,
    Circuit,
    Junction,
    JunctionModel,
    Part,
    Source,
)
from ..josephson.deck import element_line
from ..josephson.measure import passed
from ..josephson.simulate import QUANTUM, Transient
from ..josephson.waves import Pulse, Sine, Wave, started
from .hierarchy import Labels, Names, folded, layout, models

Floats = npt.NDArray[np.float64]
_SECONDS: Final = 600.0
_DATA: Final = "phases.data"
_OPTIONS: Final = ".options method=gear reltol=1e-4 abstol=1e-9 vntol=1e-7 chgtol=1e-18 numdgt=12"


def deck(circuit: Circuit, how: Transient, probes: Iterable[str]) -> str:
    """A deck for ``ngspice -b`` that writes the phases of ``probes``, junctions and nodes.

    Names are letters, digits and ``_`` and differ in more than large and small letters, which are
    the same to ngspice. Times are from the start of the ramp. E1403 for an unknown probe; E1404 for
    a ``temperature``, of which it has no noise.
    """
    label, own = Labels((GROUND, "GND")), Labels()
    node = {GROUND: GROUND} | {name: label(name) for name in circuit.nodes}
    name = {part.name: f"{_letter(part)}{own(part.name)}" for part in circuit.parts}
    found = {name[p.name]: p.model for p in circuit.of(Junction)}
    kinds = {model: own(model.name) for model in dict.fromkeys(found.values())}
    lines = [line for model, kind in kinds.items() for line in _model(model, kind)]
    for part in circuit.parts:
        lines.append(_line(_begun(part.moved(name[part.name], node, name), how), how, kinds))
    places = {n: f"v({node[n]})" for n in circuit.nodes}
    phases = {p.name: f"v({name[p.name]}.phi)" for p in circuit.of(Junction)}
    title = f"Josephson circuit of {len(circuit.parts)} elements, written by spikec"
    return _written(title, (), lines, how, _shown(probes, places, phases))


def netlist_deck(
    netlist: Netlist,
    waves: Mapping[str, Wave],
    how: Transient,
    probes: Iterable[str],
    names: Names,
    notes: Iterable[str] = (),
) -> str:
    """A deck of ``netlist.circuit(waves)`` with a subcircuit a kind of cell; else as `deck`.

    ``probes`` are nets, and junctions as the circuit calls them; ``notes`` comments at its head.
    """
    label = Labels(names.kinds.values())
    kinds = {m: label(m.name) for m in sorted(models(netlist), key=lambda m: m.name)}

    def element(part: Part) -> str:
        return _line(part, how, kinds)

    def inside(first: Instance) -> Iterator[str]:
        name = {part.name: f"{_letter(part)}{part.name}" for part in first.parts}
        node = {n: n for part in first.parts for n in part.nodes}
        for part in first.parts:
            yield element(_begun(part.moved(name[part.name], node, name), how))

    lines = [line for model, kind in kinds.items() for line in _model(model, kind)]
    lines += folded(layout(netlist, waves, how, names, inside, element))
    places = {net: f"v({name})" for net, name in names.nets.items()}
    junctions = (
        f"{j.name}|{i.name}" for i in netlist.instances for j in i.cell.circuit.of(Junction)
    )
    phases = {name: f"v({junction(names, name)}.phi)" for name in junctions}
    title = f"Superconducting cells, written by spikec: {len(netlist.instances)} of them"
    return _written(title, notes, lines, how, _shown(probes, places, phases))


def junction(names: Names, name: str) -> str:
    """A junction of a netlist in its deck: the instance in its cell's."""
    own, _, instance = name.partition("|")
    return f"{names.instances[instance]}.X{own}"


def transient(
    circuit: Circuit, how: Transient, probes: Iterable[str], *, timeout: float = _SECONDS
) -> tuple[Floats, Floats]:
    """ngspice's times (frames,) in s and phases (probes, frames) in rad of junctions and nodes.

    Times count as ours do, from the end of the ramp. E0602, E0603 and E0605 as ``ngspice.run``.
    """
    names = tuple(probes)
    return _solved(deck(circuit, how, names), how, len(names), timeout)


def pulses(
    netlist: Netlist,
    waves: Mapping[str, Wave],
    how: Transient,
    nets: Iterable[str],
    *,
    timeout: float = _SECONDS,
) -> dict[str, Floats]:
    """When pulses passed nets of ``netlist.circuit(waves)``, in s from the end of the ramp.

    Fails as `transient`, and with E1404 for a ``temperature``.
    """
    names = tuple(nets)
    text = netlist_deck(netlist, waves, how, names, Names.of(netlist))
    return passed(names, *_solved(text, how, len(names), timeout))


def _solved(text: str, how: Transient, probes: int, timeout: float) -> tuple[Floats, Floats]:
    with tempfile.TemporaryDirectory(prefix="spikec-spice-") as folder:
        place = Path(folder)
        (place / ngspice.DECK).write_text(text, encoding="utf-8")
        printed = ngspice.run(place, timeout, "a shorter transient or a longer step")
        written = place / _DATA
        if not written.exists():
            raise ngspice.failed("gives no phases", printed)
        data = np.loadtxt(written, ndmin=2)
    if data.shape[1] != probes + 1 or not np.isfinite(data).all():
        raise ngspice.failed("gives no phases", printed)
    return data[:, 0] - how.before * how.step, data[:, 1:].T


def _written(
    title: str,
    notes: Iterable[str],
    lines: Iterable[str],
    how: Transient,
    shown: tuple[list[str], list[str]],
) -> str:
    """The whole deck; what is ``shown`` are its words for phases, and the elements these need."""
    if how.temperature:
        raise fail("E1404", "a transient of ngspice has no thermal noise", hint="temperature=0")
    end = (how.before + how.steps) * how.step
    whole = [title, "* Run it with: ngspice -b FILE", *(f"* {note}" for note in notes), _OPTIONS]
    whole += [*lines, *shown[1], "*", ".control", "set wr_singlescale"]
    whole += [
        f"tran {how.step!r} {end!r} 0 {how.step!r} uic",
        f"wrdata {_DATA} " + " ".join(shown[0]),
    ]
    return "\n".join([*whole, "quit 0", ".endc", ".end", ""])


def _shown(
    probes: Iterable[str], places: Mapping[str, str], phases: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Of each probe the voltage that is its phase, and what integrates those of nodes."""
    out, lines = list[str](), list[str]()
    for k, probe in enumerate(probes):
        if probe in phases:
            out.append(phases[probe])
        elif probe in places:
            # No other name begins with _.
            lines += _integrated(f"_phase{k}", places[probe])
            out.append(f"v(_phase{k})")
        else:
            raise fail("E1403", f"no node or junction has the name '{probe}'")
    return out, lines


def _integrated(name: str, volt: str) -> Iterator[str]:
    # 1 pF, and through it what makes 1 V of a radian.
    yield f"B{name} 0 {name} i=({volt})*{1e-12 / QUANTUM!r}"
    yield f"C{name} {name} 0 1e-12"
    yield f"R{name} {name} 0 1e15"


def _letter(part: Part) -> str:
    """What a name of ours needs in front: a junction is an instance of its model."""
    return "X" if isinstance(part, Junction) else ""


def _begun(part: Part, how: Transient) -> Part:
    """The element with a wave that begins where the ramp does."""
    if not isinstance(part, Source):
        return part
    return replace(part, wave=started(part.wave, how.before * how.step, how.duration))


def _model(model: JunctionModel, kind: str) -> Iterator[str]:
    """A kind of junction, of which an area is taken."""
    yield "*"
    yield f"* A junction: {model.critical!r} A times its area times the sine of its phase."
    yield f".subckt {kind} p m area=1"
    yield from _integrated("phi", "v(p,m)")
    yield f"Bj p m i={{area*{model.critical!r}}}*sin(v(phi))"
    if model.capacitance:
        yield f"Cj p m {{area*{model.capacitance!r}}}"
    if model.rtype:
        yield f"Rj p m {{{model.subgap!r}/area}}"
        yield f"Bq p m i={_beyond(model, 'v(p,m)')}"
    yield f".ends {kind}"


def _line(part: Part, how: Transient, kinds: Mapping[JunctionModel, str]) -> str:
    """An element whose name is that of the deck, and whose wave begins where the deck does."""
    if isinstance(part, Junction):
        return f"{part.name} {part.a} {part.b} {kinds[part.model]} area={part.area!r}"
    if isinstance(part, Source):
        return f"{part.name} {part.a} {part.b} {_given(part.wave, how)}"
    return element_line(part)


def _beyond(model: JunctionModel, volt: str) -> str:
    """What quasiparticles carry above the resistance below the gap."""
    foot, head = model.gap - model.spread / 2, model.gap + model.spread / 2
    rise = (head / model.normal - foot / model.subgap) / model.spread - 1 / model.subgap
    above = 1 / model.normal - 1 / model.subgap
    over = f"max(abs({volt})-{foot!r},0)"
    rising = f"{{area*{rise!r}}}*min({over},{model.spread!r})"
    return f"sgn({volt})*({rising}+{{area*{above!r}}}*max(abs({volt})-{head!r},0))"


def _given(wave: Wave, how: Transient) -> str:
    if isinstance(wave, Sine):
        return f"sin({wave.offset!r} {wave.amplitude!r} {wave.frequency!r} {wave.delay!r})"
    if isinstance(wave, Pulse):
        end = how.duration + how.before * how.step
        period = wave.period or 2 * end + wave.delay
        shape = (wave.low, wave.high, wave.delay, wave.rise, wave.fall, wave.width, period)
        return f"pulse({' '.join(repr(x) for x in shape)})"
    start, value, _ = wave.knots(how.duration)
    if start.size == 1:
        return f"dc {float(value[0])!r}"
    points = zip(start[1:].tolist(), value[1:].tolist(), strict=True)
    return f"pwl({' '.join(f'{t!r} {v!r}' for t, v in points)})"
