"""Public methods say what they do, themselves or through the class that declares them."""

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("backends", "boards", "compiler", "hdl", "ir", "pynn")
METHODS = (FunctionType, property, staticmethod, classmethod)


def modules() -> list[str]:
    paths = (p.relative_to(ROOT) for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
    public = (p.with_suffix("").parts for p in paths if not p.stem.startswith("_"))
    return sorted(".".join(("spikec", *parts)) for parts in public if "_build" not in parts)


def public_methods(module: ModuleType) -> Iterator[tuple[str, object]]:
    for name, kind in inspect.getmembers(module, inspect.isclass):
        if name.startswith("_") or kind.__module__ != module.__name__:
            continue
        for method in vars(kind):
            member = inspect.getattr_static(kind, method)
            if not method.startswith("_") and isinstance(member, METHODS):
                yield f"{name}.{method}", getattr(kind, method)


@pytest.mark.parametrize("name", modules())
def test_public_methods_are_documented(name: str) -> None:
    module = importlib.import_module(name)
    assert [method for method, value in public_methods(module) if not inspect.getdoc(value)] == []
