"""Under its policy a feed's last good table is used and said so, or there is no plan."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from planner.errors import FeedError
from planner.feeds.feed import Feed
from planner.feeds.http import Http
from planner.feeds.need import Need
from planner.feeds.readers import READERS
from planner.feeds.refresh import choose, choose_one, fetch, fetch_one, usable
from planner.feeds.settings import load_settings
from planner.feeds.store import Record, Store
from planner.feeds.tables import Price, Reading, figures
from tests.planner.feeds.conftest import QUICK, write_buyer

AT = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
READING = Reading(
    "prices",
    (Price(region="aws:us-east-1", offer="aws_p5.48xlarge", ondemand_usd_per_h=54.0),),
    AT,
    "here",
)


def feed(**policy: object) -> Feed:
    data = {"reader": "tables", "kind": "prices", "path": ".", "max_age_h": 48.0, **policy}
    return READERS["tables"].model_validate(data)


def good(store: Store, at: dt.datetime = AT) -> Record:
    return store.add("it", "prices", "accepted", at, reading=READING)


def failed(store: Store, at: dt.datetime) -> Record:
    return store.add("it", "prices", "failed", at, problems=["status 500"])


def refused(store: Store, at: dt.datetime) -> Record:
    return store.add("it", "prices", "refused", at, reading=READING, problems=["price moved"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_a_fresh_table_is_used(need: Need, store: Store) -> None:
    record = good(store)
    choice = choose_one("it", feed(), need, store.records("it"), AT + 5 * HOUR)
    assert (choice.status, choice.record) == ("fresh", record)
    assert choice.said == "the table of 2026-11-24 12:00 UTC (5 h old)"


@pytest.mark.parametrize("spoil", [failed, refused])
def test_the_last_good_table_is_used_and_said_so(
    need: Need, store: Store, spoil: type[Record]
) -> None:
    record = good(store)
    trouble = spoil(store, AT + 24 * HOUR)  # type: ignore[call-arg, arg-type]
    choice = choose_one(
        "it", feed(on_failure="last-good"), need, store.records("it"), AT + 25 * HOUR
    )
    assert (choice.status, choice.record) == ("last-good", record)
    assert trouble.meta.problems[0] in choice.said
    assert "used instead: the table of 2026-11-24 12:00 UTC (25 h old)" in choice.said


@pytest.mark.parametrize("spoil", [failed, refused])
def test_or_there_is_no_plan(need: Need, store: Store, spoil: type[Record]) -> None:
    good(store)
    spoil(store, AT + 24 * HOUR)  # type: ignore[call-arg, arg-type]
    choice = choose_one("it", feed(on_failure="stop"), need, store.records("it"), AT + 25 * HOUR)
    assert (choice.status, choice.record) == ("stop", None)
    assert choice.said.endswith("the policy says stop")
    with pytest.raises(FeedError, match="no plan with these feeds"):
        usable([choice])


@pytest.mark.parametrize("on_failure", ["stop", "last-good"])
def test_a_table_too_old_is_never_used(need: Need, store: Store, on_failure: str) -> None:
    good(store)
    failed(store, AT + 24 * HOUR)
    choice = choose_one(
        "it", feed(on_failure=on_failure), need, store.records("it"), AT + 49 * HOUR
    )
    assert choice.status == "stop"
    assert "older than the 48 h that the policy allows" in choice.said


def test_nothing_fetched_is_no_plan(need: Need, store: Store) -> None:
    choice = choose_one("it", feed(on_failure="last-good"), need, (), AT)
    assert choice.said == "nothing was fetched yet; there is no accepted table"
    refused(store, AT)
    choice = choose_one("it", feed(on_failure="last-good"), need, store.records("it"), AT)
    assert "price moved; there is no accepted table" in choice.said


def test_a_good_fetch_after_a_failure_counts(need: Need, store: Store) -> None:
    failed(store, AT)
    record = good(store, AT + HOUR)
    assert choose_one("it", feed(), need, store.records("it"), AT + 2 * HOUR).record == record


def test_the_past_can_be_asked_again(need: Need, store: Store) -> None:
    """What was known at a time decides, not what came later."""
    record = good(store)
    failed(store, AT + 24 * HOUR)
    choice = choose_one("it", feed(on_failure="stop"), need, store.records("it"), AT + 2 * HOUR)
    assert (choice.status, choice.record) == ("fresh", record)


def test_an_accepted_table_is_the_yardstick_of_the_next(
    need: Need, store: Store, tmp_path: Path
) -> None:
    table = tmp_path / "prices.csv"
    own = feed(folder=str(tmp_path), max_age_h=1_000.0, max_move=3.0)

    def fetched(usd_per_h: float) -> Record:
        head = "date,region,offer,ondemand_usd_per_h\n"
        table.write_text(f"{head}2026-11-24,aws:us-east-1,aws_p5.48xlarge,{usd_per_h}\n")
        return fetch_one("it", own, need, store, QUICK, AT)

    assert fetched(120.0).meta.status == "accepted"
    assert fetched(300.0).meta.status == "accepted"  # 2.5 times the last, 5.5 times today's
    assert fetched(50.0).meta.status == "refused"
    assert fetched(290.0).meta.status == "accepted"


def test_a_reader_that_stumbles_is_a_failed_feed(need: Need, store: Store) -> None:
    class Stumbling(Feed):
        reader: str = "stumbling"
        kind: str = "prices"

        def read(self, need: Need, http: Http, at: dt.datetime) -> Reading:
            raise ZeroDivisionError

    record = fetch_one("it", Stumbling(), need, store, QUICK, AT)
    assert record.meta.problems == ("unexpected: ZeroDivisionError in the reader Stumbling",)


def test_every_feed_of_the_file_is_fetched(tmp_path: Path, need: Need) -> None:
    folder = write_buyer(tmp_path / "buyer")
    (folder / "prices.csv.txt").write_text("")
    tables = tmp_path / "tables"
    tables.mkdir()
    today = dt.datetime.now(dt.UTC).date()
    (tables / "quotas.csv").write_text(
        f"date,region,accelerator,market,accelerators\n{today},aws:us-east-1,h100-sxm,,16\n"
    )
    (folder / "feeds.toml").write_text(
        '[feeds.quotas]\nreader = "tables"\nkind = "quotas"\npath = "../tables"\n'
        '[feeds.prices]\nreader = "tables"\nkind = "prices"\npath = "../tables"\n'
    )
    settings = load_settings(folder)
    records = fetch(settings, need)
    assert [record.meta.status for record in records] == ["accepted", "failed"]
    assert figures("quotas", records[0].table()) == {"aws:us-east-1/h100-sxm accelerators": 16.0}
    assert [choice.status for choice in choose(settings, need)] == ["fresh", "stop"]
    (only,) = fetch(settings, need, ["quotas"])
    assert only.meta.feed == "quotas"


def test_a_table_that_the_instance_has_outgrown_is_not_used(need: Need, store: Store) -> None:
    good(store)
    asked = feed(required_regions=["aws:us-east-1", "aws:eu-central-1"], on_failure="last-good")
    choice = choose_one("it", asked, need, store.records("it"), AT + HOUR)
    assert choice.status == "stop"
    assert choice.said.endswith("missing region: aws:eu-central-1; fetch again")


def test_a_feed_that_now_yields_another_kind_starts_anew(need: Need, store: Store) -> None:
    good(store)
    choice = choose_one("it", feed(kind="quotas"), need, store.records("it"), AT + HOUR)
    assert choice.said == "nothing was fetched yet; there is no accepted table"
