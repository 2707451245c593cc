"""Running an external program so that it always ends: with us, on time, and with its children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, Final, NoReturn

__all__ = [
    "StageFailed",
    "StageTimedOut",
    "background_stage",
    "run_stage",
    "termination_unwinds",
    "undisturbed",
]

_TAIL_CHARACTERS: Final = 4000
_GRACE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.05


class StageFailed(RuntimeError):
    """A program ended with an error. ``log`` holds what it printed; the message has its end."""

    code = "stage-failed"

    def __init__(self, stage: str, problem: str, log: str) -> None:
        tail = log[-_TAIL_CHARACTERS:].strip()
        super().__init__(f"{stage} {problem}" + (f"; it printed last:\n{tail}" if tail else ""))
        self.stage = stage
        self.problem = problem
        self.log = log


class StageTimedOut(StageFailed):
    """A program was stopped because it took longer than allowed."""

    code = "stage-timed-out"


@contextlib.contextmanager
def termination_unwinds() -> Iterator[None]:
    """Turn SIGTERM into ``SystemExit(143)`` inside the block, so that what was begun is undone.

    By default it ends Python at once: children go on computing and temporary folders stay. Does
    nothing outside the main thread, or where the program has a handler of its own.
    """

    def unwind(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back inside the block: what is being undone is undone whole.

    They arrive behind it, each once. Does nothing outside the main thread, which alone is
    interrupted by a signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Not by a mask: it holds for one thread, and the system gives a signal to any other that
    # does not block it (those of a linear algebra library, say), for which Python interrupts the
    # main thread all the same.
    held: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: held.append(number))
        for number in (int(signal.SIGINT), int(signal.SIGTERM))
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            # None is a handler not set from Python, which Python cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        for number in dict.fromkeys(held):
            signal.raise_signal(number)


def run_stage(
    stage: str,
    argv: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    timeout: float,
    env: Mapping[str, str] | None = None,
    poll: Callable[[], None] | None = None,
    begun: Callable[[int], None] | None = None,
    grace: float = _GRACE_SECONDS,
) -> float:
    """Run a program to its end and return the seconds it took.

    It runs in a process group of its own, which is ended when the time is up, when ``poll``
    raises, on Ctrl-C and on SIGTERM (in the main thread): asked, and killed ``grace`` seconds
    later. Its output goes to the file ``log``; ``poll`` is called about twenty times a second, and
    ``begun`` once, with the number of its session.
    Raises :class:`StageFailed` on a non-zero exit status, :class:`StageTimedOut` after ``timeout``
    seconds.
    """
    started = time.monotonic()
    with termination_unwinds(), log.open("ab") as output:
        process = _start(stage, argv, cwd, output, env)
        try:
            if begun is not None:
                begun(process.pid)
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
                    break
                if poll is not None:
                    poll()
                if time.monotonic() - started > timeout:
                    _kill_group(process, grace)
                    raise StageTimedOut(stage, f"took longer than {timeout:g} s", _read(log))
        except BaseException:
            _kill_group(process, grace)
            raise
    if process.returncode != 0:
        raise StageFailed(stage, _ending(process.returncode), _read(log))
    return time.monotonic() - started


@contextlib.contextmanager
def background_stage(
    stage: str,
    argv: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    env: Mapping[str, str] | None = None,
) -> Iterator[Callable[[], None]]:
    """Run a program beside the block and end it, with all it started, when the block is left.

    The value is a function that waits about a twentieth of a second, and raises
    :class:`StageFailed` as soon as the program has ended by itself.
    """
    with termination_unwinds(), log.open("ab") as output:
        process = _start(stage, argv, cwd, output, env)

        def wait() -> None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                raise StageFailed(stage, _ending(process.wait(_POLL_SECONDS)), _read(log))

        try:
            yield wait
        finally:
            _kill_group(process)


def _start(
    stage: str,
    argv: Sequence[str],
    cwd: Path,
    output: IO[bytes],
    env: Mapping[str, str] | None,
) -> subprocess.Popen[bytes]:
    """A program in a session of its own, so that it can be ended with all it starts."""
    try:
        return subprocess.Popen(
            argv,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise StageFailed(stage, f"cannot be started: {error}", "") from error


def _ending(status: int) -> str:
    if status > 0:
        return f"failed with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _read(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def _kill_group(process: subprocess.Popen[bytes], grace: float = _GRACE_SECONDS) -> None:
    """End the process and everything it started; politely first, so that it can clean up."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
