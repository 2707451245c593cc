"""Plastic synapses of the golden reference: `ir.plasticity.PairSTDP` in Brian2."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from ...ir.graph import Population
from ...ir.numerics import Rounding
from ...ir.plasticity import (
    ORDERS,
    Dependence,
    Pairing,
    PairSTDP,
    Transmit,
    TripletSTDP,
    Window,
)
from .plan import Learning, Plan
from .point_code import arrival_name, pending_name

# A step of Brian2's clocks, in seconds. The network never asks for the time, and a power of two
# makes every instant exact: C++ code takes clocks for different that are 1e-14 s apart.
TICK: Final = 2.0**-10
# When in a step synapses learn: before all populations, and behind them.
EARLY: Final = "early"
# When what does not learn arrives at populations that take it at the end of a step.
ARRIVE: Final = "arrive"
LATE: Final = "late"


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
    code = _Code(learning, plan.graph.population(learning.post))
    triplets = {}
    if isinstance(rule, TripletSTDP):
        triplets = {
            "a3_plus": rule.a3_plus,
            "a3_minus": rule.a3_minus,
            "tau_x": rule.tau_x / plan.dt * TICK * brian.second,
            "tau_y": rule.tau_y / plan.dt * TICK * brian.second,
        }
    pre, post = code.pathways()
    pre_is_input = plan.nodes[learning.pre].place < 0
    synapses = brian.Synapses(
        groups[learning.pre],
        groups[learning.post],
        code.model,
        on_pre=pre,
        on_post=post,
        on_event=dict.fromkeys((*pre, *post), "emit0"),
        clock=clock,
        name=f"plastic{k}",
        namespace={
            **triplets,
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
    for name in (*pre, *post):
        pathway = getattr(synapses, name)
        side = name in post
        late = learning.late_post if side or "P" not in name else not learning.early
        steps = learning.dendritic if side else learning.axonal
        waits = not late and (side or not pre_is_input)
        pathway.delay = (steps - waits) * TICK * brian.second
        pathway.when = LATE if late else EARLY
        pathway.order = ORDERS[rule.coincidence].index(name.split("_")[1][0])
    synapses.run_regularly(code.start, clock=restart, when="restart")
    return synapses


class _Code:
    """Abstract code of the pathways of one projection, named by their letters in `ORDERS`."""

    def __init__(self, learning: Learning, post: Population) -> None:
        self._learning, self._post_population = learning, post
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

    def pathways(self) -> tuple[dict[str, str], dict[str, str]]:
        """Those of the pre and of the post spikes."""
        lines = {"P": self._pre(), "X": self._remember("x")}
        lines |= {"Q": self._post(), "Y": self._remember("y")}
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
        if isinstance(self._rule, TripletSTDP):
            return f"(a_{side} + a3_{side} * {trace})"
        return f"a_{side}"

    def _worth(self, trace: str, window: str) -> str:
        if self._rule.window is Window.EXPONENTIAL:
            return trace
        return f"int(t_in_timesteps - {trace} <= {window})"

    def _change(self, amount: str) -> list[str]:
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
        change = self._change(
            f"-{self._amplitude('minus', 'x2')}{scale} * {self._worth('y', 'window_minus')}"
        )
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
