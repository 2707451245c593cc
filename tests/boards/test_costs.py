"""Cost models are data: every line of every chip names a count and a constant of the right unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.boards.chip import chip_names, load_chip, parse_chip
from spikec.boards.costs import CORE_COUNTS, HOLDERS, MACHINE_COUNTS, Barrier, CostModel
from spikec.boards.quantity import Quantity, engineering
from spikec.boards.table import BoardError

from .test_chip import source

NAMES = chip_names()


@pytest.mark.parametrize("name", NAMES)
def test_every_chip_has_a_model_and_an_interconnect(name: str) -> None:
    machine = load_chip(name)
    assert machine.models and machine.interconnect is not None
    for model in machine.models.values():
        assert set(model.costs) <= set(machine.costs)
        assert {machine.costs[line.cost].unit for line in model.energy} <= {"J"}
        times = [line.cost for line in (*model.send, *model.receive)]
        times += [point.cost for point in model.barrier]
        assert {machine.costs[cost].unit for cost in times} <= {"s", "cycles"}
        for line in model.power:
            wanted = "J" if line.count == "clock" else "W"
            assert machine.costs[line.cost].unit == wanted
        counts = {line.count for line in (*model.energy, *model.send, *model.receive)}
        assert counts <= {*CORE_COUNTS, *MACHINE_COUNTS}
        assert {line.count for line in model.power} <= set(HOLDERS)
        assert model.unknown, "no model knows everything"


def test_each_constant_is_in_one_set() -> None:
    """Those of the designers and those of SANA-FE are not mixed."""
    models = load_chip("loihi1").models
    assert not set(models["davies"].costs) & set(models["sanafe"].costs)
    assert all(cost.startswith("sanafe_") for cost in models["sanafe"].costs)


@given(st.integers(1, 40_000))
def test_barriers_grow_with_the_machine(tiles: int) -> None:
    machine = load_chip("loihi1")
    for model in machine.models.values():
        here, there = (model.barrier_time(n, machine.costs) for n in (tiles, tiles + 1))
        assert 0 < here <= there


def test_barriers_between_two_points() -> None:
    costs = {f"t{k}": Quantity(k, "s", "test", "recalled") for k in (10, 20)}
    points = (Barrier(2, "t10"), Barrier(6, "t20"))
    step = CostModel("m", "m", "barrier", barrier=points, between="last")
    line = CostModel("m", "m", "barrier", barrier=points, between="linear")
    assert [step.barrier_time(n, costs) for n in (1, 2, 3, 5, 6, 7)] == [10, 10, 10, 10, 20, 20]
    assert [line.barrier_time(n, costs) for n in (1, 2, 3, 5, 6, 7)] == [10, 10, 12.5, 17.5, 20, 20]
    assert CostModel("m", "m", "free").barrier_time(3, costs) == 0


LINE = '{ count = "synaptic_operations", cost = "synop_energy" }'


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "expected"),
    [
        ("loihi1", LINE, LINE.replace("synop_en", "sinop_en"), "board-value", "you mean 'synop"),
        ("loihi1", LINE, LINE.replace("energy", "time"), "board-value", "is in s, not J"),
        ("loihi1", LINE, LINE.replace("synaptic_", "synoptic_"), "board-value", "energy[0].count"),
        ("loihi1", LINE, LINE.replace(" }", ", x = 1 }"), "board-unknown-key", "energy[0].x"),
        ("loihi1", LINE, LINE.replace(" }", ", times = 0 }"), "board-value", "must be above zero"),
        ("loihi1", LINE, LINE.replace(" }", ', times = "2" }'), "board-type", "must be a number"),
        ("loihi1", LINE, LINE.replace(" }", ", times = nan }"), "board-value", "times: must be"),
        ("loihi1", 'pace    = "barrier"', 'pace = "free"', "board-value", "models.davies.pace: is"),
        ("loihi1", 'pace    = "barrier"', 'pace = "soon"', "board-value", "must be one of barrier"),
        ("loihi1", "tiles = 1,", "tiles = 32,", "board-value", "of ascending numbers"),
        ("loihi1", "tiles = 1,", "tiles = 0,", "board-value", "tiles: must be at least 1"),
        ("loihi1", '"chips", cost = "static', '"watts", cost = "static', "board-value", "power[0]"),
        ("truenorth", '"step_time"\n', '"step"\n', "board-value", "models.akopyan.tick: 'step' is"),
        ("truenorth", 'pace    = "tick"', 'pace = "free"', "board-value", "is for the pace 'tick'"),
        ("odin", "clock_frequency   =", "clock_rate_frequency =", "board-value", "clock_f"),
        ("odin", "unknown = [", "unknown = [3, ", "board-type", "a list of non-empty strings"),
        ("loihi1", "buffer     = { value = 16", "buffer = { value = 0", "board-value", "buffer"),
        ("loihi1", "flits      = { value = 1", "flits = { value = 17", "board-value", "holds 16"),
        ("loihi1", 'inject     = { value = 4, unit = "cycles"', 'inject = { value = 4, unit = "s"',
         "board-value", "interconnect.inject.unit"),
        ("loihi1", "[interconnect]", "[interconnect]\nwidth = 3", "board-unknown-key", "width"),
    ],
)  # fmt: skip
def test_wrong_models_are_refused_by_place(
    name: str, old: str, new: str, code: str, expected: str
) -> None:
    text = source(name)
    assert old in text
    with pytest.raises(BoardError) as caught:
        parse_chip(text.replace(old, new, 1), "mine.toml")
    assert caught.value.code == code
    assert expected in str(caught.value)


def test_numbers_are_said_with_the_prefix_that_suits_them() -> None:
    said = {
        (33.6e-12, "J"): "33.6 pJ",
        (1e-9, "s"): "1 ns",
        (999.96e-6, "s"): "1 ms",
        (1e-3, "s"): "1 ms",
        (75e6, "Hz"): "75 MHz",
        (0.0, "J"): "0 J",
        (123456, "packets"): "123,456 packets",
        (0.25, "cycles"): "0.25 cycles",
        (1.5e-18, "J"): "1.5 aJ",
        (1.5e-21, "J"): "0.0015 aJ",
    }
    assert {key: engineering(*key) for key in said} == said
