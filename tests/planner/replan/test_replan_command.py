"""`planner replan` as a program sees it: the answer first, exit codes, JSON, feeds, memory."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import planner
from planner.api import Request, answer
from planner.cli import run
from planner.runs import read_run, write_run
from tests.planner.replan.examples import TINY, dearer, with_prices

LIMITS = ["--gap", "0.1%", "--time-limit", "60", "--threads", "1"]


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held") / "tiny"
    return write_run(folder, answer(TINY, Request(gap=0.001, time_limit_s=60.0, threads=1)))


@pytest.fixture(scope="module")
def dear(held: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Today's instance, where what runs is eight times as dear."""
    running = [(x.region, x.accelerator) for x in read_run(held).plan.fleet if x.instances]
    return with_prices(TINY, tmp_path_factory.mktemp("dear") / "tiny", dearer(running, 8.0))


def test_keep_is_exit_code_0_and_the_first_line(
    held: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "run")]
    assert run(["replan", str(TINY), "--current", str(held), *LIMITS, *output]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("keep: no change gains more than")
    assert "Assumptions" in shown
    assert run(["verify", str(tmp_path / "run")]) == 0


def test_a_move_is_exit_code_2_with_costs_machines_and_order(
    held: Path, dear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "run")]
    assert run(["replan", str(dear), "--current", str(held), *LIMITS, *output]) == 2
    shown = capsys.readouterr().out
    assert shown.startswith("move: a change gains")
    for title in ("Costs of the change", "Machines of the best plan", "Order of the move"):
        assert title in shown
    assert "prices" in shown
    assert planner.verify(tmp_path / "run").ok


def test_json_has_the_decision_and_the_difference(
    held: Path, dear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", str(tmp_path / "run"), "--json"]
    assert run(["replan", str(dear), "--current", str(held), *LIMITS, *output]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["exit_code"], told["decision"]["decision"]) == (2, "move")
    assert told["decision"]["regret"]["low"] > told["decision"]["least"]
    assert told["diff"]["kind"] == "plans"


def test_with_a_state_file_the_second_check_in_a_row_proposes(
    held: Path, dear: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = ["--state", str(tmp_path / "state.json")]
    codes = [
        run(
            [
                *("replan", str(dear), "--current", str(held), *LIMITS, *state),
                *("--output", str(tmp_path / name)),
            ]
        )
        for name in ("first", "second")
    ]
    assert codes == [0, 2]
    assert "found in 1 of 2 checks in a row" in capsys.readouterr().out


def test_feeds_say_what_the_instance_is_today(
    held: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = Path(shutil.copytree(TINY, tmp_path / "tiny"))
    line = read_run(held).plan.fleet[0]
    rows = ["date,region,offer,ondemand_usd_per_h", f"2026-01-01,{line.region},{line.offer},2.0"]
    (tmp_path / "agreed.csv").write_text("\n".join(rows) + "\n")
    (instance / "feeds.toml").write_text(
        '[feeds.agreed]\nreader = "tables"\nkind = "prices"\npath = "../agreed.csv"\n'
        "max_age_h = 1e6\nrequired_regions = []\nmax_missing_share = 1.0\n"
    )
    assert run(["feed", "fetch", str(instance)]) == 0
    output = ["--output", str(tmp_path / "run"), "--feed", "all", "--json"]
    capsys.readouterr()
    assert run(["replan", str(instance), "--current", str(held), *LIMITS, *output]) in (0, 2)
    told = json.loads(capsys.readouterr().out)
    assert any(text.startswith("Feed agreed:") for text in told["decision"]["assumptions"])
    machines = planner.load(tmp_path / "run" / "instance").machines
    assert {m.ondemand_usd_per_h for m in machines if m.offer == line.offer} == {2.0}


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        ([], 1, "what runs today"),
        (["--current", "nowhere"], 1, "nowhere"),
        (["--current", str(TINY), "--margin", "lots"], 1, "lots"),
    ],
)
def test_bad_input_gives_one_clear_error(
    arguments: list[str], code: int, told: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(["replan", str(TINY), *arguments, "--output", str(tmp_path / "run")]) == code
    shown = capsys.readouterr().err
    assert told in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "run").exists()
