"""The numbers that fix a spiking core: what it can hold and how its arithmetic rounds.

Plain numbers only. A compiler sizes, checks and packs a core with this module alone; the
hardware description reads the same field tables, so both agree on every bit.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, NamedTuple

Rounding = Literal["floor", "toward_zero", "nearest_even", "nearest_away", "ceil"]
Overflow = Literal["saturate", "wrap"]

ROUNDINGS: Final[tuple[Rounding, ...]] = (
    "floor",
    "toward_zero",
    "nearest_even",
    "nearest_away",
    "ceil",
)
OVERFLOWS: Final[tuple[Overflow, ...]] = ("saturate", "wrap")


class ShapeError(ValueError):
    """A core of this shape cannot be built; the message names the field and its limits."""


class Reset(enum.IntEnum):
    """What a spike does to the membrane.

    NONE never spikes (a readout); VALUE sets ``v_reset``; SUBTRACT takes the threshold off;
    TWO_PHASE takes it off and doubles the limit while the old membrane is above threshold.
    """

    NONE = 0
    VALUE = 1
    SUBTRACT = 2
    TWO_PHASE = 3


class Memory(enum.IntEnum):
    """The words a host can read and write, by the number used on the wire.

    The last two are single registers: how many neurons a step sweeps, and the identity of the
    loaded image.
    """

    ROWS = 0
    WEIGHTS = 1
    NEURONS = 2
    FIRST_BIAS = 3
    CLASSES = 4
    POTENTIALS = 5
    CURRENTS = 6
    REFRACTORY = 7
    ACCUMULATORS = 8
    ACTIVE_NEURONS = 9
    DIGEST = 10


class Field(NamedTuple):
    """One field of a memory word; ``lanes`` is None for a scalar, else the number of elements."""

    name: str
    width: int
    signed: bool = False
    lanes: int | None = None

    @property
    def bits(self) -> int:
        """Bits taken in the word."""
        return self.width * (1 if self.lanes is None else self.lanes)

    @property
    def minimum(self) -> int:
        """Smallest value of one element."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """Largest value of one element."""
        return (1 << (self.width - 1)) - 1 if self.signed else (1 << self.width) - 1


def index_bits(count: int) -> int:
    """Bits that address ``count`` things: ceil(log2(count)), 0 for one thing."""
    return max(count - 1, 0).bit_length()


@dataclass(frozen=True)
class CoreShape:
    """Capacity and arithmetic of one event-driven core.

    A step t of a core with P pages, L lanes and F decay bits::

        EVENT s     for word in row s:   acc[(t + delay) mod P][target] += w        (L lanes)
        TICK        for n in 0 .. active_neurons - 1:
                        a  = acc[t mod P][n // L], lane n mod L, then cleared
                        d  = (a << shift) + bias                     (first_bias if t == start)
                        u' = ovf(round(u decay_u / 2^F) + d)         (cuba only)
                        w  = max(ovf(round(v decay_v / 2^F) + x), v_min)
                        x  = d, or with cuba u' (u if order_old)
                        z  = w > limit and reset != NONE
                        limit = threshold, or 2 threshold for TWO_PHASE when v > threshold
                        v' = w | v_reset | ovf(w - threshold)
                    t += 1, then the rows of the neurons that spiked, in order of n
        CLEAR       v = u = refractory = acc = 0, t = 0

    ``round`` is `rounding` of the exact quotient, ``ovf`` is `overflow` to `state_bits`; every
    other operation has the bits it needs. A neuron whose refractory counter r > 0 keeps v, counts
    r down and cannot spike; one with t < start keeps its whole state. The step counter has
    `step_bits` bits and wraps; a longer run is the host's to arrange.

    Attributes are counts or bits:

    lanes          weights added per cycle, a power of two
    weight_bits    of a signed weight, 2..16
    acc_bits       of a signed accumulator; nothing may overflow it (proved before loading)
    state_bits     of a signed v or u, 8..32
    neurons        capacity, a multiple of `lanes`
    inputs         input lines
    words          weight words of `lanes` weights
    classes        parameter sets a neuron can choose from
    pages          length of the delay wheel, a power of two
    cuba           whether the current state u exists
    first_bias     whether a neuron's first step has a bias of its own
    refractory_bits  of the refractory counter, 0 for none
    shift_bits     of a class's left shift, 0 for none
    step_bits      of the step counter, 1..16
    decay_bits     F: a decay is 0..2^F, in units of 2^-F

    Raises `ShapeError` if a field is out of its range.
    """

    lanes: int
    weight_bits: int
    acc_bits: int
    state_bits: int
    neurons: int
    inputs: int
    words: int
    classes: int = 1
    pages: int = 1
    cuba: bool = False
    first_bias: bool = False
    refractory_bits: int = 0
    shift_bits: int = 4
    step_bits: int = 16
    decay_bits: int = 12
    rounding: Rounding = "floor"
    overflow: Overflow = "saturate"

    def __post_init__(self) -> None:
        self._check_range("lanes", 1, 64)
        self._check_range("weight_bits", 2, 16)
        self._check_range("acc_bits", self.weight_bits, 48)
        self._check_range("state_bits", 8, 32)
        self._check_range("neurons", 1, 1 << 16)
        self._check_range("inputs", 1, 1 << 16)
        self._check_range("words", 1, 1 << 24)
        self._check_range("classes", 1, 1 << 12)
        self._check_range("pages", 1, 1 << self.step_bits if 1 <= self.step_bits <= 12 else 1 << 12)
        self._check_range("refractory_bits", 0, 16)
        self._check_range("shift_bits", 0, 5)
        self._check_range("step_bits", 1, 16)
        self._check_range("decay_bits", 1, 16)
        for name in ("lanes", "pages"):
            value = getattr(self, name)
            if value & (value - 1):
                raise ShapeError(f"{name} must be a power of two, not {value}")
        if self.neurons % self.lanes:
            raise ShapeError(
                f"neurons must be a multiple of the {self.lanes} lanes, not {self.neurons}"
            )
        for name in ("cuba", "first_bias"):
            if not isinstance(getattr(self, name), bool):
                raise ShapeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.rounding not in ROUNDINGS:
            raise ShapeError(f"rounding must be one of {', '.join(ROUNDINGS)}: {self.rounding!r}")
        if self.overflow not in OVERFLOWS:
            raise ShapeError(f"overflow must be one of {', '.join(OVERFLOWS)}: {self.overflow!r}")

    def _check_range(self, name: str, low: int, high: int) -> None:
        value = getattr(self, name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise ShapeError(f"{name} must be a whole number, not {value!r}")
        if not low <= value <= high:
            raise ShapeError(f"{name} must be {low}..{high}, not {value}")

    @property
    def groups(self) -> int:
        """Accumulator words per page: neurons / lanes."""
        return self.neurons // self.lanes

    @property
    def sources(self) -> int:
        """Rows: input s is row s, neuron n is row inputs + n."""
        return self.inputs + self.neurons

    @property
    def delay_bits(self) -> int:
        """Bits of a word's delay: log2(pages)."""
        return index_bits(self.pages)

    @property
    def decay_one(self) -> int:
        """The decay that leaves a state unchanged: 2^F."""
        return 1 << self.decay_bits

    @property
    def state_min(self) -> int:
        """Smallest membrane or current."""
        return -(1 << (self.state_bits - 1))

    @property
    def state_max(self) -> int:
        """Largest membrane or current."""
        return (1 << (self.state_bits - 1)) - 1

    def accumulator_address(self, page: int, group: int) -> int:
        """Address of the accumulator word of neurons group*L .. group*L + L-1 in a page."""
        return group * self.pages + page

    def fields(self, memory: Memory) -> tuple[Field, ...]:
        """Fields of a word, least significant first; empty if this shape has no such memory."""
        return self._fields[memory]

    @cached_property
    def _fields(self) -> dict[Memory, tuple[Field, ...]]:
        state, decay = self.state_bits, self.decay_bits + 1
        row = (
            Field("start", index_bits(self.words)),
            Field("count", self.words.bit_length()),
        )
        word = (
            Field("weights", self.weight_bits, True, self.lanes),
            Field("target", index_bits(self.groups)),
            Field("delay", self.delay_bits),
        )
        neuron = (Field("class_id", index_bits(self.classes)), Field("bias", state, True))
        neuron_class = (
            Field("decay_v", decay),
            *((Field("decay_u", decay),) if self.cuba else ()),
            Field("shift", self.shift_bits),
            Field("threshold", state, True),
            Field("v_reset", state, True),
            Field("v_min", state, True),
            Field("reset", 2),
            *((Field("order_old", 1),) if self.cuba else ()),
            Field("refractory", self.refractory_bits),
            Field("start", self.step_bits),
            Field("emit", 1),
        )
        first_bias = (Field("first_bias", state, True),)
        current = (Field("u", state, True),)
        refractory = (Field("refractory", self.refractory_bits),)
        return {
            Memory.ROWS: row,
            Memory.WEIGHTS: word,
            Memory.NEURONS: neuron,
            Memory.FIRST_BIAS: first_bias if self.first_bias else (),
            Memory.CLASSES: neuron_class,
            Memory.POTENTIALS: (Field("v", state, True),),
            Memory.CURRENTS: current if self.cuba else (),
            Memory.REFRACTORY: refractory if self.refractory_bits else (),
            Memory.ACCUMULATORS: (Field("acc", self.acc_bits, True, self.lanes),),
            Memory.ACTIVE_NEURONS: (Field("active_neurons", self.neurons.bit_length()),),
            Memory.DIGEST: (Field("digest", 64),),
        }

    @property
    def memories(self) -> tuple[Memory, ...]:
        """The memories this shape has, registers included, in order of number."""
        return tuple(memory for memory in Memory if self.fields(memory))

    def depth(self, memory: Memory) -> int:
        """Words in a memory, 0 if this shape has no such memory."""
        if not self.fields(memory):
            return 0
        match memory:
            case Memory.ROWS:
                return self.sources
            case Memory.WEIGHTS:
                return self.words
            case Memory.CLASSES:
                return self.classes
            case Memory.ACCUMULATORS:
                return self.groups * self.pages
            case Memory.NEURONS | Memory.FIRST_BIAS | Memory.POTENTIALS:
                return self.neurons
            case Memory.CURRENTS | Memory.REFRACTORY:
                return self.neurons
            case Memory.ACTIVE_NEURONS | Memory.DIGEST:
                return 1

    def word_bits(self, memory: Memory) -> int:
        """Bits of one word of a memory."""
        return sum(field.bits for field in self.fields(memory))

    def word_bytes(self, memory: Memory) -> int:
        """Bytes of one word on the wire: ceil(bits / 8)."""
        return -(-self.word_bits(memory) // 8)

    @property
    def memory_bits(self) -> int:
        """Bits of all memories and registers a host can reach."""
        return sum(self.depth(memory) * self.word_bits(memory) for memory in self.memories)
