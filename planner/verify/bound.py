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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from models.coefficients import answer
from models.coefficients.energy import water_litres
from planner.errors import VerificationError
from planner.incumbent import Incumbent
from planner.instance.facts import ApiFacts, Facts, MachineFacts, VariantFacts
from planner.serving import has_arithmetic
from planner.verify.adaptation import (
    HostFigures,
    reembedding_usd,
    staff_usd,
    training_runs,
)
from planner.verify.case import CAPACITY_ROWS, COMMITTED, RENTED, price_usd_per_h
from planner.verify.figures import (
    Config,
    ConfigTable,
    call,
    hosted_answers,
    pool_experience,
    pool_loads,
    usd_per_request,
)
from planner.verify.migration import Moves
from planner.verify.prices import DualPrices
from planner.verify.terms import MIN_REGION_SHARE, Item, Terms
from planner.verify.totals import instance_hour

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MARGIN = 1e-9
"""Floating-point margin: this share of the sum of all absolute terms is taken off."""
MOST_ROUTES_AT_ONCE = 2_000_000
"""Routes priced in one array: bounds the memory."""
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


@dataclass(frozen=True, eq=False)
class _Pools:
    """Pools of some weights, (P,), on pairs (configuration, region), (Q,): what a user sees depends
    on the pair alone, not on the machine."""

    table: ConfigTable
    config: IntArray
    """(P,)"""
    pair: IntArray
    """(P,)"""
    pair_config: IntArray
    """(Q,)"""
    pair_region: IntArray
    """(Q,) index in `Terms.region_names`"""
    price: Array
    """float (P, T, 4) of the capacity rows"""

    def only(self, pair: BoolArray) -> _Pools:
        """The pools on some pairs, bool (Q,)."""
        keep, at = pair[self.pair], np.cumsum(pair) - 1
        return _Pools(
            self.table,
            self.config[keep],
            at[self.pair[keep]],
            self.pair_config[pair],
            self.pair_region[pair],
            self.price[keep],
        )


class _Pricing:
    """The prices beside the instance; machine prices made safe where a purchase has no limit."""

    def __init__(self, facts: Facts, prices: DualPrices, incumbent: Incumbent | None) -> None:
        self.terms, self.prices = Terms(facts), prices
        self.moves = Moves(self.terms, incumbent)
        self.lam = prices.weights + prices.cap
        self.slices = tuple(self.terms.slice_hours)
        self.hours = np.array(list(self.terms.slice_hours.values()))
        self._pools: dict[str, _Pools] = {}
        self._hosts: dict[tuple[str, str], HostFigures] = {}
        self.held = {m.machine: self._held(m) for m in facts.machines}
        self.added = {m.machine: self._added(m) for m in facts.machines}
        self.purchases = [p for m in facts.machines for p in self._purchases(m)]
        self.machine_price = {m.machine: self._machine_price(m) for m in facts.machines}

    @cached_property
    def per_kwh(self) -> Array:
        """Prices of a kWh above idle in each region and slice, float (R, T); 0 outside the grid."""
        found = np.zeros((len(self.terms.region_names), len(self.slices)))
        for at, name in enumerate(self.terms.region_names):
            place = self.terms.regions.get(name)
            if place is not None:
                carbon = place.pue * np.array(place.carbon_kgco2e_per_kwh)
                water = water_litres(
                    1.0, place.pue, place.site_wue_l_per_kwh, place.electricity_water_l_per_kwh
                )
                found[at] = self.lam[1] * carbon + self.lam[3] * float(water)
        return found

    def host(self, variant: VariantFacts, region: str) -> HostFigures:
        """A copy of the variant's index and adapter in a region; kept."""
        key = (variant.variant, region)
        if key not in self._hosts:
            self._hosts[key] = self.moves.copy(variant, region)
        return self._hosts[key]

    # ---- machines
    def _held(self, machine: MachineFacts) -> Array:
        """Prices of the carbon and water of one instance held over each slice, (T,)."""
        hourly = np.array([instance_hour(self.terms, machine, t) for t in self.slices])
        carbon, water = (hourly[:, 0] + hourly[:, 1]) * self.hours, hourly[:, 2] * self.hours
        return np.asarray(self.lam[1] * carbon + self.lam[3] * water)

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
        policy, size = self.terms.settings.policy, machine.accelerators
        if not self.moves.may_hold(machine):
            return
        held = self.held[machine.machine] + size * self.added[machine.machine]
        spot_price = self.row("spot", machine.region, machine.accelerator)
        held = held - size * policy.spot_share_max * spot_price
        for market in (*RENTED, *COMMITTED):
            price = price_usd_per_h(machine, market)
            if price is None or (market == "spot" and policy.spot_share_max <= 0):
                continue
            if market in COMMITTED and market not in policy.commitments:
                continue
            if market in COMMITTED and not self.moves.may_commit():
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
    def pools(self, llm: str, weights: str) -> _Pools:
        """Every pool that could hold the weights, with its prices; kept, as legs share pools."""
        if weights not in self._pools:
            self._pools[weights] = self._make_pools(llm, weights)
        return self._pools[weights]

    def _make_pools(self, llm: str, weights: str) -> _Pools:
        terms, facts = self.terms, self.terms.llms[llm]
        serving = terms.settings.serving
        configs: dict[Config, int] = {}
        pairs: dict[tuple[int, int], int] = {}
        rows: list[tuple[int, int]] = []
        named: dict[tuple[str, str], int] = {}
        lent: dict[int, tuple[int, tuple[str, str]]] = {}
        splits: list[Array] = []
        prices: list[Array] = []
        nothing = np.zeros((len(self.slices), 4))
        for machine in terms.facts.machines:
            machine_price = self.machine_price[machine.machine]
            if machine_price is None:
                continue
            card = terms.accelerators[machine.accelerator]
            region = terms.region_names.index(machine.region)
            for count, precision, tpot_s, lane in product(
                accelerator_counts(machine.accelerators, facts.max_accelerators_per_replica),
                (x for x in facts.precisions if has_arithmetic(card, x)),
                serving.operating_tpot_s,
                serving.prompt_lane_tokens,
            ):
                config = Config(llm, machine.accelerator, count, precision, tpot_s, lane)
                at = configs.setdefault(config, len(configs))
                own = config_key(config, weights)
                named[machine.accelerator, own] = at
                split, key = self._split(machine.machine, machine.accelerator, own)
                if key != own:
                    lent[len(rows)] = (at, (machine.accelerator, key))
                rows.append((at, pairs.setdefault((at, region), len(pairs))))
                splits.append(nothing if split is None else split)
                prices.append(count * machine_price)
        table = ConfigTable.of(terms, list(configs))
        split = np.array(splits).reshape(-1, *nothing.shape)
        if lent:
            share = self._shares(weights, table)
            moves: dict[tuple[int, int], Array] = {}
            for row, (at, other) in lent.items():
                beside = (at, named[other])
                if beside not in moves:
                    moves[beside] = _rows_above(share[beside[0]], share[beside[1]])
                split[row] = split[row] @ moves[beside]
        total = split.sum(axis=2, keepdims=True)
        work = np.array([1.0, 0.0, 0.0, 0.0])
        split = np.where(total > 0, split / np.where(total > 0, total, 1.0), work)
        price = np.array(prices).reshape(-1, len(self.slices), 1)
        pair = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
        both = np.array(rows, dtype=np.int64).reshape(-1, 2)
        return _Pools(table, both[:, 0], both[:, 1], pair[:, 0], pair[:, 1], split * price)

    def _split(self, machine: str, accelerator: str, own: str) -> tuple[Array | None, str]:
        """Stored prices of the capacity rows of a pool (T, 4), or of the one that dominates it, and
        the configuration whose they are.

        Only their ratio is used, any ratio is valid: the four add up to G x the machine's price,
        which is what the replica column allows. Where nothing is stored all goes to the work row.
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

    def _shares(self, weights: str, table: ConfigTable) -> Array:
        """Accelerators that a request per second of each class takes, over all that the weights
        answer, by capacity row, float (K, C, 4); not finite where a configuration cannot."""
        terms, items = self.terms, _items_by_workload(self.terms)
        configs = np.arange(len(table.tpot_s))[:, None]
        found = []
        for variant in terms.variants.values():
            lengths = list(dict.fromkeys(item.length for item in items[variant.workload]))
            for leg in terms.legs(variant) if lengths else ():
                if (
                    not terms.leg_hosted(variant, leg)
                    and terms.leg_weights(variant, leg) == weights
                ):
                    request = call(terms, variant, lengths, np.arange(len(lengths)))
                    found.append(pool_loads(terms, variant, leg, request, table, configs).share)
        return np.concatenate(found, axis=1) * table.accelerators[:, None, None]

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


def config_key(config: Config, weights: str) -> str:
    """Name of a configuration without its machine: ``weights/g2/fp8/40ms/4096``."""
    speed, lane = f"{1e3 * config.tpot_s:g}ms", f"{config.lane_tokens:g}"
    return f"{weights}/g{config.accelerators}/{config.precision}/{speed}/{lane}"


@lru_cache(maxsize=256)
def accelerator_counts(size: int, most: int) -> tuple[int, ...]:
    """Accelerators per replica on instances of `size`: 1, 2, 4 ... that divide it, and all."""
    counts = []
    count = 1
    while count <= size and size % count == 0:
        counts.append(count)
        count *= 2
    return tuple(c for c in dict.fromkeys([*counts, size]) if c <= most)


# ------------------------------------------------------------------ variants


def _items_by_workload(terms: Terms) -> dict[str, list[Item]]:
    items: dict[str, list[Item]] = defaultdict(list)
    for item in terms.items.values():
        items[item.workload.workload].append(item)
    return items


class _Leg:
    """Cheapest route of every item of one leg of a variant, over all pools, regions and slices.

    Rows are the pairs of an item and a slice in which it may be served, (N,), by item.
    """

    def __init__(self, p: _Pricing, variant: VariantFacts, leg: int, items: list[Item]) -> None:
        self.p, self.variant, self.leg = p, variant, leg
        terms = p.terms
        self.workload = items[0].workload
        self.lengths = list(dict.fromkeys(item.length for item in items))
        self.origins = list(dict.fromkeys(item.origin for item in items))
        rows = [(i, terms.slice_place[t]) for i, item in enumerate(items) for t in item.slices]
        self.item, self.slice = np.array(rows, dtype=np.int64).T
        self.first = np.flatnonzero(np.diff(self.item, prepend=-1))
        """(I,) first row of each item"""

        def of_item(values: Iterable[float]) -> Array:
            return np.asarray(np.array(list(values), dtype=np.float64)[self.item])

        self.class_of = of_item(self.lengths.index(x.length) for x in items).astype(np.int64)
        self.origin_of = of_item(self.origins.index(x.origin) for x in items).astype(np.int64)
        self.weight = terms.leg_weight(variant, leg)
        self.requests = of_item(x.requests for x in items) * terms.leg_load(variant, leg)
        self.per_second = self.requests / (3600.0 * p.hours[self.slice])
        self.qoe_weight = of_item(x.qoe_weight for x in items) * self.weight
        self.item_weight = of_item(x.weight for x in items)
        self.origin_weight = of_item(x.origin_weight for x in items)
        self.slice_weight = of_item(x.slice_weight for x in items)
        self.names = (self.workload.workload, variant.variant)
        """rows (8), (10) and (11) are of either"""
        self.attain_price = sum(p.prices.one("attain", name) for name in self.names)
        self.floor_price = sum(p.prices.one("floor", name) for name in self.names)
        self.best = np.full(len(self.item), np.inf)

    def solve(self) -> Array:
        """Least reduced cost of serving each item whole, float (I,); inf: no route."""
        terms, llm = self.p.terms, self.p.terms.leg_llm(self.variant, self.leg)
        if terms.settings.policy.allow_shortfall:
            self._shortfall()
        if terms.leg_hosted(self.variant, self.leg):
            for api in terms.facts.apis:
                if api.llm == llm and self._may_answer(api.region):
                    self._hosted(api)
        else:
            self._self_hosted(llm)
        return np.asarray(np.minimum.reduceat(self.best, self.first))

    def _may_answer(self, region: str) -> bool:
        """Whether the leg may be answered from a region."""
        kept = self.leg != 0 or self.p.moves.may_answer(self.variant, region)
        return kept and self.p.terms.resident(self.workload, region)

    def _shortfall(self) -> None:
        lam, usd = self.p.lam, self.p.terms.settings.policy.shortfall_usd_per_request
        cost = lam[0] * self.requests * usd + (lam[2] + self.floor_price) * self.qoe_weight
        self.best = np.minimum(self.best, cost)

    def _place_terms(self, region: str) -> Array:
        """Prices of the rows that count where the demand is served, float (N,)."""
        p, workload = self.p, self.variant.workload
        at = self.item_weight * p.prices.one("open", workload, region)
        if self.leg == 0:
            at = at - self.item_weight * p.prices.one("spread", workload, region)
            if p.host(self.variant, region).needed:
                name = self.variant.variant
                host = np.array([p.prices.one("host", name, region, g) for g in self.origins])
                at = at + self.origin_weight * host[self.origin_of]
            if p.terms.region_share_max(self.workload) is not None:
                paid = sum(p.row("survive", name, region) for name in self.names)
                at = at + self.slice_weight * np.asarray(paid)[self.slice]
        return at

    def _quality_terms(self, qoe: Array, attainment: Array) -> Array:
        """Loss and attainment rows of figures by row, (..., N)."""
        loss = (self.p.lam[2] + self.floor_price) * self.qoe_weight * (1.0 - qoe)
        reached = self.attain_price * self.weight * self.item_weight * attainment
        return np.asarray(loss - reached)

    def _usd(self, api: ApiFacts | None) -> Array:
        """Prices of the cost lines, float (N,)."""
        lines = [
            usd_per_request(self.p.terms, self.variant, self.leg, c, api) for c in self.lengths
        ]
        per_request = np.array([sum(line.values()) for line in lines])
        return np.asarray(self.p.lam[0] * self.requests * per_request[self.class_of])

    def _hosted(self, api: ApiFacts) -> None:
        p = self.p
        trips = np.array([p.terms.facts.round_trip_s[g, api.region] for g in self.origins])
        request = call(p.terms, self.variant, self.lengths, self.class_of)
        trip = trips[self.origin_of]
        a = hosted_answers(p.terms, self.variant, self.leg, request, api, trip)
        fits = np.ones(len(self.item), dtype=bool)
        llm = p.terms.llms.get(p.terms.leg_llm(self.variant, self.leg))
        if llm is not None:
            fits &= a.context_tokens <= llm.context_tokens
        if self.workload.kind == "interactive":
            fits &= a.tpot_s <= _target(self.workload.tpot_target_s)
            fits &= a.shift_s + a.residual_s <= _target(self.workload.ttft_target_s)
        grams = a.context_tokens / 1e3 * api.gco2e_per_ktok
        cost = self._usd(api) + p.lam[1] * self.requests * grams / 1e3
        cost = cost + self._quality_terms(a.qoe, a.attainment) + self._place_terms(api.region)
        self.best = np.minimum(self.best, np.where(fits, cost, np.inf))

    def _self_hosted(self, llm: str) -> None:
        """Routes to every pool of the leg's weights, (P, N)."""
        p, terms = self.p, self.p.terms
        pools = p.pools(llm, terms.leg_weights(self.variant, self.leg))
        table, classes = pools.table, np.arange(len(self.lengths))
        request = call(terms, self.variant, self.lengths, classes)
        configs = np.arange(len(table.tpot_s))[:, None]
        load = pool_loads(terms, self.variant, self.leg, request, table, configs)
        fits = np.isfinite(load.share[..., 0]) & (request.new_tokens <= table.lane_tokens[configs])
        fits &= request.context_tokens <= terms.llms[llm].context_tokens
        if self.workload.kind == "interactive":
            fits &= table.tpot_s[configs] <= _target(self.workload.tpot_target_s)
        runs = np.asarray(fits, dtype=np.bool_)
        used = np.asarray(runs.any(axis=1))
        allowed = np.array([self._may_answer(region) for region in terms.region_names])
        pools = pools.only(allowed[pools.pair_region] & used[pools.pair_config])
        if not pools.pair.size:
            return
        of_pair, region = pools.pair_config, pools.pair_region
        seen_by = answer.ReplicaLoad(
            **{name: value[of_pair][:, :, None] for name, value in vars(load).items()}
        )
        trips = np.array(
            [[terms.facts.round_trip_s[g, r] for g in self.origins] for r in terms.region_names]
        )
        seen, qoe = pool_experience(
            terms,
            self.variant,
            self.leg,
            request.output_tokens[:, None],
            seen_by,
            table.tpot_s[of_pair][:, None, None],
            trips[region][:, None, :],
        )
        can = np.broadcast_to(runs[of_pair][:, :, None], seen.shift_s.shape)
        if self.workload.kind == "interactive":
            can = can & (seen.shift_s <= _target(self.workload.ttft_target_s))
        there = self.class_of * len(self.origins) + self.origin_of

        def by_row(values: Array) -> Array:  # (Q, C, G) -> (Q, N)
            return np.asarray(values.reshape(len(values), -1)[:, there])

        can_row = can.reshape(len(can), -1)[:, there]
        open_to = np.unique(region)
        place = np.zeros((len(terms.region_names), len(self.item)))
        place[open_to] = [self._place_terms(terms.region_names[r]) for r in open_to]
        cost = self._usd(None) + self._quality_terms(by_row(qoe), by_row(seen.attainment))
        cost = np.where(can_row, cost + place[region], np.inf)  # (Q, N)
        share = np.where(runs[..., None], load.share, 0.0)
        per_second = share[pools.config] @ pools.price.transpose(0, 2, 1)  # (P, C, T)
        kw = np.where(runs, load.load_above_idle_w, 0.0) / 1e3 * share[..., 0]
        energy = p.hours * p.per_kwh[region[pools.pair]]
        per_second += kw[pools.config][:, :, None] * energy[:, None, :]
        paid = per_second.reshape(len(per_second), -1)
        when = self.class_of * len(p.hours) + self.slice
        step = max(1, MOST_ROUTES_AT_ONCE // len(self.item))
        for at in range(0, len(paid), step):
            block = slice(at, at + step)
            total = cost[pools.pair[block]] + self.per_second * paid[block][:, when]  # routes
            self.best = np.minimum(self.best, total.min(axis=0))


def _target(value: float | None) -> float:
    return np.inf if value is None else value


def _variant_value(p: _Pricing, variant: VariantFacts, items: list[Item]) -> float:
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
    scored = sum(item.qoe_weight for item in items)
    value -= p.prices.one("floor", variant.variant) * (1.0 - workload.qoe_min) * scored
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
    terms = p.terms
    workload = terms.workloads[variant.workload]
    machines = [
        m
        for m in terms.facts.machines
        if m.ondemand_usd_per_h is not None and terms.resident(workload, m.region)
    ]
    if not machines:
        return np.inf
    possible, cost, carbon, water = training_runs(terms, variant, machines)
    totals = p.lam[0] * cost[:, None] + p.lam[1] * carbon + p.lam[3] * water[:, None]
    totals = totals * (1.0 + p.moves.first_run(variant))
    return float(totals[possible].min(initial=np.inf))


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
        copy = p.host(terms.variants[variant], region)
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


def statement(facts: Facts, prices: DualPrices, incumbent: Incumbent | None = None) -> Statement:
    """What the prices prove. VerificationError where they are none (negative, not finite, unknown
    rows) or price a row that does not exist.
    """
    problems = [*prices.problems(), *_rows_that_do_not_exist(facts, prices, incumbent)]
    if problems:
        raise VerificationError("the stored prices prove nothing: " + "; ".join(problems[:5]))
    p = _Pricing(facts, prices, incumbent)
    items = _items_by_workload(p.terms)
    worth = {
        v.variant: _variant_value(p, v, items[v.workload])
        for v in facts.variants
        if v.workload in items
    }
    # Without demand a workload needs no variant, and any of them is worth nothing.
    worth = {v.variant: worth.get(v.variant, 0.0) for v in facts.variants}
    terms = [_fixed_total(p)]
    terms.extend(_purchase_columns(p))
    terms.extend(_binary_columns(p))
    terms.extend(-value for value in _right_hand_sides(p))
    rest, size = math.fsum(terms), math.fsum(map(abs, terms))
    size += math.fsum(abs(v) for v in _least(facts, worth) if v < np.inf)
    return Statement(rest - MARGIN * size, worth)


def verify_bound(facts: Facts, prices: DualPrices, incumbent: Incumbent | None = None) -> float:
    """The lower bound on ``weights . (cost, carbon, loss, water)`` that the prices prove.

    In the unit of what is minimised. Raises as `statement`.
    """
    return level(facts, statement(facts, prices, incumbent))


def level(facts: Facts, said: Statement) -> float:
    """What a statement proves whatever is adopted."""
    return said.rest + math.fsum(_least(facts, said.worth))


def _least(facts: Facts, worth: Mapping[str, float]) -> list[float]:
    """The least worth of the variants of each workload; inf where it has none."""
    least = dict.fromkeys((w.workload for w in facts.instance.workloads), np.inf)
    for variant in facts.variants:
        least[variant.workload] = min(least[variant.workload], worth[variant.variant])
    return list(least.values())


def _rows_that_do_not_exist(
    facts: Facts, prices: DualPrices, incumbent: Incumbent | None
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
            name = terms.variants[key[0]].workload if key[0] in terms.variants else key[0]
            workload = terms.workloads.get(name)
            if price > 0 and (workload is None or not has(workload)):
                yield f"row {family} of {key[0]} is priced, the instance has no such rule"
