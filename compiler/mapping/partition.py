"""Which neurons share a core: a multilevel partition of the hypergraph under all limits at once.

1. Twins, neurons with the same sources and the same targets, become one vertex each.
2. `coarsen` joins what belongs together, until few vertices are left.
3. `grow` makes the first parts of them.
4. Back through the levels `refine` moves vertices at exact gains, annealed.
5. Parts beyond a limit that depends on what else is in them are cut, and refined within it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...ir.diagnostics import fail
from .axons import Axons
from .coarsen import coarsened
from .grow import grown, streamed
from .hypergraph import Hypergraph, contracted, hypergraph, twins
from .limits import COUNTS, axon_bits, caps_of, refuse
from .refine import UNLIMITED, Caps, Schedule, fan_out, packets, refine, usage

Array = npt.NDArray[Any]
Progress = Callable[[float], None]

# Parts are this many more than neurons alone need, so that vertices have somewhere to go.
_SLACK: Final = 1.05
# A twin vertex has at most this share of a core, a coarse one that of the level.
_TWINS: Final = 16
_LEVELS: Final = (64, 16)
# Coarsening ends at this many vertices a part, or at the fewest that growing takes time for.
_FEW: Final = 8
_MOST_GROWN: Final = 12_000
_ROUNDS: Final = 3
# Coarse vertices that have more than this share of all pins left share no axons.
_LOOSE: Final = 0.8
# What parts are filled to at first.
_FILL: Final = 0.99
# Parts are made smaller until this share of them is within limits, and the next one takes at least
# so much of them; by how much for each share too much, and how often.
_MOST_FIT: Final = 0.95
_FILLED: Final = 0.9
_LESS: Final = 1.25
_GUESSES: Final = 5
# Work of a level, in steps of a few nanoseconds, by effort; sweeps it is at least and most worth.
_WORK: Final = {1: 3.0e9, 2: 3.0e10}
_VISIT: Final = 20.0
_LEAST_SWEEPS: Final = 4
_MOST_SWEEPS: Final = 400
# Axons that reach this share of what they can reach anyway are left as they are by effort 1, where
# every part is of one node.
_EVERYWHERE: Final = 0.85
_COARSE_SHARE: Final = 0.1
_HOT: Final = 1.5
# A cut of parts beyond a limit, and another of those that the first left, up to so often.
_CUTS: Final = 12

_RESOURCES: Final = ("neurons", "in_axons", "out_axons", "synapse_bits")


def partition(
    axons: Axons,
    machine: Machine,
    effort: int = 1,
    seed: int = 1,
    progress: Progress = lambda share: None,
) -> Array:
    """The part of each neuron, numbers from 0 in the order in which they first appear.

    ``effort`` 0 fills parts in breadth-first order; 1 is the multilevel partition, 2 the same with
    ten times its work. Raises E0302 or E0307 for what does not fit the machine.
    """
    caps = caps_of(machine)
    encoding = machine.encoding
    synapse_bits = encoding.synapse_bits(axons.weight_bits)
    graph = hypergraph(axons, synapse_bits, axon_bits(machine), shared=encoding.shared)
    refuse(axons, graph, machine)
    progress(0.1)
    if effort == 0:
        part, _ = streamed(graph, caps)
    else:
        whole = _bound(graph, caps, axons, machine)
        part = _multilevel(*whole, caps, effort, seed, progress)
    part = _within(graph, _numbered(part), caps, axons, machine)
    return _numbered(part)


def _numbered(part: Array) -> Array:
    """Parts numbered from 0 by the first neuron in each."""
    _, first, number = np.unique(part, return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int32)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[number]


def _bound(
    graph: Hypergraph, caps: Caps, axons: Axons, machine: Machine
) -> tuple[Hypergraph, Array]:
    """The graph with twins as one vertex, and the vertex of each neuron.

    Where a neuron reaches one core only, its targets are one vertex; E0302 if they do not fit one.
    """
    if caps.fan_out == 1:
        vertex = _same_core(graph)
        size = np.bincount(vertex)
        if size.max() > caps.neurons:
            _refuse_targets(graph, vertex, int(size.argmax()), caps, axons, machine)
    else:
        most = max(caps.neurons // _TWINS, 1) if caps.neurons < UNLIMITED else graph.vertices
        vertex = twins(graph, most)
    count = int(vertex.max(initial=-1)) + 1
    if count == graph.vertices:
        return graph, np.arange(count, dtype=np.int32)
    return contracted(graph, vertex, count), vertex


def _same_core(graph: Hypergraph) -> Array:
    """Neurons that share a source share a number: the connected components of all targets."""
    from scipy import sparse

    ends = graph.ptr[1:] - graph.lone
    filled = graph.ptr[:-1] < ends
    # Each target is joined to the first one of its net.
    net = np.repeat(np.arange(graph.nets), np.diff(graph.ptr))
    target = np.arange(graph.pins.size) < ends[net]
    first = graph.pins[np.minimum(graph.ptr[:-1], max(graph.pins.size - 1, 0))]
    one, other = graph.pins[target], first[net[target]]
    joined = sparse.coo_array(
        (np.ones(one.size, np.int8), (one, other)), (graph.vertices, graph.vertices)
    )
    assert filled.any() or not target.any()
    _, label = sparse.csgraph.connected_components(joined, directed=False)
    return np.asarray(label, np.int32)


def _refuse_targets(
    graph: Hypergraph, vertex: Array, worst: int, caps: Caps, axons: Axons, machine: Machine
) -> None:
    members = np.flatnonzero(vertex == worst)
    limit = machine.core.fan_out
    assert limit is not None
    raise fail(
        "E0302",
        f"{members.size:,} neurons, {axons.describe(int(members[0]))} among them, have to be in "
        f"one core, as each of their sources reaches {int(limit.value)} core(s) ({limit.obtained}: "
        f"{limit.source}); a core of '{machine.name}' takes {caps.neurons:,}, "
        f"{members.size - caps.neurons:,} too many",
        axons.node_of(int(members[0])).at,
        "make copies of their sources, with the same inputs, one for each core",
    )


def _multilevel(
    graph: Hypergraph,
    vertex: Array,
    caps: Caps,
    effort: int,
    seed: int,
    progress: Progress,
) -> Array:
    """The part of each neuron, as far within the limits as refinement comes."""
    if caps.neurons >= graph.size.sum() and not caps.depend and caps.mixed:
        return np.zeros(vertex.size, np.int32)
    levels, maps = [graph], []
    # Within a node neurons are seldom joined to each other: its own order is the best start.
    for share in _LEVELS if caps.mixed else ():
        most = max(min(caps.neurons, int(graph.size.sum())) // share, 1)
        coarse, onto = coarsened(levels[-1], most, _ROUNDS, seed, mixed=caps.mixed)
        levels.append(coarse)
        maps.append(onto)
    if levels[-1].pins.size > _LOOSE * graph.pins.size:
        # Nothing belongs together: coarse vertices would only be in the way.
        levels, maps = [graph], []
    first, part = _first(levels, caps)
    sliced = not caps.mixed and caps.fan_out == UNLIMITED
    if effort == 1 and sliced and _everywhere(levels[first], part):
        return part[vertex]
    for level in range(first, -1, -1):
        if caps.depend:
            part = _legal(levels[level], part, caps)
        parts = int(part.max()) + 1
        if caps.mixed:
            parts = int(np.ceil(parts * _SLACK))
        graph = levels[level]
        schedule = _schedule(graph, part, parts, caps, _COARSE_SHARE if level else 1.0, effort)
        if level == 0 or schedule.sweeps > _LEAST_SWEEPS:
            refine(graph, part, parts, caps, schedule, seed)
        progress(0.9 - 0.6 * level / len(levels))
        if level:
            part = part[maps[level - 1]]
    return part[vertex]


def _everywhere(graph: Hypergraph, part: Array) -> bool:
    """Whether axons lead to nearly all the parts that they can, so that hardly any can be saved."""
    parts = int(part.max()) + 1
    most = np.minimum(np.diff(graph.ptr), _parts_of_colours(graph, part).max(initial=0) + 1)
    bound = int(graph.weight.astype(np.int64) @ np.maximum(most - 1, 0))
    return packets(graph, part, parts) >= _EVERYWHERE * bound


def _parts_of_colours(graph: Hypergraph, part: Array) -> Array:
    """How many parts there are of each node."""
    pairs = np.unique(graph.colour.astype(np.int64) * (int(part.max()) + 1) + part)
    return np.bincount(pairs // (int(part.max()) + 1))


def _first(levels: list[Hypergraph], caps: Caps) -> tuple[int, Array]:
    """A level, and parts of its vertices, all but few of them within every limit.

    What neurons alone allow is too much where axons or memory bind: parts are made smaller until
    they fit. `refine` makes them larger again, and fewer, as they come to need fewer axons.
    """
    neurons = int(levels[0].size.sum())
    goal = most = min(caps.neurons, neurons)
    for _ in range(_GUESSES):
        number, part = _grown(levels, caps, goal)
        use = usage(levels[number], part, int(part.max()) + 1)
        share = float(np.quantile(use[:, 1:] / np.array(caps[1:4]), _MOST_FIT, axis=0).max())
        if share <= 1.0 and (share > _FILLED or goal == most):
            break
        goal = max(min(int(goal * (_FILL / share) ** _LESS), most), 1)
    return number, part


def _grown(levels: list[Hypergraph], caps: Caps, goal: int) -> tuple[int, Array]:
    """Parts of about ``goal`` neurons, of the vertices of the coarsest level that has enough."""
    fine = levels[0]
    if not caps.mixed or len(levels) == 1:
        return 0, _sliced(fine, goal, caps.mixed)
    parts = max(int(np.ceil(int(fine.size.sum()) / goal * _SLACK)), 1)
    number = len(levels) - 1
    while number and levels[number].vertices < _FEW * parts:
        number -= 1
    level = levels[number]
    if level.vertices > max(_MOST_GROWN, 16 * parts):
        return number, streamed(level, Caps(int(_FILL * goal), mixed=caps.mixed))[0]
    return number, _numbered(grown(level, parts, caps._replace(neurons=goal), _FILL))


def _schedule(
    graph: Hypergraph, part: Array, parts: int, caps: Caps, share: float, effort: int
) -> Schedule:
    """As many sweeps as the work of this effort is worth."""
    reach = 1.0 + packets(graph, part, parts) / max(float(graph.weight.sum()), 1.0)
    sweep = graph.pins.size * (_VISIT + reach) * (2.0 if caps.depend else 1.0)
    sweeps = int(share * _WORK[effort] / max(sweep, 1.0))
    most = _MOST_SWEEPS * (10 if effort > 1 else 1)
    return Schedule(min(max(sweeps, _LEAST_SWEEPS), most), _HOT)


def _sliced(graph: Hypergraph, goal: int, mixed: bool) -> Array:
    """Vertices in their own order, in parts of about ``goal`` neurons, of one node unless mixed."""
    part, base = np.empty(graph.vertices, np.int32), 0
    colour = np.zeros(graph.vertices, np.int32) if mixed else graph.colour
    for one in np.unique(colour):
        own = np.flatnonzero(colour == one)
        size = graph.size[own]
        slices = int(-(-size.sum() // goal))
        # Mixed parts are filled one by one: a free core is worth more than equal ones.
        each = _FILL * goal if mixed and slices > 1 else size.sum() / slices
        part[own] = base + ((np.cumsum(size) - size) // each).astype(np.int64)
        base = int(part[own[-1]]) + 1
    return part


def _legal(graph: Hypergraph, part: Array, caps: Caps) -> Array:
    """The parts cut until all are within the limits, or cutting does not help any more."""
    for _ in range(_CUTS):
        parts = int(part.max(initial=-1)) + 1
        use = usage(graph, part, parts)
        over = np.asarray((use > np.array(caps[:4])).any(axis=1))
        if not over.any():
            break
        part = _cut(graph, part, parts, over, use, caps)
    return part


def _within(graph: Hypergraph, part: Array, caps: Caps, axons: Axons, machine: Machine) -> Array:
    """The parts within all limits; E0302 where that cannot be."""
    most = _most_cores(machine)
    part = _legal(graph, part, caps)
    parts = int(part.max(initial=-1)) + 1
    use = usage(graph, part, parts)
    for column, name in enumerate(_RESOURCES):
        worst = int(use[:, column].argmax()) if parts else 0
        if parts and use[worst, column] > caps[column]:
            raise _unfit(axons, machine, part, worst, name, int(use[worst, column]))
    if parts > most:
        raise fail(
            "E0302",
            f"within all limits of a core the network takes {parts:,} cores, '{machine.name}' has "
            f"{most:,}: {parts - most:,} too few",
            axons.nodes[0].at,
            "choose a larger target, remove synapses, or compile with a higher --effort",
        )
    if caps.fan_out < UNLIMITED:
        _check_fan_out(graph, part, parts, caps, axons, machine)
    return part


def _most_cores(machine: Machine) -> int:
    if machine.max_chips is None:
        return machine.cores
    return int(machine.max_chips.value) * machine.cores_per_chip


def _cut(graph: Hypergraph, part: Array, parts: int, over: Array, use: Array, caps: Caps) -> Array:
    """Parts over a limit cut in pieces: each filled breadth-first as far as the limits allow."""
    # Two rounds: the first finds how many pieces a part needs, the second makes them alike.
    inside = graph._replace(colour=part)
    tight = caps._replace(mixed=False, out_axons=UNLIMITED, fan_out=UNLIMITED)
    ratio = use[:, 2] / caps.out_axons
    pieces, rank = streamed(inside, tight)
    count = np.zeros(parts, np.int64)
    np.add.at(count, part[np.unique(pieces, return_index=True)[1]], 1)
    count = np.maximum(count, np.ceil(ratio * 1.05).astype(np.int64))
    count[~over] = 1
    fresh, base = part.astype(np.int64), parts
    order = np.lexsort((rank, part))
    sizes = np.bincount(part, minlength=parts)
    first = np.cumsum(sizes) - sizes
    for b in np.flatnonzero(count > 1):
        own = order[first[b] : first[b] + sizes[b]]
        piece = np.arange(own.size) * count[b] // own.size
        fresh[own[piece > 0]] = base + piece[piece > 0] - 1
        base += int(count[b]) - 1
    return _numbered(fresh)


def _unfit(
    axons: Axons, machine: Machine, part: Array, worst: int, name: str, used: int
) -> Exception:
    limit = machine.core.every[name]
    assert limit is not None
    member = int(np.flatnonzero(part == worst)[0])
    return fail(
        "E0302",
        f"no partition found: the core of {axons.describe(member)} has {used:,} {COUNTS[name]}, "
        f"'{machine.name}' takes {int(limit.value):,} ({limit.obtained}: {limit.source}); "
        f"{used - int(limit.value):,} too many",
        axons.node_of(member).at,
        "compile with a higher --effort, or remove synapses",
    )


def _check_fan_out(
    graph: Hypergraph, part: Array, parts: int, caps: Caps, axons: Axons, machine: Machine
) -> None:
    reached = fan_out(graph, part, parts)
    over = np.flatnonzero(reached > caps.fan_out)
    over = over[over < axons.sources]
    if not over.size:
        return
    worst = int(over[np.argmax(reached[over])])
    limit = machine.core.fan_out
    assert limit is not None
    raise fail(
        "E0302",
        f"{axons.describe(worst)} reaches {int(reached[worst])} cores, '{machine.name}' allows "
        f"{int(limit.value)} ({limit.obtained}: {limit.source}); {over.size:,} source(s) reach too "
        "many in the best partition found",
        axons.node_of(worst).at,
        "compile with a higher --effort, remove targets, or make copies of the source",
    )
