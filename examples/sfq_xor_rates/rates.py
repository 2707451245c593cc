"""XOR of rates: synapses of Josephson junctions pass pulses by chance, under a bias that is off.

    python examples/sfq_xor_rates/rates.py network FOLDER
    python examples/sfq_xor_rates/rates.py scan ARTEFACT [--json FILE] [--plot FILE.svg]

``network`` writes the graph (xor.spk) and its stimulus (trains.npz): four samples, in which either
line has a pulse in every step or none. ``scan`` runs what was compiled of it on the rungs integer
and events, and its circuit with all bias currents multiplied by a factor, once with those of the
synapses (one supply) and once without (a supply of their own). It ends with 1 where the gap, the
least rate of 01 and 10 less the greatest of 00 and 11, is below 0.5 anywhere from -5 to +20 %.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.backends.sfq.chance import SOURCE
from spikec.backends.sfq.execute import pulses_of, spikes
from spikec.backends.sfq.files import read_program
from spikec.backends.sfq.synthesise import Program
from spikec.boards.process import load_process
from spikec.compiler.artifact import Artifact, load_artifact
from spikec.compiler.ladder import run_rung
from spikec.compiler.progress import bars
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold
from spikec.ir.text import text

Floats = npt.NDArray[np.float64]
INPUTS = ("00", "01", "10", "11")
OUT = "out"
BIASES = (0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.3, 1.35)
LOW, HIGH, LEAST = 0.95, 1.2, 0.5
STEP = 0.15e-12  # s; the law of the synapse is the same with 0.05


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


def trains(steps: int) -> npt.NDArray[np.int64]:
    """Samples of the four inputs, (4, steps, 2): a line has a pulse in every step or in none."""
    return np.repeat([[[0, 0]], [[0, 1]], [[1, 0]], [[1, 1]]], steps, axis=1)


def gap(rates: Floats) -> float:
    """The least rate of 01 and 10, less the greatest of 00 and 11."""
    return float(min(rates[1], rates[2]) - max(rates[0], rates[3]))


def decoded(events: Events) -> Floats:
    """The rate of the output over all steps of each of the four samples."""
    return events.rates()[:, 0, 0]


def factors(program: Program, biases: Floats, fixed: bool) -> dict[str, Floats]:
    """What multiplies each bias current of the circuit; that of synapses is 1 where ``fixed``."""
    alone = np.ones_like(biases)
    own = f"{SOURCE}|"
    return {
        name: alone if fixed and name.startswith(own) else biases for name in program.netlist.biases
    }


def scanned(
    artifact: Artifact, stimulus: Stimulus, biases: Floats, seed: int, threads: int, tell: Any
) -> list[dict[str, Any]]:
    """The circuit at each bias with either supply, all of them one batch."""
    program = read_program(artifact)
    both = [factors(program, biases, fixed) for fixed in (False, True)]
    temperature = load_process(str(artifact.manifest["target"])).temperature.value
    found = pulses_of(
        program,
        stimulus,
        tuple(net for net in program.spikes[OUT] if net is not None),
        factors={name: np.concatenate([one[name] for one in both]) for name in both[0]},
        step=STEP,
        temperature=temperature,
        seed=seed,
        threads=threads,
        progress=tell,
    )
    rows = []
    for k, times in enumerate(found):
        events = spikes(program, OUT, stimulus.samples, stimulus.steps, times.__getitem__)
        rates = decoded(events)
        rows.append(
            {
                "bias": float(np.tile(biases, 2)[k]),
                "supply": "own" if k >= biases.size else "common",
                "rates": [round(float(rate), 4) for rate in rates],
                "gap": round(gap(rates), 4),
            }
        )
    return rows


def reach(rows: list[dict[str, Any]], supply: str) -> tuple[float, float] | None:
    """The least and greatest bias around 1 between which no gap is too small; None at 1 itself."""
    right = {row["bias"]: row["gap"] >= LEAST for row in rows if row["supply"] == supply}
    biases = sorted(right)
    if not right.get(1.0, False):
        return None
    low = high = biases.index(1.0)
    while low and right[biases[low - 1]]:
        low -= 1
    while high + 1 < len(biases) and right[biases[high + 1]]:
        high += 1
    return biases[low], biases[high]


def measured(
    artifact: Artifact, steps: int, biases: Floats, seed: int, threads: int, progress: Any
) -> dict[str, Any]:
    """All figures of the example."""
    stimulus = Stimulus({"in": Events.from_dense(trains(steps))})
    facts = artifact.manifest["emission"]
    ladder = {
        rung: decoded(run_rung(artifact, rung, stimulus, seed=seed).recording.spikes[OUT])
        for rung in ("integer", "events")
    }
    rows = scanned(
        artifact, stimulus, biases, seed, threads, lambda share: progress("circuit", share)
    )
    inside = [row["gap"] for row in rows if LOW <= row["bias"] <= HIGH]
    return {
        "release": facts.get("release", {}),
        "junctions": facts["junctions"],
        "period": facts["period"],
        "steps": steps,
        "seed": seed,
        "inputs": list(INPUTS),
        "rungs": {rung: [round(float(r), 4) for r in rates] for rung, rates in ladder.items()},
        "points": rows,
        "range": {supply: reach(rows, supply) for supply in ("common", "own")},
        "least": min(inside, default=None),
        "holds": bool(inside) and min(inside) >= LEAST,
    }


def draw(found: dict[str, Any], place: Path) -> None:
    """The gap against the bias of the chip."""
    import matplotlib

    matplotlib.use("svg" if place.suffix == ".svg" else "agg")
    from matplotlib import pyplot as plt

    plt.rcParams["svg.hashsalt"] = "spikec"
    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    titles = {"common": "synapses on the common supply", "own": "synapses on a supply of their own"}
    for supply, mark in (("common", "o-"), ("own", "s--")):
        rows = [row for row in found["points"] if row["supply"] == supply]
        axes.plot(
            [100 * (row["bias"] - 1) for row in rows],
            [max(row["gap"], -0.25) for row in rows],
            mark,
            markersize=4,
            label=titles[supply],
        )
    axes.axvspan(100 * (LOW - 1), 100 * (HIGH - 1), color="0.92", label="-5 to +20 %")
    axes.axhline(LEAST, color="0.4", linewidth=0.8)
    axes.set(xlabel="bias of all cells, % off", ylabel="gap of rates", ylim=(-0.3, 1.05))
    axes.legend(loc="lower center", fontsize=8)
    figure.savefig(place, metadata={"Date": None} if place.suffix == ".svg" else None)
    plt.close(figure)


def told(found: dict[str, Any]) -> str:
    """The figures for a person."""
    head = "".join(f"{name:>8}" for name in INPUTS)
    lines = [
        f"{found['junctions']} junctions, a step of {found['period'] * 1e12:.1f} ps, "
        f"{found['steps']} steps of each input",
        f"{'rung':<10}{head}     gap",
    ]
    for rung, rates in found["rungs"].items():
        each = "".join(f"{rate:8.3f}" for rate in rates)
        lines.append(f"{rung:<10}{each}{gap(np.array(rates)):8.3f}")
    titles = {"common": "circuit, one supply", "own": "circuit, synapses on their own supply"}
    for supply, title in titles.items():
        lines += [title, f"{'bias':<10}{head}     gap"]
        for row in (row for row in found["points"] if row["supply"] == supply):
            each = "".join(f"{rate:8.3f}" for rate in row["rates"])
            lines.append(f"{100 * (row['bias'] - 1):<+10.0f}{each}{row['gap']:8.3f}")
    if found["least"] is not None:
        verdict = "holds" if found["holds"] else "does NOT hold"
        lines.append(f"gap >= {LEAST} from -5 to +20 % {verdict}: at least {found['least']:.3f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Write the network, or scan the bias of what was compiled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("network")
    make.add_argument("folder", type=Path)
    scan = verbs.add_parser("scan")
    scan.add_argument("artefact", type=Path)
    scan.add_argument("--bias", type=float, nargs="+", default=list(BIASES))
    scan.add_argument("--seed", type=int, default=1)
    scan.add_argument("--threads", type=int, default=1)
    scan.add_argument("--json", type=Path, help="write all figures here")
    scan.add_argument("--plot", type=Path, help="draw the gap against the bias: .svg or .png")
    for verb in (make, scan):
        verb.add_argument("--steps", type=int, default=200, help="steps of each input")
    said = parser.parse_args(arguments)
    if said.verb == "network":
        said.folder.mkdir(parents=True, exist_ok=True)
        (said.folder / "xor.spk").write_text(text(network()), encoding="utf-8")
        np.savez(said.folder / "trains.npz", data=trains(said.steps))
        return 0
    try:
        artifact = load_artifact(said.artefact)
        with bars() as progress:
            found = measured(
                artifact, said.steps, np.array(said.bias), said.seed, said.threads, progress
            )
    except SpikecError as error:
        print(error, file=sys.stderr)
        return 2
    if said.json is not None:
        said.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if said.plot is not None:
        draw(found, said.plot)
    print(told(found))
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main())
