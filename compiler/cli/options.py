"""Options that several verbs share; those of passes come from the fields of the pass."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import click

from ...ir.diagnostics import Diagnostic, Location, SpikecError, fail
from ...ir.dialects import DIALECTS
from ...ir.graph import Graph
from ...ir.semantics import Semantics
from ...ir.text import HEADER, parse
from ..passes.quantise import Quantise

Command = Callable[..., Any]
MOST_STEPS = 10_000_000
TIME_UNITS = ("s", "ms", "us", "steps")


class Finite(click.FloatRange):
    """A number in a range; click's own lets ``nan`` through."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The number; a usage error for one that is none."""
        found = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value} is no finite number", param, ctx)
        return found


class Slower(Finite):
    """How many times slower: a factor, or 0 for no time at all."""

    LEAST: Final = 1e-6

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The factor; a usage error for one so small that cycles are no longer counted."""
        found = super().convert(value, param, ctx)
        if 0 < found < self.LEAST:
            self.fail(f"{value} is below {self.LEAST:g}; with 0 packets take no time", param, ctx)
        return found


# No hardware has steps of a quarter of an hour, or an interconnect a million times slower.
TICK: Final = Finite(1e-12, 1e3)
FACTOR: Final = Slower(0, 1e6)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
stimulus_option = click.option(
    "--stimulus",
    "-s",
    type=click.Path(path_type=Path),
    required=True,
    help="Stimulus file: .npz, .npy, .nir, or AER text (.aer, .txt, .csv).",
)
steps_option = click.option(
    "--steps",
    type=click.IntRange(1, MOST_STEPS),
    help="Steps of each sample (default: as in the file).",
)
samples_option = click.option(
    "--samples", type=click.IntRange(1), help="Use only the first samples."
)
output_option = click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Recording: .npz, or AER text (.aer, .txt, .csv).",
)
effort_option = click.option(
    "--effort",
    "-O",
    type=click.Choice(["0", "1", "2"]),
    show_default="1",
    help="Chip: 0 maps fast and greedily, 1 refines the partition and places, 2 does ten times the "
    "work for fewer packets and hops. --seed is of this, too.",
)
start_option = click.option(
    "--start",
    type=click.Choice(["own", "metis", "mtkahypar"]),
    show_default="own",
    help="Chip: whose first partition is refined; METIS and mt-KaHyPar are extras.",
)
conditions_option = click.option(
    "--condition",
    "conditions",
    multiple=True,
    metavar="KEY=VALUE",
    help="One of the conditions of a chip: of a crossbar as in wire=1 or age=1day; of an SFQ "
    "circuit, where it runs and not where it is compiled, as in bias=0.9 or spread=2%.",
)
seed_option = click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=1,
    show_default=True,
    help="For stochastic rounding; of a crossbar or an SFQ circuit, which chip; of SFQ synapses, "
    "what they pass.",
)
gap_option = click.option(
    "--gap",
    "gap_least",
    type=Finite(0.01, 0.99),
    metavar="G",
    help="What works has rates that are so far apart: the least share of steps with a spike at "
    "inputs at which the integer rung has one, less the greatest at the others. SFQ circuits that "
    "remember nothing.",
)
orders_option = click.option(
    "--orders",
    type=click.IntRange(1, 10_000),
    metavar="N",
    help="With --gap: in how many orders all inputs come at most.  [default: 100]",
)
error_option = click.option(
    "--error",
    type=Finite(0, 0.5),
    metavar="E",
    help="With --gap: a circuit has no more orders once they decide, each time by mistake with "
    "this probability at most; with 0 each has all of them.  [default: 0.05]",
)
release_option = click.option(
    "--release",
    multiple=True,
    metavar="[PROJECTION=]P|weights",
    help="SFQ: with which probability a synapse passes a pulse, of all projections or of one; 1 "
    "leaves synapses out, 'weights' gives each synapse its own, by its weight.",
)
learning_option = click.option(
    "--learning/--no-learning",
    default=True,
    help="Whether plastic projections learn (the default) or are tested.",
)


def reading_options(command: Command) -> Command:
    """Options on how a model file is read."""
    for option in (
        click.option(
            "--dialect",
            metavar="NAME",
            help=f"Step semantics of the file: {', '.join(DIALECTS)}. Guessed when absent.",
        ),
        click.option("--dt", type=float, help="Length of a step in seconds."),
        click.option(
            "--time-unit",
            type=click.Choice(list(TIME_UNITS)),
            default="s",
            show_default=True,
            help="Unit of the time constants in the file.",
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="RULE=VALUE",
            help="Replace one rule of the semantics, as in --set max_spikes=1 or --set reset=zero.",
        ),
    ):
        command = option(command)
    return command


def read_model(
    path: Path,
    dialect: str | None,
    dt: float | None,
    time_unit: str,
    overrides: tuple[str, ...],
) -> tuple[Graph, tuple[Diagnostic, ...]]:
    """Read a NIR file, a Lava-DL file or a graph text."""
    from ..frontends import read_network

    if not path.exists() or path.is_dir():
        what = "is a folder" if path.is_dir() else "does not exist"
        hint = "name a NIR file (.nir), a Lava-DL file (.net) or a graph text (.spk)"
        raise fail("E0116", f"the model {what}", Location(str(path)), hint)
    try:
        with path.open("rb") as stream:
            start = stream.read(len(HEADER))
        if start == HEADER.encode():
            if dialect is not None or dt is not None or time_unit != "s" or overrides:
                raise fail(
                    "E0707",
                    "a graph text holds its own rules and step: it takes no --dialect, --dt, "
                    "--time-unit or --set",
                    Location(str(path)),
                )
            return parse(path.read_text(encoding="utf-8"), str(path)), ()
    except (OSError, UnicodeDecodeError) as error:
        raise fail("E0116", f"the model cannot be read: {error}", Location(str(path))) from None
    return read_network(
        path,
        dialect=dialect,
        dt=dt,
        time_unit=time_unit,
        overrides=semantics_overrides(overrides),
    )


def semantics_overrides(words: tuple[str, ...]) -> dict[str, Any]:
    """``("max_spikes=1", "reset=zero")`` as fields of ``Semantics``; E0114 for what is none."""
    every = typing.get_type_hints(Semantics)
    hints = {f.name: every[f.name] for f in dataclasses.fields(Semantics)}
    hints["allow_unusual_time"] = bool
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        name = name.strip()
        if not equals or name not in hints:
            known = ", ".join(hints)
            raise fail("E0114", f"'{word}' is no RULE=VALUE", hint=f"rules: {known}")
        found[name] = _convert(name, value.strip(), hints[name])
    return found


def _convert(name: str, value: str, kind: Any) -> Any:
    options = typing.get_args(kind) or (kind,)
    if type(None) in options and value.lower() in ("none", "any", ""):
        return None
    for option in options:
        try:
            if option is bool:
                return {
                    "true": True,
                    "yes": True,
                    "1": True,
                    "false": False,
                    "no": False,
                    "0": False,
                }[value.lower()]
            if option is not type(None):
                return option(value)
        except (ValueError, KeyError):
            continue
    hint = " or ".join(_takes(option) for option in options)
    raise fail("E0114", f"'{value}' is no value of {name}", hint=hint)


def _takes(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return f"one of {', '.join(member.value for member in kind)}"
    words = {bool: "true or false", int: "a whole number", float: "a number"}
    return words.get(kind, "none")


def pass_options(cls: type[Any]) -> Callable[[Command], Command]:
    """A command-line option for every field of a pass."""
    hints = typing.get_type_hints(cls)

    def decorate(command: Command) -> Command:
        for f in reversed(dataclasses.fields(cls)):
            kind = hints[f.name]
            choices: Any = kind
            if typing.get_origin(kind) is types.UnionType:  # none unless it is given
                (choices,) = (t for t in typing.get_args(kind) if t is not type(None))
            elif typing.get_origin(kind) is typing.Literal:
                choices = click.Choice(typing.get_args(kind))
            elif isinstance(kind, type) and issubclass(kind, StrEnum):
                choices = click.Choice([m.value for m in kind])
            default = str(f.default) if isinstance(f.default, StrEnum) else f.default
            command = click.option(
                "--" + f.name.replace("_", "-"),
                f.name,
                type=choices,
                default=default,
                show_default=True,
                help=f.metadata.get("help"),
            )(command)
        return command

    return decorate


def take_pass(cls: type[Any], options: dict[str, Any]) -> Any:
    """The pass made of its options, which are removed from ``options``."""
    hints = typing.get_type_hints(cls)
    values = {f.name: options.pop(f.name) for f in dataclasses.fields(cls)}
    for name, value in values.items():
        if isinstance(hints[name], type) and issubclass(hints[name], StrEnum):
            values[name] = hints[name](value)
    return cls(**values)


def take_quantise(options: dict[str, Any]) -> Quantise:
    """The quantiser of the command line; checked, so that nothing is read in vain."""
    quantise = typing.cast(Quantise, take_pass(Quantise, options))
    try:
        quantise.check()
    except SpikecError as error:
        raise SpikecError(map(_as_options, error.diagnostics)) from None
    return quantise


def _as_options(found: Diagnostic) -> Diagnostic:
    """The fields of the quantiser under the names that the user typed."""
    message = found.message
    for f in dataclasses.fields(Quantise):
        if "_" in f.name:
            message = message.replace(f.name, "--" + f.name.replace("_", "-"))
    return dataclasses.replace(found, message=message)
