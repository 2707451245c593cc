"""The core against the reference: every spike, every state word, every counter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from amaranth.sim import SimulatorContext

from spikec.hdl.core import Core
from spikec.hdl.cycles import scan_words
from spikec.hdl.image import CoreImage, unpack
from spikec.hdl.layouts import Request
from spikec.hdl.memories import STATE
from spikec.hdl.shape import (
    ADDRESSINGS,
    OVERFLOWS,
    ROUNDINGS,
    STORAGES,
    Addressing,
    CoreShape,
    Memory,
    NeuronClass,
    Overflow,
    Reset,
    Rounding,
    Storage,
    index_bits,
)

from .bench import put, simulate
from .equal import Seen, check_equal
from .images import random_image, random_shape, random_steps
from .reference import Reference


def some(first: int, fast: int, last: int) -> list[Any]:
    """Seeds, of which those from ``fast`` on are slow."""
    quick = list(range(first, fast))
    return quick + [pytest.param(seed, marks=pytest.mark.slow) for seed in range(fast, last)]


def check_seed(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    shape = random_shape(rng)
    image = random_image(shape, rng)
    if shape.first_bias:
        # When the step counter wraps, a group at rest does not notice that it starts anew.
        steps = min(steps, 1 << shape.step_bits)
    check_equal(image, random_steps(shape, steps, rng), ahead=bool(seed % 2))


@pytest.mark.parametrize("seed", range(6))
def test_random_images(seed: int) -> None:
    check_seed(seed, 8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 260))
def test_many_random_images(seed: int) -> None:
    check_seed(seed, 20)


SHAPE = CoreShape(
    lanes=4,
    weight_bits=8,
    acc_bits=14,
    state_bits=10,
    neurons=8,
    inputs=4,
    words=32,
    classes=4,
    shift_bits=2,
    decay_bits=4,
)
EVERY_RESET = [int(reset) for reset in Reset]


@pytest.mark.parametrize("overflow", OVERFLOWS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_all_resets_at_the_rails(rounding: Rounding, overflow: Overflow) -> None:
    """Weights of both extremes drive the state past both rails, up and down."""
    shape = replace(SHAPE, rounding=rounding, overflow=overflow, cuba=True)
    image = CoreImage.padded(
        shape,
        rows_start=[0, 2],
        rows_count=[2, 2],
        weights=[[127] * 4, [127, 126, 1, 0], [-128] * 4, [-128, -127, -1, 0]],
        word_target=[0, 1, 0, 1],
        neuron_class=[0, 1, 2, 3, 0, 1, 2, 3],
        bias=[1, -1, 3, -3, 0, 5, 7, 9],
        class_decay_v=[13, 16, 15, 11],
        class_decay_u=[9, 0, 16, 15],
        class_order_old=[0, 0, 1, 1],
        class_shift=[2, 0, 1, 2],
        class_threshold=[100, 50, 200, 60],
        class_v_reset=[0, -20, 0, 0],
        class_v_min=[-512, -512, -100, -512],
        class_reset=EVERY_RESET,
        class_emit=[1, 1, 1, 1],
    )
    steps = [[0], [0, 0], [], [0], [1, 1], [], [1], [0, 0, 0], [1], []]
    seen = check_equal(image, steps)
    assert seen.spikes > 5
    if overflow == "saturate":
        assert seen.v == seen.u == (-512, 511)


def test_words_for_the_same_place_back_to_back() -> None:
    """Sums run through the bypass within a row, between rows, and past a gap of one."""
    image = CoreImage.padded(
        replace(SHAPE, state_bits=16),
        rows_start=[0, 4, 5, 0],
        rows_count=[4, 1, 3, 0],
        weights=[[1, 2, 3, 4], [10, 20, 30, 40], [127] * 4, [-128] * 4] * 2,
        word_target=[0, 0, 0, 0, 0, 0, 1, 0],
        class_decay_v=[16],
    )
    check_equal(image, [[0], [1, 1, 1], [2, 1, 2], [0, 1, 2, 3, 0], [3, 3]])


@pytest.mark.parametrize(
    ("storage", "distance"),
    [
        *(("distributed", distance) for distance in (1, 2)),
        *(("block", distance) for distance in (1, 2)),
        *(("pipelined", distance) for distance in (1, 2, 3, 4, 5)),
    ],
)
def test_no_sum_is_lost_at_any_distance(storage: Storage, distance: int) -> None:
    """Runs of so many words for groups in turn, back to back: the nearest the shape allows.

    What a run leaves behind in the pipeline meets the next run, the sweep and the page after it.
    """
    groups = max(distance, 3)
    shape = CoreShape(
        lanes=2,
        weight_bits=6,
        acc_bits=12,
        state_bits=20,
        neurons=2 * groups,
        inputs=3,
        words=3 * distance,
        addressing="row",
        storage=storage,
        distance=distance,
        bias=False,
        decay_bits=4,
    )
    rng = np.random.default_rng(distance)
    image = CoreImage.padded(
        shape,
        rows_start=[0, distance, 2 * distance],
        rows_count=[distance] * 3,
        # Runs of one word may go anywhere in any order; longer ones start at the same group.
        rows_target=[0, 0, 0 if distance > 1 else 1],
        weights=rng.integers(-32, 32, (3 * distance, 2)),
        class_decay_v=[16],
        class_v_min=[shape.state_min],
    )
    steps = [[0, 0, 1, 2, 0], [], [1], [2, 2], [0], [], [1, 0, 1, 0, 1, 1, 2]]
    seen = check_equal(image, steps, ahead=distance % 2 == 0)
    assert seen.v[0] < 0 < seen.v[1]


def test_registers_take_a_word_every_cycle() -> None:
    shape = replace(SHAPE, neurons=4, storage="registers", pages=1, state_bits=16)
    image = CoreImage.padded(
        shape,
        rows_start=[0, 1, 2, 0],
        rows_count=[1, 1, 2, 0],
        weights=[[1, 2, 3, 4], [-128] * 4, [127] * 4, [0, 1, -1, 5]],
        class_decay_v=[16],
    )
    for ahead in (False, True):
        check_equal(image, [[0, 1, 0, 0], [], [2, 3, 2], [0, 0, 1], []], ahead=ahead)


@pytest.mark.parametrize("addressing", ADDRESSINGS)
@pytest.mark.parametrize("storage", [s for s in STORAGES if s != "registers"])
def test_the_last_word_before_a_tick_wakes_its_group(
    storage: Storage, addressing: Addressing
) -> None:
    """An event right before the tick, for a group at rest, which is looked up at once."""
    shape = CoreShape(
        lanes=2,
        weight_bits=8,
        acc_bits=14,
        state_bits=12,
        neurons=8,
        inputs=3,
        words=3,
        addressing=addressing,
        storage=storage,
        bias=False,
        recurrent=False,
    )
    targets = {"rows_target" if addressing == "row" else "word_target": [0, 3, 2]}
    image = CoreImage.padded(
        shape,
        rows_start=[0, 1, 2],
        rows_count=[1, 1, 1],
        weights=[[5, 6], [7, 8], [9, 9]],
        class_decay_v=[4096],
        **targets,
    )
    steps = [[], [], [0], [], [1], [0], [2], [], [0, 1], [1, 0]]
    assert check_equal(image, steps).passed_over > 0


@pytest.mark.parametrize("pages", [4, 8])
@pytest.mark.parametrize("storage", ["distributed", "block", "pipelined"])
def test_delays_turn_the_wheel(storage: Storage, pages: int) -> None:
    """With a page to spare events are added while a step commits, without one they wait."""
    shape = replace(
        SHAPE,
        delays=4,
        pages=pages,
        lanes=1,
        neurons=5,
        step_bits=3,
        storage=storage,
        classes=1,
    )
    assert shape.overlaps == (pages == 8)
    image = CoreImage.padded(
        shape,
        rows_start=[0, 0, 0, 0, 4, 5, 6, 7],
        rows_count=[4, 0, 0, 0, 1, 1, 1, 1],
        weights=[[100]] * 8,
        word_target=[0, 1, 2, 3, 1, 2, 3, 0],
        word_delay=[0, 1, 2, 3, 0, 3, 2, 1],
        class_threshold=[50],
        class_reset=[Reset.VALUE],
        class_emit=[1],
    )
    steps = [[0], [], [], [], [0], [], [], [], [], []]
    assert check_equal(image, steps, ahead=shape.overlaps).spikes == 18


def test_neurons_start_late_with_a_bias_of_their_own_and_rest_after_a_spike() -> None:
    image = CoreImage.padded(
        replace(SHAPE, first_bias=True, refractory_bits=2, cuba=True),
        rows_start=[0],
        rows_count=[2],
        weights=[[60] * 4] * 2,
        word_target=[0, 1],
        neuron_class=[0, 1, 2, 3, 0, 1, 2, 3],
        bias=[5] * 8,
        first_bias=[-40, 90, 17, 100, 0, 1, 2, 3],
        class_decay_v=[16] * 4,
        class_decay_u=[8] * 4,
        class_threshold=[70] * 4,
        class_reset=[Reset.VALUE, Reset.SUBTRACT, Reset.TWO_PHASE, Reset.VALUE],
        class_refractory=[0, 1, 2, 3],
        class_start=[0, 1, 2, 5],
        class_emit=[1, 0, 1, 1],
    )
    assert check_equal(image, [[0]] * 10).spikes > 10


def test_a_group_that_waits_for_its_start_is_not_at_rest() -> None:
    """Nothing changes in it for three steps; then its bias does."""
    image = CoreImage.padded(
        replace(SHAPE, first_bias=True, classes=1),
        bias=[0] * 4 + [3] * 4,
        first_bias=[0] * 4 + [-90] * 4,
        class_decay_v=[16],
        class_threshold=[511],
        class_v_min=[-512],
        class_start=[3],
    )
    seen = check_equal(image, [[]] * 8)
    assert seen.v == (-90, 0)
    assert seen.groups == [2, 2, 2, 2, 2, 1, 1, 1]


def test_a_core_without_fan_out_still_counts_steps() -> None:
    image = CoreImage.padded(SHAPE, rows_count=[0, 2])
    assert check_equal(image, [[0], [], [0, 0]]).spikes == 0


@pytest.mark.parametrize(("beats", "units"), [(1, 1), (3, 1), (20, 1), (2, 2), (5, 4)])
def test_all_neurons_may_spike_in_one_step(beats: int, units: int) -> None:
    """The lists of spikes hold every neuron, of register and of block memory."""
    neurons = beats * units
    image = CoreImage.padded(
        replace(SHAPE, lanes=units, units=units, neurons=neurons, classes=1),
        rows_start=[0] * (4 + neurons),
        rows_count=[0] * 4 + [1] * neurons,
        weights=[[1] * units],
        bias=[5] * neurons,
        class_reset=[Reset.VALUE],
        class_emit=[1],
    )
    assert check_equal(image, [[]] * 3).spikes == 3 * neurons


def resting(shape: CoreShape, rng: np.random.Generator) -> tuple[CoreImage, list[list[int]]]:
    """Neurons that come to rest and are woken now and then, some with a bias they settle at."""
    classes = {
        "class_decay_v": rng.choice([0, shape.decay_one // 2, shape.decay_one], shape.classes),
        "class_threshold": rng.integers(5, 30, shape.classes),
        "class_v_reset": rng.integers(-4, 6, shape.classes),
        "class_v_min": rng.choice([shape.state_min, -9, 0], shape.classes),
        "class_reset": rng.integers(0, 4, shape.classes),
        "class_emit": rng.integers(0, 2, shape.classes),
        "class_start": rng.choice([0, 0, 2], shape.classes),
    }
    if shape.cuba:
        classes["class_decay_u"] = rng.choice([0, 1, shape.decay_one // 2], shape.classes)
        classes["class_order_old"] = rng.integers(0, 2, shape.classes)
    if shape.refractory_bits:
        limit = 1 << shape.refractory_bits
        classes["class_refractory"] = rng.integers(0, limit, shape.classes)
    fixed = {f.name for f in shape.class_fields if getattr(shape.fixed, f.name) is not None}
    image = random_image(shape, rng)
    kept = {
        name: getattr(image, name)
        for name in vars(image)
        if name not in ("shape", "bias", "first_bias") and not name.startswith("class_")
    }
    if shape.bias:
        kept["bias"] = rng.integers(0, 3, shape.neurons) * (rng.random(shape.neurons) < 0.1)
    kept |= {k: v for k, v in classes.items() if k.removeprefix("class_") not in fixed}
    steps: list[list[int]] = [[] for _ in range(14)]
    for at in rng.choice(14, 4, replace=False):
        steps[at] = [int(rng.integers(shape.inputs))]
    return CoreImage.padded(shape, **kept), steps


@pytest.mark.parametrize(
    ("addressing", "cuba"),
    [
        ("row", False),
        ("word", True),
        ("lane", False),
        *(
            pytest.param(addressing, cuba, marks=pytest.mark.slow)
            for addressing, cuba in (("row", True), ("word", False), ("lane", True))
        ),
    ],
)
def test_groups_at_rest_are_passed_over_and_nothing_is_missed(
    addressing: Addressing, cuba: bool
) -> None:
    """A sparse life: most groups rest in most steps, and every state word is right in each."""
    passed = words = 0
    for seed in (0, 1, 2) if cuba else (1, 2):
        shape = CoreShape(
            lanes=2,
            units=1 + seed % 2,
            weight_bits=5,
            acc_bits=10,
            state_bits=8,
            neurons=2 * (5, 34, 7)[seed],
            inputs=4,
            words=12,
            addressing=addressing,
            classes=3,
            cuba=cuba,
            recurrent=seed != 1,
            delays=3,
            pages=4,
            refractory_bits=2,
            storage=("block", "distributed", "pipelined")[seed],
            rounding=("floor", "nearest_even", "toward_zero")[seed],
        )
        image, steps = resting(shape, np.random.default_rng(seed))
        seen = check_equal(image, steps, ahead=seed == 1)
        passed += seen.passed_over
        words += len(steps) * shape.neurons
    # Where every lane goes its own way, an event wakes all groups for as long as words can wait.
    assert passed > (0 if addressing == "lane" else words / 8)


def test_a_silent_step_is_short() -> None:
    """At most 12 cycles, one for 32 groups, and nothing for groups whose state cannot change."""
    for groups in (1, 32, 65):
        shape = replace(
            SHAPE,
            neurons=4 * groups,
            bias=False,
            classes=1,
            fixed=NeuronClass(decay_v=16, start=0),
        )
        image = CoreImage.padded(
            shape, rows_count=[1], weights=[[3] * 4], class_threshold=[300], class_reset=[1]
        )
        seen = check_equal(image, [[], [], [0], [], []])
        assert seen.groups == [groups, groups, 1, 0, 0]
        for number in (3, 4):
            assert seen.cycles[number].events == 0
            assert seen.cycles[number].commit <= 12 + scan_words(shape)


def test_integrators_without_a_bias_rest_at_once() -> None:
    """What a threshold has not let through stays, and needs no second look."""
    shape = replace(SHAPE, bias=False, classes=1, fixed=NeuronClass(decay_v=16, start=0))
    image = CoreImage.padded(
        shape,
        rows_count=[2],
        weights=[[7, -7, 100, 0], [1, 2, 3, 4]],
        word_target=[0, 1],
        class_threshold=[40],
        class_v_reset=[40],
        class_v_min=[-10],
        class_reset=[Reset.SUBTRACT],
    )
    seen = check_equal(image, [[], [0], [], [], [0], []])
    # A group that has spiked may be above the threshold still.
    assert seen.groups[0] == 2 and seen.groups[1] == 2 and seen.groups[-1] <= 1
    assert seen.spikes > 2


def test_a_membrane_at_its_floor_does_not_hide_a_current() -> None:
    """v stays where it is while u decays: such a group is not at rest."""
    shape = replace(SHAPE, cuba=True, bias=False, classes=1)
    image = CoreImage.padded(
        shape,
        rows_count=[1],
        weights=[[-100] * 4],
        class_decay_v=[8],
        class_decay_u=[14],
        class_threshold=[50],
    )
    seen = check_equal(image, [[], [], [0], [], [], [], []])
    assert seen.v == (0, 0) and seen.u == (-100, 0)


@pytest.mark.parametrize("restless", [0, 1, 3])
def test_one_neuron_keeps_its_group_from_resting(restless: int) -> None:
    """In whichever beat of the group it is."""
    shape = replace(SHAPE, neurons=4, classes=1)
    image = CoreImage.padded(
        shape,
        bias=[3 * (n == restless) for n in range(4)],
        class_decay_v=[16],
        class_threshold=[511],
    )
    assert check_equal(image, [[]] * 6).v == (0, 18)


def test_a_fixed_subtraction_may_overflow() -> None:
    """Above a threshold so low that what is left is below the rail."""
    for overflow in OVERFLOWS:
        fixed = NeuronClass(threshold=-500, v_reset=300, reset=Reset.SUBTRACT, v_min=-512)
        shape = replace(SHAPE, classes=1, fixed=fixed, overflow=overflow, bias=False)
        image = CoreImage.padded(
            shape, rows_count=[4], weights=[[-100, -120, -50, 0]] * 4, class_decay_v=[16]
        )
        seen = check_equal(image, [[0], [], [], [0], []])
        assert seen.spikes > 4 and seen.passes("left", shape.state_bits)[0]


def lives(
    image: CoreImage, first: list[list[int]], second: list[list[int]], *, busy: bool
) -> tuple[list[Any], list[Any]]:
    """Traces of a life, and of one after a CLEAR, with events of a step never ticked before it."""
    core = Core(image.shape, image)
    traces: list[list[Any]] = []

    async def watch(ctx: SimulatorContext) -> None:
        out = core.trace
        sampled = ctx.tick().sample(out.valid, out.step, out.index, out.v, out.u, out.spike)
        async for _, _, valid, step, index, v, u, spike in sampled:
            if valid:
                traces[-1].append((step, index, tuple(v), tuple(u), spike))

    async def drive(ctx: SimulatorContext) -> None:
        ctx.set(core.spikes.ready, 1)
        ctx.set(core.done.ready, 1)
        for number, steps in enumerate((first, second)):
            await put(ctx, core.requests, Request.CLEAR)
            await ctx.tick().until(core.done.valid)
            traces.append([])
            for events in steps:
                for source in events:
                    await put(ctx, core.events, source)
                await put(ctx, core.requests, Request.TICK)
                await ctx.tick().until(core.done.valid)
            if number == 0 and busy:
                for source in range(image.shape.inputs):
                    await put(ctx, core.events, source)

    simulate(core, drive, background=(watch,))
    return traces[0], traces[1]


@pytest.mark.parametrize("seed", some(0, 4, 20))
def test_clear_in_mid_life_restores_everything(seed: int) -> None:
    """After it the same events make the same trace, whatever waits in the wheel."""
    rng = np.random.default_rng(1000 + seed)
    shape = random_shape(rng)
    image = random_image(shape, rng)
    steps = random_steps(shape, 6, rng)
    before = random_steps(shape, 5, rng)
    same, again = lives(image, steps, steps, busy=True)
    assert same == again and same
    _, other = lives(image, before, steps, busy=bool(seed % 2))
    assert other == same


@pytest.mark.parametrize("seed", some(0, 2, 12))
def test_fixed_parameters_equal_those_in_memory(seed: int) -> None:
    """The same class as part of the circuit and as a word of memory: the same trace."""
    rng = np.random.default_rng(2000 + seed)
    shape = replace(random_shape(rng), classes=1, fixed=NeuronClass())
    shape = replace(shape, neurons=shape.lanes * min(shape.groups, 4))
    image = random_image(shape, rng)
    arrays = {name: value for name, value in vars(image).items() if isinstance(value, np.ndarray)}
    fields = {
        field.name: int(getattr(image, f"class_{field.name}")[0]) for field in shape.class_fields
    }
    steps = random_steps(shape, 6, rng)
    seen: list[Seen] = []
    few = {name: value for name, value in fields.items() if rng.random() < 0.5}
    for fixed in (fields, few, {}):
        other = replace(shape, fixed=NeuronClass(**fixed))
        assert other.has(Memory.CLASSES, tuple(fields)) == (fixed != fields)
        seen.append(check_equal(CoreImage.padded(other, **arrays), steps))
    assert seen[0].spikes == seen[2].spikes and seen[0].v == seen[2].v


class HostReads:
    """Reads and writes of a host, between steps."""

    def __init__(self, core: Core, shape: CoreShape) -> None:
        self._core, self._shape = core, shape

    async def byte(self, ctx: SimulatorContext, memory: Memory, address: int, at: int) -> int:
        core = self._core
        request = {"memory": memory, "address": address, "byte": at, "write": 0, "data": 0}
        await put(ctx, core.access, request)
        for _ in range(4):
            if ctx.get(core.response.valid):
                return int(ctx.get(core.response.payload))
            await ctx.tick()
        raise AssertionError(f"no answer for {memory.name} {address} {at}")

    async def word(self, ctx: SimulatorContext, memory: Memory, row: int) -> int:
        """A whole word, part by part and byte by byte."""
        shape = self._shape
        value, bits = 0, shape.word_bits(memory)
        parts = shape.parts(memory)
        for part in range(parts):
            address = row << index_bits(parts) | part
            wanted = min(bits, shape.row_bits(memory) - part * bits)
            found = 0
            for at in range(-(-wanted // 8)):
                found |= await self.byte(ctx, memory, address, at) << 8 * at
            value |= found << part * bits
        return value

    async def write(self, ctx: SimulatorContext, memory: Memory, address: int, data: int) -> None:
        request = {"memory": memory, "address": address, "byte": 0, "write": 1, "data": data}
        await put(ctx, self._core.access, request)


def drive_core(core: Core, host: Callable[[SimulatorContext], Any]) -> None:
    async def drive(ctx: SimulatorContext) -> None:
        ctx.set(core.spikes.ready, 1)
        ctx.set(core.done.ready, 1)
        await put(ctx, core.requests, Request.CLEAR)
        await ctx.tick().until(core.done.valid)
        await host(ctx)

    simulate(core, drive)


@pytest.mark.parametrize("seed", some(0, 2, 4))
def test_the_host_reads_what_the_core_holds(seed: int) -> None:
    """Configuration as it was loaded, state as the reference has it, wide words part by part."""
    rng = np.random.default_rng(3000 + seed)
    shape = replace(
        SHAPE,
        lanes=8,
        units=(1, 2, 4, 8)[seed],
        neurons=24,
        words=6,
        cuba=seed % 2 == 0,
        first_bias=True,
        refractory_bits=3,
        bank_bits=16,
        weight_bank_bits=16,
        addressing="row",
        segments=3,
        timers=(2,),
    )
    assert shape.parts(Memory.WEIGHTS) == 4
    image = random_image(shape, rng)
    core, reference = Core(shape, image), Reference(image)

    async def host(ctx: SimulatorContext) -> None:
        reads = HostReads(core, shape)
        for events in random_steps(shape, 4, rng):
            for source in events:
                await put(ctx, core.events, source)
                reference.event(source)
            await put(ctx, core.requests, Request.TICK)
            await ctx.tick().until(core.done.valid)
            reference.tick()
        assert max(reference.v, key=abs) != 0
        for memory in shape.memories:
            if memory in STATE:
                continue
            words = image.pack(memory)
            for row in {0, len(words) // 2, len(words) - 1}:
                assert await reads.word(ctx, memory, row) == words[row], (memory, row)
        for memory, name, values in (
            (Memory.POTENTIALS, "v", reference.v),
            (Memory.CURRENTS, "u", reference.u),
            (Memory.REFRACTORY, "refractory", reference.refractory),
            (Memory.OFFSETS, "h", reference.h),
        ):
            for row in range(shape.rows(memory)):
                word = unpack(shape, memory, await reads.word(ctx, memory, row))
                own = values[row * shape.units : (row + 1) * shape.units]
                assert word[name] == tuple(own), (memory, row)

    drive_core(core, host)


def test_the_host_writes_weights_part_by_part() -> None:
    """A part changes its own bits and no other; what is written is what is added."""
    fixed = NeuronClass(decay_v=16)
    shape = replace(SHAPE, weight_bank_bits=16, bias=False, classes=1, fixed=fixed)
    assert shape.parts(Memory.WEIGHTS) == 3
    image = CoreImage.padded(
        shape, rows_count=[1], weights=[[1, 2, 3, 4]], class_v_min=[-512], class_threshold=[511]
    )
    core = Core(shape, image)

    async def host(ctx: SimulatorContext) -> None:
        reads = HostReads(core, shape)
        await reads.write(ctx, Memory.WEIGHTS, 1, 0xFE_05)
        word = unpack(shape, Memory.WEIGHTS, await reads.word(ctx, Memory.WEIGHTS, 0))
        assert word["weights"] == (1, 2, 5, -2)
        await put(ctx, core.events, 0)
        await put(ctx, core.requests, Request.TICK)
        await ctx.tick().until(core.done.valid)
        state = [await reads.word(ctx, Memory.POTENTIALS, n) for n in range(4)]
        assert state == [1, 2, 5, 1024 - 2]

    drive_core(core, host)


def test_weights_without_readback_answer_nothing_of_theirs() -> None:
    shape = replace(SHAPE, readback=False)
    image = CoreImage.padded(shape, weights=[[127] * 4] * 32)
    core = Core(shape, image)

    async def host(ctx: SimulatorContext) -> None:
        reads = HostReads(core, shape)
        assert await reads.byte(ctx, Memory.WEIGHTS, 0, 0) == 0
        assert await reads.word(ctx, Memory.DIGEST, 0) == int.from_bytes(image.digest, "little")

    drive_core(core, host)
