"""Named options: who is who, and what each gives up against the best."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from planner.plan import Objectives, Plan
from planner.report.files import Report
from planner.report.options import beats, default_option, given_up, losses, options_of
from planner.report.source import read_source
from tests.planner.report_runs import front_run, hand_made_plans, plan_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return front_run(tmp_path_factory.mktemp("runs") / "front", "small", 40)


def test_the_ends_of_the_front_are_named(run: Path) -> None:
    points = json.loads((run / "front.json").read_text())["points"]
    options = options_of(read_source(run))
    named = {name: option.point for option in options for name in option.names}
    assert named["cheapest"] == min(points, key=lambda p: p["cost_usd"])["id"]
    assert named["greenest"] == min(points, key=lambda p: p["carbon_kgco2e"])["id"]
    assert named["best QoE"] == max(points, key=lambda p: p["qoe"])["id"]
    assert {"knee", "compromise"} <= set(named)
    assert 3 <= len(options) <= 5


def test_options_come_by_cost_with_letters(run: Path) -> None:
    options = options_of(read_source(run))
    costs = [option.objectives.cost_usd for option in options]
    assert costs == sorted(costs)
    assert [option.letter for option in options] == list("ABCDE")[: len(options)]


def test_names_are_those_of_pick(run: Path) -> None:
    from planner.cli.pick import choose
    from planner.front.front import Front

    picked = {c.name: c.point.id for c in choose(Front.read(run), run, {}, {}).choices}
    options = options_of(read_source(run))
    assert all(picked[name] == option.point for option in options for name in option.names)


def test_the_current_plan_is_last_and_no_option_is_lost_but_the_compromise(
    run: Path, tmp_path: Path
) -> None:
    current = plan_run(tmp_path / "current", "small")
    without, beside = options_of(read_source(run)), options_of(read_source(run, current))
    assert beside[-1].point == "current"
    assert len(beside) <= 6
    lost = {o.name for o in without} - {o.name for o in beside}
    assert lost <= {"compromise"}


def test_a_small_front_gives_one_plan_several_names(tmp_path: Path) -> None:
    options = options_of(read_source(front_run(tmp_path / "front", "tiny", 3)))
    assert sum(len(option.names) for option in options) > len(options) <= 3


def test_a_plan_run_has_one_option_with_its_proof(tmp_path: Path) -> None:
    (option,) = options_of(read_source(plan_run(tmp_path / "plan", "small")))
    certificate = hand_made_plans("small")[0].certificate
    assert option.name == "proposed"
    assert option.cost_gap_relative == pytest.approx(certificate.gap_relative)
    assert given_up(option) == []


def test_the_page_opens_with_the_compromise(run: Path) -> None:
    options = options_of(read_source(run))
    assert "compromise" in default_option(options).names
    assert default_option(options[:1]) is options[0]


def test_losses_are_measured_from_the_best() -> None:
    best, worst = Objectives(100.0, 10.0, 0.9), Objectives(300.0, 40.0, 0.7)
    cost, carbon, qoe = losses(Objectives(150.0, 10.0, 0.85), best, worst)
    assert (cost.excess, cost.relative, cost.range_share) == (50.0, 0.5, 0.25)
    assert (carbon.excess, carbon.range_share) == (0.0, 0.0)
    assert qoe.excess == pytest.approx(0.05)
    assert qoe.range_share == pytest.approx(0.25)


def test_what_is_given_up_is_told_in_amounts_and_multiples(run: Path) -> None:
    options = options_of(read_source(run))
    cheapest = next(option for option in options if "cheapest" in option.names)
    told = "; ".join(given_up(cheapest))
    assert "kgCO2e more than the greenest" in told
    assert "QoE" in told
    assert "more than the cheapest" not in told


def test_a_current_plan_that_beats_the_front_is_said_to(run: Path, tmp_path: Path) -> None:
    current = plan_run(tmp_path / "current", "small")
    plan = Plan.read(current)
    cheaper = dataclasses.replace(plan.objectives, cost_usd=plan.objectives.cost_usd / 2)
    (current / "plan.json").write_text(dataclasses.replace(plan, objectives=cheaper).to_json())
    report = Report.of(run, current)
    option = report.options[-1]
    (told,) = beats(option)
    assert told.endswith("USD less than the cheapest listed")
    assert told in report.brief_markdown
    row = report.html[report.html.index('<tr role="row" data-point="current">') :][:900]
    assert ">best<" not in row.split("</td>")[0]
    assert "\N{MINUS SIGN}" in row.split("</td>")[0]
