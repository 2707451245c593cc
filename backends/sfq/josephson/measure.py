r"""What one reads off a transient: flux in whole quanta, arrivals, delays, voltages, I-V curves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from .circuit import GROUND, Circuit, CurrentSource, Junction, JunctionModel, Part, Resistor
from .simulate import QUANTUM, Found, Pulses, Simulator, Transient
from .waves import Constant

Floats = npt.NDArray[np.float64]


def flux(found: Found, name: str, start: float, end: float) -> Floats:
    r"""The area of a voltage between two times, in flux quanta, of each set: (sets,).

    :math:`\int V dt / \Phi_0 = (\varphi(t_2) - \varphi(t_1)) / 2 \pi`, straight between frames.
    E1403 for a name that was not recorded, E1404 for times that are not within those of frames.
    """
    phase = found.phase(name)
    if not found.times[0] <= start <= end <= found.times[-1]:
        raise fail(
            "E1404",
            f"{start:g} to {end:g} s is not within {found.times[0]:g} to {found.times[-1]:g} s",
        )
    ends = [np.array([np.interp(t, found.times, row) for row in phase]) for t in (start, end)]
    return np.asarray((ends[1] - ends[0]) / (2 * np.pi))


def voltage(found: Found, name: str) -> tuple[Floats, Floats]:
    """Times halfway between frames (frames - 1,) and the mean voltage between them, in V.

    (sets, frames - 1). At a stride of 1 with ``Method.MIDPOINT`` these are the method's own. E1403
    for a name that was not recorded.
    """
    times, phase = found.times, found.phase(name)
    middle = np.asarray((times[1:] + times[:-1]) / 2)
    return middle, np.asarray(QUANTUM * np.diff(phase, axis=1) / np.diff(times))


def crossings(times: Any, phase: Any) -> Floats:
    """When a sampled phase rises through pi + 2 pi n, in its own units: for what others simulate.

    By the parabola through the two samples around it and the one before.
    """
    t, y = np.asarray(times, np.float64), np.asarray(phase, np.float64)
    turn = np.rint(y / (2 * np.pi))
    out = []
    for k in np.flatnonzero(np.diff(turn) > 0):
        for n in np.arange(turn[k], turn[k + 1]):
            edge = (n + 0.5) * 2 * np.pi
            low, high = y[k] - edge, y[k + 1] - edge
            share = -low / (high - low)
            when = t[k] + share * (t[k + 1] - t[k])
            if k:
                # Newton's divided differences; one more round is below what doubles hold.
                first = (y[k] - y[k - 1]) / (t[k] - t[k - 1])
                second = (y[k + 1] - y[k]) / (t[k + 1] - t[k])
                bend = (second - first) / (t[k + 1] - t[k - 1])
                for _ in range(8):
                    value = low + (when - t[k]) * second + bend * (when - t[k]) * (when - t[k + 1])
                    when -= value / (second + bend * (2 * when - t[k] - t[k + 1]))
            out.append(when)
    return np.array(out)


def passed(names: Iterable[str], times: Floats, phases: Floats) -> dict[str, Floats]:
    """`crossings` at time 0 and later of phases (names, frames), by their names."""
    found = {name: crossings(times, phase) for name, phase in zip(names, phases, strict=True)}
    return {name: own[own >= 0] for name, own in found.items()}


def arrivals(pulses: Pulses, probe: str, sets: int, number: int = 0, after: float = 0.0) -> Floats:
    """When the pulse of that number passes a probe, of each set: (sets,) in s; NaN where none does.

    E1403 for a probe that is not watched.
    """
    if probe not in pulses.probes:
        raise fail("E1403", f"'{probe}' is not watched")
    chosen = (pulses.probe == pulses.probes.index(probe)) & (pulses.time >= after)
    chosen &= pulses.direction == 1
    index, time = pulses.set[chosen], pulses.time[chosen]
    rank = np.arange(index.size) - np.searchsorted(index, index)
    out = np.full(sets, np.nan)
    out[index[rank == number]] = time[rank == number]
    return out


def delays(pulses: Pulses, first: str, second: str, sets: int, number: int = 0) -> Floats:
    """From one probe to another, of the pulse of that number, in s: (sets,); NaN where it lacks.

    E1403 for a probe that is not watched.
    """
    begin, end = (arrivals(pulses, probe, sets, number) for probe in (first, second))
    return end - begin


def current_voltage(
    model: JunctionModel, currents: Any, ohm: float, *, turns: int = 20, step: float = 0.05e-12
) -> Floats:
    r"""Mean voltage of a junction beside a resistor of ``ohm``, at each of ``currents`` in A.

    :math:`\bar V = n \Phi_0 / t`, over the last n of some ``turns``; 0 where it does not run.
    """
    ampere = np.asarray(currents, np.float64)
    parts: tuple[Part, ...] = (
        Junction("B1", "1", GROUND, model),
        Resistor("R1", "1", GROUND, ohm),
        CurrentSource("I1", GROUND, "1", Constant(model.critical)),
    )
    over = np.sqrt(np.maximum((ampere / model.critical) ** 2 - 1, 0.0))
    slowest = over[over > 0].min(initial=1.0)
    duration = (turns + 2) * 2 * np.pi * QUANTUM / (ohm * model.critical * slowest)
    found = Simulator(Circuit(parts)).run(
        Transient(duration, step), factors={"I1": ampere.ravel() / model.critical}
    )
    out = np.zeros(ampere.size)
    for k in range(ampere.size):
        times = found.pulses.of("B1", k)[-turns - 1 :]
        if times.size > turns // 2:
            out[k] = 2 * np.pi * QUANTUM * (times.size - 1) / (times[-1] - times[0])
    return out.reshape(ampere.shape)


def overdamped(currents: Any, critical: float, ohm: float) -> Floats:
    r""":math:`\bar V = R \sqrt{I^2 - I_c^2}`, where a junction's capacitance does not matter.

    Aslamazov and Larkin, JETP Lett. 9, 87 (1969); :math:`\beta_c = 2 \pi I_c R^2 C / \Phi_0 \ll 1`.
    """
    ampere = np.asarray(currents, np.float64)
    return np.asarray(
        np.sign(ampere) * ohm * np.sqrt(np.maximum(ampere**2 - critical**2, 0.0)), np.float64
    )
