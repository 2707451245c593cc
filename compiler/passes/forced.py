r"""How far a population is from what it should do, given the spikes it should have had.

A network is run once at 16-bit weights and 40-bit states. Then a population in other numbers gets
the spikes that its sources sent there, whatever it does itself, and its error is

.. math:: \frac{\sum_{w,n} |N_{wn} - N^*_{wn}|}{\sum_{w,n} N^*_{wn}},

N being the spikes of neuron n in window w, N* those it should send: the mean of that in windows of
8 steps and in whole samples. Forced like that, populations are judged one by one, and an early
error does not hide the later ones. In windows a spike a few steps off counts little; step by step
it would count twice, and silence only once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from ...boards.board import Target
from ...ir.diagnostics import Diagnostics
from ...ir.events import Events, Recording, Stimulus
from ...ir.graph import Graph, Input, Output, Population, Projection
from ...ir.loihi import STATE_LIMIT
from ..integer.executor import Executor
from .quantise import REFERENCE

Real = npt.NDArray[np.float64]

_SAMPLES: Final = 16  # of a stimulus, its first
_WINDOW: Final = 8  # steps


class Forced:
    """What every node of a legal real network sends on ``stimulus``, of its first 16 samples."""

    def __init__(self, graph: Graph, stimulus: Stimulus) -> None:
        precise = REFERENCE.run(graph, Target.unlimited(), Diagnostics())
        given = stimulus.take(_SAMPLES)
        names = [p.name for p in graph.populations]
        self._lags = {p.name: p.lag for p in graph.populations}
        self._dt, self._steps, self._samples = graph.dt, given.steps, given.samples
        self._sent = {**given.inputs, **Executor(precise).run(given, populations=names).spikes}

    def rates(self, node: str, size: int) -> Real:
        """Spikes a step of every neuron of a node; one of a node that the network does not have."""
        if node not in self._sent:
            return np.ones(size)
        events = self._sent[node]
        total = np.bincount(events.index, events.value, minlength=size)
        return np.asarray(total / max(1, self._samples * self._steps))

    def error(
        self,
        population: Population,
        incoming: Iterable[Projection],
        added: Mapping[str, Population],
    ) -> float:
        """The error of ``population`` with these projections; ``added`` are sources of its own."""
        found = self._run(population, incoming, added).spikes[population.name]
        sent, errors = self._sent[population.name], []
        for length in (_WINDOW, self._steps):
            expected = self._windows(sent, length)
            differ = np.abs(self._windows(found, length) - expected)
            errors.append(differ.sum() / max(1, expected.sum()))
        return float(np.mean(errors))

    def saturated(
        self,
        population: Population,
        incoming: Iterable[Projection],
        added: Mapping[str, Population],
    ) -> float:
        """The share of its neurons and steps in which v is as far as it can be, either way."""
        key = population.name, "v"
        v = self._run(population, incoming, added, [key]).states[key]
        return float(np.mean(np.abs(v) >= STATE_LIMIT))

    def _run(
        self,
        population: Population,
        incoming: Iterable[Projection],
        added: Mapping[str, Population],
        record: Sequence[tuple[str, str]] = (),
    ) -> Recording:
        length = self._steps + max(self._lags.values(), default=0)
        inputs: dict[str, Events] = {}
        projections, sources = [], {}
        for p in incoming:
            if p.pre in added:
                sources[p.pre] = added[p.pre]
                projections.append(p)
                continue
            # Its own spikes, too, are those that it should have sent.
            line, lag, sent = f"{p.pre} forced", self._lags.get(p.pre, 0), self._sent[p.pre]
            inputs[line] = replace(sent, steps=length, step=sent.step + np.int32(lag))
            projections.append(replace(p, pre=line))
        sizes = {p.pre: p.connection.in_shape for p in projections}
        graph = Graph(
            population.name,
            self._dt,
            tuple(Input(name, sizes[name]) for name in inputs),
            (*sources.values(), population),
            tuple(projections),
            (Output("out", population.name),),
        )
        stimulus = Stimulus(inputs) if inputs else Stimulus({}, (self._samples, length))
        return Executor(graph).run(stimulus, record=record)

    def _windows(self, events: Events, length: int) -> npt.NDArray[np.int64]:
        """The spikes of every neuron in every window of ``length`` steps, flat."""
        windows = -(-self._steps // length)
        kept = events.step < self._steps
        sample, step, index, value = (
            a[kept].astype(np.int64)
            for a in (events.sample, events.step, events.index, events.value)
        )
        place = (sample * windows + step // length) * events.size + index
        size = self._samples * windows * events.size
        return np.bincount(place, value, minlength=size).astype(np.int64)
