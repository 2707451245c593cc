r"""When cells do what they do: delays, and how close pulses may come, measured by the simulator.

``cells/timing.json`` has what ``characterise`` found of each cell between JTLs at its nominal bias;
there it says what a delay and the other figures are. Those of the synapse, whose pulses noise
moves, are what ``release`` found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ....ir.records import Record, frozen_array
from . import cell, chance

_FILE: Final = "timing.json"
_OF_SYNAPSE: Final = (
    *("delay", "apart", "jitter", "energy"),
    *("margins", "elements", "parameters", "yield"),
)


@dataclass(frozen=True, eq=False)
class Timing(Record):
    """One cell: all in s.

    ``delay`` (states, inputs, outputs) from a pulse at an input to the one it sends, NaN where it
    sends none. ``apart`` (inputs, inputs) is the least time from a pulse at the first to one at the
    second with which the cell is the machine that it is; what comes sooner may do anything.
    ``jitter`` is how far a delay is from its table's, either way, over all that keeps ``apart``.
    """

    delay: npt.NDArray[np.float64]
    apart: npt.NDArray[np.float64]
    jitter: float

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "delay", frozen_array(self.delay, np.float64))
        object.__setattr__(self, "apart", frozen_array(self.apart, np.float64))


@cache
def timing(name: str) -> Timing:
    """The timing of a cell; E1423 where it has none, as those that no compiler places."""
    found = known().get(name)
    if found is None or "delay" not in found:
        raise fail("E1423", f"the cell '{name}' has no delays of its own")
    machine = cell(name).released
    assert machine is not None
    return Timing(
        np.array(found["delay"], np.float64).reshape(machine.sends.shape),
        np.array(found["apart"], np.float64),
        float(found["jitter"]),
    )


@cache
def known() -> dict[str, Any]:
    """All that was measured, by cell: JSON, times in s.

    A synapse has two energies, of a pulse that it passes and of one that it drops.
    """
    cells: dict[str, Any] = dict(_file()["cells"])
    cells[chance.KIND] = cells[chance.KIND] | {k: chance.found()[k] for k in _OF_SYNAPSE}
    return cells


def neurons() -> dict[str, Any]:
    """The same of the neurons of `counter`, by how many pulses fire them."""
    found: dict[str, Any] = _file()["neurons"]
    return found


@cache
def _file() -> dict[str, Any]:
    text = (resources.files(__package__) / _FILE).read_text(encoding="utf-8")
    data: dict[str, Any] = json.loads(text)
    return data


def beside(kind: str) -> float:
    """How far delays of a cell and of what it drives are off where that is no JTL, s.

    Of a synapse, of which noise hides it, the largest that there is.
    """
    return _off(kind, "beside")


def at_input(kind: str) -> float:
    """How far delays of a cell are off where a source drives it and no cell, in s.

    Of a synapse the largest that there is.
    """
    return _off(kind, "at_input")


def _off(kind: str, what: str) -> float:
    there = {name: float(found[what]) for name, found in known().items() if what in found}
    return there.get(kind, max(there.values()))
