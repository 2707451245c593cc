"""Every pair of a core's options, each bit-exact: every state word of every step, at both rails."""

from __future__ import annotations

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
from .equal import Seen, check_equal

# A readout LI is a LIF that never spikes. "row" has runs of its own, "segments" shares them.
FACTORS: dict[str, tuple[Any, ...]] = {
    "neuron": ("if", "lif", "cuba", "cuba_old"),
    "reset": ("none", "value", "subtract", "two_phase"),
    "leak": ("shift", "multiplied"),
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
}


def allowed(part: Row) -> bool:
    """Registers hold one group in one page."""
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
    decay_bits = 6
    one = 1 << decay_bits
    high = (1 << (state_bits - 1)) - 1
    classes = 1 if row["parameters"] == "fixed" else 2
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

    parameters = {
        "decay_v": each(decay, one - 1),
        "shift": each(shift, max(0, shift - 1)),
        "threshold": each(high // 3, high // 2),
        "v_reset": each(high // 5 if reset is Reset.VALUE else high // 3, high // 2),
        "v_min": each(-high - 1, -high - 1),
        "reset": each(reset, reset),
        "refractory": each(row["refractory"], min(row["refractory"], 1)),
        "start": each(row["start"], 0),
        "emit": each(1, 0),
    }
    if cuba:
        parameters["decay_u"] = each(one // 2 if row["leak"] == "shift" else one * 2 // 3, one)
        parameters["order_old"] = each(row["neuron"] == "cuba_old", row["neuron"] == "cuba_old")
    circuit = {
        "fixed": tuple(parameters),
        "table": (),
        # What both classes have in common.
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
        acc_bits=weight_bits + 6,
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
    return CoreImage.padded(
        shape,
        weights=weights,
        neuron_class=rng.integers(0, classes, neurons // units),
        **arrays,
        **{f"class_{k}": values for k, values in parameters.items() if k not in circuit},
    )


STEPS = [
    [0],
    [0, 1],
    [4],
    [],
    [2, 3],
    [2, 2, 3],
    [3, 2, 3],
    [5],
    [0, 0, 1, 1],
    [0, 1, 0],
    [],
    [4, 5],
]


@cache
def seen_of(strength: int, number: int) -> Seen:
    row = rows(strength)[number]
    image = image_of(row, np.random.default_rng(number))
    return check_equal(image, STEPS, ahead=row["arrival"] == "ahead")


def test_the_array_covers_all_pairs() -> None:
    needed = interactions(FACTORS, 2, allowed)
    for row in rows(2):
        assert allowed(row)
        levels = {name: FACTORS[name].index(value) for name, value in row.items()}
        needed = {one for one in needed if any(levels[n] != k for n, k in one)}
    assert not needed
    # No pair of five and four levels needs fewer than 20.
    assert 20 <= len(rows(2)) <= 34


@pytest.mark.parametrize("part", range(8))
def test_every_pair_of_options_is_bit_exact(part: int) -> None:
    for number in range(part, len(rows(2)), 8):
        seen_of(2, number)


def test_both_rails_are_reached() -> None:
    """In each row some sum is past the upper rail and some past the lower one.

    What saturates at the lower rail is seen there; above there is a threshold, unless nothing
    spikes.
    """
    spiking = 0
    for number, row in enumerate(rows(2)):
        seen, half = seen_of(2, number), 1 << (row["state_bits"] - 1)
        assert seen.beyond == (True, True), row
        lowest, highest = min(seen.v[0], seen.u[0]), max(seen.v[1], seen.u[1])
        if row["overflow"] == "saturate":
            assert lowest == -half
            if row["reset"] == "none":
                assert highest == half - 1
        assert (seen.spikes > 0) == (row["reset"] != "none"), row
        spiking += seen.spikes
    assert spiking > 500


@pytest.mark.slow
@pytest.mark.parametrize("part", range(16))
def test_every_triple_of_options_is_bit_exact(part: int) -> None:
    for number in range(part, len(rows(3)), 16):
        seen_of(3, number)
