"""`build_candidates`: facts -> the fleet program's arrays, with everything that was left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from models.coefficients.energy import water_litres
from models.coefficients.serving import ServingParameters
from models.fleet.data import FleetData, FloatArray, IntArray
from planner.candidates.adaptation import (
    TrainingOption,
    hosting,
    reembedding_usd,
    staff_usd,
    training_options,
)
from planner.candidates.configs import (
    Cells,
    Configs,
    cells_of,
    configurations,
    dominated_configs,
)
from planner.candidates.demand import Items, demand_items
from planner.candidates.exclusions import Tally
from planner.candidates.kinds import Candidates, Exclusion, PoolInfo
from planner.candidates.legs import Leg, legs_of, mixture_quality
from planner.candidates.limits import accelerators_needed_at_most, prove_supply
from planner.candidates.machines import dominated_machines, held, purchases, usable
from planner.candidates.routes import (
    Kernels,
    Pools,
    Rows,
    Spread,
    kernels_of,
    pools_of,
    rows_of,
    spread,
    user_of,
)
from planner.errors import InfeasibleError
from planner.instance.facts import Facts, MachineFacts
from planner.instance.schema import Workload
from planner.plan import Plan
from planner.serving import load_anchors, load_bands, load_parameters

MIN_REGION_SHARE = 0.05
"""Share of a workload that a region must serve to count for its `min_regions`."""
Provenance = Callable[[str, str, int, str, str], tuple[str, tuple[float, float]]]
"""(llm, accelerator, accelerators, precision, engine) -> (how known, 80 % band of TPOT)."""


def build_candidates(
    facts: Facts,
    params: ServingParameters | None = None,
    *,
    provenance: Provenance | None = None,
    prune: bool = True,
) -> Candidates:
    """Every eligible, undominated route with its coefficients.

    `params` and `provenance` default to the catalog's fitted serving law and what it was fitted
    on. `prune=False` keeps dominated pools and
    machines (the optimum is the same: the package's docstring has the proofs). Raises
    InfeasibleError, with numbers, where a workload cannot be served at all or demand exceeds all
    quotas; RunError where the incumbent cannot be read.
    """
    instance, tally = facts.instance, Tally()
    incumbent = _incumbent(facts)
    items = demand_items(instance)
    rows = [rows_of(items, w) for w in range(len(instance.workloads))]
    classes = [sorted({int(c) for c in table.users[:, 0]}) for table in rows]
    regions = tuple(
        dict.fromkeys([r.region for r in facts.regions] + [a.region for a in facts.apis])
    )
    removed: dict[str, str] = {}
    legs = _legs(facts, classes, tally, removed)

    configs = configurations(facts, params or load_parameters(), tally)
    cells = cells_of(facts, legs, classes, configs, tally)
    dominated = dominated_configs(facts, legs, configs, cells) if prune else {}
    at_machine = usable(facts, tally)
    counts = _counts(facts, legs, configs, cells, dominated)
    peak = incumbent_peak(facts, incumbent)
    worse = dominated_machines(facts, at_machine, counts, peak) if prune else {}
    pools = pools_of(facts, legs, configs, at_machine, dominated, set(worse))
    kernels = kernels_of(facts, regions, legs, rows, configs, cells, pools, tally)

    workload = _workload_index(facts)
    trainers = [h for h in at_machine if facts.machines[h].machine not in worse]
    training = {
        v: training_options(
            facts,
            facts.variants[v],
            v,
            instance.workloads[workload[facts.variants[v].workload]],
            trainers,
        )
        for v in sorted({leg.variant for leg in legs})
    }
    shortfall = instance.settings.policy.allow_shortfall and len(kernels.leg) > 0
    served = _served_variants(facts, legs, rows, kernels, training, removed, shortfall=shortfall)
    _require_variants(facts, classes, legs, served, tally.result, removed)
    chosen = [at for at, leg in enumerate(legs) if leg.variant in served]
    keep = kernels.pool < 0
    keep[~keep] = pools.kept[kernels.pool[~keep]]
    routes = spread(legs, rows, kernels, keep, chosen, shortfall=shortfall)
    parts = _Parts(facts, items, regions, legs, configs, cells, pools, kernels)
    order = list(dict.fromkeys(legs[at].variant for at in chosen))
    options = [option for v in order for option in training[v]]
    data, infos, machines = _fleet(
        parts, routes, order, options, incumbent, peak, provenance or known_as()
    )
    prove_supply(facts, data, machines)
    latency = kernels.experience
    short = routes.kernel < 0
    return Candidates(
        data=data,
        pools=infos,
        variants=tuple(facts.variants[v] for v in order),
        route_ttft_p95_s=np.where(short, np.inf, latency.ttft_p95_s[routes.kernel]),
        route_tpot_s=np.where(short, np.inf, latency.tpot_s[routes.kernel]),
        exclusions=tally.result,
        dominated_pools=_dominated_names(facts, configs, dominated),
        dominated_machines=worse,
        removed_variants=removed,
        eligible_before_pruning=_route_count(legs, rows, kernels),
        eligible_after_pruning=int(np.count_nonzero(~short)),
    )


# ------------------------------------------------------------------ incumbent


def _incumbent(facts: Facts) -> Plan | None:
    name = facts.instance.settings.incumbent
    return None if name is None else Plan.read(Path(facts.instance.folder) / name)


def incumbent_peak(facts: Facts, plan: Plan | None) -> dict[str, float]:
    """Machine -> most accelerators the incumbent holds of it in any slice, owned ones included."""
    if plan is None:
        return {}
    size = {m.machine: m.accelerators for m in facts.machines}
    slices = [part.slice for part in facts.instance.slices]
    found: dict[str, FloatArray] = {}
    for line in plan.fleet:
        name = f"{line.region}/{line.offer}"
        if name in size:
            counts = found.setdefault(name, np.zeros(len(slices)))
            every = line.slice is None
            counts += [
                line.instances * size[name] if every or part == line.slice else 0 for part in slices
            ]
    return {name: float(counts.max()) for name, counts in found.items()}


# ------------------------------------------------------------------ variants


def _workload_index(facts: Facts) -> dict[str, int]:
    return {row.workload: w for w, row in enumerate(facts.instance.workloads)}


def _legs(
    facts: Facts, classes: Sequence[Sequence[int]], tally: Tally, removed: dict[str, str]
) -> list[Leg]:
    """Legs of the variants with demand that reach their workload's quality floor."""
    index = _workload_index(facts)
    known = {llm.llm for llm in facts.llms}
    legs: list[Leg] = []
    for v in sorted(range(len(facts.variants)), key=lambda v: index[facts.variants[v].workload]):
        variant = facts.variants[v]
        w = index[variant.workload]
        workload = facts.instance.workloads[w]
        if not classes[w]:
            continue
        mine = legs_of(variant, v, workload, w)
        quality = mixture_quality(mine)
        if quality < workload.quality_min:
            tally.one(
                "quality floor",
                workload.workload,
                variant.llm,
                variant.variant,
                count=1,
                needed=workload.quality_min,
                available=quality,
                unit="quality",
            )
            removed[variant.variant] = (
                f"quality {quality:.3f} after staleness, the floor is {workload.quality_min:.3f}"
            )
        elif any(not leg.hosted and leg.llm not in known for leg in mine):
            removed[variant.variant] = "its llm is neither allowed nor hosted"
        else:
            legs += mine
    return legs


def _served_variants(  # noqa: PLR0917
    facts: Facts,
    legs: Sequence[Leg],
    rows: Sequence[Rows],
    kernels: Kernels,
    training: dict[int, list[TrainingOption]],
    removed: dict[str, str],
    *,
    shortfall: bool,
) -> set[int]:
    """Variants with a route for every class and origin, and a place to train where they need it."""
    bounds = np.searchsorted(kernels.leg, np.arange(len(legs) + 1))
    served = {leg.variant for leg in legs}
    for at, leg in enumerate(legs):
        variant = facts.variants[leg.variant]
        table = rows[leg.workload]
        users = user_of(kernels, np.arange(bounds[at], bounds[at + 1]), table)
        missing = np.setdiff1d(np.arange(len(table.users)), users)
        if len(missing) and not shortfall:
            length, origin = table.users[missing[0]]
            served.discard(leg.variant)
            removed[variant.variant] = (
                f"nothing may serve class {facts.instance.length_classes[length].length_class} "
                f"from {facts.instance.origins[origin].origin} with {leg.llm}"
                + (f" (and {len(missing) - 1} more)" if len(missing) > 1 else "")
            )
        elif variant.method is not None and not training[leg.variant]:
            served.discard(leg.variant)
            removed[variant.variant] = (
                "no machine with an on-demand price in an allowed region can train it"
            )
    return served


def _require_variants(  # noqa: PLR0917
    facts: Facts,
    classes: Sequence[Sequence[int]],
    legs: Sequence[Leg],
    served: set[int],
    exclusions: Sequence[Exclusion],
    removed: dict[str, str],
) -> None:
    """Raise InfeasibleError for the first workload with demand and no variant left."""
    able = {leg.workload for leg in legs if leg.variant in served}
    for w, workload in enumerate(facts.instance.workloads):
        if w in able or not classes[w]:
            continue
        name = workload.workload
        mine = [v for v in facts.variants if v.workload == name]
        llms = {v.llm for v in mine} | {v.check_llm for v in mine}
        why = [f"{v.variant}: {removed[v.variant]}" for v in mine if v.variant in removed]
        about = [
            found
            for found in exclusions
            if found.workload == name or (found.workload is None and found.llm in llms)
        ]
        rules = [str(found) for found in about]
        raise InfeasibleError(
            f"workload {name} cannot be served by any allowed variant: "
            + "; ".join([*why[:4], *rules[:6]] or ["it has no variant"]),
            conflict=tuple(why + rules),
            repair=tuple(dict.fromkeys(_remedy(found) for found in about)),
        )


def _remedy(found: Exclusion) -> str:
    what = found.llm or found.workload or "it"
    return {
        "residency": f"allow a region tagged {found.where}, or drop the residency of "
        f"{found.workload}",
        "quality floor": f"lower quality_min of {found.workload} to {found.available:.3f}, or "
        "allow a better llm",
        "context length": f"allow an llm with a context of {found.needed:,.0f} tokens",
        "prompt lane": f"add a prompt lane of at least {found.needed:,.0f} tokens",
        "memory": f"allow an accelerator or replica with {found.needed:,.0f} GB for {what}, or a "
        "smaller precision",
        "operating point": f"add an operating point above {found.needed:.0f} ms",
        "TPOT target": f"add an operating point at or below {found.available:.0f} ms, or raise the "
        f"TPOT target of {found.workload} to {found.needed:.0f} ms",
        "TTFT target": f"raise the TTFT target of {found.workload} to {found.needed:.0f} ms, or "
        f"allow regions nearer to {found.where}",
        "price": f"give a price for {found.where}",
        "quota": f"raise the quota for {found.where} to {found.needed:.0f} accelerators",
    }[found.rule]


def _counts(
    facts: Facts,
    legs: Sequence[Leg],
    configs: Configs,
    cells: Cells,
    dominated: dict[str, dict[int, int]],
) -> dict[str, set[int]]:
    """Accelerator -> accelerators per replica that some undominated configuration uses."""
    counts = {a.accelerator: set[int]() for a in facts.accelerators}
    ends = sorted([*cells.first.values(), len(cells.config)])
    after = dict(pairwise(ends))
    for (at, _), start in cells.first.items():
        block = np.arange(start, after.get(start, start))
        used = cells.config[block[cells.eligible[block]]]
        used = used[~np.isin(used, list(dominated.get(legs[at].weights, {})))]
        for card, count in set(
            zip(
                configs.accelerator[used].tolist(), configs.accelerators[used].tolist(), strict=True
            )
        ):
            counts[facts.accelerators[card].accelerator].add(count)
    return counts


def _route_count(legs: Sequence[Leg], rows: Sequence[Rows], kernels: Kernels) -> int:
    """Routes of all kernels, pruned pools and removed variants included."""
    bounds = np.searchsorted(kernels.leg, np.arange(len(legs) + 1))
    total = 0
    for at, leg in enumerate(legs):
        table = rows[leg.workload]
        users = user_of(kernels, np.arange(bounds[at], bounds[at + 1]), table)
        total += int(np.bincount(table.user, minlength=len(table.users))[users].sum())
    return total


def _dominated_names(
    facts: Facts, configs: Configs, dominated: dict[str, dict[int, int]]
) -> dict[str, str]:
    def name(weights: str, at: int) -> str:
        card = facts.accelerators[configs.accelerator[at]].accelerator
        return f"{card}/{weights}/{configs.label(at)}"

    return {
        name(weights, worse): name(weights, better)
        for weights, pairs in dominated.items()
        for worse, better in pairs.items()
    }


# ------------------------------------------------------------------ the program's arrays


@dataclass(frozen=True, eq=False)
class _Parts:
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


def _route_figures(parts: _Parts, routes: Spread) -> _RouteFigures:
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
    kwh = (
        parts.cells.load.load_above_idle_w[cell]
        / 1e3
        * hours[routes.slice[served]]
        * share[served, 0]
    )
    pue = np.array([p.pue for p in places])[there]
    intensity = np.array([p.carbon_kgco2e_per_kwh for p in places])[there, routes.slice[served]]
    carbon = np.zeros((len(at), 2))
    carbon[served, 0] = kwh * pue * intensity
    carbon[:, 1] = np.where(short, 0.0, kernels.api_kg[at] * requests)
    water = np.zeros(len(at))
    water[served] = water_litres(
        kwh,
        pue,
        np.array([p.site_wue_l_per_kwh for p in places])[there],
        np.array([p.electricity_water_l_per_kwh for p in places])[there],
    )
    cost = np.zeros((len(at), 4))
    cost[:, :3] = np.where(short[:, None], 0.0, kernels.usd[at] * requests[:, None])
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


def _fleet(  # noqa: PLR0917
    parts: _Parts,
    routes: Spread,
    order: Sequence[int],
    options: Sequence[TrainingOption],
    incumbent: Plan | None,
    peak: Mapping[str, float],
    provenance: Provenance,
) -> tuple[FleetData, tuple[PoolInfo, ...], tuple[MachineFacts, ...]]:
    """The arrays, the pools in words and the machines; `order` are the variants kept, `options`
    their training options."""
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
    workload = _workload_index(facts)
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
    adopted = {} if incumbent is None else {a.workload: a.variant for a in incumbent.adoption}
    same = np.array([adopted.get(v.workload) == v.variant for v in variants], dtype=np.bool_)
    change_usd = policy.change_usd_per_workload if incumbent is not None else 0.0
    rows = [instance.workloads[w] for w in variant_workload]
    copies = [hosting(facts, v, w, len(parts.regions)) for v, w in zip(variants, rows, strict=True)]
    infos = _pool_infos(parts, at_pool, provenance)
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
                    0.0 if kept else change_usd,
                )
                for v, w, kept in zip(variants, rows, same, strict=True)
            ]
        ).reshape(-1, 3),
        variant_carbon_kgco2e=np.zeros(len(variants)),
        variant_is_incumbent=same,
        host_cost_usd=np.array([c for c, _ in copies]).reshape(-1, len(parts.regions)),
        host_carbon_kgco2e=np.array([c for _, c in copies]).reshape(-1, len(parts.regions)),
        training_variant=np.array([variant_at[o.variant] for o in options], dtype=np.int64),
        training_machine=np.array(
            [new_machine[machine_at[o.machine]] for o in options], dtype=np.int64
        ),
        training_slice=np.array([o.slice for o in options], dtype=np.int64),
        training_cost_usd=np.array([o.cost_usd for o in options]),
        training_carbon_kgco2e=np.array([o.carbon_kgco2e for o in options]),
        training_water_l=np.array([o.water_l for o in options]),
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
        machine_fixed=np.array([m.fixed_instances for m in machines], dtype=np.int64),
        machine_fixed_cost_usd=np.array(
            [m.fixed_usd_per_h * settings.period.hours for m in machines]
        ),
        machine_idle_carbon_kgco2e=emits.idle_carbon_kgco2e,
        machine_embodied_kgco2e=emits.embodied_kgco2e,
        machine_water_l=emits.water_l,
        machine_incumbent=np.array([peak.get(m.machine, 0.0) for m in machines]),
        purchase_machine=buy.machine,
        purchase_market=buy.market,
        purchase_per_slice=buy.per_slice,
        purchase_cost_usd=buy.cost_usd,
        purchase_availability=buy.availability,
        purchase_limit=buy.limit,
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
        max_changed_workloads=rule(policy.max_changed_workloads if incumbent else None),
        max_added_accelerators=rule(policy.max_added_accelerators if incumbent else None),
        change_usd_per_accelerator=policy.change_usd_per_accelerator if incumbent else 0.0,
        cost_max_usd=rule(caps.cost_usd),
        carbon_max_kgco2e=rule(caps.carbon_kgco2e),
        water_max_l=rule(caps.water_l),
        loss_max=rule(None if caps.qoe_min is None else 1.0 - caps.qoe_min),
    )
    return data, infos, machines


def _pool_infos(parts: _Parts, at: IntArray, provenance: Provenance) -> tuple[PoolInfo, ...]:
    facts, pools, configs = parts.facts, parts.pools, parts.configs
    engine = facts.instance.settings.serving.engine
    infos: list[PoolInfo] = []
    for p in at:
        machine, config = facts.machines[pools.machine[p]], int(pools.config[p])
        weights = pools.names[pools.weights[p]]
        llm, count = facts.llms[configs.llm[config]].llm, int(configs.accelerators[config])
        precision = configs.precision[config]
        known, band = provenance(llm, machine.accelerator, count, precision, engine)
        infos.append(
            PoolInfo(
                pool=f"{machine.machine}/{weights}/{configs.label(config)}",
                region=machine.region,
                offer=machine.offer,
                accelerator=machine.accelerator,
                llm=llm,
                weights=weights,
                accelerators=count,
                precision=precision,
                engine=engine,
                operating_tpot_s=float(configs.tpot_s[config]),
                lane_tokens=float(configs.lane_tokens[config]),
                provenance=known,
                band=band,
            )
        )
    return tuple(infos)


def known_as() -> Provenance:
    """How measurements know a replica: ``interpolated``, ``transferred`` or ``roofline``.

    Interpolated: the combination was measured at some lengths; transferred: its accelerator was.
    """
    names, bands = load_anchors().names, load_bands()
    measured = {(str(x[0]), str(x[1]), str(x[3]), str(x[4]), str(x[5])) for x in names}
    cards = {str(x[1]) for x in names}

    def known(
        llm: str, accelerator: str, count: int, precision: str, engine: str
    ) -> tuple[str, tuple[float, float]]:
        how = "transferred" if accelerator in cards else "roofline"
        if (llm, accelerator, str(count), precision, engine) in measured:
            how = "interpolated"
        return how, bands[how, "tpot"]

    return known
