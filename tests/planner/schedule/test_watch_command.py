"""`planner watch` as a process: one cycle at a time, ended politely, alive through trouble."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from planner.cli import run
from planner.history import Filter, History
from planner.history.locks import holder
from planner.schedule.body import lock_name

ROOT = Path(__file__).resolve().parents[3]
CYCLES = "tests.planner.schedule.cycles"
PATIENCE_S = 60.0


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    folder = tmp_path / "hand"
    folder.mkdir()
    (folder / "instance.toml").write_text('name = "hand"\n')
    return folder


@pytest.fixture
def watch(instance: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `planner watch` with a cycle of the tests; whatever runs at the end is killed."""
    started = []

    def start(cycle: str, *options: str, url: str, **environment: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "planner", "watch", str(instance), "--runs",
                 str(tmp_path / "runs"), "--cycle", f"{CYCLES}:{cycle}", *options]  # fmt: skip
        env = {**os.environ, "PYTHONPATH": str(ROOT), "PLANNER_HISTORY": url, **environment}
        child = subprocess.Popen(
            words, env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        started.append(child)
        return child

    yield start
    for child in started:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        child.communicate()


def until(what: Callable[[], object]) -> object:
    """What it finds in the end; fails after a while."""
    limit = time.monotonic() + PATIENCE_S
    while time.monotonic() < limit:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("waited too long")


def events(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_once_says_the_decision_first_and_exits_with_it(
    watch: Callable[..., subprocess.Popen[str]], store_url: str
) -> None:
    child = watch("move", "--once", url=store_url)
    out, err = child.communicate(timeout=PATIENCE_S)
    assert child.returncode == 2
    assert out.splitlines()[0] == "hand: move: ten dollars are saved for certain"
    assert "planner approve hand-2" in out
    assert [event["event"] for event in events(err)] == ["cycle", "thinking", "recorded"]


@pytest.mark.parametrize(
    ("cycle", "code"), [("keep", 0), ("failing", 1), ("invalid", 3), ("infeasible", 4)]
)
def test_once_exits_as_every_command_does(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    instance: Path,
    tmp_path: Path,
    cycle: str,
    code: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["watch", str(instance), "--once", "--cycle", f"{CYCLES}:{cycle}", "--json"]
    assert run([*words, "--history", "h.db"]) == code
    body = json.loads(capsys.readouterr().out)
    assert body["run"]["exit_code"] == code


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give --every or --cron, or --once"),
        (["--every", "6h", "--cron", "0 6 * * *"], "one of --every and --cron"),
        (["--once", "--margin", "many"], "write 1% or 0.01"),
        (["--once", "--margin", "0.5"], "write 1% or 0.01"),
        (["--once", "--notify", "me"], "one of changes, always"),
        (["--once", "--time-limit", "-1"], "seconds above 0"),
        (["--once", "--cycle", "nowhere:x"], "--cycle nowhere:x"),
        (["--every", "6h", "--health", "port"], "--health port"),
        (["--once", "--history", "mysql://x/y"], "cannot be kept"),
        (["--every", "6h", "--jitter", "soon"], "--jitter"),
    ],
)
def test_mistakes_are_told_before_anything_runs(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    instance: Path,
    tmp_path: Path,
    words: list[str],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["watch", str(instance), *words]) == 1
    captured = capsys.readouterr()
    assert told in captured.err
    assert "Traceback" not in captured.err


def test_a_folder_that_is_not_there_leaves_no_trace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["--once"], ["--every", "6h"], ["--every", "6h", "--print", "cron"]):
        assert run(["watch", "nowhere", *words]) == 1
        assert "nowhere is not an instance folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_half_a_notification_is_told_before_the_cycle(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, instance: Path
) -> None:
    monkeypatch.setenv("PLANNER_WEBHOOK_URL", "https://example.org")
    assert run(["watch", str(instance), "--once", "--cycle", f"{CYCLES}:move"]) == 1
    assert "needs PLANNER_WEBHOOK_SECRET" in capsys.readouterr().err


def test_a_watcher_runs_what_is_due_then_waits_and_ends_on_sigterm(
    watch: Callable[..., subprocess.Popen[str]], store_url: str
) -> None:
    with History.open(store_url, create=True) as history:
        child = watch("keep", "--every", "1w", "--health", "0", url=store_url)
        (view,) = until(lambda: history.runs(Filter()))  # type: ignore[misc, assignment]
        time.sleep(0.5)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=PATIENCE_S)
        assert len(history.runs(Filter())) == 1
    assert child.returncode == 0
    assert view.decision.decision == "keep"
    told = events(err)
    assert [event["event"] for event in told if event["event"] != "ending"] == [
        *("health", "watching", "started", "cycle", "recorded", "ended", "stopped")
    ]


def test_health_and_metrics_are_served_while_it_watches(
    watch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    child = watch("keep", "--every", "1w", "--health", "0", url=str(tmp_path / "h.db"))
    assert child.stderr is not None
    address = json.loads(child.stderr.readline())["address"]

    def settled() -> bool:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            return b'planner_cycles_total{decision="keep",schedule="hand"} 1.0' in answer.read()

    until(settled)
    with urllib.request.urlopen(f"http://{address}/healthz", timeout=10) as answer:
        assert json.load(answer)["status"] == "ok"


def test_ending_a_watcher_ends_its_cycle_and_frees_the_lock(
    watch: Callable[..., subprocess.Popen[str]], store_url: str
) -> None:
    with History.open(store_url, create=True) as history:
        child = watch("stuck", "--every", "1w", url=store_url)
        until(lambda: holder(history.store, lock_name("hand")))
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=PATIENCE_S)
        assert holder(history.store, lock_name("hand")) is None
        assert history.runs(Filter()) == ()


@pytest.mark.slow
def test_of_two_watchers_on_one_store_one_acts(
    watch: Callable[..., subprocess.Popen[str]], store_url: str
) -> None:
    with History.open(store_url, create=True) as history:
        pair = [watch("slow", "--every", "1w", url=store_url, TEST_CYCLE_S="3") for _ in range(2)]
        until(lambda: history.runs(Filter()))
        time.sleep(20)
        told = []
        for child in pair:
            child.send_signal(signal.SIGTERM)
            told += events(child.communicate(timeout=PATIENCE_S)[1])
        assert len(history.runs(Filter())) == 1
    assert sum(event["event"] == "recorded" for event in told) == 1


@pytest.mark.slow
def test_a_cycle_that_dies_does_not_take_the_watcher_along(
    watch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    url = str(tmp_path / "h.db")
    child = watch("killed", "--every", "1w", url=url)
    assert child.stderr is not None
    seen = []
    for line in child.stderr:
        seen.append(json.loads(line))
        if seen[-1]["event"] == "ended":
            break
    assert seen[-1]["exit_code"] == -9
    assert child.poll() is None
    with History.open(url) as history:
        assert history.runs(Filter()) == ()
        assert holder(history.store, lock_name("hand")) is not None, "until it expires"


def test_a_watcher_lives_through_a_history_that_goes_away(
    watch: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    url = tmp_path / "h.db"
    child = watch("keep", "--every", "1w", "--health", "0", url=str(url))
    assert child.stderr is not None
    address = json.loads(child.stderr.readline())["address"]
    with History.open(str(url), create=True) as history:
        until(lambda: history.runs(Filter()))
    for path in tmp_path.glob("h.db*"):
        path.unlink()
    url.mkdir()

    def told() -> bool:
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(f"http://{address}/healthz", timeout=10)
        with answer.value as refusal:
            return refusal.code == 503 and b"unable to open" in refusal.read()

    until(told)
    assert child.poll() is None
