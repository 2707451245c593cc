"""Boards are data: every number has a source, and a wrong file is refused by name."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.boards.board import (
    Board,
    BoardError,
    Quantity,
    Target,
    board_names,
    load_board,
    load_board_file,
    parse_board,
)

NAMES = board_names()


def source(name: str) -> str:
    return (resources.files("spikec.boards") / f"{name}.toml").read_text(encoding="utf-8")


def test_the_boards_of_the_first_release_are_there() -> None:
    assert {"icebreaker", "ulx3s-85f", "orangecrab-25f", "orangecrab-85f"} <= set(NAMES)


def test_boards_load_without_any_hardware_library() -> None:
    script = (
        "import sys\n"
        "from spikec.boards.board import board_names, load_board\n"
        "boards = [load_board(n) for n in board_names()]\n"
        "assert boards\n"
        "assert not {'amaranth', 'amaranth_boards', 'cocotb'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def quantities(board: Board) -> list[Quantity]:
    found = [board.clock.frequency, *(c.available for c in board.target.cells)]
    found += [m.count for m in board.target.memories] + [p.frequency for p in board.plls]
    found += [q for q in board.target.limits.values() if q is not None]
    return found + ([board.price] if board.price else [])


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_unit_source_and_origin(name: str) -> None:
    for quantity in quantities(load_board(name)):
        assert quantity.unit
        assert len(quantity.source) > 10
        assert quantity.obtained in ("measured", "simulated", "fitted", "recalled")


@pytest.mark.parametrize("name", NAMES)
def test_memory_counts_agree_with_cell_counts(name: str) -> None:
    target = load_board(name).target
    for memory in target.memories:
        available = target.available(memory.cell)
        assert available is not None
        assert available.value == memory.count.value


@pytest.mark.parametrize("name", NAMES)
def test_serial_rate_divides_every_core_clock(name: str) -> None:
    board = load_board(name)
    assert board.target.core is not None
    for clock in board.clock_frequencies():
        cycles = clock / board.target.core.baud
        assert cycles >= 8
        assert abs(round(cycles) - cycles) / cycles < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_pll_parameters_give_the_frequency_they_claim(name: str) -> None:
    board = load_board(name)
    for pll in board.plls:
        p = {k: v for k, v in pll.parameters.items() if isinstance(v, int)}
        reference = board.clock.frequency.value
        if pll.cell.startswith("SB_PLL40"):
            oscillator = reference * (p["DIVF"] + 1) / (p["DIVR"] + 1)
            assert 533e6 <= oscillator <= 1066e6
            assert pll.frequency.value == pytest.approx(oscillator / 2 ** p["DIVQ"])
        else:
            output = reference * p["CLKFB_DIV"] / p["CLKI_DIV"]
            assert 400e6 <= output * p["CLKOP_DIV"] <= 800e6
            assert pll.frequency.value == pytest.approx(output)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_platform_it_names(name: str) -> None:
    pytest.importorskip("amaranth_boards")
    board = load_board(name)
    module, _, class_name = board.platform.rpartition(".")
    platform = getattr(importlib.import_module(module), class_name)()
    assert platform.device == board.target.device
    assert platform.package == board.target.package
    assert platform.default_clk == board.clock.resource
    assert platform.default_clk_frequency == board.clock.frequency.value
    if board.serial.resource is None:
        pins = platform._conn_pins
        assert board.serial.rx == pins[("io_0:0")]
        assert board.serial.tx == pins[("io_0:1")]
        return
    resource = platform.lookup(board.serial.resource)
    named = {io.name: io.ios[0].names[0] for io in resource.ios}
    assert (named["rx"], named["tx"]) == (board.serial.rx, board.serial.tx)


def test_unknown_board_names_the_nearest() -> None:
    with pytest.raises(BoardError, match="did you mean 'icebreaker'") as caught:
        load_board("icebraker")
    assert caught.value.code == "board-unknown"


def test_unlimited_target_has_no_limit() -> None:
    target = Target.unlimited()
    assert set(target.limits.values()) == {None}
    assert target.block_memory is None


@pytest.mark.parametrize(
    ("old", "new", "code", "expected"),
    [
        ('name     = "', "name = '", "board-syntax", "is not TOML"),
        ('family   = "ice40"', "", "board-missing", "family: is missing"),
        ('family   = "ice40"', 'family = "virtex"', "board-value", "one of ice40, ecp5"),
        ('family   = "ice40"', 'famly = "ice40"', "board-missing", "did you mean that?"),
        ("lanes      = 4", "lanes = 0", "board-value", "core.lanes: must be at least 1, not 0"),
        ("lanes      = 4", "lanes = 4.5", "board-type", "core.lanes: must be an integer"),
        ("lanes      = 4", "lanes = true", "board-type", "core.lanes: must be an integer"),
        ("state_bits = 16", "state_bits = 99", "board-value", "from 2 to 32, not 99"),
        ("[core]", "[core]\nlane = 3", "board-unknown-key", "core.lane: is not a known key"),
        ('unit = "Hz"', 'unit = "MHz"', "board-value", "must be 'Hz', not 'MHz'"),
        ("value = 12e6", "value = nan", "board-value", "clock.frequency.value: must be above zero"),
        ("value = 12e6", 'value = "12"', "board-type", "must be a number"),
        ('how = "measured"', 'how = "guessed"', "board-value", "must be one of measured"),
        ("initialised = true", "initialised = 1", "board-type", "must be true or false"),
        ("[[memory]]", "[memory]", "board-syntax", "is not TOML"),
        ("[clock]", "[klock]", "board-missing", "did you mean that?"),
    ],
)
def test_malformed_boards_are_refused_by_place(
    old: str, new: str, code: str, expected: str
) -> None:
    text = source("icebreaker")
    assert old in text
    with pytest.raises(BoardError) as caught:
        parse_board(text.replace(old, new, 1), "mine.toml")
    assert caught.value.code == code
    assert expected in str(caught.value)
    assert str(caught.value).startswith("mine.toml")


def test_limits_are_optional_and_named() -> None:
    limit = '[limits]\n{} = {{ value = 64, unit = "neurons", how = "measured", source = "me" }}\n'
    text = source("icebreaker")
    board = parse_board(text + limit.format("neurons"), "mine.toml")
    assert board.target.neurons is not None
    assert board.target.neurons.value == 64
    with pytest.raises(BoardError, match="did you mean 'neurons'"):
        parse_board(text + limit.format("neuron"), "mine.toml")


def test_a_board_of_ones_own_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(source("ulx3s-85f").replace('"ulx3s-85f"', '"mine"'), encoding="utf-8")
    assert load_board_file(path).name == "mine"
    with pytest.raises(BoardError) as caught:
        load_board_file(tmp_path / "absent.toml")
    assert caught.value.code == "board-unreadable"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BoardError) as caught:
        load_board_file(path)
    assert caught.value.code == "board-unreadable"


@given(st.data())
def test_no_damaged_file_raises_anything_else(data: st.DataObject) -> None:
    text = source("icebreaker")
    start = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(1, 40))
    filler = data.draw(st.text(max_size=8))
    try:
        parse_board(text[:start] + filler + text[start + length :], "damaged.toml")
    except BoardError as error:
        assert error.code.startswith("board-")
