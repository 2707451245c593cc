"""One test a rule: its code, and a message that names the node and the numbers."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

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
from spikec.ir.diagnostics import Location, SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Probe, Projection
from spikec.ir.neurons import (
    IF,
    LI,
    LIF,
    MODELS,
    AdEx,
    CubaLI,
    CubaLIF,
    IntegerNeuron,
    Integrator,
    LinearLIF,
    LoihiATRLIF,
    LoihiDelta,
    LoihiLIF,
    LoihiSigma,
    LoihiSigmaDelta,
    Neuron,
    PointLIF,
    Relay,
    SpinnakerLIF,
    Threshold,
)
from spikec.ir.numerics import Format, Numerics, Rounding
from spikec.ir.semantics import Reset, Semantics
from spikec.ir.verify import find_loop, verify

from .izhikevich import izhikevich

HERE = Location("net.nir", "hidden")


def real(value: Any) -> npt.NDArray[np.float64]:
    return np.asarray(value, dtype=np.float64)


def whole(value: Any) -> npt.NDArray[np.int64]:
    return np.asarray(value, dtype=np.int64)


def lif(**changes: Any) -> LIF:
    return replace(LIF(real(0.02), real(1.0), real(0.0), real(1.0)), **changes)


def spinnaker(**changes: Any) -> SpinnakerLIF:
    """SpiNNaker's neuron: -60 mV at rest, -50 mV to spike, 20 MOhm."""
    values: dict[str, Any] = {
        **dict.fromkeys(("v_init", "v_rest", "v_reset"), -60 << 15),
        **{"threshold": -50 << 15, "i_offset": 0, "r": 20 << 15, "exp_tc": 31170, "refractory": 2},
        **dict.fromkeys(("decay_e", "init_e", "decay_i", "init_i"), 1 << 31),
    }
    shifts = {"shift_e": 3, "shift_i": 0}
    return SpinnakerLIF(**(values | shifts | changes))


def integer(**changes: Any) -> IntegerNeuron:
    neuron = IntegerNeuron(
        Numerics(Format(8), Format(16)),
        "LIF",
        scale=0.01,
        shift=0,
        decay_v=whole(3000),
        threshold=whole(100),
        bias=whole(0),
        v_min=whole(-32768),
        v_reset=whole(0),
        reset="zero",
    )
    return replace(neuron, **changes)


def net(**changes: Any) -> Graph:
    """Three lines, a hidden population of two with a delayed loop, a readout of one."""
    graph = Graph(
        "net",
        1e-3,
        (Input("in", (3,)),),
        (
            Population("hidden", (2,), lif(), at=HERE),
            Population("out", (1,), LI(real(0.02), real(1.0), real(0.0))),
        ),
        (
            Projection("w1", "in", "hidden", Dense(np.ones((2, 3)))),
            Projection(
                "rec", "hidden", "hidden", Dense(np.ones((2, 2))), 1, real([0.1, 0.2]), True
            ),
            Projection("w2", "hidden", "out", Dense(np.ones((1, 2)))),
        ),
        (Output("y", "out"),),
        (Probe("hidden", "v"),),
    )
    return replace(graph, **changes)


def hidden(**changes: Any) -> Graph:
    """``net`` with another hidden population."""
    graph = net()
    return net(populations=(replace(graph.populations[0], **changes), graph.populations[1]))


def first(**changes: Any) -> Graph:
    """``net`` with another first projection."""
    graph = net()
    return net(projections=(replace(graph.projections[0], **changes), *graph.projections[1:]))


def through(connection: Connection, pre: tuple[int, ...], post: tuple[int, ...]) -> Graph:
    """An input, a connection and a population."""
    return Graph(
        "g",
        1e-3,
        (Input("in", pre),),
        (Population("p", post, Threshold(real(1.0))),),
        (Projection("c", "in", "p", connection),),
        (Output("y", "p"),),
    )


def recovery(**more: Any) -> IntegerNeuron:
    """An integer neuron with an Izhikevich membrane."""
    numbers = {"curve": whole([1, 131071]), "couple": whole(-16384), "rate": whole(65535)}
    given = {"decay_v": whole(-32768), "reset": "value", "jump": whole(-32768), "substeps": 8}
    return integer(**{**numbers, **given, **more})


SPARSE = Sparse(3, 2, whole([0, 1, 1, 2]), np.array([0, 1], np.int32), real([1.0, 2.0]))
CONV = Conv2d(np.ones((4, 1, 3, 3)), (2, 5, 5), groups=2)

VALID: dict[str, Graph] = {
    "net": net(),
    "no projections": net(projections=(), probes=()),
    "nothing at all": Graph("", 1.0, (), (), (), ()),
    "a value for each neuron": hidden(neuron=lif(tau=real([0.01, 0.02]))),
    "shape in three axes": hidden(shape=(1, 2, 1), neuron=lif(tau=real([[[0.01], [0.02]]]))),
    "integer": hidden(neuron=integer()),
    "integer with synapse": net(
        populations=(
            Population("hidden", (2,), integer(decay_u=whole(100))),
            net().populations[1],
        ),
        probes=(Probe("hidden", "u"),),
    ),
    "integer readout without threshold": hidden(
        neuron=integer(reset="none", threshold=whole(0), max_spikes=None)
    ),
    "linear leak": hidden(
        neuron=integer(decay_v=whole(4096), leak=whole([0, 32767]), v_leak=whole(-3))
    ),
    "adaptive threshold": net(
        populations=(
            Population("hidden", (2,), integer(adapt_inc=whole([1, 2]), adapt_period=0)),
            net().populations[1],
        ),
        probes=(Probe("hidden", "h"),),
    ),
    "recovery": hidden(neuron=recovery()),
    "many spikes a step": hidden(semantics=Semantics(max_spikes=None, reset=Reset.SUBTRACT)),
    "negative threshold, one spike a step": hidden(neuron=lif(v_threshold=real(-50.0))),
    "registered loop without delay": net(
        populations=(
            replace(net().populations[0], semantics=Semantics(registered=True)),
            net().populations[1],
        ),
        projections=(
            net().projections[0],
            replace(net().projections[1], delay=0),
            net().projections[2],
        ),
    ),
    "loop with a delay in its connection": net(
        projections=(
            net().projections[0],
            replace(net().projections[1], delay=0, connection=Delay(whole([1, 2]), (2,))),
            net().projections[2],
        ),
    ),
    "scalar bias": first(bias=real(0.5)),
    "sparse": through(SPARSE, (3,), (2,)),
    "sparse without a synapse": through(
        Sparse(3, 2, whole([0] * 4), np.array([], np.int32), real([])), (3,), (2,)
    ),
    "conv1d": through(Conv1d(np.ones((4, 2, 3)), (2, 8), 2, (1, 1), 2), (2, 8), (4, 3)),
    "conv2d in groups": through(CONV, (2, 5, 5), (4, 3, 3)),
    "sum pool": through(SumPool2d((2, 5, 5), (2, 2), (2, 2)), (50,), (2, 2, 2)),
    "average pool": through(
        AvgPool2d((2, 5, 5), (2, 2), (2, 2), ((1, 0), (1, 0))), (2, 5, 5), (2, 3, 3)
    ),
    "flatten": through(Flatten((2, 5, 5), 1, -1), (2, 5, 5), (50,)),
    "scale": through(Scale(real([1.0, 2.0, 3.0]), (3,)), (3,), (3,)),
    "one to one": through(OneToOne(real(1.0), (3,)), (3,), (3,)),
    "delay": through(Delay(whole([0, 1, 2]), (3,)), (3,), (3,)),
    "chain": through(Chain((CONV, Flatten((4, 3, 3)), Dense(np.ones((2, 36))))), (2, 5, 5), (2,)),
}


@pytest.mark.parametrize("name", VALID)
def test_valid_graph_is_accepted(name: str) -> None:
    verify(VALID[name])


@pytest.mark.parametrize("kind", CONNECTIONS, ids=lambda kind: kind.__name__)
def test_every_connection_is_known_to_the_verifier(kind: type[Connection]) -> None:
    found = {
        type(stage)
        for graph in VALID.values()
        for p in graph.projections
        for stage in (p.connection, *getattr(p.connection, "stages", ()))
    }
    assert kind in found, f"add a valid {kind.__name__} to VALID"


POINT: dict[str, Any] = {
    "tau_mem": real(0.02),
    "capacity": real(1e-9),
    "v_leak": real(0.0),
    "v_threshold": real(1.0),
    "v_reset": real(0.0),
}

NEURONS: tuple[Neuron, ...] = (
    IF(real(1.0), real(1.0)),
    lif(),
    CubaLIF(real(0.01), real(0.02), real(1.0), real(0.0), real(1.0), real(1.0), real(0.0)),
    Integrator(real(1.0)),
    LI(real(0.02), real(1.0), real(0.0)),
    CubaLI(real(0.01), real(0.02), real(1.0), real(0.0), real(1.0)),
    Threshold(real(1.0)),
    Relay(),
    integer(),
    LinearLIF(real(1.0), real(1.0), real(0.0), real(1.0)),
    izhikevich("RS"),
    PointLIF(**POINT),
    AdEx(**POINT),
    spinnaker(),
    LoihiLIF(np.array(400), np.array(200), np.array([10, 20])),
    LoihiATRLIF(np.array(400), np.array(200), np.array(10), np.array(200)),
    LoihiSigma(),
    LoihiDelta(3, 1, 2),
    LoihiSigmaDelta(3, 1, 2, bias=np.array([10, -20])),
)


@pytest.mark.parametrize("neuron", NEURONS, ids=lambda neuron: type(neuron).__name__)
def test_every_model_is_accepted_and_its_parameters_are_checked(neuron: Neuron) -> None:
    rules = Semantics(reset=Reset.VALUE) if isinstance(neuron, PointLIF) else Semantics()
    sound = Population("p", (2,), neuron, rules)
    verify(net(populations=(sound,), projections=(), outputs=(), probes=()))
    for parameter in neuron.parameters():
        bad = replace(neuron, **{parameter: real([1.0, np.nan])})
        graph = Graph("g", 1e-3, (), (replace(sound, neuron=bad),), (), ())
        refused(graph, "E0106", f"'p': 1 of 2 values of {parameter} are not finite")
    for parameter in neuron.TIMES:
        bad = replace(neuron, **{parameter: real([0.01, -0.02])})
        graph = Graph("g", 1e-3, (), (replace(sound, neuron=bad),), (), ())
        refused(graph, "E0107", f"'p': {parameter} is -0.02 s; it must be positive")


def test_no_model_is_forgotten() -> None:
    assert {type(neuron) for neuron in NEURONS} == set(MODELS)


def refused(graph: Graph, code: str, message: str) -> SpikecError:
    with pytest.raises(SpikecError) as caught:
        verify(graph)
    assert [(d.code, d.message) for d in caught.value.diagnostics] == [(code, message)]
    return caught.value


@pytest.mark.parametrize(
    ("graph", "code", "message"),
    [
        # -- the graph
        (net(dt=0.0), "E0205", "dt is 0.0 s; it must be positive and finite"),
        (net(dt=-1e-3), "E0205", "dt is -0.001 s; it must be positive and finite"),
        (net(dt=float("nan")), "E0205", "dt is nan s; it must be positive and finite"),
        (net(dt=float("inf")), "E0205", "dt is inf s; it must be positive and finite"),
        (
            net(inputs=(Input("in", (3,)), Input("hidden", (3,)))),
            "E0201",
            "'hidden' is the name of two nodes",
        ),
        (
            net(projections=(net().projections[0],) * 3),
            "E0201",
            "'w1' is the name of 3 projections",
        ),
        (net(outputs=(Output("y", "out"),) * 2), "E0201", "'y' is the name of 2 outputs"),
        (
            net(outputs=(Output("y", "in"),)),
            "E0206",
            "output 'y' reads 'in', which is no population",
        ),
        (
            net(probes=(Probe("in", "v"),)),
            "E0206",
            "a probe reads 'in', which is no population",
        ),
        (
            net(probes=(Probe("hidden", "u"),)),
            "E0206",
            "there is no 'hidden.u' to probe; its state: v",
        ),
        # -- populations
        (
            net(inputs=(*net().inputs, Input("none", (0, 3)))),
            "E0205",
            "'none': the shape (0, 3) has an empty axis",
        ),
        (
            net(inputs=(*net().inputs, Input("big", (1 << 16, 1 << 15)))),
            "E0113",
            "'big' has 2147483648 elements, at most 2147483647 fit",
        ),
        (
            hidden(neuron=lif(tau=real([0.1, 0.2, 0.3]))),
            "E0207",
            "'hidden': tau has shape (3,), the population (2,)",
        ),
        (
            hidden(neuron=lif(tau=real([0.1, 0.0]))),
            "E0107",
            "'hidden': tau is 0 s; it must be positive",
        ),
        (
            hidden(neuron=lif(r=real(np.inf))),
            "E0106",
            "'hidden': 1 of 1 values of r are not finite",
        ),
        (hidden(lag=-1), "E0205", "'hidden': lag is -1 steps"),
        (
            hidden(semantics=Semantics(refractory=-2)),
            "E0205",
            "'hidden': refractory is -2 steps",
        ),
        (
            hidden(semantics=Semantics(max_spikes=0)),
            "E0205",
            "'hidden': max_spikes is 0, it must be at least 1",
        ),
        (
            hidden(semantics=Semantics(max_spikes=None), neuron=lif(v_threshold=real([1.0, 0.0]))),
            "E0107",
            "'hidden': the threshold is 0; it must be positive where a step may hold several "
            "spikes",
        ),
        (
            hidden(semantics=Semantics(v_init=float("nan"))),
            "E0106",
            "'hidden': v_init is nan",
        ),
        (
            hidden(semantics=Semantics(v_min=float("-inf"))),
            "E0106",
            "'hidden': v_min is -inf",
        ),
        # -- integer populations
        (
            hidden(neuron=integer(decay_v=whole(4097))),
            "E0205",
            "'hidden': decay_v spans 4097 to 4097, outside 0 to 4096",
        ),
        (
            hidden(neuron=integer(decay_u=whole([-1, 7]))),
            "E0205",
            "'hidden': decay_u spans -1 to 7, outside 0 to 4096",
        ),
        *(
            (
                hidden(neuron=integer(**{field: whole(-32769)})),
                "E0205",
                f"'hidden': {field} spans -32769 to -32769, outside -32768 to 32767",
            )
            for field in ("threshold", "v_reset", "v_min", "bias", "bias_first")
        ),
        (
            hidden(neuron=integer(bias=whole([1, 2, 3]))),
            "E0207",
            "'hidden': bias has shape (3,), the population (2,)",
        ),
        (
            hidden(neuron=integer(shift=-1)),
            "E0205",
            "'hidden': shift is -1, it must be at least 0",
        ),
        (
            hidden(neuron=integer(scale=0.0)),
            "E0205",
            "'hidden': scale is 0.0, it must be positive",
        ),
        (
            hidden(neuron=integer(reset="ZERO")),
            "E0205",
            "'hidden': reset is 'ZERO', expected one of zero, value, subtract, two_phase, none",
        ),
        (
            hidden(neuron=LinearLIF(real([3.0, -2.0]), real(1.0), real(0.0), real(1.0))),
            "E0205",
            "'hidden': leak is -2 V/s; it must not be negative",
        ),
        (
            hidden(neuron=integer(leak=whole(3))),
            "E0205",
            "'hidden': v leaks and decays; decay_v must be 4096",
        ),
        (hidden(neuron=integer(v_leak=whole(3))), "E0205", "'hidden': v_leak without a leak"),
        (
            hidden(neuron=integer(decay_v=whole(4096), leak=whole(-1))),
            "E0205",
            "'hidden': leak spans -1 to -1, outside 0 to 32767",
        ),
        (
            hidden(neuron=izhikevich("RS", substeps=9)),
            "E0205",
            "'hidden': substeps is 9, it must be 1 to 8",
        ),
        (
            hidden(neuron=izhikevich("RS"), semantics=Semantics(max_spikes=2)),
            "E0205",
            "'hidden': an Izhikevich neuron spikes at most once a step; max_spikes is 2",
        ),
        (
            hidden(neuron=izhikevich("RS", v_threshold=real(-65.0))),
            "E0205",
            "'hidden': c is -65 mV, not below v_threshold -65 mV: it would spike in every step",
        ),
        (
            hidden(
                neuron=izhikevich("RS"), semantics=Semantics(refractory=2, refractory_frozen=False)
            ),
            "E0205",
            "'hidden': an Izhikevich membrane that may not spike grows without bound; it must be "
            "frozen while refractory",
        ),
        (
            hidden(neuron=recovery(refractory=2, refractory_frozen=False)),
            "E0205",
            "'hidden': a membrane with a recovery is frozen while refractory",
        ),
        (
            hidden(neuron=recovery(curve=whole(131072))),
            "E0205",
            "'hidden': curve spans 131072 to 131072, outside 0 to 131071",
        ),
        (
            hidden(neuron=recovery(rate=None)),
            "E0205",
            "'hidden': a recovery without rate",
        ),
        (
            hidden(neuron=integer(substeps=2, reset="value")),
            "E0205",
            "'hidden': a recovery without curve, couple, rate, jump",
        ),
        (
            hidden(neuron=recovery(substeps=0)),
            "E0205",
            "'hidden': substeps is 0, it must be 1 to 8",
        ),
        (
            hidden(neuron=recovery(decay_u=whole(1))),
            "E0205",
            "'hidden': a recovery goes with no synaptic current and no leak",
        ),
        (
            hidden(neuron=recovery(reset="subtract")),
            "E0205",
            "'hidden': a neuron with a recovery is reset to a value and spikes once a step; here "
            "reset is 'subtract' and max_spikes 1",
        ),
        *(
            (
                hidden(neuron=recovery(numerics=Numerics(Format(8), state))),
                "E0205",
                f"'hidden': beside a recovery a state of {state.width} bits and a decay of 12 pass "
                "56, or are rounded stochastically",
            )
            for state in (Format(45), Format(16, rounding=Rounding.STOCHASTIC))
        ),
        (
            hidden(neuron=integer(adapt_inc=whole(-1))),
            "E0205",
            "'hidden': adapt_inc spans -1 to -1, outside 0 to 32767",
        ),
        (
            hidden(neuron=integer(adapt_inc=whole(1), adapt_shift=17)),
            "E0205",
            "'hidden': adapt_shift is 17, it must be 0 to 16",
        ),
        (
            hidden(neuron=integer(adapt_inc=whole(1), adapt_period=-1)),
            "E0205",
            "'hidden': adapt_period is -1 steps",
        ),
        *(
            (
                hidden(neuron=integer(adapt_inc=whole(1), **odd)),
                "E0205",
                "'hidden': a threshold adapts where a step has at most one spike and v is "
                f"compared once; here reset is '{odd.get('reset', 'zero')}' and max_spikes "
                f"{odd.get('max_spikes', 1)}",
            )
            for odd in ({"reset": "none"}, {"reset": "two_phase"}, {"max_spikes": 3})
        ),
        (
            hidden(neuron=integer(refractory=-1)),
            "E0205",
            "'hidden': refractory is -1 steps",
        ),
        (
            hidden(neuron=integer(max_spikes=0)),
            "E0205",
            "'hidden': max_spikes is 0, it must be at least 1",
        ),
        (
            hidden(neuron=integer(max_spikes=None, threshold=whole(-5))),
            "E0107",
            "'hidden': the threshold is -5; it must be positive where a step may hold several "
            "spikes",
        ),
        # -- projections
        (first(pre="x"), "E0202", "'w1' starts from 'x', which is no node"),
        (first(post="x"), "E0202", "'w1' ends in 'x', which is no node"),
        (first(post="in"), "E0202", "'w1' ends in 'in', which is no population"),
        (
            first(connection=Dense(np.ones((2, 4)))),
            "E0203",
            "'w1' maps (4,) to (2,), but 'in' has shape (3,) and 'hidden' (2,)",
        ),
        (
            first(connection=Dense(np.ones((1, 3)))),
            "E0203",
            "'w1' maps (3,) to (1,), but 'in' has shape (3,) and 'hidden' (2,)",
        ),
        (first(delay=-1), "E0205", "'w1': delay is -1 steps"),
        (first(bias=real([1.0] * 3)), "E0207", "'w1': bias has shape (3,), expected (2,)"),
        (first(bias=real([1.0, np.inf])), "E0106", "'w1': 1 of 2 biases are not finite"),
        # -- connections
        (
            first(connection=Dense(real([[1.0, np.nan, 3.0], [np.inf, 1.0, -np.inf]]))),
            "E0106",
            "'w1': 3 of 6 values of weight are not finite",
        ),
        (
            first(connection=Dense(real([1.0, 2.0]))),
            "E0205",
            "'w1': Dense: weight (2,) must have 2 axes",
        ),
        (
            first(connection=Dense(np.ones((2, 0)))),
            "E0203",
            "'w1': Dense takes (0,), leaves (2,)",
        ),
        (
            first(connection=replace(SPARSE, indptr=whole([0, 1, 2]))),
            "E0205",
            "'w1': Sparse: indptr has shape (3,), expected (4,)",
        ),
        (
            first(connection=replace(SPARSE, indptr=whole([0, 2, 1, 2]))),
            "E0205",
            "'w1': Sparse: indptr must rise from 0 to the 2 synapses",
        ),
        (
            first(connection=replace(SPARSE, indptr=whole([0, 1, 1, 3]))),
            "E0205",
            "'w1': Sparse: indptr must rise from 0 to the 2 synapses",
        ),
        (
            first(connection=replace(SPARSE, weight=real([1.0]))),
            "E0205",
            "'w1': Sparse: post has shape (2,), weight (1,)",
        ),
        (
            first(connection=replace(SPARSE, post=np.array([-1, 2], np.int32))),
            "E0205",
            "'w1': Sparse: post spans -1 to 2, outside 0 to 1",
        ),
        (
            first(connection=replace(SPARSE, pre_size=-1)),
            "E0205",
            "'w1': Sparse: pre_size is -1, it must be at least 1",
        ),
        (
            through(Conv1d(np.ones((4, 2, 3)), (2, 8), stride=0), (2, 8), (4, 6)),
            "E0205",
            "'c': Conv1d: stride is 0, it must be at least 1",
        ),
        (
            through(Conv1d(np.ones((4, 2, 3)), (2, 8), padding=(0, -1)), (2, 8), (4, 6)),
            "E0205",
            "'c': Conv1d: padding is (0, -1), it must be at least 0",
        ),
        (
            through(Conv1d(np.ones((4, 2)), (2, 8)), (2, 8), (4, 6)),
            "E0205",
            "'c': Conv1d: weight (4, 2) must have 3 axes",
        ),
        (
            through(Conv1d(np.ones((4, 2, 9)), (2, 8)), (2, 8), (4, 1)),
            "E0203",
            "'c': Conv1d takes (2, 8), leaves (4, 0)",
        ),
        (
            through(replace(CONV, groups=3), (2, 5, 5), (4, 3, 3)),
            "E0203",
            "'c': weight (4, 1, 3, 3) with 3 group(s) does not take 2 channels",
        ),
        (
            through(replace(CONV, groups=1), (2, 5, 5), (4, 3, 3)),
            "E0203",
            "'c': weight (4, 1, 3, 3) with 1 group(s) does not take 2 channels",
        ),
        (
            through(replace(CONV, groups=0), (2, 5, 5), (4, 3, 3)),
            "E0205",
            "'c': Conv2d: groups is 0, it must be at least 1",
        ),
        (
            through(replace(CONV, dilation=(1, 0)), (2, 5, 5), (4, 3, 3)),
            "E0205",
            "'c': Conv2d: dilation is (1, 0), it must be at least 1",
        ),
        (
            through(replace(CONV, shape=(2, 25)), (2, 5, 5), (4, 3, 3)),  # type: ignore[arg-type]
            "E0205",
            "'c': Conv2d: shape (2, 25) must have 3 axes",
        ),
        (
            through(SumPool2d((2, 5, 5), (2, 2), (0, 2)), (50,), (2, 2, 2)),
            "E0205",
            "'c': SumPool2d: stride is (0, 2), it must be at least 1",
        ),
        (
            through(AvgPool2d((2, 5, 5), (6, 2), (1, 1)), (50,), (2, 1, 1)),
            "E0203",
            "'c': AvgPool2d takes (2, 5, 5), leaves (2, 0, 4)",
        ),
        (
            through(Flatten((2, 5, 5), 1, 3), (50,), (50,)),
            "E0205",
            "'c': Flatten: there are no axes 1 to 3 in (2, 5, 5)",
        ),
        (
            through(Flatten(()), (1,), (1,)),
            "E0205",
            "'c': Flatten: there are no axes 0 to -1 in ()",
        ),
        (
            through(Scale(real([1.0, np.nan]), (2,)), (2,), (2,)),
            "E0106",
            "'c': 1 of 2 values of scale are not finite",
        ),
        (
            through(Scale(real([1.0, 2.0]), (2, 1)), (2,), (2,)),
            "E0205",
            "'c': Scale: scale has shape (2,), not (2, 1)",
        ),
        (
            through(OneToOne(real([1.0, 2.0]), (3,)), (3,), (3,)),
            "E0205",
            "'c': OneToOne: weight has shape (2,), not (3,)",
        ),
        (
            through(Delay(whole([1, -3]), (2,)), (2,), (2,)),
            "E0205",
            "'c': Delay: a delay of -3 steps",
        ),
        (
            through(Delay(whole([1, 2]), (3,)), (3,), (3,)),
            "E0205",
            "'c': Delay: steps has shape (2,), not (3,)",
        ),
        (through(Chain(()), (1,), (1,)), "E0205", "'c': a chain without stages"),
        (
            through(Chain((Dense(np.ones((2, 3))), Dense(np.ones((2, 4))))), (3,), (2,)),
            "E0203",
            "'c': Dense gives (2,), Dense takes (4,)",
        ),
        (
            through(Chain((Dense(np.ones((2, 3))), Chain((Dense(real(1.0)),)))), (3,), (2,)),
            "E0205",
            "'c': Dense: weight () must have 2 axes",
        ),
    ],
)
def test_broken_rule(graph: Graph, code: str, message: str) -> None:
    refused(graph, code, message)


def test_whole_message_with_place_and_hint() -> None:
    error = refused(
        net(outputs=(Output("y", "hiden", Location("net.nir", "output")),)),
        "E0206",
        "output 'y' reads 'hiden', which is no population",
    )
    assert str(error) == (
        "error E0206: output 'y' reads 'hiden', which is no population\n"
        "  at net.nir: node 'output'\n"
        "  help: did you mean 'hidden'?"
    )
    assert error.exit_code == 2


def test_place_of_a_population() -> None:
    error = refused(hidden(lag=-3), "E0205", "'hidden': lag is -3 steps")
    assert error.diagnostics[0].where == HERE


@pytest.mark.parametrize(
    ("graph", "hint"),
    [
        (first(pre="inn"), "did you mean 'in'?"),
        (first(post="hidde"), "did you mean 'hidden'?"),
        (net(probes=(Probe("outt", "v"),)), "did you mean 'out'?"),
        (first(pre="zzz"), None),
    ],
)
def test_misspelt_name_gets_a_hint(graph: Graph, hint: str | None) -> None:
    with pytest.raises(SpikecError) as caught:
        verify(graph)
    assert caught.value.diagnostics[0].hint == hint


def test_every_broken_rule_is_reported_at_once() -> None:
    graph = hidden(lag=-1, neuron=lif(tau=real(-1.0)))
    graph = replace(graph, dt=0.0, outputs=(Output("y", "nowhere"),))
    with pytest.raises(SpikecError) as caught:
        verify(graph)
    assert [d.code for d in caught.value.diagnostics] == ["E0205", "E0107", "E0205", "E0206"]


def ring(*delays: int, registered: int | None = None) -> Graph:
    """Populations p0 -> p1 -> ... -> p0, the k-th hop ``delays[k]`` steps long."""
    size = len(delays)
    return Graph(
        "ring",
        1e-3,
        (),
        tuple(
            Population(f"p{k}", (1,), lif(), Semantics(registered=k == registered), at=HERE)
            for k in range(size)
        ),
        tuple(
            Projection(f"e{k}", f"p{k}", f"p{(k + 1) % size}", OneToOne(real(1.0), (1,)), delay)
            for k, delay in enumerate(delays)
        ),
        (),
    )


class TestLoops:
    def test_without_delay_is_refused_by_name(self) -> None:
        error = refused(ring(0, 0, 0), "E0204", "no delay on the loop p0 -> p1 -> p2 -> p0")
        assert error.diagnostics[0].where == HERE
        assert error.diagnostics[0].hint == (
            "give one of its projections a delay of at least one step"
        )

    def test_onto_itself(self) -> None:
        refused(ring(0), "E0204", "no delay on the loop p0 -> p0")

    @pytest.mark.parametrize("delays", [(1,), (0, 1, 0), (0, 0, 0, 0, 7)])
    def test_with_delay_is_accepted(self, delays: tuple[int, ...]) -> None:
        verify(ring(*delays))

    @pytest.mark.parametrize("registered", [0, 1, 2])
    def test_registered_population_delays(self, registered: int) -> None:
        verify(ring(0, 0, 0, registered=registered))

    def test_second_path_without_delay(self) -> None:
        graph = ring(0, 1)
        short = replace(graph.projections[1], name="short", delay=0)
        graph = replace(graph, projections=(*graph.projections, short))
        refused(graph, "E0204", "no delay on the loop p0 -> p1 -> p0")

    def test_diamond_is_no_loop(self) -> None:
        one = OneToOne(real(1.0), (1,))
        pairs = [("p0", "p1"), ("p0", "p2"), ("p1", "p3"), ("p2", "p3")]
        edges = (Projection(a + b, a, b, one) for a, b in pairs)
        verify(replace(ring(1, 1, 1, 1), projections=tuple(edges)))

    def test_delays_of_some_elements_do_not_help(self) -> None:
        graph = ring(0)
        slow = Chain((Delay(whole([0, 3]), (2,)), OneToOne(real(1.0), (2,))))
        graph = replace(
            graph,
            populations=(replace(graph.populations[0], shape=(2,)),),
            projections=(replace(graph.projections[0], connection=slow),),
        )
        refused(graph, "E0204", "no delay on the loop p0 -> p0")
        assert graph.projections[0].minimum_delay == 0
        assert replace(graph.projections[0], delay=2).minimum_delay == 2

    def test_delays_in_a_row_add_up(self) -> None:
        row = Chain((Delay(whole(2), (2,)), Delay(whole([1, 5]), (2,))))
        assert Projection("e", "a", "b", row, delay=4).minimum_delay == 7

    def test_long_chain_needs_no_deep_stack(self) -> None:
        verify(ring(*[0] * 3000, 1))
        loop = find_loop({str(k): {str((k + 1) % 3000)} for k in range(3000)})
        assert loop is not None and len(loop) == 3001

    def test_found_loop_is_a_loop(self) -> None:
        rng = np.random.default_rng(5)
        for _ in range(200):
            size = int(rng.integers(1, 9))
            reach = rng.random((size, size)) < 0.2
            edges = {str(a): {str(b) for b in np.flatnonzero(reach[a])} for a in range(size)}
            power, cyclic = reach.astype(int), False
            for _ in range(size):
                cyclic = cyclic or bool(np.trace(power))
                power = np.minimum(power @ reach, 1)
            loop = find_loop(edges)
            assert (loop is not None) == cyclic
            if loop is not None:
                assert loop[0] == loop[-1]
                assert all(b in edges[a] for a, b in pairwise(loop))
                assert len(set(loop)) == len(loop) - 1
