"""Deployment of an artefact: program the board, talk to it, run a stimulus on it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...boards.board import load_board
from ...compiler.backend import Deployed, Deployment, Outcome, need
from ...hdl.shape import Memory
from ...hdl.spi import SpiPeripheral
from ...hdl.verilog import component_verilog
from ...ir.diagnostics import fail
from ...ir.events import Stimulus
from .cluster import Lowered
from .emit import VERILOG, compiled_core
from .errors import coded
from .program import program_board
from .readout import Readout
from .rtl import device_counts, emits, graded, interpret
from .simulate import build_simulator, device_terminal
from .wire import Driver, Port, SerialPort, SpiPort, TerminalBus, open_spi

__all__ = ["SIMULATED", "deploy_artifact"]

SIMULATED = "sim"
SPI = "spi:"
_NO_TRACE = np.empty(0, np.int64)


def deploy_artifact(request: Deployment) -> Deployed:
    """Carry a deployment out; every failure is a coded diagnostic."""
    artifact = request.artifact
    with coded():
        board = load_board(str(artifact.manifest["target"]))
        core = compiled_core(artifact)
        _refuse_what_stays_inside(core, request)
        if request.load and core.shape.constant:
            raise fail(
                "E0707",
                "--load: this network is a circuit of its own, which has nothing to load",
                hint="send its bitstream with --program, or compile with --core events",
            )
        wanted = _wanted(request)
        told: dict[str, Any] = {"port": request.port}
        if request.program:
            told["programmed"] = _program(request, board)
        baud = request.baud or (board.target.core.baud if board.target.core else 0)
        with _port(request, wanted, baud) as port, Driver(port, core.shape) as driver:
            driver.connect()
            info = driver.check()
            told["device"] = {
                "configured": info.configured,
                "image_digest": driver.digest().hex() if info.configured else "",
                "clock_hz": info.clock_hz,
                "receive_bytes": info.receive_bytes,
                "replay_bytes": info.replay_bytes,
            }
            # Weights in memory without contents of its own come over the wire.
            empty = core.shape.weight_storage == "huge" and not info.configured
            if request.load or empty:
                driver.load(core.image, lambda share: request.progress("load", share))
                told["loaded"] = core.image.digest.hex()
            driver.check(core.image.digest)
            outcome = None
            if request.stimulus is not None:
                outcome = _run(request, request.stimulus, core, driver)
            if request.status or request.stimulus is not None:
                told["status"] = dataclasses.asdict(driver.status())
            if driver.connection is not None:
                told["wire"] = dataclasses.asdict(driver.connection.counts)
    return Deployed(outcome, told)


def _refuse_what_stays_inside(core: Lowered, request: Deployment) -> None:
    """Spikes of outputs leave a board and readouts can be read; the rest is seen in simulation."""
    if request.stimulus is None:
        return
    for name in request.populations:
        if graded(core, name):
            if core.shape.constant:
                raise fail(
                    "E0707",
                    f"population '{name}' is a readout, and nothing can be read from a network "
                    "that is a circuit of its own",
                    hint="compile with --core events, or use 'run --on rtl'",
                )
        elif not emits(core, name):
            raise fail(
                "E0707",
                f"population '{name}' sends no spikes off the chip",
                hint="name an output population, or use 'run --on rtl'",
            )


def _program(request: Deployment, board: Any) -> str:
    facts = request.artifact.manifest["emission"]
    if request.port == SIMULATED:
        raise fail("E0707", "--program: the simulated board cannot be programmed")
    name = facts.get("bitstream")
    if name is None or name not in request.artifact.files:
        raise fail("E0705", "the artefact has no bitstream", hint="compile without --no-bitstream")
    request.progress("program", 0.0)
    command = program_board(board, str(name), request.artifact.files[str(name)])
    request.progress("program", 1.0)
    return command


@dataclass(frozen=True, slots=True)
class _Spi:
    """A device file of Linux, empty for the simulated board, and the clock of the bus."""

    name: str
    hertz: int


def _wanted(request: Deployment) -> _Spi | None:
    """The SPI bus that is asked for, None for a serial line; E0707 unless the board has that."""
    facts = request.artifact.manifest["emission"]
    most = int(facts["sck_hz"]) if facts.get("link") == "spi" else None
    simulated, over_spi = request.port == SIMULATED, request.port.startswith(SPI)
    if over_spi and most is None:
        raise fail(
            "E0707",
            f"--port {request.port}: the artefact's host link is the serial port",
            hint="name that port, or compile with --link spi",
        )
    if most is None:
        return None
    if not simulated and not over_spi:
        raise fail(
            "E0707",
            f"--port {request.port}: the artefact's host link is SPI",
            hint="--port spi:/dev/spidevX.Y, or compile without --link spi",
        )
    if request.baud is not None:
        raise fail("E0707", "--baud: SPI has none", hint="--port spi:/dev/spidevX.Y@HZ")
    if simulated:
        return _Spi("", most)
    name, at, clock = request.port.removeprefix(SPI).partition("@")
    hertz = int(clock) if clock.isdecimal() else most if not at else 0
    if not name or not 0 < hertz <= most:
        raise fail(
            "E0707",
            f"--port {request.port}: this core's SPI takes a clock of 1 to {most} Hz, "
            "an eighth of its own at most",
            hint="--port spi:/dev/spidevX.Y@HZ",
        )
    return _Spi(name, hertz)


@contextlib.contextmanager
def _port(request: Deployment, wanted: _Spi | None, baud: int) -> Iterator[Port]:
    if request.port != SIMULATED:
        if wanted is None:
            yield SerialPort(request.port, baud)
        else:
            need("spidev", "spi", "talking to a board over SPI")
            yield open_spi(wanted.name, wanted.hertz)
        return
    if VERILOG not in request.artifact.files:
        raise fail("E0705", f"{VERILOG} is not in the artefact", hint="compile again")
    request.progress("rtl build", 0.0)
    spi = None if wanted is None else component_verilog(SpiPeripheral(), "spi_peripheral")
    build = build_simulator(request.artifact.files[VERILOG].decode(), spi=spi)
    request.progress("rtl build", 1.0)
    with device_terminal(build) as name:
        yield SerialPort(name, baud) if spi is None else SpiPort(TerminalBus(name))


def _run(request: Deployment, stimulus: Stimulus, core: Lowered, driver: Driver) -> Outcome:
    clock_hz = float(request.artifact.manifest["emission"]["clock_hz"])
    learns = core.shape.learning is not None
    counts = device_counts(core, stimulus)
    if learns:
        driver.learn(request.learning)
    readout = Readout.of(core, [name for name in request.populations if graded(core, name)])
    run = driver.run(counts, lambda share: request.progress("run", share), readout.script)
    recording = interpret(
        core,
        [(run, _NO_TRACE)],
        stimulus,
        populations=request.populations,
        states={"v": readout.potentials(run)} if readout.rows else None,
    )
    weights = core.learned(driver.read(Memory.WEIGHTS) if learns else ())
    recording = dataclasses.replace(recording, weights=weights)
    cycles = {name: run.cycles[:, :, k] for k, name in enumerate(run.counters)}
    return Outcome(dataclasses.replace(recording, rung="device"), cycles, clock_hz)
