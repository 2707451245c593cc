r"""Counts of a run, step by step and core by core.

With :math:`s_a(t)` the spikes of source a in step t and :math:`n_{ac}` its synapses in cell c,

.. math::
    \mathrm{synops}_c(t) = \sum_a n_{ac}\, s_a(t)

and every other count likewise, from the rows of `Reach`. A spike counts in the step in which it is
sent, whatever its delay: that is when cores get it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ...ir.events import Events
from ...ir.records import Record, frozen_array
from ..mapping.axons import Axons
from .reach import MACHINE, Reach

Integers = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Spikes(Record):
    """What one sample sends, in the steps of the hardware.

    ``count[k]`` spikes of the source ``source[k]``, a number of `Axons`, in the step ``step[k]``,
    ascending, of ``steps``.
    """

    steps: int
    step: Ids
    source: Ids
    count: Integers

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "step", frozen_array(self.step, np.int32))
        object.__setattr__(self, "source", frozen_array(self.source, np.int32))
        object.__setattr__(self, "count", frozen_array(self.count, np.int64))

    def blocks(self, length: int) -> Iterator[Spikes]:
        """The same in blocks of ``length`` steps, the last of what is left; at least one."""
        for begin in range(0, max(self.steps, 1), length):
            end = min(begin + length, self.steps)
            low, high = np.searchsorted(self.step, [begin, end])
            part = slice(int(low), int(high))
            yield Spikes(
                end - begin, self.step[part] - np.int32(begin), self.source[part], self.count[part]
            )


def spikes_of(axons: Axons, events: Mapping[str, Events], steps: int) -> Iterator[Spikes]:
    """The spikes of each sample, from the events of all nodes in the steps of the hardware.

    Nodes that are not in ``events`` send nothing. A step's spikes are in the order of sources.
    """
    samples = max((e.samples for e in events.values()), default=0)
    known = [node for node in axons.nodes if node.name in events]
    for sample in range(samples):
        parts = []
        for node in known:
            found = events[node.name]
            low, high = found.span(sample)
            parts.append(
                (found.step[low:high], found.index[low:high] + node.first, found.value[low:high])
            )
        step, source, value = (np.concatenate([part[k] for part in parts]) for k in range(3))
        order = np.argsort(step, kind="stable")
        yield Spikes(steps, step[order], source[order], np.abs(value[order]).astype(np.int64))


@dataclass(frozen=True, eq=False)
class Counts(Record):
    """What one sample makes a machine do.

    ``spikes``, ``packets_out``, ``synaptic_operations`` have shape (steps, cells), as `Reach` has
    cells; ``packets_in`` (steps, parts): a packet is its core's, whatever it finds there.
    ``machine`` (steps, counts) has the counts of `MACHINE`. ``link_load`` (links,) are the packets
    on each link, ``busiest`` (steps,) those on the link ``busiest_link`` (steps,) that has most in
    a step, -1 where there are none; ``second_link`` those on the next. ``path`` (steps,): cycles
    that the longest way of a packet of the step takes without waiting.
    """

    spikes: Integers
    packets_out: Integers
    packets_in: Integers
    synaptic_operations: Integers
    machine: Integers
    link_load: Integers
    busiest: Integers
    busiest_link: Ids
    second_link: Integers
    path: Integers

    @property
    def steps(self) -> int:
        """Steps of the hardware."""
        return self.busiest.size

    def by_step(self, reach: Reach) -> dict[str, Integers]:
        """Every count that a cost line may name, summed over cores: (steps,) each."""
        spikes = self.spikes.sum(axis=1)
        updates = np.full(self.steps, reach.cell_neurons.sum(), np.int64)
        found = {
            "updates": updates,
            "quiet_updates": updates - spikes,
            "spikes": spikes,
            "synaptic_operations": self.synaptic_operations.sum(axis=1),
            "packets_out": self.packets_out.sum(axis=1),
            "packets_in": self.packets_in.sum(axis=1),
        }
        return found | {name: self.machine[:, k] for k, name in enumerate(MACHINE)}

    def totals(self, reach: Reach) -> dict[str, int]:
        """The same, summed over steps, too."""
        return {name: int(amount.sum()) for name, amount in self.by_step(reach).items()}

    def of_cells(self, name: str, reach: Reach) -> Integers:
        """A count of cells by name, shape (steps, cells)."""
        if name == "updates":
            return np.broadcast_to(reach.cell_neurons, self.spikes.shape)
        if name == "quiet_updates":
            return reach.cell_neurons - self.spikes
        found: Integers = getattr(self, name)
        return found


def count(reach: Reach, spikes: Spikes) -> Counts:
    """The counts of one sample, in time proportional to its packets and their hops."""
    steps, cells = spikes.steps, reach.cells
    parts = reach.part_ptr.size - 1
    fired, sent, synops = np.zeros((3, steps, cells), np.int64)
    got = np.zeros((steps, parts), np.int64)
    _count_cells(
        spikes.step,
        spikes.source,
        spikes.count,
        reach.neurons,
        reach.home,
        reach.ptr,
        reach.cell,
        reach.packet,
        reach.synapses,
        reach.cell_part,
        fired,
        sent,
        got,
        synops,
    )
    machine = np.zeros((steps, len(MACHINE)), np.int64)
    path = np.zeros(steps, np.int64)
    load = np.zeros(reach.start.size, np.int64)
    busiest, second = np.zeros((2, steps), np.int64)
    which = np.full(steps, -1, np.int32)
    _count_machine(
        spikes.step, spikes.source, spikes.count, reach.machine, reach.route, reach.path, machine,
        path,
    )  # fmt: skip
    _count_links(
        spikes.step,
        spikes.source,
        spikes.count,
        reach.route,
        reach.link_ptr,
        reach.link,
        reach.copies,
        load,
        busiest,
        which,
        second,
    )
    return Counts(fired, sent, got, synops, machine, load, busiest, which, second, path)


@numba.njit(cache=True)
def _count_cells(
    step: Any,
    source: Any,
    count: Any,
    neurons: int,
    home: Any,
    ptr: Any,
    cell: Any,
    packet: Any,
    synapses: Any,
    part: Any,
    fired: Any,
    sent: Any,
    got: Any,
    synops: Any,
) -> None:
    for e in range(step.size):
        t, a, n = step[e], source[e], count[e]
        own = home[a]
        if a < neurons:
            fired[t, own] += n
        packets = np.int64(0)
        for k in range(ptr[a], ptr[a + 1]):
            c = cell[k]
            synops[t, c] += n * synapses[k]
            if packet[k]:
                got[t, part[c]] += n
                packets += 1
        if own >= 0:
            sent[t, own] += n * packets


@numba.njit(cache=True)
def _count_machine(
    step: Any, source: Any, count: Any, each: Any, route: Any, path: Any, out: Any, longest: Any
) -> None:
    for e in range(step.size):
        t, a = step[e], source[e]
        for k in range(each.shape[1]):
            out[t, k] += count[e] * each[a, k]
        if route[a] >= 0:
            longest[t] = max(longest[t], path[route[a]])


@numba.njit(cache=True)
def _count_links(
    step: Any,
    source: Any,
    count: Any,
    route: Any,
    link_ptr: Any,
    link: Any,
    copies: Any,
    load: Any,
    busiest: Any,
    which: Any,
    second: Any,
) -> None:
    now = np.zeros(load.size, np.int64)
    touched = np.empty(load.size, np.int32)
    begin = 0
    while begin < step.size:
        t, size, e = step[begin], 0, begin
        while e < step.size and step[e] == t:
            r = route[source[e]]
            if r >= 0:
                for k in range(link_ptr[r], link_ptr[r + 1]):
                    i = link[k]
                    if now[i] == 0:
                        touched[size] = i
                        size += 1
                    now[i] += count[e] * copies[k]
            e += 1
        begin = e
        for k in range(size):
            i = touched[k]
            load[i] += now[i]
            # Of equal ones the first link: whatever the order of spikes.
            if now[i] > busiest[t] or (now[i] == busiest[t] and i < which[t]):
                second[t], busiest[t], which[t] = busiest[t], now[i], i
            elif now[i] > second[t]:
                second[t] = now[i]
            now[i] = 0
