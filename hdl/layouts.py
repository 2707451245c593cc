"""Amaranth layouts of a core's memory words and streams, from the field tables of its shape."""

# Amaranth ships no types.
# mypy: disable-error-code="import-untyped", allow-subclassing-any

from __future__ import annotations

import enum

from amaranth.hdl import ShapeLike, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import ReadPort, WritePort
from amaranth.lib.wiring import Out

from .protocol import COUNTER_BITS
from .shape import CoreShape, Field, Memory, index_bits

# A class word is read twice on the way through the commit pipeline, so it is kept as two
# memories; the second comes so late that carrying its fields along would cost more registers
# than storing the threshold twice costs bits.
DYNAMICS = ("decay_v", "decay_u", "shift", "threshold", "order_old", "start")
SPIKING = ("threshold", "v_reset", "v_min", "reset", "refractory", "emit")


class Request(enum.Enum):
    """What a core can be asked to do between events."""

    TICK = 0
    CLEAR = 1


def _element(field: Field) -> ShapeLike:
    element = signed(field.width) if field.signed else unsigned(field.width)
    return element if field.lanes is None else data.ArrayLayout(element, field.lanes)


def word_layout(
    shape: CoreShape, memory: Memory, only: tuple[str, ...] | None = None
) -> data.StructLayout:
    """Layout of a memory word, or of those of its fields whose names are in ``only``."""
    return data.StructLayout(
        {
            field.name: _element(field)
            for field in shape.fields(memory)
            if only is None or field.name in only
        }
    )


def read_signature(
    shape: CoreShape, memory: Memory, only: tuple[str, ...] | None = None
) -> ReadPort.Signature:
    """Read port of a memory, or of the part of it that holds the fields in ``only``."""
    return ReadPort.Signature(
        addr_width=index_bits(shape.depth(memory)), shape=word_layout(shape, memory, only)
    )


def write_signature(shape: CoreShape, memory: Memory) -> WritePort.Signature:
    """Write port of a memory."""
    return WritePort.Signature(
        addr_width=index_bits(shape.depth(memory)), shape=word_layout(shape, memory)
    )


def access_layout(shape: CoreShape) -> data.StructLayout:
    """One access of the host: memory, address, and for a write the word in the lowest bits."""
    widest = max(shape.word_bits(memory) for memory in shape.memories)
    deepest = max(shape.depth(memory) for memory in shape.memories)
    return data.StructLayout(
        {
            "memory": Memory,
            "address": index_bits(deepest),
            "write": 1,
            "data": widest,
        }
    )


def done_layout(shape: CoreShape) -> data.StructLayout:
    """Report of a finished step."""
    return data.StructLayout(
        {
            "step": shape.step_bits,
            "accumulate": COUNTER_BITS,
            "commit": COUNTER_BITS,
            "propagate": COUNTER_BITS,
        }
    )


def fired_layout(shape: CoreShape) -> data.StructLayout:
    """A neuron that spiked, and whether the host is to be told."""
    return data.StructLayout({"neuron": index_bits(shape.neurons), "emit": 1})


class TraceSignature(wiring.Signature):
    """State of a neuron as its step leaves it.

    Members
    -------
    valid : a neuron was swept in this cycle, started or not
    index : which neuron
    v, u : its membrane and current after the step (u is 0 in a core without a current)
    spike : whether it spiked
    """

    def __init__(self, shape: CoreShape) -> None:
        super().__init__(
            {
                "valid": Out(1),
                "index": Out(max(1, index_bits(shape.neurons))),
                "v": Out(signed(shape.state_bits)),
                "u": Out(signed(shape.state_bits)),
                "spike": Out(1),
            }
        )


def byte_stream() -> stream.Signature:
    """Bytes with back-pressure."""
    return stream.Signature(unsigned(8))
