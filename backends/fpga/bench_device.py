"""Supervise one simulation of a device: the part that runs inside the simulator, under cocotb.

The bytes themselves are moved by ``device_bench.sv``; a coroutine that touched every byte would
be tens of times slower. This module looks in every few thousand cycles: has the device answered
everything, is it still doing something, how far is it.

The working directory holds ``rx.bin`` and ``job.json``; ``outcome.json`` is left there.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import cocotb
from cocotb.triggers import Timer

from .replies import ReplyScanner

__all__ = ["converse"]

_FIRST_LOOK_CYCLES: Final = 500
_LONGEST_LOOK_CYCLES: Final = 50_000
_TIME_STEPS_PER_CYCLE: Final = 2


@cocotb.test()
async def converse(dut: Any) -> None:
    """Let the device answer; end when all answers are there, one is wrong, or none comes."""
    job = json.loads(Path("job.json").read_text(encoding="utf-8"))
    scanner = ReplyScanner(job["report_bytes"], tuple(job["read_sizes"]))
    last: tuple[int, ...] = ()
    quiet_since = 0
    look = _FIRST_LOOK_CYCLES
    with Path("tx.bin").open("rb") as answers:
        while True:
            dut.flush.value = 1
            await Timer(look * _TIME_STEPS_PER_CYCLE, "step")
            # Short runs end soon, long ones are seldom disturbed.
            look = min(look * 2, _LONGEST_LOOK_CYCLES)
            state = tuple(int(s.value) for s in (dut.sent, dut.received, dut.traced))
            cycles = int(dut.cycles.value)
            data = answers.read()
            if job["bytes"] is None:
                scanner.feed(data)
                done = scanner.answers >= job["answers"]
            else:
                done = state[1] >= job["bytes"]
            _write(
                "progress.json", {"cycles": cycles, "sent": state[0], "answers": scanner.answers}
            )
            if state != last:
                last, quiet_since = state, cycles
            unsound = int(dut.unsound.value)
            if unsound and not scanner.error:
                scanner.error = f"{unsound} damaged frame(s) on a clean line"
            hung = cycles - quiet_since >= job["patience"]
            if done or hung or scanner.error:
                break
    outcome = {
        # An ERROR is an answer too, so a run can be refused and complete.
        "status": "refused" if scanner.error else "answered" if done else "hung",
        "cycles": int(dut.last_cycle.value) if done else cycles,
        "sent": state[0],
        "received": state[1],
        "traced": state[2],
        "answers": scanner.answers,
        "error": scanner.error,
    }
    _write("outcome.json", outcome)


def _write(name: str, content: dict[str, Any]) -> None:
    """Write a small file that a reader never sees half of."""
    part = Path(name + ".part")
    part.write_text(json.dumps(content), encoding="utf-8")
    os.replace(part, name)
