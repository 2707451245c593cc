"""What a report shows of a mapping, from what its check has counted."""

from __future__ import annotations

import numpy as np

from ..boards.machine import LIMITS
from .mapping.axons import Axons
from .mapping.check import Binding
from .mapping.encodings import encoding_uses
from .mapping.map import Mapped
from .report.data import LimitUse, MappingView


def mapping_view(axons: Axons, mapped: Mapped, *, counted: bool) -> MappingView:
    """The record of ``mapped``, a mapping of ``axons``; nothing is counted that the check has not.

    ``counted`` says whether the rates were, in a calibration. Time is linear in neurons, memory in
    neurons and in pairs of a core and a population in it.
    """
    mapping, usage = mapped.mapping, mapped.checked.usage
    placed = [node for node in axons.nodes if node.first < axons.neurons and node.size]
    node = np.repeat(np.arange(len(placed)), [n.end - n.first for n in placed])
    pairs, neurons = np.unique(
        mapping.part.astype(np.int64) * max(len(placed), 1) + node, return_counts=True
    )
    part, held = np.divmod(pairs, max(len(placed), 1))

    def use(binding: Binding) -> LimitUse:
        if binding.at == "core":
            used, number = usage.of_limit(binding.limit), mapping.seat.astype(np.int64)
        else:
            # Routers that no route crosses have no part in this; there is a worst in any case.
            filled = usage.table_entries > 0
            filled[binding.number] = True
            used, number = usage.table_entries[filled], np.flatnonzero(filled).astype(np.int64)
        name = binding.limit
        return LimitUse(name, LIMITS[name], binding.bound, binding.at, used, number)

    return MappingView(
        machine=mapping.machine,
        populations=tuple(n.name for n in placed),
        seat=mapping.seat.astype(np.int64),
        held_ptr=np.searchsorted(part, np.arange(mapping.parts + 1)),
        held=held,
        held_neurons=neurons,
        limits=tuple(map(use, mapped.checked.bindings)),
        link_start=usage.link_start.astype(np.int64),
        link_end=usage.link_end.astype(np.int64),
        link_load=usage.link_load,
        table_entries=usage.table_entries,
        packets=usage.packets,
        hops=usage.hops,
        spikes=usage.spikes,
        strays=usage.strays,
        counted=counted,
        encodings=encoding_uses(axons, mapping),
    )
