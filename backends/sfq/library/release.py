r"""The synapse, measured: how often it passes a pulse, when, and how close pulses may come.

``python -m spikec.backends.sfq.library.release`` writes ``cells/release.json``, of the
cell between two JTLs on either side, all at their nominal bias, with the thermal noise of every
resistor at the temperature of the process.

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
* **spread** is what every element of the bench, and all biases together once more, are off by, and
  the standard deviation of what that moves :math:`I_b - I_{50}` by in A, of `CHIPS` circuits. I50
  of each is found without noise, by halving a range of currents that ends in a pulse that passes
  and one that does not. **moves** has the share of each of the cell's elements in it, A for a value
  that is larger by the spread: coefficients of least squares of the same circuits.
* **still** is I50 of the cell without noise, A. **margins**, **elements** and **parameters** are in
  what range of factors p, a half, is within ``AROUND`` of it (`trials`), to a tenth of a percent,
  as in ``timing.json``; **yield** of how many of the circuits above it is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.stats import norm

from ....boards.process import load_process
from ....compiler.progress import bars
from ....ir.diagnostics import fail
from ....ir.records import Record, frozen_array
from ..cells import cell
from ..cells.chance import KIND, SOURCE, Law, Passed, nominal
from ..cells.netlist import pulses
from ..josephson.circuit import CurrentSource
from ..josephson.margins import KINDS, Spread, elements
from ..josephson.simulate import QUANTUM, Simulator, Transient
from . import testbench
from .characterise import PROCESS, room
from .trials import AROUND, around, cell_margins

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Tell = Callable[[float], None]

AWAY: Final[Floats] = 0.8e-6 * np.arange(-10, 11, dtype=np.float64)  # A from I50 without noise
SPACING: Final = 40e-12  # s between pulses while the law is measured
SPACINGS: Final[Floats] = 1e-12 * np.arange(14, 31, dtype=np.float64)
PULSES: Final = 48  # of a set
SETS: Final = 40  # at each bias
CHIPS: Final = 512  # circuits, of which each element is off by chance
SPREAD: Final = 0.02  # 1 sigma of each element, and of all biases together
RESOLUTION: Final = 0.001  # of margins
_REACH: Final = 30e-6  # A around the middle, in which I50 of each is
_HALVES: Final = 12
_PAIRS: Final = 96  # sets at each spacing, all at the middle
_STEP: Final = 0.1e-12
_SETTLED: Final = 60e-12
_SEED: Final = 15
_ALIKE: Final = 3.5  # standard deviations, of 17 comparisons
_ENDS: Final = 1e-3
_OWN: Final = f"{SOURCE}|x"


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
        self.circuit = self._bench.netlist.circuit({"a0": pulses(times)})
        self._simulator = Simulator(self.circuit)

    def run(
        self,
        bias: npt.ArrayLike,
        *,
        temperature: float,
        seed: int,
        scale: npt.ArrayLike = 1.0,
        factors: Mapping[str, npt.ArrayLike] | None = None,
        threads: int = 1,
        progress: Tell | None = None,
    ) -> Released:
        """One set for each ``bias`` in A; ``scale`` multiplies all biases but that one.

        ``factors`` multiply elements by their names in the bench's circuit, before the two.
        E1425 where a pulse got lost in front of the cell or behind it, or was thrown back.
        """
        given = np.atleast_1d(np.asarray(bias, np.float64))
        rest = {n: np.asarray(scale) for n in self._bench.netlist.biases}
        for name, factor in (factors or {}).items():
            rest[name] = np.asarray(factor) * rest.get(name, 1.0)
        watch = ("a", "q", self._bench.ends[0])
        found = self._simulator.run(
            Transient(self._until, _STEP, temperature=temperature),
            factors=rest | {_OWN: given / nominal()},
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
            current = bias if name == _OWN else float(source.wave.at(0.0))
            out += current * QUANTUM * ends[:, nodes.index(source.b)]
        return out


@dataclass(frozen=True, eq=False)
class Fit(Passed):
    """A law out of what passed."""

    @cached_property
    def law(self) -> Law:
        """The most likely one."""
        share = (self.passed + 0.5) / (self.tried + 1.0)
        slope, zero = np.polyfit(self.bias * 1e6, norm.ppf(share), 1)

        def unlikely(x: Floats) -> float:
            return self.unlikely((self.bias * 1e6 - x[0]) / np.exp(x[1]))

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
    """The least spacing of ``SPACINGS``, in s, from which on pulses do not know of each other.

    E1425 as `Bench.run`, and where there is none.
    """
    alike = np.zeros(SPACINGS.size, np.bool_)
    for k, spacing in enumerate(SPACINGS.tolist()):
        bias = np.full(_PAIRS, law.middle)
        passed = (
            Bench(spacing).run(bias, temperature=temperature, seed=seed + k, threads=threads).passed
        )
        off = abs(passed.mean() - 0.5) * 2 * np.sqrt(passed.size)
        alike[k] = max(memory(passed), off) < _ALIKE
        progress((k + 1) / SPACINGS.size)
    least = testbench.settled(SPACINGS, alike)
    if not np.isfinite(least):
        raise fail("E1425", "a synapse remembers what it did, however long ago")
    return least


def middles(
    around: float,
    factors: Mapping[str, Floats] | None = None,
    threads: int = 1,
    progress: Tell | None = None,
) -> Floats:
    """I50 of circuits without noise, (circuits,) in A; each within 30 uA of ``around``.

    ``factors`` (circuits,) are of elements of the bench. E1425 as `Bench.run`, and where an I50 is
    further away.
    """
    bench = Bench(SPACING, 1)
    count = max([1, *(np.size(f) for f in (factors or {}).values())])
    low, high = np.full(count, around - _REACH), np.full(count, around + _REACH)

    def passes(bias: Floats) -> Bools:
        found = bench.run(bias, temperature=0.0, seed=0, factors=factors, threads=threads)
        return np.asarray(found.passed[:, 0])

    if passes(low).any() or not passes(high).all():
        raise fail("E1425", "a synapse passes at a current at which none should, or the other way")
    for k in range(_HALVES):
        half = (low + high) / 2
        right = passes(half)
        low, high = np.where(right, low, half), np.where(right, half, high)
        if progress is not None:
            progress((k + 1) / _HALVES)
    return np.asarray((low + high) / 2)


def shifts(
    bias: float, factors: Mapping[str, Floats], threads: int = 1, progress: Tell | None = None
) -> Floats:
    """Ib - I50 of circuits that give ``bias`` A where nothing is off, (circuits,) in A.

    ``factors`` are of all elements, Ib among them; errors as `middles`.
    """
    others = {name: factor for name, factor in factors.items() if name != _OWN}
    return bias * factors[_OWN] - middles(bias, others, threads, progress)


def spread() -> Spread:
    """Of each element, and of all biases together."""
    return Spread(dict.fromkeys(KINDS, SPREAD), {"bias": SPREAD})


def off(count: int, seed: int) -> dict[str, Floats]:
    """Factors of all elements of the bench in ``count`` circuits with the spread."""
    return spread().draw(Bench(SPACING, 1).circuit, range(count), seed)


def moves(shift: Floats, factors: Mapping[str, Floats]) -> dict[str, float]:
    """What each element moves Ib - I50 by, in A for a value that is larger by the spread."""
    rows = np.stack(list(factors.values()), axis=1) - 1
    design = np.column_stack([np.ones(len(rows)), rows])
    found = np.linalg.lstsq(design, shift, rcond=None)[0][1:] * SPREAD
    return dict(zip(factors, found.tolist(), strict=True))


def document(threads: int = 1, progress: Callable[[str, float], None] | None = None) -> Any:
    """The whole of ``release.json``."""
    tell = progress or (lambda stage, share: None)
    temperature = load_process(PROCESS).temperature.value
    still = float(middles(nominal(), threads=threads)[0])
    biases = np.round(still, 7) + AWAY
    fit, released, which = fitted(
        Bench(SPACING),
        biases,
        SETS,
        _SEED,
        temperature=temperature,
        threads=threads,
        progress=lambda share: tell("law", share),
    )
    law = fit.law
    often = (law.probability(biases) >= 0.5)[which]
    delay = released.delay[often]
    low, high = np.quantile(delay[np.isfinite(delay)], [_ENDS, 1 - _ENDS])
    # Work is a straight line of how many pulses passed, at one current: Ib has a part in it.
    near = np.abs(biases - law.middle)[which] < law.sigma / 2
    pulse, none = np.polyfit(released.passed.sum(1)[near], released.work[near], 1)
    dropped = (none - _resting(temperature=0.0, bias=law.middle)) / PULSES
    least = apart(law, temperature, _SEED + 1, threads, lambda share: tell("apart", share))
    drawn = off(CHIPS, _SEED + 2)
    shift = shifts(law.middle, drawn, threads, lambda share: tell("spread", share))
    each = moves(shift, drawn)
    own = {name: f"{name}|x" for name in elements(cell(KIND).circuit)}
    most = sorted(own, key=lambda name: -abs(each[own[name]]))
    worst, chance = fit.worst
    still = round(still, 10)
    found = cell_margins(
        KIND,
        tried=around(cell(KIND), still, law),
        resolution=RESOLUTION,
        threads=threads,
        progress=lambda share: tell("margins", share),
    )
    names = {"elements": list(own), "parameters": list(cell(KIND).parameters)}
    # Without noise, so from where p is a half without it.
    near = np.abs(shift - (law.middle - still)) < law.sigma * norm.ppf(0.5 + AROUND)
    return {
        "units": "s, A, J, K",
        "process": PROCESS,
        "temperature": temperature,
        "middle": round(law.middle, 9),
        "sigma": round(law.sigma, 9),
        "errors": [float(f"{error:.2g}") for error in fit.errors],
        "worst": [round(worst, 4), round(chance, 4)],
        "spread": [SPREAD, round(float(shift.std()), 9)],
        "moves": {name: round(each[own[name]], 9) for name in most},
        "delay": [[[round(float(low + high) / 2, 14)]]],
        "apart": [[round(least, 14)]],
        "jitter": round(float(high - low) / 2, 14),
        "energy": [[float(f"{dropped + pulse:.3g}")], [float(f"{dropped:.3g}")]],
        "bias": [round(float(b), 9) for b in biases],
        "passed": fit.passed.tolist(),
        "tried": fit.tried.tolist(),
        "still": still,
        **room(found, names, RESOLUTION),
        "yield": [int(near.sum()), CHIPS],
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
    place = Path(__file__).parents[1] / "cells" / "release.json" if output is None else output
    lines = (f" {json.dumps(k)}: {json.dumps(v)}" for k, v in data.items())
    place.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    click.echo(
        f"{place.name}: I50 {data['middle'] * 1e6:.2f} uA, sigma {data['sigma'] * 1e6:.2f} uA",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
