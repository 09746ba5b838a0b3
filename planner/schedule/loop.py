"""`planner watch` that stays: waits until a cycle is due, then runs it in a process of its own.

The child is `planner watch --once`, the very command that cron would start: a crash of the solver
or a leak ends with it. The loop keeps no state, so a restart forgets nothing.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from planner.errors import HistoryError
from planner.history.history import History
from planner.history.locks import holder
from planner.history.schedules import ScheduleState, state
from planner.logs import EventLog
from planner.schedule.body import Job, Step, lock_name, next_step
from planner.schedule.timetable import Timetable

LOOK_AGAIN_S = 15.0
"""After a cycle, while another process runs one, and after trouble."""
LONGEST_WAIT_S = 60.0
"""Between two looks at the clock, which may be set meanwhile."""
GRACE_S = 30.0
"""Between asking a child to end and ending it."""


@dataclass
class Pulse:
    """Signs of life of the loop, for the health endpoint."""

    beat_s: float = field(default_factory=time.monotonic)
    next_at: dt.datetime | None = None
    busy_since: dt.datetime | None = None
    problem: str | None = None

    def beat(self) -> None:
        """The loop is alive."""
        self.beat_s = time.monotonic()


class Watcher:
    """The loop; `run` returns after `stop` was called."""

    def __init__(
        self,
        history: History,
        job: Job,
        timetable: Timetable,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: EventLog,
        *,
        jitter_s: float = 0.0,
        child_limit_s: float,
        look_again_s: float = LOOK_AGAIN_S,
    ) -> None:
        self.history, self.job, self.timetable, self.log = history, job, timetable, log
        self.command, self.environment = list(command), dict(environment)
        self.jitter_s, self.child_limit_s = jitter_s, child_limit_s
        self.look_again_s = look_again_s
        self.pulse = Pulse()
        self._stop = threading.Event()

    def stop(self) -> None:
        """Ask the loop, and the cycle that runs, to end."""
        self._stop.set()

    def run(self) -> None:
        """Wait and run cycles until stopped."""
        self.log.add("watching", schedule=self.job.name, timetable=str(self.timetable))
        while not self._stop.is_set():
            self.pulse.beat()
            pause_s = self._step(dt.datetime.now(dt.UTC))
            self._stop.wait(pause_s)
        self.log.add("stopped", schedule=self.job.name)

    def _step(self, now: dt.datetime) -> float:
        """Do what is next; seconds to wait after it."""
        try:
            step = self._next(now)
            self.pulse.problem = None
            if step.due_at is None:
                self.pulse.next_at = step.wait_until
                left_s = (step.wait_until - now).total_seconds() if step.wait_until else 1e9
                return min(max(left_s, 0.0), LONGEST_WAIT_S)
            if holder(self.history.store, lock_name(self.job.name)) is None:
                self._run_child(step.due_at)
        except (HistoryError, OSError) as error:  # the store is away, or no process can be started
            self.pulse.problem = str(error)
            self.log.add("trouble", problem=str(error))
        return self.look_again_s

    def _next(self, now: dt.datetime) -> Step:
        latest = self.timetable.latest(now)
        chance = random.Random(f"{self.job.name} {os.getpid()} {latest}")
        jitter_s = chance.uniform(0.0, self.jitter_s)

        def known(due: dt.datetime) -> ScheduleState:
            return state(self.history, self.job.name, due)

        return next_step(self.timetable, known, now, jitter_s)

    def _run_child(self, due: dt.datetime) -> None:
        self.pulse.busy_since = dt.datetime.now(dt.UTC)
        try:
            child = subprocess.Popen(self.command, env=self.environment, start_new_session=True)
            self.log.add("started", due_at=due.isoformat(), process=child.pid)
            code = self._awaited(child)
            self.log.add("ended", due_at=due.isoformat(), process=child.pid, exit_code=code)
        finally:
            self.pulse.busy_since = None

    def _awaited(self, child: subprocess.Popen[bytes]) -> int:
        """Exit code of the child; it is ended where the loop stops or its time is over."""
        limit = time.monotonic() + self.child_limit_s
        while child.poll() is None:
            self.pulse.beat()
            if self._stop.wait(0.2) or time.monotonic() > limit:
                self.log.add("ending", process=child.pid, asked=self._stop.is_set())
                _end(child)
        return int(child.returncode)


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL to its whole group where that does not help."""
    child.terminate()
    try:
        child.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
