"""The scaled cortical microcircuit: its sizes, its input, and its rates on two simulators."""

import json
import subprocess
import sys

import pytest

from .scripts import EXAMPLES

SCRIPT = EXAMPLES / "microcircuit" / "network.py"


def run(*options: str) -> tuple[int, str, str]:
    command = [sys.executable, str(SCRIPT), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    return done.returncode, done.stdout, done.stderr


def test_what_cannot_be_is_said() -> None:
    code, _, err = run("--share", "2")
    assert code == 2 and "E0707" in err


@pytest.mark.slow
def test_the_order_of_the_populations_is_that_of_the_full_network() -> None:
    code, out, err = run("--time", "500", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert 940_000 < found["synapses"] < 970_000
    layers = {layer["name"]: layer["rate"] for layer in found["layers"]}
    for quiet, busy in (("L23E", "L23I"), ("L6E", "L6I"), ("L23E", "L4E"), ("L6E", "L5E")):
        assert layers[quiet] < layers[busy]
