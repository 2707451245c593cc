"""The pulses of a run beside the machines of its cells: which is the first that differs, and where.

A run comes in pieces that begin from rest, in the order of their steps. Its first difference is
that of the first piece with any; within a piece it is the earliest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ....compiler.pulses import FirstPulse, PulseCheck
from ..cells.chance import KIND
from ..synthesis.schedule import Schedule, Window
from ..synthesis.synthesise import Program, arrivals
from .differences import AWAY, Beside, Difference, How
from .events import Violation

Floats = npt.NDArray[np.float64]
# Where biases are less, how much longer it is looked for pulses than they should take.
_SLOW: Final = 1.3
_COMPARED: Final[Mapping[How, str]] = {
    How.TIMES: "their times on all nets with those of the rung events",
    How.CELLS: "what each cell sends with what its machine makes of the pulses that came to it; "
    "not their times, which are others under these conditions",
    How.COUNTS: "how many there are on all nets with those of the rung events; "
    "not their times, which are of junctions behind the nets",
}
_CHANCE: Final[Mapping[How, str]] = {
    How.CELLS: "; not which of those pulses chance lets through {:,} synapses",
    How.COUNTS: "; not on those that are behind {:,} synapses",
}


class Check:
    """Looks at a program's pulses, piece after piece; ``steps`` are those of a sample."""

    def __init__(self, program: Program, steps: int, how: How) -> None:
        self._program, self._steps = program, steps
        self._beside = Beside(program.netlist, how)
        self.nets = self._beside.machines.nets
        self._before = dict.fromkeys(self.nets, 0)
        self._pulses = 0
        self._first: FirstPulse | None = None

    @property
    def until(self) -> float:
        """When the last pulse of a step has come, at any net, in s from its start.

        What is later than it should be has to be seen, too, to be known from what is lost: delays
        that are not nominal are longer.
        """
        program = self._program
        step = dict[str, tuple[float, ...]]((net, (time,)) for net, time in program.clocks.items())
        for net in (net for nets in program.inputs.values() for net in nets if net is not None):
            step[net] = (program.start + program.skew,)
        last = self._beside.machines.run(step).time.max(initial=0.0)
        slow = 1.0 if self._beside.how is How.TIMES else _SLOW
        return slow * max(program.latency, float(last)) + AWAY

    def look(
        self,
        first: int,
        lead: float,
        end: float,
        pulses: Mapping[str, Floats],
        given: Mapping[str, Floats] | None = None,
        length: int | None = None,
    ) -> None:
        """A piece whose step ``first`` begins at ``lead``: its pulses until ``end``, s by net.

        ``given`` are those that sources send, in s from the start of that step, ``length`` the
        steps that it has: what comes behind them is the last one's.
        """
        if self._first is None:
            sent = {net: times + lead for net, times in (given or {}).items()}
            found = self._beside.first(pulses, end, sent)
            if found is not None:
                self._first = self._named(found, first, lead, pulses, length)
            for net, times in pulses.items():
                self._before[net] += times.size
        self._pulses += sum(times.size for times in pulses.values())

    @property
    def found(self) -> PulseCheck:
        """What there is to say of all pieces."""
        how, limits = self._beside.how, self._beside.limits
        chance = self._program.netlist.counts.get(KIND, 0)
        return PulseCheck(
            _COMPARED[how] + (_CHANCE[how].format(chance) if chance else ""),
            how is How.TIMES,
            len(self.nets),
            self._pulses,
            None if limits is None else max(limits.values(), default=0.0),
            None if limits is None else self._beside.furthest,
            self._first,
        )

    def _named(
        self,
        found: Difference | Violation,
        first: int,
        lead: float,
        pulses: Mapping[str, Floats],
        length: int | None,
    ) -> FirstPulse:
        """The pulse with its step, sample and neuron; of two that are too close the second."""
        cause = found if isinstance(found, Violation) else found.cause
        takes = isinstance(found, Violation) or found.takes
        if isinstance(found, Violation):
            cell = next(i for i in self._program.netlist.instances if i.name == found.instance)
            net, model = cell.nets[found.second], None
            came = pulses[net]
            number = int(np.abs(came - found.time).argmin()) if came.size else 0
            circuit: float | None = found.time
        else:
            net, number = found.net, found.number
            model, circuit, cell = found.machine, found.circuit, found.cell
        step = self._step(net, found.time - lead)
        step = step if length is None else min(step, length - 1)
        begin = lead + step * self._program.period
        sample, own = divmod(first + step, self._steps)
        return FirstPulse(
            sample,
            own,
            net,
            self._before[net] + number,
            cell.name,
            cell.kind,
            part_of(self._program, cell.name),
            takes,
            None if model is None else model - begin,
            None if circuit is None else circuit - begin,
            None if isinstance(found, Violation) else found.bound,
            "" if cause is None else str(replace(cause, time=cause.time - begin)),
        )

    def _step(self, net: str, time: float) -> int:
        """The step of a piece that a pulse is of, by when the net has pulses in a step."""
        program = self._program
        stimuli = arrivals(program.inputs, program.start, program.skew)
        stimuli |= {name: (Window(at, at),) for name, at in program.clocks.items()}
        windows = Schedule(program.netlist).windows(stimuli).get(net, ())
        middle = 0.0
        if windows:
            middle = (min(w.early for w in windows) + max(w.late for w in windows)) / 2
        return max(int(np.floor((time - middle) / program.period + 0.5)), 0)


def part_of(program: Program, cell: str) -> str:
    """The neuron, input line or clock that a cell is part of, by its name."""
    nodes = (*program.spikes.items(), *program.inputs.items())
    names = [f"{name}[{k}]" for name, nets in nodes for k in range(len(nets))]
    return next(name for name in (*names, *program.clocks) if cell.startswith(f"{name}."))
