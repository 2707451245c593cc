"""The manual says what the reader does."""

import re
from pathlib import Path

from spikec.compiler.frontends.lavadl import reader
from spikec.compiler.frontends.lavadl.file import MAX_NEURONS, MAX_UNROLLED
from spikec.ir.loihi import DELAY_RANGE

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "lavadl.md").read_text()


def test_limits() -> None:
    assert f"at most 2^{MAX_NEURONS.bit_length() - 1} neurons" in PAGE
    assert f"at most 2^{MAX_UNROLLED.bit_length() - 1} numbers" in PAGE
    assert f"0 to {DELAY_RANGE[1] - 1} steps" in PAGE
    assert f"{reader.DEFAULT_DT * 1e3:g} ms unless told" in PAGE


def test_the_codes_that_the_reader_names() -> None:
    named = set(re.findall(r"[EWN]0\d{3}", reader.read_lavadl.__doc__ or ""))
    spans = {"E0105", "E0106"}  # written as E0104 to E0107
    assert named - spans <= set(re.findall(r"[EWN]0\d{3}", PAGE))
