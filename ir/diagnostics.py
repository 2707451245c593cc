"""Coded diagnostics: what is wrong, where, by how much, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from .codes import CODES, Code


class Severity(StrEnum):
    """How much a diagnostic weighs; only an error stops the compiler."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Location:
    """Where something came from: a file and a node of it, or a line of the user's text."""

    file: str | None = None
    node: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = self.file or "<graph>"
        if self.line is not None:
            place += f":{self.line}"
        return f"{place}: node '{self.node}'" if self.node is not None else place


NOWHERE = Location()


@dataclass(frozen=True)
class Diagnostic:
    """One finding.

    ``message`` says what and by how much, ``where`` the place, ``hint`` what to do. The long form
    of ``code`` is what ``spikec explain CODE`` prints.
    """

    code: str
    message: str
    where: Location = NOWHERE
    hint: str | None = None

    def __post_init__(self) -> None:
        if self.code not in CODES:
            raise KeyError(f"diagnostic code {self.code} is not in the catalogue ir/codes.py")

    @property
    def entry(self) -> Code:
        """The catalogue's entry of this code."""
        return CODES[self.code]

    @property
    def severity(self) -> Severity:
        """Error, warning or note, from the first letter of the code."""
        return {"E": Severity.ERROR, "W": Severity.WARNING, "N": Severity.NOTE}[self.code[0]]

    def __str__(self) -> str:
        text = f"{self.severity} {self.code}: {self.message}"
        if self.where != NOWHERE:
            text += f"\n  at {self.where}"
        if self.hint:
            text += f"\n  help: {self.hint}"
        return text

    def as_dict(self) -> dict[str, str | int | None]:
        """The diagnostic as JSON-ready data."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "message": self.message,
            "file": self.where.file,
            "node": self.where.node,
            "line": self.where.line,
            "hint": self.hint,
        }


class SpikecError(Exception):
    """One or more errors that stop the work; carries every diagnostic collected so far."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__(self.diagnostics)  # what pickle hands to __init__ in another process

    def __str__(self) -> str:
        return "\n".join(str(d) for d in self.diagnostics)

    @property
    def exit_code(self) -> int:
        """2 for a wrong model or option, 3 when only the environment is at fault."""
        errors = [d for d in self.diagnostics if d.severity is Severity.ERROR]
        return 3 if errors and all(d.entry.environment for d in errors) else 2


def fail(
    code: str, message: str, where: Location = NOWHERE, hint: str | None = None
) -> SpikecError:
    """A ``SpikecError`` of one diagnostic, to be raised by the caller."""
    return SpikecError([Diagnostic(code, message, where, hint)])


@dataclass
class Diagnostics:
    """A collector: findings are gathered, and raised together at a check point."""

    found: list[Diagnostic] = field(default_factory=list)

    def add(
        self, code: str, message: str, where: Location = NOWHERE, hint: str | None = None
    ) -> None:
        """Collect one finding."""
        self.found.append(Diagnostic(code, message, where, hint))

    def extend(self, diagnostics: Iterable[Diagnostic]) -> None:
        """Collect several findings."""
        self.found.extend(diagnostics)

    @property
    def errors(self) -> list[Diagnostic]:
        """The findings that stop the compiler."""
        return [d for d in self.found if d.severity is Severity.ERROR]

    def raise_errors(self) -> None:
        """Raise everything found, if an error is among it."""
        if self.errors:
            raise SpikecError(self.found)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)
