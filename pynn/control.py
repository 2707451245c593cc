"""Setting up, running and ending a script."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

import numpy as np
from pyNN import common

from ..compiler.passes.quantise import Quantise
from ..ir.diagnostics import SpikecError, fail
from . import simulator
from .simulator import state
from .where import here, number


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
    step = number(timestep)
    if not 0 < step < np.inf:
        raise fail("E1002", f"timestep is {timestep!r} ms; it must be positive", here())
    known = {f.name for f in fields(Quantise)}
    longest = extra_params.get("max_delay", "auto")
    for name, delay in (("min_delay", min_delay), ("max_delay", longest)):
        if delay != "auto" and not number(delay) > 0:
            raise fail("E1002", f"{name} is {delay!r} ms; it must be positive", here())
    if longest != "auto" and number(longest) < step:
        raise fail(
            "E1002",
            f"max_delay is {longest!r} ms, below the step of {step:g} ms",
            here(),
            "a spike takes at least one step",
        )
    begin: Any = seed
    if not isinstance(begin, int | np.integer) or begin < 0:
        raise fail("E1002", f"seed is {begin!r}; it is an integer of 0 or more", here())
    options = {name: extra_params.pop(name) for name in known & extra_params.keys()}
    ours = ("rung", "dialect", "seed", *sorted(known))
    for name in extra_params:  # those of other simulators mean nothing here, and are no mistake
        if close := get_close_matches(name, ours, n=1, cutoff=0.8):
            raise fail(
                "E1002", f"setup() has no option '{name}'", here(), f"did you mean {close[0]}?"
            )
    if options and rung != "integer":
        raise fail("E1002", f"{min(options)} is an option of the rung integer", here())
    try:
        Quantise(**options).check()
    except SpikecError as error:
        raise fail("E1002", error.diagnostics[0].message, here()) from error
    except TypeError as error:
        raise fail("E1002", f"setup(): {error}", here()) from error
    try:
        common.setup(timestep, min_delay, **extra_params)
    except Exception as error:  # PyNN raises nothing more specific
        raise fail("E1002", f"setup(): {error}", here()) from error
    state.clear()
    state.dt = float(timestep)
    state.min_delay = min_delay
    state.max_delay = longest
    state.configure(rung, dialect, seed, options)
    return int(rank())


def end(compatible_output: bool = True) -> None:
    """Write what the script recorded to files."""
    for population, variables, filename in state.write_on_end:
        population.write_data(filename, variables)
    state.write_on_end = []


_run, _run_until = common.build_run(simulator)


def run(simtime: float, callbacks: Any = None) -> float:
    """Let ``simtime`` ms pass; ``callbacks`` are called as PyNN says. Returns the time."""
    _check_future(state.t + number(simtime), simtime)
    return float(_run(simtime, _checked(callbacks)))


def run_until(time_point: float, callbacks: Any = None) -> float:
    """Let time pass until ``time_point`` ms; E1002 for one that is past. Returns the time."""
    _check_future(number(time_point), time_point)
    return float(_run_until(time_point, _checked(callbacks)))


run_for = run


def _checked(callbacks: Any) -> list[Callable[[float], float]] | None:
    """Callbacks that say E1002 where one does not return a later time: a run would never end."""
    if callbacks is None:
        return None
    if not isinstance(callbacks, Iterable) or not all(map(callable, each := list(callbacks))):
        raise fail("E1002", f"callbacks are {callbacks!r}; they are a list of functions", here())
    line = here()

    def checked(callback: Callable[[float], Any]) -> Callable[[float], float]:
        def call(now: float) -> float:
            following = callback(now)
            if not number(following) > now + state.dt / 2:
                raise fail(
                    "E1002",
                    f"a callback at {now:g} ms returned {following!r}; it returns the time of its "
                    "next call in ms, a step later or more",
                    line,
                    "return the time that it was given plus an interval",
                )
            return float(following)

        return call

    return [checked(callback) for callback in each]


def _check_future(time_point: float, given: Any) -> None:
    if not np.isfinite(time_point):
        raise fail("E1002", f"a run of {given!r} ms; it is a finite number of ms", here())
    if time_point / state.dt > np.iinfo(np.int32).max:
        raise fail(
            "E1002",
            f"a run until {time_point:g} ms, {time_point / state.dt:.3g} steps of {state.dt:g} ms; "
            f"{np.iinfo(np.int32).max} is the most",
            here(),
        )
    if not time_point >= state.t - state.dt / 2:
        raise fail(
            "E1002", f"a run until {time_point:g} ms, but the script is at {state.t:g} ms", here()
        )


_reset = common.build_reset(simulator)


def reset(annotations: Any = None) -> None:
    """Back to time zero, in a new segment: states and plastic weights as they were at first."""
    if not isinstance(annotations, dict | None):
        raise fail("E1002", f"annotations of a reset are {annotations!r}, no dict", here())
    _reset({} if annotations is None else annotations)
    for population in state.populations:
        population.forget()
    for source in state.sources:
        source.forget()


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
