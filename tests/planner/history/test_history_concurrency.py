"""Many processes and threads write and read one history at once: nobody fails, nothing is torn."""

from __future__ import annotations

import threading
import traceback
from pathlib import Path

import pytest

from planner.errors import ApprovalError
from planner.history import Filter, History
from tests.planner import history_examples as examples
from tests.planner import processes

WRITERS, RUNS_EACH = 4, 10


def write_many(url: str, writer: int) -> None:
    with History.open(url) as history:
        for number in range(RUNS_EACH):
            shared = {f"file{(writer + i) % 5}": f"content {(number + i) % 7}".encode()
                      for i in range(5)}  # fmt: skip
            draft = examples.plan_draft(100.0 + number, f"writer-{writer}", **shared)
            history.record(draft)


def test_fifty_readers_while_writers_write(store_url: str, history: History) -> None:
    problems: list[str] = []
    reads = [0] * 50
    done = threading.Event()

    def read(reader: int) -> None:
        try:
            while not done.is_set() or not reads[reader]:
                views = history.runs(Filter(), 20)
                sequences = [view.run.sequence for view in views]
                assert sequences == sorted(sequences, reverse=True)
                for view in views[:2]:
                    assert view.plan is not None
                    assert history.plan(view.run.id).objectives.cost_usd == view.plan.cost_usd
                    assert len(history.files(view.run.id)) == 7
                reads[reader] += 1
        except Exception:
            problems.append(traceback.format_exc())

    readers = [threading.Thread(target=read, args=(n,)) for n in range(50)]
    context = processes.context()
    writers = [context.Process(target=write_many, args=(store_url, n)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for reader in readers:
        reader.start()
    for writer in writers:
        writer.join(120)
    done.set()
    for reader in readers:
        reader.join(60)
    assert problems == []
    assert [writer.exitcode for writer in writers] == [0] * WRITERS
    assert min(reads) >= 1
    assert len(history.runs(Filter(), 1000)) == WRITERS * RUNS_EACH
    assert history.check()[1] == []


def test_one_of_two_approvals_at_once_wins(history: History) -> None:
    """Of two proposals against one plan in force, and of one run twice."""
    held = history.record(examples.plan_draft()).id
    history.approve(held, "approved", by="Ada")
    run_id = history.record(examples.cycle_draft(), examples.decision(incumbent=held)).id
    outcomes: list[str] = []

    def approve(name: str) -> None:
        try:
            history.approve(run_id, "approved", by=name)
            outcomes.append("approved")
        except ApprovalError as error:
            outcomes.append(str(error))

    threads = [threading.Thread(target=approve, args=(f"person {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("approved") == 1
    assert sum("was approved by person" in outcome for outcome in outcomes) == 7


@pytest.mark.slow
def test_writers_in_many_processes_never_wait_for_each_other_forever(
    store_url: str, history: History
) -> None:
    context = processes.context()
    writers = [context.Process(target=write_many, args=(store_url, n)) for n in range(10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
    assert [writer.exitcode for writer in writers] == [0] * 10
    assert len(history.runs(Filter(), 1000)) == 10 * RUNS_EACH


def test_the_store_is_whole_beside_its_write_ahead_log(tmp_path: Path) -> None:
    """Another process sees what was committed without the first one closing."""
    url = str(tmp_path / "h.db")
    with History.open(url, create=True) as first:
        first.record(examples.plan_draft())
        with History.open(url) as second:
            assert len(second.runs(Filter())) == 1
