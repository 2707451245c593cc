"""What a profile of cells says: ways in words, cells out of a manifest."""

from __future__ import annotations

import pytest

from spikec.compiler.profile.cells import CellKind, cells_of
from spikec.compiler.profile.sfq import Hop, Share, told


def test_a_line_of_delays_is_one_thing() -> None:
    way = (
        *(Hop("p[0].in.d0.0", "jtl"), Hop("p[0].in.d0.1", "jtl"), Hop("p[0].in.m0", "merger")),
        *(Hop("p[0].in.m1", "merger"), Hop("p[0].h.0", "jtl")),
    )
    assert told("in[0]", way) == (
        "in[0] > 2 jtl p[0].in.d0 > merger p[0].in.m0 > merger p[0].in.m1 > jtl p[0].h.0"
    )


def test_what_is_alone_is_not_counted() -> None:
    assert told("clock1", ()) == "clock1"
    assert told("clock1", (Hop("clock1.s.0", "splitter"),)) == "clock1 > splitter clock1.s.0"
    assert told("a", (Hop("p[0].c.0", "jtl"), Hop("p[0].w.0", "jtl"))) == (
        "a > jtl p[0].c.0 > jtl p[0].w.0"
    )


def test_a_share_is_its_parts() -> None:
    assert Share("out", 1e-12, 2e-12, 4e-12).seconds == pytest.approx(7e-12)


def test_cells_are_those_of_the_manifest() -> None:
    emission = {
        "cells": {"jtl": 3, "dff": 1},
        "each": {"jtl": {"junctions": 2, "bias": 1e-3}, "dff": {"junctions": 7, "bias": 2e-3}},
        "area": {"value": 1e-8, "unit": "m2", "source": "a book", "obtained": "stated"},
        "clocks": {"late": 3e-12, "early": 1e-12},
        "period": 4e-12,
        "latency": 5e-12,
    }
    found = cells_of(emission)
    assert found is not None
    assert found.kinds == (CellKind("dff", 1, 7, 2e-3), CellKind("jtl", 3, 2, 1e-3))
    assert (found.number, found.junctions) == (4, 13)
    assert found.bias == pytest.approx(5e-3) and found.rate == pytest.approx(250e9)
    assert found.clocks == (("early", 1e-12), ("late", 3e-12))
    assert found.as_dict()["area"] == emission["area"]
    assert cells_of({"cells": {"LUT": 3}}) is None
