r"""Plasticity: how the spikes of a projection change its weights.

`PairSTDP`, `TripletSTDP`, `ThreeFactorSTDP` and `Hebbian` are rules in real numbers, with times of
their own, and those in whole numbers (`ir.integer_plasticity`) have the same. A step t of a plastic
projection from neurons i to neurons j under any other rule:

1. For every pre event, in ascending order of i: synapse (i, j) transmits :math:`w_{ij}` times the
   value of the event, with the weight as it was (or, under ``Transmit.AFTER``, as it has become);
   the *row update* of i changes the weights of the row; then the trace of i takes its spike.
2. The neurons j integrate and spike.
3. For every spike of step t, in ascending order of j: the *column update* of j changes the weights
   of the column. After all columns the traces of the neurons that spiked take their spike.
4. Traces decay by one step.

An event is the reading of a row. A line of an input is read in the step of its spike. A spike of a
population in step s is read in step s when it arrives in step s, else in step s + 1: one hop, and
whatever is left of the delay is spent after the row was read. Spikes of a sample's last step are
read after it: nobody takes what they transmit, but weights change. So what pairs is the reading of
the row with the spike of j, and the delay of a projection counts as dendritic but for one hop.
Pairs of one step count as pre before post. An event is one spike to a rule, whatever its value.

The state of a rule is cleared before every sample; weights and the generator of stochastic rounding
are not: samples in sequence are learning presentations.

Weights stay within ``w_min`` to ``w_max``, without exception: an update saturates and never wraps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from .diagnostics import fail
from .homeostasis import Scaling
from .numerics import S411, S1615, Rounding
from .records import Record, frozen_array, omitted

LFSR_TAPS = 0x80200003
"""Of the polynomial x^32 + x^22 + x^2 + x + 1, which is primitive: the period is 2^32 - 1."""

MAX_WEIGHT = (1 << 31) - 1
MAX_WEIGHT_BITS = 32
MAX_TRACE_BITS = 16
FACTOR_BITS = 24
MAX_AMPLITUDE = (1 << 16) - 1
MAX_SHIFT = 31
MAX_STREAMS = 1 << 16
MAX_CALCIUM_BITS = 16
MAX_MEMBRANE = 2.0**62
# Of SpiNNaker: the largest word of a ring buffer, and the most that it is shifted to be s16.15.
WORD = (1 << 16) - 1
MAX_RING_SHIFT = 15


def next_state(state: int) -> int:
    """The state of the 32-bit Galois register after ``state``; never zero.

    ``state >> 1``, and ``LFSR_TAPS`` added bit by bit when the bit that fell out was one.
    """
    return (state >> 1) ^ (LFSR_TAPS if state & 1 else 0)


class Transmit(StrEnum):
    """Which weight a pre event transmits."""

    BEFORE = "before"  # the one that the row update of this event finds
    AFTER = "after"  # the one that it leaves


class Accumulation(StrEnum):
    """What a spike does to a trace."""

    ADD = "add"  # x = min(x + increment, 2^bits - 1): all spikes count
    SET = "set"  # x = increment: the nearest spike counts


class TraceDecay(StrEnum):
    """What a step does to a trace."""

    SHIFT = "shift"  # x -= ceil(x / 2^k), which is floor(x (1 - 2^-k)): exponential, reaches zero
    COUNT = "count"  # x = max(x - 1, 0): a timer
    FACTOR = "factor"  # x = floor(x factor / 2^24): any time constant, reaches zero


class Response(StrEnum):
    """What of a trace enters an update."""

    LINEAR = "linear"  # f(x) = round(amplitude x / 2^shift)
    WINDOW = "window"  # f(x) = amplitude [x > 0]


@dataclass(frozen=True, eq=False)
class Trace(Record):
    r"""A trace of ``bits`` bits, unsigned, of each pre or each post neuron.

    .. math::
        x \leftarrow \min(x + \mathrm{increment}, 2^{\mathrm{bits}} - 1)
        \quad\text{or}\quad x \leftarrow \mathrm{increment}
        \quad\text{at a spike},\qquad
        x \leftarrow x - \lceil x / 2^k \rceil \quad\text{or}\quad x \leftarrow \max(x - 1, 0)
        \quad\text{at the end of a step}

    with k = ``shift``, of no meaning but under ``TraceDecay.SHIFT``; or, under
    ``TraceDecay.FACTOR``, :math:`x \leftarrow \lfloor x\,\mathrm{factor}\,2^{-24} \rfloor`. The
    time constant of the shift is :math:`-1 / \ln(1 - 2^{-k})` steps, about 2^k - 1/2.
    """

    increment: int
    accumulation: Accumulation = Accumulation.ADD
    decay: TraceDecay = TraceDecay.SHIFT
    shift: int = 4
    bits: int = 8
    factor: int = omitted(0)

    def problems(self, name: str, most: int = MAX_TRACE_BITS) -> Iterator[str]:
        """What is out of range, with at most so many bits."""
        if not 1 <= self.bits <= most:
            yield f"{name} has {self.bits} bits; a trace has 1 to {most}"
        elif not 0 <= self.increment < 1 << self.bits:
            yield (
                f"{name} rises by {self.increment}; a trace of {self.bits} bits holds 0 to "
                f"{(1 << self.bits) - 1}"
            )
        if not 0 <= self.shift <= MAX_TRACE_BITS:
            yield f"{name} decays by a shift of {self.shift}; it must be 0 to {MAX_TRACE_BITS}"
        if not 0 <= self.factor < 1 << FACTOR_BITS:
            yield f"{name} decays by {self.factor}; a factor is 0 to {(1 << FACTOR_BITS) - 1}"


@dataclass(frozen=True, eq=False)
class Update(Record):
    r""":math:`w \leftarrow \mathrm{clamp}(w + \mathrm{offset} + \mathrm{sign} \cdot f(x))`.

    :math:`f(x) = \mathrm{round}(\mathrm{amplitude}\; x / 2^{\mathrm{shift}})` (``Response.LINEAR``)
    or :math:`\mathrm{amplitude}\,[x > 0]` (``WINDOW``). f is not negative, and it is f that the
    rule rounds, before ``sign``: toward zero and down both truncate.
    """

    sign: int = 1
    amplitude: int = 0
    shift: int = 0
    response: Response = Response.LINEAR
    offset: int = 0

    @property
    def idle(self) -> bool:
        """Whether this update can change nothing. It then does not take place at all."""
        return self.amplitude == 0 and self.offset == 0

    def problems(self, name: str, most: int = MAX_SHIFT) -> Iterator[str]:
        """What is out of range, with a shift of at most so many bits."""
        if self.sign not in (-1, 1):
            yield f"the sign of {name} is {self.sign}; it must be 1 or -1"
        if not 0 <= self.amplitude <= MAX_AMPLITUDE:
            yield f"the amplitude of {name} is {self.amplitude}; it must be 0 to {MAX_AMPLITUDE}"
        if not 0 <= self.shift <= most:
            yield f"the shift of {name} is {self.shift}; it must be 0 to {most}"
        if abs(self.offset) > MAX_AMPLITUDE:
            yield f"the offset of {name} is {self.offset}; it must be within {MAX_AMPLITUDE}"


class Factor(NamedTuple):
    """A node whose emission a rule reads: which ``field`` names it, and whose size it has.

    ``None`` for ``node`` stands for the projection's own ``side``. With ``shared`` it may have the
    size 1 as well, for all.
    """

    field: str
    node: str | None
    side: Literal["pre", "post"]
    shared: bool = False


@dataclass(frozen=True, eq=False)
class Rule(Record):
    """Base of the rules. Each declares its own facts.

    ``INTEGER``: the rule counts in units of an integer weight, and weights and bounds are whole
    numbers. ``PRE`` and ``POST`` name the state variables that each pre and each post neuron has.
    """

    INTEGER: ClassVar[bool] = False
    PRE: ClassVar[tuple[str, ...]] = ()
    POST: ClassVar[tuple[str, ...]] = ()

    @property
    def rows(self) -> bool:
        """Whether pre events change weights."""
        return True

    @property
    def columns(self) -> bool:
        """Whether post spikes change weights: hardware then needs access by column."""
        return False

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The nodes whose emission the rule reads, besides the spikes of its own two ends."""
        return ()

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        yield from ()


@dataclass(frozen=True, eq=False)
class TwoTraces(Rule):
    """Base of the rules that a trace of each pre and one of each post neuron make: ``on_pre`` is
    what the post trace does at a pre spike, ``on_post`` what the pre trace does at a post spike.
    """

    INTEGER: ClassVar[bool] = True
    PRE: ClassVar[tuple[str, ...]] = ("x",)
    POST: ClassVar[tuple[str, ...]] = ("y",)

    pre: Trace
    post: Trace
    on_pre: Update = field(default_factory=Update)
    on_post: Update = field(default_factory=Update)

    @property
    def rows(self) -> bool:
        """Whether pre events change weights."""
        return not self.on_pre.idle

    @property
    def columns(self) -> bool:
        """Whether post spikes change weights."""
        return not self.on_post.idle


@dataclass(frozen=True, eq=False)
class TraceSTDP(TwoTraces):
    r"""Spike timing by two traces, :math:`x_i` of the pre and :math:`y_j` of the post neurons.

    .. math::
        w_{ij} &\leftarrow \mathrm{clamp}(w_{ij} + o_\mathrm{pre} + s_\mathrm{pre} f_\mathrm{pre}
        (y_j)) \quad\text{at a pre event of } i \\
        w_{ij} &\leftarrow \mathrm{clamp}(w_{ij} + o_\mathrm{post} + s_\mathrm{post}
        f_\mathrm{post}(x_i)) \quad\text{at a spike of } j

    ``on_pre`` and ``on_post`` are the two updates, ``pre`` and ``post`` the two traces.

    **Stochastic rounding**, as hardware of S = ``streams`` lanes does it with one generator
    (``next_state``, from ``seed``, which is not zero): the row update of i visits the indexes j in
    words of S, :math:`\lceil N_\mathrm{post} / S \rceil` of them; the column update of j the
    indexes i, :math:`\lceil N_\mathrm{pre} / S \rceil` words. Indexes without a synapse, or with
    one that is not enabled, are visited too. Synapse (i, j) takes

    .. math:: f(x) = \lfloor (\mathrm{amplitude}\; x + r) / 2^{\mathrm{shift}} \rfloor

    with r the low ``shift`` bits of the state rotated right by :math:`((i + j) \bmod S) \bmod 32`.
    After each word the generator takes one step. An update that is ``idle`` is not visited; one
    whose response is a window is visited, and uses no bits. Words run in the order of the updates:
    rows of a step in ascending i, then columns in ascending j.
    """

    rounding: Rounding = Rounding.NEAREST_EVEN
    streams: int = 1
    seed: int = 1

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        yield from self.pre.problems("the pre trace")
        yield from self.post.problems("the post trace")
        yield from self.on_pre.problems("the row update")
        yield from self.on_post.problems("the column update")
        if TraceDecay.FACTOR in (self.pre.decay, self.post.decay):
            yield "its traces decay by a factor; they decay by a shift, or count"
        if not 1 <= self.streams <= MAX_STREAMS:
            yield f"streams is {self.streams}; it must be 1 to {MAX_STREAMS}"
        if not 1 <= self.seed < 1 << 32:
            yield f"seed is {self.seed}; it must be 1 to {(1 << 32) - 1}"

    @classmethod
    def pair(
        cls,
        potentiation: int,
        depression: int,
        *,
        shift: int,
        decay: int,
        increment: int = 128,
        accumulation: Accumulation = Accumulation.ADD,
        **more: Any,
    ) -> TraceSTDP:
        r"""Pair STDP: :math:`\Delta w = A_+ x_i 2^{-s}` at post, :math:`-A_- y_j 2^{-s}` at pre.

        Both traces rise by ``increment`` and decay by a shift of ``decay``; ``Accumulation.ADD``
        pairs all with all, ``SET`` the nearest. Additive.
        """
        trace = Trace(increment, accumulation, TraceDecay.SHIFT, decay)
        return cls(
            trace, trace, Update(-1, depression, shift), Update(1, potentiation, shift), **more
        )

    @classmethod
    def window(
        cls,
        potentiation: int,
        depression: int,
        *,
        steps_pre: int,
        steps_post: int,
        bits: int = 8,
        **more: Any,
    ) -> TraceSTDP:
        r"""Rectangular windows, the rule that NeuroCoreX means to have.

        A spike of j adds ``potentiation`` where i was read :math:`0 \le n < \mathrm{steps\_pre}`
        steps before; a reading of i takes ``depression`` where j spiked :math:`1 \le n <
        \mathrm{steps\_post}` steps before. Weights saturate at both rails.
        """

        def timer(steps: int) -> Trace:
            return Trace(steps, Accumulation.SET, TraceDecay.COUNT, 0, bits)

        return cls(
            timer(steps_pre),
            timer(steps_post),
            Update(-1, depression, 0, Response.WINDOW),
            Update(1, potentiation, 0, Response.WINDOW),
            **more,
        )

    @classmethod
    def symmetric(
        cls,
        potentiation: int,
        *,
        shift: int,
        decay: int,
        depression: int = 0,
        increment: int = 128,
        accumulation: Accumulation = Accumulation.ADD,
        **more: Any,
    ) -> TraceSTDP:
        """Symmetric STDP: both orders potentiate; every pre event takes ``depression``."""
        trace = Trace(increment, accumulation, TraceDecay.SHIFT, decay)
        return cls(
            trace,
            trace,
            Update(1, potentiation, shift, Response.LINEAR, -depression),
            Update(1, potentiation, shift),
            **more,
        )

    @classmethod
    def anti_hebbian(
        cls,
        depression: int,
        potentiation: int,
        *,
        shift: int,
        decay: int,
        increment: int = 128,
        accumulation: Accumulation = Accumulation.ADD,
        **more: Any,
    ) -> TraceSTDP:
        """Anti-Hebbian: pre before post takes ``depression``, post before pre adds."""
        trace = Trace(increment, accumulation, TraceDecay.SHIFT, decay)
        return cls(
            trace, trace, Update(1, potentiation, shift), Update(-1, depression, shift), **more
        )


@dataclass(frozen=True, eq=False)
class SDSP(Rule):
    r"""Spike-driven synaptic plasticity as ODIN has it, on pre events only.

    .. math::
        w_{ij} \leftarrow \mathrm{clamp}\begin{cases}
        w_{ij} + 1 & v_j \ge \theta_\mathrm{mem} \text{ and } \theta_1 \le c_j < \theta_3 \\
        w_{ij} - 1 & v_j < \theta_\mathrm{mem} \text{ and } \theta_1 \le c_j < \theta_2 \\
        w_{ij} & \text{otherwise} \end{cases}

    :math:`v_j` is the membrane before the step in which i is read, ``theta_mem`` in its unit (whole
    units of an integer population). :math:`c_j`, the calcium, has ``calcium_bits`` bits, starts at
    zero, and changes at the end of a step: +1 (saturating) where j spiked, -1 (not below zero) in
    every ``leak_period``-th step, and not at all where both fall together; 0 means no leak.

    In every ``refresh_period``-th step (0: never), at its very end, each enabled weight drifts by
    one to its rail: up where :math:`w \ge` ``refresh_threshold``, else down. Periods count the
    steps of the post population, from its first on. With weights 0 to 7, ``calcium_bits`` 3 and a
    ``refresh_threshold`` of 4 this is ODIN's synapse.
    """

    INTEGER: ClassVar[bool] = True
    POST: ClassVar[tuple[str, ...]] = ("c",)

    theta_mem: float
    theta_1: int
    theta_2: int
    theta_3: int
    calcium_bits: int = 3
    leak_period: int = 0
    refresh_period: int = 0
    refresh_threshold: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "theta_mem", float(self.theta_mem))

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        if not abs(self.theta_mem) < MAX_MEMBRANE:  # also where it is not a number
            yield f"theta_mem is {self.theta_mem:g}; it must be within {MAX_MEMBRANE:g}"
        if not 1 <= self.calcium_bits <= MAX_CALCIUM_BITS:
            yield f"calcium has {self.calcium_bits} bits; it has 1 to {MAX_CALCIUM_BITS}"
            return
        most = 1 << self.calcium_bits
        for name in ("theta_1", "theta_2", "theta_3"):
            if not 0 <= getattr(self, name) <= most:
                yield f"{name} is {getattr(self, name)}; calcium runs from 0 to {most - 1}"
        for name in ("leak_period", "refresh_period"):
            if not 0 <= getattr(self, name) < 1 << 31:
                yield f"{name} is {getattr(self, name)} steps; it must be 0 to {(1 << 31) - 1}"
        if abs(self.refresh_threshold) > MAX_WEIGHT:
            yield f"refresh_threshold is {self.refresh_threshold}, beyond {MAX_WEIGHT}"


class Pairing(StrEnum):
    """Which spikes pair."""

    ALL = "all"  # every one with every one
    NEAREST = "nearest"  # each with the last one of the other side


class Window(StrEnum):
    """What the time between two spikes is worth."""

    EXPONENTIAL = "exponential"  # exp(-dt / tau)
    RECTANGULAR = "rectangular"  # 1 up to tau, both included, then 0


class Dependence(StrEnum):
    """What an amplitude is multiplied with."""

    ADDITIVE = "additive"  # 1
    SCALED = "scaled"  # w_max: what PyNN calls additive
    MULTIPLICATIVE = "multiplicative"  # w_max - w up, w - w_min down


class Coincidence(StrEnum):
    """What two spikes do that reach a synapse in one step."""

    NONE = "none"
    POTENTIATE = "potentiate"  # the pre spike counts as the first
    DEPRESS = "depress"  # the post spike counts as the first
    BOTH = "both"  # up and down; down first


@dataclass(frozen=True, eq=False)
class PairSTDP(Rule):
    r"""Spike timing of pairs, in real numbers.

    A pre spike of step s and a post spike of step t reach their synapse in the steps
    :math:`s + (1 - f) d` and :math:`t + f d`, with d the projection's delay in steps and f =
    ``dendritic_delay_fraction``, as in PyNN: 1 is all dendritic (SpiNNaker), 0 all axonal (Brian2,
    CARLsim). Let :math:`\Delta` be the second minus the first, in seconds. Then

    .. math::
        w \leftarrow \mathrm{clamp}(w + g_+ A_+ F(\Delta / \tau_+)) \quad \Delta > 0,
        \qquad
        w \leftarrow \mathrm{clamp}(w - g_- A_- F(-\Delta / \tau_-)) \quad \Delta < 0,

    when the later of the two is there, for the pairs that ``pairing`` says; all that a spike pairs
    with change w at once. F is :math:`e^{-x}` or :math:`[x \le 1]` (``window``), :math:`g` as
    ``dependence`` says, for :math:`g_-` as ``depression`` does unless it is ``None``, and
    :math:`\Delta = 0` as ``coincidence`` does, with F = 1; under none a
    spike of the same step is not the nearest one, either. A population's register delays what it
    sends, not what its own synapses see of it. The
    weight that a spike transmits is that of the step in which it is at the synapse, before or after
    what it changes there; it is with the neuron :math:`f d` steps later.

    Units: ``a_plus`` and ``a_minus`` those of the weight (of none, where w or w_max multiplies
    them), ``tau_plus`` and ``tau_minus`` seconds. A rectangular window pairs the nearest.

    A weight of ``bits`` bits is, once a pair has changed it, one of the :math:`2^b` values that lie
    evenly from w_min to w_max, the next one by ``rounding`` of the multiple of their distance. A
    weight that rounds down forgets what is smaller than that.

    With ``depression_by``, the name of a node of size 1 or of the post population's, :math:`A_-` in
    step t is ``a_minus`` times what that node showed in step t - 1 (0 in the first of a sample).
    """

    a_plus: float
    a_minus: float
    tau_plus: float
    tau_minus: float
    pairing: Pairing = Pairing.ALL
    window: Window = Window.EXPONENTIAL
    dependence: Dependence = Dependence.ADDITIVE
    coincidence: Coincidence = Coincidence.POTENTIATE
    dendritic_delay_fraction: float = 1.0
    bits: int | None = None
    rounding: Rounding = Rounding.NEAREST_EVEN
    depression: Dependence | None = None
    depression_by: str | None = omitted(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        names = ("a_plus", "a_minus", "tau_plus", "tau_minus", "dendritic_delay_fraction")
        for name in names:
            object.__setattr__(self, name, float(getattr(self, name)))
        object.__setattr__(self, "pairing", Pairing(self.pairing))
        object.__setattr__(self, "window", Window(self.window))
        object.__setattr__(self, "dependence", Dependence(self.dependence))
        object.__setattr__(self, "coincidence", Coincidence(self.coincidence))
        object.__setattr__(self, "rounding", Rounding(self.rounding))
        if self.depression is not None:
            object.__setattr__(self, "depression", Dependence(self.depression))

    @property
    def dependences(self) -> tuple[Dependence, Dependence]:
        """That of potentiation and that of depression."""
        return self.dependence, self.dependence if self.depression is None else self.depression

    @property
    def rows(self) -> bool:
        """Whether pre spikes change weights."""
        return self.a_minus != 0

    @property
    def columns(self) -> bool:
        """Whether post spikes change weights."""
        return self.a_plus != 0

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
        for name in ("a_plus", "a_minus"):
            if not isfinite(getattr(self, name)):
                yield f"{name} is {getattr(self, name)}; it must be finite"
        for name in ("tau_plus", "tau_minus"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) > 0):
                yield f"{name} is {getattr(self, name):g} s; it must be finite and above 0"
        if not 0 <= self.dendritic_delay_fraction <= 1:
            yield f"dendritic_delay_fraction is {self.dendritic_delay_fraction:g}, not 0 to 1"
        if self.window is Window.RECTANGULAR and self.pairing is Pairing.ALL:
            yield "a rectangular window that pairs all with all; it pairs the nearest"
        if self.bits is not None and not 1 <= self.bits <= MAX_WEIGHT_BITS:
            yield f"a weight of {self.bits} bits; it has 1 to {MAX_WEIGHT_BITS}"
        if self.rounding not in (Rounding.NEAREST_EVEN, Rounding.DOWN):
            yield f"its weights round {self.rounding}; to the nearest even value, or down"
        elif self.bits is None and self.rounding is not Rounding.NEAREST_EVEN:
            yield f"its weights round {self.rounding}, but have no bits to round to"


@dataclass(frozen=True, eq=False)
class TripletSTDP(PairSTDP):
    r"""Spike timing of pairs and triplets (Pfister and Gerstner, J. Neurosci. 26(38), 2006).

    What a post spike pairs with counts :math:`A_+ + A_{3+} Y` instead of :math:`A_+`, what a pre
    spike pairs with :math:`A_- + A_{3-} X`. X and Y are what earlier spikes of the same neuron have
    left, itself not counted,

    .. math::
        X = \sum_{s' < s} e^{-(s - s') / \tau_x}, \qquad Y = \sum_{t' < t} e^{-(t - t') / \tau_y},

    or the last of them alone under ``Pairing.NEAREST``. The rest is `PairSTDP`. Units: ``a3_plus``
    and ``a3_minus`` those of ``a_plus``, ``tau_x`` and ``tau_y`` seconds; the defaults are those of
    the full model of visual cortex, recalled.
    """

    a3_plus: float = 0.0
    a3_minus: float = 0.0
    tau_x: float = 101e-3
    tau_y: float = 125e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("a3_plus", "a3_minus", "tau_x", "tau_y"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @property
    def rows(self) -> bool:
        """Whether pre spikes change weights."""
        return self.a_minus != 0 or self.a3_minus != 0

    @property
    def columns(self) -> bool:
        """Whether post spikes change weights."""
        return self.a_plus != 0 or self.a3_plus != 0

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        yield from super().problems()
        for name in ("a3_plus", "a3_minus"):
            if not isfinite(getattr(self, name)):
                yield f"{name} is {getattr(self, name)}; it must be finite"
        for name in ("tau_x", "tau_y"):
            if not (isfinite(getattr(self, name)) and getattr(self, name) > 0):
                yield f"{name} is {getattr(self, name):g} s; it must be finite and above 0"
        if self.coincidence is Coincidence.BOTH:
            yield "coincidence is both: a spike would find itself among the earlier ones"
        if self.window is Window.RECTANGULAR:
            yield "triplets in a rectangular window; theirs is exponential"


@dataclass(frozen=True, eq=False)
class ThreeFactorSTDP(PairSTDP):
    r"""Reward- or error-modulated spike timing: pairs are remembered, a third factor learns.

    .. math::
        e_{ij} &\leftarrow e_{ij}\, e^{-dt / \tau_e}, \\
        e_{ij} &\leftarrow e_{ij} + a_\mathrm{pre} \text{ at a pre spike}, \qquad
        e_{ij} \leftarrow e_{ij} + \Delta_{ij} \text{ with a pair}, \\
        w_{ij} &\leftarrow \mathrm{clamp}(w_{ij} + \eta\, M_j(t)\, G_j(t)\, e_{ij})

    in this order in every step t. :math:`\Delta` is by how much `PairSTDP` would change the weight
    for the pair, were there no rails; when spikes are at a synapse and which of them pair is as
    there. M is what the node ``modulator`` shows in step t itself (a registered population what it
    emitted in t - 1), G what ``gate`` does, or 1 without one: inputs or populations, spikes or
    real values, of size 1 for all (a reward) or of the post population's, one for each neuron (an
    error). The weights change behind everything else in the step, so a spike of step t has been
    sent with the weight that step t - 1 left, under either ``Transmit``. e is 0 when a sample
    begins.

    With both amplitudes zero post spikes have no part (`delta`): then the post population may send
    anything, real values too. Units: ``eta`` that of the weight over those of M, G and e;
    ``a_pre`` that of ``a_plus``; ``tau_e`` seconds. After Izhikevich, Cerebral Cortex 17(10), 2007,
    and Fremaux and Gerstner, Front. Neural Circuits 9:85, 2016, both recalled.
    """

    modulator: str = ""
    eta: float = 1.0
    tau_e: float = 0.1
    a_pre: float = 0.0
    gate: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("eta", "tau_e", "a_pre"):
            object.__setattr__(self, name, float(getattr(self, name)))

    @classmethod
    def delta(
        cls, modulator: str, *, eta: float, tau_e: float, gate: str | None = None, **more: Any
    ) -> ThreeFactorSTDP:
        r"""The delta rule: :math:`\Delta w_{ij} = \eta\, M_j\, G_j\, e_i`, of pre spikes alone."""
        fields = {"a_plus": 0.0, "a_minus": 0.0, "tau_plus": tau_e, "tau_minus": tau_e} | more
        return cls(**fields, modulator=modulator, eta=eta, tau_e=tau_e, a_pre=1.0, gate=gate)

    @property
    def rows(self) -> bool:
        """Whether pre spikes change what is remembered."""
        return self.a_minus != 0 or self.a_pre != 0

    @property
    def pairs(self) -> bool:
        """Whether the rule has an eye on post spikes at all."""
        return self.a_plus != 0 or self.a_minus != 0

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
        for name in ("eta", "a_pre"):
            if not isfinite(getattr(self, name)):
                yield f"{name} is {getattr(self, name)}; it must be finite"
        if not (isfinite(self.tau_e) and self.tau_e > 0):
            yield f"tau_e is {self.tau_e:g} s; it must be finite and above 0"
        if self.bits is not None:
            yield f"a weight of {self.bits} bits; one that moves in every step has none"


class ValueRule(Rule):
    """Base of the rules that multiply what two nodes show, in real numbers or whole ones."""

    eta: float
    pre_factor: str | None
    post_factor: str | None

    @property
    def rows(self) -> bool:
        """Whether pre events change weights: no step is without a change."""
        return self.eta != 0

    @property
    def columns(self) -> bool:
        """Whether post values change weights."""
        return self.eta != 0

    @property
    def factors(self) -> tuple[Factor, ...]:
        """The two factors of the product."""
        return (
            Factor("pre_factor", self.pre_factor, "pre"),
            Factor("post_factor", self.post_factor, "post"),
        )


@dataclass(frozen=True, eq=False)
class Hebbian(ValueRule):
    r"""Hebbian, or with a negative ``eta`` anti-Hebbian, on values: no spike is timed.

    .. math:: w_{ij} \leftarrow \mathrm{clamp}(w_{ij} + \eta\, y_j(t)\, x_i(t))

    at the end of every step t, when all populations are done. x is what the node ``pre_factor``
    shows in step t, of the size of the pre node, and y what ``post_factor`` does, of the post
    population's: counts of spikes or real values. Without a name they are the projection's own pre
    and post. Whatever arrives in step t is multiplied by the weight that step t - 1 left, under
    either ``Transmit``. Units: ``eta`` that of the weight over those of x and y.

    A projection tied to this one (`graph.Tied`) carries the same weights elsewhere: with
    :math:`x - H^T y` for x this is Oja's subspace rule (J. Mathematical Biology 15, 1982, recalled)
    and the lateral rule of HLOP (Xiao et al., ICLR 2024).
    """

    eta: float
    pre_factor: str | None = None
    post_factor: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "eta", float(self.eta))

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        if not isfinite(self.eta):
            yield f"eta is {self.eta}; it must be finite"


ORDERS = {
    Coincidence.POTENTIATE: "PXQY",
    Coincidence.DEPRESS: "QYPX",
    Coincidence.NONE: "PQXY",
    Coincidence.BOTH: "XYPQ",
}
"""What spikes of one step do at their synapse, in order: the pre ones send and change weights (P)
and are remembered (X), the post ones change weights (Q) and are remembered (Y)."""


@dataclass(frozen=True, eq=False)
class SpinnakerPairSTDP(Rule):
    r"""`PairSTDP` in the arithmetic of SpiNNaker: weights change when a pre spike comes by.

    A pre spike of tick t after one of tick :math:`t'` (0 before the first), with d the delay of the
    projection, :math:`L_+` ``decay_plus``, :math:`L_-` ``decay_minus``, 0 beyond their end, and
    :math:`\lfloor\cdot\rfloor` a shift of the product:

    .. math::
        w &= W\, 2^N, \\
        w &\leftarrow \min(w + \lfloor A_+ \lfloor x\, L_+[\Delta]\, 2^{-11} \rfloor 2^{-11}
            \rfloor, w_\mathrm{max}), \quad \Delta = s + d - t',
            \text{ of each post spike } s \text{ in } t' < s + d \le t, \\
        w &\leftarrow \max(w - \lfloor A_- \lfloor y\, L_-[t - s - d]\, 2^{-11} \rfloor 2^{-11}
            \rfloor, w_\mathrm{min}), \quad \text{of the last } s + d \le t, \\
        W &\leftarrow \lfloor w\, 2^{-N} \rfloor \bmod 2^{16}, \quad
        \text{which is what is sent}.

    x is the trace that the pre spike of :math:`t'` left, y that of s; a spike leaves
    :math:`\lfloor x\,L\,2^{-11} \rfloor + 2^{11}` of what was there before. Traces and L are s4.11,
    ``a_plus``, ``a_minus``, ``w_min`` and ``w_max`` s16.15 in nA, N is ``shift``, that of the ring
    buffer. So the whole delay is dendritic, and spikes that meet depress. A post neuron remembers
    its last 15 spikes: of more between two pre spikes the first are lost, and one of tick 0
    potentiates nothing. A trace that passes 16 wraps, and does the opposite: then w may leave its
    rails. Without learning no spike is remembered. At the end of a sample weights change as by a
    last pre spike that sends nothing and does not depress: nothing is lost when all but the weights
    is cleared.

    Source: sPyNNaker (from 1!7.0.0 on), neural_modelling/src/neuron/plasticity/stdp:
    synapse_dynamics_stdp_mad_impl.c, post_events.h, timing_pair_impl.h, maths.h,
    weight_additive_one_term_impl.h.
    """

    INTEGER: ClassVar[bool] = True

    decay_plus: npt.NDArray[np.int64]
    decay_minus: npt.NDArray[np.int64]
    a_plus: int
    a_minus: int
    w_min: int
    w_max: int
    shift: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("decay_plus", "decay_minus"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))

    @property
    def rows(self) -> bool:
        """Whether pre spikes change weights: they also bring what post spikes changed."""
        return self.a_plus != 0 or self.a_minus != 0

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        for name in ("decay_plus", "decay_minus"):
            table = getattr(self, name)
            if table.ndim != 1 or not ((table >= 0) & (table <= 1 << S411.point)).all():
                yield f"{name} is no table of values from 0 to {1 << S411.point}"
        for name in ("a_plus", "a_minus"):
            if not 0 <= getattr(self, name) <= S1615.high:
                yield f"{name} is {getattr(self, name)}; it must be 0 to {S1615.high}"
        if not 0 <= self.w_min <= self.w_max <= S1615.high:
            yield (
                f"w_min is {self.w_min} and w_max {self.w_max}; they must be ordered, from 0 to "
                f"{S1615.high}"
            )
        if not 0 <= self.shift <= MAX_RING_SHIFT:
            yield f"shift is {self.shift}; it must be 0 to {MAX_RING_SHIFT}"
        elif self.w_max >> self.shift > WORD:
            yield f"w_max is {self.w_max >> self.shift} words; a weight has 16 bits"


def learning_phases(learning: bool | Sequence[bool], samples: int) -> list[bool]:
    """Whether weights change in each sample; E0707 where there are not as many as samples."""
    phases = [learning] * samples if isinstance(learning, bool) else list(learning)
    if len(phases) != samples:
        raise fail("E0707", f"learning has {len(phases)} phases, the stimulus {samples} samples")
    return phases


class Divided(Protocol):
    """A rule that says how much of a delay is dendritic."""

    @property
    def dendritic_delay_fraction(self) -> float:
        """The dendritic part of a delay, 0 to 1."""
        ...


def sides(rule: Divided, delay: int) -> tuple[int, int]:
    """The steps of ``delay`` on the axonal and on the dendritic side.

    ``ValueError`` where the fraction does not divide it into whole steps.
    """
    dendritic = rule.dendritic_delay_fraction * delay
    if abs(dendritic - round(dendritic)) > 1e-9 * max(1, delay):
        raise ValueError(
            f"the fraction {rule.dendritic_delay_fraction:g} of a delay of {delay} steps is "
            f"{dendritic:g} steps, no whole number"
        )
    return delay - round(dendritic), round(dendritic)


@dataclass(frozen=True, eq=False)
class Plasticity(Record):
    """What makes a projection plastic: a rule, the rails of its weights, and who takes part.

    ``enable`` says which synapses are plastic, in the shape of the connection's ``weight``; without
    it all are. The weight of a synapse that is not may lie beyond the rails. ``learning`` is the
    phase in which a run starts: without it weights stay as they are, and the rule stands still.
    ``scaling`` holds the plastic weights of each post neuron at a target, beside a rule in real
    numbers.
    """

    rule: Rule
    w_min: float
    w_max: float
    enable: npt.NDArray[np.bool_] | None = None
    transmit: Transmit = Transmit.BEFORE
    learning: bool = True
    scaling: Scaling | None = omitted(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "w_min", float(self.w_min))
        object.__setattr__(self, "w_max", float(self.w_max))
        object.__setattr__(self, "transmit", Transmit(self.transmit))
        if self.enable is not None:
            object.__setattr__(self, "enable", frozen_array(self.enable, np.bool_))
