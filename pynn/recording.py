"""What a script records, out of the run of its network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pyNN import errors, recording

from ..ir.diagnostics import fail
from . import simulator
from .simulator import state
from .where import coded, here, number


class Recorder(recording.Recorder):
    """The recorded cells of one population.

    Data begin at ``first``, the step of the last ``get_data(clear=True)``.
    """

    _simulator = simulator

    sampling_interval: float

    def __init__(self, population: Any = None, file: Any = None) -> None:
        super().__init__(population, file)
        self.first = 0

    def record(
        self, variables: Any, ids: Any, sampling_interval: Any = None, locations: Any = None
    ) -> None:
        """Record ``variables`` of ``ids`` from now on; E1005 for one that they do not have."""
        self._check_part()
        label = self.population.label
        if locations is not None:
            raise fail("E1001", f"'{label}' at {locations!r}; cells have one compartment", here())
        every = number(sampling_interval) / state.dt
        if sampling_interval is not None and not (
            every > 0.999 and np.isfinite(every) and abs(every - round(every)) <= 1e-6
        ):
            raise fail(
                "E1005",
                f"'{label}' is recorded every {sampling_interval} ms, which is no whole number of "
                f"steps of {state.dt:g} ms",
                here(),
            )
        with coded(f"'{label}'", (TypeError, ValueError), "E1005"):
            super().record(variables, ids, sampling_interval)

    def _check_part(self) -> None:
        state.check_part(f"'{self.population.label}'", self.population.setups)

    def _record(self, variable: Any, new_ids: Any, sampling_interval: float | None = None) -> None:
        if sampling_interval is not None:
            self.sampling_interval = sampling_interval
        state.version += 1

    def get(self, variables: Any, *rest: Any, **named: Any) -> Any:
        """What was recorded, as a Neo block; E1005 where nothing has run yet."""
        self._check_part()
        with coded(f"'{self.population.label}'", (TypeError,), "E1005"):
            names = [] if variables == "all" else self._localize_variables(variables, None)
            for variable in names:
                if not self.population.can_record(variable.name):
                    raise errors.RecordingError(variable, self.population.celltype)
        if not state.running and next(iter(self.cache), None) is None:
            raise fail(
                "E1005",
                f"'{self.population.label}' has no data: nothing has run",
                here(),
                "call run() first",
            )
        return super().get(variables, *rest, **named)

    def write(self, variables: Any, file: Any = None, *rest: Any, **named: Any) -> Any:
        """Write what was recorded to a file; E1005 for a kind of file that Neo cannot write."""
        with coded(f"'{self.population.label}' to {file!r}", (Exception,), "E1005"):
            return super().write(variables, file, *rest, **named)

    def _clear_simulator(self) -> None:
        self.first = state.steps

    def _reset(self) -> None:
        state.version += 1

    def store_to_cache(self, annotations: Any = None) -> None:
        """Keep the segment that a reset ends."""
        super().store_to_cache(annotations)
        self.first = 0

    def _places(self, ids: Any) -> npt.NDArray[np.int64]:
        places: npt.NDArray[np.int64] = self.population.id_to_index(np.fromiter(ids, np.int64))
        return places

    def _spikes(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        from .execute import results

        step, cell = results().spikes(self.population)
        keep = step >= self.first
        return step[keep], cell[keep]

    def _get_spiketimes(
        self, ids: Any, clear: bool = False
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        step, cell = self._spikes()
        keep = np.isin(cell, self._places(ids)) if len(ids) else np.zeros(cell.size, bool)
        return cell[keep] + int(self.population.first_id), step[keep] * state.dt

    def _get_all_signals(
        self, variable: Any, ids: Any, clear: bool = False
    ) -> tuple[npt.NDArray[np.float64], None]:
        from .execute import results

        places = self._places(ids)
        values = results().trace(self.population, variable.name, places)
        every = round(self.sampling_interval / state.dt)
        return values[self.first :: every], None

    def _local_count(self, variable: Any, filter_ids: Any = None) -> dict[int, int]:
        ids = sorted(self.filter_recorded(variable, filter_ids))
        if not ids:  # nobody has asked for spikes, so that none are kept
            return {}
        _, cell = self._spikes()
        counts = np.bincount(cell, minlength=self.population.size)
        return {int(id_): int(counts[self.population.id_to_index(id_)]) for id_ in ids}
