"""A report with every part in it, from random but fixed data."""

from __future__ import annotations

import numpy as np
import pytest

from spikec.boards.quantity import Quantity
from spikec.compiler.compare import compare
from spikec.compiler.passes.quantise import LayerError
from spikec.compiler.report import (
    Accuracy,
    Candidate,
    Choice,
    Latency,
    Provenance,
    ReportData,
    Resource,
    Timing,
)
from spikec.ir.connections import Conv2d, Dense
from spikec.ir.diagnostics import Diagnostic, Location
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import LI, LIF, CubaLIF, IntegerNeuron
from spikec.ir.numerics import Format, Numerics


def integer_lif(reset: str, scale: float = 0.0123) -> IntegerNeuron:
    return IntegerNeuron(
        numerics=Numerics(Format(8), Format(24)),
        source_model="LIF" if reset != "none" else "LI",
        scale=scale,
        shift=6,
        decay_v=np.asarray(3900),
        threshold=np.asarray(4096),
        bias=np.asarray(0),
        v_min=np.asarray(-(1 << 23)),
        v_reset=np.asarray(0),
        reset=reset,
    )


def make_graph(*, integer: bool = True) -> Graph:
    """A small digits-like network with a recurrent loop and a graded readout."""
    r = np.random.default_rng(1)
    tau = np.asarray(0.02)
    one, zero = np.asarray(1.0), np.asarray(0.0)
    hidden = integer_lif("subtract") if integer else CubaLIF(tau, tau, one, zero, one, one)
    plain = integer_lif("zero") if integer else LIF(tau, one, zero, one)
    last = integer_lif("none") if integer else LI(tau, one, zero)

    def weights(*shape: int) -> np.ndarray:
        real = r.normal(size=shape)
        return np.rint(real * 40).astype(np.int64) if integer else real

    return Graph(
        "digits",
        1e-3,
        (Input("pixels", (1, 8, 8)),),
        (
            Population("conv", (4, 8, 8), plain),
            Population("hidden", (48,), hidden),
            Population("classes", (10,), plain),
            Population("readout", (10,), last),
        ),
        (
            Projection(
                "pixels->conv",
                "pixels",
                "conv",
                Conv2d(weights(4, 1, 3, 3), (1, 8, 8), padding=((1, 1), (1, 1))),
            ),
            Projection("conv->hidden", "conv", "hidden", Dense(weights(48, 256)), delay=1),
            Projection(
                "hidden->hidden", "hidden", "hidden", Dense(weights(48, 48)), 1, recurrent=True
            ),
            Projection("hidden->classes", "hidden", "classes", Dense(weights(10, 48)), delay=1),
            Projection("conv->classes", "conv", "classes", Dense(weights(10, 256)), delay=2),
            Projection("classes->readout", "classes", "readout", Dense(weights(10, 10)), delay=1),
        ),
        (Output("class", "classes"), Output("score", "readout")),
        dialect="snntorch",
    )


def make_recordings(
    samples: int = 4, steps: int = 64, hidden: int = 48
) -> tuple[Recording, Recording, Recording]:
    """golden, integer and rtl: each a little different from the one above."""
    r = np.random.default_rng(2)
    spikes = {
        "hidden": (r.random((samples, steps, hidden)) < 0.08).astype(np.int64),
        "classes": (r.random((samples, steps, 10)) < np.linspace(0.02, 0.4, 10)).astype(np.int64),
    }
    v = np.cumsum(r.normal(size=(samples, steps, 10)) + np.linspace(-0.3, 0.5, 10), axis=1)
    whole = np.rint(v / 0.0123).astype(np.int64)
    changed = {name: dense ^ (r.random(dense.shape) < 0.004) for name, dense in spikes.items()}
    wrong = {name: dense.copy() for name, dense in changed.items()}
    wrong["classes"][0, 41:44, 7] ^= 1
    states = r.integers(-4096, 4096, (samples, steps, hidden))
    bad = states.copy()
    bad[0, 41, 3] += 17

    def events(dense: dict[str, np.ndarray], readout: np.ndarray) -> dict[str, Events]:
        return {name: Events.from_dense(d) for name, d in (dense | {"readout": readout}).items()}

    return (
        Recording("golden", 1e-3, events(spikes, v), {}),
        Recording("integer", 1e-3, events(changed, whole), {("hidden", "v"): states}),
        Recording("rtl", 1e-3, events(wrong, whole), {("hidden", "v"): bad}),
    )


def make_report(**changes: object) -> ReportData:
    r = np.random.default_rng(3)
    graph = make_graph()
    golden, integer, rtl = make_recordings()
    pixels = Events.from_dense((r.random((4, 64, 64)) < 0.2).astype(np.int64))
    stimulus = Stimulus({"pixels": pixels})
    tool = "nextpnr-ice40 0.11.1, utilization of report.json"
    fabric = "Lattice DS1008, table 1-1"

    def blocks(value: float, unit: str = "blocks", source: str = tool) -> Quantity:
        return Quantity(value, unit, source, "measured" if source == tool else "recalled")

    work = r.integers(40, 90, (4, 64)) + (np.arange(64) % 16 == 0) * 300
    cycles = np.stack([work, np.full((4, 64), 69), r.integers(5, 120, (4, 64))], axis=2)
    parts: dict[str, object] = {
        "name": "digits on iCEBreaker",
        "verdict": "RTL differs from the integer rung in 4 places of 14,848",
        "passed": False,
        "source": "/somewhere/else/digits.nir",
        "target": "iCEBreaker (iCE40UP5K-SG48)",
        "graph": graph,
        "recordings": (golden, integer, rtl),
        "comparisons": (
            compare(golden, integer, graph=graph, stimulus=stimulus),
            compare(integer, rtl, graph=graph, stimulus=stimulus),
        ),
        "layers": (
            LayerError("conv", 256, 36, 8, 0.0123, 6, 41.2, 0, 0, 1.2e-4, 3e-5),
            LayerError("hidden", 48, 14592, 8, 0.0031, 6, 37.9, 812, 3, 8.9e-5, 3e-5),
            LayerError("classes", 10, 3040, 8, 0.0042, 5, 44.0, 20, 0, 2.1e-4, 0.0),
            LayerError("readout", 10, 100, 8, 1.0, 0, None, 0, 0, None, 0.0),
        ),
        "resources": (
            Resource("ICESTORM_LC", blocks(4103, "cells"), blocks(5280, "cells"), "logic cells"),
            Resource("ICESTORM_RAM", blocks(31), blocks(30), "block RAM"),
            Resource("ICESTORM_DSP", blocks(3), blocks(8, source=fabric), "multipliers"),
            Resource("ICESTORM_SPRAM", blocks(4), blocks(4, source=fabric), "single-port RAM"),
            Resource("neurons", Quantity(324, "neurons", "the compiled graph", "measured")),
        ),
        "choice": Choice(
            "fewest cells with at most 200 cycles a step",
            9,
            (
                Candidate("16 lanes and 2 units", 104.25, 3120, 22, taken=False),
                Candidate("8 lanes and 1 unit", 188.5, 1990, 21, taken=True),
                Candidate("4 lanes and 1 unit", 391.0, 1504, 21, taken=False),
            ),
            200.0,
        ),
        "timing": Timing(
            Quantity(12e6, "Hz", "amaranth-boards 0.0.21, icebreaker.py", "recalled"),
            Quantity(21.37e6, "Hz", "nextpnr-ice40 0.11.1, fmax of report.json", "simulated"),
        ),
        "latency": Latency(cycles, "cycle counters of the core under Verilator", "simulated"),
        "accuracies": (
            Accuracy("float", 583, 594, "a third of the digits, seed 42"),
            Accuracy("integer", 581, 594, "the same"),
            Accuracy("rtl", 98, 100, "the first 100 of them"),
        ),
        "diagnostics": (
            Diagnostic(
                "W0404",
                "the worst input drives v of 'hidden' to 1.3e+03; it saturates at 512",
                Location("/somewhere/else/digits.nir", "hidden"),
                "use more --state-bits",
            ),
            Diagnostic("N0130", "dialect snntorch, dt 1 ms, times in seconds"),
        ),
        "tools": (("brian2", "2.9.0"), ("yosys", "0.55"), ("verilator", "5.036")),
        "provenance": (
            Provenance("accuracy", "argmax of spike counts", "spikec verify out --json"),
            Provenance("cycles", "counters of the RTL", "spikec profile out --stimulus s.npz"),
            Provenance("Fmax", "worst path of static timing analysis"),
        ),
        "missing": ("device: no board is attached",),
    }
    return ReportData(**(parts | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def full_report() -> ReportData:
    return make_report()
