"""Design spaces whose every point is known, for measuring a search: their fronts are exact.

The first five have the structure of real ones: a few targets with limits, cores that pay less and
less, accuracy that saturates in the bits of a weight, seeds that are noise, clocks that not every
design reaches. `rugged` adds noise to every single point, `rare` refuses four of five. The last
three are smooth and have nothing to do with hardware; their fronts are curved, in pieces, or in
corners (Deb et al. 2002, ZDT3 and DTLZ2, on grids).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Table = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Dimensions as (name, values, whether they lack an order), and a value of every point.

    ``values`` is (points, objectives), all to be small, in the order of the product of dimensions;
    a row of NaN is refused.
    """

    name: str
    dimensions: tuple[tuple[str, tuple[Any, ...], bool], ...]
    values: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(values) for _, values, _ in self.dimensions)

    @property
    def unordered(self) -> tuple[bool, ...]:
        return tuple(unordered for *_, unordered in self.dimensions)

    @property
    def points(self) -> int:
        return len(self.values)

    def index(self, rows: Any) -> Any:
        return np.ravel_multi_index(np.asarray(rows).T, self.shape)


def problem(name: str, dimensions: Any, values: Callable[[Table, Any], Any]) -> Problem:
    listed = tuple((n, tuple(v), unordered) for n, v, unordered in dimensions)
    codes = np.array(list(itertools.product(*(range(len(v)) for _, v, _ in listed))))
    table = {
        n: np.array(v, dtype=object if isinstance(v[0], str) else np.float64)[codes[:, k]]
        for k, (n, v, _) in enumerate(listed)
    }
    found = values(table, codes)
    found[np.isnan(found).any(axis=1)] = np.nan
    return Problem(name, listed, found)


def noise(codes: Any, dimensions: list[int], seed: int, scale: float) -> Any:
    """A normal number for each combination of values of these dimensions."""
    shape = tuple(codes[:, k].max() + 1 for k in dimensions)
    drawn = np.random.default_rng(seed).normal(size=shape) * scale
    return drawn[tuple(codes[:, k] for k in dimensions)]


def each(names: Any, facts: dict[str, float]) -> Any:
    return np.array([facts[name] for name in names])


BOARDS = ("ice", "ecp12", "ecp25", "ecp85")
DESIGN = (
    ("target", BOARDS, True),
    ("cores", range(1, 9), False),
    ("bits", (2, 3, 4, 5, 6, 8), False),
    ("seed", range(5), True),
    ("clock", (6, 12, 24, 48), False),
)


def boards(t: Table, codes: Any) -> Any:
    cells = each(t["target"], {"ice": 5280, "ecp12": 12e3, "ecp25": 24e3, "ecp85": 84e3})
    fastest = each(t["target"], {"ice": 40e6, "ecp12": 80e6, "ecp25": 80e6, "ecp85": 90e6})
    static = each(t["target"], {"ice": 5e-3, "ecp12": 30e-3, "ecp25": 40e-3, "ecp85": 80e-3})
    cores, bits, clock = t["cores"], t["bits"], 1e6 * t["clock"]
    wrong = 0.03 + 0.5 * np.exp(-0.75 * (bits - 1)) - noise(codes, [3, 2], 1, 0.006)
    used = 900 * cores + 260 * bits * np.sqrt(cores) + 500
    reached = fastest * (1 - 0.04 * cores) * (1 + noise(codes, [0, 1, 3], 2, 0.05))
    work = 2e5 / cores**0.85 * (1 + 0.03 * bits) * (1 + noise(codes, [1, 3], 3, 0.05))
    cycles = work + 300 * cores
    latency = cycles / clock
    found = np.stack([wrong, latency, static * latency + 1.5e-12 * used * cycles, cores], 1)
    found[(used > cells) | (clock > reached)] = np.nan
    return found


def chips(t: Table, codes: Any) -> Any:
    name, bits, effort, width, cap = (t[k] for k in ("target", "bits", "effort", "noc", "delay"))
    step = each(name, {"mesh": 3e-5, "mesh-2": 1e-5, "bus": 1e-3, "tiny": 1e-3})
    hop = each(name, {"mesh": 24e-12, "mesh-2": 10e-12, "bus": 2e-9, "tiny": 26e-12})
    most = each(name, {"mesh": 128, "mesh-2": 120, "bus": 144, "tiny": 4096})
    size = each(name, {"mesh": 1.0, "mesh-2": 0.8, "bus": 0.5, "tiny": 5.0})
    wrong = 0.05 + 0.6 * np.exp(-0.8 * (bits - 1)) + 0.04 * np.exp(-cap / 4)
    wrong -= noise(codes, [2, 4], 1, 0.004)
    spread = 1 + noise(codes, [0, 4], 2, 0.05)
    cores = np.ceil(20 * (1 + bits / 8) * size * (1 - 0.08 * effort) * spread + 0.6 * cap)
    hops = 1e5 * (1 - 0.15 * effort) * (1 + noise(codes, [0, 2, 4, 5], 3, 0.06)) * np.sqrt(cores)
    latency = 50 * (step + hops / 100 * 2e-9 * 32 / width)
    energy = hops * hop * (1 + width / 64) + cores * latency * 1e-4
    found = np.stack([wrong, latency, energy, cores], 1)
    found[(cores > most) | ((name == "tiny") & (bits > 4)) | ((name == "bus") & (cap > 16))] = (
        np.nan
    )
    return found


def mixed(t: Table, codes: Any) -> Any:
    chip = np.isin(t["target"], ("mesh", "mesh-2"))
    found = boards(t | {"target": np.where(chip, "ecp85", t["target"])}, codes)
    size = np.where(t["target"] == "mesh", 1.0, 0.6)
    wrong = 0.05 + 0.5 * np.exp(-0.7 * (t["bits"] - 1)) - noise(codes, [3, 2], 1, 0.006)
    latency = size * 8e-3 * (1 + noise(codes, [3], 4, 0.1))
    energy = size * 2e-4 * (1 + t["bits"] / 10) * (1 + noise(codes, [3, 0], 5, 0.1))
    cores = np.ceil(12 * (1 + t["bits"] / 8) * size)
    return np.where(chip[:, None], np.stack([wrong, latency, energy, cores], 1), found)


def rugged(t: Table, codes: Any) -> Any:
    found = boards(t, codes)
    drawn = np.random.default_rng(9).normal(size=found.shape)
    return found * np.exp(drawn * np.array([0.12, 0.2, 0.2, 0.0]))


def rare(t: Table, codes: Any) -> Any:
    found = boards(t, codes)
    found[(noise(codes, [0, 1, 2], 21, 1) > -0.4) | (noise(codes, [1, 4], 22, 1) > 0.6)] = np.nan
    return found


def sphere(t: Table, codes: Any) -> Any:
    x = codes / codes.max(axis=0)
    g = 1 + ((x[:, 2:] - 0.4) ** 2).sum(axis=1)
    a, b = x[:, 0] * np.pi / 2, x[:, 1] * np.pi / 2
    return np.stack([g * np.cos(a) * np.cos(b), g * np.cos(a) * np.sin(b), g * np.sin(a)], 1)


def pieces(t: Table, codes: Any) -> Any:
    x = codes / codes.max(axis=0)
    g = 1 + 9 * x[:, 1:].mean(axis=1)
    h = 1 - np.sqrt(x[:, 0] / g) - x[:, 0] / g * np.sin(10 * np.pi * x[:, 0])
    return np.stack([x[:, 0], g * h + 1], 1)


def corners(t: Table, codes: Any) -> Any:
    rng = np.random.default_rng(33)
    columns = []
    for _ in range(4):
        total = np.zeros(len(codes))
        for k, n in enumerate(codes.max(axis=0) + 1):
            steps = np.cumsum(rng.exponential(size=n)) * rng.choice([-1, 1])
            total += steps[codes[:, k]] / np.ptp(steps)
        columns.append(np.exp(total) * (1 + 0.3 * np.sin(3 * total)))
    return np.stack(columns, 1)


def grid(*sizes: int) -> list[tuple[str, range, bool]]:
    return [(f"x{k}", range(n), False) for k, n in enumerate(sizes)]


def problems() -> list[Problem]:
    machines = [
        ("target", ("mesh", "mesh-2", "bus", "tiny"), True),
        ("effort", (0, 1, 2), False),
        ("bits", (2, 3, 4, 6, 8), False),
        ("noc", (8, 16, 32, 64), False),
        ("seed", range(5), True),
        ("delay", (1, 4, 16, 64), False),
    ]
    both = [("target", ("ice", "ecp25", "ecp85", "mesh", "mesh-2"), True), *DESIGN[1:]]
    few = [
        ("target", BOARDS[:2], True),
        ("cores", range(1, 6), False),
        ("bits", (2, 3, 4, 6, 8), False),
        ("seed", range(3), True),
        ("clock", (6, 12, 24, 48), False),
    ]
    return [
        problem("boards", DESIGN, boards),
        problem("chips", machines, chips),
        problem("mixed", both, mixed),
        problem("rugged", DESIGN, rugged),
        problem("rare", DESIGN, rare),
        problem("few", few, boards),
        problem("sphere", grid(9, 9, 7, 8), sphere),
        problem("pieces", grid(40, 5, 5, 5), pieces),
        problem("corners", grid(8, 6, 5, 4, 4), corners),
    ]
