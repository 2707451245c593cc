"""Emission for a board, and the run of what was emitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ...boards.board import Board, HostLink, Target, load_board
from ...compiler.artifact import Artifact
from ...compiler.backend import Emission, Outcome, Progress, Run
from ...compiler.ladder import quantised
from ...hdl.protocol import SCK_CYCLES, LinkOptions
from ...hdl.shape import CoreShape
from ...hdl.verilog import VerilogDevice, device_verilog
from ...ir.diagnostics import fail
from ...ir.graph import Graph
from .bitstream import MOST_PLACEMENTS, PLACEMENTS, build_bitstream, check_link, choose_clock
from .choose import INPUT_MAX
from .choose_cores import choose_cores
from .cluster import Lowered, LoweredCluster, lower_cluster
from .errors import coded
from .forecast import ACTIVITY, Option, forecast
from .goal import Goal
from .logic import LINK_LOGIC
from .lower import Build, lower
from .partition import Assignment
from .resources import memory_blocks
from .rtl import PHASES, run_rtl
from .simulate import build_simulator
from .vivado import NOT_BUILT, vivado_project

if TYPE_CHECKING:
    from ...compiler.mapping.axons import Axons
    from ...compiler.mapping.map import Mapped

VERILOG = "device.v"


def emit(graph: Graph, board: Board, options: Mapping[str, Any], progress: Progress) -> Emission:
    """The device's Verilog and the board's bitstream, with utilisation and Fmax.

    For a board whose bitstream Vivado makes: the sources and the script for it.
    """
    target = board.target
    if target.core is None:
        raise fail("E0305", f"'{target.name}' states no core", hint="add [core] to the board file")
    host_link: HostLink = options.get("link") or "serial"
    with coded():
        check_link(board, host_link)
        placements = _placements(board, options)
        clock_hz, _ = choose_clock(board, options.get("clock_hz"))
        core, build, expected = choose_cores(
            graph,
            target,
            options.get("cores", 1),
            options.get("lanes"),
            options.get("units"),
            options.get("emit"),
            options.get("core"),
            options.get("input_max") or INPUT_MAX,
            bool(options.get("parity")),
            goal_of(options, clock_hz),
        )
        progress("verilog", 0.0)
        link = link_options(board, clock_hz)
        verilog = device_verilog(core.shape, core.image, link=link)
        cores = len(core.parts) if isinstance(core, LoweredCluster) else 1
        title = str(Option.of(expected, build, cores))
        facts: dict[str, Any] = {
            "core": {"kind": expected.kind, "title": title, "why": expected.why},
            "build": asdict(build),
            "lanes": build.lanes,
            "clock_hz": clock_hz,
            "memory_blocks": expected.blocks,
            "forecast": {
                "cycles": expected.cycles,
                "activity": expected.activity,
                "logic": expected.logic,
                "link": LINK_LOGIC,
                "padding": expected.padding,
            },
            "image_digest": core.image.digest.hex(),
            "neurons": core.shape.neurons,
        }
        if host_link == "spi":
            facts |= {"link": host_link, "sck_hz": clock_hz / SCK_CYCLES}
        if expected.choice is not None:
            front = [asdict(one) | {"title": str(one)} for one in expected.choice.front]
            facts["choice"] = asdict(expected.choice) | {"front": front}
        mapping: tuple[Axons, Mapped] | None = None
        if isinstance(core, LoweredCluster):
            facts["cores"] = [
                _part(core, k, target, expected.activity) for k in range(len(core.parts))
            ]
            facts["assignment"] = _runs(core.assignment)
            if core.assignment.rank:
                facts["order"] = _order(core)
            # The mapper's kernels, which one core does without.
            from .ring import ring_mapping

            mapping = ring_mapping(core, target)
        else:
            facts |= _shape_facts(core.shape)
        files = {VERILOG: verilog.encode()}
        report: dict[str, Any] = {}
        if board.flow == "vivado":
            estimate = bool(options.get("bitstream", True))
            written = _vivado(core, board, clock_hz, link, estimate, progress, host_link)
            files |= written.files
            facts |= written.facts
        elif options.get("bitstream", True):
            built = build_bitstream(
                board,
                VerilogDevice(core.shape, core.image, link=link),
                clock_hz=clock_hz,
                placements=placements,
                progress=lambda stage: _show(stage, progress),
                link=host_link,
            )
            files[built.filename] = built.data
            facts |= {
                "bitstream": built.filename,
                "fmax_mhz": built.fmax_mhz,
                "clock_mhz": built.clock_mhz,
                "placement_seed": built.seed,
                "tools": dict(built.tool_versions),
                "utilisation": {
                    cell: {"used": used, "available": available}
                    for cell, (used, available) in built.utilisation.items()
                },
            }
            report["slowest_path"] = [t.slowest_path for t in built.timings]
        progress("bitstream", 1.0)
    return Emission(files, facts, report, mapping)


def goal_of(options: Mapping[str, Any], clock_hz: float) -> Goal:
    """What the core is chosen for: cycles, or the time of a step in seconds at a clock."""
    cycles, seconds = options.get("cycles"), options.get("step_time")
    activity = options.get("activity") or ACTIVITY
    if seconds is None:
        return Goal(cycles, activity)
    if cycles is not None:
        raise fail("E0707", "--cycles and --step-time say the same: one of them is enough")
    return Goal.of_time(seconds, clock_hz, activity)


def _placements(board: Board, options: Mapping[str, Any]) -> int:
    """How often the bitstream's design is placed at most; E0707 if it is said of no bitstream."""
    asked = options.get("placements")
    if asked is None:
        return PLACEMENTS
    if board.flow == "vivado":
        raise fail("E0707", f"--placements: Vivado places '{board.name}', not spikec")
    if not options.get("bitstream", True):
        raise fail("E0707", "--placements: nothing is placed with --no-bitstream")
    if not 1 <= asked <= MOST_PLACEMENTS:
        raise fail("E0707", f"--placements is {asked}; it must be 1 to {MOST_PLACEMENTS}")
    return int(asked)


_STAGES = {"elaboration": 0.0, "synthesis": 0.1, "place and route": 0.5, "packing": 0.9}


def _show(stage: str, progress: Progress) -> None:
    """A stage of the bitstream; a placement after the first stands below, by its own name."""
    if stage in _STAGES:
        progress("bitstream", _STAGES[stage])
    else:
        progress(stage, 0.0)


def _shape_facts(shape: CoreShape) -> dict[str, Any]:
    return {
        "words": shape.words,
        "segments": shape.segments,
        "addressing": shape.addressing,
        "storage": shape.storage,
        "acc_bits": shape.acc_bits,
    }


def _part(core: LoweredCluster, number: int, target: Target, activity: float) -> dict[str, Any]:
    """What one of several cores holds, and the cycles of a step that are expected of it."""
    part = core.parts[number]
    expected = forecast(part, target, activity)
    block = target.block_memory
    taken = {} if block is None else memory_blocks(part.shape, block)
    return {
        "neurons": {p.name: p.size for p in part.graph.populations},
        "cycles": expected.cycles,
        "logic": expected.logic,
        "memory_blocks": sum(count for name, count in taken.items() if name != "link"),
        "digest": part.image.digest.hex(),
    } | _shape_facts(part.shape)


def _runs(assignment: Assignment) -> dict[str, list[list[int]]]:
    """By population, [first neuron, core] of each run of neurons that share one.

    Without those that `_order` has.
    """
    found = {}
    for name, core in assignment.core.items():
        if name in assignment.rank:
            continue
        first = np.flatnonzero(np.diff(core, prepend=-1))
        found[name] = [[int(at), int(core[at])] for at in first]
    return found


def _order(core: LoweredCluster) -> dict[str, list[list[int]]]:
    """By population, the neurons of each core in the order in which they lie there."""
    found = core.assignment
    return {
        name: [found.members(core.graph, name, k).tolist() for k in range(found.cores)]
        for name in found.rank
    }


def assignment_of(graph: Graph, facts: Mapping[str, Any]) -> Assignment:
    """An assignment from what `_runs` and `_order` made of it."""
    core, rank = {}, {}
    for name, runs in facts["assignment"].items():
        first = [at for at, _ in runs]
        size = graph.population(name).size
        core[name] = np.repeat([k for _, k in runs], np.diff([*first, size])).astype(np.int64)
    for name, parts in facts.get("order", {}).items():
        members = np.concatenate(parts).astype(np.int64)
        core[name], rank[name] = np.zeros_like(members), np.zeros_like(members)
        core[name][members] = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        rank[name][members] = np.arange(members.size)
    return Assignment(len(facts["cores"]), core, rank=rank)


def _vivado(
    core: Lowered,
    board: Board,
    clock_hz: float,
    link: LinkOptions,
    estimate: bool,
    progress: Progress,
    host_link: HostLink,
) -> Emission:
    """The files for Vivado, which is not run, and without it no Fmax: only an estimate of cells."""
    project = vivado_project(
        board,
        VerilogDevice(core.shape, core.image, link=link),
        clock_hz=clock_hz,
        estimate=estimate,
        progress=lambda stage: progress("vivado", {"synthesis": 0.3}.get(stage, 0.0)),
        link=host_link,
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


def compiled_core(artifact: Artifact) -> Lowered:
    """The core of an artefact; E0705 if this version would make another one of its network."""
    facts = artifact.manifest["emission"]
    graph, build = quantised(artifact), Build(**facts["build"])
    core: Lowered
    if "assignment" in facts:
        core = lower_cluster(graph, build, assignment_of(graph, facts))
    else:
        core = lower(graph, build)
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
            learning=run.learning,
            pace=run.pace,
            progress=lambda share: run.progress("rtl", share),
        )
    cycles = {phase: result.cycles[:, :, k] for k, phase in enumerate(PHASES)}
    # Both directions at once; a byte on a serial line has a start and a stop bit.
    bits, rate = 8, facts.get("sck_hz")
    if rate is None:
        defaults = load_board(str(run.artifact.manifest["target"])).target.core
        bits, rate = 10, defaults.baud if defaults else None
    return Outcome(
        result.recording,
        cycles,
        float(facts["clock_hz"]),
        pace=result.pace,
        link_seconds=bits * max(result.link_bytes) / rate if rate else None,
    )
