"""What runs on this machine while a test does, of what the test may have started."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def simulators() -> set[int]:
    """Processes of simulated devices, those that the tests of another worker started apart."""
    worker = f"PYTEST_XDIST_WORKER={os.environ.get('PYTEST_XDIST_WORKER', '')}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                inherited = (entry / "environ").read_bytes().split(b"\0")
                ours = worker in inherited or worker.endswith(b"=")
                if ours and b"device_bench" in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
    return found
