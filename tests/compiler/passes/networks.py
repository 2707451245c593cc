"""Random real-valued networks, and short ways to run them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from spikec.boards.board import Target
from spikec.boards.features import Features
from spikec.compiler.integer.executor import Executor
from spikec.compiler.passes.quantise import Quantise, quantise
from spikec.ir.connections import Connection, Dense
from spikec.ir.diagnostics import Diagnostics
from spikec.ir.events import Events, Recording, Stimulus
from spikec.ir.graph import Graph, Input, Output, Population, Projection
from spikec.ir.neurons import IF, LIF, CubaLIF, Neuron
from spikec.ir.semantics import Comparison, Current, Decay, Gain, Reset, Semantics

Array = npt.NDArray[np.float64]
DT = 1e-3


def real(x: object) -> Array:
    return np.asarray(x, np.float64)


def target(**features: object) -> Target:
    """A target without limits but with these rules."""
    return replace(Target.unlimited(), features=Features(**features))  # type: ignore[arg-type]


def semantics(rng: np.random.Generator, **fixed: object) -> Semantics:
    """Any rules that every integer population can have exactly."""
    drawn: dict[str, Any] = {
        "decay": rng.choice(list(Decay)),
        # A jump of r or w_in a spike wants weights of another size: see test_points.
        "gain": rng.choice([gain for gain in Gain if gain is not Gain.PROPAGATED]),
        "comparison": rng.choice(list(Comparison)),
        "reset": rng.choice(list(Reset)),
        "v_min": -0.5 if rng.random() < 0.3 else None,
        "refractory": int(rng.integers(0, 3)),
        "refractory_frozen": bool(rng.integers(2)),
        "registered": rng.random() < 0.3,
        "recurrent_bias_first": bool(rng.integers(2)),
    }
    drawn |= fixed
    for name, kind in (("decay", Decay), ("gain", Gain), ("reset", Reset)):
        drawn[name] = kind(drawn[name])
    drawn["comparison"] = Comparison(drawn["comparison"])
    return Semantics(**drawn)


def model(rng: np.random.Generator, size: int) -> tuple[Neuron, dict[str, object]]:
    """A spiking model of ``size`` neurons, and semantics that suit it."""

    def each(low: float, high: float) -> Array:
        return real(rng.uniform(low, high, size if rng.random() < 0.4 else None))

    kind = rng.choice(["IF", "LIF", "CubaLIF"])
    v_leak = each(-0.1, 0.1) if rng.random() < 0.5 else real(0.0)
    v_reset = each(-0.2, 0.2)
    start: dict[str, object] = {"v_init": float(rng.uniform(-0.4, 0.4))}
    if kind == "IF":
        return IF(each(0.5, 2.0), each(0.5, 1.5), v_reset), start
    if kind == "LIF":
        neuron: Neuron = LIF(each(5e-3, 5e-2), each(2.0, 9.0), v_leak, each(0.5, 1.5), v_reset)
        return neuron, start
    cuba = CubaLIF(
        each(2e-3, 2e-2),
        each(5e-3, 5e-2),
        each(3.0, 9.0),
        v_leak,
        each(3.0, 9.0),
        each(0.5, 1.5),
        v_reset,
    )
    old = not v_leak.any() and bool(rng.integers(2))
    return cuba, {"current": Current.OLD if old else Current.NEW}


def network(
    rng: np.random.Generator, count: int, edges: int, inputs: int = 3, loops: bool = True
) -> Graph:
    """``count`` populations with ``edges`` projections among them, some in loops."""
    sizes = [int(n) for n in rng.integers(1, 5, count)]
    populations = []
    for k, size in enumerate(sizes):
        neuron, suits = model(rng, size)
        populations.append(Population(f"p{k}", (size,), neuron, semantics(rng, **suits)))
    projections = [
        Projection(f"in{k}", "in", f"p{k}", Dense(rng.normal(0.3, 0.6, (sizes[k], inputs))))
        for k in range(count)
        if k == 0 or rng.random() < 0.4
    ]
    for edge in range(edges):
        pre, post = (int(n) for n in rng.integers(0, count, 2))
        forward = pre < post
        if not forward and not loops:
            continue
        projections.append(
            Projection(
                f"e{edge}",
                f"p{pre}",
                f"p{post}",
                Dense(rng.normal(0.1, 0.8, (sizes[post], sizes[pre]))),
                int(rng.integers(0, 3)) if forward else int(rng.integers(1, 4)),
                real(rng.uniform(-0.1, 0.2, sizes[post])) if rng.random() < 0.4 else None,
                recurrent=not forward,
            )
        )
    return Graph(
        "random",
        DT,
        (Input("in", (inputs,)),),
        tuple(populations),
        tuple(projections),
        tuple(Output(f"o{k}", f"p{k}") for k in range(count)),
    )


def feed(
    neuron: Neuron,
    rules: Semantics | None = None,
    connection: Connection | None = None,
    bias: object = None,
    size: int = 1,
) -> Graph:
    """One population behind one projection."""
    joined = Dense(real([[1.0]])) if connection is None else connection
    return Graph(
        "feed",
        DT,
        (Input("in", joined.in_shape),),
        (Population("p", (size,), neuron, rules or Semantics()),),
        (Projection("e", "in", "p", joined, bias=None if bias is None else real(bias)),),
        (Output("out", "p"),),
    )


def counts(dense: object) -> Stimulus:
    """The stimulus of input ``in`` from an array (samples, steps, lines)."""
    return Stimulus({"in": Events.from_dense(np.asarray(dense))})


def every_state(graph: Graph) -> list[tuple[str, str]]:
    return [(p.name, name) for p in graph.populations for name in ("v", "u")]


def integer_run(graph: Graph, stimulus: Stimulus, options: Quantise) -> tuple[Graph, Recording]:
    """Quantise a legal graph and run it with every state recorded."""
    quantised = quantise(graph, options, Diagnostics())
    return quantised, Executor(quantised).run(stimulus, record=every_state(graph))
