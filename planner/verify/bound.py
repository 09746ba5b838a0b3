"""Re-prove a lower bound from stored dual prices, with numpy and the instance's facts alone.

For any prices y >= 0 of the rows ``a x <= b`` of the program, every integer plan obeys

    weights . (cost, carbon, loss, water) >= L(y) = sum over workloads of its cheapest variant
        + sum over every other column of min(0, reduced cost) x upper bound
        + what is paid whatever is decided - y . b

where a variant costs its fixed lines, its cheapest training run and, for every demand item and
leg, the cheapest of *all* its eligible routes at the prices (weak duality over boxes; Neumaier
and Shcherbina 2004). Pools and machines that the engine left out are priced here too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.coefficients.energy import water_litres
from planner.errors import VerificationError
from planner.instance.facts import ApiFacts, Facts, MachineFacts, VariantFacts
from planner.plan import Plan
from planner.verify.adaptation import (
    host_figures,
    reembedding_usd,
    staff_usd,
    training_figures,
)
from planner.verify.case import CAPACITY_ROWS, COMMITTED, RENTED, price_usd_per_h
from planner.verify.figures import (
    Config,
    call,
    hosted_answers,
    pool_answers,
    usd_per_request,
)
from planner.verify.fleet import incumbent_accelerators
from planner.verify.prices import DualPrices
from planner.verify.report import TOLERANCE, Findings, Violation
from planner.verify.terms import MIN_REGION_SHARE, Item, Terms
from planner.verify.totals import instance_hour

Array = NDArray[np.float64]

MARGIN = 1e-9
"""Floating-point margin: this share of the sum of all absolute terms is taken off."""
MOST_INSTANCES = 1e6
"""Upper bound of a purchase where neither stock nor quota gives one."""


@dataclass(frozen=True, eq=False)
class _Purchase:
    machine: MachineFacts
    market: str
    base: Array
    """float (T,) cost of an instance at the prices, before the price of its accelerators"""
    usable: float
    """accelerators of an instance that count"""
    limit: float
    """most instances"""


class _Pricing:
    """The prices beside the instance; machine prices made safe where a purchase has no limit."""

    def __init__(self, facts: Facts, prices: DualPrices, incumbent: Plan | None) -> None:
        self.terms, self.prices, self.incumbent = Terms(facts), prices, incumbent
        self.lam = prices.weights + prices.cap
        self.slices = tuple(self.terms.slice_hours)
        self.hours = np.array(list(self.terms.slice_hours.values()))
        self._pool_prices: dict[tuple[str, str, Config], Array] = {}
        self.peak: dict[str, float] = {}
        self.counts_added = False
        policy = self.terms.settings.policy
        if incumbent is not None:
            self.peak = incumbent_accelerators(self.terms, incumbent)
            self.counts_added = (
                policy.change_usd_per_accelerator > 0 or policy.max_added_accelerators is not None
            )
        self.added = {m.machine: self._added(m) for m in facts.machines}
        self.purchases = [p for m in facts.machines for p in self._purchases(m)]
        self.machine_price = {m.machine: self._machine_price(m) for m in facts.machines}

    # ---- machines
    def instance_carbon_water(self, machine: MachineFacts) -> tuple[Array, Array]:
        """Carbon (kgCO2e) and water (l) of one instance held over each slice, (T,) each."""
        hourly = np.array([instance_hour(self.terms, machine, t) for t in self.slices])
        return (hourly[:, 0] + hourly[:, 1]) * self.hours, hourly[:, 2] * self.hours

    def row(self, family: str, *names: str) -> Array:
        """Prices of a family over slices, (T,)."""
        return np.array([self.prices.one(family, *names, t) for t in self.slices])

    def _added(self, machine: MachineFacts) -> Array:
        """Prices of (15), scaled so that the column `added` keeps a reduced cost >= 0."""
        if not self.counts_added:
            return np.zeros(len(self.slices))
        stored = self.row("added", machine.machine)
        room = self.lam[0] * self.terms.settings.policy.change_usd_per_accelerator
        room += self.prices.one("added-total")
        return stored * min(1.0, room / stored.sum()) if stored.sum() > 0 else stored

    def _purchases(self, machine: MachineFacts) -> Iterator[_Purchase]:
        policy, size = self.terms.settings.policy, machine.accelerators
        carbon, water = self.instance_carbon_water(machine)
        held = self.lam[1] * carbon + self.lam[3] * water
        held = held + size * self.added[machine.machine]
        spot_price = self.row("spot", machine.region, machine.accelerator)
        held = held - size * policy.spot_share_max * spot_price
        for market in (*RENTED, *COMMITTED):
            price = price_usd_per_h(machine, market)
            if price is None or (market == "spot" and policy.spot_share_max <= 0):
                continue
            if market in COMMITTED and market not in policy.commitments:
                continue
            base = held + self.lam[0] * price * self.hours
            limit = MOST_INSTANCES if machine.max_instances is None else machine.max_instances
            for quota in self.terms.facts.instance.quotas:
                named = (quota.region, quota.accelerator)
                if named == (machine.region, machine.accelerator) and quota.market in (
                    None,
                    market,
                ):
                    key = (*named, quota.market or "")
                    base = base + size * self.row("quota", *key)
                    limit = min(limit, np.floor(quota.accelerators / size + 1e-9))
            usable = float(size)
            if market == "spot":
                base = base + size * spot_price
                usable = size * policy.spot_availability
            if limit > 0:
                yield _Purchase(machine, market, base, usable, float(limit))

    def _machine_price(self, machine: MachineFacts) -> Array | None:
        """Price of an accelerator per slice, (T,); None where the machine can never be held.

        Where a purchase has no limit of its own the price is cut so that its reduced cost is not
        negative. A machine without stored prices takes those of the one that dominates it, raised
        as far as its own purchases allow: no instance of it is held whatever is decided, so that
        costs the bound nothing.
        """
        mine = [p for p in self.purchases if p.machine is machine]
        if not mine and machine.fixed_instances == 0:
            return None
        price = self.row("machine", machine.machine)
        if price.any() or machine.fixed_instances > 0:
            return _lowered(price, [p for p in mine if p.limit >= MOST_INSTANCES])
        price = _lowered(self.row("machine", self._stand_in(machine.machine)), mine)
        return _raised(price, mine)

    # ---- pools
    def pool_price(self, machine: MachineFacts, weights: str, config: Config) -> Array:
        """Prices of the four capacity rows per slice, float (T, 4); kept, as legs share pools."""
        key = (machine.machine, weights, config)
        if key not in self._pool_prices:
            self._pool_prices[key] = self._pool_price(machine, weights, config)
        return self._pool_prices[key]

    def _pool_price(self, machine: MachineFacts, weights: str, config: Config) -> Array:
        """Prices of the four capacity rows per slice, float (T, 4), adding up to G x machine.

        A pool without stored prices takes the split of the pool that dominates it, or puts all
        on the work row. Any split is valid; the sum is what the replica column allows.
        """
        machine_price = self.machine_price[machine.machine]
        assert machine_price is not None
        key = config_key(config, weights)
        split = self._splits.get(f"{machine.machine}/{key}")
        stand_in = self._stand_in(machine.machine)
        for _ in self.prices.dominated_configs:
            if split is not None or not key:
                break
            split = self._splits.get(f"{stand_in}/{key}")
            better = self.prices.dominated_configs.get(f"{config.accelerator}/{key}", "")
            key = better.partition("/")[2]
        work = np.array([1.0, 0.0, 0.0, 0.0])
        if split is None:
            split = np.tile(work, (len(self.slices), 1))
        total = split.sum(axis=1, keepdims=True)
        split = np.where(total > 0, split / np.where(total > 0, total, 1.0), work)
        return split * (config.accelerators * machine_price)[:, None]

    @cached_property
    def _splits(self) -> dict[str, Array]:
        found: dict[str, Array] = defaultdict(lambda: np.zeros((len(self.slices), 4)))
        place = {name: t for t, name in enumerate(self.slices)}
        row_place = {name: i for i, name in enumerate(CAPACITY_ROWS)}
        for (pool, in_slice, row), price in self.prices.of("replica").items():
            if in_slice in place and row in row_place:
                found[pool][place[in_slice], row_place[row]] = price
        return dict(found)

    def _stand_in(self, machine: str) -> str:
        """The machine whose prices one takes that was left out as dominated."""
        for _ in self.prices.dominated_machines:
            machine = self.prices.dominated_machines.get(machine, machine)
        return machine


def _lowered(price: Array, purchases: list[_Purchase]) -> Array:
    """The price, cut so that no purchase has a negative reduced cost."""
    for purchase in purchases:
        worth = np.maximum(purchase.base, 0.0) / purchase.usable
        if purchase.market in RENTED:
            price = np.minimum(price, worth)
        elif price.sum() > 0:
            most = max(float(purchase.base.sum()), 0.0) / purchase.usable
            price = price * min(1.0, most / price.sum())
    return price


def _raised(price: Array, purchases: list[_Purchase]) -> Array:
    """The price, raised evenly until some purchase has a reduced cost of zero."""
    worths = [np.maximum(p.base, 0.0) / p.usable for p in purchases if p.market in RENTED]
    sums = [float(p.base.sum()) / p.usable for p in purchases if p.market in COMMITTED]
    worths += [np.full(price.shape, least) for least in sums]
    room = np.maximum(np.min(worths, axis=0) - price, 0.0)
    slack = min(sums, default=np.inf) - float(price.sum())
    if room.sum() <= slack:
        return np.asarray(price + room)
    return np.asarray(price + room * max(slack, 0.0) / room.sum())


def config_key(config: Config, weights: str) -> str:
    """Name of a configuration without its machine: ``weights/g2/fp8/40ms/4096``."""
    speed, lane = f"{1e3 * config.tpot_s:g}ms", f"{config.lane_tokens:g}"
    return f"{weights}/g{config.accelerators}/{config.precision}/{speed}/{lane}"


def accelerator_counts(size: int, most: int) -> list[int]:
    """Accelerators per replica on instances of `size`: 1, 2, 4 ... that divide it, and all."""
    counts = []
    count = 1
    while count <= size and size % count == 0:
        counts.append(count)
        count *= 2
    return [c for c in dict.fromkeys([*counts, size]) if c <= most]


# ------------------------------------------------------------------ variants


def _items_by_workload(terms: Terms) -> dict[str, list[Item]]:
    items: dict[str, list[Item]] = defaultdict(list)
    for item in terms.items.values():
        items[item.workload.workload].append(item)
    return items


class _Leg:
    """Cheapest route of every (item) of one leg of a variant, over all pools and regions."""

    def __init__(self, p: _Pricing, variant: VariantFacts, leg: int, items: list[Item]) -> None:
        self.p, self.variant, self.leg, self.items = p, variant, leg, items
        terms = p.terms
        self.lengths = list(dict.fromkeys(item.length for item in items))
        self.origins = list(dict.fromkeys(item.origin for item in items))
        self.class_of = np.array([self.lengths.index(item.length) for item in items])
        self.origin_of = np.array([self.origins.index(item.origin) for item in items])
        self.load = terms.leg_load(variant, leg)
        self.weight = terms.leg_weight(variant, leg)
        self.requests = np.array([item.requests for item in items]) * self.load
        self.qoe_weight = np.array([item.qoe_weight for item in items]) * self.weight
        self.item_weight = np.array([item.weight for item in items])
        self.origin_weight = np.array([item.origin_weight for item in items])
        self.slice_weight = np.array([item.slice_weight for item in items])
        allowed = [[t in item.slices for t in p.slices] for item in items]
        self.allowed = np.array(allowed)
        """bool (I, T) slices in which the item may be served"""
        self.request = call(terms, variant, self.lengths, np.arange(len(self.lengths)))
        self.best = np.full(len(items), np.inf)

    def solve(self) -> Array:
        """Least reduced cost of serving each item whole, float (I,); inf: no route."""
        terms, llm = self.p.terms, self.p.terms.leg_llm(self.variant, self.leg)
        if terms.settings.policy.allow_shortfall:
            self._shortfall()
        if terms.leg_hosted(self.variant, self.leg):
            for api in terms.facts.apis:
                if api.llm == llm and terms.resident(self.items[0].workload, api.region):
                    self._hosted(api.region, api)
            return self.best
        if (self.request.context_tokens > terms.llms[llm].context_tokens).all():
            return self.best
        by_accelerator: dict[str, list[MachineFacts]] = defaultdict(list)
        for machine in terms.facts.machines:
            held = self.p.machine_price[machine.machine] is not None
            if held and terms.resident(self.items[0].workload, machine.region):
                by_accelerator[machine.accelerator].append(machine)
        for accelerator, machines in by_accelerator.items():
            self._accelerator(llm, accelerator, machines)
        return self.best

    def _shortfall(self) -> None:
        lam, usd = self.p.lam, self.p.terms.settings.policy.shortfall_usd_per_request
        cost = lam[0] * self.requests * usd + lam[2] * self.qoe_weight
        cost = cost + self.p.prices.one("floor", self.variant.workload) * self.qoe_weight
        self.best = np.minimum(self.best, cost)

    def _place_terms(self, region: str) -> Array:
        """Prices of the rows that count where the demand is served, float (I, T)."""
        p, workload = self.p, self.variant.workload
        at = self.item_weight * p.prices.one("open", workload, region)
        if self.leg == 0:
            at = at - self.item_weight * p.prices.one("spread", workload, region)
            if host_figures(p.terms, self.variant, region).needed:
                name = self.variant.variant
                host = np.array([p.prices.one("host", name, region, g) for g in self.origins])
                at = at + self.origin_weight * host[self.origin_of]
        total = np.repeat(at[:, None], len(p.slices), axis=1)
        if self.leg == 0 and p.terms.region_share_max(self.items[0].workload) is not None:
            survive = p.row("survive", workload, region)
            total = total + self.slice_weight[:, None] * survive[None, :]
        return total

    def _quality_terms(self, qoe: Array, attainment: Array) -> Array:
        """Loss and attainment rows for figures by (item, ...) , same shape."""
        p, workload = self.p, self.items[0].workload
        extra = (1,) * (qoe.ndim - 1)
        loss = self.qoe_weight.reshape(-1, *extra) * (1.0 - qoe)
        total: Array = p.lam[2] * loss
        if workload.qoe_min > 0:
            total = total + p.prices.one("floor", workload.workload) * loss
        if p.terms.attainment_min(workload) is not None:
            price = p.prices.one("attain", workload.workload)
            reached = (self.weight * self.item_weight).reshape(-1, *extra) * attainment
            total = total - price * reached
        return total

    def _request_usd(self, api: ApiFacts | None) -> Array:
        """Cost lines of one request by class, (C,)."""
        lines = [
            usd_per_request(self.p.terms, self.variant, self.leg, c, api) for c in self.lengths
        ]
        return np.array([sum(line.values()) for line in lines])

    def _hosted(self, region: str, api: ApiFacts) -> None:
        p = self.p
        trips = np.array([p.terms.facts.round_trip_s[g, region] for g in self.origins])
        request = call(p.terms, self.variant, self.lengths, self.class_of)
        trip = trips[self.origin_of]
        a = hosted_answers(p.terms, self.variant, self.leg, request, api, trip)
        workload = self.items[0].workload
        fits = np.ones(len(self.items), dtype=bool)
        llm = p.terms.llms.get(p.terms.leg_llm(self.variant, self.leg))
        if llm is not None:
            fits &= a.context_tokens <= llm.context_tokens
        if workload.kind == "interactive":
            fits &= a.tpot_s <= _target(workload.tpot_target_s)
            fits &= a.shift_s + a.residual_s <= _target(workload.ttft_target_s)
        grams = a.context_tokens / 1e3 * api.gco2e_per_ktok
        cost = p.lam[0] * self.requests * self._request_usd(api)[self.class_of]
        cost = cost + p.lam[1] * self.requests * grams / 1e3
        cost = cost + self._quality_terms(a.qoe, a.attainment)
        total = cost[:, None] + self._place_terms(region)
        total = np.where(self.allowed & fits[:, None], total, np.inf)
        self.best = np.minimum(self.best, total.min(axis=1))

    def _accelerator(self, llm: str, accelerator: str, machines: list[MachineFacts]) -> None:
        """Routes to every pool on machines with one accelerator type."""
        terms, facts = self.p.terms, self.p.terms.llms[llm]
        serving = terms.settings.serving
        sizes = sorted(
            {
                count
                for machine in machines
                for count in accelerator_counts(
                    machine.accelerators, facts.max_accelerators_per_replica
                )
            }
        )
        for size in sizes:
            for precision in facts.precisions:
                for tpot_s in serving.operating_tpot_s:
                    for lane in serving.prompt_lane_tokens:
                        config = Config(llm, accelerator, size, precision, tpot_s, lane)
                        self._config(config, machines)

    def _config(self, config: Config, machines: list[MachineFacts]) -> None:
        p, terms = self.p, self.p.terms
        workload = self.items[0].workload
        if workload.kind == "interactive" and config.tpot_s > _target(workload.tpot_target_s):
            return
        hosts = [
            m
            for m in machines
            if config.accelerators
            in accelerator_counts(
                m.accelerators, terms.llms[config.llm].max_accelerators_per_replica
            )
        ]
        regions = list(dict.fromkeys(m.region for m in hosts))
        trips = np.array([[terms.facts.round_trip_s[g, r] for g in self.origins] for r in regions])
        request = call(
            terms, self.variant, self.lengths, np.arange(len(self.lengths))[:, None, None]
        )
        a = pool_answers(terms, self.variant, self.leg, request, config, trips[None, :, :])
        runs = np.isfinite(a.share_per_rps[..., 0]) & (a.new_tokens <= config.lane_tokens)
        runs &= a.context_tokens <= terms.llms[config.llm].context_tokens
        if workload.kind == "interactive":
            runs &= a.shift_s <= _target(workload.ttft_target_s)
        if not runs.any():
            return
        weights = terms.leg_weights(self.variant, self.leg)
        usd = p.lam[0] * self.requests * self._request_usd(None)[self.class_of]
        per_second = self.requests[:, None] / (3600.0 * p.hours[None, :])
        for k, region in enumerate(regions):
            pick = (self.class_of, k, self.origin_of)
            if not runs[pick].any():
                continue
            place = terms.regions[region]
            share = np.where(runs[pick][:, None], a.share_per_rps[pick], 0.0)
            carbon = p.lam[1] * place.pue * np.array(place.carbon_kgco2e_per_kwh)
            water = water_litres(
                1.0, place.pue, place.site_wue_l_per_kwh, place.electricity_water_l_per_kwh
            )
            per_kwh = carbon + p.lam[3] * float(water)
            kw = a.load_above_idle_w[pick] / 1e3 * share[:, 0]
            energy = kw[:, None] * per_second * (p.hours * per_kwh)[None, :]
            base = usd + self._quality_terms(a.qoe[pick], a.attainment[pick])
            cost = base[:, None] + energy + self._place_terms(region)
            prices = [p.pool_price(m, weights, config) for m in hosts if m.region == region]
            for price in prices:
                total = cost + per_second * (share @ price.T)
                total = np.where(self.allowed & runs[pick][:, None], total, np.inf)
                self.best = np.minimum(self.best, total.min(axis=1))


def _target(value: float | None) -> float:
    return np.inf if value is None else value


def _variant_value(p: _Pricing, variant: VariantFacts, items: list[Item]) -> float:
    """Cost of adopting a variant at the prices; inf where it cannot serve everything."""
    terms, lam = p.terms, p.lam
    workload = terms.workloads[variant.workload]
    if terms.quality(variant) < workload.quality_min - 1e-12:
        return np.inf
    value = lam[0] * (staff_usd(terms, variant) + reembedding_usd(terms, variant))
    if p.incumbent is not None:
        before = {row.workload: row.variant for row in p.incumbent.adoption}
        if before.get(variant.workload) == variant.variant:
            value -= p.prices.one("changed")
        else:
            value += lam[0] * terms.settings.policy.change_usd_per_workload
    for llm in {terms.leg_llm(variant, leg) for leg in terms.legs(variant)}:
        value += p.prices.one("keep", variant.variant, llm)
    if variant.method is not None:
        value += _training_value(p, variant)
    for leg in terms.legs(variant):
        if not np.isfinite(value):
            return np.inf
        value += float(_Leg(p, variant, leg, items).solve().sum())
    return float(value)


def _training_value(p: _Pricing, variant: VariantFacts) -> float:
    """Least cost of training a variant at the prices, over every machine and slice."""
    terms, least = p.terms, np.inf
    workload = terms.workloads[variant.workload]
    for machine in terms.facts.machines:
        if machine.ondemand_usd_per_h is None or not terms.resident(workload, machine.region):
            continue
        for in_slice in p.slices:
            run = training_figures(terms, variant, machine, in_slice)
            if run.possible:
                totals = (run.cost_usd, run.carbon_kgco2e, 0.0, run.water_l)
                least = min(least, float(p.lam @ np.array(totals)))
    return least


# ------------------------------------------------------------------ everything else


def _purchase_columns(p: _Pricing) -> Iterator[float]:
    """min(0, reduced cost) x upper bound of every purchase."""
    for purchase in p.purchases:
        price = p.machine_price[purchase.machine.machine]
        assert price is not None
        reduced = purchase.base - purchase.usable * price
        if purchase.market in RENTED:
            yield float(np.minimum(reduced, 0.0).sum()) * purchase.limit
        else:
            yield min(float(reduced.sum()), 0.0) * purchase.limit


def _binary_columns(p: _Pricing) -> Iterator[float]:
    """min(0, reduced cost) of every copy, region and llm in use."""
    terms, prices, policy = p.terms, p.prices, p.terms.settings.policy
    hosts: dict[tuple[str, str], float] = defaultdict(float)
    for (variant, region, origin), paid in prices.of("host").items():
        known = origin in {o.origin for o in terms.facts.instance.origins}
        if known and variant in terms.variants and region in terms.region_names:
            hosts[variant, region] += paid
    for (variant, region), paid in hosts.items():
        copy = host_figures(terms, terms.variants[variant], region)
        if copy.needed:
            yield min(0.0, p.lam[0] * copy.cost_usd + p.lam[1] * copy.carbon_kgco2e - paid)
    for name, workload in terms.workloads.items():
        if workload.min_regions > 1:
            count = prices.one("spread-count", name)
            for region in terms.region_names:
                yield min(0.0, MIN_REGION_SHARE * prices.one("spread", name, region) - count)
    for region in terms.region_names:
        place = terms.regions.get(region)
        fixed = 0.0 if place is None else place.fixed_usd
        opened = sum(prices.one("open", w, region) for w in terms.workloads)
        yield min(0.0, p.lam[0] * fixed + prices.one("open-count") - 2.0 * opened)
    if policy.max_llms is not None:
        kept: dict[str, float] = defaultdict(float)
        for (variant, llm), paid in prices.of("keep").items():
            kept[llm] += paid if variant in terms.variants else 0.0
        for llm in {v.llm for v in terms.facts.variants} | set(kept):
            yield min(0.0, prices.one("keep-count") - kept[llm])


def _right_hand_sides(p: _Pricing) -> Iterator[float]:
    """price x right-hand side of every row written as ``a x <= b``."""
    yield from _fleet_sides(p)
    yield from _workload_sides(p)
    yield from _total_sides(p)


def _fleet_sides(p: _Pricing) -> Iterator[float]:
    terms, policy = p.terms, p.terms.settings.policy
    for machine in terms.facts.machines:
        fixed = machine.accelerators * machine.fixed_instances
        price = p.machine_price[machine.machine]
        if price is not None:
            yield float(price.sum()) * fixed
        spot = p.row("spot", machine.region, machine.accelerator)
        yield float(spot.sum()) * policy.spot_share_max * fixed
        if p.counts_added:
            room = p.peak.get(machine.machine, 0.0) - fixed
            yield float(p.added[machine.machine].sum()) * room
    for quota in terms.facts.instance.quotas:
        row = p.row("quota", quota.region, quota.accelerator, quota.market or "")
        yield float(row.sum()) * quota.accelerators


def _workload_sides(p: _Pricing) -> Iterator[float]:
    terms, prices = p.terms, p.prices
    scored: dict[str, float] = defaultdict(float)
    for item in terms.items.values():
        scored[item.workload.workload] += item.qoe_weight
    for name, workload in terms.workloads.items():
        share = terms.region_share_max(workload)
        if share is not None:
            for region in terms.region_names:
                yield float(p.row("survive", name, region).sum()) * share
        attained = terms.attainment_min(workload)
        if attained is not None:
            yield -prices.one("attain", name) * attained
        if workload.qoe_min > 0:
            yield prices.one("floor", name) * (1.0 - workload.qoe_min) * scored[name]
        if workload.min_regions > 1:
            yield -prices.one("spread-count", name) * workload.min_regions


def _total_sides(p: _Pricing) -> Iterator[float]:
    terms, prices, policy = p.terms, p.prices, p.terms.settings.policy
    changed = policy.max_changed_workloads
    for family, limit in (
        ("open-count", policy.max_regions),
        ("keep-count", policy.max_llms),
        ("added-total", policy.max_added_accelerators),
        ("changed", None if changed is None else changed - len(terms.workloads)),
    ):
        if limit is not None:
            yield prices.one(family) * limit
    caps = terms.settings.caps
    loss = None if caps.qoe_min is None else 1.0 - caps.qoe_min
    for price, cap in zip(
        prices.cap, (caps.cost_usd, caps.carbon_kgco2e, loss, caps.water_l), strict=True
    ):
        if cap is not None:
            yield float(price) * cap


def _fixed_total(p: _Pricing) -> float:
    """What machines held anyway cost at the prices."""
    total = 0.0
    for machine in p.terms.facts.machines:
        carbon, water = p.instance_carbon_water(machine)
        held = p.lam[1] * carbon.sum() + p.lam[3] * water.sum()
        fixed_usd = machine.fixed_usd_per_h * p.terms.period_hours
        total += p.lam[0] * fixed_usd + machine.fixed_instances * float(held)
    return total


def verify_certificate(
    facts: Facts, plan: Plan, prices: DualPrices, incumbent: Plan | None = None
) -> tuple[float, tuple[Violation, ...]]:
    """(the bound re-proved, what is wrong with the stated one), both of the plan's certificate.

    A bound found by branch and bound may exceed what the prices prove; one said to rest on dual
    prices may not.
    """
    findings, stated = Findings(), plan.certificate
    try:
        proved = verify_bound(facts, prices, incumbent)
    except VerificationError as error:
        findings.add("certificate", "dual prices", "prices that prove", "none", str(error))
        return -np.inf, findings.all()
    aim = np.array([stated.minimised == name for name in ("cost", "carbon", "qoe-loss", "")])
    if not np.array_equal(prices.weights, aim.astype(float)):
        findings.add(
            "certificate",
            "weights",
            stated.minimised,
            str(prices.weights),
            f"the prices are for weights {prices.weights}, not for {stated.minimised}",
        )
    slack = TOLERANCE * max(abs(stated.value), 1e-9)
    if stated.proof == "dual prices" and stated.bound > proved + slack:
        findings.add(
            "certificate",
            "bound",
            f"at most {proved:.9g}",
            stated.bound,
            f"the stored prices prove {proved:.9g}, the plan states {stated.bound:.9g}",
        )
    if proved > stated.value + slack:
        findings.add(
            "certificate",
            "value",
            f"at least {proved:.9g}",
            stated.value,
            f"the stored prices prove {proved:.9g}, above the plan's own {stated.value:.9g}",
        )
    return proved, findings.all()


def verify_bound(facts: Facts, prices: DualPrices, incumbent: Plan | None = None) -> float:
    """The lower bound on ``weights . (cost, carbon, loss, water)`` that the prices prove.

    In the unit of what is minimised; `MARGIN` is taken off for rounding. VerificationError where
    the prices are none (negative, not finite, unknown rows) or price a row that does not exist.
    """
    problems = [*prices.problems(), *_rows_that_do_not_exist(facts, prices, incumbent)]
    if problems:
        raise VerificationError("the stored prices prove nothing: " + "; ".join(problems[:5]))
    p = _Pricing(facts, prices, incumbent)
    items = _items_by_workload(p.terms)
    terms = [_fixed_total(p)]
    for name in items:
        values = [_variant_value(p, v, items[name]) for v in facts.variants if v.workload == name]
        terms.append(min(values, default=np.inf))
    terms.extend(_purchase_columns(p))
    terms.extend(_binary_columns(p))
    terms.extend(-value for value in _right_hand_sides(p))
    everything = np.array(terms)
    margin = MARGIN * float(np.abs(everything[np.isfinite(everything)]).sum())
    return float(everything.sum()) - margin


def _rows_that_do_not_exist(
    facts: Facts, prices: DualPrices, incumbent: Plan | None
) -> Iterator[str]:
    """Prices on rules that the instance does not have: they would prove too much."""
    terms, policy = Terms(facts), facts.instance.settings.policy
    caps = facts.instance.settings.caps
    none: dict[str, bool] = {
        "open-count": policy.max_regions is None,
        "keep-count": policy.max_llms is None,
        "keep": policy.max_llms is None,
        "added": incumbent is None,
        "added-total": incumbent is None or policy.max_added_accelerators is None,
        "changed": incumbent is None or policy.max_changed_workloads is None,
    }
    for family, missing in none.items():
        if missing and any(price > 0 for price in prices.of(family).values()):
            yield f"row {family} is priced, the instance has no such rule"
    limits = (caps.cost_usd, caps.carbon_kgco2e, caps.qoe_min, caps.water_l)
    for name, price, cap in zip(
        ("cost", "carbon", "qoe", "water"), prices.cap, limits, strict=True
    ):
        if cap is None and price > 0:
            yield f"the cap on {name} is priced, the instance has none"
    for family, has in (
        ("attain", lambda w: terms.attainment_min(w) is not None),
        ("floor", lambda w: w.qoe_min > 0),
        ("spread", lambda w: w.min_regions > 1),
        ("spread-count", lambda w: w.min_regions > 1),
    ):
        for key, price in prices.of(family).items():
            workload = terms.workloads.get(key[0])
            if price > 0 and (workload is None or not has(workload)):
                yield f"row {family} of {key[0]} is priced, the instance has no such rule"
