"""One of many holds a lock; one that gives no sign of life loses it, and cannot act any more."""

from __future__ import annotations

import threading
import time

import pytest

from planner.errors import LockLostError
from planner.history import Filter, History
from planner.history.engine import Store
from planner.history.locks import holder, new_owner, take
from tests.planner import history_examples as examples


@pytest.fixture
def store(history: History) -> Store:
    return history.store


def test_one_of_many_takes_the_lock(store: Store) -> None:
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(take(store, "a", new_owner(), 60.0)))
        for _ in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12
    assert sum(lease is not None for lease in found) == 1


def test_locks_of_different_names_are_independent(store: Store) -> None:
    assert take(store, "a", "one", 60.0)
    assert take(store, "b", "two", 60.0)


def test_a_released_lock_can_be_taken_at_once(store: Store) -> None:
    first = take(store, "a", "one", 60.0)
    assert first is not None
    assert take(store, "a", "two", 60.0) is None
    first.release()
    second = take(store, "a", "two", 60.0)
    assert second is not None
    assert second.fence == first.fence + 1


def test_an_expired_lock_is_taken_over_and_the_old_owner_cannot_record(history: History) -> None:
    store = history.store
    asleep = take(store, "a", "one", 0.05)
    assert asleep is not None
    time.sleep(0.1)
    awake = take(store, "a", "two", 60.0)
    assert awake is not None
    with pytest.raises(LockLostError, match="lost by one"):
        asleep.renew()
    with pytest.raises(LockLostError):
        history.record(examples.plan_draft(), still_allowed=asleep.confirm)
    assert history.runs(Filter()) == ()
    history.record(examples.plan_draft(), still_allowed=awake.confirm)
    assert len(history.runs(Filter())) == 1


def test_the_old_owner_releases_nothing_of_the_new_one(store: Store) -> None:
    old = take(store, "a", "one", 0.01)
    assert old is not None
    time.sleep(0.05)
    assert take(store, "a", "two", 60.0)
    old.release()
    assert take(store, "a", "three", 60.0) is None


def test_an_expired_lock_that_nobody_took_still_allows_to_record(history: History) -> None:
    """The work is done and nobody else began: throwing it away would help nobody."""
    lease = take(history.store, "a", "one", 0.01)
    assert lease is not None
    time.sleep(0.05)
    history.record(examples.plan_draft(), still_allowed=lease.confirm)


def test_heartbeats_keep_the_lock(store: Store) -> None:
    lease = take(store, "a", "one", 0.4)
    assert lease is not None
    with lease.kept_alive():
        time.sleep(1.0)
        assert take(store, "a", "two", 60.0) is None
        seen = holder(store, "a")
    assert seen is not None
    assert seen.owner == "one"
    assert seen.held_s > 0.8
    assert seen.heartbeat_s < 0.4
    time.sleep(0.5)
    assert holder(store, "a") is None
    assert take(store, "a", "two", 60.0)


def test_nobody_holds_a_lock_that_never_was(store: Store) -> None:
    assert holder(store, "none") is None
