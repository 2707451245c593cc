"""The profile of a mapped network: counts, ledger, timing and critical path of a stimulus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ...boards.costs import REST, CostModel
from ...boards.machine import Machine
from ...ir.diagnostics import fail
from ...ir.events import Events
from ...ir.records import Record
from ..mapping.axons import Axons
from ..mapping.mapping import Mapping as Placement
from .count import Counts, Spikes, count, spikes_of
from .critical import Cause, add_up, causes, core_name, heaviest, link_name
from .ledger import Line, joules, ledger
from .reach import Reach, reach
from .timing import LINK, NOBODY, core_seconds, timing

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Steps times cells that are counted at a time: a long sample takes little more memory than this.
_AT_ONCE: Final = 1 << 21
# What is counted in each core, in the order of `Profile.core_counts`.
CORES: Final = ("spikes", "packets_out", "packets_in", "synaptic_operations")


@dataclass(frozen=True, eq=False)
class Waits(Record):
    """Every output spike, and what it waited for most.

    Spike k left neuron ``index[k]`` of ``populations[population[k]]`` in step ``step[k]`` (of the
    hardware) of ``sample[k]``, ``seconds[k]`` after the sample began; of these it waited
    ``share[k]`` (0 to 1) for ``causes[cause[k]]``, more than for anything else. In the cores that
    it waited for ``nodes[node[k]]`` took most, steps added up by what took most of each; -1 where
    no core led.
    """

    populations: tuple[str, ...]
    causes: tuple[str, ...]
    sample: Integers
    population: Integers
    step: Integers
    index: Integers
    seconds: Floats
    cause: Integers
    share: Floats
    nodes: tuple[str, ...]
    node: Integers


@dataclass(frozen=True, eq=False)
class Profile(Record):
    """What a stimulus takes of a mapped network.

    Arrays are of all samples: ``length``, ``lead``, ``way``, ``rest`` and ``leader`` (samples,
    steps) as in `Timing`, steps those of the hardware, lags included. ``step_counts`` has every
    count that a cost may name, (samples, steps) each, ``core_counts`` (counts, parts) the sums of
    `CORES`; ``core_busy`` (2, parts) the seconds of sending and receiving.
    ``timeline`` (steps, parts) is how long each core is busy in each step of the sample
    ``slowest``, the longer of both where it sends and receives at once, ``timeline_counts``
    (counts, steps, parts) what it does. ``link_load`` (links,) are packets on the links
    ``link_start -> link_end``. ``ledger`` is of all samples, ``totals`` its counts, ``causes`` the
    critical path, the largest gain first. ``tick`` is that of a model that ticks, in seconds.
    """

    machine: Machine
    model: CostModel
    seat: Integers
    length: Floats
    lead: Floats
    way: Floats
    rest: Floats
    leader: Integers
    core_names: tuple[str, ...]
    step_counts: dict[str, Integers]
    core_counts: Integers
    core_busy: Floats
    slowest: int
    timeline: Floats
    timeline_counts: npt.NDArray[np.int32]
    link_start: Integers
    link_end: Integers
    link_load: Integers
    totals: dict[str, int]
    ledger: tuple[Line, ...]
    causes: tuple[Cause, ...]
    waits: Waits
    tick: float | None = None

    @property
    def samples(self) -> int:
        """How many samples there are."""
        return int(self.length.shape[0])

    @property
    def steps(self) -> int:
        """Steps of the hardware in each sample."""
        return int(self.length.shape[1])

    @property
    def cores(self) -> int:
        """Cores in use."""
        return self.seat.size

    @property
    def latency(self) -> float:
        """Seconds a sample, the mean."""
        return float(self.length.sum(axis=1).mean())

    @property
    def energy(self) -> float:
        """Joules a sample, the mean; of all that there is a constant for."""
        return joules(self.ledger) / max(self.samples, 1)

    @property
    def late(self) -> int:
        """Steps whose work exceeds their tick."""
        return int((self.rest < 0).sum())


def profile(
    axons: Axons,
    placement: Placement,
    model: CostModel,
    events: Mapping[str, Events],
    outputs: Sequence[str],
    *,
    tick: float | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Profile:
    """The profile of a network whose nodes send ``events``, in the steps of the hardware.

    ``outputs`` are populations whose spikes are to be explained.
    """
    known = reach(axons, placement)
    steps = max((e.steps for e in events.values()), default=0)
    gathered = _Gathered(axons, placement, model, known, tick)
    samples = max((e.samples for e in events.values()), default=0)
    for number, spikes in enumerate(spikes_of(axons, events, steps)):
        gathered.begin()
        for block in spikes.blocks(max(1, _AT_ONCE // max(known.cells, 1))):
            gathered.take(block)
        gathered.end()
        progress((number + 1) / samples)
    return gathered.profile(events, outputs)


def find_model(machine: Machine, name: str | None) -> CostModel:
    """The cost model of this name, the usual one without; E0326 where there is none."""
    if name is None:
        name = next(iter(machine.models), None)
    if name is None or name not in machine.models:
        what = "no cost model" if not machine.models else f"no cost model '{name}'"
        known = ", ".join(machine.models)
        hint = f"it has: {known}" if known else "add a table [models.NAME] to its file"
        raise fail("E0326", f"{machine.title} has {what}", hint=hint)
    return machine.models[name]


def step_seconds(model: CostModel, machine: Machine, dt: float, tick: float | None) -> float | None:
    """How long a step lasts: as asked for, the hardware's own tick, or the network's ``dt``.

    ``None`` where a step lasts as long as its work. E0707 for a tick on a chip that has none.
    """
    if model.pace != "tick":
        if tick is not None:
            raise fail(
                "E0707",
                f"{machine.title} does not tick: its steps last as long as their work",
                hint="leave --tick out",
            )
        return None
    if tick is not None:
        return tick
    return dt if model.tick is None else machine.costs[model.tick].value


class _Gathered:
    """What is kept of each sample, which is counted in blocks of steps.

    Counts (steps, cells) of a block are dropped once they are used.
    """

    def __init__(
        self, axons: Axons, placement: Placement, model: CostModel, known: Reach, tick: float | None
    ) -> None:
        self.axons, self.placement, self.model = axons, placement, model
        self.known, self.tick = known, tick
        self.timings: list[tuple[Floats, Floats, Floats, Integers]] = []
        self.links: list[npt.NDArray[np.int32]] = []
        self.takers: list[Integers] = []
        self.causes: list[tuple[Cause, ...]] = []
        self.step_counts: list[dict[str, Integers]] = []
        self.core_counts = np.zeros((len(CORES), placement.parts), np.int64)
        self.core_busy = np.zeros((2, placement.parts))
        self.load = np.zeros(known.start.size, np.int64)
        self.timeline = np.zeros((0, placement.parts))
        self.timeline_counts = np.zeros((len(CORES), 0, placement.parts), np.int32)
        self.slowest, self.longest = 0, -1.0

    def begin(self) -> None:
        """A sample begins."""
        self.lines: list[
            tuple[Floats, Floats, Floats, Integers, npt.NDArray[np.int32], Integers]
        ] = []
        self.done: list[dict[str, Integers]] = []
        self.busy: list[tuple[Floats, npt.NDArray[np.int32]]] = []

    def take(self, spikes: Spikes) -> None:
        """Count and time the next steps of the sample."""
        counts = count(self.known, spikes)
        found = timing(self.model, self.placement, self.known, counts, self.tick)
        self.causes.append(
            causes(self.model, self.axons, self.placement, self.known, counts, found)
        )
        self.done.append(counts.by_step(self.known))
        of_parts = self._of_parts(counts)
        self.core_counts += of_parts.sum(axis=1)
        self.core_busy += np.stack([found.send.sum(axis=0), found.receive.sum(axis=0)])
        self.load += counts.link_load
        taker = heaviest(self.model, self.axons, self.placement, self.known, counts, found)
        self.lines.append(
            (found.lead, found.way, found.rest, found.leader, counts.busiest_link, taker)
        )
        busy = core_seconds(self.model, found.send, found.receive)
        self.busy.append((busy, of_parts.astype(np.int32)))

    def end(self) -> None:
        """The sample is over."""
        lead, way, rest, leader, link, taker = (
            np.concatenate(column) for column in zip(*self.lines, strict=True)
        )
        work = float((lead + way).sum())
        if work > self.longest:
            self.slowest, self.longest = len(self.timings), work
            self.timeline = np.concatenate([busy for busy, _ in self.busy])
            self.timeline_counts = np.concatenate([counts for _, counts in self.busy], axis=1)
        self.timings.append((lead, way, rest, leader))
        self.step_counts.append(
            {name: np.concatenate([one[name] for one in self.done]) for name in self.done[0]}
        )
        self.links.append(link)
        self.takers.append(taker)
        self.causes[len(self.timings) - 1 :] = [add_up(self.causes[len(self.timings) - 1 :])]

    def _of_parts(self, counts: Counts) -> Integers:
        """What each core does in each step, (counts, steps, parts)."""
        begin = self.known.part_ptr[:-1]
        rows = [
            counts.packets_in
            if name == "packets_in"
            else np.add.reduceat(getattr(counts, name), begin, axis=1)
            for name in CORES
        ]
        return np.stack(rows)

    def profile(self, events: Mapping[str, Events], outputs: Sequence[str]) -> Profile:
        placement, machine = self.placement, self.placement.machine
        lead, way, rest = (
            np.stack([np.asarray(t[k], np.float64) for t in self.timings]) for k in range(3)
        )
        leader = np.stack([t[3] for t in self.timings])
        length = lead + way + rest
        seconds = float(length.sum())
        step_counts = {
            name: np.stack([one[name] for one in self.step_counts]) for name in self.step_counts[0]
        }
        totals = {name: int(amount.sum()) for name, amount in step_counts.items()}
        return Profile(
            machine=machine,
            model=self.model,
            seat=placement.seat.astype(np.int64),
            length=length,
            lead=lead,
            way=way,
            rest=rest,
            leader=leader,
            step_counts=step_counts,
            core_names=tuple(core_name(placement, part) for part in range(placement.parts)),
            core_counts=self.core_counts,
            core_busy=self.core_busy,
            slowest=self.slowest,
            timeline=self.timeline,
            timeline_counts=self.timeline_counts,
            link_start=self.known.start.astype(np.int64),
            link_end=self.known.end.astype(np.int64),
            link_load=self.load,
            totals=totals,
            ledger=ledger(self.model, machine, totals, placement.parts, seconds),
            causes=add_up(self.causes),
            waits=self._waits(events, outputs, lead, way, rest, leader),
            tick=self.tick,
        )

    def _waits(
        self,
        events: Mapping[str, Events],
        outputs: Sequence[str],
        lead: Floats,
        way: Floats,
        rest: Floats,
        leader: Integers,
    ) -> Waits:
        link = np.stack(self.links).astype(np.int64)
        # Cores first, then links, then the way of packets and what is left.
        parts = self.placement.parts
        who = np.where(leader == LINK, parts + link, leader).astype(np.int64)
        used = np.unique(who[leader != NOBODY])
        where = np.where(leader == NOBODY, -1, np.searchsorted(used, who))
        when = np.cumsum(lead + way + rest, axis=1)
        every = [events[name] for name in outputs]
        owner, sample, step, index = (
            np.concatenate([np.zeros(0, np.int64), *arrays])
            for arrays in (
                [np.full(e.sample.size, k) for k, e in enumerate(every)],
                [e.sample for e in every],
                [e.step for e in every],
                [e.index for e in every],
            )
        )
        seconds = when[sample, step]
        most, longest = np.zeros(sample.size, np.int64), np.zeros(sample.size)
        nodes = [n.name for n in self.axons.nodes if n.first < self.axons.neurons]
        node = np.full(sample.size, -1, np.int64)
        order = np.argsort(sample, kind="stable")
        bounds = np.searchsorted(sample[order], np.arange(who.shape[0] + 1))
        for one in range(who.shape[0]):
            of_sample = order[bounds[one] : bounds[one + 1]]
            rows, total = np.arange(who.shape[1]), np.zeros((who.shape[1], used.size + 2))
            led = where[one] >= 0
            total[rows[led], where[one, led]] = lead[one, led]
            total[:, -2], total[:, -1] = way[one], np.maximum(rest[one], 0.0)
            waited = np.cumsum(total, axis=0)
            longest_yet = waited.argmax(axis=1)
            most[of_sample] = longest_yet[step[of_sample]]
            taker, taken = self.takers[one], np.zeros((who.shape[1], len(nodes) + 1))
            taken[rows, taker] = np.where(leader[one] >= 0, lead[one], 0.0)
            taken = np.cumsum(taken[:, :-1], axis=0)
            if nodes:
                heavy = np.where(taken.any(axis=1), taken.argmax(axis=1), -1)
                node[of_sample] = heavy[step[of_sample]]
            longest[of_sample] = waited[step[of_sample], most[of_sample]]
        share = longest / np.where(seconds > 0, seconds, 1.0)
        names = [
            core_name(self.placement, n)
            if n < parts
            else link_name(
                self.placement, int(self.known.start[n - parts]), int(self.known.end[n - parts])
            )
            for n in used.tolist()
        ]
        return Waits(
            populations=tuple(outputs),
            causes=(*names, "way of packets", REST[self.model.pace]),
            sample=sample,
            population=owner,
            step=step,
            index=index,
            seconds=seconds,
            cause=most,
            share=np.minimum(share, 1.0),
            nodes=tuple(nodes),
            node=node,
        )
