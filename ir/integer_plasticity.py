r"""The rules of `ir.plasticity` that come from real numbers, in whole numbers.

No hardware holds them: they say what a rule does to weights of so many bits before there is any.
Their order of events and their times are those of the rule they come from.

A weight that learns has ``fraction`` bits below its unit: it is :math:`W\,2^{-f}`, with W a whole
number. What is sent, shown and left is w, rounded to its unit, a half up; everything below counts
in W, the rails included. The rails are whole units, and so are the weights a run starts with.

A rule reads a node as the number of its spikes, or as the v of a readout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from .numerics import Rounding
from .plasticity import (
    FACTOR_BITS,
    MAX_AMPLITUDE,
    Coincidence,
    Dependence,
    Factor,
    Response,
    Trace,
    TwoTraces,
    Update,
    ValueRule,
)
from .records import omitted

# Products of all that makes a change have at most 62 bits: an amplitude, a trace and, where it
# depends on the weight, the distance of one from a rail.
MAX_PAIR_BITS = 36
MAX_SCALED_BITS = 28
MAX_SCALED = 1 << 17  # of a rail, in W
MAX_PAIR_SHIFT = 60
MAX_RAISED = (1 << 26) - 1  # an amplitude that traces or nodes raise, where no weight does
MAX_ELIGIBLE = (1 << 31) - 1
MAX_MODULATION = (1 << 15) - 1
MAX_SHOWN = (1 << 23) - 1
MAX_FRACTION = 16
MAX_LEVEL_BITS = 30  # levels times the distance of the rails, which has 31, and as much to add


@dataclass(frozen=True, eq=False)
class IntegerPairSTDP(TwoTraces):
    r"""`PairSTDP` in whole numbers, with a trace :math:`x_i` of each pre, :math:`y_j` of each post
    neuron.

    .. math::
        W_{ij} &\leftarrow \mathrm{clamp}(W_{ij} + o_\mathrm{pre} + s_\mathrm{pre} f_\mathrm{pre}
        (y_j)) \quad\text{when a spike of } i \text{ is at the synapse} \\
        W_{ij} &\leftarrow \mathrm{clamp}(W_{ij} + o_\mathrm{post} + s_\mathrm{post}
        f_\mathrm{post}(x_i)) \quad\text{when one of } j \text{ is}

    Spikes are at the synapse when `PairSTDP` says. Of the spikes of one step the pre ones send and
    change weights (P) and enter their traces (X), the post ones change weights (Q) and enter theirs
    (Y), each for all neurons in ascending order, in the order P X Q Y under ``coincidence``
    potentiate, Q Y P X under depress, P Q X Y under none and X Y P Q under both. Then traces decay.

    Where its amplitude depends on the weight (``MULTIPLICATIVE``: ``dependence`` at a post spike,
    ``depression``, or ``dependence`` where that is ``None``, at a pre spike), f is
    :math:`\mathrm{round}(\mathrm{amplitude}\; x\, g / 2^\mathrm{shift})`, or without x for a
    window, with :math:`g = W - W_\mathrm{min}` at a pre and :math:`W_\mathrm{max} - W` at a post
    spike; there is no offset then.

    With ``depression_by``, the name of a node, the amplitude at a pre spike in step t is

    .. math::
        \mathrm{round}(\mathrm{amplitude}\; \hat c_j\, 2^{-k}), \qquad
        \hat c = \mathrm{sat}(\mathrm{round}(c\, 2^{-k'}))

    of what the node showed in step t - 1, 0 in the first of a sample, with k =
    ``depression_shift`` and k' = ``shown_shift``. It saturates at `MAX_RAISED`, or at
    `MAX_AMPLITUDE` where it depends on the weight, and c at `MAX_SHOWN`.

    A weight of ``bits`` bits is, once a change of it has not been zero, one of the :math:`n + 1 =
    2^\mathrm{bits}` levels between its rails: of level l and a change :math:`\Delta`

    .. math::
        l \leftarrow \mathrm{clamp}(\mathrm{round}(l + \Delta\, n / (W_\mathrm{max} -
        W_\mathrm{min}))), \qquad
        W = W_\mathrm{min} + \mathrm{round}(l\,(W_\mathrm{max} - W_\mathrm{min}) / n),

    the first as ``bits_rounding`` says, to the nearest even or down, without an error in between. A
    weight that is none of them counts as the fraction of a level that it is.
    """

    coincidence: Coincidence = Coincidence.POTENTIATE
    dendritic_delay_fraction: float = 1.0
    rounding: Rounding = Rounding.NEAREST_EVEN
    dependence: Dependence = Dependence.ADDITIVE
    depression: Dependence | None = None
    fraction: int = omitted(0)
    bits: int | None = omitted(None)
    bits_rounding: Rounding = omitted(Rounding.NEAREST_EVEN)
    depression_by: str | None = omitted(None)
    depression_shift: int = omitted(0)
    shown_shift: int = omitted(0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.depression is not None:
            object.__setattr__(self, "depression", Dependence(self.depression))
        fraction = float(self.dendritic_delay_fraction)
        object.__setattr__(self, "dendritic_delay_fraction", fraction)
        object.__setattr__(self, "dependence", Dependence(self.dependence))
        object.__setattr__(self, "coincidence", Coincidence(self.coincidence))
        object.__setattr__(self, "rounding", Rounding(self.rounding))
        object.__setattr__(self, "bits_rounding", Rounding(self.bits_rounding))

    @property
    def dependences(self) -> tuple[Dependence, Dependence]:
        """That of the column update, at a post spike, and that of the row update."""
        return self.dependence, self.dependence if self.depression is None else self.depression

    @property
    def pairs(self) -> bool:
        """Whether the rule has an eye on post spikes at all."""
        return True

    @property
    def factors(self) -> tuple[Factor, ...]:
        """What scales the depression, if anything does."""
        if self.depression_by is None:
            return ()
        return (Factor("depression_by", self.depression_by, "post", shared=True),)

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        up, down = (each is Dependence.MULTIPLICATIVE for each in self.dependences)
        yield from self.pre.problems("the pre trace", MAX_SCALED_BITS if up else MAX_PAIR_BITS)
        yield from self.post.problems("the post trace", MAX_SCALED_BITS if down else MAX_PAIR_BITS)
        yield from self.on_pre.problems("the row update", MAX_PAIR_SHIFT)
        yield from self.on_post.problems("the column update", MAX_PAIR_SHIFT)
        if self.rounding is Rounding.STOCHASTIC:
            yield "it rounds stochastically; it has no generator"
        if Dependence.SCALED in self.dependences:
            yield "its amplitudes are scaled by w_max; in whole numbers that is in the amplitude"
        offset = (up and self.on_post.offset) or (down and self.on_pre.offset)
        if offset:
            yield f"an offset of {offset} beside amplitudes that depend on the weight"
        if not 0 <= self.dendritic_delay_fraction <= 1:
            yield f"dendritic_delay_fraction is {self.dendritic_delay_fraction:g}, not 0 to 1"
        yield from _fraction(self.fraction)
        if self.bits is not None and not 1 <= self.bits <= MAX_LEVEL_BITS:
            yield f"a weight of {self.bits} bits; it has 1 to {MAX_LEVEL_BITS}"
        if self.bits_rounding not in (Rounding.NEAREST_EVEN, Rounding.DOWN):
            yield f"its weights round {self.bits_rounding}; to the nearest even value, or down"
        if self.depression_by is not None and self.on_pre.offset:
            yield f"an offset of {self.on_pre.offset} beside an amplitude that a node scales"
        yield from _shift("depression_shift", self.depression_shift)
        yield from _shift("shown_shift", self.shown_shift)


@dataclass(frozen=True, eq=False)
class IntegerTripletSTDP(IntegerPairSTDP):
    r"""`TripletSTDP` in whole numbers: amplitudes that earlier spikes of the same neuron raise.

    ``pre_earlier`` and ``post_earlier`` are a trace more of each pre and each post neuron,
    :math:`x'_i` and :math:`y'_j`, which take a spike when the others do. The signed amplitude of a
    spike of i, and of one of j, is

    .. math::
        s\,\mathrm{amplitude} + s'\,\mathrm{round}(\mathrm{amplitude}'\, x'_i\, 2^{-\mathrm{shift}'
        }), \qquad
        s\,\mathrm{amplitude} + s'\,\mathrm{round}(\mathrm{amplitude}'\, y'_j\, 2^{-\mathrm{shift}'
        })

    with the primed ones those of ``on_pre_earlier`` and ``on_post_earlier``; it saturates as one
    that a node scales does, and that comes behind. The rest is `IntegerPairSTDP`: what is rounded
    is the size of a change, before its sign.
    """

    PRE: ClassVar[tuple[str, ...]] = ("x", "x2")
    POST: ClassVar[tuple[str, ...]] = ("y", "y2")

    pre_earlier: Trace = field(default_factory=lambda: Trace(0))
    post_earlier: Trace = field(default_factory=lambda: Trace(0))
    on_pre_earlier: Update = field(default_factory=Update)
    on_post_earlier: Update = field(default_factory=Update)

    @property
    def rows(self) -> bool:
        """Whether pre spikes change weights."""
        return not (self.on_pre.idle and self.on_pre_earlier.idle)

    @property
    def columns(self) -> bool:
        """Whether post spikes change weights."""
        return not (self.on_post.idle and self.on_post_earlier.idle)

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        yield from super().problems()
        yield from self.pre_earlier.problems("the pre trace of triplets", MAX_PAIR_BITS)
        yield from self.post_earlier.problems("the post trace of triplets", MAX_PAIR_BITS)
        yield from self.on_pre_earlier.problems("the row update of triplets", MAX_PAIR_SHIFT)
        yield from self.on_post_earlier.problems("the column update of triplets", MAX_PAIR_SHIFT)
        updates = (self.on_pre, self.on_post, self.on_pre_earlier, self.on_post_earlier)
        if any(update.offset for update in updates):
            yield "an offset beside amplitudes that earlier spikes raise"
        if any(update.response is Response.WINDOW for update in updates):
            yield "triplets in a window; theirs is a trace"
        if self.coincidence is Coincidence.BOTH:
            yield "coincidence is both: a spike would find itself among the earlier ones"


@dataclass(frozen=True, eq=False)
class IntegerThreeFactorSTDP(IntegerPairSTDP):
    r"""`ThreeFactorSTDP` in whole numbers.

    .. math::
        e_{ij} &\leftarrow \mathrm{sgn}(e_{ij}) \lfloor |e_{ij}|\,\mathrm{keep}\,2^{-24} \rfloor, \\
        e_{ij} &\leftarrow \mathrm{sat}(e_{ij} + a_\mathrm{pre} + \Delta_{ij}) \text{ at a pre
        spike}, \qquad
        e_{ij} \leftarrow \mathrm{sat}(e_{ij} + \Delta_{ij}) \text{ at a post spike}, \\
        m_j &= \mathrm{sat}(\mathrm{round}(\hat M_j(t)\, \hat G_j(t)\, 2^{-k})), \qquad
        \hat M = \mathrm{sat}(\mathrm{round}(M\, 2^{-k'})), \\
        W_{ij} &\leftarrow \mathrm{clamp}(W_{ij} + \mathrm{round}(\eta\, m_j\, e_{ij}\,
        2^{-\mathrm{shift}}))

    in this order in every step t. :math:`\Delta` is what `IntegerPairSTDP` would add to W, in the
    unit of e instead; k is ``product_shift``, G 1 without a gate, k' ``modulator_shift`` or, for G,
    ``gate_shift``, all rounding to the nearest even. e saturates at `MAX_ELIGIBLE`, m at
    `MAX_MODULATION`, M and G at `MAX_SHOWN`.
    """

    modulator: str = ""
    eta: int = 0
    shift: int = 0
    keep: int = 0
    a_pre: int = 0
    gate: str | None = None
    modulator_shift: int = 0
    gate_shift: int = 0
    product_shift: int = 0

    @property
    def rows(self) -> bool:
        """Whether pre spikes change what is remembered."""
        return not self.on_pre.idle or self.a_pre != 0

    @property
    def pairs(self) -> bool:
        """Whether the rule has an eye on post spikes at all."""
        return not (self.on_pre.idle and self.on_post.idle)

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The modulator, and the gate and what scales the depression where there are any."""
        gate = () if self.gate is None else (Factor("gate", self.gate, "post", shared=True),)
        named = (Factor("modulator", self.modulator, "post", shared=True),)
        return (*super().factors, *(named if self.modulator else ()), *gate)

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        yield from super().problems()
        if not self.modulator:
            yield "it names no modulator"
        yield from _amplitude("eta", self.eta)
        for name in ("shift", "modulator_shift", "gate_shift", "product_shift"):
            yield from _shift(name, getattr(self, name))
        if not 0 <= self.keep < 1 << FACTOR_BITS:
            yield f"keep is {self.keep}; it must be 0 to {(1 << FACTOR_BITS) - 1}"
        if abs(self.a_pre) > MAX_ELIGIBLE:
            yield f"a_pre is {self.a_pre}; it must be within {MAX_ELIGIBLE}"
        if self.bits is not None:
            yield f"a weight of {self.bits} bits; one that moves in every step has none"


@dataclass(frozen=True, eq=False)
class IntegerHebbian(ValueRule):
    r"""`Hebbian` in whole numbers.

    .. math::
        W_{ij} \leftarrow \mathrm{clamp}(W_{ij} + \mathrm{round}(\eta\, \hat y_j(t)\, \hat x_i(t)\,
        2^{-\mathrm{shift}})), \qquad
        \hat x = \mathrm{sat}(\mathrm{round}(x\, 2^{-k}))

    at the end of every step t, with k = ``pre_shift`` for x and ``post_shift`` for y, rounding to
    the nearest even, and saturation at `MAX_SHOWN`.
    """

    INTEGER: ClassVar[bool] = True

    eta: int
    shift: int = 0
    pre_factor: str | None = None
    post_factor: str | None = None
    pre_shift: int = 0
    post_shift: int = 0
    fraction: int = omitted(0)

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        yield from _amplitude("eta", self.eta)
        for name in ("shift", "pre_shift", "post_shift"):
            yield from _shift(name, getattr(self, name))
        yield from _fraction(self.fraction)


FRACTIONAL = (IntegerPairSTDP, IntegerHebbian)
"""The rules whose weights have a ``fraction``."""


def _fraction(bits: int) -> Iterator[str]:
    if not 0 <= bits <= MAX_FRACTION:
        yield f"a fraction of {bits} bits; a weight has 0 to {MAX_FRACTION} below its unit"


def _shift(name: str, bits: int) -> Iterator[str]:
    if not 0 <= bits <= MAX_PAIR_SHIFT:
        yield f"{name} is {bits}; it must be 0 to {MAX_PAIR_SHIFT}"


def _amplitude(name: str, value: int) -> Iterator[str]:
    if abs(value) > MAX_AMPLITUDE:
        yield f"{name} is {value}; it must be within {MAX_AMPLITUDE}"
