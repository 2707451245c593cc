"""How far the values of a compiled network's circuit may be off before its spikes are others.

Each sample of a stimulus is a case of a `Trial`, and what it should send is the integer rung's
spikes of all populations. Groups of elements are named by what is in them: ``bias`` are all
biases, ``dff areas`` the junctions of all cells of a kind, ``dff.B1`` one of them in all of these
cells, ``B1|n3`` one element of one cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ....boards.process import Process
from ....compiler.backend import GROUPINGS, Margin, ToleranceRequest
from ....ir.diagnostics import fail
from ....ir.events import Events
from ..cells.chance import KIND
from ..cells.netlist import Netlist
from ..josephson.margins import KINDS, Trial, beyond, kinds, margins
from ..rungs.conditions import Conditions
from ..rungs.execute import once
from ..synthesis.files import read_program
from .stress import trial

Floats = npt.NDArray[np.float64]
TEMPERATURE: Final = "temperature"


def groups(netlist: Netlist, by: str) -> dict[str, tuple[str, ...]]:
    """Elements of a circuit that are off together, by title.

    ``by`` is ``chip``, all of a kind; ``cell``, those of each kind of cell besides; ``element`` or
    ``instance``, each of a kind of cell or of the chip beside all of a kind. E1491 where chance has
    a part in what cells send.
    """
    if KIND in netlist.counts:
        raise fail(
            "E1491",
            "this network releases by chance: its spikes are never all the integer rung's",
            hint="'spikec montecarlo' tells how many are, under conditions that vary",
        )
    circuit = netlist.circuit({})
    chip = kinds(circuit)
    if by == "chip":
        return chip
    if by == "instance":
        return chip | {name: (name,) for group in chip.values() for name in group}
    cell_of = {i.name: i.kind for i in netlist.instances}
    found: dict[str, list[str]] = {}
    for kind in KINDS:
        for name in chip.get(kind, ()):
            element, _, instance = name.partition("|")
            cell = cell_of[instance]
            title = f"{cell} {kind}" if by == "cell" else f"{cell}.{element}"
            found.setdefault(title, []).append(name)
    return chip | {title: tuple(found[title]) for title in sorted(found)}


class ProgramTolerance:
    """A program under a stimulus; E1491 as `groups`."""

    def __init__(self, request: ToleranceRequest, process: Process) -> None:
        program = read_program(request.artifact)
        conditions = Conditions.of(request.conditions)
        conditions.check(program)
        self._groups: dict[str, tuple[str, ...]] = {}
        for by in GROUPINGS:
            self._groups |= groups(program.netlist, by)
        self._program = program
        self._conditions, self._seed = conditions, request.seed
        self._kelvin = conditions.kelvin(program, process)
        stimulus = request.stimulus
        self._spikes = {name: _dense(once(name, stimulus.inputs[name])) for name in program.inputs}
        late = conditions.late(program, stimulus)
        self._late = late or {name: np.zeros(s.shape) for name, s in self._spikes.items()}
        self._wanted = {name: _dense(request.wanted.spikes[name]) for name in program.spikes}
        # The chip itself: what it is off by is multiplied by what a group is off by.
        circuit = program.netlist.circuit({})
        chip = conditions.chips(circuit, process, (request.seed,))
        self._chip = {name: float(factor[0]) for name, factor in chip.items()}
        self._trials: dict[float, Trial] = {}

    def margins(
        self, titles: Sequence[str], reach: float, resolution: float
    ) -> list[tuple[Margin, str, str]]:
        """The margin of each group, and what goes wrong first below and above it."""
        trial = self._trial(self._kelvin)
        chosen = {title: self._groups[title] for title in titles}
        found = margins(trial, chosen, reach=reach, resolution=resolution, seed=self._seed)
        faults = beyond(trial, chosen, found, resolution=resolution, seed=self._seed)
        return [(found[title], *faults[title]) for title in titles]

    def right(self, corners: Sequence[Mapping[str, float]]) -> Floats:
        """The share of samples whose spikes are all as wanted, at each corner."""
        out = np.zeros(len(corners))
        heat = np.array([corner.get(TEMPERATURE, self._kelvin) for corner in corners])
        for kelvin in np.unique(heat):
            chosen = np.flatnonzero(heat == kelvin)
            factors: dict[str, Floats] = {}
            for k, corner in enumerate(chosen):
                for title, value in corners[corner].items():
                    for name in self._groups.get(title, ()):
                        factors.setdefault(name, np.ones(chosen.size))[k] *= value
            found = self._trial(float(kelvin)).right(
                factors, chosen.size, seed=self._seed, alike=True
            )
            out[chosen] = found.mean(1)
        return out

    def _trial(self, kelvin: float) -> Trial:
        if kelvin not in self._trials:
            self._trials[kelvin] = trial(
                *(self._program, self._spikes, self._late, self._wanted),
                temperature=kelvin,
                chip=self._chip,
            )
        return self._trials[kelvin]


def _dense(events: Events) -> npt.NDArray[np.int64]:
    """Counts, (samples, steps, lines)."""
    return np.stack([events.dense(k).astype(np.int64) for k in range(events.samples)])
