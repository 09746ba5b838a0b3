"""Of plans that are equal in what is minimised the engine gives the one with least carbon."""

from dataclasses import replace

import numpy as np
import pytest

from models.fleet.data import FleetData
from models.fleet.program import build_program
from planner.solve.engine import OBJECTIVES, minimize, unit_weights
from planner.solve.index import FleetIndex
from planner.solve.options import EngineOptions
from planner.solve.solution import keeps_promises, obeys_limits
from planner.solve.ties import broken_tie
from tests.fleet_examples import tiny_fleet
from tests.models.fleet.solving import optimum
from tests.planner.solve.test_diagnose import fleet

QUICK = EngineOptions(time_limit_s=10.0, threads=1, gap_relative=1e-4)


def one_price_everywhere(data: FleetData) -> FleetData:
    """The same machine costs the same in every region; the grids stay unlike."""
    kinds = np.array(data.machine_accelerator)[data.purchase_machine]
    cost = data.purchase_cost_usd.copy()
    for kind in np.unique(kinds):
        cost[kinds == kind] = cost[kinds == kind].min(axis=0)
    return replace(data, purchase_cost_usd=cost)


def test_at_one_price_everywhere_the_greenest_of_the_cheapest_plans_is_found() -> None:
    data = one_price_everywhere(fleet("tiny"))
    found = minimize(data, "cost", QUICK)
    assert found.value == pytest.approx(optimum(build_program(data), "cost"), rel=1e-6)
    equal = replace(data, cost_max_usd=found.value * (1.0 + 1e-9))
    greenest = optimum(build_program(equal), "carbon")
    assert found.solution.totals[1] <= 1.01 * greenest
    assert greenest < 0.5 * fleet("tiny").machine_idle_carbon_kgco2e.sum()


@pytest.mark.parametrize("objective", ["cost", "carbon", "qoe-loss"])
@pytest.mark.parametrize("seed", range(4))
def test_no_rule_is_broken_and_nothing_asked_before_gets_worse(seed: int, objective: str) -> None:
    data = one_price_everywhere(tiny_fleet(seed))
    index, weights = FleetIndex.build(data), unit_weights(objective)
    plan = minimize(data, objective, QUICK, index=index)
    made = broken_tie(index, weights, plan.solution, plan.prices, 2.0)
    assert obeys_limits(index, made)
    assert keeps_promises(index, made)
    before, after = plan.solution.totals, made.totals
    order = [OBJECTIVES[objective], *(i for i in (1, 2, 0) if i != OBJECTIVES[objective])]
    first = next((i for i in order if abs(after[i] - before[i]) > 1e-6 * abs(before[i])), None)
    assert first is None or after[first] < before[first]


def test_without_time_or_with_a_mixture_of_aims_the_plan_stays_as_it_is() -> None:
    data = tiny_fleet(0)
    index = FleetIndex.build(data)
    plan = minimize(data, "cost", QUICK, index=index)
    assert broken_tie(index, plan.prices.weights, plan.solution, plan.prices, 0.0) is plan.solution
    mixed = np.array([1.0, 0.5, 0.0, 0.0])
    assert broken_tie(index, mixed, plan.solution, plan.prices, 2.0) is plan.solution
