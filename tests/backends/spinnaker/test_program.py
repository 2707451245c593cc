"""The text of a program, its bytes, and the graph that it builds."""

from __future__ import annotations

import ast
import io
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.artifact import load_artifact
from spikec.compiler.backend import find_target, rungs_of
from spikec.compiler.compile import compile_graph
from spikec.compiler.ladder import quantised, run_rung
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import PointLIF, Receptor
from spikec.ir.plasticity import PairSTDP
from spikec.ir.semantics import Current, Decay, Gain, Reset, Semantics

pytest.importorskip("pyNN", reason="PyNN is not installed")

from .networks import CELLS, network, program

GOLDEN = Path(__file__).parent / "small_network.txt"


def small() -> tuple[Graph, Stimulus]:
    """Two sources onto three IF_curr_exp, one of which has a threshold of its own."""
    one = np.asarray
    neuron = PointLIF(
        tau_mem=one(0.02),
        capacity=one(1e-9),
        v_leak=one(-0.065),
        v_threshold=np.array([-0.05, -0.05, -0.055]),
        v_reset=one(-0.065),
        v_init=one(-0.065),
        receptors=(Receptor("excitatory", tau=one(0.005)), Receptor("inhibitory", tau=one(0.01))),
    )
    rules = Semantics(
        decay=Decay.EXPONENTIAL,
        gain=Gain.PROPAGATED,
        current=Current.OLD,
        reset=Reset.VALUE,
        refractory=19,
    )
    weight = np.array([[1e-9, 2e-9], [0.5e-9, 0.25e-9], [3e-9, 1e-10]])
    graph = Graph(
        "small",
        1e-4,
        (Input("in", (2,)),),
        (Population("cells", (3,), neuron, rules),),
        (Projection("forward", "in", "cells", Dense(weight), 10, receptor="excitatory"),),
        (Output("out", "cells"),),
    )
    events = Events.from_events(1, 100, 2, [0, 0], [5, 20], [0, 1])
    return graph, Stimulus({"in": events})


def test_the_program_of_a_small_network() -> None:
    """To renew: write the script of ``program(*small(), "pynn-brian2")`` to the file."""
    artifact = program(*small(), "pynn-brian2")
    assert artifact.files["network.py"].decode() == GOLDEN.read_text(encoding="utf-8")
    with np.load(io.BytesIO(artifact.files["network.npz"]), allow_pickle=False) as file:
        assert set(file.files) == {"synapses/forward", "parameters/cells/v_thresh"}
        rows = file["synapses/forward"]
        np.testing.assert_array_equal(rows[:, 3], 10.0)  # steps
        np.testing.assert_array_equal(rows[:, 2], [1.0, 2.0, 0.5, 0.25, 3.0, 0.1])  # nA
        np.testing.assert_array_equal(file["parameters/cells/v_thresh"], [-50.0, -50.0, -55.0])


def test_a_program_needs_nothing_of_spikec() -> None:
    text = program(*small(), "pynn-brian2").files["network.py"].decode()
    found = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [a.name for a in node.names]
        )
    }
    assert found == {"argparse", "importlib", "sys", "pathlib", "numpy", "pyNN", "brian2"}
    assert max(map(len, text.splitlines())) <= 100


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    one, two = (program(*small(), "spynnaker") for _ in range(2))
    assert one.files == two.files
    assert one.digest == two.digest
    one.write(tmp_path / "built")
    again = load_artifact(tmp_path / "built")
    assert again.digest == one.digest
    names = {p.name for p in (tmp_path / "built").iterdir()}
    assert names == {
        "README.md", "manifest.json", "network.npz", "network.py", "network.spk", "stimulus.npz",
    }  # fmt: skip


@pytest.mark.parametrize("cell", CELLS)
def test_the_program_says_the_script_again(cell: str) -> None:
    """Built with spikec.pynn a program is the graph that it was written from."""
    import spikec.pynn as pynn

    graph, stimulus = network(*CELLS[cell])
    target = "pynn-nest" if cell == "EIF_cond_alpha_isfa_ista" else "pynn-brian2"
    artifact = program(graph, stimulus, target)
    space: dict[str, object] = {"__name__": "program", "__file__": "network.py"}
    exec(compile(artifact.files["network.py"], "network.py", "exec"), space)
    with np.load(io.BytesIO(artifact.files["network.npz"]), allow_pickle=False) as file:
        data = dict(file)
    with np.load(io.BytesIO(artifact.files["stimulus.npz"]), allow_pickle=False) as file:
        events = dict(file)
    pynn.setup(timestep=0.1)
    space["build"](pynn, "brian2", data, events, 0)  # type: ignore[operator]
    again, sent = pynn.capture(), pynn.stimulus(stimulus.steps * 0.1)
    pynn.end()
    assert sent == stimulus
    assert [p.neuron for p in again.populations] == [p.neuron for p in graph.populations]
    assert [p.semantics for p in again.populations] == [p.semantics for p in graph.populations]
    assert [(p.name, p.connection, p.delay, p.receptor) for p in again.projections] == [
        (p.name, p.connection, p.delay, p.receptor) for p in graph.projections
    ]


def test_spinnaker_s_step_is_said_and_weights_lose_its_factor() -> None:
    """A graph that steps as SpiNNaker does warns for Brian2, and has the script's weights."""
    graph, stimulus = network(*CELLS["IF_curr_exp"], dialect="spinnaker")
    plain, _ = network(*CELLS["IF_curr_exp"])
    rows = []
    for each in (graph, plain):
        artifact = program(each, stimulus, "spynnaker")
        with np.load(io.BytesIO(artifact.files["network.npz"])) as file:
            rows.append(file["synapses/forward"])
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-12)
    for dialect, target, warned in (
        (graph, "spynnaker", False),
        (graph, "pynn-brian2", True),
        (plain, "spynnaker", True),
        (plain, "pynn-brian2", False),
        (plain, "pynn-nest", True),
    ):
        manifest = program(dialect, stimulus, target).manifest
        codes = [d["code"] for d in manifest["diagnostics"]]
        assert ("W1111" in codes) is warned, (target, codes)


def test_a_program_has_no_integer_rung() -> None:
    graph, stimulus = small()
    artifact = program(graph, stimulus, "pynn-brian2")
    assert quantised(artifact) == graph
    assert rungs_of("spinnaker") == ("golden", "brian2", "nest", "spinnaker")
    with pytest.raises(SpikecError, match="E0306"):
        run_rung(artifact, "integer", stimulus)
    backend, target = find_target("pynn-brian2")
    with pytest.raises(SpikecError, match="E0304"):
        compile_graph(graph, backend, target, Quantise(), found=Diagnostics())


@pytest.mark.parametrize(
    ("cell", "target", "words"),
    [
        ("EIF_cond_exp_isfa_ista", "spynnaker", "sPyNNaker has IF_curr_exp"),
        ("EIF_cond_alpha_isfa_ista", "spynnaker", "sPyNNaker has IF_curr_exp"),
        ("IF_cond_alpha", "spynnaker", "sPyNNaker has IF_curr_exp"),
        ("EIF_cond_alpha_isfa_ista", "pynn-brian2", "pyNN.brian2 has IF_curr_exp"),
        ("Izhikevich", "spynnaker", "takes its spikes as currents that decay"),
    ],
)
def test_a_cell_that_a_simulator_lacks_is_refused(cell: str, target: str, words: str) -> None:
    graph, stimulus = network(*CELLS[cell])
    with pytest.raises(SpikecError) as caught:
        program(graph, stimulus, target)
    codes = {d.code for d in caught.value.diagnostics if words in d.message}
    assert codes == {"E1101"}, str(caught.value)


def test_parameters_of_which_brian2_takes_the_first_are_refused() -> None:
    import spikec.pynn as pynn

    uneven = np.linspace(0.05, 0.1, 20)
    graph, stimulus = network(lambda: pynn.EIF_cond_exp_isfa_ista(b=uneven), 0.01)
    with pytest.raises(SpikecError, match="differs in b from neuron to neuron"):
        program(graph, stimulus, "pynn-brian2")
    assert program(graph, stimulus, "pynn-nest").files


@pytest.mark.parametrize(
    ("cell", "target", "words"),
    [
        ("EIF", "pynn-brian2", "at -40.4 mV, v_thresh + 5 delta_T"),
        ("delta", "pynn-nest", "starts at -70 mV"),
    ],
)
def test_what_a_simulator_does_otherwise_is_a_warning(cell: str, target: str, words: str) -> None:
    import spikec.pynn as pynn

    made = {
        "EIF": lambda: pynn.EIF_cond_exp_isfa_ista(v_thresh=-50.4, delta_T=2.0, v_spike=-30.0),
        "delta": lambda: pynn.IF_curr_delta(),
    }
    artifact = program(*network(made[cell], 0.01), target)
    said = [d for d in artifact.manifest["diagnostics"] if words in d["message"]]
    assert [d["code"] for d in said] == ["W1111"]
    assert words in artifact.files["README.md"].decode()


@pytest.mark.parametrize(("dialect", "unit"), [("brian2", 1.0), ("spinnaker", 1e-9)])
def test_amplitudes_and_pairs_of_one_step_are_the_dialect_s(dialect: str, unit: float) -> None:
    """Additive amplitudes of SpiNNaker are weights; both come back as the script's."""
    import spikec.pynn as pynn

    pynn.setup(timestep=1.0, dialect=dialect)
    source = pynn.Population(2, pynn.SpikeSourceArray(spike_times=[[1.0], [2.0]]), label="in")
    cells = pynn.Population(2, pynn.IF_curr_exp(), label="p")
    side = 0.0 if dialect == "brian2" else 1.0
    rule = pynn.STDPMechanism(
        timing_dependence=pynn.SpikePairRule(A_plus=0.02, A_minus=0.03),
        weight_dependence=pynn.AdditiveWeightDependence(w_min=0.0, w_max=0.5),
        weight=0.25,
        dendritic_delay_fraction=side,
    )
    pynn.Projection(source, cells, pynn.AllToAllConnector(), rule)
    graph, stimulus = pynn.capture(), pynn.stimulus(10.0)
    pynn.end()
    (projection,) = graph.projections
    assert projection.plasticity is not None
    found = projection.plasticity.rule
    assert isinstance(found, PairSTDP)
    assert found.a_plus == pytest.approx(0.02 * unit, rel=1e-9, abs=0)
    assert str(found.coincidence) == ("potentiate" if dialect == "brian2" else "depress")
    target = "pynn-brian2" if dialect == "brian2" else "spynnaker"
    text = program(graph, stimulus, target).files["network.py"].decode()
    # Shares of w_max: SpiNNaker's dialect gave weights.
    share = 0.02 if dialect == "brian2" else 0.04
    assert f"a_plus={share}," in text
