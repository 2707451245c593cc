"""The same script on spikec.pynn and on pyNN.brian2."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

import spikec.pynn as ours
from spikec.backends.reference.session import load_brian

# It leaves the signals, hooks and warnings of the process as they were; a plain import does not.
brian2 = load_brian()
with warnings.catch_warnings():
    # Escapes like "\d" in docstrings of PyNN; they warn where its files are compiled first.
    warnings.simplefilter("ignore")
    import pyNN.brian2 as theirs

__all__ = ["Run", "assert_equal", "data_of", "ours", "run_twice", "theirs"]


@dataclass(frozen=True)
class Run:
    """What a script returned: spike times of each cell, and signals of shape (times, cells)."""

    spikes: dict[str, list[npt.NDArray[np.float64]]]
    signals: dict[tuple[str, str], npt.NDArray[np.float64]]


def data_of(groups: dict[str, Any]) -> Run:
    """What was recorded of each group."""
    spikes, signals = {}, {}
    for name, group in groups.items():
        segment = group.get_data().segments[-1]
        spikes[name] = [np.sort(np.asarray(t.magnitude)) for t in segment.spiketrains]
        for signal in segment.analogsignals:
            signals[name, signal.name] = np.asarray(signal.magnitude)
    return Run(spikes, signals)


def run_twice(script: Callable[[Any], dict[str, Any]]) -> tuple[Run, Run]:
    """Ours, and that of pyNN.brian2; ``script`` takes the module and returns recorded groups."""
    brian2.prefs.codegen.target = "numpy"
    with warnings.catch_warnings():
        # numpy's about old calls of PyNN and Brian2, and Brian2's about pyparsing.
        warnings.simplefilter("ignore")
        return data_of(script(ours)), data_of(script(theirs))


def assert_equal(mine: Run, other: Run, tolerance: float = 1e-9, spiking: bool = True) -> None:
    """Every spike time, and every signal within ``tolerance`` of its unit.

    The first value of theirs is left out: pyNN.brian2 puts the initial values before its trace, and
    draws random ones anew for that.
    """
    assert mine.spikes.keys() == other.spikes.keys()
    counted = 0
    for name, trains in mine.spikes.items():
        assert len(trains) == len(other.spikes[name])
        for cell, (a, b) in enumerate(zip(trains, other.spikes[name], strict=True)):
            assert a.shape == b.shape, f"{name}[{cell}]: {a} is not {b}"
            np.testing.assert_allclose(a, b, atol=1e-6, err_msg=f"{name}[{cell}]")
            counted += a.size
    assert counted or not spiking, "a comparison without a spike says nothing"
    assert mine.signals.keys() == other.signals.keys()
    for key, signal in mine.signals.items():
        np.testing.assert_allclose(
            signal[1:], other.signals[key][1:], atol=tolerance, rtol=0, err_msg=str(key)
        )
