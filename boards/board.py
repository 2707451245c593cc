"""Hardware as data: targets, boards, and the loader of ``boards/*.toml``.

A :class:`Target` is what a network can be mapped to; a :class:`Board` is a target one can plug in.
Both are frozen and built by constructors; ``None`` stands for *no limit*. Every number is a
:class:`Quantity`: a value that knows its unit, where it is written, and how it was obtained.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final, Literal, cast

from .features import CROSSBAR, FPGA_CORE, INTEGER, LAVA, SFQ, Features
from .machine import Machine
from .macro import Macro
from .process import Process
from .quantity import Obtained, Quantity
from .table import Table, check_name, did_you_mean, no_such, read_own_file, read_table

__all__ = [
    "Board",
    "CellLimit",
    "Clock",
    "CoreDefaults",
    "Flow",
    "HostLink",
    "MemoryBlock",
    "Pll",
    "SerialPort",
    "SpiPins",
    "Target",
    "board_names",
    "load_board",
    "load_board_file",
    "parse_board",
]

Flow = Literal["open", "vivado"]
HostLink = Literal["serial", "spi"]

# What turns a design for each family into a bitstream: programs that spikec runs, or Vivado, for
# which it writes the sources and the script.
_FLOWS: Final[Mapping[str, Flow]] = {
    "ice40": "open",
    "ecp5": "open",
    "gowin": "open",
    "xc7": "vivado",
}
_FAMILIES: Final[tuple[str, ...]] = tuple(_FLOWS)
_LIMITS: Final[tuple[str, ...]] = (
    "neurons",
    "synapses",
    "fan_in",
    "fan_out",
    "in_axons",
    "out_axons",
    "delay_steps",
)


@dataclass(frozen=True, slots=True)
class CellLimit:
    """How many cells of one kind the device has, under the name its place-and-route tool prints."""

    cell: str
    available: Quantity


@dataclass(frozen=True, slots=True)
class MemoryBlock:
    """A kind of on-chip memory: ``count`` blocks of ``depth`` words of ``width`` bits.

    ``ports`` is what one clock cycle can do at this geometry: ``1r1w`` one read and one write,
    ``1rw`` one of the two. ``initialised`` says whether the bitstream can fill it.
    """

    cell: str
    count: Quantity
    depth: int
    width: int
    ports: Literal["1r1w", "1rw"]
    initialised: bool

    @property
    def bits(self) -> int:
        """count * depth * width, in bits."""
        return int(self.count.value) * self.depth * self.width


@dataclass(frozen=True, slots=True)
class CoreDefaults:
    """What the FPGA core is built with unless the user says otherwise.

    States have ``state_bits`` bits; the host link runs at ``baud`` bits a second.
    """

    state_bits: int
    baud: int


@dataclass(frozen=True, slots=True)
class Target:
    """Something a network can be mapped to. ``None`` in a limit means unlimited.

    ``clocks`` are those its core can run at, in hertz, slowest first; ``note`` is what a user must
    know before choosing it. A chip is its ``machine``, whose limits hold for each core; ``text`` is
    the file that a user's own was read from.

    A ``program`` keeps the real network: it is not quantised, and has no integer rung. ``loihi``
    is quantised to the numbers of `ir.neurons.LoihiLIF`. A ``crossbar`` is made of the tiles of its
    ``macro``, an ``sfq`` circuit of junctions of its ``process``.

    Build one with :meth:`fpga`, :meth:`chip`, :meth:`program`, :meth:`loihi`, :meth:`crossbar`,
    :meth:`sfq` or :meth:`unlimited`, not by calling the class.
    """

    name: str
    title: str
    kind: Literal["fpga", "null", "chip", "program", "loihi", "crossbar", "sfq"]
    family: str | None = None
    device: str | None = None
    package: str | None = None
    cells: tuple[CellLimit, ...] = ()
    memories: tuple[MemoryBlock, ...] = ()
    core: CoreDefaults | None = None
    neurons: Quantity | None = None
    synapses: Quantity | None = None
    fan_in: Quantity | None = None
    fan_out: Quantity | None = None
    in_axons: Quantity | None = None
    out_axons: Quantity | None = None
    delay_steps: Quantity | None = None
    features: Features = INTEGER
    clocks: tuple[float, ...] = ()
    note: str = ""
    machine: Machine | None = None
    macro: Macro | None = None
    process: Process | None = None
    text: str = field(default="", repr=False)

    @classmethod
    def unlimited(cls, name: str = "null", title: str = "accepts everything") -> Target:
        """Make a target without any limit."""
        return cls(name=name, title=title, kind="null")

    @classmethod
    def program(cls, name: str, title: str) -> Target:
        """Make a target that is a program in real numbers, run by another simulator."""
        return cls(name=name, title=title, kind="program")

    @classmethod
    def loihi(cls, name: str, title: str) -> Target:
        """Make a target in Loihi's fixed point, without the limits of a chip."""
        return cls(name=name, title=title, kind="loihi", features=LAVA)

    @classmethod
    def crossbar(cls, macro: Macro) -> Target:
        """Make a target of as many tiles of a process as a network needs."""
        return cls(
            name=macro.name,
            title=macro.title,
            kind="crossbar",
            features=CROSSBAR,
            note=macro.note,
            macro=macro,
        )

    @classmethod
    def sfq(cls, process: Process) -> Target:
        """Make a target of as many cells of single flux quanta as a network needs."""
        return cls(
            name=process.name,
            title=process.title,
            kind="sfq",
            features=SFQ,
            note=process.note,
            process=process,
        )

    @property
    def input_most(self) -> int | None:
        """The largest count of an input line in a step, ``None`` where lines count freely."""
        return 1 if self.kind == "sfq" else None

    @classmethod
    def fpga(
        cls,
        name: str,
        title: str,
        *,
        family: str,
        device: str,
        package: str,
        cells: Iterable[CellLimit],
        memories: Iterable[MemoryBlock],
        core: CoreDefaults,
        limits: Mapping[str, Quantity] | None = None,
        clocks: Iterable[float] = (),
        note: str = "",
    ) -> Target:
        """Make an FPGA target. ``limits`` holds any of the seven network limits by field name."""
        given = dict(limits or {})
        return cls(
            name=name,
            title=title,
            kind="fpga",
            family=family,
            device=device,
            package=package,
            cells=tuple(cells),
            memories=tuple(memories),
            core=core,
            neurons=given.get("neurons"),
            synapses=given.get("synapses"),
            fan_in=given.get("fan_in"),
            fan_out=given.get("fan_out"),
            in_axons=given.get("in_axons"),
            out_axons=given.get("out_axons"),
            delay_steps=given.get("delay_steps"),
            features=FPGA_CORE,
            clocks=tuple(sorted(set(clocks))),
            note=note,
        )

    @classmethod
    def chip(cls, machine: Machine, features: Features, text: str = "") -> Target:
        """Make a target of the cores of a machine, ``text`` being a user's own file of it."""
        return cls(
            name=machine.name,
            title=machine.title,
            kind="chip",
            family=machine.family or None,
            features=features,
            note=machine.note,
            machine=machine,
            text=text,
        )

    @property
    def loihi_words(self) -> bool:
        """Whether a network in Loihi's arithmetic is one for this target as it is."""
        return self.kind == "loihi" or self.family == "loihi"

    @property
    def limits(self) -> dict[str, Quantity | None]:
        """The limits by name, of the network or, on a chip, of each core; ``None``: unlimited."""
        if self.machine is not None:
            return self.machine.core.every
        return {name: getattr(self, name) for name in _LIMITS}

    def available(self, cell: str) -> Quantity | None:
        """Return how many cells of this kind the device has; ``None`` if it is not stated."""
        return next((c.available for c in self.cells if c.cell == cell), None)

    @property
    def block_memory(self) -> MemoryBlock | None:
        """The memory that a bitstream can initialise: where weights go."""
        return next((m for m in self.memories if m.initialised), None)


@dataclass(frozen=True, slots=True)
class Clock:
    """The board's oscillator: the platform's resource that brings it in, and its frequency.

    ``pin`` and ``io_standard`` are stated for a board that has no platform class.
    """

    resource: str
    frequency: Quantity
    pin: str | None = None
    io_standard: str | None = None


@dataclass(frozen=True, slots=True)
class Pll:
    """A faster clock made on the chip: the primitive and its dividers, as its manual names them."""

    frequency: Quantity
    cell: str
    parameters: Mapping[str, int | str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class SerialPort:
    """Where the host link leaves the chip. ``rx`` is an input of the FPGA, ``tx`` an output.

    ``resource`` is the platform's own resource; without one, a resource is made of the two pins.
    """

    rx: str
    tx: str
    source: str
    obtained: Obtained
    resource: str | None
    io_standard: str
    note: str


@dataclass(frozen=True, slots=True)
class SpiPins:
    """Where an SPI controller can be wired: ``sck``, ``copi`` and ``cs_n`` are inputs of the FPGA.

    Each is a pin of the package or, as ``connector_number:pin``, of a connector of the platform.
    """

    sck: str
    copi: str
    cipo: str
    cs_n: str
    source: str
    obtained: Obtained
    io_standard: str
    note: str


@dataclass(frozen=True, slots=True)
class Board:
    """A target one can plug in.

    ``platform`` is the dotted path of its amaranth-boards class, kept as text so that a list of
    boards needs no hardware library. Where amaranth-boards has none it is ``None``, and the clock's
    pin and the device's ``speed`` grade are stated instead. ``dfu`` is (vendor id, product id) of
    the boot loader that wants a DFU suffix on its files. ``spi`` is ``None`` where the board has no
    header whose pins are known.
    """

    target: Target
    platform: str | None
    speed: str | None
    clock: Clock
    plls: tuple[Pll, ...]
    serial: SerialPort
    bitstream_suffix: str
    programmer: str
    price: Quantity | None
    dfu: tuple[int, int] | None
    origin: str
    spi: SpiPins | None = None

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self.target.name

    @property
    def title(self) -> str:
        """The name on the box."""
        return self.target.title

    @property
    def flow(self) -> Flow:
        """What makes the bitstream: programs that spikec runs, or Vivado, which it does not."""
        return _FLOWS[str(self.target.family)]

    def clock_frequencies(self) -> tuple[float, ...]:
        """Every core clock the board offers, in hertz, slowest first."""
        return self.target.clocks


def board_names() -> tuple[str, ...]:
    """Return the names of all boards that come with spikec, sorted."""
    folder = resources.files(__package__)
    return tuple(sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")))


def load_board(name: str) -> Board:
    """Return the board of this name.

    Raises :class:`BoardError` ``board-unknown`` with the closest names if there is none.
    """
    names = board_names()
    if name not in names:
        raise no_such("board", name, names)
    file = resources.files(__package__) / f"{name}.toml"
    board = parse_board(file.read_text(encoding="utf-8"), f"boards/{name}.toml")
    check_name(board.name, name, board.origin)
    return board


def load_board_file(path: Path | str) -> Board:
    """Return the board described by a file of the user's own."""
    return parse_board(read_own_file(Path(path)), str(path))


def parse_board(text: str, origin: str) -> Board:
    """Parse one board file. ``origin`` is the file's name, for messages.

    Raises :class:`BoardError` that names the file, the key, what was found and what was wanted.
    """
    top = read_table(text, origin)
    name, title = top.text("name"), top.text("title")
    family = top.choice("family", _FAMILIES)
    device, package = top.text("device"), top.text("package")
    platform, speed = top.optional_text("platform"), top.optional_text("speed")
    if platform is None:
        if family != "ecp5":
            raise top.error("board-missing", "platform", f"is missing: {family} boards need one")
        speed = top.text("speed")
    elif platform.count(".") < 1:
        raise top.error("board-value", "platform", "must be a dotted path to a platform class")
    note = top.optional_text("note") or ""
    cells = tuple(
        CellLimit(cell, quantity) for cell, quantity in top.table("cells").all_quantities().items()
    )
    memories = tuple(_memory(table) for table in top.tables("memory"))
    core = _core(top.table("core"))
    limits_table = top.optional_table("limits")
    limits = limits_table.all_quantities() if limits_table is not None else {}
    for key in limits:
        if key not in _LIMITS:
            raise top.error("board-unknown-key", f"limits.{key}", did_you_mean(key, _LIMITS))
    clock_table = top.table("clock")
    clock = Clock(
        clock_table.text("resource"),
        clock_table.quantity("frequency", unit="Hz"),
        clock_table.optional_text("pin") if platform else clock_table.text("pin"),
        clock_table.optional_text("io_standard") if platform else clock_table.text("io_standard"),
    )
    clock_table.finish()
    plls = tuple(_pll(table) for table in top.tables("pll", required=False))
    serial = _serial(top.table("serial"))
    spi_table = top.optional_table("spi")
    spi = _spi(spi_table) if spi_table is not None else None
    product = top.table("product")
    suffix, programmer = product.text("suffix"), product.text("programmer")
    dfu_table = product.optional_table("dfu")
    dfu: tuple[int, int] | None = None
    if dfu_table is not None:
        dfu = (dfu_table.integer("vendor", 0, 0xFFFF), dfu_table.integer("device", 0, 0xFFFF))
        dfu_table.finish()
    product.finish()
    price = top.optional_quantity("price")
    top.finish()
    target = Target.fpga(
        name,
        title,
        family=family,
        device=device,
        package=package,
        cells=cells,
        memories=memories,
        core=core,
        limits=limits,
        clocks=(clock.frequency.value, *(pll.frequency.value for pll in plls)),
        note=note,
    )
    return Board(
        target=target,
        platform=platform,
        speed=speed,
        clock=clock,
        plls=plls,
        serial=serial,
        bitstream_suffix=suffix,
        programmer=programmer,
        price=price,
        dfu=dfu,
        origin=origin,
        spi=spi,
    )


def _memory(table: Table) -> MemoryBlock:
    memory = MemoryBlock(
        cell=table.text("cell"),
        count=table.quantity("count"),
        depth=table.integer("depth", 1),
        width=table.integer("width", 1),
        ports=cast('Literal["1r1w", "1rw"]', table.choice("ports", ("1r1w", "1rw"))),
        initialised=table.boolean("initialised"),
    )
    table.finish()
    return memory


def _core(table: Table) -> CoreDefaults:
    core = CoreDefaults(
        state_bits=table.integer("state_bits", 2, 32),
        baud=table.integer("baud", 300),
    )
    table.finish()
    return core


def _pll(table: Table) -> Pll:
    parameters = table.table("parameters").scalars()
    pll = Pll(table.quantity("frequency", unit="Hz"), table.text("cell"), parameters)
    table.finish()
    return pll


def _serial(table: Table) -> SerialPort:
    serial = SerialPort(
        rx=table.text("rx"),
        tx=table.text("tx"),
        source=table.text("source"),
        obtained=table.obtained(),
        resource=table.optional_text("resource"),
        io_standard=table.text("io_standard"),
        note=table.optional_text("note") or "",
    )
    table.finish()
    return serial


def _spi(table: Table) -> SpiPins:
    spi = SpiPins(
        sck=table.text("sck"),
        copi=table.text("copi"),
        cipo=table.text("cipo"),
        cs_n=table.text("cs_n"),
        source=table.text("source"),
        obtained=table.obtained(),
        io_standard=table.text("io_standard"),
        note=table.optional_text("note") or "",
    )
    table.finish()
    return spi
