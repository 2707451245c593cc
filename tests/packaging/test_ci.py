"""What `.ci/run` makes of a step that fails."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STEPS = ("lava", "oracles", "--keep-going", "test")
# Notes what it was asked for, and fails at one of it.
MAKE = '#!/bin/sh\necho "$1" >>asked\ntest "$1" != "$FAILING" || exit 2\n'


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.skipif(not (ROOT / ".ci").is_dir(), reason="a source distribution has no .ci")
@pytest.mark.parametrize("failing", [*STEPS, ""])
def test_a_failed_step_fails_all_and_hides_no_other(failing: str, tmp_path: Path) -> None:
    """Lava's environment and the oracles, too: without them, tests are skipped."""
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    shutil.copy(ROOT / ".ci" / "run", script)
    make = tmp_path / "bin" / "make"
    make.parent.mkdir()
    make.write_text(MAKE)
    make.chmod(0o755)
    environment = os.environ | {"PATH": f"{make.parent}:{os.environ['PATH']}", "FAILING": failing}
    done = subprocess.run(["bash", str(script)], env=environment, capture_output=True, timeout=60)
    assert done.returncode == (2 if failing else 0)
    assert (tmp_path / "asked").read_text().split() == list(STEPS)
