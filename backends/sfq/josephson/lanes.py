r"""Eight parameter sets at once: a vector of eight doubles as a type of numba's.

An array holds ``LANES`` values of each quantity side by side. ``load(a, i)`` takes the i-th eight
of a one-dimensional, contiguous array and ``store(a, i, x)`` puts them back; operators and the
functions below work on all of them without a branch. LLVM makes of them what the processor has, 256
or 512 bits wide, or loops; loops over eight elements of arrays would be checked for overlap, each
time, before they are vectorised.

No operation mixes lanes but ``most``: what a lane holds does not depend on its neighbours.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

import numba
from llvmlite import ir
from numba import types
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, overload, register_model

LANES: Final = 8
_FLOATS: Final = ir.VectorType(ir.DoubleType(), LANES)
_WORDS: Final = ir.VectorType(ir.IntType(64), LANES)
_COUNTER: Final = ir.IntType(32)


class Lanes(types.Type):
    """The type of eight doubles."""

    def __init__(self) -> None:
        super().__init__(f"Lanes({LANES})")


lanes: Final = Lanes()


@register_model(Lanes)
class _LanesModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _FLOATS)  # type: ignore[no-untyped-call]


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any, form: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    first = builder.gep(data, [builder.mul(index, ir.Constant(index.type, LANES))])
    return builder.bitcast(first, form.as_pointer())


def _load(typing: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        found = builder.load(_place(context, builder, array, arguments[0], arguments[1], _FLOATS))
        found.align = 8
        return found

    return lanes(array, types.intp), generate


def _store(typing: Any, array: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, array, arguments[0], arguments[1], _FLOATS)
        builder.store(arguments[2], place).align = 8
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes), generate


def _spread(builder: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(_FLOATS, ir.Undefined), value, _COUNTER(0))
    zeros = ir.Constant(ir.VectorType(_COUNTER, LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_FLOATS, ir.Undefined), zeros)


def _full(typing: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _spread(builder, arguments[0])

    return lanes(types.float64), generate


def _lane(typing: Any, value: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.extract_element(*arguments)

    return types.float64(lanes, types.intp), generate


def _binary(name: str) -> Any:
    """An operator of two lanes, or of one and a number."""

    def typed(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            x, y = (
                value if kind is lanes else _spread(builder, value)
                for value, kind in zip(arguments, signature.args, strict=True)
            )
            return getattr(builder, name)(x, y)

        kinds = (kind if kind is lanes else types.float64 for kind in (a, b))
        return lanes(*kinds), generate

    return intrinsic(typed)


def _called(name: str, count: int) -> Any:
    """One of LLVM's functions of vectors."""

    form = ir.FunctionType(_FLOATS, [_FLOATS] * count)

    def apply(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        function = builder.module.declare_intrinsic(f"llvm.{name}.v{LANES}f64", (), form)
        return builder.call(function, arguments)

    return lanes(*[lanes] * count), apply


def _rint(typing: Any, x: Any) -> Any:
    return _called("rint", 1)


def _sqrt(typing: Any, x: Any) -> Any:
    return _called("sqrt", 1)


def _fabs(typing: Any, x: Any) -> Any:
    return _called("fabs", 1)


def _fmuladd(typing: Any, x: Any, y: Any, z: Any) -> Any:
    return _called("fmuladd", 3)


def _pick(typing: Any, a: Any, b: Any, x: Any, y: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, b, x, y = arguments
        return builder.select(builder.fcmp_ordered(">", a, b), x, y)

    return lanes(*[lanes] * 4), generate


def _exceeds(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # Not "<=": what is no number exceeds everything, and is seen.
        over = builder.fcmp_unordered(">", *arguments)
        bits = builder.bitcast(over, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(lanes, lanes), generate


def _differs(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(builder.fcmp_unordered("!=", *arguments), ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(bits.type, 0))

    return types.boolean(lanes, lanes), generate


def _words(value: int) -> Any:
    return ir.Constant(_WORDS, [value] * LANES)


def _uniform(typing: Any, state: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _place(context, builder, state, arguments[0], arguments[1], _WORDS)
        word = builder.load(place)
        word.align = 8
        word = builder.add(word, _words(0x9E3779B97F4A7C15))
        builder.store(word, place).align = 8
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            word = builder.xor(word, builder.lshr(word, _words(shift)))
            word = builder.mul(word, _words(factor))
        word = builder.xor(word, builder.lshr(word, _words(31)))
        whole = builder.uitofp(builder.lshr(word, _words(12)), _FLOATS)
        half = builder.fadd(whole, ir.Constant(_FLOATS, [0.5] * LANES))
        return builder.fmul(half, ir.Constant(_FLOATS, [2.0**-52] * LANES))

    return lanes(state, types.intp), generate


def _exponent(typing: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.lshr(builder.bitcast(arguments[0], _WORDS), _words(52))
        return builder.sitofp(builder.sub(bits, _words(1023)), _FLOATS)

    return lanes(lanes), generate


def _mantissa(typing: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.and_(builder.bitcast(arguments[0], _WORDS), _words((1 << 52) - 1))
        return builder.bitcast(builder.or_(bits, _words(1023 << 52)), _FLOATS)

    return lanes(lanes), generate


load: Any = intrinsic(_load)
store: Any = intrinsic(_store)
full: Any = intrinsic(_full)
lane: Any = intrinsic(_lane)
rint: Any = intrinsic(_rint)
root: Any = intrinsic(_sqrt)
size: Any = intrinsic(_fabs)
fma: Any = intrinsic(_fmuladd)
# pick(a, b, x, y): x where a > b, else y. exceeds(a, b): whether a > b, or no number, in any lane.
pick: Any = intrinsic(_pick)
exceeds: Any = intrinsic(_exceeds)
differs: Any = intrinsic(_differs)
# Numbers from 0 to 1, neither of them, by SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): one
# word of state a lane.
uniform: Any = intrinsic(_uniform)
_exponents: Any = intrinsic(_exponent)
_mantissas: Any = intrinsic(_mantissa)


def _operator(function: Callable[..., Any], name: str) -> None:
    instruction = _binary(name)

    def typed(a: Any, b: Any) -> Any:
        if lanes not in (a, b):
            return None

        def apply(a: Any, b: Any) -> Any:
            return instruction(a, b)

        return apply

    overload(function)(typed)


for _function, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_function, _name)

# 2 pi in three parts; the first has bits to spare, so that whole multiples of it are exact.
_TURN: Final = 2 * math.pi
_TURN_HIGH: Final = 6.28125
_TURN_MIDDLE: Final = _TURN - _TURN_HIGH  # exact: the leading bits cancel
_TURN_LOW: Final = 2.4492935982947064e-16  # what the double nearest to 2 pi lacks
_SINE: Final = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(10))
_TWO_BY_ROOT: Final = math.sqrt(2.0)
_LN2_HIGH: Final = 6.93147180369123816490e-01
_LN2_LOW: Final = 1.90821492927058770002e-10


@numba.njit(cache=True)
def turns(x: Any) -> Any:
    """The whole number of turns nearest to ``x`` rad."""
    return rint(x * (1.0 / _TURN))


@numba.njit(cache=True)
def sine(x: Any) -> Any:
    r"""sin x, to 1e-15 for :math:`|x|` up to 1e6 rad.

    x less its whole turns is folded about :math:`\pm\pi / 2`, where Taylor's series to the 19th
    power is 3e-16 off at most.
    """
    k = turns(x)
    r = fma(k, full(-_TURN_HIGH), x)
    r = fma(k, full(-_TURN_MIDDLE), r)
    r = fma(k, full(-_TURN_LOW), r)
    over = full(math.pi) - r
    r = pick(r, over, over, r)
    under = full(-math.pi) - r
    r = pick(under, r, under, r)
    s = r * r
    y = full(_SINE[9])
    y = fma(y, s, full(_SINE[8]))
    y = fma(y, s, full(_SINE[7]))
    y = fma(y, s, full(_SINE[6]))
    y = fma(y, s, full(_SINE[5]))
    y = fma(y, s, full(_SINE[4]))
    y = fma(y, s, full(_SINE[3]))
    y = fma(y, s, full(_SINE[2]))
    y = fma(y, s, full(_SINE[1]))
    return fma(y * s, r, r)


@numba.njit(cache=True)
def cardinal(x: Any) -> Any:
    """sin x / x, to 1e-16 for x up to half a rad, to 1e-12 up to 1; level from pi on."""
    s = x * x
    s = pick(s, full(math.pi**2), full(math.pi**2), s)
    y = full(_SINE[6])
    y = fma(y, s, full(_SINE[5]))
    y = fma(y, s, full(_SINE[4]))
    y = fma(y, s, full(_SINE[3]))
    y = fma(y, s, full(_SINE[2]))
    y = fma(y, s, full(_SINE[1]))
    return fma(y, s, full(1.0))


@numba.njit(cache=True)
def logarithm(x: Any) -> Any:
    r"""ln x of normal numbers above 0: :math:`e \ln 2 + 2\,\mathrm{artanh}((m - 1) / (m + 1))`."""
    e, m = _exponents(x), _mantissas(x)
    split = full(_TWO_BY_ROOT)
    e = pick(m, split, e + 1.0, e)
    m = pick(m, split, m * 0.5, m)
    r = (m - 1.0) / (m + 1.0)
    s = r * r
    y = full(1.0 / 19.0)
    y = fma(y, s, full(1.0 / 17.0))
    y = fma(y, s, full(1.0 / 15.0))
    y = fma(y, s, full(1.0 / 13.0))
    y = fma(y, s, full(1.0 / 11.0))
    y = fma(y, s, full(1.0 / 9.0))
    y = fma(y, s, full(1.0 / 7.0))
    y = fma(y, s, full(1.0 / 5.0))
    y = fma(y, s, full(1.0 / 3.0))
    y = fma(y * s, r, r)
    return fma(e, full(_LN2_HIGH), fma(e, full(_LN2_LOW), y * 2.0))


@numba.njit(cache=True)
def most(x: Any) -> Any:
    """The largest of the lanes."""
    found = lane(x, 0)
    for k in range(1, LANES):
        found = max(found, lane(x, k))
    return found
