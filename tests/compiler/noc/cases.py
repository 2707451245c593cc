"""Small interconnects with traffic, for tests."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from spikec.boards.machine import Machine
from spikec.compiler.mapping.geometry import curve
from spikec.compiler.mapping.mapping import Routes
from spikec.compiler.mapping.route import route
from spikec.compiler.noc.fabric import Fabric
from spikec.compiler.noc.packets import Packets
from spikec.compiler.noc.trees import Ways

from ..mapping.machines import ALL, machine, tree
from ..mapping.nets import groups

SMALL: dict[str, Machine] = {
    "line": machine("mesh", (5, 1), cores=2),
    "mesh": machine("mesh", (3, 3), cores=2),
    "mesh-chips": ALL["mesh-chips"],
    "mesh-holes": ALL["mesh-holes"],
    "torus": machine("torus", (4, 3)),
    "torus-thin": ALL["torus-thin"],
    "triads": ALL["triads"],
    "triads-torus": machine("triads", (3, 3), cores=2, wraps=True),
    "ring": machine("ring", (5, 1), cores=2),
    "tree": tree(3, 2, cores=2),
}


@dataclass(frozen=True)
class Case:
    fabric: Fabric
    routes: Routes
    packets: Packets

    @property
    def ways(self) -> Ways:
        return Ways.along(self.routes, self.fabric.machine)


def case(m: Machine, seed: int, spikes: int, span: int, most: int = 4, **fabric: Any) -> Case:
    """Random routes between all cores and the host; spikes in random cycles below ``span``."""
    rng = np.random.default_rng(seed)
    seats = curve(m)[:, None] * m.cores_per_router + np.arange(m.cores_per_router)
    seats = rng.permutation(seats.ravel())
    m = replace(m, host=int(curve(m)[-1]))
    t = groups(seed, seats.size, 12, most=most)
    routes = route(t, m, seats)
    taken = rng.integers(0, t.groups, spikes)
    core = np.where(t.origin >= 0, seats[t.origin], -1)[taken]
    return Case(
        Fabric(m, 1e-9, **fabric),
        routes,
        Packets.of(np.sort(rng.integers(0, span, spikes)), taken, core),
    )


@st.composite
def cases(draw: st.DrawFn, drops: bool | None = None, spikes: int = 40) -> Case:
    """Any small interconnect; ``drops`` false: such that cannot lock up."""
    names = sorted(SMALL) if drops is not False else ["line", "mesh", "mesh-chips", "tree"]
    m = replace(SMALL[draw(st.sampled_from(names))], multicast=draw(st.booleans()))
    flits = draw(st.integers(1, 3))
    cycles = {name: draw(st.integers(1, 4)) for name in ("hop_x", "hop_y", "chip_hop")}
    cycles |= {name: draw(st.integers(1, 3)) for name in ("gap", "chip_gap", "inject", "eject")}
    after = None
    if drops is not False and (drops or draw(st.booleans())):
        after = draw(st.integers(1, 12))
    return case(
        m,
        draw(st.integers(0, 2**32 - 1)),
        draw(st.integers(0, spikes)),
        draw(st.sampled_from([1, 10, 60])),
        flits=flits,
        buffer=flits + draw(st.integers(0, 4)),
        drop_after=after,
        **cycles,
    )
