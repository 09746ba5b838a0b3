"""`planner history`, `planner approve`, and recording by `planner plan` and `planner front`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import planner
from planner.cli import run
from planner.history import Filter, History
from tests.planner import history_examples as examples
from tests.planner.hand_made import result

TINY = str(Path(__file__).resolve().parents[3] / "instances" / "tiny")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("planner.solve.engine.minimize", lambda data, goal, *_: result(data, goal))


@pytest.fixture
def three_runs() -> list[str]:
    """A plan, a front, and a cycle that proposes a move."""
    with History.open("h.db", create=True) as history:
        drafts = [examples.plan_draft(), examples.front_draft(Path("front"))]
        ids = [history.record(draft).id for draft in drafts]
        return [*ids, history.record(examples.cycle_draft(), examples.decision()).id]


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run([*arguments]) == code
    return "".join(capsys.readouterr())


# ------------------------------------------------------------------ recording


def test_plan_records_its_run(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "plan", TINY, "--quiet", "--output", "here", "--history", "h.db", code=5)
    with History.open("h.db") as history:
        (view,) = history.runs(Filter())
        assert (view.run.kind, view.run.instance, view.run.exit_code) == ("plan", "tiny", 5)
        assert history.plan(view.run.id) == planner.plan.Plan.read(Path("here"))
        assert any(file.path == "certificate.npz" for file in history.files(view.run.id))


def test_the_environment_names_the_history_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANNER_HISTORY", "deep/er/h.db")
    said(capsys, "plan", TINY, "--quiet", code=5)
    assert said(capsys, "history", "list").startswith("1 run of ")


def test_without_either_nothing_is_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "plan", TINY, "--quiet", "--output", "here", code=5)
    assert sorted(path.name for path in Path().iterdir()) == ["here"]


def test_a_wrong_history_is_told_before_the_search(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner.solve.engine.minimize", lambda *_: 1 / 0)
    text = said(capsys, "plan", TINY, "--history", "mysql://nowhere/x", code=1)
    assert "cannot be kept in mysql://nowhere/x" in text


def test_a_run_that_cannot_be_recorded_is_not_lost(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner.errors import HistoryError

    def full(*_: object, **__: object) -> None:
        raise HistoryError("the disk is full")

    monkeypatch.setattr(History, "record", full)
    text = said(capsys, "plan", TINY, "--output", "here", "--history", "h.db", code=1)
    assert "the disk is full" in text
    assert "planner history import" in text
    assert planner.verify("here").ok


@pytest.mark.slow
def test_front_records_its_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()  # the real engine
    monkeypatch.chdir(tmp_path)
    said(capsys, "front", TINY, "--epsilon", "20%", "--history", "h.db", "--output", "f")
    with History.open("h.db") as history:
        (view,) = history.runs(Filter())
        assert view.front is not None
        assert view.run.kind == "front"


# ------------------------------------------------------------------ looking


def test_the_list_says_how_many_then_newest_first(
    capsys: pytest.CaptureFixture[str], three_runs: list[str]
) -> None:
    lines = said(capsys, "history", "list", "--history", "h.db").splitlines()
    assert lines[0].startswith("3 runs of ")
    assert [line.split()[0] for line in lines[2:]] == three_runs[::-1]
    assert "move, awaiting approval" in lines[2]
    assert "front of 4" in lines[3]


def test_pages_of_the_list_go_on(capsys: pytest.CaptureFixture[str], three_runs: list[str]) -> None:
    words = ["history", "list", "--history", "h.db", "--json"]
    first = json.loads(said(capsys, *words, "--limit", "2"))
    before = str(first["next_before"])
    rest = said(capsys, *words, "--before", before)
    ids = [view["run"]["id"] for view in first["runs"] + json.loads(rest)["runs"]]
    assert ids == three_runs[::-1]
    assert json.loads(rest)["next_before"] is None


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (["--awaiting"], 1),
        (["--kind", "front"], 1),
        (["--decision", "keep"], 0),
        (["--instance", "hand"], 3),
        (["--instance", "else"], 0),
    ],
)
def test_the_list_is_filtered(
    capsys: pytest.CaptureFixture[str], three_runs: list[str], options: list[str], count: int
) -> None:
    body = json.loads(said(capsys, "history", "list", "--history", "h.db", *options, "--json"))
    assert len(body["runs"]) == count


def test_show_tells_the_decision_and_every_input(
    capsys: pytest.CaptureFixture[str], three_runs: list[str]
) -> None:
    text = said(capsys, "history", "show", "latest", "--history", "h.db")
    assert text.splitlines()[0] == f"{three_runs[-1]}: move, awaiting approval"
    assert "decided: move: because of move" in text
    assert "~ north  h100" in text
    assert "instance/instance.toml" in text
    body = json.loads(said(capsys, "history", "show", "latest", "--history", "h.db", "--json"))
    assert body["decision"]["regret"] == {"low": 10.0, "high": 12.0, "unit": "USD"}
    assert len(body["files"][0]["sha256"]) == 64


def test_diff_tells_what_a_change_between_two_runs_is_due_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said(capsys, "plan", TINY, "--quiet", "--output", "one", "--history", "h.db", code=5)
    dearer = ("--set", "prices.h100-sxm*=1.1", "--output", "two")
    said(capsys, "plan", TINY, "--quiet", *dearer, "--history", "h.db", code=5)
    with History.open("h.db") as history:
        new, old = (view.run.id for view in history.runs(Filter()))
    body = json.loads(said(capsys, "history", "diff", old, "latest", "--history", "h.db", "--json"))
    folders = json.loads(said(capsys, "diff", "one", "two", "--json"))
    assert body["totals"] == folders["totals"]
    assert (body["old"]["name"], body["new"]["name"]) == (old, new)
    text = said(capsys, "history", "diff", old, new, "--history", "h.db")
    assert text.startswith("cost +")
    assert "prices" in text
    assert old in text
    assert said(capsys, "history", "diff", old, old, "--history", "h.db").startswith("no change")


def test_diff_of_what_cannot_be_compared_says_why(
    capsys: pytest.CaptureFixture[str], three_runs: list[str]
) -> None:
    with History.open("h.db") as history:
        failed = history.record(examples.failed_draft(), examples.decision("failed", 1)).id
    text = said(capsys, "history", "diff", failed, three_runs[0], "--history", "h.db", code=1)
    assert f"{failed} holds no plan and no front" in text


def test_export_and_import_are_inverses(
    capsys: pytest.CaptureFixture[str], three_runs: list[str]
) -> None:
    said(capsys, "history", "export", three_runs[1], "back", "--history", "h.db")
    said(capsys, "history", "import", "back", "--history", "other.db")
    with History.open("h.db") as one, History.open("other.db") as other:
        assert one.files(three_runs[1]) == other.files(other.find("latest"))


def test_an_exported_run_passes_the_independent_check(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said(capsys, "plan", TINY, "--quiet", "--history", "h.db", code=5)
    said(capsys, "history", "export", "latest", "back", "--history", "h.db")
    assert said(capsys, "verify", "back").startswith("plan holds")


def test_check_reads_everything(capsys: pytest.CaptureFixture[str], three_runs: list[str]) -> None:
    assert said(capsys, "history", "check", "--history", "h.db").startswith("sound: ")


# ------------------------------------------------------------------ approve


def test_approve_puts_a_plan_in_force(
    capsys: pytest.CaptureFixture[str], three_runs: list[str]
) -> None:
    text = said(capsys, "approve", "latest", "--by", "Ada", "--history", "h.db")
    assert text.startswith(f"approved by Ada: {three_runs[-1]} is the plan in force of hand")
    assert "nothing was applied" in text
    with History.open("h.db") as history:
        held = history.incumbent("hand")
        assert held is not None
        assert held.run_id == three_runs[-1]


def test_reject_needs_a_reason(capsys: pytest.CaptureFixture[str], three_runs: list[str]) -> None:
    no = ["approve", "latest", "--by", "Ada", "--reject", "--history", "h.db"]
    assert "needs a reason" in said(capsys, *no, code=1)
    assert said(capsys, *no, "--reason", "too early").startswith("rejected by Ada")
    assert "was rejected by Ada" in said(capsys, *no, "--reason", "again", code=1)


def test_a_point_of_a_front_is_approved_by_name(
    capsys: pytest.CaptureFixture[str], three_runs: list[str]
) -> None:
    words = ["approve", three_runs[1], "--by", "Ada", "--point", "b", "--history", "h.db", "--json"]
    body = json.loads(said(capsys, *words))
    assert body["approval"]["plan_path"] == "plans/b.json"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["history", "list", "--history", "none.db"], "no such history"),
        (["history", "show", "nope", "--history", "h.db"], "no run 'nope'"),
        (["history", "list", "--kind", "fun", "--history", "h.db"], "one of plan, front, cycle"),
        (["history", "import", "nowhere", "--history", "h.db"], "no such folder"),
        (["history", "export", "latest", "front", "--history", "h.db"], "exists"),
        (["approve", "latest", "--history", "h.db"], "--by"),
        (["history", "show", "hand", "--history", "h.db"], "begins several runs"),
    ],
)
def test_bad_input_is_one_clear_message(
    capsys: pytest.CaptureFixture[str], three_runs: list[str], words: list[str], told: str
) -> None:
    text = said(capsys, *words, code=1)
    assert told in text
    assert "Traceback" not in text
    assert "the whole story" not in text
