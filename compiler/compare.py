r"""Two recordings of one stimulus, compared: where they first differ, and how far apart they are.

A comparison of digital rungs asks for equality, of every emission and every state word. A
comparison with the golden rung asks how far the spike trains are from each other; with
:math:`d_k` the excess of the first train over the second in step :math:`t_k`:

* rate error :math:`\sum |N_a - N_b| / \sum N_a` over spike counts of samples and neurons,
* the distance of van Rossum (2001), and
* the cost of Victor and Purpura (1996).

Both distances depend on :math:`d` alone, so their price is that of the spikes that differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from ..ir.events import Events, Recording, Stimulus
from ..ir.graph import Graph, Population
from ..ir.neurons import Emission, IntegerNeuron
from .connectivity import delays, to_sparse

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Number = int | float

# Without a graph nothing says whether a population is a readout; no neuron of any dialect sends
# this many spikes in one step, and every readout in integer units soon passes it.
_MOST_SPIKES = 255
_SHOWN_INPUTS = 12
_UNITS = "{} and {} hold it in different units"
_BLOCK = 1 << 22  # words of one dense block of counts


# -- what a comparison says --------------------------------------------------------------------


@dataclass(frozen=True)
class StateValues:
    """One state variable of one neuron in both recordings, before and after one update.

    ``before`` is ``None`` in the first step, when the neuron was at rest.
    """

    variable: str
    before: tuple[Number, Number] | None
    after: tuple[Number, Number]


@dataclass(frozen=True)
class Arrival:
    """``count`` sent by ``neuron`` of ``pre`` in step ``sent``, with the weight it arrived with."""

    projection: str
    pre: str
    neuron: int
    weight: Number
    count: Number
    sent: int


@dataclass(frozen=True)
class Difference:
    """The first place where two recordings differ.

    ``update`` is the step whose inputs decided the emission of ``step``: one step earlier when
    the population is registered and only its emission differs. ``emissions`` and ``states`` hold
    the values of both recordings; ``emissions`` is ``None`` where they were not recorded.
    ``inputs`` is ``None`` when no graph was given; ``unknown`` names projections whose source was
    recorded in neither.
    """

    sample: int
    step: int
    time: float
    population: str
    neuron: int
    update: int
    emissions: tuple[Number, Number] | None
    states: tuple[StateValues, ...]
    inputs: tuple[Arrival, ...] | None
    unknown: tuple[str, ...]

    def describe(self, rungs: tuple[str, str]) -> str:
        """Place, values and inputs as text; ``rungs`` names the two recordings."""
        return "\n".join(_difference_lines(self, rungs))


@dataclass(frozen=True)
class PopulationComparison:
    """The emissions of one population.

    ``mismatches`` of ``places`` = samples * steps * neurons differ. ``exact`` is false where one
    recording is real and the other in integer units: then the latter was multiplied by its scale
    and the result is a measurement, not a test of equality. ``rate_error`` is relative to the
    first recording (``None`` if only that one is silent); the distances are means over samples
    of the population's, and ``None`` for graded values, whose ``max_abs_error`` is in the unit of
    the membrane. In ``agreeing`` samples both recordings have the same winner.
    """

    population: str
    neurons: int
    places: int
    mismatches: int
    graded: bool
    exact: bool
    rate_error: float | None
    van_rossum: float | None
    victor_purpura: float | None
    max_abs_error: float | None
    agreeing: int


@dataclass(frozen=True)
class StateComparison:
    """The words of one state variable; ``exact`` as in :class:`PopulationComparison`."""

    population: str
    variable: str
    words: int
    mismatches: int
    exact: bool
    max_abs_error: float


@dataclass(frozen=True)
class Comparison:
    """Two recordings compared, the first taken as the reference.

    ``samples`` is how many were compared, ``recorded`` how many each recording has. ``first`` is
    the first difference in order of sample, step, population and neuron, among what can be
    compared exactly. ``tau`` (steps) and ``q`` (per step) are the parameters of the distances.
    ``skipped`` says what could not be compared, and why.
    """

    rungs: tuple[str, str]
    dt: float
    samples: int
    recorded: tuple[int, int]
    steps: int
    populations: tuple[PopulationComparison, ...]
    states: tuple[StateComparison, ...]
    first: Difference | None
    tau: float
    q: float
    skipped: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether nothing differs anywhere, measured values included."""
        return not (
            any(c.mismatches for c in self.populations) or any(c.mismatches for c in self.states)
        )

    @property
    def spike_bits(self) -> int:
        """Emissions compared exactly."""
        return sum(c.places for c in self.populations if c.exact)

    @property
    def spike_mismatches(self) -> int:
        """Of those, the ones that differ."""
        return sum(c.mismatches for c in self.populations if c.exact)

    @property
    def state_words(self) -> int:
        """State words compared exactly."""
        return sum(c.words for c in self.states if c.exact)

    @property
    def state_mismatches(self) -> int:
        """Of those, the ones that differ."""
        return sum(c.mismatches for c in self.states if c.exact)

    def describe(self) -> str:
        """Everything above as text for a person."""
        return "\n".join(_lines(self))

    def as_dict(self) -> dict[str, Any]:
        """Everything above as JSON-ready data; numbers that are not finite become null."""
        data = asdict(self)
        data["equal"] = self.equal
        for name in ("spike_bits", "spike_mismatches", "state_words", "state_mismatches"):
            data[name] = getattr(self, name)
        plain: dict[str, Any] = _finite(data)
        return plain


# -- the comparison ----------------------------------------------------------------------------


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
            scales = _scales(words[0].dtype, words[1].dtype, node if variable == "v" else None)
            if scales is None:
                skipped.append(f"{name}.{variable}: {_UNITS.format(a.rung, b.rung)}")
                continue
            state, place = _compare_states(name, variable, words, scales, samples)
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


def _scales(
    a: np.dtype[Any], b: np.dtype[Any], node: Population | None
) -> tuple[float, float] | None:
    """What to multiply each side with so that units agree; (1, 1) compares bits. None: unknown."""
    integer = [d.kind in "biu" for d in (a, b)]
    if integer[0] == integer[1]:
        return 1.0, 1.0
    if node is None or not isinstance(node.neuron, IntegerNeuron):
        return None
    scale = node.neuron.scale
    return (scale if integer[0] else 1.0), (scale if integer[1] else 1.0)


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
    scales = _scales(a.value.dtype, b.value.dtype, node) if graded else (1.0, 1.0)
    exact = not graded or a.integer == b.integer
    place, left, right = _differing(a, b, samples, scales or (1.0, 1.0))
    vr = vp = rate = error = None
    if graded:
        error = None if scales is None else _largest(left, right)
    else:
        train, step, excess, starts = _excess(place, left, right, a)
        rate = _rate_error(starts, excess, _total(a, samples), place.size)
        run = train // max(a.size, 1)
        squares = _van_rossum(starts, step, excess, tau)
        vr = float(np.sum(np.sqrt(np.bincount(run, squares, samples)))) / max(samples, 1)
        costs = _victor_purpura(starts, step, excess.astype(np.int64), q)
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


def _differing(
    a: Events, b: Events, samples: int, scales: tuple[float, float] = (1.0, 1.0)
) -> tuple[Ints, npt.NDArray[Any], npt.NDArray[Any]]:
    """Places (sample, step, line in one number, sorted) where two events differ, and the values."""
    keys, values = [], []
    for events, scale in zip((a, b), scales, strict=True):
        high = int(np.searchsorted(events.sample, samples))
        key = events.sample[:high].astype(np.int64) * events.steps + events.step[:high]
        keys.append(key * events.size + events.index[:high])
        value = np.array(events.value[:high])
        values.append(value if scale == 1.0 else value * scale)
    place, left, right = _merge(keys[0], values[0], keys[1], values[1])
    return place, left, right


@numba.njit(cache=True)
def _merge(left_key: Any, left: Any, right_key: Any, right: Any) -> Any:
    """The places of two sorted lists where the values differ; a place that is absent holds 0."""
    most = left_key.size + right_key.size
    place = np.empty(most, np.int64)
    ones, twos = np.zeros(most, left.dtype), np.zeros(most, right.dtype)
    found = i = j = 0
    while i < left_key.size or j < right_key.size:
        from_left = j == right_key.size or (i < left_key.size and left_key[i] <= right_key[j])
        from_right = i == left_key.size or (j < right_key.size and right_key[j] <= left_key[i])
        place[found] = left_key[i] if from_left else right_key[j]
        ones[found] = left[i] if from_left else 0
        twos[found] = right[j] if from_right else 0
        i += from_left
        j += from_right
        if ones[found] != twos[found]:
            found += 1
    return place[:found].copy(), ones[:found].copy(), twos[:found].copy()


def _excess(
    place: Ints, left: npt.NDArray[Any], right: npt.NDArray[Any], shape: Events
) -> tuple[Ints, Ints, npt.NDArray[Any], Ints]:
    """Differences train by train: (train of each, step, excess of left, where each begins).

    A train is one neuron in one sample: ``train = sample * size + neuron``.
    """
    moment, line = np.divmod(place, max(shape.size, 1))
    sample, step = np.divmod(moment, max(shape.steps, 1))
    train = sample * shape.size + line
    order = np.argsort(train, kind="stable")
    train, step, excess = train[order], step[order], (left - right)[order]
    starts = np.flatnonzero(np.diff(train, prepend=-1)).astype(np.int64)
    ends = np.append(starts, train.size)
    return train[starts], step, excess, ends


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


# -- distances of spike trains -----------------------------------------------------------------


def van_rossum(a: Events, b: Events, tau: float) -> Floats:
    r"""Distance of van Rossum of every pair of spike trains, shape (samples, neurons).

    .. math::
        D^2 = \frac{1}{\tau} \int_0^\infty (f - g)^2 \, dt
            = \frac{1}{2} \sum_{k, l} d_k d_l \, e^{-|t_k - t_l| / \tau},
        \qquad f(t) = \sum_i e^{-(t - t_i) / \tau} \, H(t - t_i),

    exactly, with :math:`d` the excess of one train over the other; ``tau`` and t in steps. One
    spike against none gives :math:`1/\sqrt 2`. Linear in the spikes that differ, by the recursion
    of Houghton and Kreuz (2012). Source: M. van Rossum, *A novel spike distance*, Neural
    Computation 13 (2001) 751-763.
    """
    if tau <= 0:
        raise ValueError(f"tau must be above 0, not {tau}")
    train, step, excess, starts = _pairwise(a, b)
    out = np.zeros(a.samples * a.size)
    out[train] = np.sqrt(_van_rossum(starts, step, excess, tau))
    return out.reshape(a.samples, a.size)


def victor_purpura(a: Events, b: Events, q: float) -> Floats:
    r"""Cost of Victor and Purpura of every pair of spike trains, shape (samples, neurons).

    The least cost of turning one train into the other, where adding or deleting a spike costs 1
    and moving it by :math:`\Delta t` steps costs :math:`q\,|\Delta t|`:

    .. math::
        G_{ij} = \min(G_{i-1,j} + 1,\; G_{i,j-1} + 1,\; G_{i-1,j-1} + q\,|t_i - t_j|).

    Spikes at one time in both trains are matched first: by the triangle inequality no cheaper
    matching leaves them apart. A count of n is n spikes. Source: J. Victor, K. Purpura, *Nature
    and precision of temporal coding in visual cortex*, J. Neurophysiology 76 (1996) 1310-1326.
    """
    if q < 0:
        raise ValueError(f"q must not be below 0: {q}")
    train, step, excess, starts = _pairwise(a, b)
    out = np.zeros(a.samples * a.size)
    out[train] = _victor_purpura(starts, step, excess.astype(np.int64), q)
    return out.reshape(a.samples, a.size)


def _pairwise(a: Events, b: Events) -> tuple[Ints, Ints, npt.NDArray[Any], Ints]:
    shapes = [(e.samples, e.steps, e.size) for e in (a, b)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"(samples, steps, neurons) are {shapes[0]} and {shapes[1]}")
    return _excess(*_differing(a, b, a.samples), a)


@numba.njit(cache=True)
def _van_rossum(starts: Any, step: Any, excess: Any, tau: float) -> Any:
    squares = np.zeros(starts.size - 1)
    for train in range(starts.size - 1):
        trace = 0.0
        total = 0.0
        last = 0
        for k in range(starts[train], starts[train + 1]):
            trace *= np.exp(-(step[k] - last) / tau)
            total += excess[k] * (excess[k] + 2.0 * trace)
            trace += excess[k]
            last = step[k]
        # Rounding may leave a sum that is zero on paper a little below it.
        squares[train] = max(0.5 * total, 0.0)
    return squares


@numba.njit(cache=True)
def _victor_purpura(starts: Any, step: Any, excess: Any, q: float) -> Any:
    costs = np.zeros(starts.size - 1)
    for train in range(starts.size - 1):
        low, high = starts[train], starts[train + 1]
        size = 0
        for k in range(low, high):
            size += max(-excess[k], 0)
        times = np.empty(size, np.int64)
        size = 0
        for k in range(low, high):
            for _ in range(-excess[k]):
                times[size] = step[k]
                size += 1
        row = np.arange(size + 1).astype(np.float64)
        for k in range(low, high):
            for _ in range(excess[k]):
                corner = row[0]
                row[0] += 1.0
                for j in range(size):
                    best = corner + q * abs(step[k] - times[j])
                    corner = row[j + 1]
                    row[j + 1] = min(best, corner + 1.0, row[j] + 1.0)
        costs[train] = row[size]
    return costs


# -- states ------------------------------------------------------------------------------------


def _compare_states(
    name: str,
    variable: str,
    words: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    scales: tuple[float, float],
    samples: int,
) -> tuple[StateComparison, tuple[int, int, int] | None]:
    a, b = words
    exact = (a.dtype.kind == "f") == (b.dtype.kind == "f")
    mismatches, largest = 0, 0.0
    first: tuple[int, int, int] | None = None
    # One sample at a time: traces of a whole run are large, and the masks would double them.
    for sample in range(samples):
        left, right = (
            x[sample] if scale == 1.0 else x[sample] * scale
            for x, scale in zip((a, b), scales, strict=True)
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

        if update >= 0:
            states.append(StateValues(variable, at(update - 1) if update else None, at(update)))
    inputs, unknown = None, []
    if graph is not None and node is not None:
        arrivals: list[Arrival] = []
        for projection in graph.incoming(name):
            source = _source(projection.pre, a, b, stimulus)
            learns = projection.plasticity is not None  # with which weight, nobody recorded
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
    :math:`delay + lag_{pre} - lag_{post}`, and :math:`p_i + q_j` of its own delays.
    """
    projection = next(p for p in graph.projections if p.name == name)
    pre = graph.node(projection.pre)
    lag = pre.lag if isinstance(pre, Population) else 0
    before, after = delays(projection.connection)
    column = to_sparse(projection.connection)[:, [neuron]].tocoo()
    weight = dict(zip(column.row.tolist(), column.data.tolist(), strict=True))
    sent = update - (projection.delay + lag - post.lag) - before - after[neuron]
    low, high = source.span(sample)
    steps, lines = source.step[low:high], source.index[low:high]
    for k in np.flatnonzero(steps == sent[lines]):
        line = int(lines[k])
        if line in weight:
            count = source.value[low + k].item()
            yield Arrival(name, projection.pre, line, weight[line], count, int(steps[k]))


# -- text --------------------------------------------------------------------------------------


def _lines(c: Comparison) -> Iterator[str]:
    one, two = c.rungs
    extent = f"{c.samples:,} samples x {c.steps} steps"
    if c.recorded != (c.samples, c.samples):
        extent += f" (recorded: {c.recorded[0]:,} and {c.recorded[1]:,} samples)"
    yield f"{one} against {two}, {extent}: {'equal' if c.equal else 'they differ'}"
    for p in c.populations:
        yield f"  {p.population}: {_population_line(p, c)}"
    for s in c.states:
        text = f"{s.mismatches:,} of {s.words:,} words differ"
        if s.mismatches:
            text += f", by at most {s.max_abs_error:.4g}"
        if not s.exact:
            text += " (measured: the rungs use different numbers)"
        yield f"  {s.population}.{s.variable}: {text}"
    for reason in c.skipped:
        yield f"  not compared: {reason}"
    if c.first is not None:
        yield from _difference_lines(c.first, c.rungs)


def _population_line(p: PopulationComparison, c: Comparison) -> str:
    parts = [f"{p.mismatches:,} of {p.places:,} emissions differ"]
    if p.max_abs_error is not None and p.mismatches:
        parts.append(f"by at most {p.max_abs_error:.4g}")
    if not p.exact:
        parts.append("measured: the rungs use different numbers")
    if not p.graded and p.mismatches:
        rate = "undefined (the first is silent)" if p.rate_error is None else f"{p.rate_error:.3%}"
        parts.append(f"rate error {rate}")
        parts.append(f"van Rossum {p.van_rossum:.4g} (tau {c.tau:g} steps)")
        parts.append(f"Victor-Purpura {p.victor_purpura:.4g} (q {c.q:g} per step)")
    parts.append(f"same winner in {p.agreeing:,} of {c.samples:,} samples")
    return "; ".join(parts)


def _difference_lines(d: Difference, rungs: tuple[str, str]) -> Iterator[str]:
    one, two = rungs
    yield (
        f"first difference: sample {d.sample}, step {d.step} ({d.time * 1e3:.6g} ms), "
        f"population '{d.population}', neuron {d.neuron}"
    )
    if d.emissions is None:
        yield "  emission: not recorded"
    else:
        yield f"  emission: {one} {_text(d.emissions[0])}, {two} {_text(d.emissions[1])}"
    for s in d.states:
        before = "at rest before"
        if s.before is not None:
            left, right = map(_text, s.before)
            before = f"both {left}" if left == right else f"{left} and {right}"
            before += f" in step {d.update - 1}"
        yield (
            f"  {s.variable} after step {d.update}: {one} {_text(s.after[0])}, "
            f"{two} {_text(s.after[1])} ({before})"
        )
    if d.inputs is not None:
        total = sum(i.weight * i.count for i in d.inputs)
        yield (f"  inputs in step {d.update}: {len(d.inputs)} arrived, weighted sum {_text(total)}")
        # The heaviest first: one wrong weight among hundreds is found by its size.
        heavy = sorted(d.inputs, key=lambda i: (-abs(i.weight * i.count), i.projection, i.neuron))
        for i in heavy[:_SHOWN_INPUTS]:
            yield (
                f"    {i.projection}: {i.pre}[{i.neuron}] sent {_text(i.count)} in step {i.sent}, "
                f"weight {_text(i.weight)}"
            )
        if len(heavy) > _SHOWN_INPUTS:
            yield f"    and {len(heavy) - _SHOWN_INPUTS} lighter ones"
    for name in d.unknown:
        yield f"  inputs along '{name}' are not known: its source was not recorded, or it learns"


def _text(value: Number) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def _finite(value: Any) -> Any:
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value
