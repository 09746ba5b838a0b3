"""Branch and bound on the whole program: few integers and extra rows cut no plan off, pieces leave
none out, and no search ends before its time with neither plan nor proof."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from models.fleet.data import FleetData
from models.fleet.program import build_program
from planner.errors import InfeasibleError
from planner.solve.aggregate import Aggregated, Level, pool_classes
from planner.solve.assignments import Assignments
from planner.solve.engine import OBJECTIVES, Search, minimize, unit_weights
from planner.solve.generation import generated
from planner.solve.highs import Outcome, run
from planner.solve.index import FleetIndex, routes_of
from planner.solve.options import EngineOptions
from planner.solve.solution import Solution
from planner.solve.whole import Host, Whole
from tests.fleet_examples import full_fleet, random_fleet, tiny_fleet
from tests.models.fleet.solving import optimum
from tests.planner.solve.test_diagnose import fleet

EXACT = EngineOptions(gap_relative=1e-4, time_limit_s=20.0)
ONE_THREAD = replace(EXACT, threads=1)
FLEETS = [
    pytest.param(lambda: tiny_fleet(1), id="tiny 1"),
    pytest.param(lambda: tiny_fleet(6), id="tiny 6"),
    pytest.param(lambda: full_fleet(3), id="every rule"),
    pytest.param(lambda: random_fleet(5, configs=3, load=3.0), id="many pools"),
    pytest.param(lambda: random_fleet(5, configs=3, load=0.05), id="little demand"),
    pytest.param(lambda: random_fleet(8, configs=4, load=0.6), id="machines of several replicas"),
    pytest.param(lambda: fleet("tiny"), id="instances/tiny"),
]


def program(data: FleetData, level: Level, objective: str = "cost") -> Aggregated:
    index = FleetIndex.build(data)
    variants = np.flatnonzero(index.variant_complete)
    weights = unit_weights(objective)
    scale = 1e4 / max(generated(index, weights).bound.value, 1.0)
    return Aggregated(index, weights, variants, routes_of(index, variants), level, scale)


def solved(made: Aggregated) -> tuple[float, list[Solution]]:
    """Its optimum, and the plans heard on the way."""
    plans: list[Solution] = []
    made.highs.setOptionValue("mip_abs_gap", 1e-9)
    bound, end = made.search(20.0, 1e-9, None, lambda _: True, plans.append)
    assert end.status == "optimal"
    return bound, plans


@pytest.mark.parametrize("build", FLEETS)
@pytest.mark.parametrize("level", list(Level))
def test_what_few_integers_prove_holds_for_every_plan(
    build: Callable[[], FleetData], level: Level
) -> None:
    data = build()
    truth = optimum(build_program(data), "cost")
    made = program(data, level)
    made.tighten(10.0)
    bound, plans = solved(made)
    assert bound <= truth * (1.0 + 1e-6) + 1e-6
    if level is Level.POOLS:
        assert bound == pytest.approx(truth, rel=1e-5)
    assert all(plan.totals[0] >= truth * (1.0 - 1e-6) - 1e-6 for plan in plans)


def test_residual_capacity_rows_raise_the_relaxation_where_replicas_are_large() -> None:
    data = random_fleet(5, configs=3, load=0.3)
    made = program(data, Level.POOLS)
    made.set_integers(np.zeros(0, dtype=np.int64))
    loose = run(made.highs, 10.0).objective
    made.set_integers(made.integers)
    said = made.tighten(10.0)
    made.set_integers(np.zeros(0, dtype=np.int64))
    tight = run(made.highs, 10.0).objective
    assert tight > loose * (1.0 + 1e-3)
    constant = float(made.weights @ made.index.fixed_totals)
    # What is said is of a round with rows, perhaps not of the last ones.
    assert loose < (said - constant) * made.scale <= tight * (1.0 + 1e-9)


def test_a_machine_is_held_whole_for_an_item_that_needs_little_of_it() -> None:
    data = random_fleet(5, configs=3, load=0.02)
    made = program(data, Level.POOLS)
    truth = optimum(build_program(data), "cost")
    # Rows of replicas alone prove 0.52 of it.
    assert made.tighten(10.0) > 0.85 * truth


def test_pools_of_one_class_stand_on_one_machine_with_as_many_accelerators() -> None:
    index = FleetIndex.build(fleet("tiny"))
    data = index.data
    coarse, lanes, fine = (pool_classes(index, level) for level in Level)
    assert len(np.unique(coarse)) < len(np.unique(lanes)) <= len(np.unique(fine))
    for one in np.unique(coarse):
        mine = coarse == one
        assert len(np.unique(data.pool_machine[mine])) == 1
        assert len(np.unique(data.pool_accelerators[mine])) == 1
    # Finer classes divide coarser ones.
    for coarser, finer in ((coarse, lanes), (lanes, fine)):
        assert all(len(np.unique(coarser[finer == one])) == 1 for one in np.unique(finer))


class Known:
    """A search that knows one plan, and keeps what it hears."""

    def __init__(self, index: FleetIndex, best: Solution | None) -> None:
        self.plan, self.bound = best, -np.inf
        until = time.monotonic() + 20.0
        self.host = Host(
            best=lambda: self.plan,
            left_s=lambda: until - time.monotonic(),
            goes_on=lambda: time.monotonic() < until,
            keep=self.keep,
            keep_bound=lambda bound: setattr(self, "bound", max(self.bound, bound)),
        )

    def keep(self, plan: Solution) -> None:
        if self.plan is None or plan.totals[0] < self.plan.totals[0]:
            self.plan = plan


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("in_pieces", [True, False])
def test_the_pieces_leave_no_plan_out(seed: int, in_pieces: bool) -> None:
    """Whatever the variants searched first, value and bound come to the optimum of all."""
    data = random_fleet(seed, variants=3, configs=2)
    truth = optimum(build_program(data), "cost")
    index = FleetIndex.build(data)
    weights = unit_weights("cost")
    relaxation = generated(index, weights)
    assignments = Assignments(index)
    assignments.add(relaxation.bound)
    dearest = np.array(
        [v[np.argmax(relaxation.bound.variant_value[v])] for v in index.workload_variants]
    )
    known = Known(index, None)
    scale = 1e4 / relaxation.bound.value
    whole = Whole(index, weights, scale, 1e-3, assignments, np.sort(dearest), known.host)
    for _ in range(12):
        if not whole.is_open(in_pieces=in_pieces):
            break
        whole.step(in_pieces=in_pieces)
        assert whole.bound <= truth * (1.0 + 1e-6)
    assert known.plan is not None
    assert known.plan.totals[0] >= truth * (1.0 - 1e-6)
    if not in_pieces:
        assert known.plan.totals[0] == pytest.approx(truth, rel=2e-3)
        assert whole.bound >= truth * (1.0 - 2e-3)


@pytest.mark.parametrize("share", [1.0005, 1.02, 1.2])
@pytest.mark.parametrize("options", [EXACT, ONE_THREAD], ids=["two threads", "one thread"])
def test_a_cap_that_a_known_plan_keeps_is_kept(share: float, options: EngineOptions) -> None:
    """Least carbon under a cost cap just above the least cost, and the other way round."""
    data = fleet("tiny")
    for cap, field in (("cost", "cost_max_usd"), ("carbon", "carbon_max_kgco2e")):
        other = "carbon" if cap == "cost" else "cost"
        least = minimize(data, cap, EXACT).value
        capped = replace(data, **{field: share * least})
        truth = optimum(build_program(capped), other)
        found = minimize(capped, other, options)
        assert found.solution.totals[OBJECTIVES[cap]] <= share * least * (1.0 + 1e-6)
        assert found.value == pytest.approx(truth, rel=2e-4)


@pytest.mark.parametrize("options", [EXACT, ONE_THREAD], ids=["two threads", "one thread"])
def test_a_cap_between_the_relaxation_and_the_best_plan_is_proved_impossible(
    options: EngineOptions,
) -> None:
    data = fleet("tiny")
    for field, objective in (("cost_max_usd", "cost"), ("carbon_max_kgco2e", "carbon")):
        least = minimize(data, objective, EXACT).value
        with pytest.raises(InfeasibleError, match="cap on"):
            minimize(replace(data, **{field: 0.999 * least}), "cost", options)


def test_one_infeasible_alone_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """HiGHS has called feasible programs infeasible: without a second run that says the same the
    search goes on, and finds the plan."""
    honest = Aggregated.search
    lies = iter([True])

    def lying(self: Aggregated, *args: object) -> tuple[float, Outcome]:
        if next(lies, False):
            return np.inf, Outcome("infeasible", False, np.inf, np.inf)
        return honest(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Aggregated, "search", lying)
    monkeypatch.setattr(Search, "_plan", lambda self, attempt: None)
    data = fleet("tiny")
    truth = optimum(build_program(data), "cost")
    assert minimize(data, "cost", EXACT).value == pytest.approx(truth, rel=2e-4)


@pytest.mark.parametrize("factor", [1e-3, 1e-6, 1e-9])
def test_demand_that_hides_within_tolerances_still_needs_a_replica(factor: float) -> None:
    """A workload that hardly anybody uses shares a machine with the others."""
    data = fleet("tiny")
    item = data.group_item[data.route_group]
    rare = data.item_workload[item] == 1
    shares = np.where(rare[:, None], factor * data.route_share, data.route_share)
    found = minimize(replace(data, route_share=shares), "cost", EXACT)
    assert found.status == "optimal"
    assert (found.solution.replicas >= 0).all()
    served = np.zeros(found.solution.replicas.shape, dtype=bool)
    index, routes = found.index, found.solution.routes
    own = routes[index.pool[routes] >= 0]
    served[index.pool[own], index.slice[own]] = True
    assert (found.solution.replicas[served] >= 1).all()
    assert found.value <= minimize(data, "cost", EXACT).value * (1.0 + 1e-6)


def test_owned_machines_do_not_turn_carbon_into_cost() -> None:
    """The weight that breaks ties by cost stays a trifle where a bound on cost is negative."""
    data = fleet("tiny")
    owned = np.ones_like(data.machine_fixed)
    held = replace(data, machine_fixed=owned)
    search = Search(FleetIndex.build(held), unit_weights("carbon"), EXACT)
    taste = search._tasteful(100.0, 50.0)
    assert taste[0] * 50.0 <= 0.1 * EXACT.gap_relative * 100.0
    assert search._tasteful(100.0, -50.0)[0] == 0.0
    for name in ("carbon", "qoe-loss"):
        truth = optimum(build_program(held), name)
        assert minimize(held, name, EXACT).value == pytest.approx(truth, rel=2e-4, abs=1e-9)
