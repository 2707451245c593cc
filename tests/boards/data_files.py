"""What all data files keep: every number has a source, and a wrong file is refused by place."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import pytest
from hypothesis import strategies as st

from spikec.boards.quantity import OBTAINED
from spikec.boards.table import BoardError


@dataclass(frozen=True)
class Kind:
    """A folder of ``boards``, the names of its files, and what parses one."""

    folder: str
    names: tuple[str, ...]
    parse: Callable[[str, str], Any]

    def source(self, name: str) -> str:
        folder = resources.files("spikec.boards") / self.folder
        return (folder / f"{name}.toml").read_text(encoding="utf-8")

    def has_sources(self, name: str, least: int) -> None:
        every = numbers(tomllib.loads(self.source(name)))
        assert len(every) >= least
        for place, table in every:
            assert len(table["source"]) > 10, place
            assert table["how"] in OBTAINED, place

    def refuses_without(self, name: str, key: str, least: int) -> None:
        """Each of a file's keys of that name by itself."""
        text = self.source(name)
        # As a key among others in one line, or in a line of its own.
        places = list(re.finditer(rf', {key} = "[^"]*"|^{key} +=.*$', text, flags=re.MULTILINE))
        assert len(places) >= least
        for place in places:
            with pytest.raises(BoardError) as caught:
                self.parse(text[: place.start()] + text[place.end() :], "mine.toml")
            assert caught.value.code == "board-missing"
            assert caught.value.where.endswith(key)

    def refuses(self, name: str, old: str, new: str, code: str, expected: str) -> None:
        text = self.source(name)
        assert old in text
        with pytest.raises(BoardError) as caught:
            self.parse(text.replace(old, new, 1), "mine.toml")
        assert caught.value.code == code
        assert expected in str(caught.value)
        assert str(caught.value).startswith("mine.toml")

    def survives_damage(self, data: st.DataObject) -> None:
        text = self.source(data.draw(st.sampled_from(self.names)))
        start = data.draw(st.integers(0, len(text) - 1))
        length = data.draw(st.integers(1, 40))
        filler = data.draw(st.text(max_size=8))
        try:
            self.parse(text[:start] + filler + text[start + length :], "damaged.toml")
        except BoardError as error:
            assert error.code.startswith("board-")


def numbers(found: Any, place: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Each number of a file by its place, with the table that it is in."""
    if isinstance(found, list):
        return [one for i, item in enumerate(found) for one in numbers(item, f"{place}[{i}]")]
    every: list[tuple[str, dict[str, Any]]] = []
    for key, value in found.items():
        held = value if isinstance(value, list) else [value]
        if any(isinstance(one, int | float) and not isinstance(one, bool) for one in held):
            every.append((f"{place}.{key}", found))
        elif isinstance(value, dict | list):
            every += numbers(value, f"{place}.{key}")
    return every


def loads_without_numpy(module: str, names: str, load: str) -> None:
    """In a new process: all files of a kind, and neither numpy nor numba."""
    script = (
        "import sys\n"
        f"from spikec.boards.{module} import {names}, {load}\n"
        f"assert [{load}(n) for n in {names}()]\n"
        "assert not {'numpy', 'numba'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def near(value: Any, rel: float = 1e-9) -> Any:
    """Within ``rel`` of ``value``: joules are far below the absolute tolerance pytest adds."""
    return pytest.approx(value, rel=rel, abs=0)
