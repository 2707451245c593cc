r"""A programmed tile in SPICE, and its operating points by ngspice.

``deck`` writes the circuit of ``circuit.Crossbar`` with the voltages of one vector, and behind each
bit line, if wanted, a converter or a neuron. A bit line's current is that of the source ``vs<j>``,
which holds its sense amplifiers' side at 0 V. ``operating_points`` has ngspice solve it for many
vectors: an answer that shares nothing with ``solve`` and ``nonlinear``, at the price of seconds
where they take milliseconds (64 x 64: 6.6 s an operating point).

A wire or driver of 0 ohm makes the nodes at its ends one node. Cells that are open, or gated off,
are not in the deck. Cells that bend are resistors with a source of :math:`V^2 (G k_2 + V G k_3)`
beside them: ngspice keeps eleven digits of a number in an expression, all of a resistor's. The
squares are products, as it takes powers of absolute values.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import Diagnostics, fail
from ...ir.records import Record
from ..ngspice import DECK, failed, needed, run
from .circuit import Crossbar
from .converters import Converter
from .nonlinear import Curve

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
_SECONDS = 600.0
# Currents have a file of their own: what ngspice says on the way breaks lines of its output.
_FOUND = "currents"
# Bending cells: the last of ngspice's steps is then far below what it asks of it.
_OPTIONS = ".options reltol=1e-9 abstol=1e-18 vntol=1e-12 itl1=500"
_RELEASE = 1 / 20  # of a neuron's threshold, where the discharge of its capacitor ends


@dataclass(frozen=True, eq=False)
class Neuron(Record):
    r"""Integrate and fire behind a bit line: :math:`C\, du / dt = I`, and a spike at the threshold.

    A comparator sets the node ``spike<j>`` to 1 V when :math:`u` reaches ``threshold`` (V). Its
    capacitor C (``capacitance``, F) is then discharged with a time constant of one ``step`` until
    the comparator releases, at a twentieth of the threshold or below. The period is thus
    :math:`C u_{th} / I`, less a twentieth of it at most, and at most eight steps of discharge:
    choose a ``step`` (s) far below it; from a twentieth on the discharge never ends. Nothing leaks,
    and a negative current leads away from the threshold without end. The transient lasts
    ``duration`` s.
    """

    capacitance: float
    threshold: float
    duration: float
    step: float

    def __post_init__(self) -> None:
        super().__post_init__()
        found = Diagnostics()
        for name in ("capacitance", "threshold", "duration", "step"):
            if not 0 < getattr(self, name) < np.inf:
                found.add("E1301", f"a neuron's {name} is {getattr(self, name)}")
        found.raise_errors()


def deck(
    circuit: Crossbar,
    voltage: Any,
    active: Any = None,
    curve: Curve | None = None,
    *,
    converter: Converter | None = None,
    neuron: Neuron | None = None,
    notes: Iterable[str] = (),
) -> str:
    """A deck for ``ngspice -b``: the operating point, and a transient where there is a ``neuron``.

    ``voltage`` and ``active`` are of one vector, (rows,), as for ``Solver.currents``. It prints the
    current of each bit line, ``i(vs<j>)`` in A; a ``converter``'s codes; the time of a neuron's
    first spike and from there to its second, in s, which it says have failed where there is none.
    ``notes`` are lines of comment.
    """
    volt, on = _vector(circuit, voltage, active)
    comments = [f"* {note}" for note in notes]
    lines = [*_head(circuit, curve), *comments, *_netlist(circuit, volt, on, curve)]
    commands = ["op", *(f"print i(vs{j})" for j in range(circuit.columns))]
    if converter is not None:
        lines += _converters(circuit.columns, converter)
        commands += [f"print v(code{k})" for k in range(_codes(circuit.columns, converter))]
    if neuron is not None:
        lines += _neurons(circuit.columns, neuron)
        step, duration = _number(neuron.step), _number(neuron.duration)
        commands.append(f"tran {step} {duration} 0 {step} uic")
        for j in range(circuit.columns):
            rise = f"v(spike{j}) val=0.5 rise"
            commands.append(f"meas tran first{j} when v(spike{j})=0.5 rise=1")
            commands.append(f"meas tran period{j} trig {rise}=1 targ {rise}=2")
    return "\n".join([*lines, *_control(commands), ".end", ""])


def operating_points(
    circuit: Crossbar,
    voltage: Any,
    active: Any = None,
    curve: Curve | None = None,
    *,
    timeout: float = _SECONDS,
    progress: Callable[[float], None] | None = None,
) -> Array:
    """ngspice's current of each bit line in A, for each vector, as ``Solver.currents`` gives them.

    One process for all vectors, in a folder of its own that is gone behind it; ``progress`` is told
    the share of vectors that are found. E0602 without ngspice; E0605 after ``timeout`` s;
    E0603 where it fails, or where a current is not in what it prints.
    """
    volt = circuit.voltages(voltage)
    on = circuit.active(active, volt)
    if curve is not None:
        curve.spread(circuit)
    needed()
    with tempfile.TemporaryDirectory(prefix="spikec-spice-") as folder:
        place = Path(folder)
        (place / DECK).write_text(_many(circuit, volt, on, curve, place), encoding="utf-8")
        watch = None if progress is None else _Watch(place / _FOUND, len(volt), progress)
        printed = run(place, timeout, "fewer vectors or a smaller tile", watch)
        told = (place / _FOUND).read_text(encoding="utf-8") if (place / _FOUND).exists() else ""
    out = np.full((len(volt), circuit.columns), np.nan)
    parts = re.split(r"^vector (\d+)\s*$", told, flags=re.M)[1:]
    for vector, part in zip(parts[::2], parts[1::2], strict=True):
        for column, number in re.findall(r"^i\(vs(\d+)\) = (\S+)\s*$", part, flags=re.M):
            with contextlib.suppress(ValueError, IndexError):
                out[int(vector), int(column)] = float(number)
    missing = np.argwhere(~np.isfinite(out))
    if len(missing):
        first, column = missing[0]
        raise failed(
            f"gives no current of column {column} for vector {first}; of {out.size} currents "
            f"{len(missing)} are missing",
            printed,
        )
    return out.reshape(*np.shape(voltage)[:-1], circuit.columns)


class _Watch:
    """Tells, whenever called, the share of vectors whose currents are found."""

    def __init__(self, path: Path, vectors: int, progress: Callable[[float], None]) -> None:
        self._path, self._vectors, self._progress = path, vectors, progress
        self._at = self._seen = 0

    def __call__(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as stream:
            stream.seek(self._at)
            # What is read ends with a line, so that none is counted by halves.
            whole = stream.read().rpartition(b"\n")
        self._at += len(whole[0]) + len(whole[1])
        found = len(re.findall(rb"^vector \d+\s*$", whole[0], flags=re.M))
        if found:
            self._seen += found
            self._progress(self._seen / self._vectors)


def _many(circuit: Crossbar, volt: Array, on: Mask, curve: Curve | None, place: Path) -> str:
    """The deck of all vectors: voltages are altered; another set of active rows is another file."""
    given = np.where(on, volt, 0.0)
    patterns, which = np.unique(on, axis=0, return_inverse=True)
    head, lines, commands = _head(circuit, curve), list[str](), list[str]()
    for number, active in enumerate(patterns):
        members = np.flatnonzero(which.ravel() == number)
        tile = _netlist(circuit, given[members[0]], active, curve)
        if number == 0:
            lines = [*head, *tile]
        else:
            name = f"tile{number}.cir"
            (place / name).write_text("\n".join([*head, *tile, ".end", ""]), encoding="utf-8")
            commands += ["remcirc", f"source {name}"]
        before = given[members[0]]
        for member in members:
            vector = given[member]
            for i in np.flatnonzero(vector != before):
                commands.append(f"alter vd{i} = {_number(vector[i])}")
            # An operating point that fails would leave the currents of the one before it.
            commands += ["destroy all", "op", f"echo vector {member} >> {_FOUND}"]
            commands += [f"print i(vs{j}) >> {_FOUND}" for j in range(circuit.columns)]
            before = vector
    return "\n".join([*lines, *_control(commands), ".end", ""])


def _vector(circuit: Crossbar, voltage: Any, active: Any) -> tuple[Array, Mask]:
    """One vector's voltages, 0 where a row is off, and its active rows."""
    volt = circuit.voltages(voltage)
    on = circuit.active(active, volt)
    if len(volt) != 1:
        raise fail("E1302", f"a deck is of one vector, not {len(volt)}")
    return np.where(on[0], volt[0], 0.0), on[0]


def _head(circuit: Crossbar, curve: Curve | None) -> list[str]:
    rows, columns = circuit.conductance.shape
    return [
        f"Crossbar of {rows} x {columns} cells, written by spikec",
        "* Run it with: ngspice -b FILE",
        f"* Word lines are driven at: {circuit.driven}. Bit lines are sensed at: {circuit.sensed}.",
        "* Units: V, A, ohm, F, s.",
        "* Nodes: d<i> driver of word line i; w<i>_<j> and b<i>_<j> ends of the cell at row",
        "* i, column j; s<j> virtual ground of bit line j. A line of 0 ohm is one node.",
        "* i(vs<j>) is the current of bit line j into its sense amplifiers.",
        *([_OPTIONS] if curve is not None else []),
    ]


def _netlist(circuit: Crossbar, volt: Array, active: Mask, curve: Curve | None) -> Iterator[str]:
    """Drivers, sense amplifiers, wires and cells, an element a line."""
    rows, columns = circuit.conductance.shape

    def word(i: int, j: int) -> str:
        if circuit.word:
            return f"w{i}_{j}"
        return f"w{i}" if circuit.driver else f"d{i}"

    def bit(i: int, j: int) -> str:
        if circuit.bit:
            return f"b{i}_{j}"
        return f"b{j}" if circuit.sense else f"s{j}"

    yield "* Drivers, and their way to the ends of the word lines: R_w + R_drive"
    there = zip("lr", (0, columns - 1), circuit.drive_ends, strict=True)
    ends = [(name, j) for name, j, siemens in there if siemens]
    for i in range(rows):
        yield f"vd{i} d{i} 0 {_number(volt[i])}"
        for name, j in ends if circuit.word + circuit.driver else ():
            yield f"r{name}{i} d{i} {word(i, j)} {_number(circuit.word + circuit.driver)}"
    yield "* Virtual grounds, and the way to them from the ends of the bit lines: R_b + R_sense"
    there = zip("tb", (0, rows - 1), circuit.sense_ends, strict=True)
    ends = [(name, i) for name, i, siemens in there if siemens]
    for j in range(columns):
        yield f"vs{j} s{j} 0 0"
        for name, i in ends if circuit.bit + circuit.sense else ():
            yield f"r{name}{j} {bit(i, j)} s{j} {_number(circuit.bit + circuit.sense)}"
    if circuit.word:
        yield "* Word lines"
        for i, j in np.ndindex(rows, columns - 1):
            yield f"rw{i}_{j} {word(i, j)} {word(i, j + 1)} {_number(circuit.word)}"
    if circuit.bit:
        yield "* Bit lines"
        for i, j in np.ndindex(rows - 1, columns):
            yield f"rb{i}_{j} {bit(i, j)} {bit(i + 1, j)} {_number(circuit.bit)}"
    yield "* Cells"
    square, cube = (curve or Curve()).spread(circuit)
    for i, j in np.argwhere((circuit.conductance > 0) & active[:, None]):
        a, b, siemens = word(i, j), bit(i, j), circuit.conductance[i, j]
        yield f"rc{i}_{j} {a} {b} {_number(1 / siemens)}"
        if square[i, j] or cube[i, j]:
            v, two, three = f"v({a},{b})", siemens * square[i, j], siemens * cube[i, j]
            yield f"bc{i}_{j} {a} {b} i={v}*{v}*(({_number(two)})+{v}*({_number(three)}))"


def _converters(columns: int, converter: Converter) -> Iterator[str]:
    yield f"* Converters of {converter.bits} bits: 1 V of code<k> is 1"
    low, high = _number(converter.low), _number(converter.high)
    for k in range(_codes(columns, converter)):
        amperes = f"(i(vs{2 * k})-i(vs{2 * k + 1}))" if converter.pairs else f"i(vs{k})"
        code = f"floor({amperes}/{_number(converter.lsb[k % converter.lsb.size])}+0.5)"
        yield f"bcode{k} code{k} 0 v=min(max({code},{low}),{high})"


def _codes(columns: int, converter: Converter) -> int:
    return columns // 2 if converter.pairs else columns


def _neurons(columns: int, neuron: Neuron) -> Iterator[str]:
    threshold, release = neuron.threshold, neuron.threshold * _RELEASE
    yield "* Neurons: u<j> is the voltage of the capacitor, spike<j> is 1 V while it is discharged"
    # A switch closes at vt + vh and opens at vt - vh.
    middle, half = _number((threshold + release) / 2), _number((threshold - release) / 2)
    ohm = _number(neuron.step / neuron.capacitance)
    yield f".model comparator sw(vt={middle} vh={half} ron=1 roff=1e12)"
    yield f".model discharge sw(vt=0.5 vh=0 ron={ohm} roff=1e15)"
    yield "vone one 0 1"
    yield "* Time 0, the operating point, is without them: nothing holds a capacitor's node there"
    for j in range(columns):
        yield f"bu{j} 0 u{j} i=time>0?i(vs{j}):0"
        yield f"cu{j} u{j} 0 {_number(neuron.capacitance)} ic=0"
        yield f"su{j} u{j} 0 spike{j} 0 discharge off"
        yield f"sspike{j} one spike{j} u{j} 0 comparator off"
        yield f"rspike{j} spike{j} 0 1e6"


def _control(commands: Iterable[str]) -> list[str]:
    # Without quit, batch mode goes on to look for analyses outside of this, and fails.
    return [".control", "set numdgt=15", *commands, "quit 0", ".endc"]


def _number(value: Any) -> str:
    return repr(float(value))
