"""kill -9 at any moment of a cycle: nothing recorded is lost, nothing is doubled, work goes on."""

from __future__ import annotations

import datetime as dt
import random
import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from planner.history import Filter, History
from planner.history.locks import holder
from planner.logs import EventLog
from planner.replan.cycle import run_cycle
from planner.schedule.body import Job, Recorded, lock_name, run_once
from planner.schedule.cycle import RunCycle
from planner.schedule.timetable import parse
from tests.planner import processes
from tests.planner.schedule import cycles

TINY = Path(__file__).resolve().parents[3] / "instances" / "tiny"
FIRST_DUE = dt.datetime(2096, 7, 15, 12, 0, tzinfo=dt.UTC)
"""Far away: attempts are timed by the real clock, and their pauses are long over by then."""
KILLS = 100
LOCK_LIFE_S = 0.5


def job(runs: Path, cycle: RunCycle) -> Job:
    timetable = parse("6h", None)
    return Job(TINY, "tiny", timetable, cycle, 0.005, 20.0, 1, 0.01, runs, LOCK_LIFE_S)


def run_in_child(url: str, runs: Path, cycle: RunCycle, now: dt.datetime) -> None:
    with History.open(url) as history:
        run_once(history, job(runs, cycle), EventLog(), now=now)


def settled(history: History) -> Counter[dt.datetime]:
    """Due time -> outcomes recorded."""
    views = history.runs(Filter(), 10_000)
    return Counter(view.decision.due_at for view in views if view.decision)


def recovered(history: History, runs: Path, cycle: RunCycle, now: dt.datetime) -> None:
    """Another watcher comes by until the due time has its outcome."""
    limit = time.monotonic() + 30 * LOCK_LIFE_S
    while time.monotonic() < limit:
        found = run_once(history, job(runs, cycle), EventLog(), now=now)
        if isinstance(found, Recorded):
            return
        if "nothing is due" in found.reason:
            return
        time.sleep(0.05)
    raise AssertionError("the lock was never recovered")


@pytest.mark.slow
def test_a_hundred_kills_lose_and_double_nothing(store_url: str, tmp_path: Path) -> None:
    chance = random.Random(20260715)
    context = processes.context()
    moments: Counter[str] = Counter()
    with History.open(store_url, create=True) as history:
        began = time.monotonic()
        run_once(history, job(tmp_path, run_cycle), EventLog(), now=FIRST_DUE)
        typical_s = time.monotonic() - began
        for kill in range(1, KILLS + 1):
            cycle = run_cycle if kill % 3 else cycles.move
            due = FIRST_DUE + kill * dt.timedelta(hours=6)
            before = {view.run.id for view in history.runs(Filter(), 10_000)}
            child = context.Process(target=run_in_child, args=(store_url, tmp_path, cycle, due))
            child.start()
            time.sleep(chance.uniform(0.0, typical_s + 0.3 if kill % 3 else 0.3))
            child.kill()
            child.join()
            after = {view.run.id for view in history.runs(Filter(), 10_000)}
            assert before <= after
            moments[moment_of(history, due)] += 1
            recovered(history, tmp_path, cycle, due + dt.timedelta(hours=2))
            assert settled(history)[due] == 1
            assert holder(history.store, lock_name("tiny")) is None
        outcomes = settled(history)
        assert len(outcomes) == KILLS + 1
        assert set(outcomes.values()) == {1}
        count, problems = history.check()
        assert problems == []
        with history.store.reading() as connection:
            used = connection.execute(text("SELECT count(DISTINCT sha256) FROM run_files"))
            assert count == used.scalar_one(), "a killed write left content behind"
        for view in history.runs(Filter(), 10_000):
            assert view.plan is not None
            assert history.plan(view.run.id).objectives.cost_usd == view.plan.cost_usd
    assert moments["working"] >= KILLS / 10, moments
    assert moments["recorded"] >= 1, moments


def moment_of(history: History, due: dt.datetime) -> str:
    """Where the kill fell: before the lock, while working, or after the outcome was recorded."""
    if settled(history)[due]:
        return "recorded"
    return "working" if holder(history.store, lock_name("tiny")) else "not yet begun"
