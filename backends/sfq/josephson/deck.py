r"""Circuits as decks, in what JoSIM and SPICE share of their language, and back.

Read are B, R, L, C, K, I, V, T and X; ``.subckt``, ``.model`` of ``jj``, ``.param``, ``.tran``,
``.print``, ``.plot``, ``.save``, ``.temp``, ``.neb``, ``.include``, ``.control`` and ``.end``.
Comments begin with * or #, or with $ behind a space; lines that go on begin with +. Large and small
letters are the same; names keep those they are first written with. The first line is one as all
others, as in JoSIM. Instances become elements: ``L1`` of ``X1`` is ``L1|X1``.

Passed over is what changes no element: ``.option``, ``.iv``, ``.file`` and ``.title``, the words
``fcheck`` and ``nfree`` of JSIM, ``UIC`` and ``DST`` of ``.tran``, which say what is so here:
phases begin at 0. All else is an error that names the line and the word, and what to do where
something else means the same: E1410, E1411 for numbers and expressions.

JoSIM's language: docs/syntax.md of JoeyDelp/JoSIM.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from ....ir.diagnostics import NOWHERE, Location, SpikecError, fail
from ....ir.records import Record
from .circuit import (
    GROUND,
    Capacitor,
    Circuit,
    Coupling,
    CurrentSource,
    Inductor,
    Junction,
    JunctionModel,
    Line,
    Part,
    Resistor,
    Source,
    VoltageSource,
    placed,
)
from .expression import ExpressionError, evaluate
from .simulate import Transient
from .waves import Constant, Pulse, Pwl, Sine, Wave

# Parameters of a model jj: ours, and JoSIM's words for them.
_MODEL: Final = {
    "RTYPE": "rtype", "VG": "gap", "VGAP": "gap", "IC": "critical", "ICRIT": "critical",
    "RN": "normal", "R0": "subgap", "C": "capacitance", "CAP": "capacitance", "DELV": "spread",
}  # fmt: skip
_OF_NODES: Final = ("NODEV", "NODEP")
_KINDS: Final = (*_OF_NODES, "DEVV", "DEVI", "DEVP", "PHASE")
_NAME: Final = re.compile(r"[\w.|]+")
_COMMENT: Final = re.compile(r"(?:^|\s)\$.*$")
_GROUNDS: Final = ("0", "GND")
_DEEPEST: Final = 20
# What takes minutes and gigabytes; more are of a time without its unit.
_MOST_STEPS: Final = 10**8
_MOST_PULSES: Final = 10**7  # of one periodic source
_MOST_LINE: Final = 10**7  # steps of a transmission line, whose waves are kept
_LONGEST_STEP: Final = 1e-9  # s
_SECONDS: Final = "times are in s: 200 ps is 200p"
_MOST_CHAINED: Final = 100  # parameters, each made of the next
_MOST_FILES: Final = 1000  # that a deck includes, each as often as it is
# What changes no element, nor what is simulated of it: outputs and other programs' solvers.
_PASSED: Final = (".OPTION", ".OPTIONS", ".IV", ".FILE", ".TITLE")
_FLAGS: Final = ("FCHECK", "NFREE")
_INCLUDES: Final = (".INCLUDE", ".INC")
# What decks have that is not here, and what has the same meaning.
_INSTEAD: Final = {
    ".LIB": (".lib is not read", "write its section into a file of its own, and .include that"),
    ".SWEEP": ("a deck is simulated once", "a value each time; factors= of Simulator.run has many"),
    ".STEP": ("a deck is simulated once", "a value each time; factors= of Simulator.run has many"),
    ".SPREAD": ("values by chance are not of a deck", "Spread and yields, in docs/sfq-margins.md"),
    ".IC": ("phases begin at 0", "sources that rise to what is wanted"),
    "P": ("phase sources are not there", "a current source into an inductor of the loop"),
    **dict.fromkeys("EFGH", ("dependent sources are not there", None)),
}
# Parameters of a model jj that say nothing at these values, and what to do with others.
_SAME: Final = {
    "CPR": ((1.0,), "a current is Ic sin(phase) here, without harmonics"),
    "PHI": ((0.0,), "no junction is shifted by a phase here"),
    "D": ((0.0,), "no contact is transparent here"),
}
# Of a transparent contact alone: temperature and critical temperature; of JSIM: control currents.
_UNUSED: Final = ("T", "TC", "CCT", "ICON")
# Beside PI, which expressions have themselves; a parameter of that name comes first.
_CONSTANTS: Final = {
    "PHI_ZERO": 2.067833831170082e-15, "BOLTZMANN": 1.38064852e-23, "EV": 1.6021766208e-19,
    "HBAR": 1.0545718001391127e-34, "C": 299792458.0, "MU0": 12.566370614e-7,
    "EPS0": 8.854187817e-12, "SIGMA": 3.291059757e-16,
}  # fmt: skip
_NAMED: Final = 8
_SHAPES: Final = ("PWL", "PULSE", "SIN")
# What an element has behind its name.
_WANTED: Final = {
    "B": "two nodes and a model",
    "R": "two nodes and a resistance in ohm",
    "L": "two nodes and an inductance in H",
    "C": "two nodes and a capacitance in F",
    "K": "two inductors and a factor within -1 to 1",
    "T": "four nodes, Z0= in ohm and TD= in s",
    "I": "two nodes and a value in A, or its course as pwl(..)",
    "V": "two nodes and a value in V, or its course as pwl(..)",
}


@contextlib.contextmanager
def refused_at(place: Location) -> Iterator[None]:
    """What is refused without a place is refused at ``place``."""
    try:
        yield
    except SpikecError as error:
        raise SpikecError(
            dataclasses.replace(one, where=place) if one.where == NOWHERE else one
            for one in error.diagnostics
        ) from None


def _alike(word: str, known: Iterable[str], what: str) -> str:
    """A name that is there and like one that is not, else those there are."""
    names = sorted(set(known))
    if not names:
        return f"the deck has no {what}"
    small = {name.lower(): name for name in names}
    near = difflib.get_close_matches(word.lower(), small, n=1)
    if near:
        return f"did you mean '{small[near[0]]}'?"
    more = ", .." if len(names) > _NAMED else ""
    return f"there are {', '.join(names[:_NAMED])}{more}"


def _node(word: str) -> bool:
    return _NAME.fullmatch(word) is not None and word.upper() not in _KINDS


def _assigned(words: Iterable[str]) -> Iterator[str]:
    """``NAME=VALUE`` each, whose values may have spaces in them."""
    whole = ""
    for word in words:
        if re.match(r"\w+=", word):
            if whole:
                yield whole
            whole = word
        else:
            whole += word
    if whole:
        yield whole


@dataclass(frozen=True, eq=False)
class Deck(Record):
    """What a deck says: a circuit, the transient if it has one, and what it prints.

    ``prints`` are pairs of a kind, as V, P or I, and a name, as of an element, a node or two nodes.
    """

    circuit: Circuit
    transient: Transient | None = None
    prints: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Subcircuit:
    """A ``.subckt`` as it is written: parameters and the words of its elements, not their values.

    ``parameters`` of the deck around it are among them, as it sees those.
    """

    name: str
    ports: tuple[str, ...]
    parameters: Mapping[str, str]
    elements: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Statement:
    at: Location
    words: tuple[str, ...]


@dataclass
class _Block:
    """The deck itself, or a subcircuit of it."""

    name: str = ""
    ports: tuple[str, ...] = ()
    at: Location = NOWHERE
    defaults: dict[str, str] = field(default_factory=dict)
    elements: list[_Statement] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)
    models: dict[str, tuple[str, dict[str, str], Location]] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def node(self, name: str) -> str:
        """A node as it was first written in this block."""
        return GROUND if name.upper() in _GROUNDS else self.nodes.setdefault(name.upper(), name)

    def named(self, name: str) -> str:
        """An element as it was first written in this block."""
        return self.names.setdefault(name.upper(), name)


class _Scope:
    """Values of names: those of a block, above those of what holds it, found when they are asked.

    So a parameter may stand before what it is made of.
    """

    def __init__(
        self, texts: Mapping[str, str], outer: _Scope | None, fixed: dict[str, float]
    ) -> None:
        self._texts, self._outer, self._known = texts, outer, dict(fixed)
        self._asked: set[str] = set()

    @property
    def outermost(self) -> _Scope:
        """What a subcircuit sees: the deck's own parameters, not those of where it is used."""
        return self if self._outer is None else self._outer.outermost

    def __call__(self, name: str) -> float:
        if name in self._known:
            return self._known[name]
        if name not in self._texts:
            if self._outer is not None:
                return self._outer(name)
            if name in _CONSTANTS:
                return _CONSTANTS[name]
            raise ExpressionError(f"'{name}' is no parameter")
        if name in self._asked:
            raise ExpressionError(f"'{name}' is made of itself")
        if len(self._asked) > _MOST_CHAINED:
            raise ExpressionError(f"'{name}' is made of too many others")
        self._asked.add(name)
        self._known[name] = evaluate(self._texts[name], self)
        self._asked.discard(name)
        return self._known[name]


def read(text: str, file: str = "deck") -> Deck:
    """The deck that ``text`` is; ``file`` is what errors call it.

    E1410 and E1411 for what is not understood, and what ``Circuit`` and ``Transient`` refuse; E1406
    for an ``.include``, as a text is in no folder: `load` has one.
    """
    return _Reader(file).deck(text)


def load(path: Path) -> Deck:
    """The deck of a file; an ``.include`` of its own is relative to the file that it stands in.

    E1406 for a file that cannot be read, or includes itself; else as `read`.
    """
    reader = _Reader(str(path), path.parent)
    return reader.deck(reader.text(path, Location(str(path))))


def subcircuits(text: str, file: str = "deck") -> tuple[Subcircuit, ...]:
    """The subcircuits of a deck, unevaluated; E1410 as `read`."""
    return _Reader(file).subcircuits(text)


class _Reader:
    """``folder`` is that of the file, if it is one."""

    def __init__(self, file: str, folder: Path | None = None) -> None:
        self._file, self._folder = file, folder
        self._blocks: dict[str, _Block] = {}
        self._tran: _Statement | None = None
        self._temp: _Statement | None = None
        self._nebs: list[_Statement] = []
        self._kelvin: list[tuple[float, _Statement]] = []
        self._unsaid = 0
        self._prints: list[tuple[str, str]] = []
        self._files = 0

    def deck(self, text: str) -> Deck:
        main = self._sorted(text)
        scope = _Scope(main.parameters, None, {})
        stop = self._values(self._tran, scope)[1] if self._tran else 0.0
        self._stop, self._step = stop, self._values(self._tran, scope)[0] if self._tran else 0.0
        placed_parts = tuple(self._parts(main, scope, [main], ()))
        parts, places = tuple(p for p, _ in placed_parts), tuple(at for _, at in placed_parts)
        transient = None
        if self._tran is not None:
            kelvin = self._temperature(scope)
            with refused_at(self._tran.at):
                transient = Transient(stop, self._step, 0.0, temperature=kelvin)
            self._once_a_step(scope)
            self._short(transient, placed_parts, self._tran.at)
        known = {node.upper(): node for part in parts for node in part.nodes}
        known |= {part.name.upper(): part.name for part in parts}
        prints = tuple((kind, known.get(name.upper(), name)) for kind, name in self._prints)
        return Deck(Circuit(parts, places), transient, prints)

    def subcircuits(self, text: str) -> tuple[Subcircuit, ...]:
        main = self._sorted(text)
        return tuple(
            Subcircuit(
                block.name,
                block.ports,
                {
                    name: value
                    for one in (main.parameters, block.defaults, block.parameters)
                    for name, value in one.items()
                },
                tuple(element.words for element in block.elements),
            )
            for block in self._blocks.values()
        )

    # -- lines ------------------------------------------------------------------------------------

    def _sorted(self, text: str) -> _Block:
        """The statements of each block."""
        main = block = _Block()
        top = Path(self._file) if self._folder is not None else None
        for statement in self._statements(text, self._file, top, ()):
            word = statement.words[0].upper()
            if word == ".SUBCKT":
                if block is not main:
                    raise self._wrong(statement, word, "a subcircuit within a subcircuit")
                block = self._opened(statement)
            elif word == ".ENDS":
                if block is main:
                    raise self._wrong(statement, word, "it ends nothing")
                block = main
            elif word == ".PARAM":
                block.parameters |= self._pairs(statement, _assigned(statement.words[1:]))
            elif word == ".MODEL":
                self._model(statement, block)
            elif word == ".TRAN":
                self._tran = statement
            elif word == ".TEMP":
                self._temp = statement
            elif word == ".NEB":
                self._nebs.append(statement)
            elif word in (".PRINT", ".PLOT", ".SAVE"):
                self._prints += self._printed(statement)
            elif word in _PASSED:
                self._passed(statement)
            elif word[0] in "BRLCKIVTX":
                block.elements.append(statement)
            else:
                why, hint = _INSTEAD.get(
                    word if word[0] == "." else word[0], ("no such statement is read", None)
                )
                raise self._wrong(statement, statement.words[0], why, hint)
        if block is not main:
            raise fail("E1410", f"the subcircuit '{block.name}' has no .ends", block.at)
        return main

    def _statements(
        self, text: str, file: str, path: Path | None, above: tuple[tuple[Path, Location], ...]
    ) -> Iterator[_Statement]:
        """The statements of a text up to its ``.end``, and of what it includes in their places.

        ``above`` are the files that it is included by, and where.
        """
        whole: list[tuple[Location, str]] = []
        for number, raw in enumerate(text.splitlines(), 1):
            line, at = _COMMENT.sub("", raw).strip(), Location(file, line=number)
            if not line or line[0] in "*#":
                continue
            if line[0] == "+":
                if not whole:
                    raise self._wrong(_Statement(at, ("+",)), "+", "it goes on from nothing")
                whole[-1] = (whole[-1][0], f"{whole[-1][1]} {line[1:]}")
            else:
                whole.append((at, line))
        controls = False
        for at, line in whole:
            first, *rest = line.split(None, 1)
            word = first.upper()
            if word in (".END", ".CONTROL", ".ENDC"):
                controls = word == ".CONTROL"
                if word == ".END":
                    return
            elif word in _INCLUDES:
                yield from self._included("".join(rest), at, path, above)
            else:
                # A block of controls has them without their points.
                words = tuple(self._words(at, f".{line}" if controls else line))
                if not words:
                    raise self._wrong(_Statement(at, (line,)), line, "it says nothing")
                yield _Statement(at, words)

    def _included(
        self, said: str, at: Location, path: Path | None, above: tuple[tuple[Path, Location], ...]
    ) -> Iterator[_Statement]:
        name = said.strip().strip("\"'")
        if path is None:
            why = f"'{name}' cannot be included by a text, which is in no folder"
            raise fail("E1406", why, at, "read the deck from its file")
        inner = path.parent / name
        chain = (*above, (path, at))
        for file, where in chain:
            if name and file.resolve() == inner.resolve():
                why = f"'{name}' includes itself, by what it includes at {where}"
                raise fail("E1406", why, at, "leave one of the two out")
        self._files += 1
        if self._files > _MOST_FILES:
            raise fail("E1406", f"'{name}' is the {self._files}th file that is included", at)
        yield from self._statements(self.text(inner, at), str(inner), inner, chain)

    def text(self, path: Path, at: Location) -> str:
        """What a file says; E1406 at the place that wants it."""
        if not path.is_file():
            why = "is no file" if path.exists() else "is not there"
            hint = "paths are relative to the file that includes" if at.line is not None else None
            raise fail("E1406", f"'{path}' {why}", at, hint)
        try:
            # Comments are in any encoding; what counts of a deck is ASCII.
            return path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise fail("E1406", f"'{path}' cannot be read: {error.strerror}", at) from None

    def _passed(self, statement: _Statement) -> None:
        """A statement that changes nothing; an option that does is refused."""
        for word in statement.words[1:]:
            name = word.partition("=")[0].upper()
            if statement.words[0].upper().startswith(".OPTION") and name in ("TEMP", "SCALE"):
                hint = ".temp KELVIN" if name == "TEMP" else "write the values as they are"
                raise self._wrong(statement, word, "this option would change the circuit", hint)

    def _words(self, at: Location, line: str) -> Iterator[str]:
        """Words, with what is in parentheses or braces in one with what is before."""
        tight = re.sub(r"\b(jj|pwl|pulse|sin)\s+\(", r"\1(", line, flags=re.I)
        tight = re.sub(r"\s*=\s*", "=", tight)
        word, depth = "", 0
        for letter in tight:
            depth += (letter in "({") - (letter in ")}")
            if depth < 0:
                break
            if (letter.isspace() or letter == ",") and not depth:
                if word:
                    yield word
                word = ""
            else:
                word += letter
        if depth:
            raise self._wrong(_Statement(at, (line,)), word or line, "parentheses do not match")
        if word:
            yield word

    def _wrong(
        self, statement: _Statement, word: str, why: str, hint: str | None = None
    ) -> SpikecError:
        return fail("E1410", f"'{word}': {why}", statement.at, hint)

    def _pairs(self, statement: _Statement, words: Iterable[str]) -> dict[str, str]:
        out = {}
        for word in words:
            name, sign, value = word.partition("=")
            if not (sign and name and value):
                raise self._wrong(statement, word, "NAME=VALUE is wanted")
            out[name.upper()] = value
        return out

    def _opened(self, statement: _Statement) -> _Block:
        words = statement.words[1:]
        ports = [word for word in words if "=" not in word]
        if not ports:
            raise self._wrong(statement, statement.words[0], "a subcircuit needs a name")
        name = ports.pop(0)
        if name.upper() in self._blocks:
            first = self._blocks[name.upper()].at
            raise self._wrong(statement, name, f"this subcircuit is there already, at {first}")
        defaults = self._pairs(statement, words[len(ports) + 1 :])
        block = _Block(name, tuple(ports), statement.at, dict(defaults))
        self._blocks[name.upper()] = block
        block.ports = tuple(block.node(port) for port in ports)
        return block

    def _model(self, statement: _Statement, block: _Block) -> None:
        words = statement.words
        # WRspice's parameters need no parentheses.
        kind = " ".join(words[2:])
        found = re.fullmatch(r"jj(?:\s*\((.*)\)|((?:\s+\S+=\S+)*))", kind, re.I | re.S)
        if found is None:
            last = words[min(2, len(words) - 1)]
            raise self._wrong(statement, last, ".model NAME jj(PARAMETERS) is wanted")
        inside = [word for word in re.split(r"[\s,]+", found[1] or found[2] or "") if word]
        pairs = self._pairs(statement, inside)
        for name in pairs:
            if name not in (*_MODEL, *_SAME, *_UNUSED):
                raise self._wrong(statement, name, "no parameter of a model jj that is read")
        read = {name: value for name, value in pairs.items() if name not in _UNUSED}
        block.models[words[1].upper()] = (words[1], read, statement.at)

    def _printed(self, statement: _Statement) -> Iterator[tuple[str, str]]:
        words = list(statement.words[1:])
        if words and words[0].upper() == "TRAN":
            words.pop(0)
        if not words:
            raise self._wrong(statement, statement.words[0], "it prints nothing")
        while words:
            word = words.pop(0)
            found = re.fullmatch(r"(\w+)\((.*)\)", word)
            stored = re.fullmatch(r"@(.+)\[(\w+)\]", word)
            if found is not None:
                kind, names = found[1], [name.strip() for name in found[2].split(",")]
            elif stored is not None:
                kind, names = stored[2], [stored[1]]
            elif not re.fullmatch(r"\w+", word):
                raise self._wrong(statement, word, "KIND(NAME) or KIND NAME is wanted")
            elif not words:
                raise self._wrong(statement, word, "it prints nothing")
            else:
                # A node's voltage or phase may be against another node.
                kind, names = word, [words.pop(0)]
                if kind.upper() in _OF_NODES and words and _node(words[0]):
                    names.append(words.pop(0))
            # JoSIM's L1.X1 and L1|X1 are the same.
            yield kind.upper(), " ".join(name.replace(".", "|") for name in names)

    # -- elements ---------------------------------------------------------------------------------

    def _values(self, statement: _Statement | None, scope: _Scope) -> list[float]:
        assert statement is not None
        words = [word for word in statement.words[1:] if word.upper() not in ("UIC", "DST")]
        values = [self._value(statement, word, scope) for word in words]
        if statement.words[0].upper() == ".TRAN" and not 2 <= len(values) <= 4:
            raise self._wrong(statement, statement.words[0], "a step and a stop are wanted")
        single = {".TEMP": "one temperature in K", ".NEB": "one bandwidth in Hz"}
        wanted = single.get(statement.words[0].upper())
        if wanted is not None and len(values) != 1:
            raise self._wrong(statement, statement.words[0], f"{wanted} is wanted")
        return values

    def _temperature(self, scope: _Scope) -> float:
        """The one of all resistors: that of ``.temp``, or of ``temp=`` where all have the same."""
        kelvin = self._values(self._temp, scope)[0] if self._temp else 0.0
        if not self._unsaid and self._kelvin:
            kelvin = self._kelvin[0][0]
        for own, statement in self._kelvin:
            if own != kelvin:
                why = f"this is at {own:g} K and others at {kelvin:g} K"
                hint = "one temperature for all: .temp KELVIN, and no temp="
                raise self._wrong(statement, "TEMP", why, hint)
        return kelvin

    def _short(self, how: Transient, parts: Iterable[tuple[Part, Location]], at: Location) -> None:
        """Refuse what would never end, has no place in memory, or sees no pulse."""
        if how.step > _LONGEST_STEP:
            why = f"a step of {how.step:g} s; pulses of junctions are some ps long"
            raise fail("E1404", why, at, _SECONDS)
        steps = how.duration / how.step
        if steps > _MOST_STEPS:
            why = f"{how.duration:g} s in steps of {how.step:g} s are {steps:.3g} steps"
            raise fail("E1404", f"{why}; at most {_MOST_STEPS:,}", at, _SECONDS)
        for part, place in parts:
            if isinstance(part, Line) and part.seconds / how.step > _MOST_LINE:
                why = f"'{part.name}' lasts {part.seconds:g} s, {part.seconds / how.step:.3g} steps"
                raise fail("E1404", f"{why}; at most {_MOST_LINE:,}", place, _SECONDS)
            if not (isinstance(part, Source) and isinstance(part.wave, Pulse)):
                continue
            pulses, period = part.wave.repeats(how.duration), part.wave.period
            if pulses > _MOST_PULSES:
                why = f"'{part.name}' has {pulses:.3g} pulses in {how.duration:g} s, one each "
                why += f"{period:g} s; at most {_MOST_PULSES:,}"
                raise fail("E1404", why, place, _SECONDS)

    def _once_a_step(self, scope: _Scope) -> None:
        """Noise of ours is drawn in every step: a bandwidth that says anything else is refused."""
        for statement in self._nebs:
            (hertz,) = self._values(statement, scope)
            if abs(hertz * self._step - 1) > 1e-9:
                why = f"noise is drawn once a step, so that it is {1 / self._step:g}"
                hint = "leave it out: noise is as white as steps are short"
                raise self._wrong(statement, statement.words[1], why, hint)

    def _value(self, statement: _Statement, text: str, scope: _Scope) -> float:
        try:
            return evaluate(text, scope)
        except ExpressionError as error:
            raise fail("E1411", f"'{text}': {error}", statement.at) from None

    def _parts(
        self, block: _Block, scope: _Scope, blocks: list[_Block], above: tuple[str, ...],
        replaced: Mapping[str, float] | None = None,
    ) -> Iterator[tuple[Part, Location]]:  # fmt: skip
        """The elements of a block, those of its instances among them, and where each is written."""
        for statement in block.elements:
            letter = statement.words[0][0].upper()
            if letter == "X":
                yield from self._instance(statement, scope, blocks, above)
            else:
                own = (replaced or {}).get(statement.words[0].upper())
                yield self._element(statement, letter, scope, blocks, own), statement.at

    def _instance(
        self, statement: _Statement, scope: _Scope, blocks: list[_Block], above: tuple[str, ...]
    ) -> Iterator[tuple[Part, Location]]:
        name = statement.words[0]
        nodes = [word for word in statement.words[1:] if "=" not in word]
        given = self._pairs(statement, [word for word in statement.words[1:] if "=" in word])
        # SPICE has the subcircuit's name behind the nodes, JSIM before them.
        kind = next((k for k in (-1, 0) if nodes and nodes[k].upper() in self._blocks), None)
        if kind is None:
            known = [block.name for block in self._blocks.values()]
            word = nodes[-1] if nodes else name
            hint = _alike(word, known, "subcircuits")
            raise self._wrong(statement, word, "no such subcircuit", hint)
        inner = self._blocks[nodes.pop(kind).upper()]
        if len(nodes) != len(inner.ports):
            raise self._wrong(
                statement, name, f"{len(nodes)} nodes for {len(inner.ports)} of '{inner.name}'"
            )
        if len(above) >= _DEEPEST or inner.name.upper() in above:
            raise self._wrong(statement, inner.name, "this subcircuit is within itself")
        values = {k: self._value(statement, v, scope) for k, v in given.items()}
        labels = {s.words[0].upper() for s in inner.elements}
        texts = {**inner.defaults, **inner.parameters}
        for label in values:
            if label not in texts and label not in labels:
                raise self._wrong(statement, label, f"'{inner.name}' has no such parameter")
        local = _Scope(texts, scope.outermost, {k: v for k, v in values.items() if k in texts})
        deeper = (*above, inner.name.upper())
        own = tuple(self._parts(inner, local, [*blocks[:1], inner], deeper, values))
        there = {node for part, _ in own for node in part.nodes}
        ports = dict(zip(inner.ports, (blocks[-1].node(n) for n in nodes), strict=True))
        ports = {k: v for k, v in ports.items() if k in there}
        parts = placed((part for part, _ in own), blocks[-1].named(name), ports)
        return zip(parts, (at for _, at in own), strict=True)

    def _element(
        self,
        statement: _Statement,
        letter: str,
        scope: _Scope,
        blocks: list[_Block],
        own: float | None,
    ) -> Part:
        words = statement.words
        paired, plain = list[str](), list[str]()
        for word in words[1:]:
            if "=" in word and "(" not in word.partition("=")[0]:
                paired.append(word)
            elif letter not in "RLCKB" or word.upper() not in _FLAGS:
                plain.append(word)
        pairs = self._pairs(statement, paired)
        block = blocks[-1]
        name = block.named(words[0])
        if letter in "RLCK":
            self._heated(letter, statement, pairs, scope)
            self._shape(statement, plain, 3, pairs, ("TEMP", "NEB") if letter == "R" else ())
            spelt = block.named if letter == "K" else block.node
            a, b = (spelt(word) for word in plain[:2])
            value = own if own is not None else self._value(statement, plain[2], scope)
            if letter == "K":
                return Coupling(name, a, b, value)
            kind = {"R": Resistor, "L": Inductor, "C": Capacitor}[letter]
            return kind(name, a, b, value)
        if letter == "B":
            if len(plain) == 4:  # WRspice's node of the phase
                plain.pop(2)
            self._heated(letter, statement, pairs, scope)
            self._shape(statement, plain, 3, pairs, ("AREA", "IC", "TEMP", "NEB"))
            model = self._found(statement, plain[2], scope, blocks)
            area = self._value(statement, pairs.get("AREA", "1"), scope)
            if "IC" in pairs:
                area = self._value(statement, pairs["IC"], scope) / model.critical
            a, b = (block.node(word) for word in plain[:2])
            return Junction(name, a, b, model, area if own is None else own)
        if letter == "T":
            plain = [word for word in plain if word.upper() != "LOSSLESS"]
            self._shape(statement, plain, 4, pairs, ("Z0", "TD"))
            for wanted in ("Z0", "TD"):
                if wanted not in pairs:
                    raise self._wrong(statement, words[0], f"{wanted}=VALUE is missing")
            ohm, seconds = (self._value(statement, pairs[k], scope) for k in ("Z0", "TD"))
            a, b, c, d = (block.node(word) for word in plain)
            return Line(name, a, b, c, d, ohm, seconds)
        self._shape(statement, plain[:3], 3, pairs, ())
        a, b = (block.node(word) for word in plain[:2])
        wave = self._wave(statement, plain[2:], scope)
        return (CurrentSource if letter == "I" else VoltageSource)(name, a, b, wave)

    def _heated(
        self, letter: str, statement: _Statement, pairs: Mapping[str, str], scope: _Scope
    ) -> None:
        """What a resistor or junction says of its own noise."""
        if letter not in "RB":
            return
        if "NEB" in pairs:
            hertz = self._value(statement, pairs["NEB"], scope)
            self._nebs.append(_Statement(statement.at, (".NEB", repr(hertz))))
        if "TEMP" in pairs:
            self._kelvin.append((self._value(statement, pairs["TEMP"], scope), statement))
        else:
            self._unsaid += 1

    def _shape(
        self,
        statement: _Statement,
        plain: list[str],
        count: int,
        pairs: Mapping[str, str],
        known: tuple[str, ...],
    ) -> None:
        for name in pairs:
            if name not in known:
                raise self._wrong(statement, name, "this is not read here")
        if len(plain) > count:
            raise self._wrong(statement, plain[count], "one word too many")
        if len(plain) < count:
            word = statement.words[0]
            why = f"something is missing: {word[0].upper()} has {_WANTED[word[0].upper()]}"
            raise self._wrong(statement, word, why)

    def _found(
        self, statement: _Statement, name: str, scope: _Scope, blocks: list[_Block]
    ) -> JunctionModel:
        for block in reversed(blocks):
            if name.upper() in block.models:
                spelt, pairs, at = block.models[name.upper()]
                place = _Statement(at, ("", ""))
                every = {k: self._value(place, v, scope) for k, v in pairs.items()}
                for key, (same, why) in _SAME.items():
                    if every.pop(key, same[0]) not in same:
                        hint = f"{key}={same[0]:g}, or JoSIM"
                        raise self._wrong(place, f"{key}={pairs[key]}", why, hint)
                values = {_MODEL[k]: value for k, value in every.items()}
                rtype = values.pop("rtype", 1.0)
                if rtype not in (0.0, 1.0):
                    raise self._wrong(place, "rtype", f"it is {rtype:g}, not 0 or 1")
                # Models of subcircuits may have one name and not be the same.
                whole = f"{spelt}|{block.name}" if block.name else spelt
                with refused_at(at):
                    return JunctionModel(whole, rtype=int(rtype), **values)
        known = [spelt for block in blocks for spelt, _, _ in block.models.values()]
        raise self._wrong(statement, name, "no such model", _alike(name, known, "models"))

    def _wave(self, statement: _Statement, words: list[str], scope: _Scope) -> Wave:
        found = re.fullmatch(r"(\w+)\((.*)\)", words[0], re.S)
        kind = found[1].upper() if found else ""
        if kind == "NOISE":
            hint = ".temp KELVIN gives all resistors their noise"
            raise self._wrong(statement, words[0], "no source is of noise here", hint)
        if kind in ("EXP", "CUS"):
            hint = "pwl, with as many points as it needs"
            raise self._wrong(statement, words[0], "no source has this shape here", hint)
        if found is None or kind not in _SHAPES:
            if words[0].upper() == "DC":
                words = words[1:]
            if len(words) != 1:
                raise self._wrong(statement, statement.words[0], "one value is wanted")
            return Constant(self._value(statement, words[0], scope))
        if len(words) > 1:
            raise self._wrong(statement, words[1], "one word too many")
        inside = list(self._words(statement.at, found[2]))
        values = [self._value(statement, word, scope) for word in inside]
        with refused_at(statement.at):
            return self._shaped(statement, kind, values)

    def _shaped(self, statement: _Statement, kind: str, values: list[float]) -> Wave:
        word, count = statement.words[0], len(values)
        if kind == "PWL":
            if count < 2 or count % 2:
                raise self._wrong(statement, word, "pwl has pairs of a time and a value")
            return Pwl(np.array(values[::2]), np.array(values[1::2]))
        if kind == "PULSE":
            if not 2 <= count <= 7:
                raise self._wrong(statement, word, "pulse has two to seven values")
            default = [0.0, 0.0, 0.0, self._step, self._step, self._stop, 0.0]
            filled = values + default[count:]
            filled[3:5] = [edge or self._step for edge in filled[3:5]]
            return Pulse(*filled)
        if not 3 <= count <= 5 or (count == 5 and values[4]):
            raise self._wrong(statement, word, "sin has an offset, amplitude, frequency and delay")
        return Sine(*values[:4])


def write(
    circuit: Circuit,
    transient: Transient | None = None,
    prints: Iterable[tuple[str, str]] = (),
) -> str:
    """A deck of a circuit, from which ``read`` has the same circuit back.

    A transient that has a ramp is refused, E1404, as decks begin at time 0; names that differ by
    large and small letters only are, too, E1403. JoSIM takes no names with a ``|``: those of a
    netlist of cells are written by ``hierarchy``.
    """
    _distinct((GROUND, *circuit.nodes))
    _distinct(part.name for part in circuit.parts)
    models = {p.model.name: p.model for p in circuit.of(Junction)}
    _distinct(models)
    lines = ["* Josephson circuit, written by spikec"]
    lines += [model_line(found) for found in models.values()]
    lines += [element_line(part) for part in circuit.parts]
    lines += control_lines(transient, prints)
    return "\n".join([*lines, ".end", ""])


def control_lines(transient: Transient | None, prints: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Temperature, step, end and what is printed; E1404 for a ramp.

    JoSIM draws noise once in the inverse of ``.neb``, and interpolates: once a step is white.
    """
    lines = []
    if transient is not None:
        if transient.ramp:
            raise fail("E1404", "a deck has no ramp", hint="ramp=0, and biases that rise")
        if transient.temperature:
            lines += [f".temp {transient.temperature!r}", f".neb {1 / transient.step!r}"]
        lines.append(f".tran {transient.step!r} {transient.duration!r}")
    return lines + [f".print {kind}({name})" for kind, name in prints]


def _distinct(names: Iterable[str]) -> None:
    seen = dict[str, str]()
    for name in names:
        other = seen.setdefault(name.upper(), name)
        if other != name:
            raise fail("E1403", f"'{other}' and '{name}' are one name in a deck")
        if not re.fullmatch(r"[^\s=(){},'*#+][^\s=(){},]*", name):
            raise fail("E1403", f"'{name}' cannot be a name in a deck")


def model_line(model: JunctionModel) -> str:
    """The ``.model`` of a junction."""
    values = {
        "rtype": model.rtype, "vg": model.gap, "cap": model.capacitance, "r0": model.subgap,
        "rn": model.normal, "icrit": model.critical, "delv": model.spread,
    }  # fmt: skip
    inside = ", ".join(f"{key}={value!r}" for key, value in values.items())
    return f".model {model.name} jj({inside})"


def element_line(part: Part) -> str:
    """An element with its values."""
    if isinstance(part, Coupling):
        return f"{part.name} {part.first} {part.second} {part.k!r}"
    ends = " ".join(part.nodes)
    if isinstance(part, Junction):
        return f"{part.name} {ends} {part.model.name} area={part.area!r}"
    if isinstance(part, Line):
        return f"{part.name} {ends} z0={part.ohm!r} td={part.seconds!r}"
    if isinstance(part, Source):
        return f"{part.name} {ends} {_wave_text(part.wave)}"
    value = next(getattr(part, key) for key in ("ohm", "henry", "farad") if hasattr(part, key))
    return f"{part.name} {ends} {value!r}"


def _wave_text(wave: Wave) -> str:
    if isinstance(wave, Constant):
        return f"dc {wave.value!r}"
    if isinstance(wave, Pulse):
        shape = (wave.low, wave.high, wave.delay, wave.rise, wave.fall, wave.width, wave.period)
        return f"pulse({' '.join(repr(x) for x in shape)})"
    if isinstance(wave, Sine):
        shape4 = (wave.offset, wave.amplitude, wave.frequency, wave.delay)
        return f"sin({' '.join(repr(x) for x in shape4)})"
    assert isinstance(wave, Pwl)
    points = zip(wave.times.tolist(), wave.values.tolist(), strict=True)
    return f"pwl({' '.join(f'{t!r} {v!r}' for t, v in points)})"
