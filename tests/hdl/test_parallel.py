# amaranth: UnusedElaboratable=no
"""The parallel core against the reference: every spike, every state word, every counter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Fragment

from spikec.backends.fpga.host import Script, read_info
from spikec.hdl.core import Core
from spikec.hdl.cycles import StepCycles, commit_stages, parallel_cycles
from spikec.hdl.device import Device, core_of
from spikec.hdl.image import CoreImage, ImageError
from spikec.hdl.parallel import ParallelCore
from spikec.hdl.protocol import (
    INFO_BYTES,
    ErrorCode,
    InfoReply,
    Opcode,
    events,
    read_burst,
    write_burst,
)
from spikec.hdl.shape import OVERFLOWS, ROUNDINGS, CoreShape, Memory, ParallelShape, ShapeError
from spikec.hdl.terms import depth, terms_of

from .bench import run_core, run_device
from .covering import Row, covering_array, interactions
from .equal import Seen, expected
from .images import random_image, random_shape, random_steps
from .reference import Reference, run
from .test_covering import STEPS, image_of

# What only says how memories are built is left as it is.
REST: dict[str, Any] = {
    **{"units": 1, "storage": "pipelined", "wheel": (4, 4)},
    # What a circuit does not have.
    "threshold": None,
}
FACTORS: dict[str, tuple[Any, ...]] = {
    "neuron": ("if", "lif", "cuba", "cuba_old"),
    "reset": ("none", "value", "subtract", "two_phase"),
    "leak": ("shift", "multiplied"),
    "parameters": ("fixed", "table"),
    "beats": (1, 2),
    "weight_bits": (2, 8),
    "state_bits": (8, 16),
    "addressing": ("row", "segments", "word", "lane"),
    "wheel": ((1, 1), (4, 4)),
    "rounding": ROUNDINGS,
    "overflow": OVERFLOWS,
    "refractory": (0, 2),
    "bias": ("none", "each", "first"),
    "start": (0, 2),
    "recurrent": (False, True),
    "arrival": ("before", "ahead"),
}


def constant(image: CoreImage, input_bits: int) -> CoreImage:
    """The same network as a circuit."""
    values = {field.name: getattr(image.shape, field.name) for field in fields(CoreShape)}
    shape = ParallelShape(**values, input_bits=input_bits)
    arrays = {f.name: getattr(image, f.name) for f in fields(CoreImage) if f.name != "shape"}
    return CoreImage(shape, **arrays)


def plain(shape: CoreShape) -> CoreShape:
    """A shape without what a circuit does not have."""
    added = ("adapt_inc", "adapt_shift", "adapt_timer", "adapt_phase", "leak", "v_leak")
    recovery = ("curve", "couple", "rate", "jump", "again")
    fixed = replace(shape.fixed, **dict.fromkeys((*added, *recovery)))
    return replace(shape, timers=None, linear=False, quadratic=0, fixed=fixed)


def counted(steps: Sequence[Sequence[int]]) -> int:
    """Bits that count the events of any line in any step."""
    return max(max(Counter(step).values(), default=1) for step in steps).bit_length()


def check(image: CoreImage, steps: Sequence[Sequence[int]], *, ahead: bool = False) -> Seen:
    """Compare a run with the reference; with ``ahead`` events come while the step before commits.

    Events that come so are not counted.
    """
    shape, reference, seen = image.shape, Reference(image), Seen()
    assert isinstance(shape, ParallelShape)
    commit = parallel_cycles(shape, depth(terms_of(image)))
    records = run_core(image, steps, ahead=ahead)
    assert len(records) == len(steps)
    for number, (record, sources) in enumerate(zip(records, steps, strict=True)):
        for source in sources:
            reference.event(source)
        assert record.step == reference.step
        trace, emitted, _ = reference.tick()
        assert record.trace == trace, f"step {number}"
        assert record.spikes == emitted, f"step {number}"
        assert len(sources) <= commit
        free = ahead and number > 0
        assert record.cycles == StepCycles(0 if free else len(sources), commit), f"step {number}"
        seen.note(trace)
    seen.reach = reference.reach
    return seen


@cache
def rows() -> list[Row]:
    return covering_array(FACTORS, 2, lambda _: True, tries=20)


def image_at(number: int) -> CoreImage:
    # A seed by which the few neurons of every row come to both rails.
    return image_of(REST | rows()[number], np.random.default_rng(number + 3))


def test_the_array_covers_all_pairs() -> None:
    needed = interactions(FACTORS, 2, lambda _: True)
    for row in rows():
        levels = {name: FACTORS[name].index(value) for name, value in row.items()}
        needed = {one for one in needed if any(levels[n] != k for n, k in one)}
    assert not needed


@pytest.mark.parametrize("part", range(4))
def test_every_pair_of_options_is_bit_exact(part: int) -> None:
    for number in range(part, len(rows()), 4):
        image = constant(image_at(number), counted(STEPS))
        check(image, STEPS, ahead=rows()[number]["arrival"] == "ahead")


def test_both_rails_are_reached() -> None:
    """In each row v is past the upper rail and past the lower one, and u if there is one."""
    spikes = 0
    for number, row in enumerate(rows()):
        seen, half = expected(image_at(number), STEPS), 1 << (row["state_bits"] - 1)
        for name in ("v", "u") if row["neuron"].startswith("cuba") else ("v",):
            assert seen.passes(name, row["state_bits"]) == (True, True), row
        if row["overflow"] == "saturate":
            assert seen.v[0] == -half, row
            if row["reset"] == "none":
                assert seen.v == (-half, half - 1), row
        assert (seen.spikes > 0) == (row["reset"] != "none"), row
        spikes += seen.spikes
    assert spikes > 200


def random_network(seed: int, steps: int) -> tuple[CoreImage, list[list[int]]]:
    """A random image of at most 30 neurons, and events for it."""
    rng = np.random.default_rng(seed)
    shape = plain(random_shape(rng))
    while shape.neurons > 30:
        shape = plain(random_shape(rng))
    image = random_image(shape, rng)
    events_of = random_steps(shape, steps, rng)
    return constant(image, counted(events_of)), events_of


@pytest.mark.parametrize("seed", range(8))
def test_random_images(seed: int) -> None:
    image, steps = random_network(seed, 6)
    check(image, steps, ahead=bool(seed % 2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 200))
def test_many_random_images(seed: int) -> None:
    image, steps = random_network(seed, 20)
    check(image, steps, ahead=bool(seed % 2))


SHAPE = ParallelShape(
    lanes=1,
    weight_bits=8,
    acc_bits=14,
    state_bits=16,
    neurons=3,
    inputs=2,
    words=6,
    bias=False,
    recurrent=False,
    input_bits=2,
)


def small(shape: ParallelShape = SHAPE) -> CoreImage:
    """Integrators; line 0 reaches all of them, line 1 the first."""
    return CoreImage.padded(
        shape,
        rows_start=[0, 3],
        rows_count=[3, 1],
        weights=[[1], [20], [-30], [5]],
        word_target=[0, 1, 2, 0],
        class_decay_v=[shape.decay_one],
        class_threshold=[100],
        class_v_min=[shape.state_min],
        class_reset=[2],
        class_v_reset=[100],
        class_emit=[1],
    )


def test_a_line_counts_as_far_as_it_can() -> None:
    """Two bits count to three; a fourth event changes nothing."""
    full, more = [0, 0, 0], [0] * 7
    assert [r.trace for r in run_core(small(), [full, [], full])] == [
        r.trace for r in run_core(small(), [more, [], more])
    ]
    check(small(), [full, [1, 1], full, [0, 1, 1, 1]])


def test_one_clear_forgets_everything() -> None:
    """A run after another one is the same: histories, counts and states are cleared."""
    image, steps = random_network(0, 4)
    assert run_core(image, steps)[-1].trace == [r for r, _ in run(image, steps)][-1]
    # `run_core` begins with a clear; what came before it must not matter.
    script = b"".join(events(step) + bytes((Opcode.TICK,)) for step in steps)
    clear = bytes((Opcode.CLEAR,))
    _, trace, _ = run_device(
        Device(image.shape, image), Script(2 * (clear + script), 2 * (len(steps) + 1))
    )
    half = len(trace) // 2
    assert half and trace[:half] == trace[half:]


@pytest.mark.parametrize("terms", [1, 4, 5, 8, 9, 17])
@pytest.mark.parametrize("input_bits", [1, 2, 5])
@pytest.mark.parametrize("cuba", [False, True])
def test_a_level_more_is_a_cycle_more(terms: int, input_bits: int, cuba: bool) -> None:
    shape = replace(SHAPE, inputs=terms, words=terms, input_bits=input_bits, cuba=cuba)
    image = CoreImage.padded(
        shape,
        rows_start=range(terms),
        rows_count=[1] * terms,
        weights=np.arange(1, terms + 1)[:, None],
        class_decay_v=[shape.decay_one],
        class_v_min=[shape.state_min],
    )
    levels = {1: 1, 4: 1, 5: 2, 8: 2, 9: 3, 17: 4}[terms]
    assert depth(terms_of(image)) == levels
    turns = 0 if input_bits == 1 else input_bits + 1
    assert parallel_cycles(shape, levels) == max(levels + turns, 2) + commit_stages(shape) - 3
    check(image, [list(range(terms))[:6], [terms - 1] * ((1 << input_bits) - 1 & 7)])


def test_the_shape_says_which_core() -> None:
    plain = CoreShape(**{f.name: getattr(SHAPE, f.name) for f in fields(CoreShape)})
    for shape, kind in ((SHAPE, ParallelCore), (plain, Core)):
        core = core_of(shape)
        assert type(core) is kind
        Fragment.get(core, None)  # it complains if it is never used
    assert plain != SHAPE and not plain.constant and SHAPE.constant
    assert repr(plain).startswith("CoreShape(")
    with pytest.raises(ShapeError, match="input_bits"):
        replace(SHAPE, input_bits=0)
    with pytest.raises(ImageError):
        ParallelCore(SHAPE, CoreImage.empty(plain))


@pytest.mark.parametrize("memory", [Memory.WEIGHTS, Memory.POTENTIALS, Memory.DIGEST])
def test_nothing_can_be_loaded(memory: Memory) -> None:
    """A WRITE is refused with the protocol's error, and the device stays what it was."""
    device = Device(SHAPE, small())
    size = SHAPE.word_bytes(memory)
    replies, _, _ = run_device(device, Script(write_burst(memory, 0, 1, bytes(size)), 1))
    assert replies == bytes((Opcode.ERROR, ErrorCode.BAD_MEMORY))
    begin = bytes((Opcode.BEGIN,))
    replies, _, _ = run_device(device, Script(begin, 1))
    assert replies == bytes((Opcode.ERROR, ErrorCode.BAD_CONFIGURATION))


def test_the_digest_says_which_network_it_is() -> None:
    image = small()
    ask = read_info() + Script(read_burst(Memory.DIGEST, 0, 1), 1, (8,))
    replies, _, _ = run_device(Device(SHAPE, image), ask)
    said = InfoReply.decode(replies[1 : 1 + INFO_BYTES])
    assert said.configured
    assert replies[-8:] == image.digest
