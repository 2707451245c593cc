"""Stimuli and recordings as files: every format, every refusal, and rubbish."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spikec.compiler.stimulus import (
    LabelledStimulus,
    load_recording,
    load_stimulus,
    recording_bytes,
    spikes_text,
    stimulus_bytes,
)
from spikec.ir.diagnostics import SpikecError
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input


def graph(*inputs: tuple[str, tuple[int, ...]], dt: float = 1e-3) -> Graph:
    return Graph("net", dt, tuple(Input(n, s) for n, s in inputs), (), (), ())


ONE = graph(("in", (3,)))
TWO = graph(("left", (2,)), ("right", (1, 2)))
CAMERA = graph(("dvs", (2, 3, 4)))
DENSE = np.array([[[1, 0, 2], [0, 0, 0]], [[0, 3, 0], [0, 0, 1]]])


@pytest.fixture
def save(tmp_path: Path) -> Any:
    def save(name: str = "stimulus.npz", **arrays: Any) -> Path:
        path = tmp_path / name
        np.savez(path, **arrays)
        return path

    return save


def dense_of(loaded: LabelledStimulus, name: str = "in") -> Any:
    events = loaded.stimulus.inputs[name]
    return np.stack([events.dense(s) for s in range(events.samples)])


def refused(code: str, text: str, path: Path, net: Graph = ONE, steps: int | None = None) -> None:
    with pytest.raises(SpikecError, match=text) as caught:
        load_stimulus(path, net, steps)
    (found,) = caught.value.diagnostics
    assert found.code == code
    assert str(path) in str(found.where)


# -- dense -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("key", ["in", "data"])
def test_dense_arrays(save: Any, dtype: type, key: str) -> None:
    loaded = load_stimulus(save(**{key: DENSE.astype(dtype)}), ONE)
    assert np.array_equal(dense_of(loaded), DENSE)
    assert loaded.stimulus.inputs["in"].integer
    assert loaded.labels is None


def test_booleans_are_counts_and_fractions_stay(save: Any) -> None:
    loaded = load_stimulus(save(data=DENSE > 0), ONE)
    assert np.array_equal(dense_of(loaded), DENSE > 0)
    loaded = load_stimulus(save(data=DENSE / 2), ONE)
    assert not loaded.stimulus.inputs["in"].integer
    assert np.array_equal(dense_of(loaded), DENSE / 2)


def test_one_sample_without_its_axis(save: Any) -> None:
    assert np.array_equal(dense_of(load_stimulus(save(data=DENSE[0]), ONE)), DENSE[:1])


def test_shapes_of_the_input_or_flat(save: Any) -> None:
    both = {"left": DENSE[:, :, :2], "right": DENSE[:, :, None, 1:]}
    loaded = load_stimulus(save(**both), TWO)
    assert np.array_equal(dense_of(loaded, "right"), DENSE[:, :, 1:])
    flat = load_stimulus(save(left=DENSE[:, :, :2], right=DENSE[:, :, 1:]), TWO)
    assert flat.stimulus == loaded.stimulus
    one = load_stimulus(save(left=DENSE[0, :, :2], right=DENSE[0, :, None, 1:]), TWO)
    assert np.array_equal(dense_of(one, "right"), DENSE[:1, :, 1:])


def test_an_npy_is_for_the_only_input(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    np.save(path, DENSE)
    assert np.array_equal(dense_of(load_stimulus(path, ONE)), DENSE)
    refused("E0702", "name the array after its input: one of 'left', 'right'", path, TWO)


def test_steps_cut_or_extend(save: Any) -> None:
    path = save(data=DENSE)
    assert np.array_equal(dense_of(load_stimulus(path, ONE, 1)), DENSE[:, :1])
    longer = load_stimulus(path, ONE, 5)
    assert longer.stimulus.steps == 5
    assert np.array_equal(dense_of(longer)[:, :2], DENSE)
    assert not dense_of(longer)[:, 2:].any()


@pytest.mark.parametrize(
    ("arrays", "code", "text"),
    [
        (
            {"data": np.zeros((2, 5, 4))},
            "E0702",
            r"shape \(2, 5, 4\); expected \(samples, steps, 3",
        ),
        ({"data": np.zeros(3)}, "E0702", r"shape \(3,\)"),
        ({"data": np.zeros((0, 5, 3))}, "E0702", "no step"),
        ({"data": np.zeros((2, 0, 3))}, "E0702", "no step"),
        ({"data": np.full((2, 5, 3), np.nan)}, "E0701", "not finite"),
        ({"data": np.full((2, 5, 3), np.inf)}, "E0701", "not finite"),
        ({"data": np.full((2, 5, 3), 1j)}, "E0701", "type complex128"),
        ({"data": np.full((2, 5, 3), "a")}, "E0701", "type <U1"),
        ({"data": np.full((2, 5, 3), 2**63, np.uint64)}, "E0701", "absurdly large"),
        ({"other": np.zeros((2, 5, 3))}, "E0702", "no array for input 'in'; the file has other"),
        ({}, "E0702", "the file has nothing"),
        ({"data": DENSE, "labels": np.arange(3)}, "E0702", "3 labels do not fit 2 samples"),
        ({"data": DENSE, "labels": np.array(["a", "b"])}, "E0701", "'labels' has type <U1"),
        ({"data": DENSE, "labels": np.array([0.5, 1])}, "E0701", "'labels' holds values that"),
    ],
)
def test_wrong_arrays_are_refused(save: Any, arrays: dict[str, Any], code: str, text: str) -> None:
    refused(code, text, save(**arrays))


def test_floats_beyond_exact_integers_stay_floats(save: Any) -> None:
    loaded = load_stimulus(save(data=np.full((1, 1, 3), 1e300)), ONE)
    assert not loaded.stimulus.inputs["in"].integer


def test_inputs_must_agree(save: Any) -> None:
    path = save(left=np.ones((1, 4, 2)), right=np.ones((1, 5, 2)))
    refused("E0702", r"differ in \(samples, steps\)", path, TWO)


# -- lists of events -------------------------------------------------------------------------

LISTS: dict[str, Any] = {
    "in.step": [0, 1, 0, 0],
    "in.index": [2, 2, 1, 0],
    "in.sample": [0, 1, 1, 0],
    "in.value": [2, 1, 3, 1],
}


def test_lists_of_events(save: Any) -> None:
    loaded = load_stimulus(save(**LISTS), ONE)
    assert np.array_equal(dense_of(loaded), DENSE)
    bare = load_stimulus(save(**{"in.step": [1, 1, 4], "in.index": [0, 0, 1]}), ONE)
    assert (bare.stimulus.samples, bare.stimulus.steps) == (1, 5)
    assert bare.stimulus.inputs["in"].value.tolist() == [2, 1]


def test_lists_may_say_how_long_they_are(save: Any) -> None:
    loaded = load_stimulus(save(**LISTS, steps=7, samples=4), ONE)
    assert (loaded.stimulus.samples, loaded.stimulus.steps) == (4, 7)
    assert load_stimulus(save(**LISTS, steps=7, samples=4), ONE, 1).stimulus.steps == 1


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"in.index": [2, 3, 1, 0]}, "E0702", "index of 'in' spans 0 to 3; it must be 0 to 2"),
        ({"in.index": [2, -1, 1, 0]}, "E0702", "index of 'in' spans -1"),
        ({"in.step": [0, 1, -1, 0]}, "E0702", "step of 'in' spans -1"),
        ({"in.sample": [0, 1, -1, 0]}, "E0702", "sample of 'in' spans -1"),
        ({"steps": 1}, "E0702", "step of 'in' spans 0 to 1; it must be 0 to 0"),
        ({"samples": 1}, "E0702", "sample of 'in' spans 0 to 1"),
        ({"steps": [1, 2]}, "E0701", "'steps' must be one number"),
        ({"steps": 0}, "E0701", "'steps' must be one number above zero"),
        ({"steps": "many"}, "E0701", "'steps' has type"),
        ({"samples": -4}, "E0701", "'samples' must be"),
        ({"in.step": [0.5, 1, 0, 0]}, "E0701", r"'in\.step' holds values that are not whole"),
        ({"in.step": [np.nan, 1, 0, 0]}, "E0701", r"'in\.step' holds values that are not whole"),
        ({"in.step": ["a", "b", "c", "d"]}, "E0701", r"'in\.step' has type"),
        ({"in.value": [1, 2]}, "E0701", "differ in length"),
        ({"in.sample": [1, 2]}, "E0701", "differ in length"),
        ({"in.index": [1, 2]}, "E0701", "differ in length"),
        ({"in.value": [1, np.nan, 2, 3]}, "E0701", "no finite numbers"),
        ({"in.step": [0, 1 << 60, 0, 0]}, "E0701", "absurdly large"),
        ({"in.step": [0, 1 << 45, 0, 0]}, "E0701", "absurdly many"),
        ({"steps": 1 << 39}, "E0701", "absurdly many"),
        ({"samples": 1 << 30, "steps": 8}, "E0701", "absurdly many"),
    ],
)
def test_wrong_lists_are_refused(save: Any, change: dict[str, Any], code: str, text: str) -> None:
    refused(code, text, save(**(LISTS | change)))


def test_a_list_needs_its_index(save: Any) -> None:
    refused("E0702", r"no array 'in\.index'", save(**{"in.step": [1]}))


@pytest.mark.parametrize("steps", [0, -3, 1 << 40])
def test_steps_must_make_sense(save: Any, steps: int) -> None:
    refused("E0707", "there must be 1 to", save(data=DENSE), steps=steps)


# -- event cameras ---------------------------------------------------------------------------

FIELDS = [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")]


def camera(*events: tuple[int, int, int, int], fields: Any = None) -> Any:
    return np.array(list(events), dtype=fields or FIELDS)


def test_event_cameras_are_binned_from_the_first_event_of_each_sample(save: Any) -> None:
    events = camera(
        (500, 1, 2, 1), (1499, 1, 2, 1), (1500, 0, 0, 0), (90, 3, 1, 0), (2090, 3, 1, 0)
    )
    loaded = load_stimulus(save(events=events, offsets=[0, 3, 5], labels=[7, 4]), CAMERA)
    found = loaded.stimulus.inputs["dvs"]
    assert (found.samples, found.steps, found.size) == (2, 3, 24)
    lines = (1 * 3 + 2) * 4 + 1, 0, (0 * 3 + 1) * 4 + 3
    assert found.sample.tolist() == [0, 0, 1, 1]
    assert found.step.tolist() == [0, 1, 0, 2]
    assert found.index.tolist() == [lines[0], lines[1], lines[2], lines[2]]
    assert found.value.tolist() == [2, 1, 1, 1]
    assert loaded.labels is not None and loaded.labels.tolist() == [7, 4]


def test_bins_are_exact_where_dt_is_a_whole_number_of_microseconds(save: Any) -> None:
    times = range(0, 60_000, 300)
    events = camera(*((t, 0, 0, 0) for t in times))
    for dt in (3e-4, 1e-3, 1e-4, 7e-6):
        net = graph(("dvs", (2, 3, 4)), dt=dt)
        found = load_stimulus(save(events=events), net).stimulus.inputs["dvs"]
        wanted = np.unique([t // round(dt * 1e6) for t in times])
        assert np.array_equal(found.step, wanted)


def test_a_camera_without_events_or_with_empty_samples(save: Any) -> None:
    empty = load_stimulus(save(events=camera()), CAMERA)
    assert (empty.stimulus.samples, empty.stimulus.steps) == (1, 1)
    gaps = load_stimulus(save(events=camera((5, 0, 0, 0)), offsets=[0, 0, 1, 1]), CAMERA, 4)
    assert gaps.stimulus.inputs["dvs"].sample.tolist() == [1]
    assert (gaps.stimulus.samples, gaps.stimulus.steps) == (3, 4)


@pytest.mark.parametrize(
    ("arrays", "code", "text"),
    [
        ({"events": camera((0, 4, 0, 0))}, "E0702", r"1 events lie outside"),
        ({"events": camera((0, 0, 3, 0), (0, 0, 0, 2))}, "E0702", r"2 events lie outside"),
        (
            {"events": camera((0, -1, 0, 0), fields=[(n, "<i8") for n in "txyp"])},
            "E0702",
            "1 events lie outside",
        ),
        ({"events": camera((5, 0, 0, 0), (4, 0, 0, 0))}, "E0702", "earlier than the first"),
        ({"events": np.zeros(3, [("t", "i8"), ("x", "i8")])}, "E0701", r"\['p', 'y'\]"),
        ({"events": camera((0, 0, 0, 0)), "offsets": [0, 2]}, "E0701", "offsets do not cut"),
        ({"events": camera((0, 0, 0, 0)), "offsets": [1, 0]}, "E0701", "offsets do not cut"),
        ({"events": camera((0, 0, 0, 0)), "offsets": [-1, 1]}, "E0701", "offsets do not cut"),
        ({"events": camera((0, 0, 0, 0)), "offsets": 3}, "E0701", "offsets do not cut"),
        ({"events": camera((0, 0, 0, 0)), "offsets": ["a"]}, "E0701", "'offsets' has type"),
        (
            {"events": camera((0, 0, 0, 0), fields=[("t", "<f8"), *FIELDS[1:]]), "labels": [1, 2]},
            "E0702",
            "2 labels",
        ),
        (
            {"events": np.array([(np.nan, 0, 0, 0)], [("t", "<f8"), *FIELDS[1:]])},
            "E0701",
            r"'events\.t' holds",
        ),
        ({"events": camera((0, 0, 0, 0), (1 << 52, 0, 0, 0))}, "E0701", "absurdly many"),
    ],
)
def test_wrong_cameras_are_refused(save: Any, arrays: dict[str, Any], code: str, text: str) -> None:
    refused(code, text, save(**arrays), CAMERA)


def test_a_camera_needs_one_input_of_three_axes(save: Any) -> None:
    path = save(events=camera((0, 0, 0, 0)))
    refused("E0702", r"fits \(polarity, y, x\), 'in' is \(3,\)", path, ONE)
    refused("E0702", "name the array after its input", path, TWO)


# -- text and NIR ----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".txt", ".aer", ".csv", ".TXT"])
def test_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_text(
        "\ufeff# step index sample count\n0 2 0 2\n\n1, 2, 1\n0 1 1 3 # more\n0 0\n", "utf-8"
    )
    assert np.array_equal(dense_of(load_stimulus(path, ONE)), DENSE)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("1", "expected 'step index"),
        ("1 2 3 4 5", "expected 'step index"),
        ("1 -2", "found '1 -2'"),
        ("1 0.5", "expected"),
        ("a b", "expected"),
        ("0 " + "9" * 25, "expected"),
        ("0 " + "9" * 5000, "expected"),
    ],
)
def test_wrong_text_is_refused_with_its_line(tmp_path: Path, line: str, text: str) -> None:
    path = tmp_path / "x.txt"
    path.write_text(f"0 1\n{line}\n")
    with pytest.raises(SpikecError, match=text) as caught:
        load_stimulus(path, ONE)
    (found,) = caught.value.diagnostics
    assert (found.code, found.where.line) == ("E0701", 2)


@given(
    arrays(
        np.int64,
        st.tuples(st.integers(1, 3), st.integers(1, 4), st.just(3)),
        elements=st.integers(0, 3),
    ),
    st.sampled_from([".aer", ".txt", ".csv"]),
)
@example(np.zeros((2, 2, 3), np.int64), ".aer")
@example(np.eye(3, dtype=np.int64)[None], ".csv")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_spikes_written_as_text_are_a_stimulus(tmp_path: Path, dense: Any, suffix: str) -> None:
    path = tmp_path / f"spikes{suffix}"
    events = Events.from_dense(dense)
    path.write_bytes(spikes_text(events, "," if suffix == ".csv" else " "))
    loaded = load_stimulus(path, ONE, steps=events.steps)
    # How many silent samples end it, a text does not say.
    there = int(events.sample.max(initial=0)) + 1
    assert np.array_equal(dense_of(loaded), dense[:there])


def test_spikes_as_text() -> None:
    events = Events.from_dense(DENSE)
    assert spikes_text(events).decode().splitlines() == [
        "# step index sample count: 3 lines, 2 steps, 2 samples",
        "0 0 0 1",
        "0 2 0 2",
        "0 1 1 3",
        "1 2 1 1",
    ]
    one = Events.from_dense(DENSE[1:] > 0)
    assert spikes_text(one, ",") == b"# step,index: 3 lines, 2 steps, 1 samples\n0,1\n1,2\n"


def test_text_outside_the_input_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("0 3\n")
    refused("E0702", "index of 'in' spans 3 to 3", path)
    refused("E0702", "name the array", path, TWO)
    path.write_bytes(b"\xff\xfe\x00")
    refused("E0701", "cannot be read", path)


def test_nir_data_files(data_dir: Path) -> None:
    folder = data_dir / "nir" / "braille"
    files = sorted(p for p in folder.iterdir() if p.suffix in (".nir", ".h5"))
    assert files, "the data folder has changed"
    for path in files:  # models, not data: refused as such, without a crash
        with pytest.raises(SpikecError):
            load_stimulus(path, ONE)


# -- files that are none ---------------------------------------------------------------------


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    refused("E0701", "no such file", tmp_path / "x.npz")
    refused("E0701", "no such file", tmp_path)
    (tmp_path / "x.wav").write_bytes(b"")
    refused("E0701", r"'\.wav' is no stimulus format", tmp_path / "x.wav")


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("suffix", ["npz", "npy"])
def test_pickles_are_refused_and_never_run(tmp_path: Path, suffix: str) -> None:
    mark = tmp_path / "executed"
    array = np.array([Bomb(mark)], dtype=object)
    path = tmp_path / f"x.{suffix}"
    with path.open("wb") as file:
        if suffix == "npz":
            np.savez(file, data=array)
        else:
            np.save(file, array, allow_pickle=True)
    refused("E0701", "cannot be read: Object arrays cannot be loaded", path)
    with pytest.raises(SpikecError, match="E0706"):
        load_recording(path)
    assert not mark.exists()


def good_npz() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, data=DENSE, labels=[1, 2])
    return buffer.getvalue()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300),
    st.sampled_from([".npz", ".npy", ".txt", ".nir", ".h5"]),
    st.sampled_from([b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x89HDF\r\n\x1a\n"]),
)
def test_rubbish_raises_nothing_else(
    tmp_path: Path, content: bytes, suffix: str, head: bytes
) -> None:
    path = tmp_path / f"rubbish{suffix}"
    path.write_bytes(head + content)
    for net in (ONE, CAMERA):
        try:
            load_stimulus(path, net)
        except SpikecError as error:
            assert str(error)
    with pytest.raises(SpikecError, match="E0706"):
        load_recording(path)


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6))
@example([(0, 0)])
def test_damaged_files_raise_nothing_else(tmp_path: Path, edits: list[tuple[int, int]]) -> None:
    content = bytearray(good_npz())
    for place, byte in edits:
        content[place % len(content)] = byte
    path = tmp_path / "damaged.npz"
    path.write_bytes(content)
    try:
        loaded = load_stimulus(path, ONE)
        assert loaded.stimulus.inputs["in"].size == 3
    except SpikecError as error:
        assert error.exit_code == 2
    path.write_bytes(content[: edits[0][0] % len(content)])
    with pytest.raises(SpikecError):
        load_stimulus(path, ONE)


def header(text: str) -> bytes:
    body = text.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000, 3), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (-1, 3), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (1" + "0" * 40 + ",), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<Q9', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': (), 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<i8', 'fortran_order': False, 'shape': (3,",
        "[" * 110,
    ],
)
def test_hostile_headers_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(header(text) + b"\0" * 24)
    refused("E0701", "cannot be read", path)
    packed = tmp_path / "x.npz"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("data.npy", path.read_bytes())
    refused("E0701", "cannot be read", packed)


# -- there and back --------------------------------------------------------------------------


def test_stimuli_come_back(tmp_path: Path) -> None:
    inputs = {
        "left": Events.from_dense(DENSE[:, :, :2]),
        "right": Events.from_dense(DENSE[:, :, 1:] / 4),
    }
    path = tmp_path / "x.npz"
    for labels in (None, np.array([3, 1])):
        path.write_bytes(stimulus_bytes(LabelledStimulus(Stimulus(inputs), labels)))
        again = load_stimulus(path, TWO)
        assert again.stimulus == Stimulus(inputs)
        assert (again.labels is None) == (labels is None)
        assert again.labels is None or again.labels.tolist() == [3, 1]


def test_silent_stimuli_keep_their_length(tmp_path: Path) -> None:
    silent = Stimulus({"in": Events.from_dense(np.zeros((2, 9, 3), int))})
    path = tmp_path / "x.npz"
    path.write_bytes(stimulus_bytes(LabelledStimulus(silent)))
    assert load_stimulus(path, ONE).stimulus == silent


def test_the_first_samples_of_a_stimulus() -> None:
    whole = LabelledStimulus(Stimulus({"in": Events.from_dense(DENSE)}), np.array([5, 6]))
    assert whole.take(None) is whole
    assert whole.take(9) is whole
    one = whole.take(1)
    assert np.array_equal(dense_of(one), DENSE[:1])
    assert one.labels is not None and one.labels.tolist() == [5]
    assert LabelledStimulus(whole.stimulus).take(1).labels is None


def recording() -> Recording:
    return Recording(
        "integer",
        1e-3,
        {"a": Events.from_dense(DENSE), "b/c": Events.from_dense(DENSE / 3)},
        {("a", "v"): DENSE * 7, ("b/c", "u"): DENSE / 3},
        {"in/a": DENSE[None] * 2},
    )


def test_recordings_come_back(tmp_path: Path) -> None:
    path = tmp_path / "r.npz"
    path.write_bytes(recording_bytes(recording()))
    assert load_recording(path) == recording()
    # What a step takes on the hardware comes back where it is known.
    timed = replace(recording(), period=2e-10)
    path.write_bytes(recording_bytes(timed))
    assert load_recording(path) == timed


@pytest.mark.parametrize(
    "change",
    [
        {"spikes/a/index": [9] * 5},
        {"spikes/a/step": [-1] * 5},
        {"spikes/a/value": [1]},
        {"spikes/a/shape": [1, 2]},
        {"spikes/a/shape": ["x", "y", "z"]},
        {"dt": [1.0, 2.0]},
        {"dt": "fast"},
    ],
)
def test_wrong_recordings_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "r.npz"
    path.write_bytes(recording_bytes(recording()))
    with np.load(path) as data:
        arrays = dict(data) | change
    np.savez(path, **arrays)
    with pytest.raises(SpikecError, match="E0706"):
        load_recording(path)
    del arrays["dt"]
    np.savez(path, **arrays)
    with pytest.raises(SpikecError, match="E0706"):
        load_recording(path)


def test_a_missing_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpikecError, match="E0706"):
        load_recording(tmp_path / "nothing.npz")
