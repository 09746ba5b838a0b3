"""The schema, as numbered steps; a new store takes all of them, an older one those it lacks.

A step is SQL that SQLite and Postgres both understand; `TYPES` holds the words in which they
differ. It runs in one transaction under a lock, so of several processes that open a store at once
one upgrades it and a kill leaves the store as it was. Steps are never edited, only added.

Why not Alembic: steps of an append-only store only ever add, so there is nothing to generate,
branch or revert; the lock around the upgrade and the append-only triggers would be ours anyway.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, inspect, text

from planner.errors import HistoryError

TYPES = {
    "sqlite": {"id": "INTEGER PRIMARY KEY AUTOINCREMENT", "blob": "BLOB", "real": "REAL"},
    "postgresql": {
        "id": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        "blob": "BYTEA",
        "real": "DOUBLE PRECISION",
    },
}
UPGRADE_LOCK = 7_305_808_869_231_650_668
"""Number of the advisory lock on Postgres; any number nobody else uses."""


@dataclass(frozen=True)
class Migration:
    """One step: what it brings, and the tables in which nothing is ever changed or deleted."""

    version: int
    what: str
    statements: tuple[str, ...]
    append_only: tuple[str, ...]


MIGRATIONS = (
    Migration(
        1,
        "runs, with their files by content, their plans and fronts",
        (
            """CREATE TABLE contents (
                sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64),
                size_bytes BIGINT NOT NULL,
                body {blob} NOT NULL
            )""",
            """CREATE TABLE runs (
                sequence {id},
                id TEXT NOT NULL UNIQUE,
                kind TEXT NOT NULL CHECK (kind IN ('plan', 'front', 'cycle')),
                instance TEXT NOT NULL,
                instance_sha256 TEXT,
                started_at TEXT NOT NULL,
                finished_at TEXT NOT NULL,
                exit_code INTEGER NOT NULL,
                message TEXT NOT NULL,
                host TEXT NOT NULL,
                planner_version TEXT NOT NULL
            )""",
            "CREATE INDEX runs_by_instance ON runs (instance, sequence)",
            """CREATE TABLE run_files (
                run_id TEXT NOT NULL REFERENCES runs (id),
                path TEXT NOT NULL,
                sha256 TEXT NOT NULL REFERENCES contents (sha256),
                PRIMARY KEY (run_id, path)
            )""",
            """CREATE TABLE plans (
                run_id TEXT PRIMARY KEY REFERENCES runs (id),
                cost_usd {real} NOT NULL,
                carbon_kgco2e {real} NOT NULL,
                qoe {real} NOT NULL,
                period_hours {real} NOT NULL,
                minimised TEXT NOT NULL,
                gap_relative {real} NOT NULL,
                status TEXT NOT NULL
            )""",
            """CREATE TABLE fronts (
                run_id TEXT PRIMARY KEY REFERENCES runs (id),
                points INTEGER NOT NULL,
                epsilon {real},
                complete INTEGER NOT NULL,
                least_cost_usd {real} NOT NULL,
                least_carbon_kgco2e {real} NOT NULL,
                best_qoe {real} NOT NULL
            )""",
        ),
        ("contents", "runs", "run_files", "plans", "fronts"),
    ),
    Migration(
        2,
        "decisions of re-planning cycles, and who approved what",
        (
            """CREATE TABLE decisions (
                run_id TEXT PRIMARY KEY REFERENCES runs (id),
                schedule TEXT NOT NULL,
                due_at TEXT NOT NULL,
                attempt INTEGER NOT NULL,
                decision TEXT NOT NULL
                    CHECK (decision IN ('keep', 'move', 'undecided', 'stopped', 'failed')),
                reason TEXT NOT NULL,
                incumbent_run_id TEXT REFERENCES runs (id),
                regret_low {real},
                regret_high {real},
                regret_unit TEXT,
                diff TEXT NOT NULL,
                UNIQUE (schedule, due_at, attempt)
            )""",
            """CREATE UNIQUE INDEX one_outcome_per_due_time ON decisions (schedule, due_at)
                WHERE decision <> 'failed'""",
            """CREATE TABLE approvals (
                sequence {id},
                run_id TEXT NOT NULL UNIQUE REFERENCES runs (id),
                verdict TEXT NOT NULL CHECK (verdict IN ('approved', 'rejected')),
                approved_by TEXT NOT NULL,
                reason TEXT NOT NULL,
                approved_at TEXT NOT NULL,
                plan_path TEXT
            )""",
        ),
        ("decisions", "approvals"),
    ),
    Migration(
        3,
        "locks, attempts of cycles, and notifications sent",
        (
            """CREATE TABLE locks (
                name TEXT PRIMARY KEY,
                owner TEXT NOT NULL,
                fence BIGINT NOT NULL,
                acquired_s {real} NOT NULL,
                heartbeat_s {real} NOT NULL,
                expires_s {real} NOT NULL
            )""",
            """CREATE TABLE attempts (
                schedule TEXT NOT NULL,
                due_at TEXT NOT NULL,
                attempt INTEGER NOT NULL,
                owner TEXT NOT NULL,
                fence BIGINT NOT NULL,
                started_at TEXT NOT NULL,
                PRIMARY KEY (schedule, due_at, attempt)
            )""",
            """CREATE TABLE deliveries (
                sequence {id},
                run_id TEXT NOT NULL REFERENCES runs (id),
                channel TEXT NOT NULL,
                delivered INTEGER NOT NULL,
                detail TEXT NOT NULL,
                tried_at TEXT NOT NULL
            )""",
            "CREATE INDEX deliveries_by_run ON deliveries (run_id, channel)",
        ),
        ("attempts", "deliveries"),
    ),
)
NEWEST = MIGRATIONS[-1].version


def version_of(connection: Connection) -> int:
    """Version of the store; 0: nothing of ours is there yet."""
    if not inspect(connection).has_table("schema_versions"):
        return 0
    found = connection.execute(text("SELECT max(version) FROM schema_versions")).scalar()
    return int(found or 0)


def upgrade(connection: Connection, target: int = NEWEST) -> None:
    """Take the missing steps, inside the caller's writing transaction.

    HistoryError where the store was made by a newer planner.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": UPGRADE_LOCK})
    held = version_of(connection)
    check_version(held)
    if held == 0:
        create = "CREATE TABLE schema_versions (version INTEGER PRIMARY KEY, upgraded_at TEXT)"
        connection.execute(text(create))
    for migration in MIGRATIONS:
        if held < migration.version <= target:
            _take(connection, migration)


def check_version(version: int) -> None:
    """HistoryError where the store has steps that this planner does not know."""
    if version > NEWEST:
        raise HistoryError(
            f"the history has schema version {version}, this planner knows {NEWEST}: "
            "it was opened by a newer planner; upgrade this one"
        )


def _take(connection: Connection, migration: Migration) -> None:
    dialect = connection.dialect.name
    for statement in migration.statements:
        connection.execute(text(statement.format(**TYPES[dialect])))
    for table in migration.append_only:
        for statement in append_only_triggers(table, dialect):
            connection.execute(text(statement))
    connection.execute(
        text("INSERT INTO schema_versions VALUES (:version, :now)"),
        {"version": migration.version, "now": dt.datetime.now(dt.UTC).isoformat()},
    )


def append_only_triggers(table: str, dialect: str) -> tuple[str, ...]:
    """Statements after which the engine itself refuses to change or delete rows of a table."""
    if dialect == "sqlite":
        return tuple(
            f"CREATE TRIGGER {table}_no_{event.lower()} BEFORE {event} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, 'history is append-only: {table}'); END"
            for event in ("UPDATE", "DELETE")
        )
    return (
        "CREATE OR REPLACE FUNCTION history_is_append_only() RETURNS trigger AS $$ "
        "BEGIN RAISE EXCEPTION 'history is append-only: %', TG_TABLE_NAME; END "
        "$$ LANGUAGE plpgsql",
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only()",
    )
