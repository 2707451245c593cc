"""An exploration from its job to its front: search, journal and workers joined.

The search is deterministic and told in its own order; the journal is a memory of results. To resume
is therefore to run again: what the journal knows is not evaluated a second time, and the end is
the same, byte for byte.
"""

from __future__ import annotations

import collections
import csv
import io
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .domain import Reals
from .evaluate import Job, compile_key
from .front import Box, best, hypervolume
from .journal import Journal
from .point import Point, Result, version
from .search import generations, search
from .space import Space
from .workers import Workers

Watch = Callable[[int, int], None]
FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """What is explored, and how far: ``budget`` points of the space, found by ``method``."""

    name: str
    job: Job
    space: Space
    budget: int
    seed: int
    method: str

    def header(self) -> dict[str, Any]:
        """What results depend on. The budget is not among it: more may be added later."""
        return {
            "kind": "spikec exploration",
            "version": version(),
            "model": self.job.network_digest,
            "job": self.job.digest,
            "space": self.space.digest,
            "seed": self.seed,
            "method": self.method,
        }


@dataclass(frozen=True)
class Member:
    """A point of the front, its objectives, and how many other points have the very same."""

    result: Result
    alike: int


@dataclass(frozen=True)
class Exploration:
    """What was found so far.

    ``box`` has the best and the worst value of each objective of `Space.objectives`, made small;
    ``refused`` counts refusals by code, with the words of the first.
    """

    plan: Plan
    size: int
    results: tuple[Result, ...]
    front: tuple[Member, ...]
    box: Box
    volume: float
    refused: tuple[tuple[str, int, str], ...]
    complete: bool

    def as_dict(self) -> dict[str, Any]:
        """The contents of ``front.json``."""
        names = [name for name, _ in self.plan.space.objectives]
        sign = _signs(self.plan.space)
        known = np.asarray(np.isfinite(_values(self.plan.space, self.results)).any(axis=0)).tolist()
        ends = [
            {
                n: float(s * v) if ok else None
                for n, s, v, ok in zip(names, sign, side, known, strict=True)
            }
            for side in (self.box.ideal, self.box.worst)
        ]
        return {
            "format": FORMAT,
            "name": self.plan.name,
            **self.plan.header(),
            "objectives": dict(self.plan.space.objectives),
            "dimensions": {n: list(v) for n, v in self.plan.space.dimensions},
            "fixed": dict(self.plan.space.fixed),
            "points": self.size,
            "budget": self.plan.budget,
            "evaluations": len(self.results),
            "complete": self.complete,
            "hypervolume": self.volume,
            "ideal": ends[0],
            "worst": ends[1],
            "refused": [{"code": c, "count": n, "first": text} for c, n, text in self.refused],
            "front": [one.result.as_dict() | {"alike": one.alike} for one in self.front],
        }

    def json(self) -> bytes:
        """``front.json``: the same exploration gives the same bytes."""
        return (json.dumps(self.as_dict(), indent=1, sort_keys=True) + "\n").encode()

    def csv(self) -> bytes:
        """``front.csv``: a line for each point of the front, options first, then objectives."""
        space = self.plan.space
        options = list(dict.fromkeys(n for m in self.front for n, _ in m.result.point.values))
        columns = [*options, *(n for n, _ in space.objectives), "alike"]
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        for one in self.front:
            values = {k: v for k, v in one.result.values if k in columns and v is not None}
            # An objective may have the name of an option: what was found stands, not what was said.
            writer.writerow(one.result.point.as_dict() | values | {"alike": one.alike})
        return text.getvalue().encode()


def explore(
    plan: Plan, journal: Journal, workers: Workers, watch: Watch | None = None
) -> Exploration:
    """Search until the budget is used; every result is in the journal as soon as it is there."""
    domain = plan.space.domain()
    size = len(plan.space.objectives)
    done = 0

    def answer(rows: Any) -> Reals:
        nonlocal done
        points = [plan.space.point(row) for row in rows.tolist()]
        missing = [p for p in points if p.digest not in journal.results]
        for result in workers.evaluate(_groups(missing)) if missing else ():
            journal.add(result)
            if watch is not None:
                known = sum(p.digest in journal.results for p in points)
                watch(done + known, min(plan.budget, domain.size))
        done += len(points)
        if watch is not None:
            watch(done, min(plan.budget, domain.size))
        return _values(plan.space, [journal.results[p.digest] for p in points])

    run = search(domain, size, plan.budget, plan.seed, plan.method)
    for _ in generations(run, answer):
        pass
    return summary(plan, journal.results.values(), complete=True)


def _groups(points: Iterable[Point]) -> list[tuple[Point, ...]]:
    """Points that share a compilation, together; otherwise in their order."""
    found: dict[Any, list[Point]] = {}
    for point in points:
        found.setdefault(compile_key(point), []).append(point)
    return [tuple(group) for group in found.values()]


def summary(plan: Plan, results: Iterable[Result], *, complete: bool) -> Exploration:
    """The front of all results, in the order of their points' canonical texts."""
    ordered = tuple(sorted(results, key=lambda r: str(r.point)))
    values = _values(plan.space, ordered)
    chosen = np.flatnonzero(best(values))
    alike: dict[tuple[float, ...], list[int]] = {}
    for k in chosen.tolist():
        alike.setdefault(tuple(np.nan_to_num(values[k], nan=np.inf).tolist()), []).append(k)
    members = [Member(ordered[group[0]], len(group) - 1) for _, group in sorted(alike.items())]
    box = Box.of(values)
    refusals: collections.Counter[str] = collections.Counter()
    first: dict[str, str] = {}
    for result in ordered:
        if result.refused:
            refusals[result.code] += 1
            first.setdefault(result.code, result.message)
    counted = sorted(refusals.items(), key=lambda item: (-item[1], item[0]))
    return Exploration(
        plan,
        plan.space.domain().size,
        ordered,
        tuple(members),
        box,
        hypervolume(values, box),
        tuple((code, number, first[code]) for code, number in counted),
        complete,
    )


def _signs(space: Space) -> Reals:
    return np.array([-1.0 if way == "max" else 1.0 for _, way in space.objectives])


def _values(space: Space, results: Iterable[Result]) -> Reals:
    """The objectives of results, made small: (results, objectives); NaN for what nobody knows."""
    rows = [_row(space, dict(result.values)) for result in results]
    return np.array(rows, np.float64).reshape(-1, len(space.objectives)) * _signs(space)


def _row(space: Space, values: Mapping[str, float | None]) -> list[float]:
    found = (values.get(name) for name, _ in space.objectives)
    return [float("nan") if value is None else value for value in found]


def pairs(space: Space) -> list[tuple[str, str]]:
    """The objectives two by two, for figures."""
    return list(itertools.combinations([name for name, _ in space.objectives], 2))
