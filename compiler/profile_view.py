"""What a report shows of a profile."""

from __future__ import annotations

import numpy as np

from ..boards.costs import CORE_COUNTS, REST
from .profile.critical import Cause
from .profile.ledger import Line
from .profile.profile import CORES, Profile
from .report.profile_data import LINK, EnergyLine, ProfileView, Wait


def profile_view(profile: Profile) -> ProfileView:
    """The record of ``profile``; nothing is counted or timed that it has not."""
    by_link = profile.leader == LINK
    lead = {
        "cores": float(profile.lead[~by_link].sum()),
        "links": float(profile.lead[by_link].sum()),
    }
    rest = float(np.maximum(profile.rest, 0.0).sum())
    waits = lead | {"way of packets": float(profile.way.sum()), REST[profile.model.pace]: rest}
    carries = profile.link_load > 0
    slowest = profile.slowest
    return ProfileView(
        machine=profile.machine,
        model=profile.model.name,
        model_title=profile.model.title,
        pace=profile.model.pace,
        overlap=profile.model.overlap,
        unknown=profile.model.unknown,
        seconds=profile.length.sum(axis=1),
        work=(profile.lead + profile.way).sum(axis=1),
        waits=tuple((name, seconds) for name, seconds in waits.items() if seconds > 0),
        late=profile.late,
        overdue=float(np.maximum(-profile.rest, 0.0).max()),
        longest_step=float(profile.length.max()),
        slowest=slowest,
        lead=profile.lead[slowest],
        way=profile.way[slowest],
        rest=profile.rest[slowest],
        leader=profile.leader[slowest],
        timeline=profile.timeline,
        seat=profile.seat,
        core_names=profile.core_names,
        core_busy=profile.core_busy,
        count_names=CORES,
        core_counts=profile.core_counts,
        link_start=profile.link_start[carries],
        link_end=profile.link_end[carries],
        link_load=profile.link_load[carries],
        ledger=tuple(map(_line, profile.ledger)),
        causes=tuple(map(_wait, profile.causes)),
        tick=profile.tick,
    )


def _line(line: Line) -> EnergyLine:
    return EnergyLine(
        line.kind,
        line.words,
        line.amount,
        line.times,
        line.cost,
        line.constant,
        line.joules,
        line.seconds,
    )


def _wait(cause: Cause) -> Wait:
    name = CORE_COUNTS[cause.name] if cause.kind == "work" else cause.name
    return Wait(cause.kind, name, cause.seconds, cause.steps, cause.gain)
