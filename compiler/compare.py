r"""Two recordings of one stimulus, compared: where they first differ, and how far apart they are.

A comparison of digital rungs asks for equality, of every emission and every state word. A
comparison with the golden rung asks how far the spike trains are from each other: by the rate error
:math:`\sum |N_a - N_b| / \sum N_a` over spike counts of samples and neurons, and by the distances
of :mod:`.spike_distance`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..ir.events import Events, Recording, Stimulus
from ..ir.graph import Graph, Population
from ..ir.neurons import Emission, IntegerNeuron, LoihiNeuron, SpinnakerLIF
from .comparison import (
    Arrival,
    Comparison,
    Difference,
    Number,
    PopulationComparison,
    StateComparison,
    StateValues,
    WeightComparison,
)
from .connectivity import synapses
from .spike_distance import (
    differing,
    excess_by_train,
    van_rossum_squares,
    victor_purpura_costs,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# Without a graph nothing says whether a population is a readout; no neuron of any dialect sends
# this many spikes in one step, and every readout in integer units soon passes it.
_MOST_SPIKES = 255
_UNITS = "{} and {} hold it in different units"
_BLOCK = 1 << 22  # words of one dense block of counts


def compare(
    a: Recording,
    b: Recording,
    *,
    graph: Graph | None = None,
    stimulus: Stimulus | None = None,
    tau: float = 10.0,
    q: float = 0.1,
) -> Comparison:
    """Compare the populations and state variables that both recordings have.

    The first samples that both have are compared; populations must agree in steps and neurons.
    ``graph`` orders the populations, tells readouts from spiking ones, gives the scale of integer
    readouts, and, with ``stimulus``, the inputs of the first neuron that differs. Not-a-number
    never equals anything. ``tau`` in steps, ``q`` per step.

    Raises ``ValueError`` when nothing is common, or steps, sizes or dt disagree.
    """
    if tau <= 0 or q < 0:
        raise ValueError(f"tau must be above 0 and q not below: {tau} and {q}")
    if not math.isclose(a.dt, b.dt, rel_tol=1e-9):
        raise ValueError(f"{a.rung} has steps of {a.dt} s, {b.rung} of {b.dt} s")
    names = _common_populations(a, b, graph)
    (samples_a, steps), (samples_b, _) = _extents(a, b, names)
    samples = min(samples_a, samples_b)
    nodes = {} if graph is None else {p.name: p for p in graph.populations}

    populations: list[PopulationComparison] = []
    states: list[StateComparison] = []
    places: list[tuple[int, int, int, int, int]] = []
    skipped = []
    for rank, name in enumerate(names):
        node = nodes.get(name)
        if name in a.spikes and name in b.spikes:
            pair = a.spikes[name], b.spikes[name]
            result, place = _compare_events(name, pair, node, samples, tau, q)
            populations.append(result)
            if result.graded and result.max_abs_error is None:
                skipped.append(
                    f"{name}: {_UNITS.format(a.rung, b.rung)}, only winners agree or not"
                )
            if result.exact and place is not None:
                sample, step, neuron = place
                places.append((sample, step, rank, neuron, 0))
        for variable in _common_variables(a, b, name):
            words = a.states[name, variable], b.states[name, variable]
            units = _units(words[0].dtype, words[1].dtype, node, variable)
            if units is None:
                skipped.append(f"{name}.{variable}: {_UNITS.format(a.rung, b.rung)}")
                continue
            state, place = _compare_states(name, variable, words, units, samples)
            states.append(state)
            if state.exact and place is not None:
                sample, step, neuron = place
                places.append((sample, step, rank, neuron, 1))
    first = None
    if places:
        where = min(places)
        of_state = (*where[:4], 1) in places
        first = _difference(where, of_state, names, a, b, graph, stimulus)
    return Comparison(
        rungs=(a.rung, b.rung),
        dt=a.dt,
        samples=samples,
        recorded=(samples_a, samples_b),
        steps=steps,
        populations=tuple(populations),
        states=tuple(states),
        first=first,
        tau=float(tau),
        q=float(q),
        skipped=tuple(skipped),
        weights=tuple(
            _compare_weights(name, a.weights[name], b.weights[name])
            for name in a.weights
            if name in b.weights
        ),
    )


def accuracy(recording: Recording, population: str, labels: npt.ArrayLike) -> tuple[int, int]:
    r"""(correct, total): samples with :math:`\arg\max_n \sum_t z_n(t) = \mathrm{label}`, and all.

    Ties, a silent sample included, go to the lower index. ``labels`` has shape (samples,).
    Raises ``KeyError`` for a population that was not recorded, ``ValueError`` for another number
    of labels.
    """
    events = recording.spikes[population]
    wanted = np.asarray(labels)
    if wanted.shape != (events.samples,):
        raise ValueError(f"{events.samples} samples, labels of shape {wanted.shape}")
    return int(np.count_nonzero(_winners(events, events.samples) == wanted)), events.samples


def _common_populations(a: Recording, b: Recording, graph: Graph | None) -> list[str]:
    def known(r: Recording) -> dict[str, None]:
        return dict.fromkeys([*r.spikes, *(name for name, _ in r.states)])

    common = [
        name
        for name in known(a)
        if (name in a.spikes and name in b.spikes) or _common_variables(a, b, name)
    ]
    if not common:
        raise ValueError(
            f"nothing to compare: {a.rung} recorded {', '.join(known(a)) or 'nothing'}, "
            f"{b.rung} {', '.join(known(b)) or 'nothing'}"
        )
    if graph is None:
        return common
    order = {p.name: k for k, p in enumerate(graph.populations)}
    return sorted(common, key=lambda name: order.get(name, len(order)))


def _common_variables(a: Recording, b: Recording, name: str) -> list[str]:
    return [v for n, v in a.states if n == name and (n, v) in b.states]


def _extents(a: Recording, b: Recording, names: list[str]) -> list[tuple[int, int]]:
    """(samples, steps) of each recording; ValueError when populations cannot be compared."""
    found: list[set[tuple[int, int]]] = [set(), set()]
    for name in names:
        shapes = []
        if name in a.spikes and name in b.spikes:
            events = a.spikes[name], b.spikes[name]
            shapes.append([(e.samples, e.steps, e.size) for e in events])
        for variable in _common_variables(a, b, name):
            shapes.append([r.states[name, variable].shape for r in (a, b)])
        for one, two in shapes:
            if one[1:] != two[1:]:
                raise ValueError(
                    f"'{name}' has {one[1]} steps of {one[2]} neurons in {a.rung}, "
                    f"{two[1]} of {two[2]} in {b.rung}"
                )
            found[0].add(one[:2])
            found[1].add(two[:2])
    for recording, extents in zip((a, b), found, strict=True):
        if len(extents) != 1:
            raise ValueError(f"the populations of {recording.rung} differ in samples or steps")
    return [next(iter(extents)) for extents in found]


# What to multiply a side with and then to add so that units agree; None compares bits.
_Unit = tuple[float, npt.NDArray[np.float64]] | None


def _units(
    a: np.dtype[Any], b: np.dtype[Any], node: Population | None, variable: str
) -> tuple[_Unit, _Unit] | None:
    """How each side becomes real where only one is; None where that is unknown."""
    integer = [d.kind in "biu" for d in (a, b)]
    if integer[0] == integer[1]:
        return None, None
    if node is None or not isinstance(node.neuron, IntegerNeuron | SpinnakerLIF | LoihiNeuron):
        return None
    known = node.neuron.real(variable)
    if known is None:
        return None
    unit = known[0], np.ravel(known[1])
    return (unit if integer[0] else None), (unit if integer[1] else None)


# -- emissions ---------------------------------------------------------------------------------


def _compare_events(
    name: str,
    pair: tuple[Events, Events],
    node: Population | None,
    samples: int,
    tau: float,
    q: float,
) -> tuple[PopulationComparison, tuple[int, int, int] | None]:
    a, b = pair
    graded = _graded(pair, node)
    # What a readout sends is its membrane.
    units = _units(a.value.dtype, b.value.dtype, node, "v") if graded else (None, None)
    exact = not graded or a.integer == b.integer
    one, two = (None if unit is None else unit[0] for unit in units or (None, None))
    place, left, right = differing(a, b, samples, (one, two))
    vr = vp = rate = error = None
    if graded:
        error = None if units is None else _largest(left, right)
    else:
        train, step, excess, starts = excess_by_train(place, left, right, a)
        rate = _rate_error(starts, excess, _total(a, samples), place.size)
        run = train // max(a.size, 1)
        squares = van_rossum_squares(starts, step, excess, tau)
        vr = float(np.sum(np.sqrt(np.bincount(run, squares, samples)))) / max(samples, 1)
        costs = victor_purpura_costs(starts, step, excess.astype(np.int64), q)
        vp = float(np.sum(costs)) / max(samples, 1)
    result = PopulationComparison(
        population=name,
        neurons=a.size,
        places=samples * a.steps * a.size,
        mismatches=int(place.size),
        graded=graded,
        exact=exact,
        rate_error=rate,
        van_rossum=vr,
        victor_purpura=vp,
        max_abs_error=error,
        agreeing=int(np.count_nonzero(_winners(a, samples) == _winners(b, samples))),
    )
    return result, _unfold(int(place[0]), a.steps, a.size) if place.size else None


def _graded(pair: tuple[Events, Events], node: Population | None) -> bool:
    if node is not None and isinstance(node.neuron, IntegerNeuron):
        return not node.neuron.spiking
    if node is not None:
        return node.neuron.EMISSION is Emission.GRADED
    return any(
        not e.integer or (e.value.size > 0 and (e.value.min() < 0 or e.value.max() > _MOST_SPIKES))
        for e in pair
    )


def _rate_error(starts: Ints, excess: npt.NDArray[Any], total: float, differ: int) -> float | None:
    if differ == 0:
        return 0.0
    changed = float(np.abs(np.add.reduceat(excess, starts[:-1])).sum())
    if total == 0.0:
        return None if changed else 0.0
    return changed / total


def _total(events: Events, samples: int) -> float:
    return float(events.value[: int(np.searchsorted(events.sample, samples))].sum())


def _winners(events: Events, samples: int) -> Ints:
    """argmax over neurons of the summed emission, shape (samples,); ties to the lower index."""
    out = np.zeros(samples, np.int64)
    block = max(1, _BLOCK // max(events.size, 1))
    for low in range(0, samples, block):
        high = min(low + block, samples)
        begin, end = np.searchsorted(events.sample, [low, high])
        counts = np.zeros((high - low, events.size), events.value.dtype)
        where = (events.sample[begin:end] - low, events.index[begin:end])
        np.add.at(counts, where, events.value[begin:end])
        if events.size:
            out[low:high] = counts.argmax(axis=1)
    return out


# -- states ------------------------------------------------------------------------------------


def _compare_states(
    name: str,
    variable: str,
    words: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    units: tuple[_Unit, _Unit],
    samples: int,
) -> tuple[StateComparison, tuple[int, int, int] | None]:
    a, b = words
    exact = (a.dtype.kind == "f") == (b.dtype.kind == "f")
    mismatches, largest = 0, 0.0
    first: tuple[int, int, int] | None = None
    # One sample at a time: traces of a whole run are large, and the masks would double them.
    for sample in range(samples):
        left, right = (
            x[sample] if unit is None else x[sample] * unit[0] + unit[1]
            for x, unit in zip((a, b), units, strict=True)
        )
        if left.dtype == right.dtype and np.array_equal(left, right):
            continue
        differ = left != right
        count = int(np.count_nonzero(differ))
        if not count:
            continue
        if first is None:
            step, neuron = np.divmod(int(differ.argmax()), a.shape[2])
            first = sample, int(step), int(neuron)
        mismatches += count
        largest = max(largest, _largest(left[differ], right[differ]))
    words_compared = samples * a.shape[1] * a.shape[2]
    return StateComparison(name, variable, words_compared, mismatches, exact, largest), first


def _compare_weights(name: str, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> WeightComparison:
    left, right = a[-1], b[-1]
    differ = left != right
    count = int(np.count_nonzero(differ))
    if not count:
        return WeightComparison(name, left.size, 0, 0.0, None, None)
    place = tuple(int(k) for k in np.argwhere(differ)[0])
    values = left[place].item(), right[place].item()
    largest = _largest(left[differ], right[differ])
    return WeightComparison(name, left.size, count, largest, place, values)


def _largest(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> float:
    """max |left - right|; 0 for nothing, infinite where one of them is not a number."""
    if not left.size:
        return 0.0
    if left.dtype.kind == "u":  # differences of unsigned words wrap
        left, right = left.astype(np.int64), right.astype(np.int64)
    error = float(np.max(np.abs(left - right)))
    return math.inf if math.isnan(error) else error


# -- the first difference ----------------------------------------------------------------------


def _unfold(place: int, steps: int, size: int) -> tuple[int, int, int]:
    moment, neuron = divmod(place, size)
    sample, step = divmod(moment, steps)
    return sample, step, neuron


def _difference(
    where: tuple[int, int, int, int, int],
    of_state: bool,
    names: Sequence[str],
    a: Recording,
    b: Recording,
    graph: Graph | None,
    stimulus: Stimulus | None,
) -> Difference:
    sample, step, rank, neuron, _ = where
    name = names[rank]
    node = None
    if graph is not None:
        node = next((p for p in graph.populations if p.name == name), None)
    late = node is not None and node.semantics.registered and not of_state
    update = step - 1 if late else step
    emissions = None
    if name in a.spikes and name in b.spikes:
        emissions = (
            _value(a.spikes[name], sample, step, neuron),
            _value(b.spikes[name], sample, step, neuron),
        )
    states = []
    for variable in _common_variables(a, b, name):
        words = a.states[name, variable], b.states[name, variable]

        def at(moment: int, words: Sequence[npt.NDArray[Any]] = words) -> tuple[Number, Number]:
            return words[0][sample, moment, neuron].item(), words[1][sample, moment, neuron].item()

        scale, origin = None, 0.0
        units = _units(words[0].dtype, words[1].dtype, node, variable)
        for unit in units or ():
            if unit is not None:
                scale, origin = unit[0], float(unit[1][neuron if unit[1].size > 1 else 0])
        if update >= 0:
            before = at(update - 1) if update else None
            states.append(StateValues(variable, before, at(update), scale, origin))
    inputs, unknown = None, []
    if graph is not None and node is not None:
        arrivals: list[Arrival] = []
        for projection in graph.incoming(name):
            source = _source(projection.pre, a, b, stimulus)
            # With which weight, nobody recorded.
            learns = projection.plasticity is not None or projection.tied is not None
            if learns or source is None or sample >= source.samples:
                unknown.append(projection.name)
                continue
            arrivals.extend(_arrivals(graph, projection.name, source, node, sample, update, neuron))
        inputs = tuple(arrivals)
    return Difference(
        sample=sample,
        step=step,
        time=step * a.dt,
        population=name,
        neuron=neuron,
        update=update,
        emissions=emissions,
        states=tuple(states),
        inputs=inputs,
        unknown=tuple(unknown),
    )


def _value(events: Events, sample: int, step: int, neuron: int) -> Number:
    low, high = events.span(sample)
    moment = events.step[low:high].astype(np.int64) * events.size + events.index[low:high]
    place = step * events.size + neuron
    at = int(np.searchsorted(moment, place))
    if at == moment.size or moment[at] != place:
        return 0
    value: Number = events.value[low + at].item()
    return value


def _source(name: str, a: Recording, b: Recording, stimulus: Stimulus | None) -> Events | None:
    """What a node sent. Before the first difference both recordings agree on it."""
    if stimulus is not None and name in stimulus.inputs:
        return stimulus.inputs[name]
    return a.spikes.get(name) or b.spikes.get(name)


def _arrivals(
    graph: Graph,
    name: str,
    source: Events,
    post: Population,
    sample: int,
    update: int,
    neuron: int,
) -> Iterator[Arrival]:
    r"""What one neuron received along one projection in one step.

    Recordings have their lags taken out, so a projection is as long as before retiming:
    :math:`delay + lag_{pre} - lag_{post}`, and the steps of each synapse.
    """
    projection = next(p for p in graph.projections if p.name == name)
    pre = graph.node(projection.pre)
    lag = pre.lag if isinstance(pre, Population) else 0
    i, j, w, each = synapses(projection.connection)
    ends = np.flatnonzero(j == neuron)
    sent = update - (projection.delay + lag - post.lag) - each
    low, high = source.span(sample)
    moment = source.step[low:high].astype(np.int64) * source.size + source.index[low:high]
    due = sent[ends] * source.size + i[ends]
    place = np.searchsorted(moment, due)
    for k in np.argsort(place, kind="stable"):
        if place[k] == moment.size or moment[place[k]] != due[k]:
            continue
        line, weight = int(i[ends[k]]), w[ends[k]].item()
        event = low + int(place[k])
        count = source.value[event].item()
        yield Arrival(name, projection.pre, line, weight, count, int(source.step[event]))
