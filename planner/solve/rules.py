"""The rules of a fleet that a user can relax: what each says, and what changing it does.

A rule has one limit. It is relaxed by moving the limit towards `loosest`, where it no longer says
anything. In a program the limit is the right-hand side of `rows`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from models.fleet.data import FleetData, IntArray
from planner.solve.bound import Bound, Prices
from planner.solve.index import FleetIndex
from planner.solve.master import Master

CAPS = ("cost_max_usd", "carbon_max_kgco2e", "loss_max", "water_max_l")
CAP_NAMES = ("cap on cost", "cap on carbon", "floor on QoE", "cap on water")
CAP_UNITS = (" USD", " kgCO2e", "", " l")
LOSS = 2

Rows = Callable[[Master], IntArray]


@dataclass(frozen=True)
class Rule:
    """One rule that the user can relax alone."""

    what: str
    """in the user's words, without its limit: ``cap on cost``"""
    limit: float
    loosest: float
    """a limit that no longer restricts anything; NaN: the rule is left out"""
    with_limit: Callable[[FleetData, float], FleetData]
    rate: Callable[[FleetIndex, Bound], float]
    """most by which a proof falls when the limit is relaxed by 1; 0: it takes no part"""
    rows: Rows | None
    """rows of a program that the limit is the right-hand side of; None: a total, or not linear"""
    sign: float = -1.0
    """coefficient in those rows of a column that relaxes the limit by 1 each"""
    unit: str = ""
    digits: int = 0
    """decimals of the limit in words; 0: a whole number, negative: significant digits"""
    floor: bool = False
    """the user writes 1 - limit"""
    total: int = -1
    """cost, carbon, loss, water: which total the rule caps"""
    room: Callable[[FleetData], FleetData] = lambda data: data
    """the data where nothing but the rows stands for the limit"""

    @property
    def whole(self) -> bool:
        """The limit is a count."""
        return self.digits == 0

    @property
    def direction(self) -> float:
        """1: relaxed by a larger limit; -1: by a smaller one."""
        return 1.0 if self.total >= 0 or self.loosest > self.limit else -1.0

    @property
    def rises(self) -> bool:
        """Relaxed by a larger limit, as the user writes it."""
        return (self.direction > 0.0) != self.floor

    def moved(self, limit: float, by: float) -> float:
        """The limit relaxed by so much, a count to a whole number; not beyond the loosest."""
        moved = self.direction * limit + by
        if self.whole and by > 0.0:
            moved = np.ceil(moved - 1e-6)
        return float(self.direction * min(moved, self.direction * self.loosest))

    def next_after(self, limit: float, by: float) -> float:
        """The first limit that may do, where less than so much more is proved impossible."""
        if self.whole:
            by = max(by, np.floor(self.direction * limit) + 1.0 - self.direction * limit)
        return self.moved(limit, by)

    @property
    def name(self) -> str:
        """``cap on cost of 1,600 USD``."""
        return f"{self.what} of {exactly(self.written(self.limit))}{self.unit}"

    def written(self, limit: float) -> float:
        """The limit as the user writes it."""
        return 1.0 - limit if self.floor else limit

    def rounded(self, limit: float, *, safe: bool) -> tuple[float, int]:
        """The limit as the user writes it and its decimals: rounded to the relaxed side where it
        must be `safe` to use, else to the strict side, as is right of what is proved."""
        value, digits = self.written(limit), self.digits
        if digits < 0:
            size = int(np.floor(np.log10(max(abs(value), 1e-12))))
            digits = max(-digits - 1 - size, 0)
        # Float noise is not a reason for another digit.
        steps, up = value * 10.0**digits, self.rises == safe
        whole = np.ceil(steps - 1e-6) if up else np.floor(steps + 1e-6)
        return float(whole / 10.0**digits), digits

    def said(self, limit: float, *, safe: bool) -> str:
        """The rounded limit in words: ``1,697``."""
        value, digits = self.rounded(limit, safe=safe)
        return f"{value:,.{digits}f}"

    def safe(self, limit: float) -> float:
        """The limit that the user is told to use."""
        value, _ = self.rounded(limit, safe=True)
        return self.written(value)


def exactly(value: float) -> str:
    """A number that the user wrote: ``1,600``, ``0.99999``."""
    return f"{value:,.10g}" if abs(value) >= 1.0 else f"{value:.10g}"


def rules_of(data: FleetData) -> list[Rule]:
    """Every rule of the data that a user can relax and that restricts something, caps first."""
    caps = [_cap(data, i) for i, name in enumerate(CAPS) if not np.isnan(getattr(data, name))]
    workloads = [rule for w, n in enumerate(data.workloads) for rule in _of_workload(data, w, n)]
    quotas = [_quota(data, k, name) for k, name in enumerate(data.quota_names)]
    found = [*caps, *workloads, *quotas, *_counts(data)]
    return [rule for rule in found if rule.limit != rule.loosest]


def loosened(data: FleetData, rule: Rule) -> FleetData:
    """The data without the rule."""
    return rule.with_limit(data, rule.loosest)


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


def _priced(price: Callable[[Prices], float]) -> Callable[[FleetIndex, Bound], float]:
    return lambda index, bound: price(bound.prices)


def _row(name: str) -> Rows:
    return lambda master: np.array([getattr(master, name)])


def _cap(data: FleetData, which: int) -> Rule:
    return Rule(
        CAP_NAMES[which],
        float(getattr(data, CAPS[which])),
        np.nan,
        _set(CAPS[which]),
        _priced(lambda y: float(y.cap[which])),
        None,
        unit=CAP_UNITS[which],
        digits=4 if which == LOSS else -4,
        floor=which == LOSS,
        total=which,
    )


def _of_workload(data: FleetData, w: int, name: str) -> list[Rule]:
    """Attainment, QoE floor, loss of a region, least regions: those that the workload has."""
    mine = np.flatnonzero(data.variant_workload == w)
    weight = float(data.item_qoe_weight[data.item_workload == w].sum())
    attainment = Rule(
        f"attainment of {name}",
        float(data.attainment_min[w]), 0.0, _set_at("attainment_min", w),
        _priced(lambda y: float(y.attain[mine].max(initial=0.0))),
        lambda master: np.asarray(master.row_attain[mine]),
        sign=1.0, digits=4,
    )  # fmt: skip
    floor = Rule(
        f"floor on QoE of {name}",
        float(data.workload_loss_max[w]), 1.0, _set_at("workload_loss_max", w),
        _priced(lambda y: weight * float(y.floor[mine].max(initial=0.0))),
        lambda master: np.asarray(master.row_floor[mine]),
        sign=-weight, digits=4, floor=True,
    )  # fmt: skip
    share = Rule(
        f"largest share of {name} in one region (loss of a region)",
        float(data.region_share_max[w]), 1.0, _set_at("region_share_max", w),
        _priced(lambda y: float(y.survive[mine].sum(axis=(1, 2)).max(initial=0.0))),
        lambda master: np.asarray(master.row_survive[mine].ravel()),
        digits=4,
    )  # fmt: skip
    regions = Rule(
        f"least number of regions for {name}",
        float(data.min_regions[w]), 1.0, _set_at("min_regions", w),
        _priced(lambda y: float(y.spread_count[w])),
        lambda master: np.asarray(master.row_spread_count[[w]]),
        sign=1.0,
    )  # fmt: skip
    return [rule for rule in (attainment, floor, share, regions) if not np.isnan(rule.limit)]


# ---------------------------------------------------------------------- machines


def _quota(data: FleetData, k: int, name: str) -> Rule:
    limit = float(data.quota_accelerators[k])
    return Rule(
        f"quota of {name}",
        limit,
        max(_most_accelerators(data), limit),
        lambda changed, new: _with_quota(changed, k, new),
        lambda index, bound: _quota_rate(index, bound, k),
        lambda master: np.asarray(master.row_quota[k]),
        unit=" accelerators",
        room=lambda changed: replace(
            _with_quota(changed, k, _most_accelerators(changed)),
            quota_accelerators=changed.quota_accelerators,
        ),
    )


def _most_accelerators(data: FleetData) -> float:
    """More than any plan can use at once."""
    if not len(data.route_group):
        return 1.0
    cards = np.where(data.route_pool >= 0, data.pool_accelerators[data.route_pool], 0)
    most = np.zeros(len(data.group_item))
    np.maximum.at(most, data.route_group, data.route_share.max(axis=1) * cards)
    whole = most.sum() + data.pool_accelerators.sum() + data.machine_size.sum()
    return float(np.ceil(whole))


def _by_quota(data: FleetData, k: int) -> IntArray:
    """Purchases whose stock is what the quota leaves of it."""
    size = data.machine_size[data.purchase_machine]
    most = np.floor(data.quota_accelerators[k] / size + 1e-9)
    return np.flatnonzero(data.quota_purchase[k] & (data.purchase_stock == most))


def _with_quota(data: FleetData, k: int, limit: float) -> FleetData:
    """Another quota; purchases that it alone limited may follow it."""
    quotas = data.quota_accelerators.copy()
    quotas[k] = limit
    stock, most = data.purchase_stock.copy(), data.purchase_limit.copy()
    for b in _by_quota(data, k):
        mine = quotas[data.quota_purchase[:, b]]
        stock[b] = np.floor(mine.min() / data.machine_size[data.purchase_machine[b]] + 1e-9)
        most[b] = stock[b]
    return replace(data, quota_accelerators=quotas, purchase_stock=stock, purchase_limit=most)


def _quota_rate(index: FleetIndex, bound: Bound, k: int) -> float:
    """Its price, and that of the stock of the purchases that it limits."""
    data = index.data
    mine = _by_quota(data, k)
    reduced = bound.purchase_reduced[mine]
    each = np.minimum(reduced, 0.0).sum(axis=1)
    held = np.minimum(reduced.sum(axis=1), 0.0)
    saved = np.where(data.purchase_per_slice[mine], each, held)
    size = data.machine_size[data.purchase_machine[mine]]
    return float(bound.prices.quota[k].sum() - (saved / size).sum())


def _counts(data: FleetData) -> list[Rule]:
    """Spot share, regions, llms, and what may change against today."""
    rules = [
        Rule(
            "spot share", data.spot_share_max, 1.0, _set("spot_share_max"),
            _priced(lambda y: float(y.spot.sum())), None, digits=4,
        ),
        Rule(
            "limit on regions", data.max_regions, float(len(data.regions)), _set("max_regions"),
            _priced(lambda y: y.open_count), _row("row_open_count"),
        ),
        Rule(
            "limit on llms", data.max_llms, float(len(data.llms)), _set("max_llms"),
            _priced(lambda y: y.keep_count), _row("row_keep_count"),
        ),
        Rule(
            "limit on changed workloads", data.max_changed_workloads, float(len(data.workloads)),
            _set("max_changed_workloads"), _priced(lambda y: y.changed), _row("row_changed"),
        ),
        Rule(
            "limit on added accelerators", data.max_added_accelerators, _most_accelerators(data),
            _set("max_added_accelerators"), _priced(lambda y: y.added_total),
            _row("row_added_total"),
        ),
    ]  # fmt: skip
    return [rule for rule in rules if not rule.limit >= rule.loosest and rule.limit >= 0.0]


def machine_rules(data: FleetData) -> list[Rule]:
    """How many of each machine are owned or committed: what can give way where no rule can."""
    return [_held(data, int(h)) for h in np.flatnonzero((data.machine_fixed > 0).any(axis=1))]


def _held(data: FleetData, h: int) -> Rule:
    limit, size = float(data.machine_fixed[h].max()), float(data.machine_size[h])

    def with_limit(changed: FleetData, new: float) -> FleetData:
        held = changed.machine_fixed.copy()
        held[h] += round(new - limit)
        return replace(changed, machine_fixed=held)

    return Rule(
        f"number held of {data.machines[h]}",
        limit,
        limit + float(np.ceil(_most_accelerators(data) / size)),
        with_limit,
        _priced(lambda y: size * float(y.machine[h].sum())),
        lambda master: np.asarray(master.row_machine[h]),
        sign=-size,
        unit=" instances",
    )
