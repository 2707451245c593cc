"""The catalogue of codes and the errors made of them."""

import pickle
import re
from pathlib import Path

import pytest

from spikec.ir.codes import CODES
from spikec.ir.diagnostics import (
    NOWHERE,
    Diagnostic,
    Diagnostics,
    Location,
    Severity,
    SpikecError,
    fail,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("ir", "boards", "compiler", "backends", "hdl", "pynn")


def used() -> dict[str, str]:
    """Code -> a file that names it, over the sources without the catalogue."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name != "codes.py" or path.parent.name != "ir":
                for code in re.findall(r"[\"']([EWN]\d{4})[\"']", path.read_text("utf-8")):
                    found[code] = path.relative_to(ROOT).as_posix()
    return found


class TestCatalogue:
    @pytest.mark.parametrize("code", CODES)
    def test_entry_is_complete(self, code: str) -> None:
        entry = CODES[code]
        assert re.fullmatch(r"[EWN](0[1-9]|1\d)\d\d", code)
        assert entry.title[:1].islower() and not entry.title.endswith(".")
        assert entry.explanation.endswith(".") and entry.explanation[0].isupper()
        # A port, a simulator of PyNN and its machine, Lava, or JoSIM.
        outside = ("E0804", "E0806", "E0807", "E0808", "E1109", "E1112", "E1202", "E1203", "E1446")
        assert entry.environment == (code.startswith("E06") or code in outside)

    def test_areas_stand_together_and_in_order(self) -> None:
        areas = [code[1:3] for code in CODES]
        assert areas == sorted(areas)

    def test_numbers_are_used_once(self) -> None:
        numbers = [code[1:] for code in CODES]
        assert len(set(numbers)) == len(numbers)

    def test_titles_are_used_once(self) -> None:
        titles = [entry.title for entry in CODES.values()]
        assert len(set(titles)) == len(titles)

    def test_every_code_in_the_sources_is_in_the_catalogue(self) -> None:
        assert {code: path for code, path in used().items() if code not in CODES} == {}

    def test_every_code_of_the_catalogue_is_used(self) -> None:
        assert set(CODES) - set(used()) == set()


class TestDiagnostic:
    def test_text(self) -> None:
        found = Diagnostic("E0107", "tau is -1", Location("net.nir", "lif"), "check the unit")
        assert str(found) == (
            "error E0107: tau is -1\n  at net.nir: node 'lif'\n  help: check the unit"
        )
        assert str(Diagnostic("W0121", "no v_reset")) == "warning W0121: no v_reset"

    @pytest.mark.parametrize(
        ("where", "text"),
        [
            (NOWHERE, "<graph>"),
            (Location("a.nir"), "a.nir"),
            (Location("a.spk", line=3), "a.spk:3"),
            (Location("a.nir", "x"), "a.nir: node 'x'"),
            (Location(node="x"), "<graph>: node 'x'"),
            (Location("a.py", "x", 7), "a.py:7: node 'x'"),
        ],
    )
    def test_place(self, where: Location, text: str) -> None:
        assert str(where) == text

    @pytest.mark.parametrize(
        ("code", "severity"),
        [("E0101", Severity.ERROR), ("W0120", Severity.WARNING), ("N0130", Severity.NOTE)],
    )
    def test_severity(self, code: str, severity: Severity) -> None:
        assert Diagnostic(code, "x").severity is severity

    def test_as_dict(self) -> None:
        assert Diagnostic("N0130", "dt 1 ms", Location("a.nir", "x", 2), "h").as_dict() == {
            "code": "N0130",
            "severity": "note",
            "message": "dt 1 ms",
            "file": "a.nir",
            "node": "x",
            "line": 2,
            "hint": "h",
        }

    def test_code_outside_the_catalogue_is_refused(self) -> None:
        with pytest.raises(KeyError, match="E9999 is not in the catalogue"):
            Diagnostic("E9999", "x")


class TestError:
    def test_text_is_that_of_every_diagnostic(self) -> None:
        error = SpikecError([Diagnostic("W0121", "a"), Diagnostic("E0107", "b", hint="c")])
        assert str(error) == "warning W0121: a\nerror E0107: b\n  help: c"

    @pytest.mark.parametrize(
        ("codes", "exit_code"),
        [
            (["E0101"], 2),
            (["E0601"], 3),
            (["E0601", "E0602", "W0121"], 3),
            (["E0601", "E0107"], 2),
            ([], 2),
        ],
    )
    def test_exit_code(self, codes: list[str], exit_code: int) -> None:
        assert SpikecError(Diagnostic(code, "x") for code in codes).exit_code == exit_code

    def test_survives_the_way_to_another_process(self) -> None:
        error = fail("E0107", "tau is -1", Location("net.nir", "lif", 3), "hint")
        again = pickle.loads(pickle.dumps(error))
        assert again.diagnostics == error.diagnostics and str(again) == str(error)


class TestCollector:
    def test_only_errors_stop(self) -> None:
        found = Diagnostics()
        found.add("W0121", "a")
        found.add("N0130", "b")
        found.raise_errors()
        found.extend([Diagnostic("E0107", "c")])
        assert [d.code for d in found] == ["W0121", "N0130", "E0107"]
        assert len(found) == 3 and [d.code for d in found.errors] == ["E0107"]
        with pytest.raises(SpikecError) as caught:
            found.raise_errors()
        assert [d.code for d in caught.value.diagnostics] == ["W0121", "N0130", "E0107"]

    def test_collectors_share_nothing(self) -> None:
        first = Diagnostics()
        first.add("W0121", "a")
        assert len(Diagnostics()) == 0
