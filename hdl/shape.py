"""The numbers that fix a spiking core: what it can hold and how its arithmetic rounds.

Plain numbers only. A compiler sizes, checks and packs a core with this module alone; the
hardware description reads the same field tables, so both agree on every bit.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, NamedTuple

from ..ir.recovery import DECAY, FACTORS, MAX_SUBSTEPS
from .learning import Learning

Rounding = Literal["floor", "toward_zero", "nearest_even", "nearest_away", "ceil"]
Overflow = Literal["saturate", "wrap"]
Addressing = Literal["row", "word", "lane"]
Storage = Literal["registers", "distributed", "block", "pipelined"]

ROUNDINGS: Final[tuple[Rounding, ...]] = (
    "floor",
    "toward_zero",
    "nearest_even",
    "nearest_away",
    "ceil",
)
OVERFLOWS: Final[tuple[Overflow, ...]] = ("saturate", "wrap")
ADDRESSINGS: Final[tuple[Addressing, ...]] = ("row", "word", "lane")
STORAGES: Final[tuple[Storage, ...]] = ("registers", "distributed", "block", "pipelined")
# Groups whose need of a commit is looked up in one cycle.
SCAN_BITS: Final = 32
# A memory of so few words may be registers.
REGISTER_ROWS: Final = 4
# Weight words with a wrong parity are counted up to 2^8 - 1.
DAMAGED_BITS: Final = 8


class ShapeError(ValueError):
    """A core of this shape cannot be built; the message names the field and its limits."""


class Reset(enum.IntEnum):
    """What a spike does to the membrane.

    NONE never spikes (a readout); VALUE sets ``v_reset``; SUBTRACT takes ``v_reset`` off, which
    then is the threshold before any allowance for the comparison; TWO_PHASE takes it off and raises
    the limit by it while the old membrane is above threshold.
    """

    NONE = 0
    VALUE = 1
    SUBTRACT = 2
    TWO_PHASE = 3


class Memory(enum.IntEnum):
    """The memories a host can reach, by the number used on the wire.

    Two are registers: DIGEST, the identity of the loaded image, and DAMAGED, how many of its weight
    words have been read with a bit changed. Accumulators are the core's own; a CLEAR empties them.
    """

    ROWS = 0
    SEGMENTS = 1
    WEIGHTS = 2
    NEURONS = 3
    FIRST_BIAS = 4
    CLASSES = 5
    POTENTIALS = 6
    CURRENTS = 7
    REFRACTORY = 8
    DIGEST = 9
    DAMAGED = 10
    OFFSETS = 11


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


def later(default: Any) -> Any:
    """A field that `described` leaves out where it has its default.

    For what shapes gained after their first release: the identities of those that do not use it
    stay what they were.
    """
    return field(default=default, metadata={"later": True})


def described(record: Any) -> str:
    """The text of a dataclass that names it: the digests of shapes and images are made of it."""
    shown = (
        f"{f.name}={getattr(record, f.name)!r}"
        for f in fields(record)
        if "later" not in f.metadata or getattr(record, f.name) != f.default
    )
    return f"{type(record).__name__}({', '.join(shown)})"


@dataclass(frozen=True, repr=False)
class NeuronClass:
    """Parameters that all classes of a core share; None where they differ.

    `CoreShape` has the equations.
    """

    decay_v: int | None = None
    decay_u: int | None = None
    shift: int | None = None
    threshold: int | None = None
    v_reset: int | None = None
    v_min: int | None = None
    reset: int | None = None
    order_old: int | None = None
    refractory: int | None = None
    start: int | None = None
    emit: int | None = None
    adapt_inc: int | None = later(None)
    adapt_shift: int | None = later(None)
    adapt_timer: int | None = later(None)
    adapt_phase: int | None = later(None)
    leak: int | None = later(None)
    v_leak: int | None = later(None)
    curve: int | None = later(None)
    couple: int | None = later(None)
    rate: int | None = later(None)
    jump: int | None = later(None)
    again: int | None = later(None)

    def __repr__(self) -> str:
        return described(self)


@dataclass(frozen=True, repr=False)
class CoreShape:
    """Capacity and arithmetic of one event-driven core.

    A step t of a core with P pages, L lanes, U units and F decay bits::

        EVENT s     for segment in row s, for word in segment:
                        acc[(t + delay) mod P][target] += w                      (L lanes)
        TICK        for groups g of L neurons that were added to or do not rest, for n in g:
                        a  = acc[t mod P][g], lane n mod L, then cleared
                        d  = (a << shift) + bias                     (first_bias if t == start)
                        u' = ovf(round(u decay_u / 2^F) + d)         (cuba only)
                        y  = round(v decay_v / 2^F)                   (leak == 0 or not linear)
                        y  = v - sgn(v - v_leak) min(|v - v_leak|, leak)             (leak > 0)
                        w  = max(ovf(y + x), v_min)
                        x  = d, or with cuba u' (u if order_old)
                        z  = w > limit and reset != NONE
                        limit = threshold + h      (TWO_PHASE: + v_reset when v > threshold, no h)
                        v' = w | v_reset | ovf(w - v_reset)
                        h' = min(h + adapt_inc, state_max) if z else h
                        h' -= ceil(h' / 2^adapt_shift)    (s mod timers[adapt_timer] == adapt_phase)
                    t += 1, and meanwhile the rows of the neurons that spike, in order of n
        TICK of a membrane with a recovery: what differs, with W state bits; v and u as they were
                        y  = round(v (decay_v + round(v curve / 2^W)) / 2^F) + d - u
                        v  = ovf(y), 1 + again times, and then w = max(v, v_min)
                        g  = round(v couple / 2^F)
                        u' = ovf(u + round((g - u) rate / 2^(F + 4)))
                        u' = ovf(u' + jump)                                      (after a spike)
    CLEAR       v = u = h = refractory = acc = 0, t = s = 0, no group rests

    ``round`` is `rounding` of the exact quotient, ``ovf`` is `overflow` to `state_bits`; every
    other operation has the bits it needs. A neuron whose refractory counter r > 0 keeps v, counts
    r down and cannot spike; one with t < start keeps its whole state. A group rests when nothing
    in it would change without input, so passing it over changes nothing. The step counter has
    `step_bits` bits and wraps; a longer run is the host's to arrange. s is t without wrapping. The
    offset h of a threshold exists with ``timers`` only, a recovery with ``quadratic``; a class
    without one has a curve, couple, rate and jump of 0, and u stays 0. A refractory neuron keeps v
    alone: its recovery goes on.

    Attributes are counts or bits:

    lanes          weights added per cycle, a multiple of `units`
    weight_bits    of a signed weight, 2..16
    acc_bits       of a signed accumulator; nothing may overflow it (proved before loading)
    state_bits     of a signed v or u, 8..32
    neurons        capacity, a multiple of `lanes`
    inputs         input lines
    words          weight words of `lanes` weights
    units          neurons committed per cycle, a power of two; they share a class
    segments       runs of words that rows share; 0: a row is one run of its own
    addressing     where a word's target and delay come from: its run, counting up from the first
                   (``row``), the word itself, or the word for each ``lane``
    recurrent      whether neurons have rows at all
    classes        parameter sets a neuron can choose from
    fixed          parameters that are part of the circuit instead of a memory
    bias           whether neurons have a bias
    delays         steps a word can wait, 1..; the longest delay is delays - 1
    pages          length of the delay wheel, a power of two >= delays; one more than `delays`
                   lets events of the next step be added while a step commits
    distance       words for the same group (and, by lane, lane) are at least so many cycles apart
    storage        of the accumulators: ``registers`` (one group, one page), ``distributed`` memory
                   read in the cycle it is written, ``block`` memory, or ``pipelined`` block memory
                   with a register behind it, for faster clocks
    readback       whether the host can read weights back, which takes logic
    weight_storage  ``huge``: single-ported memory of the device, which the host has to load
    bank_bits      width of the block memories that a wide word is spread over
    weight_bank_bits  the same for weights
    cuba           whether the current state u exists
    first_bias     whether a neuron's first step has a bias of its own
    refractory_bits  of the refractory counter, 0 for none
    shift_bits     of a class's left shift, 0 for none
    step_bits      of the step counter, 1..16
    decay_bits     F: a decay is 0..2^F, in units of 2^-F
    learning       which weights learn, and how; their rows are addressed by ``row``, each is one
                   run, and events wait until the columns of the step before are done
    parity         whether a weight word has a bit more, which makes the number of its ones even;
                   words that are read and are not are counted
    timers         periods in steps in which offsets of thresholds decay; empty if they never do,
                   None without such offsets. A phase that no step has never comes.
    linear         whether membranes can leak by a constant amount instead of decaying
    quadratic      the most times that a membrane with a recovery is advanced in a step, 1..8 (a
                   class says how often ``again``); 0 without recovery. Not with ``cuba`` or
                   ``linear``.

    Raises `ShapeError` if a field is out of its range.
    """

    lanes: int
    weight_bits: int
    acc_bits: int
    state_bits: int
    neurons: int
    inputs: int
    words: int
    units: int = 1
    segments: int = 0
    addressing: Addressing = "word"
    recurrent: bool = True
    classes: int = 1
    fixed: NeuronClass = NeuronClass()
    bias: bool = True
    delays: int = 1
    pages: int = 2
    distance: int = 1
    storage: Storage = "block"
    bank_bits: int = 36
    weight_bank_bits: int = 36
    weight_storage: Literal["block", "huge"] = "block"
    readback: bool = True
    cuba: bool = False
    first_bias: bool = False
    refractory_bits: int = 0
    shift_bits: int = 4
    step_bits: int = 16
    decay_bits: int = 12
    rounding: Rounding = "floor"
    overflow: Overflow = "saturate"
    learning: Learning | None = later(None)  # noqa: RUF009 - a field, and what it holds is frozen
    parity: bool = later(False)
    timers: tuple[int, ...] | None = later(None)
    linear: bool = later(False)
    quadratic: int = later(0)

    # Whether the image is part of the circuit, which then has nothing to load.
    constant: ClassVar[bool] = False

    def __repr__(self) -> str:
        return described(self)

    def __post_init__(self) -> None:
        self._check_range("lanes", 1, 256)
        self._check_range("units", 1, 32)
        self._check_range("weight_bits", 2, 16)
        self._check_range("acc_bits", self.weight_bits, 48)
        self._check_range("state_bits", 8, 32)
        self._check_range("neurons", 1, 1 << 16)
        self._check_range("inputs", 1, 1 << 16)
        self._check_range("words", 1, 1 << 24)
        self._check_range("segments", 0, 1 << 20)
        self._check_range("classes", 1, 1 << 12)
        self._check_range("delays", 1, 1 << min(self.step_bits, 12))
        self._check_range("pages", self.delays, 1 << 13)
        self._check_range("distance", 1, 1 << 16)
        self._check_range("bank_bits", 8, 128)
        self._check_range("weight_bank_bits", 1, 128)
        self._check_range("refractory_bits", 0, 16)
        self._check_range("shift_bits", 0, 5)
        self._check_range("step_bits", 1, 16)
        self._check_range("decay_bits", 1, 16)
        self._check_range("quadratic", 0, MAX_SUBSTEPS)
        for name in ("units", "pages"):
            value = getattr(self, name)
            if value & (value - 1):
                raise ShapeError(f"{name} must be a power of two, not {value}")
        for larger, smaller in (("lanes", "units"), ("neurons", "lanes")):
            number, part = getattr(self, larger), getattr(self, smaller)
            if number % part:
                raise ShapeError(f"{larger} must be a multiple of the {part} {smaller}: {number}")
        for name in (
            *("cuba", "first_bias", "bias", "recurrent", "readback"),
            *("parity", "linear"),
        ):
            if not isinstance(getattr(self, name), bool):
                raise ShapeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        for name, known in (
            ("rounding", ROUNDINGS),
            ("overflow", OVERFLOWS),
            ("addressing", ADDRESSINGS),
            ("storage", STORAGES),
        ):
            if getattr(self, name) not in known:
                raise ShapeError(
                    f"{name} must be one of {', '.join(known)}: {getattr(self, name)!r}"
                )
        if self.first_bias and not self.bias:
            raise ShapeError("first_bias needs bias")
        if self.segments and self.addressing != "row":
            raise ShapeError("segments need addressing by row")
        if self.learning is not None:
            self._check_learning(self.learning)
        for name in ("cuba", "linear"):
            if self.quadratic and getattr(self, name):
                raise ShapeError(f"quadratic does not go with {name}")
        for period in self.timers or ():
            if type(period) is not int or not 1 <= period < 1 << 31:
                raise ShapeError(f"timers must be 1..{(1 << 31) - 1}, not {period!r}")
        for one in self.class_fields:
            value = getattr(self.fixed, one.name)
            if value is not None and not one.minimum <= value <= one.maximum:
                raise ShapeError(
                    f"fixed.{one.name} must be {one.minimum}..{one.maximum}, not {value}"
                )
        if self.storage == "registers" and self.groups * self.pages > 1:
            raise ShapeError(
                f"registers hold one group in one page, not {self.groups} in {self.pages}"
            )

    def _check_learning(self, learning: Learning) -> None:
        for problem in learning.problems(self.lanes):
            raise ShapeError(problem)
        if self.parity:
            raise ShapeError("weights that learn have no parity")
        if self.addressing != "row" or self.segments or self.weight_storage != "block":
            raise ShapeError("weights that learn take rows of one run each, in block memory")
        low, high = -(1 << (self.weight_bits - 1)), (1 << (self.weight_bits - 1)) - 1
        if learning.w_min < low or learning.w_max > high:
            raise ShapeError(
                f"rails {learning.w_min}..{learning.w_max} are beyond {self.weight_bits} bits"
            )
        for what, first, count, limit in (
            ("rows", learning.first_row, learning.rows, self.sources),
            ("groups", learning.first_group, learning.groups, self.groups),
            ("words in a plane", 0, learning.words(self.lanes), self.plane_words),
        ):
            if first < 0 or count < 1 or first + count > limit:
                raise ShapeError(
                    f"learning needs {what} {first} .. {first + count - 1}, there are {limit}"
                )
        if self.words % self.planes or (
            learning.skewed and self.plane_words & (self.plane_words - 1)
        ):
            raise ShapeError(
                f"{self.planes} planes take as many times a power of two words, not {self.words}"
            )

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
    def beats(self) -> int:
        """Cycles a group's commit takes: lanes / units."""
        return self.lanes // self.units

    @property
    def sources(self) -> int:
        """Rows: input s is row s, neuron n is row inputs + n."""
        return self.inputs + (self.neurons if self.recurrent else 0)

    @property
    def planes(self) -> int:
        """Planes of weight words, see `Learning`: L, or 1 where nothing is turned."""
        return self.lanes if self.learning is not None and self.learning.skewed else 1

    @property
    def plane_words(self) -> int:
        """Words of a plane."""
        return self.words // self.planes

    @property
    def delay_bits(self) -> int:
        """Bits of a delay: ceil(log2(delays))."""
        return index_bits(self.delays)

    @property
    def page_bits(self) -> int:
        """Bits of a page: log2(pages)."""
        return index_bits(self.pages)

    @property
    def overlaps(self) -> bool:
        """Whether events of the next step can be added while a step commits."""
        return self.pages > self.delays and self.learning is None

    @property
    def adaptive(self) -> bool:
        """Whether thresholds have an offset h."""
        return self.timers is not None

    @property
    def has_u(self) -> bool:
        """Whether a neuron has a second state: a current, or a recovery."""
        return self.cuba or self.quadratic > 0

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

    def fields(self, memory: int) -> tuple[Field, ...]:
        """Fields of a word, least significant first; empty if this shape has no such memory."""
        return self._fields[Memory(memory)]

    @property
    def class_fields(self) -> tuple[Field, ...]:
        """Fields of a class, in memory or fixed."""
        state, decay = self.state_bits, self.decay_bits + 1
        decay_v = Field("decay_v", decay)
        recovery: tuple[Field, ...] = ()
        if self.quadratic:
            decay_v = Field("decay_v", DECAY.width(self.decay_bits), DECAY.signed)
            recovery = (
                *(Field(n, f.width(self.decay_bits), f.signed) for n, f in FACTORS.items()),
                Field("jump", state, True),
                Field("again", index_bits(self.quadratic)),
            )
        return (
            decay_v,
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
            *((Field("adapt_inc", state - 1),) if self.adaptive else ()),
            *(
                (
                    Field("adapt_shift", state.bit_length()),
                    Field("adapt_phase", max(self.timers).bit_length()),
                )
                if self.timers
                else ()
            ),
            *(
                (Field("adapt_timer", index_bits(len(self.timers))),)
                if self.timers and len(self.timers) > 1
                else ()
            ),
            *((Field("leak", state - 1), Field("v_leak", state, True)) if self.linear else ()),
            *recovery,
        )

    @cached_property
    def _fields(self) -> dict[Memory, tuple[Field, ...]]:
        state = self.state_bits
        run = (Field("start", index_bits(self.words)), Field("count", self.words.bit_length()))
        place = (Field("target", index_bits(self.groups)), Field("delay", self.delay_bits))
        weights = Field("weights", self.weight_bits, True, self.lanes)
        word: tuple[Field, ...] = (weights,)
        segment: tuple[Field, ...] = ()
        row: tuple[Field, ...] = run
        match self.addressing:
            case "row" if self.segments:
                segment = (*run, *place)
                row = (
                    Field("start", index_bits(self.segments)),
                    Field("count", self.segments.bit_length()),
                    Field("target", index_bits(self.groups)),
                )
            case "row":
                row = (*run, *place)
            case "word":
                word = (weights, *place)
            case "lane":
                word = (weights, *(Field(f.name, f.width, False, self.lanes) for f in place))
        if self.learning is not None:
            blocks = self.learning.blocks(self.lanes)
            place = (Field("block", index_bits(blocks)), Field("lane", index_bits(self.lanes)))
            row = (*row, Field("plastic", 1), *(place if self.learning.columns else ()))
            word = (weights, Field("enable", 1, False, self.lanes))
        if self.parity:
            word = (*word, Field("parity", 1))
        neuron = (
            *((Field("class_id", index_bits(self.classes)),) if self.classes > 1 else ()),
            *((Field("bias", state, True, self.units),) if self.bias else ()),
        )
        first_bias = (Field("first_bias", state, True, self.units),)
        current = (Field("u", state, True, self.units),)
        refractory = (Field("refractory", self.refractory_bits, False, self.units),)
        return {
            Memory.ROWS: row,
            Memory.SEGMENTS: segment,
            Memory.WEIGHTS: word,
            Memory.NEURONS: neuron,
            Memory.FIRST_BIAS: first_bias if self.first_bias else (),
            Memory.CLASSES: tuple(
                field for field in self.class_fields if getattr(self.fixed, field.name) is None
            ),
            Memory.POTENTIALS: (Field("v", state, True, self.units),),
            Memory.CURRENTS: current if self.has_u else (),
            Memory.REFRACTORY: refractory if self.refractory_bits else (),
            Memory.DIGEST: (Field("digest", 64),),
            Memory.DAMAGED: (Field("damaged", DAMAGED_BITS),) if self.parity else (),
            Memory.OFFSETS: (Field("h", state - 1, False, self.units),) if self.adaptive else (),
        }

    @property
    def traced(self) -> int:
        """Neurons of one record of the trace."""
        return self.units

    @property
    def memories(self) -> tuple[Memory, ...]:
        """The memories a host can reach, registers included, in order of number."""
        return tuple(memory for memory in Memory if self.row_bits(memory))

    def has(self, memory: int, only: tuple[str, ...]) -> bool:
        """Whether a memory has any of these fields."""
        return any(field.name in only for field in self.fields(memory))

    def readable(self, memory: int) -> bool:
        """Whether the host can read the words of a memory back."""
        return self.readback or memory is not Memory.WEIGHTS

    def rows(self, memory: int) -> int:
        """Words in a memory as the core reads it, 0 if this shape has no such memory."""
        if not self.fields(memory):
            return 0
        match memory:
            case Memory.ROWS:
                return self.sources
            case Memory.SEGMENTS:
                return self.segments
            case Memory.WEIGHTS:
                return self.words
            case Memory.CLASSES:
                return self.classes
            case Memory.DIGEST | Memory.DAMAGED:
                return 1
            case _:
                return self.neurons // self.units

    def row_bits(self, memory: int) -> int:
        """Bits of one word as the core reads it."""
        return sum(field.bits for field in self.fields(memory))

    def parts(self, memory: int) -> int:
        """Parts of `word_bits` that the host sees instead of one wide word."""
        return max(1, -(-self.row_bits(memory) // max(1, self.word_bits(memory))))

    def depth(self, memory: int) -> int:
        """Addresses of a memory for the host: part k of word a is a << bits(parts) | k."""
        return self.rows(memory) << index_bits(self.parts(memory))

    def word_bits(self, memory: int) -> int:
        """Bits at one address of the host."""
        bits = self.row_bits(memory)
        if self.learning is not None and memory is Memory.WEIGHTS:
            return bits // self.lanes
        bank = self.weight_bank_bits if memory is Memory.WEIGHTS else self.bank_bits
        whole = memory in (Memory.CLASSES, Memory.DIGEST, Memory.DAMAGED)
        return bits if whole else min(bits, bank)

    def word_bytes(self, memory: int) -> int:
        """Bytes of one word on the wire: ceil(bits / 8)."""
        return -(-self.word_bits(memory) // 8)

    @property
    def parity_alone(self) -> bool:
        """Whether the parity of a weight word lies in a block that holds nothing else."""
        width = self.word_bits(Memory.WEIGHTS)
        return self.parity and self.row_bits(Memory.WEIGHTS) % width == 1 and width > 1

    @property
    def memory_bits(self) -> int:
        """Bits of all memories, accumulators included."""
        own = sum(self.rows(memory) * self.row_bits(memory) for memory in self.memories)
        return own + self.groups * self.pages * self.lanes * self.acc_bits


@dataclass(frozen=True)
class ParallelShape(CoreShape):
    """A core of the same arithmetic whose weights and parameters are constants of the circuit.

    All neurons commit in the same cycle, whatever `lanes` and `units` say: those only give the
    image its form. The sizes of memories mean nothing, and no word but the digest can be read.

    input_bits     an input line counts up to 2^input_bits - 1 events in a step, and no more
    """

    input_bits: int = 1

    constant: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_range("input_bits", 1, 16)
        for name in ("adaptive", "linear", "learning", "parity", "quadratic"):
            if getattr(self, name):
                raise ShapeError(f"a circuit of constants cannot be {name}")

    @property
    def traced(self) -> int:
        """All neurons at once."""
        return self.neurons

    @property
    def memories(self) -> tuple[Memory, ...]:
        """The identity of the image that the circuit is made of."""
        return (Memory.DIGEST,)

    @property
    def overlaps(self) -> bool:
        """Events of the next step are always taken."""
        return True
