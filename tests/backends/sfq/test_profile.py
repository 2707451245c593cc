"""What a stimulus takes of cells: by hand, and what must hold of every circuit."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from spikec.backends.sfq.cells import cell
from spikec.backends.sfq.cells.netlist import Instance, Netlist
from spikec.backends.sfq.cells.timing import at_input, known, timing
from spikec.backends.sfq.profile import layer_of, profile_program, program_area
from spikec.backends.sfq.synthesis.synthesise import GUARD, Program, synthesise
from spikec.boards.board import Target
from spikec.boards.process import Process, load_process
from spikec.boards.quantity import Quantity
from spikec.compiler.compile import pipeline
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.profile.sfq import COMPONENTS, CriticalPath, SfqProfile, sfq_facts
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph

from .networks import exclusive, layered

PROCESS = load_process("mitll-sfq5ee")
PS, MA = 1e-12, 1e-3
# What a line and the read of a stored pulse take.
LINE = float(timing("jtl").delay[0, 0, 0])
READ = float(timing("dff").delay[1, 1, 0])


def two_cells(period: float = 100 * PS) -> Program:
    """A line of one JTL into a dff, which a clock reads 40 ps after the beginning of a step."""
    cells = (
        Instance("post[0].d.0", "jtl", {"a": "in[0]", "q": "n1"}),
        Instance("post[0].dff", "dff", {"a": "n1", "clk": "clock1", "q": "n2"}),
    )
    return Program(
        netlist=Netlist(cells),
        inputs={"in": ("in[0]",)},
        always={"post": (False,)},
        clocks={"clock1": 40 * PS},
        spikes={"post": ("n2",)},
        windows={"n2": (45 * PS, 49 * PS)},
        period=period,
        start=5 * PS,
        skew=5 * PS,
        slot=1,
    )


def stimulus(*samples: list[list[int]]) -> Stimulus:
    return Stimulus({"in": Events.from_dense(np.array(samples))})


def by_hand() -> SfqProfile:
    return profile_program(two_cells(), PROCESS, ("post",), stimulus([[1], [0], [1]]))


def made(graph: Graph) -> Program:
    target = Target.sfq(PROCESS)
    passes = pipeline(Quantise(input_max=1), target, graph=graph)
    return synthesise(run_pipeline(passes, graph, target, Diagnostics()))


@pytest.fixture(scope="module")
def program() -> Program:
    """The XOR of two inputs: a hidden layer of two, one of which keeps the output from firing."""
    return made(exclusive("layers."))


def xor(program: Program, seed: int = 0, cooling: Quantity | None = None) -> SfqProfile:
    x = np.random.default_rng(seed).integers(0, 2, (3, 12, 2))
    given = Stimulus({"in": Events.from_dense(x)})
    return profile_program(program, PROCESS, ("layers.1",), given, cooling)


# -- by hand ---------------------------------------------------------------------------------------


def test_the_ledger_of_two_cells_by_hand() -> None:
    found = by_hand()
    lines = {line.words: line for line in found.ledger}
    pulses = {
        "pulses at a of jtl": (2, known()["jtl"]["energy"][0][0]),
        "pulses at a of dff in state 0": (2, known()["dff"]["energy"][0][0]),
        "pulses at clk of dff in state 0": (1, known()["dff"]["energy"][0][1]),
        "pulses at clk of dff in state 1": (2, known()["dff"]["energy"][1][1]),
    }
    for words, expected in pulses.items():
        each = lines[words].amount, lines[words].constant.value
        assert each == pytest.approx(expected, rel=1e-12, abs=0)
    switching = sum(n * e for n, e in pulses.values())
    assert found.switched == pytest.approx(switching, rel=1e-12, abs=0)
    # Three steps of 100 ps at 2.6 mV.
    bias = {"bias of jtl": 0.35 * MA, "bias of dff": cell("dff").bias}
    for words, ampere in bias.items():
        joules = ampere * 2.6e-3 * 300 * PS
        assert lines[words].joules == pytest.approx(joules, rel=1e-9, abs=0)
    cold = sum(bias.values()) * 2.6e-3 * 300 * PS
    assert found.uncooled == pytest.approx(cold, rel=1e-9, abs=0)
    assert lines["cooling"].joules == pytest.approx(395 * cold, rel=1e-9, abs=0)
    assert found.energy == pytest.approx(396 * cold, rel=1e-9, abs=0)
    assert set(lines) == {*pulses, *bias, "of the bias, what pulses take", "cooling"}


def test_the_times_of_two_cells_by_hand() -> None:
    found = by_hand()
    # The clock, then the dff's delay; a step without a pulse has no spike.
    answer = (40 - 5) * PS + READ
    assert found.response[0, [0, 2]] == pytest.approx(answer, rel=1e-9, abs=0)
    assert np.isnan(found.response[0, 1])
    assert found.answers == pytest.approx((answer,) * 3, rel=1e-9, abs=0)
    [share] = found.shares
    parts = (LINE, READ, (40 - 5) * PS - LINE)
    assert (share.delays, share.cells, share.waiting) == pytest.approx(parts, rel=1e-9, abs=0)
    assert share.layer == "post"
    assert found.pulses[0, 0].tolist() == [3, 1, 3]
    assert found.seconds == pytest.approx(np.full((1, 3), 100 * PS), rel=1e-12, abs=0)


def test_what_sets_the_clock_and_the_period_by_hand() -> None:
    clock, period = by_hand().paths
    # 5 ps of start and 5 of skew, the JTL at its slowest, then its time to the clock. The schedule
    # adds what a source makes of the JTL, and its jitter, at most what was measured.
    ahead, back = timing("dff").apart[0, 1], timing("dff").apart[1, 0]
    jitter = clock.seconds - 10 * PS - 1.15 * LINE - 1.15 * float(ahead)
    assert 0 < jitter - at_input("jtl") <= timing("jtl").jitter * (1 + 1e-9)
    assert (clock.corner, clock.bound) == (1.15, "dff post[0].dff: clk behind a")
    assert clock.words == "in[0] > jtl post[0].d.0" and clock.words_behind == "clock1"
    # The next pulse has to be behind this clock, soonest at the fastest corner.
    least = 40 * PS - 0.85 * LINE + 0.85 * float(back) + jitter
    assert period.seconds == pytest.approx(least, rel=1e-9, abs=0)
    assert (period.name, period.corner) == ("period", 0.85)
    assert period.bound == "dff post[0].dff: a behind clk"


def test_cells_junctions_and_area_by_hand() -> None:
    found = by_hand().cells
    kinds = {kind.name: (kind.number, kind.junctions) for kind in found.kinds}
    assert kinds == {"dff": (1, 7), "jtl": (1, 2)}
    assert [kind.bias for kind in found.kinds] == pytest.approx(
        [cell("dff").bias, 0.35 * MA], rel=1e-9, abs=0
    )
    assert (found.number, found.junctions) == (2, 9)
    assert found.bias == pytest.approx(cell("dff").bias + 0.35 * MA, rel=1e-9, abs=0)
    assert found.rate == pytest.approx(10e9)
    assert (
        found.area.value == pytest.approx(9 * 480e-12, rel=1e-6, abs=0)
        and found.area.obtained == "fitted"
    )
    assert found.area == program_area(two_cells(), PROCESS)
    assert found.latency == 49 * PS and found.clocks == (("clock1", 40 * PS),)


def test_layers_are_read_off_names() -> None:
    nets = {"a": "x", "q": "y"}
    names = {
        "clock1.s.0": "clock1",
        "in[3].s.0": "in",
        "layers.0[12].in.d0.1": "layers.0",
        "a[b][0].dff": "a[b]",
    }
    for name, layer in names.items():
        assert layer_of(Instance(name, "jtl", nets)) == layer


# -- what holds of every circuit -------------------------------------------------------------------


def test_sums_add_up(program: Program) -> None:
    found = xor(program)
    for parts in (found.by_component, found.by_layer):
        assert sum(parts.values()) == pytest.approx(found.energy, rel=1e-12, abs=0)
    assert set(found.by_component) == set(COMPONENTS.values())
    assert found.by_component["cooling"] == pytest.approx(395 * found.uncooled, rel=1e-12, abs=0)
    # What the biases give is all there is in the cold, whatever the pulses are.
    seconds = 12 * program.period
    cold = program.netlist.bias * PROCESS.bias_voltage.value * seconds
    assert found.uncooled == pytest.approx(cold, rel=1e-9, abs=0)
    assert 0 < found.switched < 0.01 * found.uncooled
    assert found.switching.sum() / 3 == pytest.approx(found.switched, rel=1e-9, abs=0)
    amounts = sum(line.amount for line in found.ledger if line.count == "pulses")
    assert amounts == found.pulses.sum()
    layers = sfq_facts(found)["layers"]
    assert sum(row["cells"] for row in layers) == len(program.netlist.instances)
    assert sum(row["junctions"] for row in layers) == program.netlist.junctions
    assert sum(row["bias"] for row in layers) == pytest.approx(program.netlist.bias)


def test_a_step_has_its_own_pulses_though_steps_overlap(program: Program) -> None:
    """Each takes what its inputs make it take, whatever was before, and is not cut by the next."""
    assert program.latency > program.period
    x = np.random.default_rng(0).integers(0, 2, (3, 12, 2))
    found = xor(program)
    which = x @ [1, 2]
    for case in range(4):
        mine = found.switching[:, which == case]
        assert mine.shape[1] > 1
        assert mine == pytest.approx(np.repeat(mine[:, :1], mine.shape[1], axis=1), rel=1e-9, abs=0)
        assert len(set(found.pulses[:, which == case].sum(axis=0).tolist())) == 1
    # One of the inputs alone is what fires it.
    assert (np.isfinite(found.response) == ((which == 1) | (which == 2))).all()


def test_shares_are_the_response_and_paths_the_clocks(program: Program) -> None:
    found = xor(program)
    assert found.answers is not None
    whole = sum(share.seconds for share in found.shares)
    assert whole == pytest.approx(found.answers[2], rel=1e-9, abs=0)
    assert [share.layer for share in found.shares] == ["in", "layers.0", "layers.1"]
    times = dict(program.clocks) | {"period": program.period}
    assert [path.name for path in found.paths] == list(times)
    for path in found.paths:
        assert path.seconds == pytest.approx(times[path.name] - GUARD, rel=1e-9, abs=0)
        _connected(path, program)


@pytest.mark.parametrize("seed", [1, 5, 15])
def test_all_that_holds_of_random_circuits(seed: int) -> None:
    """With cells that fire where nothing comes; steps that are the same take the same."""
    r = np.random.default_rng(seed)
    sizes = [int(r.integers(2, 4)) for _ in range(int(r.integers(2, 4)))]
    layers = list[tuple[Any, list[float]]]()
    for before, size in pairwise(sizes):
        levels = (r.integers(0, 3, size) + 0.5).tolist()
        layers.append((r.integers(-2, 3, (size, before)), levels))
    program = made(layered(layers, name="layers."))
    assert program.netlist.counts["not"] > 0
    x = r.integers(0, 2, (2, 40, sizes[0]))
    given = Stimulus({"in": Events.from_dense(x)})
    last = tuple(program.spikes)[-1:]
    found = profile_program(program, PROCESS, last, given)
    which = x @ (1 << np.arange(sizes[0]))
    for case in np.unique(which):
        assert np.ptp(found.pulses[:, which == case], axis=1).max() == 0
        spread = np.ptp(found.switching[:, which == case], axis=1)
        assert spread == pytest.approx(0, abs=1e-27)
    assert found.answers is not None and all(share.waiting >= 0 for share in found.shares)
    whole = sum(share.seconds for share in found.shares)
    assert whole == pytest.approx(found.answers[2], rel=1e-9, abs=0)
    times = dict(program.clocks) | {"period": program.period}
    for path in found.paths:
        assert path.seconds == pytest.approx(times[path.name] - GUARD, rel=1e-9, abs=0)
        _connected(path, program)


@pytest.fixture(scope="module")
def order() -> Program:
    """Fires where a pulse of the first line was a step before one of the second."""
    graph = layered([([[1, 1]], [1.5])], name="layers.")
    (both,) = graph.projections
    first, second = (
        replace(both, name=name, connection=Dense(np.array([weight])))
        for name, weight in (("a", [1.0, 0.0]), ("b", [0.0, 1.0]))
    )
    return made(graph.with_(projections=(replace(first, delay=1), second)))


def test_what_holds_where_spikes_are_delayed(order: Program) -> None:
    """A step begins with the clock that sends them, and inputs are behind that."""
    x = np.array([[[1, 0], [0, 1], [0, 0], [1, 0]], [[0, 1], [1, 0], [1, 1], [0, 1]]])
    given = Stimulus({"in": Events.from_dense(x)})
    found = profile_program(order, PROCESS, ("layers.0",), given)
    # Nothing of the sample before is left, whose last step had a pulse of the first line.
    assert np.isfinite(found.response).tolist() == [
        [False, True, False, False],
        [False, False, True, True],
    ]
    assert found.answers is not None and all(share.waiting >= 0 for share in found.shares)
    whole = sum(share.seconds for share in found.shares)
    assert whole == pytest.approx(found.answers[2], rel=1e-9, abs=0)
    times = {"inputs": order.start, **order.clocks, "period": order.period}
    assert times.pop("launch") == order.first == 0
    assert [path.name for path in found.paths] == list(times)
    for path in found.paths:
        assert path.seconds == pytest.approx(times[path.name] - GUARD, rel=1e-9, abs=0)
        _connected(path, order)
    # Two cells are read in each step of each sample, and none between samples.
    assert found.seconds == pytest.approx(np.full((2, 4), order.period), rel=1e-12, abs=0)
    cells = [line for line in found.ledger if line.words.startswith("pulses at clk of dff")]
    reads = sum(line.amount for line in cells)
    assert reads == 2 * x.shape[0] * x.shape[1]


def _connected(path: CriticalPath, program: Program) -> None:
    """Whether both ways lead, cell after cell, from a net that is driven to the cell named."""
    cells = {i.name: i for i in program.netlist.instances}
    for start, way, port in (
        (path.start, path.way, path.first),
        (path.behind, path.way_behind, path.second),
    ):
        assert start in program.netlist.inputs
        nets = {start}
        for hop in way:
            taken = {cells[hop.name].nets[p] for p in cells[hop.name].cell.inputs}
            assert nets & taken and cells[hop.name].kind == hop.kind
            nets = {cells[hop.name].nets[p] for p in cells[hop.name].cell.outputs}
        assert cells[path.instance].nets[port] in nets


def test_silence_takes_clocks_and_biases(program: Program) -> None:
    given = Stimulus({"in": Events.from_dense(np.zeros((1, 5, 2), np.int64))})
    found = profile_program(program, PROCESS, ("layers.1",), given)
    # Every cell of the clocks' trees passes a pulse a step, and nothing comes by an input.
    for k, name in enumerate(found.layers):
        if name in program.clocks:
            assert (found.pulses[k] == sum(found.layer_cells[k].values())).all()
    assert not found.pulses[found.layers.index("in")].any()
    assert found.answers is None and np.isnan(found.response).all()
    assert found.uncooled / 5 == pytest.approx(xor(program).uncooled / 12, rel=1e-9, abs=0)
    assert found.shares == xor(program).shares


def test_another_factor_of_cooling_changes_nothing_in_the_cold(program: Program) -> None:
    small = Quantity(4000.0, "W/W", "a small cryocooler", "stated")
    one, other = xor(program), xor(program, cooling=small)
    assert other.uncooled == one.uncooled and other.switched == one.switched
    assert other.energy == pytest.approx(4001 * one.uncooled, rel=1e-9, abs=0)
    [source] = {line.constant.source for line in other.ledger if line.count == "cooling"}
    assert source == "a small cryocooler"


def test_pulses_that_are_too_close_are_refused() -> None:
    with pytest.raises(SpikecError) as caught:
        profile_program(two_cells(30 * PS), PROCESS, ("post",), stimulus([[1], [1]]))
    assert [d.code for d in caught.value.diagnostics] == ["E1435"]


# -- sources ---------------------------------------------------------------------------------------


def unsourced(found: SfqProfile) -> list[str]:
    """Constants of a profile that say no source, those of derived ones among them."""
    every = [each for line in found.ledger for each in line.constants] + list(found.timing)
    return sorted({name for name, constant in every if not constant.source.strip()})


def test_every_constant_has_a_source(program: Program) -> None:
    found = xor(program)
    assert unsourced(found) == []
    for line in found.ledger:
        product = line.times * line.amount * line.constant.value * (line.seconds or 1.0)
        assert line.joules == pytest.approx(product, rel=1e-12, abs=0) and line.symbols
        if line.count == "pulses":
            assert "spikec.backends.sfq.library.characterise" in line.constant.source
            assert line.constant.obtained == "simulated"
        assert all(part.source in line.constant.source for _, part in line.parts)
    assert found.assumed and found.unknown
    assert found.cells.area.source.count("RSFQlib") == 2


@pytest.mark.parametrize("name", ["bias_voltage", "cooling"])
def test_one_without_a_source_is_found(name: str) -> None:
    bare: Process = replace(PROCESS, **{name: replace(getattr(PROCESS, name), source="")})
    found = profile_program(two_cells(), bare, ("post",), stimulus([[1]]))
    assert unsourced(found) == [name]
