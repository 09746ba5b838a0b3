"""One guarded cycle: the body of every schedule, whoever starts it.

Take the lock, see what is due, run the cycle, record its result in one transaction that still
holds the lock, tell those who want to know. A kill at any moment loses nothing recorded: the
attempt is known, the lock expires, and the due time is tried again.
"""

from __future__ import annotations

import datetime as dt
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from planner.errors import InfeasibleError, InstanceError, PlannerError
from planner.history.folders import read_folder, write_folder
from planner.history.history import History
from planner.history.locks import Lease, new_owner, take
from planner.history.queries import Filter
from planner.history.records import DecisionRecord, Incumbent, RunDraft, RunRecord
from planner.history.schedules import ScheduleState, begin_attempt, state
from planner.logs import EventLog
from planner.runs import PLAN, new_folder
from planner.schedule.cycle import CycleContext, CycleResult, RunCycle
from planner.schedule.timetable import Timetable

CYCLE_LOG = "cycle.jsonl"
"""The cycle's events among the files of its run."""
DECISION = "decision.json"
CONCLUSIONS = ("keep", "move", "undecided")
LOOK_BACK = 20
"""Most runs that are looked through for the last conclusion."""
LOCK_LIFE_S = 60.0
FIRST_PAUSE_S = 60.0
"""Before the second attempt at a due time; doubled for every further one."""
LONGEST_PAUSE_S = 3_600.0
MOST_ATTEMPTS = 5
"""At one due time; then the next one is waited for."""


@dataclass(frozen=True)
class Job:
    """What is re-planned, when, and how."""

    instance: Path
    name: str
    """of the schedule: its lock, and the key of its due times"""
    timetable: Timetable | None
    """None: due whenever it is started"""
    cycle: RunCycle
    gap: float
    time_limit_s: float
    threads: int
    margin: float
    runs_folder: Path
    lock_life_s: float = LOCK_LIFE_S


@dataclass(frozen=True)
class Recorded:
    """A cycle that was run and recorded."""

    run: RunRecord
    decision: DecisionRecord


@dataclass(frozen=True)
class Skipped:
    """Nothing was done, and why."""

    reason: str


@dataclass(frozen=True)
class Step:
    """What to do next: run the cycle of `due_at` now (`wait_until` None), or look again then."""

    due_at: dt.datetime | None
    wait_until: dt.datetime | None


def next_step(
    timetable: Timetable,
    known: Callable[[dt.datetime], ScheduleState],
    now: dt.datetime,
    jitter_s: float = 0.0,
) -> Step:
    """The step that timetable, history and clock ask for.

    However many due times were missed, only the latest is caught up. Attempts at one due time are
    spaced by a pause that doubles.
    """
    due = timetable.latest(now)
    upcoming = timetable.after(now) + dt.timedelta(seconds=jitter_s)
    if due is None:
        return Step(None, upcoming)
    seen = known(due)
    settled = seen.settled_until is not None and seen.settled_until >= due
    if settled or seen.attempts >= MOST_ATTEMPTS:
        return Step(None, upcoming)
    ready = due + dt.timedelta(seconds=jitter_s)
    if seen.last_attempt_at is not None:
        pause_s = min(FIRST_PAUSE_S * 2 ** (seen.attempts - 1), LONGEST_PAUSE_S)
        ready = max(ready, seen.last_attempt_at + dt.timedelta(seconds=pause_s))
    return Step(due, None) if ready <= now else Step(None, min(ready, upcoming))


def run_once(
    history: History,
    job: Job,
    log: EventLog,
    tell: Callable[[Recorded], None] = lambda _: None,
    now: dt.datetime | None = None,
) -> Recorded | Skipped:
    """Run the cycle that is due, if one is and nobody else runs it.

    `tell` is called while the lock is still held. Raises LockLostError where the lock expired
    during the cycle, so that its result was not recorded.
    """
    now = now or dt.datetime.now(dt.UTC)
    lease = take(history.store, lock_name(job.name), new_owner(), job.lock_life_s)
    if lease is None:
        return _skipped(log, "another process runs a cycle of this schedule")
    try:
        with lease.kept_alive():
            due = _due(history, job, now)
            if isinstance(due, Skipped):
                return _skipped(log, due.reason)
            recorded = _recorded(history, job, lease, due, log)
            tell(recorded)
            return recorded
    finally:
        lease.release()


def lock_name(schedule: str) -> str:
    """Of a schedule's lock."""
    return f"schedule {schedule}"


def _skipped(log: EventLog, reason: str) -> Skipped:
    log.add("skipped", reason=reason)
    return Skipped(reason)


def _due(history: History, job: Job, now: dt.datetime) -> dt.datetime | Skipped:
    """The due time to work on; with a timetable as `next_step` says, else now."""
    if job.timetable is None:
        return now
    step = next_step(job.timetable, lambda due: state(history, job.name, due), now)
    if step.due_at is not None:
        return step.due_at
    when = step.wait_until.strftime("%Y-%m-%d %H:%M UTC") if step.wait_until else "never"
    return Skipped(f"nothing is due; next {when}")


def _recorded(
    history: History, job: Job, lease: Lease, due: dt.datetime, log: EventLog
) -> Recorded:
    attempt = begin_attempt(history, lease, job.name, due)
    name = instance_name(job.instance)
    incumbent = history.incumbent(name)
    log.add("cycle", schedule=job.name, due_at=due.isoformat(), attempt=attempt, owner=lease.owner)
    began = dt.datetime.now(dt.UTC)
    with tempfile.TemporaryDirectory(prefix="planner-in-force-") as scratch:
        context = CycleContext(
            instance=job.instance,
            folder=new_folder(f"{job.instance.resolve().name}-cycle", job.runs_folder),
            incumbent=incumbent,
            gap=job.gap,
            time_limit_s=job.time_limit_s,
            threads=job.threads,
            margin=job.margin,
            log=log,
            in_force=None if incumbent is None else _written(history, incumbent, Path(scratch)),
            point=None if incumbent is None else _point(incumbent),
            before=_last_decision(history, name),
        )
        result = guarded(job.cycle, context)
    draft = _draft(job, result, began, log)
    decision = DecisionRecord(
        schedule=job.name,
        due_at=due,
        attempt=attempt,
        decision=result.decision,
        reason=result.reason,
        incumbent_run_id=None if incumbent is None else incumbent.run_id,
        regret=result.regret,
        diff=result.diff,
    )
    run = history.record(draft, decision, still_allowed=lease.confirm)
    log.add("recorded", run=run.id, decision=decision.decision, exit_code=run.exit_code)
    return Recorded(run, decision)


def _written(history: History, incumbent: Incumbent, parent: Path) -> Path:
    """The run of the plan in force as a folder again."""
    run_id = incumbent.run_id
    files = ((file.path, history.read(run_id, file.path)) for file in history.files(run_id))
    return write_folder(parent / run_id, files)


def _point(incumbent: Incumbent) -> str | None:
    """The point in force of a front: the folder of its plan has its name."""
    path = Path(incumbent.approval.plan_path or PLAN)
    return None if path == Path(PLAN) else path.parent.name


def _last_decision(history: History, instance: str) -> str | None:
    """``decision.json`` of the instance's last cycle that came to a conclusion, if it left one."""
    for view in history.runs(Filter(instance=instance, kind="cycle"), LOOK_BACK):
        if view.decision is not None and view.decision.decision in CONCLUSIONS:
            paths = {file.path for file in history.files(view.run.id)}
            return history.read(view.run.id, DECISION).decode() if DECISION in paths else None
    return None


def guarded(cycle: RunCycle, context: CycleContext) -> CycleResult:
    """The result of the cycle, whatever goes wrong in it."""
    try:
        return cycle(context)
    except InstanceError as error:
        result = CycleResult("stopped", f"the instance is invalid: {error}", error.exit_code)
    except InfeasibleError as error:
        result = CycleResult("stopped", infeasible(error), error.exit_code)
    except PlannerError as error:
        result = CycleResult("failed", str(error), error.exit_code)
    except Exception as error:
        context.log.add("crash", traceback=traceback.format_exc())
        result = CycleResult("failed", f"unexpected {type(error).__name__}: {error}", 1)
    context.log.add("decided", decision=result.decision, reason=result.reason)
    return result


def infeasible(error: InfeasibleError) -> str:
    """That no plan exists, what conflicts and what would mend it, in one line."""
    told = f"no plan exists (proved): {error.headline}"
    for part in error.conflicts:
        if part.rules:
            told += f"; cannot all hold: {'; '.join(part.rules)}"
        if part.repairs:
            told += f"; what would mend it: {' or '.join(part.repairs)}"
    return told


def _draft(job: Job, result: CycleResult, began: dt.datetime, log: EventLog) -> RunDraft:
    """The cycle's run folder, further inputs and own log, as a draft of kind ``cycle``."""
    files = {} if result.run_folder is None else dict(read_folder(result.run_folder))
    files[CYCLE_LOG] = log.text().encode()
    files |= {f"inputs/{name}": path.read_bytes() for name, path in result.inputs.items()}
    instance = result.instance
    return RunDraft(
        kind="cycle",
        instance=instance_name(job.instance) if instance is None else instance.name,
        instance_sha256=None if instance is None else instance.sha256,
        started_at=began,
        finished_at=dt.datetime.now(dt.UTC),
        exit_code=result.exit_code,
        message="" if result.decision in CONCLUSIONS else result.reason,
        files=tuple(sorted(files.items())),
    )


def instance_name(folder: Path) -> str:
    """The name that the instance's settings give it; of the folder where they cannot be read."""
    import tomllib

    from planner.instance.schema import SETTINGS_FILE

    try:
        name = tomllib.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8")).get("name")
    except (OSError, ValueError):
        name = None
    return name if isinstance(name, str) and name else folder.resolve().name
