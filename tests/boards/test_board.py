"""Boards are data: every number has a source, and a wrong file is refused by name."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.boards.board import (
    Board,
    Pll,
    Target,
    board_names,
    load_board,
    load_board_file,
    parse_board,
)
from spikec.boards.quantity import Quantity
from spikec.boards.table import BoardError

NAMES = board_names()


def source(name: str) -> str:
    return (resources.files("spikec.boards") / f"{name}.toml").read_text(encoding="utf-8")


def test_the_boards_of_the_first_release_are_there() -> None:
    assert {"icebreaker", "ulx3s-85f", "orangecrab-25f", "orangecrab-85f"} <= set(NAMES)


def test_small_ecp5_artix_7_and_gowin_boards_are_there() -> None:
    assert {"ulx3s-12f", "ulx3s-25f", "colorlight-i5", "tang-nano-9k"} <= set(NAMES)
    assert {n for n in NAMES if load_board(n).flow == "vivado"} == {"cmod-a7-35t", "arty-a7-35t"}


def test_a_12f_is_said_to_be_placed_as_a_25f_with_its_source() -> None:
    small, large = load_board("ulx3s-12f").target, load_board("ulx3s-25f").target
    assert "25F" in small.note
    assert [c.available.value for c in small.cells] == [c.available.value for c in large.cells]
    assert all("--12k" in c.available.source for c in small.cells)
    assert "nextpnr#410" in source("ulx3s-12f")


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
        assert quantity.obtained in ("measured", "simulated", "fitted", "stated", "recalled")


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
        detector, oscillator, output = recomputed(pll, board.clock.frequency.value)
        assert pll.cell in PLL_OF[str(board.target.family)]
        (slowest, fastest), (low, high) = PLL_RANGES[pll.cell]
        assert slowest <= detector <= fastest
        assert low <= oscillator <= high
        assert pll.frequency.value == output
        for name, (least, most) in PLL_FIELDS[pll.cell].items():
            assert least <= p[name] <= most, name


def recomputed(pll: Pll, reference: float) -> tuple[float, float, float]:
    """Frequencies of the phase detector, of the oscillator and of the output, in hertz."""
    p = {k: v for k, v in pll.parameters.items() if isinstance(v, int)}
    if pll.cell == "SB_PLL40_PAD":
        detector = reference / (p["DIVR"] + 1)
        oscillator = detector * (p["DIVF"] + 1)
        return detector, oscillator, oscillator / 2 ** p["DIVQ"]
    if pll.cell == "EHXPLLL":
        # The output is fed back, so it is what the detector compares after CLKFB_DIV.
        detector = reference / p["CLKI_DIV"]
        output = detector * p["CLKFB_DIV"]
        return detector, output * p["CLKOP_DIV"], output
    detector = reference / p["DIVCLK_DIVIDE"]
    oscillator = detector * p["CLKFBOUT_MULT_F"]
    return detector, oscillator, oscillator / p["CLKOUT0_DIVIDE_F"]


PLL_OF = {"ice40": ["SB_PLL40_PAD"], "ecp5": ["EHXPLLL"], "xc7": ["MMCME2_BASE"], "gowin": []}
# (phase detector, oscillator) in hertz. iCE40: FPGA-DS-02008; ECP5: FPGA-DS-02012; Artix-7: DS181,
# speed grade -1.
PLL_RANGES = {
    "SB_PLL40_PAD": ((10e6, 133e6), (533e6, 1066e6)),
    "EHXPLLL": ((3.125e6, 400e6), (400e6, 800e6)),
    "MMCME2_BASE": ((10e6, 450e6), (600e6, 1200e6)),
}
PLL_FIELDS = {
    "SB_PLL40_PAD": {"DIVR": (0, 15), "DIVF": (0, 127), "DIVQ": (1, 6), "FILTER_RANGE": (1, 6)},
    "EHXPLLL": {"CLKI_DIV": (1, 128), "CLKFB_DIV": (1, 128), "CLKOP_DIV": (1, 128)},
    "MMCME2_BASE": {
        "DIVCLK_DIVIDE": (1, 106),
        "CLKFBOUT_MULT_F": (2, 64),
        "CLKOUT0_DIVIDE_F": (1, 128),
    },
}


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("icebreaker", [12, 18, 24, 30, 36]),
        ("ulx3s-25f", [25, 50, 62.5, 75, 80, 100]),
        ("orangecrab-25f", [48, 64, 80, 96]),
        ("cmod-a7-35t", [12, 50, 80, 100]),
        ("tang-nano-9k", [27]),
    ],
)
def test_clocks_on_offer(name: str, offered: list[float]) -> None:
    board = load_board(name)
    assert [f / 1e6 for f in board.clock_frequencies()] == offered
    assert board.target.clocks == board.clock_frequencies()


@pytest.mark.parametrize("name", NAMES)
def test_boards_of_one_oscillator_and_family_offer_the_same_clocks(name: str) -> None:
    board = load_board(name)
    for other in map(load_board, NAMES):
        if other.target.family == board.target.family == "ecp5":
            same = other.clock.frequency.value == board.clock.frequency.value
            assert not same or other.clock_frequencies() == board.clock_frequencies()


@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_platform_it_names(name: str) -> None:
    pytest.importorskip("amaranth_boards")
    board = load_board(name)
    if board.platform is None:
        assert board.clock.pin and board.clock.io_standard and board.speed
        # Boards that amaranth-boards has come from there.
        assert importlib.util.find_spec(f"amaranth_boards.{name.replace('-', '_')}") is None
        return
    module, _, class_name = board.platform.rpartition(".")
    platform = getattr(importlib.import_module(module), class_name)()
    device = platform.family if board.target.family == "gowin" else platform.device
    assert device == board.target.device
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


@pytest.mark.parametrize(
    ("old", "new", "code", "expected"),
    [
        ('speed    = "6"', "", "board-missing", "speed: is missing"),
        ('pin         = "P3"', "", "board-missing", "clock.pin: is missing"),
        ('io_standard = "LVCMOS33"\nfreq', "freq", "board-missing", "clock.io_standard: is"),
        ('family   = "ecp5"', 'family = "gowin"', "board-missing", "gowin boards need one"),
    ],
)
def test_a_board_without_a_platform_states_its_pins(
    old: str, new: str, code: str, expected: str
) -> None:
    text = source("colorlight-i5")
    assert text.count(old) == 1
    with pytest.raises(BoardError) as caught:
        parse_board(text.replace(old, new), "mine.toml")
    assert caught.value.code == code
    assert expected in str(caught.value)


SPI_PINS = {
    "arty-a7-35t": ("D12", "B11", "A11", "G13"),
    "cmod-a7-35t": ("L18", "G19", "N18", "G17"),
    "icebreaker": ("45", "2", "47", "4"),
    "orangecrab-25f": ("R17", "N16", "N15", "B8"),
    "orangecrab-85f": ("R17", "N16", "N15", "B8"),
    "ulx3s-12f": ("B9", "A10", "A9", "B11"),
    "ulx3s-25f": ("B9", "A10", "A9", "B11"),
    "ulx3s-85f": ("B9", "A10", "A9", "B11"),
}


@pytest.mark.parametrize("name", NAMES)
def test_spi_pins_are_those_of_the_connector(name: str) -> None:
    pytest.importorskip("amaranth_boards")
    from amaranth.build import Pins

    board = load_board(name)
    if board.spi is None:
        assert name not in SPI_PINS
        return
    module, _, class_name = str(board.platform).rpartition(".")
    platform = getattr(importlib.import_module(module), class_name)()
    spi = board.spi
    found = [platform._conn_pins.get(pin, pin) for pin in (spi.sck, spi.copi, spi.cipo, spi.cs_n)]
    assert tuple(found) == SPI_PINS[name]
    assert all(Pins(pin).names == [pin] for pin in (spi.sck, spi.copi, spi.cipo, spi.cs_n))


def test_a_pin_that_spi_lacks_is_named() -> None:
    file = resources.files("spikec.boards") / "icebreaker.toml"
    text = file.read_text(encoding="utf-8").replace('cs_n        = "pmod_0:1"\n', "")
    with pytest.raises(BoardError, match=r"spi\.cs_n: is missing"):
        parse_board(text, "x.toml")


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
        ('family   = "ice40"', 'family = "virtex"', "board-value", "ice40, ecp5, gowin, xc7"),
        ('family   = "ice40"', 'famly = "ice40"', "board-missing", "did you mean that?"),
        (
            "state_bits = 16",
            "state_bits = 1",
            "board-value",
            "core.state_bits: must be from 2 to 32, not 1",
        ),
        (
            "state_bits = 16",
            "state_bits = 4.5",
            "board-type",
            "core.state_bits: must be an integer",
        ),
        (
            "state_bits = 16",
            "state_bits = true",
            "board-type",
            "core.state_bits: must be an integer",
        ),
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
