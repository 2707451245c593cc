"""What every bench prints beside its results: where, with which versions, from which seed."""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterable
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


def main(
    measure: Callable[[bool], dict[str, Any]],
    about: str | None,
    quick: str,
    line: Callable[[dict[str, Any]], str],
) -> None:
    """The command line of a bench: ``--json`` prints all of it, else a ``line`` for each result.

    ``quick`` says what ``--quick`` leaves of it, ``about`` is the text of the module.
    """
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help=quick)
    options = parser.parse_args()
    found = measure(options.quick)
    if options.json:
        print(json.dumps(found))
        return
    for row in found["results"]:
        print(line(row))
