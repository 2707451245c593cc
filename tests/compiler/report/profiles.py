"""Profiles as a report shows them: of random networks, and made by hand of any size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from spikec.boards.costs import Barrier, Pace
from spikec.boards.quantity import Obtained
from spikec.compiler.profile.profile import Profile, profile
from spikec.compiler.report import EnergyLine, ProfileView, Wait
from spikec.ir.events import Events

from ..mapping.nets import network
from ..mapping.simple import machine
from ..profile.nets import priced, random_part, seated
from .views import make_machine, quantity

PACES: tuple[Pace, ...] = ("free", "barrier", "tick")


def make_profile(pace: Pace = "free", samples: int = 3, **changes: Any) -> Profile:
    """Of 60 neurons in seven cores of a mesh, with every kind of count, and random spikes."""
    # Neither a tick nor a cost is needed where there is no such pace.
    barrier = (Barrier(1, "packet_time"),) if pace == "barrier" else ()
    m = priced(machine("mesh", (4, 3)), pace=pace, barrier=barrier, **changes)
    axons = network(3, bundles=5)
    placement = seated(axons, m, random_part(axons, 7, 1))
    r = np.random.default_rng(8)
    events = {
        node.name: Events.from_dense((r.random((samples, 12, node.size)) < 0.2).astype(np.int64))
        for node in axons.nodes
    }
    tick = 4e-7 if pace == "tick" else None
    return profile(axons, placement, m.models["all"], events, ("b",), tick=tick)


def make_view(
    cores: int = 4, steps: int = 20, samples: int = 1, pace: Pace = "free", **changes: Any
) -> ProfileView:
    """Each core works in most steps, the first cores most; two lines of energy, one recalled."""
    r = np.random.default_rng(9)
    side = int(np.ceil(np.sqrt(cores)))
    m = make_machine("mesh", routers=(side, side))
    timeline = r.random((steps, cores)) * np.linspace(1, 0.1, cores) * 1e-6
    lead, leader = timeline.max(axis=1), timeline.argmax(axis=1).astype(np.int64)
    way = np.full(steps, 2e-8)
    rest = {"free": np.zeros(steps), "barrier": np.full(steps, 1e-7), "tick": 2e-6 - lead - way}
    work = float((lead + way).sum()) * np.linspace(0.5, 1, samples)
    seconds = np.full(samples, 2e-6 * steps) if pace == "tick" else work + rest[pace].sum()
    links = (np.arange(side - 1), np.arange(1, side))
    parts: dict[str, Any] = {
        "machine": m,
        "model": "made",
        "model_title": "a model made up",
        "pace": pace,
        "overlap": False,
        "unknown": ("energy of <b>heat</b>",),
        "seconds": seconds,
        "work": work,
        "waits": (("cores", float(lead.sum())), ("way of packets", float(way.sum()))),
        "late": 0,
        "overdue": 0.0,
        "longest_step": 2e-6,
        "slowest": samples - 1,
        "lead": lead,
        "way": way,
        "rest": rest[pace],
        "leader": leader,
        "timeline": timeline,
        "seat": np.arange(cores),
        "core_names": tuple(f"core {k}" for k in range(cores)),
        "core_busy": np.stack([timeline.sum(axis=0) * 0.75, timeline.sum(axis=0) * 0.25]) * samples,
        "count_names": ("synaptic_operations",),
        "core_counts": np.arange(cores)[None, :],
        "link_start": links[0],
        "link_end": links[1],
        "link_load": np.arange(side - 1) + 1,
        "ledger": (
            EnergyLine(
                "dynamic", "synaptic operations", 1e4, 1.0, "synop",
                quantity(2e-12, "J", "measured"), 2e-8,
            ),
            EnergyLine(
                "static", "chips of the machine", 1.0, 1.0, "chip",
                quantity(1e-3, "W"), 3e-8, 3e-5,
            ),
        ),
        "causes": (
            Wait("population", "a", 3e-6, steps, 1e-6),
            *(Wait("core", f"core {k}", 1e-6 / (k + 1), 1, 1e-7 / (k + 1)) for k in range(cores)),
        ),
        "tick": 2e-6 if pace == "tick" else None,
    }  # fmt: skip
    return ProfileView(**(parts | changes))


def renamed(view: ProfileView, name: str) -> ProfileView:
    """With that for a name of a population, a core, a constant and its source."""
    bound = replace(view.ledger[0].constant, source=name)
    return replace(
        view,
        causes=(Wait("population", name, 1e-6, 1, 1e-7), *view.causes[1:]),
        core_names=(name, *view.core_names[1:]),
        ledger=(replace(view.ledger[0], what=name, cost=name, constant=bound), *view.ledger[1:]),
        unknown=(name,),
        model_title=name,
    )


def obtained(view: ProfileView, how: Obtained) -> ProfileView:
    """With all constants obtained like that."""
    lines = (replace(x, constant=replace(x.constant, obtained=how)) for x in view.ledger)
    return replace(view, ledger=tuple(lines))
