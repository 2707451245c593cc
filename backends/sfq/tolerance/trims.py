r"""A chip's own bias currents: each synapse counted at a few currents, and set to what it was for.

Elements of a chip are off, which moves the :math:`I_{50}` of each synapse, and hardly the
:math:`\sigma` of noise. With the library's, k of n pulses that passed at each of some currents give
:math:`I_{50}` by maximum likelihood, with a standard error e of Fisher's information, and so the
current at which the synapse releases with the p that it was compiled for:

.. math:: I_b = I_{50} + \sigma\, \Phi^{-1}(p), \qquad
    p_\mathrm{low,high} = \Phi\left(\Phi^{-1}(p) \mp 1.96\, e / \sigma\right)

with 95 %.

``python -m spikec.backends.sfq.tolerance.trims BUILT COUNTS.json -o TRIMS.json`` makes currents
of counts, those of each synapse of the artefact:
``{"NAME": {"bias": [A], "passed": [], "tried": []}}``. `counted` is how simulated chips are
counted.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

from ....compiler.artifact import load_artifact
from ....compiler.files import write_file
from ....ir.diagnostics import Diagnostics, Location, SpikecError, fail
from ..cells.chance import KIND, SOURCE, Passed, law, nominal, passes
from ..cells.netlist import Instance
from ..josephson.margins import Tell
from ..josephson.simulate import Transient
from ..rungs.execute import LEAD, STEP
from ..synthesis.files import read_program
from ..synthesis.synthesise import Program
from .stress import driven

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
# Currents at which synapses are counted, in sigmas from the I50 of the library's cell.
POINTS: Final[Floats] = np.array([-1.5, -0.5, 0.5, 1.5, 2.5])
_FAR: Final = 8.0  # sigmas beyond the currents that were tried
_OPEN: Final = 3.0  # sigmas from I50, where those pass pulses that others are counted by


@dataclass(frozen=True, eq=False)
class Counts(Passed):
    """What one synapse did at currents that it was given."""

    @property
    def middle(self) -> tuple[float, float]:
        """I50 in A, the most likely one, and its standard error."""
        sigma = law().sigma

        def unlikely(x: float) -> float:
            return self.unlikely(self.bias / sigma - x)

        # Of a normal distribution this has one least value; all or none has it at infinity.
        ends = float(self.bias.min()) / sigma - _FAR, float(self.bias.max()) / sigma + _FAR
        x = float(minimize_scalar(unlikely, bounds=ends, method="bounded").x)
        z = self.bias / sigma - x
        each = np.exp(-z * z) / (2 * np.pi * ndtr(z) * ndtr(-z))
        return x * sigma, sigma / float(np.sqrt((self.tried * each).sum()))


@dataclass(frozen=True)
class Trim:
    """A synapse releases with ``probability`` at ``bias`` A; ``low`` to ``high`` with 95 %."""

    bias: float
    probability: float
    low: float
    high: float


def synapses(program: Program) -> dict[str, Instance]:
    """Those of a program, by name."""
    return {i.name: i for i in program.netlist.instances if i.kind == KIND}


def trims(program: Program, counts: Mapping[str, Counts]) -> dict[str, Trim]:
    """The current of each synapse, out of what was counted of each.

    E1486 where one was not counted or is no synapse of the program, E1487 where all or no pulses
    passed, or there were none.
    """
    wanted = synapses(program)
    told = Diagnostics()
    for name in sorted(set(counts) - set(wanted)):
        told.add("E1486", f"there is no synapse '{name}'", hint=f"there are {', '.join(wanted)}")
    for name in wanted:
        if name not in counts:
            told.add("E1486", f"synapse '{name}' was not counted")
    told.raise_errors()
    found = {name: _trim(name, one, counts[name], told) for name, one in wanted.items()}
    told.raise_errors()
    return {name: trim for name, trim in found.items() if trim is not None}


def _trim(name: str, synapse: Instance, counts: Counts, told: Diagnostics) -> Trim | None:
    share = counts.passed.sum() / max(counts.tried.sum(), 1)
    wrong = "saw no pulses" if not counts.tried.any() else None
    if share in (0.0, 1.0) and wrong is None:
        wrong = f"passed {'all' if share else 'none'} of {counts.tried.sum()} pulses"
    if wrong is not None:
        hint = "more pulses, at currents between which p goes from 0.1 to 0.9"
        told.add("E1487", f"synapse '{name}' {wrong}", hint=hint)
        return None
    middle, error = counts.middle
    z = float(ndtri(passes(synapse.kind, synapse.factors)))
    off = float(ndtri(0.975)) * error / law().sigma
    low, high = ndtr(z + off * np.array([-1.0, 1.0])).tolist()
    return Trim(middle + law().sigma * z, float(ndtr(z)), low, high)


def counted(
    program: Program,
    factors: Mapping[str, Floats],
    circuits: int,
    *,
    temperature: float,
    steps: int = 32,
    step: float = STEP,
    tolerance: float = 1e-10,
    numbers: Sequence[int] | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Tell | None = None,
) -> list[dict[str, Counts]]:
    """What each synapse of simulated chips does: pulses in front of it and behind it, counted.

    All lines have a pulse in each of ``steps`` steps, and the synapses in front of one population
    stand at the same of `POINTS`, population after population; all others pass nearly every pulse,
    so that those behind them have some to be counted by. ``factors`` are of elements, (circuits,)
    each; sources are set to currents, and give them times their factor. The noise of a circuit is
    of ``seed`` and its number in ``numbers``, from 0 on by default.
    """
    cases = 4
    each = {
        name: np.ones((cases, steps // cases, len(nets)), np.bool_)
        for name, nets in program.inputs.items()
    }
    still = {name: np.zeros(array.shape) for name, array in each.items()}
    simulator, how, own, _ = driven(program, each, still)
    places = synapses(program)
    currents = law().middle + law().sigma * POINTS
    rounds = list(dict.fromkeys(map(_population, places)))
    each_has = len(rounds) * POINTS.size * cases
    sets = circuits * each_has
    whose = range(circuits) if numbers is None else [int(n) for n in numbers]
    given: dict[str, Any] = {name: value[0] for name, value in own.items()}
    for name, value in factors.items():
        given[name] = np.repeat(value, each_has)
    for name, i in places.items():
        stands = np.full((len(rounds), POINTS.size), law().middle + law().sigma * _OPEN)
        stands[rounds.index(_population(name))] = currents
        source, set_to = f"{SOURCE}|{name}", stands.ravel() / (nominal() * i.factors[SOURCE])
        given[source] = given.get(source, np.ones(sets)) * np.tile(
            np.repeat(set_to, cases), circuits
        )
    watch = tuple(dict.fromkeys(i.nets[p] for i in places.values() for p in ("a", "q")))
    found = simulator.run(
        Transient(how.duration, step, temperature=temperature, tolerance=tolerance),
        factors=given,
        watch=watch,
        seeds=[seed * 1_000_003 + n * each_has + k for n in whose for k in range(each_has)],
        threads=threads,
        progress=progress,
    )
    shape = (circuits, len(rounds), POINTS.size, cases, len(watch))
    seen = found.pulses.counts(LEAD, sets).reshape(shape).sum(3)
    column = {net: k for k, net in enumerate(watch)}

    def of(chip: int, name: str, port: str) -> Integers:
        place = column[places[name].nets[port]]
        return np.asarray(seen[chip, rounds.index(_population(name)), :, place])

    return [
        {name: Counts(currents, of(c, name, "q"), of(c, name, "a")) for name in places}
        for c in range(circuits)
    ]


def _population(synapse: str) -> str:
    """Of the neuron that a synapse is in front of."""
    return synapse.partition("[")[0]


def as_factors(program: Program, found: Mapping[str, Trim]) -> dict[str, float]:
    """What the sources of synapses are multiplied by in the program's circuit."""
    return {
        f"{SOURCE}|{name}": found[name].bias / (nominal() * i.factors[SOURCE])
        for name, i in synapses(program).items()
    }


def read_counts(path: Path) -> dict[str, Counts]:
    """What was counted, by synapse; E1486 for a file that does not say it."""
    where = Location(str(path))
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(name): _counts(one["bias"], one["passed"], one["tried"])
            for name, one in data.items()
        }
    except OSError as error:
        raise fail("E1486", f"cannot read: {error.strerror}", where) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"no '{error.args[0]}'" if isinstance(error, KeyError) else str(error)
        hint = '{"NAME": {"bias": [A], "passed": [], "tried": []}}'
        raise fail("E1486", f"these are no counts: {what}", where, hint) from None


def _counts(bias: Any, passed: Any, tried: Any) -> Counts:
    current = np.asarray(bias, np.float64)
    some, every = (np.asarray(x, np.int64) for x in (passed, tried))
    if not current.shape == some.shape == every.shape or current.ndim != 1:
        raise ValueError("lists of different lengths")
    if not np.isfinite(current).all() or (some < 0).any() or (some > every).any():
        raise ValueError("more passed than were tried, or a current that is no number")
    return Counts(current, some, every)


@click.command()
@click.argument("built", type=click.Path(path_type=Path))
@click.argument("counts", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True)
def main(built: Path, counts: Path, output: Path) -> None:
    """Make the bias currents of a chip, in A, from COUNTS of the synapses of the artefact BUILT."""
    try:
        found = trims(read_program(load_artifact(built)), read_counts(counts))
        write_file(output, (json.dumps(as_dict(found), indent=1) + "\n").encode())
    except SpikecError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    for name, trim in found.items():
        click.echo(
            f"{name}: {trim.bias * 1e6:.2f} uA, p = {trim.probability:.3g} "
            f"({trim.low:.3g} to {trim.high:.4g})"
        )


def as_dict(found: Mapping[str, Trim]) -> dict[str, Any]:
    """As JSON."""
    return {
        name: {"bias": t.bias, "probability": t.probability, "between": [t.low, t.high]}
        for name, t in found.items()
    }


if __name__ == "__main__":
    main()
