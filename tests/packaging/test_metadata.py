"""pyproject.toml, constraints.txt and the environment agree with one another."""

import importlib
import importlib.metadata
import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text()
PROJECT: dict[str, Any] = tomllib.loads(PYPROJECT)["project"]
ENTRY_POINTS = {
    "spikec": PROJECT["scripts"]["spikec"],
    **PROJECT["entry-points"]["spikec.backends"],
}


def requirement_lines() -> list[str]:
    """Lines of pyproject.toml that hold requirements of the project and its extras."""
    project = PYPROJECT.split("\n[project]\n")[1]
    dependencies = project.split("\ndependencies = [")[1].split("\n]")[0].splitlines()
    extras = project.split("\n[project.optional-dependencies]\n")[1].split("\n\n")[0].splitlines()
    return [line for line in dependencies + extras if '"' in line]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {name: Version(version) for name, version in pairs}


def direct_requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    return [Requirement(line) for line in lines]


def apart() -> set[str]:
    """Names of what is in no extra that `make setup` installs."""
    extras = PROJECT["optional-dependencies"]
    (everything,) = (Requirement(line) for line in extras["all"])
    outside = extras.keys() - everything.extras - {"all", "dev"}
    return {Requirement(line).name for extra in outside for line in extras[extra]}


def needed() -> set[str]:
    """Names of all distributions the project asks for, through any number of others."""
    names: set[str] = set()
    asked: set[tuple[str, str]] = set()
    todo = [*direct_requirements(), Requirement("hatchling"), Requirement("setuptools")]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        new = {(name, extra) for extra in ("", *requirement.extras)} - asked
        if name == "spikec" or not new:
            continue
        asked |= new
        names.add(name)
        if name in apart():
            continue
        for line in importlib.metadata.requires(name) or []:
            child = Requirement(line)
            if not child.marker or any(child.marker.evaluate({"extra": e}) for _, e in new):
                todo.append(child)
    return names


def test_each_dependency_has_its_reason_beside_it() -> None:
    lines = requirement_lines()
    assert len(lines) > 20
    assert [line for line in lines if not re.search(r"[\"\]],?\s+# \w.{7,}", line)] == []


def test_requirement_lines_are_all_the_requirements() -> None:
    found = sum(len(re.findall(r'"[^"]+"', line.split("  #")[0])) for line in requirement_lines())
    assert found == len(direct_requirements())


def test_constraints_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    entries = [line for line in lines if line and not line.startswith("#")]
    assert [e for e in entries if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9a-z.]+", e)] == []
    names = [entry.split("==")[0] for entry in entries]
    assert names == sorted(set(names))


def test_constraints_cover_exactly_what_is_needed() -> None:
    assert needed() - pins().keys() == set()
    only_elsewhere = {"importlib-metadata", "lazy-importer", "zipp"}  # of dask before Python 3.12
    assert pins().keys() - needed() - only_elsewhere == set()


@pytest.mark.parametrize("requirement", direct_requirements(), ids=str)
def test_pins_satisfy_the_declared_bounds(requirement: Requirement) -> None:
    if requirement.name != "spikec":
        assert pins()[canonicalize_name(requirement.name)] in requirement.specifier


def test_what_a_set_up_leaves_out_is_what_no_machine_must_have() -> None:
    assert apart() == {"badcrossbar", "mtkahypar", "pymetis", "spidev"}


def test_nothing_needs_a_gpu_stack() -> None:
    assert [name for name in pins() if re.match(r"torch|tensorflow|jax|nvidia|cuda", name)] == []


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_entry_points_resolve(name: str) -> None:
    module_name, _, attribute = ENTRY_POINTS[name].partition(":")
    assert importlib.util.find_spec(module_name) is not None
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        assert error.name is not None
        assert not error.name.startswith("spikec")
        pytest.skip(f"the extra that brings {error.name} is not installed")
    assert hasattr(module, attribute)


def test_installed_metadata_is_that_of_pyproject() -> None:
    installed = importlib.metadata.entry_points(group="spikec.backends")
    declared = PROJECT["entry-points"]["spikec.backends"]
    assert {point.name: point.value for point in installed} == declared
    assert importlib.metadata.version("spikec") == PROJECT["version"]
