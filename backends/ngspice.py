"""Running ngspice: where it is, one deck in a folder, and what goes wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ..ir.diagnostics import SpikecError, fail
from .process import StageFailed, StageTimedOut, run_stage

PROGRAM: Final = "ngspice"
MEND: Final = "apt install ngspice, or see https://ngspice.sourceforge.io"
DECK: Final = "run.cir"
_LOG_END: Final = 600


def needed() -> str:
    """Where ngspice is; E0602 where it is not."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise fail("E0602", f"{PROGRAM} is not on PATH", hint=MEND)
    return program


def run(place: Path, timeout: float, less: str, watch: Callable[[], None] | None = None) -> str:
    """What ngspice prints for the deck ``DECK`` of a folder; ``watch`` is called on the way.

    E0602 without ngspice; E0605 after ``timeout`` s, of which ``less`` would take less; E0603
    where it fails.
    """
    log = place / "log"
    # -n: a .spiceinit of the user's would change what the numbers mean.
    argv = [needed(), "-n", "-b", DECK]
    try:
        run_stage(PROGRAM, argv, cwd=place, log=log, timeout=timeout, poll=watch)
    except StageTimedOut:
        raise fail(
            "E0605",
            f"{PROGRAM} took longer than {timeout:g} s",
            hint=f"give it more time, {less}",
        ) from None
    except StageFailed as error:
        raise failed(error.problem, error.log) from None
    return log.read_text(encoding="utf-8", errors="replace")


def failed(problem: str, printed: str) -> SpikecError:
    """E0603 with the problem, and the end of what ngspice printed."""
    last = printed.strip()[-_LOG_END:]
    return fail("E0603", f"{PROGRAM} {problem}" + (f"; it printed last:\n{last}" if last else ""))
