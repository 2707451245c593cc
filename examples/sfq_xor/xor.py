"""XOR of two lines in superconducting cells: the network, and how far its circuit may be off."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.backends.sfq import stress
from spikec.backends.sfq.files import read_program
from spikec.backends.sfq.margins import Spread, Trial, yields
from spikec.backends.sfq.simulate import Pulses
from spikec.backends.sfq.synthesise import Program
from spikec.compiler.artifact import load_artifact
from spikec.compiler.files import make_folder, write_file
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError, fail
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold
from spikec.ir.text import text

SEED = 1
SAMPLES = 8  # of the stimulus for `spikec verify`, of four steps each
ORDERS = 100  # in which the four inputs come, at each bias
BIASES = np.arange(-40, 41) / 100
SPREADS = (0.01, 0.02, 0.03, 0.05, 0.07)
CIRCUITS = 1000
FEW = 2  # orders for each circuit of a spread: eight steps
MARGIN, SPREAD, YIELD = 0.10, 0.02, 0.99  # what has to hold

Floats = npt.NDArray[np.float64]


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
    orders = Events.from_dense(stress.orders(2, SAMPLES, SEED).astype(np.int64))
    stimulus = LabelledStimulus(Stimulus({"in": orders}))
    write_file(folder / "test.npz", stimulus_bytes(stimulus))


def tried(program: Program, cases: int, seed: int) -> Trial:
    """All four inputs in ``cases`` orders, each pulse early or late by up to the skew."""
    spikes = stress.orders(2, cases, seed)
    late = stress.skews(spikes.shape, program.skew, seed + 1)
    wanted = spikes[..., :1] ^ spikes[..., 1:]
    return stress.trial(program, {"in": spikes}, {"in": late}, {"out": wanted})


def shares(
    trial: Trial, factors: dict[str, Floats], circuits: int, **how: Any
) -> npt.NDArray[np.float64]:
    """The share of cases that each circuit gets right, (circuits,)."""
    seen = []

    def check(found: Pulses, sets: int) -> npt.NDArray[np.bool_]:
        seen.append(trial.check(found, sets))
        return seen[-1]

    replace(trial, check=check).passes(factors, circuits, **how)
    return np.asarray(np.concatenate(seen).reshape(circuits, trial.cases).mean(1))


def around(bias: Floats, share: Floats) -> tuple[float, float]:
    """The range around 0 in which every case is right, 0 and 0 where that itself is not."""
    right = share == 1
    middle = int(np.abs(bias).argmin())
    if not right[middle]:
        return 0.0, 0.0
    low = middle - int(np.cumprod(right[middle::-1]).sum()) + 1
    high = middle + int(np.cumprod(right[middle:]).sum()) - 1
    return float(bias[low]), float(bias[high])


def measure(
    program: Program, orders: int, circuits: int, biases: Floats, spreads: tuple[float, ...],
    say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Margin of the global bias and yields, as JSON."""
    threads = os.cpu_count() or 1
    begin = time.process_time()
    every = {name: 1 + biases for name in program.netlist.biases}
    share = shares(tried(program, orders, SEED), every, biases.size, threads=threads)
    low, high = around(biases, share)
    say(f"global bias: {low:+.0%} to {high:+.0%}, {orders} orders of four inputs at each")
    few, rows = tried(program, FEW, SEED + 2), []
    kinds = ("areas", "inductances", "resistors", "bias")
    for sigma in spreads:
        spread = Spread(dict.fromkeys(kinds, sigma), {"bias": sigma})
        found = yields(few, spread, circuits, seed=SEED, threads=threads)
        least, most = found.interval
        rows.append({"spread": sigma, "working": found.working, "circuits": found.count,
                     "yield": found.share, "interval": [least, most]})  # fmt: skip
        say(f"spread {sigma:.0%}: {found.working} of {found.count} ({least:.1%} to {most:.1%})")
    enough = [row["yield"] >= YIELD for row in rows if row["spread"] <= SPREAD]
    return {
        "junctions": program.netlist.junctions,
        "cells": program.netlist.counts,
        "period": program.period,
        "latency": program.latency,
        "skew": program.skew,
        "orders": orders,
        "bias": biases.tolist(),
        "share": share.tolist(),
        "margin": [low, high],
        "steps_a_circuit": 4 * FEW,
        "yields": rows,
        "holds": bool(low <= -MARGIN and high >= MARGIN and all(enough)),
        "seconds": time.process_time() - begin,
        "seed": SEED,
    }


def plot(found: dict[str, Any], form: str = "svg") -> bytes:
    """Orders that are right by global bias, and circuits that work by spread."""
    from matplotlib.figure import Figure

    from spikec.compiler.report.plots import style, to_bytes

    with style("xor"):
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(100 * np.array(found["bias"]), 100 * np.array(found["share"]), "o-", ms=2.5)
        left.axvspan(*(100 * x for x in found["margin"]), alpha=0.15)
        left.set(xlabel="all biases, % off", ylabel="orders of inputs that are right, %")
        rows = found["yields"]
        share = 100 * np.array([row["yield"] for row in rows])
        ends = 100 * np.array([row["interval"] for row in rows]).T
        error = np.abs(ends - share)
        right.errorbar([100 * row["spread"] for row in rows], share, error, fmt="o-", capsize=3)
        right.set(
            xlabel="spread of every element and of all biases, %", ylabel="circuits that work, %"
        )
        for axes in (left, right):
            axes.set_ylim(-4, 104)
        return to_bytes(figure, "XOR: margin of the bias, and yield", form)


def main(arguments: list[str] | None = None) -> int:
    """0; 1 where the margin or the yield is not reached; 2 for what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="for xor.spk and test.npz, or results")
    parser.add_argument("--measure", type=Path, metavar="BUILT", help="the compiled network")
    parser.add_argument("--orders", type=int, default=ORDERS)
    parser.add_argument("--circuits", type=int, default=CIRCUITS)
    parser.add_argument("--quick", action="store_true", help="nine biases and one spread")
    given = parser.parse_args(arguments)
    if given.orders < 1 or given.circuits < 1:
        parser.error("--orders and --circuits are 1 or more")
    try:
        if given.measure is None:
            write(given.folder)
            return 0
        program = read_program(load_artifact(given.measure))
        if set(program.spikes) != {"hidden", "out"}:
            raise fail("E1436", f"{given.measure} is another network")
        biases = np.linspace(-0.4, 0.4, 9) if given.quick else BIASES
        spreads = (SPREAD,) if given.quick else SPREADS
        found = measure(program, given.orders, given.circuits, biases, spreads, print)
        make_folder(given.folder)
        write_file(given.folder / "results.json", (json.dumps(found, indent=1) + "\n").encode())
        write_file(given.folder / "xor.svg", plot(found))
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
