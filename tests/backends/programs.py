"""Programs of others: where they are needed, and scripts of Python in their place."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not on PATH")


def ngspice_is(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """From here on ngspice is this script, kept in ``folder``."""
    path = folder / "ngspice"
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
