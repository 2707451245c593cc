"""Current sources: each is an input of the graph, whose value is the current of the step."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pyNN.parameters import ParameterSpace, Sequence
from pyNN.standardmodels import StandardCurrentSource, build_translations, electrodes

from ..ir.diagnostics import fail
from .cells import steps_of
from .simulator import ID, state
from .where import coded, here

Real = npt.NDArray[np.float64]
_WRONG = (TypeError, ValueError)


class CurrentSource(StandardCurrentSource):
    """A source, the cells it is injected into, and what it was at which step.

    Parameters may change while time passes: ``history`` has each set and the step it begins at.
    """

    # PyNN's class takes every attribute that is not one of these for a parameter.
    history: list[tuple[int, dict[str, Any]]]
    targets: list[Any]

    def __init__(self, **parameters: Any) -> None:
        name = type(self).__name__
        with coded(name, _WRONG):
            super().__init__(**parameters)
        self.history = []
        self.targets = []
        self.recording = False
        self.setups = state.setups
        self.at = here()  # from here on, see __setattr__, a source has all its attributes
        with coded(name, _WRONG):
            space = ParameterSpace(self.default_parameters, self.get_schema(), shape=(1,))
            space.update(**parameters)
            self.set_native_parameters(self.translate(space))
        state.sources.append(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        with coded(type(self).__name__):
            return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if self.has_parameter(name) or "at" not in vars(self) or name in vars(self):
            super().__setattr__(name, value)
        else:
            self.set_parameters(**{name: value})  # says which parameters there are

    def set_parameters(self, copy: bool = True, **parameters: Any) -> None:
        """Parameters from this moment on; E1002 for one that the source does not have."""
        state.check_part(f"a {type(self).__name__}", self.setups)
        with coded(type(self).__name__, _WRONG):
            super().set_parameters(copy, **parameters)

    def set_native_parameters(self, parameters: Any) -> None:
        """Parameters from this moment on, in PyNN's units."""
        parameters.evaluate(simplify=True)
        now = dict(self.history[-1][1]) if self.history else {}
        for name, value in parameters.items():
            now[name] = np.asarray(value.value) if isinstance(value, Sequence) else value
        what = type(self).__name__
        for name, value in now.items():
            endless = name == "stop"
            wrong = np.isnan(value) if endless else ~np.isfinite(value)
            if wrong.any():
                raise fail(
                    "E1002",
                    f"{name} of {what} is {np.asarray(value)[wrong].flat[0]}; it is a"
                    f"{'' if endless else ' finite'} number",
                    here(),
                )
        if "stop" in now and now["stop"] < now["start"]:
            raise fail(
                "E1002",
                f"{what} stops at {now['stop']:g} ms, before its start at {now['start']:g} ms",
                here(),
            )
        self._check(now)
        if self.history and self.history[-1][0] == state.steps:
            self.history.pop()
        self.history.append((state.steps, now))
        state.version += 1

    def forget(self) -> None:
        """At a reset: what is so now was so from the start."""
        self.history = [(0, self.history[-1][1])]

    def get_native_parameters(self) -> Any:
        """The present parameters."""
        return ParameterSpace(self.history[-1][1])

    def inject_into(self, cells: Any, location: Any = None) -> None:
        """Inject the current into cells; E1007 into a spike source."""
        if location is not None:
            raise fail("E1001", f"a current at {location!r}; cells have one compartment", here())
        state.check_part(f"a {type(self).__name__}", self.setups)
        try:
            members = list(cells)
        except TypeError as error:
            raise fail("E1007", f"a current cannot be injected into {cells!r}", here()) from error
        for cell in members:
            if not isinstance(cell, ID):
                raise fail("E1007", f"{cell!r} is no cell of spikec.pynn", here())
            state.check_part(f"'{cell.parent.label}'", cell.parent.setups)
            if not cell.celltype.injectable:
                raise fail("E1007", "a current cannot be injected into a spike source", here())
        state.touched(f"what {type(self).__name__} is injected into")
        self.targets.extend(members)

    def record(self) -> None:
        """PyNN's call: every source can be read."""
        self.recording = True

    def _check(self, parameters: dict[str, Any]) -> None:
        """Raise for parameters that make no current."""

    def _values(self, parameters: dict[str, Any], steps: npt.NDArray[np.int64]) -> Real:
        raise NotImplementedError(type(self).__name__)  # pragma: no cover - abstract

    def current(self, steps: int) -> Real:
        """The current of each step in nA, shape (steps,)."""
        found = np.zeros(steps)
        ends = [*(first for first, _ in self.history[1:]), steps]
        for (first, parameters), end in zip(self.history, ends, strict=True):
            if end > first:
                found[first:end] = self._values(parameters, np.arange(first, end))
        return found

    def _get_data(self) -> tuple[Real, Real]:
        if not state.steps:
            raise fail("E1005", f"{type(self).__name__} has no data: nothing has run", here())
        values = self.current(state.steps)
        times = np.asarray(np.arange(state.steps + 1) * state.dt, np.float64)
        return times, np.append(values, values[-1:])


def _window(parameters: dict[str, Any], steps: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    start = np.rint(parameters["start"] / state.dt)
    stop = np.rint(parameters["stop"] / state.dt)
    return np.asarray((steps >= start) & (steps < stop))


class DCSource(CurrentSource, electrodes.DCSource):
    __doc__ = electrodes.DCSource.__doc__
    translations = build_translations(
        ("amplitude", "amplitude"), ("start", "start"), ("stop", "stop")
    )

    def _values(self, parameters: dict[str, Any], steps: npt.NDArray[np.int64]) -> Real:
        return np.where(_window(parameters, steps), parameters["amplitude"], 0.0)


class StepCurrentSource(CurrentSource, electrodes.StepCurrentSource):
    __doc__ = electrodes.StepCurrentSource.__doc__
    translations = build_translations(("amplitudes", "amplitudes"), ("times", "times"))

    def _check(self, parameters: dict[str, Any]) -> None:
        times, amplitudes = parameters["times"], parameters["amplitudes"]
        if np.ndim(times) != 1 or np.ndim(amplitudes) != 1:
            raise fail("E1002", "times and amplitudes of a step current are lists", here())
        if np.size(times) != np.size(amplitudes):
            raise fail(
                "E1002",
                f"a step current has {np.size(times)} times and {np.size(amplitudes)} amplitudes",
                here(),
            )
        if np.size(times) and (np.min(times) < 0 or (np.diff(times) <= 0).any()):
            raise fail("E1002", "the times of a step current must rise from 0 or later", here())

    def _values(self, parameters: dict[str, Any], steps: npt.NDArray[np.int64]) -> Real:
        at = np.rint(np.asarray(parameters["times"], np.float64) / state.dt)
        levels = np.concatenate([[0.0], np.asarray(parameters["amplitudes"], np.float64)])
        return np.asarray(levels[np.searchsorted(at, steps, side="right")])


class ACSource(CurrentSource, electrodes.ACSource):
    __doc__ = electrodes.ACSource.__doc__
    translations = build_translations(
        *((name, name) for name in electrodes.ACSource.default_parameters)
    )

    def _values(self, parameters: dict[str, Any], steps: npt.NDArray[np.int64]) -> Real:
        since = (steps * state.dt - parameters["start"]) * 1e-3
        phase = 2 * np.pi * (parameters["frequency"] * since + parameters["phase"] / 360)
        wave = parameters["offset"] + parameters["amplitude"] * np.sin(phase)
        return np.where(_window(parameters, steps), wave, 0.0)


class NoisyCurrentSource(CurrentSource, electrodes.NoisyCurrentSource):
    __doc__ = electrodes.NoisyCurrentSource.__doc__
    translations = build_translations(
        *((name, name) for name in electrodes.NoisyCurrentSource.default_parameters)
    )
    _STREAM: ClassVar[int] = 0x6E

    def _check(self, parameters: dict[str, Any]) -> None:
        if parameters["stdev"] < 0:
            raise fail(
                "E1002",
                f"stdev of NoisyCurrentSource is {parameters['stdev']:g} nA; it must be 0 or more",
                here(),
            )
        if steps_of(parameters["dt"], state.dt) < 1:
            raise fail(
                "E1002",
                f"the noise changes every {parameters['dt']:g} ms, but a step is {state.dt:g} ms",
                here(),
            )

    def _values(self, parameters: dict[str, Any], steps: npt.NDArray[np.int64]) -> Real:
        held = int(steps_of(parameters["dt"], state.dt))
        start = int(np.rint(parameters["start"] / state.dt))
        place = np.maximum(steps - start, 0) // held
        # One stream a source: a longer run begins as a shorter one.
        stream = (state.seed, self._STREAM, state.sources.index(self), state.segment_counter)
        draws = np.random.default_rng(stream).standard_normal(int(place.max(initial=0)) + 1)
        noise = parameters["mean"] + parameters["stdev"] * draws[place]
        return np.where(_window(parameters, steps), noise, 0.0)
