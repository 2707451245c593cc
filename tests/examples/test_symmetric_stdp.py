"""Digits learnt by symmetric STDP: in small what it promises, in full how well it does."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.ir.text import parse, text
from spikec.ir.verify import verify

from .scripts import script


@pytest.fixture(scope="module")
def learn() -> Iterator[ModuleType]:
    pytest.importorskip("sklearn")
    yield from script("symmetric_stdp/learn.py")


def test_the_network_is_data(learn: ModuleType) -> None:
    graph = learn.network(3)
    verify(graph)
    assert parse(text(graph)) == graph
    assert graph.neurons == 110


def test_images_have_the_same_ink_and_their_spikes(learn: ModuleType) -> None:
    images, test = learn.load_images()
    assert (len(images.labels), len(test.labels)) == (1203, 594)
    spikes = learn.volleys(images.pixels)
    assert spikes.shape == (1203, learn.IMAGE, 64)
    wanted = learn.INK_SUM * learn.WHITE
    # A pixel rounds by less than a spike; ink that a white pixel cannot hold is lost.
    assert abs(spikes.sum(axis=(1, 2)).mean() / wanted - 1) < 0.05
    assert not spikes[:, :, images.pixels.max(axis=0) == 0].any()


def test_sums_stay_and_what_is_not_taught_stays_as_it_is(learn: ModuleType) -> None:
    images, _ = learn.load_images()
    few = learn.Images(images.pixels[:12], images.labels[:12])
    tests = learn.Images(images.pixels[12:16], images.labels[12:16])
    stimulus, phases = learn.script(few, tests)
    assert phases == [True] * 12 + [False] * 4
    run = run_golden(
        learn.network(0),
        stimulus,
        learning=phases,
        record=[("cells", "h"), ("classes", "v")],
        record_weights="samples",
        codegen="numpy",
    )
    seen, named = run.weights["seen"], run.weights["named"]
    for weight, target in ((seen, learn.INTO_CELLS), (named, learn.INTO_CLASSES)):
        assert weight.sum(axis=2) == pytest.approx(target, rel=100 * 2.0**-53)
        assert not np.array_equal(weight[0], weight[11])
        assert (weight[12:] == weight[11]).all()
    h = run.states["cells", "h"]
    spikes = run.spikes["cells"].counts()
    assert h[11, -1] == pytest.approx(learn.RISE * spikes[:12].sum(axis=0), rel=1e-12)
    assert (h[12:] == h[11, -1]).all() and spikes[12:].sum() > 0
    # Only the class of the image spikes while it is taught.
    classes = run.spikes["classes"].counts()
    for sample, label in enumerate(few.labels):
        assert set(np.flatnonzero(classes[sample])) == {label}
        assert classes[sample, label] >= (learn.IMAGE + learn.LIFTING) // learn.TEACHING


def test_what_the_script_prints(
    learn: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    picture = tmp_path / "fields.svg"
    arguments = ["--images", "10", "--tests", "5", "--plot", str(picture)]
    assert learn.main(arguments) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].endswith("% of 5 held-out images right after one pass over 10")
    assert said[1].startswith("sums of weights: at most") and "WRONG" not in said[1]
    assert "Weights of the 100 cells" in picture.read_text()
    assert learn.main(["--images", "4", "--tests", "2", "--validate", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["tests"], found["sums_exact"]) == (4, 2, True)
    for wrong in (["--images", "0"], ["--tests", "-1"], ["--seed", "-1"]):
        with pytest.raises(SystemExit) as left:
            learn.main(wrong)
        assert left.value.code == 2


@pytest.mark.slow
def test_one_pass_is_right_on_85_percent(learn: ModuleType) -> None:
    learned = learn.learn(*learn.load_images(), seed=0)
    assert learned.accuracy >= 0.85
    assert learned.off_target <= learn.CELLS * 2.0**-53
    assert learned.silent == 0
