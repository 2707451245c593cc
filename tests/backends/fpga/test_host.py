"""The host's bytes say what the stimulus says, and the device's bytes are read as it meant them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikec.backends.fpga.host import (
    HostError,
    Script,
    StimulusError,
    decode_replies,
    load_image,
    read_info,
    read_memory,
    report_bytes,
    report_fields,
    stimulus_to_commands,
)
from spikec.backends.fpga.replies import ReplyScanner
from spikec.backends.fpga.wire import Driver
from spikec.hdl.image import CoreImage
from spikec.hdl.protocol import COUNTER_MAX, INFO_BYTES, Opcode, configuration, read_burst
from spikec.hdl.shape import CoreShape, Memory

from ...hdl.modelled_device import DeviceModel, HashCore
from .faulty import ModelPort

SHAPE = CoreShape(
    lanes=4, weight_bits=8, acc_bits=16, state_bits=16, neurons=16, inputs=300, words=32
)
LARGE = CoreShape(
    lanes=1, weight_bits=8, acc_bits=16, state_bits=16, neurons=40_000, inputs=1, words=32
)
CLEARED, WRITTEN = bytes((Opcode.CLEARED,)), bytes((Opcode.WRITTEN,))

stimuli = st.tuples(st.integers(1, 3), st.integers(1, 5), st.sampled_from([1, 7, 300])).flatmap(
    lambda size: st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).poisson(0.2, size)
    )
)
cycle_counts = st.integers(0, COUNTER_MAX)
step_answers = st.tuples(st.lists(st.integers(0, 65535), max_size=6), cycle_counts, cycle_counts)


def spike(neuron: int, shape: CoreShape = SHAPE) -> bytes:
    if shape is LARGE:
        return bytes((Opcode.SPIKE,)) + neuron.to_bytes(2, "little")
    return neuron.to_bytes(2, "big")


def done(step: int, *counts: int) -> bytes:
    body = step.to_bytes(2, "little") + b"".join(count.to_bytes(3, "little") for count in counts)
    return bytes((Opcode.DONE,)) + body


def answers(draw_samples: list[list[tuple[list[int], int, int]]], shape: CoreShape) -> list[bytes]:
    replies = []
    for sample in draw_samples:
        replies.append(CLEARED)
        for step, (neurons, *cycles) in enumerate(sample):
            replies += [spike(neuron % shape.neurons, shape) for neuron in neurons]
            replies.append(done(step, *cycles))
    return replies


runs = st.tuples(st.integers(1, 3), st.integers(1, 4)).flatmap(
    lambda size: st.lists(
        st.lists(step_answers, min_size=size[1], max_size=size[1]),
        min_size=size[0],
        max_size=size[0],
    )
)


class Recorder(HashCore):
    """Keeps what it is asked to do."""

    def clear(self) -> None:
        super().clear()
        self.asked: list[list[int]] = getattr(self, "asked", [])
        self.events: list[int] = []

    def event(self, source: int) -> None:
        self.events.append(source)

    def tick(self) -> tuple[list[int], bytes]:
        self.asked.append(sorted(self.events))
        self.events = []
        return [], bytes(8)


@given(stimuli)
def test_commands_say_the_stimulus(counts: NDArray[np.int64]) -> None:
    script = stimulus_to_commands(counts)
    core = Recorder(SHAPE)
    port = ModelPort(DeviceModel(SHAPE, core, configured=True))
    Driver(port, SHAPE, clock=port.clock).talk(script)
    steps = counts.reshape(-1, counts.shape[2])
    assert core.asked == [np.repeat(np.arange(lines.size), lines).tolist() for lines in steps]
    assert script.answers == counts.shape[0] * (counts.shape[1] + 1)


def test_the_bytes_of_a_small_stimulus() -> None:
    counts = np.zeros((1, 3, 300), np.uint8)
    counts[0, 0, 299], counts[0, 1, 2] = 1, 2
    counts[0, 2, 8:200] = 1
    masked = "02 000000 2600 00" + "ff" * 24 + "00" * 13
    assert stimulus_to_commands(counts).data == bytes.fromhex(
        "04 010100 2b01 03 010200 0200 0200 03" + masked + "03"
    )


def test_more_events_than_a_list_can_count_make_two() -> None:
    counts = np.full((1, 1, 1), 70_000)
    data = stimulus_to_commands(counts).data
    assert len(data) == 1 + 2 * 3 + 2 * 70_000 + 1
    assert data[1:4] == b"\x01\xff\xff"
    assert data[4 + 2 * 65_535 :][:3] == b"\x01" + (70_000 - 65_535).to_bytes(2, "little")


def test_a_network_without_inputs_still_ticks() -> None:
    assert stimulus_to_commands(np.zeros((2, 2, 0), np.int8)).data == bytes.fromhex("040303 040303")


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.zeros((2, 2), np.int64), "(samples, steps, inputs), not (2, 2)"),
        (np.zeros((1, 1, 1)), "whole numbers, not float64"),
        (np.zeros((1, 0, 1), np.int64), "needs a sample and a step"),
        (np.array([[[0, 0], [0, -3]]]), "sample 0, step 1, input 1: -3 events"),
        (np.zeros((1, 1, 65537), np.int8), "65537 input lines"),
    ],
)
def test_a_stimulus_that_cannot_be_sent_is_refused_by_place(
    counts: NDArray[np.int64], message: str
) -> None:
    with pytest.raises(StimulusError) as caught:
        stimulus_to_commands(counts)
    assert message in str(caught.value)


@pytest.mark.parametrize("shape", [SHAPE, LARGE])
@given(samples=runs)
def test_replies_are_read(
    shape: CoreShape, samples: list[list[tuple[list[int], int, int]]]
) -> None:
    data = b"".join(answers(samples, shape))
    run = decode_replies(data, len(samples), len(samples[0]), shape)
    wanted = [
        (i, t, neuron % shape.neurons)
        for i, sample in enumerate(samples)
        for t, (neurons, *_) in enumerate(sample)
        for neuron in neurons
    ]
    found = zip(run.sample.tolist(), run.step.tolist(), run.neuron.tolist(), strict=True)
    assert list(found) == wanted
    assert run.cycles.tolist() == [[list(step[1:]) for step in sample] for sample in samples]
    assert run.saturated == any(COUNTER_MAX in step[1:] for sample in samples for step in sample)
    assert run.counts(shape.neurons).sum() == len(wanted)


def test_a_report_is_what_the_core_says_it_is() -> None:
    fields = dict(report_fields(SHAPE))
    assert fields["step"] == SHAPE.step_bits
    assert report_bytes(SHAPE) == -(-sum(fields.values()) // 8)


@given(runs, st.data())
def test_the_scanner_counts_answers_in_any_pieces(
    samples: list[list[tuple[list[int], int, int]]], data: st.DataObject
) -> None:
    replies = answers(samples, SHAPE)
    replies[1:1] = [WRITTEN, b"\x85\x82\xee", b"\x86", b"\x85\x85"]
    spikes = sum(reply[0] < 0x80 for reply in replies)
    replies[3] = b"\x86" + bytes(INFO_BYTES)
    stream = b"".join(replies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    scanner = ReplyScanner(report_bytes(SHAPE), (2, 1))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        scanner.feed(stream[start:end])
    assert scanner.error == ""
    assert scanner.seen == len(stream)
    assert (scanner.spikes, scanner.answers) == (spikes, len(replies) - spikes)


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"\x83\xee\x04", "byte 1: the device refused a command: bad source"),
        (b"\x83\xee\x77", "byte 1: the device refused a command: code 119"),
        (b"\x83\x90", "byte 1: 0x90 starts no answer"),
        (b"\x85\x00", "byte 0: 0x85 starts no answer"),
    ],
)
def test_the_scanner_stops_at_what_is_no_answer(stream: bytes, error: str) -> None:
    whole, pieces = ReplyScanner(11), ReplyScanner(11)
    whole.feed(stream)
    for byte in stream:
        pieces.feed(bytes((byte,)))
    assert whole.error == pieces.error == error


def test_a_device_that_spikes_without_end_is_broken_not_busy() -> None:
    step = spike(3) * 4 + done(0, 1, 1)
    scanner = ReplyScanner(report_bytes(SHAPE), most=4)
    scanner.feed(step * 3)
    assert (scanner.error, scanner.spikes, scanner.answers) == ("", 12, 3)
    scanner.feed(spike(3) * 5)
    assert scanner.error == f"byte {3 * len(step) + 8}: more than 4 spikes in a step"
    # Not bounded unless said.
    free = ReplyScanner(report_bytes(SHAPE))
    free.feed(spike(3) * 1000)
    assert free.error == ""


@pytest.mark.parametrize(
    ("replies", "message"),
    [
        ([done(0, 1, 1)], "sample 0, byte 0: byte 0x82 where CLEARED was due"),
        ([CLEARED, done(1, 1, 1), done(1, 1, 1)], "step 0: the device answers for step 1"),
        (
            [CLEARED, spike(3), b"\xee\x04"],
            "sample 0, step 0, byte 1: the device refused a command: bad source",
        ),
        ([CLEARED, spike(3)], "the answers end where a spike or DONE was due"),
        ([CLEARED, done(0, 1, 1), done(1, 1, 1), CLEARED], "1 bytes too many"),
        ([CLEARED, spike(1), CLEARED], "byte 0x83 where a spike or DONE was due"),
        ([CLEARED, done(0, 1, 1)[:-2]], "end in the middle of a frame"),
    ],
)
def test_answers_that_depart_from_the_script_are_located(
    replies: list[bytes], message: str
) -> None:
    with pytest.raises(HostError) as caught:
        decode_replies(b"".join(replies), 1, 2, SHAPE)
    assert message in str(caught.value)


def test_what_is_read_behind_each_step() -> None:
    read = read_memory(SHAPE, Memory.POTENTIALS, range(3, 5))
    read += read_memory(SHAPE, Memory.POTENTIALS, range(1))
    counts = np.zeros((2, 2, 3), np.int64)
    counts[0, 1, 2] = counts[1, 0, 0] = 1
    script = stimulus_to_commands(counts, read)
    reads = read.data.hex()
    assert script.data.hex(" ") == bytes.fromhex(
        f"04 03{reads} 0101000200 03{reads} 04 0101000000 03{reads} 03{reads}"
    ).hex(" ")
    assert script.answers == 2 + 4 * 3
    assert script.read_sizes == (4, 2) * 4

    def data(*content: int) -> bytes:
        return bytes((Opcode.DATA, *content))

    # What is read looks like answers.
    first = [CLEARED, spike(3), done(0, 1, 1), data(0x82, 0x83, 7, 1), data(1, 2)]
    first += [done(1, 1, 1), data(3, 4, 5, 6), data(0x82, 0x82)]
    run = decode_replies(b"".join(first * 2), 2, 2, SHAPE, read)
    assert run.neuron.tolist() == [3, 3]
    assert run.read[1].tolist() == [[0x82, 0x83, 7, 1, 1, 2], [3, 4, 5, 6, 0x82, 0x82]]
    with pytest.raises(HostError, match="sample 1, step 1"):
        decode_replies(b"".join(first * 2)[:-1], 2, 2, SHAPE, read)


def test_the_step_counter_wraps() -> None:
    narrow = CoreShape(
        lanes=4,
        weight_bits=8,
        acc_bits=16,
        state_bits=16,
        neurons=16,
        inputs=3,
        words=2,
        step_bits=8,
    )
    size = report_bytes(narrow)
    reports = [bytes((Opcode.DONE, step % 256)) + bytes(size - 1) for step in range(300)]
    replies = CLEARED + b"".join(reports)
    assert decode_replies(replies, 1, 300, narrow).steps == 300
    reports[299], reports[298] = reports[298], reports[299]
    with pytest.raises(HostError, match="step 298: the device answers for step 43"):
        decode_replies(CLEARED + b"".join(reports), 1, 300, narrow)


def test_loading_an_image_writes_every_word_and_commits() -> None:
    image = CoreImage.empty(SHAPE)
    script = load_image(image)
    data, bursts = configuration(image.frames())
    assert (script.data, script.answers) == (data, bursts + 1)


def test_scripts_join() -> None:
    script = read_info() + read_memory(SHAPE, Memory.POTENTIALS, range(2, 5))
    assert script == Script(b"\x09" + read_burst(Memory.POTENTIALS, 2, 3), 2, (6,))
