r"""What a run waits for, and what halving each of it would gain.

Halving what one thing takes lets the next lead: a core c that leads the steps :math:`S_c` gains

.. math::
    \sum_{t \in S_c} \mathrm{lead}(t) - \max\left(\tfrac12 \mathrm{lead}(t), \mathrm{next}(t)\right)

and no more. Populations and kinds of work are spread over cores; they are halved in all of them,
and the leaders found anew. Where steps last a tick the run is no shorter: what is gained is room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from ...boards.costs import CostLine, CostModel
from ..mapping.axons import Axons
from ..mapping.mapping import Mapping
from .count import Counts
from .reach import Reach
from .timing import LINK, Timing, busy, leaders, network, of_parts

Floats = npt.NDArray[np.float64]

Kind = Literal["core", "link", "way", "barrier", "population", "work"]


@dataclass(frozen=True)
class Cause:
    """Something that steps wait for: ``seconds`` of all steps, in ``steps`` of them.

    ``gain`` are the seconds that a run would be shorter if it took half as long. ``number`` is that
    of a part, or of a link in `Reach`; else -1. A population or a kind of work is what leading
    cores spend with it, so that its seconds are in those of cores, too.
    """

    kind: Kind
    name: str
    number: int
    seconds: float
    steps: int
    gain: float


def causes(
    model: CostModel,
    axons: Axons,
    mapping: Mapping,
    reach: Reach,
    counts: Counts,
    timing: Timing,
) -> tuple[Cause, ...]:
    """Everything that the steps of one sample wait for, the largest gain first."""
    found = [
        *_cores(mapping, timing),
        *_links(mapping, reach, counts, timing),
        *_rest(model, timing),
        *_shared(model, axons, mapping, reach, counts, timing),
    ]
    return _ordered(found)


def heaviest(
    model: CostModel, axons: Axons, mapping: Mapping, reach: Reach, counts: Counts, timing: Timing
) -> npt.NDArray[np.int64]:
    """The node, a number among `Axons`, that takes most of each step's leading core (steps,).

    -1 where no core leads, or packets take it all.
    """
    machine = mapping.machine
    (send, _), (receive, _) = (
        busy(lines, machine, reach, counts) for lines in (model.send, model.receive)
    )
    cells = send + receive
    if model.overlap:
        sends = of_parts(send, reach) >= of_parts(receive, reach)
        cells = np.where(sends[:, reach.cell_part], send, receive)
    of_leader = np.where(reach.cell_part == timing.leader[:, None], cells, 0.0)
    most = of_leader.argmax(axis=1) if reach.cells else np.zeros(counts.steps, np.int64)
    worked = of_leader[np.arange(counts.steps), most] > 0
    return np.where(worked, reach.cell_node[most], -1).astype(np.int64)


def add_up(samples: list[tuple[Cause, ...]]) -> tuple[Cause, ...]:
    """The causes of several samples, added up."""
    total: dict[tuple[Kind, str, int], Cause] = {}
    for cause in (cause for sample in samples for cause in sample):
        key = (cause.kind, cause.name, cause.number)
        have = total.get(key)
        total[key] = (
            cause
            if have is None
            else replace(
                have,
                seconds=have.seconds + cause.seconds,
                steps=have.steps + cause.steps,
                gain=have.gain + cause.gain,
            )
        )
    return _ordered(total.values())


def _ordered(found: Iterable[Cause]) -> tuple[Cause, ...]:
    return tuple(sorted(found, key=lambda c: (-c.gain, -c.seconds, c.kind, c.number, c.name)))


def core_name(mapping: Mapping, part: int) -> str:
    """``core 17 (x 2, y 1)``."""
    core = int(mapping.seat[part])
    x, y = mapping.machine.place(core // mapping.machine.cores_per_router)
    return f"core {core} (x {x}, y {y})"


def link_name(mapping: Mapping, start: int, end: int) -> str:
    """``link (2, 1) -> (3, 1)``, or by numbers in a tree."""
    machine = mapping.machine
    if machine.topology == "tree":
        return f"link {start} -> {end}"
    (x, y), (u, v) = machine.place(start), machine.place(end)
    return f"link ({x}, {y}) -> ({u}, {v})"


def _gain(timing: Timing, led: npt.NDArray[np.bool_]) -> float:
    lead, following = timing.lead[led], timing.next[led]
    return float(np.sum(lead - np.maximum(lead / 2, following)))


def _cores(mapping: Mapping, timing: Timing) -> Iterator[Cause]:
    for part in np.unique(timing.leader[timing.leader >= 0]).tolist():
        led = timing.leader == part
        yield Cause(
            "core",
            core_name(mapping, part),
            part,
            float(timing.lead[led].sum()),
            int(led.sum()),
            _gain(timing, led),
        )


def _links(mapping: Mapping, reach: Reach, counts: Counts, timing: Timing) -> Iterator[Cause]:
    by_link = timing.leader == LINK
    for link in np.unique(counts.busiest_link[by_link]).tolist():
        led = by_link & (counts.busiest_link == link)
        name = link_name(mapping, int(reach.start[link]), int(reach.end[link]))
        yield Cause(
            "link", name, link, float(timing.lead[led].sum()), int(led.sum()), _gain(timing, led)
        )


def _rest(model: CostModel, timing: Timing) -> Iterator[Cause]:
    way = float(timing.way.sum())
    if way:
        yield Cause("way", "way of packets", -1, way, int((timing.way > 0).sum()), way / 2)
    if model.pace == "barrier":
        rest = float(timing.rest.sum())
        yield Cause("barrier", "barrier", -1, rest, timing.rest.size, rest / 2)


def _shared(
    model: CostModel,
    axons: Axons,
    mapping: Mapping,
    reach: Reach,
    counts: Counts,
    timing: Timing,
) -> Iterator[Cause]:
    """Populations, and kinds of work."""
    machine = mapping.machine
    link, second, _ = network(model, machine, counts)
    led = timing.leader >= 0

    def cause(kind: Kind, name: str, send: Floats, receive: Floats) -> Cause | None:
        """Of what takes so long of cores (steps, parts)."""
        where = (np.flatnonzero(led), timing.leader[led])
        if model.overlap:
            sending = timing.send[where] >= timing.receive[where]
            own = np.where(sending, send[where], receive[where])
        else:
            own = send[where] + receive[where]
        if not own.any():
            return None
        _, lead, _ = leaders(
            model, timing.send - send / 2, timing.receive - receive / 2, link, second
        )
        gain = float(np.sum(timing.lead - lead))
        return Cause(kind, name, -1, float(own.sum()), int((own > 0).sum()), max(gain, 0.0))

    def only(lines: tuple[CostLine, ...], cells: npt.NDArray[np.bool_] | None) -> Floats:
        of_cells, parts = busy(lines, machine, reach, counts)
        if cells is None:
            return of_parts(of_cells, reach) + parts
        return of_parts(np.where(cells, of_cells, 0.0), reach)

    nodes = [node for node in axons.nodes if node.first < axons.neurons]
    for number, node in enumerate(nodes):
        cells = reach.cell_node == number
        if cells.any():
            found = cause(
                "population", node.name, only(model.send, cells), only(model.receive, cells)
            )
            if found is not None:
                yield found
    for count in dict.fromkeys(line.count for line in (*model.send, *model.receive)):
        of_send, of_receive = (
            tuple(line for line in lines if line.count == count)
            for lines in (model.send, model.receive)
        )
        found = cause("work", count, only(of_send, None), only(of_receive, None))
        if found is not None:
            yield found
