"""Boards whose bitstream Vivado makes: the sources, the constraints and the script for it.

Vivado is not run. What is written is read by Yosys here, whose synthesis for the same family also
estimates the cells; the clock that can be reached is known only after Vivado has placed the design,
and its script refuses to write a bitstream that misses it.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...boards.board import Board, HostLink
from ...hdl.protocol import SCK_CYCLES
from ..process import StageFailed, run_stage, termination_unwinds
from .bitstream import DoesNotFit, choose_clock, prepare_plan
from .cache import Cache, content_key, default_cache_root
from .toolchain import Toolchain, find_toolchain, require_packages

__all__ = [
    "COMMAND",
    "NOT_BUILT",
    "Estimate",
    "VivadoProject",
    "count_cells",
    "estimate_cells",
    "vivado_project",
]

COMMAND: Final = "vivado -mode batch -source build.tcl"
NOT_BUILT: Final = f"not built: Vivado is not part of the open flow; run `{COMMAND}`"

_SYNTHESIS: Final = "synthesis (estimate)"
_WRITE_VERILOG: Final = """\
read_rtlil top.il
proc -nomux -norom
memory_collect
clean_zerowidth
attrmap -remove src -remove generator -remove top
attrmap -modattr -remove src -remove generator -remove top
write_verilog -norename top.v
"""
# How many of the board's cells (under Vivado's names) each cell of Yosys takes.
_TAKES: Final[Mapping[str, tuple[str, int]]] = {
    **{f"LUT{n}": ("Slice LUTs", 1) for n in range(1, 7)},
    **{name: ("Slice LUTs", 1) for name in ("SRL16E", "SRLC16E", "SRLC32E")},
    **{name: ("Slice LUTs", 2) for name in ("RAM32X1D", "RAM64X1D", "RAM128X1S")},
    **{name: ("Slice LUTs", 4) for name in ("RAM32M", "RAM64M", "RAM128X1D", "RAM256X1S")},
    **{name: ("Slice Registers", 1) for name in ("FDRE", "FDSE", "FDCE", "FDPE")},
    **{f"{name}_1": ("Slice Registers", 1) for name in ("FDRE", "FDSE", "FDCE", "FDPE")},
    "RAMB18E1": ("RAMB18", 1),
    "RAMB36E1": ("RAMB18", 2),
    "DSP48E1": ("DSPs", 1),
}
# One 6-input LUT can be two of five inputs with shared pins: Vivado packs, Yosys only counts.
_SMALL_LUTS: Final = tuple(f"LUT{n}" for n in range(1, 6))

_TIMING_CHECK: Final = """\
# No bitstream unless every path is in time: setup (max) and hold (min).
foreach kind {max min} {
    set slack [get_property SLACK [get_timing_paths -delay_type $kind -max_paths 1]]
    if {$slack ne "" && $slack < 0} {
        puts stderr "timing not met: worst $kind slack $slack ns; choose a slower --clock"
        exit 1
    }
}
"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Cells by synthesis alone: cell -> (used, available), and by which program.

    Look-up tables are counted before two small ones are packed into one: an upper bound.
    """

    utilisation: Mapping[str, tuple[int, int]] = field(hash=False)
    source: str


@dataclass(frozen=True, slots=True)
class VivadoProject:
    """What Vivado needs to build a board's bitstream, by file name, and how big it may become."""

    files: Mapping[str, bytes] = field(hash=False, repr=False)
    tool_versions: Mapping[str, str] = field(hash=False)
    estimate: Estimate | None


def vivado_project(
    board: Board,
    device: Any,
    *,
    clock_hz: float | None = None,
    baud: int | None = None,
    estimate: bool = True,
    toolchain: Toolchain | None = None,
    cache_dir: Path | None = None,
    timeout: float = 900.0,
    progress: Callable[[str], None] | None = None,
    link: HostLink = "serial",
) -> VivadoProject:
    """Return the files of a device on a board: Verilog, ``top.xdc``, ``build.tcl``, ``README.txt``.

    Arguments as for :func:`~.bitstream.build_bitstream`; ``estimate`` says whether to synthesise,
    too, which takes most of the time. Equal arguments give equal files.

    Raises :class:`~.toolchain.ToolchainMissing`, :class:`~.bitstream.ClockUnavailable`,
    :class:`~.bitstream.LinkUnavailable`, :class:`~.bitstream.DoesNotFit` and
    :class:`~.process.StageFailed`.
    """
    require_packages(
        "writing a Vivado project",
        {"amaranth": "amaranth", "amaranth_boards": "amaranth-boards"},
        "fpga",
    )
    tools = toolchain or find_toolchain(str(board.target.family))
    clock_hz, _ = choose_clock(board, clock_hz)
    if progress is not None:
        progress("elaboration")
    plan = prepare_plan(board, device, clock_hz=clock_hz, baud=baud, link=link)
    verilog = _top_verilog(plan, tools, timeout)
    files = {name: plan[name] for name in sorted(plan) if name.endswith(".v")}
    files |= {
        "top.v": verilog,
        "top.xdc": plan["top.xdc"],
        "build.tcl": _script(plan["top.tcl"].decode()).encode(),
        "README.txt": _read_me(board, clock_hz, link).encode(),
    }
    found = None
    if estimate:
        if progress is not None:
            progress("synthesis")
        sources = {name: content for name, content in files.items() if name.endswith(".v")}
        found = estimate_cells(board, sources, tools, cache_dir=cache_dir, timeout=timeout)
    return VivadoProject(files, tools.versions, found)


def estimate_cells(
    board: Board,
    sources: Mapping[str, bytes],
    tools: Toolchain,
    *,
    cache_dir: Path | None = None,
    timeout: float = 900.0,
) -> Estimate:
    """Return the cells that Yosys' ``synth_xilinx`` maps Verilog files with a module ``top`` to.

    Raises :class:`~.bitstream.DoesNotFit` if the device has too few even with all small look-up
    tables packed in pairs.
    """
    script = "".join(f"read_verilog {name}\n" for name in sorted(sources))
    script += "synth_xilinx -flatten -family xc7 -top top\n"
    script += "tee -q -o stat.json stat -json\n"
    version = tools.versions["yosys"]
    key = content_key([*sources.items(), ("script", script), ("tool yosys", version)])
    cache = Cache(cache_dir or default_cache_root(), "estimate")
    entry = cache.find(key)
    if entry is not None:
        text = (entry / "stat.json").read_bytes()
    else:
        text = _yosys(_SYNTHESIS, sources, script, "stat.json", tools, timeout)
        cache.store(key, {"stat.json": text})
    cells = count_cells(text)
    used: dict[str, int] = {cell.cell: 0 for cell in board.target.cells}
    for name, count in cells.items():
        taken, each = _TAKES.get(name, ("", 0))
        if taken in used:
            used[taken] += each * count
    pairs = sum(cells.get(name, 0) for name in _SMALL_LUTS)
    over = []
    for cell in board.target.cells:
        least = used[cell.cell] - (pairs // 2 if cell.cell == "Slice LUTs" else 0)
        excess = least - int(cell.available.value)
        if excess > 0:
            over.append(f"{least} {cell.cell} of {int(cell.available.value)} (by {excess})")
    if over:
        problem = f"needs {', '.join(over)}; use fewer lanes, narrower words or a larger device"
        raise DoesNotFit(_SYNTHESIS, problem, "")
    utilisation = {c.cell: (used[c.cell], int(c.available.value)) for c in board.target.cells}
    return Estimate(utilisation, f"yosys {version}, synth_xilinx; neither packed nor placed")


def count_cells(text: bytes | str) -> dict[str, int]:
    """Read the number of cells of each type from the JSON of Yosys' ``stat``.

    Raises :class:`~.process.StageFailed` if it is none.
    """
    try:
        counts = json.loads(text)["design"]["num_cells_by_type"]
        return {str(name): int(count) for name, count in counts.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"wrote statistics that cannot be read: {error!r}"
        raise StageFailed(_SYNTHESIS, problem, "") from error


def _top_verilog(plan: Mapping[str, bytes], tools: Toolchain, timeout: float) -> bytes:
    sources = {"top.il": plan["top.il"]}
    return _yosys("writing Verilog", sources, _WRITE_VERILOG, "top.v", tools, timeout)


def _yosys(
    stage: str,
    sources: Mapping[str, bytes],
    script: str,
    product: str,
    tools: Toolchain,
    timeout: float,
) -> bytes:
    """Run a script of Yosys in a folder of its own and return one file that it writes."""
    with termination_unwinds(), tempfile.TemporaryDirectory(prefix="spikec-vivado-") as name:
        folder = Path(name)
        for filename, content in {**sources, "run.ys": script.encode()}.items():
            (folder / filename).write_bytes(content)
        scratch = folder / "tmp"
        scratch.mkdir()
        run_stage(
            stage,
            [*tools.argv("yosys"), "-q", "run.ys"],
            cwd=folder,
            log=folder / "log",
            timeout=timeout,
            env={**os.environ, "TMPDIR": str(scratch)},
        )
        return (folder / product).read_bytes()


def _script(tcl: str) -> str:
    """Amaranth's script with the check of timing that it lacks before the bitstream."""
    checked, count = re.subn(r"(?m)^(?=write_bitstream )", lambda _: _TIMING_CHECK, tcl)
    if count != 1:
        raise StageFailed("elaboration", "Amaranth's script has no single write_bitstream", "")
    return checked + "\n"


def _read_me(board: Board, clock_hz: float, link: HostLink) -> str:
    port, wired = "serial port", board.serial.note
    if link == "spi" and board.spi is not None:
        most = clock_hz / SCK_CYCLES / 1e6
        port, wired = "SPI", f"SPI, mode 0, SCK up to {most:g} MHz: {board.spi.note}"
    return f"""\
{board.title} ({board.target.device}, {board.target.package}) at {clock_hz / 1e6:g} MHz

This folder was {NOT_BUILT}

It holds all that Vivado needs: device.v (the network), top.v (clock, reset and {port}),
top.xdc (pins and clocks) and build.tcl (the script). The script writes top.bit, its reports
(top_utilization_place.rpt, top_timing.rpt) beside it, and nothing if a path is not in time.
The cells in report.html are estimates made without Vivado, and no clock was measured.

Program the board:   {board.programmer} top.bit
Host link:           {wired}
"""
