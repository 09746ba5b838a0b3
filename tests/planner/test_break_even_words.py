"""Break-evens never contradict the figures of their plan: marginal prices are no proof."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

import planner
from planner.answer.adoption import Case, Market
from planner.answer.words import amount
from planner.candidates import build_candidates
from planner.solve.bound import evaluate_bound
from tests.planner.hand_made import result

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"
OWN, RIVAL = 0, 1


@dataclass
class Priced:
    """Stands in for the market: (fixed, growing) USD of the plan's choice and of its rival."""

    own: tuple[float, float]
    rival: tuple[float, float]
    proved: float = 0.0
    unit: str = "USD"

    def by_demand(self, variant: int) -> tuple[float, float]:
        return self.own if variant == OWN else self.rival

    def worth(self, variant: int) -> float:
        return sum(self.by_demand(variant))

    def proved_excess(self, variant: int) -> float:
        return self.proved if variant == RIVAL else 0.0

    def is_noise(self, value: float) -> bool:
        return abs(value) < 1e-6

    def said(self, value: float) -> str:
        return amount(value, self.unit)


class Alone(Case):
    """With no other rivals that names would have to be told from."""

    def _rivals(self) -> list[int]:
        return [RIVAL]

    def _requests(self) -> float:
        return 1e6


@pytest.fixture(scope="module")
def case() -> Case:
    """The choice of variant 0 of tiny, whose rival is variant 1."""
    facts = planner.load(TINY)
    candidates = build_candidates(facts)
    found = result(candidates.data)
    bound = evaluate_bound(found.index, found.prices)
    market = Market(found.index, found.prices, bound, found.value, "USD")
    return Case(market, facts, candidates, facts.instance.workloads[0], 0, OWN)


def said(case: Case, priced: Priced) -> str:
    market = cast(Market, priced)
    return Alone(**{**vars(case), "market": market})._demand_said(RIVAL)


def test_a_turn_beyond_todays_demand_is_at_marginal_prices_and_not_proved(case: Case) -> None:
    told = said(case, Priced(own=(0.0, 100.0), rival=(150.0, 50.0)))
    assert "is cheaper above 3.00 times today's demand" in told
    assert "at marginal prices; not proved" in told


def test_a_rival_that_never_wins_is_said_not_to(case: Case) -> None:
    told = said(case, Priced(own=(0.0, 100.0), rival=(10.0, 120.0)))
    assert told.startswith("At no demand")
    assert "not proved" in told


@pytest.mark.parametrize(
    ("own", "rival"),
    [
        pytest.param((0.0, 500.0), (0.0, 100.0), id="cheaper at any demand, by a factor of five"),
        pytest.param((50.0, 500.0), (0.0, 100.0), id="cheaper in both parts"),
        pytest.param((0.0, 500.0), (100.0, 100.0), id="cheaper above a quarter of today's demand"),
        pytest.param((0.0, 100.0), (50.0, 50.0), id="level today"),
        pytest.param((0.0, 100.0), (0.0, 100.0), id="level in both parts"),
    ],
)
def test_marginal_prices_against_the_plans_choice_leave_the_turn_unknown(
    case: Case, own: tuple[float, float], rival: tuple[float, float]
) -> None:
    plain = said(case, Priced(own, rival))
    assert "no better plan with it was found: where demand turns it is not known" in plain
    proved = said(case, Priced(own, rival, proved=400.0))
    assert "at today's demand it is at least 400 USD dearer, proved" in proved
    assert "not known" in proved


def test_level_is_only_said_of_what_is_level(case: Case) -> None:
    told = said(case, Priced(own=(0.0, 500.0), rival=(0.0, 100.0)))
    assert "level" not in told
