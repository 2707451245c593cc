"""Plastic synapses of the golden reference: rules of `ir.plasticity` in real numbers in Brian2.

Spikes do what they do in the slots `EARLY` and `LATE`. At the end of `LATE`, in this order, what
nodes show is carried to the groups where rules read it, weights that follow it change, and tied
weights are copied.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ...ir.graph import Tied
from ...ir.homeostasis import Norm, Occasion
from ...ir.numerics import Rounding
from ...ir.plasticity import (
    ORDERS,
    Dependence,
    Pairing,
    PairSTDP,
    ThreeFactorSTDP,
    Transmit,
    TripletSTDP,
    Window,
)
from .plan import Learning, Plan, Valued
from .point_code import arrival_name, pending_name, total_name
from .step_code import aged

# A step of Brian2's clocks, in seconds. The network never asks for the time, and a power of two
# makes every instant exact: C++ code takes clocks for different that are 1e-14 s apart.
TICK: Final = 2.0**-10
# When in a step synapses learn: before all populations, and behind them.
EARLY: Final = "early"
# When what does not learn arrives at populations that take it at the end of a step.
ARRIVE: Final = "arrive"
LATE: Final = "late"
# What every neuron of a population tells its synapses, behind all else, in a sample's last step.
OVER: Final = {"over": "t_in_timesteps % period == period - 1"}
# Orders in `LATE` behind those of `ORDERS`, and one in `EARLY` before them.
_CARRY, _CHANGE, _SCALE, _TIE, _DECAY = 10, 20, 30, 40, -1

# Nodes show nothing in the steps behind a sample, of which there are as many as late spikes need.
_LIVE: Final = "int(t_in_timesteps % period < live)"
_CHANGED: Final = (
    f"gate = int(gates(t) > 0) * int(on > 0) * {_LIVE}",
    "new_w = clip(w + amount, low, high)",
    "w = gate * new_w + (1 - gate) * w",
)


def plastic_synapses(
    brian: Any,
    plan: Plan,
    k: int,
    learning: Learning,
    groups: dict[str, Any],
    clock: Any,
    restart: Any,
    gates: Any,
) -> Any:
    """The synapses of the k-th plastic projection.

    ``gates`` is 1 in samples that learn. Spikes of a population are put in the queue of a pathway
    in its slot, which for `EARLY` is that of the next step: there a delay is one step shorter.
    """
    rule, plasticity = learning.rule, learning.plasticity
    code = _Code(plan, learning)
    more = {}
    if isinstance(rule, TripletSTDP):
        more = {
            "a3_plus": rule.a3_plus,
            "a3_minus": rule.a3_minus,
            "tau_x": rule.tau_x / plan.dt * TICK * brian.second,
            "tau_y": rule.tau_y / plan.dt * TICK * brian.second,
        }
    if isinstance(rule, ThreeFactorSTDP):
        more = {
            "eta": rule.eta,
            "a_pre": rule.a_pre,
            "keep": float(np.exp(-plan.dt / rule.tau_e)),
        }
    pre, post = code.pathways()
    norms = code.scaling(f"norm{k}")
    pre_is_input = plan.nodes[learning.pre].place < 0
    synapses = brian.Synapses(
        groups[learning.pre],
        groups[learning.post],
        code.model,
        on_pre=pre,
        on_post={**post, **norms},
        on_event=dict.fromkeys((*pre, *post), "emit0") | dict.fromkeys(norms, code.occasion),
        clock=clock,
        name=f"plastic{k}",
        namespace={
            **more,
            **_ends(plan),
            "goal": 1.0 if plasticity.scaling is None else plasticity.scaling.target,
            "gates": gates,
            "a_plus": rule.a_plus,
            "a_minus": rule.a_minus,
            "tau_plus": rule.tau_plus / plan.dt * TICK * brian.second,
            "tau_minus": rule.tau_minus / plan.dt * TICK * brian.second,
            "grid": (plasticity.w_max - plasticity.w_min) / (2.0 ** (rule.bits or 1) - 1),
            "low": plasticity.w_min,
            "high": plasticity.w_max,
            "window_plus": np.floor(rule.tau_plus / plan.dt * (1 + 1e-12)),
            "window_minus": np.floor(rule.tau_minus / plan.dt * (1 + 1e-12)),
        },
    )
    synapses.connect(i=learning.i, j=learning.j)
    synapses.w = learning.w
    enabled = True if plasticity.enable is None else plasticity.enable
    on = np.broadcast_to(np.asarray(enabled) & plasticity.learning, learning.shape)
    synapses.on = on.astype(np.float64).ravel()
    if isinstance(rule, ThreeFactorSTDP):
        synapses.run_regularly("eligible = keep * eligible", clock=clock, when=EARLY, order=_DECAY)
        change = "\n".join((f"amount = eta * {code.modulation()} * eligible", *_CHANGED))
        synapses.run_regularly(change, clock=clock, when=LATE, order=_CHANGE)
    for name in (*pre, *post):
        pathway = getattr(synapses, name)
        side = name in post
        late = learning.late_post if side or "P" not in name else not learning.early
        steps = learning.dendritic if side else learning.axonal
        waits = not late and (side or not pre_is_input)
        pathway.delay = (steps - waits) * TICK * brian.second
        pathway.when = LATE if late else EARLY
        pathway.order = ORDERS[rule.coincidence].index(name.split("_")[1][0])
    for place, name in enumerate(norms, start=len(ORDERS[rule.coincidence])):
        pathway = getattr(synapses, name)
        over = code.occasion in OVER
        late = learning.late_post or over
        steps = 0 if over else learning.dendritic - (not late)
        pathway.delay = steps * TICK * brian.second
        pathway.when = LATE if late else EARLY
        pathway.order = _SCALE + place if over else place
    synapses.run_regularly(code.start, clock=restart, when="restart")
    return synapses


def _ends(plan: Plan) -> dict[str, int]:
    """After how many steps of a sample nothing is shown any more, and when the next one starts."""
    return {"live": plan.live, "period": plan.period}


def carriers(brian: Any, plan: Plan, groups: dict[str, Any], clock: Any) -> list[Any]:
    """What copies the emission of a node, at the end of each step, to where rules read it."""
    found = []
    for k, carried in enumerate(plan.carried):
        source, target = groups[carried.source], groups[carried.target]
        synapses = brian.Synapses(
            source, target, "", clock=clock, name=f"carrier{k}", namespace=_ends(plan)
        )
        each = np.arange(target.N)
        synapses.connect(i=each if source.N > 1 else 0 * each, j=each)
        code = f"{carried.variable}_post = {aged(carried.age)}_pre * {_LIVE}"
        synapses.run_regularly(code, clock=clock, when=LATE, order=_CARRY)
        found.append(synapses)
    return found


def valued_synapses(
    brian: Any,
    plan: Plan,
    k: int,
    valued: Valued,
    groups: dict[str, Any],
    clock: Any,
    gates: Any,
    slot: str,
) -> Any:
    """The synapses of the k-th projection that sends values by weights that change."""
    synapses = brian.Synapses(
        groups[valued.pre],
        groups[valued.post],
        "w : 1\non : 1",
        on_pre=f"{total_name(valued.port)}_post += w * {aged(valued.latch)}_pre",
        on_event={"pre": f"emit{valued.latch}"},
        clock=clock,
        name=f"valued{k}",
        namespace={},
        delay=0 * brian.second,
    )
    synapses.connect(i=valued.i, j=valued.j)
    synapses.w = valued.w
    # Behind what is sent in the slot of the pre node itself.
    synapses.pre.when, synapses.pre.order = slot, 1
    rule, plasticity = valued.hebbian, valued.change
    if rule is None or isinstance(plasticity, Tied):
        return synapses
    synapses.namespace.update(
        gates=gates,
        eta=rule.eta,
        low=plasticity.w_min,
        high=plasticity.w_max,
        **_ends(plan),
    )
    enabled = True if plasticity.enable is None else plasticity.enable
    on = np.broadcast_to(np.asarray(enabled) & plasticity.learning, valued.shape)
    synapses.on = on.astype(np.float64).ravel()
    x = plan.variable(rule.pre_factor or valued.pre, valued.pre)
    y = plan.variable(rule.post_factor or valued.post, valued.post)
    change = "\n".join((f"amount = eta * {y}_post * {x}_pre", *_CHANGED))
    synapses.run_regularly(change, clock=clock, when=LATE, order=_CHANGE)
    return synapses


def ties(brian: Any, plan: Plan, synapses: dict[str, Any], clock: Any) -> list[Any]:
    """What copies weights to the synapses tied to them, at the very end of each step."""
    sources = {p.name: p for p in plan.plastic}
    found = []
    for k, valued in enumerate(plan.valued):
        tied = valued.change
        if not isinstance(tied, Tied) or tied.projection not in synapses:
            continue  # nothing, or what never changes
        source = sources[tied.projection]
        pre, post = (source.j, source.i) if tied.transpose else (source.i, source.j)
        link = brian.Synapses(
            synapses[source.name],
            synapses[valued.name],
            "",
            clock=clock,
            name=f"tie{k}",
            namespace={"scale": tied.scale},
        )
        link.connect(i=np.lexsort((post, pre)), j=np.lexsort((valued.j, valued.i)))
        link.run_regularly("w_post = scale * w_pre", clock=clock, when=LATE, order=_TIE)
        found.append(link)
    return found


class _Code:
    """Abstract code of the pathways of one projection, named by their letters in `ORDERS`."""

    def __init__(self, plan: Plan, learning: Learning) -> None:
        self._plan, self._learning = plan, learning
        self._post_population = plan.graph.population(learning.post)
        self._rule: PairSTDP = learning.rule
        if self._rule.window is Window.EXPONENTIAL:
            self.model = (
                "w : 1\non : 1\n"
                "dx/dt = -x / tau_plus : 1 (event-driven)\n"
                "dy/dt = -y / tau_minus : 1 (event-driven)"
            )
            self.start = "x = 0\ny = 0"
            if isinstance(self._rule, TripletSTDP):
                self.model += (
                    "\ndx2/dt = -x2 / tau_x : 1 (event-driven)"
                    "\ndy2/dt = -y2 / tau_y : 1 (event-driven)"
                )
                self.start += "\nx2 = 0\ny2 = 0"
        else:
            self.model = "w : 1\non : 1\nx : 1\ny : 1"
            self.start = "x = -1e18\ny = -1e18"
        if isinstance(self._rule, ThreeFactorSTDP):
            self.model += "\neligible : 1"
            self.start += "\neligible = 0"

    def _shown(self, node: str) -> str:
        """What a node that the rule reads shows: since the end of the step before, until behind the
        populations of this one.
        """
        return f"{self._plan.variable(node, self._learning.post)}_post"

    def modulation(self) -> str:
        """The third factor, and the gate if there is one."""
        rule = self._rule
        assert isinstance(rule, ThreeFactorSTDP)
        names = [name for name in (rule.modulator, rule.gate) if name is not None]
        return " * ".join(map(self._shown, names))

    def pathways(self) -> tuple[dict[str, str], dict[str, str]]:
        """Those of the pre and of the post spikes."""
        lines = {"P": self._pre(), "X": self._remember("x")}
        lines |= {"Q": self._post(), "Y": self._remember("y")}
        if not self._rule.pairs:  # post spikes have no part, nor is there anything to remember
            return {"pre_P": "\n".join(lines["P"])}, {}
        # What follows on each other in one slot is one pathway: each goes over all its synapses.
        order = ORDERS[self._rule.coincidence]
        joined = "PX" in order and "QY" in order
        pres = ["PX"] if joined and self._learning.late_post != self._learning.early else ["P", "X"]
        posts = ["QY"] if joined else ["Q", "Y"]
        pre, post = (
            {f"{side}_{name}": "\n".join(line for c in name for line in lines[c]) for name in names}
            for side, names in (("pre", pres), ("post", posts))
        )
        return pre, post

    def _remember(self, trace: str) -> list[str]:
        # Also where nothing learns: traces begin anew with each sample, and so do phases.
        if self._rule.window is Window.RECTANGULAR:
            return [f"{trace} = t_in_timesteps"]
        both = [trace, f"{trace}2"] if isinstance(self._rule, TripletSTDP) else [trace]
        how = "= 1" if self._rule.pairing is Pairing.NEAREST else "+= 1"
        return [f"{each} {how}" for each in both]

    def _amplitude(self, side: str, trace: str) -> str:
        amplitude = f"a_{side}"
        if isinstance(self._rule, TripletSTDP):
            amplitude = f"(a_{side} + a3_{side} * {trace})"
        if side == "minus" and self._rule.depression_by is not None:
            return f"{self._shown(self._rule.depression_by)} * {amplitude}"
        return amplitude

    def _worth(self, trace: str, window: str) -> str:
        if self._rule.window is Window.EXPONENTIAL:
            return trace
        return f"int(t_in_timesteps - {trace} <= {window})"

    def _change(self, amount: str) -> list[str]:
        if isinstance(self._rule, ThreeFactorSTDP):
            return [f"eligible = eligible + {amount}"]
        paired = [] if self._rule.bits is None else ["gate = gate * int(amount != 0)"]
        return [
            "gate = int(gates(t) > 0) * int(on > 0)",
            f"amount = {amount}",
            *paired,
            "new_w = clip(w + amount, low, high)",
            *self._rounded(),
            "w = gate * new_w + (1 - gate) * w",
        ]

    def _rounded(self) -> list[str]:
        if self._rule.bits is None:
            return []
        # Brian2's floor is an int32 in numpy code; this one is a float in both.
        if self._rule.rounding is Rounding.DOWN:
            # A value of the grid is not the one below it, for all that its quotient says.
            lines = ["place = ((new_w - low) / grid * (1 + 1e-12)) // 1.0"]
        else:
            lines = [
                "over = (new_w - low) / grid + 0.5",
                "place = over // 1.0",
                "place = place - int(over == place) * (place % 2.0)",
            ]
        return [*lines, "new_w = low + place * grid"]

    def _send(self) -> str:
        learning = self._learning
        if learning.pending or learning.port is None:
            return f"{pending_name(learning.port, learning.pending)}_post += w"
        target = arrival_name(self._post_population, learning.port)
        # A delta is lost on a neuron that is shut, as in `settle`.
        return f"{target}_post += w{' * (1 - shut_post)' if target == 'v' else ''}"

    def _pre(self) -> list[str]:
        send = [self._send()]
        scale = {
            Dependence.ADDITIVE: "",
            Dependence.SCALED: " * high",
            Dependence.MULTIPLICATIVE: " * (w - low)",
        }[self._rule.dependences[1]]
        amount = f"-{self._amplitude('minus', 'x2')}{scale} * {self._worth('y', 'window_minus')}"
        if isinstance(self._rule, ThreeFactorSTDP):
            amount = f"(a_pre + {amount})" if self._rule.pairs else "a_pre"
        change = self._change(amount)
        after = self._learning.plasticity.transmit is Transmit.AFTER
        return [*change, *send] if after else [*send, *change]

    def _post(self) -> list[str]:
        scale = {
            Dependence.ADDITIVE: "",
            Dependence.SCALED: " * high",
            Dependence.MULTIPLICATIVE: " * (high - w)",
        }[self._rule.dependences[0]]
        return self._change(
            f"{self._amplitude('plus', 'y2')}{scale} * {self._worth('x', 'window_plus')}"
        )

    @property
    def occasion(self) -> str:
        """The event of post neurons at which their weights are scaled."""
        scaling = self._learning.plasticity.scaling
        by_sample = scaling is not None and scaling.occasion is Occasion.SAMPLE
        return next(iter(OVER)) if by_sample else "emit0"

    def scaling(self, norm: str) -> dict[str, str]:
        """The pathways that sum weights up in ``norm`` of the post neurons, and scale them."""
        scaling = self._learning.plasticity.scaling
        if scaling is None:
            return {}
        share = {Norm.SUM: "w", Norm.ABSOLUTE: "abs(w)", Norm.POSITIVE: "w * int(w > 0)"}
        gate = "gate = int(gates(t) > 0) * int(on > 0)"
        lines = [
            "sound = gate * int(goal * NORM > 0)",
            "new_w = clip(w * (goal / (sound * NORM + 1 - sound)), low, high)",
            "w = sound * new_w + (1 - sound) * w",
        ]
        return {
            "norm_sum": f"{gate}\n{norm}_post += gate * {share[scaling.norm]}",
            "norm_scale": "\n".join([gate, *lines]).replace("NORM", f"{norm}_post"),
        }
