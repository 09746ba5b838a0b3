"""`build_candidates`: facts -> the fleet program's arrays, with everything that was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from planner.candidates.adaptation import (
    TrainingOption,
    training_options,
)
from planner.candidates.configs import (
    Cells,
    Configs,
    cells_of,
    configurations,
    dominated_configs,
)
from planner.candidates.demand import demand_items
from planner.candidates.exclusions import Tally
from planner.candidates.fleet import Parts, fleet_data, workload_index
from planner.candidates.kinds import Candidates, Exclusion
from planner.candidates.legs import Leg, legs_of, mixture_quality
from planner.candidates.machines import dominated_machines, usable
from planner.candidates.migration import Changes
from planner.candidates.routes import (
    Kernels,
    Rows,
    kernels_of,
    pools_of,
    rows_of,
    spread,
    user_of,
)
from planner.errors import Conflict, InfeasibleError
from planner.incumbent import incumbent_of
from planner.instance.facts import Facts, MachineFacts
from planner.instance.grid import grid_of
from planner.serving import PlanningLaws, planning_laws

NOT_KEPT = "another variant answers the workload today, and that must stay (keep_incumbent)"


Exclusions = Mapping[str, tuple[Exclusion, ...]]


class UnservedError(InfeasibleError):
    """Workloads that no candidate can serve; `planner.remedies` says what would mend it."""

    def __init__(self, reasons: Mapping[str, tuple[str, ...]], found: Exclusions) -> None:
        self.reasons, self.exclusions = reasons, found
        names = list(reasons)
        headline = f"workload{'s' if len(names) > 1 else ''} {', '.join(names)} cannot be served"
        super().__init__(
            f"{headline} by any allowed variant",
            conflicts=[Conflict(why) for why in reasons.values()],
        )


def build_candidates(
    facts: Facts,
    laws: PlanningLaws = planning_laws,
    *,
    prune: bool = True,
) -> Candidates:
    """Every eligible, undominated route with its coefficients.

    `laws` gives the iteration laws of all replicas at once. `prune=False` keeps dominated pools and
    machines (the optimum is the same: the package's docstring has the proofs). Raises
    UnservedError, with numbers, where workloads cannot be served at all; RunError where the
    incumbent cannot be read.
    """
    changes = Changes(facts, incumbent_of(facts))
    removed: dict[str, str] = {}
    if changes.keeps:
        removed = {v.variant: NOT_KEPT for v in facts.variants if not changes.stays(v)}
        facts = _kept(facts, changes)
    instance, tally = facts.instance, Tally()
    items = demand_items(instance)
    rows = [rows_of(items, w) for w in range(len(instance.workloads))]
    classes = [sorted({int(c) for c in table.users[:, 0]}) for table in rows]
    regions = tuple(
        dict.fromkeys([r.region for r in facts.regions] + [a.region for a in facts.apis])
    )
    legs = _legs(facts, classes, tally, removed)

    configs = configurations(facts, laws, tally)
    cells = cells_of(facts, legs, classes, configs, tally)
    dominated = dominated_configs(facts, legs, configs, cells) if prune else {}
    at_machine = usable(facts, tally)
    counts = _counts(facts, legs, configs, cells, dominated)
    worse = (
        dominated_machines(facts, at_machine, counts, changes.peak, changes.per_accelerator)
        if prune
        else {}
    )
    serving = [h for h in at_machine if not changes.keeps or _held(facts.machines[h], changes)]
    pools = pools_of(facts, legs, configs, serving, dominated, set(worse))
    kernels = kernels_of(facts, regions, legs, rows, configs, cells, pools, tally, changes)

    workload = workload_index(facts)
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
    parts = Parts(facts, items, regions, legs, configs, cells, pools, kernels)
    order = list(dict.fromkeys(legs[at].variant for at in chosen))
    options = [option for v in order for option in training[v]]
    data, infos, _ = fleet_data(parts, routes, order, options, changes)
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


# ------------------------------------------------------------------ what must stay


def _kept(facts: Facts, changes: Changes) -> Facts:
    """The facts where what the incumbent decided must stay: its variants, no new commitment.

    InfeasibleError where the instance no longer has one of them.
    """
    known = {v.variant for v in facts.variants}
    for row in changes.adopted.values():
        if row.variant not in known and row.workload in workload_index(facts):
            raise InfeasibleError(
                f"workload {row.workload} is answered by {row.variant} today, which the instance "
                "no longer has",
                conflict=(f"{row.variant} must stay (keep_incumbent)",),
                repair=(f"allow {row.llm} with {row.adaptation} for {row.workload} again",),
            )
    settings = facts.instance.settings
    policy = settings.policy.model_copy(update={"commitments": ()})
    settings = settings.model_copy(update={"policy": policy})
    return replace(
        facts,
        instance=facts.instance.model_copy(update={"settings": settings}),
        variants=tuple(v for v in facts.variants if changes.stays(v)),
        grid=grid_of(facts),  # not that of the variants that are left
    )


def _held(machine: MachineFacts, changes: Changes) -> bool:
    """Whether the incumbent holds any of the machine, or the instance owns it."""
    return machine.fixed_instances > 0 or changes.peak.get(machine.machine, 0.0) > 0.0


# ------------------------------------------------------------------ variants


def _legs(
    facts: Facts, classes: Sequence[Sequence[int]], tally: Tally, removed: dict[str, str]
) -> list[Leg]:
    """Legs of the variants with demand that reach their workload's quality floor."""
    index = workload_index(facts)
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


def _served_variants(
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


def _require_variants(
    facts: Facts,
    classes: Sequence[Sequence[int]],
    legs: Sequence[Leg],
    served: set[int],
    exclusions: Sequence[Exclusion],
    removed: dict[str, str],
) -> None:
    """Raise UnservedError where workloads with demand have no variant left."""
    able = {leg.workload for leg in legs if leg.variant in served}
    reasons: dict[str, tuple[str, ...]] = {}
    about: dict[str, tuple[Exclusion, ...]] = {}
    for w, workload in enumerate(facts.instance.workloads):
        if w in able or not classes[w]:
            continue
        name = workload.workload
        mine = [v for v in facts.variants if v.workload == name]
        llms = {v.llm for v in mine} | {v.check_llm for v in mine} | {None}
        about[name] = tuple(
            found
            for found in exclusions
            if found.workload == name or (found.workload is None and found.llm in llms)
        )
        told = {found.llm for found in about[name]} - {None}
        why = [v for v in mine if v.variant in removed and v.llm not in told]
        reasons[name] = tuple(
            [*(f"{v.variant}: {removed[v.variant]}" for v in why)]
            + [_reason(found, removed) for found in about[name]]
            or ["it has no variant"]
        )
    if reasons:
        raise UnservedError(reasons, about)


def _reason(found: Exclusion, removed: Mapping[str, str]) -> str:
    """An exclusion in words; of a quality floor with what staleness leaves of the quality."""
    if found.rule == "quality floor":
        return f"{found.where}: {removed[str(found.where)]}"
    return str(found)


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
