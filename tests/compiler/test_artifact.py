"""Artefacts: written whole or not at all, never over anything else, and checked when read."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from spikec.compiler.artifact import MANIFEST, Artifact, load_artifact
from spikec.ir.diagnostics import SpikecError

OLD = Artifact({"network.spk": b"old\n"}, {"name": "net", "backend": "null"})
NEW = Artifact(
    {"network.spk": b"new\n", "rtl/top.v": b"module\n", "empty": b""},
    {"name": "net", "backend": "null", "emission": {"fmax": 12.5, "cells": [1, 2]}},
)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def refused(code: str, text: str, action: Callable[[], object]) -> None:
    with pytest.raises(SpikecError, match=text) as caught:
        action()
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_written_and_read_back(tmp_path: Path) -> None:
    NEW.write(tmp_path / "deep" / "out")
    again = load_artifact(tmp_path / "deep" / "out")
    assert again.files == NEW.files
    assert again.manifest == NEW.manifest
    assert again.digest == NEW.digest
    assert load_artifact(str(tmp_path / "deep" / "out")).digest == NEW.digest
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]


def test_the_digest_depends_on_every_byte_and_fact_but_on_no_order() -> None:
    files = dict(reversed(list(NEW.files.items())))
    assert Artifact(files, dict(reversed(list(NEW.manifest.items())))).digest == NEW.digest
    others = [
        Artifact({**NEW.files, "empty": b"x"}, NEW.manifest),
        Artifact({**NEW.files, "more": b""}, NEW.manifest),
        Artifact({k: v for k, v in NEW.files.items() if k != "empty"}, NEW.manifest),
        Artifact({("void" if k == "empty" else k): v for k, v in NEW.files.items()}, NEW.manifest),
        Artifact(NEW.files, {**NEW.manifest, "name": "other"}),
        Artifact({"a": b"1\nb 1\n2"}, {}),
        Artifact({"a": b"1", "b": b"2"}, {}),
    ]
    assert len({a.digest for a in [NEW, *others]}) == len(others) + 1


def test_an_older_artefact_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    NEW.write(out)
    OLD.write(out)
    assert set(tree(out)) == {"network.spk", MANIFEST}
    assert load_artifact(out).digest == OLD.digest
    assert list(tmp_path.iterdir()) == [out]


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    NEW.write(out)
    assert load_artifact(out).digest == NEW.digest


@pytest.mark.parametrize(
    "files",
    [
        {"thesis.tex": b"years of work"},
        {MANIFEST: b'{"name": "a web page", "icons": []}', "index.html": b""},
        {MANIFEST: b"not json"},
        {MANIFEST: b"[]"},
        {"sub/notes.txt": b"deep"},
    ],
)
def test_a_foreign_folder_is_left_alone(tmp_path: Path, files: dict[str, bytes]) -> None:
    out = tmp_path / "out"
    for name, data in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    refused("E0604", "no artefact of spikec", lambda: NEW.write(out))
    assert tree(out) == files
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_in_the_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    refused("E0604", "is no folder", lambda: NEW.write(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "mine"


def test_files_that_the_user_put_beside_an_artefact_are_not_lost(tmp_path: Path) -> None:
    out = tmp_path / "out"
    OLD.write(out)
    (out / "recording.npz").write_bytes(b"precious")
    (out / "zz").write_bytes(b"")
    refused("E0604", r"holds recording\.npz and 1 more", lambda: NEW.write(out))
    assert (out / "recording.npz").read_bytes() == b"precious"
    assert load_artifact(out).digest == OLD.digest


@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: bool, fails_at: int
) -> None:
    out = tmp_path / "out"
    if existing:
        OLD.write(out)
    before = tree(tmp_path)
    written = 0
    write_bytes = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        nonlocal written
        written += 1
        if written == fails_at:
            write_bytes(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    refused("E0604", "cannot write: No space left on device", lambda: NEW.write(out))
    monkeypatch.undo()
    assert tree(tmp_path) == before
    assert list(tmp_path.iterdir()) == ([out] if existing else [])


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()])
def test_a_failed_swap_gives_the_older_artefact_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    out = tmp_path / "out"
    OLD.write(out)
    moves = 0
    replace = os.replace

    def second_fails(source: object, target: object) -> None:
        nonlocal moves
        moves += 1
        if moves == 2:
            raise error
        replace(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", second_fails)
    with pytest.raises((SpikecError, KeyboardInterrupt)):
        NEW.write(out)
    monkeypatch.undo()
    assert load_artifact(out).digest == OLD.digest
    assert list(tmp_path.iterdir()) == [out]


def test_a_place_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpikecError, match="E0604") as caught:
        NEW.write(tmp_path / "file" / "out")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "", MANIFEST, "a\\b", "a\0b"])
def test_names_that_are_no_files_of_an_artefact_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a file"):
        Artifact({name: b"x"}, {}).write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


# -- reading ---------------------------------------------------------------------------------


def edited(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    """Write NEW, then let ``change`` loose on its manifest."""
    NEW.write(folder)
    facts = json.loads((folder / MANIFEST).read_text())
    change(facts)
    (folder / MANIFEST).write_text(json.dumps(facts))


def test_without_a_manifest(tmp_path: Path) -> None:
    refused("E0704", "no manifest", lambda: load_artifact(tmp_path))
    refused("E0704", "no manifest", lambda: load_artifact(tmp_path / "nothing"))


@pytest.mark.parametrize("name", ["network.spk", "rtl/top.v", "empty"])
def test_a_tampered_file_is_found(tmp_path: Path, name: str) -> None:
    NEW.write(tmp_path / "out")
    (tmp_path / "out" / name).write_bytes(b"tampered")
    refused("E0705", f"{name} is not what", lambda: load_artifact(tmp_path / "out"))


def test_a_missing_file_is_found(tmp_path: Path) -> None:
    NEW.write(tmp_path / "out")
    (tmp_path / "out" / "rtl" / "top.v").unlink()
    refused("E0705", r"rtl/top\.v cannot be read", lambda: load_artifact(tmp_path / "out"))


def test_a_tampered_fact_is_found(tmp_path: Path) -> None:
    edited(tmp_path / "out", lambda facts: facts.update(name="other"))
    refused("E0705", "digest does not match", lambda: load_artifact(tmp_path / "out"))


def test_another_format_is_refused(tmp_path: Path) -> None:
    edited(tmp_path / "out", lambda facts: facts.update(format=2))
    refused("E0705", "has format 2, this spikec reads 1", lambda: load_artifact(tmp_path / "out"))


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "rtl/../../secret", "a\0b", "", "..\\x"]
)
def test_paths_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    entry = {"bytes": 6, "sha256": "0" * 64}
    edited(tmp_path / "out", lambda facts: facts.update(files={name: entry}))
    refused("E0705", "outside the folder", lambda: load_artifact(tmp_path / "out"))


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    NEW.write(tmp_path / "out")
    (tmp_path / "secret").write_bytes(NEW.files["network.spk"])
    (tmp_path / "out" / "network.spk").unlink()
    (tmp_path / "out" / "network.spk").symlink_to(tmp_path / "secret")
    refused("E0705", "link out of the folder", lambda: load_artifact(tmp_path / "out"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"files": {}}',
        b'{"files": {}, "digest": "x"}',
        b'{"files": [], "digest": "x", "format": 1}',
        b'{"files": {"a": 1}, "digest": "x", "format": 1}',
        b'{"files": {"a": {}}, "digest": "x", "format": 1}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    refused("E0705", "manifest.json is damaged", lambda: load_artifact(tmp_path))
