"""A cycle is run once for its due time, by one process, and recorded whole; failures are spaced."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.errors import LockLostError
from planner.history import Filter, History
from planner.history.locks import take
from planner.history.schedules import ScheduleState, state, summaries
from planner.logs import EventLog
from planner.schedule import body
from planner.schedule.body import Job, Recorded, Skipped, next_step, run_once
from planner.schedule.cycle import CycleContext, CycleResult, RunCycle
from planner.schedule.timetable import Timetable, parse
from tests.planner.schedule import cycles

NOON = dt.datetime(2026, 7, 15, 12, 0, tzinfo=dt.UTC)
EVERY_6H = parse("6h", None)
HOUR = dt.timedelta(hours=1)
INFEASIBLE = (
    "no plan exists (proved): the cap is too low; cannot all hold: cap; demand; "
    "what would mend it: 117 kg more carbon"
)


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "instance.toml").write_text('name = "hand"\n')
    (folder / "prices.csv").write_text("offer,usd\n")
    return folder


@pytest.fixture
def job(instance: Path, tmp_path: Path) -> Callable[..., Job]:
    def made(cycle: RunCycle, timetable: Timetable | None = EVERY_6H, **changes: object) -> Job:
        job = Job(instance, "hand", timetable, cycle, 0.005, 60.0, 1, 0.01, tmp_path / "runs")
        return dataclasses.replace(job, **changes)  # type: ignore[arg-type]

    return made


def run(history: History, job: Job, now: dt.datetime = NOON) -> Recorded:
    found = run_once(history, job, EventLog(), now=now)
    assert isinstance(found, Recorded)
    return found


# ------------------------------------------------------------------ one cycle


def test_a_cycle_is_recorded_with_its_decision_and_files(
    history: History, job: Callable[..., Job]
) -> None:
    found = run(history, job(cycles.move), NOON + 2 * HOUR)
    view = history.run(found.run.id)
    assert view.decision == found.decision
    assert (view.run.kind, view.run.instance, view.run.exit_code) == ("cycle", "hand", 2)
    assert view.state == "awaiting approval"
    assert found.decision.due_at == NOON
    assert found.decision.incumbent_run_id is None
    paths = [file.path for file in history.files(view.run.id)]
    assert paths == ["cycle.jsonl", "instance/instance.toml", "plan.json"]
    log = history.read(view.run.id, "cycle.jsonl").decode()
    assert [json.loads(line)["event"] for line in log.splitlines()] == ["cycle", "thinking"]


def test_files_read_elsewhere_are_kept_as_inputs(history: History, job: Callable[..., Job]) -> None:
    found = run(history, job(cycles.with_inputs))
    assert history.read(found.run.id, "inputs/prices.csv") == b"offer,usd\n"
    kept = {file.path: file.is_input for file in history.files(found.run.id)}
    assert kept["inputs/prices.csv"]


def test_the_cycle_is_given_the_plan_in_force(history: History, job: Callable[..., Job]) -> None:
    first = run(history, job(cycles.move))
    history.approve(first.run.id, "approved", by="Ada")
    seen: list[CycleContext] = []

    def look(context: CycleContext) -> CycleResult:
        seen.append(context)
        return cycles.keep(context)

    second = run(history, job(look), NOON + 6 * HOUR)
    assert seen[0].incumbent is not None
    assert seen[0].incumbent.run_id == first.run.id
    assert second.decision.incumbent_run_id == first.run.id


@pytest.mark.parametrize(
    ("cycle", "decision", "code", "told"),
    [
        (cycles.failing, "failed", 1, "the price feed is away"),
        (cycles.crashing, "failed", 1, "unexpected ZeroDivisionError: oops"),
        (cycles.invalid, "stopped", 3, "the instance is invalid: 2 findings"),
        (cycles.infeasible, "stopped", 4, INFEASIBLE),
    ],
)
def test_whatever_goes_wrong_is_recorded(
    history: History,
    job: Callable[..., Job],
    cycle: RunCycle,
    decision: str,
    code: int,
    told: str,
) -> None:
    found = run(history, job(cycle))
    assert (found.decision.decision, found.run.exit_code) == (decision, code)
    assert found.decision.reason == told
    assert found.run.message == told


def test_a_crash_leaves_its_traceback_in_the_log(history: History, job: Callable[..., Job]) -> None:
    found = run(history, job(cycles.crashing))
    assert b"ZeroDivisionError" in history.read(found.run.id, "cycle.jsonl")


def test_the_log_is_written_as_it_happens(history: History, job: Callable[..., Job]) -> None:
    stream = io.StringIO()
    run_once(history, job(cycles.move), EventLog(stream=stream), now=NOON)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["event"] for event in events] == ["cycle", "thinking", "recorded"]
    assert events[0]["due_at"] == NOON.isoformat()


def test_nobody_is_told_without_a_record(history: History, job: Callable[..., Job]) -> None:
    """Telling happens after recording and before the lock is free."""
    told = []

    def tell(recorded: Recorded) -> None:
        told.append(history.run(recorded.run.id).decision)
        assert take(history.store, body.lock_name("hand"), "other", 60.0) is None

    run_once(history, job(cycles.move), EventLog(), tell, NOON)
    assert [decision.decision for decision in told if decision] == ["move"]
    assert take(history.store, body.lock_name("hand"), "other", 60.0)


# ------------------------------------------------------------------ once


def test_a_due_time_is_worked_on_once(history: History, job: Callable[..., Job]) -> None:
    run(history, job(cycles.keep))
    again = run_once(history, job(cycles.keep), EventLog(), now=NOON + 5 * HOUR)
    assert again == Skipped("nothing is due; next 2026-07-15 18:00 UTC")
    assert len(history.runs(Filter())) == 1


def test_missed_times_are_caught_up_once(history: History, job: Callable[..., Job]) -> None:
    run(history, job(cycles.keep))
    late = NOON + 75 * HOUR
    assert run(history, job(cycles.keep), late).decision.due_at == NOON + 72 * HOUR
    assert isinstance(run_once(history, job(cycles.keep), EventLog(), now=late), Skipped)
    assert len(history.runs(Filter())) == 2


def test_without_a_timetable_every_start_is_due(history: History, job: Callable[..., Job]) -> None:
    for minute in range(3):
        run(history, job(cycles.keep, timetable=None), NOON + minute * HOUR)
    assert len(history.runs(Filter())) == 3


def test_one_of_two_watchers_acts(history: History, job: Callable[..., Job]) -> None:
    begun, found = threading.Event(), []

    def waiting(context: CycleContext) -> CycleResult:
        begun.set()
        while len(found) < 1:
            threading.Event().wait(0.01)
        return cycles.move(context)

    acts = threading.Thread(target=run, args=(history, job(waiting)))
    acts.start()
    assert begun.wait(10)
    found.append(run_once(history, job(cycles.move), EventLog(), now=NOON))
    acts.join()
    assert found == [Skipped("another process runs a cycle of this schedule")]
    assert len(history.runs(Filter())) == 1


def test_many_watchers_run_each_due_time_once(history: History, job: Callable[..., Job]) -> None:
    def watch(hours: int) -> None:
        run_once(history, job(cycles.keep), EventLog(), now=NOON + hours * HOUR)

    for hours in range(0, 24, 6):
        threads = [threading.Thread(target=watch, args=(hours,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    dues = [view.decision.due_at for view in history.runs(Filter()) if view.decision]
    assert len(dues) == len(set(dues)) == 4


def test_who_lost_the_lock_records_nothing(history: History, job: Callable[..., Job]) -> None:
    """The heartbeats of a process that sleeps stop, another takes over, the sleeper wakes."""

    def taken_over(context: CycleContext) -> CycleResult:
        from sqlalchemy import text

        other = text("UPDATE locks SET owner = 'other', fence = fence + 1")
        history.store.write(lambda connection: connection.execute(other))
        return cycles.move(context)

    with pytest.raises(LockLostError):
        run_once(history, job(taken_over), EventLog(), now=NOON)
    assert history.runs(Filter()) == ()


def test_the_lock_is_given_back_after_an_interrupt(
    history: History, job: Callable[..., Job]
) -> None:
    def interrupted(context: CycleContext) -> CycleResult:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_once(history, job(interrupted), EventLog(), now=NOON)
    assert take(history.store, body.lock_name("hand"), "other", 60.0)


# ------------------------------------------------------------------ again after failures


def test_a_failure_is_tried_again_later_and_later(
    history: History, job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Attempts begin when the clock says; their pauses double from a minute."""
    clock = Clock(NOON)
    monkeypatch.setattr("planner.history.schedules.dt", clock)
    tried_at = []
    for minute in range(120):
        clock.now_is = NOON + dt.timedelta(minutes=minute)
        found = run_once(history, job(cycles.failing), EventLog(), now=clock.now_is)
        if isinstance(found, Recorded):
            tried_at.append(minute)
            assert found.decision.attempt == len(tried_at)
    assert tried_at == [0, 1, 3, 7, 15]
    (summary,) = summaries(history)
    assert (summary.failures_in_a_row, summary.settled_at) == (5, None)
    late = NOON + 6 * HOUR
    clock.now_is = late
    assert run(history, job(cycles.keep), late).decision.due_at == late
    assert summaries(history)[0].failures_in_a_row == 0


class Clock:
    """`datetime` whose now is set; everything else is the module's."""

    def __init__(self, now_is: dt.datetime) -> None:
        self.now_is = now_is
        self.datetime = self
        self.UTC = dt.UTC

    def now(self, _: dt.tzinfo) -> dt.datetime:
        return self.now_is


def test_a_stopped_cycle_is_not_tried_again_before_the_next_due_time(
    history: History, job: Callable[..., Job]
) -> None:
    run(history, job(cycles.infeasible))
    again = run_once(history, job(cycles.infeasible), EventLog(), now=NOON + HOUR)
    assert isinstance(again, Skipped)
    run(history, job(cycles.infeasible), NOON + 6 * HOUR)


def known(settled: int | None, attempts: int = 0, last: int | None = None):  # type: ignore[no-untyped-def]
    """A history: settled so many hours after noon, tried so often, last so many minutes after."""

    def of(due: dt.datetime) -> ScheduleState:
        return ScheduleState(
            None if settled is None else NOON + settled * HOUR,
            attempts,
            None if last is None else NOON + dt.timedelta(minutes=last),
        )

    return of


@pytest.mark.parametrize(
    ("history_is", "minute", "jitter_s", "due", "wait"),
    [
        (known(None), 0, 0, 0, None),
        (known(0), 0, 0, None, 360),
        (known(-6), 359, 0, 0, None),
        (known(-6), 0, 120, None, 2),
        (known(-6), 2, 120, 0, None),
        (known(0), 10, 120, None, 362),
        (known(-6, 1, 0), 0, 0, None, 1),
        (known(-6, 1, 0), 1, 0, 0, None),
        (known(-6, 3, 10), 11, 0, None, 14),
        (known(-6, 5, 10), 200, 0, None, 360),
        (known(6), 0, 0, None, 360),
    ],
)
def test_the_next_step_follows_from_timetable_history_and_clock(
    history_is: Callable[[dt.datetime], ScheduleState],
    minute: int,
    jitter_s: float,
    due: int | None,
    wait: int | None,
) -> None:
    assert EVERY_6H is not None
    step = next_step(EVERY_6H, history_is, NOON + dt.timedelta(minutes=minute), jitter_s)
    assert step.due_at == (None if due is None else NOON + dt.timedelta(minutes=due))
    assert step.wait_until == (None if wait is None else NOON + dt.timedelta(minutes=wait))


def test_the_state_of_an_unknown_schedule_is_empty(history: History) -> None:
    assert state(history, "nobody", NOON) == ScheduleState(None, 0, None)
    assert summaries(history) == ()


@pytest.mark.parametrize(
    ("settings", "name"),
    [('name = "fleet"\n', "fleet"), ("name = 3\n", "hand"), ("][", "hand"), ("", "hand")],
)
def test_a_schedule_is_named_after_its_instance(instance: Path, settings: str, name: str) -> None:
    (instance / "instance.toml").write_text(settings)
    assert body.instance_name(instance) == name
    assert body.instance_name(instance / "nowhere") == "nowhere"
