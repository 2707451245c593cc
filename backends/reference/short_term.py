"""Short-term plasticity of the golden reference: `ir.short_term.TsodyksMarkram` in Brian2."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...ir.short_term import TsodyksMarkram

_MODEL = """w : 1
use : 1 (constant)
rate_rec : 1 (constant)
rate_syn : 1 (constant)
rate_facil : 1 (constant)
facilitates : 1 (constant)
apart : 1 (constant)
u_res : 1
y_res : 1
z_res : 1
last : 1"""
# The closed form of the linear equations since the last spike, then the spike. With two time
# constants alike (``apart`` 0) the inactive resources follow their limit.
_LINES = [
    "since = t_in_timesteps - last",
    "last = t_in_timesteps",
    "keep_y = exp(-since * rate_syn)",
    "keep_z = exp(-since * rate_rec)",
    "turned = int(apart != 0) * (keep_y - keep_z) / (apart + int(apart == 0))",
    "turned = turned + int(apart == 0) * since * keep_z",
    "z_res = z_res * keep_z + y_res * rate_syn * turned",
    "y_res = y_res * keep_y",
    "u_res = u_res * facilitates * exp(-since * rate_facil)",
    "u_res = u_res + use * (1 - u_res)",
    "part = u_res * (1 - y_res - z_res)",
    "y_res = y_res + part",
]
_START = "u_res = 0\ny_res = 0\nz_res = 0\nlast = 0"


def short_term_code(there: bool) -> tuple[str, list[str], str]:
    """Model and lines of a pathway with or without it, and what it sends."""
    return (_MODEL, _LINES, "w * part") if there else ("w : 1", [], "w")


def start_short_term(synapses: Any, rule: TsodyksMarkram, dt: float, restart: Any) -> None:
    """Give synapses their parameters, in steps, and clear them before each sample."""
    facilitates = rule.tau_facil > 0
    with np.errstate(divide="ignore"):
        rate_facil = np.where(facilitates, dt / rule.tau_facil, 0.0)
    numbers = {
        "use": rule.u,
        "rate_rec": dt / rule.tau_rec,
        "rate_syn": dt / rule.tau_syn,
        "rate_facil": rate_facil,
        "facilitates": facilitates.astype(np.float64),
        "apart": dt / rule.tau_rec - dt / rule.tau_syn,
    }
    for name, value in numbers.items():
        setattr(synapses, name, np.broadcast_to(value, np.shape(value) or (len(synapses),)).ravel())
    synapses.run_regularly(_START, clock=restart, when="restart")
