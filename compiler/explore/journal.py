"""The journal of an exploration: one JSON line for each finished evaluation, never rewritten.

The first line says what the results belong to; every further line is a `Result`. A line is on the
disk before the next evaluation is waited for, so that a kill, a full disk or a power cut costs at
most the line that was being written. Such an end without a newline is cut off and told (W0907).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from ...ir.diagnostics import Diagnostics, Location, SpikecError, fail
from .point import Result

JOURNAL: Final = "journal.jsonl"
FORMAT: Final = 1


@dataclass
class Journal:
    """An open journal: ``results`` by the digest of their points."""

    path: Path
    file: IO[bytes]
    results: dict[str, Result] = field(default_factory=dict)
    resumed: int = 0

    def add(self, result: Result) -> None:
        """Keep a result for good; one that is known already is not written twice."""
        if result.point.digest in self.results:
            return
        self.results[result.point.digest] = result
        self._write(result.as_dict())

    def _write(self, data: Mapping[str, Any]) -> None:
        line = json.dumps(data, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        try:
            self.file.write(line)
            self.file.flush()
            os.fsync(self.file.fileno())
        except OSError as error:
            raise _refused(self.path, error) from None


@contextlib.contextmanager
def open_journal(folder: Path, header: Mapping[str, Any], found: Diagnostics) -> Iterator[Journal]:
    """The journal of ``folder``, begun or resumed, and nobody else's meanwhile.

    ``header`` is what the results depend on. E0902 for a journal of something else, E0903 while
    another run writes it, E0904 for one that is damaged, E0604 where it cannot be written.
    """
    path = folder / JOURNAL
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strange = sorted(p.name for p in folder.iterdir())
        if strange and not path.exists():
            raise fail(
                "E0604",
                f"the output holds {strange[0]}, which no exploration wrote",
                Location(str(folder)),
                "choose another -o, or remove it",
            )
        file = path.open("a+b")
    except OSError as error:
        raise _refused(path, error) from None
    with file:
        _lock(file, path)
        journal = Journal(path, file)
        _read(journal, {"format": FORMAT, **header}, found)
        yield journal


def _refused(path: Path, error: OSError) -> SpikecError:
    what = error.strerror or type(error).__name__
    return fail("E0604", f"cannot write: {what}", Location(str(path)))


def _lock(file: IO[bytes], path: Path) -> None:
    """Take the file; the lock ends with the process, however that ends."""
    try:
        import fcntl
    except ImportError:  # no such locks on Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise fail(
            "E0903",
            "another run is writing this journal",
            Location(str(path)),
            "wait for it, stop it, or choose another -o",
        ) from None


def _read(journal: Journal, header: Mapping[str, Any], found: Diagnostics) -> None:
    file, where = journal.file, Location(str(journal.path))
    file.seek(0)
    data = file.read()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        found.add(
            "W0907",
            f"the last line was cut short after {len(data) - whole} bytes: its point is evaluated "
            "again",
            where,
        )
        file.truncate(whole)
    lines = data[:whole].splitlines()
    if not lines:
        journal._write(header)
        return
    _check_header(lines[0], header, where)
    for number, line in enumerate(lines[1:], 2):
        try:
            result = Result.from_dict(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            at = Location(str(journal.path), line=number)
            hint = "remove that line: its point is evaluated again"
            raise fail("E0904", f"this line is no result: {error}", at, hint) from None
        journal.results.setdefault(result.point.digest, result)
    journal.resumed = len(journal.results)


def _check_header(line: bytes, header: Mapping[str, Any], where: Location) -> None:
    hint = "choose another -o for another exploration"
    try:
        said = json.loads(line)
        if not isinstance(said, dict):
            raise ValueError("it is no table")
    except (ValueError, RecursionError) as error:
        message = f"the first line says nothing of an exploration: {error}"
        raise fail("E0904", message, where, hint) from None
    other = [key for key in header if said.get(key) != header[key]]
    if other:
        pairs = "; ".join(f"{k} was {_short(said.get(k))}, is {_short(header[k])}" for k in other)
        raise fail("E0902", f"these results are of something else: {pairs}", where, hint)


def _short(value: object) -> str:
    word = str(value)
    return word if len(word) <= 16 else word[:12] + "…"
