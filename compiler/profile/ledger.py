r"""What a run costs, line by line: a count, times a constant of the hardware, with its source.

.. math::
    E = \sum_{l} m_l\, n_l\, k_l + T \sum_{p} m_p\, n_p\, P_p

Nothing is added that no constant was found for; `CostModel.unknown` says what that is. A constant
that is derived from others has them as its parts, each with a source of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal

from ...boards.costs import (
    CELL_COUNTS,
    CORE_COUNTS,
    HOLDERS,
    MACHINE_COUNTS,
    TILE_COUNTS,
    CostLine,
    CostModel,
)
from ...boards.machine import Machine
from ...boards.quantity import Quantity, engineering

Kind = Literal["dynamic", "host", "static", "cooling"]

_HOST: Final = ("host_packets",)
_WORDS: Final = {**CORE_COUNTS, **MACHINE_COUNTS, **HOLDERS, **TILE_COUNTS, **CELL_COUNTS}
# The less is known of how a number was obtained, the later it stands.
_TRUST: Final = ("measured", "simulated", "fitted", "stated", "recalled")

Parts = tuple[tuple[str, Quantity], ...]


@dataclass(frozen=True)
class Line:
    """One line of a ledger: ``joules`` = ``times`` x ``amount`` x ``constant`` (x seconds).

    ``kind`` is ``static`` for what is there whatever happens, ``host`` for what enters and leaves,
    ``cooling`` for what takes the heat of all others away, ``dynamic`` for the rest; ``seconds`` is
    how long a power was taken, ``None`` for energies. ``of`` is whose count it is, if there are
    several of a name.
    ``unit`` is that of the amount where it is no number of things. ``layer`` says of which layer it
    is, ``symbols`` the formula of the energy, and ``parts`` what a derived constant is made of.
    """

    kind: Kind
    count: str
    amount: float
    cost: str
    constant: Quantity
    times: float
    joules: float
    seconds: float | None = None
    unit: str = ""
    layer: str = ""
    symbols: str = ""
    parts: Parts = ()
    of: str = ""

    @property
    def constants(self) -> Parts:
        """Every number that it multiplies with by name: its constant, and what that is made of."""
        return ((self.cost, self.constant), *self.parts)

    @property
    def weakest(self) -> Quantity:
        """The least trusted of its constants, the first of these; of parts alone if it has any."""
        every = [constant for _, constant in self.parts] or [self.constant]
        return max(every, key=lambda constant: _TRUST.index(constant.obtained))

    @property
    def words(self) -> str:
        """What is counted, in words."""
        return f"{_WORDS[self.count]} {self.of}".rstrip()

    @property
    def formula(self) -> str:
        """``1,114,500 x 33.6 pJ``."""
        # Of a sample there may be parts of a pulse.
        digits = 1 if self.amount % 1 and self.amount < 1000 else 0
        number = f"{self.amount:,.{digits}f}"
        factors = [engineering(self.amount, self.unit) if self.unit else number]
        if self.times != 1:
            factors.append(f"{self.times:g}")
        factors.append(engineering(self.constant.value, self.constant.unit))
        if self.seconds is not None:
            factors.append(engineering(self.seconds, "s"))
        return " x ".join(factors)

    def of_sample(self, samples: int) -> Line:
        """What it is of one of so many samples, in the mean: what takes power does so shorter."""
        joules = self.joules / samples
        if self.seconds is not None:
            return replace(self, seconds=self.seconds / samples, joules=joules)
        return replace(self, amount=self.amount / samples, joules=joules)

    def as_dict(self, samples: int) -> dict[str, Any]:
        """The line with its formula, constant and source; joules of a sample and of all."""
        return {
            "kind": self.kind,
            "count": self.count,
            "what": self.words,
            "amount": self.amount,
            "times": self.times,
            "cost": self.cost,
            "constant": asdict(self.constant),
            "seconds": self.seconds,
            "formula": self.formula,
            "joules": self.joules,
            "joules_per_sample": self.joules / samples,
        }


def derived(value: float, unit: str, parts: Parts) -> Quantity:
    """A quantity made of others: its source names all of them, and the least trusted says how."""
    source = "; ".join(f"{name} = {part}" for name, part in parts)
    obtained = max((part.obtained for _, part in parts), key=_TRUST.index)
    return Quantity(value, unit, source, obtained)


def merged(lines: Iterable[Line]) -> tuple[Line, ...]:
    """Lines of one count and one constant as one line, of all layers; in the order of counts."""
    found: dict[tuple[str, str, float], Line] = {}
    for line in lines:
        key = (line.count, line.of, line.constant.value)
        if key in found:
            amount = found[key].amount + line.amount
            joules = found[key].joules + line.joules
            line = replace(found[key], amount=amount, joules=joules, layer="")
        found[key] = line
    rank = {count: k for k, count in enumerate(_WORDS)}
    return tuple(sorted(found.values(), key=lambda line: rank[line.count]))


def ledger(
    model: CostModel, machine: Machine, totals: Mapping[str, int], cores: int, seconds: float
) -> tuple[Line, ...]:
    """The lines of a run with these counts in total, on so many cores, that takes ``seconds``."""
    lines = [_energy(line, machine, totals[line.count]) for line in model.energy]
    held = holders(machine, cores)
    return (*lines, *(_power(line, machine, held[line.count], seconds) for line in model.power))


def joules(lines: Iterable[Line]) -> float:
    """The sum of all lines."""
    return sum(line.joules for line in lines)


def holders(machine: Machine, cores: int) -> dict[str, float]:
    """How many there are of what takes power."""
    clock = machine.costs.get("clock_frequency")
    return {
        "machine": 1,
        "chips": machine.chip_count,
        "cores": cores,
        "clock": 0.0 if clock is None else clock.value,
    }


def _energy(line: CostLine, machine: Machine, amount: int) -> Line:
    constant = machine.costs[line.cost]
    kind: Kind = "host" if line.count in _HOST else "dynamic"
    energy = line.times * amount * constant.value
    return Line(kind, line.count, amount, line.cost, constant, line.times, energy)


def _power(line: CostLine, machine: Machine, amount: float, seconds: float) -> Line:
    constant = machine.costs[line.cost]
    energy = line.times * amount * constant.value * seconds
    return Line("static", line.count, amount, line.cost, constant, line.times, energy, seconds)
