"""The electrical arrangement of a crossbar: cells, wires, drivers and sense amplifiers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import Diagnostics, fail
from ...ir.records import Record, frozen_array


class Drive(StrEnum):
    """The ends of a word line that its driver holds."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


class Sense(StrEnum):
    """The ends of a bit line that are at the virtual ground of a sense amplifier."""

    BOTTOM = "bottom"
    TOP = "top"
    BOTH = "both"


_MIRRORED = {
    Drive.LEFT: Sense.TOP,
    Drive.RIGHT: Sense.BOTTOM,
    Drive.BOTH: Sense.BOTH,
}
_SMALLEST = 1e-100  # ohm; a shorter wire's conductance would overflow when it is squared
_LARGEST = 1e100


@dataclass(frozen=True, eq=False)
class Crossbar(Record):
    r"""Linear cells between word lines (rows, i) and bit lines (columns, j), and the wires.

    Kirchhoff's current law at every node of a word line and of a bit line:

    .. math::
        (w_{ij} - w_{i,j-1}) / R_w + (w_{ij} - w_{i,j+1}) / R_w + G_{ij} (w_{ij} - b_{ij}) = 0

        (b_{ij} - b_{i-1,j}) / R_b + (b_{ij} - b_{i+1,j}) / R_b + G_{ij} (b_{ij} - w_{ij}) = 0

    A driven end adds :math:`(w - V_i) / (R_w + R_{drive})`, a sensed end
    :math:`b / (R_b + R_{sense})`; an end that is neither is open. ::

                        0 V               0 V           where the top is sensed
                         |                 |
                        [S]               [S]
                         |                 |
        V_0 --[D]--w_00--(--[R_w]--w_01----(--[D]-- V_0    where the right is driven
                    |    |          |      |
                    +-[G]+ b_00     +-[G]--+ b_01
                         |                 |
                       [R_b]             [R_b]
                         |                 |
        V_1 --[D]--w_10--(--[R_w]--w_11----(--[D]-- V_1
                    |    |          |      |
                    +-[G]+ b_10     +-[G]--+ b_11
                         |                 |
                        [S]               [S]
                         |                 |
                        I_0               I_1           into 0 V

        D = R_w + R_drive, S = R_b + R_sense, ( crosses without contact

    ``conductance`` G (rows, columns) in S, at least 0 (0: the cell is open); ``word`` R_w and
    ``bit`` R_b, ohm a segment; ``driver`` and ``sense``, ohm an end. Each resistance may be 0. An
    end that is driven or sensed is one segment away from its nearest cell. This is the convention
    of badcrossbar (Joksas and Mehonic, SoftwareX 12, 100617, 2020) and of CrossSim's
    non-interleaved array, which both have ideal drivers at the left and sense the bottom.
    """

    conductance: npt.NDArray[np.float64]
    word: float = 0.0
    bit: float = 0.0
    driver: float = 0.0
    sense: float = 0.0
    driven: Drive = Drive.LEFT
    sensed: Sense = Sense.BOTTOM

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "conductance", frozen_array(self.conductance, np.float64))
        for name in ("word", "bit", "driver", "sense"):
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "driven", Drive(self.driven))
        object.__setattr__(self, "sensed", Sense(self.sensed))
        self._check()

    def _check(self) -> None:
        if self.conductance.ndim != 2 or self.conductance.size == 0:
            raise fail(
                "E1301",
                f"the conductances have the shape {self.conductance.shape}",
                hint="give them as (rows, columns), at least one of each",
            )
        found = Diagnostics()
        wrong = ~((self.conductance >= 0) & (self.conductance < _LARGEST))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            found.add(
                "E1301",
                f"the conductance at row {row}, column {column} is "
                f"{self.conductance[row, column]} S, as are {np.count_nonzero(wrong)} cells "
                "that no passive device can be",
            )
        for name in ("word", "bit", "driver", "sense"):
            ohm = getattr(self, name)
            if not (ohm == 0 or _SMALLEST < ohm < _LARGEST):
                found.add("E1301", f"the resistance '{name}' is {ohm} ohm")
        found.raise_errors()

    @property
    def rows(self) -> int:
        """Word lines."""
        return int(self.conductance.shape[0])

    @property
    def columns(self) -> int:
        """Bit lines."""
        return int(self.conductance.shape[1])

    @property
    def drive_ends(self) -> tuple[float, float]:
        """Conductance, in S, from the first and the last node of a word line to its driver.

        Infinite where both the wire and the driver are ideal, 0 at an open end.
        """
        return _ends(self.word + self.driver, self.driven != Drive.RIGHT, self.driven != Drive.LEFT)

    @property
    def sense_ends(self) -> tuple[float, float]:
        """Conductance, in S, from the first and the last node of a bit line to 0 V; see above."""
        return _ends(self.bit + self.sense, self.sensed != Sense.BOTTOM, self.sensed != Sense.TOP)

    def transposed(self) -> Crossbar:
        """The reciprocal circuit: word lines as bit lines, drivers as sense amplifiers.

        Its transfer matrix is the transpose of this one's.
        """
        sensed = _MIRRORED[self.driven]
        driven = next(drive for drive, sense in _MIRRORED.items() if sense == self.sensed)
        return Crossbar(
            self.conductance.T, self.bit, self.word, self.sense, self.driver, driven, sensed
        )

    def voltages(self, given: Any) -> npt.NDArray[np.float64]:
        """``given`` as float64 (vectors, rows) in V; one vector may come as (rows,)."""
        volt = np.atleast_2d(np.asarray(given, np.float64))
        if volt.ndim != 2 or volt.shape[1] != self.rows:
            raise fail(
                "E1302",
                f"the voltages have the shape {np.shape(given)}, the crossbar {self.rows} rows",
                hint="give (rows,), or (vectors, rows)",
            )
        if not np.isfinite(volt).all():
            raise fail("E1302", "a voltage is not a finite number")
        return volt

    def active(self, given: Any, volt: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """``given`` as truth values of the shape of ``volt``; all rows are active for None."""
        if given is None:
            return np.ones(volt.shape, np.bool_)
        on = np.atleast_2d(np.asarray(given, np.bool_))
        if on.shape != volt.shape:
            raise fail("E1302", f"active rows have the shape {on.shape}, the voltages {volt.shape}")
        return on


def _ends(ohm: float, first: bool, last: bool) -> tuple[float, float]:
    siemens = 1 / ohm if ohm else np.inf
    return siemens if first else 0.0, siemens if last else 0.0
