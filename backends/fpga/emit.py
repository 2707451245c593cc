"""Emission for a board, and the run of what was emitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...boards.board import Board
from ...compiler.backend import Emission, Outcome, Progress, Run
from ...compiler.ladder import quantised
from ...hdl.verilog import VerilogDevice, device_verilog
from ...ir.diagnostics import fail
from ...ir.graph import Graph
from .bitstream import build_bitstream, choose_clock
from .errors import coded
from .lower import check_memory, lower
from .rtl import PHASES, run_rtl
from .simulate import build_simulator

_VERILOG = "device.v"


def emit(graph: Graph, board: Board, options: Mapping[str, Any], progress: Progress) -> Emission:
    """The device's Verilog and the board's bitstream, with utilisation and Fmax."""
    target = board.target
    if target.core is None:
        raise fail("E0305", f"'{target.name}' states no core", hint="add [core] to the board file")
    with coded():
        lanes = int(options.get("lanes") or target.core.lanes)
        core = lower(graph, lanes, options.get("emit"))
        blocks = check_memory(core.shape, target)
        progress("verilog", 0.0)
        verilog = device_verilog(core.shape, core.image)
        clock_hz, _ = choose_clock(board, options.get("clock_hz"))
        facts: dict[str, Any] = {
            "lanes": lanes,
            "clock_hz": clock_hz,
            "memory_blocks": blocks,
            "image_digest": core.image.digest.hex(),
            "neurons": core.shape.neurons,
            "words": core.shape.words,
            "acc_bits": core.shape.acc_bits,
        }
        files = {_VERILOG: verilog.encode()}
        report: dict[str, Any] = {}
        if options.get("bitstream", True):
            stages = {"synthesis": 0.1, "place and route": 0.5, "packing": 0.9}
            built = build_bitstream(
                board,
                VerilogDevice(core.shape, core.image),
                clock_hz=clock_hz,
                progress=lambda stage: progress("bitstream", stages.get(stage, 0.0)),
            )
            files[built.filename] = built.data
            facts |= {
                "bitstream": built.filename,
                "fmax_mhz": built.fmax_mhz,
                "clock_mhz": built.clock_mhz,
                "tools": dict(built.tool_versions),
                "utilisation": {
                    cell: {"used": used, "available": available}
                    for cell, (used, available) in built.utilisation.items()
                },
            }
            report["slowest_path"] = [t.slowest_path for t in built.timings]
        progress("bitstream", 1.0)
    return Emission(files, facts, report)


def run_artifact(run: Run) -> Outcome:
    """Simulate ``device.v`` of an artefact on a stimulus."""
    facts = run.artifact.manifest["emission"]
    if _VERILOG not in run.artifact.files:
        raise fail("E0705", f"{_VERILOG} is not in the artefact", hint="compile again")
    with coded():
        core = lower(quantised(run.artifact), int(facts["lanes"]))
        if core.image.digest.hex() != facts["image_digest"]:
            raise fail(
                "E0705",
                "the core image of this spikec differs from the compiled one",
                hint="compile again with this version",
            )
        run.progress("rtl build", 0.0)
        build = build_simulator(run.artifact.files[_VERILOG].decode())
        result = run_rtl(
            core,
            build,
            run.stimulus,
            populations=run.populations,
            record=run.record,
            progress=lambda share: run.progress("rtl", share),
        )
    cycles = {phase: result.cycles[:, :, k] for k, phase in enumerate(PHASES)}
    return Outcome(result.recording, cycles, float(facts["clock_hz"]))
