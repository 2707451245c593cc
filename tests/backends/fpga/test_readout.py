"""Potentials of readouts, from the words that a host reads."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from spikec.backends.fpga.cluster import lower_cluster
from spikec.backends.fpga.host import NOTHING, Run
from spikec.backends.fpga.lower import Build, lower
from spikec.backends.fpga.partition import split
from spikec.backends.fpga.readout import Readout, Rows
from spikec.hdl.image import unpack
from spikec.hdl.shape import CoreShape, Memory, index_bits

from .networks import random_case

SHAPE = CoreShape(
    lanes=8, neurons=48, inputs=16, words=8, weight_bits=6, acc_bits=20, state_bits=15
)


@pytest.mark.parametrize("bank_bits", [8, 16, 18, 36])
@pytest.mark.parametrize("units", [1, 2, 4, 8])
def test_words_are_put_together_as_the_core_reads_them(units: int, bank_bits: int) -> None:
    """Any number of parts a word, neurons across parts included, by `unpack` of whole words."""
    shape = replace(SHAPE, units=units, bank_bits=bank_bits)
    rows = Rows(shape, Memory.POTENTIALS, 100, 1, 3)
    parts, width = shape.parts(Memory.POTENTIALS), shape.word_bits(Memory.POTENTIALS)
    rng = np.random.default_rng(units * bank_bits)
    data = rng.integers(0, 256, (2, 5, len(rows.addresses), shape.word_bytes(Memory.POTENTIALS)))
    found = rows.unpacked(data.astype(np.uint8).reshape(2, 5, -1))
    assert found.shape == (2, 5, 3 * units)
    assert rows.neurons == range(100 + units, 100 + 4 * units)
    for place in np.ndindex(2, 5):
        said = [int.from_bytes(bytes(word.tolist()), "little") for word in data[place]]
        for row in range(3):
            whole = 0
            for part in range(parts):
                at = rows.addresses.index(1 + row << index_bits(parts) | part)
                whole |= (said[at] & ((1 << width) - 1)) << part * width
            expected = cast("tuple[int, ...]", unpack(shape, Memory.POTENTIALS, whole)["v"])
            assert tuple(found[place][row * units : (row + 1) * units]) == expected


def test_only_what_is_wanted_is_read() -> None:
    graph = random_case(0, SHAPE).graph
    core = lower(graph, Build(lanes=4, units=2))
    assert Readout.of(core, []).script == NOTHING
    name = graph.populations[-1].name
    places = core.placement.places(graph.population(name))
    readout = Readout.of(core, [name])
    there = {n for rows in readout.rows for n in rows.neurons}
    assert set(places.tolist()) <= there
    # No more than what shares a word with one of them.
    assert there == {n // 2 * 2 + k for n in places.tolist() for k in range(2)}


def test_cores_of_a_cluster_are_read_each_by_its_number() -> None:
    graph = random_case(1, SHAPE).graph
    core = lower_cluster(graph, Build(lanes=4), split(graph, 2, 4, 1, 0.1))
    names = [p.name for p in graph.populations]
    readout = Readout.of(core, names)
    assert {rows.number >> 4 for rows in readout.rows} == {0, 1}
    size = sum(readout.script.read_sizes)
    words = np.arange(size, dtype=np.uint8)[None, None]
    none = np.zeros(0, np.int64)
    run = Run(1, 1, none, none, none, np.zeros((1, 1, 2), np.int64), read=words)
    found = readout.potentials(run)
    assert found.shape == (1, 1, core.shape.neurons)
    at = 0
    for rows in readout.rows:
        taken = len(rows.addresses) * rows.shape.word_bytes(Memory.POTENTIALS)
        own = rows.unpacked(words[..., at : at + taken])
        assert found[..., list(rows.neurons)].tolist() == own.tolist()
        at += taken
    assert at == size
