"""Lowering: where everything lies in a core, and that its image is the graph."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.backends.fpga.lower import Build, LoweredCore, channels_last, lower, place
from spikec.compiler.connectivity import to_sparse
from spikec.hdl.image import ImageError
from spikec.hdl.shape import CoreShape, Reset
from spikec.ir.connections import Chain, Connection, Conv2d, Dense, Flatten, Sparse
from spikec.ir.diagnostics import SpikecError
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics, Rounding

from .expand import expanded
from .networks import random_case

STATE = Format(16, rounding=Rounding.DOWN)


def neuron(**changes: Any) -> IntegerNeuron:
    plain: dict[str, Any] = {
        "numerics": Numerics(Format(6), STATE, 12, 20),
        "source_model": "LIF",
        "scale": 1.0,
        "shift": 0,
        "decay_v": 3500,
        "threshold": 100,
        "bias": 0,
        "v_min": STATE.low,
        "v_reset": 100,
        "reset": "subtract",
    }
    return IntegerNeuron(**(plain | changes))


def population(name: str, size: int | tuple[int, ...], **changes: Any) -> Population:
    lag = changes.pop("lag", 0)
    shape = size if isinstance(size, tuple) else (size,)
    return Population(name, shape, neuron(**changes), lag=lag)


def dense(rng: np.random.Generator, pre: int, post: int) -> Dense:
    return Dense(rng.integers(1, 32, (post, pre)))


def chain(
    populations: list[Population], entry: Input | None = None, links: list[Connection] | None = None
) -> Graph:
    """Populations one behind the other, with dense layers unless told otherwise."""
    rng = np.random.default_rng(0)
    entry = entry or Input("in", (5,))
    projections = []
    before: Input | Population = entry
    for k, post in enumerate(populations):
        link = links[k] if links else dense(rng, before.size, post.size)
        projections.append(Projection(f"c{k}", before.name, post.name, link, delay=int(k > 0)))
        before = post
    return Graph(
        "chain",
        1e-3,
        (entry,),
        tuple(populations),
        tuple(projections),
        (Output("out", populations[-1].name),),
    )


def synapses_in(core: LoweredCore) -> Counter[tuple[int, int, int]]:
    """What the image says, source by source."""
    shape, image = core.shape, core.image
    arrays = {name: getattr(image, name) for name in vars(image)}
    return expanded(arrays, shape.addressing, shape.lanes)


def synapses_of(core: LoweredCore) -> Counter[tuple[int, int, int]]:
    """What the graph says, projection by projection."""
    graph, placement = core.graph, core.placement
    sums: Counter[tuple[int, int, int]] = Counter()
    for projection in graph.projections:
        matrix = to_sparse(projection.connection).tocoo()
        post = placement.places(graph.population(projection.post))
        pre = graph.node(projection.pre)
        if isinstance(pre, Population):
            sources = placement.places(pre) + core.shape.inputs
            delay = projection.delay + int(pre.semantics.registered) - 1
        else:
            sources = np.arange(pre.size) + placement.inputs[pre.name]
            delay = projection.delay
        for row, column, weight in zip(matrix.row, matrix.col, matrix.data, strict=True):
            sums[int(sources[row]), delay, int(post[column])] += int(weight)
    return Counter({place: weight for place, weight in sums.items() if weight})


CORES = (
    CoreShape(4, 5, 20, 16, 48, 16, 2048, addressing="word", delays=3, pages=4, classes=64),
    CoreShape(6, 5, 20, 16, 48, 16, 2048, addressing="lane", delays=2, classes=64),
    CoreShape(8, 5, 20, 16, 48, 16, 2048, 4, 999, addressing="row", delays=4, pages=4, classes=64),
    CoreShape(12, 5, 20, 16, 48, 16, 2048, addressing="row", classes=64, refractory_bits=2),
)


@pytest.mark.parametrize("shape", CORES, ids=["word", "lane", "segments", "row"])
@pytest.mark.parametrize("seed", range(25))
def test_the_image_is_the_graph(shape: CoreShape, seed: int) -> None:
    """Every synapse of a random network, on a given core and on the smallest one."""
    graph = random_case(seed, shape).graph
    build = Build(shape.lanes, shape.units)
    given, made = lower(graph, build, shape=shape), lower(graph, build)
    for core in (given, made):
        assert synapses_in(core) == synapses_of(core)
        image = core.image
        for p in graph.populations:
            own = p.neuron
            assert isinstance(own, IntegerNeuron)
            places = core.placement.places(p)
            assert len(set(places)) == p.size and places.max() < core.shape.neurons
            classes = image.neuron_class[places // core.shape.units]
            for name in ("decay_v", "threshold", "v_min", "v_reset", "shift", "refractory"):
                wanted = np.broadcast_to(np.asarray(getattr(own, name)), p.shape).ravel()
                assert np.array_equal(getattr(image, f"class_{name}")[classes], wanted), name
            bias = np.broadcast_to(np.asarray(own.bias), p.shape).ravel()
            assert np.array_equal(image.bias[places], bias)
            assert (image.class_start[classes] == p.lag).all()
    # No other form of the same rows takes a fifth fewer cycles.
    assert 0.8 * made.words.issued.sum() <= given.words.issued.sum()
    assert made.shape.distance == made.words.distance


def test_populations_begin_with_whole_units_and_need_no_more_groups() -> None:
    graph = chain([population("a", 10), population("b", 7), population("c", 8)])
    placement, lines, neurons = place(graph, 8, 1)
    # b does not fit beside a without a third group; c fits behind neither.
    assert placement.neurons == {"a": 0, "b": 16, "c": 24}
    assert (lines, neurons) == (5, 32)
    placement, _, neurons = place(chain([population("a", 10), population("b", 6)]), 8, 4)
    assert placement.neurons == {"a": 0, "b": 16}
    placement, _, neurons = place(chain([population("a", 10), population("b", 4)]), 8, 4)
    assert placement.neurons == {"a": 0, "b": 12}
    assert neurons == 16


def test_input_lines_follow_each_other() -> None:
    graph = replace(
        chain([population("a", 3)]),
        inputs=(Input("in", (5,)), Input("more", (2, 2))),
    )
    placement, lines, _ = place(graph, 4, 1)
    assert placement.inputs == {"in": 0, "more": 5}
    assert lines == 9


def test_channels_of_a_convolution_lie_side_by_side() -> None:
    """(channel, y, x) goes to (y W + x) C + channel; what is only dense stays as it is."""
    rng = np.random.default_rng(1)
    convolution = Conv2d(rng.integers(1, 9, (4, 1, 2, 2)), (1, 3, 4))
    flat = Chain((Flatten((4, 2, 3)), dense(rng, 24, 5)))
    graph = chain(
        [population("conv", (4, 2, 3)), population("out", 5)],
        Input("in", (1, 3, 4)),
        [convolution, flat],
    )
    order = channels_last(graph, graph.population("conv"))
    assert order is not None
    channel, y, x = np.unravel_index(np.arange(24), (4, 2, 3))
    assert np.array_equal(order, (y * 3 + x) * 4 + channel)
    assert channels_last(graph, graph.population("out")) is None
    core = lower(graph, Build(4))
    assert core.placement.order.keys() == {"conv"}
    assert synapses_in(core) == synapses_of(core)


def test_a_convolution_keeps_its_kernel() -> None:
    """Four channels are a word: 2 x 2 taps, whole, and cut off at the left and the right."""
    rng = np.random.default_rng(1)
    convolution = Conv2d(rng.integers(1, 9, (4, 1, 2, 2)), (1, 16, 16))
    graph = chain([population("conv", (4, 15, 15))], Input("in", (1, 16, 16)), [convolution])
    core = lower(graph, Build(4))
    assert core.words.addressing == "row" and core.shape.segments
    assert core.words.padding == 0
    assert core.shape.words == 2 * (2 + 1 + 1)
    assert synapses_in(core) == synapses_of(core)


def test_a_delay_of_a_hop_is_one_less_in_the_core() -> None:
    graph = chain([population("a", 4), population("b", 4)])
    graph = replace(
        graph, projections=(graph.projections[0], replace(graph.projections[1], delay=3))
    )
    core = lower(graph, Build(4))
    assert core.words.delays == 3
    assert core.shape.delays == 3 and core.shape.pages == 4 and core.shape.overlaps
    assert synapses_in(core) == synapses_of(core)
    with pytest.raises(SpikecError, match="takes 0 step"):
        lower(
            replace(
                graph, projections=(graph.projections[0], replace(graph.projections[1], delay=0))
            ),
            Build(4),
        )


@pytest.mark.parametrize("units", [1, 2, 4])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"threshold": -3, "reset": "zero"},
        {"v_min": 5},
        {"bias": 17},
        {"bias": 17, "bias_first": 90},
        {"reset": "none"},
    ],
    ids=str,
)
def test_neurons_that_fill_up_stay_silent(parameters: dict[str, Any], units: int) -> None:
    """Whatever their neighbours do: at rest they stay at zero and never spike."""
    graph = chain([population("a", 4, **parameters), population("b", 8), population("c", 5)])
    if units == 4:
        graph = chain([population("a", 8, **parameters), population("b", 4)])
    core = lower(graph, Build(16, units))
    image, shape = core.image, core.shape
    own = np.zeros(shape.neurons, bool)
    for p in graph.populations:
        own[core.placement.places(p)] = True
    assert (~own).any()
    fillers = np.flatnonzero(~own)
    classes = image.neuron_class[fillers // units]
    assert not image.bias[fillers].any() and not image.first_bias[fillers].any()
    silent = image.class_reset[classes] == Reset.NONE
    assert (silent | (image.class_threshold[classes] >= 0)).all()
    assert (image.class_v_min[classes] <= 0).all()
    assert not own.size or not {t for _, _, t in synapses_in(core)} & set(fillers.tolist())


def test_parameters_that_differ_in_a_beat_are_refused() -> None:
    graph = chain([population("a", 8, threshold=np.arange(100, 108))])
    assert lower(graph, Build(8)).shape.classes == 8
    with pytest.raises(SpikecError, match="different parameters, and 2 neurons commit") as caught:
        lower(graph, Build(8, units=2))
    assert caught.value.diagnostics[0].code == "E0301"
    assert "--units 1" in str(caught.value.diagnostics[0].hint)
    # A bias is each neuron's own.
    lower(chain([population("a", 8, bias=np.arange(8))]), Build(8, units=2))
    # Those of whole beats may differ.
    pairs = np.repeat([100, 200, 300, 400], 2)
    core = lower(chain([population("a", 8, threshold=pairs)]), Build(8, units=2))
    assert core.shape.classes == 4


def test_what_all_neurons_share_becomes_part_of_the_circuit() -> None:
    graph = chain([population("a", 8, threshold=np.arange(100, 108))])
    fixed = lower(graph, Build(8)).shape.fixed
    assert fixed.decay_v == 3500 and fixed.threshold is None and fixed.start == 0
    assert fixed.decay_u is None
    assert lower(graph, Build(8, fixed=False)).shape.fixed.decay_v is None
    assert not lower(graph, Build(8)).shape.bias
    assert lower(chain([population("a", 8, bias=1)]), Build(8)).shape.bias


def test_a_feed_forward_core_has_no_rows_for_neurons() -> None:
    assert not lower(chain([population("a", 8)]), Build(8)).shape.recurrent
    assert lower(chain([population("a", 8), population("b", 8)]), Build(8)).shape.recurrent


def test_small_accumulators_are_registers() -> None:
    shape = lower(chain([population("a", 8)]), Build(8)).shape
    assert (shape.storage, shape.pages) == ("registers", 1)
    assert lower(chain([population("a", 16)]), Build(8)).shape.storage == "block"
    distributed = Build(8, distributed=True)
    assert lower(chain([population("a", 16)]), distributed).shape.storage == "distributed"
    fast = Build(8, distributed=True, fast=True)
    assert lower(chain([population("a", 40)]), fast).shape.storage == "pipelined"


def test_a_core_that_is_too_small_is_refused() -> None:
    graph = chain([population("a", 8), population("b", 8)])
    core = lower(graph, Build(4))
    for shape in (
        replace(core.shape, words=core.shape.words - 1),
        replace(core.shape, neurons=12),
        replace(core.shape, recurrent=False),
    ):
        with pytest.raises(ImageError):
            lower(graph, Build(4), shape=shape)
    # The row of a line too many would be a neuron's.
    with pytest.raises(SpikecError, match="5 input lines, the core 4"):
        lower(graph, Build(4), shape=replace(core.shape, inputs=4))


def test_a_core_that_cannot_say_it_is_refused() -> None:
    """One run a source, or words further apart than they are."""
    post = np.array([0, 1, 14, 15], np.int32)
    gap = Sparse(1, 16, np.array([0, 4]), post, np.array([1, 2, 3, 4]))
    graph = chain([population("a", 16)], Input("in", (1,)), [gap])
    shape = replace(
        CORES[0], addressing="row", delays=1, pages=2, neurons=16, lanes=4, weight_bits=6
    )
    with pytest.raises(SpikecError, match="2 runs"):
        lower(graph, Build(4), shape=shape)
    lower(graph, Build(4), shape=replace(shape, segments=4))
    with pytest.raises(SpikecError, match="1 cycle\\(s\\) apart; the core needs 2"):
        lower(graph, Build(4), shape=replace(shape, segments=4, distance=2))


def test_only_outputs_emit_unless_told_otherwise() -> None:
    graph = chain([population("a", 4), population("b", 4)])
    for emit, wanted in ((None, (0, 1)), (("a",), (1, 0)), (("a", "b"), (1, 1)), ((), (0, 0))):
        core = lower(graph, Build(4, fixed=False), emit)
        image = core.image
        found = [
            int(image.class_emit[image.neuron_class[core.placement.neurons[name]]])
            for name in ("a", "b")
        ]
        assert tuple(found) == wanted


def test_a_population_decays_its_thresholds_from_its_own_first_step_on() -> None:
    graph = chain(
        [
            population("a", 4, adapt_inc=5, adapt_shift=2, adapt_period=3),
            population("b", 4, adapt_inc=7, adapt_shift=2, adapt_period=3, lag=1),
            population("c", 4, adapt_inc=0, adapt_shift=2, adapt_period=2, lag=2),
            population("d", 4, adapt_inc=7, adapt_shift=2, adapt_period=0),
            population("e", 4),
        ]
    )
    core = lower(graph, Build(4))
    shape, image = core.shape, core.image
    assert shape.timers == (2, 3)
    assert shape.fixed.adapt_shift == 2 and shape.fixed.adapt_timer is None
    found = {}
    for name in "abcde":
        c = image.neuron_class[core.placement.neurons[name]]
        columns = (image.class_adapt_inc, image.class_adapt_timer, image.class_adapt_phase)
        found[name] = tuple(int(column[c]) for column in columns)
    # Every third step from step 0 on are steps 2, 5, ..; from step 1 on 3, 6, ..
    assert found["a"] == (5, 1, 2)
    assert found["b"] == (7, 1, 0)
    assert found["c"] == (0, 0, 1)
    # Never: no step modulo the period is the period itself.
    assert found["d"] == (7, 0, 2)
    # Adds nothing, so that its timer is anybody's.
    assert found["e"][0] == 0


def test_one_adaptation_for_all_is_part_of_the_circuit() -> None:
    same = {"adapt_inc": 5, "adapt_shift": 2, "adapt_period": 1}
    shape = lower(chain([population("a", 4, **same), population("b", 4, **same)]), Build(4)).shape
    assert shape.timers == (1,)
    fixed = shape.fixed
    assert (fixed.adapt_inc, fixed.adapt_shift, fixed.adapt_phase) == (5, 2, 0)
    beside = lower(chain([population("a", 4, **same), population("b", 4)]), Build(4)).shape
    assert (beside.fixed.adapt_shift, beside.fixed.adapt_phase) == (2, 0)
    assert beside.fixed.adapt_inc is None
    still = lower(chain([population("a", 4, adapt_inc=5, adapt_period=0)]), Build(4)).shape
    assert still.timers == () and still.fixed.adapt_inc == 5 and still.fixed.adapt_shift is None
    plain = lower(chain([population("a", 4)]), Build(4)).shape
    assert plain.timers is None and plain.fixed.adapt_inc is None


def test_a_core_whose_thresholds_do_not_adapt_so_is_refused() -> None:
    graph = chain([population("a", 4, adapt_inc=5, adapt_shift=2, adapt_period=3)])
    own = replace(lower(graph, Build(4, fixed=False)).shape, recurrent=True)
    assert lower(graph, Build(4), shape=own).image.class_adapt_phase.tolist() == [2]
    for timers, has in ((None, "none"), ((), "0"), ((2, 4), "2, 4")):
        shape = replace(own, timers=timers)
        with pytest.raises(
            SpikecError, match=rf"period of 3 step\(s\); the core has {has}\n"
        ) as no:
            lower(graph, Build(4), shape=shape)
        assert no.value.diagnostics[0].code == "E0302"


def test_a_linear_leak_for_all_is_part_of_the_circuit() -> None:
    whole = {"decay_v": 4096, "leak": 3}
    shape = lower(chain([population("a", 4, **whole), population("b", 4, **whole)]), Build(4)).shape
    assert shape.linear
    assert (shape.fixed.decay_v, shape.fixed.leak, shape.fixed.v_leak) == (4096, 3, 0)
    beside = lower(chain([population("a", 4, v_leak=7, **whole), population("b", 4)]), Build(4))
    # What does not leak takes the goal of those that do.
    assert (beside.shape.fixed.leak, beside.shape.fixed.v_leak) == (None, 7)
    assert sorted(beside.image.class_leak.tolist()) == [0, 3]
    plain = lower(chain([population("a", 4)]), Build(4)).shape
    assert not plain.linear and plain.fixed.leak is plain.fixed.v_leak is None


RECOVERY = {
    **{"decay_v": 3686, "curve": 41943, "couple": 410, "rate": 1311, "jump": 512},
    **{"reset": "value", "v_reset": -50, "substeps": 2},
}


def test_a_recovery_makes_the_core_quadratic() -> None:
    lone = lower(chain([population("a", 4, **RECOVERY)]), Build(4))
    assert lone.shape.quadratic == 2 and lone.shape.has_u and not lone.shape.cuba
    fixed = lone.shape.fixed
    assert (fixed.decay_v, fixed.jump, fixed.again) == (3686, 512, 1)
    # What is multiplied stays in memory.
    assert fixed.curve is fixed.couple is fixed.rate is None
    assert [getattr(lone.image, f"class_{n}").tolist() for n in ("curve", "couple", "rate")] == [
        [41943],
        [410],
        [1311],
    ]
    beside = lower(chain([population("a", 4, **RECOVERY), population("b", 4)]), Build(4))
    assert sorted(beside.image.class_again.tolist()) == [0, 1]
    assert sorted(beside.image.class_curve.tolist()) == [0, 41943]
    plain = lower(chain([population("a", 4)]), Build(4)).shape
    assert not plain.quadratic and plain.fixed.jump is plain.fixed.again is None


def test_a_core_that_advances_less_often_is_refused() -> None:
    graph = chain([population("a", 4, **RECOVERY)])
    core = lower(graph, Build(4), shape=replace(CORES[0], weight_bits=6, quadratic=3))
    assert core.image.class_again.max() == 1
    for quadratic in (0, 1):
        with pytest.raises(SpikecError, match="advance 2 time") as caught:
            lower(graph, Build(4), shape=replace(CORES[0], quadratic=quadratic))
        assert caught.value.diagnostics[0].code == "E0302"


def test_places_without_a_neuron_do_not_leak_into_a_spike() -> None:
    quiet = population("a", 3, decay_v=4096, leak=3, v_leak=90, threshold=100)
    loud = population("a", 3, decay_v=4096, leak=3, v_leak=120, threshold=100)
    for given, classes in ((quiet, 1), (loud, 2)):
        core = lower(chain([given]), Build(4, fixed=False))
        assert core.shape.classes == classes
        last = core.image.neuron_class[3]
        assert (core.image.class_reset[last] == Reset.NONE) == (given is loud)
