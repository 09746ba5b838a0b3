"""The history of runs, decisions and approvals, in SQLite or Postgres."""

from planner.history.history import History
from planner.history.queries import Filter

__all__ = ["Filter", "History"]
