r"""What becomes of programmed cells: a chip drawn from the statistics of its device.

A cell with the target :math:`G^*` is programmed to

.. math:: G(0) = \max(G^* + \sigma(G^*) z, 0), \quad z \sim N(0, 1),

ages by what ``boards/device.py`` knows of its device, and is read with noise. :class:`Cells` is
what one tile of one chip became: ageing it to several times and reading it again and again is of
the same chip. All arrays have the shape of the tile, conductances are in S, times in s after
programming.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial import polynomial

from ...boards.device import Device, Flicker, Logarithmic, Share, Spread
from ...ir.diagnostics import SpikecError, fail
from ...ir.records import Record, frozen_array

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
# Of the logarithm of G / G_max, as in aihwkit: an open cell has one, too.
_LEAST = 1e-7
# Limits that are computed from levels or weights may be one rounding beyond the device's.
_SLACK = 1e-9


@dataclass(frozen=True)
class Verify:
    """Write-verify: a cell further than ``tolerance``, S, from its target is programmed again.

    Up to ``tries`` times; after the last it stays as it is. The conductance itself is compared,
    without noise of a read.
    """

    tolerance: float
    tries: int

    def __post_init__(self) -> None:
        if not self.tolerance > 0 or self.tries < 1:
            raise fail(
                "E1310",
                f"write-verify to {self.tolerance:g} S in {self.tries} tries",
                hint="give a tolerance above 0 and at least one try",
            )


@dataclass(frozen=True, eq=False)
class Cells(Record):
    """What the cells of a tile became.

    ``target`` is what they were meant to be, rounded to the device's levels; ``programmed`` what
    they are just after; ``deviation`` z of the error that made it; ``exponent`` each cell's own of
    the drift. ``on`` and ``off`` are stuck at the device's highest and lowest conductance.
    """

    device: Device
    target: Array
    deviation: Array
    programmed: Array
    exponent: Array
    on: Mask
    off: Mask

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("target", "deviation", "programmed", "exponent"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.float64))
        for name in ("on", "off"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.bool_))


def chip_rng(seed: int, tile: int = 0) -> np.random.Generator:
    """The random numbers of one tile of the chip ``seed``; those of any two are independent."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(tile,)))


def fabricate(
    device: Device,
    target: Any,
    rng: np.random.Generator,
    *,
    verify: Verify | None = None,
    stuck_on: float = 0.0,
    stuck_off: float = 0.0,
) -> Cells:
    """A tile as it comes out: programmed to ``target``, each cell with its drift, some stuck.

    Errors, exponents and faults have random numbers of their own, so that a chip keeps its faults
    however often it is programmed. E1310 as ``program`` and ``stuck``.
    """
    for_errors, for_drift, for_faults = rng.spawn(3)
    goal = reachable(device, target)
    z = _deviation(device, goal, for_errors, verify)
    on, off = stuck(goal.shape, stuck_on, stuck_off, for_faults)
    return Cells(
        device=device,
        target=goal,
        deviation=z,
        programmed=_deviating(device.programming, goal, z),
        exponent=exponents(device, goal, for_drift),
        on=on,
        off=off,
    )


def reachable(device: Device, target: Any) -> Array:
    """``target`` at the nearest of the device's levels; E1310 where a cell cannot be there."""
    goal = np.array(target, np.float64)
    low, high = device.g_min.value, device.g_max.value
    slack = _SLACK * high
    wrong = ~((goal >= low - slack) & (goal <= high + slack))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise fail(
            "E1310",
            f"the target of the cell at {place} is {goal[place]:g} S, as are those of "
            f"{np.count_nonzero(wrong)} cells that '{device.name}' cannot be programmed to",
            hint=f"its conductances are from {low:g} to {high:g} S",
        )
    if device.levels is not None:
        step = (high - low) / (device.levels.value - 1)
        goal = low + step * np.rint((goal - low) / step)
    return np.clip(goal, low, high)


def sigma(spread: Spread | None, target: Any) -> Array:
    """Standard deviation, S, of cells with these targets; 0 without a spread."""
    goal = np.asarray(target, np.float64)
    if spread is None:
        return np.zeros_like(goal)
    found = polynomial.polyval(goal / spread.reference.value, np.array(spread.coefficients))
    return np.asarray(spread.siemens * np.maximum(found, 0.0))


def program(
    device: Device, target: Any, rng: np.random.Generator, verify: Verify | None = None
) -> Array:
    """Conductances just after programming; E1310 for targets beyond the device's."""
    goal = reachable(device, target)
    return _deviating(device.programming, goal, _deviation(device, goal, rng, verify))


def _deviation(
    device: Device, goal: Array, rng: np.random.Generator, verify: Verify | None
) -> Array:
    """Errors z of programming, after write-verify."""
    z = rng.standard_normal(goal.shape)
    if verify is None or device.programming is None:
        return z
    width = sigma(device.programming, goal)
    for _ in range(verify.tries):
        error = np.maximum(goal + width * z, 0.0) - goal
        again = np.abs(error) > verify.tolerance
        if not again.any():
            break
        z[again] = rng.standard_normal(np.count_nonzero(again))
    return z


def _deviating(spread: Spread | None, goal: Array, z: Array) -> Array:
    return np.maximum(goal + sigma(spread, goal) * z, 0.0)


def exponents(device: Device, target: Any, rng: np.random.Generator) -> Array:
    """Each cell's exponent of the drift, |N(mean, spread)| of its target; 0 without a drift."""
    goal = np.asarray(target, np.float64)
    if device.drift is None:
        return np.zeros_like(goal)
    x = np.log(np.maximum(goal / device.g_max.value, _LEAST))
    mean, spread = (_logarithmic(one, x) for one in (device.drift.mean, device.drift.spread))
    return np.asarray(np.abs(mean + spread * rng.standard_normal(goal.shape)))


def _logarithmic(law: Logarithmic, x: Array) -> Array:
    return np.clip(law.slope * x + law.offset, law.low, law.high)


def stuck(
    shape: tuple[int, ...], on: float, off: float, rng: np.random.Generator
) -> tuple[Mask, Mask]:
    """Which cells are stuck on and which off, each with its rate; no cell is both."""
    if not (on >= 0 and off >= 0 and on + off <= 1):
        raise fail(
            "E1310",
            f"shares of stuck cells of {on:g} (on) and {off:g} (off)",
            hint="both are at least 0, and together at most 1",
        )
    u = rng.random(shape)
    high = u < on
    return high, (u >= 1 - off) & ~high


def age(cells: Cells, time: float | None = None) -> Array:
    """Conductances ``time`` after programming, ``None``: just after.

    Of a device with snapshots a cell keeps its z, and the spread around its target is that of
    ``time``: no source tells how errors of two times go together. E1310 for a time that the
    device's data do not have.
    """
    device = cells.device
    now = cells.programmed
    if time is not None:
        if not 0 <= time < np.inf:
            raise fail("E1310", f"{time:g} s after programming", hint="give 0 or more")
        match device.ageing:
            case "stable":
                pass
            case "drift":
                assert device.drift is not None  # the loader has seen to it
                start = device.drift.start.value
                now = now * ((time + start) / start) ** -cells.exponent
            case "snapshots":
                spread = next((s.spread for s in device.snapshots if s.time.value == time), None)
                if spread is None:
                    known = ", ".join(f"{s.time.value:g}" for s in device.snapshots)
                    raise _no_data(device, time, f"there are data at {known} s only")
                now = _deviating(spread, cells.target, cells.deviation)
            case "unknown":
                raise _no_data(device, time, "read it just after programming, without a time")
    return np.where(cells.on, device.g_max.value, np.where(cells.off, device.g_min.value, now))


def _no_data(device: Device, time: float, hint: str) -> SpikecError:
    return fail("E1310", f"nothing is known of '{device.name}' {time:g} s after", hint=hint)


def noise(cells: Cells, time: float | None = None) -> Array:
    """Standard deviation of a read, S, ``time`` after programming; E1310 as ``age``."""
    return _noise(cells, age(cells, time), time)


def _noise(cells: Cells, now: Array, time: float | None) -> Array:
    device = cells.device
    match device.read:
        case None:
            return np.zeros_like(now)
        case Share(share):
            return np.full_like(now, share.value * device.g_max.value)
        case Flicker() as law:
            assert device.drift is not None  # the loader has seen to it
            first = age(cells) / device.g_max.value
            q = law.amplitude / np.maximum(first**law.power, law.floor)
            since = (time or 0.0) + device.drift.start.value
            spread = np.sqrt(np.log((since + law.read.value) / (2 * law.read.value)))
            return np.asarray(now * np.minimum(q, law.most) * spread)


def read(cells: Cells, rng: np.random.Generator, time: float | None = None) -> Array:
    """Conductances that one read finds ``time`` after programming, at least 0; E1310 as ``age``."""
    now = age(cells, time)
    return np.maximum(now + _noise(cells, now, time) * rng.standard_normal(now.shape), 0.0)


def bends(device: Device, conductance: Any) -> tuple[Array, Array]:
    r"""N_2 in A/V^2 and N_3 in A/V^3 of :math:`I = G V + N_2 V^2 + N_3 V^3`; 0 for linear cells.

    Their fit ends at the device's lowest and highest conductance. A cell beyond has the curve of
    that end, in proportion to its conductance: an open cell has no current.
    """
    siemens = np.asarray(conductance, np.float64)
    if device.bend is None:
        return np.zeros_like(siemens), np.zeros_like(siemens)
    within = np.clip(siemens, device.g_min.value, device.g_max.value)
    x = np.log10(within)
    square, cube = (
        siemens / within * polynomial.polyval(x, np.array(fit))
        for fit in (device.bend.square, device.bend.cube)
    )
    return square, cube


def current(device: Device, conductance: Any, voltage: Any) -> Array:
    """Current, A, of cells with these conductances at these voltages, V, broadcast together.

    E1310 beyond the voltage that the device's curve is known up to.
    """
    siemens, volt = np.asarray(conductance, np.float64), np.asarray(voltage, np.float64)
    if device.bend is None:
        return np.asarray(siemens * volt)
    limit = device.bend.limit.value
    if not (np.abs(volt) <= limit).all():
        raise fail(
            "E1310",
            f"the current of '{device.name}' at {np.abs(volt).max():g} V is not known",
            hint=f"its curve was measured up to {limit:g} V",
        )
    square, cube = bends(device, siemens)
    return np.asarray(((cube * volt + square) * volt + siemens) * volt)
