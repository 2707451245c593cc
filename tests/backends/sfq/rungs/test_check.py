"""All pulses of a run beside the machines: what is compared, and which differs first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from spikec.backends.sfq.cells.timing import timing
from spikec.backends.sfq.rungs import josim
from spikec.backends.sfq.rungs.check import Check, part_of
from spikec.backends.sfq.rungs.differences import How
from spikec.backends.sfq.rungs.events import Machines
from spikec.backends.sfq.rungs.execute import TAIL, drives
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.pulses import PulseCheck
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph

from ...programs import needs_ngspice
from ..networks import PS, TARGET, combinations, exclusive, given, latch, layered, quantised

OPTIONS = Quantise(input_max=1)


@pytest.fixture(scope="module")
def program() -> Program:
    return synthesise(quantised(exclusive()))


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    return compile_graph(exclusive(), *find_target(TARGET), OPTIONS).artifact()


def two_samples() -> Stimulus:
    dense = np.array([[[1, 1], [0, 1], [1, 0]], [[0, 0], [1, 1], [1, 0]]])
    return Stimulus({"in": Events.from_dense(dense)})


def checked(artifact: Artifact, rung: str, stimulus: Stimulus, *words: str) -> PulseCheck:
    found = run_rung(artifact, rung, stimulus, conditions=words, pulses=True).pulses
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("words", "exact"),
    [((), True), (("skew=5ps",), True), (("bias=1.1",), False), (("temperature=4.2",), False)],
)
def test_pulses_of_the_circuit_are_the_machines(
    artifact: Artifact, program: Program, words: tuple[str, ...], exact: bool
) -> None:
    found = checked(artifact, "circuit", two_samples(), *words)
    assert found.first is None and not found.failed and found.code is None
    assert (found.exact, found.bound is not None) == (exact, exact)
    assert (found.furthest is not None) == exact
    if found.furthest is not None and found.bound is not None:
        assert 0.1 * PS < found.furthest < found.bound / 4
    trace = Machines(program.netlist).run(drives(program, two_samples()))
    assert found.nets == len(trace.nets) and found.pulses == trace.time.size
    assert ("their times" in found.compared.partition(";")[0]) == exact


def test_only_who_asks_is_told(artifact: Artifact) -> None:
    assert run_rung(artifact, "circuit", two_samples()).pulses is None
    assert run_rung(artifact, "events", two_samples(), pulses=True).pulses is None


def test_samples_that_remember_begin_from_rest() -> None:
    """A latch is on at the end of each sample, and off at the beginning of the next."""
    artifact = compile_graph(latch(), *find_target(TARGET), OPTIONS).artifact()
    dense = np.array([[[1, 0], [0, 0]], [[0, 0], [1, 0]]])
    found = checked(artifact, "circuit", Stimulus({"in": Events.from_dense(dense)}))
    assert found.exact and found.first is None


def test_a_circuit_of_no_cells() -> None:
    """A neuron that never fires takes none."""
    graph = layered([([[1]], [1.5])])
    artifact = compile_graph(graph, *find_target(TARGET), OPTIONS).artifact()
    found = checked(artifact, "circuit", given([[1], [0]]))
    assert (found.nets, found.pulses, found.first) == (0, 0, None)


def test_chance_is_left_out() -> None:
    artifact = compile_graph(exclusive(), *find_target(TARGET), OPTIONS, {"release": ("w0=0.5",)})
    found = checked(artifact.artifact(), "circuit", two_samples())
    assert not found.exact and found.first is None and found.pulses > 0
    assert found.compared.endswith("not which of those pulses chance lets through 4 synapses")


@needs_ngspice
def test_pulses_of_ngspice_are_the_machines() -> None:
    graph = layered([([[1, 1]], [0.5])])
    artifact = compile_graph(graph, *find_target(TARGET), OPTIONS).artifact()
    found = checked(artifact, "ngspice", given([[0, 1]]))
    assert found.exact and found.first is None and found.pulses > 0


def test_a_pulse_that_is_lost_under_conditions(artifact: Artifact) -> None:
    """With a third of the biases missing nothing passes the first splitter."""
    found = checked(artifact, "circuit", two_samples(), "bias=0.3")
    assert not found.failed and found.code == "N1439"
    first = found.first
    assert first is not None and (first.sample, first.step, first.number) == (0, 0, 0)
    assert first.kind == "splitter" and first.part in ("in[0]", "in[1]")
    assert first.model is not None and first.circuit is None
    assert first.cell.startswith(first.part)


def test_a_machine_that_is_wrong_fails(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DFF that takes 20 ps longer, and the first pulse that it sends, with both times."""
    known = timing("dff")
    slow = replace(known, delay=known.delay + 20 * PS)
    monkeypatch.setattr(
        "spikec.backends.sfq.rungs.events.timing", lambda k: slow if k == "dff" else timing(k)
    )
    found = checked(artifact, "circuit", given([[0, 0], [1, 0]]))
    first = found.first
    assert found.failed and found.code == "E1438" and first is not None
    assert (first.sample, first.step, first.kind, first.part) == (0, 1, "dff", "p0[0]")
    assert first.model is not None and first.circuit is not None
    assert first.model - first.circuit == pytest.approx(20 * PS, abs=2 * PS)
    said = found.describe("circuit")
    assert "first pulse that differs: sample 0, step 1, net 'n" in said
    assert "the dff 'p0[0].dff' of p0[0] drives the net" in said
    assert f"model {first.model * 1e12:.2f} ps, circuit {first.circuit * 1e12:.2f} ps" in said
    assert found.as_dict()["first"]["cell"] == "p0[0].dff"


def piece(program: Program, stimulus: Stimulus) -> dict[str, npt.NDArray[np.float64]]:
    return Machines(program.netlist).run(drives(program, stimulus)).parts()


def test_where_the_first_difference_is(program: Program) -> None:
    """Pieces of 3 steps behind each other, samples of 4; the output's pulse of step 4 is lost."""
    (net,) = program.spikes["p1"]
    assert net is not None
    one = piece(program, given([[1, 0], [1, 1], [0, 1]]))
    assert one[net].size == 2
    check = Check(program, 4, How.TIMES)
    check.look(0, 0.0, np.inf, one)
    before = check.found
    assert before.first is None
    late = 20 * PS
    moved: Mapping[str, npt.NDArray[np.float64]] = {n: t + late for n, t in one.items()}
    check.look(3, late, np.inf, {**moved, net: moved[net][:1]})
    first = check.found.first
    assert first is not None
    # The third pulse of the net came in step 3, the fourth would have in step 5.
    assert (first.sample, first.step, first.net, first.number) == (1, 1, net, 3)
    low, high = program.windows[net]
    assert first.model is not None and low <= first.model <= high and first.circuit is None
    # The first stays the first.
    check.look(6, 0.0, np.inf, {**one, net: np.zeros(0)})
    assert check.found.first == first
    every = sum(times.size for times in one.values())
    assert check.found.pulses == 3 * every - 1 - one[net].size


def test_pulses_that_are_too_close_fail(program: Program) -> None:
    """Both of an input's: what the machines then say is nothing."""
    come = piece(program, given([[1, 0]]))
    again = come | {"in[0]": np.append(come["in[0]"], come["in[0]"] + 3 * PS)}
    check = Check(program, 1, How.TIMES)
    check.look(0, 0.0, np.inf, again)
    first = check.found.first
    assert check.found.failed and first is not None and first.model is None
    assert (first.net, first.number, first.part) == ("in[0]", 1, "in[0]")
    assert first.takes and first.kind == "splitter"
    assert first.cause.endswith("is 3.00 ps behind one at 'a'; it takes 10.10 ps")
    assert first.bound is None and "model" not in "".join(first.lines("circuit"))


def test_every_cell_is_part_of_something(program: Program) -> None:
    found = {part_of(program, i.name) for i in program.netlist.instances}
    assert found == {"in[0]", "in[1]", "p0[0]", "p0[1]", "p1[0]", "clock1", "clock2"}


def test_all_pulses_of_a_step_are_seen(program: Program) -> None:
    """The last comes on a net that is no neuron's; it is waited for."""
    check = Check(program, 1, How.TIMES)
    assert check.until >= program.latency
    last = max(times.max(initial=0.0) for times in piece(program, given([[1, 1]])).values())
    assert check.until >= last


def test_josim_is_counted_at_junctions(
    artifact: Artifact, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each net has a junction behind it, which may be some ps away."""
    circuit = program.netlist.circuit({})
    one = piece(program, given(combinations(2)))
    assert all(josim.junction_at(circuit, place) for place in one)
    off = dict(zip(one, 3 * PS * np.resize([1, -1], len(one)), strict=True))
    away = {place: times + off[place] for place, times in one.items()}
    monkeypatch.setattr(josim, "pulses", lambda *_: away)
    found = checked(artifact, "josim", given(combinations(2)))
    assert found.first is None and not found.exact and "behind the nets" in found.compared
    (net,) = program.spikes["p1"]
    assert net is not None
    away = away | {net: away[net][1:]}
    found = checked(artifact, "josim", given(combinations(2)))
    assert found.first is not None and found.first.net == net and found.first.part == "p1[0]"


@pytest.mark.parametrize(
    ("graph", "row"),
    [
        (layered([([[1]], [0.5])]), [1]),
        (layered([([[1, 1]], [1.5])]), [1, 1]),
        (layered([([[1, 1]], [0.5]), ([[1]], [0.5])]), [1, 1]),
        (exclusive(), [1, 0]),
    ],
)
@pytest.mark.parametrize("how", How)
def test_the_last_pulse_of_a_piece_is_missed(graph: Graph, row: list[int], how: How) -> None:
    """A piece is simulated so long that its last pulse is known to be lost, and not late."""
    program = synthesise(quantised(graph))
    (net,) = program.spikes[graph.outputs[0].source]
    assert net is not None
    one = piece(program, given([row]))
    assert one[net].size == 1
    check = Check(program, 1, how)
    check.look(0, 0.0, check.until + TAIL, one | {net: np.zeros(0)})
    first = check.found.first
    assert first is not None and (first.net, first.circuit) == (net, None)


def test_an_output_that_a_circuit_loses_is_named() -> None:
    """With 65 % of all biases the last cell sends nothing: each step is a piece of its own."""
    graph = layered([([[1, 1]], [0.5])])
    artifact = compile_graph(graph, *find_target(TARGET), OPTIONS).artifact()
    found = checked(artifact, "circuit", given(combinations(2)), "bias=0.65")
    assert found.first is not None and found.first.circuit is None


@pytest.mark.parametrize("how", How)
def test_what_sources_send_is_known(program: Program, how: How) -> None:
    """A clock that is lost on its way into the circuit, and an input that fires by itself."""
    sent = drives(program, given([[1, 0], [1, 0]]))
    for name, came in (("clock2", sent["clock2"][1:]), ("in[1]", sent["in[0]"][1:])):
        seen = Machines(program.netlist).run(sent | {name: came}).parts()
        check = Check(program, 2, how)
        check.look(0, 0.0, np.inf, seen, sent)
        first = check.found.first
        assert first is not None and (first.net, first.takes) == (name, True)
        assert (first.circuit is None) == (name == "clock2") == (first.step == 0)
        # Who is not told what was sent takes it as it came.
        trusting = Check(program, 2, how)
        trusting.look(0, 0.0, np.inf, seen)
        assert trusting.found.first is None


def test_the_first_is_first_whatever_it_is(program: Program) -> None:
    """A pulse lost in step 0 is named, though two pulses are too close in step 2."""
    (net,) = program.spikes["p1"]
    assert net is not None
    one = piece(program, given([[1, 0], [1, 1], [1, 0]]))
    twice = np.append(one["in[0]"], one["in[0]"][-1] + 3 * PS)
    check = Check(program, 3, How.TIMES)
    check.look(0, 0.0, np.inf, one | {net: one[net][1:], "in[0]": twice})
    first = check.found.first
    assert first is not None and (first.step, first.net) == (0, net)


@pytest.fixture(scope="module")
def released() -> Program:
    return synthesise(quantised(exclusive()), release={"w0": 0.5})


def test_a_synapse_sends_what_came_or_nothing(released: Program) -> None:
    stimulus = given([[1, 0], [1, 1], [0, 1]])
    sent = drives(released, stimulus)
    for seed in range(3):
        one = Machines(released.netlist).run(sent, seed).parts()
        check = Check(released, 3, How.CELLS)
        check.look(0, 0.0, np.inf, one, sent)
        assert check.found.first is None
    synapse = next(i for i in released.netlist.instances if i.kind == "synapse")
    net, ahead = synapse.nets["q"], one[synapse.nets["a"]]
    delay = float(timing("synapse").delay[0, 0, 0])
    # By itself, and twice for one pulse.
    for extra in ([ahead[0] - 60 * PS], [ahead[0] + delay, ahead[0] + delay + 4 * PS]):
        check = Check(released, 3, How.CELLS)
        check.look(0, 0.0, np.inf, one | {net: np.array(extra)}, sent)
        first = check.found.first
        assert first is not None and (first.net, first.cell) == (net, synapse.name)
        assert first.model is None and first.number == len(extra) - 1


def test_counts_leave_out_what_is_behind_synapses(released: Program) -> None:
    """Other noise lets other pulses through; trees of inputs and clocks are counted."""
    stimulus = given([[1, 0], [1, 1], [0, 1]])
    sent = drives(released, stimulus)
    for seed in range(3):
        one = Machines(released.netlist).run(sent, seed).parts()
        check = Check(released, 3, How.COUNTS)
        check.look(0, 0.0, np.inf, one, sent)
        assert check.found.first is None and check.found.compared.endswith("behind 4 synapses")
    clocked = next(i for i in released.netlist.instances if i.name.startswith("clock2"))
    net = clocked.nets[clocked.cell.outputs[0]]
    check = Check(released, 3, How.COUNTS)
    check.look(0, 0.0, np.inf, one | {net: one[net][1:]}, sent)
    assert check.found.first is not None and check.found.first.net == net


@pytest.mark.parametrize("how", [How.TIMES, How.CELLS])
@pytest.mark.parametrize(("name", "off"), [("clock2", -60 * PS), ("in[0]", 40 * PS)])
def test_what_comes_in_comes_in_time(program: Program, how: How, name: str, off: float) -> None:
    """As many pulses as were sent, one of them at another time."""
    sent = drives(program, given([[1, 0], [1, 0], [1, 0]]))
    moved = sent[name] + off * (np.arange(3) == 1)
    seen = Machines(program.netlist).run(sent | {name: moved}).parts()
    check = Check(program, 3, how)
    check.look(0, 0.0, np.inf, seen, sent)
    first = check.found.first
    assert first is not None and (first.net, first.step, first.takes) == (name, 1, True)


def test_synapses_without_noise_are_looked_at_cell_by_cell() -> None:
    artifact = compile_graph(exclusive(), *find_target(TARGET), OPTIONS, {"release": ("w0=0.5",)})
    found = checked(artifact.artifact(), "circuit", two_samples(), "temperature=0")
    assert not found.exact and found.bound is None and found.pulses > 0


def test_no_step_is_named_that_a_piece_has_not(program: Program) -> None:
    """A pulse at the very end of a piece of one step, and of a sample of one."""
    (net,) = program.spikes["p1"]
    assert net is not None
    one = piece(program, given([[1, 1]]))
    check = Check(program, 1, How.TIMES)
    end = check.until + TAIL
    check.look(4, 0.0, end, one | {net: np.array([end - 2 * PS])}, None, 1)
    first = check.found.first
    assert first is not None and (first.sample, first.step, first.net) == (4, 0, net)
    assert first.circuit == pytest.approx(end - 2 * PS, abs=0)


def test_the_clock_that_begins_a_step_is_seen() -> None:
    """It comes at time 0; of a long sample of a network that remembers, too."""
    graph = layered([([[1, 0]], [0.5])])
    (first,) = graph.projections
    graph = graph.with_(projections=(replace(first, delay=1),))
    artifact = compile_graph(graph, *find_target(TARGET), OPTIONS).artifact()
    found = checked(artifact, "circuit", given(np.tile([[1, 0], [0, 1]], (6, 1))))
    assert found.exact and found.first is None
