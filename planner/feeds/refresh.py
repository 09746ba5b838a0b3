"""Fetch, check, store; then say which table of each feed a plan may use, under its policy."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from planner.errors import FeedError
from planner.feeds.check import Case, judge, missing_regions
from planner.feeds.feed import Feed
from planner.feeds.http import Http, HttpSettings
from planner.feeds.need import Need
from planner.feeds.settings import FeedsSettings
from planner.feeds.store import Record, Store, forget_drafts
from planner.feeds.tables import Reading, figures, merged


def now() -> dt.datetime:
    """The time, in UTC."""
    return dt.datetime.now(dt.UTC)


# ------------------------------------------------------------------ fetching


def fetch(
    settings: FeedsSettings, need: Need, names: Sequence[str] = (), at: dt.datetime | None = None
) -> tuple[Record, ...]:
    """Fetch the feeds of these names (all by default), as of `at` (now); one new record each.

    Whatever a source does, every feed gets its record: accepted, refused or failed. Raises
    FeedError for an unknown name, or a store that cannot be written.
    """
    feeds = settings.chosen(tuple(names))
    store = Store(settings.store)
    settings.store.mkdir(parents=True, exist_ok=True)
    forget_drafts(settings.store)
    return tuple(
        fetch_one(name, feed, need, store, settings.http, at) for name, feed in feeds.items()
    )


def fetch_one(
    name: str,
    feed: Feed,
    need: Need,
    store: Store,
    http_settings: HttpSettings,
    at: dt.datetime | None = None,
) -> Record:
    """Fetch one feed and store what came of it."""
    before = last_accepted([r for r in store.records(name) if r.meta.kind == feed.kind])
    fetched_at = now()
    moment = at or fetched_at
    with Http(http_settings) as http:
        try:
            reading = feed.read(need, http, moment)
            rows = merged(feed.kind, reading.rows)
        except FeedError as error:
            problems = [str(error)]
        except Exception as error:
            # A reader that stumbles over what nobody foresaw is a failed feed, not a crash.
            problems = [f"unexpected: {type(error).__name__} in the reader {type(feed).__name__}"]
        else:
            reading = dataclasses.replace(reading, rows=rows)
            known = {} if before is None else figures(feed.kind, before.table())
            verdict = judge(Case(feed, need, reading, known, moment))
            return store.add(
                name,
                feed.kind,
                "accepted" if verdict.accepted else "refused",
                fetched_at,
                reading=reading,
                problems=verdict.problems,
                warnings=verdict.warnings,
                doubted=verdict.doubted,
            )
        return store.add(
            name, feed.kind, "failed", fetched_at, answers=http.answers, problems=problems
        )


def last_accepted(records: Sequence[Record]) -> Record | None:
    """The newest accepted record, None where there is none."""
    return next((r for r in reversed(records) if r.meta.status == "accepted"), None)


# ------------------------------------------------------------------ choosing


@dataclass(frozen=True)
class Choice:
    """The table of a feed that a plan may use, or why there must be no plan."""

    feed: str
    kind: str
    status: Literal["fresh", "last-good", "stop"]
    record: Record | None
    """the table to use; None with `stop`"""
    said: str
    """a sentence: what is used and how old it is, or what is wrong and what to do"""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the table in use leaves out, assumes, or was doubted for."""
        return () if self.record is None else self.record.meta.remarks


def choose(
    settings: FeedsSettings, need: Need, at: dt.datetime | None = None
) -> tuple[Choice, ...]:
    """For every feed the table that may enter a plan at `at` (now), under its policy.

    Raises FeedError where a record of the store is damaged.
    """
    store = Store(settings.store)
    moment = at or now()
    return tuple(
        choose_one(name, feed, need, store.records(name), moment)
        for name, feed in settings.feeds.items()
    )


def choose_one(
    name: str, feed: Feed, need: Need, records: Sequence[Record], at: dt.datetime
) -> Choice:
    """The policy of one feed, applied to what was fetched up to `at`."""
    known = [r for r in records if r.meta.fetched_at <= at and r.meta.kind == feed.kind]
    good = last_accepted(known)
    fault = "" if not known or known[-1] is good else _fault(known[-1])
    if good is None or good.meta.observed_at is None:
        said = fault or "nothing was fetched yet"
        return Choice(name, feed.kind, "stop", None, f"{said}; there is no accepted table")
    age_h = (at - good.meta.observed_at).total_seconds() / 3600.0
    table = f"the table of {good.meta.observed_at:%Y-%m-%d %H:%M} UTC ({age_h:,.0f} h old)"
    if age_h > feed.max_age_h:
        tail = f"; {fault}" if fault else ""
        said = f"{table} is older than the {feed.max_age_h:g} h that the policy allows{tail}"
        return Choice(name, feed.kind, "stop", None, said)
    if outgrown := _outgrown(feed, need, good):
        return Choice(name, feed.kind, "stop", None, f"{table}: {outgrown}; fetch again")
    if not fault:
        return Choice(name, feed.kind, "fresh", good, table)
    if feed.on_failure == "stop":
        return Choice(name, feed.kind, "stop", None, f"{fault}; the policy says stop")
    return Choice(name, feed.kind, "last-good", good, f"{fault}; used instead: {table}")


def _outgrown(feed: Feed, need: Need, record: Record) -> str:
    """What the instance needs by now and the table has not; empty if nothing."""
    assert record.meta.observed_at is not None
    reading = Reading(feed.kind, record.table(), record.meta.observed_at, record.meta.source)
    return "; ".join(missing_regions(Case(feed, need, reading, {}, record.meta.fetched_at)))


def _fault(record: Record) -> str:
    when = f"{record.meta.fetched_at:%Y-%m-%d %H:%M} UTC"
    what = {"refused": "was refused", "failed": "failed"}[record.meta.status]
    return f"the fetch of {when} {what}: {'; '.join(record.meta.problems)}"


def usable(choices: Sequence[Choice]) -> Mapping[str, Record]:
    """Feed -> the record to use. Raises FeedError where a policy says stop."""
    stopped = [f"{choice.feed}: {choice.said}" for choice in choices if choice.record is None]
    if stopped:
        raise FeedError("no plan with these feeds. " + " | ".join(stopped))
    return {choice.feed: choice.record for choice in choices if choice.record is not None}
