r"""Cells whose current bends, by their chord :math:`I(V) / V` at the voltage of a spike."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.device import Device
from .device import bends, current
from .nonlinear import Curve

Floats = npt.NDArray[np.float64]

_HALVINGS: Final = 60


def chord(device: Device, siemens: Any, voltage: float) -> Floats:
    """I(V) / V of cells of these conductances; themselves where the device is linear."""
    given = np.asarray(siemens, np.float64)
    if device.bend is None:
        return given
    return np.asarray(current(device, given, voltage) / voltage)


def from_chord(device: Device, chords: Floats, voltage: float) -> Floats:
    """The conductances, between the device's ends, whose chords these are; by bisection."""
    if device.bend is None:
        return chords
    low = np.full(chords.shape, device.g_min.value)
    high = np.full(chords.shape, device.g_max.value)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = chord(device, middle, voltage) < chords
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)


def curve_of(device: Device, siemens: Floats) -> Curve | None:
    """How cells of these conductances bend, ``None`` where they do not."""
    if device.bend is None:
        return None
    square, cube = bends(device, siemens)
    conducting = np.where(siemens > 0, siemens, 1.0)
    return Curve(square / conducting, cube / conducting)
