"""Start a built simulator with cocotb's runner, as a program: ``start_simulator.py BUILD``.

A program of its own, run by path, because it needs nothing of this package and is started once for
every simulation. The working directory holds the job; see ``bench_device``.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path


def main(build: str) -> int:
    """Run the simulator; return 0 if it came to an outcome."""
    # So that the simulator is gone when this is: an exception ends it and waits for its end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    from cocotb_tools.runner import get_runner

    here = Path.cwd()
    job = json.loads((here / "job.json").read_text(encoding="utf-8"))
    get_runner("verilator").test(
        hdl_toplevel="device_bench",
        hdl_toplevel_lang="verilog",
        test_module=job["test_module"],
        build_dir=build,
        test_dir=here,
        results_xml=str(here / "results.xml"),
        plusargs=[f"+{name}={value}" for name, value in job["plusargs"].items()],
        seed=1,
    )
    return 0 if (here / "outcome.json").exists() else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
