"""The tables as queries name them; `migrations` makes them, and a test holds the two together."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    BigInteger,
    Double,
    Integer,
    LargeBinary,
    TableClause,
    Text,
    TypeDecorator,
    column,
    table,
)


class UtcTime(TypeDecorator[dt.datetime]):
    """A moment, stored as ISO 8601 text in UTC: sorts as text, reads the same on every engine."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Any) -> str | None:
        """To the store; a time without zone is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"time without zone: {value}")
        return value.astimezone(dt.UTC).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: Any) -> dt.datetime | None:
        """From the store."""
        return None if value is None else dt.datetime.fromisoformat(value)


class SafeText(TypeDecorator[str]):
    """Text that every engine can hold: what is not (NUL, half a character) becomes U+FFFD.

    Messages may quote whatever bytes a damaged file holds; they must not keep a run from being
    recorded.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """To the store, and in comparisons."""
        if value is None:
            return None
        whole = value.encode("utf-8", "replace").decode("utf-8")
        return whole.replace("\x00", "\N{REPLACEMENT CHARACTER}")


CONTENTS = table(
    "contents",
    column("sha256", SafeText),
    column("size_bytes", BigInteger),
    column("body", LargeBinary),
)
"""Files by content, each stored once: `body` is zlib of the bytes whose SHA-256 is the key."""

RUNS = table(
    "runs",
    column("sequence", BigInteger),
    column("id", SafeText),
    column("kind", SafeText),
    column("instance", SafeText),
    column("instance_sha256", SafeText),
    column("started_at", UtcTime),
    column("finished_at", UtcTime),
    column("exit_code", Integer),
    column("message", SafeText),
    column("host", SafeText),
    column("planner_version", SafeText),
)

RUN_FILES = table(
    "run_files",
    column("run_id", SafeText),
    column("path", SafeText),
    column("sha256", SafeText),
)

PLANS = table(
    "plans",
    column("run_id", SafeText),
    column("cost_usd", Double),
    column("carbon_kgco2e", Double),
    column("qoe", Double),
    column("period_hours", Double),
    column("minimised", SafeText),
    column("gap_relative", Double),
    column("status", SafeText),
)

FRONTS = table(
    "fronts",
    column("run_id", SafeText),
    column("points", Integer),
    column("epsilon", Double),
    column("complete", Integer),
    column("least_cost_usd", Double),
    column("least_carbon_kgco2e", Double),
    column("best_qoe", Double),
)

DECISIONS = table(
    "decisions",
    column("run_id", SafeText),
    column("schedule", SafeText),
    column("due_at", UtcTime),
    column("attempt", Integer),
    column("decision", SafeText),
    column("reason", SafeText),
    column("incumbent_run_id", SafeText),
    column("regret_low", Double),
    column("regret_high", Double),
    column("regret_unit", SafeText),
    column("diff", SafeText),
)

APPROVALS = table(
    "approvals",
    column("sequence", BigInteger),
    column("run_id", SafeText),
    column("verdict", SafeText),
    column("approved_by", SafeText),
    column("reason", SafeText),
    column("approved_at", UtcTime),
    column("plan_path", SafeText),
)

ATTEMPTS = table(
    "attempts",
    column("schedule", SafeText),
    column("due_at", UtcTime),
    column("attempt", Integer),
    column("owner", SafeText),
    column("fence", BigInteger),
    column("started_at", UtcTime),
)

DELIVERIES = table(
    "deliveries",
    column("sequence", BigInteger),
    column("run_id", SafeText),
    column("channel", SafeText),
    column("delivered", Integer),
    column("detail", SafeText),
    column("tried_at", UtcTime),
)

LOCKS = table(
    "locks",
    column("name", SafeText),
    column("owner", SafeText),
    column("fence", BigInteger),
    column("acquired_s", Double),
    column("heartbeat_s", Double),
    column("expires_s", Double),
)
"""The one table that changes; times are seconds since 1970 by the clock of the store."""

FACTS: tuple[TableClause, ...] = (
    *(CONTENTS, RUNS, RUN_FILES, PLANS, FRONTS),
    *(DECISIONS, APPROVALS, ATTEMPTS, DELIVERIES),
)
"""Tables in which nothing is ever changed or deleted."""
