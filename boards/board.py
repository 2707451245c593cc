"""Hardware as data: targets, boards, and the loader of ``boards/*.toml``.

A :class:`Target` is what a network can be mapped to; a :class:`Board` is a target one can plug in.
Both are frozen and built by constructors; ``None`` stands for *no limit*. Every number is a
:class:`Quantity`: a value that knows its unit, where it is written, and how it was obtained.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final, Literal, cast

from .features import FPGA_CORE, INTEGER, Features
from .quantity import OBTAINED, Obtained, Quantity

__all__ = [
    "Board",
    "BoardError",
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


class BoardError(ValueError):
    """A board file that cannot be used, or a board that does not exist.

    ``code`` is stable (``board-syntax``, ``board-missing``, ``board-unknown-key``, ``board-type``,
    ``board-value``, ``board-unknown``, ``board-unreadable``), ``where`` is the file and the key in
    it, ``hint`` what to do.
    """

    def __init__(self, code: str, where: str, message: str, hint: str = "") -> None:
        super().__init__(f"{where}: {message}" + (f" ({hint})" if hint else ""))
        self.code = code
        self.where = where
        self.message = message
        self.hint = hint


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
    know before choosing it.

    Build one with :meth:`fpga` or :meth:`unlimited`, not by calling the class.
    """

    name: str
    title: str
    kind: Literal["fpga", "null"]
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

    @classmethod
    def unlimited(cls, name: str = "null", title: str = "accepts everything") -> Target:
        """Make a target without any limit."""
        return cls(name=name, title=title, kind="null")

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

    @property
    def limits(self) -> dict[str, Quantity | None]:
        """The seven network limits by name; ``None`` means unlimited."""
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
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        raise BoardError("board-unknown", name, "no such board", hint)
    file = resources.files(__package__) / f"{name}.toml"
    board = parse_board(file.read_text(encoding="utf-8"), f"boards/{name}.toml")
    if board.name != name:
        raise BoardError(
            "board-value",
            f"{board.origin}: name",
            f"says {board.name!r} in a file called {name}.toml",
            "the two must be the same",
        )
    return board


def load_board_file(path: Path | str) -> Board:
    """Return the board described by a file of the user's own."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BoardError("board-unreadable", str(path), f"cannot be read: {error}") from error
    return parse_board(text, str(path))


def parse_board(text: str, origin: str) -> Board:
    """Parse one board file. ``origin`` is the file's name, for messages.

    Raises :class:`BoardError` that names the file, the key, what was found and what was wanted.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BoardError("board-syntax", origin, f"is not TOML: {error}") from error
    top = _Table(document, origin, "")
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
            raise top.error("board-unknown-key", f"limits.{key}", _did_you_mean(key, _LIMITS))
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


def _memory(table: _Table) -> MemoryBlock:
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


def _core(table: _Table) -> CoreDefaults:
    core = CoreDefaults(
        state_bits=table.integer("state_bits", 2, 32),
        baud=table.integer("baud", 300),
    )
    table.finish()
    return core


def _pll(table: _Table) -> Pll:
    parameters = table.table("parameters").scalars()
    pll = Pll(table.quantity("frequency", unit="Hz"), table.text("cell"), parameters)
    table.finish()
    return pll


def _serial(table: _Table) -> SerialPort:
    serial = SerialPort(
        rx=table.text("rx"),
        tx=table.text("tx"),
        source=table.text("source"),
        obtained=cast("Obtained", table.choice("how", OBTAINED)),
        resource=table.optional_text("resource"),
        io_standard=table.text("io_standard"),
        note=table.optional_text("note") or "",
    )
    table.finish()
    return serial


def _spi(table: _Table) -> SpiPins:
    spi = SpiPins(
        sck=table.text("sck"),
        copi=table.text("copi"),
        cipo=table.text("cipo"),
        cs_n=table.text("cs_n"),
        source=table.text("source"),
        obtained=cast("Obtained", table.choice("how", OBTAINED)),
        io_standard=table.text("io_standard"),
        note=table.optional_text("note") or "",
    )
    table.finish()
    return spi


def _did_you_mean(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, tuple(known), n=1)
    return "is not a known key" + (f"; did you mean {near[0]!r}?" if near else "")


class _Table:
    """One TOML table being read: knows its place for messages and which keys were asked for."""

    def __init__(self, data: Mapping[str, object], origin: str, path: str) -> None:
        self._data = data
        self._origin = origin
        self._path = path
        self._asked: set[str] = set()

    def error(self, code: str, key: str, message: str, hint: str = "") -> BoardError:
        place = f"{self._path}.{key}" if self._path else key
        return BoardError(code, f"{self._origin}: {place}", message, hint)

    def _get(self, key: str) -> object:
        self._asked.add(key)
        if key not in self._data:
            near = difflib.get_close_matches(key, [k for k in self._data if k not in self._asked])
            hint = f"the file has {near[0]!r}; did you mean that?" if near else ""
            raise self.error("board-missing", key, "is missing", hint)
        return self._data[key]

    def _wrong(self, key: str, wanted: str, found: object) -> BoardError:
        return self.error("board-type", key, f"must be {wanted}, not {found!r}")

    def text(self, key: str) -> str:
        found = self._get(key)
        if not isinstance(found, str) or not found:
            raise self._wrong(key, "a non-empty string", found)
        return found

    def optional_text(self, key: str) -> str | None:
        self._asked.add(key)
        return self.text(key) if key in self._data else None

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        found = self.text(key)
        if found not in choices:
            raise self.error(
                "board-value", key, f"must be one of {', '.join(choices)}, not {found!r}"
            )
        return found

    def boolean(self, key: str) -> bool:
        found = self._get(key)
        if not isinstance(found, bool):
            raise self._wrong(key, "true or false", found)
        return found

    def integer(self, key: str, low: int, high: int | None = None) -> int:
        found = self._get(key)
        if not isinstance(found, int) or isinstance(found, bool):
            raise self._wrong(key, "an integer", found)
        if found < low or (high is not None and found > high):
            span = f"at least {low}" if high is None else f"from {low} to {high}"
            raise self.error("board-value", key, f"must be {span}, not {found}")
        return found

    def scalars(self) -> dict[str, int | str]:
        found: dict[str, int | str] = {}
        for key in self._data:
            value = self._get(key)
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise self._wrong(key, "an integer or a string", value)
            found[key] = value
        return found

    def table(self, key: str) -> _Table:
        found = self._get(key)
        if not isinstance(found, dict):
            raise self._wrong(key, "a table", found)
        return self._child(key, found)

    def optional_table(self, key: str) -> _Table | None:
        self._asked.add(key)
        return self.table(key) if key in self._data else None

    def tables(self, key: str, *, required: bool = True) -> list[_Table]:
        self._asked.add(key)
        if not required and key not in self._data:
            return []
        found = self._get(key)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self._wrong(key, f"a list of tables ([[{key}]])", found)
        return [self._child(f"{key}[{i}]", item) for i, item in enumerate(found)]

    def _child(self, key: str, data: Mapping[str, object]) -> _Table:
        return _Table(data, self._origin, f"{self._path}.{key}" if self._path else key)

    def quantity(self, key: str, *, unit: str | None = None) -> Quantity:
        table = self.table(key)
        value = table._get("value")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise table._wrong("value", "a number", value)
        if not math.isfinite(value) or value <= 0:
            raise table.error("board-value", "value", f"must be above zero, not {value!r}")
        found_unit = table.text("unit")
        if unit is not None and found_unit != unit:
            raise table.error("board-value", "unit", f"must be {unit!r}, not {found_unit!r}")
        obtained = cast("Obtained", table.choice("how", OBTAINED))
        quantity = Quantity(float(value), found_unit, table.text("source"), obtained)
        table.finish()
        return quantity

    def optional_quantity(self, key: str) -> Quantity | None:
        self._asked.add(key)
        return self.quantity(key) if key in self._data else None

    def all_quantities(self) -> dict[str, Quantity]:
        return {key: self.quantity(key) for key in self._data}

    def finish(self) -> None:
        """Refuse keys nobody asked for: a misspelt key must not become a silent default."""
        for key in self._data:
            if key not in self._asked:
                raise self.error("board-unknown-key", key, _did_you_mean(key, sorted(self._asked)))
