r"""Conductances among a device's levels whose sums, behind the wires, are those of the weights.

Of each group g of bit lines, with the exact transfer matrix T of a tile, the significance and side
:math:`s_l` of bit line l, and u what a weight of one is in S, the error in units of a weight is

.. math:: e_{ig} = \frac{1}{\alpha_g u} \sum_{l \in g} s_l T_{il} - w_{ig}

and levels are looked for that make :math:`J = \sum_g e_g^T H e_g` small: with
:math:`X^T X / N` of the vectors X that reach the tile for H, J is the mean square of what sums are
off, so that rows make up for each other's rounding. As other vectors come, too, the mean of its
diagonal is added to it.

A weight of several cells can be had in many ways: what an upper slice is off the next one takes up,
and both cells of a pair may conduct. :func:`rounded` goes down the slices once; then the cells of
each group in each row are chosen together, as the closest vector of the lattice of their levels
(`lattice.py`), with T anew in between. Where the highest slice is not used up the weights of a
group are taken as many times as it holds, and divided by a digital factor: levels are as much finer
then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ...boards.device import Device
from . import lattice
from .circuit import Crossbar
from .curve import chord
from .layout import Scheme, Signs
from .solve import Solver, transfer

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

# Transfer matrices at most, sweeps over all cells with each, and the share of J that is left where
# another does not pay.
_TURNS: Final = 4
_SWEEPS: Final = 4
_ENOUGH: Final = 0.9
# Values of cells that a search for a closest vector looks at.
_CANDIDATES: Final = 1000
# Turns in which a slice takes up what those above are off.
_REFINED: Final = 2
# How many times weights are taken at most, and the part of the highest slice that they may need:
# the rest is for what wires take.
_MULTIPLE: Final = 16.0
_ROOM: Final = 0.9


@dataclass(frozen=True, eq=False)
class Levelled:
    """What `levelled` found: ``level`` (word lines, bit lines) of each cell, ``alpha`` (groups,).

    ``error`` e (word lines, groups) is in units of a weight.
    """

    level: Integers
    alpha: Floats
    error: Floats


@dataclass(frozen=True, eq=False)
class Aim:
    """What the sums of a tile are meant to be.

    ``weight`` (word lines, groups) is whole, ``unit`` what one of it is in S, ``rows`` and
    ``groups`` number the word lines and groups that have weights, ``metric`` (word lines, word
    lines) is H.
    """

    scheme: Scheme
    weight: Integers
    unit: float
    rows: Integers
    groups: Integers
    metric: Floats

    @property
    def counts(self) -> Floats:
        """What the current of each bit line counts, (bit lines,): significance and side."""
        significance = self.scheme.significance.astype(np.float64)
        groups = self.weight.shape[1]
        if self.scheme.signs is Signs.DIFFERENTIAL:
            return np.tile(np.outer(significance, (1, -1)).ravel(), groups)
        return np.concatenate([-significance, np.tile(significance, groups)])

    def error(self, circuit: Crossbar, alpha: Floats) -> Floats:
        """e (word lines, groups), in units of a weight; 0 where there are none."""
        return self._error(self._sums(circuit), alpha)

    def fitted(self, circuit: Crossbar, alpha: Floats) -> tuple[Floats, Floats]:
        """The alpha of each group that fits its sums best, ``alpha`` where none does, and e."""
        sums = self._sums(circuit)
        wanted = self.weight * self.unit
        felt = self.metric @ wanted
        norm, fit = (wanted * felt).sum(axis=0), (sums * felt).sum(axis=0)
        usable = (norm > 0) & (fit > 0)
        best = np.where(usable, fit / np.where(usable, norm, 1.0), alpha)
        return best, self._error(sums, best)

    def cost(self, error: Floats) -> float:
        """J, in squares of a unit."""
        return float((error * (self.metric @ error)).sum())

    def _sums(self, circuit: Crossbar) -> Floats:
        """What differences of currents come to, in S, (word lines, groups)."""
        counted = transfer(circuit) * self.counts
        shared = self.scheme.shared
        own = counted[:, shared:].reshape(*self.weight.shape, -1).sum(axis=-1)
        return np.asarray(own + counted[:, :shared].sum(axis=1, keepdims=True))

    def _error(self, sums: Floats, alpha: Floats) -> Floats:
        found = np.zeros(self.weight.shape)
        at = np.ix_(self.rows, self.groups)
        found[at] = (sums / (alpha * self.unit) - self.weight)[at]
        return found


def levels_of(device: Device) -> Floats:
    """The conductances of all levels of a device that has them, in S, ascending."""
    assert device.levels is not None  # the caller has seen to it
    return np.linspace(device.g_min.value, device.g_max.value, int(device.levels.value))


def chords_of(device: Device, voltage: float) -> Floats:
    """What its levels conduct at a voltage, in S, ascending."""
    return chord(device, levels_of(device), voltage)


def metric(seen: Integers) -> Floats:
    """H (rows, rows) of the vectors (vectors, rows) that reach word lines."""
    x = np.clip(seen, -1, 1).astype(np.float64)
    found = x.T @ x / max(len(x), 1)
    diagonal = np.diagonal(found)
    mean = diagonal[diagonal > 0].mean() if diagonal.any() else 1.0
    return np.asarray(found + mean * np.eye(len(found)))


def multiplied(weight: Integers, scheme: Scheme) -> tuple[Floats, Floats]:
    """Digits (word lines, bit lines) of ``weight`` (word lines, groups) times (groups,), and these.

    Digits are the nearest from the highest slice down, so that half the range of lower ones is left
    for what upper ones are off, and those of the lowest slice are not whole. A cell beside an
    offset has no sign: its digits are the scheme's, once.
    """
    if scheme.signs is Signs.OFFSET:
        sides = scheme.digits(weight)[..., 0].reshape(len(weight), -1)
        middle = np.broadcast_to(scheme.digits(0)[:, 1], (len(weight), scheme.slices))
        return np.concatenate([middle, sides], axis=1).astype(np.float64), np.ones(weight.shape[1])
    most, significance = scheme.base - 1, scheme.significance
    largest = np.maximum(np.abs(weight).max(axis=0), 1)
    times = np.clip(_ROOM * most * significance[-1] / largest, 1.0, _MULTIPLE)
    rest = weight * times
    found = np.empty((*weight.shape, scheme.slices, 2))
    for k in range(scheme.slices - 1, -1, -1):
        digit = rest / significance[k]
        digit = np.clip(np.rint(digit) if k else digit, -most, most)
        found[..., k, 0], found[..., k, 1] = np.maximum(digit, 0), np.maximum(-digit, 0)
        rest = rest - digit * significance[k]
    return found.reshape(len(weight), -1), times


def levelled(
    circuit: Crossbar, aim: Aim, table: Floats, alpha: Floats, held: Mask | None = None
) -> Levelled:
    """Levels of the cells of ``circuit``; J is never more than with the nearest of each.

    ``table`` has what a cell can conduct, in S, ascending. ``alpha`` (groups,) is what differences
    come to in parts of the weights: it is fitted, a digital factor that costs nothing. Cells that
    are ``held`` stay as they are in ``circuit``.
    """
    held = np.zeros(circuit.conductance.shape, np.bool_) if held is None else held
    inner = np.ascontiguousarray(aim.metric[np.ix_(aim.rows, aim.rows)])
    word, bit = (circuit.word, *circuit.drive_ends), (circuit.bit, *circuit.sense_ends)
    level = nearest_level(circuit.conductance, table)
    siemens = np.where(held, circuit.conductance, table[level])
    fitted, error = aim.fitted(replace(circuit, conductance=siemens), alpha)
    best, least = Levelled(level, fitted, error), aim.cost(error)
    level, before = rounded(circuit, aim, table, alpha, held), np.inf
    for _ in range(_TURNS):
        siemens = np.where(held, circuit.conductance, table[level])
        fitted, error = aim.fitted(replace(circuit, conductance=siemens), alpha)
        cost = aim.cost(error)
        if cost < least:
            best, least = Levelled(level.copy(), fitted, error), cost
        if cost > _ENOUGH * before or cost == 0:
            break
        before = cost
        words, bits = np.empty((4, *siemens.shape)), np.empty((4, *siemens.T.shape))
        lattice.chains(siemens, *word, words)
        lattice.chains(np.ascontiguousarray(siemens.T), *bit, bits)
        wrong = np.ascontiguousarray(error[aim.rows].T)
        for _ in range(_SWEEPS):
            lattice.sweep(
                level,
                siemens,
                table,
                ~held,
                aim.counts,
                aim.scheme.shared,
                1 / (fitted * aim.unit),
                aim.rows,
                aim.groups,
                inner,
                wrong,
                words,
                bits,
                word,
                bit,
                _CANDIDATES,
            )
    return best


def rounded(circuit: Crossbar, aim: Aim, table: Floats, alpha: Floats, held: Mask) -> Integers:
    """The levels (word lines, bit lines) of the cells of ``circuit``, slice by slice from the top.

    What those above are off when they are at levels a slice takes up, with T anew; of a pair the
    cell that adds to its difference, so that the other stays at its base.
    """
    scheme, shared = aim.scheme, aim.scheme.shared
    siemens = circuit.conductance.copy()
    pairs = scheme.signs is Signs.DIFFERENTIAL
    own = siemens[:, shared:].reshape(*aim.weight.shape, scheme.slices, 1 + pairs)
    fixed = held[:, shared:].reshape(own.shape)
    offset = siemens[:, :shared]
    offset[:] = np.where(held[:, :shared], offset, table[nearest_level(offset, table)])
    for k in range(scheme.slices - 1, -1, -1):
        part, stays = own[:, :, k], fixed[:, :, k]
        for _ in range(_REFINED if shared or k < scheme.slices - 1 else 0):
            trial = replace(circuit, conductance=siemens)
            slope = Solver(trial).drive * Solver(trial.transposed()).drive.T
            steep = slope[:, shared:].reshape(own.shape)[:, :, k].mean(axis=-1)
            lacks = -aim.error(trial, alpha) * alpha * aim.unit
            more = lacks / (scheme.significance[k] * steep)
            part[:] = np.where(stays, part, np.clip(_more(part, stays, more), table[0], table[-1]))
        part[:] = np.where(stays, part, table[nearest_level(part, table)])
    return nearest_level(siemens, table)


def _more(part: Floats, stays: Mask, more: Floats) -> Floats:
    """Cells (..., sides) whose difference, or itself where there is one, is so much more."""
    if part.shape[-1] == 1:
        return part + more[..., None]
    plus, minus = part[..., 0], part[..., 1]
    difference = plus - minus + more
    base = np.where(stays[..., 0], plus - difference, np.minimum(plus, minus))
    base = np.where(stays[..., 1], minus, base)
    above, below = np.maximum(difference, 0), np.maximum(-difference, 0)
    free = ~stays.any(axis=-1)
    return np.stack(
        [np.where(free, base + above, base + difference), np.where(free, base + below, base)], -1
    )


def nearest_level(siemens: Floats, table: Floats) -> Integers:
    """The places in ``table`` that are nearest to conductances."""
    return np.asarray(np.searchsorted((table[1:] + table[:-1]) / 2, siemens), np.int64)
