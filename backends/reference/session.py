"""Brian2, borrowed: imported without its side effects, and left as it was found."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...ir.diagnostics import fail

# Fused products and reordered sums would round differently from the numpy code.
_COMPILER_FLAGS = ["-w", "-O2", "-ffp-contract=off", "-std=c++11"]


def load_brian() -> Any:
    """The module ``brian2``; E0601 when it is missing or does not fit the installed numpy.

    Importing it takes over the interrupt signal, ``sys.excepthook`` and ``warnings``; all three
    are given back.
    """
    if "brian2" in sys.modules:
        return sys.modules["brian2"]
    hook, handler = sys.excepthook, signal.getsignal(signal.SIGINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            show = warnings.showwarning
            try:
                import brian2
            finally:
                if warnings.showwarning is not show:
                    logging.captureWarnings(False)
    except (ImportError, AttributeError) as error:
        raise fail(
            "E0601",
            f"the golden reference needs Brian2, which cannot be imported: {error}",
            hint="pip install 'spikec[golden]'",
        ) from error
    finally:
        sys.excepthook = hook
        if threading.current_thread() is threading.main_thread() and handler is not None:
            signal.signal(signal.SIGINT, handler)
    return brian2


def compiler_missing() -> str | None:
    """The first program that C++ standalone mode needs and PATH lacks, or None."""
    if sys.platform == "win32":
        return "g++ and make (standalone mode is for Unix)"
    for program in (os.environ.get("CXX", "g++").split()[0], "make"):
        if shutil.which(program) is None:
            return program
    return None


@contextmanager
def session(brian: Any, folder: Path | None) -> Iterator[Any]:
    """Brian2's device, silent and with exact arithmetic; everything is restored at the end.

    In memory with numpy code when ``folder`` is None, else a C++ project in that folder.
    """
    preferences = {
        "codegen.target": "numpy",
        "core.default_float_dtype": brian.float64,
        "core.default_integer_dtype": brian.int32,
        "core.stop_on_keyboard_interrupt": False,
        "codegen.cpp.extra_compile_args": _COMPILER_FLAGS,
        "devices.cpp_standalone.openmp_threads": 0,
        "devices.cpp_standalone.run_environment_variables": {},
    }
    log = logging.getLogger("brian2")
    level = log.level
    saved = {name: brian.prefs[name] for name in preferences}
    try:
        log.setLevel(logging.CRITICAL + 1)
        for name, value in preferences.items():
            brian.prefs[name] = value
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if folder is None:
                brian.set_device("runtime")
            else:
                # A device of its own: one that the caller is using stays untouched.
                from brian2.devices.cpp_standalone.device import CPPStandaloneDevice

                device = CPPStandaloneDevice()
                brian.set_device(device, build_on_run=False, directory=str(folder))
            try:
                yield brian.get_device()
            finally:
                brian.Network._globally_running = False
                brian.devices.device.reset_device()
    finally:
        for name, value in saved.items():
            brian.prefs[name] = value
        log.setLevel(level)


def build_and_run(device: Any, folder: Path) -> None:
    """Compile the C++ project of ``device`` with two jobs and run it; E0602, E0603."""
    missing = compiler_missing()
    if missing is not None:
        raise fail(
            "E0602",
            f"{missing} is not on PATH; C++ standalone mode compiles the network",
            hint="install a C++ compiler and make, or use codegen='numpy'",
        )
    environment = dict(os.environ)
    try:
        device.build(str(folder), compile=False, run=False, direct_call=False)
        # Without DEPS make would read every source twice to find dependencies that cannot change.
        _call(["make", "-j2", "DEPS="], folder)
        device.run(str(folder), "results", with_output=False)
    except RuntimeError as error:
        raise fail("E0603", f"the simulation ended with an error: {error}") from error
    finally:
        os.environ.clear()
        os.environ.update(environment)


def _call(command: list[str], folder: Path) -> None:
    log = folder / "make.log"
    with log.open("w") as out:
        # Its own process group: on an interrupt the compilers end with make.
        process = subprocess.Popen(
            command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if code:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
        raise fail("E0603", f"{command[0]} ended with code {code}:\n{tail}")
