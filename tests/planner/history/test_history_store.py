"""The history keeps what was planned and decided, for good, on SQLite and on Postgres."""

from __future__ import annotations

import dataclasses
import datetime as dt
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text

from planner.errors import ApprovalError, HistoryError, RunError, UnknownRunError
from planner.history import Filter, History
from planner.history.engine import Store, parsed
from planner.history.folders import draft_of, read_folder, write_folder
from planner.history.schema import FACTS
from tests.planner import history_examples as examples

# ------------------------------------------------------------------ what goes in comes out


def test_a_run_reads_back_as_it_was_recorded(history: History) -> None:
    draft = examples.plan_draft(123.456789012345)
    record = history.record(draft)
    view = history.run(record.id)
    assert view.run == record
    assert (view.run.started_at, view.run.finished_at) == (draft.started_at, draft.finished_at)
    assert view.plan is not None
    assert view.plan.cost_usd == 123.456789012345
    assert history.plan(record.id) == examples.small_plan(123.456789012345)
    assert view.front is None
    assert view.decision is None


def test_a_front_is_kept_with_every_plan(history: History, tmp_path: Path) -> None:
    record = history.record(examples.front_draft(tmp_path / "run"))
    view = history.run(record.id)
    assert view.front is not None
    assert (view.front.points, view.front.complete, view.front.best_qoe) == (4, True, 0.95)
    assert history.plan(record.id, "plans/c.json").objectives.cost_usd == 200.0


def test_a_decision_comes_back_with_its_regret(history: History) -> None:
    told = examples.decision("move")
    record = history.record(examples.cycle_draft(), told)
    view = history.run(record.id)
    assert view.decision == told
    assert view.state == "awaiting approval"


def test_files_are_listed_with_their_hashes(history: History) -> None:
    record = history.record(examples.plan_draft(log=b"line\n"))
    files = {file.path: file for file in history.files(record.id)}
    assert sorted(files) == ["instance/instance.toml", "log", "plan.json"]
    assert files["log"].size_bytes == 5
    assert [file.path for file in files.values() if file.is_input] == ["instance/instance.toml"]
    assert history.read(record.id, "log") == b"line\n"


def test_the_same_content_is_stored_once(history: History) -> None:
    for _ in range(3):
        history.record(examples.plan_draft())
    count, problems = history.check()
    assert (count, problems) == (2, [])


def test_a_damaged_plan_is_refused_whole(history: History) -> None:
    draft = examples.plan_draft(**{"plan.json": b'{"format_version": 2}'})
    with pytest.raises(RunError, match="damaged"):
        history.record(draft)
    assert history.runs(Filter()) == ()


def test_whatever_a_message_quotes_the_run_is_recorded(history: History) -> None:
    """NUL and half a character: no text of Postgres, and of no encoding."""
    strange = "cell '\x00' of \udc80 and \ud83d"
    told = dataclasses.replace(examples.decision("failed"), reason=strange, diff=strange)
    run_id = history.record(examples.failed_draft(message=strange), told).id
    view = history.run(run_id)
    assert view.run.message == "cell '\N{REPLACEMENT CHARACTER}' of ? and ?"
    assert view.decision is not None
    assert view.decision.reason == view.run.message
    assert history.runs(Filter(instance="\x00")) == ()


def test_times_without_a_zone_are_refused(history: History) -> None:
    naive = dt.datetime(2026, 7, 15)
    with pytest.raises(Exception, match="without zone"):
        history.record(dataclasses.replace(examples.plan_draft(), started_at=naive))
    assert history.runs(Filter()) == ()


# ------------------------------------------------------------------ append-only


def test_the_engine_itself_refuses_to_change_facts(history: History, tmp_path: Path) -> None:
    history.record(examples.front_draft(tmp_path / "run"))
    record = history.record(examples.cycle_draft(), examples.decision())
    history.approve(record.id, "approved", by="Ada")
    fill_schedule_tables(history, record.id)
    for table in FACTS:
        column = table.columns.keys()[1]
        for change in (f"UPDATE {table.name} SET {column} = {column}", f"DELETE FROM {table.name}"):
            wanted = text(change)
            with pytest.raises(HistoryError, match=f"append-only: {table.name}"):
                history.store.write(lambda c, wanted=wanted: c.execute(wanted))  # type: ignore[misc]


def fill_schedule_tables(history: History, run_id: str) -> None:
    from planner.history.locks import take
    from planner.history.schedules import begin_attempt, record_delivery

    lease = take(history.store, "any", "me", 60.0)
    assert lease is not None
    begin_attempt(history, lease, "hand", examples.BEGAN)
    record_delivery(history, run_id, "webhook", delivered=True, detail="")


@pytest.mark.slow
def test_postgres_refuses_truncation_too(postgres_server: Path) -> None:
    from tests.planner.postgres_server import new_place

    with History.open(new_place(postgres_server), create=True) as history:
        history.record(examples.plan_draft())
        with pytest.raises(HistoryError, match="append-only"):
            history.store.write(lambda c: c.execute(text("TRUNCATE run_files")))


def test_reading_transactions_cannot_write(history: History) -> None:
    with (
        pytest.raises(HistoryError, match=r"read-?only"),
        history.store.reading() as connection,
    ):
        connection.execute(text("INSERT INTO locks VALUES ('a', 'b', 1, 0, 0, 0)"))


# ------------------------------------------------------------------ finding and listing


def test_runs_are_listed_newest_first_in_pages(history: History) -> None:
    ids = [history.record(examples.plan_draft(cost)).id for cost in range(1, 6)]
    first = history.runs(Filter(), 2)
    second = history.runs(Filter(before=first[-1].run.sequence), 2)
    assert [view.run.id for view in (*first, *second)] == ids[:0:-1]


def test_runs_are_filtered(history: History, tmp_path: Path) -> None:
    history.record(examples.plan_draft(instance="other"))
    front = history.record(examples.front_draft(tmp_path / "run"))
    keep = history.record(examples.cycle_draft(), examples.decision("keep"))
    assert ids(history, Filter(kind="front")) == [front.id]
    assert ids(history, Filter(decision="keep")) == [keep.id]
    assert ids(history, Filter(instance="hand")) == [keep.id, front.id]
    assert history.instances() == ("hand", "other")


def ids(history: History, wanted: Filter) -> list[str]:
    return [view.run.id for view in history.runs(wanted)]


def test_a_run_is_found_by_the_beginning_of_its_id(history: History) -> None:
    first = history.record(examples.plan_draft()).id
    last = history.record(examples.plan_draft(instance="Other.Name")).id
    assert last.startswith("other-name-20260715-120000-")
    assert history.find("hand") == first
    assert history.find(first) == first
    assert history.find("latest") == last


def test_what_names_no_run_is_told(history: History) -> None:
    history.record(examples.plan_draft())
    for name in ("nothing", "%", "_", "", "../etc", "a'b", "x" * 100, "\x00"):
        with pytest.raises(UnknownRunError, match="planner history list"):
            history.find(name)


def test_an_ambiguous_name_lists_the_candidates(history: History) -> None:
    made = {history.record(examples.plan_draft()).id for _ in range(2)}
    with pytest.raises(UnknownRunError, match="several runs") as told:
        history.find("hand-2026")
    assert all(run_id in str(told.value) for run_id in made)


def test_unknown_runs_and_files_are_told(history: History) -> None:
    record = history.record(examples.plan_draft())
    for path in ("nope", "../plan.json", "/etc/passwd", "plan.json/"):
        with pytest.raises(UnknownRunError, match="has no file"):
            history.read(record.id, path)
    with pytest.raises(UnknownRunError, match="no run"):
        history.run("nope")


# ------------------------------------------------------------------ approval


def test_the_plan_approved_last_is_in_force(history: History) -> None:
    assert history.incumbent("hand") is None
    first, second = (history.record(examples.plan_draft(cost)).id for cost in (100.0, 90.0))
    history.approve(second, "approved", by="Ada")
    history.approve(first, "approved", by=" Grace ", reason="the old one was safer")
    held = history.incumbent("hand")
    assert held is not None
    assert (held.run_id, held.approval.approved_by) == (first, "Grace")
    assert held.plan.objectives.cost_usd == 100.0
    assert history.incumbent("other") is None


def test_a_point_of_a_front_can_be_put_in_force(history: History, tmp_path: Path) -> None:
    record = history.record(examples.front_draft(tmp_path / "run"))
    with pytest.raises(ApprovalError, match="--point"):
        history.approve(record.id, "approved", by="Ada")
    with pytest.raises(RunError, match="no point 'z'"):
        history.approve(record.id, "approved", by="Ada", point="z")
    history.approve(record.id, "approved", by="Ada", point="c")
    held = history.incumbent("hand")
    assert held is not None
    assert held.plan.objectives.cost_usd == 200.0


def test_a_rejected_plan_changes_nothing(history: History) -> None:
    run_id = history.record(examples.cycle_draft(), examples.decision()).id
    with pytest.raises(ApprovalError, match="needs a reason"):
        history.approve(run_id, "rejected", by="Ada")
    history.approve(run_id, "rejected", by="Ada", reason="not before the audit")
    assert history.incumbent("hand") is None
    assert history.run(run_id).state == "rejected"


def test_a_plan_is_decided_on_once(history: History) -> None:
    run_id = history.record(examples.plan_draft()).id
    history.approve(run_id, "approved", by="Ada")
    with pytest.raises(ApprovalError, match="was approved by Ada on 20"):
        history.approve(run_id, "rejected", by="Grace", reason="too late")


@pytest.mark.parametrize("by", ["", "   ", "x" * 201])
def test_an_approval_names_somebody(history: History, by: str) -> None:
    run_id = history.record(examples.plan_draft()).id
    with pytest.raises(ApprovalError, match="who decides"):
        history.approve(run_id, "approved", by=by)


def test_a_run_without_a_plan_cannot_be_approved(history: History) -> None:
    run_id = history.record(examples.failed_draft(), examples.decision("failed")).id
    with pytest.raises(ApprovalError, match="holds no plan"):
        history.approve(run_id, "approved", by="Ada")


def test_a_newer_cycle_supersedes_a_proposal(history: History) -> None:
    old = history.record(examples.cycle_draft(), examples.decision("move", hour=0)).id
    new = history.record(examples.cycle_draft(), examples.decision("move", hour=1)).id
    assert history.run(old).state == "superseded"
    assert ids(history, Filter(awaiting=True)) == [new]
    with pytest.raises(ApprovalError, match="superseded"):
        history.approve(old, "approved", by="Ada")


def test_a_failed_or_stopped_cycle_supersedes_nothing(history: History) -> None:
    old = history.record(examples.cycle_draft(), examples.decision("move", hour=0)).id
    history.record(examples.failed_draft(), examples.decision("failed", hour=1))
    history.record(examples.failed_draft(), examples.decision("stopped", hour=2))
    assert history.run(old).state == "awaiting approval"


def test_another_plan_in_force_supersedes_a_proposal(history: History) -> None:
    held = history.record(examples.plan_draft()).id
    history.approve(held, "approved", by="Ada")
    proposal = history.record(examples.cycle_draft(), examples.decision(incumbent=held)).id
    assert history.run(proposal).state == "awaiting approval"
    other = history.record(examples.plan_draft(80.0)).id
    history.approve(other, "approved", by="Ada")
    assert history.run(proposal).state == "superseded"


def test_the_cycle_of_another_instance_supersedes_nothing(history: History) -> None:
    ours = history.record(examples.cycle_draft(), examples.decision()).id
    theirs = examples.decision(schedule="other")
    history.record(examples.cycle_draft(instance="other"), theirs)
    assert history.run(ours).state == "awaiting approval"


def test_one_due_time_has_one_outcome(history: History) -> None:
    history.record(examples.failed_draft(), examples.decision("failed", attempt=1))
    history.record(examples.cycle_draft(), examples.decision("move", attempt=2))
    with pytest.raises(HistoryError, match=r"(?i)unique"):
        history.record(examples.cycle_draft(), examples.decision("keep", attempt=3))
    assert len(history.runs(Filter())) == 2


# ------------------------------------------------------------------ folders


def test_a_run_folder_comes_back_byte_for_byte(history: History, tmp_path: Path) -> None:
    draft = examples.front_draft(tmp_path / "run")
    run_id = history.record(draft).id
    stored = [(file.path, history.read(run_id, file.path)) for file in history.files(run_id)]
    back = write_folder(tmp_path / "back", stored)
    assert read_folder(back) == read_folder(tmp_path / "run")


def test_hidden_files_and_links_stay_out(tmp_path: Path) -> None:
    examples.front_draft(tmp_path / "run")
    (tmp_path / "run" / ".front.json.123").write_text("half")
    (tmp_path / "run" / "link").symlink_to("/etc/passwd")
    (tmp_path / "run" / ".git").mkdir()
    (tmp_path / "run" / ".git" / "config").write_text("secret")
    paths = [path for path, _ in draft_of(tmp_path / "run").files]
    assert paths == ["front.json", *(f"plans/{name}.json" for name in "abcd")]


def test_what_is_no_run_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no such folder"):
        draft_of(tmp_path / "nowhere")
    with pytest.raises(RunError, match="neither"):
        draft_of(tmp_path)


def test_an_existing_folder_is_never_written_over(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="exists"):
        write_folder(tmp_path, [("a", b"")])


@pytest.mark.parametrize("path", ["../out", "/tmp/out", "a/../../out"])
def test_a_stored_path_never_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(HistoryError, match="leads out"):
        write_folder(tmp_path / "back", [(path, b"")])
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ places


def test_a_missing_history_is_told_with_a_remedy(tmp_path: Path) -> None:
    with (
        pytest.raises(HistoryError, match=r"no such history; .*--history"),
        History.open(str(tmp_path / "none.db")),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("dear diary, " * 100)
    with pytest.raises(HistoryError, match="not a history"):
        Store(str(tmp_path / "notes.db"), create=True)
    assert (tmp_path / "notes.db").read_text().startswith("dear diary")


def test_a_file_restored_from_a_backup_is_read_at_once(tmp_path: Path) -> None:
    """An open history follows the file's name, not the file that had it."""
    for name in ("old", "new"):
        with History.open(str(tmp_path / f"{name} 100%?.db"), create=True) as history:
            history.record(examples.plan_draft(instance=name))
    with History.open(str(tmp_path / "old 100%?.db")) as history:
        assert history.instances() == ("old",)
        (tmp_path / "new 100%?.db").replace(tmp_path / "old 100%?.db")
        assert history.instances() == ("new",)
        (tmp_path / "old 100%?.db").unlink()
        with pytest.raises(HistoryError, match="unable to open"):
            history.instances()
    assert list(tmp_path.glob("*.db")) == []


def test_an_empty_database_is_no_history(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "empty.db").close()
    with pytest.raises(HistoryError, match="no history yet"):
        Store(str(tmp_path / "empty.db"), create=False)


@pytest.mark.parametrize("url", ["mysql://root@localhost/x", "redis://x", "://", "sqlite://"])
def test_other_engines_are_refused(url: str) -> None:
    with pytest.raises(HistoryError):
        parsed(url)


def test_an_unreachable_postgres_is_one_sentence_without_the_password() -> None:
    with pytest.raises(HistoryError) as told:
        Store("postgresql://ada:secret@127.0.0.1:1/x?connect_timeout=2", create=False)
    assert "127.0.0.1" in str(told.value)
    assert "secret" not in str(told.value)
    assert "\n" not in str(told.value)


def test_damage_is_found(tmp_path: Path) -> None:
    with History.open(str(tmp_path / "h.db"), create=True) as history:
        record = history.record(examples.plan_draft())
        with sqlite3.connect(tmp_path / "h.db") as raw:
            raw.execute("DROP TRIGGER contents_no_update")
            raw.execute("UPDATE contents SET body = x'00' WHERE size_bytes < 100")
        raw.close()
        count, problems = history.check()
        assert count == 2
        assert len(problems) == 1
        assert "damaged" in problems[0]
        with pytest.raises(HistoryError, match="damaged"):
            history.read(record.id, "instance/instance.toml")
