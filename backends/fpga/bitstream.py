"""From a device to a file that programs a board, with what it uses and how fast it may run.

Amaranth makes the build plan (file name -> content, the same for the same design), the programs
of one :class:`~.toolchain.Toolchain` run it, and their JSON report is read. A finished build is
kept under the hash of its plan and of the tools' versions.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ...boards.board import Board, HostLink, Pll, board_names, load_board
from ..process import StageFailed, StageTimedOut, run_stage, termination_unwinds
from .cache import Cache, content_key, default_cache_root
from .toolchain import Toolchain, find_toolchain, require_packages

__all__ = [
    "MOST_PLACEMENTS",
    "PLACEMENTS",
    "Bitstream",
    "BuildReport",
    "ClockTiming",
    "ClockUnavailable",
    "DoesNotFit",
    "LinkUnavailable",
    "TimingFailed",
    "build_bitstream",
    "check_link",
    "dfu_suffix",
    "parse_report",
    "prepare_plan",
]

PLACEMENTS: Final = 4
"""How often a design is placed, at most, unless it is said."""
MOST_PLACEMENTS: Final = 64

_NAME: Final = "top"
_SYNTHESIS: Final = "synthesis"
_PLACE_AND_ROUTE: Final = "place and route"
_PACKING: Final = "packing"
_STAGES: Final = {
    "yosys": _SYNTHESIS,
    "nextpnr-ice40": _PLACE_AND_ROUTE,
    "nextpnr-ecp5": _PLACE_AND_ROUTE,
    "nextpnr-himbaechel-gowin": _PLACE_AND_ROUTE,
    "icepack": _PACKING,
    "ecppack": _PACKING,
    "gowin_pack": _PACKING,
}
_PRODUCT: Final = {"ice40": f"{_NAME}.bin", "ecp5": f"{_NAME}.bit", "gowin": f"{_NAME}.fs"}
_SYNTHESIS_OPTIONS: Final = {"ice40": "-dsp", "ecp5": "", "gowin": ""}
# router2 takes half the time on a half-empty iCE40, but on a full one it goes on for ever with the
# same two overused wires (measured: 7,600 iterations); its clock is 10 to 17 % slower, too.
_ROUTER: Final = "router1"
# The highest of 5 to 8 seeds was 4 to 22 % above the lowest (docs/fpga.md, "Seeds"): where the
# first is this far below its clock, others would only take their minutes.
_FAR: Final = 0.75


class ClockUnavailable(ValueError):
    """A clock or baud rate the board cannot make; the message lists those it can."""

    code = "clock-unavailable"


class LinkUnavailable(ValueError):
    """A host link for which the board states no pins; the message lists the boards that do."""

    code = "link-unavailable"


class DoesNotFit(StageFailed):
    """The device has too few cells of some kind; the message says which and by how many."""

    code = "does-not-fit"


class TimingFailed(RuntimeError):
    """A clock is faster than the logic, or a signal faster than its clock; ``report`` has all."""

    code = "timing-failed"

    def __init__(self, message: str, report: BuildReport) -> None:
        super().__init__(message)
        self.report = report


@dataclass(frozen=True, slots=True)
class ClockTiming:
    """The fastest a clock may run (``achieved_mhz``), what was asked for, and what limits it."""

    clock: str
    achieved_mhz: float
    required_mhz: float
    slowest_path: str

    @property
    def met(self) -> bool:
        """Whether the clock may run as fast as asked for."""
        return self.achieved_mhz >= self.required_mhz


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What the place-and-route tool reports: cells (used, available) and clocks."""

    utilisation: Mapping[str, tuple[int, int]] = field(hash=False)
    timings: tuple[ClockTiming, ...]


@dataclass(frozen=True, slots=True)
class Bitstream:
    """A finished build.

    ``clock_mhz`` is the clock it was built for, ``fmax_mhz`` the fastest the same logic may run
    by the tools' model (worst process corner, as they define it). ``utilisation`` maps a cell to
    (used, available). ``seed`` is the placer's, of the placement that was taken. ``seconds`` has
    the wall time of each stage, over all placements, empty if it was in the cache.
    """

    data: bytes = field(repr=False)
    filename: str
    board: str
    utilisation: Mapping[str, tuple[int, int]] = field(hash=False)
    timings: tuple[ClockTiming, ...]
    fmax_mhz: float
    clock_mhz: float
    seed: int
    tool_versions: Mapping[str, str] = field(hash=False)
    seconds: Mapping[str, float] = field(hash=False)
    log: str = field(repr=False)

    @property
    def cached(self) -> bool:
        """Whether it came out of the cache."""
        return not self.seconds


def prepare_plan(
    board: Board,
    device: Any,
    *,
    clock_hz: float | None = None,
    baud: int | None = None,
    link: HostLink = "serial",
) -> dict[str, bytes]:
    """Return the build plan of a device on a board: file name -> content.

    ``device`` is an Amaranth component with byte streams ``rx`` and ``tx``. ``clock_hz`` is one
    of ``board.clock_frequencies()``, the board's own by default.
    ``link`` is what the host is wired to: the serial port, or the board's pins for SPI.
    Equal arguments give equal plans, whatever the folder, the machine or the hash seed.

    Raises :class:`ClockUnavailable`, and :class:`LinkUnavailable` if the board states no such pins.
    """
    clock_hz, pll = choose_clock(board, clock_hz)
    check_link(board, link)
    rate = _choose_baud(board, clock_hz, baud) if link == "serial" else None
    from .board_top import BoardTop, make_platform

    platform = make_platform(board)
    options: dict[str, str] = {}
    if board.flow == "open":
        family = str(board.target.family)
        # Timing is judged here, from the report, where the message can say what to do.
        nextpnr = "--report report.json --timing-allow-fail"
        # Amaranth gives no clock constraint to this one.
        nextpnr += f" --freq {clock_hz / 1e6:g}" if family == "gowin" else ""
        options = {"synth_opts": _SYNTHESIS_OPTIONS[family], "nextpnr_opts": nextpnr}
    plan = platform.prepare(
        BoardTop(board, device, clock_hz=clock_hz, baud=rate, pll=pll, link=link),
        _NAME,
        emit_src=False,
        **options,
    )
    files = {
        name: content.encode() if isinstance(content, str) else bytes(content)
        for name, content in plan.files.items()
    }
    return {name: files[name] for name in sorted(files) if not name.endswith((".sh", ".bat"))}


def build_bitstream(
    board: Board,
    device: Any,
    *,
    clock_hz: float | None = None,
    baud: int | None = None,
    seed: int = 1,
    placements: int = PLACEMENTS,
    toolchain: Toolchain | None = None,
    cache_dir: Path | None = None,
    timeout: float = 900.0,
    progress: Callable[[str], None] | None = None,
    allow_timing_failure: bool = False,
    link: HostLink = "serial",
) -> Bitstream:
    """Return the bitstream of a device on a board; arguments as for :func:`prepare_plan`.

    The design is placed with the placer's seeds ``seed``, ``seed`` + 1, ... until a placement
    meets every clock and has no hold violation, at most ``placements`` times (from 1), and only
    once if the first is more than 25 % below a clock. With ``allow_timing_failure`` the placement
    of ``seed`` is taken as it is: who accepts any has nothing to look for.

    ``timeout`` is in seconds for each stage; ``progress`` is called with the name of each stage
    as it starts, and of each placement after the first with its number.

    Raises :class:`~.toolchain.ToolchainMissing`, :class:`ClockUnavailable`,
    :class:`LinkUnavailable`, :class:`DoesNotFit`, :class:`TimingFailed` (unless allowed) and
    :class:`~.process.StageFailed`.
    """
    require_packages(
        "building a bitstream",
        {"amaranth": "amaranth", "amaranth_boards": "amaranth-boards"},
        "fpga",
    )
    family = str(board.target.family)
    tools = toolchain or find_toolchain(family)
    clock_hz, _ = choose_clock(board, clock_hz)
    if progress is not None:
        progress("elaboration")
    plan = prepare_plan(board, device, clock_hz=clock_hz, baud=baud, link=link)
    made_of: list[tuple[str, str | bytes]] = [*plan.items(), ("router", _ROUTER)]
    made_of += [(f"tool {name}", version) for name, version in tools.versions.items()]
    cache = Cache(cache_dir or default_cache_root(), "bitstream")
    seconds: dict[str, float] = {}
    tried: list[_Placement] = []
    with _placer(plan, tools, family, timeout, progress, seconds) as place:
        for number in range(1, (1 if allow_timing_failure else placements) + 1):
            # An entry is one placement, whatever was placed before it: asking for more of them
            # goes on where fewer ended.
            used = seed + number - 1
            key = content_key([*made_of, ("seed", str(used))])
            entry = cache.find(key)
            if entry is None:
                products = place(used, "" if number == 1 else f" {number} of {placements}")
                cache.store(key, products)
            else:
                products = {name: (entry / name).read_bytes() for name in _KEPT}
            tried.append(_Placement.of(used, products))
            if tried[-1].met or tried[0].far:
                break
    # A slower clock mends one that is missed and nothing mends a hold violation: these first.
    best = max(tried, key=lambda p: (-len(p.holds), p.share))
    if not (best.met or allow_timing_failure):
        raise _failure(tried, best, board)
    data = best.data if board.dfu is None else best.data + dfu_suffix(best.data, *board.dfu)
    return Bitstream(
        data=data,
        filename=f"{board.name}.{board.bitstream_suffix}",
        board=board.name,
        utilisation=best.report.utilisation,
        timings=best.report.timings,
        fmax_mhz=_core_fmax(best.report, clock_hz),
        clock_mhz=clock_hz / 1e6,
        seed=best.seed,
        tool_versions=tools.versions,
        seconds=seconds,
        log=best.log,
    )


def choose_clock(board: Board, clock_hz: float | None) -> tuple[float, Pll | None]:
    """The clock in hertz and the PLL that makes it; ``ClockUnavailable`` names those there are."""
    own = board.clock.frequency.value
    if clock_hz is None or clock_hz == own:
        return own, None
    for pll in board.plls:
        if pll.frequency.value == clock_hz:
            return clock_hz, pll
    offered = ", ".join(f"{f / 1e6:g}" for f in board.clock_frequencies())
    raise ClockUnavailable(
        f"{board.name} has no clock of {clock_hz / 1e6:g} MHz; it offers {offered} MHz "
        f"({board.origin})"
    )


def check_link(board: Board, link: HostLink) -> None:
    """Raise :class:`LinkUnavailable` unless the board has the pins of this link."""
    if link == "spi" and board.spi is None:
        known = ", ".join(name for name in board_names() if load_board(name).spi is not None)
        raise LinkUnavailable(
            f"{board.name} states no pins for SPI ({board.origin}); boards that do: {known}"
        )


def _choose_baud(board: Board, clock_hz: float, baud: int | None) -> int:
    core = board.target.core
    chosen = baud if baud is not None else core.baud if core is not None else 0
    divisor = round(clock_hz / chosen) if chosen > 0 else 0
    # A receiver samples ten bits from one edge: the last is off by ten times the rate's error.
    if divisor < 4 or abs(clock_hz / divisor - chosen) / chosen > 0.02:
        raise ClockUnavailable(
            f"{chosen} baud cannot be made from {clock_hz / 1e6:g} MHz within 2 %; "
            f"choose a rate that divides the clock at least four times"
        )
    return chosen


_KEPT: Final = ("bitstream", "report.json", "log")


@contextlib.contextmanager
def _placer(
    plan: Mapping[str, bytes],
    tools: Toolchain,
    family: str,
    timeout: float,
    progress: Callable[[str], None] | None,
    seconds: dict[str, float],
) -> Iterator[Callable[[int, str], dict[str, bytes]]]:
    """A folder for the commands of a plan, which is there until the block is left.

    The value takes a seed, and what to say of this placement beside its stage; it synthesises
    when it is first called, places, packs, and returns the contents of ``_KEPT``.
    """
    commands = json.loads(plan[f"build_{_NAME}.json"])["commands"]
    with termination_unwinds(), tempfile.TemporaryDirectory(prefix="spikec-build-") as name:
        folder = Path(name)
        for filename, content in plan.items():
            path = folder / filename
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        # The wheels make folders of their own, which a killed process leaves behind.
        scratch = folder / "tmp"
        scratch.mkdir()
        env = {**os.environ, "TMPDIR": str(scratch)}

        def run(stage: str, note: str, program: str, *options: str) -> None:
            if progress is not None:
                progress(stage + note)
            log = folder / f"{stage}.log"
            log.unlink(missing_ok=True)
            argv = [*tools.argv(program), *options]
            try:
                taken = run_stage(stage, argv, cwd=folder, log=log, timeout=timeout, env=env)
            except StageTimedOut:
                raise
            except StageFailed as error:
                raise _explained(error, folder) from error
            seconds[stage] = seconds.get(stage, 0.0) + taken

        def place(seed: int, note: str) -> dict[str, bytes]:
            synthesised = (folder / f"{_SYNTHESIS}.log").exists()
            for program, *options in commands:
                # Post-processing for programmers (dfu-suffix) has no stage: it is done elsewhere.
                stage = _STAGES.get(program)
                if stage == _PLACE_AND_ROUTE:
                    run(stage, note, program, "--router", _ROUTER, "--seed", str(seed), *options)
                elif stage == _PACKING or (stage == _SYNTHESIS and not synthesised):
                    run(stage, "", program, *options)
            # What the other two print is in their own logs, too, and would count twice.
            logs = [folder / name for name in (f"{_NAME}.rpt", f"{_NAME}.tim", f"{_PACKING}.log")]
            return {
                "bitstream": (folder / _PRODUCT[family]).read_bytes(),
                "report.json": (folder / "report.json").read_bytes(),
                "log": b"\n".join(path.read_bytes() for path in logs if path.exists()),
            }

        yield place


_USED: Final = re.compile(r"([A-Z][A-Z0-9_]+):\s*(\d+)/\s*(\d+)\s+\d+%")


def _explained(error: StageFailed, folder: Path) -> StageFailed:
    """The failure with the tools' own logs, as :class:`DoesNotFit` if cells ran out."""
    # The programs run quietly: why they failed is in the logs they write themselves.
    name = f"{_NAME}.tim" if error.stage.startswith(_PLACE_AND_ROUTE) else f"{_NAME}.rpt"
    path = folder / name
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    log = error.log + text
    over = [
        f"{used} {cell} of {available} (by {int(used) - int(available)})"
        for cell, used, available in dict.fromkeys(_USED.findall(text))
        if int(used) > int(available)
    ]
    if not over:
        return StageFailed(error.stage, error.problem, log)
    problem = f"needs {', '.join(over)}; use fewer lanes, narrower words or a larger device"
    return DoesNotFit(error.stage, problem, log)


def parse_report(text: bytes | str) -> BuildReport:
    """Read nextpnr's ``--report`` JSON. Frequencies in MHz.

    Raises :class:`~.process.StageFailed` if it is not such a report.
    """
    try:
        document = json.loads(text)
        utilisation = {
            cell: (int(count["used"]), int(count["available"]))
            for cell, count in document["utilization"].items()
            # nextpnr-gowin counts cells that become part of others: the device has none of them.
            if int(count["available"])
        }
        paths = {
            str(path["from"]).split(" ")[-1]: path
            for path in document.get("critical_paths", [])
            if path.get("from") == path.get("to")
        }
        timings = tuple(
            ClockTiming(
                clock=clock.removeprefix("$glbnet$"),
                achieved_mhz=float(numbers["achieved"]),
                required_mhz=float(numbers["constraint"]),
                slowest_path=_describe_path(paths.get(clock)),
            )
            for clock, numbers in sorted(document["fmax"].items())
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"wrote a report that cannot be read: {error!r}"
        raise StageFailed(_PLACE_AND_ROUTE, problem, "") from error
    return BuildReport(utilisation, timings)


def _describe_path(path: Mapping[str, Any] | None) -> str:
    hops = path.get("path", []) if path else []
    if not hops:
        return ""
    delay = sum(float(hop["delay"]) for hop in hops)
    first, last = hops[0]["from"]["cell"], hops[-1]["to"]["cell"]
    return f"{delay:.1f} ns from {first} to {last}"


def _core_fmax(report: BuildReport, clock_hz: float) -> float:
    """The achieved frequency of the core's clock: the one asked to run at ``clock_hz``."""
    asked = clock_hz / 1e6
    core = [t for t in report.timings if abs(t.required_mhz - asked) < 0.01 * asked]
    return min((t.achieved_mhz for t in core or report.timings), default=0.0)


_HOLD: Final = re.compile(r"Hold/min time violation for .*")


@dataclass(frozen=True, slots=True)
class _Placement:
    """What one seed of the placer led to."""

    seed: int
    data: bytes
    log: str
    report: BuildReport
    holds: tuple[str, ...]

    @classmethod
    def of(cls, seed: int, products: Mapping[str, bytes]) -> _Placement:
        log = products["log"].decode(errors="replace")
        # The report has maximum delays only: signals that change before their register has taken
        # them are read from the log of place and route.
        holds = tuple(_HOLD.findall(log))
        return cls(seed, products["bitstream"], log, parse_report(products["report.json"]), holds)

    @property
    def missed(self) -> tuple[ClockTiming, ...]:
        """The clocks that are faster than the logic."""
        return tuple(t for t in self.report.timings if not t.met)

    @property
    def share(self) -> float:
        """Achieved / required frequency of the clock that is missed by most, 1 if none is."""
        return min((t.achieved_mhz / t.required_mhz for t in self.missed), default=1.0)

    @property
    def met(self) -> bool:
        """Whether it may be loaded into a board."""
        return not self.missed and not self.holds

    @property
    def far(self) -> bool:
        """Whether a clock is missed by more than another seed would make good."""
        return self.share < _FAR


def _failure(tried: Sequence[_Placement], best: _Placement, board: Board) -> TimingFailed:
    """Why the best of these placements is refused, by how much, and what to do."""
    count = len(tried)
    parts, ways, only_clock = [], [], ""
    for t in best.missed:
        short = t.required_mhz - t.achieved_mhz
        parts.append(
            f"clock {t.clock} is to run at {t.required_mhz:.2f} MHz and reaches "
            f"{t.achieved_mhz:.2f} MHz: {short:.2f} MHz ({short / t.required_mhz:.1%}) too slow"
        )
        if t.slowest_path:
            parts.append(f"slowest path {t.slowest_path}")
        if count > 1:
            reached = [
                one.achieved_mhz for p in tried for one in p.report.timings if one.clock == t.clock
            ]
            parts.append(f"{count} placements reached {min(reached):.2f} to {max(reached):.2f} MHz")
    if best.holds:
        several = "s" if len(best.holds) > 1 else ""
        fewest = f" (the fewest of {count} placements)" if count > 1 else ""
        parts.append(
            f"{len(best.holds)} hold violation{several}{fewest}, which no slower clock mends: "
            f"{best.holds[0]}"
        )
    if tried[0].far:
        parts.append("one placement was tried, since another seed does not gain so much")
    elif count == 1:
        parts.append("one placement was tried")
    if best.missed and not best.holds:
        reached_hz = min(t.achieved_mhz for t in best.missed) * 1e6
        slower = [f for f in board.clock_frequencies() if f <= reached_hz]
        if slower:
            ways.append(f"build for {max(slower) / 1e6:g} MHz, which {board.name} offers")
        else:
            only_clock = f"; {board.name} offers no slower clock"
    if not tried[0].far and count < MOST_PLACEMENTS:
        ways.append("place more often with --placements")
    ways.append("use fewer lanes or narrower state" if only_clock else "use fewer lanes")
    *others, last = ways
    mend = f"{', '.join(others)}, or {last}" if others else last
    return TimingFailed("; ".join(parts) + f"; {mend}{only_clock}", best.report)


def dfu_suffix(data: bytes, vendor: int, device: int) -> bytes:
    """Return the 16 bytes that dfu-util wants at the end of ``data``.

    USB Device Firmware Upgrade 1.1, appendix B, little-endian: device release (any: 0xFFFF),
    product, vendor, DFU version 1.00, "UFD", length 16, and the CRC-32 (IEEE 802.3, not
    complemented at the end) of everything before it.
    """
    head = b"\xff\xff" + device.to_bytes(2, "little") + vendor.to_bytes(2, "little")
    head += b"\x00\x01" + b"UFD" + b"\x10"
    crc = zlib.crc32(data + head) ^ 0xFFFFFFFF
    return head + crc.to_bytes(4, "little")
