"""The whole circuit of a program as decks, for JoSIM and for ngspice, with pulses of a few steps.

In step 0 no input line has a pulse, in step 1 the first and every second one behind it, in step 2
the others, in step 3 all; clocks are as the program has them. Phases of a junction behind the net
of each neuron are printed: they turn by 2 pi for each spike.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ....ir.events import Events, Stimulus
from ..cells.chance import KIND
from ..cells.netlist import pulses
from ..josephson.simulate import Transient
from ..synthesis.synthesise import Program
from . import josim, ngspice
from .execute import STEP, TAIL, drives
from .hierarchy import Names

JOSIM: Final = "circuit.josim.cir"
NGSPICE: Final = "circuit.ngspice.cir"
_STEPS: Final = 4


def example(program: Program) -> Stimulus:
    """The pulses that decks have: none, even lines, odd lines, all."""
    found = {}
    for name, nets in program.inputs.items():
        line = np.arange(len(nets)) % 2
        steps = np.stack([line < 0, line == 0, line == 1, line >= 0])
        found[name] = Events.from_dense(steps[None].astype(np.int64))
    return Stimulus(found, idle=None if found else (1, _STEPS))


def program_decks(program: Program, temperature: float = 0.0) -> dict[str, bytes]:
    """``circuit.josim.cir`` and, where chance has no part in it, ``circuit.ngspice.cir``.

    JoSIM has thermal noise of ``temperature`` K, ngspice none.
    """
    waves = {net: pulses(times) for net, times in drives(program, example(program)).items()}
    circuit = program.netlist.circuit(waves)
    duration = program.period * (_STEPS - 1) + program.latency + TAIL
    how = Transient(duration, STEP, temperature=temperature)
    spikes = {neuron: josim.junction_at(circuit, net) for net, neuron in neurons(program).items()}
    nets = neurons(program)
    names = Names.of(program.netlist, nets)
    head = [
        "Superconducting cells, written by spikec.",
        "Run it with: josim-cli -m -o phases.csv FILE",
        *_notes(program, {neuron: names.element(junction) for neuron, junction in spikes.items()}),
    ]
    files = {JOSIM: josim.deck(program.netlist, waves, how, spikes.values(), nets, head)}
    if KIND not in program.netlist.counts:
        files[NGSPICE] = ngspice.netlist_deck(
            program.netlist,
            waves,
            how,
            spikes.values(),
            names,
            _notes(program, {n: ngspice.junction(names, j) for n, j in spikes.items()}),
        )
    return {name: text.encode() for name, text in files.items()}


def neurons(program: Program) -> dict[str, str]:
    """What the nets of neurons are called in decks: as the neurons are."""
    return {
        net: f"{name}[{k}]"
        for name, nets in program.spikes.items()
        for k, net in enumerate(nets)
        if net is not None
    }


def _notes(program: Program, spikes: dict[str, str]) -> list[str]:
    """What a reader of a deck has to know."""
    return [
        f"{len(program.netlist.instances)} cells, {program.netlist.junctions} junctions.",
        f"A step lasts {program.period * 1e12:.2f} ps; the first begins after a ramp of biases.",
        "Steps: no input, even lines, odd lines, all lines.",
        *(f"{name} spikes where the phase of {j} turns by 2 pi." for name, j in spikes.items()),
    ]
