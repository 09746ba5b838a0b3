"""An infeasible instance is proved so, explained in the user's words, and never one with a plan."""

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
from planner.solve.diagnose import explain, prove_infeasible
from planner.solve.engine import minimize
from planner.solve.index import FleetIndex
from planner.solve.options import EngineOptions
from tests.fleet_examples import full_fleet, tiny_fleet
from tests.models.fleet.solving import optimum

INSTANCES = Path(__file__).resolve().parents[3] / "instances"
QUICK = EngineOptions(time_limit_s=10.0)


@cache
def fleet(name: str) -> FleetData:
    return build_candidates(load(INSTANCES / name)).data


@pytest.mark.parametrize("name", ["tiny", "small"])
@pytest.mark.parametrize(
    ("change", "conflict", "repair"),
    [
        ({"cost_max_usd": 100.0}, "cap on cost of 100 USD", "USD more cost"),
        ({"carbon_max_kgco2e": 1.0}, "cap on carbon of 1 kg", "kg more carbon"),
        ({"loss_max": 0.01}, "floor on QoE of 0.99", "floor on QoE of at most"),
    ],
)
def test_a_cap_out_of_reach_is_named_with_its_repair(
    name: str, change: dict[str, float], conflict: str, repair: str
) -> None:
    with pytest.raises(InfeasibleError, match="proved") as caught:
        minimize(replace(fleet(name), **change), "cost", QUICK)
    assert caught.value.conflict == (conflict,)
    assert len(caught.value.repair) == 1
    assert repair in caught.value.repair[0]


def test_the_repair_of_a_cap_is_never_more_than_what_a_plan_needs() -> None:
    data = fleet("tiny")
    least = optimum(build_program(data), "cost")
    error = explain(FleetIndex.build(replace(data, cost_max_usd=100.0)))
    more = float(error.repair[0].split()[2].replace(",", ""))
    assert 0.0 < more <= least - 100.0 + 0.01


def test_an_attainment_out_of_reach_is_named() -> None:
    data = fleet("tiny")
    error = explain(FleetIndex.build(replace(data, attainment_min=np.array([0.99999, 0.9]))))
    assert error.conflict == (f"attainment 0.99999 of {data.workloads[0]}",)
    assert error.repair[0].startswith(f"attainment of {data.workloads[0]} at most 0.9")


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
    assert "quota everything of 0 accelerators" in error.conflict
    assert any("more accelerators in quota everything" in words for words in error.repair)


def test_the_conflict_is_minimal_when_two_caps_fight() -> None:
    data = fleet("tiny")
    program = build_program(data)
    cost, loss = optimum(program, "cost"), optimum(program, "qoe-loss")
    both = replace(data, cost_max_usd=1.001 * cost, loss_max=1.0001 * loss, water_max_l=1e12)
    truth = optimum(build_program(both), "cost")
    proof = prove_infeasible(FleetIndex.build(both))
    if proof is None:
        with pytest.raises(SolverError, match="not proved"):
            explain(FleetIndex.build(both))
        return
    assert truth == np.inf
    assert len(explain(FleetIndex.build(both)).conflict) == 2


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
