"""What verbs say: results on standard output, diagnostics and progress on standard error."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...ir.diagnostics import Diagnostic, Severity
from ..backend import Progress as Watcher
from ..progress import bars

_UNLIMITED = 10_000
_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


class Report:
    """Collects what one verb has to say, as text for people or as one JSON object."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        # A pipe has no width: nothing is cut there, so that grep and diff see whole cells.
        width = None if sys.stdout.isatty() else _UNLIMITED
        self._out = Console(highlight=False, soft_wrap=True, width=width)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def dump(self, text: str) -> None:
        """Text that another program reads; what is for people moves to standard error."""
        if not self.as_json:
            sys.stdout.write(text)
            self._out = self._err

    def line(self, text: str = "") -> None:
        """One line for a person."""
        if not self.as_json:
            self._out.print(text, markup=False)

    def table(self, title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
        """A table for a person."""
        if self.as_json:
            return
        table = Table(title=title or None, title_justify="left", header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            # Text, since in a str `[spi]` would be a style.
            table.add_row(*(Text(str(cell)) for cell in row))
        self._out.print(table)

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        """Diagnostics go to standard error in both forms."""
        for diagnostic in found:
            head, _, rest = str(diagnostic).partition(":")
            self._err.print(head, style=_STYLES[diagnostic.severity], markup=False, end="")
            self._err.print(":" + rest, markup=False)

    def data(self, value: Any) -> None:
        """The JSON object of the verb."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, indent=1, sort_keys=True, default=_plain) + "\n")

    @contextlib.contextmanager
    def progress(self) -> Iterator[Watcher]:
        """A progress bar on a terminal; silence in a pipe."""
        with bars(self._err, silent=self.as_json) as watch:
            yield watch


def many(count: int, what: str) -> str:
    """``1 core``, ``1,024 cores``."""
    return f"{count:,} {what}{'s' * (count != 1)}"


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")
