"""The arrays of the fleet program from everything the other steps made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.coefficients.energy import water_litres
from models.fleet.data import FleetData, FloatArray, IntArray
from planner.candidates.adaptation import (
    TrainingOption,
    hosting,
    reembedding_usd,
    staff_usd,
)
from planner.candidates.configs import (
    Cells,
    Configs,
)
from planner.candidates.demand import Items
from planner.candidates.kinds import PoolInfo
from planner.candidates.legs import Leg
from planner.candidates.limits import accelerators_needed_at_most
from planner.candidates.machines import held, purchases
from planner.candidates.migration import Changes
from planner.candidates.routes import (
    Kernels,
    Pools,
    Spread,
)
from planner.instance.facts import Facts, MachineFacts
from planner.instance.peaks import peak_share
from planner.instance.schema import Workload

MIN_REGION_SHARE = 0.05
"""Share of a workload that a region must serve to count for its `min_regions`."""


def workload_index(facts: Facts) -> dict[str, int]:
    """Workload -> its position in the instance."""
    return {row.workload: w for w, row in enumerate(facts.instance.workloads)}


@dataclass(frozen=True, eq=False)
class Parts:
    """What the earlier steps made."""

    facts: Facts
    items: Items
    regions: tuple[str, ...]
    legs: Sequence[Leg]
    configs: Configs
    cells: Cells
    pools: Pools
    kernels: Kernels


@dataclass(frozen=True, eq=False)
class _RouteFigures:
    share: FloatArray
    cost_lines_usd: FloatArray
    carbon_lines_kgco2e: FloatArray
    water_l: FloatArray
    loss: FloatArray
    attainment: FloatArray
    region: IntArray
    pool: IntArray
    """position in `Pools`, -1 without"""


def _route_figures(parts: Parts, routes: Spread) -> _RouteFigures:
    """Coefficients of every route: kernel figures times the requests of its item and slice."""
    facts, items, kernels = parts.facts, parts.items, parts.kernels
    hours = np.array([part.hours for part in facts.instance.slices])
    load = np.array([leg.load for leg in parts.legs])[routes.leg]
    weight = np.array([leg.weight for leg in parts.legs])[routes.leg]
    requests = items.requests[routes.item] * load
    rate = requests / (3600.0 * hours[routes.slice])
    short = routes.kernel < 0
    at = np.maximum(routes.kernel, 0)
    pool = np.where(short, -1, kernels.pool[at])
    served = np.flatnonzero(pool >= 0)
    cell = kernels.cell[at[served]]
    region = kernels.region[at]
    share = np.zeros((len(at), 4))
    share[served] = parts.cells.load.share[cell] * rate[served, None]
    places = facts.regions
    there = region[served]
    kwh = parts.cells.load.load_w[cell] / 1e3 * hours[routes.slice[served]] * share[served, 0]
    pue = np.array([p.pue for p in places])[there]
    grid = np.array([p.carbon_kgco2e_per_kwh for p in places]).reshape(-1, len(hours))
    intensity = grid[there, routes.slice[served]]
    carbon = np.zeros((len(at), 2))
    carbon[served, 0] = kwh * pue * intensity
    bought_ktok = np.where(short, 0.0, kernels.api_ktok[at] * requests)
    vendor = kernels.api[at]  # -1, the last of each list: none
    carbon[:, 1] = bought_ktok * np.array([*(a.gco2e_per_ktok for a in facts.apis), 0.0])[vendor]
    carbon[:, 1] /= 1e3
    water = bought_ktok * np.array([*(a.water_l_per_ktok for a in facts.apis), 0.0])[vendor]
    water[served] = water_litres(
        kwh,
        pue,
        np.array([p.site_wue_l_per_kwh for p in places])[there],
        np.array([p.electricity_water_l_per_kwh for p in places])[there],
    )
    cost = np.zeros((len(at), 4))
    cost[:, :3] = np.where(short[:, None], 0.0, kernels.usd[at] * requests[:, None])
    api = kernels.api[at]
    cost[:, 0] *= np.where(api >= 0, _peak_factors(facts)[api, routes.slice], 1.0)
    penalty = facts.instance.settings.policy.shortfall_usd_per_request
    cost[:, 3] = np.where(short, penalty * requests, 0.0)
    scored = items.qoe_weight[routes.item] * weight
    return _RouteFigures(
        share=share,
        cost_lines_usd=cost,
        carbon_lines_kgco2e=carbon,
        water_l=water,
        loss=scored * np.where(short, 1.0, kernels.loss[at]),
        attainment=np.where(short, 0.0, weight * kernels.experience.attainment[at]),
        region=np.where(short, -1, region),
        pool=pool,
    )


def _peak_factors(facts: Facts) -> FloatArray:
    """Price of a token of each hosted llm in each slice over its price off peak, (A + 1, T)."""
    factors = [
        [
            1.0 + (api.peak_factor - 1.0) * peak_share(api.peak_hours_utc, part)
            for part in facts.instance.slices
        ]
        for api in facts.apis
    ]
    return np.array([*factors, [1.0] * len(facts.instance.slices)])


def fleet_data(
    parts: Parts,
    routes: Spread,
    order: Sequence[int],
    options: Sequence[TrainingOption],
    changes: Changes,
) -> tuple[FleetData, tuple[PoolInfo, ...], tuple[MachineFacts, ...]]:
    """The arrays, the pools in words and the machines; `order` are the variants kept, `options`
    their training options, `changes` what they cost beside today's."""
    facts, items, pools = parts.facts, parts.items, parts.pools
    instance = facts.instance
    settings, policy, caps = instance.settings, instance.settings.policy, instance.settings.caps
    hours = np.array([part.hours for part in instance.slices])
    figures = _route_figures(parts, routes)
    at_pool = np.unique(figures.pool[figures.pool >= 0])
    machine_at = {m.machine: h for h, m in enumerate(facts.machines)}
    at_machine = sorted(
        {
            *pools.machine[at_pool].tolist(),
            *(h for h, m in enumerate(facts.machines) if m.fixed_instances > 0),
            *(machine_at[option.machine] for option in options),
        }
    )
    machines = tuple(facts.machines[h] for h in at_machine)
    new_machine = {h: at for at, h in enumerate(at_machine)}
    pool_machine = np.array([new_machine[h] for h in pools.machine[at_pool]], dtype=np.int64)
    pool_cards = parts.configs.accelerators[pools.config[at_pool]]
    served = figures.pool >= 0
    pool = np.where(served, np.searchsorted(at_pool, figures.pool), -1)
    variant_at = {v: at for at, v in enumerate(order)}
    leg_variant = np.array([variant_at.get(leg.variant, -1) for leg in parts.legs], dtype=np.int64)
    workload = workload_index(facts)
    variants = [facts.variants[v] for v in order]
    variant_workload = np.array([workload[v.workload] for v in variants], dtype=np.int64)
    group_variant = leg_variant[routes.group_leg]
    need = accelerators_needed_at_most(
        shape=(len(order), len(machines), len(hours)),
        group=routes.group[served],
        machine=pool_machine[pool[served]],
        slices=routes.slice[served],
        pool=pool[served],
        share=figures.share[served],
        pool_accelerators=pool_cards,
        group_variant=group_variant,
        variant_workload=variant_workload,
    )
    buy = purchases(facts, machines, need)
    emits = held(facts, machines)
    llms = tuple(dict.fromkeys(x for v in variants for x in (v.llm, v.check_llm) if x))
    rows = [instance.workloads[w] for w in variant_workload]
    pairs = list(zip(variants, rows, strict=True))
    copies = [
        [*hosting(facts, v, w, len(parts.regions)), *changes.copy(v, w, parts.regions)]
        for v, w in pairs
    ]
    copy_lines = np.array(copies).reshape(-1, 4, len(parts.regions)).transpose(0, 2, 1)
    first = np.array([changes.first_run(facts.variants[o.variant]) for o in options])
    per_added = np.array([changes.per_accelerator(m) for m in machines]).reshape(-1, 2)
    has_incumbent = changes.incumbent is not None
    infos = _pool_infos(parts, at_pool)
    region_at = {name: at for at, name in enumerate(parts.regions)}
    fixed_usd = np.zeros(len(parts.regions))
    fixed_usd[: len(facts.regions)] = [r.fixed_usd for r in facts.regions]

    def rule(value: float | None) -> float:
        return np.nan if value is None else float(value)

    def per_workload(figure: Callable[[Workload], float | None]) -> FloatArray:
        return np.array([rule(figure(w)) for w in instance.workloads])

    def attainment(w: Workload) -> float | None:
        if w.kind == "batch" or (w.ttft_target_s is None and w.tpot_target_s is None):
            return None
        return policy.attainment_min if w.attainment_min is None else w.attainment_min

    def region_share(w: Workload) -> float | None:
        share = policy.region_loss_share if w.region_loss_share is None else w.region_loss_share
        return 1.0 - share if share > 0.0 else None

    data = FleetData(
        workloads=tuple(w.workload for w in instance.workloads),
        variants=tuple(v.variant for v in variants),
        regions=parts.regions,
        slices=tuple(part.slice for part in instance.slices),
        origins=tuple(g.origin for g in instance.origins),
        llms=llms,
        machines=tuple(m.machine for m in machines),
        pools=tuple(info.pool for info in infos),
        slice_hours=hours,
        item_workload=items.workload,
        item_class=tuple(items.lengths[c].length_class for c in items.length),
        item_origin=items.origin,
        item_slice=items.slice,
        item_requests=items.requests,
        item_weight=items.weight,
        item_qoe_weight=items.qoe_weight,
        item_slice_weight=items.slice_weight,
        item_origin_weight=items.origin_weight,
        variant_workload=variant_workload,
        variant_llms=np.array(
            [[x in (v.llm, v.check_llm) for x in llms] for v in variants], dtype=np.bool_
        ).reshape(len(variants), len(llms)),
        variant_cost_lines_usd=np.array(
            [
                (
                    staff_usd(facts, v, w),
                    reembedding_usd(facts, v, w),
                    changes.work_usd(v),
                    changes.first_tune_usd(v, w),
                    changes.first_index_usd(v, w),
                )
                for v, w in pairs
            ]
        ).reshape(-1, 5),
        variant_carbon_kgco2e=np.zeros(len(variants)),
        variant_is_incumbent=np.array([changes.is_adopted(v) for v in variants], dtype=np.bool_),
        host_cost_lines_usd=copy_lines[:, :, [0, 2]],
        host_carbon_lines_kgco2e=copy_lines[:, :, [1, 3]],
        training_variant=np.array([variant_at[o.variant] for o in options], dtype=np.int64),
        training_machine=np.array(
            [new_machine[machine_at[o.machine]] for o in options], dtype=np.int64
        ),
        training_slice=np.array([o.slice for o in options], dtype=np.int64),
        training_cost_lines_usd=_with_first([o.cost_usd for o in options], first),
        training_carbon_lines_kgco2e=_with_first([o.carbon_kgco2e for o in options], first),
        training_water_l=_with_first([o.water_l for o in options], first).sum(axis=1),
        group_item=routes.group_item,
        group_variant=group_variant,
        group_leg=np.array([leg.leg for leg in parts.legs], dtype=np.int64)[routes.group_leg],
        route_group=routes.group,
        route_pool=pool,
        route_region=figures.region,
        route_slice=routes.slice,
        route_share=figures.share,
        route_cost_lines_usd=figures.cost_lines_usd,
        route_carbon_lines_kgco2e=figures.carbon_lines_kgco2e,
        route_water_l=figures.water_l,
        route_loss=figures.loss,
        route_attainment=figures.attainment,
        pool_machine=pool_machine,
        pool_accelerators=pool_cards,
        machine_region=np.array([region_at[m.region] for m in machines], dtype=np.int64),
        machine_accelerator=tuple(m.accelerator for m in machines),
        machine_size=np.array([m.accelerators for m in machines], dtype=np.int64),
        machine_fixed=np.array([m.fixed_by_slice for m in machines], dtype=np.int64).reshape(
            -1, len(hours)
        ),
        machine_fixed_cost_usd=np.array(
            [m.fixed_usd_per_h * settings.period.hours for m in machines]
        ),
        machine_idle_carbon_kgco2e=emits.idle_carbon_kgco2e,
        machine_running_kgco2e=emits.running_kgco2e,
        machine_running_water_l=emits.running_water_l,
        machine_embodied_kgco2e=emits.embodied_kgco2e,
        machine_water_l=emits.water_l,
        machine_incumbent=np.array([changes.peak.get(m.machine, 0.0) for m in machines]),
        machine_change_usd=per_added[:, 0],
        machine_change_kgco2e=per_added[:, 1],
        purchase_machine=buy.machine,
        purchase_market=buy.market,
        purchase_per_slice=buy.per_slice,
        purchase_cost_usd=buy.cost_usd,
        purchase_availability=buy.availability,
        purchase_limit=buy.limit,
        purchase_stock=buy.stock,
        quota_purchase=buy.quota,
        quota_accelerators=buy.quota_accelerators,
        quota_names=buy.quota_names,
        attainment_min=per_workload(attainment),
        workload_loss_max=per_workload(lambda w: 1.0 - w.qoe_min if w.qoe_min > 0.0 else None),
        region_share_max=per_workload(region_share),
        min_regions=np.array([w.min_regions for w in instance.workloads], dtype=np.int64),
        min_region_share=MIN_REGION_SHARE,
        spot_share_max=policy.spot_share_max,
        region_fixed_cost_usd=fixed_usd,
        max_llms=rule(policy.max_llms),
        max_regions=rule(policy.max_regions),
        max_changed_workloads=rule(policy.max_changed_workloads if has_incumbent else None),
        max_added_accelerators=rule(policy.max_added_accelerators if has_incumbent else None),
        cost_max_usd=rule(caps.cost_usd),
        carbon_max_kgco2e=rule(caps.carbon_kgco2e),
        water_max_l=rule(caps.water_l),
        loss_max=rule(None if caps.qoe_min is None else 1.0 - caps.qoe_min),
    )
    return data, infos, machines


def _with_first(values: Sequence[float], first: FloatArray) -> FloatArray:
    """Amounts of all refreshes and of the first run alone, float (O, 2)."""
    amounts = np.array(values, dtype=np.float64)
    return np.stack([amounts, first * amounts], axis=1)


def _pool_infos(parts: Parts, at: IntArray) -> tuple[PoolInfo, ...]:
    facts, pools, configs = parts.facts, parts.pools, parts.configs
    engine = facts.instance.settings.serving.engine
    infos: list[PoolInfo] = []
    for p in at:
        machine, config = facts.machines[pools.machine[p]], int(pools.config[p])
        weights = pools.names[pools.weights[p]]
        llm, count = facts.llms[configs.llm[config]].llm, int(configs.accelerators[config])
        low, high = configs.band[config]
        infos.append(
            PoolInfo(
                pool=f"{machine.machine}/{weights}/{configs.label(config)}",
                region=machine.region,
                offer=machine.offer,
                accelerator=machine.accelerator,
                llm=llm,
                weights=weights,
                accelerators=count,
                precision=configs.precision[config],
                engine=engine,
                operating_tpot_s=float(configs.tpot_s[config]),
                lane_tokens=float(configs.lane_tokens[config]),
                provenance=str(configs.provenance[config]),
                band=(float(low), float(high)),
            )
        )
    return tuple(infos)
