"""Artefacts: file name -> bytes with a deterministic digest. Nothing is on disk before write."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..ir.diagnostics import Location, fail

MANIFEST = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Artifact:
    """A compiled network: its files, and what the manifest says about them."""

    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents of all files, and over the manifest's facts."""
        total = hashlib.sha256(_json(dict(self.manifest)))
        for name in sorted(self.files):
            total.update(f"\n{name} {len(self.files[name])}\n".encode())
            total.update(self.files[name])
        return total.hexdigest()

    def manifest_bytes(self) -> bytes:
        """The manifest as it is written: facts, digest, and a checksum for every file."""
        listing = {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in sorted(self.files.items())
        }
        facts = {"format": FORMAT, **self.manifest, "digest": self.digest, "files": listing}
        return _json(facts)

    def write(self, folder: Path) -> None:
        """Write all files, or none: a sibling folder is filled and then renamed.

        An older artefact in the place is replaced; anything else there is left alone (E0604).
        """
        where = Location(str(folder))
        if folder.exists() and not _replaceable(folder):
            raise fail(
                "E0604",
                "the output exists and is no artefact of spikec",
                where,
                "choose another -o, or remove it",
            )
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _sibling(folder) as fresh:
                for name, data in self.files.items():
                    path = fresh / PurePosixPath(name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(data)
                (fresh / MANIFEST).write_bytes(self.manifest_bytes())
                _swap(fresh, folder)
        except OSError as error:
            raise fail("E0604", f"cannot write: {error.strerror}", where) from error


@contextlib.contextmanager
def _sibling(folder: Path) -> Iterator[Path]:
    holder = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fresh = holder / "new"
        fresh.mkdir()
        yield fresh
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _swap(fresh: Path, folder: Path) -> None:
    if folder.exists():
        old = fresh.parent / "old"
        os.replace(folder, old)
        try:
            os.replace(fresh, folder)
        except OSError:
            os.replace(old, folder)
            raise
    else:
        os.replace(fresh, folder)


def _replaceable(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return (folder / MANIFEST).is_file() or not any(folder.iterdir())


def load_artifact(folder: Path) -> Artifact:
    """Read an artefact and check every file against the manifest: E0704, E0705."""
    where = Location(str(folder))
    try:
        facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        listing = facts.pop("files")
        digest, form = facts.pop("digest"), facts.pop("format")
    except FileNotFoundError:
        raise fail(
            "E0704",
            "there is no manifest.json here",
            where,
            "compile first: spikec compile MODEL --target T -o DIR",
        ) from None
    except NotADirectoryError:
        raise fail(
            "E0704",
            "this is a file, not the folder of an artefact",
            where,
            "give the folder of 'spikec compile MODEL --target T -o DIR'",
        ) from None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise fail("E0705", f"manifest.json is damaged: {what}", where, "compile again") from None
    if form != FORMAT:
        raise fail("E0705", f"the artefact has format {form}, this spikec reads {FORMAT}", where)
    if not isinstance(listing, dict) or not all(isinstance(e, dict) for e in listing.values()):
        raise fail("E0705", "manifest.json is damaged: it lists no files", where, "compile again")
    files = {}
    for name, entry in listing.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise fail("E0705", f"the manifest names a file outside the folder: {name}", where)
        try:
            files[name] = (folder / path).read_bytes()
        except OSError as error:
            raise fail("E0705", f"{name} cannot be read: {error.strerror}", where) from None
        if hashlib.sha256(files[name]).hexdigest() != entry.get("sha256"):
            raise fail("E0705", f"{name} is not what was compiled", where, "compile again")
    artifact = Artifact(files, facts)
    if artifact.digest != digest:
        raise fail("E0705", "the manifest's digest does not match", where, "compile again")
    return artifact


def _json(facts: Mapping[str, Any]) -> bytes:
    return (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()
