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
* **apart** (2, 2) is the least time from two at once or one alone to two at once or one alone, at
  either input, with which the cell does with the second as it does without the first: every net
  sees its pulses, nothing goes back, and an output is ``LATE`` at most from where it is alone. It
  is found in steps of 0.25 ps with one of these as a guard. What leaks away slowly adds up: then
  `WORDS` random words of `TRIES` keep it, half of the gaps as close as it allows, and in front of
  the first one that is wrong there are 0.5 ps more until all hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ..cells import Cell, cell, value_of
from ..josephson.simulate import Found
from .testbench import FINE, FIRST, LATE, UNIT, Bench, Stimuli, passages, ranked, settled, up

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Strings = npt.NDArray[np.str_]

KIND: Final = "threshold"
SOURCE: Final = "Ib"
KINDS: Final = ("none", "and", "or", "free")
OTHER: Final = "other"  # an input alone that one of the two passes, or two pulses for one
BIASES: Final[Floats] = 1e-6 * np.arange(-200, 361, 4, dtype=np.float64)
_REST: Final = 100e-12  # s between what is tried, so that inductors forget
WORDS: Final = 1000
SOME: Final = 250  # of them, while one fails
TRIES: Final = 6  # of a word
_SEED: Final = 16
_CLOSE: Final[Floats] = FINE * np.arange(0, 161, dtype=np.float64)
# What may come: the ports of two at once and of one alone; and which of two kinds each is of.
_EVENTS: Final = ((0, 1), (0,), (1,))
_KIND: Final[Integers] = np.array([0, 1, 1])
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


def apart(this: Cell | None = None, threads: int = 1) -> Floats:
    """The least times from one try to the next, s: (2, 2), two at once before one alone.

    E1425 where there is none.
    """
    bench = Bench(this or cell(KIND))
    events = len(_EVENTS)
    tries = np.array([pair for pair in np.ndindex(events, events) for _ in _CLOSE])
    gap = np.tile(_CLOSE, events**2)
    # Behind what is close two at once and one alone tell whether something was left.
    tail = np.broadcast_to([0, 1], tries.shape)
    times = FIRST + _REST + np.stack([np.zeros_like(gap), gap, gap + _REST, gap + 2 * _REST], 1)
    wrong, arrival = _tried(bench, np.hstack([tries, tail]), times, threads)
    right = wrong == tries.shape[1] + tail.shape[1]
    seen = np.where(right, arrival[:, 1] - arrival[:, 0], gap).reshape(events**2, -1)
    least = np.full((2, 2), 0.0)
    for k, pair in enumerate(np.ndindex(events, events)):
        kinds = _KIND[pair[0]], _KIND[pair[1]]
        least[kinds] = max(least[kinds], settled(seen[k], right.reshape(events**2, -1)[k]))
    least = np.asarray(up(least + FINE, UNIT), np.float64)
    while (least < _CLOSE[-1]).all():
        blamed = _blamed(bench, least, SOME, threads)
        if not blamed.any():
            blamed = _blamed(bench, least, WORDS, threads)
            if not blamed.any():
                return least
        least = np.where(blamed, up(least + 2 * FINE, UNIT), least)
    raise fail("E1425", f"the cell '{KIND}' remembers what came, however long ago")


def _blamed(bench: Bench, least: Floats, words: int, threads: int) -> Bools:
    """Kinds of the first try that is wrong in a random word and of the one before it, (2, 2)."""
    rng = np.random.default_rng(_SEED)
    tries = rng.integers(0, len(_EVENTS), (words, TRIES))
    spare = np.where(rng.random(tries.shape) < 0.5, 0.0, rng.uniform(0, 15e-12, tries.shape))
    pairs = _KIND[tries[:, :-1]], _KIND[tries[:, 1:]]
    steps = np.hstack([np.full((words, 1), FIRST + _REST), least[pairs] + spare[:, 1:]])
    wrong, arrival = _tried(bench, tries, np.cumsum(steps, 1), threads)
    # Pulses that are close come a little closer, or further, through the lines.
    keeps = (np.diff(arrival, axis=1) > least[pairs] - FINE / 100).all(1)
    faulty = np.flatnonzero(keeps & (wrong < TRIES))
    out = np.zeros(least.shape, np.bool_)
    before = np.maximum(wrong[faulty], 1) - 1
    out[pairs[0][faulty, before], pairs[1][faulty, before]] = True
    return out


def _tried(bench: Bench, tries: Integers, times: Floats, threads: int) -> tuple[Integers, Floats]:
    """Of words (words, tries) of events at times in s: the first that is not as it is alone.

    The number of tries where all are. Also when each came to its nets, the later of two.
    """
    stimuli = Stimuli.of(
        [
            [(port, at) for event, at in zip(word, when, strict=True) for port in _EVENTS[event]]
            for word, when in zip(tries.tolist(), times.tolist(), strict=True)
        ]
    )
    found = bench.run(stimuli, threads=threads).pulses
    sets, count = tries.shape
    lost = np.zeros(sets, np.bool_)
    lost[found.set[(found.direction < 0) & (found.time >= 0)]] = True
    arrival = np.full(tries.shape, -np.inf)
    for p, port in enumerate(bench.cell.inputs):
        there = np.array([p in ports for ports in _EVENTS])[tries]
        came, many = passages(found, port, sets)
        lost |= many != there.sum(1)
        nets = ranked(came, np.cumsum(there, 1) - 1)
        arrival = np.where(there, np.fmax(arrival, nets), arrival)
    arrival = np.where(np.isfinite(arrival), arrival, times)
    alone = delays([value_of(bench.cell.circuit.part(SOURCE))], bench.cell)[0][0]
    # The n-th pulse that is sent, and the n-th that should be, inf where there is none.
    wanted = np.sort(np.where(tries == 0, arrival + alone, np.inf), axis=1)
    sent, many = passages(found, bench.cell.outputs[0], sets)
    lost |= passages(found, bench.ends[0], sets)[1] != many
    sent = ranked(sent, np.broadcast_to(np.arange(count + 1), (sets, count + 1)))
    sent = np.where(np.isnan(sent), np.inf, sent)
    wanted = np.hstack([wanted, np.full((sets, 1), np.inf)])
    soon = np.minimum(sent, wanted)
    there = np.isfinite(soon)
    off = np.subtract(np.maximum(sent, wanted), soon, out=np.zeros_like(soon), where=there) > LATE
    when = np.take_along_axis(soon, off.argmax(1)[:, None], 1)
    first = np.where(off.any(1), (arrival < when).sum(1) - 1, count)
    closest = np.diff(arrival, axis=1).argmin(1) + 1
    return np.where(lost & (first == count), closest, np.maximum(first, 0)), arrival


def _delay(found: Found, number: int) -> float:
    """From the later input to the output of one set, s."""
    arrivals = [found.pulses.of(port, number, after=0.0)[-1] for port in ("a", "b")]
    return float(found.pulses.of("q", number, after=0.0)[0] - max(arrivals))
