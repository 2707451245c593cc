r"""Which points to evaluate: generations, each asked for and told as a whole.

``surrogate`` (the usual): a first generation fills the space; then each objective gets a Gaussian
process, the chance of being refused another, and a generation is those points that are expected to
add most hypervolume, taken one after the other:

.. math:: \arg\max_x\; p(x)\,\lambda\bigl([\mu(x) - \kappa\sigma(x),\, r] \setminus D\bigr),

with p the chance that x is not refused, :math:`\mu, \sigma` the prediction, r the reference and D
what is dominated already. Of a space with more points than ``ENUMERABLE`` only those are looked at
that NSGA-II finds on the prediction, and the neighbours of the front.

``nsga2`` is NSGA-II itself (Deb et al. 2002) as pymoo has it, ``random`` draws points.

Only what is told decides what is asked next, and it is told in the order asked: neither the number
of workers nor who was first changes anything. No point is asked for twice.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from ..backend import need
from .domain import Domain, Integers, Reals
from .front import BEYOND, Box, best
from .gaussian import Kernel, Process

METHODS: Final = ("surrogate", "nsga2", "random")
ENUMERABLE: Final = 20_000

# One point of ten is evaluated, and in a small space this many at least.
SHARE: Final = 0.1
LEAST: Final = 20

Search = Generator[Integers, Reals, None]


def usual_budget(size: int) -> int:
    """How many points of a space of ``size`` are evaluated, unless it is said."""
    return min(size, max(LEAST, math.floor(SHARE * size)))


def search(
    domain: Domain, objectives: int, budget: int, seed: int, method: str = "surrogate"
) -> Search:
    """Generations of rows (n, dimensions); each is answered by their values (n, objectives).

    Values are to be small. A row of NaN is a point that was refused, a NaN in another one is not
    known. Ends after ``budget`` points, or when there are no more.
    """
    budget = min(budget, domain.size)
    if budget == domain.size:
        return _all(domain)
    if method == "nsga2":
        return _nsga2(domain, objectives, budget, seed)
    return (_random if method == "random" else _surrogate)(domain, budget, seed)


def _all(domain: Domain) -> Search:
    rows = domain.every()
    size = _generation(len(rows))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _random(domain: Domain, budget: int, seed: int) -> Search:
    rng = np.random.default_rng(seed)
    known = _Known(domain)
    while len(known.rows) < budget:
        rows = known.fresh(rng, min(_generation(budget), budget - len(known.rows)))
        if not len(rows):
            return
        known.tell(rows, (yield rows))


def _generation(budget: int) -> int:
    """Points of a generation: enough for a few workers, few enough to learn from."""
    return max(2, -(-budget // _GENERATIONS))


_GENERATIONS: Final = 20
_FIRST: Final = 0.2  # share of the budget that fills the space
_KAPPA: Final = 1.0
_TUNED: Final = 200  # rows that the kernels are tuned on at most
_REFITTED: Final = 1000  # rows that a process rests on at most: its cost is their cube
_LOOKED: Final = 600  # candidates whose uncertainty is computed
_SAMPLES: Final = 4000  # by which volumes are compared
_SHY: Final = 0.3  # what a sure refusal counts, in ranges of an objective


@dataclass
class _Known:
    """What was asked and told so far."""

    domain: Domain
    rows: list[tuple[int, ...]] = field(default_factory=list)
    values: list[Reals] = field(default_factory=list)
    seen: set[tuple[int, ...]] = field(default_factory=set)

    def tell(self, rows: Integers, values: Reals) -> None:
        for row, value in zip(rows.tolist(), values, strict=True):
            self.rows.append(tuple(row))
            self.seen.add(tuple(row))
            self.values.append(value)

    def unseen(self, rows: Integers) -> Integers:
        """Those that were not asked yet, each once."""
        new = [r for r in dict.fromkeys(map(tuple, rows.tolist())) if r not in self.seen]
        return np.array(new, np.int64).reshape(-1, len(self.domain.shape))

    def fresh(self, rng: np.random.Generator, count: int) -> Integers:
        """Points drawn at random that were not asked yet."""
        domain, found = self.domain, np.zeros((0, len(self.domain.shape)), np.int64)
        for _ in range(50):
            if len(found) >= count:
                return found[:count]
            columns = [rng.integers(0, n, 4 * count) for n in domain.shape]
            drawn = domain.canonical(np.stack(columns, 1).astype(np.int64))
            found = self.unseen(np.concatenate([found, drawn]))
        if len(found) < count and domain.size <= ENUMERABLE:
            found = self.unseen(np.concatenate([found, rng.permutation(domain.every())]))
        return found[:count]


def _surrogate(domain: Domain, budget: int, seed: int) -> Search:
    rng = np.random.default_rng(seed)
    known = _Known(domain)
    first = min(budget, max(6, round(_FIRST * budget)))
    rows = domain.drawn(first, rng)
    known.tell(rows, (yield rows))
    every = domain.every() if domain.size <= ENUMERABLE else None
    kernels: dict[int, Kernel] = {}
    tuned = 0
    while len(known.rows) < budget:
        count = min(_generation(budget), budget - len(known.rows))
        retune = len(known.rows) >= 1.25 * tuned
        with _one_thread():
            model = _model(known, kernels, rng, retune)
            if model is None:
                rows = known.fresh(rng, count)
            else:
                tuned = len(known.rows) if retune else tuned
                pool = known.unseen(_pool(model, known, rng) if every is None else every)
                rows = model.choose(pool, count, rng)
        if not len(rows):
            return
        known.tell(rows, (yield rows))


def _one_thread() -> contextlib.AbstractContextManager[Any]:
    """BLAS in one thread: sums in the same order on every computer, and matrices are small."""
    from threadpoolctl import threadpool_limits

    limited: contextlib.AbstractContextManager[Any] = threadpool_limits(limits=1)
    return limited


@dataclass(frozen=True)
class _Model:
    """What is expected of each objective, scaled to the front's box, and of being refused."""

    objectives: tuple[Process, ...]
    accepted: Process | None
    front: Reals

    def expected(self, rows: Integers) -> tuple[Reals, Reals]:
        """Means (rows, objectives), and the chance not to be refused (rows,)."""
        means = np.stack([process.mean(rows) for process in self.objectives], 1)
        if self.accepted is None:
            return means, np.ones(len(rows))
        return means, np.asarray(ndtr(self.accepted.mean(rows) / 0.5))

    def choose(self, pool: Integers, count: int, rng: np.random.Generator) -> Integers:
        """``count`` rows of the pool that are expected to add most volume together."""
        if not len(pool):
            return pool
        means, chance = self.expected(pool)
        # How far each mean is behind the front: how much all of it must shrink to stand beside.
        behind = np.full(len(pool), -np.inf)
        for row in self.front:
            np.maximum(behind, (means - row).min(axis=1), out=behind)
        near = np.argsort(behind + _SHY * (1 - chance), kind="stable")[:_LOOKED]
        pool, means, chance = pool[near], means[near], chance[near]
        spread = np.stack([process.deviation(pool) for process in self.objectives], 1)
        return pool[_greedy(self.front, means - _KAPPA * spread, chance, count, rng)]


def _model(
    known: _Known, kernels: dict[int, Kernel], rng: np.random.Generator, retune: bool
) -> _Model | None:
    """The processes of what is known; ``None`` while too little was accepted."""
    rows, values = np.array(known.rows, np.int64), np.array(known.values)
    accepted = ~np.isnan(values).all(axis=1)
    if accepted.sum() < 4:
        return None
    scaled = _comparable(values[accepted])
    front = scaled[best(values[accepted])]
    box = Box.of(front)
    scaled, front = box.scaled(scaled), box.scaled(front)

    def process(number: int, rows: Integers, values: Reals) -> Process:
        kernel = kernels.get(number, Kernel.usual(known.domain))
        if retune or number not in kernels:
            some = rng.permutation(len(rows))[:_TUNED]
            kernel = kernels[number] = kernel.likely(rows[some], values[some])
        if len(rows) > _REFITTED:
            some = np.sort(rng.permutation(len(rows))[:_REFITTED])
            rows, values = rows[some], values[some]
        return Process(kernel, rows, values)

    each = tuple(process(j, rows[accepted], column) for j, column in enumerate(scaled.T))
    refusals = None
    if not accepted.all():
        refusals = process(-1, rows, np.where(accepted, 1.0, -1.0))
    return _Model(each, refusals, front)


def _comparable(values: Reals) -> Reals:
    """Logarithms where values are positive and span decades; what is not known is the worst."""
    box = Box.of(values)
    filled = np.where(np.isnan(values), box.worst, values)
    low, high = box.ideal, box.worst
    decades = (low > 0) & (high > 10 * low) & (high < 1e6 * np.where(low > 0, low, 1.0))
    return np.where(decades, np.log(np.where(decades, filled, 1.0)), filled)


def _greedy(
    front: Reals, optimistic: Reals, chance: Reals, count: int, rng: np.random.Generator
) -> list[int]:
    """The candidates that add most volume, one after the other, by the same random samples."""
    low = np.minimum(0.0, optimistic.min(axis=0)).clip(-0.5)
    points = low + (1 + BEYOND - low) * rng.random((_SAMPLES, front.shape[1]))
    free = np.ones(len(points), bool)
    for row in front:
        free &= ~(row <= points).all(axis=1)
    points = points[free]
    covers = np.ones((len(optimistic), len(points)), bool)
    for j in range(front.shape[1]):
        covers &= optimistic[:, j, None] <= points[None, :, j]
    share = covers.astype(np.float32)
    left = np.ones(len(points), np.float32)
    open_ = np.ones(len(optimistic), bool)
    # Where nothing is expected to add any: the nearest to the ideal that is likely accepted.
    nearest = optimistic.max(axis=1) - chance
    found: list[int] = []
    for _ in range(min(count, len(optimistic))):
        gain = np.where(open_, (share @ left) * chance, -1.0)
        k = int(gain.argmax())
        if gain[k] <= 0:
            k = int(np.where(open_, nearest, np.inf).argmin())
        found.append(k)
        open_[k] = False
        left *= 1 - share[k] * np.float32(chance[k])
    return found


def _pool(model: _Model, known: _Known, rng: np.random.Generator) -> Integers:
    """Where to look in a space too large to list: NSGA-II on the prediction, and around."""
    rows, values = np.array(known.rows, np.int64), np.array(known.values)
    front = rows[best(values)]
    seed = int(rng.integers(1 << 31))

    def predicted(rows: Integers) -> tuple[Reals, npt.NDArray[np.bool_]]:
        means, chance = model.expected(rows)
        return means, chance < 0.5

    found = [known.domain.around(front[rng.permutation(len(front))[:40]])]
    evolution = _evolve(known.domain, values.shape[1], _POPULATION, seed, front)
    for asked in itertools.islice(_driven(evolution, predicted), _EVOLVED):
        found.append(asked)
    every = known.unseen(np.concatenate(found))
    return every[rng.permutation(len(every))[:_MOST_POOL]]


_SMALL: Final = 20
_IDLE: Final = 20
_POPULATION: Final = 100
_EVOLVED: Final = 20
_MOST_POOL: Final = 5000

Evolution = Generator[Integers, tuple[Reals, npt.NDArray[np.bool_]], None]


def _nsga2(domain: Domain, objectives: int, budget: int, seed: int) -> Search:
    """NSGA-II of 20 a generation. What it proposes a second time costs nothing."""
    known = _Known(domain)
    rng = np.random.default_rng(seed)
    evolution = _evolve(domain, objectives, _SMALL, seed)
    asked: Integers | None = next(evolution)
    idle = 0
    while len(known.rows) < budget:
        left = budget - len(known.rows)
        if asked is None or idle > _IDLE:  # it has settled; the rest of the budget goes to chance
            new = known.fresh(rng, min(_SMALL, left))
            if not len(new):
                return
            known.tell(new, (yield new))
            continue
        new = known.unseen(asked)[:left]
        idle = 0 if len(new) else idle + 1
        if len(new):
            known.tell(new, (yield new))
        if len(known.rows) >= budget:
            return
        told = dict(zip(known.rows, known.values, strict=True))
        values = np.array([told[tuple(row)] for row in asked.tolist()])
        box = Box.of(np.array(known.values))
        try:
            asked = evolution.send((box.scaled(values), np.isnan(values).all(axis=1)))
        except StopIteration:
            asked = None


def _evolve(
    domain: Domain, objectives: int, size: int, seed: int, start: Integers | None = None
) -> Evolution:
    """pymoo's NSGA-II on rows of a domain; told objectives and what is refused."""
    need("pymoo", "explore", "NSGA-II")
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.mixed import (
        MixedVariableDuplicateElimination,
        MixedVariableMating,
        MixedVariableSampling,
    )
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.core.variable import Choice, Integer

    names = [str(k) for k in range(len(domain.shape))]
    kinds: dict[str, Any] = {
        name: Choice(options=list(range(n))) if unordered or n < 2 else Integer(bounds=(0, n - 1))
        for name, n, unordered in zip(names, domain.shape, domain.unordered, strict=True)
    }
    twins = MixedVariableDuplicateElimination()
    first: Any = MixedVariableSampling()
    if start is not None:
        drawn = domain.drawn(size, np.random.default_rng(seed))
        rows = np.unique(np.concatenate([start, drawn]), axis=0)
        first = Population.new(X=[dict(zip(names, row, strict=True)) for row in rows.tolist()])
    algorithm = NSGA2(
        pop_size=size,
        sampling=first,
        mating=MixedVariableMating(eliminate_duplicates=twins),
        eliminate_duplicates=twins,
    )
    algorithm.setup(
        Problem(vars=kinds, n_obj=objectives, n_ieq_constr=1),
        seed=seed,
        termination=("n_gen", 1 << 30),
        verbose=False,
    )
    while True:
        asked = algorithm.ask()
        if asked is None or not len(asked):
            return
        rows = np.array([[int(one.X[name]) for name in names] for one in asked], np.int64)
        values, refused = yield domain.canonical(rows)
        for one, value, bad in zip(asked, values, refused, strict=True):
            one.F, one.G = value, np.array([1.0 if bad else -1.0])
            one.evaluated.update(("F", "G", "H"))
        algorithm.tell(infills=asked)


def _driven(evolution: Evolution, answer: Any) -> Iterator[Integers]:
    """Every generation of an evolution that ``answer`` tells what it asks."""
    try:
        asked = next(evolution)
        while True:
            yield asked
            asked = evolution.send(answer(asked))
    except StopIteration:
        return


def generations(run: Search, answer: Callable[[Integers], Reals]) -> Iterator[Integers]:
    """Drive a search with ``answer`` (rows -> values), and give each generation once told."""
    try:
        rows = next(run)
        while True:
            values = answer(rows)
            yield rows
            rows = run.send(values)
    except StopIteration:
        return
