"""Where the tasks of a front are done: threads, processes of this machine, or a Dask cluster.

All of them do the same: take a task, hand back its result or the error it ended with. A worker that
dies loses the task it was at, which is given to another; a task that has cost `MOST_LIVES` workers
their life is handed back as an error.

`close` is the end, whatever the workers are at. Processes are killed, and nothing waits for them:
tasks go through a pipe of each, read and written by a thread that no exit waits for. (The pool of
`concurrent.futures` has a queue instead, whose thread an exit does wait for: in Python 3.11.2 for
ever, where it is writing a task to workers that are gone.)
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from typing import Protocol

from models.fleet.data import FleetData
from planner.errors import SolverError
from planner.front.tasks import Result, Task, perform
from planner.solve.highs import halted_by
from planner.solve.index import FleetIndex

MOST_LIVES = 3
CLOSE_S = 1.0
"""Most seconds that closing waits for threads which have been told to stop."""

Outcome = Result | Exception


class Workers(Protocol):
    """Workers of some kind; `count` tasks run at a time."""

    count: int

    def submit(self, number: int, task: Task) -> None:
        """Begin a task, known by a number of its own."""

    def wait(self, timeout_s: float) -> list[tuple[int, Outcome]]:
        """What has ended since the last call; waits for the first, at most that long."""

    def close(self) -> None:
        """Let go of everything; tasks that have not ended are dropped."""


class _Local(ABC):
    """Threads of this process that take tasks from one queue, and put what comes of them in
    another. They are daemons: no exit waits for them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.under_way = 0
        self.closed = threading.Event()
        self.tasks: SimpleQueue[tuple[int, Task] | None] = SimpleQueue()
        self.ended: SimpleQueue[tuple[int, Outcome]] = SimpleQueue()
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    @abstractmethod
    def _work(self) -> None:
        """What a thread does until `close`."""

    def _serve(self, do: Callable[[Task], Outcome]) -> None:
        while (item := self.tasks.get()) is not None and not self.closed.is_set():
            number, task = item
            self.ended.put((number, _outcome(do, task)))

    def submit(self, number: int, task: Task) -> None:
        """See `Workers`."""
        self.under_way += 1
        self.tasks.put((number, task))

    def wait(self, timeout_s: float) -> list[tuple[int, Outcome]]:
        """See `Workers`."""
        found: list[tuple[int, Outcome]] = []
        while self.under_way > 0:
            try:
                found.append(self.ended.get(timeout=0.0 if found else max(timeout_s, 0.0)))
            except Empty:
                break
            self.under_way -= 1
        return found

    def close(self) -> None:
        """See `Workers`."""
        self.closed.set()
        for _ in self.threads:
            self.tasks.put(None)


class Threads(_Local):
    """Threads of this process: no start-up; HiGHS lets others run while it works."""

    def __init__(self, index: FleetIndex, count: int) -> None:
        self.index = index
        super().__init__(count)

    def _work(self) -> None:
        with halted_by(self.closed):
            self._serve(partial(perform, self.index))

    def close(self) -> None:
        """See `Workers`; HiGHS is asked to stop, and mostly does at once."""
        super().close()
        for thread in self.threads:
            thread.join(CLOSE_S / self.count)


class Processes(_Local):
    """Processes of this machine, each with the fleet in its memory."""

    def __init__(self, data: FleetData, count: int) -> None:
        self.data = data
        self.starting, self.copying = threading.Lock(), threading.Lock()
        self.alive: set[Process] = set()
        super().__init__(count)

    def _work(self) -> None:
        process: Process | None = None

        def do(task: Task) -> Outcome:
            nonlocal process
            for _ in range(MOST_LIVES):
                try:
                    process = process or self._new_process()
                    return process.perform(task)
                except (EOFError, OSError):
                    self._bury(process)
                    process = None
            return SolverError("workers died at this task, again and again")

        self._serve(do)

    def _new_process(self) -> Process:
        with self.starting:
            if self.closed.is_set():
                raise EOFError
            process = Process()
            self.alive.add(process)
        # One at a time: each takes a copy of the fleet on its way.
        with self.copying:
            process.pipe.send(self.data)
        return process

    def _bury(self, process: Process | None) -> None:
        if process is not None:
            with self.starting:
                self.alive.discard(process)
            process.kill()

    def close(self) -> None:
        """See `Workers`."""
        super().close()
        # One that is being started is killed once it is there.
        with self.starting:
            for process in self.alive:
                process.kill()


class Process:
    """A process at the other end of a pipe, which is sent the fleet first."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve_pipe, args=(theirs,), daemon=True)
        self.process.start()
        # The only copy of that end is now theirs: when they die, the pipe is at its end.
        theirs.close()

    def perform(self, task: Task) -> Outcome:
        """What comes of a task; EOFError or OSError where the process dies."""
        self.pipe.send(task)
        outcome: Outcome = self.pipe.recv()
        return outcome

    def kill(self) -> None:
        """End it, whatever it is at."""
        self.process.kill()


def _outcome(do: Callable[[Task], Outcome], task: Task) -> Outcome:
    try:
        return do(task)
    except Exception as error:
        return error


def _serve_pipe(pipe: Connection) -> None:
    """What a worker process does, until the other end of the pipe is gone."""
    # Ctrl-C is for the process that leads: it ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        do = partial(perform, FleetIndex.build(pipe.recv()))
        while True:
            pipe.send(_outcome(do, pipe.recv()))


def local(data: FleetData, index: FleetIndex, count: int) -> Workers:
    """Threads where one worker is enough, else processes."""
    return Threads(index, count) if count == 1 else Processes(data, count)


def chosen(data: FleetData, index: FleetIndex, count: int, scheduler: str | None) -> Workers:
    """Workers of this machine, or of the cluster whose scheduler is named."""
    if scheduler is None:
        return local(data, index, count)
    from planner.front.cluster import Cluster

    return Cluster(data, scheduler)
