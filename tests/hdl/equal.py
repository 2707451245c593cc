"""A core held to the reference: every spike, every state word, every counter of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spikec.hdl.cycles import StepCycles, step_cycles
from spikec.hdl.image import CoreImage

from .bench import StepRecord, run_core
from .reference import Reference


@dataclass
class Seen:
    """What a run reached: spikes, neurons passed over, extremes of v and u, the core's counters.

    ``beyond`` as in `Reference`; ``groups`` has the number of them that each step committed.
    """

    spikes: int = 0
    passed_over: int = 0
    v: tuple[int, int] = (0, 0)
    u: tuple[int, int] = (0, 0)
    beyond: tuple[bool, bool] = (False, False)
    cycles: list[StepCycles] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)


def check_equal(image: CoreImage, steps: Sequence[Sequence[int]], *, ahead: bool = False) -> Seen:
    """Compare a run with the reference; with ``ahead`` events come while the step before commits.

    A neuron that the core passed over must be one that the reference leaves as it was.
    """
    return check_records(image, steps, run_core(image, steps, ahead=ahead), ahead=ahead)


def check_records(
    image: CoreImage,
    steps: Sequence[Sequence[int]],
    records: Sequence[StepRecord],
    *,
    ahead: bool = False,
) -> Seen:
    """Compare what a core said from a cleared state on; see `check_equal`."""
    shape = image.shape
    reference, seen = Reference(image), Seen()
    state = [(0, 0)] * shape.neurons
    for number, (record, events) in enumerate(zip(records, steps, strict=True)):
        where = f"step {number}"
        for source in events:
            reference.event(source)
        assert record.step == reference.step, where
        trace, emitted, fired = reference.tick()
        got = {line.index: line for line in record.trace}
        assert [line.index for line in record.trace] == sorted(got), f"{where}: order"
        for line in trace:
            if line.index in got:
                assert got[line.index] == line, where
            else:
                seen.passed_over += 1
                assert (line.v, line.u, line.spike) == (*state[line.index], False), where
            state[line.index] = (line.v, line.u)
            seen.v = min(seen.v[0], line.v), max(seen.v[1], line.v)
            seen.u = min(seen.u[0], line.u), max(seen.u[1], line.u)
        assert record.spikes == emitted, where
        seen.spikes += len(fired)

        groups = sorted({index // shape.lanes for index in got})
        # Events that wait for the sweep come too late for a step that has nothing to commit.
        early = ahead and number > 0 and (shape.overlaps or seen.groups[-1] > 0)
        following = steps[number + 1] if ahead and number + 1 < len(steps) else []
        predicted = step_cycles(
            shape,
            groups,
            [] if early else [reference.words(source) for source in events],
            {n: reference.words(shape.inputs + n) for n in fired} if shape.recurrent else {},
            [reference.words(source) for source in following],
        )
        assert record.cycles == predicted, where
        seen.cycles.append(record.cycles)
        seen.groups.append(len(groups))
    seen.beyond = reference.beyond
    return seen
