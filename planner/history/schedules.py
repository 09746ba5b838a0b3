"""What the history knows of schedules: derived from attempts and decisions, stored nowhere else."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from planner.history.history import History
from planner.history.locks import Lease
from planner.history.schema import ATTEMPTS, DECISIONS, DELIVERIES, RUNS, UtcTime


@dataclass(frozen=True)
class ScheduleState:
    """How far a schedule has come, seen from one due time."""

    settled_until: dt.datetime | None
    """the last due time with an outcome other than ``failed``"""
    attempts: int
    """for the due time asked about, killed ones included"""
    last_attempt_at: dt.datetime | None


@dataclass(frozen=True)
class ScheduleSummary:
    """A schedule as its watchers are judged by."""

    name: str
    last_run_id: str
    last_decision: str
    last_finished_at: dt.datetime
    last_took_s: float
    settled_at: dt.datetime | None
    """end of the last cycle that did not fail"""
    failures_in_a_row: int


def state(history: History, schedule: str, due_at: dt.datetime) -> ScheduleState:
    """How far the schedule has come, and how often the due time was tried."""
    with history.store.reading() as connection:
        settled = connection.execute(
            select(func.max(DECISIONS.c.due_at, type_=UtcTime)).where(
                DECISIONS.c.schedule == schedule, DECISIONS.c.decision != "failed"
            )
        ).scalar_one()
        tried = connection.execute(
            select(func.count(), func.max(ATTEMPTS.c.started_at, type_=UtcTime)).where(
                ATTEMPTS.c.schedule == schedule, ATTEMPTS.c.due_at == due_at
            )
        ).one()
    return ScheduleState(settled, int(tried[0]), tried[1])


def begin_attempt(history: History, lease: Lease, schedule: str, due_at: dt.datetime) -> int:
    """Note that a cycle begins; the number of the attempt. LockLostError where another acts."""

    def work(connection: Connection) -> int:
        lease.confirm(connection)
        same = (ATTEMPTS.c.schedule == schedule) & (ATTEMPTS.c.due_at == due_at)
        last = connection.execute(select(func.max(ATTEMPTS.c.attempt)).where(same)).scalar_one()
        attempt = int(last or 0) + 1
        connection.execute(
            insert(ATTEMPTS).values(
                schedule=schedule,
                due_at=due_at,
                attempt=attempt,
                owner=lease.owner,
                fence=lease.fence,
                started_at=dt.datetime.now(dt.UTC),
            )
        )
        return attempt

    return history.store.write(work)


def summaries(history: History) -> tuple[ScheduleSummary, ...]:
    """Every schedule that ever ran a cycle, by name."""
    with history.store.reading() as connection:
        names = connection.execute(
            select(DECISIONS.c.schedule).distinct().order_by(DECISIONS.c.schedule)
        ).scalars()
        return tuple(_summary(connection, str(name)) for name in names)


def _summary(connection: Connection, name: str) -> ScheduleSummary:
    cycles = (
        select(DECISIONS.c.decision, RUNS.c.id, RUNS.c.sequence, RUNS.c.started_at,
               RUNS.c.finished_at)
        .join_from(DECISIONS, RUNS, RUNS.c.id == DECISIONS.c.run_id)
        .where(DECISIONS.c.schedule == name)
        .order_by(RUNS.c.sequence.desc())
    )  # fmt: skip
    last = connection.execute(cycles.limit(1)).one()
    good = connection.execute(cycles.where(DECISIONS.c.decision != "failed").limit(1)).one_or_none()
    failures = connection.execute(
        select(func.count()).select_from(
            cycles.where(RUNS.c.sequence > (0 if good is None else good.sequence)).subquery()
        )
    ).scalar_one()
    return ScheduleSummary(
        name,
        last.id,
        last.decision,
        last.finished_at,
        (last.finished_at - last.started_at).total_seconds(),
        None if good is None else good.finished_at,
        int(failures),
    )


# ------------------------------------------------------------------ notifications


def undelivered(
    history: History,
    schedule: str,
    channel: str,
    decisions: tuple[str, ...],
    since: dt.datetime,
    most_tries: int,
) -> tuple[str, ...]:
    """Runs with one of the decisions, ended after `since`, that the channel has to hear of."""
    tries = (
        select(DELIVERIES.c.run_id, func.count().label("tries"),
               func.max(DELIVERIES.c.delivered).label("delivered"))
        .where(DELIVERIES.c.channel == channel)
        .group_by(DELIVERIES.c.run_id)
        .subquery()
    )  # fmt: skip
    query = (
        select(DECISIONS.c.run_id)
        .join_from(DECISIONS, RUNS, RUNS.c.id == DECISIONS.c.run_id)
        .outerjoin(tries, tries.c.run_id == DECISIONS.c.run_id)
        .where(
            DECISIONS.c.schedule == schedule,
            DECISIONS.c.decision.in_(decisions),
            RUNS.c.finished_at >= since,
            func.coalesce(tries.c.delivered, 0) == 0,
            func.coalesce(tries.c.tries, 0) < most_tries,
        )
        .order_by(RUNS.c.sequence)
    )
    with history.store.reading() as connection:
        return tuple(connection.execute(query).scalars())


def record_delivery(
    history: History, run_id: str, channel: str, *, delivered: bool, detail: str
) -> None:
    """Note that a channel was told of a run, or that it could not be."""
    row = {
        "run_id": run_id,
        "channel": channel,
        "delivered": int(delivered),
        "detail": detail,
        "tried_at": dt.datetime.now(dt.UTC),
    }
    history.store.write(lambda connection: connection.execute(insert(DELIVERIES).values(row)))
