"""A watcher says over HTTP whether it lives, and Prometheus reads its figures from the history."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from planner.errors import PlannerError
from planner.history import History
from planner.schedule import health
from planner.schedule.loop import Pulse
from tests.planner import history_examples as examples


def fetch(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.headers["content-type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["content-type"], error.read().decode()


@pytest.fixture
def some_cycles(history: History) -> History:
    history.record(examples.cycle_draft(exit_code=0), examples.decision("keep", 0))
    history.record(examples.cycle_draft(), examples.decision("move", 1))
    for attempt in (1, 2):
        history.record(examples.failed_draft(), examples.decision("failed", 2, attempt=attempt))
    return history


def metrics_of(history: History) -> dict[tuple[str, str], float]:
    status, kind, body = health.metrics_text(history)
    assert status == 200
    assert kind.startswith("text/plain; version=")
    return {
        (sample.name, sample.labels.get("decision", "")): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_metrics_count_what_the_history_holds(some_cycles: History) -> None:
    found = metrics_of(some_cycles)
    assert found["planner_cycles_total", "keep"] == 1
    assert found["planner_cycles_total", "move"] == 1
    assert found["planner_cycles_total", "failed"] == 2
    assert found["planner_failures_in_a_row", ""] == 2
    assert found["planner_awaiting_approval", ""] == 1
    ended = examples.BEGAN.timestamp() + 10
    assert found["planner_last_settled_timestamp_seconds", ""] == ended
    assert found["planner_last_cycle_duration_seconds", ""] == 0


def test_an_empty_history_has_metrics_too(history: History) -> None:
    assert metrics_of(history) == {("planner_awaiting_approval", ""): 0}


def test_a_live_watcher_is_healthy(some_cycles: History) -> None:
    status, kind, body = health.health(some_cycles, Pulse(next_at=examples.BEGAN))
    told = json.loads(body)
    assert (status, kind, told["status"]) == (200, "application/json", "ok")
    assert told["next_at"] == "2026-07-15T12:00:00+00:00"
    assert told["failures_in_a_row"] == {"hand": 2}


@pytest.mark.parametrize(
    ("pulse", "told"),
    [
        (lambda: Pulse(problem="the disk is full"), "the disk is full"),
        (lambda: Pulse(beat_s=time.monotonic() - 1e4), "no sign of life for 10000 s"),
    ],
)
def test_a_hung_or_cut_off_watcher_is_not(
    history: History, pulse: Callable[[], Pulse], told: str
) -> None:
    status, _, body = health.health(history, pulse())
    assert status == 503
    assert told in json.loads(body)["problems"][0]


def test_pages_are_served_until_the_end(some_cycles: History) -> None:
    pages = {
        "/healthz": lambda: health.health(some_cycles, Pulse()),
        "/metrics": lambda: health.metrics_text(some_cycles),
    }
    with health.served("127.0.0.1", 0, pages) as (host, port):
        assert fetch(f"http://{host}:{port}/healthz")[0] == 200
        assert "planner_cycles_total" in fetch(f"http://{host}:{port}/metrics?x=1")[2]
        for path in ("/", "/../etc/passwd", "/metrics/x"):
            assert fetch(f"http://{host}:{port}{path}")[0] == 404
    with pytest.raises(urllib.error.URLError):
        fetch(f"http://{host}:{port}/healthz")


def test_a_taken_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(PlannerError, match=f"cannot listen on 127.0.0.1:{port}"),
            health.served("127.0.0.1", port, {}),
        ):
            pass
