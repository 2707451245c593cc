"""Backends are found through entry points; wrong names get the nearest right ones."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from spikec.backends.null import NullBackend
from spikec.boards.board import Target
from spikec.compiler import backend as module
from spikec.compiler.artifact import Artifact
from spikec.compiler.backend import (
    GROUP,
    Backend,
    Emission,
    Outcome,
    Progress,
    Requirement,
    Run,
    backends,
    find_rung,
    find_target,
    installed_version,
    need,
    no_progress,
    rungs_of,
)
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph


@dataclass(frozen=True)
class Toy:
    """A backend of its own for these tests."""

    name: str
    rungs: tuple[str, ...]
    names: tuple[str, ...] = ()
    ran: list[str] = field(default_factory=list)

    def targets(self) -> Sequence[Target]:
        return [Target.unlimited(name, "a toy") for name in self.names]

    def requirements(self) -> Sequence[Requirement]:
        return ()

    def emit(
        self, graph: Graph, target: Target, options: Mapping[str, Any], progress: Progress
    ) -> Emission:
        return Emission({"toy.txt": b"toy"}, {"toys": len(graph.populations)}, {})

    def run(self, rung: str, run: Run) -> Outcome:
        self.ran.append(rung)
        raise NotImplementedError


CHIP = Toy("chip", ("rtl", "device"), ("chip-small", "chip-large"))
OTHER = Toy("other", ("circuit",), ("mesh",))
FLOAT = Toy("float", ("golden",))


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {b.name: b for b in (OTHER, FLOAT, CHIP)}

    @dataclass(frozen=True)
    class Point:
        name: str

        def load(self) -> Toy:
            return found[self.name]

    def entry_points(group: str) -> list[Point]:
        assert group == GROUP == "spikec.backends"
        return [Point(name) for name in found]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def refused(code: str, *texts: str) -> Any:
    return pytest.raises(SpikecError, match=rf"(?s)error {code}.*" + ".*".join(texts))


def test_the_installed_backends_keep_the_protocol() -> None:
    found = backends()
    assert {"null", "reference", "fpga"} <= set(found)
    assert list(found) == sorted(found)
    for name, item in found.items():
        assert isinstance(item, Backend)
        assert item.name == name
        for target in item.targets():
            assert find_target(target.name) == (item, target)
        for requirement in item.requirements():
            assert requirement.name and requirement.mend


def test_importing_a_backend_is_cheap() -> None:
    import subprocess

    heavy = ["brian2", "amaranth", "matplotlib", "cocotb", "sklearn"]
    code = (
        "import sys; from spikec.compiler.backend import backends; "
        "[b.targets() for b in backends().values()]; "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("toys")
def test_backends_are_sorted_by_name() -> None:
    assert list(backends()) == ["chip", "float", "other"]
    assert find_target("chip-large")[0] is CHIP


@pytest.mark.usefixtures("toys")
def test_an_unknown_target_gets_the_nearest_name() -> None:
    with refused("E0304", "no target 'chip-smal'", "did you mean 'chip-small'"):
        find_target("chip-smal")
    with refused("E0304", "no target 'zzz'", "known: chip-large, chip-small, mesh"):
        find_target("zzz")


@pytest.mark.usefixtures("toys")
def test_rungs_are_those_of_the_owner_and_of_backends_without_targets() -> None:
    assert rungs_of("chip") == ("golden", "integer", "rtl", "device")
    assert rungs_of("other") == ("golden", "integer", "circuit")
    assert rungs_of("gone") == ("golden", "integer")
    assert find_rung("rtl", "chip") is CHIP
    assert find_rung("golden", "chip") is FLOAT
    with refused("E0306", "no rung 'circuit'", "golden, integer, rtl, device"):
        find_rung("circuit", "chip")
    with refused("E0306", "no rung 'rtl'", "golden, integer"):
        find_rung("rtl", "gone")


def test_versions_and_missing_packages() -> None:
    assert installed_version("numpy") == np.__version__
    assert installed_version("no-such-package-at-all") is None
    need("numpy", "all", "arithmetic")
    with refused("E0601", "drawing needs the package 'no_such'", r"spikec\[plot\]") as caught:
        need("no_such", "plot", "drawing")
    assert caught.value.exit_code == 3


def test_the_null_backend_has_one_target_without_limits() -> None:
    null = NullBackend()
    (target,) = null.targets()
    assert all(limit is None for limit in target.limits.values())
    graph = Graph("none", 1e-3, (), (), (), ())
    assert null.emit(graph, target, {}, no_progress) == Emission({}, {}, {})
    stimulus = Stimulus({"in": Events.from_dense(np.zeros((1, 1, 1), int))})
    with refused("E0306", "null"):
        null.run("rtl", Run(Artifact({}, {}), stimulus, ()))


def test_no_progress_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    assert module.no_progress("stage", 0.5) is None  # type: ignore[func-returns-value]
    assert capsys.readouterr().out == ""
