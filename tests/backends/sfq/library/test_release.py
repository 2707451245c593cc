"""The synapse as it was measured: its law again within statistics, memory, delays, energy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import chi2, norm

from spikec.backends.sfq.cells import cell
from spikec.backends.sfq.cells.chance import KIND, SOURCE, found, law
from spikec.backends.sfq.josephson.circuit import CurrentSource
from spikec.backends.sfq.library import release
from spikec.backends.sfq.library.release import (
    SPACING,
    Bench,
    Fit,
    fitted,
    memory,
    middles,
    moves,
    off,
    shifts,
)
from spikec.ir.diagnostics import SpikecError

KELVIN = 4.2
CELL = cell(KIND).circuit
QUANTUM = 2.067833848e-15


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(SPACING)


def test_the_law_is_measured_again(bench: Bench) -> None:
    """Other seeds than the file's: shares within chance of the law, and a law within its errors."""
    biases = law().middle + law().sigma * np.array([-1.5, -0.5, 0.0, 0.5, 1.5, 2.0])
    fit, released, which = fitted(bench, biases, 8, seed=99, temperature=KELVIN)
    p = law().probability(biases)
    off = (fit.passed - fit.tried * p) ** 2 / (fit.tried * p * (1 - p))
    assert off.sum() < chi2.ppf(1 - 1e-4, biases.size)
    errors = np.hypot(fit.errors, found()["errors"])
    assert abs(fit.law.middle - law().middle) < 4 * errors[0]
    assert abs(fit.law.sigma - law().sigma) < 4 * errors[1]
    # Of those that pass with p of a half and more hardly any is outside the window.
    often = released.delay[(p >= 0.5)[which]]
    often = often[np.isfinite(often)]
    outside = np.abs(often - found()["delay"][0][0][0]) > found()["jitter"]
    assert often.size > 1000 and outside.mean() < 0.008
    # The biases work for one quantum each, those behind the pair only when a pulse passes.
    bias = {source.name: float(source.wave.at(0.0)) for source in CELL.of(CurrentSource)}
    dropped = bias["I1"] * QUANTUM
    passed = dropped + (bias["I2"] + bias["I3"] + law().middle) * QUANTUM
    assert found()["energy"][1][0] == pytest.approx(dropped, rel=0.02, abs=0)
    assert found()["energy"][0][0] == pytest.approx(passed, rel=0.02, abs=0)


def test_the_file_is_what_it_says() -> None:
    data = found()
    fit = Fit(np.array(data["bias"]), np.array(data["passed"]), np.array(data["tried"]))
    assert fit.law.middle == pytest.approx(data["middle"], abs=2e-9)
    assert fit.law.sigma == pytest.approx(data["sigma"], abs=2e-9)
    np.testing.assert_allclose(fit.errors, data["errors"], rtol=0.05)
    worst, chance = data["worst"]
    assert fit.worst == pytest.approx((worst, chance), abs=1e-4)
    # 21 shares are no further from the law than chance has it.
    assert worst < 3.5 * chance


def test_delay_and_jitter_are_measured_again(bench: Bench) -> None:
    """At the file's biases with p from a half on, with other seeds and fewer pulses."""
    data = found()
    biases = np.array(data["bias"])
    biases = np.repeat(biases[law().probability(biases) >= 0.5], 12)
    delay = bench.run(biases, temperature=KELVIN, seed=98).delay
    low, high = np.quantile(delay[np.isfinite(delay)], [0.01, 0.99])
    # So many tell where all but one in a hundred are, which is 0.7 as wide, and sooner.
    assert (high - low) / 2 == pytest.approx(0.7 * data["jitter"], rel=0.1, abs=0)
    assert (high + low) / 2 == pytest.approx(data["delay"][0][0][0], rel=0, abs=1.5e-12)


def test_what_each_element_moves_is_found_again_of_it_alone() -> None:
    """By a tenth either way: what is the spread's is a fifth of the difference's half."""
    known = found()["moves"]
    assert found()["spread"][0] == release.SPREAD
    sets = 2 * len(known)
    each = {f"{name}|x": np.ones(sets) for name in known} | {f"{SOURCE}|x": np.ones(sets)}
    for k, name in enumerate(known):
        each[f"{name}|x"][[2 * k, 2 * k + 1]] = 0.9, 1.1
    less, more = shifts(law().middle, each).reshape(-1, 2).T
    # Halves of the range end at 15 nA, and at 0.1 the shift is not quite straight.
    wanted = np.array(list(known.values()))
    assert (more - less) / 10 == pytest.approx(wanted, rel=0.15, abs=5e-9)


def test_one_step_closer_than_the_least_time_pulses_know_of_each_other() -> None:
    least = found()["apart"][0][0]
    law_, sets = law(), np.full(96, law().middle)
    closer = Bench(least - 1e-12).run(sets, temperature=KELVIN, seed=15 + 1 + 7).passed
    off = abs(closer.mean() - law_.probability(law_.middle)) * 2 * np.sqrt(closer.size)
    assert max(memory(closer), off) > 3.5


def test_the_spread_is_measured_again() -> None:
    """Other circuits than the file's; and a shift is what the parts of it add up to."""
    drawn = off(192, 5)
    shift = shifts(law().middle, drawn)
    spread = found()["spread"][1]
    # A standard deviation of n normal values is off by 1 / sqrt(2 n) of it.
    assert shift.std() == pytest.approx(spread, rel=4 / np.sqrt(2 * 192), abs=0)
    each = moves(shift, drawn)
    most, second = list(found()["moves"])[:2]
    for name in (most, second):
        assert each[f"{name}|x"] == pytest.approx(found()["moves"][name], rel=0.1, abs=0)
    added = np.sqrt(sum(value**2 for value in found()["moves"].values()))
    assert 0.9 * spread < added < 1.1 * spread


def test_a_circuit_that_is_off_needs_another_current(bench: Bench) -> None:
    """The middle without noise is that with it; an element alone moves it by its share."""
    (still,) = middles(law().middle)
    assert still == pytest.approx(law().middle, rel=0, abs=0.1 * law().sigma)
    assert still == pytest.approx(found()["still"], rel=0, abs=20e-9)
    (name, share), *_ = found()["moves"].items()
    one = {f"{name}|x": np.array([1.0, 1.02])}
    less, more = shifts(law().middle, one | {f"{SOURCE}|x": np.ones(2)})
    assert more - less == pytest.approx(share, rel=0.1, abs=0)
    # Its own current more by a tenth is more of it by a tenth.
    own = shifts(law().middle, {f"{SOURCE}|x": np.array([1.0, 1.1])})
    assert own[1] - own[0] == pytest.approx(0.1 * law().middle, rel=1e-6, abs=0)
    # With noise a circuit that needs more passes as rarely as that says.
    passed = bench.run(
        [law().middle] * 32, temperature=KELVIN, seed=3, factors={f"{name}|x": 1.02}
    ).passed
    p = norm.cdf(share / law().sigma)
    assert abs(passed.mean() - p) < 4 * np.sqrt(p * (1 - p) / passed.size) + 0.02


def test_a_middle_that_is_far_away_is_told() -> None:
    with pytest.raises(SpikecError, match="E1425"):
        middles(law().middle + 100e-6)


def test_without_noise_a_bias_decides(bench: Bench) -> None:
    middle = law().middle
    off = np.array([-2e-6, 2e-6])
    passed = bench.run(middle + off, temperature=0.0, seed=0).passed
    assert not passed[0].any() and passed[1].all()


def test_pulses_that_are_close_know_of_each_other() -> None:
    """At 14 ps a pass makes the next one rarer; at the least separation it does not."""
    bias = np.full(16, law().middle)
    close = Bench(14e-12).run(bias, temperature=KELVIN, seed=1).passed
    apart = Bench(found()["apart"][0][0]).run(bias, temperature=KELVIN, seed=1).passed
    assert memory(close) > 7 and memory(apart) < 4


def test_what_is_thrown_back_is_told(bench: Bench) -> None:
    """Lines that are biased far too high send pulses of their own."""
    with pytest.raises(SpikecError, match="E1425"):
        bench.run([law().middle], temperature=KELVIN, seed=0, scale=1.6)


def test_a_fit_finds_the_law_it_was_drawn_from() -> None:
    rng, biases = np.random.default_rng(2), np.linspace(-39e-6, -19e-6, 11)
    p = norm.cdf((biases + 29e-6) / 3e-6)
    tried = np.full(biases.size, 500)
    fits = [Fit(biases, rng.binomial(tried, p), tried) for _ in range(100)]
    laws = np.array([(fit.law.middle, fit.law.sigma) for fit in fits])
    errors = np.mean([fit.errors for fit in fits], axis=0)
    # The mean within its error, the spread what the errors say (7 % of 100 fits).
    assert (np.abs(laws.mean(0) - (-29e-6, 3e-6)) < 4 * errors / 10).all()
    np.testing.assert_allclose(laws.std(0), errors, rtol=0.3)
    exact = Fit(biases, np.rint(1e6 * p), np.full(biases.size, 10**6))
    assert exact.worst[0] < 3e-6 and exact.law.sigma == pytest.approx(3e-6, rel=1e-5)


def test_memory_is_seen_where_it_is() -> None:
    rng = np.random.default_rng(4)
    free = rng.random((40, 50)) < 0.5
    assert memory(free) < 4
    bound = free.copy()
    bound[:, 1:] &= ~(bound[:, :-1] & (rng.random((40, 49)) < 0.5))
    assert memory(bound) > 8
    assert memory(np.ones((2, 5), np.bool_)) == np.inf


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small form, at a few biases and spacings; the same again, as seeds are fixed."""
    monkeypatch.setattr(release, "AWAY", release.AWAY[6:17:2])
    monkeypatch.setattr(release, "SETS", 2)
    monkeypatch.setattr(release, "SPACINGS", np.array([14e-12, 26e-12]))
    monkeypatch.setattr(release, "_PAIRS", 8)
    monkeypatch.setattr(release, "CHIPS", 64)
    places = [tmp_path / "one.json", tmp_path / "two.json"]
    for place, threads in zip(places, ("1", "2"), strict=True):
        said = CliRunner().invoke(release.main, ["-o", str(place), "--threads", threads])
        assert said.exit_code == 0, said.output
    data = json.loads(places[0].read_text())
    assert set(data) == set(found()) and data["apart"] == [[26e-12]]
    assert abs(data["middle"] - law().middle) < 5 * data["errors"][0]
    assert places[0].read_bytes() == places[1].read_bytes()
