"""A deck from the command line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from spikec.backends.sfq.josephson import run
from spikec.backends.sfq.josephson.deck import read
from spikec.backends.sfq.josephson.measure import crossings
from spikec.backends.sfq.josephson.run import main, npz, ran
from spikec.ir.diagnostics import Diagnostics

MODEL = ".model jjmit jj(rtype=1, vg=2.8mV, cap=0.07pF, r0=160, rn=16, icrit=0.1mA)\n"
LINE = """* two junctions of a line
.subckt stage a q
B1 a 0 jjmit area=2.5
R1 a 0 2.65
I1 0 a pwl(0 0 5p 175u)
L1 a q 4p
.ends
I0 0 a pulse(0 600u 20p 3p 3p 0 50p)
X1 a b stage
X2 b c stage
R9 c 0 2
.tran 0.05p 100p
.print p(B1.X2) v(b,c) i(R9) i(L1.X2) i(I0) devv R9
"""


def deck(folder: Path, text: str = LINE + MODEL) -> Path:
    path = folder / "line.cir"
    path.write_text(text)
    return path


def said(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_tells_pulses_and_writes_them_and_what_is_printed(tmp_path: Path) -> None:
    place = deck(tmp_path, ".include mit.inc\n" + LINE)
    (tmp_path / "mit.inc").write_text(MODEL)
    csv, waves, plot = (tmp_path / name for name in ("p.csv", "w.csv", "p.svg"))
    result = said(place, "-o", csv, "--waves", waves, "--plot", plot)
    assert result.exit_code == 0 and not result.stderr
    first, *rows = result.stdout.splitlines()
    assert first == "10 elements, 2 junctions; 100 ps in steps of 0.05 ps at 0 K"
    assert [row.split()[:3] for row in rows] == [["B1|X1", "2", "pulses"], ["B1|X2", "2", "pulses"]]
    title, *lines = csv.read_text().splitlines()
    assert title == "junction,time_s,direction" and len(lines) == 4
    times = [float(line.split(",")[1]) for line in lines if line.startswith("B1|X2,")]
    head, *_ = waves.read_text().splitlines()
    assert head == 'time,"P(B1|X2)","V(b,c)","I(R9)","I(L1|X2)","I(I0)","DEVV(R9)"'
    data = np.loadtxt(waves, delimiter=",", skiprows=1).T
    assert crossings(data[0], data[1]) == pytest.approx(times, rel=0, abs=2e-16)
    assert "P(B1|X2)" in plot.read_text()


def test_currents_are_those_of_the_circuit() -> None:
    """Kirchhoff's law behind the last inductor, and the source as it was asked for."""
    found = ran(read(LINE + MODEL), Diagnostics())
    wave = {one.title: one.values for one in found.waves}
    behind, through = wave["I(R9)"], wave["I(L1|X2)"]
    assert through[1:] + through[:-1] == pytest.approx(2 * behind[1:], rel=1e-3, abs=2e-6)
    assert wave["DEVV(R9)"] == pytest.approx(2 * behind, rel=1e-12, abs=0)
    assert wave["I(I0)"].max() == pytest.approx(600e-6, rel=1e-9, abs=0)
    data = np.load(io.BytesIO(npz(found)))
    assert data["waves"].shape == (6, data["times"].size)
    assert data["junctions"].tolist() == ["B1|X1", "B1|X2"] and data["time"].size == 4


def test_json_and_a_temperature_in_place_of_the_decks(tmp_path: Path) -> None:
    place = deck(tmp_path, LINE.replace(".print", "* ") + MODEL)
    cold, warm, again = (
        json.loads(said(place, "--json", "--temperature", kelvin, "--seed", seed).stdout)
        for kelvin, seed in ((0, 0), (4.2, 3), (4.2, 3))
    )
    assert cold["temperature"] == 0 and len(cold["pulses"]["B1|X1"]) == 2
    assert warm == again and warm["pulses"] != cold["pulses"]
    plot = tmp_path / "p.png"
    assert said(place, "--plot", plot).exit_code == 0
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("text", "words", "more"),
    [
        ("R1 a 0 1\nQ1 a 0 1\n", "error E1410: 'Q1': no such statement is read\n  at {}:2", ()),
        (".include no.inc\n", "error E1406: '{}' is not there", ()),
        ("R1 a 0 1\n", "error E1407: the deck has no .tran\n  at {}", ()),
        ("L1 a 0 1p\nL2 a 0 1p\nL3 a 0 1p\n.tran 1p 9p\n"
         "K1 L1 L2 0.9\nK2 L2 L3 0.9\nK3 L1 L3 -0.9\n",
         "are stronger than their inductances allow\n  at {}\n", ()),
        ("R1 a 0 1\n.tran 1p 9p\n", "error E1407: the deck prints nothing", ("--waves", "{}.csv")),
    ],
)  # fmt: skip
def test_errors_name_the_file_and_line(
    text: str, words: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    place = deck(tmp_path, text)
    result = said(place, *(word.format(place) for word in more))
    assert result.exit_code == 2 and not result.stdout
    wanted = place.with_name("no.inc") if "E1406" in words else place
    assert words.format(wanted) in result.stderr


def test_what_is_printed_and_not_kept_is_told(tmp_path: Path) -> None:
    more = ".print i(B1.X1) v(nowhere) q(a)\n.tran 0.05p 10p\n"
    result = said(deck(tmp_path, LINE + MODEL + more))
    assert result.exit_code == 0 and result.stderr.count("warning W1412") == 3
    assert "I(B1|X1) of .print is left out: currents of junctions" in result.stderr
    assert "no element or node has the name 'nowhere'" in result.stderr
    assert "'Q' is no phase, voltage or current" in result.stderr
    assert "no junction has a pulse" in result.stdout


def test_one_of_a_kind(tmp_path: Path) -> None:
    result = said(deck(tmp_path, "B1 a 0 jjmit\n.tran 0.05p 1p\n" + MODEL))
    assert result.stdout.startswith("1 element, 1 junction; 1 ps in")
    assert said(deck(tmp_path, "R1 a 0 1\n.tran 1p 9p\n")).stdout.startswith("1 element, 0 junct")


def test_an_interruption_is_no_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*given: object, **how: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "ran", interrupted)
    result = said(deck(tmp_path), "-o", tmp_path / "p.csv")
    assert result.exit_code == 130 and not result.stdout
    assert result.stderr == "interrupted; nothing was left half-written\n"
    assert not (tmp_path / "p.csv").exists()


def test_files_whose_kind_is_unknown(tmp_path: Path) -> None:
    result = said(deck(tmp_path), "-o", tmp_path / "p.txt")
    assert result.exit_code == 2 and "has to end in .csv or .npz" in result.stderr
