"""What makes weights of a core plastic, in plain numbers: the rule, its rows, its columns.

`spikec.ir.plasticity` has the equations of the rules. Here is where their synapses lie and how many
bits their updates take, for whoever sizes, packs or builds a core.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from ..ir.numerics import Rounding as IrRounding
from ..ir.plasticity import SDSP, Accumulation, Response, Rule, Trace, TraceSTDP, Update

Rotator = Literal["logic", "multiplier"]
ROTATORS: Final[tuple[Rotator, ...]] = ("logic", "multiplier")
# Bits of one operand of a device's multipliers.
MULTIPLIER_BITS: Final = 18


@dataclass(frozen=True)
class Learning:
    """The plastic projection of a core: K rows, all with one word for each of W groups.

    The weights of row k (source ``first_row`` + k) lie in the words ``word(k)`` and following, for
    groups ``first_group`` and following. Words that are turned (`skewed`) lie in L planes
    of Q = words / L each, row k in plane k mod L::

        word(k) = plane(k mod L) Q + (k // L) W

    and bank b of the weight memory holds lane (b - k) mod L of a word, so that the L weights of a
    row as well as those of L rows for one neuron come from L banks. See `plane` for its numbering.

    rule           a `TraceSTDP` or an `SDSP`
    rows, groups   K and W
    w_min, w_max   rails of the weights that learn
    first_row, first_group
    start          first step of the post neurons
    after          whether an event transmits the weight that it leaves
    rotator        what turns words: choices made of logic, or the device's multipliers
    """

    rule: Rule
    rows: int
    groups: int
    w_min: int
    w_max: int
    first_row: int = 0
    first_group: int = 0
    start: int = 0
    after: bool = False
    rotator: Rotator = "logic"

    @property
    def columns(self) -> bool:
        """Whether post spikes change weights."""
        return self.rule.columns

    @property
    def skewed(self) -> bool:
        """Whether words are turned: for columns, or for noise that follows the synapse."""
        return self.columns or self.stochastic

    @property
    def stochastic(self) -> bool:
        """Whether updates round by a generator."""
        return isinstance(self.rule, TraceSTDP) and self.rule.rounding is IrRounding.STOCHASTIC

    @property
    def refreshes(self) -> bool:
        """Whether weights drift to their rails by themselves."""
        return isinstance(self.rule, SDSP) and self.rule.refresh_period > 0

    def blocks(self, lanes: int) -> int:
        """Blocks of L rows: ceil(K / L)."""
        return -(-self.rows // lanes)

    def word(self, row: int, lanes: int, words: int) -> int:
        """The first word of a row."""
        if not self.skewed:
            return row * self.groups
        return plane(row, lanes) * (words // lanes) + row // lanes * self.groups

    def words(self, lanes: int) -> int:
        """Words of all rows, in each plane if there are planes."""
        return (self.blocks(lanes) if self.skewed else self.rows) * self.groups

    def problems(self, lanes: int) -> Iterator[str]:
        """Why no core of L lanes can have it; what fields of numbers say is left to them."""
        if not isinstance(self.rule, TraceSTDP | SDSP):
            yield f"a core cannot learn by {type(self.rule).__name__}"
            return
        yield from self.rule.problems()
        if self.w_min > self.w_max:
            yield f"w_min is {self.w_min} and w_max {self.w_max}; they must be ordered"
        if isinstance(self.rule, TraceSTDP) and self.stochastic and self.rule.streams != lanes:
            yield (
                f"stochastic rounding in {self.rule.streams} streams takes a core of as many "
                f"lanes, not {lanes}"
            )
        if self.rotator not in ROTATORS:
            yield f"rotator must be one of {', '.join(ROTATORS)}: {self.rotator!r}"
        elif self.rotator == "multiplier" and (
            lanes > 2 * MULTIPLIER_BITS or (lanes > MULTIPLIER_BITS and lanes % 2)
        ):
            yield (
                f"multipliers turn up to {MULTIPLIER_BITS} lanes, or an even number up to "
                f"{2 * MULTIPLIER_BITS}; not {lanes}"
            )


def digits(lanes: int) -> tuple[int, int]:
    """The largest power of two in L, and the odd rest."""
    power = lanes & -lanes
    return power, lanes // power


def plane(number: int, lanes: int) -> int:
    """Plane of the rows number mod L: two residues, of an odd number and of a power of two.

    A difference modulo L, which every bank needs another one of, is then one of few bits each.
    """
    power, odd = digits(lanes)
    return number % odd * power + number % power


@dataclass(frozen=True)
class TermForm:
    """What an update adds, ready for the adders of the lanes.

    A deterministic rule keeps the sum itself, signed and within the rails' distance, which changes
    nothing behind the clamp. A stochastic one keeps amplitude x 2^(s - shift) with s = ``shift``,
    the larger of the two rules' shifts, to which the noise is added before the s bits are dropped.
    """

    bits: int
    signed: bool
    shift: int = 0


def largest(trace: Trace) -> int:
    """The largest value that a trace takes."""
    full = (1 << trace.bits) - 1
    return full if trace.accumulation is Accumulation.ADD else trace.increment


def term_form(learning: Learning) -> TermForm:
    """How the terms of a rule are kept."""
    rule = learning.rule
    if not isinstance(rule, TraceSTDP):
        return TermForm(2, True)
    updates = [(rule.on_pre, rule.post), (rule.on_post, rule.pre)]
    used = [(update, trace) for update, trace in updates if not update.idle]
    if learning.stochastic:
        shift = max((shift_of(update) for update, _ in used), default=0)
        most = [factor(u, shift) * (1 if window(u) else largest(t)) for u, t in used]
        return TermForm(max(1, max(most, default=1).bit_length()), False, shift)
    reach = [1]
    for update, trace in used:
        top = update.amplitude if window(update) else _upper(update, largest(trace))
        for value in (update.offset, update.offset + update.sign * top):
            kept = clipped(learning, value)
            reach.append(kept if kept >= 0 else -kept - 1)
    return TermForm(max(reach).bit_length() + 1, True)


def window(update: Update) -> bool:
    """Whether an update only asks whether the trace is above zero."""
    return update.response is Response.WINDOW


def shift_of(update: Update) -> int:
    """Bits that an update drops."""
    return 0 if window(update) else update.shift


def factor(update: Update, shift: int) -> int:
    """amplitude 2^(s - shift): what a trace (or [trace > 0]) is multiplied by, noise to come."""
    return update.amplitude << (shift - shift_of(update))


def _upper(update: Update, trace: int) -> int:
    """No rounding gives more."""
    return -(-update.amplitude * trace >> update.shift)


def first_term(learning: Learning) -> int:
    """What a post neuron at rest adds to the weights that are read."""
    rule = learning.rule
    if isinstance(rule, SDSP):
        up = rule.theta_mem <= 0
        if up:
            return int(rule.theta_1 <= 0 < rule.theta_3)
        return -int(rule.theta_1 <= 0 < rule.theta_2)
    assert isinstance(rule, TraceSTDP)
    return 0 if learning.stochastic else clipped(learning, rule.on_pre.offset)


def clipped(learning: Learning, term: int) -> int:
    """A term within the rails' distance."""
    span = learning.w_max - learning.w_min
    return min(max(term, -span), span)


def clips(learning: Learning, update: Update, trace: Trace) -> bool:
    """Whether an update of a trace makes terms beyond the rails' distance."""
    top = update.amplitude if window(update) else _upper(update, largest(trace))
    values = (update.offset, update.offset + update.sign * top)
    return any(clipped(learning, value) != value for value in values)
