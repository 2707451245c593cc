"""The host's bytes say what the stimulus says, and the device's bytes are read as it meant them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikec.backends.fpga.host import (
    HostError,
    StimulusError,
    decode_replies,
    load_image,
    read_info,
    read_memory,
    stimulus_to_commands,
)
from spikec.backends.fpga.replies import ReplyScanner
from spikec.hdl.image import CoreImage
from spikec.hdl.protocol import (
    COUNTER_MAX,
    Clear,
    Cleared,
    CommandDecoder,
    Data,
    Done,
    Error,
    ErrorCode,
    Event,
    InfoReply,
    Read,
    Reply,
    ReplyDecoder,
    Spike,
    Tick,
    Written,
    encode,
)
from spikec.hdl.shape import CoreShape, Memory

SHAPE = CoreShape(
    lanes=4, weight_bits=8, acc_bits=16, state_bits=16, neurons=16, inputs=300, words=32
)

stimuli = st.tuples(st.integers(1, 3), st.integers(1, 5), st.sampled_from([1, 7, 300])).flatmap(
    lambda size: st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).poisson(0.2, size)
    )
)
cycle_counts = st.integers(0, COUNTER_MAX)
step_answers = st.tuples(
    st.lists(st.integers(0, 65535), max_size=6), cycle_counts, cycle_counts, cycle_counts
)


def answers(draw_samples: list[list[tuple[list[int], int, int, int]]]) -> list[Reply]:
    replies: list[Reply] = []
    for sample in draw_samples:
        replies.append(Cleared())
        for step, (neurons, *cycles) in enumerate(sample):
            replies += [Spike(neuron) for neuron in neurons]
            replies.append(Done(step, *cycles))
    return replies


runs = st.tuples(st.integers(1, 3), st.integers(1, 4)).flatmap(
    lambda size: st.lists(
        st.lists(step_answers, min_size=size[1], max_size=size[1]),
        min_size=size[0],
        max_size=size[0],
    )
)


@given(stimuli)
def test_commands_decode_to_the_stimulus(counts: NDArray[np.int64]) -> None:
    script = stimulus_to_commands(counts)
    commands = iter(CommandDecoder(SHAPE).feed(script.data))
    for sample in counts:
        assert next(commands) == Clear()
        for lines in sample:
            for source in np.repeat(np.arange(lines.size), lines):
                assert next(commands) == Event(int(source))
            assert next(commands) == Tick()
    assert next(commands, None) is None
    assert script.answers == counts.shape[0] * (counts.shape[1] + 1)


def test_the_bytes_of_a_small_stimulus() -> None:
    counts = np.zeros((1, 2, 300), np.uint8)
    counts[0, 0, 299], counts[0, 1, 2] = 1, 2
    assert stimulus_to_commands(counts).data == bytes.fromhex("03 012b01 02 010200 010200 02")


def test_a_network_without_inputs_still_ticks() -> None:
    assert stimulus_to_commands(np.zeros((2, 2, 0), np.int8)).data == bytes.fromhex("030202 030202")


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


@given(runs)
def test_replies_are_read_as_the_decoder_reads_them(
    samples: list[list[tuple[list[int], int, int, int]]],
) -> None:
    frames = answers(samples)
    data = encode(frames)
    assert ReplyDecoder().feed(data) == frames
    run = decode_replies(data, len(samples), len(samples[0]))
    wanted = [
        (i, t, neuron)
        for i, sample in enumerate(samples)
        for t, (neurons, *_) in enumerate(sample)
        for neuron in neurons
    ]
    found = zip(run.sample.tolist(), run.step.tolist(), run.neuron.tolist(), strict=True)
    assert list(found) == wanted
    assert run.cycles.tolist() == [[list(step[1:]) for step in sample] for sample in samples]
    assert run.saturated == any(COUNTER_MAX in step[1:] for sample in samples for step in sample)
    assert run.counts(65536).sum() == len(wanted)


@given(runs, st.data())
def test_the_scanner_counts_answers_in_any_pieces(
    samples: list[list[tuple[list[int], int, int, int]]], data: st.DataObject
) -> None:
    frames = answers(samples)
    frames[1:1] = [Written(), Data(b"\x82\xee"), InfoReply(SHAPE, bytes(range(8))), Data(b"\x85")]
    stream = encode(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    scanner = ReplyScanner((2, 1))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        assert scanner.answers <= len(frames)
        scanner.feed(stream[start:end])
    assert scanner.error == ""
    assert scanner.seen == len(stream)
    spikes = sum(isinstance(frame, Spike) for frame in frames)
    assert (scanner.spikes, scanner.answers) == (spikes, len(frames) - spikes)


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"\x83\xee\x04", "byte 1: the device refused a command: bad source"),
        (b"\x83\xee\x77", "byte 1: the device refused a command: code 119"),
        (b"\x83\x00", "byte 1: 0x00 starts no answer"),
        (b"\x85\x00", "byte 0: 0x85 starts no answer"),
    ],
)
def test_the_scanner_stops_at_what_is_no_answer(stream: bytes, error: str) -> None:
    whole, pieces = ReplyScanner(), ReplyScanner()
    whole.feed(stream)
    for byte in stream:
        pieces.feed(bytes((byte,)))
    assert whole.error == pieces.error == error


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([Done(0, 1, 1, 1)], "sample 0, byte 0: byte 0x82 where CLEARED was due"),
        ([Cleared(), Done(1, 1, 1, 1), Done(1, 1, 1, 1)], "step 0: the device answers for step 1"),
        (
            [Cleared(), Spike(3), Error(ErrorCode.BAD_SOURCE)],
            "sample 0, step 0, byte 1: the device refused a command: bad source",
        ),
        ([Cleared(), Spike(3)], "the answers end where SPIKE or DONE was due"),
        ([Cleared(), Done(0, 1, 1, 1), Done(1, 1, 1, 1), Cleared()], "1 bytes too many"),
        ([Cleared(), Spike(1), Cleared()], "byte 0x83 where SPIKE or DONE was due"),
    ],
)
def test_answers_that_depart_from_the_script_are_located(frames: list[Reply], message: str) -> None:
    with pytest.raises(HostError) as caught:
        decode_replies(encode(frames), 1, 2)
    assert message in str(caught.value)


def test_a_cut_frame_is_called_so() -> None:
    data = encode([Cleared(), Done(0, 1, 1, 1)])
    with pytest.raises(HostError, match="end in the middle of a frame"):
        decode_replies(data[:-2], 1, 1)


def test_the_step_counter_wraps() -> None:
    frames: list[Reply] = [Cleared(), *(Done(step % 4, 0, 0, 0) for step in range(6))]
    assert decode_replies(encode(frames), 1, 6, step_bits=2).steps == 6
    with pytest.raises(HostError, match="step 4: the device answers for step 0"):
        decode_replies(encode(frames), 1, 6)


def test_loading_an_image_writes_every_word_and_waits_for_each() -> None:
    image = CoreImage.empty(SHAPE)
    script = load_image(image)
    assert script.data == encode(image.frames())
    assert script.answers == len(list(image.frames()))


def test_scripts_join() -> None:
    script = read_info() + read_memory(SHAPE, Memory.POTENTIALS, range(2))
    assert script.answers == 3
    assert script.read_sizes == (2, 2)
    assert script.data[1:] == encode([Read(Memory.POTENTIALS, 0), Read(Memory.POTENTIALS, 1)])
