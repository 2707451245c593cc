r"""The currents of a chip from ngspice, in place of those of the solvers.

What a tile is asked for is known beforehand: its chip is run once with the solvers' currents, a
rehearsal, and notes each vector that its word lines see. Then ngspice finds the operating points of
all of them, a process a tile, and the chip is run again with these. Where a spike of that run
differs, and with it a vector, one more process finds what is new.

One operating point of N conducting cells takes

.. math:: t \approx 30\,\mathrm{us}\; N + 2.7\,\mathrm{s}\; (N / 4096)^{2.6}

of ngspice 39.3 on one core: measured 0.07 s at 32 x 32, 0.55 s at 48 x 48 and 2.7 s at 64 x 64
cells between wires of 2 and 6 ohm, all rows driven. Cells that gated rows cut off do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...compiler.backend import Progress
from ...ir.diagnostics import fail
from .circuit import Crossbar
from .currents import Currents
from .nonlinear import Curve
from .spice import operating_points

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_CELL_SECONDS: Final = 30e-6
_SECONDS: Final = 2.7
_CELLS: Final = 4096
_POWER: Final = 2.6
# A process may take this many times what was reckoned, and a minute, before it counts as hanging.
_PATIENCE: Final = 20.0


def seconds(cells: Any) -> Any:
    """What an operating point of so many conducting cells takes, about, in s."""
    n = np.asarray(cells, np.float64)
    return _CELL_SECONDS * n + _SECONDS * (n / _CELLS) ** _POWER


class Operated:
    """Currents of one tile from ngspice's operating points, each kept; the ``model``'s variances.

    Codes as ``spice.operating_points`` raises them.
    """

    def __init__(
        self,
        circuit: Crossbar,
        curve: Curve | None,
        voltage: float,
        gated: bool,
        model: Currents,
    ) -> None:
        self.circuit, self.rehearsing = circuit, False
        self._curve, self._voltage, self._gated, self._model = curve, voltage, gated, model
        self._conducting = np.count_nonzero(circuit.conductance, axis=1)
        self._asked: dict[bytes, None] = {}
        # Without a spike there is nothing to find.
        silent = np.zeros(circuit.rows, np.int8).tobytes()
        self._known = {silent: np.zeros(circuit.columns)}

    def __call__(self, pulses: Integers, noisy: bool) -> tuple[Floats, Floats]:
        """Currents and their variances, (vectors, bit lines)."""
        keys = [x.tobytes() for x in pulses.astype(np.int8)]
        self._asked |= dict.fromkeys(key for key in keys if key not in self._known)
        if self.rehearsing:
            return self._model(pulses, noisy)
        self.find()
        found = np.stack([self._known[key] for key in keys])
        return found, self._model(pulses, True)[1] if noisy else np.zeros(())

    @property
    def asked(self) -> int:
        """Vectors that were asked for and are not known yet."""
        return len(self._asked)

    @property
    def seconds(self) -> float:
        """What ngspice takes for them, about."""
        x = self._vectors()
        on = x != 0 if self._gated else np.ones_like(x, np.bool_)
        return float(seconds(on @ self._conducting).sum())

    def find(self, progress: Callable[[float], None] | None = None) -> None:
        """Have ngspice find them, in one process; ``progress`` is told the share that is done."""
        if not self._asked:
            return
        x = self._vectors()
        currents = operating_points(
            self.circuit,
            self._voltage * x,
            x != 0 if self._gated else None,
            self._curve,
            timeout=60 + _PATIENCE * self.seconds,
            progress=progress,
        )
        self._known |= zip(self._asked, currents, strict=True)
        self._asked = {}

    def _vectors(self) -> Floats:
        x = np.frombuffer(b"".join(self._asked), np.int8).reshape(-1, self.circuit.rows)
        return x.astype(np.float64)


def find_all(tiles: Iterable[Operated], most: float, progress: Progress) -> None:
    """Have ngspice find what all ``tiles`` were asked for; E1330 if it took longer than ``most`` s.

    The stage of ``progress`` says how long it is about to take.
    """
    asked = [tile for tile in tiles if tile.asked]
    takes = [tile.seconds for tile in asked]
    total, done = sum(takes), 0.0
    if total > most:
        points = sum(tile.asked for tile in asked)
        largest = max(asked, key=lambda tile: tile.circuit.conductance.size).circuit
        raise fail(
            "E1330",
            f"ngspice takes about {_said(total)} for {points:,} operating points of "
            f"{len(asked)} tile(s), the largest {largest.rows} x {largest.columns}; the limit is "
            f"{most:g} s",
            hint=f"--condition ngspice_time={np.ceil(total / 60):.0f}min, fewer samples or steps, "
            "or smaller tiles: --condition tile=32",
        )
    stage = f"ngspice, about {_said(total)}"
    for tile, own in zip(asked, takes, strict=True):

        def tell(share: float, before: float = done, own: float = own) -> None:
            progress(stage, (before + share * own) / total)

        tile.find(tell)
        done += own
        tell(1.0)


def _said(duration: float) -> str:
    return f"{duration:,.0f} s" if duration >= 10 else f"{duration:.2g} s"
