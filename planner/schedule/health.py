"""``/healthz`` and ``/metrics`` of a watcher, over HTTP from a thread.

Metrics are read from the history when they are asked for: they survive restarts, and every watcher
of a store tells the same. The Prometheus format is written by prometheus-client.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from planner.errors import HistoryError, PlannerError
from planner.extras import missing_extra
from planner.history.history import History
from planner.history.queries import Filter, count_by_decision
from planner.history.schedules import ScheduleSummary, summaries
from planner.schedule.loop import LONGEST_WAIT_S, Pulse

if TYPE_CHECKING:
    from prometheus_client.core import Metric

LONGEST_SILENCE_S = 3 * LONGEST_WAIT_S
"""Without a sign of life the loop counts as hung."""
MOST_AWAITING = 1_000
POLL_S = 0.1
"""Between two looks whether the server should end."""
Answer = tuple[int, str, bytes]
"""(status, content type, body)"""
GAUGES: tuple[tuple[str, str, Callable[[ScheduleSummary], float]], ...] = (
    (
        "planner_last_cycle_timestamp_seconds",
        "End of the last cycle.",
        lambda s: s.last_finished_at.timestamp(),
    ),
    (
        "planner_last_cycle_duration_seconds",
        "How long the last cycle took.",
        lambda s: s.last_took_s,
    ),
    (
        "planner_last_settled_timestamp_seconds",
        "End of the last cycle that did not fail.",
        lambda s: s.settled_at.timestamp() if s.settled_at else 0.0,
    ),
    (
        "planner_failures_in_a_row",
        "Failed cycles since the last that did not fail.",
        lambda s: float(s.failures_in_a_row),
    ),
)
"""(metric, what it says, its value for a schedule)"""


class HistoryCollector:
    """The history's figures, as prometheus-client collects them."""

    def __init__(self, history: History) -> None:
        self.history = history

    def collect(self) -> Iterable[Metric]:
        """Counters and gauges by schedule."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        with self.history.store.reading() as connection:
            counts = count_by_decision(connection)
        cycles: Any = CounterMetricFamily(
            "planner_cycles", "Recorded cycles.", labels=["schedule", "decision"]
        )
        for (schedule, decision), count in counts.items():
            cycles.add_metric([schedule, decision], count)
        yield cycles
        found = summaries(self.history)
        for name, what, value in GAUGES:
            gauge: Any = GaugeMetricFamily(name, what, labels=["schedule"])
            for summary in found:
                gauge.add_metric([summary.name], value(summary))
            yield gauge
        waiting = self.history.runs(Filter(awaiting=True), MOST_AWAITING)
        gauge = GaugeMetricFamily("planner_awaiting_approval", "Proposals to decide on.")
        gauge.add_metric([], len(waiting))
        yield gauge


def metrics_text(history: History) -> Answer:
    """The history's metrics in the Prometheus text format; 503 where it cannot be read."""
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    except ModuleNotFoundError as error:
        raise missing_extra("watch", "metrics") from error
    registry = CollectorRegistry(auto_describe=False)
    try:
        registry.register(HistoryCollector(history))
        return 200, CONTENT_TYPE_LATEST, generate_latest(registry)
    except HistoryError as error:
        return 503, "text/plain; charset=utf-8", f"{error}\n".encode()


def health(history: History, pulse: Pulse) -> Answer:
    """200 while the loop lives and reaches the history, else 503; the body says more."""
    silent_s = time.monotonic() - pulse.beat_s
    problems = [pulse.problem] if pulse.problem else []
    if silent_s > LONGEST_SILENCE_S:
        problems.append(f"the loop gave no sign of life for {silent_s:.0f} s")
    body: dict[str, Any] = {"next_at": _iso(pulse.next_at), "busy_since": _iso(pulse.busy_since)}
    try:
        body["failures_in_a_row"] = {s.name: s.failures_in_a_row for s in summaries(history)}
    except HistoryError as error:
        problems.append(str(error))
    body = {"status": "unhealthy" if problems else "ok", "problems": problems, **body}
    return 503 if problems else 200, "application/json", json.dumps(body).encode() + b"\n"


def _iso(moment: dt.datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


@contextmanager
def served(
    host: str, port: int, pages: dict[str, Callable[[], Answer]]
) -> Iterator[tuple[str, int]]:
    """Serve GET of the pages by path from a thread; (host, port) it listens on.

    Port 0 takes a free one. PlannerError where the address cannot be had.
    """

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "planner", ""
        timeout = 10

        def do_GET(self) -> None:  # the name is http.server's
            page = pages.get(self.path.partition("?")[0])
            status, kind, body = page() if page else (404, "text/plain", b"no such page\n")
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: Any) -> None:
            """Probes are not news."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise PlannerError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    thread = threading.Thread(
        target=server.serve_forever, args=(POLL_S,), name="health", daemon=True
    )
    thread.start()
    try:
        yield str(server.server_address[0]), int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
