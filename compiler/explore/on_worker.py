"""What runs on a worker of Dask. Imported only where `distributed` is installed."""

from __future__ import annotations

from typing import Any

from distributed import WorkerPlugin, get_worker

from .point import Evaluation, Point, Result, Work, version
from .workers import check_version


class JobPlugin(WorkerPlugin):
    """Carries a job to every worker, those that join later included."""

    def __init__(self, job: Work) -> None:
        self.job = job
        self.evaluator: Evaluation | None = None

    def setup(self, worker: Any) -> None:
        """Read the job once a worker."""
        self.evaluator = self.job.evaluator()


def evaluate_group(name: str, wanted: str, group: tuple[Point, ...]) -> list[Result]:
    """The results of a group of points of the job in the plug-in ``name``."""
    worker = get_worker()
    check_version(version(), wanted, worker.address)
    plugin = worker.plugins[name]
    assert isinstance(plugin, JobPlugin) and plugin.evaluator is not None
    return list(plugin.evaluator.results(group))
