"""What was fetched is kept whole, for good, and checked when it is read."""

from __future__ import annotations

import datetime as dt
import json
import threading
import zipfile
from pathlib import Path

import pytest

from planner.errors import FeedError
from planner.feeds.http import Answer
from planner.feeds.store import Record, Store, answers_of, sha256_of
from planner.feeds.tables import Price, Reading, merged

AT = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
ROW = Price(region="aws:us-east-1", offer="aws_p5.48xlarge", ondemand_usd_per_h=1.0 / 3.0)
ANSWERS = (Answer("https://a/1", "text/csv", b"one"), Answer("https://a/2", "text/csv", b"two"))
READING = Reading("prices", (ROW,), AT, "https://a", ANSWERS, ("a note",))


def add(store: Store, at: dt.datetime = AT, reading: Reading = READING) -> Record:
    return store.add("azure", "prices", "accepted", at, reading=reading)


def test_a_record_reads_back_exactly(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written = add(store)
    (found,) = store.records("azure")
    assert found == written
    assert found.table() == (ROW,)
    assert answers_of(found) == list(ANSWERS)
    assert found.meta.sha256 == sha256_of(ANSWERS)
    assert (found.meta.observed_at, found.meta.notes, found.meta.rows) == (AT, ("a note",), 1)


def test_records_are_in_the_order_of_time(tmp_path: Path) -> None:
    store = Store(tmp_path)
    later = add(store, AT + dt.timedelta(seconds=1))
    first = add(store, AT)
    assert store.records("azure") == (first, later)
    assert store.records("nobody") == ()


def test_the_hash_is_of_the_bytes_and_their_borders() -> None:
    parts = [(b"ab", b"c"), (b"a", b"bc"), (b"abc",)]
    hashes = {sha256_of([Answer("", "", body) for body in bodies]) for bodies in parts}
    assert len(hashes) == 3


def test_a_changed_table_is_noticed(tmp_path: Path) -> None:
    record = add(Store(tmp_path))
    path = record.folder / "table.csv"
    path.write_text(path.read_text().replace("0.333", "0.111"))
    with pytest.raises(FeedError, match="was changed after it was written"):
        record.table()


def test_a_changed_answer_is_noticed(tmp_path: Path) -> None:
    record = add(Store(tmp_path))
    with zipfile.ZipFile(record.folder / "answers.zip", "w") as archive:
        archive.writestr("0001", b"one")
        archive.writestr("0002", b"TWO")
    with pytest.raises(FeedError, match="was changed after it was written"):
        answers_of(record)
    (record.folder / "answers.zip").write_bytes(b"PK nonsense")
    with pytest.raises(FeedError, match="is damaged"):
        answers_of(record)


@pytest.mark.parametrize("text", ["", "{", "{}", '{"format_version": 2}'])
def test_a_damaged_record_is_said(tmp_path: Path, text: str) -> None:
    store = Store(tmp_path)
    (add(store).folder / "meta.json").write_text(text)
    with pytest.raises(FeedError, match=r"meta\.json is damaged"):
        store.records("azure")


def test_half_written_records_are_not_seen_and_swept_up(tmp_path: Path) -> None:
    from planner.feeds.store import forget_drafts

    store = Store(tmp_path)
    record = add(store)
    (tmp_path / ".draft-x").mkdir()
    (tmp_path / "azure" / "notes.txt").write_text("mine")
    assert store.records("azure") == (record,)
    forget_drafts(tmp_path)
    assert (tmp_path / ".draft-x").exists()  # it may still be written


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def write(number: int) -> None:
        for step in range(5):
            add(store, AT + dt.timedelta(seconds=10 * number + step))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.records("azure")) == 20
    assert not list(tmp_path.glob(".draft-*"))


def test_the_same_fetch_twice_is_one_record(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert add(store) == add(store)
    assert len(store.records("azure")) == 1


def test_a_refused_table_may_be_accepted_with_a_reason(tmp_path: Path) -> None:
    store = Store(tmp_path)
    refused = store.add("azure", "prices", "refused", AT, reading=READING, problems=["moved"])
    accepted = store.accept(refused, "prices were cut by 90 %", AT + dt.timedelta(hours=1))
    assert accepted.table() == refused.table()
    assert accepted.meta.accepted_because == "prices were cut by 90 %"
    assert accepted.meta.problems == ("moved",)
    assert [record.meta.status for record in store.records("azure")] == ["refused", "accepted"]
    with pytest.raises(FeedError, match="only a refused table needs it"):
        store.accept(accepted, "again", AT)


def test_a_failed_fetch_has_no_table(tmp_path: Path) -> None:
    record = Store(tmp_path).add("azure", "prices", "failed", AT, answers=ANSWERS[:1],
                                 problems=["status 500"])  # fmt: skip
    with pytest.raises(FeedError, match="cannot be read"):
        record.table()
    assert answers_of(record) == [ANSWERS[0]]
    assert json.loads((record.folder / "meta.json").read_text())["problems"] == ["status 500"]


def test_a_record_is_found_by_the_beginning_of_its_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    record = add(store)
    assert store.record("azure", record.name[:12]) == record
    with pytest.raises(FeedError, match="no record of azure begin with '1999'"):
        store.record("azure", "1999")


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FeedError, match="cannot be written"):
        add(Store(tmp_path / "file"))


def test_rows_of_one_name_must_agree() -> None:
    other = ROW.model_copy(update={"ondemand_usd_per_h": 2.0})
    assert merged("prices", [ROW, ROW]) == (ROW,)
    with pytest.raises(FeedError, match="appears twice with different figures"):
        merged("prices", [ROW, other])
