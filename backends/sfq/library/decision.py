r"""The `threshold` cell, measured: what it does at which bias, when, how far apart inputs may be.

At a bias :math:`I_b` it passes nothing, only what comes at both inputs (and), what comes at either
(or), or sends pulses of its own (free). Junctions have a threshold and no memory but that of the
inductor and resistor behind each input, so that there is no machine of states: what matters is the
time between the two inputs.

* **ranges** are the biases of each of these, without noise, of those of ``BIASES``.
* At the nominal bias **within** is the longest time between two inputs with which they pass as one,
  **beyond** the shortest from which on neither passes, and **delay** from the later one to the
  output, of two that come at once and of two that are ``within`` apart.
* **energy** is the work of the cell's biases, as of other cells: for two that pass and for one that
  does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ..cells import Cell, cell, value_of
from ..josephson.simulate import Found
from .testbench import FIRST, Bench, Stimuli

Floats = npt.NDArray[np.float64]
Strings = npt.NDArray[np.str_]

KIND: Final = "threshold"
SOURCE: Final = "Ib"
KINDS: Final = ("none", "and", "or", "free")
OTHER: Final = "other"  # an input alone that one of the two passes, or two pulses for one
BIASES: Final[Floats] = 1e-6 * np.arange(-200, 361, 4, dtype=np.float64)
_REST: Final = 100e-12  # s between what is tried, so that inductors forget
_SKEWS: Final[Floats] = 1e-12 * np.arange(0, 40.1, 0.25, dtype=np.float64)


def decisions(biases: npt.ArrayLike, this: Cell | None = None, threads: int = 1) -> Strings:
    """What the cell does at each bias in A, one of ``KINDS`` or ``other``; (biases,)."""
    bench = Bench(this or cell(KIND))
    ampere = np.atleast_1d(np.asarray(biases, np.float64))
    # Nothing for a while, an input alone, the other, and both.
    at = [FIRST + _REST * k for k in (1, 2, 3)]
    word = [(0, at[0]), (1, at[1]), (0, at[2]), (1, at[2])]
    stimuli = Stimuli.of([word] * ampere.size)
    nominal = value_of(bench.cell.circuit.part(SOURCE))
    found = bench.run(stimuli, factors={f"{SOURCE}|x": ampere / nominal}, threads=threads).pulses
    edges = np.array([0.0, *at, np.inf])
    out = np.full(ampere.size, OTHER, dtype="<U5")
    for k in range(ampere.size):
        idle, first, second, both = np.histogram(found.of("q", k, after=0.0), edges)[0].tolist()
        if idle:
            out[k] = "free"
        elif (first, second, both) in _SENT:
            out[k] = _SENT[first, second, both]
    return out


def delays(
    biases: npt.ArrayLike, this: Cell | None = None, threads: int = 1
) -> tuple[Floats, Floats]:
    """From two inputs at once to the output, and from one alone, in s; (biases,) each.

    NaN where nothing is sent, or not by the input.
    """
    bench = Bench(this or cell(KIND))
    ampere = np.atleast_1d(np.asarray(biases, np.float64))
    late = FIRST + _REST
    words: list[list[tuple[int, float]]] = [[(0, late), (1, late)], [(0, late)]]
    stimuli = Stimuli.of([word for word in words for _ in range(ampere.size)])
    factor = np.tile(ampere / value_of(bench.cell.circuit.part(SOURCE)), 2)
    found = bench.run(stimuli, factors={f"{SOURCE}|x": factor}, threads=threads).pulses
    out = np.full(2 * ampere.size, np.nan)
    for k in range(out.size):
        sent, came = (found.of(port, k, after=0.0) for port in ("q", "a"))
        if sent.size == came.size == 1:
            out[k] = sent[0] - came[0]
    return out[: ampere.size], out[ampere.size :]


def nominal() -> float:
    """The bias in A that the library's deck has."""
    return value_of(cell(KIND).circuit.part(SOURCE))


_SENT: Final = {(0, 0, 0): "none", (0, 0, 1): "and", (1, 1, 1): "or"}


def ranges(biases: Floats, does: Sequence[str] | Strings) -> dict[str, list[float]]:
    """The least and the greatest bias of each, A; those that no bias has are left out."""
    words = np.asarray(does)
    return {
        kind: [float(biases[words == kind].min()), float(biases[words == kind].max())]
        for kind in KINDS
        if (words == kind).any()
    }


def measured(this: Cell | None = None, threads: int = 1) -> dict[str, Any]:
    """Of the cell at its nominal bias, ``within``, ``beyond``, ``delay`` in s and ``energy`` in J.

    And ``ranges`` in A. E1425 where it does not pass two that come at once, or passes one alone.
    """
    bench = Bench(this or cell(KIND))
    # In one set nothing comes, in two an input alone, in the others the second behind the first.
    late = FIRST + _REST
    words: list[list[tuple[int, float]]] = [[], [(0, late)], [(1, late)]]
    words += [[(0, late - skew), (1, late)] for skew in _SKEWS.tolist()]
    words += [[(1, late - skew), (0, late)] for skew in _SKEWS.tolist()]
    found = bench.run(Stimuli.of(words), threads=threads)
    sent = found.pulses.counts(sets=len(words))[:, found.pulses.probes.index("q")]
    pairs = sent[3:].reshape(2, _SKEWS.size)
    if sent[:3].any() or (pairs[:, 0] != 1).any():
        raise fail("E1425", f"the cell '{KIND}' does not pass what comes at both inputs only")
    passes = (pairs == 1).all(0)
    never = (pairs == 0).all(0)
    last = int(passes.argmin()) - 1 if not passes.all() else passes.size - 1
    first = int(passes.size - never[::-1].argmin()) if not never.all() else 0
    delay = [max(_delay(found, 3 + side * _SKEWS.size + k) for side in (0, 1)) for k in (0, last)]
    work = bench.work(found)
    beyond = float(_SKEWS[first]) if first < _SKEWS.size else None
    return {
        "delay": [round(value, 14) for value in delay],
        "within": round(float(_SKEWS[last]), 14),
        "beyond": None if beyond is None else round(beyond, 14),
        "energy": [float(f"{work[k] - work[0]:.3g}") for k in (3, 1)],
        "ranges": {
            kind: [round(value, 9) for value in ends]
            for kind, ends in ranges(BIASES, decisions(BIASES, this, threads)).items()
        },
    }


def _delay(found: Found, number: int) -> float:
    """From the later input to the output of one set, s."""
    arrivals = [found.pulses.of(port, number, after=0.0)[-1] for port in ("a", "b")]
    return float(found.pulses.of("q", number, after=0.0)[0] - max(arrivals))
