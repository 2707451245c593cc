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

from ..ir.diagnostics import Location, SpikecError, fail

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

        An older artefact in the place is replaced. Whatever else is there is left alone, a folder
        with any file that the older artefact does not list too (E0604).
        """
        where = Location(str(folder))
        for name in self.files:
            if not _inside(name) or name == MANIFEST:
                raise ValueError(f"'{name}' is no name of a file of an artefact")
        check_place(folder)
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
            raise fail("E0604", f"cannot write: {error.strerror or error}", where) from error


def check_place(folder: Path) -> None:
    """Raise E0604 when ``folder`` holds what an artefact must not replace; before long work."""
    where = Location(str(folder))
    try:
        obstacle = _obstacle(folder)
    except OSError as error:
        raise fail("E0604", f"cannot write: {error.strerror or error}", where) from error
    if obstacle is not None:
        raise fail("E0604", obstacle, where, "choose another -o, or remove it")


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
        except BaseException:  # an interrupt here must not cost the older artefact
            os.replace(old, folder)
            raise
    else:
        os.replace(fresh, folder)


def _obstacle(folder: Path) -> str | None:
    """Why ``folder`` may not be replaced."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        return "the output exists and is no folder"
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir()}
    if not present:
        return None
    try:
        _, listing = _manifest(folder)
    except SpikecError:
        return "the output exists and is no artefact of spikec"
    foreign = sorted(present - set(listing) - {MANIFEST})
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        return f"the output holds {foreign[0]}{more}, which no compilation wrote"
    return None


def _manifest(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The facts of a manifest, and the checksum of each file: E0704, E0705."""
    where = Location(str(folder))
    try:
        facts = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        listing = {name: str(entry["sha256"]) for name, entry in facts.pop("files").items()}
        for key in ("digest", "format"):
            if key not in facts:
                raise KeyError(key)
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise fail("E0705", f"manifest.json is damaged: {what}", where, "compile again") from None
    return facts, listing


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    odd = not name or "\0" in name or "\\" in name or path.is_absolute()
    return not odd and ".." not in path.parts


def load_artifact(folder: Path | str) -> Artifact:
    """Read an artefact and check every file against the manifest: E0704, E0705."""
    where, folder = Location(str(folder)), Path(folder)
    facts, listing = _manifest(folder)
    digest, form = facts.pop("digest"), facts.pop("format")
    if form != FORMAT:
        raise fail("E0705", f"the artefact has format {form}, this spikec reads {FORMAT}", where)
    files = {}
    for name, checksum in listing.items():
        if not _inside(name):
            raise fail("E0705", f"the manifest names a file outside the folder: {name!r}", where)
        path = folder / PurePosixPath(name)
        try:
            if not path.resolve().is_relative_to(folder.resolve()):
                raise fail("E0705", f"{name} is a link out of the folder", where)
            files[name] = path.read_bytes()
        except OSError as error:
            raise fail("E0705", f"{name} cannot be read: {error.strerror}", where) from None
        if hashlib.sha256(files[name]).hexdigest() != checksum:
            raise fail("E0705", f"{name} is not what was compiled", where, "compile again")
    artifact = Artifact(files, facts)
    if artifact.digest != digest:
        raise fail("E0705", "the manifest's digest does not match", where, "compile again")
    return artifact


def _json(facts: Mapping[str, Any]) -> bytes:
    return (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()
