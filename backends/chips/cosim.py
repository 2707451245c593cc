"""Co-simulation: a mapped network whose spikes arrive when the interconnect delivers them.

A step of the network lasts T cycles. A spike of step s with delay d, which a core receives in the
step k = floor(r / T) of its arrival r, is integrated in step k + d: with an interconnect that is
fast enough k is s, and everything is as on the rung ``cores``. Where steps wait for all packets
(no T) k is always s; only times change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...boards.costs import CostModel
from ...boards.machine import Machine
from ...compiler.mapping.axons import Axons
from ...compiler.mapping.mapping import Mapping
from ...compiler.noc.analytic import Error, error, estimate
from ...compiler.noc.cycle import Network
from ...compiler.noc.fabric import Fabric
from ...compiler.noc.packets import Arrivals, Copies, Packets
from ...compiler.noc.trees import Ways
from ...compiler.profile.distortion import CoSimulated, Journeys, Tally
from ...compiler.profile.timing import cost_seconds
from ...ir.diagnostics import fail
from ...ir.events import Recording, Stimulus
from ...ir.graph import Graph
from . import core_kernels as kernels
from .execute import CoreExecutor

Integers = npt.NDArray[np.int64]

TIMED = "timed"
# Of a cycle: costs in seconds are seldom whole cycles to the last digit.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class _Pace:
    """Cycles from the begin of a step until spikes leave their cores.

    A core updates its neurons one after the other, ``update`` each; one that spikes takes ``spike``
    more, and ``packet`` for each packet.
    """

    update: float
    spike: float
    packet: float

    @staticmethod
    def of(model: CostModel | None, machine: Machine, cycle: float) -> _Pace:
        """That of a cost model; nothing takes time without one."""
        each = dict.fromkeys(("updates", "quiet_updates", "spikes", "packets_out"), 0.0)
        for line in () if model is None else model.send:
            if line.count in each:
                each[line.count] += cost_seconds(line, machine) / cycle
        quiet = each["quiet_updates"]
        return _Pace(each["updates"] + quiet, each["spikes"] - quiet, each["packets_out"])


class TimedExecutor(CoreExecutor):
    """A mapped graph on an interconnect, made ready to run any number of stimuli.

    ``tick`` are the cycles of a step; ``None``: a step lasts until all its packets have arrived,
    its cores are done, and a barrier of ``barrier`` cycles is passed. ``model`` says when in a step
    spikes leave their cores; without it they do at once. A core that is not done with a step when
    the next begins goes on with it first. A count of n on an input line is n packets. Raises what
    `CoreExecutor` raises, E0325 where the interconnect locks up, and E0307 where a synapse has no
    delay: what is sent in a step can arrive at its end.
    """

    def __init__(
        self,
        graph: Graph,
        axons: Axons,
        mapping: Mapping,
        fabric: Fabric,
        tick: int | None,
        *,
        model: CostModel | None = None,
        barrier: int = 0,
    ) -> None:
        super().__init__(graph, axons, mapping)
        if self.cores.delay.size and int(self.cores.delay.min()) < 1:
            raise fail(
                "E0307",
                "a synapse without a delay cannot be co-simulated: spikes take time to arrive",
                hint="compile for a chip, whose hops take a step each",
            )
        if tick is not None and tick < 1:
            raise ValueError(f"a tick of {tick} cycles is none")
        self.fabric, self.tick, self.barrier = fabric, tick, barrier
        machine = mapping.machine
        self._seat = mapping.seat.astype(np.int64)
        self._ways = Ways.of(mapping)
        self._route = mapping.routes.of.astype(np.int64)
        self._core = np.full(axons.sources, -1, np.int64)
        self._core[: axons.neurons] = mapping.seat[mapping.part]
        self._tenant = np.full(machine.seats, -1, np.int64)
        self._tenant[mapping.seat] = np.arange(mapping.parts)
        # The place of each source among the neurons of its core.
        self._local = np.zeros(axons.sources, np.int64)
        self._local[self.cores.neuron] = np.arange(self.cores.neuron.size) - np.repeat(
            self.cores.neuron_ptr[:-1], np.diff(self.cores.neuron_ptr)
        )
        self._copies = (
            np.where(self._route >= 0, np.diff(mapping.routes.sink_ptr)[self._route], 0)
            if mapping.routes.count
            else np.zeros(axons.sources, np.int64)
        )
        self._pace = _Pace.of(model, machine, fabric.cycle)
        lines = [node for node in axons.nodes if node.lines]
        self._lines = lines[0].first if lines else axons.sources
        neuron = self.cores.neuron < self._lines
        owner = np.repeat(np.arange(mapping.parts), np.diff(self.cores.neuron_ptr))
        # Neurons of each core; lines that sit in cores are not updated.
        self._held = np.bincount(owner[neuron], minlength=mapping.parts)
        self._clear()

    def _clear(self) -> None:
        """Nothing has been sent or received."""
        self._tally = Tally()
        self._link_use = np.zeros((0, 5), np.int64)
        self._late = self._late_cores = self._dropped = 0
        self._error: Error | None = None

    def timed(
        self,
        stimulus: Stimulus,
        *,
        populations: Sequence[str] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> CoSimulated:
        """Run every sample from rest, on an interconnect without packets."""
        self._clear()
        recording = self.run(stimulus, populations=populations, progress=progress)
        found = self._tally.figures(
            self.fabric.cycle,
            late=self._late,
            late_cores=self._late_cores,
            dropped=self._dropped,
        )
        return CoSimulated(
            self.fabric.machine,
            self._seat,
            Recording(TIMED, recording.dt, recording.spikes, recording.states),
            found,
            None if self.tick is None else self.tick * self.fabric.cycle,
            self._link_use,
            self._error,
        )

    def _begin(self, sample: int, length: int) -> None:
        self._network = Network(self.fabric, self._ways)
        self._last = length - 1
        self._start = 0
        # The cycle, not always a whole one, in which each core is done with what came before.
        self._free = np.zeros(self._held.size)
        self._waiting: list[tuple[Integers, Integers]] = []
        self._sent = 0
        self._source, self._step = np.zeros((2, 1 << 10), np.int64)
        # Packets by the step in which they leave: those of a core that is late wait here, so that
        # the network does not carry them from step to step.
        self._leaving: dict[int, list[Integers]] = {}
        self._log: list[Arrivals] = []
        # The estimate is made of one sample only: it takes nearly as long as the simulation.
        self._kept: list[tuple[int, Packets]] | None = [] if sample == 0 else None

    def _deliver(self, name: str, index: Any, value: Any, count: int, step: int) -> None:
        source = self._sources[name][index[:count]]
        self._waiting.append((source, np.asarray(value[:count], np.int64).copy()))

    def _settle(self, step: int) -> None:
        start = self._start if self.tick is None else step * self.tick
        self._send(step, start)
        self._put(step)
        end = None if self.tick is None else start + self.tick
        self._receive(self._network.run(end), step)
        if self.tick is None:
            done = max(
                self._network.now, start, int(np.ceil(self._free.max(initial=0) - _ROUNDING))
            )
            self._start = done + self.barrier
        if step == self._last:
            # What is still on its way arrives too late for this run, but it does.
            self._put(*self._leaving)
            self._receive(self._network.run(), step + 1, deliver=False)
            self._end()

    def _end(self) -> None:
        """The sample is over: its copies are summed up."""
        use = self._network.use()
        rows = np.stack([use.start, use.end, use.flits, use.busy, use.stall], axis=1)
        rows = rows.astype(np.int64)
        if self._link_use.size:
            rows[:, 2:] += self._link_use[:, 2:]
        self._link_use = rows
        every = _joined(self._log)
        self._log = []
        source = self._source[every.packet]
        self._tally.add(Journeys(source, every.core, every.sent, every.time))
        if self._kept:
            last = max(int(packets.time[-1]) - start for start, packets in self._kept)
            length = last + int(every.latency.max(initial=0)) + 1
            if self.tick is not None:
                length = min(length, self.tick)
            sent = _drawn_together(self._kept, length)
            self._error = error(every, estimate(self.fabric, self._ways, sent, length))
            self._kept = None

    def _send(self, step: int, start: int) -> None:
        source = np.concatenate([np.zeros(0, np.int64), *(one for one, _ in self._waiting)])
        count = np.concatenate([np.zeros(0, np.int64), *(n for _, n in self._waiting)])
        self._waiting = []
        source = np.repeat(source, count)
        time = self._departures(source, start)
        routed = self._route[source] >= 0
        source, time = source[routed], time[routed]
        if not source.size:
            return
        order = np.argsort(time, kind="stable")
        source, time = source[order], time[order]
        number = np.arange(self._sent, self._sent + source.size)
        self._sent += source.size
        while self._sent > self._source.size:
            self._source, self._step = (
                np.concatenate([known, np.zeros_like(known)])
                for known in (self._source, self._step)
            )
        self._source[number], self._step[number] = source, step
        if self._kept is not None:
            packets = Packets(time, self._route[source], self._core[source], number)
            self._kept.append((start, packets))
        leaves = np.full(time.size, step) if self.tick is None else time // self.tick
        for when in np.unique(leaves).tolist():
            chosen = leaves == when
            self._leaving.setdefault(when, []).append(np.stack([time[chosen], number[chosen]]))

    def _put(self, *steps: int) -> None:
        """Put on the network what leaves its core in these steps."""
        rows = [row for step in steps for row in self._leaving.pop(step, ())]
        if not rows:
            return
        time, number = np.concatenate(rows, axis=1)
        order = np.argsort(time, kind="stable")
        time, number = time[order], number[order]
        source = self._source[number]
        self._network.send(Packets(time, self._route[source], self._core[source], number))

    def _departures(self, source: Integers, start: int) -> Integers:
        """The cycle in which each of these spikes of a step leaves its core.

        Lines of the host are in no core: their spikes are there when the step begins.
        """
        pace, machine_core = self._pace, self._core[source]
        begin = np.maximum(self._free, start)
        placed = np.flatnonzero(machine_core >= 0)
        part = self._tenant[machine_core[placed]]
        own = source[placed]
        order = np.lexsort((self._local[own], part))
        part, own = part[order], own[order]
        # Lines in cores are neither updated nor do they spike: they only send.
        neuron = own < self._lines
        every = np.bincount(part, minlength=begin.size)
        first = np.cumsum(every) - every
        spikes = np.bincount(part, neuron, begin.size)
        fired = np.concatenate([[0], np.cumsum(neuron)])
        place = fired[1:] - fired[first][part]
        packets = np.concatenate([[0], np.cumsum(self._copies[own])])
        before = packets[:-1][np.minimum(first, max(part.size - 1, 0))] if part.size else first
        after = begin[part] + (
            pace.update * np.where(neuron, self._local[own] + 1, 0)
            + pace.spike * place
            + pace.packet * (packets[1:] - before[part])
        )
        found = np.full(source.size, start, np.int64)
        found[placed[order]] = np.floor(after + _ROUNDING)
        sent = np.bincount(part, self._copies[own], begin.size)
        self._free = begin + pace.update * self._held + pace.spike * spikes + pace.packet * sent
        return found

    def _receive(self, arrivals: Arrivals, step: int, *, deliver: bool = True) -> None:
        """Take what arrived in ``step``."""
        self._dropped += arrivals.drops.count
        self._log.append(arrivals)
        origin = self._step[arrivals.packet]
        late = origin < step
        self._late += int(late.sum())
        if self.tick is not None:
            self._late_cores += int((arrivals.sent >= (origin + 1) * self.tick).sum())
        if not deliver or not arrivals.count:
            return
        cores = self.cores
        self.synaptic_operations += kernels.receive(
            self._source[arrivals.packet],
            self._tenant[arrivals.core],
            cores.neuron_ptr,
            cores.axon_ptr,
            cores.axon_source,
            cores.synapse_ptr,
            cores.target,
            cores.weight,
            cores.delay,
            self._slot,
            self._wheel,
            step,
        )


def _joined(parts: list[Arrivals]) -> Arrivals:
    """All arrivals of runs that followed each other."""

    def column(name: str, every: Sequence[Copies]) -> Integers:
        return np.concatenate([np.zeros(0, np.int64), *(getattr(one, name) for one in every)])

    def columns(every: Sequence[Copies]) -> dict[str, Integers]:
        return {name: column(name, every) for name in ("packet", "core", "time", "sent")}

    drops = Copies(**columns([part.drops for part in parts]))
    return Arrivals(**columns(parts), drops=drops)


def _drawn_together(steps: list[tuple[int, Packets]], length: int) -> Packets:
    """All packets, each step of them ``length`` cycles after the one before.

    An estimate takes loads over windows; steps whose packets are gone long before the next ones
    come would have them diluted.
    """
    time = np.concatenate(
        [number * length + p.time - start for number, (start, p) in enumerate(steps)]
    )
    route, core, packet = (
        np.concatenate([getattr(p, name) for _, p in steps]) for name in ("route", "core", "packet")
    )
    order = np.argsort(time, kind="stable")
    return Packets(time[order], route[order], core[order], packet[order])
