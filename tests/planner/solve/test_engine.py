"""The engine tells the truth: every bound lies below the optimum, every plan costs what it says."""

import time
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.fleet.capacity import binding_rows
from models.fleet.data import FleetData
from models.fleet.program import build_program
from planner.solve.bound import Prices, evaluate_bound, with_main_rows
from planner.solve.engine import OBJECTIVES, Search, minimize, unit_weights
from planner.solve.generation import Generation, generated
from planner.solve.index import FleetIndex
from planner.solve.master import Master
from planner.solve.options import EngineOptions, relative_gap
from planner.solve.restricted import Restricted
from planner.solve.solution import totals_of
from tests.brute_force import best_value
from tests.fleet_examples import full_fleet, random_fleet, tiny_fleet
from tests.models.fleet.solving import optimum
from tests.planner.solve.test_diagnose import fleet

MINIMISED = ("cost", "carbon", "qoe-loss")
EXACT = EngineOptions(gap_relative=1e-4, time_limit_s=10.0, threads=1)
SLACK = 1e-6
"""Relative: HiGHS's own tolerances in the truth compared with."""


def below(bound: float, truth: float) -> bool:
    return bound <= truth + SLACK * max(abs(truth), 1.0)


def random_prices(index: FleetIndex, weights: np.ndarray, seed: int, size: float) -> Prices:
    """Any prices >= 0 on rows that the data have; absent rows have none."""
    rng = np.random.default_rng(seed)
    data, blank = index.data, Prices.zero(index, weights)
    absent = {
        "spot": np.isnan(data.spot_share_max),
        "spread": not index.spreads.any(),
        "spread_count": not index.spreads.any(),
        "open": not index.opens,
        "open_count": np.isnan(data.max_regions),
        "keep": np.isnan(data.max_llms),
        "keep_count": np.isnan(data.max_llms),
        "added": not index.counts_added,
        "added_total": np.isnan(data.max_added_accelerators),
        "changed": np.isnan(data.max_changed_workloads),
        "cap": True,
        "attain": np.isnan(data.attainment_min).any(),
        "floor": np.isnan(data.workload_loss_max).any(),
        "survive": np.isnan(data.region_share_max).any(),
        "weights": True,
    }
    drawn = {}
    for one in fields(Prices):
        if absent.get(one.name, False):
            continue
        value = np.asarray(getattr(blank, one.name))
        price = size * rng.random(value.shape) * (rng.random(value.shape) < 0.5)
        if one.name in ("host", "keep", "spread"):
            price = price * 0.1
        drawn[one.name] = float(price) if value.ndim == 0 else price
    if "host" in drawn:
        drawn["host"] = drawn["host"] * index.has_host[:, :, None]
    if "spread" in drawn:
        drawn["spread"] = drawn["spread"] * index.spreads[:, None]
        drawn["spread_count"] = drawn["spread_count"] * index.spreads
    return with_main_rows(index, replace(blank, **drawn))


@pytest.mark.parametrize("seed", [*range(7), *range(8, 12)])
def test_any_prices_prove_a_bound(seed: int) -> None:
    data = tiny_fleet(seed)
    index = FleetIndex.build(data)
    for name in MINIMISED:
        truth = best_value(data, {name: 1.0})
        for draw in range(10):
            prices = random_prices(index, unit_weights(name), draw, 10.0 ** (draw % 4 - 2))
            assert below(evaluate_bound(index, prices).value, truth), (name, draw)


@pytest.mark.parametrize("seed", range(2))
def test_the_relaxation_lies_below_the_program_with_all_rules(seed: int) -> None:
    data = full_fleet(seed, machines_per_region=1, variants=3)
    index, program = FleetIndex.build(data), build_program(data)
    for name in MINIMISED:
        relaxation = generated(index, unit_weights(name))
        truth = optimum(program, name)
        assert relaxation.converged
        assert below(relaxation.bound.value, truth), name


@pytest.mark.parametrize("seed", range(4))
def test_the_engine_equals_enumeration(seed: int) -> None:
    data = tiny_fleet(seed)
    for name in MINIMISED:
        truth = best_value(data, {name: 1.0})
        found = minimize(data, name, EXACT)
        assert below(found.bound, truth), name
        assert found.value >= truth - SLACK * max(abs(truth), 1.0), name
        assert found.value == pytest.approx(found.solution.totals[OBJECTIVES[name]])
        if found.status == "optimal":
            assert found.value <= truth * (1.0 + 2e-4) + 1e-9, name


@pytest.mark.parametrize("seed", range(4))
def test_the_whole_restricted_program_equals_the_pyomo_program(seed: int) -> None:
    data = tiny_fleet(seed)
    index, program = FleetIndex.build(data), build_program(data)
    variants = np.flatnonzero(index.variant_complete)
    routes = np.flatnonzero(np.isin(index.route_variant, variants))
    for name in MINIMISED:
        own = Restricted(index, unit_weights(name), variants, routes)
        found, end = own.solve(20.0, 1e-9)
        assert found is not None, end.status
        truth = optimum(program, name)
        assert found.totals[OBJECTIVES[name]] == pytest.approx(truth, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("seed", range(10))
def test_the_index_leaves_out_the_same_capacity_rows(seed: int) -> None:
    data = tiny_fleet(seed)
    assert (FleetIndex.build(data).pool_rows == binding_rows(data)).all()


def test_the_time_limit_is_wall_clock() -> None:
    data = random_fleet(1, workloads=5, origins=3, regions=4, slices=4, variants=3)
    began = time.monotonic()
    minimize(data, "cost", EngineOptions(gap_relative=0.0, time_limit_s=3.0, threads=1))
    assert time.monotonic() - began <= 5.0


def with_moved_prices(data: FleetData, seed: int) -> FleetData:
    """Every purchase up to a tenth cheaper or dearer."""
    moved = np.random.default_rng(seed).uniform(0.9, 1.1, len(data.purchase_machine))
    return replace(data, purchase_cost_usd=data.purchase_cost_usd * moved[:, None])


@pytest.mark.parametrize("seed", range(3))
def test_a_search_from_known_prices_proves_what_one_from_nothing_does(seed: int) -> None:
    """Prices of other data are only where it begins: value and bound are those of these data."""
    data = fleet("tiny")
    cases = minimize(data, "cost", EXACT).cases
    moved = with_moved_prices(data, seed)
    truth = optimum(build_program(moved), "cost")
    found = minimize(moved, "cost", EXACT, known=[cut.prices for cut in cases.cuts])
    assert found.value == pytest.approx(truth, rel=2e-4)
    assert below(found.bound, truth)
    assert found.bound == pytest.approx(truth, rel=2e-4)


def test_what_is_known_may_be_enough_without_any_search() -> None:
    data = fleet("tiny")
    before = minimize(data, "cost", replace(EXACT, gap_relative=0.5))
    known = [cut.prices for cut in before.cases.cuts]
    again = minimize(data, "cost", replace(EXACT, gap_relative=0.5),
                     start=before.solution, known=known)  # fmt: skip
    assert again.status == "optimal"
    assert "relaxation" not in again.timings
    assert again.value == before.value


def test_a_plan_that_is_near_is_made_better_without_a_relaxation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = minimize(fleet("tiny"), "cost", EXACT)
    moved = with_moved_prices(fleet("tiny"), 1)
    index = FleetIndex.build(moved)
    start = replace(before.solution, totals=totals_of(index, before.solution))
    known = [cut.prices for cut in before.cases.cuts]
    lax = minimize(moved, "cost", replace(EXACT, gap_relative=0.5), start=start, known=known)
    carried = relative_gap(lax.value, lax.bound)
    assert carried > 1e-4

    def relaxed(_: Search) -> bool:
        raise AssertionError("the whole was relaxed")

    monkeypatch.setattr(Search, "_relax", relaxed)
    wanted = replace(EXACT, gap_relative=0.5 * carried)
    found = minimize(moved, "cost", wanted, start=start, known=known)
    assert found.status == "optimal"
    assert relative_gap(found.value, found.bound) <= wanted.gap_relative
    assert below(found.bound, optimum(build_program(moved), "cost"))


def test_a_relaxation_that_runs_out_of_time_keeps_the_bound_it_began_from() -> None:
    index = FleetIndex.build(fleet("tiny"))
    generation = Generation(Master(index, unit_weights("cost")))
    begun = generation.start()
    late = time.monotonic() - 1.0
    found = generation.generate(deadline=late, must_solve=False)
    assert found.bound.value >= begun.value * (1 - 1e-9)
    assert not found.converged


def variant_of_tiny(demand: float, price: float, quality: float, seed: int) -> FleetData:
    """instances/tiny with demand, prices and quality moved, each route and purchase on its own."""
    data, rng = fleet("tiny"), np.random.default_rng(seed)
    prices = price * rng.uniform(0.7, 1.4, len(data.purchase_machine))
    worse = np.minimum(data.route_loss * quality * rng.uniform(0.9, 1.1, len(data.route_loss)), 1.0)
    return replace(
        data,
        route_share=data.route_share * demand,
        route_cost_lines_usd=data.route_cost_lines_usd * demand,
        route_carbon_lines_kgco2e=data.route_carbon_lines_kgco2e * demand,
        purchase_cost_usd=data.purchase_cost_usd * prices[:, None],
        route_loss=worse,
    )


def agrees_with_the_program(data: FleetData, name: str) -> None:
    truth = optimum(build_program(data), name)
    assert np.isfinite(truth)
    found = minimize(data, name, EXACT)
    assert below(found.bound, truth)
    assert found.value >= truth - SLACK * max(abs(truth), 1.0)
    if found.status == "optimal":
        assert found.value <= truth * (1.0 + 2e-4) + 1e-9


VARIANTS = given(
    demand=st.floats(0.2, 1.0),
    price=st.floats(0.3, 3.0),
    quality=st.floats(0.5, 1.5),
    seed=st.integers(0, 10_000),
    name=st.sampled_from(MINIMISED),
)
RELAXED = [HealthCheck.too_slow]


@VARIANTS
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=RELAXED)
def test_random_variants_of_tiny(
    demand: float, price: float, quality: float, seed: int, name: str
) -> None:
    agrees_with_the_program(variant_of_tiny(demand, price, quality, seed), name)


@pytest.mark.slow
@VARIANTS
@settings(max_examples=200, deadline=None, suppress_health_check=RELAXED)
def test_random_variants_of_tiny_at_length(
    demand: float, price: float, quality: float, seed: int, name: str
) -> None:
    agrees_with_the_program(variant_of_tiny(demand, price, quality, seed), name)
