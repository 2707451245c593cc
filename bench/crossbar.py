"""Exact currents of crossbars: ours beside badcrossbar, a sparse LU factorisation and relaxation.

n x n cells of 1 to 100 uS, 1 ohm a segment on both lines, driven at the left and sensed at the
bottom, voltages of 0 to 0.2 V. Each solver starts from the conductances, and all give the same
currents to 1e-9 of each, or no figure is printed. Seconds are of the processor, on one thread, the
best of a few runs.

badcrossbar is the extra of that name. Its plots want cairo, its solver does not: without cairo's
headers, `pip install --no-deps badcrossbar pathvalidate` is enough.

    python bench/crossbar.py [--json] [--quick]
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

sys.path.insert(0, str(Path(__file__).parent))

from _measured import main, measured

from spikec.backends.crossbar.circuit import Crossbar
from spikec.backends.crossbar.nonlinear import Curve, NonlinearSolver
from spikec.backends.crossbar.solve import Solver, transfer

Array = npt.NDArray[np.float64]
SEED = 0
OHM = 1.0
SIZE, LARGE, VECTORS = 256, 1024, 1000
CUBE = 5.0  # 1/V^2: 20 % more current at 0.2 V
BADCROSSBAR_GOAL, FACTOR_GOAL = 100.0, 50.0  # times faster
# The defaults of CrossSim's SimulationParameters (sandialabs/cross-sim,
# simulator/parameters/simulation_parameters.py), and how long it may try.
RELAXED_GAMMA, RELAXED_ERROR, RELAXED_LIMIT = 1.0, 1e-3, 100
RELAXED_LOST, RELAXED_SECONDS = 1e6, 20.0  # V, s
PRODUCT_GOAL, LARGE_GOAL = 0.05, 1.0  # seconds


def crossbar(size: int, ohm: float = OHM) -> tuple[Crossbar, Array]:
    """The circuit, and one vector of voltages."""
    rng = np.random.default_rng(SEED)
    circuit = Crossbar(rng.uniform(1e-6, 1e-4, (size, size)), ohm, ohm)
    return circuit, rng.uniform(0, 0.2, size)


def seconds(run: Callable[[], Array], times: int) -> tuple[float, Array]:
    """Seconds of the processor, the best of some runs, and the last answer."""
    best, found = np.inf, np.empty(0)
    for _ in range(times):
        start = time.process_time()
        found = run()
        best = min(best, time.process_time() - start)
    return best, found


def by_factor(circuit: Crossbar, voltage: Array) -> Array:
    """Currents by SuperLU of all nodes, word lines first; built without a loop."""
    rows, columns = circuit.conductance.shape
    word = np.arange(rows * columns).reshape(rows, columns)
    bit = word + rows * columns
    pairs = [
        (word, bit, circuit.conductance),
        (word[:, 1:], word[:, :-1], np.full((rows, columns - 1), 1 / circuit.word)),
        (bit[1:], bit[:-1], np.full((rows - 1, columns), 1 / circuit.bit)),
    ]
    a, b, siemens = (np.concatenate([pair[k].ravel() for pair in pairs]) for k in range(3))
    ends = np.concatenate([word[:, 0], bit[-1]])
    first, last = circuit.drive_ends[0], circuit.sense_ends[1]
    ground = np.repeat([first, last], [rows, columns])
    i = np.concatenate([a, b, a, b, ends])
    j = np.concatenate([b, a, a, b, ends])
    value = np.concatenate([-siemens, -siemens, siemens, siemens, ground])
    fed = np.zeros(2 * rows * columns)
    fed[word[:, 0]] = first * voltage
    matrix = coo_array((value, (i, j)), shape=(fed.size, fed.size)).tocsc()
    # The fastest ordering that SuperLU has for symmetric matrices.
    found = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(fed)
    return np.asarray(last * found[bit[-1]])


def by_badcrossbar() -> Callable[[Crossbar, Array], Array] | None:
    """badcrossbar's currents, or None where it is not installed."""
    with warnings.catch_warnings(record=True), contextlib.redirect_stdout(sys.stderr):
        try:
            import badcrossbar
        except ImportError:
            return None

    def run(circuit: Crossbar, voltage: Array) -> Array:
        logging.disable(logging.INFO)  # it tells each step
        try:
            solution = badcrossbar.compute(
                voltage[:, None],
                1 / circuit.conductance,
                OHM,
                node_voltages=False,
                all_currents=False,
            )
        finally:
            logging.disable(logging.NOTSET)
        return np.asarray(solution.currents.output[0])

    return run


def agree(name: str, found: Array, wanted: Array) -> float:
    """The largest relative difference of a current."""
    worst = float(np.abs(found / wanted - 1).max())
    if not worst < 1e-9:
        raise SystemExit(f"{name}: currents differ by {worst:.1e}")
    return worst


def relaxed(circuit: Crossbar, voltage: Array, gamma: float) -> tuple[Array | None, int]:
    """Currents by relaxation of the cells' voltages, None where it diverges; and iterations.

    v := v + gamma (V - drops - v): cells pass G v, the lines lose what these currents make of
    their resistance, and that is taken from the drivers' voltages. It ends where the largest
    correction is small beside the largest voltage.
    """
    goal = RELAXED_ERROR * np.abs(voltage).max()
    start = np.repeat(voltage[:, None], circuit.columns, axis=1)
    across = start.copy()
    for step in range(1, RELAXED_LIMIT + 1):
        current = circuit.conductance * across
        along = np.cumsum(np.cumsum(current[:, ::-1], 1)[:, ::-1], 1) * circuit.word
        down = np.cumsum(np.cumsum(current, 0)[::-1], 0)[::-1] * circuit.bit
        wrong = start - along - down - across
        worst = np.abs(wrong).max()
        if worst < goal:
            return np.asarray(current.sum(0)), step
        if not worst < RELAXED_LOST:
            return None, step
        across += gamma * wrong
    return None, RELAXED_LIMIT


def beyond(size: int, ohm: float) -> dict[str, Any]:
    """Our seconds of one vector where relaxation is at its end, and the seconds it takes there.

    The peer is the plain iteration, written here; after 100 iterations without an end it starts
    again with a gamma 2 % smaller, as CrossSim does, for some seconds.
    """
    circuit, voltage = crossbar(size, ohm)
    ours, found = seconds(lambda: Solver(circuit).currents(voltage), 3)
    worst = agree("SuperLU", found, by_factor(circuit, voltage))
    gamma, tries, start = RELAXED_GAMMA, 0, time.process_time()
    answer, steps = relaxed(circuit, voltage, gamma)
    diverged = answer is None
    while answer is None and time.process_time() - start < RELAXED_SECONDS:
        gamma *= 0.98
        tries += 1
        answer, steps = relaxed(circuit, voltage, gamma)
    theirs = time.process_time() - start
    told = f"relaxation diverges at gamma {RELAXED_GAMMA}" if diverged else "relaxation converges"
    if answer is None:
        told += f", and at each of {tries} smaller ones in {theirs:.0f} s (the last {gamma:.2f})"
    else:
        off = float(np.abs(answer / found - 1).max())
        told += f"; at {gamma:.2f}, in {steps} iterations, currents are {off:.0e} off"
    return {
        "name": f"one vector, {size} x {size}, {ohm:g} ohm: seconds, beside relaxation",
        "ours": ours,
        "unit": "s",
        "goal": theirs,
        "meets": ours <= theirs,
        "peer": "relaxation",
        "peer_value": None if answer is None else theirs,
        "ratio": None if answer is None else theirs / ours,
        "how": f"CPU seconds; {told}; ours are within {worst:.0e} of SuperLU's",
    }


def beside(
    name: str,
    peer: str,
    run: Callable[[Crossbar, Array], Array] | None,
    goal: float,
    circuit: Crossbar,
    voltage: Array,
    times: int,
) -> dict[str, Any]:
    """Our seconds of one vector and the peer's, by turns."""
    ours, found = seconds(lambda: Solver(circuit).currents(voltage), 5)
    row: dict[str, Any] = {"name": f"{name}: seconds, beside {peer}", "ours": ours, "unit": "s"}
    if run is None:
        nothing = dict.fromkeys(("goal", "meets", "peer", "peer_value", "ratio"))
        return row | nothing | {"how": f"CPU seconds; install {peer} for the peer"}
    theirs, wanted = seconds(lambda: run(circuit, voltage), times)
    worst = agree(peer, found, wanted)
    return row | {
        "goal": theirs / goal,
        "meets": ours <= theirs / goal,
        "peer": peer,
        "peer_value": theirs,
        "ratio": theirs / ours,
        "how": f"CPU seconds; the goal is {goal:.0f} times faster; currents differ by {worst:.0e}",
    }


def alone(name: str, ours: float, goal: float | None, how: str) -> dict[str, Any]:
    return {
        "name": name,
        "ours": ours,
        "unit": "s",
        "goal": goal,
        "meets": None if goal is None else ours <= goal,
        "peer": None,
        "peer_value": None,
        "ratio": None,
        "how": f"CPU seconds; {how}",
    }


def measure(quick: bool) -> dict[str, Any]:
    size, large, times = (32, 64, 1) if quick else (SIZE, LARGE, 3)
    circuit, voltage = crossbar(size)
    Solver(circuit).currents(voltage)  # compiles the kernels
    transfer(crossbar(4)[0])
    one = f"one vector, {size} x {size}"
    with threadpool_limits(1):
        results = [
            beside(one, "badcrossbar", by_badcrossbar(), BADCROSSBAR_GOAL, circuit, voltage, times),
            beside(one, "SuperLU", by_factor, FACTOR_GOAL, circuit, voltage, times),
        ]
        built, matrix = seconds(lambda: transfer(circuit), 1)
        many = np.random.default_rng(SEED + 1).uniform(0, 0.2, (VECTORS, size))
        product, currents = seconds(lambda: many @ matrix, 5)
        worst = agree("the transfer matrix", currents[:10], Solver(circuit).currents(many[:10]))
        through = f"{VECTORS:,} vectors through T, {size} x {size}: seconds"
        how = f"10 of them beside one by one differ by {worst:.0e}"
        results.append(alone(through, product, PRODUCT_GOAL, how))
        results.append(alone(f"T, {size} x {size}: seconds", built, None, "once per programming"))
        bent = NonlinearSolver(circuit, Curve(0.0, CUBE))
        whole, found = seconds(lambda: bent.currents(voltage), 3)
        looser = agree("tolerance", bent.currents(voltage, tolerance=1e-14), found)
        how = f"I = G (V + {CUBE:g} V^3); a tolerance of 1e-14 changes them by {looser:.0e}"
        results.append(alone(f"{one}, cells that bend: seconds", whole, None, how))
        # From where relaxation converges to where it has long ceased to.
        scale = (SIZE / size) ** 2
        for rows, ohm in ((size // 2, OHM), (size, OHM), (size, 10 * OHM)):
            results.append(beyond(rows, ohm * scale))
        circuit, voltage = crossbar(large)
        whole, found = seconds(lambda: Solver(circuit).currents(voltage), 2)
        looser = agree("tolerance", Solver(circuit).currents(voltage, tolerance=1e-14), found)
        how = f"a tolerance of 1e-14 changes them by {looser:.0e}"
        results.append(
            alone(f"one vector, {large} x {large}: seconds", whole, LARGE_GOAL, how),
        )
    return measured(results, ("numpy", "numba", "scipy", "badcrossbar"), SEED)


def line(row: dict[str, Any]) -> str:
    """A result for a person."""
    peer = f", {row['peer_value']:.3g}: {row['ratio']:.0f} times" if row["peer"] else ""
    goal = "" if row["meets"] is None else f" [goal {'met' if row['meets'] else 'missed'}]"
    return f"{row['name']}: {row['ours']:.3g}{peer}{goal} ({row['how']})"


if __name__ == "__main__":
    main(measure, __doc__, "32 and 64 rows", line)
