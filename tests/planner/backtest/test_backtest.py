"""A backtest: policies replayed over dated prices, beside what nobody can come below."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import pytest

import planner
from planner.api import load
from planner.backtest.history import read_history
from planner.backtest.moments import write_moment
from planner.backtest.replay import Ask, Progress, replay
from planner.backtest.results import Backtest
from planner.cli import run
from planner.errors import PlannerError, RunError
from planner.feeds.tables import PRICE_COLUMNS
from planner.runs import read_run
from tests.planner.replan.examples import INSTANCES, TINY

HEAD = ",".join(["date", "region", "offer", *PRICE_COLUMNS])
L4 = "gcp:us-central1,gcp_g2-standard-4"
PRICES = f"""{HEAD}
2025-01-30,{L4},0.70,0.30,,
2025-02-27,{L4},0.72,0.31,,
2025-03-27,{L4},6.00,2.00,,
2025-04-27,{L4},6.00,2.00,,
"""
DEMAND = """workload,week,day,day_factor,week_factor
chat,1,1,1.0,0.9
documents,1,1,1.0,1.0
chat,2,8,1.0,1.1
documents,2,8,1.0,1.0
"""
ASK = Ask(gap=0.001, time_limit_s=30.0, threads=1)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("history")
    (folder / "prices.csv").write_text(PRICES)
    (folder / "demand_history.csv").write_text(DEMAND)
    return folder


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out") / "tiny"


@pytest.fixture(scope="module")
def found(history: Path, output: Path) -> Backtest:
    return replay(TINY, history, output, ASK)


# ------------------------------------------------------------------ dates


def test_a_date_is_an_instance_of_that_day(history: Path, tmp_path: Path) -> None:
    told = read_history(history)
    moment = told.moments()[2]
    facts = load(write_moment(load(TINY), told, moment, tmp_path / "instance"))
    machine = next(m for m in facts.machines if m.offer == "gcp_g2-standard-4")
    assert (machine.ondemand_usd_per_h, machine.spot_usd_per_h) == (6.0, 2.0)
    assert machine.commit_1y_usd_per_h == 6.0, "not on sale: nothing is gained by it"
    assert facts.instance.settings.period.start == dt.date(2025, 3, 27)
    assert {row.month for row in facts.instance.slices} == {3}
    asked = {(d.workload, d.origin, d.slice): d.requests_per_s for d in load(TINY).instance.demand}
    for row in facts.instance.demand:
        factor = 0.9 if row.workload == "chat" else 1.0
        before = asked[row.workload, row.origin, row.slice]
        assert row.requests_per_s == pytest.approx(factor * before)


def test_an_offer_without_a_row_is_not_to_be_had(history: Path, tmp_path: Path) -> None:
    other = f"2024-12-01,{L4.replace('standard-4', 'standard-8')},1.0,0.5,,\n"
    (tmp_path / "prices.csv").write_text(PRICES + other)
    told = read_history(tmp_path)
    facts = load(write_moment(load(TINY), told, told.moments()[1], tmp_path / "instance"))
    machine = next(m for m in facts.machines if m.offer == "gcp_g2-standard-8")
    assert machine.max_instances == 0


def test_dates_are_chosen_by_first_last_and_every(history: Path) -> None:
    told = read_history(history)
    moments = told.moments(dt.date(2025, 2, 1), None, 2)
    assert [m.date.isoformat() for m in moments] == ["2025-02-27", "2025-04-27"]
    assert [m.hours for m in moments] == [59 * 24.0, None]
    with pytest.raises(RunError, match="2025-01-30 to 2025-04-27"):
        told.moments(dt.date(2030, 1, 1))


def test_a_damaged_history_is_told(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text(PRICES.replace("0.72", "cheap"))
    with pytest.raises(RunError, match=r"prices\.csv.*cheap"):
        read_history(tmp_path)


# ------------------------------------------------------------------ policies


@pytest.mark.parametrize(
    ("head", "row", "problem"),
    [
        (HEAD, f"2025-01-30,{L4},0.09,0.03,,", "of the instance's 0.7"),
        (
            HEAD.replace("offer", "offer,accelerators"),
            "2025-01-30,gcp:us-central1,gcp_g2-standard-4,4,2.8,,,",
            "with 4 accelerators, the instance's has 1",
        ),
    ],
)
def test_prices_that_can_hardly_be_of_that_machine_are_refused(
    tmp_path: Path, head: str, row: str, problem: str
) -> None:
    folder = tmp_path / "tiny"
    shutil.copytree(TINY, folder)
    (folder / "history").mkdir()
    (folder / "history" / "prices.csv").write_text(f"{head}\n{row}\n")
    with pytest.raises(RunError, match=problem):
        replay(folder, None, tmp_path / "out", ASK)
    settings = folder / "instance.toml"
    settings.write_text('accept = ["history/*"]\n' + settings.read_text())
    assert isinstance(replay(folder, None, tmp_path / "out", ASK), Backtest)


def test_never_pays_the_rise_and_ours_moves_once(found: Backtest) -> None:
    never, ours = found.of("never"), found.of("ours")
    assert not any(row.moved for row in never)
    assert [row.moved for row in ours] == [False, False, True, False]
    assert ours[2].moving_usd > 0.0
    totals = {total.policy: total for total in found.totals}
    assert totals["ours"].cost_usd < totals["never"].cost_usd
    assert totals["ours"].cost_usd <= min(t.cost_usd for t in found.totals) * 1.01
    assert totals["ours"].moves <= totals["always"].moves


def test_a_threshold_waits_for_a_price_that_is_paid(found: Backtest) -> None:
    """Demand moved by more than a tenth at the second date, the price at the third."""
    assert [row.did for row in found.of("threshold")] == ["plan", "plan", "plan", "plan"]


def test_no_policy_comes_below_the_bound_for_all(found: Backtest) -> None:
    for policy in found.policies:
        for row, bound in zip(found.of(policy), found.bounds, strict=True):
            assert row.cost_usd >= bound.cost_usd * (1 - 1e-9)
    assert all(total.regret_usd >= 0.0 for total in found.totals)


def test_a_date_counts_with_the_hours_until_the_next_one(found: Backtest) -> None:
    hours = [row.hours for row in found.of("ours")]
    assert hours == [28 * 24.0, 28 * 24.0, 31 * 24.0, 728.0]


def test_every_plan_of_the_replay_passes_the_checker(found: Backtest, output: Path) -> None:
    for place in {row.run for row in found.rows}:
        assert planner.verify(output / place).ok
        assert read_run(output / place).plan.objectives.cost_usd > 0.0


# ------------------------------------------------------------------ what is written


def test_table_picture_and_result_are_written(found: Backtest, output: Path) -> None:
    assert Backtest.read(output) == found
    assert len((output / "backtest.csv").read_text().splitlines()) == 1 + len(found.rows)
    page = (output / "backtest.html").read_text()
    assert "policies of re-planning" in page
    assert 'src="http' not in page
    assert "ours" in found._repr_html_()


def test_an_interrupted_replay_goes_on_where_it_stopped(
    found: Backtest, history: Path, output: Path
) -> None:
    """Finished steps are read back: nothing is solved twice."""
    seen: list[Progress] = []
    (output / "backtest.json").unlink()
    again = replay(TINY, history, output, ASK, seen.append)
    assert again == found
    assert len(seen) == 4 * 5


def test_another_folder_is_not_overwritten(history: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    with pytest.raises(RunError, match="is not a backtest"):
        replay(TINY, history, tmp_path, ASK)


def test_an_unknown_policy_is_told() -> None:
    with pytest.raises(PlannerError, match="sometimes"):
        Ask(policies=("sometimes",))


def test_the_command_prints_the_answer_first(
    found: Backtest, history: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["backtest", str(TINY), "--history", str(history), "--output", str(output)]
    common += ["--gap", "0.1%", "--time-limit", "30", "--threads", "1"]
    assert run(common) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{found.totals[0].policy} was cheapest over 4 dates")
    assert "20 left" not in shown.err
    assert "0 left" in shown.err
    assert run([*common, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bound_usd"] == found.bound_usd


def test_the_reference_has_a_history_that_can_be_read() -> None:
    told = read_history(INSTANCES / "reference" / "history")
    assert len(told.moments()) == 31
    assert len(told.weeks) == 2
