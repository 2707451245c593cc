"""How much of the true front a search finds with a tenth of the evaluations.

Nine spaces of 600 to 5,000 points whose every point is known. The figure is the hypervolume of what
was found over that of the true front, the least of all seeds: with the reference a tenth beyond
the worst accepted point of the space (the goal: 95 %), and, much harder, a tenth beyond the worst
point of the front itself. Only different points count as evaluations. Peers with as many: random
points, and NSGA-II alone as pymoo has it.

    python bench/explore.py [--json] [--quick] [--seeds N]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from _measured import measured
from _spaces import Problem, problems

from spikec.compiler.explore.domain import Domain
from spikec.compiler.explore.front import Box, best, hypervolume
from spikec.compiler.explore.search import generations, search

SEED = 1
GOAL = 95.0


def found_by(problem: Problem, budget: int, seed: int, method: str) -> Any:
    """The values of the points that a search asked for; each at most once, or this raises."""
    domain = Domain(problem.shape, problem.unordered)
    asked: list[int] = []

    def answer(rows: Any) -> Any:
        places = problem.index(rows)
        asked.extend(places.tolist())
        return problem.values[places]

    for _ in generations(search(domain, problem.values.shape[1], budget, seed, method), answer):
        pass
    if len(set(asked)) != len(asked) or len(asked) > budget:
        raise SystemExit(f"{problem.name}: {len(asked)} evaluations, {len(set(asked))} different")
    return problem.values[asked]


def shares(problem: Problem, values: Any) -> tuple[float, float]:
    """Percent of the true hypervolume: in the box of all points, and in that of the front."""
    front = problem.values[best(problem.values)]
    both = []
    for box in (Box.of(problem.values), Box.of(front)):
        # What lies beyond the reference dominates nothing within.
        both.append(100 * hypervolume(values, box) / hypervolume(front, box))
    return both[0], both[1]


def results(problem: Problem, seeds: int) -> list[dict[str, Any]]:
    budget = problem.points // 10
    least: dict[str, tuple[float, float]] = {}
    for method in ("surrogate", "random", "nsga2"):
        runs = [shares(problem, found_by(problem, budget, SEED + k, method)) for k in range(seeds)]
        least[method] = (min(one[0] for one in runs), min(one[1] for one in runs))
    accepted = int((~np.isnan(problem.values).all(axis=1)).sum())
    rows = []
    for which, name, goal in (
        (0, "hypervolume", GOAL),
        (1, "hypervolume of the front's box", None),
    ):
        ours = least["surrogate"][which]
        rows.append(
            {
                "name": f"{problem.name}: {name}",
                "ours": ours,
                "unit": "%",
                "goal": goal,
                "meets": None if goal is None else ours >= goal,
                "peer": "random points, as many",
                "peer_value": least["random"][which],
                "ratio": ours / least["random"][which],
                "how": (
                    f"{budget} of {problem.points} points ({accepted} accepted), the least of "
                    f"{seeds} seeds; NSGA-II alone {least['nsga2'][which]:.2f} %"
                ),
            }
        )
    return rows


def measure(quick: bool, seeds: int) -> dict[str, Any]:
    chosen = [p for p in problems() if not quick or p.name in ("few", "boards")]
    rows = [row for problem in chosen for row in results(problem, seeds)]
    return measured(rows, ("spikec", "numpy", "scipy", "pymoo", "moocore"), SEED)


def table(found: dict[str, Any]) -> str:
    lines = [f"{'':46} {'ours':>8} {'random':>8}"]
    for r in found["results"]:
        missed = "  MISSED" if r["meets"] is False else ""
        lines.append(f"{r['name']:46} {r['ours']:8.2f} {r['peer_value']:8.2f}{missed}")
        lines.append(f"  {r['how']}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="two spaces: for a test")
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each search")
    arguments = parser.parse_args()
    found = measure(arguments.quick, arguments.seeds)
    print(json.dumps(found, indent=1) if arguments.json else table(found))


if __name__ == "__main__":
    main()
