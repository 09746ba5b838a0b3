"""Stores for the tests of history, schedule and browser: SQLite, and a real Postgres (slow)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from planner.history import History
from tests.planner.postgres_server import new_place, running_server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Path]:
    with running_server() as folder:
        yield folder


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a history may be begun, on both engines."""
    if request.param == "sqlite":
        return str(tmp_path / "store" / "history.db")
    return new_place(request.getfixturevalue("postgres_server"))


@pytest.fixture
def history(store_url: str) -> Iterator[History]:
    with History.open(store_url, create=True) as opened:
        yield opened
