"""What a bound needs of the facts whatever the prices: computed once for any number of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from models.coefficients import answer
from planner.incumbent import Incumbent
from planner.instance.facts import Facts, MachineFacts, VariantFacts
from planner.serving import usable_precisions
from planner.verify.adaptation import HostFigures, training_runs
from planner.verify.case import COMMITTED, RENTED, price_usd_per_h
from planner.verify.commitments import may_buy
from planner.verify.figures import (
    Config,
    ConfigTable,
    call,
    pool_experience,
    pool_loads,
)
from planner.verify.formulas import water_l
from planner.verify.migration import Moves
from planner.verify.terms import Item, Terms
from planner.verify.totals import instance_hour, running_kw

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

MOST_INSTANCES = 1e6
"""Upper bound of a purchase where neither stock nor quota gives one."""


@dataclass(frozen=True)
class Offer:
    """A way to hold a machine."""

    market: str
    usd_per_h: float
    usable: float
    """accelerators of an instance that count"""
    limit: float
    """most instances"""
    quotas: tuple[tuple[str, str, str], ...]
    """keys of the quotas that count it"""


@dataclass(frozen=True, eq=False)
class Places:
    """Pools of some weights, (P,), on pairs (configuration, region), (Q,): what a user sees depends
    on the pair alone, not on the machine."""

    table: ConfigTable
    named: dict[tuple[str, str], int]
    """(accelerator, key of a configuration) -> its place in the table"""
    keys: tuple[tuple[str, str, str], ...]
    """(P,) machine, accelerator, key of the configuration"""
    config: IntArray
    """(P,)"""
    pair: IntArray
    """(P,)"""
    pair_config: IntArray
    """(Q,)"""
    pair_region: IntArray
    """(Q,) index in `Terms.region_names`"""
    accelerators: Array
    """(P,) of a replica"""


class Demand:
    """The items of one leg of a variant. Rows are the pairs of an item and a slice in which it may
    be served, (N,), by item."""

    def __init__(self, terms: Terms, variant: VariantFacts, leg: int, items: list[Item]) -> None:
        hours = np.array(list(terms.slice_hours.values()))
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
        self.per_second = self.requests / (3600.0 * hours[self.slice])
        self.qoe_weight = of_item(x.qoe_weight for x in items) * self.weight
        self.item_weight = of_item(x.weight for x in items)
        self.origin_weight = of_item(x.origin_weight for x in items)
        self.slice_weight = of_item(x.slice_weight for x in items)


@dataclass(frozen=True, eq=False)
class Routes:
    """A leg's routes to its own pools: rows of `Places` (P,), pairs (Q,), length classes (C,),
    origins (G,), configurations (K,)."""

    rows: IntArray
    """(P,)"""
    pair: IntArray
    """(P,)"""
    config: IntArray
    """(P,)"""
    region: IntArray
    """(Q,)"""
    can: BoolArray
    """(Q, C * G)"""
    qoe: Array
    """(Q, C * G)"""
    attainment: Array
    """(Q, C * G)"""
    share: Array
    """(K, C, 4) replicas that a request per second takes; 0 where none can answer"""
    kw: Array
    """(K, C) of the work of a request per second"""


class Ground:
    """See the module docstring; everything is kept where it was computed."""

    def __init__(self, facts: Facts, incumbent: Incumbent | None) -> None:
        self.facts, self.terms = facts, Terms(facts)
        self.moves = Moves(self.terms, incumbent)
        self.slices = tuple(self.terms.slice_hours)
        self.hours = np.array(list(self.terms.slice_hours.values()))
        self.items: dict[str, list[Item]] = defaultdict(list)
        for item in self.terms.items.values():
            self.items[item.workload.workload].append(item)
        self._hosts: dict[tuple[str, str], HostFigures] = {}
        self._places: dict[str, Places] = {}
        self._shares: dict[str, Array] = {}
        self._demands: dict[tuple[str, int], Demand] = {}
        self._routes: dict[tuple[str, int], Routes | None] = {}
        self._training: dict[str, tuple[Array, Array, Array]] = {}

    # ------------------------------------------------------------------ machines and regions

    @cached_property
    def per_kwh(self) -> tuple[Array, Array]:
        """(kgCO2e, litres) of a kWh in each region and slice, float (R, T); 0 outside
        the grid."""
        carbon = np.zeros((len(self.terms.region_names), len(self.slices)))
        water = np.zeros_like(carbon)
        for at, name in enumerate(self.terms.region_names):
            place = self.terms.regions.get(name)
            if place is not None:
                carbon[at] = place.pue * np.array(place.carbon_kgco2e_per_kwh)
                wue, electricity = place.site_wue_l_per_kwh, place.electricity_water_l_per_kwh
                water[at] = float(water_l(1.0, place.pue, wue, electricity))
        return carbon, water

    @cached_property
    def held(self) -> dict[str, tuple[Array, Array]]:
        """(kgCO2e, litres) of one instance of each machine held over each slice, both (T,)."""
        found = {}
        for machine in self.facts.machines:
            hourly = np.array([instance_hour(self.terms, machine, t) for t in self.slices])
            carbon, water = (hourly[:, 0] + hourly[:, 1]) * self.hours, hourly[:, 2] * self.hours
            found[machine.machine] = carbon, water
        return found

    @cached_property
    def running(self) -> dict[str, tuple[Array, Array]]:
        """(kgCO2e, litres) of an accelerator of a running replica on each machine over each slice,
        above idle and without its work, both (T,)."""
        carbon, water = self.per_kwh
        found = {}
        for machine in self.facts.machines:
            at = self.terms.region_names.index(machine.region)
            kwh = running_kw(self.terms, machine) * self.hours
            found[machine.machine] = kwh * carbon[at], kwh * water[at]
        return found

    @cached_property
    def offers(self) -> dict[str, tuple[Offer, ...]]:
        """Ways to hold each machine."""
        return {m.machine: tuple(self._offers(m)) for m in self.facts.machines}

    def _offers(self, machine: MachineFacts) -> Iterable[Offer]:
        policy, size = self.terms.settings.policy, machine.accelerators
        if not self.moves.may_hold(machine):
            return
        for market in (*RENTED, *COMMITTED):
            price = price_usd_per_h(machine, market)
            if price is None or (market == "spot" and policy.spot_share_max <= 0):
                continue
            if market in COMMITTED and not may_buy(self.terms.settings, market):
                continue
            if market in COMMITTED and not self.moves.may_commit():
                continue
            limit = MOST_INSTANCES if machine.max_instances is None else machine.max_instances
            quotas = [
                quota
                for quota in self.facts.instance.quotas
                if (quota.region, quota.accelerator) == (machine.region, machine.accelerator)
                and quota.market in (None, market)
            ]
            for quota in quotas:
                limit = min(limit, np.floor(quota.accelerators / size + 1e-9))
            usable = size * policy.spot_availability if market == "spot" else float(size)
            if limit > 0:
                keys = tuple((q.region, q.accelerator, q.market or "") for q in quotas)
                yield Offer(market, price, usable, float(limit), keys)

    def holdable(self, machine: MachineFacts) -> bool:
        """Whether the machine can ever be held."""
        return bool(self.offers[machine.machine]) or machine.fixed_instances > 0

    def host(self, variant: VariantFacts, region: str) -> HostFigures:
        """A copy of the variant's index and adapter in a region."""
        key = (variant.variant, region)
        if key not in self._hosts:
            self._hosts[key] = self.moves.copy(variant, region)
        return self._hosts[key]

    # ------------------------------------------------------------------ pools

    def places(self, llm: str, weights: str) -> Places:
        """Every pool that could hold the weights."""
        if weights not in self._places:
            self._places[weights] = self._make_places(llm, weights)
        return self._places[weights]

    def _make_places(self, llm: str, weights: str) -> Places:
        terms, facts = self.terms, self.terms.llms[llm]
        configs: dict[Config, int] = {}
        pairs: dict[tuple[int, int], int] = {}
        named: dict[tuple[str, str], int] = {}
        keys: list[tuple[str, str, str]] = []
        rows: list[tuple[int, int, int]] = []
        for machine in filter(self.holdable, terms.facts.machines):
            card = terms.accelerators[machine.accelerator]
            region = terms.region_names.index(machine.region)
            lanes, points = terms.grid.of(llm, machine.accelerator)
            most = facts.max_accelerators_per_replica
            sizes = accelerator_counts(machine.accelerators, most)
            for count, precision, tpot_s, lane in product(
                [count for count in sizes if terms.heads_divide(facts, count)],
                usable_precisions(facts, card),
                points,
                lanes,
            ):
                config = Config(llm, machine.accelerator, count, precision, tpot_s, lane)
                at = configs.setdefault(config, len(configs))
                own = config_key(config, weights)
                named[machine.accelerator, own] = at
                keys.append((machine.machine, machine.accelerator, own))
                rows.append((at, pairs.setdefault((at, region), len(pairs)), count))
        pair = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
        row = np.array(rows, dtype=np.int64).reshape(-1, 3)
        return Places(
            ConfigTable.of(terms, list(configs)),
            named,
            tuple(keys),
            row[:, 0],
            row[:, 1],
            pair[:, 0],
            pair[:, 1],
            row[:, 2].astype(np.float64),
        )

    def shares(self, llm: str, weights: str) -> Array:
        """Accelerators that a request per second of each class takes, over all that the weights
        answer, by capacity row, float (K, C, 4); not finite where a configuration cannot."""
        if weights not in self._shares:
            self._shares[weights] = self._make_shares(llm, weights)
        return self._shares[weights]

    def _make_shares(self, llm: str, weights: str) -> Array:
        terms, table = self.terms, self.places(llm, weights).table
        configs = np.arange(len(table.tpot_s))[:, None]
        found = []
        for variant in terms.variants.values():
            lengths = list(dict.fromkeys(item.length for item in self.items[variant.workload]))
            for leg in terms.legs(variant) if lengths else ():
                if (
                    not terms.leg_hosted(variant, leg)
                    and terms.leg_weights(variant, leg) == weights
                ):
                    request = call(terms, variant, lengths, np.arange(len(lengths)))
                    found.append(pool_loads(terms, variant, leg, request, table, configs).share)
        return np.concatenate(found, axis=1) * table.accelerators[:, None, None]

    # ------------------------------------------------------------------ variants

    def demand(self, variant: VariantFacts, leg: int) -> Demand:
        """What a leg of a variant has to answer."""
        key = (variant.variant, leg)
        if key not in self._demands:
            items = self.items[variant.workload]
            self._demands[key] = Demand(self.terms, variant, leg, items)
        return self._demands[key]

    def may_answer(self, variant: VariantFacts, leg: int, region: str) -> bool:
        """Whether the leg may be answered from a region."""
        kept = leg != 0 or self.moves.may_answer(variant, region)
        return kept and self.terms.resident(self.terms.workloads[variant.workload], region)

    def routes(self, variant: VariantFacts, leg: int) -> Routes | None:
        """Routes to every pool of the leg's weights that can answer it; None: there are none."""
        key = (variant.variant, leg)
        if key not in self._routes:
            self._routes[key] = self._make_routes(variant, leg)
        return self._routes[key]

    def _make_routes(self, variant: VariantFacts, leg: int) -> Routes | None:
        terms, llm = self.terms, self.terms.leg_llm(variant, leg)
        places, demand = (
            self.places(llm, terms.leg_weights(variant, leg)),
            self.demand(variant, leg),
        )
        workload, table = demand.workload, places.table
        interactive = workload.kind == "interactive"
        request = call(terms, variant, demand.lengths, np.arange(len(demand.lengths)))
        configs = np.arange(len(table.tpot_s))[:, None]
        load = pool_loads(terms, variant, leg, request, table, configs)
        fits = np.isfinite(load.share[..., 0]) & (request.new_tokens <= table.lane_tokens[configs])
        fits &= request.context_tokens <= terms.llms[llm].context_tokens
        if interactive:
            fits &= table.tpot_s[configs] <= at_most(workload.tpot_target_s)
        runs = np.asarray(fits, dtype=np.bool_)
        used = np.asarray(runs.any(axis=1))
        allowed = np.array([self.may_answer(variant, leg, name) for name in terms.region_names])
        pair = allowed[places.pair_region] & used[places.pair_config]
        rows = np.flatnonzero(pair[places.pair])
        if not rows.size:
            return None
        of_pair, region = places.pair_config[pair], places.pair_region[pair]
        seen_by = answer.ReplicaLoad(
            **{name: value[of_pair][:, :, None] for name, value in vars(load).items()}
        )
        trips = np.array(
            [[terms.facts.round_trip_s[g, r] for g in demand.origins] for r in terms.region_names]
        )
        seen, qoe = pool_experience(
            terms,
            variant,
            leg,
            request.output_tokens[:, None],
            seen_by,
            table.tpot_s[of_pair][:, None, None],
            trips[region][:, None, :],
        )
        can = np.broadcast_to(runs[of_pair][:, :, None], seen.shift_s.shape)
        if interactive:
            can = can & (seen.shift_s <= at_most(workload.ttft_target_s))
        share = np.where(runs[..., None], load.share, 0.0)
        shape = (len(of_pair), -1)
        return Routes(
            rows,
            (np.cumsum(pair) - 1)[places.pair[rows]],
            places.config[rows],
            region,
            can.reshape(shape),
            np.broadcast_to(qoe, can.shape).reshape(shape),
            np.broadcast_to(seen.attainment, can.shape).reshape(shape),
            share,
            np.where(runs, load.load_w, 0.0) / 1e3 * share[..., 0],
        )

    def training(self, variant: VariantFacts) -> tuple[Array, Array, Array]:
        """Runs of a variant's training that are possible, on M machines: (USD (M, 1), kgCO2e by
        slice (M, T), litres (M, 1)), first runs counted."""
        if variant.variant not in self._training:
            self._training[variant.variant] = self._make_training(variant)
        return self._training[variant.variant]

    def _make_training(self, variant: VariantFacts) -> tuple[Array, Array, Array]:
        workload = self.terms.workloads[variant.workload]
        machines = [
            m
            for m in self.facts.machines
            if m.ondemand_usd_per_h is not None and self.terms.resident(workload, m.region)
        ]
        if not machines:
            return np.zeros((0, 1)), np.zeros((0, len(self.slices))), np.zeros((0, 1))
        possible, cost, carbon, water = training_runs(self.terms, variant, machines)
        times = 1.0 + self.moves.first_run(variant)
        return (
            times * cost[possible, None],
            times * carbon[possible],
            times * water[possible, None],
        )


def at_most(value: float | None) -> float:
    """A target, or none."""
    return np.inf if value is None else value


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
