"""Transients beside JoSIM's figures, closed forms, and a solver of differential equations."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import constants
from scipy.constants import Boltzmann as BOLTZMANN
from scipy.integrate import solve_ivp
from scipy.optimize import brentq
from scipy.stats import chi2

from spikec.backends.sfq.josephson import measure
from spikec.backends.sfq.josephson import simulate as simulate_module
from spikec.backends.sfq.josephson.circuit import (
    Capacitor,
    Circuit,
    Coupling,
    CurrentSource,
    Inductor,
    Junction,
    JunctionModel,
    Line,
    Part,
    Resistor,
    VoltageSource,
)
from spikec.backends.sfq.josephson.simulate import (
    ENERGIES,
    QUANTUM,
    Method,
    Simulator,
    Transient,
    simulate,
)
from spikec.backends.sfq.josephson.waves import FLUX, Constant, Pulse, Sine, ramped, train
from spikec.ir.diagnostics import SpikecError

from ..jtl import MIT, PS, jtl, kinds

Array = npt.NDArray[Any]
WHOLE = Transient(200 * PS, ramp=0.0)
BARE = JunctionModel("bare", 0.1e-3, 0.07e-12, rtype=0)


def refused(code: str, words: str, make: Any) -> None:
    with pytest.raises(SpikecError, match=words) as found:
        make()
    assert {d.code for d in found.value.diagnostics} == {code}


class TestTransmissionLineOfJunctions:
    """JoSIM 2.7, 0.05 ps: 62.134 and 112.134 ps at JJ5, 82.931 and 132.931 ps at JJ15."""

    @pytest.mark.parametrize("method", Method)
    def test_pulses_arrive_when_those_of_josim_do(self, method: Method) -> None:
        how = Transient(200 * PS, ramp=0.0, method=method)
        found = simulate(jtl(), how, record=("B5", "m6", "j19"))
        for probe, wanted in (("B5", (62.134, 112.134)), ("B15", (82.931, 132.931))):
            assert found.pulses.of(probe) / PS == pytest.approx(wanted, abs=0.002)
        assert found.phase("j19")[0, -1] == pytest.approx(13.34177, abs=1e-5)
        # Its highest voltage is between two junctions.
        assert measure.voltage(found, "m6")[1].max() == pytest.approx(505e-6, rel=5e-3)

    def test_each_pulse_is_one_flux_quantum(self) -> None:
        found = simulate(jtl(), WHOLE, record=("B5",))
        between = [measure.flux(found, "B5", t * PS, (t + 45) * PS)[0] for t in (40, 90)]
        assert between == pytest.approx([1, 1], abs=1e-4)
        # The ramp's own: phases rise to where the junctions carry the bias.
        assert measure.flux(found, "B5", 0, 40 * PS)[0] * 2 * np.pi == pytest.approx(
            np.arcsin(0.7), abs=1e-4
        )
        assert found.pulses.counts(sets=1).tolist() == [[2] * 20]

    def test_a_ramp_before_time_0_only_moves_the_bias(self) -> None:
        """After 20 ps a bias that rose in 5 ps and one that rose before are the same."""
        circuit = jtl()
        steady = Circuit(
            tuple(
                CurrentSource(p.name, p.a, p.b, Constant(175e-6))
                if isinstance(p, CurrentSource) and p.name != "Iin"
                else p
                for p in circuit.parts
            )
        )
        found = simulate(steady, Transient(200 * PS, ramp=40 * PS))
        wanted = simulate(circuit, WHOLE)
        assert found.pulses.of("B15") == pytest.approx(wanted.pulses.of("B15"), abs=1e-18)
        assert found.pulses.counts().sum() == 40


class TestIntegrators:
    @pytest.mark.parametrize("method", Method)
    def test_the_error_falls_with_the_square_of_the_step(self, method: Method) -> None:
        parts = (
            Junction("B1", "a", "0", MIT),
            Resistor("R1", "a", "0", 6.6),
            Inductor("L1", "a", "b", 5 * PS),
            Junction("B2", "b", "0", MIT, 0.8),
            Resistor("R2", "b", "0", 7.0),
            CurrentSource("I1", "0", "a", Sine(0.0, 2e-4, 60e9)),
        )
        simulator = Simulator(Circuit(parts))
        ends = [
            simulator.run(Transient(16 * PS, h * PS, 0.0, method, tolerance=1e-13)).ends[0]
            for h in (0.08, 0.04, 0.02, 0.01)
        ]
        steps = [np.abs(b - a).max() for a, b in itertools.pairwise(ends)]
        orders = np.log2(np.array(steps[:-1]) / steps[1:])
        assert orders == pytest.approx(2, abs=0.1)

    @pytest.mark.parametrize("seed", range(4))
    def test_random_circuits_beside_a_solver_of_differential_equations(self, seed: int) -> None:
        """Capacitors, resistors, coupled inductors, and junctions up to above their gap."""
        rng = np.random.default_rng(seed)
        names = ["0", "a", "b", "c"]
        model = JunctionModel("j", 0.1e-3, 0.07e-12, 160, 16, gap=0.6e-3, spread=0.2e-3)
        ends = [(i, j) for j in range(4) for i in range(j)]
        parts: list[Part] = []
        for k, (i, j) in enumerate(ends):
            a, b = names[i], names[j]
            parts.append(Inductor(f"L{k}", b, a, rng.uniform(3, 9) * PS))
            parts.append(Resistor(f"R{k}", a, b, rng.uniform(3, 20)))
            if not i:
                parts.append(Junction(f"B{k}", b, a, model, rng.uniform(0.5, 2)))
                parts.append(CurrentSource(f"I{k}", a, b, Sine(0, 4e-4, rng.uniform(2e10, 9e10))))
        parts += [Coupling("K1", "L0", "L3", 0.4), Coupling("K2", "L3", "L5", -0.3)]
        circuit = Circuit(tuple(parts))
        incidence = np.zeros((6, 4))
        incidence[range(6), [j for _, j in ends]] = 1
        incidence[range(6), [i for i, _ in ends]] -= 1
        incidence = incidence[:, 1:]
        henry = np.array([p.henry for p in circuit.of(Inductor)])
        matrix = np.diag(henry)
        for i, j, share in ((0, 3, 0.4), (3, 5, -0.3)):
            matrix[i, j] = matrix[j, i] = share * np.sqrt(henry[i] * henry[j])
        stiff = incidence.T @ np.linalg.inv(matrix) @ incidence
        ohms = np.array([p.ohm for p in circuit.of(Resistor)])
        loss = incidence.T @ np.diag(1 / ohms) @ incidence
        area = np.array([p.area for p in circuit.of(Junction)])
        waves = [p.wave for p in circuit.of(CurrentSource)]

        def quasiparticles(volt: Array) -> Array:
            foot, head = 0.5e-3, 0.7e-3
            at = np.abs(volt)
            low, high = foot / 160, head / 16
            middle = low + (at - foot) / (head - foot) * (high - low)
            found = np.where(at < foot, at / 160, np.where(at > head, at / 16, middle))
            return np.asarray(np.sign(volt) * found)

        def rate(t: float, state: Array) -> Array:
            phase, volt = state[:3], state[3:]
            given = np.array([w.sine[0] * np.sin(2 * np.pi * w.sine[1] * t * PS) for w in waves])
            lost = area * (1e-4 * np.sin(phase) + quasiparticles(volt * 1e-3))
            lost += loss @ volt * 1e-3 + QUANTUM * stiff @ phase
            return np.concatenate(
                [volt * 1e-3 / QUANTUM * PS, (given - lost) / (area * 0.07 * PS) * PS * 1e3]
            )

        wanted = solve_ivp(rate, (0, 30), np.zeros(6), "DOP853", rtol=1e-9, atol=1e-9, max_step=0.1)
        for method in Method:
            found = simulate(circuit, Transient(30 * PS, 0.005 * PS, 0.0, method))
            own = found.ends[0, [found.nodes.index(name) for name in names[1:]]]
            assert own == pytest.approx(wanted.y[:3, -1], abs=2e-3)
        assert np.abs(wanted.y[3:]).max() > 0.7  # mV: some were above the gap

    def test_a_step_that_is_too_long_names_the_junction(self) -> None:
        circuit = jtl(3)
        refused(
            "E1405",
            "the phase of 'B2' was not found.*\n.*take a step of 4",
            lambda: simulate(
                circuit, Transient(200 * PS, 8 * PS, 0.0), factors={"B2.critical": 1.5}
            ),
        )


def test_constants_are_those_of_the_si() -> None:
    """So that noise and flux are held to something that is not ours."""
    assert constants.k == simulate_module.BOLTZMANN
    assert pytest.approx(constants.h / (2 * constants.e), rel=1e-15, abs=0) == FLUX
    assert pytest.approx(constants.hbar / (2 * constants.e), rel=1e-15, abs=0) == QUANTUM


class TestEnergy:
    def test_the_balance_closes(self) -> None:
        found = simulate(jtl(), WHOLE)
        assert abs(found.imbalance[0]) < 1e-6
        # In the middle of a pulse, with long steps, it closes as well: energy is conserved.
        found = simulate(jtl(), Transient(80 * PS, 0.2 * PS, 0.0))
        assert abs(found.imbalance[0]) < 1e-6

    def test_bdf2_damps_less_with_shorter_steps(self) -> None:
        lost = [
            simulate(jtl(8), Transient(80 * PS, h * PS, 0.0, Method.BDF2)).imbalance[0]
            for h in (0.1, 0.05, 0.025)
        ]
        assert 1e-3 > abs(lost[1]) > 1e-5
        assert abs(lost[0]) > 2.5 * abs(lost[1]) > 6 * abs(lost[2])

    @pytest.mark.parametrize("method", Method)
    def test_all_kinds_of_elements_at_once(self, method: Method) -> None:
        """Above the gap, through a line, behind a voltage source, and coupled."""
        found = simulate(Circuit(kinds("v")), Transient(60 * PS, 0.02 * PS, 0.0, method))
        assert (np.delete(np.abs(found.energies[0]), 1) > 1e-23).all()
        limit = 1e-8 if method == Method.MIDPOINT else 1e-3
        assert abs(found.imbalance[0]) < limit

    def test_a_capacitor_takes_half_of_what_charges_it(self) -> None:
        volt, farad = 1e-3, 1e-12
        parts = (
            VoltageSource("V1", "v", "0", ramped(volt, 1e-16)),
            Resistor("R1", "v", "a", 2.0),
            Capacitor("C1", "a", "0", farad),
        )
        found = simulate(Circuit(parts), Transient(60 * PS, 0.01 * PS, 0.0))
        energy = dict(zip(ENERGIES, found.energies[0], strict=True))
        assert energy["sources"] == pytest.approx(farad * volt**2, rel=5e-3, abs=0)
        assert energy["resistors"] == pytest.approx(farad * volt**2 / 2, rel=1e-2, abs=0)
        assert energy["capacitors"] == pytest.approx(farad * volt**2 / 2, rel=1e-9, abs=0)


class TestFlux:
    @pytest.mark.parametrize("quanta", [0, 1, 2])
    def test_a_superconducting_loop_holds_whole_quanta(self, quanta: int) -> None:
        """Junction and inductor in a ring: L I + Phi0 / 2 pi phase = n Phi0 when all is at rest."""
        henry = 60 * PS
        parts = (
            Junction("B1", "a", "0", MIT),
            Resistor("R1", "a", "0", 6.6),
            Inductor("L1", "a", "0", henry),
            # Half a quantum's current beyond where the last one enters.
            CurrentSource("I1", "0", "a", Pulse(0, 1e-4 + (quanta - 0.25) * FLUX / henry,
                                                10 * PS, 10 * PS, 10 * PS, 60 * PS)),
        )  # fmt: skip
        found = simulate(Circuit(parts), Transient(400 * PS), record=("a",))
        phase = found.phase("a")[0, -1]

        def balance(x: float) -> float:
            return float(1e-4 * np.sin(x) + QUANTUM * x / henry)

        turn = 2 * np.pi * quanta
        assert phase == pytest.approx(brentq(balance, turn - 1.5, turn + 1.5), abs=1e-6)
        current = QUANTUM * phase / henry
        junction = phase - turn  # within one turn: the junction's own
        assert henry * current - QUANTUM * junction == pytest.approx(quanta * FLUX, abs=1e-21)
        assert found.pulses.counts()[0, 0] == quanta

    def test_pulses_back_are_told_from_pulses(self) -> None:
        parts = (
            Junction("B1", "a", "0", MIT),
            Resistor("R1", "a", "0", 6.6),
            CurrentSource("I1", "0", "a", Sine(0, 3e-4, 2e10)),
        )
        found = simulate(Circuit(parts), Transient(50 * PS, ramp=0.0), record=("B1",))
        up, down = found.pulses.of("B1"), found.pulses.back("B1")
        assert up.size > 0 and up.size == down.size
        assert up.max() < 25 * PS < down.min()
        own = measure.crossings(found.times, found.phase("B1")[0])
        assert up == pytest.approx(own, abs=1e-18)

    def test_no_pulse_is_dropped(self) -> None:
        """A junction that runs at a voltage has far more of them than there is room at first."""
        parts = (
            Junction("B1", "a", "0", MIT),
            Resistor("R1", "a", "0", 6.6),
            CurrentSource("I1", "0", "a", Constant(3e-4)),
        )
        factors = {"I1": np.linspace(0, 1, 11)}
        found = simulate(Circuit(parts), Transient(200 * PS), factors=factors, record=("a",))
        counts = found.pulses.counts(after=-np.inf, sets=11)[:, 0]
        assert counts.max() > 100 and counts.min() == 0
        turns = np.rint(found.phase("a")[:, -1] / (2 * np.pi))
        assert counts.tolist() == turns.tolist()
        assert (np.diff(found.pulses.of("B1", 10)) > 0).all()


class TestNoise:
    def test_a_capacitor_has_kt_by_c(self) -> None:
        """For any step: here 0.2 of RC."""
        farad, ohm, kelvin = 1e-13, 5.0, 4.2
        circuit = Circuit((Resistor("R1", "a", "0", ohm), Capacitor("C1", "a", "0", farad)))
        how = Transient(300 * PS, 0.1 * PS, 5 * PS, temperature=kelvin)
        found = simulate(circuit, how, record=("a",), seeds=np.arange(64))
        _, volt = measure.voltage(found, "a")
        # The mean over a step has less than the ends of it: h / 2 RC is a tenth.
        share = 0.1 * PS / (2 * ohm * farad)
        wanted = BOLTZMANN * kelvin / farad / (1 + share)
        assert volt[:, 50:].var() == pytest.approx(wanted, rel=0.03, abs=0)
        assert abs(found.imbalance).max() < 1e-9

    def test_an_inductor_has_kt_by_l(self) -> None:
        henry, ohm, kelvin = 5 * PS, 5.0, 4.2
        circuit = Circuit(
            (Resistor("R1", "a", "0", ohm), Inductor("L1", "a", "0", henry),
             Capacitor("C1", "a", "0", 1e-14))
        )  # fmt: skip
        how = Transient(600 * PS, 0.1 * PS, 20 * PS, temperature=kelvin)
        # Frames are 10 L / R apart: independent, so that the sum of squares is chi-square's, and
        # the bound is that which 1 of 10,000 seeds is beyond: 2.2 %.
        found = simulate(circuit, how, record=("a",), seeds=np.arange(1024), stride=100)
        current = QUANTUM * found.phase("a")[:, 3:] / henry
        turns = (current**2).sum() / (BOLTZMANN * kelvin / henry)
        assert current.size > 59_000
        low, high = chi2.ppf([0.5e-4, 1 - 0.5e-4], current.size)
        assert low < turns < high

    @pytest.mark.parametrize("tilt", [0.6, 1.0])
    def test_an_overdamped_junction_diffuses_as_ambegaokar_and_halperin_say(
        self, tilt: float
    ) -> None:
        """Phys. Rev. Lett. 22, 1364 (1969): a particle on a tilted washboard, kT at E_J / 2."""
        critical, ohm, kelvin = 1e-6, 10.0, 11.92
        model = JunctionModel("j", critical, 1e-14, rtype=0)  # beta_c = 0.003
        barrier = critical * QUANTUM / (BOLTZMANN * kelvin)
        assert barrier == pytest.approx(2, rel=1e-3)
        # Stratonovich: the mean rate, in units of Ic R, is 2 pi kT / E (1 - exp(-2 pi i E / kT))
        # by the integral over one turn of x and of y of exp((U(x) - U(x - y)) / kT).
        x = np.linspace(0, 2 * np.pi, 400, endpoint=False)
        y = np.linspace(0, 2 * np.pi, 4001)[:, None]
        work = np.exp(barrier * (np.cos(x - y) - np.cos(x) - tilt * y))
        whole = np.trapezoid(work, y, axis=0).mean() * 2 * np.pi
        wanted = 2 * np.pi * (1 - np.exp(-2 * np.pi * tilt * barrier)) / barrier / whole
        parts = (
            Junction("B1", "a", "0", model),
            Resistor("R1", "a", "0", ohm),
            CurrentSource("I1", "0", "a", Constant(tilt * critical)),
        )
        unit = QUANTUM / (critical * ohm)
        how = Transient(400 * unit, 0.1 * unit, 20 * unit, temperature=kelvin)
        found = simulate(Circuit(parts), how, seeds=np.arange(96), record=("a",), stride=200)
        turned = found.phase("a")[:, -1] - found.phase("a")[:, 1]
        rate = turned.mean() / (found.times[-1] - found.times[1]) * unit
        assert rate == pytest.approx(wanted, rel=0.04)

    def test_seeds_are_what_noise_depends_on(self) -> None:
        circuit = Circuit((Resistor("R1", "a", "0", 5), Capacitor("C1", "a", "0", 1e-13)))
        how = Transient(20 * PS, temperature=4.2)
        ends = [simulate(circuit, how, seed=s).ends for s in (1, 1, 2)]
        assert (ends[0] == ends[1]).all() and (ends[0] != ends[2]).any()
        cold = simulate(circuit, Transient(20 * PS)).ends
        assert not cold.any()


class TestLines:
    def line(self, ohm: float, seconds: float, method: Method) -> Any:
        parts = (
            CurrentSource("I1", "0", "a", train([10 * PS], 2e-15, 4 * PS)),
            Resistor("R1", "a", "0", 5.0),
            Line("T1", "a", "0", "b", "0", 5.0, seconds),
            Resistor("R2", "b", "0", ohm),
        )
        how = Transient(60 * PS, 0.05 * PS, 0.0, method)
        return simulate(Circuit(parts), how, record=("a", "b"))

    @pytest.mark.parametrize("method", Method)
    @pytest.mark.parametrize("delay", [8.0, 8.02])
    def test_a_matched_line_delays_and_sends_nothing_back(
        self, method: Method, delay: float
    ) -> None:
        found = self.line(5.0, delay * PS, method)
        time, volt = measure.voltage(found, "a")
        _, there = measure.voltage(found, "b")
        # 2e-15 A s by half of 5 ohm
        assert found.phase("b")[0, -1] * QUANTUM == pytest.approx(5e-15, rel=1e-9, abs=0)
        late = np.interp(time - delay * PS, time, volt[0])
        assert there[0] == pytest.approx(late, abs=2e-5 * volt.max())
        assert volt[0, time > 14 * PS] == pytest.approx(0, abs=1e-3 * volt.max())

    def test_an_open_end_sends_back_all(self) -> None:
        found = self.line(1e9, 8 * PS, Method.MIDPOINT)
        time, volt = measure.voltage(found, "a")
        first, back = (volt[0, np.abs(time - t * PS) < 4 * PS] for t in (10, 26))
        assert back == pytest.approx(first, abs=1e-6 * first.max())
        assert volt[0, time > 31 * PS] == pytest.approx(0, abs=1e-6 * first.max())

    def test_a_line_is_longer_than_a_step(self) -> None:
        refused("E1405", "'T1' lasts 1e-14 s", lambda: self.line(5.0, 0.01 * PS, Method.BDF2))


def everything(found: Any) -> list[Array]:
    p = found.pulses
    return [found.phases, found.ends, found.energies, p.set, p.probe, p.time, p.direction]


class TestSets:
    """Lanes, blocks and threads have no part in what a set gives."""

    COUNT = 19

    def varied(self) -> tuple[Simulator, Transient, dict[str, Array], dict[str, Array]]:
        rng = np.random.default_rng(8)
        circuit = jtl(4)
        factors = {
            p.name: rng.uniform(0.9, 1.1, self.COUNT)
            for p in circuit.parts
            if p.name not in ("Lb3", "R2")
        }
        factors["B1.critical"] = rng.uniform(0.9, 1.1, self.COUNT)
        delays = {"Iin": rng.uniform(-5, 5, self.COUNT) * PS}
        how = Transient(100 * PS, ramp=10 * PS, temperature=4.2)
        return Simulator(circuit), how, factors, delays

    @pytest.mark.parametrize("method", Method)
    def test_a_batch_is_its_sets_bit_for_bit(self, method: Method) -> None:
        simulator, how, factors, delays = self.varied()
        how = Transient(how.duration, how.step, how.ramp, method, how.temperature)
        seeds = np.arange(self.COUNT) * 7
        whole = simulator.run(
            how, factors=factors, delays=delays, seeds=seeds, record=("j3", "B0"), stride=50
        )
        assert len(np.unique(whole.ends[:, 0])) == self.COUNT
        for i in range(self.COUNT):
            alone = simulator.run(
                how,
                factors={k: v[i] for k, v in factors.items()},
                delays={k: v[i] for k, v in delays.items()},
                seeds=[seeds[i]],
                record=("j3", "B0"),
                stride=50,
            )
            assert (alone.phases[0] == whole.phases[i]).all()
            assert (alone.ends[0] == whole.ends[i]).all()
            assert (alone.energies[0] == whole.energies[i]).all()
            mine = whole.pulses.set == i
            assert (alone.pulses.time == whole.pulses.time[mine]).all()
            assert (alone.pulses.probe == whole.pulses.probe[mine]).all()

    def test_the_order_of_sets_does_not_matter(self) -> None:
        simulator, how, factors, delays = self.varied()
        order = np.random.default_rng(3).permutation(self.COUNT)
        seeds = np.arange(self.COUNT)
        one = simulator.run(how, factors=factors, delays=delays, seeds=seeds)
        two = simulator.run(
            how,
            factors={k: v[order] for k, v in factors.items()},
            delays={k: v[order] for k, v in delays.items()},
            seeds=seeds[order],
        )
        assert (one.ends[order] == two.ends).all() and (one.energies[order] == two.energies).all()

    def test_threads_change_nothing(self) -> None:
        simulator, how, factors, delays = self.varied()
        told: list[float] = []
        one = simulator.run(how, factors=factors, delays=delays, progress=told.append)
        two = simulator.run(how, factors=factors, delays=delays, threads=2)
        assert all((a == b).all() for a, b in zip(everything(one), everything(two), strict=True))
        assert told == sorted(told) and told[0] > 0 and told[-1] == 1

    def test_factors_are_the_elements_own_values(self) -> None:
        """A circuit that was built with other values is the one whose values are varied."""
        factors = {"La1": 1.2, "B2": 0.9, "R3": 1.1, "Ib1": 0.95}
        varied = simulate(jtl(4), WHOLE, factors=factors)
        built = []
        for p in jtl(4).parts:
            if p.name == "La1":
                p = Inductor(p.name, "j0", "m1", 2 * PS * 1.2)
            elif p.name == "B2":
                p = Junction(p.name, "j2", "0", MIT, 2.5 * 0.9)
            elif p.name == "R3":
                p = Resistor(p.name, "j3", "0", 2.65 * 1.1)
            elif p.name == "Ib1":
                p = CurrentSource(p.name, "0", "j1", ramped(175e-6 * 0.95, 5 * PS))
            built.append(p)
        wanted = simulate(Circuit(tuple(built)), WHOLE)
        assert varied.ends == pytest.approx(wanted.ends, abs=1e-9)
        assert varied.pulses.time == pytest.approx(wanted.pulses.time, abs=1e-20)

    def test_delays_move_what_comes_after_the_ramp(self) -> None:
        found = simulate(jtl(4), Transient(200 * PS), delays={"Iin": np.array([0, 7.5]) * PS})
        assert found.pulses.of("B3", 1) == pytest.approx(
            found.pulses.of("B3", 0) + 7.5 * PS, rel=1e-6, abs=0
        )

    @pytest.mark.parametrize(
        ("code", "words", "how"),
        [
            ("E1403", "'L9' cannot be varied", {"factors": {"L9": 1}}),
            ("E1403", "'La1.critical' cannot be varied", {"factors": {"La1.critical": 1}}),
            ("E1403", "'R1' cannot be delayed", {"delays": {"R1": 1e-12}}),
            ("E1403", "no node or junction has the name 'R1'", {"record": ("R1",)}),
            ("E1403", "no node or junction has the name 'x'", {"watch": ("x",)}),
            ("E1404", "'R1' is varied by -1", {"factors": {"R1": [1, -1]}}),
            ("E1404", "'R1' has 2 values, others have 3",
             {"factors": {"R1": [1, 2], "R2": [1, 2, 3]}}),
            ("E1404", "'R1' has values of the shape", {"factors": {"R1": []}}),
            ("E1404", "'R1' has values of the shape", {"factors": {"R1": [[1, 2]]}}),
            ("E1404", "before time 0", {"delays": {"Iin": -51e-12}}),
            ("E1404", "every 0 steps", {"stride": 0}),
        ],
    )  # fmt: skip
    def test_what_cannot_be(self, code: str, words: str, how: Any) -> None:
        refused(code, words, lambda: simulate(jtl(3), Transient(1e-12), **how))

    def test_circuits_of_next_to_nothing(self) -> None:
        """Without an unknown node, and without an element."""
        held = (VoltageSource("V1", "a", "0", Constant(1e-3)), Resistor("R1", "a", "0", 2.0))
        found = simulate(Circuit(held), Transient(10 * PS, ramp=20 * PS), record=("a",))
        # A third of the ramp's rise counts, all of what is after it.
        wanted = 1e-6 / 2 * (10 / 3 + 10 + 10) * PS
        assert found.energies[0, :3] == pytest.approx([wanted, 0, wanted], rel=1e-5, abs=0)
        assert found.phase("a")[0, -1] == pytest.approx(1e-3 * 25 * PS / QUANTUM)
        nothing = simulate(Circuit(()), Transient(PS))
        assert nothing.nodes == ("0",) and not nothing.energies.any()

    def test_an_interruption_stops_the_steps(self) -> None:
        """Two minutes of steps, of which one share is told before Ctrl-C."""

        def interrupted(share: float) -> None:
            raise KeyboardInterrupt

        begin = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            simulate(jtl(3), Transient(20e-6), progress=interrupted)
        assert time.monotonic() - begin < 60

    def test_transients_that_cannot_be(self) -> None:
        refused("E1404", "step of a transient is 0", lambda: Transient(1e-12, 0))
        refused("E1404", "temperature of a transient is -1", lambda: Transient(1, temperature=-1))

    def test_couplings_that_make_energy(self) -> None:
        coils = tuple(Inductor(f"L{k}", "a", "0", PS) for k in range(3))
        pairs = [(0, 1, 0.9), (1, 2, 0.9), (0, 2, -0.9)]
        links = tuple(Coupling(f"K{i}{j}", f"L{i}", f"L{j}", k) for i, j, k in pairs)
        refused(
            "E1401",
            "'L0', 'L1', 'L2' are stronger",
            lambda: simulate(Circuit(coils + links), Transient(1e-12)),
        )
