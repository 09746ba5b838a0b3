"""From numbers to the plan: lines add up, decisions are told as made, the checker agrees."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import planner
from planner.answer.build import build_plan
from planner.answer.certificate import proof
from planner.answer.decisions import Decisions, fleet_lines, routing_lines
from planner.answer.lines import carbon_lines, cost_lines, qoe, water_l
from planner.answer.words import amount, number, percent
from planner.answer.workloads import Latency, allocation, mixture_quantile_s
from planner.candidates import Candidates, build_candidates
from planner.instance.facts import Facts
from planner.plan import Plan
from planner.verify import verify_certificate, verify_plan
from tests.fleet_examples import full_fleet, random_fleet
from tests.planner.hand_made import result

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"


@pytest.fixture(scope="module")
def facts() -> Facts:
    return planner.load(TINY)


@pytest.fixture(scope="module")
def candidates(facts: Facts) -> Candidates:
    return build_candidates(facts)


@pytest.fixture(scope="module")
def plan(facts: Facts, candidates: Candidates) -> Plan:
    return build_plan(facts, candidates, result(candidates.data), "cost")


# ------------------------------------------------------------------ lines


@pytest.mark.parametrize("seed", range(6))
def test_lines_add_up_to_the_totals_of_the_engine(seed: int) -> None:
    data = full_fleet(seed) if seed % 2 else random_fleet(seed, hybrid=True, api=True)
    found = result(data)
    decisions = Decisions.of(found)
    totals = [
        math.fsum(cost_lines(data, decisions).values()),
        math.fsum(carbon_lines(data, decisions).values()),
        1.0 - qoe(data, decisions),
        water_l(data, decisions),
    ]
    assert totals == pytest.approx(found.solution.totals.tolist(), rel=1e-9)


def test_every_line_of_the_formulation_is_named() -> None:
    data = full_fleet(1)
    decisions = Decisions.of(result(data))
    assert list(cost_lines(data, decisions)) == [
        *("on-demand", "spot", "commit-1y", "commit-3y", "owned and committed"),
        *("api tokens", "retrieval", "network", "shortfall"),
        *("adaptation staff", "re-embedding"),
        *("migration work", "migration fine-tune", "migration index"),
        *("index hosting", "training compute", "migration machines", "region fixed"),
    ]
    assert list(carbon_lines(data, decisions)) == [
        *("serving energy", "api", "idle energy", "embodied", "index", "migration", "training")
    ]


@pytest.mark.parametrize("seed", range(4))
def test_workloads_share_out_the_whole_cost_and_carbon(seed: int) -> None:
    data = full_fleet(seed)
    decisions = Decisions.of(result(data))
    tokens = np.bincount(data.item_workload, data.item_requests, minlength=len(data.workloads))
    cost, carbon = allocation(data, decisions, tokens)
    assert cost.sum() == pytest.approx(math.fsum(cost_lines(data, decisions).values()))
    assert carbon.sum() == pytest.approx(math.fsum(carbon_lines(data, decisions).values()))
    assert (cost >= 0).all()


def test_owned_machines_are_in_the_fleet_whether_used_or_not() -> None:
    data = full_fleet(2)
    assert data.machine_fixed.any()
    lines = fleet_lines(data, Decisions.of(result(data)))
    owned = [x for x in lines if x.market == "owned"]
    for name, counts in zip(data.machines, data.machine_fixed, strict=True):
        mine = {x.slice: x.instances for x in owned if f"{x.region}/{x.offer}" == name}
        if len(set(counts)) == 1:
            assert mine == ({None: counts[0]} if counts[0] else {})
        else:  # a commitment ends within the period
            held = dict(zip(data.slices, counts, strict=True))
            assert mine == {in_slice: count for in_slice, count in held.items() if count}
    assert all(line.instances > 0 for line in lines)


def test_routing_is_numbered_as_in_the_data_not_as_in_the_engine() -> None:
    data = full_fleet(3)
    found = result(data)
    decisions = Decisions.of(found)
    assert (data.route_group[decisions.routes] == found.index.group_order[
        found.index.route_group[found.solution.routes]
    ]).all()  # fmt: skip
    lines = routing_lines(data, decisions, np.ones(len(data.group_item)))
    served = sum(line.share for line in lines if line.leg == 0)
    assert served == pytest.approx(len(data.item_requests))


# ------------------------------------------------------------------ percentiles of mixtures


def test_the_percentile_of_a_mixture_lies_between_those_of_its_parts() -> None:
    alone = [
        mixture_quantile_s(_latency([shift], [ratio]), np.ones(1), 0.95)
        for shift, ratio in ((0.2, 0.0), (1.0, 2.0))
    ]
    both = mixture_quantile_s(_latency([0.2, 1.0], [0.0, 2.0]), np.array([0.5, 0.5]), 0.95)
    assert min(alone) < both < max(alone)


def test_a_percentile_gives_back_its_distribution() -> None:
    exact = _latency([0.3, 0.7], [0.0, 2.5])
    p95 = np.array([mixture_quantile_s(exact, np.eye(2)[i], 0.95) for i in range(2)])
    known = Latency.known_by_p95(
        p95, exact.residual_s, exact.p95_over_mean, exact.prefill_load, exact.tpot_s
    )
    assert known.shift_s == pytest.approx(exact.shift_s, abs=1e-6)


def test_nothing_answered_has_no_percentile() -> None:
    assert mixture_quantile_s(_latency([0.3], [0.0]), np.zeros(1), 0.95) == 0.0


def _latency(shift_s: list[float], p95_over_mean: list[float]) -> Latency:
    size = len(shift_s)
    return Latency(
        np.array(shift_s), 0.6, np.full(size, 0.4), np.array(p95_over_mean), np.full(size, 0.04)
    )


# ------------------------------------------------------------------ the plan of an instance


def test_the_checker_agrees_with_every_figure(facts: Facts, plan: Plan) -> None:
    report = verify_plan(facts, plan)
    assert report.violations == ()


@pytest.mark.parametrize("choice", [1, 2, 3])
def test_the_checker_agrees_for_every_adaptation(
    facts: Facts, candidates: Candidates, choice: int
) -> None:
    made = build_plan(facts, candidates, result(candidates.data, "carbon", choice), "carbon")
    assert {row.variant for row in made.adoption} != {"chat/llama-3.1-8b/base"}
    assert verify_plan(facts, made).violations == ()


FIGURES = {
    "cost-lines", "carbon-lines", "water", "objectives", "workload-lines", "allocation", "rates",
    "known-names", "adoption", "hosting", "training", "demand-served", "replica-capacity",
    "machine-capacity", "certificate",
}  # fmt: skip


def test_hosted_llms_and_hybrids_are_told_as_the_checker_knows_them() -> None:
    """By hand no rule of policy is kept; every figure must be right all the same."""
    facts = planner.load(TINY.parent / "reference")
    candidates = build_candidates(facts)
    made = build_plan(facts, candidates, result(candidates.data, choice=8), "cost")
    assert any(line.pool is None and line.region is not None for line in made.routing)
    assert any(line.leg == 1 for line in made.routing)
    broken = [v for v in verify_plan(facts, made).violations if v.rule in FIGURES]
    assert broken == []


def test_the_checker_proves_the_stored_prices(
    facts: Facts, candidates: Candidates, plan: Plan
) -> None:
    found = result(candidates.data)
    stored = proof(facts, candidates, found.index, found.cases)
    proved, wrong = verify_certificate(facts, plan, stored)
    assert wrong == ()
    assert proved >= plan.certificate.bound - 1e-6


def test_json_has_every_field_of_the_contract_and_comes_back(plan: Plan) -> None:
    body = json.loads(plan.to_json())
    assert {
        *("format_version", "instance", "period_hours", "objectives", "cost_lines"),
        *("carbon_lines", "certificate", "adoption", "fleet", "replicas", "routing"),
        *("workloads", "timings", "assumptions", "provenance"),
    } <= set(body)
    assert set(body["certificate"]) == {
        "minimised", "value", "bound", "gap_relative", "status", "proof",
        "bound_from_prices", "solver",
    }  # fmt: skip
    assert sum(body["cost_lines"].values()) == pytest.approx(body["objectives"]["cost_usd"])
    assert Plan.from_json(plan.to_json()) == plan


def test_assumptions_end_with_the_age_of_the_data(plan: Plan) -> None:
    assert plan.assumptions[-1].startswith("Age of the data: ")
    assert "offers: 20" in plan.assumptions[-1]


def test_provenance_shares_are_whole(plan: Plan) -> None:
    for name, shares in plan.provenance.items():
        if name != "ages":
            assert sum(shares.values()) == pytest.approx(1.0), name


# ------------------------------------------------------------------ reasons


def test_an_alternative_is_named_with_what_is_known(facts: Facts, candidates: Candidates) -> None:
    made = build_plan(facts, candidates, result(candidates.data), "cost")
    for row in made.adoption:
        assert "proved" in row.reason or "no better plan with it was found" in row.reason
        assert "quality" in row.reason
        assert row.break_even


@pytest.mark.parametrize(
    ("objective", "foreign"),
    [("cost", ("kgCO2e", "QoE")), ("carbon", ("USD", "QoE")), ("qoe-loss", ("USD", "kgCO2e"))],
)
def test_reasons_speak_of_what_was_minimised(
    facts: Facts, candidates: Candidates, objective: str, foreign: tuple[str, ...]
) -> None:
    made = build_plan(facts, candidates, result(candidates.data, objective), objective)
    said = " ".join(row.reason + row.break_even for row in made.adoption)
    assert not any(f" {unit}" in said for unit in foreign)


def test_break_even_demand_balances_the_two_values(facts: Facts, candidates: Candidates) -> None:
    """At today's demand the fixed and the growing part are the variant's whole value."""
    from planner.answer.adoption import Market
    from planner.solve.bound import evaluate_bound

    found = result(candidates.data)
    bound = evaluate_bound(found.index, found.prices)
    market = Market(found.index, found.prices, bound, found.value, "USD")
    for v in range(len(candidates.data.variants)):
        fixed, growing = market.by_demand(v)
        assert fixed + growing == pytest.approx(market.worth(v))
        assert fixed >= -1e-9


def test_promises_to_a_workload_grow_with_its_demand(facts: Facts, candidates: Candidates) -> None:
    """Prices of attainment, floors and regional shares are each variant's own, never fixed cost."""
    from planner.answer.adoption import Market
    from planner.solve.bound import evaluate_bound

    found = result(candidates.data)
    rng = np.random.default_rng(1)
    dear = replace(
        found.prices,
        attain=rng.uniform(1.0, 9.0, found.prices.attain.shape),
        floor=rng.uniform(1.0, 9.0, found.prices.floor.shape),
        survive=rng.uniform(1.0, 9.0, found.prices.survive.shape),
    )
    plain, priced = (
        Market(found.index, prices, evaluate_bound(found.index, prices), found.value, "USD")
        for prices in (found.prices, dear)
    )
    for v in range(len(candidates.data.variants)):
        fixed, growing = priced.by_demand(v)
        assert fixed == pytest.approx(plain.by_demand(v)[0])
        assert fixed + growing == pytest.approx(priced.worth(v))


def test_what_is_proved_is_never_more_than_a_forced_plan_costs(
    facts: Facts, candidates: Candidates
) -> None:
    """The proved excess of a variant is a lower bound on what a plan with it costs more."""
    from planner.answer.adoption import Market
    from planner.solve.bound import evaluate_bound

    base, other = result(candidates.data), result(candidates.data, choice=1)
    bound = evaluate_bound(base.index, base.prices)
    market = Market(base.index, base.prices, bound, base.value, "USD")
    for variant in other.solution.adopt:
        assert market.proved_excess(int(variant)) <= other.value - base.value + 1e-6


def test_an_excluded_adaptation_is_explained(facts: Facts) -> None:
    raised = facts.instance.model_copy(
        update={
            "workloads": tuple(
                w.model_copy(update={"quality_min": 0.66}) for w in facts.instance.workloads
            )
        }
    )
    strict = replace(facts, instance=raised)
    candidates = build_candidates(strict)
    made = build_plan(strict, candidates, result(candidates.data), "cost")
    chat = next(row for row in made.adoption if row.workload == "chat")
    assert (chat.llm, chat.adaptation) == ("llama-3.1-8b", "fine-tune")
    assert "Ruled out: base (quality 0.620 after staleness, the floor is 0.660)" in chat.reason


# ------------------------------------------------------------------ numbers in words


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567.8, "1,234,568"), (99.96, "100"), (12.34, "12.3"), (1.234, "1.23"), (0.0312, "0.0312"),
     (0.0, "0"), (-5.5, "-5.50"), (2e-6, "2.0e-06")],
)  # fmt: skip
def test_numbers_have_three_telling_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_units_follow_the_number() -> None:
    assert amount(1234.5, "USD") == "1,234 USD"
    assert percent(0.0043) == "0.43 %"
