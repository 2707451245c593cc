"""Runs a program of Lava so that nothing of it is left: no process, no shared memory.

    python _supervise.py PARENT ARGUMENT...

The program gets a session of its own. It is ended with all its processes when this one is asked
to end (SIGTERM, SIGINT), when PARENT is no longer this one's parent, and behind its own end. What
of its segments of shared memory is still there behind the last process is removed, where there is
/proc.
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

_POLL = 0.1  # s
_LOOK = 0.5  # s from one look at the processes to the next
_GRACE = 1.0  # s that processes have to end by themselves
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


def alive(group: int) -> bool:
    """Whether a process of a group still runs."""
    return any(state not in "ZX" for _, state in members(group))


class Supervised:
    """A program, its processes, and the shared memory that they were seen to use."""

    def __init__(self, argv: list[str]) -> None:
        self.program = subprocess.Popen(argv, start_new_session=True)
        self._seen: set[Path] = set()
        self._looked = 0.0

    def look(self) -> None:
        """Take note of the segments that there are."""
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            self._seen |= segments(self.program.pid)

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
            supervised.look()
    finally:
        supervised.end()


if __name__ == "__main__":
    status = main()
    # A program that a signal ended has a negative status.
    sys.exit(status if status >= 0 else 128 - status)
