"""One point, evaluated: the network is compiled with these options and run on the stimulus.

A worker is given bytes (`Job`) and the options of a point. Nothing in them is executed.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...boards.board import Target
from ...ir.connections import Connection, Delay, Sparse, chain, stages
from ...ir.diagnostics import Diagnostic, Diagnostics, SpikecError, fail
from ...ir.graph import Graph, Projection
from ...ir.numerics import Rounding
from ...ir.text import digest, parse, text
from ..backend import find_target
from ..compile import compile_graph
from ..integer.executor import Executor
from ..passes.base import run_pipeline
from ..passes.legalise import Legalise
from ..passes.quantise import REFERENCE, Quantise
from ..stimulus import LabelledStimulus, stimulus_bytes, stimulus_of
from .measure import Counts, Task, count, run_task
from .point import Evaluation, Point, Result, Value, first_error

_QUANTISE = ("weight_bits", "state_bits", "decay_bits", "scale", "clip", "input_max", "seed")
_BACKEND = ("cores", "lanes", "units", "core", "effort", "start")
# Compilations that are kept: each has its network and its mapping.
_KEPT = 16
# What changes no compilation, only what is made of its counts.
_AFTERWARDS = ("clock", "noc_width")


@dataclass(frozen=True)
class Job:
    """A network in its canonical text, and a stimulus as ``.npz``."""

    network: bytes
    stimulus: bytes

    @staticmethod
    def of(graph: Graph, labelled: LabelledStimulus) -> Job:
        """The job of a graph and a stimulus."""
        return Job(text(graph).encode(), stimulus_bytes(labelled))

    @property
    def network_digest(self) -> str:
        """SHA-256 of the network's text."""
        return hashlib.sha256(self.network).hexdigest()

    @property
    def digest(self) -> str:
        """SHA-256 of network and stimulus."""
        return hashlib.sha256(self.network + b"\0" + self.stimulus).hexdigest()

    def evaluator(self) -> Evaluator:
        """What evaluates points of this job."""
        return Evaluator(self)


def compile_key(point: Point) -> tuple[tuple[str, Value], ...]:
    """What a compilation depends on: points with the same key are compiled once."""
    return tuple((n, v) for n, v in point.values if n not in _AFTERWARDS)


def longest_delay(graph: Graph) -> int:
    """The longest delay of any projection, in steps."""
    return max((_delay(p) for p in graph.projections), default=0)


def _delay(projection: Projection) -> int:
    return projection.delay + sum(map(_longest, stages(projection.connection)))


def _longest(stage: Connection) -> int:
    steps = stage.steps if isinstance(stage, Delay | Sparse) else None
    return 0 if steps is None else int(steps.max(initial=0))


def cap_delays(graph: Graph, cap: int) -> Graph:
    """The graph with no delay beyond ``cap`` steps; what is longer becomes ``cap``."""

    def capped(projection: Projection) -> Projection:
        if _delay(projection) <= cap:
            return projection
        left = max(cap - projection.delay, 0)
        parts = []
        for stage in stages(projection.connection):
            if isinstance(stage, Delay | Sparse) and stage.steps is not None:
                shorter = np.minimum(stage.steps, left)
                stage = replace(stage, steps=shorter)  # type: ignore[arg-type]  # a union of two
                left -= _longest(stage)
            parts.append(stage)
        whole = chain(tuple(parts), projection.connection.in_shape)
        return replace(projection, delay=min(projection.delay, cap), connection=whole)

    return replace(graph, projections=tuple(map(capped, graph.projections)))


class Evaluator(Evaluation):
    """Evaluates points of one job, and remembers what points have in common."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self._counts: OrderedDict[tuple[tuple[str, Value], ...], Counts | Diagnostic] = (
            OrderedDict()
        )
        self._tasks: dict[str, Task] = {}
        self.graph = parse(job.network.decode(), "network.spk")
        self.labelled = stimulus_of(job.stimulus, self.graph)
        self._winners: Any = None

    def evaluate(self, point: Point) -> Result:
        """Compiled and run, unless its compilation is known."""
        said = point.as_dict()
        _, target = find_target(str(said["target"]))
        clock = _clock(target, said.get("clock"))
        counts = self._counted(compile_key(point), target)
        if isinstance(counts, Diagnostic):
            return Result(point, (), counts.code, counts.message)
        width = said.get("noc_width")
        measured = counts.measured(clock, None if width is None else int(width))
        values = measured.as_dict().items()
        return Result(point, tuple((k, None if v is None else float(v)) for k, v in values))

    def _counted(self, key: tuple[tuple[str, Value], ...], target: Target) -> Counts | Diagnostic:
        if key in self._counts:
            self._counts.move_to_end(key)
        else:
            try:
                self._counts[key] = self._compile(dict(key), target)
            except SpikecError as error:
                if error.exit_code == 3:
                    raise
                self._counts[key] = first_error(error)
            if len(self._counts) > _KEPT:
                self._counts.popitem(last=False)
        return self._counts[key]

    def _compile(self, said: Mapping[str, Value], target: Target) -> Counts:
        backend, _ = find_target(str(said["target"]))
        graph = self.graph
        if "delay_cap" in said:
            graph = cap_delays(graph, int(said["delay_cap"]))
        fields: dict[str, Any] = {name: said[name] for name in _QUANTISE if name in said}
        if "rounding" in said:
            fields["rounding"] = fields["weight_rounding"] = Rounding(str(said["rounding"]))
        quantise = Quantise(**fields)
        quantise.check()
        options: dict[str, Any] = {name: said[name] for name in _BACKEND if name in said}
        if "activity" in said:
            options["activity"] = float(said["activity"]) / 100
        # Placing and routing takes minutes a point and is left to the one that is built.
        options["bitstream"] = False
        stimulus = self.labelled.stimulus
        compilation = compile_graph(
            graph,
            backend,
            target,
            quantise,
            options,
            calibration=stimulus if target.kind == "chip" else None,
        )
        name = digest(compilation.quantised)
        if name not in self._tasks:
            winners = None if self.labelled.labels is not None else self._reference()
            self._tasks[name] = run_task(compilation.quantised, self.labelled, winners)
        return count(compilation, target, self._tasks[name], stimulus)

    def _reference(self) -> Any:
        """The winner of each sample at 16-bit weights: what is right where there are no labels."""
        if self._winners is None:
            precise = run_pipeline(
                [Legalise(), REFERENCE], self.graph, Target.unlimited(), Diagnostics()
            )
            source = precise.outputs[0].source
            events = Executor(precise).run(self.labelled.stimulus, populations=[source])
            spikes = events.spikes[source]
            self._winners = np.array(
                [int(spikes.dense(k).sum(axis=0).argmax()) for k in range(spikes.samples)]
            )
        return self._winners


def _clock(target: Target, megahertz: Value | None) -> float | None:
    """The clock in hertz; E0305 unless the board offers it."""
    if megahertz is None:
        return None
    hertz = float(megahertz) * 1e6
    if not any(abs(hertz - one) < 1.0 for one in target.clocks):
        offered = ", ".join(f"{one / 1e6:g}" for one in target.clocks)
        raise fail(
            "E0305", f"{target.name} has no clock of {megahertz:g} MHz; it offers {offered} MHz"
        )
    return hertz
