"""The import contracts hold, and a deliberate violation of each one is caught."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("backends", "boards", "compiler", "hdl", "ir", "pynn")

START = "from importlinter.cli import lint_imports_command as start; start()"
ONE_WAY = "Imports point one way"
BOARDS = "hdl knows nothing of boards"
NUMPY_ONLY = "ir is numpy and the standard library"
PRIVATE = "A module named _x is used only inside the folder that holds it"


def lint_imports(cwd: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", START, "--no-cache", "--no-logo"],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package, for a test to break."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    package = tmp_path / "spikec"
    shutil.copytree(ROOT / "compiler" / "_package", package)
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder, package / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def test_contracts_hold() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_contracts_see_the_editable_package_through_its_links() -> None:
    sources = [
        path.relative_to(ROOT)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "_build" not in path.parts
    ]
    modules = {".".join(("spikec", *path.with_suffix("").parts)) for path in sources}
    expected = {"spikec", *(module.removesuffix(".__init__") for module in modules)}
    assert grimp.build_graph("spikec", cache_dir=None).modules == expected


def test_copy_is_sound(copy: Path) -> None:
    done = lint_imports(copy, copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("ir/bad.py", "from ..compiler import bad_target", ONE_WAY),
        ("ir/bad.py", "def late():\n    from ..boards import bad_target", ONE_WAY),
        ("boards/bad.py", "from ..compiler import bad_target", ONE_WAY),
        ("compiler/bad.py", "from ..backends import bad_target", ONE_WAY),
        ("compiler/bad.py", "from ..hdl import bad_target", ONE_WAY),
        ("backends/bad.py", "from ..pynn import bad_target", ONE_WAY),
        ("hdl/bad.py", "from ..compiler import bad_target", ONE_WAY),
        ("hdl/bad.py", "from ..backends import bad_target", ONE_WAY),
        ("hdl/bad.py", "from ..boards import bad_target", BOARDS),
        ("ir/bad.py", "import scipy.sparse", NUMPY_ONLY),
        ("ir/bad.py", "import some_package_of_tomorrow", NUMPY_ONLY),
        ("ir/bad.py", "from ..ir import bad_target", None),
        ("ir/bad.py", "import numpy, dataclasses", None),
        ("backends/bad.py", "from ..ir._bad_private import x", PRIVATE),
        ("ir/bad.py", "from ._bad_private import x", None),
        ("backends/bad.py", "from ..hdl import bad_target\nfrom ..boards import bad_target", None),
    ],
)
def test_violation_is_caught(copy: Path, file: str, line: str, contract: str | None) -> None:
    for folder in FOLDERS:
        (copy / "spikec" / folder / "bad_target.py").touch()
    (copy / "spikec" / "ir" / "_bad_private.py").write_text("x = 1\n")
    (copy / "spikec" / file).write_text(line + "\n")
    done = lint_imports(copy, copy)
    broken = [entry for entry in done.stdout.splitlines() if entry.endswith(" BROKEN")]
    if contract is None:
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        assert done.returncode == 1, done.stdout + done.stderr
        assert len(broken) == 1
        assert broken[0].startswith(contract)


def test_a_new_folder_needs_a_place_in_the_layers(copy: Path) -> None:
    (copy / "spikec" / "helpers").mkdir()
    (copy / "spikec" / "helpers" / "__init__.py").touch()
    done = lint_imports(copy, copy)
    assert done.returncode == 1
    title = f"{ONE_WAY}: pynn > backends > compiler > boards > ir, backends > hdl > ir BROKEN"
    assert title in done.stdout
