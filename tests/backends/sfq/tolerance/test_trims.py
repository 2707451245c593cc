"""Trims of chips: currents out of counts, counts of simulated chips, and what is no count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import binom, norm

from spikec.backends.sfq.cells.chance import SOURCE, law, nominal, passes
from spikec.backends.sfq.synthesis.files import read_program
from spikec.backends.sfq.synthesis.synthesise import Program, synthesise
from spikec.backends.sfq.tolerance import trims as module
from spikec.backends.sfq.tolerance.trims import Counts, as_factors, counted, synapses, trims
from spikec.compiler.backend import find_target
from spikec.compiler.compile import compile_graph
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import SpikecError

from ..networks import TARGET, exclusive, layered, quantised

UA = 1e-6


def counts(middle: float, tried: int, seed: int | None = None, step: float = 1.0) -> Counts:
    """Of a synapse with this I50 at nine currents: what is expected, or drawn."""
    bias = law().middle + law().sigma * step * np.arange(-4, 5) / 2
    p = norm.cdf((bias - middle) / law().sigma)
    many = np.full(bias.size, tried)
    passed = np.rint(p * tried) if seed is None else binom.rvs(many, p, random_state=seed)
    return Counts(bias, passed, many)


def counting(*arrays: list[float]) -> Counts:
    bias, passed, tried = (np.array(array) for array in arrays)
    return Counts(bias, passed, tried)


@pytest.mark.parametrize("off", [-1.3, 0.0, 0.8])
def test_the_middle_is_found(off: float) -> None:
    middle = law().middle + off * law().sigma
    found, error = counts(middle, 1_000_000).middle
    assert found == pytest.approx(middle, rel=0, abs=2e-4 * law().sigma)
    assert error < 1e-3 * law().sigma


def test_errors_are_what_chance_does() -> None:
    middle = law().middle + 0.4 * law().sigma
    found = np.array([counts(middle, 40, seed).middle for seed in range(300)])
    assert abs(found[:, 0].mean() - middle) < 4 * found[:, 1].mean() / np.sqrt(300)
    assert found[:, 0].std() == pytest.approx(found[:, 1].mean(), rel=0.2, abs=0)


@pytest.fixture(scope="module")
def one() -> Program:
    """A neuron with two synapses that release with 0.9."""
    return synthesise(quantised(layered([([[1, 1]], [0.5])])), release={"w0": 0.9})


def test_a_trim_gives_the_probability_again(one: Program) -> None:
    middles = {name: law().middle + k * UA for k, name in enumerate(synapses(one))}
    found = trims(one, {name: counts(m, 100_000) for name, m in middles.items()})
    for name, trim in found.items():
        assert norm.cdf((trim.bias - middles[name]) / law().sigma) == pytest.approx(0.9, abs=1e-3)
        assert trim.low < 0.9 < trim.high < trim.low + 0.01
    factors = as_factors(one, found)
    (first, *_) = synapses(one).values()
    # In the circuit the factor multiplies what was compiled.
    bias = nominal() * first.factors[SOURCE] * factors[f"{SOURCE}|{first.name}"]
    assert bias == pytest.approx(found[first.name].bias, rel=1e-12, abs=0)


def test_synapses_of_different_weights_are_trimmed_to_their_own() -> None:
    """Each to the probability of its weight, whatever I50 it has, and counted as others are."""
    graph = quantised(layered([([[4, 3, 1], [2, -1, 0]], [2.5, 0.5])]))
    program = synthesise(graph, release={"w0": "weights"})
    wanted = {name: passes(i.kind, i.factors) for name, i in synapses(program).items()}
    assert sorted(wanted.values()) == pytest.approx([0.25, 0.5, 0.75])
    middles = {name: law().middle + (k - 1) * UA for k, name in enumerate(wanted)}
    found = trims(program, {name: counts(m, 100_000) for name, m in middles.items()})
    for name, trim in found.items():
        p = norm.cdf((trim.bias - middles[name]) / law().sigma)
        assert p == pytest.approx(wanted[name], abs=3e-3)
        assert trim.low < wanted[name] < trim.high
    factors = as_factors(program, found)
    for name, i in synapses(program).items():
        bias = nominal() * i.factors[SOURCE] * factors[f"{SOURCE}|{name}"]
        assert bias == pytest.approx(found[name].bias, rel=1e-12, abs=0)


def test_few_counts_leave_a_wide_range(one: Program) -> None:
    few, many = (
        trims(one, dict.fromkeys(synapses(one), counts(law().middle, n))) for n in (20, 2000)
    )
    for name in few:
        assert few[name].high - few[name].low > 5 * (many[name].high - many[name].low)


def test_chips_are_counted(one: Program) -> None:
    """One synapse of the second chip stands at a current that is 2 uA less than it was set to."""
    name, other = synapses(one)
    currents = law().middle + law().sigma * module.POINTS
    (at,) = np.flatnonzero(module.POINTS == 0.5)
    shift = np.array([0.0, -2 * UA])
    # A factor is of what is given; at half a sigma above the middle it takes 2 uA away.
    factor = 1 + shift / currents[at]
    found = counted(
        one, {f"{SOURCE}|{name}": factor}, 2, temperature=4.2, steps=64, step=0.15e-12, seed=4
    )
    for chip in found:
        assert all((fit.tried == 64).all() for fit in chip.values())
    middles = [[chip[n].middle for n in (name, other)] for chip in found]
    for c, k, wanted in ((0, 0, 0.0), (0, 1, 0.0), (1, 1, 0.0), (1, 0, 2 * UA)):
        value, error = middles[c][k]
        # Behind an input's line I50 is off by a tenth of sigma (docs/sfq-release.md).
        assert abs(value - law().middle - wanted) < 4 * error + 0.15 * law().sigma, (c, k)
    assert middles[1][0][0] - middles[0][0][0] > 0.8 * UA


def test_synapses_behind_others_have_pulses_to_be_counted_by() -> None:
    """Two in a row: while one is counted the other passes nearly all, at each current."""
    program = synthesise(quantised(layered([([[1]], [0.5])] * 2)), release={"w0": 0.9, "w1": 0.9})
    first, second = synapses(program)
    (found,) = counted(program, {}, 1, temperature=4.2, steps=32, step=0.2e-12, tolerance=1e-5)
    assert (found[first].tried == 32).all() and (found[second].tried >= 30).all()
    assert found[second].passed[0] < 12 < 20 < found[second].passed[-1]


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"p9.syn0": counts(0, 5)}, "E1486", "p9.syn0"),
        ({"FIRST": None}, "E1486", "was not counted"),
        ({"FIRST": counting([0.0], [5], [5])}, "E1487", "passed all of 5"),
        ({"FIRST": counting([0.0], [0], [5])}, "E1487", "passed none of 5"),
        ({"FIRST": counting([0.0, 1.0], [0, 0], [0, 0])}, "E1487", "saw no pulses"),
    ],
)
def test_what_gives_no_current(
    one: Program, change: dict[str, Counts | None], code: str, said: str
) -> None:
    first, *_ = synapses(one)
    every: dict[str, Any] = {name: counts(law().middle, 50) for name in synapses(one)}
    every |= {name.replace("FIRST", first): value for name, value in change.items()}
    with pytest.raises(SpikecError, match=code) as error:
        trims(one, {name: value for name, value in every.items() if value is not None})
    assert said in str(error.value)


def test_the_command(tmp_path: Path) -> None:
    backend, target = find_target(TARGET)
    options = {"release": ("0.95",)}
    artifact = compile_graph(exclusive(), backend, target, Quantise(input_max=1), options)
    artifact.artifact().write(tmp_path / "built")
    program = read_program(artifact.artifact())
    given = counts(law().middle, 400)
    data = {
        name: {"bias": given.bias.tolist(), "passed": given.passed.tolist(), "tried": [400] * 9}
        for name in synapses(program)
    }
    place, out = tmp_path / "counts.json", tmp_path / "trims.json"
    place.write_text(json.dumps(data))
    arguments = [str(tmp_path / "built"), str(place), "-o", str(out)]
    said = CliRunner().invoke(module.main, arguments)
    assert said.exit_code == 0, said.output
    found = json.loads(out.read_text())
    assert list(found) == list(synapses(program))
    for trim in found.values():
        assert trim["bias"] == pytest.approx(law().bias(0.95), rel=0, abs=0.02 * law().sigma)
        assert trim["between"][0] < 0.95 < trim["between"][1]
    out.unlink()
    for text in (
        "{", "[]", '{"a": {}}', '{"a": {"bias": [1], "passed": [2], "tried": [1]}}',
        '{"a": {"bias": [1, 2], "passed": [1], "tried": [1]}}', '{"a": 3}',
    ):  # fmt: skip
        place.write_text(text)
        said = CliRunner().invoke(module.main, arguments)
        assert said.exit_code == 2 and "E1486" in said.output, text
    place.unlink()
    said = CliRunner().invoke(module.main, arguments)
    assert said.exit_code == 2 and "E1486" in said.output
    assert not out.exists()
