r"""The neuron that counts pulses, as a cell of its own: it fires where :math:`\theta` of them came.

Of the pulses on its line :math:`\theta - 1` are held back by as many `ndro`, and what is left over
waits in a `dff` for the clock (``neurons.Builder``). As a machine its state is how many pulses were
held back, k, and whether one waits, d:

.. math::
    \text{line}: k \to k + 1 \text{ while } k < \theta - 1, \text{ then } d \to 1; \qquad
    \text{reset}: k \to 0; \qquad \text{clk}: \text{a pulse if } d = 1, \; d \to 0.

The compiler gives each `ndro` a reset of its own, at a time of its own; here a tree of splitters
has one for all.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..cells import Cell, Machine
from ..cells.netlist import Netlist
from ..josephson.margins import Trial
from ..synthesis.neurons import Builder
from .testbench import Bench
from .trials import CASES, machine_trial

NAME: Final = "neuron"
THETAS: Final = (2, 3)  # that are measured, the first of them in all
INPUTS: Final = ("line", "reset", "clk")
# The longest way, from the line to a pulse that waits, has to be over before the next random pulse.
_FIRST: Final = 15e-12  # s: with theta 1, a dff alone
_EACH: Final = 15e-12  # s for each ndro more


def machine(theta: int) -> Machine:
    """What it does; state 2 k + d."""
    states = 2 * theta
    after = np.zeros((states, len(INPUTS)), np.int64)
    sends = np.zeros((states, len(INPUTS), 1), np.bool_)
    for state in range(states):
        held, waits = divmod(state, 2)
        full = held == theta - 1
        after[state] = [2 * held + 1 if full else state + 2, waits, 2 * held]
        sends[state, INPUTS.index("clk"), 0] = waits
    return Machine(after, sends)


def bench(theta: int) -> Bench:
    """The neuron between JTLs; ``theta`` is 2 or more."""
    build = Builder()
    resets = build.split("reset", theta - 1, "reset")
    line = "line"
    for k, reset in enumerate(resets):
        line = build.skip_one(line, reset, f"skip{k}")
    build.cell("dff", "store", {"a": line, "clk": "clk", "q": "q"})
    made = tuple(build.instances)
    whole = Netlist(made).circuit({})
    this = Cell(
        name=f"{NAME}{theta}",
        title=f"Sends a pulse at its clock if {theta} came since the last reset",
        inputs=INPUTS,
        outputs=("q",),
        clock="clk",
        circuit=whole,
        machine=machine(theta),
    )
    return Bench(this, made)


def trial(theta: int, cases: int = CASES) -> Trial:
    """That it is its machine on random pulses, so far apart that each is through by the next."""
    return machine_trial(bench(theta), _FIRST + _EACH * (theta - 1), cases)
