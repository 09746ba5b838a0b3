"""Why no plan exists: a proof, the smallest conflicting set of rules, the cheapest repairs.

The proof is phase 1 of the simplex method on the relaxation: every column costs nothing, only
artificial columns cost. Its prices y are read by `evaluate_bound` with weights 0, so that weak
duality says ``0 = 0 . totals >= L(y)`` for every integer plan: L(y) > 0 leaves no plan. Only the
formula L counts, not the solver's word, and rules without a price take no part in the proof.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.fleet.data import FleetData
from planner.errors import InfeasibleError, SolverError
from planner.solve.bound import Bound, Prices
from planner.solve.generation import Generation
from planner.solve.index import FleetIndex
from planner.solve.master import Master

PROOF_MARGIN = 1e-6
"""L(y) must exceed this share of a demand, of a cap or of an attainment: above float noise."""

REPAIR_STEPS = 8
"""Halvings in the search for the least relaxation of a share."""

CAPS = ("cost_max_usd", "carbon_max_kgco2e", "loss_max", "water_max_l")


@dataclass(frozen=True)
class Rule:
    """One rule that the user can relax alone."""

    name: str
    """in the user's words, with its limit"""
    price: Callable[[Prices], float]
    """its total price in a proof"""
    limit: float
    with_limit: Callable[[FleetData, float], FleetData]
    loosest: float
    """a limit that no longer restricts anything"""
    repair: Callable[[float], str]
    """the words for a limit that must at least be reached"""
    whole: bool = False
    """the limit is a count"""
    total: int = -1
    """cost, carbon, loss, water: which total the rule caps"""


class PhaseOne(Master):
    """The relaxation that minimises the artificial columns alone."""

    first_penalty = 1.0
    last_penalty = 1.0


def prove_infeasible(index: FleetIndex, deadline: float = float("inf")) -> Bound | None:
    """A bound with weights 0 above the float margin, which proves that no plan exists, or None.

    None is no statement: plans may exist, or time was up.
    """
    generation = Generation(PhaseOne(index, np.zeros(4)))
    generation.start()
    bound = generation.generate(1e-4, deadline).bound
    return bound if bound.value > PROOF_MARGIN else None


def explain(index: FleetIndex, deadline: float = float("inf")) -> InfeasibleError:
    """The error to raise, with conflict and repairs; `deadline` is of `time.monotonic`.

    Raises SolverError where infeasibility is not proved.
    """
    proof = prove_infeasible(index, deadline)
    if proof is None:
        raise SolverError("no plan was found, and the instance is not proved infeasible")
    rules = [rule for rule in rules_of(index.data) if rule.price(proof.prices) > 0.0]
    conflict, smallest = _smallest(index, rules, deadline)
    if not conflict:
        message = "no plan serves the demand on the machines that can be had, whatever the rules"
        return InfeasibleError(message, ("demand against the machines that can be had",))
    names = tuple(rule.name for rule in conflict)
    repairs = [_repair(index, rule, deadline) for rule in conflict]
    kind = "these rules conflict" if smallest else "among these rules is a conflict (time was up)"
    return InfeasibleError(
        f"no plan exists (proved): {kind}: " + "; ".join(names),
        names,
        tuple(words for words in repairs if words),
    )


def _smallest(index: FleetIndex, rules: Sequence[Rule], deadline: float) -> tuple[list[Rule], bool]:
    """Deletion filter: a set of rules that conflicts, and whether each of them is needed."""
    every = rules_of(index.data)
    kept = list(rules)
    needed: list[Rule] = []
    smallest = True
    for rule in rules:
        if rule not in kept:
            continue
        if time.monotonic() > deadline:
            smallest = False
            break
        left = [other for other in kept if other is not rule]
        proof = prove_infeasible(_only(index, every, left), deadline)
        if proof is None:
            needed.append(rule)
            smallest = smallest and time.monotonic() <= deadline
        else:
            kept = [other for other in left if other in needed or other.price(proof.prices) > 0.0]
    return kept, smallest


def _only(index: FleetIndex, every: Sequence[Rule], left: Sequence[Rule]) -> FleetIndex:
    """The same fleet under the given rules alone."""
    names = {rule.name for rule in left}
    data = index.data
    for rule in every:
        if rule.name not in names:
            data = rule.with_limit(data, rule.loosest)
    return _with_data(index, data)


def _with_data(index: FleetIndex, data: FleetData) -> FleetIndex:
    """The same order of groups and routes over data that differ in limits only."""
    return replace(index, data=data)


def _repair(index: FleetIndex, rule: Rule, deadline: float) -> str:
    """The least change of one rule alone under all other rules; "" where none was found in time."""
    if time.monotonic() > deadline:
        return ""
    if rule.total >= 0:
        free = _with_data(index, rule.with_limit(index.data, rule.loosest))
        weights = np.zeros(4)
        weights[rule.total] = 1.0
        generation = Generation(Master(free, weights))
        generation.start()
        found = generation.generate(1e-5, deadline)
        if not found.converged or found.artificial > 1e-6 or found.bound.value <= rule.limit:
            return ""
        return rule.repair(found.bound.value)

    def impossible(limit: float) -> bool:
        fleet = _with_data(index, rule.with_limit(index.data, limit))
        return prove_infeasible(fleet, deadline) is not None

    low, high = rule.limit, rule.loosest
    if impossible(high) or time.monotonic() > deadline:
        return ""
    if rule.whole:
        low, high, step = np.floor(low), np.ceil(high), 1.0
        while low + step < high and impossible(low + step):
            low, step = low + step, 2.0 * step
        high = min(high, low + step)
    for _ in range(60 if rule.whole else REPAIR_STEPS):
        if time.monotonic() > deadline or (rule.whole and abs(high - low) <= 1.0):
            break
        middle = 0.5 * (low + high)
        middle = float(np.floor(middle)) if rule.whole else middle
        if impossible(middle):
            low = middle
        else:
            high = middle
    # `low` is proved too tight, so these words are never too generous.
    return rule.repair(low + 1.0 if rule.whole else low)


# ---------------------------------------------------------------------- the rules


def rules_of(data: FleetData) -> list[Rule]:
    """Every rule of the data that a user can relax, caps first."""
    caps = [_cap(data, i) for i, name in enumerate(CAPS) if not np.isnan(getattr(data, name))]
    workloads = [rule for w, n in enumerate(data.workloads) for rule in _of_workload(data, w, n)]
    quotas = [_quota(data, k, name) for k, name in enumerate(data.quota_names)]
    return [*caps, *workloads, *quotas, *_counts(data)]


def _set(name: str) -> Callable[[FleetData, float], FleetData]:
    def change(data: FleetData, limit: float) -> FleetData:
        values: dict[str, Any] = {name: limit}
        return replace(data, **values)

    return change


def _set_at(name: str, place: int) -> Callable[[FleetData, float], FleetData]:
    def change(data: FleetData, limit: float) -> FleetData:
        array = getattr(data, name).copy()
        array[place] = limit
        values: dict[str, Any] = {name: array}
        return replace(data, **values)

    return change


def _cap(data: FleetData, which: int) -> Rule:
    limit = float(getattr(data, CAPS[which]))
    what, unit = (("cost", "USD"), ("carbon", "kg"), ("loss", ""), ("water", "l"))[which]

    def repair(least: float) -> str:
        if which == 2:
            return f"a floor on QoE of at most {1.0 - least:.4f}"
        return f"at least {least - limit:,.2f} {unit} more {what}"

    return Rule(
        f"floor on QoE of {1.0 - limit:g}"
        if which == 2
        else f"cap on {what} of {limit:,.6g} {unit}",
        lambda y: float(y.cap[which]),
        limit,
        _set(CAPS[which]),
        np.nan,
        repair,
        total=which,
    )


def _of_workload(data: FleetData, w: int, n: str) -> list[Rule]:
    rules = []
    mine = data.variant_workload == w
    attainment, loss = float(data.attainment_min[w]), float(data.workload_loss_max[w])
    share, regions = float(data.region_share_max[w]), int(data.min_regions[w])
    if not np.isnan(attainment):
        rules.append(
            Rule(
                f"attainment {attainment:g} of {n}",
                lambda y: float(y.attain[mine].sum()),
                attainment, _set_at("attainment_min", w), 0.0,
                lambda least: f"attainment of {n} at most {least:.3f}",
            )
        )  # fmt: skip
    if not np.isnan(loss):
        rules.append(
            Rule(
                f"floor on QoE {1.0 - loss:g} of {n}",
                lambda y: float(y.floor[mine].sum()),
                loss, _set_at("workload_loss_max", w), 1.0,
                lambda least: f"a floor on QoE of {n} of at most {1.0 - least:.4f}",
            )
        )  # fmt: skip
    if not np.isnan(share):
        rules.append(
            Rule(
                f"loss of one region: at most {share:g} of {n} in a region",
                lambda y: float(y.survive[mine].sum()),
                share, _set_at("region_share_max", w), 1.0,
                lambda least: f"at least {least:.3f} of {n} allowed in one region",
            )
        )  # fmt: skip
    if regions > 1:
        rules.append(
            Rule(
                f"at least {regions} regions for {n}",
                lambda y: float(y.spread_count[w]),
                float(regions), _set_at("min_regions", w), 1.0,
                lambda least: f"fewer than {regions} regions for {n}",
            )
        )  # fmt: skip
    return rules


def _quota(data: FleetData, k: int, name: str) -> Rule:
    held = data.purchase_limit * data.machine_size[data.purchase_machine]
    limit = float(data.quota_accelerators[k])
    return Rule(
        f"quota {name} of {limit:g} accelerators",
        lambda y: float(y.quota[k].sum()),
        limit,
        _set_at("quota_accelerators", k),
        max(float(held[data.quota_purchase[k]].sum()), limit),
        lambda least: f"at least {np.ceil(least - limit):g} more accelerators in quota {name}",
    )


def _spot(data: FleetData) -> Rule:
    limit = float(data.spot_share_max)
    return Rule(
        f"spot share of at most {limit:g}",
        lambda y: float(y.spot.sum()),
        limit,
        _set("spot_share_max"),
        1.0,
        lambda least: f"a spot share of at least {least:.3f}",
    )


def _count(data: FleetData, field: str, price: str, what: str, most: float) -> Rule:
    limit = float(getattr(data, field))
    return Rule(
        f"at most {limit:g} {what}",
        lambda y: float(getattr(y, price)),
        limit,
        _set(field),
        max(most, limit),
        lambda least: f"at least {least:g} {what} allowed",
    )


def _counts(data: FleetData) -> list[Rule]:
    held = float((data.purchase_limit * data.machine_size[data.purchase_machine]).sum())
    rules = [] if np.isnan(data.spot_share_max) else [_spot(data)]
    counts = (
        ("max_regions", "open_count", "regions", float(len(data.regions))),
        ("max_llms", "keep_count", "llms", float(len(data.llms))),
        ("max_changed_workloads", "changed", "changed workloads", float(len(data.workloads))),
        ("max_added_accelerators", "added_total", "added accelerators", held),
    )
    return rules + [_count(data, *row) for row in counts if not np.isnan(getattr(data, row[0]))]
