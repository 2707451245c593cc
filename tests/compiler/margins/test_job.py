"""Margins and corners as points: the same alone and in a batch, and refusals."""

from __future__ import annotations

from spikec.compiler.backend import Gap, Margin
from spikec.compiler.explore.point import Point, Result
from spikec.compiler.gap import patterns
from spikec.compiler.margins.job import MARGIN, MarginJob, margin_of
from spikec.compiler.stimulus import LabelledStimulus

from .conftest import compiled, make_stimulus, make_study


def margin(title: str) -> Point:
    return Point(((MARGIN, title),))


def test_points_are_the_same_alone_and_together() -> None:
    """With noise, too, which is that of the sample."""
    evaluator = make_study(conditions=("temperature=4.2",)).job.evaluator()
    corners = [Point((("bias", b), ("temperature", t))) for b in (0.3, 1.0) for t in (0.0, 4.2)]
    points = [margin("bias"), corners[0], margin("areas"), *corners[1:]]
    together = list(evaluator.results(points))
    assert [result.point for result in together] == points
    assert list(evaluator.results([margin("areas")])) == [together[2]]
    assert evaluator(corners[3]) == together[5]
    assert [dict(r.values).get("share") for r in together[3:]] == [0.0, 1.0, 1.0]


def test_a_result_is_a_margin_again() -> None:
    evaluator = make_study().job.evaluator()
    result = evaluator(margin("bias"))
    found, below, above = margin_of(result)
    assert found.low < 0 < found.high and not found.open_low
    assert below.startswith(("out[0]", "a pulse of out[0]")) and bool(above) != found.open_high
    assert Result.from_dict(result.as_dict()) == result
    plain = Result(margin("x"), (("low", -0.4), ("high", 0.2), ("open_low", 1), ("open_high", 0)))
    assert margin_of(plain) == (Margin(-0.4, 0.2, True, False), "", "")


def test_what_fails_as_it_is_has_no_margin_but_corners() -> None:
    evaluator = make_study(conditions=("bias=0.3",)).job.evaluator()
    one, two, corner = evaluator.results(
        [margin("bias"), margin("areas"), Point((("bias", 1 / 0.3), ("areas", 1.0)))]
    )
    assert one.code == two.code == "E1424" and "out[0]" in one.message
    assert corner.values == (("share", 1.0),)


def test_jobs_of_other_conditions_are_others() -> None:
    def digest(*conditions: str, gap: Gap | None = None, **other: float) -> str:
        how = {"reach": 0.4, "resolution": 0.05} | other
        seed = int(how.pop("seed", 1))
        return MarginJob.of(
            compiled(), make_stimulus(), conditions, seed=seed, gap=gap, **how
        ).digest

    assert digest("bias=1", "areas=1") == digest("areas=1", "bias=1")
    every = [digest(), digest("bias=1"), digest(seed=2), digest(reach=0.5), digest(resolution=0.01)]
    every += [digest(gap=gap) for gap in (Gap(0.5), Gap(0.6), Gap(0.5, 50), Gap(0.5, error=0.1))]
    assert len(set(every)) == len(every)


def test_with_a_gap_margins_and_corners_are_of_rates() -> None:
    """A circuit without chance has all of it or none; nothing is wrong where it is tried."""
    inputs = LabelledStimulus(patterns(make_stimulus().stimulus))
    job = MarginJob.of(compiled(), inputs, reach=0.05, resolution=0.05, gap=Gap(0.5, 2))
    corners = [Point((("bias", bias), ("areas", 1.0))) for bias in (0.3, 1.0)]
    one, low, right = job.evaluator().results([margin("bias"), *corners])
    assert (low.values, right.values) == ((("gap", 0.0),), (("gap", 1.0),))
    found, below, _ = margin_of(one)
    assert found.low == -0.05 and found.open_low and not below
    (again,) = job.evaluator().results([margin("bias")])
    assert again == one
