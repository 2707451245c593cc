r"""Numba kernels of the exact solvers: chains of wire segments, and the currents of the cells.

A line of n nodes with a shunt conductance :math:`s_k` at each and a segment of R ohm between
neighbours is eliminated from its first node on. With :math:`t_0 = s_0`,

.. math:: t_{k+1} = s_{k+1} + t_k / (1 + R t_k), \quad \kappa_k = 1 / (1 + R t_k),

currents :math:`h_k` that are fed to the nodes give the voltages

.. math::
    y_{k+1} = h_{k+1} + \kappa_k y_k, \quad v_{n-1} = y_{n-1} / t_{n-1}, \quad
    v_k = \kappa_k (R y_k + v_{k+1}).

This is the Cholesky factorisation of the chain's tridiagonal matrix. It is written in R and
:math:`\kappa`, so nothing is subtracted: it keeps its digits for wires of any resistance, and one
number a node is all that is stored; the last node has :math:`1 / t_{n-1}` in its place. An ideal
line (R = 0) is one node.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

# What a word line is: a source, one node behind its drivers, or a chain of nodes.
SOURCE, NODE, CHAIN = range(3)


@numba.njit(cache=True)
def factor_words(
    siemens: Any, ohm: Any, first: Any, last: Any, kind: Any, kappa: Any, fraction: Any
) -> None:
    """Factor every word line; ``fraction`` is each node's voltage for 1 V and bit lines at 0 V.

    ``kappa`` and ``fraction`` have the shape (rows, columns) of the conductances ``siemens``.
    """
    rows, columns = siemens.shape
    for i in range(rows):
        if kind == SOURCE:
            for j in range(columns):
                fraction[i, j] = 1.0
        elif kind == NODE:
            total = first + last
            for j in range(columns):
                total += siemens[i, j]
            for j in range(columns):
                kappa[i, j] = 1.0 / total
                fraction[i, j] = (first + last) / total
        else:
            t = first + siemens[i, 0]
            y = first
            for j in range(columns - 1):
                k = 1.0 / (1.0 + ohm * t)
                kappa[i, j] = k
                fraction[i, j] = y
                y *= k
                t = t * k + siemens[i, j + 1]
            kappa[i, columns - 1] = 1.0 / (t + last)
            v = (y + last) * kappa[i, columns - 1]
            fraction[i, columns - 1] = v
            for j in range(columns - 2, -1, -1):
                v = kappa[i, j] * (ohm * fraction[i, j] + v)
                fraction[i, j] = v


@numba.njit(cache=True)
def factor_bits(shunt: Any, ohm: Any, first: Any, last: Any, kappa: Any) -> None:
    """Factor every bit line at once; ``shunt`` and ``kappa`` have the shape (nodes, columns)."""
    nodes, columns = shunt.shape
    t = np.full(columns, first)
    for i in range(nodes - 1):
        for j in range(columns):
            t[j] += shunt[i, j]
            kappa[i, j] = 1.0 / (1.0 + ohm * t[j])
            t[j] *= kappa[i, j]
    for j in range(columns):
        kappa[nodes - 1, j] = 1.0 / (t[j] + shunt[nodes - 1, j] + last)


@numba.njit(cache=True)
def _solve_bits(ohm: Any, kappa: Any, h: Any, v: Any) -> None:
    """Voltages ``v`` of every bit line by itself, fed with the currents ``h``."""
    nodes, columns = h.shape
    for j in range(columns):
        v[0, j] = h[0, j]
    for i in range(1, nodes):
        for j in range(columns):
            v[i, j] = h[i, j] + kappa[i - 1, j] * v[i - 1, j]
    for j in range(columns):
        v[nodes - 1, j] *= kappa[nodes - 1, j]
    for i in range(nodes - 2, -1, -1):
        for j in range(columns):
            v[i, j] = kappa[i, j] * (ohm * v[i, j] + v[i + 1, j])


@numba.njit(cache=True)
def _solve_word(ohm: Any, kappa: Any, i: Any, y: Any) -> None:
    """Voltages of word line ``i``, a chain, fed with the currents ``y``, in their place."""
    last = y.size - 1
    v = y[0]
    for j in range(1, y.size):
        v = y[j] + kappa[i, j - 1] * v
        y[j] = v
    v *= kappa[i, last]
    y[last] = v
    for j in range(last - 1, -1, -1):
        v = kappa[i, j] * (ohm * y[j] + v)
        y[j] = v


@numba.njit(cache=True)
def solve_words(ohm: Any, kind: Any, kappa: Any, h: Any, v: Any) -> None:
    """Voltages ``v`` of every word line by itself, drivers at 0 V, fed with the currents ``h``."""
    rows, columns = h.shape
    for i in range(rows):
        if kind == SOURCE:
            v[i] = 0.0
        elif kind == NODE:
            total = 0.0
            for j in range(columns):
                total += h[i, j]
            v[i] = total * kappa[i, 0]
        else:
            v[i] = h[i]
            _solve_word(ohm, kappa, i, v[i])


@numba.njit(cache=True)
def _apply(
    siemens: Any,
    active: Any,
    word: Any,
    kind: Any,
    kappa: Any,
    bit: Any,
    first: Any,
    last: Any,
    b: Any,
    out: Any,
    y: Any,
) -> None:
    """Currents ``out`` that leave the bit-line nodes at ``b`` volts while all drivers are at 0 V.

    ``y`` is scratch of one row. A bit line that is one node has one row of ``b``.
    """
    rows, columns = siemens.shape
    nodes = b.shape[0]
    conduct = 1.0 / bit if nodes > 1 else 0.0
    for j in range(columns):
        out[0, j] = first * b[0, j]
    for i in range(1, nodes):
        for j in range(columns):
            flow = conduct * (b[i, j] - b[i - 1, j])
            out[i, j] = flow
            out[i - 1, j] -= flow
    for j in range(columns):
        out[nodes - 1, j] += last * b[nodes - 1, j]
    for i in range(rows):
        if not active[i]:
            continue
        r = i if nodes > 1 else 0
        if kind == SOURCE:
            for j in range(columns):
                out[r, j] += siemens[i, j] * b[r, j]
        elif kind == NODE:
            v = 0.0
            for j in range(columns):
                v += siemens[i, j] * b[r, j]
            v *= kappa[i, 0]
            for j in range(columns):
                out[r, j] += siemens[i, j] * (b[r, j] - v)
        else:
            # The currents first: what is left of the loop is one chain of multiply and add.
            for j in range(columns):
                y[j] = siemens[i, j] * b[r, j]
            _solve_word(word, kappa, i, y)
            for j in range(columns):
                out[r, j] += siemens[i, j] * (b[r, j] - y[j])


@numba.njit(cache=True)
def _dot(a: Any, b: Any, part: Any) -> Any:
    """Sum of products, by column first so that it is vectorised in a fixed order."""
    part[:] = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            part[j] += a[i, j] * b[i, j]
    total = 0.0
    for j in range(part.size):
        total += part[j]
    return total


@numba.njit(cache=True)
def conjugate_gradients(
    siemens: Any,
    active: Any,
    word: Any,
    kind: Any,
    kappa: Any,
    bit: Any,
    first: Any,
    last: Any,
    kappa_bits: Any,
    fed: Any,
    tolerance: Any,
    limit: Any,
    b: Any,
) -> Any:
    r"""Bit-line voltages ``b`` for the currents ``fed`` (nodes, columns); returns iterations or -1.

    Ends when :math:`r^T M^{-1} r` is ``tolerance`` squared of what it was, M being the bit lines by
    themselves, or after ``limit`` iterations. ``b`` is overwritten.
    """
    y, part = np.empty(siemens.shape[1]), np.empty(siemens.shape[1])
    r, z, q = fed.copy(), np.empty_like(fed), np.empty_like(fed)
    b[:] = 0.0
    _solve_bits(bit, kappa_bits, r, z)
    p = z.copy()
    rho = _dot(r, z, part)
    goal = tolerance * tolerance * rho
    for step in range(limit + 1):
        if rho <= goal:
            return step
        if step == limit:
            break
        _apply(siemens, active, word, kind, kappa, bit, first, last, p, q, y)
        alpha = rho / _dot(p, q, part)
        for i in range(b.shape[0]):
            for j in range(b.shape[1]):
                b[i, j] += alpha * p[i, j]
                r[i, j] -= alpha * q[i, j]
        _solve_bits(bit, kappa_bits, r, z)
        new = _dot(r, z, part)
        beta = new / rho
        rho = new
        for i in range(b.shape[0]):
            for j in range(b.shape[1]):
                p[i, j] = z[i, j] + beta * p[i, j]
    return -1


@numba.njit(cache=True)
def admittance(siemens: Any, ohm: Any, first: Any, last: Any, kind: Any, out: Any) -> None:
    r"""Adds a row's admittance between its bit-line nodes, :math:`G - G W G`, to ``out``.

    W, the inverse of the word line's matrix, is
    :math:`W_{jk} = W_{jj} \prod_{j < l \le k} \rho_l` for k > j, where :math:`\rho_l` is the share
    of a node's voltage that reaches the next: products only, so a chain's currents keep their
    digits where the cells are small beside the wires. ``siemens`` has one row.
    """
    columns = siemens.size
    if kind == SOURCE:
        for j in range(columns):
            out[j, j] += siemens[j]
        return
    if kind == NODE:
        total = first + last
        for j in range(columns):
            total += siemens[j]
        for j in range(columns):
            for k in range(columns):
                out[j, k] -= siemens[j] * siemens[k] / total
            out[j, j] += siemens[j]
        return
    # right[l]: conductance of all to the right of node l, without its own cell.
    right, rho = np.empty(columns), np.empty(columns)
    right[columns - 1] = last
    for j in range(columns - 1, 0, -1):
        t = siemens[j] + right[j]
        rho[j] = 1.0 / (1.0 + ohm * t)
        right[j - 1] = t * rho[j]
    left = first
    for j in range(columns):
        around = left + right[j]
        here = 1.0 / (around + siemens[j])
        out[j, j] += siemens[j] * around * here
        v = siemens[j] * here
        for k in range(j + 1, columns):
            v *= rho[k]
            current = v * siemens[k]
            out[j, k] -= current
            out[k, j] -= current
        t = left + siemens[j]
        left = t / (1.0 + ohm * t)


@numba.njit(cache=True, fastmath={"contract", "reassoc", "nsz"})
def variances(across: Any, share: Any, pulses: Any, out: Any) -> None:
    """Into ``out`` (vectors, columns): over the rows, (share u)^2 with u the cells' voltages.

    ``across`` (lines, rows, columns) are the voltages for a pulse on each word line by itself,
    ``share`` (rows, columns), ``pulses`` (vectors, lines).
    """
    lines, rows, columns = across.shape
    u = np.empty((rows, columns), across.dtype)
    for v in range(pulses.shape[0]):
        u[:] = 0
        for line in range(lines):
            x = across.dtype.type(pulses[v, line])
            if x != 0:
                for i in range(rows):
                    for j in range(columns):
                        u[i, j] += x * across[line, i, j]
        out[v] = 0
        for i in range(rows):
            for j in range(columns):
                noise = share[i, j] * u[i, j]
                out[v, j] += noise * noise
