"""Under which rules a file is read: dialect, step, unit and overrides, and how they are guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from enum import EnumType
from typing import Any, get_args, get_type_hints

import numpy as np

from ....ir.diagnostics import Diagnostics, Location
from ....ir.dialects import DIALECTS, Dialect
from ....ir.semantics import Semantics
from .network import FileNetwork, FileNode
from .times import seconds

ALLOW_UNUSUAL_TIME = "allow_unusual_time"
NEWEST = (1, 0, 8)
_SNNTORCH_DT = 1e-4  # written into every r by its exporter


@dataclass(frozen=True)
class Rules:
    """How to read a file. ``unit`` is in seconds, ``semantics`` has the overrides in it."""

    dialect: Dialect
    dt: float
    unit: float
    semantics: Semantics
    allow_unusual_time: bool = False


def choose_rules(
    network: FileNetwork,
    dialect: str | None,
    dt: float | None,
    time_unit: float | str,
    overrides: Mapping[str, object],
    at: Location,
    found: Diagnostics,
) -> Rules:
    """The rules of a file. Errors are collected (E0109, E0114); a stand-in serves until they
    are raised."""
    name = dialect or _guessed(network, at, found)
    chosen = DIALECTS.get(name)
    if chosen is None:
        close = get_close_matches(name, DIALECTS, 1)
        hint = f"did you mean '{close[0]}'?" if close else "one of: " + ", ".join(DIALECTS)
        found.add("E0114", f"unknown dialect '{name}'", at, hint)
        chosen = DIALECTS["snntorch"]  # a stand-in with a step of its own: one error is enough
    marked = network.metadata.get("spikec_dt")
    if dt is None and isinstance(marked, np.ndarray) and marked.size == 1:
        dt = float(marked.ravel()[0])
    if dt is None:
        dt = chosen.default_dt
    known = dt is not None
    if dt is None:
        found.add(
            "E0109",
            f"the dialect '{chosen.name}' has no usual step",
            at,
            "give --dt, in seconds; training frameworks often mean 1e-4 or 1e-3",
        )
        dt = _plausible_dt(network)
    dt = float(dt)
    if not (np.isfinite(dt) and dt > 0):
        found.add("E0107", f"dt is {dt!r} s; it must be positive and finite", at)
        dt = _SNNTORCH_DT
    unit = seconds(time_unit, dt)
    if unit is None:
        found.add(
            "E0107",
            f"the time unit is {time_unit!r}",
            at,
            "give s, ms, us, steps or a positive number of seconds",
        )
        unit = 1.0
    semantics, unusual = _overridden(chosen.semantics, overrides, at, found)
    if not known:
        return Rules(chosen, dt, unit, semantics, unusual)
    written = f"nir {network.version}" if network.version else "an unknown release of nir"
    found.add(
        "N0130",
        f"dialect '{chosen.name}' ({chosen.summary}), dt = {dt:g} s, unit of time {unit:g} s, "
        f"written by {written}" + _listed(overrides),
        at,
    )
    return Rules(chosen, dt, unit, semantics, unusual)


def newer(version: str | None) -> bool:
    """Whether a release is beyond the newest one that is known here."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", version or "")
    return found is not None and tuple(int(n or 0) for n in found.groups()) > NEWEST


def _listed(overrides: Mapping[str, object]) -> str:
    shown = ", ".join(f"{name}={value}" for name, value in overrides.items())
    return f"; overridden: {shown}" if shown else ""


def _plausible_dt(network: FileNetwork) -> float:
    """A step under which the other checks of a file without dt make sense."""
    taus = [
        float(value.min())
        for node in network.nodes.values()
        for name, value in node.fields.items()
        if name.startswith("tau") and isinstance(value, np.ndarray) and value.size
    ]
    known = [tau for tau in taus if np.isfinite(tau) and tau > 0]
    return min(known) / 10 if known else _SNNTORCH_DT


# -- overrides -----------------------------------------------------------------------------------


def _overridden(
    semantics: Semantics, overrides: Mapping[str, object], at: Location, found: Diagnostics
) -> tuple[Semantics, bool]:
    hints = get_type_hints(Semantics)
    changes: dict[str, Any] = {}
    unusual = False
    for name, value in overrides.items():
        if name == ALLOW_UNUSUAL_TIME:
            unusual = _boolean(value) is True
            continue
        if name not in hints:
            known = [f.name for f in fields(Semantics)] + [ALLOW_UNUSUAL_TIME]
            close = get_close_matches(name, known, 1)
            hint = f"did you mean '{close[0]}'?" if close else "one of: " + ", ".join(known)
            found.add("E0114", f"unknown rule '{name}'", at, hint)
            continue
        try:
            changes[name] = _converted(value, hints[name])
        except ValueError as error:
            found.add("E0114", f"'{name}' takes {error}, not {value!r}", at)
    return replace(semantics, **changes), unusual


def _converted(value: object, kind: Any) -> Any:
    """``value``, or the text of it, as the type of a field of ``Semantics``."""
    kinds = get_args(kind) or (kind,)
    if type(None) in kinds and (value is None or str(value).lower() == "none"):
        return None
    kind = next(k for k in kinds if k is not type(None))
    if isinstance(kind, EnumType):
        members: dict[str, Any] = {str(member): member for member in list[Any](kind)}
        if str(value) in members:
            return members[str(value)]
        raise ValueError("one of " + ", ".join(members))
    if kind is bool:
        choice = _boolean(value)
        if choice is None:
            raise ValueError("true or false")
        return choice
    try:
        number = float(str(value))
    except ValueError:
        number = float("nan")
    if kind is int:
        if isinstance(value, bool) or number != np.rint(number):
            raise ValueError("a whole number")
        return int(number)
    if isinstance(value, bool) or not np.isfinite(number):
        raise ValueError("a number")
    return number


def _boolean(value: object) -> bool | None:
    return {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower())


# -- the guess ------------------------------------------------------------------------------------


def _guessed(network: FileNetwork, at: Location, found: Diagnostics) -> str:
    name, why = _marks(network)
    hint = "give --dialect; compare with 'spikec compare --dialects'"
    found.add("W0125", f"read as '{name}': {why}", at, hint)
    return name


def _marks(network: FileNetwork) -> tuple[str, str]:
    """The dialect that a file's marks speak for, and which marks; see docs/dialects.md."""
    stored = network.metadata.get("spikec_dialect")
    if isinstance(stored, str) and stored in DIALECTS:
        return stored, "spikec wrote the file under it"
    nodes = network.nodes
    torch = next((n for n in nodes if re.fullmatch(r"(.*\.)?\d+_\w*Torch", n)), None)
    if torch is not None:
        return "rockpool", f"a node is named '{torch}'"
    undecided = "; the file cannot say whether it was trained with reset to zero (snntorch-zero)"
    loop = next((n for n in nodes if n.endswith(".lif") and n[:-4] + ".w_rec" in nodes), None)
    if loop is not None:
        return (
            "snntorch",
            f"nodes '{loop}' and '{loop[:-4]}.w_rec' are its recurrent layer{undecided}",
        )
    leaky = [node for node in nodes.values() if node.kind in ("LIF", "CubaLIF")]
    if leaky and all(_scaled_by_tau(node) for node in leaky):
        return "snntorch", f"every r is tau / 1e-4, as its exporter writes it{undecided}"
    inner = [name for name, node in nodes.items() if node.kind not in ("Input", "Output")]
    if inner and all(name.isdecimal() for name in inner):
        pools = next((n for n in nodes.values() if n.kind in ("IF", "SumPool2d")), None)
        if pools is not None:
            return "sinabs", f"nodes are numbered, and '{pools.name}' is a {pools.kind}"
        if leaky and all(_unit_r(node) for node in leaky):
            return "norse", "nodes are numbered, and every r is 1"
    return "nir", "no mark of a framework was found, so the letter of the specification holds"


def _numbers(node: FileNode, name: str) -> np.ndarray[Any, Any] | None:
    value = node.fields.get(name)
    return value if isinstance(value, np.ndarray) and value.size else None


def _scaled_by_tau(node: FileNode) -> bool:
    tau = _numbers(node, "tau" if node.kind == "LIF" else "tau_mem")
    r = _numbers(node, "r")
    if tau is None or r is None or tau.size != r.size:
        return False
    return bool(np.allclose(r.ravel() * _SNNTORCH_DT, tau.ravel(), rtol=1e-4, atol=0))


def _unit_r(node: FileNode) -> bool:
    r = _numbers(node, "r")
    return r is not None and bool((r == 1).all())
