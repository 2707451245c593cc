"""docs/boards.md says what the board files say."""

from __future__ import annotations

from pathlib import Path

from spikec.boards.board import Board, board_names, load_board

PAGE = Path(__file__).resolve().parents[2] / "docs" / "boards.md"


def row(board: Board) -> str:
    """The table's line for a board, as its file has it."""
    target = board.target
    cells = [c for c in target.cells if c.cell not in {m.cell for m in target.memories}]
    logic = f"{int(cells[0].available.value):,} {cells[0].cell}"
    memory = ", ".join(
        f"{int(m.count.value)} {m.cell} ({m.bits // 1024:,} kbit)" for m in target.memories
    )
    clocks = ", ".join(f"{f / 1e6:g}" for f in board.clock_frequencies())
    flow = {"open": "open tools", "vivado": "Vivado, by you"}[board.flow]
    return f"| `{board.name}` | {target.device} | {logic} | {memory} | {clocks} | {flow} |"


def table() -> list[str]:
    """The rows of the page, by the names of the boards."""
    return [row(load_board(name)) for name in board_names()]


def test_the_table_is_that_of_the_board_files() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("| `")] == table()


def test_every_host_link_and_programmer_is_on_the_page() -> None:
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    for board in map(load_board, board_names()):
        assert f"`{board.programmer}`" in text
        if board.target.note:
            assert board.name in text
