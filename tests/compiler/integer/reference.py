"""The integer model in exact Python integers, one neuron at a time: slow, and plainly right.

Written from the docstrings of ``ir.numerics.Numerics``, ``ir.semantics.Semantics`` and
``ir.neurons.IntegerNeuron``; shares no code with the executor but the value of a connection.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from spikec.compiler.connectivity import apply
from spikec.ir.events import Stimulus
from spikec.ir.graph import Graph, Population
from spikec.ir.neurons import IntegerNeuron
from spikec.ir.numerics import Format, Overflow, Rounding

from .learning_reference import Plastic


def rounded(x: Fraction, rounding: Rounding) -> int:
    """``x`` rounded by the definition of each mode."""
    match rounding:
        case Rounding.NEAREST_EVEN:
            return round(x)
        case Rounding.NEAREST_AWAY:
            return floor(x + Fraction(1, 2)) if x > 0 else ceil(x - Fraction(1, 2))
        case Rounding.TOWARD_ZERO:
            return int(x)
        case Rounding.UP:
            return ceil(x)
        case Rounding.DOWN:
            return floor(x)
        case Rounding.STOCHASTIC:
            raise ValueError("stochastic rounding has no single value")


def fitted(x: int, form: Format) -> int:
    """``x`` in the width of ``form``."""
    if form.overflow is Overflow.SATURATE:
        return min(max(x, form.low), form.high)
    bits = x & ((1 << form.width) - 1)
    return bits - (1 << form.width) if bits > form.high else bits


@dataclass
class Cell:
    """The state of one neuron."""

    v: int = 0
    u: int = 0
    wait: int = 0
    h: int = 0


def at(values: Any, place: int) -> int:
    """Entry ``place`` of a parameter that may be one for all."""
    flat = np.ravel(values)
    return int(flat[0 if flat.size == 1 else place])


def step_cell(cell: Cell, neuron: IntegerNeuron, place: int, acc: int, first: bool) -> int:
    """Advance one neuron by one step; the spikes that it emits."""
    form, bits = neuron.numerics.state, neuron.numerics.decay_bits

    def decayed(x: int, factor: Any) -> int:
        return rounded(Fraction(x * at(factor, place), 1 << bits), form.rounding)

    bias = neuron.bias if neuron.bias_first is None or not first else neuron.bias_first
    x = (acc << neuron.shift) + at(bias, place)
    if neuron.curve is not None:
        return step_recovery(cell, neuron, place, x)
    if neuron.decay_u is not None:
        old = cell.u
        cell.u = fitted(decayed(cell.u, neuron.decay_u) + x, form)
        x = old if neuron.current_old else cell.u
    refractory = cell.wait > 0
    if refractory:
        cell.wait -= 1
        if neuron.refractory_frozen:
            return 0
    before = cell.v
    kept = decayed(before, neuron.decay_v)
    if neuron.leak is not None:
        goal, leak = (
            at(0 if neuron.v_leak is None else neuron.v_leak, place),
            at(neuron.leak, place),
        )
        kept = max(goal, before - leak) if before > goal else min(goal, before + leak)
    w = max(fitted(kept + x, form), at(neuron.v_min, place))
    threshold, amount = at(neuron.threshold, place) + cell.h, at(neuron.v_reset, place)
    above = neuron.reset == "two_phase" and before > threshold
    if neuron.max_spikes == 1:
        spikes = int(w > threshold + (amount if above else 0))
    else:
        each = amount if neuron.reset in ("subtract", "two_phase") else threshold
        spikes = w // each - above if each > 0 else 0
        if neuron.max_spikes is not None:
            spikes = min(spikes, neuron.max_spikes)
    if neuron.reset == "none" or refractory or spikes < 1:
        cell.v = w
        return 0
    if neuron.reset in ("zero", "value"):
        cell.v = amount
    else:
        cell.v = fitted(w - spikes * amount, form)
    cell.wait = neuron.refractory
    if neuron.adapt_inc is not None:
        cell.h = min(cell.h + at(neuron.adapt_inc, place), form.high)
    return spikes


def step_recovery(cell: Cell, neuron: IntegerNeuron, place: int, drive: int) -> int:
    """The same for a neuron with a recovery."""
    form, bits = neuron.numerics.state, neuron.numerics.decay_bits

    def product(x: int, factor: int, shift: int) -> int:
        return rounded(Fraction(x * factor, 1 << shift), form.rounding)

    v, u = cell.v, cell.u
    goal = product(v, at(neuron.couple, place), bits)
    cell.u = fitted(u + product(goal - u, at(neuron.rate, place), bits + 4), form)
    if cell.wait > 0:
        cell.wait -= 1
        return 0
    for _ in range(neuron.substeps):
        bent = at(neuron.decay_v, place) + product(v, at(neuron.curve, place), form.width)
        v = fitted(product(v, bent, bits) + drive - u, form)
    cell.v = max(v, at(neuron.v_min, place))
    if cell.v <= at(neuron.threshold, place) + cell.h:
        return 0
    cell.v = at(neuron.v_reset, place)
    cell.u = fitted(cell.u + at(neuron.jump, place), form)
    cell.wait = neuron.refractory
    if neuron.adapt_inc is not None:
        cell.h = min(cell.h + at(neuron.adapt_inc, place), form.high)
    return 1


@dataclass
class Trace:
    """Emissions and states of a run, arrays (samples, steps, neurons) on the hardware's steps."""

    emitted: dict[str, Any] = field(default_factory=dict)
    states: dict[tuple[str, str], Any] = field(default_factory=dict)
    weights: dict[str, list[Any]] = field(default_factory=dict)


def integer(population: Population) -> IntegerNeuron:
    """The neuron of a quantised population."""
    assert isinstance(population.neuron, IntegerNeuron)
    return population.neuron


def run(
    graph: Graph, stimulus: Stimulus, steps: int, learning: Sequence[bool] | None = None
) -> Trace:
    """Run ``graph`` for ``steps`` steps a sample; populations in any order that delays allow."""
    trace = Trace()
    plastic = {
        p.name: Plastic(p, graph.node(p.pre).size, graph.node(p.post).size)
        for p in graph.projections
        if p.plasticity is not None
    }
    trace.weights = {name: [] for name in plastic}
    for name, rule in plastic.items():
        for variable, size in (("x", rule.pre), ("y", rule.post), ("c", rule.post)):
            shape = (stimulus.samples, steps, size)
            trace.states[name, variable] = np.zeros(shape, np.int64)
    for population in graph.populations:
        shape = (stimulus.samples, steps, population.size)
        trace.emitted[population.name] = np.zeros(shape, np.int64)
        for variable in "vuh":
            trace.states[population.name, variable] = np.zeros(shape, np.int64)
    for sample in range(stimulus.samples):
        lines = {i.name: stimulus.inputs[i.name].dense(sample) for i in graph.inputs}
        cells = {p.name: [Cell() for _ in range(p.size)] for p in graph.populations}
        sent: dict[tuple[str, int], Any] = {}
        for rule in plastic.values():
            rule.clear()
        pending: dict[tuple[str, int], list[int]] = {}
        phase = learning is None or learning[sample]
        for step in range(steps):
            for name, dense in lines.items():
                if step < dense.shape[0]:
                    sent[name, step] = dense[step]
            waiting = list(graph.populations)
            while waiting:
                population = waiting.pop(0)
                ready = all(
                    p.pre in lines
                    or (p.pre, step - p.delay - late(graph, p.pre)) in sent
                    or p.delay + late(graph, p.pre) > step
                    for p in graph.incoming(population.name)
                )
                if not ready:
                    waiting.append(population)
                    continue
                arrived: Any = defaultdict(int)
                for p in graph.incoming(population.name):
                    if p.name in plastic:
                        total = p.delay + late(graph, p.pre)
                        hop = int(p.pre not in lines and total > 0)
                        values = sent.get((p.pre, step - hop))
                        if values is not None:
                            v = [cell.v for cell in cells[population.name]]
                            learns = phase and plastic[p.name].plasticity.learning
                            arrival = p.name, step - hop + total
                            pending[arrival] = plastic[p.name].read(values, v, learns)
                        for place, value in enumerate(pending.pop((p.name, step), [])):
                            arrived[place] += value
                        continue
                    values = sent.get((p.pre, step - p.delay - late(graph, p.pre)))
                    if values is not None:
                        for place, value in enumerate(apply(p.connection, values).tolist()):
                            arrived[place] += value
                out = np.zeros(population.size, np.int64)
                if step >= population.lag:
                    neuron = integer(population)
                    first = step == population.lag
                    for place, cell in enumerate(cells[population.name]):
                        spikes = step_cell(cell, neuron, place, arrived[place], first)
                        out[place] = cell.v if neuron.reset == "none" else spikes
                        trace.states[population.name, "v"][sample, step, place] = cell.v
                        trace.states[population.name, "u"][sample, step, place] = cell.u
                        age = step - population.lag + 1
                        if neuron.adapt_period and age % neuron.adapt_period == 0:
                            cell.h -= ceil(Fraction(cell.h, 2**neuron.adapt_shift))
                        trace.states[population.name, "h"][sample, step, place] = cell.h
                spiked = [] if integer(population).reset == "none" else np.flatnonzero(out).tolist()
                for p in graph.incoming(population.name):
                    if p.name in plastic and phase and plastic[p.name].plasticity.learning:
                        plastic[p.name].end(spiked, step < population.lag)
                sent[population.name, step] = out
                show = step + int(population.semantics.registered)
                if show < steps:
                    trace.emitted[population.name][sample, show] = out
            for name, rule in plastic.items():
                for variable, word in (("x", rule.x), ("y", rule.y), ("c", rule.calcium)):
                    trace.states[name, variable][sample, step] = word
                trace.weights[name].append(rule.weights())
        # Rows of what spiked last are read, too, though nobody takes what they transmit.
        for p in graph.projections:
            if p.name in plastic and p.pre not in lines and p.delay + late(graph, p.pre) > 0:
                v = [cell.v for cell in cells[p.post]]
                learns = phase and plastic[p.name].plasticity.learning
                plastic[p.name].read(sent[p.pre, steps - 1], v, learns)
    return trace


def late(graph: Graph, name: str) -> int:
    """1 for a registered population, whose spikes leave one step late."""
    node = graph.node(name)
    return int(isinstance(node, Population) and node.semantics.registered)
