"""An infeasible instance is proved so, explained in the user's words, and never one with a plan."""

import math
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from models.fleet.data import FleetData
from models.fleet.program import build_program
from planner.api import load
from planner.candidates.build import build_candidates
from planner.errors import InfeasibleError, SolverError
from planner.solve.diagnose import (
    MENDED,
    explain,
    impossible_whole,
    nothing_found,
    prove_infeasible,
)
from planner.solve.engine import minimize
from planner.solve.index import FleetIndex
from planner.solve.options import EngineOptions
from planner.solve.rules import rules_of
from tests.fleet_examples import full_fleet, tiny_fleet
from tests.models.fleet.solving import optimum

INSTANCES = Path(__file__).resolve().parents[3] / "instances"
QUICK = EngineOptions(time_limit_s=10.0)


@cache
def fleet(name: str) -> FleetData:
    return build_candidates(load(INSTANCES / name)).data


@pytest.mark.parametrize("name", ["tiny", pytest.param("small", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("change", "conflict", "repair"),
    [
        ({"cost_max_usd": 100.0}, "cap on cost of 100 USD", "raise the cap on cost from 100 to"),
        (
            {"carbon_max_kgco2e": 1.0},
            "cap on carbon of 1 kgCO2e",
            "raise the cap on carbon from 1 to",
        ),
        ({"loss_max": 0.01}, "floor on QoE of 0.99", "lower the floor on QoE from 0.99 to"),
    ],
)
def test_a_cap_out_of_reach_is_named_with_its_repair(
    name: str, change: dict[str, float], conflict: str, repair: str
) -> None:
    with pytest.raises(InfeasibleError) as caught:
        minimize(replace(fleet(name), **change), "cost", QUICK)
    assert caught.value.conflict == (conflict,)
    assert len(caught.value.repair) == 1
    assert repair in caught.value.repair[0]


def test_the_repair_of_a_cap_is_the_optimum_and_rests_on_branch_and_bound() -> None:
    data = fleet("tiny")
    least = optimum(build_program(data), "cost")
    (words,) = explain(FleetIndex.build(replace(data, cost_max_usd=100.0))).repair
    assert words == (
        f"raise the cap on cost from 100 to {math.ceil(least):,} USD (a plan keeps it; less than "
        f"{math.floor(least):,} is proved impossible by branch and bound)"
    )


def test_an_attainment_out_of_reach_is_lowered_to_what_prices_prove_and_a_plan_keeps() -> None:
    data = fleet("tiny")
    high = replace(data, attainment_min=np.array([0.99999, 0.9]))
    error = explain(FleetIndex.build(high))
    assert error.conflict == (f"attainment of {data.workloads[0]} of 0.99999",)
    (words,) = error.repair
    told = float(words.split(" to ")[1].split()[0])
    assert np.isfinite(optimum(build_program(_attaining(high, told)), "cost"))
    assert optimum(build_program(_attaining(high, told + 2e-4)), "cost") == np.inf


def _attaining(data: FleetData, share: float) -> FleetData:
    least = data.attainment_min.copy()
    least[0] = share
    return replace(data, attainment_min=least)


# ---------------------------------------------------------------------- several conflicts


def test_every_conflict_is_told_with_its_own_repair_and_then_what_these_run_into() -> None:
    data = fleet("tiny")
    both = replace(data, cost_max_usd=100.0, carbon_max_kgco2e=1.0)
    cost, carbon = (optimum(build_program(data), name) for name in ("cost", "carbon"))
    first, second, third = explain(FleetIndex.build(both)).conflicts
    assert first.rules == ("cap on cost of 100 USD",)
    assert f"to {math.ceil(cost):,} USD" in first.repairs[0]
    assert second.rules == ("cap on carbon of 1 kgCO2e",)
    assert f"to {carbon:.6f}"[:6] in second.repairs[0]
    assert len(third.rules) == len(third.repairs) == 2
    assert "once the first repair of each conflict before is made" in third.note


def test_three_at_once_are_three_conflicts() -> None:
    data = fleet("tiny")
    three = replace(
        data, cost_max_usd=100.0, loss_max=0.01, attainment_min=np.array([0.9, 0.99999])
    )
    found = explain(FleetIndex.build(three)).conflicts
    alone = [part.rules for part in found if not part.note.startswith("once")]
    assert ("floor on QoE of 0.99",) in alone
    assert (f"attainment of {data.workloads[1]} of 0.99999",) in alone
    assert ("cap on cost of 100 USD",) in alone


def repaired(data: FleetData, error: InfeasibleError) -> FleetData:
    """The first repair of every conflict made, read from its words."""
    for part in error.conflicts:
        if part.note == MENDED:
            continue
        what, limit = part.repairs[0].removeprefix("raise the ").removeprefix("lower the ").split(
            " from "
        )  # fmt: skip
        number = float(limit.split(" to ")[1].split()[0].replace(",", ""))
        rule = next(rule for rule in rules_of(data) if rule.what == what)
        data = rule.with_limit(data, rule.written(number))
    return data


def test_all_first_repairs_together_leave_a_plan() -> None:
    data = fleet("tiny")
    both = replace(data, cost_max_usd=100.0, carbon_max_kgco2e=1.0)
    mended = repaired(both, explain(FleetIndex.build(both)))
    assert np.isfinite(optimum(build_program(mended), "cost"))


WITHOUT_REPAIR: set[int] = set()
TIGHTER = {
    "attainment_min": 1.1, "workload_loss_max": 0.5, "region_share_max": 0.5,
    "quota_accelerators": 0.3, "max_added_accelerators": 0.2, "max_changed_workloads": 0.0,
    "max_llms": 0.5, "max_regions": 0.4,
}  # fmt: skip


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 40))]
)
def test_repairs_of_drawn_fleets_with_many_tight_rules_leave_a_plan(seed: int) -> None:
    data = tiny_fleet(seed)
    for name, factor in TIGHTER.items():
        data = replace(data, **{name: factor * getattr(data, name)})
    index = FleetIndex.build(data)
    truth = optimum(build_program(data), "cost")
    if np.isfinite(truth):
        with pytest.raises(SolverError, match="not proved"):
            explain(index)
        return
    error = explain(index)
    if all(part.repairs for part in error.conflicts):
        assert np.isfinite(optimum(build_program(repaired(data, error)), "cost"))
    else:
        assert seed in WITHOUT_REPAIR


def owning(data: FleetData, count: int) -> FleetData:
    """So many of the first machine, and nothing to be had beside."""
    held = np.zeros_like(data.machine_fixed)
    held[0] = count
    none = np.zeros_like(data.purchase_limit)
    return replace(data, machine_fixed=held, purchase_limit=none, purchase_stock=none)


def test_machines_owned_that_no_rule_makes_enough_are_counted_and_caps_are_told_beside() -> None:
    data = fleet("tiny")
    error = explain(FleetIndex.build(replace(owning(data, 1), cost_max_usd=1.0)))
    machines, cap = error.conflicts
    assert machines.rules == ("demand against the machines that can be had",)
    assert cap.rules == ("cap on cost of 1 USD",)
    (words,) = machines.repairs
    assert words.startswith(f"raise the number held of {data.machines[0]} from 1 to ")
    needed = int(words.split(" to ")[1].split()[0])
    assert np.isfinite(optimum(build_program(owning(data, needed)), "cost"))
    assert optimum(build_program(owning(data, needed - 1)), "cost") == np.inf
    assert len(error.together) == 2


# ---------------------------------------------------------------------- between bound and optimum


def test_a_cap_between_relaxation_and_optimum_is_explained_by_searching() -> None:
    data = fleet("tiny")
    least = optimum(build_program(data), "cost")
    index = FleetIndex.build(replace(data, cost_max_usd=0.999 * least))
    assert prove_infeasible(index) is None
    error = impossible_whole(index)
    assert error.proof == "branch and bound of HiGHS on the whole program"
    assert error.conflicts[0].note == "proved by branch and bound of HiGHS on the whole program"
    assert f"to {math.ceil(least):,} USD (a plan keeps it" in error.repair[0]


def test_where_nothing_is_found_the_caps_with_little_room_are_named() -> None:
    data = fleet("tiny")
    least = optimum(build_program(data), "cost")
    index = FleetIndex.build(replace(data, cost_max_usd=least))
    told = str(nothing_found(index, 20.0, ["rounding the relaxation", "branch and bound"]))
    assert told.startswith("no plan was found in 20 s, and none is proved impossible; tried: ")
    assert "rounding the relaxation, branch and bound; what limits: the cap on cost of" in told
    needed = float(told.split("(at least ")[1].split(maxsplit=1)[0].replace(",", ""))
    assert 0.0 < needed <= least


# ---------------------------------------------------------------------- counts


def test_a_count_is_repaired_by_whole_numbers() -> None:
    data = tiny_fleet(0)
    held = 0 * data.machine_fixed
    counted = np.ones((1, len(data.purchase_machine)), dtype=bool)
    machine = (data.route_pool >= 0) | (data.route_region >= 0)
    assert machine.any()
    one = replace(
        data, machine_fixed=held, quota_purchase=counted, quota_accelerators=np.zeros(1),
        quota_names=("everything",), max_changed_workloads=0.0,
        variant_is_incumbent=np.zeros(len(data.variants), dtype=bool),
    )  # fmt: skip
    for words in explain(FleetIndex.build(one)).repair:
        if "quota" in words or "limit" in words:
            assert words.split(" to ")[1].split()[0].isdigit(), words


@pytest.mark.parametrize("seed", range(6))
def test_quotas_of_zero_without_owned_machines_are_a_conflict(seed: int) -> None:
    data = tiny_fleet(seed)
    machines = np.zeros_like(data.machine_fixed)
    counted = np.ones((1, len(data.purchase_machine)), dtype=bool)
    none = replace(
        data,
        machine_fixed=machines,
        quota_purchase=counted,
        quota_accelerators=np.zeros(1),
        quota_names=("everything",),
    )
    truth = optimum(build_program(none), "cost")
    proof = prove_infeasible(FleetIndex.build(none))
    if np.isfinite(truth):  # hosted or shortfall routes need no machine
        assert proof is None
        return
    assert proof is not None
    error = explain(FleetIndex.build(none))
    assert "quota of everything of 0 accelerators" in error.conflict
    assert any("quota of everything from 0 to" in words for words in error.repair)
    assert np.isfinite(optimum(build_program(repaired(none, error)), "cost"))


def test_the_conflict_is_minimal_when_two_caps_fight() -> None:
    data = fleet("tiny")
    program = build_program(data)
    cost, loss = optimum(program, "cost"), optimum(program, "qoe-loss")
    both = replace(data, cost_max_usd=1.001 * cost, loss_max=1.0001 * loss, water_max_l=1e12)
    assert optimum(build_program(both), "cost") == np.inf
    error = impossible_whole(FleetIndex.build(both))
    assert [len(part.rules) for part in error.conflicts] == [2]
    assert len(error.repair) == 2


@pytest.mark.parametrize("seed", range(12))
def test_a_tight_cap_that_a_plan_keeps_is_never_called_impossible(seed: int) -> None:
    data = tiny_fleet(seed)
    program = build_program(data)
    for objective, cap in (
        ("cost", "cost_max_usd"),
        ("carbon", "carbon_max_kgco2e"),
        ("qoe-loss", "loss_max"),
    ):
        tight = replace(data, **{cap: optimum(program, objective)})
        assert prove_infeasible(FleetIndex.build(tight)) is None, objective


def test_a_feasible_fleet_is_not_explained() -> None:
    with pytest.raises(SolverError, match="not proved infeasible"):
        explain(FleetIndex.build(full_fleet(0)))
