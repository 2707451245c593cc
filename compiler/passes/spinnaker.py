r"""From a network of IF_curr_exp to the numbers that SpiNNaker computes with.

Parameters are rounded to s16.15 on the host, in mV, nA, nF and ms, ties to even (``data_type.py``
of SpiNNFrontEndCommon). What follows from them is computed on the chip, in s16.15 and u0.32 as
``neuron_model_initialise`` and ``decay_and_init`` of sPyNNaker do it from 1!7.0.0 on; before that
the host did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from functools import cache
from math import ceil, log, log2
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ...ir.connections import Dense, OneToOne, Sparse, stages
from ...ir.diagnostics import Diagnostics
from ...ir.graph import Graph, Population, Projection
from ...ir.neurons import CURRENT, CubaLIF, Kernel, PointLIF, SpinnakerLIF
from ...ir.numerics import S411, S1615, U032, Format
from ...ir.plasticity import (
    MAX_RING_SHIFT,
    Coincidence,
    Dependence,
    Pairing,
    PairSTDP,
    Plasticity,
    SpinnakerPairSTDP,
    Transmit,
    Window,
)
from ...ir.semantics import Comparison, Current, Decay, Gain, Reset

_HOST: Final = Format(S1615.width, S1615.point)  # ties to even
_EXCITATORY, _INHIBITORY = SpinnakerLIF.RECEPTORS
_GOLDEN: Final = "run it on the golden rung, which has it as it is"
_DIGITS: Final = (
    9  # of a parameter in mV, nA or ms: finer than s16.15, coarser than float64's noise
)

Ints = npt.NDArray[np.int64]


def kdivk(a: int, b: int) -> int:
    r""":math:`\lfloor 2^{15} a / b \rfloor` of positive s16.15: ``kdivk`` of maths-util.h."""
    return (a << S1615.point) // b


def expk(x: int) -> int:
    r""":math:`\lfloor 2^{-17} E(x) \rfloor \approx 2^{15} e^{x 2^{-15}}`, saturated.

    x and the result are s16.15, E is that of ``expulr``. Source: ``expk`` of spinn_common's
    stdfix-exp.c, which means to round but cuts.
    """
    if x > 363408:
        return int(S1615.high)
    return 0 if x < -340695 else _exponential(x) >> 17


def expulr(x: int) -> int:
    r""":math:`E(x) \bmod 2^{32} \approx 2^{32} e^{x 2^{-15}}` in u0.32, of an s16.15.

    With :math:`x = 2^{15} z - f`, :math:`0 \le f < 2^{15}`, and :math:`f = 2^{11} m + g`,

    .. math::
        E = h - \mathrm{scale}(h, s(2^{17} g)), \qquad
        h = e_z - \mathrm{scale}(e_z, \mathrm{round}(2^{32} (1 - e^{-m/16}))), \qquad
        e_z = \mathrm{round}(2^{32} e^z),

    scale(a, b) being :math:`a b / 2^{32}` rounded, from the fraction :math:`(2^{31} - 1) / 2^{32}`
    on, up; s is a parabola near :math:`2^{32} (1 - e^{-g 2^{-15}})`. Source: stdfix-exp.c and
    utils.h of spinn_common.
    """
    if x > 363408:
        return (1 << 31) - 1
    return 0 if x < -340695 else _exponential(x) & U032.high


@cache
def _power(numerator: int, denominator: int) -> Decimal:
    with localcontext() as context:
        context.prec = 40
        return (Decimal(numerator) / denominator).exp() * (1 << 32)


def _scale64(x: int, y: int) -> int:
    low = (x & U032.high) * y
    return (low >> 32) + ((low & U032.high) >= (1 << 31) - 1) + (x >> 32) * y


def _exponential(x: int) -> int:
    z, f = x >> 15, x & 0x7FFF
    if f == 0:
        return round(_power(z, 1))
    f = 0x8000 - f
    result = round(_power(z + 1, 1))
    result -= _scale64(result, (1 << 32) - round(_power(-(f >> 11), 16)))
    g = (f & 0x7FF) << 17
    parabola = 4293434720 - (2081624032 * g >> 32)
    return result - _scale64(result, (parabola * g >> 32) + 5294)


def decay_table(tau: float, dt: float) -> Ints:
    r""":math:`L[k] = \lfloor 2^{11} e^{-k\,dt/\tau} \rfloor`, :math:`k < n`, in s4.11.

    n is the even number from :math:`(\tau/dt) \ln 2^{11}` on: beyond it nothing is left. ``tau``
    and ``dt`` in the same unit. Source: ``get_exp_lut_array`` of sPyNNaker.
    """
    one, rate = 1 << S411.point, dt / tau
    size = 2 * ceil(log(one) / rate / 2)
    table: Ints = np.floor(np.exp(-rate * np.arange(size)) * one).astype(np.int64)
    return table


def ring_shift(total: float) -> int:
    r"""The least :math:`N \ge 0` with :math:`2^N > \mathrm{total}`.

    ``total`` is the largest sum of weights in nA that may arrive in a tick; a word of the ring
    buffer is :math:`2^{N - 15}` nA. Source: ``get_ring_buffer_shifts`` of sPyNNaker.
    """
    if total <= 0:
        return 0
    power = ceil(max(0.0, log2(total)))
    return power + (2.0**power <= total)


def spinnaker(graph: Graph, found: Diagnostics) -> Graph:
    r"""``graph`` in the arithmetic of SpiNNaker: `SpinnakerLIF` and `SpinnakerPairSTDP`.

    Populations are `CubaLIF` or `PointLIF` with exponential currents, which integrate exactly and
    see the new current. A word stands for :math:`w\,k/\mathrm{init}`, with
    :math:`\mathrm{init} = (\tau/dt)(1 - e^{-dt/\tau})` the factor that SpiNNaker multiplies with
    and k that of the graph's step: a held input (``gain`` exact) comes to the same current, and the
    charge of one that decays through the step (propagated, as PyNN means it) is kept, k = init.
    Positive weights end at the receptor ``excitatory``, negative ones at ``inhibitory``; a
    projection that has both becomes two.

    The shift of a receptor is `ring_shift` of the sum over its projections of the largest weight
    (of a plastic one w_max) times the most synapses of one neuron, and at least of the largest
    weight: what sPyNNaker takes where delays do not vary within a projection. Amplitudes are in nA:
    those of the rule, times w_max where they are scaled.

    Adds E0301 for what SpiNNaker does not have, E0401 for parameters beyond s16.15, and raises;
    W0403 where most weights of a projection are too small for a word.
    """
    populations, projections = [], {p.name: [p] for p in graph.projections}
    for population in graph.populations:
        incoming = list(graph.incoming(population.name))
        before = len(found)
        cell = _Cell(population, graph.dt, found)
        split = [part for p in incoming for part in _split(p, cell, found)]
        if len(found) > before:
            continue
        shifts = {name: ring_shift(_total(split, name)) for name in SpinnakerLIF.RECEPTORS}
        for name, shift in shifts.items():
            if shift > MAX_RING_SHIFT:
                found.add(
                    "E0401",
                    f"'{population.name}': {_total(split, name):g} nA may arrive at '{name}' in a "
                    f"tick, at most {2**MAX_RING_SHIFT} fit",
                    population.at,
                    "give it smaller weights, and a membrane of more resistance",
                )
        if len(found) > before:
            continue
        neuron = cell.neuron(shifts)
        populations.append(replace(population, neuron=neuron))
        for p in incoming:
            projections[p.name] = [
                _words(part, neuron, graph.dt, found) for part in split if part.of is p
            ]
    found.raise_errors()
    flat = [each for p in graph.projections for each in projections[p.name]]
    return replace(graph, populations=tuple(populations), projections=tuple(flat))


@dataclass(frozen=True, eq=False)
class _Part:
    """The synapses of one sign of a projection: weights in nA, without it.

    ``scale`` is what the projection's weights were multiplied with.
    """

    of: Projection
    name: str
    receptor: str
    weight: npt.NDArray[np.float64]
    scale: float

    @property
    def most(self) -> float:
        """The largest weight that a synapse has or may learn."""
        plasticity = self.of.plasticity
        learned = 0.0 if plasticity is None else _round(plasticity.w_max * self.scale)
        return max(float(self.weight.max(initial=0.0)), learned)

    @property
    def fan_in(self) -> int:
        """The most synapses that one neuron has; a weight of zero that does not learn is none."""
        stage = _stage(self.of)
        has = np.ones(self.weight.shape, bool) if self.of.plasticity else self.weight > 0
        match stage:
            case Dense():
                # All but itself counts as all: so does AllToAllConnector.
                all_to_all = (has | (np.eye(*has.shape) > 0)).all() and has.any()
                return has.shape[1] if all_to_all else int(has.sum(axis=1).max(initial=0))
            case Sparse():
                counts = np.bincount(stage.post[has], minlength=1)
                return int(counts.max(initial=0))
            case _:
                return int(has.any())


def _total(parts: list[_Part], receptor: str) -> float:
    own = [part for part in parts if part.receptor == receptor]
    largest = max((p.most for p in own), default=0.0)
    return float(_round(max(sum(p.most * p.fan_in for p in own), largest)))


def _round(x: Any) -> Any:
    """Without the last digits of a product with 1e3 or 1e9."""
    return np.round(x, _DIGITS)


class _Cell:
    """A population's parameters, in the units of PyNN, and what its step does to a weight."""

    def __init__(self, population: Population, dt: float, found: Diagnostics) -> None:
        self._population, self._dt, self._found = population, dt, found
        self._taus: dict[str, Any] = {}  # of the receptor where weights of each sign end
        self._ports: dict[str, str | None] = {}
        neuron = population.neuron
        rules: dict[str, tuple[Any, tuple[Any, ...]]] = {
            "decay": (population.semantics.decay, (Decay.EXPONENTIAL,)),
            "current": (population.semantics.current, (Current.NEW,)),
            "reset": (population.semantics.reset, (Reset.VALUE,)),
            "max_spikes": (population.semantics.max_spikes, (1,)),
            "v_min": (population.semantics.v_min, (None,)),
            "refractory_frozen": (population.semantics.refractory_frozen, (True,)),
            "registered": (population.semantics.registered, (False,)),
            "lag": (population.lag, (0,)),
            "gain": (population.semantics.gain, (Gain.EXACT, Gain.PROPAGATED)),
        }
        if isinstance(neuron, CubaLIF):
            rules["gain"] = (population.semantics.gain, (Gain.EXACT,))
        elif type(neuron) is not PointLIF:
            self._refuse(f"is {type(neuron).__name__}; here SpiNNaker has IF_curr_exp only")
            return
        for name, (value, allowed) in rules.items():
            if value not in allowed:
                wanted = " or ".join(map(str, allowed))
                self._refuse(f"{name} is {value}; SpiNNaker has {wanted}")
        if isinstance(neuron, CubaLIF) and neuron.v_reset is None:
            self._refuse("has no v_reset")
        for receptor in getattr(neuron, "receptors", ()):
            if receptor.kernel is not Kernel.EXPONENTIAL or receptor.reversal is not None:
                self._refuse(f"receptor {receptor.name} is no current that decays exponentially")
            elif receptor.initial.any():
                self._refuse(f"receptor {receptor.name} does not start at 0")

    def _refuse(self, message: str) -> None:
        population = self._population
        self._found.add("E0301", f"'{population.name}': {message}", population.at, _GOLDEN)

    def has(self, receptor: str | None) -> bool:
        """Whether a projection can end there."""
        neuron = self._population.neuron
        if isinstance(neuron, PointLIF):
            return receptor in [each.name for each in neuron.receptors]
        return receptor is None

    def scale(self, receptor: str | None) -> float | None:
        """What a weight is multiplied with to be in nA, as SpiNNaker takes it; None: not one."""
        neuron, dt = self._population.neuron, self._dt
        if isinstance(neuron, CubaLIF):
            factor = neuron.w_in * dt / neuron.tau_syn
        elif self._population.semantics.gain is Gain.PROPAGATED:
            factor = np.ones(())
        else:
            tau = self._tau(receptor)
            factor = 1 / (tau / dt * -np.expm1(-dt / tau))
        flat = np.ravel(factor)
        alike = np.ptp(flat) <= 1e-9 * np.abs(flat).max()
        return 1e9 * float(flat[0]) if alike else None

    def _tau(self, receptor: str | None) -> Any:
        neuron = self._population.neuron
        if isinstance(neuron, CubaLIF):
            return neuron.tau_syn
        assert isinstance(neuron, PointLIF)
        return next(r.tau for r in neuron.receptors if r.name == receptor)

    def take(self, projection: Projection, receptor: str) -> bool:
        """Let synapses of one sign end at a receptor; False, and a reason, where they cannot."""
        port = self._ports.setdefault(receptor, projection.receptor)
        if port != projection.receptor:
            self._refuse(
                f"weights of one sign end at '{port}' and, of '{projection.name}', at "
                f"'{projection.receptor}'; SpiNNaker has one receptor for each sign"
            )
            return False
        self._taus[receptor] = self._tau(projection.receptor)
        return True

    def neuron(self, shifts: dict[str, int]) -> SpinnakerLIF:
        """The cell in fixed point."""
        neuron, semantics = self._population.neuron, self._population.semantics
        assert isinstance(neuron, CubaLIF | PointLIF) and neuron.v_reset is not None
        spare: Any  # the time constant of a receptor where nothing ends
        if isinstance(neuron, CubaLIF):
            capacity, i_offset = neuron.tau_mem / neuron.r, np.zeros(())
            v_init, spare = np.asarray(semantics.v_init), neuron.tau_syn
        else:
            capacity, i_offset, v_init = neuron.capacity, neuron.i_offset, neuron.v_init
            spare = neuron.receptors[0].tau if neuron.receptors else np.asarray(self._dt)
        ts = self._fixed("dt", np.asarray(self._dt), 1e3, 1)
        tau = self._fixed("tau_mem", neuron.tau_mem, 1e3, 1)
        cm = self._fixed("capacity", capacity, 1e9, 1)
        threshold = self._fixed("v_threshold", neuron.v_threshold, 1e3)
        synapses: dict[str, Ints] = {}
        for receptor in SpinnakerLIF.RECEPTORS:
            own = self._fixed("tau_syn", self._taus.get(receptor, spare), 1e3, 1)
            decay = _each(lambda t, d: expulr(-kdivk(d, t)), own, ts)
            # 1.0 is no value of u0.32: the constant is the largest one.
            init = _each(
                lambda t, d, a: (kdivk(t, d) * (U032.high - a) >> 15) & U032.high, own, ts, decay
            )
            synapses |= {f"decay_{receptor[0]}": decay, f"init_{receptor[0]}": init}
        return SpinnakerLIF(
            v_init=self._fixed("v_init", v_init, 1e3),
            v_rest=self._fixed("v_leak", neuron.v_leak, 1e3),
            v_reset=self._fixed("v_reset", neuron.v_reset, 1e3),
            # The chip compares with >=.
            threshold=threshold + (semantics.comparison is Comparison.GREATER),
            i_offset=self._fixed("i_offset", i_offset, 1e9),
            r=_each(kdivk, tau, cm),
            exp_tc=_each(lambda t, d: expk(-kdivk(d, t)), tau, ts),
            refractory=np.asarray(semantics.refractory),
            shift_e=shifts[_EXCITATORY],
            shift_i=shifts[_INHIBITORY],
            **synapses,
        )

    def _fixed(self, name: str, value: Any, unit: float, low: int = S1615.low) -> Ints:
        """A parameter in s16.15; E0401, and 1, where it is below ``low`` or too large."""
        scaled = _round(np.asarray(value) * unit)
        integers = _HOST.integers(scaled)
        bad = (np.ldexp(scaled, S1615.point) > S1615.high) | (integers < low)
        if bad.any():
            worst = float(scaled[bad].flat[0])
            self._found.add(
                "E0401",
                f"'{self._population.name}': {name} is {worst:g} (mV, nA, nF or ms); s16.15 has "
                f"{low * 2.0**-S1615.point:g} to {S1615.high * 2.0**-S1615.point:g}",
                self._population.at,
                "choose parameters nearer to 1 in these units",
            )
            return np.ones_like(integers)
        return integers


def _each(function: Callable[..., int], *arguments: Ints) -> Ints:
    """``function`` of Python's integers, element by element, once for equal ones."""
    known = cache(function)
    spread = np.broadcast_arrays(*arguments)
    values = [known(*map(int, each)) for each in zip(*(a.flat for a in spread), strict=True)]
    return np.array(values, np.int64).reshape(spread[0].shape)


def _stage(projection: Projection) -> Dense | Sparse | OneToOne | None:
    parts = stages(projection.connection)
    stage = parts[0] if len(parts) == 1 else None
    if isinstance(stage, Sparse) and stage.steps is not None:
        return None
    return stage if isinstance(stage, Dense | Sparse | OneToOne) else None


def _split(projection: Projection, cell: _Cell, found: Diagnostics) -> list[_Part]:
    """The parts of a projection by the sign of their weights."""
    name, at, stage = projection.name, projection.at, _stage(projection)

    def refuse(message: str, hint: str = _GOLDEN) -> list[_Part]:
        found.add("E0301", f"'{name}': {message}", at, hint)
        return []

    if len(found.errors):
        return []
    if stage is None:
        kind = type(projection.connection).__name__
        return refuse(f"{kind} is no dense, sparse or one-to-one connection of one delay")
    if projection.delay < 1:
        return refuse("a delay of 0 steps; SpiNNaker has at least 1", "give it a delay of 1 step")
    if projection.bias is not None and projection.bias.any():
        return refuse("it has a bias; SpiNNaker has i_offset")
    if projection.short_term is not None:
        return refuse("its weights are sent in part (short-term plasticity)")
    if projection.receptor == CURRENT:
        return refuse("it ends at the port current; SpiNNaker has decaying currents only")
    if not cell.has(projection.receptor):
        return refuse(f"it ends at the receptor '{projection.receptor}', which is none")
    scale = cell.scale(projection.receptor)
    if scale is None:
        return refuse("its neurons multiply a weight with factors of their own")
    if projection.plasticity is not None and projection.plasticity.w_min < 0:
        return refuse("its weights may learn to be negative; a word has no sign")
    weight = _round(stage.weight * scale)
    signs = [(_EXCITATORY, weight), (_INHIBITORY, -weight)]
    used = [(receptor, part) for receptor, part in signs if (part > 0).any()]
    if not used:
        used = signs[1:] if projection.receptor == _INHIBITORY else signs[:1]
    if projection.plasticity is not None and [receptor for receptor, _ in used] != [_EXCITATORY]:
        return refuse("weights that learn are negative, or inhibit; a word has no sign")
    return [
        _Part(
            projection,
            name if len(used) == 1 or receptor == _EXCITATORY else f"{name} {receptor}",
            receptor,
            np.maximum(part, 0.0),
            scale,
        )
        for receptor, part in used
        if cell.take(projection, receptor)
    ]


def _words(part: _Part, neuron: SpinnakerLIF, dt: float, found: Diagnostics) -> Projection:
    """The projection of a part, with weights in words and its rule in fixed point."""
    stage, plasticity = _stage(part.of), part.of.plasticity
    assert stage is not None
    words = neuron.words[part.receptor].integers(part.weight)
    meant = stage.weight > 0 if part.receptor == _EXCITATORY else stage.weight < 0
    lost = int(np.sum(meant & (words == 0)))
    if 2 * lost > meant.sum():
        found.add(
            "W0403",
            f"'{part.name}': {lost} of {int(meant.sum())} weights are below half a word, "
            f"{2.0 ** -(neuron.words[part.receptor].point + 1):g} nA, and become 0",
            part.of.at,
            "weights are taken to be in ampere (SI); give larger ones, and less resistance",
        )
    changes: dict[str, Any] = {}
    if plasticity is not None:
        shift = dict(zip(neuron.RECEPTORS, (neuron.shift_e, neuron.shift_i), strict=True))
        changes["plasticity"] = _pairs(part, plasticity, shift[part.receptor], dt, found)
    return replace(
        part.of,
        name=part.name,
        connection=replace(stage, weight=words),
        bias=None,
        receptor=part.receptor,
        **changes,
    )


def _pairs(
    part: _Part, plasticity: Plasticity, shift: int, dt: float, found: Diagnostics
) -> Plasticity | None:
    """The rule of a part in fixed point, and its rails in words."""
    rule, name, at = plasticity.rule, part.name, part.of.at
    if type(rule) is not PairSTDP:
        found.add(
            "E0301", f"'{name}': learns by {type(rule).__name__}, not by PairSTDP", at, _GOLDEN
        )
        return None
    own = {
        "pairing": (rule.pairing, (Pairing.ALL,)),
        "window": (rule.window, (Window.EXPONENTIAL,)),
        "dependence": (rule.dependence, (Dependence.ADDITIVE, Dependence.SCALED)),
        "depression": (rule.dependences[1], (Dependence.ADDITIVE, Dependence.SCALED)),
        "coincidence": (rule.coincidence, (Coincidence.DEPRESS,)),
        "dendritic_delay_fraction": (rule.dendritic_delay_fraction, (1.0,)),
        "bits": (rule.bits, (None,)),
        "transmit": (plasticity.transmit, (Transmit.AFTER,)),
    }
    for field, (value, allowed) in own.items():
        if value not in allowed:
            wanted = " or ".join(map(str, allowed))
            found.add("E0301", f"'{name}': {field} is {value}; SpiNNaker has {wanted}", at, _GOLDEN)
    for field in ("a_plus", "a_minus"):
        if getattr(rule, field) < 0:
            found.add(
                "E0301",
                f"'{name}': {field} is {getattr(rule, field):g}; SpiNNaker clamps only above what "
                "potentiates and below what depresses",
                at,
                _GOLDEN,
            )
    scaled = (dependence is Dependence.SCALED for dependence in rule.dependences)
    amplitudes = [
        a * (plasticity.w_max if by_w_max else 1.0) * part.scale
        for a, by_w_max in zip((rule.a_plus, rule.a_minus), scaled, strict=True)
    ]
    rails = plasticity.w_min * part.scale, plasticity.w_max * part.scale
    a_plus, a_minus, w_min, w_max = map(int, _HOST.integers(_round([*amplitudes, *rails])))
    return replace(
        plasticity,
        rule=SpinnakerPairSTDP(
            decay_table(rule.tau_plus, dt),
            decay_table(rule.tau_minus, dt),
            *(a_plus, a_minus, w_min, w_max, shift),
        ),
        w_min=w_min >> shift,
        w_max=w_max >> shift,
    )
