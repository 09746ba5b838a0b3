"""Bounds over whole assignments: above the relaxation, below the truth, proved by their cases."""

from itertools import product

import numpy as np
import pytest

from models.fleet.data import FleetData
from planner.solve.assignments import Assignments, Cases, VariantCut
from planner.solve.bound import evaluate_bound
from planner.solve.engine import minimize, unit_weights
from planner.solve.generation import Generation, generated
from planner.solve.index import FleetIndex
from planner.solve.master import Master
from planner.solve.options import EngineOptions
from tests.brute_force import best_value
from tests.fleet_examples import random_fleet, tiny_fleet

OBJECTIVES = ("cost", "carbon", "qoe-loss")


def assignments(index: FleetIndex) -> list[np.ndarray]:
    return [np.array(choice) for choice in product(*(v.tolist() for v in index.workload_variants))]


def closed(data: FleetData, objective: str) -> tuple[FleetIndex, Assignments]:
    """Cuts from the relaxation and from that of every assignment."""
    index = FleetIndex.build(data)
    found = Assignments(index)
    found.add(generated(index, unit_weights(objective)).bound)
    for adopt in assignments(index):
        generation = Generation(Master(index, unit_weights(objective)))
        generation.start()
        generation.restrict(adopt)
        relaxation = generation.generate(1e-6)
        found.add(evaluate_bound(index, relaxation.bound.prices))
    return index, found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_bound_lies_between_the_relaxation_and_the_truth(seed: int, objective: str) -> None:
    data = tiny_fleet(seed)
    index, found = closed(data, objective)
    truth = best_value(data, {objective: 1.0})
    cases = found.prove()
    slack = 1e-6 * max(abs(truth), 1.0)
    assert cases.bound <= truth + slack
    relaxed = generated(index, unit_weights(objective)).bound.value
    assert cases.bound >= relaxed - slack


@pytest.mark.parametrize("seed", range(6))
def test_cases_and_search_agree_with_enumeration(seed: int) -> None:
    index, found = closed(tiny_fleet(seed), "cost")
    exact = min(found.bound_at(adopt) for adopt in assignments(index))
    value, adopt = found.least()
    tolerance = 1e-5 * max(abs(exact), 1.0)
    assert value == pytest.approx(exact, abs=tolerance)
    assert found.bound_at(adopt) == pytest.approx(exact, abs=tolerance)
    assert found.prove().bound == pytest.approx(exact, abs=tolerance)


def test_a_proof_stops_where_it_is_enough() -> None:
    _, found = closed(tiny_fleet(1), "cost")
    relaxed = found.cuts[0].level
    assert len(found.prove(relaxed - 1.0).leaves) == 1


def test_a_proof_keeps_no_cut_that_it_can_do_without() -> None:
    index, found = closed(tiny_fleet(1), "cost")
    once = found.prove()
    enough = once.bound - 1e-6 * abs(once.bound)
    twice = Assignments(index)
    twice.cuts = found.cuts + found.cuts
    fewer = twice.prove(enough)
    assert fewer.bound >= enough - 1e-6 * abs(enough)
    assert len(fewer.cuts) <= len(once.cuts)
    assert len({id(cut) for cut in fewer.cuts}) == len(fewer.cuts)


def test_a_cut_holds_for_every_assignment() -> None:
    data = tiny_fleet(2)
    index = FleetIndex.build(data)
    cut = VariantCut.of(generated(index, unit_weights("cost")).bound)
    for adopt in assignments(index):
        generation = Generation(Master(index, unit_weights("cost")))
        generation.start()
        generation.restrict(adopt)
        assert cut.at(adopt) <= generation.generate(1e-7).value + 1e-5 * abs(cut.level)


def test_the_engine_hands_over_cases_that_prove_its_bound() -> None:
    data = random_fleet(3, workloads=4, origins=2, regions=3, slices=2, variants=3)
    found = minimize(data, "cost", EngineOptions(gap_relative=1e-4, time_limit_s=5.0, threads=1))
    assert isinstance(found.cases, Cases)
    if found.proof == "dual prices":
        assert found.bound == found.cases.bound
    assert found.cases.bound <= found.value
