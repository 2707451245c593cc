r"""One deck from the command line: its pulses, and what it prints as waves.

``python -m spikec.backends.sfq.josephson.run DECK`` is to a deck what ``josim-cli DECK`` is. The
circuit, the transient and what is printed are the deck's own; noise is drawn from ``--seed``. A
voltage is that between two steps,

.. math:: V = \frac{\Phi_0}{2 \pi} \frac{\varphi_1 - \varphi_0}{h},

its time that of the later one; currents are those of resistors, V / R, of inductors without a
coupling, :math:`\Phi_0 \varphi / 2 \pi L`, and of sources of current. W1412 for what else a deck
prints.
"""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
import numpy.typing as npt

from ....compiler.backend import need
from ....compiler.files import write_file
from ....compiler.progress import bars
from ....compiler.report.style import GRID, INK, PHASES, Form, style, to_bytes
from ....ir.diagnostics import NOWHERE, Diagnostics, Location, SpikecError, fail
from ....ir.records import Record
from .circuit import (
    GROUND,
    Circuit,
    Coupling,
    CurrentSource,
    Element,
    Inductor,
    Junction,
    Line,
    Resistor,
)
from .deck import Deck, load, refused_at
from .simulate import QUANTUM, Found, Method, Simulator, Transient

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
# What a deck calls a phase, a voltage and a current: all others are the unit's letter itself.
_SORTS: Final = {
    "P": "P", "PHASE": "P", "DEVP": "P", "NODEP": "P",
    "V": "V", "DEVV": "V", "NODEV": "V", "DIVV": "V",
    "I": "I", "C": "I", "DEVI": "I", "DIVI": "I",
}  # fmt: skip
_UNITS: Final = {"P": "rad", "V": "mV", "I": "uA"}
_SCALES: Final = {"P": 1.0, "V": 1e3, "I": 1e6}
_PS: Final = 1e-12
_LINES: Final = 24  # of junctions on a terminal, and of waves and junctions in a plot
_TIMES: Final = 6


@dataclass(frozen=True, eq=False)
class Wave(Record):
    """``title`` as the deck has it, ``sort`` P, V or I, ``values`` (frames,) in rad, V or A."""

    title: str
    sort: str
    values: Floats


@dataclass(frozen=True, eq=False)
class Ran(Record):
    """A deck with the transient that it was given, what came of it, and what it prints."""

    deck: Deck
    how: Transient
    found: Found
    waves: tuple[Wave, ...]

    @property
    def pulses(self) -> dict[str, Floats]:
        """Times of each junction's pulses upwards, in s; junctions without one are there, too."""
        pulses = self.found.pulses
        return {name: pulses.of(name, after=-np.inf) for name in pulses.probes}


def ran(
    deck: Deck,
    told: Diagnostics,
    where: Location = NOWHERE,
    *,
    temperature: float | None = None,
    method: Method = Method.MIDPOINT,
    seed: int = 0,
    progress: Any = None,
) -> Ran:
    """Simulate a deck, at its own temperature or at that in K.

    ``where`` is the deck's place. E1407 where it has no ``.tran``; W1412 is ``told`` of what it
    prints and is not kept; else as ``Simulator.run``.
    """
    if deck.transient is None:
        raise fail("E1407", "the deck has no .tran", where, ".tran STEP STOP, as .tran 0.05p 200p")
    how = dataclasses.replace(deck.transient, method=method)
    if temperature is not None:
        how = dataclasses.replace(how, temperature=temperature)
    wanted = [(said, _nodes(deck.circuit, *said)) for said in deck.prints]
    for (kind, name), nodes in wanted:
        if nodes is None:
            why = f"{kind}({name}) of .print is left out: {_why(deck.circuit, kind, name)}"
            told.add(
                "W1412", why, where, "phases and voltages of nodes and of all elements are kept"
            )
    every = {node for _, nodes in wanted for node in nodes or () if node != GROUND}
    with refused_at(where):
        simulator = Simulator(deck.circuit)
        found = simulator.run(how, record=sorted(every), seed=seed, progress=progress)
    waves = tuple(
        Wave(f"{kind}({name.replace(' ', ',')})", *_wave(deck.circuit, found, kind, name, nodes))
        for (kind, name), nodes in wanted
        if nodes is not None
    )
    return Ran(deck, how, found, waves)


def _nodes(circuit: Circuit, kind: str, name: str) -> tuple[str, str] | None:
    """The two nodes of which a phase says what is printed; ``None`` where none does."""
    sort, parts = _SORTS.get(kind), {part.name: part for part in circuit.parts}
    part = parts.get(name)
    if sort == "I":
        coupled = {end for k in circuit.of(Coupling) for end in (k.first, k.second)}
        good = isinstance(part, Resistor | CurrentSource) or (
            isinstance(part, Inductor) and name not in coupled
        )
        return (part.a, part.b) if good and isinstance(part, Element) else None
    if sort is None:
        return None
    if isinstance(part, Element) and not isinstance(part, Line):
        return part.a, part.b
    known = {GROUND: GROUND, "GND": GROUND} | {node: node for node in circuit.nodes}
    ends = [known.get(node) for node in name.split()]
    if len(ends) == 1:
        ends.append(GROUND)
    first, second = ends if len(ends) == 2 else (None, None)
    return None if first is None or second is None else (first, second)


def _why(circuit: Circuit, kind: str, name: str) -> str:
    if kind not in _SORTS:
        return f"'{kind}' is no phase, voltage or current"
    names = {part.name for part in circuit.parts} | set(circuit.nodes)
    missing = [one for one in [name, *name.split()] if one not in names]
    if len(missing) > 1 or (missing and " " not in name):
        return f"no element or node has the name '{missing[-1]}'"
    return "currents of junctions, couplings, lines, capacitors and sources of voltage are not kept"


def _wave(
    circuit: Circuit, found: Found, kind: str, name: str, nodes: tuple[str, str]
) -> tuple[str, Floats]:
    sort = _SORTS[kind]
    phases = [
        np.zeros(found.times.size) if node == GROUND else found.phase(node)[0] for node in nodes
    ]
    phase = phases[0] - phases[1]
    step = found.times[1] - found.times[0]
    volt = np.append(0.0, QUANTUM * np.diff(phase) / step)
    if sort != "I":
        return sort, phase if sort == "P" else volt
    part = circuit.part(name)
    if isinstance(part, Resistor):
        return sort, volt / part.ohm
    if isinstance(part, Inductor):
        return sort, QUANTUM * phase / part.henry
    assert isinstance(part, CurrentSource)
    return sort, part.wave.at(found.times)


def pulses_csv(run: Ran) -> bytes:
    """A line for each pulse: junction, time in s, and 1 for upwards or -1 for back."""
    pulses, lines = run.found.pulses, ["junction,time_s,direction"]
    for k in np.argsort(pulses.time, kind="stable").tolist():
        name = pulses.probes[int(pulses.probe[k])]
        lines.append(f"{name},{float(pulses.time[k])!r},{int(pulses.direction[k])}")
    return "\n".join([*lines, ""]).encode()


def waves_csv(run: Ran) -> bytes:
    """Times and waves as JoSIM writes them: a column each, in s, rad, V and A."""
    table = io.StringIO()
    columns = [run.found.times, *(wave.values for wave in run.waves)]
    titles = ",".join(["time", *(f'"{wave.title}"' for wave in run.waves)])
    np.savetxt(table, np.column_stack(columns), "%.12g", ",", header=titles, comments="")
    return table.getvalue().encode()


def npz(run: Ran) -> bytes:
    """Both in one: ``junctions`` (n,), ``junction``, ``time`` and ``direction`` (pulses,).

    ``times`` (frames,), ``titles`` (waves,) and ``waves`` (waves, frames) are what is printed.
    """
    pulses, data = run.found.pulses, io.BytesIO()
    np.savez_compressed(
        data,
        junctions=np.array(pulses.probes, np.str_),
        junction=pulses.probe,
        time=pulses.time,
        direction=pulses.direction,
        times=run.found.times,
        titles=np.array([wave.title for wave in run.waves], np.str_),
        waves=np.array([wave.values for wave in run.waves]).reshape(len(run.waves), -1),
    )
    return data.getvalue()


def figure(run: Ran) -> Figure:
    """What the deck prints, a row each; pulses of its junctions where it prints nothing."""
    from matplotlib.figure import Figure

    times, shown = run.found.times / _PS, run.waves[:_LINES]
    if not shown:
        rows = dict(list(run.pulses.items())[:_LINES])
        drawn = Figure(figsize=(7.6, 1.0 + 0.24 * len(rows)), layout="constrained")
        axis = drawn.add_subplot()
        axis.eventplot([row / _PS for row in rows.values()], colors=PHASES[0], linelengths=0.7)
        axis.set_yticks(range(len(rows)), list(rows))
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.set_xlim(times[0] if times.size else 0.0, run.how.duration / _PS)
        axis.set_xlabel("pulses of junctions, ps")
        return drawn
    drawn = Figure(figsize=(7.6, 0.8 + 1.1 * len(shown)), layout="constrained")
    axes = drawn.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
    for k, (axis, wave) in enumerate(zip(axes, shown, strict=True)):
        axis.plot(times, wave.values * _SCALES[wave.sort], color=PHASES[k % len(PHASES)], lw=1)
        axis.set_title(wave.title, loc="left", fontsize=9, color=INK)
        axis.set_ylabel(_UNITS[wave.sort])
        axis.grid(color=GRID, lw=0.5)
    axes[-1].set_xlim(times[0], times[-1])
    axes[-1].set_xlabel("time, ps")
    return drawn


def as_dict(run: Ran, seed: int) -> dict[str, Any]:
    """As JSON, in SI units."""
    return {
        "elements": len(run.deck.circuit.parts),
        "junctions": len(run.deck.circuit.of(Junction)),
        "duration": run.how.duration,
        "step": run.how.step,
        "temperature": run.how.temperature,
        "seed": seed,
        "pulses": {name: times.tolist() for name, times in run.pulses.items()},
        "printed": [wave.title for wave in run.waves],
    }


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def lines(run: Ran) -> Sequence[str]:
    """What is told on a terminal: the circuit, and the pulses of its junctions in ps."""
    circuit, how = run.deck.circuit, run.how
    out = [
        f"{_many(len(circuit.parts), 'element')}, {_many(len(circuit.of(Junction)), 'junction')}; "
        f"{how.duration / _PS:g} ps in steps of {how.step / _PS:g} ps at {how.temperature:g} K"
    ]
    fired: Mapping[str, Floats] = {n: t for n, t in run.pulses.items() if t.size}
    width = max((len(name) for name in fired), default=0)
    for name, times in list(fired.items())[:_LINES]:
        first = ", ".join(f"{t / _PS:.2f}" for t in times[:_TIMES])
        more = f" and {times.size - _TIMES} more" if times.size > _TIMES else ""
        out.append(f"{name:<{width}}  {_many(times.size, 'pulse')} at {first}{more} ps")
    if len(fired) > _LINES:
        more = _many(len(fired) - _LINES, "junction")
        out.append(f"and {more} more with pulses: -o pulses.csv has all")
    if not fired:
        out.append("no junction has a pulse")
    return out


@click.command()
@click.argument("deck", type=click.Path(path_type=Path))
@click.option("--temperature", type=float, help="Of all resistors, in K, in place of the deck's.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the noise.")
@click.option(
    "--method",
    type=click.Choice([m.value for m in Method]),
    default=Method.MIDPOINT.value,
    show_default=True,
    help="The integrator; bdf2 is JoSIM's.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where pulses go: FILE.csv, or FILE.npz with the waves.",
)
@click.option(
    "--waves",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where what .print names goes: FILE.csv, as JoSIM writes it.",
)
@click.option(
    "--plot",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw what .print names, else the pulses: FILE.svg or FILE.png.",
)
@click.option("--json", "as_json", is_flag=True, help="Print pulses and facts as JSON.")
def main(
    deck: Path,
    temperature: float | None,
    seed: int,
    method: str,
    output: Path | None,
    waves: Path | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Simulate DECK, a circuit of Josephson junctions in the language of JoSIM and SPICE.

    It prints when each junction passes a flux quantum. docs/sfq.md has what is read of the
    language.
    """
    for path, allowed in ((output, (".csv", ".npz")), (waves, (".csv",)), (plot, (".svg", ".png"))):
        if path is not None and path.suffix.lower() not in allowed:
            raise click.UsageError(f"'{path}' has to end in {' or '.join(allowed)}")
    told = Diagnostics()
    try:
        with bars() as watch:
            read = load(deck)
            run = ran(
                read,
                told,
                Location(str(deck)),
                temperature=temperature,
                method=Method(method),
                seed=seed,
                progress=lambda share: watch("simulate", share),
            )
        for found in told:
            click.echo(str(found), err=True)
        if output is not None:
            write_file(output, pulses_csv(run) if output.suffix.lower() == ".csv" else npz(run))
        if waves is not None:
            if not run.waves:
                raise fail(
                    "E1407", "the deck prints nothing", Location(str(deck)), ".print v(NODE)"
                )
            write_file(waves, waves_csv(run))
        if plot is not None:
            form: Form = "png" if plot.suffix.lower() == ".png" else "svg"
            need("matplotlib", "plot", "--plot")
            with style("deck"):
                write_file(plot, to_bytes(figure(run), "deck", form))
    except SpikecError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("interrupted; nothing was left half-written", err=True)
        sys.exit(130)
    if as_json:
        click.echo(json.dumps(as_dict(run, seed), indent=1))
    else:
        click.echo("\n".join(lines(run)))


if __name__ == "__main__":
    main()
