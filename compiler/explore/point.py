"""What is evaluated, and what becomes of it: the words that journal, workers and searches share.

A worker is sent a `Work` once. It makes an evaluator of it, which gives the `Result` of each
`Point` that it is asked for. Nothing here knows what a point stands for.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...ir.diagnostics import Diagnostic, Location, Severity, SpikecError

Value = int | float | str


def version() -> str:
    """The version of this spikec."""
    return importlib.metadata.version("spikec")


@dataclass(frozen=True)
class Point:
    """One thing to evaluate: names and values, in an order that is always the same."""

    values: tuple[tuple[str, Value], ...]

    def __str__(self) -> str:
        """The canonical text: equal for two points only where they are one."""
        return " ".join(f"{name}={value}" for name, value in self.values)

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the canonical text."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:16]

    def as_dict(self) -> dict[str, Value]:
        """Name -> value."""
        return dict(self.values)


@dataclass(frozen=True)
class Result:
    """What became of a point: ``values`` by objective, or the ``code`` and words of a refusal.

    ``told`` is what there is to say of it besides.
    """

    point: Point
    values: tuple[tuple[str, float | None], ...] = ()
    code: str = ""
    message: str = ""
    told: tuple[Diagnostic, ...] = ()

    @staticmethod
    def refusal(point: Point, error: SpikecError) -> Result:
        """The result of a point that is refused."""
        found = first_error(error)
        return Result(point, (), found.code, found.message)

    @property
    def refused(self) -> bool:
        """Whether there is no such design."""
        return bool(self.code)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON-ready data."""
        start = {"digest": self.point.digest, "point": self.point.as_dict()}
        if self.refused:
            return start | {"refused": {"code": self.code, "message": self.message}}
        # What is counted reads as a whole number, in whichever way it came here.
        values = {k: int(v) if k == "cores" and v is not None else v for k, v in self.values}
        told = {"told": [one.as_dict() for one in self.told]} if self.told else {}
        return start | {"values": values} | told

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Result:
        """The result of its data; ``KeyError``, ``TypeError`` or ``ValueError`` for anything else.

        The digest must be that of the point.
        """
        point = Point(tuple((str(k), v) for k, v in data["point"].items()))
        if data["digest"] != point.digest:
            raise ValueError("a point has another digest")
        if "refused" in data:
            return Result(point, (), str(data["refused"]["code"]), str(data["refused"]["message"]))
        values = data["values"].items()
        return Result(
            point,
            tuple((str(k), None if v is None else float(v)) for k, v in values),
            told=tuple(map(_diagnostic, data.get("told", ()))),
        )


def _diagnostic(data: Mapping[str, Any]) -> Diagnostic:
    where = Location(data["file"], data["node"], data["line"])
    return Diagnostic(data["code"], data["message"], where, data["hint"])


def first_error(error: SpikecError) -> Diagnostic:
    """The first error of several diagnostics."""
    errors = [d for d in error.diagnostics if d.severity is Severity.ERROR]
    return (errors or list(error.diagnostics))[0]


class Evaluation(ABC):
    """Evaluates points, and remembers what they have in common.

    So many points are evaluated ``together``; what was not answered is evaluated again after a
    kill.
    """

    together = 1

    def __init__(self) -> None:
        # A worker of Dask may have several threads; caches and compiler are for one.
        self._lock = threading.Lock()

    def __call__(self, point: Point) -> Result:
        """The result of a point; raises only what is wrong with this computer (E06)."""
        (result,) = self.results((point,))
        return result

    def results(self, group: Sequence[Point]) -> Iterator[Result]:
        """The results of points in their order, as they come; raises as a call does.

        A fault of spikec itself is the refusal E0905 of its point, so that one point in a thousand
        does not cost the others.
        """
        for first in range(0, len(group), self.together):
            yield from self._judged(group[first : first + self.together])

    def _judged(self, points: Sequence[Point]) -> Sequence[Result]:
        try:
            with self._lock:
                return self.evaluate_together(points)
        except MemoryError:
            raise
        except Exception as error:
            if isinstance(error, SpikecError) and error.exit_code == 3:
                raise
            if len(points) > 1:
                # Who of them it was shows one by one.
                return [result for point in points for result in self._judged((point,))]
            if isinstance(error, SpikecError):
                return [Result.refusal(points[0], error)]
            what = f"{type(error).__name__}: {error}"
            return [Result(points[0], (), "E0905", f"the evaluation failed: {what}")]

    def evaluate_together(self, points: Sequence[Point]) -> Sequence[Result]:
        """The results of some points in their order; errors become refusals."""
        return [self.evaluate(point) for point in points]

    @abstractmethod
    def evaluate(self, point: Point) -> Result:
        """The result of a point; errors become refusals."""


class Work(Protocol):
    """What a worker is sent once: all that points are evaluated with."""

    @property
    def digest(self) -> str:
        """What tells it from other work."""
        ...

    def evaluator(self) -> Evaluation:
        """What evaluates its points."""
        ...
