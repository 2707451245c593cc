"""XOR of rates: synapses of Josephson junctions pass pulses by chance.

    python examples/sfq_xor_rates/rates.py network FOLDER
    python examples/sfq_xor_rates/rates.py map BUILT -o FOLDER

``network`` writes the graph (xor.spk) and a stimulus (trains.npz): four samples, in which the lines
have pulses by chance, with rates of 0.1 or 0.9. ``map`` has the rate of the output over the rates
of both lines, of machines, of the circuit and of a formula. How far rates of inputs are apart over
bias, and in chips that are off, is what ``spikec margins --gap`` and ``spikec montecarlo --gap``
find: run.sh.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.backends.sfq.synthesis.files import read_program
from spikec.backends.sfq.synthesis.synthesise import Program
from spikec.backends.sfq.tolerance.gaps import HOW
from spikec.backends.sfq.tolerance.stress import responses, skews
from spikec.boards.process import load_process
from spikec.compiler.artifact import Artifact, load_artifact
from spikec.compiler.files import make_folder, write_file
from spikec.compiler.ladder import run_rung
from spikec.compiler.progress import bars
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError, fail
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold
from spikec.ir.text import text

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Tell = Callable[[str, float], None]

SEED = 1
OUT = "out"
GRID = np.linspace(0.0, 1.0, 11)  # rates of either line on machines
CORNERS = (0.1, 0.5, 0.9)  # and in the circuit
CASES, LENGTH = 64, 4  # trains of so many steps at each pair of rates in the circuit


def network() -> Graph:
    """One neuron fires with any line, one with both, and the output with the first alone."""
    ones, both = np.ones((2, 2)), np.array([[1.0, -1.0]])
    return Graph(
        "xor",
        1e-9,
        (Input("in", (2,)),),
        (
            Population("hidden", (2,), Threshold(np.array([0.5, 1.5]))),
            Population(OUT, (1,), Threshold(np.array([0.5]))),
        ),
        (
            Projection("first", "in", "hidden", Dense(ones)),
            Projection("second", "hidden", OUT, Dense(both)),
        ),
        (Output("xor", OUT),),
    )


def trains(rates: npt.ArrayLike, steps: int, seed: int) -> Bools:
    """Pulses by chance, (samples, steps, lines), for ``rates`` (samples, lines)."""
    each = np.asarray(rates, np.float64)
    drawn = np.random.default_rng(seed).random((len(each), steps, each.shape[1]))
    return np.asarray(drawn < each[:, None, :])


def formula(p: Sequence[float], rates: Floats) -> Floats:
    r"""The rate of the output, (samples,), for ``rates`` (samples, 2) and six synapses.

    ``p`` are those from the lines to the one that fires with any, to the one with both, and from
    these to the output:

    .. math::
        r_{10} = p_0 p_4, \quad r_{01} = p_1 p_4, \quad
        r_{11} = p_4 (1 - (1 - p_0)(1 - p_1)) (1 - p_2 p_3 p_5)
    """
    each = np.array([
        0.0, p[1] * p[4], p[0] * p[4],
        p[4] * (1 - (1 - p[0]) * (1 - p[1])) * (1 - p[2] * p[3] * p[5]),
    ])  # fmt: skip
    a, b = rates[:, 0], rates[:, 1]
    often = np.stack([(1 - a) * (1 - b), (1 - a) * b, a * (1 - b), a * b], axis=1)
    return np.asarray(often @ each)


def mapped(artifact: Artifact, given: argparse.Namespace, tell: Tell) -> dict[str, Any]:
    """Rates of the output over the rates of the lines."""
    program, temperature = opened(artifact)
    begin = time.process_time()
    chances = artifact.manifest["emission"].get("release", {})
    first, second = (
        chances[name]["probability"][0] if name in chances else 1.0 for name in ("first", "second")
    )
    p = (*(first,) * 4, *(second,) * 2)
    pairs = np.stack(np.meshgrid(GRID, GRID, indexing="ij"), -1).reshape(-1, 2)
    stimulus = Stimulus({"in": Events.from_dense(trains(pairs, given.steps, SEED).astype(int))})
    events = run_rung(artifact, "events", stimulus, seed=SEED).recording.spikes[OUT]
    few = np.stack(np.meshgrid(CORNERS, CORNERS, indexing="ij"), -1).reshape(-1, 2)
    # A train a case: cases of all pairs of rates are one batch.
    spikes = trains(np.repeat(few, given.cases, 0), LENGTH, SEED + 1)
    late = skews(spikes.shape, program.skew, SEED + 2)
    count = responses(
        program, {"in": spikes}, {"in": late}, OUT, temperature=temperature, seed=SEED,
        threads=given.threads, progress=lambda share: tell("circuit", share), **HOW,
    )  # fmt: skip
    tried = given.cases * LENGTH
    rate = (count == 1).reshape(len(few), tried).mean(1)
    return {
        "rates": pairs.tolist(),
        "steps": given.steps,
        "formula": np.round(formula(p, pairs), 4).tolist(),
        "events": np.round(events.rates()[:, 0, 0], 4).tolist(),
        "circuit": {
            "rates": few.tolist(),
            "steps": tried,
            "formula": np.round(formula(p, few), 4).tolist(),
            "circuit": np.round(rate, 4).tolist(),
        },
        "probabilities": list(p),
        "seconds": time.process_time() - begin,
        "seed": SEED,
    }


def opened(artifact: Artifact) -> tuple[Program, float]:
    """The program, and the temperature of its noise; E1436 for another network."""
    program = read_program(artifact)
    if set(program.spikes) != {"hidden", OUT}:
        raise fail("E1436", "the artefact is of another network", hint="rates.py network")
    return program, load_process(str(artifact.manifest["target"])).temperature.value


def map_plot(found: dict[str, Any], form: str = "svg") -> bytes:
    """The formula, machines and the circuit over the rates of both lines."""
    from matplotlib.figure import Figure

    from spikec.compiler.report.style import style, to_bytes

    with style("map"):
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        side = GRID.size
        for axes, name in zip(figure.subplots(1, 2), ("formula", "events"), strict=True):
            rate = np.array(found[name]).reshape(side, side).T
            lines = axes.contour(GRID, GRID, rate, levels=np.arange(0.1, 1.0, 0.1), vmin=0, vmax=1)
            axes.clabel(lines, fontsize=7)
            few = found["circuit"]
            a, b = np.array(few["rates"]).T
            axes.scatter(a, b, c=few["circuit"], vmin=0, vmax=1, s=25, edgecolors="0.3")
            axes.set(xlabel="rate of line 1", ylabel="rate of line 2", title=name)
        return to_bytes(figure, "XOR of rates: output over inputs; dots are the circuit", form)


def map_told(found: dict[str, Any]) -> str:
    """The rates of the circuit beside the formula, and how far machines are off."""
    off = np.abs(np.array(found["events"]) - found["formula"]).max()
    few = found["circuit"]
    lines = [
        f"events: {len(found['rates'])} pairs of rates, {found['steps']} steps each, "
        f"at most {off:.3f} from the formula",
        f"circuit, {few['steps']} steps each",
        f"{'rates':<12}{'formula':>9}{'circuit':>9}",
    ]
    for (a, b), wanted, rate in zip(few["rates"], few["formula"], few["circuit"], strict=True):
        lines.append(f"{a:.1f} {b:.1f}     {wanted:9.3f}{rate:9.3f}")
    return "\n".join(lines)


def write(folder: Path, steps: int) -> None:
    """``xor.spk`` and ``trains.npz``."""
    make_folder(folder)
    write_file(folder / "xor.spk", text(network()).encode())
    rates = [[0.1, 0.1], [0.1, 0.9], [0.9, 0.1], [0.9, 0.9]]
    events = Events.from_dense(trains(rates, steps, SEED).astype(np.int64))
    write_file(folder / "trains.npz", stimulus_bytes(LabelledStimulus(Stimulus({"in": events}))))


def main(arguments: list[str] | None = None) -> int:
    """0; 2 for what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("network", help="write the graph and its stimulus")
    make.add_argument("folder", type=Path)
    make.add_argument("--steps", type=int, default=200, help="of each sample")
    rates = verbs.add_parser("map", help="rates of the output over those of the lines")
    rates.add_argument("--steps", type=int, default=500, help="of each pair of rates, on events")
    rates.add_argument("--cases", type=int, default=CASES, help="trains of each in the circuit")
    rates.add_argument("built", type=Path, help="the compiled network")
    rates.add_argument("-o", "--output", type=Path, required=True, help="folder of results")
    rates.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    if any(getattr(given, name, 1) < 1 for name in ("steps", "cases", "threads")):
        parser.error("numbers of steps, cases and threads are 1 or more")
    try:
        if given.verb == "network":
            write(given.folder, given.steps)
            return 0
        artifact = load_artifact(given.built)
        with bars() as progress:
            found = mapped(artifact, given, progress)
        make_folder(given.output)
        data = json.dumps(found, indent=1) + "\n"
        write_file(given.output / "map.json", data.encode())
        write_file(given.output / "map.svg", map_plot(found))
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(map_told(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
