"""Which board would have room for what another one has not."""

from __future__ import annotations

import functools
from collections.abc import Callable

from ...boards.board import Target, board_names, load_board


def larger_board(has_room: Callable[[Target], bool], otherwise: str = "") -> str:
    """What to do ``otherwise``, or a board with room; or that none has.

    It is the one of least memory, and one that spikec can build itself if there is any.
    """
    for target in _targets():
        if has_room(target):
            board = f"choose a larger board, such as {target.name} ('spikec targets')"
            return f"{otherwise}, or {board}" if otherwise else board
    none = "spikec knows no board with room for it"
    return f"{otherwise}: {none}" if otherwise else none


@functools.cache
def _targets() -> tuple[Target, ...]:
    boards = [load_board(name) for name in board_names()]
    boards.sort(key=lambda board: (board.flow != "open", memory_bits(board.target)))
    return tuple(board.target for board in boards)


def memory_bits(target: Target) -> int:
    """Bits of block memory that a device has."""
    return 0 if target.block_memory is None else target.block_memory.bits
