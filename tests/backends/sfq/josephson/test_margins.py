"""Margins and yield beside closed forms, and that a batch is many single runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import norm

from spikec.backends.sfq.josephson import margins as module
from spikec.backends.sfq.josephson.circuit import (
    Circuit,
    CurrentSource,
    Inductor,
    Junction,
    JunctionModel,
    Part,
    Resistor,
)
from spikec.backends.sfq.josephson.margins import (
    Spread,
    Trial,
    beyond,
    critical,
    elements,
    kinds,
    margins,
    yields,
)
from spikec.backends.sfq.josephson.simulate import Pulses, Simulator, Transient
from spikec.backends.sfq.josephson.waves import Constant
from spikec.boards.process import load_process
from spikec.compiler.backend import Margin
from spikec.ir.diagnostics import SpikecError

PS = 1e-12
# Without capacitance to speak of nothing swings over: it switches where the bias exceeds Ic.
SLUGGISH = JunctionModel("sluggish", 0.1e-3, 0.2e-15, 160.0, 16.0)
SHARE = 0.7


def silent(found: Pulses, sets: int) -> npt.NDArray[np.bool_]:
    return np.asarray(np.bincount(found.set, minlength=sets) == 0)


def junction(share: float = SHARE, **how: Any) -> Trial:
    """A junction of 0.2 mA at ``share`` of it, which passes as long as it does not switch."""
    parts: tuple[Part, ...] = (
        Junction("B1", "n", "0", SLUGGISH, 2.0),
        Resistor("RB1", "n", "0", 3.43),
        Inductor("L1", "n", "m", 2 * PS),
        Resistor("R<m", "m", "0", 1e6),
        CurrentSource("I1", "0", "n", Constant(share * 0.2e-3)),
    )
    transient = Transient(how.pop("duration", 150 * PS), 0.1 * PS, ramp=40 * PS, **how)
    return Trial(Simulator(Circuit(parts)), transient, ("B1",), silent)


@dataclass(frozen=True, eq=False)
class Known(Trial):
    """Passes in ranges that are given: what a search finds can be told beforehand."""

    ranges: Mapping[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)

    def passes(
        self, factors: Mapping[str, npt.NDArray[np.float64]], circuits: int, **how: Any
    ) -> npt.NDArray[np.bool_]:
        right = np.ones(circuits, np.bool_)
        for name, factor in factors.items():
            inside = [(low <= factor - 1) & (factor - 1 <= high) for low, high in self.ranges[name]]
            right &= np.any(inside, axis=0)
        return right


def known(**ranges: tuple[tuple[float, float], ...]) -> Known:
    plain = junction()
    return Known(plain.simulator, plain.transient, plain.watch, plain.check, ranges=ranges)


class TestMargins:
    def test_a_junction_switches_by_itself_where_its_bias_is_its_critical_current(self) -> None:
        trial = junction()
        found = margins(trial, {**elements(trial.simulator.circuit), "none": ()})
        assert found["I1"].high == pytest.approx(1 / SHARE - 1, abs=0.006)
        assert found["I1"].open_low
        assert found["B1"].low == pytest.approx(SHARE - 1, abs=0.006)
        assert found["B1"].open_high
        # What does not matter is open on both sides, as far as was tried.
        assert found["RB1"] == found["L1"] == found["none"] == Margin(-0.6, 0.6, True, True)
        assert critical(found) == "B1"
        assert found["B1"].least == -found["B1"].low

    def test_values_together_can_go_further_than_alone(self) -> None:
        trial = junction()
        both = margins(trial, {"both": ("I1", "B1"), "bias": ("I1",)})
        assert both["both"] == Margin(-0.6, 0.6, True, True)
        assert both["bias"].high < 0.5

    def test_elements_go_with_powers_of_the_factor(self) -> None:
        ranges = known(B1=((-0.2, 0.3),), RB1=((-0.9, 0.9),), L1=((-0.9, 0.21),))
        groups = {"area": {"B1": 1.0, "RB1": -1.0}, "square": {"L1": 2.0}}
        found = margins(ranges, groups)
        assert found["area"].low == pytest.approx(-0.2, abs=0.005)
        assert found["area"].high == pytest.approx(0.3, abs=0.005)
        assert found["square"].high == pytest.approx(0.1, abs=0.005)

    def test_ends_are_where_the_check_begins_to_fail(self) -> None:
        ranges = {"B1": (-0.237, 0.313), "I1": (-0.05, 0.004), "L1": (-0.9, 0.9)}
        found = margins(
            known(**{name: (pair,) for name, pair in ranges.items()}),
            {name: (name,) for name in ranges},
        )
        for name, (low, high) in ranges.items():
            # Inside what passes, and not further from its end than the resolution.
            assert 0 <= found[name].low - max(low, -0.6) < 0.005
            assert 0 <= min(high, 0.6) - found[name].high < 0.005
        assert (found["L1"].open_low, found["L1"].open_high) == (True, True)
        assert (found["B1"].open_low, found["B1"].open_high) == (False, False)

    def test_a_range_behind_one_that_fails_is_not_in_it(self) -> None:
        found = margins(known(B1=((-0.1, 0.12), (0.3, 0.6))), {"B1": ("B1",)})
        assert 0.115 < found["B1"].high <= 0.12
        assert not found["B1"].open_high

    @pytest.mark.parametrize("resolution", [0.05, 0.01, 0.001])
    def test_the_resolution_is_as_asked(self, resolution: float) -> None:
        found = margins(
            known(B1=((-0.237, 0.313),)), {"B1": ("B1",)}, resolution=resolution, reach=0.4
        )
        assert 0 <= 0.313 - found["B1"].high <= resolution

    def test_groups_are_found_alone_as_in_a_batch(self) -> None:
        trial = junction()
        groups = {"bias": ("I1",), "areas": ("B1",), "resistors": ("RB1",)}
        batch = margins(trial, groups)
        for title, group in groups.items():
            assert margins(trial, {title: group}) == {title: batch[title]}

    def test_progress_rises_to_its_end(self) -> None:
        shares: list[float] = []
        margins(junction(), {"bias": ("I1",)}, progress=shares.append)
        assert shares == sorted(shares)
        assert shares[-1] == pytest.approx(1.0)

    def test_what_fails_at_its_nominal_values_has_no_margin(self) -> None:
        with pytest.raises(SpikecError) as found:
            margins(junction(1.1), {"bias": ("I1",)})
        assert found.value.diagnostics[0].code == "E1424"

    def test_what_is_wrong_is_asked_just_beyond(self) -> None:
        """At the values that failed, on sides that are not open."""
        asked: list[float] = []

        class Named(Known):
            def faults(
                self, factors: Mapping[str, npt.NDArray[np.float64]], circuits: int, **how: Any
            ) -> list[str]:
                asked.extend((factors["B1"] - 1).round(6).tolist())
                return ["" if ok else "wrong" for ok in self.passes(factors, circuits)]

        plain = junction()
        ranges = {"B1": ((-0.2372, 0.9),)}
        trial = Named(plain.simulator, plain.transient, plain.watch, plain.check, ranges=ranges)
        found = margins(trial, {"B1": ("B1",)}, resolution=0.01)
        assert beyond(trial, {"B1": ("B1",)}, found, resolution=0.01) == {"B1": ("wrong", "")}
        # Steps of 0.05, halved three times.
        assert found["B1"].low == pytest.approx(-0.23125) and asked[0] == -0.2375

    def test_all_circuits_of_a_search_have_the_same_noise(self) -> None:
        trial = junction(0.995, temperature=4.2, duration=60 * PS)
        apart = trial.passes({"L1": np.ones(40)}, 40, seed=2)
        assert 5 < apart.sum() < 35
        alike = trial.passes({"L1": np.ones(40)}, 40, seed=2, alike=True)
        assert np.array_equal(alike, np.full(40, apart[0]))

    def test_groups_leave_the_stimulus_alone(self) -> None:
        circuit = junction().simulator.circuit
        assert elements(circuit) == {name: (name,) for name in ("B1", "RB1", "L1", "I1")}
        assert kinds(circuit) == {
            "areas": ("B1",), "inductances": ("L1",), "resistors": ("RB1",), "bias": ("I1",),
        }  # fmt: skip
        assert kinds(circuit, ["L1"]) == {"inductances": ("L1",)}


class TestYield:
    SPREAD = Spread({"areas": 0.2})

    def test_of_a_junction_it_is_the_probability_that_its_critical_current_suffices(self) -> None:
        found = yields(junction(), self.SPREAD, 1000, seed=5)
        low, high = found.interval
        wanted = norm.cdf((1 - SHARE) / 0.2)
        assert low < wanted < high
        assert high - low < 0.05
        assert found.share == found.working / found.count == found.passed.mean()
        # Just those pass whose critical current is above the bias.
        assert np.array_equal(found.passed, found.factors["B1"] > SHARE)

    def test_biases_together_move_it(self) -> None:
        found = yields(junction(), self.SPREAD, 400, bias=0.9, seed=5)
        assert np.array_equal(found.passed, found.factors["B1"] > 0.9 * SHARE)

    def test_circuits_are_those_of_their_seed_however_many_there_are(self) -> None:
        circuit = junction().simulator.circuit
        spread = Spread({"areas": 0.1, "resistors": 0.1}, {"areas": 0.1, "bias": 0.1})
        few, many = spread.draw(circuit, range(3), 8), spread.draw(circuit, range(7), 8)
        assert set(few) == set(many) == {"B1", "RB1", "I1"}
        assert all(np.array_equal(few[name], many[name][:3]) for name in few)
        assert not np.array_equal(few["B1"], spread.draw(circuit, range(3), 9)["B1"])

    def test_spreads_are_as_wide_as_asked_and_those_of_a_chip_are_shared(self) -> None:
        parts = tuple(
            part
            for k in range(40)
            for part in (
                Junction(f"B{k}", f"n{k}", "0", SLUGGISH),
                Inductor(f"L{k}", f"n{k}", "0", PS),
            )
        )
        draws = Spread({"areas": 0.02}, {"inductances": 0.05}).draw(Circuit(parts), range(400), 1)
        areas = np.array([draws[f"B{k}"] for k in range(40)])
        assert areas.std() == pytest.approx(0.02, rel=0.03)
        assert abs(np.corrcoef(areas[0], areas[1])[0, 1]) < 0.15
        inductances = np.array([draws[f"L{k}"] for k in range(40)])
        assert inductances.std() == pytest.approx(0.05, rel=0.1)
        assert (inductances == inductances[0]).all()

    def test_no_value_turns_round(self) -> None:
        draws = Spread({"areas": 3.0}).draw(junction().simulator.circuit, range(200), 1)
        assert draws["B1"].min() == 0.05

    def test_a_process_says_how_far_elements_are_from_each_other(self) -> None:
        process = load_process("mitll-sfq5ee")
        spread = Spread.of(process, 2.0)
        assert spread.element == {
            "areas": 2 * process.spread["density"].value,
            "inductances": 2 * process.spread["inductance"].value,
            "resistors": 2 * process.spread["resistance"].value,
        }

    def test_parts_of_a_batch_are_what_the_batch_is_with_noise_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trial = junction(0.985, temperature=4.2, duration=60 * PS)
        whole = yields(trial, Spread({"areas": 0.02}), 50, seed=2)
        assert 5 < whole.working < 45
        monkeypatch.setattr(module, "_AT_ONCE", 7)
        parts = yields(trial, Spread({"areas": 0.02}), 50, seed=2)
        assert np.array_equal(whole.passed, parts.passed)
        other = yields(trial, Spread({"areas": 0.02}), 50, seed=3)
        assert not np.array_equal(whole.passed, other.passed)

    def test_all_cases_of_a_circuit_have_to_pass(self) -> None:
        plain = junction()
        # The second case has more bias: it decides.
        trial = replace(plain, factors={"I1": [1.0, 1.2]}, cases=2)
        found = yields(trial, self.SPREAD, 200, seed=5)
        assert np.array_equal(found.passed, found.factors["B1"] > 1.2 * SHARE)
