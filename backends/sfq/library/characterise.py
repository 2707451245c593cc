r"""What cells are, measured: delays, least times between pulses, jitter and energy.

``python -m spikec.backends.sfq.library.characterise`` writes ``cells/timing.json``, of
each cell between two JTLs in front of each input and two behind each output, at its nominal bias,
without noise.

* A **pulse** passes a net when the phase of the net's node passes :math:`\pi + 2 \pi n`. A delay is
  from the net at an input to the net at an output, with nothing else for 50 ps; delays of a chain
  of cells add up.
* **apart** of inputs x and y is the least time from a pulse at x to one at y, at their nets, with
  which, in whatever state, the cell is its machine: inputs and outputs see every pulse, nothing
  goes back, words that tell states apart find the right one behind it, and each delay is within
  ``LATE`` of its table's. Of pairs it is found in steps of 1 ps, then of 0.25 ps, with one of these
  on top as a guard. Then random stimuli of ``EVENTS`` pulses keep it, half of them as close as it
  allows; where one fails, the pair that had least time to spare gets 0.25 ps more, until
  ``STIMULI`` of them hold.
* **jitter** is the furthest that a delay was from its table's in these.
* **beside** is the furthest that a delay is from its table's where the cell drives any cell of
  the library directly and not a JTL, its own, or that of what it drives, and **at_input** where a
  source drives it; up to whole 0.1 ps.
* **energy** (states, inputs) is the work of the cell's own bias currents, from rest to rest:
  :math:`\sum_k I_k (\Phi_0 / 2 \pi) \Delta\varphi_k`, :math:`\Phi_0 I_k` for each turn of the
  junction that a current biases. All of it becomes heat, there or in a neighbour. **static** is the
  power :math:`I_b V_b` of biases that come through resistors from the process's bias voltage,
  pulses or not; the work above is a part of it. Either is in the cold: at room temperature it is
  ``cooling`` times as much.
* **margins** are those of `trials`: how far the bias of cell and lines together and each kind of
  the cell's elements may go, ``reach`` where nothing failed; **elements** and **parameters** are
  those of each element of the deck and of each ``.param``, with all that it sets.
* **decision** is what `decision` finds of `threshold`, **converts** what `converters` finds of
  `dcsfq` and `sfqdc`: these are no machines.
* **neurons** are the same of the neurons of `counter`.
* **yield** is how many of how many circuits pass the same trial where every element, of the lines
  too, has four times the process's spread.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt

from ....boards.process import Process, load_process
from ....compiler.backend import Margin
from ....compiler.progress import bars
from ....ir.diagnostics import fail
from ..cells import CELLS, Cell, cell, chance
from ..cells.netlist import Instance, Netlist, pulses
from ..cells.timing import Timing
from ..josephson.margins import REACH, RESOLUTION, Spread, Trial, margins, yields
from ..josephson.simulate import Simulator, Transient
from . import converters, counter, decision
from .testbench import (
    FINE,
    FIRST,
    LATE,
    UNIT,
    Bench,
    Stimuli,
    behind,
    front,
    random_stimuli,
    telling,
    up,
    ways,
)
from .trials import cell_margins, spread_out, trial

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

PROCESS: Final = "mitll-sfq5ee"
STIMULI: Final = 1000
EVENTS: Final = 10
_APART: Final = 50e-12  # s: alone, when a delay is tabulated
_MOST: Final = 40e-12  # s: the longest time between pulses that is tried
_COARSE: Final = 1e-12
_GUARD: Final = 0.1e-12  # of ``beside``: pulses that are close add a little to it
_ROUNDING: Final = 1e-15
_SOME: Final = 250  # stimuli in a turn of those that find who has to keep further apart
_TURNS: Final = 100
_SEED: Final = 14
_GROUPS: Final = ("cells", "neurons")
CHIPS: Final = 256
_TIMES: Final = 4.0  # as wide as the process's spread, with which all work


def delays(bench: Bench, threads: int = 1) -> tuple[Floats, Floats]:
    """Delay (states, inputs, outputs) in s and energy (states, inputs) in J of single pulses.

    E1425 where the cell is not its machine even then.
    """
    machine = bench.cell.machine
    assert machine is not None
    states, inputs, outputs = machine.sends.shape
    way = ways(machine)
    words = [
        (*way[s], *((x,) if x < inputs else ())) for s in range(states) for x in range(inputs + 1)
    ]
    longest = FIRST + _APART * max(len(word) for word in words)
    # All end at the same time, so that their last phases are at rest after equally long.
    stimuli = Stimuli.of(
        [[(p, longest - _APART * (len(w) - k)) for k, p in enumerate(w)] for w in words]
    )
    found = bench.run(stimuli, threads=threads)
    seen = bench.seen(stimuli, found.pulses)
    if not seen.right.all():
        raise fail("E1425", f"the cell '{bench.cell.name}' is not its machine between JTLs")
    last = np.array([max(len(w) - 1, 0) for w in words])
    alone = seen.delay[np.arange(len(words)), last].reshape(states, inputs + 1, outputs)
    work = bench.work(found).reshape(states, inputs + 1)
    return alone[:, :inputs], work[:, :inputs] - work[:, inputs:]


def apart(
    bench: Bench,
    table: Floats,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
    pairs: Collection[tuple[int, int]] | None = None,
) -> Floats:
    """The least times between pulses, without a guard: (inputs, inputs) in s.

    Of some ``pairs`` of inputs only, NaN for the others, or of all.
    """
    inputs = len(bench.cell.inputs)
    chosen = [pairs is None or pair in pairs for pair in np.ndindex(inputs, inputs)]
    coarse = np.arange(0, _MOST + _COARSE / 2, _COARSE).astype(np.float64)
    worst, best = _tried(bench, table, [coarse if c else coarse[:0] for c in chosen], threads)
    if progress is not None:
        progress(0.5)
    grids: list[Floats] = []
    for low, wanted in zip(worst.ravel(), chosen, strict=True):
        start = max(0.0, low - _COARSE)
        grid = np.arange(start, start + 2 * _COARSE + FINE / 2, FINE).astype(np.float64)
        grids.append(grid if wanted else grid[:0])
    again, closer = _tried(bench, table, grids, threads)
    worst = np.maximum(worst, again)
    # The least that worked above all that did not.
    both = np.concatenate([best, closer], axis=2)
    least = np.where(both > worst[:, :, None], both, np.inf).min(2)
    return np.asarray(np.where(np.reshape(chosen, least.shape), least, np.nan))


def _tried(bench: Bench, table: Floats, grids: list[Floats], threads: int) -> tuple[Floats, Floats]:
    """Of every pair of inputs the longest time with which something failed, -1 for none.

    Also (inputs, inputs, tried) all with which nothing did, inf for the others. Times are those
    that nets saw where pulses got there.
    """
    machine = bench.cell.machine
    assert machine is not None
    states, inputs, _ = machine.sends.shape
    way, tails = ways(machine), telling(machine)
    stimuli, pair, tried, place = [], [], [], []
    for k, grid in enumerate(grids):
        x, y = divmod(k, inputs)
        for state in range(states):
            for tail in tails:
                for g, gap in enumerate(grid.tolist()):
                    word = [(p, FIRST + _MOST * i) for i, p in enumerate(way[state])]
                    first = FIRST + _MOST * len(way[state])
                    word += [(x, first), (y, first + gap)]
                    word += [(p, first + gap + _MOST * (i + 1)) for i, p in enumerate(tail)]
                    stimuli.append(word)
                    pair.append(k)
                    tried.append(gap)
                    place.append((g, len(way[state])))
    driven = Stimuli.of(stimuli)
    seen = bench.seen(driven, bench.run(driven, threads=threads).pulses)
    index = np.arange(driven.sets)
    which, step = np.array(pair), np.array(place)
    gap = seen.arrival[index, step[:, 1] + 1] - seen.arrival[index, step[:, 1]]
    gap = np.where(seen.right & np.isfinite(gap), gap, tried)
    off = np.abs(seen.delay - table[seen.before, driven.port])
    fine = seen.right & ~(off > LATE).any((1, 2))
    worst = np.full(inputs**2, -1.0)
    np.maximum.at(worst, which[~fine], gap[~fine])
    most = max(len(grid) for grid in grids)
    best = np.full((inputs**2, most), -np.inf)
    np.maximum.at(best, (which, step[:, 0]), np.where(fine, np.maximum(gap, 0.0), np.inf))
    best = np.where(np.isneginf(best), np.inf, best)
    return worst.reshape(inputs, inputs), best.reshape(inputs, inputs, most)


def gaps(stimuli: Stimuli, arrival: Floats, least: Floats) -> Floats:
    """How much longer than ``least`` it is from each pulse to each later one, in s.

    (sets, pulses, pulses), earlier and later; inf where the second is not later.
    """
    port = stimuli.port
    spare = arrival[:, None, :] - arrival[:, :, None] - least[port[:, :, None], port[:, None, :]]
    return np.where(np.triu(np.ones(spare.shape[1:], np.bool_), 1), spare, np.inf)


def _judged(
    bench: Bench, table: Floats, least: Floats, sets: int, seed: int, threads: int
) -> tuple[float, Integers]:
    """Of random stimuli that keep ``least``: how far delays were from their table's, in s.

    Also how often each pair of inputs (inputs, inputs) was the closest one where the cell was not
    its machine, or a delay was further than ``LATE`` from its table's.
    """
    stimuli = random_stimuli(least, 2 * sets, EVENTS, seed)
    seen = bench.seen(stimuli, bench.run(stimuli, threads=threads).pulses)
    # Pulses that are close arrive a little later than sources send them. Arrivals of a set in which
    # an input missed a pulse are not known: then what was sent counts.
    known: Bools = np.asarray(np.isfinite(seen.arrival).all(1), np.bool_)
    when = np.where(known[:, None], seen.arrival, stimuli.time)
    spare = gaps(stimuli, when, least)
    keeps: Bools = np.asarray((spare > -_ROUNDING).all((1, 2)), np.bool_)
    kept = np.flatnonzero(keeps)[:sets]
    spare, port, right = spare[kept], stimuli.port[kept], seen.right[kept]
    delay, sends = seen.delay[kept], seen.sends[kept]
    off: Floats = np.abs(delay - table[seen.before[kept], port])
    wrong: Bools = sends & ~(off <= LATE)
    event: Bools = np.asarray(wrong.any(2), np.bool_)
    faulty = event.any(1) | ~right
    first = np.where(event.any(1), event.argmax(1), EVENTS - 1)
    # Who is to blame of a late pulse comes before it; of one that is missing, maybe long before.
    later = np.arange(EVENTS)[None, None, :]
    limit = first[:, None, None]
    spare = np.where(right[:, None, None] & (later != limit), np.inf, spare)
    spare = np.where(later > limit, np.inf, spare)
    one, other = np.divmod(spare.reshape(len(kept), -1).argmin(1), EVENTS)
    rows = np.arange(len(kept))
    blamed: Integers = np.zeros(least.shape, np.int64)
    np.add.at(blamed, (port[rows, one][faulty], port[rows, other][faulty]), 1)
    return float(np.nanmax(off, initial=0.0)), blamed


def characterised(
    kind: str | Cell | Bench, threads: int = 1, progress: Callable[[float], None] | None = None
) -> tuple[Timing, Floats]:
    """A cell's timing and energy (states, inputs) in J; E1425 where it is not its machine."""
    tell = progress or (lambda share: None)
    bench = kind if isinstance(kind, Bench) else Bench(kind)
    name = bench.cell.name
    table, energy = delays(bench, threads)
    tell(0.05)
    least = apart(bench, table, threads, lambda share: tell(0.05 + 0.35 * share))
    # Two that may come at once may do so in either order: nothing is closer.
    least = np.where(least > FINE / 2, up(least + FINE, UNIT), 0.0)
    for turn in range(_TURNS):
        off, blamed = _judged(bench, table, least, _SOME, _SEED + 1 + turn, threads)
        if not blamed.any():
            off, blamed = _judged(bench, table, least, STIMULI, _SEED, threads)
            if not blamed.any():
                tell(1.0)
                return Timing(np.round(table, 14), least, float(up(off, 0.01e-12))), energy
        tell(0.4 + 0.6 * turn / _TURNS)
        least = np.where(blamed, up(least + FINE, UNIT), least)
        if (least > _MOST).any():
            break
    raise fail("E1425", f"the cell '{name}' is not its machine, whatever time lies between pulses")


def beside(tables: Mapping[str, Floats], driver: str, receiver: str, port: str) -> float:
    """How far delays are from their tables' where one cell drives another, not a JTL, in s.

    Of the driver's first output, and of the receiver where a pulse at ``port`` makes it send;
    ``tables`` are delays by cell. E1425 where a pulse is lost.
    """
    one, other = cell(driver), cell(receiver)
    sender, taker = one.machine, other.machine
    assert sender is not None
    assert taker is not None
    to = other.inputs.index(port)
    state, x = (int(k) for k in np.argwhere(sender.sends[:, :, 0])[0])
    words = {"d": [one.inputs[k] for k in (*ways(sender)[state], x)]}
    # A state of the receiver from which the pulse is sent on, that its other inputs can lead to.
    sending = [
        (way, int(s))
        for s, way in enumerate(ways(taker))
        if to not in way and taker.sends[s, to].any()
    ]
    words["r"] = [other.inputs[k] for k in sending[0][0]] if sending else []
    instances = []
    times: dict[str, list[float]] = {}
    now = FIRST
    for name, this in (("r", other), ("d", one)):
        nets = {p: f"{name}_{p}" for p in this.ports}
        if name == "r":
            nets[port] = f"d_{one.outputs[0]}"
        instances.append(Instance(name, this.name, nets))
        for p in this.inputs:
            if nets[p].startswith(name):
                instances += front(nets[p])
                times[f"{nets[p]}0"] = []
        for p in this.outputs:
            if name == "r" or p != one.outputs[0]:
                instances += behind(nets[p])
        for p in words[name]:
            times[f"{nets[p]}0"].append(now)
            now += _APART
    circuit = Netlist(tuple(instances)).circuit({net: pulses(at) for net, at in times.items()})
    probes = (f"d_{words['d'][-1]}", f"d_{one.outputs[0]}", *(f"r_{q}" for q in other.outputs))
    found = Simulator(circuit).run(Transient(now + _APART), watch=probes).pulses
    passed = [float(np.append(np.nan, found.of(net, after=0.0))[-1]) for net in probes]
    off = [passed[1] - passed[0] - tables[driver][state, x, 0]]
    if sending:
        table = tables[receiver][sending[0][1], to]
        shift = np.array(passed[2:]) - passed[1] - table
        off += shift[np.isfinite(table)].tolist()
    if not np.isfinite(off).all():
        raise fail("E1425", f"the cell '{driver}' does not drive a '{receiver}' at '{port}'")
    return float(np.abs(off).max())


def at_input(tables: Mapping[str, Floats], kind: str) -> float:
    """How far the delay of a cell is from its table's where sources drive it and no JTL, in s.

    Of the first output that a shortest way sends on; E1425 where a pulse is lost.
    """
    this = cell(kind)
    machine = this.machine
    assert machine is not None
    state, x = (int(k) for k in np.argwhere(machine.sends[:, :, 0])[0])
    word = [this.inputs[k] for k in (*ways(machine)[state], x)]
    instances = [Instance("x", kind, {port: port for port in this.ports})]
    # Behind it are the loads that make most of it: what splits again.
    for port in this.outputs:
        ends = {"a": port, "q": f"{port}0", "r": f"{port}1"}
        instances += [Instance(port, "splitter", ends), *behind(f"{port}0"), *behind(f"{port}1")]
    times: dict[str, list[float]] = {port: [] for port in this.inputs}
    for k, port in enumerate(word):
        times[port].append(FIRST + _APART * k)
    circuit = Netlist(tuple(instances)).circuit({net: pulses(at) for net, at in times.items()})
    probes = (word[-1], this.outputs[0])
    how = Transient(FIRST + _APART * (len(word) + 1))
    found = Simulator(circuit).run(how, watch=probes).pulses
    came, sent = (np.append(np.nan, found.of(net, after=0.0))[-1] for net in probes)
    shift = float(abs(sent - came - tables[kind][state, x, 0]))
    if not np.isfinite(shift):
        raise fail("E1425", f"the cell '{kind}' loses a pulse that a source brings")
    return shift


def measured(kind: str, process: Process, threads: int = 1, progress: Any = None) -> dict[str, Any]:
    """What ``timing.json`` says of a cell."""
    this = cell(kind)
    tell = progress or (lambda share: None)
    out = _costs(this, process)
    if this.machine is not None:
        out |= _times(Bench(kind), threads, lambda share: tell(share / 2))
    if kind == decision.KIND:
        least = {"apart": decision.apart(threads=threads).tolist()}
        out["decision"] = decision.measured(threads=threads) | least
    if kind in converters.KINDS:
        out["converts"] = converters.measured(kind)
    # What `release` finds of the one that chance decides is in ``release.json``.
    if kind != chance.KIND:
        found = cell_margins(kind, threads=threads, progress=lambda s: tell(0.5 + s / 2))
        out |= room(found, {
            "elements": [part.name for part in this.circuit.parts],
            "parameters": list(this.parameters),
        })  # fmt: skip
        out |= _good(trial(kind), process, threads)
    return out


def neuron(theta: int, process: Process, threads: int = 1, progress: Any = None) -> dict[str, Any]:
    """What ``timing.json`` says of the neuron that counts to theta.

    What grows with theta: junctions, energy and **setup**, from a pulse on the line to the clock as
    `apart` finds it of this pair alone. Of the first of ``counter.THETAS`` all that a cell has.
    """
    tell = progress or (lambda share: None)
    bench = counter.bench(theta)
    table, energy = delays(bench, threads)
    pair = bench.cell.inputs.index("line"), bench.cell.inputs.index("clk")
    setup = apart(bench, table, threads, tell, [pair])[pair]
    out = _costs(bench.cell, process) | {"setup": round(float(setup), 14)}
    if theta != counter.THETAS[0]:
        return out | {"energy": _listed(_rounded(energy))}
    out |= _times(bench, threads, lambda share: tell(share / 2))
    tried = counter.trial(theta)
    # Without what holds its ports while nothing is joined to them.
    own = [part.name for part in bench.cell.circuit.parts if "|" in part.name]
    found = margins(tried, spread_out(tried, own), threads=threads, progress=tell)
    return out | room(found, {"elements": own}) | _good(tried, process, threads)


def _costs(this: Cell, process: Process) -> dict[str, Any]:
    return {
        "junctions": this.junctions,
        "bias": float(f"{this.bias:.6g}"),
        "static": float(f"{this.bias * process.bias_voltage.value:.4g}"),
    }


def _times(bench: Bench, threads: int, progress: Callable[[float], None]) -> dict[str, Any]:
    timing, energy = characterised(bench, threads, progress)
    return {
        "delay": _listed(timing.delay),
        "apart": _listed(timing.apart),
        "jitter": timing.jitter,
        "energy": _listed(_rounded(energy)),
    }


def room(
    found: Mapping[str, Margin],
    parts: Mapping[str, list[str]],
    resolution: float = RESOLUTION,
) -> dict[str, Any]:
    """Margins as files have them, by what they are of: of all of a kind those in no ``parts``."""
    ranges = {title: _range(margin, resolution) for title, margin in found.items()}
    out: dict[str, Any] = {key: {n: ranges.pop(n) for n in names} for key, names in parts.items()}
    return {"margins": ranges, **out}


def _good(tried: Trial, process: Process, threads: int) -> dict[str, Any]:
    good = yields(tried, Spread.of(process, _TIMES), CHIPS, seed=_SEED, threads=threads)
    return {"yield": [good.working, good.count]}


def _rounded(values: Floats) -> Floats:
    """To three digits."""
    return np.array([float(f"{value:.3g}") for value in values.flat]).reshape(values.shape)


def _range(margin: Margin, resolution: float) -> list[float]:
    """To the resolution, inwards: what failed is not in it."""
    low, high = (
        np.floor(abs(m) / resolution + 1e-6) * resolution for m in (margin.low, margin.high)
    )
    return [-round(float(low), 4), round(float(high), 4)]


def _listed(values: Floats) -> Any:
    """As JSON has them: `null` where there is none."""
    boxed = values.astype(object)
    boxed[np.isnan(values)] = None
    nested: Any = boxed.tolist()
    return nested


def document(
    threads: int = 1, progress: Callable[[str, float], None] | None = None
) -> dict[str, Any]:
    """The whole of ``timing.json``."""
    process = load_process(PROCESS)
    cells = {}
    for kind in CELLS:
        tell = None if progress is None else (lambda share, kind=kind: progress(kind, share))
        cells[kind] = measured(kind, process, threads, tell)
    tables = {
        kind: np.array(found["delay"], np.float64)
        for kind, found in cells.items()
        if "delay" in found
    }
    for kind in tables:
        shifts = [beside(tables, kind, other, p) for other in tables for p in cell(other).inputs]
        cells[kind]["beside"] = float(up(max(shifts), _GUARD))
        cells[kind]["at_input"] = float(up(at_input(tables, kind), _GUARD))
    neurons = {}
    for theta in counter.THETAS:
        tell = None if progress is None else (lambda s, t=theta: progress(f"neuron {t}", s))
        neurons[str(theta)] = neuron(theta, process, threads, tell)
    return {
        "units": "s, A, J, W",
        "process": process.name,
        "bias_voltage": process.bias_voltage.value,
        "cooling": process.cooling.value,
        "reach": REACH,
        "spread": {k: _TIMES * v for k, v in Spread.of(process).element.items()},
        "cells": cells,
        "neurons": neurons,
    }


def text(found: dict[str, Any]) -> str:
    """The file: a line for each figure of a cell."""
    head = "".join(
        f" {json.dumps(k)}: {json.dumps(v)},\n" for k, v in found.items() if k not in _GROUPS
    )
    groups = []
    for group in _GROUPS:
        cells = []
        for name, figures in found[group].items():
            lines = ",\n".join(f"   {json.dumps(k)}: {json.dumps(v)}" for k, v in figures.items())
            cells.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
        groups.append(f' "{group}": {{\n' + ",\n".join(cells) + "\n }")
    return "{\n" + head + ",\n".join(groups) + "\n}\n"


@click.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None)
@click.option("--threads", type=click.IntRange(1), default=1, help="Threads that simulate.")
def main(output: Path | None, threads: int) -> None:
    """Measure all cells and write what they are, to `cells/timing.json` if not said otherwise."""
    with bars() as progress:
        found = document(threads=threads, progress=progress)
    place = Path(__file__).parents[1] / "cells" / "timing.json" if output is None else output
    place.write_text(text(found), encoding="utf-8")
    click.echo(f"{place.name}: {len(found['cells'])} cells", file=sys.stderr)


if __name__ == "__main__":
    main()
