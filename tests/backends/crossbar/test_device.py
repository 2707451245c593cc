"""Cells have the statistics of their sources: the formulas are written once more here, in uS."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from spikec.backends.crossbar.device import (
    Cells,
    Verify,
    age,
    bends,
    chip_rng,
    current,
    exponents,
    fabricate,
    noise,
    program,
    reachable,
    read,
    sigma,
    stuck,
)
from spikec.boards.device import device_names, load_device, parse_device
from spikec.ir.diagnostics import SpikecError
from tests.boards.test_device import DEVICES

SAMPLES = 100_000
PLACES = 10
Law = Callable[[Any], Any]


def aihwkit(*coefficients: float, reference: float) -> Law:
    """A polynomial of the share of the largest conductance; the constant comes first."""
    return lambda g: sum(c * (g / reference) ** k for k, c in enumerate(coefficients))


WAN = {
    1.0: aihwkit(0.348, 16.030, -43.853, 45.393, -16.815, reference=40),
    86400.0: aihwkit(0.701, 22.086, -50.773, 47.095, -16.458, reference=40),
    172800.0: aihwkit(0.782, 20.274, -43.507, 37.062, -11.934, reference=40),
}
# Standard deviation, uS, of the target, uS, just after programming.
ERRORS: dict[str, Law] = {
    "ideal": lambda g: 0 * g,
    "pcm": aihwkit(0.26348, 1.9650, -1.1731, reference=25),
    "pcm-joshi": lambda g: -0.00178767 * g**2 + 0.07585724 * g + 0.28638599,
    "rram-hfo2": lambda g: -0.009107 * g + 4.782321,
    "rram-wan": WAN[1.0],
    "rram-wan-cubic": lambda g: 1.536e-4 * g**3 - 1.167e-2 * g**2 + 2.374e-1 * g + 1.053,
}


def targets(name: str) -> Any:
    """Ten conductances in S over the device's range, each as a row of cells."""
    device = load_device(name)
    places = np.linspace(device.g_min.value, device.g_max.value, PLACES)
    return np.repeat(places[:, None], SAMPLES, axis=1)


def cut_off(mean: Any, deviation: Any) -> tuple[Any, Any]:
    """Mean and standard deviation of max(N(mean, deviation), 0)."""
    a = mean / deviation
    first = mean * norm.cdf(a) + deviation * norm.pdf(a)
    second = (mean**2 + deviation**2) * norm.cdf(a) + mean * deviation * norm.pdf(a)
    return first, np.sqrt(second - first**2)


def assert_statistics(found: Any, mean: Any, deviation: Any) -> None:
    """Within 2 %: the mean of the deviation, which is 6 standard errors, and the deviation."""
    assert np.abs(found.mean(1) - mean).max() <= 0.02 * np.min(deviation)
    np.testing.assert_allclose(found.std(1), deviation, rtol=0.02)


def test_every_device_is_tested() -> None:
    assert set(ERRORS) == set(device_names())


@pytest.mark.parametrize("name", ERRORS)
def test_sigma_is_the_polynomial_of_the_source(name: str) -> None:
    goal = targets(name)[:, 0]
    found = sigma(load_device(name).programming, goal)
    np.testing.assert_allclose(found * 1e6, ERRORS[name](goal * 1e6), rtol=1e-12)
    assert (found > 0).all() == (name != "ideal")


def test_sigma_is_never_negative() -> None:
    assert sigma(load_device("rram-hfo2").programming, 600e-6) == 0


@pytest.mark.parametrize("name", [n for n in ERRORS if n != "ideal"])
def test_programmed_cells_have_the_error_of_the_source(name: str) -> None:
    goal = targets(name)
    found = program(load_device(name), goal, chip_rng(1))
    assert found.shape == goal.shape and found.min() >= 0
    # No conductance is below 0, which takes errors away near 0: mean and deviation of a normal
    # distribution cut off there are in closed form.
    places = goal[:, 0] * 1e6
    error = ERRORS[name](places)
    assert_rows(found * 1e6, *cut_off(places, error))
    # Where nothing is cut off they are the source's own.
    whole = places > 5 * error
    assert whole.any()
    assert_rows(found[whole] * 1e6, places[whole], error[whole])


def assert_rows(found: Any, mean: Any, deviation: Any) -> None:
    for row, m, s in zip(found, mean, deviation, strict=True):
        assert_statistics(row[None], m, s)


def test_an_ideal_cell_is_its_target_for_ever() -> None:
    goal = targets("ideal")[:, :3]
    cells = fabricate(load_device("ideal"), goal, chip_rng(1))
    for time in (None, 0.0, 1e9):
        np.testing.assert_array_equal(age(cells, time), goal)
        np.testing.assert_array_equal(read(cells, chip_rng(2), time), goal)


def test_exponents_of_the_drift_by_aihwkit() -> None:
    goal = targets("pcm")
    found = exponents(load_device("pcm"), goal, chip_rng(3))
    x = np.log(np.maximum(goal[:, 0] / 25e-6, 1e-7))
    mean = np.clip(-0.0155 * x + 0.0244, 0.049, 0.1)
    deviation = np.clip(-0.0125 * x - 0.0059, 0.008, 0.045)
    assert found.min() >= 0
    # The absolute value of a normal distribution, in closed form.
    folded = deviation * math.sqrt(2 / math.pi) * np.exp(-(mean**2) / (2 * deviation**2))
    folded += mean * (1 - 2 * norm.cdf(-mean / deviation))
    assert_rows(found, folded, np.sqrt(mean**2 + deviation**2 - folded**2))


@pytest.mark.parametrize("time", [0.0, 1.0, 3600.0, 3e7])
def test_drift_is_a_power_of_the_time_since_programming(time: float) -> None:
    cells = fabricate(load_device("pcm"), targets("pcm")[:, :100], chip_rng(4))
    expected = cells.programmed * ((time + 20) / 20) ** -cells.exponent
    np.testing.assert_allclose(age(cells, time), expected, rtol=1e-12)
    assert (age(cells, time) <= cells.programmed).all()


def test_other_devices_have_no_exponents() -> None:
    for name in ("ideal", "rram-hfo2", "rram-wan"):
        assert not fabricate(load_device(name), targets(name)[:, :5], chip_rng(5)).exponent.any()


@pytest.mark.parametrize("time", WAN)
def test_snapshots_have_the_spread_of_their_time(time: float) -> None:
    goal = targets("rram-wan")
    cells = fabricate(load_device("rram-wan"), goal, chip_rng(6))
    places = goal[:, 0] * 1e6
    assert_rows(age(cells, time) * 1e6, *cut_off(places, WAN[time](places)))
    if time == 1:
        np.testing.assert_array_equal(age(cells, time), cells.programmed)


def test_a_chip_that_ages_is_the_same_chip() -> None:
    cells = fabricate(load_device("rram-wan"), targets("rram-wan")[:, :1000], chip_rng(7))
    early, late = (age(cells, time)[5] for time in (1.0, 86400.0))
    assert np.corrcoef(early, late)[0, 1] > 0.999


@pytest.mark.parametrize(
    ("name", "time", "words"),
    [
        ("rram-wan", 3600.0, "there are data at 1, 86400, 172800 s only"),
        ("rram-wan", 0.0, "there are data at 1, 86400, 172800 s only"),
        ("rram-hfo2", 1.0, "read it just after programming"),
        ("pcm-joshi", 0.0, "read it just after programming"),
        ("rram-wan-cubic", 86400.0, "read it just after programming"),
        ("pcm", -1.0, "give 0 or more"),
        ("pcm", np.inf, "give 0 or more"),
        ("ideal", np.nan, "give 0 or more"),
    ],
)
def test_times_without_data_are_refused(name: str, time: float, words: str) -> None:
    cells = fabricate(load_device(name), targets(name)[:, :2], chip_rng(8))
    for call in (age, noise):
        with pytest.raises(SpikecError) as refused:
            call(cells, time)
        assert refused.value.diagnostics[0].code == "E1310"
        assert words in str(refused.value.diagnostics[0].hint)


@pytest.mark.parametrize("time", [None, 1.0, 86400.0])
def test_reads_of_pcm_have_flicker_noise_by_aihwkit(time: float | None) -> None:
    # One cell of each target, read again and again.
    cells = repeated(fabricate(load_device("pcm"), targets("pcm")[:, :1], chip_rng(9)))
    g = cells.programmed[:, 0] * 1e6
    t = 20 + (time or 0.0)
    q = np.minimum(0.0088 / np.maximum((g / 25) ** 0.65, 1e-3), 0.2)
    now = g * (t / 20) ** -cells.exponent[:, 0]
    deviation = now * q * math.sqrt(math.log((t + 250e-9) / (2 * 250e-9)))
    np.testing.assert_allclose(noise(cells, time)[:, 0] * 1e6, deviation, rtol=1e-9)
    conducting = deviation > 0
    assert conducting.sum() >= PLACES - 1
    found = read(cells, chip_rng(10), time)[conducting] * 1e6
    assert_rows(found, *cut_off(now[conducting], deviation[conducting]))


def repeated(cells: Cells) -> Cells:
    """Each row's only cell, as often as there are samples."""
    arrays = {
        name: np.repeat(getattr(cells, name), SAMPLES, axis=1)
        for name in ("target", "deviation", "programmed", "exponent", "on", "off")
    }
    return Cells(device=cells.device, **arrays)


def test_reads_of_rram_have_noise_of_a_share_of_the_largest_conductance() -> None:
    cells = repeated(fabricate(load_device("rram-wan"), targets("rram-wan")[:, :1], chip_rng(11)))
    g = cells.programmed[:, 0] * 1e6
    np.testing.assert_allclose(noise(cells), 0.4e-6)
    assert_rows(read(cells, chip_rng(12)) * 1e6, *cut_off(g, np.full(PLACES, 0.4)))


def test_devices_without_noise_are_read_as_they_are() -> None:
    cells = fabricate(load_device("rram-hfo2"), targets("rram-hfo2")[:, :5], chip_rng(13))
    assert not noise(cells).any()
    np.testing.assert_array_equal(read(cells, chip_rng(14)), cells.programmed)


@pytest.mark.parametrize(("on", "off"), [(0.0, 0.0), (0.0175, 0.0904), (1.0, 0.0), (0.5, 0.5)])
def test_stuck_cells_are_as_many_as_told_and_never_both(on: float, off: float) -> None:
    high, low = stuck((1000, 1000), on, off, chip_rng(15))
    assert not (high & low).any()
    for mask, rate in ((high, on), (low, off)):
        # Six standard errors of a binomial distribution.
        assert abs(mask.mean() - rate) <= 6 * math.sqrt(rate * (1 - rate) / mask.size)


@pytest.mark.parametrize(("on", "off"), [(-0.1, 0.0), (0.0, -0.1), (0.6, 0.6), (np.nan, 0.0)])
def test_impossible_shares_of_stuck_cells_are_refused(on: float, off: float) -> None:
    with pytest.raises(SpikecError, match="stuck cells") as refused:
        stuck((2, 2), on, off, chip_rng(0))
    assert refused.value.diagnostics[0].code == "E1310"


@pytest.mark.parametrize("time", [None, 1e6])
def test_stuck_cells_neither_drift_nor_are_programmed(time: float | None) -> None:
    device = load_device("pcm")
    cells = fabricate(device, np.full((50, 50), 1e-5), chip_rng(16), stuck_on=0.3, stuck_off=0.3)
    now = age(cells, time)
    assert (now[cells.on] == 25e-6).all() and (now[cells.off] == 0).all()
    free = ~(cells.on | cells.off)
    assert 0.3 < free.mean() < 0.5
    assert not np.isin(now[free], (0, 25e-6)).any()


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_write_verify_leaves_the_share_that_misses_each_time(tries: int) -> None:
    device = load_device("rram-hfo2")
    goal = np.full((10, SAMPLES), 100e-6)
    error = ERRORS["rram-hfo2"](100.0) * 1e-6
    found = program(device, goal, chip_rng(17), Verify(error, tries))
    missing = np.abs(found - goal) > error
    expected = (2 * norm.sf(1)) ** (tries + 1)
    bound = 6 * math.sqrt(expected / goal.size)
    assert abs(missing.mean() - expected) < bound
    # Those within have the error's own distribution, cut at one standard deviation.
    inside = (found - goal)[~missing] / error
    cut = math.sqrt(1 - 2 * norm.pdf(1) / (norm.cdf(1) - norm.cdf(-1)))
    assert inside.std() == pytest.approx(cut, rel=0.02)


def test_write_verify_of_perfect_cells_does_nothing() -> None:
    goal = targets("ideal")[:, :3]
    np.testing.assert_array_equal(
        program(load_device("ideal"), goal, chip_rng(18), Verify(1e-9, 3)), goal
    )


@pytest.mark.parametrize(("tolerance", "tries"), [(0.0, 1), (-1e-6, 1), (np.nan, 1), (1e-6, 0)])
def test_impossible_write_verify_is_refused(tolerance: float, tries: int) -> None:
    with pytest.raises(SpikecError, match="write-verify") as refused:
        Verify(tolerance, tries)
    assert refused.value.diagnostics[0].code == "E1310"


def test_targets_are_rounded_to_the_levels_of_the_device() -> None:
    line = 'levels = { value = 5, unit = "levels", how = "stated", source = "a test of levels" }'
    device = parse_device(DEVICES.source("ideal") + line, "mine.toml")
    given = np.array([0, 12.4, 12.6, 49, 63, 100]) * 1e-6
    found = program(device, given, chip_rng(19))
    np.testing.assert_allclose(found * 1e6, [0, 0, 25, 50, 75, 100], atol=1e-12)


@pytest.mark.parametrize("value", [49e-6, 226e-6, -1e-6, np.nan, np.inf])
def test_targets_beyond_the_device_are_refused(value: float) -> None:
    with pytest.raises(SpikecError, match=r"cell at \(0, 1\)") as refused:
        program(load_device("rram-hfo2"), [[1e-4, value]], chip_rng(0))
    assert refused.value.diagnostics[0].code == "E1310"
    assert "5e-05 to 0.000225 S" in str(refused.value.diagnostics[0].hint)


def test_a_rounding_beyond_the_device_is_its_limit() -> None:
    device = load_device("rram-hfo2")
    found = reachable(device, [225e-6 * (1 + 1e-12), 50e-6 * (1 - 1e-12)])
    assert found.tolist() == [225e-6, 50e-6]


def test_a_seed_is_a_chip() -> None:
    device, goal = load_device("pcm"), targets("pcm")[:, :50]

    def made(seed: int, tile: int, verify: Verify | None = None) -> Cells:
        rng = chip_rng(seed, tile)
        return fabricate(device, goal, rng, verify=verify, stuck_on=0.1, stuck_off=0.1)

    assert made(1, 0) == made(1, 0)
    for other in (made(2, 0), made(1, 1)):
        assert not np.isin(other.deviation, made(1, 0).deviation).any()
    # A chip has its faults and its drift before it is programmed.
    again = made(1, 0, Verify(0.2e-6, 5))
    np.testing.assert_array_equal(again.on, made(1, 0).on)
    np.testing.assert_array_equal(again.exponent, made(1, 0).exponent)
    assert (again.deviation != made(1, 0).deviation).any()


def test_cells_cannot_change() -> None:
    cells = fabricate(load_device("pcm"), targets("pcm")[:, :2], chip_rng(20))
    with pytest.raises(ValueError, match="read-only"):
        cells.programmed[0, 0] = 1


def test_currents_of_hfo2_by_crosssim() -> None:
    device = load_device("rram-hfo2")
    g, volt = np.linspace(50e-6, 225e-6, 20)[:, None], np.linspace(-0.5, 0.5, 11)
    # CrossSim has the highest power first.
    square = np.polyval([0.0001388, 0.001541, 0.005711, 0.007063], np.log10(g))
    cube = np.polyval([8.8710e-05, 6.7919e-04, 1.2968e-03], np.log10(g))
    np.testing.assert_allclose(bends(device, g), (square, cube), rtol=1e-9)
    expected = g * volt + square * volt**2 + cube * volt**3
    np.testing.assert_allclose(current(device, g, volt), expected, rtol=1e-12, atol=1e-18)
    # Cells conduct less one way than the other, most so those that conduct least.
    forwards, backwards = (current(device, g, v)[:, 0:1] / (g * v) for v in (0.5, -0.5))
    assert forwards[0] < 0.8 and backwards[0] > 1.2
    assert abs(forwards[-1] - 1) < 0.01 and abs(backwards[-1] - 1) < 0.01


def test_a_cell_beyond_the_fit_has_the_curve_of_its_end_in_proportion() -> None:
    device = load_device("rram-hfo2")
    least, half, none = (current(device, g, 0.5) for g in (50e-6, 25e-6, 0.0))
    assert half == pytest.approx(least / 2, rel=1e-12, abs=0)
    assert none == 0


def test_cells_of_other_devices_are_linear() -> None:
    found = current(load_device("pcm"), np.array([[1e-6], [2e-6]]), np.array([0.1, 3.0]))
    np.testing.assert_allclose(found, [[1e-7, 3e-6], [2e-7, 6e-6]])
    assert not np.any(bends(load_device("pcm"), [1e-6, 2e-6]))


@pytest.mark.parametrize("volt", [0.51, -0.51, np.nan])
def test_currents_beyond_the_measured_curve_are_refused(volt: float) -> None:
    with pytest.raises(SpikecError, match="is not known") as refused:
        current(load_device("rram-hfo2"), 1e-4, volt)
    assert refused.value.diagnostics[0].code == "E1310"
