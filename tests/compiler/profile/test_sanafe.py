"""The cost model against SANA-FE: its architecture file, its simple mode, one network on both.

SANA-FE's neurons integrate and fire: with whole weights, thresholds and biases and no leak both
sides compute in integers, and the rasters are equal, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from spikec.boards.chip import load_chip
from spikec.compiler.integer.executor import Executor
from spikec.compiler.mapping.network import axons_of
from spikec.compiler.profile.profile import profile
from spikec.ir.connections import Sparse
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection

from ..integer.test_executor import neuron
from .nets import seated

sanafe = pytest.importorskip("sanafe")

STEPS = 40
THRESHOLD = 20


@dataclass(frozen=True)
class Case:
    part: npt.NDArray[np.int64]
    pre: npt.NDArray[np.int64]
    post: npt.NDArray[np.int64]
    weight: npt.NDArray[np.int64]
    bias: npt.NDArray[np.int64]

    @property
    def neurons(self) -> int:
        return int(self.bias.size)


def case(seed: int, neurons: int, fan: int, parts: int) -> Case:
    rng = np.random.default_rng(seed)
    part = rng.integers(0, parts, neurons)
    part[:parts] = np.arange(parts)
    pairs = np.unique(rng.integers(0, neurons, neurons * fan) + neurons * np.repeat(
        np.arange(neurons), fan
    ))  # fmt: skip
    pre, post = np.divmod(pairs, neurons)
    weight = rng.integers(1, 6, pairs.size) * rng.choice([-1, 1], pairs.size)
    return Case(part, pre, post, weight, rng.integers(1, 9, neurons))


def theirs(network: Case, cores: npt.NDArray[np.int64], arch: Any) -> dict[str, Any]:
    """What SANA-FE says of the network, of every step and in total."""
    net = sanafe.Network()
    group = net.create_neuron_group(
        "pop",
        network.neurons,
        model_attributes={"threshold": float(THRESHOLD), "reset": 0.0, "leak_decay": 1.0},
        soma_hw_name="loihi_lif",
        default_synapse_hw_name="loihi_sparse_synapse",
        default_dendrite_hw_name="loihi_dendrites",
        log_spikes=True,
    )
    for n, (part, bias) in enumerate(zip(network.part, network.bias.tolist(), strict=True)):
        # SANA-FE counts the tiles of its grid of 8 x 4 down the columns, we along the rows.
        router, core = divmod(int(cores[part]), 4)
        group[n].set_attributes(model_attributes={"bias": float(bias)})
        group[n].map_to_core(arch.tiles[router % 8 * 4 + router // 8].cores[core])
    for a, b, w in zip(network.pre, network.post, network.weight.tolist(), strict=True):
        group[int(a)].connect_to_neuron(group[int(b)], {"weight": float(w)})
    chip = sanafe.SpikingChip(arch)
    chip.load(net)
    found: dict[str, Any] = chip.sim(
        STEPS, timing_model="simple", spike_trace=True, perf_trace=True
    )
    return found


def ours(network: Case) -> Graph:
    rows = np.concatenate([[0], np.cumsum(np.bincount(network.pre, minlength=network.neurons))])
    connection = Sparse(
        network.neurons,
        network.neurons,
        rows.astype(np.int64),
        network.post.astype(np.int32),
        network.weight,
    )
    population = Population(
        "pop",
        (network.neurons,),
        neuron(
            "zero",
            THRESHOLD,
            decay_v=np.asarray(256),
            bias=network.bias,
            max_spikes=1,
        ),
    )
    nothing = np.zeros(0, np.int64)
    silent = Sparse(1, network.neurons, np.zeros(2, np.int64), nothing.astype(np.int32), nothing)
    return Graph(
        "common",
        1e-3,
        (Input("in", (1,)),),
        (population,),
        (
            Projection("recurrent", "pop", "pop", connection, 1),
            Projection("none", "in", "pop", silent, 1),
        ),
        (Output("out", "pop"),),
    )


@pytest.mark.parametrize(
    ("seed", "neurons", "fan", "parts"), [(1, 60, 5, 1), (2, 200, 12, 9), (3, 300, 8, 40)]
)
def test_counts_equal_and_totals_agree(seed: int, neurons: int, fan: int, parts: int) -> None:
    network, machine = case(seed, neurons, fan, parts), load_chip("loihi1")
    graph = ours(network)
    axons = axons_of(graph, machine, 8)
    mapping = seated(axons, machine, network.part, seed)
    arch = sanafe.load_loihi()
    their = theirs(network, mapping.seat.astype(np.int64), arch)
    silence = Stimulus({"in": Events.from_dense(np.zeros((1, STEPS, 1), np.int64))})
    raster = Executor(graph).run(silence, populations=["pop"], raw=True).spikes["pop"]
    fired = [[int(str(n).partition(".")[2]) for n in step] for step in their["spike_trace"]]
    assert [np.flatnonzero(row).tolist() for row in raster.dense(0)] == [sorted(f) for f in fired]
    found = profile(axons, mapping, machine.models["sanafe"], {"pop": raster}, ["pop"])
    assert found.totals["spikes"] == their["neurons_fired"] > 0
    assert found.totals["updates"] == their["neurons_updated"]
    assert found.totals["synaptic_operations"] == their["spikes"]
    assert found.totals["packets_out"] == found.totals["packets_in"] == their["packets_sent"]
    assert found.totals["hops"] == sum(their["perf_trace"]["hops"])
    assert found.energy == pytest.approx(their["energy"]["total"], rel=1e-9, abs=0)
    assert found.latency == pytest.approx(their["sim_time"], rel=1e-9, abs=0)
    assert found.length[0] == pytest.approx(their["perf_trace"]["sim_time"], rel=1e-9, abs=0)
    by_kind = {
        "synapse": ("synaptic_operations",),
        "soma": ("updates", "spikes"),
        "network": ("packets_out", "hops_x", "hops_y"),
    }
    for kind, counts in by_kind.items():
        sum_ = sum(line.joules for line in found.ledger if line.count in counts)
        assert sum_ == pytest.approx(their["energy"][kind], rel=1e-9, abs=0)


def test_constants_are_those_of_its_file() -> None:
    """The file in the package is the one that our constants name."""
    from importlib.resources import files

    import yaml

    text = files("sanafe.examples").joinpath("loihi.yaml").read_text()
    arch = yaml.safe_load(text)["architecture"]
    tile = arch["tile"][0]
    core = tile["core"][0]

    def of(unit: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(u for u in core[unit] if u["name"] == name)["attributes"]
        return found

    soma, sparse = of("soma", "loihi_lif"), of("synapse", "loihi_sparse_synapse")
    hops = tile["attributes"]
    wanted = {
        "sanafe_synop_sparse_energy": sparse["energy_process_spike"],
        "sanafe_synop_sparse_time": sparse["latency_process_spike"],
        "sanafe_neuron_access_energy": soma["energy_access_neuron"],
        "sanafe_neuron_access_time": soma["latency_access_neuron"],
        "sanafe_neuron_update_energy": soma["energy_update_neuron"],
        "sanafe_neuron_update_time": soma["latency_update_neuron"],
        "sanafe_spike_energy": soma["energy_spike_out"],
        "sanafe_spike_time": soma["latency_spike_out"],
        "sanafe_message_out_energy": of("axon_out", "loihi_out")["energy_message_out"],
        "sanafe_message_out_time": of("axon_out", "loihi_out")["latency_message_out"],
        "sanafe_message_in_time": of("axon_in", "loihi_in")["latency_message_in"],
        "sanafe_hop_x_energy": hops["energy_east_hop"],
        "sanafe_hop_y_energy": hops["energy_north_hop"],
    }
    wanted |= {
        f"sanafe_barrier_{tiles}_tile_time": time
        for tiles, time in arch["attributes"]["latency_sync"].items()
    }
    machine = load_chip("loihi1")
    model = machine.models["sanafe"]
    assert {name: machine.costs[name].value for name in wanted} == pytest.approx(
        wanted, rel=1e-12, abs=0
    )
    assert set(model.costs) == set(wanted)
    assert (hops["energy_east_hop"], hops["energy_north_hop"]) == (
        hops["energy_west_hop"],
        hops["energy_south_hop"],
    )
    assert of("axon_in", "loihi_in")["energy_message_in"] == 0.0
