"""How the figures of a plan are known: shares by kind, and their titles."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from models.fleet.data import MARKETS, ROUTE_COST_LINES, FleetData, FloatArray
from planner.answer.calibrated import calibration_record
from planner.answer.decisions import Decisions
from planner.answer.lines import machine_cost_usd
from planner.candidates.kinds import Candidates
from planner.instance.facts import Facts, source_of
from planner.instance.figures import PRICE_COLUMNS
from planner.plan import Plan

TITLES = {
    "serving_by_accelerator_hours": "Speed and capacity, by accelerator-hours",
    "serving_by_cost": "Speed and capacity, by cost",
    "latency_by_requests": "Latency, by requests",
    "quality_by_requests": "Answer quality, by requests",
    "prices_by_cost": "Prices of machines, by cost",
    "hosted_prices_by_cost": "Prices of hosted llms, by cost",
    "grid_carbon_by_accelerator_hours": "Grid carbon, by accelerator-hours",
    "facility_by_accelerator_hours": "PUE and water, by accelerator-hours",
    "power_by_accelerator_hours": "Power of accelerators, by accelerator-hours",
    "memory_by_accelerator_hours": "Memory of accelerators, by accelerator-hours",
    "embodied_by_accelerator_hours": "Embodied carbon of accelerators, by accelerator-hours",
}
SELDOM = {
    *("facility_by_accelerator_hours", "power_by_accelerator_hours"),
    *("memory_by_accelerator_hours", "embodied_by_accelerator_hours"),
}
"""Told to people only where something is not the catalog's."""
OF_REGIONS = {
    "grid_carbon_by_accelerator_hours": ("carbon_kgco2e_per_kwh",),
    "facility_by_accelerator_hours": (
        *("pue", "site_wue_l_per_kwh", "electricity_water_l_per_kwh"),
    ),
}
OF_ACCELERATORS = {
    "power_by_accelerator_hours": ("tdp_w", "idle_w"),
    "memory_by_accelerator_hours": ("memory_gb",),
    "embodied_by_accelerator_hours": ("embodied_kgco2e",),
}


def told(plan: Plan) -> Iterator[tuple[str, dict[str, float]]]:
    """(title, shares) of what a reader is told about a plan, in order."""
    for key, title in TITLES.items():
        shares = plan.provenance.get(key) or {}
        if shares and not (key in SELDOM and set(shares) == {"catalog"}):
            yield title, {kind: float(share) for kind, share in shares.items()}


def provenance(facts: Facts, candidates: Candidates, decisions: Decisions) -> dict[str, Any]:
    """Shares of the plan that stand on each kind of knowledge, and the age of each table.

    Capacity by accelerator-hours and by cost of the machines, latency and quality by requests,
    prices by what is paid at them, figures of regions and accelerators by accelerator-hours held.
    """
    data, pools = candidates.data, candidates.pools
    hours = decisions.running(data) * data.slice_hours[None, :] * data.pool_accelerators[:, None]
    by_pool = hours.sum(axis=1)
    by_machine = np.bincount(data.pool_machine, by_pool, minlength=len(data.machines))
    cost = machine_cost_usd(data, decisions)
    per_hour = np.where(by_machine > 0, cost / np.where(by_machine > 0, by_machine, 1.0), 0.0)
    busy = np.flatnonzero(by_pool > 0)
    kinds = [kind_of(pools[p].provenance) for p in busy]
    requests = np.bincount(data.item_workload, data.item_requests, minlength=len(data.workloads))
    found = {
        "serving_by_accelerator_hours": shares(zip(kinds, by_pool[busy], strict=True)),
        "serving_by_cost": shares(
            zip(kinds, by_pool[busy] * per_hour[data.pool_machine[busy]], strict=True)
        ),
        "latency_by_requests": shares(_answered_by(candidates, decisions)),
        "quality_by_requests": shares(
            (kind_of(candidates.variants[v].provenance), requests[w])
            for w, v in enumerate(decisions.adopt)
        ),
        "prices_by_cost": shares(_paid(facts, data, decisions)),
        "hosted_prices_by_cost": shares(_bought(facts, candidates, decisions)),
        **_by_accelerator_hours(facts, data, decisions),
    }
    return {
        **{key: parts for key, parts in found.items() if parts},
        "ages": dict(facts.ages),
        **calibration_record(facts, candidates, decisions),
    }


def _answered_by(candidates: Candidates, decisions: Decisions) -> Iterable[tuple[str, float]]:
    """(how the speed of the answer is known, requests) of every route in use, check legs apart.

    The speed of a hosted llm is the user's own measurement.
    """
    data = candidates.data
    for at, j in enumerate(decisions.routes):
        group, pool = data.route_group[j], data.route_pool[j]
        if data.group_leg[group] != 0 or data.route_region[j] < 0:
            continue
        known = kind_of(candidates.pools[pool].provenance) if pool >= 0 else "user"
        yield known, decisions.serve[at] * data.item_requests[data.group_item[group]]


def _paid(facts: Facts, data: FleetData, decisions: Decisions) -> Iterable[tuple[str, float]]:
    """(how the price is known, USD) of every purchase, and of the machines held anyway."""
    machines = {machine.machine: machine for machine in facts.machines}
    paid = (decisions.instances * data.purchase_cost_usd).sum(axis=1)
    for b in np.flatnonzero(paid > 0):
        machine = machines[data.machines[data.purchase_machine[b]]]
        column = PRICE_COLUMNS[MARKETS[data.purchase_market[b]]]
        yield source_of(machine, column), paid[b]
    for h in np.flatnonzero(data.machine_fixed_cost_usd > 0):
        known = source_of(machines[data.machines[h]], "fixed_usd_per_h")
        yield known, data.machine_fixed_cost_usd[h]


def _bought(
    facts: Facts, candidates: Candidates, decisions: Decisions
) -> Iterable[tuple[str, float]]:
    """(how the prices of tokens are known, USD) of every route to a hosted llm."""
    data = candidates.data
    apis = {(api.llm, api.region): api for api in facts.apis}
    tokens = data.route_cost_lines_usd[:, ROUTE_COST_LINES.index("api tokens")]
    for at, j in enumerate(decisions.routes):
        if data.route_pool[j] >= 0 or data.route_region[j] < 0:
            continue
        group = data.route_group[j]
        variant = candidates.variants[data.group_variant[group]]
        llm = variant.check_llm if data.group_leg[group] == 1 else variant.llm
        api = apis[str(llm), data.regions[data.route_region[j]]]
        columns = ("input_usd_per_mtok", "cached_input_usd_per_mtok", "output_usd_per_mtok")
        yield source_of(api, *columns), decisions.serve[at] * tokens[j]


def _by_accelerator_hours(
    facts: Facts, data: FleetData, decisions: Decisions
) -> dict[str, dict[str, float]]:
    """How figures of the regions and accelerators of the machines held are known."""
    held: FloatArray = (decisions.held(data) * data.slice_hours).sum(axis=1) * data.machine_size
    machines = {machine.machine: machine for machine in facts.machines}
    regions = {region.region: region for region in facts.regions}
    cards = {card.accelerator: card for card in facts.accelerators}
    used = [(machines[data.machines[h]], held[h]) for h in np.flatnonzero(held > 0)]
    found = {}
    for key, figures in OF_REGIONS.items():
        found[key] = shares((source_of(regions[m.region], *figures), w) for m, w in used)
    for key, figures in OF_ACCELERATORS.items():
        found[key] = shares((source_of(cards[m.accelerator], *figures), w) for m, w in used)
    return found


def kind_of(text: str) -> str:
    """``measured``, ``transferred``, ``roofline`` ...: the first word of a provenance."""
    words = text.replace(":", " ").replace(",", " ").replace(";", " ").split()
    return words[0].lower() if words else "unknown"


def shares(parts: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Parts of the whole by name, the largest first; nothing of nothing."""
    total: dict[str, float] = defaultdict(float)
    for name, value in parts:
        total[name] += float(value)
    whole = math.fsum(total.values())
    return {
        name: value / whole
        for name, value in sorted(total.items(), key=lambda part: -part[1])
        if whole > 0
    }
