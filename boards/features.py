"""What a target's neurons and interconnect can do: the rules that legalisation checks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Features:
    """Rules of the step on a target.

    ``input_hop`` and ``hop`` are the steps that a spike needs at least from an input and from a
    population. ``max_spikes`` is the largest number of spikes a neuron emits in a step, ``None``
    for no limit. ``graded`` says whether populations may send real values, ``frozen_only`` whether
    refractory neurons must be frozen. ``uniform`` targets have one neuron circuit for all
    populations: where one has a synaptic current all have, with a decay of zero. ``learns`` names
    the plasticity rules that the target has, ``None`` for every one; ``adaptive`` says whether a
    threshold may adapt.
    """

    input_hop: int = 0
    hop: int = 0
    max_spikes: int | None = None
    graded: bool = False
    frozen_only: bool = False
    uniform: bool = False
    learns: tuple[str, ...] | None = None
    adaptive: bool = True


# The integer rung itself: any delay, any semantics, but spikes only.
INTEGER = Features()
# Our event-driven core: input events are integrated in their own step, spikes in the next one.
FPGA_CORE = Features(
    hop=1,
    max_spikes=1,
    frozen_only=True,
    uniform=True,
    learns=("TraceSTDP", "SDSP"),
)
