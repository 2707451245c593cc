"""The page: ``ReportData`` to one self-contained HTML file, and to JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from ...boards.quantity import Quantity
from ..profile.circuit import CircuitProfile
from ..profile.crossbar import CrossbarProfile, crossbar_facts
from ..profile.ledger import Line, merged
from ..profile.sfq import SfqProfile, sfq_facts
from . import placement, plots, profile_plots, style
from .circuit_plots import crossbar_plots, sfq_plots
from .cosim_plots import cosim_plots
from .data import Latency, MappingView, ReportData, Resource, microseconds, portable, spread
from .profile_data import EnergyLine, ProfileView, Wait
from .style import Plot
from .tables import population_rows, projection_rows

_MOST_RASTERS = 8
_MOST_CORES = 50  # rows of the table; report.json has all
_MOST_CAUSES = 25
_NO_MATPLOTLIB = "all figures: matplotlib is not installed; get it with: pip install 'spikec[plot]'"


def render(data: ReportData) -> dict[str, bytes]:
    """``report.html`` and ``report.json``; the same data gives the same bytes."""
    return {"report.html": to_html(data), "report.json": to_json(data)}


def to_json(data: ReportData) -> bytes:
    """``report.json``, described by ``report.schema.json``."""
    text = json.dumps(data.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def to_html(data: ReportData) -> bytes:
    """One page without scripts or outside resources; without matplotlib it has tables only."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        count=_count,
        number=_number,
        percent=_percent,
        size=_size,
        seconds=_seconds,
        quantity=_quantity,
        si=profile_plots.amount,
        share=profile_plots.percent,
        portable=portable,
    )
    source = resources.files(__package__) / "report.html.jinja"
    template = environment.from_string(source.read_text(encoding="utf-8"))
    page = template.render(
        data=data,
        figures=_Figures.draw(data),
        populations=() if data.graph is None else population_rows(data.graph),
        projections=() if data.graph is None else projection_rows(data.graph),
        cards=_cards(data),
        mapping=None if data.mapping is None else _mapping(data.mapping),
        latency=None if data.latency is None else _latency(data.latency, data),
        profile=None if data.profile is None else _profile(data.profile),
        crossbar=None if data.crossbar is None else _crossbar(data.crossbar),
        sfq=None if data.sfq is None else _sfq(data.sfq),
        rates=data.layer_rate_errors,
        differences=[
            (f"{c.rungs[0]} against {c.rungs[1]}", c.first.describe(c.rungs))
            for c in data.comparisons
            if c.first is not None
        ],
        resources=[(r, _bar(r)) for r in data.resources],
        distances=sorted({(c.tau, c.q) for c in data.comparisons}),
        recalled=_recalled(data),
        missing=_missing(data),
    )
    return page.encode() + b"\n"


# -- figures ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Figures:
    """Every figure that the data allows; ``None`` or empty for the others."""

    graph: Plot | None = None
    rasters: tuple[Plot, ...] = ()
    layers: Plot | None = None
    choice: Plot | None = None
    mapping: tuple[Plot, ...] = ()
    latency: Plot | None = None
    profile: tuple[Plot, ...] = ()
    energy: tuple[Plot, ...] = ()
    crossbar: tuple[Plot, ...] = ()
    sfq: tuple[Plot, ...] = ()
    cosim: tuple[Plot, ...] = ()
    unshown: tuple[str, ...] = ()

    @classmethod
    def draw(cls, data: ReportData) -> _Figures:
        if not style.available():
            return cls()
        names = _raster_names(data)
        drawn = [
            plots.raster_plot(data.recordings, name, data.sample, data.graph)
            for name in names[:_MOST_RASTERS]
        ]
        latency = None
        if data.latency is not None:
            clock = None if data.timing is None else data.timing.clock
            latency = plots.latency_plot(data.latency, _shown(data.latency, data), clock)
        return cls(
            graph=None if data.graph is None else plots.graph_plot(data.graph),
            rasters=tuple(drawn),
            layers=plots.layers_plot(data.layers, data.layer_rate_errors) if data.layers else None,
            choice=None if data.choice is None else plots.choice_plot(data.choice),
            mapping=() if data.mapping is None else _mapping_figures(data.mapping),
            latency=latency,
            profile=_profile_figures(profile_plots.LATENCY, data.profile),
            energy=_profile_figures(profile_plots.ENERGY, data.profile),
            crossbar=() if data.crossbar is None else crossbar_plots(data.crossbar),
            sfq=() if data.sfq is None else sfq_plots(data.sfq),
            cosim=() if data.cosim is None else cosim_plots(data.cosim),
            unshown=tuple(names[_MOST_RASTERS:]),
        )

    @staticmethod
    def inline(plot: Plot) -> str:
        """The figure as it stands in the page, unescaped; matplotlib has escaped its text."""
        return style.themed(plot.svg)


def _mapping_figures(view: MappingView) -> tuple[Plot, ...]:
    every = (
        placement.placement_plot(view),
        placement.links_plot(view),
        placement.limits_plot(view),
    )
    return tuple(plot for plot in every if plot is not None)


def _profile_figures(
    drawings: Iterable[profile_plots.Drawing], view: ProfileView | None
) -> tuple[Plot, ...]:
    if view is None:
        return ()
    return tuple(plot for draw in drawings if (plot := draw(view)) is not None)


def _raster_names(data: ReportData) -> list[str]:
    """Recorded populations that have the shown sample; outputs first, as they matter most."""
    names = [
        name
        for name in plots.recorded(data.recordings)
        if any(data.sample < r.spikes[name].samples for r in data.recordings if name in r.spikes)
    ]
    outputs = set() if data.graph is None else {o.source for o in data.graph.outputs}
    return sorted(names, key=lambda name: name not in outputs)


# -- what the page says ----------------------------------------------------------------------------


def _cards(data: ReportData) -> list[tuple[str, str, str]]:
    """The figures a reader looks for first: (value, name, remark)."""
    cards = [
        (_percent(a.share, 1), f"accuracy, {a.rung}", f"{a.correct:,} of {a.total:,}")
        for a in data.accuracies
        if a.total
    ]
    for c in data.comparisons:
        title = f"{c.rungs[0]} against {c.rungs[1]}"
        if c.spike_bits:
            remark = f"of {c.spike_bits:,} spike bits differ"
            cards.append((f"{c.spike_mismatches:,}", title, remark))
    if data.mapping is not None:
        view = data.mapping
        cards.append((f"{view.parts:,}", "cores in use", f"of {view.machine.cores:,}"))
        remark = f"{_number(view.hops_per_spike, 3)} hops a spike"
        cards.append((_number(view.packets_per_spike, 3), "packets a spike", remark))
    if data.latency is not None and data.timing is not None:
        mean = float(data.latency.per_sample.mean())
        time = _number(microseconds(mean, data.timing.clock))
        cards.append((f"{time} µs", "per sample, mean", f"{mean:,.0f} cycles"))
    if data.profile is not None:
        profile = data.profile
        each = profile_plots.amount(profile.latency / profile.steps, "s")
        cards.append(
            (profile_plots.amount(profile.latency, "s"), "latency a sample", f"{each} a step")
        )
        kinds = ", ".join(
            f"{kind} {profile_plots.amount(e, 'J')}" for kind, e in profile.by_kind.items()
        )
        if profile.ledger:
            cards.append((profile_plots.amount(profile.energy, "J"), "energy a sample", kinds))
    if data.sfq is not None:
        sfq = data.sfq
        if sfq.answers is not None:
            remark = f"a step every {profile_plots.amount(sfq.cells.period, 's')}"
            cards.append((profile_plots.amount(sfq.answers[1], "s"), "from input to spike", remark))
        remark = f"{profile_plots.amount(sfq.energy, 'J')} with cooling"
        cards.append(
            (profile_plots.amount(sfq.uncooled, "J"), "energy a sample, in the cold", remark)
        )
    if data.crossbar is not None:
        found = data.crossbar
        each = profile_plots.amount(found.latency / max(found.steps, 1), "s")
        cards.append(
            (profile_plots.amount(found.latency, "s"), "latency a sample", f"{each} a step")
        )
        parts = sorted(found.by_component.items(), key=lambda part: -part[1])[:1]
        total = found.energy or 1.0
        most = "".join(f"{name} {profile_plots.percent(e / total)}" for name, e in parts)
        cards.append((profile_plots.amount(found.energy, "J"), "energy a sample", most))
    if data.cosim is not None:
        cosim = data.cosim
        latency = cosim.figures["latency_seconds"]
        most = f"at most {profile_plots.amount(latency['most'], 's')}"
        cards.append((profile_plots.amount(latency["mean"], "s"), "latency of a packet", most))
        cards.append((f"{cosim.late:,}", "packets late", f"of {cosim.figures['copies']:,}"))
    if data.timing is not None and data.timing.fmax is not None:
        fmax, clock = data.timing.fmax.value / 1e6, data.timing.clock.value / 1e6
        cards.append((f"{fmax:.1f} MHz", "highest clock", f"runs at {clock:g} MHz"))
    return cards


def _shown(latency: Latency, data: ReportData) -> int:
    return min(data.sample, len(latency.cycles) - 1)


def _latency(latency: Latency, data: ReportData) -> dict[str, Any]:
    """Rows of the latency table: (name, unit, least, median, mean, most)."""
    rows = [
        ("cycles per sample", "cycles", spread(latency.per_sample)),
        ("cycles per step", "cycles", spread(latency.per_step)),
    ]
    realtime = None
    if data.timing is not None:
        for name, clock in (("the clock", data.timing.clock), ("Fmax", data.timing.fmax)):
            if clock is not None:
                title = f"time per sample at {name}, {clock.value / 1e6:g} MHz"
                rows.append((title, "µs", spread(latency.per_sample / clock.value * 1e6)))
        mean = float(latency.per_step.mean()) / data.timing.clock.value
        if data.dt is not None and mean > 0:
            realtime = data.dt / mean
    total = int(latency.cycles.sum())
    phases = []
    for k, phase in enumerate(latency.phases):
        cycles = int(latency.cycles[:, :, k].sum())
        phases.append((phase, cycles, cycles / total if total else math.nan))
    return {
        "rows": rows,
        "phases": phases,
        "realtime": realtime,
        "samples": latency.cycles.shape[0],
        "steps": latency.cycles.shape[1],
        "obtained": latency.obtained,
        "source": latency.source,
    }


def _mapping(view: MappingView) -> dict[str, Any]:
    """Rows of the tables of limits and of cores, the fullest cores first."""
    share, which = view.fullest
    order = np.argsort(-share, kind="stable")[:_MOST_CORES]
    cores = []
    for part in order.tolist():
        router = int(view.routers[part])
        held = ", ".join(f"{name} ({count:,})" for name, count in view.holds(part).items())
        nearest, of = None, None
        if which[part] >= 0:
            use = view.capacities[int(which[part])]
            nearest, of = f"{int(use.used[part]):,} {use.title}", float(share[part])
        cores.append(
            (int(view.seat[part]), router, view.machine.chip_of(router), held, nearest, of)
        )
    filled = view.table_entries[view.table_entries > 0]
    return {
        "sentence": view.sentence,
        "limits": [(use, _meter(use.share), float(use.used.mean())) for use in view.limits],
        "cores": cores,
        "more": view.parts - len(cores),
        "entries": (int(filled.sum()), int(filled.size)),
    }


def _profile(view: ProfileView) -> dict[str, Any]:
    """Rows of the tables of the ledger and of causes; amounts of a sample, powers as they are."""
    total, whole = view.energy or 1.0, view.latency or 1.0
    # More than the run where work exceeds its tick.
    waited = sum(seconds for _, seconds in view.waits)
    seconds = spread(view.seconds)

    def energy(line: EnergyLine) -> tuple[EnergyLine, float, float, float]:
        each = line.joules / view.samples
        return line, line.amount / (view.samples if line.seconds is None else 1), each, each / total

    def cause(one: Wait) -> tuple[Wait, float, float, float, float]:
        seconds, gain = one.seconds / view.samples, one.gain / view.samples
        return one, seconds, seconds / whole, gain, gain / whole

    return {
        "waits": [(name, seconds / view.samples, seconds / waited) for name, seconds in view.waits],
        "seconds": seconds,
        # Sums of as many ticks differ in their last digits, which nobody is shown.
        "varied": len({profile_plots.amount(seconds[end], "s") for end in ("min", "max")}) > 1,
        "work": spread(view.work),
        "ledger": [energy(line) for line in view.ledger],
        "causes": [cause(one) for one in view.causes[:_MOST_CAUSES]],
        "more": max(len(view.causes) - _MOST_CAUSES, 0),
    }


def _circuits(data: ReportData) -> list[CircuitProfile]:
    return [found for found in (data.crossbar, data.sfq) if found is not None]


def _ledger(found: CircuitProfile) -> list[tuple[Line, str, float, float]]:
    """Rows of the ledger, whose lines are of all layers: formula, joules of a sample, share.

    Shares are of all but cooling.
    """
    samples, total = max(found.samples, 1), found.uncooled or 1.0

    def energy(line: Line) -> tuple[Line, str, float, float]:
        each = line.of_sample(samples)
        return line, each.formula.replace(" u", " µ"), each.joules, each.joules / total

    return [energy(line) for line in merged(found.ledger)]


def _crossbar(found: CrossbarProfile) -> dict[str, Any]:
    """Rows of the tables of layers and of the ledger; a sample."""
    facts = crossbar_facts(found)
    return {
        "facts": facts,
        "layers": list(zip(found.stages, facts["layers"], strict=True)),
        "ledger": _ledger(found),
        "total": found.energy or 1.0,
        "longest": found.latency or 1.0,
    }


def _sfq(found: SfqProfile) -> dict[str, Any]:
    """Rows of the tables of ways, of layers and of the ledger; a sample."""
    return {
        "facts": sfq_facts(found),
        "way": sum(share.seconds for share in found.shares) or 1.0,
        "ledger": _ledger(found),
        "total": found.energy or 1.0,
    }


def _bar(resource: Resource) -> tuple[float, str]:
    """Width of the bar in percent, and its kind."""
    return _meter(resource.share)


def _meter(share: float | None) -> tuple[float, str]:
    if share is None:
        return 0.0, "none"
    kind = "over" if share > 1 else "near" if share > 0.9 else "fits"
    return round(min(share, 1.0) * 100, 2), kind


def _recalled(data: ReportData) -> bool:
    quantities = [q for r in data.resources for q in (r.used, r.limit) if q is not None]
    if data.timing is not None:
        quantities += [q for q in (data.timing.clock, data.timing.fmax) if q is not None]
    found = [q.obtained for q in quantities]
    if data.mapping is not None:
        found += [data.mapping.machine.obtained, *(u.bound.obtained for u in data.mapping.limits)]
    if data.profile is not None:
        found += [line.constant.obtained for line in data.profile.ledger]
    for circuit in _circuits(data):
        found += [of.obtained for line in circuit.ledger for _, of in line.constants]
        found += [of.obtained for _, of in circuit.timing]
    if data.latency is not None:
        found.append(data.latency.obtained)
    return "recalled" in found


def _missing(data: ReportData) -> list[str]:
    """What the page cannot show, and why."""
    parts = {
        "the network": data.graph is not None,
        "rasters": bool(data.recordings),
        "comparisons of rungs": bool(data.comparisons),
        "error per layer": bool(data.layers),
        "resources": bool(data.resources),
        "the choice of a core": data.choice is not None,
        "a mapping to cores": data.mapping is not None,
        "timing": data.timing is not None,
        "latency": bool(_circuits(data))
        or any(one is not None for one in (data.latency, data.profile, data.cosim)),
        "energy": data.profile is not None or bool(_circuits(data)),
        "accuracy": bool(data.accuracies),
        "tool versions": bool(data.tools),
    }
    missing = list(data.missing)
    absent = [name for name, there in parts.items() if not there]
    if absent:
        missing.append(f"not part of this run: {', '.join(absent)}")
    if not style.available():
        missing.append(_NO_MATPLOTLIB)
    return missing


# -- how numbers are written -----------------------------------------------------------------------


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _number(value: float | None, digits: int = 4) -> str:
    if value is None or not math.isfinite(value):
        return "–" if value is None or math.isnan(value) else "∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if 1e3 <= abs(value) < 1e9:
        return f"{value:,.{max(0, digits - 1 - int(math.log10(abs(value))))}f}"
    return f"{value:.{digits}g}"


def _percent(value: float | None, decimals: int = 2) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value * 100:.{decimals}f} %"


def _size(count: float) -> str:
    for factor, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count:.0f} B"


def _seconds(value: float) -> str:
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1:
            return f"{value * factor:.4g} {unit}"
    return f"{value * 1e9:.4g} ns"


def _quantity(quantity: Quantity) -> str:
    if quantity.unit == "Hz":
        return f"{_number(quantity.value / 1e6)} MHz"
    return f"{_number(quantity.value)} {quantity.unit}"
