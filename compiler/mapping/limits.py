"""Limits of a machine as numbers, and what no partition can bring within them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ...boards.machine import Formats, Machine
from ...boards.quantity import Quantity
from ...ir.diagnostics import Diagnostics, Location
from .axons import Axons, Node

Array = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]

UNLIMITED: Final = 1 << 62
# What `RelayDelays` calls its populations.
_RELAY: Final = re.compile(r"\.relay\d+_*$")
# What one neuron, or projection, has of a limit, and what the machine allows for.
_SENTENCES: Final = {
    "fan_in": ("{} has {} synapses onto it", "a neuron of '{}' takes {}"),
    "in_axons": ("{} has {} sources", "a core of '{}' takes {} in-axons"),
    "synapse_bits": ("{} takes {} bits of synapse memory at least", "a core of '{}' has {}"),
    "fan_out": ("{} reaches {} cores at least", "a neuron of '{}' reaches {} at most"),
    "out_axons": ("{} takes {} out-axons at least", "a core of '{}' has {}"),
    "delay_steps": ("{} has a delay of {} steps", "'{}' delays by {} at most"),
}


class Caps(NamedTuple):
    """The limits of a core as numbers; `UNLIMITED` where there is none."""

    neurons: int = UNLIMITED
    in_axons: int = UNLIMITED
    out_axons: int = UNLIMITED
    bits: int = UNLIMITED
    fan_out: int = UNLIMITED
    mixed: bool = True

    @property
    def depend(self) -> bool:
        """Whether a limit depends on where other neurons are."""
        return min(self.in_axons, self.out_axons, self.bits, self.fan_out) < UNLIMITED


class Load(NamedTuple):
    """What a bundle takes of synapse memory, so that parts can be filled neuron by neuron.

    Bits of each ``synapse``; of each ``target``, a neuron of the population that it leads to; of
    each ``axon`` in each core that it leads to (sources,); and of its ``kernel`` in each core that
    holds a target of it.
    """

    synapse: int
    target: int
    axon: Array
    kernel: int


def formats_of(axons: Axons, machine: Machine) -> Formats | None:
    """The formats that a network is counted in: those of a machine whose words its weights are."""
    return machine.encoding.formats if axons.in_words else None


def caps_of(machine: Machine) -> Caps:
    """The limits that a partition has to keep."""

    def cap(limit: Quantity | None) -> int:
        return UNLIMITED if limit is None else int(limit.value)

    core = machine.core
    bits = UNLIMITED if machine.encoding.crossbar else cap(core.synapse_bits)
    neurons = cap(core.neurons)
    if core.sources is not None:
        neurons = math.lcm(neurons, cap(core.sources))
    return Caps(
        neurons, cap(core.in_axons), cap(core.out_axons), bits, cap(core.fan_out), machine.mixed
    )


def places(axons: Axons, machine: Machine) -> Array:
    """What each neuron takes of `Caps.neurons` (neurons,).

    It is one where lines count as neurons. Else n neurons or m lines fill a core alike.
    """
    size = np.ones(axons.neurons, np.int64)
    if machine.core.sources is not None:
        most = caps_of(machine).neurons
        for node in axons.nodes:
            if node.first < axons.neurons and (limit := limit_of(node, machine)):
                size[node.first : node.end] = most // int(limit.value)
    return size


def limit_of(node: Node, machine: Machine) -> Quantity | None:
    """How many neurons, or lines, of a node a core takes."""
    lines = node.lines and machine.core.sources is not None
    return machine.core.sources if lines else machine.core.neurons


def capacity(node: Node, machine: Machine) -> str:
    """``1,024 neurons``: what a core takes of a node that has a limit."""
    limit = limit_of(node, machine)
    assert limit is not None
    return f"{int(limit.value):,} {'lines' if limit is machine.core.sources else 'neurons'}"


def most_cores(machine: Machine) -> int:
    """Cores of the largest machine of its kind."""
    if machine.max_chips is None:
        return machine.cores
    chips = int(machine.max_chips.value)
    # Not every number of chips makes a rectangle that `Machine.with_cores` would choose.
    while machine.with_cores(chips * machine.cores_per_chip) is None:
        chips -= 1
    return chips * machine.cores_per_chip


def axon_bits(machine: Machine) -> int:
    """Bits of an axon in a core beside its synapses: with its row filled up to whole words."""
    return int(machine.encoding.axon.value) + machine.encoding.word - 1


def refuse(axons: Axons, machine: Machine) -> None:
    """Raise E0302 or E0307 for everything that fits no core, or not all cores together.

    Nothing is compiled and next to nothing counted twice, so that a refusal comes at once.
    """
    found = Diagnostics()
    _refuse_size(axons, machine, found)
    _refuse_neurons(axons, machine, found)
    _refuse_delays(axons, machine, found)
    found.raise_errors()


def _over(
    found: Diagnostics,
    machine: Machine,
    limit: str,
    what: str,
    has: int,
    where: Location,
    hint: str,
    code: str = "E0302",
) -> None:
    """Add "WHAT has N ..., a core takes L (source): M too many"."""
    quantity = machine.core.every[limit]
    assert quantity is not None
    most = int(quantity.value)
    has_it, allows = _SENTENCES[limit]
    found.add(
        code,
        f"{has_it.format(what, f'{has:,}')}, {allows.format(machine.name, f'{most:,}')} "
        f"({quantity.obtained}: {quantity.source}): {has - most:,} too many",
        where,
        hint,
    )


def _refuse_size(axons: Axons, machine: Machine, found: Diagnostics) -> None:
    neurons = machine.core.neurons
    if machine.cores < 1 or (neurons is not None and neurons.value < 1):
        each = "" if neurons is None else f" of {max(int(neurons.value), 0)} neurons"
        found.add(
            "E0302",
            f"'{machine.name}' has {machine.cores} cores{each}: it holds no network",
            hint="correct the chip's file, or choose another target ('spikec targets')",
        )
        return
    placed = [node for node in axons.nodes if node.size and node.first < axons.neurons]
    cap = caps_of(machine).neurons
    size = places(axons, machine)
    filled = [int(size[n.first : n.end].sum()) for n in placed]
    needed = -(-sum(filled) // cap) if machine.mixed else sum(-(-each // cap) for each in filled)
    most = most_cores(machine)
    if needed <= most:
        return
    node = _largest(placed, machine)
    limit = limit_of(node, machine)
    lines = [n for n in placed if n.lines]
    of_each = source = ""
    if limit is not None:
        of_each = f" of {capacity(node, machine)}"
        source = f" ({limit.obtained}: {limit.source})"
        if lines and machine.core.sources is not None and limit is machine.core.neurons:
            of_each += f" or {capacity(lines[0], machine)}"
    count = f"{len(placed) - len(lines):,} population{'' if len(placed) - len(lines) == 1 else 's'}"
    relays = sum(bool(_RELAY.search(n.name)) for n in placed)
    count += f" ({relays:,} of them relays of long delays)" if relays else ""
    count += f" and {len(lines):,} input{'' if len(lines) == 1 else 's'}" if lines else ""
    apart = "" if machine.mixed else f" in {count}, none of which shares a core,"
    found.add(
        "E0302",
        f"{axons.neurons:,} neurons{' and lines' if lines else ''}{apart} take {needed:,} "
        f"cores{of_each}{source}, '{machine.name}' has {most:,} at most: {needed - most:,} too "
        f"few; the largest {'input' if node.lines else 'population'} is '{node.name}' with "
        f"{node.size:,}",
        node.at,
        ("shorten the longest delays, " if relays else "")
        + "choose a larger target"
        + _less(machine, placed, filled, needed, node),
    )


def _largest(placed: list[Node], machine: Machine) -> Node:
    """The node that takes the most cores, a population if there is one of as many."""

    def takes(node: Node) -> tuple[int, bool, int]:
        limit = limit_of(node, machine)
        cores = 1 if limit is None else -(-node.size // int(limit.value))
        return cores, not node.lines, node.size

    return max(placed, key=takes)


def _less(
    machine: Machine, placed: list[Node], filled: list[int], needed: int, largest: Node
) -> str:
    """What else would do where nodes that fill so many places ``needed`` too many cores."""
    cap, most = caps_of(machine).neurons, most_cores(machine)
    limit = limit_of(largest, machine)
    if limit is not None and machine.mixed:
        return f", or leave out {sum(n.size for n in placed) - most * int(limit.value):,} neurons"
    populations = [size for node, size in zip(placed, filled, strict=True) if not node.lines]
    alone = sum(-(-size // cap) for size in populations)
    if needed - alone + -(-sum(populations) // cap) <= most:
        return ", or join populations of one model"
    if limit is None:
        return ""
    # So many cores fewer for the largest, if it has as many.
    each = int(limit.value)
    kept = -(-largest.size // each) - (needed - most)
    return f", or leave out {largest.size - kept * each:,} of '{largest.name}'" if kept > 0 else ""


def _refuse_neurons(axons: Axons, machine: Machine, found: Diagnostics) -> None:
    """Each neuron alone in a core, and each axon alone.

    Synapses are counted first, as a neuron has at most as many sources, and an axon as many
    targets; what is beyond a limit by that is counted exactly.
    """
    core, encoding = machine.core, machine.encoding
    each, axon = encoding.synapse_bits(axons.weight_bits), int(encoding.axon.value)
    formats = formats_of(axons, machine)
    if formats is not None:
        # A weight and the head of its row are in memory in any format, unless rows are shared.
        axon = int(formats.head.value)
    full = UNLIMITED if core.neurons is None else max(int(core.neurons.value), 1)
    fan_in, own = np.zeros((2, axons.neurons), np.int64)
    row = np.zeros(axons.sources, np.int64)
    for bundle in axons.bundles:
        count = np.bincount(bundle.target, minlength=axons.neurons)
        fan_in += count
        if formats is not None:
            own += count * bundle.weight_bits
        elif not (encoding.shared and bundle.kernel):
            own += count * each
        row[bundle.first : bundle.first + bundle.ptr.size - 1] += np.diff(bundle.ptr)
    # Lines are not counted: the host sends to as many cores as there are.
    row = row[: axons.neurons]

    def sources(chosen: Flags) -> Array:
        return np.bincount(_pairs(axons, chosen, "target")[1], minlength=axons.neurons)[chosen]

    def cores(chosen: Flags) -> Array:
        reached = np.bincount(_pairs(axons, chosen, "source")[0], minlength=axons.neurons)
        return -(-reached[chosen] // full)

    # By limit: what each has at most, what those that are chosen have, and what mends it.
    counts: dict[str, tuple[Array, Callable[[Flags], Array], str]] = {
        "fan_in": (
            fan_in,
            lambda chosen: fan_in[chosen],
            "remove {n:,} synapses onto it, or train with fewer",
        ),
        "in_axons": (fan_in, sources, "remove {n:,} of its sources, or train with fewer"),
        "synapse_bits": (
            own + fan_in * axon,
            lambda chosen: own[chosen] + sources(chosen) * axon,
            "remove synapses of {n:,} bits onto it, or store narrower weights",
        ),
        "fan_out": (
            -(-row // full),
            cores,
            "remove targets in {n:,} core(s), or split it into copies with the same inputs",
        ),
        "out_axons": (-(-row // full), cores, "remove targets in {n:,} core(s)"),
    }
    for limit, (most, exactly, hint) in counts.items():
        quantity = core.every[limit]
        if quantity is None or (limit == "synapse_bits" and encoding.crossbar):
            continue
        chosen = most > quantity.value
        if not chosen.any():
            continue
        has = exactly(chosen)
        over = int(np.count_nonzero(has > quantity.value))
        if not over:
            continue
        most_of_all = int(has.argmax())
        worst, count_there = int(np.flatnonzero(chosen)[most_of_all]), int(has[most_of_all])
        more = f", like {over - 1:,} more," if over > 1 else ""
        _over(
            found,
            machine,
            limit,
            axons.describe(worst) + more,
            count_there,
            axons.node_of(worst).at,
            hint.format(n=int(count_there - quantity.value)),
        )


def _pairs(axons: Axons, chosen: Flags, end: Literal["source", "target"]) -> tuple[Array, Array]:
    """Source and target of the synapses whose ``end`` is a chosen neuron, each pair once."""
    found: list[Array] = [np.zeros(0, np.int64)]
    for bundle in axons.bundles:
        source = np.repeat(
            np.arange(bundle.first, bundle.first + bundle.ptr.size - 1), np.diff(bundle.ptr)
        )
        if end == "target":
            mine = chosen[bundle.target]
        else:
            # Lines from the host have numbers behind those of all neurons.
            mine = (source < axons.neurons) & chosen[np.minimum(source, axons.neurons - 1)]
        found.append(source[mine] * axons.neurons + bundle.target[mine])
    return np.divmod(np.unique(np.concatenate(found)), max(axons.neurons, 1))


def _refuse_delays(axons: Axons, machine: Machine, found: Diagnostics) -> None:
    limit = machine.core.delay_steps
    if limit is None:
        return
    for bundle in axons.bundles:
        longest = int(bundle.delay.max(initial=0)) if bundle.target.size else 0
        if longest > limit.value:
            _over(
                found,
                machine,
                "delay_steps",
                f"a synapse of '{bundle.name}'",
                longest,
                bundle.at,
                "shorten the delay, or put relay populations on the way",
                "E0307",
            )
