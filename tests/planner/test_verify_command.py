"""`planner verify`: run folders are checked alone; what cannot be read is said."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import typer
from honest_plans import honest_plan

from planner.answer.words import percent
from planner.api import Request, load
from planner.cli.text import WIDTH, headline
from planner.cli.verify import verify
from planner.plan import Plan
from planner.runs import copy_instance
from planner.verify import DualPrices, Proof, verify_bound

INSTANCES = Path(__file__).parents[2] / "instances"


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A run folder with an honest plan and prices that prove its bound."""
    facts = load(INSTANCES / "tiny")
    prices = DualPrices(np.array([1.0, 0.0, 0.0, 0.0]), np.zeros(4), {}, {}, {})
    plan, bound = honest_plan(facts), verify_bound(facts, prices)
    value = plan.certificate.value
    certificate = dataclasses.replace(
        plan.certificate, bound=bound, gap_relative=(value - bound) / value
    )
    plan = dataclasses.replace(plan, certificate=certificate)
    (tmp_path / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    request = json.dumps(dataclasses.asdict(Request()))
    (tmp_path / "request.json").write_text(request, encoding="utf-8")
    copy_instance(INSTANCES / "tiny", tmp_path / "instance", None)
    proof = Proof.of(prices, [v.variant for v in facts.variants])
    proof.save(tmp_path / "certificate.npz")
    return tmp_path


def test_an_honest_run_holds(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verify([run_folder])
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= WIDTH
    answer = " ".join(out.split())
    assert answer.startswith("plan holds: 0 violations of")
    assert re.search(r"USD recomputed; cost within [\d.]+ % of optimal is proved again", answer)


@pytest.fixture
def searched(run_folder: Path) -> Plan:
    """The plan of the folder with a bound of branch and bound above what the prices prove."""
    plan = Plan.read(run_folder)
    stated = plan.certificate
    searched = dataclasses.replace(
        stated,
        bound=0.9369 * stated.value,
        gap_relative=0.0631,
        proof="branch and bound",
        solver="CBC",
        bound_from_prices=stated.bound,
    )
    plan = dataclasses.replace(plan, certificate=searched)
    (run_folder / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    return plan


def test_plan_and_check_state_the_same_two_figures(
    searched: Plan, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One rests on the solver and is named so, the other is proved again."""
    told = " ".join(" ".join(headline(searched)).split())
    alone = searched.certificate.gap_from_prices
    assert alone is not None and alone > 0.0631
    assert "cost proved within 6.31 % of optimal" in told
    assert f"alone prove cost within {percent(alone)} of optimal" in told
    assert "the branch and bound of CBC" in told
    verify([run_folder])
    answer = " ".join(capsys.readouterr().out.split())
    assert "cost within 6.31 % of optimal rests on the branch and bound of CBC" in answer
    assert f"cost within {percent(alone)} of optimal is proved again from dual prices" in answer
    verify([run_folder], as_json=True)
    body = json.loads(capsys.readouterr().out)
    assert body["certificate"]["gap_reproved"] == pytest.approx(alone)
    assert body["certificate"]["gap_relative"] == pytest.approx(0.0631)


def test_prices_that_prove_less_than_the_plan_says_are_told(
    searched: Plan, run_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = searched.certificate
    more = dataclasses.replace(stated, bound_from_prices=stated.bound)
    plan = dataclasses.replace(searched, certificate=more)
    (run_folder / "plan.json").write_text(plan.to_json(), encoding="utf-8")
    with pytest.raises(typer.Exit):
        verify([run_folder])
    assert "the plan says that they prove" in capsys.readouterr().out


def test_a_falsified_run_is_refused(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan.read(run_folder)
    cheaper = dataclasses.replace(plan.objectives, cost_usd=0.9 * plan.objectives.cost_usd)
    falsified = dataclasses.replace(plan, objectives=cheaper)
    (run_folder / "plan.json").write_text(falsified.to_json(), encoding="utf-8")
    with pytest.raises(typer.Exit) as stopped:
        verify([run_folder], as_json=True)
    body = json.loads(capsys.readouterr().out)
    assert stopped.value.exit_code == 1
    assert body["ok"] is False
    assert {v["rule"] for v in body["violations"]} == {"objectives", "certificate"}


def test_a_folder_that_is_no_run_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as stopped:
        verify([tmp_path / "nowhere"])
    assert stopped.value.exit_code == 1
    assert capsys.readouterr().out.split()[:2] == ["not", "verified:"]
