"""Files that are damaged, hostile or wrong: a coded error that names the place."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from spikec.compiler.frontends.nir import read_nir, sniff
from spikec.ir.diagnostics import Diagnostic, SpikecError

RawFile = Callable[..., Path]

ONE = np.ones(3)
LIF = {"type": "LIF", "tau": ONE * 0.02, "r": ONE, "v_leak": ONE * 0, "v_threshold": ONE}
LIF = {**LIF, "v_reset": ONE * 0}
INPUT = {"type": "Input", "shape": [3]}
OUTPUT = {"type": "Output", "shape": [3]}
EDGES = [("input", "lif"), ("lif", "output")]


def errors(path: Path, **options: Any) -> list[Diagnostic]:
    options = {"dialect": "nir", "dt": 1e-3, **options}
    with pytest.raises(SpikecError) as caught:
        read_nir(path, **options)
    assert caught.value.exit_code == 2
    return [d for d in caught.value.diagnostics if d.code[0] == "E"]


def codes(path: Path, **options: Any) -> list[str]:
    return [d.code for d in errors(path, **options)]


def net(**changes: Any) -> dict[str, Any]:
    """A good network with some fields of its LIF changed, or removed by None."""
    lif = {k: v for k, v in {**LIF, **changes}.items() if v is not None}
    return {"input": INPUT, "lif": lif, "output": OUTPUT}


def test_the_good_network_is_good(raw: RawFile) -> None:
    graph, notes = read_nir(raw(net(), EDGES), dialect="nir", dt=1e-3)
    assert [d.code for d in notes] == ["N0130"]
    assert graph.name.startswith("raw_")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert codes(tmp_path / "none.nir") == ["E0116"]
    assert codes(tmp_path) == ["E0116"]
    assert sniff(tmp_path / "none.nir") is None


def test_not_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "text.nir"
    for content in (b"", b"hello, this is text", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        (error,) = errors(path)
        assert error.code == "E0101"
        assert error.where.file == str(path)
    assert sniff(path) is None


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6, 0.95])
def test_truncated(kept: float, raw: RawFile, tmp_path: Path) -> None:
    whole = raw(net(), EDGES).read_bytes()
    path = tmp_path / "cut.nir"
    path.write_bytes(whole[: int(len(whole) * kept)])
    assert codes(path) == ["E0101"]


@pytest.mark.parametrize("signature", [b"TREE", b"SNOD", b"HEAP", b"GCOL"])
def test_damaged_inside(signature: bytes, raw: RawFile, tmp_path: Path) -> None:
    whole = raw(net(), EDGES).read_bytes()
    path = tmp_path / "damaged.nir"
    places = [k for k in range(len(whole)) if whole.startswith(signature, k)]
    assert places
    for place in places:
        path.write_bytes(whole[:place] + b"????" + whole[place + 4 :])
        assert codes(path) == ["E0101"]


def test_hdf5_without_a_network(tmp_path: Path) -> None:
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["weights"] = np.ones(3)
    (error,) = errors(path)
    assert error.code == "E0102"
    assert "'weights'" in error.message
    assert sniff(path) is None


def test_node_of_another_type(tmp_path: Path) -> None:
    path = tmp_path / "other.nir"
    with h5py.File(path, "w") as file:
        file["node/type"] = "Network"
    assert codes(path) == ["E0102"]


def test_empty_network(raw: RawFile) -> None:
    assert codes(raw({}, [])) == ["E0102"]


def test_unknown_type_with_a_suggestion(raw: RawFile) -> None:
    (error,) = errors(raw(net(type="CubaLIFF"), EDGES))
    assert error.code == "E0103"
    assert error.where.node == "lif"
    assert error.hint == "did the writer mean 'CubaLIF'?"
    assert codes(raw(net(type="LSTM"), EDGES)) == ["E0103"]


@pytest.mark.parametrize("field", ["tau", "r", "v_leak", "v_threshold", "type"])
def test_missing_field(field: str, raw: RawFile) -> None:
    (error,) = errors(raw(net(**{field: None}), EDGES))
    assert (error.code, error.where.node) == ("E0104", "lif")
    assert f"'{field}'" in error.message


def test_field_of_the_wrong_kind(raw: RawFile) -> None:
    assert codes(raw(net(tau="twenty"), EDGES)) == ["E0104"]
    compound = np.zeros(3, dtype=[("a", float), ("b", float)])
    assert codes(raw(net(tau=compound), EDGES)) == ["E0104"]


def test_unknown_field_is_ignored_aloud(raw: RawFile) -> None:
    _, notes = read_nir(raw(net(refractory=ONE), EDGES), dialect="nir", dt=1e-3)
    assert [d.code for d in notes if d.code[0] == "W"] == ["W0134"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_not_finite(value: float, raw: RawFile) -> None:
    bad = ONE.copy()
    bad[1] = value
    for field in ("tau", "v_threshold", "r"):
        (error,) = errors(raw(net(**{field: bad}), EDGES))
        assert error.code == "E0106"
        assert "1 value(s) of 3" in error.message
        assert "(1,)" in error.message


def test_nan_weights(raw: RawFile) -> None:
    weight = np.eye(3)
    weight[2, 0] = np.nan
    nodes = {**net(), "fc": {"type": "Affine", "weight": weight, "bias": ONE}}
    (error,) = errors(raw(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")]))
    assert (error.code, error.where.node) == ("E0106", "fc")


@pytest.mark.parametrize("value", [0.0, -0.02])
def test_tau_must_be_positive(value: float, raw: RawFile) -> None:
    tau = np.array([0.02, value, 0.02])
    (error,) = errors(raw(net(tau=tau), EDGES))
    assert (error.code, error.where.node) == ("E0107", "lif")
    assert f"{value:g}" in error.message


def test_errors_are_collected(raw: RawFile) -> None:
    nodes = {
        **net(tau=-ONE, r=ONE * np.nan),
        "x": {"type": "LSTM"},
        "y": {"type": "Scale"},
        "z": {"type": "Affine", "weight": np.ones(3), "bias": ONE},
    }
    found = errors(raw(nodes, [*EDGES, ("lif", "nobody")]))
    assert [d.code for d in found] == ["E0103", "E0104", "E0112", "E0106", "E0107", "E0105"]


def test_wrong_shapes(raw: RawFile) -> None:
    weight = np.ones((4, 3))
    nodes = {**net(), "fc": {"type": "Affine", "weight": weight, "bias": np.ones(4)}}
    (error,) = errors(raw(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")]))
    assert (error.code, error.where.node) == ("E0105", "lif")
    assert "(4,)" in error.message
    assert "(3,)" in error.message
    assert error.hint
    (error,) = errors(raw(net(tau=np.ones(4) * 0.02), EDGES))
    assert error.code == "E0105"
    assert "(4,)" in error.message


def test_wrong_bias(raw: RawFile) -> None:
    nodes = {**net(), "fc": {"type": "Affine", "weight": np.eye(3), "bias": np.ones(2)}}
    (error,) = errors(raw(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")]))
    assert (error.code, error.where.node) == ("E0105", "fc")


@pytest.mark.parametrize("field", ["stride", "dilation", "groups"])
@pytest.mark.parametrize("value", [0, -1, 1.5, 10**9])
def test_windows_out_of_range(field: str, value: float, raw: RawFile) -> None:
    conv = {
        "type": "Conv2d",
        "input_shape": [5, 5],
        "weight": np.ones((1, 1, 3, 3)),
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "bias": [0.0],
    }
    nodes = {"input": {"type": "Input", "shape": [1, 5, 5]}, "conv": {**conv, field: value}}
    assert codes(raw(nodes, [("input", "conv")])) == ["E0107"]


@pytest.mark.parametrize(("padding", "stride"), [("full", 1), ("same", 2)])
def test_paddings_without_a_meaning(padding: str, stride: int, raw: RawFile) -> None:
    conv = {
        "type": "Conv1d",
        "input_shape": 5,
        "weight": np.ones((1, 1, 3)),
        "stride": stride,
        "padding": padding,
        "dilation": 1,
        "groups": 1,
        "bias": [0.0],
    }
    nodes = {"input": {"type": "Input", "shape": [1, 5]}, "conv": conv}
    assert codes(raw(nodes, [("input", "conv")])) == ["E0107"]


def test_kernel_larger_than_its_input(raw: RawFile) -> None:
    pool = {"type": "SumPool2d", "kernel_size": [9, 9], "stride": [9, 9], "padding": [0, 0]}
    nodes = {"input": {"type": "Input", "shape": [1, 5, 5]}, "pool": pool}
    (error,) = errors(raw(nodes, [("input", "pool")]))
    assert (error.code, error.where.node) == ("E0105", "pool")
    assert "(1, 5, 5)" in error.message


def test_unknown_edge_with_a_suggestion(raw: RawFile) -> None:
    (error,) = errors(raw(net(), [("input", "lfi"), ("lif", "output")]))
    assert error.code == "E0112"
    assert "input -> lfi" in error.message
    assert error.hint == "did you mean 'lif'?"


def test_edges_against_the_grain(raw: RawFile) -> None:
    found = errors(raw(net(), [*EDGES, ("lif", "input"), ("output", "lif")]))
    assert [(d.code, d.where.node) for d in found] == [("E0112", "input"), ("E0112", "output")]


def test_edges_of_another_shape(raw: RawFile) -> None:
    path = raw(net(), EDGES)
    for edges in (np.ones((2, 2)), np.array([b"a", b"b"])):
        with h5py.File(path, "r+") as file:
            del file["node/edges"]
            file["node/edges"] = edges
        assert codes(path) == ["E0102"]
    with h5py.File(path, "r+") as file:
        del file["node/edges"]
    assert codes(path) == ["E0104"]


def test_duplicate_edges_are_one(raw: RawFile) -> None:
    graph, notes = read_nir(raw(net(), [*EDGES, EDGES[0]]), dialect="nir", dt=1e-3)
    assert len(graph.projections) == 1
    assert "W0123" in [d.code for d in notes]
    with pytest.raises(ValueError, match="Duplicate edge"):  # what the reference does
        nir.read(raw(net(), [*EDGES, EDGES[0]]))


# -- absurd and hostile ----------------------------------------------------------------------------


def absurd(path: Path, shape: tuple[int, ...], **options: Any) -> None:
    with h5py.File(path, "r+") as file:
        del file["node/nodes/lif/tau"]
        file["node/nodes/lif"].create_dataset("tau", shape=shape, dtype="f4", **options)


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 30, 1 << 30)])
def test_absurd_sizes_are_not_allocated(shape: tuple[int, ...], raw: RawFile) -> None:
    path = raw(net(), EDGES)
    absurd(path, shape, chunks=(1 << 10,) * len(shape))
    (error,) = errors(path)
    assert (error.code, error.where.node) == ("E0113", "lif")
    assert path.stat().st_size < 1 << 20


def test_a_file_that_expands_beyond_reason(raw: RawFile) -> None:
    path = raw(net(), EDGES)
    absurd(path, (1 << 27,), chunks=(1 << 20,), compression="gzip")  # no chunk is there
    assert codes(path) == ["E0113"]


def test_zeros_that_compress_well_are_fine(raw: RawFile) -> None:
    weight = np.zeros((3, 1 << 16), np.float32)
    nodes = {**net(), "input": {"type": "Input", "shape": [1 << 16]}}
    path = raw({**nodes, "fc": {"type": "Linear"}}, [("input", "fc"), ("fc", "lif"), EDGES[1]])
    with h5py.File(path, "r+") as file:
        file["node/nodes/fc"].create_dataset("weight", data=weight, compression="gzip")
    graph, _ = read_nir(path, dialect="nir", dt=1e-3)
    assert graph.projections[0].connection.in_shape == (1 << 16,)


def test_absurd_populations_without_data(raw: RawFile) -> None:
    scalar: dict[str, Any] = {name: 1.0 for name in LIF if name != "type"}
    scalar |= {"type": "LIF", "tau": 0.02}
    nodes = {"input": {"type": "Input", "shape": [1 << 20, 1 << 20]}, "lif": scalar}
    assert codes(raw(nodes, [("input", "lif")])) == ["E0113"]


def test_too_many_edges(raw: RawFile) -> None:
    path = raw(net(), EDGES)
    with h5py.File(path, "r+") as file:
        del file["node/edges"]
        file["node"].create_dataset("edges", (1 << 32, 2), h5py.string_dtype(), chunks=(1024, 2))
    assert codes(path) == ["E0113"]


@pytest.mark.parametrize(
    "link",
    [
        h5py.SoftLink("/node"),
        h5py.SoftLink("/node/nodes/lif/r"),
        h5py.SoftLink("/nowhere"),
        h5py.ExternalLink("other.h5", "/node"),
    ],
)
def test_links_are_refused(link: Any, raw: RawFile) -> None:
    path = raw(net(), EDGES)
    with h5py.File(path, "r+") as file:
        file["node/nodes/deep"] = link
    assert codes(path) == ["E0117"]


def test_external_and_virtual_storage_are_refused(raw: RawFile, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(ONE.tobytes())
    path = raw(net(), EDGES)
    with h5py.File(path, "r+") as file:
        del file["node/nodes/lif/tau"]
        external = [(str(secret), 0, 24)]
        file["node/nodes/lif"].create_dataset("tau", (3,), "f8", external=external)
    assert codes(path) == ["E0117"]
    with h5py.File(path, "r+") as file:
        del file["node/nodes/lif/tau"]
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(raw(net(), EDGES)), "node/nodes/lif/tau", (3,))
        file["node/nodes/lif"].create_virtual_dataset("tau", layout)
    assert codes(path) == ["E0117"]


def test_a_graph_that_contains_itself(raw: RawFile) -> None:
    path = raw({**net(), "g": {"nodes": net(), "edges": EDGES}}, EDGES)
    with h5py.File(path, "r+") as file:
        file["node/nodes/g/nodes/again"] = file["node/nodes/g"]  # a hard link
    assert codes(path) == ["E0117"]


def test_graphs_nested_beyond_reason(raw: RawFile) -> None:
    nodes: dict[str, Any] = net()
    for _ in range(40):
        nodes = {"g": {"nodes": nodes, "edges": EDGES if "lif" in nodes else []}}
    assert "E0113" in codes(raw(nodes, []))


def test_hard_links_that_multiply(raw: RawFile) -> None:
    path = raw({**net(), "g": {"nodes": net(), "edges": EDGES}}, EDGES)
    with h5py.File(path, "r+") as file:
        inner = file["node/nodes/g"]
        for _ in range(24):  # two to the power of 24 graphs, if they were followed
            group = file.create_group(None)
            group["type"], group["edges"] = "NIRGraph", np.zeros((0, 2))
            group["nodes/a"], group["nodes/b"] = inner, inner
            inner = group
        file["node/nodes/bomb"] = inner
    assert set(codes(path)) == {"E0117"}
