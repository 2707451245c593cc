"""Words and rows of a core read back as synapses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

Run = tuple[int, int, int, int]


def runs_of(arrays: Mapping[str, Any], addressing: str) -> list[list[Run]]:
    """(first word, words, first group, steps) of each run of each source."""
    found: list[list[Run]] = []
    for source in range(len(arrays["rows_start"])):
        start, count = int(arrays["rows_start"][source]), int(arrays["rows_count"][source])
        if addressing != "row":
            found.append([(start, count, 0, 0)])
            continue
        base = int(arrays["rows_target"][source])
        if not len(arrays.get("segment_start", ())):
            found.append([(start, count, base, int(arrays["rows_delay"][source]))])
            continue
        found.append(
            [
                (
                    int(arrays["segment_start"][k]),
                    int(arrays["segment_count"][k]),
                    base + int(arrays["segment_target"][k]),
                    int(arrays["segment_delay"][k]),
                )
                for k in range(start, start + count)
            ]
        )
    return found


def expanded(
    arrays: Mapping[str, Any], addressing: str, lanes: int
) -> Counter[tuple[int, int, int]]:
    """Sum of the weights from a source, after so many steps, to a neuron; zeros left out."""
    sums: Counter[tuple[int, int, int]] = Counter()
    for source, runs in enumerate(runs_of(arrays, addressing)):
        for start, count, first, steps in runs:
            for k in range(count):
                for lane in range(lanes):
                    group, delay = first + k, steps
                    if addressing != "row":
                        place = (start + k, lane)
                        one = arrays["word_target"].ndim == 1
                        group = int(arrays["word_target"][place[:1] if one else place])
                        delay = int(arrays["word_delay"][place[:1] if one else place])
                    weight = int(arrays["weights"][start + k, lane])
                    sums[source, delay, group * lanes + lane] += weight
    return Counter({place: weight for place, weight in sums.items() if weight})
