"""Where the tasks of a front are done: threads, processes of this machine, or a Dask cluster.

All of them do the same: take a task, hand back its result or the error it ended with. A worker that
dies loses the task it was at, which is given to another; a task that has cost `MOST_LIVES` workers
their life is handed back as an error.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from models.fleet.data import FleetData
from planner.errors import SolverError
from planner.front.tasks import Result, Task, perform
from planner.solve.index import FleetIndex

MOST_LIVES = 3


class Workers(Protocol):
    """Workers of some kind; `count` tasks run at a time."""

    count: int

    def submit(self, number: int, task: Task) -> None:
        """Begin a task, known by a number of its own."""

    def wait(self, timeout_s: float) -> list[tuple[int, Result | Exception]]:
        """What has ended since the last call; waits for the first, at most that long."""

    def close(self) -> None:
        """Let go of everything; tasks that have not begun are dropped."""


class Threads:
    """Threads of this process: no start-up; HiGHS lets others run while it works."""

    def __init__(self, index: FleetIndex, count: int) -> None:
        self.index, self.count = index, count
        self.pool = ThreadPoolExecutor(count)
        self.running: dict[Future[Result], int] = {}

    def submit(self, number: int, task: Task) -> None:
        """See `Workers`."""
        self.running[self.pool.submit(perform, self.index, task)] = number

    def wait(self, timeout_s: float) -> list[tuple[int, Result | Exception]]:
        """See `Workers`."""
        done, _ = wait(self.running, max(timeout_s, 0.0), return_when=FIRST_COMPLETED)
        return [(self.running.pop(future), _outcome(future)) for future in done]

    def close(self) -> None:
        """See `Workers`."""
        self.pool.shutdown(wait=False, cancel_futures=True)


class Processes:
    """Processes of this machine, each with the fleet in its memory."""

    def __init__(self, data: FleetData, count: int) -> None:
        self.data, self.count = data, count
        self.waiting: dict[int, tuple[Task, int]] = {}
        """number -> (task, lives it has cost)"""
        self.running: dict[Future[Result], int] = {}
        self.pool = self._new_pool()

    def _new_pool(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(
            self.count, context, initializer=_remember, initargs=(self.data,)
        )

    def submit(self, number: int, task: Task) -> None:
        """See `Workers`."""
        self.waiting[number] = (task, 0)
        self._begin(number)

    def _begin(self, number: int) -> None:
        task, _ = self.waiting[number]
        try:
            self.running[self.pool.submit(_perform_here, task)] = number
        except BrokenProcessPool:
            self._revive()
            self.running[self.pool.submit(_perform_here, task)] = number

    def _revive(self) -> None:
        """New processes, and everything that was lost with the old ones again."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.pool = self._new_pool()
        lost = sorted(self.running.values())
        self.running = {}
        for number in lost:
            task, lives = self.waiting[number]
            self.waiting[number] = (task, lives + 1)
            self.running[self.pool.submit(_perform_here, task)] = number

    def wait(self, timeout_s: float) -> list[tuple[int, Result | Exception]]:
        """See `Workers`."""
        done, _ = wait(self.running, max(timeout_s, 0.0), return_when=FIRST_COMPLETED)
        found: list[tuple[int, Result | Exception]] = []
        broken = False
        for future in done:
            outcome = _outcome(future)
            number = self.running[future]
            if isinstance(outcome, BrokenProcessPool):
                broken = True
                if self.waiting[number][1] + 1 < MOST_LIVES:
                    continue
                outcome = SolverError("workers died at this task, again and again")
            self.running.pop(future)
            self.waiting.pop(number)
            found.append((number, outcome))
        if broken:
            self._revive()
        return found

    def close(self) -> None:
        """See `Workers`."""
        workers = list((self.pool._processes or {}).values())
        self.pool.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.terminate()


def _outcome(future: Future[Result]) -> Result | Exception:
    try:
        return future.result()
    except Exception as error:
        return error


# ------------------------------------------------------------------ in a worker

_here: list[FleetIndex] = []
"""The fleet of this worker process."""


def _remember(data: FleetData) -> None:
    _here.append(FleetIndex.build(data))


def _perform_here(task: Task) -> Result:
    return perform(_here[0], task)


def local(data: FleetData, index: FleetIndex, count: int) -> Workers:
    """Threads where one worker is enough, else processes."""
    return Threads(index, count) if count == 1 else Processes(data, count)


def chosen(data: FleetData, index: FleetIndex, count: int, scheduler: str | None) -> Workers:
    """Workers of this machine, or of the cluster whose scheduler is named."""
    if scheduler is None:
        return local(data, index, count)
    from planner.front.cluster import Cluster

    return Cluster(data, scheduler)
