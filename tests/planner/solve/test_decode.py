"""Decoding: a plan in half a second, with lumps settled where rounding up costs much."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from planner.api import load
from planner.candidates import build_candidates
from planner.solve.aim import Aim
from planner.solve.decode import around, decoded, leading_variants
from planner.solve.generation import generated
from planner.solve.index import FleetIndex
from planner.solve.solution import Solution, obeys_limits
from tests.fleet_examples import random_fleet

SMALL = Path(__file__).resolve().parents[3] / "instances" / "small"
LIMIT_S, SETTLE_S = 2.0, 5.0
MIXTURES = [(0.2, 0.1, 0.7), (0.1, 0.1, 0.8)]
"""What cost, carbon and loss weigh where quality counts most, in about their ranges in `small`."""
SIZES = np.array([2e4, 2e3, 0.05])
MUCH = 0.05


@cache
def small() -> FleetIndex:
    return FleetIndex.build(build_candidates(load(SMALL)).data)


def columns(index: FleetIndex, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading variants and routes around them."""
    relaxation = generated(index, weights, 1e-4)
    variants = leading_variants(index, relaxation.adopt)
    return variants, around(index, relaxation.routes, relaxation.bound.reduced, variants)


def aims(mixture: tuple[float, ...]) -> tuple[Aim, Aim]:
    """A weighted sum, and the depth below a corner with the same weights."""
    weights = np.append(np.array(mixture) / SIZES, 0.0)
    return Aim(weights, 1e3), Aim(weights, 1e3, SIZES, SIZES)


@pytest.mark.parametrize("which", [0, 1], ids=["weighted sum", "depth"])
@pytest.mark.parametrize("mixture", MIXTURES)
def test_a_fleet_of_few_machines_gets_much_better_where_lumps_are_settled(
    mixture: tuple[float, ...], which: int
) -> None:
    index, aim = small(), aims(mixture)[which]
    variants, routes = columns(index, aims(mixture)[0].weights)
    rough = decoded(index, aim, variants, routes, LIMIT_S)
    settled = decoded(index, aim, variants, routes, LIMIT_S, SETTLE_S)
    assert rough is not None
    assert settled is not None
    assert obeys_limits(index, settled)
    won = aim.value(rough.totals) - aim.value(settled.totals)
    assert won > MUCH * aim.size(rough.totals)


@pytest.mark.parametrize(("load", "settled"), [(1.0, True), (300.0, False)])
def test_lumps_are_settled_only_where_rounding_up_costs_much(
    monkeypatch: pytest.MonkeyPatch, load: float, settled: bool
) -> None:
    asked: list[Solution] = []

    def noted(index: FleetIndex, aim: Aim, program: object, plan: Solution, *_: float) -> Solution:
        asked.append(plan)
        return plan

    monkeypatch.setattr("planner.solve.decode._settled", noted)
    index = FleetIndex.build(random_fleet(3, load=load, batch=False))
    aim = Aim(np.array([1e-6, 0.0, 0.0, 0.0]), 1e3)
    found = decoded(index, aim, *columns(index, aim.weights), LIMIT_S, SETTLE_S)
    assert asked == ([found] if settled else [])


@pytest.mark.parametrize("which", [0, 1], ids=["weighted sum", "depth"])
def test_columns_charged_twice_their_price_are_those_of_a_fleet_that_costs_twice(
    which: int,
) -> None:
    index, aim = small(), aims((1.0, 0.0, 0.0))[which]
    variants, routes = columns(index, aims((1.0, 0.0, 0.0))[0].weights)
    dear = replace(index.data, purchase_cost_usd=2.0 * index.data.purchase_cost_usd)
    values = []
    for fleet in (index, FleetIndex.build(dear)):
        program = aim.program(fleet, variants, routes)
        program.set_integers(np.zeros(0, dtype=np.int64))
        if fleet is index:
            sold = np.nonzero(program.col_rent >= 0)
            held = np.flatnonzero(program.col_buy >= 0)
            by_hour = np.nonzero(program.col_hold >= 0)
            parts = [index.purchase_totals[rented] for rented in (sold, by_hour)]
            totals = np.concatenate([*parts, index.purchase_totals[held].sum(axis=1)])
            totals[:, 0] *= 2.0
            tables = program.col_rent[sold], program.col_hold[by_hour], program.col_buy[held]
            bought = np.concatenate(tables)
            program.charge(bought, totals)
        program.highs.run()
        values.append(program.highs.getInfo().objective_function_value)
    assert values[0] == pytest.approx(values[1], rel=1e-7)
    assert values[0] > 0.0
