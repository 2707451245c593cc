"""Bars for long work, on a terminal only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from .backend import Progress, no_progress


@contextlib.contextmanager
def bars(console: Console | None = None, silent: bool = False) -> Iterator[Progress]:
    """A bar for each stage on standard error; nothing where that is no terminal."""
    if silent or not sys.stderr.isatty():
        yield no_progress
        return
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TimeElapsedColumn())
    err = Console(stderr=True) if console is None else console
    with Bars(*columns, console=err, transient=True) as shown:
        tasks: dict[str, Any] = {}

        def watch(stage: str, share: float) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(stage, total=1.0)
            shown.update(tasks[stage], completed=share)

        yield watch
