"""Break-evens: both sides solved, or said not to be known; marginal prices alone tell no turn."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

import planner
from planner.answer.adoption import TURN_UNKNOWN, Case, Market
from planner.answer.words import amount
from planner.attempt import Attempts
from planner.candidates import build_candidates
from planner.instance.facts import Facts
from planner.logs import EventLog
from planner.plan import Adoption, Plan
from planner.solve.bound import evaluate_bound
from tests.planner.hand_made import result

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"
OWN, RIVAL = 0, 1


@dataclass
class Priced:
    """Stands in for the market: what is proved of the rival at today's demand, USD."""

    proved: float

    def proved_excess(self, variant: int) -> float:
        return self.proved if variant == RIVAL else 0.0

    def is_noise(self, value: float) -> bool:
        return abs(value) < 1e-6

    def said(self, value: float) -> str:
        return amount(value, self.unit)

    @property
    def unit(self) -> str:
        return "USD"


class Alone(Case):
    """With one rival, and no others that names would have to be told from."""

    def _rivals(self) -> list[int]:
        return [RIVAL]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return planner.load(TINY)


@pytest.fixture(scope="module")
def case(facts: Facts) -> Case:
    """The choice of variant 0 of tiny, whose rival is variant 1."""
    candidates = build_candidates(facts)
    found = result(candidates.data)
    bound = evaluate_bound(found.index, found.prices)
    market = Market(found.index, found.prices, bound, found.value, "USD")
    return Case(market, facts, candidates, facts.instance.workloads[0], 0, OWN)


@pytest.fixture(scope="module")
def plan(facts: Facts) -> Plan:
    return planner.plan(facts, gap=1e-4)


def row_of(plan: Plan, workload: str) -> Adoption:
    return next(row for row in plan.adoption if row.workload == workload)


@pytest.mark.parametrize(
    ("proved", "known"),
    [
        pytest.param(400.0, "at today's demand it is at least 400 USD dearer, proved", id="proved"),
        pytest.param(-10.0, "no better plan with it was found", id="not proved"),
    ],
)
def test_unsolved_a_turn_is_not_known(case: Case, proved: float, known: str) -> None:
    market = cast(Market, Priced(proved))
    told = Alone(**{**vars(case), "market": market}).break_even()
    assert known in told
    assert TURN_UNKNOWN in told


@pytest.mark.parametrize(("workload", "chosen"), [("chat", "adaptation"), ("documents", "llm")])
def test_the_solved_other_side_is_what_the_instance_without_this_side_costs(
    facts: Facts, plan: Plan, workload: str, chosen: str
) -> None:
    """The same figure by another way: what was chosen is struck out of the instance."""
    row = row_of(plan, workload)
    others = tuple(
        v
        for v in facts.variants
        if (v.workload, getattr(v, chosen)) != (workload, getattr(row, chosen))
    )
    found = planner.plan(dataclasses.replace(facts, variants=others), gap=1e-4)
    assert row.rival_value is not None
    assert row.rival_bound is not None
    assert row.rival_value == pytest.approx(found.objectives.cost_usd, rel=2e-4)
    assert row.rival_bound <= row.rival_value
    for total in (plan.certificate.value, row.rival_value):
        assert f"{total:,.0f} USD" in row.break_even


def test_what_marginal_prices_called_cheaper_is_told_at_five_times_the_price(plan: Plan) -> None:
    """By hand: one H100 (6.93 USD/h and more) all 728 h for what three L4 do for 0.7069 each."""
    row = row_of(plan, "documents")
    assert row.rival.startswith("qwen3-32b")
    assert row.rival_value is not None
    assert row.rival_value > 4.0 * plan.certificate.value
    assert "marginal" not in row.reason + row.break_even


def test_without_time_nothing_is_solved_and_that_is_said(facts: Facts) -> None:
    from planner.api import Request

    attempts = Attempts(Request(time_limit_s=30.0), EventLog())
    found = attempts.best(facts)
    attempts.began -= 30.0
    assert attempts.with_rivals(found) is found
    for row in found.plan.adoption:
        assert row.rival_value is None
        assert TURN_UNKNOWN in row.break_even


def test_numbers_of_both_sides_survive_json(plan: Plan) -> None:
    assert Plan.from_json(plan.to_json()) == plan
