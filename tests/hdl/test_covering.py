"""Every pair of a core's options, each bit-exact: every state word of every step, at both rails."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from spikec.hdl.image import CoreImage
from spikec.hdl.shape import (
    OVERFLOWS,
    ROUNDINGS,
    STORAGES,
    Addressing,
    CoreShape,
    NeuronClass,
    Reset,
)

from .covering import Row, covering_array, interactions
from .equal import Seen, check_equal, expected

# A readout LI is a LIF that never spikes. "row" has runs of its own, "segments" shares them.
FACTORS: dict[str, tuple[Any, ...]] = {
    "neuron": ("if", "lif", "cuba", "cuba_old", "izhikevich"),
    "reset": ("none", "value", "subtract", "two_phase"),
    # With a linear leak only the second class of a LIF decays.
    "leak": ("shift", "multiplied", "linear"),
    "parameters": ("fixed", "table", "mixed"),
    "units": (1, 2, 4),
    "beats": (1, 2, 3),
    "weight_bits": (2, 8, 16),
    "state_bits": (8, 16, 32),
    "addressing": ("row", "segments", "word", "lane"),
    "storage": STORAGES,
    "wheel": ((1, 1), (1, 2), (3, 4), (4, 4)),
    "rounding": ROUNDINGS,
    "overflow": OVERFLOWS,
    "refractory": (0, 2),
    "bias": ("none", "each", "first"),
    "start": (0, 2),
    "recurrent": (False, True),
    "arrival": ("before", "ahead"),
    # Still, or adaptive: never lowered, in every step, in one period, in two.
    "threshold": (None, (), (1,), (2,), (3, 5)),
}


def allowed(part: Row) -> bool:
    """Registers hold one group in one page; a recovery has no linear leak beside it."""
    if part.get("neuron") == "izhikevich" and part.get("leak") == "linear":
        return False
    return part.get("storage") != "registers" or part.get("wheel", (1, 1)) == (1, 1)


@cache
def rows(strength: int) -> list[Row]:
    return covering_array(FACTORS, strength, allowed, tries=20 if strength == 2 else 2)


def image_of(row: Row, rng: np.random.Generator) -> CoreImage:
    """A core with the options of a row and random contents that reach far."""
    units = row["units"]
    lanes = units * row["beats"]
    delays, pages = row["wheel"]
    groups = 1 if row["storage"] == "registers" else 3
    state_bits, weight_bits = row["state_bits"], row["weight_bits"]
    cuba = row["neuron"].startswith("cuba")
    linear, decays = row["leak"] == "linear", row["neuron"] == "lif"
    decay_bits = 6
    one = 1 << decay_bits
    high = (1 << (state_bits - 1)) - 1
    low = -high - 1
    classes = 1 if row["parameters"] == "fixed" else 3
    # So much that a few words go past the rail.
    shift = max(0, min(state_bits - weight_bits, 31))
    shift_bits = min(5, max(1, shift.bit_length()))
    decay = {
        "if": one,
        "lif": one - (one >> 3) if row["leak"] == "shift" else one * 5 // 7,
    }.get(row["neuron"], one * 3 // 4 if row["leak"] == "shift" else one * 6 // 7)
    reset = {
        "none": Reset.NONE,
        "value": Reset.VALUE,
        "subtract": Reset.SUBTRACT,
        "two_phase": Reset.TWO_PHASE,
    }[row["reset"]]

    def each(*values: int) -> list[int]:
        return [int(value) for value in values[:classes]]

    # What is left of v behind the second and the third class's spikes passes the rails.
    takes = reset in (Reset.SUBTRACT, Reset.TWO_PHASE)
    parameters = {
        "decay_v": each(one if linear else decay, one if linear and not decays else one - 1, one),
        "shift": each(shift, max(0, shift - 1), shift),
        "threshold": each(high // 3, -high * 7 // 8 if takes else high // 2, high // 4),
        "v_reset": each(
            high // 5 if reset is Reset.VALUE else high // 3,
            high * 3 // 4 if takes else low,
            -high * 3 // 4 if takes else high * 3 // 4,
        ),
        "v_min": each(low, low, -high // 3),
        "reset": each(reset, reset, reset),
        "refractory": each(row["refractory"], min(row["refractory"], 1), 0),
        "start": each(row["start"], 0, 0),
        "emit": each(1, 0, 1),
    }
    if linear:
        parameters["leak"] = each(high // 40 + 1, 0 if decays else 1, high // 3)
        parameters["v_leak"] = each(0 if row["units"] == 1 else high // 10, -high // 10, low)
    timers = row["threshold"]
    if timers is not None:
        parameters["adapt_inc"] = each(high // 7, high // 2, high)
    if timers:
        parameters["adapt_shift"] = each(1 if row["leak"] == "shift" else 3, 2, state_bits)
        parameters["adapt_phase"] = each(timers[0] - 1, 1, 0)
    if timers == (3, 5):
        parameters["adapt_timer"] = each(0, 1, 0)
    quadratic = 0
    if row["neuron"] == "izhikevich":
        quadratic = 1 if row["leak"] == "shift" else 3
        again = quadratic - 1
        # The second class stays at a rail, the third spikes from it; one alone goes to and fro.
        at = high // 5
        limits = {
            "decay_v": (decay, 8 * one - 1, -8 * one, -8 * one),
            "threshold": (high // 3, high, high // 2, high // 3),
            "v_reset": (parameters["v_reset"][0], low, low, at),
            "v_min": (low,) * 4,
            "curve": (3 * one, 32 * one - 1, 32 * one - 1, one),
            "couple": (one * 3 // 4, 4 * one - 1, -4 * one, -4 * one),
            "rate": (3 * one, 16 * one - 1, -16 * one, 16 * one - 1),
            "jump": (high // 2, high, low, low),
            "again": (again, 0, again, again),
        }
        parameters |= {
            name: each(*values) if classes > 1 else [values[-1]] for name, values in limits.items()
        }
    if cuba:
        parameters["decay_u"] = each(one // 2 if row["leak"] == "shift" else one * 2 // 3, one, 1)
        parameters["order_old"] = [int(row["neuron"] == "cuba_old")] * classes
    circuit = {
        "fixed": tuple(parameters),
        "table": (),
        # What all classes have in common.
        "mixed": tuple(name for name, values in parameters.items() if len(set(values)) == 1),
    }[row["parameters"]]
    inputs, words = 6, 18
    neurons = lanes * groups
    recurrent = row["recurrent"]
    addressing: Addressing = "row" if row["addressing"] == "segments" else row["addressing"]
    segments = 5 if row["addressing"] == "segments" else 0
    shape = CoreShape(
        lanes=lanes,
        units=units,
        weight_bits=weight_bits,
        acc_bits=weight_bits + 8,
        state_bits=state_bits,
        neurons=neurons,
        inputs=inputs,
        words=words,
        segments=segments,
        addressing=addressing,
        recurrent=recurrent,
        classes=classes,
        fixed=NeuronClass(**{name: parameters[name][0] for name in circuit}),
        bias=row["bias"] != "none",
        first_bias=row["bias"] == "first",
        delays=delays,
        pages=pages,
        storage=row["storage"],
        cuba=cuba,
        refractory_bits=2 if row["refractory"] else 0,
        shift_bits=shift_bits,
        decay_bits=decay_bits,
        rounding=row["rounding"],
        overflow=row["overflow"],
        timers=timers,
        linear=linear,
        quadratic=quadratic,
    )
    arrays: dict[str, Any] = {}
    # Three rows a sign: words 0.. are at the upper rail, 6.. at the lower one, the rest anything.
    top = 1 << (weight_bits - 1)
    weights = rng.integers(-top, top, (words, lanes))
    weights[:6], weights[6:12] = top - 1, -top
    run = min(3, groups)
    begin = np.array([0, 3, 6, 9, 12, 15][:inputs])
    if recurrent:
        begin = np.concatenate([begin, rng.integers(12, words - run + 1, neurons)])
    sources = begin.size
    if addressing != "row":
        target = np.arange(words) % groups
        delay = rng.integers(0, delays, words)
        if addressing == "lane":
            target = (target[:, None] + np.arange(lanes)) % groups
            delay = rng.integers(0, delays, (words, lanes))
        arrays |= {"word_target": target, "word_delay": delay}
        arrays |= {"rows_start": begin, "rows_count": [run] * sources}
    elif segments:
        arrays |= {
            "segment_start": [0, 3, 6, 12, 14],
            "segment_count": [run, run, run, 1, 0],
            "segment_target": [0] * 5,
            "segment_delay": rng.integers(0, delays, 5),
            "rows_start": [0, 1, 2, 2, 3, 0, *rng.integers(0, 4, sources - inputs)],
            "rows_count": [1, 1, 1, 2, 2, 2, *rng.integers(0, 2, sources - inputs)],
        }
    else:
        arrays |= {"rows_start": begin, "rows_count": [run] * sources}
        arrays["rows_delay"] = rng.integers(0, delays, sources)
    if shape.bias:
        arrays["bias"] = rng.integers(-high // 50 - 1, high // 50 + 2, neurons)
    if shape.first_bias:
        arrays["first_bias"] = rng.choice([high, -high - 1, high // 2, 0], neurons)
    beats = neurons // units
    image = CoreImage.padded(
        shape,
        weights=weights,
        neuron_class=rng.permutation(np.arange(beats) % classes),
        **arrays,
        **{f"class_{k}": values for k, values in parameters.items() if k not in circuit},
    )
    # No more bits than what is accumulated needs.
    low, high = expected(image, STEPS).reach["acc"]
    acc_bits = max(weight_bits, 1 + max(high.bit_length(), (-low - 1).bit_length()))
    return replace(image, shape=replace(shape, acc_bits=acc_bits))


STEPS: list[list[int]] = [
    [0],
    [0, 1],
    [4],
    [],
    [2, 3],
    [2, 2, 3],
    [3, 2, 3],
    [5],
    [0, 0, 1, 1],
    [0, 0, 0, 1, 1, 1],
    [0, 1, 0, 1],
    [2, 3, 2, 3],
    [0, 1, 0],
    [],
    [4, 5],
]


def check(strength: int, number: int) -> None:
    row = rows(strength)[number]
    image = image_of(row, np.random.default_rng(number))
    check_equal(image, STEPS, ahead=row["arrival"] == "ahead")


def test_the_array_covers_all_pairs() -> None:
    needed = interactions(FACTORS, 2, allowed)
    for row in rows(2):
        assert allowed(row)
        levels = {name: FACTORS[name].index(value) for name, value in row.items()}
        needed = {one for one in needed if any(levels[n] != k for n, k in one)}
    assert not needed
    # No pair of five and five levels needs fewer than 25.
    assert 25 <= len(rows(2)) <= 40


@pytest.mark.parametrize("part", range(8))
def test_every_pair_of_options_is_bit_exact(part: int) -> None:
    for number in range(part, len(rows(2)), 8):
        check(2, number)


def rails(row: Row, seen: Seen, name: str) -> tuple[bool, bool]:
    """Whether a sum was below what the state of a row's core holds, and above."""
    return seen.passes(name, row["state_bits"])


def test_both_rails_are_reached() -> None:
    """By each variable: v and u in every row that has one, what a spike leaves or adds in some.

    What saturates below is seen there in v; above there is a threshold, unless nothing spikes.
    """
    spiking = 0
    some: dict[str, set[bool]] = {"acc": set(), "left": set(), "jumped": set()}
    offsets = set()
    for number, row in enumerate(rows(2)):
        image = image_of(row, np.random.default_rng(number))
        seen, half = expected(image, STEPS), 1 << (row["state_bits"] - 1)
        assert rails(row, seen, "v") == (True, True), row
        if row["neuron"].startswith("cuba"):
            assert rails(row, seen, "u") == (True, True), row
        elif row["neuron"] == "izhikevich":
            # One that is driven up alone comes down by its spikes.
            both = zip(rails(row, seen, "u"), rails(row, seen, "jumped"), strict=True)
            assert [any(side) for side in both] == [True, True], row
        if row["overflow"] == "saturate":
            assert seen.v[0] == -half or row["neuron"] == "izhikevich", row
            if row["reset"] == "none":
                assert seen.v == (-half, half - 1), row
        # Cut by a bit accumulators would not hold what they are to hold.
        low, high = seen.reach["acc"]
        top = 1 << (image.shape.acc_bits - 2)
        some["acc"] |= {side for side, over in ((False, low < -top), (True, high >= top)) if over}
        assert low < -top or high >= top or image.shape.acc_bits == row["weight_bits"], row
        for name in ("left", "jumped"):
            below, above = rails(row, seen, name)
            some[name] |= {side for side, over in ((False, below), (True, above)) if over}
        if rails(row, seen, "raised")[1]:
            # It may be lowered by a half in the step in which it comes to its rail.
            assert half // 2 - 1 <= seen.h < half, row
            offsets.add(row["threshold"])
        assert (seen.spikes > 0) == (row["reset"] != "none"), row
        assert (seen.h > 0) == (seen.spikes > 0 and row["threshold"] is not None), row
        spiking += seen.spikes
    assert spiking > 500
    assert all(sides == {False, True} for sides in some.values()), some
    assert len(offsets) > 2, offsets


# Recoveries whose numbers are all at the limits of their fields, by rounding.
LIMITS: tuple[Row, ...] = tuple(
    {
        **{"neuron": "izhikevich", "reset": "value", "leak": "shift", "parameters": "table"},
        **{"units": 1, "beats": 2, "weight_bits": 8, "state_bits": bits, "addressing": "word"},
        **{"storage": "distributed", "wheel": (1, 1), "rounding": rounding, "overflow": overflow},
        **{"refractory": 0, "bias": "first", "start": 0, "recurrent": False, "threshold": None},
    }
    for rounding, bits, overflow in zip(
        ROUNDINGS, (32, 16, 16, 16, 32), (*OVERFLOWS, *OVERFLOWS, "saturate"), strict=True
    )
)


@pytest.mark.parametrize("row", LIMITS, ids=lambda row: row["rounding"])
def test_a_recovery_reaches_the_limits_of_its_fields(row: Row) -> None:
    """Each number needs all bits that `CoreShape` gives it: one less and it would be another.

    First biases put v on its rails, from which the two classes with the largest parameters go on.
    """
    image = image_of(row, np.random.default_rng(5))
    shape = image.shape
    neurons = np.arange(shape.neurons)
    rail = np.where(neurons // 3 % 2, shape.state_min, shape.state_max)
    image = replace(image, first_bias=rail, neuron_class=neurons % 3)
    seen = check_equal(image, [[], [], *STEPS])
    one, state = shape.decay_one, shape.state_max + 1
    # v curve / 2^W ends half a unit and a little before +-16.
    low, high = seen.reach["bent"]
    assert high == 16 * one - 1 + (row["rounding"] == "ceil")
    assert low == -16 * one + (row["rounding"] in ("toward_zero", "ceil"))
    # That and a decay of +-8.
    assert seen.reach["factor"] == (low - 8 * one, high + 8 * one - 1)
    # 24 v, -8 v; 4 v.
    assert seen.reach["kept"][1] > 23 * state
    assert seen.reach["goal"][1] == 4 * state
    # It may be 5 v away from there.
    assert seen.reach["part"][0] < -4 * state and seen.reach["part"][1] > 4 * state


@pytest.mark.slow
@pytest.mark.parametrize("part", range(16))
def test_every_triple_of_options_is_bit_exact(part: int) -> None:
    for number in range(part, len(rows(3)), 16):
        check(3, number)
