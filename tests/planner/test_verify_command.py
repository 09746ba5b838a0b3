"""`planner verify`: run folders are checked alone; what cannot be read is said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from honest_plans import honest_plan

from planner.api import Request, load
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
    answer = capsys.readouterr().out.splitlines()[0]
    assert answer.startswith("plan holds: 0 violations of")
    assert "USD recomputed; bound on cost re-proved" in answer


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
    assert capsys.readouterr().out.startswith("not verified: ")
