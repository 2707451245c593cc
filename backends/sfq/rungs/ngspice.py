r"""Josephson circuits in ngspice, which has no junctions: an answer that shares nothing with ours.

A junction is a current source of :math:`I_c \sin\varphi`, and :math:`\varphi` the voltage of a
node that integrates the junction's own, 1 V a radian; its capacitance and resistance lie beside it.
ngspice chooses its steps, none longer than ``Transient.step``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ... import ngspice
from ..cells.netlist import Netlist
from ..josephson.circuit import (
    GROUND,
    Capacitor,
    Circuit,
    Coupling,
    CurrentSource,
    Element,
    Inductor,
    Junction,
    Line,
    Resistor,
    Source,
)
from ..josephson.measure import crossings
from ..josephson.simulate import QUANTUM, Transient
from ..josephson.waves import Pulse, Sine, Wave, started

Floats = npt.NDArray[np.float64]
_SECONDS: Final = 600.0
_DATA: Final = "phases.data"
_OPTIONS: Final = ".options method=gear reltol=1e-4 abstol=1e-9 vntol=1e-7 chgtol=1e-18 numdgt=12"


def deck(circuit: Circuit, transient: Transient, probes: Iterable[str]) -> str:
    """A deck for ``ngspice -b`` that writes the phases of ``probes``, junctions and nodes.

    Nodes and elements have numbers, as ngspice does not tell a from A. Times are from the start of
    the ramp. E1403 for an unknown probe; E1404 for a ``temperature``, of which it has no noise.
    """
    if transient.temperature:
        raise fail("E1404", "a transient of ngspice has no thermal noise", hint="temperature=0")
    node = {name: str(k) for k, name in enumerate((GROUND, *circuit.nodes))}
    phases = {p.name: f"p{k}" for k, p in enumerate(circuit.parts) if isinstance(p, Junction)}
    lines = list(_elements(circuit, transient, node, phases))
    shown = []
    for k, probe in enumerate(probes):
        if probe in node and probe not in phases:
            lines += _integrated(f"q{k}", f"v({node[probe]})")
            shown.append(f"v(q{k})")
        elif probe in phases:
            shown.append(f"v({phases[probe]})")
        else:
            raise fail("E1403", f"no node or junction has the name '{probe}'")
    end = (transient.before + transient.steps) * transient.step
    step = f"{transient.step!r} {end!r} 0 {transient.step!r} uic"
    return "\n".join(
        [
            f"Josephson circuit of {len(circuit.parts)} elements, written by spikec",
            "* Run it with: ngspice -b FILE",
            *(f"* node {number} is {name}" for name, number in node.items()),
            _OPTIONS,
            *lines,
            ".control",
            "set wr_singlescale",
            f"tran {step}",
            f"wrdata {_DATA} {' '.join(shown)}",
            "quit 0",
            ".endc",
            ".end",
            "",
        ]
    )


def transient(
    circuit: Circuit, how: Transient, probes: Iterable[str], *, timeout: float = _SECONDS
) -> tuple[Floats, Floats]:
    """ngspice's times (frames,) in s and phases (probes, frames) in rad of junctions and nodes.

    Times count as ours do, from the end of the ramp. E0602, E0603 and E0605 as ``ngspice.run``.
    """
    names = tuple(probes)
    with tempfile.TemporaryDirectory(prefix="spikec-spice-") as folder:
        place = Path(folder)
        (place / ngspice.DECK).write_text(deck(circuit, how, names), encoding="utf-8")
        printed = ngspice.run(place, timeout, "a shorter transient or a longer step")
        written = place / _DATA
        if not written.exists():
            raise ngspice.failed("gives no phases", printed)
        data = np.loadtxt(written, ndmin=2)
    if data.shape[1] != len(names) + 1 or not np.isfinite(data).all():
        raise ngspice.failed("gives no phases", printed)
    return data[:, 0] - how.before * how.step, data[:, 1:].T


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
    times, phases = transient(netlist.circuit(waves), how, names, timeout=timeout)
    found = {net: crossings(times, phase) for net, phase in zip(names, phases, strict=True)}
    return {net: passed[passed >= 0] for net, passed in found.items()}


def _integrated(name: str, volt: str) -> Iterator[str]:
    # 1 pF, and through it what makes 1 V of a radian.
    yield f"bi{name} 0 {name} i=({volt})*{1e-12 / QUANTUM!r}"
    yield f"ci{name} {name} 0 1e-12"
    yield f"ri{name} {name} 0 1e15"


def _elements(
    circuit: Circuit, how: Transient, node: dict[str, str], phases: dict[str, str]
) -> Iterator[str]:
    number = {part.name: k for k, part in enumerate(circuit.parts)}
    ramp = how.before * how.step
    for k, part in enumerate(circuit.parts):
        if isinstance(part, Coupling):
            first, second = number[part.first], number[part.second]
            yield f"k{k} l{first} l{second} {part.k!r}"
            continue
        assert isinstance(part, Element)
        a, b = node[part.a], node[part.b]
        if isinstance(part, Junction):
            model, phase = part.model, phases[part.name]
            yield from _integrated(phase, f"v({a},{b})")
            yield f"bj{k} {a} {b} i={part.area * model.critical!r}*sin(v({phase}))"
            if model.capacitance:
                yield f"cj{k} {a} {b} {part.area * model.capacitance!r}"
            if model.rtype:
                yield f"rj{k} {a} {b} {model.subgap / part.area!r}"
                yield f"bq{k} {a} {b} i={_beyond(part, f'v({a},{b})')}"
        elif isinstance(part, Resistor):
            yield f"r{k} {a} {b} {part.ohm!r}"
        elif isinstance(part, Inductor):
            yield f"l{k} {a} {b} {part.henry!r}"
        elif isinstance(part, Capacitor):
            yield f"c{k} {a} {b} {part.farad!r}"
        elif isinstance(part, Line):
            yield (
                f"t{k} {a} {b} {node[part.c]} {node[part.d]} z0={part.ohm!r} td={part.seconds!r}"
            )
        else:
            assert isinstance(part, Source)
            kind = "i" if isinstance(part, CurrentSource) else "v"
            yield f"{kind}{k} {a} {b} {_given(started(part.wave, ramp, how.duration), how)}"


def _beyond(part: Junction, volt: str) -> str:
    """What quasiparticles carry above the resistance below the gap."""
    model, area = part.model, part.area
    foot, head = model.gap - model.spread / 2, model.gap + model.spread / 2
    rise = (head / model.normal - foot / model.subgap) / model.spread - 1 / model.subgap
    above = 1 / model.normal - 1 / model.subgap
    over = f"max(abs({volt})-{foot!r},0)"
    rising = f"{area * rise!r}*min({over},{model.spread!r})"
    return f"sgn({volt})*({rising}+{area * above!r}*max(abs({volt})-{head!r},0))"


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
