r"""A netlist of cells as a deck that people read: a subcircuit a kind of cell, an instance a cell.

Subcircuits are the decks of the library with their parameters. Each bias is a parameter
``NAME_bias`` of its subcircuit, or the one that it was, and rises from 0 to it in the first half of
the ramp, as JoSIM knows nothing before time 0. Instances with factors have a subcircuit of their
own, one for all with the same: an instance of JoSIM's can change the value of an inductor, not of a
source.

Names are letters, digits and ``_``, the only ones that JoSIM takes, and differ in more than large
and small letters: the instance ``p0[0].skip0`` is ``Xp0_0_skip0``, and a net is called what its
caller says, or as the instance and port that drive it. Parameters stand one a line and inside of
what uses them, and long lines go on with +, as JoSIM wants it. JoSIM's language: docs/syntax.md of
JoeyDelp/JoSIM.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from ....ir.records import Record
from ..cells import deck, rules_deck
from ..cells.netlist import Instance, Netlist
from ..josephson.circuit import GROUND, CurrentSource, Junction, JunctionModel, Part
from ..josephson.deck import Subcircuit, control_lines, element_line, model_line, subcircuits
from ..josephson.simulate import Transient
from ..josephson.waves import Wave, started

_WIDTH: Final = 100
_NAME: Final = re.compile(r"[A-Za-z_]\w*")
_GROUNDS: Final = (GROUND, "GND")
# What the value of an element begins with, where it is no word of its own.
_KEYS: Final = {"B": ("area=", "ic="), "T": ("z0=",)}


class Labels:
    """Words that JoSIM and ngspice take, each once."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {name.upper() for name in taken}

    def __call__(self, name: str) -> str:
        base = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_") or "x"
        label, count = base, 1
        while label.upper() in self._taken:
            count += 1
            label = f"{base}_{count}"
        self._taken.add(label.upper())
        return label


@dataclass(frozen=True, eq=False)
class Names(Record):
    """What instances and nets of a netlist are in its deck, and each instance's subcircuit."""

    instances: Mapping[str, str]
    nets: Mapping[str, str]
    kinds: Mapping[str, str]

    @classmethod
    def of(cls, netlist: Netlist, nets: Mapping[str, str] | None = None) -> Names:
        """The names of a netlist, the same each time; ``nets`` are those that are wished for."""
        label, kinds = Labels(_GROUNDS), dict[tuple[str, str], str]()
        for i in netlist.instances:
            kinds.setdefault((i.kind, _factors(i)), "")
        # Those of the library first, so that they keep their names.
        for kind, factors in sorted(kinds, key=lambda key: key[1] != ""):
            kinds[kind, factors] = label(kind)
        wished = dict(nets or {})
        for i in netlist.instances:
            for port in i.cell.outputs:
                wished.setdefault(i.nets[port], f"{i.name}_{port}")
        inner = (net for i in netlist.instances for net in i.nets.values())
        used = dict.fromkeys((*netlist.inputs, *inner))
        instance = Labels()
        return cls(
            {i.name: f"X{instance(i.name)}" for i in netlist.instances},
            {net: label(wished.get(net, net)) for net in used},
            {i.name: kinds[i.kind, _factors(i)] for i in netlist.instances},
        )

    def element(self, name: str) -> str:
        """An element of an instance, which has one name in circuits and another in decks."""
        own, _, instance = name.partition("|")
        return f"{own}|{self.instances[instance]}"


def write(
    netlist: Netlist,
    waves: Mapping[str, Wave],
    how: Transient,
    watch: Iterable[str],
    names: Names,
    notes: Iterable[str] = (),
) -> str:
    """A deck of ``netlist.circuit(waves)`` that prints the phases of junctions.

    ``deck.read`` has the same elements back, under the names of ``names`` and with sources that
    begin at time 0, where the ramp of ``how`` does. ``watch`` are junctions as the circuit calls
    them, ``notes`` comments at its head. E1422 as the circuit.
    """
    ramp = how.before * how.step
    lines = [f"* {note}" for note in notes]
    lines += sorted(model_line(model) for model in models(netlist))

    def inside(first: Instance) -> Iterator[str]:
        return _inside(first, ramp / 2)

    lines += layout(netlist, waves, how, names, inside, element_line)
    whole = replace(how, duration=how.duration + ramp, ramp=0.0)
    prints = [("p", names.element(name)) for name in watch]
    lines += ["*", *control_lines(whole, prints), ".end", ""]
    return "\n".join(folded(lines))


def models(netlist: Netlist) -> set[JunctionModel]:
    """The models of all its junctions."""
    return {j.model for i in netlist.instances for j in i.cell.circuit.of(Junction)}


def layout(
    netlist: Netlist,
    waves: Mapping[str, Wave],
    how: Transient,
    names: Names,
    inside: Callable[[Instance], Iterable[str]],
    element: Callable[[Part], str],
) -> Iterator[str]:
    """Subcircuits, instances, sources and ends of lines, in any language of SPICE's.

    ``inside`` are the lines within an instance's subcircuit, ``element`` that of one beside cells,
    whose wave begins where the ramp does.
    """
    written = dict[str, Instance]()
    for i in netlist.instances:
        written.setdefault(names.kinds[i.name], i)
    for label, first in written.items():
        yield "*"
        yield f"* {first.cell.title}."
        if _factors(first):
            yield f"* A {first.kind} with {_factors(first)}."
        yield f".subckt {label} {' '.join(first.cell.ports)}"
        yield from inside(first)
        yield f".ends {label}"
    yield from ("*", "* Cells: their nets, and what they are.")
    for i in netlist.instances:
        nets = " ".join(names.nets[i.nets[port]] for port in i.cell.ports)
        yield f"{names.instances[i.name]} {nets} {names.kinds[i.name]}"
    yield from ("*", "* Pulses that come in, and what ends lines.")
    for part in _ends(netlist, waves):
        if isinstance(part, CurrentSource):
            wave = started(part.wave, how.before * how.step, how.duration)
            part = replace(part, wave=wave)
        (net,) = (node for node in part.nodes if node != GROUND)
        name = f"{part.letter}{names.nets[net]}"
        yield element(part.moved(name, {**names.nets, GROUND: GROUND}, {}))


def _factors(instance: Instance) -> str:
    """What an instance has other than its cell, for people: nothing where it is the cell."""
    every = sorted(instance.factors.items())
    return ", ".join(f"{name} times {factor!r}" for name, factor in every if factor != 1.0)


def _ends(netlist: Netlist, waves: Mapping[str, Wave]) -> tuple[Part, ...]:
    """What the circuit has beside its cells."""
    inside = sum(len(i.cell.circuit.parts) for i in netlist.instances)
    return netlist.circuit(waves).parts[inside:]


def _inside(instance: Instance, rise: float) -> Iterator[str]:
    (found,) = subcircuits(f"{rules_deck()}\n{deck(instance.kind)}", f"{instance.kind}.cir")
    elements, parameters = _body(found, instance.factors, rise)
    yield from (f".param {name}={value}" for name, value in parameters.items())
    yield from elements


def _body(
    found: Subcircuit, factors: Mapping[str, float], rise: float
) -> tuple[list[str], dict[str, str]]:
    """Elements as lines, and the parameters that they have."""
    elements, parameters = [], _used(found)
    label = Labels(parameters)
    for words in found.elements:
        name, letter, factor = words[0], words[0][0].upper(), factors.get(words[0], 1.0)
        tight = [_tight(word) for word in words]
        if letter == "I":
            value = tight[-1]
            if value.upper() not in parameters or factor != 1.0:
                bias = label(f"{name}_bias")
                parameters[bias] = _times(value, factor)
                value = bias
            wave = f"pwl(0 0 {rise!r} {value})" if rise else f"dc {value}"
            tight[3:] = [wave]
        elif factor != 1.0:
            if letter == "B" and not any("=" in word for word in tight):
                tight.append("area=1")
            keys = _KEYS.get(letter, ())
            place = next((k for k, w in enumerate(tight) if w.lower().startswith(keys)), 3)
            key, sign, value = tight[place].rpartition("=")
            tight[place] = f"{key}{sign}{_times(value, factor)}"
        elements.append(" ".join(tight))
    return elements, parameters


def _used(found: Subcircuit) -> dict[str, str]:
    """The parameters that elements need, and those that these need, in their order."""
    every = {name: _tight(value) for name, value in found.parameters.items()}
    wanted = set[str]()
    texts = [" ".join(words[1:]) for words in found.elements]
    while texts:
        here = {word.upper() for word in _NAME.findall(texts.pop())}
        texts += [every[name] for name in sorted((here & set(every)) - wanted)]
        wanted |= here
    return {name: value for name, value in every.items() if name in wanted}


def _tight(word: str) -> str:
    return "".join(word.split())


def _times(value: str, factor: float) -> str:
    if factor == 1.0:
        return value
    bare = value[1:-1] if value.startswith("{") else value
    plain = re.fullmatch(r"-?[\w.]+", bare)
    return f"{bare}*{factor!r}" if plain else f"({bare})*{factor!r}"


def folded(lines: Iterable[str]) -> Iterator[str]:
    """Lines that are longer than people like, with + where they go on."""
    for line in lines:
        if len(line) <= _WIDTH or line.startswith("*"):
            yield line
        else:
            yield from textwrap.wrap(
                line,
                _WIDTH,
                subsequent_indent="+ ",
                break_long_words=False,
                break_on_hyphens=False,
            )
