"""A space of a real network whose every point is evaluated, beside a tenth of it."""

from __future__ import annotations

from pathlib import Path

from spikec.compiler.explore.evaluate import Evaluator, Job
from spikec.compiler.explore.front import Box, best, hypervolume
from spikec.compiler.explore.journal import open_journal
from spikec.compiler.explore.run import Plan, _values, explore
from spikec.compiler.explore.search import usual_budget
from spikec.compiler.explore.space import parse_space
from spikec.compiler.explore.workers import InProcess
from spikec.ir.diagnostics import Diagnostics

from .conftest import make_graph, make_stimulus

SPACE = {
    "target": ["loihi1", "truenorth"],
    "weight_bits": {"from": 2, "to": 8},
    "state_bits": [8, 12, 16],
    "scale": ["free", "power_of_two"],
    "noc_width": [4, 8, 16, 32],
}


def test_a_tenth_of_a_real_space_has_its_front(tmp_path: Path) -> None:
    job = Job.of(make_graph(), make_stimulus(labels=False))
    space = parse_space({"space": SPACE, "fixed": {"effort": 0}})
    domain = space.domain()
    assert domain.size == 2 * 7 * 3 * 2 * 4
    evaluator = Evaluator(job)
    everything = [evaluator(space.point(row)) for row in domain.every().tolist()]
    values = _values(space, everything)
    box = Box.of(values)
    assert best(values).sum() >= 2
    for seed in range(3):
        plan = Plan("small", job, space, usual_budget(domain.size), seed, "surrogate")
        with open_journal(tmp_path / str(seed), plan.header(), Diagnostics()) as journal:
            workers = InProcess(job)
            workers._evaluator = evaluator
            found = explore(plan, journal, workers)
        assert len(found.results) <= domain.size // 10
        share = hypervolume(_values(space, found.results), box) / hypervolume(values, box)
        assert share >= 0.95, seed
