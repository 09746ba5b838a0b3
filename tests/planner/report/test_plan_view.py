"""What is said about one plan: figures of plan.json, and bands that are where they should be."""

from __future__ import annotations

import dataclasses
import math

import pytest

from planner.api import load
from planner.instance.facts import Facts
from planner.plan import Plan
from planner.report.bands import NORMAL_P90, pool_bands, quality_band, workload_bands
from planner.report.plan_view import NOT_ANSWERED, PlanView, plan_view
from planner.serving import load_bands
from tests.planner.report_runs import INSTANCES, hand_made_plans


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load(INSTANCES / "small")


@pytest.fixture(scope="module")
def plan() -> Plan:
    return hand_made_plans("small")[0]


@pytest.fixture(scope="module")
def view(facts: Facts, plan: Plan) -> PlanView:
    return plan_view("x", plan, facts, pool_bands(facts, [plan]))


def test_accelerator_hours_of_the_rows_are_those_of_the_plan(
    facts: Facts, plan: Plan, view: PlanView
) -> None:
    hours = {row.slice: row.hours for row in facts.instance.slices}
    whole = math.fsum(hours.values())
    held = math.fsum(
        line.accelerators * line.instances * (whole if line.slice is None else hours[line.slice])
        for line in plan.fleet
    )
    rows = math.fsum(row.mean_accelerators for row in view.fleet) * whole
    assert rows == pytest.approx(held)
    assert all(row.peak_accelerators >= row.mean_accelerators for row in view.fleet)


def test_shares_of_an_origin_add_up_to_one(view: PlanView) -> None:
    for origin in {row.origin for row in view.served}:
        assert math.fsum(r.share for r in view.served if r.origin == origin) == pytest.approx(1.0)


def test_demand_that_is_not_answered_is_said(facts: Facts, plan: Plan) -> None:
    dropped = tuple(dataclasses.replace(line, region=None, pool=None) for line in plan.routing)
    view = plan_view("x", dataclasses.replace(plan, routing=dropped), facts, {})
    assert {row.region for row in view.served} == {NOT_ANSWERED}
    assert view.decisions.hosted_share == 0
    assert view.decisions.regions == 0


def test_decisions_are_counted(plan: Plan, view: PlanView) -> None:
    d = view.decisions
    assert d.regions == len({line.region for line in plan.routing})
    assert d.llms == len({row.llm for row in plan.adoption})
    assert d.workloads_rag == sum("rag" in row.adaptation for row in plan.adoption)
    markets = {line.market for line in plan.fleet}
    assert (d.spot_share > 0) == ("spot" in markets)
    assert d.committed_share + d.spot_share <= 1.0


def test_a_plan_without_a_fleet_has_shares_of_nothing(facts: Facts, plan: Plan) -> None:
    bare = dataclasses.replace(plan, fleet=(), replicas=(), routing=())
    view = plan_view("x", bare, facts, {})
    assert view.fleet == ()
    assert view.decisions.accelerators_mean == view.decisions.committed_share == 0.0


# ------------------------------------------------------------------ bands


def test_a_speed_band_is_that_of_its_provenance(facts: Facts, plan: Plan) -> None:
    table = load_bands()
    for band in pool_bands(facts, [plan]).values():
        assert band.ttft == pytest.approx(table[band.provenance, "ttft"])
        assert band.tpot == pytest.approx(table[band.provenance, "tpot"])


def test_a_workload_takes_the_mean_band_by_requests(facts: Facts, plan: Plan) -> None:
    speeds = pool_bands(facts, [plan])
    for bands in workload_bands(facts, plan, speeds).values():
        assert bands.ttft is not None
        lows = [band.ttft[0] for band in speeds.values()]
        assert min(lows) - 1e-12 <= bands.ttft[0] <= max(lows) + 1e-12
        assert bands.ttft[0] < 1.0 < bands.ttft[1]


def test_what_no_pool_answers_has_no_speed_band(facts: Facts, plan: Plan) -> None:
    bought = tuple(dataclasses.replace(line, pool=None) for line in plan.routing)
    bands = workload_bands(facts, dataclasses.replace(plan, routing=bought), {})
    assert {(b.ttft, b.tpot) for b in bands.values()} == {(None, None)}


def test_the_quality_band_follows_the_exponent_and_the_share(facts: Facts, plan: Plan) -> None:
    row = plan.adoption[0]
    variant = next(v for v in facts.variants if v.variant == row.variant)
    low, high = quality_band(row, variant, 1.0) or (0.0, 0.0)
    away = NORMAL_P90 * variant.quality_sd / variant.quality
    assert (low, high) == (pytest.approx(1 - away), pytest.approx(1 + away))
    steeper = quality_band(row, variant, 2.0) or (0.0, 0.0)
    assert steeper[0] == pytest.approx((1 - away) ** 2)
    hybrid = dataclasses.replace(row, check_llm="larger", check_share=0.5)
    narrower = quality_band(hybrid, variant, 1.0) or (0.0, 0.0)
    assert narrower[0] == pytest.approx(1 - away / 2)
    certain = dataclasses.replace(variant, quality_sd=0.0)
    assert quality_band(row, certain, 1.0) is None


def test_no_qoe_band_exceeds_one(facts: Facts, plan: Plan) -> None:
    best = dataclasses.replace(
        plan, workloads=tuple(dataclasses.replace(w, qoe=0.999) for w in plan.workloads)
    )
    view = plan_view("x", best, facts, pool_bands(facts, [plan]))
    assert max(row.qoe_band[1] for row in view.workloads if row.qoe_band) == 1.0
