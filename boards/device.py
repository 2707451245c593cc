"""Memristors as data: the loader of ``boards/devices/*.toml``.

A :class:`Device` has the statistics of a programmed cell: how far its conductance is from the
target, how it ages, what a read adds, and how its current bends with the voltage.
``backends/crossbar/device.py`` draws cells from them. Each table of a file has its source and how
its numbers were obtained.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final, Literal, cast

from .quantity import Obtained, Quantity
from .table import Table, check_name, no_such, read_table

Ageing = Literal["stable", "drift", "snapshots", "unknown"]
_AGEING: Final[tuple[str, ...]] = ("stable", "drift", "snapshots", "unknown")
_SIEMENS: Final = {"S": 1.0, "uS": 1e-6}
_MOST_LEVELS: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Spread:
    r"""Standard deviation of a conductance around its target G.

    .. math:: \sigma(G) = \max(\sum_k c_k (G / G_r)^k, 0)

    with ``coefficients`` c in ``unit`` (S or uS), the constant first, and ``reference`` G_r in S.
    """

    coefficients: tuple[float, ...]
    unit: str
    reference: Quantity
    source: str
    obtained: Obtained

    @property
    def siemens(self) -> float:
        """The unit of the coefficients, in S."""
        return _SIEMENS[self.unit]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The spread at one ``time`` after programming, in s."""

    time: Quantity
    spread: Spread


@dataclass(frozen=True, slots=True)
class Logarithmic:
    r"""A parameter of the target: :math:`\min(\max(a \ln(G / G_{max}) + b, low), high)`."""

    slope: float
    offset: float
    low: float
    high: float
    source: str
    obtained: Obtained


@dataclass(frozen=True, slots=True)
class Drift:
    r"""A power law, :math:`G(t) = G(0) ((t + t_0) / t_0)^{-\nu}`, t in s after programming.

    Each cell has its own exponent, :math:`\nu = |N(mean, spread)|`; ``start`` is t_0 in s.
    """

    start: Quantity
    mean: Logarithmic
    spread: Logarithmic


@dataclass(frozen=True, slots=True)
class Flicker:
    r"""1/f noise of a read, t in s after programming.

    .. math::
        \sigma = G(t) Q \sqrt{\ln \frac{t + t_0 + t_r}{2 t_r}}, \quad
        Q = \min(q / \max((G(0) / G_{max})^p, floor), most)

    with ``amplitude`` q, ``power`` p, ``read`` t_r in s, and t_0 the start of the device's drift.
    """

    amplitude: float
    power: float
    floor: float
    most: float
    read: Quantity
    source: str
    obtained: Obtained


@dataclass(frozen=True, slots=True)
class Share:
    r"""Noise of a read that is the same for all cells: :math:`\sigma` = ``share`` G_max."""

    share: Quantity


@dataclass(frozen=True, slots=True)
class Bend:
    r"""Current of a cell, :math:`I = G V + N_2 V^2 + N_3 V^3`, for \|V| up to ``limit``.

    :math:`N_2 = \sum_k a_k x^k` in A/V^2 (``square``) and :math:`N_3` in A/V^3 (``cube``), with x
    the decimal logarithm of G in S; constants first. Between the device's lowest and highest G.
    """

    square: tuple[float, ...]
    cube: tuple[float, ...]
    limit: Quantity
    source: str
    obtained: Obtained


@dataclass(frozen=True, slots=True)
class Device:
    """A memristor: conductances it can be programmed to, and what becomes of them.

    ``g_min`` and ``g_max`` in S; ``levels`` equally spaced ones, ``None`` for any. ``programming``
    is the error just after programming, ``None`` for none. ``ageing`` says what is known of later:
    ``stable`` (does not change), ``drift``, ``snapshots`` (the spread at a few times, no others) or
    ``unknown``. ``read`` is the noise of a read, ``bend`` the current of a cell that is not linear;
    ``None`` where there is none or no source has it, which ``note`` tells.
    """

    name: str
    title: str
    note: str
    g_min: Quantity
    g_max: Quantity
    levels: Quantity | None
    programming: Spread | None
    ageing: Ageing
    drift: Drift | None
    snapshots: tuple[Snapshot, ...]
    read: Flicker | Share | None
    bend: Bend | None


def device_names() -> tuple[str, ...]:
    """Return the names of all devices that come with spikec, sorted."""
    return tuple(sorted(f.name[:-5] for f in _folder().iterdir() if f.name.endswith(".toml")))


@cache
def load_device(name: str) -> Device:
    """Return the device of this name, read once.

    Raises :class:`BoardError` ``board-unknown`` with the closest names if there is none.
    """
    names = device_names()
    if name not in names:
        raise no_such("device", name, names)
    origin = f"boards/devices/{name}.toml"
    device = parse_device((_folder() / f"{name}.toml").read_text(encoding="utf-8"), origin)
    check_name(device.name, name, origin)
    return device


def parse_device(text: str, origin: str) -> Device:
    """Parse one device's file. ``origin`` is the file's name, for messages.

    Raises :class:`BoardError` that names the file, the key, what was found and what was wanted.
    """
    top = read_table(text, origin)
    g_min = top.quantity("g_min", unit="S", zero=True)
    g_max = top.quantity("g_max", unit="S")
    if g_min.value >= g_max.value:
        raise top.error("board-value", "g_max", f"must be above g_min, {g_min.value:g} S")
    levels = top.optional_quantity("levels", unit="levels", whole=True)
    if levels is not None and not 2 <= levels.value <= _MOST_LEVELS:
        raise top.error("board-value", "levels", f"must be from 2 to {_MOST_LEVELS:,}")
    ageing = cast("Ageing", top.choice("ageing", _AGEING))
    for key in ("drift", "snapshots"):
        if top.has(key) != (ageing == key):
            code = "board-missing" if ageing == key else "board-value"
            raise top.error(
                code, key, f"is for the ageing '{key}', which has it; this one's is '{ageing}'"
            )
    programming = _optional_spread(top.optional_table("programming"))
    snapshots = tuple(_snapshot(table) for table in top.tables("snapshots", required=False))
    if snapshots and programming is not None:
        raise top.error("board-value", "programming", "is the first of the snapshots; give one")
    times = [snapshot.time.value for snapshot in snapshots]
    if times != sorted(set(times)):
        raise top.error("board-value", "snapshots", "must be of ascending times")
    drift_table, noise_table = top.optional_table("drift"), top.optional_table("read")
    bend_table = top.optional_table("bend")
    device = Device(
        name=top.text("name"),
        title=top.text("title"),
        note=top.optional_text("note") or "",
        g_min=g_min,
        g_max=g_max,
        levels=levels,
        programming=snapshots[0].spread if snapshots else programming,
        ageing=ageing,
        drift=None if drift_table is None else _drift(drift_table),
        snapshots=snapshots,
        read=None if noise_table is None else _read(noise_table),
        bend=None if bend_table is None else _bend(bend_table, g_min),
    )
    if isinstance(device.read, Flicker) and device.drift is None:
        # Its equation counts from the start of the drift.
        raise top.error("board-value", "read.kind", "is 'flicker' for devices that drift only")
    top.finish()
    return device


def _folder() -> Traversable:
    return resources.files(__package__) / "devices"


def _optional_spread(table: Table | None) -> Spread | None:
    if table is None:
        return None
    spread = _spread(table)
    table.finish()
    return spread


def _spread(table: Table) -> Spread:
    return Spread(
        coefficients=table.reals("coefficients"),
        unit=table.choice("unit", tuple(_SIEMENS)),
        reference=table.quantity("reference", unit="S"),
        source=table.text("source"),
        obtained=table.obtained(),
    )


def _snapshot(table: Table) -> Snapshot:
    snapshot = Snapshot(table.quantity("time", unit="s"), _spread(table))
    table.finish()
    return snapshot


def _drift(table: Table) -> Drift:
    drift = Drift(
        start=table.quantity("start", unit="s"),
        mean=_logarithmic(table.table("mean")),
        spread=_logarithmic(table.table("spread")),
    )
    table.finish()
    return drift


def _logarithmic(table: Table) -> Logarithmic:
    found = Logarithmic(
        slope=table.real("slope"),
        offset=table.real("offset"),
        low=table.real("low"),
        high=table.real("high"),
        source=table.text("source"),
        obtained=table.obtained(),
    )
    if not 0 <= found.low <= found.high:
        raise table.error("board-value", "low", "must be from 0 to 'high'")
    table.finish()
    return found


def _read(table: Table) -> Flicker | Share:
    found: Flicker | Share
    if table.choice("kind", ("flicker", "share")) == "share":
        found = Share(table.quantity("share", unit="1"))
        if found.share.value >= 1:
            raise table.error("board-value", "share", "must be below 1")
    else:
        found = Flicker(
            amplitude=table.number("amplitude"),
            power=table.number("power"),
            floor=table.number("floor"),
            most=table.number("most"),
            read=table.quantity("read", unit="s"),
            source=table.text("source"),
            obtained=table.obtained(),
        )
    table.finish()
    return found


def _bend(table: Table, g_min: Quantity) -> Bend:
    bend = Bend(
        square=table.reals("square"),
        cube=table.reals("cube"),
        limit=table.quantity("limit", unit="V"),
        source=table.text("source"),
        obtained=table.obtained(),
    )
    if g_min.value == 0:
        raise table.error(
            "board-value", "square", "goes by the logarithm of G: g_min must not be 0"
        )
    table.finish()
    return bend
