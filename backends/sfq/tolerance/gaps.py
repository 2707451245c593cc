r"""The rate gap of a program's circuit: all inputs in orders by chance, solved as junctions.

In each order all inputs come once, a step each, and pulses are early or late by chance; orders and
skews are the same for all circuits, so that they differ by their elements and by noise alone. A
neuron fires where it should if it has one pulse in the step, and where it should not if it has any;
what goes back, or belongs to no step, is wrong at all inputs of its run. How many orders a circuit
has is said by `spikec.compiler.gap`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....compiler.backend import Gap, RateGap
from ....compiler.gap import decided, looks
from ....ir.diagnostics import fail
from ....ir.records import Record
from ..josephson.margins import Tell
from ..josephson.simulate import Pulses, Simulator, Transient
from ..rungs.conditions import Conditions
from ..synthesis.synthesise import Program
from .stress import arrived, driven

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
# A longer order is cut into runs, which are simulated at once.
_LONG: Final = 8
_AT_ONCE: Final = 4096  # runs
_SEED: Final = (0, 1)  # of orders; skews have the first alone
# Coarse beside noise: with the usual 0.1 ps and 1e-10 rad I50 is 0.1 uA lower, a 25th of sigma.
HOW: Final[Mapping[str, Any]] = {"step": 0.2e-12, "tolerance": 1e-5}
_BITS: Final = 16  # lines of an input that is named by all of them


@dataclass(frozen=True, eq=False)
class Rates(Record):
    """What circuits did: ``fired`` steps in ``orders`` (circuits,), (circuits, inputs, neurons).

    ``sure`` are those circuits that fewer or all of the orders decide.
    """

    fired: Integers
    orders: Integers
    sure: Bools
    should: Bools

    @property
    def rates(self) -> Floats:
        """Of all inputs and neurons, (circuits, inputs, neurons)."""
        return np.asarray(self.fired / self.orders[:, None, None])

    @property
    def gap(self) -> Floats:
        """The least rate where neurons should fire less the greatest where not, (circuits,)."""
        rates = self.rates
        least = np.where(self.should, rates, np.inf).min((1, 2))
        return np.asarray(least - np.where(self.should, -np.inf, rates).max((1, 2)))

    @property
    def each(self) -> list[RateGap]:
        """Circuit by circuit."""
        rows = zip(self.gap.tolist(), self.orders.tolist(), self.sure.tolist(), strict=True)
        return [RateGap(*row) for row in rows]


@dataclass(frozen=True, eq=False)
class RateTrial(Record):
    """A program between whose rates there is to be a gap, as `margins.Judge` has it.

    ``inputs`` are (inputs, lines) by name, ``should`` (inputs, neurons) whether ``neurons``, a
    population and a place each, fire on ``nets``. ``chip`` are factors of elements, with which all
    begins; ``conditions`` have the skew, ``temperature`` in K is that of the noise.
    """

    program: Program
    gap: Gap
    inputs: Mapping[str, Bools]
    neurons: tuple[tuple[str, int], ...]
    nets: tuple[str, ...]
    should: Bools
    conditions: Conditions
    temperature: float
    chip: Mapping[str, float]

    @cached_property
    def _places(self) -> Integers:
        """Which input each step of each run has, (orders, runs, steps); -1 none."""
        count = len(self.should)
        runs = -(-count // _LONG)
        found = np.full((self.gap.orders, runs * -(-count // runs)), -1, np.int64)
        rng = np.random.default_rng(_SEED)
        for order in found:
            order[:count] = rng.permutation(count)
        return found.reshape(self.gap.orders, runs, -1)

    @cached_property
    def _driven(self) -> tuple[Simulator, Transient, dict[str, Floats], dict[str, Floats]]:
        """The circuit, and what its sources do in each run, (orders * runs,)."""
        orders, runs, steps = self._places.shape
        given = self._places.reshape(-1, steps)
        # Behind the last input is one without pulses, which steps have that have none.
        spikes = {
            name: np.concatenate([lines, np.zeros((1, lines.shape[1]), np.bool_)])[given]
            for name, lines in self.inputs.items()
        }
        late = self.conditions.late(self.program, orders * runs, steps)
        still = {name: np.zeros(array.shape) for name, array in spikes.items()}
        simulator, how, factors, delays = driven(
            self.program, spikes, late or still, self.temperature
        )
        return simulator, replace(how, **HOW) if self.temperature else how, factors, delays

    def rates(
        self,
        factors: Mapping[str, Floats],
        seeds: Sequence[int],
        *,
        threads: int = 1,
        progress: Tell | None = None,
    ) -> Rates:
        """What the circuits of these ``factors``, (circuits,) by element, do.

        The noise of a circuit in an order is of its seed and the number of the order, whatever is
        simulated with it.
        """
        circuits = len(seeds)
        fired = np.zeros((circuits, *self.should.shape), np.int64)
        orders = np.zeros(circuits, np.int64)
        sure = np.zeros(circuits, np.bool_)
        every = looks(self.gap.orders)
        at_once = max(_AT_ONCE // (every[0] * self._places.shape[1]), 1)
        for first in range(0, circuits, at_once):
            open_ = np.arange(first, min(first + at_once, circuits))
            size = open_.size
            seen = np.zeros((size, 0, *self.should.shape), np.bool_)
            for begin, end in pairwise((0, *every)):
                more = self._fired(factors, seeds, open_, begin, end, threads)
                seen = np.concatenate([seen, more], axis=1)
                fired[open_], orders[open_] = seen.sum(1), end
                told = [decided(s[:, self.should], s[:, ~self.should], self.gap) for s in seen]
                left = np.array([one is None for one in told])
                sure[open_] = ~left
                open_, seen = open_[left], seen[left]
                if progress is not None:
                    done = max(1 - open_.size / size, end / every[-1])
                    progress((first + size * done) / circuits)
                if not open_.size:
                    break
        return Rates(fired, orders, sure, self.should)

    def _fired(
        self,
        factors: Mapping[str, Floats],
        seeds: Sequence[int],
        circuits: Integers,
        begin: int,
        end: int,
        threads: int,
    ) -> Bools:
        """Whether neurons fire, in orders from ``begin`` to ``end``: (circuits, orders, ...)."""
        simulator, how, sources, delays = self._driven
        runs = self._places.shape[1]
        number = np.arange(begin * runs, end * runs)
        many, size = circuits.size, number.size
        given: dict[str, Any] = {name: np.tile(f[number], many) for name, f in sources.items()}
        for name, chip in self.chip.items():
            given[name] = np.full(many * size, chip)
        for name, factor in factors.items():
            own = np.repeat(np.asarray(factor, np.float64)[circuits], size)
            given[name] = own * given.get(name, 1.0)
        found = simulator.run(
            how,
            factors=given,
            delays={name: np.tile(d[number], many) for name, d in delays.items()},
            watch=self.nets,
            seeds=[int(seeds[c]) * 1_000_003 + k for c in circuits for k in number.tolist()],
            threads=threads,
        )
        return self._judged(found.pulses, many, begin, end)

    def _judged(self, found: Pulses, circuits: int, begin: int, end: int) -> Bools:
        _, runs, steps = self._places.shape
        sets = circuits * (end - begin) * runs
        count, stray = arrived(self.program, self.nets, steps, found, sets)
        lost = np.zeros(sets, np.bool_)
        lost[found.set[stray]] = True
        count[lost] = -1
        shape = (circuits, end - begin, runs * steps, len(self.nets))
        place = self._places[begin:end].reshape(end - begin, -1)
        # Each order has each input once: sorted, they are in the order of inputs, behind the empty.
        sort = np.argsort(place, axis=1)[:, -len(self.should) :]
        each = np.take_along_axis(count.reshape(shape), sort[None, :, :, None], axis=2)
        return np.asarray(np.where(self.should, each == 1, each != 0))

    def passes(
        self,
        factors: Mapping[str, Floats],
        circuits: int,
        *,
        seed: int = 0,
        alike: bool = True,
        threads: int = 1,
        progress: Tell | None = None,
    ) -> Bools:
        """Which circuits have the gap, (circuits,); noise is that of ``seed``, always ``alike``."""
        found = self.rates(factors, (seed,) * circuits, threads=threads, progress=progress)
        return found.gap >= self.gap.least

    def faults(
        self, factors: Mapping[str, Floats], circuits: int, *, seed: int = 0, threads: int = 1
    ) -> list[str]:
        """Of each circuit its gap, and between what it is."""
        found = self.rates(factors, (seed,) * circuits, threads=threads)
        least = np.where(self.should, found.rates, np.inf).reshape(circuits, -1)
        most = np.where(self.should, -np.inf, found.rates).reshape(circuits, -1)
        return [
            f"gap {gap:.2f}: {self._named(int(one.argmin()))} fires with {one.min():.2f}, "
            f"{self._named(int(other.argmax()))} with {other.max():.2f}"
            for gap, one, other in zip(found.gap.tolist(), least, most, strict=True)
        ]

    def _named(self, place: int) -> str:
        """A neuron and an input."""
        k, n = divmod(place, len(self.neurons))
        population, neuron = self.neurons[n]
        if sum(lines.shape[1] for lines in self.inputs.values()) > _BITS:
            return f"{population}[{neuron}] at input {k}"
        bits = " ".join("".join(map(str, lines[k].astype(int))) for lines in self.inputs.values())
        return f"{population}[{neuron}] at {bits}"


def rate_trial(
    program: Program,
    gap: Gap,
    inputs: Mapping[str, npt.ArrayLike],
    wanted: Mapping[str, npt.ArrayLike],
    *,
    conditions: Conditions,
    temperature: float = 0.0,
    chip: Mapping[str, float] | None = None,
) -> RateTrial:
    """The trial of a program at ``inputs``, (inputs, lines) by name.

    ``wanted`` are the counts, (inputs, neurons), of the populations whose rates are read out. E1495
    where none of them ever fires, or all do at each input.
    """
    places = [
        (name, n, net, np.asarray(counts)[:, n] != 0)
        for name, counts in wanted.items()
        for n, net in enumerate(program.spikes[name])
    ]
    # Who needs no circuit always does what it should.
    there = [(name, n, net, fires) for name, n, net, fires in places if net is not None]
    if not there:
        raise fail("E1495", "what is read out does the same at each input, without a circuit")
    should = np.stack([p[3] for p in there], axis=1)
    if should.all() or not should.any():
        which = "each" if should.all() else "none"
        raise fail(
            "E1495",
            f"what is read out fires at {which} of the {len(should)} inputs of a step that the "
            "stimulus has",
            hint="a stimulus with steps at which it is to fire, and others at which it is not",
        )
    return RateTrial(
        program, gap, {name: np.asarray(a, np.bool_) for name, a in inputs.items()},
        tuple((name, n) for name, n, _, _ in there),
        tuple(net for _, _, net, _ in there),
        should, conditions, temperature, dict(chip or {}),
    )  # fmt: skip
