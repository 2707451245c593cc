"""Where our delays and RSFQlib's differ: the steps add up, and the manual has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from spikec.backends.sfq.cells import cell, value_of
from spikec.backends.sfq.cells.published import published
from spikec.backends.sfq.cells.timing import timing
from spikec.backends.sfq.josephson.circuit import CurrentSource, Inductor, Junction
from spikec.backends.sfq.library import peers
from spikec.backends.sfq.library.peers import bare, biased, delay, more, steps, theirs
from spikec.ir.diagnostics import SpikecError

PS = 1e-12
# A line in the words of RSFQlib's decks, with values that are ours, and wires.
LINE = """* a line
.subckt THmitll_JTL a q
.model jjmit jj(rtype=1, vg=2.8mV, cap=0.07pF, r0=160, rn=16, icrit=0.1mA)
.param LP={ground}p'
.param R=2.7439
B1 1 2 jjmit area=2.5
B2 5 6 jjmit area=2.5
IB1 0 4 pwl(0 0 5p 350u)
LB1 4 3 2p
L1 a 1 2.068p
L2 1 3 2.068p
L3 3 5 2.068p
L4 5 q 2.068p
LP1 2 0 LP
LP2 6 0 LP
RB1 1 101 R
LRB1 101 0 2p
RB2 5 105 R
LRB2 105 0 2p
.ends
"""


def test_the_manual_has_what_the_command_prints() -> None:
    result = CliRunner().invoke(peers.main, [])
    assert result.exit_code == 0, result.output
    manual = Path(__file__).parents[4] / "docs" / "sfq-cells.md"
    assert result.output in manual.read_text(encoding="utf-8")
    assert len(result.output.splitlines()) == 2 + len(published())


def test_steps_are_all_of_the_difference() -> None:
    found, known = steps("dff"), published()["dff"]
    ours = timing("dff").delay[1, 1, 0]
    assert found.ours == pytest.approx(ours, abs=0.01 * PS)
    assert sum(found.steps) == pytest.approx(ours - known.delay.value, abs=0.01 * PS)
    seen, wires, form, bias = found.steps
    assert seen == pytest.approx(known.net.value - known.delay.value, abs=1e-18)
    assert wires > 0 > form and bias > 0
    assert found.more_bias < found.ours < found.more_area


def test_a_deck_of_theirs_without_its_wires_is_a_line_of_ours() -> None:
    circuit = theirs(LINE.format(ground=0.5), cell("jtl"))
    assert {"a", "q"} <= set(circuit.nodes)
    usual, without = delay("jtl", {"jtl": circuit}), delay("jtl", {"jtl": bare(circuit)})
    assert without == pytest.approx(delay("jtl", {}), abs=0.02 * PS)
    # An inductor in front of a shunt lets a junction turn sooner.
    assert usual < without - 0.2 * PS


@pytest.mark.parametrize("text", ["", LINE.replace("a q\n", "a b q\n"), 2 * LINE])
def test_what_is_no_deck_of_the_cell_is_refused(text: str) -> None:
    with pytest.raises(SpikecError, match="'jtl'") as found:
        theirs(text, cell("jtl"), "some.cir")
    assert found.value.diagnostics[0].code == "E1410"
    assert "some.cir" in str(found.value)


def test_a_copy_is_measured_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "_FILES", {"jtl": "JTL"})
    monkeypatch.setattr(peers, "published", lambda: {"jtl": published()["jtl"]})
    folder = tmp_path / "mitll_JTL"
    folder.mkdir()
    deck = folder / "THmitll_JTL_v3p0_extracted.cir"
    deck.write_text(LINE.format(ground=0.3), encoding="utf-8")
    result = CliRunner().invoke(peers.main, ["--library", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "jtl: 3." in result.output and "| `jtl` | 3.5 |" in result.output


def test_biases_and_areas_are_changed_as_they_say() -> None:
    this = cell("dff").circuit
    shared, larger, driven = biased(this), more(this, Junction), more(this, CurrentSource)
    assert value_of(shared.part("I4")) == pytest.approx(0.7 * 2.5e-4)
    for part in this.parts:
        change = value_of(larger.part(part.name)) / value_of(part)
        shunt, area = part.name.startswith("RB"), isinstance(part, Junction)
        assert change == pytest.approx(1 / 1.1 if shunt else 1.1 if area else 1.0)
        change = value_of(driven.part(part.name)) / value_of(part)
        assert change == pytest.approx(1.1 if isinstance(part, CurrentSource) else 1.0)
    assert [p for p in shared.of(Inductor)] == [p for p in this.of(Inductor)]
