"""HDF5 as untrusted data: links, sizes and types are checked before anything is read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import Location, SpikecError, fail

MAX_ELEMENTS = 1 << 28  # of one data set
MAX_TOTAL = 1 << 29  # elements of all data sets of a file
MAX_NODES = 20_000
MAX_EDGES = 1_000_000
MAX_DEPTH = 32  # of nested graphs
MAX_EXPANSION = 2_000  # bytes out of one byte of the file; deflate gives at most 1032
_SMALL = 1 << 24  # bytes below which the expansion is not looked at

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, UnicodeError)

Value = npt.NDArray[Any] | str


class Reader:
    """Reads members of one open file and counts what it has read."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._elements = 0

    def at(self, node: str | None = None) -> Location:
        """A location in this file."""
        return Location(self.file, node)

    def damaged(self, where: str, error: Exception) -> SpikecError:
        """The error for content that HDF5 cannot decode."""
        return fail(
            "E0101",
            f"'{where}' is damaged: {_first_line(error)}",
            self.at(),
            "copy or export the file again",
        )

    def members(self, group: Any) -> dict[str, Any]:
        """The groups and data sets of ``group`` by name, in the file's order.

        Errors: E0117 for anything but a hard link, E0101 for damage.
        """
        found: dict[str, Any] = {}
        where = group.name or "/"
        try:
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    kind = "external" if isinstance(link, h5py.ExternalLink) else "soft"
                    raise fail("E0117", f"'{where}/{name}' is a {kind} link", self.at())
                name.encode("utf-8")
                member = group[name]
                if not isinstance(member, h5py.Group | h5py.Dataset):
                    raise fail("E0102", f"'{where}/{name}' is a named type", self.at())
                found[name] = member
        except _DAMAGE as error:
            raise self.damaged(where, error) from None
        return found

    def address(self, group: Any) -> int:
        """What identifies a group within the file."""
        try:
            return int(h5py.h5o.get_info(group.id).addr)
        except _DAMAGE as error:
            raise self.damaged(str(group.name), error) from None

    def attribute(self, item: Any, name: str) -> Any:
        """An attribute of a group or data set: text, number, array, or None when absent."""
        try:
            value = item.attrs.get(name)
            return _decoded(value) if isinstance(value, bytes) else value
        except (*_DAMAGE, TypeError) as error:
            raise self.damaged(str(item.name), error) from None

    def ordered(self, group: Any) -> bool:
        """Whether the file keeps the order in which members of ``group`` were made."""
        try:
            flags = group.id.get_create_plist().get_link_creation_order()
        except _DAMAGE as error:
            raise self.damaged(str(group.name), error) from None
        return bool(flags & h5py.h5p.CRT_ORDER_TRACKED)

    def value(self, data: Any, node: str) -> Value | None:
        """The content of a data set: an array of numbers, a text, or None when it is empty.

        Errors: E0113 too large, E0117 stored elsewhere, E0104 neither number nor text, E0101.
        """
        name = str(data.name).rsplit("/", 1)[-1]
        try:
            shape, dtype = data.shape, data.dtype
            if shape is None:
                return None
            self._check_place(data, node, name)
            self._check_size(data, node, name)
            if dtype.kind in "fiub":
                return np.asarray(data[()])
            if h5py.check_string_dtype(dtype) is not None or dtype.kind == "S":
                return _text(data[()])
        except _DAMAGE as error:
            raise self.damaged(str(data.name), error) from None
        raise fail(
            "E0104",
            f"field '{name}' holds {dtype}, neither numbers nor text",
            self.at(node),
        )

    def pairs(self, data: Any, node: str | None) -> list[tuple[str, str]]:
        """The content of ``edges``: pairs of names, shape (N, 2)."""
        try:
            if data.shape is None or prod(data.shape) == 0:
                return []
            self._check_place(data, node, "edges")
            if data.ndim != 2 or data.shape[1] != 2:
                raise fail(
                    "E0102", f"'edges' has shape {data.shape}, expected (N, 2)", self.at(node)
                )
            if data.shape[0] > MAX_EDGES:
                raise fail(
                    "E0113", f"{data.shape[0]:,} edges; at most {MAX_EDGES:,}", self.at(node)
                )
            self._check_size(data, node, "edges")
            if h5py.check_string_dtype(data.dtype) is None and data.dtype.kind != "S":
                raise fail("E0102", f"'edges' holds {data.dtype}, expected names", self.at(node))
            return [(_decoded(a), _decoded(b)) for a, b in data[()]]
        except _DAMAGE as error:
            raise self.damaged(str(data.name), error) from None

    def _check_place(self, data: Any, node: str | None, name: str) -> None:
        if data.is_virtual or data.external:
            raise fail("E0117", f"the data of '{name}' lie in another file", self.at(node))

    def _check_size(self, data: Any, node: str | None, name: str) -> None:
        elements = prod(data.shape)
        if elements > MAX_ELEMENTS or self._elements + elements > MAX_TOTAL:
            raise fail(
                "E0113",
                f"'{name}' declares {elements:,} elements, shape {data.shape}; the limit is "
                f"{MAX_ELEMENTS:,}, and {MAX_TOTAL:,} for a file",
                self.at(node),
            )
        size, stored = elements * data.dtype.itemsize, int(data.id.get_storage_size())
        if size > _SMALL and size > stored * MAX_EXPANSION:
            raise fail(
                "E0113",
                f"'{name}' declares {size:,} bytes and holds {stored:,}",
                self.at(node),
                "the file is damaged or was made to exhaust memory",
            )
        self._elements += elements


@contextmanager
def opened(path: str | PathLike[str]) -> Iterator[tuple[Any, Reader]]:
    """The root group of an HDF5 file and a reader for it.

    Errors: E0116 when the path cannot be opened, E0101 when it is not (whole) HDF5.
    """
    file = str(path)
    try:
        with Path(path).open("rb") as stream:
            head = stream.read(len(_SIGNATURE))
            size = stream.seek(0, 2)
    except OSError as error:
        reason = error.strerror or str(error)
        raise fail("E0116", f"cannot open '{file}': {reason}", Location(file)) from None
    try:
        root = h5py.File(path, "r")
    except _DAMAGE as error:
        if head == _SIGNATURE:
            message = f"HDF5, but damaged or cut short at {size:,} bytes: {_first_line(error)}"
            hint = "copy or export the file again"
        else:
            message = f"not an HDF5 file: it begins with {head!r}"
            hint = "NIR files, of nir.write(), and Lava-DL's, of export_hdf5(), are HDF5"
        raise fail("E0101", message, Location(file), hint) from None
    with root:
        yield root, Reader(file)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _decoded(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        if value.size != 1:
            raise ValueError(f"expected one text, found {value.size}")
        value = value.ravel()[0]
    return _decoded(value).rstrip("\x00")
