"""What a circuit's pulses say beside the event-level model of its cells, as data and as text.

Two rungs may have the same spikes where a pulse inside of the circuit is lost, or comes when it
should not: what spikes hide, pulses show, and which of them is the first says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

DIFFERS: Final = "E1438"
MEASURED: Final = "N1439"


@dataclass(frozen=True)
class FirstPulse:
    """The first pulse that differs, all times in s from the start of its ``step``.

    It is the ``number``-th of its ``net`` in the run, from 0 on; ``cell`` is the one that drives
    the net, or, where ``takes``, that takes it, ``kind`` what that is, and ``part`` what it is part
    of: a neuron, an input line or a clock. ``model`` is when the event-level model has the pulse,
    ``circuit`` when it came, ``None`` for never; within ``bound`` they would be one. ``cause`` is
    which pulses came too close for that cell, or nothing; where the model says nothing of such a
    pulse there is no bound.
    """

    sample: int
    step: int
    net: str
    number: int
    cell: str
    kind: str
    part: str
    takes: bool
    model: float | None
    circuit: float | None
    bound: float | None
    cause: str = ""

    def lines(self, rung: str) -> Iterator[str]:
        """Place, cell, both times and cause as text; ``rung`` names the circuit."""
        yield (
            f"first pulse that differs: sample {self.sample}, step {self.step}, net '{self.net}', "
            f"pulse {self.number}"
        )
        does = "takes" if self.takes else "drives"
        yield f"  the {self.kind} '{self.cell}' of {self.part} {does} the net"
        if self.bound is not None:
            bound = f"; within {_ps(self.bound)} they are one"
            yield f"  model {_ps(self.model)}, {rung} {_ps(self.circuit)}, of the step{bound}"
        if self.cause:
            yield f"  {self.cause}"


@dataclass(frozen=True)
class PulseCheck:
    """The pulses of a circuit beside the event-level model.

    ``compared`` says what of them, in words. ``exact`` is whether they have to be the same;
    elsewhere the first that differs is told. So many ``pulses`` on so many ``nets`` were looked at,
    and their times may be up to ``bound`` s apart, and those that do not differ were up to
    ``furthest`` s; ``None`` where times are not compared.
    """

    compared: str
    exact: bool
    nets: int
    pulses: int
    bound: float | None
    furthest: float | None
    first: FirstPulse | None

    @property
    def failed(self) -> bool:
        """Whether something differs that must not."""
        return self.exact and self.first is not None

    @property
    def code(self) -> str | None:
        """E1438 where a pulse differs and must not, N1439 where one differs, ``None`` elsewhere."""
        if self.first is None:
            return None
        return DIFFERS if self.exact else MEASURED

    def describe(self, rung: str) -> str:
        """Everything above as text for a person; ``rung`` names the circuit."""
        return "\n".join(self._lines(rung))

    def as_dict(self) -> dict[str, Any]:
        """Everything above as JSON-ready data."""
        return asdict(self) | {"failed": self.failed, "code": self.code}

    def _lines(self, rung: str) -> Iterator[str]:
        verdict = "equal" if self.first is None else f"they differ ({self.code})"
        if self.first is None and self.furthest is not None:
            verdict = f"equal, {_ps(self.furthest)} apart at most, where {_ps(self.bound)} are one"
        yield f"{rung}, {self.pulses:,} pulses on {self.nets:,} nets: {verdict}"
        yield f"  compared: {self.compared}"
        if self.first is not None:
            yield from (f"  {line}" for line in self.first.lines(rung))


def _ps(time: float | None) -> str:
    return "no pulse" if time is None else f"{time * 1e12:.2f} ps"
