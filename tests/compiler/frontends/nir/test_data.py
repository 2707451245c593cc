"""NIR data files, written by nir 1.0.8."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from spikec.compiler.frontends.nir import read_nir_data, sniff
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events

RNG = np.random.default_rng(5)
GRID = RNG.random((3, 20, 4)) < 0.2


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., Path]:
    def write(**nodes: dict[str, Any]) -> Path:
        path = tmp_path / "data.nir"
        held = {name: nir.NIRNodeData(observables) for name, observables in nodes.items()}
        nir.write_data(path, nir.NIRGraphData(held))
        return path

    return write


Data = Callable[..., Path]


def code(path: Path, **options: Any) -> str:
    with pytest.raises(SpikecError) as caught:
        read_nir_data(path, **options)
    (error,) = [d for d in caught.value.diagnostics if d.code[0] == "E"]
    return error.code


def test_gridded_spikes(data: Data) -> None:
    path = data(input={"spikes": nir.TimeGriddedData(GRID, 1e-3)})
    read = read_nir_data(path)
    assert read.dt == 1e-3
    assert read.nodes["input"]["spikes"] == Events.from_dense(GRID)
    assert read.stimulus().inputs["input"].integer
    assert sniff(path) == "data"
    assert read_nir_data(path, dt=1e-3) == read


def test_gridded_values_stay_real(data: Data) -> None:
    values = RNG.normal(size=(2, 5, 3))
    read = read_nir_data(data(lif={"v": nir.TimeGriddedData(values, 1e-4)}))
    events = read.nodes["lif"]["v"]
    assert not events.integer
    np.testing.assert_array_equal(events.dense(1), values[1])


@pytest.mark.parametrize("dt", [1e-3, 1e-4, 0.1, 0.3, 1 / 3])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_events_fall_into_the_step_they_came_from(dt: float, shift: float, data: Data) -> None:
    grid = nir.TimeGriddedData(GRID, dt)
    events = grid.to_event(int(GRID.sum(axis=(1, 2)).max()) + 2, shift * dt)
    read = read_nir_data(data(input={"spikes": events}), dt=dt)
    assert read.nodes["input"]["spikes"] == Events.from_dense(GRID)


def test_events_on_a_coarser_step_are_counted(data: Data) -> None:
    events = nir.TimeGriddedData(GRID, 1e-3).to_event(100)
    read = read_nir_data(data(input={"spikes": events}), dt=4e-3)
    counts = GRID.reshape(3, 5, 4, 4).sum(axis=2)
    np.testing.assert_array_equal(read.nodes["input"]["spikes"].dense(0), counts[0])


def test_valued_events(data: Data) -> None:
    idx = np.array([[0, 2, -1]])
    time = np.array([[0.0, 0.0029, np.inf]])
    value = np.array([[1.5, -2.0, np.nan]])
    events = nir.ValuedEventData(idx, time, 3, 0.0045, value)
    read = read_nir_data(data(input={"current": events}), dt=1e-3).nodes["input"]["current"]
    assert (read.samples, read.steps, read.size) == (1, 5, 3)
    dense = read.dense(0)
    assert dense[0, 0] == 1.5
    assert dense[2, 2] == -2.0
    assert np.count_nonzero(dense) == 2


def test_the_grid_lends_its_step_to_the_events(data: Data) -> None:
    grid = nir.TimeGriddedData(GRID, 1e-3)
    path = data(input={"spikes": grid.to_event(100)}, lif={"spikes": grid, "v": grid})
    read = read_nir_data(path)
    assert read.nodes["input"]["spikes"] == read.nodes["lif"]["spikes"]
    assert set(read.stimulus().inputs) == {"input", "lif"}
    with pytest.raises(SpikecError) as caught:
        read.stimulus("v")
    assert caught.value.diagnostics[0].code == "E0702"


def test_nested_data_have_dotted_names(tmp_path: Path) -> None:
    path = tmp_path / "nested.nir"
    with h5py.File(path, "w") as file:  # nir 1.0.8 does not end when it writes these
        file.attrs["__type__"] = "NIRGraphData"
        graph = file.create_group("nodes/layer")
        graph.attrs["__type__"] = "NIRGraphData"
        node = graph.create_group("nodes/lif")
        node.attrs["__type__"] = "NIRNodeData"
        item = node.create_group("observables/spikes")
        item.attrs["__type__"], item.attrs["dt"] = "TimeGriddedData", 1e-3
        item["data"] = GRID
    assert list(read_nir_data(path).nodes) == ["layer.lif"]


def test_what_is_refused(data: Data, tmp_path: Path) -> None:
    grid = nir.TimeGriddedData(GRID, 1e-3)
    assert code(data(a={"s": grid}), dt=2e-3) == "E0702"
    assert code(data(a={"s": grid.to_event(100)})) == "E0109"
    assert code(data(a={"s": grid.to_event(100)}), dt=-1.0) == "E0107"
    assert code(data(a={"s": grid.to_event(100)}), dt=1e-15) == "E0113"
    late = nir.EventData(np.array([[0]]), np.array([[0.02]]), 4, 0.02)
    assert code(data(a={"s": late}), dt=1e-3) == "E0701"
    wide = nir.EventData(np.array([[4]]), np.array([[0.01]]), 4, 0.02)
    assert code(data(a={"s": wide}), dt=1e-3) == "E0701"
    assert code(data(a={"s": nir.TimeGriddedData(np.full((1, 2, 2), np.nan), 1.0)})) == "E0701"
    assert code(data(a={"s": nir.TimeGriddedData(GRID, 0.0)})) == "E0701"
    assert code(data()) == "E0701"
    network = tmp_path / "network.nir"
    nir.write(network, nir.NIRGraph.from_list(nir.Linear(np.ones((2, 2)))))
    assert code(network) == "E0701"
    assert code(tmp_path / "none.nir") == "E0116"


def test_damaged_data(data: Data) -> None:
    path = data(a={"s": nir.TimeGriddedData(GRID, 1e-3)})
    with h5py.File(path, "r+") as file:
        del file["nodes/a/observables/s/data"]
    assert code(path) == "E0701"
    with h5py.File(path, "r+") as file:
        file["nodes/a/observables/s"].create_dataset(
            "data", (1 << 20, 1 << 20, 1), "f4", chunks=True
        )
    assert code(path) == "E0113"
    with h5py.File(path, "r+") as file:
        file["nodes/a"].attrs["__type__"] = "Other"
    assert code(path) == "E0701"
