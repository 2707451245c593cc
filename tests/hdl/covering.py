"""Covering arrays: few rows in which every combination of t factors has every pair of levels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

Row = dict[str, Any]


def interactions(
    factors: Mapping[str, Sequence[Any]], strength: int, allowed: Callable[[Row], bool]
) -> set[tuple[tuple[str, int], ...]]:
    """Every allowed combination of levels of ``strength`` factors, as (factor, level number)."""
    found = set()
    for names in combinations(factors, strength):
        for levels in product(*(range(len(factors[name])) for name in names)):
            part = {n: factors[n][k] for n, k in zip(names, levels, strict=True)}
            if allowed(part):
                found.add(tuple(zip(names, levels, strict=True)))
    return found


def covering_array(
    factors: Mapping[str, Sequence[Any]],
    strength: int = 2,
    allowed: Callable[[Row], bool] = lambda part: True,
    seed: int = 0,
    tries: int = 30,
) -> list[Row]:
    """Rows that contain every allowed interaction, each the best of some greedy ones.

    ``allowed`` judges a part of a row (factors without a level are missing in it) and may only
    forbid more the more levels there are. A greedy row starts with an interaction that is still
    missing; factor by factor, in random order, the level follows that covers most.
    """
    rng = np.random.default_rng(seed)
    missing = interactions(factors, strength, allowed)
    names = list(factors)

    def covered(levels: Mapping[str, int], name: str | None = None) -> int:
        """Missing interactions that a row (part) has, those of one factor only."""
        known = [(n, levels[n]) for n in names if n in levels]
        if name is None:
            return sum(some in missing for some in combinations(known, strength))
        at = next(k for k, (n, _) in enumerate(known) if n == name)
        before, own, behind = known[:at], known[at : at + 1], known[at + 1 :]
        return sum(
            (*left, *own, *right) in missing
            for size in range(strength)
            for left in combinations(before, size)
            for right in combinations(behind, strength - 1 - size)
        )

    def row() -> dict[str, int] | None:
        levels = dict(ordered[rng.integers(len(ordered))])
        for name in rng.permutation([n for n in names if n not in levels]).tolist():
            options = []
            for k in rng.permutation(len(factors[name])).tolist():
                trial = {**levels, name: k}
                if allowed({n: factors[n][at] for n, at in trial.items()}):
                    options.append((covered(trial, name), k))
            if not options:
                return None
            levels[name] = max(options, key=lambda option: option[0])[1]
        return levels

    rows: list[Row] = []
    while missing:
        ordered = sorted(missing)
        made = [levels for levels in (row() for _ in range(tries)) if levels is not None]
        best = max(made, key=covered)
        missing -= {tuple((n, best[n]) for n in some) for some in combinations(names, strength)}
        rows.append({name: factors[name][best[name]] for name in names})
    return rows
