"""Row prices, and the bound that every price vector proves.

For any prices y >= 0 of the rows of the program (signs as in `Prices`) every integer plan obeys

    weights . (cost, carbon, loss, water) >= L(y),

where L is the sum of independent minima: for each workload its cheapest variant, each of whose
groups takes its cheapest route at the prices; every other column sits at the bound of its box
that its reduced cost prefers. No convergence and no repair is needed for validity (weak duality
over boxes; Neumaier and Shcherbina 2004 for the floating-point side); good prices only make L
larger. One-variant-per-workload is kept inside the minimisation, so every price vector says more
than one number: for each assignment of variants the least that any plan with it can have,
``rest + sum over workloads of variant_value`` (see `planner.solve.assignments`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from models.fleet.data import MARKETS, FloatArray
from planner.solve.index import FleetIndex, RouteView, Span

MARGIN = 1e-9
"""Floating-point margin: this share of the sum of all absolute terms is taken off a bound."""
BELOW = 1.0 - 1e-12
"""Keeps rounding from turning a fair price into a bargain."""
TOTALS = ("cost", "carbon", "loss", "water")
SPOT = MARKETS.index("spot")


@dataclass(frozen=True, eq=False)
class Prices:
    """Prices of the rows, all >= 0; equation numbers of ``models/FORMULATION.md``."""

    weights: FloatArray
    """float (4,) what is minimised: weights of cost, carbon, loss, water"""
    cap: FloatArray
    """float (4,) (17)"""
    replica: FloatArray
    """float (P, T, 4) (3)"""
    machine: FloatArray
    """float (H, T) (4)"""
    quota: FloatArray
    """float (K, T) (5)"""
    host: FloatArray
    """float (V, R, G) (7)"""
    survive: FloatArray
    """float (V, R, T) (8) of each variant: only the adopted one serves, so each obeys the row"""
    spot: FloatArray
    """float (S, T) (9), S groups of machines of one accelerator in one region"""
    attain: FloatArray
    """float (V,) (10) of each variant: only the adopted one serves"""
    floor: FloatArray
    """float (V,) (11) of each variant"""
    spread: FloatArray
    """float (W, R) (12), share row"""
    spread_count: FloatArray
    """float (W,) (12), count row"""
    open: FloatArray
    """float (W, R) (13), link row"""
    open_count: float
    """(13), count row"""
    keep: FloatArray
    """float (W, L) (14), link row"""
    keep_count: float
    """(14), count row"""
    added: FloatArray
    """float (H, T) (15), link row"""
    added_total: float
    """(15), total row"""
    changed: float
    """(16)"""

    @classmethod
    def zero(cls, index: FleetIndex, weights: FloatArray) -> Prices:
        """No price on any row."""
        data = index.data
        W, V, R, T = len(data.workloads), len(data.variants), len(data.regions), len(data.slices)
        P, H, G, L = len(data.pools), len(data.machines), len(data.origins), len(data.llms)
        S = int(index.spot_group.max(initial=-1)) + 1
        return cls(
            weights=np.asarray(weights, dtype=float),
            cap=np.zeros(4),
            replica=np.zeros((P, T, 4)),
            machine=np.zeros((H, T)),
            quota=np.zeros((len(data.quota_names), T)),
            host=np.zeros((V, R, G)),
            survive=np.zeros((V, R, T)),
            spot=np.zeros((S, T)),
            attain=np.zeros(V),
            floor=np.zeros(V),
            spread=np.zeros((W, R)),
            spread_count=np.zeros(W),
            open=np.zeros((W, R)),
            open_count=0.0,
            keep=np.zeros((W, L)),
            keep_count=0.0,
            added=np.zeros((H, T)),
            added_total=0.0,
            changed=0.0,
        )

    def mixed(self, other: Prices, share: float) -> Prices:
        """(1 - share) x these prices + share x the other's; any mixture proves a bound too."""
        values = {
            f.name: (1.0 - share) * getattr(self, f.name) + share * getattr(other, f.name)
            for f in fields(self)
        }
        return Prices(**values)

    def plus(self, other: Prices) -> Prices:
        """The sum, weights and all."""
        values = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)}
        return Prices(**values)

    def scaled(self, factor: float) -> Prices:
        """All prices and weights times a factor >= 0: the same statement in another unit."""
        return Prices(**{f.name: factor * getattr(self, f.name) for f in fields(self)})

    def clipped(self) -> Prices:
        """The same with negative prices (solver tolerance) set to zero."""
        values = {
            f.name: np.maximum(getattr(self, f.name), 0.0)
            for f in fields(self)
            if f.name != "weights"
        }
        for name in ("open_count", "keep_count", "added_total", "changed"):
            values[name] = float(values[name])
        return replace(self, **values)


@dataclass(frozen=True, eq=False)
class Bound:
    """The minima behind L(y), over all variants or over those of a span."""

    value: float
    """L(y), in units of weights . totals, float margin subtracted; of all plans, or of those that
    adopt variants of the span alone"""
    rest: float
    """the part of L(y) that does not depend on variants, margin subtracted"""
    prices: Prices
    reduced: FloatArray
    """float (J,) reduced cost of each route, index order; of a span: (n,) of its routes"""
    group_value: FloatArray
    """float (Q,) reduced cost of the cheapest route of each group; of a span: (q,)"""
    variant_value: FloatArray
    """float (V,) cost of adopting each variant at the prices; inf where incomplete or not in the
    span"""
    purchase_reduced: FloatArray
    """float (B, T) reduced cost of one instance in each slice (all period: the sum counts)"""
    span: Span | None = None


def affordable(index: FleetIndex, prices: Prices) -> Prices:
    """Lower spot and machine prices until nothing that can be had without limit is a bargain.

    A purchase with a negative reduced cost counts with its upper bound: fair where stock or a
    quota limits it, ruinous where nothing does.
    """
    data = index.data
    free = np.isinf(data.purchase_stock)
    machine, size = data.purchase_machine, data.machine_size[data.purchase_machine].astype(float)
    sliced, held = free & data.purchase_per_slice, free & ~data.purchase_per_slice
    spot = prices.spot
    if spot.any():
        # What the spot share of others earns a purchase must not exceed what it costs.
        share = data.spot_share_max - (data.purchase_market == SPOT)
        base = purchase_reduced_costs(index, replace(prices, machine=0.0 * prices.machine))
        earned = (size * share)[:, None] * spot[index.spot_group[machine]]
        factor = np.ones_like(spot)
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = np.where(earned > 0, (base + earned) / earned, 1.0)
            whole = np.where(earned.sum(1) > 0, (base + earned).sum(1) / earned.sum(1), 1.0)
        np.minimum.at(factor, index.spot_group[machine[sliced]], bound[sliced])
        np.minimum.at(factor, index.spot_group[machine[held]], whole[held][:, None])
        spot = spot * np.clip(BELOW * factor, 0.0, 1.0)
    safe = replace(prices, spot=spot)
    base = purchase_reduced_costs(index, replace(safe, machine=0.0 * prices.machine))
    usable = size * np.where(data.purchase_per_slice, data.purchase_availability, 1.0)
    worth = BELOW * np.maximum(base, 0.0) / usable[:, None]
    price = prices.machine.copy()
    np.minimum.at(price, machine[sliced], worth[sliced])
    most = np.full(len(price), np.inf)
    np.minimum.at(most, machine[held], BELOW * np.maximum(base.sum(1), 0.0)[held] / usable[held])
    total = price.sum(axis=1)
    over = total > most
    price[over] *= (most[over] / total[over])[:, None]
    return replace(safe, machine=price)


def fair(index: FleetIndex, prices: Prices) -> Prices:
    """The prices without bargains that rounding, or another objective, made of them: no purchase
    below its cost, and every pool priced."""
    return with_main_rows(index, affordable(index, prices))


def with_main_rows(index: FleetIndex, prices: Prices) -> Prices:
    """Give every pool's main row what its machine price leaves over the other rows' prices.

    sum_i price_i <= what a replica that runs takes at the prices is all that dual feasibility
    asks; the sum is taken at the limit because larger prices only help.
    """
    data = index.data
    limit = replica_prices(index, prices)
    replica = prices.replica.copy()
    pools = np.arange(len(data.pools))
    replica[pools, :, index.pool_main_row] = 0.0
    total = replica.sum(axis=2)
    over = total > limit
    replica[over] *= (limit[over] / total[over])[:, None]
    replica[pools, :, index.pool_main_row] = np.maximum(limit - replica.sum(axis=2), 0.0)
    return replace(prices, replica=BELOW * replica)


def replica_prices(index: FleetIndex, prices: Prices) -> FloatArray:
    """What a running replica takes at the prices, float (P, T): its accelerators, carbon, water."""
    data = index.data
    accelerators = prices.machine[data.pool_machine] * data.pool_accelerators[:, None]
    return np.asarray(accelerators + index.replica_totals @ (prices.weights + prices.cap))


def route_reduced_costs(prices: Prices, view: FleetIndex | RouteView) -> FloatArray:
    """Reduced costs of the routes of a view (of all, for an index), float (n,)."""
    lam = prices.weights + prices.cap
    reduced = lam[0] * view.cost
    for value, array in ((lam[1], view.carbon), (lam[2], view.loss), (lam[3], view.water)):
        if value != 0.0:
            reduced = reduced + value * array
    flat = prices.replica.reshape(-1, 4)
    if len(flat):
        priced = np.einsum("ij,ij->i", view.share, flat[np.maximum(view.pool_slice, 0)])
        reduced = reduced + np.where(view.pool_slice >= 0, priced, 0.0)
    for family, row, weight in (
        (prices.host, view.host_row, view.host_weight),
        (prices.survive, view.survive_row, view.survive_weight),
        (prices.open, view.region_row, view.region_weight),
    ):
        if family.any():
            price = family.reshape(-1)[np.maximum(row, 0)]
            reduced = reduced + np.where(row >= 0, price * weight, 0.0)
    if prices.spread.any():
        first = (view.region_row >= 0) & (view.route_leg == 0)
        price = prices.spread.reshape(-1)[np.maximum(view.region_row, 0)]
        reduced = reduced - np.where(first, price * view.region_weight, 0.0)
    if prices.attain.any():
        reduced = reduced - prices.attain[view.route_variant] * view.attainment
    if prices.floor.any():
        reduced = reduced + prices.floor[view.route_variant] * view.floor_loss
    return np.asarray(reduced)


def purchase_reduced_costs(index: FleetIndex, prices: Prices) -> FloatArray:
    """Reduced cost of one instance of each purchase in each slice, float (B, T).

    For a purchase held all period the sum over slices is what counts.
    """
    data = index.data
    lam = prices.weights + prices.cap
    machine = data.purchase_machine
    size = data.machine_size[machine].astype(float)
    reduced = index.purchase_totals @ lam
    usable = size * np.where(data.purchase_per_slice, data.purchase_availability, 1.0)
    reduced = reduced - usable[:, None] * prices.machine[machine]
    if len(data.quota_names):
        reduced = reduced + size[:, None] * (data.quota_purchase.T.astype(float) @ prices.quota)
    if not np.isnan(data.spot_share_max):
        spot = (data.purchase_market == SPOT).astype(float)
        group = index.spot_group[machine]
        reduced = reduced + (size * (spot - data.spot_share_max))[:, None] * prices.spot[group]
    return np.asarray(reduced + size[:, None] * prices.added[machine])


def variant_fixed_values(index: FleetIndex, prices: Prices) -> FloatArray:
    """What adopting each variant costs before its routes, float (V,): lines, training, links."""
    data = index.data
    lam = prices.weights + prices.cap
    value = index.variant_totals @ lam
    value = value + (prices.keep[data.variant_workload] * data.variant_llms).sum(axis=1)
    value = value - prices.changed * data.variant_is_incumbent
    value = value - prices.survive.sum(axis=(1, 2)) * index.variant_region_share
    value = value + prices.attain * index.variant_attainment_min
    value = value - prices.floor * index.variant_loss_max
    if len(data.training_variant):
        training = index.training_totals @ lam
        has = np.flatnonzero(np.diff(index.training_start))
        value[has] += np.minimum.reduceat(training, index.training_start[has])
    return np.asarray(value)


def evaluate_bound(index: FleetIndex, prices: Prices, span: Span | None = None) -> Bound:
    """L(y) and its minimisers, by formula; `prices` must be >= 0.

    `MARGIN` of the sum of the absolute terms is taken off. With a `span` the statement is about
    plans that adopt its variants alone, and costs that much less to make.
    """
    data = index.data
    lam = prices.weights + prices.cap
    reduced = route_reduced_costs(prices, index if span is None else span.view)
    start = index.group_start if span is None else span.start
    group_value = np.minimum.reduceat(reduced, start[:-1])
    variant = index.group_variant if span is None else index.group_variant[span.groups]
    known = index.variant_complete
    if span is not None:
        known = known & np.isin(np.arange(len(known)), span.variants)
    routed = np.bincount(variant, group_value, minlength=len(data.variants))
    variant_value = np.where(known, variant_fixed_values(index, prices) + routed, np.inf)
    least = np.array([variant_value[v].min(initial=np.inf) for v in index.workload_variants])

    purchases = purchase_reduced_costs(index, prices)
    sliced = data.purchase_per_slice
    terms = [
        _bargains(purchases[sliced], data.purchase_stock[sliced][:, None]),
        _bargains(purchases[~sliced].sum(axis=1), data.purchase_stock[~sliced]),
    ]

    # A replica column is bounded by the machines it could ever run on.
    excess = prices.replica.sum(axis=2) - replica_prices(index, prices)
    over = excess > 0
    if over.any():
        limit = np.broadcast_to(replica_limit(index)[:, None], over.shape)
        terms.append(-excess[over] * limit[over])

    if prices.host.any():
        host = lam[0] * data.host_cost_usd + lam[1] * data.host_carbon_kgco2e
        terms.append(
            np.minimum(np.where(index.has_host, host, 0.0) - prices.host.sum(axis=2), 0.0).ravel()
        )
    terms.append(np.minimum(-_binary_reduced(index, prices), 0.0))
    terms.append(-_right_hand_sides(index, prices))
    everything = np.concatenate(terms)
    constant = float(lam @ index.fixed_totals)
    size = np.abs(everything).sum() + np.abs(least[np.isfinite(least)]).sum() + abs(constant)
    rest = float(everything.sum()) + constant - MARGIN * float(size)
    return Bound(
        value=rest + float(least.sum()),
        rest=rest,
        prices=prices,
        reduced=reduced,
        group_value=group_value,
        variant_value=variant_value,
        purchase_reduced=purchases,
        span=span,
    )


def _bargains(reduced: FloatArray, limit: FloatArray) -> FloatArray:
    """min(0, reduced cost) x upper bound, where it is not 0, float (n,)."""
    found = reduced < 0.0
    return np.asarray(reduced[found] * np.broadcast_to(limit, reduced.shape)[found])


def replica_limit(index: FleetIndex) -> FloatArray:
    """Most replicas of each pool that the purchasable machines could run, float (P,)."""
    data = index.data
    instances = data.machine_fixed.max(axis=1).astype(float)
    np.add.at(instances, data.purchase_machine, data.purchase_stock)
    accelerators = instances * data.machine_size
    return np.asarray(np.floor(accelerators[data.pool_machine] / data.pool_accelerators))


def _binary_reduced(index: FleetIndex, prices: Prices) -> FloatArray:
    """Minus the reduced costs of serves, open, keep and added columns at their upper bounds."""
    data = index.data
    lam = prices.weights + prices.cap
    parts: list[FloatArray] = []
    if index.spreads.any():
        serves = data.min_region_share * prices.spread - prices.spread_count[:, None]
        parts.append(-serves[index.spreads].ravel())
    if index.opens:
        linked = index.workload_legs @ prices.open
        parts.append(-(lam[0] * data.region_fixed_cost_usd - linked + prices.open_count))
    if not np.isnan(data.max_llms):
        parts.append(-(prices.keep_count - prices.keep.sum(axis=0)))
    if index.counts_added:
        machines = data.machine_fixed.max(axis=1).astype(float)
        np.add.at(machines, data.purchase_machine, data.purchase_limit)
        added = lam[0] * data.machine_change_usd + lam[1] * data.machine_change_kgco2e
        added = added + prices.added_total - prices.added.sum(axis=1)
        parts.append(-added * machines * data.machine_size)
    return np.concatenate(parts) if parts else np.zeros(0)


def _right_hand_sides(index: FleetIndex, prices: Prices) -> FloatArray:
    """price x right-hand side of every row written as ``a x <= b`` (constants moved right)."""
    data = index.data
    size = data.machine_size.astype(float)
    parts = [
        (prices.machine * size[:, None] * data.machine_fixed).ravel(),
        (prices.quota * data.quota_accelerators[:, None]).ravel(),
    ]
    if not np.isnan(data.spot_share_max):
        fixed = np.zeros(prices.spot.shape)
        np.add.at(fixed, index.spot_group, size[:, None] * data.machine_fixed)
        parts.append((prices.spot * data.spot_share_max * fixed).ravel())
    parts.append(-prices.spread_count[index.spreads] * data.min_regions[index.spreads])
    singles = []
    for price, rhs in (
        (prices.open_count, data.max_regions),
        (prices.keep_count, data.max_llms),
        (prices.added_total, data.max_added_accelerators),
        (prices.changed, data.max_changed_workloads - len(data.workloads)),
    ):
        if not np.isnan(rhs):
            singles.append(price * rhs)
    for price, cap in zip(prices.cap, caps_of(index), strict=True):
        if not np.isnan(cap):
            singles.append(price * cap)
    parts.append(np.array(singles))
    if index.counts_added:
        fixed_accelerators = size[:, None] * data.machine_fixed - data.machine_incumbent[:, None]
        parts.append(-(prices.added * fixed_accelerators).ravel())
    return np.concatenate(parts)


def caps_of(index: FleetIndex) -> FloatArray:
    """Caps on cost, carbon, loss, water, float (4,), NaN where there is none."""
    data = index.data
    return np.array([data.cost_max_usd, data.carbon_max_kgco2e, data.loss_max, data.water_max_l])
