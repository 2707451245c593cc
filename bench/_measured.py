"""What every bench prints beside its results: where, with which versions, from which seed."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
from collections.abc import Iterable
from typing import Any


def measured(results: list[dict[str, Any]], packages: Iterable[str], seed: int) -> dict[str, Any]:
    """The object that ``--json`` prints. Packages that are not installed have no version."""
    versions = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "results": results,
        "host": f"{platform.machine()}, {os.cpu_count()} CPUs, {platform.system()}",
        "versions": versions,
        "seed": seed,
    }
