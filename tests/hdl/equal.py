"""A core held to the reference: every spike, every state word, every counter of every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from spikec.hdl.cycles import StepCycles, first_events_cycles, queued_cycles, step_cycles
from spikec.hdl.image import CoreImage

from .bench import StepRecord, run_core
from .reference import Reference, Swept


@dataclass
class Seen:
    """What a run reached: spikes, neurons passed over, extremes of v, u and h, the core's counters.

    ``reach`` as in `Reference`; ``groups`` has the number of them that each step committed.
    """

    spikes: int = 0
    passed_over: int = 0
    v: tuple[int, int] = (0, 0)
    u: tuple[int, int] = (0, 0)
    reach: dict[str, tuple[int, int]] = field(default_factory=dict)
    h: int = 0
    cycles: list[StepCycles] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)

    def note(self, trace: Sequence[Swept]) -> None:
        """A step more."""
        for line in trace:
            self.spikes += line.spike
            self.h = max(self.h, line.h)
            self.v = min(self.v[0], line.v), max(self.v[1], line.v)
            self.u = min(self.u[0], line.u), max(self.u[1], line.u)

    def passes(self, name: str, bits: int) -> tuple[bool, bool]:
        """Whether a number of this name was below, and above, what so many signed bits hold."""
        half = 1 << (bits - 1)
        low, high = self.reach.get(name, (0, 0))
        return low < -half, high >= half


def expected(image: CoreImage, steps: Sequence[Sequence[int]]) -> Seen:
    """What a run should reach: the reference alone."""
    reference, seen = Reference(image), Seen()
    for events in steps:
        for source in events:
            reference.event(source)
        seen.note(reference.tick()[0])
    seen.reach = reference.reach
    return seen


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
    state = [(0, 0, 0)] * shape.neurons
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
                assert not line.spike, where
                assert (line.v, line.u, line.h) == state[line.index], where
            state[line.index] = (line.v, line.u, line.h)
        assert record.spikes == emitted, where
        seen.note(trace)

        groups = sorted({index // shape.lanes for index in got})
        # Events that wait for the sweep come too late for a step that has nothing to commit.
        early = ahead and number > 0 and (shape.overlaps or seen.groups[-1] > 0)
        following = steps[number + 1] if ahead and number + 1 < len(steps) else []
        rows = {n: reference.words(shape.inputs + n) if shape.recurrent else [] for n in fired}
        after = [reference.words(source) for source in following]
        predicted = step_cycles(
            shape,
            groups,
            [] if early else [reference.words(source) for source in events],
            rows if shape.recurrent else {},
            after,
        )
        assert record.cycles == predicted, where
        if number == 0:
            first = first_events_cycles(shape, [reference.words(source) for source in events])
            assert record.ticked - record.begun == first, where
        if ahead and number + 1 < len(steps):
            taken = records[number + 1].ticked - record.ticked
            assert taken == queued_cycles(shape, groups, rows, after, emitted), where
        seen.cycles.append(record.cycles)
        seen.groups.append(len(groups))
    seen.reach = reference.reach
    return seen
