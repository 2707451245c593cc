r"""Gaussian processes on grids: what a value may be where nobody has looked yet.

The covariance of two rows x, x' of value numbers is a product over dimensions,

.. math::
    k(x, x') = v \prod_i k_i, \qquad
    k_i = (1 + \sqrt5 u + \tfrac53 u^2)\,e^{-\sqrt5 u}, \quad
    u = e^{t_i}\,\frac{|x_i - x'_i|}{n_i - 1},

a Matérn 5/2 kernel (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, eq.
4.17), or :math:`k_i = \exp(-e^{t_i}[x_i \ne x'_i])` where values have no order. Observations have
noise of variance :math:`v e^{t_d}`. v follows from the data; t is what makes the likelihood
(eq. 5.8) largest, under the prior that each :math:`t_i` is near 0.

A row is a few small numbers, so each :math:`k_i` is a table and a covariance a product of look-ups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize

from .domain import Domain, Integers, Reals

_ROOT5 = float(np.sqrt(5.0))
_JITTER = 1e-6
_NOISE = float(np.log(1e-2))
_SPREAD = 2.0  # standard deviation of the prior of each t
_ITERATIONS = 20
_REFUSED = 1e10


@dataclass(frozen=True)
class Kernel:
    """The covariance of rows of a domain; ``logs`` are t, the noise last: (dimensions + 1,)."""

    domain: Domain
    logs: Reals

    @staticmethod
    def usual(domain: Domain) -> Kernel:
        """The kernel of who knows nothing."""
        return Kernel(domain, np.r_[np.zeros(len(domain.shape)), _NOISE])

    def _tables(self) -> tuple[list[Reals], list[Reals]]:
        r"""Each :math:`k_i`, (values, values), and :math:`\partial\ln k_i/\partial t_i`."""
        tables, slopes = [], []
        whole = zip(self.domain.shape, self.domain.unordered, self.logs[:-1], strict=True)
        for n, unordered, log in whole:
            x = np.arange(n) / max(1, n - 1)
            u = np.abs(x[:, None] - x[None])
            u = np.exp(log) * ((u > 0) if unordered else u)
            q = 1 + _ROOT5 * u + 5 / 3 * u * u
            tables.append(np.exp(-u) if unordered else q * np.exp(-_ROOT5 * u))
            slopes.append(-u if unordered else -(5 / 3) * u * u * (1 + _ROOT5 * u) / q)
        return tables, slopes

    def between(self, a: Integers, b: Integers) -> Reals:
        """k / v of every row of ``a`` with every row of ``b``: (len(a), len(b))."""
        return _product(self._tables()[0], a, b)

    def likely(self, rows: Integers, values: Reals) -> Kernel:
        """The kernel under which ``values`` (n,) at ``rows`` (n, dimensions) are most likely."""
        n, d = rows.shape
        z = (values - values.mean()) / (values.std() or 1.0)
        usual = Kernel.usual(self.domain).logs

        def cost(logs: Reals) -> tuple[float, Reals]:
            tables, slopes = Kernel(self.domain, logs)._tables()
            signal = _product(tables, rows, rows)
            whole = signal.copy()
            whole.flat[:: n + 1] += np.exp(logs[d]) + _JITTER
            try:
                factor = cho_factor(whole, lower=True)
            except LinAlgError:
                return _REFUSED, np.zeros(d + 1)
            a = cho_solve(factor, z)
            v = max(float(z @ a) / n, 1e-12)
            w = cho_solve(factor, np.eye(n)) - np.outer(a, a) / v
            ws = w * signal
            pairs = zip(slopes, rows.T, strict=True)
            slope = [0.5 * float((ws * s[np.ix_(x, x)]).sum()) for s, x in pairs]
            slope.append(0.5 * float(np.exp(logs[d]) * np.trace(w)))
            off = (logs - usual) / _SPREAD
            total = 0.5 * n * np.log(v) + np.log(np.diag(factor[0])).sum() + 0.5 * (off @ off)
            return float(total), np.asarray(slope) + off / _SPREAD

        bounds = [(-4.0, 4.0)] * d + [(float(np.log(1e-5)), 0.0)]
        options = {"maxiter": _ITERATIONS}
        found = minimize(
            cost, self.logs, jac=True, method="L-BFGS-B", bounds=bounds, options=options
        )
        return Kernel(self.domain, found.x)


def _product(tables: Sequence[Reals], a: Integers, b: Integers) -> Reals:
    total = np.ones((len(a), len(b)))
    for table, x, y in zip(tables, a.T, b.T, strict=True):
        total *= table[np.ix_(x, y)]
    return total


@dataclass(frozen=True)
class Process:
    """What ``values`` (n,) at ``rows`` (n, dimensions) say of all other rows, under a kernel."""

    kernel: Kernel
    rows: Integers
    values: Reals
    _fit: tuple[Reals, tuple[Reals, bool], float, float, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n = len(self.rows)
        mean, scale = float(self.values.mean()), float(self.values.std()) or 1.0
        z = (self.values - mean) / scale
        whole = self.kernel.between(self.rows, self.rows)
        whole.flat[:: n + 1] += np.exp(self.kernel.logs[-1]) + _JITTER
        factor = cho_factor(whole, lower=True)
        weights = cho_solve(factor, z)
        v = max(float(z @ weights) / n, 1e-12)
        object.__setattr__(self, "_fit", (weights, factor, mean, scale, v))

    def mean(self, rows: Integers) -> Reals:
        """The expected value at each of ``rows``: (len(rows),)."""
        weights, _, mean, scale, _ = self._fit
        return np.asarray(mean + scale * (self.kernel.between(rows, self.rows) @ weights))

    def deviation(self, rows: Integers) -> Reals:
        """The standard deviation at each of ``rows``, without the noise: (len(rows),)."""
        _, factor, _, scale, v = self._fit
        w = solve_triangular(factor[0], self.kernel.between(rows, self.rows).T, lower=True)
        return np.asarray(scale * np.sqrt(np.clip(v * (1 - (w * w).sum(0)), 1e-12, None)))
