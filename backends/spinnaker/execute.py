"""Running a PyNN program in a process of its own, in the Python that has the simulator."""

from __future__ import annotations

import configparser
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from ...compiler.backend import Outcome, Requirement, Run, installed_version
from ...compiler.ladder import network
from ...compiler.stimulus import LabelledStimulus, load_recording, stimulus_bytes
from ...ir.diagnostics import fail
from ...ir.events import Recording
from ...ir.neurons import CURRENT
from ..process import StageFailed, StageTimedOut, run_stage
from .program import DATA, SCRIPT, STIMULUS
from .simulators import BRIAN2, NEST, SIMULATORS, SPINNAKER

# What names the Python of a simulator; without it, this one.
PYTHONS: Final = {NEST: "SPIKEC_NEST_PYTHON", SPINNAKER: "SPIKEC_SPYNNAKER_PYTHON"}
_PACKAGES: Final = {BRIAN2: "brian2", NEST: "nest", SPINNAKER: "spynnaker"}
_MEND: Final = {
    BRIAN2: "pip install 'spikec[pynn]'",
    NEST: "pip install nest-simulator==3.10.0 'PyNN>=0.13,<0.14', here or where SPIKEC_NEST_PYTHON "
    "names a Python",
    SPINNAKER: "pip install 'sPyNNaker==1!7.4.1' in an environment of its own, and name its Python "
    "in SPIKEC_SPYNNAKER_PYTHON",
}
TIMEOUT: Final = "SPIKEC_PYNN_TIMEOUT"
_SECONDS: Final = 3600.0
_LOG_END: Final = 1500

# What sPyNNaker takes for its machine where the user has no configuration: a board that is not
# there, on which everything is done but loading and running.
CONFIGURATION: Final = ".spynnaker.cfg"
VIRTUAL: Final = """\
[Machine]
machine_name = None
virtual_board = True
version = 5
"""


def python_of(simulator: str) -> Path | None:
    """The Python that has a simulator, ``None`` where none does."""
    named = os.environ.get(PYTHONS.get(simulator, ""), "")
    if named:
        path = Path(named)
        return path if path.exists() and _imports(str(path), _PACKAGES[simulator]) else None
    packages = ("pyNN", _PACKAGES[simulator])
    there = all(importlib.util.find_spec(package) is not None for package in packages)
    return Path(sys.executable) if there else None


@lru_cache(maxsize=8)
def _imports(python: str, package: str) -> bool:
    """Whether another Python finds PyNN and a package."""
    code = (
        "import importlib.util as u, sys; "
        f"sys.exit(not all(u.find_spec(p) for p in ('pyNN', {package!r})))"
    )
    try:
        return subprocess.run([python, "-c", code], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def requirements() -> Sequence[Requirement]:
    """The simulators that programs run on; SpiNNaker's and NEST's are optional."""
    found = []
    for name, simulator in SIMULATORS.items():
        python = python_of(name)
        here = installed_version(_PACKAGES[name]) if name == BRIAN2 else None
        state = None if python is None else here or "found"
        found.append(
            Requirement(
                simulator.title, f"rung {name}", state, _MEND[name], optional=name != BRIAN2
            )
        )
    return tuple(found)


def run_program(rung: str, run: Run) -> Outcome:
    """Run the program of an artefact on a simulator, and read what it recorded.

    E0602 where the simulator is not there, E0605 after `TIMEOUT` seconds (an hour), E0703 for
    spikes that no source of it sends, E0707 for states, which no program records, E1109 where the
    program fails, E1112 where it was mapped to a virtual board of SpiNNaker without error, which
    runs nothing.
    """
    title = SIMULATORS[rung].title
    if SCRIPT not in run.artifact.files:
        raise fail("E0705", f"{SCRIPT} is not in the artefact", hint="compile again")
    if run.record:
        raise fail("E0707", f"rung {rung} records spikes, no states", hint="leave out --states")
    if not run.learning and "LEARNING" in run.artifact.files[SCRIPT].decode():
        raise fail(
            "E0707",
            f"rung {rung} runs the program as it is, and its weights learn",
            hint="compile the network without plasticity",
        )
    _check_sources(rung, run)
    python = python_of(rung)
    if python is None:
        raise fail("E0602", f"rung {rung} needs {title}, which is not here", hint=_MEND[rung])
    with tempfile.TemporaryDirectory(prefix="spikec-pynn-") as folder:
        place = Path(folder)
        for name in (SCRIPT, DATA):
            (place / name).write_bytes(run.artifact.files[name])
        (place / STIMULUS).write_bytes(stimulus_bytes(LabelledStimulus(run.stimulus)))
        _run(rung, title, python, place)
        recording = load_recording(place / "recording.npz")
        if rung == SPINNAKER and _is_virtual(place / "home" / CONFIGURATION):
            raise fail(
                "E1112",
                "sPyNNaker mapped the network to a virtual board without error; there is no "
                "machine to run it",
                hint=f"name one in ~/{CONFIGURATION} (machine_name, or spalloc_server)",
            )
    wanted = {name: recording.spikes[name] for name in run.populations}
    return Outcome(Recording(rung, recording.dt, wanted, {}, recording.weights))


def _check_sources(rung: str, run: Run) -> None:
    """E0703 for spikes that no source of the simulator sends."""
    graph = network(run.artifact)
    sources = {p.pre for p in graph.projections if p.receptor != CURRENT}
    for name, events in run.stimulus.inputs.items():
        if name not in sources:
            continue
        if np.any(events.value != 1):
            raise fail(
                "E0703",
                f"input '{name}' has a value of {events.value.max():g} in one step; a source of "
                "PyNN spikes once in a step or not at all",
            )
        if rung == NEST and np.any(events.step == 0):
            raise fail(
                "E0703",
                f"input '{name}' has {int((events.step == 0).sum())} spikes in step 0; NEST sends "
                "none in the first step of a run",
                hint="begin the stimulus one step later",
            )


def _is_virtual(configuration: Path) -> bool:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(configuration.read_text(encoding="utf-8"))
    return parser.get("Machine", "virtual_board", fallback="False").strip().lower() == "true"


def _run(rung: str, title: str, python: Path, place: Path) -> None:
    # Simulators write caches, logs and, sPyNNaker, a configuration to the home they are given.
    home = place / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home), "MPLBACKEND": "agg"}
    if rung == SPINNAKER:
        own = Path.home() / CONFIGURATION
        text = own.read_text(encoding="utf-8") if own.exists() else VIRTUAL
        (home / CONFIGURATION).write_text(text, encoding="utf-8")
    log = place / "log"
    argv = [str(python), SCRIPT, rung, "--out", "recording.npz"]
    seconds = float(os.environ.get(TIMEOUT) or _SECONDS)
    try:
        run_stage(f"{title}", argv, cwd=place, log=log, timeout=seconds, env=environment)
    except StageTimedOut:
        raise fail(
            "E0605",
            f"{title} took longer than {seconds:g} s",
            hint=f"set {TIMEOUT} to more seconds, or run fewer samples or steps",
        ) from None
    except StageFailed as error:
        last = error.log.strip()[-_LOG_END:]
        raise fail(
            "E1109",
            f"the program failed on {title}: {last or error.problem}",
            hint=f"run it by hand: python network.py {rung}",
        ) from None
