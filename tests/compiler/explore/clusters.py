"""A Dask scheduler and workers as processes of this computer, ended by their ids."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

QUIET = {**os.environ, "OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error"}
START = "from dask.__main__ import main; main()"


def until(true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        time.sleep(0.05)


def _start(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", START, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=QUIET,
    )


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler; itself and its workers, one process each."""
    said = folder / f"scheduler-{workers}.json"
    local = ("--host", "127.0.0.1")
    every = [
        _start("scheduler", *local, "--port", "0", "--no-dashboard", "--scheduler-file", str(said))
    ]
    try:
        until(lambda: said.exists() and said.read_text().endswith("}"), "the scheduler")
        address = str(json.loads(said.read_text())["address"])
        for _ in range(workers):
            every.append(
                _start(
                    "worker",
                    address,
                    *local,
                    "--nthreads",
                    "1",
                    "--no-nanny",
                    "--no-dashboard",
                    "--local-directory",
                    str(folder),
                )
            )
        yield address, every
    finally:
        for process in reversed(every):
            process.kill()
            process.wait()
