"""Child processes for tests: forked from a clean server that has the heavy imports already."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext

PRELOADED = [
    *("pytest", "psycopg", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite"),
    *("planner.api", "planner.answer", "planner.solve.engine", "planner.verify", "planner.runs"),
    *("planner.history", "planner.history.compare", "planner.schedule.body"),
    *("planner.front.front", "planner.replan.cycle"),
    *("apscheduler.triggers.cron", "apscheduler.triggers.interval"),
]


def context() -> ForkServerContext:
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload(PRELOADED)
    return made
