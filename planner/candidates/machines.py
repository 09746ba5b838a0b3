"""Machines: which are dominated, how they may be paid for, and what holding one emits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.coefficients.energy import (
    decoding_power_w,
    embodied_kg_per_accelerator_hour,
    host_embodied_kg,
    host_power_w,
    water_litres,
)
from models.fleet.data import MARKETS, BoolArray, FloatArray, IntArray
from planner.candidates.exclusions import Tally
from planner.instance.commitments import allowed_commitments
from planner.instance.facts import Facts, MachineFacts
from planner.instance.schema import Quota

LIMIT = 1e6
"""No purchase is larger; a bound for the arithmetic, far above any demand we accept."""


def prices(machine: MachineFacts, facts: Facts) -> dict[str, float]:
    """Market -> USD per instance-hour, of the markets that the policy allows."""
    settings = facts.instance.settings
    policy, allowed = settings.policy, allowed_commitments(settings)
    listed = {
        "on-demand": machine.ondemand_usd_per_h,
        "spot": machine.spot_usd_per_h if policy.spot_share_max > 0.0 else None,
        "commit-1y": machine.commit_1y_usd_per_h if "commit-1y" in allowed else None,
        "commit-3y": machine.commit_3y_usd_per_h if "commit-3y" in allowed else None,
    }
    return {market: price for market, price in listed.items() if price is not None}


def quotas_of(machine: MachineFacts, market: str, quotas: Sequence[Quota]) -> list[Quota]:
    """Quotas under which a purchase of the machine falls."""
    return [
        quota
        for quota in quotas
        if (quota.region, quota.accelerator) == (machine.region, machine.accelerator)
        and quota.market in (None, market)
    ]


def stock_limit(machine: MachineFacts, market: str, facts: Facts) -> float:
    """Most instances that stock and quotas allow; inf without either."""
    limits = [
        np.floor(quota.accelerators / machine.accelerators + 1e-9)
        for quota in quotas_of(machine, market, facts.instance.quotas)
    ]
    if machine.max_instances is not None:
        limits.append(float(machine.max_instances))
    return float(min(limits, default=np.inf))


def usable(facts: Facts, tally: Tally) -> list[int]:
    """Positions of the machines that can be held at all; the others are noted."""
    kept = []
    for at, machine in enumerate(facts.machines):
        markets = prices(machine, facts)
        most = max((stock_limit(machine, market, facts) for market in markets), default=0.0)
        if machine.fixed_instances > 0 or most >= 1.0:
            kept.append(at)
        elif not markets:
            tally.one(
                "price", None, None, machine.machine, count=1, needed=1, available=0,
                unit="prices in an allowed market",
            )  # fmt: skip
        else:
            quota = min(
                quota.accelerators
                for market in markets
                for quota in (
                    *quotas_of(machine, market, facts.instance.quotas),
                    Quota(
                        region=machine.region,
                        accelerator=machine.accelerator,
                        accelerators=(machine.max_instances or 0) * machine.accelerators,
                    ),
                )
            )
            tally.one(
                "quota", None, None, machine.machine, count=1, needed=machine.accelerators,
                available=quota, unit="accelerators",
            )  # fmt: skip
    return kept


def dominated_machines(
    facts: Facts,
    candidates: Sequence[int],
    counts: Mapping[str, set[int]],
    incumbent: Mapping[str, float],
    change: Callable[[MachineFacts], tuple[float, float]],
) -> dict[str, str]:
    """Machine -> a machine that dominates it; `counts`: accelerator -> the G's in use there.

    `change`: USD and kgCO2e of an accelerator above the incumbent's. The rule and its proof are in
    the package's docstring.
    """
    found: dict[str, str] = {}
    machines = [facts.machines[at] for at in candidates]
    burden = {
        m.machine: (*change(m), host_w(facts, m), embodied_kg_per_h(facts, m)) for m in machines
    }
    for machine in machines:
        if machine.fixed_instances or machine.max_instances is not None:
            continue
        if incumbent.get(machine.machine, 0.0) > 0.0:
            continue
        own = prices(machine, facts)
        for other in machines:
            if other is machine or other.machine in found:
                continue
            if (other.region, other.accelerator) != (machine.region, machine.accelerator):
                continue
            if other.max_instances is not None or machine.accelerators % other.accelerators:
                continue
            theirs = prices(other, facts)
            cheaper = all(
                market in theirs
                and theirs[market] * machine.accelerators <= price * other.accelerators
                for market, price in own.items()
            )
            pairs = zip(burden[other.machine], burden[machine.machine], strict=True)
            cheaper &= all(a <= b for a, b in pairs)
            used = [g for g in counts[machine.accelerator] if machine.accelerators % g == 0]
            if cheaper and all(other.accelerators % g == 0 for g in used):
                found[machine.machine] = other.machine
                break
    for name in list(found):
        while found[name] in found:
            found[name] = found[found[name]]
    return found


# ------------------------------------------------------------------ what holding one emits


def host_w(facts: Facts, machine: MachineFacts) -> float:
    """Power of the host per accelerator, W: as the settings say, else by vCPUs and memory."""
    given = facts.instance.settings.carbon.host_w_per_accelerator
    if given is not None:
        return given
    return float(host_power_w(machine.vcpus, machine.ram_gb)) / machine.accelerators


def embodied_kg_per_h(facts: Facts, machine: MachineFacts) -> float:
    """Embodied carbon of an hour of one accelerator of a machine, its part of the host included."""
    carbon = facts.instance.settings.carbon
    card = next(a for a in facts.accelerators if a.accelerator == machine.accelerator)
    host = carbon.host_embodied_kgco2e_per_accelerator
    if host is None:
        host = float(host_embodied_kg(machine.vcpus, machine.ram_gb)) / machine.accelerators
    total = card.embodied_kgco2e + host
    return float(embodied_kg_per_accelerator_hour(total, carbon.accelerator_life_years))


@dataclass(frozen=True, eq=False)
class Held:
    """Of one held instance, and of one accelerator of a replica that runs, per slice, (H, T)."""

    idle_carbon_kgco2e: FloatArray
    embodied_kgco2e: FloatArray
    water_l: FloatArray
    running_kgco2e: FloatArray
    running_water_l: FloatArray


def held(facts: Facts, machines: Sequence[MachineFacts]) -> Held:
    """Idle energy, embodied share and water of an instance of each machine in each slice."""
    hours = np.array([part.hours for part in facts.instance.slices])
    region = {place.region: place for place in facts.regions}
    card = {a.accelerator: a for a in facts.accelerators}
    places = [region[m.region] for m in machines]
    cards = [card[m.accelerator] for m in machines]
    size = np.array([float(m.accelerators) for m in machines])[:, None]

    def column(values: list[float]) -> FloatArray:
        return np.array(values, dtype=np.float64).reshape(-1, 1)

    pue = column([p.pue for p in places])
    wue = column([p.site_wue_l_per_kwh for p in places])
    electricity = column([p.electricity_water_l_per_kwh for p in places])
    per_kwh = pue * np.array([p.carbon_kgco2e_per_kwh for p in places]).reshape(-1, len(hours))
    watts = [c.idle_w + host_w(facts, m) for c, m in zip(cards, machines, strict=True)]
    kwh = size * column(watts) / 1e3 * hours
    above_w = [float(decoding_power_w(c.tdp_w, 1, c.idle_w)) - c.idle_w for c in cards]
    running_kwh = column(above_w) / 1e3 * hours
    return Held(
        idle_carbon_kgco2e=kwh * per_kwh,
        embodied_kgco2e=size * column([embodied_kg_per_h(facts, m) for m in machines]) * hours,
        water_l=water_litres(kwh, pue, wue, electricity),
        running_kgco2e=running_kwh * per_kwh,
        running_water_l=water_litres(running_kwh, pue, wue, electricity),
    )


# ------------------------------------------------------------------ purchases and quotas


@dataclass(frozen=True, eq=False)
class Purchases:
    """Fields (B,), as in FleetData; `quota` (K, B)."""

    machine: IntArray
    market: IntArray
    per_slice: BoolArray
    cost_usd: FloatArray
    """(B, T)"""
    availability: FloatArray
    limit: FloatArray
    stock: FloatArray
    quota: BoolArray
    quota_accelerators: FloatArray
    quota_names: tuple[str, ...]


def purchases(
    facts: Facts, machines: Sequence[MachineFacts], need_accelerators: FloatArray
) -> Purchases:
    """Ways to pay for each machine; `need_accelerators` (H, T) bounds what serving can use.

    A machine without a pool (need 0) cannot be bought.
    """
    instance = facts.instance
    hours = np.array([part.hours for part in instance.slices])
    spot_availability = instance.settings.policy.spot_availability
    rows: list[tuple[int, int, float, float, float, float]] = []
    for at, machine in enumerate(machines):
        need = float(need_accelerators[at].max(initial=0.0))
        for market, price in prices(machine, facts).items():
            availability = spot_availability if market == "spot" else 1.0
            enough = np.ceil(need / (machine.accelerators * availability) * (1.0 - 1e-9))
            stock = stock_limit(machine, market, facts)
            limit = min(stock, float(enough), LIMIT)
            if limit >= 1.0:
                rows.append((at, MARKETS.index(market), price, availability, limit, stock))
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    machine_of, market_of = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    quotas = [
        (
            quota,
            np.array(
                [
                    quota in quotas_of(machines[h], MARKETS[m], instance.quotas)
                    for h, m in zip(machine_of, market_of, strict=True)
                ],
                dtype=np.bool_,
            ),
        )
        for quota in instance.quotas
    ]
    quotas = [(quota, member) for quota, member in quotas if member.any()]
    return Purchases(
        machine=machine_of,
        market=market_of,
        per_slice=market_of <= MARKETS.index("spot"),
        cost_usd=table[:, 2:3] * hours,
        availability=table[:, 3],
        limit=table[:, 4],
        stock=table[:, 5],
        quota=np.array([member for _, member in quotas], dtype=np.bool_).reshape(
            len(quotas), len(rows)
        ),
        quota_accelerators=np.array([quota.accelerators for quota, _ in quotas]),
        quota_names=tuple(
            f"{quota.accelerator} in {quota.region}" + (f", {quota.market}" if quota.market else "")
            for quota, _ in quotas
        ),
    )
