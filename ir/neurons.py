"""Neuron models. Each declares its own facts; whatever handles them matches exhaustively.

The equations are those of the continuous model; ``semantics.py`` says how a step is taken.
Parameters are float64 arrays: of shape ``()`` when one value serves the whole population, else of
the population's shape. Times in seconds, potentials in the file's own unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from .numerics import S1615, Format, Numerics
from .records import Record, frozen_array, omitted

Real = npt.NDArray[np.float64]


class Emission(StrEnum):
    """What a population sends along its projections."""

    SPIKES = "spikes"  # a count of spikes in each step
    GRADED = "graded"  # a real value in each step


@dataclass(frozen=True, eq=False)
class Neuron(Record):
    """Base of the models.

    ``STATE`` names the state variables, ``TIMES`` the parameters that are time constants in
    seconds, ``EMISSION`` what leaves the population. A parameter is a field with a ``unit`` in
    its metadata.
    """

    STATE: ClassVar[tuple[str, ...]] = ()
    TIMES: ClassVar[tuple[str, ...]] = ()
    EMISSION: ClassVar[Emission] = Emission.SPIKES

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.parameters():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, frozen_array(value, np.float64))

    @property
    def state(self) -> tuple[str, ...]:
        """Names of the state variables of this population."""
        return self.STATE

    @classmethod
    def parameters(cls) -> tuple[str, ...]:
        """Names of the array parameters."""
        return tuple(f.name for f in fields(cls) if "unit" in f.metadata)


@dataclass(frozen=True, eq=False)
class IF(Neuron):
    r""":math:`\dot v = R I`; spikes at ``v_threshold``, then reset to ``v_reset``.

    ``v_reset`` is ``None`` where the file (written before nir 1.0.6) does not say.
    """

    STATE: ClassVar[tuple[str, ...]] = ("v",)
    r: Real = field(metadata={"unit": "ohm"})
    v_threshold: Real = field(metadata={"unit": "V"})
    v_reset: Real | None = field(metadata={"unit": "V"}, default=None)


@dataclass(frozen=True, eq=False)
class LIF(Neuron):
    r""":math:`\tau \dot v = (v_\mathrm{leak} - v) + R I`; spikes at ``v_threshold``.

    v starts at ``v_init``, if it has one, and not at that of the semantics.
    """

    STATE: ClassVar[tuple[str, ...]] = ("v",)
    TIMES: ClassVar[tuple[str, ...]] = ("tau",)
    tau: Real = field(metadata={"unit": "s"})
    r: Real = field(metadata={"unit": "ohm"})
    v_leak: Real = field(metadata={"unit": "V"})
    v_threshold: Real = field(metadata={"unit": "V"})
    v_reset: Real | None = field(metadata={"unit": "V"}, default=None)
    v_init: Real | None = omitted(None, unit="V")


@dataclass(frozen=True, eq=False)
class CubaLIF(Neuron):
    r""":math:`\tau_s \dot u = -u + w_\mathrm{in} S`, :math:`\tau_m \dot v = (v_l - v) + R u`.

    v starts at ``v_init``, if it has one, and not at that of the semantics.
    """

    STATE: ClassVar[tuple[str, ...]] = ("u", "v")
    TIMES: ClassVar[tuple[str, ...]] = ("tau_syn", "tau_mem")
    tau_syn: Real = field(metadata={"unit": "s"})
    tau_mem: Real = field(metadata={"unit": "s"})
    r: Real = field(metadata={"unit": "ohm"})
    v_leak: Real = field(metadata={"unit": "V"})
    w_in: Real = field(metadata={"unit": "1"})
    v_threshold: Real = field(metadata={"unit": "V"})
    v_reset: Real | None = field(metadata={"unit": "V"}, default=None)
    v_init: Real | None = omitted(None, unit="V")


@dataclass(frozen=True, eq=False)
class Integrator(Neuron):
    r""":math:`\dot v = R I`; sends v (NIR's ``I``)."""

    STATE: ClassVar[tuple[str, ...]] = ("v",)
    EMISSION: ClassVar[Emission] = Emission.GRADED
    r: Real = field(metadata={"unit": "ohm"})


@dataclass(frozen=True, eq=False)
class LI(Neuron):
    r""":math:`\tau \dot v = (v_\mathrm{leak} - v) + R I`; sends v."""

    STATE: ClassVar[tuple[str, ...]] = ("v",)
    TIMES: ClassVar[tuple[str, ...]] = ("tau",)
    EMISSION: ClassVar[Emission] = Emission.GRADED
    tau: Real = field(metadata={"unit": "s"})
    r: Real = field(metadata={"unit": "ohm"})
    v_leak: Real = field(metadata={"unit": "V"})


@dataclass(frozen=True, eq=False)
class CubaLI(Neuron):
    r""":math:`\tau_s \dot u = -u + w_\mathrm{in} S`, :math:`\tau_m \dot v = (v_l - v) + R u`.

    Sends v.
    """

    STATE: ClassVar[tuple[str, ...]] = ("u", "v")
    TIMES: ClassVar[tuple[str, ...]] = ("tau_syn", "tau_mem")
    EMISSION: ClassVar[Emission] = Emission.GRADED
    tau_syn: Real = field(metadata={"unit": "s"})
    tau_mem: Real = field(metadata={"unit": "s"})
    r: Real = field(metadata={"unit": "ohm"})
    v_leak: Real = field(metadata={"unit": "V"})
    w_in: Real = field(metadata={"unit": "1"})


@dataclass(frozen=True, eq=False)
class Threshold(Neuron):
    r""":math:`z = [S > \theta]`: no state, no reset, one spike a step whatever the semantics."""

    v_threshold: Real = field(metadata={"unit": "V"})


@dataclass(frozen=True, eq=False)
class Relay(Neuron):
    r""":math:`z = S`: passes its input on; carries sums, readouts and per-element delays."""

    EMISSION: ClassVar[Emission] = Emission.GRADED


@dataclass(frozen=True, eq=False)
class LinearLIF(Neuron):
    r""":math:`\dot v = -\lambda\,\mathrm{sgn}(v - v_l) + R I`; spikes at ``v_threshold``.

    ``leak`` is :math:`\lambda \ge 0`: v moves toward ``v_leak`` by the same amount in every step,
    never past it (TrueNorth, tinyODIN).
    """

    STATE: ClassVar[tuple[str, ...]] = ("v",)
    leak: Real = field(metadata={"unit": "V/s"})
    r: Real = field(metadata={"unit": "ohm"})
    v_leak: Real = field(metadata={"unit": "V"})
    v_threshold: Real = field(metadata={"unit": "V"})
    v_reset: Real | None = field(metadata={"unit": "V"}, default=None)


def _constant(value: float) -> Any:
    return lambda: np.asarray(value, np.float64)


class Kernel(StrEnum):
    """What a spike of weight S does to the signal s of its receptor."""

    DELTA = "delta"  # v jumps by S; there is no signal
    EXPONENTIAL = "exponential"  # s jumps by S, then tau ds/dt = -s
    ALPHA = (
        "alpha"  # the rise r jumps by S; tau dr/dt = -r, tau ds/dt = e r - s: a peak of S at tau
    )


CURRENT: Final = "current"  # the port that every point neuron has: what arrives is a current


@dataclass(frozen=True, eq=False)
class Receptor(Record):
    r"""A port of a point neuron, with a signal s of its own: see `Kernel`.

    The membrane sees the current :math:`I = s` (ampere) or, with ``reversal`` (E, volt), that of
    the conductance s (siemens), :math:`I = s\,(E - v)`. ``tau`` (seconds; ``None`` for a delta),
    ``reversal`` and ``initial``, the s of the start, have shape () or the population's.
    """

    name: str
    kernel: Kernel = Kernel.EXPONENTIAL
    tau: Real | None = None
    reversal: Real | None = None
    initial: Real = field(default_factory=_constant(0.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "kernel", Kernel(self.kernel))
        for name in ("tau", "reversal", "initial"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, frozen_array(value, np.float64))

    @property
    def state(self) -> tuple[str, ...]:
        """The signal, under the receptor's name, and before it the rise of an alpha function."""
        match self.kernel:
            case Kernel.DELTA:
                return ()
            case Kernel.EXPONENTIAL:
                return (self.name,)
            case Kernel.ALPHA:
                return (f"{self.name}_rise", self.name)

    @property
    def arrival(self) -> str:
        """The state variable that a spike adds its weight to; the membrane's under a delta."""
        return self.state[0] if self.state else "v"


@dataclass(frozen=True, eq=False)
class PointLIF(Neuron):
    r""":math:`C \dot v = \frac{C}{\tau}(v_l - v) + I_0 + I + \sum_k I_k`.

    Spikes at ``v_threshold``. :math:`I_k` is the current of the k-th receptor, I what arrives at
    the port ``current`` in this step. Volt, ampere, farad and seconds. v starts at ``v_init``,
    whatever the semantics.
    """

    STATE: ClassVar[tuple[str, ...]] = ("v",)
    TIMES: ClassVar[tuple[str, ...]] = ("tau_mem",)
    tau_mem: Real = field(metadata={"unit": "s"})
    capacity: Real = field(metadata={"unit": "F"})
    v_leak: Real = field(metadata={"unit": "V"})
    v_threshold: Real = field(metadata={"unit": "V"})
    v_reset: Real = field(metadata={"unit": "V"})
    i_offset: Real = field(metadata={"unit": "A"}, default_factory=_constant(0.0))
    v_init: Real = field(metadata={"unit": "V"}, default_factory=_constant(0.0))
    receptors: tuple[Receptor, ...] = ()

    @property
    def state(self) -> tuple[str, ...]:
        """Those of the receptors, then v and what the model has beside it."""
        return (*(name for receptor in self.receptors for name in receptor.state), *self.STATE)


@dataclass(frozen=True, eq=False)
class AdEx(PointLIF):
    r""":math:`C \dot v = \frac{C}{\tau}(v_l - v + \Delta\, e^{(v - v_r)/\Delta}) - w + I`,
    :math:`\tau_w \dot w = a (v - v_l) - w`; a spike adds b to w.

    I as in `PointLIF`. :math:`v_r` is ``v_rheobase``, and spikes are where v passes
    ``v_threshold``. Brette and Gerstner, J. Neurophysiol. 94, 2005.
    """

    STATE: ClassVar[tuple[str, ...]] = ("v", "w")
    TIMES: ClassVar[tuple[str, ...]] = ("tau_mem", "tau_w")
    v_rheobase: Real = field(metadata={"unit": "V"}, default_factory=_constant(-50.4e-3))
    slope: Real = field(metadata={"unit": "V"}, default_factory=_constant(2e-3))
    tau_w: Real = field(metadata={"unit": "s"}, default_factory=_constant(144e-3))
    a: Real = field(metadata={"unit": "S"}, default_factory=_constant(4e-9))
    b: Real = field(metadata={"unit": "A"}, default_factory=_constant(80.5e-12))
    w_init: Real = field(metadata={"unit": "A"}, default_factory=_constant(0.0))


@dataclass(frozen=True, eq=False)
class Izhikevich(Neuron):
    r""":math:`\dot v = k_2 v^2 + k_1 v + k_0 - u + R I`, :math:`\dot u = a (b v - u)`.

    Spikes at ``v_threshold``, once a step; then v becomes ``c`` whatever reset the semantics have,
    and ``d`` is added to the recovery u. Time is in ms and v in mV, whatever the file's unit: the
    model's constants are (Izhikevich, IEEE Trans. Neural Networks 14(6), 2003). The model of 2007
    with C, k, v_r, v_t has :math:`k_2 = k/C`, :math:`k_1 = -k(v_r + v_t)/C`,
    :math:`k_0 = k v_r v_t / C` and u in units of C. u starts at :math:`b v`. A step takes
    ``substeps`` forward Euler steps of v, and one of u.

    With ``receptors``, all of `Kernel.DELTA`, spikes make v jump, in mV, and only what arrives at
    the port ``current``, and ``i_offset``, is I. ``v_init`` and ``u_init``, of shape () or the
    population's, are where it starts instead.
    """

    STATE: ClassVar[tuple[str, ...]] = ("v", "u")
    a: Real = field(metadata={"unit": "1/ms"})
    b: Real = field(metadata={"unit": "1/ms"})
    c: Real = field(metadata={"unit": "mV"})
    d: Real = field(metadata={"unit": "mV/ms"})
    r: Real = field(metadata={"unit": "ohm"}, default_factory=_constant(1.0))
    v_threshold: Real = field(metadata={"unit": "mV"}, default_factory=_constant(30.0))
    k2: Real = field(metadata={"unit": "1/(mV ms)"}, default_factory=_constant(0.04))
    k1: Real = field(metadata={"unit": "1/ms"}, default_factory=_constant(5.0))
    k0: Real = field(metadata={"unit": "mV/ms"}, default_factory=_constant(140.0))
    substeps: int = 1
    receptors: tuple[Receptor, ...] = omitted(())
    i_offset: Real | None = omitted(None, unit="1")
    v_init: Real | None = omitted(None, unit="mV")
    u_init: Real | None = omitted(None, unit="mV/ms")


@dataclass(frozen=True, eq=False)
class IntegerNeuron(Neuron):
    r"""A quantised population; ``numerics`` has the formula, ``source_model`` what it was.

    One unit of v stands for ``scale`` in the unit of the real model's membrane, one unit of a
    weight (and of the accumulator) for ``scale * 2**shift``. Arrays of int64, shape ``()`` or the
    population's: ``decay_v``, ``decay_u`` in units of :math:`2^{-F}`, ``threshold``, ``v_reset``,
    ``v_min``, ``bias`` in units of v. ``bias_first`` replaces ``bias`` in the first step.
    The comparison is always ``>``: ``>= n`` is ``> n - 1``. A spike sets v to ``v_reset`` or, under
    ``subtract`` and ``two_phase``, takes that amount off (the threshold without the allowance of
    the comparison). ``reset`` is a name of
    ``semantics.Reset`` or ``none`` for a readout, whose v is its output. Without ``decay_u`` there
    is no synapse; with it ``current_old`` says that the membrane sees the u of the step before.

    With ``adapt_inc`` the threshold adapts (homeostasis). h, cleared with the state, is added to
    the threshold that this step compares with; then

    .. math::
        h \leftarrow \min(h + \mathrm{adapt\_inc}, h_\mathrm{max}) \text{ where it spiked},
        \qquad
        h \leftarrow h - \lceil h / 2^{\mathrm{adapt\_shift}} \rceil
        \text{ in every adapt\_period-th step}

    in that order. :math:`h_\mathrm{max}` is the largest state; periods count the steps of the
    population from its first on, refractory or not, and 0 means that h never decays. What a spike
    takes off v stays ``v_reset``.

    With ``leak`` v does not decay but moves by ``leak`` toward ``v_leak`` (0 where ``None``), not
    past it: where the formula has the rounded product of v and its decay (then one) stands

    .. math::
        v - \mathrm{sgn}(v - v_\mathrm{leak})\,\min(|v - v_\mathrm{leak}|, \mathrm{leak}).

    With ``curve`` the membrane is an `Izhikevich` one, its decay depends on itself, and u is its
    recovery. With F decay bits and states of W bits, d the drive and all states of the step before
    on the right of the second line:

    .. math::
        v &\leftarrow \mathrm{fit}\big(\mathrm{round}(v\,(\mathrm{decay}_v +
            \mathrm{round}(v\,\mathrm{curve}\,2^{-W}))\,2^{-F}) + d - u\big)
            \quad \mathrm{substeps\ times},\\
        u' &= \mathrm{fit}\big(u + \mathrm{round}((\mathrm{round}(v\,\mathrm{couple}\,2^{-F}) - u)\,
            \mathrm{rate}\,2^{-F-4})\big),

    w is the last v, but at least ``v_min``, and a spike adds ``jump`` to u'. In a refractory
    step, which must freeze v, u goes on. States are counted from where they start: v = 0 stands for
    ``v_origin``, u = 0 for ``u_origin``, and one unit of u for ``u_unit``.
    """

    STATE: ClassVar[tuple[str, ...]] = ("v",)
    numerics: Numerics
    source_model: str
    scale: float
    shift: int
    decay_v: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.int64]
    bias: npt.NDArray[np.int64]
    v_min: npt.NDArray[np.int64]
    v_reset: npt.NDArray[np.int64]
    reset: str
    decay_u: npt.NDArray[np.int64] | None = None
    bias_first: npt.NDArray[np.int64] | None = None
    current_old: bool = False
    max_spikes: int | None = 1
    refractory: int = 0
    refractory_frozen: bool = True
    adapt_inc: npt.NDArray[np.int64] | None = omitted(None)
    adapt_shift: int = omitted(0)
    adapt_period: int = omitted(1)
    leak: npt.NDArray[np.int64] | None = omitted(None)
    v_leak: npt.NDArray[np.int64] | None = omitted(None)
    curve: npt.NDArray[np.int64] | None = omitted(None)
    couple: npt.NDArray[np.int64] | None = omitted(None)
    rate: npt.NDArray[np.int64] | None = omitted(None)
    jump: npt.NDArray[np.int64] | None = omitted(None)
    substeps: int = omitted(1)
    v_origin: float | Real = omitted(0.0)
    u_origin: Real | None = omitted(None)
    u_unit: float | None = omitted(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (
            *("decay_v", "threshold", "bias", "v_min", "v_reset"),
            *("decay_u", "bias_first", "adapt_inc", "leak", "v_leak"),
            *("curve", "couple", "rate", "jump"),
        ):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, frozen_array(value, np.int64))
        object.__setattr__(self, "scale", float(self.scale))
        # One number, or one a neuron.
        origin: float | Real = (
            float(self.v_origin)
            if np.ndim(self.v_origin) == 0
            else (frozen_array(self.v_origin, np.float64))
        )
        object.__setattr__(self, "v_origin", origin)
        if self.u_origin is not None:
            object.__setattr__(self, "u_origin", frozen_array(self.u_origin, np.float64))
        if self.u_unit is not None:
            object.__setattr__(self, "u_unit", float(self.u_unit))

    @property
    def state(self) -> tuple[str, ...]:
        """v; u before it with a synapse or a recovery, h behind it with an adaptive threshold."""
        current = () if self.decay_u is None and self.curve is None else ("u",)
        return (*current, *self.STATE, *(() if self.adapt_inc is None else ("h",)))

    def real(self, variable: str) -> tuple[float, Real] | None:
        """Scale s and origin o of a state variable: k units stand for :math:`s k + o`.

        Shape of o: () or the population's. ``None`` where they are not known: those of a synaptic
        current, whose gain is in the weights.
        """
        if variable == "v":
            return self.scale, np.asarray(self.v_origin)
        if variable == "h":
            return self.scale, np.zeros(())
        if variable == "u" and self.u_unit is not None:
            return self.u_unit, np.zeros(()) if self.u_origin is None else self.u_origin
        return None

    @property
    def spiking(self) -> bool:
        """Whether the population ever spikes."""
        return self.reset != "none"


@dataclass(frozen=True, eq=False)
class SpinnakerLIF(Neuron):
    r"""IF_curr_exp in the arithmetic of SpiNNaker, bit for bit.

    A tick, with :math:`\lfloor\cdot\rfloor` a shift of the product, :math:`W_k` the ring buffer of
    the receptor k (e, then i) and :math:`N_k` its ``shift``; sums and shifts wrap to 32 bits:

    .. math::
        s_k &\leftarrow s_k + \lfloor (\min(W_k, 2^{16} - 1)\, 2^{N_k})\,
            \mathrm{init}_k\, 2^{-32} \rfloor, \\
        \alpha &= \lfloor (s_e - s_i + \mathrm{i\_offset})\, r\, 2^{-15} \rfloor +
            \mathrm{v\_rest}, \\
        v &\leftarrow \alpha - \lfloor \mathrm{exp\_tc}\, (\alpha - v)\, 2^{-15} \rfloor
            \quad \text{unless the neuron waits; then it waits one tick less}, \\
        &\text{a spike where } v \ge \mathrm{threshold}:\ v \leftarrow \mathrm{v\_reset},\
            \text{and it waits refractory ticks}, \\
        s_k &\leftarrow \lfloor s_k\, \mathrm{decay}_k\, 2^{-32} \rfloor.

    A neuron that waits is compared, too: with ``v_reset`` at the threshold it spikes in every tick.
    Arrays of int64, shape () or the population's: ``v_init``, ``v_rest``, ``v_reset``,
    ``threshold`` (mV), ``i_offset`` (nA), ``r`` (MOhm) and ``exp_tc`` in s16.15; ``refractory`` in
    ticks; ``decay_e``, ``init_e``, ``decay_i``, ``init_i`` in u0.32. A weight is a word of 16 bits
    without a sign; a projection names its receptor, ``excitatory`` or ``inhibitory``, and one unit
    of a weight is :math:`2^{N_k - 15}` nA.

    Source: sPyNNaker (github.com/SpiNNakerManchester/sPyNNaker, from 1!7.0.0 on), in
    neural_modelling/src/neuron neuron.c, neuron_impl_standard.h, neuron_model_lif_impl.h,
    exp_synapse_utils.h, decay.h and threshold_type_static.h; the product of two `accum` is GCC's
    (gcc/config/arm/arm-fixed.md, mulsa3: "none of these do any rounding").
    """

    STATE: ClassVar[tuple[str, ...]] = ("excitatory", "inhibitory", "v")
    RECEPTORS: ClassVar[tuple[str, str]] = ("excitatory", "inhibitory")
    v_init: npt.NDArray[np.int64]
    v_rest: npt.NDArray[np.int64]
    v_reset: npt.NDArray[np.int64]
    threshold: npt.NDArray[np.int64]
    i_offset: npt.NDArray[np.int64]
    r: npt.NDArray[np.int64]
    exp_tc: npt.NDArray[np.int64]
    refractory: npt.NDArray[np.int64]
    decay_e: npt.NDArray[np.int64]
    init_e: npt.NDArray[np.int64]
    decay_i: npt.NDArray[np.int64]
    init_i: npt.NDArray[np.int64]
    shift_e: int
    shift_i: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for f in fields(self):
            if not f.name.startswith("shift"):
                object.__setattr__(self, f.name, frozen_array(getattr(self, f.name), np.int64))

    @property
    def words(self) -> dict[str, Format]:
        """The format of a weight, in nA, of each receptor."""
        shifts = zip(self.RECEPTORS, (self.shift_e, self.shift_i), strict=True)
        return {name: Format(16, S1615.point - shift, signed=False) for name, shift in shifts}

    def real(self, variable: str) -> tuple[float, Real]:
        """Scale s and origin of a state variable in SI: k units stand for :math:`s k`."""
        si = 1e-3 if variable == "v" else 1e-9
        return si * 2.0**-S1615.point, np.zeros(())


@dataclass(frozen=True, eq=False)
class LoihiNeuron(Neuron):
    """A neuron in Loihi's arithmetic: its states and parameters are integers of the chip's widths.

    What ends in it has `loihi.LoihiWeights`. One unit of a state stands for ``scale`` in the unit
    of the real model. ``WORDS`` are the parameters of a LIF that Lava's process takes.
    """

    WORDS: ClassVar[tuple[str, ...]] = ()

    def real(self, variable: str) -> tuple[float, Real]:
        """Scale s and origin of a state variable: k units stand for :math:`s k`."""
        return float(getattr(self, "scale", 1.0)), np.zeros(())


@dataclass(frozen=True, eq=False)
class LoihiLIF(LoihiNeuron):
    r"""The neuron of Loihi, a LIF with a synaptic current, bit for bit.

    A step, with a the sum of what arrives (`loihi.LoihiWeights`) and
    :math:`\mathrm{cut}(x) = \mathrm{sgn}(x) \lfloor |x|\, 2^{-12} \rfloor`:

    .. math::
        u &\leftarrow \mathrm{wrap}\big(\mathrm{cut}(u\,(2^{12} - \mathrm{du} - 1)) +
            2^6 a\big), \\
        v &\leftarrow \mathrm{sat}\big(\mathrm{cut}(v\,(2^{12} - \mathrm{dv})) + u +
            \mathrm{bias\_mant}\, 2^{\mathrm{bias\_exp}}\big), \\
        &\text{a spike where } v > 2^6\, \mathrm{vth}:\ v \leftarrow 0.

    wrap takes :math:`2^{24}` off what is above :math:`2^{23}`, which itself is left, and adds it
    to what is :math:`-2^{23}` or below, once; sat clips to :math:`\pm(2^{23} - 1)`; sums have 32
    bits. With ``du`` 4095 there is no current but that of the step: a plain LIF.

    Arrays of int64, shape () or the population's: ``du``, ``dv`` (12 bits), ``vth`` (17 bits),
    ``bias_mant`` (13 bits, signed), ``bias_exp`` (3 bits). One unit of v and u stands for
    ``scale`` in the unit of the real model's membrane.

    Source: lava-nc 0.10.0, proc/lif/models.py, the model tagged bit_accurate_loihi.
    """

    STATE: ClassVar[tuple[str, ...]] = ("u", "v")
    WORDS: ClassVar[tuple[str, ...]] = ("du", "dv", "vth", "bias_mant", "bias_exp")
    du: npt.NDArray[np.int64]
    dv: npt.NDArray[np.int64]
    vth: npt.NDArray[np.int64]
    bias_mant: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((), np.int64))
    bias_exp: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((), np.int64))
    scale: float = omitted(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.WORDS:
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))
        object.__setattr__(self, "scale", float(self.scale))


@dataclass(frozen=True, eq=False)
class LoihiATRLIF(LoihiNeuron):
    r"""Loihi 2's LIF that keeps its membrane and raises a refractory state, bit for bit.

    A step, with u, cut, wrap and sat as in `LoihiLIF`, and the initial threshold
    :math:`\theta_0 = 2^6\, \mathrm{theta\_0}`:

    .. math::
        v &\leftarrow \mathrm{sat}\big(\mathrm{cut}(v\,(2^{12} - \mathrm{dv})) + u +
            \mathrm{bias\_mant}\, 2^{\mathrm{bias\_exp}}\big), \\
        \theta &\leftarrow \theta_0 + \mathrm{cut}((\theta - \theta_0)(2^{12} - \mathrm{dtheta})),
        \qquad r \leftarrow \mathrm{cut}(r\,(2^{12} - \mathrm{dr})), \\
        &\text{a spike where } v - r \ge \theta:\ r \leftarrow r + 2\theta,\
            \theta \leftarrow \theta + 2^6\, \mathrm{theta\_step}.

    v starts at ``v_init``, r at 0. With ``dr`` = ``dv``, no ``theta_step`` and v kept
    :math:`\theta_0` lower than it would be, :math:`v - r + \theta_0` is a membrane from which a
    spike at :math:`2\theta_0` takes :math:`2\theta_0`: a reset by subtraction.

    Arrays of int64, shape () or the population's: ``bias_mant``, ``bias_exp`` as in `LoihiLIF`,
    ``v_init`` (24 bits); of shape (): ``du``, ``dv``, ``dr``, ``dtheta``, ``theta_0``,
    ``theta_step`` (12 bits).

    Source: lava-nc 0.10.0, proc/atrlif/models.py, the model tagged bit_accurate_loihi.
    """

    STATE: ClassVar[tuple[str, ...]] = ("u", "v", "r", "theta")
    WORDS: ClassVar[tuple[str, ...]] = (
        *("du", "dv", "theta_0", "dr", "dtheta", "theta_step", "bias_mant", "bias_exp"),
    )
    du: npt.NDArray[np.int64]
    dv: npt.NDArray[np.int64]
    theta_0: npt.NDArray[np.int64]
    dr: npt.NDArray[np.int64]
    dtheta: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((), np.int64))
    theta_step: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((), np.int64))
    bias_mant: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((), np.int64))
    bias_exp: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((), np.int64))
    v_init: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((), np.int64))
    scale: float = omitted(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (*self.WORDS, "v_init"):
            object.__setattr__(self, name, frozen_array(getattr(self, name), np.int64))
        object.__setattr__(self, "scale", float(self.scale))


class Activation(StrEnum):
    """What a `LoihiSigmaDelta` makes of its sum."""

    UNIT = "unit"  # x
    RELU = "relu"  # max(x, 0)


@dataclass(frozen=True, eq=False)
class LoihiSigma(LoihiNeuron):
    r"""Decodes: :math:`\sigma \leftarrow \sigma + a`, and sends it in every step.

    a is the sum of what arrives; 32 bits, that wrap. One unit stands for ``scale``.

    Source: lava-nc 0.10.0, proc/sdn/models.py, the models tagged fixed_pt.
    """

    STATE: ClassVar[tuple[str, ...]] = ("sigma",)
    EMISSION: ClassVar[Emission] = Emission.GRADED
    scale: float = omitted(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "scale", float(self.scale))


@dataclass(frozen=True, eq=False)
class LoihiDelta(LoihiNeuron):
    r"""Sends how its input has changed, in steps of a threshold at least.

    With a the sum of what arrives, the value of this step and not a change, x = ``state_exp``
    and p = ``spike_exp``:

    .. math::
        A &= 2^{p + x} a, \qquad \delta = A - \mathrm{act} + \mathrm{residue}, \\
        s &= \delta \text{ where } |\delta| \ge 2^{p + x}\, \mathrm{vth}, \text{ else } 0, \\
        \mathrm{residue} &\leftarrow \delta - s, \qquad \mathrm{act} \leftarrow A,
        \qquad \text{sent: } \lfloor 2^{-x} s \rfloor.

    With ``cum_error`` the threshold is on the sum e of all :math:`\delta` since one was sent:

    .. math::
        e \leftarrow e + \delta, \quad s = \delta \text{ where } |e| \ge 2^{p + x}\,\mathrm{vth},
        \quad e \leftarrow 0 \text{ where } s \ne 0.

    States have 32 bits, that wrap. ``vth`` has 24 bits with its exponents, which have 3. One unit
    of what it sends stands for ``scale``, of a state for :math:`2^{-x}` of that.

    Source: lava-nc 0.10.0, proc/sdn/models.py, the models tagged fixed_pt; the threshold itself
    sends, whatever the text of proc/sdn/process.py.
    """

    STATE: ClassVar[tuple[str, ...]] = ("act", "residue", "error")
    EMISSION: ClassVar[Emission] = Emission.GRADED
    vth: int
    spike_exp: int = 0
    state_exp: int = 0
    cum_error: bool = False
    scale: float = omitted(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "scale", float(self.scale))

    def real(self, variable: str) -> tuple[float, Real]:
        """Scale s and origin of a state variable, or of v: what is sent."""
        return self.scale * (1.0 if variable == "v" else 2.0**-self.state_exp), np.zeros(())


@dataclass(frozen=True, eq=False)
class LoihiSigmaDelta(LoihiDelta):
    r"""Decodes changes, applies an activation, and sends how that has changed.

    As `LoihiDelta`, but what arrives are changes, and no exponent shifts them:

    .. math::
        \sigma \leftarrow \sigma + a, \qquad A = f(\sigma + 2^{p + x}\, \mathrm{bias}).

    Only what is sent is shifted, :math:`\lfloor 2^{-x} s \rfloor`, and what that cuts off is in no
    residue: with a ``state_exp`` above zero the receiver drifts, even at a threshold of zero.

    ``bias``, int64 of shape () or the population's, has 16 bits with its exponents.
    """

    STATE: ClassVar[tuple[str, ...]] = ("sigma", *LoihiDelta.STATE)
    bias: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros((), np.int64))
    activation: Activation = Activation.RELU

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "bias", frozen_array(self.bias, np.int64))
        object.__setattr__(self, "activation", Activation(self.activation))


MODELS: tuple[type[Neuron], ...] = (
    IF,
    LIF,
    CubaLIF,
    Integrator,
    LI,
    CubaLI,
    Threshold,
    Relay,
    IntegerNeuron,
    LinearLIF,
    Izhikevich,
    PointLIF,
    AdEx,
    SpinnakerLIF,
    LoihiLIF,
    LoihiATRLIF,
    LoihiSigma,
    LoihiDelta,
    LoihiSigmaDelta,
)


def receptors(neuron: Neuron) -> tuple[Receptor, ...]:
    """The receptors of a model that has ports; none where everything enters one sum."""
    return neuron.receptors if isinstance(neuron, PointLIF | Izhikevich) else ()


def port_names(neuron: Neuron) -> tuple[str, ...]:
    """The names of the ports of a model that has them; none where everything enters one sum."""
    if isinstance(neuron, SpinnakerLIF):
        return neuron.RECEPTORS
    names = tuple(receptor.name for receptor in receptors(neuron))
    return (*names, CURRENT) if names or isinstance(neuron, PointLIF) else ()
