"""Decks of an artefact: they are its tiles, by a dense solve of their text and by ngspice."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.backends.crossbar.chip import Chip
from spikec.backends.crossbar.converters import Ranges
from spikec.backends.crossbar.curve import curve_of
from spikec.backends.crossbar.decks import FEW, wanted_decks
from spikec.backends.crossbar.files import read_design
from spikec.backends.crossbar.nonlinear import NonlinearSolver
from spikec.backends.crossbar.solve import Solver
from spikec.boards.macro import load_macro
from spikec.compiler.artifact import Artifact
from spikec.compiler.ladder import quantised
from spikec.ir.diagnostics import Diagnostics

from ..programs import needs_ngspice
from .nodal import solved
from .test_operating import artifact, one_layer

# Its own size, and faults off: decks are of what cells are meant to be.
WAYS = [
    ("rram-wan", ("tile=8",)),
    ("rram-wan", ("tile=8", "signs=offset", "gated=off")),
    ("crossbar-ideal", ("tile=8",)),
]


def tiles(made: Artifact) -> list[tuple[str, Any, Any]]:
    """Of each tile its deck, its circuit as the design has it, and its design."""
    found = read_design(made, quantised(made), load_macro(str(made.manifest["target"])))
    names = [f"tiles/{tile.projection}-{k}.cir" for k, tile in enumerate(found.tiles)]
    assert sorted(names) == sorted(n for n in made.files if n.startswith("tiles/"))
    return [
        (made.files[name].decode(), found.electrics.circuit(target), (found, tile))
        for name, target, tile in zip(names, found.targets, found.tiles, strict=True)
    ]


@pytest.mark.parametrize(("macro", "words"), WAYS)
def test_the_text_is_the_tile(macro: str, words: tuple[str, ...]) -> None:
    for text, circuit, (found, tile) in tiles(artifact(*words, target=macro)):
        spikes = tile.row >= 0
        active = spikes if found.electrics.gated else None
        wanted = Solver(circuit).currents(found.electrics.voltage * spikes, active)
        # Each line without wires is a node: what is printed is a current all the same.
        assert np.allclose(solved(text), wanted, rtol=1e-10, atol=1e-16)
        assert f"'{tile.projection}'" in text and "ngspice -b FILE" in text
        assert ("leave out rc<i>_<j>" in text) == found.electrics.gated
        rows = " ".join(map(str, tile.row))
        assert f"*   {rows}\n" in text


def test_its_converters_are_the_chips() -> None:
    """Of a layer with slices: a range each, taken in turns."""
    made = artifact("tile=16", "slice_bits=2", "age=none", "stuck=0", "programming=off")
    found = read_design(made, quantised(made), load_macro("rram-wan"))
    text = tiles(made)[0][0]
    tile = found.tiles[0]
    full = Ranges(found).of(tile.projection)
    steps = [float(x) for x in re.findall(r"^bcode\d+ .*\)/(\S+?)\+0.5\)", text, re.M)]
    assert len(steps) == 8 and full.size == 2
    assert np.allclose(steps, np.resize(full / 127, 8), rtol=1e-12)
    assert text.count(",-127.0),127.0)") == 8


@needs_ngspice
@pytest.mark.parametrize("macro", ["rram-wan", "rram-hfo2"])
def test_ngspice_runs_it(macro: str, tmp_path: Path) -> None:
    """The operating point is the model's; the codes are those of a chip without errors."""
    words = ("age=none", "stuck=0", "programming=off", "read_noise=off", "drift=off")
    made = artifact(*words, target=macro)
    for number, (text, circuit, (found, tile)) in enumerate(tiles(made)):
        path = tmp_path / "tile.cir"
        path.write_text(text)
        done = subprocess.run(
            ["ngspice", "-b", str(path)], capture_output=True, text=True, check=True, timeout=120
        )
        amperes = np.array(re.findall(r"^i\(vs\d+\) = (\S+)", done.stdout, re.M), np.float64)
        curve = curve_of(found.electrics.device, circuit.conductance)
        model = Solver(circuit) if curve is None else NonlinearSolver(circuit, curve)
        spikes = tile.row >= 0
        volt = found.electrics.voltage * spikes
        wanted = model.currents(volt, spikes if found.electrics.gated else None)
        assert np.abs(amperes - wanted).max() < 1e-10 * np.abs(wanted).max()
        codes = np.array(re.findall(r"^v\(code\d+\) = (\S+)", done.stdout, re.M), np.float64)
        reader = Chip(found, 1).tiles[number]
        assert np.array_equal(codes, reader.codes(spikes[None].astype(np.int64)).ravel())


def test_the_same_network_has_the_same_decks() -> None:
    assert artifact().files == artifact().files


def test_large_designs_have_none_unless_asked() -> None:
    told = Diagnostics()
    small = one_layer()
    assert small.cells <= FEW and len(wanted_decks(small, told)) == len(small.tiles)
    assert wanted_decks(one_layer("decks=off"), told) == {} and not list(told)
    large = one_layer("wire=0", macro="crossbar-ideal", size=(80, 120))
    assert large.cells > FEW
    assert wanted_decks(large, told) == {}
    (note,) = told
    assert note.code == "N1331" and note.hint is not None and "decks=on" in note.hint
    asked = wanted_decks(replace(large, conditions=large.conditions.but(["decks=on"])), told)
    assert len(asked) == len(large.tiles) and len(list(told)) == 1
    assert sum(map(len, asked.values())) < 150 * large.cells
