"""What is held and bought: equations (5) and (9), and the instances of a machine."""

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


def held_terms(program: Any, data: FleetData, usable: bool) -> dict[tuple[int, int], Terms]:
    """Instances held of each (machine, slice) beyond the fixed ones; instances.

    With `usable`, rented instances count with their availability (spot < 1).
    """
    own: list[list[int]] = [[] for _ in data.machines]
    for b, h in enumerate(data.purchase_machine.tolist()):
        own[h].append(b)
    share = np.where(data.purchase_per_slice & usable, data.purchase_availability, 1.0).tolist()
    return {
        (h, t): (purchase_terms(program, data, own[h], t)[0], [share[b] for b in own[h]])
        for h in range(len(own))
        for t in range(len(data.slices))
    }


def quota(program: Any, data: FleetData) -> Any:
    """(5) sum over b of k of size_h(b) x instances_bt <= quota_k, for all k, t; accelerators.

    Price: value of one more accelerator of quota in that slice.
    """
    size = data.machine_size[data.purchase_machine].astype(float)

    def every_row() -> Any:
        for k, limit in enumerate(data.quota_accelerators.tolist()):
            members = np.flatnonzero(data.quota_purchase[k])
            for t in range(len(data.slices)):
                variables, _ = purchase_terms(program, data, members.tolist(), t)
                yield (k, t), (None, linear((variables, size[members].tolist())), limit)

    return constraint(every_row())


def limit_spot_share(program: Any, data: FleetData) -> Any:
    """(9) spot accelerators <= spot_share_max x accelerators held; accelerators.

    For every (region, accelerator) and slice; held includes owned instances, whole (before
    availability). A group is named by its first machine. Price: value of letting one more
    accelerator there be spot.
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
                body = linear((variables, weight[members].tolist()))
                yield (s, t), (None, body, float(data.spot_share_max * fixed[s, t]))

    return constraint(every_row())
