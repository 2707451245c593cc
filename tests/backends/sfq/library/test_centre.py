"""Centring: from the rules of a deck, the same each time, and with more room than rules leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from spikec.backends.sfq.cells import CELLS, cell, deck
from spikec.backends.sfq.josephson.margins import kinds, margins
from spikec.backends.sfq.library import centre
from spikec.backends.sfq.library.centre import CENTRED, centred, rewritten, ruled
from spikec.backends.sfq.library.trials import trial
from spikec.ir.diagnostics import SpikecError


def test_lines_are_as_the_rules_say_and_synapses_as_their_law() -> None:
    assert set(CELLS) - set(CENTRED) == {"jtl", "synapse"}


@pytest.mark.parametrize("name", CENTRED)
def test_values_stay_near_their_rules(name: str) -> None:
    rule = ruled(name)
    assert set(rule) == {p.name for p in cell(name).parameters.values() if p.rule is not None}
    for key, value in rule.items():
        assert 0.4 < cell(name).parameters[key].value / value < 2.5, key


def test_rules_are_made_of_those_above_them() -> None:
    rule = ruled("merger")
    assert rule["Ain"] == 2.5
    assert rule["Imid"] == pytest.approx(70e-6 * 3 * 2.5, rel=1e-9, abs=0)


def _bias_room(parameters: dict[str, float]) -> float:
    tried = trial(cell("threshold", **parameters))
    groups = {"bias": kinds(tried.simulator.circuit)["bias"]}
    return margins(tried, groups, resolution=0.02)["bias"].least


def test_some_turns_leave_more_room_than_rules_and_come_again() -> None:
    found = centred("threshold", circuits=48, turns=8)
    again = centred("threshold", circuits=48, turns=8)
    assert found.values == again.values
    assert np.array_equal(found.share, again.share)
    assert found.spread[-1] != found.spread[0]
    assert _bias_room(dict(found.values)) > _bias_room(ruled("threshold"))


def test_rules_that_nothing_works_near_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    poor = ruled("threshold") | {"Iset": 400e-6}
    monkeypatch.setattr(centre, "ruled", lambda kind: poor)
    monkeypatch.setattr(centre, "_LEAST", 0.08)
    with pytest.raises(SpikecError, match="'threshold'") as found:
        centred("threshold", circuits=4, turns=10)
    assert found.value.diagnostics[0].code == "E1481"


def test_a_deck_is_rewritten_in_its_units() -> None:
    text = rewritten(deck("threshold"), {"Lin": 7.654e-12, "Iset": -90.04e-6, "Aset": 2.0})
    assert ".param Lin=7.65p\n" in text
    assert ".param Iset=-90u\n" in text
    assert ".param Aset=2\n" in text
    lines = zip(text.splitlines(), deck("threshold").splitlines(), strict=True)
    assert all(new == old or new.startswith(".param") for new, old in lines)


def test_the_command_writes_a_deck(tmp_path: Path) -> None:
    place = tmp_path / "threshold.cir"
    words = ["threshold", "-o", str(place), "--circuits", "8", "--turns", "2"]
    result = CliRunner().invoke(centre.main, words)
    assert result.exit_code == 0, result.output
    found = centred("threshold", circuits=8, turns=2)
    assert place.read_text(encoding="utf-8") == rewritten(deck("threshold"), found.values)
    assert "biases off by" in result.output


def test_reads_of_a_store_may_come_close() -> None:
    """A larger loop makes a machine, too, but one whose reads are later when they are close."""
    tried = centre._close("ndro")
    assert tried is not None
    assert tried.passes({}, 1).all()
    slow = {"L8|x": np.array([1.4])}
    assert trial("ndro").passes(slow, 1).all()
    assert not tried.passes(slow, 1).any()
    assert centre._close("dff") is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["threshold", "dcsfq", "ndro"])
def test_decks_are_what_the_command_writes(name: str) -> None:
    assert rewritten(deck(name), centred(name).values) == deck(name)
