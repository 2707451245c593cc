"""The canonical text of a graph: ``parse(text(g)) == g``, bit for bit.

One line a node. Arrays of at most 16 elements stand in the line; larger ones in ``data`` lines at
the end, zlib and base64, little endian. Nothing in the text is ever executed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, NoReturn

import numpy as np

from .connections import CONNECTIONS
from .diagnostics import Location, fail
from .graph import Graph, Input, Output, Population, Probe, Projection
from .neurons import MODELS
from .numerics import Format, Numerics, Overflow, Rounding
from .records import Record, frozen_array
from .semantics import (
    Comparison,
    Current,
    Decay,
    Gain,
    IntegratorGain,
    Reset,
    Semantics,
)

HEADER = "spikec-graph 1"
INLINE = 16
_MAX_BYTES = 1 << 33

_KINDS: dict[str, type[Any]] = {
    cls.__name__: cls for cls in (*MODELS, *CONNECTIONS, Semantics, Numerics, Format)
}
_ENUMS: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (Comparison, Current, Decay, Gain, IntegratorGain, Reset, Rounding, Overflow)
}
_LINES: dict[str, type[Record]] = {
    "input": Input,
    "population": Population,
    "projection": Projection,
    "output": Output,
    "probe": Probe,
}
_DTYPES = {"f64": "<f8", "i64": "<i8", "i32": "<i4"}
_DTYPE_NAMES = {np.dtype(code): name for name, code in _DTYPES.items()}


def text(graph: Graph) -> str:
    """The canonical text of ``graph``."""
    writer = _Writer()
    head = f"graph {writer.value(graph.name)} dt={writer.value(graph.dt)}"
    lines = [HEADER, f"{head} dialect={writer.value(graph.dialect)}"]
    groups = (graph.inputs, graph.populations, graph.projections, graph.outputs, graph.probes)
    for keyword, nodes in zip(_LINES, groups, strict=True):
        lines.extend(writer.line(keyword, node) for node in nodes)
    return "\n".join([*lines, *writer.data_lines()]) + "\n"


def digest(graph: Graph) -> str:
    """SHA-256 of the canonical text without source locations."""
    writer = _Writer()
    content = hashlib.sha256(f"{writer.value(graph.name)} {graph.dt!r} {graph.dialect}".encode())
    groups = (graph.inputs, graph.populations, graph.projections, graph.outputs, graph.probes)
    for keyword, nodes in zip(_LINES, groups, strict=True):
        for node in nodes:
            content.update(writer.line(keyword, node, located=False).encode() + b"\n")
    for line in writer.data_lines():
        content.update(line.encode() + b"\n")
    return content.hexdigest()


class _Writer:
    def __init__(self) -> None:
        self._arrays: list[np.ndarray[Any, Any]] = []
        self._index: dict[bytes, int] = {}

    def line(self, keyword: str, node: Record, located: bool = True) -> str:
        parts = [keyword]
        for f in fields(node):  # type: ignore[arg-type]  # every Record is a dataclass
            value = getattr(node, f.name)
            if f.name == "name":
                parts.append(self.value(value))
            elif isinstance(value, Location):
                if located and value != Location():
                    parts.append(f"at={self._location(value)}")
            else:
                parts.append(f"{f.name}={self.value(value)}")
        return " ".join(parts)

    def _location(self, at: Location) -> str:
        return f"({self.value(at.file)}, {self.value(at.node)}, {self.value(at.line)})"

    def value(self, value: Any) -> str:
        match value:
            case None:
                return "none"
            case bool():
                return "true" if value else "false"
            case np.ndarray():
                return self._array(value)
            case Rounding() | Overflow() | Decay() | Gain() | IntegratorGain() | Current():
                return f"{type(value).__name__}.{value.name}"
            case Comparison() | Reset():
                return f"{type(value).__name__}.{value.name}"
            case int() | float():
                return repr(value)
            case str():
                return _quote(value)
            case tuple():
                return "(" + ", ".join(self.value(v) for v in value) + ")"
        name = type(value).__name__
        if name not in _KINDS:
            raise TypeError(f"{name} has no canonical text")
        inner = ", ".join(f"{f.name}={self.value(getattr(value, f.name))}" for f in fields(value))
        return f"{name}({inner})"

    def _array(self, array: np.ndarray[Any, Any]) -> str:
        kind = _DTYPE_NAMES[array.dtype]
        shape = "x".join(map(str, array.shape))
        if array.size <= INLINE:
            items = " ".join(repr(v) for v in array.ravel().tolist())
            return f"{kind}[{shape}]<{items}>"
        key = kind.encode() + shape.encode() + array.tobytes()
        if key not in self._index:
            self._index[key] = len(self._arrays)
            self._arrays.append(array)
        return f"{kind}[{shape}]@{self._index[key]}"

    def data_lines(self) -> Iterator[str]:
        for k, array in enumerate(self._arrays):
            raw = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
            yield f"data {k} {base64.b64encode(zlib.compress(raw, 6)).decode()}"


def _quote(value: str) -> str:
    escaped = "".join(
        c if c.isprintable() and c not in '"\\' else f"\\u{{{ord(c):x}}}" for c in value
    )
    return f'"{escaped}"'


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<array>(?:f64|i64|i32)\[[0-9x]*\](?:<[^>]*>|@[0-9]+))
    | (?P<string>"(?:[^"\\]|\\u\{[0-9a-f]+\})*")
    | (?P<number>-?(?:inf|nan|[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?)(?![\w.]))
    | (?P<name>[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Z_]+)?)
    | (?P<mark>[()=,])
    )""",
    re.VERBOSE,
)
_INTEGER = re.compile(r"-?[0-9]+\Z")


def parse(source: str, file: str | None = None) -> Graph:
    """The graph of a canonical text.

    Raises ``SpikecError`` with code E0110 and the line where the text is malformed.
    """
    lines = source.splitlines()
    if not lines or lines[0].strip() != HEADER:
        found = lines[0][:40] if lines else ""
        raise fail(
            "E0110",
            f"the first line must be '{HEADER}', found '{found}'",
            Location(file, line=1),
            "is this file a graph written by spikec?",
        )
    data = _read_data(lines, file)
    nodes: dict[str, list[Any]] = {keyword: [] for keyword in _LINES}
    head: dict[str, Any] | None = None
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or line.startswith(("data ", "#")):
            continue
        reader = _Reader(line, Location(file, line=number), data)
        keyword, arguments = reader.node()
        if keyword == "graph" and head is None:
            head = arguments
        elif keyword in _LINES:
            nodes[keyword].append(reader.build(_LINES[keyword], arguments))
        else:
            reader.wrong(f"unexpected '{keyword}'")
    if head is None:
        raise fail("E0110", "there is no 'graph' line", Location(file))
    unknown = set(head) - {"name", "dt", "dialect"}
    if unknown or "name" not in head or not isinstance(head.get("dt"), float):
        raise fail("E0110", "the 'graph' line needs a name and dt=SECONDS", Location(file, line=2))
    return Graph(
        name=head["name"],
        dt=head["dt"],
        dialect=head.get("dialect"),
        inputs=tuple(nodes["input"]),
        populations=tuple(nodes["population"]),
        projections=tuple(nodes["projection"]),
        outputs=tuple(nodes["output"]),
        probes=tuple(nodes["probe"]),
    )


def _read_data(lines: list[str], file: str | None) -> dict[int, bytes]:
    data: dict[int, bytes] = {}
    for number, line in enumerate(lines, start=1):
        if not line.startswith("data "):
            continue
        try:
            _, index, packed = line.split()
            inflate = zlib.decompressobj()
            data[int(index)] = inflate.decompress(base64.b64decode(packed, validate=True), _MAX_BYTES)
            if not inflate.eof:
                raise ValueError("incomplete or too large")
        except (ValueError, binascii.Error, zlib.error) as error:
            where = Location(file, line=number)
            raise fail("E0110", f"a data line is damaged: {error}", where) from None
    return data


class _Reader:
    """Recursive descent over one line."""

    def __init__(self, line: str, at: Location, data: dict[int, bytes]) -> None:
        self._at, self._data = at, data
        self._tokens: list[tuple[str, str]] = []
        position = 0
        line = line.rstrip()
        while position < len(line):
            match = _TOKEN.match(line, position)
            if match is None or match.lastgroup is None:
                self.wrong(f"cannot read '{line[position : position + 20].strip()}'")
            self._tokens.append((match.lastgroup, match.group(match.lastgroup)))
            position = match.end()
        self._next = 0

    def wrong(self, message: str) -> NoReturn:
        raise fail("E0110", message, self._at)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, kind: str, value: str | None = None) -> str:
        found = self._peek()
        if found[0] != kind or (value is not None and found[1] != value):
            expected = value or kind
            self.wrong(f"expected {expected}, found '{found[1] or 'the end of the line'}'")
        self._next += 1
        return found[1]

    def node(self) -> tuple[str, dict[str, Any]]:
        keyword = self._take("name")
        arguments: dict[str, Any] = {}
        if self._peek()[0] == "string":
            arguments["name"] = self._value()
        while self._peek()[0] != "end":
            self._argument(arguments)
        return keyword, arguments

    def _argument(self, arguments: dict[str, Any]) -> None:
        name = self._take("name")
        self._take("mark", "=")
        if name in arguments:
            self.wrong(f"'{name}' is given twice")
        arguments[name] = self._value()

    def _value(self) -> Any:
        kind, value = self._peek()
        self._next += 1
        match kind:
            case "array":
                return self._array(value)
            case "string":
                return re.sub(
                    r"\\u\{([0-9a-f]+)\}", lambda m: chr(int(m.group(1), 16)), value[1:-1]
                )
            case "number":
                return int(value) if _INTEGER.match(value) else float(value)
            case "mark" if value == "(":
                return self._tuple()
            case "name":
                return self._named(value)
        return self.wrong(f"expected a value, found '{value or 'the end of the line'}'")

    def _tuple(self) -> tuple[Any, ...]:
        items = []
        while self._peek() != ("mark", ")"):
            items.append(self._value())
            if self._peek() != ("mark", ")"):
                self._take("mark", ",")
        self._next += 1
        return tuple(items)

    def _named(self, name: str) -> Any:
        constants = {"none": None, "true": True, "false": False}
        if name in constants:
            return constants[name]
        enum, _, member = name.partition(".")
        if member:
            if enum not in _ENUMS or member not in _ENUMS[enum].__members__:
                self.wrong(f"unknown constant '{name}'")
            return _ENUMS[enum][member]
        if name not in _KINDS:
            self.wrong(f"unknown kind '{name}'")
        self._take("mark", "(")
        arguments: dict[str, Any] = {}
        while self._peek() != ("mark", ")"):
            self._argument(arguments)
            if self._peek() != ("mark", ")"):
                self._take("mark", ",")
        self._next += 1
        return self.build(_KINDS[name], arguments)

    def build(self, cls: type[Any], arguments: dict[str, Any]) -> Any:
        if "at" in arguments:
            arguments = {**arguments, "at": Location(*arguments["at"][:3])}
        try:
            return cls(**arguments)
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            return self.wrong(f"{cls.__name__}: {error}")

    def _array(self, token: str) -> np.ndarray[Any, Any]:
        kind, rest = token.split("[", 1)
        shape_text, rest = rest.split("]", 1)
        shape = tuple(int(n) for n in shape_text.split("x")) if shape_text else ()
        dtype = np.dtype(_DTYPES[kind])
        try:
            if rest.startswith("<"):
                cast = float if kind == "f64" else int
                flat = np.array([cast(v) for v in rest[1:-1].split()], dtype=dtype)
            else:
                flat = np.frombuffer(self._data[int(rest[1:])], dtype=dtype)
            return frozen_array(flat.reshape(shape).astype(dtype.newbyteorder("=")))
        except KeyError:
            return self.wrong(f"there is no data line {rest[1:]}")
        except (ValueError, OverflowError) as error:
            return self.wrong(f"array of shape {shape}: {error}")



