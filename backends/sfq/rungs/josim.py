r"""Josephson circuits in JoSIM, for which decks of cells are written: an answer of another program.

A node has no phase of its own in JoSIM's output. What is watched of a net is a junction behind the
inductor at it, as every cell has one there; a pulse passes it within some ps of the net. JoSIM
starts at time 0 with all phases at 0, and biases rise in its first steps as in our ramp.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ...process import StageFailed, StageTimedOut, run_stage
from ..cells.netlist import Netlist
from ..josephson.circuit import GROUND, Circuit, Inductor, Junction
from ..josephson.measure import passed
from ..josephson.simulate import Transient
from ..josephson.waves import Wave
from .hierarchy import Names, write

Floats = npt.NDArray[np.float64]
PROGRAM: Final = "josim-cli"
MEND: Final = "build it from https://github.com/JoeyDelp/JoSIM, and put josim-cli on PATH"
_SECONDS: Final = 3600.0
_DECK: Final = "run.cir"
_TABLE: Final = "phases.csv"
_LOG_END: Final = 600
# Lines that print, and what is printed, as in `.print p(B1.X1) v(2, 0)`.
_PRINT: Final = re.compile(r"^\s*\.print\b(.*)$", re.I | re.M)
_PRINTED: Final = re.compile(r"[a-z]+\s*\(|\b(?:phase|devp|devv|devi|nodep|nodev)\b", re.I)


def needed() -> str:
    """Where JoSIM is; E1446 where it is not."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise fail("E1446", f"{PROGRAM} is not on PATH", hint=MEND)
    return program


def junction_at(circuit: Circuit, net: str) -> str:
    """The junction to ground behind an inductor at a net; E1403 where there is none."""
    grounded: dict[str, str] = {
        (j.a if j.b == GROUND else j.b): j.name
        for j in circuit.of(Junction)
        if GROUND in (j.a, j.b)
    }
    for inductor in circuit.of(Inductor):
        if net in (inductor.a, inductor.b):
            end = inductor.b if inductor.a == net else inductor.a
            if end in grounded:
                return grounded[end]
    raise fail("E1403", f"there is no junction behind the net '{net}'")


def deck(
    netlist: Netlist,
    waves: Mapping[str, Wave],
    how: Transient,
    junctions: Iterable[str],
    nets: Mapping[str, str] | None = None,
    notes: Iterable[str] = (),
) -> str:
    """A deck of ``netlist.circuit(waves)`` that prints phases of junctions.

    Its times count from the start of the ramp. ``nets`` are names for people, ``notes`` comments.
    """
    return write(netlist, waves, how, junctions, Names.of(netlist, nets), notes)


def solved(text: str, *, timeout: float = _SECONDS) -> tuple[Floats, Floats]:
    """JoSIM's times (frames,) in s, and what a deck prints (prints, frames).

    E1446 without JoSIM; E0605 after ``timeout`` s; E0603 where it fails, or prints nothing.
    """
    program = needed()
    with tempfile.TemporaryDirectory(prefix="spikec-josim-") as folder:
        place = Path(folder)
        (place / _DECK).write_text(text, encoding="utf-8")
        log = place / "log"
        # -m: its progress bar takes longer than the circuit.
        argv = [program, "-m", "-o", _TABLE, _DECK]
        try:
            run_stage(PROGRAM, argv, cwd=place, log=log, timeout=timeout)
        except StageTimedOut:
            hint = "give it more time, or fewer steps of the stimulus"
            raise fail("E0605", f"{PROGRAM} took longer than {timeout:g} s", hint=hint) from None
        except StageFailed as error:
            raise fail("E0603", f"{PROGRAM} {error.problem}; {error.log[-_LOG_END:]}") from None
        try:
            data = np.loadtxt(place / _TABLE, delimiter=",", skiprows=1, ndmin=2)
        except (OSError, ValueError):
            data = np.zeros((0, 0))
        printed = log.read_text(encoding="utf-8", errors="replace").strip()[-_LOG_END:]
    wanted = sum(len(_PRINTED.findall(line)) for line in _PRINT.findall(text))
    if data.shape[1] != wanted + 1 or not np.isfinite(data).all():
        raise fail("E0603", f"{PROGRAM} gives no phases; it printed last:\n{printed}")
    return data[:, 0], data[:, 1:].T


def pulses(
    netlist: Netlist,
    waves: Mapping[str, Wave],
    how: Transient,
    nets: Iterable[str],
    *,
    timeout: float = _SECONDS,
) -> dict[str, Floats]:
    """When pulses passed the junctions at nets, in s from the end of the ramp; fails as `solved`.

    E1403 for a net without a junction.
    """
    names = tuple(nets)
    circuit = netlist.circuit(waves)
    junctions = [junction_at(circuit, net) for net in names]
    times, phases = solved(deck(netlist, waves, how, junctions), timeout=timeout)
    return passed(names, times - how.before * how.step, phases)
