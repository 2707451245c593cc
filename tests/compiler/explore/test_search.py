"""The search: what it finds with a tenth of the points, and that only what is told decides."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from spikec.compiler.explore.domain import Domain
from spikec.compiler.explore.gaussian import Kernel, Process
from spikec.compiler.explore.search import METHODS, generations, search, usual_budget

BENCH = Path(__file__).resolve().parents[3] / "bench"
BAR = 95.0


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bench() -> Any:
    return load("explore")


@pytest.fixture(scope="module")
def problems(bench: Any) -> dict[str, Any]:
    return {p.name: p for p in bench.problems()}


def reaches(bench: Any, problem: Any, seed: int) -> tuple[float, float]:
    found = bench.found_by(problem, problem.points // 10, seed, "surrogate")
    whole, own = bench.shares(problem, found)
    return whole, own


@pytest.mark.parametrize("name", ["few", "rare", "sphere", "pieces"])
def test_a_tenth_of_the_points_finds_the_front(bench: Any, problems: Any, name: str) -> None:
    assert reaches(bench, problems[name], 1)[0] >= BAR


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_every_space_and_seed_meets_the_bar(bench: Any, problems: Any, seed: int) -> None:
    assert len(problems) == 9
    for problem in problems.values():
        assert problem.points <= 5000
        assert reaches(bench, problem, seed)[0] >= BAR, problem.name


def test_a_front_that_is_known_is_found() -> None:
    """All of x + y = 12 on a grid of 13 x 13 x 13, whose third dimension only costs."""
    domain = Domain((13, 13, 13), (False, False, False))
    found: list[tuple[int, ...]] = []

    def answer(rows: Any) -> Any:
        found.extend(map(tuple, rows.tolist()))
        x, y, z = rows.T.astype(float)
        return np.stack([x + z, 12 - x + (y - 3) ** 2 + z], 1)

    for _ in generations(search(domain, 2, 219, 1), answer):
        pass
    assert {(x, 3, 0) for x in range(13)} <= set(found)


@pytest.mark.parametrize("method", METHODS)
def test_no_point_is_asked_twice_and_none_beyond_the_budget(method: str, problems: Any) -> None:
    problem = problems["few"]
    domain = Domain(problem.shape, problem.unordered)
    asked: list[tuple[int, ...]] = []

    def answer(rows: Any) -> Any:
        asked.extend(map(tuple, rows.tolist()))
        return problem.values[problem.index(rows)]

    for _ in generations(search(domain, 4, 60, 2, method), answer):
        pass
    assert len(asked) == len(set(asked)) == 60


@pytest.mark.parametrize("method", METHODS)
def test_the_same_answers_get_the_same_questions(method: str, problems: Any) -> None:
    problem = problems["few"]
    domain = Domain(problem.shape, problem.unordered)

    def run(seed: int) -> list[Any]:
        def answer(rows: Any) -> Any:
            return problem.values[problem.index(rows)]

        steps = generations(search(domain, 4, 60, seed, method), answer)
        return [rows.tolist() for rows in steps]

    assert run(1) == run(1) != run(2)


def test_a_small_space_is_looked_at_whole() -> None:
    domain = Domain((3, 4), (True, False))
    rows = np.concatenate(
        list(generations(search(domain, 1, 99, 1), lambda rows: rows[:, :1].astype(np.float64)))
    )
    assert sorted(map(tuple, rows.tolist())) == [(a, b) for a in range(3) for b in range(4)]
    assert [usual_budget(n) for n in (5, 20, 199, 4800, 10**9)] == [5, 20, 20, 480, 10**8]


def test_a_space_too_large_to_list_is_searched_with_nsga2() -> None:
    """40^5 = 10^8 points; the front lies where the last three are 20."""
    domain = Domain((40,) * 5, (False,) * 5)
    values = []

    def answer(rows: Any) -> Any:
        x = rows / 39.0
        cost = ((rows[:, 2:] - 20) ** 2).sum(axis=1) / 400
        found = np.stack([x[:, 0] + cost, 1 - x[:, 0] + x[:, 1] + cost], 1)
        values.append(found)
        return found

    for _ in generations(search(domain, 2, 100, 1), answer):
        pass
    every = np.concatenate(values)
    assert len(every) == 100
    assert every.sum(axis=1).min() < 1.1  # 1 is the least there is


@pytest.mark.parametrize("method", METHODS)
def test_refusals_and_gaps_stop_nothing(method: str) -> None:
    """All refused, and objectives that nobody knows."""
    domain = Domain((6, 6, 6), (True, False, False))
    for fill in (lambda rows: np.nan, lambda rows: rows[:, 1] * 1.0):

        def answer(rows: Any, fill: Any = fill) -> Any:
            found = np.full((len(rows), 3), np.nan)
            found[:, 1] = fill(rows)
            return found

        steps = list(generations(search(domain, 3, 40, 1, method), answer))
        assert sum(map(len, steps)) == 40


def test_what_is_ignored_is_no_point() -> None:
    def canonical(rows: Any) -> Any:
        return np.where((np.arange(3) == 2) & (rows[:, :1] == 0), 0, rows)

    domain = Domain((2, 10, 30), (True, False, False), canonical, 10 + 300)
    asked = np.concatenate(
        list(generations(search(domain, 1, 40, 1), lambda rows: rows[:, :1].astype(np.float64)))
    )
    assert len(np.unique(canonical(asked), axis=0)) == 40
    assert len(domain.every()) == domain.size == 310


class TestGaussianProcesses:
    domain = Domain((20, 20, 3), (False, False, True))

    def data(self) -> tuple[Any, Any]:
        rows = self.domain.drawn(60, np.random.default_rng(1))
        return rows, self.law(rows)

    def law(self, rows: Any) -> Any:
        return np.sin(rows[:, 0] / 5) + 0.01 * rows[:, 1] + np.array([0.0, 2.0, 1.0])[rows[:, 2]]

    def test_predicts_what_it_has_not_seen(self) -> None:
        rows, values = self.data()
        process = Process(Kernel.usual(self.domain).likely(rows, values), rows, values)
        every = self.domain.every()
        assert np.abs(process.mean(every) - self.law(every)).max() < 0.15

    def test_is_sure_where_it_was(self) -> None:
        rows, values = self.data()
        process = Process(Kernel.usual(self.domain).likely(rows, values), rows, values)
        elsewhere = process.deviation(self.domain.every()).max()
        assert process.deviation(rows).max() < 0.5 * elsewhere

    def test_the_posterior_is_that_of_the_textbook(self) -> None:
        """Rasmussen and Williams, eq. 2.25 and 2.26, with a matrix inverse."""
        rows, values = self.data()
        kernel = Kernel.usual(self.domain)
        process = Process(kernel, rows, values)
        mean, scale = values.mean(), values.std()
        z = (values - mean) / scale
        some = self.domain.every()[::37]
        k, ks = kernel.between(rows, rows), kernel.between(some, rows)
        inverse = np.linalg.inv(k + (np.exp(kernel.logs[-1]) + 1e-6) * np.eye(len(rows)))
        np.testing.assert_allclose(process.mean(some), mean + scale * ks @ inverse @ z)
        v = z @ inverse @ z / len(rows)
        wanted = scale**2 * v * (1 - np.einsum("ij,jk,ik->i", ks, inverse, ks))
        np.testing.assert_allclose(process.deviation(some) ** 2, wanted, rtol=1e-4, atol=1e-9)
