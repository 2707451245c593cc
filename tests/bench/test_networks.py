"""The networks on which mapping is measured are the same bytes everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.test_bench import module

networks = module("_networks")

# SHA-256 of pointers, targets and rates. Published figures are of exactly these.
DIGESTS = {
    ("random", 1000, 20): "c4cba798d43e68152046f4364e16fba24c461e6321f92cade17ea8c82f725441",
    ("random", 3000, 9): "86a616dc7b979d329e5fc27a0350b686adf5435a7423d761f99d990fa414b050",
    ("local", 1000, 20): "83aad8d203c43e8495826bb4038b34a4120460a26efb3d056092f247c534aee3",
    ("local", 3000, 9): "69dc2b346804486c0df9a36bb18096f91c01dcd292f5f7855a06f08b829054f3",
    ("conv", 1000, 20): "2dde03f089d2f2c5c408bf48b70f321e398d57ce9b6d2f5ae5d4dc04aac37c93",
    ("conv", 3000, 9): "3147c0cbe722f393d3ddf3153736d222b56860c5776190c7bce64a8bce13457d",
}
LARGE = {
    "conv-97k": "d9e161feb84daedf3c3a7b1c0eb4255a954b97a79381ee5c51d71192038be7d6",
    "local-100k": "78e2c149043b0f18beb5047ba763aec9aa60904a04eeca9d10fd45d04b1082b7",
    "random-100k": "8d2fb234c7f4e015683d278ceb2e1c70ded68be679f272d809b0486439ef1eab",
    "conv-1M": "1a284e564a5151c381dc56ac3aef91b8ca2ecfe494aef9e889b61b7a0d8029ac",
}


@pytest.mark.parametrize(("kind", "neurons", "fan_out"), DIGESTS)
def test_a_seed_gives_the_same_network(kind: str, neurons: int, fan_out: int) -> None:
    found = getattr(networks, kind)(neurons, fan_out)
    assert found.digest() == DIGESTS[kind, neurons, fan_out]
    assert getattr(networks, kind)(neurons, fan_out, seed=2).digest() != found.digest()


@pytest.mark.parametrize("name", LARGE)
def test_a_network_measured_is_the_one_published(name: str) -> None:
    assert networks.NETWORKS[name]().digest() == LARGE[name]


@pytest.mark.parametrize("kind", ["random", "local", "conv"])
def test_axons_have_every_synapse(kind: str) -> None:
    network = getattr(networks, kind)(1000, 20)
    axons = network.axons()
    assert (axons.neurons, axons.synapses) == (network.neurons, network.synapses)
    for bundle in axons.bundles:
        for row in range(bundle.ptr.size - 1):
            mine = slice(network.ptr[bundle.first + row], network.ptr[bundle.first + row + 1])
            assert np.array_equal(
                bundle.target[bundle.ptr[row] : bundle.ptr[row + 1]], network.target[mine]
            )
    assert [bundle.kernel for bundle in axons.bundles] == ([36] * 4 if kind == "conv" else [0])


@pytest.mark.parametrize("kind", ["random", "local", "conv"])
def test_packets_are_the_cores_that_sources_reach(kind: str) -> None:
    network = getattr(networks, kind)(400, 20)
    part = np.random.default_rng(3).integers(0, 7, network.neurons)
    counted = 0
    for i in range(network.neurons):
        reached = set(part[network.target[network.ptr[i] : network.ptr[i + 1]]].tolist())
        counted += int(network.rate[i]) * len(reached - {int(part[i])})
    assert networks.packets(network, part) == counted


def test_a_saved_network_is_the_same(tmp_path) -> None:  # type: ignore[no-untyped-def]
    network = networks.conv(1000, 20)
    network.save(tmp_path)
    again = networks.Network.load(tmp_path)
    assert again.digest() == network.digest()
    assert (again.layers, again.kernel) == (network.layers, network.kernel) == (5, 36)
