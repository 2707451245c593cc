r"""The synapse, measured: how often it passes a pulse, when, and how close pulses may come.

``python -m spikec.backends.sfq.release`` writes ``cells/release.json``, of the cell between two
JTLs on either side, all at their nominal bias, with the thermal noise of every resistor at the
temperature of the process.

* **middle** and **sigma** are those of :math:`p = \Phi((I_b - I_{50}) / \sigma)`, by maximum
  likelihood from k of n pulses at each bias, and ``errors`` their standard errors,
  :math:`\sqrt{(F^{-1})_{ii}}` of the Fisher information

  .. math:: F = \sum_i \frac{n_i\, \phi(z_i)^2}{p_i (1 - p_i)\, \sigma^2}
      \begin{pmatrix} 1 & z_i \\ z_i & z_i^2 \end{pmatrix}, \quad z_i = (I_i - I_{50}) / \sigma.

  **worst** is the largest :math:`|k/n - p|` of all biases, with the standard deviation that chance
  gives it there.
* **apart** is the least time between two pulses, in steps of 1 ps, from which on it does not
  matter to the second whether the first passed: at that time and at all longer ones of `SPACINGS`
  the two shares differ by less than 3.5 standard deviations, and the whole is the law's.
* **delay** of those that pass is from net to net, as in ``timing.json``: the middle of all but one
  in a thousand at either end, of biases with p from a half on; **jitter** is half of what lies
  between these ends. Noise moves pulses, and one near the middle takes longer to decide.
* **energy** is the work of the cell's biases for a pulse that passes, and for one that does not,
  as in ``timing.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_ndtr
from scipy.stats import norm

from ...boards.process import load_process
from ...compiler.progress import bars
from ...ir.diagnostics import fail
from ...ir.records import Record, frozen_array
from . import testbench
from .chance import KIND, SOURCE, Law, nominal
from .characterise import PROCESS
from .circuit import CurrentSource
from .netlist import pulses
from .simulate import QUANTUM, Simulator, Transient

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Tell = Callable[[float], None]

BIASES: Final[Floats] = 1e-6 * np.arange(-39, -18, dtype=np.float64)
SPACING: Final = 40e-12  # s between pulses while the law is measured
SPACINGS: Final[Floats] = 1e-12 * np.arange(14, 31, dtype=np.float64)
PULSES: Final = 48  # of a set
SETS: Final = 40  # at each bias
_PAIRS: Final = 96  # sets at each spacing, all at the middle
_STEP: Final = 0.1e-12
_SETTLED: Final = 60e-12
_SEED: Final = 15
_ALIKE: Final = 3.5  # standard deviations, of 17 comparisons
_ENDS: Final = 1e-3


@dataclass(frozen=True, eq=False)
class Released(Record):
    """What became of pulses: ``passed`` (sets, pulses), ``delay`` of those in s, else NaN.

    ``work`` (sets,) in J of the cell's own biases in all.
    """

    passed: Bools
    delay: Floats
    work: Floats

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "passed", frozen_array(self.passed, np.bool_))
        object.__setattr__(self, "delay", frozen_array(self.delay, np.float64))
        object.__setattr__(self, "work", frozen_array(self.work, np.float64))


class Bench:
    """The synapse between JTLs, for sets of pulses at one spacing."""

    def __init__(self, spacing: float, count: int = PULSES) -> None:
        times = testbench.FIRST + spacing * np.arange(count)
        self._bench = testbench.Bench(KIND)
        self._until = float(times.max(initial=testbench.FIRST)) + _SETTLED
        self._count = count
        self._simulator = Simulator(self._bench.netlist.circuit({"a0": pulses(times)}))

    def run(
        self,
        bias: npt.ArrayLike,
        *,
        temperature: float,
        seed: int,
        scale: npt.ArrayLike = 1.0,
        threads: int = 1,
        progress: Tell | None = None,
    ) -> Released:
        """One set for each ``bias`` in A; ``scale`` multiplies all biases but that one.

        E1425 where a pulse got lost in front of the cell or behind it, or was thrown back.
        """
        given = np.atleast_1d(np.asarray(bias, np.float64))
        rest = [n for n in self._bench.netlist.biases if n != f"{SOURCE}|x"]
        watch = ("a", "q", self._bench.ends[0])
        found = self._simulator.run(
            Transient(self._until, _STEP, temperature=temperature),
            factors={f"{SOURCE}|x": given / nominal(), **dict.fromkeys(rest, scale)},
            watch=watch,
            seed=seed,
            threads=threads,
            progress=progress,
        )
        sets, seen = given.size, found.pulses
        counts = seen.counts(sets=sets)
        lost = (counts[:, 0] != self._count) | (counts[:, 1] != counts[:, 2])
        if lost.any() or (seen.direction[seen.time >= 0] < 0).any():
            raise fail("E1425", "a synapse throws pulses back, or loses some that it passed")
        chosen = [(seen.probe == k) & (seen.time >= 0) for k in (0, 1)]
        # One long line of time, set behind set.
        arrival, sent = (seen.time[c] + 2 * self._until * seen.set[c] for c in chosen)
        which = np.searchsorted(arrival, sent) - 1
        delay = np.full(arrival.size, np.nan)
        delay[which] = sent - arrival[which]
        delay = delay.reshape(sets, self._count)
        return Released(np.isfinite(delay), delay, self._work(found.nodes, found.ends, given))

    def _work(self, nodes: tuple[str, ...], ends: Floats, bias: Floats) -> Floats:
        out = np.zeros(bias.size)
        for name in self._bench.own:
            source = self._simulator.circuit.part(name)
            assert isinstance(source, CurrentSource)
            current = bias if name == f"{SOURCE}|x" else float(source.wave.at(0.0))
            out += current * QUANTUM * ends[:, nodes.index(source.b)]
        return out


@dataclass(frozen=True, eq=False)
class Fit(Record):
    """A law out of ``passed`` of ``tried`` pulses at each ``bias``, (biases,) each."""

    bias: Floats
    passed: Integers
    tried: Integers

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "bias", frozen_array(self.bias, np.float64))
        object.__setattr__(self, "passed", frozen_array(self.passed, np.int64))
        object.__setattr__(self, "tried", frozen_array(self.tried, np.int64))

    @cached_property
    def law(self) -> Law:
        """The most likely one."""
        share = (self.passed + 0.5) / (self.tried + 1.0)
        slope, zero = np.polyfit(self.bias * 1e6, norm.ppf(share), 1)

        def unlikely(x: Floats) -> float:
            z = (self.bias * 1e6 - x[0]) / np.exp(x[1])
            here = self.passed * log_ndtr(z) + (self.tried - self.passed) * log_ndtr(-z)
            return float(-here.sum())

        start = np.array([-zero / slope, -np.log(slope)])
        best = minimize(unlikely, start, method="Nelder-Mead", options={"xatol": 1e-6}).x
        return Law(float(best[0]) * 1e-6, float(np.exp(best[1])) * 1e-6)

    @property
    def errors(self) -> Floats:
        """Standard errors of middle and sigma, in A."""
        z = (self.bias - self.law.middle) / self.law.sigma
        p = norm.cdf(z)
        weight = self.tried * norm.pdf(z) ** 2 / (p * norm.sf(z))
        rows = np.stack([np.ones_like(z), z])
        fisher = (rows * weight) @ rows.T / self.law.sigma**2
        return np.asarray(np.sqrt(np.diag(np.linalg.inv(fisher))))

    @property
    def worst(self) -> tuple[float, float]:
        """The largest deviation of a share from the law, and its standard deviation by chance."""
        p = self.law.probability(self.bias)
        off = np.abs(self.passed / self.tried - p)
        k = int(off.argmax())
        return float(off[k]), float(np.sqrt(p[k] * (1 - p[k]) / self.tried[k]))


def fitted(
    bench: Bench, biases: Floats, sets: int, seed: int, **how: Any
) -> tuple[Fit, Released, Integers]:
    """A law of ``sets`` at each bias, all pulses, and the place of each set's bias."""
    which = np.repeat(np.arange(biases.size), sets)
    released = bench.run(biases[which], seed=seed, **how)
    passed = released.passed.reshape(biases.size, -1)
    tried = np.full(biases.size, passed.shape[1])
    return Fit(biases, passed.sum(1), tried), released, which


def memory(passed: Bools) -> float:
    """By how many standard deviations the share after a pass differs from that after a drop."""
    before, now = passed[:, :-1], passed[:, 1:]
    counts = np.array([before.sum(), (~before).sum()])
    if not counts.all():
        return np.inf
    after = np.array([now[before].mean(), now[~before].mean()])
    common = now.mean()
    return float(abs(np.diff(after)[0]) / np.sqrt(common * (1 - common) * (1 / counts).sum()))


def apart(law: Law, temperature: float, seed: int, threads: int, progress: Tell) -> float:
    """The least spacing of ``SPACINGS``, in s, from which on pulses do not know of each other."""
    alike = np.zeros(SPACINGS.size, np.bool_)
    for k, spacing in enumerate(SPACINGS.tolist()):
        bias = np.full(_PAIRS, law.middle)
        passed = (
            Bench(spacing).run(bias, temperature=temperature, seed=seed + k, threads=threads).passed
        )
        off = abs(passed.mean() - 0.5) * 2 * np.sqrt(passed.size)
        alike[k] = max(memory(passed), off) < _ALIKE
        progress((k + 1) / SPACINGS.size)
    if not alike[-1]:
        raise fail("E1425", "a synapse remembers what it did, however long ago")
    return float(SPACINGS[np.flatnonzero(~alike)[-1] + 1 if (~alike).any() else 0])


def document(threads: int = 1, progress: Callable[[str, float], None] | None = None) -> Any:
    """The whole of ``release.json``."""
    tell = progress or (lambda stage, share: None)
    temperature = load_process(PROCESS).temperature.value
    fit, released, which = fitted(
        Bench(SPACING),
        BIASES,
        SETS,
        _SEED,
        temperature=temperature,
        threads=threads,
        progress=lambda share: tell("law", share),
    )
    law = fit.law
    often = (law.probability(BIASES) >= 0.5)[which]
    delay = released.delay[often]
    low, high = np.quantile(delay[np.isfinite(delay)], [_ENDS, 1 - _ENDS])
    # Work is a straight line of how many pulses passed.
    each, none = np.polyfit(released.passed.sum(1), released.work, 1)
    still = _resting(temperature=0.0, bias=law.middle)
    dropped = (none - still) / PULSES
    least = apart(law, temperature, _SEED + 1, threads, lambda share: tell("apart", share))
    worst, chance = fit.worst
    return {
        "units": "s, A, J, K",
        "process": PROCESS,
        "temperature": temperature,
        "middle": round(law.middle, 9),
        "sigma": round(law.sigma, 9),
        "errors": [float(f"{error:.2g}") for error in fit.errors],
        "worst": [round(worst, 4), round(chance, 4)],
        "delay": [[[round(float(low + high) / 2, 14)]]],
        "apart": [[least]],
        "jitter": round(float(high - low) / 2, 14),
        "energy": [[float(f"{dropped + each:.3g}")], [float(f"{dropped:.3g}")]],
        "bias": [round(float(b), 9) for b in BIASES],
        "passed": fit.passed.tolist(),
        "tried": fit.tried.tolist(),
    }


def _resting(temperature: float, bias: float) -> float:
    """The work with no pulse at all: what turns the phases while biases rise."""
    bench = Bench(SPACING, 0)
    return float(bench.run([bias], temperature=temperature, seed=0).work[0])


@click.command()
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default=None)
@click.option("--threads", type=click.IntRange(1), default=1, help="Threads that simulate.")
def main(output: Path | None, threads: int) -> None:
    """Measure the synapse and write its law, to `cells/release.json` if not said otherwise."""
    with bars() as progress:
        data = document(threads, progress)
    place = Path(__file__).parent / "cells" / "release.json" if output is None else output
    lines = (f" {json.dumps(k)}: {json.dumps(v)}" for k, v in data.items())
    place.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    click.echo(
        f"{place.name}: I50 {data['middle'] * 1e6:.2f} uA, sigma {data['sigma'] * 1e6:.2f} uA",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
