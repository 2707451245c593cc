"""What a core will take, before synthesis: cycles of a step, memory, logic.

Memory blocks are counted; logic is estimated (`logic`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from ...boards.board import Target
from ...hdl.cluster_cycles import cluster_step_cycles
from ...hdl.cycles import LearningStep, parallel_cycles, step_cycles
from ...hdl.shape import ParallelShape
from ...hdl.terms import depth, terms_of
from .cluster import LoweredCluster
from .logic import cluster_logic, logic, parallel_logic
from .lower import Build, LoweredCore
from .resources import cluster_blocks, memory_blocks

Integers = npt.NDArray[np.int64]

ACTIVITY: Final = 0.1

Kind = Literal["events", "parallel"]


@dataclass(frozen=True)
class Option:
    """A core that a network could have: ``lanes`` and ``units`` of each core, 0 of a circuit."""

    kind: Kind
    cores: int
    lanes: int
    units: int
    cycles: float
    logic: int
    blocks: int

    @staticmethod
    def of(found: Forecast, build: Build, cores: int = 1) -> Option:
        """The core that was built so, and what was found of it."""
        lanes, units = (0, 0) if build.parallel else (build.lanes, build.units)
        blocks = sum(found.blocks.values())
        return Option(found.kind, cores, lanes, units, found.cycles, found.logic, blocks)

    def __str__(self) -> str:
        """In words."""
        if self.kind == "parallel":
            return "the network as a circuit"
        several = f"{self.cores} cores of " if self.cores > 1 else ""
        lanes, units = (
            f"{count} {name}{'s' * (count != 1)}"
            for count, name in ((self.lanes, "lane"), (self.units, "unit"))
        )
        return f"{several}{lanes} and {units}"


@dataclass(frozen=True)
class Choice:
    """What a core was chosen for (``rule``), and from.

    ``most`` cycles that it may take, if that was said; how many cores fit; and of them the
    ``front``: those that no other beats in cycles and in logic, from the fastest on.
    """

    rule: str
    most: float | None
    fit: int
    front: tuple[Option, ...]


@dataclass(frozen=True)
class Forecast:
    """What a core will take, before synthesis.

    ``cycles`` of a step in which ``activity`` of all sources spike; memory ``blocks`` by what is
    in them; ``logic`` in the device's cells of four-input tables; ``padding`` is the share of
    stored and added weights that are only there to fill a word. ``kind`` is that of the core,
    ``why`` says what the choice came from, ``choice`` what else there was.
    """

    cycles: float
    activity: float
    blocks: dict[str, int]
    logic: int
    padding: float
    kind: Kind = "events"
    why: str = ""
    choice: Choice | None = None


def forecast(core: LoweredCore, target: Target, activity: float = ACTIVITY) -> Forecast:
    """The forecast for a lowered core."""
    shape = core.shape
    block = target.block_memory
    parallel = isinstance(shape, ParallelShape)
    packed = target.family == "ice40"
    return Forecast(
        step_forecast(core, activity),
        activity,
        {} if block is None else memory_blocks(shape, block),
        parallel_logic(core, packed=packed) if parallel else logic(shape, packed=packed),
        0.0 if parallel else core.words.padding,
        "parallel" if parallel else "events",
    )


def step_forecast(core: LoweredCore, activity: float = ACTIVITY) -> float:
    """Cycles from tick to tick, a mean over steps in which a share of all sources spike.

    Each is that of `step_cycles`, exact for what spikes in it; every group commits, and events of
    the next step are at hand where the core can take them meanwhile. Of S sources of a kind,
    activity * S spike in a step, none of them twice before all others have.
    """
    shape = core.shape
    if isinstance(shape, ParallelShape):
        step = parallel_cycles(shape, depth(terms_of(core.image)))
        return max(activity * shape.inputs, step) + _BETWEEN
    words = activity * float(core.words.issued.sum())
    # Where words keep a step busy for so long, each of the rest is one more cycle.
    long = max(_LONG, 2 * shape.neurons / shape.units)
    share = min(1.0, long / max(words, 1))
    number = max(1, min(_STEPS, round(_WORDS / max(share * words, 1))))
    drawn = _drawn(_kinds(core), share * activity, number)
    return (1 - share) * words + sum(_step(core, *each) for each in drawn) / number + _BETWEEN


def _step(core: LoweredCore, lines: list[int], neurons: list[int]) -> int:
    """Cycles of a step with these events and spikes."""
    shape = core.shape
    runs = core.words.runs
    groups = range(shape.groups)
    events = [runs(line) for line in lines]
    spikes = {n: runs(shape.inputs + n) if shape.recurrent else [] for n in neurons}
    if shape.learning is None:
        return step_cycles(shape, groups, [], spikes, ahead=events).commit
    plastic = core.image.rows_plastic
    rows = [*lines, *(shape.inputs + n for n in neurons if shape.recurrent)]
    learns = LearningStep([row for row in rows if plastic[row]], neurons)
    return step_cycles(shape, groups, events, spikes if shape.recurrent else {}, (), learns).total


def _drawn(
    kinds: Sequence[tuple[bool, Integers]], activity: float, number: int
) -> Iterator[tuple[list[int], list[int]]]:
    """The lines and the neurons that spike in each of so many steps, ascending.

    ``kinds``: whether they are lines, and the numbers of all.
    """
    rng = np.random.default_rng(_SEED)
    orders = [(line, rng.permutation(places)) for line, places in kinds]
    for step in range(number):
        drawn: dict[bool, list[int]] = {True: [], False: []}
        for line, order in orders:
            first, last = (round(k * activity * order.size) for k in (step, step + 1))
            drawn[line] += order[np.arange(first, last) % order.size].tolist()
        yield sorted(drawn[True]), sorted(drawn[False])


def _kinds(core: LoweredCore | LoweredCluster) -> list[tuple[bool, Integers]]:
    """The lines of each input, and the neurons of each population."""
    first = list(core.placement.inputs.values()) or [0]
    ends = [*first[1:], core.shape.inputs]
    return [
        *((True, np.arange(a, b)) for a, b in zip(first, ends, strict=True)),
        *((False, core.placement.places(p)) for p in core.graph.populations),
    ]


# Accepting a tick and reporting its step.
_BETWEEN: Final = 2
_SEED: Final = 1
# Steps that a forecast is the mean of, and how many words they add altogether, about.
_STEPS: Final = 4
_WORDS: Final = 4000
_LONG: Final = 6000


def cluster_forecast(core: LoweredCluster, target: Target, activity: float = ACTIVITY) -> Forecast:
    """The forecast for several cores."""
    shape, block = core.shape, target.block_memory
    words = activity * sum(float(part.words.issued.sum()) for part in core.parts)
    number = max(1, min(_STEPS, round(_WORDS / max(words, 1))))
    drawn = _drawn(_kinds(core), activity, number)
    return Forecast(
        sum(_cluster_step(core, *each) for each in drawn) / number + _BETWEEN,
        activity,
        {} if block is None else cluster_blocks(shape, block),
        cluster_logic(shape, packed=target.family == "ice40"),
        1
        - _synapses(core)
        / max(1, sum(int(p.words.issued.sum()) * p.shape.lanes for p in core.parts)),
    )


def _cluster_step(core: LoweredCluster, lines: list[int], neurons: list[int]) -> int:
    """Cycles of a step with these events and spikes.

    The larger of two: that of `cluster_step_cycles`, in which no event of the next step comes
    before this one has ended, and that of the busiest core, were everything it adds at hand.
    """
    shape, routes = core.shape, core.image.routes.tolist()
    fired = [
        [n - base for n in neurons if base <= n < base + one.neurons]
        for base, one in zip(shape.bases, shape.cores, strict=True)
    ]
    sources = [*lines, *(shape.inputs + n for n in neurons)]
    alone = [
        _step(part, [shape.line(k, s) for s in sources if routes[s] >> k & 1], fired[k])
        for k, part in enumerate(core.parts)
    ]
    rows = [part.words.runs for part in core.parts]
    groups = [range(one.groups) for one in shape.cores]
    together = cluster_step_cycles(shape, routes, rows, groups, fired)
    return max(together.commit, *alone)


def _synapses(core: LoweredCluster) -> float:
    return sum(
        (1 - part.words.padding) * float(part.words.issued.sum()) * part.shape.lanes
        for part in core.parts
    )
