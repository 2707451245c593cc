"""Networks on machines, with parts and seats at random and the mapper's own routes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from spikec.boards.costs import CostLine, CostModel, Interconnect
from spikec.boards.machine import Machine
from spikec.boards.quantity import Quantity
from spikec.compiler.mapping.axons import Axons
from spikec.compiler.mapping.mapping import Mapping
from spikec.compiler.mapping.route import route
from spikec.compiler.mapping.traffic import traffic
from spikec.compiler.profile.count import Spikes


def seated(axons: Axons, machine: Machine, part: npt.ArrayLike, seed: int = 0) -> Mapping:
    """Parts at cores drawn without repeats, and the ways between them."""
    where = np.asarray(part, np.int32)
    parts = int(where.max()) + 1
    router = np.arange(machine.seats) // machine.cores_per_router
    there = [machine.place(r) not in machine.absent for r in router.tolist()]
    seats = np.random.default_rng(seed).permutation(np.flatnonzero(there))
    seat = seats[:parts].astype(np.int32)
    return Mapping(machine, where, seat, route(traffic(axons, where), machine, seat))


def random_part(axons: Axons, parts: int, seed: int) -> npt.NDArray[np.int64]:
    """Each part has a neuron at least."""
    rng = np.random.default_rng(seed)
    part = rng.integers(0, parts, axons.neurons)
    part[rng.permutation(axons.neurons)[:parts]] = np.arange(parts)
    return part


def spikes(steps: int, step: npt.ArrayLike, source: npt.ArrayLike, count: npt.ArrayLike) -> Spikes:
    when, who = (np.asarray(a, np.int32) for a in (step, source))
    return Spikes(steps, when, who, np.asarray(count, np.int64))


def random_spikes(axons: Axons, steps: int, seed: int, share: float = 0.2) -> Spikes:
    rng = np.random.default_rng(seed)
    step, source = np.nonzero(rng.random((steps, axons.sources)) < share)
    return spikes(steps, step, source, rng.integers(1, 3, step.size))


def number(value: float, unit: str) -> Quantity:
    return Quantity(value, unit, "test", "recalled")


def priced(machine: Machine, **changes: object) -> Machine:
    """With an interconnect, constants, and a model that uses every kind of count."""
    net = Interconnect(
        cycle_time=number(1e-9, "s"),
        flits=number(1, "flits"),
        buffer=number(4, "flits"),
        hop_x=number(3, "cycles"),
        hop_y=number(5, "cycles"),
        gap=number(2, "cycles"),
        inject=number(1, "cycles"),
        eject=number(1, "cycles"),
        chip_hop=number(20, "cycles"),
    )
    costs = {
        "update_energy": number(3e-12, "J"),
        "spike_energy": number(5e-12, "J"),
        "synop_energy": number(7e-12, "J"),
        "packet_energy": number(11e-12, "J"),
        "hop_energy": number(13e-12, "J"),
        "clock_energy": number(1e-12, "J"),
        "chip_power": number(1e-3, "W"),
        "update_time": number(2e-9, "s"),
        "spike_time": number(4e-9, "s"),
        "synop_cycles": number(3, "cycles"),
        "packet_time": number(6e-9, "s"),
        "clock_frequency": number(1e9, "Hz"),
    }
    model = CostModel(
        name="all",
        title="all kinds",
        pace="free",
        energy=(
            CostLine("updates", "update_energy"),
            CostLine("spikes", "spike_energy"),
            CostLine("synaptic_operations", "synop_energy"),
            CostLine("packets_in", "packet_energy"),
            CostLine("packets_out", "packet_energy", 2.0),
            CostLine("hops", "hop_energy"),
            CostLine("host_packets", "hop_energy"),
        ),
        power=(CostLine("chips", "chip_power"), CostLine("clock", "clock_energy")),
        send=(
            CostLine("quiet_updates", "update_time"),
            CostLine("spikes", "spike_time"),
            CostLine("packets_out", "packet_time"),
        ),
        receive=(
            CostLine("packets_in", "packet_time"),
            CostLine("synaptic_operations", "synop_cycles"),
        ),
        unknown=("nothing",),
    )
    changed = replace(model, **changes)  # type: ignore[arg-type]
    return replace(machine, costs=costs, models={"all": changed}, interconnect=net)
