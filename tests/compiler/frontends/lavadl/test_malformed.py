"""Files that are damaged, hostile or beyond what is read: a code that names file and place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given as forall
from hypothesis import settings
from hypothesis import strategies as st

from spikec.compiler.frontends import read_network
from spikec.compiler.frontends.lavadl import is_lavadl, read_lavadl
from spikec.ir.diagnostics import Diagnostic, SpikecError

from .files import Layer, conv, dense, given, neuron, write

WEIGHT = np.arange(6).reshape(2, 3) * 2


def errors(path: Path, **options: Any) -> list[Diagnostic]:
    with pytest.raises(SpikecError) as caught:
        read_lavadl(path, **options)
    assert caught.value.exit_code == 2
    found = [d for d in caught.value.diagnostics if d.code[0] == "E"]
    assert all(d.where.file == str(path) for d in found)
    return found


def said(layers: Any, tmp_path: Path) -> list[tuple[str, str | None]]:
    """Codes and places."""
    return [(d.code, d.where.node) for d in errors(write(tmp_path / "bad.net", layers))]


def good() -> list[Layer]:
    kernel = np.full((2, 1, 2, 2), 6)
    return [given(1, 4, 4), conv(kernel, (2, 3, 3), delay=[1, 2]), dense(np.full((3, 18), 4))]


def test_the_good_network_is_good(tmp_path: Path) -> None:
    path = write(tmp_path / "good.net", good())
    assert is_lavadl(path)
    assert read_lavadl(path)[1] == () == read_network(path)[1]


def test_no_file_folder_and_no_hdf5(tmp_path: Path) -> None:
    assert [d.code for d in errors(tmp_path / "none.net")] == ["E0116"]
    assert [d.code for d in errors(tmp_path)] == ["E0116"]
    path = tmp_path / "text.net"
    path.write_bytes(b"layer: 1")
    (error,) = errors(path)
    assert error.code == "E0101" and error.hint is not None and "Lava-DL" in error.hint
    assert not is_lavadl(path)


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6, 0.95])
def test_cut_short(kept: float, tmp_path: Path) -> None:
    whole = write(tmp_path / "whole.net", good()).read_bytes()
    path = tmp_path / "cut.net"
    path.write_bytes(whole[: int(len(whole) * kept)])
    assert [d.code for d in errors(path)] == ["E0101"]


@settings(max_examples=60)
@forall(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_any_byte_may_be_wrong(
    place: float, byte: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A graph, perhaps another one, or coded errors: never anything else."""
    path = write(tmp_path_factory.mktemp("byte") / "one.net", good())
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] = byte
    path.write_bytes(content)
    try:
        read_network(path, dt=1e-3)
    except SpikecError as error:
        assert error.diagnostics


ANYTHING = st.sampled_from(
    [
        *(np.nan, np.inf, -1, 0, 1, 3, 0.5, 1 << 62, 1e300, np.uint64(2**64 - 1), True, "text", ""),
        *(h5py.Empty("f4"), np.zeros((0,)), np.zeros((2, 0, 2)), np.array([b"x", b"y"])),
        *(np.ones(shape) for shape in ((1,), (2,), (5,), (1, 1), (2, 1, 2, 2), (3, 18), (1,) * 6)),
        *([4096, 4096, 4096], [1 << 13, 1 << 11, 1], np.ones(3, complex), {"real": [1.0]}),
    ]
)


@settings(max_examples=150)
@forall(data=st.data(), value=ANYTHING)
def test_any_field_may_hold_anything(
    data: st.DataObject, value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    layers = good()
    layers[0] |= {"weight": 1, "bias": 2, "neuron": neuron()}
    fields = layers[data.draw(st.integers(0, 2), "layer")]
    if data.draw(st.booleans(), "of the neuron"):
        fields = fields["neuron"]
    fields[data.draw(st.sampled_from([*fields, "delay", "bias"]), "field")] = value
    path = write(tmp_path_factory.mktemp("field") / "one.net", layers)
    try:
        read_lavadl(path)
    except SpikecError as error:
        assert all(d.where.file == str(path) for d in error.diagnostics)


def test_groups_that_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "other.net"
    with h5py.File(path, "w") as file:
        file["weights"] = np.ones(3)
    (error,) = errors(path)
    assert error.code == "E0102" and "'weights'" in error.message
    with h5py.File(path, "w") as file:
        file["layer"] = 3
    assert [d.code for d in errors(path)] == ["E0102"]
    assert said([], tmp_path) == [("E0102", "layer")]
    assert said({"0": given(3), "2": dense(WEIGHT)}, tmp_path) == [("E0102", "layer")]
    assert said({"first": given(3)}, tmp_path) == [("E0102", "layer")]
    assert said([given(3)], tmp_path) == [("E0102", None)]
    with h5py.File(path, "w") as file:
        file["layer/0"] = 3
    assert [(d.code, d.where.node) for d in errors(path)] == [("E0102", "layer/0")]
    assert said([dense(WEIGHT, neuron=3)], tmp_path) == [("E0104", "layer/0")]


def test_links_are_not_followed(tmp_path: Path) -> None:
    path = write(tmp_path / "link.net", good())
    with h5py.File(path, "r+") as file:
        del file["layer/2/weight"]
        file["layer/2/weight"] = h5py.ExternalLink("elsewhere.h5", "/weight")
    assert [d.code for d in errors(path)] == ["E0117"]
    with h5py.File(path, "r+") as file:
        del file["layer/2"]
        file["layer/2"] = h5py.SoftLink("/layer/1")
    assert [d.code for d in errors(path)] == ["E0117"]


@pytest.mark.parametrize("name", ["type", "weight"])
def test_fields_of_a_layer_that_are_missing(name: str, tmp_path: Path) -> None:
    layer = {k: v for k, v in dense(WEIGHT).items() if k != name}
    assert said([layer], tmp_path) == [("E0104", "layer/0")]


@pytest.mark.parametrize("name", ["iDecay", "vDecay", "vThMant"])
def test_fields_of_a_neuron_that_are_missing(name: str, tmp_path: Path) -> None:
    layer = dense(WEIGHT, neuron=neuron(**{name: None}))
    assert said([layer], tmp_path) == [("E0104", "layer/0/neuron")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weight": [[2.0, np.nan]], "shape": [1]}, "E0106"),
        ({"weight": [[2.0, 0.5]], "shape": [1]}, "E0107"),
        ({"weight": [[1e300, 2.0]], "shape": [1]}, "E0107"),
        ({"weight": [[1e6, 2.0]], "shape": [1]}, "E0107"),
        ({"weight": "much"}, "E0104"),
        ({"weight": np.zeros((0, 3))}, "E0105"),
        ({"shape": [7]}, "E0105"),
        ({"shape": [0]}, "E0105"),
        ({"shape": [-2]}, "E0105"),
        ({"shape": [1, 1, 1, 2]}, "E0105"),
        ({"shape": [[2]]}, "E0105"),
        ({"shape": [1 << 40]}, "E0113"),
        ({"shape": [1 << 12, 1 << 13]}, "E0113"),
        ({"shape": [1 << 20, 1 << 20, 1 << 20]}, "E0113"),
        ({"bias": [1.0, np.inf]}, "E0106"),
        ({"bias": [1.0, 2.0, 3.0]}, "E0105"),
        ({"bias": [1.0, 4096.0]}, "E0107"),
        ({"delay": [0.0, 64.0]}, "E0107"),
        ({"delay": [0.0, -1.0]}, "E0107"),
        ({"delay": [0.0, 1.5]}, "E0107"),
        ({"type": "lstm"}, "E0136"),
        ({"type": "average"}, "E0136"),
        ({"type": "concat"}, "E0136"),
        ({"type": np.ones(3)}, "E0104"),
        ({"neuron": None}, "E0136"),
        ({"weight": {"real": WEIGHT, "imag": WEIGHT}}, "E0136"),
    ],
)
def test_a_layer(changes: Layer, code: str, tmp_path: Path) -> None:
    layer = {k: v for k, v in {**dense(WEIGHT), **changes}.items() if v is not None}
    layers = [layer, dense([[2, 2]])]
    found = said(layers, tmp_path)
    assert found[0] == (code, "layer/0")
    assert {place for _, place in found} == {"layer/0"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"vThMant": -1}, "E0107"),
        ({"vThMant": 1 << 17}, "E0107"),
        ({"vThMant": 2.5}, "E0107"),
        ({"vThMant": "high"}, "E0104"),
        ({"iDecay": 0}, "E0107"),
        ({"iDecay": 4097}, "E0107"),
        ({"vDecay": 4096}, "E0107"),
        ({"vDecay": [1, 2, 3]}, "E0105"),
        ({"refDelay": 2}, "E0136"),
        ({"wgtExp": 1}, "E0136"),
        ({"messageBits": 8}, "E0136"),
        ({"gradedSpike": True}, "E0136"),
        ({"type": "SDNN"}, "E0136"),
        ({"type": "ALIF"}, "E0136"),
        ({"type": "RF-PHASE"}, "E0136"),
        ({"type": "mine"}, "E0136"),
    ],
)
def test_a_neuron(changes: Layer, code: str, tmp_path: Path) -> None:
    assert said([dense(WEIGHT, neuron=neuron(**changes))], tmp_path) == [(code, "layer/0/neuron")]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"weight": np.ones((2, 1, 2))}, "E0105"),
        ({"weight": np.ones((2, 1, 2, 2, 3))}, "E0105"),
        ({"weight": np.ones((2, 3, 2, 2))}, "E0105"),
        ({"weight": np.ones((2, 1, 9, 9)), "kernelSize": None}, "E0105"),
        ({"kernelSize": [3, 3]}, "E0105"),
        ({"groups": 3}, "E0105"),
        ({"groups": 0}, "E0105"),
        ({"groups": [1, 1]}, "E0105"),
        ({"stride": [0, 1]}, "E0107"),
        ({"stride": [1, 1, 1]}, "E0105"),
        ({"padding": [-1, 0]}, "E0107"),
        ({"padding": [1 << 30, 0]}, "E0107"),
        ({"padding": [1 << 19, 1 << 19], "shape": [2, 1, 1]}, "E0113"),
        ({"dilation": [np.nan, 1]}, "E0106"),
        ({"shape": [2, 4, 4]}, "E0105"),
    ],
)
def test_a_convolution(changes: Layer, code: str, tmp_path: Path) -> None:
    layers = good()
    layers[1] = {k: v for k, v in {**layers[1], **changes}.items() if v is not None}
    assert said(layers, tmp_path) == [(code, "layer/1")]


def test_layers_that_do_not_fit(tmp_path: Path) -> None:
    layers = good()
    assert said(layers[1:], tmp_path) == [("E0105", "layer/0")]
    assert said([given(4, 4), *layers[1:]], tmp_path) == [("E0105", "layer/1")]
    assert said([*layers[:2], dense(np.ones((3, 17)))], tmp_path) == [("E0105", "layer/2")]
    assert said([{"type": "flatten"}], tmp_path) == [("E0105", "layer/0")]
    assert said([layers[0], given(3)], tmp_path) == [("E0136", "layer/1")]
    assert said([{"type": "input"}], tmp_path) == [("E0104", "layer/0")]
    window = conv(np.ones((2, 1, 2, 2)), (2, 2, 2), "pool", stride=[2, 2])
    assert said([layers[0], window], tmp_path) == [("E0105", "layer/1")]


@pytest.mark.parametrize(
    "changes",
    [
        {"stride": [1, 2]},
        {"padding": [2, 0]},
        {"dilation": [2, 1]},
        {"weight": np.ones((1, 1, 5, 2)), "kernelSize": [5, 2], "stride": [5, 2]},
    ],
)
def test_pools_across_channels(changes: Layer, tmp_path: Path) -> None:
    """Lava-DL stacks the channels; a window that does not divide the rows has two in it."""
    pool = conv(np.ones((1, 1, 2, 2)), (2, 2, 2), "pool", stride=[2, 2])
    assert said([given(2, 4, 4), {**pool, **changes}], tmp_path) == [("E0136", "layer/1")]


def test_delays_of_the_output_have_nowhere_to_be(tmp_path: Path) -> None:
    assert said([dense(WEIGHT, delay=[0, 1])], tmp_path) == [("E0136", "layer/0")]
    assert read_lavadl(write(tmp_path / "none.net", [dense(WEIGHT, delay=[0, 0])]))[1] == ()


def test_huge_claims_allocate_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "huge.net", good())
    with h5py.File(path, "r+") as file:
        del file["layer/2/weight"]
        file["layer/2"].create_dataset("weight", (1 << 20, 1 << 20), "f4", chunks=(1, 1 << 20))
    assert [(d.code, d.where.node) for d in errors(path)] == [("E0113", "layer/2")]


def test_what_is_unrolled_is_limited(tmp_path: Path) -> None:
    """A few numbers in the file would be many in memory."""
    side = 1 << 11
    image = [given(2, side, side), conv(np.ones((2, 2, 1, 1)), (2, side, side), delay=[0, 1])]
    assert said([*image, conv(np.ones((2, 2, 3, 3)), (2, side - 2, side - 2))], tmp_path) == [
        ("E0113", "layer/2")
    ]
    many = given(1 << 22, 2, 2)
    pool = conv(np.ones((1, 1, 1, 32)), (1 << 22, 2, 1), "pool", padding=[0, 16])
    assert said([many, pool], tmp_path) == [("E0113", "layer/1")]


def test_every_error_is_told_at_once(tmp_path: Path) -> None:
    bad = dense(WEIGHT, bias=[np.nan, 1], neuron=neuron(vThMant=-1, refDelay=3))
    assert len(said([bad], tmp_path)) == 3


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan"), float("inf")])
def test_a_step_is_positive(dt: float, tmp_path: Path) -> None:
    assert [d.code for d in errors(write(tmp_path / "dt.net", good()), dt=dt)] == ["E0107"]


def test_options_of_nir_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "good.net", good())
    for options in ({"dialect": "nir"}, {"time_unit": "ms"}, {"overrides": {"reset": "zero"}}):
        with pytest.raises(SpikecError, match="E0707"):
            read_network(path, **options)
    assert read_network(path, dt=2e-3)[0].dt == 2e-3
