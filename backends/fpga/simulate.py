"""The device's RTL as a program: built with Verilator, driven by cocotb with a host's own bytes.

:func:`build_simulator` turns the Verilog of a ``device`` into a cached executable,
:func:`run_device` plays a :class:`~.host.Script` to it. A build can be run by several processes
at once; each run has a folder of its own, which it removes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import metadata, resources, util
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...hdl.protocol import SCK_CYCLES
from ..process import StageTimedOut, background_stage, run_stage, termination_unwinds
from .cache import Cache, content_key, default_cache_root
from .host import Script
from .toolchain import ToolchainMissing, require_packages

__all__ = [
    "TRACE_RECORD",
    "Cancelled",
    "DeviceRefused",
    "DeviceSilent",
    "Progress",
    "SimulationResult",
    "SimulatorBuild",
    "build_program",
    "build_simulator",
    "device_terminal",
    "run_device",
    "run_devices",
]

TRACE_RECORD: Final = np.dtype(
    [
        ("step", np.uint32),
        ("index", np.uint32),
        ("v", np.int32),
        ("u", np.int32),
        ("spike", np.uint32),
        ("h", np.int32),
    ]
)
"""One neuron after one step, in the order the core sweeps them; those at rest are left out."""

_PURPOSE: Final = "simulating the device"
_TOPLEVEL: Final = "device_bench"
# Against -O1, -O2 takes a third longer to compile and runs a tenth faster: that pays from some
# tens of millions of clock cycles. Splitting the output to compile in parallel costs more CPU time
# in headers than it gains on two cores.
_OPTIMISATION: Final = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
_VERILATOR_OPTIONS: Final = (
    *("--cc", "--exe", "--vpi", "--timing", "-O3", "--x-assign", "fast", "--x-initial", "fast"),
    *("-Wno-fatal", "--no-assert", "--prefix", "Vtop"),
)


class DeviceSilent(RuntimeError):
    """The device stopped answering. The message has the cycle and the byte it was last sent."""

    code = "device-silent"


class Cancelled(RuntimeError):
    """A run was given up because another one failed or the user interrupted."""

    code = "cancelled"


class DeviceRefused(RuntimeError):
    """The device answered ERROR, or with bytes that are no answer."""

    code = "device-refused"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a simulation is: clock cycles done, bytes sent, answers received of those due."""

    cycles: int
    sent: int
    bytes: int
    answers: int
    answers_due: int


@dataclass(frozen=True, slots=True)
class SimulatorBuild:
    """An executable simulator: the folder with it, and the seconds its build took (0: cached)."""

    folder: Path
    key: str
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class SimulationResult:
    """What a simulated device sent.

    ``trace`` (records,) of :data:`TRACE_RECORD`; empty without tracing. ``cycles`` is the clock
    cycle, counted from 0 at the start of reset, in which the last byte arrived; ``seconds`` the
    wall time of the run with its start-up.
    """

    tx_bytes: bytes
    trace: NDArray[Any]
    cycles: int
    seconds: float


def build_simulator(
    verilog: str,
    *,
    spi: str | None = None,
    cache_dir: Path | None = None,
    timeout: float = 600.0,
    progress: Callable[[str], None] | None = None,
) -> SimulatorBuild:
    """Return a simulator of the Verilog module ``device``.

    It is built once for each content and toolchain, below ``cache_dir``. Verilator's own run-time
    library, most of a build, is compiled once and shared by all designs. With ``spi``, the Verilog
    of the module ``spi_peripheral``, the device is behind its pins, for :func:`device_terminal`.

    Raises :class:`~.toolchain.ToolchainMissing` if a tool is missing,
    :class:`~.process.StageFailed` if the Verilog is refused.
    """
    if spi is not None:
        bench = (resources.files(__package__) / "spi_bench.sv").read_text(encoding="utf-8")
        return build_program(
            _TOPLEVEL,
            {"spi_bench.sv": bench, "spi.v": spi, "device.v": verilog},
            ("--top-module", _TOPLEVEL, f"-GSCK_CYCLES={SCK_CYCLES}"),
            cocotb_main=True,
            cache_dir=cache_dir,
            timeout=timeout,
            progress=progress,
        )
    bench = (resources.files(__package__) / "device_bench.sv").read_text(encoding="utf-8")
    if "trace_h" in verilog:
        bench = "`define OFFSETS\n" + bench
    return build_program(
        _TOPLEVEL,
        {"device_bench.sv": bench, "device.v": verilog},
        ("--top-module", _TOPLEVEL),
        cocotb_main=True,
        cache_dir=cache_dir,
        timeout=timeout,
        progress=progress,
    )


def build_program(
    name: str,
    sources: Mapping[str, str],
    options: tuple[str, ...],
    *,
    cocotb_main: bool = False,
    cache_dir: Path | None = None,
    timeout: float = 600.0,
    progress: Callable[[str], None] | None = None,
) -> SimulatorBuild:
    """Return Verilator's program ``name`` of some sources, with ``options`` besides the usual.

    Built once, cached and raising as :func:`build_simulator`. Its main function is in the sources
    or cocotb's.
    """
    tools = _find_tools()
    root = cache_dir or default_cache_root()
    runtime_key = content_key([("tools", tools.identity), ("options", repr(_OPTIMISATION))])
    key = content_key(
        [
            ("runtime", runtime_key),
            ("options", repr((_VERILATOR_OPTIONS, options, cocotb_main))),
            *sources.items(),
        ]
    )
    cache = Cache(root, "simulator")
    found = cache.find(key)
    if found is not None:
        return SimulatorBuild(found, key, 0.0)
    started = time.monotonic()
    runtime = Cache(root, "verilator-runtime", keep=4)
    with termination_unwinds(), tempfile.TemporaryDirectory(prefix="spikec-sim-") as scratch:
        folder = Path(scratch)
        for file, text in sources.items():
            (folder / file).write_text(text, encoding="utf-8")
        log = folder / "build.log"
        if progress is not None:
            progress("verilate")
        env = tools.environment(folder)
        command = tools.verilate(name, (*options, *sources), cocotb_main)
        run_stage("verilate", command, cwd=folder, log=log, timeout=timeout, env=env)
        objects = folder / "obj"
        ready = runtime.find(runtime_key)
        if ready is not None:
            for item in ready.glob("*.o"):
                shutil.copy(item, objects / item.name)
        if progress is not None:
            progress("compile")
        run_stage("compile", tools.make(), cwd=folder, log=log, timeout=timeout, env=env)
        if ready is None:
            runtime.store(runtime_key, {o.name: o for o in sorted(objects.glob("verilated*.o"))})
        entry = cache.store(key, {name: objects / name})
    return SimulatorBuild(entry, key, time.monotonic() - started)


def run_device(
    build: SimulatorBuild,
    script: Script,
    *,
    report_bytes: int,
    raw: bool = False,
    trace: bool = False,
    gap: int = 0,
    stall: int = 0,
    expect_bytes: int | None = None,
    patience: int = 2_000_000,
    timeout: float = 600.0,
    progress: Callable[[Progress], None] | None = None,
    cancel: threading.Event | None = None,
) -> SimulationResult:
    """Send a script to a device fresh from reset; return all it sent once every answer is there.

    The device gets ``script.data`` in frames, as fast as it grants them, or with ``raw`` just those
    bytes; what it sends is taken out of its frames likewise. A DONE has ``report_bytes``.
    ``gap`` idle cycles follow
    each byte in both directions (a UART of c cycles a bit has 10 c - 1); with ``stall`` non-zero
    both streams pause at random, with that seed. With ``trace`` the state of each neuron in each
    step is recorded. ``expect_bytes`` ends the run after so many bytes instead of by answers.
    Setting ``cancel`` from another thread ends the run with :class:`Cancelled`.

    Raises :class:`DeviceSilent` if nothing moves for ``patience`` clock cycles,
    :class:`DeviceRefused` if the device answers ERROR, :class:`~.process.StageTimedOut` after
    ``timeout`` seconds of wall time.
    """
    require_packages(_PURPOSE, {"cocotb": "cocotb"}, "sim")
    started = time.monotonic()
    job = {
        "answers": script.answers,
        "report_bytes": report_bytes,
        "read_sizes": list(script.read_sizes),
        "bytes": expect_bytes,
        "patience": patience,
        "test_module": f"{__package__}.bench_device",
        "plusargs": {"trace": int(trace), "gap": gap, "stall": stall, "raw": int(raw)},
    }
    with termination_unwinds(), tempfile.TemporaryDirectory(prefix="spikec-run-") as name:
        folder = Path(name)
        (folder / "rx.bin").write_bytes(script.data)
        (folder / "tx.bin").touch()
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        starter = Path(__file__).with_name("start_simulator.py")
        run_stage(
            "simulate",
            [sys.executable, "-P", str(starter), str(build.folder)],
            cwd=folder,
            log=folder / "simulate.log",
            timeout=timeout,
            env=_run_environment(),
            poll=_watcher(folder, script, progress, cancel),
        )
        outcome = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
        _check(outcome, script, patience)
        tx = (folder / "tx.bin").read_bytes()
        records = np.fromfile(folder / "trace.bin", TRACE_RECORD) if trace else _no_trace()
    return SimulationResult(tx, records, outcome["cycles"], time.monotonic() - started)


def run_devices(
    build: SimulatorBuild,
    scripts: Sequence[Script],
    *,
    report_bytes: int,
    raw: bool = False,
    trace: bool = False,
    gap: int = 0,
    stall: int = 0,
    patience: int = 2_000_000,
    timeout: float = 600.0,
    progress: Callable[[int, Progress], None] | None = None,
) -> list[SimulationResult]:
    """Play each script to a device of its own, all at once; results in the scripts' order.

    Options are those of :func:`run_device`; ``progress`` is also given the script's number, and
    is called from other threads. The first failure, Ctrl-C or SIGTERM ends all of them.
    """
    stop = threading.Event()

    def one(number: int) -> SimulationResult:
        def report(state: Progress) -> None:
            if progress is not None:
                progress(number, state)

        return run_device(
            build,
            scripts[number],
            report_bytes=report_bytes,
            raw=raw,
            trace=trace,
            gap=gap,
            stall=stall,
            patience=patience,
            timeout=timeout,
            progress=report if progress is not None else None,
            cancel=stop,
        )

    if not scripts:
        return []
    with termination_unwinds(), ThreadPoolExecutor(len(scripts)) as pool:
        runs = [pool.submit(one, number) for number in range(len(scripts))]
        try:
            # Whichever fails first ends the wait, not the one that happens to be asked first.
            for run in as_completed(runs):
                run.result()
        except BaseException:
            # The pool waits for its threads before anything else can happen.
            stop.set()
            raise
        return [run.result() for run in runs]


@contextlib.contextmanager
def device_terminal(build: SimulatorBuild, *, timeout: float = 30.0) -> Iterator[str]:
    """Run a device behind a pseudo-terminal, whose name is the value, until the block is left.

    What is written to the terminal arrives on the device's line, and the other way round; the
    device's clock stands still while there is nothing to do. Of a device behind SPI, each byte
    written is exchanged for one to read. Raises
    :class:`~.process.StageFailed` if the simulator does not come up.
    """
    require_packages(_PURPOSE, {"cocotb": "cocotb"}, "sim")
    job = {
        "parent": os.getpid(),
        "test_module": f"{__package__}.terminal_device",
        "plusargs": {"trace": 0, "gap": 0, "stall": 0, "raw": 1},
    }
    with termination_unwinds(), tempfile.TemporaryDirectory(prefix="spikec-port-") as name:
        folder = Path(name)
        (folder / "rx.bin").touch()
        (folder / "tx.bin").touch()
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        starter = Path(__file__).with_name("start_simulator.py")
        with background_stage(
            "simulate",
            [sys.executable, "-P", str(starter), str(build.folder)],
            cwd=folder,
            log=folder / "simulate.log",
            env=_run_environment(),
        ) as wait:
            ready = folder / "port.json"
            deadline = time.monotonic() + timeout
            while not ready.exists():
                wait()
                if time.monotonic() > deadline:
                    raise StageTimedOut("simulate", f"was not ready after {timeout:g} s", "")
            yield str(json.loads(ready.read_text(encoding="utf-8"))["port"])


def _no_trace() -> NDArray[Any]:
    return np.empty(0, TRACE_RECORD)


def _check(outcome: dict[str, Any], script: Script, patience: int) -> None:
    where = (
        f"at clock cycle {outcome['cycles']:,}, after {outcome['sent']:,} of "
        f"{len(script.data):,} bytes were taken and {outcome['answers']:,} of "
        f"{script.answers:,} answers given"
    )
    match outcome["status"]:
        case "hung":
            raise DeviceSilent(
                f"the device did nothing for {patience:,} clock cycles {where} "
                f"({outcome['received']:,} bytes received)"
            )
        case "refused":
            raise DeviceRefused(f"{outcome['error']} ({where})")


def _watcher(
    folder: Path,
    script: Script,
    progress: Callable[[Progress], None] | None,
    cancel: threading.Event | None,
) -> Callable[[], None]:
    def poll() -> None:
        if cancel is not None and cancel.is_set():
            raise Cancelled("the simulation was given up")
        if progress is None:
            return
        with contextlib.suppress(OSError):
            state = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
            progress(
                Progress(
                    cycles=state["cycles"],
                    sent=state["sent"],
                    bytes=len(script.data),
                    answers=state["answers"],
                    answers_due=script.answers,
                )
            )

    return poll


def _run_environment() -> dict[str, str]:
    """The user's environment without what would make cocotb run something else."""
    foreign = ("COCOTB_", "GPI_", "PYGPI_", "TOPLEVEL", "WAVES", "GUI")
    return {k: v for k, v in os.environ.items() if not k.startswith(foreign)}


@dataclass(frozen=True, slots=True)
class _Tools:
    """What a simulator is built with."""

    verilator_root: Path
    make_path: str
    compiler: str
    cocotb_share: Path
    cocotb_libs: Path
    identity: str

    def verilate(self, program: str, rest: tuple[str, ...], cocotb_main: bool) -> list[str]:
        """Verilog to C++, with cocotb's main program and libraries if wanted."""
        link = f"-Wl,-rpath,{self.cocotb_libs} -L{self.cocotb_libs} -lcocotbvpi_verilator"
        main = str(self.cocotb_share / "lib" / "verilator" / "verilator.cpp")
        # The binary itself: the perl script around it only looks for it.
        return [
            str(self.verilator_root / "bin" / "verilator_bin"),
            *_VERILATOR_OPTIONS,
            *("-Mdir", "obj", "-o", program, "-CFLAGS", "-std=c++20"),
            *(("-LDFLAGS", link, main) if cocotb_main else ()),
            *rest,
        ]

    def make(self) -> list[str]:
        """C++ to the executable."""
        jobs = str(min(4, os.cpu_count() or 1))
        return [
            *(self.make_path, "-s", "-j", jobs, "-C", "obj", "-f", "Vtop.mk"),
            *(f"CXX={self.compiler}", "PYTHON3=python", *_OPTIMISATION),
            # The sources include the header anyway; g++ now and then refuses a precompiled one.
            *("VK_PCH_I_FAST=", "VK_PCH_I_SLOW="),
        ]

    def environment(self, folder: Path) -> dict[str, str]:
        """Variables for both; ``python`` is this interpreter whatever PATH says."""
        shims = folder / "bin"
        shims.mkdir()
        shim = shims / "python"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        shim.chmod(0o755)
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "CXXFLAGS"))}
        clean["VERILATOR_ROOT"] = str(self.verilator_root)
        clean["PATH"] = f"{shims}{os.pathsep}{clean.get('PATH', '')}"
        return clean


def _find_tools() -> _Tools:
    """Return the tools, or raise :class:`ToolchainMissing` naming all that are missing."""
    require_packages(_PURPOSE, {"cocotb": "cocotb", "verilator": "verilator"}, "sim")
    programs = {"make": shutil.which("make"), "c++": _compiler()}
    absent = tuple(name for name, where in programs.items() if where is None)
    if absent:
        mend = "apt-get install " + " ".join("g++" if n == "c++" else n for n in absent)
        raise ToolchainMissing(absent, mend, _PURPOSE, "or your system's way to install them")
    import cocotb_tools.config

    compiler = str(programs["c++"])
    root = _package_folder("verilator")
    libs = Path(str(cocotb_tools.config.libs_dir))
    return _Tools(
        verilator_root=root,
        make_path=str(programs["make"]),
        compiler=compiler,
        cocotb_share=Path(str(cocotb_tools.config.share_dir)),
        cocotb_libs=libs,
        identity="\n".join(_identity(compiler, root, libs)),
    )


def _package_folder(name: str) -> Path:
    """Where a package is, without running it."""
    spec = util.find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places or ("",))))


def _compiler() -> str | None:
    return next((p for p in map(shutil.which, ("c++", "g++", "clang++")) if p), None)


def _identity(compiler: str, root: Path, libs: Path) -> Iterator[str]:
    """What a build depends on besides the design."""
    asked = subprocess.run(
        [compiler, "--version"], capture_output=True, text=True, timeout=20, check=False
    )
    yield asked.stdout
    # The executable refers to the libraries by their place.
    yield f"verilator {metadata.version('verilator')} {root}"
    yield f"cocotb {metadata.version('cocotb')} {libs}"
