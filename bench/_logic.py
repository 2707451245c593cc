"""The data behind the forecast of logic: what nextpnr counts for cores of many shapes.

    python bench/_logic.py              weights for `backends/fpga/logic.py`, errors of each core
    python bench/_logic.py --measure    synthesise what the table lacks, and add it (a minute each)

The table is ``bench/logic.json``. Cores are synthesised alone, as in `fpga.py`, and counted by
nextpnr once packed. A core is also forecast from the others alone ("left out").
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import nnls

sys.path.insert(0, str(Path(__file__).parent))

from fpga import count_cells, neuron

from spikec.backends.fpga.logic import logic, logic_parts, parallel_logic, parallel_parts
from spikec.backends.fpga.lower import Build, LoweredCore, lower
from spikec.backends.process import StageFailed
from spikec.hdl.core import Core
from spikec.hdl.image import CoreImage
from spikec.hdl.parallel import ParallelCore
from spikec.hdl.shape import CoreShape, NeuronClass, ParallelShape
from spikec.ir.connections import Dense
from spikec.ir.graph import Graph, Input, Output, Population, Projection

TABLE = Path(__file__).with_name("logic.json")
# What the parts of a core should cost, from what they are, and how strongly a fit keeps to it.
BEFORE = {
    "events": {
        "control": 450.0,
        "sums": 1.0,
        "held": 0.6,
        "lanes": 1.0,
        "stored": 1.0,
        "recovery": 2.0,
        "neurons": 1.2,
        "scan": 6.0,
        "ports": 0.8,
        "deep": 0.4,
    },
    "parallel": {"control": 300.0, "tables": 1.0, "adders": 1.0, "neurons": 0.95, "wait": 4.0},
}
FAITH = 3.0
SHAPES = 16
NETWORKS = 8
# Besides those of random shape: what else is fitted together with them.
KINDS = ("events", "lane", "recovery", "adaptive", "linear", "wide", "deep")
FEATURED = {"ecp5": 5, "ice40": 4}


def random_shape(number: int) -> CoreShape:
    """A core as `lower` would make it, of small to middle size, the same for the same number."""
    rng = np.random.default_rng(number)

    def pick(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    units = pick(1, 1, 2, 4)
    lanes = units * pick(1, 2, 4, 8)
    groups = pick(2, 3, 8, 20)
    storage = pick("distributed", "block", "pipelined", "pipelined")
    addressing = pick("row", "row", "row", "word", "lane")
    state_bits = pick(10, 12, 16, 20)
    weight_bits = pick(4, 6, 8)
    cuba = pick(False, False, True)
    delays = pick(1, 1, 1, 4)
    one = 4096
    fixed: dict[str, int] = {
        "decay_v": pick(one, one - (one >> 3), one - (one >> 4), 3500),
        "shift": pick(0, 2),
        "threshold": 1 << (state_bits - 3),
        "v_reset": 1 << (state_bits - 3),
        "v_min": pick(-(1 << (state_bits - 1)), -(1 << (state_bits - 1)), 0),
        "reset": pick(1, 2, 2, 3),
        "refractory": pick(0, 0, 2),
        "emit": 1,
        "start": 0,
    }
    if cuba:
        fixed |= {"decay_u": one - (one >> 2), "order_old": 0}
    refractory_bits = fixed["refractory"].bit_length()
    # What differs from layer to layer is in a table.
    classes = pick(1, 1, 2)
    if classes > 1:
        for name in ("threshold", "v_reset", "start", "emit"):
            del fixed[name]
        if pick(0, 0, 1):
            del fixed["decay_v"]
    segments = pick(0, 0, 60) if addressing == "row" else 0
    return CoreShape(
        lanes=lanes,
        units=units,
        weight_bits=weight_bits,
        acc_bits=weight_bits + pick(5, 8),
        state_bits=state_bits,
        neurons=lanes * groups,
        inputs=pick(16, 100),
        words=pick(200, 400),
        segments=segments,
        addressing=addressing,
        recurrent=pick(False, True),
        classes=classes,
        fixed=NeuronClass(**fixed),
        bias=pick(False, True),
        delays=delays,
        pages=2 * delays,
        distance=pick(1, 1, 4) if addressing == "row" else 1,
        storage=storage,
        readback=lanes <= 16,
        cuba=cuba,
        refractory_bits=refractory_bits,
        shift_bits=fixed["shift"].bit_length(),
        rounding=pick("floor", "nearest_even"),
    )


# Lanes, units, groups and storage of cores whose lanes have an address each.
LANE = (
    (16, 2, 16, "distributed"),
    (8, 1, 8, "distributed"),
    (32, 4, 4, "distributed"),
    (16, 4, 8, "pipelined"),
    (8, 2, 32, "distributed"),
    (24, 1, 16, "distributed"),
)


# Lanes, units, groups and storage of wide ones.
WIDE = ((112, 4, 1, "registers"), (64, 2, 3, "pipelined"), (144, 2, 1, "registers"))


# Lanes, units, groups, inputs and words of cores with large memories; the first of them as a
# convolutional network for N-MNIST has it.
DEEP = (
    (16, 4, 561, 2312, 3048),
    (8, 2, 100, 800, 2000),
    (4, 1, 200, 200, 4000),
    (32, 4, 70, 1000, 3000),
    (12, 2, 300, 300, 1200),
)


def sized(shape: CoreShape, lanes: int, units: int, groups: int) -> CoreShape:
    """The shape with another size: without runs or delays, its lanes side by side."""
    return replace(
        shape,
        lanes=lanes,
        units=units,
        neurons=lanes * groups,
        addressing="row",
        segments=0,
        delays=1,
        pages=2,
        distance=1,
        readback=lanes <= 16,
    )


def featured(kind: str, number: int) -> CoreShape:
    """A core of `random_shape` with what few networks ask for; the same for the same number."""
    rng = np.random.default_rng([number, *kind.encode()])

    def pick(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    shape = random_shape(200 + int(rng.integers(1000)))
    fixed = shape.fixed
    if kind == "lane":
        *size, storage = LANE[number]
        return replace(sized(shape, *size), addressing="lane", storage=storage)
    if kind == "wide":
        *size, storage = WIDE[number]
        return replace(
            sized(shape, *size),
            pages=1 if storage == "registers" else 2,
            distance=4 if storage == "pipelined" else 1,
            storage=storage,
        )
    if kind == "deep":
        *size, inputs, words = DEEP[number]
        return replace(
            sized(shape, *size),
            inputs=inputs,
            words=words,
            segments=pick(0, 1336),
            recurrent=True,
            storage="pipelined",
            weight_bank_bits=9,
        )
    if kind == "recovery":
        fixed = replace(fixed, decay_u=None, order_old=None, decay_v=pick(None, 3686))
        quadratic = pick(1, 2, 2, 3)
        return replace(
            shape,
            units=pick(1, 2),
            lanes=pick(4, 8, 16),
            neurons=64,
            state_bits=16,
            cuba=False,
            quadratic=quadratic,
            fixed=replace(
                fixed,
                threshold=None if fixed.threshold is None else 12159,
                v_reset=None if fixed.v_reset is None else 0,
                v_min=-(1 << 15),
                reset=1,
                jump=512,
                again=quadratic - 1,
            ),
        )
    if kind == "adaptive":
        timers = pick((1,), (1, 16), ())
        adapt: dict[str, int] = {"adapt_inc": 40}
        if timers:
            adapt |= {"adapt_shift": 5, "adapt_phase": 0}
        if len(timers) > 1:
            adapt["adapt_timer"] = 0
        return replace(shape, timers=timers, fixed=replace(fixed, **adapt))
    leak = pick({}, {"leak": 3, "v_leak": 0})
    return replace(shape, linear=True, fixed=replace(fixed, **leak))


def on(family: str, shape: CoreShape) -> CoreShape:
    """The shape as that family gets it: blocks of its width, and no memory made of logic."""
    if family == "ecp5":
        return shape
    return replace(
        shape,
        bank_bits=16,
        weight_bank_bits=16,
        storage="block",
        distance=min(shape.distance, 1),
    )


def random_network(number: int) -> LoweredCore:
    """A small network as a circuit: layers, or one population onto itself."""
    rng = np.random.default_rng(100 + number)

    def pick(*values: Any) -> Any:
        return values[int(rng.integers(len(values)))]

    weight_bits, state_bits = pick(4, 6, 8), pick(8, 12, 16)
    inputs = pick(4, 8, 16, 24)
    one = neuron(weight_bits, state_bits, 1 << (state_bits - 3), pick(None, 3, 4, 4))
    one = replace(
        one,
        reset=pick("zero", "subtract", "subtract"),
        bias=np.array(pick(0, 0, 3)),
        refractory=pick(0, 0, 2),
        v_min=np.array(pick(one.numerics.state.low, one.numerics.state.low, 0)),
    )
    one = replace(one, v_reset=np.array(0)) if one.reset == "zero" else one

    def dense(post: int, pre: int, share: float) -> Dense:
        top = 1 << (weight_bits - 1)
        weight = rng.integers(-top, top, (post, pre))
        return Dense(np.where(rng.random((post, pre)) < share, weight, 0))

    size, rest = pick(8, 16, 24, 40), pick(4, 8)
    first = Population("a", (size,), one)
    projections = [Projection("in-a", "in", "a", dense(size, inputs, 1.0), 0)]
    populations = [first]
    if number % 2:
        again = dense(size, size, pick(0.2, 0.5))
        projections.append(Projection("a-a", "a", "a", again, pick(1, 1, 4)))
    else:
        populations.append(Population("b", (rest,), one, lag=1))
        projections.append(Projection("a-b", "a", "b", dense(rest, size, 1.0), 1))
    graph = Graph(
        "tiny",
        1e-3,
        (Input("in", (inputs,)),),
        tuple(populations),
        tuple(projections),
        (Output("out", populations[-1].name),),
    )
    return lower(graph, Build(1, parallel=True, input_max=pick(1, 1, 3)))


def made(family: str, kind: str) -> int:
    """How many event-driven cores of a kind a family has; an iCE40 has no room for large ones."""
    if kind in ("wide", "deep"):
        return len({"wide": WIDE, "deep": DEEP}[kind]) if family == "ecp5" else 0
    return SHAPES if kind == "events" else FEATURED[family]


def cores() -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Kind and number, family, and what makes each core."""
    for number in range(max(SHAPES, NETWORKS)):
        for family in ("ecp5", "ice40"):
            if number < NETWORKS:
                yield f"parallel {number}", family, partial(circuit, number)
            for kind in KINDS:
                if number < made(family, kind):
                    yield f"{kind} {number}", family, partial(memories, family, kind, number)


def circuit(number: int) -> ParallelCore:
    core = random_network(number)
    assert isinstance(core.shape, ParallelShape)
    return ParallelCore(core.shape, core.image)


def shape_of(family: str, kind: str, number: int) -> CoreShape:
    """The shape of an event-driven core of the table."""
    return on(family, random_shape(number) if kind == "events" else featured(kind, number))


def memories(family: str, kind: str, number: int) -> Core:
    shape = shape_of(family, kind, number)
    return Core(shape, CoreImage.empty(shape))


def measure() -> None:
    """Add to the table what it lacks; the program fails if some of it cannot be measured."""
    failed = []
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    for name, family, make in cores():
        key = f"{family} {name}"
        if key in table:
            continue
        core = make()
        try:
            table[key] = count_cells(core, family)
        except StageFailed as error:
            print(key, error, file=sys.stderr, flush=True)
            failed.append(key)
            continue
        print(key, table[key], flush=True)
        text = ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in table.items())
        TABLE.write_text("{\n" + text + "\n}\n")
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


def parts_of(key: str) -> dict[str, float]:
    """What the core of a key of the table consists of, as the forecast sees it."""
    family, kind, number = key.split()
    if kind == "parallel":
        return parallel_parts(random_network(int(number)))
    return logic_parts(shape_of(family, kind, int(number)))


def forecast_of(key: str) -> int:
    """What `logic` says of that core."""
    family, kind, number = key.split()
    packed = family == "ice40"
    if kind == "parallel":
        return parallel_logic(random_network(int(number)), packed=packed)
    return logic(shape_of(family, kind, int(number)), packed=packed)


def fitted(rows: Any, found: Any, before: Any) -> Any:
    """Weights >= 0 with the least squared relative error, held near those of ``before``."""
    relative = rows / found[:, None]
    share = relative.mean(0)
    # What none of them has stays what it was.
    pull = np.diag(FAITH * np.where(share > 0, share, 1.0))
    return nnls(np.vstack([relative, pull]), np.r_[np.ones(len(found)), pull @ before])[0]


class Fit(NamedTuple):
    """Weights of a family's cores, and the errors of each core with it in the fit and without."""

    weights: dict[str, float]
    keys: list[str]
    inside: Any
    outside: Any


def fit(family: str, kind: str, table: dict[str, int]) -> Fit:
    """The weights that ``table`` asks for, of circuits or of event-driven cores of all kinds."""
    before = dict(BEFORE[kind])
    if kind == "events":
        # On an iCE40 a flip-flop alone takes a cell, and no memory is made of logic.
        before["stages"] = 0.8 if family == "ice40" else 0.0
        before["recovery"] = 10.0 if family == "ice40" else 2.0
    kinds = KINDS if kind == "events" else (kind,)
    keys = [key for key in table if key.split()[0] == family and key.split()[1] in kinds]
    parts = [parts_of(key) for key in keys]
    rows = np.array([[part[name] for name in before] for part in parts])
    found = np.array([table[key] for key in keys], float)
    start = np.array(list(before.values()))
    weights = fitted(rows, found, start)
    rest = [np.arange(len(keys)) != k for k in range(len(keys))]
    outside = np.array(
        [row @ fitted(rows[m], found[m], start) for row, m in zip(rows, rest, strict=True)]
    )
    return Fit(
        dict(zip(before, weights.tolist(), strict=True)),
        keys,
        rows @ weights / found - 1,
        outside / found - 1,
    )


def tell(family: str, kind: str, table: dict[str, int]) -> None:
    """Print the weights, and the errors of each core with them and without it in the fit."""
    found = fit(family, kind, table)
    print(f"{family} {kind}, {len(found.keys)} cores")
    print("  weights", {name: round(weight, 2) for name, weight in found.weights.items()})
    for key, error, left_out in zip(found.keys, found.inside, found.outside, strict=True):
        print(
            f"  {key:18} {table[key]:6} cells, forecast {forecast_of(key):6}; "
            f"fit {error:+.0%}, left out {left_out:+.0%}"
        )
    for name, errors in (("fit", found.inside), ("left out", found.outside)):
        print(f"  {name}: rms {np.sqrt((errors**2).mean()):.0%}, at most {abs(errors).max():.0%}")


def main() -> None:
    """Measure, or fit and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    if parser.parse_args().measure:
        measure()
        return
    table = json.loads(TABLE.read_text())
    for kind in ("events", "parallel"):
        for family in ("ecp5", "ice40"):
            tell(family, kind, table)


if __name__ == "__main__":
    main()
