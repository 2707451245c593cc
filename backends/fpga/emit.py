"""Emission for a board, and the run of what was emitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ...boards.board import Board
from ...compiler.artifact import Artifact
from ...compiler.backend import Emission, Outcome, Progress, Run
from ...compiler.ladder import quantised
from ...hdl.protocol import LinkOptions
from ...hdl.verilog import VerilogDevice, device_verilog
from ...ir.diagnostics import fail
from ...ir.graph import Graph
from .bitstream import build_bitstream, choose_clock
from .choose import choose
from .errors import coded
from .lower import Build, LoweredCore, lower
from .rtl import PHASES, run_rtl
from .simulate import build_simulator
from .vivado import NOT_BUILT, vivado_project

VERILOG = "device.v"


def emit(graph: Graph, board: Board, options: Mapping[str, Any], progress: Progress) -> Emission:
    """The device's Verilog and the board's bitstream, with utilisation and Fmax.

    For a board whose bitstream Vivado makes: the sources and the script for it.
    """
    target = board.target
    if target.core is None:
        raise fail("E0305", f"'{target.name}' states no core", hint="add [core] to the board file")
    with coded():
        core, build, expected = choose(
            graph, target, options.get("lanes"), options.get("units"), options.get("emit")
        )
        progress("verilog", 0.0)
        clock_hz, _ = choose_clock(board, options.get("clock_hz"))
        link = link_options(board, clock_hz)
        verilog = device_verilog(core.shape, core.image, link=link)
        facts: dict[str, Any] = {
            "build": asdict(build),
            "lanes": build.lanes,
            "clock_hz": clock_hz,
            "memory_blocks": expected.blocks,
            "forecast": {
                "cycles": expected.cycles,
                "activity": expected.activity,
                "logic": expected.logic,
                "padding": expected.padding,
            },
            "image_digest": core.image.digest.hex(),
            "neurons": core.shape.neurons,
            "words": core.shape.words,
            "segments": core.shape.segments,
            "addressing": core.shape.addressing,
            "storage": core.shape.storage,
            "acc_bits": core.shape.acc_bits,
        }
        files = {VERILOG: verilog.encode()}
        report: dict[str, Any] = {}
        if board.flow == "vivado":
            estimate = bool(options.get("bitstream", True))
            written = _vivado(core, board, clock_hz, link, estimate, progress)
            files |= written.files
            facts |= written.facts
        elif options.get("bitstream", True):
            stages = {"synthesis": 0.1, "place and route": 0.5, "packing": 0.9}
            built = build_bitstream(
                board,
                VerilogDevice(core.shape, core.image, link=link),
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


def _vivado(
    core: LoweredCore,
    board: Board,
    clock_hz: float,
    link: LinkOptions,
    estimate: bool,
    progress: Progress,
) -> Emission:
    """The files for Vivado, which is not run, and without it no Fmax: only an estimate of cells."""
    project = vivado_project(
        board,
        VerilogDevice(core.shape, core.image, link=link),
        clock_hz=clock_hz,
        estimate=estimate,
        progress=lambda stage: progress("vivado", {"synthesis": 0.3}.get(stage, 0.0)),
    )
    facts: dict[str, Any] = {
        "not_built": NOT_BUILT,
        "clock_mhz": clock_hz / 1e6,
        "tools": dict(project.tool_versions),
    }
    if project.estimate is not None:
        facts["estimate_source"] = project.estimate.source
        facts["estimate"] = {
            cell: {"used": used, "available": available}
            for cell, (used, available) in project.estimate.utilisation.items()
        }
    return Emission(project.files, facts, {})


def link_options(board: Board, clock_hz: float) -> LinkOptions:
    """The link's buffers are as large as one block of the board's memory holds."""
    size = 2048 if board.target.family == "ecp5" else 512
    return LinkOptions(round(clock_hz), receive_bytes=size, replay_bytes=size)


def compiled_core(artifact: Artifact) -> LoweredCore:
    """The core of an artefact; E0705 if this version would make another one of its network."""
    facts = artifact.manifest["emission"]
    core = lower(quantised(artifact), Build(**facts["build"]))
    if core.image.digest.hex() != facts["image_digest"]:
        raise fail(
            "E0705",
            "the core image of this spikec differs from the compiled one",
            hint="compile again with this version",
        )
    return core


def run_artifact(run: Run) -> Outcome:
    """Simulate ``device.v`` of an artefact on a stimulus."""
    facts = run.artifact.manifest["emission"]
    if VERILOG not in run.artifact.files:
        raise fail("E0705", f"{VERILOG} is not in the artefact", hint="compile again")
    with coded():
        core = compiled_core(run.artifact)
        run.progress("rtl build", 0.0)
        build = build_simulator(run.artifact.files[VERILOG].decode())
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
