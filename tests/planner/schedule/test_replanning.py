"""The default cycle: keep, move or undecided follow from a proved interval, never from a guess."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from planner.api import Request, answer, load
from planner.errors import FeedError
from planner.history.records import ApprovalRecord, Incumbent
from planner.logs import EventLog
from planner.plan import Certificate, Objectives, Plan
from planner.runs import read_run
from planner.schedule.cycle import DEFAULT, CycleContext, CycleResult, named_cycle
from planner.schedule.replanning import decide, run_cycle
from planner.verify import Violation, verify_plan
from planner.verify.report import VerificationReport
from tests.planner.history_examples import BEGAN, small_plan

TINY = Path(__file__).resolve().parents[3] / "instances" / "tiny"


def in_force(plan: Plan) -> Incumbent:
    approval = ApprovalRecord("approved", "Ada", "", BEGAN, "plan.json")
    return Incumbent("tiny", "tiny-1", approval, plan)


# ------------------------------------------------------------------ the rule


def report(cost_usd: float, *broken: str) -> VerificationReport:
    violations = tuple(Violation(rule, "", "", "", f"{rule} is broken") for rule in broken)
    return VerificationReport(violations, (), Objectives(cost_usd, 900.0, 0.8), {}, {}, 0.0, ())


def found(value: float, bound: float, minimised: str = "cost") -> Plan:
    gap = (value - bound) / value
    certificate = Certificate(minimised, value, bound, gap, "limit", "dual prices")
    return dataclasses.replace(small_plan(value), certificate=certificate)


@pytest.mark.parametrize(
    ("now", "value", "bound", "decision", "low", "high"),
    [
        (100.0, 90.0, 89.0, "move", 10.0, 11.0),
        (100.0, 99.5, 99.2, "keep", 0.5, 0.8),
        (100.0, 99.5, 95.0, "undecided", 0.5, 5.0),
        (100.0, 103.0, 95.0, "undecided", 0.0, 5.0),
        (100.0, 103.0, 99.5, "keep", 0.0, 0.5),
        (100.0, 100.0 - 1e-12, 100.0 - 1e-11, "keep", 0.0, 1e-11),
        (100.0, 99.0, 98.0, "undecided", 1.0, 2.0),
    ],
)
def test_only_a_certain_gain_above_the_margin_moves(
    now: float, value: float, bound: float, decision: str, low: float, high: float
) -> None:
    made, reason, regret = decide(in_force(small_plan()), report(now), found(value, bound), 0.01)
    assert made == decision
    assert regret is not None
    assert (regret.low, regret.high) == (pytest.approx(low), pytest.approx(high))
    assert regret.unit == "USD"
    assert "(proved)" in reason
    assert "margin of 1.00 % (1.00 USD)" in reason


def test_the_unit_is_that_of_what_is_minimised() -> None:
    new = found(800.0, 790.0, "carbon")
    _, reason, regret = decide(in_force(small_plan()), report(100.0), new, 0.01)
    assert regret is not None
    assert (regret.low, regret.high, regret.unit) == (100.0, 110.0, "kgCO2e")
    assert "900 kgCO2e under the new data" in reason


def test_a_plan_that_breaks_a_rule_under_the_new_data_must_move() -> None:
    broken = report(100.0, "instance", "cost-lines", "replica-capacity", "quota")
    made, reason, regret = decide(in_force(small_plan()), broken, found(120.0, 110.0), 0.01)
    assert (made, regret) == ("move", None)
    assert "breaks rules under the new data in 2 places" in reason
    assert "replica-capacity is broken" in reason


def test_what_a_plan_states_of_its_old_data_is_no_broken_rule() -> None:
    stated = report(100.0, "instance", "rates", "cost-lines", "objectives", "workload-lines")
    made, _, _ = decide(in_force(small_plan()), stated, found(100.0, 99.9), 0.01)
    assert made == "keep"


# ------------------------------------------------------------------ with the real engine


@pytest.fixture(scope="module")
def held() -> Plan:
    return answer(TINY, Request(time_limit_s=30.0)).plan


Cycle = Callable[[Plan | None], CycleResult]


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    return Path(shutil.copytree(TINY, tmp_path / "tiny"))


@pytest.fixture
def cycle(instance: Path, tmp_path: Path) -> Cycle:
    def ran(incumbent: Plan | None) -> CycleResult:
        held = None if incumbent is None else in_force(incumbent)
        folder = tmp_path / "runs" / "one"
        return run_cycle(CycleContext(instance, folder, held, 0.001, 30.0, 2, 0.01, EventLog()))

    return ran


def demand_times(instance: Path, factor: float) -> None:
    lines = (instance / "demand.csv").read_text().splitlines()
    rows = [line.rsplit(",", 1) for line in lines[1:]]
    scaled = [f"{head},{float(rate) * factor:.6f}" for head, rate in rows]
    (instance / "demand.csv").write_text("\n".join([lines[0], *scaled]) + "\n")


def test_the_first_plan_awaits_approval(cycle: Cycle) -> None:
    made = cycle(None)
    assert (made.decision, made.exit_code, made.regret) == ("move", 2, None)
    assert "no plan is in force yet" in made.reason
    assert made.run_folder is not None
    assert read_run(made.run_folder).plan.instance == made.instance


def test_unchanged_data_keep_the_plan(cycle: Cycle, held: Plan) -> None:
    made = cycle(held)
    assert (made.decision, made.exit_code) == ("keep", 0)
    assert made.regret is not None
    assert made.regret.high <= 0.01 * held.objectives.cost_usd
    assert "no machines change" in made.diff


def test_less_demand_moves_to_a_smaller_fleet(cycle: Cycle, held: Plan, instance: Path) -> None:
    """The lower end is what the checker finds the old plan to cost now, less the new plan."""
    demand_times(instance, 0.2)
    made = cycle(held)
    assert (made.decision, made.exit_code) == ("move", 2)
    assert made.regret is not None
    assert made.run_folder is not None
    now = verify_plan(load(instance), held).objectives.cost_usd
    new = read_run(made.run_folder).plan
    assert made.regret.low == pytest.approx(now - new.objectives.cost_usd)
    assert made.regret.high == pytest.approx(now - new.certificate.bound)
    assert 0 < made.regret.low <= made.regret.high
    assert "- " in made.diff or "~ " in made.diff


def test_more_demand_than_the_fleet_carries_moves(cycle: Cycle, held: Plan, instance: Path) -> None:
    demand_times(instance, 3.0)
    made = cycle(held)
    assert (made.decision, made.regret) == ("move", None)
    assert "breaks rules under the new data" in made.reason


def test_a_workload_that_is_gone_moves(cycle: Cycle, held: Plan, instance: Path) -> None:
    """The plan in force names what the instance does not know any more."""
    for table in ("workloads", "length_classes", "demand", "quality", "variants"):
        lines = (instance / f"{table}.csv").read_text().splitlines(keepends=True)
        gone = held.adoption[0].workload
        kept = [line for line in lines if not line.startswith(f"{gone},")]
        assert len(kept) < len(lines)
        (instance / f"{table}.csv").write_text("".join(kept))
    made = cycle(held)
    assert (made.decision, made.regret) == ("move", None)


# ------------------------------------------------------------------ with feeds


def feed_of(instance: Path, usd_per_h: dict[str, float]) -> None:
    """A feed of own prices beside the instance: on demand, by region of the l4."""
    offers = {"gcp:us-central1": "gcp_g2-standard-4", "aws:eu-north-1": "aws_g6.xlarge"}
    rows = [f"2026-01-01,{region},{offers[region]},{usd}" for region, usd in usd_per_h.items()]
    header = "date,region,offer,ondemand_usd_per_h"
    (instance.parent / "agreed.csv").write_text("\n".join([header, *rows]) + "\n")
    (instance / "feeds.toml").write_text(
        '[feeds.agreed]\nreader = "tables"\nkind = "prices"\npath = "../agreed.csv"\n'
        "max_age_h = 1e6\nrequired_regions = []\nmax_missing_share = 1.0\n"
    )


def test_prices_that_moved_are_fetched_and_priced(cycle: Cycle, held: Plan, instance: Path) -> None:
    """The machines of the plan in force became three times as dear: what it costs now says so."""
    line = held.fleet[0]
    before = next(m for m in load(instance).machines
                  if (m.region, m.offer) == (line.region, line.offer))  # fmt: skip
    feed_of(instance, {line.region: 3 * (before.ondemand_usd_per_h or 0.0)})
    made = cycle(held)
    assert made.run_folder is not None
    dated = load(made.run_folder / "instance")
    assert made.instance is not None
    assert made.instance.sha256 == dated.instance.sha256 != load(instance).instance.sha256
    now = verify_plan(dated, held).objectives.cost_usd
    assert now > 1.1 * held.objectives.cost_usd
    assert f"costs {now:,.0f} USD under the new data" in made.reason
    assert sorted(made.inputs) == ["feeds/agreed/meta.json", "feeds/agreed/table.csv"]
    assert verify_plan(dated, read_run(made.run_folder).plan).ok


def test_a_feed_whose_policy_says_stop_makes_no_plan(
    cycle: Cycle, held: Plan, instance: Path
) -> None:
    feed_of(instance, {held.fleet[0].region: -1.0})
    with pytest.raises(FeedError, match="no plan with these feeds"):
        cycle(held)


# ------------------------------------------------------------------ another cycle


def test_a_cycle_is_named_by_module_and_function() -> None:
    assert named_cycle(DEFAULT) is run_cycle


@pytest.mark.parametrize(
    "name", ["planner", "nowhere:x", "planner.plan:nothing", "planner.plan:FORMAT_VERSION", ":", ""]
)
def test_a_name_of_no_function_is_told(name: str) -> None:
    from planner.errors import PlannerError

    with pytest.raises(PlannerError, match="--cycle"):
        named_cycle(name)
