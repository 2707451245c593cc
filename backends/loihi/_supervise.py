"""Runs a program of Lava so that nothing of it is left: no process, no shared memory.

    python _supervise.py [--temporary] PARENT ARGUMENT...

The program gets a process group of its own, in this one's session. It is ended with all its
processes when this one is asked to end (SIGTERM, SIGINT), when PARENT is no longer this one's
parent, and behind its own end. What of its segments of shared memory is still there behind the last
process is removed, where there is /proc. If PARENT has gone, so is a --temporary working folder.

Whoever finds that this process was killed does the same for its session (`Processes`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
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


def members(number: int) -> Iterator[tuple[int, str]]:
    """Number and state of every process of a group or session, but not this one."""
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # The name, in brackets, may hold anything.
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if str(number) in fields[2:4] and int(entry.name) != os.getpid():
                yield int(entry.name), fields[0]


def segments(number: int) -> set[Path]:
    """The segments of Python's shared memory that a process of a group or session has mapped."""
    found = set()
    for process, _ in members(number):
        with contextlib.suppress(OSError):
            for line in (_PROC / str(process) / "maps").read_text(errors="replace").splitlines():
                path = Path(line.split(maxsplit=5)[-1])
                if path.parent == _SHARED and path.name.startswith("psm_"):
                    found.add(path)
    return found


class Processes:
    """Those of a group or session, and the shared memory that they were seen to use.

    Of a group ``program`` is the first, and a child of this process.
    """

    def __init__(self, number: int, program: subprocess.Popen[bytes] | None = None) -> None:
        self._number, self._program = number, program
        self._seen: set[Path] = set()
        self._looked = 0.0

    def look(self) -> None:
        """Take note of the segments that there are."""
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            self._seen |= segments(self._number)

    def end(self) -> None:
        """End all of them, and remove what shared memory they leave."""
        self._seen |= segments(self._number)
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._send(number)
            self._settle()
        for path in self._seen:
            path.unlink(missing_ok=True)

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._program is not None:
                os.killpg(self._number, number)
                return
        for process, _ in list(members(self._number)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, number)

    def _settle(self) -> None:
        until = time.monotonic() + _GRACE
        while time.monotonic() < until:
            done = self._program is None or self._program.poll() is not None
            if done and all(state in "ZX" for _, state in members(self._number)):
                return
            self._seen |= segments(self._number)
            time.sleep(_POLL / 4)


def main(parent: int, argv: list[str], folder: Path | None) -> int:
    """Run the program; its own exit status, or that of its end."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: asked.append(number))
    program = subprocess.Popen(argv, process_group=0)
    processes = Processes(program.pid, program)
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return program.wait(_POLL)
            if asked or os.getppid() != parent:
                return 128 + (asked[0] if asked else signal.SIGHUP)
            processes.look()
    finally:
        processes.end()
        if folder is not None and os.getppid() != parent:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    temporary = given[0] == "--temporary"
    first, *rest = given[temporary:]
    status = main(int(first), rest, Path.cwd() if temporary else None)
    # A program that a signal ended has a negative status.
    sys.exit(status if status >= 0 else 128 - status)
