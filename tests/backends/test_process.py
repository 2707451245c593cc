"""An external program ends with us, on time, and takes its children along."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from spikec.backends.process import (
    StageFailed,
    StageTimedOut,
    run_stage,
    termination_unwinds,
    undisturbed,
)

# Starts a child of its own, says who it is, and waits for ever.
PARENT = (
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "open('pids.part', 'w').write(f'{os.getpid()} {child.pid}')\n"
    "os.replace('pids.part', 'pids')\n"
    "time.sleep(600)\n"
)


def alive(pid: int) -> bool:
    """A zombie that waits for somebody else to collect it counts as gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def assert_all_gone(folder: Path) -> None:
    pids = [int(pid) for pid in (folder / "pids").read_text(encoding="utf-8").split()]
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        os.sched_yield()
    assert not any(map(alive, pids))


def test_time_and_output_of_a_program_that_succeeds(tmp_path: Path) -> None:
    log = tmp_path / "log"
    argv = [sys.executable, "-c", "import os; print(os.environ['MARK'], os.getcwd())"]
    env = {**os.environ, "MARK": "here"}
    seconds = run_stage("try", argv, cwd=tmp_path, log=log, timeout=60, env=env)
    assert 0 < seconds < 60
    assert log.read_text(encoding="utf-8").split() == ["here", str(tmp_path.resolve())]


def test_a_failure_says_what_was_printed_last(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    with pytest.raises(StageFailed, match="exit status 3") as caught:
        run_stage("try", argv, cwd=tmp_path, log=tmp_path / "log", timeout=60)
    assert "the reason" in str(caught.value)
    assert caught.value.stage == "try"


def test_a_program_that_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match="cannot be started"):
        run_stage("try", [str(tmp_path / "absent")], cwd=tmp_path, log=tmp_path / "log", timeout=1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_a_timeout_kills_the_whole_group(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT]
    with pytest.raises(StageTimedOut, match="longer than"):
        run_stage("try", argv, cwd=tmp_path, log=tmp_path / "log", timeout=3)
    assert_all_gone(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_an_interrupt_kills_the_whole_group(tmp_path: Path) -> None:
    def interrupt() -> None:
        if (tmp_path / "pids").exists():
            raise KeyboardInterrupt

    argv = [sys.executable, "-c", PARENT]
    with pytest.raises(KeyboardInterrupt):
        run_stage("try", argv, cwd=tmp_path, log=tmp_path / "log", timeout=60, poll=interrupt)
    assert_all_gone(tmp_path)


TERMINATED = (
    "import pathlib, sys\n"
    "from spikec.backends.process import run_stage\n"
    "here = pathlib.Path.cwd()\n"
    "try:\n"
    "    run_stage('try', [sys.executable, '-c', {code!r}],\n"
    "              cwd=here, log=here / 'log', timeout=60)\n"
    "finally:\n"
    "    (here / 'undone').touch()\n"
)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")
def test_a_termination_kills_the_whole_group_and_undoes(tmp_path: Path) -> None:
    code = TERMINATED.format(code=PARENT)
    with subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path) as program:
        deadline = time.monotonic() + 30
        while not (tmp_path / "pids").exists() and time.monotonic() < deadline:
            os.sched_yield()
        program.terminate()
        assert program.wait(30) == 143
    assert (tmp_path / "undone").exists()
    assert_all_gone(tmp_path)


def test_a_handler_of_the_program_is_left_alone() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with termination_unwinds():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with termination_unwinds():
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "another thread"])
def test_what_is_undone_is_undone_whole(number: signal.Signals, elsewhere: bool) -> None:
    """A signal inside the block arrives behind it, whichever thread the system gives it to."""
    undone = []
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    ended = threading.Event()
    other = threading.Thread(target=ended.wait)
    other.start()
    try:
        assert other.ident is not None
        with pytest.raises((KeyboardInterrupt, SystemExit)), termination_unwinds():
            with undisturbed():
                signal.pthread_kill(
                    other.ident if elsewhere else threading.get_ident(),
                    number,
                )
                # A thread is given its signal at its next turn: the main one waits for that.
                if elsewhere:
                    other.join(0.05)
                undone.append("first")
                undone.append("second")
            undone.append("never")  # pragma: no cover - the signal is here
    finally:
        ended.set()
        other.join()
    assert undone == ["first", "second"]
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))


def test_a_thread_beside_the_main_one_undoes_without_handlers() -> None:
    def undo() -> None:
        with undisturbed():
            handlers.append(signal.getsignal(signal.SIGTERM))

    handlers: list[object] = []
    other = threading.Thread(target=undo)
    other.start()
    other.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]
