"""Amaranth layouts of a core's memory words and streams, from the field tables of its shape."""

from __future__ import annotations

import enum

from amaranth.hdl import ShapeLike, signed, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.memory import ReadPort, WritePort
from amaranth.lib.wiring import In, Out

from .cluster_shape import ClusterShape, DeviceShape
from .protocol import COUNTER_BITS
from .shape import CoreShape, Field, Memory, index_bits

# A class word is read twice on the way through the commit pipeline, so it is kept as two
# memories; the second comes so late that carrying its fields along would cost more registers
# than storing the threshold twice costs bits.
DYNAMICS = (
    *("decay_v", "decay_u", "shift", "threshold", "order_old", "start"),
    *("adapt_inc", "adapt_shift", "adapt_timer", "adapt_phase", "leak", "v_leak"),
    *("curve", "couple", "rate", "jump", "again"),
)
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


def access_layout(shape: DeviceShape) -> data.StructLayout:
    """One access of the host: a word to write in the lowest bits, or which byte of one to read."""
    widest = max(shape.word_bits(memory) for memory in shape.memories)
    deepest = max(shape.depth(memory) for memory in shape.memories)
    several = isinstance(shape, ClusterShape)
    return data.StructLayout(
        {
            "memory": max(shape.memories).bit_length() if several else Memory,
            "address": index_bits(deepest),
            "byte": index_bits(-(-widest // 8)),
            "write": 1,
            "data": widest,
        }
    )


def done_layout(shape: DeviceShape) -> data.StructLayout:
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

    ``emit`` says whether the host is to be told. Cores that learn also say the ``group`` and the
    ``turn`` of the beat in it.
    """
    place = {"turn": index_bits(shape.beats), "group": index_bits(shape.groups)}
    return data.StructLayout(
        {
            "beat": index_bits(shape.neurons // shape.units),
            "units": shape.units,
            "emit": 1,
            **({} if shape.learning is None else place),
        }
    )


def mark_layout(shape: CoreShape) -> data.StructLayout:
    """An event of a plastic row, number block * L + lane."""
    learning = shape.learning
    if learning is None or not learning.columns:
        return data.StructLayout({"valid": 1})
    blocks = learning.blocks(shape.lanes)
    return data.StructLayout(
        {"valid": 1, "block": index_bits(blocks), "lane": index_bits(shape.lanes)}
    )


class TraceSignature(wiring.Signature):
    """State of U neurons as a step leaves it; those at rest may be passed over.

    U is `CoreShape.traced`: a beat, or all neurons at once.

    Members
    -------
    valid : a beat was swept in this cycle, started or not
    step : the step that commits
    index : first neuron of the beat
    v, u : their membranes and currents (or recoveries) after the step, U times V bits; u is 0
        without either
    h : likewise the offsets of their thresholds; only of shapes that have them
    spike : which of them spiked

    Several cores have as many of each side by side, core 0 lowest, but one step.
    """

    def __init__(self, shape: DeviceShape) -> None:
        cores = len(shape.cores) if isinstance(shape, ClusterShape) else 1
        states = data.ArrayLayout(signed(shape.state_bits), shape.traced)
        super().__init__(
            {
                "valid": Out(cores),
                "step": Out(shape.step_bits),
                "index": Out(cores * max(1, index_bits(shape.neurons))),
                "v": Out(states),
                "u": Out(states),
                "spike": Out(shape.traced),
                **({"h": Out(states)} if shape.adaptive else {}),
            }
        )


def core_members(shape: DeviceShape) -> dict[str, wiring.Member]:
    """The ports of a core of any kind; `Core` says what they are."""
    members: dict[str, wiring.Member] = {
        "events": In(stream.Signature(index_bits(shape.inputs))),
        "requests": In(stream.Signature(Request)),
        "spikes": Out(stream.Signature(index_bits(shape.neurons))),
        "done": Out(stream.Signature(done_layout(shape))),
        "access": In(stream.Signature(access_layout(shape))),
        "response": Out(stream.Signature(8, always_ready=True)),
        "digest": Out(64),
        "trace": Out(TraceSignature(shape)),
    }
    if shape.learning is not None:
        members["learn"] = In(1, init=1)
    if shape.parity:
        members["unsound"] = Out(1)
    return members


def byte_stream() -> stream.Signature:
    """Bytes with back-pressure."""
    return stream.Signature(unsigned(8))
