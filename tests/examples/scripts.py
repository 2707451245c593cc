"""Where the examples are, and how a test imports a script of one."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def script(name: str) -> Iterator[ModuleType]:
    """A script of an example, imported under a name of its own and forgotten afterwards."""
    path = EXAMPLES / name
    title = f"example_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(title, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[title]
