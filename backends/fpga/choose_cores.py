"""Several cores for a network: how many, and of how many lanes and units each."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ...boards.board import Target
from ...ir.diagnostics import SpikecError, fail
from ...ir.graph import Graph
from .choose import INPUT_MAX, LANES, SAVES, UNITS, build_for, choose
from .cluster import Lowered, LoweredCluster, lower_cluster, refuse_learning
from .forecast import Forecast, Kind, Option, cluster_forecast
from .goal import Goal, GoalMissed, Search, given_options
from .level import level
from .logic import logic_room, multiplier_blocks, multipliers_of, too_large
from .lower import Build, Wiring, integer_neuron
from .partition import Assignment, split
from .plastic import plastic_projection
from .resources import check_memory

_CORES: Final = (2, 4, 8)
_PAYS: Final = 0.75


def choose_cores(
    graph: Graph,
    target: Target,
    cores: int | None = 1,
    lanes: int | None = None,
    units: int | None = None,
    emit: tuple[str, ...] | None = None,
    kind: Kind | None = None,
    input_max: int = INPUT_MAX,
    parity: bool = False,
    goal: Goal | None = None,
) -> tuple[Lowered, Build, Forecast]:
    """``cores`` cores that are best for a goal among those that fit a target, see `choose`.

    None: as many as the goal of cycles takes; without one, as many as fit and pay, which is when
    they take less than `_PAYS` of the cycles of half as many. Only one core learns, has parities,
    or is a circuit. Raises E0302 or E0310 if so many do not fit, E0308 and E0707 for several that
    would have to do what only one can, E0311 if the goal is missed.
    """
    goal = goal or Goal()
    if cores is not None and cores > 1:
        refuse_learning(graph)
        if parity or kind == "parallel":
            option = "--parity" if parity else "--core parallel"
            why = "their words have no parity" if parity else "each is event-driven"
            raise fail(
                "E0707",
                f"{option} is for one core, not for {cores}: {why}",
                hint=f"compile with --cores 1, or without {option}",
            )
        found = _choose_cluster(graph, target, cores, lanes, units, emit, goal)
        return _because(found, f"{cores} cores asked for")
    missed: list[Option] = []
    best: tuple[Lowered, Build, Forecast] | None = None
    try:
        best = choose(graph, target, lanes, units, emit, kind, input_max, parity, goal)
    except GoalMissed as error:
        if cores is not None:
            raise
        missed.append(error.fastest)
    alone = parity or plastic_projection(graph) is not None or kind == "parallel"
    alone = alone or (best is not None and best[2].kind == "parallel")
    for number in _CORES if cores is None and not alone else ():
        if best is not None and goal.most < math.inf:
            break
        try:
            more = _choose_cluster(graph, target, number, lanes, units, emit, goal)
        except GoalMissed as error:
            missed.append(error.fastest)
            continue
        except SpikecError:
            break
        if best is None:
            best = _because(more, f"{number} cores, as fewer take too many cycles")
            continue
        pace = more[2].cycles, best[2].cycles
        if pace[0] > _PAYS * pace[1]:
            break
        why = f"{number} cores: {pace[0]:.0f} cycles a step, {pace[1]:.0f} on half as many"
        best = _because(more, why)
    if best is None:
        fastest = min(missed, key=lambda one: one.cycles)
        raise GoalMissed.by(fastest, goal, target, given_options(lanes, units, kind))
    return best


def _because(
    found: tuple[LoweredCluster, Build, Forecast], why: str
) -> tuple[Lowered, Build, Forecast]:
    core, build, expected = found
    if expected.choice is not None:
        why = f"{why}; {expected.choice.rule} of {expected.choice.fit} that fit"
    return core, build, replace(expected, why=why)


def _choose_cluster(
    graph: Graph,
    target: Target,
    cores: int,
    lanes: int | None,
    units: int | None,
    emit: tuple[str, ...] | None,
    goal: Goal,
) -> tuple[LoweredCluster, Build, Forecast]:
    """So many cores; E0302 if they do not fit, with fewer to be taken if that helps."""
    room = None if lanes is not None else logic_room(target)
    dsps, width = multipliers_of(target)
    wiring = Wiring(graph)
    search: Search[LoweredCluster] = Search(goal)
    refused: SpikecError | None = None
    smallest = math.inf
    since = 0
    for number, together, assignment in _splits(wiring, target, cores, lanes, units, goal.activity):
        if since == _ENOUGH:
            break
        build = build_for(target, number, together)
        try:
            core = lower_cluster(graph, build, assignment, emit, wiring=wiring)
            check_memory(core.shape, target)
        except SpikecError as error:
            # Say of the smallest one why it does not fit.
            if build.lanes * build.units < smallest:
                smallest, refused = build.lanes * build.units, error
            continue
        if units is None and sum(multiplier_blocks(c, width) for c in core.shape.cores) > dsps:
            continue
        found = cluster_forecast(core, target, goal.activity)
        if room is not None and found.logic > room:
            if build.lanes * build.units < smallest:
                what = f"{cores} cores of the smallest kind need"
                smallest = build.lanes * build.units
                refused = too_large(what, found.logic, room, target)
            continue
        if goal.most < found.cycles < _SHORTER * goal.most:
            core = _rearranged(core, build, emit, wiring, target)
            found = cluster_forecast(core, target, goal.activity)
        since = 0 if search.add(core, build, found, cores) or search.best is None else since + 1
    if search.best is not None:
        core, build, found = search.best
        shorter = _rearranged(core, build, emit, wiring, target)
        if shorter is not core:
            core, found = shorter, cluster_forecast(shorter, target, goal.activity)
        if lanes is None or units is None:
            found = replace(found, choice=search.choice)
        return core, build, found
    if search.options:
        raise search.missed(target, given_options(lanes, units, cores=cores))
    if refused is not None:
        raise _fewer_cores(refused, graph, target, lanes, units, emit)
    raise fail(
        "E0302",
        f"{target.title} has {dsps:.0f} multipliers, too few for {cores} cores of this network",
        hint="use fewer --cores, or one time constant",
    )


def _splits(
    wiring: Wiring,
    target: Target,
    cores: int,
    lanes: int | None,
    units: int | None,
    activity: float,
) -> Iterator[tuple[int, int, Assignment]]:
    """Lanes, units and split of the cores that a device may have logic for, the smallest first.

    Without units that save nothing. Raises E0310 or E0707 if there is none.
    """
    room = None if lanes is not None else logic_room(target)
    widths = [integer_neuron(p).numerics.acc_bits for p in wiring.graph.populations]
    refused: SpikecError | None = None
    found = False
    for number in (lanes,) if lanes is not None else LANES:
        if room is not None and cores * number * min(widths) > room:
            continue
        before = math.inf
        for together in (units,) if units is not None else UNITS:
            if number % together:
                continue
            try:
                assignment = split(wiring.graph, cores, number, together, activity, wiring)
            except SpikecError as error:
                refused = refused or error
                continue
            if assignment.load > SAVES * before:
                break
            before, found = assignment.load, True
            yield number, together, assignment
    if refused is not None and not found:
        raise refused
    if room is not None and not found:
        what = f"{cores} cores of one lane need"
        raise too_large(what, cores * min(widths), room, target)
    if not found:
        raise fail("E0707", f"--units {units} does not divide --lanes {lanes}")


def _rearranged(
    core: LoweredCluster,
    build: Build,
    emit: tuple[str, ...] | None,
    wiring: Wiring,
    target: Target,
) -> LoweredCluster:
    """The same cores `shortened`, if memory holds those, too."""
    shorter = shortened(core, build, emit, wiring)
    with contextlib.suppress(SpikecError):
        check_memory(shorter.shape, target)
        return shorter
    return core


def _fewer_cores(
    refused: SpikecError,
    graph: Graph,
    target: Target,
    lanes: int | None,
    units: int | None,
    emit: tuple[str, ...] | None,
) -> SpikecError:
    """The same, with fewer cores as what to do first if at least one core fits."""
    (found,) = refused.diagnostics[:1]
    if found.code != "E0302":
        return refused
    try:
        choose(graph, target, lanes, units, emit, "events")
    except SpikecError:
        return refused
    return SpikecError([replace(found, hint=f"use fewer --cores, one fits; or {found.hint}")])


# So many larger cores one after the other that are no better, and none is looked at any more.
_ENOUGH: Final = 4
# Cores that take more than a goal by less than this factor may keep it with shorter rows.
_SHORTER: Final = 1.3


def shortened(
    core: LoweredCluster,
    build: Build,
    emit: tuple[str, ...] | None = None,
    wiring: Wiring | None = None,
) -> LoweredCluster:
    """The same cores with neurons in other places (`level`), if that pays.

    Which can be where the lanes of words have an address each; elsewhere neighbours share words. It
    pays if the busiest core adds fewer words, and all together have no more to store.
    """
    if all(part.shape.addressing != "lane" for part in core.parts):
        return core
    assignment = level(core.graph, core.assignment, build.lanes, build.units, wiring)
    found = lower_cluster(core.graph, build, assignment, emit, wiring=wiring)
    added, stored = zip(*map(_words_of, (core, found)), strict=True)
    return found if added[1] < added[0] and stored[1] <= stored[0] else core


def _words_of(core: LoweredCluster) -> tuple[int, int]:
    """Words in all rows of the core with most, and those that all cores store."""
    words = [part.words for part in core.parts]
    return max(int(w.issued.sum()) for w in words), sum(w.words for w in words)
