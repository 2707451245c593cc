"""How far the values of a compiled network's circuit may be off before its spikes are others.

Each sample of a stimulus is a case of a `Trial`, and what it should send is the integer rung's
spikes of all populations; with a gap inputs of a step are those of a `RateTrial`, and only what is
read out counts. Groups of elements are named by what is in them: ``bias`` are all biases, ``bias
but synapse.Ib`` those that do not set what synapses release, ``dff areas`` the junctions of all
cells of a kind, ``dff.B1`` one of them in all of these cells, ``B1|n3`` one element of one cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from ....boards.process import Process
from ....compiler.backend import GROUPINGS, Gap, Margin, RateGap, ToleranceRequest
from ....ir.diagnostics import fail
from ....ir.events import Events
from ..cells.chance import KIND, SOURCE
from ..cells.netlist import Netlist
from ..josephson.margins import KINDS, Trial, beyond, kinds, margins
from ..rungs.conditions import Conditions
from ..rungs.execute import once
from ..synthesis.files import read_program
from ..synthesis.synthesise import Program
from .gaps import HOW, RateTrial, rate_trial
from .stress import trial
from .trims import as_factors, counted, trims

Floats = npt.NDArray[np.float64]
TEMPERATURE: Final = "temperature"
_COUNTING: Final = 1 << 40  # noise that no chip has otherwise
CELLS: Final = f"bias but {KIND}.{SOURCE}"


def check_gap(program: Program, gap: Gap | None) -> None:
    """E1491 where chance decides and there is no gap, E1494 for a gap of what remembers.

    E0707 for a trim without synapses.
    """
    chance = KIND in program.netlist.counts
    if gap is None:
        if chance:
            raise fail(
                "E1491",
                "this network releases by chance: its spikes are never all the integer rung's",
                hint="--gap 0.5 asks how far rates may come together instead",
            )
        return
    if program.remembers:
        raise fail(
            "E1494",
            "this network remembers: what it sends in a step is not of that step's input alone",
            hint="a gap is of networks of thresholds without delays and loops; 'spikec montecarlo' "
            "without --gap tells how many spikes of others differ",
        )
    if gap.trim and not chance:
        raise fail(
            "E0707",
            "--trim sets the currents of synapses, and this network has none",
            hint="compile with --release, or leave --trim out",
        )


def groups(netlist: Netlist, by: str) -> dict[str, tuple[str, ...]]:
    """Elements of a circuit that are off together, by title.

    ``by`` is ``chip``, all of a kind; ``cell``, those of each kind of cell besides; ``element`` or
    ``instance``, each of a kind of cell or of the chip beside all of a kind. Where there are
    synapses all biases but the currents that set what they release are one of the chip's, too: what
    is off where these have a supply of their own.
    """
    circuit = netlist.circuit({})
    chip = kinds(circuit)
    if KIND in netlist.counts:
        own = f"{SOURCE}|"
        chip[CELLS] = tuple(name for name in chip["bias"] if not name.startswith(own))
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
    """A program under a stimulus; codes as `check_gap`."""

    def __init__(self, request: ToleranceRequest, process: Process) -> None:
        program = read_program(request.artifact)
        conditions = Conditions.of(request.conditions)
        conditions.check(program)
        check_gap(program, request.gap)
        self._groups: dict[str, tuple[str, ...]] = {}
        for by in GROUPINGS:
            self._groups |= groups(program.netlist, by)
        self._program, self._process, self._gap = program, process, request.gap
        self._conditions, self._seed = conditions, request.seed
        self._kelvin = conditions.kelvin(program, process)
        stimulus = request.stimulus
        self._spikes = {name: _dense(once(name, stimulus.inputs[name])) for name in program.inputs}
        wanted = request.wanted.spikes
        self._wanted = {name: _dense(wanted[name]) for name in program.spikes if name in wanted}
        # The chip itself: what it is off by is multiplied by what a group is off by.
        self._circuit = program.netlist.circuit({})
        chip = conditions.chips(self._circuit, process, (request.seed,))
        self._chip = {name: float(factor[0]) for name, factor in chip.items()}
        self._trials: dict[float, Trial] = {}
        self._rates: dict[float, RateTrial] = {}
        if self._gap is not None:
            self._rate_trial(self._gap, self._kelvin)

    def margins(
        self, titles: Sequence[str], reach: float, resolution: float
    ) -> list[tuple[Margin, str, str]]:
        """The margin of each group, and what goes wrong first below and above it."""
        kelvin = self._kelvin
        trial = self._rate_trial(self._gap, kelvin) if self._gap else self._trial(kelvin)
        chosen = {title: self._groups[title] for title in titles}
        found = margins(trial, chosen, reach=reach, resolution=resolution, seed=self._seed)
        faults = beyond(trial, chosen, found, resolution=resolution, seed=self._seed)
        return [(found[title], *faults[title]) for title in titles]

    def right(self, corners: Sequence[Mapping[str, float]]) -> Floats:
        """The share of samples whose spikes are all as wanted, or the gap, at each corner."""
        out = np.zeros(len(corners))
        heat = np.array([corner.get(TEMPERATURE, self._kelvin) for corner in corners])
        for kelvin in np.unique(heat):
            chosen = np.flatnonzero(heat == kelvin)
            factors: dict[str, Floats] = {}
            for k, corner in enumerate(chosen):
                for title, value in corners[corner].items():
                    for name in self._groups.get(title, ()):
                        factors.setdefault(name, np.ones(chosen.size))[k] *= value
            if self._gap is not None:
                rates = self._rate_trial(self._gap, float(kelvin))
                out[chosen] = rates.rates(factors, (self._seed,) * chosen.size).gap
                continue
            found = self._trial(float(kelvin)).right(
                factors, chosen.size, seed=self._seed, alike=True
            )
            out[chosen] = found.mean(1)
        return out

    def chips(self, numbers: Sequence[int]) -> list[RateGap]:
        """The gap of each of these chips; E1487 where one has synapses that cannot be trimmed."""
        assert self._gap is not None
        factors = self._conditions.chips(self._circuit, self._process, numbers)
        if self._gap.trim:
            factors = self._trimmed(factors, numbers)
        return self._any_chip.rates(factors, numbers).each

    @cached_property
    def _any_chip(self) -> RateTrial:
        """Without what the chip of the request's own number is off by."""
        assert self._gap is not None
        return replace(self._rate_trial(self._gap, self._kelvin), chip={})

    def _trimmed(self, factors: Mapping[str, Floats], numbers: Sequence[int]) -> dict[str, Floats]:
        """With the currents that chips get which are counted at their nominal bias."""
        conditions = replace(self._conditions, bias=1.0)
        every = counted(
            self._program,
            conditions.chips(self._circuit, self._process, numbers),
            len(numbers),
            temperature=self._kelvin,
            numbers=numbers,
            seed=_COUNTING,
            **HOW,
        )
        own = [as_factors(self._program, trims(self._program, counts)) for counts in every]
        set_to = {name: np.array([one[name] for one in own]) for name in own[0]}
        return dict(factors) | {
            name: factors.get(name, np.ones(len(numbers))) * factor
            for name, factor in set_to.items()
        }

    def _rate_trial(self, gap: Gap, kelvin: float) -> RateTrial:
        if kelvin not in self._rates:
            self._rates[kelvin] = rate_trial(
                self._program,
                gap,
                {name: spikes[:, 0] for name, spikes in self._spikes.items()},
                {name: counts[:, 0] for name, counts in self._wanted.items()},
                conditions=self._conditions,
                temperature=kelvin,
                chip=self._chip,
            )
        return self._rates[kelvin]

    def _trial(self, kelvin: float) -> Trial:
        if kelvin not in self._trials:
            samples, steps, _ = next(iter(self._spikes.values())).shape
            late = self._conditions.late(self._program, samples, steps)
            still = {name: np.zeros(s.shape) for name, s in self._spikes.items()}
            self._trials[kelvin] = trial(
                *(self._program, self._spikes, late or still, self._wanted),
                temperature=kelvin,
                chip=self._chip,
            )
        return self._trials[kelvin]


def _dense(events: Events) -> npt.NDArray[np.int64]:
    """Counts, (samples, steps, lines)."""
    return np.stack([events.dense(k).astype(np.int64) for k in range(events.samples)])
