"""Figures of cells measured again, each cheaply: what of them is not so, by name.

A figure that is a third larger or smaller is found; what is closer is left to the slow tests, which
write the files again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from spikec.backends.sfq.cells.timing import Timing
from spikec.backends.sfq.josephson.margins import REACH, Group, Trial
from spikec.backends.sfq.library.characterise import _SEED, _judged, _tried
from spikec.backends.sfq.library.testbench import FINE, LATE, UNIT, Bench

Floats = npt.NDArray[np.float64]
PS: Final = 1e-12
SETS: Final = 150
MORE: Final = 500  # where few would not find it
LESS: Final = 0.8  # of a least time, with which something fails
TINY: Final = 1.5e-12  # s: least times below are a few steps of their search, and not looked at
SEED: Final = _SEED


def ranges(found: Mapping[str, Any]) -> dict[str, list[float]]:
    """All that a cell has margins of."""
    return {**found["margins"], **found["elements"], **found.get("parameters", {})}


def margins_off(
    tried: Trial,
    few: Trial,
    groups: Mapping[str, Group],
    known: Mapping[str, list[float]],
    step: float = 0.01,
) -> list[str]:
    """Ends of margins at which it fails, or ``step`` beyond which it does not.

    Where nothing failed as far as was tried it has to pass there in the ``few`` cases.
    """
    ends = [
        (title, way, known[title][side]) for title in groups for side, way in enumerate((-1.0, 1.0))
    ]
    # Some regions that work have holes: a little further in than where they end.
    closed = [(title, 0.95 * end, True) for title, _, end in ends if abs(end) != REACH]
    closed += [(title, end + way * step, False) for title, way, end in ends if abs(end) != REACH]
    open_ = [(title, end, True) for title, _, end in ends if abs(end) == REACH]
    out = []
    for which, wanted in ((tried, closed), (few, open_)):
        passed = which.passes(_batch(groups, wanted), len(wanted), alike=True)
        out += [
            f"{title} {end:+.3f}"
            for (title, end, right), passes in zip(wanted, passed, strict=True)
            if passes != right
        ]
    return out + [f"{title} {end:+.3f}" for title, _, end in ends if abs(end) > REACH]


def _batch(groups: Mapping[str, Group], wanted: list[tuple[str, float, bool]]) -> dict[str, Floats]:
    out: dict[str, Floats] = {}
    for k, (title, end, _) in enumerate(wanted):
        group = groups[title]
        powers = group if isinstance(group, Mapping) else dict.fromkeys(group, 1.0)
        for element, power in powers.items():
            out.setdefault(element, np.ones(len(wanted)))[k] *= (1 + end) ** power
    return out


def timing_off(
    bench: Bench, known: Timing, pairs: list[tuple[int, int]] | None = None
) -> list[str]:
    """Least times that are too short or, by a quarter, too long; and a jitter that is wrong."""
    out = []
    # A step more than the file's: these are other stimuli.
    off, blamed = _judged(bench, known.delay, known.apart + UNIT, SETS, SEED, 1)
    if blamed.any():
        out.append(f"apart: {np.argwhere(blamed).tolist()}")
    if not 0.75 * known.jitter <= off <= 1.2 * known.jitter or known.jitter > LATE:
        out.append(f"jitter: {off / PS:.3f}")
    inputs = len(known.apart)
    late, _ = _tried(bench, known.delay, [np.array([t]) for t in known.apart.flat], 1)
    soon, seen = _tried(bench, known.delay, [np.array([LESS * t]) for t in known.apart.flat], 1)
    for pair in np.ndindex(inputs, inputs):
        if late[pair] >= 0:
            out.append(f"apart: {pair} fails")
        if soon[pair] >= 0 or known.apart[pair] < TINY:
            continue
        # Two at one input come no closer than a line brings them, and some times are not of two
        # pulses but of several.
        held = seen[pair][0] > LESS * known.apart[pair] + UNIT
        fine = held and known.apart[pair] < seen[pair][0] + 2 * FINE
        if not fine:
            less = known.apart.copy()
            less[pair] *= LESS
            fine = bool(_judged(bench, known.delay, less, MORE, SEED, 1)[1].any())
        if not fine:
            out.append(f"apart: {pair} is longer than it has to be")
    return out
