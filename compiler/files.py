"""Files that a verb, an example or a script writes: whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..ir.diagnostics import Location, fail


def write_file(path: Path, data: bytes) -> None:
    """Write one file whole or not at all; E0604 when the place refuses."""
    if not path.name:
        raise fail("E0604", "cannot write: this is a folder", Location(str(path)))
    draft = path.with_name(f".{path.name}.part")
    try:
        make_folder(path.parent)
        try:
            draft.write_bytes(data)
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise fail("E0604", f"cannot write: {error.strerror}", Location(str(path))) from None


def make_folder(path: Path) -> None:
    """Make a folder and those above it; E0604 when the place refuses."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise fail("E0604", f"cannot make the folder: {what}", Location(str(path))) from None


def csv_bytes(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A table as a file of comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return text.getvalue().encode()
