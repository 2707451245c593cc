"""A cache entry is whole or absent."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spikec.backends.fpga.cache import Cache, content_key, default_cache_root


def test_what_is_stored_is_found(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\n")
    program.chmod(0o755)
    cache = Cache(tmp_path / "root", "kind")
    assert cache.find("key") is None
    entry = cache.store("key", {"data": b"\x00\xff", "program": program})
    assert cache.find("key") == entry
    assert (entry / "data").read_bytes() == b"\x00\xff"
    assert os.access(entry / "program", os.X_OK)
    assert sorted(p.name for p in cache.folder.iterdir()) == ["key"]


@pytest.mark.parametrize("damage", ["change", "remove", "cut manifest", "no manifest", "not json"])
def test_a_damaged_entry_counts_as_absent_and_is_replaced(tmp_path: Path, damage: str) -> None:
    cache = Cache(tmp_path, "kind")
    entry = cache.store("key", {"a": b"1", "b": b"2"})
    match damage:
        case "change":
            (entry / "a").write_bytes(b"9")
        case "remove":
            (entry / "b").unlink()
        case "cut manifest":
            (entry / "manifest.json").write_text('{"a": "', encoding="utf-8")
        case "no manifest":
            (entry / "manifest.json").unlink()
        case "not json":
            (entry / "manifest.json").write_bytes(b"[\xff")
    assert cache.find("key") is None
    cache.store("key", {"a": b"1", "b": b"2"})
    found = cache.find("key")
    assert found is not None
    assert (found / "a").read_bytes() == b"1"


def test_the_first_of_several_writers_is_kept_whole(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "kind")
    with ThreadPoolExecutor(8) as pool:
        entries = list(pool.map(lambda _: cache.store("key", {"a": b"1" * 10000}), range(16)))
    assert set(entries) == {cache.find("key")}
    assert [p.name for p in cache.folder.iterdir()] == ["key"]


def test_only_entries_unused_for_a_day_are_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "kind", keep=2)
    for name in ("old", "older", "new"):
        cache.store(name, {"a": b""})
    for name, days in (("old", 2), ("older", 3)):
        used = time.time() - days * 86400
        os.utime(cache.folder / name, (used, used))
    cache.store("newest", {"a": b""})
    assert sorted(p.name for p in cache.folder.iterdir()) == ["new", "newest"]
    for name in ("a", "b", "c"):
        cache.store(name, {"a": b""})
    assert len(list(cache.folder.iterdir())) == 5


def test_a_key_depends_on_names_contents_and_their_border() -> None:
    keys = {
        content_key([("a", "bc")]),
        content_key([("ab", "c")]),
        content_key([("a", "b"), ("c", "")]),
        content_key([("a", b"b"), ("", "c")]),
        content_key([]),
    }
    assert len(keys) == 5
    assert content_key([("a", "b")]) == content_key([("a", b"b")])


def test_the_root_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPIKEC_CACHE", str(tmp_path))
    assert default_cache_root() == tmp_path
    monkeypatch.delenv("SPIKEC_CACHE")
    assert default_cache_root().name == "spikec"
