"""Dialects, steps, units and overrides."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from spikec.compiler.frontends.nir import read_nir
from spikec.ir.diagnostics import Diagnostic, SpikecError
from spikec.ir.dialects import DIALECTS
from spikec.ir.neurons import IF, LIF, CubaLIF
from spikec.ir.semantics import Decay, Reset

RawFile = Callable[..., Path]
ONE = np.ones(2)


def lif(tau: float = 0.02, **changes: Any) -> dict[str, Any]:
    fields = {"tau": ONE * tau, "r": ONE, "v_leak": ONE * 0, "v_threshold": ONE}
    return {"type": "LIF", **fields, "v_reset": ONE * 0, **changes}


def cuba(tau_syn: float, tau_mem: float, **changes: Any) -> dict[str, Any]:
    node = lif(tau_mem)
    node["tau_mem"] = node.pop("tau")
    return {**node, "type": "CubaLIF", "tau_syn": ONE * tau_syn, **changes}


def net(raw: RawFile, *neurons: dict[str, Any], names: str = "abc", **options: Any) -> Path:
    nodes: dict[str, Any] = {"input": {"type": "Input", "shape": [2]}}
    nodes |= dict(zip(names, neurons, strict=False))
    nodes["output"] = {"type": "Output", "shape": [2]}
    order = list(nodes)
    return raw(nodes, list(pairwise(order)), **options)


def diagnostics(path: Path, **options: Any) -> list[Diagnostic]:
    options = {"dialect": "snntorch", "dt": 1e-3, **options}
    try:
        return list(read_nir(path, **options)[1])
    except SpikecError as error:
        return list(error.diagnostics)


def codes(path: Path, **options: Any) -> list[str]:
    return [d.code for d in diagnostics(path, **options) if d.code != "N0130"]


# -- time constants ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tau", "expected"),
    [
        (0.02, []),
        (0.002, []),  # two steps: dt/tau is one half
        (0.00199, ["W0127"]),
        (0.001, ["W0127"]),  # no memory, but a meaning
        (0.000999, ["E0108"]),
        (0.999, []),
        (1.0, ["W0128"]),
        (1.001, ["W0128"]),
        (5.0, ["W0128"]),
        (5.001, ["E0108"]),
        (20.0, ["E0108"]),  # milliseconds read as seconds
    ],
)
def test_thresholds_of_tau_over_dt(tau: float, expected: list[str], raw: RawFile) -> None:
    assert codes(net(raw, lif(tau))) == expected


def test_milliseconds_read_as_seconds_name_the_unit(raw: RawFile) -> None:
    path = net(raw, lif(20.0))
    (error,) = [d for d in diagnostics(path) if d.code == "E0108"]
    assert error.where.node == "a"
    assert "2e+04 steps" in error.message
    assert error.hint is not None
    assert "--time-unit ms (it would be 20 steps)" in error.hint
    assert "--time-unit steps (it would be 20 steps)" in error.hint
    assert codes(path, time_unit="ms") == []
    assert codes(path, time_unit=1e-3) == []
    assert codes(path, time_unit="steps") == []
    assert codes(path, overrides={"allow_unusual_time": True}) == ["W0128"]


def test_dt_in_milliseconds(raw: RawFile) -> None:
    (error,) = [d for d in diagnostics(net(raw, lif()), dt=1.0) if d.code == "E0108"]
    assert error.hint is not None
    assert "--dt 0.001" in error.hint


def test_exponential_decay_may_be_short_on_request(raw: RawFile) -> None:
    path = net(raw, lif(0.0005))
    assert codes(path, dialect="sinabs") == ["E0108"]
    assert codes(path, dialect="sinabs", overrides={"allow_unusual_time": True}) == ["W0127"]
    assert codes(path, overrides={"allow_unusual_time": True}) == ["E0108"]  # Euler: negative
    assert codes(net(raw, lif(0.0015)), dialect="sinabs") == []


def test_every_time_constant_is_checked(raw: RawFile) -> None:
    assert codes(net(raw, cuba(20.0, 0.0001))) == ["E0108", "E0108"]


def test_units_scale_times_and_rates(raw: RawFile) -> None:
    leakless = {"type": "IF", "r": ONE * 3, "v_threshold": ONE, "v_reset": ONE * 0}
    path = net(raw, lif(20.0), leakless)
    letter, _ = read_nir(path, dialect="nir", dt=1e-3, time_unit="ms")
    steps, _ = read_nir(path, dialect="snntorch", dt=1e-3, time_unit="ms")
    for graph, rate in ((letter, 3000.0), (steps, 3.0)):
        a, b = (graph.population(name).neuron for name in "ab")
        assert isinstance(a, LIF)
        assert isinstance(b, IF)
        assert float(a.tau) == 0.02
        # dv/dt = R I: R is a rate where the letter holds, a step size elsewhere.
        assert float(b.r) == rate


def test_delays_follow_the_unit(raw: RawFile) -> None:
    delay = {"type": "Delay", "delay": np.array([2.0, 2.0])}
    path = net(raw, delay, lif(0.02))
    assert read_nir(path, dialect="nir", dt=0.5, time_unit=30.0)[0].projections[0].delay == 120
    far = [d for d in diagnostics(net(raw, {"type": "Delay", "delay": ONE * 1e10}, lif()))]
    assert "E0108" in [d.code for d in far]


@pytest.mark.parametrize("unit", ["minutes", 0.0, -1.0, float("nan")])
def test_unknown_units(unit: Any, raw: RawFile) -> None:
    assert codes(net(raw, lif()), time_unit=unit) == ["E0107"]


@pytest.mark.parametrize("dt", [0.0, -1e-3, float("nan"), float("inf")])
def test_impossible_steps(dt: float, raw: RawFile) -> None:
    assert "E0107" in codes(net(raw, lif()), dt=dt)


def test_unusual_gains_and_thresholds(raw: RawFile) -> None:
    assert codes(net(raw, lif(r=-ONE))) == ["W0128"]
    assert codes(net(raw, cuba(0.02, 0.02, w_in=-ONE))) == ["W0128"]
    assert codes(net(raw, lif(v_threshold=ONE * 0))) == ["W0128"]
    assert codes(net(raw, lif(v_threshold=ONE * 0)), dialect="sinabs") == ["E0107"]
    assert codes(net(raw, lif(v_reset=ONE * 2)), dialect="nir") == ["W0128"]


def test_v_reset_absent_is_said_once(raw: RawFile) -> None:
    node = lif()
    del node["v_reset"]
    found = [d for d in diagnostics(net(raw, node, node)) if d.code == "W0121"]
    assert len(found) == 1
    assert "'a' and 1 more" in found[0].message
    assert "two_phase" in found[0].message


# -- dialect -----------------------------------------------------------------------------------


def guess(path: Path) -> tuple[str | None, str]:
    graph, notes = read_nir(path, dt=1e-3)
    (note,) = [d for d in notes if d.code == "W0125"]
    return graph.dialect, note.message


def test_guesses(raw: RawFile) -> None:
    assert guess(net(raw, lif(), names="a")) == (
        "nir",
        "read as 'nir': no mark of a framework was found, so the letter of the specification holds",
    )
    assert guess(net(raw, lif(), names="0"))[0] == "norse"
    assert guess(net(raw, lif(r=ONE * 3), names="0"))[0] == "nir"
    leakless = {"type": "IF", "r": ONE, "v_threshold": ONE, "v_reset": ONE * 0}
    assert guess(net(raw, leakless, names="0"))[0] == "sinabs"
    dialect, why = guess(net(raw, lif(0.02, r=ONE * 200)))
    assert dialect == "snntorch"
    assert "tau / 1e-4" in why
    assert "snntorch-zero" in why
    nodes = {"0_LIFNeuronTorch": lif()}
    assert guess(raw(nodes, []))[0] == "rockpool"


def test_a_dialect_that_is_given_is_not_guessed(raw: RawFile) -> None:
    for name, dialect in DIALECTS.items():
        graph, notes = read_nir(net(raw, lif(), names="0"), dialect=name, dt=1e-3)
        assert graph.dialect == name
        assert graph.populations[0].semantics == dialect.semantics
        assert "W0125" not in [d.code for d in notes]
        (note,) = [d for d in notes if d.code == "N0130"]
        assert f"'{name}'" in note.message
        assert "dt = 0.001 s" in note.message


def test_unknown_dialect(raw: RawFile) -> None:
    (error,) = [d for d in diagnostics(net(raw, lif()), dialect="snntorhc") if d.code == "E0114"]
    assert error.hint == "did you mean 'snntorch'?"


def test_step_of_the_dialect(raw: RawFile) -> None:
    assert read_nir(net(raw, lif()), dialect="sinabs")[0].dt == 1e-3
    assert read_nir(net(raw, lif()), dialect="snntorch")[0].dt == 1e-4
    with pytest.raises(SpikecError) as caught:
        read_nir(net(raw, lif()), dialect="nir")
    assert [d.code for d in caught.value.diagnostics] == ["E0109"]


def test_newer_files_are_read_with_a_warning(raw: RawFile) -> None:
    assert codes(net(raw, lif(), version="1.0.9")) == ["W0129"]
    assert codes(net(raw, lif(), version="1.0.8")) == []
    assert codes(net(raw, lif(), version="garbage")) == []


# -- overrides ---------------------------------------------------------------------------------


def test_overrides_as_values_and_as_text(raw: RawFile) -> None:
    path = net(raw, lif())
    values = {"max_spikes": None, "reset": Reset.ZERO, "v_min": -1, "decay": "exponential"}
    texts = {"max_spikes": "none", "reset": "zero", "v_min": "-1", "decay": Decay.EXPONENTIAL}
    graphs = [read_nir(path, dialect="nir", dt=1e-3, overrides=o)[0] for o in (values, texts)]
    assert graphs[0] == graphs[1]
    semantics = graphs[0].populations[0].semantics
    assert semantics.max_spikes is None
    assert semantics.v_min == -1.0
    assert isinstance(semantics.v_min, float)
    assert semantics.decay is Decay.EXPONENTIAL
    on = {"registered": "true", "refractory": "2"}
    semantics = read_nir(path, dialect="nir", dt=1e-3, overrides=on)[0].populations[0].semantics
    assert semantics.registered is True
    assert semantics.refractory == 2


@pytest.mark.parametrize(
    "override",
    [
        {"rset": "zero"},
        {"reset": "sometimes"},
        {"max_spikes": 1.5},
        {"max_spikes": True},
        {"v_min": "low"},
        {"v_min": float("nan")},
        {"registered": 3},
    ],
)
def test_wrong_overrides(override: dict[str, object], raw: RawFile) -> None:
    (error,) = [d for d in diagnostics(net(raw, lif()), overrides=override) if d.code[0] == "E"]
    assert error.code == "E0114"


def test_overrides_out_of_range_meet_the_verifier(raw: RawFile) -> None:
    assert codes(net(raw, lif()), overrides={"max_spikes": 0}) == ["E0205"]


# -- old files and other writers ---------------------------------------------------------------


def test_fields_that_old_files_lack(raw: RawFile) -> None:
    node = cuba(0.02, 0.02)
    del node["v_reset"]
    assert "w_in" not in node
    conv = {
        "type": "Conv1d",
        "weight": np.ones((1, 1, 3)),
        "stride": 1,
        "padding": 1,
        "dilation": 1,
        "groups": 1,
        "bias": np.zeros(1),
    }
    one = np.ones((1, 2))
    node = {k: v if isinstance(v, str) else v * one for k, v in node.items()}
    nodes = {"x": {"type": "Input", "shape": [1, 2]}, "conv": conv, "lif": node}
    path = raw(nodes, [("x", "conv"), ("conv", "lif")], "0.0.1")
    graph, notes = read_nir(path, dialect="snntorch", dt=1e-3)
    neuron = graph.populations[0].neuron
    assert isinstance(neuron, CubaLIF)
    assert neuron.v_reset is None
    assert float(neuron.w_in) == 1.0
    assert [d.code for d in notes] == ["N0130", "W0121", "W0131"]


def test_text_of_fixed_length_and_texts_in_arrays(raw: RawFile) -> None:
    node = {**lif(), "type": np.bytes_("LIF")}
    path = net(raw, node)
    with h5py.File(path, "r+") as file:
        pairs = file["node/edges"][()].astype("S12")
        del file["node/edges"]
        file["node/edges"] = pairs
        del file["node/type"]
        file["node"].create_dataset("type", data=["NIRGraph"], dtype=h5py.string_dtype())
        del file["version"]
    assert codes(path) == []


def test_user_metadata_is_left_alone(raw: RawFile) -> None:
    path = net(raw, lif())
    with h5py.File(path, "r+") as file:
        file["node/metadata/anything"] = np.ones(3)
        file["node/metadata/spikec_dt"] = "not a number"
        file["node/metadata/spikec_dialect"] = "not a dialect"
        file["node/nodes/a/metadata/note"] = "free text"
    graph, _ = read_nir(path, dt=1e-3)
    assert graph.dialect == "nir"
