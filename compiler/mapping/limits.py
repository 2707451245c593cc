"""Limits of a machine as numbers, and what no partition can bring within them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...boards.machine import Machine
from ...boards.quantity import Quantity
from ...ir.diagnostics import NOWHERE, Diagnostics, Location
from .axons import Axons
from .hypergraph import Hypergraph, incidence
from .refine import UNLIMITED, Caps

Array = npt.NDArray[Any]

# What a limit counts, in words.
COUNTS: Final = {
    "neurons": "neurons",
    "in_axons": "in-axons",
    "out_axons": "out-axons",
    "synapse_bits": "bits of synapse memory",
    "fan_in": "synapses onto a neuron",
    "fan_out": "cores that a neuron reaches",
    "delay_steps": "steps of delay",
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
    """Add "WHAT has N ..., L is the limit (source): M too many"."""
    quantity = machine.core.every[limit]
    assert quantity is not None
    most = int(quantity.value)
    found.add(
        code,
        f"{what}: {has:,} {COUNTS[limit]}, a core of '{machine.name}' takes {most:,} "
        f"({quantity.obtained}: {quantity.source}); {has - most:,} too many",
        where,
        hint,
    )


def _refuse_size(axons: Axons, machine: Machine, caps: Caps, found: Diagnostics) -> None:
    if caps.neurons == UNLIMITED:
        return
    if caps.neurons < 1 or machine.cores < 1:
        found.add(
            "E0302",
            f"'{machine.name}' has {machine.cores} core(s) of {max(caps.neurons, 0)} neuron(s): "
            "it holds no network",
            hint="correct the chip's file, or choose another target ('spikec targets')",
        )
        return
    placed = [node for node in axons.nodes if node.first < axons.neurons]
    needed = (
        -(-axons.neurons // caps.neurons)
        if machine.mixed
        else sum(-(-node.size // caps.neurons) for node in placed)
    )
    largest = machine.with_cores(needed)
    if largest is None:
        most = int(machine.max_chips.value) * machine.cores_per_chip if machine.max_chips else (
            machine.cores
        )  # fmt: skip
        node = max(placed, key=lambda n: n.size)
        found.add(
            "E0302",
            f"{axons.neurons:,} neurons take {needed:,} cores of {caps.neurons:,} neurons, "
            f"'{machine.name}' has {most:,} at most: {needed - most:,} too few for them; the "
            f"largest population is '{node.name}' with {node.size:,}",
            node.at,
            f"leave out {axons.neurons - most * caps.neurons:,} neurons, or choose a larger target",
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
    targets = np.diff(graph.ptr)[: axons.sources] - graph.lone[: axons.sources]
    reached = -(-targets // max(caps.neurons, 1))
    core = machine.core
    of_neurons = {
        "fan_in": (fan_in, "remove synapses onto it, or train with fewer"),
        "in_axons": (sources, "remove sources of it, or train with fewer"),
        "synapse_bits": (bits, "remove synapses onto it, or store narrower weights"),
    }
    of_sources = {
        "fan_out": (reached, "remove targets of it, or split it into copies with the same inputs"),
        "out_axons": (reached, "remove targets of it"),
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
            more = f" ({over.size:,} have too many)" if over.size > 1 else ""
            _over(
                found,
                machine,
                limit,
                axons.describe(worst) + more,
                int(has[worst]),
                axons.node_of(worst).at,
                f"{hint}: {int(has[worst] - quantity.value):,} fewer would fit",
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
                f"'{bundle.name}'",
                longest,
                bundle.at if bundle.at != NOWHERE else NOWHERE,
                "shorten the delay, or put relay populations on the way",
                "E0307",
            )
