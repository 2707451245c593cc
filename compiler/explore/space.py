"""A design space is data: a TOML file that names dimensions and the values of each.

::

    [space]
    target = ["icebreaker", "ulx3s-85f", "loihi1"]
    weight_bits = [4, 6, 8]
    cores = { from = 1, to = 4 }              # boards
    effort = [0, 1]                           # chips

    [fixed]
    state_bits = 16

    [objectives]                              # all four, unless said
    accuracy = "max"
    latency = "min"

A point has a value for each dimension that its target takes. What a target ignores (a chip the
clock, a board the mapper's effort) is not part of its points: two designs that differ only there
are one point, evaluated once.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...boards.board import Target
from ...ir.diagnostics import Diagnostics, Location, SpikecError
from ..backend import find_target
from .domain import Domain, Integers
from .point import Point, Value

# A dimension holds no more values: a range that is longer is a slip of the keyboard.
_MOST_VALUES: Final = 10_000


@dataclass(frozen=True)
class Option:
    """What a dimension may be: a number from ``low`` to ``high``, or one of ``words``.

    ``kind`` is that of the targets that take it (``any``, ``fpga``, ``chip``), ``unit`` its unit.
    Values of an ``unordered`` option have no near and far.
    """

    what: str
    kind: str = "any"
    low: float = 0
    high: float = 0
    whole: bool = True
    words: tuple[str, ...] = ()
    unordered: bool = False
    unit: str = ""


OPTIONS: Final[Mapping[str, Option]] = {
    "target": Option("where the network runs", unordered=True),
    "weight_bits": Option("bits of a weight", low=2, high=16, unit="bits"),
    "state_bits": Option("bits of a state", low=8, high=40, unit="bits"),
    "decay_bits": Option("bits of a decay", low=4, high=22, unit="bits"),
    "scale": Option("scale of weights", words=("free", "power_of_two"), unordered=True),
    "clip": Option("how weights are clipped", words=("max", "mse"), unordered=True),
    "rounding": Option("rounding", words=("nearest_even", "stochastic"), unordered=True),
    "input_max": Option("spikes of an input line a step", low=1, high=1 << 16),
    "delay_cap": Option("the longest delay kept", low=1, high=1 << 16, unit="steps"),
    "seed": Option("seed of the partition", "chip", 0, (1 << 32) - 1, unordered=True),
    "effort": Option("effort of the mapper", "chip", 0, 2),
    "start": Option("first partition", "chip", words=("own", "metis", "mtkahypar"), unordered=True),
    "noc_width": Option("width of a link of the network on chip", "chip", 1, 4096, unit="bits"),
    "cores": Option("cores", "fpga", 1, 8),
    "clock": Option("clock", "fpga", 0.1, 1000, whole=False, unit="MHz"),
    "lanes": Option("synapses added in a cycle", "fpga", 1, 256),
    "units": Option("neurons committed in a cycle", "fpga", 1, 32),
    "core": Option("kind of core", "fpga", words=("parallel", "events"), unordered=True),
    "activity": Option(
        "share of sources that spike in a step", "fpga", 0, 100, whole=False, unit="%"
    ),
}

OBJECTIVES: Final[Mapping[str, str]] = {
    "accuracy": "max",
    "latency": "min",
    "energy": "min",
    "cores": "min",
}
_KINDS: Final = {"fpga": "board", "chip": "chip"}


@dataclass(frozen=True)
class Space:
    """Dimensions, what is fixed, and what is sought.

    ``kinds`` is the kind of each target (``fpga``, ``chip``, ``null``), ``clocks`` those it offers
    in hertz, ``objectives`` maps each to ``max`` or ``min``.
    """

    dimensions: tuple[tuple[str, tuple[Value, ...]], ...]
    fixed: tuple[tuple[str, Value], ...]
    objectives: tuple[tuple[str, str], ...]
    kinds: Mapping[str, str] = field(hash=False)
    clocks: Mapping[str, tuple[float, ...]] = field(hash=False)

    @property
    def digest(self) -> str:
        """SHA-256 of what the space says, whatever its file looks like."""
        said = [self.dimensions, self.fixed, self.objectives]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the dimensions."""
        return tuple(name for name, _ in self.dimensions)

    def _takes(self, kind: str, name: str) -> bool:
        """Whether a target of this kind takes an option; stochastic rounding takes a seed, too."""
        wanted = OPTIONS[name].kind
        stochastic = "rounding" in self.names or dict(self.fixed).get("rounding") == "stochastic"
        return wanted in ("any", kind) or (name == "seed" and stochastic)

    def _codes(self, target: str, name: str, values: Sequence[Value]) -> list[int]:
        """Which value of a dimension stands for each, on a target.

        What the target ignores is its first value. A clock that a board does not offer is the
        first that it does, so that it makes no point; without any it stays, to be refused.
        """
        if not self._takes(self.kinds[target], name):
            return [0] * len(values)
        if name == "clock":
            offered = [k for k, v in enumerate(values) if self._offers(target, v)]
            return [k if k in offered else (offered or [0])[0] for k in range(len(values))]
        return list(range(len(values)))

    def _offers(self, target: str, clock: Value) -> bool:
        return any(abs(1e6 * float(clock) - hertz) < 1.0 for hertz in self.clocks[target])

    def _targets(self) -> tuple[str, ...]:
        said = dict(self.dimensions).get("target") or (dict(self.fixed)["target"],)
        return tuple(map(str, said))

    def point(self, row: Sequence[int]) -> Point:
        """The point whose k-th dimension has its ``row[k]``-th value."""
        codes = dict(zip(self.names, row, strict=True))
        target = self._targets()[codes.get("target", 0)]
        kind = self.kinds[target]
        values = {n: v[self._codes(target, n, v)[codes[n]]] for n, v in self.dimensions}
        values |= dict(self.fixed)
        return Point(tuple((n, values[n]) for n in OPTIONS if n in values and self._takes(kind, n)))

    def domain(self) -> Domain:
        """The space as the search sees it: numbers of values, and which rows are one point."""
        shape = tuple(len(values) for _, values in self.dimensions)
        targets = self._targets()
        place = self.names.index("target") if "target" in self.names else -1
        tables = [
            np.array([self._codes(target, name, values) for target in targets], np.int64)
            for name, values in self.dimensions
        ]

        def canonical(rows: Integers) -> Integers:
            """Each row's point as the one row that stands for it."""
            own = np.zeros(len(rows), np.int64) if place < 0 else rows[:, place]
            return np.stack([t[own, c] for t, c in zip(tables, rows.T, strict=True)], 1)

        size = sum(
            math.prod(len(set(t[k].tolist())) for j, t in enumerate(tables) if j != place)
            for k in range(len(targets))
        )
        unordered = tuple(OPTIONS[name].unordered for name in self.names)
        return Domain(shape, unordered, canonical, size)

    def unoffered(self) -> list[str]:
        """What boards lack of the clocks of the space, in words."""
        clocks = dict(self.dimensions).get("clock", ())
        found = []
        for target in self._targets():
            lacks = [f"{c:g}" for c in clocks if not self._offers(target, c)]
            if lacks and len(lacks) < len(clocks) and self.kinds[target] == "fpga":
                found.append(f"{target} offers no clock of {', '.join(lacks)} MHz")
        return found

    def within_delays(self, longest: int) -> Space:
        """The space for a network whose longest delay is this: caps from there on are one."""
        found = []
        for name, values in self.dimensions:
            if name == "delay_cap":
                beyond = sorted(v for v in values if int(v) >= longest)
                values = tuple(v for v in values if int(v) < longest or v == beyond[0])
            found.append((name, values))
        return replace(self, dimensions=tuple(found))


def read_space(path: Path) -> Space:
    """The space of a file; every complaint about it at once, as E0901."""
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise _wrong(path, "", f"the space cannot be read: {what}") from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _wrong(path, "", f"it is not TOML: {error}") from None
    return parse_space(data, path)


def parse_space(data: Mapping[str, Any], path: Path = Path("<space>")) -> Space:
    """The space that a TOML file's tables describe."""
    reader = _Reader(path, Diagnostics())
    for key in data:
        if key not in ("space", "fixed", "objectives"):
            reader.unknown("", key, ("space", "fixed", "objectives"))
    tables = {}
    for key in ("space", "fixed", "objectives"):
        table = data.get(key, {})
        if not isinstance(table, dict):
            reader.say(key, f"must be a table ([{key}]), not {table!r}")
            table = {}
        tables[key] = table
    if not tables["space"]:
        reader.say("space", "names no dimension", "[space] with, say, weight_bits = [4, 6, 8]")
    dimensions = {
        name: reader.values(name, said)
        for name, said in tables["space"].items()
        if reader.known("space", name)
    }
    fixed = {
        name: reader.values(name, [said], "fixed")
        for name, said in tables["fixed"].items()
        if reader.known("fixed", name)
    }
    for name in fixed.keys() & dimensions.keys():
        reader.say(f"fixed.{name}", "is a dimension of [space], too", "keep one of the two")
    targets = (*dimensions.get("target", ()), *fixed.get("target", ()))
    if "target" not in tables["space"] and "target" not in tables["fixed"]:
        reader.say("space", "names no target", "target = [\"icebreaker\"]; see 'spikec targets'")
    known = reader.targets([str(target) for target in targets])
    kinds: dict[str, str] = {name: target.kind for name, target in known.items()}
    wanted = reader.objectives(tables["objectives"])
    space = Space(
        tuple((n, tuple(dimensions[n])) for n in OPTIONS if n in dimensions),
        tuple((n, fixed[n][0]) for n in OPTIONS if fixed.get(n)),
        wanted,
        kinds,
        {name: target.clocks for name, target in known.items()},
    )
    if kinds:
        for name in (*dimensions, *fixed):
            if not any(space._takes(kind, name) for kind in kinds.values()):
                reader.say(
                    f"{'space' if name in dimensions else 'fixed'}.{name}",
                    f"none of the targets takes it: it is for a {_KINDS[OPTIONS[name].kind]}",
                    f"remove it, or add such a target ({', '.join(kinds)} is none)",
                )
    reader.found.raise_errors()
    return space


def _wrong(path: Path, key: str, message: str, hint: str | None = None) -> SpikecError:
    found = Diagnostics()
    _Reader(path, found).say(key, message, hint)
    return SpikecError(found)


@dataclass(frozen=True)
class _Reader:
    """Reads one file, and collects what is wrong with it."""

    path: Path
    found: Diagnostics

    def say(self, key: str, message: str, hint: str | None = None) -> None:
        text = f"{key}: {message}" if key else message
        self.found.add("E0901", text, Location(str(self.path)), hint)

    def unknown(self, table: str, key: str, names: Sequence[str]) -> None:
        near = difflib.get_close_matches(key, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(names)}"
        self.say(f"{table}.{key}" if table else key, "is not known", hint)

    def known(self, table: str, name: str) -> bool:
        if name not in OPTIONS:
            self.unknown(table, name, tuple(OPTIONS))
        return name in OPTIONS

    def values(self, name: str, said: object, table: str = "space") -> list[Value]:
        """The values of one dimension, ascending where they have an order."""
        key = f"{table}.{name}"
        option = OPTIONS[name]
        if isinstance(said, dict):
            said = self._range(key, said)
            if said is None:
                return []
        if not isinstance(said, list) or not said:
            self.say(key, f"must be a list of values or a range, not {said!r}", "as in [4, 6, 8]")
            return []
        good = [one for one in said if self._fits(key, name, option, one)]
        for one, count in ((v, good.count(v)) for v in dict.fromkeys(good)):
            if count > 1:
                self.say(key, f"has {one!r} {count} times")
        every = list(dict.fromkeys(good if option.whole else map(float, good)))
        return every if option.unordered or option.words else sorted(every)

    def _range(self, key: str, said: Mapping[str, Any]) -> list[int] | None:
        odd = sorted(said.keys() - {"from", "to", "step"})
        lacks = sorted({"from", "to"} - said.keys())
        numbers = [said.get("from"), said.get("to"), said.get("step", 1)]
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
        if odd or lacks or not whole:
            self.say(key, f"a range has whole numbers from, to and step, not {dict(said)!r}")
            return None
        low, high, step = numbers
        if step < 1 or high < low:
            self.say(key, f"the range from {low} to {high} in steps of {step} is empty")
            return None
        if (high - low) // step >= _MOST_VALUES:
            count = (high - low) // step + 1
            self.say(key, f"the range has {count:,} values; {_MOST_VALUES:,} at most")
            return None
        return list(range(low, high + 1, step))

    def _fits(self, key: str, name: str, option: Option, value: object) -> bool:
        if name == "target":
            if isinstance(value, str) and value:
                return True
            self.say(key, f"{value!r} is no name of a target")
            return False
        if option.words:
            if value in option.words:
                return True
            self.say(key, f"{value!r} is none of {', '.join(option.words)}")
            return False
        kind = "a whole number" if option.whole else "a number"
        right = int if option.whole else (int, float)
        unit = f" {option.unit}" if option.unit else ""
        span = f"{kind} from {option.low:g} to {option.high:g}{unit}"
        if (
            isinstance(value, bool)
            or not isinstance(value, right)
            or not option.low <= value <= option.high
            or (name == "activity" and value == 0)
        ):
            self.say(key, f"{value!r} is not {span}")
            return False
        if name == "units" and int(value) & (int(value) - 1):
            self.say(key, f"{value!r} is no power of two")
            return False
        return True

    def targets(self, names: Sequence[str]) -> dict[str, Target]:
        found: dict[str, Target] = {}
        for name in names:
            try:
                found[name] = find_target(name)[1]
            except SpikecError as error:
                self.found.extend(replace(d, where=self._at()) for d in error.diagnostics)
        return found

    def _at(self) -> Location:
        return Location(str(self.path))

    def objectives(self, table: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        for name, way in table.items():
            if name not in OBJECTIVES:
                self.unknown("objectives", name, tuple(OBJECTIVES))
            elif way != OBJECTIVES[name]:
                self.say(f"objectives.{name}", f"must be {OBJECTIVES[name]!r}, not {way!r}")
        wanted = table or OBJECTIVES
        return tuple((n, way) for n, way in OBJECTIVES.items() if n in wanted)
