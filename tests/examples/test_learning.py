"""Examples that learn on the golden rung, at the figures of the models they are after."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.ir.text import parse, text
from spikec.ir.verify import verify

from .scripts import script


def answer(
    module: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *options: str,
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["script", *options])
    code = module.main()
    out, err = capsys.readouterr()
    return code, out, err


class TestWhatWhen:
    @pytest.fixture
    def interval(self) -> Iterator[ModuleType]:
        yield from script("what_when/interval.py")

    def test_it_learns_when_and_learns_it_anew(
        self,
        interval: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        plot = tmp_path / "last.svg"
        options = ("--json", "--trials", "10", "--plot", str(plot))
        code, out, _ = answer(interval, monkeypatch, capsys, *options)
        first, second = json.loads(out)["peaks"]
        assert code == 0 and abs(first - 300) <= 30 and abs(second - 200) <= 20
        before = json.loads(out)["looks"][0]
        assert before == {"interval": 300, "trials": 0, "peak": 0}
        assert plot.read_text().startswith("<svg")

    def test_without_the_error_nothing_is_learned(
        self,
        interval: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        options = ("--trials", "1", "--eta", "0", "--neurons", "50")
        code, out, _ = answer(interval, monkeypatch, capsys, *options)
        assert code == 1 and out.count("not yet") == 3

    def test_options_out_of_range(
        self,
        interval: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for options in (("--trials", "0"), ("--interval", "200"), ("--switch", "5")):
            code, _, err = answer(interval, monkeypatch, capsys, *options)
            assert code == 2 and "E0707" in err

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(1, 6))
    @pytest.mark.parametrize("intervals", [(300, 200), (200, 350)])
    def test_every_reservoir(
        self, interval: ModuleType, seed: int, intervals: tuple[int, int]
    ) -> None:
        looks, recording = interval.run(intervals, 20, seed=seed)
        for wanted in intervals:
            last = [look for look in looks if look.interval == wanted][-1]
            assert last.right and abs(last.peak - wanted) <= 0.1 * wanted
        spikes = recording.spikes["reservoir"]
        rate = spikes.value.size / (spikes.samples * spikes.steps * spikes.size * 1e-3)
        assert 5 < rate < 40

    def test_it_is_data(self, interval: ModuleType) -> None:
        graph = interval.network(50, 1)
        verify(graph)
        assert parse(text(graph)) == graph


class TestHlop:
    @pytest.fixture
    def project(self) -> Iterator[ModuleType]:
        yield from script("hlop/project.py")

    @pytest.mark.parametrize(("levels", "most"), [(None, 0.07), (1000, 0.055)])
    def test_the_first_task_is_not_forgotten(
        self, project: ModuleType, levels: int | None, most: float
    ) -> None:
        result = project.run(levels, 64, 10, 2000, 1)
        assert result.residual <= most
        assert result.interference <= 0.08
        assert result.error < 0.1 and result.unprojected > 0.2

    def test_too_few_levels_find_nothing(
        self,
        project: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        plot = tmp_path / "course.svg"
        options = ("--json", "--levels", "20", "--updates", "200", "--plot", str(plot))
        code, out, _ = answer(project, monkeypatch, capsys, *options)
        found = json.loads(out)
        assert code == 1 and found["residual"] > 0.5 and found["interference"] > 0.5
        assert plot.read_text().startswith("<svg")

    def test_options_out_of_range(
        self,
        project: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for options in (("--levels", "0"), ("--rank", "65"), ("--updates", "0")):
            code, _, err = answer(project, monkeypatch, capsys, *options)
            assert code == 2 and "E0707" in err

    def test_it_is_data(self, project: ModuleType) -> None:
        for levels in (None, 100):
            graph = project.network(
                np.eye(2, 4), np.zeros((5, 4)), levels, first=True, projected=True
            )
            verify(graph)
            assert parse(text(graph)) == graph


class TestAstrocyte:
    @pytest.fixture
    def liquid(self) -> Iterator[ModuleType]:
        yield from script("astrocyte/liquid.py")

    def test_it_holds_a_branching_factor_of_one(
        self,
        liquid: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        plot = tmp_path / "factors.svg"
        options = ("--json", "--seconds", "5", "--plot", str(plot))
        code, out, _ = answer(liquid, monkeypatch, capsys, *options)
        found = json.loads(out)
        assert code == 0
        assert np.mean(found["with"]["branching"][-2:]) == pytest.approx(1.0, abs=0.05)
        free = found["without"]["branching"]
        assert free[0] > 5 and np.all(np.diff(free) > 0)
        assert plot.read_text().startswith("<svg")

    def test_its_state_is_the_recurrence(self, liquid: ModuleType) -> None:
        _, stimulus, recording = liquid.run(2, 2, True)
        spikes, lines = recording.spikes["liquid"], stimulus.inputs["lines"]
        n_liquid, n_input = liquid.counts(spikes), liquid.counts(lines)
        a, wanted = 0.02, []
        for t in range(2000):
            a += (0.2 * (n_liquid[t] - n_input[t]) + 0.02 - a) / 100
            wanted.append(a)
        found = recording.states["astrocyte", "v"][0, :, 0]
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
        assert np.ptp(wanted) > 0.01

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", [1, 2, 3])
    @pytest.mark.parametrize("start", [1.0, 3.0])
    def test_from_either_side(self, liquid: ModuleType, seed: int, start: float) -> None:
        held, free = (liquid.run(seed, 8, astrocyte, start)[0] for astrocyte in (True, False))
        assert abs(held.end - 1) <= 0.05
        assert abs(free.end - 1) > 0.05 and free.end > free.branching[0]

    def test_options_out_of_range(
        self,
        liquid: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for options in (("--seconds", "1"), ("--start", "0"), ("--start", "9")):
            code, _, err = answer(liquid, monkeypatch, capsys, *options)
            assert code == 2 and "E0707" in err

    def test_it_is_data(self, liquid: ModuleType) -> None:
        for astrocyte in (False, True):
            graph = liquid.network(1, astrocyte)
            verify(graph)
            assert parse(text(graph)) == graph and graph.population("liquid").size == 125


class TestPlaces:
    """Learned by triplets, which are of three spikes, not of three factors."""

    @pytest.fixture
    def places(self) -> Iterator[ModuleType]:
        yield from script("places/modules.py")

    @pytest.mark.slow
    def test_places_are_found_and_a_mask_helps(self, places: ModuleType) -> None:
        result = places.run(4, 5, 20, 8, 2, places.NOISE)
        assert result.masked >= 0.95
        assert result.masked > result.plain
        assert result.hyperactive > 0
        assert places.placed(list(result.modules)).apart

    def test_weights_go_to_what_is_bright(self, places: ModuleType) -> None:
        """One place, one neuron: its bright pixels get nearly all, and the sum stays."""
        rng = np.random.default_rng(3)
        (place,) = own = rng.random((1, places.PIXELS)) < places.BRIGHT
        (module,) = places.learned([own], 1, 4, rng)
        ((weights,), (threshold,)) = module.weights, module.thresholds
        assert weights.sum() == pytest.approx(places.TOTAL)
        assert weights[place].mean() > 3 * weights[~place].mean()
        spikes = (threshold - places.THRESHOLD) / places.RISE
        assert spikes == round(spikes) and spikes >= 8

    def test_each_module_has_a_core(self, places: ModuleType) -> None:
        rng = np.random.default_rng(0)
        where = places.placed([places.Module.random(rng, 6) for _ in range(3)])
        assert where.apart and all(len(cores) == 1 for cores in where.cores)
        assert not places.Placement(((0,), (0,)), 0).apart
        assert not places.Placement(((0,), (1,)), 2).apart

    def test_a_neuron_that_fires_for_others_is_masked(self, places: ModuleType) -> None:
        """Four places, two of them this module's: the third neuron fires for all of them."""
        spikes = np.array([[8, 0, 6, 0], [0, 8, 5, 0], [0, 0, 6, 0], [1, 0, 6, 0]])
        for masked, keeps in (
            (False, [True, True, True, False]),
            (True, [True, True, False, False]),
        ):
            readout = places.Readout.of(spikes, slice(0, 2), masked)
            assert readout.place[:3].tolist() == [0, 1, 0]
            assert readout.counts.tolist() == keeps
        asked = np.array([[3, 0, 5, 9], [1, 2, 9, 9], [0, 0, 9, 9]])
        assert places.answers([asked], [readout], 4).tolist() == [0, 1, -1]

    def test_options_out_of_range(
        self,
        places: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for options in (("--modules", "0"), ("--noise", "1.5"), ("--epochs", "0")):
            code, _, err = answer(places, monkeypatch, capsys, *options)
            assert code == 2 and "E0707" in err

    def test_what_it_says(
        self,
        places: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        plot = tmp_path / "fields.svg"
        sizes = ("--modules", "1", "--places", "1", "--neurons", "2", "--epochs", "1")
        code, out, _ = answer(places, monkeypatch, capsys, "--json", "--plot", str(plot), *sizes)
        found = json.loads(out)
        assert (code, found["queries"], found["masked"], found["apart"]) == (0, 3, 1.0, True)
        assert plot.read_text().startswith("<svg")

    def test_it_is_data(self, places: ModuleType) -> None:
        module = places.Module.random(np.random.default_rng(0), 3)
        for learns in (False, True):
            graph = places.network([module, module], learns)
            verify(graph)
            assert parse(text(graph)) == graph
