"""Synthetic fleets for tests and benchmarks: seeded, sensible and always feasible.

`random_fleet` draws a FleetData of any size in one vectorised pass. Feasibility is by
construction: every limit is set from a witness plan (the first variant of every workload, split
evenly over the regions it may use, on rented machines), so that plan always satisfies it.
`tiny_fleet` is small enough to enumerate; `full_fleet` has every family of the program.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from models.fleet.data import (
    CAPACITY_ROWS,
    MARKETS,
    ROUTE_CARBON_LINES,
    ROUTE_COST_LINES,
    VARIANT_COST_LINES,
    FleetData,
    FloatArray,
    IntArray,
)

ON_DEMAND, SPOT, COMMIT_1Y = (MARKETS.index(m) for m in ("on-demand", "spot", "commit-1y"))
PERIOD_HOURS = 730.0


def random_fleet(  # noqa: PLR0915 - one pass over the fields in the order of FleetData
    seed: int,
    workloads: int = 2,
    variants: int = 2,
    origins: int = 2,
    regions: int = 2,
    machines_per_region: int = 2,
    slices: int = 2,
    configs: int = 2,
    llms: int = 2,
    *,
    rag: bool = True,
    train: bool = True,
    hybrid: bool = False,
    api: bool = False,
    batch: bool = True,
    spot: bool = True,
    commit: bool = True,
    owned: bool = True,
    shortfall: bool = False,
    quotas: bool = False,
    survive: bool = False,
    attainment: bool = True,
    floor: bool = False,
    spread: bool = False,
    region_fixed: bool = False,
    max_regions: int | None = None,
    max_llms: int | None = None,
    incumbent: bool = False,
    load: float = 1.0,
    limit: int | None = None,
) -> FleetData:
    """Draw a fleet; each switch adds one feature or rule, `load` scales all demand.

    `variants` are per workload and cycle through base, rag, fine-tune, hybrid, hosted (those
    switched on); the last of two or more workloads is batch. `limit` clips purchase limits (never
    below the witness). About workloads x origins x slices x variants x regions x
    machines_per_region x configs routes.
    """
    rng = np.random.default_rng(seed)
    W, G, R, T, C, L = workloads, origins, regions, slices, configs, llms
    uniform = rng.uniform

    # ---- demand
    hours = uniform(0.5, 1.5, T)
    hours *= PERIOD_HOURS / hours.sum()
    is_batch = np.arange(W) == (W - 1 if batch and W > 1 else -1)
    profile = uniform(0.5, 1.5, T)
    w_of, g_of, t_of = (a.ravel() for a in np.meshgrid(range(W), range(G), range(T), indexing="ij"))
    kept = ~is_batch[w_of] | (t_of == 0)
    w_of, g_of, t_of = w_of[kept], g_of[kept], np.where(is_batch[w_of], -1, t_of)[kept]
    D = len(w_of)
    rate = load * uniform(0.4, 2.0, W)[w_of] * uniform(0.5, 1.5, (W, G))[w_of, g_of] / G
    rate *= np.where(t_of >= 0, profile[t_of], 1.0)
    requests = rate * 3600.0 * np.where(t_of >= 0, hours[t_of], PERIOD_HOURS)
    weight = _shares(requests, w_of)
    slice_weight = np.where(t_of >= 0, _shares(requests, w_of * T + t_of), 0.0)
    origin_weight = _shares(requests, w_of * G + g_of)

    # ---- variants
    kinds = ["base"] + [
        name
        for name, on in (("rag", rag), ("fine-tune", train), ("hybrid", hybrid), ("hosted", api))
        if on
    ]
    V = W * variants
    kind = np.array([kinds[i % len(kinds)] for i in range(variants)] * W)
    llm = np.tile(np.arange(variants) % L, W)
    llm = np.where(kind == "hosted", L, llm)
    variant_workload = np.repeat(np.arange(W), variants)
    llm_names = [f"llm-{i}" for i in range(L)] + (["hosted-llm"] if api else [])
    variant_llms = np.zeros((V, len(llm_names)), dtype=bool)
    variant_llms[np.arange(V), llm] = True
    variant_llms[kind == "hybrid", L - 1] = True
    check_share = 0.3
    quality = 0.55 + 0.1 * np.minimum(llm, L) + uniform(0.0, 0.08, V)
    quality += np.select([kind == "rag", kind == "fine-tune", kind == "hybrid"], [0.12, 0.09, 0.06])
    quality = np.minimum(quality, 0.97)
    variant_cost = np.zeros((V, len(VARIANT_COST_LINES)))
    variant_cost[:, 0] = np.where(kind == "fine-tune", uniform(100, 400, V), 0.0)
    variant_cost[:, 1] = np.where(kind == "rag", uniform(5, 40, V), 0.0)
    was_adopted = np.zeros(V, dtype=bool)
    if incumbent:
        was_adopted[np.arange(W) * variants + rng.integers(0, variants, W)] = True
        variant_cost[:, 2] = np.where(was_adopted, 0.0, 50.0)
        variant_cost[:, 3] = np.where(was_adopted | (kind != "fine-tune"), 0.0, 90.0)
        variant_cost[:, 4] = np.where(was_adopted | (kind != "rag"), 0.0, 15.0)
    region_names = [f"region-{i}" for i in range(R)] + (["api:vendor"] if api else [])
    own_region = np.arange(len(region_names)) < R
    hosts = (kind == "rag")[:, None] & own_region[None, :]
    host_cost = np.where(hosts, uniform(20, 120, hosts.shape), 0.0)
    host_carbon = np.where(hosts, uniform(0.1, 2.0, hosts.shape), 0.0)
    new_copies = hosts & ~was_adopted[:, None] & incumbent

    # ---- machines: neighbours share an accelerator and differ in size, as (9) needs
    M = machines_per_region
    H = R * M
    machine_region, m_of = np.repeat(np.arange(R), M), np.tile(np.arange(M), R)
    accelerator = m_of // 2
    size = np.array([1, 2, 4, 8])[m_of % 4]
    speed, watts = 1.0 + 0.8 * accelerator, 300.0 + 150.0 * accelerator
    usd_per_h = (1.5 + 1.6 * accelerator) * uniform(0.8, 1.3, H) * size
    intensity = uniform(0.02, 0.6, R)[:, None] * uniform(0.7, 1.3, (R, T))
    fixed = (rng.random(H) < 0.3).astype(np.int64) if owned else np.zeros(H, dtype=np.int64)
    # Every other commitment ends before the last slices.
    ends = T - ((np.arange(H) + seed) % 2) * (T // 2)
    held = fixed[:, None] * (np.arange(T) < ends[:, None])

    # ---- pools: every (machine, llm, config)
    pool_machine, pool_llm, pool_config = (
        a.ravel() for a in np.meshgrid(range(H), range(L), range(C), indexing="ij")
    )
    P = len(pool_machine)
    pool_g = np.minimum(size[pool_machine], 2 ** (pool_config % 3))
    per_replica = 1.2 * pool_g**0.9 * speed[pool_machine] / 1.7**pool_llm * uniform(0.8, 1.2, P)
    per_replica *= 1.0 + 0.25 * (pool_config // 3)
    row_factor = np.column_stack([np.ones(P), uniform(0.5, 1.15, (P, 3))])
    pool_streaming = uniform(0.85, 0.99, P)

    # ---- groups: every item of the workload, one or two legs; then routes
    pairs_v = np.repeat(np.arange(V), np.bincount(w_of, minlength=W)[variant_workload])
    pairs_d = np.concatenate([np.flatnonzero(w_of == w) for w in variant_workload])
    legs = np.where(kind == "hybrid", 2, 1)[pairs_v]
    group_variant, group_item = np.repeat(pairs_v, legs), np.repeat(pairs_d, legs)
    group_leg = np.concatenate([np.arange(n) for n in legs])
    group_llm = np.where(group_leg == 1, L - 1, llm[group_variant])
    leg_load = np.where(group_leg == 1, check_share, 1.0)
    two_legs = (kind == "hybrid")[group_variant]
    leg_weight = np.where(two_legs, np.where(group_leg == 1, check_share, 1 - check_share), 1.0)
    Q = len(group_item)

    pools_of_llm = np.array([np.flatnonzero(pool_llm == i) for i in range(L)]).reshape(L, H * C)
    in_fleet = np.flatnonzero(group_llm < L)
    j_group, j_pool = np.repeat(in_fleet, H * C), pools_of_llm[group_llm[in_fleet]].ravel()
    repeats = np.where(t_of[group_item[j_group]] < 0, T, 1)
    position = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    j_group, j_pool = np.repeat(j_group, repeats), np.repeat(j_pool, repeats)
    j_slice = t_of[group_item[j_group]]
    j_slice = np.where(j_slice < 0, position, j_slice)
    j_region = machine_region[pool_machine[j_pool]]
    for on, groups, region in (
        (api, np.flatnonzero(group_llm >= L), R),
        (shortfall, np.arange(Q), -1),
    ):
        if on:
            j_group = np.concatenate([j_group, groups])
            j_pool = np.concatenate([j_pool, np.full(len(groups), -1)])
            j_region = np.concatenate([j_region, np.full(len(groups), region)])
            j_slice = np.concatenate([j_slice, np.maximum(t_of[group_item[groups]], 0)])
    order = np.argsort(j_group, kind="stable")
    j_group, j_pool = j_group[order], j_pool[order]
    j_region, j_slice = j_region[order], j_slice[order]
    J = len(j_group)

    # ---- coefficients of routes
    item, variant = group_item[j_group], group_variant[j_group]
    own, short = j_pool >= 0, j_region < 0
    pool, region, machine = np.maximum(j_pool, 0), np.maximum(j_region, 0), pool_machine[j_pool]
    load_s = requests[item] * leg_load[j_group] / (3600.0 * hours[j_slice])
    size_of_answer = uniform(0.6, 1.6, (W, len(CAPACITY_ROWS)))[w_of[item]]
    size_of_answer = size_of_answer * np.where(
        (kind == "rag")[variant][:, None], np.array([1.15, 1.1, 1.3, 1.7]), 1.0
    )
    share = load_s[:, None] * size_of_answer * row_factor[pool] / per_replica[pool][:, None]
    share = np.where(own[:, None], share, 0.0)
    thousands = requests[item] * leg_load[j_group] / 1000.0
    cost = np.zeros((J, len(ROUTE_COST_LINES)))
    cost[:, 0] = np.where(~own & ~short, thousands * 1.2, 0.0)
    cost[:, 1] = np.where((kind == "rag")[variant] & ~short, thousands * 0.02, 0.0)
    cost[:, 2] = np.where(own, thousands * 0.001, 0.0)
    cost[:, 3] = np.where(short, thousands * 20.0, 0.0)
    carbon = np.zeros((J, len(ROUTE_CARBON_LINES)))
    kwh = 0.6 * watts[machine] / 1000.0 * pool_g[pool] * share[:, 0] * hours[j_slice]
    carbon[:, 0] = np.where(own, 1.2 * kwh * intensity[np.minimum(region, R - 1), j_slice], 0.0)
    carbon[:, 1] = np.where(~own & ~short, thousands * 0.15, 0.0)
    water = np.where(short, 0.0, 1.5 * kwh * own + thousands * 0.3 * ~own)
    distance = uniform(0.0, 0.15, (G, len(region_names)))[g_of[item], region]
    streaming = np.where(own, pool_streaming[pool], 0.9) * (1.0 - distance)
    qoe = np.where(short, 0.0, quality[variant] * streaming)
    qoe_weight = weight / W
    loss = qoe_weight[item] * leg_weight[j_group] * (1.0 - qoe)
    met = np.where(short, 0.0, leg_weight[j_group] * np.clip(1.15 * streaming, 0.0, 0.999))

    # ---- witness: the first variant everywhere, evenly over regions, first pool of each
    used = np.arange(R) < (R if max_regions is None else min(max_regions, R))
    first_pool = pool == (machine_region[machine] * M * L + llm[variant]) * C
    witness = own & (variant % variants == 0) & first_pool & used[np.minimum(region, R - 1)]
    x = np.where(witness, 1.0 / used.sum() / np.where(t_of[item] < 0, T, 1), 0.0)
    running = np.zeros((P, T, len(CAPACITY_ROWS)))
    np.add.at(running, (pool[witness], j_slice[witness]), (share * x[:, None])[witness])
    replicas = np.ceil(running.max(axis=2) - 1e-9)
    needed = np.zeros((H, T))
    np.add.at(needed, pool_machine, pool_g[:, None] * replicas)
    rented = np.ceil(needed / size[:, None]).max(axis=1)

    # ---- purchases: on-demand everywhere, spot and commitments cheaper with strings attached
    most = np.zeros((D, H, T))
    np.maximum.at(
        most, (item[own], machine[own], j_slice[own]), (share.max(axis=1) * pool_g[pool])[own]
    )
    bound = np.ceil(most.sum(axis=0).max(axis=1) / size) + 1.0
    if limit is not None:
        bound = np.minimum(bound, limit)
    bound = np.maximum(bound, rented)
    markets = [ON_DEMAND] + [SPOT] * spot + [COMMIT_1Y] * commit
    purchase_machine, purchase_market = np.repeat(np.arange(H), len(markets)), np.tile(markets, H)
    B = len(purchase_machine)
    discount = np.select(
        [purchase_market == SPOT, purchase_market == COMMIT_1Y], [uniform(0.3, 0.6), 0.62], 1.0
    )
    price = usd_per_h[purchase_machine] * discount
    idle_kwh = (0.25 * watts * size / 1000.0)[:, None] * hours
    incumbent_accelerators = np.zeros(H)
    if incumbent:
        incumbent_accelerators = size * rng.integers(0, 3, H).astype(float)
    most_held = held.max(axis=1) + rented
    added = np.maximum(size * most_held - incumbent_accelerators, 0.0).sum()

    training = np.array(
        [
            (v, h, t)
            for v in np.flatnonzero(kind == "fine-tune")
            for h in range(0, H, max(1, H // 2))
            for t in range(min(T, 2))
        ],
        dtype=np.int64,
    ).reshape(-1, 3)
    train_hours = uniform(5, 30, len(training))
    train_machine, train_slice = training[:, 1], training[:, 2]
    train_kwh = train_hours * 1.1 * (watts * size)[train_machine] / 1000.0
    train_usd = train_hours * usd_per_h[train_machine]
    train_kg = train_kwh * intensity[machine_region[train_machine], train_slice]
    first_run = 0.5 * (incumbent & ~was_adopted[training[:, 0]])

    quota_of = np.zeros((R if quotas else 0, B), dtype=bool)
    for k in range(len(quota_of)):
        quota_of[k] = machine_region[purchase_machine] == k
    quota = np.array([(size * rented)[machine_region == r].sum() for r in range(len(quota_of))])
    quota = np.ceil(quota * uniform(1.0, 1.6, len(quota_of)))

    witness_met = np.bincount(w_of[item], weight[item] * met * x, minlength=W)
    witness_loss = np.bincount(w_of[item], loss * x, minlength=W) * W
    changes = float(np.count_nonzero(~was_adopted[np.arange(W) * variants]))
    nan_w = np.full(W, np.nan)
    nowhere = float("nan")
    return FleetData(
        workloads=tuple(f"workload-{w}" for w in range(W)),
        variants=tuple(
            f"workload-{variant_workload[v]}/{llm_names[llm[v]]}/{kind[v]}/{v % variants}"
            for v in range(V)
        ),
        regions=tuple(region_names),
        slices=tuple(f"slice-{t}" for t in range(T)),
        origins=tuple(f"origin-{g}" for g in range(G)),
        llms=tuple(llm_names),
        machines=tuple(f"region-{machine_region[h]}/offer-{m_of[h]}" for h in range(H)),
        pools=tuple(
            f"region-{machine_region[h]}/offer-{m_of[h]}/llm-{pool_llm[p]}/g{pool_g[p]}/"
            f"config-{pool_config[p]}"
            for p, h in enumerate(pool_machine)
        ),
        slice_hours=hours,
        item_workload=w_of,
        item_class=("short",) * D,
        item_origin=g_of,
        item_slice=t_of,
        item_requests=requests,
        item_weight=weight,
        item_qoe_weight=qoe_weight,
        item_slice_weight=slice_weight,
        item_origin_weight=origin_weight,
        variant_workload=variant_workload,
        variant_llms=variant_llms,
        variant_cost_lines_usd=variant_cost,
        variant_carbon_kgco2e=np.where(kind == "rag", uniform(0.1, 1.0, V), 0.0),
        variant_is_incumbent=was_adopted,
        host_cost_lines_usd=np.stack([host_cost, np.where(new_copies, 8.0, 0.0)], axis=2),
        host_carbon_lines_kgco2e=np.stack([host_carbon, np.where(new_copies, 0.3, 0.0)], axis=2),
        training_variant=training[:, 0],
        training_machine=train_machine,
        training_slice=train_slice,
        training_cost_lines_usd=np.stack([train_usd, first_run * train_usd], axis=1),
        training_carbon_lines_kgco2e=np.stack([train_kg, first_run * train_kg], axis=1),
        training_water_l=train_kwh * 1.5,
        group_item=group_item,
        group_variant=group_variant,
        group_leg=group_leg,
        route_group=j_group,
        route_pool=j_pool,
        route_region=j_region,
        route_slice=j_slice,
        route_share=share,
        route_cost_lines_usd=cost,
        route_carbon_lines_kgco2e=carbon,
        route_water_l=water,
        route_loss=loss,
        route_attainment=met,
        pool_machine=pool_machine,
        pool_accelerators=pool_g,
        machine_region=machine_region,
        machine_accelerator=tuple(f"accelerator-{a}" for a in accelerator),
        machine_size=size,
        machine_fixed=held,
        machine_fixed_cost_usd=0.5 * usd_per_h * (held @ hours),
        machine_idle_carbon_kgco2e=idle_kwh * intensity[machine_region],
        machine_running_kgco2e=(2.0 * idle_kwh / size[:, None]) * intensity[machine_region],
        machine_running_water_l=1.6 * idle_kwh / size[:, None],
        machine_embodied_kgco2e=(0.004 * size)[:, None] * hours,
        machine_water_l=0.8 * idle_kwh,
        machine_incumbent=incumbent_accelerators,
        machine_change_usd=np.asarray(40.0 * speed * bool(incumbent)),
        machine_change_kgco2e=0.7 * intensity.mean(axis=1)[machine_region] * bool(incumbent),
        purchase_machine=purchase_machine,
        purchase_market=purchase_market,
        purchase_per_slice=purchase_market != COMMIT_1Y,
        purchase_cost_usd=price[:, None] * hours,
        purchase_availability=np.where(purchase_market == SPOT, 0.92, 1.0),
        purchase_limit=bound[purchase_machine],
        purchase_stock=bound[purchase_machine],
        quota_purchase=quota_of,
        quota_accelerators=quota,
        quota_names=tuple(f"quota/region-{r}" for r in range(len(quota_of))),
        attainment_min=witness_met * uniform(0.9, 1.0, W) if attainment else nan_w,
        workload_loss_max=witness_loss * uniform(0.9, 1.1, W).clip(1.0) if floor else nan_w,
        region_share_max=np.where(is_batch, np.nan, 0.7) if survive and R > 1 else nan_w,
        min_regions=np.where(spread and R > 1, 2, 1) * np.ones(W, dtype=np.int64),
        min_region_share=0.2,
        spot_share_max=0.5 if spot else nowhere,
        region_fixed_cost_usd=np.where(own_region & region_fixed, 150.0, 0.0),
        max_llms=nowhere if max_llms is None else float(max(1, max_llms)),
        max_regions=nowhere if max_regions is None else float(max_regions),
        max_changed_workloads=min(changes + 1.0, float(W)) if incumbent else nowhere,
        max_added_accelerators=added if incumbent else nowhere,
        cost_max_usd=nowhere,
        carbon_max_kgco2e=nowhere,
        water_max_l=nowhere,
        loss_max=nowhere,
    )


def tiny_fleet(seed: int = 0, slices: int | None = None, regions: int | None = None) -> FleetData:
    """One or two regions and slices (three cells at most), two workloads of two variants each.

    The seed also draws which rules apply, so that a range of seeds meets every family.
    """
    rng = np.random.default_rng([seed, 1])
    slices = slices or int(rng.integers(1, 3))
    regions = regions or (1 if slices == 2 else 2)
    rules = ("batch", "spot", "commit", "owned", "shortfall", "quotas", "survive", "attainment",
             "floor", "spread", "region_fixed", "incumbent")  # fmt: skip
    flags = {name: bool(rng.random() < 0.5) for name in rules}
    second = rng.choice(["rag", "train", "hybrid", "api", "base"])
    flags |= {name: name == second for name in ("rag", "train", "hybrid", "api")}
    one_region = not flags["survive"] and not flags["spread"] and rng.random() < 0.5
    return random_fleet(
        seed,
        origins=1,
        regions=regions,
        machines_per_region=1,
        slices=slices,
        configs=1,
        max_regions=1 if one_region else None,
        max_llms=1 if rng.random() < 0.3 else None,
        limit=1 if flags["batch"] else 2,
        load=0.8,
        **flags,
    )


def full_fleet(seed: int = 0, **sizes: Any) -> FleetData:
    """Every family of the program at once, caps included: all rules on, five kinds of variant."""
    size = {"workloads": 2, "variants": 5, "regions": 2, "slices": 2, "machines_per_region": 2}
    data = random_fleet(
        seed,
        **{**size, **sizes},
        hybrid=True,
        api=True,
        shortfall=True,
        quotas=True,
        survive=True,
        floor=True,
        spread=True,
        region_fixed=True,
        incumbent=True,
        max_regions=2,
        max_llms=2,
    )
    return replace(data, cost_max_usd=1e6, carbon_max_kgco2e=1e5, water_max_l=1e7, loss_max=0.9)


def _shares(value: FloatArray, key: IntArray) -> FloatArray:
    """Each value as a share of the sum over its key (key < 0 goes with the largest)."""
    wrapped = np.where(key < 0, key.max(initial=0) + 1, key)
    return np.asarray(value / np.bincount(wrapped, value)[wrapped])
