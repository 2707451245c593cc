"""Spaces: what a file may say, every complaint, and which points are one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from spikec.compiler.explore.point import Point
from spikec.compiler.explore.space import parse_space, read_space
from spikec.ir.diagnostics import SpikecError


def wrong(text: str) -> str:
    with pytest.raises(SpikecError) as caught:
        parse_space(tomllib.loads(text))
    return str(caught.value)


class TestPoints:
    def test_a_value_that_a_target_ignores_makes_no_other_point(self) -> None:
        space = parse_space(
            {
                "space": {
                    "target": ["icebreaker", "loihi1", "null"],
                    "weight_bits": [4, 8],
                    "cores": [1, 2, 4],
                    "clock": [12, 24],
                    "effort": [0, 1, 2],
                    "seed": [1, 2],
                }
            }
        )
        domain = space.domain()
        rows = domain.every()
        # Bits for all; cores and clocks for the board; effort and seeds for the chip.
        assert len(rows) == domain.size == 2 * (3 * 2 + 3 * 2 + 1)
        points = {space.point(row) for row in rows.tolist()}
        assert len(points) == domain.size == len({p.digest for p in points})
        assert "icebreaker" in str(space.point([0, 1, 0, 0, 0, 0]))
        for row in np.ndindex(*domain.shape):
            assert space.point(row) in points

    def test_canonical_text_and_digest_do_not_depend_on_the_order_in_the_file(self) -> None:
        one = parse_space({"space": {"target": ["null"], "weight_bits": [8, 4]}})
        two = parse_space({"space": {"weight_bits": [4, 8], "target": ["null"]}})
        assert one.digest == two.digest
        assert str(one.point([0, 0])) == "target=null weight_bits=4"
        assert one.point([0, 0]).digest == Point((("target", "null"), ("weight_bits", 4))).digest

    def test_clocks_are_numbers_however_they_are_written(self) -> None:
        space = parse_space({"space": {"target": ["icebreaker"], "clock": [12, 24.0]}})
        assert [str(space.point([0, k])) for k in (0, 1)] == [
            "target=icebreaker clock=12.0",
            "target=icebreaker clock=24.0",
        ]

    def test_clocks_that_a_board_does_not_offer_make_no_points(self) -> None:
        space = parse_space(
            {"space": {"target": ["icebreaker", "ulx3s-85f", "null"], "clock": [12, 24, 25, 99]}}
        )
        domain = space.domain()
        said = [str(space.point(row)) for row in domain.every().tolist()]
        assert said == [
            "target=icebreaker clock=12.0",
            "target=icebreaker clock=24.0",
            "target=ulx3s-85f clock=25.0",
            "target=null",
        ]
        assert domain.size == 4
        assert space.unoffered()[0] == "icebreaker offers no clock of 25, 99 MHz"
        # One that stays is refused when it is evaluated, with what there is.
        none = parse_space({"space": {"target": ["icebreaker"], "clock": [7, 8]}})
        assert none.domain().size == 1 and none.unoffered() == []

    def test_ranges_and_fixed_options(self) -> None:
        space = parse_space(
            {
                "space": {"weight_bits": {"from": 2, "to": 8, "step": 3}},
                "fixed": {"target": "null", "state_bits": 16},
            }
        )
        assert space.dimensions == (("weight_bits", (2, 5, 8)),)
        assert str(space.point([1])) == "target=null weight_bits=5 state_bits=16"

    def test_a_seed_is_of_all_targets_where_rounding_draws(self) -> None:
        table = {"target": ["null"], "seed": [1, 2, 3]}
        space = parse_space({"space": table, "fixed": {"rounding": "stochastic"}})
        assert space.domain().size == 3

    def test_caps_from_the_longest_delay_on_are_one(self) -> None:
        space = parse_space({"space": {"target": ["null"], "delay_cap": [1, 4, 8, 16]}})
        assert dict(space.within_delays(5).dimensions)["delay_cap"] == (1, 4, 8)
        assert dict(space.within_delays(0).dimensions)["delay_cap"] == (1,)
        assert dict(space.within_delays(99).dimensions)["delay_cap"] == (1, 4, 8, 16)

    def test_objectives_are_all_four_unless_some_are_said(self) -> None:
        table = {"target": ["null"], "weight_bits": [2]}
        assert [n for n, _ in parse_space({"space": table}).objectives] == [
            "accuracy",
            "latency",
            "energy",
            "cores",
        ]
        some = parse_space({"space": table, "objectives": {"cores": "min", "accuracy": "max"}})
        assert some.objectives == (("accuracy", "max"), ("cores", "min"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "space: names no dimension"),
        ("space = 3", "space: must be a table ([space]), not 3"),
        ("[sapce]\nx = 1", "sapce: is not known\n  at <space>\n  help: did you mean 'space'?"),
        ('[space]\ntarget = ["null"]\nweight_bit = [4]', "did you mean 'weight_bits'?"),
        ('[space]\ntarget = ["null"]\nweight_bits = []', "must be a list of values or a range"),
        ('[space]\ntarget = ["null"]\nweight_bits = 4', "must be a list of values or a range"),
        ('[space]\ntarget = ["null"]\nweight_bits = [1]', "1 is not a whole number from 2 to 16"),
        ('[space]\ntarget = ["null"]\nweight_bits = [4.5]', "4.5 is not a whole number"),
        ('[space]\ntarget = ["null"]\nweight_bits = [true]', "True is not a whole number"),
        ('[space]\ntarget = ["null"]\nweight_bits = [4, 4]', "space.weight_bits: has 4 2 times"),
        (
            '[space]\ntarget = ["null"]\nweight_bits = { from = 8, to = 2 }',
            "the range from 8 to 2 in steps of 1 is empty",
        ),
        (
            '[space]\ntarget = ["null"]\nweight_bits = { from = 2, to = 8, step = 0 }',
            "steps of 0 is empty",
        ),
        ('[space]\ntarget = ["null"]\nseed = { from = 1, to = 99999 }', "99,999 values; 10,000"),
        ('[space]\ntarget = ["null"]\nweight_bits = { form = 2, to = 8 }', "a range has whole"),
        ('[space]\ntarget = ["icebreaker"]\nunits = [3]', "3 is no power of two"),
        ('[space]\ntarget = ["null"]\nscale = ["huge"]', "'huge' is none of free, power_of_two"),
        ('[space]\ntarget = ["nul"]\nweight_bits = [4]', "E0304: there is no target 'nul'"),
        ("[space]\ntarget = [7]\nweight_bits = [4]", "7 is no name of a target"),
        ("[space]\nweight_bits = [4]", "space: names no target"),
        (
            '[space]\ntarget = ["loihi1"]\nclock = [12]',
            "space.clock: none of the targets takes it: it is for a board",
        ),
        (
            '[space]\ntarget = ["icebreaker"]\neffort = [1]',
            "space.effort: none of the targets takes it: it is for a chip",
        ),
        (
            '[space]\ntarget = ["null"]\nweight_bits = [4]\n[fixed]\nweight_bits = 4',
            "fixed.weight_bits: is a dimension of [space], too",
        ),
        (
            '[space]\ntarget = ["null"]\n[objectives]\nlatency = "max"',
            "objectives.latency: must be 'min', not 'max'",
        ),
        ('[space]\ntarget = ["null"]\n[objectives]\nspeed = "max"', "objectives.speed: is not"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    found = wrong(text)
    assert said in found
    assert "E0901" in found or "E0304" in found


def test_everything_wrong_is_said_at_once() -> None:
    found = wrong('[space]\ntarget = ["null"]\nweight_bits = [1]\ncolour = [2]\n[fixed]\nclip = 3')
    assert [found.count(word) for word in ("weight_bits", "space.colour", "fixed.clip")] == [1] * 3


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name, data, said in (
        ("none.toml", None, "No such file"),
        ("bad.toml", b"[space", "it is not TOML"),
        ("latin.toml", b"\xff", "cannot be read"),
    ):
        if data is not None:
            (tmp_path / name).write_bytes(data)
        with pytest.raises(SpikecError, match=said) as caught:
            read_space(tmp_path / name)
        assert caught.value.diagnostics[0].where.file == str(tmp_path / name)
