"""Devices are data: the numbers are those of their sources, and a wrong file is refused by name."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikec.boards.device import Flicker, Share, device_names, load_device, parse_device
from spikec.boards.table import BoardError
from tests.boards.data_files import Kind, loads_without_numpy

NAMES = device_names()
DEVICES = Kind("devices", NAMES, parse_device)


def test_the_devices_of_the_literature_are_there() -> None:
    assert set(NAMES) == {
        "ideal",
        "pcm",
        "pcm-joshi",
        "rram-hfo2",
        "rram-wan",
        "rram-wan-cubic",
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_a_source_and_how_it_was_obtained(name: str) -> None:
    DEVICES.has_sources(name, 2)


@pytest.mark.parametrize("key", ["source", "how", "unit"])
@pytest.mark.parametrize("name", NAMES)
def test_a_number_without_source_is_refused(name: str, key: str) -> None:
    DEVICES.refuses_without(name, key, 2)


def test_facts_of_the_sources() -> None:
    ranges = {n: (load_device(n).g_min.value, load_device(n).g_max.value) for n in NAMES}
    assert ranges == {
        "ideal": (0.0, 100e-6),
        "pcm": (0.0, 25e-6),
        "pcm-joshi": (0.25e-6, 25e-6),
        "rram-hfo2": (50e-6, 225e-6),
        "rram-wan": (1e-6, 40e-6),
        "rram-wan-cubic": (1e-6, 39.26e-6),
    }
    assert {n: load_device(n).ageing for n in NAMES} == {
        "ideal": "stable",
        "pcm": "drift",
        "pcm-joshi": "unknown",
        "rram-hfo2": "unknown",
        "rram-wan": "snapshots",
        "rram-wan-cubic": "unknown",
    }
    assert [s.time.value for s in load_device("rram-wan").snapshots] == [1, 86400, 172800]
    assert isinstance(load_device("pcm").read, Flicker)
    assert isinstance(load_device("rram-wan").read, Share)
    assert [n for n in NAMES if load_device(n).bend is not None] == ["rram-hfo2"]


def test_the_ideal_device_has_no_errors() -> None:
    ideal = load_device("ideal")
    errors = (ideal.programming, ideal.read, ideal.drift, ideal.bend, ideal.levels)
    assert errors == (None,) * 5
    assert "definition" in ideal.note


@pytest.mark.parametrize("name", [n for n in NAMES if n != "ideal"])
def test_what_no_source_has_is_said(name: str) -> None:
    device = load_device(name)
    assert "I-V curve" in device.note
    if device.ageing == "unknown":
        assert "later" in device.note or "ageing" in device.note
    if device.read is None:
        assert "noise of reads" in device.note


def test_a_device_may_have_levels() -> None:
    levels = 'levels = { value = 9, unit = "levels", how = "stated", source = "a test of levels" }'
    device = parse_device(DEVICES.source("ideal") + levels, "mine.toml")
    assert device.levels is not None and device.levels.value == 9


@pytest.mark.parametrize(
    ("name", "old", "new", "code", "expected"),
    [
        ("pcm", "[drift]", "[drift", "board-syntax", "is not TOML"),
        ("pcm", 'ageing = "drift"', 'ageing = "drifts"', "board-value", "ageing: must be one of"),
        ("pcm", 'ageing = "drift"', 'ageing = "stable"', "board-value", "drift: is for the ageing"),
        ("ideal", '"stable"', '"drift"', "board-missing", "drift: is for the ageing 'drift'"),
        ("ideal", '"stable"', '"snapshots"', "board-missing", "snapshots: is for the ageing"),
        ("pcm", "value = 25e-6, unit", "value = 0, unit", "board-value", "g_max.value: must be ab"),
        ("pcm", "value = 0, unit", "value = 30e-6, unit", "board-value", "g_max: must be above"),
        ("pcm", "value = 0, unit", "value = -1, unit", "board-value", "g_min.value: must be zero"),
        ("pcm", "value = 0, unit", "value = nan, unit", "board-value", "g_min.value: must be zero"),
        ("pcm", 'unit = "S"', 'unit = "uS"', "board-value", "g_min.unit: must be 'S'"),
        ("pcm", '= "uS"', '= "mS"', "board-value", "programming.unit: must be one of S, uS"),
        ("pcm", "[0.26348, 1.9650, -1.1731]", "[]", "board-type", "coefficients: must be a list"),
        ("pcm", "[0.26348, ", '["a", ', "board-type", "coefficients[0]: must be a number"),
        ("pcm", "[0.26348, ", "[true, ", "board-type", "coefficients[0]: must be a number"),
        ("pcm", "[0.26348, ", "[nan, ", "board-value", "coefficients[0]: must be finite"),
        ("pcm", "[0.26348, ", "[inf, ", "board-value", "coefficients[0]: must be finite"),
        ("pcm", "[0.26348, ", f"[1{'0' * 400}, ", "board-value", "must be finite"),
        ("pcm", "value = 25e-6", f"value = 1{'0' * 400}", "board-value", "g_max.value: must be"),
        ("pcm", "-0.0155", '"steep"', "board-type", "drift.mean.slope: must be a number"),
        ("pcm", "low    = 0.049", "low = 0.2", "board-value", "drift.mean.low: must be from 0"),
        ("pcm", "low    = 0.049", "low = -0.2", "board-value", "drift.mean.low: must be from 0"),
        ("pcm", "start =", "begin =", "board-missing", "drift.start: is missing"),
        ("pcm", '"flicker"', '"white"', "board-value", "read.kind: must be one of flicker, share"),
        ("pcm", "0.0088", "-0.0088", "board-value", "read.amplitude: must be above zero"),
        ("pcm", "amplitude", "amplitud", "board-missing", "did you mean that?"),
        ("pcm", "floor ", "flor = 3\nfloor ", "board-unknown-key", "did you mean 'floor'"),
        ("pcm", "[programming]", "[program]", "board-unknown-key", "did you mean 'programming'"),
        ("rram-wan", "value = 0.01", "value = 1.5", "board-value", "read.share: must be below 1"),
        ("rram-wan", "value = 172800", "value = 60", "board-value", "must be of ascending times"),
        ("rram-wan", "[[snapshots]]", "[snapshots]", "board-syntax", "is not TOML"),
        ("rram-hfo2", "value = 50e-6", "value = 0", "board-value", "g_min must not be 0"),
        ("rram-hfo2", "value = 0.5,", "value = 0,", "board-value", "bend.limit.value: must be ab"),
        (
            "ideal",
            "note ",
            'levels = { value = 1, unit = "levels", how = "stated", source = "one" }\nnote ',
            "board-value",
            "levels: must be from 2",
        ),
    ],
)
def test_impossible_devices_are_refused_by_place(
    name: str, old: str, new: str, code: str, expected: str
) -> None:
    DEVICES.refuses(name, old, new, code, expected)


def test_flicker_noise_needs_a_drift_to_count_from() -> None:
    text = DEVICES.source("pcm").replace('ageing = "drift"', 'ageing = "stable"')
    text = re.sub(r"\[drift\].*?\[read\]", "[read]", text, flags=re.DOTALL)
    with pytest.raises(BoardError, match=r"read\.kind: is 'flicker' for devices that drift"):
        parse_device(text, "mine.toml")


def test_snapshots_are_the_programming_error_too() -> None:
    spread = re.search(r"\[programming\].*?\n\n", DEVICES.source("pcm"), flags=re.DOTALL)
    assert spread is not None
    with pytest.raises(BoardError, match="is the first of the snapshots"):
        parse_device(DEVICES.source("rram-wan") + "\n" + spread[0], "mine.toml")


def test_unknown_devices_are_refused_with_the_closest_name() -> None:
    with pytest.raises(BoardError, match="did you mean 'rram-wan'") as caught:
        load_device("rram-wann")
    assert caught.value.code == "board-unknown"


def test_devices_load_without_numpy() -> None:
    loads_without_numpy("device", "device_names", "load_device")


@given(st.data())
def test_no_damaged_file_raises_anything_else(data: st.DataObject) -> None:
    DEVICES.survives_damage(data)
