"""Whatever a source answers: no crash, and no figure accepted that is not the truth."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from planner.feeds.need import Need
from planner.feeds.refresh import fetch_one
from planner.feeds.store import Record, Store
from planner.feeds.tables import figures
from tests.planner.feeds.conftest import QUICK
from tests.planner.feeds.replay import AT, Replay
from tests.planner.feeds.source_server import Source
from tests.planner.feeds.spoil import variants
from tests.planner.feeds.test_contracts import NAMES, credentials, replay_of

__all__ = ["credentials"]

FEW, MANY = 6, 50
TOLERANCE = {"electricity-maps": 0.02, "prometheus-demand": 0.02}
"""Of means over measured hours: a missing one moves them a little, and that is no wrong figure."""
NO_RETRY = QUICK.model_copy(update={"attempts": 1})


def spoilt_fetches(
    replay: Replay, need: Need, source: Source, folder: Path, count: int, seed: int
) -> list[tuple[str, Record]]:
    """A good fetch, then spoilt ones; (way, record) of each."""
    store = Store(folder)
    feed = replay.feed(source.url)
    replay.start(source)
    assert fetch_one("it", feed, need, store, NO_RETRY, AT).meta.status == "accepted"
    found = []
    for way, name, body in variants(replay, count, seed):
        replay.start(source, {**replay.documents, name: body})
        found.append((way, fetch_one("it", feed, need, store, NO_RETRY, AT)))
    return found


def check(replay: Replay, found: list[tuple[str, Record]]) -> None:
    for way, record in found:
        problems = record.meta.problems
        assert not any("unexpected" in problem for problem in problems), (way, problems)
        if record.meta.status != "accepted":
            assert problems
            continue
        for name, value in figures(record.meta.kind, record.table()).items():
            expected = pytest.approx(replay.truth[name], rel=TOLERANCE.get(replay.reader, 1e-9))
            assert value == expected, (way, record.folder)


@pytest.mark.parametrize("name", NAMES)
def test_no_spoilt_figure_is_accepted(
    name: str, need: Need, source: Source, tmp_path: Path
) -> None:
    replay = replay_of(name, need)
    check(replay, spoilt_fetches(replay, need, source, tmp_path, FEW, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_five_hundred_spoilt_answers(name: str, need: Need, source: Source, tmp_path: Path) -> None:
    replay = replay_of(name, need)
    found = spoilt_fetches(replay, need, source, tmp_path, MANY, seed=2)
    check(replay, found)
    counts = Counter(record.meta.status for _, record in found)
    assert counts["failed"] + counts["refused"] >= MANY // 3, counts


def test_another_content_type_is_refused(need: Need, source: Source, tmp_path: Path) -> None:
    for name in NAMES:
        if name.startswith("aws"):
            continue  # boto3 reads by the service, whatever the type says
        replay = replace(replay_of(name, need), content_type="text/html")
        replay.start(source)
        feed = replay.feed(source.url)
        record = fetch_one(name, feed, need, Store(tmp_path), NO_RETRY, AT)
        assert record.meta.status == "failed"
        assert "text/html" in record.meta.problems[0]
