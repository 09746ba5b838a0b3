"""Each rule on its own: tightening it is never better, and on some fleet it bites."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest

from models.fleet.data import MARKETS, FleetData
from models.fleet.program import build_program, minimize, set_cap
from tests.fleet_examples import full_fleet, random_fleet
from tests.models.fleet.solving import optimum, values

SEEDS = (0, 1, 2)
QUALITY_FIRST = {"cost": 1.0, "qoe-loss": 2e4}
TOLERANCE = 1e-6


def fleet(seed: int, **switches: object) -> FleetData:
    """Two workloads, two regions, one origin unless told, no rule but those switched on."""
    chosen = {"origins": 1, "attainment": False, "owned": False, "batch": False, **switches}
    return random_fleet(seed, configs=1, machines_per_region=1, **chosen)  # type: ignore[arg-type]


def each(data: FleetData, value: float) -> np.ndarray:
    return np.full(len(data.workloads), value)


Change = Callable[[FleetData], FleetData]
RULES: dict[str, tuple[dict[str, object], Change, object]] = {
    "adopt_one": (
        {},
        lambda d: replace(d, variant_cost_lines_usd=d.variant_cost_lines_usd + 10.0),
        "cost",
    ),
    "replica_capacity": ({}, lambda d: replace(d, route_share=1.5 * d.route_share), "cost"),
    "machine_capacity": (
        {},
        lambda d: replace(d, purchase_availability=0.7 * d.purchase_availability),
        "cost",
    ),
    "quota": (
        {"quotas": True},
        lambda d: replace(d, quota_accelerators=np.array([1.0, *d.quota_accelerators[1:]])),
        "cost",
    ),
    "train_adopted": (
        {"rag": False},
        lambda d: replace(d, training_cost_lines_usd=20.0 * d.training_cost_lines_usd),
        QUALITY_FIRST,
    ),
    "host_where_served": (
        {"train": False},
        lambda d: replace(d, host_cost_lines_usd=5.0 * d.host_cost_lines_usd),
        QUALITY_FIRST,
    ),
    "survive_region_loss": ({}, lambda d: replace(d, region_share_max=each(d, 0.5)), "cost"),
    "limit_spot_share": ({}, lambda d: replace(d, spot_share_max=0.1), "cost"),
    "meet_attainment": (
        {},
        lambda d: replace(d, attainment_min=each(d, 0.995 * d.route_attainment.max())),
        "cost",
    ),
    "workload_qoe_floor": (
        {"floor": True},
        lambda d: replace(d, workload_loss_max=0.9 * d.workload_loss_max),
        "cost",
    ),
    "spread_regions": (
        {},
        lambda d: replace(d, min_regions=np.full(2, 2), min_region_share=0.4),
        "cost",
    ),
    "open_regions": (
        {},
        lambda d: replace(d, region_fixed_cost_usd=d.region_fixed_cost_usd + 100.0),
        "cost",
    ),
    "open_regions_count": ({"origins": 2}, lambda d: replace(d, max_regions=1.0), "qoe-loss"),
    "limit_llms": (
        {},
        lambda d: replace(
            d,
            max_llms=1.0,
            variant_llms=np.array([[True, False], [False, True], [False, True], [True, False]]),
        ),
        QUALITY_FIRST,
    ),
    "limit_added_accelerators": (
        {},
        lambda d: replace(d, machine_change_usd=np.full(len(d.machines), 30.0)),
        "cost",
    ),
    "limit_changed_workloads": (
        {},
        lambda d: replace(
            d,
            max_changed_workloads=0.0,
            variant_is_incumbent=np.array([True, False, True, False]),
        ),
        QUALITY_FIRST,
    ),
}


@pytest.mark.parametrize("rule", RULES)
def test_tightening_is_never_better_and_bites_somewhere(rule: str) -> None:
    switches, tighten, objective = RULES[rule]
    bites = False
    for seed in SEEDS:
        loose = fleet(seed, **switches)
        before = optimum(build_program(loose), objective)  # type: ignore[arg-type]
        after = optimum(build_program(tighten(loose)), objective)  # type: ignore[arg-type]
        assert np.isfinite(before)
        assert after >= before - TOLERANCE * abs(before)
        bites |= np.isfinite(after) and after > before + 10 * TOLERANCE * abs(before)
    assert bites, "the rule never mattered"


@pytest.mark.parametrize("total", ["cost", "carbon", "qoe-loss", "water"])
def test_caps_bind_move_and_lift(total: str) -> None:
    """(17): a cap halfway costs the other objective; relaxing never hurts; None lifts it."""
    program = build_program(fleet(0))
    other = "carbon" if total == "cost" else "cost"
    least = optimum(program, total)
    free = optimum(program, other)
    reached = values(program)[total]
    assert reached > least
    seen = []
    for share in (0.2, 0.6, 1.1):
        set_cap(program, total, least + share * (reached - least))
        seen.append(optimum(program, other))
        assert values(program)[total] <= least + share * (reached - least) + 1e-6 * reached
    assert seen[0] >= seen[1] - TOLERANCE * free
    assert seen[0] > free
    assert seen[2] == pytest.approx(free, rel=1e-6)
    set_cap(program, total, 0.5 * least)
    assert optimum(program, other) == np.inf
    set_cap(program, total, None)
    assert optimum(program, other) == pytest.approx(free, rel=1e-6)


def test_a_variant_that_cannot_serve_every_item_is_never_adopted() -> None:
    data = fleet(0)
    dropped = int(np.flatnonzero(data.group_variant == 0)[0])
    kept = np.flatnonzero(np.arange(len(data.group_item)) != dropped)
    routes = np.flatnonzero(data.route_group != dropped)
    per_route = {
        name: getattr(data, name)[routes]
        for name in vars(data)
        if name.startswith("route_") and name != "route_group"
    }
    partial = replace(
        data,
        group_item=data.group_item[kept],
        group_variant=data.group_variant[kept],
        group_leg=data.group_leg[kept],
        route_group=np.searchsorted(kept, data.route_group[routes]),
        **per_route,
    )
    program = build_program(partial)
    assert program.adopt[0].ub == 0
    assert np.isfinite(optimum(program, "cost"))
    assert pyo.value(program.adopt[0]) == pytest.approx(0.0)


def test_spot_rule_counts_machines_of_one_accelerator_together() -> None:
    """(9) groups offers by region and accelerator: spot on one, on-demand on the other."""
    data = random_fleet(0, machines_per_region=2, batch=False)
    program = build_program(data)
    first = {key[0] for key in program.limit_spot_share}
    assert first == {0, 2}, "one group per region, named by its first machine"
    spot = data.purchase_market == MARKETS.index("spot")
    for (_, _), row in program.limit_spot_share.items():
        assert len(row.body.linear_vars) == 2 * (1 + 1 + 1)
    assert spot.sum() == len(data.machines)


def test_lines_add_up_to_their_totals() -> None:
    program = build_program(full_fleet(origins=1, configs=1))
    optimum(program, {"cost": 1.0, "carbon": 10.0})
    totals = values(program)
    cost = sum(pyo.value(line) for line in program.cost_lines.values())
    carbon = sum(pyo.value(line) for line in program.carbon_lines.values())
    assert cost == pytest.approx(totals["cost"], rel=1e-12)
    assert carbon == pytest.approx(totals["carbon"], rel=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("total", ["cost", "carbon"])
def test_more_demand_is_never_cheaper_or_cleaner(seed: int, total: str) -> None:
    data = fleet(seed, batch=True)
    more = replace(
        data,
        item_requests=1.4 * data.item_requests,
        route_share=1.4 * data.route_share,
        route_cost_lines_usd=1.4 * data.route_cost_lines_usd,
        route_carbon_lines_kgco2e=1.4 * data.route_carbon_lines_kgco2e,
        route_water_l=1.4 * data.route_water_l,
    )
    assert optimum(build_program(more), total) > optimum(build_program(data), total)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    data = random_fleet(seed, origins=1, configs=1, quotas=True, survive=True)
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(data.route_group))
    routes = shuffled[np.argsort(data.route_group[shuffled], kind="stable")]
    buys, pools = rng.permutation(len(data.purchase_machine)), rng.permutation(len(data.pools))
    rank = np.argsort(pools)
    changed = {n: getattr(data, n)[routes] for n in vars(data) if n.startswith("route_")}
    changed |= {n: getattr(data, n)[buys] for n in vars(data) if n.startswith("purchase_")}
    changed["route_pool"] = np.where(
        changed["route_pool"] >= 0, rank[np.maximum(changed["route_pool"], 0)], -1
    )
    other = replace(
        data,
        **changed,
        quota_purchase=data.quota_purchase[:, buys],
        pool_machine=data.pool_machine[pools],
        pool_accelerators=data.pool_accelerators[pools],
        pools=tuple(data.pools[p] for p in pools),
    )
    for objective in ("cost", "carbon", "qoe-loss"):
        expected = optimum(build_program(data), objective)
        assert optimum(build_program(other), objective) == pytest.approx(expected, rel=1e-6)


def test_an_unknown_objective_is_refused() -> None:
    program = build_program(fleet(0))
    with pytest.raises(KeyError):
        minimize(program, {"price": 1.0})
