"""Programs of others: where they are needed, and scripts of Python in their place."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

needs_ngspice = pytest.mark.skipif(shutil.which("ngspice") is None, reason="ngspice is not on PATH")
needs_josim = pytest.mark.skipif(
    shutil.which("josim-cli") is None, reason="josim-cli is not on PATH"
)
# In the place of JoSIM: it reads a deck, solves it with our kernels and writes its table.
SOLVES = """
import sys, numpy as np
from spikec.backends.sfq.josephson.deck import read
from spikec.backends.sfq.josephson.simulate import simulate
assert sys.argv[1:3] == ['-m', '-o']
deck = read(open(sys.argv[4]).read())
names = [name for _, name in deck.prints]
found = simulate(deck.circuit, deck.transient, record=names)
table = np.column_stack([found.times, found.phases[0]])
np.savetxt(sys.argv[3], table, delimiter=',', header='time,' + ','.join(names), comments='')
"""


def ngspice_is(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """From here on ngspice is this script, kept in ``folder``."""
    _program_is("ngspice", folder, monkeypatch, script)


def josim_is(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = SOLVES) -> None:
    """From here on JoSIM is this script, kept in ``folder``."""
    _program_is("josim-cli", folder, monkeypatch, script)


def _program_is(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
