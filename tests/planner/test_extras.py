"""Without an extra everything else works, and what needs it says how to install it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from planner.history import History
from tests.planner import history_examples as examples

EXTRAS = ("apscheduler", "prometheus_client", "fastapi", "starlette", "uvicorn", "psycopg")
BARE = (
    "import sys\n"
    f"for name in {EXTRAS!r}: sys.modules[name] = None\n"
    "from planner.cli import run\n"
    "sys.exit(run(sys.argv[1:]))"
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    (tmp_path / "x").mkdir()
    path = str(tmp_path / "h.db")
    with History.open(path, create=True) as history:
        history.record(examples.cycle_draft(), examples.decision())
    return path


def bare(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A call of the command line where none of the extras is installed."""
    words = [sys.executable, "-c", BARE, *arguments]
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        words, cwd=folder, capture_output=True, text=True, check=False, env={"PYTHONPATH": root}
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["history", "list"], 0),
        (["history", "check"], 0),
        (["approve", "latest", "--by", "Ada"], 0),
        (["watch", "x", "--once", "--cycle", "tests.planner.schedule.cycles:move"], 2),
    ],
)
def test_history_approval_and_a_single_cycle_need_no_extra(
    tmp_path: Path, url: str, arguments: list[str], code: int
) -> None:
    told = bare(*arguments, "--history", url, folder=tmp_path)
    assert told.returncode == code, told.stderr


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["serve"], "serve"),
        (["watch", "x", "--every", "6h"], "watch"),
        (["watch", "x", "--once", "--cron", "0 6 * * *"], "watch"),
        (["history", "list", "--history", "postgresql://nobody@localhost/x"], "postgres"),
    ],
)
def test_what_needs_an_extra_names_the_command(
    tmp_path: Path, url: str, arguments: list[str], extra: str
) -> None:
    history = [] if "--history" in arguments else ["--history", url]
    told = bare(*arguments, *history, folder=tmp_path)
    assert told.returncode == 1
    assert f"pip install 'fleet-planner[{extra}]'" in told.stderr
    assert "Traceback" not in told.stderr
