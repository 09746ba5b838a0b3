"""What is asked of the tables, each question once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, or_, select

from planner.errors import UnknownRunError
from planner.history.records import (
    ApprovalRecord,
    DecisionRecord,
    FrontSummary,
    Kind,
    PlanSummary,
    Regret,
    RunFile,
    RunRecord,
    RunView,
    State,
    from_columns,
)
from planner.history.schema import APPROVALS, CONTENTS, DECISIONS, FRONTS, PLANS, RUN_FILES, RUNS

CONCLUSIONS = ("keep", "move", "undecided")
"""Decisions that overtake an older proposal of the same instance."""
MOST_SUGGESTED = 5
PARAMETERS_AT_ONCE = 500
"""Of one statement; engines have a limit."""
RUN_ID = re.compile(r"[a-z0-9-]{1,80}")


@dataclass(frozen=True)
class Filter:
    """Which runs; None: any."""

    instance: str | None = None
    kind: Kind | None = None
    decision: str | None = None
    awaiting: bool = False
    """proposals that wait for approval only"""
    before: int | None = None
    """of a smaller sequence only: the next page"""


def _joined() -> Select[Any]:
    """Every column of a run and what is known of it, prefixed by the table's name.

    `superseded`: a newer cycle came to a conclusion, or the plan in force is another one than
    the cycle compared with.
    """
    newer = DECISIONS.alias("newer")
    newer_runs = RUNS.alias("newer_runs")
    later = APPROVALS.alias("later")
    later_runs = RUNS.alias("later_runs")
    held = APPROVALS.alias("held")
    overtaken_by_cycle = exists().where(
        newer.c.run_id == newer_runs.c.id,
        newer_runs.c.instance == RUNS.c.instance,
        newer_runs.c.sequence > RUNS.c.sequence,
        newer.c.decision.in_(CONCLUSIONS),
    )
    overtaken_by_approval = exists().where(
        later.c.run_id == later_runs.c.id,
        later_runs.c.instance == RUNS.c.instance,
        later_runs.c.id != RUNS.c.id,
        later.c.verdict == "approved",
        later.c.sequence > func.coalesce(held.c.sequence, 0),
    )
    superseded = and_(
        DECISIONS.c.run_id.is_not(None), or_(overtaken_by_cycle, overtaken_by_approval)
    )
    columns = [
        column.label(f"{table.name}_{column.name}")
        for table in (RUNS, PLANS, FRONTS, DECISIONS, APPROVALS)
        for column in table.columns
    ]
    return (
        select(*columns, superseded.label("superseded"))
        .select_from(RUNS)
        .outerjoin(PLANS, PLANS.c.run_id == RUNS.c.id)
        .outerjoin(FRONTS, FRONTS.c.run_id == RUNS.c.id)
        .outerjoin(DECISIONS, DECISIONS.c.run_id == RUNS.c.id)
        .outerjoin(APPROVALS, APPROVALS.c.run_id == RUNS.c.id)
        .outerjoin(held, held.c.run_id == DECISIONS.c.incumbent_run_id)
    )


def run_view(connection: Connection, run_id: str) -> RunView:
    """A run; UnknownRunError where there is none."""
    row = connection.execute(_joined().where(RUNS.c.id == run_id)).one_or_none()
    if row is None:
        raise UnknownRunError(f"the history has no run {run_id!r}")
    return _view(dict(row._mapping))


def run_views(connection: Connection, wanted: Filter, limit: int) -> tuple[RunView, ...]:
    """Newest first, at most `limit`."""
    query = _joined()
    if wanted.instance is not None:
        query = query.where(RUNS.c.instance == wanted.instance)
    if wanted.kind is not None:
        query = query.where(RUNS.c.kind == wanted.kind)
    if wanted.decision is not None:
        query = query.where(DECISIONS.c.decision == wanted.decision)
    if wanted.before is not None:
        query = query.where(RUNS.c.sequence < wanted.before)
    if wanted.awaiting:
        query = query.where(
            RUNS.c.sequence.in_(_last_conclusions()),
            DECISIONS.c.decision == "move",
            APPROVALS.c.run_id.is_(None),
        )
        inner = query.subquery()
        query = select(inner).where(~inner.c.superseded).order_by(inner.c.runs_sequence.desc())
    else:
        query = query.order_by(RUNS.c.sequence.desc())
    rows = connection.execute(query.limit(limit))
    return tuple(_view(dict(row._mapping)) for row in rows)


def _last_conclusions() -> Select[Any]:
    """Sequence of the newest cycle of every instance that came to a conclusion.

    Only those can await approval; the engine then need not look at every proposal ever made.
    """
    return (
        select(func.max(RUNS.c.sequence))
        .join_from(DECISIONS, RUNS, RUNS.c.id == DECISIONS.c.run_id)
        .where(DECISIONS.c.decision.in_(CONCLUSIONS))
        .group_by(RUNS.c.instance)
    )


def _view(row: dict[str, Any]) -> RunView:
    plan = front = decision = approval = None
    if row["plans_run_id"] is not None:
        plan = from_columns(PlanSummary, row, "plans_")
    if row["fronts_run_id"] is not None:
        row["fronts_complete"] = bool(row["fronts_complete"])
        front = from_columns(FrontSummary, row, "fronts_")
    if row["decisions_run_id"] is not None:
        row["decisions_regret"] = None
        if row["decisions_regret_unit"] is not None:
            row["decisions_regret"] = from_columns(Regret, row, "decisions_regret_")
        decision = from_columns(DecisionRecord, row, "decisions_")
    if row["approvals_run_id"] is not None:
        approval = from_columns(ApprovalRecord, row, "approvals_")
    state: State | None = None if approval is None else approval.verdict
    superseded = bool(row["superseded"])
    if approval is None and decision is not None and decision.decision == "move":
        state = "superseded" if superseded else "awaiting approval"
    run = from_columns(RunRecord, row, "runs_")
    return RunView(run, plan, front, decision, approval, state, superseded)


def find(connection: Connection, name: str) -> str:
    """Id of the run of that id, unique beginning of an id, or ``latest``."""
    if name == "latest":
        newest = connection.execute(select(RUNS.c.id).order_by(RUNS.c.sequence.desc()).limit(1))
        found = newest.scalar_one_or_none()
        if found is None:
            raise UnknownRunError("the history has no runs yet")
        return str(found)
    if not RUN_ID.fullmatch(name):
        raise UnknownRunError(f"{name!r} is not the id of a run; `planner history list` shows them")
    begins = RUNS.c.id.startswith(name, autoescape=True)
    query = select(RUNS.c.id).where(begins).order_by(RUNS.c.id).limit(MOST_SUGGESTED + 1)
    ids = [str(found) for found in connection.execute(query).scalars()]
    if name in ids or len(ids) == 1:
        return name if name in ids else ids[0]
    if not ids:
        raise UnknownRunError(f"the history has no run {name!r}; `planner history list` shows them")
    more = ", ..." if len(ids) > MOST_SUGGESTED else ""
    raise UnknownRunError(f"{name!r} begins several runs: {', '.join(ids[:MOST_SUGGESTED])}{more}")


def files(connection: Connection, run_id: str) -> tuple[RunFile, ...]:
    """The files of a run, by path."""
    query = (
        select(RUN_FILES.c.path, RUN_FILES.c.sha256, CONTENTS.c.size_bytes)
        .join_from(RUN_FILES, CONTENTS, CONTENTS.c.sha256 == RUN_FILES.c.sha256)
        .where(RUN_FILES.c.run_id == run_id)
        .order_by(RUN_FILES.c.path)
    )
    return tuple(RunFile(*row) for row in connection.execute(query))


def content(connection: Connection, run_id: str, path: str) -> tuple[str, bytes] | None:
    """Hash and compressed body of a run's file; None where it has no such file."""
    row = connection.execute(
        select(CONTENTS.c.sha256, CONTENTS.c.body)
        .join_from(RUN_FILES, CONTENTS, CONTENTS.c.sha256 == RUN_FILES.c.sha256)
        .where(RUN_FILES.c.run_id == run_id, RUN_FILES.c.path == path)
    ).one_or_none()
    return None if row is None else (row.sha256, row.body)


def known_contents(connection: Connection, hashes: list[str]) -> set[str]:
    """Those of the hashes whose content is stored."""
    known: set[str] = set()
    for start in range(0, len(hashes), PARAMETERS_AT_ONCE):
        some = hashes[start : start + PARAMETERS_AT_ONCE]
        query = select(CONTENTS.c.sha256).where(CONTENTS.c.sha256.in_(some))
        known.update(connection.execute(query).scalars())
    return known


def last_approval(connection: Connection, instance: str) -> tuple[str, ApprovalRecord] | None:
    """Run and approval of the plan in force of an instance."""
    query = (
        select(APPROVALS)
        .join_from(APPROVALS, RUNS, RUNS.c.id == APPROVALS.c.run_id)
        .where(RUNS.c.instance == instance, APPROVALS.c.verdict == "approved")
        .order_by(APPROVALS.c.sequence.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    return str(row.run_id), from_columns(ApprovalRecord, dict(row._mapping))


def count_by_decision(connection: Connection) -> dict[tuple[str, str], int]:
    """(schedule, decision) -> number of cycles."""
    query = select(DECISIONS.c.schedule, DECISIONS.c.decision, func.count()).group_by(
        DECISIONS.c.schedule, DECISIONS.c.decision
    )
    return {(str(s), str(d)): int(n) for s, d, n in connection.execute(query)}
