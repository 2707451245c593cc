"""A detector taught once, against the truth table that its definition gives."""

import json
from collections.abc import Iterator
from dataclasses import replace
from math import comb
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

from .scripts import script


@pytest.fixture(scope="module")
def detector() -> Iterator[ModuleType]:
    yield from script("one_shot_detector/detector.py")


def test_every_volley_is_there_once(detector: ModuleType) -> None:
    asked = detector.every_pattern(10)
    assert asked.shape == (1023, 10) and len(np.unique(asked, axis=0)) == 1023
    assert asked.any(axis=1).all()
    assert detector.bits_of(asked[5]) == "0000000110"


def test_the_rule_leaves_one_over_k_on_the_pattern_and_its_negative_elsewhere(
    detector: ModuleType,
) -> None:
    """For all 1,023 patterns, bit for bit, from weights that know nothing of any of them."""
    patterns = detector.every_pattern(10)
    graph = detector.network(10, 1023)
    verify(graph)
    assert parse(text(graph)) == graph
    assert (graph.projections[0].connection.weight == -1.0).all()
    weight = detector.teach(patterns)
    size = patterns.sum(axis=1, keepdims=True)
    assert np.array_equal(weight, np.where(patterns, 1.0, -1.0) * (1.0 / size))


@pytest.mark.parametrize("rung", ["golden", "integer"])
def test_of_all_volleys_each_detector_spikes_at_its_own_alone(
    detector: ModuleType, rung: str
) -> None:
    """The whole truth table: 1,023 patterns taught, 1,023 volleys asked of each."""
    patterns = detector.every_pattern(10)
    weight = detector.teach(patterns)
    h = detector.thresholds(weight, 0)
    size = patterns.sum(axis=1)
    assert ((h > 1 - 1 / size) & (h <= 1)).all()
    found = detector.answers(detector.network(10, 1023, weight, h), patterns, rung)
    assert np.array_equal(found, np.eye(1023, dtype=bool))


def test_teaching_and_asking_in_one_run(detector: ModuleType) -> None:
    """Phases switch what learns; one threshold, 0.95, suits every k."""
    patterns = detector.every_pattern(10)[::37]
    asked = detector.every_pattern(10)
    stimulus, phases = detector.presentations(patterns, asked)
    run = run_golden(detector.network(10, len(patterns)), stimulus, learning=phases)
    spikes = run.spikes["detectors"]
    taught = spikes.sample < len(patterns)
    # In its own sample each spikes once, with its teacher.
    assert spikes.index[taught].tolist() == list(range(len(patterns)))
    assert (spikes.step[taught] == 1).all()
    assert (spikes.sample[taught] == spikes.index[taught]).all()
    found = np.zeros((len(asked), len(patterns)), bool)
    found[spikes.sample[~taught] - len(patterns), spikes.index[~taught]] = True
    assert np.array_equal(found, detector.distances(asked, patterns) == 0)


@pytest.mark.parametrize("rung", ["golden", "integer"])
@pytest.mark.parametrize("tolerance", [1, 2, 3, 6])
def test_a_lower_threshold_accepts_exactly_the_hamming_ball(
    detector: ModuleType, rung: str, tolerance: int
) -> None:
    asked = detector.every_pattern(10)
    patterns = asked[asked.sum(axis=1) > tolerance]
    weight = detector.teach(patterns)
    h = detector.thresholds(weight, tolerance)
    found = detector.answers(detector.network(10, len(patterns), weight, h), asked, rung)
    far = np.array([[bin(a ^ b).count("1") for b in codes(patterns)] for a in codes(asked)[::8]])
    assert np.array_equal(found[::8], far <= tolerance)
    # The empty volley, which nobody asks, is k away: every ball is whole.
    ball = sum(comb(10, d) for d in range(tolerance + 1))
    assert (found.sum(axis=0) == ball).all()


def codes(patterns: np.ndarray) -> list[int]:
    return [int("".join(str(int(bit)) for bit in pattern), 2) for pattern in patterns]


def test_what_drives_it_is_one_minus_distance_over_k(detector: ModuleType) -> None:
    pattern = detector.parse_patterns(["1101000010"])
    weight = detector.teach(pattern)
    asked = detector.every_pattern(10)
    high = detector.network(10, 1, weight, np.asarray(1e3))
    stimulus = detector.Stimulus(
        {"lines": detector.Events.from_dense(asked[:, None, :].astype(int))}
    )
    v = run_golden(high, stimulus, record=[("detectors", "v")]).states["detectors", "v"][:, 0, 0]
    far = detector.distances(asked, pattern)[:, 0]
    assert v == pytest.approx(1 - far / 4, abs=1e-14)


def test_without_scaling_the_detector_is_no_detector(detector: ModuleType) -> None:
    """Weights of 1 and -1 exceed the threshold with one line of the pattern alone."""
    patterns = detector.parse_patterns(["1101000010"])
    stimulus, phases = detector.presentations(patterns, detector.every_pattern(10))
    graph = detector.network(10, 1)
    known = graph.projections[0]
    unscaled = replace(known, plasticity=replace(known.plasticity, scaling=None))
    graph = graph.with_(projections=(unscaled, graph.projections[1]))
    run = run_golden(graph, stimulus, learning=phases)
    assert run.weights["known"][-1].max() == 1.0
    assert run.spikes["detectors"].sample.size > 100


def test_what_the_script_prints(
    detector: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "drive.svg"
    assert detector.main(["1100101000", "--tolerance", "1", "--plot", str(picture)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("taught 1100101000 once: k = 4, weights +0.25 +0.25 -0.25")
    assert said[1].strip() == "spikes at 11 of 1,023 volleys"
    assert "Hamming distance" in picture.read_text()
    assert detector.main(["101", "110", "--rung", "integer", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "detectors": 2,
        "volleys": 7,
        "tolerance": 0,
        "rung": "integer",
        "fired": 2,
        "wrong": 0,
    }
    assert detector.main(["--all", "--rung", "integer", "--weight-bits", "6", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["wrong"] == 130


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["102"], "a pattern is 1 to 12 zeros and ones"),
        (["101", "10"], "a pattern is 1 to 12 zeros and ones"),
        (["101", "101"], "patterns differ, and each has a one"),
        (["000"], "patterns differ, and each has a one"),
        (["1100", "--tolerance", "2"], "tolerance is 2; it is 0 to 1: the smallest pattern has 2"),
    ],
)
def test_what_it_refuses(
    detector: ModuleType,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    assert detector.main(arguments) == 2
    told = capsys.readouterr().err
    assert "E0707" in told and said in told
