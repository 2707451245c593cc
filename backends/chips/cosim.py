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
from ...compiler.profile.distortion import CoSimulated, Journeys, distortion
from ...compiler.profile.timing import cost_seconds
from ...ir.diagnostics import fail
from ...ir.events import Recording, Stimulus
from ...ir.graph import Graph
from . import core_kernels as kernels
from .execute import CoreExecutor

Integers = npt.NDArray[np.int64]

TIMED = "timed"


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
    and no less than ``least`` cycles. ``model`` says when in a step spikes leave their cores;
    without it they do at once. A count of n on an input line is n packets. Raises what
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
        least: int = 1,
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
        self.fabric, self.tick, self.least = fabric, tick, least
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
        slot = np.full(axons.sources, -1, np.int64)
        for name, members in self._members.items():
            first = next(node.first for node in axons.nodes if node.name == name)
            slot[first + members] = first + np.arange(members.size)
        self._slot = slot[self.cores.neuron]
        self._clear()

    def _clear(self) -> None:
        """Nothing has been sent or received."""
        self._journeys: list[Journeys] = []
        self._link_use: list[Integers] = []
        self._late = self._dropped = 0
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
        found = distortion(
            self._journeys, self.fabric.cycle, late=self._late, dropped=self._dropped
        )
        total = np.zeros((0, 5), np.int64)
        if self._link_use:
            total = np.concatenate(
                [
                    self._link_use[0][:, :2],
                    np.sum([rows[:, 2:] for rows in self._link_use], axis=0),
                ],
                axis=1,
            )
        return CoSimulated(
            self.fabric.machine,
            self._seat,
            Recording(TIMED, recording.dt, recording.spikes, recording.states),
            found,
            None if self.tick is None else self.tick * self.fabric.cycle,
            total,
            self._error,
        )

    def _begin(self, sample: int, length: int) -> None:
        self._network = Network(self.fabric, self._ways)
        self._last = length - 1
        self._start = 0
        self._waiting: list[tuple[Integers, Integers]] = []
        self._source = np.zeros(0, np.int64)
        self._log: list[Arrivals] = []
        # The estimate is made of one sample only: it takes nearly as long as the simulation.
        self._kept: list[tuple[int, Packets]] | None = None if self._journeys else []

    def _deliver(self, name: str, index: Any, value: Any, count: int, step: int) -> None:
        source = self._sources[name][index[:count]]
        self._waiting.append((source, np.asarray(value[:count], np.int64).copy()))

    def _settle(self, step: int) -> None:
        start = self._start if self.tick is None else step * self.tick
        self._send(start)
        end = None if self.tick is None else start + self.tick
        self._receive(self._network.run(end), step, start)
        if self.tick is None:
            self._start = max(self._network.now, start + self.least)
        if step == self._last:
            # What is still on its way arrives too late for this run, but it does.
            self._receive(self._network.run(), step + 1, start, deliver=False)
            use = self._network.use()
            self._link_use.append(
                np.stack([use.start, use.end, use.flits, use.busy, use.stall], axis=1).astype(
                    np.int64
                )
            )
            every = _joined(self._log)
            source = self._source[every.packet]
            self._journeys.append(Journeys(source, every.core, every.sent, every.time))
            if self._kept:
                last = max(int(packets.time[-1]) - start for start, packets in self._kept)
                length = last + int(every.latency.max(initial=0)) + 1
                if self.tick is not None:
                    length = min(length, self.tick)
                sent = _drawn_together(self._kept, length)
                self._error = error(every, estimate(self.fabric, self._ways, sent, length))

    def _send(self, start: int) -> None:
        if not self._waiting:
            return
        source = np.concatenate([one for one, _ in self._waiting])
        count = np.concatenate([n for _, n in self._waiting])
        self._waiting = []
        source = np.repeat(source, np.abs(count))
        source = source[self._route[source] >= 0]
        if not source.size:
            return
        time = start + self._offsets(source)
        order = np.argsort(time, kind="stable")
        source, time = source[order], time[order]
        number = np.arange(self._source.size, self._source.size + source.size)
        self._source = np.concatenate([self._source, source])
        packets = Packets(time, self._route[source], self._core[source], number)
        self._network.send(packets)
        if self._kept is not None:
            self._kept.append((start, packets))

    def _offsets(self, source: Integers) -> Integers:
        """Cycles from the begin of the step until each of these spikes leaves its core."""
        pace = self._pace
        core = self._core[source]
        order = np.lexsort((self._local[source], core))
        place = np.empty(source.size, np.int64)
        sorted_core = core[order]
        fresh = np.ones(source.size, np.bool_)
        fresh[1:] = sorted_core[1:] != sorted_core[:-1]
        begin = np.flatnonzero(fresh)[np.cumsum(fresh) - 1] if source.size else order
        place[order] = np.arange(source.size) - begin
        packets = np.empty(source.size, np.int64)
        total = np.cumsum(self._copies[source[order]])
        packets[order] = total - np.where(begin > 0, total[begin - 1], 0)
        late = (
            pace.update * (self._local[source] + 1)
            + pace.spike * (place + 1)
            + pace.packet * packets
        )
        # Lines of the host are in no core: their spikes are there when the step begins.
        return np.where(core >= 0, np.floor(late), 0).astype(np.int64)

    def _receive(self, arrivals: Arrivals, step: int, start: int, *, deliver: bool = True) -> None:
        self._dropped += arrivals.drops.count
        self._log.append(arrivals)
        self._late += int((arrivals.sent < start).sum()) if deliver else arrivals.count
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
