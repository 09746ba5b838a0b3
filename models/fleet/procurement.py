"""What is held and bought: equations (5), (5b), (5c), (9), and the instances of a machine."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.fleet.data import MARKETS, FleetData
from models.fleet.rows import Terms, constraint, grouped, linear, ruled

SPOT = MARKETS.index("spot")


def purchase_terms(program: Any, data: FleetData, purchases: list[int], t: int) -> Terms:
    """Instances of the purchases in slice t: rented for it, or bought for the whole period."""
    per_slice = data.purchase_per_slice
    variables = [program.rent[b, t] if per_slice[b] else program.buy[b] for b in purchases]
    return variables, [1.0] * len(variables)


def counted_terms(program: Any, data: FleetData, purchases: list[int], t: int) -> Terms:
    """Instances of the purchases that are held at one time in slice t, by the hour or all of it."""
    variables, ones = purchase_terms(program, data, purchases, t)
    once = [program.at_once[b, t] for b in purchases if (b, t) in program.at_once]
    return variables + once, ones + [1.0] * len(once)


def held_terms(program: Any, data: FleetData, usable: bool) -> dict[tuple[int, int], Terms]:
    """Instances held of each (machine, slice) beyond the fixed ones; instances.

    With `usable`, rented instances count with their availability (spot < 1), those held by the
    hour not at all: they serve batch alone (4b).
    """
    own: list[list[int]] = [[] for _ in data.machines]
    for b, h in enumerate(data.purchase_machine.tolist()):
        own[h].append(b)
    share = np.where(data.purchase_per_slice, data.purchase_availability, 1.0).tolist()
    return {
        (h, t): (
            (purchase_terms(program, data, own[h], t)[0], [share[b] for b in own[h]])
            if usable
            else counted_terms(program, data, own[h], t)
        )
        for h in range(len(own))
        for t in range(len(data.slices))
    }


def quota(program: Any, data: FleetData) -> Any:
    """(5) sum over b of k of size_h(b) x instances_bt <= quota_k, for all k, t; accelerators.

    Of instances held by the hour the number at once counts. Price: value of one more accelerator of
    quota in that slice.
    """
    size = data.machine_size[data.purchase_machine].tolist()

    def every_row() -> Any:
        for k, limit in enumerate(data.quota_accelerators.tolist()):
            members = np.flatnonzero(data.quota_purchase[k]).tolist()
            for t in range(len(data.slices)):
                terms = [_scaled(counted_terms(program, data, [b], t), size[b]) for b in members]
                yield (k, t), (None, linear(*terms), limit)

    return constraint(every_row())


def hold_at_once(program: Any, data: FleetData) -> Any:
    """(5b) hold_bt <= at_once_bt, where the number held at once is limited; instances.

    Price: what the limits ask for one more at once.
    """
    return constraint(
        (key, (None, linear(([program.hold[key]], [1.0]), ([once], [-1.0])), 0.0))
        for key, once in program.at_once.items()
    )


def stock_at_once(program: Any, data: FleetData) -> Any:
    """(5c) rent_bt + at_once_bt <= stock_b, where there is a stock; instances.

    Price: none of its own in a bound, where a part of an instance by the hour is one by the slice.
    """
    stock = np.floor(data.purchase_stock).tolist()
    return constraint(
        ((b, t), (None, linear(counted_terms(program, data, [b], t)), stock[b]))
        for b, t in program.at_once
        if np.isfinite(stock[b])
    )


def limit_spot_share(program: Any, data: FleetData) -> Any:
    """(9) spot accelerators <= spot_share_max x accelerators held; accelerators.

    For every (region, accelerator) and slice; held includes owned instances, whole (before
    availability), and what is held by the hour in proportion to its hours. A group is named by its
    first machine. Price: value of letting one more accelerator there be spot.
    """
    if not ruled(data.spot_share_max):
        return constraint(())
    first: dict[tuple[int, str], int] = {}
    group = np.array(
        [
            first.setdefault(key, h)
            for h, key in enumerate(
                zip(data.machine_region.tolist(), data.machine_accelerator, strict=True)
            )
        ],
        dtype=np.int64,
    )
    fixed = np.zeros((len(group), len(data.slices)))
    np.add.at(fixed, group, data.machine_size[:, None] * data.machine_fixed)
    purchase_group = group[data.purchase_machine]
    spot = data.purchase_market == SPOT
    has_spot = np.bincount(purchase_group, spot, minlength=len(group)) > 0
    size = data.machine_size[data.purchase_machine]
    weight = size * (spot - data.spot_share_max)

    def every_row() -> Any:
        for (s,), members in grouped([purchase_group], has_spot[purchase_group]):
            for t in range(len(data.slices)):
                variables, _ = purchase_terms(program, data, members.tolist(), t)
                by_hour = [b for b in members.tolist() if (b, t) in program.hold]
                hold = [program.hold[b, t] for b in by_hour], weight[by_hour].tolist()
                body = linear((variables, weight[members].tolist()), hold)
                yield (s, t), (None, body, float(data.spot_share_max * fixed[s, t]))

    return constraint(every_row())


def _scaled(terms: Terms, factor: float) -> Terms:
    return terms[0], [factor * value for value in terms[1]]
