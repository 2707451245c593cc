"""Synapses that release by chance, on the command line: compiled, measured, refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from spikec.ir.connections import Dense
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold
from spikec.ir.text import text

from .conftest import Spikec


def written(folder: Path) -> tuple[Path, Path]:
    """A neuron that fires with either of two lines, and 40 steps of both."""
    neuron = Threshold(np.array([0.5]))
    graph = Graph(
        "any",
        1e-9,
        (Input("in", (2,)),),
        (Population("out", (1,), neuron),),
        (Projection("w", "in", "out", Dense(np.ones((1, 2)))),),
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
    target = ("-t", "mitll-sfq5ee", "--input-max", 1)
    said = spikec("compile", model, *target, "--release", 0.6, "-o", built, "--json")
    assert said.code == 0, said.err
    facts = said.data["manifest"]["emission"]
    assert facts["exact"] is False and facts["cells"]["synapse"] == 2
    assert facts["release"]["w"]["probability"] == 0.6
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


def test_what_is_refused(spikec: Spikec, tmp_path: Path) -> None:
    model, _ = written(tmp_path)
    built = tmp_path / "built"
    for target, word, code in (
        ("mitll-sfq5ee", "0.9999", "E1445"),
        ("mitll-sfq5ee", "v=0.9", "E1447"),
        ("mitll-sfq5ee", "often", "E1447"),
        ("rram-wan", "0.9", "E0707"),
    ):
        said = spikec(
            "compile", model, "-t", target, "--input-max", 1, "--release", word, "-o", built
        )
        assert said.code == 2 and code in said.err
        assert not built.exists()
