"""Running a Lava program in processes of its own, in the Python that has Lava."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from ...compiler.backend import Outcome, Run
from ...compiler.stimulus import LabelledStimulus, load_recording, stimulus_bytes
from ...ir.diagnostics import SpikecError, fail
from ...ir.events import Recording
from ..process import StageFailed, StageTimedOut, run_stage, termination_unwinds, undisturbed
from . import _supervise, pythons
from .program import DATA, DESCRIPTION, RECORDING, SCRIPT, STIMULUS

TIMEOUT: Final = "SPIKEC_LAVA_TIMEOUT"
_SECONDS: Final = 3600.0
_LOG_END: Final = 1500
_SHARED: Final = Path("/dev/shm")
_GRACE: Final = 60.0  # s: it ends many processes first, on a machine that may be busy
# What a program says, or how it ends, where shared memory is full.
_FULL: Final = ("No space left on device", "SIGBUS", "status 135")


def run_program(run: Run) -> Outcome:
    """Run the program of an artefact in Lava, and read what it recorded.

    E0602 where there is no Lava, E0605 after `TIMEOUT` seconds (an hour), E1202 where the program
    fails, E1203 where shared memory is too small for it.
    """
    for name in (SCRIPT, DESCRIPTION, DATA):
        if name not in run.artifact.files:
            raise fail("E0705", f"{name} is not in the artefact", hint="compile again")
    python = pythons.python_of()
    if python is None:
        raise fail("E0602", "rung lava needs lava-nc 0.10, which is not here", hint=pythons.MEND)
    # The folder goes, and what runs in it, however this process is told to end.
    with termination_unwinds(), tempfile.TemporaryDirectory(prefix="spikec-lava-") as folder:
        place = Path(folder)
        for name in (SCRIPT, DESCRIPTION, DATA):
            (place / name).write_bytes(run.artifact.files[name])
        (place / STIMULUS).write_bytes(stimulus_bytes(LabelledStimulus(run.stimulus)))
        argv = [str(python), "-W", "ignore", SCRIPT, "--out", RECORDING]
        argv += ["--populations", json.dumps(run.populations), *["--states"] * bool(run.record)]
        argv += ["--no-learning"] * (not run.learning)
        supervised(argv, place, temporary=True)
        recording = load_recording(place / RECORDING)
    spikes = {name: recording.spikes[name] for name in run.populations}
    states = {key: recording.states[key] for key in run.record}
    return Outcome(Recording("lava", recording.dt, spikes, states, recording.weights))


def supervised(
    argv: list[str], place: Path, *, temporary: bool = False, seconds: float | None = None
) -> None:
    """Run a program of Lava in a folder to its end; E0605, E1202, E1203 as `run_program`.

    A ``temporary`` folder is removed if this process is killed meanwhile. ``seconds`` are those
    that it may take, in place of `TIMEOUT`.
    """
    log, seconds = place / "log", seconds or _seconds()
    options = ["--temporary"] * temporary
    argv = [sys.executable, _supervise.__file__, *options, str(os.getpid()), *argv]
    # Lava's files are its own, and threads of numpy only disturb its many processes.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    sessions: list[int] = []
    try:
        run_stage(
            "Lava",
            argv,
            cwd=place,
            log=log,
            timeout=seconds,
            env=environment,
            begun=sessions.append,
            grace=_GRACE,
        )
    except StageTimedOut:
        raise fail(
            "E0605",
            f"Lava took longer than {seconds:g} s",
            hint=f"set {TIMEOUT} to more seconds, or run fewer samples or steps",
        ) from None
    except StageFailed as error:
        raise _failed(error) from None
    finally:
        # One that was killed has ended nothing.
        with undisturbed():
            for session in sessions:
                _supervise.Processes(session).end()


def _seconds() -> float:
    """How long a program may take; E0707 for what is no number of seconds."""
    said = os.environ.get(TIMEOUT) or str(_SECONDS)
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise fail("E0707", f"{TIMEOUT} is '{said}', which is no number of seconds above 0")
    return seconds


def _failed(error: StageFailed) -> SpikecError:
    if any(sign in error.log or sign in error.problem for sign in _FULL):
        size = shutil.disk_usage(_SHARED).total if _SHARED.is_dir() else 0
        return fail(
            "E1203",
            f"the shared memory of {_SHARED} ({size / 2**20:g} MiB) is too small for the network",
            hint="mount a larger one (docker run --shm-size=256m), or run a smaller network",
        )
    last = error.log.strip()[-_LOG_END:]
    return fail(
        "E1202",
        f"the program failed in Lava: {last or error.problem}",
        hint=f"run it by hand: python {SCRIPT} --stimulus STIMULUS.npz",
    )
