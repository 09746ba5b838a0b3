"""Rented machines that serve batch alone are held for the hours of their work, not for a slice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.fleet.data import FleetData
from models.fleet.program import build_program
from planner.answer.words import hours_said
from planner.api import Answer, Request, answer, load, verify
from planner.candidates import build_candidates
from planner.errors import InfeasibleError
from planner.explain.carry import carried
from planner.plan import Plan
from planner.solve.bound import Prices, evaluate_bound
from planner.solve.engine import EngineOptions, minimize, unit_weights
from planner.solve.index import FleetIndex
from planner.verify import verify_plan
from tests.models.fleet.solving import optimum

TINY = Path(__file__).resolve().parents[2] / "instances" / "tiny"
PERIOD_H, TEN_H = 728.0, 10.0
WHOLE = ["all,728,9,0,24"]
HALVES = ["h00-12,364,9,0,12", "h12-24,364,9,12,24"]
REQUEST = Request(gap=1e-6, time_limit_s=60.0, threads=1)


def fleet_folder(path: Path, slices: list[str], *extra: str, rate: float = 0.05) -> Path:
    """A batch workload of so many requests/s over the period; `extra` are its demand lines more."""
    shutil.copytree(TINY, path, ignore=shutil.ignore_patterns("expected.json"))
    write(path, "slices", "slice,hours,month,start_hour_utc,end_hour_utc", *slices)
    names = ("night", "chat") if extra else ("night",)
    kinds = {"night": "night,batch,", "chat": "chat,interactive,5"}
    write(path, "workloads", "workload,kind,ttft_target_s", *(kinds[name] for name in names))
    lengths = "workload,input_tokens,output_tokens"
    write(path, "length_classes", lengths, *(f"{name},600,200" for name in names))
    demand = "workload,origin,slice,requests_per_s"
    write(path, "demand", demand, f"night,us-east,,{rate}", *extra)
    write(path, "variants", "workload,llm", *(f"{name},llama-3.1-8b" for name in names))
    write(path, "quality", "workload,llm,quality", "*,llama-3.1-8b,0.7")
    return path


def write(folder: Path, table: str, *lines: str) -> None:
    (folder / f"{table}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def planned(folder: Path) -> Answer:
    return answer(folder, REQUEST)


def machine_hours(plan: Plan) -> float:
    return sum(line.hours or 0.0 for line in plan.fleet)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Answer:
    """One slice of 728 h."""
    return planned(fleet_folder(tmp_path_factory.mktemp("coarse") / "fleet", WHOLE))


# ------------------------------------------------------------------ known answers


def ten_hours(data: FleetData) -> FleetData:
    """Every route of the batch takes ten hours of one replica."""
    return replace(data, route_share=np.full_like(data.route_share, TEN_H / PERIOD_H))


def test_a_job_of_ten_machine_hours_costs_ten_hours_of_the_cheapest_machine(tmp_path: Path) -> None:
    facts = load(fleet_folder(tmp_path / "fleet", WHOLE))
    data = ten_hours(build_candidates(facts).data)
    listed = [m for m in facts.machines if m.machine in data.machines and m.ondemand_usd_per_h]
    cheapest = min((m.ondemand_usd_per_h or 0.0) / m.accelerators for m in listed)
    found = minimize(data, "cost", EngineOptions(time_limit_s=20.0, gap_relative=1e-6))
    network = float(data.route_cost_usd[0])
    assert found.value == pytest.approx(TEN_H * cheapest + network, rel=1e-6)
    assert found.solution.hold.sum() * PERIOD_H <= TEN_H + 1e-6


def test_one_coarse_slice_costs_what_its_halves_cost(tmp_path: Path, coarse: Answer) -> None:
    fine = planned(fleet_folder(tmp_path / "halves", HALVES))
    assert coarse.plan.objectives.cost_usd == pytest.approx(fine.plan.objectives.cost_usd, rel=1e-5)
    assert 0.0 < machine_hours(coarse.plan) < 0.9 * PERIOD_H


def test_cost_carbon_and_water_of_a_batch_are_linear_in_its_demand(
    tmp_path: Path, coarse: Answer
) -> None:
    half = planned(fleet_folder(tmp_path / "half", WHOLE, rate=0.025)).plan
    for name in ("on-demand", "spot"):
        assert 2.0 * half.cost_lines[name] == pytest.approx(coarse.plan.cost_lines[name], rel=1e-5)
    for name in ("idle energy", "embodied"):
        whole = coarse.plan.carbon_lines[name]
        assert 2.0 * half.carbon_lines[name] == pytest.approx(whole, rel=1e-5)
    assert 2.0 * half.water_l == pytest.approx(coarse.plan.water_l, rel=1e-5)


def test_the_exported_program_has_the_value_of_the_plan(tmp_path: Path) -> None:
    chat = ["chat,us-east,h00-12,2", "chat,us-east,h12-24,0.5"]
    folder = fleet_folder(tmp_path / "fleet", HALVES, *chat, rate=0.5)
    data = build_candidates(load(folder)).data
    found = minimize(data, "cost", EngineOptions(time_limit_s=60.0, gap_relative=1e-6))
    assert found.value == pytest.approx(optimum(build_program(data), "cost"), rel=1e-5)


def test_what_interactive_demand_holds_is_held_all_slice(tmp_path: Path) -> None:
    folder = fleet_folder(tmp_path / "fleet", WHOLE, "chat,us-east,all,0.5", rate=0.01)
    plan = planned(folder).plan
    assert all(line.by_hour == 0.0 for line in plan.routing if line.workload == "chat")
    assert machine_hours(plan) == 0.0, "the batch fills what stands idle anyway"


# ------------------------------------------------------------------ what is held at one time


def with_quota(data: FleetData, accelerators: float) -> FleetData:
    """One quota over all that is rented."""
    count = len(data.purchase_machine)
    stock = np.floor(accelerators / data.machine_size[data.purchase_machine])
    return replace(
        data,
        quota_purchase=np.ones((1, count), dtype=np.bool_),
        quota_accelerators=np.array([accelerators]),
        quota_names=("all",),
        purchase_stock=stock,
        purchase_limit=np.minimum(data.purchase_limit, stock),
    )


@pytest.mark.parametrize(("accelerators", "possible"), [(3.0, True), (2.0, False)])
def test_a_quota_counts_the_machines_held_at_one_time(
    tmp_path: Path, accelerators: float, possible: bool
) -> None:
    """Work of 2.5 replicas all slice needs three machines at a time, whatever their hours."""
    data = build_candidates(load(fleet_folder(tmp_path / "fleet", WHOLE))).data
    data = replace(data, route_share=np.full_like(data.route_share, 2.5))
    data = replace(data, purchase_limit=np.full_like(data.purchase_limit, 5.0))
    large = np.flatnonzero(data.machine_size[data.purchase_machine] > 1)
    data = with_quota(data, accelerators)
    data.purchase_limit[large] = 0.0
    data.purchase_stock[large] = 0.0
    if possible:
        value = optimum(build_program(data), "cost")
        found = minimize(data, "cost", EngineOptions(time_limit_s=20.0, gap_relative=1e-6))
        assert found.value == pytest.approx(value, rel=1e-6)
        assert found.solution.most.sum() == 3
        assert found.solution.mean.sum() == pytest.approx(2.5)
    else:
        with pytest.raises(InfeasibleError):
            minimize(data, "cost", EngineOptions(time_limit_s=20.0, gap_relative=1e-6))


# ------------------------------------------------------------------ the plan and the checker


def test_the_plan_says_hours_and_the_checker_agrees(coarse: Answer) -> None:
    plan, facts = coarse.plan, coarse.facts
    assert verify(plan, facts).ok
    (said,) = hours_said(plan, {"all": PERIOD_H})
    assert "h of 728 h for batch alone" in said
    assert Plan.from_json(plan.to_json()) == plan
    assert any("by the second" in text for text in plan.assumptions)


def changed(plan: Plan, table: str, **values: object) -> Plan:
    rows = [replace(row, **values) for row in getattr(plan, table)]  # type: ignore[arg-type]
    return replace(plan, **{table: tuple(rows)})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "values", "rule"),
    [
        ("fleet", {"hours": 1.0}, "by-the-hour"),
        ("fleet", {"hours": -1.0}, "by-the-hour"),
        ("fleet", {"hours": 1e4}, "by-the-hour"),
        ("fleet", {"slice": None}, "by-the-hour"),
        ("fleet", {"hours": None}, "by-the-hour"),
        ("replicas", {"hours": 1.0}, "by-the-hour"),
        ("replicas", {"hours": None}, "machine-capacity"),
        ("routing", {"by_hour": 0.0}, "replica-capacity"),
        ("routing", {"by_hour": 1.5}, "by-the-hour"),
        ("fleet", {"hours": 700.0}, "cost-lines"),
    ],
)
def test_the_checker_refuses(
    coarse: Answer, table: str, values: dict[str, object], rule: str
) -> None:
    wrong = changed(coarse.plan, table, **values)
    assert rule in {x.rule for x in verify_plan(coarse.facts, wrong).violations}


def test_a_plan_is_carried_over_with_its_hours(coarse: Answer) -> None:
    data = build_candidates(replace(coarse.facts, grid=coarse.plan.grid)).data
    index = FleetIndex.build(data)
    bound = evaluate_bound(index, Prices.zero(index, unit_weights("cost")))
    found = carried(index, bound, coarse.plan)
    assert found is not None
    assert found.totals[0] == pytest.approx(coarse.plan.objectives.cost_usd)
    assert found.hold.sum() * PERIOD_H == pytest.approx(machine_hours(coarse.plan))
