"""Many parameter sets of a Josephson circuit: ours beside ngspice and JoSIM, one process each.

A transmission line of 20 junctions, 200 ps in steps of 0.05 ps, two pulses; all values of a set are
its own. Ours takes all sets in one call, and is told to watch every junction's pulses and to keep
the energy balance; the peers simulate the nominal set and write two phases. All agree on when
pulses arrive, or no figure is printed. Seconds are of the processor, on one thread; a process of a
peer's counts from its start to its end.

josim-cli is a peer where it is on PATH (https://github.com/JoeyDelp/JoSIM).

    python bench/sfq.py [--json] [--quick]
"""

from __future__ import annotations

import importlib.util
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent))

from _measured import main, measured

from spikec.backends.sfq import measure as read
from spikec.backends.sfq import ngspice
from spikec.backends.sfq.circuit import Circuit
from spikec.backends.sfq.deck import write
from spikec.backends.sfq.simulate import Method, Simulator, Transient

Array = npt.NDArray[np.float64]
PS = 1e-12
SEED = 0
SETS, SPREAD = 1000, 0.05
PROBES = ("B5", "B15")
GOAL = 20.0  # times as many sets a second of the processor
APART = 20e-15  # s; ngspice chooses its steps, and is some 10 fs late
BALANCE = 1e-6


def circuit() -> Circuit:
    """The line of junctions that the tests hold to JoSIM's figures."""
    path = Path(__file__).parents[1] / "tests" / "backends" / "sfq" / "jtl.py"
    spec = importlib.util.spec_from_file_location("jtl", path)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found.jtl()  # type: ignore[no-any-return]


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


def by_ngspice(junctions: Circuit, how: Transient) -> Callable[[], list[Array]] | None:
    """Arrivals at the probes by ngspice, or None where it is not installed."""
    if shutil.which("ngspice") is None:
        return None

    def run() -> list[Array]:
        times, phases = ngspice.transient(junctions, how, PROBES)
        return [read.crossings(times, phase) for phase in phases]

    return run


def by_josim(junctions: Circuit, how: Transient) -> Callable[[], list[Array]] | None:
    """Arrivals at the probes by JoSIM, or None where it is not installed."""
    program = shutil.which("josim-cli")
    if program is None:
        return None

    def run() -> list[Array]:
        with tempfile.TemporaryDirectory() as folder:
            deck, out = Path(folder) / "jtl.cir", Path(folder) / "out.csv"
            prints = [("p", probe) for probe in PROBES]
            deck.write_text(write(junctions, how, prints, numbered=True))
            # -m: its progress bar takes longer than the circuit.
            argv = [program, "-m", "-o", str(out), str(deck)]
            subprocess.run(argv, check=True, capture_output=True, timeout=120)
            data = np.loadtxt(out, delimiter=",", skiprows=1)
        return [read.crossings(data[:, 0], data[:, k]) for k in range(1, 1 + len(PROBES))]

    return run


def agree(name: str, found: list[Array], wanted: list[Array]) -> float:
    """The largest difference of an arrival, in s."""
    if any(a.shape != b.shape for a, b in zip(found, wanted, strict=True)):
        raise SystemExit(f"{name}: {found} are not the pulses {wanted}")
    worst = max(float(np.abs(a - b).max()) for a, b in zip(found, wanted, strict=True))
    if not worst < APART:
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
        "goal": GOAL / theirs,
        "meets": mine * GOAL <= theirs,
        "peer": peer,
        "peer_value": 1 / theirs,
        "ratio": theirs / mine,
        "how": f"CPU seconds; the goal is {GOAL:.0f} times as many; "
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
        ("josim-cli", by_josim(junctions, how)),
    ):
        results.append(beside(peer, run, taken / sets, wanted, times))
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
