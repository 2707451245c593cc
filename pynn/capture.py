"""From a script's populations and projections to one graph and one stimulus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pyNN import common

from ..compiler.files import write_file
from ..compiler.stimulus import LabelledStimulus, stimulus_bytes
from ..ir.connections import Connection, Dense, OneToOne, Sparse
from ..ir.diagnostics import fail
from ..ir.events import Events, Stimulus
from ..ir.graph import Graph, Input, Output
from ..ir.graph import Population as Neurons
from ..ir.graph import Projection as Synapses
from ..ir.neurons import CURRENT
from ..ir.plasticity import Plasticity
from ..ir.short_term import TsodyksMarkram
from ..ir.text import text
from .cells import EXCITATORY, MILLI, NANO, SourceCell, kernel_factor
from .electrodes import CurrentSource
from .populations import Population
from .projections import Projection, by_row
from .simulator import state
from .synapses import STDPMechanism, TsodyksMarkramSynapse
from .where import here, number

Places = npt.NDArray[Any]  # int32 or int64: networks are far larger than their indices need


@dataclass(frozen=True)
class Piece:
    """A projection of the graph, and which synapses of the script's projection it holds.

    ``order`` (one a synapse) is where each of its weights, flattened, is among those of ``source``.
    """

    source: Projection
    synapses: Synapses
    order: Places


@dataclass(frozen=True)
class Network:
    """The graph of a script, with the name that each population and source has in it."""

    graph: Graph
    names: dict[Population, str]
    electrodes: tuple[tuple[str, CurrentSource], ...]
    pieces: tuple[Piece, ...]


def capture_network() -> Network:
    """The network as it is now."""
    labels = _unique([population.label for population in state.populations])
    names = dict(zip(state.populations, labels, strict=True))
    taken = set(labels)
    inputs, populations = [], []
    for population, name in names.items():
        if isinstance(population.celltype, SourceCell):
            inputs.append(Input(name, (population.size,), population.at))
            continue
        celltype, parameters = population.celltype, population.parameters
        populations.append(
            Neurons(
                name,
                (population.size,),
                celltype.neuron(parameters, population.initial),
                celltype.semantics(parameters, population.changed),
                at=population.at,
            )
        )
    pieces = [piece for projection in state.projections for piece in _pieces(projection, names)]
    fresh = _unique([piece.synapses.name for piece in pieces])
    pieces = [
        Piece(piece.source, _renamed(piece.synapses, name), piece.order)
        for piece, name in zip(pieces, fresh, strict=True)
    ]
    injected: list[Synapses] = []
    electrodes = []
    for k, source in enumerate(state.sources):
        name = _free(f"{type(source).__name__}{k}", taken)
        ends = list(_injected(source, name, names))
        if ends:
            inputs.append(Input(name, (1,), source.at))
            electrodes.append((name, source))
            injected += ends
    graph = Graph(
        "pynn",
        state.dt * MILLI,
        tuple(inputs),
        tuple(populations),
        (*(piece.synapses for piece in pieces), *injected),
        tuple(Output(p.name, p.name) for p in populations),
    )
    return Network(graph, names, tuple(electrodes), tuple(pieces))


def _renamed(synapses: Synapses, name: str) -> Synapses:
    values = {f: getattr(synapses, f) for f in synapses.__dataclass_fields__}
    return Synapses(**(values | {"name": name}))


def _free(name: str, taken: set[str]) -> str:
    found, k = name, 2
    while found in taken:
        found, k = f"{name}-{k}", k + 1
    taken.add(found)
    return found


def _unique(names: list[str]) -> list[str]:
    taken: set[str] = set()
    return [_free(name, taken) for name in names]


def _parts(group: Any) -> Iterator[tuple[Population, Places, int]]:
    """The populations behind a group, where its cells are in them, and how many came before."""
    first = 0
    for member in group.populations if isinstance(group, common.Assembly) else [group]:
        yield member.root, member.places().astype(np.int32), first
        first += member.size


def _pieces(projection: Projection, names: dict[Population, str]) -> Iterator[Piece]:
    pres, posts = list(_parts(projection.pre)), list(_parts(projection.post))
    label = projection.label or "projection"
    for pre, from_, first in pres:
        for post, to, start in posts:
            one = len(pres) == len(posts) == 1
            i, j = projection.pre_index, projection.post_index
            chosen: Places | None = None
            if not one:
                i, j = i - np.int32(first), j - np.int32(start)
                within = (i >= 0) & (i < from_.size) & (j >= 0) & (j < to.size)
                chosen = np.flatnonzero(within).astype(np.int32)
                i, j = i[chosen], j[chosen]
            if not i.size:
                continue
            name = label if one else f"{label} ({names[pre]} to {names[post]})"
            i = i if from_.size == pre.size else from_[i]
            j = j if to.size == post.size else to[j]
            yield from _between(projection, name, pre, post, chosen, i, j, names)


def _between(
    projection: Projection,
    name: str,
    pre: Population,
    post: Population,
    chosen: Places | None,
    i: Places,
    j: Places,
    names: dict[Population, str],
) -> Iterator[Piece]:
    def value(attribute: str) -> Any:
        held = projection.attributes[attribute]
        return held[chosen] if np.ndim(held) and chosen is not None else held

    steps = np.asarray(value("delay"))
    celltype = post.celltype
    unit = celltype.shape.weight
    factor = unit * kernel_factor(celltype, post.parameters, projection.receptor_type)
    weight = np.asarray(value("weight"), np.float64)
    kind = projection.synapse_type
    groups: list[Places | None] = [None]
    if steps.ndim and projection.plastic:  # a plastic projection has one delay
        groups = [np.flatnonzero(steps == each) for each in np.unique(steps)]
    for group in groups:
        own = steps if group is None or not steps.ndim else steps[group]
        uniform = int(own.flat[0]) if own.ndim == 0 or (own == own.flat[0]).all() else None
        connection, order = _connection(
            pre.size,
            post.size,
            i if group is None else i[group],
            j if group is None else j[group],
            weight if group is None or not weight.ndim else weight[group],
            factor,
            None if uniform is not None else own,
        )
        plasticity: Plasticity | None = None
        short_term: TsodyksMarkram | None = None
        local = order if group is None else group[order]
        places = local if chosen is None else chosen[local]
        if isinstance(kind, STDPMechanism):
            plasticity = kind.plasticity(projection.attributes, unit)
        elif isinstance(kind, TsodyksMarkramSynapse):
            letter = "E" if projection.receptor_type == EXCITATORY else "I"
            tau = post.parameters.get(f"tau_syn_{letter}")
            tau_syn = np.asarray(state.dt) if tau is None else tau[j[local]]
            shape = connection.weight.shape  # type: ignore[attr-defined]  # Dense, Sparse, OneToOne
            values = {
                attribute: _each(projection.attributes[attribute], places, shape)
                for attribute in ("U", "tau_rec", "tau_facil")
            }
            short_term = kind.short_term(values, _each(tau_syn, np.arange(places.size), shape))
        title = name if uniform is None or len(groups) == 1 else f"{name} ({uniform} steps)"
        synapses = Synapses(
            title,
            names[pre],
            names[post],
            connection,
            uniform or 0,
            at=projection.at,
            plasticity=plasticity,
            receptor=projection.receptor_type,
            short_term=short_term,
        )
        yield Piece(projection, synapses, places)


def _each(values: Any, places: Places, shape: tuple[int, ...]) -> Any:
    """Values in the shape of the weights; one number where all are the same."""
    if not np.ndim(values):
        return np.asarray(values)
    chosen = np.asarray(values)[places]
    return np.asarray(chosen[0]) if (chosen == chosen[0]).all() else chosen.reshape(shape)


def _connection(
    rows: int, columns: int, i: Places, j: Places, weight: Any, factor: Any, steps: Any
) -> tuple[Connection, Places]:
    """The most compact form of synapses in ascending order of j, and the order of its weights.

    A weight is multiplied with ``factor``, one number or one a post cell.
    """
    each = np.broadcast_to(weight, i.size)
    if steps is None and i.size == rows * columns and _is_full(rows, i, j):
        scaled = _fixed(
            each.reshape(columns, rows) * (factor[:, None] if np.ndim(factor) else factor)
        )
        return Dense(scaled), np.arange(i.size, dtype=np.int32)
    if steps is None and i.size == rows == columns and (i == j).all() and _is_range(i):
        return OneToOne(_fixed(each * factor), (rows,)), np.arange(i.size, dtype=np.int32)
    indptr, order = by_row(i, rows)
    post = _fixed(j[order].astype(np.int32, copy=False))
    own = None if steps is None else _fixed(np.broadcast_to(steps, i.size)[order])
    values = np.full(i.size, float(weight)) if np.ndim(weight) == 0 else each[order]
    values *= factor[post] if np.ndim(factor) else factor
    return Sparse(rows, columns, indptr, post, _fixed(values), own), order


def _fixed(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """An array of ours that the graph may keep as it is."""
    array.flags.writeable = False
    return array


def _is_range(i: Places) -> bool:
    return bool((i == np.arange(i.size)).all())


def _is_full(rows: int, i: Places, j: Places) -> bool:
    """Whether synapse k joins k mod rows to k div rows."""
    k = np.arange(i.size)
    return bool((i == k % rows).all() and (j == k // rows).all())


def _injected(source: CurrentSource, name: str, names: dict[Population, str]) -> Iterator[Synapses]:
    """A source's current, in ampere, to every cell it is injected into."""
    groups: dict[Population, list[int]] = {}
    for cell in source.targets:
        groups.setdefault(cell.parent, []).append(cell.parent.id_to_index(cell))
    for population, cells in groups.items():
        times = np.bincount(cells, minlength=population.size).astype(np.float64)
        post = np.flatnonzero(times).astype(np.int32)
        yield Synapses(
            f"{name} to {names[population]}",
            name,
            names[population],
            Sparse(1, population.size, np.array([0, post.size]), post, times[post]),
            at=source.at,
            receptor=CURRENT,
        )


def source_events(population: Population, steps: int) -> tuple[Places, Places]:
    """Step and cell of every spike of a source in the first ``steps`` steps."""
    celltype = population.celltype
    stream = (state.seed, state.populations.index(population), state.segment_counter)
    ends = [*(first for first, _ in population.history[1:]), steps]
    found = [
        celltype.events(parameters, first, end, lambda: np.random.default_rng(stream))
        for (first, parameters), end in zip(population.history, ends, strict=True)
        if end > first
    ]
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    step, cell = (np.concatenate(each) for each in zip(*found, strict=True))
    order = np.lexsort((cell, step))
    return step[order], cell[order]


def capture_stimulus(network: Network, steps: int) -> Stimulus:
    """What the sources of the script send in its first ``steps`` steps: one sample."""
    inputs: dict[str, Events] = {}
    for population, name in network.names.items():
        if isinstance(population.celltype, SourceCell):
            step, cell = source_events(population, steps)
            inputs[name] = Events.from_events(
                1, steps, population.size, np.zeros(step.size, np.int64), step, cell
            )
    for name, source in network.electrodes:
        inputs[name] = Events.from_dense(source.current(steps)[None, :, None] * NANO)
    return Stimulus(inputs, None if inputs else (1, steps))


def capture() -> Graph:
    """The graph of the script so far: what ``spikec.compiler`` takes.

    Its sources are inputs; `stimulus` has what they send.
    """
    return capture_network().graph


def stimulus(simtime: float) -> Stimulus:
    """What the sources of the script send in its first ``simtime`` ms."""
    return capture_stimulus(capture_network(), _whole_steps(simtime))


def _whole_steps(simtime: Any) -> int:
    """The steps in ``simtime`` ms; E1002 for what is no time."""
    steps = number(simtime) / state.dt
    if not 0 <= steps <= np.iinfo(np.int32).max:
        raise fail(
            "E1002",
            f"a stimulus of {simtime!r} ms; it is 0 or more, and at most "
            f"{np.iinfo(np.int32).max} steps of {state.dt:g} ms",
            here(),
        )
    return round(steps)


def save(path: str | Path, simtime: float) -> None:
    """Write the graph, and what its sources send in the first ``simtime`` ms, as files.

    ``path`` gets the endings ``.spk`` and ``.npz``: what ``spikec compile`` and ``spikec run``
    take. E0604 where a file cannot be written.
    """
    if not isinstance(path, str | Path):
        raise fail("E1002", f"{path!r} is no name of files", here())
    steps, place = _whole_steps(simtime), Path(path)
    network = capture_network()
    sent = capture_stimulus(network, steps)
    write_file(place.with_name(f"{place.name}.spk"), text(network.graph).encode())
    write_file(place.with_name(f"{place.name}.npz"), stimulus_bytes(LabelledStimulus(sent)))
