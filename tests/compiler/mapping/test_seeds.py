"""METIS and mt-KaHyPar as first partitions: optional, and never needed."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from spikec.boards.chip import load_chip
from spikec.boards.quantity import Quantity
from spikec.compiler.mapping.axons import Axons, Bundle, Node
from spikec.compiler.mapping.hypergraph import Hypergraph, hypergraph
from spikec.compiler.mapping.partition import partition
from spikec.compiler.mapping.refine import packets
from spikec.compiler.mapping.seeds import Start, seeded
from spikec.ir.diagnostics import SpikecError


def grouped(size: int = 30) -> Axons:
    """Every neuron of a group reaches its group; one neuron reaches the other group, too."""
    rows = [list(range(size)) for _ in range(size)] + [
        list(range(size, 2 * size)) for _ in range(size)
    ]
    rows[0].append(size)
    ptr = np.cumsum([0, *map(len, rows)])
    bundle = Bundle("all", 0, ptr, np.concatenate(rows).astype(np.int32), np.ones((), np.int32))
    nodes = (Node("cells", 0, 2 * size),)
    return Axons(nodes, 2 * size, (bundle,), np.ones(2 * size, np.int64))


def two_groups() -> Hypergraph:
    return hypergraph(grouped(), 0, 0, shared=False)


@pytest.mark.parametrize(("by", "package"), [("metis", "pymetis"), ("mtkahypar", "mtkahypar")])
def test_groups_are_found_and_stay_within_their_size(by: Start, package: str) -> None:
    pytest.importorskip(package)
    graph = two_groups()
    part = seeded(graph, 2, 31, by, 1)
    assert np.bincount(part, minlength=2).max() <= 31
    assert packets(graph, part, 2) == 1
    np.testing.assert_array_equal(part, seeded(graph, 2, 31, by, 1))


@pytest.mark.parametrize(("by", "package"), [("metis", "pymetis"), ("mtkahypar", "mtkahypar")])
def test_what_is_missing_is_said(by: Start, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name == package else real(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    with pytest.raises(SpikecError, match=f"E0601.*{package}"):
        seeded(two_groups(), 2, 31, by, 1)


@pytest.mark.parametrize(("by", "package"), [("metis", "pymetis"), ("mtkahypar", "mtkahypar")])
def test_a_partition_starts_from_them_and_keeps_every_limit(by: Start, package: str) -> None:
    pytest.importorskip(package)
    chip = load_chip("loihi1")
    limit = Quantity(32, "neurons", "this test", "recalled")
    machine = replace(chip, core=replace(chip.core, neurons=limit))
    part = partition(grouped(), machine, start=by)
    assert np.bincount(part).max() <= 32
    assert packets(two_groups(), part, int(part.max()) + 1) == 1


def test_another_name_is_refused() -> None:
    with pytest.raises(SpikecError, match="E0707: there is no partitioner 'kahypar'"):
        seeded(two_groups(), 2, 31, "kahypar", 1)  # type: ignore[arg-type]
