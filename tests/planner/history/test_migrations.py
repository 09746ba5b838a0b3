"""Every earlier schema is brought to the newest one, with what it holds, on both engines."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from planner.errors import HistoryError
from planner.history import Filter, History
from planner.history.engine import Store
from planner.history.migrations import MIGRATIONS, NEWEST, Migration, upgrade, version_of
from planner.history.schema import FACTS, LOCKS
from tests.planner import history_examples as examples
from tests.planner import processes


def shape(store: Store) -> dict[str, list[str]]:
    """Table -> its columns, and index and trigger names, as the engine tells them."""
    with store.reading() as connection:
        found = inspect(connection)
        tables = {
            name: sorted(column["name"] for column in found.get_columns(name))
            for name in found.get_table_names()
            if name != "sqlite_sequence"
        }
        triggers = (
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            if store.is_sqlite
            else "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE NOT tgisinternal AND relnamespace = current_schema()::regnamespace"
        )
        tables["triggers"] = sorted(connection.execute(text(triggers)).scalars())
        tables["indexes"] = sorted(
            str(index["name"]) for name in found.get_table_names()
            for index in found.get_indexes(name)
        )  # fmt: skip
    return tables


def store_of_version(url: str, version: int) -> Store:
    """A store as a planner of that schema version made it."""
    store = Store(url, create=True)
    drop = [*FACTS[::-1], LOCKS]

    def older(connection):  # type: ignore[no-untyped-def]
        for table in drop:
            connection.execute(text(f"DROP TABLE {table.name}"))
        connection.execute(text("DROP TABLE schema_versions"))
        if not store.is_sqlite:
            connection.execute(text("DROP FUNCTION history_is_append_only()"))
        upgrade(connection, version)

    store.write(older)
    return store


@pytest.mark.parametrize("version", range(1, NEWEST))
def test_every_earlier_version_becomes_the_newest(store_url: str, version: int) -> None:
    with closing(store_of_version(store_url, version)) as older:
        run_id = History(older).record(examples.plan_draft()).id
        with older.reading() as connection:
            assert version_of(connection) == version
    with History.open(store_url) as history:
        upgraded = shape(history.store)
        assert [view.run.id for view in history.runs(Filter())] == [run_id]
        history.approve(run_id, "approved", by="Ada")
        assert history.incumbent("hand") is not None
        history.record(examples.cycle_draft(), examples.decision())
    assert upgraded == fresh_shape(store_url)


def fresh_shape(url: str) -> dict[str, list[str]]:
    with closing(store_of_version(url, NEWEST)) as store:
        return shape(store)


def test_the_tables_in_code_are_those_that_the_steps_make(history: History) -> None:
    made = shape(history.store)
    for table in (*FACTS, LOCKS):
        assert sorted(table.columns.keys()) == made[table.name]
    assert set(made) == {t.name for t in (*FACTS, LOCKS)} | {
        *("schema_versions", "triggers", "indexes")
    }


def test_every_table_of_facts_is_protected() -> None:
    protected = [name for migration in MIGRATIONS for name in migration.append_only]
    assert sorted(protected) == sorted(table.name for table in FACTS)


def test_steps_are_numbered_without_gaps() -> None:
    assert [migration.version for migration in MIGRATIONS] == list(range(1, NEWEST + 1))


def test_opening_again_changes_nothing(store_url: str) -> None:
    with History.open(store_url, create=True) as history:
        before = shape(history.store)
        history.record(examples.plan_draft())
    with History.open(store_url, create=True) as history:
        assert shape(history.store) == before
        assert len(history.runs(Filter())) == 1


def test_a_store_of_a_newer_planner_is_left_alone(history: History, store_url: str) -> None:
    newer = text("INSERT INTO schema_versions VALUES (99, 'tomorrow')")
    history.store.write(lambda connection: connection.execute(newer))
    with pytest.raises(HistoryError, match="schema version 99"):
        Store(store_url, create=True)


def test_a_step_that_fails_leaves_the_store_as_it_was(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill in the middle is the same: one transaction."""
    broken = (*MIGRATIONS[1].statements, "CREATE nonsense")
    steps = (MIGRATIONS[0], Migration(2, "", broken, ()))
    with closing(store_of_version(store_url, 1)) as store:
        before = shape(store)
        monkeypatch.setattr("planner.history.migrations.MIGRATIONS", steps)
        with pytest.raises(HistoryError):
            store.write(upgrade)
        assert shape(store) == before


def open_and_record(url: str, barrier_file: str) -> None:
    while not Path(barrier_file).exists():
        pass
    with History.open(url, create=True) as history:
        history.record(examples.plan_draft())


def test_many_processes_may_begin_one_history_at_once(store_url: str, tmp_path: Path) -> None:
    context = processes.context()
    barrier = tmp_path / "go"
    children = [
        context.Process(target=open_and_record, args=(store_url, str(barrier))) for _ in range(6)
    ]
    for child in children:
        child.start()
    barrier.touch()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 6
    with History.open(store_url) as history:
        assert len(history.runs(Filter())) == 6
