"""The Python that has Lava: which one it is, and making one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

import platformdirs

from ...compiler.backend import Requirement
from ...ir.diagnostics import fail
from ..process import StageFailed, StageTimedOut, run_stage

PYTHON: Final = "SPIKEC_LAVA_PYTHON"
PACKAGE: Final = "lava-nc==0.10.0"
VERSION: Final = "3.10"  # the only one that lava-nc 0.10 takes
MEND: Final = f"spikec doctor --install lava, or name a Python with {PACKAGE} in {PYTHON}"
_SECONDS: Final = 1800.0
_READY: Final = "ready"


def environment() -> Path:
    """The folder of the environment that ``spikec doctor --install lava`` makes."""
    return platformdirs.user_data_path("spikec") / "lava"


def python_of() -> Path | None:
    """The Python that has Lava: the one that is named, this one, the one made; else ``None``."""
    named = os.environ.get(PYTHON)
    if named:
        return Path(named) if _has_lava(named) else None
    if importlib.util.find_spec("lava") is not None and _has_lava(sys.executable):
        return Path(sys.executable)
    made = _python_in(environment())
    ready = (environment() / _READY).exists()
    return made if ready and _has_lava(str(made)) else None


def _python_in(folder: Path) -> Path:
    return folder / "Scripts" / "python.exe" if os.name == "nt" else folder / "bin" / "python"


@lru_cache(maxsize=8)
def _has_lava(python: str) -> bool:
    code = (
        "import importlib.metadata as m; import lava.proc.lif.process; print(m.version('lava-nc'))"
    )
    return _said(python, "-c", code).startswith("0.10")


def _said(*argv: str) -> str:
    """What a short command prints; nothing where it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def requirement() -> Requirement:
    """Lava, of which most users have no need."""
    python = python_of()
    return Requirement(
        "lava-nc", "rung lava", None if python is None else str(python), MEND, optional=True
    )


def old_pythons() -> Iterator[str]:
    """Every Python 3.10 that is to be found: on the path, pyenv's, uv's."""
    found = [shutil.which(f"python{VERSION}")]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    uv = Path(
        os.environ.get("UV_PYTHON_INSTALL_DIR") or platformdirs.user_data_path("uv") / "python"
    )
    found += map(str, sorted(pyenv.glob(f"versions/{VERSION}*/bin/python"), reverse=True))
    found += map(str, sorted(uv.glob(f"cpython-{VERSION}*/bin/python{VERSION}"), reverse=True))
    if shutil.which("uv"):
        found.append(_said("uv", "python", "find", VERSION))
    code = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    for python in dict.fromkeys(found):
        if python and _said(python, "-c", code) == VERSION:
            yield python


def install(tell: Callable[[str], None]) -> Path:
    """Make the environment with Lava, or find it made; its Python.

    E0602 where there is no Python 3.10, or the package cannot be had.
    """
    place = environment()
    if (place / _READY).exists() and _has_lava(str(_python_in(place))):
        tell(f"Lava is there: {_python_in(place)}")
        return _python_in(place)
    old = next(old_pythons(), None)
    if old is None:
        raise fail(
            "E0602",
            f"lava-nc needs Python {VERSION}, and none was found on the path, in pyenv or in uv",
            hint=f"pyenv install {VERSION}, or uv python install {VERSION}; then once more",
        )
    tell(f"Making {place} with {old}: some minutes.")
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    log = place.parent / "lava.log"
    log.write_bytes(b"")
    python = _python_in(place)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", PACKAGE]
    try:
        run_stage("venv", [old, "-m", "venv", str(place)], cwd=place.parent, log=log, timeout=300)
        run_stage("pip", pip, cwd=place.parent, log=log, timeout=_SECONDS)
    except StageTimedOut:
        raise fail("E0605", f"installing {PACKAGE} took longer than {_SECONDS:g} s") from None
    except StageFailed as error:
        last = error.log.strip().rpartition("\n")[2]
        raise fail(
            "E0602", f"{PACKAGE} cannot be installed: {last or error.problem}", hint=f"see {log}"
        ) from None
    _has_lava.cache_clear()
    if not _has_lava(str(python)):
        raise fail("E0602", f"{PACKAGE} was installed and cannot be imported", hint=f"see {log}")
    # A folder without it was not finished.
    (place / _READY).write_bytes(b"")
    return python
