r"""What each cell of the library has to do while its values are varied: a `Trial` of each.

A cell that is a machine has to be it on random pulses ``SPACING`` or more apart, with delays below
``WITHIN``. `threshold` is tried as it is biased, to pass what comes at both inputs within 8 ps and
nothing else; `dcsfq` sends one pulse for each rising edge of current, of 480 uA in 20 ps; `sfqdc`
turns a voltage at 50 ohm on and off, by turns.

What `synapse` does is a probability p. Where it is to be a half, and is

.. math:: p = \Phi\left(\frac{I_b - I_{50}}{\sigma}\right),

it is within ``AROUND`` of it as long as :math:`I_b - I_{50}` is within
:math:`\delta = \sigma\, \Phi^{-1}(1/2 + \mathrm{AROUND})` of 0: without noise a pulse has to
pass with :math:`\delta` more than :math:`I_b` and must not with :math:`\delta` less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from ....compiler.backend import Margin
from ....ir.diagnostics import fail
from ..cells import Cell, cell, chance, powers
from ..cells.netlist import Instance, Netlist, pulses
from ..josephson.circuit import GROUND, Circuit, CurrentSource, Resistor
from ..josephson.margins import RESOLUTION, Check, Group, Tell, Trial, elements, kinds, margins
from ..josephson.simulate import Pulses, Simulator, Transient
from ..josephson.waves import Constant, Pulse, Wave
from .testbench import FIRST, Bench, Stimuli, random_stimuli

Bools = npt.NDArray[np.bool_]

SPACING: Final = 20e-12  # s
WITHIN: Final = 20e-12  # s
CASES: Final = 8
_EVENTS: Final = 12
_SEED: Final = 3
_STEP: Final = 0.1e-12

_EDGES: Final = 8  # of dcsfq
_AMPERE: Final = 480e-6
RISE: Final = 20e-12
PERIOD: Final = 80e-12
START: Final = 60e-12
SLOW: Final = 150e-12  # s between pulses of sfqdc
_LOAD: Final = 50.0  # ohm: the cable that it drives
_RUNS: Final = 5  # turns of its junction in a period, at least, while there is a voltage
_PAIRS: Final = 60e-12  # s from one try of threshold to the next
AROUND: Final = 0.05  # of a half, in which the probability of synapse is to stay
_MORE: Final = "I>more"
_PASSED: Final = 60e-12  # s behind a pulse into the line in front of synapse


def trial(kind: str | Cell, cases: int = CASES) -> Trial:
    """The trial of a cell, of a machine with so many random stimuli; E1426 if it has none."""
    this = cell(kind) if isinstance(kind, str) else kind
    if this.name in _OTHERS:
        return _OTHERS[this.name](this)
    if this.machine is None:
        raise fail("E1426", f"the cell '{this.name}' is no machine, and nothing says when it works")
    bench = Bench(this)
    return machine_trial(bench, SPACING, cases)


def machine_trial(
    bench: Bench, spacing: float, cases: int = CASES, steady: float = np.inf
) -> Trial:
    """Whether a bench's cell is its machine on random pulses ``spacing`` s or more apart.

    Delays of one input in one state are to be ``steady`` s of one another.
    """
    inputs = len(bench.cell.inputs)
    least = np.full((inputs, inputs), spacing)
    return bench.trial(random_stimuli(least, cases, _EVENTS, _SEED), WITHIN, _STEP, steady)


def cell_margins(
    kind: str | Cell,
    *,
    tried: Trial | None = None,
    resolution: float = RESOLUTION,
    threads: int = 1,
    progress: Tell | None = None,
) -> dict[str, Margin]:
    """Margins of the bias of cell and lines together, and of what the cell is made of.

    Of its `trial`, or of one that is ``tried``.

    Titles are ``bias``, ``areas``, ``inductances``, ``resistors``, elements by their names in the
    deck and behind them its parameters, with which all elements go that they set.
    """
    this = cell(kind) if isinstance(kind, str) else kind
    tried = tried or trial(this)
    groups = cell_groups(this, tried)
    return margins(tried, groups, resolution=resolution, threads=threads, progress=progress)


def cell_groups(this: Cell, tried: Trial) -> dict[str, Group]:
    """What `cell_margins` are of."""
    groups = spread_out(tried, [f"{part.name}|x" for part in this.circuit.parts])
    return groups | {
        title: {f"{name}|x": power for name, power in group.items()}
        for title, group in powers(this.name).items()
    }


def spread_out(tried: Trial, own: Sequence[str]) -> dict[str, Group]:
    """Groups of all biases, of each kind of ``own`` elements, and of each of them."""
    circuit = tried.simulator.circuit
    groups: dict[str, Group] = {"bias": kinds(circuit)["bias"]}
    groups |= {title: group for title, group in kinds(circuit, own).items() if title != "bias"}
    groups |= {name.removesuffix("|x"): group for name, group in elements(circuit, own).items()}
    return groups


def _threshold(this: Cell) -> Trial:
    bench = Bench(this)
    skews = (None, 0.0, 8e-12, -8e-12, None, 0.0)
    events: list[tuple[int, float]] = []
    starts = []
    now = 40e-12
    for number, skew in enumerate(skews):
        starts.append(now)
        if skew is None:
            events.append((number % 2, now))
            events.append((1 - number % 2, now + _PAIRS))
            now += _PAIRS
        else:
            events += [(0, now + max(0.0, -skew)), (1, now + max(0.0, skew))]
        now += _PAIRS
    wanted = [skew is not None for skew in skews]
    stimuli = Stimuli.of([sorted(events, key=lambda event: event[1])])
    simulator, factors, delays = bench.driven(stimuli)
    ends = np.append(starts, now)
    many = (stimuli.port[0] == 0).sum()

    def check(found: Pulses, sets: int) -> Bools:
        right = _forward(found, sets)
        for port in bench.cell.inputs:
            right &= _counted(found, port, sets, np.array([0.0, ends[-1]]))[:, 0] == many
        for probe in (*bench.cell.outputs, *bench.ends):
            right &= (_counted(found, probe, sets, ends) == wanted).all(1)
        return right

    return Trial(simulator, Transient(now, _STEP), bench.watched, check, factors, delays)


def driven(this: Cell, edge: float, high: float, period: float) -> Circuit:
    """A `dcsfq` with two lines behind it, of edges of so many s of current from `RISE` s on."""
    names = (("x", "dcsfq", "a", "q"), ("q0", "jtl", "q", "q0"), ("q1", "jtl", "q0", "q1"))
    wave = Pulse(0.0, _AMPERE, RISE, edge, edge, high, period)
    return _chain(this, names, {"a": wave})


def _dcsfq(this: Cell) -> Trial:
    starts = np.asarray(RISE + PERIOD * np.arange(_EDGES + 1), np.float64)

    def check(found: Pulses, sets: int) -> Bools:
        right = _forward(found, sets)
        for probe in ("q", "q1"):
            right &= (_counted(found, probe, sets, starts) == 1).all(1)
        return right

    circuit = driven(this, RISE, RISE, PERIOD)
    return _simple(circuit, float(starts[-1]), ("q", "q1"), check)


def amplified(this: Cell, waves: Wave | Sequence[Wave]) -> Circuit:
    """An `sfqdc` behind two lines, at the 50 ohm of an amplifier; ``waves`` into the first."""
    names = (("a0", "jtl", "a0", "a1"), ("a1", "jtl", "a1", "a"), ("x", "sfqdc", "a", "q"))
    circuit = _chain(this, names, {"a0": waves})
    return Circuit(
        tuple(
            replace(p, ohm=_LOAD) if p.name == "R<q" and isinstance(p, Resistor) else p
            for p in circuit.parts
        )
    )


def _sfqdc(this: Cell) -> Trial:
    times = START + SLOW * np.arange(9)
    # A third of a period after each pulse, and until the next.
    windows = np.append(times, times[-1] + SLOW) + SLOW / 3

    def check(found: Pulses, sets: int) -> Bools:
        right = _counted(found, "a", sets, np.array([0.0, windows[-1]]))[:, 0] == times.size
        turns = np.stack(
            [
                _counted(found, "B8|x", sets, np.array([start, end - SLOW / 3]))[:, 0]
                for start, end in pairwise(windows.tolist())
            ],
            axis=1,
        )
        on = turns[:, 0::2] >= _RUNS
        return np.asarray(right & on.all(1) & (turns[:, 1::2] == 0).all(1))

    circuit = amplified(this, pulses(times))
    return _simple(circuit, float(windows[-1]), ("a", "B8|x"), check)


def _synapse(this: Cell) -> Trial:
    return around(this, float(chance.found()["still"]), chance.law())


def around(this: Cell, still: float, law: chance.Law) -> Trial:
    """Of a synapse whose I50 without noise is ``still`` A, with the ``law``'s spread of noise."""
    bench = Bench(this)
    usual = bench.netlist.circuit({"a0": pulses([FIRST])})
    source = usual.part(f"{chance.SOURCE}|x")
    assert isinstance(source, CurrentSource)
    delta = law.sigma * float(ndtri(0.5 + AROUND))
    more = CurrentSource(_MORE, GROUND, source.b, Constant(delta))
    watch = ("a", "q", bench.ends[0])
    wanted = np.array([[1, 1, 1], [1, 0, 0]])

    def check(found: Pulses, sets: int) -> Bools:
        counts = found.counts(sets=sets).reshape(-1, len(wanted), len(watch))
        return np.asarray((counts == wanted).all(2).ravel() & _forward(found, sets))

    return Trial(
        Simulator(Circuit((*usual.parts, more))),
        Transient(FIRST + _PASSED, _STEP),
        watch,
        check,
        {source.name: still / float(source.wave.at(0.0)), _MORE: np.array([1.0, -1.0])},
        cases=len(wanted),
    )


_OTHERS: Final = {
    "threshold": _threshold,
    "dcsfq": _dcsfq,
    "sfqdc": _sfqdc,
    chance.KIND: _synapse,
}


def _chain(
    this: Cell,
    names: Sequence[tuple[str, str, str, str]],
    waves: Mapping[str, Wave | Sequence[Wave]],
) -> Circuit:
    instances = [
        Instance(name, kind, {"a": a, "q": q}, this.changed if kind == this.name else {})
        for name, kind, a, q in names
    ]
    return Netlist(tuple(instances)).circuit(waves)


def _simple(circuit: Circuit, until: float, watch: tuple[str, ...], check: Check) -> Trial:
    return Trial(Simulator(circuit), Transient(until, _STEP), watch, check)


def _forward(found: Pulses, sets: int) -> Bools:
    """Whether nothing went back, (sets,)."""
    right = np.ones(sets, np.bool_)
    right[found.set[(found.direction < 0) & (found.time >= 0)]] = False
    return right


def _counted(
    found: Pulses, probe: str, sets: int, edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Pulses of a probe between each two ``edges`` s: (sets, edges - 1)."""
    chosen = (found.probe == found.probes.index(probe)) & (found.direction > 0)
    place = np.searchsorted(edges, found.time[chosen], "right") - 1
    index = found.set[chosen]
    kept = (place >= 0) & (place < len(edges) - 1)
    out = np.zeros((sets, len(edges) - 1), np.int64)
    np.add.at(out, (index[kept], place[kept]), 1)
    return out
