"""The step of ``ir.semantics.Semantics`` in float64, population by population."""

from __future__ import annotations

from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any

import numpy as np

from spikec.compiler.connectivity import apply
from spikec.ir.events import Stimulus
from spikec.ir.graph import Graph, Population
from spikec.ir.neurons import Relay, Threshold
from spikec.ir.semantics import Comparison, Current, Reset
from spikec.ir.step import step_parameters


@dataclass
class FloatRun:
    """Arrays (samples, steps, neurons): emissions, v, and how far v was from the level."""

    emitted: dict[str, Any] = field(default_factory=dict)
    v: dict[str, Any] = field(default_factory=dict)
    margin: dict[str, Any] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)


def late(graph: Graph, name: str) -> int:
    node = graph.node(name)
    return int(isinstance(node, Population) and node.semantics.registered)


def run(graph: Graph, stimulus: Stimulus) -> FloatRun:
    samples, steps = stimulus.samples, stimulus.steps
    result = FloatRun()
    before: dict[str, set[str]] = {p.name: set() for p in graph.populations}
    for edge in graph.projections:
        if edge.pre in before and edge.delay + late(graph, edge.pre) == 0:
            before[edge.post].add(edge.pre)
    result.order = list(TopologicalSorter(before).static_order())
    sent = {
        name: np.stack([e.dense(s) for s in range(samples)]) for name, e in stimulus.inputs.items()
    }
    state: dict[str, Any] = {}
    for p in graph.populations:
        shape = (samples, steps, p.size)
        sent[p.name] = np.zeros(shape)
        result.v[p.name], result.margin[p.name] = np.zeros(shape), np.full(shape, np.inf)
        zero = np.zeros((samples, p.size))
        state[p.name] = [zero + p.semantics.v_init, zero, zero.astype(int)]
    for step in range(steps):
        for name in result.order:
            p = graph.population(name)
            drive = np.zeros((samples, p.size))
            for edge in graph.incoming(name):
                at = step - edge.delay - late(graph, edge.pre)
                if at >= 0:
                    drive = drive + apply(edge.connection, sent[edge.pre][:, at])
                absent = edge.recurrent and not p.semantics.recurrent_bias_first and step == 0
                if edge.bias is not None and not absent:
                    drive = drive + np.ravel(edge.bias)
            z, v, margin, state[name] = advance(p, drive, state[name], graph.dt)
            sent[name][:, step], result.v[name][:, step] = z, v
            result.margin[name][:, step] = margin
    for p in graph.populations:
        shown = np.zeros_like(sent[p.name])
        shown[:, late(graph, p.name) :] = sent[p.name][:, : steps - late(graph, p.name)]
        result.emitted[p.name] = shown
    return result


def advance(p: Population, drive: Any, state: Any, dt: float) -> Any:
    """One step: emission, v, distance to the level, new state."""
    rules, step = p.semantics, step_parameters(p.neuron, p.semantics, dt)
    v, u, wait = state
    b, gain, drift = (np.ravel(x) for x in (step.decay_v, step.gain_v, step.drift))
    x = gain * drive
    if step.decay_u is not None and step.gain_u is not None:
        old, u = u, np.ravel(step.decay_u) * u + np.ravel(step.gain_u) * drive
        x = gain * (old if rules.current is Current.OLD else u)
    kept = b * v + drift
    if step.leak is not None and step.v_leak is not None:
        goal, leak = np.ravel(step.v_leak), np.ravel(step.leak)
        kept = np.where(v > goal, np.maximum(goal, v - leak), np.minimum(goal, v + leak))
    w = kept + x
    if rules.v_min is not None and not isinstance(p.neuron, Threshold | Relay):
        w = np.maximum(w, rules.v_min)
    if step.threshold is None:
        return w, w, np.inf, (w, u, wait)
    threshold = np.ravel(step.threshold)

    def above(values: Any, level: Any) -> Any:
        return values > level if rules.comparison is Comparison.GREATER else values >= level

    level = threshold + np.zeros_like(w)
    if rules.reset is Reset.TWO_PHASE:
        level = np.where(above(v, threshold), 2 * threshold, level)
    rest = wait > 0
    z = above(w, level).astype(float)
    if rules.max_spikes != 1 and not isinstance(p.neuron, Threshold):
        most = np.inf if rules.max_spikes is None else rules.max_spikes
        z = np.clip(np.floor(w / threshold) - (level > threshold), 0, most)
        # The nearest count at which one spike more or less would be emitted.
        level = np.maximum(np.rint(w / threshold), 1) * threshold
    z = np.where(rest, 0.0, z)
    spike = z > 0
    if rules.reset in (Reset.SUBTRACT, Reset.TWO_PHASE):
        after = w - z * threshold
    else:
        assert step.v_reset is not None
        after = np.where(spike, np.ravel(step.v_reset), w)
    frozen = rest & rules.refractory_frozen
    new = np.where(frozen, v, after)
    margin = np.where(rest, np.inf, np.abs(w - level))
    wait = np.where(spike, rules.refractory, np.maximum(wait - 1, 0))
    return z, new, margin, (new, u, wait)
