"""Point neurons become neurons with one input sum, and synapses lose delays of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...boards.board import Target
from ...ir.connections import Connection, Scale, Sparse, chain, stages
from ...ir.diagnostics import Diagnostics
from ...ir.graph import Graph, Population, Projection
from ...ir.neurons import CURRENT, LIF, AdEx, CubaLIF, Izhikevich, Kernel, PointLIF, Receptor
from ...ir.semantics import Comparison, Current, Decay, Gain, IntegratorGain, Semantics
from ...ir.step import decay, step_parameters

Real = npt.NDArray[np.float64]

_GOLDEN = "or run it on the golden rung"
# Two potentials that differ by no more than this share of their size are one.
_ALIKE = 1e-12


class _LacksError(Exception):
    """What the target has not, and what to do about it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class _Lowered:
    """A population with one sum, the factor of the weights into each port, and steps to add."""

    population: Population
    factors: dict[str, Real]
    later: dict[str, int]


def has_ports(population: Population) -> bool:
    """Whether ``lower_points`` has anything to do for a population."""
    match population.neuron:
        case PointLIF():
            return True
        case Izhikevich() as neuron:
            start = (neuron.i_offset, neuron.v_init, neuron.u_init)
            return bool(neuron.receptors) or any(value is not None for value in start)
        case _:
            return False


def lower_points(graph: Graph, target: Target, found: Diagnostics) -> Graph:
    r"""Give every population with ports one input sum, exactly; E0301 where that is impossible.

    A `PointLIF` is

    * a `CubaLIF` where all that enters it are currents of one exponential time constant:
      :math:`u' = a u + S`, with :math:`R = \tau / C` and a gain that leaves S what it is;
    * a `LIF` where it is deltas, or currents of one step;

    with :math:`v_l + R I_0` for :math:`v_l`. Where Brian2's rule (``current`` old) adds a spike
    behind the step, it arrives one step later, to be seen by the next one. Deltas that an old rule
    loses for one step more than the neuron is refractory come out the same where the membrane rests
    at its reset. An `Izhikevich` neuron takes deltas behind its last Euler step, so with one of
    them they are as good as currents. Ports where nothing ends are dropped.
    """
    lowered: dict[str, _Lowered] = {}
    for population in graph.populations:
        if not has_ports(population):
            continue
        incoming = list(graph.incoming(population.name))
        try:
            _probed(graph, population, target)
            match population.neuron:
                case PointLIF() as neuron:
                    result = _point(population, neuron, incoming, graph.dt, target)
                case Izhikevich() as izhikevich:
                    result = _izhikevich(population, izhikevich, incoming, graph.dt, target)
                case _:  # pragma: no cover - `has_ports` knows no other
                    continue
        except _LacksError as lack:
            found.add("E0301", str(lack), population.at, lack.hint)
            continue
        lowered[population.name] = result
    return replace(
        graph,
        populations=tuple(
            lowered[p.name].population if p.name in lowered else p for p in graph.populations
        ),
        projections=tuple(
            _moved(p, lowered[p.post]) if p.post in lowered else p for p in graph.projections
        ),
    )


def _moved(projection: Projection, lowered: _Lowered) -> Projection:
    port = projection.receptor
    if port is None:
        return projection
    connection, factor = projection.connection, lowered.factors.get(port)
    if factor is not None and not np.all(factor == 1.0):
        parts: tuple[Connection, ...] = stages(connection)
        shape = connection.out_shape
        each = factor if factor.ndim == 0 else factor.reshape(shape)
        connection = chain((*parts, Scale(each, shape)), connection.in_shape)
    delay = projection.delay + lowered.later.get(port, 0)
    return replace(projection, connection=connection, receptor=None, delay=delay)


def _probed(graph: Graph, population: Population, target: Target) -> None:
    signals = {name for r in _receptors(population.neuron) for name in r.state}
    for probe in graph.probes:
        if probe.source == population.name and probe.variable in signals:
            raise _LacksError(
                f"'{population.name}.{probe.variable}' is probed; {target.name} has one sum for "
                "all receptors of a neuron, not the signal of each",
                f"probe 'v', {_GOLDEN}",
            )


def _receptors(neuron: object) -> tuple[Receptor, ...]:
    return neuron.receptors if isinstance(neuron, PointLIF | Izhikevich) else ()


def _used(population: Population, incoming: list[Projection]) -> list[Receptor]:
    """The receptors that anything reaches, or that hold a signal from the start."""
    ends = {p.receptor for p in incoming}
    return [r for r in _receptors(population.neuron) if r.name in ends or np.any(r.initial)]


def _quoted(receptors: list[Receptor]) -> str:
    return ", ".join(f"'{receptor.name}'" for receptor in receptors)


# -- integrate and fire ----------------------------------------------------------------------------


def _point(
    population: Population,
    neuron: PointLIF,
    incoming: list[Projection],
    dt: float,
    target: Target,
) -> _Lowered:
    name = population.name
    used = _used(population, incoming)
    _refuse_kinds(population, neuron, used, target)
    signals = [r for r in used if r.kernel is Kernel.EXPONENTIAL]
    jumps = [r for r in used if r.kernel is Kernel.DELTA]
    injected = any(p.receptor == CURRENT for p in incoming)
    if signals and (jumps or injected):
        other = _quoted(jumps) if jumps else f"'{CURRENT}'"
        raise _LacksError(
            f"'{name}' has a synaptic current, {_quoted(signals)}, and takes what arrives at "
            f"{other} without one; a neuron of {target.name} has one sum, before its current",
            f"split the population, give all of its input one kind of receptor, {_GOLDEN}",
        )
    late = population.semantics.current is Current.OLD
    if late and (signals or jumps):
        for p in incoming:
            if p.plasticity is not None and p.receptor != CURRENT:
                raise _LacksError(
                    f"'{p.name}' learns and ends at '{name}', where spikes arrive behind the step "
                    f"(current old); on {target.name} they arrive before it, and every pair of "
                    "spikes in one step would be another",
                    f"let the semantics of '{name}' have the current new, {_GOLDEN}",
                )
    if signals:
        return _with_synapse(population, neuron, signals, dt, target)
    return _without_synapse(population, neuron, jumps, incoming, dt, target)


def _refuse_kinds(
    population: Population, neuron: PointLIF, used: list[Receptor], target: Target
) -> None:
    name = population.name
    if isinstance(neuron, AdEx):
        raise _LacksError(
            f"'{name}' is an AdEx population; {target.name} has no exponential upswing",
            f"use a PointLIF, or an Izhikevich population with spike-frequency adaptation, "
            f"{_GOLDEN}",
        )
    conductances = [r for r in used if r.reversal is not None]
    if conductances:
        raise _LacksError(
            f"'{name}' has conductances, {_quoted(conductances)}; {target.name} adds currents, "
            "whatever the membrane",
            "use current-based synapses, with weights scaled by the distance to the reversal "
            f"potential (IF_cond_exp to IF_curr_exp), {_GOLDEN}",
        )
    alphas = [r for r in used if r.kernel is Kernel.ALPHA]
    if alphas:
        raise _LacksError(
            f"'{name}' has alpha functions, {_quoted(alphas)}; the synaptic current of a neuron of "
            f"{target.name} decays from its first step",
            f"use exponential currents (IF_curr_exp), {_GOLDEN}",
        )
    started = [r for r in used if np.any(r.initial)]
    if started:
        raise _LacksError(
            f"'{name}' starts with a current, {_quoted(started)}; on {target.name} synaptic "
            "currents start at zero",
            f"start it at 0 A, {_GOLDEN}",
        )


def _with_synapse(
    population: Population,
    neuron: PointLIF,
    signals: list[Receptor],
    dt: float,
    target: Target,
) -> _Lowered:
    first = signals[0]
    tau = first.tau
    assert tau is not None
    for other in signals[1:]:
        assert other.tau is not None
        if np.any(tau != other.tau):
            raise _LacksError(
                f"'{population.name}' has currents of two time constants: '{first.name}' "
                f"{_milliseconds(tau)} and '{other.name}' {_milliseconds(other.tau)}; a neuron of "
                f"{target.name} has one synaptic current",
                "give both one time constant (tau_syn_E = tau_syn_I), or split the population, "
                f"{_GOLDEN}",
            )
    semantics = population.semantics
    resistance = neuron.tau_mem / neuron.capacity
    # Beside a conductance, even one where nothing ends, currents are held.
    held = semantics.gain is Gain.EXACT or any(r.reversal is not None for r in neuron.receptors)
    match semantics.decay:
        case Decay.EXPONENTIAL if held:
            gain, w_in = Gain.EXACT, -1.0 / np.expm1(-dt / tau)
        case Decay.EXPONENTIAL:
            gain, w_in = Gain.PROPAGATED, np.ones(())
        case _:
            # Half a step on, the current has decayed, and so has what it brought to the membrane.
            gain, w_in = Gain.EULER, tau / dt
            if semantics.decay is Decay.MIDPOINT:
                resistance = resistance * (1.0 - 0.5 * dt / neuron.tau_mem - 0.5 * dt / tau)
    cell = CubaLIF(
        tau_syn=tau,
        tau_mem=neuron.tau_mem,
        r=resistance,
        v_leak=_rest(neuron),
        w_in=w_in,
        v_threshold=neuron.v_threshold,
        v_reset=neuron.v_reset,
    )
    # A membrane that sees the current left by the step before is one that sees the new current, of
    # spikes that arrive a step later.
    later = int(semantics.current is Current.OLD)
    rules = replace(semantics, gain=gain, current=Current.NEW)
    return _Lowered(
        _started(population, cell, rules, neuron.v_init),
        {},
        {receptor.name: later for receptor in signals},
    )


def _without_synapse(
    population: Population,
    neuron: PointLIF,
    jumps: list[Receptor],
    incoming: list[Projection],
    dt: float,
    target: Target,
) -> _Lowered:
    semantics = population.semantics
    resistance = neuron.tau_mem / neuron.capacity
    keep = decay(neuron.tau_mem, dt, semantics)
    # What a current held through the step brings; with no delta it is the resistance of the LIF.
    match semantics.decay:
        case Decay.EULER:
            gain, share = Gain.EULER, dt / neuron.tau_mem
        case Decay.MIDPOINT:
            gain, share = Gain.EULER, dt / neuron.tau_mem
            resistance = resistance * (1.0 - 0.5 * dt / neuron.tau_mem)
        case Decay.EXPONENTIAL:
            gain, share = Gain.EXACT, -np.expm1(-dt / neuron.tau_mem)
    factors, later, refractory = {}, {}, semantics.refractory
    if jumps:
        injected = [p for p in incoming if p.receptor == CURRENT]
        factors[CURRENT] = np.asarray(resistance * share)
        for p in injected:
            if p.plasticity is not None and np.any(factors[CURRENT] != 1.0):
                raise _LacksError(
                    f"'{p.name}' learns, and ends at '{CURRENT}' of '{population.name}', which has "
                    f"deltas too; {target.name} has one unit for the weights of both",
                    f"let it end at {_quoted(jumps[:1])}, {_GOLDEN}",
                )
        gain, resistance = Gain.PROPAGATED, np.ones(())
        if semantics.current is Current.OLD:
            _rests_at_reset(population, neuron, jumps, injected, target)
            refractory += 1
            factors |= {receptor.name: keep for receptor in jumps}
            later = {receptor.name: 1 for receptor in jumps}
    cell = LIF(
        tau=neuron.tau_mem,
        r=resistance,
        v_leak=_rest(neuron),
        v_threshold=neuron.v_threshold,
        v_reset=neuron.v_reset,
    )
    rules = replace(semantics, gain=gain, current=Current.NEW, refractory=refractory)
    return _Lowered(_started(population, cell, rules, neuron.v_init), factors, later)


def _rests_at_reset(
    population: Population,
    neuron: PointLIF,
    jumps: list[Receptor],
    injected: list[Projection],
    target: Target,
) -> None:
    """Refuse deltas of the old rule, unless the step in which they are lost moves no membrane.

    Such a delta is lost with a spike and in the refractory steps that follow, so for one step more
    than they are. What arrives a step later is lost as long if there is one more refractory step,
    and nobody sees that one where v would have stayed.
    """
    rest = _rest(neuron)
    moves = np.abs(rest - neuron.v_reset) > _ALIKE * np.maximum(np.abs(rest), 1e-300)
    greater = population.semantics.comparison is Comparison.GREATER
    above = neuron.v_reset > neuron.v_threshold
    if not greater:
        above = neuron.v_reset >= neuron.v_threshold
    what = f"'{population.name}' loses deltas, {_quoted(jumps)}, that arrive behind a spike"
    if np.any(moves) or np.any(above):
        far = float(np.max(np.abs(rest - neuron.v_reset)))
        raise _LacksError(
            f"{what} (current old); {target.name} does so only where the membrane rests at its "
            f"reset, and here v_reset is up to {far * 1e3:.3g} mV from v_leak + R i_offset",
            f"use the current new, or v_reset = v_leak and no i_offset, {_GOLDEN}",
        )
    if injected:
        raise _LacksError(
            f"{what} (current old), and '{injected[0].name}' brings a current; {target.name} would "
            "be blind to the current for one step",
            f"use the current new, {_GOLDEN}",
        )


def _rest(neuron: PointLIF) -> Real:
    return np.asarray(neuron.v_leak + neuron.tau_mem / neuron.capacity * neuron.i_offset)


def _started(
    population: Population, cell: LIF | CubaLIF, rules: Semantics, v_init: Real
) -> Population:
    if np.all(v_init == v_init.flat[0]):
        rules = replace(rules, v_init=float(v_init.flat[0]))
    else:
        cell = replace(cell, v_init=v_init)
    return replace(population, neuron=cell, semantics=rules)


def _milliseconds(tau: Real) -> str:
    low, high = float(np.min(tau)) * 1e3, float(np.max(tau)) * 1e3
    return f"{low:g} ms" if low == high else f"{low:g} to {high:g} ms"


# -- Izhikevich ------------------------------------------------------------------------------------


def _izhikevich(
    population: Population,
    neuron: Izhikevich,
    incoming: list[Projection],
    dt: float,
    target: Target,
) -> _Lowered:
    name, semantics = population.name, population.semantics
    step = step_parameters(neuron, semantics, dt)
    jumps = _used(population, incoming)
    factors: dict[str, Real] = {}
    if jumps and semantics.current is Current.OLD:
        raise _LacksError(
            f"'{name}' takes deltas, {_quoted(jumps)}, behind its step (current old); "
            f"{target.name} adds what arrives before v is compared",
            f"use the current new, or let them end at '{CURRENT}', {_GOLDEN}",
        )
    if jumps and neuron.substeps != 1:
        raise _LacksError(
            f"'{name}' takes deltas, {_quoted(jumps)}, behind {neuron.substeps} Euler steps of v; "
            f"{target.name} adds what arrives in each of them",
            f"use one substep, or let them end at '{CURRENT}', {_GOLDEN}",
        )
    if jumps:
        # A jump is what a current brings whose resistance makes up for its unit.
        factors[CURRENT] = step.gain_v
        for p in incoming:
            if p.plasticity is not None and p.receptor == CURRENT and np.any(step.gain_v != 1.0):
                raise _LacksError(
                    f"'{p.name}' learns, and ends at '{CURRENT}' of '{name}', which has deltas "
                    f"too; {target.name} has one unit for the weights of both",
                    f"let it end at {_quoted(jumps[:1])}, {_GOLDEN}",
                )
    if neuron.v_init is not None:
        if not np.all(neuron.v_init == neuron.v_init.flat[0]):
            raise _LacksError(
                f"the neurons of '{name}' start at v_init {neuron.v_init.min():g} to "
                f"{neuron.v_init.max():g} mV; on {target.name} a population with a recovery has "
                "one v_init",
                f"start all of them at one, {_GOLDEN}",
            )
        semantics = replace(semantics, v_init=float(neuron.v_init.flat[0]))
    if neuron.u_init is not None:
        follows = neuron.b * semantics.v_init
        far = np.abs(neuron.u_init - follows)
        if np.any(far > _ALIKE * np.abs(follows)):
            raise _LacksError(
                f"u of '{name}' starts up to {float(far.max()):.3g} mV/ms from b v_init; on "
                f"{target.name} it starts there",
                f"leave out u_init, {_GOLDEN}",
            )
    constant = neuron.k0
    if neuron.i_offset is not None:
        # An Euler step of h adds h k0, and gain_v times the input.
        h = dt * 1e3 / neuron.substeps
        constant = np.asarray(neuron.k0 + step.gain_v * neuron.i_offset / h)
    cell = replace(neuron, receptors=(), i_offset=None, v_init=None, u_init=None, k0=constant)
    if jumps:
        per_step = semantics.integrator_gain is IntegratorGain.PER_STEP
        cell = replace(cell, r=np.asarray(1.0 if per_step else 1.0 / (dt * 1e3)))
    return _Lowered(replace(population, neuron=cell, semantics=semantics), factors, {})


# -- delays of synapses ----------------------------------------------------------------------------


def by_delay(projection: Projection) -> Iterator[Projection]:
    """One projection for each delay that synapses have of their own, named after it.

    The bias stays with the first. Synapses of one pair and one delay become one.
    """
    parts = stages(projection.connection)
    place = next(
        (k for k, s in enumerate(parts) if isinstance(s, Sparse) and s.steps is not None), None
    )
    if place is None:
        yield projection
        return
    stage = parts[place]
    assert isinstance(stage, Sparse) and stage.steps is not None
    present = np.unique(stage.steps).tolist()
    pre = np.repeat(np.arange(stage.pre_size), np.diff(stage.indptr))
    for steps in present or [0]:
        keep = stage.steps == steps
        part = _summed(stage, pre[keep], stage.post[keep], stage.weight[keep])
        connection = chain((*parts[:place], part, *parts[place + 1 :]), parts[0].in_shape)
        one = replace(
            projection,
            name=projection.name if len(present) < 2 else f"{projection.name}@{steps}",
            connection=connection,
            delay=projection.delay + int(steps),
            bias=projection.bias if steps == (present or [0])[0] else None,
        )
        yield from by_delay(one)


def _summed(
    stage: Sparse,
    pre: npt.NDArray[np.int64],
    post: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float64],
) -> Sparse:
    pair = pre * stage.post_size + post
    unique, index = np.unique(pair, return_inverse=True)
    total = np.zeros(unique.size, weight.dtype)
    np.add.at(total, index, weight)
    each = np.bincount(unique // stage.post_size, minlength=stage.pre_size)
    indptr = np.concatenate([[0], np.cumsum(each)])
    target = (unique % stage.post_size).astype(np.int32)
    return Sparse(stage.pre_size, stage.post_size, indptr, target, total)
