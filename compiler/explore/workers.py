"""Where evaluations run: in this process, in processes beside it, or on a Dask cluster.

Each gives results as they come, in any order; the search is told them in its own. A worker that
is killed loses nothing: what it had not answered is evaluated elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import signal
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Protocol

from ...ir.diagnostics import SpikecError, fail
from ..backend import need
from .journal import Journal
from .point import Point, Result, Work, version

# Points of one group are compiled once, so one worker has all of them.
Group = tuple[Point, ...]
Watch = Callable[[int, int], None]

_ATTEMPTS: Final = 3
_REACH_SECONDS: Final = 5.0
_WORKER_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 2.0


class Workers(Protocol):
    """Something that evaluates groups of points."""

    def evaluate(self, groups: Sequence[Group]) -> Iterator[Result]:
        """The result of every point of every group, as they come."""
        ...


class InProcess:
    """Evaluates one group after the other, here."""

    def __init__(self, job: Work) -> None:
        self._evaluator = job.evaluator()

    def evaluate(self, groups: Sequence[Group]) -> Iterator[Result]:
        """One after the other."""
        for group in groups:
            yield from self._evaluator.results(group)


class _Process:
    """A process that answers one group at a time."""

    def __init__(self, job: Work) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, job), daemon=True)
        self.process.start()
        theirs.close()
        self.work: tuple[int, Group] | None = None

    def end(self) -> None:
        self.process.terminate()
        self.process.join(5.0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, job: Work) -> None:
    """What such a process does until it is ended, or its parent is gone."""
    # Ctrl-C is for the parent, which ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    evaluator = job.evaluator()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            group = pipe.recv()
            try:
                for result in evaluator.results(group):
                    pipe.send(result)
            except SpikecError as error:
                pipe.send(error)
            pipe.send(None)


class Processes:
    """Evaluates in ``jobs`` processes of this computer, each with its own interpreter."""

    def __init__(self, job: Work, jobs: int) -> None:
        self._job = job
        self._members = [_Process(job) for _ in range(jobs)]

    def evaluate(self, groups: Sequence[Group]) -> Iterator[Result]:
        """As they come. A group whose process dies three times is E0607."""
        todo = list(enumerate(groups))[::-1]
        answered: list[set[str]] = [set() for _ in groups]
        deaths = [0] * len(groups)
        try:
            while todo or any(one.work for one in self._members):
                for one in self._members:
                    if one.work is None and todo:
                        number, group = todo.pop()
                        left = tuple(p for p in group if p.digest not in answered[number])
                        one.work = number, group
                        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                            one.pipe.send(left)
                busy = {one.pipe: one for one in self._members if one.work is not None}
                for ready in wait(list(busy)):
                    one = busy[ready]  # type: ignore[index]
                    assert one.work is not None
                    number, group = one.work
                    try:
                        answer = one.pipe.recv()
                    except (EOFError, ConnectionResetError, OSError):
                        deaths[number] += 1
                        if deaths[number] >= _ATTEMPTS:
                            raise _died(group) from None
                        todo.append((number, group))
                        one.end()
                        self._members[self._members.index(one)] = _Process(self._job)
                        continue
                    if answer is None:
                        one.work = None
                    elif isinstance(answer, SpikecError):
                        raise answer
                    else:
                        answered[number].add(answer.point.digest)
                        yield answer
        except BaseException:
            # Whatever they are at is nobody's any more.
            self.end()
            raise

    def end(self) -> None:
        """End all of them."""
        for one in self._members:
            one.end()
        self._members = []


def _died(group: Group) -> SpikecError:
    return fail(
        "E0607",
        f"{_ATTEMPTS} workers died one after the other while they evaluated {group[0]}",
        hint="a worker may lack memory: use fewer of them; everything else is kept",
    )


class OnDask:
    """Evaluates on the workers of a Dask cluster that is there already."""

    def __init__(self, job: Work, address: str) -> None:
        need("distributed", "dask", "--scheduler")
        from distributed import Client

        connect: Any = Client

        self._job, self._address = job, address
        self._name = f"spikec-{job.digest}"
        self._client: Any = None
        # What it has to say of lost connections we say ourselves, once.
        self._loggers = {
            logger: logger.level
            for logger in map(logging.getLogger, ("distributed", "distributed.client"))
        }
        for logger in self._loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            # Other versions of other packages are none of our business.
            warnings.simplefilter("ignore")
            try:
                self._client = connect(address, timeout=_REACH_SECONDS, set_as_default=False)
            except (OSError, ValueError, TimeoutError, ImportError) as error:
                self.end()
                raise fail(
                    "E0606",
                    f"no Dask scheduler answers at {address} within {_REACH_SECONDS:g} s"
                    f" ({type(error).__name__})",
                    hint="start one with 'dask scheduler', and 'dask worker ADDRESS'",
                ) from None
        try:
            self._greet()
        except BaseException:
            self.end()
            raise

    def _greet(self) -> None:
        from .on_worker import JobPlugin

        try:
            self._client.wait_for_workers(1, timeout=_WORKER_SECONDS)
        except TimeoutError:
            raise fail(
                "E0606",
                f"the scheduler at {self._address} has no worker after {_WORKER_SECONDS:g} s",
                hint=f"start one with 'dask worker {self._address}'",
            ) from None
        try:
            # The plug-in goes to workers that join later, too.
            self._client.register_plugin(JobPlugin(self._job), name=self._name)
            versions = self._client.run(version)
        except SpikecError:
            raise
        except Exception as error:  # whatever another environment does with our classes
            raise fail(
                "E0608",
                f"a worker cannot load spikec {version()}: {type(error).__name__}: {error}",
                hint="install the same spikec where the workers run",
            ) from None
        for place, theirs in sorted(versions.items()):
            check_version(theirs, version(), place)

    def evaluate(self, groups: Sequence[Group]) -> Iterator[Result]:
        """As they come. What a lost worker had, the scheduler gives to another."""
        import distributed

        from .on_worker import evaluate_group

        wait_for: Any = distributed.wait
        futures = {
            self._client.submit(evaluate_group, self._name, version(), group, pure=False): group
            for group in groups
        }
        alone = time.monotonic()
        try:
            while futures:
                try:
                    with self._client.as_current():
                        done = wait_for(
                            list(futures), timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED"
                        ).done
                except CancelledError:
                    raise self._lost("is gone") from None
                except TimeoutError:
                    if self._client.scheduler_info().get("workers"):
                        alone = time.monotonic()
                    elif time.monotonic() - alone > _WORKER_SECONDS:
                        raise self._lost("has no worker any more") from None
                    continue
                alone = time.monotonic()
                for future in sorted(done, key=lambda f: str(f.key)):
                    group = futures.pop(future)
                    yield from self._results(future, group)
        finally:
            with contextlib.suppress(Exception):
                for future in futures:
                    future.cancel()

    def _results(self, future: Any, group: Group) -> Sequence[Result]:
        from distributed.scheduler import KilledWorker

        if future.status == "cancelled":
            raise self._lost("is gone")
        try:
            results: Sequence[Result] = future.result()
        except KilledWorker:
            raise _died(group) from None
        except (CancelledError, OSError, TimeoutError) as error:
            raise self._lost(f"is gone ({type(error).__name__})") from None
        return results

    def _lost(self, what: str) -> SpikecError:
        return fail(
            "E0606",
            f"the Dask scheduler at {self._address} {what}",
            hint="what was evaluated is kept: the same command goes on from there",
        )

    def end(self) -> None:
        """Leave the cluster as it was."""
        if self._client is not None:
            with contextlib.suppress(Exception):
                self._client.unregister_worker_plugin(self._name)
            with contextlib.suppress(Exception):
                self._client.close(timeout=2)
        for logger, level in self._loggers.items():
            logger.setLevel(level)


def check_version(theirs: str, ours: str, place: str) -> None:
    """E0608 where a worker has another spikec."""
    if theirs != ours:
        raise fail(
            "E0608",
            f"the worker {place} has spikec {theirs}, this is {ours}",
            hint="install the same version where the workers run",
        )


@contextlib.contextmanager
def start_workers(job: Work, jobs: int, scheduler: str | None) -> Iterator[Workers]:
    """Workers as the user wants them, ended when they are not needed any more."""
    if scheduler is not None:
        cluster = OnDask(job, scheduler)
        try:
            yield cluster
        finally:
            cluster.end()
    elif jobs > 1:
        processes = Processes(job, jobs)
        try:
            yield processes
        finally:
            processes.end()
    else:
        yield InProcess(job)


def evaluate_missing(
    groups: Sequence[Group], journal: Journal, workers: Workers, watch: Watch | None = None
) -> None:
    """Evaluate what the journal does not know; each result is kept at once.

    ``watch`` is told how many points are known, and of how many.
    """
    size = sum(map(len, groups))
    missing = [tuple(p for p in g if p.digest not in journal.results) for g in groups]
    missing = [group for group in missing if group]
    done = size - sum(map(len, missing))
    if watch is not None:
        watch(done, size)
    for result in workers.evaluate(missing) if missing else ():
        journal.add(result)
        done += 1
        if watch is not None:
            watch(done, size)
