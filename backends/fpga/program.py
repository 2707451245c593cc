"""Programming a board with the vendor-neutral tools, when one is on PATH."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from pathlib import Path

from ...boards.board import Board
from ..process import run_stage
from .toolchain import ToolchainMissing

__all__ = ["program_board"]

_PURPOSE = "programming the board"
# What loads bitstreams, and Debian's packages.
LOADER_PACKAGES = {
    "openFPGALoader": "openfpgaloader",
    "iceprog": "fpga-icestorm",
    "dfu-util": "dfu-util",
}
# openFPGALoader knows these boards by name, whatever tool the board file prefers.
_LOADER_BOARDS = {"icebreaker": "ice40_generic", "ulx3s": "ulx3s", "orangecrab": "orangecrab"}


def program_board(board: Board, filename: str, bitstream: bytes, timeout: float = 300.0) -> str:
    """Send a bitstream to a board and return the command that did it.

    The board file's programmer is used, else openFPGALoader. Raises
    :class:`~.toolchain.ToolchainMissing` if there is neither, and
    :class:`~.process.StageFailed` with the tool's words.
    """
    command = _command(board)
    with tempfile.TemporaryDirectory(prefix="spikec-program-") as name:
        folder = Path(name)
        (folder / filename).write_bytes(bitstream)
        run_stage(
            "program",
            [*command, filename],
            cwd=folder,
            log=folder / "program.log",
            timeout=timeout,
        )
    return shlex.join([*command, filename])


def _command(board: Board) -> list[str]:
    wanted = shlex.split(board.programmer)
    if shutil.which(wanted[0]) is not None:
        return wanted
    family = board.name.partition("-")[0]
    if family in _LOADER_BOARDS and shutil.which("openFPGALoader") is not None:
        return ["openFPGALoader", "-b", _LOADER_BOARDS[family]]
    names = tuple(dict.fromkeys([wanted[0], "openFPGALoader"]))
    packages = " or ".join(LOADER_PACKAGES.get(name, name) for name in names)
    raise ToolchainMissing(
        names[:1], f"apt-get install {packages}", _PURPOSE, f"then: {board.programmer} BITSTREAM"
    )
