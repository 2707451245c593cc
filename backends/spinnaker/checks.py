"""What a simulator cannot do of a network, said before anything is written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...ir.diagnostics import Diagnostics
from ...ir.graph import Graph
from .cells import EXCITATORY, INHIBITORY, Cell
from .model import Network
from .simulators import (
    BRIAN2,
    CONDUCTANCE_SCALE,
    DELAY_STAGES,
    LARGEST,
    LARGEST_SHIFT,
    NEST,
    NEURONS_PER_CORE,
    PLASTIC_NEURONS_PER_CORE,
    RING_BUFFER_BITS,
    RING_BUFFER_SIGMA,
    SMALLEST_CORE,
    SPIKES_PER_SECOND,
    SPINNAKER,
    Simulator,
)
from .synapses import Synapses

Real = npt.NDArray[np.float64]


# Parameters of which pyNN.brian2 takes the first neuron's for all: they are in the text of the
# condition and of the reset.
_FIRST = {
    "EIF_cond_exp_isfa_ista": ("v_thresh", "delta_T", "v_reset", "b"),
    "Izhikevich": ("c", "d"),
}


_NEST_START = -70.0  # mV: iaf_psc_delta's own


def check(network: Network, simulator: Simulator, found: Diagnostics) -> None:
    """Collect what ``simulator`` cannot do, or does otherwise than the graph says."""
    _check_step(network.graph, simulator, found)
    for cell in network.cells.values():
        _check_cell(cell, simulator, found)
    for synapses in network.synapses:
        _check_delays(network, synapses, simulator, found)
        _check_rule(network, synapses, simulator, found)
        if synapses.short_term is not None and not simulator.tires:
            found.add(
                "E1102",
                f"projection '{synapses.source.name}' tires (TsodyksMarkram); {simulator.title} "
                + (
                    "has no such synapse"
                    if simulator.name == SPINNAKER
                    else "never makes its resources inactive, so that they do not recover"
                ),
                synapses.source.at,
                "make it static, or run the program on NEST",
            )
    _check_dialects(network, simulator, found)
    if simulator.name == SPINNAKER:
        _check_spinnaker(network, found)


def _check_step(graph: Graph, simulator: Simulator, found: Diagnostics) -> None:
    micro = graph.dt * 1e6
    if simulator.name == SPINNAKER and abs(micro - round(micro)) > 1e-6 * micro:
        found.add(
            "E1107",
            f"the step is {micro:g} us; a timer of {simulator.title} counts whole microseconds",
            hint="choose a dt that is a whole number of them",
        )


def _check_cell(cell: Cell, simulator: Simulator, found: Diagnostics) -> None:
    name, at = cell.population.name, cell.population.at
    if cell.name not in simulator.cells:
        found.add(
            "E1101",
            f"population '{name}' is {cell.name}; {simulator.title} has "
            f"{', '.join(simulator.cells)}",
            at,
            "choose a neuron that it has, or run the program on another simulator",
        )
    uneven = [k for k in _FIRST.get(cell.name, ()) if np.ndim(cell.parameters.get(k, 0.0))]
    if uneven and simulator.name == BRIAN2:
        found.add(
            "E1101",
            f"population '{name}' ({cell.name}) differs in {', '.join(uneven)} from neuron to "
            f"neuron; {simulator.title} takes that of the first for all",
            at,
            "make one population of each",
        )
    if cell.name.startswith("EIF") and simulator.name == BRIAN2 and not uneven:
        cut = cell.parameters["v_thresh"] + 5 * cell.parameters["delta_T"]
        if np.any(np.abs(cut - cell.parameters["v_spike"]) > 1e-9):
            found.add(
                "W1111",
                f"population '{name}' spikes where v passes {_spans(cell.parameters['v_spike'])} "
                f"mV (v_spike); in {simulator.title} at {_spans(cut)} mV, v_thresh + 5 delta_T",
                at,
            )
    start = cell.initial.get("v", np.zeros(()))
    if cell.name == "IF_curr_delta" and simulator.name == NEST and np.any(start != _NEST_START):
        found.add(
            "W1111",
            f"population '{name}' starts at {_spans(start)} mV; PyNN cannot set this of "
            f"{simulator.title}'s {cell.name}, which starts at {_NEST_START:g} mV",
            at,
        )
    signals = [k for k in cell.initial if k.startswith(("isyn", "gsyn"))]
    if signals and not simulator.initial:
        found.add(
            "E1101",
            f"population '{name}' starts with {signals[0]} at another value than 0, which "
            f"{simulator.title} cannot",
            at,
            "start it at rest",
        )


def _spans(values: Real) -> str:
    low, high = float(np.min(values)), float(np.max(values))
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _check_delays(
    network: Network, synapses: Synapses, simulator: Simulator, found: Diagnostics
) -> None:
    source = synapses.source
    least = int(synapses.steps.min())
    if least < 1:
        found.add(
            "E1104",
            f"projection '{source.name}' has a delay of {least} steps; {simulator.title} takes at "
            "least one",
            source.at,
            "give it a delay of one step: a dialect with forward_delay 1 is 'pynn'",
        )
    if simulator.name != SPINNAKER:
        return
    longest, most = int(synapses.steps.max()), DELAY_STAGES * delay_slots(SMALLEST_CORE)
    if longest > most:
        found.add(
            "E1104",
            f"projection '{source.name}' has a delay of {longest} steps; {simulator.title} has "
            f"{most} at most: {DELAY_STAGES} stages of the {delay_slots(SMALLEST_CORE)} of a core "
            f"of {SMALLEST_CORE} neurons (sPyNNaker 1!7.4.1): {longest - most} too many",
            source.at,
            "take a longer step dt, or put a population between",
        )


def _check_rule(
    network: Network, synapses: Synapses, simulator: Simulator, found: Diagnostics
) -> None:
    rule, source = synapses.rule, synapses.source
    if rule is None:
        return
    if rule.fraction != simulator.fraction and int(synapses.steps.max()) > 0:
        side = "dendritic" if simulator.fraction == 1.0 else "axonal"
        found.add(
            "E1103",
            f"projection '{source.name}' learns with a dendritic_delay_fraction of "
            f"{rule.fraction:g}; to {simulator.title} all delays are {side} "
            f"({simulator.fraction:g})",
            source.at,
            "it pairs other spikes, and learns something else: choose the fraction for the target "
            "and train or measure again",
        )
    kinds = (rule.potentiation, rule.depression)
    lacking = [kind for kind in kinds if kind not in simulator.dependences]
    if lacking:
        found.add(
            "E1102",
            f"projection '{source.name}' has amplitudes that depend on the weight ({lacking[0]}); "
            f"{simulator.title} runs additive ones whatever class is named",
            source.at,
            "choose another simulator, or make them additive",
        )
    mixed = (kinds[0].value == "multiplicative") != (kinds[1].value == "multiplicative")
    if mixed and simulator.name == SPINNAKER:
        found.add(
            "E1102",
            f"projection '{source.name}' potentiates {kinds[0]} and depresses {kinds[1]}; "
            f"{simulator.title} has one weight dependence for both",
            source.at,
            "make both additive or both multiplicative",
        )
    if simulator.name == NEST and network.cells[source.post].delta:
        found.add(
            "E1102",
            f"projection '{source.name}' learns jumps of the membrane; {simulator.title} scales "
            "the rails of such weights a thousand times",
            source.at,
            "learn currents (IF_curr_exp, IF_curr_alpha) or conductances",
        )
    if rule.w_min != 0 and not simulator.w_min:
        found.add(
            "E1102",
            f"projection '{source.name}' keeps its weights above {rule.w_min:g}; "
            f"{simulator.title} has a floor of 0",
            source.at,
            "let weights fall to 0",
        )
    if rule.coincidence is not simulator.coincidence:
        found.add(
            "W1111",
            f"projection '{source.name}': two spikes that reach a synapse in one step "
            f"{_does(rule.coincidence)} in the graph, and {_does(simulator.coincidence)} in "
            f"{simulator.title}",
            source.at,
        )


def _does(coincidence: str) -> str:
    return {
        "none": "change nothing",
        "both": "potentiate and depress",
    }.get(str(coincidence), str(coincidence))


def _check_dialects(network: Network, simulator: Simulator, found: Diagnostics) -> None:
    """Warn of populations that step otherwise than the simulator does."""
    unlike = [
        cell.population.name
        for cell in network.cells.values()
        if cell.dialect is not None and cell.dialect != simulator.steps_as
    ]
    if not unlike:
        return
    dialects = sorted({str(network.cells[name].dialect) for name in unlike})
    found.add(
        "W1111",
        f"{_few(unlike)} step as {' and '.join(dialects)} does, and {simulator.title} in its own "
        "way: spikes may differ",
        hint=f"compare: spikec verify DIR --stimulus S --rungs golden,{simulator.name}",
    )


def _few(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown + (f" and {len(names) - 3} more populations" if len(names) > 3 else "")


# -- SpiNNaker alone -----------------------------------------------------------------------------


def delay_slots(neurons: int, types: int = 2) -> int:
    """Steps that the ring buffers of a core of so many neurons have, with so many receptors."""
    return 1 << (RING_BUFFER_BITS - _bits(neurons) - _bits(types))


def _bits(count: int) -> int:
    return max(0, math.ceil(math.log2(count)))


def neurons_per_core(network: Network, name: str) -> int:
    """How many neurons of a population one core takes.

    256; 128 where it learns; fewer where that saves delay extensions, which are cores of their own.
    """
    incoming = [s for s in network.synapses if s.source.post == name]
    most = NEURONS_PER_CORE
    if any(s.rule is not None for s in incoming):
        most = PLASTIC_NEURONS_PER_CORE
    longest = max((int(s.steps.max()) for s in incoming), default=1)
    wanted = most
    while wanted > SMALLEST_CORE and delay_slots(wanted) < longest:
        wanted //= 2
    if delay_slots(wanted) >= longest:
        return wanted
    # Extensions are needed whatever the core: no smaller than they ask for.
    while most > SMALLEST_CORE and DELAY_STAGES * delay_slots(most) < longest:
        most //= 2
    return most


def delay_stages(network: Network, name: str) -> int:
    """Delay extensions, in stages, that the longest delay into a population needs."""
    incoming = [s for s in network.synapses if s.source.post == name]
    longest = max((int(s.steps.max()) for s in incoming), default=1)
    return (longest - 1) // delay_slots(neurons_per_core(network, name))


@dataclass(frozen=True)
class Scale:
    """How a receptor of a population holds weights: 16 bits, in units of ``unit``.

    ``most`` is the sum of weights in one step that sPyNNaker makes room for, ``shift`` how far a
    weight is shifted to be s16.15.
    """

    shift: int
    unit: float
    most: float


def weight_scale(incoming: Iterable[Synapses], size: int, dt: float, factor: float) -> Scale:
    """The scale of one receptor, as sPyNNaker 1!7.4.1 chooses it (population_vertex.py).

    Where the delays of a projection are all the same, all its synapses may deliver at once. Weights
    count ``factor`` times, but not, in sPyNNaker, where they are added up for that.
    """
    total = biggest = 0.0
    delay_variance = False
    moments: list[tuple[int, float, float]] = []
    for synapses in incoming:
        fan_in = int(np.bincount(synapses.post, minlength=size).max())
        weight = np.abs(synapses.weight)
        largest = float(weight.max())
        if synapses.rule is not None:
            largest = max(largest, synapses.rule.w_max)
        biggest = max(biggest, largest * factor)
        total += max(1.0, SPIKES_PER_SECOND * dt) * largest * fan_in
        delay_variance |= bool(synapses.steps.min() != synapses.steps.max())
        mean = largest if synapses.rule is not None else float(weight.mean())
        moments.append((fan_in, mean, 0.0 if synapses.rule else float(weight.var())))
    most = max(total, biggest)
    if delay_variance:
        most = max(min(_expected(moments, dt) * factor, total), biggest)
    shift = 0 if most <= 0 else math.ceil(max(0.0, math.log2(most)))
    if 2.0**shift <= most:
        shift += 1
    return Scale(shift, 2.0 ** (shift - 15) / factor, most / factor)


def _expected(moments: list[tuple[int, float, float]], dt: float) -> float:
    """An upper bound of the sum in one step, five standard deviations above its mean.

    Spikes arrive as a Poisson process of 30 Hz a synapse. The variance of a sum of N weights, N
    of mean m, is m times their mean square.
    """
    count = sum(fan_in for fan_in, _, _ in moments)
    mean = sum(fan_in * m for fan_in, m, _ in moments) / count
    square = sum(fan_in * (v + m * m) for fan_in, m, v in moments) / count
    arriving = count * SPIKES_PER_SECOND * dt
    return arriving * mean + RING_BUFFER_SIGMA * math.sqrt(arriving * square)


def scales(network: Network) -> dict[tuple[str, str], Scale]:
    """The scale of every receptor that a projection ends at."""
    found = {}
    for name, cell in network.cells.items():
        for receptor in (EXCITATORY, INHIBITORY):
            incoming = [
                s for s in network.synapses if (s.source.post, s.receptor) == (name, receptor)
            ]
            if incoming:
                size = cell.population.size
                factor = CONDUCTANCE_SCALE if cell.conductance else 1.0
                found[name, receptor] = weight_scale(incoming, size, network.graph.dt, factor)
    return found


def _check_spinnaker(network: Network, found: Diagnostics) -> None:
    _check_range(network.cells, found)
    _check_one_rule(network, found)
    _check_weights(network, found)
    for synapses in network.synapses:
        cell = network.cells[synapses.source.post]
        if cell.name == "Izhikevich":
            found.add(
                "E1101",
                f"projection '{synapses.source.name}' makes the membrane of "
                f"'{synapses.source.post}' jump; sPyNNaker's Izhikevich takes its spikes as "
                "currents that decay",
                synapses.source.at,
                "inject currents instead, or run the program on brian2 or nest",
            )


def _check_range(cells: Mapping[str, Cell], found: Diagnostics) -> None:
    for cell in cells.values():
        for name, value in cell.parameters.items():
            largest = float(np.abs(value).max())
            if largest > LARGEST:
                found.add(
                    "E1106",
                    f"{name} of population '{cell.population.name}' is {largest:g}; a number of "
                    f"SpiNNaker (s16.15) reaches {LARGEST:g}",
                    cell.population.at,
                    "choose units in which it is smaller",
                )


def _check_one_rule(network: Network, found: Diagnostics) -> None:
    rules: dict[str, Synapses] = {}
    for synapses in network.synapses:
        if synapses.rule is None:
            continue
        first = rules.setdefault(synapses.source.post, synapses)
        if first.rule != synapses.rule:
            found.add(
                "E1102",
                f"projections '{first.source.name}' and '{synapses.source.name}' into "
                f"'{synapses.source.post}' learn by unlike rules; sPyNNaker has one for a "
                "population",
                synapses.source.at,
                "give both the same rule and rails, or end them at two populations",
            )


def _check_weights(network: Network, found: Diagnostics) -> None:
    held = scales(network)
    for synapses in network.synapses:
        scale = held[synapses.source.post, synapses.receptor]
        where = f"projection '{synapses.source.name}'"
        if scale.shift > LARGEST_SHIFT:
            found.add(
                "E1106",
                f"the weights of {where} add up to {scale.most:g} in one step at worst; a sum of "
                f"SpiNNaker reaches {LARGEST:g}"
                + (
                    f" / {CONDUCTANCE_SCALE:g}"
                    if network.cells[synapses.source.post].conductance
                    else ""
                ),
                synapses.source.at,
                "choose units in which weights are smaller, or fewer synapses",
            )
            continue
        weight = np.abs(synapses.weight[synapses.weight != 0])
        lost = weight[weight < scale.unit / 2]
        if not lost.size or synapses.rule is not None:
            continue
        why = (
            f"weights of '{synapses.source.post}' ({synapses.receptor}) have 16 bits, one unit "
            f"{scale.unit:.3g}, since {scale.most:.3g} may arrive in one step"
        )
        if lost.size == weight.size:
            found.add(
                "E1106",
                f"all {weight.size} weights of {where} round to zero: {why}; the largest is "
                f"{weight.max():.3g}",
                synapses.source.at,
                f"make the other weights at '{synapses.source.post}' smaller, or these larger",
            )
        else:
            found.add(
                "W1110",
                f"{lost.size} of {weight.size} weights of {where} round to zero, all below "
                f"{scale.unit / 2:.3g}: {why}",
                synapses.source.at,
            )
