"""What work on a macro costs: each constant with its source, and what derived ones are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from ...boards.quantity import Quantity
from ...compiler.profile.ledger import Line, Parts, derived
from ...ir.connections import Delay, Flatten, stages
from ...ir.graph import Projection
from .design import Design, weighted

_ROOM: Final = 300.0  # K, at which resistances are stated
Priced = tuple[Quantity, Parts]
Width = tuple[str, Quantity]


class Prices:
    """What operations of a macro cost under the conditions of a design, with all sources."""

    def __init__(self, found: Design) -> None:
        self.design, self.macro, self.electrics = found, found.macro, found.electrics
        macro, costs = self.macro, self.macro.costs
        self.clock = costs["clock_time"].value
        self.pulse = costs["read_time"].value
        # The accuracy to which lines have to settle: of an ideal converter the macro's own.
        own = None if macro.adc.bits is None else int(macro.adc.bits.value)
        self.converts = macro.adc.kind != "ideal" and self.electrics.adc_bits is not None
        self.bits = (own or 0) if self.electrics.adc_bits is None else self.electrics.adc_bits
        self.conversion_time = macro.conversion_time(self.bits) if self.converts else 0.0

    @property
    def _bits(self) -> Width:
        bits = self.macro.adc.bits
        if bits is not None and bits.value == self.bits:
            return "bits", bits
        return "bits", _asked("adc_bits", self.bits, "bits")

    def bit(self) -> Priced:
        """Of a bit of memory."""
        return self.macro.costs["sram_bit_energy"], ()

    def conversion(self) -> tuple[Priced, str]:
        """Of a conversion, and its formula."""
        costs, energy = self.macro.costs, self.macro.conversion_energy(self.bits)
        names: tuple[str, ...] = ("ramp_step_energy",)
        symbols = "n 2^b E_step"
        if self.macro.adc.kind == "sar":
            names = ("sar_power", "sar_bit_power", "sar_step_time")
            symbols = "n (P_0 + b P_1) (b + 1) t_step"
        parts = (*((name, costs[name]) for name in names), self._bits)
        return (derived(energy, "J", parts), parts), symbols

    def cell(self) -> Priced:
        """Of a siemens that a spike is on, and what its conductances are made of."""
        device, voltage = self.electrics.device, self.macro.voltage
        parts: Parts = (("voltage", voltage), ("read_time", self.macro.costs["read_time"]))
        made: Parts = (("g_min", device.g_min), ("g_max", device.g_max))
        if device.bend is not None:
            bend = device.bend
            limit = Quantity(bend.limit.value, "V", bend.source, bend.obtained)
            made = (*made, ("bend", limit))
        return derived(voltage.value**2 * self.pulse, "J/S", parts), (*parts, *made)

    def word_line(self) -> Priced:
        """Of the charge of one cell's length of a word line."""
        wires = self.macro.wires
        parts = (
            ("voltage", self.macro.voltage),
            ("word_pitch", wires.word_pitch),
            ("capacitance", wires.capacitance),
        )
        return derived(self.macro.drive_energy(1), "J", parts), parts

    def add(self, width: Width) -> Priced:
        """Of an addition of so many bits."""
        names = ("add8_energy", "add32_energy")
        return self._of(self.macro.add_energy(int(width[1].value)), names, width)

    def multiply(self, width: Width) -> Priced:
        """Of a multiplication of so many bits."""
        names = ("multiply8_energy", "multiply32_energy")
        return self._of(self.macro.multiply_energy(int(width[1].value)), names, width)

    def _of(self, joules: float, names: tuple[str, ...], width: Width) -> Priced:
        parts = (*((name, self.macro.costs[name]) for name in names), width)
        return derived(joules, "J", parts), parts

    @property
    def timing(self) -> Parts:
        """The constants that the latency is made of."""
        macro, wires, conditions = self.macro, self.macro.wires, self.design.conditions
        word, bit = wires.word, wires.bit
        if conditions.wire is not None:
            word = bit = _asked("wire", conditions.wire, "ohm")
        found: Parts = (
            ("read_time", macro.costs["read_time"]),
            ("clock_time", macro.costs["clock_time"]),
            ("word", word),
            ("bit", bit),
            ("driver", wires.driver),
            ("sense", wires.sense),
            ("word_pitch", wires.word_pitch),
            ("bit_pitch", wires.bit_pitch),
            ("capacitance", wires.capacitance),
            ("g_min", self.electrics.device.g_min),
            ("g_max", self.electrics.device.g_max),
        )
        if conditions.wire is None and conditions.temperature != _ROOM:
            found += (
                ("coefficient", wires.coefficient),
                ("temperature", _asked("temperature", conditions.temperature, "K")),
            )
        if self.converts:
            step = f"{macro.adc.kind}_step_time"
            found += ((step, macro.costs[step]), self._bits, ("columns", macro.adc.columns))
        return found

    def unknown(self, edges: Iterable[Projection]) -> Iterator[str]:
        """What of this design there is no constant for."""
        if not self.converts:
            yield "conversions: the converters are ideal"
        for p in edges:
            every, stage = stages(p.connection), weighted(p)
            behind = every[every.index(stage) + 1 :] if stage in every else ()
            if any(not isinstance(s, Flatten | Delay) for s in behind):
                yield f"what follows the weights of '{p.name}'"


def _asked(name: str, value: float, unit: str) -> Quantity:
    return Quantity(float(value), unit, f"asked for: {name}", "stated")


def width_of(bits: int, source: str) -> Width:
    """The width of an operation as a constant, and where it is from."""
    return "width", Quantity(float(bits), "bits", source, "stated")


def line_of(
    layer: str,
    count: str,
    amount: float,
    cost: str,
    of: Priced,
    symbols: str,
    unit: str = "",
) -> Line:
    """A line of a ledger: so many times a constant, whose formula ``symbols`` is."""
    constant, parts = of
    energy = amount * constant.value
    return Line(
        "dynamic", count, amount, cost, constant, 1.0, energy,
        unit=unit, layer=layer, symbols=symbols, parts=parts,
    )  # fmt: skip
