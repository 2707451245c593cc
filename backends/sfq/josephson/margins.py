r"""How far the values of a circuit may be from their nominal ones, and how many of a kind work.

A `Trial` is a circuit under a stimulus with a check of its pulses. The **margin** of some elements
is the range of a common factor :math:`1 + m` of their values, from the nominal ones down and up, in
which the check holds: each element, all of a kind together, and all biases, the **global bias**.
The **yield** is the share of circuits that pass, each element having a value of its own,

.. math:: v = v_0 (1 + \sigma_k n) (1 + \Sigma_k N_k),

with normal n for each element and :math:`N_k` for each kind k and chip; at a temperature above 0
with the noise of all resistors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from ....boards.process import Process
from ....compiler.backend import Margin
from ....compiler.report.data import wilson
from ....ir.diagnostics import fail
from ....ir.records import Record
from .circuit import Circuit, CurrentSource, Inductor, Junction, Resistor
from .simulate import Pulses, Simulator, Transient

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
# Pulses of so many sets, and which of them are right: (sets,).
Check = Callable[[Pulses, int], Bools]
# Of such sets what is wrong first, nothing where all is right.
Fault = Callable[[Pulses, int], Sequence[str]]
Tell = Callable[[float], None]
# Names of elements that one factor is of, or by name the power of it that each goes with.
Group = Iterable[str] | Mapping[str, float]

REACH: Final = 0.6
RESOLUTION: Final = 0.005
_COARSE: Final = (
    0.05  # first steps away from the nominal value, among which the failing one is sought
)
_KINDS: Final = {"areas": Junction, "inductances": Inductor, "resistors": Resistor}
KINDS: Final = (*_KINDS, "bias")
_SPREAD: Final = {"areas": "density", "inductances": "inductance", "resistors": "resistance"}
_AT_ONCE: Final = 4096  # sets, so that their pulses are small beside what a machine has
_LEAST: Final = 0.05  # of a value: no spread turns an element round


class Judge(Protocol):
    """What margins are found of: which circuits pass, and what is wrong with those that do not.

    Arguments and results as `Trial` has them.
    """

    def passes(
        self,
        factors: Mapping[str, Floats],
        circuits: int,
        *,
        seed: int = 0,
        alike: bool = False,
        threads: int = 1,
        progress: Tell | None = None,
    ) -> Bools:
        """Whether each circuit passes, (circuits,)."""
        ...

    def faults(
        self, factors: Mapping[str, Floats], circuits: int, *, seed: int = 0, threads: int = 1
    ) -> Sequence[str]:
        """Of each circuit what is wrong."""
        ...


@dataclass(frozen=True, eq=False)
class Trial(Record):
    """A circuit made ready, how long it runs, what is watched of it and how that is judged.

    ``factors`` and ``delays`` are the stimulus, as `Simulator.run` has them, each one number or one
    for each of ``cases``: a circuit passes when all its cases do. The check is told the pulses of
    circuits by cases, case by case: the case of set s is s mod ``cases``. So is the fault, of a
    trial that can name it.
    """

    simulator: Simulator
    transient: Transient
    watch: tuple[str, ...]
    check: Check
    factors: Mapping[str, Any] = field(default_factory=dict)
    delays: Mapping[str, Any] = field(default_factory=dict)
    cases: int = 1
    fault: Fault | None = None

    def passes(
        self,
        factors: Mapping[str, Floats],
        circuits: int,
        *,
        seed: int = 0,
        alike: bool = False,
        threads: int = 1,
        progress: Tell | None = None,
    ) -> Bools:
        """Whether each circuit passes, (circuits,); the rest is as `right` has it."""
        found = self.right(
            factors, circuits, seed=seed, alike=alike, threads=threads, progress=progress
        )
        return np.asarray(found.all(1))

    def right(
        self,
        factors: Mapping[str, Floats],
        circuits: int,
        *,
        seed: int = 0,
        alike: bool = False,
        threads: int = 1,
        progress: Tell | None = None,
    ) -> Bools:
        """Which cases each circuit has right, (circuits, cases).

        ``factors`` are (circuits,) by element, and multiply the elements' values. The noise of
        circuit c and case k is of ``seed`` and its number, whatever is simulated with it; with
        ``alike`` that of all circuits is the first one's.
        """
        out = np.ones((circuits, self.cases), np.bool_)
        ran = self._ran(factors, circuits, seed, alike, threads, progress)
        for index, pulses in ran:
            right = np.asarray(self.check(pulses, index.size * self.cases), np.bool_)
            out[index] = right.reshape(index.size, self.cases)
        return out

    def faults(
        self, factors: Mapping[str, Floats], circuits: int, *, seed: int = 0, threads: int = 1
    ) -> list[str]:
        """Of each circuit what its first case that fails has wrong first, with noise ``alike``.

        Empty where none fails, or the trial names no faults.
        """
        if self.fault is None:
            return [""] * circuits
        out: list[str] = []
        for index, pulses in self._ran(factors, circuits, seed, True, threads, None):
            said = self.fault(pulses, index.size * self.cases)
            for first in range(0, len(said), self.cases):
                out.append(next(filter(None, said[first : first + self.cases]), ""))
        return out

    def _ran(
        self,
        factors: Mapping[str, Floats],
        circuits: int,
        seed: int,
        alike: bool,
        threads: int,
        progress: Tell | None,
    ) -> Iterator[tuple[npt.NDArray[np.int64], Pulses]]:
        """Circuits, so many at once, and their pulses."""
        at_once = max(_AT_ONCE // self.cases, 1)
        for first in range(0, circuits, at_once):
            index = np.arange(first, min(first + at_once, circuits))
            whose = np.repeat(index * (not alike), self.cases)
            number = whose * self.cases + np.tile(np.arange(self.cases), index.size)
            given = {name: self._each(value, index.size) for name, value in self.factors.items()}
            for name, value in factors.items():
                own = np.repeat(np.asarray(value, np.float64)[index], self.cases)
                given[name] = own * given.get(name, 1.0)
            found = self.simulator.run(
                self.transient,
                factors=given,
                delays={name: self._each(v, index.size) for name, v in self.delays.items()},
                watch=self.watch,
                seeds=seed * 1_000_003 + number,
                threads=threads,
                progress=_part(progress, first, index.size, circuits),
            )
            yield index, found.pulses

    def _each(self, value: Any, circuits: int) -> Floats:
        array = np.atleast_1d(np.asarray(value, np.float64))
        return np.tile(np.broadcast_to(array, (self.cases,)), circuits)


def _part(progress: Tell | None, first: int, size: int, whole: int) -> Tell | None:
    if progress is None:
        return None
    most = 0.0

    def tell(share: float) -> None:
        # A simulator that needs more room for pulses starts again; what is told only rises.
        nonlocal most
        most = max(most, share)
        progress((first + most * size) / whole)

    return tell


def elements(circuit: Circuit, of: Iterable[str] | None = None) -> dict[str, tuple[str, ...]]:
    """Groups of one element each, by name: junctions (their area), L, R and current sources.

    ``of`` are names of elements, all that are not the stimulus' (``I>``, ``R>``, ``R<``) if not
    given.
    """
    names = _own(circuit) if of is None else set(of)
    kinds = (*_KINDS.values(), CurrentSource)
    return {part.name: (part.name,) for part in circuit.of(*kinds) if part.name in names}


def kinds(circuit: Circuit, of: Iterable[str] | None = None) -> dict[str, tuple[str, ...]]:
    """Groups of all of a kind together: areas, inductances, resistors, bias."""
    names = _own(circuit) if of is None else set(of)
    groups = {
        title: tuple(part.name for part in circuit.of(kind) if part.name in names)
        for title, kind in (*_KINDS.items(), ("bias", CurrentSource))
    }
    return {title: group for title, group in groups.items() if group}


def _own(circuit: Circuit) -> set[str]:
    return {p.name for p in circuit.parts if not p.name.startswith(("I>", "R>", "R<"))}


def margins(
    trial: Judge,
    groups: Mapping[str, Group],
    *,
    reach: float = REACH,
    resolution: float = RESOLUTION,
    seed: int = 0,
    threads: int = 1,
    progress: Tell | None = None,
) -> dict[str, Margin]:
    """The margin of each group: steps of 5 % to the first that fails, then halves of that.

    A range that begins again beyond a failing step is not in it. A group that is a mapping has the
    power of the factor by which each element changes. All groups and both sides are one batch each
    time, with the same noise, which is of ``seed``. E1424 where the check fails with all values
    nominal.
    """
    names = _powers(groups)
    if not trial.passes({}, 1, seed=seed, threads=threads).all():
        (said,) = trial.faults({}, 1, seed=seed, threads=threads)
        why = f": {said}" if said else ""
        raise fail("E1424", f"the circuit fails its check with all values as they are{why}")
    side = np.repeat([[-1.0, 1.0]], len(names), 0)  # (groups, 2)
    steps = np.append(np.arange(1, int(np.ceil(reach / _COARSE - 1e-9))) * _COARSE, reach)
    rounds = _rounds(resolution)
    share = steps.size / (steps.size + rounds)

    def tried(distance: Floats, tell: Tell | None) -> Bools:
        """(groups, 2, n) distances, each with its sign."""
        factor = 1 + side[:, :, None] * distance
        batch = _factors(names, factor)
        passed = trial.passes(
            batch, factor.size, seed=seed, alike=True, threads=threads, progress=tell
        )
        return passed.reshape(factor.shape)

    right = tried(
        np.broadcast_to(steps, (*side.shape, steps.size)),
        None if progress is None else (lambda s: progress(share * s)),
    )
    passed = np.cumprod(right, axis=2).sum(2)  # steps before the first that failed
    bounds = np.concatenate([[0.0], steps])
    good = bounds[passed]
    bad = np.append(bounds, np.inf)[passed + 1]
    for k in range(rounds):
        live = np.isfinite(bad)
        middle = np.where(live, (good + bad) / 2, good)
        fine = tried(middle[:, :, None], None)[:, :, 0]
        good = np.where(live & fine, middle, good)
        bad = np.where(live & ~fine, middle, bad)
        if progress is not None:
            progress(share + (1 - share) * (k + 1) / rounds)
    unbounded = ~np.isfinite(bad)
    return {
        title: Margin(
            -float(good[g, 0]), float(good[g, 1]), bool(unbounded[g, 0]), bool(unbounded[g, 1])
        )
        for g, title in enumerate(names)
    }


def _rounds(resolution: float) -> int:
    return int(np.ceil(np.log2(max(_COARSE / resolution, 1.0))))


def beyond(
    trial: Judge,
    groups: Mapping[str, Group],
    found: Mapping[str, Margin],
    *,
    resolution: float = RESOLUTION,
    seed: int = 0,
    threads: int = 1,
) -> dict[str, tuple[str, str]]:
    """What goes wrong first just below and just above the margin of each group.

    Empty on a side that is open. ``resolution`` and ``seed`` are those the margins were found with.
    """
    names = _powers(groups)
    step = _COARSE / 2 ** _rounds(resolution)
    ends = [(found[title].low - step, found[title].high + step) for title in names]
    factor = 1 + np.array(ends, np.float64).reshape(len(names), 2)
    said = trial.faults(_factors(names, factor), factor.size, seed=seed, threads=threads)
    return {
        title: (
            "" if found[title].open_low else said[2 * g],
            "" if found[title].open_high else said[2 * g + 1],
        )
        for g, title in enumerate(names)
    }


def _powers(groups: Mapping[str, Group]) -> dict[str, dict[str, float]]:
    return {
        title: dict(group) if isinstance(group, Mapping) else dict.fromkeys(group, 1.0)
        for title, group in groups.items()
    }


def _factors(names: Mapping[str, Mapping[str, float]], factor: Floats) -> dict[str, Floats]:
    """Of each element its factor in each circuit of a batch, (circuits,)."""
    out: dict[str, Floats] = {}
    for g, group in enumerate(names.values()):
        for element, power in group.items():
            out.setdefault(element, np.ones(factor.shape))[g] *= factor[g] ** power
    return {element: array.ravel() for element, array in out.items()}


def critical(found: Mapping[str, Margin]) -> str:
    """The group with the least margin, the first of them."""
    return min(found, key=lambda title: found[title].least)


@dataclass(frozen=True)
class Spread:
    """Standard deviations, parts of a value: of each element, and of a kind on the whole chip.

    Keys are ``areas``, ``inductances``, ``resistors`` and ``bias``; 0 where there is none.
    """

    element: Mapping[str, float] = field(default_factory=dict, hash=False)
    chip: Mapping[str, float] = field(default_factory=dict, hash=False)

    @classmethod
    def of(cls, process: Process, times: float = 1.0) -> Spread:
        """A process's spread from element to element, ``times`` as much."""
        return cls({kind: times * process.spread[key].value for kind, key in _SPREAD.items()})

    def draw(self, circuit: Circuit, numbers: Sequence[int], seed: int) -> dict[str, Floats]:
        """Factors of all elements of the circuits of these numbers, (circuits,) each.

        Circuit c's are of ``seed`` and c, whoever is drawn with it; normal, and at least 0.05.
        """
        groups = kinds(circuit)
        draws = [np.random.default_rng((seed, c)) for c in numbers]
        out: dict[str, Floats] = {}
        for title in KINDS:
            group = groups.get(title, ())
            wide, own = self.chip.get(title, 0.0), self.element.get(title, 0.0)
            normal = np.array([draw.standard_normal(1 + len(group)) for draw in draws])
            if not (wide or own) or not group:
                continue
            factor = (1 + wide * normal[:, :1]) * (1 + own * normal[:, 1:])
            factor = np.maximum(factor, _LEAST)
            out.update({name: factor[:, k].copy() for k, name in enumerate(group)})
        return out


@dataclass(frozen=True, eq=False)
class Yield(Record):
    """``passed`` (circuits,), which ones; the others are by `factors` to be looked at."""

    passed: Bools
    factors: Mapping[str, Floats]

    @property
    def count(self) -> int:
        """Circuits that were tried."""
        return int(self.passed.size)

    @property
    def working(self) -> int:
        """Circuits that passed."""
        return int(self.passed.sum())

    @property
    def share(self) -> float:
        """Of circuits that passed."""
        return self.working / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        return wilson(self.working, self.count)


def yields(
    trial: Trial,
    spread: Spread,
    count: int,
    *,
    bias: float = 1.0,
    seed: int = 0,
    threads: int = 1,
    progress: Tell | None = None,
) -> Yield:
    """``count`` circuits drawn from ``spread``, their biases together times ``bias``."""
    circuit = trial.simulator.circuit
    factors = spread.draw(circuit, range(count), seed)
    for name in kinds(circuit).get("bias", ()):
        factors[name] = factors.get(name, np.ones(count)) * bias
    passed = trial.passes(factors, count, seed=seed, threads=threads, progress=progress)
    return Yield(passed, factors)
