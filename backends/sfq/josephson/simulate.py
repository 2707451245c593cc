r"""Transients of Josephson circuits, for thousands of parameter sets of one circuit at once.

With :math:`\varphi` the phases of the nodes and h the step there are two integrators, both of
second order:

* ``Method.BDF2``, JoSIM's: Kirchhoff's current law at the end of the step, where
  :math:`\dot\varphi = (3\varphi_1 - 4\varphi_0 + \varphi_{-1}) / 2h`, and
  :math:`\ddot\varphi` is the same of :math:`\dot\varphi`. It damps what is faster than a step.
* ``Method.MIDPOINT``: the law holds for the means over the step. A junction's is
  :math:`I_c (\cos\varphi_0 - \cos\varphi_1) / (\varphi_1 - \varphi_0)`, the discrete gradient of
  its energy (Gonzalez, J. Nonlinear Sci. 6, 449, 1996), so that energy is conserved for any step,
  and the thermal noise of a resistor gives a capacitor kT/C for any step.

Either leaves :math:`A x = b - I_c \sin(x)` with a matrix A that is the same in all steps and is
factored once, :math:`L D L^T`. The phases are a fixed point, from a quadratic predictor; a round
makes the error :math:`q = I_c / (c_2 C + c_1 G)` times what it was at most, with what is parallel
to a junction. q is 0.005 for 10 kA/cm^2 and 0.05 ps.

At first all currents, voltages and phases are 0. Sources rise to what they give at time 0 in the
first half of ``ramp``, in a straight line, and stay there for its second half. Time 0 is behind it,
and the times of waves count from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ....ir.diagnostics import fail
from ....ir.records import Record
from . import kernels
from .circuit import (
    GROUND,
    Capacitor,
    Circuit,
    Coupling,
    CurrentSource,
    Inductor,
    Junction,
    Line,
    Resistor,
    Source,
    VoltageSource,
)
from .lanes import LANES
from .order import Pattern, pattern
from .waves import FLUX

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
BOLTZMANN: Final = 1.380649e-23  # J/K, exact
QUANTUM: Final = FLUX / (2 * np.pi)  # V s a radian
ENERGIES: Final = (
    "sources", "noise", "resistors", "lines", "capacitors", "inductors", "junctions",
)  # fmt: skip
_TOLD: Final = 0.2  # s, after which progress is told again
_ROOM: Final = 8  # pulses a junction, at first


class Method(StrEnum):
    """Integrators."""

    MIDPOINT = "midpoint"
    BDF2 = "bdf2"


@dataclass(frozen=True, eq=False)
class Transient(Record):
    """How a circuit is simulated: from 0 to ``duration`` s, in steps of ``step`` s.

    ``ramp`` s come before time 0, in which sources rise; 0 starts with all phases at 0.
    ``temperature`` in K, of the noise of resistors and of junctions' resistance below the gap; 0
    for none. ``tolerance`` in rad, of the fixed point of a step.
    """

    duration: float
    step: float = 0.05e-12
    ramp: float = 20e-12
    method: Method = Method.MIDPOINT
    temperature: float = 0.0
    tolerance: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("duration", "step", "ramp", "temperature", "tolerance"):
            value = float(getattr(self, name))
            object.__setattr__(self, name, value)
            least = name in ("ramp", "temperature")
            if not ((value >= 0 if least else value > 0) and np.isfinite(value)):
                raise fail("E1404", f"the {name} of a transient is {value:g}")
        object.__setattr__(self, "method", Method(self.method))

    @property
    def before(self) -> int:
        """Steps before time 0: the ramp, in whole steps."""
        return int(np.ceil(self.ramp / self.step - 1e-9))

    @property
    def steps(self) -> int:
        """Steps from time 0 on."""
        return int(np.ceil(self.duration / self.step - 1e-9))


@dataclass(frozen=True, eq=False)
class Pulses(Record):
    """Where watched phases pass pi + 2 pi n, in rising order of set, then of time.

    ``set`` and ``probe`` are the parameter set and the place in ``probes``; ``time`` in s, to about
    the third power of the step; ``direction`` is 1 upwards and -1 back.
    """

    probes: tuple[str, ...]
    set: Integers
    probe: Integers
    time: Floats
    direction: Integers

    def of(self, probe: str, index: int = 0, after: float = 0.0) -> Floats:
        """Times of the upward ones of one probe and set; E1403 for one that is not watched."""
        return self._times(probe, index, after, 1)

    def back(self, probe: str, index: int = 0, after: float = 0.0) -> Floats:
        """Times of the downward ones."""
        return self._times(probe, index, after, -1)

    def _times(self, probe: str, index: int, after: float, direction: int) -> Floats:
        if probe not in self.probes:
            raise fail("E1403", f"'{probe}' is not watched")
        chosen = (self.probe == self.probes.index(probe)) & (self.direction == direction)
        return np.asarray(self.time[chosen & (self.set == index) & (self.time >= after)])

    def parts(self, sets: int) -> Iterator[dict[str, Floats]]:
        """Of each set the times at which its pulses passed each probe upwards, from time 0 on."""
        kept = (self.direction > 0) & (self.time >= 0)
        place = self.set[kept] * len(self.probes) + self.probe[kept]
        order = np.lexsort((self.time[kept], place))
        edges = np.searchsorted(place[order], np.arange(1, sets * len(self.probes)))
        each = np.split(self.time[kept][order], edges)
        for k in range(sets):
            first = k * len(self.probes)
            yield dict(zip(self.probes, each[first : first + len(self.probes)], strict=True))

    def counts(self, after: float = 0.0, sets: int = 1) -> Integers:
        """Upward less downward ones, (sets, probes)."""
        out = np.zeros((sets, len(self.probes)), np.int64)
        chosen = self.time >= after
        np.add.at(out, (self.set[chosen], self.probe[chosen]), self.direction[chosen])
        return out


@dataclass(frozen=True, eq=False)
class Found(Record):
    """What came of a transient.

    ``times`` (frames,) in s and ``phases`` (sets, frames, recorded) in rad of what ``recorded``
    names; ``ends`` (sets, nodes) in rad, the last phase of each node of ``nodes``; ``energies``
    (sets, 7) in J of the names in ``ENERGIES`` from the start to the end: what sources and noise
    gave, what resistors lost and lines took in, and what the others hold.
    """

    recorded: tuple[str, ...]
    times: Floats
    phases: Floats
    nodes: tuple[str, ...]
    ends: Floats
    pulses: Pulses
    energies: Floats

    @property
    def imbalance(self) -> Floats:
        """What was given less what was lost and is held, a share of what was given; (sets,).

        It is 0 but for rounding with ``Method.MIDPOINT``; what BDF2 damps is in it.
        """
        given = self.energies[:, :2].sum(1)
        spent = self.energies[:, 2:].sum(1)
        most = np.abs(self.energies).max(1, initial=0.0)
        return np.asarray((given - spent) / np.where(most, most, 1.0))

    def phase(self, name: str) -> Floats:
        """Phases of one name, (sets, frames); E1403 for one that was not recorded."""
        if name not in self.recorded:
            raise fail("E1403", f"'{name}' was not recorded", hint=f"record=({name!r},)")
        return np.asarray(self.phases[:, :, self.recorded.index(name)])


def coefficients(method: Method, step: float) -> Floats:
    """What an integrator makes of the phases and rates before a step; names are in ``kernels``.

    The unknown x is the new phase with BDF2, and by how much the phase changes with the midpoint.
    """
    h, out = step, np.zeros(kernels.COEFFICIENTS)
    if method == Method.BDF2:
        known = {
            kernels.C2: 2.25 / h**2,
            kernels.C1: 1.5 / h,
            kernels.SCALE: 1.0,
            kernels.Y_F0: -3 / h**2,
            kernels.Y_F1: 0.75 / h**2,
            kernels.Y_V0: -2 / h,
            kernels.Y_V1: 0.5 / h,
            kernels.P_F0: -2 / h,
            kernels.P_F1: 0.5 / h,
            kernels.V_X: 1.5 / h,
            kernels.V_F0: -2 / h,
            kernels.V_F1: 0.5 / h,
            kernels.R_X: 1.5 / h,
            kernels.R_F0: -2 / h,
            kernels.R_F1: 0.5 / h,
        }
    else:
        known = {
            kernels.C2: 4 / h**2,
            kernels.C1: 2 / h,
            kernels.SCALE: 2.0,
            kernels.Y_V0: -4 / h,
            kernels.Z_F0: 2.0,
            kernels.V_X: 2 / h,
            kernels.V_V0: -1.0,
            kernels.R_X: 1 / h,
            kernels.MEAN: 1.0,
        }
    out[list(known)] = list(known.values())
    return out


@dataclass(frozen=True)
class _Pairs:
    """Elements that were merged into one of each pair of nodes: its ends and each one's place."""

    a: Integers
    b: Integers
    which: Integers

    def merged(self, values: Floats) -> Floats:
        """(sets, elements) to (sets, pairs)."""
        out = np.zeros((len(values), self.a.size))
        np.add.at(out.T, self.which, values.T)
        return out


class Simulator:
    """A circuit, made ready: nodes in order of elimination, elements as pairs of them."""

    def __init__(self, circuit: Circuit) -> None:
        self.circuit = circuit
        self._junctions: tuple[Junction, ...] = circuit.of(Junction)
        self._resistors: tuple[Resistor, ...] = circuit.of(Resistor)
        self._capacitors: tuple[Capacitor, ...] = circuit.of(Capacitor)
        self._inductors: tuple[Inductor, ...] = circuit.of(Inductor)
        self._couplings: tuple[Coupling, ...] = circuit.of(Coupling)
        self._lines: tuple[Line, ...] = circuit.of(Line)
        self._sources: tuple[Source, ...] = circuit.of(CurrentSource, VoltageSource)
        held = [p.b if p.a == GROUND else p.a for p in circuit.of(VoltageSource)]
        free = [name for name in circuit.nodes if name not in set(held)]
        place = {name: i for i, name in enumerate((*free, GROUND, *held))}
        self._groups = self._coupled()
        edges = [(place[a], place[b]) for a, b in self._edges()]
        size = len(free)
        busy = np.zeros(len(place), np.bool_)
        for part in self._junctions:
            busy[[place[part.a], place[part.b]]] = True
        inner = [(a, b) for a, b in edges if a < size and b < size]
        self._pattern = pattern(size, inner, busy[:size])
        names = [free[i] for i in self._pattern.order]
        self.free, self.known = size, 1 + len(held)
        self.nodes = (*names, GROUND, *held)
        self._row = {name: i for i, name in enumerate(self.nodes)}

    def _edges(self) -> Iterable[tuple[str, str]]:
        for part in (*self._junctions, *self._resistors, *self._capacitors, *self._inductors):
            yield part.a, part.b
        for line in self._lines:
            yield line.a, line.b
            yield line.c, line.d
        for group in self._groups:
            ends = sorted({node for i in group for node in self._inductors[i].nodes})
            yield from ((a, b) for k, a in enumerate(ends) for b in ends[k + 1 :])

    def _coupled(self) -> list[list[int]]:
        """Inductors that are coupled with each other, straight or through others."""
        number = {part.name: i for i, part in enumerate(self._inductors)}
        group = {i: {i} for i in range(len(number))}
        for part in self._couplings:
            one, two = group[number[part.first]], group[number[part.second]]
            if one is not two:
                one |= two
                group.update(dict.fromkeys(two, one))
        return sorted(sorted(g) for g in {id(g): g for g in group.values()}.values() if len(g) > 1)

    def _pairs(self, ends: Iterable[tuple[str, str]]) -> _Pairs:
        rows = [tuple(sorted((self._row[a], self._row[b]))) for a, b in ends]
        found: dict[tuple[int, ...], int] = {}
        which = [found.setdefault(pair, len(found)) for pair in rows]
        pairs = np.array(list(found), np.int64).reshape(-1, 2)
        return _Pairs(pairs[:, 0].copy(), pairs[:, 1].copy(), np.array(which, np.int64))

    @cached_property
    def _capacitive(self) -> _Pairs:
        return self._pairs((p.a, p.b) for p in (*self._capacitors, *self._junctions))

    @cached_property
    def _resistive(self) -> _Pairs:
        """Resistors and junctions."""
        lossy = [p for p in self._junctions if p.model.rtype]
        return self._pairs((p.a, p.b) for p in (*self._resistors, *lossy))

    @cached_property
    def _inductive(self) -> tuple[_Pairs, list[tuple[list[int], Integers]]]:
        """Pairs of the inductors by themselves, then of all ends of each group.

        Of a group also the ends' own places: (inductors, 2).
        """
        grouped = {i for group in self._groups for i in group}
        ends = [(p.a, p.b) for i, p in enumerate(self._inductors) if i not in grouped]
        places = []
        for group in self._groups:
            names = sorted({node for i in group for node in self._inductors[i].nodes})
            own = [[names.index(node) for node in self._inductors[i].nodes] for i in group]
            places.append((group, np.array(own, np.int64)))
            ends += [(a, b) for k, a in enumerate(names) for b in names[k + 1 :]]
        return self._pairs(ends), places

    def run(
        self,
        transient: Transient,
        *,
        factors: Mapping[str, Any] | None = None,
        delays: Mapping[str, Any] | None = None,
        record: Iterable[str] = (),
        stride: int = 1,
        watch: Iterable[str] | None = None,
        seed: int = 0,
        seeds: Any = None,
        threads: int = 1,
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        """Simulate one parameter set, or as many as the longest of ``factors`` and ``delays`` has.

        ``factors`` are by the name of an element, and multiply its value: a junction's area, an
        inductor's henry, a source's wave. ``NAME.critical``, ``.capacitance`` and ``.conductance``
        are of a junction's alone, ``NAME.ohm`` of a line's impedance beside its delay. ``delays``
        move what a source does after time 0, in s. Each is one number or one for each set.

        ``record`` names nodes and junctions whose phases are kept every ``stride`` steps,
        ``watch`` those whose pulses are, all junctions unless it is given. The noise of a set is of
        ``seeds``, one for each, or of ``seed`` and its number. Eight sets share a register, and
        ``threads`` work on them at once; what a set gives depends on neither.

        E1403 for unknown names, E1404 for values that none can have, E1405 where a step is so long
        that the fixed point of the junctions' phases is not found. ``progress`` is told the share
        of all steps of all sets that are done.
        """
        factor, late, sets = self._varied(factors or {}, delays or {}, seeds)
        names = tuple(record)
        watched = tuple(p.name for p in self._junctions) if watch is None else tuple(watch)
        values = self._values(transient, factor, sets)
        if stride < 1:
            raise fail("E1404", f"phases are kept every {stride} steps")
        blocks = -(-sets // LANES)
        steps, begin = transient.before + transient.steps, -transient.before * transient.step
        common = self._common(transient, late)
        probes = [self._probes(watched), self._probes(names)]
        if seeds is None:
            states = np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]
            seeds = np.array([_mixed(int(states) + i) for i in range(sets)], np.uint64)
        else:
            seeds = np.array([_mixed(int(s)) for s in np.ravel(seeds)], np.uint64)
        lists = [*values, self._scales(factor, sets), self._delays(late, sets)]
        lists.append(self._line_values(factor, sets, transient.step))
        spread = [_blocks(array) for array in lists]
        states = _blocks(seeds[:, None])
        frames = np.zeros((sets, steps // stride + 1 if names else 0, len(names)))
        ends = np.zeros((sets, self.free + self.known))
        energies = np.zeros((sets, kernels.ENERGIES))
        counts, failures = np.zeros(sets, np.int64), np.zeros((sets, 3), np.int64)
        room = _ROOM * max(len(watched), 1)
        events, marks = np.zeros((sets, room)), np.zeros((sets, room, 2), np.int32)

        advance: Any = kernels.advance
        rules = coefficients(transient.method, transient.step)

        reached, stopped = np.zeros(blocks, np.int64), np.zeros(1, np.int64)

        def work(block: int) -> None:
            live = min(sets - block * LANES, LANES)
            advance(
                block, live, rules, transient.step, begin, steps,
                *common, *probes, stride, transient.tolerance, *spread, states,
                frames, ends, events, marks, counts, energies, failures, reached, stopped,
            )  # fmt: skip

        def all_of(which: Iterable[int]) -> None:
            todo = list(which)
            if threads == 1 and progress is None:
                for block in todo:
                    work(block)
                return
            with ThreadPoolExecutor(threads) as pool:
                try:
                    left = {pool.submit(work, block) for block in todo}
                    while left:
                        ready, left = wait(left, _TOLD, FIRST_COMPLETED)
                        for one in ready:
                            one.result()
                        if progress is not None:
                            progress(float(reached.sum()) / (blocks * steps))
                except BaseException:
                    stopped[0] = 1  # or the pool would wait for its blocks to end
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise

        all_of(range(blocks))
        self._converged(failures, ends, transient)
        most = int(counts.max(initial=0))
        if most > room:
            # Rare: the same again, where there were more pulses than room for them.
            again = np.unique(np.flatnonzero(counts > room) // LANES)
            grown, more = np.zeros((sets, most)), np.zeros((sets, most, 2), np.int32)
            grown[:, :room], more[:, :room] = events, marks
            events, marks = grown, more
            for block in again.tolist():
                reached[block] = 0
                counts[block * LANES : (block + 1) * LANES] = 0
            all_of(again.tolist())
        pulses = _sorted(watched, counts, events, marks)
        times = np.asarray(begin + transient.step * stride * np.arange(frames.shape[1]))
        return Found(names, times, frames, self.nodes, ends, pulses, energies)

    # -- what is asked ----------------------------------------------------------------------------

    def _varied(
        self, factors: Mapping[str, Any], delays: Mapping[str, Any], seeds: Any
    ) -> tuple[dict[str, Floats], dict[str, Floats], int]:
        given = [{k: np.atleast_1d(np.asarray(v, np.float64)) for k, v in m.items()}
                 for m in (factors, delays)]  # fmt: skip
        lengths = {name: array.size for m in given for name, array in m.items()}
        if seeds is not None:
            lengths["seeds"] = np.size(seeds)
        sets = max(lengths.values(), default=1)
        for m in given:
            for name, array in m.items():
                if array.ndim != 1 or not array.size:
                    raise fail("E1404", f"'{name}' has values of the shape {array.shape}")
        for name, length in lengths.items():
            if length not in (1, sets):
                raise fail("E1404", f"'{name}' has {length} values, others have {sets}")
        if seeds is not None and np.size(seeds) != sets:
            raise fail("E1404", f"{np.size(seeds)} seeds are for {sets} parameter sets")
        for kind, m in enumerate(given):
            for name, array in m.items():
                whole, _, detail = name.rpartition(".") if not kind else (name, "", "")
                known = {p.name: p for p in self.circuit.parts}
                part = known.get(name)
                if part is None and detail:
                    part = known.get(whole)
                    allowed = {Junction: ("critical", "capacitance", "conductance"),
                               Line: ("ohm",)}.get(type(part), ())  # fmt: skip
                    if detail not in allowed:
                        part = None
                if part is None or (kind and not isinstance(part, Source)):
                    word = "delayed" if kind else "varied"
                    raise fail("E1403", f"'{name}' cannot be {word}: no element has that name")
                wrong = ~np.isfinite(array)
                if not kind and not isinstance(part, Source | Coupling):
                    wrong |= array <= 0
                if wrong.any():
                    raise fail("E1404", f"'{name}' is varied by {array[wrong][0]:g}")
        return given[0], given[1], sets

    def _probes(self, names: tuple[str, ...]) -> Integers:
        junctions = {p.name: p for p in self._junctions}
        out = np.zeros((len(names), 2), np.int64)
        for k, name in enumerate(names):
            if name in junctions:
                out[k] = self._row[junctions[name].a], self._row[junctions[name].b]
            elif name in self._row:
                out[k] = self._row[name], self.free
            else:
                raise fail("E1403", f"no node or junction has the name '{name}'")
        return out

    # -- what the kernel takes --------------------------------------------------------------------

    def _values(
        self, transient: Transient, factor: Mapping[str, Floats], sets: int
    ) -> list[Floats]:
        """Capacitances, conductances, inverse inductances, junctions, their gaps, and noise."""

        def scaled(names: Iterable[str], values: Iterable[float]) -> Floats:
            keys, base = list(names), np.array(list(values), np.float64)
            out = np.broadcast_to(base, (sets, base.size)).copy()
            for k, name in enumerate(keys):
                if name in factor:
                    out[:, k] *= factor[name]
            return out

        js = self._junctions
        area = scaled((p.name for p in js), (p.area for p in js))

        def of_area(values: Iterable[float], detail: str) -> Floats:
            return area * scaled((f"{p.name}.{detail}" for p in js), values)

        critical = of_area((p.model.critical for p in js), "critical")
        own_c = of_area((p.model.capacitance for p in js), "capacitance")
        own_g = of_area((p.model.rtype / p.model.subgap for p in js), "conductance")
        above = of_area((p.model.rtype / p.model.normal for p in js), "conductance")
        farad = scaled((p.name for p in self._capacitors), (p.farad for p in self._capacitors))
        ohm = scaled((p.name for p in self._resistors), (p.ohm for p in self._resistors))
        lossy = np.array([bool(p.model.rtype) for p in js], np.bool_)
        siemens = self._resistive.merged(np.hstack([1 / ohm, own_g[:, lossy]]))
        capacitance = self._capacitive.merged(np.hstack([farad, own_c])) * QUANTUM
        coefficient = coefficients(transient.method, transient.step)
        c2, c1 = coefficient[kernels.C2], coefficient[kernels.C1]
        # Quasiparticles: foot, first slope, width and second slope, in the units of rates.
        foot = np.array([p.model.gap - p.model.spread / 2 for p in js])
        width = np.array([p.model.spread for p in js])
        rise = ((foot + width) * above - foot * own_g) / width - own_g if js else own_g
        gap = np.stack(
            [np.broadcast_to(foot / QUANTUM, rise.shape), rise * QUANTUM,
             np.broadcast_to(width / QUANTUM, rise.shape), (above - own_g) * QUANTUM], axis=-1
        )  # fmt: skip
        gap[:, ~lossy, 0] = np.inf
        gap = np.where(np.isinf(gap), 1e300, gap)
        stiff = (c2 * own_c + c1 * own_g) * QUANTUM
        stiff = np.where(stiff > 0, stiff, critical * 1e-9)
        share = critical / stiff
        steep = share + np.where(lossy, np.maximum(rise, above - own_g), 0.0) * QUANTUM * c1 / stiff
        noise = np.zeros((sets, 0))
        if transient.temperature:
            density = 2 * BOLTZMANN * transient.temperature / transient.step
            noise = np.sqrt(density * siemens)
        lines = [scaled([p.name + ".ohm"], [p.ohm]) for p in self._lines for _ in range(2)]
        conductance = np.hstack([siemens, *(1 / z for z in lines)]) * QUANTUM
        ic = np.stack([critical, share, steep], axis=-1)
        inverse = self._inverse(factor, sets, scaled)
        return [
            capacitance, conductance, inverse, ic.reshape(sets, -1), gap.reshape(sets, -1), noise,
        ]  # fmt: skip

    def _inverse(self, factor: Mapping[str, Floats], sets: int, scaled: Any) -> Floats:
        """Inverse inductances of the pairs, (sets, pairs), in A a radian."""
        parts = self._inductors
        henry = scaled((p.name for p in parts), (p.henry for p in parts))
        k = scaled((p.name for p in self._couplings), (p.k for p in self._couplings))
        pairs, groups = self._inductive
        grouped = {i for group, _ in groups for i in group}
        alone = [i for i in range(len(parts)) if i not in grouped]
        values = [1 / henry[:, alone]]
        number = {p.name: i for i, p in enumerate(parts)}
        for group, own in groups:
            local = {i: m for m, i in enumerate(group)}
            matrix = np.zeros((sets, len(group), len(group)))
            matrix[:, range(len(group)), range(len(group))] = henry[:, group]
            for c, part in enumerate(self._couplings):
                i, j = number[part.first], number[part.second]
                if i in local:
                    mutual = k[:, c] * np.sqrt(henry[:, i] * henry[:, j])
                    matrix[:, local[i], local[j]] += mutual
                    matrix[:, local[j], local[i]] += mutual
            if (np.linalg.eigvalsh(matrix)[:, 0] <= 0).any():
                names = ", ".join(f"'{parts[i].name}'" for i in group)
                raise fail(
                    "E1401",
                    f"the couplings of {names} are stronger than their inductances allow",
                    hint="the matrix of inductances has to be positive definite: lower a k",
                )
            incidence = np.zeros((len(group), int(own.max()) + 1))
            rows = np.arange(len(group))
            np.add.at(incidence, (rows, own[:, 0]), 1.0)
            np.add.at(incidence, (rows, own[:, 1]), -1.0)
            between = incidence.T @ np.linalg.inv(matrix) @ incidence
            # What is left is between pairs, as all rows have the sum 0.
            upper = np.triu_indices(incidence.shape[1], 1)
            values.append(-between[:, *upper])
        return pairs.merged(np.hstack(values)) * QUANTUM

    def _scales(self, factor: Mapping[str, Floats], sets: int) -> Floats:
        out = np.ones((sets, len(self._sources)))
        for k, part in enumerate(self._sources):
            if isinstance(part, VoltageSource) and part.a == GROUND:
                out[:, k] = -1.0
            if part.name in factor:
                out[:, k] *= factor[part.name]
        return out

    def _delays(self, delays: Mapping[str, Floats], sets: int) -> Floats:
        out = np.zeros((sets, len(self._sources)))
        for k, part in enumerate(self._sources):
            if part.name in delays:
                out[:, k] = delays[part.name]
        return out

    def _line_values(self, factor: Mapping[str, Floats], sets: int, step: float) -> Floats:
        out = np.zeros((sets, 2 * len(self._lines)))
        for k, part in enumerate(self._lines):
            out[:, 2 * k] = part.ohm * factor.get(part.name + ".ohm", 1.0)
            out[:, 2 * k + 1] = part.seconds * factor.get(part.name, 1.0)
            if (out[:, 2 * k + 1] < step * (1 + 1e-9)).any():
                raise fail(
                    "E1405",
                    f"the line '{part.name}' lasts {out[:, 2 * k + 1].min():g} s, a step {step:g}",
                    hint="take a step that is shorter than the line",
                )
        return out

    def _common(self, transient: Transient, delays: Mapping[str, Floats]) -> list[Any]:
        """What all sets share: pattern, pairs, junctions and the knots of waves."""
        p: Pattern = self._pattern
        row = self._row
        capacitive, resistive, inductive = self._capacitive, self._resistive, self._inductive[0]
        ports = [(row[q[0]], row[q[1]]) for m in self._lines for q in ((m.a, m.b), (m.c, m.d))]
        port = np.array(ports, np.int64).reshape(-1, 2)
        g_a = np.concatenate([resistive.a, port[:, 0]])
        g_b = np.concatenate([resistive.b, port[:, 1]])
        js = self._junctions
        return [
            self.free, self.known, p.linear, p.start, p.rows, p.targets,
            capacitive.a, capacitive.b, self._places(capacitive.a, capacitive.b),
            g_a, g_b, self._places(g_a, g_b),
            inductive.a, inductive.b, self._places(inductive.a, inductive.b),
            np.array([row[j.a] for j in js], np.int64), np.array([row[j.b] for j in js], np.int64),
            any(j.model.rtype and j.model.normal != j.model.subgap for j in js),
            *self._waves(transient, delays), port, resistive.a.size, QUANTUM,
        ]  # fmt: skip

    def _places(self, a: Integers, b: Integers) -> Integers:
        p, n = self._pattern, self.free
        return np.array(
            [
                p.place(i, j) if i < n and j < n and i != j else -1
                for i, j in zip(a.tolist(), b.tolist(), strict=True)
            ],
            np.int64,
        )

    def _waves(self, transient: Transient, delays: Mapping[str, Floats]) -> list[Any]:
        """Ends and kinds of sources, and their pieces with the ramp before them."""
        ramp = transient.before * transient.step
        starts, values, slopes, late, sines = [], [], [], [], []
        for part in self._sources:
            wave = part.wave
            t, v, s = wave.knots(transient.duration)
            shift = delays.get(part.name, np.zeros(1))
            first = t[(t > 0) & np.isfinite(t)]
            soonest = float(first[0]) if first.size else np.inf
            at0 = float(wave.at(0.0))
            k = int(np.searchsorted(t, 0.0, "right")) - 1
            if not ramp:
                moves = s[k] != 0 or t[k] == 0
                soonest = min(soonest, 0.0 if moves else soonest)
            elif s[k] != 0:
                soonest = 0.0
            if wave.sine[0]:
                soonest = min(soonest, wave.sine[2])
            if (shift + soonest < 0).any():
                raise fail(
                    "E1404", f"the delay of '{part.name}' moves what it does to before time 0"
                )
            begin = [-np.inf, -ramp, -ramp / 2, 0.0] if ramp else [-np.inf, 0.0]
            value = [0.0, 0.0, at0, at0] if ramp else [0.0, at0]
            slope = [0.0, at0 / (ramp / 2), 0.0, s[k]] if ramp else [0.0, s[k]]
            late.append(len(begin) - 1)
            # With a ramp the piece at 0 is moved with the others; until then the value stays.
            if not ramp and shift.any():
                # A source that is on from the start stays so until its first piece is due.
                begin, value, slope = [-np.inf, 0.0, 0.0], [0.0, at0, at0], [0.0, 0.0, s[k]]
                late[-1] = 2
            starts.append(np.concatenate([begin, t[t > 0]]))
            values.append(np.concatenate([value, v[t > 0]]))
            slopes.append(np.concatenate([slope, s[t > 0]]))
            amplitude, frequency, delay = wave.sine
            sines.append((amplitude, 2 * np.pi * frequency, delay))
        row = self._row
        kinds = [int(isinstance(part, VoltageSource)) for part in self._sources]
        ends = [
            (row[p.b], row[p.a]) if isinstance(p, VoltageSource) and p.a == GROUND
            else (row[p.a], row[p.b])
            for p in self._sources
        ]  # fmt: skip
        end = np.array(ends, np.int64).reshape(-1, 2)
        joined = [np.concatenate(x) if x else np.zeros(0) for x in (starts, values, slopes)]
        return [
            end[:, 0].copy(), end[:, 1].copy(), np.array(kinds, np.int64),
            np.concatenate([[0], np.cumsum([len(x) for x in starts])]).astype(np.int64),
            *joined, np.array(late, np.int64), np.array(sines, np.float64).reshape(-1, 3),
        ]  # fmt: skip

    def _converged(self, failures: Integers, ends: Floats, transient: Transient) -> None:
        failed = np.flatnonzero((failures[:, 2] > 0) | ~np.isfinite(ends).all(1))
        if not failed.size:
            return
        first = failed[0]
        step, junction, known = failures[first]
        if not known or not self._junctions:
            raise fail(
                "E1405",
                f"phases of parameter set {first} are not finite numbers",
                hint="take a shorter step",
            )
        part = self._junctions[junction]
        time = (step - transient.before) * transient.step
        model = part.model
        share = model.critical / (model.capacitance * QUANTUM + 1e-300)
        limit = np.sqrt((2.25 if transient.method == Method.BDF2 else 4.0) / share / 4)
        raise fail(
            "E1405",
            f"the phase of '{part.name}' was not found at {time:g} s, for {len(failed)} parameter "
            f"set(s), the first {first}",
            hint=f"take a step of {limit:.2g} s, with which a round leaves a quarter of the error"
            if model.capacitance
            else "take a shorter step, or give the junction a capacitance",
        )


def _sorted(probes: tuple[str, ...], counts: Integers, events: Floats, marks: Any) -> Pulses:
    """Pulses in order, from what each set has noted: (sets, room)."""
    kept = np.arange(events.shape[1]) < counts[:, None]
    index = np.nonzero(kept)[0]
    time, probe, way = events[kept], marks[kept, 0], marks[kept, 1]
    order = np.lexsort((probe, time, index))
    index, probe, way = (np.asarray(x[order], np.int64) for x in (index, probe, way))
    return Pulses(probes, index, probe, time[order], way)


def _mixed(value: int) -> int:
    """A word that looks random, one for each word."""
    mask = (1 << 64) - 1
    word = (value + 0x9E3779B97F4A7C15) & mask
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & mask
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & mask
    return word ^ (word >> 31)


def _blocks(values: Any) -> Any:
    """(sets, n) as (blocks, n * LANES): sets side by side, the last one again behind the end."""
    sets, n = values.shape
    blocks = -(-sets // LANES)
    index = np.minimum(np.arange(blocks * LANES), sets - 1)
    return np.ascontiguousarray(
        values[index].reshape(blocks, LANES, n).transpose(0, 2, 1).reshape(blocks, n * LANES)
    )


def simulate(circuit: Circuit, transient: Transient, **how: Any) -> Found:
    """``Simulator.run`` of a circuit that is simulated once."""
    return Simulator(circuit).run(transient, **how)


__all__ = ["ENERGIES", "Found", "Method", "Pulses", "Simulator", "Transient", "simulate"]
