"""Amaranth layouts of a core's memory words and streams, from the field tables of its shape."""

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
        addr_width=index_bits(shape.rows(memory)), shape=word_layout(shape, memory, only)
    )


def write_signature(shape: CoreShape, memory: Memory) -> WritePort.Signature:
    """Write port of a memory."""
    return WritePort.Signature(
        addr_width=index_bits(shape.rows(memory)), shape=word_layout(shape, memory)
    )


def access_layout(shape: CoreShape) -> data.StructLayout:
    """One access of the host: a word to write in the lowest bits, or which byte of one to read."""
    widest = max(shape.word_bits(memory) for memory in shape.memories)
    deepest = max(shape.depth(memory) for memory in shape.memories)
    return data.StructLayout(
        {
            "memory": Memory,
            "address": index_bits(deepest),
            "byte": index_bits(-(-widest // 8)),
            "write": 1,
            "data": widest,
        }
    )


def done_layout(shape: CoreShape) -> data.StructLayout:
    """Report of a finished step."""
    return data.StructLayout(
        {
            "step": shape.step_bits,
            "events": COUNTER_BITS,
            "commit": COUNTER_BITS,
        }
    )


def touched_layout(shape: CoreShape) -> data.StructLayout:
    """A group that was added to, or with ``take`` handed over and emptied."""
    return data.StructLayout(
        {"valid": 1, "take": 1, "page": shape.page_bits, "group": index_bits(shape.groups)}
    )


def swept_layout(shape: CoreShape) -> data.StructLayout:
    """What a group had accumulated."""
    return data.StructLayout(
        {
            "group": index_bits(shape.groups),
            "lanes": data.ArrayLayout(signed(shape.acc_bits), shape.lanes),
        }
    )


def fired_layout(shape: CoreShape) -> data.StructLayout:
    """Neurons of one beat that spiked: beat * units + k for each k in ``units``.

    ``emit`` says whether the host is to be told.
    """
    return data.StructLayout(
        {
            "beat": index_bits(shape.neurons // shape.units),
            "units": shape.units,
            "emit": 1,
        }
    )


class TraceSignature(wiring.Signature):
    """State of a beat of U neurons as a step leaves it; beats at rest are passed over.

    Members
    -------
    valid : a beat was swept in this cycle, started or not
    step : the step that commits
    index : first neuron of the beat
    v, u : their membranes and currents after the step, U times V bits (u is 0 without a current)
    spike : which of them spiked
    """

    def __init__(self, shape: CoreShape) -> None:
        states = data.ArrayLayout(signed(shape.state_bits), shape.units)
        super().__init__(
            {
                "valid": Out(1),
                "step": Out(shape.step_bits),
                "index": Out(max(1, index_bits(shape.neurons))),
                "v": Out(states),
                "u": Out(states),
                "spike": Out(shape.units),
            }
        )


def byte_stream() -> stream.Signature:
    """Bytes with back-pressure."""
    return stream.Signature(unsigned(8))
