"""What fits no core is refused at once, in words that name the neuron, the limit and the change."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.boards.machine import Encoding, Machine
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.limits import UNLIMITED, caps_of, most_cores, places, refuse
from spikec.compiler.mapping.partition import partition
from spikec.ir.diagnostics import Location, SpikecError

from .simple import axons, bundle, machine, quantity


def refused(network: Axons, m: Machine) -> str:
    with pytest.raises(SpikecError) as caught:
        refuse(network, m)
    return str(caught.value)


def to_one(sources: int) -> Axons:
    """All neurons of 'wide' onto neuron 2 of 'hidden'."""
    at = Location("net.nir", "hidden")
    nodes = (Node("wide", 0, sources), Node("hidden", sources, 4, at))
    onto = np.full(sources, sources + 2, np.int32)
    one = Bundle("b", 0, np.arange(sources + 1), onto, np.array(1, np.int32))
    return Axons(nodes, sources + 4, (one,), np.ones(sources + 4, np.int64))


def test_five_thousand_inputs_of_a_neuron_on_loihi() -> None:
    source = load_chip("loihi1").core.in_axons
    assert source is not None
    assert refused(to_one(5000), load_chip("loihi1")) == (
        "error E0302: neuron 2 of 'hidden' has 5,000 sources, a core of 'loihi1' takes 4,096 "
        f"in-axons (stated: {source.source}): 904 too many\n"
        "  at net.nir: node 'hidden'\n"
        "  help: remove 904 of its sources, or train with fewer"
    )


def small(limits: dict[str, float], **others: object) -> Machine:
    encoding = Encoding(quantity(16), quantity(4), word=8)
    return machine("mesh", (2, 2), limits=limits, encoding=encoding, **others)  # type: ignore[arg-type]


def fan(*counts: int) -> Axons:
    """Source i of 'p0' leads to the first ``counts[i]`` neurons of 'p1'."""
    first = len(counts)
    rows = [[first + k for k in range(n)] for n in counts]
    return axons([first, max(counts)], 0, [bundle("b", 0, rows)])


CASES: dict[str, tuple[Callable[[], str], str]] = {
    "fan_in": (
        lambda: refused(to_one(9), small({"fan_in": 7})),
        "error E0302: neuron 2 of 'hidden' has 9 synapses onto it, a neuron of 'test' takes 7 "
        "(recalled: test): 2 too many\n"
        "  at net.nir: node 'hidden'\n"
        "  help: remove 2 synapses onto it, or train with fewer",
    ),
    "several": (
        lambda: refused(fan(3, 3, 2), small({"in_axons": 1})),
        "error E0302: neuron 0 of 'p1', like 2 more, has 3 sources, a core of 'test' takes 1 "
        "in-axons (recalled: test): 2 too many\n"
        "  help: remove 2 of its sources, or train with fewer",
    ),
    "synapse_bits": (
        lambda: refused(to_one(9), small({"synapse_bits": 200})),
        "error E0302: neuron 2 of 'hidden' takes 252 bits of synapse memory at least, a core of "
        "'test' has 200 (recalled: test): 52 too many\n"
        "  at net.nir: node 'hidden'\n"
        "  help: remove synapses of 52 bits onto it, or store narrower weights",
    ),
    "fan_out": (
        lambda: refused(fan(7, 4, 0), small({"neurons": 3, "fan_out": 2})),
        "error E0302: neuron 0 of 'p0' reaches 3 cores at least, a neuron of 'test' reaches 2 at "
        "most (recalled: test): 1 too many\n"
        "  help: remove targets in 1 core(s), or split it into copies with the same inputs",
    ),
    "out_axons": (
        lambda: refused(fan(7, 4, 0), small({"neurons": 3, "out_axons": 2})),
        "error E0302: neuron 0 of 'p0' takes 3 out-axons at least, a core of 'test' has 2 "
        "(recalled: test): 1 too many\n"
        "  help: remove targets in 1 core(s)",
    ),
    "neurons": (
        lambda: refused(axons([3, 20], 0, []), small({"neurons": 5})),
        "error E0302: 23 neurons take 5 cores of 5 neurons (recalled: test), 'test' has 4 at "
        "most: 1 too few; the largest population is 'p1' with 20\n"
        "  help: choose a larger target, or leave out 3 neurons",
    ),
    "populations": (
        lambda: refused(axons([1, 1, 0, 2, 1, 1], 0, []), small({"neurons": 5}, mixed=False)),
        "error E0302: 6 neurons in 5 populations, none of which shares a core, take 5 cores of 5 "
        "neurons (recalled: test), 'test' has 4 at most: 1 too few; the largest population is "
        "'p3' with 2\n"
        "  help: choose a larger target, or join populations of one model",
    ),
    "nothing": (
        lambda: refused(axons([1], 0, []), small({"neurons": 0})),
        "error E0302: 'test' has 4 cores of 0 neurons: it holds no network\n"
        "  help: correct the chip's file, or choose another target ('spikec targets')",
    ),
    "delay": (
        lambda: refused(
            axons([2], 0, [bundle("far", 0, [[1], [0]], [3, 9])]), small({"delay_steps": 5})
        ),
        "error E0307: a synapse of 'far' has a delay of 9 steps, 'test' delays by 5 at most "
        "(recalled: test): 4 too many\n"
        "  help: shorten the delay, or put relay populations on the way",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_words_of_a_refusal(case: str) -> None:
    found, expected = CASES[case]
    assert found() == expected


def test_all_refusals_come_at_once() -> None:
    network = axons([30], 0, [bundle("far", 0, [[0]] * 30, 9)])
    said = refused(network, small({"neurons": 5, "fan_in": 8, "delay_steps": 5}))
    assert [line[:12] for line in said.splitlines() if line.startswith("error")] == [
        "error E0302:", "error E0302:", "error E0307:",
    ]  # fmt: skip


@pytest.mark.parametrize("limit", ["fan_out", "out_axons"])
def test_lines_from_the_host_have_no_limit_of_targets(limit: str) -> None:
    m = machine(limits={"neurons": 1, limit: 1})
    network = axons([5], 1, [bundle("b", 5, [[0, 1, 2, 3, 4]])])
    refuse(network, m)


def test_limits_that_are_just_met() -> None:
    m = small({"neurons": 6, "fan_in": 9, "in_axons": 9, "synapse_bits": 252, "delay_steps": 1})
    refuse(to_one(9), m)


def test_targets_in_common_where_a_neuron_reaches_one_core() -> None:
    rows = [[4, 5], [5, 6], [6, 7], []]
    network = axons([4, 4], 0, [bundle("b", 0, rows)])
    with pytest.raises(SpikecError) as caught:
        partition(network, small({"neurons": 3, "fan_out": 1}))
    assert str(caught.value) == (
        "error E0302: 4 neurons, neuron 0 of 'p1' among them, have to share a core, as a neuron of "
        "'test' reaches one core only (recalled: test) and these have sources in common; a core "
        "takes 3 neurons (recalled: test): 1 too many\n"
        "  help: make copies of their sources, with the same inputs, one for each core"
    )


def test_a_truenorth_neuron_with_targets_for_two_cores() -> None:
    with pytest.raises(SpikecError, match="neuron 0 of 'p0' reaches 2 cores at least") as caught:
        partition(fan(300), load_chip("truenorth"))
    assert "split it into copies" in str(caught.value)


@pytest.mark.parametrize("effort", [0, 1, 2])
def test_too_few_cores_once_all_limits_are_counted(effort: int) -> None:
    # Two in-axons a core: a core for each pair of sources. More effort is advised where there is.
    network = axons([12, 12], 0, [bundle("b", 0, [[12 + i] for i in range(12)])])
    with pytest.raises(SpikecError) as caught:
        partition(network, small({"neurons": 12, "in_axons": 2}), effort)
    more = ["compile with --effort 1, ", "compile with --effort 2, ", ""][effort]
    assert re.fullmatch(
        r"error E0302: within all limits of a core the network takes (\d+) cores in the best "
        r"partition found, 'test' has 4 at most: (\d+) too few\n"
        rf"  help: choose a larger target, {more}or remove neurons or synapses",
        str(caught.value),
    )


def test_cores_that_no_partition_brings_within_reach() -> None:
    # Each of eight reaches all four cores that they need, and two of them may reach seven.
    rows = [list(range(8))] * 8
    with pytest.raises(SpikecError) as caught:
        partition(axons([8], 0, [bundle("b", 0, rows)]), small({"neurons": 2, "out_axons": 7}), 2)
    assert "a core of 'test' has 7 (recalled: test): 1 too many" in str(caught.value) or (
        "the network takes" in str(caught.value)
    )
    assert "--effort" not in str(caught.value)


def test_caps_are_the_limits_and_a_crossbar_has_no_bits() -> None:
    m = small({"neurons": 3, "in_axons": 4, "out_axons": 5, "synapse_bits": 6, "fan_out": 7})
    assert caps_of(m) == (3, 4, 5, 6, 7, True)
    assert caps_of(small({}, mixed=False)) == (*[UNLIMITED] * 5, False)
    crossbar = replace(m, encoding=replace(m.encoding, crossbar=True))
    assert caps_of(crossbar).bits == UNLIMITED


def test_pairs_count_once_where_it_is_close() -> None:
    # Six synapses of three sources; twice to the same four neurons, in two bundles.
    rows = [[3, 3], [3], [3, 3]]
    m = small({"neurons": 2, "in_axons": 3, "out_axons": 2, "synapse_bits": 3 * 16 + 6 * 12})
    pairs = [bundle("a", 0, rows), bundle("b", 0, [[], [3]]), bundle("c", 0, [[4, 5, 6], [], []])]
    refuse(axons([3, 4], 0, [*pairs, bundle("d", 0, [[4, 5, 6]])]), m)
    with pytest.raises(SpikecError, match=r"neuron 0 of 'p0' takes 3 out-axons at least"):
        refuse(axons([3, 5], 0, [*pairs, bundle("d", 0, [[4, 5, 6, 7]])]), m)
    less = small({"neurons": 2, "in_axons": 2})
    with pytest.raises(SpikecError, match=r"neuron 0 of 'p1' has 3 sources"):
        refuse(axons([3, 4], 0, pairs), less)


def test_what_joining_populations_saves() -> None:
    # Four cores of five: three and three and ... share cores if they are one population.
    def said(*sizes: int, lines: int = 0) -> str:
        network = axons([*sizes], lines, [])
        network = replace(network, neurons=network.sources)
        return refused(network, on_cores({"neurons": 5, "sources": 5}))

    assert "or join populations of one model" in said(3, 3, 3, 3, 3)
    assert "join" in said(6, 6, 6, 2) and "join" not in said(6, 6, 6, 3)
    # Lines take a core that populations cannot have, nor are they joined.
    assert "join" not in said(3, 3, 3, 3, 4, lines=2)
    assert "the largest population is 'p0' with 3" in said(3, 1, 1, 1, 1, lines=4)


def on_cores(limits: dict[str, float]) -> Machine:
    return replace(small(limits, mixed=False), inputs_on_cores=True)


def test_lines_have_a_limit_of_their_own() -> None:
    network = axons([9], 15, [bundle("b", 9, [[0]] * 15)])
    placed = replace(network, neurons=24)
    m = on_cores({"neurons": 6, "sources": 10})
    assert caps_of(m).neurons == 30
    assert places(placed, m).tolist() == [5] * 9 + [3] * 15
    part = partition(placed, m)
    assert np.bincount(part[:9]).max() <= 6
    assert np.unique(part[9:]).size == 2
    with pytest.raises(
        SpikecError, match=r"take 5 cores of 7 lines \(recalled: test\), 'test' has"
    ):
        partition(placed, on_cores({"neurons": 6, "sources": 7}))


@pytest.mark.parametrize(("most", "cores"), [(1, 2), (3, 4), (4, 8), (7, 12), (768, 1536)])
def test_the_most_cores_are_those_of_a_machine_that_can_be(most: int, cores: int) -> None:
    m = replace(machine("mesh", (2, 1)), max_chips=quantity(most, "chips"))
    assert most_cores(m) == cores
    assert m.with_cores(cores) is not None
    assert m.with_cores(cores + 1) is None
