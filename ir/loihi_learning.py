"""Pairs on Loihi's learning engine: traces of seven bits, and what products of them change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log2
from typing import Any, ClassVar, Final

from .plasticity import Rule
from .records import omitted

TRACE_MAX: Final = (1 << 7) - 1
TAU_MAX: Final = (1 << 8) - 1
EPOCH_MAX: Final = (1 << 6) - 1
MANTISSA_RANGE: Final = (-8, 7)  # 4 bits with a sign
SCALE_RANGE: Final = (-7, 8)  # of its exponent
ACCUMULATOR_BITS: Final = 7  # below the unit of a weight
# What the accumulator of a weight clips at.
ACCUMULATOR_RANGE: Final = (-(1 << 15) - 1, (1 << 15) - 1)
ROUNDING_SEED: Final = 2
SEED_MAX: Final = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class LoihiPairSTDP(Rule):
    r"""Pairs in Loihi's arithmetic: what spikes of an epoch change is added up at its end.

    An epoch is ``epoch`` steps, T = 1 and on, which count on from sample to sample. In it
    :math:`t_i` is the step of the last spike of pre i and :math:`t_j` that of post j, 0 without
    one: the step in which they were sent, whatever the delay. A spike after another one of the same
    neuron and epoch adds its impulse to the trace at once. At the end of an epoch, with
    :math:`x(0)` and :math:`y(0)` the traces as they were,

    .. math::
        x_i(t) &= \mathrm{round}_r(e^{-1 / \tau_+} x_i(t - 1)), \quad\text{and where } t = t_i
            \quad x_i(t) \leftarrow \min(x_i(t) + X, 127), \\
        y_j(t) &= \mathrm{round}_s(e^{-1 / \tau_-} y_j(t - 1)), \quad\text{and where } t = t_j
            \quad y_j(t) \leftarrow \min(y_j(t) + Y, 127), \\
        a_{ij} &= 2^7 w_{ij}, \\
        a_{ij} &\leftarrow \mathrm{clip}(a_{ij} + \mathrm{clip}(m_-\, y_j(t_i)\, 2^{e_- + 7}))
            &&\text{if } t_i > 0, \\
        a_{ij} &\leftarrow \mathrm{clip}(a_{ij} + \mathrm{clip}(m_0\, 2^{e_0 + 7}))
            &&\text{if } t_i > 0 \text{ and } t_j > 0, \\
        a_{ij} &\leftarrow \mathrm{clip}(a_{ij} + \mathrm{clip}(m_+\, x_i(t_j)\, 2^{e_+ + 7}))
            &&\text{if } t_j > 0, \\
        w_{ij} &\leftarrow \mathrm{clamp}(\mathrm{round}_q(2^{-7} a_{ij})),

    where x(epoch) and y(epoch) are the traces that are left, clip is to :math:`-2^{15} - 1` and
    :math:`2^{15} - 1`, clamp to the eight bits of a weight and its sign, without regard to
    ``LoihiWeights.step``. So a pair of one step counts both ways, and :math:`m_0` may take one of
    them back. A trace with :math:`\tau` = 0 is empty a step after its spike.

    :math:`\mathrm{round}_r(v)` is :math:`\lfloor v \rfloor + [r < v \bmod 1]` with one r for all
    neurons and steps of an epoch, one s and one q. They are uniform numbers of numpy's PCG64
    (``numpy.random.default_rng``): r of the seed ``seed``, s of ``seed + 2``, q of 2. r and s are
    the numbers 2T (counted from 0) of their sequences at the end of the epoch that ends with step
    T, q the number k at the end of the k-th epoch. In this form STDP is what Lava's `STDPLoihi`
    makes of learning rates and amplitudes.

    ``minus``, ``both`` and ``plus`` are m, ``minus_exp``, ``both_exp`` and ``plus_exp`` e; taus are
    whole steps, ``impulse_plus`` and ``impulse_minus`` X and Y. A sample begins with traces and
    spikes of its epoch cleared; weights, the step within an epoch and the generators go on. Without
    learning they stand still.

    Source: lava-nc 0.10.0, magma/core/model/py/connection.py and magma/core/learning (random.py,
    learning_rule_applier.py, product_series.py).
    """

    INTEGER: ClassVar[bool] = True
    PRE: ClassVar[tuple[str, ...]] = ("x",)
    POST: ClassVar[tuple[str, ...]] = ("y",)

    minus: int
    minus_exp: int
    plus: int
    plus_exp: int
    tau_plus: int
    tau_minus: int
    impulse_plus: int = 16
    impulse_minus: int = 16
    epoch: int = 1
    seed: int = 1
    both: int = omitted(0)
    both_exp: int = omitted(0)

    @classmethod
    def lava(
        cls,
        learning_rate: float,
        a_plus: float,
        a_minus: float,
        tau_plus: int,
        tau_minus: int,
        **more: Any,
    ) -> LoihiPairSTDP:
        """The rule that Lava's fixed point makes of `STDPLoihi` with these numbers.

        A rate and an amplitude become a whole number each, that below them or 1, times the nearest
        power of two; mantissas of a product that are even above 7 are halved. ``a_minus`` is
        negative where a pre spike behind a post spike depresses. ``ValueError`` for products that
        Lava refuses.
        """
        rate = _literal(learning_rate)
        plus, minus = (_multiplied(rate, _literal(a)) for a in (a_plus, a_minus))
        return cls(*minus, *plus, tau_plus, tau_minus, **more)

    @property
    def rows(self) -> bool:
        """Whether pre spikes change weights."""
        return self.minus != 0 or self.both != 0

    @property
    def columns(self) -> bool:
        """Whether post spikes change weights."""
        return self.plus != 0 or self.both != 0

    @property
    def products(self) -> tuple[tuple[int, int, str], ...]:
        """Mantissa, exponent and factors, in Lava's letters, of each product that is not zero."""
        every = (
            (self.minus, self.minus_exp, "x0 * y1"),
            (self.both, self.both_exp, "x0 * y0"),
            (self.plus, self.plus_exp, "y0 * x1"),
        )
        return tuple(product for product in every if product[0])

    def problems(self) -> Iterator[str]:
        """What is out of range, one sentence each."""
        ranges = {
            **dict.fromkeys(("minus", "both", "plus"), MANTISSA_RANGE),
            **dict.fromkeys(("minus_exp", "both_exp", "plus_exp"), SCALE_RANGE),
            **dict.fromkeys(("tau_plus", "tau_minus"), (0, TAU_MAX)),
            **dict.fromkeys(("impulse_plus", "impulse_minus"), (0, TRACE_MAX)),
            "epoch": (1, EPOCH_MAX),
            "seed": (0, SEED_MAX),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                yield f"{name} is {value}; Loihi has {low} to {high}"
        if not self.products:
            yield "it changes nothing: all its mantissas are zero"


def _literal(value: float) -> tuple[int, int]:
    """Mantissa and exponent that Lava writes for a number."""
    if value == 0:
        return 0, 0
    mantissa = max(int(abs(value)), 1)
    return (mantissa if value > 0 else -mantissa), round(log2(abs(value) / mantissa))


def _multiplied(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    """Their product, in four bits where that goes."""
    mantissa, exponent = one[0] * two[0], one[1] + two[1]
    if mantissa == 0:
        return 0, 0
    while abs(mantissa) > MANTISSA_RANGE[1] and mantissa % 2 == 0 and exponent < SCALE_RANGE[1]:
        mantissa, exponent = mantissa // 2, exponent + 1
    if not MANTISSA_RANGE[0] <= mantissa <= MANTISSA_RANGE[1]:
        raise ValueError(f"{mantissa} 2^{exponent} has a mantissa of more than four bits")
    if not SCALE_RANGE[0] <= exponent <= SCALE_RANGE[1]:
        low, high = SCALE_RANGE
        raise ValueError(f"{mantissa} 2^{exponent} has no exponent of {low} to {high}")
    return mantissa, exponent
