"""What demand alone proves: the most a machine can need, and the least that quotas must allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.fleet.data import FleetData, FloatArray, IntArray
from planner.candidates.machines import prices as market_prices
from planner.candidates.machines import stock_limit
from planner.errors import InfeasibleError
from planner.instance.facts import Facts, MachineFacts


def accelerators_needed_at_most(
    *,
    shape: tuple[int, int, int],
    group: IntArray,
    machine: IntArray,
    slices: IntArray,
    pool: IntArray,
    share: FloatArray,
    pool_accelerators: IntArray,
    group_variant: IntArray,
    variant_workload: IntArray,
) -> FloatArray:
    """Accelerators of each machine in each slice that some optimal plan never exceeds, (H, T).

    `shape` is (V, H, T); the other arguments are routes with a pool, sorted by group, slice and
    machine. Proof: of each workload one variant is served; a group loads machine h in slice t by
    at most its heaviest route there, max over routes of G max_i share_i; the rows of a pool sum to
    no more than their sum; rounding up adds less than one replica per pool, and only the pools of
    the served variants are open. Replicas beyond the load serve nothing.
    """
    variants, machines, times = shape
    if not len(group):
        return np.zeros((machines, times))
    load = share.max(axis=1) * pool_accelerators[pool]
    change = (np.diff(group) != 0) | (np.diff(slices) != 0) | (np.diff(machine) != 0)
    start = np.r_[0, np.flatnonzero(change) + 1]
    heaviest = np.maximum.reduceat(load, start)
    variant = group_variant[group]
    key = (variant * machines + machine) * times + slices
    used = np.bincount(key[start], weights=heaviest, minlength=variants * machines * times)
    opened = np.unique(variant * (int(pool.max()) + 1) + pool)
    open_variant, open_pool = np.divmod(opened, int(pool.max()) + 1)
    machine_of_pool = np.zeros(int(pool.max()) + 1, dtype=np.int64)
    machine_of_pool[pool] = machine
    whole = np.bincount(
        open_variant * machines + machine_of_pool[open_pool],
        weights=pool_accelerators[open_pool],
        minlength=variants * machines,
    )
    first = np.flatnonzero(np.r_[True, np.diff(variant_workload) > 0])
    fractional = np.maximum.reduceat(used.reshape(variants, machines, times), first, axis=0)
    rounding = np.maximum.reduceat(whole.reshape(variants, machines), first, axis=0).sum(axis=0)
    distinct = np.unique(pool)
    every = np.bincount(
        machine_of_pool[distinct], weights=pool_accelerators[distinct], minlength=machines
    )
    return np.asarray(fractional.sum(axis=0) + np.minimum(rounding, every)[:, None])


def prove_supply(facts: Facts, data: FleetData, machines: Sequence[MachineFacts]) -> None:
    """Raise InfeasibleError where demand provably exceeds quotas, stock and owned machines.

    For any one capacity row i, a slice needs at least the sum over workloads of the least over
    variants of the sum over items and legs of min over routes of G share_i; asked of each workload
    alone, over the machines it may use, and of all together. A shortfall or hosted route needs 0.
    """
    routes = len(data.route_group)
    if not routes:
        return
    pool = data.route_pool
    cards = np.append(data.pool_accelerators, 0)[pool]  # the last, 0, where no pool serves
    start = np.flatnonzero(np.r_[True, np.diff(data.route_group) > 0])
    least = np.minimum.reduceat(data.route_share * cards[:, None], start, axis=0)  # (Q, 4)
    at = data.item_slice[data.group_item]
    now = at >= 0
    need = np.zeros((len(data.variants), len(data.slices), least.shape[1]))
    np.add.at(need, (data.group_variant[now], at[now]), least[now])
    first = np.flatnonzero(np.r_[True, np.diff(data.variant_workload) > 0])
    per_workload = np.minimum.reduceat(need, first, axis=0)  # (W, T, 4)
    named = [data.workloads[w] for w in data.variant_workload[first]]
    route_workload = data.variant_workload[data.group_variant[data.route_group]]
    served = pool >= 0
    used = np.zeros((len(data.workloads), len(machines)), dtype=np.bool_)
    used[route_workload[served], data.pool_machine[pool[served]]] = True
    asked: list[tuple[str, FloatArray, IntArray]] = [
        (
            name,
            per_workload[row].max(axis=1),
            np.flatnonzero(used[data.variant_workload[first[row]]]),
        )
        for row, name in enumerate(named)
    ]
    asked.append(
        (
            "all workloads together",
            per_workload.sum(axis=0).max(axis=1),
            np.flatnonzero(used.any(axis=0)),
        )
    )
    for name, needed, members in asked:
        t = int(needed.argmax())
        supply = _supply(facts, [machines[h] for h in members])
        if needed[t] > supply * (1.0 + 1e-9):
            raise InfeasibleError(
                f"{name}: demand in slice {data.slices[t]} needs at least {needed[t]:,.1f} "
                f"accelerators, quotas, stock and owned machines allow {supply:,.0f}",
                conflict=(f"demand of {name} in {data.slices[t]}", "quotas"),
                repair=(
                    f"raise quotas by at least {np.ceil(needed[t] - supply):,.0f} accelerators, "
                    "allow more regions or accelerator types, or allow a shortfall",
                ),
            )


def _supply(facts: Facts, machines: Sequence[MachineFacts]) -> float:
    """Most accelerators of these machines that can be held at once; inf without a limit."""
    total = 0.0
    quotas = facts.instance.quotas
    for place in sorted({(m.region, m.accelerator) for m in machines}):
        here = [m for m in machines if (m.region, m.accelerator) == place]
        total += sum(m.fixed_instances * m.accelerators for m in here)
        by_market: dict[str, float] = {}
        for machine in here:
            for market in market_prices(machine, facts):
                most = stock_limit(machine, market, facts) * machine.accelerators
                by_market[market] = by_market.get(market, 0.0) + most
        for quota in quotas:
            if (quota.region, quota.accelerator) == place and quota.market in by_market:
                market = str(quota.market)
                by_market[market] = min(by_market[market], quota.accelerators)
        joint = [
            quota.accelerators
            for quota in quotas
            if (quota.region, quota.accelerator) == place and quota.market is None
        ]
        total += min([sum(by_market.values()), *joint])
    return total
