"""Which neurons share a core: a multilevel partition of the hypergraph under all limits at once.

1. Twins, neurons with the same sources and the same targets, become one vertex each.
2. `coarsen` joins what belongs together, until few vertices are left.
3. `grow` makes the first parts of them.
4. Back through the levels `refine` moves vertices at exact gains, annealed.
5. Parts beyond a limit that depends on what else is in them are cut, and refined within it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.machine import LIMITS, Machine
from ...ir.diagnostics import SpikecError, fail
from .axons import Axons, Bundle, Node
from .coarsen import coarsened
from .encodings import encode, plans
from .grow import grown, streamed
from .hypergraph import (
    Hypergraph,
    contracted,
    first_ends,
    first_pins,
    hypergraph,
    numbered,
    twins,
)
from .limits import (
    UNLIMITED,
    Caps,
    Load,
    axon_bits,
    capacity,
    caps_of,
    formats_of,
    limit_of,
    most_cores,
    places,
    refuse,
)
from .refine import Schedule, fan_out, packets, refine, usage
from .seeds import Start, seeded

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
# So many times as many where parts need few axons, which those that are not grown are far from.
_AXONS_COUNT: Final = 2
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
_LEAST: Final = 0.01
_GUESSES: Final = 5
# Work of a level, in steps of a few nanoseconds, by effort; sweeps it is at least and most worth.
_WORK: Final = {1: 3.0e9, 2: 3.0e10}
_VISIT: Final = 20.0
# Neurons of a network that is worth all of it, and the share that the smallest is worth.
_LARGE: Final = 20_000
_SMALL: Final = 0.1
_LEAST_SWEEPS: Final = 4
_MOST_SWEEPS: Final = 400
_GAINING_SWEEPS: Final = 8
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
    start: Start = "own",
) -> Array:
    """The part of each neuron, numbers from 0 in the order in which they first appear.

    ``effort`` 0 fills parts in breadth-first order, of twins where there are kernels; 1 is the
    multilevel partition, 2 the same with ten times its work. ``start`` lets METIS or mt-KaHyPar
    make the first parts for these two.
    Raises E0302 or E0307 for what does not fit the machine, E0601 where ``start`` is not installed,
    E0707 where nothing of it would be left: with effort 0, and in cores that do not mix
    populations.
    """
    if start != "own" and not (effort and machine.mixed):
        why = (
            "--effort 0 refines nothing" if not effort else f"'{machine.name}' mixes no populations"
        )
        raise fail("E0707", f"--start {start}: {why}", hint="compile without --start")
    caps = caps_of(machine)
    refuse(axons, machine)
    if formats_of(axons, machine) is None or caps.bits == UNLIMITED:
        return _partition(axons, machine, None, effort, seed, progress, start)
    refused: SpikecError | None = None
    found: list[Array] = []
    *hopeful, sure = plans(axons, machine)
    ways: list[tuple[int, Start]] = [(effort, start)]
    if hopeful and effort:
        # What saves packets makes parts that are no rectangles, along which little is shared.
        ways.append((0, "own"))

    def tried(loads: Sequence[Load]) -> None:
        nonlocal refused
        for work, begin in ways:
            try:
                part = _partition(axons, machine, loads, work, seed, progress, begin)
            except SpikecError as error:
                refused = refused or error
            else:
                found.extend(_apart(axons, machine, part, sure))

    for loads in hopeful:
        tried(loads)
        found += _apart(axons, machine, _in_strips(axons, machine), sure)
    fewest = _fewest_cores(axons, sure, caps)
    if not found or min(int(part.max()) for part in found) >= fewest:
        tried(sure)
    if not found:
        raise refused or _nothing_fits(axons, machine, effort)
    # Cores first, as what is shared is for; the first of equals has the fewest packets.
    best = min(found, key=lambda part: int(part.max()))
    return np.asarray(best)


def _nothing_fits(axons: Axons, machine: Machine, effort: int) -> SpikecError:
    """What planned to fit, and does not as synapses have to lie: a wanted format may be no use."""
    limit = machine.core.synapse_bits
    assert limit is not None
    other = "without --synapses, or " if axons.format else ""
    return fail(
        "E0302",
        f"no partition found whose synapses fit the {int(limit.value):,} bits of synapse memory of "
        f"a core of '{machine.name}' ({limit.obtained}: {limit.source})",
        axons.nodes[0].at,
        f"{_harder(effort)}compile {other}with fewer synapses",
    )


def _fewest_cores(axons: Axons, loads: Sequence[Load], caps: Caps) -> int:
    """So many cores a plan takes at least, by the memory of its synapses."""
    bits = 0
    for bundle, load in zip(axons.bundles, loads, strict=True):
        size = axons.node_of(int(bundle.target[0])).size if bundle.target.size else 0
        bits += load.synapse * bundle.target.size + load.target * size
    return max(-(-bits // caps.bits), 1)


def _by_place(axons: Axons) -> Array:
    """Neurons by node and, in planes that a convolution leads to, by place: channels together."""
    plane = np.ones(axons.neurons, np.int64)
    first = np.zeros(axons.neurons, np.int64)
    for node in axons.nodes:
        first[node.first : node.end] = node.first
        for bundle in axons.bundles:
            if bundle.window is not None and _leads_to(bundle, node):
                plane[node.first : node.end] = bundle.window.out_y * bundle.window.out_x
    number = np.arange(axons.neurons)
    # Nodes without a plane have one place, and all their neurons are channels of it.
    return np.asarray(np.lexsort((number, (number - first) % plane, first)))


def _in_strips(axons: Axons, machine: Machine) -> Array:
    """Planes cut into strips, core after core; no core has two populations."""
    size, most = places(axons, machine), caps_of(machine).neurons
    order, part, base = _by_place(axons), np.zeros(axons.neurons, np.int32), 0
    for node in axons.nodes:
        own = order[node.first : min(node.end, axons.neurons)]
        if own.size:
            pieces = -(-int(size[own].sum()) // most)
            part[own] = base + np.arange(own.size) * pieces // own.size
            base += pieces
    return part


def _apart(axons: Axons, machine: Machine, part: Array, sure: Sequence[Load]) -> list[Array]:
    """Parts whose synapses take too much, as they are counted in the end, cut until none does.

    Empty where that breaks another limit, or needs more cores than there are.
    """
    caps, order = caps_of(machine), _by_place(axons)
    for _ in range(_CUTS):
        found = encode(axons, machine, part)
        assert found is not None
        bits = found.bits.sum(axis=0)
        if bits.max() <= caps.bits:
            break
        pieces = -(-bits // caps.bits)
        base = np.cumsum(pieces) - pieces
        ranked = order[np.argsort(part[order], kind="stable")]
        size = np.bincount(part)
        within = np.arange(part.size) - np.repeat(np.cumsum(size) - size, size)
        own = part[ranked]
        fresh = np.empty_like(part)
        fresh[ranked] = base[own] + within * pieces[own] // size[own]
        part = np.unique(fresh, return_inverse=True)[1]
    else:
        return []
    part = numbered(part)
    parts = int(part.max()) + 1
    graph = hypergraph(axons, 0, 0, shared=False, size=places(axons, machine), loads=sure)
    use = usage(graph, part, parts)[:, :3]
    legal = bool((use <= np.array([caps.neurons, caps.in_axons, caps.out_axons])).all())
    if caps.fan_out < UNLIMITED:
        legal &= bool(fan_out(graph, part, parts)[: axons.neurons].max(initial=0) <= caps.fan_out)
    return [part] if legal and parts <= most_cores(machine) else []


def _leads_to(bundle: Bundle, node: Node) -> bool:
    return bool(bundle.target.size) and node.first <= bundle.target[0] < node.end


def _partition(
    axons: Axons,
    machine: Machine,
    loads: Sequence[Load] | None,
    effort: int,
    seed: int,
    progress: Progress,
    start: Start,
) -> Array:
    """`partition` of a network whose bundles take ``loads``, or what their synapses are."""
    caps, encoding = caps_of(machine), machine.encoding
    counted = caps.bits < UNLIMITED
    synapse_bits = encoding.synapse_bits(axons.weight_bits) if counted else 0
    each_axon = axon_bits(machine) if counted else 0
    size = places(axons, machine)
    graph = hypergraph(
        axons, synapse_bits, each_axon, shared=encoding.shared, size=size, loads=loads
    )
    progress(0.1)
    whole, vertex = graph, np.arange(graph.vertices)
    # Twins are searched for where they are certain to be, or where there is time.
    kernels = any(bundle.kernel for bundle in axons.bundles)
    if effort or caps.fan_out == 1 or kernels:
        whole, vertex = _bound(graph, caps, axons, machine)
    cores = most_cores(machine)
    if effort:
        part = _multilevel(whole, vertex, caps, cores, effort, seed, progress, start)
    elif kernels and not machine.mixed and caps.fan_out > 1:
        goal = min(caps.neurons, size.sum())
        part = _fewest(whole, streamed(whole, caps).part, _sliced(whole, goal, False))[vertex]
    else:
        part, _, within = streamed(whole, caps)
        sends = min(caps.out_axons, caps.fan_out) < UNLIMITED
        if within and not sends and part.max() < cores:
            return numbered(part[vertex])
        part = part[vertex]
    return numbered(_within(graph, numbered(part), caps, axons, machine, effort))


def _bound(
    graph: Hypergraph, caps: Caps, axons: Axons, machine: Machine
) -> tuple[Hypergraph, Array]:
    """The graph with twins as one vertex, and the vertex of each neuron.

    Where a neuron reaches one core only, its targets are one vertex; E0302 if they do not fit one.
    """
    if caps.fan_out == 1:
        vertex = _same_core(graph)
        _refuse_targets(graph, vertex, caps, axons, machine)
    else:
        # Dense layers fill a core's memory long before its places.
        by_bits = caps.bits // (_TWINS * np.maximum(graph.own_bits, 1))
        by_places = caps.neurons // (_TWINS * graph.size)
        vertex = twins(graph, np.minimum(by_bits, np.minimum(by_places, graph.vertices)))
    count = int(vertex.max(initial=-1)) + 1
    if count == graph.vertices:
        return graph, np.arange(count, dtype=np.int32)
    return contracted(graph, vertex, count), vertex


def _same_core(graph: Hypergraph) -> Array:
    """Neurons that share a source share a number: the connected components of all targets.

    Lines from the host, which sends to every core itself, and kernels join nothing.
    """
    from scipy import sparse

    ends = graph.ptr[1:] - graph.lone
    # Each target is joined to the first one of its net.
    net = np.repeat(np.arange(graph.nets), np.diff(graph.ptr))
    target = (np.arange(graph.pins.size) < ends[net]) & (graph.source[net] >= 0)
    one, other = graph.pins[target], first_pins(graph)[net[target]]
    joined = sparse.coo_array(
        (np.ones(one.size, np.int8), (one, other)), (graph.vertices, graph.vertices)
    )
    _, label = sparse.csgraph.connected_components(joined, directed=False)
    return np.asarray(label, np.int32)


def _refuse_targets(
    graph: Hypergraph, vertex: Array, caps: Caps, axons: Axons, machine: Machine
) -> None:
    """E0302 where neurons that have to be in one core do not fit one."""
    limit = machine.core.fan_out
    assert limit is not None
    together = (
        f"have to share a core, as a neuron of '{machine.name}' reaches one core only "
        f"({limit.obtained}: {limit.source}) and these have sources in common"
    )
    hint = "make copies of their sources, with the same inputs, one for each core"
    filled = np.bincount(vertex, graph.size)
    if filled.max() > caps.neurons:
        members = np.flatnonzero(vertex == filled.argmax())
        node = axons.node_of(int(members[0]))
        neurons = limit_of(node, machine)
        assert neurons is not None
        raise fail(
            "E0302",
            f"{members.size:,} neurons, {axons.describe(int(members[0]))} among them, {together}; "
            f"a core takes {capacity(node, machine)} ({neurons.obtained}: {neurons.source}): "
            f"{members.size - int(neurons.value):,} too many",
            node.at,
            hint,
        )
    colour = graph.colour.astype(np.int64)
    first = np.full(filled.size, -1, np.int64)
    first[vertex[::-1]] = colour[::-1]
    mixed = np.flatnonzero(first[vertex] != colour)
    if not caps.mixed and mixed.size:
        other = int(mixed[0])
        one = int(np.flatnonzero(vertex == vertex[other])[0])
        raise fail(
            "E0302",
            f"{axons.describe(one)} and {axons.describe(other)} {together}; a core takes neurons "
            "of one population only",
            axons.node_of(other).at,
            hint,
        )


def _multilevel(
    graph: Hypergraph,
    vertex: Array,
    caps: Caps,
    most: int,
    effort: int,
    seed: int,
    progress: Progress,
    start: Start,
) -> Array:
    """The part of each neuron, as far within the limits as refinement comes."""
    if caps.neurons >= graph.size.sum() and not caps.depend and caps.mixed:
        return np.zeros(vertex.size, np.int32)
    levels, maps = [graph], []
    # Within a node neurons are seldom joined to each other: its own order is the best start.
    neurons, bits = int(graph.size.sum()), max(int(graph.own_bits.sum()), 1)
    room = min(caps.neurons, neurons, caps.bits * neurons // bits)
    for share in _LEVELS if caps.mixed else ():
        size = max(room // share, 1)
        coarse, onto = coarsened(levels[-1], size, _ROUNDS, seed, mixed=caps.mixed)
        levels.append(coarse)
        maps.append(onto)
    if levels[-1].pins.size > _LOOSE * graph.pins.size:
        # Nothing belongs together: coarse vertices would only be in the way.
        levels, maps = [graph], []
    if start == "own":
        first, part = _first(levels, caps, most)
    else:
        goal = min(caps.neurons, neurons)
        wanted = _with_room(neurons / goal, most)
        first, part = 0, numbered(seeded(graph, wanted, goal, start, seed))
    sliced = not caps.mixed and caps.fan_out == UNLIMITED
    if effort == 1 and sliced and _everywhere(levels[first], part):
        return part[vertex]
    for level in range(first, -1, -1):
        if caps.depend:
            part = _legal(levels[level], part, caps)
        parts = int(part.max()) + 1
        if caps.mixed:
            parts = _with_room(parts, most)
        graph = levels[level]
        worth = _worth(vertex.size) * (_COARSE_SHARE if level else 1.0)
        schedule = _schedule(graph, part, parts, caps, worth, effort)
        if level == 0 or schedule.sweeps > _LEAST_SWEEPS:
            # A first partition that is grown is for annealing to leave; one in order may be good.
            improve = refine if caps.mixed else _refined
            part = improve(graph, part, parts, caps, schedule, seed)
        progress(0.9 - 0.6 * level / len(levels))
        if level:
            part = part[maps[level - 1]]
    return part[vertex]


def _with_room(parts: float, cores: int) -> int:
    """So many parts and some more, so that vertices have somewhere to go, as far as there are."""
    return max(int(np.ceil(parts)), min(int(np.ceil(parts * _SLACK)), cores))


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


def _first(levels: list[Hypergraph], caps: Caps, cores: int) -> tuple[int, Array]:
    """A level, and parts of its vertices, all but few of them within every limit.

    What neurons alone allow is too much where axons or memory bind: parts are made smaller until
    they fit. `refine` makes them larger again, and fewer, as they come to need fewer axons.
    """
    neurons = int(levels[0].size.sum())
    goal = most = min(caps.neurons, neurons)
    for _ in range(_GUESSES):
        number, part = _grown(levels, caps, goal, cores)
        # Large vertices leave numbers out.
        part = np.unique(part, return_inverse=True)[1].astype(np.int32)
        use = usage(levels[number], part, int(part.max()) + 1)
        share = float(np.quantile(use[:, 1:] / np.array(caps[1:4]), _MOST_FIT, axis=0).max())
        if share <= 1.0 and (share > _FILLED or goal == most):
            break
        goal = max(min(int(goal * (_FILL / max(share, _LEAST)) ** _LESS), most), 1)
    return number, part


def _grown(levels: list[Hypergraph], caps: Caps, goal: int, cores: int) -> tuple[int, Array]:
    """Parts of about ``goal`` neurons, of the vertices of the coarsest level that has enough."""
    fine = levels[0]
    if not caps.mixed:
        unmixed = streamed(fine, Caps(goal, mixed=False)).part
        return 0, _fewest(fine, _sliced(fine, goal, False), unmixed)
    if len(levels) == 1:
        return 0, _sliced(fine, goal, caps.mixed)
    neurons = int(fine.size.sum())
    parts = max(_with_room(neurons / goal, cores), 1)
    number = len(levels) - 1
    while number and levels[number].vertices < _FEW * parts:
        number -= 1
    level = levels[number]
    most = _MOST_GROWN * (_AXONS_COUNT if caps.depend else 1)
    if level.vertices > max(most, 16 * parts):
        return number, streamed(level, Caps(int(_FILL * goal), mixed=caps.mixed)).part
    return number, numbered(grown(level, parts, caps._replace(neurons=goal), _FILL))


def _refined(
    graph: Hypergraph, part: Array, parts: int, caps: Caps, schedule: Schedule, seed: int
) -> Array:
    """The parts made better; where annealing loses a good start, by moves that gain only."""
    found = refine(graph, part.copy(), parts, caps, schedule, seed)
    if packets(graph, found, parts) <= packets(graph, part, parts):
        return found
    gaining = Schedule(min(schedule.sweeps, _GAINING_SWEEPS), 0.0)
    return refine(graph, part, parts, caps, gaining, seed)


def _worth(neurons: int) -> float:
    """The share of the work: nobody waits for a small network as long as for a large one."""
    return min(max(neurons / _LARGE, _SMALL), 1.0)


def _schedule(
    graph: Hypergraph, part: Array, parts: int, caps: Caps, share: float, effort: int
) -> Schedule:
    """As many sweeps as the work of this effort is worth."""
    reach = 1.0 + packets(graph, part, parts) / max(float(graph.weight.sum()), 1.0)
    sweep = graph.pins.size * (_VISIT + reach) * (2.0 if caps.depend else 1.0)
    sweeps = int(share * _WORK[min(effort, 2)] / max(sweep, 1.0))
    most = _MOST_SWEEPS * (10 if effort > 1 else 1)
    return Schedule(min(max(sweeps, _LEAST_SWEEPS), most), _HOT)


def _sliced(graph: Hypergraph, goal: int, mixed: bool) -> Array:
    """Vertices in an order, in parts of about ``goal`` neurons, of one node unless mixed.

    It is their own or, unless mixed, that of their lowest sources: channels of one place of a
    convolution have these in common, whatever weights are zero.
    """
    own = _in_slices(graph, np.arange(graph.vertices), goal, mixed)
    if mixed:
        return own
    other = _in_slices(graph, np.argsort(first_ends(graph), kind="stable"), goal, mixed)
    return _fewest(graph, own, other)


def _fewest(graph: Hypergraph, *ways: Array) -> Array:
    """That of several partitions with the fewest packets, the first of equals."""
    return min(ways, key=lambda part: packets(graph, part, int(part.max()) + 1))


def _in_slices(graph: Hypergraph, order: Array, goal: int, mixed: bool) -> Array:
    part, base = np.empty(graph.vertices, np.int32), 0
    colour = np.zeros(graph.vertices, np.int32) if mixed else graph.colour
    for one in np.unique(colour):
        own = order[colour[order] == one]
        size = graph.size[own]
        if mixed:
            # Filled one by one: a free core is worth more than equal ones.
            each = _FILL * goal if size.sum() > goal else goal
            found = ((np.cumsum(size) - size) // each).astype(np.int64)
        else:
            found = _filled(size, goal)
        part[own] = base + found
        base = int(part[own[-1]]) + 1
    return part


def _filled(size: Array, goal: int) -> Array:
    """Vertices of ``size`` in as few parts of at most ``goal`` as their order allows, alike."""
    end = np.cumsum(size)

    def cuts(most: int) -> list[int]:
        found, at = [0], 0
        while at < size.size:
            before = int(end[at - 1]) if at else 0
            # One that is too large by itself has a part of its own.
            at = max(int(np.searchsorted(end, before + most, side="right")), at + 1)
            found.append(at)
        return found

    best = cuts(goal)
    low, high = int(end[-1]) // (len(best) - 1), goal
    while low < high:
        middle = (low + high) // 2
        found = cuts(middle)
        if len(found) > len(best):
            low = middle + 1
        else:
            best, high = found, middle
    return np.repeat(np.arange(len(best) - 1), np.diff(best))


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


def _within(
    graph: Hypergraph, part: Array, caps: Caps, axons: Axons, machine: Machine, effort: int
) -> Array:
    """The parts within all limits or, where they cannot be, simpler ones that are.

    Raises E0302 where none are.
    """
    refused = None
    for simpler in (None, _breadth_first, _in_order):
        first = part if simpler is None else numbered(simpler(graph, caps))
        found = _legal(graph, first, caps)
        fault = _fault(graph, found, caps, axons, machine, effort)
        if fault is None:
            return found
        refused = refused or fault
    assert refused is not None
    raise refused


def _breadth_first(graph: Hypergraph, caps: Caps) -> Array:
    return streamed(graph, caps).part


def _in_order(graph: Hypergraph, caps: Caps) -> Array:
    """Neurons in their own order, core after core: the fewest cores where nothing else binds."""
    colour = np.zeros(graph.vertices, np.int32) if caps.mixed else graph.colour
    fresh = np.diff(colour, prepend=-1) != 0
    within = np.arange(graph.vertices) - np.flatnonzero(fresh)[np.cumsum(fresh) - 1]
    # All of one node take the same; mixed cores have no other places than neurons.
    return np.cumsum(fresh | (within % (caps.neurons // graph.size) == 0)) - 1


def _fault(
    graph: Hypergraph, part: Array, caps: Caps, axons: Axons, machine: Machine, effort: int
) -> SpikecError | None:
    """The limit that the parts break."""
    parts = int(part.max()) + 1
    use = usage(graph, part, parts)
    for column, name in enumerate(_RESOURCES):
        worst = int(use[:, column].argmax())
        if use[worst, column] > caps[column]:
            return _unfit(axons, machine, part, worst, name, int(use[worst, column]), effort)
    most = most_cores(machine)
    if parts > most:
        return fail(
            "E0302",
            f"within all limits of a core the network takes {parts:,} cores in the best partition "
            f"found, '{machine.name}' has {most:,} at most: {parts - most:,} too few",
            axons.nodes[0].at,
            f"choose a larger target, {_harder(effort)}or remove neurons or synapses",
        )
    if caps.fan_out < UNLIMITED:
        return _beyond_fan_out(graph, part, parts, caps, axons, machine, effort)
    return None


def _harder(effort: int) -> str:
    return "" if effort > 1 else f"compile with --effort {effort + 1}, "


def _cut(graph: Hypergraph, part: Array, parts: int, over: Array, use: Array, caps: Caps) -> Array:
    """Parts over a limit cut in pieces: each filled breadth-first as far as the limits allow."""
    # Two rounds: the first finds how many pieces a part needs, the second makes them alike.
    inside = graph._replace(colour=part)
    tight = caps._replace(mixed=False, out_axons=UNLIMITED, fan_out=UNLIMITED)
    ratio = use[:, 2] / caps.out_axons
    pieces, rank, _ = streamed(inside, tight)
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
    return numbered(fresh)


def _unfit(
    axons: Axons, machine: Machine, part: Array, worst: int, name: str, used: int, effort: int
) -> SpikecError:
    limit = machine.core.every[name]
    assert limit is not None
    members = np.flatnonzero(part == worst)
    member = int(members[0])
    alone = members.size == 1
    whose = axons.describe(member) + (" alone takes" if alone else " and others with it take")
    return fail(
        "E0302",
        f"no partition found: in one core {whose} {used:,} {LIMITS[name]}, a core of "
        f"'{machine.name}' has {int(limit.value):,} ({limit.obtained}: {limit.source}): "
        f"{used - int(limit.value):,} too many",
        axons.node_of(member).at,
        "remove synapses" if alone else f"{_harder(effort)}or remove synapses",
    )


def _beyond_fan_out(
    graph: Hypergraph,
    part: Array,
    parts: int,
    caps: Caps,
    axons: Axons,
    machine: Machine,
    effort: int,
) -> SpikecError | None:
    # The host sends to as many cores as there are.
    reached = fan_out(graph, part, parts)[: axons.neurons]
    over = np.flatnonzero(reached > caps.fan_out)
    if not over.size:
        return None
    worst = int(over[np.argmax(reached[over])])
    limit = machine.core.fan_out
    assert limit is not None
    more = f" ({over.size:,} neurons reach too many)" if over.size > 1 else ""
    return fail(
        "E0302",
        f"{axons.describe(worst)}{more} reaches {int(reached[worst]):,} cores in the best "
        f"partition found, one of '{machine.name}' reaches {int(limit.value):,} at most "
        f"({limit.obtained}: {limit.source}): {int(reached[worst] - limit.value):,} too many",
        axons.node_of(worst).at,
        f"{_harder(effort)}remove targets of it, or split it into copies with the same inputs",
    )
