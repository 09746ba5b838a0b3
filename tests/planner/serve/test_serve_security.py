"""Hostile requests are refused before they reach anything; every answer carries its headers."""

from __future__ import annotations

import random
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from planner.errors import PlannerError
from planner.history import Filter, History
from planner.serve.app import create_app
from planner.serve.security import HEADERS, LARGEST_BODY_BYTES, ApprovalGate
from tests.planner.serve.conftest import TOKEN, Runs

TRAVERSALS = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e/%2e%2e/etc/passwd",
    "....//....//etc/passwd",
    "..\\..\\windows\\win.ini",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "instance/../../../../etc/passwd",
    "instance/..%00/plan.json",
    "plan.json%00.html",
    "file:///etc/passwd",
    "%c0%ae%c0%ae/etc/passwd",
    "%252e%252e%252fetc%252fpasswd",
)


def test_no_path_leads_out_of_a_run(client: TestClient, runs: Runs) -> None:
    for path in TRAVERSALS:
        for prefix in (f"/runs/{runs.front}/files", f"/api/v1/runs/{runs.front}/files"):
            answer = client.get(f"{prefix}/{path}")
            assert answer.status_code in (404, 422), path
            assert b"root:" not in answer.content, path


def test_every_answer_carries_the_headers(client: TestClient) -> None:
    for path in (*("/", "/runs", "/style.css", "/openapi.json", "/api/v1/runs", "/metrics"),
                 *("/nope", "/api/nope", "/runs/x", "/api/v1/runs/X")):  # fmt: skip
        answer = client.get(path)
        for name, value in HEADERS.items():
            if name != "cache-control":
                assert answer.headers[name] == value, (path, name)
        assert "set-cookie" not in answer.headers, path
        assert "server" not in answer.headers, path


def test_an_answer_is_not_kept_by_caches(client: TestClient) -> None:
    assert client.get("/").headers["cache-control"] == "no-store"


def test_a_name_that_is_not_ours_is_refused(client: TestClient) -> None:
    """A page of another site that points its name at this server reads nothing."""
    for host in (*("evil.example", "evil.example:80", "", "testserver.evil.example"),
                 *("testserver@evil.example", "[::1", "testserver:80@evil.example")):  # fmt: skip
        answer = client.get("/api/v1/runs", headers={"host": host})
        assert answer.status_code == 400, host
        assert "runs" not in answer.text


def test_loopback_names_are_ours_by_default(history: History, runs: Runs) -> None:
    for name in ("127.0.0.1:8642", "localhost", "[::1]:8642"):
        with TestClient(create_app(history, None), base_url=f"http://{name}") as client:
            assert client.get("/").status_code == 200


def test_oversized_bodies_are_refused(client: TestClient, history: History, runs: Runs) -> None:
    path = f"/runs/{runs.proposal}/approval"
    big = "x" * LARGEST_BODY_BYTES
    assert client.post(path, data={"token": TOKEN, "by": big}).status_code == 413

    def endless():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield b"y" * 1024

    assert client.post(path, content=endless()).status_code == 413
    assert client.get("/", headers={"content-length": "-5"}).status_code in (400, 413)
    assert history.run(runs.proposal).approval is None


def test_oversized_addresses_are_refused(client: TestClient) -> None:
    assert client.get("/runs?instance=" + "x" * 9000).status_code == 414
    assert client.get("/" + "x" * 9000).status_code == 414


def test_other_methods_do_nothing(client: TestClient, runs: Runs) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST"):
        for path in ("/", "/runs", f"/runs/{runs.proposal}", f"/api/v1/runs/{runs.proposal}"):
            assert client.request(method, path).status_code == 405, (method, path)


def test_random_bytes_never_break_a_page(client: TestClient, runs: Runs) -> None:
    """500 hostile addresses and forms: refused or answered, never an error of ours."""
    chance = random.Random(7)
    alphabet = "abz09-_./\\%'\";<>&=?#\x01\t \u00e9\u202e\U0001f600{}[]()$`|~"
    for _ in range(250):
        word = "".join(chance.choice(alphabet) for _ in range(chance.randint(1, 60)))
        path = chance.choice(
            ["/runs/", f"/runs/{runs.front}/files/", f"/runs/{runs.front}/points/",
             "/instances/", "/api/v1/runs/", "/compare?old=", "/runs?before=", "/runs?instance="]
        )  # fmt: skip
        assert client.get(path + quote(word)).status_code in (200, 404, 405, 422), word
        body = bytes(chance.randrange(256) for _ in range(chance.randint(0, 200)))
        kind = {"content-type": "application/x-www-form-urlencoded"}
        answer = client.post(f"/runs/{runs.proposal}/approval", content=body, headers=kind)
        assert answer.status_code in (401, 429)


@pytest.mark.parametrize("token", ["", "short", "x" * 19])
def test_a_short_token_is_refused_at_the_start(token: str) -> None:
    with pytest.raises(PlannerError, match="at least 20"):
        ApprovalGate(token)


def test_a_history_that_goes_away_is_told_without_details(
    client: TestClient, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner.errors import HistoryError

    def away(*_: object) -> None:
        raise HistoryError("postgresql://db: connection refused")

    monkeypatch.setattr(History, "runs", away)
    assert client.get("/api/v1/runs").status_code == 503
    assert client.get("/runs").status_code == 503
    assert client.get("/healthz").status_code == 503


def test_serving_changes_nothing(client: TestClient, history: History, tmp_path: Path) -> None:
    before = history.check(), len(history.runs(Filter(), 100))
    for path in ("/", "/runs", "/api/v1/runs", "/instances/hand", "/openapi.json"):
        client.get(path)
    after = history.check(), len(history.runs(Filter(), 100))
    assert before == after
