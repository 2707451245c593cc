"""What the verifier says of receptors, delays of synapses and short-term plasticity."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.ir.connections import Conv1d, Dense, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LI, LIF, AdEx, Izhikevich, Kernel, PointLIF, Receptor, receptors
from spikec.ir.plasticity import Coincidence, PairSTDP, Plasticity
from spikec.ir.semantics import Current, Decay, Gain, Reset, Semantics
from spikec.ir.short_term import TsodyksMarkram
from spikec.ir.text import digest, parse, text
from spikec.ir.verify import verify


def refused(graph: Graph, code: str, message: str) -> None:
    with pytest.raises(SpikecError) as caught:
        verify(graph)
    (one,) = caught.value.diagnostics
    assert one.code == code and message in one.message


def real(x: Any) -> Any:
    return np.asarray(x, np.float64)


EXC, INH = Receptor("exc", tau=real(5e-3)), Receptor("inh", Kernel.DELTA)
RULES = Semantics(reset=Reset.VALUE)


def cell(*ports: Receptor, model: type[PointLIF] = PointLIF, **more: Any) -> PointLIF:
    values: dict[str, Any] = dict.fromkeys(
        ("tau_mem", "capacity", "v_leak", "v_threshold", "v_reset"), real(1.0)
    )
    return model(**values | more, receptors=ports)


def izhikevich(*ports: Receptor, **more: Any) -> Izhikevich:
    return Izhikevich(real(0.02), real(0.2), real(-65.0), real(8.0), receptors=ports, **more)


def net(neuron: Any = None, rules: Semantics = RULES, **projection: Any) -> Graph:
    neuron = cell(EXC, INH) if neuron is None else neuron
    settings: dict[str, Any] = {
        "connection": Dense(np.ones((2, 3))),
        "receptor": "exc",
    } | projection
    pre = settings.pop("pre", "in")
    return Graph(
        "net",
        1e-3,
        (Input("in", (3,)),),
        (Population("p", (2,), neuron, rules),),
        (Projection("w", pre, "p", **settings),),
        (Output("y", "p"),),
    )


TIRES = TsodyksMarkram(real(0.5), real(0.1), real(0.0), real(0.003))
LEARNS = Plasticity(PairSTDP(0.1, 0.1, 0.02, 0.02), 0.0, 2.0)
MATRIX = Sparse(3, 2, np.array([0, 2, 2, 2]), np.array([0, 0]), np.ones(2), np.array([0, 4]))
PLAIN = LIF(real(0.02), real(1.0), real(0.0), real(1.0))
LOOP = {"pre": "p", "connection": Dense(np.ones((2, 2))), "delay": 1}

WRONG: dict[str, tuple[Graph, str, str]] = {
    "reset": (net(rules=Semantics()), "E0205", "'p': reset is zero; a point neuron has value"),
    "spikes": (net(rules=replace(RULES, max_spikes=2)), "E0205", "'p': max_spikes is 2; a point"),
    "bound": (net(rules=replace(RULES, v_min=-1.0)), "E0205", "'p': v_min is -1.0; a point neuron"),
    "start": (net(rules=replace(RULES, v_init=1.0)), "E0205", "'p': v_init is 1.0; a point neuron"),
    "frozen": (
        net(rules=replace(RULES, refractory_frozen=False)),
        "E0205",
        "'p': refractory_frozen is False; a point neuron has True",
    ),
    "gain": (
        net(rules=replace(RULES, decay=Decay.EXPONENTIAL)),
        "E0205",
        "'p': gain is euler; a point neuron that decays exponentially has exact or propagated",
    ),
    "capacity": (
        net(cell(EXC, capacity=real([1.0, 0.0]))),
        "E0205",
        "'p': capacity is 0 F; it must be positive",
    ),
    "slope": (
        net(cell(EXC, model=AdEx, slope=real(-1e-3))),
        "E0205",
        "'p': slope is -0.001 V; it must be positive",
    ),
    "taken": (net(cell(EXC, EXC)), "E0211", "'p': a receptor is called 'exc'; it needs a name"),
    "odd": (net(cell(EXC, replace(INH, name="a b"))), "E0211", "'p': a receptor is called 'a b'"),
    "state": (net(cell(EXC, replace(INH, name="v"))), "E0211", "'p': a receptor is called 'v'"),
    "port": (net(cell(EXC, replace(INH, name="current"))), "E0211", "is called 'current'"),
    "rise": (
        net(cell(Receptor("exc", Kernel.ALPHA, real(1.0)), replace(INH, name="exc_rise"))),
        "E0211",
        "'p': a receptor is called 'exc_rise'",
    ),
    "nan": (
        net(cell(replace(EXC, reversal=real([0.0, np.nan])))),
        "E0106",
        "'p': 1 of 2 values of exc.reversal are not finite",
    ),
    "tau": (
        net(cell(replace(EXC, tau=real([0.01, 0.0])))),
        "E0107",
        "'p': tau of receptor exc is 0 s; it must be positive",
    ),
    "shape": (net(cell(replace(EXC, tau=real([0.01] * 3)))), "E0207", "exc.tau has shape (3,)"),
    "no tau": (
        net(cell(replace(EXC, tau=None))),
        "E0211",
        "'p': receptor exc (exponential) needs a tau",
    ),
    "delta with tau": (
        net(cell(EXC, replace(INH, tau=real(1.0)))),
        "E0211",
        "'p': receptor inh (delta) takes neither tau nor a reversal potential",
    ),
    "delta with reversal": (
        net(cell(EXC, replace(INH, reversal=real(0.0)))),
        "E0211",
        "'p': receptor inh (delta) takes neither tau nor a reversal potential",
    ),
    "Izhikevich": (
        net(izhikevich(EXC)),
        "E0211",
        "'p': receptor exc is exponential; an Izhikevich neuron has delta receptors",
    ),
    "no ports": (
        net(PLAIN, Semantics()),
        "E0211",
        "'w' ends at the receptor 'exc'; 'p' (LIF) has one sum for all",
    ),
    "no such port": (
        net(receptor="ecx"),
        "E0211",
        "'w' ends at the receptor 'ecx'; 'p' has exc, inh, current",
    ),
    "nowhere": (net(receptor=None), "E0211", "'w' ends at no receptor; 'p' has exc, inh, current"),
    "bias": (
        net(bias=real(1.0)),
        "E0211",
        "'w' has a bias; the constant input of 'p' is i_offset",
    ),
    "steps": (
        net(connection=replace(MATRIX, steps=np.array([1]))),
        "E0205",
        "steps has shape (1,), post (2,)",
    ),
    "past": (
        net(connection=replace(MATRIX, steps=np.array([0, -1]))),
        "E0205",
        "a delay of -1 steps",
    ),
    "learning delays": (
        net(connection=MATRIX, plasticity=LEARNS),
        "E0208",
        "its synapses have delays of their own; a plastic projection has one delay",
    ),
    "window": (
        net(connection=Conv1d(np.ones((1, 1, 2)), (1, 3)), short_term=TIRES),
        "E0208",
        "'w': Conv1d has no weights of its own for short-term plasticity",
    ),
    "both": (
        net(plasticity=LEARNS, short_term=TIRES),
        "E0209",
        "'w' has both long-term and short-term plasticity",
    ),
    "graded": (
        replace(
            net(LI(real(0.02), real(1.0), real(0.0)), Semantics(), receptor=None,
                short_term=TIRES, **LOOP),
        ),
        "E0209",
        "'w': short-term plasticity counts single spikes; 'p' sends other values",
    ),
    "use": (
        net(short_term=replace(TIRES, u=real(1.5))),
        "E0209",
        "'w': u of the short-term plasticity is 1.5; it must be 0 to 1",
    ),
    "recovery": (
        net(short_term=replace(TIRES, tau_rec=real(0.0))),
        "E0209",
        "'w': tau_rec of the short-term plasticity is 0; it must be above 0 s",
    ),
    "facilitation": (
        net(short_term=replace(TIRES, tau_facil=real(-0.1))),
        "E0209",
        "'w': tau_facil of the short-term plasticity is -0.1; it must be 0 to inf",
    ),
    "weights": (
        net(short_term=replace(TIRES, tau_syn=real([0.1, 0.2]))),
        "E0209",
        "'w': tau_syn of the short-term plasticity has shape (2,), not (2, 3)",
    ),
    "offset": (
        net(izhikevich(i_offset=real([1.0, np.inf])), receptor=None),
        "E0106",
        "'p': 1 of 2 values of i_offset are not finite",
    ),
    "own start": (
        net(replace(PLAIN, v_init=real([0.0, np.nan])), Semantics(), receptor=None),
        "E0106",
        "'p': 1 of 2 values of v_init are not finite",
    ),
    "start shape": (
        net(izhikevich(u_init=real([1.0] * 3)), receptor=None),
        "E0207",
        "'p': u_init has shape (3,), the population (2,)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused(what: str) -> None:
    refused(*WRONG[what])


SOUND: dict[str, Graph] = {
    "ports": net(),
    "current": net(receptor="current"),
    "delays and pairs": net(connection=MATRIX),
    "tired": net(short_term=TIRES, connection=MATRIX),
    "Izhikevich": net(izhikevich(INH, v_init=real([-65.0, -60.0])), receptor="inh"),
    "own start": net(replace(PLAIN, v_init=real([0.0, 0.5])), Semantics(), receptor=None),
    "AdEx": net(cell(EXC, model=AdEx)),
    "conductance": net(cell(replace(EXC, reversal=real([0.0, 0.1]), initial=real(1e-9)))),
}


@pytest.mark.parametrize("what", SOUND)
def test_what_is_right_is_accepted_and_has_a_text(what: str) -> None:
    graph = SOUND[what]
    verify(graph)
    assert parse(text(graph)) == graph and digest(parse(text(graph))) == digest(graph)


def test_a_receptor_of_arrivals_behind_the_step_may_depress_without_a_dendrite() -> None:
    rule = replace(LEARNS.rule, coincidence=Coincidence.DEPRESS)  # type: ignore[call-arg]
    late = net(rules=replace(RULES, current=Current.OLD), plasticity=replace(LEARNS, rule=rule))
    verify(late)
    refused(
        replace(late, populations=(replace(late.populations[0], semantics=RULES),)),
        "E0209",
        "coincidence is depress, but without a dendritic delay",
    )


def test_a_current_arrives_at_once_whatever_waits_at_the_receptors() -> None:
    rules = replace(RULES, current=Current.OLD)
    assert net(rules=rules).populations[0].arrives_late
    assert not net(rules=RULES).populations[0].arrives_late
    sum_alone = net(PLAIN, replace(Semantics(), current=Current.OLD), receptor=None)
    assert not sum_alone.populations[0].arrives_late
    rule = replace(LEARNS.rule, coincidence=Coincidence.DEPRESS)  # type: ignore[call-arg]
    refused(
        net(rules=rules, plasticity=replace(LEARNS, rule=rule), receptor="current"),
        "E0209",
        "coincidence is depress, but without a dendritic delay",
    )


def test_texts_without_ports_have_not_changed() -> None:
    """The digest of a graph from before there were receptors."""
    graph = net(PLAIN, Semantics(), receptor=None)
    written = text(graph)
    for word in ("receptor", "short_term", "steps", "v_init=none", "i_offset"):
        assert word not in written
    assert digest(graph) == "ce6ed4dd9c1ab1ec61caf63e15c651f304896dc145d21bd0b52fbe808d9ddc88"
    old = Sparse(3, 2, MATRIX.indptr, MATRIX.post, MATRIX.weight)
    assert "steps" not in text(net(connection=old))


def test_receptors_are_those_of_models_with_ports() -> None:
    assert receptors(cell(EXC, INH)) == (EXC, INH) and receptors(PLAIN) == ()
    rising = Receptor("g", Kernel.ALPHA, real(1e-3))
    assert rising.state == ("g_rise", "g") and rising.arrival == "g_rise"
    assert INH.state == () and INH.arrival == "v" and EXC.arrival == "exc"
    assert cell(rising, INH, model=AdEx).state == ("g_rise", "g", "v", "w")


def test_exact_gains_belong_to_exponential_decay() -> None:
    for gain in (Gain.EXACT, Gain.PROPAGATED):
        verify(net(rules=replace(RULES, decay=Decay.EXPONENTIAL, gain=gain)))
