"""The pages: the answer first, everything escaped, no script, approval by form with the token."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from planner.history import History
from planner.serve.charts import round_values, scatter_of
from tests.planner.front import front_examples
from tests.planner.serve.conftest import REPORT, TOKEN, Runs


def text_of(html: str) -> str:
    """What a reader sees."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_the_overview_begins_with_what_waits(client: TestClient, runs: Runs) -> None:
    text = text_of(client.get("/").text)
    assert text.index("1 plan waits for your decision") < text.index("Plans in force")
    assert "10.0 USD saved for certain" in text
    assert "at most 12.0 USD" in text
    assert "by Ada Lovelace" in text
    assert "Schedules in trouble" in text


def test_an_empty_history_says_how_to_begin(history: History) -> None:
    from planner.serve.app import create_app

    with TestClient(create_app(history, None, frozenset({"testserver"}))) as client:
        text = text_of(client.get("/").text)
    assert "Nothing waits for a decision" in text
    assert "planner plan INSTANCE --history FILE" in text


def test_a_proposal_shows_reason_change_and_form(client: TestClient, runs: Runs) -> None:
    html = client.get(f"/runs/{runs.proposal}").text
    text = text_of(html)
    assert "Move to this plan awaiting approval" in text
    assert "Because of move." in text
    assert "~ north h100 8 16" in text
    assert 'name="token" type="password"' in html
    assert "Nothing is applied from here" in text


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("approved", "Approved by Ada Lovelace on"),
        ("approved", "the first one"),
        ("keep", "there is nothing to decide here"),
        ("failed", "The cycle failed"),
        ("failed", "could not be read"),
        ("front", "No plan at all beats these by more than 3.00 %"),
    ],
)
def test_a_run_says_what_became_of_it(client: TestClient, runs: Runs, run: str, said: str) -> None:
    assert said in text_of(client.get(f"/runs/{getattr(runs, run)}").text)


def test_figures_on_the_page_are_those_of_the_plan(
    client: TestClient, history: History, runs: Runs
) -> None:
    text = text_of(client.get(f"/runs/{runs.front}/points/c").text)
    plan = history.plan(runs.front, "plans/c.json")
    assert plan.objectives.cost_usd == 200.0
    for figure in ("200 USD", "400 kgCO2e", "0.9000", "at least 195 USD", "2.50 % above"):
        assert figure in text
    assert "commit-1y 8" in text
    assert "on-demand 16" in text


def test_every_link_of_every_page_leads_somewhere(client: TestClient, runs: Runs) -> None:
    seen, waiting = set(), ["/"]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = client.get(path)
        assert answer.status_code == 200, path
        if answer.headers["content-type"].startswith("text/html") and "/files/" not in path:
            for link in re.findall(r'(?:href|action)="([^"]+)"', answer.text):
                target = urlsplit(link.replace("&amp;", "&"))
                assert target.netloc == "", link
                if target.path and not target.path.endswith("/approval"):
                    waiting.append(target.path + (f"?{target.query}" if target.query else ""))
    assert len(seen) > 20


def test_runs_are_filtered_and_paged(client: TestClient, runs: Runs) -> None:
    html = client.get("/runs?instance=&kind=cycle&decision=keep").text
    assert runs.keep in html
    assert runs.proposal not in html
    assert "<option selected>keep</option>" in html


def test_two_plans_are_shown_side_by_side(client: TestClient, runs: Runs) -> None:
    text = text_of(client.get(f"/compare?old={runs.approved}&new={runs.proposal}").text)
    assert "-10.0 %" in text


def test_hostile_texts_stay_texts(client: TestClient, runs: Runs) -> None:
    for path in ("/", "/runs", f"/runs/{runs.hostile}",
                 "/instances/%3Cscript%3Ealert(1)%3C%2Fscript%3E"):  # fmt: skip
        html = client.get(path).text
        assert "<script" not in html, path
        assert "&lt;script&gt;" in html, path


def test_pages_run_no_script_and_load_nothing_from_elsewhere(
    client: TestClient, runs: Runs
) -> None:
    for path in ("/", "/runs", f"/runs/{runs.proposal}", f"/runs/{runs.front}", "/instances/hand"):
        html = client.get(path).text
        assert not re.search(r"<script|\son\w+=|style=|https?://|javascript:", html), path
        assert re.findall(r"<link[^>]+>", html) == ['<link rel="stylesheet" href="/style.css">']


def test_a_stored_report_is_shown_in_an_origin_of_its_own(client: TestClient, runs: Runs) -> None:
    assert (
        f'href="/runs/{runs.approved}/files/report.html"'
        in client.get(f"/runs/{runs.approved}").text
    )
    answer = client.get(f"/runs/{runs.approved}/files/report.html")
    assert answer.content == REPORT
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "allow-same-origin" not in policy


def test_other_files_are_shown_as_text_or_saved(client: TestClient, runs: Runs) -> None:
    toml = client.get(f"/runs/{runs.approved}/files/instance/instance.toml")
    assert toml.headers["content-type"] == "text/plain; charset=utf-8"
    assert toml.headers["x-content-type-options"] == "nosniff"
    assert toml.headers["content-security-policy"] == "sandbox; default-src 'none'"


def test_the_store_is_watched_without_a_watcher(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'planner_cycles_total{decision="move",schedule="hand"} 1.0' in metrics.text


# ------------------------------------------------------------------ approval by form


def decide(client: TestClient, run_id: str, headers: dict[str, str] | None = None, **fields: str):  # type: ignore[no-untyped-def]
    data = {"by": "Grace", "token": TOKEN, "verdict": "approved"} | fields
    return client.post(f"/runs/{run_id}/approval", data=data, headers=headers)


def test_the_form_approves_and_returns_to_the_run(
    client: TestClient, history: History, runs: Runs
) -> None:
    answer = decide(client, runs.proposal)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/runs/{runs.proposal}")
    assert "Approved by Grace" in text_of(client.get(f"/runs/{runs.proposal}").text)
    held = history.incumbent("hand")
    assert held is not None
    assert held.run_id == runs.proposal


def test_a_point_is_approved_from_its_page(
    client: TestClient, history: History, runs: Runs
) -> None:
    assert 'name="point" value="c"' in client.get(f"/runs/{runs.front}/points/c").text
    assert decide(client, runs.front, point="c").status_code == 303
    held = history.incumbent("hand")
    assert held is not None
    assert held.approval.plan_path == "plans/c.json"


@pytest.mark.parametrize(
    ("fields", "headers", "status", "told"),
    [
        ({"token": ""}, {}, 401, "wrong token"),
        ({"token": TOKEN.upper()}, {}, 401, "wrong token"),
        ({}, {"origin": "https://evil.example"}, 403, "another site"),
        ({}, {"origin": "null"}, 403, "another site"),
        ({}, {"origin": "http://[::1"}, 403, "another site"),
        ({}, {"sec-fetch-site": "cross-site"}, 403, "another site"),
        ({}, {"sec-fetch-site": "same-site"}, 403, "another site"),
        ({"verdict": "maybe"}, {}, 409, "approved or rejected"),
        ({"by": " "}, {}, 409, "who decides"),
        ({"verdict": "rejected"}, {}, 409, "needs a reason"),
    ],
)
def test_the_form_refuses(
    client: TestClient,
    history: History,
    runs: Runs,
    fields: dict[str, str],
    headers: dict[str, str],
    status: int,
    told: str,
) -> None:
    answer = decide(client, runs.proposal, headers, **fields)
    assert answer.status_code == status
    assert told in text_of(answer.text)
    assert history.run(runs.proposal).approval is None


def test_the_browsers_own_request_is_let_through(client: TestClient, runs: Runs) -> None:
    own = {"origin": "http://testserver", "sec-fetch-site": "same-origin"}
    assert decide(client, runs.proposal, own).status_code == 303


# ------------------------------------------------------------------ pictures


def test_every_point_of_the_front_has_its_place() -> None:
    front = front_examples.front()
    drawn = scatter_of(front, "run")
    by_name = {dot.name: dot for dot in drawn.dots}
    assert by_name["a"].x < by_name["b"].x < by_name["c"].x < by_name["d"].x
    assert by_name["a"].y < by_name["b"].y < by_name["d"].y, "more carbon is higher up"
    assert (by_name["a"].shade, by_name["d"].shade) == (1, 5)
    assert by_name["b"].title == "b: 120 USD, 500 kgCO2e, QoE 0.8200"
    assert all(0 <= dot.x <= drawn.width and 0 <= dot.y <= drawn.height for dot in drawn.dots)


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (0.0, 10.0, [0, 2, 4, 6, 8, 10]),
        (13_859.0, 232_115.0, [50_000, 100_000, 150_000, 200_000]),
        (0.71, 0.72, [0.71, 0.712, 0.714, 0.716, 0.718, 0.72]),
    ],
)
def test_axes_have_round_values(low: float, high: float, values: list[float]) -> None:
    assert round_values(low, high) == pytest.approx(values)
