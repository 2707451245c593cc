"""Mappings as a report shows them, made by hand: any machine, any cores, any load."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from spikec.boards.machine import STEPS, CoreLimits, Encoding, Machine, Topology
from spikec.boards.quantity import Obtained, Quantity
from spikec.compiler.report import LimitUse, MappingView


def quantity(value: float, unit: str, obtained: Obtained = "recalled") -> Quantity:
    return Quantity(value, unit, f"a table of {unit}", obtained)


def make_machine(
    topology: Topology = "mesh",
    chips: tuple[int, int] = (1, 1),
    routers: tuple[int, int] = (4, 4),
    cores: int = 1,
    **more: Any,
) -> Machine:
    limits = CoreLimits(neurons=quantity(256, "neurons"), in_axons=quantity(4096, "axons"))
    return Machine(
        name="made",
        title="a machine made up",
        topology=topology,
        chips=chips,
        routers=routers,
        cores_per_router=cores,
        core=limits,
        encoding=Encoding(quantity(0, "bits"), quantity(0, "bits")),
        source="nowhere",
        **more,
    )


def present_seats(machine: Machine) -> np.ndarray:
    """Every core there is."""
    routers = [r for r in range(machine.router_count) if machine.place(r) not in machine.absent]
    cores = machine.cores_per_router
    return np.concatenate([router * cores + np.arange(cores) for router in routers])


def grid_links(machine: Machine) -> tuple[np.ndarray, np.ndarray]:
    """Every link of a machine that is no tree."""
    width, height = machine.grid
    pairs = set()
    for router in range(machine.router_count):
        x, y = machine.place(router)
        for dx, dy in (*STEPS[machine.topology], (-1, 0)):
            end = (x + dx, y + dy)
            if machine.cyclic:
                end = end[0] % width, end[1] % height
            inside = 0 <= end[0] < width and 0 <= end[1] < height
            if inside and not {(x, y), end} & machine.absent and end != (x, y):
                pairs.add((router, end[1] * width + end[0]))
    ordered = np.asarray(sorted(pairs), np.int64).reshape(-1, 2)
    return ordered[:, 0], ordered[:, 1]


def make_view(
    machine: Machine,
    seat: Sequence[int] | np.ndarray | None = None,
    names: Sequence[str] = ("conv1", "conv2", "dense", "out"),
    links: tuple[np.ndarray, np.ndarray] | None = None,
    mixed: bool = True,
) -> MappingView:
    """Populations in blocks along the cores, each third core with two of them."""
    r = np.random.default_rng(5)
    seats = present_seats(machine) if seat is None else np.asarray(seat, np.int64)
    parts = seats.size
    block = np.arange(parts) * len(names) // parts
    held, neurons, ptr = [], [], [0]
    for part in range(parts):
        size = int(r.integers(20, 257))
        both = mixed and len(names) > 1 and part % 3 == 2
        held += [int(block[part]), (int(block[part]) + 1) % len(names)] if both else [block[part]]
        neurons += [size - size // 3, size // 3] if both else [size]
        ptr.append(len(held))
    total = np.add.reduceat(neurons, ptr[:-1])
    in_axons = np.sort(r.integers(0, 4093, parts))
    in_axons[-1] = 4092
    uses = [
        LimitUse("in_axons", "in-axons", quantity(4096, "axons"), "core", in_axons, seats),
        LimitUse("neurons", "neurons", quantity(257, "neurons", "measured"), "core", total, seats),
    ]
    start, end = links if links is not None else grid_links(machine)
    load = np.rint(r.lognormal(4, 1.5, start.size)).astype(np.int64) + 1
    return MappingView(
        machine=machine,
        populations=tuple(names),
        seat=seats,
        held_ptr=np.asarray(ptr),
        held=np.asarray(held),
        held_neurons=np.asarray(neurons),
        limits=tuple(sorted(uses, key=lambda use: -use.share)),
        link_start=start,
        link_end=end,
        link_load=load,
        table_entries=np.zeros(0, np.int64),
        packets=int(load.sum()),
        hops=float(load.sum()) * 1.5,
        spikes=1000,
        counted=True,
    )


def tree_links(arity: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Both directions of every link of a tree."""
    sizes = np.cumprod([1, *arity])[::-1]
    up, low = [], 0
    for size, children in zip(sizes[:-1].tolist(), arity[::-1], strict=True):
        node = np.arange(size)
        up.append(np.stack([low + node, low + size + node // children], 1))
        low += size
    pairs = np.concatenate(up)
    return np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]])
