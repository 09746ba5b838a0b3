"""The API tells what the history holds, byte for byte, and approves with the token only."""

from __future__ import annotations

import json

import pytest
from starlette.testclient import TestClient

from planner.history import History
from planner.serve.app import create_app
from planner.serve.security import FAILURES_ALLOWED
from tests.planner.serve.conftest import TOKEN, Runs

BEARER = {"authorization": f"Bearer {TOKEN}"}


def test_runs_come_in_pages_newest_first(client: TestClient, runs: Runs) -> None:
    first = client.get("/api/v1/runs", params={"limit": 4}).json()
    rest = client.get("/api/v1/runs", params={"limit": 4, "before": first["next_before"]}).json()
    ids = [view["run"]["id"] for view in first["runs"] + rest["runs"]]
    assert ids == [runs.hostile, runs.other, runs.proposal, runs.failed, runs.keep, runs.front,
                   runs.approved]  # fmt: skip
    assert rest["next_before"] is None


def test_runs_are_filtered(client: TestClient, runs: Runs) -> None:
    for query, ids in (
        ({"awaiting": "true"}, [runs.proposal]),
        ({"kind": "front"}, [runs.front]),
        ({"decision": "keep"}, [runs.keep]),
        ({"instance": "other"}, [runs.other]),
        ({"instance": "nobody"}, []),
    ):
        found = client.get("/api/v1/runs", params=query).json()["runs"]
        assert [view["run"]["id"] for view in found] == ids, query


def test_a_run_comes_with_its_files(client: TestClient, runs: Runs) -> None:
    body = client.get(f"/api/v1/runs/{runs.approved}").json()
    assert body["view"]["approval"]["approved_by"] == "Ada Lovelace"
    assert [file["path"] for file in body["files"]] == [
        *("instance/instance.toml", "plan.json", "report.html")
    ]


def test_plans_fronts_and_files_are_those_recorded(
    client: TestClient, history: History, runs: Runs
) -> None:
    plan = client.get(f"/api/v1/runs/{runs.proposal}/plan")
    assert plan.content == history.read(runs.proposal, "plan.json")
    front = client.get(f"/api/v1/runs/{runs.front}/front")
    assert front.content == history.read(runs.front, "front.json")
    file = client.get(f"/api/v1/runs/{runs.front}/files/plans/c.json")
    assert file.content == history.read(runs.front, "plans/c.json")
    assert file.headers["content-disposition"] == "attachment"


def test_the_plan_in_force_is_told(client: TestClient, runs: Runs) -> None:
    (held,) = client.get("/api/v1/incumbents").json()
    assert (held["instance"], held["run_id"], held["cost_usd"]) == ("hand", runs.approved, 100.0)


def test_two_plans_are_compared(client: TestClient, runs: Runs) -> None:
    body = client.get("/api/v1/compare", params={"old": runs.approved, "new": runs.proposal}).json()
    assert "-10.0 %" in body["text"]


def test_what_is_not_there_or_not_sensible_is_refused(client: TestClient) -> None:
    for path, status in (
        ("/api/v1/runs/none-such", 404),
        ("/api/v1/runs/UPPER", 422),
        ("/api/v1/runs?limit=0", 422),
        ("/api/v1/runs?limit=100000", 422),
        ("/api/v1/runs?kind=fun", 422),
        ("/api/v1/runs?instance=%00", 422),
        ("/api/v1/runs?before=99999999999999999999999999", 422),
        ("/api/v1/nothing", 404),
        ("/api/v1/compare?old=a&new=b", 404),
    ):
        answer = client.get(path)
        assert answer.status_code == status, path
        assert answer.json()["detail"], path


def test_a_run_without_plan_or_front_says_so(client: TestClient, runs: Runs) -> None:
    for path in ("plan", "front"):
        assert client.get(f"/api/v1/runs/{runs.failed}/{path}").status_code == 404


# ------------------------------------------------------------------ approval


def approve(client: TestClient, run_id: str, headers: dict[str, str], **changes: str):  # type: ignore[no-untyped-def]
    body = {"verdict": "approved", "by": "Grace"} | changes
    return client.post(f"/api/v1/runs/{run_id}/approval", json=body, headers=headers)


def test_the_token_approves(client: TestClient, history: History, runs: Runs) -> None:
    answer = approve(client, runs.proposal, BEARER)
    assert answer.status_code == 200
    assert answer.json()["approved_by"] == "Grace"
    held = history.incumbent("hand")
    assert held is not None
    assert held.run_id == runs.proposal


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": f"Bearer {TOKEN[:-1]}"},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer "},
        {"cookie": f"token={TOKEN}"},
        {"authorization": "Bearer \u00e9\u00e8".encode("latin-1").decode("latin-1")},
    ],
)
def test_without_the_token_nobody_approves(
    client: TestClient, history: History, runs: Runs, headers: dict[str, str]
) -> None:
    sent = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = approve(client, runs.proposal, sent)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert history.run(runs.proposal).approval is None


def test_guessing_tokens_is_slowed_down(client: TestClient, runs: Runs) -> None:
    wrong = {"authorization": "Bearer wrong"}
    codes = [approve(client, runs.proposal, wrong).status_code for _ in range(FAILURES_ALLOWED + 2)]
    assert codes == [401] * FAILURES_ALLOWED + [429, 429]
    assert approve(client, runs.proposal, BEARER).status_code == 429


def test_without_a_configured_token_approval_is_off(history: History, runs: Runs) -> None:
    with TestClient(create_app(history, None, frozenset({"testserver"}))) as client:
        answer = approve(client, runs.proposal, BEARER)
    assert answer.status_code == 403
    assert "approval is off" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("run", "changes", "status", "told"),
    [
        ("approved", {}, 409, "was approved by Ada"),
        ("failed", {}, 409, "holds no plan"),
        ("keep", {}, 409, "superseded"),
        ("front", {}, 409, "--point"),
        ("front", {"point": "zz"}, 404, "no point"),
        ("proposal", {"verdict": "rejected"}, 409, "needs a reason"),
        ("proposal", {"verdict": "maybe"}, 422, ""),
        ("proposal", {"by": ""}, 422, ""),
        ("proposal", {"by": "a\nb"}, 422, ""),
        ("proposal", {"surprise": "x"}, 422, ""),
        ("proposal", {"point": "../x"}, 422, ""),
    ],
)
def test_what_cannot_be_decided_is_told(
    client: TestClient, runs: Runs, run: str, changes: dict[str, str], status: int, told: str
) -> None:
    answer = approve(client, getattr(runs, run), BEARER, **changes)
    assert answer.status_code == status
    assert told in json.dumps(answer.json()["detail"])


def test_the_schema_names_every_shape(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/api/v1/runs",
        "/api/v1/runs/{run_id}",
        "/api/v1/runs/{run_id}/plan",
        "/api/v1/runs/{run_id}/front",
        "/api/v1/runs/{run_id}/files/{path}",
        "/api/v1/runs/{run_id}/approval",
        "/api/v1/incumbents",
        "/api/v1/compare",
    }
    assert {"RunPage", "RunDetail", "Plan", "Front", "PlanInForce", "ApprovalRecord"} <= set(
        schema["components"]["schemas"]
    )
