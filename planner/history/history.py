"""History: everything that was planned and decided, by whom, from which inputs; append-only.

::

    history = History.open("runs/history.db", create=True)     # or postgresql://user@host/database
    record = history.record(draft_of(run_folder))
    history.approve(record.id, "approved", by="Ada")
    history.incumbent("reference").plan

Runs, decisions and approvals are facts: code only ever inserts them, and triggers of the store
refuse changes. A plan in force is derived: it is the one approved last for an instance's name.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from sqlalchemy import Connection, TableClause, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from planner.errors import ApprovalError, HistoryError, RunError, UnknownRunError
from planner.history import queries
from planner.history.engine import Store
from planner.history.folders import FRONT, plan_of
from planner.history.records import (
    ApprovalRecord,
    DecisionRecord,
    Incumbent,
    RunDraft,
    RunFile,
    RunRecord,
    RunView,
    Verdict,
)
from planner.history.schema import (
    APPROVALS,
    CONTENTS,
    DECISIONS,
    FRONTS,
    PLANS,
    RUN_FILES,
    RUNS,
)
from planner.plan import Plan
from planner.runs import PLAN

LONGEST_TEXT = 200
"""Of a name or point that a person types."""


class History:
    """An open history; threads may share it. Made by `open`."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    @contextmanager
    def open(cls, url: str, *, create: bool = False) -> Iterator[History]:
        """The history in a file or at a URL; with `create` a new one is begun where none is.

        HistoryError says what is wrong with the place or the store.
        """
        store = Store(url, create=create)
        try:
            yield cls(store)
        finally:
            store.close()

    # ------------------------------------------------------------------ facts in

    def record(
        self,
        draft: RunDraft,
        decision: DecisionRecord | None = None,
        *,
        still_allowed: Callable[[Connection], None] | None = None,
    ) -> RunRecord:
        """Keep a run, its files and, of a cycle, what it decided: all at once or nothing.

        `still_allowed` is called first inside the transaction and raises to forbid it (a lock that
        was lost). RunError where the plan or front is damaged; HistoryError where the store
        refuses, as for a second outcome of one due time.
        """
        bodies = {path: _content_row(content) for path, content in draft.files}
        run_id = _new_id(draft)
        run = {
            "id": run_id,
            "kind": draft.kind,
            "instance": draft.instance,
            "instance_sha256": draft.instance_sha256,
            "started_at": draft.started_at,
            "finished_at": draft.finished_at,
            "exit_code": draft.exit_code,
            "message": draft.message,
            "host": socket.gethostname(),
            "planner_version": version("fleet-planner"),
        }
        summaries = _summaries(dict(draft.files), run_id)

        def work(connection: Connection) -> int:
            if still_allowed is not None:
                still_allowed(connection)
            self._keep_contents(connection, list(bodies.values()))
            sequence = connection.execute(
                self._insert(RUNS).values(run).returning(RUNS.c.sequence)
            ).scalar_one()
            files = [
                {"run_id": run_id, "path": path, "sha256": row["sha256"]}
                for path, row in bodies.items()
            ]
            if files:
                connection.execute(self._insert(RUN_FILES), files)
            for table, row in summaries:
                connection.execute(self._insert(table).values(row))
            if decision is not None:
                connection.execute(self._insert(DECISIONS).values(_decision_row(run_id, decision)))
            return int(sequence)

        sequence = self.store.write(work)
        return RunRecord(sequence, **run)  # type: ignore[arg-type]

    def approve(
        self, run_id: str, verdict: Verdict, *, by: str, reason: str = "", point: str | None = None
    ) -> ApprovalRecord:
        """Approve or reject the plan of a run, once; an approved one is in force from now on.

        Of a front, `point` names the plan. ApprovalError where the run holds no such plan, was
        decided on before, or was overtaken by a newer cycle or approval.
        """
        by, reason = by.strip(), reason.strip()
        if not by or len(by) > LONGEST_TEXT:
            raise ApprovalError(f"say who decides: a name of 1 to {LONGEST_TEXT} characters")
        if verdict == "rejected" and not reason:
            raise ApprovalError("a rejection needs a reason")
        plan_path = self._plan_path(run_id, point)
        made = ApprovalRecord(verdict, by, reason, dt.datetime.now(dt.UTC), plan_path)

        def work(connection: Connection) -> None:
            if not self.store.is_sqlite:  # whose writers come one at a time anyway
                connection.execute(text("LOCK TABLE approvals IN SHARE ROW EXCLUSIVE MODE"))
            view = queries.run_view(connection, run_id)
            _check_open(view)
            connection.execute(
                self._insert(APPROVALS).values(
                    run_id=run_id,
                    verdict=made.verdict,
                    approved_by=made.approved_by,
                    reason=made.reason,
                    approved_at=made.approved_at,
                    plan_path=made.plan_path,
                )
            )

        try:
            self.store.write(work)
        except HistoryError as error:
            if isinstance(error.__cause__, IntegrityError):
                _check_open(self.run(run_id))
            raise
        return made

    def _plan_path(self, run_id: str, point: str | None) -> str:
        view = self.run(run_id)
        if view.front is None:
            if point is not None:
                raise ApprovalError(f"{run_id} is no front: it has no point {point!r}")
            if view.plan is None:
                raise ApprovalError(f"{run_id} holds no plan: there is nothing to approve")
            return PLAN
        from planner.front.front import Front

        if point is None:
            raise ApprovalError(f"{run_id} is a front: name the plan with --point")
        front = Front.from_json(self.read(run_id, FRONT).decode())
        return front.point(point).plan

    def _keep_contents(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        """Bodies not stored yet, in one order: two writers never wait for each other."""
        unique = {row["sha256"]: row for row in rows}
        known = queries.known_contents(connection, list(unique))
        new = [unique[sha256] for sha256 in sorted(set(unique) - known)]
        if new:
            connection.execute(self._insert(CONTENTS).on_conflict_do_nothing(), new)

    def _insert(self, table: TableClause) -> Any:
        return sqlite.insert(table) if self.store.is_sqlite else postgresql.insert(table)

    # ------------------------------------------------------------------ facts out

    def find(self, name: str) -> str:
        """Id of the run of that id, unique beginning of an id, or ``latest``."""
        with self.store.reading() as connection:
            return queries.find(connection, name)

    def run(self, run_id: str) -> RunView:
        """A run; UnknownRunError where there is none."""
        with self.store.reading() as connection:
            return queries.run_view(connection, run_id)

    def runs(self, wanted: queries.Filter, limit: int = 50) -> tuple[RunView, ...]:
        """Newest first, at most `limit`; `wanted.before` goes on after an earlier page."""
        with self.store.reading() as connection:
            return queries.run_views(connection, wanted, limit)

    def instances(self) -> tuple[str, ...]:
        """Names of the instances that have runs."""
        with self.store.reading() as connection:
            names = connection.execute(select(RUNS.c.instance).distinct().order_by(RUNS.c.instance))
            return tuple(names.scalars())

    def files(self, run_id: str) -> tuple[RunFile, ...]:
        """The files of a run, by path."""
        with self.store.reading() as connection:
            return queries.files(connection, run_id)

    def read(self, run_id: str, path: str) -> bytes:
        """Content of a run's file, checked against its hash; UnknownRunError if none."""
        with self.store.reading() as connection:
            stored = queries.content(connection, run_id, path)
        if stored is None:
            raise UnknownRunError(f"{run_id} has no file {path!r}")
        return _unpacked(*stored)

    def plan(self, run_id: str, path: str = PLAN) -> Plan:
        """The plan of a run; of a front, the one at `path`."""
        return plan_of(self.read(run_id, path))

    def incumbent(self, instance: str) -> Incumbent | None:
        """The plan in force of an instance; None: nothing was approved yet."""
        with self.store.reading() as connection:
            found = queries.last_approval(connection, instance)
        if found is None:
            return None
        run_id, approval = found
        return Incumbent(instance, run_id, approval, self.plan(run_id, approval.plan_path or PLAN))

    def check(self) -> tuple[int, list[str]]:
        """Read everything: the number of contents, and what is damaged, in words."""
        problems = []
        with self.store.reading() as connection:
            count = 0
            rows = select(CONTENTS.c.sha256, CONTENTS.c.body)
            for row in connection.execution_options(yield_per=50).execute(rows):
                count += 1
                try:
                    _unpacked(row.sha256, row.body)
                except HistoryError as error:
                    problems.append(str(error))
            orphans = connection.execute(
                select(func.count())
                .select_from(RUN_FILES)
                .where(~select(CONTENTS).where(CONTENTS.c.sha256 == RUN_FILES.c.sha256).exists())
            ).scalar_one()
        if orphans:
            problems.append(f"{orphans} files have lost their content")
        return count, problems


# ------------------------------------------------------------------ rows


def _new_id(draft: RunDraft) -> str:
    """``reference-20260715-120301-3f9a2c``: name, start in UTC, and chance against collisions."""
    name = re.sub(r"[^a-z0-9]+", "-", draft.instance.lower()).strip("-")[:40] or "run"
    stamp = draft.started_at.astimezone(dt.UTC).strftime("%Y%m%d-%H%M%S")
    return f"{name}-{stamp}-{secrets.token_hex(3)}"


def _content_row(content: bytes) -> dict[str, Any]:
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "body": zlib.compress(content),
    }


def _unpacked(sha256: str, body: bytes) -> bytes:
    try:
        content = zlib.decompress(body)
    except zlib.error as error:
        raise HistoryError(f"content {sha256} is damaged: {error}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise HistoryError(f"content {sha256} is damaged: its hash differs")
    return content


def _summaries(files: dict[str, bytes], run_id: str) -> list[tuple[TableClause, dict[str, Any]]]:
    """Rows of the plan and the front that the files hold; RunError where one is damaged."""
    rows: list[tuple[TableClause, dict[str, Any]]] = []
    if PLAN in files:
        plan = plan_of(files[PLAN])
        row = {
            "run_id": run_id,
            "cost_usd": plan.objectives.cost_usd,
            "carbon_kgco2e": plan.objectives.carbon_kgco2e,
            "qoe": plan.objectives.qoe,
            "period_hours": plan.period_hours,
            "minimised": plan.certificate.minimised,
            "gap_relative": plan.certificate.gap_relative,
            "status": plan.certificate.status,
        }
        rows.append((PLANS, row))
    if FRONT in files:
        from planner.front.front import Front

        front = Front.from_json(files[FRONT].decode())
        if not front.points:
            raise RunError("the front has no points")
        row = {
            "run_id": run_id,
            "points": len(front.points),
            "epsilon": front.certificate.epsilon,
            "complete": int(front.certificate.complete),
            "least_cost_usd": front.ideal.cost_usd,
            "least_carbon_kgco2e": front.ideal.carbon_kgco2e,
            "best_qoe": front.ideal.qoe,
        }
        rows.append((FRONTS, row))
    return rows


def _decision_row(run_id: str, decision: DecisionRecord) -> dict[str, Any]:
    regret = decision.regret
    return {
        "run_id": run_id,
        "schedule": decision.schedule,
        "due_at": decision.due_at,
        "attempt": decision.attempt,
        "decision": decision.decision,
        "reason": decision.reason,
        "incumbent_run_id": decision.incumbent_run_id,
        "regret_low": None if regret is None else regret.low,
        "regret_high": None if regret is None else regret.high,
        "regret_unit": None if regret is None else regret.unit,
        "diff": decision.diff,
    }


def _check_open(view: RunView) -> None:
    """ApprovalError where nobody may decide on the run any more."""
    if view.approval is not None:
        told = view.approval
        when = told.approved_at.strftime("%Y-%m-%d %H:%M UTC")
        raise ApprovalError(f"{view.run.id} was {told.verdict} by {told.approved_by} on {when}")
    if view.superseded:
        raise ApprovalError(
            f"{view.run.id} is superseded: a newer cycle or approval of {view.run.instance} "
            "came after it; decide on that one, or run another cycle"
        )
