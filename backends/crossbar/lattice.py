r"""Numba kernels that choose levels of cells: the currents they change, and the closest vector.

To first order a change of one conductance changes what is seen of its own word line and of its own
bit line, with the other lines at 0 V:

.. math::
    dT_{kl} &= f_{kl} h_{kl}\, dG_{kl} \\
    dT_{il} &\mathrel{-}= G_{il} f_{il} Z^b_{ik} h_{kl}\, dG_{kl} \\
    dT_{kj} &\mathrel{-}= G_{kj} h_{kj} Z^w_{jl} f_{kl}\, dG_{kl}

f is what the word line leaves of a drive, h what the bit line leaves of a current, and Z the
voltage at one node of a line for 1 A into another. A line is a chain, so that Z needs three numbers
a node: :math:`Z_{kk}`, and what of a node's voltage is left at its neighbours. What is neglected,
cells of another word line and another bit line, is of second order in wire times conductance.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True)
def chain(
    siemens: Any, ohm: Any, first: Any, last: Any, before: Any, after: Any, own: Any, share: Any
) -> None:
    """One line of ``siemens`` shunts, ends of ``first`` and ``last`` S: four arrays (nodes,).

    ``own`` is the voltage of a node for 1 A into it, ``before`` and ``after`` the shares of it at
    the nodes before and behind, ``share`` the voltage of each node for 1 V at the ends.
    """
    n = siemens.size
    if ohm == 0.0 and (first == np.inf or last == np.inf):
        before[:], after[:], own[:], share[:] = 1.0, 1.0, 0.0, 1.0
        return
    t = first
    for k in range(n):
        own[k] = t + siemens[k]
        if k < n - 1:
            before[k + 1] = 1.0 / (1.0 + ohm * own[k])
            t = own[k] * before[k + 1]
    t = last
    for k in range(n - 1, -1, -1):
        own[k] = 1.0 / (own[k] + t)
        if k > 0:
            t += siemens[k]
            after[k - 1] = 1.0 / (1.0 + ohm * t)
            t *= after[k - 1]
    before[0], after[n - 1] = 0.0, 0.0
    v = first * own[0]
    for k in range(n):
        share[k] = v
        v *= after[k]
    v = last * own[n - 1]
    for k in range(n - 1, -1, -1):
        share[k] += v
        v *= before[k]


@numba.njit(cache=True)
def chains(siemens: Any, ohm: Any, first: Any, last: Any, found: Any) -> None:
    """``chain`` of each line of ``siemens`` (lines, nodes); ``found`` is (4, lines, nodes)."""
    for i in range(siemens.shape[0]):
        chain(siemens[i], ohm, first, last, found[0, i], found[1, i], found[2, i], found[3, i])


@numba.njit(cache=True)
def _voltages(before: Any, after: Any, own: Any, k: int, out: Any) -> None:
    """Voltage of each node of a line for 1 A into node k."""
    v = own[k]
    for m in range(k, -1, -1):
        out[m] = v
        v *= before[m]
    v = own[k]
    for m in range(k, own.size):
        out[m] = v
        v *= after[m]


@numba.njit(cache=True)
def nearest(table: Any, value: float) -> int:
    """The place in an ascending ``table`` of what is nearest to ``value``."""
    last = table.size - 1
    k = int(min(max((value - table[0]) / (table[last] - table[0]), 0.0), 1.0) * last)
    while k < last and abs(table[k + 1] - value) < abs(table[k] - value):
        k += 1
    while k > 0 and abs(table[k - 1] - value) < abs(table[k] - value):
        k -= 1
    return k


@numba.njit(cache=True)
def closest(factor: Any, offset: Any, table: Any, at: Any, most: int, found: Any) -> bool:
    r"""The places in ``table`` of least :math:`|R x + c|^2`, x what they are above those ``at``.

    ``factor`` R (cells, cells) is upper triangular, ``offset`` c (cells,), and so is ``at``. The
    search is Schnorr and Euchner's (Math. Programming 66, 181, 1994): from the last cell to the
    first, each from its best value outward, given up where the sum is more than the least so far;
    after ``most`` values it stops. False, and ``found`` as it was, where nothing is below |c|^2.
    """
    n, size = offset.size, table.size
    least = (offset**2).sum() * (1 - 1e-9)
    x, sums, wish = np.zeros(n), np.zeros(n + 1), np.zeros(n)
    place, low, high = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    better, fresh, k = False, True, n - 1
    for _ in range(most):
        if fresh:
            rest = offset[k]
            for m in range(k + 1, n):
                rest += factor[k, m] * x[m]
            wish[k] = table[at[k]] - rest / factor[k, k]
            place[k] = nearest(table, wish[k])
            low[k], high[k] = place[k] - 1, place[k] + 1
        elif high[k] < size and (low[k] < 0 or table[high[k]] - wish[k] < wish[k] - table[low[k]]):
            place[k] = high[k]
            high[k] += 1
        else:
            place[k] = low[k]
            low[k] -= 1
        total = np.inf
        if place[k] >= 0:
            x[k] = table[place[k]] - table[at[k]]
            total = sums[k + 1] + (factor[k, k] * (table[place[k]] - wish[k])) ** 2
        fresh = total < least and k > 0
        if fresh:
            sums[k] = total
            k -= 1
            continue
        if total < least:
            least, better = total, True
            found[:] = place
        k += 1
        if k == n:
            break
    return better


@numba.njit(cache=True)
def _factored(square: Any, factor: Any) -> None:
    """Upper triangular R with R^T R = ``square``, where that is not quite positive, too."""
    for a in range(square.shape[0]):
        rest = square[a, a]
        for b in range(a):
            rest -= factor[b, a] ** 2
        factor[a, a] = np.sqrt(max(rest, 1e-9 * square[a, a]))
        for b in range(a + 1, square.shape[0]):
            rest = square[a, b]
            for m in range(a):
                rest -= factor[m, a] * factor[m, b]
            factor[a, b] = rest / factor[a, a]


@numba.njit(cache=True)
def sweep(
    level: Any,
    siemens: Any,
    table: Any,
    free: Any,
    sign: Any,
    shared: int,
    unit: Any,
    rows: Any,
    groups: Any,
    metric: Any,
    wrong: Any,
    words: Any,
    bits: Any,
    word: Any,
    bit: Any,
    most: int,
) -> int:
    r"""Each group of cells of a row in turn to the levels of least :math:`\sum_g e_g^T H e_g`.

    ``level`` and ``siemens`` (word lines, bit lines) are changed, and ``wrong`` e (groups, rows)
    with them. ``sign`` (bit lines,) is what a current counts and ``unit`` (groups,) in 1/S what a
    difference of currents does; the bit lines of a group lie side by side, behind the ``shared``
    ones of all groups, which stay. ``rows`` and ``groups`` number those that count, ``metric`` H
    (rows, rows) is of the former. ``words`` (4, word lines, bit lines) and ``bits`` (4, bit lines,
    word lines) are the lines as ``chains`` finds them, ``word`` and ``bit`` (ohm, first, last). The
    number of groups of cells that changed.
    """
    many, width = rows.size, (sign.size - shared) // unit.size
    along, across = np.empty(siemens.shape[0]), np.empty(siemens.shape[1])
    own, felt = np.empty((width, many)), np.empty((width, many))
    others = np.zeros((width, unit.size))
    cell, at = np.empty(width, np.int64), np.empty(width, np.int64)
    slope, moved = np.empty(width), 0
    pull = wrong @ metric
    for r in range(many):
        k = rows[r]
        for g in groups:
            n = 0
            for line in range(shared + g * width, shared + (g + 1) * width):
                if not free[k, line]:
                    continue
                cell[n], at[n] = line, level[k, line]
                # What 1 S more at this cell does to its own bit line, and to those of its row.
                _voltages(bits[0, line], bits[1, line], bits[2, line], k, along)
                _voltages(words[0, k], words[1, k], words[2, k], line, across)
                drive, left = words[3, k, line], bits[3, line, k]
                counts = sign[line] * unit[g]
                for i in range(many):
                    fed = siemens[rows[i], line] * words[3, rows[i], line]
                    own[n, i] = -counts * fed * along[rows[i]] * left
                own[n, r] += counts * drive * left
                both = 0.0
                for j in range(shared):
                    both -= sign[j] * siemens[k, j] * bits[3, j, k] * across[j]
                for q in groups:
                    total = both
                    for j in range(shared + q * width, shared + (q + 1) * width):
                        total -= sign[j] * siemens[k, j] * bits[3, j, k] * across[j]
                    others[n, q] = total * drive * unit[q]
                own[n, r] += others[n, g]
                others[n, g] = 0.0
                slope[n] = (own[n] * pull[g]).sum() + (others[n] * pull[:, r]).sum()
                n += 1
            if n == 0:
                continue
            square, factor, offset = np.empty((n, n)), np.zeros((n, n)), np.empty(n)
            felt[:n] = own[:n] @ metric
            for a in range(n):
                for b in range(a + 1):
                    square[a, b] = (own[b] * felt[a]).sum()
                    square[a, b] += metric[r, r] * (others[a] * others[b]).sum()
                    square[b, a] = square[a, b]
            _factored(square, factor)
            for a in range(n):
                offset[a] = slope[a]
                for b in range(a):
                    offset[a] -= factor[b, a] * offset[b]
                offset[a] /= factor[a, a]
            found = at[:n].copy()
            if not closest(factor, offset, table, at[:n], most, found):
                continue
            moved += 1
            for a in range(n):
                line = cell[a]
                more = table[found[a]] - table[at[a]]
                if more == 0.0:
                    continue
                level[k, line], siemens[k, line] = found[a], table[found[a]]
                wrong[g] += own[a] * more
                pull[g] += felt[a] * more
                for q in groups:
                    wrong[q, r] += others[a, q] * more
                    pull[q] += metric[r] * (others[a, q] * more)
                chain(
                    siemens[:, line],
                    bit[0],
                    bit[1],
                    bit[2],
                    bits[0, line],
                    bits[1, line],
                    bits[2, line],
                    bits[3, line],
                )
            chain(
                siemens[k],
                word[0],
                word[1],
                word[2],
                words[0, k],
                words[1, k],
                words[2, k],
                words[3, k],
            )
    return moved
