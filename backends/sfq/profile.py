r"""What a stimulus takes of a network of cells: energy line by line, and where time goes.

The rung `events` says which pulse comes to which input of which cell in which state. With
:math:`n_{ksx}` pulses and the work :math:`e_{ksx}` of a cell's own biases that ``characterise``
measured, N steps of a period T take, in the cold,

.. math::
    E_\mathrm{switching} = \sum_{ksx} n_{ksx} e_{ksx}, \qquad
    E_\mathrm{bias} = \sum_k N_k I_k V_b \; N T,

and the second is all: biases come through resistors from :math:`V_b`, and what pulses take is a
part of it. The rest stays in the resistors, whose line the ledger lessens by it. Cooling takes
:math:`c` W at room temperature for each W in the cold, :math:`E = (1 + c) E_\mathrm{bias}`.

A step has the pulses whose nets' windows say so, whenever they come: steps overlap. The way from an
input to a spike is followed backwards, at nominal delays: from the last spike to its clock, from
that to the pulse that it had to wait for longest, at the worst corner of `schedule`, and so on. Of
a layer's share what is neither delay lines nor cells is waiting, so that shares add up. A clock may
have to wait for a pulse that its own reaches late, by a delay line: what of the pulse's way is side
by side with that is in no share.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile
from typing import Final

import numpy as np
import numpy.typing as npt

from ...boards.process import Process
from ...boards.quantity import Quantity
from ...compiler.backend import ProfileRequest
from ...compiler.ladder import quantised
from ...compiler.profile.cells import Cells, cells_of
from ...compiler.profile.ledger import Line, Parts, derived
from ...compiler.profile.sfq import CriticalPath, Hop, SfqProfile, Share
from ...ir.diagnostics import fail
from ...ir.events import Stimulus
from .cells import cell
from .cells.chance import KIND
from .cells.netlist import Instance
from .cells.timing import known, timing
from .rungs.events import Events, Machines
from .rungs.execute import begins, drives, restarts, stride
from .synthesis.files import program_facts, read_program
from .synthesis.schedule import CORNERS, Bound, Schedule, Window
from .synthesis.synthesise import GUARD, LAUNCH, Program, arrivals

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

ASSUMED: Final = (
    "biases come through resistors from the bias voltage, as much whatever comes; what pulses take "
    "is a part of it, and all there is where biases waste nothing",
    "pulses take what they do at the nominal bias of a cell between JTLs, one at a time",
    "inputs come at their nominal time, and delays are nominal; clocks and the period are those of "
    "the worst corner",
    "steps follow one another at the period, in all samples",
    "the area is junctions times a mean of other people's cells: nothing was placed",
)
UNKNOWN: Final = (
    "wires between cells, their delay and their drivers",
    "the clocks' way to the circuit, and what makes them",
    "cells that bring pulses in from room temperature and out to it (dcsfq, sfqdc)",
    "the link and the amplifiers at room temperature, and heat through cables",
    "what a cryostat takes beside the circuit",
)
_MEASURED: Final = "python -m spikec.backends.sfq.library.characterise, cells/timing.json"
_RELEASED: Final = "python -m spikec.backends.sfq.library.release, cells/release.json"
_PERIOD: Final = "period"
_START: Final = "inputs"


def profile_artifact(request: ProfileRequest, process: Process) -> SfqProfile:
    """The profile of an artefact on a stimulus.

    E0705 for a file that is no program, E1435 where pulses come too close.
    """
    graph = quantised(request.artifact)
    outputs = tuple(dict.fromkeys(output.source for output in graph.outputs))
    cooling = process.cooling
    if request.cooling is not None:
        cooling = Quantity(request.cooling, cooling.unit, "given with --cooling", "stated")
    program = read_program(request.artifact)
    return profile_program(program, process, outputs, request.stimulus, cooling)


def program_area(program: Program, process: Process) -> Quantity:
    """Chip area in m^2, by junctions."""
    parts = (("area of a junction", process.area),)
    return derived(program.netlist.junctions * process.area.value, process.area.unit, parts)


def profile_program(
    program: Program,
    process: Process,
    outputs: Sequence[str],
    stimulus: Stimulus,
    cooling: Quantity | None = None,
) -> SfqProfile:
    """The profile of a program whose spikes of the populations ``outputs`` are what it is for.

    E1435 where pulses come too close.
    """
    machines = Machines(program.netlist)
    trace = machines.run(drives(program, stimulus), restarts=restarts(program, stimulus))
    if trace.violations:
        raise fail("E1435", str(trace.violations[0]))
    shape = stimulus.samples, stimulus.steps
    corners = tuple(_Corner.of(program, corner) for corner in CORNERS)
    nominal = corners[CORNERS.index(1.0)]
    step = _steps(program, trace, nominal, *shape)
    layers = tuple(dict.fromkeys(map(layer_of, program.netlist.instances)))
    counts = _Counts.of(program, trace, step, layers, shape)
    factor = process.cooling if cooling is None else cooling
    found = cells_of(cell_facts(program, process))
    assert found is not None
    seconds = np.full(shape, program.period)
    held: list[dict[str, int]] = [{} for _ in layers]
    for i in program.netlist.instances:
        mine = held[layers.index(layer_of(i))]
        mine[i.kind] = mine.get(i.kind, 0) + 1
    nets = [net for name in outputs for net in program.spikes[name] if net is not None]
    drivers = {i.nets[port]: i for i in program.netlist.instances for port in i.cell.outputs}
    shares, clocks = _critical(program, corners, nets, drivers)
    return SfqProfile(
        title=process.title,
        process=process.name,
        seconds=seconds,
        ledger=tuple(_ledger(counts, layers, held, float(seconds.sum()), process, factor)),
        timing=tuple(_timing(program, found)),
        assumed=ASSUMED,
        unknown=UNKNOWN,
        cells=found,
        factor=factor,
        layers=layers,
        layer_cells=tuple(held),
        response=_response(program, trace, step, nets, shape),
        pulses=counts.pulses,
        switching=counts.joules,
        shares=shares,
        paths=(*clocks, *_period(corners, drivers)),
    )


def cell_facts(program: Program, process: Process) -> dict[str, object]:
    """What the manifest says of cells, their area among it."""
    area = program_area(program, process)
    stated = {name: getattr(area, name) for name in ("value", "unit", "source", "obtained")}
    return program_facts(program) | {"area": stated}


def layer_of(instance: Instance) -> str:
    """The input, population or clock that a cell belongs to, by its name."""
    node, bracket, _ = instance.name.rpartition("[")
    return node if bracket else instance.name.partition(".")[0]


# -- pulses ----------------------------------------------------------------------------------------


def _steps(program: Program, trace: Events, nominal: _Corner, samples: int, steps: int) -> Integers:
    """The step that each pulse belongs to, (pulses,), as `execute.spikes` has those of neurons."""
    middle = np.zeros(len(trace.nets))
    for k, net in enumerate(trace.nets):
        there = nominal.windows.get(net, ())
        if there:
            middle[k] = (min(w.early for w in there) + max(w.late for w in there)) / 2
    after = (trace.time - middle[trace.net]) / program.period
    every = stride(program, steps)
    where = np.clip(np.floor(after + 0.5).astype(np.int64), 0, samples * every - 1)
    return np.asarray(where // every * steps + np.minimum(where % every, steps - 1))


@dataclass(frozen=True)
class _Counts:
    """Pulses and joules of switching (layers, samples, steps), and pulses of each kind of them.

    ``each`` has layer, kind, state and input of a count, in an order.
    """

    pulses: Integers
    joules: Floats
    each: Mapping[tuple[int, str, int, int], int]

    @classmethod
    def of(
        cls,
        program: Program,
        trace: Events,
        step: Integers,
        layers: tuple[str, ...],
        shape: tuple[int, int],
    ) -> _Counts:
        instances = program.netlist.instances
        kinds = sorted({i.kind for i in instances})
        layer = np.array([layers.index(layer_of(i)) for i in instances], np.int64)
        kind = np.array([kinds.index(i.kind) for i in instances], np.int64)
        # The cell and input that each net ends at, and the energy of a pulse there.
        ends = {
            i.nets[port]: (n, x)
            for n, i in enumerate(instances)
            for x, port in enumerate(i.cell.inputs)
        }
        load = np.array([ends.get(net, (-1, -1)) for net in trace.nets], np.int64).reshape(-1, 2)
        tables = [np.array(known()[name]["energy"], np.float64) for name in kinds]
        size = [max((t.shape[axis] for t in tables), default=1) for axis in (0, 1)]
        energy = np.zeros((len(kinds), *size))
        for k, table in enumerate(tables):
            energy[k, : table.shape[0], : table.shape[1]] = table
        there = trace.state >= 0
        at, state = load[trace.net[there]], trace.state[there]
        place = layer[at[:, 0]], kind[at[:, 0]], state, at[:, 1]
        whole = len(layers), shape[0] * shape[1]
        where = np.ravel_multi_index((place[0], step[there]), whole)
        joules: Floats = np.bincount(where, energy[place[1:]], whole[0] * whole[1]).astype(float)
        pulses = np.bincount(where, minlength=whole[0] * whole[1]).astype(np.int64)
        many = np.zeros((len(layers), len(kinds), *size), np.int64)
        np.add.at(many, place, 1)
        each = {
            (a, kinds[k], s, x): int(many[a, k, s, x]) for a, k, s, x in np.argwhere(many).tolist()
        }
        return cls(
            pulses.reshape(len(layers), *shape),
            joules.reshape(len(layers), *shape),
            each,
        )


def _response(
    program: Program,
    trace: Events,
    step: Integers,
    nets: Sequence[str],
    shape: tuple[int, int],
) -> Floats:
    """From a step's first pulses to its last spike on ``nets``, (samples, steps); NaN: none."""
    wanted = np.array([net in set(nets) for net in trace.nets], np.bool_)[trace.net]
    out = np.full(shape[0] * shape[1], -np.inf)
    begin = begins(program, *shape)[step[wanted]] + program.first
    np.maximum.at(out, step[wanted], trace.time[wanted] - begin)
    return np.where(np.isfinite(out), out, np.nan).reshape(shape)


# -- energy ----------------------------------------------------------------------------------------


def _ledger(
    counts: _Counts,
    layers: tuple[str, ...],
    held: Sequence[Mapping[str, int]],
    seconds: float,
    process: Process,
    factor: Quantity,
) -> Iterator[Line]:
    """Pulses, biases, what of these the pulses are, and cooling: of each layer."""
    paid = Quantity(
        1.0,
        "J/J",
        "backends/sfq/library/characterise.py: the energy of a pulse is the work of the cell's own "
        "biases",
        "stated",
    )
    for k, layer in enumerate(layers):
        switched = 0.0
        for (mine, kind, state, x), many in counts.each.items():
            if mine != k:
                continue
            energy = _energy(kind, state, x)
            joules = many * energy.value
            switched += joules
            where = f"at {cell(kind).inputs[x]} of {kind}"
            if len(known()[kind]["energy"]) > 1:
                where += f" in state {state}"
            cost = f"energy of {kind}.{cell(kind).inputs[x]} in state {state}"
            yield Line(
                "dynamic", "pulses", many, cost, energy, 1, joules,
                layer=layer, symbols="n e", of=where,
            )  # fmt: skip
        biased = 0.0
        for kind, number in sorted(held[k].items()):
            parts = _bias(kind, process)
            power = derived(parts[0][1].value * parts[1][1].value, "W", parts)
            joules = number * power.value * seconds
            biased += joules
            yield Line(
                "static", "bias", number, f"power of {kind}", power, 1, joules, seconds,
                layer=layer, symbols="N I_b V_b t", parts=parts, of=f"of {kind}",
            )  # fmt: skip
        if switched:
            yield Line(
                "static", "switched", switched, "paid by the bias", paid, -1, -switched,
                unit="J", layer=layer, symbols="- sum of n e",
            )  # fmt: skip
        yield Line(
            "cooling", "cooling", biased, "cooling", factor, 1, biased * factor.value,
            unit="J", layer=layer, symbols="E c",
        )  # fmt: skip


def _energy(kind: str, state: int, x: int) -> Quantity:
    value = float(known()[kind]["energy"][state][x])
    where = f"energy of {kind}, state {state}, input {cell(kind).inputs[x]}"
    return Quantity(value, "J", f"{_by(kind)}: {where}", "simulated")


def _by(kind: str) -> str:
    """What measured a cell."""
    return _RELEASED if kind == KIND else _MEASURED


def _bias(kind: str, process: Process) -> Parts:
    """The bias current of a cell of a kind, and the voltage that it falls through."""
    source = f"backends/sfq/cells/{kind}.cir: its sources of current"
    current = Quantity(cell(kind).bias, "A", source, "stated")
    return ((f"bias of {kind}", current), ("bias_voltage", process.bias_voltage))


# -- time ------------------------------------------------------------------------------------------


def _timing(program: Program, found: Cells) -> Iterator[tuple[str, Quantity]]:
    """The constants of the latency: delays, jitter, and what the schedule leaves for safety."""
    for kind in (kind.name for kind in found.kinds):
        this, times = cell(kind), timing(kind)
        for (s, x, y), delay in np.ndenumerate(times.delay):
            if np.isfinite(delay):
                name = f"delay {kind}.{this.inputs[x]}-{this.outputs[y]}"
                if times.delay.shape[0] > 1:
                    name += f" in state {s}"
                yield name, Quantity(float(delay), "s", f"{_by(kind)}: delay", "simulated")
        yield f"jitter {kind}", Quantity(times.jitter, "s", f"{_by(kind)}: jitter", "simulated")
    corner = max(abs(corner - 1) for corner in CORNERS)
    yield from (
        (name, Quantity(value, unit, f"backends/sfq/{where}: an assumption", "recalled"))
        for name, value, unit, where in (
            ("skew of inputs", program.skew, "s", "synthesise.py, SKEW"),
            ("guard", GUARD, "s", "synthesise.py, GUARD"),
            ("corners of delays", round(corner, 6), "1", "schedule.py, CORNERS"),
        )
    )


@dataclass(frozen=True)
class _Corner:
    """A schedule, its windows with all clocks, and the net that each window is of."""

    schedule: Schedule
    windows: Mapping[str, tuple[Window, ...]]
    net: Mapping[int, str]
    # What keeps each clock from being sooner, and the windows of its tree.
    bounds: Mapping[str, tuple[Bound, Mapping[int, str]]]

    @classmethod
    def of(cls, program: Program, corner: float) -> _Corner:
        schedule = Schedule(program.netlist, corner)
        stimuli: dict[str, tuple[Window, ...]] = {}
        bounds: dict[str, tuple[Bound, Mapping[int, str]]] = {}

        def set_by(name: str, own: Mapping[str, tuple[Window, ...]]) -> None:
            tree, ahead = schedule.windows(own), schedule.windows(stimuli)
            worst = max(schedule.behind(ahead, tree), key=lambda bound: bound.least, default=None)
            if worst is not None:
                bounds[name] = worst, _named(ahead) | _named(tree)

        if LAUNCH in program.clocks:  # waits for nothing
            stimuli[LAUNCH] = (Window(program.first, program.first),)
            if program.start > program.skew:
                set_by(_START, arrivals(program.inputs, 0.0, program.skew))
        stimuli |= arrivals(program.inputs, program.start, program.skew)
        for clock, time in program.clocks.items():
            if clock != LAUNCH:
                set_by(clock, {clock: (Window(0.0, 0.0),)})
                stimuli[clock] = (Window(time, time),)
        windows = schedule.windows(stimuli)
        return cls(schedule, windows, _named(windows), bounds)

    def path(
        self, name: str, bound: Bound, net: Mapping[int, str], drivers: Mapping[str, Instance]
    ) -> CriticalPath:
        """What a bound is, with the ways of its two pulses."""
        way, behind = (_nets(window, net) for window in (bound.window, bound.other))
        i = bound.instance
        return CriticalPath(
            name=name,
            seconds=bound.least,
            corner=self.schedule.corner,
            instance=i.name,
            kind=i.kind,
            first=i.cell.inputs[bound.first],
            second=i.cell.inputs[bound.second],
            apart=bound.apart,
            start=way[0],
            way=_hops(way, drivers),
            behind=behind[0],
            way_behind=_hops(behind, drivers),
        )


def _named(windows: Mapping[str, tuple[Window, ...]]) -> dict[int, str]:
    return {id(window): net for net, there in windows.items() for window in there}


def _nets(window: Window | None, net: Mapping[int, str]) -> list[str]:
    """The nets that a pulse has come by, from an input or clock on."""
    out: list[str] = []
    while window is not None:
        out.append(net[id(window)])
        window = window.origin
    return out[::-1]


def _hops(way: Sequence[str], drivers: Mapping[str, Instance]) -> tuple[Hop, ...]:
    return tuple(Hop(drivers[net].name, drivers[net].kind) for net in way[1:])


def _period(corners: Sequence[_Corner], drivers: Mapping[str, Instance]) -> Iterator[CriticalPath]:
    """What keeps steps from following one another sooner."""
    every = [(bound, c) for c in corners for bound in c.schedule.between(c.windows)]
    if every:
        bound, corner = max(every, key=lambda one: one[0].least)
        yield corner.path(_PERIOD, bound, corner.net, drivers)


def _critical(
    program: Program,
    corners: Sequence[_Corner],
    nets: Sequence[str],
    drivers: Mapping[str, Instance],
) -> tuple[tuple[Share, ...], tuple[CriticalPath, ...]]:
    """What the longest way from an input to a spike is made of, and what sets each clock."""
    worst: dict[str, tuple[Bound, Mapping[int, str]]] = {}
    paths = []
    for clock in (_START, *program.clocks):
        there = [(c.bounds[clock], c) for c in corners if clock in c.bounds]
        if there:
            (bound, net), corner = max(there, key=lambda one: one[0][0].least)
            worst[clock] = bound, net
            paths.append(corner.path(clock, bound, net, drivers))
    nominal = corners[CORNERS.index(1.0)]
    ends = [(w, net) for net in nets for w in nominal.windows.get(net, ())]
    if not ends:
        return (), tuple(paths)
    # Backwards: each way, when it begins, and the layer that waits at its end until when.
    ways = [_nets(max(ends, key=lambda end: end[0].late)[0], nominal.net)]
    waits: list[tuple[str, float] | None] = [None]
    while ways[-1][0] in worst:
        clock = ways[-1][0]
        bound, net = worst[clock]
        ways.append(_nets(bound.window, net))
        waits.append((layer_of(bound.instance), program.clocks[clock]))
    took: dict[str, list[float]] = {}
    ways.reverse()
    waits.reverse()
    hops = [
        [(drivers[net], _delay(drivers[net], ahead, net)) for ahead, net in pairwise(way)]
        for way in ways
    ]
    trees = [_tree(of, way[0], program) for of, way in zip(hops, ways, strict=True)]
    for k, (way, wait) in enumerate(zip(ways, waits, strict=True)):
        begin = program.clocks.get(way[0], program.first)
        room = np.inf if wait is None else wait[1] + sum(trees[k + 1]) - begin
        lasted = 0.0
        for n, (i, seconds) in enumerate(hops[k]):
            # What it takes beyond that goes on beside the clock's own way to where they meet.
            seconds = min(seconds, room - lasted)
            lasted += seconds
            if n >= len(trees[k]):
                mine = took.setdefault(layer_of(i), [0.0, 0.0, 0.0])
                mine[0 if i.kind == "jtl" else 1] += seconds
        if wait is not None:
            took.setdefault(wait[0], [0.0, 0.0, 0.0])[2] += room - lasted
    return tuple(Share(layer, *parts) for layer, parts in took.items()), tuple(paths)


def _tree(hops: Sequence[tuple[Instance, float]], start: str, program: Program) -> list[float]:
    """What a clock's own cells take at the beginning of its way, one by one in s."""
    if start not in program.clocks:
        return []
    return [t for _, t in takewhile(lambda hop: layer_of(hop[0]) in program.clocks, hops)]


def _delay(instance: Instance, before: str, net: str) -> float:
    """The nominal delay of a cell from one of its nets to another, in s."""
    ports = {net: port for port, net in instance.nets.items()}
    this = instance.cell
    x, y = this.inputs.index(ports[before]), this.outputs.index(ports[net])
    return float(np.nanmax(timing(instance.kind).delay[:, x, y]))
