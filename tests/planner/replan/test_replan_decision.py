"""A check: keep what runs unless a change is proved to be worth it; then in an order that holds."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import planner
from planner.api import Request, answer, load
from planner.errors import PlannerError, RunError
from planner.incumbent import peak_accelerators
from planner.plan import Plan
from planner.replan.check import Ask, Memory, Replan, run_check
from planner.replan.decision import Decision
from planner.replan.folder import stage_plans
from planner.replan.rule import Interval, Proved, regret, threshold, verdict
from planner.replan.stages import without_limits
from planner.runs import read_run, write_run
from planner.verify import verify_plan
from tests.planner.replan.examples import TINY, dearer, with_prices

ASK = Ask(gap=0.001, time_limit_s=60.0, threads=1)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("held") / "tiny"
    return write_run(folder, answer(TINY, Request(gap=0.001, time_limit_s=20.0, threads=1)))


def machines_of(run: Path) -> list[tuple[str, str]]:
    return [(line.region, line.accelerator) for line in read_run(run).plan.fleet if line.instances]


Check = Callable[..., Replan]


@pytest.fixture
def check(held: Path, tmp_path: Path) -> Check:
    def ran(times: float = 1.0, **asked: object) -> Replan:
        instance = with_prices(TINY, tmp_path / "today", dearer(machines_of(held), times))
        ask = dataclasses.replace(ASK, **asked)  # type: ignore[arg-type]
        return run_check(instance, held, None, ask, output=tmp_path / "run")

    return ran


@pytest.fixture(scope="module")
def moved(held: Path, tmp_path_factory: pytest.TempPathFactory) -> Replan:
    """The machines that run became eight times as dear."""
    folder = tmp_path_factory.mktemp("moved")
    instance = with_prices(TINY, folder / "today", dearer(machines_of(held), 8.0))
    return run_check(instance, held, None, ASK, output=folder / "run")


# ------------------------------------------------------------------ the rule


@pytest.mark.parametrize(
    ("keep", "change", "low", "high"),
    [
        ((100.0, 99.0), (90.0, 89.0), 9.0, 11.0),
        ((100.0, 85.0), (90.0, 89.0), 0.0, 11.0),
        ((100.0, 95.0), (103.0, 98.0), 0.0, 2.0),
        ((100.0, 99.5), (100.0, 80.0), 0.0, 20.0),
        ((100.0, 100.0), (100.0, 100.0), 0.0, 0.0),
    ],
)
def test_the_regret_lies_between_what_both_bounds_say(
    keep: tuple[float, float], change: tuple[float, float], low: float, high: float
) -> None:
    """A bound of change is one of keeping too, and the plan that keeps is one way of changing."""
    found = regret(Proved(*keep), Proved(*change))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize(
    ("low", "high", "decided"),
    [(1.1, 3.0, "move"), (0.0, 1.0, "keep"), (0.5, 1.5, "undecided"), (1.0, 1.5, "undecided")],
)
def test_only_what_is_certain_decides(low: float, high: float, decided: str) -> None:
    assert verdict(Interval(low, high), 1.0) == decided


def test_the_threshold_is_a_margin_and_the_rest_of_the_switching_costs() -> None:
    """The regret has the costs of the change in it once already."""
    assert threshold(Proved(1_000.0, 990.0), 40.0, 0.01, 1.5) == pytest.approx(10.0 + 20.0)


# ------------------------------------------------------------------ keep


def test_without_a_change_of_prices_everything_stays(check: Check, held: Path) -> None:
    made = check()
    decision = made.decision
    assert (decision.decision, made.exit_code) == ("keep", 0)
    assert decision.regret is not None
    assert decision.regret.low == 0.0
    assert decision.regret.high <= decision.least
    assert decision.moving.cost_usd == 0.0
    assert made.stages == ()
    assert decision.kept.proved is not None
    assert decision.kept.proved.value == pytest.approx(
        read_run(held).plan.objectives.cost_usd, rel=1e-3
    )


def test_a_small_rise_is_not_worth_a_change(check: Check) -> None:
    made = check(1.002)
    assert made.decision.decision == "keep"


def test_a_wide_margin_keeps_what_a_narrow_one_gives_up(check: Check, moved: Replan) -> None:
    assert moved.decision.decision == "move"
    assert check(8.0, margin=0.9).decision.decision == "keep"


# ------------------------------------------------------------------ move


def test_a_huge_rise_of_the_running_machines_moves(moved: Replan) -> None:
    decision = moved.decision
    assert (decision.decision, moved.exit_code) == ("move", 2)
    assert decision.regret is not None
    assert decision.regret.low > decision.least > 0.0
    assert decision.moving.cost_usd > 0.0
    assert decision.moving.machines
    assert moved.diff is not None
    assert not moved.diff.decides_alike


def test_the_costs_of_the_change_are_lines_of_the_plan(moved: Replan) -> None:
    """Whole in the decision; the period's share of them in the plan, which adds up."""
    plan, decision = moved.proposed.plan, moved.decision
    share = decision.period_h / decision.settings.horizon_h
    told = sum(v for name, v in plan.cost_lines.items() if name.startswith("migration"))
    assert decision.moving.cost_usd * share == pytest.approx(told)
    assert sum(plan.cost_lines.values()) == pytest.approx(plan.objectives.cost_usd, rel=1e-12)


def test_every_stage_of_the_move_passes_the_checker(moved: Replan) -> None:
    """While both serve and after: every promise is kept on the way, and the end is the plan."""
    decision = moved.decision
    assert decision.stages
    facts = without_limits(moved.proposed.facts)
    incumbent = Plan.read(moved.run_folder / "instance" / "incumbent")
    plans = dict(stage_plans(moved.run_folder, decision))
    assert len(plans) == 2 * len(decision.stages)
    for name, plan in plans.items():
        assert verify_plan(facts, plan, incumbent).ok, name
    last = moved.stages[-1].after
    assert {row.variant for row in last.adoption} == {
        row.variant for row in moved.proposed.plan.adoption
    }
    assert last.objectives.cost_usd == pytest.approx(moved.proposed.plan.objectives.cost_usd)


def test_limits_on_change_are_kept(moved: Replan, held: Path, tmp_path: Path) -> None:
    """At most one more accelerator than each machine had."""
    limited = Path(shutil.copytree(moved.run_folder.parent / "today", tmp_path / "today"))
    text = (limited / "instance.toml").read_text()
    text = text.replace("[policy]", "[policy]\nmax_added_accelerators = 1", 1)
    (limited / "instance.toml").write_text(text)
    found = run_check(limited, held, None, ASK, output=tmp_path / "run")
    had, has = (peak_accelerators(p.fleet) for p in (read_run(held).plan, found.proposed.plan))
    added = sum(max(count - had.get(name, 0.0), 0.0) for name, count in has.items())
    without = peak_accelerators(moved.proposed.plan.fleet)
    assert sum(max(n - had.get(name, 0.0), 0.0) for name, n in without.items()) > 1
    assert added <= 1
    assert planner.verify(found.run_folder).ok


# ------------------------------------------------------------------ patience


def test_a_gain_is_confirmed_before_it_is_proposed(
    moved: Replan, held: Path, tmp_path: Path
) -> None:
    today = moved.run_folder.parent / "today"
    first = run_check(today, held, None, ASK, memory=Memory(), output=tmp_path / "first")
    assert (first.decision.decision, first.decision.confirmed) == ("keep", 1)
    assert first.decision.pays
    second = run_check(
        today, held, None, ASK, memory=Memory(first.decision), output=tmp_path / "second"
    )
    assert (second.decision.decision, second.decision.confirmed) == ("move", 2)


def test_a_gain_over_another_plan_confirms_nothing(
    moved: Replan, held: Path, tmp_path: Path
) -> None:
    other = dataclasses.replace(moved.decision, current_sha256="0" * 64, confirmed=5)
    today = moved.run_folder.parent / "today"
    made = run_check(today, held, None, ASK, memory=Memory(other), output=tmp_path / "run")
    assert (made.decision.decision, made.decision.confirmed) == ("keep", 1)


# ------------------------------------------------------------------ the run


def test_the_run_is_accepted_by_the_checker_and_reads_back(moved: Replan) -> None:
    assert planner.verify(moved.run_folder).ok
    text = (moved.run_folder / "decision.json").read_text()
    assert Decision.from_json(text) == moved.decision
    assert json.loads(json.dumps(moved.to_dict()))["exit_code"] == 2
    assert "move" in moved._repr_html_()
    assert len(moved.to_frame()) >= 6


def test_nothing_is_left_where_a_check_fails(tmp_path: Path) -> None:
    with pytest.raises(PlannerError, match="what runs today"):
        run_check(TINY, None, None, ASK, output=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_point_of_what_is_no_front_is_told(held: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no front"):
        run_check(TINY, held, "cheapest", ASK, output=tmp_path / "run")


# ------------------------------------------------------------------ from tables


def test_what_runs_may_be_told_by_tables(held: Path, tmp_path: Path) -> None:
    """The same fleet and adoption, without routing: the answer is the same."""
    plan = read_run(held).plan
    tables = tmp_path / "running"
    tables.mkdir()
    fleet = [
        f"{x.region},{x.offer},{x.market},{x.instances},{x.slice or ''}"
        for x in plan.fleet
        if x.instances
    ]
    (tables / "fleet.csv").write_text(
        "\n".join(["region,offer,market,instances,slice", *fleet]) + "\n"
    )
    adopted = [
        f"{x.workload},{x.llm},{x.adaptation},{x.method or ''},"
        f"{'' if x.refresh_days is None else x.refresh_days},{x.check_llm or ''}"
        for x in plan.adoption
    ]
    head = "workload,llm,adaptation,method,refresh_days,check_llm"
    (tables / "adoption.csv").write_text("\n".join([head, *adopted]) + "\n")
    made = run_check(TINY, tables, None, ASK, output=tmp_path / "run")
    assert made.decision.decision == "keep"
    assert made.decision.standing.objectives is None
    assert made.decision.kept.proved is not None
    assert made.decision.kept.proved.value == pytest.approx(plan.objectives.cost_usd, rel=1e-2)
    assert planner.verify(made.run_folder).ok
    assert load(made.run_folder / "instance").instance.settings.incumbent == "incumbent"
