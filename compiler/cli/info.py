"""Verbs that tell: targets, explain, doctor."""

from __future__ import annotations

import difflib
import platform
import sys
from dataclasses import asdict

import click

from ...boards.quantity import Quantity
from ...ir.codes import CODES
from ...ir.diagnostics import fail
from ..backend import Requirement, backends, find_installer, installed_version, rungs_of
from .console import Report
from .options import json_option


@click.command()
@json_option
def targets(as_json: bool) -> int:
    """List the targets, their limits and the rungs they offer."""
    report = Report(as_json)
    rows, data = [], []
    for backend in backends().values():
        for target in backend.targets():
            limits = {name: q for name, q in target.limits.items() if q is not None}
            cells = {c.cell: c.available for c in target.cells}
            rungs = rungs_of(backend.name)
            stated = [_said(name, q) for name, q in (limits | cells).items()]
            cores = target.machine.cores if target.machine else None
            held = ", ".join(stated) or "none"
            limited = f"{cores} cores, each: {held}" if cores else held
            title = f"{target.title} ({target.note})" if target.note else target.title
            clocks = " ".join(f"{f / 1e6:g}" for f in target.clocks)
            rows.append((target.name, title, limited, clocks or "-", ", ".join(rungs)))
            data.append(
                {
                    "name": target.name,
                    "title": target.title,
                    "backend": backend.name,
                    "rungs": list(rungs),
                    "family": target.family,
                    "device": target.device,
                    "clocks_hz": list(target.clocks),
                    "note": target.note,
                    "cores": cores,
                    "limits": {name: asdict(q) for name, q in (limits | cells).items()},
                }
            )
    report.table("", ("target", "what it is", "limits", "clocks (MHz)", "rungs"), rows)
    report.data({"targets": data})
    return 0


def _said(name: str, limit: Quantity) -> str:
    """A limit as the table has it; one that nobody measured says so."""
    mark = " (recalled)" if limit.obtained == "recalled" else ""
    return f"{int(limit.value)} {name}{mark}"


@click.command()
@click.argument("code")
@json_option
def explain(code: str, as_json: bool) -> int:
    """Say what a diagnostic CODE means and what to do about it."""
    report = Report(as_json)
    code = code.upper()
    if code not in CODES:
        near = difflib.get_close_matches(code, CODES, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "codes look like E0302 or W0121"
        raise fail("E0707", f"there is no code '{code}'", hint=hint)
    entry = CODES[code]
    report.line(f"{code}: {entry.title}")
    report.line()
    report.line(entry.explanation)
    report.data({"code": code, "title": entry.title, "explanation": entry.explanation})
    return 0


@click.command()
@click.option("--install", "wanted", metavar="NAME", help="Make what is missing: lava.")
@json_option
def doctor(wanted: str | None, as_json: bool) -> int:
    """Check what is installed, and say how to get what is missing."""
    report = Report(as_json)
    if wanted is not None:
        place = find_installer(wanted).install(wanted, report.line)
        report.line(f"{wanted}: {place}")
        report.data({"installed": wanted, "place": str(place)})
        return 0
    rows, data = [], []
    missing = optional = 0
    own = (
        Requirement(
            "matplotlib", "figures", installed_version("matplotlib"), "pip install 'spikec[plot]'"
        ),
        Requirement(
            "scikit-learn", "demo", installed_version("scikit-learn"), "pip install 'spikec[demo]'"
        ),
        *(
            Requirement(name, "explore", installed_version(name), "pip install 'spikec[explore]'")
            for name in ("moocore", "pymoo")
        ),
        Requirement(
            "distributed",
            "explore --scheduler",
            installed_version("distributed"),
            "pip install 'spikec[dask]'",
            optional=True,
        ),
    )
    needs = [("spikec", own), *((b.name, b.requirements()) for b in backends().values())]
    for owner, requirements in needs:
        for item in requirements:
            missing += item.found is None and not item.optional
            optional += item.found is None and item.optional
            state = item.found or ("not here" if item.optional else "MISSING")
            rows.append((owner, item.name, state, item.purpose, "" if item.found else item.mend))
            data.append(
                {
                    "backend": owner,
                    "name": item.name,
                    "found": item.found,
                    "purpose": item.purpose,
                    "mend": item.mend,
                    "optional": item.optional,
                }
            )
    version = installed_version("spikec")
    report.line(f"spikec {version} on Python {platform.python_version()} ({sys.platform})")
    report.table("", ("backend", "needs", "found", "for", "how to get it"), rows)
    besides = f"; of what only few need, {optional} not here" if optional else ""
    report.line(
        f"Everything is there{besides}."
        if not missing
        else f"{missing} missing{besides}; the other verbs and rungs work without."
    )
    report.data({"spikec": version, "python": platform.python_version(), "requirements": data})
    return 3 if missing else 0
