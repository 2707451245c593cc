"""What a comparison of two recordings says, as data and as text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

Number = int | float
_SHOWN_INPUTS = 12


@dataclass(frozen=True)
class StateValues:
    """One state variable of one neuron in both recordings, before and after one update.

    ``before`` is ``None`` in the first step, when the neuron was at rest. Where one recording is
    real and the other counts units, k of them stand for ``scale`` k + ``origin``; ``scale`` is
    ``None`` where that is unknown, or both count the same.
    """

    variable: str
    before: tuple[Number, Number] | None
    after: tuple[Number, Number]
    scale: float | None = None
    origin: float = 0.0

    def text(self, value: Number) -> str:
        """A value, and what it stands for if it is a count beside a real one."""
        if self.scale is None or not isinstance(value, int):
            return _text(value)
        return f"{_text(value)} (for {value * self.scale + self.origin:.6g})"


@dataclass(frozen=True)
class Arrival:
    """``count`` sent by ``neuron`` of ``pre`` in step ``sent``, with the weight it arrived with."""

    projection: str
    pre: str
    neuron: int
    weight: Number
    count: Number
    sent: int


@dataclass(frozen=True)
class Difference:
    """The first place where two recordings differ.

    ``update`` is the step whose inputs decided the emission of ``step``: one step earlier when
    the population is registered and only its emission differs. ``emissions`` and ``states`` hold
    the values of both recordings; ``emissions`` is ``None`` where they were not recorded.
    ``inputs`` is ``None`` when no graph was given; ``unknown`` names projections whose source was
    recorded in neither.
    """

    sample: int
    step: int
    time: float
    population: str
    neuron: int
    update: int
    emissions: tuple[Number, Number] | None
    states: tuple[StateValues, ...]
    inputs: tuple[Arrival, ...] | None
    unknown: tuple[str, ...]

    def describe(self, rungs: tuple[str, str]) -> str:
        """Place, values and inputs as text; ``rungs`` names the two recordings."""
        return "\n".join(_difference_lines(self, rungs))


@dataclass(frozen=True)
class PopulationComparison:
    """The emissions of one population.

    ``mismatches`` of ``places`` = samples * steps * neurons differ. ``exact`` is false where one
    recording is real and the other in integer units: then the latter was multiplied by its scale
    and the result is a measurement, not a test of equality. ``rate_error`` is relative to the
    first recording (``None`` if only that one is silent); the distances are means over samples
    of the population's, and ``None`` for graded values, whose ``max_abs_error`` is in the unit of
    the membrane. In ``agreeing`` samples both recordings have the same winner.
    """

    population: str
    neurons: int
    places: int
    mismatches: int
    graded: bool
    exact: bool
    rate_error: float | None
    van_rossum: float | None
    victor_purpura: float | None
    max_abs_error: float | None
    agreeing: int


@dataclass(frozen=True)
class StateComparison:
    """The words of one state variable; ``exact`` as in :class:`PopulationComparison`."""

    population: str
    variable: str
    words: int
    mismatches: int
    exact: bool
    max_abs_error: float


@dataclass(frozen=True)
class WeightComparison:
    """The weights that a plastic projection has learned, in the recordings' last snapshot.

    ``first`` is the place of the first one that differs in the shape of the connection's weight,
    ``values`` what it is in both.
    """

    projection: str
    words: int
    mismatches: int
    max_abs_error: float
    first: tuple[int, ...] | None
    values: tuple[Number, Number] | None


@dataclass(frozen=True)
class Comparison:
    """Two recordings compared, the first taken as the reference.

    ``samples`` is how many were compared, ``recorded`` how many each recording has. ``first`` is
    the first difference in order of sample, step, population and neuron, among what can be
    compared exactly. ``tau`` (steps) and ``q`` (per step) are the parameters of the distances.
    ``skipped`` says what could not be compared, and why.
    """

    rungs: tuple[str, str]
    dt: float
    samples: int
    recorded: tuple[int, int]
    steps: int
    populations: tuple[PopulationComparison, ...]
    states: tuple[StateComparison, ...]
    first: Difference | None
    tau: float
    q: float
    skipped: tuple[str, ...] = ()
    weights: tuple[WeightComparison, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether nothing differs anywhere, measured values included."""
        return not (
            any(c.mismatches for c in self.populations)
            or any(c.mismatches for c in self.states)
            or any(c.mismatches for c in self.weights)
        )

    @property
    def spike_bits(self) -> int:
        """Emissions compared exactly."""
        return sum(c.places for c in self.populations if c.exact)

    @property
    def spike_mismatches(self) -> int:
        """Of those, the ones that differ."""
        return sum(c.mismatches for c in self.populations if c.exact)

    @property
    def state_words(self) -> int:
        """State words compared exactly, and learned weights."""
        return sum(c.words for c in self.states if c.exact) + sum(c.words for c in self.weights)

    @property
    def state_mismatches(self) -> int:
        """Of those, the ones that differ."""
        states = sum(c.mismatches for c in self.states if c.exact)
        return states + sum(c.mismatches for c in self.weights)

    def describe(self) -> str:
        """Everything above as text for a person."""
        return "\n".join(_lines(self))

    def as_dict(self) -> dict[str, Any]:
        """Everything above as JSON-ready data; numbers that are not finite become null."""
        data = asdict(self)
        data["equal"] = self.equal
        for name in ("spike_bits", "spike_mismatches", "state_words", "state_mismatches"):
            data[name] = getattr(self, name)
        plain: dict[str, Any] = _finite(data)
        return plain


def _lines(c: Comparison) -> Iterator[str]:
    one, two = c.rungs
    extent = f"{c.samples:,} samples x {c.steps} steps"
    if c.recorded != (c.samples, c.samples):
        extent += f" (recorded: {c.recorded[0]:,} and {c.recorded[1]:,} samples)"
    yield f"{one} against {two}, {extent}: {'equal' if c.equal else 'they differ'}"
    for p in c.populations:
        yield f"  {p.population}: {_population_line(p, c)}"
    for s in c.states:
        text = f"{s.mismatches:,} of {s.words:,} words differ"
        if s.mismatches:
            text += f", by at most {s.max_abs_error:.4g}"
        if not s.exact:
            text += " (measured: the rungs use different numbers)"
        yield f"  {s.population}.{s.variable}: {text}"
    for w in c.weights:
        text = f"{w.mismatches:,} of {w.words:,} learned weights differ"
        if w.first is not None and w.values is not None:
            place = ", ".join(map(str, w.first))
            text += f", by at most {w.max_abs_error:.4g}; first at [{place}]: "
            text += f"{one} {_text(w.values[0])}, {two} {_text(w.values[1])}"
        yield f"  {w.projection}: {text}"
    for reason in c.skipped:
        yield f"  not compared: {reason}"
    if c.first is not None:
        yield from _difference_lines(c.first, c.rungs)


def _population_line(p: PopulationComparison, c: Comparison) -> str:
    parts = [f"{p.mismatches:,} of {p.places:,} emissions differ"]
    if p.max_abs_error is not None and p.mismatches:
        parts.append(f"by at most {p.max_abs_error:.4g}")
    if not p.exact:
        parts.append("measured: the rungs use different numbers")
    if not p.graded and p.mismatches:
        rate = "undefined (the first is silent)" if p.rate_error is None else f"{p.rate_error:.3%}"
        parts.append(f"rate error {rate}")
        parts.append(f"van Rossum {p.van_rossum:.4g} (tau {c.tau:g} steps)")
        parts.append(f"Victor-Purpura {p.victor_purpura:.4g} (q {c.q:g} per step)")
    parts.append(f"same winner in {p.agreeing:,} of {c.samples:,} samples")
    return "; ".join(parts)


def _difference_lines(d: Difference, rungs: tuple[str, str]) -> Iterator[str]:
    one, two = rungs
    yield (
        f"first difference: sample {d.sample}, step {d.step} ({d.time * 1e3:.6g} ms), "
        f"population '{d.population}', neuron {d.neuron}"
    )
    if d.emissions is None:
        yield "  emission: not recorded"
    else:
        yield f"  emission: {one} {_text(d.emissions[0])}, {two} {_text(d.emissions[1])}"
    for s in d.states:
        before = "at rest before"
        if s.before is not None:
            left, right = map(s.text, s.before)
            before = f"both {left}" if left == right else f"{left} and {right}"
            before += f" in step {d.update - 1}"
        yield (
            f"  {s.variable} after step {d.update}: {one} {s.text(s.after[0])}, "
            f"{two} {s.text(s.after[1])} ({before})"
        )
    if d.inputs is not None:
        total = sum(i.weight * i.count for i in d.inputs)
        yield (f"  inputs in step {d.update}: {len(d.inputs)} arrived, weighted sum {_text(total)}")
        # The heaviest first: one wrong weight among hundreds is found by its size.
        heavy = sorted(d.inputs, key=lambda i: (-abs(i.weight * i.count), i.projection, i.neuron))
        for i in heavy[:_SHOWN_INPUTS]:
            yield (
                f"    {i.projection}: {i.pre}[{i.neuron}] sent {_text(i.count)} in step {i.sent}, "
                f"weight {_text(i.weight)}"
            )
        if len(heavy) > _SHOWN_INPUTS:
            yield f"    and {len(heavy) - _SHOWN_INPUTS} lighter ones"
    for name in d.unknown:
        yield f"  inputs along '{name}' are not known: its source was not recorded, or it learns"


def _text(value: Number) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value
