"""Brian2 abstract code of one group, with the variables and constants that it names."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Real = npt.NDArray[np.float64]


@dataclass
class Code:
    """Brian2 abstract code of one group, with the variables and constants that it names."""

    size: int
    state: dict[str, float | str] = field(default_factory=dict)
    constants: dict[str, float] = field(default_factory=dict)
    arrays: dict[str, Real] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # variables that no sample restores

    def value(self, name: str, value: npt.ArrayLike) -> str:
        """Declare a number of the population or one of each neuron, under ``name``."""
        array = np.asarray(value, np.float64)
        if array.size and (array == array.flat[0]).all():
            self.constants[name] = float(array.flat[0])
        else:
            self.arrays[name] = array.ravel()
        return name

    def add(self, *lines: str) -> None:
        """Append lines of abstract code."""
        self.lines.extend(lines)

    @property
    def model(self) -> str:
        """The equations that declare the variables."""
        variables = [f"{name} : 1" for name in (*self.state, *self.kept)]
        return "\n".join(variables + [f"{name} : 1 (constant)" for name in self.arrays])

    @property
    def start(self) -> str:
        """The code that restores the initial state."""
        return "\n".join(f"{name} = {value}" for name, value in self.state.items())
