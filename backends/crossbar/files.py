"""A design as files of an artefact: what is on which tile, and what its cells are meant to be."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ...boards.macro import Macro
from ...compiler.artifact import Artifact
from ...ir.diagnostics import SpikecError, fail
from ...ir.graph import Graph
from .conditions import Conditions
from .design import Design, Layer, weighted
from .layout import Scheme, Signs, Tile, blocks, plain

TILES: Final = "tiles.npz"


def design_files(found: Design) -> dict[str, bytes]:
    """``tiles.npz``: of tile k ``k.row``, ``.column``, ``.flipped``, ``.target`` and ``.alpha``.

    ``PROJECTION.probes`` are the vectors that converters and columns are calibrated with.
    """
    arrays: dict[str, Any] = {}
    for k, tile in enumerate(found.tiles):
        arrays[f"{k}.row"], arrays[f"{k}.column"] = tile.row, tile.column
        arrays[f"{k}.flipped"] = tile.flipped
        arrays[f"{k}.target"], arrays[f"{k}.alpha"] = found.targets[k], found.alphas[k]
    for name, layer in found.layers.items():
        arrays[f"{name}.probes"] = layer.probes
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return {TILES: stream.getvalue()}


def design_facts(found: Design) -> dict[str, Any]:
    """What the manifest says of a design."""
    return {
        "macro": found.macro.name,
        "device": found.macro.device,
        "conditions": found.conditions.said,
        "exact": found.electrics.exact and not found.conditions.comparator_offset,
        "cells": found.cells,
        "layers": {name: plain(layer.scheme) for name, layer in found.layers.items()},
        "tiles": [
            {
                "projection": tile.projection,
                "block": tile.block,
                "word_lines": tile.rows,
                "bit_lines": int(target.shape[1]),
                "residual": residual,
            }
            for tile, target, residual in zip(
                found.tiles, found.targets, found.residuals, strict=True
            )
        ],
    }


def read_design(artifact: Artifact, graph: Graph, macro: Macro) -> Design:
    """The design of an artefact; E0705 where its files are not what was written."""
    try:
        return _read(artifact, graph, macro)
    except (KeyError, ValueError, TypeError, OSError, EOFError) as error:
        if isinstance(error, SpikecError):
            raise
        raise fail("E0705", f"{TILES} is damaged: {error}", hint="compile again") from None


def _read(artifact: Artifact, graph: Graph, macro: Macro) -> Design:
    facts: Mapping[str, Any] = artifact.manifest["emission"]
    with np.load(io.BytesIO(artifact.files[TILES]), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    layers = {}
    for name, scheme in facts["layers"].items():
        stage = weighted(next(p for p in graph.projections if p.name == name))
        if stage is None:
            raise ValueError(f"'{name}' has no weights")
        layers[name] = Layer(
            name,
            blocks(stage),
            Scheme(Signs(scheme["signs"]), scheme["weight_bits"], scheme["slice_bits"]),
            arrays[f"{name}.probes"],
        )
    placed, targets, alphas, residuals = [], [], [], []
    for k, one in enumerate(facts["tiles"]):
        tile = Tile(
            one["projection"],
            one["block"],
            arrays[f"{k}.row"],
            arrays[f"{k}.column"],
            arrays[f"{k}.flipped"],
        )
        target, alpha = arrays[f"{k}.target"], arrays[f"{k}.alpha"]
        shape = (tile.rows, tile.lines(layers[tile.projection].scheme))
        if target.shape != shape or alpha.shape != (tile.groups,):
            raise ValueError(f"tile {k} has {target.shape} cells, not {shape}")
        placed.append(tile)
        targets.append(target)
        alphas.append(alpha)
        residuals.append(float(one["residual"]))
    conditions = Conditions(**facts["conditions"])
    return Design(
        macro, conditions, layers, tuple(placed), tuple(targets), tuple(alphas), tuple(residuals)
    )
