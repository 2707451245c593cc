"""The wheel and the sdist hold what the tree holds, and the wheel alone is enough to import."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("backends", "boards", "compiler", "hdl", "ir", "pynn")
NOT_INSTALLED = ("compiler/_build", "compiler/_package")
PRODUCTS = {"__pycache__", "sim_build", "results.xml", ".DS_Store"}


def build_wheel(root: Path, directory: Path) -> Path:
    (built,) = WheelBuilder(str(root)).build(directory=str(directory), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sdist")
    (built,) = SdistBuilder(str(ROOT)).build(directory=str(directory), versions=["standard"])
    with tarfile.open(built) as archive:
        archive.extractall(directory, filter="data")
    (root,) = (path for path in directory.iterdir() if path.is_dir())
    return root


def tree(root: Path, *folders: str) -> set[str]:
    """Names of the files below the folders that are sources, not products."""
    paths = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix() for path in paths if PRODUCTS.isdisjoint(path.parts)}


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def expected_in_wheel() -> set[str]:
    package = {name for name in tree(ROOT, *FOLDERS) if not name.startswith(NOT_INSTALLED)}
    facade = tree(ROOT / "compiler" / "_package", ".")
    return {f"spikec/{name}" for name in package | facade}


def test_wheel_holds_the_whole_tree_and_nothing_else(wheel: Path) -> None:
    assert names(wheel) == expected_in_wheel()


def test_wheel_installs_one_top_level_name(wheel: Path) -> None:
    assert {PurePosixPath(name).parts[0] for name in names(wheel)} == {"spikec"}
    assert "spikec/py.typed" in names(wheel)


def test_data_files_are_installed(wheel: Path) -> None:
    kinds = (".toml", ".sv", ".cpp", ".json")
    data = {name for name in tree(ROOT, *FOLDERS) if name.endswith(kinds)}
    assert {f"spikec/{name}" for name in data} <= names(wheel)


def test_sdist_holds_what_the_tree_holds(sdist_root: Path) -> None:
    folders = (*FOLDERS, "tests", "examples", "bench", "docs")
    present = [folder for folder in folders if (ROOT / folder).is_dir()]
    assert tree(sdist_root, *present) == tree(ROOT, *present)
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "Makefile", "constraints.txt"):
        assert (sdist_root / name).read_bytes() == (ROOT / name).read_bytes()


def test_wheel_built_from_the_sdist_is_the_same(
    wheel: Path, sdist_root: Path, tmp_path: Path
) -> None:
    assert build_wheel(sdist_root, tmp_path).read_bytes() == wheel.read_bytes()


def test_every_module_of_the_wheel_imports_from_it(wheel: Path, tmp_path: Path) -> None:
    program = """
import importlib, importlib.util, pathlib, sys
target = pathlib.Path(sys.argv[1])
for path in sorted((target / "spikec").rglob("*.py")):
    name = ".".join(path.relative_to(target).with_suffix("").parts)
    module = importlib.import_module(name.removesuffix(".__init__"))
    assert pathlib.Path(module.__file__).is_relative_to(target), module.__file__
for stray in ("ir", "boards", "compiler", "backends", "hdl", "tests"):
    # Another distribution may have a folder of that name; this one must not.
    spec = importlib.util.find_spec(stray)
    places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    for place in filter(None, places):
        if pathlib.Path(place).is_relative_to(target):
            raise SystemExit(f"{stray} is importable")
"""
    run_from(wheel, tmp_path, program)


def test_hardware_files_are_found_in_the_wheel(wheel: Path, tmp_path: Path) -> None:
    program = """
import sys
from spikec.boards import board, chip
assert chip.__file__.startswith(sys.argv[1])
print(*(board.load_board(name).name for name in board.board_names()))
print(*(chip.load_chip(name).name for name in chip.chip_names()))
"""
    files = (*(ROOT / "boards").glob("*.toml"), *(ROOT / "boards" / "chips").glob("*.toml"))
    assert sorted(run_from(wheel, tmp_path, program).split()) == sorted(f.stem for f in files)


def run_from(wheel: Path, tmp_path: Path, program: str) -> str:
    """What a program prints that has the wheel, and nothing of the checkout, on its path."""
    with zipfile.ZipFile(wheel) as archive:  # a pure wheel is installed by unpacking it
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
