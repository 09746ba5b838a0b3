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

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from planner.errors import VerificationError
from planner.incumbent import Incumbent
from planner.instance.facts import ApiFacts, Facts, MachineFacts, VariantFacts
from planner.verify.adaptation import reembedding_usd, staff_usd
from planner.verify.case import CAPACITY_ROWS, COMMITTED, RENTED
from planner.verify.figures import call, hosted_answers, peak_price, usd_per_request
from planner.verify.ground import MOST_INSTANCES, Array, Ground, Routes, at_most
from planner.verify.prices import DualPrices
from planner.verify.terms import MIN_REGION_SHARE

MARGIN = 1e-9
"""Floating-point margin: this share of the sum of all absolute terms is taken off."""
MOST_ROUTES_AT_ONCE = 2_000_000
"""Routes priced in one array: bounds the memory."""


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

    def __init__(self, ground: Ground, prices: DualPrices) -> None:
        self.ground, self.terms, self.moves = ground, ground.terms, ground.moves
        self.prices, self.lam = prices, prices.weights + prices.cap
        self.slices, self.hours = ground.slices, ground.hours
        self._pools: dict[str, Array] = {}
        machines = ground.facts.machines
        self.held = {
            name: self.lam[1] * c + self.lam[3] * w for name, (c, w) in ground.held.items()
        }
        self.running = {
            name: self.lam[1] * c + self.lam[3] * w for name, (c, w) in ground.running.items()
        }
        self.added = {m.machine: self._added(m) for m in machines}
        self.purchases = [p for m in machines for p in self._purchases(m)]
        self.machine_price = {m.machine: self._machine_price(m) for m in machines}

    @cached_property
    def per_kwh(self) -> Array:
        """Prices of a kWh above idle in each region and slice, float (R, T)."""
        carbon, water = self.ground.per_kwh
        return np.asarray(self.lam[1] * carbon + self.lam[3] * water)

    # ---- machines
    def row(self, family: str, *names: str) -> Array:
        """Prices of a family over slices, (T,)."""
        return np.array([self.prices.one(family, *names, t) for t in self.slices])

    def _added(self, machine: MachineFacts) -> Array:
        """Prices of (15), scaled so that the column `added` keeps a reduced cost >= 0.

        A machine that was left out as dominated takes those of the one that dominates it: the
        incumbent holds none of it, so that costs the bound nothing.
        """
        if self.moves.incumbent is None:
            return np.zeros(len(self.slices))
        stored = self.row("added", self._stand_in(machine.machine))
        usd, kgco2e = self.moves.per_accelerator(machine)
        room = self.lam[0] * usd + self.lam[1] * kgco2e + self.prices.one("added-total")
        return stored * min(1.0, room / stored.sum()) if stored.sum() > 0 else stored

    def _purchases(self, machine: MachineFacts) -> Iterator[_Purchase]:
        size, share = machine.accelerators, self.terms.settings.policy.spot_share_max
        held = self.held[machine.machine] + size * self.added[machine.machine]
        spot_price = self.row("spot", machine.region, machine.accelerator)
        held = held - size * share * spot_price
        for offer in self.ground.offers[machine.machine]:
            base = held + self.lam[0] * offer.usd_per_h * self.hours
            for key in offer.quotas:
                base = base + size * self.row("quota", *key)
            if offer.market == "spot":
                base = base + size * spot_price
            yield _Purchase(machine, offer.market, base, offer.usable, offer.limit)

    def _machine_price(self, machine: MachineFacts) -> Array | None:
        """Price of an accelerator per slice, (T,); None where the machine can never be held.

        Where a purchase has no limit of its own the price is cut so that its reduced cost is not
        negative. A machine without stored prices takes those of the one that dominates it, raised
        as far as its own purchases allow: no instance of it is held whatever is decided, so that
        costs the bound nothing.
        """
        if not self.ground.holdable(machine):
            return None
        mine = [p for p in self.purchases if p.machine is machine]
        price = self.row("machine", machine.machine)
        if price.any() or machine.fixed_instances > 0:
            return _lowered(price, [p for p in mine if p.limit >= MOST_INSTANCES])
        price = _lowered(self.row("machine", self._stand_in(machine.machine)), mine)
        return _raised(price, mine)

    # ---- pools
    def pools(self, llm: str, weights: str) -> Array:
        """Prices of the capacity rows of every pool that could hold the weights, (P, T, 4)."""
        if weights not in self._pools:
            self._pools[weights] = self._make_pools(llm, weights)
        return self._pools[weights]

    def _make_pools(self, llm: str, weights: str) -> Array:
        places = self.ground.places(llm, weights)
        split = np.zeros((len(places.keys), len(self.slices), 4))
        price = np.zeros((len(places.keys), len(self.slices), 1))
        lent: list[tuple[int, int, int]] = []
        for row, (machine, accelerator, own) in enumerate(places.keys):
            known, key = self._split(machine, accelerator, own)
            if known is not None:
                split[row] = known
            if key != own:
                at = int(places.config[row])
                lent.append((row, at, places.named[accelerator, key]))
            price[row, :, 0] = self.machine_price[machine] + self.running[machine]
        moves: dict[tuple[int, int], Array] = {}
        for row, at, other in lent:
            if (at, other) not in moves:
                share = self.ground.shares(llm, weights)
                moves[at, other] = _rows_above(share[at], share[other])
            split[row] = split[row] @ moves[at, other]
        total = split.sum(axis=2, keepdims=True)
        work = np.array([1.0, 0.0, 0.0, 0.0])
        split = np.where(total > 0, split / np.where(total > 0, total, 1.0), work)
        return np.asarray(split * (places.accelerators[:, None, None] * price))

    def _split(self, machine: str, accelerator: str, own: str) -> tuple[Array | None, str]:
        """Stored prices of the capacity rows of a pool (T, 4), or of the one that dominates it, and
        the configuration whose they are.

        Only their ratio is used, any ratio is valid: the four add up to G x (the machine's price
        and what an accelerator emits by running), which is what the replica column allows. Where
        nothing is stored all goes to the work row.
        """
        split = self._splits.get(f"{machine}/{own}")
        stand_in = self._stand_in(machine) if split is None else machine
        key = own
        for _ in self.prices.dominated_configs:
            if split is not None:
                return split, key
            split = self._splits.get(f"{stand_in}/{key}")
            better = self.prices.dominated_configs.get(f"{accelerator}/{key}", "")
            if split is not None or not better:
                break
            key = better.partition("/")[2]
        return split, own if split is None else key

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
            better = self.prices.dominated_machines.get(machine)
            if better is None:
                break
            machine = better
        return machine


def _rows_above(ours: Array, better: Array) -> Array:
    """Where the price of each capacity row of a better configuration goes, float (4, 4) of 0 and 1:
    to the row of ours that takes most beside it; both (C, 4).

    The better one is better because each of its rows is below one of ours, not always its
    namesake: a large replica may lack work where a small one lacks memory.
    """
    known = np.isfinite(ours).all(axis=1) & np.isfinite(better).all(axis=1)
    if not known.any():
        return np.eye(4)
    with np.errstate(divide="ignore", invalid="ignore"):
        beside = ours[known][:, None, :] / better[known][:, :, None]
    least = np.where(np.isnan(beside), np.inf, beside).min(axis=0)
    moved: Array = np.eye(4)[least.argmax(axis=1)]
    return moved


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
    if slack <= 0.0:  # no room at all, by rounding even less
        return price
    if room.sum() <= slack:
        return np.asarray(price + room)
    return np.asarray(price + room * slack / room.sum())


# ------------------------------------------------------------------ variants


class _Leg:
    """Cheapest route of every item of one leg of a variant, over all pools, regions and slices."""

    def __init__(self, p: _Pricing, variant: VariantFacts, leg: int) -> None:
        self.p, self.variant, self.leg = p, variant, leg
        self.demand = p.ground.demand(variant, leg)
        self.workload = self.demand.workload
        names = (self.workload.workload, variant.variant)  # rows (8), (10) and (11) are of either
        self.names = names
        self.attain_price = sum(p.prices.one("attain", name) for name in names)
        self.floor_price = sum(p.prices.one("floor", name) for name in names)
        self.best = np.full(len(self.demand.item), np.inf)

    def solve(self) -> Array:
        """Least reduced cost of serving each item whole, float (I,); inf: no route."""
        terms, ground = self.p.terms, self.p.ground
        if terms.settings.policy.allow_shortfall:
            self._shortfall()
        if terms.leg_hosted(self.variant, self.leg):
            llm = terms.leg_llm(self.variant, self.leg)
            for api in terms.facts.apis:
                if api.llm == llm and ground.may_answer(self.variant, self.leg, api.region):
                    self._hosted(api)
        else:
            routes = ground.routes(self.variant, self.leg)
            if routes is not None:
                self._self_hosted(routes)
        return np.asarray(np.minimum.reduceat(self.best, self.demand.first))

    def _shortfall(self) -> None:
        lam, usd = self.p.lam, self.p.terms.settings.policy.shortfall_usd_per_request
        demand = self.demand
        cost = lam[0] * demand.requests * usd + (lam[2] + self.floor_price) * demand.qoe_weight
        self.best = np.minimum(self.best, cost)

    def _place_terms(self, region: str) -> Array:
        """Prices of the rows that count where the demand is served, float (N,)."""
        p, demand, workload = self.p, self.demand, self.variant.workload
        at = demand.item_weight * p.prices.one("open", workload, region)
        if self.leg == 0:
            at = at - demand.item_weight * p.prices.one("spread", workload, region)
            if p.ground.host(self.variant, region).needed:
                name = self.variant.variant
                host = np.array([p.prices.one("host", name, region, g) for g in demand.origins])
                at = at + demand.origin_weight * host[demand.origin_of]
            if p.terms.region_share_max(self.workload) is not None:
                paid = sum(p.row("survive", name, region) for name in self.names)
                at = at + demand.slice_weight * np.asarray(paid)[demand.slice]
        return at

    def _quality_terms(self, qoe: Array, attainment: Array) -> Array:
        """Loss and attainment rows of figures by row, (..., N)."""
        loss = (self.p.lam[2] + self.floor_price) * self.demand.qoe_weight * (1.0 - qoe)
        reached = self.attain_price * self.demand.weight * self.demand.item_weight * attainment
        return np.asarray(loss - reached)

    def _usd(self, api: ApiFacts | None) -> Array:
        """Prices of the cost lines, float (N,)."""
        p, demand = self.p, self.demand
        lines = [usd_per_request(p.terms, self.variant, self.leg, c, api) for c in demand.lengths]
        tokens = np.array([line["api tokens"] for line in lines])
        others = np.array([sum(line.values()) for line in lines]) - tokens
        peak = np.array([peak_price(p.terms, api, t) for t in p.terms.slice_hours])
        per_request = tokens[demand.class_of] * peak[demand.slice] + others[demand.class_of]
        return np.asarray(p.lam[0] * demand.requests * per_request)

    def _hosted(self, api: ApiFacts) -> None:
        p, demand = self.p, self.demand
        trips = np.array([p.terms.facts.round_trip_s[g, api.region] for g in demand.origins])
        request = call(p.terms, self.variant, demand.lengths, demand.class_of)
        trip = trips[demand.origin_of]
        a = hosted_answers(p.terms, self.variant, self.leg, request, api, trip)
        fits = np.ones(len(demand.item), dtype=bool)
        llm = p.terms.llms.get(p.terms.leg_llm(self.variant, self.leg))
        if llm is not None:
            fits &= a.context_tokens <= llm.context_tokens
        if self.workload.kind == "interactive":
            fits &= a.tpot_s <= at_most(self.workload.tpot_target_s)
            fits &= a.shift_s + a.residual_s <= at_most(self.workload.ttft_target_s)
        weights = (p.lam[1] * api.gco2e_per_ktok / 1e3 + p.lam[3] * api.water_l_per_ktok) / 1e3
        cost = self._usd(api) + demand.requests * a.context_tokens * weights
        cost = cost + self._quality_terms(a.qoe, a.attainment) + self._place_terms(api.region)
        self.best = np.minimum(self.best, np.where(fits, cost, np.inf))

    def _self_hosted(self, routes: Routes) -> None:
        """Routes to every pool of the leg's weights, (P, N)."""
        p, terms, demand = self.p, self.p.terms, self.demand
        weights = terms.leg_weights(self.variant, self.leg)
        price = p.pools(terms.leg_llm(self.variant, self.leg), weights)[routes.rows]
        there = demand.class_of * len(demand.origins) + demand.origin_of
        open_to = np.unique(routes.region)
        place = np.zeros((len(terms.region_names), len(demand.item)))
        place[open_to] = [self._place_terms(terms.region_names[r]) for r in open_to]
        cost = self._usd(None)
        cost = cost + self._quality_terms(routes.qoe[:, there], routes.attainment[:, there])
        cost = np.where(routes.can[:, there], cost + place[routes.region], np.inf)  # (Q, N)
        per_second = routes.share[routes.config] @ price.transpose(0, 2, 1)  # (P, C, T)
        energy = p.hours * p.per_kwh[routes.region[routes.pair]]
        per_second += routes.kw[routes.config][:, :, None] * energy[:, None, :]
        paid = per_second.reshape(len(per_second), -1)
        when = demand.class_of * len(p.hours) + demand.slice
        step = max(1, MOST_ROUTES_AT_ONCE // len(demand.item))
        for at in range(0, len(paid), step):
            block = slice(at, at + step)
            total = cost[routes.pair[block]] + demand.per_second * paid[block][:, when]  # routes
            self.best = np.minimum(self.best, total.min(axis=0))


def _variant_value(p: _Pricing, variant: VariantFacts) -> float:
    """Cost of adopting a variant at the prices; inf where it cannot serve everything."""
    terms, lam = p.terms, p.lam
    workload = terms.workloads[variant.workload]
    if terms.quality(variant) < workload.quality_min - 1e-12 or not p.moves.may_adopt(variant):
        return np.inf
    value = lam[0] * (staff_usd(terms, variant) + reembedding_usd(terms, variant))
    value += lam[0] * (p.moves.work_usd(variant) + p.moves.first_tune_usd(variant))
    value += lam[0] * p.moves.first_index_usd(variant)
    if p.moves.incumbent is not None and not p.moves.changed(variant):
        value -= p.prices.one("changed")
    share, attained = terms.region_share_max(workload), terms.attainment_min(workload)
    if share is not None:
        rows = [p.row("survive", variant.variant, region) for region in terms.region_names]
        value -= float(np.sum(rows)) * share
    if attained is not None:
        value += p.prices.one("attain", variant.variant) * attained
    scored = sum(item.qoe_weight for item in p.ground.items[variant.workload])
    value -= p.prices.one("floor", variant.variant) * (1.0 - workload.qoe_min) * scored
    for llm in {terms.leg_llm(variant, leg) for leg in terms.legs(variant)}:
        value += sum(p.prices.one("keep", n, llm) for n in (variant.workload, variant.variant))
    if variant.method is not None:
        value += _training_value(p, variant)
    for leg in terms.legs(variant):
        if not np.isfinite(value):
            return np.inf
        value += float(_Leg(p, variant, leg).solve().sum())
    return float(value)


def _training_value(p: _Pricing, variant: VariantFacts) -> float:
    """Least cost of training a variant at the prices, over every machine and slice."""
    cost, carbon, water = p.ground.training(variant)
    totals = p.lam[0] * cost + p.lam[1] * carbon + p.lam[3] * water
    return float(totals.min(initial=np.inf))


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


def _binary_columns(p: _Pricing, worth: Mapping[str, float]) -> Iterator[float]:
    """min(0, reduced cost) of every copy, region and llm in use; `worth` as in `Statement`."""
    terms, prices, policy = p.terms, p.prices, p.terms.settings.policy
    hosts: dict[tuple[str, str], float] = defaultdict(float)
    for (variant, region, origin), paid in prices.of("host").items():
        known = origin in {o.origin for o in terms.facts.instance.origins}
        if known and variant in terms.variants and region in terms.region_names:
            hosts[variant, region] += paid
    for (variant, region), paid in hosts.items():
        copy = p.ground.host(terms.variants[variant], region)
        if copy.needed:
            yield min(0.0, p.lam[0] * copy.cost_usd + p.lam[1] * copy.carbon_kgco2e - paid)
    for name, workload in terms.workloads.items():
        if workload.min_regions > 1:
            count = prices.one("spread-count", name)
            for region in terms.region_names:
                yield min(0.0, MIN_REGION_SHARE * prices.one("spread", name, region) - count)
    yield from _open_columns(p, worth)
    if policy.max_llms is not None:
        kept: dict[str, float] = defaultdict(float)
        for (name, llm), paid in prices.of("keep").items():
            kept[llm] += paid if name in terms.variants or name in terms.workloads else 0.0
        for llm in {v.llm for v in terms.facts.variants} | set(kept):
            yield min(0.0, prices.one("keep-count") - kept[llm])


def _open_columns(p: _Pricing, worth: Mapping[str, float]) -> Iterator[float]:
    """min(0, reduced cost) of every region in use: in (13) count the legs of variants that a plan
    can adopt at all."""
    terms, prices = p.terms, p.prices
    legs = dict.fromkeys(terms.workloads, 1)
    for v in terms.facts.variants:
        if worth[v.variant] < np.inf:
            legs[v.workload] = max(legs[v.workload], len(terms.legs(v)))
    for region in terms.region_names:
        place = terms.regions.get(region)
        fixed = 0.0 if place is None else place.fixed_usd
        opened = sum(legs[w] * prices.one("open", w, region) for w in terms.workloads)
        yield min(0.0, p.lam[0] * fixed + prices.one("open-count") - opened)


def _right_hand_sides(p: _Pricing) -> Iterator[float]:
    """price x right-hand side of every row written as ``a x <= b``."""
    yield from _fleet_sides(p)
    yield from _workload_sides(p)
    yield from _total_sides(p)


def _fleet_sides(p: _Pricing) -> Iterator[float]:
    terms, policy = p.terms, p.terms.settings.policy
    for machine in terms.facts.machines:
        fixed = machine.accelerators * np.array(machine.fixed_by_slice)
        price = p.machine_price[machine.machine]
        if price is not None:
            yield float(price @ fixed)
        spot = p.row("spot", machine.region, machine.accelerator)
        yield float(spot @ fixed) * policy.spot_share_max
        room = p.moves.peak.get(machine.machine, 0.0) - fixed
        yield float(p.added[machine.machine] @ room)
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
        fixed_usd = machine.fixed_usd_per_h * p.terms.period_hours
        held = p.held[machine.machine] @ np.array(machine.fixed_by_slice)
        total += p.lam[0] * fixed_usd + float(held)
    return total


@dataclass(frozen=True)
class Statement:
    """What a price vector says of every plan: it has at least ``rest`` and what its variants are
    worth, in the unit of what is minimised; `MARGIN` is taken off ``rest`` for rounding."""

    rest: float
    worth: dict[str, float]
    """by variant; inf: no plan can adopt it"""


def statement(ground: Ground, prices: DualPrices) -> Statement:
    """What the prices prove. VerificationError where they are none (negative, not finite, unknown
    rows) or price a row that does not exist.
    """
    facts = ground.facts
    problems = [*prices.problems(), *_rows_that_do_not_exist(ground, prices)]
    if problems:
        raise VerificationError("the stored prices prove nothing: " + "; ".join(problems[:5]))
    p = _Pricing(ground, prices)
    worth = {v.variant: _variant_value(p, v) for v in facts.variants if v.workload in ground.items}
    # Without demand a workload needs no variant, and any of them is worth nothing.
    worth = {v.variant: worth.get(v.variant, 0.0) for v in facts.variants}
    terms = [_fixed_total(p)]
    terms.extend(_purchase_columns(p))
    terms.extend(_binary_columns(p, worth))
    terms.extend(-value for value in _right_hand_sides(p))
    rest, size = math.fsum(terms), math.fsum(map(abs, terms))
    size += math.fsum(abs(v) for v in _least(facts, worth) if v < np.inf)
    return Statement(rest - MARGIN * size, worth)


def verify_bound(facts: Facts, prices: DualPrices, incumbent: Incumbent | None = None) -> float:
    """The lower bound on ``weights . (cost, carbon, loss, water)`` that the prices prove.

    In the unit of what is minimised. Raises as `statement`.
    """
    return level(facts, statement(Ground(facts, incumbent), prices))


def level(facts: Facts, said: Statement) -> float:
    """What a statement proves whatever is adopted."""
    return said.rest + math.fsum(_least(facts, said.worth))


def _least(facts: Facts, worth: Mapping[str, float]) -> list[float]:
    """The least worth of the variants of each workload; inf where it has none."""
    least = dict.fromkeys((w.workload for w in facts.instance.workloads), np.inf)
    for variant in facts.variants:
        least[variant.workload] = min(least[variant.workload], worth[variant.variant])
    return list(least.values())


def _rows_that_do_not_exist(ground: Ground, prices: DualPrices) -> Iterator[str]:
    """Prices on rules that the instance does not have: they would prove too much."""
    terms, incumbent = ground.terms, ground.moves.incumbent
    policy, caps = terms.settings.policy, terms.settings.caps
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
            name = terms.variants[key[0]].workload if key[0] in terms.variants else key[0]
            workload = terms.workloads.get(name)
            if price > 0 and (workload is None or not has(workload)):
                yield f"row {family} of {key[0]} is priced, the instance has no such rule"
