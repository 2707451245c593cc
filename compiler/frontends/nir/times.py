"""Whether the time constants of a file suit the step: where a wrong unit shows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import Diagnostics, Location
from ....ir.semantics import Decay

Real = npt.NDArray[np.float64]

LONGEST = 5_000.0  # tau/dt beyond which a unit is wrong, unless the user insists
LONG = 1_000.0  # tau/dt beyond which it may be
LONG_SECONDS = 1.0  # a time constant that few trained networks have
SHORT = 2.0  # tau/dt below which a forward Euler step is crude
_SAME = 1e-6  # relative difference at which tau counts as equal to dt

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


def seconds(time_unit: float | str, dt: float) -> float | None:
    """Seconds in one unit of the file's times; 'steps' is ``dt``. None for an unknown unit."""
    if isinstance(time_unit, str):
        return dt if time_unit == "steps" else UNITS.get(time_unit)
    value = float(time_unit)
    return value if np.isfinite(value) and value > 0 else None


def check_time_constant(
    name: str,
    stored: Real,
    unit: float,
    dt: float,
    decay: Decay,
    allow_unusual: bool,
    at: Location,
    found: Diagnostics,
) -> None:
    """Collect what is wrong or odd about the time constant ``stored`` (in ``unit`` seconds).

    E0107 not positive; E0108 shorter than dt, or more than 5000 steps; W0127 below two steps under
    forward Euler, or no memory at all; W0128 more than 1000 steps, or a second.
    """
    if (stored <= 0).any():
        count = int((stored <= 0).sum())
        found.add(
            "E0107",
            f"{name} is {stored.min():g} in {count} of {stored.size} place(s); "
            "a time constant must be positive",
            at,
        )
        return
    tau = stored * unit
    least, most = float(tau.min()) / dt, float(tau.max()) / dt
    euler = decay is Decay.EULER
    if least < 1 - _SAME:
        _too_short(name, float(tau.min()), dt, euler, allow_unusual, at, found)
    elif least <= 1 + _SAME:
        found.add("W0127", f"{name} is as short as dt: nothing is left after one step", at)
    elif euler and least < SHORT * (1 - _SAME):
        found.add(
            "W0127",
            f"{name} is {tau.min():g} s, only {least:.3g} steps of dt = {dt:g} s",
            at,
            "forward Euler is crude there; check the unit of time and --dt",
        )
    if most > LONG or float(tau.max()) >= LONG_SECONDS:
        code = "E0108" if most > LONGEST and not allow_unusual else "W0128"
        hint = _likely(float(stored.max()), unit, dt)
        if code == "E0108":
            hint += "; or --set allow_unusual_time=true if it is meant"
        found.add(code, f"{name} is {tau.max():g} s, {most:.4g} steps of dt = {dt:g} s", at, hint)


def _too_short(
    name: str, tau: float, dt: float, euler: bool, allow: bool, at: Location, found: Diagnostics
) -> None:
    message = f"{name} is {tau:g} s, shorter than one step of dt = {dt:g} s"
    if dt >= LONG_SECONDS:
        hint = f"dt is in seconds: did you mean --dt {dt * 1e-3:g} ({dt:g} ms)?"
    else:
        hint = f"give a --dt below {tau / SHORT:.3g}, or the file's --time-unit"
    if euler:
        message += ": the decay 1 - dt/tau would be negative"
    elif allow:
        found.add("W0127", message, at)
        return
    found.add("E0108", message, at, hint)


def _likely(stored: float, unit: float, dt: float) -> str:
    """Which other unit would make ``stored`` plausible."""
    options = [
        f"--time-unit {name} (it would be {stored * size / dt:.4g} steps)"
        for name, size in (*UNITS.items(), ("steps", dt))
        if size != unit and SHORT <= stored * size / dt <= LONG
    ]
    if not options:
        return "check --dt and --time-unit: NIR files store neither"
    return "if the file does not hold seconds, give " + ", or ".join(options)
