"""A program as a file of an artefact: cells, nets, and when pulses come, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from ....compiler.artifact import Artifact
from ....ir.diagnostics import fail
from ..cells import cell, chance
from ..cells.chance import KIND, law
from ..cells.netlist import Instance, Netlist
from .released import Released
from .synthesise import Program

CELLS: Final = "cells.json"


def program_files(program: Program) -> dict[str, bytes]:
    """``cells.json``: every cell with its nets, and when pulses come."""
    data = {
        "cells": [asdict(i) for i in program.netlist.instances],
        "inputs": {name: list(nets) for name, nets in program.inputs.items()},
        "always": {name: list(flags) for name, flags in program.always.items()},
        "spikes": {name: list(nets) for name, nets in program.spikes.items()},
        "clocks": dict(program.clocks),
        "windows": {net: list(window) for net, window in program.windows.items()},
        "period": program.period,
        "start": program.start,
        "skew": program.skew,
        "slot": program.slot,
        "remembers": program.remembers,
        "release": {name: asdict(one) for name, one in program.release.items()},
    }
    return {CELLS: (json.dumps(data, indent=1) + "\n").encode()}


def program_facts(program: Program) -> dict[str, Any]:
    """What the manifest says of it.

    Of projections that release by chance the least and the greatest probability and their bias
    currents in A, and between which 95 % of the synapses of chips are, of the probability of which
    that is widest, at the ``spread`` of `chance.found`.
    """
    netlist = program.netlist
    chances = {name: _release_facts(one) for name, one in program.release.items()}
    return {
        "exact": KIND not in netlist.counts,
        **({"release": chances} if chances else {}),
        "cells": dict(sorted(netlist.counts.items())),
        "each": {
            kind: {"junctions": cell(kind).junctions, "bias": cell(kind).bias}
            for kind in sorted(netlist.counts)
        },
        "junctions": netlist.junctions,
        "bias": netlist.bias,
        "period": program.period,
        "latency": program.latency,
        "clocks": dict(program.clocks),
    }


def _release_facts(one: Released) -> dict[str, Any]:
    facts = asdict(one) | {"probability": [one.least, one.most]}
    del facts["least"], facts["most"]
    if not one.synapses:
        return facts
    return facts | {
        "bias": [law().bias(one.least), law().bias(one.most)],
        "between": list(one.between),
        "spread": chance.found()["spread"][0],
    }


def read_program(artifact: Artifact) -> Program:
    """The program of an artefact; E0705 where its file is missing or is none."""
    if CELLS not in artifact.files:
        raise fail("E0705", f"{CELLS} is not in the artefact", hint="compile again")
    try:
        data = json.loads(artifact.files[CELLS])
        return Program(
            netlist=Netlist(tuple(Instance(**one) for one in data["cells"])),
            inputs=_tuples(data["inputs"]),
            always=_tuples(data["always"]),
            clocks=data["clocks"],
            spikes=_tuples(data["spikes"]),
            windows={net: (low, high) for net, (low, high) in data["windows"].items()},
            period=float(data["period"]),
            start=float(data["start"]),
            skew=float(data["skew"]),
            slot=int(data["slot"]),
            remembers=bool(data["remembers"]),
            release={name: Released(**one) for name, one in data["release"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise fail("E0705", f"{CELLS} is not a program: {error}", hint="compile again") from None


def _tuples(data: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(values) for name, values in data.items()}
