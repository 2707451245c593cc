"""Explorations: the same front wherever evaluations run, and nothing lost when something dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikec.compiler.explore import workers as workers_module
from spikec.compiler.explore.evaluate import Job
from spikec.compiler.explore.front import best
from spikec.compiler.explore.journal import JOURNAL, open_journal
from spikec.compiler.explore.point import Result
from spikec.compiler.explore.run import Exploration, Plan, explore, summary
from spikec.compiler.explore.space import parse_space
from spikec.compiler.explore.workers import (
    Group,
    InProcess,
    Processes,
    check_version,
    start_workers,
)
from spikec.ir.diagnostics import Diagnostics, SpikecError

from .clusters import cluster, until
from .conftest import make_plan


def run(
    plan: Plan, folder: Path, jobs: int = 1, scheduler: str | None = None, workers: Any = None
) -> Exploration:
    with open_journal(folder, plan.header(), Diagnostics()) as journal:
        if workers is not None:
            return explore(plan, journal, workers)
        with start_workers(plan.job, jobs, scheduler) as started:
            return explore(plan, journal, started)


@pytest.fixture
def plan(job: Job) -> Plan:
    return make_plan(job, 40, input_max=[1, 3, 15], scale=["free", "power_of_two"])


@pytest.fixture
def wanted(plan: Plan, tmp_path: Path) -> bytes:
    return run(plan, tmp_path / "wanted").json()


def lines(folder: Path) -> int:
    path = folder / JOURNAL
    return path.read_bytes().count(b"\n") if path.exists() else 0


class Stops:
    """Workers that are gone after some results."""

    def __init__(self, job: Job, after: int) -> None:
        self.inner, self.left, self.asked = InProcess(job), after, 0

    def evaluate(self, groups: Sequence[Group]) -> Iterator[Result]:
        for result in self.inner.evaluate(groups):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            self.asked += 1
            yield result


class Backwards:
    """Workers whose last answer comes first."""

    def __init__(self, job: Job) -> None:
        self.inner = InProcess(job)

    def evaluate(self, groups: Sequence[Group]) -> Iterator[Result]:
        yield from reversed(list(self.inner.evaluate(groups)))


class TestFront:
    def test_the_file_says_it_all(self, plan: Plan, tmp_path: Path) -> None:
        found = run(plan, tmp_path / "out")
        data = json.loads(found.json())
        assert (data["points"], data["evaluations"], data["complete"]) == (126, 40, True)
        assert data["front"] and data["format"] == 1
        top = max(dict(r.values)["accuracy"] or 0 for r in found.results if not r.refused)
        assert {one["values"]["accuracy"] for one in data["front"]} == {top}
        assert sum(1 + one["alike"] for one in data["front"]) <= 40
        assert data["ideal"]["accuracy"] == top and data["ideal"]["energy"] is None
        refused = sum(r.refused for r in found.results)
        assert sum(one["count"] for one in data["refused"]) == refused
        head, *rows = found.csv().decode().splitlines()
        columns = (
            "target,weight_bits,state_bits,scale,input_max,accuracy,latency,energy,cores,alike"
        )
        assert head == columns and len(rows) == len(data["front"])

    def test_no_point_of_the_front_is_dominated(self, job: Job, tmp_path: Path) -> None:
        space = parse_space(
            {
                "space": {
                    "target": ["loihi1", "truenorth"],
                    "weight_bits": [2, 4, 8],
                    "noc_width": [8, 32],
                    "effort": [0],
                }
            }
        )
        found = run(Plan("small", job, space, 12, 1, "surrogate"), tmp_path / "out")
        assert len(found.results) == space.domain().size == 12
        rows = [
            [-(v["accuracy"] or 0), v["latency"], v["energy"], v["cores"]]
            for v in (dict(r.values) for r in found.results if not r.refused)
        ]

        members = {tuple(r) for r in np.array(rows, float)[best(np.array(rows, float))].tolist()}
        assert len(members) == len(found.front)
        assert 0 < found.volume <= 1


class TestResuming:
    @pytest.mark.parametrize("after", [0, 1, 13])
    def test_what_was_interrupted_ends_the_same(
        self, plan: Plan, wanted: bytes, tmp_path: Path, after: int
    ) -> None:
        with pytest.raises(KeyboardInterrupt):
            run(plan, tmp_path / "out", workers=Stops(plan.job, after))
        assert lines(tmp_path / "out") == 1 + after
        rest = Stops(plan.job, 1000)
        assert run(plan, tmp_path / "out", workers=rest).json() == wanted
        assert rest.asked == 40 - after
        assert (tmp_path / "out" / JOURNAL).read_bytes().count(b"\n") == 41

    def test_a_larger_budget_goes_on(self, job: Job, tmp_path: Path) -> None:
        run(make_plan(job, 10), tmp_path / "out")
        more = Stops(job, 1000)
        found = run(make_plan(job, 21), tmp_path / "out", workers=more)
        assert (len(found.results), more.asked) == (21, 11)

    def test_another_seed_is_another_exploration(self, job: Job, tmp_path: Path) -> None:
        plan = make_plan(job, 4)
        run(plan, tmp_path / "out")
        other = Plan(plan.name, job, plan.space, 4, 2, plan.method)
        with pytest.raises(SpikecError, match="seed was 1, is 2"):
            run(other, tmp_path / "out")

    def test_an_interim_front_is_not_complete(self, plan: Plan) -> None:
        data = json.loads(summary(plan, [], complete=False).json())
        assert (data["complete"], data["front"], data["evaluations"]) == (False, [], 0)


class TestProcesses:
    def test_the_order_of_answers_changes_nothing(
        self, plan: Plan, wanted: bytes, tmp_path: Path
    ) -> None:
        assert run(plan, tmp_path / "out", workers=Backwards(plan.job)).json() == wanted

    def test_two_processes_give_the_same_and_a_killed_one_loses_nothing(
        self, plan: Plan, wanted: bytes, tmp_path: Path
    ) -> None:
        processes = Processes(plan.job, 2)
        pids = [one.process.pid for one in processes._members]

        def kill() -> None:
            until(lambda: lines(tmp_path / "out") > 4, "four results")
            assert pids[0] is not None
            os.kill(pids[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            found = run(plan, tmp_path / "out", workers=processes)
        finally:
            killer.join()
            left = [one.process.pid for one in processes._members]
            processes.end()
        assert found.json() == wanted
        assert pids[0] not in left
        assert lines(tmp_path / "out") == 41

    def test_a_point_that_kills_three_is_named(
        self, plan: Plan, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workers_module, "_serve", _die)
        processes = Processes(plan.job, 1)
        with pytest.raises(SpikecError, match=r"E0607: 3 workers died .* target=null") as caught:
            list(processes.evaluate([(plan.space.point([0] * 5),)]))
        assert caught.value.exit_code == 3
        assert processes._members == []


def _die(pipe: Any, job: Job) -> None:
    pipe.recv()
    os._exit(9)


class TestDask:
    @pytest.fixture(autouse=True)
    def _needs(self) -> None:
        pytest.importorskip("distributed")

    @pytest.mark.filterwarnings("default")
    def test_one_worker_gives_the_same_front(
        self, plan: Plan, wanted: bytes, tmp_path: Path
    ) -> None:
        with cluster(tmp_path, 1) as (address, _):
            assert run(plan, tmp_path / "out", scheduler=address).json() == wanted
        assert lines(tmp_path / "out") == 41

    @pytest.mark.filterwarnings("default")
    def test_two_workers_give_the_same_and_a_killed_one_loses_nothing(
        self, plan: Plan, wanted: bytes, tmp_path: Path
    ) -> None:
        with cluster(tmp_path, 2) as (address, members):

            def kill() -> None:
                until(lambda: lines(tmp_path / "out") > 4, "four results")
                members[1].kill()

            killer = threading.Thread(target=kill)
            killer.start()
            found = run(plan, tmp_path / "out", scheduler=address)
            killer.join()
            assert members[1].wait() == -signal.SIGKILL
        assert found.json() == wanted
        assert lines(tmp_path / "out") == 41

    @pytest.mark.filterwarnings("default")
    def test_a_scheduler_that_dies_is_said_and_costs_nothing(
        self, plan: Plan, wanted: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with cluster(tmp_path, 1) as (address, members):

            def kill() -> None:
                until(lambda: lines(tmp_path / "out") > 4, "four results")
                members[0].kill()

            killer = threading.Thread(target=kill)
            killer.start()
            with pytest.raises(SpikecError, match=r"E0606: the Dask scheduler at .* is gone"):
                run(plan, tmp_path / "out", scheduler=address)
            killer.join()
        assert "Traceback" not in capfd.readouterr().err
        assert 5 <= lines(tmp_path / "out") < 41
        assert run(plan, tmp_path / "out").json() == wanted

    @pytest.mark.filterwarnings("default")
    def test_nobody_there_is_said_within_seconds(self, plan: Plan) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        start = time.monotonic()
        with (
            pytest.raises(SpikecError, match="E0606: no Dask scheduler answers") as caught,
            start_workers(plan.job, 1, f"tcp://127.0.0.1:{port}"),
        ):
            pass
        assert caught.value.exit_code == 3
        assert time.monotonic() - start < 15

    @pytest.mark.parametrize("address", ["nonsense://x", "127.0.0.1:notaport"])
    @pytest.mark.filterwarnings("default")
    def test_an_address_that_is_none(self, plan: Plan, address: str) -> None:
        with pytest.raises(SpikecError, match="E0606"), start_workers(plan.job, 1, address):
            pass

    def test_another_version_is_refused(self) -> None:
        check_version("1.0", "1.0", "tcp://a")
        with pytest.raises(SpikecError, match=r"E0608: the worker tcp://a has spikec 0\.9"):
            check_version("0.9", "1.0", "tcp://a")


def test_a_killed_run_goes_on_to_the_same_bytes(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    """SIGKILL in the middle of the command line, wherever that is."""
    model, stimulus, space = files
    start = "from spikec.compiler.cli.main import main; main()"

    def command(output: Path) -> list[str]:
        words = ["explore", model, "--space", space, "-s", stimulus, "-o", output, "-n", 40]
        return [sys.executable, "-c", start, *map(str, words)]

    def started(output: Path) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command(output), stdin=quiet, stdout=quiet, stderr=quiet)

    whole = started(tmp_path / "whole")
    killed = started(tmp_path / "killed")
    until(lambda: lines(tmp_path / "killed") > 6, "six results")
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "front.json").exists()
    before = (tmp_path / "killed" / JOURNAL).read_bytes()
    assert before.count(b"\n") < 41
    assert started(tmp_path / "killed").wait() == 0
    assert whole.wait() == 0
    for name in ("front.json", "front.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    after = (tmp_path / "killed" / JOURNAL).read_bytes()
    assert after.startswith(before[: before.rfind(b"\n") + 1]) and after.count(b"\n") == 41
