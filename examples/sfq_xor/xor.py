"""XOR of two lines in superconducting cells: the network, its stimulus, and what has to hold."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from spikec.backends.sfq.tolerance import stress
from spikec.compiler.files import make_folder, write_file
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Location, SpikecError, fail
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold
from spikec.ir.text import text

SEED = 1
ORDERS = 100  # in which the four inputs come: samples of four steps each
MARGIN, SPREAD, YIELD = 0.10, 0.02, 0.99  # what has to hold


def network() -> Graph:
    """A neuron that fires with any line, one with both, and one with the first but the second."""
    hidden = Threshold(np.array([0.5, 1.5]))
    out = Threshold(np.array(0.5))
    return Graph(
        "xor",
        1e-9,
        (Input("in", (2,)),),
        (Population("hidden", (2,), hidden), Population("out", (1,), out)),
        (
            Projection("lines", "in", "hidden", Dense(np.ones((2, 2)))),
            Projection("but", "hidden", "out", Dense(np.array([[1.0, -1.0]]))),
        ),
        (Output("result", "out"),),
    )


def write(folder: Path) -> None:
    """``xor.spk``, and ``test.npz``: all four inputs in orders by chance."""
    make_folder(folder)
    write_file(folder / "xor.spk", text(network()).encode())
    orders = Events.from_dense(stress.orders(2, ORDERS, SEED).astype(np.int64))
    stimulus = LabelledStimulus(Stimulus({"in": orders}))
    write_file(folder / "test.npz", stimulus_bytes(stimulus))


def results(folder: Path) -> dict[str, Any]:
    """``results.json`` of a verb; E0705 where it is missing or of something else."""
    path = folder / "results.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise fail("E0705", f"this is no result of a verb: {error}", Location(str(path))) from None
    return found


def holds(margins: dict[str, Any], chips: dict[str, Any]) -> bool:
    """Whether the global bias has its margin, and chips of little spread their yield.

    Of what ``spikec margins`` and ``spikec montecarlo`` wrote; says both.
    """
    low, high = next((m["low"], m["high"]) for m in margins["margins"] if m["group"] == "bias")
    print(f"global bias: {low:+.1%} to {high:+.1%}, at least {MARGIN:.0%} either way is asked for")
    good = low <= -MARGIN and high >= MARGIN
    for row in chips["combinations"]:
        spread = float(row["conditions"]["spread"])
        working = row["yield"]["working"] / row["differ"]["chips"]
        if spread <= SPREAD:
            print(f"yield at a spread of {spread:.0%}: {working:.1%}, {YIELD:.0%} is asked for")
            good &= working >= YIELD
    return bool(good)


def main(arguments: list[str] | None = None) -> int:
    """0; 1 where the margin or the yield is not reached; 2 for what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="for xor.spk and test.npz, or with results")
    parser.add_argument(
        "--check", action="store_true", help="margins and chips in the folder, from both verbs"
    )
    given = parser.parse_args(arguments)
    try:
        if not given.check:
            write(given.folder)
            return 0
        good = holds(results(given.folder / "margins"), results(given.folder / "chips"))
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
