"""A simulated device behind a pseudo-terminal: the part that runs inside the simulator.

As in ``bench_device``, the bytes are moved by ``device_bench.sv``; this module carries them
between its files and the terminal every few hundred clock cycles, and lets the clock stand while
nothing comes and nothing moves.

The working directory holds ``job.json``; ``port.json`` tells the terminal's name.
"""

from __future__ import annotations

import json
import os
import select
import tty
from pathlib import Path
from typing import Any, Final

import cocotb
from cocotb.triggers import Timer

__all__ = ["serve"]

_LOOK_CYCLES: Final = 300
_QUIET_CYCLES: Final = 30_000
_TIME_STEPS_PER_CYCLE: Final = 2
_WAIT_SECONDS: Final = 0.1


@cocotb.test()
async def serve(dut: Any) -> None:
    """Carry bytes until the program that started this is gone."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    # The other end stays open here too, so that a host may come and go.
    terminal, other = os.openpty()
    tty.setraw(other)
    _publish({"port": os.ttyname(other)})
    last: tuple[int, ...] = ()
    quiet_since = cycles = 0
    with Path("rx.bin").open("ab", buffering=0) as line, Path("tx.bin").open("rb") as answers:
        while os.getppid() != 1 and _alive(job["parent"]):
            idle = cycles - quiet_since >= _QUIET_CYCLES
            ready, _, _ = select.select([terminal], [], [], _WAIT_SECONDS if idle else 0)
            if ready:
                line.write(os.read(terminal, 65536))
                dut.refill.value = 1
                quiet_since = cycles
            elif idle:
                continue
            dut.flush.value = 1
            await Timer(_LOOK_CYCLES * _TIME_STEPS_PER_CYCLE, "step")
            cycles = int(dut.cycles.value)
            state = tuple(int(s.value) for s in (dut.sent, dut.received))
            if state != last:
                last, quiet_since = state, cycles
            data = answers.read()
            while data:
                data = data[os.write(terminal, data) :]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _publish(content: dict[str, Any]) -> None:
    part = Path("port.json.part")
    part.write_text(json.dumps(content), encoding="utf-8")
    os.replace(part, "port.json")
