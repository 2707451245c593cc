"""Many parameter sets of a Josephson circuit: ours beside ngspice and JoSIM, one process each.

A transmission line of 20 junctions, 200 ps in steps of 0.05 ps, two pulses; all values of a set are
its own. Ours takes all sets in one call, and is told to watch every junction's pulses and to keep
the energy balance; the peers simulate the nominal set and write two phases. All agree on when
pulses arrive, or no figure is printed. Seconds are of the processor, on one thread; a process of a
peer's counts from its start to its end.

Then XOR as a network of cells, 1,000 circuits with biases and elements of their own and all four
inputs: ours in one call, which also judges them; a peer's process simulates the nominal one.

josim-cli is a peer where it is on PATH (https://github.com/JoeyDelp/JoSIM).

    python bench/sfq.py [--json] [--quick]
"""

from __future__ import annotations

import importlib.util
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent))

from _measured import main, measured

from spikec.backends.sfq.cells.netlist import pulses
from spikec.backends.sfq.josephson import measure as read
from spikec.backends.sfq.josephson.circuit import Circuit, Junction
from spikec.backends.sfq.josephson.deck import write
from spikec.backends.sfq.josephson.margins import Spread
from spikec.backends.sfq.josephson.simulate import Method, Simulator, Transient
from spikec.backends.sfq.rungs import josim, ngspice
from spikec.backends.sfq.rungs.execute import LEAD, drives
from spikec.backends.sfq.synthesis.synthesise import synthesise
from spikec.backends.sfq.tolerance import stress
from spikec.compiler.backend import find_target
from spikec.compiler.compile import pipeline
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.quantise import Quantise
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus

Array = npt.NDArray[np.float64]
PS = 1e-12
SEED = 0
SETS, SPREAD = 1000, 0.05
PROBES = ("B5", "B15")
GOALS = {"ngspice": 20.0, "josim-cli": 5.0}  # times as many sets a second of the processor
BIASES = 0.10  # XOR: biases together, off by up to this
APART = 20e-15  # s; ngspice chooses its steps, and is some 10 fs late
BALANCE = 1e-6


def script(name: str) -> Any:
    """A file of the repository as a module."""
    path = Path(__file__).parents[1] / name
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def circuit() -> Circuit:
    """The line of junctions that the tests hold to JoSIM's figures."""
    return script("tests/backends/sfq/jtl.py").jtl()  # type: ignore[no-any-return]


def children(run: Callable[[], list[Array]], times: int) -> tuple[float, list[Array]]:
    """Seconds of the processor that a child takes, the best of some runs, and when pulses came."""
    best, found = np.inf, list[Array]()
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = run()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = min(best, took)
    return best, found


def by_ngspice(
    junctions: Circuit, how: Transient, probes: tuple[str, ...] = PROBES
) -> Callable[[], list[Array]] | None:
    """Arrivals at the probes by ngspice, or None where it is not installed."""
    if shutil.which("ngspice") is None:
        return None

    def run() -> list[Array]:
        times, phases = ngspice.transient(junctions, how, probes)
        return [read.crossings(times, phase) for phase in phases]

    return run


def by_josim(text: str) -> Callable[[], list[Array]] | None:
    """Arrivals at what a deck prints by JoSIM, or None where it is not installed."""
    if shutil.which(josim.PROGRAM) is None:
        return None

    def run() -> list[Array]:
        times, phases = josim.solved(text)
        return [read.crossings(times, phase) for phase in phases]

    return run


def agree(name: str, found: list[Array], wanted: list[Array], most: float = APART) -> float:
    """The largest difference of an arrival, in s."""
    if any(a.shape != b.shape for a, b in zip(found, wanted, strict=True)):
        raise SystemExit(f"{name}: {found} are not the pulses {wanted}")
    worst = max(float(np.abs(a - b).max(initial=0.0)) for a, b in zip(found, wanted, strict=True))
    if not worst < most:
        raise SystemExit(f"{name}: pulses are {worst / 1e-15:.1f} fs apart")
    return worst


def ours(junctions: Circuit, how: Transient, sets: int, times: int) -> tuple[float, Any]:
    """Seconds of the processor for all sets, the best of some runs, and what they gave."""
    simulator = Simulator(junctions)
    rng = np.random.default_rng(SEED)
    factors = {
        part.name: np.append(1.0, 1 + SPREAD * rng.standard_normal(sets - 1))
        for part in junctions.parts
        if part.name != "Iin"
    }
    simulator.run(Transient(PS, ramp=0.0, method=how.method))  # compiles the kernel
    best, found = np.inf, None
    for _ in range(times):
        start = time.process_time()
        found = simulator.run(how, factors=factors)
        best = min(best, time.process_time() - start)
    assert found is not None
    if how.method == Method.MIDPOINT and not np.abs(found.imbalance).max() < BALANCE:
        raise SystemExit(f"energies differ by {np.abs(found.imbalance).max():.1e}")
    return best, found


def exclusive(quick: bool) -> list[dict[str, Any]]:
    """XOR: circuits a second, judged, beside one process for each."""
    program = synthesise(
        run_pipeline(
            pipeline(Quantise(input_max=1)),
            script("examples/sfq_xor/xor.py").network(),
            find_target("mitll-sfq5ee")[1],
            Diagnostics(),
        )
    )
    steps = np.array([[0, 1]] if quick else [[0, 0], [0, 1], [1, 0], [1, 1]])
    spikes = steps[None].astype(np.bool_)
    given = {"in": spikes}, {"in": np.zeros(spikes.shape)}
    trial = stress.trial(program, *given, {"out": spikes[..., :1] ^ spikes[..., 1:]})
    count, times = (16, 1) if quick else (SETS, 2)
    factors = Spread(dict.fromkeys(("areas", "inductances", "resistors", "bias"), 0.02)).draw(
        trial.simulator.circuit, range(count), SEED
    )
    off = np.linspace(1 - BIASES, 1 + BIASES, count)
    for name in program.netlist.biases:
        factors[name] = factors[name] * off
    trial.passes({}, 1)  # compiles the kernel
    best, right = np.inf, 0
    for _ in range(times):
        start = time.process_time()
        right = int(trial.passes(factors, count, seed=SEED).sum())
        best = min(best, time.process_time() - start)
    # The nominal circuit by a process of a peer: behind each neuron the junction that sends its
    # pulse is watched.
    waves = {net: pulses(times + LEAD) for net, times in drives(program, given_as(steps)).items()}
    nominal = program.netlist.circuit(waves)
    nets = {net for name in ("hidden", "out") for net in program.spikes[name]}
    probes = tuple(
        f"{i.cell.circuit.of(Junction)[-1].name}|{i.name}"
        for i in program.netlist.instances
        if i.nets.get("q") in nets
    )
    how = trial.transient
    deck = josim.deck(program.netlist, waves, how, probes)
    seen = Simulator(nominal).run(how, watch=probes).pulses
    wanted = [seen.of(probe) for probe in probes]
    late = {"ngspice": 0.0, "josim-cli": how.before * how.step}  # decks begin with the ramp
    rows = []
    title = (
        f"XOR of {program.netlist.junctions} junctions, {len(steps)} inputs: circuits a second, "
        "beside "
    )
    for peer, run in (
        ("ngspice", by_ngspice(nominal, how, probes)),
        ("josim-cli", by_josim(deck)),
    ):
        row: dict[str, Any] = {
            "name": title + peer,
            "ours": count / best,
            "unit": "1/s",
        }
        if run is None:
            nothing = dict.fromkeys(("goal", "meets", "peer", "peer_value", "ratio"))
            rows.append(row | nothing | {"how": f"CPU seconds; put {peer} on PATH"})
            continue
        theirs, found = children(run, 1 if quick else 3)
        apart = agree(peer, [times - late[peer] for times in found], wanted, 1e-12)
        rows.append(
            row
            | {
                "goal": GOALS[peer] / theirs,
                "meets": count / best >= GOALS[peer] / theirs,
                "peer": peer,
                "peer_value": 1 / theirs,
                "ratio": theirs * count / best,
                "how": f"CPU seconds; {right} of {count} circuits are right with elements 2 % and "
                f"biases up to {BIASES:.0%} off; the goal is {GOALS[peer]:.0f} times as many; "
                f"pulses are {apart / 1e-15:.0f} fs apart",
            }
        )
    return rows


def given_as(steps: npt.NDArray[np.int64]) -> Stimulus:
    """One sample of (steps, lines)."""
    return Stimulus({"in": Events.from_dense(steps[None])})


def beside(
    peer: str, run: Callable[[], list[Array]] | None, mine: float, wanted: list[Array], times: int
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": f"transients of 20 junctions, 200 ps: sets a second, beside {peer}",
        "ours": 1 / mine,
        "unit": "1/s",
    }
    if run is None:
        nothing = dict.fromkeys(("goal", "meets", "peer", "peer_value", "ratio"))
        return row | nothing | {"how": f"CPU seconds; put {peer} on PATH for the peer"}
    theirs, found = children(run, times)
    apart = agree(peer, found, wanted)
    return row | {
        "goal": GOALS[peer] / theirs,
        "meets": mine * GOALS[peer] <= theirs,
        "peer": peer,
        "peer_value": 1 / theirs,
        "ratio": theirs / mine,
        "how": f"CPU seconds; the goal is {GOALS[peer]:.0f} times as many; "
        f"pulses are {apart / 1e-15:.1f} fs apart",
    }


def measure(quick: bool) -> dict[str, Any]:
    sets, times = (16, 1) if quick else (SETS, 3)
    results, junctions = list[dict[str, Any]](), circuit()
    how = Transient(200 * PS, ramp=0.0)
    taken, found = ours(junctions, how, sets, times)
    wanted = [found.pulses.of(probe) for probe in PROBES]
    for peer, run in (
        ("ngspice", by_ngspice(junctions, how)),
        ("josim-cli", by_josim(write(junctions, how, [("p", probe) for probe in PROBES]))),
    ):
        results.append(beside(peer, run, taken / sets, wanted, times))
    results += exclusive(quick)
    elements = len(junctions.parts)
    for method in Method:
        how = Transient(200 * PS, ramp=0.0, method=method)
        seconds = taken if method == Method.MIDPOINT else ours(junctions, how, sets, times)[0]
        step = seconds / (sets * how.steps * elements)
        results.append(
            {
                "name": f"an element's step, {method}: nanoseconds",
                "ours": step / 1e-9,
                "unit": "ns",
                **dict.fromkeys(("goal", "meets", "peer", "peer_value", "ratio")),
                "how": f"CPU seconds of {sets} sets, {how.steps} steps, {elements} elements",
            }
        )
    return measured(results, ("numpy", "numba"), SEED)


def line(row: dict[str, Any]) -> str:
    """A result for a person."""
    peer = f", {row['peer_value']:.3g}: {row['ratio']:.0f} times" if row["peer"] else ""
    goal = "" if row["meets"] is None else f" [goal {'met' if row['meets'] else 'missed'}]"
    return f"{row['name']}: {row['ours']:.3g}{peer}{goal} ({row['how']})"


if __name__ == "__main__":
    main(measure, __doc__, "16 sets", line)
