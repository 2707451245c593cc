"""The balanced network as a PyNN script, and beside it the same one written for Brian2."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .scripts import EXAMPLES

SCRIPT = EXAMPLES / "vogels_abbott" / "network.py"


def run(*options: str) -> tuple[int, str, str]:
    command = [sys.executable, str(SCRIPT), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    return done.returncode, done.stdout, done.stderr


def lines(*options: str) -> list[dict[str, Any]]:
    code, out, err = run(*options, "--json")
    assert code == 0, err
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_a_small_network_goes_on_by_itself_and_draws_itself(tmp_path: Path) -> None:
    place = tmp_path / "raster.svg"
    code, out, err = run("--size", "400", "--time", "400", "--form", "cuba", "--plot", str(place))
    assert code == 0, err
    assert "CUBA: 400 neurons" in out and "spikes/s" in out
    assert place.read_text().lstrip().startswith("<?xml")


def test_what_cannot_be_is_said() -> None:
    code, _, err = run("--size", "3")
    assert code == 2 and "E0707" in err and "50 neurons" in err


@pytest.mark.slow
@pytest.mark.parametrize("form", ["cuba", "coba"])
def test_rate_and_irregularity_are_those_of_brian2_by_hand(form: str) -> None:
    (line,) = lines("--compare", "--form", form)
    assert line["neurons"] == 4000 and line["synapses"] > 310_000
    assert line["rate"] == pytest.approx(line["brian2_rate"], rel=1e-9)
    assert line["irregularity"] == pytest.approx(line["brian2_irregularity"], rel=1e-9)
    assert line["rate"] > 1.0


@pytest.mark.parametrize("form", ["cuba", "coba"])
def test_a_small_network_spikes_as_brian2_by_hand(form: str) -> None:
    options = ("--size", "400", "--time", "300", "--seed", "3", "--form", form)
    (line,) = lines("--compare", *options)
    assert line["rate"] == pytest.approx(line["brian2_rate"], rel=1e-9)
    assert line["irregularity"] == pytest.approx(line["brian2_irregularity"], rel=1e-9)
