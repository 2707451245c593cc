"""The canonical text of a graph: ``parse(text(g)) == g``, bit for bit.

One line a node. Arrays of at most 16 elements stand in the line; larger ones in ``data`` lines at
the end, zlib and base64, little endian. Nothing in the text is ever executed. The same graph gives
the same text everywhere but for the compressed bytes, which are those of the zlib in use.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import MISSING, fields
from enum import StrEnum
from math import prod
from types import UnionType
from typing import Any, NoReturn, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from .connections import CONNECTIONS
from .diagnostics import NOWHERE, Location, fail
from .graph import Graph, Input, Output, Population, Probe, Projection, Tied
from .homeostasis import AdaptiveThreshold, Norm, Occasion, Scaling
from .loihi import LoihiWeights, Sign
from .neurons import MODELS, Activation, Kernel, Receptor
from .numerics import Format, Numerics, Overflow, Rounding
from .plasticity import (
    Accumulation,
    Coincidence,
    Dependence,
    Pairing,
    Plasticity,
    Response,
    Trace,
    TraceDecay,
    Transmit,
    Update,
    Window,
)
from .records import Record, frozen_array, plain, written
from .rules import RULES
from .semantics import (
    Comparison,
    Current,
    Decay,
    Gain,
    IntegratorGain,
    Reset,
    Semantics,
)
from .short_term import TsodyksMarkram

_Array = npt.NDArray[Any]

HEADER = "spikec-graph 1"
INLINE = 16  # elements of the largest array that stands in the line

_KINDS: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        *(*MODELS, *CONNECTIONS, Semantics, Numerics, Format),
        *(*RULES, Plasticity, Trace, Update, Tied),
        *(Receptor, TsodyksMarkram),
        *(AdaptiveThreshold, Scaling, LoihiWeights),
    )
}
_ENUMS: dict[str, type[StrEnum]] = {
    cls.__name__: cls
    for cls in (
        *(Comparison, Current, Decay, Gain, IntegratorGain, Reset, Rounding, Overflow),
        *(Transmit, Accumulation, TraceDecay, Response),
        *(Pairing, Window, Dependence, Coincidence, Kernel),
        *(Occasion, Norm, Sign, Activation),
    )
}
_LINES: dict[str, type[Record]] = {
    "input": Input,
    "population": Population,
    "projection": Projection,
    "output": Output,
    "probe": Probe,
}
_DTYPES: dict[str, np.dtype[Any]] = {
    "f64": np.dtype(np.float64),
    "i64": np.dtype(np.int64),
    "i32": np.dtype(np.int32),
    "b1": np.dtype(np.bool_),  # a byte each, 0 or 1
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_DEPTH = 64  # nested values: the deepest that is ever written is 5
_AXES = 32  # of an array, in every numpy since 1.26
_ELEMENTS = 1 << 48  # more than any machine holds, few enough for numpy to count
_DEFLATE_RATIO = 1032  # the most that deflate can shrink anything


def text(graph: Graph) -> str:
    """The canonical text of ``graph``."""
    arrays = _DataLines()
    return "\n".join([HEADER, *_lines(graph, arrays.name, located=True), *arrays.lines(), ""])


def digest(graph: Graph) -> str:
    """SHA-256 of ``graph`` without its source locations.

    It is taken over the canonical text with the hash of each large array in its place, so that it
    depends neither on the zlib in use nor on ``PYTHONHASHSEED``.
    """
    content = hashlib.sha256(HEADER.encode())
    for line in _lines(graph, _fingerprint, located=False):
        content.update(b"\n" + line.encode())
    return content.hexdigest()


def _lines(graph: Graph, name_array: Callable[[_Array], str], located: bool) -> Iterator[str]:
    writer = _Writer(name_array, located)
    head = f"graph {_quote(graph.name)} dt={writer.value(graph.dt)}"
    yield f"{head} dialect={writer.value(graph.dialect)}"
    groups = (graph.inputs, graph.populations, graph.projections, graph.outputs, graph.probes)
    for keyword, nodes in zip(_LINES, groups, strict=True):
        for node in nodes:
            yield writer.line(keyword, node)


def _fingerprint(array: _Array) -> str:
    return hashlib.sha256(_little_endian(array)).hexdigest()


def _little_endian(array: _Array) -> memoryview:
    return np.asarray(array, array.dtype.newbyteorder("<")).data


class _DataLines:
    """Large arrays, each once, numbered in the order in which they are first named."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[np.dtype[Any], tuple[int, ...], str], tuple[int, _Array]] = {}

    def name(self, array: _Array) -> str:
        key = (array.dtype, array.shape, _fingerprint(array))
        number, _ = self._arrays.setdefault(key, (len(self._arrays), array))
        return str(number)

    def lines(self) -> Iterator[str]:
        for number, array in self._arrays.values():
            packed = zlib.compress(_little_endian(array), 1)  # higher levels: far slower for 10 %
            yield f"data {number} {base64.b64encode(packed).decode()}"


class _Writer:
    def __init__(self, name_array: Callable[[_Array], str], located: bool) -> None:
        self._name_array, self._located = name_array, located

    def line(self, keyword: str, node: Record) -> str:
        parts = [keyword]
        for f in written(node):
            value = getattr(node, f.name)
            if f.name == "name":
                parts.append(self.value(value))
            elif not isinstance(value, Location):
                parts.append(f"{f.name}={self.value(value)}")
            elif self._located and value != NOWHERE:
                parts.append(f"at={self.value((value.file, value.node, value.line))}")
        return " ".join(parts)

    def value(self, value: Any) -> str:
        match plain(value):
            case None:
                return "none"
            case bool(value):
                return "true" if value else "false"
            case StrEnum() as member:
                return f"{type(member).__name__}.{member.name}"
            case int(number):
                return str(number)
            case float(number):
                return repr(float(number))
            case str(string):
                return _quote(string)
            case tuple(items):
                return "(" + ", ".join(map(self.value, items)) + ")"
            case np.ndarray() as array:
                return self._array(array)
        kind = type(value).__name__
        if _KINDS.get(kind) is not type(value):
            raise TypeError(f"{kind} has no canonical text")
        inner = (f"{f.name}={self.value(getattr(value, f.name))}" for f in written(value))
        return f"{kind}({', '.join(inner)})"

    def _array(self, array: _Array) -> str:
        start = f"{_DTYPE_NAMES[array.dtype]}[{'x'.join(map(str, array.shape))}]"
        if array.size <= INLINE and not _has_odd_nan(array):
            plain_bits = array.astype(np.int64) if array.dtype == np.bool_ else array
            return f"{start}<{' '.join(map(repr, plain_bits.ravel().tolist()))}>"
        return f"{start}@{self._name_array(array)}"


_NAN = np.float64("nan").tobytes()


def _has_odd_nan(array: _Array) -> bool:
    """Whether an array holds a NaN with a sign or payload that the word ``nan`` would lose."""
    return any(x.tobytes() != _NAN for x in array[np.isnan(array)])


# Control characters, whatever some reader takes for the end of a line, marks that reorder or hide
# text, and lone surrogates, which have no UTF-8. Not str.isprintable: it changes with Python.
_ESCAPED = re.compile(
    '[\x00-\x1f"\\\\\x7f-\xa0\xad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ud800-\udfff\ufeff]'
)
_ESCAPE = re.compile(r"\\u\{([0-9a-f]{1,6})\}")


def _quote(value: str) -> str:
    return '"' + _ESCAPED.sub(lambda match: f"\\u{{{ord(match[0]):x}}}", value) + '"'


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<array>(?:f64|i64|i32|b1)\[(?:[0-9]{1,19}(?:x[0-9]{1,19})*)?\](?:<[^<>"]*>|@[0-9]{1,19}))
    | (?P<string>"(?:[^"\\]|\\u\{(?:10|[0-9a-f])?[0-9a-f]{1,4}\})*")
    | (?P<number>-?(?:inf|nan|[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)(?![\w.]))
    | (?P<name>[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Z_]+)?)
    | (?P<mark>[()=,])
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"-?(?:inf|nan|[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)")
_INTEGER = re.compile(r"-?[0-9]+")


def parse(source: str, file: str | None = None) -> Graph:
    """The graph of a canonical text; ``file`` is the name that messages give it.

    Fields with a default may be left out; empty lines and lines that begin with ``#`` say nothing.
    Raises ``SpikecError`` with code E0110 and the line where the text is malformed. The graph is
    well typed but not verified. No array is larger than the text declares it, and a declaration
    that the data cannot fill allocates nothing.
    """
    lines = source.split("\n")
    if lines[0].strip() != HEADER:
        raise fail(
            "E0110",
            f"the first line must be '{HEADER}', found '{_shown(lines[0])}'",
            Location(file, line=1),
            "is this file a graph written by spikec?",
        )
    data = _Data(lines, file)
    nodes: dict[str, list[Any]] = {keyword: [] for keyword in _LINES}
    head: dict[str, Any] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or line.startswith(("data ", "#")):
            continue
        reader = _Reader(line, Location(file, line=number), data)
        keyword, given = reader.node()
        if keyword == "graph" and not head:
            if extra := given.keys() - {"name", "dt", "dialect"}:
                reader.wrong(f"a 'graph' line has no field '{min(extra)}'")
            head = reader.checked(Graph, given, {"name", "dt"})
        elif keyword in _LINES:
            nodes[keyword].append(reader.build(_LINES[keyword], given))
        else:
            reader.wrong(f"unexpected '{keyword}'")
    if not head:
        raise fail("E0110", "there is no 'graph' line", Location(file, line=len(lines)))
    return Graph(
        **head,
        inputs=tuple(nodes["input"]),
        populations=tuple(nodes["population"]),
        projections=tuple(nodes["projection"]),
        outputs=tuple(nodes["output"]),
        probes=tuple(nodes["probe"]),
    )


def _shown(piece: str) -> str:
    return piece.strip()[:40]


class _Data:
    """The data lines of a text, each inflated when an array asks for it, and once."""

    def __init__(self, lines: list[str], file: str | None) -> None:
        self._file = file
        self._packed: dict[str, tuple[int, str]] = {}
        self._arrays: dict[str, _Array] = {}
        for number, line in enumerate(lines, start=1):
            if not line.startswith("data "):
                continue
            words = line.split()
            if len(words) != 3 or not words[1].isascii() or not words[1].isdigit():
                self._damaged(number, "expected 'data NUMBER BASE64'")
            if words[1] in self._packed:
                self._damaged(number, f"data {words[1]} is given twice")
            self._packed[words[1]] = (number, words[2])

    def _damaged(self, line: int, why: str) -> NoReturn:
        raise fail("E0110", f"a data line is damaged: {why}", Location(self._file, line=line))

    def array(
        self,
        number: str,
        dtype: np.dtype[Any],
        shape: tuple[int, ...],
        wrong: Callable[..., NoReturn],
    ) -> _Array:
        if number not in self._packed:
            wrong(f"there is no data line {number}")
        if number not in self._arrays:
            self._arrays[number] = self._inflate(number, dtype, shape)
        array = self._arrays[number]
        if (array.dtype, array.shape) != (dtype, shape):
            wrong(f"data {number} is an array of shape {array.shape} and {array.dtype} elsewhere")
        return array

    def _inflate(self, number: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> _Array:
        line, encoded = self._packed[number]
        size = dtype.itemsize * prod(shape)
        try:
            packed = base64.b64decode(encoded, validate=True)
            if size > _DEFLATE_RATIO * len(packed):
                self._damaged(line, f"{len(packed)} bytes cannot hold an array of shape {shape}")
            inflate = zlib.decompressobj()
            raw = inflate.decompress(packed, size + 1)
        except (ValueError, zlib.error) as error:
            self._damaged(line, str(error))
        if len(raw) != size or not inflate.eof or inflate.unused_data:
            self._damaged(line, f"it does not hold the {size} bytes of an array of shape {shape}")
        if dtype == np.bool_ and raw.translate(None, b"\0\1"):
            self._damaged(line, "a truth value is a byte of 0 or 1")
        flat = np.frombuffer(raw, dtype.newbyteorder("<"))
        return frozen_array(flat.reshape(shape), dtype)


class _Reader:
    """Recursive descent over one line."""

    def __init__(self, line: str, at: Location, data: _Data) -> None:
        self._at, self._data = at, data
        self._tokens: list[tuple[str, str]] = []
        self._next = self._depth = 0
        position, line = 0, line.rstrip()
        while position < len(line):
            match = _TOKEN.match(line, position)
            if match is None or match.lastgroup is None:
                self.wrong(f"cannot read '{_shown(line[position:])}'")
            self._tokens.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    def wrong(self, message: str) -> NoReturn:
        raise fail("E0110", message, self._at)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, kind: str, value: str | None = None) -> str:
        found = self._peek()
        if found[0] != kind or (value is not None and found[1] != value):
            self._expected(f"'{value}'" if value else f"a {kind}")
        self._next += 1
        return found[1]

    def _expected(self, what: str) -> NoReturn:
        kind, value = self._peek()
        self.wrong(
            f"expected {what}, found "
            + ("the end of the line" if kind == "end" else f"'{_shown(value)}'")
        )

    def node(self) -> tuple[str, dict[str, Any]]:
        keyword = self._take("name")
        given: dict[str, Any] = {}
        if self._peek()[0] == "string":
            given["name"] = self._value()
        while self._peek()[0] != "end":
            self._field(given)
        return keyword, given

    def _field(self, given: dict[str, Any]) -> None:
        name = self._take("name")
        self._take("mark", "=")
        if name in given:
            self.wrong(f"'{name}' is given twice")
        given[name] = self._value()

    def _value(self) -> Any:
        kind, value = self._peek()
        match kind:
            case "array":
                self._next += 1
                return self._array(value)
            case "string":
                self._next += 1
                return _ESCAPE.sub(lambda m: chr(int(m[1], 16)), value[1:-1])
            case "number":
                self._next += 1
                return self._number(value)
            case "mark" if value == "(":
                return tuple(self._items(self._value))
            case "name":
                self._next += 1
                return self._named(value)
        self._expected("a value")

    def _items(self, one: Callable[[], Any]) -> list[Any]:
        """What stands in parentheses, separated by commas."""
        self._take("mark", "(")
        self._depth += 1
        if self._depth > _DEPTH:
            self.wrong(f"values are nested more than {_DEPTH} deep")
        items = []
        while self._peek() != ("mark", ")"):
            items.append(one())
            if self._peek() != ("mark", ")"):
                self._take("mark", ",")
        self._next += 1
        self._depth -= 1
        return items

    def _number(self, value: str) -> int | float:
        if not _INTEGER.fullmatch(value):
            return float(value)
        if len(value) > 20:
            self.wrong(f"the integer {_shown(value)}... is too large")
        return int(value)

    def _named(self, name: str) -> Any:
        constants = {"none": None, "true": True, "false": False}
        if name in constants:
            return constants[name]
        enum, _, member = name.partition(".")
        if member:
            if enum not in _ENUMS or member not in _ENUMS[enum].__members__:
                self.wrong(f"unknown constant '{_shown(name)}'")
            return _ENUMS[enum][member]
        if name not in _KINDS:
            self.wrong(f"unknown kind '{_shown(name)}'")
        given: dict[str, Any] = {}
        self._items(lambda: self._field(given))
        return self.build(_KINDS[name], given)

    def build(self, cls: type[Any], given: dict[str, Any]) -> Any:
        required = {
            f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING
        }
        try:
            return cls(**self.checked(cls, given, required))
        except ValueError as error:
            self.wrong(f"{cls.__name__}: {error}")

    def checked(self, cls: type[Any], given: dict[str, Any], required: set[str]) -> dict[str, Any]:
        """The given, when they are those of ``cls`` and each has the type declared there."""
        hints = _FIELD_TYPES[cls]
        for name in given:
            if name not in hints:
                self.wrong(f"{cls.__name__} has no field '{_shown(name)}'")
        for name in hints:
            if name in required and name not in given:
                self.wrong(f"{cls.__name__} lacks the field '{name}'")
        if "at" in given:
            given = {**given, "at": self._location(given["at"])}
        for name, value in given.items():
            if not _conforms(value, hints[name]):
                self.wrong(f"{cls.__name__}: '{name}' cannot be {_described(value)}")
        return given

    def _location(self, parts: Any) -> Location:
        match parts:
            case (str() | None as file, str() | None as node, int() | None as line):
                return Location(file, node, line)
        self.wrong("a location is (FILE, NODE, LINE)")

    def _array(self, token: str) -> _Array:
        kind, shape_text, rest = re.split(r"[\[\]]", token, maxsplit=2)
        shape = tuple(map(int, shape_text.split("x"))) if shape_text else ()
        if len(shape) > _AXES or prod(max(n, 1) for n in shape) > _ELEMENTS:
            self.wrong(f"no array has the shape [{_shown(shape_text)}]")
        dtype = _DTYPES[kind]
        if rest[0] == "@":
            return self._data.array(rest[1:], dtype, shape, self.wrong)
        words = rest[1:-1].split()
        if len(words) != prod(shape):
            self.wrong(f"an array of shape {shape} does not have {len(words)} elements")
        valid = _NUMBER if kind == "f64" else _INTEGER
        for word in words:
            if not valid.fullmatch(word):
                self.wrong(f"'{_shown(word)}' is no element of an array of {kind}")
        numbers = [float(word) if kind == "f64" else self._number(word) for word in words]
        if kind != "f64":  # numpy 1 would wrap them
            low, high = _range(dtype)
            if not all(low <= number <= high for number in numbers):
                self.wrong(f"an element is out of the range of {kind}")
        return frozen_array(np.array(numbers, dtype).reshape(shape))


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    if dtype == np.bool_:
        return 0, 1
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _field_types(cls: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {f.name: hints[f.name] for f in fields(cls)}


_WRITTEN: tuple[type[Any], ...] = (Graph, *_LINES.values(), *_KINDS.values())
_FIELD_TYPES = {cls: _field_types(cls) for cls in _WRITTEN}


def _conforms(value: Any, hint: Any) -> bool:
    """Whether ``value`` has the type ``hint``; an integer also passes for a float."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_conforms(value, option) for option in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return all(_conforms(item, arguments[0]) for item in value)
        return len(value) == len(arguments) and all(map(_conforms, value, arguments))
    if origin is np.ndarray:
        element = get_args(arguments[1])[0]
        return isinstance(value, np.ndarray) and (
            element is Any or value.dtype == np.dtype(element)
        )
    if hint is float:
        return type(value) in (int, float)
    if hint in (int, str, bool):
        return type(value) is hint
    return isinstance(value, hint)


def _described(value: Any) -> str:
    match value:
        case None:
            return "none"
        case np.ndarray():
            return f"an array of {value.dtype}"
        case str() | int() | float():
            return _shown(repr(value))
    return f"a {type(value).__name__}"
