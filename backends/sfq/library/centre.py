r"""Centring: values of a cell far from all at which it fails, by circuits drawn at random.

``python -m spikec.backends.sfq.library.centre KIND -o FILE`` begins with the values
that the rules in the comments of the cell's deck give, and writes the deck with what it found as
its ``.param``.

Each turn draws circuits around the centre :math:`x` of the logarithms of all parameters,

.. math:: p_i = e^{x_i + s z_i}, \qquad z \sim N(0, 1),

and moves the centre to the mean of those that pass the cell's `trials.trial` both with all biases,
the lines' too, :math:`\rho s` too low and with as much too high,

.. math:: x \leftarrow x + s \, \overline{z}_{\text{pass}}.

A cell whose pulses are to come close has to pass one more trial, at nominal bias, where delays are
said to be what a table has: with closer pulses, and delays that hardly depend on them.

The spread s grows while more than 1/e of them pass and shrinks while fewer do, so that the region
that works is looked at as far as it goes (Soin and Spence, IEE Proc. G 127, 299, 1980; Kjellstrom
and Taxen, IEEE Trans. Circuits Syst. 28, 702, 1981). The result is the mean of the centres of the
second half of all turns. The same seed gives the same values.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import click
import numpy as np
import numpy.typing as npt

from ....compiler.progress import bars
from ....ir.diagnostics import fail
from ....ir.records import Record
from ..cells import CELLS, cell, deck, powers, rules
from ..josephson.expression import evaluate
from ..josephson.margins import Tell, Trial, kinds
from .testbench import Bench
from .trials import machine_trial, trial

Floats = npt.NDArray[np.float64]

CIRCUITS: Final = 96  # a turn
TURNS: Final = 40
_SPREAD: Final = 0.1  # with which the first turn draws
_LEAST: Final = 0.01
_BIAS: Final = 2.5  # rho: how much further biases go, as a chip's supply is what users turn
_GROWS: Final = 1.1  # by which a spread grows or shrinks in a turn
_STEP: Final = 0.2e-12  # s: enough to tell who passes
_CASES: Final = 4  # stimuli of a machine
# Cells whose delays depend on how long ago the last pulse was, and that are many in a row: least
# time between pulses, and how far delays may differ with it, s.
_CLOSE: Final[Mapping[str, tuple[float, float]]] = {"ndro": (13e-12, 0.5e-12)}
_DIGITS: Final = 3  # of a value
_MOST: Final = 0.15  # spreads beyond are of no chip
CENTRED: Final = tuple(k for k in CELLS if any(p.rule for p in cell(k).parameters.values()))


@dataclass(frozen=True, eq=False)
class Centred(Record):
    """``values`` by parameter; of each turn its ``spread`` and the ``share`` that passed."""

    values: Mapping[str, float]
    spread: Floats
    share: Floats


def ruled(kind: str) -> dict[str, float]:
    """What the rules of a cell give for its parameters that were centred, in SI units."""
    known = {name.upper(): p.value for name, p in cell(kind).parameters.items()}
    known.update(rules())
    found: dict[str, float] = {}
    # A rule may be made of what rules above it gave.
    for parameter in cell(kind).parameters.values():
        if parameter.rule is not None:
            value = evaluate(parameter.rule, known.__getitem__)
            found[parameter.name] = known[parameter.name.upper()] = value
    return found


def centred(
    kind: str,
    *,
    circuits: int = CIRCUITS,
    turns: int = TURNS,
    seed: int = 1,
    threads: int = 1,
    progress: Tell | None = None,
) -> Centred:
    """The centre of what works of a cell; E1481 where no circuit that is drawn does."""
    begin = ruled(kind)
    names = tuple(begin)
    here = {name: cell(kind).parameters[name].value for name in names}
    # The circuit has the values of the deck: these are what factors multiply.
    offset = np.log([begin[name] / here[name] for name in names])
    grows = powers(kind)
    usual = _coarse(trial(kind, _CASES))
    close = _close(kind)
    biases = kinds(usual.simulator.circuit)["bias"]
    rng = np.random.default_rng(seed)
    spread = _SPREAD
    centres, spreads, shares = np.empty((turns, len(names))), np.empty(turns), np.empty(turns)
    for turn in range(turns):
        z = rng.standard_normal((circuits, len(names)))
        factors: dict[str, Floats] = {}
        for name, factor in zip(names, np.exp(offset + spread * z).T, strict=True):
            for element, power in grows[name].items():
                title = f"{element}|x"
                factors[title] = factors.get(title, 1.0) * factor**power
        passed = np.ones(circuits, np.bool_)
        attempts = [(usual, 1 - _BIAS * spread), (usual, 1 + _BIAS * spread)]
        if close is not None:
            attempts.append((close, 1.0))
        for tried, bias in attempts:
            # Those that failed are not tried again.
            live = {name: factor[passed] for name, factor in factors.items()}
            live |= {name: bias * live.get(name, np.ones(passed.sum())) for name in biases}
            passed[passed] = tried.passes(live, int(passed.sum()), threads=threads)
        if passed.any():
            offset = offset + spread * z[passed].mean(0)
        centres[turn], spreads[turn], shares[turn] = offset, spread, passed.mean()
        spread *= _GROWS if passed.mean() > np.exp(-1) else 1 / _GROWS
        spread = min(spread, _MOST)
        if spread < _LEAST:
            text = f"no circuit of the cell '{kind}' within {_LEAST:.0%} of its rules works"
            hint = f"mend the rules in {kind}.cir, or draw more circuits in a turn"
            raise fail("E1481", text, hint=hint)
        if progress is not None:
            progress((turn + 1) / turns)
    found = centres[turns // 2 :].mean(0)
    values = {
        n: float(f"{here[n] * np.exp(x):.{_DIGITS}g}") for n, x in zip(names, found, strict=True)
    }
    return Centred(values, spreads, shares)


def _close(kind: str) -> Trial | None:
    """The trial at nominal bias of a cell whose pulses are to come close; None of the others."""
    if kind not in _CLOSE:
        return None
    spacing, steady = _CLOSE[kind]
    return _coarse(machine_trial(Bench(kind), spacing, _CASES, steady))


def _coarse(tried: Trial) -> Trial:
    return replace(tried, transient=replace(tried.transient, step=_STEP))


def rewritten(text: str, values: Mapping[str, float]) -> str:
    """A deck with other values of its parameters, in the units that it has."""
    for name, value in values.items():
        said = f".param {name}={_said(name, value)}"
        text = re.sub(rf"^\.param {name}=.*$", said, text, flags=re.M)
    return text


def _said(name: str, value: float) -> str:
    scale, letter = {"L": (1e12, "p"), "I": (1e6, "u")}.get(name[0], (1.0, ""))
    return f"{float(f'{value * scale:.{_DIGITS}g}'):g}{letter}"


@click.command()
@click.argument("kind", type=click.Choice(CENTRED))
@click.option(
    *("-o", "--output", "place"),
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The deck; the library's own are in cells/.",
)
@click.option("--circuits", type=click.IntRange(1), default=CIRCUITS, help="Drawn in each turn.")
@click.option("--turns", type=click.IntRange(2), default=TURNS, help="Turns.")
@click.option("--seed", type=int, default=1, help="Of what is drawn.")
@click.option("--threads", type=click.IntRange(1), default=1, help="Threads that simulate.")
def main(kind: str, place: Path, circuits: int, turns: int, seed: int, threads: int) -> None:
    """Centre a cell from its rules and write its deck."""
    with bars() as progress:
        found = centred(
            kind,
            circuits=circuits,
            turns=turns,
            seed=seed,
            threads=threads,
            progress=lambda share: progress(kind, share),
        )
    place.write_text(rewritten(deck(kind), found.values), encoding="utf-8")
    click.echo(
        f"{place.name}: {found.share[-1]:.0%} of circuits with a spread of {found.spread[-1]:.1%}"
        f" and biases off by {_BIAS * found.spread[-1]:.1%} pass",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
