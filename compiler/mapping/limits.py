"""Limits of a machine as numbers, and what no partition can bring within them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...boards.quantity import Quantity
from ...ir.diagnostics import Diagnostics, Location
from .axons import Axons
from .hypergraph import Hypergraph, incidence
from .refine import UNLIMITED, Caps

Array = npt.NDArray[Any]

# What fills a core, in words.
COUNTS: Final = {
    "neurons": "neurons",
    "in_axons": "in-axons",
    "out_axons": "out-axons",
    "synapse_bits": "bits of synapse memory",
}
# What one neuron, or projection, has of a limit, and what the machine allows for.
_SENTENCES: Final = {
    "fan_in": ("{} has {} synapses onto it", "a neuron of '{}' takes {}"),
    "in_axons": ("{} has {} sources", "a core of '{}' takes {} in-axons"),
    "synapse_bits": ("{} takes {} bits of synapse memory at least", "a core of '{}' has {}"),
    "fan_out": ("{} reaches {} cores at least", "a neuron of '{}' reaches {} at most"),
    "out_axons": ("{} takes {} out-axons at least", "a core of '{}' has {}"),
    "delay_steps": ("{} has a delay of {} steps", "'{}' delays by {} at most"),
}


def caps_of(machine: Machine) -> Caps:
    """The limits that a partition has to keep."""

    def cap(limit: Quantity | None) -> int:
        return UNLIMITED if limit is None else int(limit.value)

    core = machine.core
    bits = UNLIMITED if machine.encoding.crossbar else cap(core.synapse_bits)
    return Caps(
        cap(core.neurons), cap(core.in_axons), cap(core.out_axons), bits, cap(core.fan_out),
        machine.mixed,
    )  # fmt: skip


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


def refuse(axons: Axons, graph: Hypergraph, machine: Machine) -> None:
    """Raise E0302 or E0307 for everything that fits no core, or not all cores together."""
    found = Diagnostics()
    caps = caps_of(machine)
    _refuse_size(axons, machine, caps, found)
    _refuse_neurons(axons, graph, machine, caps, found)
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


def _refuse_size(axons: Axons, machine: Machine, caps: Caps, found: Diagnostics) -> None:
    if caps.neurons < 1 or machine.cores < 1:
        each = "" if caps.neurons == UNLIMITED else f" of {max(caps.neurons, 0)} neurons"
        found.add(
            "E0302",
            f"'{machine.name}' has {machine.cores} cores{each}: it holds no network",
            hint="correct the chip's file, or choose another target ('spikec targets')",
        )
        return
    placed = [node for node in axons.nodes if node.size and node.first < axons.neurons]
    needed = (
        -(-axons.neurons // caps.neurons)
        if machine.mixed
        else sum(-(-node.size // caps.neurons) for node in placed)
    )
    most = most_cores(machine)
    if needed <= most:
        return
    node = max(placed, key=lambda n: n.size)
    if caps.neurons == UNLIMITED:
        each, source = "", ""
    else:
        limit = machine.core.neurons
        assert limit is not None
        each = f" of {caps.neurons:,} neurons"
        source = f" ({limit.obtained}: {limit.source})"
    apart = (
        "" if machine.mixed else f" in {len(placed):,} populations, none of which shares a core,"
    )
    excess = axons.neurons - most * caps.neurons
    found.add(
        "E0302",
        f"{axons.neurons:,} neurons{apart} take {needed:,} cores{each}{source}, '{machine.name}' "
        f"has {most:,} at most: {needed - most:,} too few; the largest population is "
        f"'{node.name}' with {node.size:,}",
        node.at,
        "choose a larger target, or "
        + (f"leave out {excess:,} neurons" if excess > 0 else "join populations of one model"),
    )


def _refuse_neurons(
    axons: Axons, graph: Hypergraph, machine: Machine, caps: Caps, found: Diagnostics
) -> None:
    """Each neuron alone in a core, and each axon alone."""
    fan_in = np.zeros(axons.neurons, np.int64)
    for bundle in axons.bundles:
        fan_in += np.bincount(bundle.target, minlength=axons.neurons)
    start, _ = incidence(graph)
    # The incidence of a neuron counts its own axon, too, if it is not one of its targets.
    lone = np.bincount(graph.source[graph.lone], minlength=axons.neurons)
    kernels = graph.axons == 0
    sources = np.diff(start) - lone
    if kernels.any():
        for e in np.flatnonzero(kernels):
            sources[graph.pins[graph.ptr[e] : graph.ptr[e + 1]]] -= 1
    bits = graph.own_bits + sources * int(machine.encoding.axon.value)
    # Lines are not counted: the host sends to as many cores as there are.
    targets = np.diff(graph.ptr)[: axons.neurons] - graph.lone[: axons.neurons]
    reached = -(-targets // max(caps.neurons, 1))
    core = machine.core
    of_neurons = {
        "fan_in": (fan_in, "remove {n:,} synapses onto it, or train with fewer"),
        "in_axons": (sources, "remove {n:,} of its sources, or train with fewer"),
        "synapse_bits": (bits, "remove synapses of {n:,} bits onto it, or store narrower weights"),
    }
    of_sources = {
        "fan_out": (
            reached,
            "remove targets in {n:,} core(s), or split it into copies with the same inputs",
        ),
        "out_axons": (reached, "remove targets in {n:,} core(s)"),
    }
    for group in (of_neurons, of_sources):
        for limit, (has, hint) in group.items():
            quantity = core.every[limit]
            if quantity is None or (limit == "synapse_bits" and machine.encoding.crossbar):
                continue
            over = np.flatnonzero(has > quantity.value)
            if not over.size:
                continue
            worst = int(over[np.argmax(has[over])])
            more = f", like {over.size - 1:,} more," if over.size > 1 else ""
            _over(
                found,
                machine,
                limit,
                axons.describe(worst) + more,
                int(has[worst]),
                axons.node_of(worst).at,
                hint.format(n=int(has[worst] - quantity.value)),
            )


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
