"""One measurement of `mapping.py`, in a process of its own, so that its memory is its own.

    python bench/_mapping_case.py WHAT FOLDER [--effort E] [--limits L] [--preset P]

The folder has a network (`_networks.py`) and, where one is asked for, ``part.npy``. One object of
JSON goes to standard output. numba's compilation is done on a small network first and not counted;
neither are imports, nor building what a peer is given.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

# Also where this is loaded by its path alone.
sys.path.insert(0, str(Path(__file__).parent))

from _networks import NEURONS_A_CORE, Network, conv, fullest, local, packets, random

from spikec.boards.chip import load_chip
from spikec.boards.machine import CoreLimits, Machine
from spikec.compiler.mapping.check import check
from spikec.compiler.mapping.geometry import curve
from spikec.compiler.mapping.map import map_network
from spikec.compiler.mapping.partition import partition
from spikec.compiler.mapping.place import place, place_along_curve, placement_cost
from spikec.compiler.mapping.traffic import traffic

SEED = 1
CHANCES = 10
PRESETS = ("deterministic", "large_k")
LIMITS = ("neurons", "in-axons", "all")
Parts = npt.NDArray[np.int64]


def machine(limits: str) -> Machine:
    """Loihi 1 with all of its limits, or with some of them only."""
    whole = load_chip("loihi1")
    if limits == "all":
        return whole
    core = CoreLimits(neurons=whole.core.neurons)
    if limits == "in-axons":
        core = replace(core, in_axons=whole.core.in_axons)
    assert core.neurons is not None and core.neurons.value == NEURONS_A_CORE
    return replace(whole, core=core)


def peak() -> int:
    """Bytes of memory that this process had at most.

    Where the system tells: `ru_maxrss` has, after a fork, that of the parent as well.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(), re.MULTILINE)
        if found:
            return int(found[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the CPU-seconds of the whole process that it took."""
    start = time.process_time()
    found = function()
    return found, time.process_time() - start


def compile_kernels(mapper: Machine, effort: int, whole: bool) -> None:
    """Run all once, on networks of each kind."""
    for small in (conv(12_000, 50), local(6000, 30), random(4000, 20)):
        if whole:
            map_network(small.axons(), mapper, effort=effort, seed=SEED)
        else:
            partition(small.axons(), mapper, effort, SEED)


def of_parts(network: Network, part: Parts, seconds: float) -> dict[str, Any]:
    memory = peak()  # before anything is counted
    sent = packets(network, part)
    return {
        "packets": sent / int(network.rate.sum()),
        "seconds": seconds,
        "peak": memory,
        **fullest(network, part),
    }


# --- ours --------------------------------------------------------------------------------------


def run_partition(network: Network, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    mapper = machine(options.limits)
    compile_kernels(mapper, options.effort, whole=False)
    axons = network.axons()
    part, seconds = timed(lambda: partition(axons, mapper, options.effort, SEED))
    if options.limits == "neurons" and options.effort == 1:
        np.save(folder / "part.npy", part)
    return of_parts(network, part, seconds)


def run_map(network: Network, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    mapper = machine(options.limits)
    compile_kernels(mapper, options.effort, whole=True)
    axons = network.axons()
    mapped, seconds = timed(lambda: map_network(axons, mapper, effort=options.effort, seed=SEED))
    memory = peak()
    # Once more: what `map_network` has checked is what it returns.
    again, checking = timed(lambda: check(axons, mapped.mapping))
    binding = again.binding
    return {
        "packets": packets(network, mapped.mapping.part) / int(network.rate.sum()),
        "counted": again.usage.packets_per_spike,
        "hops": again.usage.hops_per_spike,
        "faults": len(again.faults),
        "seconds": seconds,
        "stages": mapped.seconds,
        "check": checking,
        "peak": memory,
        "binding": "" if binding is None else binding.limit,
        "used": 0 if binding is None else binding.used,
        "bound": 0 if binding is None else int(binding.bound.value),
        **fullest(network, mapped.mapping.part),
    }


def run_place(network: Network, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Packets times hops of our seats, of those along the curve, and of random ones."""
    part = np.load(folder / "part.npy")
    small = conv(12_000, 50)
    few = traffic(small.axons(), np.arange(small.neurons) // 400)
    place(few, machine("neurons"), SEED)
    groups = traffic(network.axons(), part)
    chip = machine("neurons").with_cores(groups.parts)
    assert chip is not None
    seats, seconds = timed(lambda: place(groups, chip, SEED))
    along, curve_seconds = timed(lambda: place_along_curve(groups, chip))
    per = chip.cores_per_router
    cores = (curve(chip)[:, None].astype(np.int64) * per + np.arange(per)).ravel()
    chance = [
        placement_cost(groups, chip, np.random.default_rng(k).permutation(cores)[: groups.parts])
        for k in range(CHANCES)
    ]
    return {
        "ours": placement_cost(groups, chip, seats),
        "curve": placement_cost(groups, chip, along),
        "random": float(np.mean(chance)),
        "seconds": seconds,
        "curve_seconds": curve_seconds,
        "cores": groups.parts,
        "chips": list(chip.chips),
    }


# --- peers -------------------------------------------------------------------------------------


def run_sequential(network: Network, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Neurons in their own order, as many a core."""
    part, seconds = timed(lambda: np.arange(network.neurons) * network.cores // network.neurons)
    return of_parts(network, part, seconds)


def run_metis(network: Network, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """k-way edge cut; an edge weighs the spikes that its ends send each other."""
    import pymetis
    from scipy.sparse import csr_array

    def build() -> Any:
        shape = (network.neurons, network.neurons)
        weight = np.repeat(network.rate, np.diff(network.ptr)).astype(np.int32)
        ptr = network.ptr.astype(np.int32)
        one = csr_array((weight, network.target, ptr), shape=shape)
        both = (one + one.T).tocsr()
        both.setdiag(0)
        both.eliminate_zeros()
        return both

    graph, building = timed(build)
    adjacency = pymetis.CSRAdjacency(graph.indptr, graph.indices)
    options_ = pymetis.Options(seed=SEED)
    found, seconds = timed(
        lambda: pymetis.part_graph(
            network.cores, adjacency, eweights=graph.data, recursive=False, options=options_
        )
    )
    return {
        **of_parts(network, np.asarray(found[1], np.int64), seconds),
        "building": building,
    }


def run_kahypar(network: Network, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Connectivity of the hypergraph of axons, on one thread."""
    import mtkahypar

    kahypar = mtkahypar.initialize(1)
    mtkahypar.set_seed(SEED)
    preset = getattr(mtkahypar.PresetType, options.preset.upper())
    context = kahypar.context_from_preset(preset)
    context.set_partitioning_parameters(network.cores, 0.05, mtkahypar.Objective.KM1)
    context.logging = False
    # Its own rounding of the imbalance allows for one neuron too many.
    context.set_individual_target_block_weights([NEURONS_A_CORE] * network.cores)

    def build() -> Any:
        nets, weights = [], []
        for i in range(network.neurons):
            row = network.target[network.ptr[i] : network.ptr[i + 1]]
            pins = np.unique(np.append(row, i))
            if pins.size > 1:
                nets.append(pins.tolist())
                weights.append(int(network.rate[i]))
        ones = [1] * network.neurons
        return kahypar.create_hypergraph(context, network.neurons, len(nets), nets, ones, weights)

    graph, building = timed(build)
    found, seconds = timed(lambda: graph.partition(context))
    part = np.array(found.get_partition(), np.int64)
    return {**of_parts(network, part, seconds), "building": building}


RUNS = {
    "partition": run_partition,
    "map": run_map,
    "place": run_place,
    "sequential": run_sequential,
    "metis": run_metis,
    "kahypar": run_kahypar,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=RUNS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--limits", choices=LIMITS, default="all")
    parser.add_argument("--preset", choices=PRESETS, default="deterministic")
    options = parser.parse_args()
    # Peers write to standard output, which belongs to the result.
    own = os.dup(1)
    os.dup2(2, 1)
    found = RUNS[options.what](Network.load(options.folder), options.folder, options)
    sys.stdout.flush()
    os.dup2(own, 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
