"""What each PyNN simulator is and has: facts of PyNN 0.13 and sPyNNaker 1!7.4.1, read in source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ...ir.plasticity import Coincidence, Dependence

BRIAN2, NEST, SPINNAKER = "brian2", "nest", "spinnaker"

_CURRENT: Final = ("IF_curr_exp", "IF_curr_alpha", "IF_curr_delta")
_ALL: Final = (
    *_CURRENT,
    "IF_cond_exp",
    "IF_cond_alpha",
    "EIF_cond_exp_isfa_ista",
    "EIF_cond_alpha_isfa_ista",
    "Izhikevich",
)
_SCALED: Final = (Dependence.ADDITIVE, Dependence.SCALED)
_EVERY: Final = (*_SCALED, Dependence.MULTIPLICATIVE)


@dataclass(frozen=True)
class Simulator:
    """A PyNN simulator.

    ``module`` is imported by a program, ``title`` is what a user calls it, ``steps_as`` the
    dialect of `spikec.pynn` whose cells step as its own do; ``None``: neither's. ``fraction`` is
    the only ``dendritic_delay_fraction`` it has, ``dependences`` are the weight dependences,
    ``coincidence`` is what its pairs of one step do. ``tires`` says whether it has the synapse of
    Tsodyks and Markram, ``w_min`` whether plastic weights may have another floor than zero,
    ``initial`` whether synaptic signals may start at another value than zero.
    """

    name: str
    title: str
    module: str
    cells: tuple[str, ...]
    steps_as: str | None
    fraction: float
    dependences: tuple[Dependence, ...]
    coincidence: Coincidence
    tires: bool
    w_min: bool
    initial: bool


SIMULATORS: Final[Mapping[str, Simulator]] = MappingProxyType(
    {
        BRIAN2: Simulator(
            BRIAN2,
            "pyNN.brian2",
            "pyNN.brian2",
            # Spikes of its EIF_cond_alpha_isfa_ista add to the conductance itself, which then
            # decays: no alpha function.
            tuple(cell for cell in _ALL if cell != "EIF_cond_alpha_isfa_ista"),
            "brian2",
            0.0,
            # Its classes of weight dependence all run the additive rule (standardmodels/synapses).
            _SCALED,
            # Measured: the pre pathway runs first, and the post spike finds its trace.
            Coincidence.POTENTIATE,
            # It has dz/dt = +z/tau_rec from z = 0: nothing is ever inactive, and it takes u back
            # to U.
            False,
            True,
            True,
        ),
        NEST: Simulator(
            NEST,
            "pyNN.nest",
            "pyNN.nest",
            _ALL,
            None,
            1.0,
            _EVERY,
            Coincidence.NONE,
            True,
            False,
            False,
        ),
        SPINNAKER: Simulator(
            SPINNAKER,
            "sPyNNaker",
            "pyNN.spiNNaker",
            (*_CURRENT, "IF_cond_exp", "Izhikevich"),
            "spinnaker",
            1.0,
            _EVERY,
            Coincidence.DEPRESS,
            False,
            True,
            False,
        ),
    }
)

# sPyNNaker 1!7.4.1, pyNN/utilities/constants.py: SYNAPSE_INDEX_BITS and MAX_RING_BUFFER_BITS.
NEURONS_PER_CORE: Final = 256
RING_BUFFER_BITS: Final = 14
# delay_extension_vertex.py: MAX_SLOTS stages of as many steps as the ring buffer has.
DELAY_STAGES: Final = 8
# Post spikes that plastic synapses look back at lie beside the neurons, and an update takes longer
# than a static synapse: half as many neurons, a choice of ours.
PLASTIC_NEURONS_PER_CORE: Final = 128
SMALLEST_CORE: Final = 32
# pyNN/spynnaker.cfg.
SPIKES_PER_SECOND: Final = 30.0
RING_BUFFER_SIGMA: Final = 5.0
LARGEST: Final = 65535.0  # of s16.15
LARGEST_SHIFT: Final = 16
CONDUCTANCE_SCALE: Final = 1024.0  # input_type_conductance.py: weights in uS count as many times
