"""Files for the tests: by the reference writer, and by hand where that refuses."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

RawFile = Callable[..., Path]
Saved = Callable[[Any], Path]


@pytest.fixture
def saved(tmp_path: Path) -> Saved:
    """Writes a graph of the reference implementation and gives the path."""

    def save(graph: Any) -> Path:
        path = tmp_path / f"written_{len(list(tmp_path.iterdir()))}.nir"
        nir.write(path, graph)
        return path

    return save


@pytest.fixture
def raw(tmp_path: Path) -> RawFile:
    """Writes nodes and edges as they come, checked by nobody."""

    def write(
        nodes: Mapping[str, Mapping[str, Any]],
        edges: Iterable[tuple[str, str]],
        version: str = "1.0.8",
        **extra: Any,
    ) -> Path:
        path = tmp_path / f"raw_{len(list(tmp_path.iterdir()))}.nir"
        with h5py.File(path, "w") as file:
            file["version"] = version
            _graph(file.create_group("node"), nodes, edges)
            for name, value in extra.items():
                file["node"][name] = value
        return path

    return write


def _graph(group: Any, nodes: Mapping[str, Mapping[str, Any]], edges: Iterable[Any]) -> None:
    group["type"] = "NIRGraph"
    inner = group.create_group("nodes")
    for name, fields in nodes.items():
        own = inner.create_group(name)
        if "nodes" in fields:
            _graph(own, fields["nodes"], fields["edges"])
            continue
        for key, value in fields.items():
            own[key] = value
    pairs = np.array([list(edge) for edge in edges], dtype=object).reshape(-1, 2)
    group.create_dataset("edges", data=pairs, dtype=h5py.string_dtype())
