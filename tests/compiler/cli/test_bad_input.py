"""Bad input is a use case: a coded message, the right exit code, nothing written, no traceback."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spikec.compiler.cli import ladder as ladder_verbs
from spikec.compiler.frontends.nir import write_nir

from .conftest import OPTIONS, Said, Spikec, make_graph


def refused(said: Said, code: str, exit_code: int = 2) -> str:
    """The message, after what holds for every refusal was checked."""
    assert said.code == exit_code, said.err
    assert f"error {code}: " in said.err, said.err
    assert f"spikec explain {code}" in said.err
    assert said.out == ""
    return " ".join(said.err.split())


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """The output folder that must not appear."""
    return tmp_path / "never"


@pytest.fixture(autouse=True)
def nothing_written(tmp_path: Path) -> Any:
    """No output folder and no half-written file is left behind by any of these tests."""
    yield
    assert not (tmp_path / "never").exists()
    left = [p for p in tmp_path.rglob(".*") if p.suffix == ".part" or p.name.startswith(".never")]
    assert left == []


def field(name: str, value: Any, of: str = "hidden") -> Callable[[Path], None]:
    """Sets one field of a node."""

    def damage(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            node = file[f"node/nodes/{of}"]
            if name in node:
                del node[name]
            node[name] = value

    return damage


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def nan_weight(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["node/nodes/w1/weight"][2, 1] = np.nan


def wrong_shape(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["node/nodes/w2/weight"]
        file["node/nodes/w2/weight"] = np.ones((2, 7))


def absurd(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        node = file["node/nodes/in"]
        for key in list(node):
            if key != "type":
                del node[key]
        node["shape"] = np.array([1 << 20, 1 << 20, 1 << 20])


MODELS = [
    pytest.param(truncate, "E0101", ["small.nir"], id="truncated"),
    pytest.param(wrong_shape, "E0105", ["w2", "(6,)", "7"], id="wrong shape"),
    pytest.param(nan_weight, "E0106", ["w1", "weight", "1 value(s) of 18", "(2, 1)"], id="nan"),
    pytest.param(field("tau", np.full(6, -0.02)), "E0107", ["hidden", "tau", "-0.02"], id="tau<0"),
    pytest.param(
        field("tau", np.full(6, 1e-5)), "E0108", ["hidden", "--time-unit"], id="tau of another unit"
    ),
    pytest.param(field("type", "Izhikevich"), "E0103", ["Izhikevich", "hidden"], id="unknown type"),
    pytest.param(absurd, "E0113", ["in"], id="absurd"),
]


@pytest.mark.parametrize(("damage", "code", "words"), MODELS)
@pytest.mark.parametrize("verb", ["show", "compile"])
def test_a_bad_model(
    spikec: Spikec,
    model: Path,
    target: Path,
    damage: Callable[[Path], None],
    code: str,
    words: list[str],
    verb: str,
) -> None:
    damage(model)
    rest = () if verb == "show" else ("-t", "null", "-o", target)
    message = refused(spikec(verb, model, *OPTIONS, *rest), code)
    for word in words:
        assert word.lower() in message.lower(), f"no '{word}' in: {message}"


def test_tau_in_milliseconds_read_as_seconds(spikec: Spikec, tmp_path: Path) -> None:
    """20 ms stored as the number 20 would be 20 s: never meant."""
    path = tmp_path / "ms.nir"
    write_nir(make_graph(), path)
    field("tau", np.full(6, 20.0))(path)
    message = refused(spikec("show", path, *OPTIONS), "E0108")
    assert "tau" in message and "--time-unit ms" in message and "hidden" in message
    # The unit named in the message is the cure.
    field("tau", np.full(2, 20.0), "out")(path)
    assert spikec("show", path, *OPTIONS, "--time-unit", "ms").code == 0


def test_a_step_as_long_as_the_time_constants(spikec: Spikec, model: Path, target: Path) -> None:
    said = spikec("compile", model, "-t", "null", "-o", target, "--dt", "0.05")
    assert "tau" in refused(said, "E0108")


@pytest.mark.parametrize("verb", ["show", "compile", "compare"])
@pytest.mark.parametrize(("name", "word"), [("absent.nir", "does not exist"), (".", "is a folder")])
def test_no_model(
    spikec: Spikec, tmp_path: Path, stimulus: Path, target: Path, verb: str, name: str, word: str
) -> None:
    rest: dict[str, tuple[object, ...]] = {
        "compile": ("-t", "null", "-o", target),
        "compare": ("-s", stimulus),
    }
    message = refused(spikec(verb, tmp_path / name, *rest.get(verb, ())), "E0116")
    assert word in message and str(tmp_path) in message


def test_a_file_that_is_no_model(spikec: Spikec, tmp_path: Path) -> None:
    path = tmp_path / "notes.nir"
    path.write_text("buy milk\n")
    assert "notes.nir" in refused(spikec("show", path), "E0101")


class TestOptions:
    @pytest.mark.parametrize(("name", "near"), [("icebraker", "icebreaker"), ("ulx3", "ulx3s-85f")])
    def test_unknown_target(
        self, spikec: Spikec, model: Path, target: Path, name: str, near: str
    ) -> None:
        message = refused(spikec("compile", model, "-t", name, "-o", target, *OPTIONS), "E0304")
        assert f"did you mean '{near}'?" in message

    def test_unknown_target_like_no_other(self, spikec: Spikec, model: Path, target: Path) -> None:
        message = refused(spikec("compile", model, "-t", "zzz", "-o", target, *OPTIONS), "E0304")
        assert "null" in message and "icebreaker" in message

    def test_unknown_dialect(self, spikec: Spikec, model: Path) -> None:
        message = refused(spikec("show", model, "--dialect", "snntorche"), "E0114")
        assert "snntorch" in message

    @pytest.mark.parametrize(
        ("word", "hint"),
        [
            ("colour=red", "max_spikes"),
            ("max_spikes", "RULE=VALUE"),
            ("reset=sideways", "two_phase"),
            ("max_spikes=many", "whole number"),
            ("v_min=low", "number"),
            ("registered=perhaps", "true or false"),
        ],
    )
    def test_bad_set(self, spikec: Spikec, model: Path, word: str, hint: str) -> None:
        message = refused(spikec("show", model, *OPTIONS, "--set", word), "E0114")
        assert hint in message

    @pytest.mark.parametrize("bits", [1, 17])
    def test_weight_bits(self, spikec: Spikec, model: Path, target: Path, bits: int) -> None:
        said = spikec("compile", model, "-t", "null", "-o", target, "--weight-bits", bits)
        assert "--weight-bits" in refused(said, "E0402")
        assert "2 to 16" in said.err

    @pytest.mark.parametrize(
        "arguments",
        [
            ("compile",),
            ("nonsense",),
            ("targets", "--colour"),
            ("show",),
            ("compile", "x.nir", "-t", "null", "-o", "never", "--weight-bits", "eight"),
            ("compile", "x.nir", "-t", "null", "-o", "never", "--rounding", "sideways"),
        ],
    )
    def test_usage(self, spikec: Spikec, arguments: tuple[str, ...]) -> None:
        assert "spikec" in refused(spikec(*arguments), "E0707")

    @pytest.mark.parametrize("dt", ["0", "-0.001", "nan", "inf"])
    def test_dt(self, spikec: Spikec, model: Path, dt: str) -> None:
        said = spikec("show", model, "--dt", dt)
        assert said.code == 2 and "error E" in said.err and "dt" in said.err

    def test_explain_of_no_code(self, spikec: Spikec) -> None:
        assert "E0303" in refused(spikec("explain", "E0303x"), "E0707")
        message = refused(spikec("explain", "quux"), "E0707")
        assert "did you mean ?" not in message and "E0" in message

    def test_dump_after_no_pass(self, spikec: Spikec, model: Path, target: Path) -> None:
        said = spikec(
            "compile", model, "-t", "null", "-o", target, *OPTIONS, "--dump-after", "quantize"
        )
        assert "quantise" in refused(said, "E0707")

    @pytest.mark.parametrize("value", ["", ",", "snntorch,nonsense"])
    def test_compare_without_dialects(
        self, spikec: Spikec, model: Path, stimulus: Path, value: str
    ) -> None:
        said = spikec("compare", model, "-s", stimulus, "--dt", "0.001", "--dialects", value)
        assert said.code == 2 and said.out == "" and "error E" in said.err


class TestBoards:
    @pytest.mark.parametrize(
        ("option", "value", "word"),
        [
            ("--units", 3, "units"),
            ("--lanes", 0, "--lanes"),
            ("--lanes", -4, "--lanes"),
            ("--lanes", 4096, "lanes"),
            ("--clock", 0, "--clock"),
            ("--clock", "nan", "--clock"),
            ("--core", "serial", "--core"),
            ("--placements", 0, "--placements"),
            ("--placements", 65, "--placements"),
            ("--placements", 2, "nothing is placed with --no-bitstream"),
        ],
    )
    def test_lanes_and_clock(
        self, spikec: Spikec, model: Path, target: Path, option: str, value: object, word: str
    ) -> None:
        pytest.importorskip("amaranth")
        said = spikec(
            *("compile", model, "-t", "icebreaker", "-o", target, *OPTIONS),
            *("--no-bitstream", option, value),
        )
        assert said.code == 2, said.err
        assert "error E" in said.err and word in said.err

    def test_too_big_says_by_how_much(self, spikec: Spikec, tmp_path: Path, target: Path) -> None:
        pytest.importorskip("amaranth")
        path = tmp_path / "big.nir"
        write_nir(make_graph(hidden=6000), path)
        said = spikec("compile", path, "-t", "icebreaker", "-o", target, *OPTIONS)
        message = refused(said, "E0302")
        assert "iCEBreaker" in message and "too many" in message and "spikec targets" in message


class TestEnvironment:
    @pytest.fixture
    def hidden(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        real = importlib.util.find_spec

        def hide(module: str) -> None:
            monkeypatch.setattr(
                importlib.util,
                "find_spec",
                lambda name, package=None: None if name == module else real(name, package),
            )

        return hide

    def test_no_brian2(
        self, spikec: Spikec, built: Path, stimulus: Path, hidden: Callable[[str], None]
    ) -> None:
        hidden("brian2")
        message = refused(spikec("run", built, "--on", "golden", "-s", stimulus), "E0601", 3)
        assert "pip install 'spikec[golden]'" in message

    def test_no_amaranth(
        self, spikec: Spikec, model: Path, target: Path, hidden: Callable[[str], None]
    ) -> None:
        hidden("amaranth")
        said = spikec("compile", model, "-t", "icebreaker", "-o", target, *OPTIONS)
        assert "pip install 'spikec[fpga]'" in refused(said, "E0601", 3)

    def test_no_matplotlib(
        self, spikec: Spikec, model: Path, target: Path, hidden: Callable[[str], None]
    ) -> None:
        hidden("matplotlib")
        said = spikec("show", model, *OPTIONS, "--plot", target / "x.svg")
        refused(said, "E0601", 3)

    def test_no_scikit_learn(
        self, spikec: Spikec, target: Path, hidden: Callable[[str], None]
    ) -> None:
        hidden("sklearn")
        said = spikec("demo", "-o", target)
        assert said.code == 3 and "error E0601" in said.err and "spikec[demo]" in said.err


class TestOutput:
    def compile_to(self, spikec: Spikec, model: Path, place: Path) -> Said:
        return spikec("compile", model, "-t", "null", "-o", place, *OPTIONS)

    def test_a_file_is_in_the_way(self, spikec: Spikec, model: Path, tmp_path: Path) -> None:
        place = tmp_path / "file"
        place.write_text("mine")
        refused(self.compile_to(spikec, model, place), "E0604", 3)
        refused(self.compile_to(spikec, model, place / "below"), "E0604", 3)
        assert place.read_text() == "mine"

    def test_somebody_elses_folder(self, spikec: Spikec, model: Path, tmp_path: Path) -> None:
        place = tmp_path / "photos"
        place.mkdir()
        (place / "cat.jpg").write_text("mine")
        refused(self.compile_to(spikec, model, place), "E0604", 3)
        assert [p.name for p in place.iterdir()] == ["cat.jpg"]

    @pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
    )
    def test_a_read_only_parent(self, spikec: Spikec, model: Path, tmp_path: Path) -> None:
        parent = tmp_path / "locked"
        parent.mkdir(mode=0o500)
        message = refused(self.compile_to(spikec, model, parent / "out"), "E0604", 3)
        assert "Permission denied" in message

    def test_a_disk_that_refuses(
        self, spikec: Spikec, model: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(self: Path, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as full:
            full.setattr(Path, "write_bytes", refuse)
            message = refused(self.compile_to(spikec, model, target), "E0604", 3)
        assert "No space left on device" in message

    @pytest.mark.parametrize("below", ["", "deeper/"])
    def test_a_recording_below_a_file(
        self, spikec: Spikec, built: Path, stimulus: Path, tmp_path: Path, below: str
    ) -> None:
        (tmp_path / "file").write_text("mine")
        place = tmp_path / f"file/{below}r.npz"
        refused(spikec("run", built, "-s", stimulus, "-o", place), "E0604", 3)

    def test_a_recording_onto_a_folder(self, spikec: Spikec, built: Path, stimulus: Path) -> None:
        refused(spikec("run", built, "-s", stimulus, "-o", built), "E0604", 3)
        assert spikec("run", built, "-s", stimulus).code == 0

    def test_demo_into_a_file(self, spikec: Spikec, tmp_path: Path) -> None:
        place = tmp_path / "file"
        place.write_text("mine")
        said = spikec("demo", "-o", place)
        assert said.code == 3 and "error E0604: " in said.err


class TestArtefacts:
    @pytest.mark.parametrize("verb", ["run", "verify", "profile"])
    def test_no_artefact(self, spikec: Spikec, tmp_path: Path, stimulus: Path, verb: str) -> None:
        empty = tmp_path / "empty"
        empty.mkdir()
        for place in (empty, tmp_path / "absent", stimulus):
            assert "spikec compile" in refused(spikec(verb, place, "-s", stimulus), "E0704")

    @pytest.mark.parametrize("name", ["network.spk", "quantised.spk", "report.html"])
    def test_a_changed_file(self, spikec: Spikec, built: Path, stimulus: Path, name: str) -> None:
        with (built / name).open("ab") as file:
            file.write(b"\n")
        message = refused(spikec("run", built, "-s", stimulus), "E0705")
        assert name in message and "compile again" in message

    def test_a_lost_file(self, spikec: Spikec, built: Path, stimulus: Path) -> None:
        (built / "network.spk").unlink()
        assert "network.spk" in refused(spikec("verify", built, "-s", stimulus), "E0705")

    @pytest.mark.parametrize(
        "manifest",
        [
            "",
            "[]",
            "null",
            "{}",
            '{"files": [], "digest": "", "format": 1}',
            '{"files": {"network.spk": 1}, "digest": "", "format": 1}',
            '{"files": {"../../x": {"sha256": ""}}, "digest": "", "format": 1}',
            '{"files": {}, "digest": "", "format": 99}',
        ],
    )
    def test_a_damaged_manifest(
        self, spikec: Spikec, built: Path, stimulus: Path, manifest: str
    ) -> None:
        (built / "manifest.json").write_text(manifest)
        refused(spikec("run", built, "-s", stimulus), "E0705")

    def test_a_changed_manifest(self, spikec: Spikec, built: Path, stimulus: Path) -> None:
        path = built / "manifest.json"
        facts = json.loads(path.read_text())
        facts["target"] = "icebreaker"
        path.write_text(json.dumps(facts))
        assert "digest" in refused(spikec("run", built, "-s", stimulus), "E0705")

    def test_a_rung_that_is_not_offered(self, spikec: Spikec, built: Path, stimulus: Path) -> None:
        message = refused(spikec("run", built, "--on", "rtl", "-s", stimulus), "E0306")
        assert "golden, integer" in message
        refused(spikec("verify", built, "--rungs", "integer,rtl", "-s", stimulus), "E0306")
        assert "spikec targets" in refused(spikec("profile", built, "-s", stimulus), "E0306")

    @pytest.mark.parametrize("rungs", ["integer", "", "integer,integer"])
    def test_verify_needs_two_rungs(
        self, spikec: Spikec, built: Path, stimulus: Path, rungs: str
    ) -> None:
        message = refused(spikec("verify", built, "-s", stimulus, "--rungs", rungs), "E0707")
        assert "--rungs" in message and "golden,integer" in message

    def test_no_such_population(self, spikec: Spikec, built: Path, stimulus: Path) -> None:
        said = spikec("run", built, "-s", stimulus, "--populations", "hiden")
        assert "hidden" in refused(said, "E0707")


def counts(*shape: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.ones(shape, np.int64)


STIMULI = [
    pytest.param({"in": counts(2, 5, 4)}, "E0702", "(2, 5, 4)", id="size"),
    pytest.param({"in": counts(5)}, "E0702", "(5,)", id="axes"),
    pytest.param({"other": counts(2, 5, 3)}, "E0702", "other", id="name"),
    pytest.param({"in": -counts(2, 5, 3)}, "E0703", "-1", id="negative"),
    pytest.param({"in": 0.5 * counts(2, 5, 3)}, "E0703", "0.5", id="float"),
    pytest.param({"in": counts(2, 5, 3) * np.nan}, "E0701", "finite", id="nan"),
    pytest.param({"in": np.array([None, {}])}, "E0701", "object", id="object"),
    pytest.param({"in": np.array(["a", "b"])}, "E0701", "in", id="text"),
    pytest.param({"in": counts(2, 5, 3), "labels": counts(3)}, "E0702", "3 labels", id="labels"),
    pytest.param(
        {"in": counts(2, 5, 3), "labels": np.array(["a", "b"])}, "E0701", "label", id="text labels"
    ),
    pytest.param({"in": counts(0, 5, 3)}, "E0702", "no sample", id="empty"),
    pytest.param({"in.step": counts(2), "in.index": counts(3)}, "E0701", "length", id="lists"),
    pytest.param({"in.step": counts(2), "in.index": 7 * counts(2)}, "E0702", "7", id="index"),
    pytest.param({"in.step": counts(2)}, "E0702", "in.index", id="half"),
    pytest.param({"in.step": counts(2) * 0.5, "in.index": counts(2)}, "E0701", "in.step", id="f"),
]


class TestStimuli:
    @pytest.mark.parametrize(("arrays", "code", "word"), STIMULI)
    @pytest.mark.parametrize("verb", ["run", "verify"])
    def test_npz(
        self,
        spikec: Spikec,
        built: Path,
        tmp_path: Path,
        arrays: dict[str, Any],
        code: str,
        word: str,
        verb: str,
    ) -> None:
        path = tmp_path / "bad.npz"
        np.savez(path, **arrays)
        extra = () if verb == "run" else ("--rungs", "integer,golden")
        message = refused(spikec(verb, built, "-s", path, *extra), code)
        assert word in message

    def test_missing(self, spikec: Spikec, built: Path, tmp_path: Path) -> None:
        message = refused(spikec("run", built, "-s", tmp_path / "absent.npz"), "E0701")
        assert "absent.npz" in message

    @pytest.mark.parametrize("name", ["x.npz", "x.npy", "x.nir", "x.txt", "x.jpg"])
    def test_noise(self, spikec: Spikec, built: Path, tmp_path: Path, name: str) -> None:
        (tmp_path / name).write_bytes(bytes(range(256)))
        said = spikec("run", built, "-s", tmp_path / name)
        assert said.code == 2 and "error E" in said.err and name in said.err

    def test_a_pickle_is_not_executed(self, spikec: Spikec, built: Path, tmp_path: Path) -> None:
        path = tmp_path / "evil.npy"
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        refused(spikec("run", built, "-s", path), "E0701")

    def test_a_line_of_text_is_named(self, spikec: Spikec, built: Path, tmp_path: Path) -> None:
        path = tmp_path / "spikes.txt"
        path.write_text("# step index\n0 1\n1 two\n")
        assert "spikes.txt:3" in refused(spikec("run", built, "-s", path), "E0701")

    @pytest.mark.parametrize(
        ("name", "more", "text"),
        [
            ("r.png", (), "writes .npz or AER text"),
            ("r.aer", ("--states",), "holds spikes, no states"),
            ("r.csv", ("--populations", "hidden,out"), "of one population, not of hidden, out"),
            ("r.txt", ("--populations", "hiden"), "there is no population 'hiden'"),
        ],
    )
    def test_a_recording_that_a_file_cannot_hold(
        self,
        spikec: Spikec,
        built: Path,
        stimulus: Path,
        tmp_path: Path,
        name: str,
        more: tuple[str, ...],
        text: str,
    ) -> None:
        said = spikec("run", built, "-s", stimulus, "-o", tmp_path / name, *more)
        assert text in refused(said, "E0707")
        assert not (tmp_path / name).exists()

    @pytest.mark.parametrize("option", ["--steps", "--samples"])
    @pytest.mark.parametrize("value", ["0", "-1", "many", "1e3"])
    def test_lengths(
        self, spikec: Spikec, built: Path, stimulus: Path, option: str, value: str
    ) -> None:
        assert option in refused(spikec("run", built, "-s", stimulus, option, value), "E0707")

    def test_an_absurd_length(self, spikec: Spikec, built: Path, stimulus: Path) -> None:
        said = spikec("run", built, "-s", stimulus, "--steps", 10**12)
        assert "--steps" in refused(said, "E0707")

    def test_calibration_that_does_not_fit(
        self, spikec: Spikec, model: Path, target: Path, tmp_path: Path
    ) -> None:
        path = tmp_path / "bad.npz"
        arrays: dict[str, Any] = {"in": counts(2, 5, 4)}
        np.savez(path, **arrays)
        said = spikec("compile", model, "-t", "null", "-o", target, *OPTIONS, "--calibration", path)
        assert "(2, 5, 4)" in refused(said, "E0702")


class TestInterruption:
    def test_control_c_in_a_rung(
        self,
        spikec: Spikec,
        built: Path,
        stimulus: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(ladder_verbs, "run_rung", interrupt)
        for verb in ("run", "verify"):
            place = tmp_path / "r.npz"
            rest = ("-o", place) if verb == "run" else ("--report", place)
            said = spikec(verb, built, "-s", stimulus, *rest)
            assert (said.code, said.out) == (130, "")
            assert said.err.strip() == "interrupted; nothing was left half-written"
            assert not place.exists()

    def test_control_c_while_writing(
        self, spikec: Spikec, model: Path, target: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as late:
            late.setattr(os, "replace", interrupt)
            said = spikec("compile", model, "-t", "null", "-o", target, *OPTIONS)
        assert said.code == 130

    def test_the_reader_has_gone(
        self, spikec: Spikec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = (tmp_path / "pipe").open("wb")

        class Closed:
            encoding = "utf-8"

            def write(self, text: str) -> int:
                raise BrokenPipeError(32, "Broken pipe")

            def flush(self) -> None:
                raise BrokenPipeError(32, "Broken pipe")

            def isatty(self) -> bool:
                return False

            def fileno(self) -> int:
                return place.fileno()

        for arguments in (("targets",), ("targets", "--json"), ("explain", "E0302")):
            with monkeypatch.context() as gone:
                gone.setattr(sys, "stdout", Closed())
                gone.setattr(sys, "stderr", sys.stderr)  # click puts a wrapper in its place
                said = spikec(*arguments)
            assert said.code == 0
            assert said.err == ""
        place.close()


def test_warnings_are_said_once(spikec: Spikec, model: Path, target: Path) -> None:
    """Also when an error follows them."""
    field("tau", np.full(6, 1.5e-3))(model)  # dt/tau above one half: W0127
    said = spikec(
        "compile",
        model,
        "-t",
        "null",
        "-o",
        target,
        *OPTIONS,
        "--state-bits",
        8,
        "--weight-bits",
        16,
    )
    assert said.code == 2, said.err
    lines = [line for line in said.err.splitlines() if re.match(r"(warning|note|error) ", line)]
    assert len(lines) == len(set(lines)), said.err


def test_json_on_failure_is_one_object(spikec: Spikec, tmp_path: Path) -> None:
    said = spikec("show", tmp_path / "absent.nir", "--json")
    assert said.code == 2
    (found,) = said.data["diagnostics"]
    assert found["code"] == "E0116" and said.data["exit_code"] == 2
    assert "error E0116" in said.err


def test_the_folder_of_a_damaged_compile_is_kept(spikec: Spikec, model: Path, built: Path) -> None:
    """A failed compile leaves the artefact of the last one as it was."""
    before = {p.name: p.read_bytes() for p in built.iterdir()}
    truncate(model)
    spikec("compile", model, "-t", "null", "-o", built, *OPTIONS)
    assert {p.name: p.read_bytes() for p in built.iterdir()} == before
    shutil.rmtree(built)


class TestOptionsOutOfRange:
    @pytest.mark.parametrize("seed", ["-1", "99999999999"])
    def test_a_seed(
        self, spikec: Spikec, model: Path, built: Path, stimulus: Path, tmp_path: Path, seed: str
    ) -> None:
        refused(spikec("run", built, "-s", stimulus, "--seed", seed), "E0707")
        place = tmp_path / "b"
        refused(spikec("compile", model, "-t", "null", "-o", place, "--seed", seed), "E0402")
        assert not place.exists()

    def test_the_current_folder_is_no_file(
        self, spikec: Spikec, model: Path, built: Path, stimulus: Path
    ) -> None:
        refused(spikec("run", built, "-s", stimulus, "-o", "."), "E0604", 3)

    def test_a_suffix_that_says_something_else(
        self, spikec: Spikec, model: Path, built: Path, stimulus: Path, tmp_path: Path
    ) -> None:
        for said in (
            spikec("run", built, "-s", stimulus, "-o", tmp_path / "r.json"),
            spikec("show", model, "--plot", tmp_path / "g.jpeg"),
        ):
            refused(said, "E0707")
        assert not list(tmp_path.glob("[rg].*"))

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("--lanes", "8"),
            ("--units", "2"),
            ("--clock", "8"),
            ("--core", "parallel"),
            ("--cores", "4"),
            ("--cores", "auto"),
            ("--cycles", "50"),
            ("--step-time", "2us"),
            ("--activity", "10"),
            ("--parity", None),
            ("--link", "spi"),
            ("--placements", "4"),
        ],
    )
    def test_an_option_of_boards_without_a_board(
        self, spikec: Spikec, model: Path, tmp_path: Path, option: str, value: str | None
    ) -> None:
        more = (option,) if value is None else (option, value)
        said = spikec("compile", model, "-t", "null", "-o", tmp_path / "b", *more)
        message = refused(said, "E0707")
        assert f"'null' is no board: it takes no {option}" in message
        assert not (tmp_path / "b").exists()

    @pytest.mark.parametrize("value", ["abc", "nan", "0", "--no-bitstream"])
    def test_what_is_no_clock(
        self, spikec: Spikec, model: Path, tmp_path: Path, value: str
    ) -> None:
        board = ("-t", "icebreaker", "-o", tmp_path / "b", *OPTIONS)
        message = refused(spikec("compile", model, *board, "--clock", value), "E0707")
        assert f"'{value}' is no clock in MHz, 0.1 to 1000" in message

    def test_no_target(self, spikec: Spikec, model: Path, tmp_path: Path) -> None:
        said = spikec("compile", model, "-o", tmp_path / "b")
        assert "'spikec targets' lists them" in refused(said, "E0707")

    def test_no_model(self, spikec: Spikec, tmp_path: Path) -> None:
        said = spikec("show", tmp_path / "none.nir")
        hint = "name a NIR file (.nir), a Lava-DL file (.net) or a graph text (.spk)"
        assert hint in refused(said, "E0116")

    def test_no_port(self, spikec: Spikec, built: Path) -> None:
        assert "or 'sim' for" in refused(spikec("deploy", built, "--port", ""), "E0707")

    def test_a_text_that_calls_itself_numpys(
        self, spikec: Spikec, built: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "s.npz").write_text("hello")
        message = refused(spikec("run", built, "-s", tmp_path / "s.npz"), "E0701")
        assert "it is no file of numpy's" in message and "pickle" not in message

    def test_labels_beyond_the_output(self, spikec: Spikec, built: Path, tmp_path: Path) -> None:
        path = tmp_path / "labels.npz"
        arrays: dict[str, Any] = {"in": counts(4, 5, 3), "labels": [0, 1, 7, 0]}
        np.savez(path, **arrays)
        message = refused(spikec("run", built, "-s", path), "E0702")
        assert "0 to 7" in message and "0 to 1" in message

    def test_the_demo_needs_a_board(self, spikec: Spikec, tmp_path: Path) -> None:
        place = tmp_path / "demo"
        refused(spikec("demo", "-t", "null", "-o", place), "E0306")
        assert not place.exists()

    def test_only_rules_are_named_as_rules(self, spikec: Spikec, model: Path) -> None:
        message = refused(spikec("show", model, "--set", "foo=1"), "E0114")
        assert "max_spikes" in message and "__" not in message

    @pytest.mark.parametrize(
        "option", [("--dialect", "norse"), ("--dt", "5"), ("--set", "reset=zero")]
    )
    def test_a_graph_text_has_its_own_rules(
        self, spikec: Spikec, built: Path, option: tuple[str, str]
    ) -> None:
        assert spikec("show", built / "network.spk").code == 0
        message = refused(spikec("show", built / "network.spk", *option), "E0707")
        assert "its own rules" in message
