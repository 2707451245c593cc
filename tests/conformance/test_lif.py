"""One LIF neuron recorded on eight platforms, read from their own file: every spike and step."""

from pathlib import Path

import numpy as np
import pytest

from spikec.backends.reference.golden import run_golden
from spikec.boards.board import Target
from spikec.compiler.frontends.nir import read_nir
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.base import run_pipeline
from spikec.compiler.passes.legalise import Legalise
from spikec.compiler.passes.quantise import REFERENCE, Quantise
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Stimulus
from spikec.ir.graph import Graph

EARLY, EXACT, LATE = [450, 500, 710, 760], [460, 510, 710, 760], [461, 511, 711, 761]

# dialect: the network's file, the recordings made under these rules, the steps that spike
PLATFORMS = {
    "snntorch": ("norse", ["snntorch", "exact"], EXACT),
    "norse": ("norse", ["norse"], EXACT),
    "nengo": ("norse", ["nengo"], EXACT),
    "spinnaker2": ("norse", ["spinnaker2"], EXACT),
    "spyx": ("norse", ["spyx"], LATE),
    "lava": ("norse", ["lava_cpu_float", "lava_cpu_fixed", "lava_loihi_fixed"], LATE),
    "sinabs": ("norse", ["sinabs"], EARLY),
    "rockpool": ("rockpool", ["rockpool"], EARLY),
}


def recorded(folder: Path, name: str) -> tuple[list[int], list[int]]:
    """The steps with an input spike and those with an output spike."""
    columns = np.loadtxt(folder / f"lif_{name}.csv", delimiter=",")
    # Sinabs wrote its input after the weight, so a spike is anything but zero.
    return np.flatnonzero(columns[:, 0]).tolist(), np.flatnonzero(columns[:, 2]).tolist()


def network(folder: Path, dialect: str) -> tuple[Graph, Stimulus]:
    file, names, _ = PLATFORMS[dialect]
    graph, _ = read_nir(folder / f"lif_{file}.nir", dialect=dialect, dt=1e-4)
    steps, _ = recorded(folder, names[0])
    assert len(steps) == 34
    line = np.zeros((1, 1000, 1), np.int64)
    line[0, steps] = 1
    return graph, Stimulus({graph.inputs[0].name: Events.from_dense(line)})


@pytest.mark.parametrize("dialect", PLATFORMS)
def test_golden_spikes_as_recorded(dialect: str, data_dir: Path) -> None:
    folder = data_dir / "nir" / "lif"
    _, names, expected = PLATFORMS[dialect]
    graph, stimulus = network(folder, dialect)
    found = run_golden(graph, stimulus, codegen="numpy").spikes[graph.outputs[0].source]
    assert found.step.tolist() == expected
    assert (found.value == 1).all()
    for name in names:
        inputs, spikes = recorded(folder, name)
        assert spikes == expected, name
        assert inputs == stimulus.inputs[graph.inputs[0].name].step.tolist(), name


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("dialect", PLATFORMS)
def test_integer_spikes_as_recorded(dialect: str, bits: int, data_dir: Path) -> None:
    graph, stimulus = network(data_dir / "nir" / "lif", dialect)
    options = REFERENCE if bits == 16 else Quantise()
    quantised = run_pipeline([Legalise(), options], graph, Target.unlimited(), Diagnostics())
    found = Executor(quantised).run(stimulus).spikes[graph.outputs[0].source]
    assert found.step.tolist() == PLATFORMS[dialect][2]
    assert (found.value == 1).all()
