"""Synapses that release by chance, on the command line: compiled, measured, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikec.ir.connections import Dense
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold
from spikec.ir.text import text

from .conftest import Spikec


def written(folder: Path, weight: list[list[float]] | None = None) -> tuple[Path, Path]:
    """A neuron that fires with either of two lines, and 40 steps of the first."""
    neuron = Threshold(np.array([0.5]))
    graph = Graph(
        "any",
        1e-9,
        (Input("in", (2,)),),
        (Population("out", (1,), neuron),),
        (Projection("w", "in", "out", Dense(np.array(weight or [[1.0, 1.0]]))),),
        (Output("o", "out"),),
    )
    model, stimulus = folder / "any.spk", folder / "s.npz"
    model.write_text(text(graph), encoding="utf-8")
    data = np.zeros((1, 40, 2), np.int64)
    data[0, :, 0] = 1
    np.savez(stimulus, data=data)
    return model, stimulus


def test_the_whole_path(spikec: Spikec, tmp_path: Path) -> None:
    model, stimulus = written(tmp_path)
    built, sure = tmp_path / "built", tmp_path / "sure"
    target = ("-t", "mitll-sfq5ee")
    said = spikec("compile", model, *target, "--release", 0.6, "-o", built, "--json")
    assert said.code == 0, said.err
    facts = said.data["manifest"]["emission"]
    assert facts["exact"] is False and facts["cells"]["synapse"] == 2
    assert facts["release"]["w"]["probability"] == [0.6, 0.6]
    assert spikec("compile", model, *target, "-o", sure).code == 0

    def emitted(folder: Path, rung: str, seed: int = 1) -> float:
        said = spikec("run", folder, "--on", rung, "-s", stimulus, "--seed", seed, "--json")
        assert said.code == 0, said.err
        return float(said.data["populations"]["out"]["emitted"])

    assert emitted(sure, "events") == emitted(built, "integer") == 40
    counts = [emitted(built, "events", seed) for seed in (1, 1, 2, 3)]
    assert counts[0] == counts[1] and len(set(counts)) > 1
    assert all(10 < count < 38 for count in counts)
    said = spikec("verify", built, "-s", stimulus, "--rungs", "integer,events")
    assert said.code == 0 and "integer / events: measured" in said.out
    said = spikec("verify", sure, "-s", stimulus, "--rungs", "integer,events")
    assert said.code == 0 and "integer / events: equal" in said.out
    said = spikec("run", built, "--on", "events", "-s", stimulus, "--condition", "wire=1")
    assert said.code == 2 and "E0707" in said.err
    said = spikec("montecarlo", built, "-s", stimulus, "--steps", 10, "-n", 3, "--json")
    assert said.code == 0, said.err
    (row,) = said.data["combinations"]
    assert said.data["rung"] == "circuit" and row["conditions"] == {"spread": "process"}
    assert row["differ"]["chips"] == 3 and row["differ"]["mean"] > 0
    said = spikec("margins", built, "-s", stimulus)
    assert said.code == 2 and "E1491" in said.err and "--gap 0.5" in said.err


def test_by_weights(spikec: Spikec, tmp_path: Path) -> None:
    """What is printed, letter by letter; and profile says the same."""
    model, stimulus = written(tmp_path, [[4.0, 1.0]])
    built = tmp_path / "built"
    target = ("-t", "mitll-sfq5ee", "--weight-bits", 4)
    said = spikec("compile", model, *target, "--release", "weights", "-o", built)
    assert said.code == 0, said.err
    line = (
        "release of w: by weights, 1 synapse of p = 0.25 at -11.80 uA, 0 left out, 1 sure; "
        "0.0553 to 0.5972 of 95 % of a chip's synapses at 2% spread; "
        "thresholds up by at most 0.75 pulses"
    )
    assert line in " ".join(said.out.split())
    note = (
        "note N1449: 'w' releases by weights: 1 by chance, with 0.25, 0 below 0.01 left out, "
        "1 above 0.999 sure; thresholds are up by 0.75 pulses at most"
    )
    assert note in " ".join(said.err.split())
    said = spikec("profile", built, "-s", stimulus, "--json")
    assert said.code == 0, said.err
    (chance,) = said.data["cells"]["release"]
    assert chance["projection"] == "w" and chance["weights"] and chance["synapses"] == 1


def test_what_is_refused(spikec: Spikec, tmp_path: Path) -> None:
    model, _ = written(tmp_path)
    built = tmp_path / "built"
    for target, word, code in (
        ("mitll-sfq5ee", "0.9999", "E1445"),
        ("mitll-sfq5ee", "v=0.9", "E1447"),
        ("mitll-sfq5ee", "often", "E1447"),
        ("rram-wan", "0.9", "E0707"),
    ):
        said = spikec("compile", model, "-t", target, "--release", word, "-o", built)
        assert said.code == 2 and code in said.err
        assert not built.exists()


def test_lines_carry_one_pulse_whatever_is_said(spikec: Spikec, tmp_path: Path) -> None:
    """`--input-max` is 1 for these targets; what else is asked for is refused at once."""
    model, _ = written(tmp_path)
    words = ("compile", model, "-t", "mitll-sfq5ee", "-o", tmp_path / "built", "--json")
    assert spikec(*words).data["manifest"]["quantise"]["input_max"] == 1
    said = spikec(*words, "--input-max", 3)
    assert said.code == 2 and "E1437" in said.err and "--input-max is 3" in said.err
