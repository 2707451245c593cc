"""The numbers that fix several cores on one device: who is where, in one numbering of all of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import ClassVar, Final

from .shape import CoreShape, Memory, ShapeError, index_bits

# The table that says to which cores a source goes; no core has a memory of this number.
ROUTES: Final = 15
# A memory of core k has number k << CORE_SHIFT | number in the core.
CORE_SHIFT: Final = 4
MOST_CORES: Final = 8


@dataclass(frozen=True)
class ClusterShape:
    """Several cores that work as one.

    Sources have one numbering: the I input lines, then the neurons of core 0, of core 1, ...

    =======================  =================================================================
    number                   is
    =======================  =================================================================
    s < I                    input line s
    I + base_k + n           neuron n of core k; base_k = neurons of the cores before it
    neuron base_k + n        the same neuron, in spikes and traces
    =======================  =================================================================

    Core k has an input line for every source but its own neurons, in the same order: line s for a
    source before them, s - neurons of core k for one behind (`line`). A source goes to the cores
    in its word of ROUTES, bit k for core k; a core that is not in it needs an empty row there.

    Memories have the numbers k << 4 | m: memory m of core k, ROUTES of its neurons among them;
    k = number of cores is the table of the input lines. DIGEST is one for all.

    Attributes:

    inputs   I, input lines of the whole
    cores    their shapes; all with the same step_bits, state_bits and units

    Raises `ShapeError`.
    """

    inputs: int
    cores: tuple[CoreShape, ...]

    # Weights of no core learn, have a parity, or are constants of the circuit.
    learning: ClassVar[None] = None
    parity: ClassVar[bool] = False
    constant: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 2 <= len(self.cores) <= MOST_CORES:
            raise ShapeError(f"a cluster has 2..{MOST_CORES} cores, not {len(self.cores)}")
        for name in ("step_bits", "state_bits", "units"):
            values = [getattr(core, name) for core in self.cores]
            if len(set(values)) > 1:
                raise ShapeError(f"cores of a cluster share {name}, not {values}")
        for number, core in enumerate(self.cores):
            lines = self.inputs + self.neurons - core.neurons
            if core.inputs != lines:
                raise ShapeError(f"core {number} needs {lines} input lines, not {core.inputs}")
            if core.learning is not None or core.parity or core.constant:
                raise ShapeError(
                    f"weights of core {number} learn, have a parity or are constants; those of a "
                    "cluster do not"
                )
            if core.weight_storage != "block":
                raise ShapeError(f"core {number} of a cluster keeps its weights in block memory")
        if self.inputs < 1 or self.neurons > 1 << 16:
            raise ShapeError(
                f"a cluster has at least one input line and at most {1 << 16} neurons, "
                f"not {self.inputs} and {self.neurons}"
            )

    @property
    def neurons(self) -> int:
        """Neurons of all cores."""
        return sum(core.neurons for core in self.cores)

    @cached_property
    def bases(self) -> tuple[int, ...]:
        """The first neuron of each core."""
        return tuple(accumulate((core.neurons for core in self.cores[:-1]), initial=0))

    @property
    def sources(self) -> int:
        """Input lines and neurons."""
        return self.inputs + self.neurons

    @property
    def step_bits(self) -> int:
        """Bits of the step counter."""
        return self.cores[0].step_bits

    @property
    def state_bits(self) -> int:
        """Bits of a signed v or u."""
        return self.cores[0].state_bits

    @property
    def units(self) -> int:
        """Neurons that a core commits per cycle."""
        return self.cores[0].units

    @property
    def weight_storage(self) -> str:
        """Every core's."""
        return "block"

    @property
    def adaptive(self) -> bool:
        """Whether thresholds of any core have an offset h."""
        return any(core.adaptive for core in self.cores)

    @property
    def traced(self) -> int:
        """Neurons of one record of the trace, of all cores."""
        return len(self.cores) * self.units

    def line(self, core: int, source: int) -> int:
        """The input line of ``core`` for a source that is none of its own neurons."""
        first = self.inputs + self.bases[core]
        return source if source < first else source - self.cores[core].neurons

    @cached_property
    def memories(self) -> tuple[int, ...]:
        """Numbers of the memories a host can reach, ascending."""
        found: list[int] = []
        for number, core in enumerate(self.cores):
            found += [
                number << CORE_SHIFT | memory
                for memory in core.memories
                if number == 0 or memory is not Memory.DIGEST
            ]
            found.append(number << CORE_SHIFT | ROUTES)
        return (*found, len(self.cores) << CORE_SHIFT | ROUTES)

    def part(self, number: int) -> tuple[CoreShape | None, Memory | None]:
        """The core whose memory ``number`` is, and which of its; (None, None) for a table."""
        core, memory = number >> CORE_SHIFT, number & ((1 << CORE_SHIFT) - 1)
        return (None, None) if memory == ROUTES else (self.cores[core], Memory(memory))

    def routes(self, node: int) -> int:
        """Words of the table of a core, or of that of the input lines (node = number of cores)."""
        return self.cores[node].neurons if node < len(self.cores) else self.inputs

    def depth(self, number: int) -> int:
        """Addresses of a memory."""
        core, memory = self.part(number)
        if core is None or memory is None:
            return self.routes(number >> CORE_SHIFT)
        return core.depth(memory)

    def word_bits(self, number: int) -> int:
        """Bits at one address."""
        core, memory = self.part(number)
        return len(self.cores) if core is None or memory is None else core.word_bits(memory)

    def word_bytes(self, number: int) -> int:
        """Bytes of one word on the wire."""
        return -(-self.word_bits(number) // 8)

    def readable(self, number: int) -> bool:
        """Whether the host can read the words back."""
        core, memory = self.part(number)
        return core is None or memory is None or core.readable(memory)

    @property
    def source_bits(self) -> int:
        """Bits of a source's number."""
        return index_bits(self.sources)


# What a link and a host can have on the other side.
DeviceShape = CoreShape | ClusterShape
