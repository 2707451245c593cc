"""Neurons change places so that sparse rows need fewer words.

Where every lane of a word has an address of its own (``lane``), a row takes as many words in a
core as its fullest lane there has synapses. With n synapses thrown onto L lanes that is far more
than n / L: 3 words of 16 lanes for 16 synapses. Which neuron lies in which lane of which core is
free, so it is chosen: with n_rcl synapses of row r in lane l of core c,

    minimise sum over r, c, l of n_rcl^3

by swapping two neurons of a population wherever that makes the sum smaller. The cubes, unlike the
sum over r, c of max over l, say at once which of two uneven rows is nearer to an even one.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final

import numba
import numpy as np
import numpy.typing as npt

from ...ir.graph import Graph, Population
from .cluster import place_cluster
from .lower import Wiring, integer_neuron
from .partition import Assignment

Integers = npt.NDArray[np.int64]

_SEED: Final = 1
# Swaps looked at for each neuron, and synapses in all of them together: about a second.
_SWAPS: Final = 1000
_LOOKED_AT: Final = 1 << 27


def level(
    graph: Graph, assignment: Assignment, lanes: int, units: int, wiring: Wiring | None = None
) -> Assignment:
    """An assignment whose cores hold as many neurons each, with shorter rows by ``lane``.

    Populations whose neurons have to lie as they do, since ``units`` that commit together share
    their parameters, stay where they are.
    """
    placement = place_cluster(graph, assignment, lanes, units)[2]
    free = [p for p in graph.populations if units == 1 or _alike(p)]
    lines = sum(node.size for node in graph.inputs)
    found = (wiring or Wiring(graph)).synapses(placement, lines)
    places = 1 + max(int(placement.places(p).max()) for p in graph.populations)
    if not free or not found.target.size:
        return assignment
    # Groups are whole, so a place says the lane; that of a core's first group says the core.
    core = np.zeros(places, np.int64)
    for population in graph.populations:
        core[placement.places(population)] = assignment.core[population.name]
    seat = core * lanes + np.arange(places) % lanes
    # By place: the rows that lead there, each once with its number of synapses.
    rows = int(found.source.max()) + 1
    key, times = np.unique(found.target * rows + found.source, return_counts=True)
    target, source = np.divmod(key, rows)
    start = np.searchsorted(target, np.arange(places + 1))
    count = np.zeros((rows, assignment.cores * lanes), np.int32)
    np.add.at(count, (source, seat[target]), times.astype(np.int32))

    at = np.arange(places)
    swaps = _swaps([placement.places(p) for p in free], key.size / places)
    _level(swaps, start, source, times.astype(np.int32), seat, at, count)

    # What lay at `at[place]` lies at `place` now.
    where = np.empty(places, np.int64)
    where[at] = np.arange(places)
    cores, rank = dict(assignment.core), dict(assignment.rank)
    for population in free:
        rank[population.name] = where[placement.places(population)]
        cores[population.name] = core[rank[population.name]]
    return replace(assignment, core=cores, rank=rank)


def _alike(population: Population) -> bool:
    """Whether all neurons have the same parameters, but for biases, which each has its own."""
    neuron = integer_neuron(population)
    for one in fields(neuron):
        value = getattr(neuron, one.name)
        if one.name in ("bias", "bias_first") or not isinstance(value, np.ndarray):
            continue
        if (value != value.flat[0]).any():
            return False
    return True


def _swaps(populations: list[Integers], synapses: float) -> Integers:
    """Pairs of places (n, 2), both of one population; each neuron has ``synapses`` on average."""
    rng = np.random.default_rng(_SEED)
    total = sum(p.size for p in populations)
    most = min(_SWAPS * total, int(_LOOKED_AT / max(2 * synapses, 1)))
    pairs = [p[rng.integers(p.size, size=(most * p.size // total, 2))] for p in populations]
    return rng.permutation(np.concatenate(pairs))


@numba.njit(cache=True)
def _level(swaps: Any, start: Any, source: Any, times: Any, seat: Any, at: Any, count: Any) -> None:
    """Carry out the swaps that make the sum of cubes smaller, one after the other.

    ``at`` (places,) has what lies at each place, by its rows ``start[n] .. start[n + 1]`` of
    ``source``, ``times`` synapses each; ``count`` (rows, seats) is kept up to date.
    """
    for k in range(len(swaps)):
        one, two = swaps[k]
        a, b = seat[one], seat[two]
        if a == b:
            continue
        gain = np.int64(0)
        for change in (False, True):
            if change and gain >= 0:
                break
            x, y = start[at[one]], start[at[two]]
            x_end, y_end = start[at[one] + 1], start[at[two] + 1]
            while x < x_end or y < y_end:
                # Of a row that leads to both, only what one has more than the other moves.
                moved = np.int64(0)
                row = source[y if x == x_end else x]
                if y < y_end:
                    row = min(row, source[y])
                if x < x_end and source[x] == row:
                    moved += times[x]
                    x += 1
                if y < y_end and source[y] == row:
                    moved -= times[y]
                    y += 1
                if moved == 0:
                    continue
                if change:
                    count[row, a] -= moved
                    count[row, b] += moved
                else:
                    here, there = np.int64(count[row, a]), np.int64(count[row, b])
                    gain += (here - moved) ** 3 + (there + moved) ** 3 - here**3 - there**3
        if gain < 0:
            at[one], at[two] = at[two], at[one]
