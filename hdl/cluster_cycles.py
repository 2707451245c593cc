"""Clock cycles of a step of several cores, exact: cores, ring and lists cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .cluster_shape import ClusterShape
from .cycles import CommitCycles, Issuer, SpikeList, StepCycles, event_cycles
from .protocol import COUNTER_MAX
from .ring import ROOM

# Words of each run of a source's row in a core, by its number there: line, or inputs + neuron.
Rows = Callable[[int], Sequence[int]]
_FREE = (0, 0)


def cluster_step_cycles(
    shape: ClusterShape,
    routes: Sequence[int],
    rows: Sequence[Rows],
    groups: Sequence[Sequence[int]],
    spikes: Sequence[Sequence[int]],
    events: Sequence[int] = (),
) -> StepCycles:
    """Prediction for a step.

    By core: ``rows``, the ``groups`` that commit and the neurons that spike (``spikes``), both in
    order; ``routes`` is the image's. ``events`` are the input lines that spiked before the tick.
    Those of the next step are taken to come later.
    """
    before = [
        event_cycles(rows[k](shape.line(k, source)) for source in events if routes[source] >> k & 1)
        for k in range(len(shape.cores))
    ]
    run = _Run(shape, routes, rows, groups, spikes)
    return StepCycles(max(before), min(run.cycles(), COUNTER_MAX))


@dataclass
class _Sender:
    """A source that is looked up, and a packet that waits for a free slot."""

    looked_up: int | None = None
    packet: tuple[int, int] = _FREE


@dataclass
class _Station:
    """The slot at a station, the packets before its core, and the one that is offered to it."""

    slot: tuple[int, int] = _FREE
    waiting: list[int] = field(default_factory=list)
    offered: int | None = None


class _Run:
    """A step from the cycle on after all cores have accepted it."""

    def __init__(
        self,
        shape: ClusterShape,
        routes: Sequence[int],
        rows: Sequence[Rows],
        groups: Sequence[Sequence[int]],
        spikes: Sequence[Sequence[int]],
    ) -> None:
        self._shape, self._routes, self._rows = shape, routes, rows
        self._issuers: list[Issuer] = []
        self._lists: list[SpikeList] = []
        for k, core in enumerate(shape.cores):
            own: Mapping[int, Sequence[int]] = (
                {n: rows[k](core.inputs + n) for n in spikes[k]} if core.recurrent else {}
            )
            commit = CommitCycles(core, groups[k], own, ())
            self._issuers.append(commit.issuer())
            by_beat: dict[int, list[int]] = {}
            for n in spikes[k]:
                by_beat.setdefault(n // core.units, []).append(n)
            self._lists.append(
                SpikeList([(at, by_beat[beat]) for at, beat in commit.beats() if beat in by_beat])
            )
        self._senders = [_Sender() for _ in shape.cores]
        # The last one is that of the input lines, which say nothing meanwhile.
        self._stations = [_Station() for _ in range(len(shape.cores) + 1)]
        self._reports = [False] * len(shape.cores)

    def cycles(self) -> int:
        """Cycles until everything is added everywhere; two more until that is known."""
        while True:
            for issuer in self._issuers:
                issuer.look()
            if self._rests():
                return self._issuers[0].now + 2
            self._step()

    def _rests(self) -> bool:
        quiet = all(s.looked_up is None and not s.packet[1] for s in self._senders) and all(
            not s.slot[1] and not s.waiting and s.offered is None for s in self._stations
        )
        return quiet and all(
            reports and not issuer.busy and spikes.empty
            for reports, issuer, spikes in zip(
                self._reports, self._issuers, self._lists, strict=True
            )
        )

    def _step(self) -> None:
        """All registers in the next cycle, from what they all hold in this one."""
        slots = [station.slot for station in self._stations]
        for k, station in enumerate(self._stations):
            source, cores = slots[k - 1]
            if k == len(self._issuers):
                station.slot = (source, cores) if cores else _FREE
                continue
            taken = bool(cores >> k & 1) and len(station.waiting) < ROOM
            if taken:
                cores &= ~(1 << k)
            station.slot = (source, cores) if cores else self._senders[k].packet
            self._send(k, sent=not cores)
            self._receive(k, source if taken else None)

    def _send(self, k: int, *, sent: bool) -> None:
        """From the list of a core's spikes to its packet; ``sent``: the slot was free."""
        sender, spikes = self._senders[k], self._lists[k]
        number, free = sender.looked_up, not sender.packet[1]
        if number is None:
            sender.looked_up = spikes.rows[0] if spikes.rows else None
        elif free:
            sender.looked_up = None
        if number is not None and free:
            source = self._shape.inputs + self._shape.bases[k] + number
            sender.packet = source, int(self._routes[source])
        elif sent:
            sender.packet = _FREE
        spikes.step(number is None and bool(spikes.rows), self._issuers[k].now)

    def _receive(self, k: int, source: int | None) -> None:
        """From the ring to a core's events."""
        station, issuer = self._stations[k], self._issuers[k]
        event = None
        if station.offered is not None and issuer.accepts:
            event = self._rows[k](self._shape.line(k, station.offered))
        if station.offered is None or issuer.accepts:
            station.offered = station.waiting.pop(0) if station.waiting else None
        if source is not None:
            station.waiting.append(source)
        self._reports[k] |= issuer.done
        issuer.step(event)
