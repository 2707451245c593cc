"""Runs a program of Lava so that nothing of it is left: no process, no shared memory.

    python _supervise.py PARENT ARGUMENT...

The program gets a session of its own. It is ended with all its processes when this one is asked to
end (SIGTERM, SIGINT), when PARENT is no longer this one's parent, and when one of Lava's processes
has ended by itself, for which Lava would wait for ever; then the exit status is `CRASHED`. What of
its segments of shared memory is still there behind the last process is removed. The last two need
Linux's /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

CRASHED = 70
_POLL = 0.1  # s
_LOOK = 0.5  # s from one look at the processes to the next
_GRACE = 1.0  # s that processes have to end by themselves
_DEAD = 3.0  # s that a process is dead before Lava is believed not to know
_PROC, _SHARED = Path("/proc"), Path("/dev/shm")


def members(group: int) -> Iterator[tuple[int, str]]:
    """Number and state of every process of a group."""
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in brackets, may hold anything.
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[2]) == group:
                yield int(entry.name), fields[0]


def segments(group: int) -> set[Path]:
    """The segments of Python's shared memory that a process of a group has mapped."""
    found = set()
    for number, _ in members(group):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(number) / "maps").read_text(errors="replace").splitlines():
                path = Path(line.split(maxsplit=5)[-1])
                if path.parent == _SHARED and path.name.startswith("psm_"):
                    found.add(path)
    return found


def ending(number: int) -> str:
    """How a process ended that nobody has waited for yet."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = (_PROC / str(number) / "stat").read_text(errors="replace")
        status = int(text.rpartition(")")[2].split()[49])
        if status & 0x7F:
            return f"by {signal.Signals(status & 0x7F).name}"
        return f"with exit status {status >> 8}"
    return "by itself"


def alive(group: int) -> bool:
    """Whether a process of a group still runs."""
    return any(state not in "ZX" for _, state in members(group))


class Supervised:
    """A program, its processes, and the shared memory that they were seen to use."""

    def __init__(self, argv: list[str]) -> None:
        self.program = subprocess.Popen(argv, start_new_session=True)
        self._seen: set[Path] = set()
        self._dead: dict[int, float] = {}
        self._looked = 0.0

    def look(self) -> str | None:
        """Take note of what there is; how a process ended that has been dead for too long."""
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return None
        self._looked = now
        group = self.program.pid
        self._seen |= segments(group)
        dead = {n for n, state in members(group) if state == "Z" and n != group}
        self._dead = {n: self._dead.get(n, now) for n in dead}
        return next((ending(n) for n, since in self._dead.items() if now - since > _DEAD), None)

    def end(self) -> None:
        """End every process of the program, and remove what shared memory it leaves."""
        group = self.program.pid
        self._seen |= segments(group)
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
            self._settle(group)
        for path in self._seen:
            path.unlink(missing_ok=True)

    def _settle(self, group: int) -> None:
        until = time.monotonic() + _GRACE
        while time.monotonic() < until:
            self.program.poll()
            if self.program.returncode is not None and not alive(group):
                return
            self._seen |= segments(group)
            time.sleep(_POLL / 4)


def main() -> int:
    """Run the program; its own exit status, or that of its end."""
    parent, argv = int(sys.argv[1]), sys.argv[2:]
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: asked.append(number))
    supervised = Supervised(argv)
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return supervised.program.wait(_POLL)
            if asked or os.getppid() != parent:
                return 128 + (asked[0] if asked else signal.SIGHUP)
            crash = supervised.look()
            if crash is not None:
                print(f"a process of Lava ended {crash}", file=sys.stderr)
                return CRASHED
    finally:
        supervised.end()


if __name__ == "__main__":
    status = main()
    # A program that a signal ended has a negative status.
    sys.exit(status if status >= 0 else 128 - status)
