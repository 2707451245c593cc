"""What a target's neurons and interconnect can do: the rules that legalisation checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final


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
# A crossbar multiplies; the neurons behind its converters are digital, and no cell learns.
CROSSBAR = replace(INTEGER, learns=())
# Cells count the pulses of a step or since a neuron's own spike, layer after layer.
SFQ = replace(INTEGER, max_spikes=1, learns=(), adaptive=False)

# The chips below take a step for every hop, from an input as from a neuron, and emit one spike a
# neuron and step at most; no rule of learning is emitted for any of them yet.
#
# Loihi: spikes are delivered before the next step begins, those that the host sends in, too
# (nengo-loihi's emulator applies them one step late).
LOIHI = Features(input_hop=1, hop=1, max_spikes=1, learns=())
# Lava runs what the chip's learning engine does.
LAVA = replace(LOIHI, learns=("PairSTDP", "LoihiPairSTDP"))
# TrueNorth: a packet carries a delay of 1 to 15 ticks; a threshold is a constant of its neuron.
TRUENORTH = Features(input_hop=1, hop=1, max_spikes=1, learns=(), adaptive=False)
# SpiNNaker: sPyNNaker's shortest delay is one step, and inputs are cores like any other.
SPINNAKER = Features(input_hop=1, hop=1, max_spikes=1, learns=())
# DYNAP-SE runs in continuous time: a step is as long as one likes, so that what a spike causes
# counts as the next one.
DYNAP_SE = Features(input_hop=1, hop=1, learns=())
# ODIN works on events as they come, which only its one core sends.
ODIN = Features(input_hop=1, hop=1, max_spikes=1, learns=())

# By the ``family`` of a chip's file.
CHIP_FAMILIES: Final[Mapping[str, Features]] = MappingProxyType(
    {
        "loihi": LOIHI,
        "truenorth": TRUENORTH,
        "spinnaker": SPINNAKER,
        "dynap-se": DYNAP_SE,
        "odin": ODIN,
    }
)
