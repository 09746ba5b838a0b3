"""`planner serve` listens where it says, on loopback unless told otherwise, and ends politely."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from planner.cli import run
from planner.history import History
from tests.planner.serve.conftest import TOKEN, Runs
from tests.planner.serve.live import serving


def test_it_answers_at_the_address_it_tells(store_url: str, runs: Runs) -> None:
    with serving(store_url) as address:
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}/api/v1/runs/{runs.keep}", timeout=30) as answer:
            assert answer.status == 200


def test_it_listens_on_loopback_only(store_url: str, runs: Runs) -> None:
    with serving(store_url) as address:
        port = int(address.rpartition(":")[2])
        other = socket.gethostbyname(socket.gethostname())
        if not other.startswith("127."):
            with socket.socket() as outside, pytest.raises(OSError):
                outside.settimeout(2)
                outside.connect((other, port))


@pytest.mark.parametrize(
    ("options", "environment", "told"),
    [
        (["--history", "none.db"], {}, "no such history"),
        ([], {"PLANNER_APPROVE_TOKEN": "short"}, "at least 20"),
        (["--port", "99999"], {}, "--port"),
    ],
)
def test_mistakes_are_told_at_the_start(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: list[str],
    environment: dict[str, str],
    told: str,
) -> None:
    with History.open(str(tmp_path / "h.db"), create=True):
        pass
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLANNER_HISTORY", "h.db")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run(["serve", *options]) == 1
    captured = capsys.readouterr()
    assert told in captured.err
    assert "Traceback" not in captured.err


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    url = str(tmp_path / "h.db")
    with History.open(url, create=True):
        pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        words = [sys.executable, "-m", "planner", "serve", "--port", port, "--history", url]
        told = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert told.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in told.stderr


def test_an_address_beyond_loopback_is_warned_of(tmp_path: Path) -> None:
    url = str(tmp_path / "h.db")
    with History.open(url, create=True):
        pass
    words = [sys.executable, "-m", "planner", "serve", "--port", "0", "--host", "0.0.0.0",
             "--history", url]  # fmt: skip
    server = subprocess.Popen(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert server.stderr is not None
    first = server.stderr.readline()
    server.terminate()
    server.communicate(timeout=30)
    assert first.startswith("warning: 0.0.0.0 is reached from other machines, without login")


@pytest.mark.slow
def test_fifty_readers_of_the_pages_while_runs_are_recorded(
    store_url: str, history: History, runs: Runs
) -> None:
    import threading

    from tests.planner import history_examples as examples

    failures: list[str] = []

    def read(address: str) -> None:
        for path in ("/", "/runs", f"/runs/{runs.proposal}", "/api/v1/runs", "/api/v1/incumbents"):
            try:
                with urllib.request.urlopen(address + path, timeout=60) as answer:
                    answer.read()
            except OSError as error:
                failures.append(f"{path}: {error}")

    with serving(store_url, PLANNER_APPROVE_TOKEN=TOKEN) as address:
        readers = [threading.Thread(target=read, args=(address,)) for _ in range(50)]
        for reader in readers:
            reader.start()
        for cost in range(20):
            history.record(examples.plan_draft(100.0 + cost))
        for reader in readers:
            reader.join()
    assert failures == []
