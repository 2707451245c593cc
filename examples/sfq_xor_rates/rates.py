"""XOR of rates: synapses of Josephson junctions pass pulses by chance, in circuits that are off.

    python examples/sfq_xor_rates/rates.py network FOLDER
    python examples/sfq_xor_rates/rates.py measure BUILT -o FOLDER
    python examples/sfq_xor_rates/rates.py map BUILT -o FOLDER

``network`` writes the graph (xor.spk) and a stimulus (trains.npz): four samples, in which the lines
have pulses by chance, with rates of 0.1 or 0.9. ``measure`` solves the equations of the circuit:
all four inputs in orders by chance, each pulse early or late by chance, over the bias of the chip
and of circuits whose elements are off. It ends with 1 where the gap, the least rate of 01 and 10
less the greatest of 00 and 11, is below 0.5 anywhere from -5 to +20 % of bias, or for more than one
circuit in a hundred. ``map`` has the rate of the output over the rates of both lines, of machines,
of the circuit and of a formula.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.backends.sfq.cells.chance import SOURCE
from spikec.backends.sfq.josephson.margins import Spread
from spikec.backends.sfq.synthesis.files import read_program
from spikec.backends.sfq.synthesis.synthesise import Program
from spikec.backends.sfq.tolerance import trims
from spikec.backends.sfq.tolerance.stress import orders, responses, skews
from spikec.boards.process import load_process
from spikec.compiler.artifact import Artifact, load_artifact
from spikec.compiler.files import make_folder, write_file
from spikec.compiler.ladder import run_rung
from spikec.compiler.progress import bars
from spikec.compiler.report.data import wilson
from spikec.compiler.stimulus import LabelledStimulus, stimulus_bytes
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import SpikecError, fail
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import Threshold
from spikec.ir.text import text

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Tell = Callable[[str, float], None]

SEED = 1
INPUTS = ("00", "01", "10", "11")
WANTED = np.array([False, True, True, False])
OUT = "out"
# Coarse beside noise: with the usual 0.1 ps and 1e-10 rad I50 is 0.1 uA lower, a 25th of sigma.
HOW: dict[str, Any] = {"step": 0.2e-12, "tolerance": 1e-5}
ORDERS = 100  # in which the four inputs come, at each bias
BIASES = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3)
LOW, HIGH, LEAST = 0.95, 1.2, 0.5
SPREAD, YIELD = 0.02, 0.99
CIRCUITS = 1000
# Orders after which a circuit is looked at: whose gap is certain has no more of them.
LOOKS = (8, 12, 16, 20, 25, 32, 40, 50, 70, 100)
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


def gap(rates: Floats) -> Floats:
    """The least rate of 01 and 10, less the greatest of 00 and 11; ``rates`` (..., 4)."""
    return np.asarray(rates[..., 1:3].min(-1) - rates[..., [0, 3]].max(-1))


def surely(fired: Integers, tried: int) -> tuple[Floats, Floats]:
    """Gaps of the ends of Wilson's 95 % intervals: ``fired`` (circuits, 4) of ``tried`` each."""
    low, high = np.array([wilson(k, tried) for k in range(tried + 1)]).T[:, fired]
    return (
        np.asarray(gap(np.where(WANTED, low, high))),
        np.asarray(gap(np.where(WANTED, high, low))),
    )


def fires(
    program: Program,
    given: Bools,
    late: Floats,
    factors: dict[str, Floats],
    circuits: int,
    temperature: float,
    seed: int,
    threads: int,
    tell: Callable[[float], None],
) -> Integers:
    """In how many orders each circuit fires at each of the four inputs, (circuits, 4).

    Once where it should, and anything but not at all where it should not; a run in which a pulse
    goes back is wrong at all four.
    """
    count = responses(
        program, {"in": given}, {"in": late}, OUT, factors=factors, circuits=circuits,
        temperature=temperature, seed=seed, threads=threads, progress=tell, **HOW,
    )[..., 0]  # fmt: skip
    place = np.argsort(given @ [2, 1], axis=1)
    sorted_ = np.take_along_axis(count, place[None], axis=2)
    return np.asarray(np.where(WANTED, sorted_ == 1, sorted_ != 0).sum(1))


def over_bias(
    program: Program, temperature: float, many: int, biases: Floats, threads: int, tell: Tell
) -> list[dict[str, Any]]:
    """Rates at each bias: with synapses on the same supply as all, and on one of their own."""
    alone = np.ones_like(biases)
    own = f"{SOURCE}|"
    factors = {
        name: np.concatenate([biases, alone if name.startswith(own) else biases])
        for name in program.netlist.biases
    }
    given = orders(2, many, SEED)
    late = skews(given.shape, program.skew, SEED + 1)
    fired = fires(
        program, given, late, factors, 2 * biases.size, temperature, SEED, threads,
        lambda share: tell("bias", share),
    )  # fmt: skip
    return [
        {
            "bias": float(bias),
            "supply": supply,
            "rates": [round(float(rate), 4) for rate in rates],
            "gap": round(float(gap(rates)), 4),
        }
        for bias, supply, rates in zip(
            np.tile(biases, 2),
            np.repeat(["common", "own"], biases.size).tolist(),
            fired / many,
            strict=True,
        )
    ]


def over_spread(
    program: Program,
    temperature: float,
    circuits: int,
    looks: Sequence[int],
    bias: float,
    trim: bool,
    threads: int,
    tell: Tell,
) -> dict[str, Any]:
    """How many of ``circuits``, each element off by chance and all biases together, have the gap.

    Synapses of each are counted and their currents set before, if ``trim``, at the nominal bias of
    the chip. All have the orders of the first of ``looks``; who is not certain by then, those up
    to the next.
    """
    kinds = ("areas", "inductances", "resistors", "bias")
    spread = Spread(dict.fromkeys(kinds, SPREAD), {"bias": SPREAD})
    factors = spread.draw(program.netlist.circuit({}), range(circuits), SEED)
    if trim:
        counts = trims.counted(
            program, factors, circuits, temperature=temperature, seed=SEED + 90,
            threads=threads, progress=lambda share: tell("trims", share), **HOW,
        )  # fmt: skip
        own = [trims.as_factors(program, trims.trims(program, chip)) for chip in counts]
        for name in own[0]:
            factors[name] = factors[name] * np.array([one[name] for one in own])
    for name in program.netlist.biases:
        factors[name] = factors[name] * bias
    given = orders(2, looks[-1], SEED + 2)
    late = skews(given.shape, program.skew, SEED + 3)
    fired = np.zeros((circuits, 4), np.int64)
    tried = np.zeros(circuits, np.int64)
    open_ = np.arange(circuits)
    for k, (first, last) in enumerate(pairwise((0, *looks))):
        if not open_.size:
            break
        fired[open_] += fires(
            program, given[first:last], late[first:last],
            {name: value[open_] for name, value in factors.items()}, open_.size, temperature,
            SEED + 4 + k, threads, lambda share, last=last: tell(f"order {last}", share),
        )  # fmt: skip
        tried[open_] = last
        low, high = surely(fired[open_], last)
        open_ = open_[(low < LEAST) & (high >= LEAST)]
    gaps = gap(fired / tried[:, None])
    working = int((gaps >= LEAST).sum())
    return {
        "bias": bias,
        "trimmed": trim,
        "spread": SPREAD,
        "circuits": circuits,
        "working": working,
        "yield": working / circuits,
        "interval": list(wilson(working, circuits)),
        "orders": float(tried.mean()),
        "undecided": int(open_.size),
        "gaps": np.round(gaps, 4).tolist(),
    }


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


def measured(artifact: Artifact, given: argparse.Namespace, tell: Tell) -> dict[str, Any]:
    """All figures of the gap."""
    program, temperature = opened(artifact)
    facts = artifact.manifest["emission"]
    begin = time.process_time()
    biases = np.array(given.bias)
    rows = over_bias(program, temperature, given.orders, biases, given.threads, tell)
    looks = sorted({min(look, given.orders) for look in (*LOOKS, given.orders)})
    yields = [
        over_spread(program, temperature, circuits, looks, bias, given.trim, given.threads, tell)
        for bias, circuits in ((1.0, given.circuits), (LOW, given.ends), (HIGH, given.ends))
        if circuits
    ]
    inside = [row["gap"] for row in rows if LOW <= row["bias"] <= HIGH]
    return {
        "release": facts.get("release", {}),
        "junctions": facts["junctions"],
        "period": facts["period"],
        "skew": program.skew,
        "orders": given.orders,
        "inputs": list(INPUTS),
        "points": rows,
        "range": {supply: reach(rows, supply) for supply in ("common", "own")},
        "least": min(inside, default=None),
        "yields": yields,
        "holds": bool(inside)
        and min(inside) >= LEAST
        and all(one["yield"] >= YIELD for one in yields if one["bias"] == 1.0),
        "seconds": time.process_time() - begin,
        "seed": SEED,
    }


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


def gap_plot(found: dict[str, Any], form: str = "svg") -> bytes:
    """The gap against the bias of the chip, and how many circuits have which."""
    from matplotlib.figure import Figure

    from spikec.compiler.report.style import style, to_bytes

    with style("xor"):
        figure = Figure(figsize=(8.4, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        titles = {"common": "synapses on the same supply", "own": "synapses on their own supply"}
        for supply, mark in (("common", "o-"), ("own", "s--")):
            rows = [row for row in found["points"] if row["supply"] == supply]
            off = [100 * (row["bias"] - 1) for row in rows]
            left.plot(off, [row["gap"] for row in rows], mark, ms=3, label=titles[supply])
        left.axvspan(100 * (LOW - 1), 100 * (HIGH - 1), alpha=0.15)
        left.axhline(LEAST, color="0.4", linewidth=0.8)
        left.set(xlabel="bias of all cells, % off", ylabel="gap of rates", ylim=(-0.4, 1.05))
        left.legend(loc="lower center", fontsize=8)
        for one in found["yields"]:
            label = f"bias {100 * (one['bias'] - 1):+.0f} %: {one['yield']:.1%} work"
            share = np.full(one["circuits"], 100 / one["circuits"])
            edges = np.arange(0.0, 1.05, 0.05)
            right.hist(
                np.clip(one["gaps"], 0, 1), edges, weights=share, histtype="step", label=label
            )
        right.axvline(LEAST, color="0.4", linewidth=0.8)
        right.set(xlabel="gap of rates", ylabel=f"circuits of {SPREAD:.0%} spread, %")
        right.legend(loc="upper left", fontsize=8)
        return to_bytes(figure, "XOR of rates: gap over bias, and of circuits", form)


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


def gap_told(found: dict[str, Any]) -> str:
    """The figures of the gap for a person."""
    head = "".join(f"{name:>8}" for name in INPUTS)
    lines = [
        f"{found['junctions']} junctions, a step of {found['period'] * 1e12:.1f} ps, "
        f"{found['orders']} orders of the four inputs, pulses up to "
        f"{found['skew'] * 1e12:g} ps early or late"
    ]
    titles = {"common": "one supply", "own": "synapses on their own supply"}
    for supply, title in titles.items():
        lines += [title, f"{'bias':<10}{head}     gap"]
        for row in (row for row in found["points"] if row["supply"] == supply):
            each = "".join(f"{rate:8.3f}" for rate in row["rates"])
            lines.append(f"{100 * (row['bias'] - 1):<+10.0f}{each}{row['gap']:8.3f}")
    if found["least"] is not None:
        lines.append(f"least gap from -5 to +20 %: {found['least']:.3f}")
    for one in found["yields"]:
        low, high = one["interval"]
        lines.append(
            f"spread {one['spread']:.0%}{', trimmed' if one['trimmed'] else ''}, "
            f"bias {100 * (one['bias'] - 1):+.0f} %: "
            f"{one['working']} of {one['circuits']} with a gap of {LEAST} or more "
            f"({low:.1%} to {high:.1%}), {one['orders']:.0f} orders each on average"
        )
    lines.append("holds" if found["holds"] else "does NOT hold")
    return "\n".join(lines)


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
    """0; 1 where the gap or the yield is not reached; 2 for what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    make = verbs.add_parser("network", help="write the graph and its stimulus")
    make.add_argument("folder", type=Path)
    make.add_argument("--steps", type=int, default=200, help="of each sample")
    gaps = verbs.add_parser("measure", help="gap over bias, and yield")
    gaps.add_argument("--bias", type=float, nargs="+", default=list(BIASES))
    gaps.add_argument("--orders", type=int, default=ORDERS)
    gaps.add_argument("--circuits", type=int, default=CIRCUITS, help="of a spread of 2 %%")
    gaps.add_argument("--ends", type=int, default=0, help="so many also at -5 and +20 %% of bias")
    gaps.add_argument("--trim", action="store_true", help="set each circuit's currents first")
    rates = verbs.add_parser("map", help="rates of the output over those of the lines")
    rates.add_argument("--steps", type=int, default=500, help="of each pair of rates, on events")
    rates.add_argument("--cases", type=int, default=CASES, help="trains of each in the circuit")
    for verb in (gaps, rates):
        verb.add_argument("built", type=Path, help="the compiled network")
        verb.add_argument("-o", "--output", type=Path, required=True, help="folder of results")
        verb.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args(arguments)
    counts = ("steps", "orders", "circuits", "cases", "threads")
    if any(getattr(given, name, 1) < 1 for name in counts) or getattr(given, "ends", 0) < 0:
        parser.error("numbers of steps, orders, circuits, cases and threads are 1 or more")
    try:
        if given.verb == "network":
            write(given.folder, given.steps)
            return 0
        artifact = load_artifact(given.built)
        with bars() as progress:
            found = (measured if given.verb == "measure" else mapped)(artifact, given, progress)
        name, plot, told = {
            "measure": ("gap", gap_plot, gap_told), "map": ("map", map_plot, map_told)
        }[given.verb]  # fmt: skip
        make_folder(given.output)
        data = json.dumps(found, indent=1) + "\n"
        write_file(given.output / f"{name}.json", data.encode())
        write_file(given.output / f"{name}.svg", plot(found))
    except SpikecError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(told(found))
    return 0 if found.get("holds", True) else 1


if __name__ == "__main__":
    raise SystemExit(main())
