"""The manual says what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from spikec.compiler.frontends.hdf5 import (
    MAX_DEPTH,
    MAX_EDGES,
    MAX_ELEMENTS,
    MAX_NODES,
    MAX_TOTAL,
)
from spikec.compiler.frontends.nir import times
from spikec.compiler.frontends.nir.paths import MAX_PATHS
from spikec.ir.codes import CODES
from spikec.ir.dialects import DIALECTS, Dialect
from spikec.ir.semantics import Semantics

DOCS = Path(__file__).resolve().parents[4] / "docs"
SHOWN = ("decay", "gain", "integrator_gain", "comparison", "reset", "max_spikes")


def row(dialect: Dialect) -> str:
    """One line of the table in docs/dialects.md."""
    rules = dialect.semantics
    spikes = "any" if rules.max_spikes is None else str(rules.max_spikes)
    default = Semantics()
    others = [
        f"`{f.name}={getattr(rules, f.name)}`"
        for f in fields(Semantics)
        if f.name not in SHOWN and getattr(rules, f.name) != getattr(default, f.name)
    ]
    dt = "none" if dialect.default_dt is None else f"{dialect.default_dt:g} s"
    cells = [
        f"`{dialect.name}`",
        str(rules.decay),
        str(rules.gain),
        str(rules.integrator_gain).replace("_", " "),
        f"`{rules.comparison}`",
        str(rules.reset).replace("_", " "),
        spikes,
        f"{dialect.forward_delay} / {dialect.recurrent_delay}",
        dt,
        ", ".join(others) or "-",
    ]
    return "| " + " | ".join(cells) + " |"


def test_table_of_dialects() -> None:
    manual = (DOCS / "dialects.md").read_text()
    found = [line for line in manual.splitlines() if re.match(r"\| `[a-z0-9-]+` \|", line)]
    assert found == [row(dialect) for dialect in DIALECTS.values()]


def test_every_dialect_says_what_it_rests_on() -> None:
    manual = (DOCS / "dialects.md").read_text()
    for dialect in DIALECTS.values():
        assert f"- `{dialect.name}`: {dialect.summary}. Rests on: {dialect.source}." in manual


def test_numbers_in_the_manual() -> None:
    manual = (DOCS / "nir.md").read_text()
    for number in (MAX_DEPTH, MAX_EDGES, MAX_NODES, MAX_PATHS):
        assert f"{number:,}" in manual
    for power in (MAX_ELEMENTS, MAX_TOTAL):
        assert f"2^{power.bit_length() - 1}" in manual
    assert f"{times.LONGEST:,.0f} steps" in manual
    assert f"{times.LONG:,.0f} steps" in manual
    assert f"{times.LONG_SECONDS:g} s" in manual
    assert f"{times.SHORT:g} steps" in manual


def test_codes_in_the_manual_exist() -> None:
    for name in ("nir.md", "dialects.md", "lavadl.md"):
        for code in re.findall(r"\b[EWN]0\d{3}\b", (DOCS / name).read_text()):
            assert code in CODES


def test_every_code_of_the_readers_is_in_the_manual() -> None:
    manual = "".join((DOCS / name).read_text() for name in ("nir.md", "lavadl.md"))
    elsewhere = {"E0110"}  # of the canonical text
    reading = {code for code in CODES if code[1:3] == "01"} - elsewhere
    assert sorted(code for code in reading if code not in manual) == []


def test_the_example_in_the_manual(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "nir.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "docs/nir.md", "exec"), {})
    assert (tmp_path / "tiny.nir").exists()
    assert "note N0130: dialect 'sinabs'" in capsys.readouterr().out
