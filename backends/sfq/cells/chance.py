r"""The synapse that passes a pulse by chance: its law, and the bias that gives a probability.

Thermal noise decides at a pair of junctions whether a pulse passes. With the current :math:`I_b`
at the node between them it does so with

.. math:: p = \Phi\left(\frac{I_b - I_{50}}{\sigma}\right), \qquad
    I_b = I_{50} + \sigma\, \Phi^{-1}(p),

:math:`\Phi` the normal distribution, each pulse by itself. ``cells/release.json`` has what
``release`` found of the cell between JTLs, at its nominal bias and the temperature of the process.

On a chip elements are off, which moves :math:`I_b - I_{50}` of each synapse by what has a standard
deviation s. Of all synapses that were to release with p, 95 % do so with a probability from

.. math:: \Phi\left(\Phi^{-1}(p) - 1.96\, s / \sigma\right)
    \quad\text{to}\quad \Phi\left(\Phi^{-1}(p) + 1.96\, s / \sigma\right).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtr, ndtri

from ....ir.diagnostics import fail
from ....ir.records import Record, frozen_array
from ..josephson.circuit import CurrentSource
from . import cell

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
KIND: Final = "synapse"
SOURCE: Final = "Ib"  # the element that sets the probability
# What is asked of noise: beyond, the tails of the law were not measured.
LEAST: Final = 0.01
MOST: Final = 0.999
_FILE: Final = "release.json"
_MOST_OFF: Final = float(ndtri(0.975))  # standard deviations


@dataclass(frozen=True, eq=False)
class Passed(Record):
    """``passed`` of ``tried`` pulses at each ``bias`` in A, (biases,) each."""

    bias: Floats
    passed: Integers
    tried: Integers

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "bias", frozen_array(self.bias, np.float64))
        object.__setattr__(self, "passed", frozen_array(self.passed, np.int64))
        object.__setattr__(self, "tried", frozen_array(self.tried, np.int64))

    def unlikely(self, z: Floats) -> float:
        """Less the logarithm of how likely this is, each pulse passing with Phi(z)."""
        here = self.passed * log_ndtr(z) + (self.tried - self.passed) * log_ndtr(-z)
        return -float(here.sum())


@dataclass(frozen=True)
class Law:
    """``middle`` is :math:`I_{50}`, ``sigma`` the spread of the noise, ``spread`` s; all in A."""

    middle: float
    sigma: float
    spread: float = 0.0

    def probability(self, bias: Any) -> Floats:
        """Of a pulse at a bias in A."""
        return np.asarray(ndtr((np.asarray(bias, np.float64) - self.middle) / self.sigma))

    def bias(self, probability: float, where: str = "a synapse") -> float:
        """The bias in A that gives a probability; E1445 for one that noise does not."""
        if not LEAST <= probability <= MOST:
            raise fail(
                "E1445",
                f"{where} releases with {probability:g}; noise gives {LEAST:g} to {MOST:g}",
                hint="1 is a projection without synapses, and 0 is none",
            )
        return self.middle + self.sigma * float(ndtri(probability))

    def between(self, probability: float) -> tuple[float, float]:
        """The probabilities between which 95 % of the synapses of chips are."""
        off = _MOST_OFF * self.spread / self.sigma
        low, high = ndtr(ndtri(probability) + np.array([-off, off])).tolist()
        return low, high


@cache
def found() -> dict[str, Any]:
    """All that was measured: JSON, SI units."""
    file = resources.files(__package__) / _FILE
    data: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return data


@cache
def law() -> Law:
    """The law of the library's synapse at the temperature of the process."""
    return Law(float(found()["middle"]), float(found()["sigma"]), float(found()["spread"][1]))


@cache
def nominal() -> float:
    """The bias in A that its deck has: what factors of it multiply."""
    source = cell(KIND).circuit.part(SOURCE)
    assert isinstance(source, CurrentSource)
    return float(source.wave.at(0.0))


def factor(probability: float, where: str = "a synapse") -> float:
    """What the bias of the deck is multiplied by for a probability; E1445 as `Law.bias`."""
    return law().bias(probability, where) / nominal()


def passes(kind: str, factors: Any) -> float:
    """With which probability a cell sends what it should; 1 for all but a synapse."""
    if kind != KIND:
        return 1.0
    return float(law().probability(nominal() * factors.get(SOURCE, 1.0)))
