"""Results of long builds, kept under the hash of everything they were made from.

An entry is a folder of files with a manifest of their SHA-256 sums. It appears whole or not at
all, and one whose files no longer match its manifest counts as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Cache", "content_key", "default_cache_root"]

_MANIFEST: Final = "manifest.json"
_KEEP_SECONDS: Final = 24 * 3600.0


def default_cache_root() -> Path:
    """Return the folder for caches: ``SPIKEC_CACHE``, or where the system keeps a user's caches."""
    chosen = os.environ.get("SPIKEC_CACHE")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("spikec", appauthor=False))


def content_key(parts: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the SHA-256 of named contents, as hexadecimal; the order of the parts matters."""
    digest = hashlib.sha256()
    for name, content in parts:
        data = content.encode() if isinstance(content, str) else content
        digest.update(f"{len(name.encode())}:{name}{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Cache:
    """Entries of one kind below ``root``; at most ``keep`` of them outlive a day without use."""

    root: Path
    kind: str
    keep: int = 64

    @property
    def folder(self) -> Path:
        """Where the entries of this kind are."""
        return self.root / self.kind

    def find(self, key: str) -> Path | None:
        """Return the folder of an entry; ``None`` if there is none or it is damaged."""
        entry = self.folder / key
        if not _intact(entry):
            return None
        # Only a hint for `_prune`: a cache that cannot be written is still good to read.
        with contextlib.suppress(OSError):
            os.utime(entry)
        return entry

    def store(self, key: str, files: Mapping[str, bytes | Path]) -> Path:
        """Store files under ``key`` and return the entry's folder.

        A ``bytes`` value is the content, a ``Path`` a file to copy with its mode. If another
        process stored the same key first, its entry is kept: equal keys mean equal contents.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        entry = self.folder / key
        staging = Path(tempfile.mkdtemp(prefix=f".{key[:16]}-", dir=self.folder))
        try:
            for name, content in files.items():
                if isinstance(content, Path):
                    shutil.copy2(content, staging / name)
                else:
                    (staging / name).write_bytes(content)
            sums = {name: _sum(staging / name) for name in sorted(files)}
            (staging / _MANIFEST).write_text(json.dumps(sums, indent=1), encoding="utf-8")
            if not _intact(entry):
                _move_away(entry)
                with contextlib.suppress(OSError):
                    staging.rename(entry)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        self._prune()
        return entry

    def _prune(self) -> None:
        """Remove the longest unused entries beyond ``keep``, none used within a day."""
        with contextlib.suppress(OSError):
            entries = sorted(
                ((p.stat().st_mtime, p) for p in self.folder.iterdir() if p.is_dir()), reverse=True
            )
            for used, entry in entries[self.keep :]:
                if time.time() - used > _KEEP_SECONDS:
                    shutil.rmtree(entry, ignore_errors=True)


def _move_away(entry: Path) -> None:
    """Remove a damaged entry in one step, so that nobody sees half of it."""
    if not entry.exists():
        return
    with contextlib.suppress(OSError):
        doomed = Path(tempfile.mkdtemp(prefix=".damaged-", dir=entry.parent))
        entry.rename(doomed / entry.name)
        shutil.rmtree(doomed, ignore_errors=True)


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _intact(entry: Path) -> bool:
    try:
        sums = json.loads((entry / _MANIFEST).read_text(encoding="utf-8"))
        return isinstance(sums, dict) and all(
            _sum(entry / name) == wanted for name, wanted in sums.items()
        )
    except (OSError, ValueError):
        return False
