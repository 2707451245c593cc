"""Words of 16 bits, 32 at a time: which of them are small enough, and those alone.

Instructions that numba has no function for. x86 can move the chosen lanes of a vector together
since AVX-512 VBMI2; the others are any processor's.
"""

from __future__ import annotations

from typing import Any, Final

from llvmlite import ir
from numba import config, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic

LANES: Final = 32
# What numba compiles for: its environment variables can name less than this processor.
_FEATURES: Final = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
COMPACTS: Final = "+avx512vbmi2" in _FEATURES and not config.DISABLE_JIT  # type: ignore[attr-defined]

_BITS: Final = ir.IntType(LANES)
_INDEX: Final = ir.IntType(32)
_VECTOR: Final = ir.VectorType(ir.IntType(16), LANES)
_CHOICE: Final = ir.VectorType(ir.IntType(1), LANES)


def _place(context: Any, builder: Any, form: Any, array: Any, first: Any) -> Any:
    """Where the vector is that begins with one entry of an array."""
    data = context.make_array(form)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [first]), _VECTOR.as_pointer())


def _everywhere(builder: Any, word: Any) -> Any:
    """A vector of the same word."""
    none = ir.Constant(_VECTOR, ir.Undefined)
    one = builder.insert_element(none, word, ir.Constant(_INDEX, 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES))


def _masked(context: Any, builder: Any, form: Any, words: Any, first: Any, mask: Any) -> Any:
    loaded = builder.load(_place(context, builder, form, words, first))
    loaded.align = 2
    return builder.and_(loaded, _everywhere(builder, mask))


def _within(_: Any, words: Any, first: Any, mask: Any, top: Any, reach: Any) -> Any:
    word = types.uint16

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        words, first, mask, top, reach = arguments
        masked = _masked(context, builder, signature.args[0], words, first, mask)
        below = builder.sub(_everywhere(builder, top), masked)
        small = builder.icmp_unsigned("<=", below, _everywhere(builder, reach))
        return builder.zext(builder.bitcast(small, _BITS), ir.IntType(64))

    return types.uint64(words, types.int64, word, word, word), generate


def _compact(_: Any, words: Any, first: Any, mask: Any, bits: Any, to: Any, at: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        words, first, mask, bits, to, at = arguments
        masked = _masked(context, builder, signature.args[0], words, first, mask)
        choice = builder.bitcast(builder.trunc(bits, _BITS), _CHOICE)
        form = ir.FunctionType(_VECTOR, [_VECTOR, _VECTOR, _CHOICE])
        name = f"llvm.x86.avx512.mask.compress.v{LANES}i16"
        move = builder.module.declare_intrinsic(name, (), form)
        moved = builder.call(move, [masked, ir.Constant(_VECTOR, ir.Undefined), choice])
        stored = builder.store(moved, _place(context, builder, signature.args[4], to, at))
        stored.align = 2
        return context.get_dummy_value()

    word = types.uint16
    return types.void(words, types.int64, word, types.uint64, to, types.int64), generate


def _ones(_: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


# (words, first, mask, top, reach): bit k says whether words[first + k] & mask is within reach below
# top: (top - word) mod 2^16 <= reach.
within: Any = intrinsic(_within)
# (words, first, mask, bits, to, at): the lanes whose bits are set, from to[at] on, and 32 entries
# of ``to`` are written.
compact: Any = intrinsic(_compact)
# (bits): how many are set.
ones: Any = intrinsic(_ones)
