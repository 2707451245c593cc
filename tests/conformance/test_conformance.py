"""What every backend keeps to, whoever wrote it: found by entry point, nothing here names one.

A target compiles a tiny network of every neuron model and every connection, or refuses it with a
code; what it compiles gives the spikes of the target without limits; and compilations that
interleave do not touch each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest

from spikec.boards.board import Target
from spikec.compiler.artifact import Artifact, load_artifact
from spikec.compiler.backend import Backend, backends, find_target, rungs_of
from spikec.compiler.compare import compare
from spikec.compiler.compile import Compilation, compile_graph, pipeline
from spikec.compiler.integer.executor import Executor
from spikec.compiler.ladder import quantised, run_rung
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.passes.retime import Retime
from spikec.compiler.program import compile_program
from spikec.ir.codes import CODES
from spikec.ir.connections import (
    CONNECTIONS,
    AvgPool2d,
    Chain,
    Connection,
    Conv1d,
    Conv2d,
    Delay,
    Dense,
    Flatten,
    OneToOne,
    Scale,
    Sparse,
    SumPool2d,
)
from spikec.ir.diagnostics import Diagnostics, SpikecError
from spikec.ir.dialects import DIALECTS
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import (
    IF,
    LI,
    LIF,
    MODELS,
    AdEx,
    CubaLI,
    CubaLIF,
    Emission,
    IntegerNeuron,
    Integrator,
    Izhikevich,
    LinearLIF,
    LoihiNeuron,
    Neuron,
    PointLIF,
    Receptor,
    Relay,
    SpinnakerLIF,
    Threshold,
)
from spikec.ir.numerics import Rounding
from spikec.ir.semantics import Decay, Gain, Reset, Semantics
from spikec.ir.text import text

BACKENDS = backends()
# Programs keep real numbers, and refuse more: tests/backends/spinnaker has theirs. Loihi has one
# neuron, and no choice of formats: tests/compiler/passes/test_loihi.py.
APART = ("program", "loihi")
TARGETS = [(b.name, t.name) for b in BACKENDS.values() for t in b.targets() if t.kind not in APART]
PROGRAMS = [t.name for b in BACKENDS.values() for t in b.targets() if t.kind == "program"]
ONE_EACH = list({backend: name for backend, name in reversed(TARGETS)}.values())
OPTIONS = Quantise(state_bits=16, input_max=1)
RULES = Semantics(reset=Reset.SUBTRACT)
RNG_SEED = 4


def real(value: float) -> np.ndarray:
    return np.asarray(value, np.float64)


NEURONS: dict[str, Neuron] = {
    "IF": IF(real(1.0), real(1.0)),
    "LIF": LIF(real(0.01), real(10.0), real(0.0), real(1.0)),
    "CubaLIF": CubaLIF(real(0.004), real(0.01), real(10.0), real(0.0), real(4.0), real(1.0)),
    "LinearLIF": LinearLIF(real(50.0), real(1000.0), real(0.0), real(1.0)),
    "Izhikevich": Izhikevich(
        a=real(0.1), b=real(0.2), c=real(-65.0), d=real(2.0), r=real(60.0), substeps=2
    ),
    "Integrator": Integrator(real(0.5)),
    "LI": LI(real(0.01), real(5.0), real(0.0)),
    "CubaLI": CubaLI(real(0.004), real(0.01), real(5.0), real(0.0), real(2.0)),
    "Threshold": Threshold(real(0.6)),
    "Relay": Relay(),
    "PointLIF": PointLIF(
        *(real(0.01), real(1e-3), real(0.0), real(1.0), real(0.0)),
        receptors=(Receptor("up", tau=real(0.004)),),
    ),
}
# Integers are what a network becomes; the upswing of an AdEx is for the golden rung alone.
ELSEWHERE = {IntegerNeuron, SpinnakerLIF, AdEx, *(m for m in MODELS if issubclass(m, LoihiNeuron))}
POINTS = Semantics(decay=Decay.EXPONENTIAL, gain=Gain.PROPAGATED, reset=Reset.VALUE)


def joined() -> dict[str, Connection]:
    rng = np.random.default_rng(RNG_SEED)
    eighths = rng.integers(-4, 9, 512) / 8

    def some(*shape: int) -> np.ndarray:
        return rng.choice(eighths, shape)

    image = (2, 4, 4)
    return {
        "Dense": Dense(some(5, 6)),
        "Sparse": Sparse(6, 5, np.array([0, 2, 2, 3, 5, 6, 8]), np.arange(8) % 5, some(8)),
        "Conv1d": Conv1d(some(2, 3, 2), (3, 6), 2, (1, 0)),
        "Conv2d": Conv2d(some(2, 1, 3, 3), image, (1, 1), ((1, 1), (0, 1)), groups=2),
        "SumPool2d": SumPool2d(image, (2, 2), (2, 2)),
        "AvgPool2d": AvgPool2d(image, (2, 2), (2, 2)),
        "Flatten": Flatten(image),
        "Scale": Scale(some(6), (6,)),
        "OneToOne": OneToOne(some(6), (6,)),
        "Delay": Delay(np.array([0, 1, 2, 3, 2, 1]), (6,)),
        "Chain": Chain((Conv2d(some(2, 2, 2, 2), image), Flatten((2, 3, 3)), Dense(some(4, 18)))),
    }


def network(neuron: Neuron, connection: Connection, rules: Semantics = RULES) -> Graph:
    """The neuron behind the connection, and spiking neurons behind it where it spikes."""
    point = isinstance(neuron, PointLIF)
    middle = Population("middle", connection.out_shape, neuron, POINTS if point else rules)
    populations, outputs = [middle], [Output("result", "middle")]
    port = "up" if point else None
    projections = [Projection("joined", "in", "middle", connection, receptor=port)]
    if neuron.EMISSION is Emission.SPIKES:
        size = prod(connection.out_shape)
        populations.append(Population("last", (3,), NEURONS["IF"], RULES))
        weight = np.random.default_rng(1).integers(1, 6, (3, size)) / 8
        projections.append(Projection("after", "middle", "last", Dense(weight)))
        if len(connection.out_shape) > 1:
            flat = Chain((Flatten(connection.out_shape), Dense(weight)))
            projections[-1] = replace(projections[-1], connection=flat)
        outputs.append(Output("far", "last"))
    return Graph(
        "tiny",
        1e-3,
        (Input("in", connection.in_shape),),
        tuple(populations),
        tuple(projections),
        tuple(outputs),
    )


def stimulus(graph: Graph) -> Stimulus:
    rng = np.random.default_rng(9)
    dense = (rng.random((2, 20, graph.inputs[0].size)) < 0.5).astype(np.int64)
    return Stimulus({graph.inputs[0].name: Events.from_dense(dense)})


MODEL_NETWORKS = {name: network(n, joined()["Dense"]) for name, n in NEURONS.items()}
LINK_NETWORKS = {name: network(NEURONS["LIF"], c) for name, c in joined().items()}
NETWORKS = {**MODEL_NETWORKS, **LINK_NETWORKS}


def build(graph: Graph, backend: Backend, target: Target, options: Quantise = OPTIONS) -> Artifact:
    fitting = replace(options, weight_bits=min(options.weight_bits, widest(target)))
    return compile_graph(graph, backend, target, fitting, quick(target)).artifact()


def widest(target: Target) -> int:
    """The most bits that a weight may have, or should where each unit of one is a pulse."""
    if counts(target):
        return 2
    most = None if target.machine is None else target.machine.encoding.widest
    return 16 if most is None else int(most.value)


def quick(target: Target) -> dict[str, object]:
    """Options that leave out what takes long and is tested elsewhere."""
    found: dict[str, object] = {"bitstream": False}
    if target.machine is not None:
        found["effort"] = 0
    if target.kind == "crossbar":
        found["conditions"] = ("compensate=off", "decks=off")
    return found


def counts(target: Target) -> bool:
    """Whether neurons of a target only count pulses, of a step or until they fire."""
    return target.kind == "sfq"


def thresholds(graph: Graph) -> Graph:
    """The same populations and connections, of neurons without a memory."""
    neuron = NEURONS["Threshold"]
    return graph.with_(populations=tuple(replace(p, neuron=neuron) for p in graph.populations))


def suited(name: str, target: str) -> Graph:
    """A network of thresholds with few lines each where a target has no others."""
    if not counts(find_target(target)[1]):
        return NETWORKS[name]
    return thresholds(NETWORKS["Scale" if name == "Chain" else "OneToOne"])


def built_or_refused(graph: Graph, target: str, options: Quantise = OPTIONS) -> Artifact | None:
    """The artefact; None when the target refused with known codes, a place and a remedy."""
    try:
        return build(graph, *find_target(target), options)
    except SpikecError as error:
        assert error.exit_code in (2, 3)
        for found in error.diagnostics:
            assert found.code in CODES
            assert len(found.message) > 10
        return None


def test_the_lists_above_are_whole() -> None:
    assert set(NEURONS) == {m.__name__ for m in set(MODELS) - ELSEWHERE}
    assert set(joined()) == {c.__name__ for c in CONNECTIONS}
    assert {"null", "reference", "fpga", "chips"} <= set(BACKENDS)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_says_what_it_is(name: str) -> None:
    backend = BACKENDS[name]
    assert isinstance(backend, Backend)
    assert backend.name == name
    for target in backend.targets():
        assert target.title
        assert find_target(target.name) == (backend, target)
    for requirement in backend.requirements():
        assert requirement.name and requirement.purpose and requirement.mend
    programs = {target.kind == "program" for target in backend.targets()} == {True}
    assert ("integer" in rungs_of(name)) is not programs


@pytest.mark.parametrize("name", NETWORKS)
def test_the_null_target_accepts_everything_and_golden_runs_it(name: str) -> None:
    graph = NETWORKS[name]
    # A readout of 16 bits saturates here, as W0404 says: a warning, no refusal.
    artifact = built_or_refused(graph, "null", replace(OPTIONS, state_bits=24))
    assert artifact is not None
    given = stimulus(graph)
    golden = run_rung(artifact, "golden", given).recording
    integer = run_rung(artifact, "integer", given).recording
    compared = compare(golden, integer, graph=quantised(artifact), stimulus=given)
    total = sum(float(np.abs(e.value).sum()) for e in golden.spikes.values())
    assert total > 0
    for population in compared.populations:
        if population.graded:
            scale = float(np.abs(golden.spikes[population.population].value).max())
            assert population.max_abs_error is not None
            assert population.max_abs_error <= 0.03 * scale
        else:
            assert population.rate_error is not None
            assert population.rate_error <= 0.1


@pytest.mark.parametrize("target", [name for _, name in TARGETS])
@pytest.mark.parametrize("name", NETWORKS)
def test_lowering_keeps_the_spikes(name: str, target: str) -> None:
    """For any target: the spikes of the target without limits, lags taken out."""
    graph = NETWORKS[name]
    machines = (find_target(target)[1], Target.unlimited())
    ours, theirs = (
        Executor(run_pipeline(pipeline(OPTIONS), graph, m, Diagnostics())).run(stimulus(graph))
        for m in machines
    )
    assert ours.spikes == theirs.spikes


def delays_too_long(graph: Graph, target: Target) -> bool:
    """Whether an input, which has no relays, has a longer delay than the cores of a chip."""
    limit = None if target.machine is None else target.machine.core.delay_steps
    timed = run_pipeline([Legalise(), Retime()], graph, target, Diagnostics())
    longest = max(p.delay for p in timed.projections if p.pre in {i.name for i in timed.inputs})
    return limit is not None and longest > limit.value


@pytest.mark.parametrize("target", [name for _, name in TARGETS])
@pytest.mark.parametrize(
    "name",
    [n if n in ("CubaLI", "Delay") else pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS],
)
def test_a_target_compiles_every_model_and_connection(name: str, target: str) -> None:
    if delays_too_long(NETWORKS[name], find_target(target)[1]):
        with pytest.raises(SpikecError, match="E0307"):
            build(NETWORKS[name], *find_target(target))
        return
    if counts(find_target(target)[1]):
        with pytest.raises(SpikecError) as caught:
            build(NETWORKS[name], *find_target(target))
        known = {"E0301", "E0303", "E1432", "E1451"}
        assert {d.code for d in caught.value.diagnostics} <= known
        return
    artifact = built_or_refused(NETWORKS[name], target)
    assert artifact is not None
    if "cores" in rungs_of(str(artifact.manifest["backend"])):
        given = stimulus(NETWORKS[name])
        whole, parted = (run_rung(artifact, rung, given).recording for rung in ("integer", "cores"))
        assert sum(e.value.size for e in whole.spikes.values()) > 0
        assert whole.spikes == parted.spikes


@pytest.mark.parametrize("target", [t for _, t in TARGETS if counts(find_target(t)[1])])
@pytest.mark.parametrize(
    "name",
    [n if n in ("Dense", "Delay") else pytest.param(n, marks=pytest.mark.slow) for n in joined()],
)
def test_thresholds_behind_every_connection(name: str, target: str) -> None:
    """A target whose neurons count compiles them, and its first rung is the integers'."""
    graph = thresholds(LINK_NETWORKS[name])
    artifact = build(graph, *find_target(target))
    rung = find_target(target)[0].rungs[0]
    given = stimulus(graph)
    wanted, found = (run_rung(artifact, r, given).recording for r in ("integer", rung))
    assert sum(e.value.size for e in wanted.spikes.values()) > 0
    assert wanted.spikes == found.spikes


@pytest.mark.parametrize("target", PROGRAMS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_program_is_made_or_refused_with_every_reason(name: str, target: str) -> None:
    """None of these networks has a cell of PyNN: each is refused, and says where and why."""
    with pytest.raises(SpikecError) as caught:
        compile_program(NETWORKS[name], *find_target(target))
    assert {d.code for d in caught.value.diagnostics} <= {"E1101", "E1108"}
    assert all(d.hint and len(d.message) > 30 for d in caught.value.diagnostics)


@pytest.mark.parametrize("name", NETWORKS)
def test_loihi_makes_or_refuses_every_network(name: str) -> None:
    zero = {
        p.name: replace(p, semantics=replace(p.semantics, reset=Reset.ZERO))
        for p in NETWORKS[name].populations
        if not isinstance(p.neuron, PointLIF | Izhikevich)
    }
    populations = tuple(zero.get(p.name, p) for p in NETWORKS[name].populations)
    graph = NETWORKS[name].with_(populations=populations)
    given = stimulus(graph)
    lacks = {"LinearLIF", "Izhikevich", "Integrator", "LI", "CubaLI", "Relay"}
    if name in lacks:
        with pytest.raises(SpikecError) as caught:
            build(graph, *find_target("lava"), Quantise(weight_bits=8))
        assert {d.code for d in caught.value.diagnostics} == {"E0301"}
        return
    artifact = build(graph, *find_target("lava"), Quantise(weight_bits=8))
    golden, integer = (run_rung(artifact, r, given).recording for r in ("golden", "integer"))
    compared = compare(golden, integer, graph=quantised(artifact), stimulus=given)
    assert all(e.value.sum() > 0 for e in golden.spikes.values())
    assert all(p.rate_error is not None and p.rate_error <= 0.1 for p in compared.populations)


def with_rules(**changes: object) -> Graph:
    return network(NEURONS["LIF"], joined()["Dense"], replace(RULES, **changes))  # type: ignore[arg-type]


def graded_sender() -> Graph:
    graph = network(NEURONS["LIF"], joined()["Dense"])
    first, last = graph.populations
    return graph.with_(populations=(replace(first, neuron=NEURONS["LI"]), last))


def tight_loop() -> Graph:
    """Two hops in one step: legal for an integer rung, impossible where a hop takes a step."""
    graph = network(NEURONS["LIF"], joined()["Dense"])
    weight = np.full((5, 3), 0.125)
    back = Projection("back", "last", "middle", Dense(weight), delay=1, recurrent=True)
    return graph.with_(projections=(*graph.projections, back))


def large() -> Graph:
    weight = np.random.default_rng(2).normal(0, 0.1, (700, 900))
    return network(NEURONS["LIF"], Dense(weight))


def is_board(target: Target) -> bool:
    return target.kind == "fpga"


def holds_few(target: Target) -> bool:
    """900 synapses onto each of 700 neurons are too many for a board and for small cores."""
    core = None if target.machine is None else target.machine.core
    limits = () if core is None else (core.fan_in, core.in_axons)
    return is_board(target) or any(q is not None and q.value < 900 for q in limits)


# What some targets lack: the network, the options, the code of the refusal, and which lack it.
HARD: dict[str, tuple[Graph, Quantise, str, Callable[[Target], bool]]] = {
    "many spikes a step": (
        with_rules(max_spikes=None), OPTIONS, "E0301", lambda t: t.features.max_spikes == 1
    ),
    "integrating while refractory": (
        with_rules(refractory=2, refractory_frozen=False), OPTIONS, "E0301",
        lambda t: t.features.frozen_only,
    ),
    "graded values on an edge": (
        graded_sender(), OPTIONS, "E0303", lambda t: not t.features.graded
    ),
    "a loop with fewer steps than hops": (
        tight_loop(), OPTIONS, "E0501", lambda t: t.features.hop > 0
    ),
    "stochastic rounding": (
        with_rules(), replace(OPTIONS, rounding=Rounding.STOCHASTIC), "E0301", is_board
    ),
    "wide states": (with_rules(), replace(OPTIONS, state_bits=40), "E0302", is_board),
    "too many synapses": (large(), OPTIONS, "E0302", holds_few),
}  # fmt: skip


@pytest.mark.parametrize("target", [name for _, name in TARGETS])
@pytest.mark.parametrize("what", HARD)
def test_what_a_target_lacks_is_refused_with_its_code(what: str, target: str) -> None:
    graph, options, code, lacks = HARD[what]
    backend, machine = find_target(target)
    if counts(machine) and not lacks(machine):
        # It has less than any of these networks: each is refused, if for another reason.
        with pytest.raises(SpikecError, match="E1432"):
            build(graph, backend, machine, options)
        return
    if not lacks(machine):
        assert build(graph, backend, machine, options).files
        return
    with pytest.raises(SpikecError) as caught:
        build(graph, backend, machine, options)
    assert code in [d.code for d in caught.value.diagnostics], str(caught.value)
    assert caught.value.exit_code == 2
    assert all(d.message for d in caught.value.diagnostics)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("target", ONE_EACH)
def test_every_dialect_compiles_or_is_refused(target: str, dialect: str) -> None:
    rule = DIALECTS[dialect]
    graph = network(NEURONS["LIF"], joined()["Dense"], rule.semantics).with_(dialect=dialect)
    delayed = tuple(replace(p, delay=rule.forward_delay) for p in graph.projections)
    graph = graph.with_(projections=delayed)
    machine = find_target(target)[1]
    if rule.semantics.max_spikes == 1 or machine.features.max_spikes != 1:
        assert run_pipeline(pipeline(OPTIONS), graph, machine, Diagnostics()).populations
        return
    with pytest.raises(SpikecError, match="E0301"):
        run_pipeline(pipeline(OPTIONS), graph, machine, Diagnostics())


# -- no state in modules -----------------------------------------------------------------------


@pytest.mark.parametrize("target", ONE_EACH)
def test_interleaved_compilations_do_not_meet(target: str) -> None:
    """One network is compiled whole between any two passes of the other."""
    backend, machine = find_target(target)
    one, two = suited("CubaLIF", target), suited("Chain", target)
    alone = {g.name: build(g, backend, machine).digest for g in (one.with_(name="one"), two)}
    between: list[str] = []

    def compile_other(name: str, graph: Graph) -> None:
        between.append(build(two, backend, machine).digest)

    fitting = replace(OPTIONS, weight_bits=min(OPTIONS.weight_bits, widest(machine)))
    mixed: Compilation = compile_graph(
        one.with_(name="one"), backend, machine, fitting, quick(machine), after=compile_other
    )
    assert mixed.artifact().digest == alone["one"]
    assert len(between) == len(pipeline(OPTIONS))
    assert set(between) == {alone["tiny"]}


def test_interleaved_runs_do_not_meet() -> None:
    """Two executors of two networks, run in turns, and one that is run again."""
    graphs = [quantised(build(NETWORKS[n], *find_target("null"))) for n in ("CubaLIF", "Chain")]
    given = [stimulus(g) for g in graphs]
    alone = [Executor(g).run(s) for g, s in zip(graphs, given, strict=True)]
    runners = [Executor(g) for g in graphs]
    for _ in range(2):
        for k in (1, 0):
            assert runners[k].run(given[k]).spikes == alone[k].spikes


@pytest.mark.parametrize("target", ONE_EACH)
def test_an_artefact_comes_back_from_disk(target: str, tmp_path: Path) -> None:
    folder = tmp_path / "built"
    artifact = build(suited("LIF", target), *find_target(target))
    artifact.write(folder)
    again = load_artifact(folder)
    assert again.digest == artifact.digest
    assert again.files == dict(artifact.files)
    assert text(quantised(again)) == text(quantised(artifact))
