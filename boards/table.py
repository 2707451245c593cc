"""The strict reader of hardware files: one TOML table at a time, every complaint by its key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, cast

from .quantity import OBTAINED, Obtained, Quantity


class BoardError(ValueError):
    """A file of hardware that cannot be used, or hardware that does not exist.

    ``code`` is stable (``board-syntax``, ``board-missing``, ``board-unknown-key``, ``board-type``,
    ``board-value``, ``board-unknown``, ``board-unreadable``), ``where`` is the file and the key in
    it, ``hint`` what to do.
    """

    def __init__(self, code: str, where: str, message: str, hint: str = "") -> None:
        super().__init__(f"{where}: {message}" + (f" ({hint})" if hint else ""))
        self.code = code
        self.where = where
        self.message = message
        self.hint = hint


def read_table(text: str, origin: str) -> Table:
    """The top table of a file's text. ``origin`` is the file's name, for messages."""
    try:
        return Table(tomllib.loads(text), origin, "")
    except tomllib.TOMLDecodeError as error:
        raise BoardError("board-syntax", origin, f"is not TOML: {error}") from error


def read_own_file(path: Path) -> str:
    """The text of a file of the user's own."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BoardError("board-unreadable", str(path), f"cannot be read: {error}") from error


def no_such(what: str, name: str, names: tuple[str, ...]) -> BoardError:
    """What to raise where ``name`` is none of ``names``: the closest of them, else all."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
    return BoardError("board-unknown", name, f"no such {what}", hint)


def check_name(said: str, name: str, origin: str) -> None:
    """Raise where the file called ``name`` says another name."""
    if said != name:
        raise BoardError(
            "board-value",
            f"{origin}: name",
            f"says {said!r} in a file called {name}.toml",
            "the two must be the same",
        )


def did_you_mean(key: str, known: Iterable[str]) -> str:
    """What to say of a key that is none of ``known``."""
    near = difflib.get_close_matches(key, tuple(known), n=1)
    return "is not a known key" + (f"; did you mean {near[0]!r}?" if near else "")


# Whole numbers go up to here, so that sums over millions of neurons stay within 64 bits.
MOST: Final = 1 << 40
# And other numbers below here, which an integer of TOML need not be.
_LARGEST: Final = 1e300
# What the name of a cost ends with says its unit: a power in milliwatts is refused, not misread.
_COST_UNITS: Final = {
    "energy": "J",
    "time": "s",
    "power": "W",
    "frequency": "Hz",
    "rate": "1/s",
    "cycles": "cycles",
}


class Table:
    """One TOML table being read: knows its place for messages and which keys were asked for.

    What is not there, of another type or out of its bounds is a :class:`BoardError`.
    """

    def __init__(self, data: Mapping[str, object], origin: str, path: str) -> None:
        self._data = data
        self._origin = origin
        self._path = path
        self._asked: set[str] = set()

    def error(self, code: str, key: str, message: str, hint: str = "") -> BoardError:
        """What to raise about a key: its place in the file goes before the message."""
        place = f"{self._path}.{key}" if self._path else key
        return BoardError(code, f"{self._origin}: {place}", message, hint)

    def _get(self, key: str) -> object:
        self._asked.add(key)
        if key not in self._data:
            near = difflib.get_close_matches(key, [k for k in self._data if k not in self._asked])
            hint = f"the file has {near[0]!r}; did you mean that?" if near else ""
            raise self.error("board-missing", key, "is missing", hint)
        return self._data[key]

    def _wrong(self, key: str, wanted: str, found: object) -> BoardError:
        return self.error("board-type", key, f"must be {wanted}, not {found!r}")

    def text(self, key: str) -> str:
        """A non-empty string."""
        found = self._get(key)
        if not isinstance(found, str) or not found:
            raise self._wrong(key, "a non-empty string", found)
        return found

    def optional_text(self, key: str) -> str | None:
        """A non-empty string, ``None`` without the key."""
        self._asked.add(key)
        return self.text(key) if key in self._data else None

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of non-empty strings."""
        found = self._get(key)
        if not isinstance(found, list) or not all(isinstance(one, str) and one for one in found):
            raise self._wrong(key, "a list of non-empty strings", found)
        return tuple(found)

    def number(self, key: str) -> float:
        """A finite number above zero."""
        found = self._get(key)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise self._wrong(key, "a number", found)
        if not 0 < found < _LARGEST:
            raise self.error("board-value", key, f"must be above zero and finite, not {found!r}")
        return float(found)

    def real(self, key: str) -> float:
        """A finite number of either sign."""
        return self._real(key, self._get(key))

    def reals(self, key: str) -> tuple[float, ...]:
        """A list of finite numbers of either sign, at least one."""
        found = self._get(key)
        if not isinstance(found, list) or not found:
            raise self._wrong(key, "a list of numbers", found)
        return tuple(self._real(f"{key}[{i}]", value) for i, value in enumerate(found))

    def _real(self, key: str, found: object) -> float:
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise self._wrong(key, "a number", found)
        if not abs(found) < _LARGEST:
            raise self.error("board-value", key, f"must be finite, not {found!r}")
        return float(found)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of ``choices``."""
        found = self.text(key)
        if found not in choices:
            raise self.error(
                "board-value", key, f"must be one of {', '.join(choices)}, not {found!r}"
            )
        return found

    def boolean(self, key: str) -> bool:
        """True or false."""
        found = self._get(key)
        if not isinstance(found, bool):
            raise self._wrong(key, "true or false", found)
        return found

    def integer(self, key: str, low: int, high: int | None = None) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        found = self._get(key)
        if not isinstance(found, int) or isinstance(found, bool):
            raise self._wrong(key, "an integer", found)
        if found < low or (high is not None and found > high):
            span = f"at least {low}" if high is None else f"from {low} to {high}"
            raise self.error("board-value", key, f"must be {span}, not {found}")
        return found

    def integers(self, key: str, low: int, count: int | None = None) -> tuple[int, ...]:
        """A list of whole numbers from ``low`` on, as many as ``count`` if that is given."""
        return self._integers(key, self._get(key), low, count)

    def pair(self, key: str, low: int) -> tuple[int, int]:
        """Two whole numbers from ``low`` on."""
        first, second = self.integers(key, low, 2)
        return first, second

    def optional_pairs(self, key: str, low: int) -> tuple[tuple[int, int], ...]:
        """A list of lists of two whole numbers from ``low`` on, empty without the key."""
        self._asked.add(key)
        found = self._data.get(key, [])
        if not isinstance(found, list):
            raise self._wrong(key, "a list of pairs", found)
        every = (self._integers(f"{key}[{i}]", item, low, 2) for i, item in enumerate(found))
        return tuple((first, second) for first, second in every)

    def _integers(self, key: str, found: object, low: int, count: int | None) -> tuple[int, ...]:
        wanted = "a list of integers" if count is None else f"a list of {count} integers"
        if not isinstance(found, list) or len(found) != (len(found) if count is None else count):
            raise self._wrong(key, wanted, found)
        for value in found:
            if not isinstance(value, int) or isinstance(value, bool):
                raise self._wrong(key, wanted, found)
            if value < low:
                raise self.error("board-value", key, f"must be at least {low} each, not {value}")
        return tuple(found)

    def has(self, key: str) -> bool:
        """Whether the table has this key."""
        return key in self._data

    @property
    def names(self) -> tuple[str, ...]:
        """The keys of this table, in the file's order."""
        return tuple(self._data)

    def scalars(self) -> dict[str, int | str]:
        """All keys of this table, each a whole number or a string."""
        found: dict[str, int | str] = {}
        for key in self._data:
            value = self._get(key)
            if isinstance(value, bool) or not isinstance(value, int | str):
                raise self._wrong(key, "an integer or a string", value)
            found[key] = value
        return found

    def table(self, key: str) -> Table:
        """The table below a key."""
        found = self._get(key)
        if not isinstance(found, dict):
            raise self._wrong(key, "a table", found)
        return self._child(key, found)

    def optional_table(self, key: str) -> Table | None:
        """The table below a key, ``None`` without the key."""
        self._asked.add(key)
        return self.table(key) if key in self._data else None

    def tables(self, key: str, *, required: bool = True) -> list[Table]:
        """A list of tables, empty without the key unless ``required``."""
        self._asked.add(key)
        if not required and key not in self._data:
            return []
        found = self._get(key)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self._wrong(key, f"a list of tables ([[{key}]])", found)
        return [self._child(f"{key}[{i}]", item) for i, item in enumerate(found)]

    def _child(self, key: str, data: Mapping[str, object]) -> Table:
        return Table(data, self._origin, f"{self._path}.{key}" if self._path else key)

    def quantity(
        self, key: str, *, unit: str | None = None, whole: bool = False, zero: bool = False
    ) -> Quantity:
        """A number with ``value``, ``unit``, ``how`` and ``source``.

        It is finite and above zero or, with ``zero``, not below.
        """
        table = self.table(key)
        value = table._get("value")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise table._wrong("value", "a number", value)
        if not abs(value) < _LARGEST or value < 0 or (value == 0 and not zero):
            wanted = "zero or more" if zero else "above zero"
            raise table.error("board-value", "value", f"must be {wanted}, not {value!r}")
        if whole and value != int(value):
            raise table.error("board-value", "value", f"must be a whole number, not {value!r}")
        if whole and value > MOST:
            raise table.error("board-value", "value", f"must be at most {MOST:,}, not {value!r}")
        found_unit = table.text("unit")
        if unit is not None and found_unit != unit:
            raise table.error("board-value", "unit", f"must be {unit!r}, not {found_unit!r}")
        obtained = table.obtained()
        quantity = Quantity(float(value), found_unit, table.text("source"), obtained)
        table.finish()
        return quantity

    def obtained(self) -> Obtained:
        """The key ``how``."""
        return cast("Obtained", self.choice("how", OBTAINED))

    def optional_quantity(
        self, key: str, *, unit: str | None = None, whole: bool = False
    ) -> Quantity | None:
        """A number above zero, ``None`` without the key."""
        self._asked.add(key)
        return self.quantity(key, unit=unit, whole=whole) if key in self._data else None

    def cost(self, key: str) -> Quantity:
        """A number above zero in the unit that the end of its name says."""
        kind = key.rpartition("_")[2]
        if kind not in _COST_UNITS:
            known = ", ".join(f"_{k}" for k in _COST_UNITS)
            raise self.error("board-unknown-key", key, f"must end with one of {known}")
        return self.quantity(key, unit=_COST_UNITS[kind])

    def all_quantities(self) -> dict[str, Quantity]:
        """All keys of this table, each a number above zero."""
        return {key: self.quantity(key) for key in self._data}

    def finish(self) -> None:
        """Refuse keys nobody asked for: a misspelt key must not become a silent default."""
        for key in self._data:
            if key not in self._asked:
                raise self.error("board-unknown-key", key, did_you_mean(key, sorted(self._asked)))
