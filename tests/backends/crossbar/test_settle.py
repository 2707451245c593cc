"""Elmore's delays, beside closed forms and the moments of the whole ladder's matrix."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from spikec.backends.crossbar.settle import elmore, settling


def test_a_line_without_cells_has_the_closed_form() -> None:
    for n, ohm, end, farad in ((1, 2.0, 5.0, 1e-15), (7, 2.0, 0.0, 3e-15), (128, 1.5, 40.0, 1e-16)):
        [found] = elmore(np.zeros((1, n)), ohm, end, farad)
        assert found == pytest.approx(farad * (n * end + ohm * n * (n + 1) / 2), rel=1e-12, abs=0)


@pytest.mark.parametrize("end", [0.0, 300.0])
def test_cells_count_as_the_nodes_of_the_whole_line_say(end: float) -> None:
    """The first moment by a dense solve: A^-1 C A^-1 b over A^-1 b at the far end."""
    rng = np.random.default_rng(3)
    siemens = rng.uniform(1e-5, 1e-3, (5, 9))
    ohm, farad = 100.0, 2e-15
    found = elmore(siemens, ohm, end, farad)
    for line, delay in zip(siemens, found, strict=True):
        n = line.size
        resistance = np.full(n, ohm)
        resistance[0] += end
        matrix = np.diag(line)
        for k, r in enumerate(resistance):
            matrix[k, k] += 1 / r
            if k:
                matrix[k - 1, k - 1] += 1 / r
                matrix[k - 1, k] -= 1 / r
                matrix[k, k - 1] -= 1 / r
        source = np.zeros(n)
        source[0] = 1 / resistance[0]
        still = np.linalg.solve(matrix, source)
        moment = np.linalg.solve(matrix, farad * still)
        assert delay == pytest.approx(moment[-1] / still[-1], rel=1e-10, abs=0)
        # Of a current from the far end into the held one: the same, by reciprocity.
        far = np.zeros(n)
        far[-1] = 1.0
        back, held = np.linalg.solve(matrix, far), np.linalg.solve(matrix, source)
        assert farad * (held @ back) / back[0] * resistance[0] == pytest.approx(
            delay, rel=1e-10, abs=0
        )


def test_ideal_wires_take_no_time_and_cells_shorten_what_others_take() -> None:
    siemens = np.full((2, 16), 1e-3)
    assert not elmore(siemens, 0.0, 0.0, 1e-15).any()
    assert (elmore(siemens, 10.0, 0.0, 1e-15) < elmore(0 * siemens, 10.0, 0.0, 1e-15)).all()


def test_a_pole_has_settled_to_half_a_step() -> None:
    tau = 3e-9
    for bits in (1, 5, 8):
        left = exp(-settling(tau, bits) / tau)
        assert left == pytest.approx(0.5 / 2**bits)
    assert settling(tau, 0) == pytest.approx(log(2) * tau, rel=1e-9, abs=0)
