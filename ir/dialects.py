"""Dialects: the step semantics that each framework gives to the same NIR file.

Where a recording exists the dialect reproduces it (``tests/ir/test_dialects.py``,
``tests/backends``); where none does, ``source`` says what the entry rests on.
"""

from __future__ import annotations

from dataclasses import dataclass

from .semantics import Comparison, Decay, Gain, IntegratorGain, Reset, Semantics


@dataclass(frozen=True)
class Dialect:
    """A named set of step semantics.

    ``forward_delay`` is the delay in steps of an edge that closes no loop and
    ``recurrent_delay`` that of an edge inside one. ``default_dt`` (seconds) is what the framework
    assumes when nothing is said, ``None`` where it has no default of its own.
    """

    name: str
    summary: str
    source: str
    semantics: Semantics
    forward_delay: int = 0
    recurrent_delay: int = 1
    default_dt: float | None = 1e-4


_ALL = (
    Dialect(
        "nir",
        "the letter of the specification: forward Euler, strict threshold, reset to v_reset",
        "docstrings of nir 1.0.8",
        Semantics(reset=Reset.VALUE, integrator_gain=IntegratorGain.PER_SECOND),
        default_dt=None,
    ),
    Dialect(
        "snntorch",
        "forward Euler, two-phase subtract",
        "recordings of the NIR paper: LIF spikes, and 0 wrong of 10,240 Braille bits",
        Semantics(reset=Reset.TWO_PHASE),
    ),
    Dialect(
        "snntorch-zero",
        "forward Euler, reset to zero (reset_mechanism='zero')",
        "recordings of the NIR paper (Braille graph trained with zero reset)",
        Semantics(reset=Reset.ZERO),
    ),
    Dialect(
        "norse",
        "forward Euler, reset to zero, a recurrent bias is absent from the first step",
        "recordings of the NIR paper: LIF spikes, and 0 wrong of 10,240 Braille bits",
        Semantics(reset=Reset.ZERO, recurrent_bias_first=False),
    ),
    Dialect(
        "spyx",
        "forward Euler, subtract, spikes shown one step late",
        "recordings of the NIR paper: LIF spikes, and 0 wrong of 10,240 Braille bits",
        Semantics(reset=Reset.SUBTRACT, registered=True),
        recurrent_delay=0,
    ),
    Dialect(
        "sinabs",
        "exponential decay, Euler gain, subtract, any number of spikes a step",
        "recordings of the NIR paper (LIF spikes); defaults of sinabs 3.1",
        Semantics(decay=Decay.EXPONENTIAL, reset=Reset.SUBTRACT, max_spikes=None),
        default_dt=1e-3,
    ),
    Dialect(
        "rockpool",
        "exponential decay, export factor of r undone, subtract, any number of spikes a step",
        "recordings of the NIR paper (LIF spikes); r as rockpool 3.1 exports it",
        Semantics(
            decay=Decay.EXPONENTIAL,
            gain=Gain.COMPENSATED,
            reset=Reset.SUBTRACT,
            max_spikes=None,
        ),
    ),
    Dialect(
        "lava",
        "forward Euler, reset to zero, every connection takes one step",
        "recordings of the NIR paper (LIF spikes); floating-point models of lava-nc 0.10",
        Semantics(reset=Reset.ZERO),
        forward_delay=1,
    ),
    Dialect(
        "nengo",
        "exponential decay, input held through the step, reset to zero",
        "recordings of the NIR paper (LIF spikes); its Braille recordings are not reproduced",
        Semantics(decay=Decay.EXPONENTIAL, gain=Gain.EXACT, reset=Reset.ZERO),
    ),
    Dialect(
        "spinnaker2",
        "forward Euler, reset to zero",
        "recordings of the NIR paper (LIF spikes); its Braille recordings are not reproduced",
        Semantics(reset=Reset.ZERO),
    ),
    Dialect(
        "pynn",
        "closed-form integration, >=, reset to v_reset, at least one step of delay",
        "IF_curr_exp of PyNN 0.13 as SpiNNaker steps it: see docs/dialects.md",
        Semantics(
            decay=Decay.EXPONENTIAL,
            gain=Gain.EXACT,
            comparison=Comparison.GREATER_EQUAL,
            reset=Reset.VALUE,
            integrator_gain=IntegratorGain.PER_SECOND,
        ),
        forward_delay=1,
        default_dt=1e-3,
    ),
)

DIALECTS = {dialect.name: dialect for dialect in _ALL}
