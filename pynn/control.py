"""Setting up, running and ending a script."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from pyNN import common
from pyNN.recording import get_io

from ..compiler.passes.quantise import Quantise
from ..ir.diagnostics import fail
from . import simulator
from .simulator import state
from .where import here


def setup(
    timestep: float = 0.1,
    min_delay: float | str = "auto",
    *,
    rung: str = "golden",
    dialect: str = "brian2",
    seed: int = 1,
    **extra_params: Any,
) -> int:
    """Begin a script; forgets any network before.

    ``timestep`` and ``min_delay`` are in ms. ``rung`` runs the network: ``golden`` in float64,
    ``integer`` as it is after quantising, with fields of `Quantise` among ``extra_params``
    (``weight_bits=8``), ``s1615`` in the arithmetic of SpiNNaker. ``dialect`` says how a step
    works: ``brian2`` as pyNN.brian2 takes it, ``spinnaker`` as SpiNNaker does. ``seed`` is that of
    Poisson and noise sources. E1002 for a step that is not positive, or for what there is not.
    """
    step: Any = timestep
    if isinstance(step, str) or not step > 0:
        raise fail("E1002", f"timestep is {timestep!r} ms; it must be positive", here())
    known = {f.name for f in fields(Quantise)}
    options = {name: extra_params.pop(name) for name in known & extra_params.keys()}
    if options and rung != "integer":
        raise fail("E1002", f"{min(options)} is an option of the rung integer", here())
    try:
        common.setup(timestep, min_delay, **extra_params)
    except Exception as error:  # PyNN raises nothing more specific
        raise fail("E1002", f"setup(): {error}", here()) from error
    state.clear()
    state.dt = float(timestep)
    state.min_delay = min_delay
    state.max_delay = extra_params.get("max_delay", "auto")
    state.configure(rung, dialect, seed, options)
    return int(rank())


def end(compatible_output: bool = True) -> None:
    """Write what the script recorded to files."""
    for population, variables, filename in state.write_on_end:
        population.write_data(get_io(filename), variables)
    state.write_on_end = []


_run, _run_until = common.build_run(simulator)


def run(simtime: float, callbacks: Any = None) -> float:
    """Let ``simtime`` ms pass; ``callbacks`` are called as PyNN says. Returns the time."""
    _check_future(state.t + simtime)
    return float(_run(simtime, callbacks))


def run_until(time_point: float, callbacks: Any = None) -> float:
    """Let time pass until ``time_point`` ms; E1002 for one that is past. Returns the time."""
    _check_future(time_point)
    return float(_run_until(time_point, callbacks))


run_for = run


def _check_future(time_point: float) -> None:
    if not time_point >= state.t - state.dt / 2:
        raise fail(
            "E1002", f"a run until {time_point:g} ms, but the script is at {state.t:g} ms", here()
        )


_reset = common.build_reset(simulator)


def reset(annotations: Any = None) -> None:
    """Back to time zero, in a new segment: states and plastic weights as they were at first."""
    _reset({} if annotations is None else annotations)
    for population in state.populations:
        population.forget()
    for source in state.sources:
        source.forget()


initialize = common.initialize


def get_min_delay() -> float:
    """The min_delay of `setup`; where it is ``auto``, the shortest delay there is, in ms."""
    if state.min_delay != "auto":
        return float(state.min_delay)
    steps = [np.min(each.attributes["delay"]) for each in state.projections if len(each)]
    return float(min(steps, default=1)) * state.dt


(
    get_current_time,
    get_time_step,
    _get_min_delay,
    get_max_delay,
    num_processes,
    rank,
) = common.build_state_queries(simulator)
