r"""What leads into a circuit of flux quanta and out of it, measured: `dcsfq` and `sfqdc`.

* `dcsfq` takes edges of current and no pulses. Its **delay** is from the middle of a rising edge,
  of 480 uA in 20 ps, to the pulse at its output, the longest of all after the first, and its
  **energy** the work of its biases for one period of rise, pulse and fall. **apart** is the least
  time from one rising edge to the next, each as long as the falling one between them, in steps of
  0.5 ps, from which on every edge sends its pulse, all equally long behind it to ``LATE``.
* `sfqdc` gives a **voltage**, the mean over the turns of its output's junction while it is on,
  :math:`\Phi_0 f`, at 50 ohm. Its **delay** is from a pulse at its input to the first of these
  turns, and to the last one after a pulse that turns it off. While it is on its biases work all the
  time: **power**, which is the work of some whole periods over the time that it was on in them.
  **energy** has one line for each input, as that of machines, of a pulse that turns it on and of
  one that turns it off, and **turn** is what each turn of the output's junction takes besides:
  whole turns of what each bias feeds, :math:`\Phi_0 I_k` each. **apart** is from a pulse that
  turns it on to one that turns it off, and from that to the next, the least in steps of 0.25 ps
  from which on it is off and on behind them, and the input sees all, with one of these steps as a
  guard.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ..cells import Cell, cell, value_of
from ..cells.netlist import pulses
from ..josephson.simulate import Found, Simulator, Transient
from ..josephson.waves import FLUX
from . import trials
from .testbench import FINE, FIRST, LATE, UNIT, settled, up, work_of
from .trials import trial

Floats = npt.NDArray[np.float64]

KINDS: Final = ("dcsfq", "sfqdc")
_STEP: Final = 0.05e-12
_EDGES: Final[Floats] = FINE * np.arange(12, 81, dtype=np.float64)  # s, each half a period
_MANY: Final = 12  # of them in a row
_GAPS: Final[Floats] = FINE * np.arange(16, 121, dtype=np.float64)
_SOON: Final = 10e-12  # s: where a source has its triangle before it is moved
_PERIODS: Final = (2, 4)  # whole ones, of which the second has two more


def measured(kind: str) -> dict[str, Any]:
    """Figures of one of ``KINDS``: s, J, V and W."""
    return _into() if kind == "dcsfq" else _out()


def _run(kind: str, until: float) -> tuple[Found, float]:
    tried = trial(kind)
    found = tried.simulator.run(Transient(until, _STEP), watch=tried.watch)
    own = [f"{name}|x" for name in cell(kind).biases]
    return found, float(work_of(tried.simulator.circuit, own, found)[0])


def _into() -> dict[str, Any]:
    runs = [_run("dcsfq", trials.RISE + trials.PERIOD * n) for n in _PERIODS]
    sent = runs[1][0].pulses.of("q", after=0.0)
    middle = 1.5 * trials.RISE + trials.PERIOD * np.arange(sent.size)
    work = (runs[1][1] - runs[0][1]) / (_PERIODS[1] - _PERIODS[0])
    return {
        "delay": round(float((sent - middle)[1:].max()), 14),
        "energy": float(f"{work:.3g}"),
        "apart": round(period(cell("dcsfq")), 14),
    }


def period(this: Cell) -> float:
    """The least time in s from one rising edge into a `dcsfq` to the next; E1425 if none is."""
    alike = np.zeros(_EDGES.size, np.bool_)
    for k, edge in enumerate(_EDGES.tolist()):
        until = trials.RISE + 2 * edge * _MANY
        circuit = trials.driven(this, edge, 0.0, 2 * edge)
        found = Simulator(circuit).run(Transient(until + FIRST, _STEP), watch=("q",)).pulses
        sent = found.of("q", after=0.0)
        middle = trials.RISE + edge / 2 + 2 * edge * np.arange(sent.size)
        late = np.ptp(sent - middle) if sent.size > _MANY else np.inf
        alike[k] = late < LATE and not (found.direction < 0).any()
    return 2 * _finite(settled(_EDGES, alike), "dcsfq")


def _finite(least: float, kind: str) -> float:
    if np.isfinite(least):
        return least
    raise fail("E1425", f"the cell '{kind}' does not follow, whatever time lies between inputs")


def _out() -> dict[str, Any]:
    """On by one pulse and off by the next."""
    ends = [trials.START + 2 * trials.SLOW * n for n in _PERIODS]
    runs = [_run("sfqdc", end - trials.SLOW / 3) for end in ends]
    found = runs[1][0].pulses
    came, turns = (found.of(probe, after=0.0) for probe in ("a", "B8|x"))
    on, off = came[0::2], came[1::2]
    each = [
        turns[(turns > a) & (turns < b + trials.SLOW / 3)] for a, b in zip(on, off, strict=True)
    ]
    rate = [(t.size - 1) / (t[-1] - t[0]) for t in each]
    work = (runs[1][1] - runs[0][1]) / (_PERIODS[1] - _PERIODS[0])
    return {
        "delay": [
            round(max(float(t[0] - a) for t, a in zip(each, on, strict=True)), 14),
            round(max(float(t[-1] - b) for t, b in zip(each, off, strict=True)), 14),
        ],
        "voltage": float(f"{FLUX * np.mean(rate):.3g}"),
        "power": float(f"{work / trials.SLOW:.3g}"),
        **_taken(),
        "apart": [float(up(least + FINE, UNIT)) for least in toggled(cell("sfqdc"))],
    }


def _taken() -> dict[str, Any]:
    """Energy of a pulse that turns it on and of one that turns it off, and of each turn, J."""
    ends = trials.START + trials.SLOW * np.array([0.0, 1.0, 2.0])
    # At rest, on, and at rest again, each just before the next pulse of the trial comes.
    circuit = trial("sfqdc").simulator.circuit
    names = [f"{name}|x" for name in cell("sfqdc").biases]
    before, on, off = (_run("sfqdc", float(end))[0] for end in ends)
    quantum = [FLUX * value_of(circuit.part(name)) for name in names]

    def turns(found: Found) -> Floats:
        work = [float((work_of(circuit, [n], found) - work_of(circuit, [n], before))[0])
                for n in names]  # fmt: skip
        return np.round(np.array(work) / quantum)

    first, both = turns(on), turns(off)
    # What one pulse turns more than once turns as long as there is a voltage.
    runs = first > 1
    of_pulse = np.where(runs, 0.0, quantum)
    energy = [[float(of_pulse @ first)], [float(of_pulse @ (both - first))]]
    return {
        "energy": [[float(f"{value:.3g}") for value in line] for line in energy],
        "turn": float(f"{np.where(runs, quantum, 0.0).sum():.3g}"),
    }


def toggled(this: Cell) -> tuple[float, float]:
    """The least times in s from on to off and from off to on of a `sfqdc`; E1425 if none are."""
    # On and soon off; or on, off and soon on: then it stays as it is, and one more pulse tells.
    words = [[trials.START + trials.SLOW * k for k in range(first + 1)] for first in (0, 1)]
    count, sets = 4, 2 * _GAPS.size
    times = np.empty((2, _GAPS.size, count))
    for way, word in enumerate(words):
        last = word[-1] + _GAPS
        late = [last + trials.SLOW * k for k in range(1, count)]
        times[way] = np.stack([*(np.full(_GAPS.size, t) for t in word), last, *late], 1)[:, :count]
    flat = times.reshape(sets, count)
    simulator = Simulator(trials.amplified(this, [pulses([_SOON])] * count))
    found = simulator.run(
        Transient(float(flat.max()) + trials.SLOW, _STEP),
        delays={f"I>a0.{k}": flat[:, k] - _SOON for k in range(count)},
        watch=("a", "B8|x"),
    ).pulses
    least = []
    for way in range(2):
        right, gap = np.zeros(_GAPS.size, np.bool_), _GAPS.copy()
        for k in range(_GAPS.size):
            number = way * _GAPS.size + k
            came, turned = (found.of(net, number, after=0.0) for net in ("a", "B8|x"))
            if came.size != count:
                continue
            gap[k] = came[way + 1] - came[way]
            # From a third of the time behind each pulse until the next: those after the close two.
            ends = np.append(came, came[-1] + trials.SLOW)
            on = [
                ((turned > a + trials.SLOW / 3) & (turned < b)).any()
                for a, b in zip(ends[way + 1 : -1], ends[way + 2 :], strict=True)
            ]
            wanted = [k % 2 == 0 for k in range(way + 1, count)]
            right[k] = on == wanted
        least.append(_finite(settled(gap, right), "sfqdc"))
    return least[0], least[1]
