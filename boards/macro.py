"""Crossbar macros as data: the loader of ``boards/macros/*.toml``.

A :class:`Macro` is a process that a network is compiled to: tiles of a device, their wires, what
drives them and what reads them, and what that costs. Every number is a :class:`Quantity`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final, Literal, cast

from .device import device_names, load_device
from .quantity import Obtained, Quantity
from .table import BoardError, Table, check_name, no_such, read_table

ConverterKind = Literal["ideal", "sar", "ramp"]

# What a ledger of energy and time needs of any macro, and of each kind of converter besides.
_COSTS: Final = (
    "read_time",
    "clock_time",
    "add8_energy",
    "add32_energy",
    "multiply8_energy",
    "multiply32_energy",
    "sram_bit_energy",
)
_OF_CONVERTER: Final[Mapping[str, tuple[str, ...]]] = {
    "ideal": (),
    "sar": ("sar_power", "sar_bit_power", "sar_step_time"),
    "ramp": ("ramp_step_energy", "ramp_step_time"),
}
_LARGEST_TILE: Final = 1 << 12
_MOST_BITS: Final = 16
_ROOM: Final = 300.0  # K, at which resistances are stated


@dataclass(frozen=True, slots=True)
class Wires:
    """Word and bit lines of a tile.

    ``word`` and ``bit`` in ohm a segment, from cell to cell, at 300 K; ``driver`` and ``sense`` in
    ohm an end; ``coefficient`` in 1/K. A segment is as long as the cell's ``word_pitch`` and
    ``bit_pitch``, m, and has ``capacitance``, F/m.
    """

    word: Quantity
    bit: Quantity
    driver: Quantity
    sense: Quantity
    coefficient: Quantity
    word_pitch: Quantity
    bit_pitch: Quantity
    capacitance: Quantity

    def at(self, kelvin: float = _ROOM) -> tuple[float, float]:
        r"""Ohm a segment of word and bit line, :math:`R(T) = R(300) (1 + c (T - 300))`.

        Raises :class:`BoardError` where the line would have no resistance left.
        """
        factor = 1 + self.coefficient.value * (kelvin - _ROOM)
        if not 0 < factor < float("inf"):
            raise BoardError(
                "board-value",
                "temperature",
                f"{kelvin:g} K is beyond the linear law of the wires",
            )
        return self.word.value * factor, self.bit.value * factor

    @property
    def word_capacitance(self) -> float:
        """F a segment of a word line."""
        return self.word_pitch.value * self.capacitance.value

    @property
    def bit_capacitance(self) -> float:
        """F a segment of a bit line."""
        return self.bit_pitch.value * self.capacitance.value


@dataclass(frozen=True, slots=True)
class Adc:
    """What makes numbers of currents: its ``kind``, ``bits``, and ``columns`` that share one.

    An ``ideal`` one has no ``bits``: it takes a current as it is.
    """

    kind: ConverterKind
    bits: Quantity | None
    columns: Quantity


@dataclass(frozen=True, slots=True)
class Macro:
    """A process of memristor crossbars.

    ``sizes`` are the word and the bit lines a tile may have (it is square), ascending; ``spares``
    the columns among them that are kept for faults. ``gated`` says whether the cells of silent rows
    are cut off (1T1R), otherwise their word lines are held at 0 V. ``voltage`` is a spike's on its
    word line, in V. ``stuck_on`` and ``stuck_off`` are the shares of faulty cells that one reckons
    with. ``costs`` are in J, s and W, by name; ``technology`` in nm. ``source`` is the sizes'.
    """

    name: str
    title: str
    note: str
    device: str
    technology: Quantity
    sizes: tuple[int, ...]
    spares: Quantity
    gated: bool
    voltage: Quantity
    wires: Wires
    adc: Adc
    stuck_on: Quantity
    stuck_off: Quantity
    source: str
    obtained: Obtained
    costs: Mapping[str, Quantity] = field(hash=False)

    @property
    def tile(self) -> int:
        """Word and bit lines of a tile unless another size is asked for: the largest."""
        return self.sizes[-1]

    def conversion_time(self, bits: int | None = None) -> float:
        r"""Seconds of one conversion to ``bits``, by default the converter's own.

        Successive approximation decides a bit a step and samples for one, :math:`(b + 1) t`; a ramp
        takes a step for each number, :math:`2^b t`; an ideal converter no time.
        """
        match self.adc.kind:
            case "ideal":
                return 0.0
            case "sar":
                return (self._bits(bits) + 1) * self.costs["sar_step_time"].value
            case "ramp":
                return float(2 ** self._bits(bits) * self.costs["ramp_step_time"].value)

    def conversion_energy(self, bits: int | None = None) -> float:
        r"""Joule of one conversion to ``bits``, without the currents of the cells.

        Successive approximation draws :math:`P_0 + b P_1` while it converts; a ramp
        :math:`2^b E`; an ideal converter nothing.
        """
        costs = self.costs
        match self.adc.kind:
            case "ideal":
                return 0.0
            case "sar":
                power = costs["sar_power"].value + self._bits(bits) * costs["sar_bit_power"].value
                return power * self.conversion_time(bits)
            case "ramp":
                return float(2 ** self._bits(bits) * costs["ramp_step_energy"].value)

    def drive_energy(self, columns: int) -> float:
        """Joule of a pulse on a word line of ``columns`` cells, C V^2, without their currents."""
        return columns * self.wires.word_capacitance * self.voltage.value**2

    def add_energy(self, bits: int) -> float:
        """Joule of an addition of ``bits``: the straight line through those of 8 and of 32."""
        low, high = self.costs["add8_energy"].value, self.costs["add32_energy"].value
        return low + (high - low) * (bits - 8) / 24

    def multiply_energy(self, bits: int) -> float:
        """Joule of a multiplication of ``bits``: a power law through those of 8 and of 32."""
        low, high = self.costs["multiply8_energy"].value, self.costs["multiply32_energy"].value
        # Four times the bits take high / low times the energy.
        return float(low * (bits / 8) ** (math.log(high / low) / math.log(4)))

    def _bits(self, bits: int | None) -> int:
        assert self.adc.bits is not None  # what is not ideal has them
        return int(self.adc.bits.value) if bits is None else bits


def macro_names() -> tuple[str, ...]:
    """Return the names of all macros that come with spikec, sorted."""
    return tuple(sorted(f.name[:-5] for f in _folder().iterdir() if f.name.endswith(".toml")))


@cache
def load_macro(name: str) -> Macro:
    """Return the macro of this name, read once.

    Raises :class:`BoardError` ``board-unknown`` with the closest names if there is none.
    """
    names = macro_names()
    if name not in names:
        raise no_such("macro", name, names)
    origin = f"boards/macros/{name}.toml"
    macro = parse_macro((_folder() / f"{name}.toml").read_text(encoding="utf-8"), origin)
    check_name(macro.name, name, origin)
    return macro


def parse_macro(text: str, origin: str) -> Macro:
    """Parse one macro's file. ``origin`` is the file's name, for messages.

    Raises :class:`BoardError` that names the file, the key, what was found and what was wanted.
    """
    top = read_table(text, origin)
    tile, faults = top.table("tile"), top.table("faults")
    adc = _adc(top.table("adc"))
    macro = Macro(
        name=top.text("name"),
        title=top.text("title"),
        note=top.optional_text("note") or "",
        device=top.choice("device", device_names()),
        technology=top.quantity("technology", unit="nm"),
        sizes=tile.integers("sizes", 1),
        spares=tile.quantity("spares", unit="columns", whole=True, zero=True),
        gated=top.boolean("gated"),
        voltage=top.quantity("voltage", unit="V"),
        wires=_wires(top.table("wires")),
        adc=adc,
        stuck_on=faults.quantity("on", unit="1", zero=True),
        stuck_off=faults.quantity("off", unit="1", zero=True),
        source=tile.text("source"),
        obtained=tile.obtained(),
        costs=_costs(top.table("costs"), adc),
    )
    if not macro.sizes or list(macro.sizes) != sorted(set(macro.sizes)):
        raise tile.error("board-value", "sizes", "must be sizes of tiles, ascending")
    if macro.tile > _LARGEST_TILE:
        raise tile.error("board-value", "sizes", f"goes beyond {_LARGEST_TILE:,}")
    if macro.spares.value >= macro.sizes[0]:
        raise tile.error("board-value", "spares", "leaves no column of the smallest tile")
    if adc.columns.value > macro.sizes[0]:
        message = "is more columns than the smallest tile has"
        raise top.error("board-value", "adc.columns", message)
    if macro.stuck_on.value + macro.stuck_off.value > 1:
        raise faults.error("board-value", "on", "and 'off' are more than all cells")
    bend = load_device(macro.device).bend
    if bend is not None and macro.voltage.value > bend.limit.value:
        message = f"is above {bend.limit.value:g} V, up to which the cells' current is known"
        raise top.error("board-value", "voltage", message)
    tile.finish()
    faults.finish()
    top.finish()
    return macro


def _folder() -> Traversable:
    return resources.files(__package__) / "macros"


def _wires(table: Table) -> Wires:
    def perhaps(key: str, unit: str) -> Quantity:
        return table.quantity(key, unit=unit, zero=True)

    wires = Wires(
        word=perhaps("word", "ohm"),
        bit=perhaps("bit", "ohm"),
        driver=perhaps("driver", "ohm"),
        sense=perhaps("sense", "ohm"),
        coefficient=perhaps("coefficient", "1/K"),
        word_pitch=perhaps("word_pitch", "m"),
        bit_pitch=perhaps("bit_pitch", "m"),
        capacitance=perhaps("capacitance", "F/m"),
    )
    table.finish()
    return wires


def _adc(table: Table) -> Adc:
    kind = cast("ConverterKind", table.choice("kind", tuple(_OF_CONVERTER)))
    bits = table.optional_quantity("bits", unit="bits", whole=True)
    if (bits is None) != (kind == "ideal"):
        code, message = "board-missing", f"is missing: a converter of the kind '{kind}' has bits"
        if kind == "ideal":
            code, message = "board-value", "is not of an ideal converter"
        raise table.error(code, "bits", message)
    if bits is not None and bits.value > _MOST_BITS:
        raise table.error("board-value", "bits", f"must be at most {_MOST_BITS}")
    adc = Adc(kind, bits, table.quantity("columns", unit="columns", whole=True))
    table.finish()
    return adc


def _costs(table: Table, adc: Adc) -> dict[str, Quantity]:
    found = {key: table.cost(key) for key in (*_COSTS, *_OF_CONVERTER[adc.kind])}
    # Anything else is a cost nobody would count.
    table.finish()
    return found
