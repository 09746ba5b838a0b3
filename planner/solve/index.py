"""FleetIndex: FleetData laid out for fast pricing; every array the engine looks up by number.

Routes are kept in the order of their variant, so that the routes of a variant are one slice.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from models.fleet.data import BoolArray, FleetData, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class FleetIndex:
    """Look-ups derived from `data`; nothing here is a decision."""

    data: FleetData
    order: IntArray
    """int (J,) our route position -> route of `data`"""
    group_order: IntArray
    """int (Q,) our group position -> group of `data`"""
    route_group: IntArray
    """int (J,) our group position of each of our routes, ascending"""
    group_start: IntArray
    """int (Q + 1,) first route of each group"""
    variant_group_start: IntArray
    """int (V + 1,) first group of each variant"""

    @classmethod
    def build(cls, data: FleetData) -> FleetIndex:
        """Sort groups by variant and routes by group."""
        group_order = np.argsort(data.group_variant, kind="stable")
        rank = np.empty(len(group_order), dtype=np.int64)
        rank[group_order] = np.arange(len(group_order))
        route_rank = rank[data.route_group]
        order = np.argsort(route_rank, kind="stable")
        route_group = route_rank[order]
        group_start = np.searchsorted(route_group, np.arange(len(group_order) + 1))
        variant_group_start = np.searchsorted(
            data.group_variant[group_order], np.arange(len(data.variants) + 1)
        )
        return cls(data, order, group_order, route_group, group_start, variant_group_start)

    # ---- groups, in our order
    @cached_property
    def group_item(self) -> IntArray:
        """int (Q,)"""
        return self.data.group_item[self.group_order]

    @cached_property
    def group_variant(self) -> IntArray:
        """int (Q,)"""
        return self.data.group_variant[self.group_order]

    @cached_property
    def group_leg(self) -> IntArray:
        """int (Q,)"""
        return self.data.group_leg[self.group_order]

    # ---- routes, in our order
    @cached_property
    def pool(self) -> IntArray:
        """int (J,) -1 without a pool"""
        return self.data.route_pool[self.order]

    @cached_property
    def region(self) -> IntArray:
        """int (J,) -1 for shortfall"""
        return self.data.route_region[self.order]

    @cached_property
    def slice(self) -> IntArray:
        """int (J,)"""
        return self.data.route_slice[self.order]

    @cached_property
    def pool_slice(self) -> IntArray:
        """int (J,) pool x T + slice; -1 without a pool"""
        return np.where(self.pool >= 0, self.pool * len(self.data.slices) + self.slice, -1)

    @cached_property
    def share(self) -> FloatArray:
        """float (J, 4)"""
        return np.ascontiguousarray(self.data.route_share[self.order])

    @cached_property
    def by_hour(self) -> FloatArray:
        """float (J,) instances that a batch route keeps busy all slice; 0 where none is rented"""
        return self.data.route_by_hour[self.order]

    @cached_property
    def cost(self) -> FloatArray:
        """float (J,) USD"""
        return self.data.route_cost_usd[self.order]

    @cached_property
    def carbon(self) -> FloatArray:
        """float (J,) kgCO2e"""
        return self.data.route_carbon_kgco2e[self.order]

    @cached_property
    def water(self) -> FloatArray:
        """float (J,) litres"""
        return self.data.route_water_l[self.order]

    @cached_property
    def loss(self) -> FloatArray:
        """float (J,) QoE loss"""
        return self.data.route_loss[self.order]

    @cached_property
    def route_variant(self) -> IntArray:
        """int (J,)"""
        return self.group_variant[self.route_group]

    @cached_property
    def route_item(self) -> IntArray:
        """int (J,)"""
        return self.group_item[self.route_group]

    @cached_property
    def route_workload(self) -> IntArray:
        """int (J,)"""
        return self.data.variant_workload[self.route_variant]

    @cached_property
    def route_leg(self) -> IntArray:
        """int (J,)"""
        return self.group_leg[self.route_group]

    # ---- side rows: (row number, coefficient) of each route; -1 where it has none
    @cached_property
    def has_host(self) -> BoolArray:
        """bool (V, R) a copy in the region costs money or carbon"""
        return (self.data.host_cost_usd > 0) | (self.data.host_carbon_kgco2e > 0)

    @cached_property
    def host_row(self) -> IntArray:
        """int (J,) (variant x R + region) x G + origin of equation (7)"""
        data = self.data
        regions, origins = len(data.regions), len(data.origins)
        hosted = (self.region >= 0) & (self.route_leg == 0)
        hosted &= self.has_host[self.route_variant, np.maximum(self.region, 0)]
        row = (self.route_variant * regions + self.region) * origins
        row = row + data.item_origin[self.route_item]
        return np.where(hosted, row, -1)

    @cached_property
    def host_weight(self) -> FloatArray:
        """float (J,) coefficient in (7)"""
        return self.data.item_origin_weight[self.route_item]

    @cached_property
    def survive_row(self) -> IntArray:
        """int (J,) (variant x R + region) x T + slice of equation (8)"""
        data = self.data
        limited = (data.region_share_max < 1.0)[self.route_workload]
        limited &= (self.route_leg == 0) & (self.region >= 0)
        limited &= data.item_slice[self.route_item] >= 0
        row = self.route_variant * len(data.regions) + self.region
        return np.where(limited, row * len(data.slices) + self.slice, -1)

    @cached_property
    def survive_weight(self) -> FloatArray:
        """float (J,) coefficient in (8)"""
        return self.data.item_slice_weight[self.route_item]

    @cached_property
    def attainment(self) -> FloatArray:
        """float (J,) coefficient in (10); 0 where the workload has no such row"""
        data = self.data
        value = data.item_weight[self.route_item] * data.route_attainment[self.order]
        return np.where(~np.isnan(data.attainment_min)[self.route_workload], value, 0.0)

    @cached_property
    def floor_loss(self) -> FloatArray:
        """float (J,) coefficient in (11); 0 where the workload has no such row"""
        floored = ~np.isnan(self.data.workload_loss_max)
        return np.where(floored[self.route_workload], self.loss, 0.0)

    @cached_property
    def variant_region_share(self) -> FloatArray:
        """float (V,) right-hand side of (8) for each variant, 1 without the row"""
        return np.nan_to_num(self.data.region_share_max, nan=1.0)[self.data.variant_workload]

    @cached_property
    def variant_attainment_min(self) -> FloatArray:
        """float (V,) right-hand side of (10) for each variant, 0 without the row"""
        return np.nan_to_num(self.data.attainment_min)[self.data.variant_workload]

    @cached_property
    def variant_loss_max(self) -> FloatArray:
        """float (V,) right-hand side of (11) for each variant, 0 without the row"""
        limit = np.nan_to_num(self.data.workload_loss_max) * self.workload_qoe_weight
        return limit[self.data.variant_workload]

    @cached_property
    def workload_qoe_weight(self) -> FloatArray:
        """float (W,) share of each workload in the mean QoE"""
        data = self.data
        weight = np.bincount(
            data.item_workload, data.item_qoe_weight, minlength=len(data.workloads)
        )
        return weight.astype(np.float64)

    @cached_property
    def region_weight(self) -> FloatArray:
        """float (J,) share of its workload's requests, both legs; 0 for shortfall"""
        return np.where(self.region >= 0, self.data.item_weight[self.route_item], 0.0)

    @cached_property
    def region_row(self) -> IntArray:
        """int (J,) workload x R + region of equations (12) and (13); -1 for shortfall"""
        row = self.route_workload * len(self.data.regions) + self.region
        return np.where(self.region >= 0, row, -1)

    @cached_property
    def opens(self) -> bool:
        """Whether equation (13) and the variable `open` exist."""
        data = self.data
        return bool((data.region_fixed_cost_usd > 0).any() or not np.isnan(data.max_regions))

    @cached_property
    def workload_legs(self) -> FloatArray:
        """float (W,) most legs of any variant of each workload: the coefficient in (13)"""
        data = self.data
        legs = np.ones(len(data.workloads))
        np.maximum.at(legs, data.variant_workload[data.group_variant], data.group_leg + 1.0)
        return legs

    @cached_property
    def spreads(self) -> BoolArray:
        """bool (W,) workloads with equation (12)"""
        return self.data.min_regions > 1

    @cached_property
    def counts_added(self) -> bool:
        """Whether equation (15) and the variable `added` exist."""
        data = self.data
        changes = (data.machine_change_usd > 0) | (data.machine_change_kgco2e > 0)
        return bool(changes.any() or not np.isnan(data.max_added_accelerators))

    @cached_property
    def spot_group(self) -> IntArray:
        """int (H,) (region, accelerator) group of each machine, for equation (9)"""
        data = self.data
        keys = [
            (int(r), a) for r, a in zip(data.machine_region, data.machine_accelerator, strict=True)
        ]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return np.array([numbers[key] for key in keys], dtype=np.int64)

    # ---- siblings: the same pool for the same users, in another slice
    @cached_property
    def sibling_key(self) -> IntArray:
        """int (J,) equal for routes that differ in their slice only"""
        data = self.data
        names = {name: number for number, name in enumerate(dict.fromkeys(data.item_class))}
        classes = np.array([names[name] for name in data.item_class], dtype=np.int64)
        item = self.group_item
        family = (self.group_variant * 2 + self.group_leg) * len(names) + classes[item]
        family = family * len(data.origins) + data.item_origin[item]
        place = np.where(self.pool >= 0, self.pool, len(data.pools) + self.region + 1)
        return family[self.route_group] * (len(data.pools) + len(data.regions) + 2) + place

    @cached_property
    def _sibling_order(self) -> tuple[IntArray, IntArray]:
        order = np.argsort(self.sibling_key, kind="stable")
        return order, self.sibling_key[order]

    def siblings(self, routes: IntArray) -> IntArray:
        """The routes and all their siblings, int (n,)."""
        order, ranked = self._sibling_order
        keys = np.unique(self.sibling_key[routes])
        low, high = np.searchsorted(ranked, keys), np.searchsorted(ranked, keys, side="right")
        count = high - low
        start = np.repeat(low - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
        return np.asarray(order[start + np.arange(count.sum())])

    # ---- pools
    @cached_property
    def pool_rows(self) -> BoolArray:
        """bool (P, 4) rows of (3) that can bind: not below another row on every route."""
        pools = len(self.data.pools)
        share, pool = self.share[self.pool >= 0], self.pool[self.pool >= 0]
        keep = np.ones((pools, 4), dtype=bool)
        for low in range(4):
            for high in range(4):
                if low == high:
                    continue
                above = np.bincount(pool, share[:, low] > share[:, high], minlength=pools) > 0
                equal = np.bincount(pool, share[:, low] != share[:, high], minlength=pools) == 0
                dominated = ~above & keep[:, high] & (~equal | (low > high))
                keep[:, low] &= ~dominated
        return keep

    @cached_property
    def pool_main_row(self) -> IntArray:
        """int (P,) the row with the largest total share: the default place of a pool's price"""
        pools = len(self.data.pools)
        served = self.pool >= 0
        totals = np.stack(
            [
                np.bincount(self.pool[served], self.share[served, row], minlength=pools)
                for row in range(4)
            ],
            axis=1,
        )
        return np.asarray(np.where(self.pool_rows, totals, -1.0).argmax(axis=1))

    # ---- constants of the objectives
    @cached_property
    def fixed_totals(self) -> FloatArray:
        """float (4,) cost, carbon, loss, water of machines held whatever is decided"""
        data = self.data
        held = data.machine_fixed
        return np.array(
            [
                data.machine_fixed_cost_usd.sum(),
                (held * data.machine_carbon_kgco2e).sum(),
                0.0,
                (held * data.machine_water_l).sum(),
            ]
        )

    @cached_property
    def purchase_totals(self) -> FloatArray:
        """float (B, T, 4) cost, carbon, loss, water of one instance over each slice"""
        data = self.data
        machine = data.purchase_machine
        zero = np.zeros_like(data.purchase_cost_usd)
        return np.stack(
            [
                data.purchase_cost_usd,
                data.machine_carbon_kgco2e[machine],
                zero,
                data.machine_water_l[machine],
            ],
            axis=2,
        )

    @cached_property
    def replica_totals(self) -> FloatArray:
        """float (P, T, 4) cost, carbon, loss, water of one running replica over each slice"""
        carbon = self.data.replica_carbon_kgco2e
        zero = np.zeros_like(carbon)
        return np.stack([zero, carbon, zero, self.data.replica_water_l], axis=2)

    @cached_property
    def training_totals(self) -> FloatArray:
        """float (O, 4) cost, carbon, loss, water"""
        data = self.data
        zero = np.zeros_like(data.training_cost_usd)
        return np.stack(
            [data.training_cost_usd, data.training_carbon_kgco2e, zero, data.training_water_l],
            axis=1,
        )

    @cached_property
    def training_start(self) -> IntArray:
        """int (V + 1,) first training option of each variant"""
        return np.searchsorted(self.data.training_variant, np.arange(len(self.data.variants) + 1))

    @cached_property
    def variant_totals(self) -> FloatArray:
        """float (V, 4) cost, carbon, loss, water paid when adopted"""
        data = self.data
        zero = np.zeros(len(data.variants))
        return np.stack(
            [data.variant_cost_lines_usd.sum(axis=1), data.variant_carbon_kgco2e, zero, zero],
            axis=1,
        )

    @cached_property
    def variant_complete(self) -> BoolArray:
        """bool (V,) variants with a group for every item (and every leg) of their workload"""
        data = self.data
        items = np.bincount(data.item_workload, minlength=len(data.workloads))
        legs = np.ones(len(data.variants), dtype=np.int64)
        np.maximum.at(legs, data.group_variant, data.group_leg + 1)
        groups = np.bincount(data.group_variant, minlength=len(data.variants))
        return np.asarray(groups == items[data.variant_workload] * legs)

    @cached_property
    def workload_variants(self) -> tuple[IntArray, ...]:
        """per workload, its complete variants"""
        data = self.data
        return tuple(
            np.flatnonzero((data.variant_workload == w) & self.variant_complete)
            for w in range(len(data.workloads))
        )


@dataclass(frozen=True, eq=False)
class RouteView:
    """The pricing arrays of some routes side by side; names as in `FleetIndex`, all (n,)."""

    cost: FloatArray
    carbon: FloatArray
    loss: FloatArray
    water: FloatArray
    share: FloatArray
    pool_slice: IntArray
    host_row: IntArray
    host_weight: FloatArray
    survive_row: IntArray
    survive_weight: FloatArray
    region_row: IntArray
    region_weight: FloatArray
    route_leg: IntArray
    route_variant: IntArray
    attainment: FloatArray
    floor_loss: FloatArray

    @classmethod
    def of(cls, index: FleetIndex, routes: IntArray) -> RouteView:
        """Gathered from the index."""
        return cls(**{f.name: getattr(index, f.name)[routes] for f in fields(cls)})


@dataclass(frozen=True, eq=False)
class Span:
    """Some variants with all their groups and routes, laid side by side for pricing."""

    variants: IntArray
    groups: IntArray
    """int (q,) their groups, ascending"""
    routes: IntArray
    """int (n,) their routes, ascending"""
    start: IntArray
    """int (q + 1,) first route of each group within `routes`"""
    view: RouteView

    @classmethod
    def of(cls, index: FleetIndex, variants: IntArray) -> Span:
        """The span of complete variants, which have a route in every group."""
        variants = np.sort(variants)
        groups = _ranges(index.variant_group_start, variants)
        routes = _ranges(index.group_start, groups)
        count = index.group_start[groups + 1] - index.group_start[groups]
        start = np.concatenate([[0], np.cumsum(count)])
        return cls(variants, groups, routes, start, RouteView.of(index, routes))


def _ranges(start: IntArray, chosen: IntArray) -> IntArray:
    """start[c], ..., start[c + 1] - 1 for every c of `chosen`, in order."""
    low, count = start[chosen], start[chosen + 1] - start[chosen]
    first = np.repeat(low - np.concatenate([[0], np.cumsum(count)[:-1]]), count)
    return np.asarray(first + np.arange(count.sum()))


def best_per_group(index: FleetIndex, score: FloatArray, routes: IntArray, keep: int) -> IntArray:
    """Of the given routes the `keep` of lowest score in each group."""
    order = np.lexsort((score, index.route_group[routes]))
    ranked = routes[order]
    group = index.route_group[ranked]
    start = np.flatnonzero(np.diff(group, prepend=-1))
    rank = np.arange(len(group)) - np.repeat(start, np.diff(np.append(start, len(group))))
    return ranked[rank < keep]


def routes_of(index: FleetIndex, variants: IntArray) -> IntArray:
    """All routes of the variants, int (n,)."""
    return _ranges(index.group_start, _ranges(index.variant_group_start, variants))


def routes_with(index: FleetIndex, routes: IntArray, variants: IntArray) -> IntArray:
    """Those of the routes, int (n,), that answer with one of the variants."""
    return routes[np.isin(index.route_variant[routes], variants)]
