"""The engine's rows are those of the formulation: the relaxations and the optima are equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest

from models.fleet.data import FleetData
from models.fleet.program import build_program
from planner.solve.engine import unit_weights
from planner.solve.index import FleetIndex
from planner.solve.restricted import Restricted
from tests.fleet_examples import full_fleet, random_fleet, tiny_fleet
from tests.models.fleet.solving import optimum

OBJECTIVES = ("cost", "carbon", "qoe-loss")


def whole(data: FleetData, objective: str) -> Restricted:
    """The engine's program over every complete variant and all routes."""
    index = FleetIndex.build(data)
    variants = np.flatnonzero(index.variant_complete)
    routes = np.flatnonzero(index.variant_complete[index.route_variant])
    return Restricted(index, unit_weights(objective), variants, routes)


def value(program: Restricted, *, relaxed: bool) -> float:
    if relaxed:
        program.set_integers(np.zeros(0, dtype=np.int64))
    solver = program.highs
    solver.setOptionValue("mip_rel_gap", 1e-9)
    solver.setOptionValue("mip_abs_gap", 1e-9)
    solver.run()
    return float(
        solver.getInfo().objective_function_value + program.weights @ program.index.fixed_totals
    )


def relaxation(data: FleetData, objective: str) -> float:
    program = build_program(data)
    pyo.TransformationFactory("core.relax_integer_vars").apply_to(program)
    return optimum(program, objective)


def agree(data: FleetData, objective: str) -> None:
    ours = value(whole(data, objective), relaxed=True)
    assert ours == pytest.approx(relaxation(data, objective), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(20))
def test_relaxations_are_equal_on_tiny_fleets(seed: int, objective: str) -> None:
    agree(tiny_fleet(seed), objective)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(3))
def test_relaxations_are_equal_where_every_family_has_rows(seed: int, objective: str) -> None:
    agree(full_fleet(seed), objective)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("seed", range(4))
def test_optima_are_equal(seed: int, objective: str) -> None:
    data = tiny_fleet(seed)
    ours = value(whole(data, objective), relaxed=False)
    assert ours == pytest.approx(optimum(build_program(data), objective), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_trifles_need_a_replica_in_both(seed: int) -> None:
    """(3b): a workload of next to nothing holds a machine, in spite of tolerances."""
    data = random_fleet(seed, workloads=1, batch=False, owned=False)
    data = replace(data, route_share=1e-8 * data.route_share)
    stated = optimum(build_program(data), "cost")
    cheapest = data.purchase_cost_usd.sum(axis=1).min()
    assert stated >= cheapest > 0.0
    assert value(whole(data, "cost"), relaxed=False) == pytest.approx(stated, rel=1e-6)


@pytest.mark.parametrize("hybrid", [False, True])
def test_a_fixed_cost_counts_whole_unless_a_check_leg_shares_it(hybrid: bool) -> None:
    """(13): with one leg the relaxation pays a region in full, with two at least half."""
    data = random_fleet(0, regions=1, hybrid=hybrid, region_fixed=True, max_regions=1)
    assert data.region_fixed_cost_usd[0] > 0
    free = replace(data, region_fixed_cost_usd=np.zeros(1))
    paid = value(whole(data, "cost"), relaxed=True) - value(whole(free, "cost"), relaxed=True)
    least = 0.5 if hybrid else 1.0
    assert paid >= least * data.region_fixed_cost_usd[0] * (1 - 1e-9)


def test_variants_share_the_row_of_an_llm() -> None:
    """(14): halves of two variants of one llm keep it whole in service."""
    data = random_fleet(1, workloads=1, variants=2, llms=1, max_llms=1, batch=False)
    index = FleetIndex.build(data)
    program = whole(data, "cost")
    assert (program.row_keep >= 0).all() and program.row_keep.shape == (1, 1)
    assert index.data.variant_llms.all()
