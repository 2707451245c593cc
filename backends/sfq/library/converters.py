r"""What leads into a circuit of flux quanta and out of it, measured: `dcsfq` and `sfqdc`.

* `dcsfq` takes edges of current and no pulses. Its **delay** is from the middle of a rising edge,
  of 480 uA in 20 ps, to the pulse at its output, the longest of all after the first, and its
  **energy** the work of its biases for one period of rise, pulse and fall.
* `sfqdc` gives a **voltage**, the mean over the turns of its output's junction while it is on,
  :math:`\Phi_0 f`, at 50 ohm. Its **delay** is from a pulse at its input to the first of these
  turns, and to the last one after a pulse that turns it off. While it is on its biases work all the
  time: **power**, which is the work of some whole periods over the time that it was on in them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ..cells import cell
from ..josephson.simulate import Found, Transient
from ..josephson.waves import FLUX
from . import trials
from .testbench import work_of
from .trials import trial

KINDS: Final = ("dcsfq", "sfqdc")
_STEP: Final = 0.05e-12
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
    }


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
    }
