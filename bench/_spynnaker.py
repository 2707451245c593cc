"""The peer's side of `spinnaker.py`: sPyNNaker's own mapping of one network, on a virtual board.

Runs in the interpreter that has sPyNNaker, which need not have spikec:

    python bench/_spynnaker.py network FILE [--data-specification]
    python bench/_spynnaker.py tables FILE

``network``: the file has ``nodes`` (rows of first number, size), and for each projection k
``pre_k`` and ``post_k`` (rows of ``nodes``) and ``pairs_k`` (synapses; pre and post neuron).
``tables``: lookups of routers (``ptr``, ``key``, ``mask``, ``route``, ``straight``), for its
compressors alone. One object of JSON goes to standard output. HOME needs a `.spynnaker.cfg`, or
sPyNNaker writes one there and stops.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

# What sPyNNaker's timers call the algorithms of each stage.
STAGES = {
    "partition": (
        "Splitter reset",
        "Spynnaker splitter selector",
        "DelaySupportAdder",
        "Splitter partitioner",
    ),
    "place": ("Application Placer",),
    "route": ("Application Router",),
    "keys": ("Zoned routing info allocator", "Global allocate"),
    "tables": ("Merged routing table generator", "Basic routing table generator"),
    "compress": ("Pair compressor", "Ordered covering compressor"),
    "data specification": ("SDRAM outgoing partition allocator", "Graph data specification writer"),
}


class Enough(Exception):
    """Raised where the tables are done, to leave out the data specification."""


def build(sim: Any, network: dict[str, Any]) -> None:
    """Nodes that are reached are leaky neurons, the others Poisson sources."""
    reached = {int(network[name]) for name in network if name.startswith("post_")}
    populations = []
    for number, (_, size) in enumerate(network["nodes"]):
        cell = sim.IF_curr_exp() if number in reached else sim.SpikeSourcePoisson(rate=10.0)
        populations.append(sim.Population(int(size), cell, label=f"node {number}"))
    k = 0
    while f"pairs_{k}" in network:
        pre, post = (populations[int(network[f"{end}_{k}"])] for end in ("pre", "post"))
        synapse = sim.StaticSynapse(weight=0.1, delay=1.0)
        sim.Projection(pre, post, sim.FromListConnector(network[f"pairs_{k}"]), synapse)
        k += 1


def cpu_of_timers(timer: Any) -> Counter[str]:
    """CPU-seconds by algorithm, filled in while it runs: sPyNNaker's own timers have wall time."""
    spent: Counter[str] = Counter()
    starts: list[float] = []
    enter, leave = timer.__enter__, timer.__exit__

    def entered(self: Any) -> Any:
        starts.append(time.process_time())
        return enter(self)

    def left(self: Any, *error: Any) -> Any:
        spent[self._algorithm] += time.process_time() - starts.pop()
        return leave(self, *error)

    timer.__enter__, timer.__exit__ = entered, left
    return spent


def stages(wall: dict[str, float], cpu: Counter[str]) -> dict[str, dict[str, float]]:
    return {
        stage: {
            "wall": sum(wall.get(name, 0.0) for name in names),
            "cpu": sum(cpu[name] for name in names),
        }
        for stage, names in STAGES.items()
    }


def entries(tables: Iterable[Any]) -> dict[str, int]:
    counts = [table.number_of_entries for table in tables]
    return {"total": sum(counts), "most": max(counts, default=0), "routers": len(counts)}


def measure_tables(path: Path) -> dict[str, Any]:
    """Entries and CPU-seconds of both compressors, router by router."""
    from pacman.config_setup import unittest_setup
    from pacman.model.routing_tables import UnCompressedMulticastRoutingTable
    from pacman.operations.router_compressors import pair_compressor
    from pacman.operations.router_compressors.ordered_covering_router_compressor import (
        ordered_covering,
        remove_default_routes,
    )
    from spinn_machine import MulticastRoutingEntry, RoutingEntry
    from spinn_utilities.config_holder import set_config

    unittest_setup()
    set_config("Machine", "version", "5")
    # Only the function that takes the tables of a whole run is public.
    pair = sys.modules[pair_compressor.__module__]._PairCompressor(True, True)
    with np.load(path) as file:
        given = dict(file)
    found: dict[str, Any] = {
        name: {"entries": [], "cpu": 0.0} for name in ("pair", "ordered covering")
    }
    for a, b in zip(given["ptr"][:-1], given["ptr"][1:], strict=True):
        if a == b:
            continue
        rows = zip(
            *(given[k][a:b].tolist() for k in ("key", "mask", "route", "straight")), strict=True
        )
        entries = [
            MulticastRoutingEntry(
                key, mask, RoutingEntry(spinnaker_route=route, defaultable=bool(straight))
            )
            for key, mask, route, straight in rows
        ]
        table = UnCompressedMulticastRoutingTable(0, 0)
        for entry in entries:
            table.add_multicast_routing_entry(entry)
        start = time.process_time()
        by_pairs = pair.compress_table(table)
        middle = time.process_time()
        covered = remove_default_routes(ordered_covering(entries, None, {}, no_raise=True)[0], None)
        end = time.process_time()
        for name, result, spent in (
            ("pair", by_pairs, middle - start),
            ("ordered covering", covered, end - middle),
        ):
            found[name]["entries"].append(len(result))
            found[name]["cpu"] += spent
    return found | {"version": importlib.metadata.version("sPyNNaker")}


def measure_network(path: Path, with_data: bool) -> dict[str, Any]:
    start_wall, start_cpu = time.perf_counter(), time.process_time()
    import pyNN.spiNNaker as sim
    from pacman.operations.router_compressors.ordered_covering_router_compressor import (
        ordered_covering_compressor,
    )
    from pacman.operations.routing_table_generators import basic_routing_table_generator
    from spinn_front_end_common.data import FecDataView
    from spinn_front_end_common.interface.abstract_spinnaker_base import AbstractSpinnakerBase
    from spinn_front_end_common.interface.provenance import FecTimer
    from spinn_utilities.config_holder import get_timestamp_path

    imported_wall, imported_cpu = time.perf_counter(), time.process_time()
    with np.load(path) as file:
        network = dict(file)
    cpu = cpu_of_timers(FecTimer)
    found: dict[str, Any] = {}
    compress = AbstractSpinnakerBase._do_early_compression
    specify = AbstractSpinnakerBase._do_data_generation

    def compressed(self: Any, name: str) -> Any:
        tables = compress(self, name)
        found["entries"] = {
            "merged": entries(FecDataView.get_uncompressed()),
            "compressed": entries(tables),
        }
        # Not part of sPyNNaker's own run, so not timed: one entry for each core that sends, and
        # the other compressor.
        found["entries"]["plain"] = entries(basic_routing_table_generator())
        found["entries"]["ordered covering"] = entries(ordered_covering_compressor())
        cores: Counter[str] = Counter()
        for placement in FecDataView.iterate_placemements():
            vertex = placement.vertex.app_vertex
            cores[vertex.label if vertex is not None else "monitors"] += 1
        found["cores"] = dict(cores)
        return tables

    def data(self: Any) -> None:
        if not with_data:
            raise Enough
        specify(self)

    AbstractSpinnakerBase._do_early_compression = compressed
    AbstractSpinnakerBase._do_data_generation = data
    sim.setup(timestep=1.0)
    build(sim, network)
    built_wall, built_cpu = time.perf_counter(), time.process_time()
    with contextlib.suppress(Enough):
        sim.run(1.0)
    ran_wall, ran_cpu = time.perf_counter(), time.process_time()
    with sqlite3.connect(get_timestamp_path("tpath_global_provenance")) as database:
        wall = {
            str(algorithm): float(taken) / 1e3
            for algorithm, taken in database.execute(
                "SELECT algorithm, SUM(time_taken) FROM timer_view GROUP BY algorithm"
            )
        }
    return found | {
        "stages": stages(wall, cpu),
        "import": {"wall": imported_wall - start_wall, "cpu": imported_cpu - start_cpu},
        "build": {"wall": built_wall - imported_wall, "cpu": built_cpu - imported_cpu},
        "run": {"wall": ran_wall - built_wall, "cpu": ran_cpu - built_cpu},
        "timers": wall,
        "version": importlib.metadata.version("sPyNNaker"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("network", "tables"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--data-specification", action="store_true", help="run that stage too")
    arguments = parser.parse_args()
    # sPyNNaker writes progress to standard output, which belongs to the result.
    own = os.dup(1)
    os.dup2(2, 1)
    if arguments.what == "network":
        found = measure_network(arguments.file, arguments.data_specification)
    else:
        found = measure_tables(arguments.file)
    sys.stdout.flush()
    os.dup2(own, 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
