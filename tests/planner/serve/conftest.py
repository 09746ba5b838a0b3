"""A history with one of everything, and the application over it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from planner.history import History
from planner.serve.app import create_app
from tests.planner import history_examples as examples

TOKEN = "correct-horse-battery-staple"
REPORT = b"<!doctype html><title>r</title><script>document.title = 'ran'</script>"


@dataclass(frozen=True)
class Runs:
    """Ids of the runs of the example."""

    approved: str
    front: str
    keep: str
    failed: str
    proposal: str
    other: str
    hostile: str


def fill(history: History, folder: Path) -> Runs:
    """One of everything, and a run whose texts try to break out of the page."""
    evil = "<script>alert(1)</script>"
    approved = history.record(examples.plan_draft(**{"report.html": REPORT})).id
    history.approve(approved, "approved", by="Ada Lovelace", reason="the first one")
    front = history.record(examples.front_draft(folder / "front")).id
    keep = history.record(
        examples.cycle_draft(99.0, exit_code=0), examples.decision("keep", 0, approved)
    ).id
    failed = history.record(examples.failed_draft(), examples.decision("failed", 1, approved)).id
    proposal = history.record(examples.cycle_draft(90.0), examples.decision("move", 2, approved)).id
    other = history.record(examples.plan_draft(instance="other")).id
    hostile = history.record(
        examples.failed_draft(instance=evil, message=evil),
        examples.decision("failed", 3, schedule="hostile"),
    ).id
    return Runs(approved, front, keep, failed, proposal, other, hostile)


@pytest.fixture
def runs(history: History, tmp_path: Path) -> Runs:
    return fill(history, tmp_path)


@pytest.fixture
def client(history: History, runs: Runs) -> Iterator[TestClient]:
    app = create_app(history, TOKEN, frozenset({"testserver"}))
    with TestClient(app, follow_redirects=False) as made:
        yield made
