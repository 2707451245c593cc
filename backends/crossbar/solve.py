r"""Exact currents of a crossbar of linear cells, wires and all.

Word lines are eliminated, each a chain factored once, which leaves the bit-line nodes b:

.. math:: S b = f, \quad S = L_b + \sum_i (G_i - G_i W_i G_i), \quad f_i = G_i w^0_i V_i

with :math:`L_b` the bit lines' wires, :math:`W_i` the inverse of word line i, and :math:`w^0_i` its
voltages for 1 V and grounded bit lines. S is symmetric and positive definite whatever the wires, so
conjugate gradients cannot diverge where a fixed point of the node voltages does.

Three uses: ``Solver.currents`` for some vectors; ``transfer`` for many vectors through cells that
stay as they are; ``Solver.currents`` with ``active`` for gated rows, whose transistors take the
cells of silent rows out of the circuit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import ThreadpoolController

from ...ir.diagnostics import fail
from . import kernels
from .circuit import Crossbar, Sense

Array = npt.NDArray[np.float64]
TOLERANCE = 1e-13
_SMALL = 256  # columns up to which one thread is the fastest


def each_vector(
    circuit: Crossbar,
    voltage: Any,
    active: Any,
    limit: int | None,
    shape: tuple[int, ...],
    solve: Callable[[Array, npt.NDArray[np.bool_], int], Array],
) -> Array:
    """What ``solve`` finds, of ``shape``, for each vector of ``voltage``; its axes come first.

    It is given the vector, 0 V where rows are not ``active``, which those are, and the iterations
    that there may be: ``limit``, by default ten a line.
    """
    volt = circuit.voltages(voltage)
    on = circuit.active(active, volt)
    most = 10 * (circuit.rows + circuit.columns) if limit is None else limit
    out = np.empty((len(volt), *shape))
    for k, vector in enumerate(volt):
        out[k] = solve(np.where(on[k], vector, 0.0), on[k], most)
    return out.reshape(*np.shape(voltage)[:-1], *shape)


def solutions(
    circuit: Crossbar,
    voltage: Any,
    active: Any,
    limit: int | None,
    solve: Callable[[Array, npt.NDArray[np.bool_], int], tuple[Array, Array]],
) -> tuple[Array, Array]:
    """Currents of bit lines and voltages across cells, ``solve``'s for each vector."""
    shape = (circuit.rows + 1, circuit.columns)
    both = each_vector(
        circuit, voltage, active, limit, shape, lambda *vector: np.vstack(solve(*vector))
    )
    return both[..., 0, :], both[..., 1:, :]


class Solver:
    r"""Currents of one crossbar, vector by vector; memory and factors are O(rows columns).

    Conjugate gradients on the bit-line nodes, preconditioned with the bit lines by themselves
    (``L_b + G``, a tridiagonal matrix each): 5 to 20 iterations at 64 to 1024 rows and 1 ohm.
    """

    def __init__(self, circuit: Crossbar) -> None:
        self.circuit = circuit
        self._kind = _kind(circuit)
        first, last = circuit.drive_ends
        shape = circuit.conductance.shape
        self._kappa, self._fraction = np.zeros(shape), np.empty(shape)
        kernels.factor_words(
            circuit.conductance, circuit.word, first, last, self._kind, self._kappa, self._fraction
        )
        everything = np.ones(circuit.rows, np.bool_)
        self._bits = None if circuit.bit + circuit.sense == 0 else self._factored(everything)

    @property
    def drive(self) -> Array:
        """Voltage of each node of a word line, (rows, columns), for 1 V and bit lines at 0 V."""
        return self._fraction

    def _factored(self, active: npt.NDArray[np.bool_]) -> Array:
        """The bit lines' factors with the cells of ``active`` rows."""
        circuit = self.circuit
        shunt = circuit.conductance * active[:, None]
        if circuit.bit == 0:
            shunt = shunt.sum(0, keepdims=True)
        kappa = np.empty_like(shunt)
        kernels.factor_bits(shunt, circuit.bit, *circuit.sense_ends, kappa)
        return kappa

    def currents(
        self,
        voltage: Any,
        active: Any = None,
        *,
        tolerance: float = TOLERANCE,
        limit: int | None = None,
    ) -> Array:
        r"""Current of each bit line into its sense amplifiers, in A, for each vector.

        ``voltage`` (rows,) or (vectors, rows) in V gives (columns,) or (vectors, columns); where
        both ends are sensed it is their sum. A row at 0 V is driven: its cells still conduct.
        ``active``, of the shape of ``voltage``, closes the transistors of gated rows (1T1R): the
        cells of other rows are not in the circuit, and their voltage does not count.

        ``tolerance`` is of the residual, relative; an error (E1303) if ``limit`` iterations, by
        default ten a line, do not reach it.
        """
        return each_vector(
            self.circuit,
            voltage,
            active,
            limit,
            (self.circuit.columns,),
            lambda volt, on, most: self._vector(volt, on, tolerance, most),
        )

    def across(
        self,
        voltage: Any,
        active: Any = None,
        *,
        tolerance: float = TOLERANCE,
        limit: int | None = None,
    ) -> Array:
        """Voltage from word line to bit line across each cell, (vectors, rows, columns) in V.

        Arguments and errors are those of ``currents``; (rows, columns) for one vector. It is 0 in
        rows that are not ``active``.
        """
        return self.solution(voltage, active, tolerance=tolerance, limit=limit)[1]

    def solution(
        self,
        voltage: Any,
        active: Any = None,
        *,
        tolerance: float = TOLERANCE,
        limit: int | None = None,
    ) -> tuple[Array, Array]:
        """``currents`` and ``across`` of the same vectors, by one solution each."""
        none = np.zeros(self.circuit.conductance.shape)
        return solutions(
            self.circuit,
            voltage,
            active,
            limit,
            lambda volt, on, most: self.with_sources(volt, on, none, tolerance, most),
        )

    def _vector(
        self, volt: Array, on: npt.NDArray[np.bool_], tolerance: float, limit: int
    ) -> Array:
        fed = self.circuit.conductance * self._fraction
        fed *= volt[:, None]
        return self._bit_lines(fed, on, tolerance, limit)[1]

    def with_sources(
        self,
        volt: Array,
        on: npt.NDArray[np.bool_],
        source: Array,
        tolerance: float,
        limit: int,
    ) -> tuple[Array, Array]:
        r"""Currents of bit lines and voltages across cells, with a current source beside each cell.

        With ``source`` J (rows, columns), in A from word line to bit line,

        .. math::
            f_i = G_i (w^0_i V_i - W_i J_i) + J_i, \quad w_i = w^0_i V_i + W_i (G_i b_i - J_i).

        For one vector: ``volt`` (rows,), and the rows that are ``on``. ``source`` is 0 in the
        others, and so are their voltages here.
        """
        siemens = self.circuit.conductance
        alone = np.empty_like(source)
        kernels.solve_words(self.circuit.word, self._kind, self._kappa, -source, alone)
        alone += self._fraction * volt[:, None]
        bit, sensed = self._bit_lines(siemens * alone + source, on, tolerance, limit)
        word = np.empty_like(source)
        kernels.solve_words(self.circuit.word, self._kind, self._kappa, siemens * bit, word)
        return sensed, (alone + word - bit) * on[:, None]

    def _bit_lines(
        self, fed: Array, on: npt.NDArray[np.bool_], tolerance: float, limit: int
    ) -> tuple[Array, Array]:
        """Voltages of the bit-line nodes, and currents into the sense amplifiers."""
        circuit = self.circuit
        if circuit.bit == 0:
            fed = fed.sum(0, keepdims=True)
        if self._bits is None:
            return np.zeros_like(fed), np.asarray(fed[0])
        first, last = circuit.sense_ends
        nodes = np.empty_like(fed)
        done = kernels.conjugate_gradients(
            circuit.conductance,
            on,
            circuit.word,
            self._kind,
            self._kappa,
            circuit.bit,
            first,
            last,
            self._bits if on.all() else self._factored(on),
            fed,
            tolerance,
            limit,
            nodes,
        )
        if done < 0:
            raise fail(
                "E1303",
                f"{limit} iterations do not reach a relative residual of {tolerance:g}",
                hint="allow more iterations or a larger tolerance",
            )
        return nodes, np.asarray(first * nodes[0] + last * nodes[-1])


def transfer(circuit: Crossbar) -> Array:
    r"""The matrix T (rows, columns) in S of :math:`I = V T`, with all rows driven.

    Row after row joins the bit lines: with S the admittance, seen from row i, of all rows up to it
    (columns, columns), y (columns, rows) the currents that 1 V on each of them feeds there,

    .. math::
        S_{i+1} = A_{i+1} + (1 + R_b S_i)^{-1} S_i, \quad y_{i+1} = (1 + R_b S_i)^{-1} y_i,

    A the row's own admittance, and its column of y joining. One dense Cholesky factorisation a row:
    O(rows columns^3) operations on O(columns (rows + columns)) numbers. The shorter side is swept
    over, by reciprocity. Where bit lines are sensed at both ends the current at the top is gathered
    on the way.
    """
    if circuit.bit + circuit.sense > 0 and (
        circuit.word + circuit.driver == 0 or circuit.columns > circuit.rows
    ):
        return np.ascontiguousarray(transfer(circuit.transposed()).T)
    # Threads of BLAS cost more than they save on matrices of this size.
    limited: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    if circuit.columns <= _SMALL:
        limited = _libraries().limit(limits=1)
    with limited:
        return _swept(circuit)


@cache
def _libraries() -> ThreadpoolController:
    """The libraries with threads; looking for them takes milliseconds."""
    return ThreadpoolController()


def _swept(circuit: Crossbar) -> Array:
    """``transfer`` over the rows as they are."""
    if circuit.sensed is Sense.TOP:
        return _swept(_upside_down(circuit))[::-1]
    siemens, ohm = circuit.conductance, circuit.bit
    rows, columns = siemens.shape
    kind, drive = _kind(circuit), circuit.drive_ends
    kappa, fraction = np.zeros(siemens.shape), np.empty(siemens.shape)
    kernels.factor_words(siemens, circuit.word, *drive, kind, kappa, fraction)
    feeds = siemens * fraction
    if ohm + circuit.sense == 0:
        return feeds
    top, bottom = circuit.sense_ends
    eye = np.eye(columns)
    if ohm == 0:
        seen = (top + bottom) * eye
        for i in range(rows):
            kernels.admittance(siemens[i], circuit.word, *drive, kind, seen)
        share = cho_solve(cho_factor(seen, lower=True), feeds.T)
        return np.ascontiguousarray((top + bottom) * share.T)
    # S, what 1 A at the top end of each bit line feeds, and y: one block of right-hand sides.
    probed = columns if top else 0
    block = np.zeros((columns, columns + probed + rows), order="F")
    seen, probe, fed = np.split(block, (columns, columns + probed), axis=1)
    seen[:] = top * eye
    if probed:
        probe[:] = top * eye
    result = np.zeros((columns, rows))
    for i in range(rows - 1):
        kernels.admittance(siemens[i], circuit.word, *drive, kind, seen)
        fed[:, i] = feeds[i]
        factor = cho_factor(ohm * seen + eye, lower=True, overwrite_a=True, check_finite=False)
        before = probe.copy()
        used = block[:, : columns + probed + i + 1]
        used[:] = cho_solve(factor, used, check_finite=False)
        if probed:
            result[:, : i + 1] += ohm * (before.T @ fed[:, : i + 1])
        seen[:] = (seen + seen.T) / 2  # rounding leaves it not quite symmetric
    kernels.admittance(siemens[-1], circuit.word, *drive, kind, seen)
    fed[:, -1] = feeds[-1]
    ends = cho_solve(cho_factor(seen + bottom * eye, lower=True), fed)
    result += bottom * ends
    if probed:
        result += probe.T @ ends
    return np.ascontiguousarray(result.T)


def _upside_down(circuit: Crossbar) -> Crossbar:
    """Rows in the opposite order, sensed at the opposite end."""
    sensed = {Sense.TOP: Sense.BOTTOM, Sense.BOTTOM: Sense.TOP}.get(circuit.sensed, circuit.sensed)
    return Crossbar(
        circuit.conductance[::-1],
        circuit.word,
        circuit.bit,
        circuit.driver,
        circuit.sense,
        circuit.driven,
        sensed,
    )


def _kind(circuit: Crossbar) -> int:
    if circuit.word > 0:
        return kernels.CHAIN
    return kernels.NODE if circuit.driver > 0 else kernels.SOURCE
