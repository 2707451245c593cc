"""Deployment of an artefact: program the board, talk to it, run a stimulus on it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from ...boards.board import load_board
from ...compiler.backend import Deployed, Deployment, Outcome
from ...ir.diagnostics import fail
from ...ir.events import Stimulus
from ...ir.neurons import IntegerNeuron
from .emit import VERILOG, compiled_core
from .errors import coded
from .lower import LoweredCore
from .program import program_board
from .rtl import device_counts, emits, interpret
from .simulate import build_simulator, device_terminal
from .wire import Driver, SerialPort

__all__ = ["SIMULATED", "deploy_artifact"]

SIMULATED = "sim"
_NO_TRACE = np.empty(0, np.int64)


def deploy_artifact(request: Deployment) -> Deployed:
    """Carry a deployment out; every failure is a coded diagnostic."""
    artifact = request.artifact
    with coded():
        board = load_board(str(artifact.manifest["target"]))
        core = compiled_core(artifact)
        _refuse_what_stays_inside(core, request)
        told: dict[str, Any] = {"port": request.port}
        if request.program:
            told["programmed"] = _program(request, board)
        baud = request.baud or (board.target.core.baud if board.target.core else 0)
        with _port(request) as name, Driver(SerialPort(name, baud), core.shape) as driver:
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


def _refuse_what_stays_inside(core: LoweredCore, request: Deployment) -> None:
    """Only spikes leave a board: readouts and inner populations can be seen in simulation only."""
    if request.stimulus is None:
        return
    for name in request.populations:
        neuron = core.graph.population(name).neuron
        if (isinstance(neuron, IntegerNeuron) and not neuron.spiking) or not emits(core, name):
            raise fail(
                "E0707",
                f"population '{name}' sends no spikes off the chip",
                hint="name an output population of spiking neurons, or use 'run --on rtl'",
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


@contextlib.contextmanager
def _port(request: Deployment) -> Iterator[str]:
    if request.port != SIMULATED:
        yield request.port
        return
    if VERILOG not in request.artifact.files:
        raise fail("E0705", f"{VERILOG} is not in the artefact", hint="compile again")
    request.progress("rtl build", 0.0)
    build = build_simulator(request.artifact.files[VERILOG].decode())
    request.progress("rtl build", 1.0)
    with device_terminal(build) as name:
        yield name


def _run(request: Deployment, stimulus: Stimulus, core: LoweredCore, driver: Driver) -> Outcome:
    clock_hz = float(request.artifact.manifest["emission"]["clock_hz"])
    run = driver.run(device_counts(core, stimulus), lambda share: request.progress("run", share))
    recording = interpret(core, [(run, _NO_TRACE)], stimulus, populations=request.populations)
    cycles = {name: run.cycles[:, :, k] for k, name in enumerate(run.counters)}
    return Outcome(dataclasses.replace(recording, rung="device"), cycles, clock_hz)
