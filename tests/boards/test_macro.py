"""Macros are data: wires and costs are those of their sources, and wrong files are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.boards.board import Target
from spikec.boards.features import CROSSBAR, INTEGER
from spikec.boards.macro import load_macro, macro_names, parse_macro
from spikec.boards.table import BoardError
from tests.boards.data_files import Kind, loads_without_numpy, near

NAMES = macro_names()
MACROS = Kind("macros", NAMES, parse_macro)
REAL = [name for name in NAMES if name != "crossbar-ideal"]


def test_the_macros_are_there_each_with_its_device() -> None:
    assert {name: load_macro(name).device for name in NAMES} == {
        "crossbar-ideal": "ideal",
        "pcm": "pcm",
        "pcm-joshi": "pcm-joshi",
        "rram-hfo2": "rram-hfo2",
        "rram-wan": "rram-wan",
    }


@pytest.mark.parametrize("name", NAMES)
def test_tiles_are_128_lines_unless_told(name: str) -> None:
    macro = load_macro(name)
    assert macro.sizes == (32, 64, 128)
    assert macro.tile == 128


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_source_and_how_it_was_obtained(name: str) -> None:
    MACROS.has_sources(name, 20)


@pytest.mark.parametrize("key", ["source", "how", "unit"])
@pytest.mark.parametrize("name", NAMES)
def test_a_number_without_source_is_refused(name: str, key: str) -> None:
    MACROS.refuses_without(name, key, 20)


# Width in nm, aspect ratio, resistivity in ohm m: NeuroSim 1.3, Param.cpp.
COPPER = {
    14: (25, 2.0, 5.08e-8),
    22: (40, 1.9, 4.03e-8),
    90: (110, 1.6, 2.52e-8),
    130: (175, 1.6, 2.20e-8),
}


@pytest.mark.parametrize("name", REAL)
def test_wires_follow_from_the_copper_of_their_technology(name: str) -> None:
    macro = load_macro(name)
    width, aspect, rho = COPPER[int(macro.technology.value)]
    area = aspect * (width * 1e-9) ** 2
    for pitch, ohm in (
        (macro.wires.word_pitch, macro.wires.word),
        (macro.wires.bit_pitch, macro.wires.bit),
    ):
        assert ohm.value == near(rho * pitch.value / area, rel=0.01)
    assert macro.wires.word_pitch.value == near(4 * width * 1e-9)
    assert macro.wires.bit_pitch.value == near(12 * width * 1e-9)


def test_wires_of_22_nm() -> None:
    wires = load_macro("rram-wan").wires
    assert (wires.word.value, wires.bit.value) == (2.12, 6.36)
    assert wires.word_capacitance == near(0.032e-15)
    assert wires.bit_capacitance == near(0.096e-15)


@pytest.mark.parametrize(("kelvin", "factor"), [(300, 1), (358, 1.26158), (273.15, 0.8789065)])
def test_wires_are_better_conductors_in_the_cold(kelvin: float, factor: float) -> None:
    wires = load_macro("rram-wan").wires
    assert wires.at(kelvin) == near((2.12 * factor, 6.36 * factor))
    assert wires.at() == (2.12, 6.36)


@pytest.mark.parametrize("kelvin", [4.2, -5, float("nan"), float("inf")])
def test_the_linear_law_of_wires_ends(kelvin: float) -> None:
    with pytest.raises(BoardError, match=r"temperature: .* K is beyond the linear law"):
        load_macro("rram-wan").wires.at(kelvin)


# By technology: the parts of NeuroSim's power of a column without bits and of each bit, in W.
SAR = {130: (49.047e-6, 6.4806e-6), 90: (31.782e-6, 4.3474e-6), 22: (3.3041e-6, 0.7213e-6)}


@pytest.mark.parametrize("name", ["rram-wan", "rram-hfo2", "pcm-joshi"])
@pytest.mark.parametrize("bits", [1, 5, 8])
def test_successive_approximation_costs_what_neurosim_says(name: str, bits: int) -> None:
    macro = load_macro(name)
    fixed, each = SAR[int(macro.technology.value)]
    assert macro.conversion_time(bits) == near((bits + 1) * 1e-9)
    energy = (fixed + each * bits) * (bits + 1) * 1e-9
    assert macro.conversion_energy(bits) == near(energy)


def test_a_ramp_takes_a_step_for_each_number() -> None:
    macro = load_macro("pcm")
    assert macro.adc.kind == "ramp"
    assert macro.conversion_time() == near(256 * 300e-12)
    assert macro.conversion_time(4) == near(16 * 300e-12)
    # All of the core's energy, 2 operations a cell at 10.5 TOPS/W, is the bound it comes from.
    whole = 2 * 256 * 256 / 10.5e12
    assert 256 * macro.conversion_energy() == near(whole, rel=0.01)


def test_converters_convert_to_their_own_bits_unless_told() -> None:
    for name in REAL:
        macro = load_macro(name)
        assert macro.adc.bits is not None
        bits = int(macro.adc.bits.value)
        assert macro.conversion_time() == macro.conversion_time(bits)
        assert macro.conversion_energy() == macro.conversion_energy(bits)


def test_the_ideal_crossbar_loses_nothing() -> None:
    macro = load_macro("crossbar-ideal")
    assert macro.adc.bits is None
    assert macro.conversion_time() == macro.conversion_energy() == macro.drive_energy(128) == 0
    assert macro.wires.at(400) == (0, 0)
    assert macro.wires.driver.value == macro.wires.sense.value == 0
    assert not macro.gated


def test_a_pulse_charges_its_word_line() -> None:
    macro = load_macro("rram-wan")
    assert macro.drive_energy(128) == near(128 * 0.2e-15 * 0.16 * 0.5**2)


@pytest.mark.parametrize("name", NAMES)
def test_additions_and_multiplications_by_horowitz(name: str) -> None:
    macro = load_macro(name)
    assert macro.add_energy(8) == near(0.03e-12)
    assert macro.add_energy(32) == near(0.1e-12)
    # His table has 0.05 pJ for 16 bits.
    assert macro.add_energy(16) == near(0.05e-12, rel=0.08)
    assert macro.multiply_energy(8) == near(0.2e-12)
    assert macro.multiply_energy(32) == near(3.1e-12)
    assert macro.multiply_energy(16) == near((0.2e-12 * 3.1e-12) ** 0.5)
    assert macro.costs["sram_bit_energy"].value * 64 == near(10e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_macro_is_a_target(name: str) -> None:
    macro = load_macro(name)
    target = Target.crossbar(macro)
    assert (target.name, target.title, target.note) == (macro.name, macro.title, macro.note)
    assert target.kind == "crossbar" and target.macro is macro
    assert target.features == CROSSBAR
    assert not any(target.limits.values())
    assert hash(target) == hash(Target.crossbar(macro))


def test_cells_of_a_crossbar_do_not_learn() -> None:
    assert CROSSBAR.learns == ()
    assert CROSSBAR.max_spikes == INTEGER.max_spikes and CROSSBAR.hop == INTEGER.hop


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "expected"),
    [
        ("rram-wan", "[wires]", "[wires", "board-syntax", "is not TOML"),
        ("rram-wan", '= "rram-wan"\nnote', '= "rramwan"\nnote', "board-value", "device: must be"),
        ("rram-wan", "gated      = true", "gated = 1", "board-type", "gated: must be true or"),
        ("rram-wan", "[32, 64, 128]", "[]", "board-value", "tile.sizes: must be sizes"),
        ("rram-wan", "[32, 64, 128]", "[64, 32]", "board-value", "tile.sizes: must be sizes"),
        ("rram-wan", "[32, 64, 128]", "[0, 32]", "board-value", "tile.sizes: must be at least 1"),
        ("rram-wan", "[32, 64, 128]", "[32, 8192]", "board-value", "tile.sizes: goes beyond"),
        ("rram-wan", "spares = { value = 0", "spares = { value = 32", "board-value", "leaves no"),
        ("rram-wan", "spares = { value = 0", "spares = { value = 0.5", "board-value", "whole"),
        ("rram-wan", "columns = { value = 8", "columns = { value = 64", "board-value", "smallest"),
        ("rram-wan", 'unit = "ohm"', 'unit = "kohm"', "board-value", "wires.word.unit: must be"),
        ("rram-wan", "value = 2.12", "value = -2.12", "board-value", "wires.word.value: must be"),
        ("rram-wan", "[wires]", "[wires]\nvia = 3", "board-unknown-key", "wires.via: is not"),
        ("rram-wan", '"sar"', '"flash"', "board-value", "adc.kind: must be one of ideal, sar"),
        ("rram-wan", '"sar"', '"ideal"', "board-value", "adc.bits: is not of an ideal"),
        ("rram-wan", '"sar"', '"ramp"', "board-missing", "costs.ramp_step_energy: is missing"),
        ("pcm", '"ramp"', '"sar"', "board-missing", "costs.sar_power: is missing"),
        ("crossbar-ideal", '"ideal"\ncol', '"sar"\ncol', "board-missing", "adc.bits: is missing"),
        ("rram-wan", "bits    = { value = 8", "bits = { value = 99", "board-value", "at most 16"),
        ("rram-wan", "on  = { value = 0", "on = { value = 1.5", "board-value", "faults.on: and"),
        ("rram-wan", 'unit = "W"', 'unit = "uW"', "board-value", "costs.sar_power.unit: must be"),
        ("rram-wan", "clock_time ", "tact_time ", "board-missing", "costs.clock_time: is missing"),
        (
            "rram-wan",
            "clock_time ",
            "sleep_time = 3\nclock_time ",
            "board-unknown-key",
            "costs.sleep_time: is not a known key",
        ),
        (
            "rram-hfo2",
            "voltage    = { value = 0.2",
            "voltage = { value = 0.6",
            "board-value",
            "0.5",
        ),
        ("rram-wan", "technology", "technologie", "board-missing", "did you mean that?"),
    ],
)
def test_impossible_macros_are_refused_by_place(
    name: str, old: str, new: str, code: str, expected: str
) -> None:
    MACROS.refuses(name, old, new, code, expected)


def test_unknown_macros_are_refused_with_the_closest_name() -> None:
    with pytest.raises(BoardError, match="did you mean 'rram-hfo2'") as caught:
        load_macro("rram-hfo")
    assert caught.value.code == "board-unknown"


def test_macros_load_without_numpy() -> None:
    loads_without_numpy("macro", "macro_names", "load_macro")


@given(st.data())
def test_no_damaged_file_raises_anything_else(data: st.DataObject) -> None:
    MACROS.survives_damage(data)
