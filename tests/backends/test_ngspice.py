"""ngspice is run in a folder, and what goes wrong has a code."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikec.backends import ngspice
from spikec.ir.diagnostics import SpikecError

from .programs import ngspice_is


def refused(folder: Path, seconds: float = 60.0) -> SpikecError:
    with pytest.raises(SpikecError) as found:
        ngspice.run(folder, seconds, "a shorter deck")
    return found.value


def test_what_it_prints_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys; print(sys.argv[1:], open(sys.argv[-1]).read())"
    ngspice_is(tmp_path, monkeypatch, script)
    (tmp_path / ngspice.DECK).write_text("a deck")
    calls: list[int] = []
    printed = ngspice.run(tmp_path, 60.0, "nothing", lambda: calls.append(1))
    assert printed.strip() == "['-n', '-b', 'run.cir'] a deck"
    assert ngspice.needed() == str(tmp_path / "ngspice")


def test_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refused(tmp_path)
    assert error.diagnostics[0].code == "E0602" and "apt install ngspice" in str(error)


def test_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ngspice_is(tmp_path, monkeypatch, "print('x' * 900, 'singular'); raise SystemExit(3)")
    error = refused(tmp_path)
    assert error.diagnostics[0].code == "E0603"
    assert "exit status 3" in str(error) and "singular" in str(error)
    assert str(error).count("x") < 700  # the end of it


def test_one_that_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ngspice_is(tmp_path, monkeypatch, "import time; time.sleep(600)")
    error = refused(tmp_path, 0.3)
    assert error.diagnostics[0].code == "E0605"
    assert error.diagnostics[0].hint == "give it more time, a shorter deck"
